//! Initialisation with a configuration file, callbacks at both ends, versions, system parameters, error texts and the program's own log.

mod common;

use core::ffi::{CStr, c_char, c_int, c_void};
use std::ffi::CString;
use std::fs;
use std::path::PathBuf;
use std::ptr;
use std::sync::Mutex;
use std::thread;

use common::*;

/// A configuration file of one test.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("ascendcl-sim-{}-{name}", std::process::id())))
    }

    fn init(&self, text: &str) -> aclError {
        fs::write(&self.0, text).unwrap();
        acl!(aclInit, CString::new(self.0.to_str().unwrap()).unwrap().as_ptr())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A machine that is not initialised.
fn machine(profile: Profile) -> Session {
    let session = session(Config::new().profile(profile.clone()));
    ok!(aclFinalize);
    configure(Config::new().profile(profile)).unwrap();
    session
}

/// Ends a test in the state that its session expects.
fn leave(session: Session) {
    acl!(aclFinalize);
    configure(Config::new()).unwrap();
    ok!(aclInit, ptr::null());
    drop(session);
}

#[test]
fn the_configuration_file_is_checked() {
    let session = machine(Profile::full());
    let file = File::new("config.json");
    for (text, code) in [
        ("", 0),
        ("{}", 0),
        ("[1]", 0),
        (" ", 100_006),
        ("{\"a\": ", 100_006),
        ("{\"err_msg_mode\": \"0\"}", 0),
        ("{\"err_msg_mode\": \"2\"}", 100_000),
        ("{\"err_msg_mode\": 1}", 100_000),
        ("{\"dump\": {\"dump_mode\": \"all\"}}", 100_009),
        ("{\"dump\": {\"dump_path\": \"/tmp\", \"dump_list\": []}}", 0),
        ("{\"max_opqueue_num\": \"20000\"}", 0),
        ("{\"max_opqueue_num\": \"0\"}", 100_000),
        ("{\"StackSize\": {\"aicore_stack_size\": 32768}}", 0),
        ("{\"StackSize\": {\"aicore_stack_size\": \"abc\"}}", 500_001),
        ("{\"defaultDevice\": {}}", 0),
        ("{\"defaultDevice\": {\"default_device\": \"0x3\"}}", 500_001),
        ("{\"defaultDevice\": {\"default_device\": \"-1\"}}", 500_001),
        ("{\"defaultDevice\": {\"default_device\": 0}}", 500_001),
        ("{\"defaultDevice\": {\"default_device\": \"99\"}}", 107_001),
        ("{\"simd_printf_fifo_size_per_core\": -1}", 500_001),
        ("{\"simd_printf_fifo_size_per_core\": 32768, \"simt_printf_fifo_size\": 1048576}", 0),
        ("{\"simd_printf_fifo_size_per_core\": 1}", 107_000),
        ("{\"acl_graph\": {\"event_mode\": \"1\"}}", 0),
        ("{\"acl_graph\": {\"event_mode\": \"2\"}}", 100_000),
        ("{\"profiler\": {\"switch\": \"off\"}}", 0),
        ("{\"profiler\": {\"swich\": \"on\"}}", 100_000),
    ] {
        assert_eq!(file.init(text), code, "{text}");
        if code == 0 {
            ok!(aclFinalize);
        }
        // A new machine knows no first configuration.
        configure(Config::new().profile(Profile::full())).unwrap();
    }
    let deep = format!("{}{}", "[".repeat(11), "]".repeat(11));
    assert_eq!(file.init(&deep), 100_006);
    assert_eq!(acl!(aclInit, c"/tmp".as_ptr()), 100_003, "a directory");
    // The first configuration stays, also over a finalisation.
    assert_eq!(file.init("{\"a\": 1}"), 0);
    ok!(aclFinalize);
    assert_eq!(file.init("{\"a\": 2}"), 100_000);
    assert_eq!(acl!(aclInit, ptr::null()), 100_000);
    assert_eq!(acl!(aclInit, c"/no/such/file".as_ptr()), 100_003);
    assert_eq!(file.init("{\"a\": 1}"), 0);
    leave(session);
}

#[test]
fn events_in_captured_work_need_a_chip_that_has_them() {
    let session = machine(Profile::ascend310p());
    let file = File::new("mode.json");
    assert_eq!(file.init("{\"acl_graph\": {\"event_mode\": \"1\"}}"), 207_000);
    leave(session);
}

#[test]
fn texts_of_the_whole_process() {
    let session = machine(Profile::ascend310());
    let file = File::new("texts.json");
    assert_eq!(file.init("{\"err_msg_mode\": \"1\"}"), 0);
    thread::spawn(|| assert_eq!(acl!(aclrtSetDevice, 77), 107_001)).join().unwrap();
    assert!(message().contains("device 77 is out of range"));
    assert_eq!(message(), "");
    assert_eq!(acl!(aclrtGetLastError, sys::ACL_RT_THREAD_LEVEL), 0, "codes stay with their thread");
    leave(session);
    thread::spawn(|| assert_eq!(acl!(aclrtSetDevice, 78), 107_001)).join().unwrap();
    assert!(!message().contains("device 78"));
}

/// What callbacks saw.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn seen() -> Vec<String> {
    std::mem::take(&mut SEEN.lock().unwrap())
}

