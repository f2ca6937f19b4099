//! [`Transfer`]: asynchronous copies between host and device.
//!
//! The host side is page-locked memory that the copy takes and gives back. The device side stays usable, so that what comes next can be
//! enqueued behind the copy at once; the copy is one of its owners.

use super::{DeviceCopy, DeviceMemory, DeviceView, PinnedBuffer, check_len};
use crate::{
    Error, Rejected, Result, Stream, guard,
    passing::{Passing, SETTLING},
    runtime::acl,
    teardown::Kept,
};
use ascendcl_sys as sys;
use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
    time::{Duration, Instant},
};

/// What must have as many elements as what.
const PINNED: &str = "elements in the pinned memory, as many as in the device memory";

/// An asynchronous copy that owns its host memory until it is done: see [`Stream::upload`] and [`Stream::download`].
///
/// [`wait`](Transfer::wait) for it, or await it, to get the memory back. Dropping it does not wait: the memory is freed when the stream has
/// passed the copy. Forgetting it leaks.
///
/// A stream goes on after a task that failed, unless [told otherwise](Stream::set_failure_mode), and ACL tells the error only to who waits
/// until the stream is idle. `wait` and `wait_timeout` do that. A transfer that a callback behind it has shown done, because it is awaited, or waited for
/// in that callback or after it, is known to be done and no more while there is other work on the stream: the error comes out of the next wait for the stream.
#[must_use = "the host memory comes back from `wait`; dropped, it is freed when the copy is done"]
pub struct Transfer<T: DeviceCopy> {
    stream: Stream,
    /// The number of the copy in its stream; 0 if there was nothing to copy.
    number: u64,
    /// Taken when it is given back.
    pinned: Option<PinnedBuffer<T>>,
    device: Arc<DeviceMemory>,
    /// For who awaits.
    passing: Passing,
}

impl Stream {
    /// Enqueues a copy from page-locked host memory to device memory.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
    /// let stream = context.create_stream()?;
    /// let device = context.alloc::<f32>(3)?;
    /// let upload = stream.upload(context.alloc_pinned_from(&[1.0, 2.0, 3.0])?, &device)?;
    /// let download = stream.download(&device, context.alloc_pinned(3)?)?;
    /// assert_eq!(download.wait()?[..], [1.0, 2.0, 3.0]);
    /// let pinned = upload.wait()?; // to be filled again
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the lengths differ, [`Error::Mismatch`] if the memory is on another device. The host memory comes back in the error,
    /// unless the copy may be running.
    #[doc(alias = "aclrtMemcpyAsync")]
    pub fn upload<T: DeviceCopy>(
        &self,
        from: PinnedBuffer<T>,
        to: &DeviceView<T>,
    ) -> Result<Transfer<T>, Rejected<PinnedBuffer<T>>> {
        self.transfer(from, to, sys::ACL_MEMCPY_HOST_TO_DEVICE)
    }

    /// Enqueues a copy from device memory to page-locked host memory. See [`Stream::upload`].
    ///
    /// # Errors
    ///
    /// As [`Stream::upload`].
    #[doc(alias = "aclrtMemcpyAsync")]
    pub fn download<T: DeviceCopy>(
        &self,
        from: &DeviceView<T>,
        to: PinnedBuffer<T>,
    ) -> Result<Transfer<T>, Rejected<PinnedBuffer<T>>> {
        self.transfer(to, from, sys::ACL_MEMCPY_DEVICE_TO_HOST)
    }

    fn transfer<T: DeviceCopy>(
        &self,
        pinned: PinnedBuffer<T>,
        device: &DeviceView<T>,
        kind: sys::aclrtMemcpyKind,
    ) -> Result<Transfer<T>, Rejected<PinnedBuffer<T>>> {
        const OP: &str = "aclrtMemcpyAsync";
        let bytes = device.byte_len();
        let checked = check_len(OP, PINNED, device.len(), pinned.len()).map(|()| (bytes > 0).then_some(()));
        begin_transfer(
            self,
            OP,
            pinned,
            device,
            checked,
            |pinned, ()| {
                let (dst, capacity, src) = if kind == sys::ACL_MEMCPY_HOST_TO_DEVICE {
                    (device.as_raw(), device.capacity(), pinned.address())
                } else {
                    (pinned.address(), bytes, device.as_raw())
                };
                self.enqueue(OP, |raw| {
                    // SAFETY: [queued] both sides hold `bytes` bytes. The host side belongs to the transfer, which nobody can look into, and then to
                    // the stream, until the copy is done; the device side has them as owners.
                    unsafe { acl!(self, aclrtMemcpyAsync(dst, capacity, src, bytes, kind, raw)) }
                })
            },
            Error::is_refusal,
        )
    }
}

