//! Streams that wait for values in device memory, and what writes them.

mod common;

use core::ffi::c_void;
use std::ptr;
use std::thread;
use std::time::Duration;

use common::*;

const GEQ: u32 = sys::ACL_STREAM_WAIT_VALUE_GEQ;
const EQ: u32 = sys::ACL_STREAM_WAIT_VALUE_EQ;
const AND: u32 = sys::ACL_STREAM_WAIT_VALUE_AND;
const NOR: u32 = sys::ACL_STREAM_WAIT_VALUE_NOR;

fn settle() {
    thread::sleep(Duration::from_millis(20));
}

/// Device memory with one value.
fn value(value: u64) -> *mut c_void {
    let memory = device_memory(64);
    put(memory, value);
    memory
}

fn put(memory: *mut c_void, value: u64) {
    let from = (&raw const value).cast();
    ok!(aclrtMemcpy, memory, 8, from, 8, sys::ACL_MEMCPY_HOST_TO_DEVICE);
}

fn get(memory: *mut c_void) -> u64 {
    let mut value = 0u64;
    ok!(aclrtMemcpy, (&raw mut value).cast(), 8, memory, 8, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    value
}

#[test]
fn conditions() {
    let _session = full();
    let stream = stream();
    // Value in memory, value to compare, condition, whether the stream goes on.
    for (now, compared, how, passes) in [
        (5, 5, GEQ, true),
        (4, 5, GEQ, false),
        (u64::MAX, 0, GEQ, false),
        (0, u64::MAX, GEQ, true),
        (7, 7, EQ, true),
        (6, 7, EQ, false),
        (6, 3, AND, true),
        (4, 3, AND, false),
        (u64::MAX - 1, 0, NOR, true),
        (u64::MAX - 1, 1, NOR, false),
    ] {
        let memory = value(now);
        ok!(aclrtValueWait, memory, compared, how, stream);
        if passes {
            ok!(aclrtSynchronizeStream, stream);
        } else {
            settle();
            assert!(!is_complete(stream), "{now:#x} {compared:#x} {how}");
            // Every condition lets some value of these pass.
            for value in [compared, 0, u64::MAX] {
                put(memory, value);
            }
            ok!(aclrtSynchronizeStream, stream);
        }
        ok!(aclrtFree, memory);
    }
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn whatever_writes_the_memory_wakes() {
    let _session = full();
    let (waiting, other) = (stream(), stream());
    let memory = value(0);
    let source = pinned(8);
    bytes(source, 8).copy_from_slice(&3u64.to_le_bytes());
    // A value write of a stream.
    ok!(aclrtValueWait, memory, 1, EQ, waiting);
    ok!(aclrtValueWrite, memory, 1, 0, other);
    ok!(aclrtSynchronizeStream, waiting);
    // A memset and a copy of a stream.
    ok!(aclrtValueWait, memory, 0x0202_0202_0202_0202, EQ, waiting);
    ok!(aclrtMemsetAsync, memory, 8, 2, 8, other);
    ok!(aclrtSynchronizeStream, waiting);
    ok!(aclrtValueWait, memory, 3, EQ, waiting);
    ok!(aclrtMemcpyAsync, memory, 8, source, 8, sys::ACL_MEMCPY_HOST_TO_DEVICE, other);
    ok!(aclrtSynchronizeStream, waiting);
    // The host.
    ok!(aclrtValueWait, memory, 4, EQ, waiting);
    put(memory, 4);
    ok!(aclrtSynchronizeStream, waiting);
    // In the middle of an allocation, and many at once.
    let middle = memory.wrapping_byte_add(8);
    put(middle, 0);
    let streams: Vec<_> = (0..20).map(|_| stream()).collect();
    for (number, stream) in streams.iter().enumerate() {
        ok!(aclrtValueWait, middle, number as u64 + 1, GEQ, *stream);
        ok!(aclrtValueWrite, middle, number as u64 + 2, 0, *stream);
    }
    ok!(aclrtValueWrite, middle, 1, 0, other);
    for stream in &streams {
        ok!(aclrtSynchronizeStream, *stream);
        ok!(aclrtDestroyStream, *stream);
    }
    assert_eq!(get(middle), 21);
    ok!(aclrtFree, memory);
    ok!(aclrtFreeHost, source);
    ok!(aclrtDestroyStream, waiting);
    ok!(aclrtDestroyStream, other);
}

#[test]
fn the_host_writes_plainly_where_it_can() {
    let _session = session(Config::new().profile(Profile::full()).host_access(true));
    ok!(aclrtSetDevice, 0);
    let (stream, memory) = (stream(), value(0));
    ok!(aclrtValueWait, memory, 9, EQ, stream);
    settle();
    // SAFETY: the memory is 64 bytes long, and with host access the host may write it.
    unsafe { memory.cast::<u64>().write_volatile(9) };
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtFree, memory);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn memory_that_goes_away_is_an_error() {
    let _session = full();
    let (stream, memory) = (stream(), value(0));
    ok!(aclrtValueWait, memory, 9, EQ, stream);
    settle();
    ok!(aclrtFree, memory);
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 507_013);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn checks() {
    let _session = full();
    let (stream, memory, host) = (stream(), value(0), pinned(8));
    let null = ptr::null_mut();
    assert_eq!(acl!(aclrtValueWrite, null, 0, 9, memory), 100_000);
    assert_eq!(acl!(aclrtValueWait, null, 0, 9, memory), 100_000);
    assert_eq!(acl!(aclrtValueWrite, memory, 0, 9, memory), 107_017);
    assert_eq!(acl!(aclrtValueWrite, memory, 0, 1, stream), 107_000);
    assert_eq!(acl!(aclrtValueWait, memory, 0, 4, stream), 107_000);
    assert_eq!(acl!(aclrtValueWrite, host, 0, 0, stream), 107_000);
    assert_eq!(acl!(aclrtValueWait, host, 0, EQ, stream), 107_000);
    let (mut own, mut other) = (null, null);
    ok!(aclrtGetCurrentContext, &mut own);
    ok!(aclrtCreateContext, &mut other, 0);
    assert_eq!(acl!(aclrtValueWrite, memory, 0, 0, stream), 107_003);
    assert_eq!(acl!(aclrtValueWait, memory, 0, EQ, stream), 107_003);
    ok!(aclrtDestroyContext, other);
    ok!(aclrtSetCurrentContext, own);
    // The default stream is a stream.
    ok!(aclrtValueWait, memory, 5, EQ, null);
    ok!(aclrtValueWrite, memory, 5, 0, stream);
    ok!(aclrtSynchronizeStream, null);
    ok!(aclrtFree, memory);
    ok!(aclrtFreeHost, host);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn older_chips_have_none() {
    let _session = card();
    let memory = device_memory(8);
    assert_eq!(acl!(aclrtValueWrite, memory, 0, 0, ptr::null_mut()), 207_000);
    assert_eq!(acl!(aclrtValueWait, memory, 0, EQ, ptr::null_mut()), 207_000);
    ok!(aclrtFree, memory);
}
