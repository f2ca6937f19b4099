//! Queues, the buffers that they carry, and channels of tensors, which are queues with a format.
//!
//! - [`ring`]: a queue of messages in memory that processes share;
//! - [`registry`]: queues by their numbers, and who may use them;
//! - [`route`]: what forwards messages from queue to queue;
//! - [`buffer`]: shared buffers with chains and user data;
//! - [`dataset`] and [`channel`]: tensors, and how they are sent.

pub(crate) mod attribute;
pub(crate) mod buffer;
mod bytes;
pub(crate) mod channel;
pub(crate) mod dataset;
pub(crate) mod record;
pub(crate) mod registry;
mod ring;
pub(crate) mod route;

pub(crate) use bytes::{Source, read_from, write_to};
pub(crate) use registry::Permission;
pub(crate) use ring::{Message, USER_DATA};

use std::time::{Duration, Instant};

/// When a wait of so many milliseconds ends; negative is never.
pub(crate) fn deadline(timeout: i32) -> Option<Instant> {
    u64::try_from(timeout).ok().map(|timeout| Instant::now() + Duration::from_millis(timeout))
}

/// The device is being reset: its queues end. Gives how many there were.
pub(crate) fn release_device(device: i32) -> usize {
    registry::release_device(device)
}
