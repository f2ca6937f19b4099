//! Variables that are missing, wrong, or from two installations.

use super::machine::{HOME, Machine};

#[test]
fn set_env_was_not_sourced() {
    let machine = Machine::whole().without("ASCEND_HOME_PATH").without("ASCEND_OPP_PATH");
    let said = machine.ask_with(&["--no-run"]);
    assert_eq!(said.problems(), ["set-env-not-sourced"], "{:#}", said.json["findings"]);
    let (text, command) = said.finding("set-env-not-sourced");
    assert!(text.contains("ASCEND_HOME_PATH and ASCEND_OPP_PATH are not set"), "{text}");
    assert_eq!(command, format!("source {HOME}/set_env.sh"));
    // Where everything works without, it is no problem.
    let said = machine.ask();
    assert_eq!((said.code, said.ids("warning")), (Some(0), vec!["set-env-not-sourced"]));
    assert!(machine.text().ends_with("\nIt works, with 1 warning.\n"));
}

#[test]
fn folders_that_are_gone() {
    let said = Machine::whole().with("ASCEND_TOOLKIT_HOME", "/gone").ask_with(&["--no-run"]);
    assert_eq!(said.problems(), ["folder-missing"], "{:#}", said.json["findings"]);
    assert!(said.finding("folder-missing").0.contains("ASCEND_TOOLKIT_HOME is /gone"));
}

#[test]
fn a_named_library_that_is_not_there() {
    let said = Machine::new().with("ASCENDCL_LIBRARY", "/gone/libascendcl.so").ask();
    assert!(said.problems().contains(&"named-library-missing"), "{:#}", said.json["findings"]);
    assert_eq!(said.finding("named-library-missing").1, "unset ASCENDCL_LIBRARY");
}

#[test]
fn two_installations_in_one_environment() {
    let machine = Machine::whole();
    let old = "/usr/local/Ascend/ascend-toolkit/7.0.0";
    machine.toolkit(old, "7.0.0");
    machine.simulator(&format!("{old}/lib64"));
    let machine = machine.with("LD_LIBRARY_PATH", format!("{HOME}/lib64:{old}/lib64"));
    let said = machine.ask_with(&["--no-run"]);
    assert_eq!(said.problems(), ["versions-mixed"], "{:#}", said.json["findings"]);
    let (text, _) = said.finding("versions-mixed");
    assert!(text.contains(old) && text.contains(HOME), "{text}");

    let machine = machine.without("LD_LIBRARY_PATH").with("ASCEND_OPP_PATH", format!("{old}/opp"));
    assert_eq!(machine.ask_with(&["--no-run"]).problems(), ["versions-mixed"]);
}

/// `latest` is a folder of links into a version, or a link itself; so are folders for the processor.
#[test]
fn links_are_one_installation() {
    let machine = Machine::new();
    machine.card();
    let real = "/usr/local/Ascend/ascend-toolkit/8.1.RC1";
    let arch = format!("{}-linux", std::env::consts::ARCH);
    machine.toolkit(real, "8.1.RC1");
    machine.stand_in(&format!("{real}/{arch}/lib64"));
    machine.link(&format!("{real}/lib64"), &format!("{arch}/lib64"));
    for name in ["lib64", "opp", &arch, "set_env.sh"] {
        machine.link(&format!("{HOME}/{name}"), &format!("../8.1.RC1/{name}"));
    }
    machine.link("/usr/local/Ascend/cann", "ascend-toolkit/8.1.RC1");
    let machine = machine
        .with("ASCEND_HOME_PATH", HOME)
        .with("ASCEND_TOOLKIT_HOME", "/usr/local/Ascend/cann")
        .with("ASCEND_OPP_PATH", format!("{HOME}/opp"))
        .with("LD_LIBRARY_PATH", format!("{HOME}/{arch}/lib64:{real}/lib64"));
    let said = machine.ask();
    assert_eq!((said.code, said.problems()), (Some(0), vec![]), "{:#}", said.json["findings"]);
    assert_eq!(said.ids("warning"), [""; 0], "{:#}", said.json["findings"]);
    assert_eq!(said.json["libraries"]["installations"], serde_json::json!([real]));
}

#[test]
fn variables_of_this_crate() {
    let said = Machine::new().with("ASCENDCL_BACKEND", "cann").ask();
    assert!(said.problems().contains(&"backend-cann"), "{:#}", said.json["findings"]);
    let said = Machine::new().with("ASCENDCL_BACKEND", "npu").ask();
    assert!(said.finding("backend-unknown").0.contains("ASCENDCL_BACKEND is npu"));
    let said = Machine::whole().with("ASCENDCL_BACKEND", "sim").ask_with(&["--no-run"]);
    assert_eq!((said.code, said.ids("note")), (Some(0), vec!["backend-sim"]));
    let said = Machine::whole().with("ASCENDCL_BAKEND", "sim").ask_with(&["--no-run"]);
    assert!(said.finding("variable-unknown").0.contains("ASCENDCL_BAKEND is set, and nothing reads it"));
}

#[test]
fn visible_devices_are_checked_as_the_runtime_does() {
    for (value, expected) in [
        ("4", "and there are 2 devices here, 0 to 1"),
        ("1,0", "not ascending"),
        ("0,0", "names 0 twice"),
        ("all", "no list"),
    ] {
        let said = Machine::whole().with("ASCEND_RT_VISIBLE_DEVICES", value).ask_with(&["--no-run"]);
        assert_eq!(said.problems(), ["visible-devices"], "{value}");
        let (text, _) = said.finding("visible-devices");
        assert!(text.contains(expected) && text.contains("207004"), "{text}");
    }
    for value in ["0", "0,1", "1"] {
        let said = Machine::whole().with("ASCEND_RT_VISIBLE_DEVICES", value).ask_with(&["--no-run"]);
        assert_eq!(said.problems(), [""; 0], "{value}");
    }
}
