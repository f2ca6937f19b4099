//! Executing a model, beside the engine that computes it.

use std::ffi::CString;
use std::hint::black_box;

use ascendcl_sys::{aclDataBuffer, aclmdlDataset};
use rten::ModelOptions;
use rten_tensor::NdTensorView;

use super::acl::{DeviceMemory, Session, acl, table};
use crate::{
    error::Error,
    perf::{
        measure::{Effort, by_turns, seconds_each},
        row::{Limit, Measured, Row, Target},
    },
    workspace,
};

/// An image of the digit classifier, and its answer: numbers of 32 bits.
pub const IMAGE: usize = 8 * 8;
const CLASSES: usize = 10;

pub fn row() -> Row {
    Row {
        name: "sim-execution",
        title: "the simulator: `aclmdlExecute` of the digit classifier",
        baseline: "the engine, rten, called directly with the same numbers",
        target: Target::Ratio(Limit::AtMost(1.02)),
        run: measure,
        remark: Some(
            "callgrind counts 9,600 instructions beside the engine for each execution: the checks that ACL makes of model, datasets and buffers, the way to the memory behind them, \
             and tensors made of it and copied back. A network that computes for a millisecond does not notice them; this one is done in 40 \u{b5}s.",
        ),
        ..Row::PLAIN
    }
}

/// The digit classifier, loaded, with memory for one image.
pub struct Classifier {
    id: u32,
    input: Dataset,
    output: Dataset,
}

/// One piece of device memory as a dataset.
struct Dataset {
    raw: *mut aclmdlDataset,
    buffer: *mut aclDataBuffer,
    memory: DeviceMemory,
}

impl Dataset {
    fn new(size: usize) -> Self {
        let memory = DeviceMemory::new(size);
        let (create, create_buffer) = (table().aclmdlCreateDataset, table().aclCreateDataBuffer);
        // SAFETY: [handle, memory] a dataset of its own, and memory as large as is said.
        let (raw, buffer) = unsafe {
            (
                create.expect("aclmdlCreateDataset")(),
                create_buffer.expect("aclCreateDataBuffer")(memory.0, memory.1),
            )
        };
        acl!(aclmdlAddDatasetBuffer, raw, buffer);
        Self { raw, buffer, memory }
    }
}

impl Drop for Dataset {
    fn drop(&mut self) {
        acl!(aclDestroyDataBuffer, self.buffer);
        acl!(aclmdlDestroyDataset, self.raw);
    }
}

impl Classifier {
    pub fn load() -> Result<Self, Error> {
        let path = workspace::root().join("examples/assets/digits/digits.onnx");
        let path = CString::new(path.into_os_string().into_encoded_bytes())
            .map_err(|_| Error::new("the workspace lies in a path with a NUL in it"))?;
        let mut id = 0;
        acl!(aclmdlLoadFromFile, path.as_ptr(), &mut id);
        Ok(Self { id, input: Dataset::new(IMAGE * 4), output: Dataset::new(CLASSES * 4) })
    }

    pub fn upload(&self, image: &[f32]) {
        self.input.memory.fill_from(&image.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
    }

    /// Waits until it is done.
    pub fn execute(&self) {
        acl!(aclmdlExecute, self.id, self.input.raw, self.output.raw);
    }

    pub fn download(&self) -> [f32; CLASSES] {
        self.output.memory.read()
    }
}

impl Drop for Classifier {
    fn drop(&mut self) {
        acl!(aclmdlUnload, self.id);
    }
}

fn measure(effort: Effort) -> Result<Measured, Error> {
    let count = effort.choose(2, 100);
    let path = workspace::root().join("examples/assets/digits/digits.onnx");
    let engine = ModelOptions::with_all_ops()
        .load_file(&path)
        .map_err(|error| Error::new(format!("cannot load {}: {error}", path.display())))?;
    let image: Vec<f32> = (0..IMAGE).map(|at| at as f32 / IMAGE as f32).collect();
    let session = Session::usual();
    let measured = (|| {
        let classifier = Classifier::load()?;
        classifier.upload(&image);
        by_turns(
            effort,
            || {
                seconds_each(count, || {
                    (0..count).for_each(|_| classifier.execute());
                    Ok(())
                })
            },
            || {
                seconds_each(count, || {
                    for _ in 0..count {
                        let view = NdTensorView::from_data([1, 1, 8, 8], black_box(&image[..]));
                        let answer = engine
                            .run_n::<1>(
                                vec![(engine.input_ids()[0], view.into())],
                                [engine.output_ids()[0]],
                                None,
                            )
                            .map_err(|error| Error::new(format!("the engine failed: {error}")))?;
                        black_box(answer);
                    }
                    Ok(())
                })
            },
        )
    })();
    drop(session);
    measured
}
