//! Where the simulator looks at what a program does.
//!
//! Every C function passes its [`Site`], every task [`origin`] when it is queued and [`task_begin`] and [`task_end`]: what watches programs (leaks
//! today; races, injected faults, a trace) has these three places to stand and needs no others.

pub(crate) mod fault;
pub(crate) mod leak;
mod site;

use ascendcl_sys::aclError;

pub(crate) use site::{Site, forget};

use crate::core::Stream;
use crate::error;

/// Where a task comes from: what is noted when it is queued, for those who watch it run.
#[derive(Clone, Default)]
pub(crate) struct Origin;

/// A task is about to be queued by the calling thread.
pub(crate) fn origin(_stream: &Stream) -> Origin {
    Origin
}

/// A task of `stream` starts on a pool thread.
pub(crate) fn task_begin(stream: &Stream, operation: &'static str, _origin: &Origin) {
    log::trace!("stream {}: {operation} starts", stream.id());
}

/// A task of `stream` ended.
pub(crate) fn task_end(stream: &Stream, operation: &'static str, result: Result<(), aclError>) {
    log::trace!("stream {}: {operation} ends, {}", stream.id(), result.err().unwrap_or(error::SUCCESS));
}
