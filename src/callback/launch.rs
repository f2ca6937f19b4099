//! Putting closures into streams, and getting back what they return.

use super::{
    outcome::{Job, Outcome, Task, Ticket},
    subscription::trampoline,
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
        let owner = self.callbacks()?;
        let block = match mode {
            CallbackMode::Blocking => sys::ACL_CALLBACK_BLOCK,
            CallbackMode::NonBlocking => sys::ACL_CALLBACK_NO_BLOCK,
        };
        let job = Arc::new(Job::new(closure));
        let key = owner.register(job.clone(), self.issued());
        let launched = self.enqueue("aclrtLaunchCallback", |raw| {
            // SAFETY: `trampoline` takes any user data and does not unwind; the key is a number, not a pointer, so it cannot
            // dangle; the stream is alive.
            unsafe {
                acl!(
                    self,
                    aclrtLaunchCallback(Some(trampoline), key.to_bits() as usize as *mut c_void, block, raw)
                )
            }
        });
        match launched {
            Ok(_) => Ok(Callback { ticket: Some(job) }),
            Err(error) => {
                // It may have been submitted all the same, and even have run.
                job.abandon();
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
#[must_use = "the closure runs without it, but whether it did is only known by waiting"]
pub struct Callback<T> {
    /// Taken when the outcome is.
    ticket: Option<Arc<dyn Ticket<T>>>,
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
        match self.ticket().collect(None) {
            Some(outcome) => resolve(outcome),
            None => Err(Error::Abandoned),
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
        match self.ticket().collect(Some(timeout)) {
            Some(outcome) => resolve(outcome).map_err(|error| Rejected { error, returned: None }),
            None => Err(Rejected { error: Error::Timeout { op: OP, timeout }, returned: Some(self) }),
        }
    }

    /// Whether the closure has run, panicked or been dropped, so that waiting does not wait.
    pub fn is_finished(&self) -> bool {
        self.ticket.as_ref().is_none_or(|ticket| ticket.has_ended())
    }

    fn ticket(&self) -> &Arc<dyn Ticket<T>> {
        // Only `poll` takes it, when it gives the outcome; a future that gave its outcome is not to be used again.
        self.ticket.as_ref().expect("a callback is not used after it gave its result")
    }
}

impl<T> Future for Callback<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // The thread that would run the closure is the parent's: nobody would ever wake who waits here.
        if guard::forked() {
            return Poll::Ready(Err(Error::Forked { op: "Callback::poll" }));
        }
        match self.ticket().poll_collect(context.waker()) {
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
        Outcome::Abandoned => Err(Error::Abandoned),
    }
}
