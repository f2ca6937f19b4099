//! Which implementation of ACL answers: an installed CANN, or the simulator.

use crate::{Error, Result};
use ascendcl_sys::{AclApi, Library, Search};
use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// Which backend to load: the wish. [`Backend`] is what came of it.
///
/// ```
/// use ascendcl::BackendChoice;
///
/// assert_eq!("sim".parse(), Ok(BackendChoice::Sim));
/// assert!("typo".parse::<BackendChoice>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum BackendChoice {
    /// CANN if it is installed, otherwise the simulator (with feature `sim`), which is said once through [`log::warn!`]. A CANN
    /// that is found but cannot be loaded is an error, never a reason to simulate.
    #[default]
    Auto,
    /// An installed CANN.
    Cann,
    /// The simulator; needs feature `sim`.
    Sim,
}

impl FromStr for BackendChoice {
    type Err = ParseBackendError;

    fn from_str(name: &str) -> Result<Self, ParseBackendError> {
        match name.to_ascii_lowercase().as_str() {
            "auto" | "" => Ok(BackendChoice::Auto),
            "cann" => Ok(BackendChoice::Cann),
            "sim" => Ok(BackendChoice::Sim),
            _ => Err(ParseBackendError(name.to_owned())),
        }
    }
}

/// Not the name of a backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no backend: use `auto`, `cann` or `sim`")]
pub struct ParseBackendError(String);

/// What answers the calls.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Backend {
    /// An installed CANN.
    Cann {
        /// The libraries that were loaded.
        libraries: Vec<PathBuf>,
    },
    /// The simulator.
    Sim,
    /// A table of functions that the program brought itself.
    Custom,
}

impl Backend {
    /// Where an installed CANN is looked for when the program names no library: what the environment says, where CANN was when this
    /// program was built, and the usual places.
    ///
    /// ```
    /// for candidate in ascendcl::Backend::search().candidates() {
    ///     println!("{} ({})", candidate.path.display(), candidate.origin);
    /// }
    /// ```
    pub fn search() -> Search {
        Search::from_env().hint(option_env!("ASCENDCL_BUILD_LIB_DIR").map(Path::new))
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Backend::Cann { libraries } => match libraries.first() {
                Some(first) => write!(f, "CANN ({})", first.display()),
                None => write!(f, "CANN"),
            },
            Backend::Sim => write!(f, "simulator"),
            Backend::Custom => write!(f, "custom table"),
        }
    }
}

/// Loads the chosen backend.
pub(crate) fn load(
    choice: Option<BackendChoice>,
    library: Option<&Path>,
) -> Result<(&'static AclApi, Backend)> {
    let choice = match (choice, library) {
        // Neither is quietly left out.
        (Some(BackendChoice::Sim), Some(library)) => {
            return Err(Error::Backend(format!(
                "the simulator was chosen, and the library {} was named: leave out one of them",
                library.display()
            )));
        }
        // A library that was named is meant.
        (_, Some(_)) => BackendChoice::Cann,
        (Some(choice), None) => choice,
        (None, None) => from_env()?,
    };
    match choice {
        BackendChoice::Sim => simulator(),
        BackendChoice::Cann => cann(library),
        BackendChoice::Auto => match cann(library) {
            Err(Error::Load(error)) if cfg!(feature = "sim") && error.is_not_found() => {
                log::warn!(
                    "no CANN was found: the simulator answers instead of an NPU; set ASCENDCL_BACKEND=sim to choose it, or \
                     ASCENDCL_BACKEND=cann to see where CANN was looked for"
                );
                simulator()
            }
            other => other,
        },
    }
}

fn from_env() -> Result<BackendChoice> {
    match std::env::var("ASCENDCL_BACKEND") {
        Ok(name) => name.parse().map_err(|error| Error::Backend(format!("ASCENDCL_BACKEND: {error}"))),
        Err(std::env::VarError::NotPresent) => Ok(BackendChoice::Auto),
        Err(std::env::VarError::NotUnicode(name)) => {
            let error = ParseBackendError(name.to_string_lossy().into_owned());
            Err(Error::Backend(format!("ASCENDCL_BACKEND: {error}")))
        }
    }
}

#[cfg(feature = "sim")]
fn simulator() -> Result<(&'static AclApi, Backend)> {
    Ok((ascendcl_sim::api(), Backend::Sim))
}

#[cfg(not(feature = "sim"))]
fn simulator() -> Result<(&'static AclApi, Backend)> {
    Err(Error::Backend(
        "this program was built without the simulator: enable feature `sim` of ascendcl".into(),
    ))
}

fn cann(library: Option<&Path>) -> Result<(&'static AclApi, Backend)> {
    let search = match library {
        Some(library) => Search::file(library),
        None => Backend::search(),
    };
    let library = Library::open(&search)?;
    for skipped in library.skipped() {
        log::debug!("a part of CANN could not be loaded, its functions are missing: {skipped}");
    }
    Ok((library.api(), Backend::Cann { libraries: library.paths().to_vec() }))
}
