//! Streams: order, waiting, failure, and how they end.

mod common;

use std::ptr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::*;

const TO_DEVICE: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_HOST_TO_DEVICE;
const TO_HOST: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_DEVICE_TO_HOST;

/// Queues a task that fails: a copy out of memory that is freed before the stream gets there.
fn queue_failure(stream: aclrtStream, gate: &Gate) {
    let (device, host) = (device_memory(64), pinned(64));
    gate.hold(stream);
    ok!(aclrtMemcpyAsync, host, 64, device, 64, TO_HOST, stream);
    ok!(aclrtFree, device);
    ok!(aclrtFreeHost, host);
}

#[test]
fn timeouts() {
    let _session = card();
    let (stream, gate) = (stream(), Gate::new());
    for timeout in [0, -2] {
        assert_eq!(acl!(aclrtSynchronizeStreamWithTimeout, stream, timeout), 107_000);
        assert_eq!(acl!(aclrtSynchronizeDeviceWithTimeout, timeout), 107_000);
    }
    ok!(aclrtSynchronizeStreamWithTimeout, stream, -1);
    gate.hold(stream);
    assert!(!is_complete(stream));
    let start = Instant::now();
    assert_eq!(acl!(aclrtSynchronizeStreamWithTimeout, stream, 30), 507_046);
    assert_eq!(acl!(aclrtSynchronizeDeviceWithTimeout, 30), 507_046);
    assert!(start.elapsed() >= Duration::from_millis(60));
    gate.open();
    ok!(aclrtSynchronizeDeviceWithTimeout, 10_000);
    assert!(is_complete(stream));
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn copies_read_their_source_late() {
    let _session = card();
    let (stream, gate) = (stream(), Gate::new());
    let (device, from, to) = (device_memory(16), pinned(16), pinned(16));
    bytes(from, 16).fill(1);
    gate.hold(stream);
    ok!(aclrtMemcpyAsync, device, 16, from, 16, TO_DEVICE, stream);
    bytes(from, 16).fill(2);
    ok!(aclrtMemcpyAsync, to, 16, device, 16, TO_HOST, stream);
    assert_eq!(bytes(to, 16), [0xcb; 16], "fresh memory is poison");
    gate.open();
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(bytes(to, 16), [2; 16]);
    ok!(aclrtFree, device);
    ok!(aclrtFreeHost, from);
    ok!(aclrtFreeHost, to);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn failures_appear_at_the_next_synchronisation() {
    let _session = card();
    let (stream, gate) = (stream(), Gate::new());
    queue_failure(stream, &gate);
    let set = device_memory(4);
    ok!(aclrtMemsetAsync, set, 4, 7, 4, stream);
    gate.open();
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 507_013);
    let text = message();
    assert!(text.starts_with("EE9999: "), "{text}");
    assert!(text.contains("was freed before the queued work that uses it ran"), "{text}");
    assert!(text.contains("aclrtSynchronizeStream failed"), "{text}");
    assert_eq!(acl!(aclrtGetLastError, sys::ACL_RT_THREAD_LEVEL), 507_013);
    ok!(aclrtSynchronizeStream, stream);
    let mut value = [0u8; 4];
    ok!(aclrtMemcpy, value.as_mut_ptr().cast(), 4, set, 4, TO_HOST);
    assert_eq!(value, [7; 4], "the stream went on");
    ok!(aclrtFree, set);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn stop_on_failure_stops_the_context() {
    let _session = card();
    assert_eq!(acl!(aclrtSetStreamFailureMode, ptr::null_mut(), 1), 207_000);
    let (mut primary, mut context) = (ptr::null_mut(), ptr::null_mut());
    ok!(aclrtGetCurrentContext, &mut primary);
    let gate = Gate::new();
    ok!(aclrtCreateContext, &mut context, 0);
    let (one, two) = (stream(), stream());
    ok!(aclrtSetStreamFailureMode, one, 2);
    ok!(aclrtSetStreamFailureMode, one, 1);
    ok!(aclrtSetStreamFailureMode, one, 3);
    assert_eq!(acl!(aclrtSetStreamFailureMode, one, 0), 207_000, "it stays so");
    let (never, event) = (flagged(sys::ACL_EVENT_SYNC), event());
    ok!(aclrtStreamWaitEvent, two, never);
    ok!(aclrtRecordEvent, event, two);
    queue_failure(one, &gate);
    ok!(aclrtSetCurrentContext, primary);
    gate.open();
    ok!(aclrtSetCurrentContext, context);
    assert_eq!(acl!(aclrtSynchronizeStream, one), 507_013);
    assert_eq!(acl!(aclrtSynchronizeStream, one), 507_013);
    assert_eq!(acl!(aclrtSynchronizeStream, two), 507_013, "its wait was thrown away");
    ok!(aclrtSynchronizeEvent, event);
    assert_eq!(acl!(aclrtRecordEvent, event, two), 507_013);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtDestroyEvent, never);
    ok!(aclrtDestroyStream, one);
    ok!(aclrtDestroyStream, two);
    ok!(aclrtDestroyContext, context);
    ok!(aclrtSetCurrentContext, primary);
}

#[test]
fn destroy_waits_and_force_does_not() {
    let _session = card();
    let gate = Gate::new();
    let (patient, host, device) = (stream(), pinned(8), device_memory(8));
    ok!(aclrtMemset, device, 8, 3, 8);
    gate.hold(patient);
    ok!(aclrtMemcpyAsync, host, 8, device, 8, TO_HOST, patient);
    let carried = Carry(patient);
    let mut context = ptr::null_mut();
    ok!(aclrtGetCurrentContext, &mut context);
    let context = Carry(context);
    let (done, is_done) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (carried, context) = (carried, context);
            ok!(aclrtSetCurrentContext, context.0);
            ok!(aclrtDestroyStream, carried.0);
            done.send(()).unwrap();
        });
        assert!(is_done.recv_timeout(Duration::from_millis(50)).is_err(), "it waits for the tasks");
        gate.open();
        is_done.recv_timeout(Duration::from_secs(30)).unwrap();
    });
    assert_eq!(bytes(host, 8), [3; 8]);
    gate.close();

    let (hasty, event) = (stream(), event());
    gate.hold(hasty);
    ok!(aclrtMemsetAsync, device, 8, 9, 8, hasty);
    ok!(aclrtRecordEvent, event, hasty);
    ok!(aclrtDestroyStreamForce, hasty);
    gate.open();
    ok!(aclrtSynchronizeEvent, event);
    let mut ms = 0.0;
    assert_eq!(acl!(aclrtEventElapsedTime, &mut ms, event, event), 107_006, "the record never happened");
    ok!(aclrtMemcpy, host, 8, device, 8, TO_HOST);
    assert_eq!(bytes(host, 8), [3; 8], "the memset never happened");
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtFree, device);
    ok!(aclrtFreeHost, host);
}

