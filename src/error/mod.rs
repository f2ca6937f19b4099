//! Errors: what failed, in which C function, on which device, and what to do about it.

mod code;

pub use code::{AclCode, ErrorKind};

use core::fmt;
use std::{sync::Arc, time::Duration};

/// The result of most functions of this crate.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// What a program without the simulator says where there is no CANN.
const WITHOUT_SIMULATOR: &str = if cfg!(feature = "sim") {
    ""
} else {
    "; or build with feature `sim` of ascendcl, to use the simulator where there is no CANN"
};

/// Everything that can go wrong.
///
/// ```
/// # fn main() -> Result<(), ascendcl::Error> {
/// use ascendcl::{Acl, Error, ErrorKind};
///
/// let acl = Acl::new()?;
/// match acl.device(99) {
///     Err(Error::Acl(error)) => {
///         assert_eq!(error.code.kind(), ErrorKind::NoDevice);
///         assert_eq!(error.op, "aclrtSetDevice");
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A C function answered with an error.
    #[error(transparent)]
    Acl(Box<AclError>),

    /// No ACL library could be loaded.
    #[error("cannot load AscendCL: {0}{WITHOUT_SIMULATOR}")]
    Load(Arc<ascendcl_sys::LoadError>),

    /// The loaded CANN has no such function.
    #[error("{function} is not available in the loaded AscendCL; it needs another CANN release")]
    MissingSymbol {
        /// The C function.
        function: &'static str,
    },

    /// The backend is not known, or this build does not have it.
    #[error("{0}")]
    Backend(String),

    /// The call is not allowed inside a callback, where it could wait for itself.
    #[error("{op} is not allowed inside a callback: hand the work to another thread")]
    InCallback {
        /// The C function, or the operation of this crate.
        op: &'static str,
    },

    /// The process was forked after ACL had been initialised; ACL works in the parent only.
    #[error(
        "{op}: this process was forked after AscendCL was initialised; initialise it in the child only, or spawn a new process"
    )]
    Forked {
        /// The C function, or the operation of this crate.
        op: &'static str,
    },

    /// The process is exiting, and has got to where the C libraries are taken apart. ACL works until then: in handlers that are registered
    /// with `atexit` after ACL was initialised, for example. On other threads than the one that exits calls are held for a second before they
    /// answer this; by then the process has usually ended.
    #[error("{op}: the process is exiting, and AscendCL with it; finish the work before `main` returns")]
    Exiting {
        /// The C function, or the operation of this crate.
        op: &'static str,
    },

    /// Two handles belong to different devices or contexts.
    #[error("{op}: {what}")]
    Mismatch {
        /// The C function.
        op: &'static str,
        /// What does not fit, and what would.
        what: String,
    },

    /// A length, size or range does not fit.
    #[error("{op}: expected {expected} {unit}, got {actual}")]
    Length {
        /// The C function.
        op: &'static str,
        /// What would fit.
        expected: usize,
        /// What was given.
        actual: usize,
        /// Of what, in words: bytes, or elements of what.
        unit: &'static str,
    },

    /// The event was not created for this operation.
    #[error("{op}: {what}")]
    EventMode {
        /// The C function.
        op: &'static str,
        /// What the event lacks, and how to create one that has it.
        what: &'static str,
    },

    /// The time between two events is negative.
    #[error("the event that was given as the start was reached {0:?} after the end; swap them")]
    NegativeElapsed(Duration),

    /// An earlier wait on this stream failed, or other code of the process has ended it or its callbacks, so that nobody knows what still
    /// runs on it. It takes no more work.
    #[error(
        "{op}: an earlier wait on this stream failed, or other code has ended it, and what it was working on was leaked; create a new stream \
         (it failed so: {cause})"
    )]
    Poisoned {
        /// The C function.
        op: &'static str,
        /// What ended it: the first error, with its code and C function.
        cause: Arc<Error>,
    },

    /// The closure of a callback panicked.
    #[error("the callback panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },

    /// The stream of a callback ended before the callback ran, or ACL lost it. Its closure was dropped.
    #[error(
        "the callback was abandoned: its stream failed or was destroyed before it ran, or ACL never delivered it{}",
        because(cause)
    )]
    Abandoned {
        /// What ended the stream, with its code and C function; `None` when nothing failed.
        cause: Option<Arc<Error>>,
    },

    /// The result was given before: a future gives it once.
    #[error("{what} gave its result already")]
    AlreadyTaken {
        /// What it was the result of.
        what: &'static str,
    },

    /// A wait of this crate ran out of time.
    #[error("{op}: not finished after {timeout:?}")]
    Timeout {
        /// What was waited for.
        op: &'static str,
        /// How long.
        timeout: Duration,
    },

    /// The model does not fit what it is used with, or may be running still where nobody can wait for it.
    #[error("{0}")]
    Model(String),

    /// The profiler does not take what it is given, or runs already.
    #[error("{0}")]
    Profiler(String),

    /// Handles are alive.
    #[error(
        "{op}: still in use, {handles} handles are alive; drop devices, contexts, streams, events, buffers and models first (a stream that \
         was dropped counts until its work is done)"
    )]
    InUse {
        /// The C function.
        op: &'static str,
        /// How many.
        handles: usize,
    },

    /// The operating system refused something.
    #[error("{op}: {message}")]
    Os {
        /// What was tried.
        op: &'static str,
        /// What the system said.
        message: String,
    },
}

