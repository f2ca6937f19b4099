//! The order that notifies, counters and values make between streams, as the race detector and runs with a seed see it.

mod common;

use core::ffi::c_void;
use std::ptr;

use ascendcl_sim::{ReportKind, Reporting, take_reports};
use common::*;

const SIZE: usize = 4096;

fn watched() -> Session {
    let session = session(Config::new().profile(Profile::full()).races(Reporting::Log));
    take_reports();
    ok!(aclrtSetDevice, 0);
    session
}

fn races() -> usize {
    take_reports().into_iter().filter(|report| report.kind == ReportKind::Race).count()
}

/// Writes on one stream and then on another, with `order` in between. How many races there were.
fn races_with(order: impl FnOnce(aclrtStream, aclrtStream)) -> usize {
    let (one, two, memory) = (stream(), stream(), device_memory(SIZE));
    ok!(aclrtMemsetAsync, memory, SIZE, 1, SIZE, one);
    order(one, two);
    ok!(aclrtMemsetAsync, memory, SIZE, 2, SIZE, two);
    ok!(aclrtSynchronizeDevice);
    let found = races();
    ok!(aclrtFree, memory);
    ok!(aclrtDestroyStream, one);
    ok!(aclrtDestroyStream, two);
    found
}

fn value() -> *mut c_void {
    let memory = device_memory(64);
    ok!(aclrtMemset, memory, 64, 0, 64);
    memory
}

#[test]
fn notifies_order() {
    let _session = watched();
    let mut notify = ptr::null_mut();
    ok!(aclrtCreateNotify, &mut notify, 0);
    assert_eq!(races_with(|_, _| {}), 1);
    let ordered = races_with(|one, two| {
        ok!(aclrtRecordNotify, notify, one);
        ok!(aclrtWaitAndResetNotify, notify, two, 0);
    });
    assert_eq!(ordered, 0);
    let recorded_only = races_with(|one, _| ok!(aclrtRecordNotify, notify, one));
    assert_eq!(recorded_only, 1);
    ok!(aclrtDestroyNotify, notify);
}

#[test]
fn counters_order() {
    let _session = watched();
    let mut counter = ptr::null_mut();
    ok!(aclrtCntNotifyCreate, &mut counter, 0);
    let ordered = races_with(|one, two| {
        let mode = sys::ACL_RT_CNT_NOTIFY_RECORD_ADD_MODE;
        let mut info = sys::aclrtCntNotifyRecordInfo { mode, value: 2 };
        ok!(aclrtCntNotifyRecord, counter, one, &mut info);
        let mode = sys::ACL_RT_CNT_NOTIFY_WAIT_EQUAL_MODE;
        let mut info = sys::aclrtCntNotifyWaitInfo { mode, value: 2, timeout: 0, isClear: 1, rsv: [0; 3] };
        ok!(aclrtCntNotifyWaitWithTimeout, counter, two, &mut info);
    });
    assert_eq!(ordered, 0);
    ok!(aclrtCntNotifyDestroy, counter);
}

#[test]
fn values_order() {
    let _session = watched();
    let flag = value();
    let written = races_with(|one, two| {
        ok!(aclrtValueWrite, flag, 1, 0, one);
        ok!(aclrtValueWait, flag, 1, sys::ACL_STREAM_WAIT_VALUE_EQ, two);
    });
    assert_eq!(written, 0);
    // Whatever writes the value, a copy or a memset, passes on what its stream knows.
    let other = value();
    let set = races_with(|one, two| {
        ok!(aclrtMemsetAsync, other, 8, 1, 8, one);
        ok!(aclrtValueWait, other, 0x0101_0101_0101_0101, sys::ACL_STREAM_WAIT_VALUE_EQ, two);
    });
    assert_eq!(set, 0);
    // The host has seen the first stream, and writes the value that the second one waits for.
    let third = value();
    let by_host = races_with(|one, two| {
        ok!(aclrtValueWait, third, 5, sys::ACL_STREAM_WAIT_VALUE_EQ, two);
        ok!(aclrtSynchronizeStream, one);
        let five = 5u64;
        let from = (&raw const five).cast();
        ok!(aclrtMemcpy, third, 8, from, 8, sys::ACL_MEMCPY_HOST_TO_DEVICE);
    });
    assert_eq!(by_host, 0);
    // One that is waited for and never reached orders nothing.
    let unordered = races_with(|one, two| {
        ok!(aclrtValueWrite, flag, 7, 0, one);
        ok!(aclrtValueWait, other, 0, sys::ACL_STREAM_WAIT_VALUE_GEQ, two);
    });
    assert_eq!(unordered, 1);
    for memory in [flag, other, third] {
        ok!(aclrtFree, memory);
    }
}

#[test]
fn runs_with_a_seed() {
    let mut elapsed = Vec::new();
    for _ in 0..3 {
        let _session = session(Config::new().profile(Profile::full()).seed(11));
        ok!(aclrtSetDevice, 0);
        let (one, two, start, end) = (stream(), stream(), event(), event());
        let (flag, data, mut notify) = (value(), device_memory(1 << 20), ptr::null_mut());
        ok!(aclrtCreateNotify, &mut notify, 0);
        ok!(aclrtRecordEvent, start, two);
        ok!(aclrtWaitAndResetNotify, notify, two, 0);
        ok!(aclrtValueWait, flag, 1, sys::ACL_STREAM_WAIT_VALUE_GEQ, two);
        ok!(aclrtRecordEvent, end, two);
        for _ in 0..10 {
            ok!(aclrtMemsetAsync, data, 1 << 20, 1, 1 << 20, one);
        }
        ok!(aclrtRecordNotify, notify, one);
        ok!(aclrtValueWrite, flag, 1, 0, one);
        ok!(aclrtSynchronizeStream, two);
        let mut ms = 0.0;
        ok!(aclrtEventElapsedTime, &mut ms, start, end);
        assert!(ms > 0.0);
        elapsed.push(ms);
        ok!(aclrtDestroyNotify, notify);
        ok!(aclrtFree, flag);
        ok!(aclrtFree, data);
        for event in [start, end] {
            ok!(aclrtDestroyEvent, event);
        }
        for stream in [one, two] {
            ok!(aclrtDestroyStream, stream);
        }
    }
    assert_eq!(elapsed[0], elapsed[1]);
    assert_eq!(elapsed[0], elapsed[2]);
}
