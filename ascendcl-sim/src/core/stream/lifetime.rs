//! How streams begin and end.

use core::ffi::c_void;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use ascendcl_sys::{self as sys, aclError};

use super::super::context::Shared;
use super::super::limits::CoreLimits;
use super::super::task::{Queued, Task};
use super::super::{Device, report};
use super::attributes::Attributes;
use super::attributes::HOLDING;
use super::progress::{Progress, Submitted};
use super::{Intake, Options, Owner, Run, STREAMS, State, Stream, Subscription};
use crate::check::Trail;
use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::lock::{Apart, Condvar, Mutex};

/// How long a torn-down stream may be stuck in a wait while nothing else moves, before its tasks are thrown away.
const PATIENCE: Duration = Duration::from_millis(500);

impl Stream {
    /// Makes a stream and gives it with its handle. Default streams belong to their context and are not the program's to destroy.
    pub(in crate::core) fn create(
        device: &Arc<Device>,
        shared: &Arc<Shared>,
        options: Options,
        owner: Owner,
    ) -> Result<(Arc<Self>, *mut c_void), aclError> {
        let exhausted = || {
            fail(
                sys::ACL_ERROR_RT_NO_STREAM_RESOURCE,
                format_args!("all {} streams of device {} are in use", device.profile().streams, device.id()),
            )
        };
        let id = device.streams().take().ok_or_else(exhausted)?;
        let stream = Arc::new(Self {
            id: id as i32,
            options,
            device: Arc::clone(device),
            shared: Arc::clone(shared),
            is_default: owner == Owner::Context,
            intake: Intake::new(owner == Owner::Instance || options.flags & HOLDING != 0),
            attributes: Attributes::new(options),
            core_limits: CoreLimits::new(),
            trail: Trail::new(id as i32),
            time: AtomicU64::new(0),
            state: Mutex::new(State {
                queue: VecDeque::new(),
                run: Run::Idle,
                current: None,
                ticket: 0,
                armed: false,
                signal: None,
                cancelled: false,
                abandoned: Vec::new(),
                submitted: Submitted::default(),
                failure: None,
                stops_on_failure: false,
                closed: false,
                skip_callbacks: false,
                stopped: false,
                aborting: 0,
                aborts: 0,
                abort_code: crate::error::SUCCESS,
                subscription: Subscription::None,
            }),
            claimed: Apart::default(),
            progress: Progress::default(),
            changed: Condvar::new(),
        });
        let registration = (owner == Owner::Program)
            .then(|| register(LiveKind::Stream, format!("id {id} on device {}", device.id())));
        match STREAMS.insert_with(registration, |_| Arc::clone(&stream)) {
            Some(handle) => Ok((stream, handle)),
            None => {
                device.streams().give(id);
                Err(exhausted())
            }
        }
    }

    /// Takes no more tasks, waits for those it has, and ends. The caller has taken the handle out of the table.
    pub(in crate::core) fn destroy(self: &Arc<Self>) {
        self.close();
        self.wait_for_rest(None);
        self.end();
    }

    /// Throws the queue away, waits only for the task that is running, and ends. The caller has taken the handle out of the table.
    pub(in crate::core) fn destroy_force(self: &Arc<Self>) {
        self.close();
        self.discard();
        self.wait_for_rest(None);
        self.end();
    }

    /// Ends the streams of a context that goes away. Their work is done first, except callbacks, which nobody need serve any
    /// more, and waits that nothing will satisfy; with `force` nothing but the running tasks is waited for.
    pub(in crate::core) fn tear_down(streams: &[Arc<Self>], force: bool) {
        for stream in streams {
            stream.close();
            if force {
                stream.discard();
            } else {
                stream.skip_callbacks();
            }
        }
        let mut quiet_since = Instant::now();
        let mut progress = u64::MAX;
        while !streams.iter().all(|stream| stream.wait_for_rest(Some(Duration::from_millis(5)))) {
            let now = streams.iter().map(|stream| stream.progress.completed()).sum();
            let stuck =
                streams.iter().all(|stream| matches!(stream.state.lock().run, Run::Idle | Run::Parked));
            if now != progress || !stuck {
                (progress, quiet_since) = (now, Instant::now());
            } else if quiet_since.elapsed() >= PATIENCE {
                streams.iter().for_each(Self::discard);
            }
        }
        for stream in streams {
            stream.end();
        }
    }

