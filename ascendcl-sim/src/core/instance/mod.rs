//! Running instances (`aclmdlRI`): work that was captured from streams or put together by hand, and runs as often as it is executed.
//!
//! An instance has lanes, one for each stream that takes part; a lane is a list of nodes. Tasks come into a lane in one place:
//! [`intake`] stands before every stream's queue and sends the tasks of a capturing stream into the lane of its capture, those of a
//! persistent stream into the lane that it holds, and those of a stream that updates into the nodes they replace. A lane runs on a
//! stream of its own (`run`), so that nodes wait, fail and are discarded as tasks of any stream.
//!
//! Lock order: an instance's lock comes before a lane's, an event's and a stream's; no two instances are locked together.

mod capture;
mod condition;
mod edit;
mod group;
mod intake;
mod label;
mod lane;
mod mode;
mod node;
mod print;
mod run;

use core::ffi::c_void;
use std::collections::VecDeque;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use ascendcl_sys::{self as sys, aclError};

use super::context::Shared;
use super::report::Function;
use super::stream::{Options, Owner, STREAMS, Stream};
use super::{Context, Device, clock};
use crate::check::Mark;
use crate::check::leak::{LiveKind, Registration, register};
use crate::error::{SUCCESS, fail};
use crate::handle::{Kind, Table};
use crate::lock::{Condvar, Mutex};

pub(crate) use capture::{begin, end, info, record_event, reset_event, wait_event};
pub(crate) use condition::{CONDITIONS, Condition, add_condition, create_condition};
pub(crate) use edit::{
    Change, disable, instance_of, kernel_attribute, params, set_params, stream_tasks, streams, task,
    task_type, update,
};
pub(crate) use group::{begin_group, begin_update, check_single, end_group, end_update};
pub(crate) use intake::Intake;
pub(crate) use label::{activate, create_label, create_list, destroy_label, destroy_list, find_all};
pub(crate) use label::{set_label, switch_by_index, switch_stream};
pub(crate) use lane::Lane;
pub(crate) use mode::{CaptureMode, check_unsafe, exchange};
pub(crate) use node::Node;
pub(crate) use run::{execute, execute_and_wait};

pub(crate) static INSTANCES: Table<Instance> = Table::new(Kind::ModelInstance);

/// How long `aclmdlRIDestroy` waits for captured work that is running.
const PATIENCE: Duration = Duration::from_secs(10);

static NEXT_ID: AtomicU32 = AtomicU32::new(0);

/// How an instance came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Captured,
    /// A branch or a loop body: ends with the instance whose condition decides on it.
    Branch,
    Built,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing was captured into it yet.
    Empty,
    Capturing,
    /// Something went wrong while capturing.
    Invalidated,
    Ready,
    /// Tasks were edited and the edits not taken over.
    Updating,
    Faulty,
}

/// A lane in its instance.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) lane: Arc<Lane>,
    pub(crate) stream: Arc<Stream>,
    /// The stream's handle.
    pub(crate) handle: usize,
    /// It starts with the instance, not when another lane activates it.
    head: bool,
    /// The capture began here: the end of this lane is the end of the instance.
    origin: bool,
}

/// Something that one lane signals and others wait for: an event that was recorded while capturing.
struct Dependency {
    signalled_by: Arc<Lane>,
    awaited_by: Vec<Arc<Lane>>,
}

pub(crate) struct Instance {
    handle: AtomicUsize,
    id: u32,
    origin: Origin,
    device: Arc<Device>,
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// An execution ended.
    changed: Condvar,
    /// What the lanes had done when the latest execution was over: the next one comes after it.
    over: Mark,
}

