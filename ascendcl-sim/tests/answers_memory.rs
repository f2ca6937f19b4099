//! What the memory functions, kernels and symbols answer to arguments that are wrong in one way, and without a context: a row each.

mod common;

use std::ptr::null_mut as nil;

use ascendcl_sys::{
    aclDataType, aclrtMallocConfig, aclrtMemAttr, aclrtMemLocation, aclrtMemLocationType,
    aclrtMemMallocPolicy, aclrtMemManagedLocation, aclrtMemPoolAttr, aclrtMemPoolProps, aclrtMemcpyBatchAttr,
    aclrtMemcpyKind, aclrtPhysicalMemProp, aclrtPtrAttributes, aclrtReduceKind,
};
use common::*;
use sys::*;

const NULL: i32 = 100_000;
const PARAM: i32 = 107_000;
const NO_CONTEXT: i32 = 107_002;
const HANDLE: i32 = 107_017;
const LACKING: i32 = 207_000;
const MEMORY: i32 = 207_001;

/// Collects the calls that do not answer what they should.
macro_rules! answers {
    ($($code:expr => $function:ident($($argument:expr),* $(,)?);)*) => {{
        let mut wrong: Vec<String> = Vec::new();
        $(
            let code = acl!($function $(, $argument)*);
            if code != $code {
                let call = stringify!($function($($argument),*));
                wrong.push(format!("line {}: {call} answers {code}, not {}", line!(), $code));
            }
        )*
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }};
}

/// An Ascend 910B with two devices, none of them set.
fn machine() -> Session {
    session(Config::new().profile(Profile::ascend910b()).devices(2))
}

fn card910b() -> Session {
    let session = machine();
    ok!(aclrtSetDevice, 0);
    session
}

/// Plain host memory, aligned.
#[repr(align(64))]
struct Plain([u8; 256]);

fn physical(attribute: aclrtMemAttr, location: aclrtMemLocationType, id: u32) -> aclrtPhysicalMemProp {
    aclrtPhysicalMemProp {
        handleType: ACL_MEM_HANDLE_TYPE_NONE,
        allocationType: ACL_MEM_ALLOCATION_TYPE_PINNED,
        memAttr: attribute,
        location: aclrtMemLocation { id, type_: location },
        reserve: 0,
    }
}

fn pool_properties() -> aclrtMemPoolProps {
    aclrtMemPoolProps {
        allocType: ACL_MEM_ALLOCATION_TYPE_PINNED,
        handleType: ACL_MEM_HANDLE_TYPE_NONE,
        location: aclrtMemLocation { id: 0, type_: ACL_MEM_LOCATION_TYPE_DEVICE },
        maxSize: 0,
        reserved: [0; 32],
    }
}

#[test]
fn allocations_without_a_context() {
    let _machine = machine();
    let mut plain = Plain([0; 256]);
    let h: *mut core::ffi::c_void = plain.0.as_mut_ptr().cast();
    let mut p = nil();
    let huge = ACL_MEM_MALLOC_HUGE_FIRST;
    let mut bare = aclrtMallocConfig { attrs: nil(), numAttrs: 0 };
    let mut missing = aclrtMallocConfig { attrs: nil(), numAttrs: 1 };
    let m = 1 << 21;
    let (mut device, mut host) =
        (physical(ACL_HBM_MEM_HUGE, ACL_MEM_LOCATION_TYPE_DEVICE, 0), pool_properties());
    let mut absent = physical(ACL_HBM_MEM_HUGE, ACL_MEM_LOCATION_TYPE_DEVICE, 9);
    host.location.type_ = ACL_MEM_LOCATION_TYPE_HOST;
    let (mut d, mut size) = (nil(), 0);
    answers! {
        NO_CONTEXT => aclrtMalloc(&mut p, 64, huge);
        NULL => aclrtMalloc(nil(), 64, huge);
        NULL => aclrtMalloc(&mut p, 0, huge);
        NULL => aclrtMalloc(&mut p, usize::MAX, huge);
        NULL => aclrtMalloc(&mut p, usize::MAX - 63, huge);
        NO_CONTEXT => aclrtMalloc(&mut p, usize::MAX - 64, huge);
        NO_CONTEXT => aclrtMalloc(&mut p, 64, aclrtMemMallocPolicy(99));
        NO_CONTEXT => aclrtMallocAlign32(&mut p, 64, huge);
        NULL => aclrtMallocAlign32(&mut p, usize::MAX - 31, huge);
        NO_CONTEXT => aclrtMallocAlign32(&mut p, usize::MAX - 32, huge);
        NO_CONTEXT => aclrtMallocCached(&mut p, 64, huge);
        NULL => aclrtMallocCached(nil(), 64, huge);
        NULL => aclrtMallocCached(&mut p, 0, huge);
        PARAM => aclrtMallocCached(&mut p, 1 << 50, huge);
        NO_CONTEXT => aclrtMallocWithCfg(&mut p, 64, huge, nil());
        NULL => aclrtMallocWithCfg(nil(), 64, huge, nil());
        NULL => aclrtMallocWithCfg(&mut p, 0, huge, nil());
        NULL => aclrtMallocWithCfg(&mut p, 64, huge, &mut missing);
        PARAM => aclrtMallocWithCfg(&mut p, 64, huge, &mut bare);
        NO_CONTEXT => aclrtMallocForTaskScheduler(&mut p, 64, huge, nil());
        NO_CONTEXT => aclrtMallocHost(&mut p, 64);
        NULL => aclrtMallocHost(nil(), 64);
        NULL => aclrtMallocHost(&mut p, 0);
        NO_CONTEXT => aclrtMallocHostWithCfg(&mut p, 64, nil());
        NULL => aclrtMallocHostWithCfg(nil(), 64, nil());
        NULL => aclrtMallocHostWithCfg(&mut p, 0, nil());
        PARAM => aclrtMallocHostWithCfg(&mut p, 64, &mut bare);
        PARAM => aclrtFree(h);
        NULL => aclrtFree(nil());
        NO_CONTEXT => aclrtFreeWithDevSync(h);
        NULL => aclrtFreeWithDevSync(nil());
        PARAM => aclrtFreeHost(h);
        NULL => aclrtFreeHost(nil());
        NO_CONTEXT => aclrtFreeHostWithDevSync(h);
        NULL => aclrtFreeHostWithDevSync(nil());
        NO_CONTEXT => aclrtMemAllocManaged(&mut p, 64, ACL_RT_MEM_ATTACH_GLOBAL);
        NULL => aclrtMemAllocManaged(nil(), 64, ACL_RT_MEM_ATTACH_GLOBAL);
        NULL => aclrtMemAllocManaged(&mut p, 64, 0);
        PARAM => aclrtMemAllocManaged(&mut p, 0, ACL_RT_MEM_ATTACH_GLOBAL);
        NULL => aclrtMallocPhysical(nil(), m, &device, 0);
        NULL => aclrtMallocPhysical(&mut d, m, nil(), 0);
        NULL => aclrtMallocPhysical(&mut d, 0, &device, 0);
        NULL => aclrtMallocPhysical(&mut d, m, &device, 1);
        107_001 => aclrtMallocPhysical(&mut d, m, &absent, 0);
        NULL => aclrtMallocPhysical(&mut d, m, &physical(ACL_DDR_MEM_HUGE, ACL_MEM_LOCATION_TYPE_DEVICE, 0), 0);
        NULL => aclrtMallocPhysical(&mut d, m, &physical(ACL_HBM_MEM, ACL_MEM_LOCATION_TYPE_DEVICE, 0), 0);
        NULL => aclrtMallocPhysical(&mut d, m, &physical(ACL_MEM_HUGE, ACL_MEM_LOCATION_TYPE_UNREGISTERED, 0), 0);
        NULL => aclrtMallocPhysical(&mut d, m, &physical(ACL_MEM_HUGE, aclrtMemLocationType(3), 0), 0);
        NULL => aclrtMemGetAllocationGranularity(nil(), ACL_RT_MEM_ALLOC_GRANULARITY_MINIMUM, &mut size);
        NULL => aclrtMemGetAllocationGranularity(&mut device, ACL_RT_MEM_ALLOC_GRANULARITY_MINIMUM, nil());
        0 => aclrtMemGetAllocationGranularity(&mut device, ACL_RT_MEM_ALLOC_GRANULARITY_MINIMUM, &mut size);
        107_001 => aclrtMemGetAllocationGranularity(&mut absent, ACL_RT_MEM_ALLOC_GRANULARITY_MINIMUM, &mut size);
        NULL => aclrtMemPoolCreate(nil(), &pool_properties());
        NULL => aclrtMemPoolCreate(&mut d, nil());
        NULL => aclrtMemPoolCreate(&mut d, &host);
    }
    assert!(p.is_null() && d.is_null(), "what fails writes nothing");
}

