//! Tells the report thread when there is something to wait for.
//!
//! While no callback is outstanding, and no stream is waited for that had one, the thread sleeps here and costs nothing; the first
//! callback wakes it, and so does `stop`. While it is awake nobody makes a system call for it, nor waits for a lock. Knows no ACL, so that loom
//! can check it.

use crate::sync::{AtomicBool, AtomicU64, Condvar, Mutex, Ordering, fence, lock, wait};
use std::sync::Arc;

/// What is outstanding is counted in the lower half of one number ...
const ONE: u64 = 1;
/// ... and how much of that is only listened for in the upper half, so that one is never taken for the other.
const LISTENED: u64 = 1 << 32;

fn outstanding(counts: u64) -> u64 {
    counts & (LISTENED - 1)
}

/// While it lives, the thread asks for reports although no callback is outstanding: a report that comes twice holds up its stream until it
/// is fetched, and somebody waits for that stream.
#[must_use]
pub(crate) struct Listening(Arc<Mailbox>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.counts.fetch_sub(LISTENED + ONE, Ordering::AcqRel);
    }
}

/// The hand-off between those who launch callbacks and the thread that runs them.
pub(crate) struct Mailbox {
    counts: AtomicU64,
    /// Ask once, although nothing is outstanding.
    once: AtomicBool,
    stop: AtomicBool,
    /// The thread sleeps, or is about to. Changed with the lock held.
    asleep: AtomicBool,
    bed: Mutex<()>,
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
        Mailbox {
            counts: AtomicU64::new(0),
            once: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            bed: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    /// A callback is about to be launched. The thread is to be told, by [`wake`](Self::wake), at the latest when it has been.
    pub(crate) fn begin(&self) {
        self.counts.fetch_add(ONE, Ordering::AcqRel);
    }

    /// Wakes the thread if it sleeps, so that it sees what has changed.
    pub(crate) fn wake(&self) {
        // Either this sees that the thread is going to sleep, or the thread, which looks again then, sees what has changed.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            // It holds the lock until it sleeps.
            drop(lock(&self.bed));
            self.changed.notify_all();
        }
    }

    /// A callback has run, or never will.
    pub(crate) fn end(&self) {
        let before = self.counts.fetch_sub(ONE, Ordering::AcqRel);
        debug_assert!(outstanding(before) > 0, "every end follows a begin");
    }

    /// Lets the thread ask for reports until the answer is dropped.
    pub(crate) fn listen(self: &Arc<Self>) -> Listening {
        self.counts.fetch_add(LISTENED + ONE, Ordering::AcqRel);
        let listening = Listening(self.clone());
        self.wake();
        listening
    }

    /// Lets the thread ask for reports once.
    pub(crate) fn ask_once(&self) {
        self.once.store(true, Ordering::Release);
        self.wake();
    }

    /// The report thread is to end, now that nothing is outstanding any more.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether nothing is outstanding, nor the thread to end.
    pub(crate) fn is_quiet(&self) -> bool {
        outstanding(self.counts.load(Ordering::Acquire)) == 0 && !self.stop.load(Ordering::Acquire)
    }

    /// Whether a closure is outstanding, and not only listened for.
    pub(crate) fn has_closures(&self) -> bool {
        let counts = self.counts.load(Ordering::Acquire);
        outstanding(counts) > counts / LISTENED
    }

    fn look(&self) -> Option<Next> {
        if self.stop.load(Ordering::Acquire) {
            return Some(Next::Stop);
        }
        let wanted = outstanding(self.counts.load(Ordering::Acquire)) > 0
            || (self.once.load(Ordering::Relaxed) && self.once.swap(false, Ordering::AcqRel));
        wanted.then_some(Next::Process)
    }

    /// Sleeps until there is something to do.
    pub(crate) fn next(&self) -> Next {
        loop {
            if let Some(next) = self.look() {
                return next;
            }
            let bed = lock(&self.bed);
            self.asleep.store(true, Ordering::Relaxed);
            // See `wake`.
            fence(Ordering::SeqCst);
            let next = self.look();
            // Only this thread sleeps here; awake it holds the lock again, or still.
            let bed = if next.is_none() { wait(&self.changed, bed) } else { bed };
            self.asleep.store(false, Ordering::Relaxed);
            drop(bed);
            if let Some(next) = next {
                return next;
            }
        }
    }

    #[cfg(all(test, loom))]
    pub(super) fn outstanding(&self) -> usize {
        outstanding(self.counts.load(Ordering::Acquire)) as usize
    }

    /// Wakes the thread for nothing, as operating systems do.
    #[cfg(all(test, loom))]
    fn wake_spuriously(&self) {
        self.changed.notify_all();
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::sync::explore;
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
            mailbox.wake();
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
                loom::thread::spawn(move || {
                    mailbox.begin();
                    mailbox.wake();
                })
            };
            mailbox.begin();
            mailbox.wake();
            launcher.join().unwrap();
            for _ in 0..2 {
                assert_eq!(mailbox.next(), Next::Process);
                mailbox.end();
            }
            mailbox.stop();
            assert_eq!(mailbox.next(), Next::Stop);
        });
    }

    /// The thread falls asleep between two callbacks, and wakes for nothing meanwhile.
    #[test]
    fn it_wakes_again_after_it_slept() {
        explore(3, || {
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
            let noise = {
                let mailbox = mailbox.clone();
                loom::thread::spawn(move || mailbox.wake_spuriously())
            };
            for round in 0..2 {
                mailbox.begin();
                mailbox.wake();
                while delivered.load(Ordering::SeqCst) == round {
                    loom::thread::yield_now();
                }
            }
            noise.join().unwrap();
            mailbox.stop();
            worker.join().unwrap();
            assert_eq!(delivered.load(Ordering::SeqCst), 2, "never for nothing");
        });
    }

    /// The context goes while a closure runs beside its stream: the thread ends behind it.
    #[test]
    fn stop_comes_while_a_callback_runs() {
        explore(3, || {
            let mailbox = Arc::new(Mailbox::new());
            mailbox.begin();
            mailbox.wake();
            let worker = {
                let mailbox = mailbox.clone();
                loom::thread::spawn(move || {
                    let mut rounds = 0;
                    while mailbox.next() == Next::Process {
                        rounds += 1;
                        loom::thread::yield_now();
                        mailbox.end();
                    }
                    rounds
                })
            };
            mailbox.stop();
            let rounds = worker.join().unwrap();
            assert_eq!(mailbox.outstanding(), 1 - rounds);
            assert_eq!(mailbox.next(), Next::Stop, "for good");
        });
    }
}
