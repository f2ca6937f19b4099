//! Device memory, pinned memory, copies.

mod common;

use core::ffi::c_void;
use std::ptr;

use common::*;

const FIRST: sys::aclrtMemMallocPolicy = sys::ACL_MEM_MALLOC_HUGE_FIRST;
const NORMAL: sys::aclrtMemMallocPolicy = sys::ACL_MEM_MALLOC_NORMAL_ONLY;
const H2H: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_HOST_TO_HOST;
const H2D: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_HOST_TO_DEVICE;
const D2H: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_DEVICE_TO_HOST;
const D2D: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_DEVICE_TO_DEVICE;

fn malloc(size: usize, policy: sys::aclrtMemMallocPolicy) -> Result<*mut c_void, aclError> {
    let mut pointer = ptr::null_mut();
    match acl!(aclrtMalloc, &mut pointer, size, policy) {
        0 => Ok(pointer),
        code => Err(code),
    }
}

fn free_bytes() -> usize {
    let (mut free, mut total) = (0, 0);
    ok!(aclrtGetMemInfo, sys::ACL_DDR_MEM, &mut free, &mut total);
    free
}

#[test]
fn malloc_answers() {
    let _session = card();
    assert_eq!(malloc(0, FIRST), Err(100_000));
    assert_eq!(malloc(usize::MAX, FIRST), Err(100_000));
    assert_eq!(malloc(1 << 50, FIRST), Err(207_001));
    assert!(message().starts_with("EL0004: "));
    let unknown = malloc(100, sys::aclrtMemMallocPolicy(0x5555)).unwrap();
    assert_eq!(unknown.addr() % 64, 0);
    assert_eq!(download(unknown, 100), [0xcb; 100]);
    assert_eq!(acl!(aclrtFree, unknown.wrapping_byte_add(64)), 107_000);
    assert_eq!(acl!(aclrtFreeHost, unknown), 107_000);
    ok!(aclrtFree, unknown);
    assert_eq!(acl!(aclrtFree, unknown), 107_000);
    assert_eq!(acl!(aclrtFree, (&raw const unknown).cast_mut().cast()), 107_000);
    let host = pinned(10);
    assert_eq!(acl!(aclrtFree, host), 107_000);
    assert_eq!(host.addr() % 64, 0);
    assert_eq!(bytes(host, 10), [0xcb; 10]);
    ok!(aclrtFreeHost, host);
    assert_eq!(acl!(aclrtFreeHost, host), 107_000);
}

#[test]
fn pages_are_accounted() {
    let _session = card();
    let before = free_bytes();
    let small = malloc(100, FIRST).unwrap();
    assert_eq!(before - free_bytes(), 4096);
    let large = malloc(3 << 19, FIRST).unwrap();
    assert_eq!(before - free_bytes(), 4096 + (2 << 20), "1.5 MB cost a huge page");
    let normal = malloc(3 << 19, NORMAL).unwrap();
    assert_eq!(
        before - free_bytes(),
        4096 + (2 << 20) + (3 << 19) + 4096,
        "32 bytes more than a whole number of pages"
    );
    let mut attributes = sys::aclrtPtrAttributes {
        location: sys::aclrtMemLocation { id: 9, type_: sys::ACL_MEM_LOCATION_TYPE_HOST_NUMA },
        pageSize: 0,
        rsv: [0; 4],
    };
    for (pointer, page) in [(small, 4096), (large, 2 << 20)] {
        ok!(aclrtPointerGetAttributes, pointer, &mut attributes);
        assert_eq!(
            (attributes.location.type_, attributes.pageSize),
            (sys::ACL_MEM_LOCATION_TYPE_DEVICE, page)
        );
    }
    let plain = 0u8;
    ok!(aclrtPointerGetAttributes, (&raw const plain).cast(), &mut attributes);
    assert_eq!(attributes.location.type_, sys::ACL_MEM_LOCATION_TYPE_UNREGISTERED);
    for pointer in [small, large, normal] {
        ok!(aclrtFree, pointer);
    }
    assert_eq!(free_bytes(), before);
}

