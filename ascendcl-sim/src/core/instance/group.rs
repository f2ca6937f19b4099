//! Task groups: kernels of a capture that are issued again later, with other arguments.

use core::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ascendcl_sys::{self as sys, aclError};

use super::super::Stream;
use super::super::task::Task;
use super::node::{Node, Step};
use crate::check::Origin;
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;

static GROUPS: Table<Group> = Table::new(Kind::TaskGroup);

#[derive(Default)]
pub(crate) struct Group {
    nodes: Mutex<Vec<Arc<Node>>>,
    updating: AtomicBool,
}

/// A stream that issues the tasks of a group again.
pub(super) struct Updating {
    group: Arc<Group>,
    next: AtomicUsize,
}

impl Group {
    pub(super) fn add(&self, node: &Arc<Node>) {
        self.nodes.lock().push(Arc::clone(node));
    }
}

impl Updating {
    /// A task of `stream` takes the place of the next one of the group, when the stream gets there.
    pub(super) fn take(&self, stream: &Arc<Stream>, task: Task) -> Result<(), aclError> {
        if !task.is_kernel() {
            return Err(fail(
                sys::ACL_ERROR_RT_TASK_TYPE_NOT_SUPPORT,
                format_args!("{} is no kernel, and only kernels update a task group", task.operation()),
            ));
        }
        let node = {
            let nodes = self.group.nodes.lock();
            let next = self.next.fetch_add(1, Ordering::SeqCst);
            nodes.get(next).cloned().ok_or(nodes.len())
        };
        let node = node.map_err(|len| {
            fail(
                sys::ACL_ERROR_RT_INTERNAL_ERROR,
                format_args!("the task group has {len} tasks and is updated with more"),
            )
        })?;
        let work = move || {
            node.replace(Step::Task(task.clone()));
            Ok(())
        };
        stream.queue(Task::Work { operation: "task update", work: Arc::new(work) }, Origin::of_task())
    }
}

fn state(what: &str) -> aclError {
    fail(sys::ACL_ERROR_STREAM_TASK_GROUP_STATUS, what)
}

fn not_capturing(stream: &Stream) -> aclError {
    fail(sys::ACL_ERROR_RT_STREAM_NOT_CAPTURED, format_args!("stream {} is not capturing", stream.id()))
}

/// `aclmdlRICaptureTaskGrpBegin`
pub(crate) fn begin_group(stream: &Stream) -> Result<(), aclError> {
    let capturing = stream.intake().capturing().ok_or_else(|| not_capturing(stream))?;
    let mut group = capturing.group.lock();
    if group.is_some() {
        return Err(state("a task group of this stream is open already"));
    }
    *group = Some(Arc::default());
    capturing.instance.state.lock().open_groups.push(Arc::clone(&capturing.lane));
    Ok(())
}

/// `aclmdlRICaptureTaskGrpEnd`
pub(crate) fn end_group(stream: &Stream) -> Result<*mut c_void, aclError> {
    let capturing = stream.intake().capturing().ok_or_else(|| not_capturing(stream))?;
    let Some(group) = capturing.group.lock().take() else {
        return Err(state("no task group of this stream is open"));
    };
    let number = capturing.instance.handle().addr();
    let (error, spoiled) = {
        let mut state = capturing.instance.state.lock();
        state.open_groups.retain(|lane| !Arc::ptr_eq(lane, &capturing.lane));
        (state.group_error, state.status == super::Status::Invalidated)
    };
    if let Some(code) = error {
        return Err(fail(code, "a task could not be taken into the task group"));
    }
    if spoiled {
        return Err(fail(
            sys::ACL_ERROR_RT_STREAM_CAPTURE_INVALIDATED,
            "an error spoiled the capture that the task group is in",
        ));
    }
    let handle = GROUPS
        .insert_with(None, |_| Arc::clone(&group))
        .ok_or_else(|| fail(sys::ACL_ERROR_RT_RESOURCE_ALLOC_FAIL, "too many task groups"))?;
    for node in group.nodes.lock().iter() {
        *node.group.lock() = Some(handle.addr());
    }
    log::trace!("task group {handle:p} of running instance {number:#x}");
    capturing.instance.state.lock().groups.push(handle.addr());
    Ok(handle)
}

/// 107027 for a capturing stream, 107005 for one of a running instance.
pub(crate) fn check_single(stream: &Stream) -> Result<(), aclError> {
    if stream.intake().capturing().is_some() {
        return Err(fail(
            sys::ACL_ERROR_RT_STREAM_CAPTURED,
            format_args!("stream {} is capturing", stream.id()),
        ));
    }
    if stream.held().is_some_and(|lane| lane.is_bound()) {
        return Err(fail(
            sys::ACL_ERROR_RT_STREAM_MODEL,
            format_args!("stream {} is bound to a running instance", stream.id()),
        ));
    }
    Ok(())
}

/// `aclmdlRICaptureTaskUpdateBegin` up to the current context.
pub(crate) fn begin_update(stream: &Stream, group: *mut c_void) -> Result<(), aclError> {
    let group = GROUPS.get(group).ok_or_else(|| {
        fail(
            sys::ACL_ERROR_RT_INVALID_HANDLE,
            format_args!("the task group {group:p} {}", GROUPS.describe(group)),
        )
    })?;
    if stream.intake().updating().is_some() {
        return Err(state("the stream updates a task group already"));
    }
    if group.updating.swap(true, Ordering::SeqCst) {
        return Err(state("another stream updates this task group"));
    }
    let updating = Updating { group: Arc::clone(&group), next: AtomicUsize::new(0) };
    if !stream.intake().start_update(Arc::new(updating)) {
        group.updating.store(false, Ordering::SeqCst);
        return Err(state("the stream captures or updates already"));
    }
    Ok(())
}

/// `aclmdlRICaptureTaskUpdateEnd`
pub(crate) fn end_update(stream: &Stream) -> Result<(), aclError> {
    let Some(updating) = stream.intake().updating() else {
        return Err(state("the stream updates no task group"));
    };
    stream.intake().leave();
    updating.group.updating.store(false, Ordering::SeqCst);
    let (done, all) = (updating.next.load(Ordering::SeqCst), updating.group.nodes.lock().len());
    if done != all {
        return Err(fail(
            sys::ACL_ERROR_RT_INTERNAL_ERROR,
            format_args!("{done} of the {all} tasks of the task group were issued again"),
        ));
    }
    Ok(())
}

/// The groups of an instance that ended.
pub(super) fn forget(groups: &[usize]) {
    for &group in groups {
        GROUPS.remove(ptr::without_provenance(group));
    }
}
