//! What a stream can wait for.
//!
//! A wait is a task with something to wait on and a key, which says what about it: the number of a record, a condition on a counter.
//! Events, notifies, counters and values in memory all take this way, so that time-outs, cancelling and tear-down are written
//! once, in the stream's turn.

use std::sync::Arc;

use ascendcl_sys::aclError;

use super::stream::{Signal, Stream};
use super::value::ValueWait;
use crate::check::Mark;

/// Something that streams wait for.
pub(crate) trait Waitable: Send + Sync {
    /// What the wait is called in texts.
    fn operation(&self) -> &'static str;

    /// What is waited for, with an article.
    fn what(&self) -> &'static str;

    /// What those knew who made it pass.
    fn mark(&self) -> &Mark;

    /// The value it is, if it is one in memory.
    fn as_value(&self) -> Option<&ValueWait> {
        None
    }

    /// Whether a wait with `key` passes without being queued anywhere. Only what waiting does not use up may say so.
    fn passed(&self, _key: u64) -> bool {
        false
    }

    /// True if the wait passes at once; otherwise `stream` gets a signal with `ticket` when it does.
    fn pass_or_enlist(&self, key: u64, stream: &Arc<Stream>, ticket: u64) -> bool;

    /// The stream waits no longer, or never did.
    fn delist(&self, stream: &Stream, ticket: u64);

    /// The wait is over, one way or the other: called once for each wait that was queued. What it gives counts only if the wait passed.
    fn over(&self, _key: u64) -> Result<(), aclError> {
        Ok(())
    }
}

/// What never comes: streams that an injected fault stopped wait for it.
#[derive(Default)]
pub(crate) struct Never(Mark);

impl Waitable for Never {
    fn operation(&self) -> &'static str {
        "stopped"
    }

    fn what(&self) -> &'static str {
        "nothing: an injected fault stopped it"
    }

    fn mark(&self) -> &Mark {
        &self.0
    }

    fn pass_or_enlist(&self, _: u64, _: &Arc<Stream>, _: u64) -> bool {
        false
    }

    fn delist(&self, _: &Stream, _: u64) {}
}

/// A stream that waits.
pub(crate) struct Waiter {
    stream: Arc<Stream>,
    ticket: u64,
}

impl Waiter {
    pub(crate) fn new(stream: &Arc<Stream>, ticket: u64) -> Self {
        Self { stream: Arc::clone(stream), ticket }
    }

    pub(crate) fn is(&self, stream: &Stream, ticket: u64) -> bool {
        self.ticket == ticket && std::ptr::eq(&*self.stream, stream)
    }

    /// Tells it that its wait passed. False if it does not wait any more: then nothing was given to it. A stream's lock comes
    /// after that of what it waits for.
    pub(crate) fn wake(&self) -> bool {
        self.stream.signal(self.ticket, Signal::Woken)
    }
}
