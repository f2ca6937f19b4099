//! Streams: queues of tasks that run in order, each an actor on the pool.
//!
//! A stream is idle (nothing to do), ready (in the executor's queue), running (on a pool thread) or parked (its current task waits for
//! a signal: an event, a callback's return, a time-out). Exactly the one who moves it from idle or parked to ready schedules it, so
//! it is never in the executor twice.
//!
//! Signals carry the ticket of the wait they are for. A ticket is drawn before the stream becomes findable for the signaller, and a
//! signal that arrives before the stream has parked is kept, so none is lost; one that comes late has an old ticket and is ignored.
//!
//! Who queues tasks and who runs them seldom meet: a turn takes the whole queue at once ([`claimed`](Stream::claimed)), and counts what it has
//! done in atomics.

mod abort;
mod attributes;
mod help;
mod lifetime;
mod progress;
mod turn;

use core::ffi::c_void;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ascendcl_sys::{self as sys, aclError, aclrtStream};

use self::attributes::Attributes;
use self::progress::{Progress, Submitted};
use super::context::{Context, Shared, current_context};
use super::instance::{Intake, Lane};
use super::limits::CoreLimits;
use super::report::{self, Group};
use super::task::{Queued, Task, Work};
use super::wait::Never;
use super::{Device, clock, last_task};
use crate::check::fault::{self, TaskFault};
use crate::check::{self, Misuse, Origin, Trail, misuse};
use crate::error::{self, fail};
use crate::handle::{Kind, Table};
use crate::lock::{Apart, Condvar, Mutex};
use crate::memory;

pub(crate) static STREAMS: Table<Stream> = Table::new(Kind::Stream);

/// What a parked stream is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// What it waited for is there.
    Woken,
    /// The wait took too long.
    TimedOut,
    /// The rest of the queue was thrown away.
    Cancelled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Idle,
    Ready,
    Running,
    Parked,
}

/// Who serves the callbacks of a stream.
#[derive(Clone)]
pub(crate) enum Subscription {
    None,
    /// A thread of the program.
    Thread(Arc<Group>),
    /// The thread that the runtime keeps for `aclrtLaunchHostFunc`.
    HostFunc,
}

/// Whose stream it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Program,
    /// A default stream.
    Context,
    /// A running instance runs on it.
    Instance,
}

/// How to make a stream.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options {
    pub(crate) priority: u32,
    pub(crate) flags: u32,
}

pub(crate) struct Stream {
    id: i32,
    options: Options,
    device: Arc<Device>,
    shared: Arc<Shared>,
    is_default: bool,
    attributes: Attributes,
    intake: Intake,
    core_limits: CoreLimits,
    trail: Arc<Trail>,
    /// Its virtual time.
    time: AtomicU64,
    state: Mutex<State>,
    /// What was in the queue when a turn took it, and goes before what is there now. Its lock comes after that of the state.
    claimed: Apart<Mutex<VecDeque<Queued>>>,
    progress: Progress,
    /// Tasks were completed, or the stream came to rest.
    changed: Condvar,
}

struct State {
    queue: VecDeque<Queued>,
    run: Run,
    /// The task that a parked stream waits in.
    current: Option<Queued>,
    ticket: u64,
    /// Whether a signal with `ticket` is still welcome.
    armed: bool,
    signal: Option<Signal>,
    /// The queue was thrown away while a task ran: if that task is about to park, it must not.
    cancelled: bool,
    /// What was thrown away behind the task that runs.
    abandoned: Vec<Task>,
    submitted: Submitted,
    failure: Option<Failure>,
    stops_on_failure: bool,
    /// No more tasks are taken.
    closed: bool,
    /// Callbacks are thrown away: the stream is being torn down and nobody need serve it.
    skip_callbacks: bool,
    /// `aclrtStreamStop`: the queue stays as it is.
    stopped: bool,
    /// Threads that abort the stream right now.
    aborting: usize,
    /// How often it was aborted.
    aborts: u64,
    /// What threads get that were in the way of the last time.
    abort_code: aclError,
    subscription: Subscription,
}

