//! The task that a thread queued last.

use std::cell::Cell;

thread_local! {
    /// The number of the stream and of the task, if there is one.
    static LAST: Cell<Option<(i32, u64)>> = const { Cell::new(None) };
    /// The number of this thread for the operating system.
    static THREAD: Cell<u32> = const { Cell::new(0) };
}

/// The calling thread queued the task with this number of that stream.
pub(super) fn note(stream: i32, number: u64) {
    LAST.set(Some((stream, number)));
}

/// The stream and the number of the task that the calling thread queued last. Numbers are those of a hardware queue, of 16 bits.
pub(crate) fn last() -> Option<(i32, u32)> {
    LAST.get().map(|(stream, number)| (stream, u32::from(number as u16)))
}

/// The number of the calling thread for the operating system.
pub(crate) fn thread() -> u32 {
    THREAD.with(|thread| {
        if thread.get() == 0 {
            // SAFETY: no preconditions.
            thread.set(unsafe { libc::gettid() } as u32);
        }
        thread.get()
    })
}
