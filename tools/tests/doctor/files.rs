//! Libraries that are there or not, and what they are.

use std::{env::consts::ARCH, fs};

use super::machine::{HOME, Machine, cdylib};

#[test]
fn without_anything_it_says_so_and_that_the_simulator_is_there() {
    let machine = Machine::new();
    let said = machine.ask();
    assert_eq!(said.code, Some(1));
    assert_eq!(said.problems(), ["no-cann"]);
    let (text, _) = said.finding("no-cann");
    assert!(text.contains("/usr/local/Ascend/cann/lib64") && text.contains("simulator"), "{text}");
    let (text, command) = said.finding("simulator-works");
    assert!(
        text.contains("callbacks on 4 devices") && command.contains("ASCENDCL_BACKEND=sim"),
        "{text} {command}"
    );
    assert_eq!(said.json["simulator"]["works"], true);
    assert_eq!(said.json["trial"], serde_json::Value::Null);

    let text = machine.text();
    assert!(
        text.contains("PROBLEM: no CANN is installed here\n") && text.ends_with("\n1 problem.\n"),
        "{text}"
    );
}

#[test]
fn an_installation_that_works_is_fine() {
    let machine = Machine::whole();
    let said = machine.ask();
    assert_eq!((said.code, said.problems()), (Some(0), vec![]), "{:#}", said.json["findings"]);
    assert_eq!(said.ids("warning"), [""; 0], "{:#}", said.json["findings"]);
    let trial = &said.json["trial"];
    assert_eq!((&trial["works"], &trial["devices"]), (&true.into(), &4.into()));
    let steps = trial["steps"].as_array().unwrap();
    for step in ["load", "init", "wait for the callback on device 3", "finalize"] {
        assert!(steps.iter().any(|done| done["name"] == step && done["works"] == true), "{step}: {steps:?}");
    }
    let versions = said.json["versions"].as_array().unwrap().iter();
    let versions: Vec<_> =
        versions.map(|version| (version["of"].as_str(), version["version"].as_str())).collect();
    assert_eq!(
        versions,
        [
            (Some("toolkit"), Some("8.1.RC1")),
            (Some("operators"), Some("8.1.RC1")),
            (Some("driver"), Some("24.1.rc1"))
        ]
    );
    let text = machine.text();
    assert!(text.contains("device 0       memory, context, stream, callback: ok"), "{text}");
    assert!(text.ends_with("\nAll is well.\n"), "{text}");
    // What lies in files only is told without running anything.
    let said = machine.ask_with(&["--no-run"]);
    assert_eq!((said.code, &said.json["trial"]), (Some(0), &serde_json::Value::Null));
}

#[test]
fn the_simulator_as_a_library_needs_no_hardware() {
    let machine =
        Machine::new().with("LD_LIBRARY_PATH", "/opt/sim/lib64").with("ASCEND_HOME_PATH", "/opt/sim");
    machine.simulator("/opt/sim/lib64");
    let said = machine.ask();
    assert_eq!((said.code, said.problems()), (Some(0), vec![]), "{:#}", said.json["findings"]);
    assert!(said.ids("note").contains(&"library-is-simulator"));
    assert!(said.ids("note").contains(&"features-missing"), "it has no DVPP");
    assert_eq!(said.json["libraries"]["found"], "/opt/sim/lib64/libascendcl.so");
}

