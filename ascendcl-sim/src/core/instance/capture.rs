//! Capturing: from begin to end, and what events do to the streams of a capture.
//!
//! A wait for an event that a capturing stream recorded takes the waiting stream into the capture (a fork); a stream comes back when the
//! first one waits for an event that it recorded last (a join). Events recorded while capturing do nothing but that: they are signals
//! between the lanes of the instance, given anew in each execution.

use core::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use ascendcl_sys::{self as sys, aclError, aclmdlRICaptureStatus};

use super::super::event::Mode;
use super::super::{Context, Event, Stream};
use super::group::Group;
use super::lane::Lane;
use super::mode::{self, CaptureMode};
use super::node::{Node, Step};
use super::{Dependency, INSTANCES, Instance, Origin, Status};
use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::lock::Mutex;

/// One at a time begins, ends, forks or joins.
static CAPTURE: Mutex<()> = Mutex::new(());

/// A stream that captures.
pub(crate) struct Capturing {
    pub(super) instance: Arc<Instance>,
    pub(super) lane: Arc<Lane>,
    /// How the capture began, if it began on this stream.
    begun: Option<Begun>,
    pub(super) group: Mutex<Option<Arc<Group>>>,
}

struct Begun {
    mode: CaptureMode,
    thread: ThreadId,
    context: usize,
    over: AtomicBool,
}

impl Begun {
    fn leave_mode(&self) {
        if !self.over.swap(true, Ordering::SeqCst) {
            mode::leave(self.context, self.mode);
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.leave_mode();
    }
}

impl Capturing {
    pub(crate) fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// Takes a task of `stream`.
    pub(super) fn add(&self, step: Step, stream: &Stream) -> Result<Arc<Node>, aclError> {
        let interrupted = {
            let state = self.instance.state.lock();
            !state.open_groups.is_empty()
                && !state.open_groups.iter().any(|lane| Arc::ptr_eq(lane, &self.lane))
        };
        if interrupted {
            return Err(self.spoil(fail(
                sys::ACL_ERROR_STREAM_TASK_GROUP_INTR,
                format_args!(
                    "another stream of the capture of stream {} has an open task group",
                    stream.id()
                ),
            )));
        }
        let group = self.group.lock().clone();
        let Some(group) = group else { return self.lane.add(step, stream) };
        if !matches!(&step, Step::Task(task) if task.is_kernel()) {
            return Err(self.spoil(fail(
                sys::ACL_ERROR_RT_TASK_TYPE_NOT_SUPPORT,
                "only kernels can be in a task group",
            )));
        }
        let node = self.lane.add(step, stream)?;
        group.add(&node);
        Ok(node)
    }

    fn spoil(&self, code: aclError) -> aclError {
        self.instance.invalidate();
        self.instance.state.lock().group_error = Some(code);
        code
    }
}

impl Instance {
    pub(super) fn invalidate(&self) {
        let mut state = self.state.lock();
        if state.status == Status::Capturing {
            state.status = Status::Invalidated;
        }
    }

    /// Takes a stream into the capture.
    fn take_in(self: &Arc<Self>, stream: &Arc<Stream>, begun: Option<Begun>) -> Result<(), aclError> {
        let lane = self.add_lane(begun.is_some())?;
        let capturing = Capturing { instance: Arc::clone(self), lane, begun, group: Mutex::new(None) };
        if !stream.intake().enter(Arc::new(capturing)) {
            return Err(fail(
                sys::ACL_ERROR_STREAM_TASK_GROUP_STATUS,
                format_args!("stream {} updates a task group", stream.id()),
            ));
        }
        let mut state = self.state.lock();
        state.capturing.push(Arc::clone(stream));
        state.status = Status::Capturing;
        Ok(())
    }

    /// Lets all streams go.
    fn release(&self) {
        let streams = {
            let mut state = self.state.lock();
            state.status = Status::Ready;
            std::mem::take(&mut state.capturing)
        };
        for stream in streams {
            stream.intake().leave();
        }
    }

    /// The capture failed: the streams are free again and what was captured is gone.
    fn give_up(self: &Arc<Self>) {
        self.release();
        if !self.is_branch() && INSTANCES.remove(self.handle()).is_some() {
            self.end(false);
        }
    }

