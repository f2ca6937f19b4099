//! Device memory that two processes share by a key.

mod child;
mod common;

use core::ffi::{CStr, c_char, c_void};
use std::ffi::CString;
use std::ptr;

use common::*;

fn export(pointer: *mut c_void, size: usize, flags: u64) -> CString {
    let mut key: [c_char; 65] = [0; 65];
    ok!(aclrtIpcMemGetExportKey, pointer, size, key.as_mut_ptr(), 65, flags);
    // SAFETY: a C string, which the call has just written.
    unsafe { CStr::from_ptr(key.as_ptr()) }.to_owned()
}

fn read(pointer: *const c_void, len: usize) -> String {
    let mut bytes = vec![0_u8; len];
    let to = bytes.as_mut_ptr().cast();
    ok!(aclrtMemcpy, to, len, pointer, len, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    String::from_utf8(bytes).unwrap()
}

fn write(pointer: *mut c_void, text: &str) {
    let (from, len) = (text.as_ptr().cast(), text.len());
    ok!(aclrtMemcpy, pointer, len, from, len, sys::ACL_MEMCPY_HOST_TO_DEVICE);
}

#[test]
fn arguments_are_checked_in_order() {
    let _session = card();
    let pointer = device_memory(256);
    let mut place: [c_char; 65] = [0; 65];
    let key = place.as_mut_ptr();
    assert_eq!(acl!(aclrtIpcMemGetExportKey, ptr::null_mut(), 0, key, 65, 0), 100_000);
    assert_eq!(acl!(aclrtIpcMemGetExportKey, pointer, 0, ptr::null_mut(), 65, 0), 100_000);
    assert_eq!(acl!(aclrtIpcMemGetExportKey, pointer, 0, key, 65, 0), 107_000);
    assert_eq!(acl!(aclrtIpcMemGetExportKey, pointer, 256, key, 0, 0), 107_000);
    assert_eq!(acl!(aclrtIpcMemGetExportKey, pointer, 256, key, 64, 0), 107_000);
    assert_eq!(acl!(aclrtIpcMemGetExportKey, pointer, 256, key, 65, 2), 107_000);
    assert_eq!(acl!(aclrtIpcMemGetExportKey, pointer, 257, key, 65, 0), 107_000, "more than there is");
    let inside = pointer.wrapping_byte_add(8);
    assert_eq!(acl!(aclrtIpcMemGetExportKey, inside, 8, key, 65, 0), 107_000, "not its start");
    let here = (&raw mut place).cast();
    assert_eq!(acl!(aclrtIpcMemGetExportKey, here, 8, key, 65, 0), 107_000, "host memory");

    let key = export(pointer, 256, 0);
    let (mut pid, mut imported) = (1, ptr::null_mut());
    assert_eq!(acl!(aclrtIpcMemSetImportPid, ptr::null(), &mut pid, 1), 100_000);
    assert_eq!(acl!(aclrtIpcMemSetImportPid, key.as_ptr(), ptr::null_mut(), 1), 100_000);
    assert_eq!(acl!(aclrtIpcMemSetImportPid, key.as_ptr(), &mut pid, 0), 107_000);
    assert_eq!(acl!(aclrtIpcMemSetImportPid, key.as_ptr(), &mut pid, 32_768), 107_000);
    assert_eq!(acl!(aclrtIpcMemSetImportPid, c"unknown".as_ptr(), &mut pid, 1), 507_899);
    ok!(aclrtIpcMemSetImportPid, key.as_ptr(), &mut pid, 1);
    assert_eq!(acl!(aclrtIpcMemImportByKey, ptr::null_mut(), key.as_ptr(), 0), 100_000);
    assert_eq!(acl!(aclrtIpcMemImportByKey, &mut imported, ptr::null(), 0), 100_000);
    assert_eq!(acl!(aclrtIpcMemImportByKey, &mut imported, key.as_ptr(), 2), 107_000);
    assert_eq!(acl!(aclrtIpcMemImportByKey, &mut imported, c"unknown".as_ptr(), 0), 507_899);
    assert_eq!(acl!(aclrtIpcMemImportByKey, &mut imported, key.as_ptr(), 0), 507_899, "own memory");
    assert_eq!(acl!(aclrtIpcMemSetAttr, key.as_ptr(), sys::aclrtIpcMemAttrType(0), 0), 207_000);
    assert_eq!(acl!(aclrtIpcMemClose, ptr::null()), 100_000);
    ok!(aclrtIpcMemClose, key.as_ptr());
    assert_eq!(acl!(aclrtIpcMemClose, key.as_ptr()), 507_899);

    let open = export(pointer, 128, 1);
    assert_eq!(acl!(aclrtIpcMemSetImportPid, open.as_ptr(), &mut pid, 1), 207_006, "everybody may");
    // Freed memory has no key any more.
    ok!(aclrtFree, pointer);
    assert_eq!(acl!(aclrtIpcMemClose, open.as_ptr()), 507_899);
    ok!(aclrtResetDevice, 0);
    assert_eq!(acl!(aclrtIpcMemClose, key.as_ptr()), 107_002);
}

#[test]
fn two_processes_use_the_same_memory() {
    let _session = card();
    let mut second = child::Second::start("child_imports_memory", &[]);
    let (padding, pointer) = (device_memory(100), device_memory(3 << 20));
    write(pointer, "hello child!");
    let key = export(pointer, 3 << 20, 0);
    second.say(key.to_str().unwrap());
    assert_eq!(second.hear(), "207006");
    let mut pid = second.pid();
    ok!(aclrtIpcMemSetImportPid, key.as_ptr(), &mut pid, 1);
    second.say("allowed");
    assert_eq!(second.hear(), "hello child!");
    assert_eq!(read(pointer, 12), "hello parent");
    write(pointer.wrapping_byte_add((3 << 20) - 4), "last");
    second.say("written");
    assert_eq!(second.hear(), "last");
    // Closed by who made it: the importer keeps what it has.
    ok!(aclrtIpcMemClose, key.as_ptr());
    second.say("closed");
    assert_eq!(second.hear(), "hello parent");
    second.finish();
    ok!(aclrtFree, pointer);
    ok!(aclrtFree, padding);
}

#[test]
#[ignore = "a child of another test"]
fn child_imports_memory() {
    let _session = card();
    let key = CString::new(child::hear().unwrap()).unwrap();
    let (mut pointer, mut again) = (ptr::null_mut(), ptr::null_mut());
    child::say(&acl!(aclrtIpcMemImportByKey, &mut pointer, key.as_ptr(), 0).to_string());
    child::hear();
    ok!(aclrtIpcMemImportByKey, &mut pointer, key.as_ptr(), 1);
    ok!(aclrtIpcMemImportByKey, &mut again, key.as_ptr(), 0);
    assert_eq!(pointer, again);
    let said = read(pointer, 12);
    // By a stream, as work on a device would.
    let (own, stream) = (device_memory(12), stream());
    write(own, "hello parent");
    ok!(aclrtMemcpyAsync, pointer, 12, own, 12, sys::ACL_MEMCPY_DEVICE_TO_DEVICE, stream);
    ok!(aclrtSynchronizeStream, stream);
    child::say(&said);
    child::hear();
    child::say(&read(pointer.wrapping_byte_add((3 << 20) - 4), 4));
    assert_eq!(acl!(aclrtMemset, pointer, 4 << 20, 1, 4 << 20), 107_000, "past the end");
    child::hear();
    child::say(&read(pointer, 12));
    ok!(aclrtIpcMemClose, key.as_ptr());
    assert_eq!(read(pointer, 12), "hello parent", "imported twice");
    assert_eq!(acl!(aclrtFree, pointer), 107_000);
    ok!(aclrtIpcMemClose, key.as_ptr());
    assert_eq!(acl!(aclrtIpcMemClose, key.as_ptr()), 507_899);
    assert_eq!(acl!(aclrtMemset, pointer, 4, 1, 4), 107_000, "closed");
    assert_eq!(acl!(aclrtIpcMemImportByKey, &mut again, key.as_ptr(), 0), 507_899, "not any more");
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtFree, own);
}

