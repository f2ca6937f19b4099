//! What devices are: their figures, features, connections and identities.

use ascendcl_sys::{
    self as sys, AclApi, aclError, aclrtAtomicOperation, aclrtDevAttr, aclrtDevFeatureType, aclrtUuid,
};

use super::{call, fill, not_null};
use crate::core::{current_context, process};
use crate::error::fail;
use crate::profile::Profile;

fn wrong(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

/// `ACL_DEV_ATTR_DEVICE_FORM_FACTOR` of headers newer than those that the types come from.
const FORM_FACTOR: u32 = 409;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetDeviceInfo(deviceId: u32, attr: aclrtDevAttr, value: *mut i64) -> aclError {
    call!("aclrtGetDeviceInfo", || {
        not_null(value, "value")?;
        let machine = process::machine();
        let visible = machine.settings().visible.as_deref().unwrap_or(&[]);
        let physical = *visible.get(deviceId as usize).ok_or_else(|| {
            wrong(format_args!("device {deviceId} is out of range: there are {} devices", visible.len()))
        })?;
        let profile = &machine.settings().profile;
        let found = figure(profile, machine.settings().memory, physical, attr)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { value.write(found) };
        Ok(())
    })
}

fn figure(profile: &Profile, memory: usize, physical: usize, attr: aclrtDevAttr) -> Result<i64, aclError> {
    let chip = &profile.chip;
    Ok(match attr {
        sys::ACL_DEV_ATTR_AICPU_CORE_NUM => chip.ai_cpus.into(),
        sys::ACL_DEV_ATTR_AICORE_CORE_NUM => chip.ai_cores.into(),
        sys::ACL_DEV_ATTR_CUBE_CORE_NUM => chip.cube_cores.into(),
        sys::ACL_DEV_ATTR_VECTOR_CORE_NUM => chip.vector_cores.into(),
        // Kernels that are written for threads run on no chip here.
        sys::aclrtDevAttr(202..=212) => 0,
        sys::ACL_DEV_ATTR_TOTAL_GLOBAL_MEM_SIZE => memory as i64,
        sys::ACL_DEV_ATTR_L2_CACHE_SIZE => chip.l2_bytes as i64,
        sys::ACL_DEV_ATTR_PHY_CHIP_ID => physical as i64,
        // One operating system, custom operators without privileges, PCIe to the host, no virtual instance.
        sys::ACL_DEV_ATTR_SMP_ID
        | sys::ACL_DEV_ATTR_CUST_OP_PRIVILEGE
        | sys::ACL_DEV_ATTR_HD_CONNECT_TYPE
        | sys::ACL_DEV_ATTR_IS_VIRTUAL => 0,
        // A server, or a card.
        sys::aclrtDevAttr(FORM_FACTOR) => {
            if chip.hccs {
                1
            } else {
                3
            }
        }
        sys::ACL_DEV_ATTR_NPU_ARCH => chip.arch.into(),
        sys::ACL_DEV_ATTR_SUPER_POD_DEVICE_ID
        | sys::ACL_DEV_ATTR_SUPER_POD_SERVER_ID
        | sys::ACL_DEV_ATTR_SUPER_POD_ID
        | sys::ACL_DEV_ATTR_MAINBOARD_ID => {
            return Err(fail(
                sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
                "the device is in no super pod, and its mainboard has no number",
            ));
        }
        _ => return Err(wrong(format_args!("attr {} is unknown", attr.0))),
    })
}

/// Features that `aclrtGetDeviceCapability` knows beyond those of the headers.
const AICPU_SCHEDULING: u32 = 10_001;
const TASK_ID_BITS: u32 = 20_001;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetDeviceCapability(
    deviceId: i32,
    devFeatureType: aclrtDevFeatureType,
    value: *mut i32,
) -> aclError {
    call!("aclrtGetDeviceCapability", || {
        not_null(value, "value")?;
        let updates = sys::ACL_FEATURE_TSCPU_TASK_UPDATE_SUPPORT_AIC_AIV;
        let queues = sys::ACL_FEATURE_SYSTEM_MEMQ_EVENT_CROSS_DEV;
        if devFeatureType != updates
            && devFeatureType != queues
            && !matches!(devFeatureType.0, AICPU_SCHEDULING | TASK_ID_BITS)
        {
            return Err(wrong(format_args!("devFeatureType {} is unknown", devFeatureType.0)));
        }
        let device = process::device(deviceId)?;
        let found = if devFeatureType == updates {
            // Asked of the scheduler of the current device.
            current_context()?;
            i32::from(device.profile().chip.value_wait)
        } else if devFeatureType.0 == TASK_ID_BITS {
            16
        } else {
            // No events of queues across devices; AI CPUs are scheduled by hardware.
            0
        };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { value.write(found) };
        Ok(())
    })
}

const HCCS: u64 = 1;
const SAME_SWITCH: u64 = 2;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetDevicesTopo(deviceId: u32, otherDeviceId: u32, value: *mut u64) -> aclError {
    call!("aclrtGetDevicesTopo", || {
        not_null(value, "value")?;
        let device = process::device(deviceId as i32)?;
        process::device(otherDeviceId as i32)?;
        let connected =
            if device.profile().chip.hccs || deviceId == otherDeviceId { HCCS } else { SAME_SWITCH };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { value.write(connected) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDeviceGetUuid(deviceId: i32, uuid: *mut aclrtUuid) -> aclError {
    call!("aclrtDeviceGetUuid", || {
        not_null(uuid, "uuid")?;
        process::device(deviceId)?;
        let machine = process::machine();
        let physical = machine.settings().visible.as_ref().map_or(0, |visible| visible[deviceId as usize]);
        let mut bytes = [0; 16];
        // The same for each run: the simulated card has no other identity than its kind and its place.
        let name = format!("{}/{physical}", machine.settings().profile.name());
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for (index, byte) in bytes.iter_mut().enumerate() {
            for letter in name.bytes().chain([index as u8]) {
                hash = (hash ^ u64::from(letter)).wrapping_mul(0x100_0000_01b3);
            }
            *byte = (hash >> 32) as core::ffi::c_char;
        }
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { uuid.write(aclrtUuid { bytes }) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDeviceGetBareTgid(pid: *mut i32) -> aclError {
    call!("aclrtDeviceGetBareTgid", || {
        not_null(pid, "pid")?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { pid.write(std::process::id() as i32) };
        Ok(())
    })
}

/// The operations of an array, checked (107000).
///
/// # Safety
/// The arrays are NULL or have `count` members.
unsafe fn operations<'a>(
    capabilities: *mut u32,
    operations: *const aclrtAtomicOperation,
    count: u32,
) -> Result<(&'a mut [u32], &'a [aclrtAtomicOperation]), aclError> {
    if capabilities.is_null() || operations.is_null() || count == 0 {
        return Err(wrong("capabilities and operations must not be NULL, and count not 0"));
    }
    // SAFETY: [caller] not NULL, and the caller vouches for the lengths.
    unsafe {
        Ok((
            std::slice::from_raw_parts_mut(capabilities, count as usize),
            std::slice::from_raw_parts(operations, count as usize),
        ))
    }
}

fn check_operations(operations: &[aclrtAtomicOperation]) -> Result<(), aclError> {
    let last = sys::ACL_RT_ATOMIC_OPERATION_SIMD_SCALAR_EXCH.0;
    match operations.iter().find(|operation| operation.0 > last) {
        Some(operation) => Err(wrong(format_args!("atomic operation {} is unknown", operation.0))),
        None => Ok(()),
    }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDeviceGetHostAtomicCapabilities(
    capabilities: *mut u32,
    operations: *const aclrtAtomicOperation,
    count: u32,
    deviceId: i32,
) -> aclError {
    call!("aclrtDeviceGetHostAtomicCapabilities", || {
        // SAFETY: [caller] same contract.
        let (capabilities, operations) = unsafe { self::operations(capabilities, operations, count) }?;
        process::device(deviceId)?;
        check_operations(operations)?;
        // Over PCIe there are none.
        capabilities.fill(0);
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDeviceGetP2PAtomicCapabilities(
    capabilities: *mut u32,
    operations: *const aclrtAtomicOperation,
    count: u32,
    srcDeviceId: i32,
    dstDeviceId: i32,
) -> aclError {
    call!("aclrtDeviceGetP2PAtomicCapabilities", || {
        // SAFETY: [caller] same contract.
        let (capabilities, operations) = unsafe { self::operations(capabilities, operations, count) }?;
        if srcDeviceId == dstDeviceId {
            return Err(fail(
                sys::ACL_ERROR_RT_INVALID_DEVICEID,
                format_args!("device {srcDeviceId} is not a peer of itself"),
            ));
        }
        let device = process::device(srcDeviceId)?;
        process::device(dstDeviceId)?;
        check_operations(operations)?;
        let copied = sys::ACL_RT_ATOMIC_OPERATION_DMA_ADD.0..=sys::ACL_RT_ATOMIC_OPERATION_DMA_MAX.0;
        let of_copies = sys::ACL_RT_ATOMIC_CAPABILITY_SIGNED.0
            | sys::ACL_RT_ATOMIC_CAPABILITY_SCALAR8.0
            | sys::ACL_RT_ATOMIC_CAPABILITY_SCALAR16.0
            | sys::ACL_RT_ATOMIC_CAPABILITY_SCALAR32.0;
        for (capability, operation) in capabilities.iter_mut().zip(operations) {
            let has = device.profile().chip.peer_atomics && copied.contains(&operation.0);
            *capability = if has { of_copies } else { 0 };
        }
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtGetDeviceInfo, aclrtGetDeviceCapability, aclrtGetDevicesTopo, aclrtDeviceGetUuid, aclrtDeviceGetBareTgid,
        aclrtDeviceGetHostAtomicCapabilities, aclrtDeviceGetP2PAtomicCapabilities,
    );
}
