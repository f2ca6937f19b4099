//! Devices.

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtDeviceStatus, aclrtUtilizationInfo};

use super::{call, fill, invalid, milliseconds, not_null};
use crate::core::{current_context, device, process};
use crate::error::fail;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetDevice(deviceId: i32) -> aclError {
    call!("aclrtSetDevice", || device::set(deviceId))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtResetDevice(deviceId: i32) -> aclError {
    call!("aclrtResetDevice", || device::reset(deviceId, false))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtResetDeviceForce(deviceId: i32) -> aclError {
    call!("aclrtResetDeviceForce", || device::reset(deviceId, true))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetDevice(deviceId: *mut i32) -> aclError {
    call!("aclrtGetDevice", || {
        not_null(deviceId, "deviceId")?;
        let id = current_context()?.device().id();
        // SAFETY: not NULL, and the caller passes a place to write to.
        unsafe { deviceId.write(id) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetDeviceCount(count: *mut u32) -> aclError {
    call!("aclrtGetDeviceCount", || {
        not_null(count, "count")?;
        let devices = process::device_count()?;
        // SAFETY: not NULL, and the caller passes a place to write to.
        unsafe { count.write(devices as u32) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSynchronizeDevice() -> aclError {
    call!("aclrtSynchronizeDevice", || current_context()?.synchronize(None))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSynchronizeDeviceWithTimeout(timeout: i32) -> aclError {
    call!("aclrtSynchronizeDeviceWithTimeout", || {
        let timeout = milliseconds(timeout)?;
        current_context()?.synchronize(timeout)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtQueryDeviceStatus(deviceId: i32, deviceStatus: *mut aclrtDeviceStatus) -> aclError {
    call!("aclrtQueryDeviceStatus", || {
        not_null(deviceStatus, "deviceStatus")?;
        process::device(deviceId)?;
        // SAFETY: not NULL, and the caller passes a place to write to.
        unsafe { deviceStatus.write(sys::ACL_RT_DEVICE_STATUS_NORMAL) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetDeviceUtilizationRate(
    deviceId: i32,
    utilizationInfo: *mut aclrtUtilizationInfo,
) -> aclError {
    call!("aclrtGetDeviceUtilizationRate", || {
        not_null(utilizationInfo, "utilizationInfo")?;
        let device = process::device(deviceId)?;
        // SAFETY: not NULL, and the caller passes an initialised structure.
        let info = unsafe { &mut *utilizationInfo };
        if !info.utilizationExtend.is_null() {
            return Err(invalid("utilizationExtend must be NULL"));
        }
        // A stream that runs keeps the one cube core busy; a chip of this kind has no vector cores of their own.
        info.cubeUtilization = if device.is_busy() { 100 } else { 0 };
        info.vectorUtilization = -1;
        info.aicpuUtilization = 0;
        info.memoryUtilization = -1;
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDeviceCanAccessPeer(
    canAccessPeer: *mut i32,
    deviceId: i32,
    peerDeviceId: i32,
) -> aclError {
    call!("aclrtDeviceCanAccessPeer", || {
        not_null(canAccessPeer, "canAccessPeer")?;
        if deviceId == peerDeviceId {
            return Err(invalid(format_args!("device {deviceId} is not a peer of itself")));
        }
        let device = process::device(deviceId)?;
        process::device(peerDeviceId)?;
        // SAFETY: not NULL, and the caller passes a place to write to.
        unsafe { canAccessPeer.write(device.can_access_peer().into()) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDeviceEnablePeerAccess(peerDeviceId: i32, flags: u32) -> aclError {
    call!("aclrtDeviceEnablePeerAccess", || {
        if flags != 0 {
            return Err(fail(sys::ACL_ERROR_FEATURE_UNSUPPORTED, format_args!("flags {flags:#x} must be 0")));
        }
        let context = current_context()?;
        let device = context.device();
        let peer = process::device(peerDeviceId)?;
        if peer.id() == device.id() {
            return Err(fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                format_args!("device {peerDeviceId} is not a peer of itself"),
            ));
        }
        if !device.can_access_peer() {
            return Err(fail(
                sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
                format_args!("device {} cannot access the memory of device {peerDeviceId}", device.id()),
            ));
        }
        device.enable_peer(peer.id(), true);
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDeviceDisablePeerAccess(peerDeviceId: i32) -> aclError {
    call!("aclrtDeviceDisablePeerAccess", || {
        let context = current_context()?;
        let peer = process::device(peerDeviceId)?;
        context.device().enable_peer(peer.id(), false);
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDevicePeerAccessStatus(
    deviceId: i32,
    peerDeviceId: i32,
    status: *mut i32,
) -> aclError {
    call!("aclrtDevicePeerAccessStatus", || {
        not_null(status, "status")?;
        let device = process::device(deviceId)?;
        let peer = process::device(peerDeviceId)?;
        // SAFETY: not NULL, and the caller passes a place to write to.
        unsafe { status.write(device.peer_enabled(peer.id()).into()) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDeviceGetStreamPriorityRange(
    leastPriority: *mut i32,
    greatestPriority: *mut i32,
) -> aclError {
    call!("aclrtDeviceGetStreamPriorityRange", || {
        // Needs no context, and no place for what the program does not want to know.
        let lowest = process::machine().settings().profile.lowest_priority;
        for (place, priority) in [(leastPriority, lowest as i32), (greatestPriority, 0)] {
            if !place.is_null() {
                // SAFETY: not NULL, and the caller passes a place to write to.
                unsafe { place.write(priority) };
            }
        }
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtSetDevice, aclrtResetDevice, aclrtResetDeviceForce, aclrtGetDevice, aclrtGetDeviceCount,
        aclrtSynchronizeDevice, aclrtSynchronizeDeviceWithTimeout, aclrtQueryDeviceStatus,
        aclrtGetDeviceUtilizationRate, aclrtDeviceCanAccessPeer, aclrtDeviceEnablePeerAccess,
        aclrtDeviceDisablePeerAccess, aclrtDevicePeerAccessStatus, aclrtDeviceGetStreamPriorityRange,
    );
}