unsafe extern "C" fn at_init(config: *const c_char, len: usize, data: *mut c_void) -> aclError {
    // SAFETY: a C string of that length.
    let config = unsafe { CStr::from_ptr(config) }.to_str().unwrap();
    assert_eq!(config.len(), len);
    SEEN.lock().unwrap().push(format!("init {} {config}", data.addr()));
    // ACL is being initialised: this neither hangs nor counts.
    assert_eq!(acl!(aclInit, ptr::null()), 100_002);
    if data.addr() == 13 { 500_000 } else { 0 }
}

unsafe extern "C" fn at_finalize(data: *mut c_void) -> aclError {
    SEEN.lock().unwrap().push(format!("finalize {}", data.addr()));
    if data.addr() == 13 { 500_000 } else { 0 }
}

fn data(number: usize) -> *mut c_void {
    ptr::without_provenance_mut(number)
}

#[test]
fn callbacks_at_both_ends() {
    let session = machine(Profile::ascend310());
    let other = sys::ACL_REG_TYPE_OTHER;
    let model = sys::ACL_REG_TYPE_ACL_MODEL;
    assert_eq!(acl!(aclInitCallbackRegister, other, None, data(1)), 100_000);
    assert_eq!(acl!(aclInitCallbackUnRegister, other, Some(at_init)), 500_000);
    ok!(aclInitCallbackRegister, other, Some(at_init), data(1));
    ok!(aclInitCallbackRegister, other, Some(at_init), data(2));
    ok!(aclInitCallbackRegister, sys::ACL_REG_TYPE_ACL_DVPP, Some(at_init), data(3));
    ok!(aclInitCallbackRegister, sys::ACL_REG_TYPE_ACL_OP_EXECUTOR, Some(at_init), data(4));
    ok!(aclInitCallbackRegister, model, Some(at_init), data(5));
    assert_eq!(
        acl!(aclInitCallbackRegister, model, Some(at_init), data(6)),
        500_000,
        "one of each but the last"
    );
    let file = File::new("callbacks.json");
    assert_eq!(file.init("{\"a\":1}"), 0);
    assert_eq!(
        seen(),
        ["init 5 {\"a\":1}", "init 4 {\"a\":1}", "init 3 {\"a\":1}", "init 1 {\"a\":1}", "init 2 {\"a\":1}"]
    );
    // Once ACL is initialised a callback runs when it is registered, and what it answers does not matter.
    ok!(aclInitCallbackRegister, other, Some(at_init), data(13));
    assert_eq!(seen().len(), 1);
    ok!(aclFinalizeCallbackRegister, other, Some(at_finalize), data(7));
    ok!(aclFinalizeCallbackRegister, model, Some(at_finalize), data(8));
    assert_eq!(acl!(aclFinalizeCallbackRegister, model, Some(at_finalize), data(9)), 500_000);
    ok!(aclFinalize);
    assert_eq!(seen(), ["finalize 8", "finalize 7"]);
    assert_eq!(file.init("{\"a\":1}"), 500_000, "a callback failed, after four that did not");
    assert_eq!(seen().len(), 6);
    assert_eq!(acl!(aclFinalizeReference, ptr::null_mut()), 100_037);
    for _ in 0..3 {
        ok!(aclInitCallbackUnRegister, other, Some(at_init));
    }
    assert_eq!(acl!(aclInitCallbackUnRegister, other, Some(at_init)), 500_000);
    for kind in [sys::ACL_REG_TYPE_ACL_DVPP, sys::ACL_REG_TYPE_ACL_OP_EXECUTOR, model] {
        ok!(aclInitCallbackUnRegister, kind, Some(at_init));
    }
    assert_eq!(file.init("{\"a\":1}"), 0);
    // A finalisation that fails leaves ACL initialised.
    ok!(aclFinalizeCallbackRegister, other, Some(at_finalize), data(13));
    assert_eq!(acl!(aclFinalize), 500_000);
    assert_eq!(acl!(aclInit, ptr::null()), 100_002);
    for kind in [other, other, model] {
        ok!(aclFinalizeCallbackUnRegister, kind, Some(at_finalize));
    }
    seen();
    leave(session);
    assert_eq!(seen(), Vec::<String>::new());
}

