//! Device memory: allocating and freeing it.

use core::ffi::c_void;

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtMallocConfig, aclrtMemMallocPolicy};

use super::{call, fill, invalid, not_null};
use crate::core::{Context, current_context};
use crate::error::fail;
use crate::memory::{self, PageSize};

/// Kernels read up to this many bytes past the end of a piece of memory.
const PAD: usize = 32;
/// Nobody gets more memory with a cache at once.
const LARGEST_CACHED: usize = 1 << 50;
/// The bits of a policy that choose pages; the others choose a kind of memory where a chip has several.
const POLICY_MASK: u32 = 0xff;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMalloc(
    devPtr: *mut *mut c_void,
    size: usize,
    policy: aclrtMemMallocPolicy,
) -> aclError {
    // SAFETY: [caller] same contract.
    call!("aclrtMalloc", || unsafe { malloc(devPtr, size, PAD, policy) })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMallocAlign32(
    devPtr: *mut *mut c_void,
    size: usize,
    policy: aclrtMemMallocPolicy,
) -> aclError {
    // SAFETY: [caller] same contract.
    call!("aclrtMallocAlign32", || unsafe { malloc(devPtr, size, 0, policy) })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMallocCached(
    devPtr: *mut *mut c_void,
    size: usize,
    policy: aclrtMemMallocPolicy,
) -> aclError {
    call!("aclrtMallocCached", || {
        let padded = check_malloc(devPtr, size, PAD, policy)?;
        if padded > LARGEST_CACHED {
            let text = format!("{size} bytes are more than {LARGEST_CACHED}");
            return Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, text));
        }
        let context = current_context()?;
        if policy != sys::ACL_MEM_MALLOC_NORMAL_ONLY {
            let text =
                format!("memory with a cache has normal pages, and policy {} asks for others", policy.0);
            return Err(fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, text));
        }
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { allocate(&context, devPtr, memory::APP, size, padded, PageSize::Normal) }
    })
}

/// # Safety
/// `devPtr` is NULL or a place to write to.
unsafe fn malloc(
    devPtr: *mut *mut c_void,
    size: usize,
    pad: usize,
    policy: aclrtMemMallocPolicy,
) -> Result<(), aclError> {
    let padded = check_malloc(devPtr, size, pad, policy)?;
    let context = current_context()?;
    let pages = page_size(&context, policy)?;
    // SAFETY: [caller] not NULL, and the caller passes a place to write to.
    unsafe { allocate(&context, devPtr, memory::APP, size, padded, pages) }
}

/// The checks of the upper layer, and the size with what is added to it.
fn check_malloc(
    devPtr: *mut *mut c_void,
    size: usize,
    pad: usize,
    policy: aclrtMemMallocPolicy,
) -> Result<usize, aclError> {
    not_null(devPtr, "devPtr")?;
    if size == 0 {
        return Err(invalid("size must not be 0"));
    }
    // Pages of 1 GiB are too good for a pad.
    let giant = matches!(policy, sys::ACL_MEM_MALLOC_HUGE1G_ONLY | sys::ACL_MEM_MALLOC_HUGE1G_ONLY_P2P);
    let pad = if giant { 0 } else { pad };
    // The runtime adds before it rounds, so that a few sizes are refused that would fit.
    if size.checked_add(32 + pad).is_none() {
        return Err(invalid(format_args!("size {size} overflows")));
    }
    Ok(size.next_multiple_of(32) + pad)
}

