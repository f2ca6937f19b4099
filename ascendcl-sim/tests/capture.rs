//! Capturing work from streams, and running it again and again.

mod common;

use core::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::*;

const GLOBAL: sys::aclmdlRICaptureMode = sys::ACL_MODEL_RI_CAPTURE_MODE_GLOBAL;
const THREAD: sys::aclmdlRICaptureMode = sys::ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL;
const RELAXED: sys::aclmdlRICaptureMode = sys::ACL_MODEL_RI_CAPTURE_MODE_RELAXED;
const D2D: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_DEVICE_TO_DEVICE;
const H2D: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_HOST_TO_DEVICE;
const D2H: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_DEVICE_TO_HOST;
const LEN: usize = 64;

fn sync_event() -> aclrtEvent {
    extended(sys::ACL_EVENT_SYNC)
}

fn begin(stream: aclrtStream, mode: sys::aclmdlRICaptureMode) {
    ok!(aclmdlRICaptureBegin, stream, mode);
}

fn end(stream: aclrtStream) -> *mut c_void {
    let mut instance = ptr::null_mut();
    ok!(aclmdlRICaptureEnd, stream, &mut instance);
    assert!(!instance.is_null());
    instance
}

/// What `aclmdlRICaptureEnd` answers for a capture that failed.
fn end_fails(stream: aclrtStream) -> aclError {
    let mut instance = ptr::without_provenance_mut(1);
    let code = acl!(aclmdlRICaptureEnd, stream, &mut instance);
    assert!(instance.is_null(), "a failed capture gives NULL");
    code
}

fn status(stream: aclrtStream) -> (u32, *mut c_void) {
    let (mut status, mut instance) = (sys::aclmdlRICaptureStatus(9), ptr::without_provenance_mut(1));
    ok!(aclmdlRICaptureGetInfo, stream, &mut status, &mut instance);
    (status.0, instance)
}

fn copy(to: *mut c_void, from: *mut c_void, kind: sys::aclrtMemcpyKind, stream: aclrtStream) {
    ok!(aclrtMemcpyAsync, to, LEN, from, LEN, kind, stream);
}

fn run(instance: *mut c_void, stream: aclrtStream) {
    ok!(aclmdlRIExecuteAsync, instance, stream);
    ok!(aclrtSynchronizeStream, stream);
}