    /// 107025 unless all streams came back, 107033 if a task group is open, 107046 if a branch was not captured.
    fn check_complete(&self) -> Result<(), aclError> {
        let branches: Vec<_> = {
            let state = self.state.lock();
            state.conditions.iter().flat_map(|(_, condition)| condition.branches()).collect()
        };
        if branches.iter().any(|branch| branch.state.lock().status != Status::Ready) {
            return Err(fail(
                sys::ACL_ERROR_RT_SUB_ACLGRAPH_IS_CAPTURING,
                format_args!("a branch of running instance {} was not captured to its end", self.id),
            ));
        }
        let state = self.state.lock();
        if !state.open_groups.is_empty() {
            drop(state);
            return Err(fail(
                sys::ACL_ERROR_STREAM_TASK_GROUP_STATUS,
                "a task group of the capture was begun and not ended",
            ));
        }
        let unjoined = |why: &str| Err(fail(sys::ACL_ERROR_RT_STREAM_UNJOINED, why));
        let (mut alone, mut joined) = (true, false);
        for member in state.members.iter().filter(|member| !member.origin) {
            alone = false;
            let last = member.lane.last().map(|node| node.step());
            let Some(Step::Signal { dependency, .. }) = last else {
                drop(state);
                return unjoined("the last task of a forked stream is not the record of an event");
            };
            let waiters = &state.dependencies[dependency].awaited_by;
            if waiters.is_empty() {
                drop(state);
                return unjoined("no stream waits for the event that a forked stream recorded last");
            }
            joined |= state
                .members
                .iter()
                .any(|other| other.origin && waiters.iter().any(|waiter| Arc::ptr_eq(waiter, &other.lane)));
        }
        drop(state);
        if alone || joined {
            return Ok(());
        }
        unjoined("the stream that began the capture waits for none of the forked ones")
    }
}

/// `aclmdlRICaptureBegin`, or `aclmdlRICaptureToModelRIBegin` with a branch.
pub(crate) fn begin(
    context: &Context,
    stream: &Arc<Stream>,
    mode: CaptureMode,
    branch: Option<Arc<Instance>>,
) -> Result<(), aclError> {
    let _one = CAPTURE.lock();
    if let Some(branch) = &branch
        && branch.state.lock().status != Status::Empty
    {
        return Err(fail(
            sys::ACL_ERROR_RT_MODEL_CAPTURED,
            format_args!("running instance {} was captured already", branch.id),
        ));
    }
    if stream.intake().capturing().is_some() {
        return Err(captured(stream));
    }
    let made = match branch {
        Some(branch) => branch,
        None => {
            let registration = register(LiveKind::Capture, format!("captured from stream {}", stream.id()));
            Instance::create(context.device(), context.shared(), Origin::Captured, Some(registration))?
        }
    };
    let begun = Begun {
        mode,
        thread: thread::current().id(),
        context: context.handle().addr(),
        over: AtomicBool::new(false),
    };
    mode::enter(begun.context, mode);
    made.take_in(stream, Some(begun)).inspect_err(|_| made.give_up())
}

/// `aclmdlRICaptureEnd`
pub(crate) fn end(stream: &Arc<Stream>) -> Result<Arc<Instance>, aclError> {
    let _one = CAPTURE.lock();
    let Some(capturing) = stream.intake().capturing() else {
        return Err(fail(
            sys::ACL_ERROR_RT_STREAM_NOT_CAPTURED,
            format_args!("stream {} is not capturing", stream.id()),
        ));
    };
    let instance = Arc::clone(&capturing.instance);
    let Some(begun) = &capturing.begun else {
        return Err(fail(
            sys::ACL_ERROR_RT_STREAM_CAPTURE_UNMATCHED,
            format_args!("the capture did not begin on stream {}", stream.id()),
        ));
    };
    begun.leave_mode();
    if begun.mode != CaptureMode::Relaxed && begun.thread != thread::current().id() {
        instance.give_up();
        return Err(fail(
            sys::ACL_ERROR_RT_STREAM_CAPTURE_WRONG_THREAD,
            "a capture ends on the thread that began it, except in the relaxed mode",
        ));
    }
    if instance.state.lock().status == Status::Invalidated {
        instance.give_up();
        return Err(fail(
            sys::ACL_ERROR_RT_STREAM_CAPTURE_INVALIDATED,
            format_args!("an error spoiled the capture of stream {}", stream.id()),
        ));
    }
    instance.check_complete().inspect_err(|_| instance.give_up())?;
    instance.release();
    Ok(instance)
}

/// `aclmdlRICaptureGetInfo`
pub(crate) fn info(stream: &Stream) -> (aclmdlRICaptureStatus, *mut c_void) {
    match stream.intake().capturing() {
        // The status of the stream: that the capture was spoiled is seen at its end.
        Some(capturing) => (sys::ACL_MODEL_RI_CAPTURE_STATUS_ACTIVE, capturing.instance.handle()),
        None => (sys::ACL_MODEL_RI_CAPTURE_STATUS_NONE, std::ptr::null_mut()),
    }
}

fn captured(stream: &Stream) -> aclError {
    fail(sys::ACL_ERROR_RT_STREAM_CAPTURED, format_args!("stream {} is capturing", stream.id()))
}

fn unsupported(what: &str) -> aclError {
    fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, what)
}

