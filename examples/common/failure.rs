//! What the examples' `main` returns when something goes wrong: any error, printed as the sentence it displays.
//!
//! `Result<(), Box<dyn Error>>` would do too, but prints errors with `{:?}`, which is for debugging.

use std::{error::Error, fmt};

/// Any error. `main` prints it as `Error: ...` and exits with 1.
pub struct Failure(Box<dyn Error>);

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure(Box::new(error))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
