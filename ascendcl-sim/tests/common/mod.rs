//! What the tests share: one simulator per process, so one test at a time, each on a fresh machine and leak-free at its end.
#![allow(dead_code, unused_macros, unused_imports)]

use core::ffi::{CStr, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

pub use ascendcl_sim::{Config, Profile, api, configure, live};
pub use ascendcl_sys::{self as sys, aclError, aclrtContext, aclrtEvent, aclrtStream};

/// Calls a C function of the simulator.
macro_rules! acl {
    ($function:ident $(, $argument:expr)* $(,)?) => {{
        let function = $crate::common::api().$function.expect(stringify!($function));
        // SAFETY: tests pass valid places to write to, and otherwise only handles and addresses that the simulator has to check.
        #[allow(unused_unsafe)]
        unsafe { function($($argument),*) }
    }};
}
pub(crate) use acl;

/// Calls a C function that has to succeed.
macro_rules! ok {
    ($function:ident $(, $argument:expr)* $(,)?) => {
        assert_eq!($crate::common::acl!($function $(, $argument)*), 0, "{}", stringify!($function))
    };
}
pub(crate) use ok;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub struct Session(#[allow(dead_code)] MutexGuard<'static, ()>);

/// A machine for one test.
pub fn session(config: Config) -> Session {
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    configure(config).expect("nothing is alive");
    ok!(aclInit, ptr::null());
    Session(guard)
}

/// An Ascend 310 with a device set on this thread.
pub fn card() -> Session {
    let session = session(Config::new());
    ok!(aclrtSetDevice, 0);
    session
}

/// A chip with everything, with a device set on this thread.
pub fn full() -> Session {
    let session = session(Config::new().profile(Profile::full()));
    ok!(aclrtSetDevice, 0);
    session
}

impl Drop for Session {
    fn drop(&mut self) {
        if thread::panicking() {
            // So that the next test has a chance.
            for device in 0..4 {
                acl!(aclrtResetDeviceForce, device);
            }
            acl!(aclFinalize);
            return;
        }
        acl!(aclrtResetDeviceForce, 0);
        ok!(aclFinalize);
        assert_eq!(live(), [], "a test ends leak-free");
    }
}

pub fn stream() -> aclrtStream {
    let mut stream = ptr::null_mut();
    ok!(aclrtCreateStream, &mut stream);
    stream
}

/// `aclrtCreateEvent`
pub fn event() -> aclrtEvent {
    let mut event = ptr::null_mut();
    ok!(aclrtCreateEvent, &mut event);
    event
}

/// `aclrtCreateEventWithFlag`
pub fn flagged(flag: u32) -> aclrtEvent {
    let mut event = ptr::null_mut();
    ok!(aclrtCreateEventWithFlag, &mut event, flag);
    event
}

/// `aclrtCreateEventExWithFlag`
pub fn extended(flag: u32) -> aclrtEvent {
    let mut event = ptr::null_mut();
    ok!(aclrtCreateEventExWithFlag, &mut event, flag);
    event
}

pub fn device_memory(size: usize) -> *mut c_void {
    let mut pointer = ptr::null_mut();
    ok!(aclrtMalloc, &mut pointer, size, sys::ACL_MEM_MALLOC_HUGE_FIRST);
    pointer
}

pub fn pinned(size: usize) -> *mut c_void {
    let mut pointer = ptr::null_mut();
    ok!(aclrtMallocHost, &mut pointer, size);
    pointer
}

/// The bytes of pinned memory.
pub fn bytes<'a>(pointer: *mut c_void, len: usize) -> &'a mut [u8] {
    // SAFETY: tests pass pinned memory of this length that no other reference looks at.
    unsafe { std::slice::from_raw_parts_mut(pointer.cast(), len) }
}

/// Copies bytes to device memory.
pub fn upload(to: *mut c_void, bytes: &[u8]) {
    let kind = sys::ACL_MEMCPY_HOST_TO_DEVICE;
    ok!(aclrtMemcpy, to, bytes.len(), bytes.as_ptr().cast(), bytes.len(), kind);
}

/// The bytes of device memory.
pub fn download(from: *const c_void, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ok!(aclrtMemcpy, bytes.as_mut_ptr().cast(), len, from, len, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    bytes
}

pub fn message() -> String {
    let message = acl!(aclGetRecentErrMsg);
    if message.is_null() {
        return String::new();
    }
    // SAFETY: a C string that is good until the next call on this thread.
    unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned()
}

pub fn is_complete(stream: aclrtStream) -> bool {
    let mut status = sys::ACL_STREAM_STATUS_RESERVED;
    ok!(aclrtStreamQuery, stream, &mut status);
    status == sys::ACL_STREAM_STATUS_COMPLETE
}

/// Holds streams until it is opened: an event with a level, and a stream to raise it on.
pub struct Gate {
    event: aclrtEvent,
    stream: aclrtStream,
}

impl Gate {
    pub fn new() -> Self {
        Self { event: flagged(sys::ACL_EVENT_SYNC), stream: stream() }
    }

    pub fn hold(&self, stream: aclrtStream) {
        ok!(aclrtStreamWaitEvent, stream, self.event);
    }

    pub fn open(&self) {
        ok!(aclrtRecordEvent, self.event, self.stream);
        ok!(aclrtSynchronizeStream, self.stream);
    }

    /// For use once more.
    pub fn close(&self) {
        ok!(aclrtResetEvent, self.event, self.stream);
        ok!(aclrtSynchronizeStream, self.stream);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if !thread::panicking() {
            ok!(aclrtDestroyEvent, self.event);
            ok!(aclrtDestroyStream, self.stream);
        }
    }
}

/// A raw handle that tests carry to another thread.
#[derive(Clone, Copy)]
pub struct Carry(pub *mut c_void);
// SAFETY: a handle is a number.
unsafe impl Send for Carry {}
// SAFETY: as above.
unsafe impl Sync for Carry {}

pub fn this_thread() -> u64 {
    // SAFETY: no preconditions.
    unsafe { libc::pthread_self() as u64 }
}

/// A thread that serves callbacks until it is stopped.
pub struct Reporter {
    pub id: u64,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reporter {
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (send, receive) = std::sync::mpsc::channel();
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            send.send(this_thread()).unwrap();
            while !stopped.load(Ordering::SeqCst) {
                match acl!(aclrtProcessReport, 20) {
                    0 | 507_012 => {}
                    107_012 => thread::yield_now(),
                    code => panic!("aclrtProcessReport answered {code}"),
                }
            }
        });
        Self { id: receive.recv().unwrap(), stop, thread: Some(thread) }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}
