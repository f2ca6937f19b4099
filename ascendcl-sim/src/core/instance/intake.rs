//! What stands before the queue of every stream: most tasks pass; those of a capturing, persistent or updating stream go elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ascendcl_sys::aclError;

use super::super::Stream;
use super::super::task::Task;
use super::capture::Capturing;
use super::group::Updating;
use super::lane::Lane;
use super::node::Step;
use crate::lock::Mutex;

/// Where the tasks of a stream go.
#[derive(Clone, Default)]
enum Aim {
    #[default]
    Queue,
    Capture(Arc<Capturing>),
    Update(Arc<Updating>),
}

#[derive(Default)]
pub(crate) struct Intake {
    /// The lane of a persistent stream, or of a stream that a running instance runs on.
    held: Option<Arc<Lane>>,
    /// Whether `aim` is anything but the queue; looked at on each task.
    diverted: AtomicBool,
    aim: Mutex<Aim>,
}

impl Intake {
    pub(crate) fn new(holds: bool) -> Self {
        Self { held: holds.then(Arc::default), ..Self::default() }
    }

    pub(crate) fn held(&self) -> Option<&Arc<Lane>> {
        self.held.as_ref()
    }

    /// Takes the task, or gives it back to be queued.
    pub(crate) fn take(&self, stream: &Arc<Stream>, task: Task) -> Result<Option<Task>, aclError> {
        let aim = if self.diverted.load(Ordering::Acquire) { self.aim.lock().clone() } else { Aim::Queue };
        match aim {
            Aim::Queue => match &self.held {
                Some(lane) => lane.add(Step::of(task), stream).map(|_| None),
                None => Ok(Some(task)),
            },
            Aim::Capture(capturing) => capturing.add(Step::of(task), stream).map(|_| None),
            Aim::Update(updating) => updating.take(stream, task).map(|()| None),
        }
    }

    pub(crate) fn capturing(&self) -> Option<Arc<Capturing>> {
        if !self.diverted.load(Ordering::Acquire) {
            return None;
        }
        match &*self.aim.lock() {
            Aim::Capture(capturing) => Some(Arc::clone(capturing)),
            _ => None,
        }
    }

    pub(super) fn updating(&self) -> Option<Arc<Updating>> {
        match &*self.aim.lock() {
            Aim::Update(updating) => Some(Arc::clone(updating)),
            _ => None,
        }
    }

    /// Starts to capture. False if the stream captures or updates already.
    pub(super) fn enter(&self, capturing: Arc<Capturing>) -> bool {
        self.set(Aim::Capture(capturing))
    }

    /// As [`enter`](Self::enter), for updates.
    pub(super) fn start_update(&self, updating: Arc<Updating>) -> bool {
        self.set(Aim::Update(updating))
    }

    fn set(&self, wanted: Aim) -> bool {
        let mut aim = self.aim.lock();
        if !matches!(*aim, Aim::Queue) {
            return false;
        }
        *aim = wanted;
        self.diverted.store(true, Ordering::Release);
        true
    }

    /// Tasks go into the queue again.
    pub(super) fn leave(&self) {
        let mut aim = self.aim.lock();
        let before = std::mem::take(&mut *aim);
        self.diverted.store(false, Ordering::Release);
        drop(aim);
        drop(before);
    }
}

impl Step {
    /// A task as a step. What was counted when it was submitted is counted anew when it runs.
    fn of(task: Task) -> Self {
        match task {
            Task::Record { event, number } => {
                event.withdraw(number);
                Self::Record { event, external: false }
            }
            Task::Reset { event } => Self::Reset { event },
            task => Self::Task(task),
        }
    }
}
