//! [`Rectangle`]: copies of rows that do not lie one directly behind the other, such as a part of an image.

use super::{
    DeviceCopy, DeviceView, PinnedBuffer, Transfer, copy::leak_unless_settled, transfer::begin_transfer,
};
use crate::{Error, Rejected, Result, Stream, runtime::acl, teardown::Kept};
use ascendcl_sys as sys;
use core::ffi::c_void;

/// What ACL copies at most, in bytes and in rows.
const WIDEST: usize = 5_000_000;
const HIGHEST: usize = 5_242_880;

const OP: &str = "aclrtMemcpy2d";
const OP_ASYNC: &str = "aclrtMemcpy2dAsync";

/// A rectangle of `height` rows of `width` values each, and where it lies in the memory that it is copied from and in the memory that it is copied to.
///
/// Everything is counted in values, not in bytes. Without [`source`](Rectangle::source) and [`target`](Rectangle::target) the rows lie one directly behind the other, from
/// the start of the memory on.
///
/// ```
/// # fn main() -> Result<(), ascendcl::Error> {
/// use ascendcl::Rectangle;
///
/// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
/// // An image of 6 x 4 values; of these, 2 x 2 that begin in column 3 of row 1.
/// let image: Vec<u8> = (0..24).collect();
/// let part = context.alloc::<u8>(4)?;
/// part.copy_rectangle_from_slice(&image, Rectangle::new(2, 2).source(6, 3, 1))?;
/// assert_eq!(part.to_vec()?, [9, 10, 15, 16]);
/// # Ok(())
/// # }
/// ```
///
/// # What ACL limits
///
/// - A row has at most 5,000,000 bytes, and a rectangle at most 5,242,880 rows.
/// - A copy that waits goes between host and device only. Within a device there is [`Stream::copy_rectangle`], which the Ascend 310 and 310P families do not
///   have: [`ErrorKind::NotSupported`](crate::ErrorKind::NotSupported), or [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) of older releases.
/// - Programs that run on the NPU's own processor have none of these copies.
///
/// A rectangle without values is copied by doing nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "aclrtMemcpy2d")]
pub struct Rectangle {
    width: usize,
    height: usize,
    source: Place,
    target: Place,
}

/// Where a rectangle lies in memory of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    pitch: usize,
    column: usize,
    row: usize,
}

/// What does not fit, in words.
struct Words {
    pitch: &'static str,
    len: &'static str,
}

const SOURCE: Words = Words {
    pitch: "elements at least as the pitch of the source, where a row of the rectangle ends",
    len: "elements at least in the source, where the last row of the rectangle ends",
};
const TARGET: Words = Words {
    pitch: "elements at least as the pitch of the target, where a row of the rectangle ends",
    len: "elements at least in the target, where the last row of the rectangle ends",
};

/// One side, in bytes.
struct Side {
    start: usize,
    pitch: usize,
}

/// What was checked against both sides, in bytes. The copy touches `height` times `width` bytes on each side, all of them inside.
struct Checked {
    source: Side,
    target: Side,
    width: usize,
    height: usize,
}

impl Rectangle {
    /// `height` rows of `width` values each.
    pub fn new(width: usize, height: usize) -> Rectangle {
        let dense = Place { pitch: width, column: 0, row: 0 };
        Rectangle { width, height, source: dense, target: dense }
    }

    /// Copied from memory of rows of `pitch` values each, from that column of that row on.
    pub fn source(mut self, pitch: usize, column: usize, row: usize) -> Rectangle {
        self.source = Place { pitch, column, row };
        self
    }

    /// Copied to memory of rows of `pitch` values each, to that column of that row and what is right of it and below.
    pub fn target(mut self, pitch: usize, column: usize, row: usize) -> Rectangle {
        self.target = Place { pitch, column, row };
        self
    }

    /// How many values are in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many rows there are.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Checks it against what is there on both sides, in values. `None` if there is nothing to copy.
    fn check<T>(&self, op: &'static str, source: usize, target: usize) -> Result<Option<Checked>> {
        let size = size_of::<T>();
        if self.width == 0 || self.height == 0 || size == 0 {
            return Ok(None);
        }
        let most = |expected, actual, unit| match actual <= expected {
            true => Ok(()),
            false => Err(Error::Length { op, expected, actual, unit }),
        };
        let checked = Checked {
            source: self.source.check(op, &SOURCE, self, source, size)?,
            target: self.target.check(op, &TARGET, self, target, size)?,
            width: self.width * size,
            height: self.height,
        };
        most(WIDEST / size, self.width, "elements at most in a row")?;
        most(HIGHEST, self.height, "rows at most")?;
        Ok(Some(checked))
    }
}