/// An asynchronous error waiting to be reported.
struct Failure {
    code: aclError,
    text: String,
}

impl Stream {
    pub(crate) fn id(&self) -> i32 {
        self.id
    }

    /// What it has done, for the race detector.
    pub(crate) fn trail(&self) -> &Arc<Trail> {
        &self.trail
    }

    /// Until when it has worked, in virtual time.
    pub(crate) fn time(&self) -> u64 {
        self.time.load(Ordering::SeqCst)
    }

    /// It has worked until `time` at least.
    pub(crate) fn reach(&self, time: u64) {
        self.time.fetch_max(time, Ordering::SeqCst);
    }

    pub(crate) fn options(&self) -> Options {
        self.options
    }

    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// What stands before its queue.
    pub(crate) fn intake(&self) -> &Intake {
        &self.intake
    }

    /// The tasks that it holds if it is a persistent stream.
    pub(crate) fn held(&self) -> Option<&Arc<Lane>> {
        self.intake.held()
    }

    /// 107027 while it captures.
    pub(crate) fn check_not_capturing(&self) -> Result<(), aclError> {
        if self.intake.capturing().is_none() {
            return Ok(());
        }
        Err(fail(sys::ACL_ERROR_RT_STREAM_CAPTURED, format_args!("stream {} is capturing", self.id)))
    }

