//! The streams of a context, for those who wait for all of them: ACL gives the error of a task to one wait, and does not say which stream
//! it was if that wait was for all.

use crate::{
    Error, Result, guard,
    turns::{TELLING, Turns},
};
use ascendcl_sys as sys;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

/// A stream, for its context.
pub(crate) trait Sibling: Send + Sync {
    /// Waits until what was enqueued is done and asked whether it went well.
    fn wait(self: Arc<Self>, timeout: Option<Duration>) -> Result<()>;

    /// Why it takes no more work.
    fn poison(&self) -> Option<Error>;

    /// A task of this stream, or of another, failed: it takes no more work.
    fn mark_failed(&self, cause: Arc<Error>);

    /// Drops the closures of a stream that failed. Runs code of the program.
    fn abandon_closures(&self);
}

/// The streams of a context, by the address of what their handles share, until that goes.
#[derive(Default)]
pub(crate) struct Siblings {
    streams: Mutex<HashMap<usize, Weak<dyn Sibling>>>,
    /// Of waits for all of them.
    turns: Turns,
}

impl Siblings {
    /// The stream is waited for, and hears of failures, until it is [forgotten](Siblings::forget).
    pub(crate) fn watch(&self, stream: Weak<dyn Sibling>) {
        self.streams().insert(stream.as_ptr().addr(), stream);
    }

    pub(crate) fn forget<S: Sibling>(&self, stream: *const S) {
        self.streams().remove(&stream.addr());
    }

    /// Waits for each stream, and then, with the C function `op`, for what is in the context besides.
    ///
    /// One by one: so an error is told to the stream that it came from. What fails later may have been on any of them.
    pub(crate) fn wait(
        &self,
        op: &'static str,
        timeout: Option<Duration>,
        all: impl FnOnce(Option<Duration>) -> Result<()>,
    ) -> Result<()> {
        let start = Instant::now();
        let left = || timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
        let mut streams = self.alive();
        streams.retain(|stream| stream.poison().is_none());
        let mut result = Ok(());
        for stream in &streams {
            match stream.clone().wait(left()) {
                Err(Error::MissingSymbol { .. }) => {}
                Err(error) if error.is_timeout() => return result.and(Err(error)),
                waited => result = result.and(waited),
            }
        }
        let Some(turn) = self.turns.take(left()) else {
            return Err(Error::Timeout { op, timeout: timeout.unwrap_or_default() });
        };
        let waited = all(left());
        if let Err(error) = &waited
            && !error.leaves_wait_undecided()
        {
            let (cause, failed) = (Arc::new(error.clone()), self.alive());
            failed.iter().for_each(|stream| stream.mark_failed(cause.clone()));
            drop(turn);
            failed.iter().for_each(|stream| stream.abandon_closures());
        } else {
            drop(turn);
        }
        let told = streams.iter().find_map(|stream| stream.poison()).map_or(Ok(()), Err);
        result.and(waited).and(told)
    }

    /// To be called after a wait for one stream that found no error: one for all streams, that is under way, may have taken it.
    pub(crate) fn let_others_tell(&self) {
        drop(self.turns.take(Some(TELLING)));
    }

    /// Those that have handles. Outside of the lock: the handle that is dropped last wants it.
    fn alive(&self) -> Vec<Arc<dyn Sibling>> {
        let streams = self.streams();
        streams.values().filter_map(Weak::upgrade).collect()
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<usize, Weak<dyn Sibling>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The streams of each context that has handles, by its address.
#[derive(Default)]
pub(crate) struct ByContext(Mutex<HashMap<usize, Weak<Siblings>>>);

impl ByContext {
    /// How many contexts there may be before those that are gone are looked for.
    const FEW: usize = 64;

    /// Those of one context: the same for all its handles.
    pub(crate) fn of(&self, context: sys::aclrtContext) -> Arc<Siblings> {
        // The lock may be held for ever by a thread of the parent. No call into ACL is made there, so nobody waits for anything.
        if guard::forked() {
            return Arc::default();
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() > Self::FEW {
            all.retain(|_, siblings| siblings.strong_count() > 0);
        }
        let known = all.entry(context.addr()).or_default();
        known.upgrade().unwrap_or_else(|| {
            let fresh = Arc::new(Siblings::default());
            *known = Arc::downgrade(&fresh);
            fresh
        })
    }
}
