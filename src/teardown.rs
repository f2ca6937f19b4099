//! What happens to a stream after its last handle is dropped: it is destroyed when its work is done.

use crate::{
    Context, Event, Result,
    callback::StreamCallbacks,
    reaper::Pending,
    retire::RetireQueue,
    runtime::{Site, acl},
};
use ascendcl_sys as sys;
use std::{
    any::Any,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Something that an operation uses, held for its destructor.
pub(crate) type Kept = Arc<dyn Any + Send + Sync>;

/// How long an idle stream waits for callbacks that it did not wait for itself ([`CallbackMode::NonBlocking`]).
///
/// [`CallbackMode::NonBlocking`]: crate::CallbackMode::NonBlocking
const CALLBACK_PATIENCE: Duration = Duration::from_secs(5);

/// How long a stream whose wait failed may take to become idle before it is given up.
const POISON_PATIENCE: Duration = Duration::from_secs(5);

/// A stream without handles.
pub(crate) struct Teardown {
    context: Context,
    raw: sys::aclrtStream,
    owned: bool,
    retire: RetireQueue<Kept, Event>,
    callbacks: Option<Arc<StreamCallbacks>>,
    gone: Arc<AtomicBool>,
    poisoned: bool,
    /// Since when patience runs.
    since: Option<Instant>,
}

// SAFETY: the only field that is not Send by itself is `raw`, a handle of the C library that may be used from any thread.
unsafe impl Send for Teardown {}

/// What a stream says of its work.
pub(crate) enum Completion {
    Done,
    Pending,
}

/// Asks a stream whether its work is done. Its context must be current.
pub(crate) fn query(context: &Context, raw: sys::aclrtStream) -> Result<Completion> {
    if context.api().aclrtStreamQuery.is_some() {
        let mut status = sys::ACL_STREAM_STATUS_NOT_READY;
        // SAFETY: the caller's stream is alive; a valid place for the answer.
        unsafe { acl!(context, aclrtStreamQuery(raw, &mut status)) }?;
        return Ok(if status == sys::ACL_STREAM_STATUS_COMPLETE {
            Completion::Done
        } else {
            Completion::Pending
        });
    }
    // Before CANN 7: the shortest wait.
    // SAFETY: the caller's stream is alive.
    match unsafe { acl!(context, aclrtSynchronizeStreamWithTimeout(raw, 1)) } {
        Err(error) if error.is_timeout() => Ok(Completion::Pending),
        other => other.map(|()| Completion::Done),
    }
}

impl Teardown {
    pub(crate) fn new(
        context: Context,
        raw: sys::aclrtStream,
        owned: bool,
        retire: RetireQueue<Kept, Event>,
        callbacks: Option<Arc<StreamCallbacks>>,
        gone: Arc<AtomicBool>,
    ) -> Self {
        Teardown { context, raw, owned, retire, callbacks, gone, poisoned: false, since: None }
    }

    /// An earlier wait failed: what the stream uses may never be freed.
    pub(crate) fn poison(&mut self) {
        self.poisoned = true;
        self.retire.leak();
    }

    /// Whether closures have still to run. A stream does not wait for all of them.
    pub(crate) fn has_callbacks(&self) -> bool {
        self.callbacks.as_ref().is_some_and(|callbacks| callbacks.outstanding() > 0)
    }

    /// The work is done: destroys the stream, then releases what it used and drops what was still to be called.
    pub(crate) fn destroy_idle(&mut self) {
        let callbacks = self.callbacks.take();
        self.context.release(|| {
            let mut result = Ok(());
            if let Some(callbacks) = &callbacks {
                // SAFETY: the stream is alive, and was subscribed to this thread.
                result =
                    unsafe { acl!(&self.context, aclrtUnSubscribeReport(callbacks.thread_id(), self.raw)) };
            }
            if self.owned {
                // SAFETY: no handle is left, nothing is queued, and this is the only destruction.
                let destroyed = unsafe { acl!(&self.context, aclrtDestroyStream(self.raw)) };
                result = result.and(destroyed);
            }
            result
        });
        if let Some(callbacks) = callbacks {
            callbacks.abandon();
        }
        let waited = self.retire.before_wait();
        drop(self.retire.after_wait(waited));
        self.gone.store(true, Ordering::Release);
    }

    /// Nobody will ever know whether the work is done: the stream stays, with its context and all it uses. Only the closures go.
    fn leak(&mut self) {
        self.retire.leak();
        if let Some(callbacks) = self.callbacks.take() {
            callbacks.abandon();
        }
        mem::forget(self.context.clone());
    }
}

impl Pending for Teardown {
    fn try_release(&mut self) -> bool {
        let mut completion = None;
        self.context.release(|| {
            completion = Some(query(&self.context, self.raw)?);
            Ok(())
        });
        let waiting_for = self.since.get_or_insert_with(Instant::now).elapsed();
        match completion {
            Some(Completion::Done) => {
                if self.has_callbacks() && waiting_for < CALLBACK_PATIENCE {
                    return false;
                }
                self.destroy_idle();
            }
            Some(Completion::Pending) => {
                if !self.poisoned || waiting_for < POISON_PATIENCE {
                    // Once the work is done, the callbacks get their time from then on.
                    if !self.poisoned {
                        self.since = None;
                    }
                    return false;
                }
                self.leak();
            }
            None => self.leak(),
        }
        true
    }
}