#[test]
fn system_parameters() {
    let _session = card();
    let [deterministic, debug, early] = [0, 1, 3].map(sys::aclSysParamOpt);
    let mut value = 7;
    assert_eq!(acl!(aclrtCtxGetSysParamOpt, deterministic, &mut value), 107_021);
    assert_eq!(acl!(aclrtPeekAtLastError, sys::ACL_RT_THREAD_LEVEL), 0, "no mistake");
    ok!(aclrtGetSysParamOpt, deterministic, &mut value);
    assert_eq!(value, 0);
    ok!(aclrtCtxSetSysParamOpt, deterministic, 3);
    ok!(aclrtCtxGetSysParamOpt, deterministic, &mut value);
    assert_eq!(value, 3);
    ok!(aclrtGetSysParamOpt, deterministic, &mut value);
    assert_eq!(value, 3, "the process takes it over");
    ok!(aclrtSetSysParamOpt, early, 1);
    assert_eq!(acl!(aclrtCtxSetSysParamOpt, early, 1), 100_000);
    assert_eq!(acl!(aclrtSetSysParamOpt, debug, 2), 107_000);
    assert_eq!(acl!(aclrtSetSysParamOpt, deterministic, 4), 107_000);
    assert_eq!(acl!(aclrtCtxSetSysParamOpt, deterministic, -1), 107_000);
    assert_eq!(acl!(aclrtSetSysParamOpt, sys::aclSysParamOpt(4), 0), 100_000);
    assert_eq!(acl!(aclrtGetSysParamOpt, sys::aclSysParamOpt(9), ptr::null_mut()), 100_000);
    thread::spawn(move || {
        let mut value = 7;
        assert_eq!(acl!(aclrtCtxGetSysParamOpt, deterministic, &mut value), 107_002);
        assert_eq!(acl!(aclrtCtxSetSysParamOpt, deterministic, 1), 107_002);
        ok!(aclrtGetSysParamOpt, deterministic, &mut value);
        assert_eq!(value, 3);
    })
    .join()
    .unwrap();
}

