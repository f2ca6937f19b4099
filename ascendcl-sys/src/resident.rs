//! Keeping code loaded: what threads run, and what the C library calls back, must not be unmapped.

use core::{
    ffi::{CStr, c_void},
    mem::MaybeUninit,
};
use std::io;

/// Keeps the shared object that holds `code` loaded to the end of the process, whoever closes it.
///
/// A Rust library may become part of a plugin: a `cdylib` that a host opens with `dlopen` and closes with `dlclose`. Before it
/// starts a thread that outlives the call, or gives the C library the address of a function, it must see to it that closing the
/// plugin does not unmap the code. In a program, as opposed to a plugin, this does nothing: a program is never unmapped.
///
/// ```
/// fn worker() {}
///
/// ascendcl_sys::keep_loaded(worker as *const std::ffi::c_void)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// If the dynamic loader does not say which object that is, or does not know it by its name. Then the thread should not be started.
pub fn keep_loaded(code: *const c_void) -> io::Result<()> {
    // Linked statically: nothing is ever unmapped.
    let Some(object) = object_of(code) else { return Ok(()) };
    // SAFETY: [os] no preconditions. The address is that of the program's headers, or 0.
    let program = unsafe { libc::getauxval(libc::AT_PHDR) } as *const c_void;
    if object_of(program).is_some_and(|program| program.dli_fbase == object.dli_fbase) {
        return Ok(());
    }
    // RTLD_NOLOAD: nothing is loaded or run, the object is found by the name that the loader gave it, whatever has become of the
    // file. Besides the flag, the handle is not closed, for loaders that know no flag.
    let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
    // SAFETY: [text] the name is a C string of the loader, which it keeps as long as the object; this call is from inside of it.
    let handle = unsafe { libc::dlopen(object.dli_fname, flags) };
    if !handle.is_null() {
        return Ok(());
    }
    // SAFETY: [text] as above.
    let name = unsafe { CStr::from_ptr(object.dli_fname) }.to_string_lossy();
    Err(io::Error::other(format!(
        "{name} cannot be kept loaded: the dynamic loader does not know it by this name"
    )))
}

fn object_of(address: *const c_void) -> Option<libc::Dl_info> {
    let mut object = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: [os] a place for the answer. Any address may be asked for.
    let found = unsafe { libc::dladdr(address, object.as_mut_ptr()) } != 0;
    // SAFETY: [bits] pointers, of which all bit patterns are valid.
    let object = unsafe { object.assume_init() };
    (found && !object.dli_fname.is_null()).then_some(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_their_libraries_can_be_kept() {
        keep_loaded(programs_and_their_libraries_can_be_kept as *const c_void).unwrap();
        keep_loaded(libc::puts as *const c_void).unwrap();
        keep_loaded(core::ptr::null()).unwrap();
    }
}
