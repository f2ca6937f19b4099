//! The documentation finds by its C name every function that this crate calls: a method that stands for one has it as an alias.

use ascendcl::sys;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The files in and below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The identifiers in a line of code.
fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
}

/// A line without its comment and without the contents of its strings.
fn code(line: &str) -> String {
    let line = line.split("//").next().unwrap_or_default();
    line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

#[test]
fn each_c_function_that_is_called_is_an_alias() {
    let functions: BTreeSet<&str> =
        sys::FUNCTIONS.iter().map(|function| function.name.to_str().unwrap()).collect();
    let (mut called, mut aliases) = (BTreeSet::new(), BTreeSet::new());
    for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        for line in fs::read_to_string(&file).unwrap().lines() {
            if let Some((_, alias)) = line.split_once("doc(alias = \"") {
                aliases.insert(alias.split('"').next().unwrap().to_owned());
            } else {
                let code = code(line);
                called.extend(words(&code).filter(|word| functions.contains(word)).map(str::to_owned));
            }
        }
    }
    assert!(called.contains("aclrtLaunchCallback") && called.contains("aclmdlGetNumInputs"), "{called:?}");
    let missing: Vec<_> = called.difference(&aliases).collect();
    assert!(missing.is_empty(), "no alias names {missing:?}");
}
