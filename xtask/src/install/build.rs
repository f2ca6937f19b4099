//! Builds the shared library.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{error::Error, workspace};

/// The file name that cargo gives the library.
const FILE: &str = "libascendcl_sim.so";

/// Builds the library in release and with everything that it can do; gives the file.
pub fn library() -> Result<PathBuf, Error> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--locked", "-p", "ascendcl-sim", "--features", "export,onnx"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(workspace::root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| Error::new(format!("cannot run cargo: {e}")))?;
    if !output.status.success() {
        return Err(Error::new("the simulator does not build"));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    artifact(&messages)
        .ok_or_else(|| Error::new(format!("cargo built no {FILE}: is this target without shared libraries?")))
}

/// The library among cargo's messages, which are one JSON object a line.
fn artifact(messages: &str) -> Option<PathBuf> {
    messages.lines().rev().filter(|line| line.contains("compiler-artifact")).find_map(|line| {
        // Strings between quotes; a path with a quote or a backslash in it is not looked for.
        line.split('"').find(|text| text.ends_with(FILE) && !text.contains("/deps/")).map(PathBuf::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_found_among_the_messages() {
        let messages = r#"{"reason":"compiler-artifact","filenames":["/t/release/liblog.rlib"]}
{"reason":"compiler-artifact","filenames":["/t/release/libascendcl_sim.rlib","/t/release/libascendcl_sim.so"]}
{"reason":"build-finished","success":true}"#;
        assert_eq!(artifact(messages), Some(PathBuf::from("/t/release/libascendcl_sim.so")));
        assert_eq!(artifact(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
