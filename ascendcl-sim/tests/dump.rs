//! Dumps: their states and what can be wrong with their configuration.

#[macro_use]
mod common;

use std::ffi::CString;
use std::path::PathBuf;
use std::{env, fs, process, ptr};

use common::*;

fn temporary(name: &str) -> PathBuf {
    env::temp_dir().join(format!("ascendcl-sim-dump-{name}-{}", process::id()))
}

fn set(text: &str) -> i32 {
    let path = temporary("config.json");
    fs::write(&path, text).unwrap();
    let name = CString::new(path.to_str().unwrap()).unwrap();
    let code = acl!(aclmdlSetDump, name.as_ptr());
    fs::remove_file(path).unwrap();
    code
}

#[test]
fn dumping_is_initialised_first() {
    let codes = || [acl!(aclmdlInitDump), acl!(aclmdlSetDump, ptr::null()), acl!(aclmdlFinalizeDump)];
    let _session = session(Config::new().profile(Profile::full()));
    assert_eq!([acl!(aclmdlSetDump, ptr::null()), acl!(aclmdlFinalizeDump)], [100_045; 2]);
    ok!(aclmdlInitDump);
    assert_eq!(acl!(aclmdlInitDump), 100_002);
    assert_eq!(acl!(aclmdlSetDump, ptr::null()), 100_000);
    assert_eq!(acl!(aclmdlSetDump, c"/nowhere/at.all".as_ptr()), 100_003);
    ok!(aclmdlFinalizeDump);
    assert_eq!(acl!(aclmdlFinalizeDump), 100_045);

    ok!(aclmdlInitDump);
    assert_eq!(set("{"), 100_006);
    assert_eq!(set(r#"{"dump": 3}"#), 100_009);
    assert_eq!(
        set(r#"{"dump": {"dump_path": "/tmp", "dump_mode": "sideways", "dump_op_switch": "on"}}"#),
        100_009
    );
    assert!(acl!(acldumpGetPath, sys::DATA_DUMP).is_null());
    assert_eq!(set(""), 0);
    assert_eq!(set("{}"), 0);
    assert_eq!(set(r#"{"dump": {"dump_path": "/tmp", "dump_scene": "aic_err_brief_dump"}}"#), 0);
    assert!(!acl!(acldumpGetPath, sys::AIC_ERR_BRIEF_DUMP).is_null());
    assert!(acl!(acldumpGetPath, sys::acldumpType(0)).is_null());
    ok!(aclmdlFinalizeDump);
    assert!(acl!(acldumpGetPath, sys::AIC_ERR_BRIEF_DUMP).is_null());
    ok!(aclFinalize);
    assert_eq!(codes(), [100_001; 3]);
    // The session ends it.
    ok!(aclInit, ptr::null());
}

#[test]
fn arguments_of_operators_go_to_a_folder() {
    let _session = session(Config::new().profile(Profile::full()));
    let folder = temporary("arguments");
    let name = CString::new(folder.join("inner").to_str().unwrap()).unwrap();
    let kind = sys::ACL_OP_DUMP_OP_AICORE_ARGS;
    assert_eq!(acl!(aclopStartDumpArgs, kind, ptr::null()), 500_001);
    assert_eq!(acl!(aclopStartDumpArgs, 2, name.as_ptr()), 500_001);
    assert_eq!(acl!(aclopStartDumpArgs, kind, c"".as_ptr()), 500_001);
    assert_eq!(acl!(aclopStartDumpArgs, kind, c"/dev/null".as_ptr()), 500_001);
    ok!(aclopStopDumpArgs, kind);
    ok!(aclopStartDumpArgs, kind, name.as_ptr());
    assert!(folder.join("inner").is_dir());
    assert_eq!(acl!(aclopStartDumpArgs, kind, name.as_ptr()), 500_001);
    ok!(aclopStopDumpArgs, 2);
    ok!(aclopStopDumpArgs, kind);
    ok!(aclopStartDumpArgs, kind, name.as_ptr());
    ok!(aclopStopDumpArgs, kind);
    fs::remove_dir_all(folder).unwrap();
    assert_eq!(acl!(acldumpRegCallback, None, 0), 500_001);
    acl!(acldumpUnregCallback);
}
