//! Forked children: the pool threads do not exist there, and locks may be held by threads that do not either.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static IN_CHILD: AtomicBool = AtomicBool::new(false);

/// Whether this process was forked from one in which the simulator had started. Such a child gets errors, never a hang.
pub(crate) fn in_child() -> bool {
    IN_CHILD.load(Ordering::Relaxed)
}

/// Called when the simulator starts: a fork from now on cannot use it.
pub(crate) fn watch() {
    extern "C" fn child() {
        IN_CHILD.store(true, Ordering::Relaxed);
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: [os] the handler only stores to an atomic, which is allowed in a forked child.
        let result = unsafe { libc::pthread_atfork(None, None, Some(child)) };
        if result != 0 {
            log::warn!("cannot watch for fork: error {result}");
        }
    });
}
