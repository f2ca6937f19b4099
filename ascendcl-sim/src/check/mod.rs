//! Where the simulator looks at what a program does.
//!
//! Every C function passes [`enter`], every task of a stream passes [`task_begin`] and [`task_end`]: what watches programs (leaks
//! today; races, injected faults, a trace) has these three places to stand and needs no others.

pub(crate) mod leak;

use ascendcl_sys::{self as sys, aclError};

use crate::core::{Stream, fork};
use crate::error;

/// The time a thread spends inside one C function.
pub(crate) struct Call {
    before: &'static str,
}

/// Notes that the calling thread entered the C function `function`; an error means that it must not go on.
pub(crate) fn enter(function: &'static str) -> Result<Call, aclError> {
    // First of all, before any lock: in a forked child the pool threads are gone and locks may be held for ever.
    if fork::in_child() {
        return Err(sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR);
    }
    Ok(Call { before: error::set_function(function) })
}

impl Drop for Call {
    fn drop(&mut self) {
        error::set_function(self.before);
    }
}

/// A task of `stream` starts on a pool thread.
pub(crate) fn task_begin(stream: &Stream, operation: &'static str) {
    log::trace!("stream {}: {operation} starts", stream.id());
}

/// A task of `stream` ended.
pub(crate) fn task_end(stream: &Stream, operation: &'static str, result: Result<(), aclError>) {
    log::trace!("stream {}: {operation} ends, {}", stream.id(), result.err().unwrap_or(error::SUCCESS));
}
