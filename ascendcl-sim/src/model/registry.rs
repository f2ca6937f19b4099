//! The loaded models of the process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use ascendcl_sys::{self as sys, aclError};

use super::describe::{Description, prepare};
use super::element::Element;
use super::engine::{Input, Program};
use crate::check::leak::{LiveKind, Registration, register};
use crate::core::{Context, clock, current_context};
use crate::error::fail;
use crate::lock::Mutex;
use crate::profiling::subscribe;

static MODELS: Mutex<BTreeMap<u32, (Arc<Model>, Registration)>> = Mutex::new(BTreeMap::new());

/// Ids start at 1 and are never used twice, so that a stale id is noticed.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A loaded model. Queued work holds it too: unloading does not take it away from work that was submitted before.
pub(crate) struct Model {
    id: u32,
    context: Weak<Context>,
    device: i32,
    description: Arc<Description>,
    program: Box<dyn Program>,
    running: AtomicBool,
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

    /// Computes the outputs. `inputs` are as long as the description says.
    ///
    /// A model has one set of working memory: a second execution that starts before the first has ended spoils both on a card, and
    /// is an error here.
    pub(crate) fn run(&self, inputs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, aclError> {
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
        let outputs = self.compute(inputs);
        subscribe::executed(self.id, self.device, started, clock::now());
        self.running.store(false, Ordering::Release);
        outputs
    }

    fn compute(&self, inputs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, aclError> {
        let failed = |reason: &dyn std::fmt::Display| {
            let code = sys::ACL_ERROR_RT_MODEL_EXECUTE;
            fail(code, format_args!("model {} failed: {reason}", self.id))
        };
        let shapes: Vec<Vec<usize>> = self.description.inputs.iter().map(|tensor| tensor.shape()).collect();
        let tensors = self.description.inputs.iter().zip(&shapes).zip(inputs);
        let tensors: Vec<Input<'_>> =
            tensors.map(|((tensor, shape), bytes)| Input { element: tensor.element, shape, bytes }).collect();
        let elements: Vec<Element> = self.description.outputs.iter().map(|tensor| tensor.element).collect();

        let outputs = self.program.run(&tensors, &elements).map_err(|reason| failed(&reason))?;
        if outputs.len() != elements.len() {
            return Err(failed(&format_args!("{} outputs instead of {}", outputs.len(), elements.len())));
        }
        for (output, tensor) in outputs.iter().zip(&self.description.outputs) {
            if output.len() != tensor.size {
                let name = tensor.name.to_string_lossy();
                return Err(failed(&format_args!(
                    "output '{name}' came out with {} bytes, the file declares {}",
                    output.len(),
                    tensor.size
                )));
            }
        }
        Ok(outputs)
    }
}

/// Loads the content of a model file into the current context.
pub(crate) fn load(file: &[u8]) -> Result<u32, aclError> {
    let context = current_context()?;
    let (description, program) = prepare(file)?;
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let device = context.device().id();
    let model = Model {
        id,
        context: Arc::downgrade(&context),
        device,
        description: Arc::new(description),
        program,
        running: AtomicBool::new(false),
    };
    let registration = register(LiveKind::Model, format!("id {id} on device {device}"));
    MODELS.lock().insert(id, (Arc::new(model), registration));
    Ok(id)
}

/// The model with this id: 145003 if there is none.
pub(crate) fn find(id: u32) -> Result<Arc<Model>, aclError> {
    MODELS.lock().get(&id).map(|(model, _)| Arc::clone(model)).ok_or_else(|| unknown(id))
}

/// Ends the life of an id. Work that was queued before still runs.
pub(crate) fn unload(id: u32) -> Result<(), aclError> {
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
    use std::ffi::CString;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::super::describe::Tensor;
    use super::*;
    use crate::error::take_text;

    /// Says that it runs, and ends when it is told to.
    struct Slow(Mutex<(Sender<()>, Receiver<usize>)>);

    impl Program for Slow {
        fn inputs(&self) -> Vec<String> {
            Vec::new()
        }

        fn output_shape(&self, _: usize) -> Option<Vec<i64>> {
            None
        }

        fn value_shape(&self, _: &str) -> Option<Vec<i64>> {
            None
        }

        fn run(&self, _: &[Input<'_>], _: &[Element]) -> Result<Vec<Vec<u8>>, String> {
            let channels = self.0.lock();
            channels.0.send(()).unwrap();
            Ok(vec![vec![7; channels.1.recv().unwrap()]])
        }
    }

    #[test]
    fn a_model_runs_once_at_a_time_and_gives_what_it_declares() {
        let ((started, is_started), (finish, is_finished)) = (channel(), channel());
        let output = Tensor { name: CString::from(c"y"), dims: vec![2], element: Element::U8, size: 2 };
        let description =
            Description { inputs: Vec::new(), outputs: vec![output], weight_size: 512, work_size: 512 };
        let model = Model {
            id: 9,
            context: Weak::new(),
            device: 0,
            description: Arc::new(description),
            program: Box::new(Slow(Mutex::new((started, is_finished)))),
            running: AtomicBool::new(false),
        };
        std::thread::scope(|scope| {
            let first = scope.spawn(|| model.run(&[]));
            is_started.recv().unwrap();
            assert_eq!(model.run(&[]), Err(sys::ACL_ERROR_RT_MODEL_EXECUTE));
            assert!(take_text().contains("model 9 is being executed on another stream"));
            finish.send(2).unwrap();
            assert_eq!(first.join().unwrap(), Ok(vec![vec![7, 7]]));
        });
        // Free again, and a program that does not keep its word is noticed.
        finish.send(3).unwrap();
        assert_eq!(model.run(&[]), Err(sys::ACL_ERROR_RT_MODEL_EXECUTE));
        assert!(take_text().contains("output 'y' came out with 3 bytes, the file declares 2"));
    }
}
