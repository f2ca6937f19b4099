//! Where the simulator cannot be used any more: in forked children, and late in the exit of the process.
//!
//! In a forked child the pool threads do not exist, and locks may be held by threads that do not either. When a process exits, CANN
//! destroys what it keeps in statics; who calls then finds ruins, and the simulator says so.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use ascendcl_sys::{self as sys, aclError};

use crate::check::{Misuse, misuse};
use crate::error::{self, fail};

const USUAL: u8 = 0;
const DESTROYED: u8 = 1;
const CHILD: u8 = 2;

/// What has become of this process; it only ever grows.
static STATE: AtomicU8 = AtomicU8::new(USUAL);

/// Whether this process was forked from one in which the simulator had started. Such a child gets errors, never a hang.
pub(crate) fn in_child() -> bool {
    STATE.load(Ordering::Relaxed) == CHILD
}

/// Called when the simulator starts, before anything is locked: a fork from now on cannot use it.
pub(crate) fn watch_forks() {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    extern "C" fn child() {
        STATE.fetch_max(CHILD, Ordering::Relaxed);
    }
    // Not `Once`, which a fork in the middle of it leaves locked in the child. Twice does no harm.
    if !WATCHED.load(Ordering::Acquire) {
        // SAFETY: [os] the handler only changes an atomic, which is allowed in a forked child.
        let result = unsafe { libc::pthread_atfork(None, None, Some(child)) };
        if result != 0 {
            log::warn!("cannot watch for fork: error {result}");
        }
        WATCHED.store(true, Ordering::Release);
    }
}

/// Called when the simulator starts: from here on the exit of the process finds something to destroy.
pub(crate) fn watch_exit() {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    extern "C" fn at_exit() {
        STATE.fetch_max(DESTROYED, Ordering::SeqCst);
    }
    if !WATCHED.swap(true, Ordering::AcqRel) {
        // SAFETY: [os] the handler only changes an atomic.
        unsafe { libc::atexit(at_exit) };
    }
}

/// Refuses calls that come too late (507899).
pub(crate) fn check(function: &'static str) -> Result<(), aclError> {
    match STATE.load(Ordering::Relaxed) {
        USUAL => Ok(()),
        // Before any lock, and without a text.
        CHILD => Err(sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR),
        _ => Err(too_late(function)),
    }
}

#[cold]
fn too_late(function: &'static str) -> aclError {
    let before = error::set_function(function);
    let text =
        "the process exits, and CANN has destroyed what it keeps in statics: on a card this call may crash";
    misuse(Misuse::AfterExit, text);
    let code = fail(sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR, text);
    error::set_function(before);
    code
}
