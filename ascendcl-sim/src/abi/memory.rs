//! Device memory and pinned host memory.

use core::ffi::c_void;

use ascendcl_sys::{
    self as sys, AclApi, aclError, aclrtMallocConfig, aclrtMemAttr, aclrtMemLocation, aclrtMemMallocPolicy,
    aclrtPtrAttributes,
};

use super::{call, fill, invalid, not_null};
use crate::core::current_context;
use crate::error::fail;
use crate::memory::{self, Location, PageSize};

/// Kernels read up to this many bytes past the end of a piece of memory.
const PAD: usize = 32;
const HUGE_PAGE: usize = 2 << 20;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMalloc(
    devPtr: *mut *mut c_void,
    size: usize,
    policy: aclrtMemMallocPolicy,
) -> aclError {
    // SAFETY: same contract.
    call!("aclrtMalloc", || unsafe { malloc(devPtr, size, PAD, policy) })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMallocAlign32(
    devPtr: *mut *mut c_void,
    size: usize,
    policy: aclrtMemMallocPolicy,
) -> aclError {
    // SAFETY: same contract.
    call!("aclrtMallocAlign32", || unsafe { malloc(devPtr, size, 0, policy) })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMallocCached(
    devPtr: *mut *mut c_void,
    size: usize,
    policy: aclrtMemMallocPolicy,
) -> aclError {
    // SAFETY: same contract.
    call!("aclrtMallocCached", || unsafe { malloc(devPtr, size, PAD, policy) })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMallocWithCfg(
    devPtr: *mut *mut c_void,
    size: usize,
    policy: aclrtMemMallocPolicy,
    cfg: *mut aclrtMallocConfig,
) -> aclError {
    call!("aclrtMallocWithCfg", || {
        if !cfg.is_null() {
            // SAFETY: the caller passes NULL or a configuration.
            unsafe { check_config(&*cfg) }?;
        }
        // SAFETY: same contract.
        unsafe { malloc(devPtr, size, 0, policy) }
    })
}

/// # Safety
/// The attributes of `config` are as many as it says.
unsafe fn check_config(config: &aclrtMallocConfig) -> Result<(), aclError> {
    if config.numAttrs > 0 {
        not_null(config.attrs, "cfg->attrs")?;
    }
    for index in 0..config.numAttrs {
        // SAFETY: inside the array (contract).
        let attribute = unsafe { *config.attrs.add(index) };
        match attribute.attr {
            sys::ACL_RT_MEM_ATTR_RSV | sys::ACL_RT_MEM_ATTR_MODULE_ID | sys::ACL_RT_MEM_ATTR_VA_FLAG => {}
            sys::ACL_RT_MEM_ATTR_DEVICE_ID => {
                let current = current_context()?.device().id();
                // SAFETY: the attribute says which member is meant, and all are plain integers.
                let wanted = unsafe { attribute.value.deviceId };
                if i64::from(wanted) != i64::from(current) {
                    return Err(fail(
                        sys::ACL_ERROR_RT_PARAM_INVALID,
                        format_args!("memory of device {wanted} is asked for with device {current} current"),
                    ));
                }
            }
            other => return Err(invalid(format_args!("attribute {} is unknown", other.0))),
        }
    }
    Ok(())
}

/// # Safety
/// `devPtr` is NULL or a place to write to.
unsafe fn malloc(
    devPtr: *mut *mut c_void,
    size: usize,
    pad: usize,
    policy: aclrtMemMallocPolicy,
) -> Result<(), aclError> {
    not_null(devPtr, "devPtr")?;
    if size == 0 {
        return Err(invalid("size must not be 0"));
    }
    let padded = size.checked_next_multiple_of(32).and_then(|size| size.checked_add(pad));
    let padded = padded.ok_or_else(|| invalid(format_args!("size {size} overflows")))?;
    let pages = match policy {
        sys::ACL_MEM_MALLOC_HUGE_FIRST | sys::ACL_MEM_MALLOC_HUGE_FIRST_P2P => PageSize::HugeFirst,
        sys::ACL_MEM_MALLOC_HUGE_ONLY | sys::ACL_MEM_MALLOC_HUGE_ONLY_P2P => PageSize::Huge,
        sys::ACL_MEM_MALLOC_NORMAL_ONLY | sys::ACL_MEM_MALLOC_NORMAL_ONLY_P2P => PageSize::Normal,
        // The runtime does not refuse a policy it does not know.
        _ if size >= HUGE_PAGE => PageSize::HugeFirst,
        _ => PageSize::Normal,
    };
    let context = current_context()?;
    let pointer = context.device().memory().allocate(size, padded, pages)?;
    if let Err(code) = context.check_alive() {
        context.device().memory().take_back(pointer);
        return Err(code);
    }
    // SAFETY: not NULL, and the caller passes a place to write to.
    unsafe { devPtr.write(pointer) };
    Ok(())
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtFree(devPtr: *mut c_void) -> aclError {
    call!("aclrtFree", || {
        not_null(devPtr, "devPtr")?;
        memory::free(devPtr)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemFlush(devPtr: *mut c_void, size: usize) -> aclError {
    call!("aclrtMemFlush", || cache(devPtr, size))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemInvalidate(devPtr: *mut c_void, size: usize) -> aclError {
    call!("aclrtMemInvalidate", || cache(devPtr, size))
}

/// Memory is coherent: only the arguments are checked.
fn cache(pointer: *mut c_void, size: usize) -> Result<(), aclError> {
    not_null(pointer, "devPtr")?;
    if size == 0 {
        return Err(invalid("size must not be 0"));
    }
    current_context()?;
    memory::device_range(pointer, size).map(drop)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMallocHost(hostPtr: *mut *mut c_void, size: usize) -> aclError {
    call!("aclrtMallocHost", || {
        not_null(hostPtr, "hostPtr")?;
        if size == 0 {
            return Err(invalid("size must not be 0"));
        }
        current_context()?;
        let pointer = memory::malloc_host(size)?;
        // SAFETY: not NULL, and the caller passes a place to write to.
        unsafe { hostPtr.write(pointer) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtFreeHost(hostPtr: *mut c_void) -> aclError {
    call!("aclrtFreeHost", || {
        not_null(hostPtr, "hostPtr")?;
        memory::free_host(hostPtr)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetMemInfo(attr: aclrtMemAttr, free: *mut usize, total: *mut usize) -> aclError {
    call!("aclrtGetMemInfo", || {
        not_null(free, "free")?;
        not_null(total, "total")?;
        let context = current_context()?;
        let device = context.device();
        let (capacity, normal, huge) = device.memory().usage();
        let left = capacity - normal - huge;
        // All page kinds come out of one pool; huge pages only as whole ones. A DDR chip answers questions about HBM with its DDR.
        let (left, capacity) = match attr {
            sys::ACL_DDR_MEM if !device.profile().hbm => (left, capacity),
            sys::ACL_DDR_MEM_NORMAL | sys::ACL_DDR_MEM_P2P_NORMAL if !device.profile().hbm => {
                (left, capacity)
            }
            sys::ACL_DDR_MEM_HUGE | sys::ACL_DDR_MEM_P2P_HUGE if !device.profile().hbm => {
                whole(left, capacity)
            }
            sys::ACL_HBM_MEM | sys::ACL_HBM_MEM_NORMAL | sys::ACL_HBM_MEM_P2P_NORMAL => (left, capacity),
            sys::ACL_HBM_MEM_HUGE | sys::ACL_HBM_MEM_P2P_HUGE => whole(left, capacity),
            _ => (0, 0),
        };
        // SAFETY: not NULL, and the caller passes places to write to.
        unsafe {
            free.write(left);
            total.write(capacity);
        }
        Ok(())
    })
}

fn whole(free: usize, total: usize) -> (usize, usize) {
    (free / HUGE_PAGE * HUGE_PAGE, total / HUGE_PAGE * HUGE_PAGE)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtPointerGetAttributes(
    ptr: *const c_void,
    attributes: *mut aclrtPtrAttributes,
) -> aclError {
    call!("aclrtPointerGetAttributes", || {
        not_null(ptr, "ptr")?;
        not_null(attributes, "attributes")?;
        let (kind, id, page) = match memory::classify(ptr) {
            Location::Device(id) => {
                let page = if memory::is_huge(ptr) { HUGE_PAGE } else { memory::NORMAL_PAGE };
                (sys::ACL_MEM_LOCATION_TYPE_DEVICE, id as u32, page)
            }
            Location::Pinned => (sys::ACL_MEM_LOCATION_TYPE_HOST, 0, memory::NORMAL_PAGE),
            Location::Unregistered => (sys::ACL_MEM_LOCATION_TYPE_UNREGISTERED, 0, 0),
        };
        let location = aclrtMemLocation { id, type_: kind };
        // SAFETY: not NULL, and the caller passes a place to write to.
        unsafe { attributes.write(aclrtPtrAttributes { location, pageSize: page as u32, rsv: [0; 4] }) };
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtMalloc, aclrtMallocAlign32, aclrtMallocCached, aclrtMallocWithCfg, aclrtFree, aclrtMemFlush,
        aclrtMemInvalidate, aclrtMallocHost, aclrtFreeHost, aclrtGetMemInfo, aclrtPointerGetAttributes,
    );
}
