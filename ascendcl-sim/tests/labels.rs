//! Labels, and jumps that device memory decides.

mod common;

use core::ffi::c_void;
use std::ptr;

use common::*;

const HEAD: u32 = sys::ACL_MODEL_STREAM_FLAG_HEAD;

fn persistent() -> aclrtStream {
    let mut stream = ptr::null_mut();
    ok!(aclrtCreateStreamWithConfig, &mut stream, 0, sys::ACL_STREAM_PERSISTENT);
    stream
}

fn build() -> *mut c_void {
    let mut instance = ptr::null_mut();
    ok!(aclmdlRIBuildBegin, &mut instance, 0);
    instance
}

fn label() -> *mut c_void {
    let mut label = ptr::null_mut();
    ok!(aclrtCreateLabel, &mut label);
    label
}

fn list(labels: &mut [*mut c_void]) -> *mut c_void {
    let mut list = ptr::null_mut();
    ok!(aclrtCreateLabelList, labels.as_mut_ptr(), labels.len(), &mut list);
    list
}

fn set(memory: *mut c_void, value: u32) {
    let value = value.to_le_bytes();
    ok!(aclrtMemcpy, memory, 4, value.as_ptr().cast(), 4, sys::ACL_MEMCPY_HOST_TO_DEVICE);
}

fn get(memory: *mut c_void, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ok!(aclrtMemcpy, bytes.as_mut_ptr().cast(), len, memory, len, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    bytes
}

#[test]
fn device_memory_decides_where_to_go_on() {
    let _session = full();
    let (stream, runner) = (persistent(), stream());
    let (index, marks) = (device_memory(4), device_memory(32));
    let instance = build();
    ok!(aclmdlRIBindStream, instance, stream, HEAD);
    let mut labels = [label(), label(), label()];
    let list = list(&mut labels);
    ok!(aclrtMemsetAsync, marks, 32, 0, 32, stream);
    ok!(aclrtSwitchLabelByIndex, index, 3, list, stream);
    for (number, &label) in labels.iter().enumerate() {
        ok!(aclrtSetLabel, label, stream);
        let mark = marks.wrapping_byte_add(number);
        ok!(aclrtMemsetAsync, mark, 1, number as i32 + 1, 1, stream);
    }
    ok!(aclmdlRIEndTask, instance, stream);
    ok!(aclmdlRIBuildEnd, instance, ptr::null_mut());
    // What lies before the label is skipped; beyond the last label is the last label.
    for (value, expected) in [(0, [1, 2, 3]), (1, [0, 2, 3]), (2, [0, 0, 3]), (9, [0, 0, 3]), (0, [1, 2, 3])]
    {
        set(index, value);
        ok!(aclmdlRIExecuteAsync, instance, runner);
        ok!(aclrtSynchronizeStream, runner);
        assert_eq!(get(marks, 3), expected);
    }
    ok!(aclmdlRIUnbindStream, instance, stream);
    ok!(aclmdlRIDestroy, instance);
    ok!(aclrtDestroyLabelList, list);
    labels.iter().for_each(|&label| ok!(aclrtDestroyLabel, label));
    ok!(aclrtFree, index);
    ok!(aclrtFree, marks);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtDestroyStream, runner);
}

#[test]
fn loops_run_until_device_memory_says_no() {
    let _session = full();
    let (stream, runner) = (persistent(), stream());
    // The loop shifts the row of indices down by one on each turn, until a 1 comes up.
    let row: Vec<u8> = [0u32, 0, 0, 1].iter().flat_map(|value| value.to_le_bytes()).collect();
    let (indices, shadow, turns) = (device_memory(16), device_memory(32), device_memory(16));
    let instance = build();
    ok!(aclmdlRIBindStream, instance, stream, HEAD);
    let mut labels = [label(), label()];
    let list = list(&mut labels);
    let copy = |to, from| {
        ok!(aclrtMemcpyAsync, to, 12, from, 12, sys::ACL_MEMCPY_DEVICE_TO_DEVICE, stream);
    };
    ok!(aclrtSetLabel, labels[0], stream);
    // One more byte is set on each turn.
    copy(shadow, turns);
    copy(turns.wrapping_byte_add(1), shadow);
    ok!(aclrtMemsetAsync, turns, 1, 1, 1, stream);
    copy(shadow, indices.wrapping_byte_add(4));
    copy(indices, shadow);
    ok!(aclrtSwitchLabelByIndex, indices, 2, list, stream);
    ok!(aclrtSetLabel, labels[1], stream);
    ok!(aclmdlRIEndTask, instance, stream);
    ok!(aclmdlRIBuildEnd, instance, ptr::null_mut());
    for _ in 0..3 {
        ok!(aclrtMemcpy, indices, 16, row.as_ptr().cast(), 16, sys::ACL_MEMCPY_HOST_TO_DEVICE);
        ok!(aclrtMemset, turns, 16, 0, 16);
        ok!(aclmdlRIExecuteAsync, instance, runner);
        ok!(aclrtSynchronizeStream, runner);
        assert_eq!(get(turns, 6), [1, 1, 1, 0, 0, 0]);
    }
    ok!(aclmdlRIDestroy, instance);
    ok!(aclrtDestroyLabelList, list);
    labels.iter().for_each(|&label| ok!(aclrtDestroyLabel, label));
    [indices, shadow, turns].iter().for_each(|&memory| ok!(aclrtFree, memory));
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtDestroyStream, runner);
}

