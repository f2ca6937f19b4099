//! Streams: flags, attributes, abort, stop, and streams that hold their tasks.

mod common;

use std::ptr;
use std::thread;
use std::time::Duration;

use common::*;
use sys::aclrtStreamAttrValue;

fn with(priority: u32, flags: u32) -> Result<aclrtStream, aclError> {
    let mut stream = ptr::null_mut();
    match acl!(aclrtCreateStreamWithConfig, &mut stream, priority, flags) {
        0 => Ok(stream),
        code => Err(code),
    }
}

fn set(stream: aclrtStream, attribute: sys::aclrtStreamAttr, value: u64) -> aclError {
    let mut value = aclrtStreamAttrValue { failureMode: value };
    acl!(aclrtSetStreamAttribute, stream, attribute, &mut value)
}

fn get(stream: aclrtStream, attribute: sys::aclrtStreamAttr) -> Result<u32, aclError> {
    let mut value = aclrtStreamAttrValue { reserve: [9; 4] };
    match acl!(aclrtGetStreamAttribute, stream, attribute, &mut value) {
        // SAFETY: all readings of the union are plain numbers.
        0 => Ok(unsafe { value.overflowSwitch }),
        code => Err(code),
    }
}

#[test]
fn flags_and_priorities() {
    let _session = full();
    for (priority, expected) in [(0, 0), (7, 7), (8, 7), (i32::MAX as u32, 7), (u32::MAX, 0)] {
        let stream = with(priority, 0).unwrap();
        let mut found = 99;
        ok!(aclrtStreamGetPriority, stream, &mut found);
        assert_eq!(found, expected, "a priority is a signed number");
        ok!(aclrtDestroyStream, stream);
    }
    for flags in [0x1f, 0x20, 0x1000_0020] {
        let stream = with(0, flags).unwrap();
        let mut found = 0;
        ok!(aclrtStreamGetFlags, stream, &mut found);
        assert_eq!(found, flags & 0x3f);
        ok!(aclrtDestroyStream, stream);
    }
    assert_eq!(with(0, 0x21), Err(107_000), "device-side streams are nothing else");
    ok!(aclrtDeviceGetStreamPriorityRange, ptr::null_mut(), ptr::null_mut());
    let mut least = 0;
    ok!(aclrtDeviceGetStreamPriorityRange, &mut least, ptr::null_mut());
    assert_eq!(least, 7);
}

