//! [`DeviceCopy`]: which types may lie in device memory.

/// Types that may be copied to a device and back as they are: any bit pattern is a valid value, and there is no padding.
///
/// Not `bool`, `char`, `NonZero`, references or enums: a device can write any bits. Implement it for own `#[repr(C)]` structs
/// without padding whose fields all have it. With feature `half`, `half::f16` and `half::bf16` have it. With feature `bytemuck`, own types that are `bytemuck::Pod`
/// need no `unsafe`: they are elements as `ascendcl::Plain`.
///
/// ```
/// #[derive(Clone, Copy)]
/// #[repr(C)]
/// struct Detection {
///     corners: [f32; 4],
///     score: f32,
///     class: u32,
/// }
///
/// // SAFETY: all fields are `DeviceCopy`, of the same size, so there is no padding.
/// unsafe impl ascendcl::DeviceCopy for Detection {}
/// ```
///
/// ```compile_fail
/// # fn main() -> Result<(), ascendcl::Error> {
/// # let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
/// let flags = context.alloc::<bool>(16)?; // a device could write 2
/// # Ok(())
/// # }
/// ```
///
/// # Safety
///
/// Every bit pattern of `Self`'s size must be a valid value, `Self` must have no padding bytes, and no pointers whose validity
/// matters.
pub unsafe trait DeviceCopy: Copy + Send + Sync + 'static {}

macro_rules! device_copy {
    ($($number:ty)*) => {
        $(
            // SAFETY: [bits] a number: every bit pattern is a value, and there is no padding.
            unsafe impl DeviceCopy for $number {}
        )*
    };
}

device_copy!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64);

#[cfg(feature = "half")]
device_copy!(half::f16 half::bf16);

// SAFETY: [bits] an array has no padding beyond that of its elements, which have none, and all bit patterns that its elements have.
unsafe impl<T: DeviceCopy, const N: usize> DeviceCopy for [T; N] {}
