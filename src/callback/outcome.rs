//! One callback: its closure until it runs, then what came of it. Runs at most once, and everybody who waits learns how it
//! ended. Knows no ACL, so that loom can check it.

use crate::{
    limbo::keep_for_ever,
    process::{in_forked_child, is_over},
    quiet::{discard, guarded},
    sync::{Condvar, Mutex, lock, wait},
};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Waker,
    time::Duration,
};

/// Why a callback will not run.
#[cfg(not(loom))]
pub(crate) type Cause = std::sync::Arc<crate::Error>;
#[cfg(loom)]
pub(crate) type Cause = std::sync::Arc<&'static str>;

/// How a callback ended.
pub(crate) enum Outcome<T> {
    Returned(T),
    /// With the panic's message.
    Panicked(String),
    /// With the failure that ended its stream, if there was one.
    Abandoned(Option<Cause>),
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
    /// How many threads wait: telling nobody is a system call too.
    waiting: usize,
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
    fn abandon(&self, cause: Option<&Cause>);
    /// Wakes who waits, so that they see that the process exits.
    #[cfg(not(loom))]
    fn nudge(&self);
}

/// The side that waits for it.
pub(crate) trait Ticket<T>: Send + Sync {
    /// Waits for the outcome; `None` when `timeout` is over first, or the process exits.
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
            inner: Mutex::new(Inner { state: State::Waiting(closure), waker: None, waiting: 0 }),
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
        let (waker, waiting) = {
            let mut inner = lock(&self.inner);
            inner.state = State::Ended(outcome);
            (inner.waker.take(), inner.waiting > 0)
        };
        if waiting {
            self.ended.notify_all();
        }
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
            let result = catch_unwind(AssertUnwindSafe(closure));
            // The child of a fork inside the closure: nobody waits there, and the lock may be held for ever.
            if in_forked_child() {
                return keep_for_ever(result);
            }
            match result {
                Ok(value) => self.end(Outcome::Returned(value)),
                Err(payload) => self.end(Outcome::Panicked(message(payload))),
            }
        }
    }

    fn abandon(&self, cause: Option<&Cause>) {
        if let Some(closure) = self.start() {
            // A capture whose destructor panics must not keep the waiters waiting, nor unwind into the caller.
            guarded(|| drop(closure));
            self.end(Outcome::Abandoned(cause.cloned()));
        }
    }

    #[cfg(not(loom))]
    fn nudge(&self) {
        let waker = crate::sync::lock_soon(&self.inner).and_then(|mut inner| inner.waker.take());
        self.ended.notify_all();
        if let Some(waker) = waker {
            guarded(|| waker.wake());
        }
    }
}

