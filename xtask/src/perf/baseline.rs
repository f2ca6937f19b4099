//! The functions of `baseline.c`, and the function pointers that they are handed.

use std::{
    ffi::{c_int, c_void},
    ptr::NonNull,
};

use ascendcl::sys::{
    AclApi, aclError, aclmdlDataset, aclrtCallback, aclrtCallbackBlockType, aclrtContext, aclrtEvent,
    aclrtMemcpyKind, aclrtStream,
};

use crate::error::Error;

/// The function pointers, as `struct acl` in baseline.c.
#[repr(C)]
pub struct Functions {
    record_event: unsafe extern "C" fn(aclrtEvent, aclrtStream) -> aclError,
    stream_wait_event: unsafe extern "C" fn(aclrtStream, aclrtEvent) -> aclError,
    reset_event: unsafe extern "C" fn(aclrtEvent, aclrtStream) -> aclError,
    synchronize_stream: unsafe extern "C" fn(aclrtStream) -> aclError,
    copy: unsafe extern "C" fn(*mut c_void, usize, *const c_void, usize, aclrtMemcpyKind) -> aclError,
    copy_async: unsafe extern "C" fn(
        *mut c_void,
        usize,
        *const c_void,
        usize,
        aclrtMemcpyKind,
        aclrtStream,
    ) -> aclError,
    free_host: unsafe extern "C" fn(*mut c_void) -> aclError,
    execute_async:
        unsafe extern "C" fn(u32, *const aclmdlDataset, *mut aclmdlDataset, aclrtStream) -> aclError,
    launch_callback:
        unsafe extern "C" fn(aclrtCallback, *mut c_void, aclrtCallbackBlockType, aclrtStream) -> aclError,
    subscribe_report: unsafe extern "C" fn(u64, aclrtStream) -> aclError,
    unsubscribe_report: unsafe extern "C" fn(u64, aclrtStream) -> aclError,
    process_report: unsafe extern "C" fn(i32) -> aclError,
    set_current_context: unsafe extern "C" fn(aclrtContext) -> aclError,
    set_device: unsafe extern "C" fn(i32) -> aclError,
}

type Acl = *const Functions;

// SAFETY: [layout] the declarations are those of the definitions in baseline.c.
unsafe extern "C" {
    fn baseline_events(
        acl: Acl,
        first: aclrtStream,
        second: aclrtStream,
        events: *const aclrtEvent,
        count: usize,
    ) -> c_int;
    fn baseline_synchronize(acl: Acl, stream: aclrtStream) -> c_int;
    fn baseline_copies(acl: Acl, to: *mut c_void, from: *const c_void, bytes: usize, count: usize) -> c_int;
    fn baseline_uploads(
        acl: Acl,
        stream: aclrtStream,
        to: *mut c_void,
        from: *const *mut c_void,
        bytes: usize,
        count: usize,
    ) -> c_int;
    fn baseline_free_uploaded(acl: Acl, stream: aclrtStream, from: *const *mut c_void, count: usize)
    -> c_int;
    fn baseline_executions(
        acl: Acl,
        stream: aclrtStream,
        model: u32,
        inputs: *const aclmdlDataset,
        outputs: *mut aclmdlDataset,
        count: usize,
    ) -> c_int;
    fn baseline_set_device(acl: Acl, first: i32, second: i32, count: usize) -> c_int;
    fn baseline_callbacks(acl: Acl, stream: aclrtStream, count: usize) -> c_int;
    safe fn baseline_sum() -> u64;
    fn baseline_latency(acl: Acl, stream: aclrtStream, nanoseconds: *mut i64) -> c_int;
    fn baseline_reporter_start(acl: Acl, context: aclrtContext) -> *mut c_void;
    fn baseline_reporter_number(reporter: *const c_void) -> c_int;
    fn baseline_reporter_subscribe(reporter: *const c_void, stream: aclrtStream) -> c_int;
    fn baseline_reporter_unsubscribe(reporter: *const c_void, stream: aclrtStream) -> c_int;
    fn baseline_reporter_stop(reporter: *mut c_void);
    fn baseline_waiter_start(acl: Acl, context: aclrtContext, stream: aclrtStream) -> *mut c_void;
    fn baseline_waiter_round_trip(waiter: *mut c_void, event: aclrtEvent) -> c_int;
    fn baseline_waiter_stop(waiter: *mut c_void);
}