    /// The error that a task left and nobody has asked for.
    pub(super) fn take_failure(&self) -> Option<aclError> {
        let failure = self.state.lock().failure.take();
        failure.map(|failure| failure.code)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn is_default(&self) -> bool {
        self.is_default
    }

    /// Cores that its kernels may use, if it has limits of its own.
    pub(crate) fn core_limits(&self) -> &CoreLimits {
        &self.core_limits
    }

    /// The number of the task that will be done next.
    pub(super) fn next_completed(&self) -> u64 {
        self.progress.completed()
    }

    /// Queues work of the simulator's own making, named for texts. 0 means only that it is queued.
    pub(crate) fn submit(self: &Arc<Self>, operation: &'static str, work: Work) -> aclError {
        self.push(Task::Work { operation, work }).err().unwrap_or(error::SUCCESS)
    }

    /// Queues a task, or gives it to the capture or the persistent lane of the stream. Blocks while the queue is full.
    pub(crate) fn push(self: &Arc<Self>, task: Task) -> Result<(), aclError> {
        if self.is_device_only() {
            return Err(fail(
                sys::ACL_ERROR_RT_INTERNAL_ERROR,
                format_args!(
                    "stream {} was made with ACL_STREAM_DEVICE_USE_ONLY: the host cannot use it",
                    self.id
                ),
            ));
        }
        let Some(task) = self.intake.take(self, task)? else { return Ok(()) };
        let fault = fault::of_task();
        if fault == Some(TaskFault::Stop) {
            let never = Task::Wait { on: Arc::new(Never::default()), key: 0, timeout: None };
            self.enqueue(never, Origin::of_task(), None, true)?;
        }
        self.enqueue(task, Origin::of_task(), fault.map(Box::new), true)
    }

    /// Queues a task that comes from elsewhere, whatever else the stream does. It never blocks.
    pub(in crate::core) fn queue(self: &Arc<Self>, task: Task, origin: Origin) -> Result<(), aclError> {
        self.enqueue(task, origin, None, false)
    }

    /// If `bounded`, blocks while the queue is full.
    fn enqueue(
        self: &Arc<Self>,
        task: Task,
        origin: Origin,
        fault: Option<Box<TaskFault>>,
        bounded: bool,
    ) -> Result<(), aclError> {
        let slots = task.slots();
        let schedule = {
            let depth = if bounded { self.device.profile().stream_depth as u64 } else { u64::MAX };
            let (mut state, _) =
                self.changed.wait_for_device(&self.state, self.state.lock(), None, |state| {
                    let given_up = state.closed || state.aborting > 0 || self.shared.stopped().is_some();
                    !given_up && !self.progress.has_room(slots, depth, &mut state.submitted)
                });
            if let Some(code) = self.shared.stopped() {
                drop(state);
                let id = self.id;
                return Err(fail(
                    code,
                    format_args!(
                        "stream {id} takes no more tasks: one failed, and the failure mode is ACL_STOP_ON_FAILURE"
                    ),
                ));
            }
            if state.closed {
                drop(state);
                return Err(fail(
                    sys::ACL_ERROR_RT_INVALID_HANDLE,
                    format_args!("stream {} is being destroyed", self.id),
                ));
            }
            if state.aborting > 0 {
                let code = state.abort_code;
                drop(state);
                return Err(fail(code, format_args!("stream {} is being aborted", self.id)));
            }
            state.queue.push_back(Queued { task, origin, fault });
            last_task::note(self.id, state.submitted.tasks);
            state.submitted.add(slots);
            let idle = state.run == Run::Idle && !state.stopped;
            if idle {
                state.run = Run::Ready;
            }
            idle
        };
        if schedule {
            super::executor::schedule(Arc::clone(self));
        }
        Ok(())
    }

    /// Waits until everything submitted so far is done: 0, the stream's asynchronous error, or 507046 after `timeout`.
    pub(crate) fn synchronize(self: &Arc<Self>, timeout: Option<Duration>) -> aclError {
        let deadline = clock::deadline(timeout);
        if report::waits_for_us(self) {
            misuse(
                Misuse::CallbackBlocksItself,
                format_args!(
                    "stream {} waits for this callback to return, and the callback for the stream",
                    self.id
                ),
            );
        }
        let mut state = self.state.lock();
        let (target, aborts) = (state.submitted.tasks, state.aborts);
        if timeout.is_none() && !self.progress.has_reached(target) {
            drop(state);
            self.help(target);
            state = self.state.lock();
        }
        let (mut state, expired) = self.changed.wait_for_device(&self.state, state, deadline, |state| {
            state.aborts == aborts && !self.progress.wakes_at(target)
        });
        if expired {
            drop(state);
            return fail(
                sys::ACL_ERROR_RT_STREAM_SYNC_TIMEOUT,
                format_args!("stream {} was not done within {:?}", self.id, timeout.unwrap_or_default()),
            );
        }
        if state.aborts != aborts {
            let code = state.abort_code;
            drop(state);
            return fail(code, format_args!("stream {} was aborted while it was waited for", self.id));
        }
        let failure = state.failure.take();
        drop(state);
        check::host_sees(self);
        memory::settle_pools(self.device.id());
        match (failure, self.shared.stopped()) {
            (Some(failure), _) => error::report_async(failure.code, self.id, &failure.text),
            // Stopped for good: each synchronisation says so.
            (None, Some(code)) => error::report_async(code, self.id, ""),
            (None, None) if self.device.is_lost() => self.device.lost_error(),
            (None, None) => error::SUCCESS,
        }
    }

    /// Whether everything submitted is done.
    pub(crate) fn is_complete(&self) -> bool {
        let state = self.state.lock();
        let complete = self.progress.has_reached(state.submitted.tasks);
        drop(state);
        if complete {
            check::host_sees(self);
        }
        complete
    }

    /// Whether it takes no more tasks.
    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Whether the program asked for a stop after a failure.
    pub(crate) fn stops_on_failure(&self) -> bool {
        self.state.lock().stops_on_failure
    }

    /// `aclrtSetStreamFailureMode`: once set to stop, which holds for the whole context, a stream stays so.
    pub(crate) fn set_failure_mode(&self, stop: bool) -> Result<(), aclError> {
        let mut state = self.state.lock();
        if state.stops_on_failure && !stop {
            drop(state);
            return Err(fail(
                sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
                format_args!("stream {} stops on failure, and that cannot be taken back", self.id),
            ));
        }
        state.stops_on_failure = stop;
        drop(state);
        if stop {
            self.shared.stop_on_failure();
        }
        Ok(())
    }

    /// `aclrtPersistentTaskClean`.
    pub(crate) fn clear_held(&self) {
        if let Some(lane) = self.held() {
            lane.clear();
        }
    }

    pub(super) fn subscription(&self) -> Subscription {
        self.state.lock().subscription.clone()
    }

    /// Replaces the subscription if `change` says so, atomically.
    pub(super) fn change_subscription<R>(&self, change: impl FnOnce(&mut Subscription) -> R) -> R {
        change(&mut self.state.lock().subscription)
    }
}

/// The stream behind a handle; NULL is the default stream of the current context. For calls that accept streams of any context.
/// The handle is looked at before the context, as the runtime does.
pub(crate) fn lookup_stream(handle: aclrtStream) -> Result<Arc<Stream>, aclError> {
    let stream = find_stream(handle)?;
    let context = current_context()?;
    context.device().check_present()?;
    Ok(stream.unwrap_or_else(|| Arc::clone(context.default_stream())))
}

/// [`lookup_stream`] for calls that need no context if they are given a stream.
pub(crate) fn lookup_any_stream(handle: aclrtStream) -> Result<Arc<Stream>, aclError> {
    match find_stream(handle)? {
        Some(stream) => Ok(stream),
        None => Ok(Arc::clone(current_context()?.default_stream())),
    }
}

/// The stream behind a handle, which must be one of the current context; NULL is its default stream.
pub(crate) fn resolve_stream(handle: aclrtStream) -> Result<Arc<Stream>, aclError> {
    resolve_found(find_stream(handle)?)
}

/// The second half of [`resolve_stream`], for calls that check something else between the handle and the context.
pub(crate) fn resolve_found(stream: Option<Arc<Stream>>) -> Result<Arc<Stream>, aclError> {
    let context = current_context()?;
    context.device().check_present()?;
    let Some(stream) = stream else { return Ok(Arc::clone(context.default_stream())) };
    check_stream_context(&stream, &context)?;
    Ok(stream)
}

/// 107003 unless it is a stream of the context.
pub(crate) fn check_stream_context(stream: &Stream, context: &Context) -> Result<(), aclError> {
    if Arc::ptr_eq(stream.shared(), context.shared()) { Ok(()) } else { Err(foreign(stream)) }
}

/// A stream argument whose handle has been looked at and nothing else: many functions do that before they ask for the context.
pub(crate) struct Named(Option<Arc<Stream>>);

impl Named {
    /// 107017 unless the handle is NULL or a live stream.
    pub(crate) fn new(handle: aclrtStream) -> Result<Self, aclError> {
        find_stream(handle).map(Self)
    }