#[test]
fn huge_streams() {
    let _session = session(Config::new().profile(Profile::ascend310p()));
    ok!(aclrtSetDevice, 0);
    assert_eq!(with(0, sys::ACL_STREAM_HUGE), Err(207_000));
    let stream = with(0, 3).unwrap();
    // Accepted, and without effect.
    assert_eq!(set(stream, sys::ACL_STREAM_ATTR_FLOAT_OVERFLOW_CHECK, 0), 0);
    assert_eq!(get(stream, sys::ACL_STREAM_ATTR_FLOAT_OVERFLOW_CHECK), Ok(1));
    assert_eq!(set(stream, sys::ACL_STREAM_ATTR_USER_CUSTOM_TAG, 5), 0);
    assert_eq!(get(stream, sys::ACL_STREAM_ATTR_USER_CUSTOM_TAG), Ok(9), "untouched");
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn attributes() {
    let _session = full();
    let (stream, mut own) = (stream(), ptr::null_mut());
    let null = ptr::null_mut();
    ok!(aclrtGetCurrentContext, &mut own);
    use sys::*;
    for (attribute, default, new) in [
        (ACL_STREAM_ATTR_FLOAT_OVERFLOW_CHECK, 0, 1),
        (ACL_STREAM_ATTR_USER_CUSTOM_TAG, 0, 0xffff_fff0),
        (ACL_STREAM_ATTR_CACHE_OP_INFO, 0, 1),
        (ACL_STREAM_ATTR_PRIORITY, 0, 3),
    ] {
        assert_eq!(get(stream, attribute), Ok(default), "{}", attribute.0);
        assert_eq!(set(stream, attribute, new), 0, "{}", attribute.0);
        assert_eq!(get(stream, attribute), Ok(new as u32), "{}", attribute.0);
        let of_default = if attribute == ACL_STREAM_ATTR_PRIORITY { Err(107_000) } else { Ok(default) };
        assert_eq!(get(null, attribute), of_default, "{}", attribute.0);
    }
    assert_eq!(set(stream, ACL_STREAM_ATTR_PRIORITY, 70), 0);
    assert_eq!(get(stream, ACL_STREAM_ATTR_PRIORITY), Ok(7));
    assert_eq!(set(stream, ACL_STREAM_ATTR_FLOAT_OVERFLOW_CHECK, 2), 107_000);
    assert_eq!(set(stream, ACL_STREAM_ATTR_CACHE_OP_INFO, 2), 107_000);
    for attribute in [aclrtStreamAttr(0), aclrtStreamAttr(6)] {
        assert_eq!(set(stream, attribute, 0), 107_000);
        assert_eq!(get(stream, attribute), Err(107_000));
    }
    assert_eq!(acl!(aclrtSetStreamAttribute, own, ACL_STREAM_ATTR_PRIORITY, ptr::null_mut()), 100_000);
    assert_eq!(set(own, aclrtStreamAttr(0), 0), 107_017, "the handle is looked at first");
    // The older names of the same thing.
    let mut switch = 7;
    ok!(aclrtGetStreamOverflowSwitch, stream, &mut switch);
    assert_eq!(switch, 1);
    ok!(aclrtSetStreamOverflowSwitch, stream, 0);
    assert_eq!(get(stream, ACL_STREAM_ATTR_FLOAT_OVERFLOW_CHECK), Ok(0));
    assert_eq!(acl!(aclrtSetStreamOverflowSwitch, own, 2), 100_000);
    assert_eq!(acl!(aclrtSetStreamOverflowSwitch, own, 1), 107_017);
    assert_eq!(acl!(aclrtGetStreamOverflowSwitch, stream, ptr::null_mut()), 100_000);
    let mut other = null;
    ok!(aclrtCreateContext, &mut other, 0);
    for attribute in [ACL_STREAM_ATTR_FLOAT_OVERFLOW_CHECK, ACL_STREAM_ATTR_USER_CUSTOM_TAG] {
        assert_eq!(set(stream, attribute, 1), 107_003);
        assert_eq!(get(stream, attribute), Err(107_003));
    }
    assert_eq!(get(stream, ACL_STREAM_ATTR_PRIORITY), Ok(7), "of any context");
    ok!(aclrtDestroyContext, other);
    assert_eq!(set(null, ACL_STREAM_ATTR_CACHE_OP_INFO, 1), 107_000, "no stream at all");
    assert_eq!(set(null, ACL_STREAM_ATTR_USER_CUSTOM_TAG, 1), 107_002);
    ok!(aclrtSetCurrentContext, own);
    assert_eq!(get(stream, ACL_STREAM_ATTR_FAILURE_MODE), Ok(0));
    assert_eq!(set(stream, ACL_STREAM_ATTR_FAILURE_MODE, 1), 0);
    assert_eq!(get(stream, ACL_STREAM_ATTR_FAILURE_MODE), Ok(1));
    assert_eq!(set(stream, ACL_STREAM_ATTR_FAILURE_MODE, 0), 207_000);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn abort_drops_what_is_queued() {
    let _session = full();
    let (stream, gate, event, level) = (stream(), Gate::new(), event(), flagged(sys::ACL_EVENT_SYNC));
    let (device, host) = (device_memory(4), pinned(4));
    ok!(aclrtMemset, device, 4, 1, 4);
    gate.hold(stream);
    ok!(aclrtMemsetAsync, device, 4, 2, 4, stream);
    ok!(aclrtRecordEvent, event, stream);
    ok!(aclrtRecordEvent, level, stream);
    let mut context = ptr::null_mut();
    ok!(aclrtGetCurrentContext, &mut context);
    let (carried, context, awaited) = (Carry(stream), Carry(context), Carry(event));
    thread::scope(|scope| {
        let synchronise = scope.spawn(move || {
            let (carried, context) = (carried, context);
            ok!(aclrtSetCurrentContext, context.0);
            acl!(aclrtSynchronizeStream, carried.0)
        });
        let wait = scope.spawn(move || {
            let awaited = awaited;
            acl!(aclrtSynchronizeEvent, awaited.0)
        });
        thread::sleep(Duration::from_millis(50));
        ok!(aclrtStreamAbort, stream);
        assert_eq!(synchronise.join().unwrap(), 107_023);
        assert_eq!(wait.join().unwrap(), 107_023);
    });
    assert!(is_complete(stream));
    ok!(aclrtSynchronizeStream, stream);
    // It can be used again, and nothing of before happens.
    gate.open();
    ok!(aclrtMemcpyAsync, host, 4, device, 4, sys::ACL_MEMCPY_DEVICE_TO_HOST, stream);
    ok!(aclrtRecordEvent, event, stream);
    ok!(aclrtSynchronizeEvent, event);
    assert_eq!(bytes(host, 4), [1; 4]);
    // Streams that wait for what was aborted have to be aborted too.
    let other = crate::stream();
    ok!(aclrtStreamWaitEvent, other, level);
    thread::sleep(Duration::from_millis(20));
    assert!(!is_complete(other));
    ok!(aclrtStreamAbort, other);
    ok!(aclrtSynchronizeStream, other);
    assert_eq!(acl!(aclrtStreamAbort, event), 107_017);
    ok!(aclrtStreamAbort, ptr::null_mut());
    ok!(aclrtDestroyStream, other);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtDestroyEvent, level);
    ok!(aclrtFree, device);
    ok!(aclrtFreeHost, host);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn a_stopped_stream_keeps_its_queue() {
    let _session = full();
    let (stream, gate, device) = (stream(), Gate::new(), device_memory(4));
    ok!(aclrtMemset, device, 4, 1, 4);
    gate.hold(stream);
    ok!(aclrtMemsetAsync, device, 4, 2, 4, stream);
    ok!(aclrtStreamStop, stream);
    gate.open();
    ok!(aclrtMemsetAsync, device, 4, 3, 4, stream);
    assert_eq!(acl!(aclrtSynchronizeStreamWithTimeout, stream, 20), 507_046);
    let mut value = [0u8; 4];
    let place = value.as_mut_ptr().cast();
    ok!(aclrtMemcpy, place, 4, device, 4, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    assert_eq!(value, [1; 4]);
    ok!(aclrtStreamAbort, stream);
    ok!(aclrtMemsetAsync, device, 4, 4, 4, stream);
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtStreamStop, stream);
    ok!(aclrtMemsetAsync, device, 4, 5, 4, stream);
    assert_eq!(acl!(aclrtStreamStop, ptr::null_mut()), 107_000);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtMemcpy, place, 4, device, 4, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    assert_eq!(value, [4; 4]);
    ok!(aclrtFree, device);
}

#[test]
fn streams_that_hold_their_tasks() {
    let _session = full();
    let (persistent, plain, device) =
        (with(0, sys::ACL_STREAM_PERSISTENT).unwrap(), stream(), device_memory(4));
    ok!(aclrtMemset, device, 4, 1, 4);
    ok!(aclrtMemsetAsync, device, 4, 2, 4, persistent);
    ok!(aclrtSynchronizeStream, persistent);
    assert!(is_complete(persistent));
    ok!(aclrtSynchronizeDevice);
    let mut value = [0u8; 4];
    ok!(aclrtMemcpy, value.as_mut_ptr().cast(), 4, device, 4, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    assert_eq!(value, [1; 4], "nothing runs before its model does");
    ok!(aclrtPersistentTaskClean, persistent);
    assert_eq!(acl!(aclrtPersistentTaskClean, plain), 507_000);
    assert_eq!(acl!(aclrtPersistentTaskClean, ptr::null_mut()), 107_000);
    ok!(aclrtMemsetAsync, device, 4, 3, 4, persistent);
    ok!(aclrtDestroyStream, persistent);
    let remote = with(0, sys::ACL_STREAM_DEVICE_USE_ONLY).unwrap();
    assert_eq!(acl!(aclrtMemsetAsync, device, 4, 3, 4, remote), 507_000);
    assert_eq!(acl!(aclrtSetStreamFailureMode, remote, 1), 207_000);
    ok!(aclrtSynchronizeStream, remote);
    ok!(aclrtDestroyStream, remote);
    ok!(aclrtFree, device);
    ok!(aclrtDestroyStream, plain);
}

#[test]
fn what_no_named_chip_has() {
    for profile in [Profile::ascend310(), Profile::ascend310p(), Profile::ascend910b()] {
        let _session = session(Config::new().profile(profile));
        ok!(aclrtSetDevice, 0);
        let mut stream = ptr::null_mut();
        assert!(acl!(aclrtCreateStreamConfigHandle).is_null());
        assert_eq!(acl!(aclrtCreateStreamV2, &mut stream, ptr::null()), 207_000);
        assert_eq!(acl!(aclrtDestroyStreamConfigHandle, ptr::null_mut()), 207_000);
        let attribute = sys::ACL_RT_STREAM_FLAG;
        assert_eq!(acl!(aclrtSetStreamConfigOpt, ptr::null_mut(), attribute, ptr::null(), 8), 207_000);
        assert_eq!(acl!(aclrtSubscribeHostFunc, 1, stream), 207_000);
        assert_eq!(acl!(aclrtProcessHostFunc, 1), 207_000);
        assert_eq!(acl!(aclrtUnSubscribeHostFunc, 1, stream), 207_000);
    }
}

#[test]
fn streams_from_a_configuration() {
    let _session = full();
    let config = acl!(aclrtCreateStreamConfigHandle);
    let (flags, priority) = (sys::ACL_STREAM_FAST_SYNC, 4u32);
    let number = |value: &u32| std::ptr::from_ref(value).cast::<core::ffi::c_void>();
    ok!(aclrtSetStreamConfigOpt, config, sys::ACL_RT_STREAM_FLAG, number(&flags), 4);
    ok!(aclrtSetStreamConfigOpt, config, sys::ACL_RT_STREAM_PRIORITY, number(&priority), 4);
    assert_eq!(
        acl!(aclrtSetStreamConfigOpt, config, sys::ACL_RT_STREAM_PRIORITY, number(&priority), 3),
        100_000
    );
    let unknown = sys::aclrtStreamConfigAttr(9);
    assert_eq!(acl!(aclrtSetStreamConfigOpt, config, unknown, number(&priority), 4), 100_000);
    let mut stream = ptr::null_mut();
    assert_eq!(acl!(aclrtCreateStreamV2, &mut stream, ptr::null()), 100_000);
    ok!(aclrtCreateStreamV2, &mut stream, config);
    let (mut found, mut found_flags) = (0, 0);
    ok!(aclrtStreamGetPriority, stream, &mut found);
    ok!(aclrtStreamGetFlags, stream, &mut found_flags);
    assert_eq!((found, found_flags), (priority, flags));
    ok!(aclrtDestroyStreamConfigHandle, config);
    assert_eq!(acl!(aclrtDestroyStreamConfigHandle, config), 100_000);
    assert_eq!(acl!(aclrtCreateStreamV2, &mut stream, config), 100_000);
    ok!(aclrtDestroyStream, stream);
}
