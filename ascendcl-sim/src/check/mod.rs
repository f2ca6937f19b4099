//! Where the simulator looks at what a program does.
//!
//! Every C function passes its [`Site`], every task [`Origin::of_task`] when it is queued and [`task_begin`] and [`task_end`]: what watches programs (leaks
//! today; races, injected faults, a trace) has these three places to stand and needs no others.

mod call_site;
pub(crate) mod fault;
pub(crate) mod leak;
mod misuse;
mod race;
pub(crate) mod report;
mod site;

use ascendcl_sys::aclError;

pub(crate) use call_site::CallSite;
pub(crate) use misuse::{Misuse, misuse, remember_place};
pub(crate) use race::{Access, Knowledge, Mark, Origin, Place, Shadow, Trail};
pub(crate) use site::{Site, forget};

use crate::config::Settings;
use crate::core::Stream;
use crate::error;

/// A machine was configured.
pub(crate) fn configure(settings: &Settings) {
    misuse::configure();
    race::configure(settings.races != report::Reporting::Off);
}

/// A task of `stream` starts on a pool thread.
pub(crate) fn task_begin(stream: &Stream, operation: &'static str, origin: &Origin) {
    stream.trail().begin(origin);
    log::trace!("stream {}: {operation} starts", stream.id());
}

/// A task of `stream` ended.
pub(crate) fn task_end(stream: &Stream, operation: &'static str, result: Result<(), aclError>) {
    Trail::end();
    log::trace!("stream {}: {operation} ends, {}", stream.id(), result.err().unwrap_or(error::SUCCESS));
}
