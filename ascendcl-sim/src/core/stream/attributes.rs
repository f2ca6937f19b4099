//! What a program can set on a stream and ask for again.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use ascendcl_sys::{self as sys, aclError};

use super::{Options, Stream};
use crate::error::fail;

/// Of these the simulator gives back what was set: nothing overflows here and no stream goes first.
pub(crate) struct Attributes {
    overflow_check: AtomicBool,
    tag: AtomicU32,
    cache_op_info: AtomicU32,
    priority: AtomicU32,
}

impl Attributes {
    pub(super) fn new(options: Options) -> Self {
        Self {
            overflow_check: AtomicBool::new(false),
            tag: AtomicU32::new(0),
            cache_op_info: AtomicU32::new(0),
            priority: AtomicU32::new(options.priority),
        }
    }

    pub(crate) fn overflow_check(&self) -> bool {
        self.overflow_check.load(Ordering::SeqCst)
    }

    pub(crate) fn set_overflow_check(&self, on: bool) {
        self.overflow_check.store(on, Ordering::SeqCst);
    }

    pub(crate) fn tag(&self) -> u32 {
        self.tag.load(Ordering::SeqCst)
    }

    pub(crate) fn set_tag(&self, tag: u32) {
        self.tag.store(tag, Ordering::SeqCst);
    }

    pub(crate) fn cache_op_info(&self) -> u32 {
        self.cache_op_info.load(Ordering::SeqCst)
    }

    pub(crate) fn set_cache_op_info(&self, switch: u32) {
        self.cache_op_info.store(switch, Ordering::SeqCst);
    }

    pub(crate) fn priority(&self) -> u32 {
        self.priority.load(Ordering::SeqCst)
    }

    pub(crate) fn set_priority(&self, priority: u32) {
        self.priority.store(priority, Ordering::SeqCst);
    }
}

/// Flags of streams whose tasks run only as part of a model.
pub(super) const HOLDING: u32 = sys::ACL_STREAM_PERSISTENT | sys::ACL_STREAM_CPU_SCHEDULE;

impl Stream {
    pub(crate) fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Tasks of such a stream do not run by themselves: it is run as part of a model, which takes them in order as often as it is executed.
    pub(crate) fn holds_tasks(&self) -> bool {
        self.options.flags & HOLDING != 0
    }

    /// Whether it is part of a running instance.
    pub(crate) fn is_bound(&self) -> bool {
        self.held().is_some_and(|lane| lane.is_bound())
    }

    /// 507000 if it is part of a running instance: then only the instance says what becomes of it.
    pub(crate) fn check_not_bound(&self) -> Result<(), aclError> {
        if !self.is_bound() {
            return Ok(());
        }
        Err(fail(
            sys::ACL_ERROR_RT_INTERNAL_ERROR,
            format_args!("stream {} is bound to a running instance", self.id()),
        ))
    }

    /// The host can queue nothing on such a stream.
    pub(crate) fn is_device_only(&self) -> bool {
        self.options.flags & sys::ACL_STREAM_DEVICE_USE_ONLY != 0
    }

    /// The host does not wait for such a stream: synchronising returns at once.
    pub(crate) fn is_unwatched(&self) -> bool {
        self.holds_tasks() || self.is_device_only()
    }
}
