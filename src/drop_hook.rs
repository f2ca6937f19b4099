//! Where failures in destructors are reported, which cannot return them.

use crate::{Error, Result};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

type Hook = Arc<dyn Fn(&Error) + Send + Sync>;

static HOOK: Mutex<Option<Hook>> = Mutex::new(None);

/// Sets what is called when a destructor fails to release something, for the whole process. Without a hook such failures
/// are logged with [`log::error!`].
///
/// The hook runs on the thread that drops, or on a thread of this crate; it should be quick. A panic in it is ignored.
///
/// ```
/// ascendcl::set_drop_error_hook(|error| eprintln!("could not release: {error}"));
/// ```
pub fn set_drop_error_hook(hook: impl Fn(&Error) + Send + Sync + 'static) {
    let old = HOOK.lock().unwrap_or_else(PoisonError::into_inner).replace(Arc::new(hook));
    // Outside the lock: what the old hook captured may do anything when dropped.
    drop(old);
}

/// Reports what a destructor could not do.
pub(crate) fn report(error: &Error) {
    let hook = HOOK.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match hook {
        Some(hook) => {
            // Moved in: if the hook was replaced meanwhile it is dropped here, and its captures may panic too.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(move || hook(error))) {
                // Dropping a panic's payload may panic again.
                std::mem::forget(payload);
            }
        }
        None => log::error!("while releasing: {error}"),
    }
}

/// Reports the error, if there is one.
pub(crate) fn report_failure(result: Result<()>) {
    if let Err(error) = result {
        report(&error);
    }
}
