//! Keeps alive what a stream still uses.
//!
//! ACL frees memory at once, whatever is queued on it. So every operation that is put into a stream leaves here the owners of
//! what it touches. Owners are collected in a batch; a full batch gets a fence (an event recorded behind its operations), and is
//! dropped once the stream has passed the fence. A wait for the whole stream drops everything that was enqueued before
//! the wait began. What nobody can vouch for is leaked, never freed.
//!
//! Knows no ACL, so that loom can check it.

use crate::sync::{Mutex, lock};
use std::{collections::VecDeque, mem};

/// A batch gets its fence when it holds so many owners ...
const BATCH_ITEMS: usize = 64;
/// ... or keeps so much memory waiting.
const BATCH_BYTES: usize = 16 << 20;
/// Fences out at the same time: a chip of the Ascend 310 family has 1023 events for all streams together.
const MAX_FENCES: usize = 4;

struct Batch<K, F> {
    fence: F,
    kept: Vec<K>,
}

struct Inner<K, F> {
    /// Enqueued, but no fence recorded behind it yet.
    open: Vec<K>,
    /// How much came in since the queue was last looked after.
    fresh_items: usize,
    fresh_bytes: usize,
    /// By and large in the order in which the stream passes their fences.
    fenced: VecDeque<Batch<K, F>>,
    /// Fences to use again.
    idle: Vec<F>,
    /// Nobody knows what the stream still does: keep everything for ever.
    leaking: bool,
}

/// What one stream keeps alive: owners `K` behind fences `F`.
pub(crate) struct RetireQueue<K, F> {
    inner: Mutex<Inner<K, F>>,
}

/// Everything enqueued before a wait began. Either the wait succeeds and it is released, or it goes back.
#[must_use]
pub(crate) struct Waited<K, F> {
    open: Vec<K>,
    fenced: VecDeque<Batch<K, F>>,
}

impl<K, F> RetireQueue<K, F> {
    pub(crate) fn new() -> Self {
        RetireQueue {
            inner: Mutex::new(Inner {
                open: Vec::new(),
                fresh_items: 0,
                fresh_bytes: 0,
                fenced: VecDeque::new(),
                idle: Vec::new(),
                leaking: false,
            }),
        }
    }

    /// Keeps `owners` until the stream has passed the operation, which has been enqueued already.
    pub(crate) fn keep(&self, owners: impl IntoIterator<Item = K>, bytes: usize) {
        let mut inner = lock(&self.inner);
        if inner.leaking {
            owners.into_iter().for_each(mem::forget);
            return;
        }
        let before = inner.open.len();
        inner.open.extend(owners);
        inner.fresh_items += inner.open.len() - before;
        inner.fresh_bytes = inner.fresh_bytes.saturating_add(bytes);
    }

    /// True, once a batch, when the queue is to be looked after: by [`poll`](Self::poll), then [`fence`](Self::fence).
    pub(crate) fn wants_care(&self) -> bool {
        let mut inner = lock(&self.inner);
        let full = inner.fresh_items >= BATCH_ITEMS || inner.fresh_bytes >= BATCH_BYTES;
        if full {
            // Also when no fence is to be had, so that it is not asked for again with every operation.
            (inner.fresh_items, inner.fresh_bytes) = (0, 0);
        }
        full
    }