impl Functions {
    /// Those of a library that has them all.
    pub fn of(api: &AclApi) -> Result<Functions, Error> {
        macro_rules! functions {
            ($($field:ident: $function:ident),* $(,)?) => {
                Functions {
                    $($field: api.$function.ok_or_else(|| {
                        Error::new(concat!("the library lacks ", stringify!($function)))
                    })?),*
                }
            };
        }
        Ok(functions! {
            record_event: aclrtRecordEvent,
            stream_wait_event: aclrtStreamWaitEvent,
            reset_event: aclrtResetEvent,
            synchronize_stream: aclrtSynchronizeStream,
            copy: aclrtMemcpy,
            copy_async: aclrtMemcpyAsync,
            free_host: aclrtFreeHost,
            execute_async: aclmdlExecuteAsync,
            launch_callback: aclrtLaunchCallback,
            subscribe_report: aclrtSubscribeReport,
            unsubscribe_report: aclrtUnSubscribeReport,
            process_report: aclrtProcessReport,
            set_current_context: aclrtSetCurrentContext,
            set_device: aclrtSetDevice,
        })
    }

    /// Each event is recorded by the first stream, waited for by the second, and reset by it.
    ///
    /// # Safety
    ///
    /// Streams and events are alive, and of the context that is current.
    pub unsafe fn events(
        &self,
        first: aclrtStream,
        second: aclrtStream,
        events: &[aclrtEvent],
    ) -> Result<(), Error> {
        // SAFETY: [caller] the handles; the slice is as long as is said.
        check(unsafe { baseline_events(self, first, second, events.as_ptr(), events.len()) })
    }

    /// # Safety
    ///
    /// The stream is alive, and of the context that is current.
    pub unsafe fn synchronize(&self, stream: aclrtStream) -> Result<(), Error> {
        // SAFETY: [caller] the handle.
        check(unsafe { baseline_synchronize(self, stream) })
    }

    /// Blocking copies of the same bytes.
    ///
    /// # Safety
    ///
    /// `to` is memory of a device with room for them.
    pub unsafe fn copies(&self, to: *mut c_void, from: &[u8], count: usize) -> Result<(), Error> {
        // SAFETY: [caller] the memory; the slice is as long as is said, and the copy is done when the call returns.
        check(unsafe { baseline_copies(self, to, from.as_ptr().cast(), from.len(), count) })
    }

    /// Asynchronous copies, each from another place.
    ///
    /// # Safety
    ///
    /// The stream is alive; `to` is memory of its device, and all of `from` are page-locked memory, of so many bytes, until the stream has passed the copies.
    pub unsafe fn uploads(
        &self,
        stream: aclrtStream,
        to: *mut c_void,
        from: &[*mut c_void],
        bytes: usize,
    ) -> Result<(), Error> {
        // SAFETY: [caller] the handle and the memory; the slice is as long as is said.
        check(unsafe { baseline_uploads(self, stream, to, from.as_ptr(), bytes, from.len()) })
    }

    /// Waits for the copies, and frees what they read.
    ///
    /// # Safety
    ///
    /// The stream is alive, and all of `from` came from `aclrtMallocHost` and are nobody else's.
    pub unsafe fn free_uploaded(&self, stream: aclrtStream, from: &[*mut c_void]) -> Result<(), Error> {
        // SAFETY: [caller] the handle and the memory; the slice is as long as is said.
        check(unsafe { baseline_free_uploaded(self, stream, from.as_ptr(), from.len()) })
    }

    /// Asynchronous executions of a model.
    ///
    /// # Safety
    ///
    /// All are alive, of one context, until the stream has passed the executions, and the datasets fit the model.
    pub unsafe fn executions(
        &self,
        stream: aclrtStream,
        model: u32,
        (inputs, outputs): (*const aclmdlDataset, *mut aclmdlDataset),
        count: usize,
    ) -> Result<(), Error> {
        // SAFETY: [caller] the handles.
        check(unsafe { baseline_executions(self, stream, model, inputs, outputs, count) })
    }

    /// Switches between two devices that are open.
    pub fn set_device(&self, first: i32, second: i32, count: usize) -> Result<(), Error> {
        // SAFETY: [plain] plain integers.
        check(unsafe { baseline_set_device(self, first, second, count) })
    }

