//! Host callbacks: subscriptions, reports, and when functions run.

mod common;

use core::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use ascendcl_sim::{KernelLaunch, register_kernel};
use common::*;

const BLOCK: sys::aclrtCallbackBlockType = sys::ACL_CALLBACK_BLOCK;
const NO_BLOCK: sys::aclrtCallbackBlockType = sys::ACL_CALLBACK_NO_BLOCK;

/// Counts its calls in the `AtomicUsize` it gets.
unsafe extern "C" fn count(data: *mut c_void) {
    // SAFETY: tests pass a counter that outlives the callback.
    unsafe { &*data.cast::<AtomicUsize>() }.fetch_add(1, Ordering::SeqCst);
}

fn counter(counter: &AtomicUsize) -> *mut c_void {
    ptr::from_ref(counter).cast_mut().cast()
}

fn wait_for(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never happened");
        thread::yield_now();
    }
}

#[test]
fn process_report_answers() {
    let _session = card();
    let stream = stream();
    assert_eq!(acl!(aclrtProcessReport, 0), 100_000);
    assert_eq!(acl!(aclrtProcessReport, -2), 100_000);
    let start = Instant::now();
    assert_eq!(acl!(aclrtProcessReport, -1), 107_012);
    assert_eq!(acl!(aclrtProcessReport, 10_000), 107_012);
    assert!(start.elapsed() < Duration::from_secs(5), "at once");
    ok!(aclrtSubscribeReport, this_thread(), stream);
    let start = Instant::now();
    assert_eq!(acl!(aclrtProcessReport, 50), 507_012);
    assert!(start.elapsed() >= Duration::from_millis(50));
    ok!(aclrtUnSubscribeReport, this_thread(), stream);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn launch_checks() {
    let _session = card();
    let stream = stream();
    let calls = AtomicUsize::new(0);
    let data = counter(&calls);
    assert_eq!(acl!(aclrtLaunchCallback, Some(count), data, BLOCK, stream), 107_015);
    assert_eq!(acl!(aclrtLaunchCallback, Some(count), data, BLOCK, ptr::null_mut()), 107_015);
    let wrong = sys::aclrtCallbackBlockType(2);
    assert_eq!(acl!(aclrtLaunchCallback, None, data, wrong, stream), 100_000);
    assert_eq!(acl!(aclrtLaunchCallback, None, data, BLOCK, stream), 107_000);
    ok!(aclrtSubscribeReport, this_thread(), stream);
    assert_eq!(acl!(aclrtLaunchCallback, Some(count), data, NO_BLOCK, stream), 207_000);
    assert_eq!(acl!(aclrtLaunchHostFunc, stream, Some(count), data), 207_000);
    let (mut own, mut other) = (ptr::null_mut(), ptr::null_mut());
    ok!(aclrtGetCurrentContext, &mut own);
    ok!(aclrtCreateContext, &mut other, 0);
    assert_eq!(acl!(aclrtLaunchCallback, Some(count), data, BLOCK, stream), 107_003);
    ok!(aclrtUnSubscribeReport, this_thread(), stream);
    ok!(aclrtDestroyContext, other);
    ok!(aclrtSetCurrentContext, own);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn subscriptions() {
    let _session = card();
    let (one, two, me) = (stream(), stream(), this_thread());
    assert_eq!(acl!(aclrtUnSubscribeReport, me, one), 107_011);
    ok!(aclrtSubscribeReport, me, one);
    ok!(aclrtSubscribeReport, me, two);
    assert_eq!(acl!(aclrtSubscribeReport, me, one), 107_011);
    assert_eq!(acl!(aclrtSubscribeReport, me + 1, one), 107_011);
    assert_eq!(acl!(aclrtUnSubscribeReport, me + 1, one), 107_012);
    ok!(aclrtSetDevice, 1);
    let far = stream();
    assert_eq!(acl!(aclrtSubscribeReport, me, far), 107_012);
    ok!(aclrtDestroyStream, far);
    ok!(aclrtResetDevice, 1);
    ok!(aclrtSetDevice, 0);
    assert_eq!(live().iter().filter(|live| live.kind == ascendcl_sim::LiveKind::Subscription).count(), 2);
    ok!(aclrtDestroyStream, one);
    ok!(aclrtUnSubscribeReport, me, two);
    assert_eq!(acl!(aclrtProcessReport, 1), 107_012);
    let streams: Vec<_> = (0..129).map(|_| stream()).collect();
    for (thread, stream) in streams[..128].iter().enumerate() {
        ok!(aclrtSubscribeReport, 1000 + thread as u64, *stream);
    }
    assert_eq!(acl!(aclrtSubscribeReport, 1, streams[128]), 507_000);
    for stream in streams.into_iter().chain([two]) {
        ok!(aclrtDestroyStream, stream);
    }
}

#[test]
fn a_blocking_callback_holds_its_stream() {
    static ENTERED: AtomicBool = AtomicBool::new(false);
    static LEAVE: AtomicBool = AtomicBool::new(false);
    unsafe extern "C" fn hold(_: *mut c_void) {
        ENTERED.store(true, Ordering::SeqCst);
        wait_for(|| LEAVE.load(Ordering::SeqCst));
    }
    let _session = card();
    let (stream, reporter) = (stream(), Reporter::start());
    ok!(aclrtSubscribeReport, reporter.id, stream);
    ok!(aclrtLaunchCallback, Some(hold), ptr::null_mut(), BLOCK, stream);
    wait_for(|| ENTERED.load(Ordering::SeqCst));
    assert_eq!(acl!(aclrtSynchronizeStreamWithTimeout, stream, 30), 507_046);
    LEAVE.store(true, Ordering::SeqCst);
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtUnSubscribeReport, reporter.id, stream);
    drop(reporter);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn a_non_blocking_callback_does_not() {
    let _session = full();
    let (stream, calls) = (stream(), AtomicUsize::new(0));
    ok!(aclrtSubscribeReport, this_thread(), stream);
    for _ in 0..3 {
        ok!(aclrtLaunchCallback, Some(count), counter(&calls), NO_BLOCK, stream);
    }
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    ok!(aclrtProcessReport, 1000);
    assert_eq!(calls.load(Ordering::SeqCst), 3, "one call runs every report that is queued");
    assert_eq!(acl!(aclrtProcessReport, 1), 507_012);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn callbacks_run_once_and_in_order() {
    static SEEN: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    unsafe extern "C" fn note(data: *mut c_void) {
        SEEN.lock().unwrap().push(data.addr());
    }
    let _session = card();
    let (one, two, reporter) = (stream(), stream(), Reporter::start());
    for stream in [one, two] {
        ok!(aclrtSubscribeReport, reporter.id, stream);
    }
    for number in 0..1000 {
        let stream = if number % 2 == 0 { one } else { two };
        ok!(aclrtLaunchCallback, Some(note), ptr::without_provenance_mut(number), BLOCK, stream);
    }
    ok!(aclrtSynchronizeDevice);
    drop(reporter);
    let seen = SEEN.lock().unwrap();
    for parity in 0..2 {
        let stream: Vec<_> = seen.iter().copied().filter(|number| number % 2 == parity).collect();
        assert_eq!(stream, (0..1000).filter(|number| number % 2 == parity).collect::<Vec<_>>());
    }
    ok!(aclrtDestroyStream, one);
    ok!(aclrtDestroyStream, two);
}

#[test]
fn reports_are_lost_with_the_last_stream() {
    let _session = full();
    let (one, two, calls) = (stream(), stream(), AtomicUsize::new(0));
    let me = this_thread();
    ok!(aclrtSubscribeReport, me, one);
    ok!(aclrtLaunchCallback, Some(count), counter(&calls), NO_BLOCK, one);
    ok!(aclrtSynchronizeStream, one);
    ok!(aclrtUnSubscribeReport, me, one);
    assert_eq!(acl!(aclrtProcessReport, 1), 107_012);
    ok!(aclrtSubscribeReport, me, one);
    assert_eq!(acl!(aclrtProcessReport, 1), 507_012, "a new subscription does not find old reports");
    ok!(aclrtSubscribeReport, me, two);
    ok!(aclrtLaunchCallback, Some(count), counter(&calls), NO_BLOCK, one);
    ok!(aclrtSynchronizeStream, one);
    ok!(aclrtDestroyStream, one);
    ok!(aclrtProcessReport, 1000);
    assert_eq!(
        calls.load(Ordering::SeqCst),
        1,
        "the thread serves another stream: the report is still there"
    );
    ok!(aclrtDestroyStream, two);
}

#[test]
fn teardown_does_not_wait_for_callbacks() {
    let calls = AtomicUsize::new(0);
    {
        let _session = card();
        let stream = stream();
        ok!(aclrtSubscribeReport, this_thread(), stream);
        for _ in 0..3 {
            ok!(aclrtLaunchCallback, Some(count), counter(&calls), BLOCK, stream);
        }
        ok!(aclrtDestroyStreamForce, stream);
        assert_eq!(acl!(aclrtProcessReport, 1), 107_012);
    }
    // Often enough to reset while the stream is about to wait for its callback.
    for _ in 0..200 {
        let _session = card();
        let (stream, memory, host) = (stream(), device_memory(4), pinned(4));
        ok!(aclrtSubscribeReport, this_thread(), stream);
        ok!(aclrtLaunchCallback, Some(count), counter(&calls), BLOCK, stream);
        ok!(aclrtMemsetAsync, memory, 4, 5, 4, stream);
        ok!(aclrtMemcpyAsync, host, 4, memory, 4, sys::ACL_MEMCPY_DEVICE_TO_HOST, stream);
        ok!(aclrtResetDevice, 0);
        assert_eq!(bytes(host, 4), [5; 4], "work behind the callback is done all the same");
        ok!(aclrtFreeHost, host);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[test]
fn inside_a_callback() {
    struct Inside {
        stream: aclrtStream,
        event: aclrtEvent,
        context: aclrtContext,
        made: aclrtStream,
        codes: [aclError; 6],
    }
    unsafe extern "C" fn calls(data: *mut c_void) {
        // SAFETY: the test passes this structure and looks at it only after the callback.
        let inside = unsafe { &mut *data.cast::<Inside>() };
        inside.codes = [
            acl!(aclrtSetCurrentContext, inside.context),
            acl!(aclrtRecordEvent, inside.event, inside.stream),
            acl!(
                aclrtLaunchCallback,
                Some(count),
                ptr::null_mut(),
                sys::aclrtCallbackBlockType(7),
                inside.stream
            ),
            acl!(aclrtCreateStream, &mut inside.made),
            acl!(aclrtSynchronizeStreamWithTimeout, inside.stream, 20),
            acl!(aclrtSynchronizeEventWithTimeout, inside.event, 20),
        ];
    }
    let _session = card();
    let (stream, reporter) = (stream(), Reporter::start());
    let mut context = ptr::null_mut();
    ok!(aclrtGetCurrentContext, &mut context);
    let mut inside = Inside { stream, event: event(), context, made: ptr::null_mut(), codes: [0; 6] };
    ok!(aclrtSubscribeReport, reporter.id, stream);
    ok!(aclrtLaunchCallback, Some(calls), (&raw mut inside).cast(), BLOCK, stream);
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(inside.codes, [0, 0, 100_000, 0, 507_046, 507_047]);
    drop(reporter);
    ok!(aclrtDestroyEvent, inside.event);
    ok!(aclrtDestroyStream, inside.made);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn processing_inside_a_callback_enters_it_again() {
    static DEEPEST: AtomicUsize = AtomicUsize::new(0);
    static LAST: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn again(_: *mut c_void) {
        if DEEPEST.fetch_add(1, Ordering::SeqCst) < 100 {
            let code = acl!(aclrtProcessReport, 10);
            if code != 0 {
                LAST.fetch_max(code as usize, Ordering::SeqCst);
            }
        }
    }
    let _session = card();
    let stream = stream();
    ok!(aclrtSubscribeReport, this_thread(), stream);
    ok!(aclrtLaunchCallback, Some(again), ptr::null_mut(), BLOCK, stream);
    ok!(aclrtProcessReport, 1000);
    assert_eq!(DEEPEST.load(Ordering::SeqCst), 8);
    assert_eq!(LAST.load(Ordering::SeqCst), 507_000);
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn the_default_stream_has_callbacks() {
    let _session = card();
    let (reporter, calls) = (Reporter::start(), AtomicUsize::new(0));
    ok!(aclrtSubscribeReport, reporter.id, ptr::null_mut());
    ok!(aclrtLaunchCallback, Some(count), counter(&calls), BLOCK, ptr::null_mut());
    ok!(aclrtSynchronizeStream, ptr::null_mut());
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    ok!(aclrtUnSubscribeReport, reporter.id, ptr::null_mut());
}

#[test]
fn host_functions() {
    let _session = full();
    let (mine, served, calls) = (stream(), stream(), AtomicUsize::new(0));
    for _ in 0..50 {
        ok!(aclrtLaunchHostFunc, mine, Some(count), counter(&calls));
    }
    ok!(aclrtSynchronizeStream, mine);
    assert_eq!(calls.load(Ordering::SeqCst), 50);
    assert_eq!(acl!(aclrtSubscribeReport, this_thread(), mine), 107_011);
    assert_eq!(acl!(aclrtUnSubscribeReport, this_thread(), mine), 107_011);
    assert_eq!(acl!(aclrtLaunchCallback, Some(count), counter(&calls), BLOCK, mine), 107_011);
    ok!(aclrtSubscribeReport, this_thread(), served);
    assert_eq!(acl!(aclrtLaunchHostFunc, served, Some(count), counter(&calls)), 107_011);
    ok!(aclrtDestroyStream, mine);
    ok!(aclrtDestroyStream, served);
}

#[test]
fn a_thread_that_waits_for_reports_brings_them_about() {
    let _session = card();
    // Every thread that tasks run on is held.
    let held = thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    let (started, is_started) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (started, may_go_on) = (Mutex::new(started), Mutex::new(may_go_on));
    let _kernel = register_kernel("hold", move |_: &KernelLaunch<'_>| {
        started.lock().unwrap().send(()).unwrap();
        let _ = may_go_on.lock().unwrap().recv();
        Ok(())
    });
    let (mut binary, mut hold) = (ptr::null_mut(), ptr::null_mut());
    ok!(aclrtBinaryLoadFromData, b"any".as_ptr().cast(), 3, ptr::null(), &mut binary);
    ok!(aclrtBinaryGetFunction, binary, c"hold".as_ptr(), &mut hold);
    let streams: Vec<_> = (0..held).map(|_| stream()).collect();
    let mut byte = [0_u8];
    let byte: *mut c_void = byte.as_mut_ptr().cast();
    for &stream in &streams {
        ok!(aclrtLaunchKernelWithHostArgs, hold, 1, stream, ptr::null_mut(), byte, 1, ptr::null_mut(), 0);
    }
    (0..held).for_each(|_| is_started.recv().unwrap());
    let (stream, calls, over) = (stream(), AtomicUsize::new(0), AtomicBool::new(false));
    let mut event = ptr::null_mut();
    ok!(aclrtCreateEvent, &mut event);
    let happened = thread::scope(|scope| {
        let (subscriber, subscribed) = mpsc::channel();
        let over = &over;
        scope.spawn(move || {
            subscriber.send(this_thread()).unwrap();
            while !over.load(Ordering::SeqCst) {
                let _ = acl!(aclrtProcessReport, 100);
            }
        });
        let reports = subscribed.recv().unwrap();
        ok!(aclrtSubscribeReport, reports, stream);
        // The thread may not wait yet, and is told of those that come when it does. They are fewer than the stream has room for.
        let happened = (0..100).any(|_| {
            ok!(aclrtRecordEvent, event, stream);
            ok!(aclrtLaunchCallback, Some(count), counter(&calls), BLOCK, stream);
            let start = Instant::now();
            while calls.load(Ordering::SeqCst) == 0 && start.elapsed() < Duration::from_millis(200) {
                thread::yield_now();
            }
            calls.load(Ordering::SeqCst) > 0
        });
        (0..held).for_each(|_| go_on.send(()).unwrap());
        ok!(aclrtSynchronizeStream, stream);
        ok!(aclrtUnSubscribeReport, reports, stream);
        over.store(true, Ordering::SeqCst);
        happened
    });
    assert!(happened, "no callback came");
    ok!(aclrtDestroyEvent, event);
    for stream in streams.into_iter().chain([stream]) {
        ok!(aclrtSynchronizeStream, stream);
        ok!(aclrtDestroyStream, stream);
    }
    ok!(aclrtBinaryUnLoad, binary);
}

#[test]
fn a_thread_nobody_is_never_served() {
    let _session = card();
    let (stream, calls) = (stream(), AtomicUsize::new(0));
    // A kernel thread number instead of pthread_self.
    ok!(aclrtSubscribeReport, std::process::id().into(), stream);
    ok!(aclrtLaunchCallback, Some(count), counter(&calls), BLOCK, stream);
    assert_eq!(acl!(aclrtProcessReport, 10), 107_012);
    assert_eq!(acl!(aclrtSynchronizeStreamWithTimeout, stream, 30), 507_046);
    ok!(aclrtDestroyStreamForce, stream);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[test]
fn a_thread_of_the_program_runs_host_functions() {
    let _session = full();
    let stream = stream();
    let calls = AtomicUsize::new(0);
    let data = counter(&calls);
    let me = this_thread();
    assert_eq!(acl!(aclrtProcessHostFunc, 0), 100_000);
    assert_eq!(acl!(aclrtProcessHostFunc, 10), 107_012);
    assert_eq!(acl!(aclrtUnSubscribeHostFunc, me, stream), 107_011);
    ok!(aclrtSubscribeHostFunc, me, stream);
    assert_eq!(acl!(aclrtSubscribeHostFunc, me, stream), 107_011);
    assert_eq!(acl!(aclrtUnSubscribeHostFunc, me + 1, stream), 107_012);
    assert_eq!(acl!(aclrtProcessHostFunc, 10), 507_012);
    // Next to a thread for callbacks.
    ok!(aclrtSubscribeReport, me, stream);
    ok!(aclrtLaunchHostFunc, stream, Some(count), data);
    ok!(aclrtLaunchCallback, Some(count), data, BLOCK, stream);
    ok!(aclrtProcessHostFunc, 10_000);
    ok!(aclrtProcessReport, 10_000);
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    ok!(aclrtUnSubscribeReport, me, stream);
    ok!(aclrtUnSubscribeHostFunc, me, stream);
    ok!(aclrtSubscribeHostFunc, me, stream);
    ok!(aclrtDestroyStream, stream);
    assert_eq!(acl!(aclrtProcessHostFunc, 10), 107_012);
}