struct State {
    status: Status,
    members: Vec<Member>,
    dependencies: Vec<Dependency>,
    /// Streams of the program that capture into it.
    capturing: Vec<Arc<Stream>>,
    /// Lanes with a task group that was begun and not ended.
    open_groups: Vec<Arc<Lane>>,
    group_error: Option<aclError>,
    groups: Vec<usize>,
    tasks: Vec<usize>,
    conditions: Vec<(usize, Arc<Condition>)>,
    next_sequence: u32,
    /// `aclmdlRIEndTask` was called.
    has_end: bool,
    complete: bool,
    name: Vec<u8>,
    callbacks: Vec<(Function, usize)>,
    /// Executions that were submitted and did not end.
    launched: usize,
    current: Option<Arc<run::Run>>,
    waiting: VecDeque<Arc<run::Run>>,
}

impl Instance {
    fn create(
        device: &Arc<Device>,
        shared: &Arc<Shared>,
        origin: Origin,
        registration: Option<Registration>,
    ) -> Result<Arc<Self>, aclError> {
        let instance = Arc::new(Self {
            handle: AtomicUsize::new(0),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            origin,
            device: Arc::clone(device),
            shared: Arc::clone(shared),
            state: Mutex::new(State {
                status: Status::Empty,
                members: Vec::new(),
                dependencies: Vec::new(),
                capturing: Vec::new(),
                open_groups: Vec::new(),
                group_error: None,
                groups: Vec::new(),
                tasks: Vec::new(),
                conditions: Vec::new(),
                next_sequence: 0,
                has_end: false,
                complete: false,
                name: Vec::new(),
                callbacks: Vec::new(),
                launched: 0,
                current: None,
                waiting: VecDeque::new(),
            }),
            changed: Condvar::new(),
            over: Mark::default(),
        });
        let made = INSTANCES.insert_with(registration, |handle| {
            instance.handle.store(handle.addr(), Ordering::SeqCst);
            Arc::clone(&instance)
        });
        match made {
            Some(_) => Ok(instance),
            None => Err(fail(sys::ACL_ERROR_RT_RESOURCE_ALLOC_FAIL, "too many running instances")),
        }
    }

    /// `aclmdlRIBuildBegin`
    pub(crate) fn build(context: &Context) -> Result<*mut c_void, aclError> {
        let registration = register(LiveKind::Capture, format!("built on device {}", context.device().id()));
        let instance = Self::create(context.device(), context.shared(), Origin::Built, Some(registration))?;
        context.check_alive().inspect_err(|_| drop(INSTANCES.remove(instance.handle())))?;
        Ok(instance.handle())
    }

    pub(crate) fn handle(&self) -> *mut c_void {
        ptr::without_provenance_mut(self.handle.load(Ordering::SeqCst))
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    pub(crate) fn is_built(&self) -> bool {
        self.origin == Origin::Built
    }

    pub(crate) fn is_branch(&self) -> bool {
        self.origin == Origin::Branch
    }

    pub(crate) fn is_captured(&self) -> bool {
        self.origin != Origin::Built
    }

    /// Whether descriptions of operators are kept: a stream of the running capture is set to.
    pub(crate) fn caches_operators(&self) -> bool {
        self.state.lock().capturing.iter().any(|stream| stream.attributes().cache_op_info() != 0)
    }

    pub(crate) fn is_of(&self, context: &Context) -> bool {
        Arc::ptr_eq(&self.shared, context.shared())
    }

    pub(crate) fn is_capturing(&self) -> bool {
        matches!(self.state.lock().status, Status::Capturing | Status::Invalidated)
    }

    /// 107004 unless it is one of the current context.
    pub(crate) fn check_context(&self, context: &Context) -> Result<(), aclError> {
        if self.is_of(context) {
            return Ok(());
        }
        Err(fail(
            sys::ACL_ERROR_RT_MODEL_CONTEXT,
            format_args!("running instance {} is not one of the current context", self.id),
        ))
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        self.state.lock().members.clone()
    }

    /// Gives all conditions the values that an execution begins with, those inside of branches too.
    fn set_defaults(&self) {
        let conditions = self.state.lock().conditions.clone();
        for (_, condition) in conditions {
            condition.set_default();
            condition.branches().iter().for_each(|branch| branch.set_defaults());
        }
    }

    fn next_sequence(&self) -> u32 {
        let mut state = self.state.lock();
        state.next_sequence += 1;
        state.next_sequence - 1
    }

    /// Makes a lane on a stream of its own.
    fn add_lane(self: &Arc<Self>, origin: bool) -> Result<Arc<Lane>, aclError> {
        let (stream, handle) =
            Stream::create(&self.device, &self.shared, Options::default(), Owner::Instance)?;
        let lane = stream.held().cloned().ok_or_else(|| {
            fail(sys::ACL_ERROR_RT_INTERNAL_ERROR, "a stream of a running instance holds no tasks")
        })?;
        lane.bind(self);
        let member = Member { lane: Arc::clone(&lane), stream, handle: handle.addr(), head: true, origin };
        // The newest first, as the runtime keeps them.
        self.state.lock().members.insert(0, member);
        Ok(lane)
    }

    /// `aclmdlRIBindStream` after the checks of the stream itself.
    pub(crate) fn bind(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        handle: usize,
        head: bool,
    ) -> Result<(), aclError> {
        let Some(lane) = stream.held() else {
            return Err(fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                format_args!("stream {} was not made with ACL_STREAM_PERSISTENT", stream.id()),
            ));
        };
        lane.bind(self);
        let member =
            Member { lane: Arc::clone(lane), stream: Arc::clone(stream), handle, head, origin: false };
        // The newest first, as the runtime keeps them.
        self.state.lock().members.insert(0, member);
        Ok(())
    }

