//! What the reaper does, round by round. Knows no ACL, so that loom can check it.

use crate::{
    process, quiet,
    sync::mpsc::{Receiver, Sender},
};
use std::sync::mpsc::RecvTimeoutError;

/// Something that cannot be released yet.
pub(crate) trait Pending: Send {
    /// Releases it if it can be released now. True when it is done with.
    fn try_release(&mut self) -> bool;
}

pub(super) enum Job {
    Run(Box<dyn FnOnce() + Send>),
    Watch(Box<dyn Pending>),
    /// Answer when nothing is left.
    Drain(Sender<()>),
}

/// What is still to be done.
pub(super) struct Rounds {
    pending: Vec<Box<dyn Pending>>,
    drains: Vec<Sender<()>>,
    pace: Pace,
}

impl Rounds {
    pub(super) fn new() -> Rounds {
        Rounds { pending: Vec::new(), drains: Vec::new(), pace: Pace::new() }
    }

    /// Waits until there is something to do, and does it. False when nothing more can come.
    pub(super) fn next(&mut self, jobs: &Receiver<Job>) -> bool {
        let job = if self.pending.is_empty() {
            jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            self.pace.recv(jobs)
        };
        match job {
            Ok(job) => self.take(job),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        // A hook has forked here, and returned in the child: nobody else is there.
        if process::in_forked_child() {
            return false;
        }
        if !self.pending.is_empty() && self.pace.is_due() {
            let before = self.pending.len();
            // Guarded as a whole too: what is done with is dropped here.
            guarded(|| {
                self.pending.retain_mut(|thing| {
                    let mut done = true;
                    guarded(|| done = thing.try_release());
                    !done
                });
            });
            self.pace.looked(self.pending.len() < before);
        }
        // What was released may have handed over more: answer behind it.
        while self.pending.is_empty() && !self.drains.is_empty() {
            match jobs.try_recv() {
                Ok(job) => self.take(job),
                Err(_) => {
                    for done in self.drains.drain(..) {
                        // Whoever waited may have given up.
                        let _ = done.send(());
                    }
                }
            }
        }
        true
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Run(release) => guarded(release),
            Job::Watch(thing) => {
                self.pending.push(thing);
                self.pace.hurry();
            }
            Job::Drain(done) => self.drains.push(done),
        }
    }
}

/// Does something with ACL, unless the process exits: then nothing is released any more. What captured values do when dropped must
/// not end the thread.
fn guarded(action: impl FnOnce()) {
    let Some(_busy) = process::Busy::enter() else { return };
    if !quiet::guarded(action) {
        quiet::log_error(format_args!("a destructor panicked while a handle was released"));
    }
}

#[cfg(not(loom))]
use pace::Pace;

/// How often pending things are looked at: soon at first, then less and less.
#[cfg(not(loom))]
mod pace {
    use super::{Job, Receiver, RecvTimeoutError};
    use std::time::{Duration, Instant};

    const FIRST_LOOK: Duration = Duration::from_micros(100);
    const SLOWEST_LOOK: Duration = Duration::from_millis(20);

    pub(super) struct Pace {
        interval: Duration,
        next_look: Instant,
    }

    impl Pace {
        pub(super) fn new() -> Pace {
            Pace { interval: FIRST_LOOK, next_look: Instant::now() }
        }

        /// Waits for a job until it is time to look.
        pub(super) fn recv(&self, jobs: &Receiver<Job>) -> Result<Job, RecvTimeoutError> {
            jobs.recv_timeout(self.next_look.saturating_duration_since(Instant::now()))
        }

        pub(super) fn is_due(&self) -> bool {
            Instant::now() >= self.next_look
        }

        /// Something new came.
        pub(super) fn hurry(&mut self) {
            self.interval = FIRST_LOOK;
            self.next_look = Instant::now();
        }

        pub(super) fn looked(&mut self, moved: bool) {
            // Something moved: the next may be close behind.
            self.interval = if moved { FIRST_LOOK } else { (self.interval * 2).min(SLOWEST_LOOK) };
            self.next_look = Instant::now() + self.interval;
        }
    }
}

