//! Figures and numbers of devices, peer access, overflow status, limits, groups, and who is told what happens to devices and streams.

mod common;

use core::ffi::{c_char, c_void};
use std::ptr;
use std::sync::Mutex;
use std::thread;

use common::*;

#[test]
fn figures_of_a_device() {
    let _session = session(Config::new().profile(Profile::ascend310p()).devices(3).visible_devices("1,2"));
    let mut value = 7;
    for (attr, expected) in [
        (sys::ACL_DEV_ATTR_AICORE_CORE_NUM, 8),
        (sys::ACL_DEV_ATTR_VECTOR_CORE_NUM, 7),
        (sys::ACL_DEV_ATTR_AICPU_CORE_NUM, 7),
        (sys::ACL_DEV_ATTR_WARP_SIZE, 0),
        (sys::ACL_DEV_ATTR_TOTAL_GLOBAL_MEM_SIZE, 24 << 30),
        (sys::ACL_DEV_ATTR_L2_CACHE_SIZE, 16 << 20),
        (sys::ACL_DEV_ATTR_PHY_CHIP_ID, 2),
        (sys::ACL_DEV_ATTR_IS_VIRTUAL, 0),
        (sys::ACL_DEV_ATTR_NPU_ARCH, 2002),
    ] {
        ok!(aclrtGetDeviceInfo, 1, attr, &mut value);
        assert_eq!(value, expected, "{}", attr.0);
    }
    assert_eq!(acl!(aclrtGetDeviceInfo, 0, sys::ACL_DEV_ATTR_AICORE_CORE_NUM, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtGetDeviceInfo, 2, sys::ACL_DEV_ATTR_AICORE_CORE_NUM, &mut value), 107_000);
    assert_eq!(acl!(aclrtGetDeviceInfo, 0, sys::aclrtDevAttr(999), &mut value), 107_000);
    assert_eq!(acl!(aclrtGetDeviceInfo, 0, sys::ACL_DEV_ATTR_SUPER_POD_ID, &mut value), 207_000);
    assert_eq!(value, 2002, "untouched");
}

#[test]
fn features_connections_and_identity() {
    let _session = full();
    let (mut value, mut connected, mut pid) = (7, 0, 0);
    ok!(aclrtGetDeviceCapability, 0, sys::ACL_FEATURE_TSCPU_TASK_UPDATE_SUPPORT_AIC_AIV, &mut value);
    assert_eq!(value, 1);
    assert_eq!(acl!(aclrtGetDeviceCapability, 0, sys::aclrtDevFeatureType(2), &mut value), 107_000);
    assert_eq!(
        acl!(aclrtGetDeviceCapability, 9, sys::ACL_FEATURE_SYSTEM_MEMQ_EVENT_CROSS_DEV, &mut value),
        107_001
    );
    ok!(aclrtGetDevicesTopo, 0, 1, &mut connected);
    assert_eq!(connected, 1);
    assert_eq!(acl!(aclrtGetDevicesTopo, 0, 9, &mut connected), 107_001);
    let mut uuids = [sys::aclrtUuid { bytes: [0; 16] }; 2];
    ok!(aclrtDeviceGetUuid, 0, &mut uuids[0]);
    ok!(aclrtDeviceGetUuid, 1, &mut uuids[1]);
    assert_ne!(uuids[0].bytes, uuids[1].bytes);
    assert_eq!(acl!(aclrtDeviceGetUuid, -1, &mut uuids[0]), 107_001);
    ok!(aclrtDeviceGetBareTgid, &mut pid);
    assert_eq!(pid as u32, std::process::id());
    let operations = [sys::ACL_RT_ATOMIC_OPERATION_DMA_ADD, sys::ACL_RT_ATOMIC_OPERATION_CAS];
    let mut found = [7; 2];
    ok!(aclrtDeviceGetP2PAtomicCapabilities, found.as_mut_ptr(), operations.as_ptr(), 2, 0, 1);
    assert!(found[0] != 0 && found[1] == 0);
    let atomics = |count, source, target| {
        let mut found = [7; 2];
        acl!(
            aclrtDeviceGetP2PAtomicCapabilities,
            found.as_mut_ptr(),
            operations.as_ptr(),
            count,
            source,
            target
        )
    };
    assert_eq!((atomics(0, 0, 1), atomics(2, 1, 1), atomics(2, 0, 9)), (107_000, 107_001, 107_001));
    let wrong = [sys::aclrtAtomicOperation(99)];
    assert_eq!(acl!(aclrtDeviceGetHostAtomicCapabilities, found.as_mut_ptr(), wrong.as_ptr(), 1, 0), 107_000);
    ok!(aclrtDeviceGetHostAtomicCapabilities, found.as_mut_ptr(), operations.as_ptr(), 2, 0);
    assert_eq!(found, [0, 0]);
    let (mut least, mut greatest) = (9, 9);
    ok!(aclrtDeviceGetStreamPriorityRange, &mut least, &mut greatest);
    assert_eq!((least, greatest), (7, 0));
    ok!(aclrtDeviceGetStreamPriorityRange, ptr::null_mut(), ptr::null_mut());
    ok!(aclrtSetTsDevice, sys::ACL_TS_ID_AIVECTOR);
    assert_eq!(acl!(aclrtSetTsDevice, sys::ACL_TS_ID_RESERVED), 100_000);
}

