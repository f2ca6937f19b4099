//! `acl.h` and `acl_base.h`: start and end, versions, error texts, data types.

use core::ffi::{CStr, c_char};
use std::ptr;

use ascendcl_sys::{self as sys, AclApi, aclDataType, aclError, aclFloat16, aclrtLastErrLevel, aclrtRunMode};

use super::{call, call_or, fill, invalid, not_null};
use crate::core::{lifecycle, process};
use crate::error;

/// The version of the interface that the simulator speaks: that of CANN 8.1.RC1.
const VERSION: (i32, i32, i32) = (1, 13, 0);

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclInit(configPath: *const c_char) -> aclError {
    call!("aclInit", || {
        if configPath.is_null() {
            return lifecycle::init(None);
        }
        // SAFETY: [caller] the caller passes NULL or a C string.
        let path = unsafe { CStr::from_ptr(configPath) }.to_string_lossy();
        lifecycle::init(Some(&*path).filter(|path| !path.is_empty()))
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclFinalize() -> aclError {
    call!("aclFinalize", lifecycle::finalize)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclFinalizeReference(refCount: *mut u64) -> aclError {
    call!("aclFinalizeReference", || {
        let (left, result) = lifecycle::finalize_reference();
        if !refCount.is_null() {
            // SAFETY: [caller] the caller passes NULL or a place to write to.
            unsafe { refCount.write(left) };
        }
        result
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclGetRecentErrMsg() -> *const c_char {
    call_or!("aclGetRecentErrMsg", |_| ptr::null(), error::recent_message)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtPeekAtLastError(level: aclrtLastErrLevel) -> aclError {
    call!("aclrtPeekAtLastError", || last_error(level, false))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetLastError(level: aclrtLastErrLevel) -> aclError {
    call!("aclrtGetLastError", || last_error(level, true))
}

fn last_error(level: aclrtLastErrLevel, clear: bool) -> Result<(), aclError> {
    if level != sys::ACL_RT_THREAD_LEVEL {
        return Err(invalid(format_args!("level {} is unknown", level.0)));
    }
    match error::last(clear) {
        error::SUCCESS => Ok(()),
        code => Err(code),
    }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetVersion(
    majorVersion: *mut i32,
    minorVersion: *mut i32,
    patchVersion: *mut i32,
) -> aclError {
    call!("aclrtGetVersion", || {
        not_null(majorVersion, "majorVersion")?;
        not_null(minorVersion, "minorVersion")?;
        not_null(patchVersion, "patchVersion")?;
        // SAFETY: [caller] not NULL, and the caller passes places to write to.
        unsafe {
            majorVersion.write(VERSION.0);
            minorVersion.write(VERSION.1);
            patchVersion.write(VERSION.2);
        }
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetSocName() -> *const c_char {
    call_or!("aclrtGetSocName", |_| ptr::null(), || process::machine().settings().profile.soc_name().as_ptr())
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetRunMode(runMode: *mut aclrtRunMode) -> aclError {
    call!("aclrtGetRunMode", || {
        not_null(runMode, "runMode")?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { runMode.write(sys::ACL_HOST) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclDataTypeSize(dataType: aclDataType) -> usize {
    element_size(dataType)
}

/// Bytes of an element; those of less than a byte count as one.
pub(super) fn element_size(element: aclDataType) -> usize {
    match element {
        sys::ACL_STRING | sys::ACL_DT_UNDEFINED => 0,
        sys::ACL_INT4 | sys::ACL_UINT1 | sys::ACL_INT8 | sys::ACL_UINT8 | sys::ACL_BOOL => 1,
        sys::ACL_HIFLOAT8 | sys::ACL_FLOAT8_E5M2 | sys::ACL_FLOAT8_E4M3FN | sys::ACL_FLOAT8_E8M0 => 1,
        sys::ACL_FLOAT16 | sys::ACL_BF16 | sys::ACL_INT16 | sys::ACL_UINT16 => 2,
        sys::ACL_FLOAT | sys::ACL_INT32 | sys::ACL_UINT32 | sys::ACL_COMPLEX32 => 4,
        sys::ACL_COMPLEX128 => 16,
        // Unknown types too, as in the runtime.
        _ => 8,
    }
}

/// Sign, exponent and fraction of a half; the exponent 31 is a number like the others: this software conversion knows neither
/// infinities nor NaN.
#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclFloat16ToFloat(value: aclFloat16) -> f32 {
    let exponent = i32::from(value >> 10 & 0x1f);
    let fraction = f32::from(value & 0x3ff) / 1024.0;
    let magnitude =
        if exponent == 0 { fraction * 2f32.powi(-14) } else { (1.0 + fraction) * 2f32.powi(exponent - 15) };
    if value & 0x8000 == 0 { magnitude } else { -magnitude }
}

/// Rounds to the nearest half, to even on a tie; what is too large becomes the largest half, 65504.
#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclFloatToFloat16(value: f32) -> aclFloat16 {
    const LARGEST: u16 = 0x7bff;
    let bits = value.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let exponent = ((bits >> 23) & 0xff) as i32 - 127 + 15;
    let fraction = bits & 0x7f_ffff;
    if exponent >= 31 {
        return sign | LARGEST;
    }
    // Significand with its hidden bit, and how many of its bits are cut off.
    let (significand, cut, base) = match exponent {
        1.. => (fraction, 13, (exponent as u32) << 10),
        -10..=0 => (fraction | 0x80_0000, (14 - exponent) as u32, 0),
        _ => return sign,
    };
    let kept = significand >> cut;
    let rest = significand & ((1 << cut) - 1);
    let half = 1 << (cut - 1);
    let up = rest > half || (rest == half && kept & 1 == 1);
    // A carry out of the fraction raises the exponent, which is what rounding up means.
    let magnitude = base + kept + u32::from(up);
    sign | (magnitude.min(u32::from(LARGEST)) as u16)
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclInit, aclFinalize, aclFinalizeReference, aclGetRecentErrMsg, aclrtPeekAtLastError, aclrtGetLastError,
        aclrtGetVersion, aclrtGetSocName, aclrtGetRunMode, aclDataTypeSize, aclFloat16ToFloat, aclFloatToFloat16,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_half(value: f32) -> u16 {
        // SAFETY: plain arithmetic.
        unsafe { aclFloatToFloat16(value) }
    }

    fn to_float(value: u16) -> f32 {
        // SAFETY: plain arithmetic.
        unsafe { aclFloat16ToFloat(value) }
    }

    #[test]
    fn every_finite_half_survives() {
        for half in (0..0x7c00).chain(0x8000..0xfc00) {
            assert_eq!(to_half(to_float(half)), half, "{half:#x}");
        }
    }

    #[test]
    fn halves_saturate_and_round_to_even() {
        assert_eq!(to_half(1.0), 0x3c00);
        assert_eq!(to_half(-2.0), 0xc000);
        assert_eq!(to_half(1.0e9), 0x7bff);
        assert_eq!(to_half(f32::NEG_INFINITY), 0xfbff);
        assert_eq!(to_half(65519.0), 0x7bff);
        assert_eq!(to_half(65520.0), 0x7bff);
        assert_eq!(to_half(1.0 + 1.0 / 2048.0), 0x3c00);
        assert_eq!(to_half(1.0 + 3.0 / 2048.0), 0x3c02);
        assert_eq!(to_half(2f32.powi(-24)), 1);
        assert_eq!(to_half(2f32.powi(-25)), 0);
        assert_eq!(to_half(1.5 * 2f32.powi(-25)), 1);
        assert_eq!(to_float(0x7c00), 65536.0);
        assert_eq!(to_float(0x7e00), 98304.0);
    }
}
