//! Running instances: built by hand, with streams that start each other; looked at, edited, aborted and destroyed.

#[macro_use]
mod common;

use core::ffi::{CStr, c_void};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ascendcl_sim::{KernelLaunch, register_kernel};
use common::*;

const HEAD: u32 = sys::ACL_MODEL_STREAM_FLAG_HEAD;
const LATER: u32 = sys::ACL_MODEL_STREAM_FLAG_DEFAULT;
const RELAXED: sys::aclmdlRICaptureMode = sys::ACL_MODEL_RI_CAPTURE_MODE_RELAXED;
const GARBAGE: *mut c_void = ptr::without_provenance_mut(0x1234);

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

fn begin(stream: aclrtStream) {
    ok!(aclmdlRICaptureBegin, stream, RELAXED);
}

fn end(stream: aclrtStream) -> *mut c_void {
    let mut instance = ptr::null_mut();
    ok!(aclmdlRICaptureEnd, stream, &mut instance);
    instance
}

fn put(memory: *mut c_void, bytes: &[u8]) {
    let len = bytes.len();
    ok!(aclrtMemcpy, memory, len, bytes.as_ptr().cast(), len, sys::ACL_MEMCPY_HOST_TO_DEVICE);
}

fn get(memory: *mut c_void, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ok!(aclrtMemcpy, bytes.as_mut_ptr().cast(), len, memory, len, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    bytes
}

fn mark(memory: *mut c_void, place: usize, value: i32, stream: aclrtStream) {
    ok!(aclrtMemsetAsync, memory.wrapping_byte_add(place), 1, value, 1, stream);
}

fn run(instance: *mut c_void, stream: aclrtStream) {
    ok!(aclmdlRIExecuteAsync, instance, stream);
    ok!(aclrtSynchronizeStream, stream);
}

fn handles(count: impl Fn(*mut *mut c_void, *mut u32) -> aclError) -> Vec<*mut c_void> {
    let mut number = 0;
    assert_eq!(count(ptr::null_mut(), &mut number), 0);
    let mut found = vec![GARBAGE; number as usize + 1];
    let mut room = number + 1;
    assert_eq!(count(found.as_mut_ptr(), &mut room), 0);
    assert_eq!(room, number);
    assert!(found.pop().unwrap().is_null(), "what is left over is NULL");
    if number > 0 {
        let mut few = number - 1;
        assert_eq!(count(found.clone().as_mut_ptr(), &mut few), 107_039);
        assert_eq!(few, number - 1);
    }
    found
}

fn streams_of(instance: *mut c_void) -> Vec<*mut c_void> {
    handles(|array, count| acl!(aclmdlRIGetStreams, instance, array, count))
}

fn tasks_of(stream: aclrtStream) -> Vec<*mut c_void> {
    handles(|array, count| acl!(aclmdlRIGetTasksByStream, stream, array, count))
}

fn type_of(task: *mut c_void) -> u32 {
    let mut kind = sys::aclmdlRITaskType(99);
    ok!(aclmdlRITaskGetType, task, &mut kind);
    kind.0
}

#[test]
fn streams_start_each_other_as_device_memory_says() {
    let _session = full();
    let streams = [persistent(), persistent(), persistent(), persistent(), persistent()];
    let [first, second, third, fourth, last] = streams;
    let runner = stream();
    let (number, one, two, marks) = (device_memory(4), device_memory(4), device_memory(4), device_memory(8));
    put(one, &1i32.to_le_bytes());
    put(two, &2i32.to_le_bytes());
    let instance = build();
    ok!(aclmdlRIBindStream, instance, first, HEAD);
    for stream in [second, third, fourth, last] {
        ok!(aclmdlRIBindStream, instance, stream, LATER);
    }
    let (equal, int32) = (sys::ACL_RT_EQUAL, sys::ACL_RT_SWITCH_INT32);
    mark(marks, 0, 1, first);
    ok!(aclrtSwitchStream, number, equal, one, int32, third, ptr::null_mut(), first);
    ok!(aclrtSwitchStream, number, equal, two, int32, fourth, ptr::null_mut(), first);
    mark(marks, 5, 6, first);
    ok!(aclrtActiveStream, last, first);
    mark(marks, 1, 2, second);
    ok!(aclrtActiveStream, last, second);
    mark(marks, 2, 3, third);
    ok!(aclrtActiveStream, last, third);
    mark(marks, 3, 4, fourth);
    ok!(aclrtActiveStream, second, fourth);
    mark(marks, 4, 5, last);
    ok!(aclmdlRIEndTask, instance, last);
    ok!(aclmdlRIBuildEnd, instance, ptr::null_mut());
    for (value, expected) in
        [(1, [1, 0, 3, 0, 5, 0]), (2, [1, 2, 0, 4, 5, 0]), (7, [1, 0, 0, 0, 5, 6]), (1, [1, 0, 3, 0, 5, 0])]
    {
        put(number, &i32::to_le_bytes(value));
        put(marks, &[0; 8]);
        run(instance, runner);
        assert_eq!(get(marks, 6), expected, "with {value}");
        put(marks, &[0; 8]);
        ok!(aclmdlRIExecute, instance, -1);
        assert_eq!(get(marks, 6), expected, "with {value}, blocking");
    }
    for stream in streams {
        ok!(aclmdlRIUnbindStream, instance, stream);
        assert_eq!(acl!(aclmdlRIUnbindStream, instance, stream), 107_005);
    }
    ok!(aclmdlRIDestroy, instance);
    streams.iter().for_each(|&stream| ok!(aclrtDestroyStream, stream));
    ok!(aclrtDestroyStream, runner);
    [number, one, two, marks].iter().for_each(|&memory| ok!(aclrtFree, memory));
}

#[test]
fn lanes_wait_for_each_other_through_levels() {
    let _session = full();
    let (first, second, runner) = (persistent(), persistent(), stream());
    let event = flagged(sys::ACL_EVENT_SYNC);
    let marks = device_memory(8);
    let instance = build();
    ok!(aclmdlRIBindStream, instance, first, HEAD);
    ok!(aclmdlRIBindStream, instance, second, HEAD);
    let plain = common::event();
    assert_eq!(acl!(aclrtRecordEvent, plain, first), 207_000);
    ok!(aclrtDestroyEvent, plain);
    let late = extended(sys::ACL_EVENT_SYNC);
    assert_eq!(acl!(aclrtRecordEvent, late, first), 207_000);
    assert_eq!(acl!(aclrtStreamWaitEvent, first, late), 207_000);
    ok!(aclrtDestroyEvent, late);
    ok!(aclrtStreamWaitEvent, second, event);
    ok!(aclrtResetEvent, event, second);
    mark(marks, 0, 2, second);
    ok!(aclmdlRIEndTask, instance, second);
    mark(marks, 0, 1, first);
    ok!(aclrtRecordEvent, event, first);
    ok!(aclmdlRIBuildEnd, instance, ptr::null_mut());
    for _ in 0..30 {
        put(marks, &[0; 8]);
        run(instance, runner);
        assert_eq!(get(marks, 1), [2]);
    }
    ok!(aclmdlRIDestroy, instance);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtFree, marks);
    [first, second, runner].iter().for_each(|&stream| ok!(aclrtDestroyStream, stream));
}