#[test]
fn copies_without_a_context() {
    let _machine = machine();
    let (mut a, mut b) = (Plain([0; 256]), Plain([0; 256]));
    let (h, g): (*mut core::ffi::c_void, *mut core::ffi::c_void) =
        (a.0.as_mut_ptr().cast(), b.0.as_mut_ptr().cast());
    let (h2h, h2d, d2d) = (ACL_MEMCPY_HOST_TO_HOST, ACL_MEMCPY_HOST_TO_DEVICE, ACL_MEMCPY_DEVICE_TO_DEVICE);
    let odd = h.wrapping_byte_add(2);
    let (mut size, mut fail) = (0, 0);
    let (mut to, mut from, mut sizes, mut zeros, mut rooms, mut small, mut firsts) =
        ([h], [g], [8_usize], [0_usize], [8_usize], [4_usize], [0_usize, 1]);
    // SAFETY: plain numbers.
    let mut attributes: [aclrtMemcpyBatchAttr; 2] = unsafe { std::mem::zeroed() };
    let inner = ACL_MEMCPY_INNER_DEVICE_TO_DEVICE;
    answers! {
        NO_CONTEXT => aclrtMemcpy(h, 8, g, 8, h2h);
        0 => aclrtMemcpy(nil(), 0, nil(), 0, aclrtMemcpyKind(99));
        0 => aclrtMemcpy(h, 8, h, 8, h2h);
        NULL => aclrtMemcpy(nil(), 8, g, 8, h2h);
        NULL => aclrtMemcpy(h, 8, nil(), 8, h2h);
        NULL => aclrtMemcpy(h, 8, g, 8, aclrtMemcpyKind(6));
        NULL => aclrtMemcpy(h, 8, g, 8, aclrtMemcpyKind(99));
        PARAM => aclrtMemcpy(h, 7, g, 8, h2h);
        PARAM => aclrtMemcpy(h, 0, g, 8, h2h);
        NO_CONTEXT => aclrtMemcpyAsync(h, 8, g, 8, h2h, nil());
        NO_CONTEXT => aclrtMemcpyAsync(h, 8, h, 8, h2h, nil());
        0 => aclrtMemcpyAsync(nil(), 0, nil(), 0, aclrtMemcpyKind(99), h);
        NULL => aclrtMemcpyAsync(nil(), 8, g, 8, h2h, h);
        NULL => aclrtMemcpyAsync(h, 8, nil(), 8, h2h, h);
        NULL => aclrtMemcpyAsync(h, 8, g, 8, aclrtMemcpyKind(99), h);
        HANDLE => aclrtMemcpyAsync(h, 7, g, 8, h2h, h);
        PARAM => aclrtMemcpyAsync(h, 7, g, 8, h2h, nil());
        NO_CONTEXT => aclrtMemcpyAsyncWithCondition(h, 8, g, 8, h2d, nil());
        NULL => aclrtMemcpyAsyncWithCondition(h, 8, g, 8, aclrtMemcpyKind(99), nil());
        NO_CONTEXT => aclrtMemcpy2d(h, 8, g, 8, 4, 4, h2d);
        0 => aclrtMemcpy2d(nil(), 0, nil(), 0, 0, 4, h2h);
        0 => aclrtMemcpy2d(nil(), 0, nil(), 0, 4, 0, h2h);
        NULL => aclrtMemcpy2d(nil(), 8, g, 8, 4, 4, h2d);
        NULL => aclrtMemcpy2d(h, 8, nil(), 8, 4, 4, h2d);
        NULL => aclrtMemcpy2d(h, 8, g, 3, 4, 4, h2d);
        NULL => aclrtMemcpy2d(h, 3, g, 8, 4, 4, h2d);
        NULL => aclrtMemcpy2d(h, 8, g, 8, 4, 4, h2h);
        PARAM => aclrtMemcpy2d(h, 8, g, 8, 4, 5_242_881, h2d);
        PARAM => aclrtMemcpy2d(h, 5_000_001, g, 5_000_001, 5_000_001, 1, h2d);
        LACKING => aclrtMemcpy2d(h, 8, g, 8, 4, 4, d2d);
        NO_CONTEXT => aclrtMemcpy2dAsync(h, 8, g, 8, 4, 4, h2d, nil());
        HANDLE => aclrtMemcpy2dAsync(h, 8, g, 8, 4, 5_242_881, h2d, h);
        NULL => aclrtMemcpy2dAsync(h, 8, g, 8, 4, 4, h2h, h);
        NO_CONTEXT => aclrtMemset(h, 8, 0, 8);
        NO_CONTEXT => aclrtMemset(h, 7, 0, 8);
        0 => aclrtMemset(nil(), 0, 0, 0);
        NULL => aclrtMemset(nil(), 8, 0, 8);
        NO_CONTEXT => aclrtMemsetAsync(h, 8, 0, 8, nil());
        PARAM => aclrtMemsetAsync(h, 7, 0, 8, nil());
        HANDLE => aclrtMemsetAsync(h, 7, 0, 8, h);
        0 => aclrtMemsetAsync(nil(), 0, 0, 0, h);
        NULL => aclrtMemsetAsync(nil(), 8, 0, 8, h);
        0 => aclrtMemsetD32(nil(), 0, 0, 0);
        NULL => aclrtMemsetD32(nil(), 8, 0, 1);
        NULL => aclrtMemsetD32(odd, 8, 0, 1);
        NULL => aclrtMemsetD32(h, 7, 0, 2);
        NULL => aclrtMemsetD32(h, 8, 0, 2);
        NULL => aclrtMemsetD32Async(h, 8, 0, 2, nil());
        0 => aclrtMemsetD32Async(nil(), 8, 0, 0, h);
        NULL => aclrtMemcpyBatch(to.as_mut_ptr(), rooms.as_mut_ptr(), from.as_mut_ptr(), sizes.as_mut_ptr(), 1,
            attributes.as_mut_ptr(), firsts.as_mut_ptr(), 1, nil());
        NULL => aclrtMemcpyBatch(to.as_mut_ptr(), rooms.as_mut_ptr(), from.as_mut_ptr(), nil(), 1,
            attributes.as_mut_ptr(), firsts.as_mut_ptr(), 1, &mut fail);
        NULL => aclrtMemcpyBatch(to.as_mut_ptr(), rooms.as_mut_ptr(), from.as_mut_ptr(), sizes.as_mut_ptr(), 0,
            attributes.as_mut_ptr(), firsts.as_mut_ptr(), 1, &mut fail);
        0 => aclrtMemcpyBatch(nil(), nil(), nil(), zeros.as_mut_ptr(), 1, nil(), nil(), 0, &mut fail);
        NULL => aclrtMemcpyBatch(nil(), rooms.as_mut_ptr(), from.as_mut_ptr(), sizes.as_mut_ptr(), 1,
            attributes.as_mut_ptr(), firsts.as_mut_ptr(), 1, &mut fail);
        NULL => aclrtMemcpyBatch(to.as_mut_ptr(), small.as_mut_ptr(), from.as_mut_ptr(), sizes.as_mut_ptr(), 1,
            attributes.as_mut_ptr(), firsts.as_mut_ptr(), 1, &mut fail);
        PARAM => aclrtMemcpyBatch(to.as_mut_ptr(), rooms.as_mut_ptr(), from.as_mut_ptr(), sizes.as_mut_ptr(), 1,
            attributes.as_mut_ptr(), firsts.as_mut_ptr(), 0, &mut fail);
        PARAM => aclrtMemcpyBatchV2(to.as_mut_ptr(), rooms.as_mut_ptr(), from.as_mut_ptr(), sizes.as_mut_ptr(), 1,
            attributes.as_mut_ptr(), firsts.as_mut_ptr(), 2);
        PARAM => aclrtMemcpyBatch(to.as_mut_ptr(), rooms.as_mut_ptr(), from.as_mut_ptr(), sizes.as_mut_ptr(), 1,
            attributes.as_mut_ptr(), firsts.as_mut_ptr(), 1, &mut fail);
        NO_CONTEXT => aclrtMemcpyBatchAsync(to.as_mut_ptr(), rooms.as_mut_ptr(), from.as_mut_ptr(),
            sizes.as_mut_ptr(), 1, attributes.as_mut_ptr(), firsts.as_mut_ptr(), 1, &mut fail, nil());
        HANDLE => aclrtMemcpyBatchAsyncV2(to.as_mut_ptr(), rooms.as_mut_ptr(), from.as_mut_ptr(),
            sizes.as_mut_ptr(), 1, attributes.as_mut_ptr(), firsts.as_mut_ptr(), 0, h);
        NULL => aclrtGetMemcpyDescSize(inner, nil());
        NULL => aclrtGetMemcpyDescSize(aclrtMemcpyKind(8), &mut size);
        LACKING => aclrtGetMemcpyDescSize(h2d, &mut size);
        0 => aclrtGetMemcpyDescSize(inner, &mut size);
        NULL => aclrtSetMemcpyDesc(nil(), inner, h, g, 8, nil());
        NULL => aclrtSetMemcpyDesc(h, aclrtMemcpyKind(8), h, g, 8, nil());
        NULL => aclrtSetMemcpyDesc(h, inner, nil(), g, 8, nil());
        NULL => aclrtSetMemcpyDesc(h, inner, h, nil(), 8, nil());
        NULL => aclrtSetMemcpyDesc(h, inner, h, g, 0, nil());
        NULL => aclrtSetMemcpyDesc(h, inner, h, g, 8, h);
        LACKING => aclrtSetMemcpyDesc(h, h2d, h, g, 8, nil());
        PARAM => aclrtSetMemcpyDesc(odd, inner, h, g, 8, nil());
        PARAM => aclrtSetMemcpyDesc(h, inner, h, g, 8, nil());
        NULL => aclrtMemcpyAsyncWithDesc(nil(), inner, h);
        NULL => aclrtMemcpyAsyncWithDesc(h, inner, nil());
        HANDLE => aclrtMemcpyAsyncWithDesc(h, h2d, h);
        0 => aclrtMemcpyAsyncWithOffset(nil(), 0, 0, nil(), 0, 0, h2d, nil());
    }
    assert_eq!((size, fail), (32, usize::MAX), "the size of a descriptor; no copy failed by itself");
}

