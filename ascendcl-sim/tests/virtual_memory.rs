//! Reserved addresses, physical memory, and mappings between the two.

mod child;
mod common;

use core::ffi::c_void;
use std::ptr;

use ascendcl_sim::LiveKind;
use common::*;

const PAGE: usize = 2 << 20;

fn properties(
    location: sys::aclrtMemLocationType,
    attribute: sys::aclrtMemAttr,
) -> sys::aclrtPhysicalMemProp {
    sys::aclrtPhysicalMemProp {
        handleType: sys::ACL_MEM_HANDLE_TYPE_NONE,
        allocationType: sys::ACL_MEM_ALLOCATION_TYPE_PINNED,
        memAttr: attribute,
        location: sys::aclrtMemLocation { id: 0, type_: location },
        reserve: 0,
    }
}

fn device() -> sys::aclrtPhysicalMemProp {
    properties(sys::ACL_MEM_LOCATION_TYPE_DEVICE, sys::ACL_HBM_MEM_HUGE)
}

fn host() -> sys::aclrtPhysicalMemProp {
    properties(sys::ACL_MEM_LOCATION_TYPE_HOST, sys::ACL_MEM_HUGE)
}

fn reserve(size: usize) -> *mut c_void {
    let mut pointer = ptr::null_mut();
    ok!(aclrtReserveMemAddress, &mut pointer, size, 0, ptr::null_mut(), 0);
    pointer
}

fn physical(size: usize, prop: &sys::aclrtPhysicalMemProp) -> *mut c_void {
    let mut handle = ptr::null_mut();
    ok!(aclrtMallocPhysical, &mut handle, size, prop, 0);
    handle
}

fn at(pointer: *mut c_void, offset: usize) -> *mut c_void {
    pointer.wrapping_byte_add(offset)
}

