//! A stream's turn on a pool thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError};

use super::super::task::{Queued, Task};
use super::super::wait::Waitable;
use super::super::{clock, executor, seeded, timer, value};
use super::{Failure, Run, Signal, State, Stream};
use crate::check::fault::TaskFault;
use crate::error::{self, fail};
use crate::{check, memory};

/// What the stream does next.
enum Step {
    Run(Queued),
    /// A wait is over.
    Resume(Queued, Signal),
    /// The turn is over.
    End,
    /// The turn is over, but there is more to do.
    Yield,
}

/// What became of a task.
enum Outcome {
    Done(Result<(), aclError>),
    /// It waits; the stream is parked and not ours any more.
    Parked,
}

impl Stream {
    /// Runs tasks until there are none, one has to wait, or `budget` of them have run and others should have their turn.
    pub(in crate::core) fn turn(self: Arc<Self>, budget: usize) {
        let mut step = self.begin();
        for left in (0..budget).rev() {
            let (operation, slots, traces, outcome) = match step {
                Step::End => return,
                Step::Yield => return executor::schedule(self),
                Step::Run(mut queued) => {
                    let (operation, slots) = (queued.task.operation(), queued.task.slots());
                    check::task_begin(&self, operation, &mut queued.origin);
                    (operation, slots, queued.origin.traces(), self.run_task(queued))
                }
                Step::Resume(Queued { task, origin, .. }, signal) => {
                    clock::go_to(self.time());
                    let result = self.resume(&task, signal);
                    (task.operation(), task.slots(), origin.traces(), Outcome::Done(result))
                }
            };
            let Outcome::Done(result) = outcome else { return };
            check::task_end(&self, operation, traces, result);
            step = self.finish(operation, slots, result, left == 0);
        }
        if let Step::Yield = step {
            executor::schedule(self);
        }
    }

    fn begin(&self) -> Step {
        let mut state = self.state.lock();
        debug_assert_eq!(state.run, Run::Ready);
        state.run = Run::Running;
        if let Some(task) = state.current.take() {
            let signal = state.take_signal().unwrap_or(Signal::Cancelled);
            return Step::Resume(task, signal);
        }
        self.next(&mut state, false)
    }

    fn next(&self, state: &mut State, exhausted: bool) -> Step {
        if state.queue.is_empty() || state.stopped {
            state.run = Run::Idle;
            self.changed.notify_all();
            Step::End
        } else if exhausted {
            state.run = Run::Ready;
            Step::Yield
        } else {
            state.queue.pop_front().map_or(Step::End, Step::Run)
        }
    }

    /// Notes the end of a task and picks the next one.
    fn finish(
        &self,
        operation: &'static str,
        slots: usize,
        result: Result<(), aclError>,
        exhausted: bool,
    ) -> Step {
        // Texts that the task left on this thread belong to whoever synchronises.
        let text = error::take_text();
        let mut state = self.state.lock();
        state.cancelled = false;
        state.slots -= slots;
        state.completed += 1;
        if let Err(code) = result {
            log::debug!("stream {}: {operation} failed with {code}", self.id);
            // A later error replaces an earlier one nobody asked for.
            state.failure = Some(Failure { code, text });
            drop(state);
            self.shared.failed(code);
            state = self.state.lock();
        }
        if state.completed >= state.wake_at {
            state.wake_at = u64::MAX;
            self.changed.notify_all();
        }
        self.next(&mut state, exhausted)
    }

    fn run_task(self: &Arc<Self>, queued: Queued) -> Outcome {
        match &queued.task {
            Task::Wait { .. } => self.run_wait(queued),
            Task::Callback(_) => self.run_callback(queued),
            Task::Record { event, number } => {
                event.reached_by(self, *number);
                event.complete(*number);
                Outcome::Done(Ok(()))
            }
            Task::Reset { event } => {
                event.lower();
                Outcome::Done(Ok(()))
            }
            Task::Copy(transfer) => Outcome::Done(guarded("copy", || transfer.run())),
            Task::Set { place, byte } => Outcome::Done(guarded("memset", || memory::fill(place, *byte))),
            Task::Kernel(task) => Outcome::Done(guarded("kernel", || task.run(self))),
            Task::Write { range, value } => {
                Outcome::Done(guarded("value write", || value::write(range, *value)))
            }
            Task::Work { operation, work } => Outcome::Done(guarded(operation, &**work)),
        }
    }

