//! Allocators that a program registers for streams.

mod common;

use core::ffi::c_void;
use std::ptr;

use ascendcl_sim::LiveKind;
use common::*;

extern "C" fn allocate(_: sys::aclrtAllocator, _: usize) -> *mut c_void {
    ptr::null_mut()
}

extern "C" fn free(_: sys::aclrtAllocator, _: sys::aclrtAllocatorBlock) {}

extern "C" fn address(block: sys::aclrtAllocatorBlock) -> *mut c_void {
    block
}

#[test]
fn registrations() {
    let _session = full();
    let stream = stream();
    let object: *mut c_void = ptr::without_provenance_mut(0x77);
    let null = ptr::null_mut();
    let desc = acl!(aclrtAllocatorCreateDesc);
    assert_eq!(live().last().unwrap().kind, LiveKind::AllocatorDesc);
    assert_eq!(acl!(aclrtAllocatorSetObjToDesc, null, object), 100_000);
    assert_eq!(acl!(aclrtAllocatorSetObjToDesc, desc, null), 100_000);
    assert_eq!(acl!(aclrtAllocatorSetAllocFuncToDesc, desc, None), 100_000);
    assert_eq!(acl!(aclrtAllocatorRegister, stream, desc), 100_000);
    ok!(aclrtAllocatorSetObjToDesc, desc, object);
    ok!(aclrtAllocatorSetAllocFuncToDesc, desc, Some(allocate));
    ok!(aclrtAllocatorSetFreeFuncToDesc, desc, Some(free));
    assert_eq!(acl!(aclrtAllocatorRegister, stream, desc), 100_000);
    assert!(message().contains("gives an address"), "{}", message());
    ok!(aclrtAllocatorSetGetAddrFromBlockFuncToDesc, desc, Some(address));
    assert_eq!(acl!(aclrtAllocatorRegister, null, desc), 100_000);
    ok!(aclrtAllocatorRegister, stream, desc);

    let (mut found, mut allocator) = (null, null);
    let (mut allocates, mut frees, mut advises, mut addresses) = (None, None, None, None);
    ok!(
        aclrtAllocatorGetByStream,
        stream,
        &mut found,
        &mut allocator,
        &mut allocates,
        &mut frees,
        &mut advises,
        &mut addresses,
    );
    assert_eq!((found, allocator), (desc, object));
    assert!(allocates.is_some() && frees.is_some() && advises.is_none() && addresses.is_some());
    // What was registered stays when the description goes.
    ok!(aclrtAllocatorDestroyDesc, desc);
    assert_eq!(acl!(aclrtAllocatorDestroyDesc, desc), 100_000);
    let none = || (ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    let (a, b, c, d, e) = none();
    ok!(aclrtAllocatorGetByStream, stream, &mut found, a, b, c, d, e);
    ok!(aclrtAllocatorUnregister, stream);
    ok!(aclrtAllocatorUnregister, stream);
    let (a, b, c, d, e) = none();
    assert_eq!(acl!(aclrtAllocatorGetByStream, stream, &mut found, a, b, c, d, e), 100_000);
    assert_eq!(acl!(aclrtAllocatorUnregister, null), 100_000);
    ok!(aclrtDestroyStream, stream);
}