#[test]
fn what_is_known_of_memory_without_a_context() {
    let _machine = machine();
    let mut plain = Plain([0; 256]);
    let h: *mut core::ffi::c_void = plain.0.as_mut_ptr().cast();
    let text = c"key".as_ptr();
    let (mut free, mut total, mut count, mut found, mut base, mut flag) = (1, 1, 1, 7_u32, nil(), 0);
    let mut list = [h];
    // SAFETY: plain numbers.
    let (mut usage, mut attributes): (aclrtMemUsageInfo, aclrtPtrAttributes) = unsafe { std::mem::zeroed() };
    let mut can = aclrtHostMemMapCapability(9);
    let (mut key, mut pid, mut d) = ([0; 65], 1, nil());
    let mut where_ = aclrtMemLocation { id: 0, type_: ACL_MEM_LOCATION_TYPE_DEVICE };
    let here = aclrtMemManagedLocation { type_: ACL_MEM_LOCATIONTYPE_DEVICE, id: 0 };
    let absent = aclrtMemManagedLocation { type_: ACL_MEM_LOCATIONTYPE_DEVICE, id: 2 };
    let mut servers = [aclrtServerPid { sdid: 0, pid: nil(), num: 1 }];
    answers! {
        NULL => aclrtGetMemInfo(ACL_HBM_MEM, nil(), &mut total);
        NULL => aclrtGetMemInfo(ACL_HBM_MEM, &mut free, nil());
        107_016 => aclrtGetMemInfo(aclrtMemAttr(99), &mut free, &mut total);
        NO_CONTEXT => aclrtGetMemInfo(ACL_HBM_MEM, &mut free, &mut total);
        NULL => aclrtGetMemUsageInfo(0, nil(), 1, &mut count);
        NULL => aclrtGetMemUsageInfo(0, &mut usage, 1, nil());
        PARAM => aclrtGetMemUsageInfo(0, &mut usage, 0, &mut count);
        107_001 => aclrtGetMemUsageInfo(9, &mut usage, 1, &mut count);
        107_001 => aclrtGetMemUsageInfo(-1, &mut usage, 1, &mut count);
        NO_CONTEXT => aclrtGetMemUsageInfo(0, &mut usage, 1, &mut count);
        NULL => aclrtCheckMemType(nil(), 1, ACL_RT_MEM_TYPE_DEV, &mut found, 0);
        NULL => aclrtCheckMemType(list.as_mut_ptr(), 1, ACL_RT_MEM_TYPE_DEV, nil(), 0);
        PARAM => aclrtCheckMemType(list.as_mut_ptr(), 1, ACL_RT_MEM_TYPE_DEV, &mut found, 1);
        PARAM => aclrtCheckMemType(list.as_mut_ptr(), 0, ACL_RT_MEM_TYPE_DEV, &mut found, 0);
        PARAM => aclrtCheckMemType(list.as_mut_ptr(), 1, 1, &mut found, 0);
        NO_CONTEXT => aclrtCheckMemType(list.as_mut_ptr(), 1, ACL_RT_MEM_TYPE_DEV, &mut found, 0);
        NULL => aclrtPointerGetAttributes(nil(), &mut attributes);
        NULL => aclrtPointerGetAttributes(h, nil());
        0 => aclrtPointerGetAttributes(h, &mut attributes);
        NULL => aclrtMemGetAddressRange(nil(), &mut base, &mut total);
        PARAM => aclrtMemGetAddressRange(h, nil(), nil());
        PARAM => aclrtMemGetAddressRange(h, &mut base, &mut total);
        NULL => aclrtMemP2PMap(nil(), 8, 0, 0);
        NULL => aclrtMemP2PMap(h, 0, 0, 0);
        NULL => aclrtMemP2PMap(h, 8, 0, 1);
        107_001 => aclrtMemP2PMap(h, 8, 9, 0);
        NULL => aclrtMemFlush(nil(), 8);
        NULL => aclrtMemFlush(h, 0);
        NO_CONTEXT => aclrtMemFlush(h, 8);
        NULL => aclrtMemInvalidate(nil(), 8);
        NO_CONTEXT => aclrtMemInvalidate(h, 8);
        NULL => aclrtHostRegister(nil(), 8, ACL_HOST_REGISTER_MAPPED, &mut base);
        NULL => aclrtHostRegister(h, 8, ACL_HOST_REGISTER_MAPPED, nil());
        NULL => aclrtHostRegister(h, 0, ACL_HOST_REGISTER_MAPPED, &mut base);
        LACKING => aclrtHostRegister(h, 8, aclrtHostRegisterType(1), &mut base);
        NO_CONTEXT => aclrtHostRegister(h, 8, ACL_HOST_REGISTER_MAPPED, &mut base);
        NULL => aclrtHostRegisterV2(nil(), 8, ACL_HOST_REG_MAPPED);
        NULL => aclrtHostRegisterV2(h, 0, ACL_HOST_REG_MAPPED);
        PARAM => aclrtHostRegisterV2(h, 8, 0);
        PARAM => aclrtHostRegisterV2(h, 8, 1);
        NO_CONTEXT => aclrtHostRegisterV2(h, 8, ACL_HOST_REG_PINNED);
        NULL => aclrtHostUnregister(nil());
        NO_CONTEXT => aclrtHostUnregister(h);
        NULL => aclrtHostGetDevicePointer(nil(), &mut base, 0);
        NULL => aclrtHostGetDevicePointer(h, nil(), 0);
        NULL => aclrtHostGetDevicePointer(h, &mut base, 1);
        NO_CONTEXT => aclrtHostGetDevicePointer(h, &mut base, 0);
        NULL => aclrtHostMemMapCapabilities(0, ACL_RT_HAC_TYPE_AIC, nil());
        107_001 => aclrtHostMemMapCapabilities(9, ACL_RT_HAC_TYPE_AIC, &mut can);
        PARAM => aclrtHostMemMapCapabilities(0, aclrtHacType(99), &mut can);
        NO_CONTEXT => aclrtHostMemMapCapabilities(0, ACL_RT_HAC_TYPE_AIC, &mut can);
        NULL => aclrtReserveMemAddress(nil(), 1 << 21, 0, nil(), 0);
        NULL => aclrtReserveMemAddress(&mut d, 0, 0, nil(), 0);
        NULL => aclrtReserveMemAddress(&mut d, 1 << 21, 0, nil(), 2);
        NULL => aclrtReserveMemAddressNoUCMemory(nil(), 1 << 21, 0, nil(), 0);
        NULL => aclrtReserveMemAddressNoUCMemory(&mut d, 0, 0, nil(), 0);
        LACKING => aclrtReserveMemAddressNoUCMemory(&mut d, 1 << 21, 0, nil(), 0);
        NULL => aclrtReleaseMemAddress(nil());
        NULL => aclrtFreePhysical(nil());
        NULL => aclrtMapMem(nil(), 8, 0, h, 0);
        NULL => aclrtMapMem(h, 8, 0, nil(), 0);
        NULL => aclrtMapMem(h, 0, 0, h, 0);
        NULL => aclrtMapMem(h, 8, 0, h, 1);
        NULL => aclrtUnmapMem(nil());
        NULL => aclrtMemMapSelectedLink(nil(), 8, h, 0);
        NULL => aclrtMemMapSelectedLink(h, 8, nil(), 0);
        NULL => aclrtMemMapSelectedLink(h, 0, h, 0);
        NULL => aclrtMemMapSelectedLink(h, 8, h, 2);
        LACKING => aclrtMemMapSelectedLink(h, 8, h, 0);
        PARAM => aclrtMemSetAccess(nil(), 8, nil(), 1);
        NULL => aclrtMemGetAccess(nil(), &mut where_, &mut flag);
        NULL => aclrtMemGetAccess(h, nil(), &mut flag);
        NULL => aclrtMemGetAccess(h, &mut where_, nil());
        NULL => aclrtMemRetainAllocationHandle(nil(), &mut d);
        NULL => aclrtMemRetainAllocationHandle(h, nil());
        NULL => aclrtMemGetAllocationPropertiesFromHandle(nil(), nil());
        NULL => aclrtMemExportToShareableHandle(nil(), ACL_MEM_HANDLE_TYPE_NONE, 0, &mut flag);
        NULL => aclrtMemExportToShareableHandle(h, ACL_MEM_HANDLE_TYPE_NONE, 0, nil());
        NULL => aclrtMemExportToShareableHandle(h, aclrtMemHandleType(5), 0, &mut flag);
        NULL => aclrtMemImportFromShareableHandle(1, 0, nil());
        107_001 => aclrtMemImportFromShareableHandle(1, 9, &mut d);
        NULL => aclrtMemImportFromShareableHandleV2(nil(), ACL_MEM_SHARE_HANDLE_TYPE_DEFAULT, 0, &mut d);
        NULL => aclrtMemImportFromShareableHandleV2(h, ACL_MEM_SHARE_HANDLE_TYPE_DEFAULT, 1, &mut d);
        NO_CONTEXT => aclrtMemImportFromShareableHandleV2(h, ACL_MEM_SHARE_HANDLE_TYPE_DEFAULT, 0, &mut d);
        NULL => aclrtMemSetPidToShareableHandle(1, nil(), 1);
        NULL => aclrtMemSetPidToShareableHandle(1, &mut pid, 0);
        NULL => aclrtIpcMemGetExportKey(nil(), 8, key.as_mut_ptr(), 65, 0);
        NULL => aclrtIpcMemGetExportKey(h, 8, nil(), 65, 0);
        PARAM => aclrtIpcMemGetExportKey(h, 0, key.as_mut_ptr(), 65, 0);
        PARAM => aclrtIpcMemGetExportKey(h, 8, key.as_mut_ptr(), 0, 0);
        PARAM => aclrtIpcMemGetExportKey(h, 8, key.as_mut_ptr(), 65, 2);
        NO_CONTEXT => aclrtIpcMemGetExportKey(h, 8, key.as_mut_ptr(), 65, 0);
        NULL => aclrtIpcMemImportByKey(nil(), text, 0);
        NULL => aclrtIpcMemImportByKey(&mut d, nil(), 0);
        PARAM => aclrtIpcMemImportByKey(&mut d, text, 2);
        NO_CONTEXT => aclrtIpcMemImportByKey(&mut d, text, 0);
        NULL => aclrtIpcMemClose(nil());
        NO_CONTEXT => aclrtIpcMemClose(text);
        NULL => aclrtIpcMemSetImportPid(nil(), &mut pid, 1);
        NULL => aclrtIpcMemSetImportPid(text, nil(), 1);
        PARAM => aclrtIpcMemSetImportPid(text, &mut pid, 0);
        NO_CONTEXT => aclrtIpcMemSetImportPid(text, &mut pid, 1);
        PARAM => aclrtIpcMemSetAttr(nil(), ACL_RT_IPC_MEM_ATTR_ACCESS_LINK, 0);
        PARAM => aclrtIpcMemSetAttr(text, aclrtIpcMemAttrType(9), 0);
        NO_CONTEXT => aclrtIpcMemSetAttr(text, ACL_RT_IPC_MEM_ATTR_ACCESS_LINK, 0);
        PARAM => aclrtIpcMemImportPidInterServer(nil(), servers.as_mut_ptr(), 1);
        PARAM => aclrtIpcMemImportPidInterServer(text, nil(), 1);
        PARAM => aclrtIpcMemImportPidInterServer(text, servers.as_mut_ptr(), 0);
        PARAM => aclrtIpcMemImportPidInterServer(text, servers.as_mut_ptr(), 1);
        NULL => aclrtMemManagedAdvise(nil(), 8, ACL_MEM_ADVISE_SET_READ_MOSTLY, here);
        NULL => aclrtMemManagedAdvise(h, 0, ACL_MEM_ADVISE_SET_READ_MOSTLY, here);
        PARAM => aclrtMemManagedAdvise(h, 8, aclrtMemManagedAdviseType(99), here);
        PARAM => aclrtMemManagedAdvise(h, 8, ACL_MEM_ADVISE_SET_READ_MOSTLY, absent);
        NO_CONTEXT => aclrtMemManagedAdvise(h, 8, ACL_MEM_ADVISE_SET_READ_MOSTLY, here);
        NULL => aclrtMemManagedGetAttr(ACL_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, nil(), 8, h, 4);
        NULL => aclrtMemManagedGetAttr(ACL_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, h, 8, nil(), 4);
        NULL => aclrtMemManagedGetAttr(ACL_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, h, 0, h, 4);
        PARAM => aclrtMemManagedGetAttr(aclrtMemManagedRangeAttribute(99), h, 8, h, 4);
        NULL => aclrtMemManagedPrefetchAsync(nil(), 8, here, 0, nil());
        NULL => aclrtMemManagedPrefetchAsync(h, 0, here, 0, nil());
        NULL => aclrtMemManagedPrefetchAsync(h, 8, here, 1, nil());
        HANDLE => aclrtMemManagedPrefetchAsync(h, 8, here, 0, h);
    }
    assert_eq!(attributes.location.type_, ACL_MEM_LOCATION_TYPE_UNREGISTERED);
    assert_eq!((free, total, count, found), (1, 1, 0, 0), "two functions clear their answer first");
    assert!(d.is_null() && base.is_null());
}

