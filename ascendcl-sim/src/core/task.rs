//! What a stream's queue holds.

use std::sync::Arc;
use std::time::Duration;

use ascendcl_sys::aclError;

use super::Event;
use super::report::Launch;
use super::wait::Waitable;
use crate::check::Origin;
use crate::check::fault::TaskFault;
use crate::kernel::task::KernelTask;
use crate::memory::{DeviceRange, Place, Transfer};

/// Work of a kind that has no variant of its own. Captured work runs again and again.
pub(crate) type Work = Arc<dyn Fn() -> Result<(), aclError> + Send + Sync>;

/// A task in a queue.
pub(crate) struct Queued {
    pub(crate) task: Task,
    pub(crate) origin: Origin,
    pub(crate) fault: Option<Box<TaskFault>>,
}

// It is moved a few times on its way: what is larger is moved by a call.
const _: () = assert!(size_of::<Queued>() <= 128);

/// One task. The common ones own nothing but references, so that queueing them allocates nothing.
#[derive(Clone)]
pub(crate) enum Task {
    Copy(Transfer),
    Set { place: Place, byte: u8 },
    Record { event: Arc<Event>, number: u64 },
    Wait { on: Arc<dyn Waitable>, key: u64, timeout: Option<Duration> },
    Reset { event: Arc<Event> },
    Callback(Launch),
    Kernel(Arc<KernelTask>),
    Write { range: DeviceRange, value: u64 },
    Work { operation: &'static str, work: Work },
}

impl Task {
    /// The C function or operation it comes from.
    pub(crate) fn operation(&self) -> &'static str {
        match self {
            Self::Copy(_) => "copy",
            Self::Set { .. } => "memset",
            Self::Record { .. } => "event record",
            Self::Wait { on, .. } => on.operation(),
            Self::Reset { .. } => "event reset",
            Self::Callback(_) => "callback",
            Self::Kernel(_) => "kernel",
            Self::Write { .. } => "value write",
            Self::Work { operation, .. } => operation,
        }
    }

    /// Whether it runs code that may take any time, or wait for what the program does next.
    pub(crate) fn may_take_long(&self) -> bool {
        matches!(self, Self::Kernel(_) | Self::Work { .. })
    }

    /// Whether a thread that waits for it may as well run it: it is short, needs no deep stack, and calls nothing of the program.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(
            self,
            Self::Copy(_) | Self::Set { .. } | Self::Record { .. } | Self::Wait { .. } | Self::Reset { .. }
        )
    }

    /// Whether it is done, or waits, in next to no time.
    pub(crate) fn is_instant(&self) -> bool {
        matches!(self, Self::Record { .. } | Self::Wait { .. } | Self::Reset { .. } | Self::Callback(_))
    }

    /// Whether it is one of a kind that task groups take.
    pub(crate) fn is_kernel(&self) -> bool {
        matches!(self, Self::Kernel(_))
    }

    /// Entries it takes in a stream's queue. A blocking callback is several commands: post, wait, acknowledge.
    pub(crate) fn slots(&self) -> usize {
        match self {
            Self::Callback(launch) if launch.is_blocking() => 4,
            _ => 1,
        }
    }

    /// It will never run. Waiters for its record go on; a callback's function is never called.
    pub(crate) fn abandon(self) {
        match self {
            Self::Record { event, number } => event.abandon(number),
            Self::Wait { on, key, .. } => {
                let _ = on.over(key);
            }
            _ => {}
        }
    }
}