/// What pages a policy asks for: 207000 for those that the chip does not have. The runtime does not refuse a policy it does not know.
fn page_size(context: &Context, policy: aclrtMemMallocPolicy) -> Result<PageSize, aclError> {
    let features = context.device().profile().features;
    let lacking = |what: &str| {
        let profile = context.device().profile().name();
        fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, format_args!("{profile} has no {what}"))
    };
    let (pages, peer) = match policy {
        sys::ACL_MEM_MALLOC_HUGE_ONLY => (PageSize::Huge, false),
        sys::ACL_MEM_MALLOC_NORMAL_ONLY => (PageSize::Normal, false),
        sys::ACL_MEM_MALLOC_HUGE_FIRST_P2P => (PageSize::HugeFirst, true),
        sys::ACL_MEM_MALLOC_HUGE_ONLY_P2P => (PageSize::Huge, true),
        sys::ACL_MEM_MALLOC_NORMAL_ONLY_P2P => (PageSize::Normal, true),
        sys::ACL_MEM_MALLOC_HUGE1G_ONLY | sys::ACL_MEM_MALLOC_HUGE1G_ONLY_P2P => (PageSize::Giant, false),
        _ => (PageSize::HugeFirst, false),
    };
    match pages {
        _ if peer && !features.peer_memory => Err(lacking("memory for copies between devices")),
        PageSize::Giant if !features.giant_pages => Err(lacking("pages of 1 GiB")),
        pages => Ok(pages),
    }
}

/// # Safety
/// `devPtr` is a place to write to.
unsafe fn allocate(
    context: &Context,
    devPtr: *mut *mut c_void,
    module: u16,
    size: usize,
    padded: usize,
    pages: PageSize,
) -> Result<(), aclError> {
    let memory = context.device().memory();
    let pointer = memory.allocate_for(module, size, padded, pages)?;
    if let Err(code) = context.check_alive() {
        memory.take_back(pointer);
        return Err(code);
    }
    // SAFETY: [caller] contract.
    unsafe { devPtr.write(pointer) };
    Ok(())
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMallocWithCfg(
    devPtr: *mut *mut c_void,
    size: usize,
    policy: aclrtMemMallocPolicy,
    cfg: *mut aclrtMallocConfig,
) -> aclError {
    // SAFETY: [caller] same contract.
    call!("aclrtMallocWithCfg", || unsafe { malloc_with(devPtr, size, policy, cfg) })
}

/// Memory for the task scheduler is memory like any other here.
#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMallocForTaskScheduler(
    devPtr: *mut *mut c_void,
    size: usize,
    policy: aclrtMemMallocPolicy,
    cfg: *mut aclrtMallocConfig,
) -> aclError {
    // SAFETY: [caller] same contract.
    call!("aclrtMallocForTaskScheduler", || unsafe { malloc_with(devPtr, size, policy, cfg) })
}