#[test]
fn work_and_kernels_without_a_context() {
    let _machine = machine();
    let mut plain = Plain([0; 256]);
    let h: *mut core::ffi::c_void = plain.0.as_mut_ptr().cast();
    let sum = ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM;
    let fetch = ACL_RT_CMO_TYPE_PREFETCH;
    let (mut size, mut d, mut value, mut id) = (0, nil(), 0_i64, 0_u32);
    // SAFETY: plain numbers.
    let (mut barrier, random): (aclrtBarrierTaskInfo, aclrtRandomNumTaskInfo) = unsafe { std::mem::zeroed() };
    let mut barriers = barrier;
    barriers.barrierNum = 1;
    let mut full = barriers;
    full.cmoInfo[0].cmoType = ACL_RT_CMO_TYPE_INVALID;
    full.cmoInfo[0].barrierId = 1;
    let name = c"kernel".as_ptr();
    let mut characters = [0; 8];
    answers! {
        NULL => aclrtReduceAsync(nil(), h, 8, sum, ACL_FLOAT, nil(), nil());
        NULL => aclrtReduceAsync(h, nil(), 8, sum, ACL_FLOAT, nil(), nil());
        NULL => aclrtReduceAsync(h, h, 8, sum, ACL_FLOAT, nil(), h);
        NULL => aclrtReduceAsync(h, h, 8, sum, ACL_DOUBLE, nil(), nil());
        NULL => aclrtReduceAsync(h, h, 8, sum, aclDataType(99), nil(), nil());
        HANDLE => aclrtReduceAsync(h, h, 8, sum, ACL_FLOAT, h, nil());
        PARAM => aclrtReduceAsync(h, h, 0, sum, ACL_FLOAT, nil(), nil());
        PARAM => aclrtReduceAsync(h, h, 8, aclrtReduceKind(99), ACL_FLOAT, nil(), nil());
        NO_CONTEXT => aclrtReduceAsync(h, h, 8, sum, ACL_FLOAT, nil(), nil());
        NULL => aclrtRandomNumAsync(nil(), nil(), nil());
        PARAM => aclrtRandomNumAsync(&random, nil(), h);
        NO_CONTEXT => aclrtRandomNumAsync(&random, nil(), nil());
        NULL => aclrtCmoAsync(nil(), 8, fetch, nil());
        NULL => aclrtCmoAsync(h, 0, fetch, nil());
        LACKING => aclrtCmoAsync(h, 8, aclrtCmoType(99), h);
        HANDLE => aclrtCmoAsync(h, 8, fetch, h);
        NO_CONTEXT => aclrtCmoAsync(h, 8, fetch, nil());
        NULL => aclrtCmoAsyncWithBarrier(nil(), 8, fetch, 0, nil());
        LACKING => aclrtCmoAsyncWithBarrier(h, 8, fetch, 0, h);
        LACKING => aclrtCmoAsyncWithBarrier(h, 0, fetch, 1, h);
        NULL => aclrtCmoWaitBarrier(nil(), nil(), 0);
        NULL => aclrtCmoWaitBarrier(&mut barrier, nil(), 0);
        PARAM => aclrtCmoWaitBarrier(&mut barriers, h, 0);
        LACKING => aclrtCmoWaitBarrier(&mut full, h, 0);
        PARAM => aclrtCmoGetDescSize(nil());
        0 => aclrtCmoGetDescSize(&mut size);
        PARAM => aclrtCmoSetDesc(nil(), h, 8);
        PARAM => aclrtCmoSetDesc(h, nil(), 8);
        PARAM => aclrtCmoSetDesc(h, h, 0);
        NO_CONTEXT => aclrtCmoSetDesc(h, h, 8);
        PARAM => aclrtCmoAsyncWithDesc(h, fetch, h, h);
        PARAM => aclrtCmoAsyncWithDesc(nil(), fetch, nil(), nil());
        NULL => aclrtMemPoolDestroy(nil());
        NULL => aclrtMemPoolTrimTo(nil(), 0);
        NULL => aclrtMemPoolSetAttr(nil(), ACL_RT_MEM_POOL_ATTR_RELEASE_THRESHOLD, h);
        NULL => aclrtMemPoolGetAttr(nil(), ACL_RT_MEM_POOL_ATTR_RELEASE_THRESHOLD, h);
        PARAM => aclrtMemPoolGetAttr(h, ACL_RT_MEM_POOL_ATTR_RELEASE_THRESHOLD, nil());
        PARAM => aclrtMemPoolGetAttr(h, aclrtMemPoolAttr(99), h);
        NULL => aclrtMemPoolMallocAsync(nil(), 8, h, h);
        NULL => aclrtMemPoolMallocAsync(&mut d, 8, nil(), h);
        NULL => aclrtMemPoolMallocAsync(&mut d, 8, h, nil());
        0 => aclrtMemPoolMallocAsync(&mut d, 0, h, h);
        HANDLE => aclrtMemPoolMallocAsync(&mut d, 8, h, h);
        NULL => aclrtMemPoolFreeAsync(nil(), h);
        HANDLE => aclrtMemPoolFreeAsync(h, h);
        NULL => aclrtBinaryLoad(nil(), &mut d);
        NULL => aclrtBinaryUnLoad(nil());
        HANDLE => aclrtBinaryUnLoad(h);
        NULL => aclrtBinaryLoadFromFile(nil(), nil(), &mut d);
        NULL => aclrtBinaryLoadFromFile(name, nil(), nil());
        PARAM => aclrtBinaryLoadFromFile(name, nil(), &mut d);
        NULL => aclrtBinaryLoadFromData(nil(), 8, nil(), &mut d);
        NULL => aclrtBinaryLoadFromData(h, 8, nil(), nil());
        PARAM => aclrtBinaryLoadFromData(h, 0, nil(), &mut d);
        NULL => aclrtBinaryGetFunction(nil(), name, &mut d);
        NULL => aclrtBinaryGetFunction(h, nil(), &mut d);
        NULL => aclrtBinaryGetFunction(h, name, nil());
        HANDLE => aclrtBinaryGetFunction(h, name, &mut d);
        NULL => aclrtBinaryGetFunctionByEntry(nil(), 0, &mut d);
        HANDLE => aclrtBinaryGetFunctionByEntry(h, 0, &mut d);
        NULL => aclrtBinaryGetDevAddress(nil(), &mut d, &mut size);
        HANDLE => aclrtBinaryGetDevAddress(h, &mut d, &mut size);
        NULL => aclrtBinaryGetGlobal(nil(), name, &mut d, &mut size);
        NULL => aclrtBinaryGetGlobal(h, name, nil(), nil());
        HANDLE => aclrtBinaryGetGlobal(h, name, &mut d, &mut size);
        NULL => aclrtGetFunctionAddr(nil(), &mut d, &mut d);
        HANDLE => aclrtGetFunctionAddr(h, &mut d, &mut d);
        HANDLE => aclrtGetFunctionSize(h, nil(), nil());
        NULL => aclrtGetFunctionName(h, 8, nil());
        HANDLE => aclrtGetFunctionName(h, 8, characters.as_mut_ptr());
        NULL => aclrtGetFunctionAttribute(nil(), ACL_FUNC_ATTR_KERNEL_TYPE, &mut value);
        HANDLE => aclrtGetFunctionAttribute(h, ACL_FUNC_ATTR_KERNEL_TYPE, &mut value);
        NULL => aclrtRegisterCpuFunc(nil(), name, name, &mut d);
        HANDLE => aclrtRegisterCpuFunc(h, name, name, &mut d);
        NULL => aclrtGetFuncBySymbol(nil(), &mut d);
        NULL => aclrtGetFuncBySymbol(h, nil());
        NULL => aclrtGetSymbolAddress(nil(), &mut d);
        NO_CONTEXT => aclrtGetSymbolAddress(h, &mut d);
        NULL => aclrtGetSymbolSize(h, nil());
        0 => aclrtMemcpyToSymbol(nil(), nil(), 0, 0, aclrtMemcpyKind(99));
        NULL => aclrtMemcpyToSymbol(nil(), h, 8, 0, ACL_MEMCPY_HOST_TO_DEVICE);
        NULL => aclrtMemcpyToSymbol(h, h, 8, 0, ACL_MEMCPY_DEVICE_TO_HOST);
        NULL => aclrtMemcpyFromSymbol(h, 7, h, 8, 0, ACL_MEMCPY_DEVICE_TO_HOST);
        NO_CONTEXT => aclrtMemcpyFromSymbol(h, 8, h, 8, 0, ACL_MEMCPY_DEFAULT);
        NULL => aclrtLaunchKernel(nil(), 1, h, 8, nil());
        NULL => aclrtLaunchKernel(h, 1, nil(), 8, nil());
        HANDLE => aclrtLaunchKernel(h, 1, h, 8, nil());
        NULL => aclrtLaunchKernelV2(nil(), 1, h, 8, nil(), nil());
        HANDLE => aclrtLaunchKernelV2(h, 1, h, 8, nil(), nil());
        NULL => aclrtLaunchKernelWithConfig(nil(), 1, nil(), nil(), h, nil());
        NULL => aclrtLaunchKernelWithConfig(h, 0, nil(), nil(), h, nil());
        NULL => aclrtLaunchKernelWithConfig(h, 1, nil(), nil(), nil(), nil());
        NULL => aclrtLaunchKernelWithConfig(h, 1, nil(), nil(), h, h);
        HANDLE => aclrtLaunchKernelWithConfig(h, 1, nil(), nil(), h, nil());
        NULL => aclrtLaunchKernelWithHostArgs(nil(), 1, nil(), nil(), h, 8, nil(), 0);
        NULL => aclrtLaunchKernelWithHostArgs(h, 1, nil(), nil(), nil(), 8, nil(), 0);
        HANDLE => aclrtLaunchKernelWithHostArgs(h, 1, nil(), nil(), h, 8, nil(), 0);
        NULL => aclrtKernelArgsInit(nil(), &mut d);
        HANDLE => aclrtKernelArgsInit(h, &mut d);
        NULL => aclrtKernelArgsInitByUserMem(h, h, h, 0);
        HANDLE => aclrtKernelArgsInitByUserMem(h, h, h, 8);
        NULL => aclrtKernelArgsGetMemSize(nil(), 8, &mut size);
        HANDLE => aclrtKernelArgsGetMemSize(h, 8, &mut size);
        NULL => aclrtKernelArgsAppend(nil(), h, 8, &mut d);
        NULL => aclrtKernelArgsAppend(h, h, 0, &mut d);
        HANDLE => aclrtKernelArgsAppend(h, h, 8, &mut d);
        HANDLE => aclrtKernelArgsAppendPlaceHolder(h, &mut d);
        HANDLE => aclrtKernelArgsGetPlaceHolderBuffer(h, h, 8, &mut d);
        HANDLE => aclrtKernelArgsParaUpdate(h, h, h, 8);
        NULL => aclrtKernelArgsFinalize(nil());
        HANDLE => aclrtKernelArgsFinalize(h);
        PARAM => aclrtGetHardwareSyncAddr(nil());
        NO_CONTEXT => aclrtGetHardwareSyncAddr(&mut d);
        NULL => aclrtGetThreadLastTaskId(nil());
        0 => aclrtGetThreadLastTaskId(&mut id);
    }
    assert!(d.is_null());
    assert!(acl!(aclrtCreateBinary, nil(), 8).is_null());
}

