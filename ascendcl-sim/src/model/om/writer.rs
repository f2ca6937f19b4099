//! Writing OM files that the simulator runs: the container that ATC writes, with an ONNX graph where a card's weights are, and a partition
//! that says so.

use std::fmt;

use super::container::{BUNDLE, HEADER, MAGIC, VERSION, field, kind};
use super::inout;
use crate::error::{self, take_text};
use crate::model::options::PREFIX;
use crate::model::prepare::prepare_onnx;
use crate::model::tensor::Description;

/// `modeltype` of a model for inference.
const STANDARD: u8 = 0;

/// What the partition of the simulator holds.
const MARK: &[u8] = b"onnx 1";

/// Makes an OM file of an ONNX model, as ATC does for a card. The simulator loads the file; so do tools that only read descriptions. A card
/// does not.
///
/// ```no_run
/// # let onnx = Vec::new();
/// let om = ascendcl_sim::om::Converter::new(onnx)
///     .input_shape("image:-1,3,224,224")
///     .dynamic_batch_size(&[1, 4, 8])
///     .convert()?;
/// std::fs::write("model.om", om)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The options are kept as metadata of the ONNX model, under keys that start with `ascendcl.`. A plain ONNX file with such
/// metadata loads as the same model.
#[derive(Clone, Debug)]
pub struct Converter {
    onnx: Vec<u8>,
}

/// Why a model cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvertError {
    code: i32,
    text: String,
}

impl ConvertError {
    /// The code that loading the model would answer.
    pub fn code(&self) -> i32 {
        self.code
    }
}

impl fmt::Display for ConvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ConvertError {}

impl Converter {
    /// Starts from the content of an ONNX file.
    pub fn new(onnx: impl Into<Vec<u8>>) -> Self {
        Self { onnx: onnx.into() }
    }

    /// Shapes of inputs, as ATC's `--input_shape` has them: `name:dim,dim;name:dim`. A dimension of -1 is open, `low~high` has a range.
    pub fn input_shape(self, shapes: &str) -> Self {
        self.option("input_shape", shapes)
    }

    /// Sizes of the batch, which is the first axis of each input that is open there.
    pub fn dynamic_batch_size(self, batches: &[u64]) -> Self {
        self.option("dynamic_batch_size", &join(batches))
    }

    /// Heights and widths of images.
    pub fn dynamic_image_size(self, sizes: &[(u64, u64)]) -> Self {
        let sizes: Vec<String> = sizes.iter().map(|(height, width)| format!("{height},{width}")).collect();
        self.option("dynamic_image_size", &sizes.join(";"))
    }

    /// Values for all open axes, in the order of the inputs.
    pub fn dynamic_dims<D: AsRef<[u64]>>(self, gears: &[D]) -> Self {
        let gears: Vec<String> = gears.iter().map(|gear| join(gear.as_ref())).collect();
        self.option("dynamic_dims", &gears.join(";"))
    }

    /// Where inputs of four axes have their channels: `NCHW`, the default, or `NHWC`.
    pub fn input_format(self, format: &str) -> Self {
        self.option("input_format", format)
    }

    /// AIPP, as the file of ATC's `--insert_op_conf` has it: `aipp_op { aipp_mode: static ... }`.
    pub fn insert_op_conf(self, configuration: &str) -> Self {
        self.option("insert_op_conf", configuration)
    }

    /// Adds an option to the metadata. Messages that follow each other are one.
    fn option(mut self, key: &str, value: &str) -> Self {
        let mut entry = Vec::new();
        bytes(&mut entry, 1, format!("{PREFIX}{key}").as_bytes());
        bytes(&mut entry, 2, value.as_bytes());
        bytes(&mut self.onnx, 14, &entry);
        self
    }

    /// The ONNX file with its options: it loads as it is.
    pub fn to_onnx(&self) -> Vec<u8> {
        self.onnx.clone()
    }

    /// Writes the OM file. Needs an engine: the feature `onnx`.
    pub fn convert(&self) -> Result<Vec<u8>, ConvertError> {
        let before = error::set_function("Converter::convert");
        let built = prepare_onnx(&self.onnx);
        error::set_function(before);
        match built {
            Ok(built) => Ok(model(&self.onnx, &built.description)),
            Err(code) => Err(ConvertError { code, text: take_text() }),
        }
    }
}

/// Makes one file of several models. `variable_size` is the size of the variables that they share, if they share some.
pub fn bundle(models: &[Vec<u8>], variable_size: Option<u64>) -> Vec<u8> {
    let variables = variable_size.map(|size| (kind::BUNDLE_MODEL_VAR_INFO, size.to_le_bytes().to_vec()));
    let models = models.iter().map(|model| (kind::BUNDLE_MODEL_INFO, model.clone()));
    container(BUNDLE, false, &variables.into_iter().chain(models).collect::<Vec<_>>())
}

fn model(onnx: &[u8], description: &Description) -> Vec<u8> {
    let (mut definition, mut tasks) = (Vec::new(), Vec::new());
    bytes(&mut definition, 1, b"ascendcl-sim");
    varint(&mut tasks, 11 << 3);
    varint(&mut tasks, description.work_size as u64);
    let partitions = [
        (kind::MODEL_DEF, definition),
        (kind::WEIGHTS_DATA, onnx.to_vec()),
        (kind::TASK_INFO, tasks),
        (kind::MODEL_INOUT_INFO, inout::write(description)),
        (kind::SIMULATOR, MARK.to_vec()),
    ];
    container(STANDARD, description.dynamic, &partitions)
}

fn container(model_type: u8, dynamic: bool, partitions: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut content = Vec::new();
    content.extend((partitions.len() as u32).to_le_bytes());
    content.extend([0; 4]);
    let mut offset = 0u64;
    for (kind, data) in partitions {
        content.extend(kind.to_le_bytes());
        content.extend([0; 4]);
        content.extend(offset.to_le_bytes());
        content.extend((data.len() as u64).to_le_bytes());
        offset += data.len() as u64;
    }
    partitions.iter().for_each(|(_, data)| content.extend(data));

    let mut file = vec![0; HEADER];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, MAGIC);
    put(field::HEAD_SIZE, &(HEADER as u32).to_le_bytes());
    put(field::VERSION, &VERSION.to_le_bytes());
    put(field::LENGTH, &(content.len() as u32).to_le_bytes());
    put(field::MODEL_TYPE, &[model_type]);
    put(field::NAME, b"ascendcl-sim");
    put(field::MODEL_NUM, &1u32.to_le_bytes());
    put(field::MODEL_LENGTH, &(content.len() as u64).to_le_bytes());
    put(field::UNKNOWN_SHAPE, &[dynamic.into()]);
    file.extend(content);
    file
}

fn join(values: &[u64]) -> String {
    values.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn bytes(to: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(to, field << 3 | 2);
    varint(to, bytes.len() as u64);
    to.extend(bytes);
}
