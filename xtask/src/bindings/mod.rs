//! `bindings`: from the pinned headers to the generated files of `ascendcl-sys`.

mod clang;
mod emit;
mod layout;
mod model;
mod union;
mod wheels;

use std::path::Path;

use crate::{error::Error, workspace};

/// Regenerates the committed files.
pub fn run() -> Result<(), Error> {
    for (path, text) in generate()? {
        std::fs::write(&path, text).map_err(|e| Error::io("write", &path, e))?;
    }
    Ok(())
}

fn generate() -> Result<Vec<(std::path::PathBuf, String)>, Error> {
    let cache = workspace::cache();
    let clang = clang::Clang::prepare(&cache)?;
    let mut generations = Vec::new();
    for generation in &wheels::GENERATIONS {
        let headers = layout::Headers::find(&generation.headers(&cache)?)?;
        let generated = clang.generate(&headers)?;
        generations.push(model::Abi::parse(&generated.source, &generated.headers)?);
    }
    let union = union::union(&generations);
    let all = union.functions.iter().filter(|f| f.generations == 7).count();
    println!("{} functions, {all} in all", union.functions.len());
    let src = workspace::root().join("ascendcl-sys/src");
    Ok(vec![(src.join("bindings.rs"), emit::bindings(&union)?), (src.join("table.rs"), emit::table(&union)?)])
}

#[allow(dead_code)]
fn unused(_: &Path) {}