/// Takes the host side, and puts a copy between both into the stream with `enqueue`, which gives its number. What is to be copied was checked against both;
/// `None` if that is nothing.
pub(super) fn begin_transfer<T: DeviceCopy, C>(
    stream: &Stream,
    op: &'static str,
    pinned: PinnedBuffer<T>,
    device: &DeviceView<T>,
    checked: Result<Option<C>>,
    enqueue: impl FnOnce(&PinnedBuffer<T>, &C) -> Result<u64>,
    is_refused: impl FnOnce(&Error) -> bool,
) -> Result<Transfer<T>, Rejected<PinnedBuffer<T>>> {
    let fits = checked.and_then(|checked| {
        stream.check_memory(op, device.context())?;
        // Of any device, but page-locked by this backend.
        stream.context().check_backend(op, "memory", pinned.context())?;
        Ok(checked)
    });
    let checked = match fits {
        Ok(checked) => checked,
        Err(error) => return Err(Rejected { error, returned: Some(pinned) }),
    };
    let mut transfer = Transfer {
        stream: stream.clone(),
        number: 0,
        device: device.memory().clone(),
        pinned: None,
        passing: Passing::default(),
    };
    if let Some(checked) = checked {
        match enqueue(&pinned, &checked) {
            Ok(number) => transfer.number = number,
            Err(error) if is_refused(&error) => {
                return Err(Rejected { error, returned: Some(pinned) });
            }
            // It may be running all the same: the stream keeps both sides.
            Err(error) => {
                let bytes = mem::size_of_val(&*pinned);
                let owners = [pinned.into_memory() as Kept, transfer.device.clone()];
                stream.keep(owners, bytes);
                return Err(Rejected { error, returned: None });
            }
        }
    }
    transfer.pinned = Some(pinned);
    // For the transfers that were dropped.
    stream.tidy();
    Ok(transfer)
}

impl<T: DeviceCopy> Transfer<T> {
    /// Waits until the copy is done, and gives the host memory back. Waits for everything that is on the stream by now, unless a callback that came
    /// behind the copy has shown it done: then it does not wait.
    ///
    /// # Errors
    ///
    /// If the stream met an error the memory is leaked, because the copy may still be running. [`Error::InCallback`] inside a callback
    /// that did not come behind the copy on the same stream: nothing can be waited for there.
    #[doc(alias = "aclrtSynchronizeStream")]
    pub fn wait(mut self) -> Result<PinnedBuffer<T>> {
        if !self.is_known_done() && self.pinned.is_some() {
            Self::check_callback()?;
            self.stream.synchronize()?;
        }
        self.finish()
    }

    /// Waits until the copy is done, but no longer than `timeout`. After a timeout the error gives the transfer back.
    ///
    /// # Errors
    ///
    /// After a timeout, and for [`Error::InCallback`], the error gives the transfer back. If the stream met an error the memory is leaked: see
    /// [`Transfer::wait`].
    #[doc(alias = "aclrtSynchronizeStreamWithTimeout")]
    #[allow(clippy::result_large_err, reason = "the error gives the transfer back, by value as it came")]
    pub fn wait_timeout(mut self, timeout: Duration) -> Result<PinnedBuffer<T>, Rejected<Transfer<T>>> {
        if self.is_known_done() {
            if let Err(error) = self.settle() {
                return Err(Rejected { error, returned: None });
            }
        } else if let Err(error) =
            Self::check_callback().and_then(|()| self.stream.synchronize_timeout(timeout))
        {
            // A poisoned stream will never say that the copy is done.
            let returned = if self.stream.work().is_poisoned() { None } else { Some(self) };
            return Err(Rejected { error, returned });
        }
        self.give_back().map_err(|error| Rejected { error, returned: None })
    }

    /// Whether the copy is done, so that waiting does not wait.
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`] after a wait for the stream that failed; [`Error::InCallback`] inside a callback that did not come behind the copy
    /// on the same stream.
    #[doc(alias = "aclrtStreamQuery")]
    pub fn is_done(&self) -> Result<bool> {
        Ok(self.is_known_done() || self.stream.is_idle()?)
    }

    /// Inside a callback nothing can be waited for; copies that the callback came behind need not be.
    fn check_callback() -> Result<()> {
        guard::check("waiting for a Transfer of another stream, or of after the callback,")
    }

    fn is_known_done(&self) -> bool {
        self.stream.work().passed().reaches(self.number)
    }

    fn give_back(&mut self) -> Result<PinnedBuffer<T>> {
        self.pinned.take().ok_or(Error::AlreadyTaken { what: "the transfer" })
    }

    /// The copy is done: tells the error that came before it, if there is one and it can be known, or gives the memory back.
    fn finish(&mut self) -> Result<PinnedBuffer<T>> {
        self.settle()?;
        self.give_back()
    }

    fn settle(&self) -> Result<()> {
        let start = Instant::now();
        while self.pinned.is_some() && !self.stream.check_passed(self.number)? && start.elapsed() < SETTLING {
            thread::sleep(Duration::from_micros(20));
        }
        Ok(())
    }
}

// Nothing in it is pinned: the values lie in memory of their own.
impl<T: DeviceCopy> Unpin for Transfer<T> {}

impl<T: DeviceCopy> Future for Transfer<T> {
    type Output = Result<PinnedBuffer<T>>;

    /// Awaiting puts a callback behind the copy, the first time it has to wait.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.pinned.is_some() {
            let Transfer { stream, number, passing, .. } = &mut *self;
            ready!(passing.poll(stream, *number, || Ok(false), context))?;
        }
        Poll::Ready(self.give_back())
    }
}

impl<T: DeviceCopy> Drop for Transfer<T> {
    fn drop(&mut self) {
        let Some(pinned) = self.pinned.take() else { return };
        // In a forked child the memory belongs to the parent, and the queue's lock may be held for ever. At exit nothing is freed.
        if !self.is_known_done() && !guard::is_over() {
            let bytes = mem::size_of_val(&*pinned);
            self.stream.keep_beside(pinned.into_memory(), &self.device, bytes);
        }
    }
}

impl<T: DeviceCopy> fmt::Debug for Transfer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transfer").field("stream", &self.stream).field("done", &self.is_known_done()).finish()
    }
}
