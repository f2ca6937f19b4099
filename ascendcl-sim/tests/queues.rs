//! Queues, the buffers that they carry, and routes between them.

mod child;
mod common;

use core::ffi::c_void;
use std::ptr;
use std::thread;

use common::*;

fn depth(depth: u32) -> *mut sys::acltdtQueueAttr {
    let attr = acl!(acltdtCreateQueueAttr);
    ok!(acltdtSetQueueAttr, attr, sys::ACL_TDT_QUEUE_DEPTH_UINT32, 4, (&raw const depth).cast());
    attr
}

fn queue(of_depth: u32) -> u32 {
    let (attr, mut qid) = (depth(of_depth), u32::MAX);
    ok!(acltdtCreateQueue, attr, &mut qid);
    ok!(acltdtDestroyQueueAttr, attr);
    qid
}

fn put(qid: u32, bytes: &[u8], timeout: i32) -> aclError {
    acl!(acltdtEnqueueData, qid, bytes.as_ptr().cast(), bytes.len(), ptr::null(), 0, timeout, 0)
}

fn take(qid: u32, timeout: i32) -> Result<Vec<u8>, aclError> {
    let (mut bytes, mut size) = (vec![0_u8; 64], 0);
    let none = ptr::null_mut();
    match acl!(acltdtDequeueData, qid, bytes.as_mut_ptr().cast(), 64, &mut size, none, 0, timeout) {
        0 => {
            bytes.truncate(size);
            Ok(bytes)
        }
        code => Err(code),
    }
}

#[test]
fn attributes_are_kept() {
    let _session = card();
    let attr = depth(4);
    let name = c"a queue";
    let pointer = name.as_ptr();
    ok!(acltdtSetQueueAttr, attr, sys::ACL_TDT_QUEUE_NAME_PTR, 8, (&raw const pointer).cast());
    let (mut size, mut depth, mut kept) = (0, 0_u32, ptr::null::<core::ffi::c_char>());
    let place = (&raw mut kept).cast();
    ok!(acltdtGetQueueAttr, attr, sys::ACL_TDT_QUEUE_NAME_PTR, 8, &mut size, place);
    assert_eq!(size, 8);
    // SAFETY: a C string that lives as long as the attributes.
    assert_eq!(unsafe { std::ffi::CStr::from_ptr(kept) }, name);
    let place: *mut c_void = (&raw mut depth).cast();
    ok!(acltdtGetQueueAttr, attr, sys::ACL_TDT_QUEUE_DEPTH_UINT32, 4, &mut size, place);
    assert_eq!((size, depth), (4, 4));
    let kind = sys::ACL_TDT_QUEUE_DEPTH_UINT32;
    assert_eq!(acl!(acltdtGetQueueAttr, attr, kind, 3, &mut size, place), 100_000);
    assert_eq!(acl!(acltdtSetQueueAttr, attr, kind, 5, place), 100_000);
    assert_eq!(acl!(acltdtSetQueueAttr, attr, sys::acltdtQueueAttrType(9), 4, place), 100_000);
    let long = std::ffi::CString::new(vec![b'x'; 128]).unwrap();
    let pointer = long.as_ptr();
    let kind = sys::ACL_TDT_QUEUE_NAME_PTR;
    assert_eq!(acl!(acltdtSetQueueAttr, attr, kind, 8, (&raw const pointer).cast()), 100_000);
    ok!(acltdtDestroyQueueAttr, attr);
    assert_eq!(acl!(acltdtDestroyQueueAttr, attr), 100_000);
    assert_eq!(acl!(acltdtDestroyQueueAttr, ptr::null()), 100_000);
}

#[test]
fn data_comes_out_in_order() {
    let _session = card();
    let qid = queue(2);
    assert_eq!(put(qid, b"one", 0), 0);
    assert_eq!(put(qid, b"two", -1), 0);
    assert_eq!(put(qid, b"three", 1), 207_014);
    let (mut small, mut size) = ([0_u8; 2], 0);
    let none = ptr::null_mut();
    assert_eq!(acl!(acltdtDequeueData, qid, small.as_mut_ptr().cast(), 2, &mut size, none, 0, 0), 107_000);
    assert_eq!(size, 3);
    assert_eq!(take(qid, 0).unwrap(), b"one");
    assert_eq!(take(qid, -1).unwrap(), b"two");
    assert_eq!(take(qid, 1), Err(207_013));
    ok!(acltdtDestroyQueue, qid);
    assert_eq!(take(qid, 0), Err(507_899));
    assert_eq!(acl!(acltdtDestroyQueue, qid), 507_899);
    assert_eq!(acl!(acltdtDestroyQueue, 8192), 107_000);
}

