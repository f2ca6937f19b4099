//! What the program gave to be kept as long as a device uses something.
//!
//! It is dropped where this crate finds out that the device is done: by a thread that waits for a stream, in the middle of another operation, with its locks
//! held, or by the reaper, which everything else may be waiting for. So it is dropped as closures are: calls into ACL are refused, what it owns is released later, and
//! a panic ends here.

use crate::{exit, quiet};

/// Drops what is in it as inside a callback.
pub(crate) struct Owned<T>(Option<T>);

impl<T> Owned<T> {
    pub(crate) fn new(thing: T) -> Self {
        Owned(Some(thing))
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        let Some(thing) = self.0.take() else { return };
        exit::outside(|| {
            if !quiet::inside(move || drop(thing)) {
                quiet::log_error(format_args!("what was kept for a device panicked when it was dropped"));
            }
        });
    }
}
