//! Initialisation, devices, contexts: the answers of the real runtime.

mod common;

use std::fs;
use std::ptr;
use std::thread;

use common::*;

fn context(device: i32) -> aclrtContext {
    let mut context = ptr::null_mut();
    ok!(aclrtCreateContext, &mut context, device);
    context
}

fn current() -> Result<aclrtContext, aclError> {
    let mut context = ptr::null_mut();
    match acl!(aclrtGetCurrentContext, &mut context) {
        0 => Ok(context),
        code => Err(code),
    }
}

#[test]
fn init_counts_and_finalize_ends_it() {
    let session = session(Config::new());
    assert_eq!(acl!(aclInit, ptr::null()), 100_002);
    assert_eq!(acl!(aclInit, c"/no/such/file".as_ptr()), 100_002);
    ok!(aclFinalize);
    assert_eq!(acl!(aclFinalize), 100_037);
    assert_eq!(acl!(aclFinalizeReference, ptr::null_mut()), 100_037);
    ok!(aclInit, c"".as_ptr());
    assert_eq!(acl!(aclInit, ptr::null()), 100_002);
    let mut left = 9;
    ok!(aclFinalizeReference, &mut left);
    assert_eq!(left, 1);
    ok!(aclFinalizeReference, &mut left);
    assert_eq!(left, 0);
    left = 9;
    assert_eq!(acl!(aclFinalizeReference, &mut left), 100_037);
    assert_eq!(left, 0, "told also when it fails");
    assert_eq!(acl!(aclInit, c"/no/such/file".as_ptr()), 100_003);
    assert!(message().contains("/no/such/file"));
    let file = std::env::temp_dir().join(format!("ascendcl-sim-{}.json", std::process::id()));
    let path = std::ffi::CString::new(file.to_str().unwrap()).unwrap();
    // Another configuration than the first one is refused, whether it is well-formed or not.
    fs::write(&file, "{\"a\": ").unwrap();
    assert_eq!(acl!(aclInit, path.as_ptr()), 100_000);
    fs::write(&file, "{\"err_msg_mode\": \"0\"}").unwrap();
    assert_eq!(acl!(aclInit, path.as_ptr()), 100_000);
    fs::remove_file(&file).unwrap();
    ok!(aclInit, ptr::null());
    drop(session);
}

#[test]
fn calls_without_a_context() {
    let _session = session(Config::new());
    let mut pointer = ptr::without_provenance_mut(7);
    let mut number = 7;
    assert_eq!(acl!(aclrtGetDevice, &mut number), 107_002);
    assert_eq!(current(), Err(107_002));
    assert_eq!(acl!(aclrtCreateStream, &mut pointer), 107_002);
    assert_eq!(acl!(aclrtCreateEvent, &mut pointer), 107_002);
    assert_eq!(acl!(aclrtCreateEventWithFlag, &mut pointer, 1), 107_002);
    assert_eq!(acl!(aclrtCreateEventExWithFlag, &mut pointer, 1), 107_002);
    assert_eq!(acl!(aclrtMalloc, &mut pointer, 8, sys::ACL_MEM_MALLOC_HUGE_FIRST), 107_002);
    assert_eq!(acl!(aclrtMallocHost, &mut pointer, 8), 107_002);
    assert_eq!((pointer.addr(), number), (7, 7), "outputs are untouched");
    let mut bytes = [0u8; 8];
    let place = bytes.as_mut_ptr().cast();
    assert_eq!(
        acl!(aclrtMemcpy, place, 8, place.wrapping_byte_add(1), 4, sys::ACL_MEMCPY_HOST_TO_HOST),
        107_002
    );
    assert_eq!(acl!(aclrtMemset, place, 8, 0, 8), 107_002);
    assert_eq!(acl!(aclrtSynchronizeDevice), 107_002);
    assert_eq!(acl!(aclrtSynchronizeStream, ptr::null_mut()), 107_002);
    assert_eq!(acl!(aclrtSynchronizeEvent, place), 107_017, "a handle is looked at first");
    assert_eq!(acl!(aclrtSubscribeReport, 1, ptr::null_mut()), 107_002);
    assert_eq!(acl!(aclrtUnSubscribeReport, 1, ptr::null_mut()), 107_002);
    unsafe extern "C" fn nothing(_: *mut core::ffi::c_void) {}
    let block = sys::ACL_CALLBACK_BLOCK;
    assert_eq!(acl!(aclrtLaunchCallback, Some(nothing), place, block, ptr::null_mut()), 107_002);
    assert_eq!(acl!(aclrtLaunchCallback, None, place, block, ptr::null_mut()), 107_000);
    assert_eq!(acl!(aclrtResetDevice, 0), 507_007);
    let (mut count, mut mode) = (0, sys::ACL_DEVICE);
    ok!(aclrtGetDeviceCount, &mut count);
    ok!(aclrtGetRunMode, &mut mode);
    assert_eq!((count, mode), (4, sys::ACL_HOST));
}

