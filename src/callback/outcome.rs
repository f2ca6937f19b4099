//! One callback: its closure until it runs, then what came of it. Runs at most once, and everybody who waits learns how it
//! ended. Knows no ACL, so that loom can check it.

use crate::sync::{Condvar, Mutex, lock, wait};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Waker,
    time::Duration,
};

/// How a callback ended.
pub(crate) enum Outcome<T> {
    Returned(T),
    /// With the panic's message.
    Panicked(String),
    Abandoned,
}

enum State<F, T> {
    Waiting(F),
    Running,
    Ended(Outcome<T>),
    Collected,
}

struct Inner<F, T> {
    state: State<F, T>,
    waker: Option<Waker>,
}

/// A closure and its outcome, shared between the registry (as [`Task`]) and the handle (as [`Ticket`]): one allocation a
/// callback.
pub(crate) struct Job<F, T> {
    inner: Mutex<Inner<F, T>>,
    ended: Condvar,
}

/// The side that runs the closure.
pub(crate) trait Task: Send + Sync {
    /// Runs the closure and keeps what it returns, or its panic. Does nothing if it ran or was abandoned before.
    fn run(&self);
    /// Drops the closure unrun. Does nothing if it ran before.
    fn abandon(&self);
}

/// The side that waits for it.
pub(crate) trait Ticket<T>: Send + Sync {
    /// Waits for the outcome; `None` when `timeout` is over first.
    fn collect(&self, timeout: Option<Duration>) -> Option<Outcome<T>>;
    /// Takes the outcome if there is one; otherwise keeps the waker for when there is.
    fn poll_collect(&self, waker: &Waker) -> Option<Outcome<T>>;
    /// Whether the callback has ended.
    fn has_ended(&self) -> bool;
}

impl<F, T> Job<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    pub(crate) fn new(closure: F) -> Self {
        Job {
            inner: Mutex::new(Inner { state: State::Waiting(closure), waker: None }),
            ended: Condvar::new(),
        }
    }

    /// The closure, if it has not been started or dropped yet.
    fn start(&self) -> Option<F> {
        let mut inner = lock(&self.inner);
        match std::mem::replace(&mut inner.state, State::Running) {
            State::Waiting(closure) => Some(closure),
            other => {
                inner.state = other;
                None
            }
        }
    }

    fn end(&self, outcome: Outcome<T>) {
        let waker = {
            let mut inner = lock(&self.inner);
            inner.state = State::Ended(outcome);
            inner.waker.take()
        };
        self.ended.notify_all();
        // Outside the lock: a waker may poll at once. It is code of the program: should it panic, that must not keep others waiting.
        if let Some(waker) = waker {
            guarded(|| waker.wake());
        }
    }
}

impl<F, T> Task for Job<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn run(&self) {
        if let Some(closure) = self.start() {
            // The closure is gone when it panics, and its captures are not seen again: nothing broken can be observed.
            match catch_unwind(AssertUnwindSafe(closure)) {
                Ok(value) => self.end(Outcome::Returned(value)),
                Err(payload) => self.end(Outcome::Panicked(message(payload))),
            }
        }
    }

    fn abandon(&self) {
        if let Some(closure) = self.start() {
            // A capture whose destructor panics must not keep the waiters waiting, nor unwind into the caller.
            guarded(|| drop(closure));
            self.end(Outcome::Abandoned);
        }
    }
}

/// Keeps a panic from going on.
fn guarded(action: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(action)) {
        // Dropping a panic's payload may panic again.
        std::mem::forget(payload);
    }
}

/// What a panic says. Its payload ends here: it is any value, whose destructor may panic.
fn message(payload: Box<dyn Any + Send>) -> String {
    let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "not a message".to_owned(),
    };
    guarded(|| drop(payload));
    message
}

impl<F, T> Inner<F, T> {
    fn collect(&mut self) -> Option<Outcome<T>> {
        match std::mem::replace(&mut self.state, State::Collected) {
            State::Ended(outcome) => Some(outcome),
            other => {
                self.state = other;
                None
            }
        }
    }
}

impl<F, T> Ticket<T> for Job<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn collect(&self, timeout: Option<Duration>) -> Option<Outcome<T>> {
        let mut inner = lock(&self.inner);
        #[cfg(not(loom))]
        if let Some(timeout) = timeout {
            let deadline = std::time::Instant::now().checked_add(timeout);
            loop {
                if let Some(outcome) = inner.collect() {
                    return Some(outcome);
                }
                // A deadline beyond what the clock can express is none.
                let Some(deadline) = deadline else { break };
                let left = deadline.checked_duration_since(std::time::Instant::now())?;
                inner = self.ended.wait_timeout(inner, left).unwrap_or_else(|e| e.into_inner()).0;
            }
        }
        let _ = timeout;
        loop {
            if let Some(outcome) = inner.collect() {
                return Some(outcome);
            }
            inner = wait(&self.ended, inner);
        }
    }

    fn poll_collect(&self, waker: &Waker) -> Option<Outcome<T>> {
        let mut inner = lock(&self.inner);
        let outcome = inner.collect();
        if outcome.is_some() || inner.waker.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            return outcome;
        }
        drop(inner);
        // Cloning a waker and dropping one runs code of the program, which may wait for this very callback: not under the lock.
        let mut other = Some(waker.clone());
        let mut inner = lock(&self.inner);
        let outcome = inner.collect();
        if outcome.is_none() {
            std::mem::swap(&mut inner.waker, &mut other);
        }
        drop(inner);
        drop(other);
        outcome
    }

    fn has_ended(&self) -> bool {
        matches!(lock(&self.inner).state, State::Ended(_) | State::Collected)
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    use std::task::Wake;

    #[test]
    fn run_twice_and_abandon_race_but_the_closure_goes_once() {
        loom::model(|| {
            let count = Arc::new(AtomicUsize::new(0));
            let job = Arc::new(Job::new({
                let count = count.clone();
                move || count.fetch_add(1, Ordering::SeqCst)
            }));
            let runner = {
                let job = job.clone();
                loom::thread::spawn(move || job.run())
            };
            let second = {
                let job = job.clone();
                loom::thread::spawn(move || job.abandon())
            };
            let outcome = job.collect(None).expect("no timeout was set");
            runner.join().unwrap();
            second.join().unwrap();
            match outcome {
                Outcome::Returned(_) => assert_eq!(count.load(Ordering::SeqCst), 1),
                Outcome::Abandoned => assert_eq!(count.load(Ordering::SeqCst), 0),
                Outcome::Panicked(_) => unreachable!(),
            }
        });
    }

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_future_is_woken_whenever_it_had_to_wait() {
        loom::model(|| {
            let job = Arc::new(Job::new(|| 5));
            let wakes = Arc::new(Count(AtomicUsize::new(0)));
            let runner = {
                let job = job.clone();
                loom::thread::spawn(move || job.run())
            };
            let ready = job.poll_collect(&Waker::from(wakes.clone())).is_some();
            runner.join().unwrap();
            if !ready {
                assert_eq!(wakes.0.load(Ordering::SeqCst), 1, "woken exactly once");
                assert!(job.has_ended() && job.collect(None).is_some());
            }
        });
    }
}
