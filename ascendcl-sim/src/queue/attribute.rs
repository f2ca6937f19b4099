//! Attributes of queues: a record that the program fills.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use core::ffi::c_void;

use ascendcl_sys::{self as sys, aclError};

use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::handle::{Kind, Table};

/// Bytes of a name, with its NUL.
pub(crate) const NAME: usize = 128;
const DEFAULT_DEPTH: u32 = 8;

pub(crate) struct Attributes {
    /// The program is given the address of this, so it stays where it is.
    name: Box<[AtomicU8; NAME]>,
    depth: AtomicU32,
}

static ATTRIBUTES: Table<Attributes> = Table::new(Kind::QueueAttr);

impl Attributes {
    pub(crate) fn new() -> Self {
        Self { name: Box::new([const { AtomicU8::new(0) }; NAME]), depth: AtomicU32::new(DEFAULT_DEPTH) }
    }

    pub(crate) fn depth(&self) -> u32 {
        self.depth.load(Ordering::Relaxed)
    }

    pub(crate) fn set_depth(&self, depth: u32) {
        self.depth.store(depth, Ordering::Relaxed);
    }

    /// Sets the name: shorter than [`NAME`].
    pub(crate) fn set_name(&self, name: &[u8]) {
        for (index, byte) in self.name.iter().enumerate() {
            byte.store(name.get(index).copied().unwrap_or(0), Ordering::Relaxed);
        }
    }

    pub(crate) fn name(&self) -> String {
        let bytes: Vec<u8> =
            self.name.iter().map(|byte| byte.load(Ordering::Relaxed)).take_while(|&byte| byte != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The name as a C string that lives as long as these attributes.
    pub(crate) fn name_pointer(&self) -> *const c_void {
        self.name.as_ptr().cast()
    }
}

/// `acltdtCreateQueueAttr`
pub(crate) fn create() -> Result<*mut c_void, aclError> {
    let attributes = Arc::new(Attributes::new());
    let made = ATTRIBUTES.insert(attributes, register(LiveKind::Queue, "attributes"));
    made.ok_or_else(|| fail(sys::ACL_ERROR_BAD_ALLOC, "a million attributes of queues are alive"))
}

pub(crate) fn lookup(handle: *const c_void) -> Result<Arc<Attributes>, aclError> {
    ATTRIBUTES.get(handle).ok_or_else(|| stale(handle))
}

/// `acltdtDestroyQueueAttr`
pub(crate) fn destroy(handle: *const c_void) -> Result<(), aclError> {
    ATTRIBUTES.remove(handle).map(drop).ok_or_else(|| stale(handle))
}

fn stale(handle: *const c_void) -> aclError {
    let why = ATTRIBUTES.describe(handle);
    fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("the handle of attributes {why}"))
}
