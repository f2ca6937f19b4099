//! Host memory registered with a device.

mod common;

use core::ffi::c_void;
use std::alloc::{Layout, alloc, dealloc};
use std::ptr;

use ascendcl_sim::LiveKind;
use common::*;

const MAPPED: sys::aclrtHostRegisterType = sys::ACL_HOST_REGISTER_MAPPED;
const H2D: sys::aclrtMemcpyKind = sys::ACL_MEMCPY_HOST_TO_DEVICE;
const PAGE: usize = 4096;

/// Plain host memory on pages of its own.
struct Plain(*mut c_void, usize);

impl Plain {
    fn new(size: usize) -> Self {
        // SAFETY: the size is not 0.
        Self(unsafe { alloc(Layout::from_size_align(size, PAGE).unwrap()) }.cast(), size)
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.0.cast(), Layout::from_size_align(self.1, PAGE).unwrap()) };
    }
}

fn location(pointer: *const c_void) -> sys::aclrtMemLocationType {
    let mut attributes = std::mem::MaybeUninit::<sys::aclrtPtrAttributes>::uninit();
    ok!(aclrtPointerGetAttributes, pointer, attributes.as_mut_ptr());
    // SAFETY: the call succeeded.
    unsafe { attributes.assume_init() }.location.type_
}

#[test]
fn registered_memory_is_pinned() {
    let _session = full();
    let (plain, stream, device) = (Plain::new(2 * PAGE), stream(), device_memory(16));
    let mut mapped = ptr::null_mut();
    assert_eq!(location(plain.0), sys::ACL_MEM_LOCATION_TYPE_UNREGISTERED);
    ok!(aclrtHostRegister, plain.0, 2 * PAGE as u64, MAPPED, &mut mapped);
    assert_eq!(live().last().unwrap().kind, LiveKind::HostRegistration);
    assert_eq!(location(plain.0), sys::ACL_MEM_LOCATION_TYPE_HOST);
    assert_eq!(location(mapped), sys::ACL_MEM_LOCATION_TYPE_DEVICE);
    assert_ne!(mapped, plain.0);

    // A copy from plain memory would wait for the stream.
    bytes(plain.0, 16).fill(1);
    let gate = Gate::new();
    gate.hold(stream);
    ok!(aclrtMemcpyAsync, device, 16, plain.0, 16, H2D, stream);
    assert!(!is_complete(stream));
    bytes(plain.0, 16).fill(2);
    gate.open();
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(download(device, 16), [2; 16]);

    // The device's address is for kernels.
    assert_eq!(acl!(aclrtMemcpy, device, 16, mapped, 16, sys::ACL_MEMCPY_DEVICE_TO_DEVICE), 107_000);
    assert_eq!(acl!(aclrtFree, mapped), 107_000);
    let mut inside = ptr::null_mut();
    ok!(aclrtHostGetDevicePointer, plain.0.wrapping_byte_add(100), &mut inside, 0);
    assert_eq!(inside, mapped.wrapping_byte_add(100));

    assert_eq!(acl!(aclrtHostRegister, plain.0, 1, MAPPED, &mut inside), 507_910);
    let second = plain.0.wrapping_byte_add(PAGE);
    assert_eq!(acl!(aclrtHostRegisterV2, second, 1, sys::ACL_HOST_REG_PINNED), 507_910);
    assert_eq!(acl!(aclrtHostUnregister, second), 507_911);
    ok!(aclrtHostUnregister, plain.0);
    assert_eq!(acl!(aclrtHostUnregister, plain.0), 507_911);
    assert_eq!(location(plain.0), sys::ACL_MEM_LOCATION_TYPE_UNREGISTERED);
    assert_eq!(acl!(aclrtHostGetDevicePointer, plain.0, &mut inside, 0), 107_000);
    ok!(aclrtFree, device);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn registration_answers() {
    let session = full();
    let plain = Plain::new(PAGE);
    let mut mapped = ptr::null_mut();
    assert_eq!(acl!(aclrtHostRegister, ptr::null_mut(), 1, MAPPED, &mut mapped), 100_000);
    assert_eq!(acl!(aclrtHostRegister, plain.0, 0, MAPPED, &mut mapped), 100_000);
    assert_eq!(acl!(aclrtHostRegister, plain.0, 1, MAPPED, ptr::null_mut()), 100_000);
    let unknown = sys::aclrtHostRegisterType(2);
    assert_eq!(acl!(aclrtHostRegister, plain.0, 1, unknown, &mut mapped), 207_000);
    let unaligned = plain.0.wrapping_byte_add(64);
    assert_eq!(acl!(aclrtHostRegister, unaligned, 1, MAPPED, &mut mapped), 107_000);
    for flags in [0, 1, 0x10] {
        assert_eq!(acl!(aclrtHostRegisterV2, plain.0, 1, flags), 107_000);
    }
    assert_eq!(acl!(aclrtHostRegisterV2, plain.0, 1, sys::ACL_HOST_REG_IOMEMORY), 207_000);
    assert_eq!(acl!(aclrtHostGetDevicePointer, plain.0, &mut mapped, 1), 100_000);
    assert_eq!(acl!(aclrtHostUnregister, ptr::null_mut()), 100_000);

    // Only pinned: there is no address for the device.
    ok!(aclrtHostRegisterV2, plain.0, PAGE as u64, sys::ACL_HOST_REG_PINNED);
    assert_eq!(acl!(aclrtHostGetDevicePointer, plain.0, &mut mapped, 0), 107_000);
    ok!(aclrtHostUnregister, plain.0);
    ok!(aclrtHostRegisterV2, plain.0, PAGE as u64, sys::ACL_HOST_REG_PINNED | sys::ACL_HOST_REG_MAPPED);
    ok!(aclrtHostGetDevicePointer, plain.0, &mut mapped, 0);
    ok!(aclrtHostUnregister, plain.0);

    // Pinned memory can be registered where it starts, and goes on without it.
    let host = pinned(100);
    ok!(aclrtHostRegister, host, 100, MAPPED, &mut mapped);
    ok!(aclrtHostUnregister, host);
    assert_eq!(acl!(aclrtHostRegister, host, 101, MAPPED, &mut mapped), 107_000);
    assert_eq!(location(host), sys::ACL_MEM_LOCATION_TYPE_HOST);
    ok!(aclrtFreeHost, host);

    let mut can = sys::ACL_RT_HOST_MEM_MAP_NOT_SUPPORTED;
    let (kernels, links) = (sys::ACL_RT_HAC_TYPE_AIC, sys::ACL_RT_HAC_TYPE_RDMA);
    assert_eq!(acl!(aclrtHostMemMapCapabilities, 0, kernels, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtHostMemMapCapabilities, 99, kernels, &mut can), 107_001);
    assert_eq!(acl!(aclrtHostMemMapCapabilities, 0, sys::aclrtHacType(10), &mut can), 107_000);
    ok!(aclrtHostMemMapCapabilities, 0, kernels, &mut can);
    assert_eq!(can, sys::ACL_RT_HOST_MEM_MAP_SUPPORTED);
    ok!(aclrtHostMemMapCapabilities, 0, links, &mut can);
    assert_eq!(can, sys::ACL_RT_HOST_MEM_MAP_NOT_SUPPORTED);

    // What is left goes with the device.
    ok!(aclrtHostRegister, plain.0, 1, MAPPED, &mut mapped);
    ok!(aclrtResetDevice, 0);
    assert_eq!(live(), []);
    drop(session);
}
