//! How far a stream has come: what those who run its tasks tell those who wait, without a lock.
//!
//! Who waits says first from which task on he wants to be told and looks then; who completes a task counts it first and looks then who wants to
//! be told. Both in one order with everything else (`SeqCst`), so that one of the two sees the other.

use std::sync::atomic::{AtomicU64, Ordering};

/// On cache lines of its own, as is all that turns change: who queues tasks changes others.
#[repr(align(128))]
pub(super) struct Progress {
    /// Tasks that are done, or thrown away.
    completed: AtomicU64,
    /// Entries of the queue that those had beyond one for each.
    extra: AtomicU64,
    /// Waiting threads want to know when `completed` reaches this. Lowered and reset only under the lock of the stream's state.
    wake_at: AtomicU64,
}

/// What was ever queued.
#[derive(Default)]
pub(super) struct Submitted {
    pub(super) tasks: u64,
    /// Entries of the queue beyond one for each task.
    extra: u64,
    /// Entries of which is known that they are free again. There may be more.
    freed: u64,
}

impl Submitted {
    pub(super) fn add(&mut self, slots: usize) {
        self.tasks += 1;
        self.extra += slots as u64 - 1;
    }
}

/// Nobody waits.
const NEVER: u64 = u64::MAX;

impl Default for Progress {
    fn default() -> Self {
        Self { completed: AtomicU64::new(0), extra: AtomicU64::new(0), wake_at: AtomicU64::new(NEVER) }
    }
}

impl Progress {
    pub(super) fn completed(&self) -> u64 {
        self.completed.load(Ordering::SeqCst)
    }

    /// Whether so many tasks are done.
    pub(super) fn has_reached(&self, count: u64) -> bool {
        self.completed() >= count
    }

    /// [`has_reached`](Self::has_reached); if not, the caller, who holds the state's lock, wants to be woken then.
    pub(super) fn wakes_at(&self, count: u64) -> bool {
        self.has_reached(count) || {
            self.wake_at.fetch_min(count, Ordering::SeqCst);
            self.has_reached(count)
        }
    }

    /// Whether a task fits that has so many entries, behind all that were `submitted`; if not, the caller, who holds the state's lock, wants to be woken when half of the queue is
    /// done. To wake it for each task would cost more than the task. A stream that comes to rest, or begins what may take long, wakes it
    /// sooner: see [`is_awaited`](Self::is_awaited).
    pub(super) fn has_room(&self, slots: usize, depth: u64, submitted: &mut Submitted) -> bool {
        let (tasks, queued) = (submitted.tasks, submitted.tasks + submitted.extra);
        let mut fits = || {
            // Entries of running tasks count. What others change is looked at only when it matters.
            let fits = |freed: u64| freed >= queued || (queued - freed).saturating_add(slots as u64) <= depth;
            fits(submitted.freed) || {
                submitted.freed = self.extra.load(Ordering::SeqCst) + self.completed();
                fits(submitted.freed)
            }
        };
        fits() || {
            let completed = self.completed();
            let half = completed + tasks.saturating_sub(completed).div_ceil(2).max(1);
            self.wake_at.fetch_min(half, Ordering::SeqCst);
            fits()
        }
    }

    /// A task is done. True if somebody wants to be told.
    pub(super) fn completed_one(&self, slots: usize) -> bool {
        if slots > 1 {
            self.extra.fetch_add(slots as u64 - 1, Ordering::SeqCst);
        }
        self.completed.fetch_add(1, Ordering::SeqCst) + 1 >= self.wake_at.load(Ordering::SeqCst)
    }

    /// Tasks were thrown away.
    pub(super) fn completed_all(&self, tasks: usize, slots: usize) {
        self.extra.fetch_add((slots - tasks) as u64, Ordering::SeqCst);
        self.completed.fetch_add(tasks as u64, Ordering::SeqCst);
    }

    /// Whether anybody waits, whatever for.
    pub(super) fn is_awaited(&self) -> bool {
        self.wake_at.load(Ordering::SeqCst) != NEVER
    }

    /// All who wait are being told, under the state's lock: who still waits afterwards says so again.
    pub(super) fn forget_waiting(&self) {
        self.wake_at.store(NEVER, Ordering::SeqCst);
    }
}