unsafe extern "C" fn count(data: *mut c_void) {
    // SAFETY: tests pass a counter that outlives the callback.
    unsafe { &*data.cast::<AtomicUsize>() }.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn captured_work_runs_when_it_is_executed_and_as_often() {
    let _session = full();
    let stream = stream();
    let (input, output) = (pinned(LEN), pinned(LEN));
    let memory = device_memory(LEN);
    assert_eq!(status(stream), (0, ptr::null_mut()));
    begin(stream, GLOBAL);
    let (active, capturing) = status(stream);
    assert_eq!(active, 1);
    copy(memory, input, H2D, stream);
    ok!(aclrtMemsetAsync, memory, LEN, 7, 1, stream);
    copy(output, memory, D2H, stream);
    let instance = end(stream);
    assert_eq!(instance, capturing);
    assert_eq!(status(stream), (0, ptr::null_mut()));
    bytes(output, LEN).fill(0xff);
    ok!(aclrtSynchronizeStream, stream);
    assert!(bytes(output, LEN).iter().all(|&byte| byte == 0xff), "nothing ran while capturing");
    for round in 0..50 {
        bytes(input, LEN).fill(round);
        run(instance, stream);
        assert_eq!(bytes(output, LEN)[0], 7);
        assert!(bytes(output, LEN)[1..].iter().all(|&byte| byte == round));
    }
    // Many executions in a row, and on the default stream.
    for _ in 0..20 {
        ok!(aclmdlRIExecuteAsync, instance, ptr::null_mut());
    }
    ok!(aclrtSynchronizeStream, ptr::null_mut());
    ok!(aclmdlRIDestroy, instance);
    assert_eq!(acl!(aclmdlRIDestroy, instance), 107_017);
    assert_eq!(acl!(aclmdlRIExecuteAsync, instance, stream), 107_017);
    ok!(aclrtFreeHost, input);
    ok!(aclrtFreeHost, output);
    ok!(aclrtFree, memory);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn forks_and_joins_keep_their_order() {
    let _session = full();
    let streams = [stream(), stream(), stream()];
    let [first, second, third] = streams;
    let (input, output) = (pinned(LEN), pinned(LEN));
    let memory: Vec<_> = (0..4).map(|_| device_memory(LEN)).collect();
    let events: Vec<_> = (0..4).map(|_| sync_event()).collect();
    begin(first, GLOBAL);
    copy(memory[0], input, H2D, first);
    ok!(aclrtRecordEvent, events[0], first);
    ok!(aclrtStreamWaitEvent, second, events[0]);
    ok!(aclrtStreamWaitEvent, third, events[0]);
    let (active, instance) = status(first);
    assert_eq!(status(second), (active, instance));
    assert_eq!(status(third), (active, instance));
    copy(memory[1], memory[0], D2D, second);
    ok!(aclrtMemsetAsync, memory[1], LEN, 1, LEN / 2, second);
    ok!(aclrtRecordEvent, events[1], second);
    // The third stream goes on from the second one, and the first one waits only for the third.
    ok!(aclrtStreamWaitEvent, third, events[1]);
    copy(memory[2], memory[1], D2D, third);
    ok!(aclrtMemsetAsync, memory[2], LEN, 2, LEN / 4, third);
    ok!(aclrtRecordEvent, events[2], third);
    ok!(aclrtStreamWaitEvent, first, events[2]);
    copy(memory[3], memory[2], D2D, first);
    copy(output, memory[3], D2H, first);
    assert_eq!(end(first), instance);
    for stream in streams {
        assert_eq!(status(stream), (0, ptr::null_mut()));
    }
    for round in 10..60 {
        bytes(input, LEN).fill(round);
        run(instance, streams[usize::from(round) % 3]);
        let output = bytes(output, LEN);
        assert!(output[..LEN / 4].iter().all(|&byte| byte == 2));
        assert!(output[LEN / 4..LEN / 2].iter().all(|&byte| byte == 1));
        assert!(output[LEN / 2..].iter().all(|&byte| byte == round));
    }
    ok!(aclmdlRIDestroy, instance);
    events.iter().for_each(|&event| ok!(aclrtDestroyEvent, event));
    memory.iter().for_each(|&memory| ok!(aclrtFree, memory));
    streams.iter().for_each(|&stream| ok!(aclrtDestroyStream, stream));
    ok!(aclrtFreeHost, input);
    ok!(aclrtFreeHost, output);
}

#[test]
fn begin_and_end_check_their_arguments() {
    let session = full();
    let stream = stream();
    let mut instance = ptr::null_mut();
    let garbage = ptr::without_provenance_mut(0x1234);
    assert_eq!(acl!(aclmdlRICaptureBegin, ptr::null_mut(), GLOBAL), 100_000);
    assert_eq!(acl!(aclmdlRICaptureBegin, garbage, GLOBAL), 107_017);
    assert_eq!(acl!(aclmdlRICaptureBegin, stream, sys::aclmdlRICaptureMode(3)), 107_000);
    let mut default = ptr::null_mut();
    ok!(aclrtCtxGetCurrentDefaultStream, &mut default);
    assert_eq!(acl!(aclmdlRICaptureBegin, default, GLOBAL), 207_000);
    assert_eq!(acl!(aclmdlRICaptureEnd, ptr::null_mut(), &mut instance), 100_000);
    assert_eq!(acl!(aclmdlRICaptureEnd, garbage, &mut instance), 107_017);
    assert_eq!(acl!(aclmdlRICaptureEnd, stream, &mut instance), 107_029);
    assert_eq!(acl!(aclmdlRICaptureEnd, stream, ptr::null_mut()), 107_029);
    assert_eq!(acl!(aclmdlRICaptureGetInfo, ptr::null_mut(), ptr::null_mut(), &mut instance), 100_000);
    assert_eq!(acl!(aclmdlRICaptureGetInfo, stream, ptr::null_mut(), ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclmdlRICaptureThreadExchangeMode, ptr::null_mut()), 100_000);
    let mut wrong = sys::aclmdlRICaptureMode(3);
    assert_eq!(acl!(aclmdlRICaptureThreadExchangeMode, &mut wrong), 107_000);
    begin(stream, GLOBAL);
    assert_eq!(acl!(aclmdlRICaptureBegin, stream, GLOBAL), 107_027);
    assert_eq!(acl!(aclmdlRICaptureEnd, stream, ptr::null_mut()), 107_000);
    let (mut own, mut other) = (ptr::null_mut(), ptr::null_mut());
    ok!(aclrtGetCurrentContext, &mut own);
    ok!(aclrtCreateContext, &mut other, 0);
    assert_eq!(acl!(aclmdlRICaptureEnd, stream, &mut instance), 107_003);
    ok!(aclrtDestroyContext, other);
    assert_eq!(acl!(aclmdlRICaptureEnd, stream, &mut instance), 107_002);
    ok!(aclrtSetCurrentContext, own);
    let (_, capturing) = status(stream);
    assert_eq!(acl!(aclmdlRIDestroy, capturing), 107_026);
    assert_eq!(acl!(aclmdlRIExecuteAsync, capturing, ptr::null_mut()), 107_026);
    assert_eq!(acl!(aclmdlRIExecuteAsync, capturing, stream), 107_027);
    let instance = end(stream);
    assert_eq!(acl!(aclmdlRIExecute, instance, 1000), 107_000, "captured work has no blocking execution");
    assert_eq!(acl!(aclmdlRIExecuteAsync, ptr::null_mut(), stream), 100_000);
    assert_eq!(acl!(aclmdlRIExecuteAsync, garbage, stream), 107_017);
    assert_eq!(acl!(aclmdlRIExecuteAsync, instance, garbage), 107_017);
    ok!(aclrtCreateContext, &mut other, 0);
    assert_eq!(acl!(aclmdlRIExecuteAsync, instance, ptr::null_mut()), 107_004);
    assert_eq!(acl!(aclmdlRIDestroy, instance), 107_004);
    ok!(aclrtDestroyContext, other);
    ok!(aclrtSetCurrentContext, own);
    run(instance, stream);
    ok!(aclmdlRIDestroy, instance);
    ok!(aclrtDestroyStream, stream);
    drop(session);
    let _session = card();
    let stream = common::stream();
    assert_eq!(acl!(aclmdlRICaptureBegin, stream, GLOBAL), 207_000, "not on this chip");
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn a_capturing_stream_is_not_waited_for() {
    let _session = full();
    let stream = stream();
    let event = sync_event();
    begin(stream, RELAXED);
    ok!(aclrtRecordEvent, event, stream);
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 107_027);
    assert_eq!(acl!(aclrtSynchronizeStreamWithTimeout, stream, 10), 107_027);
    let mut state = sys::ACL_STREAM_STATUS_RESERVED;
    assert_eq!(acl!(aclrtStreamQuery, stream, &mut state), 107_027);
    assert_eq!(acl!(aclrtDestroyStream, stream), 107_027);
    assert_eq!(acl!(aclrtDestroyStreamForce, stream), 107_027);
    assert_eq!(acl!(aclrtSynchronizeDevice), 107_027);
    let mut tag = sys::aclrtStreamAttrValue { userCustomTag: 3 };
    assert_eq!(
        acl!(aclrtSetStreamAttribute, stream, sys::ACL_STREAM_ATTR_USER_CUSTOM_TAG, &mut tag),
        107_027
    );
    assert_eq!(acl!(aclrtSetStreamOverflowSwitch, stream, 1), 107_027);
    let mut status = [0u8; 64];
    assert_eq!(acl!(aclrtGetOverflowStatus, status.as_mut_ptr().cast(), 64, stream), 107_027);
    assert_eq!(acl!(aclrtResetOverflowStatus, stream), 107_027);
    let mut recorded = sys::ACL_EVENT_RECORDED_STATUS_NOT_READY;
    assert_eq!(acl!(aclrtQueryEventStatus, event, &mut recorded), 107_028);
    assert_eq!(acl!(aclrtSynchronizeEvent, event), 107_028);
    assert_eq!(acl!(aclrtSynchronizeEventWithTimeout, event, 10), 107_028);
    let (mut elapsed, mut time) = (0.0, 0);
    assert_eq!(acl!(aclrtEventElapsedTime, &mut elapsed, event, event), 107_028);
    assert_eq!(acl!(aclrtEventGetTimestamp, event, &mut time), 107_028);
    assert_eq!(acl!(aclrtStreamWaitEvent, ptr::null_mut(), event), 107_031, "no default stream");
    // None of it spoils the capture, except the wait of a default stream that did not happen.
    let instance = end(stream);
    ok!(aclrtSynchronizeEvent, event);
    run(instance, stream);
    ok!(aclmdlRIDestroy, instance);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn events_of_the_older_functions_are_not_captured() {
    let _session = full();
    let stream = stream();
    let (plain, level, outside) = (event(), flagged(sys::ACL_EVENT_SYNC), sync_event());
    ok!(aclrtRecordEvent, outside, stream);
    ok!(aclrtSynchronizeStream, stream);
    begin(stream, RELAXED);
    for event in [plain, level] {
        assert_eq!(acl!(aclrtRecordEvent, event, stream), 207_000);
        assert_eq!(acl!(aclrtStreamWaitEvent, stream, event), 207_000);
    }
    assert_eq!(acl!(aclrtResetEvent, level, stream), 207_000);
    assert_eq!(acl!(aclrtStreamWaitEvent, stream, outside), 107_024);
    let instance = end(stream);
    ok!(aclmdlRIDestroy, instance);
    [plain, level, outside].iter().for_each(|&event| ok!(aclrtDestroyEvent, event));
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn forked_streams_have_to_come_back() {
    let _session = full();
    let (first, second) = (stream(), stream());
    let events: Vec<_> = (0..3).map(|_| sync_event()).collect();
    let fork = || {
        begin(first, GLOBAL);
        ok!(aclrtRecordEvent, events[0], first);
        ok!(aclrtStreamWaitEvent, second, events[0]);
    };
    fork();
    assert_eq!(acl!(aclmdlRICaptureEnd, second, &mut ptr::null_mut()), 107_036);
    assert_eq!(end_fails(first), 107_025, "the fork recorded nothing");
    assert_eq!(status(second).0, 0);
    fork();
    ok!(aclrtRecordEvent, events[1], second);
    assert_eq!(end_fails(first), 107_025, "nobody waited for the fork");
    fork();
    ok!(aclrtRecordEvent, events[1], second);
    ok!(aclrtStreamWaitEvent, first, events[1]);
    let memory = device_memory(LEN);
    ok!(aclrtMemsetAsync, memory, LEN, 1, LEN, second);
    assert_eq!(end_fails(first), 107_025, "the fork did more after it was joined");
    fork();
    ok!(aclrtRecordEvent, events[1], second);
    ok!(aclrtStreamWaitEvent, first, events[1]);
    ok!(aclmdlRIDestroy, end(first));
    ok!(aclrtFree, memory);
    events.iter().for_each(|&event| ok!(aclrtDestroyEvent, event));
    ok!(aclrtDestroyStream, first);
    ok!(aclrtDestroyStream, second);
}

#[test]
fn two_captures_do_not_mix() {
    let _session = full();
    let (first, second) = (stream(), stream());
    let event = sync_event();
    begin(first, GLOBAL);
    begin(second, GLOBAL);
    ok!(aclrtRecordEvent, event, first);
    assert_eq!(acl!(aclrtStreamWaitEvent, second, event), 107_032);
    // Both are spoiled, and say so at their end.
    let memory = device_memory(LEN);
    ok!(aclrtMemsetAsync, memory, LEN, 1, LEN, second);
    assert_eq!(end_fails(first), 507_903);
    assert_eq!(end_fails(second), 507_903);
    ok!(aclrtSynchronizeStream, second);
    ok!(aclrtFree, memory);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtDestroyStream, first);
    ok!(aclrtDestroyStream, second);
}

#[test]
fn a_capture_ends_on_its_thread_unless_it_is_relaxed() {
    let _session = full();
    let stream = stream();
    let mut context = ptr::null_mut();
    ok!(aclrtGetCurrentContext, &mut context);
    let (carried, context) = (Carry(stream), Carry(context));
    let elsewhere = move || {
        let (carried, context) = (carried, context);
        thread::spawn(move || {
            let (stream, context) = ({ carried }.0, { context }.0);
            ok!(aclrtSetCurrentContext, context);
            let mut instance = ptr::null_mut();
            let code = acl!(aclmdlRICaptureEnd, stream, &mut instance);
            (code, Carry(instance))
        })
        .join()
        .unwrap()
    };
    begin(stream, THREAD);
    assert_eq!(elsewhere().0, 107_038);
    assert_eq!(status(stream).0, 0, "and it is over");
    begin(stream, RELAXED);
    let (code, instance) = elsewhere();
    assert_eq!(code, 0);
    ok!(aclmdlRIDestroy, instance.0);
    ok!(aclrtDestroyStream, stream);
}

/// What blocking calls answer on this thread.
fn blocking(memory: *mut c_void, stream: aclrtStream) -> Vec<aclError> {
    let mut host = [0u8; LEN];
    let host: *mut c_void = host.as_mut_ptr().cast();
    vec![
        acl!(aclrtMemcpy, memory, LEN, host, LEN, H2D),
        acl!(aclrtMemset, memory, LEN, 0, LEN),
        acl!(aclrtMemcpy2d, memory, 8, host, 8, 8, 8, H2D),
        acl!(aclrtMemcpyAsync, memory, LEN, host, LEN, H2D, stream),
    ]
}

#[test]
fn modes_forbid_blocking_calls() {
    let _session = full();
    let (stream, other) = (stream(), stream());
    let memory = device_memory(LEN);
    let mut context = ptr::null_mut();
    ok!(aclrtGetCurrentContext, &mut context);
    let elsewhere = |mode: Option<sys::aclmdlRICaptureMode>| {
        let (memory, other, context) = (Carry(memory), Carry(other), Carry(context));
        thread::spawn(move || {
            let (memory, other, context) = ({ memory }.0, { other }.0, { context }.0);
            ok!(aclrtSetCurrentContext, context);
            if let Some(mut mode) = mode {
                ok!(aclmdlRICaptureThreadExchangeMode, &mut mode);
                assert_eq!(mode, GLOBAL, "the mode of a thread at first");
            }
            blocking(memory, other)
        })
        .join()
        .unwrap()
    };
    let allowed = vec![0, 0, 0, 0];
    let forbidden = vec![107_030, 107_030, 107_030, 107_041];
    assert_eq!(blocking(memory, other), allowed);
    begin(stream, GLOBAL);
    assert_eq!(blocking(memory, other), forbidden);
    assert_eq!(elsewhere(None), forbidden);
    assert_eq!(elsewhere(Some(THREAD)), allowed);
    assert_eq!(elsewhere(Some(RELAXED)), allowed);
    let mut mode = THREAD;
    ok!(aclmdlRICaptureThreadExchangeMode, &mut mode);
    assert_eq!(mode, GLOBAL);
    assert_eq!(blocking(memory, other), forbidden);
    mode = RELAXED;
    ok!(aclmdlRICaptureThreadExchangeMode, &mut mode);
    assert_eq!(mode, THREAD);
    assert_eq!(blocking(memory, other), allowed);
    // On the capturing stream itself plain memory is never possible.
    assert_eq!(blocking(memory, stream)[3], 107_000);
    mode = GLOBAL;
    ok!(aclmdlRICaptureThreadExchangeMode, &mut mode);
    ok!(aclmdlRIDestroy, end(stream));
    assert_eq!(blocking(memory, other), allowed);
    begin(stream, THREAD);
    assert_eq!(blocking(memory, other), forbidden);
    assert_eq!(elsewhere(None), allowed);
    ok!(aclmdlRIDestroy, end(stream));
    begin(stream, RELAXED);
    assert_eq!(blocking(memory, other), allowed);
    ok!(aclmdlRIDestroy, end(stream));
    ok!(aclrtFree, memory);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtDestroyStream, other);
}

#[test]
fn host_functions_and_callbacks_are_captured() {
    let _session = full();
    let stream = stream();
    let (functions, callbacks) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let data = |counter: &AtomicUsize| ptr::from_ref(counter).cast_mut().cast();
    begin(stream, RELAXED);
    ok!(aclrtLaunchHostFunc, stream, Some(count), data(&functions));
    ok!(aclrtLaunchHostFunc, stream, Some(count), data(&functions));
    let instance = end(stream);
    assert_eq!(functions.load(Ordering::SeqCst), 0);
    for round in 1..=10 {
        run(instance, stream);
        assert_eq!(functions.load(Ordering::SeqCst), 2 * round);
    }
    ok!(aclmdlRIDestroy, instance);
    ok!(aclrtDestroyStream, stream);
    let stream = common::stream();
    let reporter = Reporter::start();
    ok!(aclrtSubscribeReport, reporter.id, stream);
    begin(stream, RELAXED);
    ok!(aclrtLaunchCallback, Some(count), data(&callbacks), sys::ACL_CALLBACK_BLOCK, stream);
    let instance = end(stream);
    for round in 1..=10 {
        run(instance, stream);
        assert_eq!(callbacks.load(Ordering::SeqCst), round);
    }
    ok!(aclmdlRIDestroy, instance);
    ok!(aclrtUnSubscribeReport, reporter.id, stream);
    drop(reporter);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn external_events_order_captured_work_and_the_rest() {
    let _session = full();
    let (stream, outside) = (stream(), stream());
    let event = flagged(sys::ACL_EVENT_EXTERNAL);
    let (input, output) = (pinned(LEN), pinned(LEN));
    let memory = device_memory(LEN);
    begin(stream, RELAXED);
    ok!(aclrtStreamWaitEvent, stream, event);
    ok!(aclrtResetEvent, event, stream);
    copy(output, memory, D2H, stream);
    let instance = end(stream);
    for round in 1..20 {
        bytes(input, LEN).fill(round);
        ok!(aclmdlRIExecuteAsync, instance, stream);
        copy(memory, input, H2D, outside);
        ok!(aclrtRecordEvent, event, outside);
        ok!(aclrtSynchronizeStream, stream);
        assert!(bytes(output, LEN).iter().all(|&byte| byte == round));
    }
    ok!(aclmdlRIDestroy, instance);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtFreeHost, input);
    ok!(aclrtFreeHost, output);
    ok!(aclrtFree, memory);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtDestroyStream, outside);
}

#[test]
fn errors_of_captured_tasks_reach_the_executing_stream() {
    let _session = full();
    let stream = stream();
    let memory = device_memory(LEN);
    begin(stream, RELAXED);
    ok!(aclrtMemsetAsync, memory, LEN, 1, LEN, stream);
    let instance = end(stream);
    run(instance, stream);
    ok!(aclrtFree, memory);
    ok!(aclmdlRIExecuteAsync, instance, stream);
    assert_ne!(acl!(aclrtSynchronizeStream, stream), 0, "the memory is gone");
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclmdlRIDestroy, instance);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn task_groups_take_only_kernels() {
    let _session = full();
    let (stream, other) = (stream(), stream());
    let mut group = ptr::null_mut();
    assert_eq!(acl!(aclmdlRICaptureTaskGrpBegin, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclmdlRICaptureTaskGrpBegin, stream), 107_029);
    assert_eq!(acl!(aclmdlRICaptureTaskGrpEnd, stream, &mut group), 107_029);
    assert_eq!(acl!(aclmdlRICaptureTaskGrpEnd, stream, ptr::null_mut()), 100_000);
    begin(stream, RELAXED);
    assert_eq!(acl!(aclmdlRICaptureTaskGrpEnd, stream, &mut group), 107_033);
    ok!(aclmdlRICaptureTaskGrpBegin, stream);
    assert_eq!(acl!(aclmdlRICaptureTaskGrpBegin, stream), 107_033);
    assert_eq!(end_fails(stream), 107_033, "the group is open");
    // An empty group can be updated with nothing.
    begin(stream, RELAXED);
    ok!(aclmdlRICaptureTaskGrpBegin, stream);
    ok!(aclmdlRICaptureTaskGrpEnd, stream, &mut group);
    let instance = end(stream);
    assert_eq!(acl!(aclmdlRICaptureTaskUpdateEnd, other), 107_033);
    assert_eq!(acl!(aclmdlRICaptureTaskUpdateBegin, other, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclmdlRICaptureTaskUpdateBegin, other, stream), 107_017);
    ok!(aclmdlRICaptureTaskUpdateBegin, other, group);
    assert_eq!(acl!(aclmdlRICaptureTaskUpdateBegin, other, group), 107_033);
    assert_eq!(acl!(aclmdlRICaptureTaskUpdateBegin, stream, group), 107_033, "one stream at a time");
    let memory = device_memory(LEN);
    assert_eq!(acl!(aclrtMemsetAsync, memory, LEN, 1, LEN, other), 507_009);
    ok!(aclmdlRICaptureTaskUpdateEnd, other);
    ok!(aclmdlRIDestroy, instance);
    assert_eq!(acl!(aclmdlRICaptureTaskUpdateBegin, other, group), 107_017);
    // Anything but a kernel breaks the group and with it the capture.
    begin(stream, RELAXED);
    ok!(aclmdlRICaptureTaskGrpBegin, stream);
    assert_eq!(acl!(aclrtMemsetAsync, memory, LEN, 1, LEN, stream), 507_009);
    assert_eq!(acl!(aclmdlRICaptureTaskUpdateBegin, stream, other), 107_027);
    assert_eq!(acl!(aclmdlRICaptureTaskGrpEnd, stream, &mut group), 507_009);
    assert_eq!(end_fails(stream), 507_903);
    // So does a task of another stream of the capture.
    let event = sync_event();
    begin(stream, RELAXED);
    ok!(aclrtRecordEvent, event, stream);
    ok!(aclrtStreamWaitEvent, other, event);
    ok!(aclmdlRICaptureTaskGrpBegin, stream);
    assert_eq!(acl!(aclrtMemsetAsync, memory, LEN, 1, LEN, other), 107_034);
    assert_eq!(acl!(aclmdlRICaptureTaskGrpEnd, stream, &mut group), 107_034);
    assert_eq!(end_fails(stream), 507_903);
    ok!(aclrtFree, memory);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtDestroyStream, other);
}

