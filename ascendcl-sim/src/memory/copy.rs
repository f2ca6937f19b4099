//! Copies and fills: what they touch, and the copying itself.

use core::ffi::c_void;

use ascendcl_sys::{self as sys, aclError, aclrtMemcpyKind};

use super::direction::Direction;
use super::place::{Location, Opened, Place, Spot};
use crate::check::{Access, Misuse, misuse};
use crate::core::{Device, clock, process};
use crate::error::fail;

/// Both ends of a copy, as the program named them.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) to: *mut c_void,
    pub(crate) from: *const c_void,
}

impl Ends {
    /// Which way an asynchronous copy between them goes, and what lies at both ends.
    pub(crate) fn resolve(self, kind: aclrtMemcpyKind) -> Result<Resolved, aclError> {
        let located = self.locate();
        let direction = Direction::of(located.to.location(), located.from.location(), kind)?;
        let pageable = located.is_plain() && kind != sys::ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE;
        Ok(Resolved { located, direction, pageable })
    }

    /// What lies there.
    pub(crate) fn locate(self) -> Located {
        Located { ends: self, to: Spot::of(self.to), from: Spot::of(self.from) }
    }
}

/// Both ends of a copy, looked up.
pub(crate) struct Located {
    ends: Ends,
    to: Spot,
    from: Spot,
}

impl Located {
    /// Whether plain host memory is involved.
    pub(crate) fn is_plain(&self) -> bool {
        self.to.location() == Location::Unregistered || self.from.location() == Location::Unregistered
    }
}

/// What an asynchronous copy is.
pub(crate) struct Resolved {
    pub(crate) located: Located,
    pub(crate) direction: Direction,
    /// It involves plain host memory, and is carried out at once.
    pub(crate) pageable: bool,
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

