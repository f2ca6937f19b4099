//! `aclTensorDesc`: the type, shape, format and name of a tensor, for single operators.
//!
//! Shapes and formats come in two kinds, the original ones and those in storage; only the original ones can be read back. What
//! nothing can read back (storage, ranges of values, contents of constants, placement) is of interest to operators alone and is not kept.

use core::ffi::{CStr, c_char};
use std::ffi::CString;
use std::ptr;
use std::sync::{Arc, MutexGuard};

use ascendcl_sys::{self as sys, aclDataType, aclError, aclFormat, aclTensorDesc};

use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;

static DESCS: Table<TensorDesc> = Table::new(Kind::TensorDesc);

/// The dimension that says that even the number of dimensions is unknown.
const UNKNOWN_RANK: i64 = -2;

/// `aclTensorDesc`.
pub(crate) struct TensorDesc(Mutex<Contents>);

/// What a description says.
pub(crate) struct Contents {
    pub(crate) element: aclDataType,
    pub(crate) format: aclFormat,
    pub(crate) dims: Vec<i64>,
    /// The smallest and largest value of each dimension, where the program gave them.
    pub(crate) ranges: Vec<[i64; 2]>,
    name: CString,
    /// The descriptions of the same array, this one first; empty for one that is alone.
    array: Vec<usize>,
}

impl TensorDesc {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock()
    }
}

impl Contents {
    /// Elements of the tensor: 0 if a dimension is unknown, or the number does not fit.
    pub(crate) fn count(&self) -> usize {
        let count = self
            .dims
            .iter()
            .try_fold(1usize, |count, &dim| usize::try_from(dim).ok().and_then(|dim| count.checked_mul(dim)));
        count.unwrap_or(0)
    }

    /// Number of dimensions, or `ACL_UNKNOWN_RANK`.
    pub(crate) fn rank(&self) -> usize {
        if self.dims.first() == Some(&UNKNOWN_RANK) {
            sys::ACL_UNKNOWN_RANK as usize
        } else {
            self.dims.len()
        }
    }

    /// The name, alive until it is set again or the description ends.
    pub(crate) fn name(&self) -> *const c_char {
        self.name.as_ptr()
    }

    pub(crate) fn rename(&mut self, name: &CStr) {
        self.name = name.to_owned();
    }
}

/// `aclCreateTensorDesc` after its checks. NULL if there are a million already.
pub(crate) fn create(element: aclDataType, dims: Vec<i64>, format: aclFormat) -> *mut aclTensorDesc {
    let detail = format!("{dims:?}");
    let contents =
        Contents { element, format, dims, ranges: Vec::new(), name: CString::default(), array: Vec::new() };
    let desc = Arc::new(TensorDesc(Mutex::new(contents)));
    DESCS.insert(desc, register(LiveKind::TensorDesc, detail)).unwrap_or(ptr::null_mut()).cast()
}

/// `aclDestroyTensorDesc`: of an array, all.
pub(crate) fn destroy(handle: *const aclTensorDesc) {
    let Some(desc) = DESCS.remove(handle.cast()) else {
        if !handle.is_null() {
            no_desc(handle);
        }
        return;
    };
    let array = std::mem::take(&mut desc.lock().array);
    for other in array.into_iter().skip(1) {
        DESCS.remove(ptr::without_provenance(other));
    }
}

/// Makes one array of descriptions, each made by [`create`]; the first stands for the array.
#[allow(dead_code, reason = "for those who give arrays of descriptions out")]
pub(crate) fn array(descs: &[*mut aclTensorDesc]) -> *mut aclTensorDesc {
    let Some(&first) = descs.first() else { return ptr::null_mut() };
    if let Some(desc) = DESCS.get(first.cast()) {
        desc.lock().array = descs.iter().map(|desc| desc.addr()).collect();
    }
    first
}

/// `aclGetTensorDescByIndex`: NULL past the end of an array, where a card reads whatever lies there.
pub(crate) fn by_index(handle: *mut aclTensorDesc, index: usize) -> Result<*mut aclTensorDesc, aclError> {
    let desc = find(handle)?;
    let contents = desc.lock();
    match contents.array.get(index) {
        Some(other) => Ok(ptr::without_provenance_mut(*other)),
        None if index == 0 => Ok(handle),
        None => {
            let count = contents.array.len().max(1);
            let text = format!("index {index} is past the end of an array of {count} tensor descriptions");
            Err(fail(sys::ACL_ERROR_INVALID_PARAM, text))
        }
    }
}

/// The description behind a handle: 100000 if there is none.
pub(crate) fn find(handle: *const aclTensorDesc) -> Result<Arc<TensorDesc>, aclError> {
    DESCS.get(handle.cast()).ok_or_else(|| no_desc(handle))
}

fn no_desc(handle: *const aclTensorDesc) -> aclError {
    let why = DESCS.describe(handle.cast());
    fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("the tensor description {handle:p} {why}"))
}
