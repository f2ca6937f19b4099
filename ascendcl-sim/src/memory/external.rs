//! Allocators that the program registers for streams: who needs memory on such a stream asks there first.

use core::ffi::c_void;
use std::collections::BTreeMap;
use std::sync::Arc;

use ascendcl_sys::{
    self as sys, aclError, aclrtAllocator, aclrtAllocatorAllocAdviseFunc, aclrtAllocatorAllocFunc,
    aclrtAllocatorBlock, aclrtAllocatorDesc, aclrtAllocatorFreeFunc, aclrtAllocatorGetAddrFromBlockFunc,
    aclrtStream,
};

use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::{Mutex, RwLock};

/// What a description says.
#[derive(Clone, Copy)]
pub(crate) struct Functions {
    pub(crate) object: aclrtAllocator,
    pub(crate) allocate: aclrtAllocatorAllocFunc,
    pub(crate) free: aclrtAllocatorFreeFunc,
    pub(crate) advise: aclrtAllocatorAllocAdviseFunc,
    pub(crate) address: aclrtAllocatorGetAddrFromBlockFunc,
}

// SAFETY: the object is the program's, which calls it from the threads it likes and has us do so; we never look inside.
unsafe impl Send for Functions {}
// SAFETY: as above.
unsafe impl Sync for Functions {}

impl Functions {
    const NONE: Self =
        Self { object: std::ptr::null_mut(), allocate: None, free: None, advise: None, address: None };
}

pub(crate) static DESCRIPTIONS: Table<Mutex<Functions>> = Table::new(Kind::AllocatorDesc);

/// By the value of the stream's handle, which nobody looks at when an allocator is registered.
static REGISTERED: RwLock<BTreeMap<usize, (usize, Functions)>> = RwLock::new(BTreeMap::new());

/// An empty description.
pub(crate) fn create_description() -> Option<aclrtAllocatorDesc> {
    let registration = register(LiveKind::AllocatorDesc, String::new());
    DESCRIPTIONS.insert(Arc::new(Mutex::new(Functions::NONE)), registration)
}

/// From now on the allocator serves the stream, whatever becomes of the description.
pub(crate) fn register_allocator(stream: aclrtStream, description: aclrtAllocatorDesc, functions: Functions) {
    REGISTERED.write().insert(stream.addr(), (description.expose_provenance(), functions));
}

pub(crate) fn unregister_allocator(stream: aclrtStream) {
    REGISTERED.write().remove(&stream.addr());
}

/// The description that was registered for the stream, and what it said then.
pub(crate) fn registered_allocator(stream: aclrtStream) -> Option<(aclrtAllocatorDesc, Functions)> {
    let registered = REGISTERED.read();
    let (description, functions) = registered.get(&stream.addr())?;
    Some((std::ptr::with_exposed_provenance_mut(*description), *functions))
}

/// Memory that a program's allocator lent; it goes back when this is dropped.
#[allow(dead_code)]
pub(crate) struct Lent {
    functions: Functions,
    block: aclrtAllocatorBlock,
    address: *mut c_void,
}

// SAFETY: the block is a token of the program's allocator, which is `Send` for the same reason as `Functions`.
unsafe impl Send for Lent {}
// SAFETY: as above.
unsafe impl Sync for Lent {}

impl Lent {
    #[allow(dead_code)]
    pub(crate) fn address(&self) -> *mut c_void {
        self.address
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(free) = self.functions.free {
            // SAFETY: the program registered this function for this object, which gave the block.
            unsafe { free(self.functions.object, self.block) };
        }
    }
}

/// Memory from the allocator that is registered for the stream; `None` if none is, and the runtime's own is to be used. Calls the
/// program: nothing may be locked.
#[allow(dead_code)]
pub(crate) fn lend(stream: aclrtStream, size: usize) -> Option<Result<Lent, aclError>> {
    let (_, functions) = registered_allocator(stream)?;
    let failed = |what: &str| {
        Err(fail(
            sys::ACL_ERROR_RT_MEMORY_ALLOCATION,
            format_args!("the allocator registered for the stream gave {what} for {size} bytes"),
        ))
    };
    let (Some(allocate), Some(address)) = (functions.allocate, functions.address) else { return None };
    // SAFETY: the program registered this function for this object.
    let block = unsafe { allocate(functions.object, size) };
    if block.is_null() {
        return Some(failed("no block"));
    }
    // SAFETY: the program registered this function, and its allocator has just given the block.
    let address = unsafe { address(block) };
    let lent = Lent { functions, block, address };
    Some(if address.is_null() { failed("a block without address") } else { Ok(lent) })
}
