//! One initialised backend of this process: its table of functions, and how answers become errors.

use crate::{AclCode, AclError, Backend, Error, Result, guard, observe::event, siblings::ByContext};
use ascendcl_sys::{AclApi, aclError};
use core::ffi::c_void;
use std::{ffi::CStr, sync::atomic::AtomicBool, time::Duration};

/// Shared by every handle, directly or through its parents.
pub(crate) struct Runtime {
    pub(crate) api: &'static AclApi,
    pub(crate) backend: Backend,
    /// Whether `aclInit` was ours, so that `aclFinalize` is ours too.
    pub(crate) owns_init: AtomicBool,
    /// Who hears of failed waits.
    pub(crate) siblings: ByContext,
}

/// Something on whose behalf C functions are called.
pub(crate) trait Site {
    fn runtime(&self) -> &Runtime;

    /// The device to name in errors.
    fn device_id(&self) -> Option<i32>;

    #[inline]
    fn api(&self) -> &'static AclApi {
        self.runtime().api
    }

    /// Turns a status into an error that carries what ACL says about it. To be called on the thread that made the call, right
    /// after it.
    #[inline]
    fn check(&self, op: &'static str, status: aclError) -> Result<()> {
        if status == 0 { Ok(()) } else { Err(self.failure(op, status)) }
    }

    #[cold]
    fn failure(&self, op: &'static str, status: aclError) -> Error {
        // The process has begun to exit during the call, and whatever the library says of that means nothing.
        if let Err(error) = guard::check_over(op) {
            return error;
        }
        let error = AclError {
            code: AclCode(status),
            op,
            device: self.device_id(),
            message: recent_message(self.api()),
        };
        event!(DEBUG, "ascendcl::failure", op, device = error.device, code = status, %error);
        Error::Acl(Box::new(error))
    }
}

impl Site for Runtime {
    fn runtime(&self) -> &Runtime {
        self
    }

    fn device_id(&self) -> Option<i32> {
        None
    }
}

/// Takes the text that ACL has gathered for this thread.
pub(crate) fn recent_message(api: &AclApi) -> String {
    let Some(recent) = api.aclGetRecentErrMsg else { return String::new() };
    if guard::is_over() {
        return String::new();
    }
    // SAFETY: [plain] the function takes nothing, and may be called at any time on any thread.
    let text = unsafe { recent() };
    if text.is_null() {
        return String::new();
    }
    // SAFETY: [text] ACL returned a NUL-terminated string that stays valid until the next call on this thread; it is copied before.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().trim().to_owned()
}

/// Calls a C function by name on behalf of a [`Site`]: `acl!(context, aclrtStreamGetId(stream, &mut id))?`.
///
/// A function that the loaded library lacks is an error of this one call. The call is `unsafe`: use it in an `unsafe` block
/// that argues for the arguments.
macro_rules! acl {
    ($site:expr, $function:ident($($argument:expr),* $(,)?)) => {{
        let site = $site;
        match $crate::runtime::Site::api(site).$function {
            // Asked before each call, so that an operation of several calls does not go on into the exit of the process.
            Some(function) => match $crate::guard::check_over(stringify!($function)) {
                Ok(()) => $crate::runtime::Site::check(site, stringify!($function), function($($argument),*)),
                Err(error) => Err(error),
            },
            None => Err($crate::Error::MissingSymbol { function: stringify!($function) }),
        }
    }};
}
pub(crate) use acl;

/// A C handle or address on its way to another thread.
#[derive(Clone, Copy)]
pub(crate) struct SendRaw(*mut c_void);

// SAFETY: [threads] handles of ACL may be used from any thread, and so may addresses; this crate does not dereference them.
unsafe impl Send for SendRaw {}

impl SendRaw {
    pub(crate) fn new(raw: *mut c_void) -> Self {
        SendRaw(raw)
    }

    /// Takes the whole value, so that a closure captures it and not the pointer inside.
    pub(crate) fn get(self) -> *mut c_void {
        self.0
    }
}

/// A timeout as ACL's waits take it: whole milliseconds, rounded up, at least one (zero is an error there), at most what fits.
pub(crate) fn millis(timeout: Duration) -> i32 {
    let millis = timeout.as_nanos().div_ceil(1_000_000);
    i32::try_from(millis).unwrap_or(i32::MAX).max(1)
}