#[test]
fn utilisation_never_fails_for_a_device() {
    let _session = card();
    // SAFETY: all zero is a valid value of a plain C structure.
    let mut info: sys::aclrtUtilizationInfo = unsafe { core::mem::zeroed() };
    ok!(aclrtGetDeviceUtilizationRate, 0, &mut info);
    assert_eq!((info.cubeUtilization, info.vectorUtilization, info.memoryUtilization), (0, -1, -1));
    ok!(aclrtGetDeviceUtilizationRate, 99, &mut info);
    assert_eq!((info.cubeUtilization, info.aicpuUtilization), (-1, -1));
    assert_eq!(acl!(aclrtGetDeviceUtilizationRate, 0, ptr::null_mut()), 100_000);
    let mut status = sys::ACL_RT_DEVICE_STATUS_END;
    ok!(aclrtQueryDeviceStatus, 1, &mut status);
    assert_eq!(status, sys::ACL_RT_DEVICE_STATUS_NORMAL);
    assert_eq!(acl!(aclrtQueryDeviceStatus, 4, &mut status), 107_001);
}

#[test]
fn numbers_of_visible_devices() {
    let _session = session(Config::new().visible_devices("1,3"));
    let mut id = 7;
    ok!(aclrtGetLogicDevIdByUserDevId, 1, &mut id);
    assert_eq!(id, 3);
    ok!(aclrtGetUserDevIdByLogicDevId, 3, &mut id);
    assert_eq!(id, 1);
    ok!(aclrtGetPhyDevIdByLogicDevId, 0, &mut id);
    assert_eq!(id, 1);
    ok!(aclrtGetLogicDevIdByPhyDevId, 1, &mut id);
    assert_eq!(id, 0);
    assert_eq!(acl!(aclrtGetLogicDevIdByUserDevId, 2, &mut id), 107_001);
    assert_eq!(acl!(aclrtGetUserDevIdByLogicDevId, 2, &mut id), 107_001, "there, but not visible");
    assert_eq!(acl!(aclrtGetUserDevIdByLogicDevId, 4, &mut id), 107_001);
    assert_eq!(acl!(aclrtGetPhyDevIdByLogicDevId, -1, &mut id), 107_000);
    assert_eq!(acl!(aclrtGetLogicDevIdByPhyDevId, -1, ptr::null_mut()), 100_000);
    assert_eq!(id, 0);
}