/// # Safety
/// `devPtr` is NULL or a place to write to, `cfg` NULL or a configuration.
unsafe fn malloc_with(
    devPtr: *mut *mut c_void,
    size: usize,
    policy: aclrtMemMallocPolicy,
    cfg: *mut aclrtMallocConfig,
) -> Result<(), aclError> {
    not_null(devPtr, "devPtr")?;
    // SAFETY: [caller] NULL or a configuration (contract).
    let cfg = unsafe { cfg.as_ref() };
    if cfg.is_some_and(|cfg| cfg.numAttrs != 0 && cfg.attrs.is_null()) {
        return Err(invalid("cfg->attrs must not be NULL when cfg->numAttrs is not 0"));
    }
    if size == 0 {
        return Err(invalid("size must not be 0"));
    }
    let wrong = |what: std::fmt::Arguments<'_>| fail(sys::ACL_ERROR_RT_PARAM_INVALID, what);
    if cfg.is_some_and(|cfg| cfg.attrs.is_null()) {
        return Err(wrong(format_args!("cfg->attrs must not be NULL")));
    }
    let context = current_context()?;
    let mut module = memory::APP;
    let mut device = None;
    for index in 0..cfg.map_or(0, |cfg| cfg.numAttrs) {
        // SAFETY: [caller] the attributes are as many as the configuration says (contract), and there is one if there are attributes.
        let attribute = unsafe { *cfg.map_or(std::ptr::null_mut(), |cfg| cfg.attrs).add(index) };
        match attribute.attr {
            sys::ACL_RT_MEM_ATTR_RSV => {}
            // SAFETY: [caller] the attribute says which member is meant, and all are plain integers.
            sys::ACL_RT_MEM_ATTR_MODULE_ID => module = unsafe { attribute.value.moduleId },
            // SAFETY: [caller] as above.
            sys::ACL_RT_MEM_ATTR_DEVICE_ID => device = Some(unsafe { attribute.value.deviceId }),
            other => return Err(wrong(format_args!("attribute {} is not one of device memory", other.0))),
        }
    }
    let current = context.device().id();
    if let Some(wanted) = device.filter(|&wanted| i64::from(wanted) != i64::from(current)) {
        return Err(wrong(format_args!(
            "memory of device {wanted} is asked for with device {current} current"
        )));
    }
    let pages = aclrtMemMallocPolicy(policy.0 & POLICY_MASK);
    let padded =
        size.checked_next_multiple_of(32).ok_or_else(|| wrong(format_args!("size {size} overflows")))?;
    let pages = page_size(&context, pages)?;
    // SAFETY: [caller] not NULL, and the caller passes a place to write to.
    unsafe { allocate(&context, devPtr, memory::module(module), size, padded, pages) }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtFree(devPtr: *mut c_void) -> aclError {
    call!("aclrtFree", || {
        not_null(devPtr, "devPtr")?;
        memory::free(devPtr)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtFreeWithDevSync(devPtr: *mut c_void) -> aclError {
    call!("aclrtFreeWithDevSync", || {
        not_null(devPtr, "devPtr")?;
        current_context()?.synchronize(None)?;
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

/// Memory is coherent, here and on today's cards: only the arguments are checked.
fn cache(pointer: *mut c_void, size: usize) -> Result<(), aclError> {
    not_null(pointer, "devPtr")?;
    if size == 0 {
        return Err(invalid("size must not be 0"));
    }
    current_context().map(drop)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMallocHost(hostPtr: *mut *mut c_void, size: usize) -> aclError {
    call!("aclrtMallocHost", || {
        not_null(hostPtr, "hostPtr")?;
        if size == 0 {
            return Err(invalid("size must not be 0"));
        }
        current_context()?;
        let pointer = memory::malloc_host(size, false)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { hostPtr.write(pointer) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMallocHostWithCfg(
    ptr: *mut *mut c_void,
    size: u64,
    cfg: *mut aclrtMallocConfig,
) -> aclError {
    call!("aclrtMallocHostWithCfg", || {
        not_null(ptr, "ptr")?;
        if size == 0 {
            return Err(invalid("size must not be 0"));
        }
        let wrong = |what: std::fmt::Arguments<'_>| fail(sys::ACL_ERROR_RT_PARAM_INVALID, what);
        let mut same_address = false;
        // SAFETY: [caller] NULL or a configuration (contract).
        if let Some(cfg) = unsafe { cfg.as_ref() } {
            if cfg.attrs.is_null() {
                return Err(wrong(format_args!("cfg->attrs must not be NULL")));
            }
            for index in 0..cfg.numAttrs {
                // SAFETY: [caller] the attributes are as many as the configuration says (contract).
                let attribute = unsafe { *cfg.attrs.add(index) };
                match attribute.attr {
                    sys::ACL_RT_MEM_ATTR_MODULE_ID => {}
                    // SAFETY: [caller] the attribute says which member is meant, and all are plain integers.
                    sys::ACL_RT_MEM_ATTR_VA_FLAG => same_address = unsafe { attribute.value.vaFlag } == 1,
                    other => {
                        return Err(wrong(format_args!("attribute {} is not one of host memory", other.0)));
                    }
                }
            }
        }
        let context = current_context()?;
        if same_address && !context.device().profile().features.host_registration {
            return Err(fail(
                sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
                "this chip has no addresses that host and device share",
            ));
        }
        let pointer = memory::malloc_host(size as usize, same_address)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { ptr.write(pointer) };
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
unsafe extern "C" fn aclrtFreeHostWithDevSync(hostPtr: *mut c_void) -> aclError {
    call!("aclrtFreeHostWithDevSync", || {
        not_null(hostPtr, "hostPtr")?;
        current_context()?.synchronize(None)?;
        memory::free_host(hostPtr)
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtMalloc, aclrtMallocAlign32, aclrtMallocCached, aclrtMallocWithCfg, aclrtMallocForTaskScheduler, aclrtFree,
        aclrtFreeWithDevSync, aclrtMemFlush, aclrtMemInvalidate, aclrtMallocHost, aclrtMallocHostWithCfg, aclrtFreeHost,
        aclrtFreeHostWithDevSync,
    );
}
