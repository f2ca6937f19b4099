//! `aclmdlSetAIPP*`: the setters, with the ranges that the real ones check. A switch that is set to 0 keeps the values behind it, as
//! there.

use std::fmt::Display;
use std::ops::RangeInclusive;

use ascendcl_sys::{self as sys, aclAippInputFormat, aclError, aclmdlAIPP};

use super::params::{Batch, Params, change};
use super::pixels::ImageFormat;
use crate::error::fail;
use crate::model::element::f32_to_f16;

type Done = Result<(), aclError>;

const IMAGE: RangeInclusive<i32> = 1..=4096;
const SCF: RangeInclusive<i32> = 16..=4096;

/// 100000 for a value outside of its range.
fn within<T: PartialOrd + Display>(name: &str, value: T, range: RangeInclusive<T>) -> Done {
    // Not `contains`: what compares with nothing is in every range, as for the real check.
    if value < *range.start() || value > *range.end() {
        let (low, high) = range.into_inner();
        return Err(invalid(format_args!("{name} {value} is not between {low} and {high}")));
    }
    Ok(())
}

fn all_within<T: PartialOrd + Display + Copy>(name: &str, values: &[T], range: RangeInclusive<T>) -> Done {
    values.iter().try_for_each(|&value| within(name, value, range.clone()))
}

fn invalid(what: impl Display) -> aclError {
    fail(sys::ACL_ERROR_INVALID_PARAM, what)
}

/// Changes what holds for one image of the batch.
fn change_batch(handle: *mut aclmdlAIPP, index: u64, set: impl FnOnce(&mut Batch) -> Done) -> Done {
    change(handle, |params: &mut Params| {
        let count = params.batches.len();
        let batch = usize::try_from(index).ok().and_then(|index| params.batches.get_mut(index));
        set(batch.ok_or_else(|| invalid(format_args!("batchIndex {index} of a batch of {count}")))?)
    })
}

pub(crate) fn input_format(handle: *mut aclmdlAIPP, format: aclAippInputFormat) -> Done {
    change(handle, |params| {
        let known = ImageFormat::from_acl(format);
        let known = known.ok_or_else(|| invalid(format_args!("inputFormat {} is unknown", format.0)))?;
        params.head.format = known.hardware();
        Ok(())
    })
}

pub(crate) fn csc(
    handle: *mut aclmdlAIPP,
    switch: i8,
    matrix: [i16; 9],
    output: [u8; 3],
    input: [u8; 3],
) -> Done {
    change(handle, |params| {
        within("cscSwitch", switch, 0..=1)?;
        params.head.csc = switch;
        if switch == 1 {
            all_within("a coefficient", &matrix, -32677..=32676)?;
            (params.head.matrix, params.head.output_bias, params.head.input_bias) = (matrix, output, input);
        }
        Ok(())
    })
}

pub(crate) fn rbuv_swap(handle: *mut aclmdlAIPP, switch: i8) -> Done {
    change(handle, |params| {
        within("rbuvSwapSwitch", switch, 0..=1)?;
        params.head.rbuv_swap = switch;
        Ok(())
    })
}

pub(crate) fn ax_swap(handle: *mut aclmdlAIPP, switch: i8) -> Done {
    change(handle, |params| {
        within("axSwapSwitch", switch, 0..=1)?;
        params.head.ax_swap = switch;
        Ok(())
    })
}

pub(crate) fn source_size(handle: *mut aclmdlAIPP, width: i32, height: i32) -> Done {
    change(handle, |params| {
        within("srcImageSizeW", width, 2..=4096)?;
        within("srcImageSizeH", height, IMAGE)?;
        params.head.src = [width, height];
        Ok(())
    })
}

pub(crate) fn scf(
    handle: *mut aclmdlAIPP,
    switch: i8,
    input: [i32; 2],
    output: [i32; 2],
    index: u64,
) -> Done {
    change_batch(handle, index, |batch| {
        within("scfSwitch", switch, 0..=1)?;
        batch.scf = switch;
        if switch == 1 {
            within("scfInputSizeW", input[0], SCF)?;
            within("scfInputSizeH", input[1], SCF)?;
            within("scfOutputSizeW", output[0], 16..=1920)?;
            within("scfOutputSizeH", output[1], SCF)?;
            (batch.scf_input, batch.scf_output) = (input, output);
        }
        Ok(())
    })
}

pub(crate) fn crop(handle: *mut aclmdlAIPP, switch: i8, start: [i32; 2], size: [i32; 2], index: u64) -> Done {
    change_batch(handle, index, |batch| {
        within("cropSwitch", switch, 0..=1)?;
        batch.crop = switch;
        if switch == 1 {
            within("cropStartPosW", start[0], 0..=4095)?;
            within("cropStartPosH", start[1], 0..=4095)?;
            within("cropSizeW", size[0], IMAGE)?;
            within("cropSizeH", size[1], IMAGE)?;
            (batch.start, batch.crop_size) = (start, size);
        }
        Ok(())
    })
}

/// `sizes` are top, bottom, left, right.
pub(crate) fn padding(handle: *mut aclmdlAIPP, switch: i8, sizes: [i32; 4], index: u64) -> Done {
    change_batch(handle, index, |batch| {
        within("paddingSwitch", switch, 0..=1)?;
        batch.padding = switch;
        if switch == 1 {
            all_within("a padding", &sizes, 0..=32)?;
            batch.pads = sizes;
        }
        Ok(())
    })
}

pub(crate) fn mean(handle: *mut aclmdlAIPP, values: [i16; 4], index: u64) -> Done {
    change_batch(handle, index, |batch| {
        all_within("a mean", &values, 0..=255)?;
        batch.mean = values;
        Ok(())
    })
}

pub(crate) fn min(handle: *mut aclmdlAIPP, values: [f32; 4], index: u64) -> Done {
    change_batch(handle, index, |batch| {
        all_within("a minimum", &values, 0.0..=255.0)?;
        batch.min = values.map(half);
        Ok(())
    })
}

pub(crate) fn var_reci(handle: *mut aclmdlAIPP, values: [f32; 4], index: u64) -> Done {
    change_batch(handle, index, |batch| {
        all_within("a reciprocal of a variance", &values, -65504.0..=65504.0)?;
        batch.var_reci = values.map(half);
        Ok(())
    })
}

/// Half precision without infinities and without what is no number: those become the largest.
fn half(value: f32) -> u16 {
    let bits = f32_to_f16(value);
    if bits & 0x7c00 == 0x7c00 { bits & 0x8000 | 0x7bff } else { bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_saturate() {
        assert_eq!(half(1.0), 0x3c00);
        assert_eq!(half(f32::INFINITY), 0x7bff);
        assert_eq!(half(f32::NEG_INFINITY), 0xfbff);
        assert_eq!(half(f32::NAN) & 0x7fff, 0x7bff);
    }
}
