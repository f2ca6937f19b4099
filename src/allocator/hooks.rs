//! The C side of allocators: the functions that ACL calls.
//!
//! ACL carries numbers, never addresses: one for the allocator, one for each block. It keeps copies of what was registered, and may call after an
//! allocator was removed, with blocks that it has given back, on threads of its own, and while a stream is destroyed; a number that names nothing any
//! more is an allocation that failed, or nothing at all.

use super::Registration;
use crate::{
    DeviceView, Error, Result, Stream, callback::InCallback, current::Restore, exit, guard,
    limbo::keep_for_ever, quiet, runtime::Site, runtime::acl, sync::lock,
};
use ascendcl_sys as sys;
use core::ffi::c_void;
use std::{
    cell::Cell,
    collections::BTreeMap,
    ptr,
    sync::{Arc, Mutex},
};

/// Memory that ACL has.
struct Block {
    from: Arc<Registration>,
    memory: DeviceView<u8>,
}

struct Known {
    /// The last number that was given. None is given twice, and none is NULL.
    last: usize,
    allocators: BTreeMap<usize, Arc<Registration>>,
    blocks: BTreeMap<usize, Block>,
}

impl Known {
    fn next(&mut self) -> usize {
        self.last += 1;
        self.last
    }
}

static KNOWN: Mutex<Known> =
    Mutex::new(Known { last: 0, allocators: BTreeMap::new(), blocks: BTreeMap::new() });

