//! The work of a stream: how much was enqueued, how much is known to be done, what it keeps alive meanwhile, and whether anybody
//! can still tell.
//!
//! Operations are numbered. A number is given *after* the C call that enqueued the operation, so whoever has read a number knows that
//! the operations up to it are in the stream. Two things prove that they are done: a wait for the whole stream that began after the
//! number was read, and a callback that was launched after it.
//!
//! Knows no ACL, so that loom can check it.

use crate::{
    retire::{RetireQueue, Waited},
    sync::{AtomicBool, AtomicU64, Ordering, fence},
};
use std::sync::Arc;

/// How many operations of a stream are known to be done. Shared with its callbacks, which prove what came before them.
pub(crate) struct Passed(AtomicU64);

impl Passed {
    /// The operations up to this number are done.
    pub(crate) fn advance_to(&self, number: u64) {
        self.0.fetch_max(number, Ordering::AcqRel);
    }

    /// The last operation that is known to be done.
    pub(crate) fn number(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Whether the operation of this number is known to be done. What it wrote can be read then.
    pub(crate) fn reaches(&self, number: u64) -> bool {
        self.0.load(Ordering::Acquire) >= number
    }
}

/// The work of one stream, which keeps owners `K` alive behind fences `F`.
pub(crate) struct Work<K, F> {
    issued: AtomicU64,
    passed: Arc<Passed>,
    poisoned: AtomicBool,
    retire: RetireQueue<K, F>,
}

/// A wait for the whole stream that has begun, and what it will vouch for.
#[must_use]
pub(crate) struct Wait<K, F> {
    issued: u64,
    waited: Waited<K, F>,
}

impl<K, F> Work<K, F> {
    /// With so many operations enqueued already.
    pub(crate) fn new(issued: u64) -> Self {
        Work {
            issued: AtomicU64::new(issued),
            passed: Arc::new(Passed(AtomicU64::new(0))),
            poisoned: AtomicBool::new(false),
            retire: RetireQueue::new(),
        }
    }

