//! A stream's turn on a pool thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, MutexGuard};

use ascendcl_sys::{self as sys, aclError};

use super::super::task::{Queued, Task};
use super::super::wait::Waitable;
use super::super::{clock, executor, seeded, timer, value};
use super::{Failure, Run, Signal, State, Stream};
use crate::check::fault::TaskFault;
use crate::error::{self, fail};
use crate::{check, memory};

/// What the stream does next.
pub(super) enum Step {
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

/// What a task was that is done.
pub(super) struct Done {
    operation: &'static str,
    slots: usize,
    result: Result<(), aclError>,
}

impl Stream {
    /// Runs tasks until there are none, one has to wait, or `budget` of them have run and others should have their turn.
    pub(in crate::core) fn turn(self: Arc<Self>, budget: usize) {
        let mut step = self.begin();
        for left in (0..budget).rev() {
            let done = match step {
                Step::End => return,
                Step::Yield => return executor::schedule(self),
                Step::Run(queued) => self.carry_out(queued),
                Step::Resume(queued, signal) => Some(self.carry_on(&queued, signal)),
            };
            let Some(done) = done else { return };
            step = self.finish(done, left == 0);
        }
        if let Step::Yield = step {
            executor::schedule(self);
        }
    }

    /// Runs a task; nothing if it waits.
    #[inline]
    pub(super) fn carry_out(self: &Arc<Self>, mut queued: Queued) -> Option<Done> {
        let (operation, slots) = (queued.task.operation(), queued.task.slots());
        if queued.task.may_take_long() && self.progress.is_awaited() {
            let state = self.state.lock();
            self.tell_waiting(state);
        }
        check::task_begin(self, operation, &mut queued.origin);
        let traces = queued.origin.traces();
        let Outcome::Done(result) = self.run_task(queued) else { return None };
        check::task_end(self, operation, traces, result);
        Some(Done { operation, slots, result })
    }

    /// Ends a task that waited.
    pub(super) fn carry_on(self: &Arc<Self>, Queued { task, origin, .. }: &Queued, signal: Signal) -> Done {
        clock::go_to(self.time());
        let (operation, slots) = (task.operation(), task.slots());
        let result = self.resume(task, signal);
        check::task_end(self, operation, origin.traces(), result);
        Done { operation, slots, result }
    }

    fn begin(&self) -> Step {
        let mut state = self.state.lock();
        // A thread of the program may have been faster.
        if state.run == Run::Ready { self.begin_with(&mut state) } else { Step::End }
    }

    /// Begins the turn of a stream that is ready.
    pub(super) fn begin_with(&self, state: &mut State) -> Step {
        debug_assert_eq!(state.run, Run::Ready);
        state.run = Run::Running;
        if let Some(task) = state.current.take() {
            let signal = state.take_signal().unwrap_or(Signal::Cancelled);
            return Step::Resume(task, signal);
        }
        self.next(state, false)
    }

    /// What is next once all is done that was claimed: only turns claim, and this is the only one.
    fn next_unclaimed(&self, state: &mut State) -> Step {
        if !state.queue.is_empty() {
            return self.next(state, false);
        }
        state.run = Run::Idle;
        self.changed.notify_all();
        Step::End
    }

    fn next(&self, state: &mut State, exhausted: bool) -> Step {
        let mut claimed = self.claimed.lock();
        if claimed.is_empty() && !state.stopped {
            // It is filled from its beginning again: a stream that has few tasks at a time uses no more memory than for those.
            claimed.clear();
            std::mem::swap(&mut *claimed, &mut state.queue);
        }
        if claimed.is_empty() {
            state.run = Run::Idle;
            self.changed.notify_all();
            Step::End
        } else if exhausted {
            state.run = Run::Ready;
            Step::Yield
        } else {
            claimed.pop_front().map_or(Step::End, Step::Run)
        }
    }

    /// Notes the end of a task and picks the next one.
    #[inline]
    pub(super) fn finish(&self, Done { operation, slots, result }: Done, exhausted: bool) -> Step {
        // Texts that the task left on this thread belong to whoever synchronises.
        let text = error::take_text();
        if let Err(code) = result {
            log::debug!("stream {}: {operation} failed with {code}", self.id);
            // A later error replaces an earlier one nobody asked for.
            self.state.lock().failure = Some(Failure { code, text });
            self.shared.failed(code);
        }
        if self.progress.completed_one(slots) {
            let state = self.state.lock();
            self.tell_waiting(state);
        }
        if !exhausted && let Some(queued) = self.claimed.lock().pop_front() {
            // Had the queue been thrown away meanwhile, nothing were left here.
            return Step::Run(queued);
        }
        let mut state = self.state.lock();
        while !state.abandoned.is_empty() {
            let abandoned = std::mem::take(&mut state.abandoned);
            drop(state);
            abandoned.into_iter().for_each(Task::abandon);
            state = self.state.lock();
        }
        state.cancelled = false;
        if exhausted { self.next(&mut state, true) } else { self.next_unclaimed(&mut state) }
    }

    /// Threads that wait for something of this stream look again.
    pub(super) fn tell_waiting(&self, state: MutexGuard<'_, State>) {
        self.progress.forget_waiting();
        self.changed.notify_all();
        drop(state);
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
        match queued.fault.as_deref().copied() {
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
        if !state.awaits(ticket) {
            return false;
        }
        if state.take_up(ticket, signal) {
            drop(state);
            executor::schedule(Arc::clone(self));
        }
        true
    }
}

impl State {
    /// Whether a signal with `ticket` is still to come.
    fn awaits(&self, ticket: u64) -> bool {
        self.armed && self.ticket == ticket && self.signal.is_none()
    }

    /// Leaves a signal, if it is [awaited](Self::awaits). True if the stream was parked, and the caller has to give it a turn.
    pub(super) fn take_up(&mut self, ticket: u64, signal: Signal) -> bool {
        if !self.awaits(ticket) {
            return false;
        }
        self.signal = Some(signal);
        let parked = self.run == Run::Parked;
        if parked {
            self.run = Run::Ready;
        }
        parked
    }

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
