//! Putting closures into streams, and getting back what they return.

use super::{
    StreamCallbacks,
    outcome::{Job, Outcome, Task, Ticket},
    registry::Key,
    subscription::{host_trampoline, trampoline},
};
use crate::{Error, Rejected, Result, Stream, guard, runtime::acl};
use ascendcl_sys as sys;
use core::ffi::c_void;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// Whether a stream waits for its callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[doc(alias = "aclrtCallbackBlockType")]
pub enum CallbackMode {
    /// What comes after it in the stream waits until the closure has returned.
    #[default]
    #[doc(alias = "ACL_CALLBACK_BLOCK")]
    Blocking,
    /// The stream goes on at once. The Ascend 310 does not have this.
    #[doc(alias = "ACL_CALLBACK_NO_BLOCK")]
    NonBlocking,
}

impl Stream {
    /// Puts a closure into the stream. It runs on another thread once everything that was enqueued before is done; what is
    /// enqueued after it waits for it ([`CallbackMode::Blocking`]).
    ///
    /// The closure gets a thread of this crate, which serves all streams of the context: a slow closure delays the others.
    /// It must not wait for the NPU: calls into ACL answer [`Error::InCallback`] there. Handles may be dropped in it. A panic in
    /// it is caught, and given to who waits.
    ///
    /// It runs also when a task before it failed: what the device met is told by the next [`synchronize`](Stream::synchronize).
    ///
    /// The [transfers](crate::Transfer) that were enqueued before it on this stream are done when it runs: move one in, and
    /// [`wait`](crate::Transfer::wait) gives its memory back at once.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
    /// let stream = context.create_stream()?;
    /// let callback = stream.launch_callback(|| 6 * 7)?;
    /// assert_eq!(callback.wait()?, 42);
    ///
    /// let device = context.alloc_from(&[1, 2, 3])?;
    /// let download = stream.download(&device, context.alloc_pinned(3)?)?;
    /// let sum = stream.launch_callback(move || download.wait().map(|values| values.iter().sum::<i32>()))?;
    /// assert_eq!(sum.wait()??, 6);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the launch fails the closure is dropped and does not run.
    #[doc(alias = "aclrtLaunchCallback")]
    #[doc(alias = "aclrtSubscribeReport")]
    #[doc(alias = "aclrtProcessReport")]
    #[doc(alias = "aclrtUnSubscribeReport")]
    pub fn launch_callback<F, T>(&self, closure: F) -> Result<Callback<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.launch_callback_with(CallbackMode::Blocking, closure)
    }

    /// Puts a closure into the stream, and says whether the stream waits for it: see [`Stream::launch_callback`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotSupported`](crate::ErrorKind::NotSupported) for [`CallbackMode::NonBlocking`] on an Ascend 310.
    #[doc(alias = "aclrtLaunchCallback")]
    pub fn launch_callback_with<F, T>(&self, mode: CallbackMode, closure: F) -> Result<Callback<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        const OP: &str = "aclrtLaunchCallback";
        let owner = self.callbacks()?;
        let block = match mode {
            // ACL takes one or the other of a stream, and host functions block.
            CallbackMode::Blocking if owner.is_of_runtime() => return self.launch_on_runtime(owner, closure),
            CallbackMode::NonBlocking if owner.is_of_runtime() => {
                let what = "this stream has host functions, which it always waits for; launch callbacks that do not block into another stream";
                return Err(Error::Mismatch { op: OP, what: what.into() });
            }
            CallbackMode::Blocking => sys::ACL_CALLBACK_BLOCK,
            CallbackMode::NonBlocking => sys::ACL_CALLBACK_NO_BLOCK,
        };
        self.launch(OP, owner, closure, |key| {
            self.enqueue(OP, |raw| {
                // SAFETY: [key, handle] `trampoline` takes any user data and does not unwind; the key is a number, not a pointer, so it cannot
                // dangle; the stream is alive.
                unsafe { acl!(self, aclrtLaunchCallback(Some(trampoline), user_data(key), block, raw)) }
            })
        })
    }

    /// As [`Stream::launch_callback`], but a thread of ACL's runtime runs the closure: none of this crate is started, and none asks for
    /// reports. The same rules hold in it, and its [`Callback`] is the same.
    ///
    /// The runtime has one such thread for each context, besides the report thread of this crate. The stream always waits for the closure. A stream has
    /// callbacks or host functions, whatever comes first: once it has host functions, [`launch_callback`](Stream::launch_callback) launches them too. So do
    /// transfers, events and the stream itself when they are awaited.
    ///
    /// A child that is forked in the closure ends, without further ado, when the closure returns.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// # use ascendcl::{Error, ErrorKind};
    /// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
    /// let stream = context.create_stream()?;
    /// let device = context.alloc_from(&[1, 2, 3])?;
    /// let download = stream.download(&device, context.alloc_pinned(3)?)?;
    /// let closure = move || download.wait().map(|values| values.iter().sum::<i32>());
    /// match stream.launch_host_function(closure) {
    ///     Ok(sum) => assert_eq!(sum.wait()??, 6),
    ///     // An Ascend 310 has none.
    ///     Err(Error::Acl(error)) if error.code.kind() == ErrorKind::NotSupported => {}
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::MissingSymbol`] before CANN 8.3, [`ErrorKind::NotSupported`](crate::ErrorKind::NotSupported) on an Ascend 310, and [`Error::Mismatch`] when the stream has callbacks
    /// already, or something on it was awaited. The closure is dropped then, and the stream is as before: `launch_callback` does the same there.
    #[doc(alias = "aclrtLaunchHostFunc")]
    pub fn launch_host_function<F, T>(&self, closure: F) -> Result<Callback<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let owner = self.host_functions()?;
        self.launch_on_runtime(owner, closure)
    }

    fn launch_on_runtime<F, T>(&self, owner: &Arc<StreamCallbacks>, closure: F) -> Result<Callback<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let launched =
            self.launch("aclrtLaunchHostFunc", owner, closure, |key| self.launch_key_on_runtime(key));
        owner.watch();
        launched
    }

    /// Lets a thread of ACL's runtime run the closure of a key.
    pub(super) fn launch_key_on_runtime(&self, key: Key) -> Result<u64> {
        self.enqueue("aclrtLaunchHostFunc", |raw| {
            // SAFETY: [key, handle] as above: `host_trampoline` takes any number and does not unwind; the stream is alive.
            unsafe { acl!(self, aclrtLaunchHostFunc(raw, Some(host_trampoline), user_data(key))) }
        })
    }

    /// Registers a closure, and submits its key.
    fn launch<F, T>(
        &self,
        op: &'static str,
        owner: &StreamCallbacks,
        closure: F,
        submit: impl FnOnce(Key) -> Result<u64>,
    ) -> Result<Callback<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        #[cfg(feature = "tracing")]
        let closure = self.observed(op, closure);
        #[cfg(not(feature = "tracing"))]
        let _ = op;
        let job = Arc::new(Job::new(closure));
        let key = owner.register(job.clone(), self.work().issued());
        // Before the stream is asked once more whether it has failed: who finds that out abandons what it finds registered.
        self.work().publish();
        let launched = submit(key);
        owner.launched();
        match launched {
            Ok(_) => Ok(Callback { ticket: Some(job) }),
            Err(error) => {
                // It may have been submitted all the same, and even have run.
                job.abandon(None);
                // If so, a blocking callback holds up its stream until its report is processed: the entry stays, for the report or
                // for the end of the stream. After a refusal there is none to wait for.
                if error.is_refusal() {
                    owner.withdraw(key);
                }
                Err(error)
            }
        }
    }
}

/// What ACL carries for a closure.
fn user_data(key: Key) -> *mut c_void {
    key.to_bits() as usize as *mut c_void
}

#[cfg(feature = "tracing")]
impl Stream {
    /// The closure in a span, whose parent is where it is launched.
    fn observed<T>(
        &self,
        op: &'static str,
        closure: impl FnOnce() -> T + Send + 'static,
    ) -> impl FnOnce() -> T + Send + 'static {
        let span = tracing::debug_span!(
            target: "ascendcl::callback",
            "callback",
            op,
            device = self.device().id(),
            stream = ?self.as_raw(),
        );
        move || span.in_scope(closure)
    }
}

/// A callback that was launched. Gives what its closure returns: by [`wait`](Callback::wait), or as a
/// [`Future`]. Dropping it changes nothing: the closure runs all the same.
///
/// ```
/// # fn main() -> Result<(), ascendcl::Error> {
/// # let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
/// let stream = context.create_stream()?;
/// let answer = pollster::block_on(stream.launch_callback(|| "done")?)?;
/// assert_eq!(answer, "done");
/// # Ok(())
/// # }
/// ```
#[must_use = "the closure runs without it; drop it if nobody is to wait for that"]
pub struct Callback<T> {
    /// Taken when the outcome is.
    ticket: Option<Arc<dyn Ticket<T>>>,
}