#[test]
fn null_is_100000() {
    let _session = card();
    let null = ptr::null_mut();
    assert_eq!(acl!(aclrtGetDevice, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtGetDeviceCount, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtCreateContext, ptr::null_mut(), 0), 100_000);
    assert_eq!(acl!(aclrtDestroyContext, null), 100_000);
    assert_eq!(acl!(aclrtSetCurrentContext, null), 100_000);
    assert_eq!(acl!(aclrtCreateStream, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtDestroyStream, null), 100_000);
    assert_eq!(acl!(aclrtDestroyStreamForce, null), 100_000);
    assert_eq!(acl!(aclrtCreateEvent, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtDestroyEvent, null), 100_000);
    assert_eq!(acl!(aclrtRecordEvent, null, null), 100_000);
    assert_eq!(acl!(aclrtStreamWaitEvent, null, null), 100_000);
    assert_eq!(acl!(aclrtSynchronizeEvent, null), 100_000);
    assert_eq!(acl!(aclrtMalloc, ptr::null_mut(), 8, sys::ACL_MEM_MALLOC_HUGE_FIRST), 100_000);
    assert_eq!(acl!(aclrtFree, null), 100_000);
    assert_eq!(acl!(aclrtMallocHost, ptr::null_mut(), 8), 100_000);
    assert_eq!(acl!(aclrtFreeHost, null), 100_000);
    assert_eq!(acl!(aclrtMemcpy, null, 8, null, 8, sys::ACL_MEMCPY_HOST_TO_HOST), 100_000);
}

#[test]
fn devices_are_counted() {
    let _session = session(Config::new());
    for id in [-1, 4, 99] {
        assert_eq!(acl!(aclrtSetDevice, id), 107_001, "{id}");
        let mut context = ptr::null_mut();
        assert_eq!(acl!(aclrtCreateContext, &mut context, id), 107_001, "{id}");
    }
    assert!(message().contains("device 99 is out of range"));
    assert_eq!(acl!(aclrtPeekAtLastError, sys::ACL_RT_THREAD_LEVEL), 107_001);
    assert_eq!(acl!(aclrtGetLastError, sys::ACL_RT_THREAD_LEVEL), 107_001);
    assert_eq!(acl!(aclrtGetLastError, sys::ACL_RT_THREAD_LEVEL), 0);
    ok!(aclrtSetDevice, 0);
    ok!(aclrtSetDevice, 0);
    assert_eq!(live().len(), 2);
    assert!(live()[1].to_string().contains("device reference (device 0) made by aclrtSetDevice"));
    ok!(aclrtResetDevice, 0);
    let mut id = -1;
    ok!(aclrtGetDevice, &mut id);
    assert_eq!(id, 0);
    ok!(aclrtResetDevice, 0);
    assert_eq!(acl!(aclrtResetDevice, 0), 507_007);
    assert_eq!(acl!(aclrtGetDevice, &mut id), 107_002);
    assert_eq!(acl!(aclrtResetDeviceForce, 0), 507_007);
    for _ in 0..3 {
        ok!(aclrtSetDevice, 1);
    }
    ok!(aclrtResetDevice, 1);
    ok!(aclrtResetDeviceForce, 1);
    assert_eq!(acl!(aclrtResetDevice, 1), 507_007);
    let mut active = 7;
    ok!(aclrtGetPrimaryCtxState, 1, ptr::null_mut(), &mut active);
    assert_eq!(active, 0);
}

