//! What the program is told when a task of a device fails.

use ascendcl_sys::{aclError, aclrtExceptionInfo};

use super::Stream;
use crate::error;
use crate::lock::Mutex;

/// The failed task. The first five fields are those that the runtime has there, for who looks into it.
#[repr(C)]
pub(crate) struct Exception {
    pub(crate) task: u32,
    pub(crate) stream: u32,
    pub(crate) thread: u32,
    pub(crate) device: u32,
    pub(crate) code: u32,
    /// What kind of kernel failed: none.
    kind: u32,
    /// Room for what the runtime says about kernels.
    kernel: [u64; 64],
}

type Callback = unsafe extern "C" fn(*mut aclrtExceptionInfo);

static CALLBACK: Mutex<Option<Callback>> = Mutex::new(None);
/// Addresses of the exceptions that callbacks are looking at, so that other pointers are noticed.
static ALIVE: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// `aclrtSetExceptionInfoCallback`; `None` for none.
pub(crate) fn set_callback(callback: Option<Callback>) {
    *CALLBACK.lock() = callback;
}

/// A task of `stream` failed that the thread with the number `thread` queued. Called on a pool thread with no lock held, before anybody
/// who waits for the stream goes on.
pub(crate) fn task_failed(stream: &Stream, thread: u32, code: aclError) {
    let Some(callback) = *CALLBACK.lock() else { return };
    let mut exception = Exception {
        task: stream.next_completed() as u32,
        stream: stream.id() as u32,
        thread,
        device: stream.device().id() as u32,
        code: code as u32,
        kind: 0,
        kernel: [0; 64],
    };
    let info = &raw mut exception;
    ALIVE.lock().push(info.addr());
    // SAFETY: the program registered the function to be called like this; the pointer is good until it returns.
    error::with_own_texts(|| unsafe { callback(info.cast()) });
    ALIVE.lock().retain(|&alive| alive != info.addr());
}

/// The exception behind a pointer that a callback got and is still looking at.
pub(crate) fn find<R>(info: *const aclrtExceptionInfo, look: impl FnOnce(&Exception) -> R) -> Option<R> {
    let alive = ALIVE.lock();
    if !alive.contains(&info.addr()) {
        return None;
    }
    // SAFETY: the address is in the list, so that the pointer is the one that a callback got; it leaves the list before it dies.
    Some(look(unsafe { &*info.cast::<Exception>() }))
}