#[test]
fn building_checks_its_arguments() {
    let _session = full();
    let (bound, runner) = (persistent(), stream());
    let mut instance = ptr::null_mut();
    assert_eq!(acl!(aclmdlRIBuildBegin, ptr::null_mut(), 0), 100_000);
    assert_eq!(acl!(aclmdlRIBuildBegin, &mut instance, 1), 107_000);
    ok!(aclmdlRIBuildBegin, &mut instance, 0);
    assert_eq!(acl!(aclmdlRIBindStream, ptr::null_mut(), bound, HEAD), 100_000);
    assert_eq!(acl!(aclmdlRIBindStream, instance, bound, 5), 107_000);
    assert_eq!(acl!(aclmdlRIBindStream, GARBAGE, bound, HEAD), 107_017);
    assert_eq!(acl!(aclmdlRIBindStream, instance, GARBAGE, HEAD), 107_017);
    assert_eq!(acl!(aclmdlRIBindStream, instance, ptr::null_mut(), HEAD), 107_000);
    assert_eq!(acl!(aclmdlRIBindStream, instance, runner, HEAD), 107_000);
    assert_eq!(acl!(aclmdlRIBuildEnd, instance, GARBAGE), 100_000);
    assert_eq!(acl!(aclmdlRIBuildEnd, ptr::null_mut(), ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclmdlRIBuildEnd, instance, ptr::null_mut()), 107_005, "no streams");
    assert_eq!(acl!(aclmdlRIEndTask, instance, bound), 507_000, "not bound");
    assert_eq!(acl!(aclrtActiveStream, bound, bound), 107_005);
    ok!(aclmdlRIBindStream, instance, bound, HEAD);
    assert_eq!(acl!(aclmdlRIBindStream, instance, bound, HEAD), 107_005);
    assert_eq!(acl!(aclmdlRICaptureBegin, bound, RELAXED), 107_005);
    assert_eq!(acl!(aclmdlRIExecuteAsync, instance, runner), 507_011, "no end");
    assert_eq!(acl!(aclmdlRIExecute, instance, -1), 507_011);
    assert_eq!(acl!(aclmdlRIExecute, instance, 0), 107_000);
    assert_eq!(acl!(aclmdlRIExecute, instance, -2), 107_000);
    assert_eq!(acl!(aclmdlRIExecute, ptr::null_mut(), 1), 100_000);
    ok!(aclmdlRIEndTask, instance, bound);
    assert_eq!(acl!(aclmdlRIExecuteAsync, instance, runner), 507_011, "not complete");
    ok!(aclmdlRIBuildEnd, instance, ptr::null_mut());
    assert_eq!(acl!(aclmdlRIExecuteAsync, instance, bound), 107_000);
    let memory = device_memory(16);
    let at = memory.wrapping_byte_add(8);
    let (equal, int64) = (sys::ACL_RT_EQUAL, sys::ACL_RT_SWITCH_INT64);
    let none = ptr::null_mut();
    assert_eq!(acl!(aclrtSwitchStream, none, equal, at, int64, bound, none, bound), 100_000);
    assert_eq!(acl!(aclrtSwitchStream, memory, equal, at, int64, bound, bound, bound), 100_000);
    assert_eq!(acl!(aclrtSwitchStream, memory, equal, at, int64, GARBAGE, none, bound), 107_017);
    let wrong = sys::aclrtCondition(6);
    assert_eq!(acl!(aclrtSwitchStream, memory, wrong, at, int64, bound, none, bound), 107_000);
    let wrong = sys::aclrtCompareDataType(2);
    assert_eq!(acl!(aclrtSwitchStream, memory, equal, at, wrong, bound, none, bound), 107_000);
    assert_eq!(acl!(aclrtSwitchStream, memory, equal, at, int64, runner, none, bound), 107_005);
    assert_eq!(acl!(aclrtActiveStream, runner, bound), 107_005);
    assert_eq!(acl!(aclrtActiveStream, ptr::null_mut(), bound), 100_000);
    run(instance, runner);
    ok!(aclmdlRIExecute, instance, 60_000);
    assert_eq!(acl!(aclmdlRIUpdate, instance), 207_000, "only captured work");
    assert_eq!(acl!(aclmdlRIDestroy, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclmdlRIAbort, ptr::null_mut()), 107_000);
    ok!(aclmdlRIAbort, instance);
    ok!(aclmdlRIDestroy, instance);
    ok!(aclrtFree, memory);
    ok!(aclrtDestroyStream, bound);
    ok!(aclrtDestroyStream, runner);
}

