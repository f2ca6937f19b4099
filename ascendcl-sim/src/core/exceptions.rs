//! What the program is told when a task of a device fails.

use core::ffi::c_void;

use ascendcl_sys::{aclError, aclrtExceptionInfo, aclrtFuncHandle};

use super::Stream;
use crate::lock::Mutex;
use crate::{error, kernel};

/// The failed task. The first five fields are those that the runtime has there, for who looks into it.
#[repr(C)]
pub(crate) struct Exception {
    pub(crate) task: u32,
    pub(crate) stream: u32,
    pub(crate) thread: u32,
    pub(crate) device: u32,
    pub(crate) code: u32,
    /// What kind of task failed: nothing special, a kernel, or one for the CPU.
    kind: u32,
    /// Room for what the runtime says about kernels.
    _room: [u64; 64],
    /// The kernel that failed.
    pub(crate) kernel: Option<Kernel>,
}

/// A kernel that failed.
#[derive(Clone, Copy)]
pub(crate) struct Kernel {
    pub(crate) function: aclrtFuncHandle,
    /// Where its arguments lie on the device, and their size.
    pub(crate) arguments: (*mut c_void, usize),
}

/// `RT_EXCEPTION_AICORE` and `RT_EXCEPTION_AICPU`.
const CORE: u32 = 2;
const CPU: u32 = 6;

type Callback = unsafe extern "C" fn(*mut aclrtExceptionInfo);

static CALLBACK: Mutex<Option<Callback>> = Mutex::new(None);
/// Addresses of the exceptions that callbacks are looking at, so that other pointers are noticed.
static ALIVE: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// `aclrtSetExceptionInfoCallback`; `None` for none.
pub(crate) fn set_callback(callback: Option<Callback>) {
    *CALLBACK.lock() = callback;
}

/// Whether the program wants to hear of failed tasks.
pub(super) fn are_told() -> bool {
    CALLBACK.lock().is_some()
}

/// A task of `stream` failed that the thread with the number `thread` queued. Called on a pool thread with no lock held, before anybody
/// who waits for the stream goes on.
pub(crate) fn task_failed(stream: &Stream, thread: u32, code: aclError) {
    let launch = kernel::task::take_failed();
    let callback = *CALLBACK.lock();
    let of_binary = launch
        .as_ref()
        .and_then(|launch| launch.function.binary())
        .and_then(|binary| binary.exception_callback());
    if callback.is_none() && of_binary.is_none() {
        return;
    }
    let tell = |kind: u32, kernel: Option<Kernel>| {
        let mut exception = Exception {
            task: stream.next_completed() as u32,
            stream: stream.id() as u32,
            thread,
            device: stream.device().id() as u32,
            code: code as u32,
            kind,
            _room: [0; 64],
            kernel,
        };
        let info = &raw mut exception;
        ALIVE.lock().push(info.addr());
        error::with_own_texts(|| {
            if let Some(callback) = callback {
                // SAFETY: [program] the program registered the function to be called like this; the pointer is good until it returns.
                unsafe { callback(info.cast()) };
            }
            if let Some(callback) = of_binary {
                // SAFETY: [program] as above.
                unsafe { callback.call(info.cast()) };
            }
        });
        ALIVE.lock().retain(|&alive| alive != info.addr());
    };
    match &launch {
        None => tell(0, None),
        Some(launch) => launch.with_arguments(stream.device(), |address, size| {
            let kind = if launch.function.is_cpu() { CPU } else { CORE };
            tell(kind, Some(Kernel { function: launch.function.handle(), arguments: (address, size) }));
        }),
    }
}

/// The exception behind a pointer that a callback got and is still looking at.
pub(crate) fn find<R>(info: *const aclrtExceptionInfo, look: impl FnOnce(&Exception) -> R) -> Option<R> {
    let alive = ALIVE.lock();
    if !alive.contains(&info.addr()) {
        return None;
    }
    // SAFETY: [program] the address is in the list, so that the pointer is the one that a callback got; it leaves the list before it dies.
    Some(look(unsafe { &*info.cast::<Exception>() }))
}
