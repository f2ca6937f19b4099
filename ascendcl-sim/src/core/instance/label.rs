//! Labels, and what else decides where a running instance goes on.

use core::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use ascendcl_sys::{self as sys, aclError, aclrtCompareDataType, aclrtCondition};

use super::super::context::Shared;
use super::super::stream::check_stream_context as check_stream;
use super::super::{Context, Stream};
use super::lane::Lane;
use super::node::{Step, Switch};
use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;
use crate::memory::device_range;

static LABELS: Table<Label> = Table::new(Kind::Label);
static LISTS: Table<LabelList> = Table::new(Kind::LabelList);

/// Labels of a process.
const LABELS_MAX: usize = 65_535;

pub(crate) struct Label {
    shared: Arc<Shared>,
    /// It is in a list, so that it can be set.
    listed: AtomicBool,
    /// Where it was set: the lane, and the number of its node there.
    place: Mutex<Option<(Weak<Lane>, usize)>>,
}

pub(crate) struct LabelList {
    shared: Arc<Shared>,
    labels: Vec<Arc<Label>>,
}

impl Label {
    pub(super) fn place(&self) -> Option<(Arc<Lane>, usize)> {
        let place = self.place.lock();
        place.as_ref().and_then(|(lane, index)| Some((lane.upgrade()?, *index)))
    }

    /// The instance it was set in ended: it can be set again.
    pub(super) fn take_up(&self) {
        *self.place.lock() = None;
    }
}

impl LabelList {
    /// The label with this number, or the last one.
    pub(super) fn pick(&self, index: u32, count: u32) -> Option<&Arc<Label>> {
        let last = (count as usize).min(self.labels.len()).checked_sub(1)?;
        self.labels.get((index as usize).min(last))
    }
}

fn internal(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_INTERNAL_ERROR, what)
}

fn find(label: *mut c_void) -> Result<Arc<Label>, aclError> {
    LABELS.get(label).ok_or_else(|| unknown(label))
}

fn unknown(label: *mut c_void) -> aclError {
    fail(sys::ACL_ERROR_RT_INVALID_HANDLE, format_args!("the label {label:p} {}", LABELS.describe(label)))
}

fn check_label(label: &Label, context: &Context) -> Result<(), aclError> {
    if Arc::ptr_eq(&label.shared, context.shared()) {
        return Ok(());
    }
    Err(fail(sys::ACL_ERROR_RT_LABEL_CONTEXT, "the label is not one of the current context"))
}

/// `aclrtCreateLabel`
pub(crate) fn create_label(context: &Context) -> Result<*mut c_void, aclError> {
    if LABELS.select(|_| true).len() >= LABELS_MAX {
        return Err(internal(format_args!("all {LABELS_MAX} labels are in use")));
    }
    let label = Label {
        shared: Arc::clone(context.shared()),
        listed: AtomicBool::new(false),
        place: Mutex::new(None),
    };
    let registration = register(LiveKind::Label, format!("on device {}", context.device().id()));
    LABELS.insert(Arc::new(label), registration).ok_or_else(|| internal("too many labels"))
}

/// `aclrtDestroyLabel`
pub(crate) fn destroy_label(
    context: impl FnOnce() -> Result<Arc<Context>, aclError>,
    label: *mut c_void,
) -> Result<(), aclError> {
    let found = find(label)?;
    check_label(&found, &*context()?)?;
    LABELS.remove(label).map(drop).ok_or_else(|| unknown(label))
}

/// `aclrtCreateLabelList`
pub(crate) fn create_list(context: &Context, labels: Vec<Arc<Label>>) -> Result<*mut c_void, aclError> {
    for (number, label) in labels.iter().enumerate() {
        if label.listed.swap(true, Ordering::SeqCst) {
            return Err(internal(format_args!("label {number} is in a list already")));
        }
    }
    let registration = register(LiveKind::Label, format!("list of {} labels", labels.len()));
    let list = LabelList { shared: Arc::clone(context.shared()), labels };
    LISTS.insert(Arc::new(list), registration).ok_or_else(|| internal("too many lists of labels"))
}

/// The labels behind handles (107017).
pub(crate) fn find_all(labels: &[*mut c_void]) -> Result<Vec<Arc<Label>>, aclError> {
    labels.iter().map(|&label| find(label)).collect()
}

/// `aclrtDestroyLabelList`
pub(crate) fn destroy_list(list: *mut c_void) -> Result<(), aclError> {
    LISTS.remove(list).map(drop).ok_or_else(|| unknown_list(list))
}

