//! Limits of cores for devices, streams and threads.

use std::sync::Arc;

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtDevResLimitType, aclrtStream};

use super::{call, fill, not_null};
use crate::core::stream::Named;
use crate::core::{Device, Stream, current_context, limits, process};
use crate::error::fail;

/// The number of a device, checked before anything else.
fn not_negative(device: i32) -> Result<(), aclError> {
    if device >= 0 {
        return Ok(());
    }
    Err(fail(sys::ACL_ERROR_RT_INVALID_DEVICEID, format_args!("deviceId {device} must not be negative")))
}

/// A device in use (107001, 507033).
fn in_use(device: i32) -> Result<Arc<Device>, aclError> {
    let found = process::device(device)?;
    if found.is_in_use() {
        return Ok(found);
    }
    Err(fail(
        sys::ACL_ERROR_RT_DEV_SETUP_ERROR,
        format_args!("device {device} is not set up: call aclrtSetDevice first"),
    ))
}

/// A stream of any context; NULL is the default stream of the current one.
fn stream_of(named: &Named, handle: aclrtStream) -> Result<Arc<Stream>, aclError> {
    match named.given() {
        Some(stream) if !handle.is_null() => Ok(stream),
        _ => Ok(named.any(&*current_context()?)),
    }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetDeviceResLimit(
    deviceId: i32,
    type_: aclrtDevResLimitType,
    value: *mut u32,
) -> aclError {
    call!("aclrtGetDeviceResLimit", || {
        not_null(value, "value")?;
        not_negative(deviceId)?;
        let kind = limits::kind(type_)?;
        let limit = in_use(deviceId)?.core_limit(kind);
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { value.write(limit) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetDeviceResLimit(
    deviceId: i32,
    type_: aclrtDevResLimitType,
    value: u32,
) -> aclError {
    call!("aclrtSetDeviceResLimit", || {
        not_negative(deviceId)?;
        let kind = limits::kind(type_)?;
        let device = in_use(deviceId)?;
        device.core_limits().set(&device.profile().chip, kind, value)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtResetDeviceResLimit(deviceId: i32) -> aclError {
    call!("aclrtResetDeviceResLimit", || {
        not_negative(deviceId)?;
        in_use(deviceId)?.core_limits().reset();
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetStreamResLimit(
    stream: aclrtStream,
    type_: aclrtDevResLimitType,
    value: *mut u32,
) -> aclError {
    call!("aclrtGetStreamResLimit", || {
        not_null(value, "value")?;
        let named = Named::new(stream)?;
        let kind = limits::kind(type_)?;
        let limit = limits::of_stream(&*stream_of(&named, stream)?, kind);
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { value.write(limit) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetStreamResLimit(
    stream: aclrtStream,
    type_: aclrtDevResLimitType,
    value: u32,
) -> aclError {
    call!("aclrtSetStreamResLimit", || {
        let named = Named::new(stream)?;
        let kind = limits::kind(type_)?;
        let stream = stream_of(&named, stream)?;
        stream.core_limits().set(&stream.device().profile().chip, kind, value)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtResetStreamResLimit(stream: aclrtStream) -> aclError {
    call!("aclrtResetStreamResLimit", || {
        stream_of(&Named::new(stream)?, stream)?.core_limits().reset();
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtUseStreamResInCurrentThread(stream: aclrtStream) -> aclError {
    call!("aclrtUseStreamResInCurrentThread", || {
        limits::use_stream(&stream_of(&Named::new(stream)?, stream)?);
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtUnuseStreamResInCurrentThread(stream: aclrtStream) -> aclError {
    call!("aclrtUnuseStreamResInCurrentThread", || {
        limits::unuse_stream(&stream_of(&Named::new(stream)?, stream)?);
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetResInCurrentThread(type_: aclrtDevResLimitType, value: *mut u32) -> aclError {
    call!("aclrtGetResInCurrentThread", || {
        not_null(value, "value")?;
        let limit = limits::of_thread(limits::kind(type_)?)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { value.write(limit) };
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtGetDeviceResLimit, aclrtSetDeviceResLimit, aclrtResetDeviceResLimit, aclrtGetStreamResLimit,
        aclrtSetStreamResLimit, aclrtResetStreamResLimit, aclrtUseStreamResInCurrentThread,
        aclrtUnuseStreamResInCurrentThread, aclrtGetResInCurrentThread,
    );
}
