//! Callbacks: closures that run on another thread when a stream has got to them.
//!
//! [`Stream::launch_callback`] puts a closure into a stream. The context's report thread, which this crate starts and stops,
//! runs it when everything that was enqueued before is done; [`Callback`] gives what it returns.
//!
//! ACL never sees the closure: it carries a key, and whatever it does with the key — deliver it twice, late, or after it
//! said that the launch failed — the closure runs at most once. If its stream goes before, it is dropped, and
//! waiting gives [`Error::Abandoned`].

mod desk;
#[cfg(all(test, loom))]
mod desk_checks;
mod inside;
mod mailbox;
mod outcome;
mod registry;

#[cfg(not(loom))]
mod launch;
#[cfg(not(loom))]
mod lookout;
#[cfg(not(loom))]
mod subscription;
#[cfg(not(loom))]
mod worker;

pub(crate) use inside::{InCallback, in_callback};
#[cfg(not(loom))]
pub use launch::{Callback, CallbackMode};
#[cfg(not(loom))]
pub(crate) use mailbox::Listening;
#[cfg(not(loom))]
pub(crate) use outcome::Task;
#[cfg(not(loom))]
pub(crate) use subscription::{StreamCallbacks, any_outstanding, wake_all};
#[cfg(not(loom))]
pub(crate) use worker::ReportThread;
