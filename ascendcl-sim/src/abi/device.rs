//! Devices.

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtDeviceStatus, aclrtTsId, aclrtUtilizationInfo};

use super::{call, fill, invalid, milliseconds, not_null};
use crate::core::{current_context, device, process};
use crate::error::unremembered;

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
    call!("aclrtResetDeviceForce", || unremembered(|| device::reset(deviceId, true)))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetDevice(deviceId: *mut i32) -> aclError {
    call!("aclrtGetDevice", || {
        not_null(deviceId, "deviceId")?;
        let id = unremembered(current_context)?.device().id();
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { deviceId.write(id) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetDeviceCount(count: *mut u32) -> aclError {
    call!("aclrtGetDeviceCount", || {
        not_null(count, "count")?;
        let devices = process::device_count()?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
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
        let device = process::device(deviceId)?;
        let status = if device.is_lost() {
            sys::ACL_RT_DEVICE_STATUS_ABNORMAL
        } else {
            sys::ACL_RT_DEVICE_STATUS_NORMAL
        };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { deviceStatus.write(status) };
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
        // SAFETY: [caller] not NULL, and the caller passes an initialised structure.
        let info = unsafe { &mut *utilizationInfo };
        if !info.utilizationExtend.is_null() {
            return Err(invalid("utilizationExtend must be NULL"));
        }
        // What is not to be had is -1 and no failure, even if there is no such device.
        let device = process::device(deviceId).ok();
        let busy = device.as_ref().map_or(-1, |device| if device.is_busy() { 100 } else { 0 });
        let has_vector_cores = device.as_ref().is_some_and(|device| device.profile().chip.vector_cores > 0);
        info.cubeUtilization = busy;
        info.vectorUtilization = if has_vector_cores { 0 } else { -1 };
        info.aicpuUtilization = if device.is_some() { 0 } else { -1 };
        info.memoryUtilization = -1;
        Ok(())
    })
}

/// Priorities of streams, the same for all chips: those without them ignore what streams ask for.
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
                // SAFETY: [caller] not NULL, and the caller passes a place to write to.
                unsafe { place.write(priority) };
            }
        }
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetTsDevice(tsId: aclrtTsId) -> aclError {
    call!("aclrtSetTsDevice", || {
        if tsId != sys::ACL_TS_ID_AICORE && tsId != sys::ACL_TS_ID_AIVECTOR {
            return Err(invalid(format_args!("tsId {} is unknown", tsId.0)));
        }
        // All chips that are simulated have one task scheduler, which then is the one.
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtSetDevice, aclrtResetDevice, aclrtResetDeviceForce, aclrtGetDevice, aclrtGetDeviceCount,
        aclrtSynchronizeDevice, aclrtSynchronizeDeviceWithTimeout, aclrtQueryDeviceStatus,
        aclrtGetDeviceUtilizationRate, aclrtDeviceGetStreamPriorityRange, aclrtSetTsDevice,
    );
}
