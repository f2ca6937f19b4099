//! A thread that waits for a stream runs its tasks itself if nobody else does: that is faster than to wake another thread and to be woken. So does one
//! that waits for the report of a callback, and one that a stream waits for: it ends the callback that it has run.
//!
//! It runs what is short and calls nothing of the program. All else is left to the pool, whose threads have deep stacks and none of the
//! program's locks.

use std::cell::Cell;
use std::sync::Arc;

use super::super::task::Task;
use super::super::{exceptions, executor, seeded};
use super::turn::Step;
use super::{Run, Signal, Stream};
use crate::error;

/// How often a thread looks whether a pool thread is done before it sleeps: some ten microseconds.
const LOOKS: usize = 128;

thread_local! {
    /// Whether this thread helps: what it runs must not do so in turn.
    static HELPING: Cell<bool> = const { Cell::new(false) };
}

impl Stream {
    /// Runs tasks of this stream until so many are done, or somebody else has to go on.
    pub(super) fn help(self: &Arc<Self>, target: u64) {
        if !may_help() {
            return;
        }
        let is_wanted = |task: &Task| task.is_plain() && !self.progress.has_reached(target);
        helping(|| self.help_apart(is_wanted, || self.progress.has_reached(target)));
        for _ in 0..LOOKS {
            if self.progress.has_reached(target) {
                return;
            }
            std::hint::spin_loop();
        }
    }

    /// Runs what stands before the next callback, and posts that, if it is there in no time: the calling thread waits for reports until a time.
    pub(in crate::core) fn bring_report(self: &Arc<Self>) {
        if !may_help() {
            return;
        }
        let posted = Cell::new(false);
        let is_wanted = |task: &Task| {
            posted.set(matches!(task, Task::Callback(_)));
            task.is_instant()
        };
        helping(|| self.help_apart(is_wanted, || posted.get()));
    }

    /// The callback that this stream waits for with `ticket` has returned on the calling thread. What comes next is left to others.
    pub(in crate::core) fn answer(self: &Arc<Self>, ticket: u64) {
        if !may_help() {
            self.signal(ticket, Signal::Woken);
            return;
        }
        let step = {
            let mut state = self.state.lock();
            if !state.take_up(ticket, Signal::Woken) {
                return;
            }
            self.begin_with(&mut state)
        };
        let Step::Resume(queued, signal) = step else { return };
        helping(|| {
            let done = self.carry_on(&queued, signal);
            if let Step::Yield = self.finish(done, true) {
                executor::schedule(Arc::clone(self));
            }
        });
    }

    /// Runs tasks that are wanted until it is enough.
    fn help_apart(self: &Arc<Self>, is_wanted: impl Fn(&Task) -> bool, is_enough: impl Fn() -> bool) {
        let mut step = {
            let mut state = self.state.lock();
            if state.run != Run::Ready || state.current.is_some() {
                return;
            }
            // The executor finds it running, or at rest, when its turn comes there.
            self.begin_with(&mut state)
        };
        loop {
            step = match step {
                Step::Run(queued) if is_wanted(&queued.task) => {
                    let Some(done) = self.carry_out(queued) else { return };
                    self.finish(done, is_enough())
                }
                Step::Run(queued) => {
                    let mut state = self.state.lock();
                    self.unclaim(&mut state);
                    state.queue.push_front(queued);
                    state.run = Run::Ready;
                    Step::Yield
                }
                Step::Resume(..) | Step::End => return,
                Step::Yield => return executor::schedule(Arc::clone(self)),
            };
        }
    }
}

/// With a seed the order is drawn, not who comes first. A program that is told of failed tasks is told on another thread.
fn may_help() -> bool {
    !(seeded::is_on() || executor::is_pool_thread() || HELPING.get() || exceptions::are_told())
}

fn helping(work: impl FnOnce()) {
    HELPING.set(true);
    error::apart(work);
    HELPING.set(false);
}
