//! Mutex, read-write lock and condition variable that do not know poisoning.
//!
//! A panic inside the simulator is caught at the C boundary or on the pool thread and answered as an error. The data behind a
//! lock is kept consistent by short critical sections that do not panic, so a poisoned lock would only turn one bug into many.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{MutexGuard, PoisonError, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use crate::core::seeded;

/// A mutex whose `lock` cannot fail.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A read-write lock whose `read` and `write` cannot fail.
#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(std::sync::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// On cache lines of its own: what one thread changes all the time does not slow down others that use what lies beside it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Apart<T>(T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A condition variable for [`Mutex`] that costs no system call to notify while nobody waits.
///
/// What is waited for must change under the mutex, or the mutex must be locked between the change and the notification: then a
/// waiter either sees the change or has counted itself before.
#[derive(Debug, Default)]
pub(crate) struct Condvar {
    inner: std::sync::Condvar,
    waiters: AtomicUsize,
}

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self { inner: std::sync::Condvar::new(), waiters: AtomicUsize::new(0) }
    }

    pub(crate) fn notify_one(&self) {
        if self.waiters.load(Ordering::SeqCst) > 0 {
            self.inner.notify_one();
        }
    }

    pub(crate) fn notify_all(&self) {
        if self.waiters.load(Ordering::SeqCst) > 0 {
            self.inner.notify_all();
        }
    }

    /// [`wait_while`](Self::wait_while) for what streams do: in a run with a seed it is this thread that does it.
    pub(crate) fn wait_for_device<'a, T>(
        &self,
        mutex: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
        mut pending: impl FnMut(&mut T) -> bool,
    ) -> (MutexGuard<'a, T>, bool) {
        if !seeded::is_on() {
            return self.wait_while(guard, deadline, pending);
        }
        drop(guard);
        let mut last = None;
        let done = seeded::work_until(deadline, || {
            // Given back before any work is done: that may need the lock.
            last = None;
            let mut guard = mutex.lock();
            let pending = pending(&mut guard);
            last = (!pending).then_some(guard);
            pending
        });
        (last.unwrap_or_else(|| mutex.lock()), !done)
    }

    /// Waits while `pending` holds, until `deadline` if there is one. The second value says whether `pending` still holds,
    /// that is, whether the deadline passed first.
    pub(crate) fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
        mut pending: impl FnMut(&mut T) -> bool,
    ) -> (MutexGuard<'a, T>, bool) {
        while pending(&mut guard) {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return (guard, true);
            }
            self.waiters.fetch_add(1, Ordering::SeqCst);
            guard = match left {
                None => self.inner.wait(guard).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.inner.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0,
            };
            self.waiters.fetch_sub(1, Ordering::SeqCst);
        }
        (guard, false)
    }
}
