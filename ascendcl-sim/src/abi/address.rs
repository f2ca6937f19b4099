//! What is known about memory: how much there is, who has it, what an address is.

use core::ffi::{c_char, c_void};

use ascendcl_sys::{
    self as sys, AclApi, aclError, aclrtMemAttr, aclrtMemLocation, aclrtMemLocationType, aclrtMemUsageInfo,
    aclrtPtrAttributes,
};

use super::{call, fill, invalid, not_null};
use crate::core::{current_context, process};
use crate::error::fail;
use crate::memory::{self, GIANT_PAGE, HUGE_PAGE, Location, NORMAL_PAGE};

/// `ACL_MEM_LOCATION_TYPE_MANAGED`, which is newer than the headers that the bindings were made from.
pub(super) const MANAGED: aclrtMemLocationType = aclrtMemLocationType(3);

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetMemInfo(attr: aclrtMemAttr, free: *mut usize, total: *mut usize) -> aclError {
    call!("aclrtGetMemInfo", || {
        not_null(free, "free")?;
        not_null(total, "total")?;
        if attr.0 > sys::ACL_MEM_P2P_HUGE1G.0 {
            return Err(fail(
                sys::ACL_ERROR_RT_INVALID_MEMORY_TYPE,
                format_args!("memory attribute {} is unknown", attr.0),
            ));
        }
        let context = current_context()?;
        let profile = context.device().profile();
        let page = match (attr, profile.hbm) {
            // A chip with HBM has no DDR.
            (
                sys::ACL_DDR_MEM
                | sys::ACL_DDR_MEM_HUGE
                | sys::ACL_DDR_MEM_NORMAL
                | sys::ACL_DDR_MEM_P2P_HUGE
                | sys::ACL_DDR_MEM_P2P_NORMAL,
                true,
            ) => None,
            (
                sys::ACL_HBM_MEM_HUGE1G
                | sys::ACL_HBM_MEM_P2P_HUGE1G
                | sys::ACL_MEM_HUGE1G
                | sys::ACL_MEM_P2P_HUGE1G,
                true,
            ) => {
                if !profile.features.giant_pages {
                    return Err(fail(
                        sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
                        format_args!("{} has no pages of 1 GiB", profile.name()),
                    ));
                }
                Some(GIANT_PAGE)
            }
            (
                sys::ACL_DDR_MEM_HUGE
                | sys::ACL_DDR_MEM_P2P_HUGE
                | sys::ACL_HBM_MEM_HUGE
                | sys::ACL_HBM_MEM_P2P_HUGE,
                _,
            )
            | (sys::ACL_MEM_HUGE | sys::ACL_MEM_P2P_HUGE, true) => Some(HUGE_PAGE),
            // A chip with DDR answers questions about HBM with its DDR, and the newer, neutral questions with all of it.
            _ => Some(NORMAL_PAGE),
        };
        let (left, capacity) =
            page.map_or((0, 0), |page| context.device().memory().accounts().free_and_total(page));
        // SAFETY: [caller] not NULL, and the caller passes places to write to.
        unsafe {
            free.write(left);
            total.write(capacity);
        }
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetMemUsageInfo(
    deviceId: i32,
    memUsageInfo: *mut aclrtMemUsageInfo,
    inputNum: usize,
    outputNum: *mut usize,
) -> aclError {
    call!("aclrtGetMemUsageInfo", || {
        not_null(memUsageInfo, "memUsageInfo")?;
        not_null(outputNum, "outputNum")?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { outputNum.write(0) };
        if inputNum == 0 {
            return Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, "inputNum must not be 0"));
        }
        let device = process::device(deviceId)?;
        current_context()?;
        let modules = device.memory().accounts().modules();
        let modules = &modules[..modules.len().min(inputNum)];
        for (index, usage) in modules.iter().enumerate() {
            let mut name: [c_char; 32] = [0; 32];
            for (to, from) in name.iter_mut().zip(memory::module_name(usage.module).bytes().take(31)) {
                *to = from as c_char;
            }
            let info = aclrtMemUsageInfo {
                name,
                curMemSize: usage.current as u64,
                memPeakSize: usage.peak as u64,
                reserved: [0; 8],
            };
            // SAFETY: [caller] the caller passes places for `inputNum` entries, of which this is one.
            unsafe { memUsageInfo.add(index).write(info) };
        }
        // SAFETY: [caller] as above.
        unsafe { outputNum.write(modules.len()) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCheckMemType(
    addrList: *mut *mut c_void,
    size: u32,
    memType: u32,
    checkResult: *mut u32,
    reserve: u32,
) -> aclError {
    /// What the runtime takes for reserved memory, which is not what the header says.
    const RESERVED: u32 = 0x20;
    call!("aclrtCheckMemType", || {
        not_null(addrList, "addrList")?;
        not_null(checkResult, "checkResult")?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { checkResult.write(0) };
        let wrong = |what: std::fmt::Arguments<'_>| Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, what));
        if reserve != 0 {
            return wrong(format_args!("reserve must be 0, not {reserve}"));
        }
        if size == 0 {
            return wrong(format_args!("size must not be 0"));
        }
        if memType & !(sys::ACL_RT_MEM_TYPE_DEV | sys::ACL_RT_MEM_TYPE_DVPP | RESERVED) != 0 {
            return wrong(format_args!("memory type {memType:#x} has bits that mean nothing"));
        }
        let device = current_context()?.device().id();
        let matches = (0..size as usize).all(|index| {
            // SAFETY: [caller] the caller passes `size` addresses.
            let address = unsafe { addrList.add(index).read() };
            let own = memory::live(address).is_some_and(|(memory, _)| memory.device() == Some(device));
            own && memType & sys::ACL_RT_MEM_TYPE_DEV != 0
        });
        // SAFETY: [caller] as above.
        unsafe { checkResult.write(matches.into()) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtPointerGetAttributes(
    ptr: *const c_void,
    attributes: *mut aclrtPtrAttributes,
) -> aclError {
    call!("aclrtPointerGetAttributes", || {
        not_null(ptr, "ptr")?;
        not_null(attributes, "attributes")?;
        let page = || memory::live(ptr).map_or(NORMAL_PAGE, |(memory, _)| memory.page());
        let (kind, id, page) = match memory::classify(ptr) {
            Location::Device(id) => (sys::ACL_MEM_LOCATION_TYPE_DEVICE, id as u32, page()),
            Location::Managed(id) => (MANAGED, id as u32, page()),
            Location::Pinned => (sys::ACL_MEM_LOCATION_TYPE_HOST, 0, NORMAL_PAGE),
            Location::Unregistered => (sys::ACL_MEM_LOCATION_TYPE_UNREGISTERED, 0, 0),
        };
        let location = aclrtMemLocation { id, type_: kind };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { attributes.write(aclrtPtrAttributes { location, pageSize: page as u32, rsv: [0; 4] }) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemGetAddressRange(
    ptr: *mut c_void,
    pbase: *mut *mut c_void,
    psize: *mut usize,
) -> aclError {
    call!("aclrtMemGetAddressRange", || {
        not_null(ptr, "ptr")?;
        let wrong = |what: std::fmt::Arguments<'_>| fail(sys::ACL_ERROR_RT_PARAM_INVALID, what);
        if pbase.is_null() && psize.is_null() {
            return Err(wrong(format_args!("pbase and psize must not both be NULL")));
        }
        let (base, size) = match memory::live(ptr) {
            Some((memory, _)) => (memory.address(), memory.size()),
            None => memory::pinned_range(ptr)
                .ok_or_else(|| wrong(format_args!("{ptr:p} is inside no live allocation")))?,
        };
        // SAFETY: [caller] where not NULL, the caller passes places to write to.
        unsafe {
            if !pbase.is_null() {
                pbase.write(std::ptr::with_exposed_provenance_mut(base));
            }
            if !psize.is_null() {
                psize.write(size);
            }
        }
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemP2PMap(devPtr: *mut c_void, size: usize, dstDevId: i32, flags: u64) -> aclError {
    call!("aclrtMemP2PMap", || {
        not_null(devPtr, "devPtr")?;
        if size == 0 {
            return Err(invalid("size must not be 0"));
        }
        if flags != 0 {
            return Err(invalid(format_args!("flags must be 0, not {flags}")));
        }
        let user = process::device(dstDevId)?;
        current_context()?;
        // The pages are there once the devices may use each other's memory: there is nothing left to do.
        memory::device_range(devPtr, size)?.check_reach(&user, "a mapping between devices")
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtGetMemInfo, aclrtGetMemUsageInfo, aclrtCheckMemType, aclrtPointerGetAttributes, aclrtMemGetAddressRange,
        aclrtMemP2PMap,
    );
}
