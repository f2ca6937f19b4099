//! Copies: which direction a pair of addresses means, what may be copied, and the copying itself.

use core::ffi::c_void;

use ascendcl_sys::{self as sys, aclError, aclrtMemcpyKind};

use super::place::{Location, Opened, Place, classify};
use crate::check::{Access, Misuse, misuse};
use crate::core::Device;
use crate::error::fail;

/// Both ends of a copy, as the program named them.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) to: *mut c_void,
    pub(crate) from: *const c_void,
}

/// Rows of a copy; a plain copy is one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) to_pitch: usize,
    pub(crate) from_pitch: usize,
}

impl Shape {
    pub(crate) fn row(len: usize) -> Self {
        Self { width: len, height: 1, to_pitch: len, from_pitch: len }
    }

    fn reads(&self) -> Access {
        Access::READ.rows(self.width, self.from_pitch, self.height)
    }

    fn writes(&self) -> Access {
        Access::WRITE.rows(self.width, self.to_pitch, self.height)
    }

    /// Bytes from the first of the first row to the last of the last one.
    fn extent(&self, pitch: usize) -> Result<usize, aclError> {
        pitch
            .checked_mul(self.height - 1)
            .and_then(|rows| rows.checked_add(self.width))
            .ok_or_else(|| fail(sys::ACL_ERROR_RT_PARAM_INVALID, "the copied range overflows"))
    }
}

/// The direction that two addresses mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    HostToHost,
    HostToDevice,
    DeviceToHost,
    DeviceToDevice,
}

/// The true direction of a copy between two locations. A wrong `kind` is corrected silently where the runtime can classify both
/// addresses; next to plain host memory only some kinds pass.
pub(crate) fn direction(to: Location, from: Location, kind: aclrtMemcpyKind) -> Result<Direction, aclError> {
    use Location::{Device, Pinned, Unregistered};
    let is = |accepted: &[aclrtMemcpyKind]| kind == sys::ACL_MEMCPY_DEFAULT || accepted.contains(&kind);
    let (direction, accepted) = match (from, to) {
        (Device(_), Device(_)) => (Direction::DeviceToDevice, true),
        (Pinned, Device(_)) => (Direction::HostToDevice, true),
        (Device(_), Pinned) => (Direction::DeviceToHost, true),
        (Pinned, Pinned) | (Unregistered, Unregistered) => (Direction::HostToHost, true),
        (Unregistered, Device(_)) => (
            Direction::HostToDevice,
            is(&[
                sys::ACL_MEMCPY_HOST_TO_DEVICE,
                sys::ACL_MEMCPY_DEVICE_TO_DEVICE,
                sys::ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE,
            ]),
        ),
        (Device(_), Unregistered) => {
            (Direction::DeviceToHost, is(&[sys::ACL_MEMCPY_DEVICE_TO_HOST, sys::ACL_MEMCPY_DEVICE_TO_DEVICE]))
        }
        (Pinned, Unregistered) => {
            (Direction::HostToHost, is(&[sys::ACL_MEMCPY_HOST_TO_HOST, sys::ACL_MEMCPY_HOST_TO_DEVICE]))
        }
        (Unregistered, Pinned) => {
            (Direction::HostToHost, is(&[sys::ACL_MEMCPY_HOST_TO_HOST, sys::ACL_MEMCPY_DEVICE_TO_HOST]))
        }
    };
    if accepted {
        return Ok(direction);
    }
    Err(fail(
        sys::ACL_ERROR_RT_PARAM_INVALID,
        format_args!("copy kind {} does not fit a copy from {from:?} to {to:?} memory", kind.0),
    ))
}

/// A queued copy between tracked memory. It reads its source when the stream gets there.
#[derive(Clone)]
pub(crate) struct Transfer {
    to: Place,
    from: Place,
    shape: Shape,
}

impl Transfer {
    pub(crate) fn run(&self) -> Result<(), aclError> {
        let (to, from) = (self.to.open(self.shape.writes())?, self.from.open(self.shape.reads())?);
        // SAFETY: `plan` checked that both places are as long as the shape's extent.
        unsafe { copy_rows(&to, &from, self.shape) };
        Ok(())
    }
}

/// How an asynchronous copy is carried out.
pub(crate) enum Plan {
    /// Queue it.
    Queued(Transfer),
    /// Plain host memory: synchronise the stream, then copy in the calling thread.
    Blocking,
    /// The source is staged at the call and may be reused at once; the rest is queued.
    Staged(Staged),
}

/// A queued copy whose source was read at the call.
pub(crate) struct Staged {
    bytes: Vec<u8>,
    to: Place,
}

impl Staged {
    pub(crate) fn run(&self) -> Result<(), aclError> {
        let to = self.to.open(Access::WRITE)?;
        // SAFETY: `plan` made the vector as long as the place, and it is only read.
        unsafe { to.copy_from(0, &Opened::Host(self.bytes.as_ptr().cast_mut()), 0, self.bytes.len()) };
        Ok(())
    }
}