/// What a panic says. Its payload ends here: it is any value, whose destructor may panic.
fn message(payload: Box<dyn Any + Send>) -> String {
    let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "not a message".to_owned(),
    };
    discard(payload);
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
                if is_over() {
                    return None;
                }
                // A deadline beyond what the clock can express is none.
                let Some(deadline) = deadline else { break };
                let left = deadline.checked_duration_since(std::time::Instant::now())?;
                inner.waiting += 1;
                inner = self.ended.wait_timeout(inner, left).unwrap_or_else(|e| e.into_inner()).0;
                inner.waiting -= 1;
            }
        }
        let _ = timeout;
        loop {
            if let Some(outcome) = inner.collect() {
                return Some(outcome);
            }
            if is_over() {
                return None;
            }
            inner.waiting += 1;
            inner = wait(&self.ended, inner);
            inner.waiting -= 1;
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
    use crate::sync::explore;
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
                loom::thread::spawn(move || job.abandon(None))
            };
            let outcome = job.collect(None).expect("no timeout was set");
            runner.join().unwrap();
            second.join().unwrap();
            match outcome {
                Outcome::Returned(_) => assert_eq!(count.load(Ordering::SeqCst), 1),
                Outcome::Abandoned(_) => assert_eq!(count.load(Ordering::SeqCst), 0),
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

    fn waker() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        (count.clone(), Waker::from(count))
    }

    /// Polled with one waker, then sent to another thread and polled with another, while the closure runs.
    #[test]
    fn a_future_that_changes_its_thread_wakes_the_last_who_polled() {
        explore(3, || {
            let job = Arc::new(Job::new(|| 5));
            let runner = {
                let job = job.clone();
                loom::thread::spawn(move || job.run())
            };
            let (first, first_waker) = waker();
            if job.poll_collect(&first_waker).is_none() {
                let poller = {
                    let job = job.clone();
                    loom::thread::spawn(move || {
                        let (second, second_waker) = waker();
                        let ready = job.poll_collect(&second_waker).is_some();
                        (ready, second)
                    })
                };
                let (ready, second) = poller.join().unwrap();
                runner.join().unwrap();
                let (first, second) = (first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst));
                assert!(first <= 1 && second <= 1);
                assert_eq!(second, usize::from(!ready), "who was told to wait is woken");
                if !ready {
                    assert!(job.has_ended() && job.collect(None).is_some());
                }
            } else {
                runner.join().unwrap();
            }
        });
    }

    /// A waker may poll at once, on the thread that wakes.
    #[test]
    fn a_waker_that_polls_finds_the_outcome() {
        struct Poll(std::sync::Mutex<Option<Arc<dyn Ticket<u32>>>>, AtomicUsize);
        impl Wake for Poll {
            fn wake(self: Arc<Self>) {
                let ticket = self.0.lock().unwrap().take().expect("woken once");
                assert!(ticket.poll_collect(Waker::noop()).is_some(), "woken for nothing");
                self.1.fetch_add(1, Ordering::SeqCst);
            }
        }
        explore(3, || {
            let job = Arc::new(Job::new(|| 5_u32));
            let poll = Arc::new(Poll(std::sync::Mutex::new(Some(job.clone())), AtomicUsize::new(0)));
            let runner = {
                let job = job.clone();
                loom::thread::spawn(move || job.run())
            };
            let ready = job.poll_collect(&Waker::from(poll.clone())).is_some();
            runner.join().unwrap();
            assert_eq!(poll.1.load(Ordering::SeqCst), usize::from(!ready));
        });
    }

    /// Says when it is dropped.
    struct Dropped(Arc<crate::sync::AtomicUsize>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The future goes while its closure returns: the value and the waker are dropped, once.
    #[test]
    fn a_future_is_dropped_while_it_completes() {
        explore(3, || {
            let dropped = Arc::new(crate::sync::AtomicUsize::new(0));
            let job = Arc::new(Job::new({
                let dropped = dropped.clone();
                move || Dropped(dropped)
            }));
            let runner = {
                let task = job.clone();
                loom::thread::spawn(move || task.run())
            };
            let (count, waker) = waker();
            let ready = job.poll_collect(&waker);
            drop((waker, job));
            drop(ready);
            runner.join().unwrap();
            assert_eq!(dropped.load(Ordering::SeqCst), 1);
            assert_eq!(Arc::strong_count(&count), 1, "the waker is gone");
        });
    }

    /// The closure is dropped unrun while another thread polls: what it captured is gone when the outcome is seen.
    #[test]
    fn a_closure_is_abandoned_while_its_future_is_polled() {
        explore(3, || {
            let dropped = Arc::new(crate::sync::AtomicUsize::new(0));
            let job = Arc::new(Job::new({
                let capture = Dropped(dropped.clone());
                move || drop(capture)
            }));
            let abandoner = {
                let job = job.clone();
                loom::thread::spawn(move || job.abandon(None))
            };
            let (count, waker) = waker();
            let ready = job.poll_collect(&waker);
            if let Some(outcome) = &ready {
                assert!(matches!(outcome, Outcome::Abandoned(_)));
                assert_eq!(dropped.load(Ordering::SeqCst), 1);
            }
            abandoner.join().unwrap();
            assert_eq!(dropped.load(Ordering::SeqCst), 1);
            assert_eq!(count.0.load(Ordering::SeqCst), usize::from(ready.is_none()));
        });
    }
}
