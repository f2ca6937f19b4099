//! The loaded models of the process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use ascendcl_sys::{self as sys, aclError};

use super::build::{AippRole, Built};
use super::engine::Output;
use super::graph::{Fault, Graph, Read};
use super::reserve::{Provided, Reserved};
use super::tensor::{Description, GearKind};
use crate::check::leak::{LiveKind, Registration, register};
use crate::core::{Context, clock, current_context, lifecycle};
use crate::error::fail;
use crate::lock::Mutex;
use crate::profiling::subscribe;

static MODELS: Mutex<BTreeMap<u32, (Arc<Model>, Registration)>> = Mutex::new(BTreeMap::new());

/// Ids start at 1 and are never used twice, so that a stale id is noticed. Bundles have theirs from here too.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A loaded model. Queued work holds it too: unloading does not take it away from work that was submitted before.
pub(crate) struct Model {
    id: u32,
    context: Weak<Context>,
    device: i32,
    description: Arc<Description>,
    graph: Graph,
    aipp: Vec<Option<AippRole>>,
    memory: Reserved,
    running: AtomicBool,
    /// The gear that was set last, by any dataset.
    gear: Mutex<Option<(GearKind, Vec<u64>)>>,
    /// The bundle it belongs to.
    bundle: Option<u32>,
}

impl Model {
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// The device of the context it was loaded in.
    pub(crate) fn device(&self) -> i32 {
        self.device
    }

    pub(crate) fn description(&self) -> &Arc<Description> {
        &self.description
    }

    /// How each input is prepared.
    pub(crate) fn aipp(&self) -> &[Option<AippRole>] {
        &self.aipp
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(crate) fn bundle(&self) -> Option<u32> {
        self.bundle
    }

    /// Notes the gear that was set.
    pub(crate) fn set_gear(&self, kind: GearKind, values: Vec<u64>) {
        *self.gear.lock() = Some((kind, values));
    }

    pub(crate) fn gear(&self) -> Option<(GearKind, Vec<u64>)> {
        self.gear.lock().clone()
    }

    /// Load, execution and unload belong into one context.
    pub(crate) fn check_context(&self, current: &Arc<Context>) -> Result<(), aclError> {
        if std::ptr::eq(self.context.as_ptr(), Arc::as_ptr(current)) {
            return Ok(());
        }
        Err(fail(
            sys::ACL_ERROR_RT_MODEL_CONTEXT,
            format_args!(
                "model {} was loaded in another context than the current one, and stays there",
                self.id
            ),
        ))
    }

    /// Computes the outputs from inputs of which `claimed` bytes are there.
    ///
    /// A model has one set of working memory: a second execution that starts before the first has ended spoils both on a card, and
    /// is an error here.
    pub(crate) fn run(
        &self,
        claimed: &[usize],
        given: &[Option<Vec<i64>>],
        read: Read<'_>,
    ) -> Result<Vec<Output>, aclError> {
        if self.running.swap(true, Ordering::Acquire) {
            return Err(fail(
                sys::ACL_ERROR_RT_MODEL_EXECUTE,
                format_args!(
                    "model {} is being executed on another stream or thread; a model runs once at a time, so order its executions or \
                     load it again",
                    self.id
                ),
            ));
        }
        let started = clock::now();
        let outputs = self.compute(claimed, given, read);
        subscribe::executed(self.id, self.device, started, clock::now());
        self.running.store(false, Ordering::Release);
        outputs.map_err(|fault| match fault {
            Fault::Code(code) => code,
            Fault::Text(reason) => {
                fail(sys::ACL_ERROR_RT_MODEL_EXECUTE, format_args!("model {} failed: {reason}", self.id))
            }
        })
    }

    fn compute(
        &self,
        claimed: &[usize],
        given: &[Option<Vec<i64>>],
        read: Read<'_>,
    ) -> Result<Vec<Output>, Fault> {
        self.memory.use_up().map_err(Fault::Code)?;
        let (gear, outputs) = self.graph.run(claimed, given, read)?;
        for (index, (output, tensor)) in outputs.iter().zip(&self.description.outputs).enumerate() {
            let told = match gear {
                Some(gear) => self.description.output_in_gear(gear, index).map(<[i64]>::to_vec),
                None if tensor.is_dynamic() => None,
                None => Some(tensor.dims.clone()),
            };
            let Some(told) = told else { continue };
            let count = |mut dims: Box<dyn Iterator<Item = i64> + '_>| {
                dims.try_fold(1i64, |count, dim| count.checked_mul(dim))
            };
            let there = count(Box::new(output.shape.iter().map(|&dim| dim as i64)));
            if count(Box::new(told.iter().copied())) != there {
                let name = tensor.name.to_string_lossy();
                return Err(Fault::Text(format!(
                    "output '{name}' came out with the shape {:?}, the file declares {told:?}",
                    output.shape
                )));
            }
        }
        Ok(outputs)
    }
}

/// 145001 unless ACL is initialised: the part of it that runs models starts there.
pub(crate) fn check_executor() -> Result<(), aclError> {
    if lifecycle::is_initialized() {
        return Ok(());
    }
    Err(fail(sys::ACL_ERROR_GE_EXEC_NOT_INIT, "models need an initialised ACL: call aclInit first"))
}