#[test]
fn peers() {
    let _session = card();
    let (mut can, mut status) = (7, 7);
    assert_eq!(
        acl!(aclrtDeviceCanAccessPeer, ptr::null_mut(), 1, 1),
        100_000,
        "the devices are compared first"
    );
    assert_eq!(acl!(aclrtDeviceCanAccessPeer, ptr::null_mut(), 0, 1), 107_000);
    assert_eq!(acl!(aclrtDeviceCanAccessPeer, &mut can, 0, 9), 107_001);
    assert_eq!(acl!(aclrtDeviceCanAccessPeer, &mut can, -1, 1), 107_000);
    ok!(aclrtDeviceCanAccessPeer, &mut can, 0, 1);
    assert_eq!(can, 1);
    assert_eq!(acl!(aclrtDeviceEnablePeerAccess, 1, 1), 200_006);
    assert_eq!(acl!(aclrtDeviceEnablePeerAccess, 0, 0), 100_000);
    assert_eq!(acl!(aclrtDeviceEnablePeerAccess, 9, 0), 107_001);
    ok!(aclrtDeviceEnablePeerAccess, 1, 0);
    ok!(aclrtDevicePeerAccessStatus, 0, 1, &mut status);
    assert_eq!(status, 1);
    ok!(aclrtDevicePeerAccessStatus, 1, 0, &mut status);
    assert_eq!(status, 0, "one direction only");
    ok!(aclrtDevicePeerAccessStatus, 0, 63, &mut status);
    assert_eq!(status, 0);
    assert_eq!(acl!(aclrtDevicePeerAccessStatus, 0, 64, &mut status), 107_000);
    assert_eq!(acl!(aclrtDevicePeerAccessStatus, 0, 1, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtDeviceDisablePeerAccess, 0), 100_000);
    ok!(aclrtDeviceDisablePeerAccess, 1);
    thread::spawn(|| assert_eq!(acl!(aclrtDeviceEnablePeerAccess, 1, 0), 107_002)).join().unwrap();
}

