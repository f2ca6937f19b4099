//! Awaiting that a stream has passed an operation: for futures, which must not wait.

use crate::{Callback, Result, Stream};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    thread,
    time::{Duration, Instant},
};

/// How long the callback that proved an operation done may take to end, until the stream is idle and tells whether a task failed. When more work
/// stands behind it nobody waits for that.
pub(crate) const SETTLING: Duration = Duration::from_millis(50);

/// How far awaiting has got.
#[derive(Default)]
pub(crate) struct Passing {
    /// Wakes who awaits.
    done: Option<Callback<()>>,
    /// Something else than the numbers of the stream said that it is done.
    known: bool,
    /// Since when it is known to be done, and asked whether it went well.
    settling: Option<Instant>,
}

impl Passing {
    /// Ready when the operation of that number is done; with the error that a task before it met, if that can be known. Puts a callback behind the
    /// operation, the first time it has to wait. `is_done` may know earlier.
    pub(crate) fn poll(
        &mut self,
        stream: &Stream,
        number: u64,
        is_done: impl FnOnce() -> Result<bool>,
        context: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        let passed = stream.work().passed();
        if !self.known && !passed.reaches(number) {
            if self.done.is_none() {
                if is_done()? {
                    self.known = true;
                    return self.settle(stream, number, context);
                }
                self.done = Some(stream.launch_callback(|| ())?);
            }
            let Some(callback) = &mut self.done else { return Poll::Pending };
            let ran = ready!(Pin::new(callback).poll(context));
            self.done = None;
            ran?;
            // The callback came behind the operation.
            passed.advance_to(number);
        }
        self.settle(stream, number, context)
    }

    fn settle(&mut self, stream: &Stream, number: u64, context: &mut Context<'_>) -> Poll<Result<()>> {
        let checked = if self.known { stream.check_known(number) } else { stream.check_passed(number) };
        if checked? {
            return Poll::Ready(Ok(()));
        }
        if self.settling.get_or_insert_with(Instant::now).elapsed() < SETTLING {
            // The report thread may stand behind this one on its core, and only has to return from the callback.
            thread::yield_now();
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}