/// Without a clock it is always time to look.
#[cfg(loom)]
struct Pace;

#[cfg(loom)]
impl Pace {
    fn new() -> Pace {
        Pace
    }

    fn recv(&self, jobs: &Receiver<Job>) -> Result<Job, RecvTimeoutError> {
        loom::thread::yield_now();
        jobs.try_recv().map_err(|_| RecvTimeoutError::Timeout)
    }

    fn is_due(&self) -> bool {
        true
    }

    fn hurry(&mut self) {}

    fn looked(&mut self, _moved: bool) {}
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::sync::{AtomicBool, AtomicUsize, Ordering, explore, mpsc};
    use loom::thread;
    use std::sync::Arc;

    /// Can be released when its work is done, and hands something else over then.
    struct Stream {
        idle: Arc<AtomicBool>,
        memory: Sender<Job>,
        released: Arc<AtomicUsize>,
    }

    impl Pending for Stream {
        fn try_release(&mut self) -> bool {
            if !self.idle.load(Ordering::Acquire) {
                return false;
            }
            let released = self.released.clone();
            let release = move || {
                released.fetch_add(1, Ordering::Relaxed);
            };
            assert!(self.memory.send(Job::Run(Box::new(release))).is_ok());
            self.released.fetch_add(1, Ordering::Relaxed);
            true
        }
    }

    /// Who drains finds everything released that was handed over before, and what that handed over in turn.
    #[test]
    fn a_drain_is_answered_behind_what_was_handed_over() {
        explore(2, || {
            let (sender, jobs) = mpsc::channel();
            let idle = Arc::new(AtomicBool::new(false));
            let released = Arc::new(AtomicUsize::new(0));
            let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
            let reaper = {
                let over = over.clone();
                thread::spawn(move || {
                    let mut rounds = Rounds::new();
                    while !over.load(std::sync::atomic::Ordering::SeqCst) {
                        assert!(rounds.next(&jobs));
                    }
                    rounds.pending.len()
                })
            };
            let device = {
                let idle = idle.clone();
                thread::spawn(move || idle.store(true, Ordering::Release))
            };
            let send = |job| assert!(sender.send(job).is_ok());
            send(Job::Watch(Box::new(Stream { idle, memory: sender.clone(), released: released.clone() })));
            let (done, drained) = mpsc::channel();
            send(Job::Drain(done));
            drained.recv().unwrap();
            assert_eq!(released.load(Ordering::Relaxed), 2);
            send(Job::Run(Box::new(move || over.store(true, std::sync::atomic::Ordering::SeqCst))));
            assert_eq!(reaper.join().unwrap(), 0);
            device.join().unwrap();
        });
    }

    /// Two threads hand over and drain at once: both are answered, behind their own.
    #[test]
    fn two_threads_drain_at_once() {
        explore(2, || {
            let (sender, jobs) = mpsc::channel();
            let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
            let reaper = {
                let over = over.clone();
                thread::spawn(move || {
                    let mut rounds = Rounds::new();
                    while !over.load(std::sync::atomic::Ordering::SeqCst) {
                        assert!(rounds.next(&jobs));
                    }
                })
            };
            let hand_over_and_drain = |sender: &Sender<Job>| {
                let released = Arc::new(AtomicUsize::new(0));
                let release = {
                    let released = released.clone();
                    move || {
                        released.fetch_add(1, Ordering::Relaxed);
                    }
                };
                let (done, drained) = mpsc::channel();
                for job in [Job::Run(Box::new(release)), Job::Drain(done)] {
                    assert!(sender.send(job).is_ok());
                }
                drained.recv().unwrap();
                assert_eq!(released.load(Ordering::Relaxed), 1);
            };
            let other = {
                let sender = sender.clone();
                thread::spawn(move || hand_over_and_drain(&sender))
            };
            hand_over_and_drain(&sender);
            other.join().unwrap();
            let end = Job::Run(Box::new(move || over.store(true, std::sync::atomic::Ordering::SeqCst)));
            assert!(sender.send(end).is_ok());
            reaper.join().unwrap();
        });
    }
}
