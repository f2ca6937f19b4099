//! Model checks of the desk together with what stands around it: the jobs, the mailbox of the report thread, the work of the stream.

use super::{
    desk::{Desk, Owner},
    mailbox::{Mailbox, Next},
    outcome::{Job, Outcome, Task, Ticket},
    registry::Key,
};
use crate::{
    sync::{AtomicBool, Mutex, Ordering, explore, lock},
    work::Work,
};
use loom::{cell::UnsafeCell, thread};
use std::sync::{Arc, atomic::AtomicUsize};

/// Counts what became of a closure: its value is dropped with it, whether it ran or not.
struct Closure {
    ran: Arc<AtomicUsize>,
    gone: Arc<AtomicUsize>,
}

impl Drop for Closure {
    fn drop(&mut self) {
        self.gone.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Clone, Default)]
struct Counts {
    ran: Arc<AtomicUsize>,
    gone: Arc<AtomicUsize>,
}

impl Counts {
    fn job(&self) -> Arc<Job<impl FnOnce() -> bool + Send + use<>, bool>> {
        let closure = Closure { ran: self.ran.clone(), gone: self.gone.clone() };
        Arc::new(Job::new(move || {
            closure.ran.fetch_add(1, Ordering::SeqCst);
            super::in_callback()
        }))
    }

    fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }

    fn gone(&self) -> usize {
        self.gone.load(Ordering::SeqCst)
    }
}

struct Stage {
    desk: Desk,
    owner: Arc<Owner>,
    mailbox: Arc<Mailbox>,
    work: Work<(), ()>,
}

impl Stage {
    fn new() -> Arc<Stage> {
        let (mailbox, work) = (Arc::new(Mailbox::new()), Work::new(0));
        let owner = Arc::new(Owner::new(mailbox.clone(), work.passed().clone()));
        Arc::new(Stage { desk: Desk::new(), owner, mailbox, work })
    }

    /// Nothing waits any more, and everybody knows.
    fn assert_quiet(&self) {
        assert_eq!(self.owner.outstanding(), 0);
        assert!(!self.desk.any_outstanding());
        self.mailbox.stop();
        assert_eq!(self.mailbox.next(), Next::Stop);
        assert_eq!(self.mailbox.outstanding(), 0);
    }
}

/// A launch fails after it was submitted, its report comes twice, and its stream goes: all four at once. The closure goes once.
#[test]
fn a_failed_launch_two_reports_and_the_end_of_the_stream_race() {
    explore(2, || {
        let (stage, counts) = (Stage::new(), Counts::default());
        let job = counts.job();
        let key = stage.desk.register(&stage.owner, job.clone(), 0);
        stage.owner.wake();
        let reports = [(); 2].map(|()| {
            let stage = stage.clone();
            thread::spawn(move || stage.desk.deliver(key))
        });
        let end = {
            let stage = stage.clone();
            thread::spawn(move || stage.desk.abandon(&stage.owner, None))
        };
        job.abandon(None);
        reports.into_iter().for_each(|thread| thread.join().unwrap());
        end.join().unwrap();
        assert_eq!(counts.gone(), 1);
        match job.collect(None) {
            Some(Outcome::Returned(inside)) => assert!(inside && counts.ran() == 1),
            Some(Outcome::Abandoned(_)) => assert_eq!(counts.ran(), 0),
            _ => unreachable!(),
        }
        stage.assert_quiet();
    });
}

/// A launch that was refused takes its closure back while the stream fails and a stray report comes.
#[test]
fn a_refused_launch_the_end_of_the_stream_and_a_stray_report_race() {
    explore(3, || {
        let (stage, counts) = (Stage::new(), Counts::default());
        let key = stage.desk.register(&stage.owner, counts.job(), 0);
        stage.owner.wake();
        let end = {
            let stage = stage.clone();
            thread::spawn(move || stage.desk.abandon(&stage.owner, None))
        };
        let stray = {
            let stage = stage.clone();
            thread::spawn(move || stage.desk.deliver(key))
        };
        stage.desk.withdraw(key);
        end.join().unwrap();
        stray.join().unwrap();
        assert_eq!(counts.gone(), 1);
        stage.assert_quiet();
    });
}

/// The reports that ACL has for the report thread.
#[derive(Default)]
struct Reports(Mutex<Vec<Key>>);

impl Reports {
    fn submit(&self, key: Key) {
        lock(&self.0).push(key);
    }

