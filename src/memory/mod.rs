//! Memory of devices and page-locked memory of the host, and copies between them.

#[cfg(feature = "ndarray")]
mod array;
mod copy;
mod device;
mod pinned;
#[cfg(feature = "bytemuck")]
mod plain;
mod pod;
mod rectangle;
mod registered;
mod transfer;

pub use device::{DeviceBuffer, DeviceView, MallocPolicy};
pub use pinned::PinnedBuffer;
#[cfg(feature = "bytemuck")]
pub use plain::Plain;
pub use pod::DeviceCopy;
pub use rectangle::Rectangle;
pub use registered::HostPages;
pub use transfer::Transfer;

use device::DeviceMemory;

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

/// Refuses lengths that differ; `unit` says of what.
#[inline]
fn check_len(op: &'static str, unit: &'static str, expected: usize, actual: usize) -> Result<()> {
    if expected == actual { Ok(()) } else { Err(Error::Length { op, expected, actual, unit }) }
}
