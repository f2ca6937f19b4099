//! Memory of devices and page-locked memory of the host, and copies between them.

mod copy;
mod device;
mod pinned;
mod pod;
mod transfer;

pub use device::{DeviceBuffer, DeviceView, MallocPolicy};
pub use pinned::PinnedBuffer;
pub use pod::DeviceCopy;
pub use transfer::Transfer;

use device::DeviceMemory;

use crate::{Context, Error, Result};
use std::sync::Arc;

/// The size of `len` values, if that is a size.
fn byte_len<T>(op: &'static str, len: usize) -> Result<usize> {
    len.checked_mul(size_of::<T>()).filter(|&bytes| bytes <= isize::MAX as usize).ok_or(Error::Length {
        op,
        expected: isize::MAX as usize / size_of::<T>().max(1),
        actual: len,
        unit: "elements at most",
    })
}

/// Refuses lengths that differ.
fn check_len(op: &'static str, expected: usize, actual: usize) -> Result<()> {
    if expected == actual { Ok(()) } else { Err(Error::Length { op, expected, actual, unit: "elements" }) }
}

/// Refuses memory of another backend, which knows nothing of its addresses: to that one they are any addresses of the host.
fn check_backend(op: &'static str, context: &Context, memory: &Context) -> Result<()> {
    let (here, there) = (context.device().acl(), memory.device().acl());
    if Arc::ptr_eq(here.runtime(), there.runtime()) {
        return Ok(());
    }
    let what = format!("the memory belongs to another backend ({}, not {})", there.backend(), here.backend());
    Err(Error::Mismatch { op, what })
}
