//! Where and when calls into ACL are allowed: not in a forked child, not inside a callback.
//!
//! Every call of the safe layer passes [`check`], mostly through `Context::bind`; every destructor asks [`disposal`].

use crate::{Error, Result};
use std::{
    cell::Cell,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

/// Set in the child of a fork, for ever. An atomic instead of comparing process ids: a load, not a system call.
static FORKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// Watches for forks. Called before ACL is initialised; a fork before that is none of our business.
pub(crate) fn watch_forks() {
    static ONCE: Once = Once::new();
    extern "C" fn in_child() {
        FORKED.store(true, Ordering::Relaxed);
    }
    ONCE.call_once(|| {
        // SAFETY: the handler does nothing but store to a static atomic, which is allowed in a forked child, and being a plain
        // function it stays valid for the life of the process. A failure (out of memory) leaves forks unwatched, which makes
        // misuse worse but is no reason not to start.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Whether this process was forked after ACL had been initialised.
pub(crate) fn forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Refuses what must not be called here.
pub(crate) fn check(op: &'static str) -> Result<()> {
    if forked() {
        return Err(Error::Forked { op });
    }
    if in_callback() {
        return Err(Error::InCallback { op });
    }
    Ok(())
}

/// Whether this thread is running a callback. False while a thread is being torn down: then no callback runs.
pub(crate) fn in_callback() -> bool {
    IN_CALLBACK.try_with(Cell::get).unwrap_or(false)
}

/// Marks this thread as running a callback, until dropped.
pub(crate) struct InCallback {
    outer: bool,
}

impl InCallback {
    pub(crate) fn enter() -> Self {
        InCallback { outer: IN_CALLBACK.replace(true) }
    }
}

impl Drop for InCallback {
    fn drop(&mut self) {
        IN_CALLBACK.set(self.outer);
    }
}

/// What a destructor may do.
pub(crate) enum Disposal {
    /// Call ACL.
    Now,
    /// Leave it to the reaper: the thread is inside a callback.
    Later,
    /// Nothing: the handles of a forked child belong to its parent.
    Never,
}

pub(crate) fn disposal() -> Disposal {
    if forked() {
        Disposal::Never
    } else if in_callback() {
        Disposal::Later
    } else {
        Disposal::Now
    }
}
