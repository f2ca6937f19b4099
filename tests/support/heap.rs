//! Counts what the safe layer takes from the heap. What the library behind it takes is told apart: its functions are wrapped.
//!
//! For processes that have [`Counting`] as their global allocator.

use ascendcl::sys::{
    AclApi, aclError, aclmdlDataset, aclrtCallback, aclrtCallbackBlockType, aclrtContext, aclrtEvent,
    aclrtEventRecordedStatus, aclrtMemcpyKind, aclrtStream,
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    ffi::c_void,
    mem,
    sync::{
        OnceLock,
        atomic::{AtomicPtr, AtomicU64, Ordering},
    },
};

/// How many allocations were counted.
static COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether this thread is inside what is counted, and not in the library.
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// The allocator of the system, with a counter.
pub struct Counting;

fn note() {
    if COUNTED.try_with(Cell::get).unwrap_or(false) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: everything is handed to the allocator of the system; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's contract, handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's contract, handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: the caller's contract, handed on.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract, handed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Counts, or does not, until dropped.
struct Scope(bool);

impl Scope {
    fn enter(counted: bool) -> Scope {
        Scope(COUNTED.replace(counted))
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        COUNTED.set(self.0);
    }
}

/// How often `action` takes memory from the heap: on this thread, and in callbacks that run meanwhile, outside of the library.
pub fn count(action: impl FnOnce()) -> u64 {
    let before = COUNT.load(Ordering::SeqCst);
    let counted = Scope::enter(true);
    action();
    drop(counted);
    COUNT.load(Ordering::SeqCst) - before
}

/// The functions that are wrapped.
static REAL: OnceLock<&'static AclApi> = OnceLock::new();

fn real() -> &'static AclApi {
    REAL.get().expect("a table was wrapped")
}

macro_rules! uncounted {
    ($($wrapper:ident: $function:ident($($argument:ident: $type:ty),*);)*) => {
        $(
            unsafe extern "C" fn $wrapper($($argument: $type),*) -> aclError {
                let _library = Scope::enter(false);
                // SAFETY: the caller's contract, handed on.
                unsafe { real().$function.expect("it is in the table")($($argument),*) }
            }
        )*

        /// Wraps the functions of a table that what is counted calls: what they allocate is the library's.
        /// `real` is that table as it was.
        pub fn wrap(table: &mut AclApi, real: &'static AclApi) {
            // The same one each time.
            let _ = REAL.set(real);
            $(table.$function = Some($wrapper);)*
            table.aclrtLaunchCallback = Some(launch);
        }
    };
}

uncounted! {
    record: aclrtRecordEvent(event: aclrtEvent, stream: aclrtStream);
    wait: aclrtStreamWaitEvent(stream: aclrtStream, event: aclrtEvent);
    reset: aclrtResetEvent(event: aclrtEvent, stream: aclrtStream);
    query: aclrtQueryEventStatus(event: aclrtEvent, status: *mut aclrtEventRecordedStatus);
    synchronize: aclrtSynchronizeStream(stream: aclrtStream);
    current: aclrtGetCurrentContext(context: *mut aclrtContext);
    enter: aclrtSetCurrentContext(context: aclrtContext);
    copy: aclrtMemcpy(to: *mut c_void, room: usize, from: *const c_void, bytes: usize, kind: aclrtMemcpyKind);
    copy_async: aclrtMemcpyAsync(
        to: *mut c_void, room: usize, from: *const c_void, bytes: usize, kind: aclrtMemcpyKind, stream: aclrtStream
    );
    set: aclrtMemset(memory: *mut c_void, room: usize, value: i32, bytes: usize);
    set_async: aclrtMemsetAsync(
        memory: *mut c_void, room: usize, value: i32, bytes: usize, stream: aclrtStream
    );
    free_host: aclrtFreeHost(memory: *mut c_void);
    execute: aclmdlExecuteAsync(
        model: u32, inputs: *const aclmdlDataset, outputs: *mut aclmdlDataset, stream: aclrtStream
    );
}

/// What the safe layer wants to be called.
static CALLBACK: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// Counts in what the library calls back, too.
unsafe extern "C" fn called_back(data: *mut c_void) {
    let _counted = Scope::enter(true);
    // SAFETY: `launch` has put a function of that type there.
    let callback = unsafe {
        mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void)>(CALLBACK.load(Ordering::Acquire))
    };
    // SAFETY: the library hands on the data that it was given with the function, which is always the same one.
    unsafe { callback(data) };
}

unsafe extern "C" fn launch(
    callback: aclrtCallback,
    data: *mut c_void,
    block: aclrtCallbackBlockType,
    stream: aclrtStream,
) -> aclError {
    let _library = Scope::enter(false);
    let callback = callback.expect("a callback is launched");
    CALLBACK.store(callback as *mut c_void, Ordering::Release);
    // SAFETY: the caller's contract, handed on.
    unsafe { real().aclrtLaunchCallback.expect("it is in the table")(Some(called_back), data, block, stream) }
}
