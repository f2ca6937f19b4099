//! Managed memory.

mod common;

use core::ffi::c_void;
use std::ptr;

use common::*;

const MIB: usize = 1 << 20;
const GLOBAL: u32 = sys::ACL_RT_MEM_ATTACH_GLOBAL;
const HOST: sys::aclrtMemManagedLocation =
    sys::aclrtMemManagedLocation { type_: sys::ACL_MEM_LOCATIONTYPE_HOST, id: 0 };

fn on(device: i32) -> sys::aclrtMemManagedLocation {
    sys::aclrtMemManagedLocation { type_: sys::ACL_MEM_LOCATIONTYPE_DEVICE, id: device }
}

fn managed(size: usize) -> *mut c_void {
    let mut pointer = ptr::null_mut();
    ok!(aclrtMemAllocManaged, &mut pointer, size as u64, GLOBAL);
    pointer
}

fn ask<const N: usize>(
    attribute: sys::aclrtMemManagedRangeAttribute,
    pointer: *const c_void,
    size: usize,
) -> Result<[i32; N], aclError> {
    let mut answer = [77; N];
    match acl!(aclrtMemManagedGetAttr, attribute, pointer, size, answer.as_mut_ptr().cast(), 4 * N) {
        0 => Ok(answer),
        code => Err(code),
    }
}

#[test]
fn both_sides_use_it() {
    let _session = full();
    let mut pointer = ptr::null_mut();
    assert_eq!(acl!(aclrtMemAllocManaged, ptr::null_mut(), 1, GLOBAL), 100_000);
    assert_eq!(acl!(aclrtMemAllocManaged, &mut pointer, 1, 0), 100_000);
    assert_eq!(acl!(aclrtMemAllocManaged, &mut pointer, 0, GLOBAL), 107_000);
    assert_eq!(acl!(aclrtMemAllocManaged, &mut pointer, 4 << 40, GLOBAL), 207_001);
    let (a, b) = (managed(100), managed(100));
    assert!(a.addr() >= 0x900_0000_0000 && a.addr() % (2 * MIB) == 0);
    assert_eq!(bytes(a, 100), [0xcb; 100]);
    let (stream, device) = (stream(), device_memory(100));
    ok!(aclrtMemsetAsync, a, 100, 5, 100, stream);
    ok!(aclrtMemcpyAsync, b, 100, a, 100, sys::ACL_MEMCPY_DEFAULT, stream);
    ok!(aclrtMemcpyAsync, device, 100, b, 100, sys::ACL_MEMCPY_HOST_TO_DEVICE, stream);
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(bytes(b, 100), [5; 100]);
    assert_eq!(download(device, 100), [5; 100]);
    assert_eq!(acl!(aclrtMemcpy, a, 101, device, 101, sys::ACL_MEMCPY_DEVICE_TO_HOST), 107_000);
    // Freed under a queued copy.
    let gate = Gate::new();
    gate.hold(stream);
    ok!(aclrtMemcpyAsync, device, 100, b, 100, sys::ACL_MEMCPY_DEFAULT, stream);
    ok!(aclrtFree, b);
    gate.open();
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 507_013);
    assert_eq!(acl!(aclrtFree, b), 107_000);
    ok!(aclrtFree, device);
    ok!(aclrtDestroyStream, stream);
    drop(gate);
    ok!(aclrtResetDevice, 0);
    assert_eq!(live(), [], "with the device goes the rest");
}