#[test]
fn a_context_ends_with_its_captures() {
    let _session = full();
    let mut context = ptr::null_mut();
    ok!(aclrtCreateContext, &mut context, 0);
    let (stream, other) = (stream(), stream());
    begin(stream, RELAXED);
    let instance = end(stream);
    ok!(aclmdlRIExecuteAsync, instance, other);
    begin(other, GLOBAL);
    ok!(aclrtDestroyContext, context);
    ok!(aclrtSetDevice, 0);
    assert_eq!(acl!(aclmdlRIDestroy, instance), 107_017);
    let memory = device_memory(LEN);
    ok!(aclrtMemset, memory, LEN, 0, LEN);
    ok!(aclrtFree, memory);
    ok!(aclrtResetDevice, 0);
}

#[test]
fn the_race_detector_follows_captured_work() {
    let config = Config::new().profile(Profile::full()).races(ascendcl_sim::Reporting::Log);
    let _session = session(config);
    ok!(aclrtSetDevice, 0);
    let races = || {
        let reports = ascendcl_sim::take_reports();
        reports.into_iter().filter(|report| report.kind == ascendcl_sim::ReportKind::Race).collect::<Vec<_>>()
    };
    races();
    let (first, second, runner) = (stream(), stream(), stream());
    let events: Vec<_> = (0..3).map(|_| sync_event()).collect();
    let (input, output) = (pinned(LEN), pinned(LEN));
    let memory = device_memory(LEN);
    // With all its edges it is clean: through the executing stream, from lane to lane, from run to run.
    begin(first, GLOBAL);
    copy(memory, input, H2D, first);
    ok!(aclrtRecordEvent, events[0], first);
    ok!(aclrtStreamWaitEvent, second, events[0]);
    ok!(aclrtMemsetAsync, memory, LEN, 5, LEN, second);
    ok!(aclrtRecordEvent, events[1], second);
    ok!(aclrtStreamWaitEvent, first, events[1]);
    copy(output, memory, D2H, first);
    let instance = end(first);
    for round in 0..5 {
        bytes(input, LEN).fill(round);
        ok!(aclrtMemsetAsync, memory, LEN, 1, LEN, runner);
        ok!(aclmdlRIExecuteAsync, instance, runner);
        copy(output, memory, D2H, runner);
        ok!(aclmdlRIExecuteAsync, instance, runner);
        ok!(aclrtSynchronizeStream, runner);
        ok!(aclrtMemcpy, output, LEN, memory, LEN, D2H);
    }
    assert_eq!(races(), []);
    // Another stream that does not wait for the execution.
    ok!(aclmdlRIExecuteAsync, instance, runner);
    ok!(aclrtMemsetAsync, memory, LEN, 2, LEN, second);
    ok!(aclrtSynchronizeDevice);
    assert!(!races().is_empty());
    ok!(aclmdlRIDestroy, instance);
    // Two lanes that do not wait for each other.
    begin(first, GLOBAL);
    ok!(aclrtRecordEvent, events[0], first);
    ok!(aclrtStreamWaitEvent, second, events[0]);
    ok!(aclrtMemsetAsync, memory, LEN, 5, LEN, second);
    ok!(aclrtMemsetAsync, memory, LEN, 6, LEN, first);
    ok!(aclrtRecordEvent, events[1], second);
    ok!(aclrtStreamWaitEvent, first, events[1]);
    let instance = end(first);
    run(instance, runner);
    let found = races();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].text.contains("aclrtMemsetAsync"), "{}", found[0].text);
    ok!(aclmdlRIDestroy, instance);
    events.iter().for_each(|&event| ok!(aclrtDestroyEvent, event));
    [input, output].iter().for_each(|&memory| ok!(aclrtFreeHost, memory));
    ok!(aclrtFree, memory);
    [first, second, runner].iter().for_each(|&stream| ok!(aclrtDestroyStream, stream));
}