thread_local! {
    /// Whether this thread is in the middle of one of ACL's questions.
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Refuses what an allocator must not do.
pub(crate) fn check(op: &'static str) -> Result<()> {
    if ASKED.try_with(Cell::get).unwrap_or(false) { Err(Error::InCallback { op }) } else { Ok(()) }
}

/// From now on the number that it gives names the allocator.
pub(super) fn enlist(registration: Arc<Registration>) -> usize {
    let mut known = lock(&KNOWN);
    let object = known.next();
    known.allocators.insert(object, registration);
    object
}

/// The number names nothing any more. Blocks keep the allocator they came from.
pub(super) fn strike(object: usize) {
    let struck = lock(&KNOWN).allocators.remove(&object);
    // Outside the lock: the allocator is the program's.
    drop(struck);
}

/// Registers the allocator of that number for the stream. Its context must be current. Then what is left to report, where nothing is locked.
pub(super) fn register(stream: &Stream, object: usize) -> Result<Result<()>> {
    let create = stream.api().aclrtAllocatorCreateDesc;
    let create = create.ok_or(Error::MissingSymbol { function: "aclrtAllocatorCreateDesc" })?;
    guard::check_over("aclrtAllocatorCreateDesc")?;
    // SAFETY: [plain] no arguments.
    let description = unsafe { create() };
    if description.is_null() {
        return Err(stream.failure("aclrtAllocatorCreateDesc", sys::ACL_ERROR_BAD_ALLOC));
    }
    let object = ptr::without_provenance_mut(object);
    let raw = stream.as_raw();
    // SAFETY: [handle] the description was just made, and the stream is alive; the object is a number that nobody looks behind, and the functions stay
    // for the life of the process. All five are set: releases leave those that are not uninitialised, and wait for themselves without the fourth.
    let registered = unsafe {
        acl!(stream, aclrtAllocatorSetObjToDesc(description, object))
            .and_then(|()| acl!(stream, aclrtAllocatorSetAllocFuncToDesc(description, Some(allocate))))
            .and_then(|()| acl!(stream, aclrtAllocatorSetFreeFuncToDesc(description, Some(free))))
            .and_then(|()| acl!(stream, aclrtAllocatorSetAllocAdviseFuncToDesc(description, Some(advise))))
            .and_then(|()| {
                acl!(stream, aclrtAllocatorSetGetAddrFromBlockFuncToDesc(description, Some(address)))
            })
            .and_then(|()| acl!(stream, aclrtAllocatorRegister(raw, description)))
    };
    // SAFETY: [once] made above, and not used again: ACL keeps what it says, not the description itself.
    let destroyed = unsafe { acl!(stream, aclrtAllocatorDestroyDesc(description)) };
    // If it is registered, that is what counts.
    registered.map(|()| destroyed)
}

/// Runs code of the program for ACL. What the thread has as its current context is put back. A panic answers nothing, and neither does a forked child.
fn answer<R>(registration: &Registration, action: impl FnOnce() -> Result<R>) -> Option<R> {
    struct Asked(bool);
    impl Drop for Asked {
        fn drop(&mut self) {
            let _ = ASKED.try_with(|asked| asked.set(self.0));
        }
    }
    let mut answered = None;
    let ended = quiet::guarded(|| {
        exit::outside(|| {
            let _asked = Asked(ASKED.try_with(|asked| asked.replace(true)).unwrap_or(false));
            let _restore = Restore::new(registration.context().device().acl());
            // What comes back with the end of a stream comes where everything is released that has to wait, and so what this would be waiting for.
            let _inside = guard::is_own_thread().then(InCallback::enter);
            answered = Some(action());
        });
    });
    if guard::forked() {
        // The program's code has forked, and this is the child: locks may be held for ever, those of a logger too. A thread of the program fails,
        // and goes on where it came from.
        keep_for_ever(answered);
        if guard::is_own_thread() {
            guard::end_forked_child();
        }
        return None;
    }
    match answered {
        Some(Ok(value)) if ended => Some(value),
        Some(Err(error)) => {
            quiet::log_error(format_args!("an allocator gave no memory: {error}"));
            None
        }
        _ => {
            quiet::log_error(format_args!("an allocator panicked"));
            None
        }
    }
}

/// A block for ACL; NULL if there is none.
fn allocate_at(object: sys::aclrtAllocator, bytes: usize, near: Option<*mut c_void>) -> *mut c_void {
    if guard::is_over() {
        return ptr::null_mut();
    }
    let Some(from) = lock(&KNOWN).allocators.get(&object.addr()).cloned() else {
        quiet::log_error(format_args!("ACL asks an allocator for {bytes} bytes that was removed"));
        return ptr::null_mut();
    };
    let memory = answer(&from, || {
        let allocator = from.allocator().ok_or(Error::Abandoned { cause: None })?;
        let memory = match near {
            Some(near) => allocator.allocate_near(bytes, near),
            None => allocator.allocate(bytes),
        }?;
        guard::check_over("DeviceAllocator::allocate")?;
        from.hand_out(&memory, bytes)?;
        Ok(memory)
    });
    let Some(memory) = memory else {
        from.let_go();
        return ptr::null_mut();
    };
    let mut known = lock(&KNOWN);
    let block = known.next();
    known.blocks.insert(block, Block { from, memory });
    ptr::without_provenance_mut(block)
}

unsafe extern "C" fn allocate(object: sys::aclrtAllocator, bytes: usize) -> *mut c_void {
    allocate_at(object, bytes, None)
}

unsafe extern "C" fn advise(
    object: sys::aclrtAllocator,
    bytes: usize,
    near: sys::aclrtAllocatorAddr,
) -> *mut c_void {
    allocate_at(object, bytes, Some(near))
}

unsafe extern "C" fn address(block: sys::aclrtAllocatorBlock) -> *mut c_void {
    // The lock may be held for ever there.
    if guard::forked() {
        return ptr::null_mut();
    }
    lock(&KNOWN).blocks.get(&block.addr()).map_or(ptr::null_mut(), |block| block.memory.as_raw())
}

unsafe extern "C" fn free(_: sys::aclrtAllocator, block: sys::aclrtAllocatorBlock) {
    // The device is not asked any more, and the memory goes with the process.
    if guard::is_over() {
        return;
    }
    let Some(Block { from, memory }) = lock(&KNOWN).blocks.remove(&block.addr()) else {
        quiet::log_error(format_args!("ACL gives back memory that it does not have"));
        return;
    };
    answer(&from, || {
        from.take_back(&memory);
        if let Some(allocator) = from.allocator() {
            allocator.free(memory);
        }
        Ok(())
    });
    from.let_go();
}
