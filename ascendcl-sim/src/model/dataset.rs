//! Data buffers and datasets: what tells an execution where its inputs and outputs are.
//!
//! A data buffer is an address and a size, a dataset a list of data buffers. Neither owns anything: destroying a dataset leaves its buffers
//! alive, destroying a buffer leaves its memory alone, and a dataset does not keep its buffers from being destroyed.

use core::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclDataBuffer, aclError, aclmdlDataset};

use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;

static BUFFERS: Table<DataBuffer> = Table::new(Kind::DataBuffer);
static DATASETS: Table<Dataset> = Table::new(Kind::Dataset);

/// `aclDataBuffer`.
pub(crate) struct DataBuffer(Mutex<Region>);

/// `aclmdlDataset`: handles of data buffers, in the order in which they were added.
struct Dataset(Mutex<Vec<usize>>);

/// An address that the program named and the size it gave to it. Nothing says that they are any good.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    pub(crate) address: *mut c_void,
    pub(crate) size: usize,
}

// SAFETY: only a number that is looked up or handed back to the program; nothing is read or written through it.
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
    let dataset = Arc::new(Dataset(Mutex::new(Vec::new())));
    DATASETS.insert(dataset, register(LiveKind::Dataset, "")).unwrap_or(ptr::null_mut()).cast()
}

/// `aclmdlDestroyDataset`. Its data buffers stay alive.
pub(crate) fn destroy(handle: *const aclmdlDataset) -> Result<(), aclError> {
    DATASETS.remove(handle.cast()).map(drop).ok_or_else(|| no_dataset(handle.cast()))
}

/// `aclmdlAddDatasetBuffer`.
pub(crate) fn add(handle: *mut aclmdlDataset, buffer: *mut aclDataBuffer) -> Result<(), aclError> {
    let dataset = find(handle)?;
    find_buffer(buffer)?;
    dataset.0.lock().push(buffer.addr());
    Ok(())
}

/// How many buffers were added; `None` for no dataset.
pub(crate) fn len(handle: *const aclmdlDataset) -> Option<usize> {
    DATASETS.get(handle.cast()).map(|dataset| dataset.0.lock().len())
}

/// The handle that was added at `index`, alive or not; `None` past the end or for no dataset.
pub(crate) fn buffer(handle: *const aclmdlDataset, index: usize) -> Option<*mut aclDataBuffer> {
    let address = DATASETS.get(handle.cast())?.0.lock().get(index).copied()?;
    Some(ptr::without_provenance_mut(address))
}

/// All buffers of a dataset, which must be alive: 100000 if one is not.
pub(crate) fn buffers(handle: *const aclmdlDataset, what: &str) -> Result<Vec<Arc<DataBuffer>>, aclError> {
    let handles = find(handle)?.0.lock().clone();
    let buffer = |(index, address): (usize, &usize)| {
        let handle: *const c_void = ptr::without_provenance(*address);
        BUFFERS.get(handle).ok_or_else(|| {
            let why = BUFFERS.describe(handle);
            fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("the data buffer of {what} {index} {why}"))
        })
    };
    handles.iter().enumerate().map(buffer).collect()
}

fn find(handle: *const aclmdlDataset) -> Result<Arc<Dataset>, aclError> {
    DATASETS.get(handle.cast()).ok_or_else(|| no_dataset(handle.cast()))
}

fn no_buffer(handle: *const c_void) -> aclError {
    let why = BUFFERS.describe(handle);
    fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("the data buffer {handle:p} {why}"))
}

fn no_dataset(handle: *const c_void) -> aclError {
    let why = DATASETS.describe(handle);
    fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("the dataset {handle:p} {why}"))
}