#[test]
fn a_seed_runs_captured_work() {
    for seed in 0..10 {
        let _session = session(Config::new().profile(Profile::full()).seed(seed));
        ok!(aclrtSetDevice, 0);
        let (first, second) = (stream(), stream());
        let events = [sync_event(), sync_event()];
        let memory = device_memory(LEN);
        let output = pinned(LEN);
        begin(first, GLOBAL);
        ok!(aclrtMemsetAsync, memory, LEN, 1, LEN, first);
        ok!(aclrtRecordEvent, events[0], first);
        ok!(aclrtStreamWaitEvent, second, events[0]);
        ok!(aclrtMemsetAsync, memory, LEN, 2, LEN / 2, second);
        ok!(aclrtRecordEvent, events[1], second);
        ok!(aclrtStreamWaitEvent, first, events[1]);
        copy(output, memory, D2H, first);
        let instance = end(first);
        for _ in 0..5 {
            bytes(output, LEN).fill(0);
            run(instance, second);
            assert_eq!((bytes(output, LEN)[0], bytes(output, LEN)[LEN - 1]), (2, 1));
        }
        ok!(aclmdlRIExecuteAsync, instance, first);
        ok!(aclmdlRIDestroy, instance);
        events.iter().for_each(|&event| ok!(aclrtDestroyEvent, event));
        ok!(aclrtFree, memory);
        ok!(aclrtFreeHost, output);
        ok!(aclrtDestroyStream, first);
        ok!(aclrtDestroyStream, second);
    }
}

