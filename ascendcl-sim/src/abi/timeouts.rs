//! How long operators may run.

use ascendcl_sys::{self as sys, AclApi, aclError};

use super::{call, fill, not_null};
use crate::core::{current_context, process};
use crate::error::fail;
use crate::profile::Chip;

/// The largest limit in milliseconds that the variant for milliseconds takes over.
const MOST_MILLISECONDS: u32 = 1_000_000;
/// Limits are units of the chip's, and no chip has more of them than this in `aclrtSetOpExecuteTimeOutV2`.
const MOST_UNITS: f64 = 254.0;

fn set(microseconds: u64) {
    process::machine().options().set_limit(microseconds);
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetOpExecuteTimeOut(timeout: u32) -> aclError {
    call!("aclrtSetOpExecuteTimeOut", || {
        set(u64::from(timeout) * 1_000_000);
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetOpExecuteTimeOutWithMs(timeout: u32) -> aclError {
    call!("aclrtSetOpExecuteTimeOutWithMs", || {
        set(u64::from(timeout.min(MOST_MILLISECONDS)) * 1000);
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetOpExecuteTimeOutV2(timeout: u64, actualTimeout: *mut u64) -> aclError {
    call!("aclrtSetOpExecuteTimeOutV2", || {
        not_null(actualTimeout, "actualTimeout")?;
        let context = current_context()?;
        set(timeout);
        let unit = context.device().profile().chip.limit_unit;
        let units = if timeout == 0 || unit == 0.0 {
            MOST_UNITS
        } else {
            (timeout as f64 / unit).ceil().min(MOST_UNITS)
        };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { actualTimeout.write((units * unit) as u64) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetOpTimeOutInterval(interval: *mut u64) -> aclError {
    call!("aclrtGetOpTimeOutInterval", || {
        not_null(interval, "interval")?;
        let unit = current_context()?.device().profile().chip.limit_unit;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { interval.write(unit as u64) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetOpExecuteTimeout(timeoutMs: *mut u32) -> aclError {
    call!("aclrtGetOpExecuteTimeout", || {
        not_null(timeoutMs, "timeoutMs")?;
        let machine = process::machine();
        let found = effective(&machine.settings().profile.chip, machine.options().limit());
        let found = found.ok_or_else(|| {
            fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "this chip does not tell how long operators may run")
        })?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { timeoutMs.write(found) };
        Ok(())
    })
}

/// Milliseconds that an operator may run if `limit` microseconds were set: whole units of the chip's.
fn effective(chip: &Chip, limit: Option<u64>) -> Option<u32> {
    if chip.limit_units == 0 {
        return None;
    }
    let most = chip.limit_unit * f64::from(chip.limit_units);
    let microseconds = match limit {
        Some(limit) if limit > 0 && limit as f64 <= most => {
            ((limit as f64 + chip.limit_unit - 1.0) / chip.limit_unit).floor() * chip.limit_unit
        }
        _ => most,
    };
    Some((microseconds / 1000.0).ceil() as u32)
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtSetOpExecuteTimeOut, aclrtSetOpExecuteTimeOutWithMs, aclrtSetOpExecuteTimeOutV2,
        aclrtGetOpTimeOutInterval, aclrtGetOpExecuteTimeout,
    );
}
