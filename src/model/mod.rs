//! [`Model`]: a network that was converted for the NPU.

mod dataset;
mod desc;

pub use dataset::Dataset;
pub use desc::{DataType, Format, ModelDesc, TensorDesc};

use crate::{
    Context, Error, Event, Result, Stream, guard, runtime::acl, stream::StreamInner, teardown::Kept,
};
use std::{
    ffi::CString,
    fmt, mem,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
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
    gone: Arc<AtomicBool>,
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
        // SAFETY: a NUL-terminated path, and a valid place for the answer; the context is current.
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
        // SAFETY: the bytes are borrowed for the call, which copies what it needs; the context is current.
        unsafe { acl!(context, aclmdlLoadFromMem(model.as_ptr().cast(), model.len(), &mut id)) }?;
        Model::new(context, id)
    }

    fn new(context: &Context, id: u32) -> Result<Model> {
        let desc = ModelDesc { inputs: Vec::new(), outputs: Vec::new() };
        // From here on the model is unloaded when something fails.
        let mut inner = ModelInner { context: context.clone(), id, desc, last: Mutex::new(None) };
        inner.desc = ModelDesc::read(context, id)?;
        for tensor in inner.desc.inputs.iter().chain(&inner.desc.outputs) {
            if tensor.size == 0 || tensor.dims.iter().any(|&dim| dim < 0) {
                return Err(Error::Model(format!(
                    "`{}` has the dynamic shape {:?}: convert the model with fixed shapes",
                    tensor.name, tensor.dims
                )));
            }
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
        guard::check("aclmdlExecute")?;
        let mut last = self.lock();
        if let Some(stream) = Self::running_on(&mut last)? {
            stream.synchronize()?;
        }
        *last = None;
        self.context().bind("aclmdlExecute")?;
        // SAFETY: the model and the datasets are alive for the call, of one context, and fit; nothing else executes the model
        // meanwhile.
        let result =
            unsafe { acl!(self.context(), aclmdlExecute(self.inner.id, inputs.as_raw(), outputs.as_raw())) };
        if result.as_ref().is_err_and(|error| !error.is_refusal()) {
            // It may be running still, for example after a timeout: nothing it uses may ever be freed.
            mem::forget((self.inner.clone(), inputs.inner().clone(), outputs.inner().clone()));
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
        guard::check(OP)?;
        let mut last = self.lock();
        if let Some(other) = Self::running_on(&mut last)?.filter(|other| other != stream) {
            let event: Event = self.context().create_event()?;
            other.record(&event)?;
            stream.wait(&event)?;
        }
        let result = stream.enqueue(OP, |raw| {
            // SAFETY: the stream keeps the model, the datasets and their memory until it has passed the execution; executions
            // of the model are ordered.
            unsafe { acl!(stream, aclmdlExecuteAsync(self.inner.id, inputs.as_raw(), outputs.as_raw(), raw)) }
        });
        if let Err(error) = &result {
            if !matches!(error, Error::Acl(_)) {
                return result.map(drop);
            }
            // An execution is many tasks: whatever ACL says, some of them may have been submitted.
            if error.is_refusal() {
                stream.count_refused();
            }
        }
        let inner = stream.inner();
        if last.as_ref().is_none_or(|last| Weak::as_ptr(&last.stream) != Arc::as_ptr(inner)) {
            *last = Some(LastUse { stream: Arc::downgrade(inner), gone: inner.gone().clone() });
        }
        stream.keep([self.inner.clone() as Kept, inputs.inner().clone(), outputs.inner().clone()], 0);
        stream.tidy();
        result.map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, Option<LastUse>> {
        self.inner.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream on which the model may still be running. Waits for one that was dropped.
    fn running_on(last: &mut Option<LastUse>) -> Result<Option<Stream>> {
        let Some(use_) = last.as_ref() else { return Ok(None) };
        if let Some(inner) = use_.stream.upgrade() {
            return Ok(Some(Stream::from_inner(inner)));
        }
        let start = Instant::now();
        while !use_.gone.load(Ordering::Acquire) {
            if start.elapsed() > DROPPED_STREAM_PATIENCE {
                let op = "waiting for a dropped stream on which the model is running";
                return Err(Error::Timeout { op, timeout: DROPPED_STREAM_PATIENCE });
            }
            thread::sleep(Duration::from_micros(200));
        }
        *last = None;
        Ok(None)
    }

    fn check(&self, inputs: &Dataset, outputs: &Dataset) -> Result<()> {
        check_side("input", &self.inner.desc.inputs, inputs)?;
        check_side("output", &self.inner.desc.outputs, outputs)?;
        for dataset in [inputs, outputs] {
            if dataset.context().device() != self.context().device() {
                return Err(Error::Mismatch {
                    op: "aclmdlExecute",
                    what: format!(
                        "the model is on device {}, a dataset on device {}",
                        self.context().device().id(),
                        dataset.context().device().id()
                    ),
                });
            }
        }
        Ok(())
    }
}

/// "1 input", "2 inputs".
fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// ACL checks little of this, and late.
fn check_side(side: &str, tensors: &[TensorDesc], dataset: &Dataset) -> Result<()> {
    if tensors.len() != dataset.len() {
        return Err(Error::Model(format!(
            "the model has {}, the dataset {}",
            counted(tensors.len(), side),
            counted(dataset.len(), "buffer")
        )));
    }
    for (tensor, buffer) in tensors.iter().zip(dataset.buffers()) {
        if buffer.byte_len() < tensor.size {
            return Err(Error::Model(format!(
                "{side} `{}` takes {} bytes, its buffer has {}",
                tensor.name,
                tensor.size,
                buffer.byte_len()
            )));
        }
    }
    Ok(())
}

impl Drop for ModelInner {
    fn drop(&mut self) {
        let id = self.id;
        self.context.dispose(move |context| {
            // SAFETY: loaded once, unloaded once; no handle is left, and no stream runs it any more: streams are owners.
            unsafe { acl!(context, aclmdlUnload(id)) }
        });
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("id", &self.inner.id).field("desc", &self.inner.desc).finish()
    }
}
