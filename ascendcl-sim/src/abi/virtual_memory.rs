//! Address ranges and physical memory.

use core::ffi::c_void;
use std::collections::BTreeSet;

use ascendcl_sys::{
    self as sys, AclApi, aclError, aclrtDrvMemHandle, aclrtMemAccessDesc, aclrtMemAttr,
    aclrtMemGranularityOptions, aclrtMemLocation, aclrtMemLocationType, aclrtPhysicalMemProp,
};

use super::{call, fill, invalid, not_null};
use crate::check::supported;
use crate::core::{current_context, process};
use crate::error::fail;
use crate::memory::physical::{self, Properties};
use crate::memory::virtual_memory::{self, Request};
use crate::memory::{GIANT_PAGE, HUGE_PAGE};

/// `ACL_MEM_LOCATION_TYPE_MANAGED`, which is newer than the headers that the bindings were made from.
const MANAGED: aclrtMemLocationType = aclrtMemLocationType(3);
/// Locations that one call gives access to.
const LOCATIONS: usize = virtual_memory::DEVICES as usize + 1;

fn wrong(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

fn lacking(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, what)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtReserveMemAddress(
    virPtr: *mut *mut c_void,
    size: usize,
    alignment: usize,
    expectPtr: *mut c_void,
    flags: u64,
) -> aclError {
    let request = Request { size, alignment, expected: expectPtr, far: false };
    // SAFETY: [caller] same contract.
    call!("aclrtReserveMemAddress", || unsafe { reserve(virPtr, &request, flags) })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtReserveMemAddressNoUCMemory(
    virPtr: *mut *mut c_void,
    size: usize,
    alignment: usize,
    expectPtr: *mut c_void,
    flags: u64,
) -> aclError {
    let request = Request { size, alignment, expected: expectPtr, far: true };
    // SAFETY: [caller] same contract.
    call!("aclrtReserveMemAddressNoUCMemory", || unsafe { reserve(virPtr, &request, flags) })
}

/// # Safety
/// `virPtr` is NULL or a place to write to.
unsafe fn reserve(virPtr: *mut *mut c_void, request: &Request, flags: u64) -> Result<(), aclError> {
    not_null(virPtr, "virPtr")?;
    if request.size == 0 {
        return Err(invalid("size must not be 0"));
    }
    if flags > 1 {
        return Err(invalid(format_args!("flags must be 0 or 1, not {flags}")));
    }
    supported()?;
    // A range belongs to no device before something is mapped; no context is needed.
    let device = current_context().map_or(0, |context| context.device().id());
    let pointer = virtual_memory::reserve(request, device)?;
    // SAFETY: [caller] not NULL, and the caller passes a place to write to.
    unsafe { virPtr.write(pointer) };
    Ok(())
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtReleaseMemAddress(virPtr: *mut c_void) -> aclError {
    call!("aclrtReleaseMemAddress", || {
        not_null(virPtr, "virPtr")?;
        virtual_memory::release(virPtr)
    })
}

/// Whether there is physical memory with this attribute.
fn check_attribute(prop: &aclrtPhysicalMemProp) -> Result<(), aclError> {
    let device = prop.location.type_ == sys::ACL_MEM_LOCATION_TYPE_DEVICE;
    match prop.memAttr {
        sys::ACL_DDR_MEM_HUGE
        | sys::ACL_DDR_MEM_NORMAL
        | sys::ACL_DDR_MEM_P2P_HUGE
        | sys::ACL_DDR_MEM_P2P_NORMAL
            if device =>
        {
            Err(invalid(format_args!("memory attribute {} is not one of device memory", prop.memAttr.0)))
        }
        sys::ACL_DDR_MEM_HUGE
        | sys::ACL_DDR_MEM_NORMAL
        | sys::ACL_DDR_MEM_P2P_HUGE
        | sys::ACL_DDR_MEM_P2P_NORMAL
        | sys::ACL_HBM_MEM_HUGE
        | sys::ACL_HBM_MEM_NORMAL
        | sys::ACL_HBM_MEM_HUGE1G
        | sys::ACL_MEM_NORMAL
        | sys::ACL_MEM_HUGE
        | sys::ACL_MEM_HUGE1G
        | sys::ACL_MEM_P2P_NORMAL
        | sys::ACL_MEM_P2P_HUGE
        | sys::ACL_MEM_P2P_HUGE1G => Ok(()),
        other => Err(invalid(format_args!("memory attribute {} is not one of physical memory", other.0))),
    }
}

/// What there is physical memory of.
fn check_properties(prop: &aclrtPhysicalMemProp) -> Result<(), aclError> {
    if prop.handleType != sys::ACL_MEM_HANDLE_TYPE_NONE {
        return Err(invalid(format_args!(
            "handleType {} is not ACL_MEM_HANDLE_TYPE_NONE",
            prop.handleType.0
        )));
    }
    if prop.allocationType != sys::ACL_MEM_ALLOCATION_TYPE_PINNED {
        return Err(invalid(format_args!(
            "allocationType {} is not ACL_MEM_ALLOCATION_TYPE_PINNED",
            prop.allocationType.0
        )));
    }
    match prop.location.type_ {
        sys::ACL_MEM_LOCATION_TYPE_UNREGISTERED | MANAGED => {
            Err(invalid(format_args!("location type {} has no physical memory", prop.location.type_.0)))
        }
        _ => check_attribute(prop),
    }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMallocPhysical(
    handle: *mut aclrtDrvMemHandle,
    size: usize,
    prop: *const aclrtPhysicalMemProp,
    flags: u64,
) -> aclError {
    call!("aclrtMallocPhysical", || {
        not_null(handle, "handle")?;
        not_null(prop, "prop")?;
        if size == 0 {
            return Err(invalid("size must not be 0"));
        }
        if flags != 0 {
            return Err(invalid(format_args!("flags must be 0, not {flags}")));
        }
        // SAFETY: [caller] not NULL, and the caller passes properties.
        let prop = unsafe { prop.read() };
        check_properties(&prop)?;
        let location = prop.location;
        let device = match location.type_ {
            // The number is that of a device as a C program counts: negative ones are none.
            sys::ACL_MEM_LOCATION_TYPE_DEVICE => Some(process::device(location.id as i32)?),
            _ => None,
        };
        if location.type_ == sys::ACL_MEM_LOCATION_TYPE_HOST_NUMA {
            current_context()?;
        }
        let giant = physical::is_giant(prop.memAttr);
        let machine = process::machine();
        let profile = &machine.settings().profile;
        if giant && (device.is_none() || !profile.features.giant_pages) {
            return Err(lacking(format_args!("{} has no pages of 1 GiB there", profile.name())));
        }
        if device.is_none() && location.id != 0 {
            return Err(lacking(format_args!("memory of the host has location 0, not {}", location.id)));
        }
        if prop.reserve != 0 {
            return Err(wrong(format_args!("prop->reserve must be 0, not {}", prop.reserve)));
        }
        let step = physical::granularity(prop.memAttr);
        if !size.is_multiple_of(step) {
            return Err(wrong(format_args!("size {size} is not a multiple of {step:#x}")));
        }
        let properties = Properties { location: location.type_, id: location.id, attribute: prop.memAttr };
        let made = physical::allocate(device.as_ref().map(|device| device.memory()), size, properties)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { handle.write(made) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtFreePhysical(handle: aclrtDrvMemHandle) -> aclError {
    call!("aclrtFreePhysical", || {
        not_null(handle, "handle")?;
        physical::release(handle)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMapMem(
    virPtr: *mut c_void,
    size: usize,
    offset: usize,
    handle: aclrtDrvMemHandle,
    flags: u64,
) -> aclError {
    call!("aclrtMapMem", || {
        not_null(virPtr, "virPtr")?;
        not_null(handle, "handle")?;
        if size == 0 {
            return Err(invalid("size must not be 0"));
        }
        if flags != 0 {
            return Err(invalid(format_args!("flags must be 0, not {flags}")));
        }
        virtual_memory::map(virPtr, size, offset, handle)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtUnmapMem(virPtr: *mut c_void) -> aclError {
    call!("aclrtUnmapMem", || {
        not_null(virPtr, "virPtr")?;
        virtual_memory::unmap(virPtr)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemMapSelectedLink(
    virPtrDst: *mut c_void,
    size: usize,
    virPtrSrc: *mut c_void,
    linkIdx: u32,
) -> aclError {
    call!("aclrtMemMapSelectedLink", || {
        not_null(virPtrDst, "virPtrDst")?;
        if size == 0 {
            return Err(invalid("size must not be 0"));
        }
        not_null(virPtrSrc, "virPtrSrc")?;
        if linkIdx > 1 {
            return Err(invalid(format_args!("linkIdx must be 0 or 1, not {linkIdx}")));
        }
        supported()?;
        virtual_memory::map_again(virPtrDst, size, virPtrSrc)
    })
}

/// A location as those count that access: [`virtual_memory::HOST`] or the number of a device.
fn accessor(location: aclrtMemLocation) -> Result<i32, aclError> {
    match (location.type_, i32::try_from(location.id)) {
        (sys::ACL_MEM_LOCATION_TYPE_HOST, Ok(0)) => Ok(virtual_memory::HOST),
        (sys::ACL_MEM_LOCATION_TYPE_DEVICE, Ok(id)) if id < virtual_memory::DEVICES => Ok(id),
        _ => Err(wrong(format_args!(
            "location {} of type {} is neither the host nor a device",
            location.id, location.type_.0
        ))),
    }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemSetAccess(
    virPtr: *mut c_void,
    size: usize,
    desc: *mut aclrtMemAccessDesc,
    count: usize,
) -> aclError {
    call!("aclrtMemSetAccess", || {
        if virPtr.is_null() || desc.is_null() {
            return Err(wrong("virPtr and desc must not be NULL"));
        }
        if count == 0 || count > LOCATIONS {
            return Err(wrong(format_args!("count must be 1 to {LOCATIONS}, not {count}")));
        }
        // SAFETY: [caller] not NULL, and the caller says that it has `count` elements.
        let descs: Vec<aclrtMemAccessDesc> = (0..count).map(|at| unsafe { desc.add(at).read() }).collect();
        for desc in &descs {
            match desc.flags {
                sys::ACL_RT_MEM_ACCESS_FLAGS_READWRITE => {}
                sys::ACL_RT_MEM_ACCESS_FLAGS_NONE | sys::ACL_RT_MEM_ACCESS_FLAGS_READ => {
                    return Err(lacking("only access for reading and writing can be given"));
                }
                other => return Err(wrong(format_args!("access flags {} are unknown", other.0))),
            }
        }
        let who = descs.iter().map(|desc| accessor(desc.location)).collect::<Result<Vec<i32>, _>>()?;
        if who.iter().collect::<BTreeSet<_>>().len() < who.len() {
            return Err(wrong("a location is named twice"));
        }
        virtual_memory::set_access(virPtr, size, &who)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemGetAccess(
    virPtr: *mut c_void,
    location: *mut aclrtMemLocation,
    flag: *mut u64,
) -> aclError {
    call!("aclrtMemGetAccess", || {
        not_null(virPtr, "virPtr")?;
        not_null(location, "location")?;
        not_null(flag, "flag")?;
        // SAFETY: [caller] not NULL, and the caller passes a location.
        let who = accessor(unsafe { location.read() })?;
        let access = virtual_memory::access(virPtr, who)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { flag.write(access) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemGetAllocationGranularity(
    prop: *mut aclrtPhysicalMemProp,
    option: aclrtMemGranularityOptions,
    granularity: *mut usize,
) -> aclError {
    call!("aclrtMemGetAllocationGranularity", || {
        not_null(prop, "prop")?;
        not_null(granularity, "granularity")?;
        // SAFETY: [caller] not NULL, and the caller passes properties.
        let prop = unsafe { prop.read() };
        // It does not look at the rest, which aclrtMallocPhysical does.
        check_attribute(&prop)?;
        if prop.location.type_ == sys::ACL_MEM_LOCATION_TYPE_DEVICE {
            process::device(prop.location.id as i32)?;
        }
        match option {
            sys::ACL_RT_MEM_ALLOC_GRANULARITY_MINIMUM | sys::ACL_RT_MEM_ALLOC_GRANULARITY_RECOMMENDED => {}
            other => return Err(lacking(format_args!("granularity option {} is unknown", other.0))),
        }
        if prop.reserve != 0 {
            return Err(wrong(format_args!("prop->reserve must be 0, not {}", prop.reserve)));
        }
        let step = if physical::is_giant(prop.memAttr) { GIANT_PAGE } else { HUGE_PAGE };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { granularity.write(step) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemGetAllocationPropertiesFromHandle(
    handle: aclrtDrvMemHandle,
    prop: *mut aclrtPhysicalMemProp,
) -> aclError {
    call!("aclrtMemGetAllocationPropertiesFromHandle", || {
        not_null(handle, "handle")?;
        not_null(prop, "prop")?;
        let properties = physical::lookup(handle)?.properties();
        let Properties { location, id, attribute } = properties
            .ok_or_else(|| lacking("of memory from another process the properties are not known"))?;
        let memAttr = reported(attribute, location == sys::ACL_MEM_LOCATION_TYPE_DEVICE);
        let known = aclrtPhysicalMemProp {
            handleType: sys::ACL_MEM_HANDLE_TYPE_NONE,
            allocationType: sys::ACL_MEM_ALLOCATION_TYPE_PINNED,
            memAttr,
            location: aclrtMemLocation { id, type_: location },
            reserve: 0,
        };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { prop.write(known) };
        Ok(())
    })
}

/// The driver keeps less than the attribute: what comes back may be another one that means the same.
fn reported(attribute: aclrtMemAttr, device: bool) -> aclrtMemAttr {
    match (attribute, device) {
        (sys::ACL_MEM_NORMAL, true) => sys::ACL_HBM_MEM_NORMAL,
        (sys::ACL_MEM_HUGE, true) => sys::ACL_HBM_MEM_HUGE,
        (sys::ACL_MEM_HUGE1G, true) => sys::ACL_HBM_MEM_HUGE1G,
        (sys::ACL_DDR_MEM_HUGE, false) => sys::ACL_MEM_HUGE,
        (sys::ACL_DDR_MEM_NORMAL, false) => sys::ACL_MEM_NORMAL,
        (sys::ACL_MEM_P2P_NORMAL, false) => sys::ACL_DDR_MEM_P2P_NORMAL,
        (sys::ACL_DDR_MEM_P2P_HUGE, false) => sys::ACL_MEM_P2P_HUGE,
        (same, _) => same,
    }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemRetainAllocationHandle(
    virPtr: *mut c_void,
    handle: *mut aclrtDrvMemHandle,
) -> aclError {
    call!("aclrtMemRetainAllocationHandle", || {
        not_null(virPtr, "virPtr")?;
        not_null(handle, "handle")?;
        let retained = virtual_memory::retain_handle(virPtr)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { handle.write(retained) };
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtReserveMemAddress, aclrtReserveMemAddressNoUCMemory, aclrtReleaseMemAddress, aclrtMallocPhysical, aclrtFreePhysical,
        aclrtMapMem, aclrtUnmapMem, aclrtMemMapSelectedLink, aclrtMemSetAccess, aclrtMemGetAccess,
        aclrtMemGetAllocationGranularity, aclrtMemGetAllocationPropertiesFromHandle, aclrtMemRetainAllocationHandle,
    );
}
