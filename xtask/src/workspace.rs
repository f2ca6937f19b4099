//! Where things lie in the workspace.

use std::{env, path::PathBuf};

/// The folder of the root package.
pub fn root() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.parent().map(PathBuf::from).unwrap_or(own)
}

/// Downloads and other things that can be made again: `target/xtask`.
pub fn cache() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    root().join(target.unwrap_or_else(|| "target".into())).join("xtask")
}
