//! Misuse: calls that go well here and would not on a card, or go wrong in a way that a card says nothing of.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::call_site::CallSite;
use super::leak::thread_name;
use super::race;
use super::report::{self, ReportKind};
use crate::lock::Mutex;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Misuse {
    /// A host address where device memory is needed.
    HostPointer,
    /// A range that is longer than the memory it lies in.
    PastTheEnd,
    /// Memory freed while queued work uses it.
    FreedInUse,
    /// A callback waits for the stream that waits for the callback.
    CallbackBlocksItself,
    /// Events are about to run out.
    EventsRunOut,
    /// A call late in the exit of the process.
    AfterExit,
}

/// Places that were reported.
static REPORTED: Mutex<BTreeSet<(Misuse, u64)>> = Mutex::new(BTreeSet::new());

/// A machine was configured.
pub(super) fn configure() {
    REPORTED.lock().clear();
}

/// Says once per place that the C function which this thread is inside of is misused, or the task which it runs.
pub(crate) fn misuse(what: Misuse, text: impl Display) {
    if !report::wanted(ReportKind::Misuse) {
        return;
    }
    match race::running() {
        Some((stream, origin)) => {
            if first(what, origin.number()) {
                let text = format!("misuse: {text}\n  by stream {stream}, in a task queued by {origin}");
                report::emit(ReportKind::Misuse, text.trim_end().to_owned());
            }
        }
        None => misuse_at(what, CallSite::here(), text),
    }
}

/// [`misuse`], noticed later than it happened.
pub(crate) fn misuse_at(what: Misuse, site: &CallSite, text: impl Display) {
    if report::wanted(ReportKind::Misuse) && first(what, site.number()) {
        let text = match site.function() {
            "" => format!("misuse: {text}\n  in a task of a stream"),
            function => format!("misuse: {text}\n  in {function} on thread {}\n{site}", thread_name()),
        };
        report::emit(ReportKind::Misuse, text.trim_end().to_owned());
    }
}

/// Where the calling thread is, if that is worth remembering for a report. It costs more than most calls do: reports that only a log would
/// get are without it while nobody reads the log.
pub(crate) fn remember_place() -> Option<&'static CallSite> {
    let read = race::remembers() || log::log_enabled!(log::Level::Warn);
    (read && report::wanted(ReportKind::Misuse)).then(CallSite::here)
}

fn first(what: Misuse, place: u64) -> bool {
    REPORTED.lock().insert((what, place))
}
