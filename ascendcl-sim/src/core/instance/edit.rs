//! Looking at the tasks of an instance, and changing them.

use core::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use ascendcl_sys::{
    self as sys, aclError, aclmdlRITaskParams, aclmdlRITaskType, aclrtLaunchKernelAttrId,
    aclrtLaunchKernelAttrValue,
};

use super::super::event::{EVENTS, Event};
use super::super::task::Task;
use super::super::value::ValueWait;
use super::super::{Context, Stream};
use super::node::{Node, Step};
use super::{Instance, Status};
use crate::check::Access;
use crate::error::{fail, take_text};
use crate::handle::{Kind, Table};
use crate::kernel::task::{Arguments, KernelParams, KernelTask};
use crate::memory::{self, DeviceRange, PageSize};

pub(crate) static TASKS: Table<Node> = Table::new(Kind::InstanceTask);

fn invalid(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

fn unsupported(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, what)
}

/// `aclmdlRIGetTasksByStream`: handles of all tasks of a stream of an instance.
pub(crate) fn stream_tasks(stream: &Stream) -> Result<Vec<*mut c_void>, aclError> {
    let lane = stream.held().cloned();
    let Some((lane, instance)) = lane.and_then(|lane| Some((Arc::clone(&lane), lane.instance()?))) else {
        return Err(invalid(format_args!("stream {} is not bound to a running instance", stream.id())));
    };
    if instance.is_branch() {
        return Err(unsupported("the tasks of a branch cannot be looked at"));
    }
    let mut handles = Vec::new();
    for node in lane.nodes() {
        let handle = match node.handle.get() {
            Some(&handle) => handle,
            None => {
                let made = TASKS.insert_with(None, |_| Arc::clone(&node));
                let made =
                    made.ok_or_else(|| fail(sys::ACL_ERROR_RT_RESOURCE_ALLOC_FAIL, "too many tasks"))?;
                if node.handle.set(made.addr()).is_err() {
                    TASKS.remove(made);
                } else {
                    instance.state.lock().tasks.push(made.addr());
                }
                node.handle.get().copied().unwrap_or_default()
            }
        };
        handles.push(ptr::without_provenance_mut(handle));
    }
    Ok(handles)
}

/// The task behind a handle (107017).
pub(crate) fn task(handle: *mut c_void) -> Result<Arc<Node>, aclError> {
    TASKS.get(handle).ok_or_else(|| {
        fail(sys::ACL_ERROR_RT_INVALID_HANDLE, format_args!("the task {handle:p} {}", TASKS.describe(handle)))
    })
}

/// The instance of a task, which must not be a branch.
pub(crate) fn instance_of(node: &Node) -> Result<Arc<Instance>, aclError> {
    let instance = node.lane().and_then(|lane| lane.instance());
    let instance = instance.ok_or_else(|| {
        fail(sys::ACL_ERROR_RT_INTERNAL_ERROR, "the task belongs to no running instance any more")
    })?;
    if instance.is_branch() {
        return Err(unsupported("the tasks of a branch cannot be looked at"));
    }
    Ok(instance)
}

/// `aclmdlRITaskGetType`
pub(crate) fn task_type(node: &Node) -> Result<aclmdlRITaskType, aclError> {
    instance_of(node)?;
    Ok(node.kind())
}

fn event_handle(event: &Arc<Event>) -> *mut c_void {
    EVENTS.select(|known| ptr::eq(known, &**event)).first().map_or(ptr::null_mut(), |(handle, _)| *handle)
}

