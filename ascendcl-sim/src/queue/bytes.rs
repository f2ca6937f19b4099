//! Bytes of the program, wherever they are: of the host or of a device.

use core::ffi::c_void;

use ascendcl_sys::aclError;

use crate::memory::Place;

/// Bytes to send.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    pub(crate) pointer: *const c_void,
    pub(crate) len: usize,
}

/// A copy of the bytes at `source`.
///
/// # Safety
/// If it is plain host memory, it is readable.
pub(crate) unsafe fn read_from(source: Source) -> Result<Vec<u8>, aclError> {
    if let Some(place) = Place::find(source.pointer, source.len)? {
        return place.read();
    }
    let mut bytes = vec![0; source.len];
    // SAFETY: [caller, memory] the vector is as long as that, and so is what the caller vouches for.
    unsafe { libc::memcpy(bytes.as_mut_ptr().cast(), source.pointer, source.len) };
    Ok(bytes)
}

/// Writes `bytes` at `pointer`.
///
/// # Safety
/// If it is plain host memory, it is writable for as many bytes.
pub(crate) unsafe fn write_to(pointer: *mut c_void, bytes: &[u8]) -> Result<(), aclError> {
    if bytes.is_empty() {
        return Ok(());
    }
    if let Some(place) = Place::find(pointer, bytes.len())? {
        return place.write(bytes);
    }
    // SAFETY: [caller, memory] the caller vouches for as many bytes.
    unsafe { libc::memcpy(pointer, bytes.as_ptr().cast(), bytes.len()) };
    Ok(())
}
