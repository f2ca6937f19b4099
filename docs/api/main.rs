//! Lists the public items of the published libraries beside this file, so that no change of what programs build on goes unseen:
//! `cargo run -p ascendcl-api`, and with `--check` it changes nothing and fails if a list is not what the code gives.
//!
//! The compiler of `rust-version` reads the code: the form in which rustdoc tells what it found changes from one compiler to the next.

use std::{
    collections::BTreeSet,
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// The libraries, and the features that add public items. Bindings are not listed: they are what the headers give, which is checked.
const LIBRARIES: [&str; 2] = ["ascendcl", "ascendcl-sim"];
const FEATURES: &str = "half,bytemuck,ndarray,serde,tracing,export";
/// Traits that programs on a stable compiler cannot name.
const UNNAMEABLE: [&str; 2] = ["core::marker::Freeze for ", "core::marker::StructuralPartialEq for "];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Carries out the command line; `false` if it found a difference.
fn run() -> Result<bool, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let check = match &arguments[..] {
        [] => false,
        [check] if check == "--check" => true,
        _ => return Err("usage: cargo run -p ascendcl-api [-- --check]".into()),
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documented = document(&folder.join("../.."))?;
    let mut same = true;
    for library in LIBRARIES {
        let path = folder.join(format!("{library}.txt"));
        let new = list(&documented.join(format!("{}.json", library.replace('-', "_"))))?;
        if check {
            let old = match fs::read_to_string(&path) {
                Ok(old) => old,
                Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
                Err(error) => return Err(format!("cannot read {}: {error}", path.display()).into()),
            };
            same &= compare(library, &old, &new);
        } else {
            fs::write(&path, new).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
    }
    if !same {
        eprintln!(
            "docs/api is not what the code gives; `cargo run -p ascendcl-api` writes it. What is gone (-) breaks programs, and what is new (+) in traits and enums can: \
             docs/releasing.md says what follows"
        );
    }
    Ok(same)
}

/// Lets rustdoc tell what is public, and says in which folder that is.
fn document(root: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let compiler = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'))
        .ok_or("Cargo.toml has no line `rust-version = \"...\"`")?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let target = root.join(target).join("api");
    let mut cargo = Command::new("rustup");
    cargo.args(["run", compiler, "cargo", "doc", "--quiet", "--locked", "--no-deps", "--lib"]);
    cargo.args(["--no-default-features", "--features", FEATURES]);
    cargo.args(LIBRARIES.map(|library| format!("--package={library}")));
    cargo.current_dir(root).env("CARGO_TARGET_DIR", &target).env("RUSTFLAGS", "--cap-lints=allow");
    // The form is no stable one, which is why one compiler is chosen.
    cargo
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTDOCFLAGS", "-Zunstable-options --output-format=json --cap-lints=allow");
    let status = cargo.status().map_err(|error| format!("cannot run rustup: {error}"))?;
    if !status.success() {
        return Err(format!(
            "the libraries cannot be documented with Rust {compiler}; if it is not there: rustup toolchain install {compiler} --profile minimal"
        )
        .into());
    }
    Ok(target.join("doc"))
}

/// The public items of one library, one a line.
fn list(json: &Path) -> Result<String, Box<dyn Error>> {
    // Implementations for every type are of other libraries, and of no interest.
    let items = public_api::Builder::from_rustdoc_json(json).omit_blanket_impls(true).build()?;
    let lines = items.items().map(|item| format!("{item}\n"));
    Ok(lines.filter(|line| !UNNAMEABLE.iter().any(|name| line.contains(name))).collect())
}

/// Prints what only one of the lists has.
fn compare(library: &str, old: &str, new: &str) -> bool {
    if old == new {
        return true;
    }
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) = (old.lines().collect(), new.lines().collect());
    eprintln!("{library}:");
    for gone in before.difference(&after) {
        eprintln!("- {gone}");
    }
    for added in after.difference(&before) {
        eprintln!("+ {added}");
    }
    false
}
