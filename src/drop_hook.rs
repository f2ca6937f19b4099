//! Where failures in destructors are reported, which cannot return them.

use crate::{Error, Result, exit, guard, observe::event, quiet};
use std::sync::{Arc, Mutex, PoisonError};

type Hook = Arc<dyn Fn(&Error) + Send + Sync>;

static HOOK: Mutex<Option<Hook>> = Mutex::new(None);

/// Sets what is called when a destructor fails to release something, for the whole process. Without a hook such failures
/// are logged with [`log::error!`]. What the exit of the process comes before is no failure: it goes with the process.
///
/// The hook runs on the thread that drops, or on a thread of this crate, and is to be quick. As inside a callback, calls into ACL answer
/// [`Error::InCallback`] there, and what is dropped is released later. A panic in it is ignored.
///
/// ```
/// ascendcl::set_drop_error_hook(|error| eprintln!("could not release: {error}"));
/// ```
pub fn set_drop_error_hook(hook: impl Fn(&Error) + Send + Sync + 'static) {
    // There nothing is released and so nothing reported, and the lock may be held by a thread that is not there.
    if guard::forked() {
        return;
    }
    let old = HOOK.lock().unwrap_or_else(PoisonError::into_inner).replace(Arc::new(hook));
    // Outside the lock: what the old hook captured may do anything when dropped.
    drop(old);
}

#[cfg(feature = "tracing")]
fn of_acl(error: &Error) -> Option<&crate::AclError> {
    match error {
        Error::Acl(error) => Some(error),
        _ => None,
    }
}

/// Reports what a destructor could not do. An exit that has begun meanwhile, or a fork, is no failure of it.
pub(crate) fn report(error: &Error) {
    if matches!(error, Error::Exiting { .. } | Error::Forked { .. }) {
        return;
    }
    event!(ERROR, "ascendcl::drop", %error, op = of_acl(error).map(|error| error.op), device = of_acl(error).and_then(|error| error.device));
    let hook = HOOK.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match hook {
        Some(hook) => {
            // Moved in: if the hook was replaced meanwhile it is dropped here, and its captures may panic too.
            exit::outside(|| {
                // It may run on the thread that everything else it could wait for needs.
                quiet::inside(move || {
                    hook(error);
                    drop(hook);
                });
            });
        }
        None => quiet::log_error(format_args!("while releasing: {error}")),
    }
}

/// Reports the error, if there is one.
pub(crate) fn report_failure(result: Result<()>) {
    if let Err(error) = result {
        report(&error);
    }
}
