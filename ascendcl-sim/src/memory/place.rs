//! Where the two ends of a copy lie.

use core::ffi::c_void;

use ascendcl_sys::aclError;

use super::block::{DeviceBytes, DeviceRange, FREED};
use super::pinned::{self, PinnedBytes, PinnedRange};
use super::space::{self, device_range};
use crate::check::Access;

/// What an address is, as the runtime classifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// In the address range of a device, live or not.
    Device(i32),
    /// Pinned host memory.
    Pinned,
    /// Any other host memory.
    Unregistered,
}

/// What kind of memory `pointer` points to.
pub(crate) fn classify(pointer: *const c_void) -> Location {
    if let Some(device) = space::device_of(pointer) {
        Location::Device(device)
    } else if pinned::find(pointer).is_some() {
        Location::Pinned
    } else {
        Location::Unregistered
    }
}

/// One end of a queued copy: memory the simulator keeps track of.
#[derive(Clone)]
pub(crate) enum Place {
    Device(DeviceRange),
    Pinned(PinnedRange),
}

impl Place {
    /// The tracked memory at `pointer`, checked; `None` for plain host memory.
    pub(crate) fn find(pointer: *const c_void, len: usize) -> Result<Option<Self>, aclError> {
        if space::device_of(pointer).is_some() {
            return device_range(pointer, len).map(|range| Some(Self::Device(range)));
        }
        match pinned::find(pointer) {
            Some(found) => pinned::range(found, pointer, len).map(|range| Some(Self::Pinned(range))),
            None => Ok(None),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Device(range) => range.len(),
            Self::Pinned(range) => range.len(),
        }
    }

    /// The device this place is on, if it is on one.
    pub(crate) fn device(&self) -> Option<i32> {
        match self {
            Self::Device(range) => Some(range.device()),
            Self::Pinned(_) => None,
        }
    }

    pub(crate) fn open(&self, access: Access) -> Result<Opened, aclError> {
        match self {
            Self::Device(range) => range.open(access).map(Opened::Device),
            Self::Pinned(range) => Ok(match range.open(access) {
                Some(bytes) => Opened::Pinned(bytes),
                None => {
                    log::warn!(
                        "pinned memory of {} bytes was freed before the queued copy that uses it ran: the data is lost",
                        range.len()
                    );
                    Opened::Gone
                }
            }),
        }
    }
}

/// One end of a copy while it runs.
pub(crate) enum Opened {
    Device(DeviceBytes),
    Pinned(PinnedBytes),
    /// Plain host memory of a blocking call; the caller of that call vouches for it.
    Host(*mut u8),
    /// Pinned memory that was freed. As on a card nobody reports it: it reads as poison, and what is written to it is lost.
    Gone,
}

impl Opened {
    fn pointer(&self) -> Option<*mut u8> {
        match self {
            Self::Device(bytes) => Some(bytes.as_mut_ptr()),
            Self::Pinned(bytes) => Some(bytes.as_mut_ptr()),
            Self::Host(pointer) => Some(*pointer),
            Self::Gone => None,
        }
    }

    /// Copies `len` bytes from `from` in `source` to `to` in `self`. Overlapping ranges are allowed.
    ///
    /// # Safety
    /// Both ranges lie inside what was opened; for host memory: inside memory that is readable or writable.
    pub(crate) unsafe fn copy_from(&self, to: usize, source: &Self, from: usize, len: usize) {
        match (self.pointer(), source.pointer()) {
            // SAFETY: both ranges are valid (contract). The memory is outside of anything Rust holds a reference to; if the program
            // lets two operations race on it, the bytes are arbitrary, as on a card.
            (Some(to_base), Some(from_base)) => unsafe {
                libc::memmove(to_base.add(to).cast(), from_base.add(from).cast(), len);
            },
            // SAFETY: as above.
            (Some(to_base), None) => unsafe {
                libc::memset(to_base.add(to).cast(), FREED.into(), len);
            },
            (None, _) => {}
        }
    }

    /// Fills `len` bytes from the start.
    ///
    /// # Safety
    /// As for [`copy_from`](Self::copy_from).
    pub(crate) unsafe fn fill(&self, byte: u8, len: usize) {
        if let Some(pointer) = self.pointer() {
            // SAFETY: the range is valid (contract).
            unsafe { libc::memset(pointer.cast(), byte.into(), len) };
        }
    }
}