#[test]
fn advice_is_kept_by_page() {
    let _session = full();
    let pointer = managed(6 * MIB);
    let (size, page) = (6 * MIB, 2 * MIB);
    let second = pointer.wrapping_byte_add(page);
    let advise =
        |at, size: usize, advice, location| acl!(aclrtMemManagedAdvise, at, size as u64, advice, location);
    let read_mostly = sys::ACL_MEM_ADVISE_SET_READ_MOSTLY;
    assert_eq!(advise(ptr::null_mut(), size, read_mostly, HOST), 100_000);
    assert_eq!(advise(pointer, 0, read_mostly, HOST), 100_000);
    assert_eq!(advise(pointer, size, sys::aclrtMemManagedAdviseType(6), HOST), 107_000);
    assert_eq!(advise(pointer, size, read_mostly, on(9)), 107_000);
    assert_eq!(advise(pointer, MIB, read_mostly, HOST), 107_000);
    assert_eq!(advise(pointer, size + page, read_mostly, HOST), 107_000);
    let mostly = sys::ACL_MEM_RANGE_ATTRIBUTE_READ_MOSTLY;
    assert_eq!(ask(mostly, pointer, size), Ok([0]));
    assert_eq!(advise(second, page, read_mostly, HOST), 0);
    assert_eq!((ask(mostly, pointer, size), ask(mostly, second, 1)), (Ok([0]), Ok([1])));
    assert_eq!(ask::<2>(mostly, second, 1), Err(107_000));
    assert_eq!(ask::<1>(sys::aclrtMemManagedRangeAttribute(9), second, 1), Err(107_000));

    let preferred = sys::ACL_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION;
    let kind = sys::ACL_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE;
    assert_eq!(ask(preferred, pointer, size), Ok([-2]));
    assert_eq!(advise(pointer, size, sys::ACL_MEM_ADVISE_SET_PREFERRED_LOCATION, on(1)), 0);
    assert_eq!((ask(preferred, pointer, size), ask(kind, pointer, size)), (Ok([1]), Ok([1])));
    assert_eq!(advise(second, page, sys::ACL_MEM_ADVISE_SET_PREFERRED_LOCATION, HOST), 0);
    assert_eq!((ask(preferred, pointer, size), ask(preferred, second, page)), (Ok([-2]), Ok([-1])));
    assert_eq!(ask(kind, pointer, size), Ok([0]));
    assert_eq!(advise(pointer, size, sys::ACL_MEM_ADVISE_UNSET_PREFERRED_LOCATION, HOST), 0);
    assert_eq!(ask(preferred, second, page), Ok([-2]));

    let by = sys::ACL_MEM_RANGE_ATTRIBUTE_ACCESSED_BY;
    assert_eq!(advise(pointer, size, sys::ACL_MEM_ADVISE_SET_ACCESSED_BY, on(0)), 0);
    assert_eq!(advise(pointer, size, sys::ACL_MEM_ADVISE_SET_ACCESSED_BY, on(0)), 0);
    assert_eq!(advise(second, page, sys::ACL_MEM_ADVISE_SET_ACCESSED_BY, HOST), 0);
    assert_eq!((ask(by, pointer, size), ask(by, second, page)), (Ok([0, -2, -2]), Ok([0, -1, -2])));

    let (mut mostly_answer, mut by_answer) = (7i32, [7i32; 2]);
    let mut data: [*mut c_void; 2] = [(&raw mut mostly_answer).cast(), by_answer.as_mut_ptr().cast()];
    let (mut questions, mut sizes) = ([mostly, by], [4, 8]);
    ok!(aclrtMemManagedGetAttrs, questions.as_mut_ptr(), 2, second, 1, data.as_mut_ptr(), sizes.as_mut_ptr());
    assert_eq!((mostly_answer, by_answer), (1, [0, -1]));
    ok!(aclrtFree, pointer);
    assert_eq!(ask::<1>(mostly, second, 1), Err(107_000));
}

#[test]
fn prefetches() {
    let _session = full();
    let (stream, pointer) = (stream(), managed(6 * MIB));
    let page = 2 * MIB;
    let last = sys::ACL_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION;
    let null = ptr::null();
    assert_eq!(acl!(aclrtMemManagedPrefetchAsync, null, page, HOST, 0, stream), 100_000);
    assert_eq!(acl!(aclrtMemManagedPrefetchAsync, pointer, page, HOST, 1, stream), 100_000);
    assert_eq!(acl!(aclrtMemManagedPrefetchAsync, pointer, page, on(9), 0, stream), 107_000);
    assert_eq!(acl!(aclrtMemManagedPrefetchAsync, pointer, page + 1, HOST, 0, stream), 107_000);
    ok!(aclrtMemManagedPrefetchAsync, pointer, page, on(0), 0, stream);
    assert_eq!((ask(last, pointer, page), ask(last, pointer, page + 1)), (Ok([0]), Ok([-2])));

    let mut pointers: Vec<*const c_void> =
        (0..3).map(|index| pointer.wrapping_byte_add(index * page).cast_const()).collect();
    let (mut sizes, mut locations) = ([page; 3], [on(1), HOST]);
    let mut batch = |first: [usize; 2], flags| {
        let mut first = first;
        acl!(
            aclrtMemManagedPrefetchBatchAsync,
            pointers.as_mut_ptr(),
            sizes.as_mut_ptr(),
            3,
            locations.as_mut_ptr(),
            first.as_mut_ptr(),
            2,
            flags,
            stream,
        )
    };
    assert_eq!(batch([0, 2], 1), 100_000);
    for first in [[1, 2], [0, 0], [0, 3]] {
        assert_eq!(batch(first, 0), 107_000);
    }
    assert_eq!(batch([0, 2], 0), 0);
    assert_eq!(ask(last, pointer, 2 * page), Ok([1]));
    assert_eq!(ask(last, pointer.wrapping_byte_add(2 * page), page), Ok([-1]));
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtFree, pointer);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn it_lies_elsewhere_when_its_place_is_taken() {
    const PLACE: (usize, usize) = (0x900_0000_0000, 3 << 40);
    let _session = full();
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: takes the range only if nobody has it. If somebody has, a sanitizer for its shadow, that is a place taken just as well.
    let taken =
        unsafe { libc::mmap(ptr::without_provenance_mut(PLACE.0), PLACE.1, libc::PROT_NONE, flags, -1, 0) };
    let (a, b) = (managed(100), managed(5 * MIB));
    for pointer in [a, b] {
        assert!(!(PLACE.0..PLACE.0 + PLACE.1).contains(&pointer.addr()) && pointer.addr() % (2 * MIB) == 0);
        assert_eq!(bytes(pointer, 100), [0xcb; 100]);
    }
    ok!(aclrtMemset, b, 5 * MIB, 7, 5 * MIB);
    assert_eq!(bytes(b, 5 * MIB)[5 * MIB - 1], 7);
    ok!(aclrtFree, a);
    ok!(aclrtFree, b);
    if taken != libc::MAP_FAILED {
        // SAFETY: this test mapped it.
        unsafe { libc::munmap(taken, PLACE.1) };
    }
}