#[test]
fn memory_outlives_the_process_that_made_it_but_not_its_being_freed() {
    let _session = card();
    for ends_well in [true, false] {
        let mut second = child::Second::start("child_exports_memory", &[]);
        let key = CString::new(second.hear()).unwrap();
        let mut pointer = ptr::null_mut();
        ok!(aclrtIpcMemImportByKey, &mut pointer, key.as_ptr(), 0);
        assert_eq!(read(pointer, 4), "mine");
        if ends_well {
            second.say("free");
            assert_eq!(second.hear(), "freed");
            assert_eq!(acl!(aclrtMemset, pointer, 4, 1, 4), 507_013, "freed by its owner");
            second.finish();
        } else {
            second.kill();
            assert_eq!(read(pointer, 4), "mine");
            write(pointer, "ours");
            assert_eq!(read(pointer, 4), "ours");
        }
        ok!(aclrtIpcMemClose, key.as_ptr());
        assert_ne!(acl!(aclrtIpcMemImportByKey, &mut pointer, key.as_ptr(), 0), 0);
    }
}

#[test]
#[ignore = "a child of another test"]
fn child_exports_memory() {
    let _session = card();
    let pointer = device_memory(4096);
    write(pointer, "mine");
    let key = export(pointer, 4096, 1);
    child::say(key.to_str().unwrap());
    child::hear();
    ok!(aclrtFree, pointer);
    child::say("freed");
}