#[test]
fn arguments_are_checked_in_order() {
    let session = card();
    let qid = queue(2);
    let mut out = 0;
    for (wrong, code) in [(0, 107_000), (1, 107_000), (8193, 107_000)] {
        let attr = depth(wrong);
        assert_eq!(acl!(acltdtCreateQueue, attr, &mut out), code);
        ok!(acltdtDestroyQueueAttr, attr);
    }
    assert_eq!(acl!(acltdtCreateQueue, ptr::null(), ptr::null_mut()), 100_000);
    let (byte, none) = ([1_u8; 97], ptr::null());
    let data: *const c_void = byte.as_ptr().cast();
    assert_eq!(acl!(acltdtEnqueueData, qid, none, 1, none, 0, 0, 0), 100_000);
    assert_eq!(acl!(acltdtEnqueueData, qid, data, 0, none, 0, 0, 0), 100_000);
    assert_eq!(acl!(acltdtEnqueueData, qid, data, 1, none, 1, 0, 0), 107_000);
    assert_eq!(acl!(acltdtEnqueueData, qid, data, 1, data, 0, 0, 0), 107_000);
    assert_eq!(acl!(acltdtEnqueueData, qid, data, 1, data, 97, 0, 0), 107_000);
    ok!(acltdtEnqueueData, qid, data, 1, data, 96, 0, 0);
    let (mut got, mut user, mut size) = ([0_u8; 4], [0_u8; 3], 0);
    let place: *mut c_void = got.as_mut_ptr().cast();
    ok!(acltdtDequeueData, qid, place, 4, &mut size, user.as_mut_ptr().cast(), 3, 0);
    assert_eq!((got[0], user, size), (1, [1; 3], 1));
    thread::spawn(move || assert_eq!(put(qid, b"x", 0), 107_002, "no context")).join().unwrap();
    ok!(acltdtDestroyQueue, qid);
    drop(session);
}