#[test]
fn wrong_arguments_with_a_context() {
    let _card = card910b();
    let mut plain = Plain([0; 256]);
    let h: *mut core::ffi::c_void = plain.0.as_mut_ptr().cast();
    let (device, other, host, stream) = (device_memory(4096), device_memory(4096), pinned(4096), stream());
    let huge = ACL_MEM_MALLOC_HUGE_FIRST;
    let (mut p, mut size) = (nil(), 0);
    let gone = device_memory(64);
    ok!(aclrtFree, gone);
    let mut foreign = [sys::aclrtMallocAttribute {
        attr: ACL_RT_MEM_ATTR_DEVICE_ID,
        value: sys::aclrtMallocAttrValue { deviceId: 1 },
    }];
    let mut flagged = [sys::aclrtMallocAttribute {
        attr: ACL_RT_MEM_ATTR_VA_FLAG,
        value: sys::aclrtMallocAttrValue { vaFlag: 1 },
    }];
    let mut other_device = aclrtMallocConfig { attrs: foreign.as_mut_ptr(), numAttrs: 1 };
    let mut of_hosts = aclrtMallocConfig { attrs: flagged.as_mut_ptr(), numAttrs: 1 };
    let d2d = ACL_MEMCPY_DEVICE_TO_DEVICE;
    answers! {
        MEMORY => aclrtMalloc(&mut p, 1 << 50, huge);
        MEMORY => aclrtMallocHost(&mut p, 1 << 50);
        LACKING => aclrtMallocCached(&mut p, 64, huge);
        LACKING => aclrtMallocCached(&mut p, 64, ACL_MEM_MALLOC_HUGE_ONLY);
        LACKING => aclrtMallocCached(&mut p, 64, aclrtMemMallocPolicy(99));
        PARAM => aclrtMallocWithCfg(&mut p, 64, huge, &mut other_device);
        PARAM => aclrtMallocWithCfg(&mut p, 64, huge, &mut of_hosts);
        PARAM => aclrtMallocHostWithCfg(&mut p, 64, &mut other_device);
        PARAM => aclrtFree(h);
        PARAM => aclrtFree(gone);
        PARAM => aclrtFree(device.wrapping_byte_add(64));
        PARAM => aclrtFreeHost(device);
        PARAM => aclrtFreeHost(h);
        PARAM => aclrtFreeWithDevSync(gone);
        PARAM => aclrtMemset(device, 7, 0, 8);
        NULL => aclrtMemsetD32(h, 8, 0, 2);
        LACKING => aclrtMemcpyAsync(host, 8, host.wrapping_byte_add(64), 8, ACL_MEMCPY_DEFAULT, stream);
        PARAM => aclrtMemcpyAsync(device, 8, h, 8, ACL_MEMCPY_DEVICE_TO_HOST, stream);
        PARAM => aclrtMemcpy2d(device, 8, other, 8, 4, 4, ACL_MEMCPY_DEFAULT);
        0 => aclrtMemcpy(device, 8, other, 8, d2d);
        0 => aclrtMemcpyAsync(device, 8, other, 8, d2d, nil());
        LACKING => aclrtReduceAsync(device, other, 8, ACL_RT_MEMCPY_SDMA_AUTOMATIC_EQUAL, ACL_FLOAT, stream, nil());
        LACKING => aclrtReduceAsync(device, other, 8, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_UINT8, stream, nil());
        0 => aclrtReduceAsync(device, other, 8, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_FLOAT, stream, nil());
        PARAM => aclrtSetMemcpyDesc(device, ACL_MEMCPY_INNER_DEVICE_TO_DEVICE, h, other, 8, nil());
        0 => aclrtSetMemcpyDesc(device, ACL_MEMCPY_INNER_DEVICE_TO_DEVICE, other, other, 8, nil());
        PARAM => aclrtMemcpyAsyncWithOffset(nil(), 8, 0, nil(), 8, 0, ACL_MEMCPY_HOST_TO_DEVICE, stream);
        PARAM => aclrtMemcpyAsyncWithOffset(nil(), 8, 0, nil(), 8, 0, ACL_MEMCPY_INNER_DEVICE_TO_DEVICE, stream);
        ACL_ERROR_HOST_MEMORY_NOT_REGISTERED => aclrtHostUnregister(h);
        PARAM => aclrtHostGetDevicePointer(h, &mut p, 0);
        LACKING => aclrtIpcMemSetAttr(c"key".as_ptr(), ACL_RT_IPC_MEM_ATTR_ACCESS_LINK, 0);
        PARAM => aclrtUnmapMem(h);
        PARAM => aclrtReleaseMemAddress(h);
        507_000 => aclrtMemPoolDestroy(h);
        507_000 => aclrtMemPoolTrimTo(h, 0);
        507_000 => aclrtMemPoolFreeAsync(device, nil());
        107_043 => aclrtGetSymbolSize(h, &mut size);
        107_044 => aclrtGetFuncBySymbol(h, &mut p);
    }
    let mut pool = nil();
    ok!(aclrtMemPoolCreate, &mut pool, &pool_properties());
    answers! {
        PARAM => aclrtMemPoolMallocAsync(&mut p, usize::MAX, pool, stream);
        507_000 => aclrtMemPoolMallocAsync(&mut p, 1 << 60, pool, stream);
        PARAM => aclrtMemPoolSetAttr(pool, ACL_RT_MEM_POOL_ATTR_RELEASE_THRESHOLD, nil());
        PARAM => aclrtMemPoolSetAttr(pool, ACL_RT_MEM_POOL_ATTR_USED_MEM_CURRENT, h);
    }
    let carried = [Carry(pool), Carry(stream)];
    std::thread::spawn(move || {
        let [pool, stream] = { carried }.map(|handle| handle.0);
        let mut p = nil();
        answers! {
            107_003 => aclrtMemPoolMallocAsync(&mut p, 8, pool, stream);
            107_003 => aclrtMemPoolFreeAsync(stream, stream);
        }
    })
    .join()
    .unwrap();
    ok!(aclrtMemPoolDestroy, pool);
    assert!(p.is_null());
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtSynchronizeDevice);
    ok!(aclrtDestroyStream, stream);
    for memory in [device, other] {
        ok!(aclrtFree, memory);
    }
    ok!(aclrtFreeHost, host);
}

