//! One wait at a time: ACL gives the error of a task to one wait, and another that is over earlier would know nothing of it.
//!
//! Who waits takes the turn, waits, makes known what came of it, and gives the turn back. Whoever has it next finds that known. Nobody is held
//! up for longer by that: the wait of an earlier turn covers no more than that of a later one.

use crate::sync::{Condvar, Mutex, lock, wait_for};
use std::time::{Duration, Instant};

/// How long a wait that is over may take to tell what came of it.
pub(crate) const TELLING: Duration = Duration::from_millis(10);

#[derive(Default)]
pub(crate) struct Turns {
    state: Mutex<State>,
    free: Condvar,
}

#[derive(Default)]
struct State {
    taken: bool,
    /// How many wait for it: to wake nobody costs a system call.
    waiting: usize,
}

/// Given back when dropped.
#[must_use]
pub(crate) struct Turn<'a>(&'a Turns);

impl Turns {
    /// The turn, as soon as it is free; `None` if it is not within `timeout`.
    pub(crate) fn take(&self, timeout: Option<Duration>) -> Option<Turn<'_>> {
        let mut state = lock(&self.state);
        if state.taken {
            // What is beyond the clock is for ever.
            let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
            state.waiting += 1;
            while state.taken {
                let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                if left == Some(Duration::ZERO) {
                    state.waiting -= 1;
                    return None;
                }
                state = wait_for(&self.free, state, left);
            }
            state.waiting -= 1;
        }
        state.taken = true;
        Some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.taken = false;
        if state.waiting > 0 {
            self.0.free.notify_one();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_taken_once_and_waited_for_no_longer_than_allowed() {
        let turns = Turns::default();
        let turn = turns.take(None);
        assert!(turn.is_some());
        assert!(turns.take(Some(Duration::ZERO)).is_none());
        assert!(turns.take(Some(Duration::from_millis(5))).is_none());
        std::thread::scope(|scope| {
            let forever = scope.spawn(|| turns.take(Some(Duration::MAX)).is_some());
            drop(turn);
            assert!(forever.join().unwrap());
        });
        assert!(turns.take(Some(Duration::ZERO)).is_some(), "given back by that thread");
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::{
        sync::{AtomicBool, Ordering, explore},
        work::Work,
    };
    use loom::thread;
    use std::sync::Arc;

    /// A task has failed, ACL tells it to one of three, and all know of it.
    #[test]
    fn everybody_hears_of_a_failure_that_is_told_once() {
        explore(3, || {
            let turns = Arc::new(Turns::default());
            let work = Arc::new(Work::<(), ()>::new(1));
            let failed = Arc::new(AtomicBool::new(true));
            let wait = |turns: &Turns, work: &Work<(), ()>, failed: &AtomicBool| {
                let turn = turns.take(None);
                let wait = work.begin_wait();
                match failed.swap(false, Ordering::SeqCst) {
                    true => work.failed(wait),
                    false => work.waited(wait),
                }
                let knows = work.is_poisoned();
                drop(turn);
                knows
            };
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let (turns, work, failed) = (turns.clone(), work.clone(), failed.clone());
                    thread::spawn(move || wait(&turns, &work, &failed))
                })
                .collect();
            assert!(wait(&turns, &work, &failed));
            assert!(others.into_iter().all(|other| other.join().unwrap()));
        });
    }
}
