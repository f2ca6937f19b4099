//! Notifies and counters: what wakes which stream, and what each call answers.

mod common;

use core::ffi::c_char;
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use sys::{aclrtCntNotify, aclrtCntNotifyRecordInfo, aclrtCntNotifyWaitInfo, aclrtNotify};

fn notify() -> aclrtNotify {
    let mut notify = ptr::null_mut();
    ok!(aclrtCreateNotify, &mut notify, 0);
    notify
}

fn counter() -> aclrtCntNotify {
    let mut counter = ptr::null_mut();
    ok!(aclrtCntNotifyCreate, &mut counter, 0);
    counter
}

/// Gives streams the time to do what they should not do.
fn settle() {
    thread::sleep(Duration::from_millis(20));
}

#[test]
fn a_record_lets_one_wait_pass() {
    let _session = full();
    let (notify, recorder) = (notify(), stream());
    let waiting = [stream(), stream(), stream()];
    for stream in waiting {
        ok!(aclrtWaitAndResetNotify, notify, stream, 0);
    }
    for passed in 0..=3 {
        settle();
        assert_eq!(waiting.iter().filter(|stream| is_complete(**stream)).count(), passed);
        if passed < 3 {
            ok!(aclrtRecordNotify, notify, recorder);
            ok!(aclrtSynchronizeStream, recorder);
        }
    }
    // A record before the wait is kept, and two are one.
    ok!(aclrtRecordNotify, notify, ptr::null_mut());
    ok!(aclrtRecordNotify, notify, ptr::null_mut());
    ok!(aclrtSynchronizeStream, ptr::null_mut());
    ok!(aclrtWaitAndResetNotify, notify, waiting[0], u32::MAX);
    ok!(aclrtSynchronizeStream, waiting[0]);
    ok!(aclrtWaitAndResetNotify, notify, waiting[0], 0);
    settle();
    assert!(!is_complete(waiting[0]));
    ok!(aclrtDestroyStreamForce, waiting[0]);
    // A stream that gave up takes nothing.
    ok!(aclrtRecordNotify, notify, recorder);
    ok!(aclrtWaitAndResetNotify, notify, waiting[1], 0);
    ok!(aclrtSynchronizeStream, waiting[1]);
    ok!(aclrtDestroyNotify, notify);
    for stream in [recorder, waiting[1], waiting[2]] {
        ok!(aclrtDestroyStream, stream);
    }
}

#[test]
fn a_destroyed_notify_still_serves_its_tasks() {
    let _session = full();
    let (notify, one, two, gate) = (notify(), stream(), stream(), Gate::new());
    gate.hold(one);
    ok!(aclrtRecordNotify, notify, one);
    ok!(aclrtWaitAndResetNotify, notify, two, 0);
    ok!(aclrtDestroyNotify, notify);
    assert_eq!(acl!(aclrtRecordNotify, notify, one), 107_017);
    gate.open();
    ok!(aclrtSynchronizeStream, two);
    ok!(aclrtDestroyStream, one);
    ok!(aclrtDestroyStream, two);
}