    /// The stream, if the handle was not NULL.
    pub(crate) fn given(&self) -> Option<Arc<Stream>> {
        self.0.clone()
    }

    /// The stream, of whatever context; the default stream of `context` for NULL.
    pub(crate) fn any(&self, context: &Context) -> Arc<Stream> {
        Arc::clone(self.0.as_ref().unwrap_or_else(|| context.default_stream()))
    }

    /// The stream, which must be one of `context` (107003), on a device that is there (507010).
    pub(crate) fn of(&self, context: &Context) -> Result<Arc<Stream>, aclError> {
        context.device().check_present()?;
        let stream = self.any(context);
        if Arc::ptr_eq(stream.shared(), context.shared()) { Ok(stream) } else { Err(foreign(&stream)) }
    }
}

fn foreign(stream: &Stream) -> aclError {
    fail(
        sys::ACL_ERROR_RT_STREAM_CONTEXT,
        format_args!("stream {} is not a stream of the current context", stream.id),
    )
}

/// The stream behind a handle; `None` for NULL.
pub(crate) fn find_stream(handle: *const c_void) -> Result<Option<Arc<Stream>>, aclError> {
    if handle.is_null() { Ok(None) } else { find(handle).map(Some) }
}

/// The stream behind a handle that is not NULL (107017), of whatever context.
pub(crate) fn find(handle: *const c_void) -> Result<Arc<Stream>, aclError> {
    STREAMS.get(handle).ok_or_else(|| {
        fail(
            sys::ACL_ERROR_RT_INVALID_HANDLE,
            format_args!("the stream {handle:p} {}", STREAMS.describe(handle)),
        )
    })
}