#[test]
fn names_and_numbers() {
    let _session = full();
    let (first, second) = (build(), build());
    let (mut one, mut two) = (0, 0);
    ok!(aclmdlRIGetId, first, &mut one);
    ok!(aclmdlRIGetId, second, &mut two);
    assert_ne!(one, two);
    let mut name = [0x55u8; 8];
    let place = name.as_mut_ptr().cast();
    ok!(aclmdlRIGetName, first, 8, place);
    assert_eq!(name[0], 0);
    assert_eq!(acl!(aclmdlRISetName, first, ptr::null()), 100_000);
    ok!(aclmdlRISetName, first, c"old".as_ptr());
    ok!(aclmdlRISetName, first, c"seven-7".as_ptr());
    ok!(aclmdlRIGetName, first, 8, place);
    assert_eq!(CStr::from_bytes_until_nul(&name).unwrap(), c"seven-7");
    assert_eq!(acl!(aclmdlRIGetName, first, 7, place), 507_000);
    assert_eq!(acl!(aclmdlRIGetName, first, 0, place), 107_000);
    assert_eq!(acl!(aclmdlRIGetName, first, 8, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclmdlRIGetId, first, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclmdlRIGetId, GARBAGE, &mut one), 107_017);
    ok!(aclmdlRIDestroy, first);
    ok!(aclmdlRIDestroy, second);
}

