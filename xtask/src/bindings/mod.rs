//! `bindings` and `abi-check`: from header files to the generated files of `ascendcl-sys`, and back.

mod clang;
mod committed;
mod compare;
mod docs;
mod emit;
mod layout;
mod model;
mod union;
mod wheels;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{error::Error, workspace};

/// Writes the generated files anew.
pub fn write() -> Result<(), Error> {
    for (path, text) in generate()? {
        let path = workspace::root().join(path);
        fs::write(&path, text).map_err(|e| Error::io("write", &path, e))?;
    }
    Ok(())
}

/// Whether the committed files are what `write` would write. Prints what is different.
pub fn check() -> Result<bool, Error> {
    let mut same = true;
    for (path, fresh) in generate()? {
        let committed = fs::read_to_string(workspace::root().join(&path)).unwrap_or_default();
        if committed == fresh {
            println!("{} is up to date", path.display());
        } else {
            same = false;
            println!("{} differs from what the headers give:", path.display());
            print_difference(&committed, &fresh);
        }
    }
    if !same {
        println!("run `cargo run -p xtask -- bindings` and commit what it writes");
    }
    Ok(same)
}

/// Whether the committed bindings agree with the headers in `dir`. Prints what does not.
pub fn abi_check(dir: &Path, verbose: bool) -> Result<bool, Error> {
    let headers = layout::Headers::find(dir)?;
    let clang = clang::Clang::prepare(&workspace::cache())?;
    let generated = clang.generate(&headers)?;
    let theirs = model::Abi::parse(&generated.source, &generated.headers)?;
    let ours = committed::read(&workspace::root().join("ascendcl-sys/src"))?;
    let report = compare::compare(&ours, &theirs);

    let version = |part: &str| theirs.constant(&format!("ACL_{part}_VERSION")).map(model::Constant::value);
    if let (Some(major), Some(minor), Some(patch)) = (version("MAJOR"), version("MINOR"), version("PATCH")) {
        println!("headers of ACL {major}.{minor}.{patch} in {}", dir.display());
    }
    for (kind, part) in report.parts() {
        let (disagreements, shared) = (part.disagreements.len(), part.shared);
        println!("{kind}: {shared} on both sides, {disagreements} of them disagree");
        for disagreement in &part.disagreements {
            println!("  {}", disagreement.name);
            println!("    bindings: {}", disagreement.ours);
            println!("    headers:  {}", disagreement.theirs);
        }
    }
    for (kind, part) in report.parts() {
        for (side, names) in [("bindings", &part.only_ours), ("headers", &part.only_theirs)] {
            println!("{kind} only in the {side}: {}", names.len());
            if verbose {
                names.iter().for_each(|name| println!("  {name}"));
            }
        }
    }
    match report.disagreements() {
        0 => println!("the bindings agree with these headers"),
        count => println!("the bindings disagree with these headers in {count} places"),
    }
    Ok(report.disagreements() == 0)
}

/// The include folders of the pinned generations, oldest first, with the version of ACL that each states.
pub fn headers() -> Result<Vec<(&'static str, PathBuf)>, Error> {
    let cache = workspace::cache();
    wheels::GENERATIONS.iter().map(|g| Ok((g.acl, g.headers(&cache)?.join("acl/inc")))).collect()
}

/// Every generated file, by its path in the workspace.
fn generate() -> Result<Vec<(PathBuf, String)>, Error> {
    let cache = workspace::cache();
    let clang = clang::Clang::prepare(&cache)?;
    let mut generations = Vec::new();
    for generation in &wheels::GENERATIONS {
        let headers = layout::Headers::find(&generation.headers(&cache)?)?;
        let generated = clang.generate(&headers)?;
        let abi = model::Abi::parse(&generated.source, &generated.headers)?;
        println!("ACL {}: {} functions", generation.acl, abi.functions.len());
        generations.push(abi);
    }
    let union = union::union(&generations);
    println!("union: {} functions", union.functions.len());
    Ok(vec![
        ("ascendcl-sys/src/bindings.rs".into(), emit::bindings(&union)?),
        ("ascendcl-sys/src/table.rs".into(), emit::table(&union)?),
        ("docs/abi-generations.md".into(), docs::page(&union, &generations)),
    ])
}

/// The lines that only one of two texts has; enough of them to see what happened.
fn print_difference(committed: &str, fresh: &str) {
    const SHOWN: usize = 12;
    let lines = |text: &str, other: &str| {
        let other: std::collections::BTreeSet<&str> = other.lines().collect();
        text.lines().filter(|line| !other.contains(line)).map(str::to_owned).collect::<Vec<_>>()
    };
    let (gone, new) = (lines(committed, fresh), lines(fresh, committed));
    if gone.is_empty() && new.is_empty() {
        let at = committed.lines().zip(fresh.lines()).take_while(|(a, b)| a == b).count();
        println!("  the same lines in another order, from line {} on", at + 1);
    }
    for (sign, lines) in [('-', &gone), ('+', &new)] {
        lines.iter().take(SHOWN).for_each(|line| println!("  {sign} {line}"));
        if lines.len() > SHOWN {
            println!("  {sign} and {} more lines", lines.len() - SHOWN);
        }
    }
}
