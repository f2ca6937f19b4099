//! [`Dataset`]: the buffers that a model reads or writes.

use crate::{
    Context, DeviceView, Error, Result,
    runtime::{Site, acl},
};
use ascendcl_sys as sys;
use std::{
    cmp::Ordering,
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// The buffers that a model reads, or those that it writes, in the order of its description. Owns them together with whoever else does.
///
/// A cheap handle. Its buffers do not change once it is made, so one pair of datasets serves any number of executions. Calls that execute with the
/// same outputs come one after another: ACL writes into the dataset itself.
///
/// ```
/// # fn main() -> Result<(), ascendcl::Error> {
/// use ascendcl::{Acl, BackendChoice, Dataset, Model};
///
/// let acl = Acl::builder().backend(BackendChoice::Sim).build()?;
/// let context = acl.device(0)?.create_context()?;
/// let model = Model::load(&context, "examples/assets/digits/digits.onnx")?;
/// let image = context.alloc_from(&[0.0_f32; 64])?;
/// let inputs = Dataset::new(&context, [image.as_bytes()])?;
/// let outputs = model.create_outputs()?;
/// model.execute(&inputs, &outputs)?;
/// let scores: Vec<f32> = outputs.buffers()[0].cast()?.to_vec()?;
/// assert_eq!(scores.len(), 10);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "aclmdlDataset")]
#[doc(alias = "aclmdlDestroyDataset")]
#[doc(alias = "aclDestroyDataBuffer")]
pub struct Dataset {
    inner: Arc<DatasetInner>,
}

pub(super) struct DatasetInner {
    context: Context,
    /// For the calls that execute a model: ACL replaces the tensor descriptions of a dataset that it writes, and reads those of one
    /// that it reads.
    busy: RwLock<()>,
    raw: RawDataset,
    buffers: Vec<DeviceView<u8>>,
}

/// The C objects. Their order of destruction is the dataset, then its buffers, then (by [`DatasetInner`]) the memory.
struct RawDataset {
    dataset: *mut sys::aclmdlDataset,
    buffers: Vec<*mut sys::aclDataBuffer>,
}

// SAFETY: [threads] the C objects are plain descriptions without a thread of their own.
unsafe impl Send for RawDataset {}
// SAFETY: [threads] a shared reference gives nothing but the addresses; what reads or changes the objects behind them is locked by `Borrowed`.
unsafe impl Sync for RawDataset {}

/// Two datasets in the hands of a call that executes a model: nobody else executes with them, except to read what this one reads.
pub(super) struct Borrowed<'a> {
    inputs: &'a Dataset,
    outputs: &'a Dataset,
    _reads: Option<RwLockReadGuard<'a, ()>>,
    _writes: RwLockWriteGuard<'a, ()>,
}

impl<'a> Borrowed<'a> {
    pub(super) fn new(inputs: &'a Dataset, outputs: &'a Dataset) -> Self {
        let read = || inputs.inner.busy.read().unwrap_or_else(PoisonError::into_inner);
        let write = || outputs.inner.busy.write().unwrap_or_else(PoisonError::into_inner);
        // In the order of their addresses, so that two who swap their datasets do not wait for each other.
        let (_reads, _writes) = match Arc::as_ptr(&inputs.inner).cmp(&Arc::as_ptr(&outputs.inner)) {
            Ordering::Less => {
                let reads = read();
                (Some(reads), write())
            }
            Ordering::Equal => (None, write()),
            Ordering::Greater => {
                let writes = write();
                (Some(read()), writes)
            }
        };
        Borrowed { inputs, outputs, _reads, _writes }
    }

    pub(super) fn inputs(&self) -> *const sys::aclmdlDataset {
        self.inputs.as_raw()
    }

    pub(super) fn outputs(&self) -> *mut sys::aclmdlDataset {
        self.outputs.as_raw()
    }
}