    /// Whether nothing lies between its rows at either end, or there is but one.
    fn is_one_row(&self) -> bool {
        self.height == 1 || self.to_pitch == self.width && self.from_pitch == self.width
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

/// A queued copy between tracked memory. It reads its source when the stream gets there.
#[derive(Clone)]
pub(crate) struct Transfer {
    to: Place,
    from: Place,
    /// Rows with gaps; all of both places if there are none. Queues hold many transfers, and few of these.
    rows: Option<Box<Shape>>,
}

impl Transfer {
    /// A plain copy between places of the same length.
    pub(crate) fn between(to: Place, from: Place) -> Self {
        debug_assert_eq!(to.len(), from.len());
        Self { to, from, rows: None }
    }

    /// Checks a copy on a stream of `device` between memory that is not plain host memory.
    pub(crate) fn plan(device: &Device, copy: Located, shape: Shape) -> Result<Self, aclError> {
        let to = tracked(copy.to, copy.ends.to, shape.extent(shape.to_pitch)?)?;
        let from = tracked(copy.from, copy.ends.from, shape.extent(shape.from_pitch)?)?;
        for place in [&to, &from] {
            place.check_reach(device, "an asynchronous copy")?;
        }
        let rows = (!shape.is_one_row()).then(|| Box::new(shape));
        Ok(Self { to, from, rows })
    }

    pub(crate) fn run(&self) -> Result<(), aclError> {
        let shape = self.rows.as_deref().copied().unwrap_or_else(|| Shape::row(self.to.len()));
        let (to, from) = (self.to.open(shape.writes())?, self.from.open(shape.reads())?);
        // SAFETY: [caller, mapped] `plan` and `between` checked that both places are as long as the shape's extent.
        unsafe { copy_rows(&to, &from, shape) };
        Ok(())
    }
}

fn tracked(spot: Spot, pointer: *const c_void, len: usize) -> Result<Place, aclError> {
    spot.place(pointer, len)?.ok_or_else(|| {
        // Classified as something else a moment ago: another thread has just freed it.
        fail(sys::ACL_ERROR_RT_PARAM_INVALID, format_args!("{pointer:p} is plain host memory"))
    })
}

/// A queued copy whose source was read at the call.
pub(crate) struct Staged {
    bytes: Vec<u8>,
    to: Place,
}

impl Staged {
    /// Checks the copy on a stream of `device` and reads its source.
    ///
    /// # Safety
    /// `from` is readable for `len` bytes, unless it is tracked memory.
    pub(crate) unsafe fn plan(device: &Device, ends: Ends, len: usize) -> Result<Self, aclError> {
        let to = tracked(Spot::of(ends.to), ends.to, len)?;
        to.check_reach(device, "an asynchronous copy")?;
        // SAFETY: [caller] same contract.
        let from = unsafe { open(ends.from.cast_mut(), len, Access::READ) }?;
        let mut bytes = vec![0u8; len];
        // SAFETY: [memory, caller] the vector is `len` bytes long, and so is the source.
        unsafe { Opened::Host(bytes.as_mut_ptr()).copy_from(0, &from, 0, len) };
        Ok(Self { bytes, to })
    }

    pub(crate) fn run(&self) -> Result<(), aclError> {
        self.to.write(&self.bytes)
    }
}

/// Checks a copy and carries it out in the calling thread. Its direction follows from the addresses, whatever kind the program names.
///
/// # Safety
/// Host addresses in `ends` that are not pinned memory are readable or writable as far as `shape` reaches.
pub(crate) unsafe fn copy_blocking(device: &Device, ends: Ends, shape: Shape) -> Result<(), aclError> {
    device.check_present()?;
    let to = Place::find(ends.to, shape.extent(shape.to_pitch)?)?;
    let from = Place::find(ends.from, shape.extent(shape.from_pitch)?)?;
    if let (Some(to), Some(from)) = (&to, &from)
        && let (Some(to_device), Some(from_device)) = (to.device(), from.device())
        && to_device != from_device
    {
        to.check_reach(device, "a copy between devices")?;
        from.check_reach(device, "a copy between devices")?;
    }
    let to = to.map_or(Ok(Opened::Host(ends.to.cast())), |place| place.open(shape.writes()))?;
    let from =
        from.map_or(Ok(Opened::Host(ends.from.cast_mut().cast())), |place| place.open(shape.reads()))?;
    // SAFETY: [caller, mapped] tracked memory was checked against the extent; the rest is the caller's contract.
    unsafe { copy_rows(&to, &from, shape) };
    Ok(())
}

/// # Safety
/// Both ends reach as far as `shape` says.
unsafe fn copy_rows(to: &Opened, from: &Opened, shape: Shape) {
    spend(shape.width.saturating_mul(shape.height), to.is_on_device() == from.is_on_device());
    if shape.is_one_row() {
        // SAFETY: [caller] rows without gaps are one row.
        return unsafe { to.copy_from(0, from, 0, shape.width * shape.height) };
    }
    for row in 0..shape.height {
        // SAFETY: [caller] each row is inside the extent (contract).
        unsafe { to.copy_from(row * shape.to_pitch, from, row * shape.from_pitch, shape.width) };
    }
}

/// Access to any memory for the time of one blocking call.
///
/// # Safety
/// Plain host memory at `pointer` is good for `len` bytes for as long as what is given lives.
pub(crate) unsafe fn open(pointer: *mut c_void, len: usize, access: Access) -> Result<Opened, aclError> {
    match Place::find(pointer, len)? {
        Some(place) => place.open(access),
        None => Ok(Opened::Host(pointer.cast())),
    }
}

/// Memory that work on a device fills: device memory, managed memory or pinned memory.
pub(crate) fn fill_target(device: &Device, pointer: *mut c_void, len: usize) -> Result<Place, aclError> {
    let place = Place::find(pointer, len)?.ok_or_else(|| {
        fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("{pointer:p} is neither device memory nor pinned memory"),
        )
    })?;
    device.check_present()?;
    place.check_reach(device, "a memset")?;
    Ok(place)
}

/// A memset is told to fill plain host memory, which it is not made for.
pub(crate) fn report_host_fill(pointer: *const c_void) {
    misuse(
        Misuse::HostPointer,
        format_args!(
            "{pointer:p} is plain host memory; a memset fills device memory and memory of aclrtMallocHost"
        ),
    );
}

/// Moving `bytes`, inside one kind of memory or between host and device, takes its time on a virtual clock.
fn spend(bytes: usize, inside: bool) {
    if clock::is_virtual() {
        let costs = process::machine().settings().profile.costs;
        clock::spend_moving(bytes, if inside { costs.memory } else { costs.link });
    }
}

/// Fills `place`.
pub(crate) fn fill(place: &Place, byte: u8) -> Result<(), aclError> {
    let opened = place.open(Access::WRITE)?;
    spend(place.len(), true);
    // SAFETY: [caller, mapped] a place is as long as it says.
    unsafe { opened.fill(byte, place.len()) };
    Ok(())
}
