//! [`Plain`]: types that are [`Pod`] as elements of device memory.

use super::DeviceCopy;
use bytemuck::{Pod, TransparentWrapper, Zeroable};

/// A value whose type is [`bytemuck::Pod`], as an element of device memory: what bytemuck's derive has checked needs no `unsafe` here.
///
/// It has the layout of the value. [`TransparentWrapper::wrap_slice`] and [`peel_slice`](TransparentWrapper::peel_slice) turn slices of one into slices of the
/// other, without a copy. Numbers, and arrays of them, are elements without it. Feature `bytemuck`.
///
/// ```
/// use ascendcl::Plain;
/// use bytemuck::TransparentWrapper;
/// use std::num::Wrapping;
///
/// # fn main() -> Result<(), ascendcl::Error> {
/// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
/// // Or structs of one's own, with `#[derive(Pod, Zeroable)]`.
/// let numbers = [Wrapping(1_u32), Wrapping(u32::MAX)];
/// let there = context.alloc_from(Plain::wrap_slice(&numbers))?;
/// let back = there.to_vec()?;
/// assert_eq!(Plain::peel_slice(&back), &numbers);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
#[cfg_attr(docsrs, doc(cfg(feature = "bytemuck")))]
pub struct Plain<T>(pub T);

// SAFETY: [bits] `Pod` promises what `DeviceCopy` wants: every bit pattern is a value, there is no padding, and there are no pointers.
unsafe impl<T: Pod + Send + Sync> DeviceCopy for Plain<T> {}

// SAFETY: [layout] `repr(transparent)` over its only field.
unsafe impl<T> TransparentWrapper<T> for Plain<T> {}

// SAFETY: [bits] it is a `T` in memory.
unsafe impl<T: Zeroable> Zeroable for Plain<T> {}

// SAFETY: [bits] it is a `T` in memory.
unsafe impl<T: Pod> Pod for Plain<T> {}