#[test]
fn answers_when_all_is_well() {
    let _card = card910b();
    let (mut free, mut total) = (0, 0);
    ok!(aclrtGetMemInfo, ACL_HBM_MEM, &mut free, &mut total);
    assert!(0 < free && free <= total);
    for attribute in
        [ACL_HBM_MEM_HUGE, ACL_HBM_MEM_NORMAL, ACL_HBM_MEM_P2P_HUGE, ACL_MEM_NORMAL, ACL_MEM_HUGE]
    {
        ok!(aclrtGetMemInfo, attribute, &mut free, &mut total);
    }
    let mut cached = nil();
    ok!(aclrtMallocCached, &mut cached, 100, ACL_MEM_MALLOC_NORMAL_ONLY);
    // SAFETY: plain numbers.
    let mut attributes: aclrtPtrAttributes = unsafe { std::mem::zeroed() };
    ok!(aclrtPointerGetAttributes, cached, &mut attributes);
    assert_eq!((attributes.location.type_, attributes.location.id), (ACL_MEM_LOCATION_TYPE_DEVICE, 0));
    ok!(aclrtFree, cached);
    for policy in (0..8).chain([99]) {
        let mut memory = nil();
        ok!(aclrtMalloc, &mut memory, 1, aclrtMemMallocPolicy(policy));
        assert!(memory.addr().is_multiple_of(64));
        ok!(aclrtFree, memory);
    }
    let host = pinned(1);
    ok!(aclrtPointerGetAttributes, host, &mut attributes);
    assert_eq!((attributes.location.type_, attributes.location.id), (ACL_MEM_LOCATION_TYPE_HOST, 0));
    ok!(aclrtFreeHost, host);
}

