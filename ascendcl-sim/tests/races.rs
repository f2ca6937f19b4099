//! The race detector: what it has to find, and what it must not report.

mod common;

use ascendcl_sim::{Report, ReportKind, Reporting, take_reports};
use common::*;
use std::hint::black_box;

const SIZE: usize = 4096;

fn watched() -> Session {
    let session = session(Config::new().profile(Profile::full()).races(Reporting::Log));
    take_reports();
    ok!(aclrtSetDevice, 0);
    session
}

fn races() -> Vec<Report> {
    take_reports().into_iter().filter(|report| report.kind == ReportKind::Race).collect()
}

fn upload(to: *mut core::ffi::c_void, from: *mut core::ffi::c_void, size: usize, stream: aclrtStream) {
    ok!(aclrtMemcpyAsync, to, size, from, size, sys::ACL_MEMCPY_HOST_TO_DEVICE, stream);
}

fn download(to: *mut core::ffi::c_void, from: *mut core::ffi::c_void, size: usize, stream: aclrtStream) {
    ok!(aclrtMemcpyAsync, to, size, from, size, sys::ACL_MEMCPY_DEVICE_TO_HOST, stream);
}

struct Two {
    one: aclrtStream,
    two: aclrtStream,
    host: *mut core::ffi::c_void,
    device: *mut core::ffi::c_void,
}

impl Two {
    fn new() -> Self {
        Self { one: stream(), two: stream(), host: pinned(2 * SIZE), device: device_memory(2 * SIZE) }
    }

    fn end(self) {
        ok!(aclrtSynchronizeDevice);
        ok!(aclrtDestroyStream, self.one);
        ok!(aclrtDestroyStream, self.two);
        ok!(aclrtFree, self.device);
        ok!(aclrtFreeHost, self.host);
    }
}

#[test]
fn two_streams_that_write_the_same_memory() {
    let _session = watched();
    let two = Two::new();
    // A place is the address of a call, of which an unrolled loop would have several.
    for _ in 0..black_box(3) {
        ok!(aclrtMemsetAsync, two.device, SIZE, 1, SIZE, two.one);
        ok!(aclrtMemsetAsync, two.device.wrapping_byte_add(SIZE / 2), SIZE, 2, SIZE, two.two);
    }
    ok!(aclrtSynchronizeDevice);
    let found = races();
    assert_eq!(found.len(), 1, "each pair of places once: {found:#?}");
    let text = &found[0].text;
    assert!(
        text.starts_with("race on 2048 bytes of an allocation of 8192 bytes on device 0, at 0x"),
        "{text}"
    );
    assert_eq!(
        text.matches("in a task queued by aclrtMemsetAsync on thread two_streams_that").count(),
        2,
        "{text}"
    );
    assert!(text.contains("two_streams_that_write_the_same_memory at "), "{text}");
    assert!(text.contains("record an event on stream"), "{text}");
    two.end();
}

#[test]
fn reading_what_another_stream_writes() {
    let _session = watched();
    let two = Two::new();
    upload(two.device, two.host, SIZE, two.one);
    download(two.host.wrapping_byte_add(SIZE), two.device, SIZE, two.two);
    ok!(aclrtSynchronizeDevice);
    let found = races();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].text.contains("written by stream"), "{}", found[0]);
    assert!(found[0].text.contains("read by stream"), "{}", found[0]);
    // Both only read: fine.
    download(two.host, two.device, SIZE, two.one);
    download(two.host.wrapping_byte_add(SIZE), two.device, SIZE, two.two);
    // Other bytes: fine.
    ok!(aclrtMemsetAsync, two.device.wrapping_byte_add(SIZE), SIZE, 2, 16, two.two);
    ok!(aclrtMemsetAsync, two.device.wrapping_byte_add(SIZE + 16), SIZE, 2, 16, two.one);
    ok!(aclrtSynchronizeDevice);
    assert_eq!(races(), []);
    two.end();
}

#[test]
fn the_host_uses_memory_too_early() {
    let _session = watched();
    let two = Two::new();
    ok!(aclrtMemsetAsync, two.device, SIZE, 1, SIZE, two.one);
    let mut byte = 0u8;
    ok!(aclrtMemcpy, (&raw mut byte).cast(), 1, two.device, 1, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    ok!(aclrtSynchronizeStream, two.one);
    let found = races();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].text.contains("read by the host, in aclrtMemcpy on thread"), "{}", found[0]);
    // The other way round: the task is done by now, but nobody asked.
    ok!(aclrtMemsetAsync, two.device, SIZE, 1, SIZE, two.one);
    std::thread::sleep(std::time::Duration::from_millis(50));
    ok!(aclrtMemset, two.device, SIZE, 3, SIZE);
    let found = races();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].text.contains("written by the host, in aclrtMemset"), "{}", found[0]);
    two.end();
}

#[test]
fn a_stale_level_does_not_order() {
    let _session = watched();
    let two = Two::new();
    let event = flagged(sys::ACL_EVENT_SYNC);
    let gate = Gate::new();
    upload(two.device, two.host, SIZE, two.one);
    ok!(aclrtRecordEvent, event, two.one);
    ok!(aclrtStreamWaitEvent, two.two, event);
    download(two.host.wrapping_byte_add(SIZE), two.device, SIZE, two.two);
    ok!(aclrtSynchronizeStream, two.two);
    assert_eq!(races(), []);
    // The reset was forgotten: the second wait passes on the first record.
    let seen = two.host.wrapping_byte_add(SIZE).cast::<u8>();
    // SAFETY: pinned memory that nothing uses at the moment.
    unsafe { seen.write(0) };
    gate.hold(two.one);
    upload(two.device, two.host, SIZE, two.one);
    ok!(aclrtRecordEvent, event, two.one);
    ok!(aclrtStreamWaitEvent, two.two, event);
    download(seen.cast(), two.device, SIZE, two.two);
    // SAFETY: pinned memory; one byte is read whole. Looking at the data is no order that anybody asked for.
    while unsafe { seen.read_volatile() } == 0 {}
    gate.open();
    ok!(aclrtSynchronizeDevice);
    assert_eq!(races().len(), 1);
    ok!(aclrtDestroyEvent, event);
    drop(gate);
    two.end();
}

