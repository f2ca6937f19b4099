//! Allocators that the program registers for streams. Models of dynamic shape ask them: see [`crate::model`].

use std::collections::BTreeMap;
use std::sync::Arc;

use ascendcl_sys::{
    aclrtAllocator, aclrtAllocatorAllocAdviseFunc, aclrtAllocatorAllocFunc, aclrtAllocatorDesc,
    aclrtAllocatorFreeFunc, aclrtAllocatorGetAddrFromBlockFunc, aclrtStream,
};

use crate::check::leak::{LiveKind, register};
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

// SAFETY: [threads] the object is the program's, which calls it from the threads it likes and has us do so; we never look inside.
unsafe impl Send for Functions {}
// SAFETY: [threads] as above.
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