#[test]
fn a_full_queue_blocks_the_submitter() {
    let _session = card();
    let (stream, gate, device) = (stream(), Gate::new(), device_memory(4));
    let mut context = ptr::null_mut();
    ok!(aclrtGetCurrentContext, &mut context);
    gate.hold(stream);
    let (carried, context, memory) = (Carry(stream), Carry(context), Carry(device));
    let (progress, submitted) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (carried, context, memory) = (carried, context, memory);
            ok!(aclrtSetCurrentContext, context.0);
            for number in 0..5000 {
                ok!(aclrtMemsetAsync, memory.0, 4, number, 4, carried.0);
                progress.send(number).unwrap();
            }
        });
        let mut last = -1;
        while let Ok(number) = submitted.recv_timeout(Duration::from_millis(300)) {
            last = number;
        }
        assert_eq!(last + 1, 4095, "the queue of an Ascend 310 has 4096 entries, one of them the wait");
        gate.open();
        while let Ok(number) = submitted.recv_timeout(Duration::from_secs(10)) {
            last = number;
        }
        assert_eq!(last + 1, 5000);
    });
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtFree, device);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn reset_takes_what_is_left() {
    let _session = card();
    let (one, two) = (stream(), stream());
    let (never, device) = (flagged(sys::ACL_EVENT_SYNC), device_memory(64));
    ok!(aclrtStreamWaitEvent, one, never);
    ok!(aclrtMemsetAsync, device, 64, 1, 64, one);
    ok!(aclrtMemsetAsync, device, 64, 1, 64, two);
    ok!(aclrtResetDevice, 0);
    assert_eq!(live(), []);
    ok!(aclrtSetDevice, 0);
    assert_eq!(acl!(aclrtSynchronizeStream, one), 107_017);
    assert_eq!(acl!(aclrtFree, device), 107_000);
}

#[test]
fn priorities_and_flags() {
    {
        let _session = card();
        let mut stream = ptr::null_mut();
        ok!(aclrtCreateStreamWithConfig, &mut stream, 5, sys::ACL_STREAM_FAST_LAUNCH);
        let (mut priority, mut flags) = (9, 9);
        ok!(aclrtStreamGetPriority, stream, &mut priority);
        ok!(aclrtStreamGetFlags, stream, &mut flags);
        assert_eq!((priority, flags), (0, 0), "an Ascend 310 ignores them");
        ok!(aclrtDestroyStream, stream);
    }
    let _session = full();
    let (mut least, mut greatest) = (9, 9);
    ok!(aclrtDeviceGetStreamPriorityRange, &mut least, &mut greatest);
    assert_eq!((least, greatest), (7, 0));
    let mut stream = ptr::null_mut();
    ok!(aclrtCreateStreamWithConfig, &mut stream, 50, 0x1000_0003);
    let (mut priority, mut flags) = (9, 9);
    ok!(aclrtStreamGetPriority, stream, &mut priority);
    ok!(aclrtStreamGetFlags, stream, &mut flags);
    assert_eq!((priority, flags), (7, 3));
    ok!(aclrtDestroyStream, stream);
}
