//! Functions of the program that are told what happens: initialisation, devices, streams, aborts.

use core::ffi::{CStr, c_char, c_void};

use ascendcl_sys::{
    AclApi, aclError, aclFinalizeCallbackFunc, aclInitCallbackFunc, aclRegisterCallbackType,
    aclrtDeviceStateCallback, aclrtDeviceTaskAbortCallback, aclrtStreamStateCallback,
};

use super::{call, fill, not_null};
use crate::core::{init_callbacks, lifecycle, observers};

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclInitCallbackRegister(
    type_: aclRegisterCallbackType,
    cbFunc: aclInitCallbackFunc,
    userData: *mut c_void,
) -> aclError {
    call!("aclInitCallbackRegister", || lifecycle::register_init(type_, cbFunc, userData))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclInitCallbackUnRegister(
    type_: aclRegisterCallbackType,
    cbFunc: aclInitCallbackFunc,
) -> aclError {
    call!("aclInitCallbackUnRegister", || init_callbacks::unregister_init(type_, cbFunc))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclFinalizeCallbackRegister(
    type_: aclRegisterCallbackType,
    cbFunc: aclFinalizeCallbackFunc,
    userData: *mut c_void,
) -> aclError {
    call!("aclFinalizeCallbackRegister", || init_callbacks::register_finalize(type_, cbFunc, userData))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclFinalizeCallbackUnRegister(
    type_: aclRegisterCallbackType,
    cbFunc: aclFinalizeCallbackFunc,
) -> aclError {
    call!("aclFinalizeCallbackUnRegister", || init_callbacks::unregister_finalize(type_, cbFunc))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtRegDeviceStateCallback(
    regName: *const c_char,
    callback: aclrtDeviceStateCallback,
    args: *mut c_void,
) -> aclError {
    call!("aclrtRegDeviceStateCallback", || {
        not_null(regName, "regName")?;
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        observers::DEVICE_STATES.register(unsafe { CStr::from_ptr(regName) }, callback, args)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtRegStreamStateCallback(
    regName: *const c_char,
    callback: aclrtStreamStateCallback,
    args: *mut c_void,
) -> aclError {
    call!("aclrtRegStreamStateCallback", || {
        not_null(regName, "regName")?;
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        observers::STREAM_STATES.register(unsafe { CStr::from_ptr(regName) }, callback, args)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetDeviceTaskAbortCallback(
    regName: *const c_char,
    callback: aclrtDeviceTaskAbortCallback,
    args: *mut c_void,
) -> aclError {
    call!("aclrtSetDeviceTaskAbortCallback", || {
        not_null(regName, "regName")?;
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        observers::ABORTS.register(unsafe { CStr::from_ptr(regName) }, callback, args)
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclInitCallbackRegister, aclInitCallbackUnRegister, aclFinalizeCallbackRegister,
        aclFinalizeCallbackUnRegister, aclrtRegDeviceStateCallback, aclrtRegStreamStateCallback,
        aclrtSetDeviceTaskAbortCallback,
    );
}