#[test]
fn record_wait_and_reset_order() {
    let _session = watched();
    let two = Two::new();
    let events = [flagged(sys::ACL_EVENT_SYNC), event(), extended(sys::ACL_EVENT_SYNC)];
    for (kind, event) in events.into_iter().enumerate() {
        for _ in 0..50 {
            upload(two.device, two.host, SIZE, two.one);
            ok!(aclrtRecordEvent, event, two.one);
            ok!(aclrtStreamWaitEvent, two.two, event);
            if kind == 0 {
                ok!(aclrtResetEvent, event, two.two);
            }
            download(two.host.wrapping_byte_add(SIZE), two.device, SIZE, two.two);
            ok!(aclrtSynchronizeStream, two.two);
        }
    }
    assert_eq!(races(), []);
    for event in events {
        ok!(aclrtDestroyEvent, event);
    }
    two.end();
}

#[test]
fn host_synchronisation_orders() {
    let _session = watched();
    let two = Two::new();
    let mark = event();
    let touch = |stream| ok!(aclrtMemsetAsync, two.device, SIZE, 1, SIZE, stream);
    touch(two.one);
    ok!(aclrtSynchronizeStream, two.one);
    touch(two.two);
    while !is_complete(two.two) {}
    touch(two.one);
    ok!(aclrtRecordEvent, mark, two.one);
    ok!(aclrtSynchronizeEvent, mark);
    touch(two.two);
    ok!(aclrtRecordEvent, mark, two.two);
    let mut status = sys::ACL_EVENT_STATUS_NOT_READY;
    while status == sys::ACL_EVENT_STATUS_NOT_READY {
        ok!(aclrtQueryEvent, mark, &mut status);
    }
    touch(two.one);
    ok!(aclrtSynchronizeDevice);
    ok!(aclrtMemset, two.device, SIZE, 3, SIZE);
    touch(two.two);
    ok!(aclrtSynchronizeStreamWithTimeout, two.two, 10_000);
    // A stream that was destroyed has done its work.
    let third = stream();
    touch(third);
    ok!(aclrtDestroyStream, third);
    touch(two.one);
    assert_eq!(races(), []);
    ok!(aclrtDestroyEvent, mark);
    two.end();
}

#[test]
fn callbacks_order() {
    unsafe extern "C" fn consume(data: *mut core::ffi::c_void) {
        let mut byte = 0u8;
        assert_eq!(acl!(aclrtSetDevice, 0), 0);
        assert_eq!(acl!(aclrtMemcpy, (&raw mut byte).cast(), 1, data, 1, sys::ACL_MEMCPY_DEVICE_TO_HOST), 0);
    }
    let _session = watched();
    let two = Two::new();
    let reporter = Reporter::start();
    ok!(aclrtSubscribeReport, reporter.id, two.one);
    ok!(aclrtSynchronizeDevice);
    for _ in 0..20 {
        ok!(aclrtMemsetAsync, two.device, SIZE, 1, SIZE, two.one);
        // What the function reads comes after the memset before it and before the one that follows.
        ok!(aclrtLaunchCallback, Some(consume), two.device, sys::ACL_CALLBACK_BLOCK, two.one);
    }
    ok!(aclrtSynchronizeStream, two.one);
    let found: Vec<_> = races();
    assert_eq!(found, []);
    ok!(aclrtUnSubscribeReport, reporter.id, two.one);
    drop(reporter);
    two.end();
}

#[test]
fn columns_of_one_picture() {
    let _session = watched();
    let two = Two::new();
    let half = |stream, offset: usize| {
        let (to, from) = (two.device.wrapping_byte_add(offset), two.host.wrapping_byte_add(offset));
        ok!(aclrtMemcpy2dAsync, to, 64, from, 64, 32, 64, sys::ACL_MEMCPY_HOST_TO_DEVICE, stream);
    };
    half(two.one, 0);
    half(two.two, 32);
    ok!(aclrtSynchronizeDevice);
    assert_eq!(races(), []);
    half(two.one, 0);
    half(two.two, 16);
    ok!(aclrtSynchronizeDevice);
    assert_eq!(races().len(), 1);
    two.end();
}

#[test]
fn memory_that_was_freed_is_forgotten() {
    let _session = watched();
    let (one, two) = (stream(), stream());
    for _ in 0..50 {
        let memory = device_memory(SIZE);
        ok!(aclrtMemsetAsync, memory, SIZE, 1, SIZE, one);
        ok!(aclrtSynchronizeStream, one);
        ok!(aclrtFree, memory);
        let memory = device_memory(SIZE);
        ok!(aclrtMemsetAsync, memory, SIZE, 1, SIZE, two);
        ok!(aclrtSynchronizeStream, two);
        ok!(aclrtFree, memory);
    }
    assert_eq!(races(), []);
    ok!(aclrtDestroyStream, one);
    ok!(aclrtDestroyStream, two);
}

#[test]
fn nothing_is_watched_unless_asked_for() {
    let _session = full();
    let two = Two::new();
    take_reports();
    for stream in [two.one, two.two] {
        ok!(aclrtMemsetAsync, two.device, SIZE, 1, SIZE, stream);
    }
    ok!(aclrtSynchronizeDevice);
    assert_eq!(races(), []);
    two.end();
}
