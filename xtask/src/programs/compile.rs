//! Compiles the programs as their authors would.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::in_parallel;
use crate::error::Error;

/// A program and the name of its headers: the binary, or what the compiler said.
pub type Compiled = HashMap<(PathBuf, String), Result<PathBuf, String>>;

/// Compiles every program with every set of headers.
pub fn all(
    programs: &[PathBuf],
    headers: &[(String, PathBuf)],
    libraries: &Path,
    folder: &Path,
) -> Result<Compiled, Error> {
    let mut jobs = Vec::new();
    for (index, set) in headers.iter().enumerate() {
        let folder = folder.join(index.to_string());
        fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
        for program in programs {
            let binary = folder.join(program.file_stem().unwrap_or_default());
            jobs.push((program.clone(), set, binary));
        }
    }
    let answers = in_parallel(&jobs, |(program, (_, include), binary)| {
        one(program, include, libraries, binary).map(|()| binary.clone())
    });
    let keys = jobs.iter().map(|(program, (name, _), _)| (program.clone(), name.clone()));
    Ok(keys.zip(answers).collect())
}

fn one(program: &Path, include: &Path, libraries: &Path, binary: &Path) -> Result<(), String> {
    let c = program.extension().is_some_and(|e| e == "c");
    let mut command = Command::new(if c { "cc" } else { "c++" });
    if c {
        // Headers older than ACL 1.17 have C++ in what C includes: one keyword.
        command.args(["-std=gnu11", "-Dconstexpr=const"]);
    } else {
        command.arg("-std=c++14");
    }
    command
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-deprecated-declarations"])
        .arg(program)
        .arg("-isystem")
        .arg(include)
        .arg("-L")
        .arg(libraries)
        .args(["-lascendcl", "-lpthread", "-ldl", "-lm", "-o"])
        .arg(binary);
    let output = command.output().map_err(|e| format!("cannot run {:?}: {e}", command.get_program()))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
