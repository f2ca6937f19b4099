//! Host functions of C programs: the functions of `include/ascendcl_sim.h`.

use core::ffi::{CStr, c_char, c_int, c_void};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::{ptr, slice};

use ascendcl_sys as sys;

use super::host::{KernelError, KernelRegistration, register_kernel};
use super::launch::KernelLaunch;
use crate::error::{SUCCESS, fail};
use crate::lock::Mutex;

/// Registrations of C programs, which have no guard.
static REGISTERED: Mutex<BTreeMap<String, KernelRegistration>> = Mutex::new(BTreeMap::new());

/// `ascendclsim_launch`
struct Launch<'a> {
    launch: &'a KernelLaunch<'a>,
    name: CString,
}

/// `ascendclsim_kernel`
type Kernel = unsafe extern "C" fn(launch: *const Launch<'_>, user: *mut c_void) -> c_int;

/// What the program wants its function to be called with.
struct User(*mut c_void);

// SAFETY: [threads] the simulator only hands the pointer back; the header says that the function is called on other threads.
unsafe impl Send for User {}
// SAFETY: [threads] as above.
unsafe impl Sync for User {}

impl User {
    fn get(&self) -> *mut c_void {
        self.0
    }
}

/// Registers a kernel: see the header.
///
/// # Safety
/// `name` is NULL or a C string; `function` may be called with `user` on any thread until it is unregistered.
#[unsafe(no_mangle)]
unsafe extern "C" fn ascendclsim_register_kernel(
    name: *const c_char,
    function: Option<Kernel>,
    user: *mut c_void,
) -> c_int {
    // SAFETY: [caller] the same contract.
    unsafe { register(name, function, user, None) }
}

/// Registers a kernel with its parameters: see the header.
///
/// # Safety
/// As for [`ascendclsim_register_kernel`]; `sizes` has `count` numbers.
#[unsafe(no_mangle)]
unsafe extern "C" fn ascendclsim_register_kernel_with_parameters(
    name: *const c_char,
    function: Option<Kernel>,
    user: *mut c_void,
    sizes: *const usize,
    count: usize,
) -> c_int {
    if sizes.is_null() && count > 0 {
        return sys::ACL_ERROR_INVALID_PARAM;
    }
    // SAFETY: [caller] not NULL unless there are none, and as many as the caller says.
    let sizes = if count == 0 { &[] } else { unsafe { slice::from_raw_parts(sizes, count) } };
    // SAFETY: [caller] the same contract.
    unsafe { register(name, function, user, Some(sizes)) }
}

/// # Safety
/// As for [`ascendclsim_register_kernel`].
unsafe fn register(
    name: *const c_char,
    function: Option<Kernel>,
    user: *mut c_void,
    sizes: Option<&[usize]>,
) -> c_int {
    let (Some(function), false) = (function, name.is_null()) else {
        return fail(sys::ACL_ERROR_INVALID_PARAM, "a kernel has a name and a host function, not NULL");
    };
    // SAFETY: [caller] not NULL, and the caller passes a C string.
    let Ok(name) = unsafe { CStr::from_ptr(name) }.to_str() else {
        return fail(sys::ACL_ERROR_INVALID_PARAM, "the name of a kernel is UTF-8");
    };
    let user = User(user);
    let mut registration = register_kernel(name, move |launch: &KernelLaunch<'_>| {
        let seen = Launch { launch, name: CString::new(launch.name()).unwrap_or_default() };
        // SAFETY: [program] the program vouches for its function and what it is called with; the launch lives until the function returns.
        match unsafe { function(&seen, user.get()) } {
            SUCCESS => Ok(()),
            code if code < sys::ACL_ERROR_INVALID_PARAM => {
                Err(KernelError::new(format!("its host function returned {code}")))
            }
            code => Err(KernelError::new("its host function failed").with_code(code)),
        }
    });
    if let Some(sizes) = sizes {
        registration = registration.with_parameters(sizes);
    }
    // What was there before is waited for with nothing locked.
    let before = REGISTERED.lock().insert(name.to_owned(), registration);
    drop(before);
    SUCCESS
}

/// Unregisters a kernel: see the header.
///
/// # Safety
/// `name` is NULL or a C string.
#[unsafe(no_mangle)]
unsafe extern "C" fn ascendclsim_unregister_kernel(name: *const c_char) -> c_int {
    if name.is_null() {
        return sys::ACL_ERROR_INVALID_PARAM;
    }
    // SAFETY: [caller] not NULL, and the caller passes a C string.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    let gone = REGISTERED.lock().remove(&*name);
    if gone.is_some() { SUCCESS } else { sys::ACL_ERROR_INVALID_PARAM }
}

