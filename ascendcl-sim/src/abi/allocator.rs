//! `acl_rt_allocator.h`: allocators of the program.

use std::ptr;
use std::sync::Arc;

use ascendcl_sys::{
    aclError, aclrtAllocator, aclrtAllocatorAllocAdviseFunc, aclrtAllocatorAllocFunc, aclrtAllocatorDesc,
    aclrtAllocatorFreeFunc, aclrtAllocatorGetAddrFromBlockFunc, aclrtStream,
};

use super::{functions, invalid, not_null};
use crate::lock::Mutex;
use crate::memory::{self, DESCRIPTIONS, Functions};

fn find(description: aclrtAllocatorDesc) -> Result<Arc<Mutex<Functions>>, aclError> {
    not_null(description, "allocatorDesc")?;
    DESCRIPTIONS.get(description).ok_or_else(|| {
        let why = DESCRIPTIONS.describe(description);
        invalid(format_args!("the allocator description {description:p} {why}"))
    })
}

fn set<F: Copy>(
    description: aclrtAllocatorDesc,
    function: Option<F>,
    put: impl FnOnce(&mut Functions, Option<F>),
) -> Result<(), aclError> {
    not_null(description, "allocatorDesc")?;
    if function.is_none() {
        return Err(invalid("func must not be NULL"));
    }
    put(&mut find(description)?.lock(), function);
    Ok(())
}

/// # Safety
/// `place` is NULL or a place to write to.
unsafe fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: [caller] contract.
        unsafe { place.write(value) };
    }
}

functions! {
    value(ptr::null_mut()) fn aclrtAllocatorCreateDesc() -> aclrtAllocatorDesc {
        memory::create_description().unwrap_or(ptr::null_mut())
    }

    status fn aclrtAllocatorDestroyDesc(allocatorDesc: aclrtAllocatorDesc) {
        find(allocatorDesc)?;
        DESCRIPTIONS.remove(allocatorDesc);
        Ok(())
    }

    status fn aclrtAllocatorSetObjToDesc(allocatorDesc: aclrtAllocatorDesc, allocator: aclrtAllocator) {
        not_null(allocatorDesc, "allocatorDesc")?;
        not_null(allocator, "allocator")?;
        find(allocatorDesc)?.lock().object = allocator;
        Ok(())
    }

    status fn aclrtAllocatorSetAllocFuncToDesc(
        allocatorDesc: aclrtAllocatorDesc, func: aclrtAllocatorAllocFunc,
    ) {
        set(allocatorDesc, func, |functions, function| functions.allocate = function)
    }

    status fn aclrtAllocatorSetFreeFuncToDesc(
        allocatorDesc: aclrtAllocatorDesc, func: aclrtAllocatorFreeFunc,
    ) {
        set(allocatorDesc, func, |functions, function| functions.free = function)
    }

    status fn aclrtAllocatorSetAllocAdviseFuncToDesc(
        allocatorDesc: aclrtAllocatorDesc, func: aclrtAllocatorAllocAdviseFunc,
    ) {
        set(allocatorDesc, func, |functions, function| functions.advise = function)
    }

    status fn aclrtAllocatorSetGetAddrFromBlockFuncToDesc(
        allocatorDesc: aclrtAllocatorDesc, func: aclrtAllocatorGetAddrFromBlockFunc,
    ) {
        set(allocatorDesc, func, |functions, function| functions.address = function)
    }

    status fn aclrtAllocatorRegister(stream: aclrtStream, allocatorDesc: aclrtAllocatorDesc) {
        not_null(stream, "stream")?;
        let functions = *find(allocatorDesc)?.lock();
        not_null(functions.object, "the allocator of the description")?;
        let required = [
            (functions.allocate.is_some(), "allocates"),
            (functions.free.is_some(), "frees"),
            (functions.address.is_some(), "gives an address"),
        ];
        if let Some((_, what)) = required.iter().find(|(there, _)| !there) {
            return Err(invalid(format_args!("the description has no function that {what}")));
        }
        memory::register_allocator(stream, allocatorDesc, functions);
        Ok(())
    }

    status fn aclrtAllocatorGetByStream(
        stream: aclrtStream,
        allocatorDesc: *mut aclrtAllocatorDesc,
        allocator: *mut aclrtAllocator,
        allocFunc: *mut aclrtAllocatorAllocFunc,
        freeFunc: *mut aclrtAllocatorFreeFunc,
        allocAdviseFunc: *mut aclrtAllocatorAllocAdviseFunc,
        getAddrFromBlockFunc: *mut aclrtAllocatorGetAddrFromBlockFunc,
    ) {
        not_null(allocatorDesc, "allocatorDesc")?;
        not_null(stream, "stream")?;
        let (description, functions) = memory::registered_allocator(stream)
            .ok_or_else(|| invalid(format_args!("no allocator is registered for the stream {stream:p}")))?;
        // SAFETY: [caller] the caller passes places to write to, and NULL for what it does not want.
        unsafe {
            put(allocatorDesc, description);
            put(allocator, functions.object);
            put(allocFunc, functions.allocate);
            put(freeFunc, functions.free);
            put(allocAdviseFunc, functions.advise);
            put(getAddrFromBlockFunc, functions.address);
        }
        Ok(())
    }

    status fn aclrtAllocatorUnregister(stream: aclrtStream) {
        not_null(stream, "stream")?;
        memory::unregister_allocator(stream);
        Ok(())
    }
}
