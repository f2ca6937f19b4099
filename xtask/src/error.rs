//! What a subcommand says when it cannot go on: one line, with what to do.

use std::{fmt, io, path::Path};

/// A failure, told to the person at the terminal.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    pub fn io(verb: &str, path: &Path, error: io::Error) -> Self {
        Self(format!("cannot {verb} {}: {error}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<lexopt::Error> for Error {
    fn from(error: lexopt::Error) -> Self {
        Self(format!("{error}; see `cargo run -p xtask -- --help`"))
    }
}

impl From<ascendcl::Error> for Error {
    fn from(error: ascendcl::Error) -> Self {
        Self(error.to_string())
    }
}