#[test]
fn labels_check_their_arguments() {
    let _session = full();
    let (stream, single) = (persistent(), stream());
    let garbage = ptr::without_provenance_mut(0x77);
    let memory = device_memory(4);
    let instance = build();
    let mut labels = [label(), label()];
    let mut handle = ptr::null_mut();
    assert_eq!(acl!(aclrtCreateLabel, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtDestroyLabel, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtDestroyLabel, garbage), 107_017);
    assert_eq!(acl!(aclrtCreateLabelList, ptr::null_mut(), 1, &mut handle), 100_000);
    assert_eq!(acl!(aclrtCreateLabelList, labels.as_mut_ptr(), 1, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtCreateLabelList, labels.as_mut_ptr(), 0, &mut handle), 107_000);
    assert_eq!(acl!(aclrtCreateLabelList, labels.as_mut_ptr(), 65_536, &mut handle), 107_000);
    assert_eq!(acl!(aclrtCreateLabelList, &mut { garbage }, 1, &mut handle), 107_017);
    assert_eq!(acl!(aclrtSetLabel, ptr::null_mut(), stream), 100_000);
    assert_eq!(acl!(aclrtSetLabel, labels[0], ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtSetLabel, garbage, stream), 107_017);
    assert_eq!(acl!(aclrtSetLabel, labels[0], garbage), 107_017);
    assert_eq!(acl!(aclrtSetLabel, labels[0], single), 107_005);
    assert_eq!(acl!(aclrtSetLabel, labels[0], stream), 107_005);
    ok!(aclmdlRIBindStream, instance, stream, HEAD);
    assert_eq!(acl!(aclrtSetLabel, labels[0], stream), 507_000, "it is in no list");
    let list = list(&mut labels);
    assert_eq!(acl!(aclrtCreateLabelList, labels.as_mut_ptr(), 1, &mut handle), 507_000, "in a list already");
    ok!(aclrtSetLabel, labels[0], stream);
    assert_eq!(acl!(aclrtSetLabel, labels[0], stream), 507_000, "set already");
    assert_eq!(acl!(aclrtSwitchLabelByIndex, ptr::null_mut(), 2, list, stream), 100_000);
    assert_eq!(acl!(aclrtSwitchLabelByIndex, memory, 2, ptr::null_mut(), stream), 100_000);
    assert_eq!(acl!(aclrtSwitchLabelByIndex, memory, 2, list, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtSwitchLabelByIndex, memory, 2, list, garbage), 107_017);
    assert_eq!(acl!(aclrtSwitchLabelByIndex, memory, 2, list, single), 107_005);
    let (mut own, mut other) = (ptr::null_mut(), ptr::null_mut());
    ok!(aclrtGetCurrentContext, &mut own);
    ok!(aclrtCreateContext, &mut other, 0);
    assert_eq!(acl!(aclrtSetLabel, labels[1], stream), 507_031);
    assert_eq!(acl!(aclrtDestroyLabel, labels[1]), 507_031);
    assert_eq!(acl!(aclrtSwitchLabelByIndex, memory, 2, list, stream), 107_003);
    ok!(aclrtDestroyContext, other);
    ok!(aclrtSetCurrentContext, own);
    assert_eq!(acl!(aclrtDestroyLabelList, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtDestroyLabelList, garbage), 107_000);
    ok!(aclrtDestroyLabelList, list);
    assert_eq!(acl!(aclrtDestroyLabelList, list), 107_000);
    labels.iter().for_each(|&label| ok!(aclrtDestroyLabel, label));
    assert_eq!(acl!(aclrtDestroyLabel, labels[0]), 107_017);
    ok!(aclmdlRIDestroy, instance);
    ok!(aclrtFree, memory);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtDestroyStream, single);
}
