//! Remembers where this machine has CANN, as one more place to look at when the program runs.
//!
//! Finding nothing is fine: nothing of CANN is needed to build. What the environment says at run time
//! comes first in any case.

use std::{
    env,
    path::{Path, PathBuf},
};

/// What CANN's `set_env.sh` sets to the folder of the installation.
const HOME_VARIABLES: [&str; 2] = ["ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"];

/// Where CANN's installers put it.
const STANDARD_FOLDERS: [&str; 3] =
    ["/usr/local/Ascend/cann", "/usr/local/Ascend/ascend-toolkit/latest", "/usr/local/Ascend/nnrt/latest"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for name in HOME_VARIABLES {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let homes = HOME_VARIABLES.iter().filter_map(env::var_os).filter(|value| !value.is_empty());
    let homes = homes.map(PathBuf::from).chain(STANDARD_FOLDERS.map(PathBuf::from));
    let found = homes.map(|home| home.join("lib64")).find(|folder| has_acl(folder));
    // A name that is not UTF-8 or has a line break cannot be told to cargo.
    if let Some(folder) = found.as_deref().and_then(Path::to_str).filter(|text| !text.contains('\n')) {
        println!("cargo:rustc-env=ASCENDCL_BUILD_LIB_DIR={folder}");
    }
}

fn has_acl(folder: &Path) -> bool {
    ["libascendcl.so", "libacl_rt.so"].iter().any(|name| folder.join(name).is_file())
}
