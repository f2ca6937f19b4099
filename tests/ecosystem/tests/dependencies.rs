//! The page on dependencies names every crate that a program gets, and no other.

use std::{collections::BTreeSet, path::Path, process::Command};

/// The crates that `ascendcl` brings with a feature.
fn tree(feature: Option<&str>) -> BTreeSet<String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").expect("cargo runs the tests"));
    cargo.args(["tree", "--locked", "-p", "ascendcl", "-e", "normal", "--prefix", "none", "--format", "{p}"]);
    cargo.args(feature.map(|feature| format!("--features={feature}")));
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names are text");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// The crates that the page names under a heading.
fn named(page: &str, heading: &str) -> BTreeSet<String> {
    let section = page.split("\n## ").find_map(|section| section.strip_prefix(heading)).expect(heading);
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    // Only the first column; the odd parts between back quotes.
    rows.flat_map(|row| {
        row.split(" | ")
            .next()
            .unwrap_or_default()
            .split('`')
            .step_by(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    })
    .filter(|name| !name.is_empty())
    .collect()
}

#[test]
fn the_page_on_dependencies_is_complete() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/dependencies.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let always = tree(None);
    assert_eq!(named(&page, "Always"), always);
    let sim = tree(Some("sim"));
    for feature in ["sim", "onnx", "half", "bytemuck", "ndarray", "serde", "tracing"] {
        let before = if feature == "onnx" { &sim } else { &always };
        let brought: BTreeSet<_> = tree(Some(feature)).difference(before).cloned().collect();
        assert_eq!(named(&page, &format!("Feature `{feature}`")), brought, "{feature}");
    }
}