    /// Closes the batch behind a fence, unless enough of them are out. `record` gets a used fence, if there is one, and gives the
    /// recorded one; `None` when it cannot, and the batch stays open.
    pub(crate) fn fence(&self, record: impl FnOnce(Option<F>) -> Option<F>) {
        let (idle, kept) = {
            let mut inner = lock(&self.inner);
            if inner.fenced.len() >= MAX_FENCES {
                return;
            }
            (inner.idle.pop(), mem::take(&mut inner.open))
        };
        // Nothing is locked while recording, which may wait for a free event. What was taken is behind no fence yet: should
        // `record` unwind, it is leaked, not dropped.
        let kept = mem::ManuallyDrop::new(kept);
        let recorded = record(idle);
        let kept = mem::ManuallyDrop::into_inner(kept);
        let mut inner = lock(&self.inner);
        if inner.leaking {
            mem::forget(kept);
            return;
        }
        match recorded {
            // Two threads may get here in another order than they recorded. Each batch waits for its own fence, so that
            // only delays the one that stands behind.
            Some(fence) => inner.fenced.push_back(Batch { fence, kept }),
            None => inner.open.extend(kept),
        }
    }

    /// Releases the batches whose fences were passed. The caller drops what it gets, outside the lock: owners run code.
    #[must_use]
    pub(crate) fn poll(&self, passed: impl Fn(&F) -> bool) -> Vec<Vec<K>> {
        let mut inner = lock(&self.inner);
        let mut released = Vec::new();
        while inner.fenced.front().is_some_and(|batch| passed(&batch.fence)) {
            if let Some(batch) = inner.fenced.pop_front() {
                released.push(batch.kept);
                inner.idle.push(batch.fence);
            }
        }
        released
    }

    /// To be called before a wait for the whole stream: takes what that wait will vouch for.
    pub(crate) fn before_wait(&self) -> Waited<K, F> {
        let mut inner = lock(&self.inner);
        (inner.fresh_items, inner.fresh_bytes) = (0, 0);
        Waited { open: mem::take(&mut inner.open), fenced: mem::take(&mut inner.fenced) }
    }

    /// The wait succeeded: gives what may be dropped now.
    #[must_use]
    pub(crate) fn after_wait(&self, waited: Waited<K, F>) -> Vec<Vec<K>> {
        let mut inner = lock(&self.inner);
        let mut released = vec![waited.open];
        for batch in waited.fenced {
            released.push(batch.kept);
            if inner.idle.len() < MAX_FENCES {
                inner.idle.push(batch.fence);
            }
        }
        released
    }

    /// The wait did not succeed, but may be repeated.
    pub(crate) fn put_back(&self, waited: Waited<K, F>) {
        let mut inner = lock(&self.inner);
        if inner.leaking {
            mem::forget(waited);
            return;
        }
        // What came in during the wait stands behind it.
        let mut open = waited.open;
        open.append(&mut inner.open);
        inner.open = open;
        let mut fenced = waited.fenced;
        // Batches fenced during the wait may only be released after the older ones, which `open` holds without a fence: a later
        // fence vouches for them too.
        fenced.append(&mut inner.fenced);
        inner.fenced = fenced;
    }

    /// Nobody will ever know when the stream has passed what it was given: leaks it, and all that comes.
    pub(crate) fn leak(&self) {
        lock(&self.inner).leak();
    }

    /// Leaks what a failed wait had taken, and all that comes.
    pub(crate) fn leak_waited(&self, waited: Waited<K, F>) {
        mem::forget(waited);
        self.leak();
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        let inner = lock(&self.inner);
        inner.open.is_empty() && inner.fenced.is_empty()
    }
}

impl<K, F> Inner<K, F> {
    fn leak(&mut self) {
        self.leaking = true;
        mem::forget(mem::take(&mut self.open));
        mem::forget(mem::take(&mut self.fenced));
    }
}

impl<K, F> Drop for RetireQueue<K, F> {
    fn drop(&mut self) {
        // Whoever drops the queue while it keeps something has not waited for the stream. Without the lock: in a forked child it
        // may be held for ever by a thread that is not there.
        self.inner.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()).leak();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    /// An owner that says at which position of the stream it was enqueued, and checks when it is dropped.
    pub(super) struct Owner {
        position: usize,
        passed: Arc<AtomicUsize>,
        dropped: Arc<AtomicUsize>,
    }