#[test]
fn a_reset_pulls_the_context_from_under_other_threads() {
    let _session = session(Config::new());
    ok!(aclrtSetDevice, 0);
    thread::scope(|scope| {
        let (to, here) = std::sync::mpsc::channel();
        let (back, there) = std::sync::mpsc::channel();
        scope.spawn(move || {
            assert_eq!(current(), Err(107_002), "a fresh thread has no context");
            ok!(aclrtSetDevice, 0);
            back.send(()).unwrap();
            here.recv().unwrap();
            assert_eq!(current(), Err(107_002));
            let mut stream = ptr::null_mut();
            assert_eq!(acl!(aclrtCreateStream, &mut stream), 107_002);
        });
        there.recv().unwrap();
        ok!(aclrtResetDeviceForce, 0);
        to.send(()).unwrap();
    });
}

#[test]
fn contexts() {
    let _session = session(Config::new());
    let first = context(0);
    assert_eq!(current(), Ok(first));
    let second = context(1);
    assert_eq!(current(), Ok(second));
    let mut id = -1;
    ok!(aclrtGetDevice, &mut id);
    assert_eq!(id, 1);
    ok!(aclrtSetCurrentContext, first);
    ok!(aclrtDestroyContext, second);
    assert_eq!(current(), Ok(first));
    assert_eq!(acl!(aclrtDestroyContext, second), 107_002);
    assert_eq!(acl!(aclrtSetCurrentContext, second), 107_000);
    ok!(aclrtDestroyContext, first);
    assert_eq!(current(), Err(107_002), "no fallback to the primary context");

    ok!(aclrtSetDevice, 0);
    let primary = current().unwrap();
    assert_eq!(acl!(aclrtDestroyContext, primary), 107_002);
    let explicit = context(0);
    assert_ne!(explicit, primary);
    ok!(aclrtSetDevice, 0);
    assert_eq!(current(), Ok(primary), "aclrtSetDevice displaces an explicit context");
    let garbage = [0u64; 8];
    assert_eq!(acl!(aclrtSetCurrentContext, garbage.as_ptr().cast_mut().cast()), 107_000);
    assert_eq!(acl!(aclrtSetCurrentContext, ptr::without_provenance_mut(usize::MAX)), 107_000);
    ok!(aclrtDestroyContext, explicit);
}

#[test]
fn streams_belong_to_their_context() {
    let _session = session(Config::new());
    let first = context(0);
    let mine = stream();
    let event = event();
    let second = context(0);
    assert_eq!(acl!(aclrtRecordEvent, event, mine), 107_003);
    assert_eq!(acl!(aclrtDestroyStream, mine), 107_003);
    assert_eq!(acl!(aclrtMemsetAsync, event, 1, 0, 1, mine), 107_003);
    ok!(aclrtSynchronizeStream, mine);
    assert!(is_complete(mine));
    let theirs = stream();
    assert_eq!(acl!(aclrtSynchronizeStream, event), 107_017, "a handle of another kind");
    let zeroed = [0u64; 16];
    assert_eq!(acl!(aclrtSynchronizeStream, zeroed.as_ptr().cast_mut().cast()), 107_017);
    ok!(aclrtDestroyEvent, event);
    assert_eq!(acl!(aclrtDestroyEvent, event), 107_017);
    assert!(message().contains("is not alive"));
    ok!(aclrtDestroyContext, second);
    ok!(aclrtSetCurrentContext, first);
    assert_eq!(acl!(aclrtSynchronizeStream, theirs), 107_017, "streams end with their context");
    ok!(aclrtDestroyStream, mine);
    assert_eq!(acl!(aclrtDestroyStream, mine), 107_017);
    assert_eq!(acl!(aclrtSynchronizeStream, mine), 107_017);
    let mut default = ptr::null_mut();
    ok!(aclrtCtxGetCurrentDefaultStream, &mut default);
    ok!(aclrtSynchronizeStream, default);
    assert_eq!(acl!(aclrtDestroyStream, default), 107_000);
    ok!(aclrtDestroyContext, first);
}

#[test]
fn the_default_stream_is_null() {
    let _session = card();
    let event = event();
    let memory = device_memory(64);
    ok!(aclrtRecordEvent, event, ptr::null_mut());
    ok!(aclrtMemsetAsync, memory, 64, 1, 64, ptr::null_mut());
    ok!(aclrtSynchronizeStream, ptr::null_mut());
    assert!(is_complete(ptr::null_mut()));
    ok!(aclrtFree, memory);
    ok!(aclrtDestroyEvent, event);
}

