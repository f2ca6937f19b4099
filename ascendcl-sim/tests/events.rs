//! Events: three ways to make them, and what each operation answers.

mod common;

use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use common::*;

const SYNC: u32 = sys::ACL_EVENT_SYNC;
const TIME_LINE: u32 = sys::ACL_EVENT_TIME_LINE;

fn query(event: aclrtEvent) -> Result<bool, aclError> {
    let mut status = sys::ACL_EVENT_STATUS_RESERVED;
    match acl!(aclrtQueryEvent, event, &mut status) {
        0 => Ok(status == sys::ACL_EVENT_STATUS_COMPLETE),
        code => Err(code),
    }
}

fn recorded(event: aclrtEvent) -> bool {
    let mut status = sys::ACL_EVENT_RECORDED_STATUS_NOT_READY;
    ok!(aclrtQueryEventStatus, event, &mut status);
    status == sys::ACL_EVENT_RECORDED_STATUS_COMPLETE
}

fn waits_passed(event: aclrtEvent) -> Result<bool, aclError> {
    let mut status = sys::ACL_EVENT_WAIT_STATUS_RESERVED;
    match acl!(aclrtQueryEventWaitStatus, event, &mut status) {
        0 => Ok(status == sys::ACL_EVENT_WAIT_STATUS_COMPLETE),
        code => Err(code),
    }
}

fn elapsed(start: aclrtEvent, end: aclrtEvent) -> Result<f32, aclError> {
    let mut ms = f32::NAN;
    match acl!(aclrtEventElapsedTime, &mut ms, start, end) {
        0 => Ok(ms),
        code => Err(code),
    }
}

fn available() -> u32 {
    let mut count = 0;
    ok!(aclrtGetEventAvailNum, &mut count);
    count
}