fn read(pointer: *const c_void, len: usize) -> Vec<u8> {
    let mut bytes = vec![0_u8; len];
    let to = bytes.as_mut_ptr().cast();
    ok!(aclrtMemcpy, to, len, pointer, len, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    bytes
}

fn write(pointer: *mut c_void, bytes: &[u8]) {
    let (from, len) = (bytes.as_ptr().cast(), bytes.len());
    ok!(aclrtMemcpy, pointer, len, from, len, sys::ACL_MEMCPY_HOST_TO_DEVICE);
}

fn free_bytes() -> usize {
    let (mut free, mut total) = (0, 0);
    ok!(aclrtGetMemInfo, sys::ACL_HBM_MEM_HUGE, &mut free, &mut total);
    free
}

#[test]
fn mapped_addresses_are_memory_and_unmapped_ones_are_not() {
    let _session = card();
    let before = free_bytes();
    let base = reserve(4 * PAGE);
    assert!(base.addr().is_multiple_of(PAGE));
    assert_eq!(free_bytes(), before, "addresses cost no memory");
    assert_eq!(acl!(aclrtMemset, base, PAGE, 1, 16), 107_000);
    let handle = physical(2 * PAGE, &device());
    assert_eq!(before - free_bytes(), 2 * PAGE);
    ok!(aclrtMapMem, at(base, PAGE), 2 * PAGE, 0, handle, 0);
    assert_eq!(read(at(base, PAGE), 4), [0xcb; 4], "fresh memory is poisoned");
    write(at(base, 2 * PAGE - 2), &[1, 2, 3, 4]);
    assert_eq!(read(at(base, 2 * PAGE - 3), 6), [0xcb, 1, 2, 3, 4, 0xcb]);
    // Between mapped memory, other memory and a stream.
    let (other, stream) = (device_memory(64), stream());
    ok!(aclrtMemcpyAsync, other, 64, at(base, 2 * PAGE - 2), 4, sys::ACL_MEMCPY_DEVICE_TO_DEVICE, stream);
    ok!(aclrtMemsetAsync, at(base, PAGE), 8, 9, 8, stream);
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(read(other, 4), [1, 2, 3, 4]);
    assert_eq!(read(at(base, PAGE), 8), [9; 8]);
    assert_eq!(acl!(aclrtMemset, base, PAGE, 1, 16), 107_000, "not mapped");
    assert_eq!(acl!(aclrtMemset, at(base, 3 * PAGE - 8), 16, 1, 16), 107_000, "past the end");
    assert_eq!(acl!(aclrtFree, at(base, PAGE)), 107_000);
    // SAFETY: plain numbers, for which zeros are good.
    let mut attributes: sys::aclrtPtrAttributes = unsafe { std::mem::zeroed() };
    ok!(aclrtPointerGetAttributes, at(base, PAGE), &mut attributes);
    assert_eq!(attributes.location.type_, sys::ACL_MEM_LOCATION_TYPE_DEVICE);

    assert_eq!(acl!(aclrtReleaseMemAddress, at(base, PAGE)), 107_000, "mapped");
    assert_eq!(acl!(aclrtReleaseMemAddress, base), 507_899, "something is mapped");
    ok!(aclrtFreePhysical, handle);
    assert_eq!(
        before - free_bytes(),
        2 * PAGE + (64 + 32_usize).next_multiple_of(4096).next_multiple_of(PAGE)
    );
    assert_eq!(read(at(base, PAGE), 8), [9; 8], "it stays while it is mapped");
    assert_eq!(acl!(aclrtFreePhysical, handle), 107_017);
    assert_eq!(acl!(aclrtMapMem, base, PAGE, 0, handle, 0), 107_017);
    assert_eq!(acl!(aclrtUnmapMem, at(base, 2 * PAGE)), 107_000, "not its start");
    ok!(aclrtUnmapMem, at(base, PAGE));
    assert_eq!(acl!(aclrtUnmapMem, at(base, PAGE)), 507_899);
    ok!(aclrtFree, other);
    assert_eq!(free_bytes(), before);
    ok!(aclrtReleaseMemAddress, base);
    assert_eq!(acl!(aclrtReleaseMemAddress, base), 107_000);
    assert_eq!(acl!(aclrtMemset, at(base, PAGE), 16, 1, 16), 107_000, "stale");
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn two_mappings_of_one_piece_show_the_same_bytes() {
    let _session = card();
    let (one, two) = (reserve(PAGE), reserve(PAGE));
    let handle = physical(PAGE, &device());
    ok!(aclrtMapMem, one, PAGE, 0, handle, 0);
    ok!(aclrtMapMem, two, PAGE, 0, handle, 0);
    write(at(one, 100), b"both");
    assert_eq!(read(at(two, 100), 4), b"both");
    let mut again = ptr::null_mut();
    ok!(aclrtMemRetainAllocationHandle, at(two, 12), &mut again);
    assert_eq!(again, handle);
    ok!(aclrtFreePhysical, handle);
    ok!(aclrtUnmapMem, one);
    ok!(aclrtUnmapMem, two);
    ok!(aclrtMapMem, one, PAGE, 0, again, 0);
    assert_eq!(read(at(one, 100), 4), b"both", "the retained handle kept it");
    ok!(aclrtUnmapMem, one);
    ok!(aclrtFreePhysical, again);
    assert_eq!(acl!(aclrtFreePhysical, again), 107_017);
    ok!(aclrtReleaseMemAddress, one);
    ok!(aclrtReleaseMemAddress, two);
}

#[test]
fn memory_of_the_host_is_mapped_for_the_host() {
    let _session = card();
    let base = reserve(2 * PAGE);
    let handle = physical(PAGE, &host());
    ok!(aclrtMapMem, base, PAGE, 0, handle, 0);
    // SAFETY: the memory is mapped, for the host too.
    unsafe { base.cast::<u8>().write_bytes(5, 16) };
    let on_device = device_memory(16);
    ok!(aclrtMemcpy, on_device, 16, base, 16, sys::ACL_MEMCPY_HOST_TO_DEVICE);
    assert_eq!(read(on_device, 16), [5; 16]);
    let (mut flag, mut location) =
        (9, sys::aclrtMemLocation { id: 0, type_: sys::ACL_MEM_LOCATION_TYPE_HOST });
    ok!(aclrtMemGetAccess, base, &mut location, &mut flag);
    assert_eq!(flag, 3);
    let mut desc = access(sys::ACL_MEM_LOCATION_TYPE_DEVICE, 0);
    assert_eq!(acl!(aclrtMemSetAccess, base, PAGE, &mut desc, 1), 207_000);
    let other = physical(PAGE, &device());
    assert_eq!(acl!(aclrtMapMem, at(base, PAGE), PAGE, 0, other, 0), 107_000, "not both in one range");
    ok!(aclrtFreePhysical, other);
    ok!(aclrtUnmapMem, base);
    ok!(aclrtFreePhysical, handle);
    ok!(aclrtReleaseMemAddress, base);
    ok!(aclrtFree, on_device);
}

fn access(type_: sys::aclrtMemLocationType, id: u32) -> sys::aclrtMemAccessDesc {
    sys::aclrtMemAccessDesc {
        flags: sys::ACL_RT_MEM_ACCESS_FLAGS_READWRITE,
        location: sys::aclrtMemLocation { id, type_ },
        rsv: [0; 12],
    }
}

#[test]
fn access_is_given_and_told() {
    let _session = card();
    let base = reserve(PAGE);
    let handle = physical(PAGE, &device());
    let mut desc = access(sys::ACL_MEM_LOCATION_TYPE_DEVICE, 1);
    assert_eq!(acl!(aclrtMemSetAccess, base, PAGE, &mut desc, 1), 507_899, "not mapped");
    ok!(aclrtMapMem, base, PAGE, 0, handle, 0);
    write(base, &[1; 8]);
    let mut flag = 9;
    let (mut own, mut other) = (desc.location, desc.location);
    own.id = 0;
    ok!(aclrtMemGetAccess, base, &mut own, &mut flag);
    assert_eq!(flag, 3);
    ok!(aclrtMemGetAccess, base, &mut other, &mut flag);
    assert_eq!(flag, 0);
    // Another device does not reach it before it is told that it may.
    ok!(aclrtSetDevice, 1);
    assert_eq!(acl!(aclrtMemset, base, 8, 2, 8), 107_000);
    ok!(aclrtMemSetAccess, base, PAGE, &mut desc, 1);
    ok!(aclrtMemset, base, 8, 2, 8);
    ok!(aclrtMemGetAccess, at(base, 3), &mut other, &mut flag);
    assert_eq!(flag, 3);
    ok!(aclrtResetDevice, 1);
    ok!(aclrtSetDevice, 0);
    // The host reaches it once it was told so.
    let mut for_host = access(sys::ACL_MEM_LOCATION_TYPE_HOST, 0);
    ok!(aclrtMemSetAccess, base, PAGE, &mut for_host, 1);
    // SAFETY: mapped for the host.
    assert_eq!(unsafe { base.cast::<[u8; 8]>().read() }, [2; 8]);
    // What is refused.
    assert_eq!(acl!(aclrtMemSetAccess, ptr::null_mut(), PAGE, &mut desc, 1), 107_000);
    assert_eq!(acl!(aclrtMemSetAccess, base, PAGE, ptr::null_mut(), 1), 107_000);
    assert_eq!(acl!(aclrtMemSetAccess, base, PAGE, &mut desc, 0), 107_000);
    assert_eq!(acl!(aclrtMemSetAccess, base, PAGE, &mut desc, 66), 107_000);
    assert_eq!(acl!(aclrtMemSetAccess, base, PAGE / 2, &mut desc, 1), 507_899);
    let mut twice = [desc, desc];
    assert_eq!(acl!(aclrtMemSetAccess, base, PAGE, twice.as_mut_ptr(), 2), 107_000);
    desc.flags = sys::ACL_RT_MEM_ACCESS_FLAGS_READ;
    assert_eq!(acl!(aclrtMemSetAccess, base, PAGE, &mut desc, 1), 207_000);
    assert_eq!(acl!(aclrtMemGetAccess, ptr::null_mut(), &mut own, &mut flag), 100_000);
    ok!(aclrtUnmapMem, base);
    ok!(aclrtFreePhysical, handle);
    ok!(aclrtReleaseMemAddress, base);
    ok!(aclrtResetDevice, 0);
}

#[test]
fn arguments_are_checked_in_order() {
    let _session = card();
    let (mut pointer, null) = (ptr::null_mut(), ptr::null_mut());
    assert_eq!(acl!(aclrtReserveMemAddress, ptr::null_mut(), 0, 1, null, 2), 100_000);
    assert_eq!(acl!(aclrtReserveMemAddress, &mut pointer, 0, 1, null, 0), 100_000);
    assert_eq!(acl!(aclrtReserveMemAddress, &mut pointer, PAGE, 1, null, 2), 100_000);
    assert_eq!(acl!(aclrtReserveMemAddress, &mut pointer, PAGE, 1, null, 0), 107_000);
    let odd = ptr::without_provenance_mut((16 << 40) + 4096);
    assert_eq!(acl!(aclrtReserveMemAddress, &mut pointer, PAGE, 0, odd, 0), 107_000);
    let low = ptr::without_provenance_mut(PAGE);
    assert_eq!(acl!(aclrtReserveMemAddress, &mut pointer, PAGE, 0, low, 0), 107_000);
    let named = ptr::without_provenance_mut((17 << 40) + PAGE);
    ok!(aclrtReserveMemAddress, &mut pointer, PAGE, 0, named, 1);
    assert_eq!(pointer, named);
    assert_eq!(acl!(aclrtReserveMemAddress, &mut pointer, PAGE, 0, named, 1), 207_001, "taken");
    ok!(aclrtReleaseMemAddress, named);
    ok!(aclrtReserveMemAddress, &mut pointer, PAGE, 0, named, 1);
    assert_eq!(acl!(aclrtReserveMemAddressNoUCMemory, &mut pointer, PAGE, 0, named, 1), 207_000);

    let mut handle = ptr::null_mut();
    let good = device();
    assert_eq!(acl!(aclrtMallocPhysical, ptr::null_mut(), PAGE, &good, 0), 100_000);
    assert_eq!(acl!(aclrtMallocPhysical, &mut handle, PAGE, ptr::null(), 0), 100_000);
    assert_eq!(acl!(aclrtMallocPhysical, &mut handle, 0, &good, 0), 100_000);
    assert_eq!(acl!(aclrtMallocPhysical, &mut handle, PAGE, &good, 1), 100_000);
    assert_eq!(acl!(aclrtMallocPhysical, &mut handle, PAGE / 2, &good, 0), 107_000);
    assert_eq!(acl!(aclrtMallocPhysical, &mut handle, 1 << 40, &good, 0), 207_001);
    let mut bad = good;
    bad.handleType = sys::ACL_MEM_HANDLE_TYPE_POSIX;
    assert_eq!(acl!(aclrtMallocPhysical, &mut handle, PAGE, &bad, 0), 100_000);
    bad = properties(sys::ACL_MEM_LOCATION_TYPE_DEVICE, sys::ACL_DDR_MEM_HUGE);
    assert_eq!(acl!(aclrtMallocPhysical, &mut handle, PAGE, &bad, 0), 100_000);
    bad.memAttr = sys::ACL_HBM_MEM;
    assert_eq!(acl!(aclrtMallocPhysical, &mut handle, PAGE, &bad, 0), 100_000);
    bad.memAttr = sys::ACL_HBM_MEM_HUGE1G;
    assert_eq!(acl!(aclrtMallocPhysical, &mut handle, PAGE, &bad, 0), 207_000);
    bad = good;
    bad.location.id = 9;
    assert_eq!(acl!(aclrtMallocPhysical, &mut handle, PAGE, &bad, 0), 107_001);
    bad = good;
    bad.reserve = 1;
    assert_eq!(acl!(aclrtMallocPhysical, &mut handle, PAGE, &bad, 0), 107_000);
    bad = host();
    bad.location.id = 1;
    assert_eq!(acl!(aclrtMallocPhysical, &mut handle, PAGE, &bad, 0), 207_000);

    let handle = physical(PAGE, &good);
    assert_eq!(acl!(aclrtMapMem, ptr::null_mut(), PAGE, 0, handle, 0), 100_000);
    assert_eq!(acl!(aclrtMapMem, named, 0, 0, handle, 0), 100_000);
    assert_eq!(acl!(aclrtMapMem, named, PAGE, 0, handle, 1), 100_000);
    assert_eq!(acl!(aclrtMapMem, named, PAGE, 1, handle, 0), 107_000);
    assert_eq!(acl!(aclrtMapMem, at(named, 1), PAGE, 0, handle, 0), 507_899);
    assert_eq!(acl!(aclrtMapMem, at(named, PAGE), PAGE, 0, handle, 0), 107_000, "in no range");
    assert_eq!(acl!(aclrtMapMem, named, 2 * PAGE, 0, handle, 0), 107_000, "more than there is");
    ok!(aclrtMapMem, named, PAGE, 0, handle, 0);
    assert_eq!(acl!(aclrtMapMem, named, PAGE, 0, handle, 0), 507_899, "mapped twice");
    ok!(aclrtUnmapMem, named);
    ok!(aclrtReleaseMemAddress, named);

    let mut known = host();
    ok!(aclrtMemGetAllocationPropertiesFromHandle, handle, &mut known);
    assert_eq!((known.memAttr, known.location.type_), (good.memAttr, good.location.type_));
    let (mut granularity, mut prop) = (0, good);
    let least = sys::ACL_RT_MEM_ALLOC_GRANULARITY_MINIMUM;
    ok!(aclrtMemGetAllocationGranularity, &mut prop, least, &mut granularity);
    assert_eq!(granularity, PAGE);
    let undefined = sys::ACL_RT_MEM_ALLOC_GRANULARITY_UNDEF;
    assert_eq!(acl!(aclrtMemGetAllocationGranularity, &mut prop, undefined, &mut granularity), 207_000);
    ok!(aclrtFreePhysical, handle);
    assert_eq!(acl!(aclrtUnmapMem, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtMemRetainAllocationHandle, named, (&raw mut known).cast()), 107_000);
}

#[test]
fn work_under_way_notices_that_its_memory_is_unmapped() {
    let _session = card();
    let (base, stream) = (reserve(PAGE), stream());
    let handle = physical(PAGE, &device());
    ok!(aclrtMapMem, base, PAGE, 0, handle, 0);
    let gate = Gate::new();
    gate.hold(stream);
    ok!(aclrtMemsetAsync, base, PAGE, 1, 16, stream);
    ok!(aclrtUnmapMem, base);
    gate.open();
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 507_013);
    ok!(aclrtFreePhysical, handle);
    ok!(aclrtReleaseMemAddress, base);
    ok!(aclrtDestroyStreamForce, stream);
}

#[test]
fn a_reset_ends_mappings_and_what_is_left_is_told() {
    let _session = card();
    let base = reserve(PAGE);
    let handle = physical(PAGE, &device());
    ok!(aclrtMapMem, base, PAGE, 0, handle, 0);
    let kinds: Vec<LiveKind> = live().iter().map(|live| live.kind).collect();
    assert!(kinds.contains(&LiveKind::AddressRange) && kinds.contains(&LiveKind::PhysicalMemory));
    ok!(aclrtResetDeviceForce, 0);
    ok!(aclrtSetDevice, 0);
    assert_eq!(acl!(aclrtMemset, base, PAGE, 1, 16), 107_000);
    assert_eq!(acl!(aclrtFreePhysical, handle), 107_017);
    ok!(aclrtReleaseMemAddress, base);
}

#[test]
fn everything_works_on_a_chip_that_has_it() {
    let _session = full();
    let (far, mut pointer) = (ptr::without_provenance_mut(41 << 40), ptr::null_mut());
    assert_eq!(acl!(aclrtReserveMemAddressNoUCMemory, &mut pointer, PAGE, 0, far, 0), 107_000);
    ok!(aclrtReserveMemAddressNoUCMemory, &mut pointer, 1 << 30, 0, far, 0);
    let giant = physical(1 << 30, &properties(sys::ACL_MEM_LOCATION_TYPE_DEVICE, sys::ACL_HBM_MEM_HUGE1G));
    assert_eq!(acl!(aclrtMapMem, pointer, PAGE, 0, giant, 0), 507_899);
    ok!(aclrtMapMem, pointer, 1 << 30, 0, giant, 0);
    let again = reserve(1 << 30);
    assert_eq!(acl!(aclrtMemMapSelectedLink, again, 1 << 30, pointer, 2), 100_000);
    assert_eq!(acl!(aclrtMemMapSelectedLink, again, 1 << 30, at(pointer, PAGE), 1), 107_000);
    ok!(aclrtMemMapSelectedLink, again, 1 << 30, pointer, 1);
    write(at(pointer, 1 << 29), b"middle");
    assert_eq!(read(at(again, 1 << 29), 6), b"middle");
    for range in [pointer, again] {
        ok!(aclrtUnmapMem, range);
        ok!(aclrtReleaseMemAddress, range);
    }
    ok!(aclrtFreePhysical, giant);
}

fn pid() -> i32 {
    std::process::id() as i32
}

#[test]
fn physical_memory_is_shared_with_another_process() {
    let _session = card();
    let mut second = child::Second::start("child_imports_physical_memory", &[]);
    let base = reserve(PAGE);
    let handle = physical(PAGE, &device());
    ok!(aclrtMapMem, base, PAGE, 0, handle, 0);
    write(base, b"from the parent");
    let mut number = 0;
    let none = sys::ACL_MEM_HANDLE_TYPE_NONE;
    assert_eq!(acl!(aclrtMemExportToShareableHandle, handle, none, 2, &mut number), 107_000);
    ok!(aclrtMemExportToShareableHandle, handle, none, 0, &mut number);
    assert_eq!(acl!(aclrtMemExportToShareableHandle, handle, none, 0, &mut number), 507_899, "once");
    let mut own = ptr::null_mut();
    assert_ne!(acl!(aclrtMemImportFromShareableHandle, number, 0, &mut own), 0, "not in one process");
    second.say(&number.to_string());
    assert_eq!(second.hear(), "207006");
    let mut child = second.pid();
    assert_eq!(acl!(aclrtMemSetPidToShareableHandle, number, ptr::null_mut(), 1), 100_000);
    assert_eq!(acl!(aclrtMemSetPidToShareableHandle, number + 1, &mut child, 1), 107_000);
    ok!(aclrtMemSetPidToShareableHandle, number, &mut child, 1);
    second.say("allowed");
    assert_eq!(second.hear(), "from the parent");
    assert_eq!(read(base, 15), b"from the child!");
    // What is imported outlives its process.
    ok!(aclrtUnmapMem, base);
    ok!(aclrtFreePhysical, handle);
    ok!(aclrtReleaseMemAddress, base);
    second.say("freed");
    assert_eq!(second.hear(), "from the child!");
    second.finish();
}

#[test]
#[ignore = "a child of another test"]
fn child_imports_physical_memory() {
    let _session = card();
    let number: u64 = child::hear().unwrap().parse().unwrap();
    let mut handle = ptr::null_mut();
    assert_eq!(acl!(aclrtMemImportFromShareableHandle, 1, 0, &mut handle), 507_899);
    assert_eq!(acl!(aclrtMemImportFromShareableHandle, number, 9, &mut handle), 107_001);
    child::say(&acl!(aclrtMemImportFromShareableHandle, number, 0, &mut handle).to_string());
    child::hear();
    ok!(aclrtMemImportFromShareableHandle, number, 0, &mut handle);
    let mut own = pid();
    assert_eq!(acl!(aclrtMemSetPidToShareableHandle, number, &mut own, 1), 107_000, "not the exporter");
    let mut prop = device();
    assert_eq!(acl!(aclrtMemGetAllocationPropertiesFromHandle, handle, &mut prop), 207_000);
    let base = reserve(PAGE);
    ok!(aclrtMapMem, base, PAGE, 0, handle, 0);
    let said = read(base, 15);
    write(base, b"from the child!");
    child::say(&String::from_utf8(said).unwrap());
    child::hear();
    child::say(&String::from_utf8(read(base, 15)).unwrap());
    let mut late = ptr::null_mut();
    assert_eq!(acl!(aclrtMemImportFromShareableHandle, number, 0, &mut late), 507_899, "withdrawn");
    ok!(aclrtUnmapMem, base);
    ok!(aclrtFreePhysical, handle);
    ok!(aclrtReleaseMemAddress, base);
}

#[test]
fn the_newer_functions_share_too() {
    let _session = full();
    let mut second = child::Second::start("child_imports_for_fabric", &[("ASCENDCL_SIM_PROFILE", "full")]);
    let handle = physical(PAGE, &device());
    let base = reserve(PAGE);
    ok!(aclrtMapMem, base, PAGE, 0, handle, 0);
    write(base, b"fabric");
    let mut fabric = sys::aclrtMemFabricHandle { data: [0; 128] };
    let place: *mut c_void = (&raw mut fabric).cast();
    let kind = sys::ACL_MEM_SHARE_HANDLE_TYPE_FABRIC;
    let unknown = sys::aclrtMemSharedHandleType(7);
    assert_eq!(acl!(aclrtMemExportToShareableHandleV2, handle, 1, unknown, place), 107_000);
    ok!(aclrtMemExportToShareableHandleV2, handle, 1, kind, place);
    let mut child = second.pid();
    assert_eq!(acl!(aclrtMemSetPidToShareableHandleV2, place, kind, &mut child, 1), 207_006);
    let text: String = fabric.data.iter().map(|byte| format!("{byte:02x}")).collect();
    second.say(&text);
    assert_eq!(second.hear(), "fabric");
    second.finish();
    ok!(aclrtUnmapMem, base);
    ok!(aclrtFreePhysical, handle);
    ok!(aclrtReleaseMemAddress, base);
}

#[test]
#[ignore = "a child of another test"]
fn child_imports_for_fabric() {
    let _session = full();
    let text = child::hear().unwrap();
    let mut fabric = sys::aclrtMemFabricHandle { data: [0; 128] };
    for (index, byte) in fabric.data.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap();
    }
    let mut handle = ptr::null_mut();
    let place: *mut c_void = (&raw mut fabric).cast();
    let kind = sys::ACL_MEM_SHARE_HANDLE_TYPE_FABRIC;
    assert_eq!(acl!(aclrtMemImportFromShareableHandleV2, place, kind, 1, &mut handle), 100_000);
    ok!(aclrtMemImportFromShareableHandleV2, place, kind, 0, &mut handle);
    let base = reserve(PAGE);
    ok!(aclrtMapMem, base, PAGE, 0, handle, 0);
    ok!(aclrtFreePhysical, handle);
    child::say(&String::from_utf8(read(base, 6)).unwrap());
    ok!(aclrtUnmapMem, base);
    ok!(aclrtReleaseMemAddress, base);
}
