//! Where the closures of all streams wait, and what becomes of them: they are delivered, withdrawn or abandoned, and counted.
//!
//! Whatever comes together — a launch that fails after it was submitted, a report that comes twice, the end of the stream — each
//! closure goes exactly once, and the report thread learns when nothing is left. Knows no ACL, so that loom can check it.

use super::{
    inside::InCallback,
    mailbox::Mailbox,
    outcome::{Cause, Task},
    registry::{Key, Registry},
};
use crate::{
    process,
    sync::{AtomicU64, AtomicUsize, Ordering},
    work::Passed,
};
use std::sync::Arc;

/// A stream that has callbacks.
pub(crate) struct Owner {
    mailbox: Arc<Mailbox>,
    /// How many closures were registered, and how many of them have run or were dropped: each is counted by other threads, which do not
    /// contend for one number.
    registered: AtomicU64,
    ended: AtomicU64,
    /// How many operations of the stream are known to be done.
    passed: Arc<Passed>,
}

impl Owner {
    /// `mailbox` is that of the thread that its reports come to.
    pub(crate) fn new(mailbox: Arc<Mailbox>, passed: Arc<Passed>) -> Owner {
        Owner { mailbox, registered: AtomicU64::new(0), ended: AtomicU64::new(0), passed }
    }

    /// How many closures have neither run nor been dropped.
    pub(crate) fn outstanding(&self) -> usize {
        // In this order it is too many rather than too few: what has ended was registered before.
        let ended = self.ended();
        self.registered().saturating_sub(ended) as usize
    }

    /// How many closures have run or were dropped.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Acquire)
    }

    /// How many closures were registered.
    pub(crate) fn registered(&self) -> u64 {
        self.registered.load(Ordering::SeqCst)
    }

    /// Lets the report thread see what was registered.
    pub(crate) fn wake(&self) {
        self.mailbox.wake();
    }
}

/// A closure that waits for its turn.
struct Entry {
    task: Arc<dyn Task>,
    owner: Arc<Owner>,
    /// How many operations of the stream are done when it runs.
    behind: u64,
}

/// The closures that wait.
pub(crate) struct Desk {
    registry: Registry<Entry>,
    outstanding: AtomicUsize,
}

impl Desk {
    pub(crate) fn new() -> Desk {
        Desk { registry: Registry::new(), outstanding: AtomicUsize::new(0) }
    }

    /// Whether closures have still to run, or are running. What they own is not released yet.
    pub(crate) fn any_outstanding(&self) -> bool {
        self.outstanding.load(Ordering::Acquire) > 0
    }

    /// Lets a closure wait for its turn, behind so many operations of the stream. From now on its key may be delivered. [`Owner::wake`] comes next, at
    /// the latest when it is launched.
    pub(crate) fn register(&self, owner: &Arc<Owner>, task: Arc<dyn Task>, behind: u64) -> Key {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
        owner.registered.fetch_add(1, Ordering::SeqCst);
        owner.mailbox.begin();
        self.registry.insert(Entry { task, owner: owner.clone(), behind })
    }

    /// Runs the closure of a key, which may be any number: one that was delivered before, or late, finds nothing.
    ///
    /// # Panics
    ///
    /// If what the closure returned panics when it is dropped. The closure counts as done all the same.
    pub(crate) fn deliver(&self, key: Key) {
        /// Counts the callback as done, also if something panics.
        struct End<'a>(&'a Desk, Arc<Owner>);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                // In a child that was forked inside the closure the locks may be held for ever.
                if !process::in_forked_child() {
                    self.0.end(&self.1);
                }
            }
        }
        let Some(Entry { task, owner, behind }) = self.registry.take(key) else { return };
        // The stream has got here, so the copies before it are done: their transfers can be waited for in the closure.
        owner.passed.advance_to(behind);
        let _end = End(self, owner);
        let _inside = InCallback::enter();
        process::outside(|| {
            task.run();
            // If nobody waits, what the closure returned is dropped here, inside the callback: handles among it are released later.
            drop(task);
        });
    }

    /// Wakes everybody who waits for a closure, so that they see that the process exits.
    #[cfg(not(loom))]
    pub(crate) fn wake_all(&self) {
        for task in self.registry.all(|entry| entry.task.clone()) {
            task.nudge();
        }
    }

    /// Takes back a closure that was certainly not submitted. It is dropped without having run.
    pub(crate) fn withdraw(&self, key: Key) {
        if let Some(Entry { task, owner, .. }) = self.registry.take(key) {
            task.abandon(None);
            self.end(&owner);
        }
    }

    /// The stream is gone, or has failed: drops every closure of it that has not run.
    pub(crate) fn abandon(&self, owner: &Arc<Owner>, cause: Option<&Cause>) {
        // What the closures captured, and who waits for them, finds the same as if they had run: no calls into ACL, no waiting for
        // other callbacks. This may be the thread that those would wait for.
        let _inside = InCallback::enter();
        for Entry { task, owner, .. } in self.registry.take_all(|entry| Arc::ptr_eq(&entry.owner, owner)) {
            task.abandon(cause);
            self.end(&owner);
        }
    }

    /// Nobody knows whether the reports of the stream will come: drops every closure of it that has not run. What stands for them stays, so
    /// that a report that comes after all is fetched and lets its stream go on.
    pub(crate) fn drop_closures(&self, owner: &Arc<Owner>, cause: Option<&Cause>) {
        let _inside = InCallback::enter();
        let of_stream = |entry: &Entry| Arc::ptr_eq(&entry.owner, owner).then(|| entry.task.clone());
        // Outside the registry's lock: closures run code when they are dropped.
        for task in self.registry.look_at(of_stream) {
            task.abandon(cause);
        }
    }

    fn end(&self, owner: &Owner) {
        owner.mailbox.end();
        owner.ended.fetch_add(1, Ordering::Release);
        self.outstanding.fetch_sub(1, Ordering::Release);
    }
}