/// A number for a model or a bundle.
pub(crate) fn next_id() -> u32 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Loads a model into the current context.
pub(crate) fn load(built: Built, provided: &Provided, bundle: Option<u32>) -> Result<u32, aclError> {
    let context = current_context()?;
    let memory = Reserved::new(&context, &built.description, provided)?;
    let id = next_id();
    let device = context.device().id();
    let model = Model {
        id,
        context: Arc::downgrade(&context),
        device,
        description: Arc::new(built.description),
        graph: built.graph,
        aipp: built.aipp,
        memory,
        running: AtomicBool::new(false),
        gear: Mutex::new(None),
        bundle,
    };
    let registration = register(LiveKind::Model, format!("id {id} on device {device}"));
    MODELS.lock().insert(id, (Arc::new(model), registration));
    Ok(id)
}

/// The model with this id: 145003 if there is none.
pub(crate) fn find(id: u32) -> Result<Arc<Model>, aclError> {
    peek(id).ok_or_else(|| unknown(id))
}

/// The model with this id, without a text if there is none.
pub(crate) fn peek(id: u32) -> Option<Arc<Model>> {
    MODELS.lock().get(&id).map(|(model, _)| Arc::clone(model))
}

/// `aclmdlUnload`.
pub(crate) fn unload(id: u32) -> Result<(), aclError> {
    if let Some(bundle) = peek(id).and_then(|model| model.bundle()) {
        let text = format!("model {id} belongs to bundle {bundle}, and is unloaded with it");
        return Err(fail(sys::ACL_ERROR_INVALID_PARAM, text));
    }
    end(id)
}

/// Ends the life of an id. Work that was queued before still runs.
pub(crate) fn end(id: u32) -> Result<(), aclError> {
    let model = find(id)?;
    // A model whose context is gone can be unloaded from anywhere: its own context cannot come back.
    if model.context.strong_count() > 0 {
        model.check_context(&current_context()?)?;
    }
    let removed = MODELS.lock().remove(&id);
    removed.map(drop).ok_or_else(|| unknown(id))
}

fn unknown(id: u32) -> aclError {
    fail(sys::ACL_ERROR_GE_EXEC_MODEL_ID_INVALID, format_args!("no model with id {id} is loaded"))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::super::element::Element;
    use super::super::engine::{Input, Program};
    use super::super::onnx::Dim;
    use super::super::tensor::Tensor;
    use super::*;
    use crate::error::take_text;

    /// Says that it runs, and ends when it is told to.
    struct Slow(Mutex<(Sender<()>, Receiver<usize>)>);

    impl Program for Slow {
        fn inputs(&self) -> Vec<String> {
            Vec::new()
        }

        fn output_shape(&self, _: usize) -> Option<Vec<Dim>> {
            None
        }

        fn value_shape(&self, _: &str) -> Option<Vec<i64>> {
            None
        }

        fn run(&self, _: &[Input<'_>], _: &[Element]) -> Result<Vec<Output>, String> {
            let channels = self.0.lock();
            channels.0.send(()).unwrap();
            let length = channels.1.recv().unwrap();
            Ok(vec![Output { shape: vec![length], bytes: vec![7; length] }])
        }
    }

    #[test]
    fn a_model_runs_once_at_a_time_and_gives_what_it_declares() {
        let ((started, is_started), (finish, is_finished)) = (channel(), channel());
        let output = Tensor {
            name: c"y".into(),
            dims: vec![2],
            dims_v2: vec![2],
            ranges: Vec::new(),
            data_type: sys::ACL_UINT8,
            format: sys::ACL_FORMAT_ND,
            size: 2,
        };
        let graph = Graph {
            program: Box::new(Slow(Mutex::new((started, is_finished)))),
            feeds: Vec::new(),
            outputs: vec![Element::U8],
            gear_input: None,
            gears: Vec::new(),
        };
        let model = Model {
            id: 9,
            context: Weak::new(),
            device: 0,
            description: Arc::new(Description { outputs: vec![output], ..Description::default() }),
            graph,
            aipp: Vec::new(),
            memory: Reserved::default(),
            running: AtomicBool::new(false),
            gear: Mutex::new(None),
            bundle: None,
        };
        let nothing = |_: usize, _: usize| Ok(Vec::new());
        let run = || model.run(&[], &[], &nothing);
        std::thread::scope(|scope| {
            let first = scope.spawn(run);
            is_started.recv().unwrap();
            assert_eq!(run(), Err(sys::ACL_ERROR_RT_MODEL_EXECUTE));
            assert!(take_text().contains("model 9 is being executed on another stream"));
            finish.send(2).unwrap();
            assert_eq!(first.join().unwrap().unwrap()[0].bytes, [7, 7]);
        });
        // Free again, and a program that does not keep its word is noticed.
        finish.send(3).unwrap();
        assert_eq!(run(), Err(sys::ACL_ERROR_RT_MODEL_EXECUTE));
        assert!(take_text().contains("output 'y' came out with the shape [3], the file declares [2]"));
    }
}
