//! Where the two ends of a copy lie.

use core::ffi::c_void;
use std::fmt;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError};

use super::pinned::{self, PinnedBlock, PinnedBytes, PinnedRange};
use super::poison::FREED;
use super::range::{DeviceBytes, DeviceRange, range_in};
use super::region::{self, Region};
use crate::check::Access;
use crate::core::Device;
use crate::error::fail;

/// What an address is, as the runtime classifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// In the address range of a device, live or not.
    Device(i32),
    /// Pinned host memory, allocated or registered.
    Pinned,
    /// Managed memory, which the host and all devices reach; the device it was allocated with.
    Managed(i32),
    /// Any other host memory.
    Unregistered,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(device) => write!(f, "device {device}"),
            Self::Pinned => f.write_str("pinned memory"),
            Self::Managed(_) => f.write_str("managed memory"),
            Self::Unregistered => f.write_str("plain host memory"),
        }
    }
}

/// What kind of memory `pointer` points to.
pub(crate) fn classify(pointer: *const c_void) -> Location {
    Spot::of(pointer).location()
}

/// What answers for an address: looked up once for all there is to know.
pub(super) enum Spot {
    Region(Arc<dyn Region>),
    /// A piece of pinned memory, and the offset there.
    Pinned(Arc<PinnedBlock>, usize),
    Plain,
}

impl Spot {
    pub(super) fn of(pointer: *const c_void) -> Self {
        if let Some(region) = region::of(pointer) {
            return Self::Region(region);
        }
        pinned::find(pointer).map_or(Self::Plain, |(block, start)| Self::Pinned(block, start))
    }

    pub(super) fn location(&self) -> Location {
        match self {
            Self::Region(region) => region.location(),
            Self::Pinned(..) => Location::Pinned,
            Self::Plain => Location::Unregistered,
        }
    }

    /// The tracked memory at `pointer`, checked; `None` for plain host memory.
    pub(super) fn place(self, pointer: *const c_void, len: usize) -> Result<Option<Place>, aclError> {
        match self {
            Self::Region(region) => {
                let range = range_in(&*region, pointer, len)?;
                if !range.copyable() {
                    return Err(fail(
                        sys::ACL_ERROR_RT_PARAM_INVALID,
                        format_args!(
                            "{pointer:p} is registered host memory as kernels see it: copies use its host address"
                        ),
                    ));
                }
                Ok(Some(Place::Device(range)))
            }
            Self::Pinned(block, start) => {
                pinned::range((block, start), pointer, len).map(|range| Some(Place::Pinned(range)))
            }
            Self::Plain => Ok(None),
        }
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
        Spot::of(pointer).place(pointer, len)
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Device(range) => range.len(),
            Self::Pinned(range) => range.len(),
        }
    }

    /// The device this place is on; `None` if all devices reach it.
    pub(crate) fn device(&self) -> Option<i32> {
        match self {
            Self::Device(range) => range.device(),
            Self::Pinned(_) => None,
        }
    }

    /// Whether work of `device` may use it (107000 if not).
    pub(crate) fn check_reach(&self, device: &Device, what: &str) -> Result<(), aclError> {
        match self {
            Self::Device(range) => range.check_reach(device, what),
            Self::Pinned(_) => Ok(()),
        }
    }

    /// The part `[start, start + len)` of it, which must lie inside.
    pub(crate) fn part(&self, start: usize, len: usize) -> Self {
        match self {
            Self::Device(range) => Self::Device(range.part(start, len)),
            Self::Pinned(range) => Self::Pinned(range.part(start, len)),
        }
    }

    /// A copy of its bytes.
    pub(crate) fn read(&self) -> Result<Vec<u8>, aclError> {
        let opened = self.open(Access::READ)?;
        let mut bytes = vec![0; self.len()];
        // SAFETY: [memory] the vector is as long as this place.
        unsafe { Opened::Host(bytes.as_mut_ptr()).copy_from(0, &opened, 0, self.len()) };
        Ok(bytes)
    }

    /// Writes `bytes` from its start. Panics if they do not fit.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), aclError> {
        assert!(bytes.len() <= self.len(), "write past the end of a place");
        let opened = self.open(Access::WRITE)?;
        // SAFETY: [memory] the length was just checked, and the source is only read.
        unsafe { opened.copy_from(0, &Opened::Host(bytes.as_ptr().cast_mut()), 0, bytes.len()) };
        Ok(())
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
    pub(crate) fn is_on_device(&self) -> bool {
        matches!(self, Self::Device(_))
    }

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
            // SAFETY: [caller] both ranges are valid (contract). The memory is outside of anything Rust holds a reference to; if the program
            // lets two operations race on it, the bytes are arbitrary, as on a card.
            (Some(to_base), Some(from_base)) => unsafe {
                libc::memmove(to_base.add(to).cast(), from_base.add(from).cast(), len);
            },
            // SAFETY: [caller] as above.
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
            // SAFETY: [caller] the range is valid (contract).
            unsafe { libc::memset(pointer.cast(), byte.into(), len) };
        }
    }

    /// Fills `count` 32-bit words from the start.
    ///
    /// # Safety
    /// As for [`copy_from`](Self::copy_from).
    pub(crate) unsafe fn fill_words(&self, word: u32, count: usize) {
        if let Some(pointer) = self.pointer() {
            for index in 0..count {
                // SAFETY: [caller] the range is valid (contract); nothing is said about its alignment.
                unsafe { pointer.cast::<u32>().add(index).write_unaligned(word) };
            }
        }
    }
}
