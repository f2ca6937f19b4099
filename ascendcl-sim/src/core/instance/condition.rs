//! Conditions: branches and loops in captured work, decided by a number in device memory.

use core::ffi::c_void;
use std::ptr;
use std::sync::{Arc, Weak};

use ascendcl_sys::{self as sys, aclError, aclmdlRICondTaskType};

use super::super::{Context, Stream};
use super::node::Step;
use super::{INSTANCES, Instance, Origin, Status};
use crate::check::Access;
use crate::error::{fail, take_text};
use crate::handle::{Kind, Table};
use crate::lock::Mutex;
use crate::memory::{self, DeviceRange, PageSize};

pub(crate) static CONDITIONS: Table<Condition> = Table::new(Kind::Condition);

const SIZE: usize = size_of::<u64>();

pub(crate) struct Condition {
    instance: Weak<Instance>,
    address: usize,
    value: DeviceRange,
    /// What it is set to when an execution begins.
    default: Option<u64>,
    choice: Mutex<Choice>,
}

#[derive(Default)]
struct Choice {
    kind: Option<aclmdlRICondTaskType>,
    branches: Vec<Arc<Instance>>,
}

/// What a lane does at a condition.
pub(super) enum Next {
    Nothing,
    Once(Arc<Instance>),
    /// And then ask again.
    Again(Arc<Instance>),
}

impl Condition {
    /// The device memory that holds its value.
    pub(crate) fn pointer(&self) -> *mut u64 {
        ptr::with_exposed_provenance_mut(self.address)
    }

    /// 107000 if a task uses it already.
    pub(crate) fn check_unused(&self) -> Result<(), aclError> {
        if self.choice.lock().branches.is_empty() {
            return Ok(());
        }
        Err(invalid("the condition is in use already"))
    }

    pub(super) fn branches(&self) -> Vec<Arc<Instance>> {
        self.choice.lock().branches.clone()
    }

    pub(super) fn set_default(&self) {
        if let Some(default) = self.default
            && let Ok(bytes) = self.value.open(Access::WRITE)
        {
            bytes.write_from(0, &default.to_le_bytes());
        }
    }

    pub(super) fn next(&self) -> Result<Next, aclError> {
        let bytes = self.value.open(Access::READ)?.read_to_vec();
        let value = bytes.get(..SIZE).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
        let choice = self.choice.lock();
        let branch = |number: usize| choice.branches.get(number).cloned();
        Ok(match choice.kind {
            Some(sys::ACL_MODEL_RI_COND_TYPE_IF) => {
                branch(usize::from(value == 0)).map_or(Next::Nothing, Next::Once)
            }
            Some(sys::ACL_MODEL_RI_COND_TYPE_WHILE) if value != 0 => {
                branch(0).map_or(Next::Nothing, Next::Again)
            }
            Some(sys::ACL_MODEL_RI_COND_TYPE_SWITCH) => {
                usize::try_from(value).ok().and_then(branch).map_or(Next::Nothing, Next::Once)
            }
            _ => Next::Nothing,
        })
    }

    /// Its instance ended.
    pub(super) fn end(&self) {
        let branches = std::mem::take(&mut self.choice.lock().branches);
        for branch in branches {
            INSTANCES.remove(branch.handle());
            branch.end(false);
        }
        if memory::free(self.pointer().cast()).is_err() {
            // It went with its device.
            take_text();
        }
    }
}

fn invalid(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

/// `aclmdlRICondHandleCreate` after the checks of its arguments.
pub(crate) fn create_condition(
    instance: &Arc<Instance>,
    context: impl FnOnce() -> Result<Arc<Context>, aclError>,
    default: Option<u64>,
) -> Result<*mut c_void, aclError> {
    if instance.state.lock().status != Status::Capturing {
        return Err(invalid(format_args!("running instance {} is not being captured", instance.id)));
    }
    let context = context()?;
    instance.check_context(&context)?;
    let pointer = context.device().memory().allocate(SIZE, 32, PageSize::Normal)?;
    let value = memory::device_range(pointer, SIZE)?;
    value.open(Access::WRITE)?.write_from(0, &[0; SIZE]);
    let condition = Arc::new(Condition {
        instance: Arc::downgrade(instance),
        address: pointer.expose_provenance(),
        value,
        default,
        choice: Mutex::default(),
    });
    let handle = CONDITIONS
        .insert_with(None, |_| Arc::clone(&condition))
        .ok_or_else(|| fail(sys::ACL_ERROR_RT_RESOURCE_ALLOC_FAIL, "too many conditions"))?;
    instance.state.lock().conditions.push((handle.addr(), condition));
    Ok(handle)
}

/// `aclmdlRIAddCondTask` after the NULL checks: gives the handles of the branches.
pub(crate) fn add_condition(
    condition: &Arc<Condition>,
    kind: aclmdlRICondTaskType,
    size: u32,
    stream: &Arc<Stream>,
    context: &Context,
) -> Result<Vec<*mut c_void>, aclError> {
    let Some(capturing) = stream.intake().capturing() else {
        return Err(fail(
            sys::ACL_ERROR_RT_STREAM_NOT_CAPTURED,
            format_args!("stream {} is not capturing", stream.id()),
        ));
    };
    if !condition.instance.upgrade().is_some_and(|own| Arc::ptr_eq(&own, &capturing.instance)) {
        return Err(invalid("the condition was made for another capture"));
    }
    let fits = match kind {
        sys::ACL_MODEL_RI_COND_TYPE_IF => size == 1 || size == 2,
        sys::ACL_MODEL_RI_COND_TYPE_WHILE => size == 1,
        _ => size > 0,
    };
    if !fits {
        return Err(invalid(format_args!("a condition of type {} cannot have {size} branches", kind.0)));
    }
    condition.check_unused()?;
    let made: Result<Vec<_>, _> = (0..size)
        .map(|_| Instance::create(context.device(), context.shared(), Origin::Branch, None))
        .collect();
    let branches = made?;
    let handles = branches.iter().map(|branch| branch.handle()).collect();
    *condition.choice.lock() = Choice { kind: Some(kind), branches };
    capturing.add(Step::Condition(Arc::clone(condition)), stream)?;
    Ok(handles)
}
