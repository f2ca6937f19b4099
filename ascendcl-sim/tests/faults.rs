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
    let other = device_memory(64);
    let across = sys::ACL_MEMCPY_DEVICE_TO_DEVICE;
    assert_eq!(acl!(aclrtMemcpyAsync, other, 64, memory, 64, across, busy), 507_010);
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

#[test]
fn no_memory_for_every_allocation() {
    let functions = [
        "aclrtMalloc",
        "aclrtMallocAlign32",
        "aclrtMallocCached",
        "aclrtMallocHost",
        "aclrtMallocHostWithCfg",
        "aclrtMallocWithCfg",
        "aclrtMallocPhysical",
        "aclrtMemAllocManaged",
        "aclrtReserveMemAddress",
        "aclrtMemPoolCreate",
        "aclrtCreateContext",
        "aclrtCreateStream",
        "aclrtCreateEvent",
        "aclrtCreateNotify",
        "aclCreateDataBuffer",
        "aclCreateTensorDesc",
        "aclmdlCreateDataset",
        "aclmdlCreateDesc",
    ];
    let faults = functions.map(|function| Fault::every(function, FaultKind::NoMemory));
    let _session = with(&faults);
    let (mut made, no_config, policy) =
        (std::ptr::null_mut(), std::ptr::null_mut(), sys::ACL_MEM_MALLOC_HUGE_FIRST);
    let codes = [
        acl!(aclrtMalloc, &mut made, 64, policy),
        acl!(aclrtMallocAlign32, &mut made, 64, policy),
        acl!(aclrtMallocCached, &mut made, 64, policy),
        acl!(aclrtMallocHost, &mut made, 64),
        acl!(aclrtMallocHostWithCfg, &mut made, 64, no_config),
        acl!(aclrtMallocWithCfg, &mut made, 64, policy, no_config),
        acl!(aclrtMallocPhysical, &mut made, 2 << 20, std::ptr::null(), 0),
        acl!(aclrtMemAllocManaged, &mut made, 64, 0),
        acl!(aclrtReserveMemAddress, &mut made, 2 << 20, 0, std::ptr::null_mut(), 0),
        acl!(aclrtMemPoolCreate, &mut made, std::ptr::null()),
        acl!(aclrtCreateContext, &mut made, 0),
        acl!(aclrtCreateStream, &mut made),
        acl!(aclrtCreateEvent, &mut made),
        acl!(aclrtCreateNotify, &mut made, 0),
    ];
    assert_eq!(codes, [207_001; 14]);
    assert!(made.is_null());
    assert!(acl!(aclCreateDataBuffer, std::ptr::null_mut(), 0).is_null());
    assert!(
        acl!(aclCreateTensorDesc, sys::ACL_FLOAT, 0, std::ptr::null(), sys::ACL_FORMAT_ND).is_null(),
        "functions that give a pointer give none"
    );
    assert!(acl!(aclmdlCreateDataset).is_null());
    assert!(acl!(aclmdlCreateDesc).is_null());
}

#[test]
fn several_faults_of_one_function() {
    let _session = with(&[
        Fault::nth("aclrtRecordEvent", 2, FaultKind::Error(507_899)),
        Fault::from_nth("aclrtRecordEvent", 4, FaultKind::ErrorAfter(507_015)),
        Fault::nth("aclrtRecordEvent", 5, FaultKind::Error(1)),
    ]);
    let (event, stream) = (event(), stream());
    let codes = [(); 5].map(|()| acl!(aclrtRecordEvent, event, stream));
    assert_eq!(codes, [0, 507_899, 0, 507_015, 507_015], "the first that fits a call");
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn what_a_chip_lacks_fails_without_a_fault() {
    let session =
        session(Config::new().fault(Fault::every("aclmdlRICaptureBegin", FaultKind::Error(507_899))));
    ok!(aclrtSetDevice, 0);
    let stream = stream();
    let mode = sys::ACL_MODEL_RI_CAPTURE_MODE_RELAXED;
    assert_eq!(acl!(aclmdlRICaptureBegin, stream, mode), 207_000);
    ok!(aclrtDestroyStream, stream);
    drop(session);
}

#[test]
fn a_fault_in_no_function() {
    let _session = full();
    for (name, nearest) in [("aclrtMaloc", "aclrtMalloc"), ("aclRtCreateEvent", "aclrtCreateEvent")] {
        let config = Config::new().fault(Fault::every(name, FaultKind::NoMemory));
        let error = configure(config).unwrap_err().to_string();
        let text = format!("a fault is to be in {name}, which is no function: did you mean {nearest}?");
        assert_eq!(error, text);
    }
}

/// Loses the device in the middle of something, from another thread than the one that it happens to.
fn lose() {
    ok!(aclrtSetDevice, 0);
    let mut status = sys::ACL_STREAM_STATUS_RESERVED;
    acl!(aclrtStreamQuery, std::ptr::null_mut(), &mut status);
}

#[test]
fn a_device_is_lost_in_the_middle_of_callbacks() {
    unsafe extern "C" fn linger(_: *mut c_void) {
        std::thread::sleep(Duration::from_millis(40));
    }
    let _session = with(&[Fault::nth("aclrtStreamQuery", 1, FaultKind::LoseDevice)]);
    let (reporter, stream) = (Reporter::start(), stream());
    ok!(aclrtSubscribeReport, reporter.id, stream);
    for _ in 0..50 {
        ok!(aclrtLaunchCallback, Some(linger), std::ptr::null_mut(), sys::ACL_CALLBACK_BLOCK, stream);
    }
    let losing = std::thread::spawn(lose);
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 507_010);
    losing.join().unwrap();
    assert_eq!(launch(stream), 507_010);
    ok!(aclrtResetDeviceForce, 0);
    drop(reporter);
    ok!(aclrtSetDevice, 0);
}

#[test]
fn a_device_is_lost_in_the_middle_of_copies_and_a_capture() {
    let _session = with(&[Fault::nth("aclrtStreamQuery", 1, FaultKind::LoseDevice)]);
    let (stream, capturing) = (stream(), stream());
    const SIZE: usize = 8 << 20;
    let (memory, host) = (device_memory(SIZE), pinned(SIZE));
    ok!(aclmdlRICaptureBegin, capturing, sys::ACL_MODEL_RI_CAPTURE_MODE_RELAXED);
    ok!(aclrtMemsetAsync, memory, 64, 1, 64, capturing);
    let losing = std::thread::spawn(lose);
    let mut codes = Vec::new();
    while !codes.contains(&507_010) {
        codes.push(acl!(aclrtMemcpyAsync, memory, SIZE, host, SIZE, sys::ACL_MEMCPY_HOST_TO_DEVICE, stream));
        codes.push(acl!(aclrtMemcpy, host, SIZE, memory, SIZE, sys::ACL_MEMCPY_DEVICE_TO_HOST));
    }
    losing.join().unwrap();
    codes.retain(|code| *code != 0 && *code != 507_010);
    assert_eq!(codes, []);
    let mut instance = std::ptr::null_mut();
    // No work of the device's: the capture ends, and cannot be executed.
    ok!(aclmdlRICaptureEnd, capturing, &mut instance);
    assert_eq!(acl!(aclmdlRIExecuteAsync, instance, stream), 507_010);
    ok!(aclrtResetDeviceForce, 0);
    ok!(aclrtFreeHost, host);
    ok!(aclrtSetDevice, 0);
}
