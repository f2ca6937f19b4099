//! Failed tasks and who is told of them, aborts, repair, snapshots, and what is known of tasks.

mod common;

use core::ffi::c_void;
use std::ptr;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use common::*;

static SEEN: Mutex<Vec<[u32; 6]>> = Mutex::new(Vec::new());
static INFO: Mutex<usize> = Mutex::new(0);

unsafe extern "C" fn on_exception(info: *mut sys::aclrtExceptionInfo) {
    *INFO.lock().unwrap() = info.addr();
    SEEN.lock().unwrap().push([
        acl!(aclrtGetTaskIdFromExceptionInfo, info),
        acl!(aclrtGetStreamIdFromExceptionInfo, info),
        acl!(aclrtGetThreadIdFromExceptionInfo, info),
        acl!(aclrtGetDeviceIdFromExceptionInfo, info),
        acl!(aclrtGetErrorCodeFromExceptionInfo, info),
        acl!(aclrtGetArgsFromExceptionInfo, info, ptr::null_mut(), ptr::null_mut()) as u32,
    ]);
    // Leaves no text among those of the stream.
    assert_eq!(acl!(aclrtSetDevice, 66), 107_001);
}

#[test]
fn the_program_is_told_of_a_failed_task() {
    let _session = full();
    let stream = stream();
    let event = flagged(sys::ACL_EVENT_SYNC);
    ok!(aclrtSetExceptionInfoCallback, Some(on_exception));
    ok!(aclrtSetOpWaitTimeout, 1);
    ok!(aclrtProfTrace, (&raw const event).cast_mut().cast(), 8, stream);
    ok!(aclrtStreamWaitEvent, stream, event);
    let code = acl!(aclrtSynchronizeStream, stream);
    assert_ne!(code, 0);
    assert!(!message().contains("device 66"));
    let mut id = 0;
    ok!(aclrtStreamGetId, stream, &mut id);
    // SAFETY: no preconditions.
    let thread = unsafe { libc::gettid() } as u32;
    let seen = std::mem::take(&mut *SEEN.lock().unwrap());
    assert_eq!(seen, [[1, id as u32, thread, 0, code as u32, 100_000]]);
    let stale = ptr::without_provenance_mut(*INFO.lock().unwrap());
    assert_eq!(acl!(aclrtGetTaskIdFromExceptionInfo, stale), u32::MAX, "good only inside of the callback");
    assert_eq!(acl!(aclrtGetErrorCodeFromExceptionInfo, ptr::null()), u32::MAX);
    let mut place = ptr::null_mut();
    assert_eq!(acl!(aclrtGetFuncHandleFromExceptionInfo, ptr::null(), &mut place), -1);
    ok!(aclrtSetExceptionInfoCallback, None);
    ok!(aclrtStreamWaitEvent, stream, event);
    assert_eq!(acl!(aclrtSynchronizeStream, stream), code);
    assert!(SEEN.lock().unwrap().is_empty());
    ok!(aclrtSetOpWaitTimeout, 0);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn faults_of_memory() {
    let _session = full();
    // SAFETY: all zero is a valid value of plain C structures.
    let (mut info, mut faults): (sys::aclrtErrorInfo, [sys::aclrtMemUceInfo; 2]) =
        unsafe { core::mem::zeroed() };
    info.errorType = sys::ACL_RT_ERROR_LINK;
    ok!(aclrtGetErrorVerbose, 0, &mut info);
    assert_eq!((info.errorType, info.tryRepair, info.hasDetail), (sys::ACL_RT_NO_ERROR, 0, 0));
    assert_eq!(acl!(aclrtGetErrorVerbose, 9, &mut info), 107_001);
    assert_eq!(acl!(aclrtGetErrorVerbose, 0, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtRepairError, 0, &info), 107_000);
    info.tryRepair = 1;
    ok!(aclrtRepairError, 0, &info);
    assert_eq!(acl!(aclrtRepairError, 1, &info), 507_033);
    info.errorType = sys::ACL_RT_ERROR_L2;
    assert_eq!(acl!(aclrtRepairError, 0, &info), 107_000);
    let mut count = 7;
    ok!(aclrtGetMemUceInfo, 0, faults.as_mut_ptr(), 2, &mut count);
    assert_eq!(count, 0);
    assert_eq!(acl!(aclrtGetMemUceInfo, 0, faults.as_mut_ptr(), 2, ptr::null_mut()), 100_000);
    ok!(aclrtMemUceRepair, 0, faults.as_mut_ptr(), 2);
    assert_eq!(acl!(aclrtMemUceRepair, 0, faults.as_mut_ptr(), 129), 100_000);
    faults[1].reserved[0] = 1;
    assert_eq!(acl!(aclrtMemUceRepair, 0, faults.as_mut_ptr(), 2), 100_000);
}

static STAGES: Mutex<Vec<(i32, u32)>> = Mutex::new(Vec::new());

unsafe extern "C" fn on_abort(
    device: i32,
    stage: sys::aclrtDeviceTaskAbortStage,
    _timeout: u32,
    data: *mut c_void,
) -> i32 {
    STAGES.lock().unwrap().push((device, stage.0));
    data.addr() as i32
}

#[test]
fn an_abort_throws_queued_work_away() {
    let _session = full();
    let (stream, gate) = (stream(), Gate::new());
    let memory = device_memory(8);
    gate.hold(stream);
    ok!(aclrtMemsetAsync, memory, 8, 1, 8, stream);
    assert!(!is_complete(stream));
    ok!(aclrtSetDeviceTaskAbortCallback, c"mine".as_ptr(), Some(on_abort), ptr::null_mut());
    assert_eq!(
        acl!(aclrtSetDeviceTaskAbortCallback, c"mine".as_ptr(), Some(on_abort), ptr::null_mut()),
        107_000
    );
    thread::scope(|scope| {
        let handle = stream.addr();
        let synchronise = scope.spawn(move || {
            ok!(aclrtSetDevice, 0);
            let code = acl!(aclrtSynchronizeStream, ptr::without_provenance_mut(handle));
            ok!(aclrtResetDevice, 0);
            code
        });
        thread::sleep(Duration::from_millis(50));
        ok!(aclrtDeviceTaskAbort, 0, 5000);
        assert_eq!(synchronise.join().unwrap(), 107_022);
    });
    assert!(is_complete(stream));
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(*STAGES.lock().unwrap(), [(0, 0), (0, 1)]);
    ok!(aclrtMemsetAsync, memory, 8, 1, 8, stream);
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(acl!(aclrtDeviceTaskAbort, 0, 36 * 60 * 1000 + 1), 107_000);
    assert_eq!(acl!(aclrtDeviceTaskAbort, 9, 0), 107_001);
    assert_eq!(acl!(aclrtDeviceTaskAbort, 1, 0), 107_002, "no context there");
    ok!(aclrtSetDeviceTaskAbortCallback, c"mine".as_ptr(), None, ptr::null_mut());
    ok!(aclrtSetDeviceTaskAbortCallback, c"mine".as_ptr(), Some(on_abort), ptr::without_provenance_mut(3));
    assert_eq!(acl!(aclrtDeviceTaskAbort, 0, 0), 507_000);
    ok!(aclrtSetDeviceTaskAbortCallback, c"mine".as_ptr(), None, ptr::null_mut());
    ok!(aclrtFree, memory);
    drop(gate);
    ok!(aclrtDestroyStream, stream);
}

static SNAPSHOTS: Mutex<Vec<usize>> = Mutex::new(Vec::new());

unsafe extern "C" fn on_snapshot(device: i32, data: *mut c_void) -> u32 {
    assert_eq!(device, 0);
    SNAPSHOTS.lock().unwrap().push(data.addr());
    u32::from(data.addr() == 13)
}

unsafe extern "C" fn on_snapshot_too(_device: i32, _data: *mut c_void) -> u32 {
    1
}

#[test]
fn snapshots_lock_the_process() {
    let _session = full();
    let pid = std::process::id() as i32;
    let none = ptr::null_mut();
    for stage in 0..6 {
        let data = ptr::without_provenance_mut(stage as usize);
        ok!(aclrtSnapShotCallbackRegister, sys::aclrtSnapShotStage(stage), Some(on_snapshot), data);
    }
    let [pre, post] = [sys::ACL_RT_SNAPSHOT_LOCK_PRE, sys::ACL_RT_SNAPSHOT_UNLOCK_POST];
    assert_eq!(acl!(aclrtSnapShotCallbackRegister, pre, Some(on_snapshot), none), 507_913);
    assert_eq!(
        acl!(aclrtSnapShotCallbackRegister, sys::aclrtSnapShotStage(6), Some(on_snapshot), none),
        107_000
    );
    assert_eq!(acl!(aclrtSnapShotCallbackRegister, pre, None, none), 107_000);
    assert_eq!(acl!(aclrtSnapShotProcessLock, pid + 1, none), 100_000);
    assert_eq!(acl!(aclrtSnapShotProcessLock, pid, ptr::without_provenance_mut(1)), 100_000);
    assert_eq!(acl!(aclrtSnapShotProcessUnlock, pid, none), 507_907);
    assert_eq!(acl!(aclrtSnapShotProcessBackup, pid, ptr::null_mut()), 507_908);
    assert_eq!(acl!(aclrtSnapShotProcessRestore, pid, ptr::null_mut()), 507_909);
    ok!(aclrtSnapShotProcessLock, pid, none);
    assert_eq!(acl!(aclrtSnapShotProcessLock, pid, none), 507_906);
    // What changes something waits meanwhile.
    let waiting = thread::spawn(|| {
        ok!(aclrtSetDevice, 0);
        ok!(aclrtResetDevice, 0);
    });
    ok!(aclrtSnapShotProcessBackup, pid, ptr::null_mut());
    ok!(aclrtSnapShotProcessRestore, pid, ptr::null_mut());
    assert!(!waiting.is_finished());
    ok!(aclrtSnapShotProcessUnlock, pid, none);
    waiting.join().unwrap();
    // A second lock told the functions before it failed.
    assert_eq!(std::mem::take(&mut *SNAPSHOTS.lock().unwrap()), [0, 0, 1, 2, 3, 4, 5]);
    ok!(aclrtSnapShotCallbackRegister, post, Some(on_snapshot_too), none);
    ok!(aclrtSnapShotProcessLock, pid, none);
    assert_eq!(acl!(aclrtSnapShotProcessUnlock, pid, none), 507_912);
    ok!(aclrtSnapShotCallbackUnregister, post, Some(on_snapshot_too));
    assert_eq!(acl!(aclrtSnapShotCallbackUnregister, post, Some(on_snapshot_too)), 107_000);
    for stage in 0..6 {
        ok!(aclrtSnapShotCallbackUnregister, sys::aclrtSnapShotStage(stage), Some(on_snapshot));
    }
}

#[test]
fn tasks_have_numbers() {
    let _session = full();
    let stream = stream();
    thread::spawn(|| {
        let mut id = 7;
        ok!(aclrtGetThreadLastTaskId, &mut id);
        assert_eq!(id, u32::MAX, "none yet");
    })
    .join()
    .unwrap();
    let mut mark = [0u8; 24];
    let place = mark.as_mut_ptr().cast();
    for expected in 0..3 {
        ok!(aclrtProfTrace, place, 18, stream);
        let mut id = 7;
        ok!(aclrtGetThreadLastTaskId, &mut id);
        assert_eq!(id, expected);
    }
    assert_eq!(acl!(aclrtGetThreadLastTaskId, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtProfTrace, ptr::null_mut(), 18, stream), 100_000);
    assert_eq!(acl!(aclrtProfTrace, place, 19, stream), 107_000);
    assert_eq!(acl!(aclrtProfTrace, place, 0, stream), 107_000);
    assert_eq!(acl!(aclrtProfTrace, place, 18, place), 107_017);
    assert_eq!(acl!(aclrtCacheLastTaskOpInfo, ptr::null(), 1), 100_000);
    assert_eq!(acl!(aclrtCacheLastTaskOpInfo, place, 0), 100_000);
    assert_eq!(acl!(aclrtCacheLastTaskOpInfo, place, 65_537), 107_000);
    assert_eq!(acl!(aclrtCacheLastTaskOpInfo, place, 1), 507_000, "not captured");
    assert_eq!(acl!(aclrtCacheLastTaskExtendInfo, ptr::null(), 1), 107_000);
    assert_eq!(acl!(aclrtCacheLastTaskExtendInfo, place.cast(), 1), 507_000);
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtDestroyStream, stream);
}
