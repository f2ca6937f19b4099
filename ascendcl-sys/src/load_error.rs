//! Why no library was loaded.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::aclError;

/// What every function of the library that CANN ships only for linking answers.
///
/// That library (in the `stub` or `devlib` folders of a toolkit) has all symbols, so loading it
/// succeeds; only the first call, usually `aclInit`, tells. [`STUB_HINT`] says what to do then.
pub const STUB_STATUS: aclError = crate::ACL_ERROR_COMPILING_STUB_MODE;

/// What to tell the user when a call answers [`STUB_STATUS`].
pub const STUB_HINT: &str = "the library that was loaded is a stub for linking: source set_env.sh of the CANN \
                             toolkit so that lib64 comes before any stub or devlib folder, or set ASCENDCL_LIBRARY \
                             to the real libascendcl.so";

/// What to do when nothing was found.
const ADVICE: &str =
    "source set_env.sh of the CANN toolkit, or set ASCENDCL_LIBRARY to the file libascendcl.so";

/// Why no library was loaded.
///
/// ```
/// use ascendcl_sys::{Library, Search};
///
/// let error = Library::open(&Search::nowhere().folder("/no/such/folder")).unwrap_err();
/// assert!(error.is_not_found());
/// assert!(error.to_string().contains("/no/such/folder/libascendcl.so"));
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no library in any of the places.
    #[error("{}", self.describe())]
    #[non_exhaustive]
    NotFound {
        /// Everything that was tried, in this order.
        attempts: Vec<Attempt>,
        /// Whether one library was asked for by name, and nothing else was tried.
        named: bool,
    },
    /// There is a library, but it cannot be loaded: it is not for this machine, or something that it
    /// needs is missing. Whoever wanted ACL has an installation to repair.
    #[error("{}", self.describe())]
    #[non_exhaustive]
    Broken {
        /// The library.
        path: PathBuf,
        /// What the dynamic loader says.
        reason: String,
        /// What was tried before.
        attempts: Vec<Attempt>,
    },
    /// The library was loaded, but has neither `aclInit` nor `aclrtSetDevice`.
    #[error("{}", self.describe())]
    #[non_exhaustive]
    NotAcl {
        /// The library.
        path: PathBuf,
    },
}

/// A library that was tried in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// The file, or only its name where the loader searched for it.
    pub path: PathBuf,
    /// Why it was tried: the variable that names the place, for example.
    pub origin: String,
    /// Why it was of no use.
    pub reason: Reason,
}

/// Why a library was of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// There is no such file.
    NoSuchFile,
    /// The path is not that of a file.
    NotAFile,
    /// In the words of the dynamic loader.
    Loader(String),
}

impl LoadError {
    /// Whether this machine simply has no ACL where one would look for it, so that doing something else
    /// instead is sensible. Not so for a library that was named and is not there, nor for one that is
    /// there and does not load.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { named: false, .. })
    }

    fn describe(&self) -> String {
        match self {
            Self::NotFound { attempts, named: true } => {
                let tried = attempts.first().map(ToString::to_string).unwrap_or_default();
                format!("the named AscendCL library cannot be used: {tried}\n{ADVICE}")
            }
            Self::NotFound { attempts, named: false } if attempts.is_empty() => {
                format!("no AscendCL library was found, as there was no place to look at\n{ADVICE}")
            }
            Self::NotFound { attempts, named: false } => {
                format!("no AscendCL library was found; tried{}\n{ADVICE}", Listed(attempts))
            }
            Self::Broken { path, reason, attempts } => {
                let path = path.display();
                let before = match attempts.as_slice() {
                    [] => String::new(),
                    tried => format!("\ntried before{}", Listed(tried)),
                };
                format!(
                    "the AscendCL library {path} is there but cannot be loaded: {reason}{before}\n\
                     source set_env.sh of the CANN toolkit and check that the NPU driver is installed, or set \
                     ASCENDCL_LIBRARY to another libascendcl.so"
                )
            }
            Self::NotAcl { path } => {
                let path = path.display();
                format!("{path} is no AscendCL library: it has neither aclInit nor aclrtSetDevice\n{ADVICE}")
            }
        }
    }
}

impl Attempt {
    pub(crate) fn new(path: &Path, origin: &str, reason: Reason) -> Self {
        Self { path: path.to_owned(), origin: origin.to_owned(), reason }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.path.display(), self.origin, self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchFile => f.write_str("file does not exist"),
            Self::NotAFile => f.write_str("is not a file"),
            Self::Loader(text) => f.write_str(text),
        }
    }
}

/// Attempts, each on a line of its own.
struct Listed<'a>(&'a [Attempt]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|attempt| write!(f, "\n  {attempt}"))
    }
}

/// As `Display`: this is what a `main` that returns the error prints, and it is to be read.
impl fmt::Debug for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
