//! [`Completion`]: awaiting a stream or an event.

use crate::{
    Callback, Event, Result, Stream,
    passing::Passing,
    record::{Place, Record},
};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// A stream has got to where it is awaited, once this future is ready: see [`Stream::completion`] and [`Event::completion`].
///
/// Dropping it changes nothing: the work goes on. Polled again after it was ready, it is ready again.
#[must_use = "nothing waits unless it is awaited"]
pub struct Completion {
    of: Of,
}

/// What is awaited.
enum Of {
    /// The operation of that number, and those before it.
    Work { stream: Stream, number: u64, passing: Passing },
    /// A record of an event: on a stream that a callback can be put into, or watched.
    Record { record: Arc<Record>, passing: Passing, watch: Option<Callback<Result<()>>> },
    /// Nothing, or nothing any more.
    Nothing,
}

impl Stream {
    /// A future that is ready when everything that was enqueued so far is done: [`synchronize`](Stream::synchronize) for tasks that must not
    /// block their thread. What is enqueued later need not be done.
    ///
    /// The first time it has to wait it puts a callback behind the work, which the report thread of the context answers; no thread waits
    /// for the stream. Like all that enqueues, that waits for room when the queue of the stream is full.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// # pollster::block_on(async {
    /// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
    /// let stream = context.create_stream()?;
    /// let buffer = context.alloc::<u8>(1 << 20)?;
    /// stream.memset(&buffer, 7)?;
    /// stream.completion().await?;
    /// assert_eq!(buffer.view(..3)?.to_vec()?, [7; 3]);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The future gives the error that a task met, with the consequences that [`Stream::synchronize`] tells, if the stream is idle then. While more
    /// work stands behind, it says that the work is done and no more: the error comes out of the next wait for the stream.
    #[doc(alias = "aclrtSynchronizeStream")]
    #[doc(alias = "aclrtLaunchCallback")]
    pub fn completion(&self) -> Completion {
        let (stream, number) = (self.clone(), self.work().issued());
        Completion { of: Of::Work { stream, number, passing: Passing::default() } }
    }
}

impl Event {
    /// A future that is ready when the latest record is reached: [`synchronize`](Event::synchronize) for tasks that must not block their thread.
    ///
    /// The latest record is that of the moment in which this is called. Recording the event again, on whichever stream, or resetting it changes nothing for
    /// the future. For an event that was never recorded it is ready at once.
    ///
    /// ACL tells nobody that an event is complete. So the future asks when it is polled first, and if it has to wait then it puts a callback behind what is
    /// on the event's stream by that time. Polled at once, by a task that was spawned for it for instance, it is ready when the event is complete;
    /// polled first with more work behind the event, when that is done too. Events of streams whose handles are gone, and those that other code recorded, are
    /// asked from time to time by a thread of this crate, every 20 ms or more often.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// # pollster::block_on(async {
    /// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
    /// let (stream, event) = (context.create_stream()?, context.create_event()?);
    /// let buffer = context.alloc::<u8>(1 << 20)?;
    /// stream.memset(&buffer, 7)?;
    /// stream.record(&event)?;
    /// let filled = event.completion();
    /// stream.memset(&buffer, 8)?; // not waited for
    /// filled.await?;
    /// # stream.synchronize()
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Stream::completion`]. If the handles of the event's stream are gone, the error that any task of it met;
    /// [`Error::Abandoned`](crate::Error::Abandoned) if it was given up after a failure.
    #[doc(alias = "aclrtSynchronizeEvent")]
    #[doc(alias = "aclrtQueryEventStatus")]
    #[doc(alias = "aclrtLaunchCallback")]
    pub fn completion(&self) -> Completion {
        let of = |record| Of::Record { record: Arc::new(record), passing: Passing::default(), watch: None };
        Completion { of: Record::last(self).map_or(Of::Nothing, of) }
    }
}

impl Future for Completion {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.of {
            Of::Work { stream, number, passing } => passing.poll(stream, *number, || Ok(false), context),
            Of::Record { record, passing, watch } => match record.place() {
                Place::On(stream, number) => passing.poll(stream, *number, || record.is_complete(), context),
                Place::Left(_) | Place::Unknown => {
                    if watch.is_none() && record.is_over()? {
                        return Poll::Ready(Ok(()));
                    }
                    let watch = watch.get_or_insert_with(|| record.watch());
                    let answer = ready!(Pin::new(watch).poll(context));
                    self.of = Of::Nothing;
                    Poll::Ready(answer.and_then(|answer| answer))
                }
            },
            Of::Nothing => Poll::Ready(Ok(())),
        }
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Completion");
        match &self.of {
            Of::Work { stream, number, .. } => {
                debug.field("stream", stream).field("done", &stream.work().passed().reaches(*number))
            }
            Of::Record { record, .. } => debug.field("event", record.event()),
            Of::Nothing => debug.field("done", &true),
        };
        debug.finish()
    }
}
