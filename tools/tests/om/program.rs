//! The program: text, JSON, exit codes.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use super::build::{self, Om};
use super::{DIGITS, full, tensor};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_om-info")).args(arguments).output().unwrap()
}

/// A file for a test, gone at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: &[u8]) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn text_says_what_to_do() {
    let file = Scratch::new("full.om", &full().file());
    let text = text(&run(&[file.path()]));
    for expected in [
        "chip         Ascend310",
        "made by      ATC 8.1.RC1, operators 8.1.RC1",
        "memory       4.0 KiB to work with, 1000 bytes of weights",
        "UINT8 NHWC 1x240x256x3, 92160 bytes",
        "static AIPP: give it pictures in YUV420SP_U8, 256 wide and 240 high",
        "crops 224x224 at 16, 8",
        "axes: 1 to 8, 1 or more",
        "says which gear: ACL writes it",
        "set with aclmdlSetInputDynamicDims",
        "FLOAT16 ND 1x10, 20 bytes",
    ] {
        assert!(text.contains(expected), "{expected} is not in:\n{text}");
    }
}

#[test]
fn json_is_for_programs() {
    let file = Scratch::new("full-json.om", &full().file());
    let told: serde_json::Value = serde_json::from_str(&text(&run(&["--json", file.path()]))).unwrap();
    assert_eq!((&told["kind"], &told["soc_version"]), (&"om".into(), &"Ascend310".into()));
    assert_eq!(told["bytes"], fs::metadata(&file.0).unwrap().len());
    assert_eq!(told["inputs"][0]["aipp"]["crop"], serde_json::json!([16, 8, 224, 224]));
    assert_eq!(told["inputs"][2]["role"], "gear");
    assert_eq!(told["gears"]["dims"], serde_json::json!([[1, 16], [8, 128]]));

    let file = Scratch::new("digits.onnx", DIGITS);
    let told: serde_json::Value = serde_json::from_str(&text(&run(&["--json", file.path()]))).unwrap();
    assert_eq!(
        (&told["kind"], &told["inputs"][0]["dims"]),
        (&"onnx".into(), &serde_json::json!([1, 1, 8, 8]))
    );
    assert!(text(&run(&[file.path()])).contains("--input_shape='image:1,1,8,8'"));
}

#[test]
fn bundles_are_told_model_by_model() {
    let file =
        Scratch::new("bundle.om", &ascendcl_sim::om::bundle(&[full().file(), full().file()], Some(64)));
    let text = text(&run(&[file.path()]));
    assert!(text.contains("a bundle of 2 OM models") && text.contains("\nmodel 1, an OM model\n"), "{text}");
}

/// Names of a file must not move the cursor, or hide what stands there.
#[test]
fn names_do_not_take_over_the_terminal() {
    let inout = build::inout(&[(0, build::tensors(&[tensor("\x1b[2J\u{202e}x\n", 4, 2, 0, &[1])]))]);
    let file = Scratch::new("names.om", &Om { tables: vec![vec![(8, inout)]], ..Om::default() }.file());
    let text = text(&run(&[file.path()]));
    assert!(text.contains("\\u{1b}[2J\\u{202e}x\\n"), "{text}");
    assert!(!text.contains('\x1b'));
}

#[test]
fn exit_codes_tell_files_from_command_lines() {
    let file = Scratch::new("cut.om", &full().file()[..300]);
    let output = run(&[file.path()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("malformed or truncated OM model: its header tells of"), "{said}");
    assert_eq!(run(&["/no/such/model.om"]).status.code(), Some(1));
    for wrong in [&[][..], &["--wrong"], &["a", "b"]] {
        let output = run(wrong);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: om-info"));
    }
    assert!(text(&run(&["--help"])).contains("Usage: om-info"));
    assert!(text(&run(&["--version"])).starts_with("om-info "));
}
