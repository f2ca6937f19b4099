//! Injected faults: each kind does what it says, at the call it is meant for.

mod common;

use core::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ascendcl_sim::{Fault, FaultKind};
use common::*;

fn with(faults: &[Fault]) -> Session {
    let config = faults
        .iter()
        .fold(Config::new().profile(Profile::full()), |config, fault| config.fault(fault.clone()));
    let session = session(config);
    ok!(aclrtSetDevice, 0);
    session
}

static CALLS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn count(_: *mut c_void) {
    CALLS.fetch_add(1, Ordering::SeqCst);
}

fn launch(stream: aclrtStream) -> aclError {
    acl!(aclrtLaunchCallback, Some(count), std::ptr::null_mut(), sys::ACL_CALLBACK_BLOCK, stream)
}

#[test]
fn the_nth_call_fails_before_or_after_its_work() {
    let _session = with(&[
        Fault::nth("aclrtMalloc", 2, FaultKind::Error(507_899)),
        Fault::from_nth("aclrtMallocHost", 2, FaultKind::NoMemory),
        Fault::nth("aclrtMemsetAsync", 1, FaultKind::ErrorAfter(507_015)),
    ]);
    let memory = device_memory(64);
    let mut pointer = std::ptr::null_mut();
    assert_eq!(acl!(aclrtMalloc, &mut pointer, 64, sys::ACL_MEM_MALLOC_HUGE_FIRST), 507_899);
    assert!(pointer.is_null());
    assert!(message().contains("the configuration of the simulator makes aclrtMalloc fail"));
    ok!(aclrtFree, device_memory(64));
    let host = pinned(64);
    for _ in 0..2 {
        assert_eq!(acl!(aclrtMallocHost, &mut pointer, 64), 207_001);
    }
    let stream = stream();
    ok!(aclrtMemset, memory, 64, 1, 64);
    assert_eq!(acl!(aclrtMemsetAsync, memory, 64, 7, 64, stream), 507_015);
    // It was queued all the same.
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtMemcpy, host, 64, memory, 64, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    assert_eq!(bytes(host, 64), [7; 64]);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtFree, memory);
    ok!(aclrtFreeHost, host);
}

#[test]
fn callbacks_come_twice_late_or_never() {
    let _session = with(&[
        Fault::nth("aclrtLaunchCallback", 1, FaultKind::DuplicateReport),
        Fault::nth("aclrtLaunchCallback", 2, FaultKind::DelayReport(Duration::from_millis(30))),
        Fault::nth("aclrtLaunchCallback", 4, FaultKind::LoseReport),
    ]);
    let (reporter, stream) = (Reporter::start(), stream());
    ok!(aclrtSubscribeReport, reporter.id, stream);
    CALLS.store(0, Ordering::SeqCst);
    for expected in [2, 3, 4] {
        assert_eq!(launch(stream), 0);
        ok!(aclrtSynchronizeStream, stream);
        assert_eq!(CALLS.load(Ordering::SeqCst), expected);
    }
    assert_eq!(launch(stream), 0);
    assert_eq!(acl!(aclrtSynchronizeStreamWithTimeout, stream, 50), 507_046);
    assert_eq!(CALLS.load(Ordering::SeqCst), 4);
    ok!(aclrtDestroyStreamForce, stream);
    drop(reporter);
}

#[test]
fn a_stream_stops() {
    let _session = with(&[Fault::nth("aclrtMemsetAsync", 2, FaultKind::StopStream)]);
    let (stream, memory, host) = (stream(), device_memory(64), pinned(64));
    for value in [1, 2, 3] {
        ok!(aclrtMemsetAsync, memory, 64, value, 64, stream);
    }
    assert_eq!(acl!(aclrtSynchronizeStreamWithTimeout, stream, 50), 507_046);
    assert!(!is_complete(stream));
    ok!(aclrtMemcpy, host, 64, memory, 64, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    assert_eq!(bytes(host, 64), [1; 64], "only what was queued before the stop is done");
    ok!(aclrtDestroyStreamForce, stream);
    ok!(aclrtFree, memory);
    ok!(aclrtFreeHost, host);
}

#[test]
fn a_device_is_lost_until_it_is_reset() {
    let _session = with(&[Fault::nth("aclrtRecordEvent", 1, FaultKind::LoseDevice)]);
    let (busy, event, memory) = (stream(), event(), device_memory(64));
    let gate = Gate::new();
    gate.hold(busy);
    ok!(aclrtMemsetAsync, memory, 64, 1, 64, busy);
    let waiting = std::thread::spawn({
        let busy = Carry(busy);
        move || {
            let busy = busy;
            ok!(aclrtSetDevice, 0);
            acl!(aclrtSynchronizeStream, busy.0)
        }
    });
    assert_eq!(acl!(aclrtRecordEvent, event, busy), 507_010);
    assert_eq!(waiting.join().unwrap(), 507_010, "whoever waits is told");
    assert_eq!(acl!(aclrtMemset, memory, 64, 1, 64), 507_010);
    assert_eq!(acl!(aclrtMemsetAsync, memory, 64, 1, 64, busy), 507_010);
    assert_eq!(acl!(aclrtSynchronizeEvent, event), 507_010);
    std::mem::forget(gate);
    ok!(aclrtResetDeviceForce, 0);
    ok!(aclrtSetDevice, 0);
    let memory = device_memory(64);
    ok!(aclrtMemset, memory, 64, 1, 64);
    ok!(aclrtFree, memory);
}

#[test]
fn a_symbol_is_missing() {
    let session = with(&["aclrtCreateEventExWithFlag=missing".parse().unwrap()]);
    assert!(api().aclrtCreateEventExWithFlag.is_none());
    assert!(api().aclrtCreateEvent.is_some());
    drop(session);
    let _session = full();
    assert!(api().aclrtCreateEventExWithFlag.is_some());
}