#[test]
fn attributes_and_platform() {
    let _session = full();
    let (mut list, mut count, mut value) = (ptr::null(), 0, 7);
    ok!(aclGetCannAttributeList, &mut list, &mut count);
    // SAFETY: the list has that many members.
    let list = unsafe { std::slice::from_raw_parts(list, count) };
    assert_eq!(list.iter().map(|attribute| attribute.0).collect::<Vec<_>>(), [0, 1, 2]);
    ok!(aclGetCannAttribute, sys::ACL_CANN_ATTR_BF16, &mut value);
    assert_eq!(value, 1);
    assert_eq!(acl!(aclGetCannAttribute, sys::ACL_CANN_ATTR_UNDEFINED, &mut value), 100_000);
    assert_eq!(acl!(aclGetCannAttribute, sys::ACL_CANN_ATTR_BF16, ptr::null_mut()), 100_000);
    let mut figure = 0;
    ok!(aclGetDeviceCapability, 0, sys::ACL_DEVICE_INFO_AI_CORE_NUM, &mut figure);
    assert_eq!(figure, 24);
    assert_eq!(acl!(aclGetDeviceCapability, 4, sys::ACL_DEVICE_INFO_AI_CORE_NUM, &mut figure), 100_000);
    assert_eq!(acl!(aclGetDeviceCapability, 0, sys::ACL_DEVICE_INFO_UNDEFINED, &mut figure), 100_000);
    let mut text = [0 as c_char; 32];
    ok!(aclplatformGetDeviceInfo, sys::ACL_PLATFORM_SOC_VERSION, text.as_mut_ptr(), 32);
    // SAFETY: a C string.
    assert_eq!(unsafe { CStr::from_ptr(text.as_ptr()) }, c"AscendSim");
    assert_eq!(acl!(aclplatformGetDeviceInfo, sys::ACL_PLATFORM_SOC_VERSION, text.as_mut_ptr(), 9), 100_000);
    ok!(aclplatformGetDeviceInfo, sys::ACL_PLATFORM_SOC_VERSION, text.as_mut_ptr(), 10);
    assert_eq!(acl!(aclplatformGetDeviceInfo, sys::ACL_PLATFORM_VEC_FREQ, text.as_mut_ptr(), 32), 100_000);
    let core = sys::ACL_PLATFORM_CORE_TYPE_VECTOR_CORE;
    ok!(aclplatformGetInstructionInfo, core, c"Intrinsic_vor".as_ptr(), text.as_mut_ptr(), 32);
    // SAFETY: a C string.
    assert_eq!(unsafe { CStr::from_ptr(text.as_ptr()) }, c"int16,uint16");
    assert_eq!(
        acl!(aclplatformGetInstructionInfo, core, c"Intrinsic_v".as_ptr(), text.as_mut_ptr(), 32),
        100_000
    );
    ok!(aclrtCheckArchCompatibility, c"Ascend910B1".as_ptr(), &mut value);
    assert_eq!(value, 1);
    ok!(aclrtCheckArchCompatibility, c"Ascend310P3".as_ptr(), &mut value);
    assert_eq!(value, 0);
    assert_eq!(acl!(aclrtCheckArchCompatibility, c"".as_ptr(), &mut value), 107_000);
    assert_eq!(acl!(aclrtCheckArchCompatibility, ptr::null(), &mut value), 107_000);
}

#[test]
fn versions_need_an_installation() {
    let _session = session(Config::new());
    let mut number = 0;
    let package = CString::new("no-such-package").unwrap();
    let name = package.as_ptr().cast_mut();
    assert_eq!(acl!(aclsysGetVersionNum, name, &mut number), 100_003);
    assert_eq!(acl!(aclsysGetVersionNum, ptr::null_mut(), &mut number), 100_000);
    assert_eq!(acl!(aclsysGetVersionStr, name, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclsysGetCANNVersion, sys::ACL_PKG_NAME_HCCL, ptr::null_mut()), 100_000);
    let mut version = core::mem::MaybeUninit::uninit();
    assert_eq!(acl!(aclsysGetCANNVersion, sys::aclCANNPackageName(99), version.as_mut_ptr()), 100_000);
    assert_eq!(acl!(aclsysGetCANNVersion, sys::ACL_PKG_NAME_DRIVER, version.as_mut_ptr()), 100_003);
}

