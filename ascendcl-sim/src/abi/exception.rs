//! Exceptions: what failed, and memory faults and their repair. The simulated memory has no faults, so there is nothing to repair.

use core::ffi::c_void;

use ascendcl_sys::{
    self as sys, AclApi, aclError, aclrtErrorInfo, aclrtExceptionInfo, aclrtExceptionInfoCallback,
    aclrtFuncHandle, aclrtMemUceInfo,
};

use super::{call, call_or, fill, invalid, not_null};
use crate::core::exceptions::{self, Exception};
use crate::core::{device, process};
use crate::error::fail;

/// What the questions about an exception answer that is none: `0xffffffff`.
const NO_EXCEPTION: u32 = u32::MAX;
/// Memory faults that can be repaired at once.
const MOST_FAULTS: usize = 128;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetExceptionInfoCallback(callback: aclrtExceptionInfoCallback) -> aclError {
    call!("aclrtSetExceptionInfoCallback", || {
        exceptions::set_callback(callback);
        Ok(())
    })
}

/// Asks the exception that a callback is looking at.
fn ask(info: *const aclrtExceptionInfo, question: impl FnOnce(&Exception) -> u32) -> u32 {
    exceptions::find(info, question).unwrap_or_else(|| {
        invalid(if info.is_null() {
            "info must not be NULL"
        } else {
            "info is of no callback that is running"
        });
        NO_EXCEPTION
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetTaskIdFromExceptionInfo(info: *const aclrtExceptionInfo) -> u32 {
    call_or!("aclrtGetTaskIdFromExceptionInfo", |_| NO_EXCEPTION, || ask(info, |exception| exception.task))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetStreamIdFromExceptionInfo(info: *const aclrtExceptionInfo) -> u32 {
    call_or!("aclrtGetStreamIdFromExceptionInfo", |_| NO_EXCEPTION, || ask(info, |exception| exception
        .stream))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetThreadIdFromExceptionInfo(info: *const aclrtExceptionInfo) -> u32 {
    call_or!("aclrtGetThreadIdFromExceptionInfo", |_| NO_EXCEPTION, || ask(info, |exception| exception
        .thread))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetDeviceIdFromExceptionInfo(info: *const aclrtExceptionInfo) -> u32 {
    call_or!("aclrtGetDeviceIdFromExceptionInfo", |_| NO_EXCEPTION, || ask(info, |exception| exception
        .device))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetErrorCodeFromExceptionInfo(info: *const aclrtExceptionInfo) -> u32 {
    call_or!("aclrtGetErrorCodeFromExceptionInfo", |_| NO_EXCEPTION, || ask(info, |exception| exception.code))
}

/// The one code that is no number of the list.
fn no_exception(what: &str) -> aclError {
    fail(NO_EXCEPTION as aclError, what)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetArgsFromExceptionInfo(
    info: *const aclrtExceptionInfo,
    devArgsPtr: *mut *mut c_void,
    devArgsLen: *mut u32,
) -> aclError {
    call!("aclrtGetArgsFromExceptionInfo", || {
        if info.is_null() {
            return Err(no_exception("info must not be NULL"));
        }
        not_null(devArgsPtr, "devArgsPtr")?;
        not_null(devArgsLen, "devArgsLen")?;
        let kernel = exceptions::find(info, |exception| exception.kernel).flatten();
        let Some(kernel) = kernel else {
            return Err(no_exception("the task that failed was no kernel and has no arguments"));
        };
        let (address, size) = kernel.arguments;
        // SAFETY: [caller] not NULL, and the caller passes places to write to.
        unsafe {
            devArgsPtr.write(address);
            devArgsLen.write(size as u32);
        }
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetFuncHandleFromExceptionInfo(
    info: *const aclrtExceptionInfo,
    func: *mut aclrtFuncHandle,
) -> aclError {
    call!("aclrtGetFuncHandleFromExceptionInfo", || {
        if info.is_null() {
            return Err(no_exception("info must not be NULL"));
        }
        not_null(func, "func")?;
        let kernel = exceptions::find(info, |exception| exception.kernel).flatten();
        let function = kernel.map_or(std::ptr::null_mut(), |kernel| kernel.function);
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { func.write(function) };
        if function.is_null() {
            let text = "the task that failed was no kernel and has no function";
            return Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, text));
        }
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetErrorVerbose(deviceId: i32, errorInfo: *mut aclrtErrorInfo) -> aclError {
    call!("aclrtGetErrorVerbose", || {
        not_null(errorInfo, "errorInfo")?;
        let lost = process::device(deviceId)?.is_lost();
        // SAFETY: [caller] not NULL, and the caller passes a structure to write to.
        unsafe {
            (*errorInfo).tryRepair = 0;
            (*errorInfo).hasDetail = 0;
            (*errorInfo).errorType = if lost { sys::ACL_RT_ERROR_OTHERS } else { sys::ACL_RT_NO_ERROR };
            (*errorInfo).detail.aicoreErrType = sys::ACL_RT_AICORE_ERROR_UNKNOWN;
        }
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtRepairError(deviceId: i32, errorInfo: *const aclrtErrorInfo) -> aclError {
    call!("aclrtRepairError", || {
        not_null(errorInfo, "errorInfo")?;
        // SAFETY: [caller] not NULL, and the caller passes a structure that aclrtGetErrorVerbose filled.
        let (wanted, kind) = unsafe { ((*errorInfo).tryRepair, (*errorInfo).errorType) };
        if wanted == 0 {
            return Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, "tryRepair is 0: there is nothing to repair"));
        }
        let device = process::device(deviceId)?;
        if !device.is_in_use() {
            return Err(fail(
                sys::ACL_ERROR_RT_DEV_SETUP_ERROR,
                format_args!("device {deviceId} is not set up: call aclrtSetDevice first"),
            ));
        }
        match kind {
            sys::ACL_RT_NO_ERROR => Ok(()),
            _ => Err(fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                format_args!("device {deviceId} has no error of type {} that could be repaired", kind.0),
            )),
        }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetMemUceInfo(
    deviceId: i32,
    memUceInfoArray: *mut aclrtMemUceInfo,
    _arraySize: usize,
    retSize: *mut usize,
) -> aclError {
    call!("aclrtGetMemUceInfo", || {
        not_null(memUceInfoArray, "memUceInfoArray")?;
        not_null(retSize, "retSize")?;
        process::device(deviceId)?;
        // No faults: any array is large enough.
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { retSize.write(0) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemUceRepair(
    deviceId: i32,
    memUceInfoArray: *mut aclrtMemUceInfo,
    arraySize: usize,
) -> aclError {
    call!("aclrtMemUceRepair", || {
        not_null(memUceInfoArray, "memUceInfoArray")?;
        if arraySize > MOST_FAULTS {
            return Err(invalid(format_args!("arraySize {arraySize} is larger than {MOST_FAULTS}")));
        }
        // SAFETY: [caller] not NULL, and the caller passes that many members.
        let faults = unsafe { std::slice::from_raw_parts(memUceInfoArray, arraySize) };
        // The runtime looks at the first 14 bytes of what is reserved.
        let filled =
            |fault: &aclrtMemUceInfo| fault.reserved[0] != 0 || fault.reserved[1] & 0xffff_ffff_ffff != 0;
        if faults.iter().any(filled) {
            return Err(invalid("reserved must be 0"));
        }
        process::device(deviceId)?;
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDeviceTaskAbort(deviceId: i32, timeout: u32) -> aclError {
    /// 36 minutes.
    const LONGEST: u32 = 36 * 60 * 1000;
    call!("aclrtDeviceTaskAbort", || {
        if timeout > LONGEST {
            return Err(fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                format_args!("timeout {timeout} is longer than {LONGEST} milliseconds"),
            ));
        }
        device::abort(deviceId, timeout)
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtSetExceptionInfoCallback, aclrtGetTaskIdFromExceptionInfo, aclrtGetStreamIdFromExceptionInfo,
        aclrtGetThreadIdFromExceptionInfo, aclrtGetDeviceIdFromExceptionInfo, aclrtGetErrorCodeFromExceptionInfo,
        aclrtGetArgsFromExceptionInfo, aclrtGetFuncHandleFromExceptionInfo, aclrtGetErrorVerbose, aclrtRepairError,
        aclrtGetMemUceInfo, aclrtMemUceRepair, aclrtDeviceTaskAbort,
    );
}
