//! What programs that only load the library get from the variables: each run in a process of its own.

mod common;

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::ptr;

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

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A file for this test alone, which is not there yet.
fn file(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("ascendcl-sim-{name}-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

#[test]
fn wrong_configurations_are_said_by_init() {
    for (name, value, text) in [
        (
            "ASCENDCL_SIM_RACE",
            "report",
            "ASCENDCL_SIM_RACE is no variable of the simulator: there are ASCENDCL_SIM_D",
        ),
        ("ASCENDCL_SIM_FAULTS", "aclrtMaloc=1", "did you mean aclrtMalloc?"),
        (
            "ASCENDCL_SIM_FAULTS",
            "aclrtMalloc=boom",
            "'boom' is neither a code other than 0 nor one of after CODE, no-memory",
        ),
        (
            "ASCENDCL_SIM_TRACE",
            "/nowhere/trace.json",
            "the timeline cannot be written to /nowhere/trace.json: ",
        ),
        ("ASCENDCL_SIM_REPORT", "/nowhere/report", "reports cannot be written to /nowhere/report: "),
        ("ASCENDCL_SIM_SEED", "x", "ASCENDCL_SIM_SEED=x is neither"),
    ] {
        let output = run("child_cannot_init", &[(name, value)]);
        assert!(output.status.success(), "{}", errors(&output));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(text), "by aclGetRecentErrMsg: {said}");
        assert!(errors(&output).contains(text), "on standard error: {}", errors(&output));
    }
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_cannot_init() {
    assert_eq!(acl!(aclInit, ptr::null()), 100_000);
    println!("{}", message());
}

#[test]
fn a_strict_run_aborts_behind_its_first_report() {
    let path = file("strict");
    let (report, trace) = (path.to_str().unwrap(), path.with_extension("json"));
    let variables = [
        ("ASCENDCL_SIM_STRICT", "1"),
        ("ASCENDCL_SIM_REPORT", report),
        ("ASCENDCL_SIM_TRACE", trace.to_str().unwrap()),
    ];
    for round in 1..=2 {
        let output = run("child_fills_host_memory", &variables);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", errors(&output));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("is plain host memory").count(), round, "reports are appended: {text}");
        let text = std::fs::read_to_string(&trace).unwrap();
        assert!(text.starts_with("[\n{") && text.ends_with("}\n]\n"), "{text}");
    }
    let output = run("child_fills_host_memory", &[("ASCENDCL_SIM_STRICT", "1")]);
    let text = errors(&output);
    assert!(text.contains("misuse: ") && text.contains("child_fills_host_memory"), "{text}");
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_file(&trace).unwrap();
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_fills_host_memory() {
    ok!(aclInit, ptr::null());
    ok!(aclrtSetDevice, 0);
    let mut host = [0u8; 64];
    acl!(aclrtMemset, host.as_mut_ptr().cast(), 64, 0, 64);
    unreachable!("the report ends the process");
}

#[test]
fn a_timeline_is_whole_however_the_process_ends() {
    for how in ["return", "abort", "kill", "fork"] {
        let path = file(how);
        run("child_ends", &[("ASCENDCL_SIM_TRACE", path.to_str().unwrap()), ("HOW", how)]);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(text.starts_with("[\n{") && text.ends_with("}\n]\n"), "{how}: {text}");
        assert!(text.lines().filter(|line| line.starts_with('{')).all(|line| {
            let line = line.trim_end_matches(',');
            line.ends_with('}') && line.matches('{').count() == line.matches('}').count()
        }));
        assert!(text.contains("\"aclrtMemsetAsync\""), "{how}: {text}");
    }
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_ends() {
    ok!(aclInit, ptr::null());
    ok!(aclrtSetDevice, 0);
    let (stream, memory) = (stream(), device_memory(64));
    for _ in 0..200 {
        ok!(aclrtMemsetAsync, memory, 64, 1, 64, stream);
    }
    ok!(aclrtSynchronizeStream, stream);
    std::thread::sleep(std::time::Duration::from_millis(150));
    ok!(aclrtMemsetAsync, memory, 64, 1, 64, stream);
    match std::env::var("HOW").unwrap_or_default().as_str() {
        "abort" => std::process::abort(),
        // SAFETY: ends this process.
        "kill" => unsafe { libc::_exit(3) },
        "fork" => {
            // SAFETY: the child only exits, with the handlers that it has from its parent.
            let child = unsafe { libc::fork() };
            if child == 0 {
                std::process::exit(0);
            }
            let mut status = 0;
            // SAFETY: a place to write to.
            unsafe { libc::waitpid(child, &mut status, 0) };
        }
        _ => {}
    }
}

#[test]
fn a_seed_repeats_a_run_in_another_process() {
    let run = |seed: &str| {
        let output = run("child_races", &[("ASCENDCL_SIM_SEED", seed), ("ASCENDCL_SIM_PROFILE", "full")]);
        assert!(output.status.success(), "{}", errors(&output));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = said.lines().find(|line| line.contains("seen ")).unwrap().to_owned();
        (said, errors(&output))
    };
    let mut all = std::collections::BTreeSet::new();
    for seed in ["1", "2", "3", "4"] {
        let first = run(seed).0;
        assert_eq!(run(seed).0, first);
        all.insert(first);
    }
    assert!(all.len() > 1, "{all:?}");
    let text = run("random").1;
    let (_, rest) = text.split_once("ASCENDCL_SIM_SEED=").unwrap();
    assert!(rest.contains(" repeats this run"), "{text}");
}

/// Two streams that nothing orders, and what comes of it; with captured work, notifies and host functions.
#[test]
#[ignore = "runs in a process of its own"]
fn child_races() {
    unsafe extern "C" fn nothing(_: *mut core::ffi::c_void) {}
    ok!(aclInit, ptr::null());
    ok!(aclrtSetDevice, 0);
    let (one, two, memory, host) = (stream(), stream(), device_memory(64), pinned(64));
    let (begin, end) = (event(), event());
    let (mut notify, mut instance) = (ptr::null_mut(), ptr::null_mut());
    ok!(aclrtCreateNotify, &mut notify, 0);
    ok!(aclmdlRICaptureBegin, one, sys::ACL_MODEL_RI_CAPTURE_MODE_RELAXED);
    for value in 50..54 {
        ok!(aclrtMemsetAsync, memory, 64, value, 1, one);
    }
    ok!(aclmdlRICaptureEnd, one, &mut instance);
    let mut seen = Vec::new();
    for round in 0..12 {
        ok!(aclrtRecordEvent, begin, one);
        for value in 0..4 {
            ok!(aclrtMemsetAsync, memory, 64, value, 1, one);
            ok!(aclrtMemsetAsync, memory, 64, 100 + value, 1, two);
        }
        ok!(aclmdlRIExecuteAsync, instance, one);
        ok!(aclrtLaunchHostFunc, two, Some(nothing), ptr::null_mut());
        ok!(aclrtRecordNotify, notify, one);
        if round % 2 == 0 {
            ok!(aclrtWaitAndResetNotify, notify, two, 0);
        } else {
            ok!(aclrtWaitAndResetNotify, notify, one, 0);
        }
        ok!(aclrtRecordEvent, end, two);
        ok!(aclrtMemcpyAsync, host, 64, memory, 64, sys::ACL_MEMCPY_DEVICE_TO_HOST, two);
        ok!(aclrtSynchronizeStream, two);
        let first = bytes(host, 1)[0];
        ok!(aclrtSynchronizeDevice);
        let mut elapsed = 0.0;
        ok!(aclrtEventElapsedTime, &mut elapsed, begin, end);
        seen.push((first, elapsed));
    }
    println!("seen {seen:?}");
    ok!(aclmdlRIDestroy, instance);
    ok!(aclrtDestroyNotify, notify);
}