    /// Throws away what is queued and what is parked. A running task goes on to its end. If the stream is being ended, threads that
    /// synchronise get 107023: what they wait for is not done.
    pub(in crate::core) fn discard(self: &Arc<Self>) {
        {
            let mut state = self.state.lock();
            self.unclaim(&mut state);
            if state.closed && (state.run == Run::Parked || !state.queue.is_empty()) {
                state.aborts += 1;
                state.abort_code = sys::ACL_ERROR_RT_STREAM_ABORT;
            }
        }
        let tasks = self.take_all();
        {
            let mut state = self.state.lock();
            if state.run == Run::Running {
                // A record says that all before it is done, also when it never runs: it comes when the running task has ended.
                state.abandoned.extend(tasks);
                return;
            }
        }
        // In order, and with no lock held: a record wakes other streams, and work may drop anything.
        tasks.into_iter().for_each(Task::abandon);
    }

    /// Takes what is queued and what is parked out of the stream, in order.
    pub(super) fn take_all(self: &Arc<Self>) -> Vec<Task> {
        let (tasks, parked) = {
            let mut state = self.state.lock();
            self.unclaim(&mut state);
            let tasks = std::mem::take(&mut state.queue);
            let parked = state.take_parked();
            state.cancelled = state.run == Run::Running;
            let dropped = tasks.iter().chain(&parked).map(|queued| queued.task.slots()).sum::<usize>();
            self.progress.completed_all(tasks.len() + usize::from(parked.is_some()), dropped);
            self.tell_waiting(state);
            (tasks, parked)
        };
        if let Some(Queued { task: Task::Wait { on, .. }, .. }) = &parked {
            // The ticket is not drawn anew while a discarded stream is at rest.
            let ticket = self.state.lock().ticket;
            on.delist(self, ticket);
        }
        parked.into_iter().chain(tasks).map(|queued| queued.task).collect()
    }

    /// Gives back to the queue what a turn has taken out of it and not begun.
    pub(super) fn unclaim(&self, state: &mut State) {
        let mut claimed = self.claimed.lock();
        if !claimed.is_empty() {
            claimed.append(&mut state.queue);
            std::mem::swap(&mut *claimed, &mut state.queue);
        }
    }

    fn skip_callbacks(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.skip_callbacks = true;
        let ticket = state.ticket;
        let in_callback = matches!(state.current, Some(Queued { task: Task::Callback(_), .. }));
        drop(state);
        if in_callback {
            self.signal(ticket, super::Signal::Cancelled);
        }
    }

    fn close(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.closed = true;
        let stopped = state.stopped;
        drop(state);
        if stopped {
            // What is in its queue would stay there for ever.
            self.discard();
        }
        // Threads that wait for room in the queue give up.
        self.changed.notify_all();
    }

    /// Waits until nothing is queued, parked or running. False if that takes longer than `timeout`.
    fn wait_for_rest(&self, timeout: Option<Duration>) -> bool {
        let deadline = super::clock::deadline(timeout);
        let busy = |state: &mut State| state.run != Run::Idle || !state.queue.is_empty();
        !self.changed.wait_for_device(&self.state, self.state.lock(), deadline, busy).1
    }

    fn end(&self) {
        self.clear_held();
        report::forget(self);
        self.trail.close();
        self.device.streams().give(self.id as u32);
    }
}

impl State {
    fn take_parked(&mut self) -> Option<Queued> {
        if self.run != Run::Parked {
            return None;
        }
        self.run = Run::Idle;
        self.take_signal();
        self.current.take()
    }
}
