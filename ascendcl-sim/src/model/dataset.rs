//! Data buffers and datasets: what tells an execution where its inputs and outputs are.
//!
//! A data buffer is an address and a size, a dataset a list of data buffers. Neither owns anything: destroying a dataset leaves its buffers
//! alive, destroying a buffer leaves its memory alone, and a dataset does not keep its buffers from being destroyed.

use core::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use ascendcl_sys::{
    self as sys, aclDataBuffer, aclDataType, aclError, aclFormat, aclTensorDesc, aclmdlDataset,
};

use super::tensor_desc;

use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;

static BUFFERS: Table<DataBuffer> = Table::new(Kind::DataBuffer);
static DATASETS: Table<Dataset> = Table::new(Kind::Dataset);

/// `aclDataBuffer`.
pub(crate) struct DataBuffer(Mutex<Region>);

/// `aclmdlDataset`.
pub(crate) struct Dataset(Mutex<State>);

#[derive(Default)]
struct State {
    /// In the order in which they were added.
    entries: Vec<Entry>,
    /// A gear was set with this dataset.
    geared: bool,
}

/// One input or output.
struct Entry {
    /// The handle of its data buffer.
    buffer: usize,
    /// Its tensor description, which the dataset owns; NULL if there is none.
    desc: *mut aclTensorDesc,
}

// SAFETY: [threads] only a handle that is looked up; nothing is read or written through it.
unsafe impl Send for Entry {}

/// An address that the program named and the size it gave to it. Nothing says that they are any good.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    pub(crate) address: *mut c_void,
    pub(crate) size: usize,
}

// SAFETY: [threads] only a number that is looked up or handed back to the program; nothing is read or written through it.
unsafe impl Send for Region {}

impl DataBuffer {
    pub(crate) fn region(&self) -> Region {
        *self.0.lock()
    }

    /// Points the buffer elsewhere.
    pub(crate) fn update(&self, address: *mut c_void, size: usize) {
        *self.0.lock() = Region { address, size };
    }
}

/// `aclCreateDataBuffer`. NULL if there are a million already.
pub(crate) fn create_buffer(address: *mut c_void, size: usize) -> *mut aclDataBuffer {
    let buffer = Arc::new(DataBuffer(Mutex::new(Region { address, size })));
    let handle =
        BUFFERS.insert(buffer, register(LiveKind::DataBuffer, format!("{size} bytes at {address:p}")));
    handle.unwrap_or(ptr::null_mut()).cast()
}

/// The data buffer behind a handle; `None` without a text if there is none.
pub(crate) fn peek_buffer(handle: *const aclDataBuffer) -> Option<Arc<DataBuffer>> {
    BUFFERS.get(handle.cast())
}

/// The data buffer behind a handle: 100000 if there is none.
pub(crate) fn find_buffer(handle: *const aclDataBuffer) -> Result<Arc<DataBuffer>, aclError> {
    peek_buffer(handle).ok_or_else(|| no_buffer(handle.cast()))
}

/// `aclDestroyDataBuffer`.
pub(crate) fn destroy_buffer(handle: *const aclDataBuffer) -> Result<(), aclError> {
    BUFFERS.remove(handle.cast()).map(drop).ok_or_else(|| no_buffer(handle.cast()))
}

/// `aclmdlCreateDataset`. NULL if there are a million already.
pub(crate) fn create() -> *mut aclmdlDataset {
    let dataset = Arc::new(Dataset(Mutex::default()));
    DATASETS.insert(dataset, register(LiveKind::Dataset, "")).unwrap_or(ptr::null_mut()).cast()
}

/// `aclmdlDestroyDataset`. Its data buffers stay alive, the tensor descriptions that it owns do not.
pub(crate) fn destroy(handle: *const aclmdlDataset) -> Result<(), aclError> {
    let dataset = DATASETS.remove(handle.cast()).ok_or_else(|| no_dataset(handle.cast()))?;
    for entry in std::mem::take(&mut dataset.0.lock().entries) {
        entry.drop_desc();
    }
    Ok(())
}

/// `aclmdlAddDatasetBuffer`.
pub(crate) fn add(handle: *mut aclmdlDataset, buffer: *mut aclDataBuffer) -> Result<(), aclError> {
    let dataset = find(handle)?;
    find_buffer(buffer)?;
    dataset.0.lock().entries.push(Entry { buffer: buffer.addr(), desc: ptr::null_mut() });
    Ok(())
}

/// How many buffers were added; `None` for no dataset.
pub(crate) fn len(handle: *const aclmdlDataset) -> Option<usize> {
    DATASETS.get(handle.cast()).map(|dataset| dataset.len())
}

/// The handle that was added at `index`, alive or not; `None` past the end or for no dataset.
pub(crate) fn buffer(handle: *const aclmdlDataset, index: usize) -> Option<*mut aclDataBuffer> {
    let address = DATASETS.get(handle.cast())?.0.lock().entries.get(index)?.buffer;
    Some(ptr::without_provenance_mut(address))
}