    /// Launches callbacks and waits for them.
    ///
    /// # Safety
    ///
    /// The stream is alive, and subscribed to a [`Reporter`].
    pub unsafe fn callbacks(&self, stream: aclrtStream, count: usize) -> Result<(), Error> {
        // SAFETY: [caller] the handle.
        check(unsafe { baseline_callbacks(self, stream, count) })
    }

    /// What all callbacks have added up.
    pub fn sum() -> u64 {
        baseline_sum()
    }

    /// How many seconds it takes until a callback runs.
    ///
    /// # Safety
    ///
    /// The stream is alive, and subscribed to a [`Reporter`].
    pub unsafe fn latency(&self, stream: aclrtStream) -> Result<f64, Error> {
        let mut nanoseconds = 0;
        // SAFETY: [caller, place] the handle; a valid place for the answer.
        check(unsafe { baseline_latency(self, stream, &mut nanoseconds) })?;
        Ok(nanoseconds as f64 / 1e9)
    }
}

/// A thread that asks for reports every 100 milliseconds.
pub struct Reporter(NonNull<c_void>);

impl Reporter {
    /// Starts it.
    ///
    /// # Safety
    ///
    /// The context outlives it, and so do the functions, where they are.
    pub unsafe fn start(functions: &Functions, context: aclrtContext) -> Result<Reporter, Error> {
        // SAFETY: [caller] the handle.
        let reporter = NonNull::new(unsafe { baseline_reporter_start(functions, context) })
            .map(Reporter)
            .ok_or_else(|| Error::new("cannot start the report thread of the baseline"))?;
        if reporter.number() < 0 {
            return Err(Error::new("the report thread of the baseline cannot enter its context"));
        }
        Ok(reporter)
    }

    /// The number that the system knows the thread by.
    pub fn number(&self) -> i32 {
        // SAFETY: [handle] it is alive until it is dropped.
        unsafe { baseline_reporter_number(self.0.as_ptr()) }
    }

    /// # Safety
    ///
    /// The stream is alive.
    pub unsafe fn subscribe(&self, stream: aclrtStream) -> Result<(), Error> {
        // SAFETY: [caller, handle] the stream; the thread is alive until it is dropped.
        check(unsafe { baseline_reporter_subscribe(self.0.as_ptr(), stream) })
    }

    /// # Safety
    ///
    /// The stream is alive, and subscribed.
    pub unsafe fn unsubscribe(&self, stream: aclrtStream) -> Result<(), Error> {
        // SAFETY: [caller, handle] as above.
        check(unsafe { baseline_reporter_unsubscribe(self.0.as_ptr(), stream) })
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        // SAFETY: [once] nothing names it any more.
        unsafe { baseline_reporter_stop(self.0.as_ptr()) };
    }
}

/// A spare thread that waits for a stream.
pub struct Waiter(NonNull<c_void>);

impl Waiter {
    /// Starts it.
    ///
    /// # Safety
    ///
    /// The context and its stream outlive it, and so do the functions, where they are.
    pub unsafe fn start(
        functions: &Functions,
        context: aclrtContext,
        stream: aclrtStream,
    ) -> Result<Waiter, Error> {
        // SAFETY: [caller] the handles.
        NonNull::new(unsafe { baseline_waiter_start(functions, context, stream) })
            .map(Waiter)
            .ok_or_else(|| Error::new("cannot start the spare thread of the baseline"))
    }

    /// Records an event, and has the other thread wait for the stream.
    ///
    /// # Safety
    ///
    /// The event is alive, and of the same context.
    pub unsafe fn round_trip(&self, event: aclrtEvent) -> Result<(), Error> {
        // SAFETY: [caller, handle] the event; the thread is alive until it is dropped.
        check(unsafe { baseline_waiter_round_trip(self.0.as_ptr(), event) })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // SAFETY: [once] nothing names it any more.
        unsafe { baseline_waiter_stop(self.0.as_ptr()) };
    }
}

/// What the C code of a baseline answered.
fn check(code: c_int) -> Result<(), Error> {
    if code == 0 { Ok(()) } else { Err(Error::new(format!("the baseline failed with {code}"))) }
}
