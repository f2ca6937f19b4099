//! The thread that releases what cannot be released where it was dropped: handles that die inside a callback, and streams
//! that still have work.
//!
//! It is started by the first such drop, sleeps while it has nothing to do, and never holds up anybody: destructors only
//! hand things over.

mod rounds;

#[cfg(not(loom))]
mod hand_over;

#[cfg(not(loom))]
pub(crate) use hand_over::{drain, run_later, watch};
#[cfg(not(loom))]
pub(crate) use rounds::Pending;
