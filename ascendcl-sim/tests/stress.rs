//! Many streams, many threads: order, no lost wake-ups, no leaks.

mod common;

use core::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use common::*;

const D2D: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_DEVICE_TO_DEVICE;
const D2H: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_DEVICE_TO_HOST;

fn current() -> Carry {
    let mut context = ptr::null_mut();
    ok!(aclrtGetCurrentContext, &mut context);
    Carry(context)
}

/// A value travels through 2,000 streams, each of which copies it from the cell before its own once the stream before it has written
/// there. A copy that runs too early moves poison.
#[test]
fn a_chain_through_two_thousand_streams() {
    const STREAMS: usize = 2000;
    const ROUNDS: usize = 5;
    const CELL: usize = 64;
    const THREADS: usize = 4;
    let _session = full();
    let context = current();
    let streams: Vec<Carry> = (0..STREAMS).map(|_| Carry(stream())).collect();
    let events: Vec<Carry> = (0..STREAMS).map(|_| Carry(flagged(sys::ACL_EVENT_SYNC))).collect();
    let (cells, host) = (Carry(device_memory(CELL * (STREAMS + 1))), pinned(CELL));
    for round in 1..=ROUNDS {
        ok!(aclrtMemset, cells.0, CELL, round as i32, CELL);
        // The links are submitted from several threads, most of them before the link that they wait for.
        thread::scope(|scope| {
            for part in 0..THREADS {
                let (streams, events) = (&streams, &events);
                scope.spawn(move || {
                    let (context, cells) = (context, cells);
                    ok!(aclrtSetCurrentContext, context.0);
                    for link in (0..STREAMS).rev().filter(|link| link % THREADS == part) {
                        let stream = streams[link].0;
                        if link > 0 {
                            ok!(aclrtStreamWaitEvent, stream, events[link - 1].0);
                            ok!(aclrtResetEvent, events[link - 1].0, stream);
                        }
                        let from = cells.0.wrapping_byte_add(link * CELL);
                        ok!(aclrtMemcpyAsync, from.wrapping_byte_add(CELL), CELL, from, CELL, D2D, stream);
                        if link + 1 < STREAMS {
                            ok!(aclrtRecordEvent, events[link].0, stream);
                        }
                    }
                });
            }
        });
        let last = cells.0.wrapping_byte_add(STREAMS * CELL);
        ok!(aclrtMemcpyAsync, host, CELL, last, CELL, D2H, streams[STREAMS - 1].0);
        ok!(aclrtSynchronizeDeviceWithTimeout, 60_000);
        assert_eq!(bytes(host, CELL), [round as u8; CELL], "round {round}");
    }
    for (stream, event) in streams.iter().zip(&events) {
        ok!(aclrtDestroyStream, stream.0);
        ok!(aclrtDestroyEvent, event.0);
    }
    ok!(aclrtFree, cells.0);
    ok!(aclrtFreeHost, host);
}

/// Two streams hand a counter to each other through events that are recorded anew each time.
#[test]
fn ping_pong() {
    const ROUNDS: usize = 3000;
    let _session = card();
    let (one, two) = (stream(), stream());
    let (there, back) = (extended(sys::ACL_EVENT_SYNC), extended(sys::ACL_EVENT_SYNC));
    let cells = device_memory(2 * 64 * (ROUNDS + 1));
    let host = pinned(1);
    ok!(aclrtMemset, cells, 1, 77, 1);
    for round in 0..ROUNDS {
        let at = |step: usize| cells.wrapping_byte_add(64 * (2 * round + step));
        ok!(aclrtMemcpyAsync, at(1), 1, at(0), 1, D2D, one);
        ok!(aclrtRecordEvent, there, one);
        ok!(aclrtStreamWaitEvent, two, there);
        ok!(aclrtMemcpyAsync, at(2), 1, at(1), 1, D2D, two);
        ok!(aclrtRecordEvent, back, two);
        ok!(aclrtStreamWaitEvent, one, back);
    }
    ok!(aclrtMemcpyAsync, host, 1, cells.wrapping_byte_add(64 * 2 * ROUNDS), 1, D2H, one);
    ok!(aclrtSynchronizeStreamWithTimeout, one, 60_000);
    assert_eq!(bytes(host, 1), [77]);
    for event in [there, back] {
        ok!(aclrtDestroyEvent, event);
    }
    for stream in [one, two] {
        ok!(aclrtDestroyStream, stream);
    }
    ok!(aclrtFree, cells);
    ok!(aclrtFreeHost, host);
}