/// `aclmdlRITaskGetParams`
pub(crate) fn params(node: &Node, params: &mut aclmdlRITaskParams) -> Result<(), aclError> {
    let instance = instance_of(node)?;
    params.type_ = node.kind();
    match node.step() {
        Step::Signal { event, .. } | Step::Record { event, external: false } => {
            params.__bindgen_anon_1.eventRecordTaskParams = sys::aclmdlRIEventRecordTaskParams {
                event: event_handle(&event),
                eventFlag: event.flags(),
                recordFlag: 0,
            };
        }
        Step::Record { event, .. } => {
            params.__bindgen_anon_1.eventRecordTaskParams = sys::aclmdlRIEventRecordTaskParams {
                event: event_handle(&event),
                eventFlag: event.flags(),
                recordFlag: sys::ACL_EVENT_RECORD_EXTERNAL,
            };
        }
        Step::Await { event, .. } | Step::Wait { event, external: false, .. } => {
            params.__bindgen_anon_1.eventWaitTaskParams = sys::aclmdlRIEventWaitTaskParams {
                event: event_handle(&event),
                eventFlag: event.flags(),
                waitFlag: 0,
            };
        }
        Step::Wait { event, .. } => {
            params.__bindgen_anon_1.eventWaitTaskParams = sys::aclmdlRIEventWaitTaskParams {
                event: event_handle(&event),
                eventFlag: event.flags(),
                waitFlag: sys::ACL_EVENT_WAIT_EXTERNAL,
            };
        }
        Step::Reset { event } => {
            params.__bindgen_anon_1.eventResetTaskParams = sys::aclmdlRIEventResetTaskParams {
                event: event_handle(&event),
                eventFlag: event.flags(),
                resetFlag: 0,
            };
        }
        Step::Task(Task::Write { range, value }) => {
            params.__bindgen_anon_1.valueWriteTaskParams = sys::aclmdlRIValueWriteTaskParams {
                devAddr: ptr::without_provenance_mut(range.address()),
                value,
            };
        }
        Step::Task(Task::Wait { on, .. }) if on.as_value().is_some() => {
            if let Some((range, value, flag)) = on.as_value().map(ValueWait::condition) {
                params.__bindgen_anon_1.valueWaitTaskParams = sys::aclmdlRIValueWaitTaskParams {
                    devAddr: ptr::without_provenance_mut(range.address()),
                    value,
                    flag,
                };
            }
        }
        Step::Task(Task::Kernel(kernel)) => {
            let kernel = kernel.params();
            let (args, size) = match &kernel.arguments {
                Arguments::Device { address, size, .. } => (*address, *size),
                Arguments::Host { bytes, .. } => (instance.device_copy(node, bytes)?, bytes.len()),
            };
            params.__bindgen_anon_1.kernelTaskParams = sys::aclmdlRIKernelTaskParams {
                funcHandle: kernel.function.handle(),
                cfg: ptr::null_mut(),
                args: ptr::without_provenance_mut(args),
                isHostArgs: 0,
                argsSize: size,
                numBlocks: kernel.blocks,
                rsv: [0; 10],
            };
            params.taskGrp = node.group.lock().map_or(ptr::null_mut(), ptr::without_provenance_mut);
        }
        _ => return Err(invalid(format_args!("a task of type {} has no parameters", node.type_name()))),
    }
    Ok(())
}

impl Instance {
    /// 207000 if it was not captured, 107040 while it runs.
    fn check_editable(&self) -> Result<(), aclError> {
        if self.is_built() {
            return Err(unsupported("only captured work can be edited"));
        }
        let state = self.state.lock();
        let editable = state.launched == 0 && matches!(state.status, Status::Ready | Status::Updating);
        drop(state);
        if editable {
            return Ok(());
        }
        Err(fail(
            sys::ACL_ERROR_RT_MODEL_UPDATE_FAILED,
            format_args!("running instance {} runs or is being captured", self.id),
        ))
    }
}

/// `aclmdlRITaskDisable`
pub(crate) fn disable(node: &Node) -> Result<(), aclError> {
    let instance = instance_of(node)?;
    instance.check_editable()?;
    instance.state.lock().status = Status::Updating;
    if node.kind() == sys::ACL_MODEL_RI_TASK_DEFAULT {
        instance.state.lock().status = Status::Faulty;
        return Err(invalid(format_args!("a task of type {} cannot be disabled", node.type_name())));
    }
    node.set_edit(None);
    Ok(())
}

/// What a task is to become.
pub(crate) enum Change {
    Kernel(KernelParams),
    Write { range: DeviceRange, value: u64 },
    Wait { range: DeviceRange, value: u64, how: u32 },
}

