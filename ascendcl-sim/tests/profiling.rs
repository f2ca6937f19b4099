//! The profiler: collecting, settings, marks, steps, descriptions of operators.

#[macro_use]
mod common;

use core::ffi::{CStr, c_char, c_void};
use std::path::{Path, PathBuf};
use std::{env, fs, process, ptr};

use ascendcl_sys::{aclprofConfig, aclprofConfigType};
use common::*;

/// A folder of this test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("ascendcl-sim-profile-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn init(&self) -> i32 {
        init(self.0.to_str().unwrap())
    }

    /// The results of each run, oldest first.
    fn results(&self) -> Vec<String> {
        let mut runs: Vec<_> = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect();
        runs.sort();
        runs.iter().map(|run| fs::read_to_string(run.join("msprof.json")).unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn init(path: &str) -> i32 {
    let text = std::ffi::CString::new(path).unwrap();
    acl!(aclprofInit, text.as_ptr(), path.len())
}

fn config(devices: &[u32], data: u64) -> *mut aclprofConfig {
    let (list, count) = (devices.as_ptr().cast_mut(), devices.len() as u32);
    acl!(aclprofCreateConfig, list, count, sys::ACL_AICORE_NONE, ptr::null(), data)
}

#[test]
fn a_run_writes_calls_tasks_and_marks_into_the_result_folder() {
    let _card = card();
    let folder = Folder::new("run");
    assert_eq!(folder.init(), 0);
    assert!(acl!(aclprofCreateStamp).is_null());
    let all = config(&[0], sys::ACL_PROF_ACL_API | sys::ACL_PROF_TASK_TIME | sys::ACL_PROF_MSPROFTX);
    ok!(aclprofStart, all);
    let (stream, memory) = (stream(), device_memory(64));
    ok!(aclrtMemsetAsync, memory, 64, 0, 64, stream);
    let stamp = acl!(aclprofCreateStamp);
    ok!(aclprofSetStampTraceMessage, stamp, c"phase one".as_ptr(), 9);
    ok!(aclprofPush, stamp);
    ok!(aclprofMarkEx, c"on the stream".as_ptr(), 13, stream);
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclprofPop);
    acl!(aclprofDestroyStamp, stamp);
    ok!(aclprofStop, all);
    ok!(aclrtFree, memory);
    ok!(aclrtDestroyStream, stream);
    ok!(aclprofDestroyConfig, all);
    ok!(aclprofFinalize);
    let results = folder.results();
    assert_eq!(results.len(), 1);
    for what in [
        "aclrtMemsetAsync",
        "\"memset\"",
        "phase one",
        "on the stream",
        "profiler mark",
        "aclrtSynchronizeStream",
    ] {
        assert!(results[0].contains(what), "{what} in {}", results[0]);
    }
    assert!(!results[0].contains("aclrtFree"));
    assert!(results[0].starts_with('[') && results[0].trim_end().ends_with(']'));
}

#[test]
fn the_states_of_the_profiler() {
    let _card = card();
    let folder = Folder::new("states");
    // Nothing to end.
    ok!(aclprofFinalize);
    ok!(aclprofStop, ptr::null());
    assert_eq!(folder.init(), 0);
    assert_eq!(folder.init(), 100_002);
    let (calls, tasks) = (config(&[0], sys::ACL_PROF_ACL_API), config(&[0, 1], sys::ACL_PROF_TASK_TIME));
    ok!(aclprofStart, calls);
    ok!(aclprofStart, calls);
    assert_eq!(acl!(aclprofStart, tasks), 100_010);
    assert_eq!(acl!(aclprofStop, tasks), 100_010);
    ok!(aclprofStop, calls);
    ok!(aclprofStart, tasks);
    ok!(aclprofStop, ptr::null());
    ok!(aclprofStart, ptr::null());
    ok!(aclprofFinalize);
    assert_eq!(folder.results().len(), 3);
    assert_eq!(folder.init(), 0);
    ok!(aclprofFinalize);
    let unknown = config(&[0], 1 << 10);
    assert_eq!(acl!(aclprofStart, unknown), 200_007);
    for config in [calls, tasks, unknown] {
        ok!(aclprofDestroyConfig, config);
        assert_eq!(acl!(aclprofDestroyConfig, config), 100_000);
        assert_eq!(acl!(aclprofStart, config), 100_000);
    }
    assert_eq!(acl!(aclprofDestroyConfig, ptr::null()), 100_000);
}

#[test]
fn paths_of_results() {
    let _card = card();
    let path = c"/tmp/x";
    assert_eq!(acl!(aclprofInit, ptr::null(), 1), 100_000);
    assert_eq!(acl!(aclprofInit, path.as_ptr(), 0), 100_000);
    assert_eq!(acl!(aclprofInit, path.as_ptr(), 4096), 100_000);
    assert_eq!(acl!(aclprofInit, path.as_ptr(), 5), 100_000);
    assert_eq!(init("/tmp/a;b"), 100_003);
    // That there can be no such folder is noticed when there is something to write.
    assert_eq!(init("/proc/none/of/this"), 0);
    let calls = config(&[0], sys::ACL_PROF_ACL_API);
    assert_eq!(acl!(aclprofStart, calls), 100_003);
    ok!(aclprofFinalize);
    ok!(aclprofDestroyConfig, calls);
    assert!(!Path::new("/tmp/a;b").exists());
}

#[test]
fn configurations_name_devices_once() {
    let _card = card();
    assert!(config(&[], sys::ACL_PROF_ACL_API).is_null());
    assert!(config(&[4], sys::ACL_PROF_ACL_API).is_null());
    assert!(config(&[1, 1], sys::ACL_PROF_ACL_API).is_null());
    assert!(config(&[0, 1, 2, 3, 4], sys::ACL_PROF_ACL_API).is_null());
    let none = sys::ACL_AICORE_NONE;
    assert!(acl!(aclprofCreateConfig, ptr::null_mut(), 1, none, ptr::null(), 1).is_null());
    let events = ptr::without_provenance(64);
    assert!(acl!(aclprofCreateConfig, [0u32].as_mut_ptr(), 1, none, events, 1).is_null());
    let marks = config(&[], sys::ACL_PROF_MSPROFTX);
    assert!(!marks.is_null());
    ok!(aclprofDestroyConfig, marks);
    let metrics = |metrics| {
        let config = acl!(
            aclprofCreateConfig,
            [0u32].as_mut_ptr(),
            1,
            metrics,
            ptr::null(),
            sys::ACL_PROF_AICORE_METRICS
        );
        let code = acl!(aclprofStart, config);
        ok!(aclprofFinalize);
        ok!(aclprofDestroyConfig, config);
        code
    };
    let folder = Folder::new("metrics");
    assert_eq!(folder.init(), 0);
    assert_eq!(metrics(sys::ACL_AICORE_PIPE_UTILIZATION), 0);
    assert_eq!(metrics(sys::ACL_AICORE_MEMORY_ACCESS), 100_000);
}

#[test]
fn settings_have_their_own_syntax() {
    let _card = card();
    let set = |setting: aclprofConfigType, value: &CStr| {
        acl!(aclprofSetConfig, setting, value.as_ptr(), value.count_bytes())
    };
    assert_eq!(set(sys::ACL_PROF_STORAGE_LIMIT, c"200MB"), 0);
    assert_eq!(set(sys::ACL_PROF_STORAGE_LIMIT, c"199MB"), 100_010);
    assert_eq!(set(sys::ACL_PROF_STORAGE_LIMIT, c"200"), 100_010);
    assert_eq!(set(sys::ACL_PROF_SYS_HARDWARE_MEM_FREQ, c"100"), 0);
    assert_eq!(set(sys::ACL_PROF_SYS_HARDWARE_MEM_FREQ, c"0"), 100_010);
    assert_eq!(set(sys::ACL_PROF_HOST_SYS, c"cpu,mem"), 0);
    assert_eq!(set(sys::ACL_PROF_HOST_SYS, c"cpu,fan"), 100_010);
    assert_eq!(set(sys::ACL_PROF_LLC_MODE, c"read"), 0);
    assert_eq!(set(sys::ACL_PROF_NTS_METRICS, c"x"), 100_000);
    assert_eq!(set(sys::ACL_PROF_ARGS_MIN, c"x"), 100_000);
    assert_eq!(set(sys::ACL_PROF_ARGS_MAX, c"x"), 100_000);
    assert_eq!(acl!(aclprofSetConfig, sys::ACL_PROF_LLC_MODE, ptr::null(), 4), 100_000);
    assert_eq!(acl!(aclprofSetConfig, sys::ACL_PROF_LLC_MODE, c"read".as_ptr(), 3), 100_000);
    assert_eq!(acl!(aclprofSetConfig, sys::ACL_PROF_LLC_MODE, c"read".as_ptr(), 257), 100_000);
}

#[test]
fn stamps_need_a_start_that_asks_for_them() {
    let _card = card();
    let folder = Folder::new("stamps");
    assert_eq!(acl!(aclprofMark, ptr::null_mut()), -1);
    assert_eq!(acl!(aclprofPop), -1);
    assert_eq!(acl!(aclprofPush, ptr::null_mut()), 100_000);
    assert_eq!(folder.init(), 0);
    let marks = config(&[], sys::ACL_PROF_MSPROFTX);
    ok!(aclprofStart, marks);
    let stamps: Vec<*mut c_void> = (0..100).map(|_| acl!(aclprofCreateStamp)).collect();
    assert!(stamps.iter().all(|stamp| !stamp.is_null()));
    assert!(acl!(aclprofCreateStamp).is_null());
    let long: Vec<c_char> = vec![b'x' as c_char; 128];
    assert_eq!(acl!(aclprofSetStampTraceMessage, stamps[0], long.as_ptr(), 128), -1);
    assert_eq!(acl!(aclprofSetStampTraceMessage, ptr::null_mut(), c"x".as_ptr(), 1), -1);
    ok!(aclprofMark, stamps[0]);
    let mut range = 0;
    assert_eq!(acl!(aclprofRangeStart, stamps[7], ptr::null_mut()), 100_000);
    ok!(aclprofRangeStart, stamps[7], &mut range);
    ok!(aclprofRangeStop, range);
    ok!(aclprofRangeStop, range);
    assert_eq!(acl!(aclprofRangeStop, range + 1), -1);
    assert_eq!(acl!(aclprofRangeStop, 100), -1);
    let stream = stream();
    assert_eq!(acl!(aclprofMarkEx, c"x".as_ptr(), 2, stream), -1);
    assert_eq!(acl!(aclprofMarkEx, c"".as_ptr(), 0, stream), -1);
    assert_eq!(acl!(aclprofMarkEx, c"x".as_ptr(), 1, ptr::null_mut()), -1);
    assert_eq!(acl!(aclprofMarkEx, c"x".as_ptr(), 1, stamps[0]), -1);
    ok!(aclprofMarkEx, c"x".as_ptr(), 1, stream);
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtDestroyStream, stream);
    for stamp in &stamps {
        acl!(aclprofDestroyStamp, *stamp);
    }
    assert_eq!(acl!(aclprofMark, stamps[0]), -1);
    ok!(aclprofFinalize);
    ok!(aclprofDestroyConfig, marks);
}