#[test]
fn never_recorded() {
    let _session = card();
    let stream = stream();
    let mut time = 0;
    let old = [event(), flagged(SYNC), flagged(SYNC | TIME_LINE)];
    for event in old {
        assert_eq!(query(event), Ok(true));
        assert!(!recorded(event));
        assert_eq!(waits_passed(event), Ok(true));
        ok!(aclrtSynchronizeEvent, event);
        ok!(aclrtSynchronizeEventWithTimeout, event, 1);
        assert_eq!(elapsed(event, event), Err(507_000));
        assert_eq!(acl!(aclrtEventGetTimestamp, event, &mut time), 507_000);
        ok!(aclrtResetEvent, event, stream);
    }
    assert_eq!(acl!(aclrtStreamWaitEvent, stream, old[0]), 107_000);
    let new = extended(SYNC | TIME_LINE);
    assert_eq!(query(new), Err(207_000));
    assert!(recorded(new));
    assert_eq!(waits_passed(new), Err(207_000));
    ok!(aclrtSynchronizeEvent, new);
    assert_eq!(elapsed(new, new), Err(507_000));
    assert_eq!(acl!(aclrtResetEvent, new, stream), 207_000);
    ok!(aclrtStreamWaitEvent, stream, new);
    ok!(aclrtSynchronizeStream, stream);
    for event in old.into_iter().chain([new]) {
        ok!(aclrtDestroyEvent, event);
    }
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn flags() {
    let _session = card();
    let stream = stream();
    let mut event = ptr::null_mut();
    for flag in [0, 0x80, 0x21, 0x11] {
        assert_eq!(acl!(aclrtCreateEventWithFlag, &mut event, flag), 107_000, "{flag:#x}");
        assert_eq!(acl!(aclrtCreateEventExWithFlag, &mut event, flag), 107_000, "{flag:#x}");
    }
    assert_eq!(acl!(aclrtCreateEventExWithFlag, &mut event, 0x40), 207_000);
    for event in [flagged(TIME_LINE), extended(TIME_LINE)] {
        assert_eq!(acl!(aclrtStreamWaitEvent, stream, event), 207_000);
        assert_eq!(acl!(aclrtResetEvent, event, stream), 207_000);
        ok!(aclrtRecordEvent, event, stream);
        ok!(aclrtSynchronizeEvent, event);
        assert!(elapsed(event, event).is_ok());
        ok!(aclrtDestroyEvent, event);
    }
    let sync_only = flagged(SYNC);
    ok!(aclrtRecordEvent, sync_only, stream);
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(elapsed(sync_only, sync_only), Err(107_006));
    ok!(aclrtDestroyEvent, sync_only);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn time_passes() {
    let _session = card();
    let stream = stream();
    let (start, end) = (event(), event());
    ok!(aclrtRecordEvent, start, stream);
    ok!(aclrtSynchronizeStream, stream);
    thread::sleep(Duration::from_millis(20));
    ok!(aclrtRecordEvent, end, stream);
    ok!(aclrtSynchronizeEvent, end);
    let forward = elapsed(start, end).unwrap();
    assert!((20.0..20_000.0).contains(&forward), "{forward}");
    assert_eq!(elapsed(end, start), Ok(-forward));
    let (mut first, mut second) = (0, 0);
    ok!(aclrtEventGetTimestamp, start, &mut first);
    ok!(aclrtEventGetTimestamp, end, &mut second);
    assert!(((second - first) as f32 / 1000.0 - forward).abs() < 0.01);
    ok!(aclrtDestroyEvent, start);
    ok!(aclrtDestroyEvent, end);
    ok!(aclrtDestroyStream, stream);
}

/// Whoever waits, waits for a record that is in a queue already: one that was only about to be queued could come behind the wait.
#[test]
fn records_and_waits_of_several_threads_do_not_wait_for_each_other() {
    let _session = card();
    let mut context = ptr::null_mut();
    ok!(aclrtGetCurrentContext, &mut context);
    let (context, event, streams) = (Carry(context), Carry(event()), [Carry(stream()), Carry(stream())]);
    ok!(aclrtRecordEvent, event.0, streams[0].0);
    for _ in 0..20 {
        thread::scope(|scope| {
            for first in [0, 1] {
                let (context, event, streams) = (&context, &event, &streams);
                scope.spawn(move || {
                    ok!(aclrtSetCurrentContext, context.0);
                    // Not so many that one would wait for room.
                    for number in first..first + 250 {
                        ok!(aclrtRecordEvent, event.0, streams[number % 2].0);
                        ok!(aclrtStreamWaitEvent, streams[number / 2 % 2].0, event.0);
                    }
                });
            }
        });
        for stream in &streams {
            ok!(aclrtSynchronizeStreamWithTimeout, stream.0, 30_000);
        }
    }
    ok!(aclrtDestroyEvent, event.0);
    for stream in streams {
        ok!(aclrtDestroyStream, stream.0);
    }
}

#[test]
fn a_record_is_reached_late() {
    let _session = card();
    let (stream, gate) = (stream(), Gate::new());
    for event in [event(), flagged(SYNC | TIME_LINE), extended(SYNC | TIME_LINE)] {
        let is_new = query(event).is_err();
        gate.hold(stream);
        ok!(aclrtRecordEvent, event, stream);
        assert!(!recorded(event));
        if !is_new {
            assert_eq!(query(event), Ok(false));
        }
        assert_eq!(elapsed(event, event), Err(107_006));
        assert_eq!(acl!(aclrtSynchronizeEventWithTimeout, event, 5), 507_047);
        assert_eq!(acl!(aclrtSynchronizeEventWithTimeout, event, 0), 107_000);
        assert_eq!(acl!(aclrtSynchronizeEventWithTimeout, event, -2), 107_000);
        gate.open();
        ok!(aclrtSynchronizeEventWithTimeout, event, 10_000);
        assert!(recorded(event));
        ok!(aclrtDestroyEvent, event);
        ok!(aclrtSynchronizeStream, stream);
        gate.close();
    }
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn a_level_stays_up_until_it_is_reset() {
    let _session = card();
    let (one, two) = (stream(), stream());
    let event = flagged(SYNC);
    ok!(aclrtStreamWaitEvent, two, event);
    ok!(aclrtStreamWaitEvent, two, event);
    assert_eq!(waits_passed(event), Ok(false));
    assert_eq!(acl!(aclrtSynchronizeStreamWithTimeout, two, 10), 507_046);
    ok!(aclrtRecordEvent, event, one);
    ok!(aclrtSynchronizeStream, two);
    assert_eq!(waits_passed(event), Ok(true));
    ok!(aclrtStreamWaitEvent, two, event);
    ok!(aclrtSynchronizeStream, two);
    ok!(aclrtResetEvent, event, two);
    ok!(aclrtStreamWaitEvent, two, event);
    assert_eq!(acl!(aclrtSynchronizeStreamWithTimeout, two, 10), 507_046);
    ok!(aclrtRecordEvent, event, one);
    ok!(aclrtSynchronizeStream, two);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtDestroyStream, one);
    ok!(aclrtDestroyStream, two);
}

#[test]
fn a_wait_captures_the_latest_record() {
    let _session = card();
    let (one, two, three) = (stream(), stream(), stream());
    let gate = Gate::new();
    for event in [event(), extended(SYNC)] {
        ok!(aclrtRecordEvent, event, one);
        ok!(aclrtSynchronizeStream, one);
        // Done already: no wait, whatever is recorded later.
        ok!(aclrtStreamWaitEvent, two, event);
        gate.hold(one);
        ok!(aclrtRecordEvent, event, one);
        ok!(aclrtSynchronizeStream, two);
        // Not done: waits for this record and no other.
        ok!(aclrtStreamWaitEvent, two, event);
        ok!(aclrtRecordEvent, event, three);
        ok!(aclrtSynchronizeStream, three);
        assert!(recorded(event), "the later record supersedes the earlier one");
        assert_eq!(acl!(aclrtSynchronizeStreamWithTimeout, two, 10), 507_046);
        gate.open();
        ok!(aclrtSynchronizeStream, two);
        gate.close();
        ok!(aclrtDestroyEvent, event);
    }
    for stream in [one, two, three] {
        ok!(aclrtDestroyStream, stream);
    }
}

#[test]
fn destroyed_with_a_record_and_waits_pending() {
    let _session = card();
    let (one, two, gate) = (stream(), stream(), Gate::new());
    for event in [event(), flagged(SYNC), extended(SYNC)] {
        gate.hold(one);
        ok!(aclrtRecordEvent, event, one);
        ok!(aclrtStreamWaitEvent, two, event);
        ok!(aclrtDestroyEvent, event);
        assert_eq!(acl!(aclrtRecordEvent, event, one), 107_017);
        assert!(!is_complete(two));
        gate.open();
        ok!(aclrtSynchronizeStream, two);
        gate.close();
    }
    ok!(aclrtDestroyStream, one);
    ok!(aclrtDestroyStream, two);
}

#[test]
fn ids_run_out_and_come_back() {
    let _session = card();
    assert_eq!(available(), 1023);
    let events: Vec<_> = (0..1023).map(|_| flagged(SYNC)).collect();
    let mut one_more = ptr::null_mut();
    assert_eq!(acl!(aclrtCreateEventWithFlag, &mut one_more, SYNC), 207_007);
    assert!(message().contains("all 1023 events of device 0 are in use"));
    // These take theirs when they are recorded.
    let lazy = [event(), extended(SYNC), flagged(TIME_LINE)];
    let mut id = 0;
    assert_eq!(acl!(aclrtGetEventId, lazy[0], &mut id), 507_000);
    let start = Instant::now();
    assert_eq!(acl!(aclrtRecordEvent, lazy[0], ptr::null_mut()), 207_007);
    assert!(start.elapsed() >= Duration::from_millis(900), "it waits for an event to be destroyed");
    let spare = Carry(events[0]);
    thread::scope(|scope| {
        scope.spawn(move || {
            let spare = spare;
            thread::sleep(Duration::from_millis(50));
            ok!(aclrtDestroyEvent, spare.0);
        });
        ok!(aclrtRecordEvent, lazy[1], ptr::null_mut());
    });
    ok!(aclrtGetEventId, lazy[1], &mut id);
    ok!(aclrtSynchronizeStream, ptr::null_mut());
    assert_eq!(available(), 0);
    for event in lazy.iter().chain(&events[1..]) {
        ok!(aclrtDestroyEvent, *event);
    }
    assert_eq!(available(), 1023);
}

#[test]
fn waits_that_take_too_long() {
    let _session = card();
    let (stream, event) = (stream(), flagged(SYNC));
    assert_eq!(acl!(aclrtStreamWaitEventWithTimeout, stream, event, -1), 107_000);
    ok!(aclrtStreamWaitEventWithTimeout, stream, event, 1);
    let start = Instant::now();
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 107_019);
    assert!(start.elapsed() >= Duration::from_millis(900));
    assert!(message().contains("waited 1s for an event"));
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 0, "reported once");
    assert_eq!(waits_passed(event), Ok(true));
    ok!(aclrtSetOpWaitTimeout, 1);
    ok!(aclrtStreamWaitEvent, stream, event);
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 107_019);
    ok!(aclrtSetOpWaitTimeout, 0);
    // In time.
    ok!(aclrtStreamWaitEventWithTimeout, stream, event, 60);
    ok!(aclrtRecordEvent, event, ptr::null_mut());
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn other_devices() {
    let _session = card();
    let event = event();
    ok!(aclrtRecordEvent, event, ptr::null_mut());
    let gate = Gate::new();
    let held = stream();
    gate.hold(held);
    ok!(aclrtRecordEvent, event, held);
    ok!(aclrtSetDevice, 1);
    assert_eq!(acl!(aclrtRecordEvent, event, ptr::null_mut()), 107_000);
    ok!(aclrtStreamWaitEvent, ptr::null_mut(), event);
    ok!(aclrtSynchronizeStream, ptr::null_mut());
    ok!(aclrtResetDevice, 1);
    ok!(aclrtSetDevice, 0);
    gate.open();
    ok!(aclrtDestroyStream, held);
    ok!(aclrtDestroyEvent, event);
}