    /// As `aclrtProcessReport`: runs what is there, or waits in vain for a while.
    fn process(&self, desk: &Desk) {
        let keys = std::mem::take(&mut *lock(&self.0));
        if keys.is_empty() {
            thread::yield_now();
        }
        for key in keys {
            desk.deliver(key);
        }
    }
}

/// Two streams of one context launch while the report thread sleeps, works or falls asleep; one of them goes without its report. Both
/// closures go, nobody waits for ever, and the thread ends.
#[test]
fn the_report_thread_serves_streams_that_come_and_go() {
    explore(2, || {
        let (stage, counts) = (Stage::new(), Counts::default());
        let reports = Arc::new(Reports::default());
        let report_thread = {
            let (stage, reports) = (stage.clone(), reports.clone());
            thread::spawn(move || {
                while stage.mailbox.next() == Next::Process {
                    reports.process(&stage.desk);
                }
            })
        };
        let other = {
            let (stage, counts) = (stage.clone(), counts.clone());
            thread::spawn(move || {
                let owner = Arc::new(Owner::new(stage.mailbox.clone(), stage.work.passed().clone()));
                let job = counts.job();
                stage.desk.register(&owner, job.clone(), 0);
                owner.wake();
                // Its report is lost with the stream.
                stage.desk.abandon(&owner, None);
                assert!(matches!(job.collect(None), Some(Outcome::Abandoned(_))));
            })
        };
        let job = counts.job();
        // Launched before the thread is told.
        reports.submit(stage.desk.register(&stage.owner, job.clone(), 0));
        stage.owner.wake();
        assert!(matches!(job.collect(None), Some(Outcome::Returned(true))));
        other.join().unwrap();
        // As when the context goes.
        stage.mailbox.stop();
        report_thread.join().unwrap();
        assert_eq!((counts.ran(), counts.gone()), (1, 2));
        stage.assert_quiet();
    });
}

/// A stream gets its first callback while a wait for it fails on another thread: either the launch sees that, or the closure is
/// abandoned. Otherwise it could wait for ever, and keep alive what it captured.
#[test]
fn a_first_launch_and_a_failed_wait_see_each_other() {
    explore(3, || {
        let (stage, counts) = (Stage::new(), Counts::default());
        let subscribed = Arc::new(AtomicBool::new(false));
        let waiter = {
            let (stage, subscribed) = (stage.clone(), subscribed.clone());
            thread::spawn(move || {
                stage.work.failed(stage.work.begin_wait());
                if subscribed.load(Ordering::Acquire) {
                    stage.desk.abandon(&stage.owner, None);
                }
            })
        };
        subscribed.store(true, Ordering::Release);
        let job = counts.job();
        let key = stage.desk.register(&stage.owner, job.clone(), stage.work.issued());
        stage.owner.wake();
        stage.work.publish();
        if stage.work.is_poisoned() {
            stage.desk.withdraw(key);
        }
        waiter.join().unwrap();
        assert!(job.has_ended() && counts.gone() == 1);
        stage.assert_quiet();
    });
}

/// A closure finds the copies before it done, and so does another thread that looks at the same time: what the device wrote can be
/// read.
#[test]
fn a_callback_proves_what_came_before_it() {
    explore(3, || {
        struct Memory(UnsafeCell<u32>);
        // SAFETY: loom finds out whether it is not.
        unsafe impl Sync for Memory {}

        let stage = Stage::new();
        let memory = Arc::new(Memory(UnsafeCell::new(0)));
        let number = stage.work.count();
        let job = Arc::new(Job::new({
            let (stage, memory) = (stage.clone(), memory.clone());
            move || {
                assert!(stage.work.passed().reaches(number));
                // SAFETY: the copy has passed.
                memory.0.with(|value| assert_eq!(unsafe { *value }, 7));
            }
        }));
        let key = stage.desk.register(&stage.owner, job.clone(), stage.work.issued());
        stage.owner.wake();
        let device = {
            let (stage, memory) = (stage.clone(), memory.clone());
            thread::spawn(move || {
                // SAFETY: nobody else touches it before the copy has passed.
                memory.0.with_mut(|value| unsafe { *value = 7 });
                stage.desk.deliver(key);
            })
        };
        if stage.work.passed().reaches(number) {
            // SAFETY: the copy has passed.
            memory.0.with(|value| assert_eq!(unsafe { *value }, 7));
        }
        device.join().unwrap();
        assert!(stage.work.passed().reaches(number));
        assert!(matches!(job.collect(None), Some(Outcome::Returned(()))), "nothing panicked in it");
        stage.assert_quiet();
    });
}
