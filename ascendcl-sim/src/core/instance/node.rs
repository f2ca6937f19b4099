//! Nodes: the single tasks of a running instance.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use ascendcl_sys::{self as sys, aclmdlRITaskType};

use super::super::Event;
use super::super::task::Task;
use super::condition::Condition;
use super::label::{Label, LabelList};
use super::lane::Lane;
use crate::check::Origin;
use crate::lock::Mutex;
use crate::memory::DeviceRange;

/// What a node does.
#[derive(Clone)]
pub(crate) enum Step {
    /// A task like any other.
    Task(Task),
    /// The lane gives a signal that other lanes of the same instance wait for: an event recorded while capturing.
    Signal {
        dependency: usize,
        event: Arc<Event>,
    },
    Await {
        dependency: usize,
        event: Arc<Event>,
    },
    /// An event outside of the instance. `external` ones are numbered when the execution is submitted.
    Record {
        event: Arc<Event>,
        external: bool,
    },
    Wait {
        event: Arc<Event>,
        external: bool,
        timeout: Option<Duration>,
    },
    Reset {
        event: Arc<Event>,
    },
    /// A place to jump to.
    Label(Arc<Label>),
    /// A jump to the label that device memory names.
    Jump {
        index: DeviceRange,
        count: u32,
        labels: Arc<LabelList>,
    },
    /// Another lane starts to run beside this one.
    Activate {
        lane: Weak<Lane>,
        stream: i32,
    },
    /// If the values compare so, the other lane runs and this one ends.
    Switch(Arc<Switch>),
    /// A branch or a loop over other instances.
    Condition(Arc<Condition>),
    /// The instance is done.
    End,
}

/// `aclrtSwitchStream`
pub(crate) struct Switch {
    pub(super) left: DeviceRange,
    pub(super) right: DeviceRange,
    pub(super) condition: sys::aclrtCondition,
    /// 64 bits, not 32.
    pub(super) wide: bool,
    pub(super) lane: Weak<Lane>,
}

pub(crate) struct Node {
    lane: Weak<Lane>,
    pub(crate) index: usize,
    pub(crate) sequence: u32,
    step: Mutex<Step>,
    /// An edit that `aclmdlRIUpdate` takes over: another step, or none at all.
    edit: Mutex<Option<Option<Step>>>,
    disabled: AtomicBool,
    /// Part of a task group.
    pub(super) group: Mutex<Option<usize>>,
    /// A copy of a kernel's arguments in device memory, once somebody asked for it.
    pub(super) arguments: Mutex<Option<usize>>,
    /// Its handle, once somebody asked for it.
    pub(super) handle: OnceLock<usize>,
    /// What the program has to say about it.
    pub(super) extended: Mutex<Option<String>>,
    /// Where the program queued it.
    pub(super) origin: Origin,
}

impl Node {
    pub(super) fn new(lane: &Arc<Lane>, index: usize, sequence: u32, step: Step, origin: Origin) -> Self {
        Self {
            lane: Arc::downgrade(lane),
            index,
            sequence,
            step: Mutex::new(step),
            edit: Mutex::new(None),
            disabled: AtomicBool::new(false),
            group: Mutex::new(None),
            arguments: Mutex::new(None),
            handle: OnceLock::new(),
            extended: Mutex::new(None),
            origin,
        }
    }

    pub(crate) fn lane(&self) -> Option<Arc<Lane>> {
        self.lane.upgrade()
    }

    pub(crate) fn step(&self) -> Step {
        self.step.lock().clone()
    }

    pub(super) fn replace(&self, step: Step) {
        let before = std::mem::replace(&mut *self.step.lock(), step);
        drop(before);
        super::edit::end_node(self);
    }

    /// `aclrtCacheLastTaskExtendInfo`
    pub(crate) fn extend(&self, text: String) {
        *self.extended.lock() = Some(text);
    }

    pub(super) fn is_disabled(&self) -> bool {
        self.disabled.load(Ordering::SeqCst)
    }

    pub(super) fn set_edit(&self, edit: Option<Step>) {
        *self.edit.lock() = Some(edit);
    }

    pub(super) fn take_edit(&self) {
        let edit = self.edit.lock().take();
        match edit {
            Some(Some(step)) => {
                self.disabled.store(false, Ordering::SeqCst);
                self.replace(step);
            }
            Some(None) => self.disabled.store(true, Ordering::SeqCst),
            None => {}
        }
    }

    /// What it does, in the runtime's words.
    pub(crate) fn type_name(&self) -> String {
        match &*self.step.lock() {
            Step::Task(task) => task_name(task),
            Step::Signal { .. } | Step::Record { external: false, .. } => "EVENT_RECORD".to_owned(),
            Step::Await { .. } | Step::Wait { external: false, .. } => "EVENT_WAIT".to_owned(),
            Step::Record { .. } => "EXTERNAL_EVENT_RECORD".to_owned(),
            Step::Wait { .. } => "EXTERNAL_EVENT_WAIT".to_owned(),
            Step::Reset { .. } => "EVENT_RESET".to_owned(),
            Step::Label(_) => "LABEL_SET".to_owned(),
            Step::Jump { .. } => "STREAM_LABEL_SWITCH_BY_INDEX".to_owned(),
            Step::Activate { .. } => "STREAM_ACTIVE".to_owned(),
            Step::Switch(_) => "STREAM_SWITCH".to_owned(),
            Step::Condition(_) => "CAPTURE_CONDITION".to_owned(),
            Step::End => "MODEL_END_GRAPH".to_owned(),
        }
    }

    pub(crate) fn kind(&self) -> aclmdlRITaskType {
        match &*self.step.lock() {
            Step::Task(task) if task.is_kernel() => sys::ACL_MODEL_RI_TASK_KERNEL,
            Step::Signal { .. } | Step::Record { .. } => sys::ACL_MODEL_RI_TASK_EVENT_RECORD,
            Step::Await { .. } | Step::Wait { .. } => sys::ACL_MODEL_RI_TASK_EVENT_WAIT,
            Step::Reset { .. } => sys::ACL_MODEL_RI_TASK_EVENT_RESET,
            Step::Task(Task::Write { .. }) => sys::ACL_MODEL_RI_TASK_VALUE_WRITE,
            Step::Task(Task::Wait { on, .. }) if on.as_value().is_some() => sys::ACL_MODEL_RI_TASK_VALUE_WAIT,
            _ => sys::ACL_MODEL_RI_TASK_DEFAULT,
        }
    }
}

fn task_name(task: &Task) -> String {
    if task.is_kernel() {
        return "KERNEL_AICORE".to_owned();
    }
    match task.operation() {
        "copy" | "staged copy" => "MEMCPY_ASYNC".to_owned(),
        "memset" => "MEMSET_ASYNC".to_owned(),
        "callback" => "HOSTFUNC_CALLBACK".to_owned(),
        "value write" => "MEM_WRITE_VALUE".to_owned(),
        "value wait" => "MEM_WAIT_VALUE".to_owned(),
        other => other.to_uppercase().replace([' ', '-'], "_"),
    }
}
