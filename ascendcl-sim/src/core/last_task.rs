//! The task that a thread queued last.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Weak};

use super::instance::Node;

thread_local! {
    /// The number of the stream and of the task, if there is one.
    static LAST: Cell<Option<(i32, u64)>> = const { Cell::new(None) };
    /// Whether the last task is that of `NODE`.
    static IS_NODE: Cell<bool> = const { Cell::new(false) };
    /// The last task that was captured.
    static NODE: RefCell<Weak<Node>> = const { RefCell::new(Weak::new()) };
    /// The number of this thread for the operating system.
    static THREAD: Cell<u32> = const { Cell::new(0) };
}

/// The calling thread queued the task with this number of that stream.
pub(super) fn note(stream: i32, number: u64) {
    LAST.set(Some((stream, number)));
    IS_NODE.set(false);
}

/// The calling thread queued a task that is captured, or held.
pub(super) fn note_node(stream: i32, node: &Arc<Node>) {
    LAST.set(Some((stream, node.index as u64)));
    IS_NODE.set(true);
    // Not while the thread ends.
    let _ = NODE.try_with(|last| last.replace(Arc::downgrade(node)));
}

/// The task that the calling thread queued last, if that is captured.
pub(crate) fn node() -> Option<Arc<Node>> {
    if IS_NODE.get() { NODE.try_with(|last| last.borrow().upgrade()).ok()? } else { None }
}

/// The stream and the number of the task that the calling thread queued last. Numbers are those of a hardware queue, of 16 bits.
pub(crate) fn last() -> Option<(i32, u32)> {
    LAST.get().map(|(stream, number)| (stream, u32::from(number as u16)))
}

/// The number of the calling thread for the operating system.
pub(crate) fn thread() -> u32 {
    THREAD.with(|thread| {
        if thread.get() == 0 {
            // SAFETY: [os] no preconditions.
            thread.set(unsafe { libc::gettid() } as u32);
        }
        thread.get()
    })
}
