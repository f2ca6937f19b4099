//! Element types of tensors: ONNX's number, ACL's number, the size of one.

use ascendcl_sys as sys;

/// An element type that models may have at their inputs and outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    F16,
    F64,
    I8,
    U8,
    I32,
    I64,
    Bool,
}

impl Element {
    /// From the number in an ONNX file.
    pub(crate) fn from_onnx(number: i64) -> Option<Element> {
        Some(match number {
            1 => Element::F32,
            2 => Element::U8,
            3 => Element::I8,
            6 => Element::I32,
            7 => Element::I64,
            9 => Element::Bool,
            10 => Element::F16,
            11 => Element::F64,
            _ => return None,
        })
    }

    /// ACL's number.
    pub(crate) fn acl(self) -> sys::aclDataType {
        match self {
            Element::F32 => sys::ACL_FLOAT,
            Element::F16 => sys::ACL_FLOAT16,
            Element::F64 => sys::ACL_DOUBLE,
            Element::I8 => sys::ACL_INT8,
            Element::U8 => sys::ACL_UINT8,
            Element::I32 => sys::ACL_INT32,
            Element::I64 => sys::ACL_INT64,
            Element::Bool => sys::ACL_BOOL,
        }
    }

    /// Bytes of one element.
    pub(crate) fn size(self) -> usize {
        match self {
            Element::I8 | Element::U8 | Element::Bool => 1,
            Element::F16 => 2,
            Element::F32 | Element::I32 => 4,
            Element::F64 | Element::I64 => 8,
        }
    }
}

/// What an ONNX element type that is not supported is called, for error texts.
pub(crate) fn onnx_name(number: i64) -> String {
    let name = match number {
        4 => "uint16",
        5 => "int16",
        8 => "string",
        12 => "uint32",
        13 => "uint64",
        14 => "complex64",
        15 => "complex128",
        16 => "bfloat16",
        _ => return format!("of unknown number {number}"),
    };
    name.into()
}

/// A half-precision number's value.
pub(crate) fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10 & 0x1f);
    let fraction = u32::from(bits & 0x3ff);
    match (exponent, fraction) {
        // A subnormal is its fraction times 2^-24, which f32 holds exactly.
        (0, _) => f32::from_bits(sign | (fraction as f32 / 16_777_216.0).to_bits()),
        (31, _) => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// The half-precision number nearest to a value, ties to even; infinite beyond 65504.
pub(crate) fn f32_to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = f32::from_bits(bits & 0x7fff_ffff);
    if magnitude.is_nan() {
        return sign | 0x7e00;
    }
    if magnitude >= 65520.0 {
        return sign | 0x7c00;
    }
    if magnitude < 6.103_515_6e-5 {
        // Adding 0.5 puts the last bit that a subnormal keeps (2^-24) at the end of f32's fraction, so the addition rounds.
        return sign | ((magnitude + 0.5).to_bits() - 0.5f32.to_bits()) as u16;
    }
    // Round at bit 13, ties to even; a carry runs into the exponent as it should. Then move the bias from 127 to 15.
    let odd = bits >> 13 & 1;
    let rounded = (bits & 0x7fff_ffff) + 0xfff + odd;
    sign | ((rounded >> 13) - (112 << 10)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives_the_round_trip() {
        for bits in 0..=u16::MAX {
            let value = f16_to_f32(bits);
            if value.is_nan() {
                assert!(bits & 0x7c00 == 0x7c00 && bits & 0x3ff != 0);
                assert!(f16_to_f32(f32_to_f16(value)).is_nan());
            } else {
                assert_eq!(f32_to_f16(value), bits, "{value}");
            }
        }
    }

    #[test]
    fn halves_round_to_nearest_even() {
        assert_eq!(f16_to_f32(0x3c00), 1.0);
        assert_eq!(f16_to_f32(0x0001), 2.0f32.powi(-24));
        assert_eq!(f32_to_f16(1.0 + 2.0f32.powi(-11)), 0x3c00);
        assert_eq!(f32_to_f16(1.0 + 3.0 * 2.0f32.powi(-11)), 0x3c02);
        assert_eq!(f32_to_f16(2.0f32.powi(-25)), 0);
        assert_eq!(f32_to_f16(65519.0), 0x7bff);
        assert_eq!(f32_to_f16(65520.0), 0x7c00);
        assert_eq!(f32_to_f16(-1e9), 0xfc00);
    }
}