impl<T: Send + 'static> Callback<T> {
    /// One of a closure that this crate runs itself, without a stream.
    pub(crate) fn of(closure: impl FnOnce() -> T + Send + 'static) -> (Callback<T>, Arc<dyn Task>) {
        let job = Arc::new(Job::new(closure));
        (Callback { ticket: Some(job.clone()) }, job)
    }
}

impl<T> Callback<T> {
    /// Waits until the closure has run.
    ///
    /// # Errors
    ///
    /// [`Error::Panicked`] if it panicked, [`Error::Abandoned`] if its stream went before it could run, [`Error::InCallback`] if
    /// called inside a callback.
    pub fn wait(self) -> Result<T> {
        guard::check("Callback::wait")?;
        match self.ticket()?.collect(None) {
            Some(outcome) => resolve(outcome),
            None => guard::check_over("Callback::wait").and(Err(Error::Abandoned { cause: None })),
        }
    }

    /// Waits until the closure has run, but no longer than `timeout`. After a timeout the error gives the callback back.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] and [`Error::InCallback`] give the callback back; [`Error::Panicked`] and [`Error::Abandoned`] are its end: see
    /// [`Callback::wait`].
    pub fn wait_timeout(self, timeout: Duration) -> Result<T, Rejected<Callback<T>>> {
        const OP: &str = "Callback::wait_timeout";
        if let Err(error) = guard::check(OP) {
            return Err(Rejected { error, returned: Some(self) });
        }
        let ticket = match self.ticket() {
            Ok(ticket) => ticket,
            Err(error) => return Err(Rejected { error, returned: None }),
        };
        match ticket.collect(Some(timeout)) {
            Some(outcome) => resolve(outcome).map_err(|error| Rejected { error, returned: None }),
            None => {
                let error = guard::check_over(OP).err().unwrap_or(Error::Timeout { op: OP, timeout });
                Err(Rejected { error, returned: Some(self) })
            }
        }
    }

