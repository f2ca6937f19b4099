//! Libraries that do something else than work, once they are loaded.

use super::machine::Machine;

/// A library whose `aclInit` does this.
fn with_init(source: &str) -> Machine {
    let machine = Machine::new().with("ASCENDCL_LIBRARY", "/opt/lib/libascendcl.so");
    machine.library("/opt/lib/libascendcl.so", source);
    machine
}

#[test]
fn one_that_hangs() {
    let machine = with_init(
        "#[unsafe(no_mangle)] pub extern \"C\" fn aclInit() -> i32 { loop { core::hint::spin_loop() } }",
    );
    let said = machine.limit(1).ask();
    let (text, command) = said.finding("hangs");
    assert!(text.contains("did not get on within 1 s: init"), "{text}");
    assert_eq!(command, "npu-smi info");
    let steps = said.json["trial"]["steps"].as_array().unwrap();
    assert_eq!(steps.last().unwrap()["works"], serde_json::Value::Null);
}

#[test]
fn one_that_hangs_and_never_stops_talking() {
    let machine = with_init(
        "unsafe extern \"C\" { fn write(file: i32, text: *const u8, length: usize) -> isize; }
         #[unsafe(no_mangle)] pub extern \"C\" fn aclInit() -> i32 {
             loop { unsafe { write(1, b\"still here\\n\".as_ptr(), 11) }; }
         }",
    );
    assert!(machine.limit(1).ask().finding("hangs").0.contains("did not get on"));
}

#[test]
fn one_that_crashes() {
    let machine = with_init(
        "unsafe extern \"C\" { fn abort() -> !; fn write(file: i32, text: *const u8, length: usize) -> isize; }
         #[unsafe(no_mangle)] pub extern \"C\" fn aclInit() -> i32 {
             unsafe { write(2, b\"drv: no such page\\n\".as_ptr(), 18); abort() }
         }",
    );
    let said = machine.ask();
    let (text, _) = said.finding("crashes");
    assert!(text.contains("died of signal 6 (abort), at this step: init"), "{text}");
    assert!(text.contains("it said: drv: no such page"), "{text}");
}

#[test]
fn one_that_crashes_while_it_is_loaded() {
    let machine = with_init(
        "unsafe extern \"C\" { fn abort() -> !; }
         #[used] #[unsafe(link_section = \".init_array\")] static START: extern \"C\" fn() = start;
         extern \"C\" fn start() { unsafe { abort() } }
         #[unsafe(no_mangle)] pub extern \"C\" fn aclInit() -> i32 { 0 }",
    );
    assert!(machine.ask().finding("crashes").0.contains("at this step: load"));
}

#[test]
fn one_that_ends_the_process() {
    let machine = with_init(
        "unsafe extern \"C\" { fn _exit(code: i32) -> !; }
         #[unsafe(no_mangle)] pub extern \"C\" fn aclInit() -> i32 { unsafe { _exit(0) } }",
    );
    let said = machine.ask();
    assert_eq!((said.code, &said.json["trial"]["works"]), (Some(1), &false.into()));
    assert!(!said.problems().is_empty(), "{:#}", said.json);
}

#[test]
fn one_whose_init_fails() {
    for (code, expected) in
        [(507_033, "device-does-not-open"), (148_049, "no-operators"), (500_000, "init-fails")]
    {
        let source = format!("#[unsafe(no_mangle)] pub extern \"C\" fn aclInit() -> i32 {{ {code} }}");
        let said = with_init(&source).ask();
        let (text, _) = said.finding(expected);
        assert!(text.contains("init failed") && text.contains(&code.to_string()), "{text}");
        assert!(!said.problems().contains(&"crashes"), "{:#}", said.json["findings"]);
    }
}

#[test]
fn one_that_is_not_acl() {
    let said = with_init("#[unsafe(no_mangle)] pub extern \"C\" fn something() -> i32 { 1 }").ask();
    assert!(said.finding("does-not-load").0.contains("neither aclInit nor aclrtSetDevice"));
}

/// What goes wrong later, on a simulator that was told to.
#[test]
fn steps_that_fail_are_named() {
    let machine = || Machine::new().with("ASCENDCL_LIBRARY", "/opt/lib/libascendcl.so");
    for (fault, step) in [
        ("aclrtCreateContext=107001", "create a context on device 0 failed"),
        ("aclrtCreateStream=207005", "create a stream on device 0 failed"),
        ("aclrtSetDevice=507033", "open device 3 failed"),
    ] {
        let machine = machine().with("ASCENDCL_SIM_FAULTS", fault);
        machine.simulator("/opt/lib");
        let said = machine.ask();
        let findings = said.json["findings"].as_array().unwrap();
        assert!(findings.iter().any(|finding| finding["what"] == step), "{fault}: {findings:#?}");
        assert_eq!(said.code, Some(1));
    }
    // The callback that never comes is waited for as long as was said.
    let machine = machine().with("ASCENDCL_SIM_FAULTS", "aclrtLaunchCallback=lose").limit(2);
    machine.simulator("/opt/lib");
    let said = machine.ask();
    assert!(
        said.problems().contains(&"callback-does-not-return") || said.problems().contains(&"hangs"),
        "{:#}",
        said.json
    );
    // No devices at all: that is told when ACL starts.
    let machine =
        Machine::new().with("ASCENDCL_LIBRARY", "/opt/lib/libascendcl.so").with("ASCENDCL_SIM_DEVICES", "0");
    machine.simulator("/opt/lib");
    assert!(machine.ask().finding("init-fails").0.contains("there is no device"));
}

#[test]
fn parts_that_do_not_load_are_a_warning() {
    let machine = Machine::whole();
    machine.file("/usr/local/Ascend/ascend-toolkit/latest/lib64/libacl_dvpp.so", "no library");
    let said = machine.ask();
    assert_eq!(said.code, Some(0));
    assert!(said.finding("parts-do-not-load").0.contains("libacl_dvpp.so"));
}

#[test]
fn command_lines_that_are_wrong() {
    for wrong in [
        &["--wrong"][..],
        &["file"],
        &["--timeout", "0"],
        &["--timeout", "x"],
        &["--root", "/no/such/folder"],
    ] {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_ascendcl-doctor")).args(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: ascendcl-doctor"));
    }
}
