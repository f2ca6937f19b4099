//! [`Model`]: a network that was converted for the NPU.

mod dataset;
mod desc;
mod names;

use dataset::Borrowed;
pub use dataset::Dataset;
pub use desc::{ModelDesc, TensorDesc};
pub use names::{DataType, Format, UnknownNameError};

use crate::{
    Context, Error, Event, Result, Stream, allocator, guard,
    limbo::keep_for_ever,
    runtime::acl,
    stream::StreamInner,
    teardown::{Fate, Kept},
};
use std::{
    ffi::CString,
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

/// A network that was converted for the NPU (an OM file made by ATC), loaded. The simulator executes ONNX files instead.
///
/// A cheap handle that any thread may use. ACL lets one model run once at a time: executions of one model run one after
/// another, also on different streams, where this crate orders them by an event. To run a network several times at once, load it
/// several times.
///
/// Static shapes only: a model with dynamic batch, size or dims is refused when it is loaded.
///
/// ```
/// # fn main() -> Result<(), ascendcl::Error> {
/// use ascendcl::{Acl, BackendChoice, Model};
///
/// let acl = Acl::builder().backend(BackendChoice::Sim).build()?;
/// let context = acl.device(0)?.create_context()?;
/// let model = Model::load(&context, "examples/assets/digits/digits.onnx")?;
/// for input in &model.desc().inputs {
///     println!("{input}");
/// }
/// let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
/// model.execute(&inputs, &outputs)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "aclmdlUnload")]
pub struct Model {
    inner: Arc<ModelInner>,
}

pub(crate) struct ModelInner {
    context: Context,
    id: u32,
    desc: ModelDesc,
    /// Where it was executed last, and so where it may still be running. Locked while executing: ACL wants that.
    last: Mutex<Option<LastUse>>,
}

/// A stream that a model was put into. Weak: the stream keeps the model alive, not the other way round.
struct LastUse {
    stream: Weak<StreamInner>,
    fate: Arc<Fate>,
    /// The stream's number of this operation, or of one behind it.
    number: u64,
}

/// How long to wait for a stream that was dropped while the model was running on it.
const DROPPED_STREAM_PATIENCE: Duration = Duration::from_secs(10);

impl Model {
    /// Loads a model file into a context. It is executed on streams of that context.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if the file cannot be read or is no model, with ACL's reason;
    /// [`Error::Model`] if it has dynamic shapes.
    #[doc(alias = "aclmdlLoadFromFile")]
    pub fn load(context: &Context, path: impl AsRef<Path>) -> Result<Model> {
        let path = path.as_ref();
        let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| {
            Error::Model(format!("{}: the path of the model has a NUL in it", path.display()))
        })?;
        context.bind_checked("aclmdlLoadFromFile")?;
        let mut id = 0;
        // SAFETY: [text, place] a NUL-terminated path, and a valid place for the answer; the context is current.
        unsafe { acl!(context, aclmdlLoadFromFile(path.as_ptr(), &mut id)) }?;
        Model::new(context, id)
    }

    /// Loads a model from memory, which is not needed any more afterwards.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if the bytes are no model, with ACL's reason; [`Error::Model`] if it has dynamic
    /// shapes.
    #[doc(alias = "aclmdlLoadFromMem")]
    pub fn from_bytes(context: &Context, model: &[u8]) -> Result<Model> {
        context.bind_checked("aclmdlLoadFromMem")?;
        let mut id = 0;
        // SAFETY: [place] the bytes are borrowed for the call, which copies what it needs; the context is current.
        unsafe { acl!(context, aclmdlLoadFromMem(model.as_ptr().cast(), model.len(), &mut id)) }?;
        Model::new(context, id)
    }

    fn new(context: &Context, id: u32) -> Result<Model> {
        let desc = ModelDesc { inputs: Vec::new(), outputs: Vec::new() };
        // From here on the model is unloaded when something fails.
        let mut inner = ModelInner { context: context.clone(), id, desc, last: Mutex::new(None) };
        inner.desc = ModelDesc::read(context, id)?;
        for tensor in inner.desc.inputs.iter().chain(&inner.desc.outputs) {
            let what = if tensor.dims.iter().any(|&dim| dim < 0) {
                "the dynamic shape"
            } else if tensor.size == 0 {
                "no size, and the shape"
            } else {
                continue;
            };
            return Err(Error::Model(format!(
                "`{}` has {what} {:?}: convert the model with fixed shapes",
                tensor.name, tensor.dims
            )));
        }
        Ok(Model { inner: Arc::new(inner) })
    }

    /// What the model expects and gives.
    #[doc(alias = "aclmdlGetDesc")]
    pub fn desc(&self) -> &ModelDesc {
        &self.inner.desc
    }

    /// The context it was loaded in.
    pub fn context(&self) -> &Context {
        &self.inner.context
    }

    /// ACL's number of the model. It stays valid as long as a handle of this model does.
    pub fn as_raw(&self) -> u32 {
        self.inner.id
    }

    /// Allocates a buffer for each input. Their contents are undefined.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfMemory`](crate::ErrorKind::OutOfMemory).
    #[doc(alias = "aclmdlCreateDataset")]
    #[doc(alias = "aclCreateDataBuffer")]
    pub fn create_inputs(&self) -> Result<Dataset> {
        self.create_dataset(&self.inner.desc.inputs)
    }

    /// Allocates a buffer for each output. Their contents are undefined.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfMemory`](crate::ErrorKind::OutOfMemory).
    #[doc(alias = "aclmdlCreateDataset")]
    #[doc(alias = "aclCreateDataBuffer")]
    pub fn create_outputs(&self) -> Result<Dataset> {
        self.create_dataset(&self.inner.desc.outputs)
    }

    fn create_dataset(&self, tensors: &[TensorDesc]) -> Result<Dataset> {
        let buffers = tensors.iter().map(|tensor| Ok(self.context().alloc::<u8>(tensor.size)?.into()));
        Dataset::new(self.context(), buffers.collect::<Result<Vec<_>>>()?)
    }

    /// Executes the model, and waits for that. Work that is queued on the buffers is not waited for.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if the datasets do not fit the model.
    #[doc(alias = "aclmdlExecute")]
    pub fn execute(&self, inputs: &Dataset, outputs: &Dataset) -> Result<()> {
        self.check(inputs, outputs)?;
        allocator::check("aclmdlExecute")?;
        guard::check("aclmdlExecute")?;
        let mut last = self.lock();
        while let Some(stream) = Self::running_on(&mut last)? {
            // What the wait releases may run code of the program, which may wait for who executes.
            drop(last);
            stream.synchronize()?;
            last = self.lock();
        }
        *last = None;
        self.context().bind("aclmdlExecute")?;
        let borrowed = Borrowed::new(inputs, outputs);
        // SAFETY: [handle, place] the model and the datasets are alive for the call, of one context, and fit; nothing else executes the model or
        // uses what it writes meanwhile.
        let result = unsafe {
            acl!(self.context(), aclmdlExecute(self.inner.id, borrowed.inputs(), borrowed.outputs()))
        };
        drop(borrowed);
        if let Err(Error::Acl(_)) = &result {
            // An execution is many tasks: whatever ACL says, some of them may be running still, and nothing they use may be freed.
            keep_for_ever((self.inner.clone(), inputs.inner().clone(), outputs.inner().clone()));
        }
        result
    }

    /// Enqueues an execution. Model, datasets and memory stay alive until it is done. If the model was last executed on another
    /// stream, this one waits for what is on that one by now.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if the datasets do not fit the model, [`Error::Mismatch`] if the stream is of another context.
    #[doc(alias = "aclmdlExecuteAsync")]
    pub fn execute_async(&self, stream: &Stream, inputs: &Dataset, outputs: &Dataset) -> Result<()> {
        const OP: &str = "aclmdlExecuteAsync";
        self.check(inputs, outputs)?;
        if !stream.context().is(self.context()) {
            return Err(Error::Mismatch {
                op: OP,
                what: "a model runs on streams of the context it was loaded in".into(),
            });
        }
        allocator::check(OP)?;
        guard::check(OP)?;
        let mut last = self.lock();
        // Executions on one stream are ordered already.
        let here = |last: &LastUse| Weak::as_ptr(&last.stream) == Arc::as_ptr(stream.inner());
        if !last.as_ref().is_some_and(here)
            && let Some(other) = Self::running_on(&mut last)?
        {
            let event: Event = self.context().create_event()?;
            other.record(&event)?;
            stream.wait(&event)?;
        }
        let result = stream.enqueue_many(OP, |raw| {
            let borrowed = Borrowed::new(inputs, outputs);
            // SAFETY: [queued, handle] the stream keeps the model, the datasets and their memory until it has passed the execution; executions
            // of the model are ordered, and nobody else uses what the call writes meanwhile.
            unsafe {
                acl!(stream, aclmdlExecuteAsync(self.inner.id, borrowed.inputs(), borrowed.outputs(), raw))
            }
        });
        if result.as_ref().is_err_and(Error::is_refusal_of_all) {
            return result.map(drop);
        }
        let (inner, number) = (stream.inner(), stream.work().issued());
        match last.as_mut().filter(|last| here(last)) {
            Some(last) => last.number = number,
            None => {
                *last = Some(LastUse { stream: Arc::downgrade(inner), fate: inner.fate().clone(), number });
            }
        }
        let addresses = [
            Arc::as_ptr(&self.inner).cast(),
            Arc::as_ptr(inputs.inner()).cast(),
            Arc::as_ptr(outputs.inner()).cast(),
        ];
        let owners = || [self.inner.clone() as Kept, inputs.inner().clone(), outputs.inner().clone()];
        stream.keep_again(addresses, owners, 0);
        // What is released may run code of the program, which may wait for who executes.
        drop(last);
        if result.is_ok() {
            stream.tidy();
        }
        result.map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, Option<LastUse>> {
        self.inner.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream on which the model may still be running. Waits for one that was dropped.
    fn running_on(last: &mut Option<LastUse>) -> Result<Option<Stream>> {
        let Some(use_) = last.as_ref() else { return Ok(None) };
        if let Some(inner) = use_.stream.upgrade() {
            let stream = Stream::from_inner(inner);
            let is_done = stream.work().passed().reaches(use_.number);
            return Ok((!is_done).then_some(stream));
        }
        let start = Instant::now();
        while !use_.fate.is_gone() {
            if use_.fate.is_lost() {
                return Err(Error::Model(
                    "the model may be running still, on a stream that was given up after a failure; load it once more".into(),
                ));
            }
            if start.elapsed() > DROPPED_STREAM_PATIENCE {
                let op = "waiting for a dropped stream on which the model is running";
                return Err(Error::Timeout { op, timeout: DROPPED_STREAM_PATIENCE });
            }
            thread::sleep(Duration::from_micros(200));
        }
        *last = None;
        Ok(None)
    }

    #[inline]
    fn check(&self, inputs: &Dataset, outputs: &Dataset) -> Result<()> {
        let desc = self.desc();
        for (side, tensors, dataset) in [("input", &desc.inputs, inputs), ("output", &desc.outputs, outputs)]
        {
            if !fit(tensors, dataset) {
                return Err(misfit(side, tensors, dataset));
            }
            if dataset.context().device() != self.context().device() {
                return Err(self.elsewhere(dataset));
            }
        }
        Ok(())
    }

    #[cold]
    fn elsewhere(&self, dataset: &Dataset) -> Error {
        let (model, dataset) = (self.context().device().id(), dataset.context().device().id());
        let what = format!("the model is on device {model}, a dataset on device {dataset}");
        Error::Mismatch { op: "aclmdlExecute", what }
    }
}

/// "1 input", "2 inputs".
fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Whether there is a buffer for each tensor, and large enough. ACL checks little of this, and late.
#[inline]
fn fit(tensors: &[TensorDesc], dataset: &Dataset) -> bool {
    tensors.len() == dataset.len()
        && tensors.iter().zip(dataset.buffers()).all(|(tensor, buffer)| buffer.byte_len() >= tensor.size)
}

/// Says what does not [fit](fit).
#[cold]
fn misfit(side: &str, tensors: &[TensorDesc], dataset: &Dataset) -> Error {
    let small =
        tensors.iter().zip(dataset.buffers()).find(|(tensor, buffer)| buffer.byte_len() < tensor.size);
    Error::Model(match small {
        Some((TensorDesc { name, size, .. }, buffer)) if tensors.len() == dataset.len() => {
            format!("{side} `{name}` takes {size} bytes, its buffer has {}", buffer.byte_len())
        }
        _ => format!(
            "the model has {}, the dataset {}",
            counted(tensors.len(), side),
            counted(dataset.len(), "buffer")
        ),
    })
}

impl Drop for ModelInner {
    fn drop(&mut self) {
        let id = self.id;
        self.context.dispose(move |context| {
            // SAFETY: [once] loaded once, unloaded once; no handle is left, and no stream runs it any more: streams are owners.
            unsafe { acl!(context, aclmdlUnload(id)) }
        });
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("id", &self.inner.id).field("desc", &self.inner.desc).finish()
    }
}