#[test]
fn events_end_with_their_device() {
    let _session = card();
    let event = event();
    ok!(aclrtResetDevice, 0);
    assert_eq!(acl!(aclrtDestroyEvent, event), 107_017);
}

#[test]
fn events_of_other_kinds() {
    let _session = full();
    let stream = stream();
    // External events belong to captured work: the host cannot ask for them.
    let external = flagged(sys::ACL_EVENT_EXTERNAL);
    assert_eq!(query(external), Err(207_000));
    assert_eq!(waits_passed(external), Err(207_000));
    assert_eq!(elapsed(external, external), Err(207_000));
    let (mut status, mut time) = (sys::ACL_EVENT_RECORDED_STATUS_NOT_READY, 0);
    assert_eq!(acl!(aclrtQueryEventStatus, external, &mut status), 207_000);
    assert_eq!(acl!(aclrtSynchronizeEvent, external), 207_000);
    assert_eq!(acl!(aclrtEventGetTimestamp, external, &mut time), 207_000);
    // Device-side events can be made and destroyed.
    let remote = flagged(sys::ACL_EVENT_DEVICE_USE_ONLY);
    assert_eq!(acl!(aclrtRecordEvent, remote, stream), 107_000);
    assert_eq!(acl!(aclrtStreamWaitEvent, stream, remote), 107_000);
    assert_eq!(acl!(aclrtResetEvent, remote, stream), 107_000);
    // All of what aclrtCreateEvent stands for, which makes the same event.
    let plain = flagged(0xe);
    assert_eq!(acl!(aclrtStreamWaitEvent, stream, plain), 107_000);
    ok!(aclrtRecordEvent, plain, stream);
    ok!(aclrtStreamWaitEvent, stream, plain);
    ok!(aclrtSynchronizeStream, stream);
    for event in [external, remote, plain] {
        ok!(aclrtDestroyEvent, event);
    }
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn order_of_checks() {
    let _session = full();
    let (stream, event, plain) = (stream(), flagged(TIME_LINE), event());
    let null = ptr::null_mut();
    let mut place = null;
    assert_eq!(acl!(aclrtRecordEvent, stream, event), 107_017);
    assert_eq!(acl!(aclrtRecordEvent, event, event), 107_017);
    assert_eq!(
        acl!(aclrtStreamWaitEvent, event, event),
        107_017,
        "the stream before what the event cannot do"
    );
    assert_eq!(acl!(aclrtStreamWaitEventWithTimeout, stream, null, 1), 107_000);
    assert_eq!(acl!(aclrtStreamWaitEventWithTimeout, event, null, 1), 107_017);
    assert_eq!(acl!(aclrtStreamWaitEventWithTimeout, event, null, -1), 107_000);
    assert_eq!(acl!(aclrtSynchronizeEventWithTimeout, null, -2), 107_000);
    assert_eq!(acl!(aclrtSynchronizeEventWithTimeout, null, 0), 100_000);
    assert_eq!(acl!(aclrtSynchronizeEventWithTimeout, stream, 0), 107_017);
    assert_eq!(acl!(aclrtSynchronizeEventWithTimeout, plain, 0), 107_000);
    let (mut own, mut other) = (null, null);
    ok!(aclrtGetCurrentContext, &mut own);
    ok!(aclrtCreateContext, &mut other, 0);
    assert_eq!(acl!(aclrtStreamWaitEvent, stream, event), 207_000, "before the context");
    assert_eq!(acl!(aclrtStreamWaitEvent, stream, plain), 107_003);
    assert_eq!(acl!(aclrtRecordEvent, event, stream), 107_003);
    ok!(aclrtDestroyContext, other);
    assert_eq!(acl!(aclrtCreateEventWithFlag, &mut place, 0), 107_000, "before the context");
    assert_eq!(acl!(aclrtCreateEventWithFlag, &mut place, SYNC), 107_002);
    assert_eq!(acl!(aclrtRecordEvent, event, stream), 107_002);
    assert_eq!(acl!(aclrtRecordEvent, event, event), 107_017);
    ok!(aclrtSynchronizeEvent, plain);
    ok!(aclrtSetCurrentContext, own);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtDestroyEvent, plain);
    ok!(aclrtDestroyStream, stream);
}