fn unknown_list(list: *mut c_void) -> aclError {
    fail(
        sys::ACL_ERROR_RT_PARAM_INVALID,
        format_args!("the list of labels {list:p} {}", LISTS.describe(list)),
    )
}

pub(super) fn unbound(stream: &Stream) -> aclError {
    fail(
        sys::ACL_ERROR_RT_STREAM_MODEL,
        format_args!("stream {} is not bound to a running instance", stream.id()),
    )
}

/// The lane of a stream that is bound to an instance (107005).
fn bound(stream: &Stream) -> Result<&Arc<Lane>, aclError> {
    stream.held().filter(|lane| lane.is_bound()).ok_or_else(|| unbound(stream))
}

/// `aclrtSetLabel`
pub(crate) fn set_label(
    label: *mut c_void,
    stream: impl FnOnce() -> Result<Arc<Stream>, aclError>,
    context: impl FnOnce() -> Result<Arc<Context>, aclError>,
) -> Result<(), aclError> {
    let label = find(label)?;
    let stream = stream()?;
    let context = context()?;
    check_label(&label, &context)?;
    check_stream(&stream, &context)?;
    let lane = bound(&stream)?;
    let mut place = label.place.lock();
    match &*place {
        Some((other, _)) if other.as_ptr() != Arc::as_ptr(lane) => {
            return Err(internal("the label is set on another stream"));
        }
        Some(_) => return Err(internal("the label is set already")),
        None => {}
    }
    if !label.listed.load(Ordering::SeqCst) {
        return Err(internal("the label is in no list: call aclrtCreateLabelList before it is set"));
    }
    let node = lane.add(Step::Label(Arc::clone(&label)), &stream)?;
    *place = Some((Arc::downgrade(lane), node.index));
    Ok(())
}

/// `aclrtSwitchLabelByIndex`
pub(crate) fn switch_by_index(
    index: *const c_void,
    count: u32,
    list: *mut c_void,
    stream: &Stream,
    context: &Context,
) -> Result<(), aclError> {
    check_stream(stream, context)?;
    let lane = bound(stream)?;
    let labels = LISTS.get(list).ok_or_else(|| unknown_list(list))?;
    let index = device_range(index, size_of::<u32>())?;
    lane.add(Step::Jump { index, count, labels }, stream).map(drop)
}

/// `aclrtActiveStream`
pub(crate) fn activate(active: &Stream, stream: &Stream, context: &Context) -> Result<(), aclError> {
    let lane = bound(stream)?;
    let target = bound(active)?;
    check_stream(stream, context)?;
    let step = Step::Activate { lane: Arc::downgrade(target), stream: active.id() };
    lane.add(step, stream).map(drop)
}

/// `aclrtSwitchStream` after the NULL checks.
pub(crate) fn switch_stream(
    values: (*const c_void, *const c_void),
    condition: aclrtCondition,
    kind: aclrtCompareDataType,
    target: &Stream,
    stream: &Stream,
    context: impl FnOnce() -> Result<Arc<Context>, aclError>,
) -> Result<(), aclError> {
    let invalid = |what: &str, value: u32| {
        Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, format_args!("{what} {value} is unknown")))
    };
    if condition.0 > sys::ACL_RT_LESS_OR_EQUAL.0 {
        return invalid("condition", condition.0);
    }
    if kind.0 > sys::ACL_RT_SWITCH_INT64.0 {
        return invalid("data type", kind.0);
    }
    let target = bound(target)?;
    let lane = bound(stream)?;
    check_stream(stream, &*context()?)?;
    let wide = kind == sys::ACL_RT_SWITCH_INT64;
    let size = if wide { 8 } else { 4 };
    let switch = Switch {
        left: device_range(values.0, size)?,
        right: device_range(values.1, size)?,
        condition,
        wide,
        lane: Arc::downgrade(target),
    };
    lane.add(Step::Switch(Arc::new(switch)), stream).map(drop)
}

/// Labels of a context that goes away.
pub(super) fn forget_context(shared: &Arc<Shared>) {
    for (handle, _) in LABELS.select(|label| Arc::ptr_eq(&label.shared, shared)) {
        LABELS.remove(handle);
    }
    for (handle, _) in LISTS.select(|list| Arc::ptr_eq(&list.shared, shared)) {
        LISTS.remove(handle);
    }
}