/// Checks an asynchronous copy on a stream of `device`.
///
/// # Safety
/// As for [`copy_blocking`], for [`Plan::Staged`].
pub(crate) unsafe fn plan(
    device: &Device,
    ends: Ends,
    shape: Shape,
    kind: aclrtMemcpyKind,
) -> Result<(Direction, Plan), aclError> {
    let (to_location, from_location) = (classify(ends.to), classify(ends.from));
    let direction = direction(to_location, from_location, kind)?;
    if direction == Direction::HostToHost {
        return Err(fail(
            sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
            "a copy between host addresses cannot be asynchronous",
        ));
    }
    let to = Place::find(ends.to, shape.extent(shape.to_pitch)?)?;
    let from = Place::find(ends.from, shape.extent(shape.from_pitch)?)?;
    for place in [&to, &from].into_iter().flatten() {
        device.check_reach(place.device(), "an asynchronous copy")?;
    }
    let plan = match (to, from) {
        (Some(to), _)
            if kind == sys::ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE && direction == Direction::HostToDevice =>
        {
            let mut bytes = vec![0; shape.width];
            // SAFETY: the source is readable (contract), and as long as one row: this kind has no rows.
            unsafe { libc::memcpy(bytes.as_mut_ptr().cast(), ends.from, shape.width) };
            Plan::Staged(Staged { bytes, to })
        }
        (Some(to), Some(from)) => Plan::Queued(Transfer { to, from, shape }),
        _ => Plan::Blocking,
    };
    Ok((direction, plan))
}

/// Checks a copy and carries it out in the calling thread.
///
/// # Safety
/// Host addresses in `ends` that are not pinned memory are readable or writable as far as `shape` reaches.
pub(crate) unsafe fn copy_blocking(
    device: &Device,
    ends: Ends,
    shape: Shape,
    kind: aclrtMemcpyKind,
) -> Result<(), aclError> {
    direction(classify(ends.to), classify(ends.from), kind)?;
    device.check_present()?;
    let to = Place::find(ends.to, shape.extent(shape.to_pitch)?)?;
    let from = Place::find(ends.from, shape.extent(shape.from_pitch)?)?;
    if let (Some(to_device), Some(from_device)) =
        (to.as_ref().and_then(Place::device), from.as_ref().and_then(Place::device))
        && to_device != from_device
    {
        device.check_reach(Some(to_device), "a copy between devices")?;
        device.check_reach(Some(from_device), "a copy between devices")?;
    }
    let to = to.map_or(Ok(Opened::Host(ends.to.cast())), |place| place.open(shape.writes()))?;
    let from =
        from.map_or(Ok(Opened::Host(ends.from.cast_mut().cast())), |place| place.open(shape.reads()))?;
    // SAFETY: tracked memory was checked against the extent; the rest is the caller's contract.
    unsafe { copy_rows(&to, &from, shape) };
    Ok(())
}

/// # Safety
/// Both ends reach as far as `shape` says.
unsafe fn copy_rows(to: &Opened, from: &Opened, shape: Shape) {
    if shape.to_pitch == shape.width && shape.from_pitch == shape.width {
        // SAFETY: rows without gaps are one row.
        return unsafe { to.copy_from(0, from, 0, shape.width * shape.height) };
    }
    for row in 0..shape.height {
        // SAFETY: each row is inside the extent (contract).
        unsafe { to.copy_from(row * shape.to_pitch, from, row * shape.from_pitch, shape.width) };
    }
}

/// Memory to fill: device memory or pinned memory, not plain host memory.
pub(crate) fn fill_target(device: &Device, pointer: *mut c_void, len: usize) -> Result<Place, aclError> {
    let Some(place) = Place::find(pointer, len)? else {
        misuse(
            Misuse::HostPointer,
            format_args!(
                "{pointer:p} is plain host memory; a memset fills device memory and memory of aclrtMallocHost"
            ),
        );
        return Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("{pointer:p} is neither device memory nor pinned memory"),
        ));
    };
    device.check_present()?;
    device.check_reach(place.device(), "a memset")?;
    Ok(place)
}

/// Fills `place`.
pub(crate) fn fill(place: &Place, byte: u8) -> Result<(), aclError> {
    let opened = place.open(Access::WRITE)?;
    // SAFETY: a place is as long as it says.
    unsafe { opened.fill(byte, place.len()) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error;

    #[test]
    fn kinds_are_corrected_or_refused() {
        use Location::{Device, Pinned, Unregistered};
        let device = Device(0);
        let wrong = sys::ACL_MEMCPY_HOST_TO_HOST;
        assert_eq!(direction(device, Pinned, wrong), Ok(Direction::HostToDevice));
        assert_eq!(direction(Pinned, device, wrong), Ok(Direction::DeviceToHost));
        assert_eq!(direction(device, Device(1), wrong), Ok(Direction::DeviceToDevice));
        assert_eq!(direction(device, Unregistered, wrong), Err(107_000));
        assert_eq!(direction(device, Unregistered, sys::ACL_MEMCPY_DEFAULT), Ok(Direction::HostToDevice));
        assert_eq!(
            direction(device, Unregistered, sys::ACL_MEMCPY_DEVICE_TO_DEVICE),
            Ok(Direction::HostToDevice)
        );
        assert_eq!(direction(Unregistered, device, sys::ACL_MEMCPY_HOST_TO_DEVICE), Err(107_000));
        assert_eq!(
            direction(Unregistered, Pinned, sys::ACL_MEMCPY_HOST_TO_DEVICE),
            Ok(Direction::HostToHost)
        );
        assert_eq!(direction(Pinned, Unregistered, sys::ACL_MEMCPY_HOST_TO_DEVICE), Err(107_000));
        assert_eq!(
            direction(Unregistered, Unregistered, sys::ACL_MEMCPY_DEVICE_TO_HOST),
            Ok(Direction::HostToHost)
        );
        error::take_text();
        error::last(true);
    }
}
