//! The synchronisation primitives of the modules that know no ACL, so that loom can replace them.

#[cfg(loom)]
#[allow(unused_imports, reason = "some are for the models alone")]
pub(crate) use loom::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
    mpsc,
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
    mpsc,
};

/// Locks, also after a panic: no invariant of this crate is left broken while a lock is held, and a panic in one thread must
/// not take the destructors of the others with it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Waits, also after a panic elsewhere.
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Waits for a while, or as long as it takes. May wake up earlier.
pub(crate) fn wait_for<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    limit: Option<std::time::Duration>,
) -> MutexGuard<'a, T> {
    match limit {
        None => wait(condvar, guard),
        Some(limit) => condvar.wait_timeout(guard, limit).unwrap_or_else(|poisoned| poisoned.into_inner()).0,
    }
}

/// Explores every execution of `body` in which threads are interrupted at most `preemptions` times where they could go on: with
/// more threads than two, all of them would be too many.
#[cfg(all(test, loom))]
pub(crate) fn explore(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound.get_or_insert(preemptions);
    model.check(body);
}

/// Locks as [`lock`] does, unless somebody holds the lock.
#[cfg(not(loom))]
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    use std::sync::TryLockError;
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Locks, but gives up after a while: for the exit of the process, which a signal handler may have called on a thread that holds
/// the lock.
#[cfg(not(loom))]
pub(crate) fn lock_soon<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    use std::{thread, time::Duration};
    for _ in 0..100 {
        if let Some(guard) = try_lock(mutex) {
            return Some(guard);
        }
        thread::sleep(Duration::from_millis(1));
    }
    None
}
