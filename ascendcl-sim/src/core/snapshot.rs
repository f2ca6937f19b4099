//! Snapshots of the process: a process is locked, backed up, restored and unlocked, and functions of the program are told of each step.
//! While it is locked nothing changes on the devices, so what is restored is what is there.

use core::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

use ascendcl_sys::{self as sys, aclError, aclrtSnapShotStage};

use super::process;
use crate::error::fail;
use crate::lock::{Condvar, Mutex};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Locked,
    BackedUp,
}

type Callback = unsafe extern "C" fn(i32, *mut c_void) -> u32;

static STATE: Mutex<State> = Mutex::new(State::Running);
static CHANGED: Condvar = Condvar::new();
static LOCKED: AtomicBool = AtomicBool::new(false);
static CALLBACKS: Mutex<Vec<(aclrtSnapShotStage, Callback, usize)>> = Mutex::new(Vec::new());

/// Beginnings of the names of functions that wait while the process is locked: those that change something.
const WAITING: &[&str] = &[
    "aclmdlRI",
    "aclrtAbort",
    "aclrtActive",
    "aclrtAlloc",
    "aclrtBinary",
    "aclrtCmo",
    "aclrtCntNotify",
    "aclrtCreate",
    "aclrtDestroy",
    "aclrtDeviceTaskAbort",
    "aclrtFree",
    "aclrtHost",
    "aclrtIpc",
    "aclrtLaunch",
    "aclrtMalloc",
    "aclrtMapMem",
    "aclrtMemAllocManaged",
    "aclrtMemExport",
    "aclrtMemImport",
    "aclrtMemPool",
    "aclrtMemSet",
    "aclrtMemcpy",
    "aclrtMemset",
    "aclrtNotify",
    "aclrtProcessReport",
    "aclrtProfTrace",
    "aclrtRandomNum",
    "aclrtRecord",
    "aclrtReduce",
    "aclrtRegisterCpuFunc",
    "aclrtRelease",
    "aclrtReserve",
    "aclrtResetDevice",
    "aclrtResetEvent",
    "aclrtResetFloat",
    "aclrtResetOverflow",
    "aclrtSetDevice",
    "aclrtSetLabel",
    "aclrtStreamAbort",
    "aclrtStreamStop",
    "aclrtStreamWait",
    "aclrtSubscribe",
    "aclrtSwitch",
    "aclrtTaskUpdate",
    "aclrtUnSubscribe",
    "aclrtUnmapMem",
    "aclrtValue",
    "aclrtWaitAndReset",
];

/// Waits until the process is not locked, if the function is one that does.
pub(crate) fn wait_if_locked(function: &str) {
    if LOCKED.load(Ordering::Relaxed) && WAITING.iter().any(|begin| function.starts_with(begin)) {
        drop(CHANGED.wait_while(STATE.lock(), None, |state| *state != State::Running));
    }
}

fn change(from: &[State], to: State, code: aclError, what: &str) -> Result<(), aclError> {
    let mut state = STATE.lock();
    if !from.contains(&state) {
        let now = *state;
        drop(state);
        return Err(fail(code, format_args!("the process cannot be {what}: it is {now:?}")));
    }
    *state = to;
    LOCKED.store(to != State::Running, Ordering::SeqCst);
    drop(state);
    CHANGED.notify_all();
    Ok(())
}

/// Calls the functions of a stage, each for each device in use.
fn tell(stage: aclrtSnapShotStage) -> Result<(), aclError> {
    let callbacks: Vec<_> = CALLBACKS
        .lock()
        .iter()
        .filter(|(at, ..)| *at == stage)
        .map(|&(_, call, data)| (call, data))
        .collect();
    for (callback, data) in callbacks {
        for device in process::machine().devices().iter().filter(|device| device.is_in_use()) {
            // SAFETY: [program] the program registered the function to be called like this.
            let code = unsafe { callback(device.id(), core::ptr::with_exposed_provenance_mut(data)) };
            if code != 0 {
                return Err(fail(
                    sys::ACL_ERROR_SNAPSHOT_CALLBACK_FAILED,
                    format_args!(
                        "a function of stage {} answered {code} for device {}",
                        stage.0,
                        device.id()
                    ),
                ));
            }
        }
    }
    Ok(())
}