unsafe extern "C" fn count(data: *mut c_void) {
    // SAFETY: tests pass a counter that outlives the callback.
    unsafe { &*data.cast::<AtomicUsize>() }.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn count_twice(data: *mut c_void) {
    // SAFETY: as above.
    unsafe { &*data.cast::<AtomicUsize>() }.fetch_add(2, Ordering::SeqCst);
}

#[test]
fn callbacks_when_an_instance_ends() {
    let _session = full();
    let calls = AtomicUsize::new(0);
    let data: *mut c_void = ptr::from_ref(&calls).cast_mut().cast();
    let instance = build();
    assert_eq!(acl!(aclmdlRIDestroyRegisterCallback, ptr::null_mut(), Some(count), data), 107_000);
    assert_eq!(acl!(aclmdlRIDestroyRegisterCallback, instance, None, data), 107_000);
    ok!(aclmdlRIDestroyRegisterCallback, instance, Some(count), data);
    assert_eq!(acl!(aclmdlRIDestroyRegisterCallback, instance, Some(count), ptr::null_mut()), 107_000);
    ok!(aclmdlRIDestroyRegisterCallback, instance, Some(count_twice), data);
    ok!(aclmdlRIDestroyUnregisterCallback, instance, Some(count_twice));
    assert_eq!(acl!(aclmdlRIDestroyUnregisterCallback, instance, Some(count_twice)), 107_000);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    ok!(aclmdlRIDestroy, instance);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn captured_work_can_be_looked_at() {
    let _session = full();
    let (first, second) = (stream(), stream());
    let events = [extended(sys::ACL_EVENT_SYNC), extended(sys::ACL_EVENT_SYNC)];
    let memory = device_memory(64);
    begin(first);
    mark(memory, 0, 1, first);
    ok!(aclrtRecordEvent, events[0], first);
    ok!(aclrtStreamWaitEvent, second, events[0]);
    ok!(aclrtValueWrite, memory, 77, 0, second);
    ok!(aclrtRecordEvent, events[1], second);
    ok!(aclrtStreamWaitEvent, first, events[1]);
    ok!(aclrtValueWait, memory, 77, sys::ACL_STREAM_WAIT_VALUE_EQ, first);
    let instance = end(first);
    let streams = streams_of(instance);
    assert_eq!(streams.len(), 2);
    // The newest first.
    let (two, one) = (tasks_of(streams[0]), tasks_of(streams[1]));
    let types = |tasks: &[*mut c_void]| tasks.iter().map(|&task| type_of(task)).collect::<Vec<_>>();
    assert_eq!(types(&one), [0, 2, 3, 6]);
    assert_eq!(types(&two), [3, 5, 2]);
    assert_eq!(tasks_of(streams[1]), one, "the same handles each time");
    let mut numbers = Vec::new();
    for &task in one.iter().chain(&two) {
        let mut number = 0;
        ok!(aclmdlRITaskGetSeqId, task, &mut number);
        numbers.push(number);
    }
    assert_eq!(numbers, [0, 1, 5, 6, 2, 3, 4]);
    // SAFETY: zeroes are valid in all members.
    let mut params: sys::aclmdlRITaskParams = unsafe { std::mem::zeroed() };
    assert_eq!(acl!(aclmdlRITaskGetParams, one[0], &mut params), 107_000, "a memset has none");
    ok!(aclmdlRITaskGetParams, one[1], &mut params);
    // SAFETY: the type of the task says which member is meant.
    unsafe {
        assert_eq!(params.type_, sys::ACL_MODEL_RI_TASK_EVENT_RECORD);
        assert_eq!(params.__bindgen_anon_1.eventRecordTaskParams.event, events[0]);
        ok!(aclmdlRITaskGetParams, two[0], &mut params);
        assert_eq!(params.__bindgen_anon_1.eventWaitTaskParams.event, events[0]);
        ok!(aclmdlRITaskGetParams, one[3], &mut params);
        let wait = params.__bindgen_anon_1.valueWaitTaskParams;
        assert_eq!((wait.devAddr, wait.value, wait.flag), (memory, 77, sys::ACL_STREAM_WAIT_VALUE_EQ));
        ok!(aclmdlRITaskGetParams, two[1], &mut params);
        let write = params.__bindgen_anon_1.valueWriteTaskParams;
        assert_eq!((write.devAddr, write.value), (memory, 77));
    }
    let mut number = 0;
    assert_eq!(acl!(aclmdlRIGetStreams, ptr::null_mut(), ptr::null_mut(), &mut number), 107_000);
    assert_eq!(acl!(aclmdlRIGetStreams, instance, ptr::null_mut(), ptr::null_mut()), 107_000);
    assert_eq!(acl!(aclmdlRIGetTasksByStream, first, ptr::null_mut(), &mut number), 107_000, "not bound");
    assert_eq!(acl!(aclmdlRIGetTasksByStream, ptr::null_mut(), ptr::null_mut(), &mut number), 107_000);
    assert_eq!(acl!(aclmdlRITaskGetType, ptr::null_mut(), ptr::null_mut()), 107_000);
    assert_eq!(acl!(aclmdlRITaskGetSeqId, GARBAGE, &mut number), 107_017);
    // The other value, written and waited for.
    params.type_ = sys::ACL_MODEL_RI_TASK_VALUE_WAIT;
    params.__bindgen_anon_1.valueWaitTaskParams =
        sys::aclmdlRIValueWaitTaskParams { devAddr: memory, value: 78, flag: sys::ACL_STREAM_WAIT_VALUE_EQ };
    ok!(aclmdlRITaskSetParams, one[3], &mut params);
    assert_eq!(acl!(aclmdlRIExecuteAsync, instance, first), 507_011, "edits have to be taken over");
    params.type_ = sys::ACL_MODEL_RI_TASK_VALUE_WRITE;
    params.__bindgen_anon_1.valueWriteTaskParams =
        sys::aclmdlRIValueWriteTaskParams { devAddr: memory, value: 78 };
    ok!(aclmdlRITaskSetParams, two[1], &mut params);
    ok!(aclmdlRIUpdate, instance);
    ok!(aclmdlRIUpdate, instance);
    run(instance, first);
    assert_eq!(get(memory, 8), 78u64.to_le_bytes());
    // A task that is disabled does nothing.
    ok!(aclmdlRITaskDisable, one[3]);
    ok!(aclmdlRITaskDisable, two[1]);
    ok!(aclmdlRIUpdate, instance);
    run(instance, first);
    assert_eq!(get(memory, 1), [1]);
    // An edit that is not possible spoils the instance.
    assert_eq!(acl!(aclmdlRITaskDisable, one[0]), 107_000);
    assert_eq!(acl!(aclmdlRIUpdate, instance), 107_040);
    assert_eq!(acl!(aclmdlRIExecuteAsync, instance, first), 507_011);
    ok!(aclmdlRIDestroy, instance);
    assert_eq!(acl!(aclmdlRITaskDisable, one[3]), 107_017);
    assert_eq!(acl!(aclmdlRIGetTasksByStream, streams[0], ptr::null_mut(), &mut number), 107_017);
    events.iter().for_each(|&event| ok!(aclrtDestroyEvent, event));
    ok!(aclrtFree, memory);
    ok!(aclrtDestroyStream, first);
    ok!(aclrtDestroyStream, second);
}

#[test]
fn a_picture_for_trace_viewers() {
    let _session = full();
    let stream = stream();
    let memory = device_memory(64);
    let event = extended(sys::ACL_EVENT_SYNC);
    begin(stream);
    mark(memory, 0, 1, stream);
    let note = "shape \"4x4\"\n";
    ok!(aclrtCacheLastTaskExtendInfo, note.as_ptr().cast(), note.len());
    assert_eq!(acl!(aclrtCacheLastTaskOpInfo, note.as_ptr().cast(), note.len()), 507_000, "not switched on");
    let mut switch = sys::aclrtStreamAttrValue { cacheOpInfoSwitch: 1 };
    ok!(aclrtSetStreamAttribute, stream, sys::ACL_STREAM_ATTR_CACHE_OP_INFO, &mut switch);
    ok!(aclrtCacheLastTaskOpInfo, note.as_ptr().cast(), note.len());
    ok!(aclrtRecordEvent, event, stream);
    let instance = end(stream);
    assert_eq!(
        acl!(aclrtCacheLastTaskOpInfo, note.as_ptr().cast(), note.len()),
        507_000,
        "the capture is over"
    );
    let path = std::env::temp_dir().join(format!("instance-{}.json", std::process::id()));
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    ok!(aclmdlRIDebugPrint, instance);
    ok!(aclmdlRIDebugJsonPrint, instance, name.as_ptr(), 0);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(text.starts_with('[') && text.ends_with(']'), "{text}");
    let mut id = 0;
    ok!(aclmdlRIGetId, instance, &mut id);
    assert!(text.contains(&format!("\"Model Id\":{id},")), "{text}");
    assert!(text.contains("\"Task Type\":\"EVENT_RECORD\""), "{text}");
    assert_eq!(text.matches(r#""ExtendInfo":"shape \"4x4\"\n""#).count(), 1, "{text}");
    assert_eq!(text.matches("\"ph\":\"X\"").count(), 2, "{text}");
    assert_eq!(acl!(aclmdlRIDebugJsonPrint, instance, c"/no/such/folder/file".as_ptr(), 0), 107_000);
    assert_eq!(acl!(aclmdlRIDebugJsonPrint, instance, ptr::null(), 0), 100_000);
    assert_eq!(acl!(aclmdlRIDebugPrint, ptr::null_mut()), 100_000);
    ok!(aclmdlRIDestroy, instance);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtFree, memory);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn conditions_choose_branches() {
    let _session = full();
    let (stream, inner, runner) = (stream(), stream(), stream());
    let (marks, source) = (device_memory(64), device_memory(64));
    put(source, &[0; 64]);
    let condition = |instance, default: Option<u32>| {
        let (mut handle, mut place) = (ptr::null_mut(), ptr::null_mut());
        let flag = sys::aclmdlRICondHandleFlag(u32::from(default.is_some()));
        ok!(aclmdlRICondHandleCreate, instance, default.unwrap_or(0), flag, &mut handle);
        ok!(aclmdlRICondHandleGetCondPtr, handle, &mut place);
        (handle, place.cast::<c_void>())
    };
    let add = |handle, kind: u32, size: usize| {
        let mut branches = vec![ptr::null_mut(); size];
        let params = sys::aclmdlRICondTaskParams {
            handle,
            type_: sys::aclmdlRICondTaskType(kind),
            size: size as u32,
            modelRIArray: branches.as_mut_ptr(),
        };
        (acl!(aclmdlRIAddCondTask, params, stream, 0), branches)
    };
    let fill = |branch: *mut c_void, what: &dyn Fn()| {
        ok!(aclmdlRICaptureToModelRIBegin, inner, branch, RELAXED);
        what();
        let mut same = branch;
        ok!(aclmdlRICaptureEnd, inner, &mut same);
        assert_eq!(same, branch);
    };
    let mut instance = ptr::null_mut();
    let mut handle = ptr::null_mut();
    begin(stream);
    ok!(aclmdlRICaptureGetInfo, stream, ptr::null_mut(), &mut instance);
    let wrong = sys::aclmdlRICondHandleFlag(2);
    assert_eq!(acl!(aclmdlRICondHandleCreate, instance, 0, wrong, &mut handle), 107_000);
    assert_eq!(acl!(aclmdlRICondHandleCreate, ptr::null_mut(), 0, wrong, &mut handle), 100_000);
    // If.
    ok!(aclrtMemsetAsync, marks, 64, 0, 64, stream);
    let (first, value) = condition(instance, None);
    assert_eq!(add(first, 3, 1).0, 107_000);
    assert_eq!(add(first, 0, 3).0, 107_000);
    assert_eq!(add(first, 1, 2).0, 107_000);
    assert_eq!(add(GARBAGE, 0, 2).0, 107_017);
    assert_eq!(add(ptr::null_mut(), 0, 2).0, 107_000);
    let (code, branches) = add(first, 0, 2);
    assert_eq!(code, 0);
    assert_eq!(add(first, 0, 2).0, 107_000, "in use");
    fill(branches[0], &|| mark(marks, 0, 1, inner));
    fill(branches[1], &|| mark(marks, 0, 2, inner));
    assert_eq!(acl!(aclmdlRICaptureToModelRIBegin, inner, branches[0], RELAXED), 107_026);
    assert_eq!(acl!(aclmdlRICaptureToModelRIBegin, inner, instance, RELAXED), 107_000);
    assert_eq!(acl!(aclmdlRIExecuteAsync, branches[0], runner), 207_000);
    assert_eq!(acl!(aclmdlRIDestroy, branches[0]), 207_000);
    // Switch, which begins with 2 each time.
    let (second, other) = condition(instance, Some(2));
    let (code, branches) = add(second, 2, 3);
    assert_eq!(code, 0);
    for (number, &branch) in branches.iter().enumerate() {
        fill(branch, &|| mark(marks, 1, number as i32 + 1, inner));
    }
    // While: the body clears one of three bytes after the other, which its condition is made of.
    let (third, loops) = condition(instance, None);
    let (code, branches) = add(third, 1, 1);
    assert_eq!(code, 0);
    let turn = |to: *mut c_void, from: *mut c_void, len| {
        ok!(aclrtMemcpyAsync, to, len, from, len, sys::ACL_MEMCPY_DEVICE_TO_DEVICE, inner);
    };
    let (row, spare) = (marks.wrapping_byte_add(8), marks.wrapping_byte_add(32));
    fill(branches[0], &|| {
        // One more mark in the row on each turn; then the condition moves down by a byte.
        turn(spare, row, 8);
        turn(row.wrapping_byte_add(1), spare, 8);
        mark(row, 0, 9, inner);
        turn(spare, loops, 8);
        turn(loops, spare.wrapping_byte_add(1), 7);
        ok!(aclrtMemsetAsync, loops.wrapping_byte_add(7), 1, 0, 1, inner);
    });
    assert_eq!(end(stream), instance);
    for (first, turns) in [(1u64, 0u64), (0, 3), (5, 1)] {
        put(value, &first.to_le_bytes());
        put(other, &7u64.to_le_bytes());
        put(loops, &(0..turns).fold(0u64, |sum, turn| sum | 1 << (8 * turn)).to_le_bytes());
        run(instance, runner);
        assert_eq!(get(marks, 2), [if first == 0 { 2 } else { 1 }, 3]);
        let row = get(row, 8);
        assert_eq!(row.iter().filter(|&&byte| byte == 9).count() as u64, turns, "{row:?}");
    }
    ok!(aclmdlRIDestroy, instance);
    assert_eq!(acl!(aclmdlRIExecuteAsync, branches[0], runner), 107_017);
    // A branch that nobody filled.
    begin(stream);
    ok!(aclmdlRICaptureGetInfo, stream, ptr::null_mut(), &mut instance);
    let (only, _) = condition(instance, None);
    assert_eq!(add(only, 0, 1).0, 0);
    assert_eq!(acl!(aclmdlRICaptureEnd, stream, &mut instance), 107_046);
    [marks, source].iter().for_each(|&memory| ok!(aclrtFree, memory));
    [stream, inner, runner].iter().for_each(|&stream| ok!(aclrtDestroyStream, stream));
}

#[test]
fn an_execution_can_be_aborted_and_takes_time_out() {
    let _session = full();
    let (bound, runner) = (persistent(), stream());
    let event = flagged(sys::ACL_EVENT_SYNC);
    let memory = device_memory(8);
    let instance = build();
    ok!(aclmdlRIBindStream, instance, bound, HEAD);
    mark(memory, 1, 5, bound);
    ok!(aclrtStreamWaitEvent, bound, event);
    mark(memory, 0, 3, bound);
    ok!(aclmdlRIEndTask, instance, bound);
    ok!(aclmdlRIBuildEnd, instance, ptr::null_mut());
    put(memory, &[0; 8]);
    // What has not begun is not aborted, and the time-outs may be over before it has.
    let begun = || {
        let patience = Instant::now() + Duration::from_secs(60);
        while get(memory, 2)[1] != 5 {
            assert!(Instant::now() < patience, "it has not begun");
            thread::sleep(Duration::from_millis(1));
        }
        put(memory, &[0; 8]);
    };
    ok!(aclmdlRIExecuteAsync, instance, runner);
    // It waits for an event that nobody records.
    assert_eq!(acl!(aclrtSynchronizeStreamWithTimeout, runner, 20), 507_046);
    begun();
    ok!(aclmdlRIAbort, instance);
    assert_eq!(acl!(aclrtSynchronizeStream, runner), 507_023);
    assert_eq!(get(memory, 1), [0]);
    assert_eq!(acl!(aclmdlRIExecute, instance, 20), 507_046);
    begun();
    ok!(aclmdlRIAbort, instance);
    acl!(aclrtSynchronizeStream, ptr::null_mut());
    // And it can run again.
    ok!(aclrtRecordEvent, event, runner);
    run(instance, runner);
    assert_eq!(get(memory, 1), [3]);
    ok!(aclmdlRIDestroy, instance);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtFree, memory);
    ok!(aclrtDestroyStream, bound);
    ok!(aclrtDestroyStream, runner);
}

#[test]
fn captured_work_that_runs_is_not_destroyed() {
    let _session = full();
    let stream = stream();
    let event = flagged(sys::ACL_EVENT_EXTERNAL);
    begin(stream);
    ok!(aclrtStreamWaitEvent, stream, event);
    let instance = end(stream);
    ok!(aclmdlRIExecuteAsync, instance, stream);
    assert_eq!(acl!(aclmdlRITaskDisable, tasks_of(streams_of(instance)[0])[0]), 107_040);
    assert_eq!(acl!(aclmdlRIDestroy, instance), 107_037);
    // It waits for the end of a run that ends.
    let carried = Carry(event);
    let mut context = ptr::null_mut();
    ok!(aclrtGetCurrentContext, &mut context);
    let context = Carry(context);
    let late = thread::spawn(move || {
        let (event, context) = ({ carried }.0, { context }.0);
        ok!(aclrtSetCurrentContext, context);
        thread::sleep(Duration::from_millis(30));
        ok!(aclrtRecordEvent, event, ptr::null_mut());
    });
    ok!(aclmdlRIDestroy, instance);
    late.join().unwrap();
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn kernels_of_a_task_group_are_issued_again() {
    let _session = full();
    // Adds its second argument to the byte at its first.
    let _kernel = register_kernel("bump", |launch: &KernelLaunch<'_>| {
        let (at, by): (u64, u64) = (launch.argument(0)?, launch.argument(8)?);
        let byte: Vec<u8> = launch.read_values(at, 1)?;
        launch.write_values(at, &[byte[0].wrapping_add(by as u8)])
    });
    let (mut binary, mut bump) = (ptr::null_mut(), ptr::null_mut());
    ok!(aclrtBinaryLoadFromData, c"any".as_ptr().cast(), 3, ptr::null(), &mut binary);
    ok!(aclrtBinaryGetFunction, binary, c"bump".as_ptr(), &mut bump);
    let memory = device_memory(8);
    let launch = |by: u64, stream| {
        let mut arguments = [memory.addr() as u64, by];
        let none = ptr::null_mut();
        let place = arguments.as_mut_ptr().cast();
        acl!(aclrtLaunchKernelWithHostArgs, bump, 1, stream, none, place, 16, ptr::null_mut(), 0)
    };
    let (stream, other) = (stream(), stream());
    let event = flagged(sys::ACL_EVENT_EXTERNAL);
    let mut group = ptr::null_mut();
    begin(stream);
    assert_eq!(launch(1, stream), 0);
    ok!(aclrtStreamWaitEvent, stream, event);
    ok!(aclrtResetEvent, event, stream);
    ok!(aclmdlRICaptureTaskGrpBegin, stream);
    assert_eq!(launch(10, stream), 0);
    assert_eq!(launch(20, stream), 0);
    ok!(aclmdlRICaptureTaskGrpEnd, stream, &mut group);
    let instance = end(stream);
    let total = |update: Option<[u64; 2]>| {
        put(memory, &[0; 8]);
        ok!(aclmdlRIExecuteAsync, instance, stream);
        if let Some([first, second]) = update {
            ok!(aclmdlRICaptureTaskUpdateBegin, other, group);
            assert_eq!(launch(first, other), 0);
            assert_eq!(launch(second, other), 0);
            ok!(aclmdlRICaptureTaskUpdateEnd, other);
        }
        // The update is done before the group may run.
        ok!(aclrtRecordEvent, event, other);
        ok!(aclrtSynchronizeStream, stream);
        get(memory, 1)[0]
    };
    assert_eq!(total(None), 31);
    assert_eq!(total(Some([2, 3])), 6);
    assert_eq!(total(None), 6);
    ok!(aclmdlRICaptureTaskUpdateBegin, other, group);
    assert_eq!(launch(5, other), 0);
    assert_eq!(acl!(aclmdlRICaptureTaskUpdateEnd, other), 507_000, "one of two");
    ok!(aclrtSynchronizeStream, other);
    assert_eq!(total(None), 9);
    // The same, by hand.
    let tasks = tasks_of(streams_of(instance)[0]);
    assert_eq!(tasks.iter().map(|&task| type_of(task)).collect::<Vec<_>>(), [1, 3, 4, 1, 1]);
    // SAFETY: zeroes are valid in all members.
    let mut params: sys::aclmdlRITaskParams = unsafe { std::mem::zeroed() };
    ok!(aclmdlRITaskGetParams, tasks[3], &mut params);
    assert_eq!(params.taskGrp, group);
    // SAFETY: the task is a kernel.
    let kernel = unsafe { &mut params.__bindgen_anon_1.kernelTaskParams };
    assert_eq!((kernel.funcHandle, kernel.argsSize, kernel.numBlocks, kernel.isHostArgs), (bump, 16, 1, 0));
    assert_eq!(get(kernel.args, 16)[8], 5);
    let mut arguments = [memory.addr() as u64, 40];
    kernel.args = arguments.as_mut_ptr().cast();
    kernel.isHostArgs = 1;
    assert_eq!(acl!(aclmdlRITaskSetParams, tasks[3], &mut params), 107_000, "the group is not to be set");
    assert_eq!(acl!(aclmdlRITaskDisable, tasks[4]), 107_040, "the instance is spoiled");
    ok!(aclmdlRIDestroy, instance);
    begin(stream);
    assert_eq!(launch(1, stream), 0);
    assert_eq!(launch(2, stream), 0);
    let instance = end(stream);
    let tasks = tasks_of(streams_of(instance)[0]);
    params.taskGrp = ptr::null_mut();
    ok!(aclmdlRITaskSetParams, tasks[0], &mut params);
    ok!(aclmdlRITaskDisable, tasks[1]);
    ok!(aclmdlRIUpdate, instance);
    std::hint::black_box(&mut arguments)[1] = 0;
    put(memory, &[0; 8]);
    run(instance, stream);
    assert_eq!(get(memory, 1), [40]);
    // SAFETY: zeroes are valid in all members.
    let mut value: sys::aclrtLaunchKernelAttrValue = unsafe { std::mem::zeroed() };
    let mode = sys::ACL_RT_LAUNCH_KERNEL_ATTR_SCHEM_MODE;
    ok!(aclmdlRIKernelTaskGetAttribute, tasks[0], mode, &mut value);
    let engine = sys::ACL_RT_LAUNCH_KERNEL_ATTR_ENGINE_TYPE;
    assert_eq!(acl!(aclmdlRIKernelTaskGetAttribute, tasks[0], engine, &mut value), 107_000);
    assert_eq!(acl!(aclmdlRIKernelTaskGetAttribute, ptr::null_mut(), mode, &mut value), 100_000);
    ok!(aclmdlRIDestroy, instance);
    ok!(aclrtBinaryUnLoad, binary);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtFree, memory);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtDestroyStream, other);
}