/// # Safety
/// `launch` is what a host function was called with and has not returned from.
#[unsafe(no_mangle)]
unsafe extern "C" fn ascendclsim_launch_name(launch: *const Launch<'_>) -> *const c_char {
    // SAFETY: [caller] the contract.
    unsafe { launch.as_ref() }.map_or(ptr::null(), |launch| launch.name.as_ptr())
}

/// # Safety
/// As for [`ascendclsim_launch_name`].
#[unsafe(no_mangle)]
unsafe extern "C" fn ascendclsim_launch_blocks(launch: *const Launch<'_>) -> u32 {
    // SAFETY: [caller] the contract.
    unsafe { launch.as_ref() }.map_or(0, |launch| launch.launch.blocks())
}

/// # Safety
/// As for [`ascendclsim_launch_name`].
#[unsafe(no_mangle)]
unsafe extern "C" fn ascendclsim_launch_device(launch: *const Launch<'_>) -> i32 {
    // SAFETY: [caller] the contract.
    unsafe { launch.as_ref() }.map_or(-1, |launch| launch.launch.device())
}

/// # Safety
/// As for [`ascendclsim_launch_name`].
#[unsafe(no_mangle)]
unsafe extern "C" fn ascendclsim_launch_stream(launch: *const Launch<'_>) -> i32 {
    // SAFETY: [caller] the contract.
    unsafe { launch.as_ref() }.map_or(-1, |launch| launch.launch.stream())
}

/// # Safety
/// As for [`ascendclsim_launch_name`].
#[unsafe(no_mangle)]
unsafe extern "C" fn ascendclsim_launch_arguments(launch: *const Launch<'_>) -> *const c_void {
    // SAFETY: [caller] the contract.
    unsafe { launch.as_ref() }.map_or(ptr::null(), |launch| launch.launch.arguments().as_ptr().cast())
}

/// # Safety
/// As for [`ascendclsim_launch_name`].
#[unsafe(no_mangle)]
unsafe extern "C" fn ascendclsim_launch_arguments_size(launch: *const Launch<'_>) -> usize {
    // SAFETY: [caller] the contract.
    unsafe { launch.as_ref() }.map_or(0, |launch| launch.launch.arguments().len())
}

/// # Safety
/// As for [`ascendclsim_launch_name`]; `value` has room for `size` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn ascendclsim_launch_argument(
    launch: *const Launch<'_>,
    offset: usize,
    value: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: [caller] the contract.
    let arguments = unsafe { launch.as_ref() }.map_or(&[][..], |launch| launch.launch.arguments());
    let bytes = offset.checked_add(size).and_then(|end| arguments.get(offset..end));
    match bytes {
        Some(bytes) if !value.is_null() || size == 0 => {
            // SAFETY: [caller] the caller passes this much room, which is not part of the arguments.
            unsafe { ptr::copy(bytes.as_ptr(), value.cast(), size) };
            SUCCESS
        }
        _ => sys::ACL_ERROR_RT_AICORE_EXCEPTION,
    }
}

/// # Safety
/// As for [`ascendclsim_launch_name`]; `bytes` has room for `size` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn ascendclsim_launch_read(
    launch: *const Launch<'_>,
    address: u64,
    bytes: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: [caller] the contract.
    let Some(launch) = (unsafe { launch.as_ref() }) else { return sys::ACL_ERROR_RT_AICORE_EXCEPTION };
    let read = launch.launch.read_values::<u8>(address, size);
    match read {
        Ok(read) => {
            // SAFETY: [caller] the caller passes this much room; the vector is ours.
            unsafe { ptr::copy(read.as_ptr(), bytes.cast(), read.len()) };
            SUCCESS
        }
        Err(error) => fail(error.code(), error),
    }
}

/// # Safety
/// As for [`ascendclsim_launch_name`]; `bytes` has `size` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn ascendclsim_launch_write(
    launch: *const Launch<'_>,
    address: u64,
    bytes: *const c_void,
    size: usize,
) -> c_int {
    // SAFETY: [caller] the contract.
    let Some(launch) = (unsafe { launch.as_ref() }) else { return sys::ACL_ERROR_RT_AICORE_EXCEPTION };
    // SAFETY: [caller] the caller passes this many bytes.
    let bytes = if size == 0 { &[] } else { unsafe { slice::from_raw_parts(bytes.cast::<u8>(), size) } };
    match launch.launch.write(address, bytes) {
        Ok(()) => SUCCESS,
        Err(error) => fail(error.code(), error),
    }
}