impl Place {
    /// Checks that a rectangle fits into `len` values of `size` bytes, whose bytes can be counted.
    fn check(
        &self,
        op: &'static str,
        words: &Words,
        rectangle: &Rectangle,
        len: usize,
        size: usize,
    ) -> Result<Side> {
        // What cannot be counted does not fit: no memory has so many bytes.
        let right = self.column.saturating_add(rectangle.width);
        if right > self.pitch {
            return Err(Error::Length { op, expected: right, actual: self.pitch, unit: words.pitch });
        }
        let last = self.row.saturating_add(rectangle.height - 1);
        let end = last.saturating_mul(self.pitch).saturating_add(right);
        if end > len {
            return Err(Error::Length { op, expected: end, actual: len, unit: words.len });
        }
        // Nothing overflows from here on: all of it is inside of `len`, but for the pitch of a single row, which does not matter.
        let pitch = if last == 0 { rectangle.width } else { self.pitch };
        Ok(Side { start: (self.row * self.pitch + self.column) * size, pitch: pitch * size })
    }
}

impl Side {
    fn of(&self, address: *mut c_void) -> *mut c_void {
        address.wrapping_byte_add(self.start)
    }
}

impl<T: DeviceCopy> DeviceView<T> {
    /// Copies a rectangle of `values` to the device, and waits for that. Streams that have work queued on this memory are not waited for.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the rectangle does not fit: the error says on which side.
    #[doc(alias = "aclrtMemcpy2d")]
    pub fn copy_rectangle_from_slice(&self, values: &[T], rectangle: Rectangle) -> Result<()> {
        let Some(checked) = rectangle.check::<T>(OP, values.len(), self.len())? else { return Ok(()) };
        // SAFETY: [place] the rectangle is inside of both sides; the slice is borrowed for the call.
        unsafe {
            self.copy_rectangle(
                self.as_raw(),
                values.as_ptr().cast_mut().cast(),
                &checked,
                sys::ACL_MEMCPY_HOST_TO_DEVICE,
            )
        }
    }

    /// Copies a rectangle from the device into `values`, and waits for that. What is outside of the rectangle stays as it is. Streams that have work queued on
    /// this memory are not waited for.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// use ascendcl::Rectangle;
    ///
    /// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
    /// let patch = context.alloc_from(&[7.0_f32; 4])?;
    /// let mut image = [0.0; 9];
    /// patch.copy_rectangle_to_slice(&mut image, Rectangle::new(2, 2).target(3, 1, 1))?;
    /// assert_eq!(image, [0.0, 0.0, 0.0, 0.0, 7.0, 7.0, 0.0, 7.0, 7.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the rectangle does not fit: the error says on which side.
    #[doc(alias = "aclrtMemcpy2d")]
    pub fn copy_rectangle_to_slice(&self, values: &mut [T], rectangle: Rectangle) -> Result<()> {
        let Some(checked) = rectangle.check::<T>(OP, self.len(), values.len())? else { return Ok(()) };
        // SAFETY: [place, bits] the rectangle is inside of both sides, any bit pattern is a value, and the slice is borrowed exclusively for the call.
        unsafe {
            self.copy_rectangle(
                values.as_mut_ptr().cast(),
                self.as_raw(),
                &checked,
                sys::ACL_MEMCPY_DEVICE_TO_HOST,
            )
        }
    }

    /// As the copies of slices: one call of the driver, which lets go of the host's pages before it answers.
    ///
    /// # Safety
    ///
    /// `to` and `from` must be the starts of what the rectangle was checked against, on the sides that `kind` says, one of them this memory.
    unsafe fn copy_rectangle(
        &self,
        to: *mut c_void,
        from: *mut c_void,
        checked: &Checked,
        kind: sys::aclrtMemcpyKind,
    ) -> Result<()> {
        let Checked { source, target, width, height } = checked;
        self.context().bind(OP)?;
        // SAFETY: [caller, place] by contract of this function; ACL returns when the copy is done, so that the memory is only used during the call.
        let result = unsafe {
            acl!(
                self.context(),
                aclrtMemcpy2d(
                    target.of(to),
                    target.pitch,
                    source.of(from),
                    source.pitch,
                    *width,
                    *height,
                    kind
                )
            )
        };
        leak_unless_settled(result, &[self.memory()])
    }
}

