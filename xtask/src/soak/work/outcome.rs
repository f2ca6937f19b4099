//! How a piece of work ends.

use ascendcl::{Error, Rejected};

pub type Outcome<T = ()> = Result<T, Failure>;

pub enum Failure {
    /// A call failed. Whether it may is decided by who counts.
    Acl(Error),
    /// Something is not as it must be.
    Wrong(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Acl(error)
    }
}

impl<T> From<Rejected<T>> for Failure {
    fn from(rejected: Rejected<T>) -> Self {
        Self::Acl(rejected.error)
    }
}

/// Demands something.
pub fn demand(it_is: bool, what: impl FnOnce() -> String) -> Outcome {
    if it_is { Ok(()) } else { Err(Failure::Wrong(what())) }
}
