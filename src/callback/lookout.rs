//! Notices that callbacks will never come, so that nobody waits for them for ever.
//!
//! A report gets lost with its device, or `aclrtProcessReport` fails and goes on failing. ACL says nothing of either to who waits for the
//! callback. So the report thread looks at its streams when nothing comes: one that is idle has sent all its reports, and if that is still
//! so a while later, without any report in between, then the callbacks that are outstanding are lost. Their closures are dropped
//! ([`Error::Abandoned`]), which is told to the hook of destructors; what the stream says of its work decides whether it goes on.
//!
//! Host functions, which a thread of ACL's runtime runs, are looked after by the reaper in the same way ([`HostLookout`]).
//!
//! Other code of the process may have ended a subscription: then the stream takes no more work, because it waits for its callback for ever.

use super::StreamCallbacks;
use crate::{Error, ErrorKind, drop_hook, reaper::Pending};
use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

/// How often streams are looked at while no report comes. A stream that is found idle twice has lost its callbacks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long, and how often, asking for reports may fail before the closures that wait are dropped.
const FAILING_PATIENCE: Duration = Duration::from_secs(5);
const FAILURES: u32 = 10;

/// The streams that a report thread serves.
#[derive(Default)]
pub(super) struct Served(Mutex<Vec<Weak<StreamCallbacks>>>);

impl Served {
    pub(super) fn add(&self, callbacks: &Arc<StreamCallbacks>) {
        let mut served = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        served.retain(|callbacks| callbacks.strong_count() > 0);
        served.push(Arc::downgrade(callbacks));
    }

    pub(super) fn any_unsettled(&self) -> bool {
        let served = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        served.iter().filter_map(Weak::upgrade).any(|callbacks| callbacks.is_unsettled())
    }

    /// Looks after streams that have failed and go on.
    fn look_after_stragglers(&self) {
        let straggling: Vec<_> = {
            let served = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            served.iter().filter_map(Weak::upgrade).filter(|callbacks| callbacks.straggles()).collect()
        };
        straggling.iter().for_each(|callbacks| callbacks.look_after_straggler());
    }

    /// Those that have callbacks outstanding.
    fn waiting(&self) -> Vec<Arc<StreamCallbacks>> {
        let served = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = served.iter().filter_map(Weak::upgrade);
        alive.filter(|callbacks| callbacks.outstanding() > 0).collect()
    }
}

/// What a report thread knows of its streams.
pub(super) struct Lookout {
    served: Arc<Served>,
    /// Streams that were idle with callbacks outstanding when they were last looked at; no report has come since.
    suspects: Vec<Weak<StreamCallbacks>>,
    last_look: Instant,
    failing_since: Option<Instant>,
    failures: u32,
}

impl Lookout {
    pub(super) fn new(served: Arc<Served>) -> Self {
        Lookout { served, suspects: Vec::new(), last_look: Instant::now(), failing_since: None, failures: 0 }
    }

    /// Reports came.
    pub(super) fn served(&mut self) {
        self.failing_since = None;
        self.suspects.clear();
    }

    /// There was no report to be had, for as long as one call waits.
    pub(super) fn nothing_came(&mut self) {
        self.failing_since = None;
        if self.last_look.elapsed() < LOOK_EVERY {
            return;
        }
        self.last_look = Instant::now();
        self.served.look_after_stragglers();
        let suspects = std::mem::take(&mut self.suspects);
        for callbacks in self.served.waiting() {
            if callbacks.are_lost() {
                let again = suspects.iter().any(|suspect| suspect.as_ptr() == Arc::as_ptr(&callbacks));
                if again {
                    callbacks.give_up(2 * LOOK_EVERY);
                } else {
                    self.suspects.push(Arc::downgrade(&callbacks));
                }
            }
        }
    }

    /// Asking failed. The failure may pass; if it does not, the closures go.
    pub(super) fn failed(&mut self, failure: Error) {
        self.suspects.clear();
        if self.last_look.elapsed() >= LOOK_EVERY {
            self.last_look = Instant::now();
            self.served.look_after_stragglers();
        }
        let since = *self.failing_since.get_or_insert_with(|| {
            self.failures = 0;
            Instant::now()
        });
        self.failures += 1;
        if since.elapsed() < FAILING_PATIENCE || self.failures < FAILURES {
            return;
        }
        self.failing_since = None;
        let waiting = self.served.waiting();
        if !waiting.is_empty() {
            drop_hook::report(&failure);
            let unsubscribed = failure.code().is_some_and(|code| code.kind() == ErrorKind::NotSubscribed);
            let cause = Arc::new(failure);
            for callbacks in waiting {
                if !(unsubscribed && callbacks.give_up_unsubscribed()) {
                    callbacks.drop_closures(&cause);
                }
            }
        }
    }
}

/// How long a stream has to be without host functions until the reaper forgets it. Who launches them again and again does not wake the reaper each time.
const QUIET: Duration = Duration::from_millis(50);

/// What the reaper knows of a stream with host functions.
pub(super) struct HostLookout {
    callbacks: Weak<StreamCallbacks>,
    /// How many closures had ended when the stream was last found idle with others outstanding.
    suspect: Option<u64>,
    last_look: Instant,
    quiet_since: Option<Instant>,
}

impl HostLookout {
    pub(super) fn new(callbacks: &Arc<StreamCallbacks>) -> Self {
        let callbacks = Arc::downgrade(callbacks);
        HostLookout { callbacks, suspect: None, last_look: Instant::now(), quiet_since: None }
    }
}

impl Pending for HostLookout {
    fn try_release(&mut self) -> bool {
        // The stream is gone, and has abandoned what was left.
        let Some(callbacks) = self.callbacks.upgrade() else { return true };
        if callbacks.outstanding() == 0 {
            let quiet = self.quiet_since.get_or_insert_with(Instant::now).elapsed() >= QUIET;
            return quiet && callbacks.unwatch();
        }
        self.quiet_since = None;
        if self.last_look.elapsed() >= LOOK_EVERY {
            self.last_look = Instant::now();
            let ended = callbacks.ended();
            let suspect = self.suspect.take();
            if callbacks.are_lost() {
                if suspect == Some(ended) {
                    callbacks.give_up(2 * LOOK_EVERY);
                } else {
                    self.suspect = Some(ended);
                }
            }
        }
        false
    }
}