impl Error {
    /// The status code, if a C function answered with one.
    pub fn code(&self) -> Option<AclCode> {
        match self {
            Error::Acl(error) => Some(error.code),
            _ => None,
        }
    }

    /// Whether this is a wait of this thread that ran out of time, and that may be repeated. A task that took too long on the device
    /// is not.
    pub fn is_timeout(&self) -> bool {
        match self {
            Error::Acl(error) => error.code.kind() == ErrorKind::Timeout,
            Error::Timeout { .. } => true,
            _ => false,
        }
    }

    /// Whether its device does not answer any more.
    pub(crate) fn is_device_lost(&self) -> bool {
        self.code().is_some_and(|code| code.kind() == ErrorKind::DeviceLost)
    }

    /// Whether the error says that nothing was submitted: the check of an argument failed, here or in ACL.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Error::Acl(error) => error.code.is_refusal(),
            // Also what a call answered while the exit began.
            Error::Exiting { .. } => false,
            _ => true,
        }
    }

    /// Whether the error says that nothing was submitted of an operation that is many tasks. ACL's errors do not: one of the later tasks may have been refused.
    pub(crate) fn is_refusal_of_all(&self) -> bool {
        self.is_refusal() && !matches!(self, Error::Acl(_))
    }

    /// Whether the code is a state, such as the end of a sequence, and not a fault. Waits answer with them although they have waited.
    pub(crate) fn is_state(&self) -> bool {
        self.code().is_some_and(|code| code.kind() == ErrorKind::Informational)
    }

    /// Whether a wait that ended with this has told nothing of the tasks, and may be repeated.
    pub(crate) fn leaves_wait_undecided(&self) -> bool {
        self.is_timeout() || self.is_refusal() || self.is_state() || matches!(self, Error::Exiting { .. })
    }
}

fn because(cause: &Option<Arc<Error>>) -> String {
    cause.as_ref().map_or_else(String::new, |cause| format!(" (it failed so: {cause})"))
}

impl fmt::Debug for Error {
    /// For people too, because this is what `unwrap`, and a `main` that returns an error, print: the sentence, and below it all that ACL says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        match self {
            Error::Acl(error) if error.message.trim().contains('\n') => {
                write!(f, "\n{}", error.message.trim())
            }
            _ => Ok(()),
        }
    }
}

impl From<ascendcl_sys::LoadError> for Error {
    fn from(error: ascendcl_sys::LoadError) -> Self {
        Error::Load(Arc::new(error))
    }
}