fn implicit(stream: &Stream) -> Result<(), aclError> {
    if !stream.is_default() {
        return Ok(());
    }
    Err(fail(sys::ACL_ERROR_RT_STREAM_CAPTURE_IMPLICIT, "a default stream cannot be part of a capture"))
}

/// The lane of a persistent stream, if it takes an event of this kind.
fn lane_for(stream: &Stream, event: &Event) -> Result<Option<Arc<Lane>>, aclError> {
    let Some(lane) = stream.held() else { return Ok(None) };
    if lane.is_bound() && event.mode() != Mode::Flagged {
        return Err(unsupported(
            "streams of a running instance take only events of aclrtCreateEventWithFlag",
        ));
    }
    Ok(Some(Arc::clone(lane)))
}

/// `aclrtRecordEvent`, and with `external` `aclrtRecordEventWithFlag`. True if the stream's lane took it; otherwise it is to be queued.
pub(crate) fn record_event(
    stream: &Arc<Stream>,
    event: &Arc<Event>,
    external: bool,
) -> Result<bool, aclError> {
    let lane = lane_for(stream, event)?;
    let capturing = stream.intake().capturing();
    if external {
        let capturing = capturing.ok_or_else(|| not_capturing(stream))?;
        has_external_events(stream)?;
        capturing.check_external(event, true)?;
        capturing.add(Step::Record { event: Arc::clone(event), external }, stream)?;
        return Ok(true);
    }
    let Some(capturing) = capturing else {
        let Some(lane) = lane else { return Ok(false) };
        lane.add(Step::Record { event: Arc::clone(event), external }, stream)?;
        return Ok(true);
    };
    if event.is_external() {
        capturing.add(Step::Record { event: Arc::clone(event), external }, stream)?;
        return Ok(true);
    }
    if event.mode() != Mode::Extended {
        return Err(unsupported("a capture takes only events of aclrtCreateEventExWithFlag"));
    }
    if !event.can_wait() {
        // Nothing can come of it.
        return Ok(true);
    }
    let _one = CAPTURE.lock();
    let instance = &capturing.instance;
    let dependency = {
        let mut state = instance.state.lock();
        let signalled_by = Arc::clone(&capturing.lane);
        state.dependencies.push(Dependency { signalled_by, awaited_by: Vec::new() });
        state.dependencies.len() - 1
    };
    capturing
        .add(Step::Signal { dependency, event: Arc::clone(event) }, stream)
        .inspect_err(|_| instance.invalidate())?;
    event.capture_by(instance, dependency);
    Ok(true)
}

/// `aclrtStreamWaitEvent`, and with `external` `aclrtStreamWaitEventWithFlag`. True if the stream's lane took it, or there is nothing to
/// wait for; otherwise it is to be queued.
pub(crate) fn wait_event(
    stream: &Arc<Stream>,
    event: &Arc<Event>,
    timeout: Option<Duration>,
    external: bool,
) -> Result<bool, aclError> {
    let lane = lane_for(stream, event)?;
    let step = || Step::Wait { event: Arc::clone(event), external, timeout };
    if external {
        let capturing = stream.intake().capturing().ok_or_else(|| not_capturing(stream))?;
        has_external_events(stream)?;
        capturing.check_external(event, false)?;
        capturing.add(step(), stream)?;
        return Ok(true);
    }
    if event.captured().is_some() {
        implicit(stream)?;
        if !event.can_wait() {
            return Err(fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                "streams can wait only for events with ACL_EVENT_SYNC",
            ));
        }
        let _one = CAPTURE.lock();
        if let Some((instance, dependency)) = event.captured() {
            join(stream, event, &instance, dependency).inspect_err(|_| {
                instance.invalidate();
                if let Some(own) = stream.intake().capturing() {
                    own.instance.invalidate();
                }
            })?;
            return Ok(true);
        }
    }
    if let Some(capturing) = stream.intake().capturing() {
        if event.is_external() {
            capturing.add(step(), stream)?;
            return Ok(true);
        }
        if event.mode() != Mode::Extended {
            return Err(unsupported("a capture takes only events of aclrtCreateEventExWithFlag"));
        }
        let (recorded, _) = event.status();
        if recorded {
            return Err(fail(
                sys::ACL_ERROR_RT_CAPTURE_DEPENDENCY,
                "the event was recorded outside of the capture, which cannot wait for it",
            ));
        }
        return Ok(true);
    }
    let Some(lane) = lane else { return Ok(false) };
    lane.add(step(), stream)?;
    Ok(true)
}

