//! Snapshots of the process.

use core::ffi::{c_int, c_void};

use ascendcl_sys::{
    AclApi, aclError, aclrtSnapShotBackupArgs, aclrtSnapShotCallBack, aclrtSnapShotRestoreArgs,
    aclrtSnapShotStage,
};

use super::{call, fill, invalid};
use crate::core::snapshot;

/// Only the own process, and nothing in what is reserved.
fn check<T>(pid: c_int, reserved: *const T, name: &str) -> Result<(), aclError> {
    if i64::from(pid) != i64::from(std::process::id()) {
        return Err(invalid(format_args!("pid {pid} is not that of this process")));
    }
    if reserved.is_null() { Ok(()) } else { Err(invalid(format_args!("{name} must be NULL"))) }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSnapShotProcessLock(pid: c_int, reserve: *mut c_void) -> aclError {
    call!("aclrtSnapShotProcessLock", || {
        check(pid, reserve, "reserve")?;
        snapshot::lock()
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSnapShotProcessUnlock(pid: c_int, reserve: *mut c_void) -> aclError {
    call!("aclrtSnapShotProcessUnlock", || {
        check(pid, reserve, "reserve")?;
        snapshot::unlock()
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSnapShotProcessBackup(pid: c_int, args: *mut aclrtSnapShotBackupArgs) -> aclError {
    call!("aclrtSnapShotProcessBackup", || {
        check(pid, args, "args")?;
        snapshot::back_up()
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSnapShotProcessRestore(
    pid: c_int,
    args: *mut aclrtSnapShotRestoreArgs,
) -> aclError {
    call!("aclrtSnapShotProcessRestore", || {
        check(pid, args, "args")?;
        snapshot::restore()
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSnapShotCallbackRegister(
    stage: aclrtSnapShotStage,
    callback: aclrtSnapShotCallBack,
    args: *mut c_void,
) -> aclError {
    call!("aclrtSnapShotCallbackRegister", || snapshot::register(stage, callback, args))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSnapShotCallbackUnregister(
    stage: aclrtSnapShotStage,
    callback: aclrtSnapShotCallBack,
) -> aclError {
    call!("aclrtSnapShotCallbackUnregister", || snapshot::unregister(stage, callback))
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtSnapShotProcessLock, aclrtSnapShotProcessUnlock, aclrtSnapShotProcessBackup, aclrtSnapShotProcessRestore,
        aclrtSnapShotCallbackRegister, aclrtSnapShotCallbackUnregister,
    );
}
