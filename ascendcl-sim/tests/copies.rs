//! Copies and fills: the order of their checks, and what each kind does with each kind of memory.

mod common;

use core::ffi::c_void;
use std::ptr;
use std::thread;

use common::*;

const H2H: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_HOST_TO_HOST;
const H2D: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_HOST_TO_DEVICE;
const D2H: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_DEVICE_TO_HOST;
const D2D: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_DEVICE_TO_DEVICE;
const ANY: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_DEFAULT;
const STAGED: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE;
const UNKNOWN: sys::aclrtMemcpyKind = sys::aclrtMemcpyKind(77);
const NULL: *mut c_void = ptr::null_mut();

fn garbage() -> aclrtStream {
    ptr::without_provenance_mut(0x1234)
}

/// What a thread without a context gets.
fn without_context<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(body).join().unwrap())
}

#[test]
fn blocking_copies_check_in_this_order() {
    let _session = card();
    let (a, b) = ([1u8; 16], [2u8; 16]);
    let from = Carry(a.as_ptr().cast_mut().cast());
    let to = Carry(b.as_ptr().cast_mut().cast());
    without_context(move || {
        let (from, to) = ({ from }.0, { to }.0);
        ok!(aclrtMemcpy, NULL, 0, NULL, 0, UNKNOWN);
        assert_eq!(acl!(aclrtMemcpy, NULL, 1, from, 2, UNKNOWN), 100_000);
        assert_eq!(acl!(aclrtMemcpy, to, 1, from, 2, UNKNOWN), 100_000);
        assert_eq!(acl!(aclrtMemcpy, to, 1, from, 2, H2H), 107_000, "capacity comes before the context");
        ok!(aclrtMemcpy, to, 2, to, 2, H2H);
        assert_eq!(acl!(aclrtMemcpy, to, 2, from, 2, H2H), 107_002);
    });
}

#[test]
fn blocking_copies_go_by_the_addresses() {
    let _session = card();
    let (device, host) = (device_memory(16), pinned(16));
    let mut plain = [7u8; 16];
    let there: *mut c_void = plain.as_mut_ptr().cast();
    for kind in [H2H, H2D, D2H, D2D, ANY] {
        plain.fill(7);
        ok!(aclrtMemcpy, device, 16, there, 16, kind);
        ok!(aclrtMemcpy, host, 16, device, 16, kind);
        assert_eq!(bytes(host, 16), [7; 16]);
        bytes(host, 16).fill(9);
        ok!(aclrtMemcpy, there, 16, host, 16, kind);
        assert_eq!(plain, [9; 16]);
    }
    ok!(aclrtFree, device);
    ok!(aclrtFreeHost, host);
}