/// `aclmdlRITaskSetParams`; `read` makes sense of the parameters.
pub(crate) fn set_params(
    node: &Node,
    read: impl FnOnce(aclmdlRITaskType) -> Result<Change, aclError>,
) -> Result<(), aclError> {
    let instance = instance_of(node)?;
    instance.check_editable()?;
    // Until all has gone well.
    instance.state.lock().status = Status::Faulty;
    let kind = node.kind();
    let task = match read(kind)? {
        Change::Kernel(params) => Task::Kernel(KernelTask::new(params)),
        Change::Write { range, value } => Task::Write { range, value },
        Change::Wait { range, value, how } => {
            Task::Wait { on: ValueWait::new(range, value, how), key: 0, timeout: None }
        }
    };
    node.set_edit(Some(Step::Task(task)));
    instance.state.lock().status = Status::Updating;
    Ok(())
}

/// `aclmdlRIKernelTaskGetAttribute`
pub(crate) fn kernel_attribute(
    node: &Node,
    id: aclrtLaunchKernelAttrId,
) -> Result<aclrtLaunchKernelAttrValue, aclError> {
    let Step::Task(Task::Kernel(kernel)) = node.step() else {
        return Err(invalid(format_args!("a task of type {} is no kernel", node.type_name())));
    };
    let known = [
        sys::ACL_RT_LAUNCH_KERNEL_ATTR_SCHEM_MODE,
        sys::ACL_RT_LAUNCH_KERNEL_ATTR_DYN_UBUF_SIZE,
        sys::ACL_RT_LAUNCH_KERNEL_ATTR_DATA_DUMP,
        sys::ACL_RT_LAUNCH_KERNEL_ATTR_TIMEOUT,
        sys::ACL_RT_LAUNCH_KERNEL_ATTR_TIMEOUT_US,
    ];
    if !known.contains(&id) {
        return Err(invalid(format_args!("attribute {} of a kernel cannot be asked for", id.0)));
    }
    let config = kernel.params().config;
    let set = config.iter().find(|attribute| attribute.id == id).map(|attribute| attribute.value);
    Ok(set.unwrap_or(aclrtLaunchKernelAttrValue { rsv: [0; 4] }))
}

impl Instance {
    /// Where the arguments of a captured kernel lie in device memory.
    fn device_copy(&self, node: &Node, bytes: &[u8]) -> Result<usize, aclError> {
        let mut copy = node.arguments.lock();
        if let Some(address) = *copy {
            return Ok(address);
        }
        let pad = bytes.len().next_multiple_of(32);
        let pointer = self.device().memory().allocate(bytes.len(), pad, PageSize::Normal)?;
        memory::device_range(pointer, bytes.len())?.open(Access::WRITE)?.write_from(0, bytes);
        *copy = Some(pointer.expose_provenance());
        Ok(pointer.addr())
    }
}

/// Gives back what [`params`] made for a node.
pub(super) fn end_node(node: &Node) {
    if let Some(address) = node.arguments.lock().take()
        && memory::free(ptr::with_exposed_provenance_mut(address)).is_err()
    {
        // It went with its device.
        take_text();
    }
}

/// `aclmdlRIUpdate`
pub(crate) fn update(instance: &Instance) -> Result<(), aclError> {
    if instance.is_built() {
        return Err(unsupported("only captured work can be edited"));
    }
    if instance.is_branch() {
        return Err(unsupported("a branch cannot be updated by itself"));
    }
    let status = instance.state.lock().status;
    match status {
        Status::Ready => return Ok(()),
        Status::Updating => {}
        _ => {
            return Err(fail(
                sys::ACL_ERROR_RT_MODEL_UPDATE_FAILED,
                format_args!("running instance {} is {status:?} and cannot be updated", instance.id),
            ));
        }
    }
    for member in instance.members() {
        for node in member.lane.nodes() {
            node.take_edit();
        }
    }
    instance.state.lock().status = Status::Ready;
    Ok(())
}

/// `aclmdlRIGetStreams`: handles of the streams of an instance.
pub(crate) fn streams(instance: &Instance, context: &Context) -> Result<Vec<*mut c_void>, aclError> {
    if instance.is_branch() {
        return Err(unsupported("the streams of a branch cannot be looked at"));
    }
    instance.check_context(context)?;
    Ok(instance.members().iter().map(|member| ptr::without_provenance_mut(member.handle)).collect())
}

/// The tasks of an instance that ended.
pub(super) fn forget(tasks: &[usize]) {
    for &task in tasks {
        TASKS.remove(ptr::without_provenance(task));
    }
}