#[test]
fn a_card_fills_up() {
    let _session = session(Config::new().memory(64 << 20));
    ok!(aclrtSetDevice, 0);
    let mut taken = Vec::new();
    while let Ok(pointer) = malloc(8 << 20, FIRST) {
        taken.push(pointer);
    }
    // 32 bytes too many for four huge pages each.
    assert_eq!(taken.len(), 6);
    assert_eq!(malloc(8 << 20, sys::ACL_MEM_MALLOC_HUGE_ONLY), Err(207_001));
    // The 4 MiB that are left: huge pages would not do, normal ones are taken instead.
    let rest = malloc((4 << 20) - 32, FIRST).unwrap();
    assert_eq!(free_bytes(), 0);
    for pointer in taken.into_iter().chain([rest]) {
        ok!(aclrtFree, pointer);
    }
    // Used up and given back many times: neither address space nor memory runs out.
    for _ in 0..200 {
        let pointer = malloc(60 << 20, FIRST).unwrap();
        upload(pointer.wrapping_byte_add(59 << 20), &[1, 2, 3]);
        assert_eq!(download(pointer, 1), [0xcb]);
        ok!(aclrtFree, pointer);
    }
}

#[test]
fn memcpy_answers() {
    let _session = card();
    let device = device_memory(100);
    let mut host = [1u8; 200];
    let place: *mut c_void = host.as_mut_ptr().cast();
    ok!(aclrtMemcpy, ptr::null_mut(), 0, ptr::null(), 0, sys::aclrtMemcpyKind(99));
    assert_eq!(acl!(aclrtMemcpy, device, 50, place, 51, H2D), 107_000);
    assert_eq!(acl!(aclrtMemcpy, device, 0, place, 1, H2D), 107_000);
    for kind in [6, 7, 99] {
        assert_eq!(acl!(aclrtMemcpy, device, 50, place, 50, sys::aclrtMemcpyKind(kind)), 100_000);
    }
    ok!(aclrtMemcpy, device, 1, device, 1, H2D);
    for kind in [H2H, D2H, D2D] {
        // The direction of a blocking copy follows from the addresses.
        ok!(aclrtMemcpy, device, 50, place, 50, kind);
    }
    ok!(aclrtMemcpy, device, 50, place, 50, sys::ACL_MEMCPY_DEFAULT);
    // More than the destination really has: the real runtime does not notice, this one does.
    assert_eq!(acl!(aclrtMemcpy, device, 200, place, 101, H2D), 107_000);
    assert!(message().contains("reach past the end of an allocation of 100 bytes"));
    assert_eq!(acl!(aclrtMemcpy, device.wrapping_byte_add(60), 200, place, 41, H2D), 107_000);
    ok!(aclrtMemcpy, device.wrapping_byte_add(60), 200, place, 40, H2D);
    assert_eq!(acl!(aclrtMemcpy, device.wrapping_byte_add(100), 1, place, 1, H2D), 107_000);
    assert_eq!(acl!(aclrtMemcpy, device.wrapping_byte_sub(1), 1, place, 1, H2D), 107_000);
    ok!(aclrtMemcpy, place, 100, place.wrapping_byte_add(100), 100, H2H);
    ok!(aclrtFree, device);
    assert_eq!(acl!(aclrtMemcpy, place, 1, device, 1, D2H), 107_000);
    assert!(message().contains("is inside no live allocation of device 0"));
}

