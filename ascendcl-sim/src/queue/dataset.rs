//! Tensors to send and tensors received.

use core::ffi::{CStr, c_void};
use std::ffi::CString;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclDataType, aclError, acltdtTensorType};

use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;
use crate::memory::{Location, classify};

/// A tensor, or a mark in a sequence of tensors. Its data is the program's, or a received dataset's.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) kind: acltdtTensorType,
    pub(crate) dims: Vec<i64>,
    pub(crate) data_type: aclDataType,
    /// The address of the data.
    pub(crate) data: usize,
    pub(crate) size: usize,
    pub(crate) slices: (u16, u16),
}

static ITEMS: Table<Item> = Table::new(Kind::DataItem);
static DATASETS: Table<Dataset> = Table::new(Kind::TensorDataset);

/// Tensors that belong together.
pub(crate) struct Dataset {
    contents: Mutex<Contents>,
}

#[derive(Default)]
struct Contents {
    items: Vec<usize>,
    /// Whether the tensors are in device memory, once that is known.
    on_device: Option<bool>,
    /// The items were made by receiving, and end with the dataset.
    received: bool,
    name: CString,
    /// The bytes of received tensors.
    bytes: Vec<Aligned>,
}

/// Received tensors start as pinned memory does.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Aligned(#[allow(dead_code)] [u8; 64]);

fn stale(what: &str, why: &str) -> aclError {
    fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("the handle of {what} {why}"))
}

fn too_many() -> aclError {
    fail(sys::ACL_ERROR_BAD_ALLOC, "a million tensor datasets or items are alive")
}

/// `acltdtCreateDataItem` after its checks.
pub(crate) fn create_item(item: Item) -> Result<*mut c_void, aclError> {
    let registration = register(LiveKind::TensorDataset, format!("item of {} bytes", item.size));
    ITEMS.insert(Arc::new(item), registration).ok_or_else(too_many)
}

pub(crate) fn item(handle: *const c_void) -> Result<Arc<Item>, aclError> {
    ITEMS.get(handle).ok_or_else(|| stale("a data item", ITEMS.describe(handle)))
}

pub(crate) fn destroy_item(handle: *const c_void) -> Result<(), aclError> {
    ITEMS.remove(handle).map(drop).ok_or_else(|| stale("a data item", ITEMS.describe(handle)))
}

/// `acltdtCreateDataset`
pub(crate) fn create() -> Result<*mut c_void, aclError> {
    let dataset = Arc::new(Dataset { contents: Mutex::new(Contents::default()) });
    DATASETS.insert(dataset, register(LiveKind::TensorDataset, "dataset")).ok_or_else(too_many)
}

pub(crate) fn lookup(handle: *const c_void) -> Result<Arc<Dataset>, aclError> {
    DATASETS.get(handle).ok_or_else(|| stale("a tensor dataset", DATASETS.describe(handle)))
}

/// `acltdtDestroyDataset`: items that were received go with it.
pub(crate) fn destroy(handle: *const c_void) -> Result<(), aclError> {
    let dataset =
        DATASETS.remove(handle).ok_or_else(|| stale("a tensor dataset", DATASETS.describe(handle)))?;
    dataset.contents.lock().forget_received();
    Ok(())
}

impl Contents {
    fn forget_received(&mut self) {
        if self.received {
            for item in self.items.drain(..) {
                ITEMS.remove(std::ptr::without_provenance(item));
            }
        }
    }
}

impl Dataset {
    pub(crate) fn len(&self) -> usize {
        self.contents.lock().items.len()
    }

    pub(crate) fn get(&self, index: usize) -> Option<*mut c_void> {
        self.contents.lock().items.get(index).map(|&item| std::ptr::without_provenance_mut(item))
    }

    /// Its name, good for as long as it lives and receives nothing.
    pub(crate) fn name(&self) -> *const core::ffi::c_char {
        let contents = self.contents.lock();
        let name: &CStr = &contents.name;
        name.as_ptr()
    }

    /// `acltdtAddDataItem`
    pub(crate) fn add(&self, handle: *mut c_void) -> Result<(), aclError> {
        let item = item(handle)?;
        let mut contents = self.contents.lock();
        if contents.received {
            return Err(fail(
                sys::ACL_ERROR_FEATURE_UNSUPPORTED,
                "nothing can be added to a dataset that tensors were received into",
            ));
        }
        let on_device = match item.data {
            0 => None,
            address => Some(matches!(classify(std::ptr::without_provenance(address)), Location::Device(_))),
        };
        if let (Some(before), Some(now)) = (contents.on_device, on_device)
            && before != now
        {
            return Err(fail(
                sys::ACL_ERROR_INVALID_PARAM,
                "the tensors of a dataset are all in host memory, or all in device memory",
            ));
        }
        contents.on_device = contents.on_device.or(on_device);
        contents.items.push(handle.addr());
        Ok(())
    }

    /// Its items, as they are now (100000 if one was destroyed meanwhile).
    pub(crate) fn items(&self) -> Result<Vec<Arc<Item>>, aclError> {
        let items = self.contents.lock().items.clone();
        items.into_iter().map(|handle| item(std::ptr::without_provenance(handle))).collect()
    }

    /// Whether it has items that were put in by hand.
    pub(crate) fn is_taken(&self) -> bool {
        let contents = self.contents.lock();
        !contents.items.is_empty() && !contents.received
    }

    /// Replaces what was received before. `items` have their places in `bytes` as their data.
    pub(crate) fn receive(&self, bytes: &[u8], items: Vec<Item>) -> Result<(), aclError> {
        let mut contents = self.contents.lock();
        contents.forget_received();
        contents.received = true;
        let lines = bytes.len().div_ceil(size_of::<Aligned>());
        if contents.bytes.len() < lines {
            contents.bytes = vec![Aligned([0; 64]); lines];
        }
        let base: *mut u8 = contents.bytes.as_mut_ptr().cast();
        // SAFETY: [memory] the lines are at least as long as the bytes, and new or ours.
        unsafe { libc::memcpy(base.cast(), bytes.as_ptr().cast(), bytes.len()) };
        let base = base.expose_provenance();
        for item in items {
            let data = if item.size > 0 { base + item.data } else { 0 };
            let item = Arc::new(Item { data, ..item });
            let handle = ITEMS.insert_with(None, |_| item).ok_or_else(too_many)?;
            contents.items.push(handle.addr());
        }
        Ok(())
    }
}