#[test]
fn stream_limits() {
    let _session = card();
    let mut available = 0;
    ok!(aclrtGetStreamAvailableNum, &mut available);
    assert_eq!(available, 990, "the primary context of an Ascend 310 takes two");
    let streams: Vec<_> = (0..990).map(|_| stream()).collect();
    let mut one_more = ptr::null_mut();
    assert_eq!(acl!(aclrtCreateStream, &mut one_more), 207_008);
    assert!(message().contains("all 992 streams of device 0 are in use"));
    let context = {
        let mut context = ptr::null_mut();
        assert_eq!(acl!(aclrtCreateContext, &mut context, 0), 207_008);
        context
    };
    assert!(context.is_null());
    for stream in streams {
        ok!(aclrtDestroyStream, stream);
    }
    ok!(aclrtGetStreamAvailableNum, &mut available);
    assert_eq!(available, 990);
}

#[test]
fn a_default_device_in_the_init_file() {
    // A file may name it only if the first initialisation of the process had the same file: a process of its own.
    let file = std::env::temp_dir().join(format!("ascendcl-sim-default-{}.json", std::process::id()));
    fs::write(&file, "{\"defaultDevice\": {\"default_device\": \"2\"}}").unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_with_default_device", "--ignored"])
        .env("INIT_FILE", &file)
        .output()
        .unwrap();
    fs::remove_file(&file).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_with_default_device() {
    let path = std::ffi::CString::new(std::env::var("INIT_FILE").unwrap()).unwrap();
    ok!(aclInit, path.as_ptr());
    thread::spawn(|| {
        let stream = stream();
        ok!(aclrtSynchronizeStream, stream);
        let mut id = -1;
        ok!(aclrtGetDevice, &mut id);
        assert_eq!(id, 2);
        ok!(aclrtDestroyStream, stream);
    })
    .join()
    .unwrap();
    ok!(aclrtResetDeviceForce, 2);
    ok!(aclFinalize);
    assert_eq!(live(), []);
}

#[test]
fn machines_of_other_shapes() {
    {
        let _session = session(Config::new().visible_devices("1,3"));
        let mut count = 0;
        ok!(aclrtGetDeviceCount, &mut count);
        assert_eq!(count, 2);
        assert_eq!(acl!(aclrtSetDevice, 2), 107_001);
    }
    {
        let _session = session(Config::new().visible_devices("4"));
        let mut count = 9;
        assert_eq!(acl!(aclrtGetDeviceCount, &mut count), 207_004);
        assert!(message().contains("set ASCEND_RT_VISIBLE_DEVICES:4 error, input data rang[0-4)"));
        assert_eq!(acl!(aclrtSetDevice, 0), 107_001);
    }
    {
        let session = session(Config::new());
        ok!(aclFinalize);
        configure(Config::new().devices(0)).unwrap();
        let mut count = 9;
        ok!(aclrtGetDeviceCount, &mut count);
        assert_eq!(count, 0);
        assert_eq!(acl!(aclInit, ptr::null()), 500_000);
        assert_eq!(acl!(aclrtSetDevice, 0), 107_001);
        configure(Config::new()).unwrap();
        ok!(aclInit, ptr::null());
        assert!(configure(Config::new()).is_err());
        drop(session);
    }
}

#[test]
fn names_and_versions() {
    let _session = card();
    // SAFETY: a C string that lives as long as the process.
    let name = unsafe { std::ffi::CStr::from_ptr(acl!(aclrtGetSocName)) };
    assert_eq!(name, c"Ascend310");
    let (mut free, mut total) = (0, 0);
    ok!(aclrtGetMemInfo, sys::ACL_HBM_MEM, &mut free, &mut total);
    assert_eq!((free, total), (8 << 30, 8 << 30), "a DDR chip answers with its DDR");
    ok!(aclrtGetMemInfo, sys::ACL_HBM_MEM_HUGE1G, &mut free, &mut total);
    assert_eq!((free, total), (8 << 30, 8 << 30), "and with all of it when asked for pages it does not have");
    let mut can = 7;
    ok!(aclrtDeviceCanAccessPeer, &mut can, 0, 1);
    assert_eq!(can, 1);
    assert_eq!(acl!(aclrtDeviceCanAccessPeer, &mut can, 0, 0), 100_000);
    assert_eq!(acl!(aclrtDeviceEnablePeerAccess, 1, 1), 200_006);
}