struct Lines;
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "ascendcl::app"
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            LINES.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}

#[test]
fn the_log_of_the_program() {
    let _session = session(Config::new());
    log::set_logger(&Lines).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let log = api().aclAppLog.unwrap();
    let lines = || std::mem::take(&mut *LINES.lock().unwrap());
    let (func, file) = (c"main".as_ptr(), c"main.c".as_ptr());
    // SAFETY: C strings, and arguments as the formats name them.
    unsafe {
        log(sys::ACL_INFO, func, file, 12, c"nothing".as_ptr());
        assert!(lines()[0].ends_with(" main:main.c:12: \"nothing\""));
        log(
            sys::ACL_ERROR,
            func,
            file,
            12,
            c"%d %s %.2f %c %lu %d %f %d".as_ptr(),
            -3 as c_int,
            c"text".as_ptr(),
            2.5f64,
            b'x' as c_int,
            u64::MAX,
            1 as c_int,
            -0.5f64,
            7 as c_int,
        );
        let line = lines().remove(0);
        assert!(line.starts_with("ERROR "), "{line}");
        assert!(line.ends_with("\"-3 text 2.50 x 18446744073709551615 1 -0.500000 7\""), "{line}");
        // More numbers than there are registers for them.
        log(
            sys::ACL_WARNING,
            func,
            file,
            1,
            c"%g %g %g %g %g %g %g %g %g %g".as_ptr(),
            0.5f64,
            1.5f64,
            2.5f64,
            3.5f64,
            4.5f64,
            5.5f64,
            6.5f64,
            7.5f64,
            8.5f64,
            9.5f64,
        );
        assert!(lines()[0].ends_with("\"0.5 1.5 2.5 3.5 4.5 5.5 6.5 7.5 8.5 9.5\""));
        log(sys::ACL_DEBUG, func, file, 1, c"not wanted".as_ptr());
        log(sys::ACL_ERROR, func, file, 1, ptr::null());
        assert!(lines().is_empty());
        log(sys::ACL_INFO, func, file, 1, c"%n".as_ptr(), ptr::null_mut::<c_int>());
        assert_eq!(lines(), ["ERROR aclAppLog format string is invalid"]);
        let long = CString::new("y".repeat(5000)).unwrap();
        log(sys::ACL_INFO, func, file, 1, c"%s".as_ptr(), long.as_ptr());
        let line = lines().remove(0);
        assert!(line.ends_with("yyy...[truncated]") && line.len() < 1040, "{}", line.len());
    }
}

#[test]
fn time_limits_of_operators() {
    let _session = full();
    let (mut unit, mut actual, mut limit) = (0, 0, 0);
    ok!(aclrtGetOpTimeOutInterval, &mut unit);
    assert_eq!(unit, 4_294_967);
    ok!(aclrtGetOpExecuteTimeout, &mut limit);
    assert_eq!(limit, 1_090_922);
    ok!(aclrtSetOpExecuteTimeOutV2, 1, &mut actual);
    assert_eq!(actual, unit, "limits are whole units");
    ok!(aclrtGetOpExecuteTimeout, &mut limit);
    assert_eq!(limit, 4295);
    ok!(aclrtSetOpExecuteTimeOutV2, 0, &mut actual);
    assert_eq!(actual, 1_090_921_693);
    ok!(aclrtSetOpExecuteTimeOut, 10);
    ok!(aclrtGetOpExecuteTimeout, &mut limit);
    assert_eq!(limit, 12_885);
    assert_eq!(acl!(aclrtSetOpExecuteTimeOutV2, 1, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtGetOpExecuteTimeout, ptr::null_mut()), 100_000);
    thread::spawn(|| {
        let mut unit = 0;
        assert_eq!(acl!(aclrtGetOpTimeOutInterval, &mut unit), 107_002);
        assert_eq!(acl!(aclrtSetOpExecuteTimeOutV2, 1, &mut unit), 107_002);
    })
    .join()
    .unwrap();
}
