//! Arrays of `ndarray`: views of page-locked memory, and copies between arrays and devices.

use super::{DeviceBuffer, DeviceCopy, DeviceView, PinnedBuffer};
use crate::{Context, Error, Result};
use ndarray::{Array, ArrayBase, ArrayView, ArrayViewMut, Data, Dimension, ShapeBuilder, ShapeError};

/// A shape that does not fit.
fn misfit(op: &'static str, len: usize) -> impl FnOnce(ShapeError) -> Error {
    move |error| Error::Mismatch { op, what: format!("the shape does not fit {len} elements: {error}") }
}

/// Does something with the elements of an array in the order of its indices, the last one fastest. Copies them only if they lie in another order.
fn in_order<S, D, R>(array: &ArrayBase<S, D>, action: impl FnOnce(&[S::Elem]) -> R) -> R
where
    S: Data<Elem: Clone>,
    D: Dimension,
{
    match array.as_slice() {
        Some(elements) => action(elements),
        None => action(&array.iter().cloned().collect::<Vec<_>>()),
    }
}

impl<T: DeviceCopy> PinnedBuffer<T> {
    /// Its values as an array of that shape, the last index fastest unless the shape says otherwise (`shape.f()`). Feature `ndarray`.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
    /// let pinned = context.alloc_pinned_from(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
    /// let rows = pinned.as_array((2, 3))?;
    /// assert_eq!(rows.column(0).to_vec(), [1.0, 4.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the shape has more elements than the buffer.
    #[cfg_attr(docsrs, doc(cfg(feature = "ndarray")))]
    pub fn as_array<Sh, D>(&self, shape: Sh) -> Result<ArrayView<'_, T, D>>
    where
        Sh: ShapeBuilder<Dim = D>,
        D: Dimension,
    {
        let len = self.len();
        ArrayView::from_shape(shape.into_shape_with_order(), &self[..])
            .map_err(misfit("PinnedBuffer::as_array", len))
    }

    /// The same, to be written: `pinned.as_array_mut((2, 3))?.assign(&image)` fills it without a copy in between. Feature `ndarray`.
    ///
    /// # Errors
    ///
    /// As [`PinnedBuffer::as_array`].
    #[cfg_attr(docsrs, doc(cfg(feature = "ndarray")))]
    pub fn as_array_mut<Sh, D>(&mut self, shape: Sh) -> Result<ArrayViewMut<'_, T, D>>
    where
        Sh: ShapeBuilder<Dim = D>,
        D: Dimension,
    {
        let len = self.len();
        ArrayViewMut::from_shape(shape.into_shape_with_order(), &mut self[..])
            .map_err(misfit("PinnedBuffer::as_array_mut", len))
    }
}

impl Context {
    /// Allocates device memory and copies an array, or a view of one, into it, the last index fastest. Waits for the copy. Feature `ndarray`.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// use ndarray::array;
    ///
    /// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
    /// let image = array![[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
    /// let there = context.alloc_from_array(&image.t())?;
    /// assert_eq!(there.to_vec()?, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    /// assert_eq!(there.to_array((3, 2))?, image.t());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Context::alloc_from`].
    #[cfg_attr(docsrs, doc(cfg(feature = "ndarray")))]
    pub fn alloc_from_array<S, D>(&self, array: &ArrayBase<S, D>) -> Result<DeviceBuffer<S::Elem>>
    where
        S: Data<Elem: DeviceCopy>,
        D: Dimension,
    {
        in_order(array, |elements| self.alloc_from(elements))
    }

    /// Allocates page-locked memory and copies an array, or a view of one, into it, the last index fastest. Feature `ndarray`.
    ///
    /// # Errors
    ///
    /// As [`Context::alloc_pinned_from`].
    #[cfg_attr(docsrs, doc(cfg(feature = "ndarray")))]
    pub fn alloc_pinned_from_array<S, D>(&self, array: &ArrayBase<S, D>) -> Result<PinnedBuffer<S::Elem>>
    where
        S: Data<Elem: DeviceCopy>,
        D: Dimension,
    {
        in_order(array, |elements| self.alloc_pinned_from(elements))
    }
}

impl<T: DeviceCopy> DeviceView<T> {
    /// Copies an array, or a view of one, to the device, the last index fastest, and waits for that. Feature `ndarray`.
    ///
    /// # Errors
    ///
    /// As [`DeviceView::copy_from_slice`].
    #[cfg_attr(docsrs, doc(cfg(feature = "ndarray")))]
    pub fn copy_from_array<S, D>(&self, array: &ArrayBase<S, D>) -> Result<()>
    where
        S: Data<Elem = T>,
        D: Dimension,
    {
        in_order(array, |elements| self.copy_from_slice(elements))
    }

    /// Copies everything to the host, into an array of that shape, and waits for that. Feature `ndarray`.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the shape has another number of elements; as [`DeviceView::to_vec`].
    #[cfg_attr(docsrs, doc(cfg(feature = "ndarray")))]
    pub fn to_array<Sh, D>(&self, shape: Sh) -> Result<Array<T, D>>
    where
        Sh: ShapeBuilder<Dim = D>,
        D: Dimension,
    {
        Array::from_shape_vec(shape.into_shape_with_order(), self.to_vec()?)
            .map_err(misfit("DeviceView::to_array", self.len()))
    }
}
