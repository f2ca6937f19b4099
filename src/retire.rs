//! Keeps alive what a stream still uses.
//!
//! ACL frees memory at once, whatever is queued on it. So every operation that is put into a stream leaves here the owners of
//! what it touches. Owners are collected in a batch; a full batch gets a fence (an event recorded behind its operations), and is
//! dropped once the stream has passed the fence. A wait for the whole stream drops everything that was enqueued before
//! the wait began. What nobody can vouch for is kept for ever, never freed.
//!
//! Knows no ACL, so that loom can check it.

use crate::{
    limbo::keep_for_ever,
    sync::{AtomicBool, Mutex, Ordering, lock},
};
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
    /// Lists to use again, empty.
    spare: Vec<Vec<K>>,
    /// Nobody knows what the stream still does: keep everything for ever.
    leaking: bool,
}

/// What one stream keeps alive: owners `K` behind fences `F`.
pub(crate) struct RetireQueue<K, F> {
    inner: Mutex<Inner<K, F>>,
    /// Enough has come in to look after. Changed with the lock held.
    full: AtomicBool,
}

/// Everything enqueued before a wait began. Either the wait succeeds and it is released, or it goes back. Dropped, it is leaked: nobody knows
/// what came of the wait.
#[must_use]
pub(crate) struct Waited<K, F> {
    open: Vec<K>,
    /// How much of it came in since the queue was last looked after.
    fresh_items: usize,
    fresh_bytes: usize,
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
                spare: Vec::new(),
                leaking: false,
            }),
            full: AtomicBool::new(false),
        }
    }

    /// Keeps `owners` until the stream has passed the operation, which has been enqueued already.
    pub(crate) fn keep(&self, owners: impl IntoIterator<Item = K>, bytes: usize) {
        let mut inner = lock(&self.inner);
        if inner.leaking {
            owners.into_iter().for_each(keep_for_ever);
            return;
        }
        let before = inner.open.len();
        inner.open.extend(owners);
        let items = inner.open.len() - before;
        self.came_in(&mut inner, items, bytes);
    }

    /// As [`keep`](Self::keep), for owners that serve many operations. When the newest that are kept are the same, as `are_newest` says of them, they
    /// do for this operation too: what releases them comes behind it.
    pub(crate) fn keep_again<const N: usize>(
        &self,
        are_newest: impl FnOnce(&[K]) -> bool,
        owners: impl FnOnce() -> [K; N],
        bytes: usize,
    ) {
        {
            let inner = lock(&self.inner);
            let newest = inner.open.len().checked_sub(N).map(|first| &inner.open[first..]);
            if newest.is_some_and(are_newest) {
                return;
            }
        }
        self.keep(owners(), bytes);
    }

    /// As [`keep`](Self::keep), for an owner beside one that serves many operations, which stays the newest of all.
    pub(crate) fn keep_beside(
        &self,
        owner: K,
        is_newest: impl FnOnce(&K) -> bool,
        shared: impl FnOnce() -> K,
        bytes: usize,
    ) {
        {
            let mut inner = lock(&self.inner);
            if inner.open.last().is_some_and(is_newest) {
                let last = inner.open.len();
                inner.open.push(owner);
                inner.open.swap(last - 1, last);
                self.came_in(&mut inner, 1, bytes);
                return;
            }
        }
        self.keep([owner, shared()], bytes);
    }

    /// So much was added to the open batch.
    fn came_in(&self, inner: &mut Inner<K, F>, items: usize, bytes: usize) {
        inner.fresh_items += items;
        inner.fresh_bytes = inner.fresh_bytes.saturating_add(bytes);
        if inner.fresh_items >= BATCH_ITEMS || inner.fresh_bytes >= BATCH_BYTES {
            self.full.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it may be that the queue [wants care](Self::wants_care), without the lock.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// True, once a batch, when the queue is to be looked after: by [`poll`](Self::poll), then [`fence`](Self::fence).
    pub(crate) fn wants_care(&self) -> bool {
        if !self.is_full() {
            return false;
        }
        let mut inner = lock(&self.inner);
        // Also when no fence is to be had, so that it is not asked for again with every operation.
        (inner.fresh_items, inner.fresh_bytes) = (0, 0);
        self.full.swap(false, Ordering::Relaxed)
    }

    /// Closes the batch behind a fence, unless enough of them are out. `record` gets a used fence, if there is one, and gives the
    /// recorded one; `None` when it cannot, and the batch stays open.
    pub(crate) fn fence(&self, record: impl FnOnce(Option<F>) -> Option<F>) {
        let (idle, kept) = {
            let mut inner = lock(&self.inner);
            if inner.fenced.len() >= MAX_FENCES {
                return;
            }
            let next = inner.spare.pop().unwrap_or_default();
            (inner.idle.pop(), mem::replace(&mut inner.open, next))
        };
        // Nothing is locked while recording, which may wait for a free event. What was taken is behind no fence yet: should
        // `record` unwind, it is leaked, not dropped.
        let kept = mem::ManuallyDrop::new(kept);
        let recorded = record(idle);
        let kept = mem::ManuallyDrop::into_inner(kept);
        let mut inner = lock(&self.inner);
        if inner.leaking {
            keep_for_ever(kept);
            return;
        }
        match recorded {
            // Two threads may get here in another order than they recorded. Each batch waits for its own fence, so that
            // only delays the one that stands behind.
            Some(fence) => inner.fenced.push_back(Batch { fence, kept }),
            None => inner.open.extend(kept),
        }
    }

    /// Drops what the batches keep whose fences were passed, outside the lock: owners run code. Says how much that was.
    pub(crate) fn poll(&self, passed: impl Fn(&F) -> bool) -> usize {
        let mut released = 0;
        loop {
            let kept = {
                let mut inner = lock(&self.inner);
                if !inner.fenced.front().is_some_and(|batch| passed(&batch.fence)) {
                    return released;
                }
                let Some(batch) = inner.fenced.pop_front() else { return released };
                inner.idle.push(batch.fence);
                batch.kept
            };
            released += kept.len();
            self.drop_all(kept);
        }
    }

    /// Drops owners, and keeps their list.
    fn drop_all(&self, mut kept: Vec<K>) {
        kept.clear();
        // One that had to grow beyond a batch is not worth its memory.
        if (1..=4 * BATCH_ITEMS).contains(&kept.capacity()) {
            let mut inner = lock(&self.inner);
            if inner.spare.len() <= MAX_FENCES {
                inner.spare.push(kept);
            }
        }
    }

    /// To be called before a wait for the whole stream: takes what that wait will vouch for.
    pub(crate) fn before_wait(&self) -> Waited<K, F> {
        let mut inner = lock(&self.inner);
        let (fresh_items, fresh_bytes) =
            (mem::take(&mut inner.fresh_items), mem::take(&mut inner.fresh_bytes));
        self.full.store(false, Ordering::Relaxed);
        let next = if inner.open.is_empty() { Vec::new() } else { inner.spare.pop().unwrap_or_default() };
        // A list that is empty stays, with its room.
        let fenced = if inner.fenced.is_empty() { VecDeque::new() } else { mem::take(&mut inner.fenced) };
        Waited { open: mem::replace(&mut inner.open, next), fresh_items, fresh_bytes, fenced }
    }

    /// The wait succeeded: drops what it vouches for, outside the lock.
    pub(crate) fn after_wait(&self, mut waited: Waited<K, F>) {
        // The oldest first.
        while let Some(batch) = waited.fenced.pop_front() {
            {
                let mut inner = lock(&self.inner);
                if inner.idle.len() < MAX_FENCES {
                    inner.idle.push(batch.fence);
                }
            }
            self.drop_all(batch.kept);
        }
        if waited.fenced.capacity() > 0 {
            let mut inner = lock(&self.inner);
            if inner.fenced.capacity() == 0 {
                inner.fenced = mem::take(&mut waited.fenced);
            }
        }
        if waited.open.capacity() > 0 {
            self.drop_all(mem::take(&mut waited.open));
        }
    }

    /// The wait did not succeed, but may be repeated.
    pub(crate) fn put_back(&self, mut waited: Waited<K, F>) {
        let mut inner = lock(&self.inner);
        if inner.leaking {
            return;
        }
        // What came in during the wait stands behind it.
        let mut open = mem::take(&mut waited.open);
        open.append(&mut inner.open);
        inner.open = open;
        let mut fenced = mem::take(&mut waited.fenced);
        // Batches fenced during the wait may only be released after the older ones, which `open` holds without a fence: a later
        // fence vouches for them too.
        fenced.append(&mut inner.fenced);
        inner.fenced = fenced;
        // Or a stream that is asked often, and never idle then, would never get a fence.
        self.came_in(&mut inner, waited.fresh_items, waited.fresh_bytes);
    }

    /// Nobody will ever know when the stream has passed what it was given: leaks it, and all that comes.
    pub(crate) fn leak(&self) {
        lock(&self.inner).leak();
    }

    /// Leaks what a failed wait had taken, and all that comes.
    pub(crate) fn leak_waited(&self, waited: Waited<K, F>) {
        drop(waited);
        self.leak();
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        let inner = lock(&self.inner);
        inner.open.is_empty() && inner.fenced.is_empty()
    }
}

/// Never frees what they hold.
fn leak<K, F>(open: &mut Vec<K>, fenced: &mut VecDeque<Batch<K, F>>) {
    let (open, fenced) = (mem::take(open), mem::take(fenced));
    if !(open.is_empty() && fenced.is_empty()) {
        keep_for_ever((open, fenced));
    }
}

impl<K, F> Drop for Waited<K, F> {
    fn drop(&mut self) {
        leak(&mut self.open, &mut self.fenced);
    }
}

impl<K, F> Inner<K, F> {
    fn leak(&mut self) {
        self.leaking = true;
        leak(&mut self.open, &mut self.fenced);
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
pub(crate) mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    /// An owner that says at which position of the stream it was enqueued, and checks when it is dropped.
    pub(crate) struct Owner {
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
    pub(crate) struct Counts {
        pub(crate) enqueued: Arc<AtomicUsize>,
        pub(crate) passed: Arc<AtomicUsize>,
        pub(crate) dropped: Arc<AtomicUsize>,
    }

    impl Counts {
        pub(crate) fn enqueue(&self) -> Owner {
            let position = self.enqueued.fetch_add(1, Ordering::SeqCst);
            Owner { position, passed: self.passed.clone(), dropped: self.dropped.clone() }
        }

        pub(crate) fn advance_to(&self, position: usize) {
            self.passed.fetch_max(position, Ordering::SeqCst);
        }

        /// A fence is the number of operations before it.
        pub(crate) fn fence(&self, queue: &RetireQueue<Owner, usize>) {
            queue.fence(|_| Some(self.enqueued.load(Ordering::SeqCst)));
        }

        pub(crate) fn poll(&self, queue: &RetireQueue<Owner, usize>) -> usize {
            queue.poll(|&fence| self.passed.load(Ordering::SeqCst) >= fence)
        }

        pub(crate) fn dropped(&self) -> usize {
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
        queue.after_wait(waited);
        assert_eq!(counts.dropped(), 3);
        assert!(queue.is_empty());
    }

    #[cfg(not(loom))]
    #[test]
    fn a_wait_that_nobody_heard_the_end_of_frees_nothing() {
        let (queue, counts) = (RetireQueue::new(), Counts::default());
        queue.keep([counts.enqueue()], 1);
        counts.fence(&queue);
        queue.keep([counts.enqueue()], 1);
        // Neither has been passed: an owner that is dropped says so.
        drop(queue.before_wait());
        assert!(queue.is_empty());
        assert_eq!(counts.dropped(), 0);
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
        queue.after_wait(queue.before_wait());
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
        queue.after_wait(queue.before_wait());
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
    fn a_stream_that_is_asked_often_gets_its_fences() {
        let (queue, counts) = (RetireQueue::<_, usize>::new(), Counts::default());
        for _ in 0..BATCH_ITEMS {
            assert!(!queue.wants_care());
            queue.keep([counts.enqueue()], 0);
            // It is busy each time.
            queue.put_back(queue.before_wait());
        }
        assert!(queue.wants_care());
        queue.leak();
    }

    #[cfg(not(loom))]
    #[test]
    fn owners_that_serve_many_operations_are_kept_once_a_batch() {
        let (queue, counts) = (RetireQueue::new(), Counts::default());
        let same = Arc::new(());
        let keep = || {
            let owner = || [(same.clone(), counts.enqueue())];
            queue.keep_again(|newest| Arc::ptr_eq(&newest[0].0, &same), owner, 0);
        };
        let passed = |_: &usize| true;
        (0..10 * BATCH_ITEMS).for_each(|_| keep());
        assert_eq!(Arc::strong_count(&same), 2);
        assert!(!queue.wants_care());
        queue.fence(|_| Some(0));
        // Behind the fence it is kept anew.
        keep();
        assert_eq!(Arc::strong_count(&same), 3);
        counts.advance_to(usize::MAX);
        assert_eq!(queue.poll(passed), 1);
        assert_eq!(Arc::strong_count(&same), 2);
        // Something else came in between.
        queue.keep([(Arc::new(()), counts.enqueue())], 0);
        keep();
        assert_eq!(Arc::strong_count(&same), 3);
        queue.after_wait(queue.before_wait());
        assert_eq!(Arc::strong_count(&same), 1);
    }

    #[cfg(not(loom))]
    #[test]
    fn an_owner_beside_a_shared_one_leaves_that_the_newest() {
        let (queue, counts) = (RetireQueue::<_, usize>::new(), Counts::default());
        let same = Arc::new(());
        for _ in 0..BATCH_ITEMS - 1 {
            let beside = (Arc::new(()), counts.enqueue());
            let shared = || (same.clone(), counts.enqueue());
            queue.keep_beside(beside, |newest| Arc::ptr_eq(&newest.0, &same), shared, 0);
        }
        assert_eq!(Arc::strong_count(&same), 2);
        assert!(queue.wants_care() && !queue.wants_care());
        counts.advance_to(usize::MAX);
        queue.after_wait(queue.before_wait());
        assert_eq!((Arc::strong_count(&same), counts.dropped()), (1, BATCH_ITEMS));
        assert!(queue.is_empty());
    }

    #[cfg(not(loom))]
    #[test]
    fn a_fence_that_cannot_be_recorded_leaves_the_batch_open() {
        let (queue, counts) = (RetireQueue::<_, usize>::new(), Counts::default());
        queue.keep([counts.enqueue()], 0);
        queue.fence(|_| None);
        assert!(!queue.is_empty());
        counts.advance_to(1);
        queue.after_wait(queue.before_wait());
        assert_eq!(counts.dropped(), 1);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::{tests::Counts, *};
    use crate::sync::explore;
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
            queue.after_wait(waited);
            enqueuer.join().unwrap();
            poller.join().unwrap();
            counts.advance_to(2);
            queue.after_wait(queue.before_wait());
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
            queue.after_wait(queue.before_wait());
            assert_eq!(counts.dropped(), 2);
        });
    }

    /// Fencing, a wait that is put back, polling, and giving up, from three threads beside the one that enqueued.
    #[test]
    fn giving_up_races_with_everything_else() {
        explore(2, || {
            let (queue, counts) = (Arc::new(RetireQueue::new()), Counts::default());
            queue.keep([counts.enqueue()], 0);
            let fencer = {
                let (queue, counts) = (queue.clone(), counts.clone());
                loom::thread::spawn(move || {
                    counts.fence(&queue);
                    queue.keep([counts.enqueue()], 0);
                })
            };
            let poller = {
                let (queue, counts) = (queue.clone(), counts.clone());
                loom::thread::spawn(move || {
                    let waited = queue.before_wait();
                    counts.advance_to(1);
                    queue.put_back(waited);
                    counts.poll(&queue)
                })
            };
            let quitter = {
                let queue = queue.clone();
                loom::thread::spawn(move || queue.leak())
            };
            fencer.join().unwrap();
            let released = poller.join().unwrap();
            quitter.join().unwrap();
            counts.advance_to(usize::MAX);
            // Given up for good: nothing more is released, by nobody.
            assert!(queue.is_empty());
            counts.poll(&queue);
            queue.after_wait(queue.before_wait());
            drop(queue);
            assert_eq!(counts.dropped(), released);
        });
    }

    /// Two threads that fence and poll at once, as two that enqueue do.
    #[test]
    fn two_threads_look_after_the_queue() {
        explore(3, || {
            let (queue, counts) = (Arc::new(RetireQueue::new()), Counts::default());
            let carers: Vec<_> = (0..2)
                .map(|_| {
                    let (queue, counts) = (queue.clone(), counts.clone());
                    loom::thread::spawn(move || {
                        queue.keep([counts.enqueue()], 0);
                        counts.fence(&queue);
                        counts.poll(&queue);
                    })
                })
                .collect();
            counts.advance_to(1);
            carers.into_iter().for_each(|carer| carer.join().unwrap());
            counts.advance_to(2);
            counts.poll(&queue);
            queue.after_wait(queue.before_wait());
            assert_eq!(counts.dropped(), 2);
        });
    }
}