impl Stream {
    /// Enqueues a copy of a rectangle from page-locked host memory to device memory. Takes the host memory and gives it back as [`Stream::upload`] does.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// use ascendcl::Rectangle;
    ///
    /// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
    /// let stream = context.create_stream()?;
    /// // Two rows of three values each, into the middle of an image of rows of five.
    /// let image = context.alloc_from(&[0_u8; 20])?;
    /// let rows = context.alloc_pinned_from(&[1, 2, 3, 4, 5, 6])?;
    /// stream.upload_rectangle(rows, &image, Rectangle::new(3, 2).target(5, 1, 1))?.wait()?;
    /// assert_eq!(image.view(5..15)?.to_vec()?, [0, 1, 2, 3, 0, 0, 4, 5, 6, 0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the rectangle does not fit, which says on which side; [`Error::Mismatch`] if the memory is on another device. With these the host memory
    /// comes back in the error. With an error of ACL it does not, because such a copy is many tasks, of which some may be running.
    #[doc(alias = "aclrtMemcpy2dAsync")]
    pub fn upload_rectangle<T: DeviceCopy>(
        &self,
        from: PinnedBuffer<T>,
        to: &DeviceView<T>,
        rectangle: Rectangle,
    ) -> Result<Transfer<T>, Rejected<PinnedBuffer<T>>> {
        let checked = rectangle.check::<T>(OP_ASYNC, from.len(), to.len());
        begin_transfer(
            self,
            OP_ASYNC,
            from,
            to,
            checked,
            |pinned, checked| {
                // SAFETY: [queued] the rectangle is inside of both sides. The host side belongs to the transfer, which nobody can look into, and then to the
                // stream, until the copy is done; the device side has them as owners.
                unsafe {
                    self.enqueue_rectangle(
                        to.as_raw(),
                        pinned.address(),
                        checked,
                        sys::ACL_MEMCPY_HOST_TO_DEVICE,
                    )
                }
            },
            Error::is_refusal_of_all,
        )
    }

    /// Enqueues a copy of a rectangle from device memory to page-locked host memory. What is outside of the rectangle stays as it is. See
    /// [`Stream::upload_rectangle`].
    ///
    /// # Errors
    ///
    /// As [`Stream::upload_rectangle`].
    #[doc(alias = "aclrtMemcpy2dAsync")]
    pub fn download_rectangle<T: DeviceCopy>(
        &self,
        from: &DeviceView<T>,
        to: PinnedBuffer<T>,
        rectangle: Rectangle,
    ) -> Result<Transfer<T>, Rejected<PinnedBuffer<T>>> {
        let checked = rectangle.check::<T>(OP_ASYNC, from.len(), to.len());
        begin_transfer(
            self,
            OP_ASYNC,
            to,
            from,
            checked,
            |pinned, checked| {
                // SAFETY: [queued, bits] as for an upload; any bit pattern is a value.
                unsafe {
                    self.enqueue_rectangle(
                        pinned.address(),
                        from.as_raw(),
                        checked,
                        sys::ACL_MEMCPY_DEVICE_TO_HOST,
                    )
                }
            },
            Error::is_refusal_of_all,
        )
    }

    /// Enqueues a copy of a rectangle within the device. Both sides stay alive until it is done. The Ascend 310 and 310P families have no such copy.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the rectangle does not fit, which says on which side; [`Error::Mismatch`] if the memory is on another device;
    /// [`ErrorKind::NotSupported`](crate::ErrorKind::NotSupported), or [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument), if the chip has no such copy.
    #[doc(alias = "aclrtMemcpy2dAsync")]
    pub fn copy_rectangle<T: DeviceCopy>(
        &self,
        from: &DeviceView<T>,
        to: &DeviceView<T>,
        rectangle: Rectangle,
    ) -> Result<()> {
        let Some(checked) = rectangle.check::<T>(OP_ASYNC, from.len(), to.len())? else { return Ok(()) };
        for memory in [from, to] {
            self.check_memory(OP_ASYNC, memory.context())?;
        }
        // SAFETY: [queued] the rectangle is inside of both sides, which are kept until the stream has passed the copy.
        let result = unsafe {
            self.enqueue_rectangle(to.as_raw(), from.as_raw(), &checked, sys::ACL_MEMCPY_DEVICE_TO_DEVICE)
        };
        if let Err(error) = &result
            && error.is_refusal_of_all()
        {
            return result.map(drop);
        }
        let owners = [from.memory().clone() as Kept, to.memory().clone()];
        self.keep(owners, checked.width * checked.height);
        if result.is_ok() {
            self.tidy();
        }
        result.map(drop)
    }

