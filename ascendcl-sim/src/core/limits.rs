//! How many cores kernels may use: set for a device, for a stream, and through a stream for a thread.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use ascendcl_sys::{self as sys, aclError, aclrtDevResLimitType};

use super::{Stream, current_context};
use crate::error::fail;
use crate::profile::Chip;

/// No limit of its own.
const NONE: u32 = u32::MAX;

/// Limits of the cube cores and of the vector cores.
#[derive(Debug)]
pub(crate) struct CoreLimits([AtomicU32; 2]);

impl CoreLimits {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU32::new(NONE) }; 2])
    }

    pub(crate) fn get(&self, kind: usize) -> Option<u32> {
        Some(self.0[kind].load(Ordering::SeqCst)).filter(|&limit| limit != NONE)
    }

    /// 107000 for more cores than the chip has.
    pub(crate) fn set(&self, chip: &Chip, kind: usize, limit: u32) -> Result<(), aclError> {
        let most = cores(chip, kind);
        if limit > most {
            return Err(fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                format_args!("value {limit} is more than the {most} cores of that kind"),
            ));
        }
        self.0[kind].store(limit, Ordering::SeqCst);
        Ok(())
    }

    pub(crate) fn reset(&self) {
        for limit in &self.0 {
            limit.store(NONE, Ordering::SeqCst);
        }
    }
}

/// Cores of a kind that a chip has.
pub(crate) fn cores(chip: &Chip, kind: usize) -> u32 {
    if kind == 0 { chip.cube_cores } else { chip.vector_cores }
}

/// The index of a kind of core (107000).
pub(crate) fn kind(kind: aclrtDevResLimitType) -> Result<usize, aclError> {
    match kind {
        sys::ACL_RT_DEV_RES_CUBE_CORE => Ok(0),
        sys::ACL_RT_DEV_RES_VECTOR_CORE => Ok(1),
        _ => Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, format_args!("type {} is no kind of core", kind.0))),
    }
}

/// Cores that kernels of a stream may use.
pub(crate) fn of_stream(stream: &Stream, kind: usize) -> u32 {
    stream.core_limits().get(kind).unwrap_or_else(|| stream.device().core_limit(kind))
}

thread_local! {
    /// The stream whose limits this thread uses.
    static USED: RefCell<Weak<Stream>> = const { RefCell::new(Weak::new()) };
}

/// `aclrtUseStreamResInCurrentThread`
pub(crate) fn use_stream(stream: &Arc<Stream>) {
    let _ = USED.try_with(|used| used.replace(Arc::downgrade(stream)));
}

/// `aclrtUnuseStreamResInCurrentThread`: nothing if the thread uses another one's.
pub(crate) fn unuse_stream(stream: &Arc<Stream>) {
    let _ = USED.try_with(|used| {
        if used.borrow().upgrade().is_some_and(|used| Arc::ptr_eq(&used, stream)) {
            used.replace(Weak::new());
        }
    });
}

/// Cores that kernels of this thread may use.
pub(crate) fn of_thread(kind: usize) -> Result<u32, aclError> {
    let used = USED.try_with(|used| used.borrow().upgrade()).ok().flatten();
    match used.and_then(|stream| stream.core_limits().get(kind)) {
        Some(limit) => Ok(limit),
        None => Ok(current_context()?.device().core_limit(kind)),
    }
}
