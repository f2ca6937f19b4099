//! Device memory shared between processes: by keys, and physical memory by numbers.

use core::ffi::{CStr, c_char, c_void};

use ascendcl_sys::{
    self as sys, AclApi, aclError, aclrtDrvMemHandle, aclrtIpcMemAttrType, aclrtMemFabricHandle,
    aclrtMemHandleType, aclrtMemSharedHandleType, aclrtServerPid,
};

use super::{call, fill, invalid, not_null};
use crate::check::supported;
use crate::core::{Device, current_context, process};
use crate::error::fail;
use crate::memory::{keyed, shareable};

/// Processes that one call lets import physical memory, and memory with a key.
const PHYSICAL_PIDS: usize = 65_535;
const KEY_PIDS: usize = 32_767;
/// What the handle of memory for other hosts begins with; the number follows.
const FABRIC: [u8; 8] = *b"aclsim-f";

fn wrong(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

fn lacking(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, what)
}

/// Whether a flag lets every process import.
fn anybody(flags: u64) -> Result<bool, aclError> {
    match flags {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(wrong(format_args!("export flag {flags:#x} is unknown"))),
    }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemExportToShareableHandle(
    handle: aclrtDrvMemHandle,
    handleType: aclrtMemHandleType,
    flags: u64,
    shareableHandle: *mut u64,
) -> aclError {
    call!("aclrtMemExportToShareableHandle", || {
        not_null(handle, "handle")?;
        if handleType != sys::ACL_MEM_HANDLE_TYPE_NONE {
            return Err(invalid(format_args!("handleType {} is not ACL_MEM_HANDLE_TYPE_NONE", handleType.0)));
        }
        not_null(shareableHandle, "shareableHandle")?;
        let number = shareable::export(handle, anybody(flags)?)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { shareableHandle.write(number) };
        Ok(())
    })
}

/// How the newer functions name what is shared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    Number,
    Fabric,
}

impl Share {
    fn of(kind: aclrtMemSharedHandleType) -> Result<Self, aclError> {
        match kind {
            sys::ACL_MEM_SHARE_HANDLE_TYPE_DEFAULT => Ok(Self::Number),
            sys::ACL_MEM_SHARE_HANDLE_TYPE_FABRIC => Ok(Self::Fabric),
            other => Err(wrong(format_args!("shareType {} is unknown", other.0))),
        }
    }

    /// Only some chips share with other hosts.
    fn check_supported(self) -> Result<(), aclError> {
        if self == Self::Fabric {
            let context = current_context()?;
            let profile = context.device().profile();
            if !profile.features.fabric_handles {
                return Err(lacking(format_args!("{} shares no memory with other hosts", profile.name())));
            }
        }
        Ok(())
    }

    /// # Safety
    /// `place` can take a handle of this kind.
    unsafe fn write(self, place: *mut c_void, number: u64) {
        match self {
            // SAFETY: [caller] contract.
            Self::Number => unsafe { place.cast::<u64>().write_unaligned(number) },
            Self::Fabric => {
                let mut data = [0; 128];
                data[..8].copy_from_slice(&FABRIC);
                data[8..16].copy_from_slice(&number.to_ne_bytes());
                // SAFETY: [caller] contract.
                unsafe { place.cast::<aclrtMemFabricHandle>().write(aclrtMemFabricHandle { data }) };
            }
        }
    }