    /// Gives the number of the operation.
    ///
    /// # Safety
    ///
    /// `to` and `from` must be the starts of what the rectangle was checked against, on the sides that `kind` says. Both must stay until the stream has passed the copy,
    /// also after an error, unless it [refuses all of it](Error::is_refusal_of_all).
    unsafe fn enqueue_rectangle(
        &self,
        to: *mut c_void,
        from: *mut c_void,
        checked: &Checked,
        kind: sys::aclrtMemcpyKind,
    ) -> Result<u64> {
        let Checked { source, target, width, height } = checked;
        self.enqueue_many(OP_ASYNC, |raw| {
            // SAFETY: [caller, queued] by contract of this function.
            unsafe {
                acl!(
                    self,
                    aclrtMemcpy2dAsync(
                        target.of(to),
                        target.pitch,
                        source.of(from),
                        source.pitch,
                        *width,
                        *height,
                        kind,
                        raw
                    )
                )
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rectangle: Rectangle, source: usize, target: usize) -> Result<Option<Checked>> {
        rectangle.check::<u32>(OP, source, target)
    }

    fn misfit(rectangle: Rectangle, source: usize, target: usize) -> (usize, usize, &'static str) {
        match check(rectangle, source, target) {
            Err(Error::Length { expected, actual, unit, .. }) => (expected, actual, unit),
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("it fits"),
        }
    }

    #[test]
    fn sides_are_counted_in_bytes() {
        let rectangle = Rectangle::new(2, 3).source(10, 4, 1).target(5, 3, 0);
        let checked = check(rectangle, 36, 15).unwrap().unwrap();
        assert_eq!((checked.source.start, checked.source.pitch), (56, 40));
        assert_eq!((checked.target.start, checked.target.pitch), (12, 20));
        assert_eq!((checked.width, checked.height), (8, 3));
        assert_eq!(misfit(rectangle, 35, 15), (36, 35, SOURCE.len));
        assert_eq!(misfit(rectangle, 36, 14), (15, 14, TARGET.len));
        assert_eq!(misfit(rectangle.target(4, 3, 0), 36, 15), (5, 4, TARGET.pitch));
        assert_eq!(misfit(rectangle.source(1, 0, 0), 36, 15), (2, 1, SOURCE.pitch));
    }

    #[test]
    fn what_overflows_does_not_fit() {
        let most = usize::MAX;
        let (square, long) = (Rectangle::new(1, 2), isize::MAX as usize / 4);
        for rectangle in [
            square.source(most, 0, 0),
            square.source(most, 0, most),
            square.source(most / 2 + 1, 0, 1),
            square.source(2, 0, most),
            square.source(2, 0, most / 2 + 1),
            Rectangle::new(1, most),
        ] {
            assert_eq!(misfit(rectangle, long, long).2, SOURCE.len, "{rectangle:?}");
        }
        assert_eq!(misfit(Rectangle::new(most, 1), long, long).2, SOURCE.len);
        assert_eq!(misfit(square.source(most - 1, most, 0), long, long), (most, most - 1, SOURCE.pitch));
        // The pitch of one row does not matter, and is not counted.
        let checked = check(Rectangle::new(2, 1).source(most, 0, 0), 2, 2).unwrap().unwrap();
        assert_eq!(checked.source.pitch, 8);
    }

    #[test]
    fn limits_are_those_of_acl() {
        let (wide, high) = (Rectangle::new(1_250_001, 1), Rectangle::new(1, HIGHEST + 1));
        assert_eq!(misfit(wide, 1_250_001, 1_250_001).0, 1_250_000);
        assert_eq!(misfit(high, HIGHEST + 1, HIGHEST + 1).0, HIGHEST);
        assert!(check(Rectangle::new(1_250_000, 1), 1_250_000, 1_250_000).unwrap().is_some());
    }

    #[test]
    fn nothing_fits_everywhere() {
        for nothing in [Rectangle::new(0, 5), Rectangle::new(5, 0), Rectangle::new(0, 0).source(0, 9, 9)] {
            assert!(check(nothing, 0, 0).unwrap().is_none());
        }
        assert!(Rectangle::new(5, 5).check::<[u32; 0]>(OP, usize::MAX, 0).unwrap().is_none());
    }
}
