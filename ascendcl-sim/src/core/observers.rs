//! Functions of the program, each under a name of its own, that are told about devices, streams and aborts. They are called on the thread
//! that makes it happen, with no lock held, in the order of their names.

use core::ffi::{CStr, c_void};
use core::ptr;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicUsize, Ordering};

use ascendcl_sys::{self as sys, aclError, aclrtDeviceState, aclrtDeviceTaskAbortStage, aclrtStreamState};

use crate::error::fail;
use crate::lock::Mutex;

type OnDevice = unsafe extern "C" fn(i32, aclrtDeviceState, *mut c_void);
type OnStream = unsafe extern "C" fn(*mut c_void, aclrtStreamState, *mut c_void);
type OnAbort = unsafe extern "C" fn(i32, aclrtDeviceTaskAbortStage, u32, *mut c_void) -> i32;

/// `aclrtRegDeviceStateCallback`
pub(crate) static DEVICE_STATES: Observers<OnDevice> = Observers::new();
/// `aclrtRegStreamStateCallback`
pub(crate) static STREAM_STATES: Observers<OnStream> = Observers::new();
/// `aclrtSetDeviceTaskAbortCallback`
pub(crate) static ABORTS: Observers<OnAbort> = Observers::new();

/// Functions by their names, with the value that each wants back.
pub(crate) struct Observers<F> {
    functions: Mutex<BTreeMap<CString, (F, usize)>>,
    count: AtomicUsize,
}

impl<F: Copy> Observers<F> {
    const fn new() -> Self {
        Self { functions: Mutex::new(BTreeMap::new()), count: AtomicUsize::new(0) }
    }

    /// Registers a function, or with `None` takes the one of that name away, if there is one.
    pub(crate) fn register(
        &self,
        name: &CStr,
        function: Option<F>,
        data: *mut c_void,
    ) -> Result<(), aclError> {
        let mut functions = self.functions.lock();
        match function {
            None => {
                functions.remove(name);
            }
            Some(_) if functions.contains_key(name) => {
                drop(functions);
                return Err(fail(
                    sys::ACL_ERROR_RT_PARAM_INVALID,
                    format_args!("a function is registered as \"{}\" already", name.to_string_lossy()),
                ));
            }
            Some(function) => {
                functions.insert(name.to_owned(), (function, data.expose_provenance()));
            }
        }
        self.count.store(functions.len(), Ordering::SeqCst);
        Ok(())
    }

    fn all(&self) -> Vec<(F, *mut c_void)> {
        if self.count.load(Ordering::SeqCst) == 0 {
            return Vec::new();
        }
        let functions = self.functions.lock();
        functions
            .values()
            .map(|&(function, data)| (function, ptr::with_exposed_provenance_mut(data)))
            .collect()
    }
}

pub(super) fn device(id: i32, state: aclrtDeviceState) {
    for (function, data) in DEVICE_STATES.all() {
        // SAFETY: [program] the program registered the function to be called like this.
        unsafe { function(id, state, data) };
    }
}

pub(super) fn stream(handle: usize, state: aclrtStreamState) {
    for (function, data) in STREAM_STATES.all() {
        // SAFETY: [program] as above.
        unsafe { function(ptr::without_provenance_mut(handle), state, data) };
    }
}

/// The first function that answers anything but 0 ends it.
pub(super) fn abort(id: i32, stage: aclrtDeviceTaskAbortStage, timeout: u32) -> Result<(), aclError> {
    for (function, data) in ABORTS.all() {
        // SAFETY: [program] as above.
        let code = unsafe { function(id, stage, timeout, data) };
        if code != 0 {
            return Err(fail(
                sys::ACL_ERROR_RT_INTERNAL_ERROR,
                format_args!("a registered function answered {code} when it was told of the abort"),
            ));
        }
    }
    Ok(())
}