    /// An operation was enqueued. Gives its number.
    #[inline]
    pub(crate) fn count(&self) -> u64 {
        self.issued.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// How many operations were enqueued by now: all of them are in the stream.
    pub(crate) fn issued(&self) -> u64 {
        self.issued.load(Ordering::Acquire)
    }

    pub(crate) fn passed(&self) -> &Arc<Passed> {
        &self.passed
    }

    pub(crate) fn retire(&self) -> &RetireQueue<K, F> {
        &self.retire
    }

    /// What the stream still keeps, when nobody uses it any more.
    pub(crate) fn take_retire(&mut self) -> RetireQueue<K, F> {
        std::mem::replace(&mut self.retire, RetireQueue::new())
    }

    /// To be called before a wait for the whole stream, or a question whether it is idle. Ends in one of [`Work::waited`],
    /// [`Work::undecided`] and [`Work::failed`].
    pub(crate) fn begin_wait(&self) -> Wait<K, F> {
        let issued = self.issued();
        Wait { issued, waited: self.retire.before_wait() }
    }

    /// The stream was idle at a moment after the wait had begun. Drops what it was using, outside of all locks.
    pub(crate) fn waited(&self, wait: Wait<K, F>) {
        self.passed.advance_to(wait.issued);
        self.retire.after_wait(wait.waited);
    }

    /// Nothing was learnt; the wait may be repeated.
    pub(crate) fn undecided(&self, wait: Wait<K, F>) {
        self.retire.put_back(wait.waited);
    }

    /// The wait failed, and nobody will ever know what the stream still does: it takes no more work, and what it keeps is leaked.
    ///
    /// What was [published](Work::publish) before is seen by the caller from now on.
    pub(crate) fn failed(&self, wait: Wait<K, F>) {
        self.poisoned.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        self.retire.leak_waited(wait.waited);
    }

    /// Between making something known to those who clean up after a failed wait, and asking whether there was one: one of the two sees
    /// the other.
    pub(crate) fn publish(&self) {
        fence(Ordering::SeqCst);
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::sync::{AtomicUsize, explore};
    use loom::{cell::UnsafeCell, thread};

    /// A stream that only counts, and is faster than anybody who waits for it.
    #[derive(Default)]
    struct Device {
        enqueued: AtomicUsize,
        done: AtomicUsize,
    }

    impl Device {
        fn enqueue(&self) -> usize {
            self.enqueued.fetch_add(1, Ordering::SeqCst)
        }

        fn synchronize(&self) {
            self.done.fetch_max(self.enqueued.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    }

    /// Two threads enqueue while a third waits: no number counts as passed before its operation is done.
    #[test]
    fn a_wait_vouches_for_what_was_enqueued_before_it_began() {
        explore(3, || {
            let (work, device) = (Arc::new(Work::<(), ()>::new(0)), Arc::new(Device::default()));
            let enqueuers: Vec<_> = (0..2)
                .map(|_| {
                    let (work, device) = (work.clone(), device.clone());
                    thread::spawn(move || {
                        let position = device.enqueue();
                        let number = work.count();
                        if work.passed().reaches(number) {
                            assert!(device.done.load(Ordering::SeqCst) > position, "still running");
                        }
                    })
                })
                .collect();
            let wait = work.begin_wait();
            device.synchronize();
            work.waited(wait);
            enqueuers.into_iter().for_each(|thread| thread.join().unwrap());
            work.waited(work.begin_wait());
            assert!(work.passed().reaches(2));
        });
    }

    /// What the device wrote is visible to who finds the operation passed, whoever found out.
    #[test]
    fn what_has_passed_can_be_read() {
        explore(3, || {
            struct Memory(UnsafeCell<u32>);
            // SAFETY: loom finds out whether it is not.
            unsafe impl Sync for Memory {}

            let work = Arc::new(Work::<(), ()>::new(0));
            let memory = Arc::new(Memory(UnsafeCell::new(0)));
            let number = work.count();
            let report = {
                let (passed, memory) = (work.passed().clone(), memory.clone());
                thread::spawn(move || {
                    // SAFETY: nobody else touches it before the operation has passed.
                    memory.0.with_mut(|value| unsafe { *value = 5 });
                    passed.advance_to(number);
                })
            };
            if work.passed().reaches(number) {
                // SAFETY: the operation has passed.
                memory.0.with(|value| assert_eq!(unsafe { *value }, 5));
            }
            report.join().unwrap();
        });
    }

    /// A wait that fails, one that succeeds and an enqueueing thread: what is in use is never dropped, and after the failure nothing is.
    #[test]
    fn a_wait_fails_beside_others() {
        use crate::retire::tests::Counts;
        explore(3, || {
            let (work, counts) = (Arc::new(Work::new(0)), Counts::default());
            let enqueuer = {
                let (work, counts) = (work.clone(), counts.clone());
                thread::spawn(move || {
                    if !work.is_poisoned() {
                        let owner = counts.enqueue();
                        work.count();
                        work.retire().keep([owner], 0);
                        counts.fence(work.retire());
                    }
                })
            };
            let waiter = {
                let (work, counts) = (work.clone(), counts.clone());
                thread::spawn(move || {
                    let wait = work.begin_wait();
                    counts.advance_to(counts.enqueued.load(std::sync::atomic::Ordering::SeqCst));
                    work.waited(wait);
                })
            };
            work.failed(work.begin_wait());
            assert!(work.is_poisoned());
            enqueuer.join().unwrap();
            waiter.join().unwrap();
            let dropped = counts.dropped();
            counts.advance_to(usize::MAX);
            counts.poll(work.retire());
            work.waited(work.begin_wait());
            assert_eq!(counts.dropped(), dropped, "leaked for good");
        });
    }
}