#[test]
fn resets_and_time_outs() {
    let _session = full();
    let (one, two, stream) = (notify(), notify(), stream());
    for notify in [one, two] {
        ok!(aclrtRecordNotify, notify, stream);
    }
    ok!(aclrtSynchronizeStream, stream);
    let mut all = [one, two];
    ok!(aclrtNotifyBatchReset, all.as_mut_ptr(), 2);
    ok!(aclrtWaitAndResetNotify, one, stream, 1);
    let start = Instant::now();
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 107_019);
    assert!(start.elapsed() >= Duration::from_millis(900));
    assert!(message().contains("waited 1s for a notify"));
    assert_eq!(acl!(aclrtNotifyBatchReset, ptr::null_mut(), 2), 100_000);
    assert_eq!(acl!(aclrtNotifyBatchReset, all.as_mut_ptr(), 0), 107_000);
    all[1] = ptr::null_mut();
    assert_eq!(acl!(aclrtNotifyBatchReset, all.as_mut_ptr(), 2), 107_000);
    all[1] = stream;
    assert_eq!(acl!(aclrtNotifyBatchReset, all.as_mut_ptr(), 2), 107_017);
    ok!(aclrtDestroyNotify, one);
    ok!(aclrtDestroyNotify, two);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn checks() {
    let _session = full();
    let (good, stream) = (notify(), stream());
    let null = ptr::null_mut();
    let mut out = null;
    let mut id = 77;
    assert_eq!(acl!(aclrtCreateNotify, ptr::null_mut(), 9), 100_000);
    assert_eq!(acl!(aclrtCreateNotify, &mut out, 2), 107_000);
    for wrong in [null, stream] {
        let code = if wrong.is_null() { 100_000 } else { 107_017 };
        assert_eq!(acl!(aclrtDestroyNotify, wrong), code);
        assert_eq!(acl!(aclrtRecordNotify, wrong, stream), code);
        assert_eq!(acl!(aclrtWaitAndResetNotify, wrong, stream, 0), code);
        assert_eq!(acl!(aclrtGetNotifyId, wrong, &mut id), code);
    }
    assert_eq!(acl!(aclrtRecordNotify, good, good), 107_017);
    assert_eq!(acl!(aclrtGetNotifyId, good, ptr::null_mut()), 100_000);
    ok!(aclrtGetNotifyId, good, &mut id);
    assert_ne!(id, 77);
    let (mut own, mut other) = (null, null);
    ok!(aclrtGetCurrentContext, &mut own);
    ok!(aclrtCreateContext, &mut other, 0);
    assert_eq!(acl!(aclrtRecordNotify, good, stream), 107_003);
    assert_eq!(acl!(aclrtWaitAndResetNotify, good, stream, 0), 107_003);
    ok!(aclrtDestroyContext, other);
    assert_eq!(acl!(aclrtRecordNotify, good, stream), 107_002, "this thread has no context now");
    assert_eq!(acl!(aclrtDestroyNotify, good), 107_002);
    assert_eq!(acl!(aclrtCreateNotify, &mut out, 0), 107_002);
    ok!(aclrtSetCurrentContext, own);

    let mut key = [0 as c_char; 65];
    let place = key.as_mut_ptr();
    assert_eq!(acl!(aclrtNotifySetImportPid, good, &mut 1, 1), 107_000, "not exported yet");
    assert_eq!(acl!(aclrtNotifyGetExportKey, good, ptr::null_mut(), 65, 0), 100_000);
    assert_eq!(acl!(aclrtNotifyGetExportKey, good, place, 0, 9), 107_000);
    assert_eq!(acl!(aclrtNotifyGetExportKey, good, place, 65, 1), 107_000);
    assert_eq!(acl!(aclrtNotifyGetExportKey, good, place, 64, 0), 107_000);
    ok!(aclrtNotifyGetExportKey, good, place, 65, 0);
    assert_eq!(acl!(aclrtNotifyGetExportKey, good, place, 65, 0), 507_000, "only once");
    assert_eq!(acl!(aclrtNotifySetImportPid, good, ptr::null_mut(), 1), 100_000);
    assert_eq!(acl!(aclrtNotifySetImportPid, good, &mut 1, 0), 107_000);
    ok!(aclrtNotifySetImportPid, good, &mut 1, 1);
    assert_eq!(acl!(aclrtNotifyImportByKey, &mut out, ptr::null(), 0), 100_000);
    assert_eq!(acl!(aclrtNotifyImportByKey, &mut out, place, 4), 107_000);
    assert_eq!(acl!(aclrtNotifyImportByKey, &mut out, c"name".as_ptr(), 0), 507_899);
    // The process may import what it exported; a shared notify is waited for on its own device only.
    ok!(aclrtNotifyImportByKey, &mut out, place, 2);
    ok!(aclrtRecordNotify, out, stream);
    ok!(aclrtWaitAndResetNotify, good, stream, 0);
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtSetDevice, 1);
    assert_eq!(acl!(aclrtWaitAndResetNotify, good, null, 0), 107_000);
    ok!(aclrtRecordNotify, good, null);
    ok!(aclrtSynchronizeStream, null);
    ok!(aclrtResetDevice, 1);
    ok!(aclrtSetCurrentContext, own);
    ok!(aclrtWaitAndResetNotify, out, stream, 0);
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtDestroyNotify, good);
    ok!(aclrtDestroyNotify, out);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn chips_and_limits() {
    let _session = session(Config::new().profile(Profile::ascend310p()));
    ok!(aclrtSetDevice, 0);
    let notifies: Vec<_> = (0..1024).map(|_| notify()).collect();
    let mut one_more = ptr::null_mut();
    assert_eq!(acl!(aclrtCreateNotify, &mut one_more, 0), 207_009);
    ok!(aclrtDestroyNotify, notifies[0]);
    ok!(aclrtCreateNotify, &mut one_more, 0);
    assert_eq!(acl!(aclrtNotifyBatchReset, &mut one_more, 1), 207_000);
    assert_eq!(acl!(aclrtCntNotifyCreate, &mut one_more, 0), 207_000);
    // The rest goes with the device.
    ok!(aclrtResetDevice, 0);
    ok!(aclrtSetDevice, 0);
    assert_eq!(acl!(aclrtDestroyNotify, one_more), 107_017);
}

fn record(counter: aclrtCntNotify, mode: sys::aclrtCntNotifyRecordMode, value: u32) {
    let mut info = aclrtCntNotifyRecordInfo { mode, value };
    ok!(aclrtCntNotifyRecord, counter, ptr::null_mut(), &mut info);
}

