//! [`Exceptions`]: which tasks failed on the devices, as they fail.

mod source;

pub(crate) use source::wake_all;

use crate::{Acl, AclCode, Error, Result, channel::Channel, guard};
use std::{
    fmt, future,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

/// How many exceptions wait for their receiver at most.
const CAPACITY: usize = 1024;

/// A task that failed on a device. What ACL does not know of it is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Exception {
    /// The device.
    #[doc(alias = "aclrtGetDeviceIdFromExceptionInfo")]
    pub device: Option<i32>,
    /// The number of the stream on the device: see [`Stream::id`](crate::Stream::id).
    #[doc(alias = "aclrtGetStreamIdFromExceptionInfo")]
    pub stream: Option<i32>,
    /// The number of the task in the stream.
    #[doc(alias = "aclrtGetTaskIdFromExceptionInfo")]
    pub task: Option<u32>,
    /// The thread that enqueued the task, by the number that the operating system gave it (`gettid`).
    #[doc(alias = "aclrtGetThreadIdFromExceptionInfo")]
    pub thread: Option<u32>,
    /// What went wrong. Before CANN 6 it is not told.
    #[doc(alias = "aclrtGetErrorCodeFromExceptionInfo")]
    pub code: Option<AclCode>,
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task {
            Some(task) => write!(f, "task {task}")?,
            None => write!(f, "a task")?,
        }
        if let Some(stream) = self.stream {
            write!(f, " of stream {stream}")?;
        }
        if let Some(device) = self.device {
            write!(f, " on device {device}")?;
        }
        if let Some(thread) = self.thread {
            write!(f, ", enqueued by thread {thread},")?;
        }
        match self.code {
            Some(code) => write!(f, " failed with {code}"),
            None => write!(f, " failed"),
        }
    }
}

/// Receives what fails on the devices of a backend, from when it was made on: see [`Acl::exceptions`].
///
/// Each receiver gets all of them, in order. 1024 wait for it; when it does not come for them the first ones stay, because they tell more than what
/// follows, and those that come next are dropped and [counted](Exceptions::missed).
///
/// It may be sent to another thread, or be awaited in a task. It is a handle of its [`Acl`]: [`Acl::finalize`] is refused as long as it
/// is alive.
pub struct Exceptions {
    channel: Arc<Channel<Exception>>,
    acl: Acl,
}

impl Acl {
    /// Receives from now on what fails on the devices, whichever code of the process enqueued it.
    ///
    /// The error of a task comes out of the next wait for its stream; this tells as well which task it was, and also of streams that nobody waits for. To
    /// know of a task, be there before it is enqueued. Its exception is usually there when the wait comes back, but ACL does not promise that.
    ///
    /// ACL has one function for this in a process. This call sets it, and displaces what other code may have set with
    /// `aclrtSetExceptionInfoCallback`; other code that sets its own later ends the events of all receivers, until the next call. Dropping the receivers leaves
    /// the function in place, where it does nothing.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::Duration;
    /// let acl = ascendcl::Acl::new()?;
    /// let mut exceptions = acl.exceptions()?;
    /// let context = acl.device(0)?.create_context()?;
    /// let stream = context.create_stream()?;
    /// # if acl.supports("aclrtCreateNotify") {
    /// // Nobody will record it, and the device gives up after a second.
    /// stream.wait_notify_timeout(&context.create_notify()?, Duration::from_secs(1))?;
    /// assert!(stream.synchronize().is_err());
    /// let exception = exceptions.recv_timeout(Duration::from_secs(60))?;
    /// println!("{exception}"); // task 0 of stream 1 on device 0, enqueued by thread 4711, failed with ...
    /// assert_eq!(exception.device, Some(0));
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::MissingSymbol`] when the loaded library cannot tell; [`Error::InCallback`] inside a callback.
    #[doc(alias = "aclrtSetExceptionInfoCallback")]
    pub fn exceptions(&self) -> Result<Exceptions> {
        guard::check("aclrtSetExceptionInfoCallback")?;
        let channel = Arc::new(Channel::new(CAPACITY));
        source::connect(self, &channel)?;
        Ok(Exceptions { channel, acl: self.clone() })
    }
}

impl Exceptions {
    /// Waits for the next one.
    ///
    /// # Errors
    ///
    /// [`Error::InCallback`] inside a callback, which the failing task may be waiting for.
    pub fn recv(&mut self) -> Result<Exception> {
        self.wait_for_next("Exceptions::recv", None)
    }

    /// Waits for the next one, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] when none came; otherwise as [`Exceptions::recv`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Exception> {
        self.wait_for_next("Exceptions::recv_timeout", Some(timeout))
    }

    fn wait_for_next(&mut self, op: &'static str, timeout: Option<Duration>) -> Result<Exception> {
        guard::check(op)?;
        match self.channel.receive(timeout) {
            Some(exception) => Ok(exception),
            None => {
                guard::check_over(op)?;
                Err(Error::Timeout { op, timeout: timeout.unwrap_or_default() })
            }
        }
    }

    /// The next one, if it is there. In a forked child there is none.
    pub fn try_recv(&mut self) -> Option<Exception> {
        // There the lock may be held by a thread that is not there.
        if guard::forked() { None } else { self.channel.try_receive() }
    }

    /// Those that are there.
    pub fn try_iter(&mut self) -> impl Iterator<Item = Exception> + '_ {
        std::iter::from_fn(|| self.try_recv())
    }

    /// The next one, awaited. Dropping the future loses nothing.
    ///
    /// ```no_run
    /// # async fn watch(mut exceptions: ascendcl::Exceptions) -> Result<(), ascendcl::Error> {
    /// loop {
    ///     println!("{}", exceptions.recv_async().await?);
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] in a forked child, [`Error::Exiting`] when the process exits.
    pub fn recv_async(&mut self) -> impl Future<Output = Result<Exception>> + Send + '_ {
        future::poll_fn(|context| self.poll_recv(context))
    }

    /// The same, for who writes a future or a stream.
    ///
    /// The waker is called on a thread of ACL, as inside a callback. A child that is forked in it ends, without further ado, when it returns.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Exception>> {
        if let Err(error) = guard::check_over("Exceptions::poll_recv") {
            return Poll::Ready(Err(error));
        }
        let exception = self.channel.poll_receive(context.waker());
        Poll::Ready(Ok(ready!(exception.map_or(Poll::Pending, Poll::Ready))))
    }

    /// How many were dropped because 1024 were waiting already.
    pub fn missed(&self) -> u64 {
        if guard::forked() { 0 } else { self.channel.missed() }
    }

    /// The backend whose devices it tells of.
    pub fn acl(&self) -> &Acl {
        &self.acl
    }
}

impl fmt::Debug for Exceptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exceptions").field("acl", &self.acl).field("missed", &self.missed()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_says_what_is_known() {
        let mut exception = Exception {
            device: Some(0),
            stream: Some(3),
            task: Some(7),
            thread: Some(42),
            code: Some(AclCode(507_015)),
        };
        let code = AclCode(507_015);
        assert_eq!(
            exception.to_string(),
            format!("task 7 of stream 3 on device 0, enqueued by thread 42, failed with {code}")
        );
        exception = Exception { stream: None, task: None, thread: None, code: None, ..exception };
        assert_eq!(exception.to_string(), "a task on device 0 failed");
    }
}