/// A C function answered with an error.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct AclError {
    /// What it answered.
    pub code: AclCode,
    /// The C function.
    pub op: &'static str,
    /// The device concerned, if any.
    pub device: Option<i32>,
    /// All that ACL wrote about it (`aclGetRecentErrMsg`), often several lines; an empty string if nothing.
    #[doc(alias = "aclGetRecentErrMsg")]
    pub message: String,
}

impl fmt::Display for AclError {
    /// One sentence: what failed, why as far as ACL says, and what to do about it. All that ACL says is in
    /// [`message`](AclError::message).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed with {}", self.op, self.code)?;
        if let Some(device) = self.device {
            write!(f, " on device {device}")?;
        }
        let mut separator = ": ";
        for part in [reason(&self.message), self.code.hint()].into_iter().flatten() {
            write!(f, "{separator}{part}")?;
            separator = "; ";
        }
        Ok(())
    }
}

/// The first line of what ACL says, without number, process and time before it. The rest is a trace back, which repeats it.
fn reason(message: &str) -> Option<&str> {
    let line = message.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line = match line.split_once("] ") {
        Some((head, rest)) if head.starts_with('E') && head.contains("[PID") => {
            let dated = rest.starts_with(|first: char| first.is_ascii_digit());
            rest.split_once(' ').filter(|_| dated).map_or(rest, |(_, reason)| reason)
        }
        _ => line,
    };
    Some(line.trim().trim_end_matches('.'))
}

impl std::error::Error for AclError {}

/// An asynchronous operation could not be enqueued, or could not be waited for. Gives back what it had taken, if that is
/// safe.
pub struct Rejected<T> {
    /// Why.
    pub error: Error,
    /// What the operation had taken. `None` when the device may still be using it: then it stays alive until the stream has
    /// passed it, or for ever when nobody can tell.
    pub returned: Option<T>,
}

impl<T> fmt::Debug for Rejected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected")
            .field("error", &self.error)
            .field("returned", &self.returned.is_some())
            .finish()
    }
}

impl<T> fmt::Display for Rejected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl<T> std::error::Error for Rejected<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl<T> From<Rejected<T>> for Error {
    fn from(rejected: Rejected<T>) -> Self {
        rejected.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_main_prints_is_for_people() {
        let acl = |message: &str| Error::Acl(Box::new(error(207_001, message)));
        let (short, long) = (acl("no memory"), acl("no memory\n\tTraceBack"));
        assert_eq!(format!("{short:?}"), short.to_string());
        assert_eq!(format!("{long:?}"), format!("{long}\nno memory\n\tTraceBack"));
    }

    fn error(code: i32, message: &str) -> AclError {
        AclError { code: AclCode(code), op: "aclrtMalloc", device: Some(1), message: message.to_owned() }
    }

    #[test]
    fn an_error_is_one_line_with_reason_and_hint() {
        let text = "EE1001: [PID: 1] 2026-11-22-11:09:24.174.360 The argument is invalid: no memory.\n\
                    \tTraceBack (most recent call last):\n\tthe reason again";
        assert_eq!(
            error(207_001, text).to_string(),
            "aclrtMalloc failed with ACL_ERROR_RT_MEMORY_ALLOCATION (207001) on device 1: The argument is invalid: no memory; free \
             device or pinned memory, or use a smaller batch"
        );
        assert_eq!(error(999_999, "").to_string(), "aclrtMalloc failed with status 999999 on device 1");
        for odd in ["odd", "\nodd.\n", "E: odd", "E] odd", "[PID: 1] odd", "EE1: [PID: 1] "] {
            let shown = error(999_999, odd).to_string();
            assert!(shown.starts_with("aclrtMalloc failed with status 999999 on device 1"), "{shown}");
            assert!(!odd.contains("odd") || shown.contains("odd"), "{shown}");
        }
    }
}