/// Threads make, use and destroy everything at once, also by force and with work pending.
#[test]
fn churn() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn called(_: *mut c_void) {
        CALLS.fetch_add(1, Ordering::SeqCst);
    }
    let _session = card();
    let context = current();
    let reporters = [Reporter::start(), Reporter::start()];
    thread::scope(|scope| {
        for worker in 0..6 {
            let reporter = reporters[worker % 2].id;
            scope.spawn(move || {
                let context = context;
                ok!(aclrtSetCurrentContext, context.0);
                for round in 0..150 {
                    let (one, two) = (stream(), stream());
                    let (event, level) = (event(), flagged(sys::ACL_EVENT_SYNC));
                    let (memory, host) = (device_memory(4096), pinned(4096));
                    ok!(aclrtSubscribeReport, reporter, one);
                    ok!(aclrtStreamWaitEvent, two, level);
                    ok!(aclrtMemsetAsync, memory, 4096, round, 4096, one);
                    ok!(aclrtLaunchCallback, Some(called), ptr::null_mut(), sys::ACL_CALLBACK_BLOCK, one);
                    ok!(aclrtRecordEvent, event, one);
                    ok!(aclrtStreamWaitEvent, two, event);
                    ok!(aclrtMemcpyAsync, host, 4096, memory, 4096, D2H, two);
                    if round % 3 == 0 {
                        ok!(aclrtDestroyStreamForce, two);
                        ok!(aclrtDestroyStreamForce, one);
                    } else {
                        ok!(aclrtRecordEvent, level, one);
                        ok!(aclrtDestroyEvent, event);
                        ok!(aclrtSynchronizeStreamWithTimeout, two, 60_000);
                        assert_eq!(bytes(host, 4096), [round as u8; 4096]);
                        ok!(aclrtDestroyStream, one);
                        ok!(aclrtDestroyStream, two);
                    }
                    if round % 3 == 0 {
                        ok!(aclrtDestroyEvent, event);
                    }
                    ok!(aclrtDestroyEvent, level);
                    ok!(aclrtFree, memory);
                    ok!(aclrtFreeHost, host);
                }
            });
        }
    });
    assert!(CALLS.load(Ordering::SeqCst) >= 6 * 100);
    let (mut streams, mut events) = (0, 0);
    ok!(aclrtGetStreamAvailableNum, &mut streams);
    ok!(aclrtGetEventAvailNum, &mut events);
    assert_eq!(streams, 990);
    // A worker may still be letting go of the last event it signalled.
    for _ in 0..100 {
        if events == 1023 {
            break;
        }
        thread::sleep(std::time::Duration::from_millis(10));
        ok!(aclrtGetEventAvailNum, &mut events);
    }
    assert_eq!(events, 1023);
}

/// Devices are reset under threads that go on using what was on them: errors of every kind, but no hang, no crash, no leak.
#[test]
fn resets_under_fire() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn called(_: *mut c_void) {
        CALLS.fetch_add(1, Ordering::SeqCst);
    }
    let _session = session(Config::new());
    let reporter = Reporter::start();
    let (id, stop) = (reporter.id, AtomicBool::new(false));
    thread::scope(|scope| {
        let mut users = Vec::new();
        for user in 0..4 {
            users.push(scope.spawn(move || {
                let device = user % 2;
                for round in 0..400 {
                    let (mut one, mut two, mut event, mut level) = Default::default();
                    let (mut memory, mut host) = Default::default();
                    let codes = [
                        acl!(aclrtSetDevice, device),
                        acl!(aclrtCreateStream, &mut one),
                        acl!(aclrtCreateStream, &mut two),
                        acl!(aclrtCreateEvent, &mut event),
                        acl!(aclrtCreateEventWithFlag, &mut level, 1),
                        acl!(aclrtMalloc, &mut memory, 256, sys::ACL_MEM_MALLOC_HUGE_FIRST),
                        acl!(aclrtMallocHost, &mut host, 256),
                        acl!(aclrtSubscribeReport, id, one),
                        acl!(
                            aclrtLaunchCallback,
                            Some(called),
                            ptr::null_mut(),
                            sys::ACL_CALLBACK_BLOCK,
                            one
                        ),
                        acl!(aclrtMemsetAsync, memory, 256, round, 256, one),
                        acl!(aclrtRecordEvent, event, one),
                        acl!(aclrtStreamWaitEvent, two, event),
                        acl!(aclrtMemcpyAsync, host, 256, memory, 256, D2H, two),
                        acl!(aclrtRecordEvent, level, two),
                        acl!(aclrtStreamWaitEvent, one, level),
                        acl!(aclrtSynchronizeStreamWithTimeout, one, 20),
                        acl!(aclrtDestroyEvent, event),
                        if round % 2 == 0 { acl!(aclrtFree, memory) } else { 0 },
                        acl!(aclrtFreeHost, host),
                        acl!(aclrtDestroyStream, two),
                        if round % 3 == 0 { acl!(aclrtDestroyStreamForce, one) } else { 0 },
                        acl!(aclrtResetDevice, device),
                    ];
                    assert!(!codes.contains(&500_000), "the simulator panicked: {}", message());
                    if codes[5] != 0 && codes[6] == 0 {
                        assert_eq!(codes[18], 0, "pinned memory does not go with a device");
                    }
                    message();
                }
            }));
        }
        let stop = &stop;
        scope.spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                for device in 0..2 {
                    acl!(aclrtResetDeviceForce, device);
                }
                message();
                thread::sleep(std::time::Duration::from_micros(300));
            }
        });
        for user in users {
            user.join().unwrap();
        }
        stop.store(true, Ordering::SeqCst);
    });
    for device in 0..2 {
        acl!(aclrtResetDeviceForce, device);
    }
}

/// Garbage never crashes.
#[test]
fn garbage_handles() {
    let _session = card();
    let mine = stream();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        // Half of them differ from a live handle in one bit only.
        let value = if seed & 1 == 0 { seed as usize } else { mine.addr() ^ (1 << (seed >> 58)) };
        let garbage: *mut c_void = ptr::without_provenance_mut(value);
        assert_ne!(acl!(aclrtSynchronizeStream, garbage), 0);
        assert_ne!(acl!(aclrtDestroyStream, garbage), 0);
        assert_ne!(acl!(aclrtRecordEvent, garbage, mine), 0);
        assert_ne!(acl!(aclrtDestroyEvent, garbage), 0);
        assert_ne!(acl!(aclrtSetCurrentContext, garbage), 0);
        assert_ne!(acl!(aclrtDestroyContext, garbage), 0);
        assert_ne!(acl!(aclrtFree, garbage), 0);
        assert_ne!(acl!(aclrtFreeHost, garbage), 0);
    }
    message();
    ok!(aclrtDestroyStream, mine);
}