impl Dataset {
    /// Makes a dataset of device memory. Typed memory becomes bytes with [`DeviceView::as_bytes`].
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if memory is on another device than the context, [`Error::Length`] if it is empty.
    #[doc(alias = "aclmdlCreateDataset")]
    #[doc(alias = "aclCreateDataBuffer")]
    #[doc(alias = "aclmdlAddDatasetBuffer")]
    pub fn new(context: &Context, buffers: impl IntoIterator<Item = DeviceView<u8>>) -> Result<Dataset> {
        const OP: &str = "aclmdlCreateDataset";
        let buffers: Vec<_> = buffers.into_iter().collect();
        for (index, buffer) in buffers.iter().enumerate() {
            if buffer.context().device() != context.device() {
                return Err(Error::Mismatch {
                    op: OP,
                    what: format!(
                        "buffer {index} is on device {}, the dataset for device {}",
                        buffer.context().device().id(),
                        context.device().id()
                    ),
                });
            }
            if buffer.is_empty() {
                return Err(Error::Length { op: OP, expected: 1, actual: 0, unit: "bytes at least" });
            }
        }
        context.bind(OP)?;
        let api = context.api();
        let Some(create) = api.aclmdlCreateDataset else {
            return Err(Error::MissingSymbol { function: OP });
        };
        let Some(create_buffer) = api.aclCreateDataBuffer else {
            return Err(Error::MissingSymbol { function: "aclCreateDataBuffer" });
        };
        // SAFETY: [plain] takes nothing.
        let dataset = unsafe { create() };
        if dataset.is_null() {
            return Err(Error::Model("aclmdlCreateDataset gave none: out of memory".into()));
        }
        let raw = RawDataset { dataset, buffers: Vec::with_capacity(buffers.len()) };
        let mut inner = DatasetInner { context: context.clone(), busy: RwLock::new(()), raw, buffers };
        for index in 0..inner.buffers.len() {
            let (address, bytes) = (inner.buffers[index].as_raw(), inner.buffers[index].byte_len());
            // SAFETY: [queued] keeps the address and the size only; the memory outlives it in `inner`.
            let buffer = unsafe { create_buffer(address, bytes) };
            if buffer.is_null() {
                return Err(Error::Model("aclCreateDataBuffer gave none: out of memory".into()));
            }
            inner.raw.buffers.push(buffer);
            // SAFETY: [handle] both are alive, and destroyed together.
            unsafe { acl!(context, aclmdlAddDatasetBuffer(inner.raw.dataset, buffer)) }?;
        }
        Ok(Dataset { inner: Arc::new(inner) })
    }

    /// How many buffers it has.
    #[doc(alias = "aclmdlGetDatasetNumBuffers")]
    pub fn len(&self) -> usize {
        self.inner.buffers.len()
    }

    /// Whether it has no buffer.
    pub fn is_empty(&self) -> bool {
        self.inner.buffers.is_empty()
    }

    /// A buffer of it.
    #[doc(alias = "aclmdlGetDatasetBuffer")]
    pub fn buffer(&self, index: usize) -> Option<&DeviceView<u8>> {
        self.inner.buffers.get(index)
    }

    /// All buffers.
    pub fn buffers(&self) -> &[DeviceView<u8>] {
        &self.inner.buffers
    }

    /// The context it was made in.
    pub fn context(&self) -> &Context {
        &self.inner.context
    }

    /// The C object. It stays valid as long as a handle of this dataset does.
    pub fn as_raw(&self) -> *mut sys::aclmdlDataset {
        self.inner.raw.dataset
    }

    pub(super) fn inner(&self) -> &Arc<DatasetInner> {
        &self.inner
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.buffers()).finish()
    }
}

impl Drop for DatasetInner {
    fn drop(&mut self) {
        let (dataset, buffers) = (self.raw.dataset, std::mem::take(&mut self.raw.buffers));
        let (raw, memory) = (RawDataset { dataset, buffers }, std::mem::take(&mut self.buffers));
        self.context.dispose(move |context| {
            let result = raw.destroy(context);
            // Behind the dataset that describes it.
            drop(memory);
            result
        });
    }
}

impl RawDataset {
    fn destroy(self, context: &Context) -> Result<()> {
        // SAFETY: [once] no handle is left, and no stream uses the dataset any more: streams are owners. Destroyed once.
        let mut result = unsafe { acl!(context, aclmdlDestroyDataset(self.dataset)) };
        for buffer in self.buffers {
            // SAFETY: [once] as above; destroying the dataset left its buffers alone.
            result = result.and(unsafe { acl!(context, aclDestroyDataBuffer(buffer)) });
        }
        result
    }
}
