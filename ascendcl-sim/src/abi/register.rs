//! Host memory registered with a device.

use ascendcl_sys::{self as sys, aclError};

use super::{functions, invalid, not_null};
use crate::core::{current_context, process};
use crate::error::fail;
use crate::memory;

fn wrong(what: std::fmt::Arguments<'_>) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

/// What a registration is made of: 207000 where a card of this kind cannot have it.
fn check_no_device_registers(flags: u32) -> Result<(), aclError> {
    if flags & sys::ACL_HOST_REG_IOMEMORY == 0 {
        return Ok(());
    }
    Err(fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "registers of other devices are not simulated"))
}

fn check_size(size: u64) -> Result<usize, aclError> {
    match usize::try_from(size) {
        Ok(0) | Err(_) => Err(invalid(format_args!("size {size} is not allowed"))),
        Ok(size) => Ok(size),
    }
}

functions! {
    status fn aclrtHostRegister(
        ptr: *mut core::ffi::c_void,
        size: u64,
        type_: sys::aclrtHostRegisterType,
        devPtr: *mut *mut core::ffi::c_void,
    ) {
        not_null(ptr, "ptr")?;
        not_null(devPtr, "devPtr")?;
        let size = check_size(size)?;
        if type_.0 & !(sys::ACL_HOST_REG_IOMEMORY | sys::ACL_HOST_REG_READONLY) != 0 {
            return Err(fail(
                sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
                format_args!("registration type {:#x} is not supported", type_.0),
            ));
        }
        let context = current_context()?;
        check_no_device_registers(type_.0)?;
        let mapped = memory::register_host(context.device().id(), ptr, size, true)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { devPtr.write(mapped) };
        Ok(())
    }

    status fn aclrtHostRegisterV2(ptr: *mut core::ffi::c_void, size: u64, flag: u32) {
        const FLAGS: u32 = sys::ACL_HOST_REG_MAPPED
            | sys::ACL_HOST_REG_IOMEMORY
            | sys::ACL_HOST_REG_READONLY
            | sys::ACL_HOST_REG_PINNED;
        not_null(ptr, "ptr")?;
        let size = check_size(size)?;
        if flag == 0 || flag & !FLAGS != 0 {
            return Err(wrong(format_args!("registration flags {flag:#x} are not allowed")));
        }
        let context = current_context()?;
        check_no_device_registers(flag)?;
        let map = flag & !sys::ACL_HOST_REG_PINNED != 0;
        memory::register_host(context.device().id(), ptr, size, map).map(drop)
    }

    status fn aclrtHostUnregister(ptr: *mut core::ffi::c_void) {
        not_null(ptr, "ptr")?;
        current_context()?;
        memory::unregister_host(ptr)
    }

    status fn aclrtHostGetDevicePointer(
        pHost: *mut core::ffi::c_void,
        pDevice: *mut *mut core::ffi::c_void,
        flag: u32,
    ) {
        not_null(pHost, "pHost")?;
        not_null(pDevice, "pDevice")?;
        if flag != 0 {
            return Err(invalid(format_args!("flag must be 0, not {flag}")));
        }
        current_context()?;
        let pointer = memory::device_pointer(pHost)
            .ok_or_else(|| wrong(format_args!("{pHost:p} is not registered, or not mapped")))?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { pDevice.write(pointer) };
        Ok(())
    }

    status fn aclrtHostMemMapCapabilities(
        deviceId: u32,
        hacType: sys::aclrtHacType,
        capabilities: *mut sys::aclrtHostMemMapCapability,
    ) {
        not_null(capabilities, "capabilities")?;
        let device = process::device(i32::try_from(deviceId).unwrap_or(-1))?;
        if hacType.0 > sys::ACL_RT_HAC_TYPE_CCU.0 {
            return Err(wrong(format_args!("accelerator type {} is unknown", hacType.0)));
        }
        current_context()?;
        // Those that run kernels.
        let can = device.profile().features.host_registration
            && matches!(
                hacType,
                sys::ACL_RT_HAC_TYPE_AICPU | sys::ACL_RT_HAC_TYPE_AIC | sys::ACL_RT_HAC_TYPE_AIV
            );
        let answer =
            if can { sys::ACL_RT_HOST_MEM_MAP_SUPPORTED } else { sys::ACL_RT_HOST_MEM_MAP_NOT_SUPPORTED };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { capabilities.write(answer) };
        Ok(())
    }
}
