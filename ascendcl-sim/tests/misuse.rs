//! Misuse that is reported, whatever the call answers, and clean programs that stay clean.

mod common;

use core::ffi::c_void;

use ascendcl_sim::{Report, ReportKind, Reporting, take_reports};
use common::*;
use std::hint::black_box;

fn watched() -> Session {
    let session = session(Config::new().misuse(Reporting::Log).races(Reporting::Log));
    take_reports();
    ok!(aclrtSetDevice, 0);
    session
}

fn misuses() -> Vec<String> {
    let of = |report: Report| (report.kind == ReportKind::Misuse).then_some(report.text);
    take_reports().into_iter().filter_map(of).collect()
}

/// The one report there is.
#[track_caller]
fn the_one() -> String {
    let found = misuses();
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

#[test]
fn a_host_pointer_where_device_memory_is_needed() {
    let _session = watched();
    let mut host = [0u8; 64];
    // A place is the address of a call, of which an unrolled loop would have several.
    for _ in 0..black_box(2) {
        // It works, and is not what the function is for.
        ok!(aclrtMemset, host.as_mut_ptr().cast(), 64, 0, 64);
    }
    let text = the_one();
    assert!(
        text.contains("is plain host memory") && text.contains("in aclrtMemset on thread a_host_pointer"),
        "{text}"
    );
    assert!(text.contains("a_host_pointer_where_device_memory_is_needed at "), "{text}");
}

#[test]
fn a_copy_past_an_allocation() {
    let _session = watched();
    let (device, host) = (device_memory(100), pinned(200));
    // The runtime checks the capacity that the program claims, and that is all a card does.
    assert_ne!(acl!(aclrtMemcpy, device, 200, host, 200, sys::ACL_MEMCPY_HOST_TO_DEVICE), 0);
    let text = the_one();
    assert!(
        text.contains("200 bytes at") && text.contains("the allocation of 100 bytes ends after 100"),
        "{text}"
    );
    let big = device_memory(400);
    assert_ne!(acl!(aclrtMemcpy, big, 400, host, 201, sys::ACL_MEMCPY_HOST_TO_DEVICE), 0);
    assert!(the_one().contains("the pinned memory of 200 bytes ends after 200"));
    ok!(aclrtFree, device);
    ok!(aclrtFree, big);
    ok!(aclrtFreeHost, host);
}

#[test]
fn memory_freed_while_work_is_queued() {
    let _session = watched();
    let stream = stream();
    let gate = Gate::new();
    let device = device_memory(100);
    gate.hold(stream);
    ok!(aclrtMemsetAsync, device, 100, 0, 100, stream);
    ok!(aclrtFree, device);
    gate.open();
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 507_013);
    let text = the_one();
    assert!(
        text.contains("device memory of 100 bytes was freed before the queued work that uses it ran"),
        "{text}"
    );
    assert!(
        text.contains("freed by aclrtFree") && text.contains("in a task queued by aclrtMemsetAsync"),
        "{text}"
    );
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn a_callback_that_waits_for_its_own_stream() {
    unsafe extern "C" fn wait(stream: *mut c_void) {
        acl!(aclrtSetDevice, 0);
        assert_eq!(acl!(aclrtSynchronizeStreamWithTimeout, stream, 20), 507_046);
    }
    let _session = watched();
    let (reporter, stream) = (Reporter::start(), stream());
    ok!(aclrtSubscribeReport, reporter.id, stream);
    ok!(aclrtLaunchCallback, Some(wait), stream, sys::ACL_CALLBACK_BLOCK, stream);
    ok!(aclrtSynchronizeStream, stream);
    let text = the_one();
    assert!(text.contains("waits for this callback to return, and the callback for the stream"), "{text}");
    ok!(aclrtUnSubscribeReport, reporter.id, stream);
    drop(reporter);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn events_that_run_out() {
    let _session = watched();
    let mut events: Vec<_> = (0..900).map(|_| flagged(sys::ACL_EVENT_SYNC)).collect();
    assert_eq!(misuses(), Vec::<String>::new());
    events.extend((0..100).map(|_| flagged(sys::ACL_EVENT_SYNC)));
    assert!(the_one().contains("of 1023 events of device 0 are left"));
    for event in events {
        ok!(aclrtDestroyEvent, event);
    }
}

#[test]
fn a_clean_program() {
    unsafe extern "C" fn nothing(_: *mut c_void) {}
    let _session = watched();
    let (reporter, stream) = (Reporter::start(), stream());
    ok!(aclrtSubscribeReport, reporter.id, stream);
    for _ in 0..50 {
        let (device, host, event) = (device_memory(100), pinned(100), flagged(sys::ACL_EVENT_SYNC));
        ok!(aclrtMemcpyAsync, device, 100, host, 100, sys::ACL_MEMCPY_HOST_TO_DEVICE, stream);
        ok!(aclrtRecordEvent, event, stream);
        ok!(aclrtLaunchCallback, Some(nothing), device, sys::ACL_CALLBACK_BLOCK, stream);
        ok!(aclrtSynchronizeStream, stream);
        ok!(aclrtFree, device);
        ok!(aclrtFreeHost, host);
        ok!(aclrtDestroyEvent, event);
    }
    assert_eq!(take_reports(), []);
    ok!(aclrtUnSubscribeReport, reporter.id, stream);
    drop(reporter);
    ok!(aclrtDestroyStream, stream);
}