    /// # Safety
    /// `place` is a handle of this kind.
    unsafe fn read(self, place: *const c_void) -> u64 {
        match self {
            // SAFETY: [caller] contract.
            Self::Number => unsafe { place.cast::<u64>().read_unaligned() },
            Self::Fabric => {
                // SAFETY: [caller] contract.
                let data = unsafe { place.cast::<aclrtMemFabricHandle>().read() }.data;
                let mut number = [0; 8];
                number.copy_from_slice(&data[8..16]);
                // No process has the number 0: nothing is exported as that.
                if data[..8] == FABRIC { u64::from_ne_bytes(number) } else { 0 }
            }
        }
    }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemExportToShareableHandleV2(
    handle: aclrtDrvMemHandle,
    flags: u64,
    shareType: aclrtMemSharedHandleType,
    shareableHandle: *mut c_void,
) -> aclError {
    call!("aclrtMemExportToShareableHandleV2", || {
        not_null(handle, "handle")?;
        not_null(shareableHandle, "shareableHandle")?;
        let share = Share::of(shareType)?;
        let anybody = anybody(flags)?;
        share.check_supported()?;
        let number = shareable::export(handle, anybody)?;
        // SAFETY: [caller] not NULL, and the caller passes a place for a handle of the kind that it names.
        unsafe { share.write(shareableHandle, number) };
        Ok(())
    })
}

/// # Safety
/// `pid` has `num` elements.
unsafe fn processes(pid: *const i32, num: usize) -> Vec<i32> {
    // SAFETY: [caller] contract.
    (0..num).map(|index| unsafe { pid.add(index).read() }).collect()
}

/// # Safety
/// `pid` is NULL or has `num` elements.
unsafe fn physical_pids(pid: *const i32, num: usize) -> Result<Vec<i32>, aclError> {
    not_null(pid, "pid")?;
    if num == 0 {
        return Err(invalid("pidNum must not be 0"));
    }
    if num > PHYSICAL_PIDS {
        return Err(wrong(format_args!("{num} processes are more than {PHYSICAL_PIDS}")));
    }
    // SAFETY: [caller] not NULL, and the rest is the contract.
    Ok(unsafe { processes(pid, num) })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemSetPidToShareableHandle(
    shareableHandle: u64,
    pid: *mut i32,
    pidNum: usize,
) -> aclError {
    call!("aclrtMemSetPidToShareableHandle", || {
        // SAFETY: [caller] same contract.
        let pids = unsafe { physical_pids(pid, pidNum) }?;
        shareable::allow(shareableHandle, &pids)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemSetPidToShareableHandleV2(
    shareableHandle: *mut c_void,
    shareType: aclrtMemSharedHandleType,
    pid: *mut i32,
    pidNum: usize,
) -> aclError {
    call!("aclrtMemSetPidToShareableHandleV2", || {
        not_null(shareableHandle, "shareableHandle")?;
        // SAFETY: [caller] same contract.
        let pids = unsafe { physical_pids(pid, pidNum) }?;
        let share = Share::of(shareType)?;
        share.check_supported()?;
        // SAFETY: [caller] not NULL, and the caller passes a handle of the kind that it names.
        shareable::allow(unsafe { share.read(shareableHandle) }, &pids)
    })
}

/// # Safety
/// `handle` is a place to write to.
unsafe fn import(number: u64, device: &Device, handle: *mut aclrtDrvMemHandle) -> Result<(), aclError> {
    let imported = shareable::import(number, device)?;
    // SAFETY: [caller] contract.
    unsafe { handle.write(imported) };
    Ok(())
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemImportFromShareableHandle(
    shareableHandle: u64,
    deviceId: i32,
    handle: *mut aclrtDrvMemHandle,
) -> aclError {
    call!("aclrtMemImportFromShareableHandle", || {
        not_null(handle, "handle")?;
        let device = process::device(deviceId)?;
        current_context()?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { import(shareableHandle, &device, handle) }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemImportFromShareableHandleV2(
    shareableHandle: *mut c_void,
    shareType: aclrtMemSharedHandleType,
    flags: u64,
    handle: *mut aclrtDrvMemHandle,
) -> aclError {
    call!("aclrtMemImportFromShareableHandleV2", || {
        not_null(shareableHandle, "shareableHandle")?;
        not_null(handle, "handle")?;
        if flags != 0 {
            return Err(invalid(format_args!("flags must be 0, not {flags}")));
        }
        let context = current_context()?;
        let share = Share::of(shareType)?;
        share.check_supported()?;
        // SAFETY: [caller] not NULL, and the caller passes a handle of the kind that it names.
        let number = unsafe { share.read(shareableHandle) };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { import(number, context.device(), handle) }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtIpcMemGetExportKey(
    devPtr: *mut c_void,
    size: usize,
    key: *mut c_char,
    len: usize,
    flags: u64,
) -> aclError {
    call!("aclrtIpcMemGetExportKey", || {
        not_null(devPtr, "devPtr")?;
        not_null(key, "key")?;
        // The runtime counts the characters in 32 bits.
        let len = len as u32 as usize;
        if size == 0 || len == 0 {
            return Err(wrong("size and len must not be 0"));
        }
        let anybody = anybody(flags)?;
        current_context()?;
        if len < keyed::KEY_PLACE {
            return Err(wrong(format_args!(
                "a place of {len} bytes is too short for a key of 64 characters"
            )));
        }
        let name = keyed::export(devPtr, size, anybody)?;
        // SAFETY: [caller] not NULL, and the caller says that `len` bytes can be written, which is more than a key and a NUL have; a string of Rust
        // and memory of the caller do not overlap.
        unsafe {
            std::ptr::copy_nonoverlapping(name.as_ptr().cast(), key, name.len());
            key.add(name.len()).write(0);
        }
        Ok(())
    })
}

/// # Safety
/// `key` is a C string.
unsafe fn name<'a>(key: *const c_char) -> std::borrow::Cow<'a, str> {
    // SAFETY: [caller] contract.
    unsafe { CStr::from_ptr(key) }.to_string_lossy()
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtIpcMemSetImportPid(key: *const c_char, pid: *mut i32, num: usize) -> aclError {
    call!("aclrtIpcMemSetImportPid", || {
        not_null(key, "key")?;
        not_null(pid, "pid")?;
        // The runtime counts with sign and in 32 bits.
        let num = usize::try_from(num as i32).unwrap_or(0);
        if num == 0 {
            return Err(wrong("num must be more than 0"));
        }
        current_context()?;
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        let name = unsafe { name(key) };
        if num > KEY_PIDS || name.is_empty() || name.len() >= keyed::KEY_PLACE {
            return Err(wrong(format_args!("{num} processes are too many, or '{name}' is no key")));
        }
        // SAFETY: [caller] not NULL, and the caller says that it has `num` elements.
        keyed::allow(&name, &unsafe { processes(pid, num) })
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtIpcMemImportPidInterServer(
    key: *const c_char,
    serverPids: *mut aclrtServerPid,
    num: usize,
) -> aclError {
    call!("aclrtIpcMemImportPidInterServer", || {
        if key.is_null() || serverPids.is_null() || num == 0 {
            return Err(wrong("key and serverPids must not be NULL, and num not 0"));
        }
        // SAFETY: [caller] not NULL, and the caller says that it has `num` elements.
        let servers: Vec<aclrtServerPid> = (0..num).map(|at| unsafe { serverPids.add(at).read() }).collect();
        if servers.iter().any(|server| server.pid.is_null() || server.num == 0) {
            return Err(wrong("each server needs processes"));
        }
        supported()?;
        current_context()?;
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        let name = unsafe { name(key) };
        for server in servers {
            // There is one server here, and every number is its own.
            // SAFETY: [caller] not NULL, and the caller says that it has so many elements.
            keyed::allow(&name, &unsafe { processes(server.pid, server.num) })?;
        }
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtIpcMemImportByKey(
    devPtr: *mut *mut c_void,
    key: *const c_char,
    flags: u64,
) -> aclError {
    call!("aclrtIpcMemImportByKey", || {
        not_null(devPtr, "devPtr")?;
        not_null(key, "key")?;
        let peer = match flags {
            _ if flags == sys::ACL_RT_IPC_MEM_IMPORT_FLAG_DEFAULT.into() => false,
            _ if flags == sys::ACL_RT_IPC_MEM_IMPORT_FLAG_ENABLE_PEER_ACCESS.into() => true,
            _ => return Err(wrong(format_args!("import flag {flags:#x} is unknown"))),
        };
        let context = current_context()?;
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        let pointer = keyed::import(&unsafe { name(key) }, context.device(), peer)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { devPtr.write(pointer) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtIpcMemClose(key: *const c_char) -> aclError {
    call!("aclrtIpcMemClose", || {
        not_null(key, "key")?;
        current_context()?;
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        keyed::close(&unsafe { name(key) })
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtIpcMemSetAttr(
    key: *const c_char,
    type_: aclrtIpcMemAttrType,
    attr: u64,
) -> aclError {
    call!("aclrtIpcMemSetAttr", || {
        let links = u64::from(sys::ACL_RT_IPC_MEM_ATTR_ACCESS_LINK_HCCS);
        if key.is_null() || type_ != sys::ACL_RT_IPC_MEM_ATTR_ACCESS_LINK || attr > links {
            return Err(wrong(format_args!("key must not be NULL, and attribute {attr} known")));
        }
        current_context()?;
        supported()?;
        // All links lead to the same memory: there is nothing to choose between.
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtMemExportToShareableHandle, aclrtMemExportToShareableHandleV2, aclrtMemSetPidToShareableHandle,
        aclrtMemSetPidToShareableHandleV2, aclrtMemImportFromShareableHandle, aclrtMemImportFromShareableHandleV2,
        aclrtIpcMemGetExportKey, aclrtIpcMemSetImportPid, aclrtIpcMemImportPidInterServer, aclrtIpcMemImportByKey, aclrtIpcMemClose,
        aclrtIpcMemSetAttr,
    );
}