#[test]
fn plain_host_memory_makes_an_async_copy_wait() {
    let _session = card();
    let (stream, gate, device) = (stream(), Gate::new(), device_memory(8));
    let mut host = [3u8; 8];
    ok!(aclrtMemcpyAsync, device, 8, host.as_ptr().cast(), 8, H2D, stream);
    assert!(is_complete(stream), "nothing is queued: it was copied");
    gate.hold(stream);
    let (carried, memory, opener) = (Carry(stream), Carry(device), &gate);
    let mut context = ptr::null_mut();
    ok!(aclrtGetCurrentContext, &mut context);
    let context = Carry(context);
    std::thread::scope(|scope| {
        let (done, is_done) = std::sync::mpsc::channel();
        let host = &mut host;
        scope.spawn(move || {
            let (carried, memory, context) = (carried, memory, context);
            ok!(aclrtSetCurrentContext, context.0);
            ok!(aclrtMemcpyAsync, host.as_mut_ptr().cast(), 8, memory.0, 8, D2H, carried.0);
            done.send(()).unwrap();
        });
        assert!(is_done.recv_timeout(std::time::Duration::from_millis(50)).is_err());
        opener.open();
        is_done.recv().unwrap();
    });
    let pinned = pinned(8);
    assert_eq!(acl!(aclrtMemcpyAsync, host.as_mut_ptr().cast(), 8, pinned, 8, H2H, stream), 207_000);
    ok!(aclrtFreeHost, pinned);
    ok!(aclrtFree, device);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn staged_copies_read_their_source_at_once() {
    let _session = card();
    let (stream, gate, device) = (stream(), Gate::new(), device_memory(8));
    let mut host = [3u8; 8];
    gate.hold(stream);
    ok!(aclrtMemcpyAsync, device, 8, host.as_ptr().cast(), 8, sys::ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE, stream);
    host.fill(4);
    gate.open();
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(download(device, 8), [3; 8]);
    ok!(aclrtFree, device);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn pinned_memory_freed_under_a_copy() {
    let _session = card();
    let (stream, gate) = (stream(), Gate::new());
    let (device, from, to) = (device_memory(64), pinned(64), pinned(64));
    upload(device, &[7; 64]);
    bytes(from, 64).fill(1);
    gate.hold(stream);
    ok!(aclrtMemcpyAsync, to, 64, device, 64, D2H, stream);
    ok!(aclrtMemcpyAsync, device, 64, from, 64, H2D, stream);
    ok!(aclrtFreeHost, from);
    ok!(aclrtFreeHost, to);
    // The addresses are not given out again.
    let other = pinned(64);
    assert!(other != from && other != to);
    gate.open();
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(download(device, 64), [0xdd; 64], "what is read is poison");
    assert_eq!(bytes(other, 64), [0xcb; 64]);
    ok!(aclrtFreeHost, other);
    ok!(aclrtFree, device);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn memset() {
    let _session = card();
    let (device, host) = (device_memory(64), pinned(64));
    assert_eq!(acl!(aclrtMemset, device, 4, 1, 5), 107_000);
    assert_eq!(acl!(aclrtMemset, device, 65, 1, 65), 107_000);
    ok!(aclrtMemset, device, 64, 0x1ff, 32);
    assert_eq!(download(device, 64), [[0xff; 32], [0xcb; 32]].concat());
    ok!(aclrtMemset, host, 64, 5, 64);
    assert_eq!(bytes(host, 64), [5; 64]);
    let mut plain = [0u8; 4];
    ok!(aclrtMemset, plain.as_mut_ptr().cast(), 4, 1, 4);
    assert_eq!(plain, [1; 4]);
    ok!(aclrtFree, device);
    ok!(aclrtFreeHost, host);
}

#[test]
fn two_dimensions() {
    let _session = card();
    let (device, host) = (device_memory(3 * 10 + 4), pinned(12));
    ok!(aclrtMemset, device, 34, 0, 34);
    let source: Vec<u8> = (1..=12).collect();
    ok!(aclrtMemcpy2d, device, 10, source.as_ptr().cast(), 4, 4, 3, H2D);
    assert_eq!(
        download(device, 24),
        [vec![1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 9, 10, 11, 12]].concat()
    );
    ok!(aclrtMemcpy2dAsync, host, 4, device, 10, 4, 3, D2H, ptr::null_mut());
    ok!(aclrtSynchronizeStream, ptr::null_mut());
    assert_eq!(bytes(host, 12), source);
    assert_eq!(acl!(aclrtMemcpy2d, device, 3, host, 4, 4, 3, H2D), 100_000);
    assert_eq!(
        acl!(aclrtMemcpy2d, device, 16, host, 4, 4, 3, H2D),
        107_000,
        "the last row reaches past the end"
    );
    assert_eq!(acl!(aclrtMemcpy2d, device, 10, host, 4, 4, 3, D2D), 207_000);
    assert_eq!(acl!(aclrtMemcpy2dAsync, device, 10, device, 10, 4, 2, D2D, ptr::null_mut()), 207_000);
    assert_eq!(acl!(aclrtMemcpy2d, device, 10, host, 4, 4, 3, H2H), 100_000);
    ok!(aclrtMemcpy2d, ptr::null_mut(), 0, ptr::null(), 0, 0, 5, H2D);
    ok!(aclrtFree, device);
    ok!(aclrtFreeHost, host);
}

#[test]
fn between_devices() {
    let _session = card();
    let near = device_memory(16);
    upload(near, &[9; 16]);
    let copy = device_memory(16);
    ok!(aclrtMemcpyAsync, copy, 16, near, 16, D2D, ptr::null_mut());
    ok!(aclrtSynchronizeStream, ptr::null_mut());
    assert_eq!(download(copy, 16), [9; 16]);
    ok!(aclrtSetDevice, 1);
    let far = device_memory(16);
    assert_eq!(acl!(aclrtMemcpy, far, 16, near, 16, D2D), 107_000);
    assert!(message().contains("aclrtDeviceEnablePeerAccess"));
    ok!(aclrtDeviceEnablePeerAccess, 0, 0);
    let mut status = 9;
    ok!(aclrtDevicePeerAccessStatus, 1, 0, &mut status);
    assert_eq!(status, 1);
    ok!(aclrtDevicePeerAccessStatus, 0, 1, &mut status);
    assert_eq!(status, 0, "one direction only");
    ok!(aclrtMemcpy, far, 16, near, 16, D2D);
    ok!(aclrtMemcpyAsync, far, 16, near, 16, D2D, ptr::null_mut());
    ok!(aclrtSynchronizeStream, ptr::null_mut());
    assert_eq!(download(far, 16), [9; 16]);
    ok!(aclrtDeviceDisablePeerAccess, 0);
    assert_eq!(acl!(aclrtMemcpyAsync, far, 16, near, 16, D2D, ptr::null_mut()), 107_000);
    for pointer in [near, copy, far] {
        ok!(aclrtFree, pointer);
    }
    ok!(aclrtResetDevice, 1);
}

#[test]
fn freeing_needs_no_context() {
    let _session = card();
    let (device, host) = (Carry(device_memory(8)), Carry(pinned(8)));
    std::thread::spawn(move || {
        let (device, host) = (device, host);
        ok!(aclrtFree, device.0);
        ok!(aclrtFreeHost, host.0);
    })
    .join()
    .unwrap();
}

#[test]
fn host_access_maps_device_memory() {
    let _session = session(Config::new().host_access(true).memory(16 << 20));
    ok!(aclrtSetDevice, 0);
    let device = device_memory(64);
    assert_eq!(bytes(device, 64), [0xcb; 64]);
    bytes(device, 64).fill(3);
    assert_eq!(download(device, 64), [3; 64]);
    ok!(aclrtFree, device);
}

#[test]
fn more_pinned_memory_than_the_machine_has_is_refused() {
    let _session = card();
    let mut host = ptr::null_mut();
    assert_eq!(acl!(aclrtMallocHost, &mut host, 1 << 46), 207_001);
}
