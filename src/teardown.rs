//! What happens to a stream after its last handle is dropped: it is destroyed when its work is done.

use crate::{
    Context, Error, Event, Result, allocator,
    callback::{Listening, StreamCallbacks},
    limbo::keep_for_ever,
    reaper::Pending,
    retire::RetireQueue,
    runtime::{Site, acl},
};
use ascendcl_sys as sys;
use std::{
    any::Any,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    thread,
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

/// Pauses between questions to a stream whose wait said nothing.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// What became of a stream. Outlives it.
pub(crate) struct Fate {
    state: AtomicU8,
    /// Set before the state is.
    failure: OnceLock<Arc<Error>>,
}

impl Fate {
    const ALIVE: u8 = 0;
    /// Everything that was ever enqueued is done, and the stream is destroyed.
    const GONE: u8 = 1;
    /// Nobody will ever know whether its work is done.
    const LOST: u8 = 2;

    pub(crate) fn new() -> Self {
        Fate { state: AtomicU8::new(Self::ALIVE), failure: OnceLock::new() }
    }

    fn set(&self, fate: u8) {
        self.state.store(fate, Ordering::Release);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.state.load(Ordering::Acquire) == Self::GONE
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.state.load(Ordering::Acquire) == Self::LOST
    }

    /// What failed, of a stream that is gone or lost: a wait, or a task that nobody had waited for.
    pub(crate) fn failure(&self) -> Option<&Arc<Error>> {
        self.failure.get()
    }
}

/// A stream without handles.
pub(crate) struct Teardown {
    context: Context,
    raw: sys::aclrtStream,
    owned: bool,
    retire: RetireQueue<Kept, Event>,
    callbacks: Option<Arc<StreamCallbacks>>,
    /// Asked and given back to until the stream is destroyed.
    allocator: allocator::Slot,
    /// From when it has to be waited for, until it is over.
    listening: Option<Listening>,
    fate: Arc<Fate>,
    poisoned: bool,
    /// Since when patience runs.
    since: Option<Instant>,
}

// SAFETY: [threads] the only field that is not Send by itself is `raw`, a handle of the C library that may be used from any thread.
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
        // SAFETY: [handle, place] the caller's stream is alive; a valid place for the answer.
        unsafe { acl!(context, aclrtStreamQuery(raw, &mut status)) }?;
        return Ok(if status == sys::ACL_STREAM_STATUS_COMPLETE {
            Completion::Done
        } else {
            Completion::Pending
        });
    }
    // Before CANN 7: the shortest wait.
    // SAFETY: [handle] the caller's stream is alive.
    match unsafe { acl!(context, aclrtSynchronizeStreamWithTimeout(raw, 1)) } {
        Err(error) if error.is_timeout() => Ok(Completion::Pending),
        other => other.map(|()| Completion::Done),
    }
}