    /// `aclmdlRIUnbindStream`
    pub(crate) fn unbind(self: &Arc<Self>, stream: &Stream) -> Result<(), aclError> {
        let lane = stream.held().filter(|lane| lane.is_of(self));
        let Some(lane) = lane else {
            return Err(fail(
                sys::ACL_ERROR_RT_STREAM_MODEL,
                format_args!("stream {} is not bound to running instance {}", stream.id(), self.id),
            ));
        };
        self.state.lock().members.retain(|member| !Arc::ptr_eq(&member.lane, lane));
        lane.unbind();
        Ok(())
    }

    /// `aclmdlRIEndTask`
    pub(crate) fn end_task(self: &Arc<Self>, stream: &Stream) -> Result<(), aclError> {
        if self.state.lock().has_end {
            // The runtime takes it: whichever comes first ends the execution.
            log::warn!("running instance {} has more than one end", self.id);
        }
        let Some(lane) = stream.held().filter(|lane| lane.is_of(self)) else {
            return Err(fail(
                sys::ACL_ERROR_RT_INTERNAL_ERROR,
                format_args!("stream {} is not bound to running instance {}", stream.id(), self.id),
            ));
        };
        lane.add(node::Step::End, stream)?;
        self.state.lock().has_end = true;
        Ok(())
    }

    /// `aclmdlRIBuildEnd`
    pub(crate) fn complete(&self) -> Result<(), aclError> {
        let mut state = self.state.lock();
        if state.members.is_empty() {
            drop(state);
            return Err(fail(
                sys::ACL_ERROR_RT_STREAM_MODEL,
                format_args!("running instance {} has no streams: bind one first", self.id),
            ));
        }
        state.complete = true;
        state.status = Status::Ready;
        Ok(())
    }

    pub(crate) fn set_name(&self, name: Vec<u8>) {
        self.state.lock().name = name;
    }

    pub(crate) fn name(&self) -> Vec<u8> {
        self.state.lock().name.clone()
    }

