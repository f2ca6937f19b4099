//! Where in the program a task or an access comes from.

use std::fmt;
use std::sync::Arc;

use super::clock::Clock;
use super::{HOST, remembers};
use crate::check::call_site::CallSite;
use crate::check::leak::thread_name;

/// Where a task was queued, and what the host knew then. Nothing if nobody wants to know.
#[derive(Clone, Default)]
pub(crate) struct Origin(Option<Arc<Queued>>);

struct Queued {
    host: Arc<Clock>,
    site: &'static CallSite,
    thread: Arc<str>,
}

impl Origin {
    /// The calling thread is about to queue a task.
    pub(crate) fn of_task() -> Self {
        if remembers() { Self::of_call() } else { Self(None) }
    }

    /// The C function that the calling thread is inside of.
    #[cold]
    pub(super) fn of_call() -> Self {
        let host = Arc::clone(&HOST.lock());
        Self(Some(Arc::new(Queued { host, site: CallSite::here(), thread: thread_name() })))
    }

    pub(super) fn host(&self) -> Option<&Arc<Clock>> {
        self.0.as_deref().map(|queued| &queued.host)
    }

    pub(in crate::check) fn number(&self) -> u64 {
        self.0.as_deref().map_or(0, |queued| queued.site.number())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(queued) = self.0.as_deref() else { return f.write_str("a call that was not watched\n") };
        write!(f, "{} on thread {}\n{}", queued.site.function(), queued.thread, queued.site)
    }
}

/// Where memory is, for a report.
pub(crate) struct Place {
    pub(crate) what: String,
    pub(crate) address: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}
