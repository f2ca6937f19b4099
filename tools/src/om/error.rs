//! Why a file cannot be described.

use std::io;

/// What reading a model answers.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a file cannot be described.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("cannot be read: {0}")]
    Read(#[source] io::Error),
    /// A folder, a pipe or a device.
    #[error("is no regular file")]
    NotAFile,
    /// Neither OM nor ONNX.
    #[error("is neither an OM nor an ONNX model: {0}")]
    NotAModel(String),
    /// An OM file, and then something that cannot be.
    #[error("is a malformed or truncated OM model: {why} (at byte {at})")]
    BadOm {
        /// Where.
        at: u64,
        /// What.
        why: String,
    },
    /// An ONNX file, and then something that cannot be.
    #[error("is a malformed or truncated ONNX model: {why} (at byte {at})")]
    BadOnnx {
        /// Where.
        at: u64,
        /// What.
        why: String,
    },
    /// More than any model has, so something else is meant, or something evil.
    #[error("has {what} of {bytes} bytes, more than any model ({most})")]
    TooLarge {
        /// What is large.
        what: &'static str,
        /// How large.
        bytes: u64,
        /// What would be believed.
        most: u64,
    },
    /// More than any model has.
    #[error("has more than {most} {what}, which no model has")]
    TooMany {
        /// What there is many of.
        what: &'static str,
        /// What would be believed.
        most: usize,
    },
}

/// Something that Protocol Buffers do not allow, in whichever file.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The file says something impossible.
    Malformed {
        at: u64,
        why: String,
    },
    Other(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Other(error)
    }
}

impl Fault {
    /// As the error of an OM file.
    pub(crate) fn om(self) -> Error {
        match self {
            Fault::Malformed { at, why } => Error::BadOm { at, why },
            Fault::Other(error) => error,
        }
    }

    /// As the error of an ONNX file.
    pub(crate) fn onnx(self) -> Error {
        match self {
            Fault::Malformed { at, why } => Error::BadOnnx { at, why },
            Fault::Other(error) => error,
        }
    }
}