#[test]
fn asynchronous_copies_check_in_this_order() {
    let _session = card();
    let mut plain = [0u8; 16];
    let host: *mut c_void = plain.as_mut_ptr().cast();
    let carried = Carry(host);
    without_context(move || {
        let host = { carried }.0;
        ok!(aclrtMemcpyAsync, NULL, 0, NULL, 0, UNKNOWN, garbage());
        assert_eq!(acl!(aclrtMemcpyAsync, NULL, 1, host, 2, H2D, garbage()), 100_000);
        assert_eq!(acl!(aclrtMemcpyAsync, host, 1, host, 2, H2D, garbage()), 107_017);
        assert_eq!(acl!(aclrtMemcpyAsync, host, 1, host, 2, H2D, ptr::null_mut()), 107_000);
        assert_eq!(acl!(aclrtMemcpyAsync, host, 2, host, 2, H2D, ptr::null_mut()), 107_002);
    });
    let stream = stream();
    let device = device_memory(16);
    assert_eq!(acl!(aclrtMemcpyAsync, device, 16, host, 16, H2H, stream), 107_000);
    assert_eq!(acl!(aclrtMemcpyAsync, device, 16, host, 16, D2H, stream), 107_000);
    assert_eq!(acl!(aclrtMemcpyAsync, host, 16, device, 16, H2D, stream), 107_000);
    assert_eq!(acl!(aclrtMemcpyAsync, host, 16, device, 16, STAGED, stream), 107_000);
    // The wrong kind passes where one of the addresses is told right.
    ok!(aclrtMemcpyAsync, device, 16, host, 16, D2D, stream);
    ok!(aclrtMemcpyAsyncWithCondition, device, 16, host, 16, ANY, stream);
    let pinned = pinned(16);
    assert_eq!(acl!(aclrtMemcpyAsync, pinned, 16, pinned.wrapping_byte_add(8), 8, H2D, stream), 207_000);
    ok!(aclrtMemcpyAsync, pinned, 16, device, 16, H2D, stream);
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtFreeHost, pinned);
    ok!(aclrtFree, device);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn memset_checks_in_this_order() {
    let _session = card();
    let host = pinned(16);
    let carried = Carry(host);
    without_context(move || {
        let host = { carried }.0;
        ok!(aclrtMemset, NULL, 0, 1, 0);
        assert_eq!(acl!(aclrtMemset, NULL, 1, 1, 2), 100_000);
        assert_eq!(acl!(aclrtMemset, host, 1, 1, 2), 107_002);
        assert_eq!(acl!(aclrtMemsetAsync, host, 1, 1, 2, garbage()), 107_017);
        assert_eq!(acl!(aclrtMemsetAsync, host, 1, 1, 2, ptr::null_mut()), 107_000);
        assert_eq!(acl!(aclrtMemsetAsync, host, 2, 1, 2, ptr::null_mut()), 107_002);
    });
    assert_eq!(acl!(aclrtMemset, host, 1, 1, 2), 107_000);
    // Host memory is filled by the call, whatever the stream has to do.
    let (stream, gate) = (stream(), Gate::new());
    gate.hold(stream);
    ok!(aclrtMemsetAsync, host, 16, 0x1234, 16, stream);
    assert_eq!(bytes(host, 16), [0x34; 16]);
    gate.open();
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtFreeHost, host);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn words_are_filled() {
    let _session = full();
    let (stream, device) = (stream(), device_memory(64));
    ok!(aclrtMemsetD32, device, 64, 0, 0);
    assert_eq!(acl!(aclrtMemsetD32, NULL, 64, 0, 1), 100_000);
    assert_eq!(acl!(aclrtMemsetD32, device.wrapping_byte_add(2), 62, 0, 1), 100_000);
    assert_eq!(acl!(aclrtMemsetD32, device, 7, 0, 2), 100_000);
    let mut plain = [0u32; 4];
    assert_eq!(acl!(aclrtMemsetD32, plain.as_mut_ptr().cast(), 16, 0, 4), 100_000);
    ok!(aclrtMemsetD32, device, 64, 0x0403_0201, 16);
    ok!(aclrtMemsetD32Async, device.wrapping_byte_add(4), 60, 0x0807_0605, 1, stream);
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(download(device, 12), [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4]);
    ok!(aclrtFree, device);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn rows_have_limits() {
    let _session = full();
    let (stream, device, host) = (stream(), device_memory(64), pinned(64));
    ok!(aclrtMemcpy2d, NULL, 0, NULL, 0, 0, 4, UNKNOWN);
    assert_eq!(acl!(aclrtMemcpy2d, NULL, 8, host, 8, 4, 4, H2D), 100_000);
    assert_eq!(acl!(aclrtMemcpy2d, device, 3, host, 8, 4, 4, H2D), 100_000);
    assert_eq!(acl!(aclrtMemcpy2d, device, 8, host, 8, 4, 4, H2H), 100_000);
    assert_eq!(acl!(aclrtMemcpy2d, device, 8, host, 8, 4, 5_242_881, H2D), 107_000);
    assert_eq!(acl!(aclrtMemcpy2d, device, 8, host, 8, 4, 4, D2D), 207_000);
    assert_eq!(acl!(aclrtMemcpy2dAsync, device, 8, host, 8, 4, 4, H2D, garbage()), 107_017);
    bytes(host, 64).iter_mut().zip(0..).for_each(|(byte, index)| *byte = index);
    ok!(aclrtMemset, device, 64, 0, 64);
    ok!(aclrtMemcpy2dAsync, device, 4, host, 8, 2, 3, ANY, stream);
    ok!(aclrtMemcpy2dAsync, device.wrapping_byte_add(32), 8, device, 4, 2, 2, D2D, stream);
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(download(device, 12), [0, 1, 0, 0, 8, 9, 0, 0, 16, 17, 0, 0]);
    assert_eq!(download(device.wrapping_byte_add(32), 12), [0, 1, 0, 0, 0, 0, 0, 0, 8, 9, 0, 0]);
    ok!(aclrtFreeHost, host);
    ok!(aclrtFree, device);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn descriptors() {
    let _session = full();
    const INNER: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_INNER_DEVICE_TO_DEVICE;
    let stream = stream();
    let mut size = 0;
    assert_eq!(acl!(aclrtGetMemcpyDescSize, INNER, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtGetMemcpyDescSize, UNKNOWN, &mut size), 100_000);
    assert_eq!(acl!(aclrtGetMemcpyDescSize, D2D, &mut size), 207_000);
    ok!(aclrtGetMemcpyDescSize, INNER, &mut size);
    assert_eq!(size, 32);
    let (desc, from, to) = (device_memory(size), device_memory(16), device_memory(16));
    let host = pinned(16);
    upload(from, &[5; 16]);
    assert_eq!(acl!(aclrtSetMemcpyDesc, NULL, INNER, from, to, 16, NULL), 100_000);
    assert_eq!(acl!(aclrtSetMemcpyDesc, desc, INNER, NULL, to, 16, NULL), 100_000);
    assert_eq!(acl!(aclrtSetMemcpyDesc, desc, INNER, from, to, 0, NULL), 100_000);
    assert_eq!(acl!(aclrtSetMemcpyDesc, desc, INNER, from, to, 16, host), 100_000);
    assert_eq!(acl!(aclrtSetMemcpyDesc, desc, D2D, from, to, 16, NULL), 207_000);
    assert_eq!(acl!(aclrtSetMemcpyDesc, host, INNER, from, to, 16, NULL), 107_000);
    assert_eq!(acl!(aclrtSetMemcpyDesc, desc, INNER, host, to, 16, NULL), 107_000);
    ok!(aclrtSetMemcpyDesc, desc, INNER, from, to, 16, NULL);
    assert_eq!(acl!(aclrtMemcpyAsyncWithDesc, desc, INNER, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtMemcpyAsyncWithDesc, desc, INNER, garbage()), 107_017);
    ok!(aclrtMemcpyAsyncWithDesc, desc, INNER, stream);
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(download(to, 16), [5; 16]);
    // Memory that nobody described: the engine does not get far.
    ok!(aclrtMemset, desc, 32, 0, 32);
    ok!(aclrtMemcpyAsyncWithDesc, desc, INNER, stream);
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 507_013);
    // Addresses in device memory, with offsets.
    let cells = device_memory(16);
    upload(cells, &[to.addr().to_le_bytes(), from.addr().to_le_bytes()].concat());
    let (there, here) = (cells.cast(), cells.wrapping_byte_add(8).cast());
    upload(from, &[1, 2, 3, 4]);
    ok!(aclrtMemcpyAsyncWithOffset, there, 0, 0, here, 0, 0, UNKNOWN, garbage());
    assert_eq!(acl!(aclrtMemcpyAsyncWithOffset, there, 16, 0, here, 4, 0, D2D, garbage()), 107_000);
    assert_eq!(acl!(aclrtMemcpyAsyncWithOffset, there, 16, 0, here, 4, 0, INNER, garbage()), 107_017);
    assert_eq!(acl!(aclrtMemcpyAsyncWithOffset, there, 16, 13, here, 4, 0, INNER, stream), 107_000);
    ok!(aclrtMemcpyAsyncWithOffset, there, 16, 12, here, 4, 0, INNER, stream);
    ok!(aclrtMemcpyAsyncWithOffset, there, 16, 0, here, 2, 2, INNER, stream);
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(download(to, 16), [3, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 1, 2, 3, 4]);
    for pointer in [desc, from, to, cells] {
        ok!(aclrtFree, pointer);
    }
    ok!(aclrtFreeHost, host);
    ok!(aclrtDestroyStream, stream);
}
