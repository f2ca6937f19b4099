//! Code of the program that this crate runs where a panic must not go on: in destructors, on its own threads, under C. The program's
//! logger is such code too.

use crate::{callback::InCallback, limbo::keep_for_ever};
use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs `action`. Says whether it ended without a panic.
pub(crate) fn guarded(action: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(action)) {
        Ok(()) => true,
        Err(payload) => {
            discard(payload);
            false
        }
    }
}

/// The same, as inside a callback: calls into ACL are refused, because locks may be held, or this may be the thread that what they wait for needs.
pub(crate) fn inside(action: impl FnOnce()) -> bool {
    guarded(|| {
        let _inside = InCallback::enter();
        action();
    })
}

/// Drops what a panic carried: any value, whose destructor may panic again. What that carries is kept for ever, or it would never end.
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        keep_for_ever(again);
    }
}

/// As [`log::error!`].
pub(crate) fn log_error(text: fmt::Arguments<'_>) {
    inside(|| log::error!("{text}"));
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::{
        panic::panic_any,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    struct Counted(Arc<AtomicUsize>, bool);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
            if self.1 {
                panic_any(Counted(self.0.clone(), true));
            }
        }
    }

    #[test]
    fn what_a_panic_carries_is_dropped() {
        let dropped = Arc::new(AtomicUsize::new(0));
        assert!(!guarded(|| panic_any(Counted(dropped.clone(), false))));
        assert_eq!((dropped.load(Ordering::SeqCst), Arc::strong_count(&dropped)), (1, 1));
        assert!(guarded(|| ()));
    }

    #[test]
    fn payloads_that_panic_for_ever_end_here() {
        let dropped = Arc::new(AtomicUsize::new(0));
        assert!(!guarded(|| panic_any(Counted(dropped.clone(), true))));
        assert_eq!((dropped.load(Ordering::SeqCst), Arc::strong_count(&dropped)), (1, 2));
    }
}