#[test]
fn device_memory_can_be_sent() {
    let _session = card();
    let (qid, device) = (queue(2), device_memory(64));
    ok!(aclrtMemset, device, 64, 5, 64);
    ok!(acltdtEnqueueData, qid, device, 16, ptr::null(), 0, 0, 0);
    ok!(aclrtMemset, device, 64, 0, 64);
    let (mut size, none) = (0, ptr::null_mut());
    ok!(acltdtDequeueData, qid, device, 64, &mut size, none, 0, 0);
    let host = pinned(64);
    ok!(aclrtMemcpy, host, 64, device, 64, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    assert_eq!((&bytes(host, 64)[..17], size), (&[[5; 16].as_slice(), &[0]].concat()[..], 16));
    ok!(aclrtFreeHost, host);
    ok!(aclrtFree, device);
    ok!(acltdtDestroyQueue, qid);
}

#[test]
fn threads_wait_for_each_other() {
    let _session = card();
    let qid = queue(2);
    let taker = thread::spawn(move || {
        ok!(aclrtSetDevice, 0);
        let sum: usize = (0..1000).map(|_| take(qid, -1).unwrap().len()).sum();
        ok!(aclrtResetDevice, 0);
        sum
    });
    let sent: usize = (0..1000)
        .map(|n: usize| {
            let bytes = vec![1; n % 50 + 1];
            assert_eq!(put(qid, &bytes, -1), 0);
            bytes.len()
        })
        .sum();
    assert_eq!(taker.join().unwrap(), sent);
    ok!(acltdtDestroyQueue, qid);
}

fn list(routes: &[(u32, u32)]) -> *mut sys::acltdtQueueRouteList {
    let list = acl!(acltdtCreateQueueRouteList);
    for &(from, to) in routes {
        let route = acl!(acltdtCreateQueueRoute, from, to);
        ok!(acltdtAddQueueRoute, list, route);
        ok!(acltdtDestroyQueueRoute, route);
    }
    list
}

fn statuses(list: *mut sys::acltdtQueueRouteList) -> Vec<i32> {
    let route = acl!(acltdtCreateQueueRoute, 0, 0);
    let found = (0..acl!(acltdtGetQueueRouteNum, list)).map(|index| {
        ok!(acltdtGetQueueRoute, list, index, route);
        let (mut status, mut size) = (-1_i32, 0);
        let place = (&raw mut status).cast();
        ok!(acltdtGetQueueRouteParam, route, sys::ACL_TDT_QUEUE_ROUTE_STATUS_INT32, 4, &mut size, place);
        status
    });
    let found = found.collect();
    ok!(acltdtDestroyQueueRoute, route);
    found
}

#[test]
fn routes_forward() {
    let _session = card();
    let (a, b, c) = (queue(8), queue(8), queue(8));
    let routes = list(&[(a, b), (a, c)]);
    ok!(acltdtBindQueueRoutes, routes);
    ok!(acltdtBindQueueRoutes, routes);
    assert_eq!(statuses(routes), [1, 1]);
    assert_eq!(put(a, b"both", 0), 0);
    assert_eq!((take(b, -1).unwrap(), take(c, -1).unwrap()), (b"both".to_vec(), b"both".to_vec()));
    assert_eq!(acl!(acltdtDestroyQueue, a), 500_001);
    assert_eq!(acl!(acltdtDestroyQueue, b), 500_001);

    let query = acl!(acltdtCreateQueueRouteQueryInfo);
    let found = acl!(acltdtCreateQueueRouteList);
    assert_eq!(acl!(acltdtQueryQueueRoutes, query, found), 100_000, "no mode");
    let set = |kind, value: u32| ok!(acltdtSetQueueRouteQueryInfo, query, kind, 4, (&raw const value).cast());
    set(sys::ACL_TDT_QUEUE_ROUTE_QUERY_MODE_ENUM, sys::ACL_TDT_QUEUE_ROUTE_QUERY_SRC.0);
    assert_eq!(acl!(acltdtQueryQueueRoutes, query, found), 100_000, "no source");
    set(sys::ACL_TDT_QUEUE_ROUTE_QUERY_SRC_ID_UINT32, a);
    ok!(acltdtQueryQueueRoutes, query, found);
    assert_eq!(statuses(found), [1, 1]);
    set(sys::ACL_TDT_QUEUE_ROUTE_QUERY_MODE_ENUM, sys::ACL_TDT_QUEUE_ROUTE_QUERY_SRC_AND_DST.0);
    set(sys::ACL_TDT_QUEUE_ROUTE_QUERY_DST_ID_UINT32, c);
    ok!(acltdtQueryQueueRoutes, query, found);
    assert_eq!(statuses(found), [1]);
    set(sys::ACL_TDT_QUEUE_ROUTE_QUERY_MODE_ENUM, 55);
    assert_eq!(acl!(acltdtQueryQueueRoutes, query, found), 100_000, "no such mode");
    assert_eq!(acl!(acltdtGetQueueRouteNum, found), 0);

    for wrong in [&[(b, a)][..], &[(b, c)], &[(c, c)], &[(a, 8000)], &[]] {
        let wrong = list(wrong);
        assert_eq!(acl!(acltdtBindQueueRoutes, wrong), 500_001);
        assert!(statuses(wrong).iter().all(|&status| status == 0));
        ok!(acltdtDestroyQueueRouteList, wrong);
    }
    ok!(acltdtUnbindQueueRoutes, routes);
    ok!(acltdtUnbindQueueRoutes, routes);
    assert_eq!(statuses(routes), [0, 0]);
    assert_eq!(put(a, b"stays", 0), 0);
    assert_eq!(take(a, 0).unwrap(), b"stays");
    for list in [routes, found] {
        ok!(acltdtDestroyQueueRouteList, list);
    }
    ok!(acltdtDestroyQueueRouteQueryInfo, query);
    for qid in [a, b, c] {
        ok!(acltdtDestroyQueue, qid);
    }
}

#[test]
fn hosts_have_no_shared_buffers() {
    let _session = card();
    let (none, mut buf, mut qid) = (ptr::null_mut(), ptr::null_mut(), 0);
    assert_eq!(acl!(acltdtAllocBuf, 8, 2, &mut buf), 100_000);
    assert_eq!(acl!(acltdtAllocBuf, 8, 0, ptr::null_mut()), 100_000);
    assert_eq!(acl!(acltdtAllocBuf, 8, 0, &mut buf), 200_006);
    assert_eq!(acl!(acltdtFreeBuf, none), 200_006);
    assert_eq!(acl!(acltdtEnqueue, 0, none, 0), 200_006);
    assert_eq!(acl!(acltdtDequeue, 0, ptr::null_mut(), 0), 200_006);
    assert_eq!(acl!(acltdtGrantQueue, 0, 1, 7, 0), 200_006);
    assert_eq!(acl!(acltdtAttachQueue, 0, 0, &mut qid), 200_006);
    assert_eq!(acl!(aclrtAllocBuf, &mut buf, 0), 100_000);
    assert_eq!(acl!(aclrtAllocBuf, &mut buf, 8), 207_000);
    assert_eq!(acl!(aclrtGetBufUserData, none, none, 90, 7), 100_000);
    assert_eq!(acl!(aclrtFreeBuf, none), 100_000);
}

fn buffer(text: &[u8]) -> sys::acltdtBuf {
    let (mut buf, mut data, mut size) = (ptr::null_mut(), ptr::null_mut(), 0);
    ok!(acltdtAllocBuf, 64, 0, &mut buf);
    ok!(acltdtGetBufData, buf, &mut data, &mut size);
    assert_eq!(size, 64);
    // SAFETY: the buffer has room for 64 bytes.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), data.cast(), text.len()) };
    ok!(acltdtSetBufDataLen, buf, text.len());
    buf
}

fn content(buf: sys::acltdtBuf) -> Vec<u8> {
    let (mut data, mut size, mut len) = (ptr::null_mut(), 0, 0);
    ok!(acltdtGetBufData, buf, &mut data, &mut size);
    ok!(acltdtGetBufDataLen, buf, &mut len);
    // SAFETY: so many bytes of the buffer are data.
    unsafe { std::slice::from_raw_parts(data.cast(), len) }.to_vec()
}

#[test]
fn buffers_have_chains_and_user_data() {
    let _session = full();
    let (head, second, third) = (buffer(b"head"), buffer(b"second"), buffer(b"third"));
    ok!(acltdtAppendBufChain, second, third);
    ok!(acltdtAppendBufChain, head, second);
    let (mut count, mut part) = (0, ptr::null_mut());
    ok!(acltdtGetBufChainNum, head, &mut count);
    assert_eq!(count, 3);
    for (index, text) in [&b"head"[..], b"second", b"third"].into_iter().enumerate() {
        ok!(acltdtGetBufFromChain, head, index as u32, &mut part);
        assert_eq!(content(part), text);
    }
    assert_eq!(acl!(acltdtGetBufFromChain, head, 3, &mut part), 507_899);
    assert_eq!(acl!(acltdtGetBufFromChain, head, 128, &mut part), 107_000);
    assert_eq!(acl!(acltdtAppendBufChain, head, head), 507_899);
    assert_eq!(acl!(acltdtAppendBufChain, head, third), 107_000);
    assert_eq!(acl!(acltdtFreeBuf, second), 107_000);
    assert_eq!(acl!(acltdtSetBufDataLen, head, 65), 107_000);
    ok!(acltdtSetBufUserData, head, b"user".as_ptr().cast(), 4, 92);
    assert_eq!(acl!(acltdtSetBufUserData, head, b"user".as_ptr().cast(), 4, 93), 100_000);

    let mut same = ptr::null_mut();
    ok!(acltdtCopyBufRef, head, &mut same);
    let (mut data, mut size) = (ptr::null_mut(), 0);
    ok!(acltdtGetBufData, same, &mut data, &mut size);
    // SAFETY: the first byte of the data.
    unsafe { data.cast::<u8>().write(b'H') };
    assert_eq!(content(head), b"Head");

    let qid = queue(2);
    ok!(acltdtEnqueue, qid, head, 0);
    assert_eq!(acl!(acltdtFreeBuf, head), 107_000, "the queue has it");
    ok!(acltdtEnqueue, qid, same, 0);
    let more = buffer(b"more");
    assert_eq!(acl!(acltdtEnqueue, qid, more, 1), 500_001);
    let mut taken = ptr::null_mut();
    ok!(acltdtDequeue, qid, &mut taken, -1);
    ok!(acltdtGetBufChainNum, taken, &mut count);
    assert_eq!((content(taken), count), (b"Head".to_vec(), 3));
    let mut user = [0_u8; 4];
    ok!(acltdtGetBufUserData, taken, user.as_mut_ptr().cast(), 4, 92);
    assert_eq!(&user, b"user");
    ok!(acltdtFreeBuf, taken);
    assert_eq!(take(qid, 0).unwrap(), b"Headsecondthird");
    assert_eq!(acl!(acltdtDequeue, qid, &mut taken, 0), 500_001);
    ok!(acltdtFreeBuf, more);
    ok!(acltdtDestroyQueue, qid);
}

#[test]
fn processes_share_a_queue() {
    let _session = full();
    let qid = queue(4);
    let mut second = child::Second::start("child_uses_queue", &[("ASCENDCL_SIM_PROFILE", "full")]);
    second.say(&qid.to_string());
    assert_eq!(second.hear(), "nothing granted");
    let permission = sys::ACL_TDT_QUEUE_PERMISSION_DEQUEUE;
    ok!(acltdtGrantQueue, qid, second.pid(), permission, 0);
    second.say("granted");
    assert_eq!(second.hear(), "2");
    let message = buffer(b"hello");
    ok!(acltdtEnqueue, qid, message, -1);
    assert_eq!(second.hear(), "hello");
    ok!(acltdtGrantQueue, qid, second.pid(), sys::ACL_TDT_QUEUE_PERMISSION_ENQUEUE, 0);
    second.say("more");
    assert_eq!(take(qid, -1).unwrap(), b"answer");
    ok!(acltdtDestroyQueue, qid);
    second.say("destroyed");
    assert_eq!(second.hear(), "507899");
    second.finish();
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_uses_queue() {
    ok!(aclInit, ptr::null());
    ok!(aclrtSetDevice, 0);
    let qid = child::hear().unwrap().parse().unwrap();
    let mut permission = 0;
    assert_eq!(acl!(acltdtAttachQueue, qid, 0, &mut permission), 507_899);
    child::say("nothing granted");
    child::hear();
    ok!(acltdtAttachQueue, qid, -1, &mut permission);
    child::say(&permission.to_string());
    let mut taken = ptr::null_mut();
    ok!(acltdtDequeue, qid, &mut taken, -1);
    assert_eq!(put(qid, b"answer", 0), 207_006);
    child::say(&String::from_utf8(content(taken)).unwrap());
    ok!(acltdtFreeBuf, taken);
    child::hear();
    assert_eq!(put(qid, b"answer", -1), 0);
    child::hear();
    child::say(&take(qid, -1).unwrap_err().to_string());
    ok!(aclrtResetDevice, 0);
    ok!(aclFinalize);
}

#[test]
fn a_queue_ends_with_its_process() {
    let _session = full();
    let mut second = child::Second::start("child_owns_queue", &[("ASCENDCL_SIM_PROFILE", "full")]);
    second.say(&std::process::id().to_string());
    let qid = second.hear().parse().unwrap();
    let mut permission = 0;
    ok!(acltdtAttachQueue, qid, -1, &mut permission);
    assert_eq!(permission, 7);
    assert_eq!(take(qid, -1).unwrap(), b"last words");
    second.kill();
    assert_eq!(take(qid, -1), Err(507_899));
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_owns_queue() {
    ok!(aclInit, ptr::null());
    ok!(aclrtSetDevice, 0);
    let qid = queue(4);
    ok!(acltdtGrantQueue, qid, child::hear().unwrap().parse().unwrap(), 7, 0);
    assert_eq!(put(qid, b"last words", 0), 0);
    child::say(&qid.to_string());
    child::hear();
}