#[cfg(feature = "export")]
mod external {
    //! Functions that are newer than the table.

    use super::*;

    // SAFETY: the simulator has them, with these signatures.
    unsafe extern "C" {
        fn aclrtRecordEventWithFlag(event: aclrtEvent, stream: aclrtStream, flag: u32) -> aclError;
        fn aclrtStreamWaitEventWithFlag(
            stream: aclrtStream,
            event: aclrtEvent,
            timeout: u32,
            flag: u32,
        ) -> aclError;
    }

    fn record(event: aclrtEvent, stream: aclrtStream, flag: u32) -> aclError {
        // SAFETY: handles are checked.
        unsafe { aclrtRecordEventWithFlag(event, stream, flag) }
    }

    fn wait(stream: aclrtStream, event: aclrtEvent, timeout: u32, flag: u32) -> aclError {
        // SAFETY: handles are checked.
        unsafe { aclrtStreamWaitEventWithFlag(stream, event, timeout, flag) }
    }

    #[test]
    fn captures_order_themselves_with_each_other_and_with_streams() {
        let _session = full();
        let (first, second, outside) = (stream(), stream(), stream());
        let (event, into) = (sync_event(), sync_event());
        let (input, output) = (pinned(LEN), pinned(LEN));
        let (memory, middle) = (device_memory(LEN), device_memory(LEN));
        let null = ptr::null_mut();
        assert_eq!(record(null, first, 1), 100_000);
        assert_eq!(record(event, first, 2), 100_000);
        assert_eq!(record(event, first, 1), 107_029);
        assert_eq!(wait(first, null, 0, 1), 100_000);
        assert_eq!(wait(first, event, 0, 2), 100_000);
        assert_eq!(wait(first, event, 1, 1), 100_000);
        assert_eq!(wait(first, event, 0, 1), 107_029);
        assert_eq!(wait(first, event, 0, 0), 0);
        begin(first, RELAXED);
        assert_eq!(wait(first, into, 0, 1), 0);
        assert_eq!(wait(first, into, 0, 1), 107_000, "once in a capture");
        assert_eq!(record(into, first, 1), 107_000);
        copy(middle, memory, D2D, first);
        assert_eq!(record(event, first, 1), 0);
        let one = end(first);
        begin(second, RELAXED);
        assert_eq!(wait(second, event, 0, 1), 0);
        copy(output, middle, D2H, second);
        let two = end(second);
        for round in 1..30 {
            bytes(input, LEN).fill(round);
            copy(memory, input, H2D, outside);
            assert_eq!(record(into, outside, 0), 0);
            ok!(aclmdlRIExecuteAsync, one, first);
            ok!(aclmdlRIExecuteAsync, two, second);
            ok!(aclrtSynchronizeStream, second);
            assert!(bytes(output, LEN).iter().all(|&byte| byte == round));
            ok!(aclrtSynchronizeEvent, event);
        }
        ok!(aclmdlRIDestroy, one);
        ok!(aclmdlRIDestroy, two);
        [event, into].iter().for_each(|&event| ok!(aclrtDestroyEvent, event));
        [input, output].iter().for_each(|&memory| ok!(aclrtFreeHost, memory));
        [memory, middle].iter().for_each(|&memory| ok!(aclrtFree, memory));
        [first, second, outside].iter().for_each(|&stream| ok!(aclrtDestroyStream, stream));
    }
}