pub(crate) fn lock() -> Result<(), aclError> {
    tell(sys::ACL_RT_SNAPSHOT_LOCK_PRE)?;
    change(&[State::Running], State::Locked, sys::ACL_ERROR_SNAPSHOT_LOCK_FAILED, "locked")
}

pub(crate) fn unlock() -> Result<(), aclError> {
    let from = [State::Locked, State::BackedUp];
    change(&from, State::Running, sys::ACL_ERROR_SNAPSHOT_UNLOCK_FAILED, "unlocked")?;
    tell(sys::ACL_RT_SNAPSHOT_UNLOCK_POST)
}

fn require(wanted: State, code: aclError, what: &str) -> Result<(), aclError> {
    change(&[wanted], wanted, code, what)
}

pub(crate) fn back_up() -> Result<(), aclError> {
    require(State::Locked, sys::ACL_ERROR_SNAPSHOT_BACKUP_FAILED, "backed up")?;
    tell(sys::ACL_RT_SNAPSHOT_BACKUP_PRE)?;
    super::context::synchronize_all()?;
    tell(sys::ACL_RT_SNAPSHOT_BACKUP_POST)?;
    change(&[State::Locked], State::BackedUp, sys::ACL_ERROR_SNAPSHOT_BACKUP_FAILED, "backed up")
}

pub(crate) fn restore() -> Result<(), aclError> {
    require(State::BackedUp, sys::ACL_ERROR_SNAPSHOT_RESTORE_FAILED, "restored")?;
    tell(sys::ACL_RT_SNAPSHOT_RESTORE_PRE)?;
    tell(sys::ACL_RT_SNAPSHOT_RESTORE_POST)?;
    change(&[State::BackedUp], State::Locked, sys::ACL_ERROR_SNAPSHOT_RESTORE_FAILED, "restored")
}

fn check(stage: aclrtSnapShotStage, callback: Option<Callback>) -> Result<Callback, aclError> {
    let wrong = |what: std::fmt::Arguments<'_>| fail(sys::ACL_ERROR_RT_PARAM_INVALID, what);
    if stage.0 > sys::ACL_RT_SNAPSHOT_UNLOCK_POST.0 {
        return Err(wrong(format_args!("stage {} is unknown", stage.0)));
    }
    callback.ok_or_else(|| wrong(format_args!("callback must not be NULL")))
}

pub(crate) fn register(
    stage: aclrtSnapShotStage,
    callback: Option<Callback>,
    data: *mut c_void,
) -> Result<(), aclError> {
    let callback = check(stage, callback)?;
    let mut callbacks = CALLBACKS.lock();
    if callbacks.iter().any(|&(at, known, _)| at == stage && core::ptr::fn_addr_eq(known, callback)) {
        drop(callbacks);
        return Err(fail(
            sys::ACL_ERROR_SNAPSHOT_REGISTER_CALLBACK_FAILED,
            format_args!("the function is registered for stage {} already", stage.0),
        ));
    }
    callbacks.push((stage, callback, data.expose_provenance()));
    Ok(())
}

pub(crate) fn unregister(stage: aclrtSnapShotStage, callback: Option<Callback>) -> Result<(), aclError> {
    let callback = check(stage, callback)?;
    let mut callbacks = CALLBACKS.lock();
    let found =
        callbacks.iter().position(|&(at, known, _)| at == stage && core::ptr::fn_addr_eq(known, callback));
    match found {
        Some(index) => {
            callbacks.remove(index);
            Ok(())
        }
        None => {
            drop(callbacks);
            Err(fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                format_args!("the function is not registered for stage {}", stage.0),
            ))
        }
    }
}