    impl Drop for Owner {
        fn drop(&mut self) {
            assert!(self.passed.load(Ordering::SeqCst) > self.position, "dropped while in use");
            self.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A stream that only counts: `enqueued` operations, `passed` operations.
    #[derive(Clone, Default)]
    pub(super) struct Counts {
        pub(super) enqueued: Arc<AtomicUsize>,
        pub(super) passed: Arc<AtomicUsize>,
        pub(super) dropped: Arc<AtomicUsize>,
    }

    impl Counts {
        pub(super) fn enqueue(&self) -> Owner {
            let position = self.enqueued.fetch_add(1, Ordering::SeqCst);
            Owner { position, passed: self.passed.clone(), dropped: self.dropped.clone() }
        }

        pub(super) fn advance_to(&self, position: usize) {
            self.passed.fetch_max(position, Ordering::SeqCst);
        }

        /// A fence is the number of operations before it.
        pub(super) fn fence(&self, queue: &RetireQueue<Owner, usize>) {
            queue.fence(|_| Some(self.enqueued.load(Ordering::SeqCst)));
        }

        pub(super) fn poll(&self, queue: &RetireQueue<Owner, usize>) -> usize {
            let released = queue.poll(|&fence| self.passed.load(Ordering::SeqCst) >= fence);
            released.iter().map(Vec::len).sum()
        }

        pub(super) fn dropped(&self) -> usize {
            self.dropped.load(Ordering::SeqCst)
        }
    }

    #[cfg(not(loom))]
    #[test]
    fn a_batch_is_released_when_its_fence_is_passed_and_not_before() {
        let (queue, counts) = (RetireQueue::new(), Counts::default());
        queue.keep([counts.enqueue()], 1);
        queue.keep([counts.enqueue()], 1);
        counts.fence(&queue);
        queue.keep([counts.enqueue()], 1);
        assert_eq!(counts.poll(&queue), 0);
        counts.advance_to(1);
        assert_eq!(counts.poll(&queue), 0, "only half of the batch was passed");
        counts.advance_to(2);
        assert_eq!(counts.poll(&queue), 2);
        assert_eq!(counts.dropped(), 2);
        counts.advance_to(3);
        assert_eq!(counts.poll(&queue), 0, "the third has no fence yet");
        let waited = queue.before_wait();
        drop(queue.after_wait(waited));
        assert_eq!(counts.dropped(), 3);
        assert!(queue.is_empty());
    }

    #[cfg(not(loom))]
    #[test]
    fn a_batch_wants_a_fence_by_count_and_by_size() {
        let (queue, counts) = (RetireQueue::new(), Counts::default());
        for _ in 0..BATCH_ITEMS - 1 {
            queue.keep([counts.enqueue()], 0);
            assert!(!queue.wants_care());
        }
        queue.keep([counts.enqueue()], 0);
        assert!(queue.wants_care() && !queue.wants_care(), "once");
        counts.fence(&queue);
        queue.keep([counts.enqueue()], BATCH_BYTES - 1);
        assert!(!queue.wants_care());
        queue.keep([counts.enqueue()], 1);
        assert!(queue.wants_care());
        counts.advance_to(usize::MAX);
        drop(queue.after_wait(queue.before_wait()));
        assert_eq!(counts.dropped(), BATCH_ITEMS + 2);
    }

    #[cfg(not(loom))]
    #[test]
    fn a_queue_whose_fences_are_all_out_goes_on_when_they_are_passed() {
        let (queue, counts) = (RetireQueue::new(), Counts::default());
        let enqueue = |number: usize| {
            let mut wants = 0;
            for _ in 0..number {
                queue.keep([counts.enqueue()], 0);
                if queue.wants_care() {
                    wants += 1;
                    counts.poll(&queue);
                    counts.fence(&queue);
                }
            }
            wants
        };
        // The stream is far behind: no more fences than allowed, and still asked for once a batch.
        assert_eq!(enqueue(10 * BATCH_ITEMS), 10);
        assert_eq!(lock(&queue.inner).fenced.len(), MAX_FENCES);
        assert_eq!(counts.dropped(), 0);
        // It catches up, and nobody waits for it.
        counts.advance_to(10 * BATCH_ITEMS);
        enqueue(BATCH_ITEMS);
        assert_eq!(counts.dropped(), MAX_FENCES * BATCH_ITEMS);
        counts.advance_to(11 * BATCH_ITEMS);
        enqueue(BATCH_ITEMS);
        assert_eq!(counts.dropped(), 11 * BATCH_ITEMS, "a later fence vouches for what had none");
        counts.advance_to(usize::MAX);
        drop(queue.after_wait(queue.before_wait()));
    }

    #[cfg(not(loom))]
    #[test]
    fn a_wait_that_fails_frees_nothing() {
        let (queue, counts) = (RetireQueue::new(), Counts::default());
        queue.keep([counts.enqueue()], 0);
        counts.fence(&queue);
        queue.keep([counts.enqueue()], 0);
        let waited = queue.before_wait();
        queue.keep([counts.enqueue()], 0);
        queue.put_back(waited);
        assert_eq!(counts.dropped(), 0);
        let waited = queue.before_wait();
        queue.leak_waited(waited);
        queue.keep([counts.enqueue()], 0);
        drop(queue);
        assert_eq!(counts.dropped(), 0, "leaked, not freed");
    }

    #[cfg(not(loom))]
    #[test]
    fn a_fence_that_cannot_be_recorded_leaves_the_batch_open() {
        let (queue, counts) = (RetireQueue::<_, usize>::new(), Counts::default());
        queue.keep([counts.enqueue()], 0);
        queue.fence(|_| None);
        assert!(!queue.is_empty());
        counts.advance_to(1);
        drop(queue.after_wait(queue.before_wait()));
        assert_eq!(counts.dropped(), 1);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::{tests::Counts, *};
    use std::sync::Arc;

    #[test]
    fn nothing_is_dropped_before_the_stream_passed_it() {
        loom::model(|| {
            let (queue, counts) = (Arc::new(RetireQueue::new()), Counts::default());
            let enqueuer = {
                let (queue, counts) = (queue.clone(), counts.clone());
                loom::thread::spawn(move || {
                    for _ in 0..2 {
                        queue.keep([counts.enqueue()], 0);
                        counts.fence(&queue);
                    }
                })
            };
            let poller = {
                let (queue, counts) = (queue.clone(), counts.clone());
                loom::thread::spawn(move || {
                    counts.advance_to(1);
                    counts.poll(&queue);
                })
            };
            // A wait for the stream vouches for what was enqueued before it began.
            let waited = queue.before_wait();
            counts.advance_to(counts.enqueued.load(std::sync::atomic::Ordering::SeqCst));
            drop(queue.after_wait(waited));
            enqueuer.join().unwrap();
            poller.join().unwrap();
            counts.advance_to(2);
            drop(queue.after_wait(queue.before_wait()));
            assert_eq!(counts.dropped(), 2);
        });
    }

    #[test]
    fn a_failed_wait_races_with_polling_and_loses_nothing() {
        loom::model(|| {
            let (queue, counts) = (Arc::new(RetireQueue::new()), Counts::default());
            queue.keep([counts.enqueue()], 0);
            counts.fence(&queue);
            let poller = {
                let (queue, counts) = (queue.clone(), counts.clone());
                loom::thread::spawn(move || {
                    queue.keep([counts.enqueue()], 0);
                    counts.fence(&queue);
                    counts.advance_to(2);
                    counts.poll(&queue);
                })
            };
            queue.put_back(queue.before_wait());
            poller.join().unwrap();
            counts.poll(&queue);
            drop(queue.after_wait(queue.before_wait()));
            assert_eq!(counts.dropped(), 2);
        });
    }
}
