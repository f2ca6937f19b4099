//! Numbers in device memory that tasks calculate with.

use ascendcl_sys::{self as sys, aclDataType};

use crate::model::element::{f16_to_f32, f32_to_f16};

/// A type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    F32,
    F16,
    Bf16,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
}

impl Number {
    pub(crate) fn of(kind: aclDataType) -> Option<Self> {
        Some(match kind {
            sys::ACL_FLOAT => Self::F32,
            sys::ACL_FLOAT16 => Self::F16,
            sys::ACL_BF16 => Self::Bf16,
            sys::ACL_INT8 => Self::I8,
            sys::ACL_INT16 => Self::I16,
            sys::ACL_INT32 => Self::I32,
            sys::ACL_INT64 => Self::I64,
            sys::ACL_UINT8 => Self::U8,
            sys::ACL_UINT16 => Self::U16,
            sys::ACL_UINT32 => Self::U32,
            sys::ACL_UINT64 => Self::U64,
            _ => return None,
        })
    }

    pub(crate) fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::I64 | Self::U64 => 8,
        }
    }

    pub(crate) fn is_real(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16)
    }

    /// A real number from the first bytes; 0 for other types.
    pub(crate) fn real(self, bytes: &[u8]) -> f32 {
        match self {
            Self::F32 => f32::from_le_bytes(first(bytes)),
            Self::F16 => f16_to_f32(u16::from_le_bytes(first(bytes))),
            Self::Bf16 => f32::from_bits(u32::from(u16::from_le_bytes(first(bytes))) << 16),
            _ => 0.0,
        }
    }

    /// Writes the real number of this type that is nearest to `value` to the first bytes.
    pub(crate) fn put_real(self, value: f32, bytes: &mut [u8]) {
        match self {
            Self::F32 => bytes[..4].copy_from_slice(&value.to_le_bytes()),
            Self::F16 => bytes[..2].copy_from_slice(&f32_to_f16(value).to_le_bytes()),
            Self::Bf16 => bytes[..2].copy_from_slice(&f32_to_bf16(value).to_le_bytes()),
            _ => {}
        }
    }

    /// An integer from the first bytes; 0 for other types.
    pub(crate) fn integer(self, bytes: &[u8]) -> i128 {
        match self {
            Self::I8 => i8::from_le_bytes(first(bytes)).into(),
            Self::I16 => i16::from_le_bytes(first(bytes)).into(),
            Self::I32 => i32::from_le_bytes(first(bytes)).into(),
            Self::I64 => i64::from_le_bytes(first(bytes)).into(),
            Self::U8 => bytes[0].into(),
            Self::U16 => u16::from_le_bytes(first(bytes)).into(),
            Self::U32 => u32::from_le_bytes(first(bytes)).into(),
            Self::U64 => u64::from_le_bytes(first(bytes)).into(),
            Self::F32 | Self::F16 | Self::Bf16 => 0,
        }
    }

    /// Writes the low bytes of `value` to the first bytes.
    pub(crate) fn put_integer(self, value: i128, bytes: &mut [u8]) {
        bytes[..self.size()].copy_from_slice(&value.to_le_bytes()[..self.size()]);
    }
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut first = [0; N];
    first.copy_from_slice(&bytes[..N]);
    first
}

/// To the nearest, ties to even.
fn f32_to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    let odd = bits >> 16 & 1;
    // A carry runs into the exponent as it should, at the top to infinity.
    ((bits + 0x7fff + odd) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bf16_survives_the_round_trip() {
        for bits in 0..=u16::MAX {
            let value = Number::Bf16.real(&bits.to_le_bytes());
            let mut back = [0; 2];
            Number::Bf16.put_real(value, &mut back);
            assert!(value.is_nan() || u16::from_le_bytes(back) == bits, "{bits:#x}");
        }
        assert_eq!(f32_to_bf16(f32::from_bits(0x3f80_8000)), 0x3f80, "ties to even");
        assert_eq!(f32_to_bf16(f32::from_bits(0x3f81_8000)), 0x3f82);
        assert_eq!(f32_to_bf16(f32::MAX), 0x7f80);
    }

    #[test]
    fn integers_wrap() {
        let mut bytes = [0; 8];
        for (number, value, wrapped) in [
            (Number::I8, 128, -128),
            (Number::U8, 256, 0),
            (Number::I16, -32769, 32767),
            (Number::U32, -1, i128::from(u32::MAX)),
            (Number::I64, i128::from(i64::MAX) + 1, i128::from(i64::MIN)),
        ] {
            number.put_integer(value, &mut bytes);
            assert_eq!(number.integer(&bytes), wrapped, "{number:?}");
        }
    }
}
