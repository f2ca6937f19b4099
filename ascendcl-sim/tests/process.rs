//! Forked children, exits with work pending, configuration by environment: each in a process of its own.

mod common;

use core::ffi::c_void;
use std::process::{Command, Output};
use std::ptr;
use std::thread;

use common::*;

/// Runs one of the ignored tests below in a process with these variables.
fn run(name: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ASCEND")) {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).output().unwrap()
}

fn succeeds(name: &str, variables: &[(&str, &str)]) -> String {
    let output = run(name, variables);
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn a_forked_child_gets_errors() {
    succeeds("child_forks", &[]);
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_forks() {
    ok!(aclrtSetDevice, 0);
    let stream = stream();
    ok!(aclrtSynchronizeStream, stream);
    // SAFETY: the child calls only the simulator, which must not take locks there, and _exit.
    match unsafe { libc::fork() } {
        0 => {
            let mut count = 0;
            let right = acl!(aclrtSynchronizeStream, stream) == 507_899
                && acl!(aclrtDestroyStream, stream) == 507_899
                && acl!(aclrtGetDeviceCount, &mut count) == 507_899
                && acl!(aclInit, ptr::null()) == 507_899
                && acl!(aclGetRecentErrMsg).is_null();
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(if right { 0 } else { 1 }) }
        }
        child => {
            assert!(child > 0);
            let mut status = -1;
            // SAFETY: `status` is a place to write to.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0);
        }
    }
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtResetDevice, 0);
}

#[test]
fn exit_with_everything_open() {
    for _ in 0..5 {
        succeeds("child_exits", &[]);
    }
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_exits() {
    unsafe extern "C" fn never(_: *mut c_void) {
        panic!("nobody serves this callback");
    }
    ok!(aclInit, ptr::null());
    ok!(aclrtSetDevice, 0);
    let (busy, held, memory) = (stream(), stream(), device_memory(64 << 20));
    ok!(aclrtSubscribeReport, 1, held);
    ok!(aclrtLaunchCallback, Some(never), ptr::null_mut(), sys::ACL_CALLBACK_BLOCK, held);
    let waiting = Carry(stream());
    thread::spawn(move || {
        let waiting = waiting;
        ok!(aclrtSetDevice, 0);
        ok!(aclrtSubscribeReport, this_thread(), waiting.0);
        acl!(aclrtProcessReport, -1);
    });
    for _ in 0..100 {
        ok!(aclrtMemsetAsync, memory, 64 << 20, 1, 64 << 20, busy);
    }
    event();
    pinned(100);
}

#[test]
fn leaks_are_reported() {
    let text = succeeds("child_leaks", &[("ASCENDCL_SIM_LEAKS", "report")]);
    assert!(text.contains("  stream (id "), "{text}");
    assert!(text.contains(") made by aclrtCreateStream on thread child_leaks"), "{text}");
    assert!(text.contains("  device memory (100 bytes at "), "{text}");
    let text = succeeds("child_leaks", &[("ASCENDCL_SIM_LEAKS", "off")]);
    assert!(!text.contains("leaked"), "{text}");
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_leaks() {
    ok!(aclInit, ptr::null());
    ok!(aclrtSetDevice, 0);
    stream();
    device_memory(100);
    ok!(aclFinalize);
}

#[test]
fn what_a_reset_takes_back_is_reported() {
    let text = succeeds("child_resets", &[("ASCENDCL_SIM_LEAKS", "report")]);
    assert!(text.contains("3 leaked, and taken back by the reset of their device:"), "{text}");
    for what in ["  stream (", "  event (", "  device memory (100 bytes at "] {
        assert!(text.contains(what), "{text}");
    }
    assert!(text.contains("child_resets at "), "where they were made: {text}");
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_resets() {
    ok!(aclInit, ptr::null());
    ok!(aclrtSetDevice, 0);
    stream();
    event();
    device_memory(100);
    ok!(aclrtDestroyStream, stream());
    ok!(aclrtResetDevice, 0);
    ok!(aclFinalize);
}

#[test]
fn the_environment_configures() {
    succeeds(
        "child_configured",
        &[
            ("ASCENDCL_SIM_PROFILE", "full"),
            ("ASCENDCL_SIM_MEMORY", "256M"),
            ("ASCENDCL_SIM_DEVICES", "3"),
            ("ASCEND_RT_VISIBLE_DEVICES", "0,2"),
        ],
    );
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_configured() {
    let (mut count, mut free, mut total) = (0, 0, 0);
    ok!(aclrtGetDeviceCount, &mut count);
    assert_eq!(count, 2);
    ok!(aclrtSetDevice, 1);
    ok!(aclrtGetMemInfo, sys::ACL_HBM_MEM, &mut free, &mut total);
    assert_eq!(total, 256 << 20);
    ok!(aclrtResetDevice, 1);
}

#[test]
fn a_wrong_variable_is_said_by_init() {
    succeeds("child_misconfigured", &[("ASCENDCL_SIM_PROFILE", "ascend9000")]);
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_misconfigured() {
    assert_eq!(acl!(aclInit, ptr::null()), 100_000);
    let text = message();
    assert!(
        text.contains("ASCENDCL_SIM_PROFILE=ascend9000 is no profile: use one of ascend310, ascend310p, ascend910b, full"),
        "{text}"
    );
    assert_eq!(acl!(aclrtSetDevice, 0), 100_000);
}

#[test]
fn touching_device_or_freed_memory_faults() {
    for kind in ["device", "freed", "overrun"] {
        // A sanitizer would catch the signal.
        let output = run("child_touches", &[("TOUCH", kind), ("ASAN_OPTIONS", "handle_segv=0")]);
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{kind}");
    }
}

#[test]
#[ignore = "runs in a process of its own, and crashes it"]
fn child_touches() {
    ok!(aclrtSetDevice, 0);
    let (device, host) = (device_memory(64), pinned(64));
    let address: *mut u8 = match std::env::var("TOUCH").unwrap().as_str() {
        "device" => device.cast(),
        "freed" => {
            ok!(aclrtFreeHost, host);
            host.cast()
        }
        _ => host.wrapping_byte_add(64).cast(),
    };
    // SAFETY: none: the point is that this faults.
    unsafe { address.write_volatile(1) };
}

#[test]
fn the_header_declares_what_is_exported() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = std::fs::read_to_string(root.join("include/ascendcl_sim.h")).unwrap();
    let names = |text: &str, before: &str| -> std::collections::BTreeSet<String> {
        let parts = text.split(before).skip(1);
        let names = parts
            .map(|part| part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>());
        names.filter(|name| name.starts_with("ascendclsim_")).collect()
    };
    let mut exported = std::collections::BTreeSet::new();
    for file in ["src/lib.rs", "src/kernel/export.rs"] {
        exported.extend(names(&std::fs::read_to_string(root.join(file)).unwrap(), "extern \"C\" fn "));
    }
    assert!(exported.len() > 10, "{exported:?}");
    for name in &exported {
        assert!(header.contains(&format!("{name}(")), "{name} is not in the header");
    }
}