/// The dataset behind a handle: 100000 if there is none.
pub(crate) fn find(handle: *const aclmdlDataset) -> Result<Arc<Dataset>, aclError> {
    DATASETS.get(handle.cast()).ok_or_else(|| no_dataset(handle.cast()))
}

impl Entry {
    fn drop_desc(self) {
        if !self.desc.is_null() {
            tensor_desc::destroy(self.desc);
        }
    }
}

impl Dataset {
    pub(crate) fn len(&self) -> usize {
        self.0.lock().entries.len()
    }

    /// All buffers, which must be alive: 100000 if one is not.
    pub(crate) fn buffers(&self, what: &str) -> Result<Vec<Arc<DataBuffer>>, aclError> {
        let handles: Vec<usize> = self.0.lock().entries.iter().map(|entry| entry.buffer).collect();
        let buffer = |(index, address): (usize, &usize)| {
            let handle: *const c_void = ptr::without_provenance(*address);
            BUFFERS.get(handle).ok_or_else(|| {
                let why = BUFFERS.describe(handle);
                fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("the data buffer of {what} {index} {why}"))
            })
        };
        handles.iter().enumerate().map(buffer).collect()
    }

    /// The address and size of the buffer at `index`, which must have an address: 100000 otherwise.
    pub(crate) fn region(&self, index: usize) -> Result<Region, aclError> {
        let handle = self.0.lock().entries.get(index).map(|entry| entry.buffer);
        let handle = handle.ok_or_else(|| {
            let text = format!("data buffer {index} of a dataset with {}", self.len());
            fail(sys::ACL_ERROR_INVALID_PARAM, text)
        })?;
        let region = find_buffer(ptr::without_provenance(handle))?.region();
        if region.address.is_null() {
            let text = format!("data buffer {index} of the dataset has no address");
            return Err(fail(sys::ACL_ERROR_INVALID_PARAM, text));
        }
        Ok(region)
    }

    /// Notes that a gear was set with it.
    pub(crate) fn set_geared(&self) {
        self.0.lock().geared = true;
    }

    pub(crate) fn is_geared(&self) -> bool {
        self.0.lock().geared
    }

    /// The shapes that its tensor descriptions give.
    pub(crate) fn shapes(&self) -> Vec<Option<Vec<i64>>> {
        let state = self.0.lock();
        let shape = |entry: &Entry| {
            if entry.desc.is_null() {
                return None;
            }
            tensor_desc::find(entry.desc).ok().map(|desc| desc.lock().dims.clone())
        };
        state.entries.iter().map(shape).collect()
    }

    /// Gives an entry a new tensor description.
    pub(crate) fn describe(&self, index: usize, element: aclDataType, dims: Vec<i64>, format: aclFormat) {
        let mut state = self.0.lock();
        let Some(entry) = state.entries.get_mut(index) else { return };
        if !entry.desc.is_null() {
            tensor_desc::destroy(entry.desc);
        }
        entry.desc = tensor_desc::create(element, dims, format);
    }
}

/// `aclmdlSetDatasetTensorDesc`: the dataset keeps a copy.
pub(crate) fn set_desc(
    handle: *mut aclmdlDataset,
    desc: *const aclTensorDesc,
    index: usize,
) -> Result<(), aclError> {
    let dataset = find(handle)?;
    let mut state = dataset.0.lock();
    let count = state.entries.len();
    let entry = state.entries.get_mut(index).ok_or_else(|| {
        fail(
            sys::ACL_ERROR_INVALID_PARAM,
            format_args!("index {index} of a dataset with {count} data buffers"),
        )
    })?;
    let old = std::mem::replace(&mut entry.desc, ptr::null_mut());
    if !desc.is_null() {
        entry.desc = match tensor_desc::find(desc) {
            Ok(desc) => {
                let (element, dims, format) = {
                    let contents = desc.lock();
                    (contents.element, contents.dims.clone(), contents.format)
                };
                tensor_desc::create(element, dims, format)
            }
            Err(code) => {
                entry.desc = old;
                return Err(code);
            }
        };
    }
    if !old.is_null() {
        tensor_desc::destroy(old);
    }
    Ok(())
}

/// `aclmdlGetDatasetTensorDesc`: NULL if there is none.
pub(crate) fn desc(handle: *const aclmdlDataset, index: usize) -> *mut aclTensorDesc {
    let dataset = DATASETS.get(handle.cast());
    dataset
        .and_then(|dataset| dataset.0.lock().entries.get(index).map(|entry| entry.desc))
        .unwrap_or(ptr::null_mut())
}

fn no_buffer(handle: *const c_void) -> aclError {
    let why = BUFFERS.describe(handle);
    fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("the data buffer {handle:p} {why}"))
}

fn no_dataset(handle: *const c_void) -> aclError {
    let why = DATASETS.describe(handle);
    fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("the dataset {handle:p} {why}"))
}
