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

pub(crate) use device::DeviceMemory;
pub(crate) use pinned::PinnedMemory;

use crate::{Error, Result};

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