fn wait(
    counter: aclrtCntNotify,
    stream: aclrtStream,
    mode: sys::aclrtCntNotifyWaitMode,
    value: u32,
    clear: bool,
) {
    let mut info = aclrtCntNotifyWaitInfo { mode, value, timeout: 0, isClear: clear.into(), rsv: [0; 3] };
    ok!(aclrtCntNotifyWaitWithTimeout, counter, stream, &mut info);
}

#[test]
fn counters() {
    let _session = full();
    let (counter, stream) = (counter(), stream());
    let expect = |passes: bool| {
        ok!(aclrtSynchronizeStream, ptr::null_mut());
        if passes {
            ok!(aclrtSynchronizeStream, stream);
        } else {
            settle();
            assert!(!is_complete(stream));
        }
    };
    use sys::*;
    wait(counter, stream, ACL_RT_CNT_NOTIFY_WAIT_EQUAL_MODE, 0, false);
    expect(true);
    wait(counter, stream, ACL_RT_CNT_NOTIFY_WAIT_BIGGER_OR_EQUAL_MODE, 3, false);
    record(counter, ACL_RT_CNT_NOTIFY_RECORD_ADD_MODE, 2);
    expect(false);
    record(counter, ACL_RT_CNT_NOTIFY_RECORD_ADD_MODE, 1);
    expect(true);
    wait(counter, stream, ACL_RT_CNT_NOTIFY_WAIT_EQUAL_WITH_BITMASK_MODE, 0b1001, true);
    record(counter, ACL_RT_CNT_NOTIFY_RECORD_BIT_OR_MODE, 0b1000);
    expect(true);
    wait(counter, stream, ACL_RT_CNT_NOTIFY_WAIT_LESS_MODE, 1, false);
    expect(true);
    record(counter, ACL_RT_CNT_NOTIFY_RECORD_SET_VALUE_MODE, 0b1110);
    wait(counter, stream, ACL_RT_CNT_NOTIFY_WAIT_EQUAL_MODE, 0b0010, false);
    record(counter, ACL_RT_CNT_NOTIFY_RECORD_BIT_AND_MODE, 0b0011);
    expect(true);
    wait(counter, stream, ACL_RT_CNT_NOTIFY_WAIT_BIGGER_MODE, 5, false);
    ok!(aclrtCntNotifyReset, counter, ptr::null_mut());
    record(counter, ACL_RT_CNT_NOTIFY_RECORD_ADD_MODE, 5);
    expect(false);
    record(counter, ACL_RT_CNT_NOTIFY_RECORD_ADD_MODE, 1);
    expect(true);
    ok!(aclrtCntNotifyDestroy, counter);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn counter_checks() {
    let _session = full();
    let (counter, stream) = (counter(), stream());
    let null = ptr::null_mut();
    let mut out = null;
    let mut id = 0;
    assert_eq!(acl!(aclrtCntNotifyCreate, &mut out, 1), 107_000);
    assert_eq!(acl!(aclrtCntNotifyCreate, ptr::null_mut(), 0), 107_000);
    assert_eq!(acl!(aclrtCntNotifyDestroy, null), 107_000);
    assert_eq!(acl!(aclrtCntNotifyDestroy, stream), 107_017);
    assert_eq!(acl!(aclrtCntNotifyGetId, null, &mut id), 107_000);
    assert_eq!(acl!(aclrtCntNotifyGetId, counter, ptr::null_mut()), 107_000);
    ok!(aclrtCntNotifyGetId, counter, &mut id);
    assert_eq!(acl!(aclrtCntNotifyRecord, null, stream, ptr::null_mut()), 100_000);
    let mut info = aclrtCntNotifyRecordInfo { mode: sys::aclrtCntNotifyRecordMode(3), value: 1 };
    assert_eq!(acl!(aclrtCntNotifyRecord, null, stream, &mut info), 107_000);
    assert_eq!(acl!(aclrtCntNotifyRecord, counter, counter, &mut info), 107_017);
    assert_eq!(acl!(aclrtCntNotifyRecord, counter, stream, &mut info), 107_000, "mode 3 does not exist");
    let mode = sys::aclrtCntNotifyWaitMode(5);
    let mut info = aclrtCntNotifyWaitInfo { mode, value: 0, timeout: 1, isClear: 0, rsv: [0; 3] };
    assert_eq!(acl!(aclrtCntNotifyWaitWithTimeout, counter, stream, &mut info), 107_000);
    info.mode = sys::ACL_RT_CNT_NOTIFY_WAIT_EQUAL_MODE;
    info.value = 1;
    ok!(aclrtCntNotifyWaitWithTimeout, counter, stream, &mut info);
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 107_019);
    assert_eq!(acl!(aclrtCntNotifyReset, null, stream), 107_000);
    ok!(aclrtCntNotifyDestroy, counter);
    assert_eq!(acl!(aclrtCntNotifyReset, counter, stream), 107_017);
    ok!(aclrtDestroyStream, stream);
}