    /// `aclmdlRIDestroyRegisterCallback`
    pub(crate) fn add_callback(&self, function: Function, data: *mut c_void) -> Result<(), aclError> {
        let mut state = self.state.lock();
        if state.callbacks.iter().any(|(known, _)| std::ptr::fn_addr_eq(*known, function)) {
            drop(state);
            return Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, "this callback is registered already"));
        }
        state.callbacks.push((function, data.expose_provenance()));
        Ok(())
    }

    /// `aclmdlRIDestroyUnregisterCallback`
    pub(crate) fn remove_callback(&self, function: Function) -> Result<(), aclError> {
        let mut state = self.state.lock();
        let before = state.callbacks.len();
        state.callbacks.retain(|(known, _)| !std::ptr::fn_addr_eq(*known, function));
        let found = state.callbacks.len() < before;
        drop(state);
        if found {
            return Ok(());
        }
        Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, "this callback is not registered"))
    }

    /// `aclmdlRIDestroy` after the argument checks.
    pub(crate) fn destroy(self: &Arc<Self>) -> Result<(), aclError> {
        if self.is_captured() {
            if self.is_capturing() {
                return Err(fail(
                    sys::ACL_ERROR_RT_MODEL_CAPTURED,
                    format_args!("running instance {} is being captured", self.id),
                ));
            }
            let deadline = clock::deadline(Some(PATIENCE));
            let (state, expired) =
                self.changed
                    .wait_for_device(&self.state, self.state.lock(), deadline, |state| state.launched > 0);
            drop(state);
            if expired {
                return Err(fail(
                    sys::ACL_ERROR_RT_MODEL_RUNNING,
                    format_args!("running instance {} still runs", self.id),
                ));
            }
        }
        if INSTANCES.remove(self.handle()).is_some() {
            self.end(true);
        }
        Ok(())
    }

    /// Gives back everything. The caller has taken the handle out of the table.
    fn end(self: &Arc<Self>, tell: bool) {
        self.abort();
        let (members, groups, tasks, conditions, callbacks, capturing) = {
            let mut state = self.state.lock();
            (
                std::mem::take(&mut state.members),
                std::mem::take(&mut state.groups),
                std::mem::take(&mut state.tasks),
                std::mem::take(&mut state.conditions),
                std::mem::take(&mut state.callbacks),
                std::mem::take(&mut state.capturing),
            )
        };
        for stream in capturing {
            stream.intake().leave();
        }
        for member in members {
            member.lane.unbind();
            for node in member.lane.nodes() {
                edit::end_node(&node);
                if let node::Step::Label(label) = node.step() {
                    label.take_up();
                }
            }
            if self.is_captured() {
                STREAMS.remove(ptr::without_provenance(member.handle));
                member.stream.destroy_force();
                member.lane.clear();
            }
        }
        group::forget(&groups);
        edit::forget(&tasks);
        for (handle, condition) in conditions {
            CONDITIONS.remove(ptr::without_provenance(handle));
            condition.end();
        }
        if tell {
            for (function, data) in callbacks {
                // SAFETY: [program] the program registered the function for this, with this data.
                unsafe { function(ptr::with_exposed_provenance_mut(data)) };
            }
        }
    }

    /// `aclmdlRIAbort`: what runs is thrown away, and what waits to run too.
    pub(crate) fn abort(self: &Arc<Self>) {
        let (current, waiting, members) = {
            let mut state = self.state.lock();
            let waiting = std::mem::take(&mut state.waiting);
            (state.current.clone(), waiting, state.members.clone())
        };
        let running = current.is_some();
        for run in waiting.into_iter().chain(current) {
            run.abort();
        }
        if running {
            for member in &members {
                member.stream.discard();
            }
        }
    }

    /// What is still there of a context that goes away.
    pub(in crate::core) fn forget_context(shared: &Arc<Shared>) {
        let all = INSTANCES.select(|instance| Arc::ptr_eq(&instance.shared, shared) && !instance.is_branch());
        for (handle, instance) in all {
            if INSTANCES.remove(handle).is_some() {
                instance.end(true);
            }
        }
        label::forget_context(shared);
    }
}

/// The instance behind a handle (107017).
pub(crate) fn find(handle: *mut c_void) -> Result<Arc<Instance>, aclError> {
    INSTANCES.get(handle).ok_or_else(|| {
        fail(
            sys::ACL_ERROR_RT_INVALID_HANDLE,
            format_args!("the running instance {handle:p} {}", INSTANCES.describe(handle)),
        )
    })
}

fn code(code: aclError) -> Result<(), aclError> {
    if code == SUCCESS { Ok(()) } else { Err(code) }
}