/// A stream waits for an event that a capture recorded.
fn join(
    stream: &Arc<Stream>,
    event: &Arc<Event>,
    instance: &Arc<Instance>,
    dependency: usize,
) -> Result<(), aclError> {
    if stream.intake().capturing().is_none() {
        if instance.state.lock().status == Status::Invalidated {
            return Err(fail(
                sys::ACL_ERROR_RT_INTERNAL_ERROR,
                format_args!("the capture that stream {} would join is spoiled", stream.id()),
            ));
        }
        instance.take_in(stream, None)?;
    }
    let Some(capturing) = stream.intake().capturing() else { return Ok(()) };
    if !Arc::ptr_eq(&capturing.instance, instance) {
        return Err(fail(
            sys::ACL_ERROR_STREAM_CAPTURE_CONFLICT,
            format_args!("stream {} and the event it waits for belong to different captures", stream.id()),
        ));
    }
    capturing.add(Step::Await { dependency, event: Arc::clone(event) }, stream)?;
    let mut state = instance.state.lock();
    let found = &mut state.dependencies[dependency];
    // A lane that waits for its own signal joins nobody.
    if !Arc::ptr_eq(&found.signalled_by, &capturing.lane) {
        found.awaited_by.push(Arc::clone(&capturing.lane));
    }
    Ok(())
}

/// `aclrtResetEvent`. True if the stream's lane took it.
pub(crate) fn reset_event(stream: &Arc<Stream>, event: &Arc<Event>) -> Result<bool, aclError> {
    let lane = match stream.held() {
        Some(lane) if lane.is_bound() && event.mode() == Mode::Plain => {
            return Err(unsupported(
                "streams of a running instance take only events of aclrtCreateEventWithFlag",
            ));
        }
        lane => lane.cloned(),
    };
    let step = Step::Reset { event: Arc::clone(event) };
    if let Some(capturing) = stream.intake().capturing() {
        if !event.is_external() {
            return Err(unsupported("a capture resets only events with ACL_EVENT_EXTERNAL"));
        }
        capturing.add(step, stream)?;
        return Ok(true);
    }
    let Some(lane) = lane else { return Ok(false) };
    lane.add(step, stream)?;
    Ok(true)
}

fn has_external_events(stream: &Stream) -> Result<(), aclError> {
    if stream.device().profile().features.external_events {
        return Ok(());
    }
    Err(unsupported("this chip has no events between captured work and the rest"))
}

fn not_capturing(stream: &Stream) -> aclError {
    fail(
        sys::ACL_ERROR_RT_STREAM_NOT_CAPTURED,
        format_args!("stream {} is not capturing, so that nothing is external to it", stream.id()),
    )
}

impl Capturing {
    /// 107000 if the capture uses the event from outside already.
    fn check_external(&self, event: &Arc<Event>, record: bool) -> Result<(), aclError> {
        for node in self.instance.members().iter().flat_map(|member| member.lane.nodes()) {
            let (Step::Record { event: used, external: true }
            | Step::Wait { event: used, external: true, .. }) = node.step()
            else {
                continue;
            };
            if Arc::ptr_eq(&used, event) {
                let what = if record { "recorded" } else { "waited for" };
                return Err(fail(
                    sys::ACL_ERROR_RT_PARAM_INVALID,
                    format_args!("an external event of this capture cannot be {what} as well"),
                ));
            }
        }
        Ok(())
    }
}