#[test]
fn the_overflow_status_is_written_in_the_order_of_the_stream() {
    let _session = full();
    let (stream, gate) = (stream(), Gate::new());
    let status = device_memory(64);
    let host = pinned(64);
    bytes(host, 64).fill(7);
    ok!(aclrtMemcpy, status, 64, host, 64, sys::ACL_MEMCPY_HOST_TO_DEVICE);
    gate.hold(stream);
    ok!(aclrtGetOverflowStatus, status, 64, stream);
    ok!(aclrtMemcpyAsync, host, 64, status, 64, sys::ACL_MEMCPY_DEVICE_TO_HOST, stream);
    assert_eq!(bytes(host, 64), [7; 64]);
    gate.open();
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(bytes(host, 64), [0; 64]);
    ok!(aclrtResetOverflowStatus, stream);
    ok!(aclrtResetFloatOverflowStatus, ptr::null_mut());
    ok!(aclrtNpuGetFloatOverFlowStatus, status, 64, 0, stream);
    ok!(aclrtNpuClearFloatOverFlowStatus, 0, stream);
    assert_eq!(acl!(aclrtGetOverflowStatus, ptr::null_mut(), 64, stream), 100_000);
    assert_eq!(acl!(aclrtGetFloatOverflowStatus, ptr::null_mut(), 64, stream), 107_000);
    assert_eq!(acl!(aclrtGetOverflowStatus, status, 63, stream), 107_000);
    assert_eq!(acl!(aclrtGetOverflowStatus, status, 64, status), 107_017);
    assert_eq!(acl!(aclrtNpuGetFloatOverFlowStatus, status, 1, 0, stream), 107_000);
    let mut address = ptr::null_mut();
    ok!(aclrtCtxGetFloatOverflowAddr, &mut address);
    bytes(host, 64).fill(7);
    ok!(aclrtMemcpy, host, 64, address, 64, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    assert_eq!(bytes(host, 64), [0; 64]);
    assert_eq!(acl!(aclrtCtxGetFloatOverflowAddr, ptr::null_mut()), 107_000);
    let carried = Carry(stream);
    thread::spawn(move || {
        let carried = carried;
        assert_eq!(acl!(aclrtResetOverflowStatus, carried.0), 107_002);
        assert_eq!(acl!(aclrtResetOverflowStatus, ptr::null_mut()), 107_000, "no default stream");
    })
    .join()
    .unwrap();
    let mut mode = sys::ACL_RT_OVERFLOW_MODE_UNDEF;
    ok!(aclrtGetDeviceSatMode, &mut mode);
    assert_eq!(mode, sys::ACL_RT_OVERFLOW_MODE_SATURATION);
    ok!(aclrtSetDeviceSatMode, sys::ACL_RT_OVERFLOW_MODE_INFNAN);
    ok!(aclrtGetDeviceSatMode, &mut mode);
    assert_eq!(mode, sys::ACL_RT_OVERFLOW_MODE_INFNAN);
    assert_eq!(acl!(aclrtSetDeviceSatMode, sys::ACL_RT_OVERFLOW_MODE_UNDEF), 107_000);
    ok!(aclrtFree, status);
    ok!(aclrtFreeHost, host);
    drop(gate);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn a_chip_without_overflow_status() {
    let _session = card();
    let stream = stream();
    assert_eq!(acl!(aclrtResetOverflowStatus, stream), 207_000);
    assert_eq!(acl!(aclrtResetOverflowStatus, ptr::dangling_mut::<u8>().cast()), 107_017);
    assert_eq!(acl!(aclrtSetDeviceSatMode, sys::ACL_RT_OVERFLOW_MODE_INFNAN), 207_000);
    ok!(aclrtSetDeviceSatMode, sys::ACL_RT_OVERFLOW_MODE_SATURATION);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn limits_of_cores() {
    let _session = full();
    let [cube, vector] = [sys::ACL_RT_DEV_RES_CUBE_CORE, sys::ACL_RT_DEV_RES_VECTOR_CORE];
    let stream = stream();
    let of_device = || {
        let mut value = 0;
        ok!(aclrtGetDeviceResLimit, 0, cube, &mut value);
        value
    };
    let of_stream = |stream| {
        let mut value = 0;
        ok!(aclrtGetStreamResLimit, stream, cube, &mut value);
        value
    };
    let of_thread = || {
        let mut value = 0;
        ok!(aclrtGetResInCurrentThread, cube, &mut value);
        value
    };
    assert_eq!((of_device(), of_stream(stream), of_thread()), (24, 24, 24));
    ok!(aclrtSetDeviceResLimit, 0, cube, 10);
    assert_eq!((of_device(), of_stream(stream), of_stream(ptr::null_mut()), of_thread()), (10, 10, 10, 10));
    ok!(aclrtSetStreamResLimit, stream, cube, 20);
    assert_eq!((of_stream(stream), of_thread()), (20, 10));
    ok!(aclrtUseStreamResInCurrentThread, stream);
    assert_eq!(of_thread(), 20);
    ok!(aclrtUnuseStreamResInCurrentThread, ptr::null_mut());
    assert_eq!(of_thread(), 20, "another stream's");
    ok!(aclrtResetStreamResLimit, stream);
    assert_eq!((of_stream(stream), of_thread()), (10, 10));
    ok!(aclrtSetStreamResLimit, stream, cube, 5);
    ok!(aclrtUnuseStreamResInCurrentThread, stream);
    assert_eq!(of_thread(), 10);
    ok!(aclrtUseStreamResInCurrentThread, stream);
    ok!(aclrtDestroyStream, stream);
    assert_eq!(of_thread(), 10, "the stream is gone");
    ok!(aclrtResetDeviceResLimit, 0);
    assert_eq!(of_device(), 24);
    assert_eq!(acl!(aclrtSetDeviceResLimit, 0, cube, 25), 107_000);
    assert_eq!(acl!(aclrtSetStreamResLimit, ptr::null_mut(), vector, 49), 107_000);
    assert_eq!(acl!(aclrtSetDeviceResLimit, 0, sys::aclrtDevResLimitType(2), 1), 107_000);
    assert_eq!(acl!(aclrtSetDeviceResLimit, -1, cube, 1), 107_001);
    assert_eq!(acl!(aclrtSetDeviceResLimit, 9, cube, 1), 107_001);
    assert_eq!(acl!(aclrtSetDeviceResLimit, 1, cube, 1), 507_033, "not set up");
    assert_eq!(acl!(aclrtGetDeviceResLimit, 0, cube, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtSetStreamResLimit, stream, cube, 1), 107_017);
}

#[test]
fn groups() {
    {
        let _session = card();
        let mut count = 7;
        ok!(aclrtGetGroupCount, &mut count);
        assert_eq!(count, 0);
        assert!(acl!(aclrtCreateGroupInfo).is_null());
        assert_eq!(acl!(aclrtSetGroup, 0), 107_014);
        assert_eq!(acl!(aclrtSetGroup, 4), 107_000);
    }
    let _session = full();
    let mut count = 0;
    ok!(aclrtGetGroupCount, &mut count);
    assert_eq!(count, 2);
    let info = acl!(aclrtCreateGroupInfo);
    ok!(aclrtGetAllGroupInfo, info);
    let (mut value, mut size) = (0u32, 0usize);
    let detail = |index, attr, value: *mut u32, len, size: *mut usize| {
        acl!(aclrtGetGroupInfoDetail, info, index, attr, value.cast(), len, size)
    };
    assert_eq!(detail(1, sys::ACL_GROUP_AICORE_INT, &mut value, 4, &mut size), 0);
    assert_eq!((value, size), (12, 4));
    assert_eq!(detail(1, sys::ACL_GROUP_GROUPID_INT, &mut value, 8, &mut size), 0);
    assert_eq!(value, 1);
    assert_eq!(detail(2, sys::ACL_GROUP_AICORE_INT, &mut value, 4, &mut size), 100_000);
    assert_eq!(detail(0, sys::ACL_GROUP_AICORE_INT, &mut value, 3, &mut size), 100_000);
    assert_eq!(detail(0, sys::aclrtGroupAttr(6), &mut value, 4, &mut size), 100_000);
    ok!(aclrtSetGroup, 1);
    assert_eq!(acl!(aclrtSetGroup, 2), 107_014);
    ok!(aclrtDestroyGroupInfo, info);
    assert_eq!(acl!(aclrtDestroyGroupInfo, info), 100_000);
    assert_eq!(acl!(aclrtDestroyGroupInfo, ptr::null_mut()), 100_000);
    thread::spawn(|| assert_eq!(acl!(aclrtSetGroup, 0), 107_002)).join().unwrap();
}

/// What observers saw.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn seen() -> Vec<String> {
    std::mem::take(&mut SEEN.lock().unwrap())
}

unsafe extern "C" fn on_device(id: i32, state: sys::aclrtDeviceState, data: *mut c_void) {
    SEEN.lock().unwrap().push(format!("device {id} {} for {}", state.0, data.addr()));
}

unsafe extern "C" fn on_stream(stream: aclrtStream, state: sys::aclrtStreamState, _data: *mut c_void) {
    // The stream can be used.
    let alive = acl!(aclrtSynchronizeStream, stream);
    SEEN.lock().unwrap().push(format!("stream {} {alive}", state.0));
}

#[test]
fn observers_of_devices_and_streams() {
    let _session = session(Config::new());
    let data = ptr::without_provenance_mut(5);
    let (first, second): (*const c_char, _) = (c"first".as_ptr(), c"second".as_ptr());
    ok!(aclrtRegDeviceStateCallback, first, Some(on_device), data);
    assert_eq!(acl!(aclrtRegDeviceStateCallback, first, Some(on_device), data), 107_000, "the name is taken");
    assert_eq!(acl!(aclrtRegDeviceStateCallback, ptr::null(), Some(on_device), data), 100_000);
    ok!(aclrtRegDeviceStateCallback, second, Some(on_device), ptr::null_mut());
    ok!(aclrtRegDeviceStateCallback, second, None, ptr::null_mut());
    ok!(aclrtRegStreamStateCallback, first, Some(on_stream), data);
    ok!(aclrtSetDevice, 1);
    assert_eq!(seen(), ["device 1 0 for 5", "stream 1 0", "device 1 1 for 5"]);
    ok!(aclrtSetDevice, 1);
    assert_eq!(seen(), ["device 1 1 for 5"], "set already");
    let (one, _two) = (stream(), stream());
    ok!(aclrtDestroyStream, one);
    assert_eq!(seen(), ["stream 1 0", "stream 1 0", "stream 2 0"]);
    let mut context = ptr::null_mut();
    ok!(aclrtCreateContext, &mut context, 1);
    ok!(aclrtDestroyContext, context);
    assert_eq!(seen(), ["stream 1 0", "stream 2 0"]);
    ok!(aclrtSetDevice, 1);
    seen();
    ok!(aclrtResetDevice, 1);
    ok!(aclrtResetDevice, 1);
    assert_eq!(seen(), Vec::<String>::new());
    ok!(aclrtResetDevice, 1);
    let end = seen();
    assert_eq!((end[0].as_str(), end[1].as_str()), ("stream 2 0", "device 1 2 for 5"));
    assert_eq!((end.len(), end[3].as_str()), (4, "device 1 3 for 5"));
    ok!(aclrtRegDeviceStateCallback, first, None, data);
    ok!(aclrtRegStreamStateCallback, first, None, data);
    ok!(aclrtRegStreamStateCallback, first, None, data);
}