#[test]
fn steps_start_once_and_end_once() {
    let _card = card();
    let (step, stream) = (acl!(aclprofCreateStepInfo), stream());
    let mark = |tag, stream| acl!(aclprofGetStepTimestamp, step, tag, stream);
    assert_eq!(acl!(aclprofGetStepTimestamp, ptr::null_mut(), sys::ACL_STEP_START, stream), 100_000);
    assert_eq!(mark(sys::ACL_STEP_START, stream), 0);
    assert_eq!(mark(sys::ACL_STEP_START, stream), 100_000);
    assert_eq!(mark(sys::ACL_STEP_END, step.cast()), 500_002);
    assert_eq!(mark(sys::ACL_STEP_END, stream), 100_000);
    acl!(aclprofDestroyStepInfo, step);
    assert_eq!(mark(sys::ACL_STEP_END, stream), 100_000);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn subscriptions_are_for_loaded_models() {
    let _card = card();
    let mut pipe = 5;
    let place: *mut c_void = (&raw mut pipe).cast();
    let none = sys::ACL_AICORE_NONE;
    assert!(acl!(aclprofCreateSubscribeConfig, 1, none, ptr::null_mut()).is_null());
    assert!(acl!(aclprofCreateSubscribeConfig, 2, none, place).is_null());
    let config = acl!(aclprofCreateSubscribeConfig, 1, none, place);
    assert_eq!(acl!(aclprofModelSubscribe, 77_777, config), 100_011);
    assert_eq!(acl!(aclprofModelUnSubscribe, 77_777), 100_011);
    ok!(aclprofDestroySubscribeConfig, config);
    assert_eq!(acl!(aclprofDestroySubscribeConfig, config), 100_000);
    assert_eq!(acl!(aclprofDestroySubscribeConfig, ptr::null()), 100_000);
}

#[test]
fn descriptions_of_operators_are_checked() {
    let _session = session(Config::new());
    let mut size = 0;
    ok!(aclprofGetOpDescSize, &mut size);
    assert_eq!(acl!(aclprofGetOpDescSize, ptr::null_mut()), 100_000);
    let bytes = vec![0u8; size * 2];
    let (data, mut count, mut length): (*const c_void, u32, usize) = (bytes.as_ptr().cast(), 9, 9);
    ok!(aclprofGetOpNum, data, 0, &mut count);
    assert_eq!(count, 0);
    assert_eq!(acl!(aclprofGetOpNum, data, size, &mut count), 100_000);
    assert_eq!(acl!(aclprofGetOpNum, data, size - 1, &mut count), 100_000);
    assert_eq!(acl!(aclprofGetOpNum, ptr::null(), size, &mut count), 100_000);
    assert_eq!(acl!(aclprofGetOpTypeLen, data, size, 0, &mut length), 100_000);
    assert_eq!(acl!(aclprofGetOpName, data, size, 0, ptr::null_mut(), 4), 100_000);
    assert_eq!(acl!(aclprofGetOpStart, data, size, 0), 0);
    assert_eq!(acl!(aclprofGetModelId, data, size, 0), 100_000);
    assert_eq!(acl!(aclprofGetOpFlag, ptr::null(), size, 0), sys::ACL_SUBSCRIBE_NONE);
    assert_eq!(acl!(aclprofGetOpFlag, data, size, 0), sys::ACL_SUBSCRIBE_OP);
    assert!(acl!(aclprofGetOpAttriValue, data, size, 0, sys::ACL_SUBSCRIBE_ATTRI_THREADID).is_null());
    assert_eq!(acl!(aclprofStr2Id, c"a".as_ptr()), acl!(aclprofStr2Id, c"a".as_ptr()));
    assert_ne!(acl!(aclprofStr2Id, c"a".as_ptr()), acl!(aclprofStr2Id, c"b".as_ptr()));
    assert_eq!(acl!(aclprofRangePushEx, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclprofRangePop), 100_000);
}