#[test]
fn a_library_for_another_processor() {
    let machine = Machine::whole();
    // The first bytes of one: class, byte order, kind and machine are all that counts.
    let mut header = [0; 64];
    header[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\xb7\0");
    if ARCH == "aarch64" {
        header[18] = 0x3e;
    }
    header[20] = 1;
    header[52] = 64;
    header[54] = 56;
    header[58] = 64;
    fs::remove_file(machine.at(&format!("{HOME}/lib64/libascendcl.so"))).unwrap();
    machine.file(&format!("{HOME}/lib64/libascendcl.so"), header);
    let said = machine.ask();
    assert_eq!(said.problems(), ["wrong-architecture"], "{:#}", said.json["findings"]);
    let (text, _) = said.finding("wrong-architecture");
    assert!(text.contains(if ARCH == "aarch64" { "is for x86_64" } else { "is for aarch64" }), "{text}");

    header[4] = 1;
    machine.file(&format!("{HOME}/lib64/libascendcl.so"), header);
    assert!(machine.ask().finding("wrong-architecture").0.contains("32-bit"));
}

#[test]
fn files_that_are_no_libraries() {
    let machine = Machine::whole();
    let path = format!("{HOME}/lib64/libascendcl.so");
    let whole = fs::read(cdylib()).unwrap();
    for (content, expected) in [
        (&b"version https://git-lfs.github.com/spec/v1\n"[..], "not-a-library"),
        (&[], "not-a-library"),
        (&whole[..whole.len() / 3], "damaged-library"),
        (&whole[..100], "damaged-library"),
    ] {
        fs::remove_file(machine.at(&path)).unwrap();
        machine.file(&path, content);
        let said = machine.ask();
        assert_eq!(said.problems(), [expected], "{:#}", said.json["findings"]);
    }
    fs::remove_file(machine.at(&path)).unwrap();
    machine.link(&path, "nowhere.so");
    assert_eq!(machine.ask().problems(), ["library-unreadable"]);
}

#[test]
fn any_bytes_as_a_library_are_survived() {
    let machine = Machine::new().with("ASCEND_HOME_PATH", "/opt/x");
    let whole = fs::read(cdylib()).unwrap();
    let path = machine.file("/opt/x/lib64/libascendcl.so", &whole);
    // Headers, one byte after the other; never loaded.
    for at in 0..64 {
        for byte in [0, 0x7f, 0xff] {
            let mut bad = whole[..4096].to_vec();
            bad[at] = byte;
            fs::write(&path, bad).unwrap();
            let output = machine.command(&["--no-run", "--json"]).output().unwrap();
            assert!(matches!(output.status.code(), Some(0 | 1)), "{at} {byte}: {output:?}");
        }
    }
}

#[test]
fn a_stub_for_linking() {
    let stub = "#[unsafe(no_mangle)] pub extern \"C\" fn aclInit() -> i32 { 100039 }
        #[unsafe(no_mangle)] pub extern \"C\" fn aclrtSetDevice() -> i32 { 100039 }";
    let devlib = format!("{HOME}/devlib");
    let machine = Machine::whole()
        .without("ASCEND_HOME_PATH")
        .with("LD_LIBRARY_PATH", format!("{devlib}:{HOME}/lib64"));
    machine.library(&format!("{devlib}/libascendcl.so"), stub);
    let said = machine.ask();
    assert!(said.problems().contains(&"stub-library"), "{:#}", said.json["findings"]);
    assert_eq!(said.problems().iter().filter(|id| **id == "stub-library").count(), 1);
    assert!(!said.problems().contains(&"init-fails"));
    let (_, command) = said.finding("stub-library");
    assert_eq!(command, format!("export LD_LIBRARY_PATH={HOME}/lib64"));
    // By its place alone, where nothing is run.
    assert!(machine.ask_with(&["--no-run"]).problems().contains(&"stub-library"));
    // Wherever it lies, what it answers tells.
    let machine = Machine::new().with("ASCENDCL_LIBRARY", "/opt/lib/libascendcl.so");
    machine.library("/opt/lib/libascendcl.so", stub);
    assert!(machine.ask().problems().contains(&"stub-library"));
}

#[test]
fn an_installation_that_nothing_leads_to() {
    let machine = Machine::new();
    machine.toolkit("/usr/local/Ascend/ascend-toolkit/8.0.RC1", "8.0.RC1");
    machine.simulator("/usr/local/Ascend/ascend-toolkit/8.0.RC1/lib64");
    let said = machine.ask();
    assert!(said.problems().contains(&"cann-not-found"), "{:#}", said.json["findings"]);
    let (text, command) = said.finding("cann-not-found");
    assert!(text.contains("/usr/local/Ascend/ascend-toolkit/8.0.RC1,"), "{text}");
    assert_eq!(command, "source /usr/local/Ascend/ascend-toolkit/8.0.RC1/set_env.sh");
}

#[test]
fn the_drivers_library_is_missing() {
    // A library that was linked with the driver's, which then is not there.
    let machine = Machine::whole();
    let folder = format!("{HOME}/lib64");
    machine
        .library(&format!("{folder}/libascend_hal.so"), "#[unsafe(no_mangle)] pub extern \"C\" fn hal() {}");
    fs::remove_file(machine.at(&format!("{folder}/libascendcl.so"))).unwrap();
    machine.needing("libascend_hal.so", &format!("{folder}/libascendcl.so"));
    fs::remove_file(machine.at(&format!("{folder}/libascend_hal.so"))).unwrap();
    let said = machine.ask();
    assert_eq!(said.problems(), ["driver-library-missing"], "{:#}", said.json["findings"]);
    assert!(said.finding("driver-library-missing").0.contains("install the driver"));

    machine.file("/.dockerenv", "");
    let said = machine.ask();
    let (_, command) = said.finding("driver-library-missing");
    assert!(command.starts_with("docker run -v /usr/local/Ascend/driver/lib64:"), "{command}");

    // It is there, but nothing leads to it.
    machine.file("/usr/local/Ascend/driver/lib64/driver/libascend_hal.so", "");
    let said = machine.ask_with(&["--no-run"]);
    let (text, command) = said.finding("driver-library-missing");
    assert!(text.contains("LD_LIBRARY_PATH does not name"), "{text}");
    assert!(command.starts_with("export LD_LIBRARY_PATH=/usr/local/Ascend/driver/lib64"), "{command}");
}

#[test]
fn functions_that_are_missing_cost_features() {
    let machine = Machine::new().with("ASCENDCL_LIBRARY", "/opt/lib/libascendcl.so");
    machine.library(
        "/opt/lib/libascendcl.so",
        "#[unsafe(no_mangle)] pub extern \"C\" fn aclInit() -> i32 { 0 }
         #[unsafe(no_mangle)] pub extern \"C\" fn aclFinalize() -> i32 { 0 }",
    );
    let said = machine.ask();
    assert!(said.problems().contains(&"functions-missing"), "{:#}", said.json["findings"]);
    let (text, _) = said.finding("functions-missing");
    assert!(text.contains("callbacks (aclrtLaunchCallback,") && text.contains("streams ("), "{text}");
    assert!(said.finding("features-missing").0.contains("DVPP"));
    assert_eq!(said.json["trial"]["functions"]["present"], 2);
}