/// Older chips lack whole functions, and say so whatever the arguments.
#[test]
fn older_chips() {
    let _card = card();
    let mut p = nil();
    answers! {
        LACKING => aclrtMemPoolCreate(nil(), nil());
        LACKING => aclrtMemsetD32(nil(), 0, 0, 0);
        LACKING => aclrtMallocCached(&mut p, 64, ACL_MEM_MALLOC_HUGE_FIRST);
        LACKING => aclrtMalloc(&mut p, 64, ACL_MEM_MALLOC_HUGE_FIRST_P2P);
        LACKING => aclrtMalloc(&mut p, 64, ACL_MEM_MALLOC_HUGE1G_ONLY);
    }
}

#[test]
fn allocators_of_the_program() {
    let _machine = machine();
    let mut plain = Plain([0; 256]);
    let h: *mut core::ffi::c_void = plain.0.as_mut_ptr().cast();
    let desc = acl!(aclrtAllocatorCreateDesc);
    let mut found = nil();
    unsafe extern "C" fn free(_: aclrtAllocator, _: aclrtAllocatorBlock) {}
    answers! {
        NULL => aclrtAllocatorSetObjToDesc(nil(), h);
        NULL => aclrtAllocatorSetObjToDesc(desc, nil());
        NULL => aclrtAllocatorSetAllocFuncToDesc(desc, None);
        NULL => aclrtAllocatorSetFreeFuncToDesc(nil(), Some(free));
        NULL => aclrtAllocatorRegister(nil(), desc);
        NULL => aclrtAllocatorRegister(h, nil());
        NULL => aclrtAllocatorRegister(h, desc);
        0 => aclrtAllocatorSetObjToDesc(desc, h);
        0 => aclrtAllocatorSetFreeFuncToDesc(desc, Some(free));
        NULL => aclrtAllocatorRegister(h, desc);
        NULL => aclrtAllocatorGetByStream(nil(), &mut found, nil(), nil(), nil(), nil(), nil());
        NULL => aclrtAllocatorGetByStream(h, nil(), nil(), nil(), nil(), nil(), nil());
        NULL => aclrtAllocatorGetByStream(h, &mut found, nil(), nil(), nil(), nil(), nil());
        NULL => aclrtAllocatorUnregister(nil());
        0 => aclrtAllocatorUnregister(h);
        NULL => aclrtAllocatorDestroyDesc(nil());
        0 => aclrtAllocatorDestroyDesc(desc);
    }
}
