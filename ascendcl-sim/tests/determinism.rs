//! Runs with a seed: what is the same each time, and what the seed changes.

mod common;

use std::collections::BTreeSet;
use std::ptr;

use common::*;

const STREAMS: usize = 4;
const SIZE: usize = 1 << 20;

fn seeded(seed: u64) -> Session {
    let session = session(Config::new().profile(Profile::full()).seed(seed));
    ok!(aclrtSetDevice, 0);
    session
}

/// Which of several streams wrote last, again and again: nothing but scheduling decides it.
fn winners(seed: u64) -> Vec<u8> {
    let _session = seeded(seed);
    let streams: Vec<_> = (0..STREAMS).map(|_| stream()).collect();
    let (memory, host) = (device_memory(1), pinned(1));
    let mut winners = Vec::new();
    for _ in 0..24 {
        for (number, &stream) in streams.iter().enumerate() {
            for _ in 0..3 {
                ok!(aclrtMemsetAsync, memory, 1, number as i32, 1, stream);
            }
        }
        ok!(aclrtSynchronizeDevice);
        ok!(aclrtMemcpy, host, 1, memory, 1, sys::ACL_MEMCPY_DEVICE_TO_HOST);
        winners.push(bytes(host, 1)[0]);
    }
    for stream in streams {
        ok!(aclrtDestroyStream, stream);
    }
    ok!(aclrtFree, memory);
    ok!(aclrtFreeHost, host);
    winners
}

#[test]
fn a_seed_fixes_the_order() {
    let runs: Vec<_> = (0..6).map(winners).collect();
    for (seed, run) in runs.iter().enumerate() {
        for _ in 0..3 {
            assert_eq!(winners(seed as u64), *run, "seed {seed}");
        }
    }
    assert!(runs.iter().collect::<BTreeSet<_>>().len() >= 5, "seeds differ: {runs:?}");
    assert!(runs.iter().flatten().collect::<BTreeSet<_>>().len() > 1, "no stream always wins");
}

/// Milliseconds that an upload takes between two events, and one that waits for it on another stream.
fn elapsed(config: Config) -> (f32, f32) {
    let _session = session(config);
    ok!(aclrtSetDevice, 0);
    let (one, two) = (stream(), stream());
    let [start, end, late] = [event(), event(), event()];
    let (memory, host) = (device_memory(SIZE), pinned(SIZE));
    ok!(aclrtRecordEvent, start, one);
    ok!(aclrtMemcpyAsync, memory, SIZE, host, SIZE, sys::ACL_MEMCPY_HOST_TO_DEVICE, one);
    ok!(aclrtRecordEvent, end, one);
    ok!(aclrtStreamWaitEvent, two, end);
    ok!(aclrtMemsetAsync, memory, SIZE, 0, SIZE, two);
    ok!(aclrtRecordEvent, late, two);
    ok!(aclrtSynchronizeStream, two);
    let (mut first, mut both) = (0.0, 0.0);
    ok!(aclrtEventElapsedTime, &mut first, start, end);
    ok!(aclrtEventElapsedTime, &mut both, start, late);
    for event in [start, end, late] {
        ok!(aclrtDestroyEvent, event);
    }
    ok!(aclrtDestroyStream, one);
    ok!(aclrtDestroyStream, two);
    ok!(aclrtFree, memory);
    ok!(aclrtFreeHost, host);
    (first, both)
}

#[test]
fn a_virtual_clock_fixes_the_times() {
    let config = |seed| Config::new().profile(Profile::full()).seed(seed);
    let (first, both) = elapsed(config(1));
    for seed in 0..5 {
        assert_eq!(elapsed(config(seed)), (first, both), "the order does not change how long things take");
    }
    // One MiB at 24 GB/s, and the same inside the device at 400 GB/s, each with what a task costs.
    let millis = |rate: f64, tasks: f64| (SIZE as f64 / rate / 1e6 + tasks * 3e-3) as f32;
    assert!((first - millis(24.0, 2.0)).abs() < 2e-3, "{first}");
    assert!((both - first - millis(400.0, 3.0)).abs() < 4e-3, "{both}");
    // A slower link takes longer.
    let (slow, _) = elapsed(Config::new().seed(1));
    assert!(slow > 5.0 * first, "{slow}");
}

#[test]
fn time_outs_need_no_waiting() {
    let _session = seeded(3);
    let (stream, event) = (stream(), flagged(sys::ACL_EVENT_SYNC));
    let began = std::time::Instant::now();
    ok!(aclrtStreamWaitEventWithTimeout, stream, event, 3600);
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 107_019);
    assert!(
        began.elapsed() < std::time::Duration::from_secs(600),
        "an hour passed on the virtual clock only"
    );
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtDestroyEvent, event);
}

#[test]
fn callbacks_and_waits_by_other_means_go_on() {
    use core::ffi::c_void;
    use std::sync::mpsc::{Sender, channel};
    unsafe extern "C" fn tell(data: *mut c_void) {
        // SAFETY: the test passes a sender that outlives the callback.
        unsafe { &*data.cast::<Sender<()>>() }.send(()).unwrap();
    }
    let _session = seeded(4);
    let (stream, reporter) = (stream(), Reporter::start());
    let (send, receive) = channel::<()>();
    ok!(aclrtSubscribeReport, reporter.id, stream);
    for _ in 0..3 {
        ok!(
            aclrtLaunchCallback,
            Some(tell),
            ptr::from_ref(&send).cast_mut().cast(),
            sys::ACL_CALLBACK_BLOCK,
            stream
        );
        // No call into ACL: the simulator has to go on by itself.
        receive.recv().unwrap();
    }
    ok!(aclrtSynchronizeStream, stream);
    let mut complete = false;
    while !complete {
        complete = is_complete(stream);
    }
    ok!(aclrtUnSubscribeReport, reporter.id, stream);
    drop(reporter);
    ok!(aclrtDestroyStream, stream);
}
