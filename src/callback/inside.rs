//! Whether this thread is inside a callback. Knows no ACL, so that loom can check what uses it.

use std::cell::Cell;

#[cfg(not(loom))]
thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}
#[cfg(loom)]
loom::thread_local! {
    static INSIDE: Cell<bool> = Cell::new(false);
}

/// Whether this thread is running a callback. False while a thread is being torn down: then no callback runs.
#[inline]
pub(crate) fn in_callback() -> bool {
    INSIDE.try_with(Cell::get).unwrap_or(false)
}

/// Marks this thread as running a callback, until dropped.
pub(crate) struct InCallback {
    outer: bool,
}

impl InCallback {
    pub(crate) fn enter() -> Self {
        InCallback { outer: INSIDE.with(|inside| inside.replace(true)) }
    }
}

impl Drop for InCallback {
    fn drop(&mut self) {
        INSIDE.with(|inside| inside.set(self.outer));
    }
}