/// Asks until the work of the stream is done, or the time is over: of whom, since when, and how long. Its context must be current.
pub(crate) fn until_idle(
    context: &Context,
    raw: sys::aclrtStream,
    limit: Option<(&'static str, Instant, Duration)>,
) -> Result<()> {
    let mut pause = FIRST_PAUSE;
    while let Completion::Pending = query(context, raw)? {
        if let Some((op, start, timeout)) = limit
            && start.elapsed() >= timeout
        {
            return Err(Error::Timeout { op, timeout });
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(())
}

impl Teardown {
    pub(crate) fn new(
        context: Context,
        raw: sys::aclrtStream,
        owned: bool,
        retire: RetireQueue<Kept, Event>,
        callbacks: Option<Arc<StreamCallbacks>>,
        allocator: allocator::Slot,
        fate: Arc<Fate>,
    ) -> Self {
        Teardown {
            context,
            raw,
            owned,
            retire,
            callbacks,
            allocator,
            listening: None,
            fate,
            poisoned: false,
            since: None,
        }
    }

    /// An earlier wait failed: what the stream uses may never be freed.
    pub(crate) fn poison(&mut self, cause: Option<&Arc<Error>>) {
        self.poisoned = true;
        if let Some(cause) = cause {
            let _ = self.fate.failure.set(cause.clone());
        }
        self.retire.leak();
    }

    fn fail(&self, error: &Error) {
        // The first counts.
        let _ = self.fate.failure.set(Arc::new(error.clone()));
    }

    /// Whether closures have still to run. A stream does not wait for all of them.
    pub(crate) fn has_callbacks(&self) -> bool {
        self.callbacks.as_ref().is_some_and(|callbacks| callbacks.outstanding() > 0)
    }

    /// Asks an idle stream for the error of a task that nobody has waited for. Other code may still want to ask one that is not ours.
    fn ask_how_it_went(&self) -> Result<()> {
        if self.poisoned || !self.owned {
            return Ok(());
        }
        // SAFETY: [handle] the stream is alive.
        match unsafe { acl!(&self.context, aclrtSynchronizeStreamWithTimeout(self.raw, 1)) } {
            // It is asked whenever it is looked at, and no wait that says nothing is worth a word.
            Err(error)
                if !(error.leaves_wait_undecided() || matches!(error, Error::MissingSymbol { .. })) =>
            {
                self.fail(&error);
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// The work is done: destroys the stream, then releases what it used and drops what was still to be called.
    pub(crate) fn destroy_idle(&mut self) {
        self.listening = None;
        let callbacks = self.callbacks.take();
        self.context.release(|| {
            let mut result = Ok(());
            if let Some(thread) = callbacks.as_ref().and_then(|callbacks| callbacks.thread_id()) {
                // SAFETY: [handle] the stream is alive, and was subscribed to this thread.
                result = unsafe { acl!(&self.context, aclrtUnSubscribeReport(thread, self.raw)) };
            }
            if self.allocator.is_registered() {
                // Not forgotten with the stream: the next one may get the same handle.
                // SAFETY: [handle] the stream is alive.
                let removed = unsafe { acl!(&self.context, aclrtAllocatorUnregister(self.raw)) };
                result = result.and(removed);
            }
            if self.owned {
                // SAFETY: [once] no handle is left, nothing is queued, and this is the only destruction.
                let destroyed = unsafe { acl!(&self.context, aclrtDestroyStream(self.raw)) };
                result = result.and(destroyed);
            }
            result
        });
        if let Some(callbacks) = callbacks {
            callbacks.abandon(self.fate.failure());
        }
        let waited = self.retire.before_wait();
        self.retire.after_wait(waited);
        self.fate.set(Fate::GONE);
        std::mem::take(&mut self.allocator).end();
    }

    /// Nobody will ever know whether the work is done: the stream stays, with its context and all it uses. Only the closures go.
    fn leak(&mut self) {
        self.listening = None;
        self.fate.set(Fate::LOST);
        self.retire.leak();
        if let Some(callbacks) = self.callbacks.take() {
            // It may go on, and others may stand behind a report of it.
            if !self.fate.failure().is_some_and(|failure| failure.is_device_lost()) {
                callbacks.listen().into_iter().for_each(keep_for_ever);
            }
            callbacks.abandon(self.fate.failure());
        }
        keep_for_ever(std::mem::take(&mut self.allocator));
        keep_for_ever(self.context.clone());
    }
}

impl Pending for Teardown {
    fn try_release(&mut self) -> bool {
        let mut completion = None;
        self.context.release(|| {
            let asked = query(&self.context, self.raw);
            completion = Some(asked.inspect_err(|error| self.fail(error))?);
            if let Some(Completion::Done) = completion {
                self.ask_how_it_went()?;
            }
            Ok(())
        });
        if self.listening.is_none() && !matches!(completion, Some(Completion::Done)) {
            self.listening = self.callbacks.as_ref().and_then(|callbacks| callbacks.listen());
        }
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