    /// Whether the closure has run, panicked or been dropped, so that waiting does not wait. In a forked child it never does.
    pub fn is_finished(&self) -> bool {
        // In a forked child waiting gives an error at once, and the lock may be held by a thread that is not there.
        guard::forked() || self.ticket.as_ref().is_none_or(|ticket| ticket.has_ended())
    }

    /// Only `poll` takes it, when it gives the outcome.
    fn ticket(&self) -> Result<&Arc<dyn Ticket<T>>> {
        self.ticket.as_ref().ok_or(Error::AlreadyTaken { what: "the callback" })
    }
}

impl<T> Future for Callback<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // The thread that would run the closure is the parent's, or rests for the exit of the process: nobody would ever wake who waits here.
        if let Err(error) = guard::check_over("Callback::poll") {
            return Poll::Ready(Err(error));
        }
        match self.ticket()?.poll_collect(context.waker()) {
            Some(outcome) => {
                self.ticket = None;
                Poll::Ready(resolve(outcome))
            }
            None => Poll::Pending,
        }
    }
}

impl<T> fmt::Debug for Callback<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("finished", &self.is_finished()).finish()
    }
}

fn resolve<T>(outcome: Outcome<T>) -> Result<T> {
    match outcome {
        Outcome::Returned(value) => Ok(value),
        Outcome::Panicked(message) => Err(Error::Panicked { message }),
        Outcome::Abandoned(cause) => Err(Error::Abandoned { cause }),
    }
}