    fn run_wait(self: &Arc<Self>, queued: Queued) -> Outcome {
        let Task::Wait { on, key, timeout } = &queued.task else { return Outcome::Done(Ok(())) };
        if on.passed(*key) {
            return Outcome::Done(self.wait_passed(&**on, *key));
        }
        let ticket = self.draw_ticket();
        if on.pass_or_enlist(*key, self, ticket) {
            self.disarm();
            return Outcome::Done(self.wait_passed(&**on, *key));
        }
        if let Some(timeout) = *timeout {
            timer::add(timeout, Arc::downgrade(self), ticket);
        }
        self.park(queued)
    }

    fn wait_passed(&self, on: &dyn Waitable, key: u64) -> Result<(), aclError> {
        check::learns(self, on.mark(), key);
        on.over(key)
    }

    fn run_callback(self: &Arc<Self>, queued: Queued) -> Outcome {
        let Task::Callback(launch) = &queued.task else { return Outcome::Done(Ok(())) };
        if self.state.lock().skip_callbacks {
            return Outcome::Done(Ok(()));
        }
        let blocking = launch.is_blocking();
        let answer = blocking.then(|| (Arc::clone(self), self.draw_ticket()));
        let knowledge = check::asks(self);
        match queued.fault {
            Some(TaskFault::Lose) => {}
            Some(TaskFault::Delay(by)) => launch.post_late(by, answer, knowledge),
            Some(TaskFault::Duplicate) => {
                launch.post(None, knowledge.clone());
                launch.post(answer, knowledge);
            }
            _ => launch.post(answer, knowledge),
        }
        if blocking { self.park(queued) } else { Outcome::Done(Ok(())) }
    }

    /// The end of a wait.
    fn resume(self: &Arc<Self>, task: &Task, signal: Signal) -> Result<(), aclError> {
        let Task::Wait { on, key, timeout } = task else {
            check::is_answered(self);
            return Ok(());
        };
        if signal == Signal::Woken {
            return self.wait_passed(&**on, *key);
        }
        let ticket = self.state.lock().ticket;
        on.delist(self, ticket);
        let _ = on.over(*key);
        if signal == Signal::TimedOut {
            clock::spend(timeout.unwrap_or_default().as_nanos() as u64);
            return Err(fail(
                sys::ACL_ERROR_RT_WAIT_TIMEOUT,
                format_args!("stream {} waited {:?} for {}", self.id, timeout.unwrap_or_default(), on.what()),
            ));
        }
        Ok(())
    }

    /// Starts a wait: from here on signals with this ticket count.
    fn draw_ticket(&self) -> u64 {
        let mut state = self.state.lock();
        state.ticket += 1;
        state.armed = true;
        state.signal = None;
        state.ticket
    }

    fn disarm(&self) {
        self.state.lock().take_signal();
    }

    /// Leaves the pool thread until there is a signal; goes on at once if there has been one.
    fn park(self: &Arc<Self>, queued: Queued) -> Outcome {
        let mut state = self.state.lock();
        // The stream may have been told to skip callbacks after this one was posted and before it is seen to wait.
        let skipped = state.skip_callbacks && matches!(queued.task, Task::Callback(_));
        let signal = if state.cancelled || skipped { Some(Signal::Cancelled) } else { state.signal };
        match signal {
            None => {
                check::task_parks(self);
                state.current = Some(queued);
                state.run = Run::Parked;
                self.changed.notify_all();
                Outcome::Parked
            }
            Some(Signal::Woken) if seeded::is_on() => {
                // The callback was faster than this thread. In a run with a seed that must make no difference.
                check::task_parks(self);
                state.current = Some(queued);
                state.run = Run::Ready;
                drop(state);
                executor::schedule(Arc::clone(self));
                Outcome::Parked
            }
            Some(signal) => {
                state.take_signal();
                drop(state);
                Outcome::Done(self.resume(&queued.task, signal))
            }
        }
    }

    /// Tells a stream that waits with `ticket` to go on. False, and ignored, if it does not.
    pub(in crate::core) fn signal(self: &Arc<Self>, ticket: u64, signal: Signal) -> bool {
        let mut state = self.state.lock();
        if !state.armed || state.ticket != ticket || state.signal.is_some() {
            return false;
        }
        state.signal = Some(signal);
        if state.run == Run::Parked {
            state.run = Run::Ready;
            drop(state);
            executor::schedule(Arc::clone(self));
        }
        true
    }
}

impl State {
    pub(super) fn take_signal(&mut self) -> Option<Signal> {
        self.armed = false;
        self.signal.take()
    }
}

/// Runs a task's work; a panic in it becomes an error of the stream.
fn guarded(operation: &'static str, work: impl FnOnce() -> Result<(), aclError>) -> Result<(), aclError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let what = crate::abi::panic_text(&*panic);
        log::error!("panic in {operation}: {what}");
        Err(fail(sys::ACL_ERROR_RT_INTERNAL_ERROR, format_args!("{operation} panicked: {what}")))
    })
}
