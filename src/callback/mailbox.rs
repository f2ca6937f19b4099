//! Tells the report thread when there is something to wait for.
//!
//! While no callback is outstanding the thread sleeps here and costs nothing; the first callback wakes it, and so does
//! `stop`. Knows no ACL, so that loom can check it.

use crate::sync::{Condvar, Mutex, lock, wait};

struct State {
    outstanding: usize,
    stop: bool,
}

/// The hand-off between those who launch callbacks and the thread that runs them.
pub(crate) struct Mailbox {
    state: Mutex<State>,
    changed: Condvar,
}

/// What the report thread does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Callbacks are outstanding: ask ACL for reports.
    Process,
    /// The context is going away.
    Stop,
}

impl Mailbox {
    pub(crate) fn new() -> Self {
        Mailbox { state: Mutex::new(State { outstanding: 0, stop: false }), changed: Condvar::new() }
    }

    /// A callback is about to be launched.
    pub(crate) fn begin(&self) {
        let mut state = lock(&self.state);
        state.outstanding += 1;
        if state.outstanding == 1 {
            self.changed.notify_all();
        }
    }

    /// A callback has run, or never will.
    pub(crate) fn end(&self) {
        let mut state = lock(&self.state);
        debug_assert!(state.outstanding > 0, "every end follows a begin");
        state.outstanding = state.outstanding.saturating_sub(1);
    }

    /// The report thread is to end, now that nothing is outstanding any more.
    pub(crate) fn stop(&self) {
        lock(&self.state).stop = true;
        self.changed.notify_all();
    }

    /// Sleeps until there is something to do.
    pub(crate) fn next(&self) -> Next {
        let mut state = lock(&self.state);
        loop {
            if state.stop {
                return Next::Stop;
            }
            if state.outstanding > 0 {
                return Next::Process;
            }
            state = wait(&self.changed, state);
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;

    #[test]
    fn no_wake_up_is_lost() {
        loom::model(|| {
            let mailbox = Arc::new(Mailbox::new());
            let delivered = Arc::new(AtomicUsize::new(0));
            let worker = {
                let (mailbox, delivered) = (mailbox.clone(), delivered.clone());
                loom::thread::spawn(move || {
                    while mailbox.next() == Next::Process {
                        delivered.fetch_add(1, Ordering::SeqCst);
                        mailbox.end();
                    }
                })
            };
            mailbox.begin();
            // If the wake-up could be lost the worker would sleep for ever, which loom reports as a deadlock.
            while delivered.load(Ordering::SeqCst) == 0 {
                loom::thread::yield_now();
            }
            mailbox.stop();
            worker.join().unwrap();
            assert_eq!(delivered.load(Ordering::SeqCst), 1);
        });
    }

    #[test]
    fn stop_ends_a_sleeping_worker() {
        loom::model(|| {
            let mailbox = Arc::new(Mailbox::new());
            let worker = {
                let mailbox = mailbox.clone();
                loom::thread::spawn(move || mailbox.next())
            };
            mailbox.stop();
            assert_eq!(worker.join().unwrap(), Next::Stop);
        });
    }

    #[test]
    fn two_launchers_and_a_stop() {
        loom::model(|| {
            let mailbox = Arc::new(Mailbox::new());
            let launcher = {
                let mailbox = mailbox.clone();
                loom::thread::spawn(move || mailbox.begin())
            };
            mailbox.begin();
            launcher.join().unwrap();
            for _ in 0..2 {
                assert_eq!(mailbox.next(), Next::Process);
                mailbox.end();
            }
            mailbox.stop();
            assert_eq!(mailbox.next(), Next::Stop);
        });
    }
}
