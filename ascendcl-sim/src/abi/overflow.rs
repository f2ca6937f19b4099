//! Overflow of computations: saturation or infinities, and whether any happened. No kernels compute here, so none ever does: the status
//! that programs read is all zero, written in the order of the stream as on a card.

use core::ffi::c_void;

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtFloatOverflowMode, aclrtStream};

use super::{call, fill, not_null};
use crate::core::stream::Named;
use crate::core::task::Task;
use crate::core::{current_context, process};
use crate::error::{fail, quiet};
use crate::memory;
use crate::profile::Overflow;

/// Bytes of a status.
const STATUS: u64 = 64;

fn wrong(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetDeviceSatMode(mode: *mut aclrtFloatOverflowMode) -> aclError {
    call!("aclrtGetDeviceSatMode", || {
        not_null(mode, "mode")?;
        let found = aclrtFloatOverflowMode(process::machine().options().saturation());
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { mode.write(found) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetDeviceSatMode(mode: aclrtFloatOverflowMode) -> aclError {
    call!("aclrtSetDeviceSatMode", || {
        let machine = process::machine();
        match mode {
            sys::ACL_RT_OVERFLOW_MODE_INFNAN if !machine.settings().profile.chip.inf_nan => {
                return Err(fail(
                    sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
                    "results of this chip saturate: it has neither infinities nor NaN",
                ));
            }
            sys::ACL_RT_OVERFLOW_MODE_SATURATION | sys::ACL_RT_OVERFLOW_MODE_INFNAN => {}
            _ => return Err(wrong(format_args!("mode {} is unknown", mode.0))),
        }
        machine.options().set_saturation(mode.0);
        Ok(())
    })
}

fn how() -> Overflow {
    process::machine().settings().profile.chip.overflow
}

fn unsupported() -> aclError {
    fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "this chip does not tell that computations overflow")
}

/// Queues the writing of a status.
fn get(address: *mut c_void, size: u64, stream: &Named) -> Result<(), aclError> {
    if address.is_null() {
        return Err(wrong("outputAddr must not be NULL"));
    }
    if size != STATUS {
        return Err(wrong(format_args!("outputSize {size} must be {STATUS}")));
    }
    let context = current_context()?;
    let stream = stream.of(&context)?;
    stream.check_not_capturing()?;
    let place = memory::fill_target(context.device(), address, STATUS as usize)?;
    stream.push(Task::Set { place, byte: 0 })
}

fn reset(stream: &Named) -> Result<(), aclError> {
    let context = current_context()?;
    let stream = stream.of(&context)?;
    stream.check_not_capturing()?;
    match stream.submit("reset of the overflow status", std::sync::Arc::new(|| Ok(()))) {
        0 => Ok(()),
        code => Err(code),
    }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetOverflowStatus(
    outputAddr: *mut c_void,
    outputSize: usize,
    stream: aclrtStream,
) -> aclError {
    call!("aclrtGetOverflowStatus", || {
        not_null(outputAddr, "outputAddr")?;
        status(outputAddr, outputSize as u64, stream)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetFloatOverflowStatus(
    outputAddr: *mut c_void,
    outputSize: u64,
    stream: aclrtStream,
) -> aclError {
    call!("aclrtGetFloatOverflowStatus", || status(outputAddr, outputSize, stream))
}

fn status(address: *mut c_void, size: u64, stream: aclrtStream) -> Result<(), aclError> {
    let stream = Named::new(stream)?;
    if how() == Overflow::Nowhere {
        return Err(unsupported());
    }
    get(address, size, &stream)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtResetOverflowStatus(stream: aclrtStream) -> aclError {
    call!("aclrtResetOverflowStatus", || reset_status(stream))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtResetFloatOverflowStatus(stream: aclrtStream) -> aclError {
    call!("aclrtResetFloatOverflowStatus", || reset_status(stream))
}

fn reset_status(stream: aclrtStream) -> Result<(), aclError> {
    let named = Named::new(stream)?;
    match how() {
        Overflow::Nowhere => Err(unsupported()),
        Overflow::Context => reset(&named),
        Overflow::Stream => reset_of_stream(stream, &named),
    }
}

/// Without a context there is no default stream, and NULL names none.
fn reset_of_stream(stream: aclrtStream, named: &Named) -> Result<(), aclError> {
    if stream.is_null() && current_context().is_err() {
        return Err(wrong("there is no default stream without a current context"));
    }
    reset(named)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtNpuGetFloatOverFlowStatus(
    outputAddr: *mut c_void,
    outputSize: u64,
    _checkMode: u32,
    stream: aclrtStream,
) -> aclError {
    call!("aclrtNpuGetFloatOverFlowStatus", || {
        if how() != Overflow::Stream {
            return Err(unsupported());
        }
        get(outputAddr, outputSize, &Named::new(stream)?)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtNpuClearFloatOverFlowStatus(_checkMode: u32, stream: aclrtStream) -> aclError {
    call!("aclrtNpuClearFloatOverFlowStatus", || {
        if how() != Overflow::Stream {
            return Err(unsupported());
        }
        reset_of_stream(stream, &Named::new(stream)?)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCtxGetFloatOverflowAddr(overflowAddr: *mut *mut c_void) -> aclError {
    call!("aclrtCtxGetFloatOverflowAddr", || {
        if overflowAddr.is_null() {
            return Err(quiet(sys::ACL_ERROR_RT_PARAM_INVALID));
        }
        let address = current_context()?.overflow_address()?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { overflowAddr.write(address) };
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtGetDeviceSatMode, aclrtSetDeviceSatMode, aclrtGetOverflowStatus, aclrtGetFloatOverflowStatus,
        aclrtResetOverflowStatus, aclrtResetFloatOverflowStatus, aclrtNpuGetFloatOverFlowStatus,
        aclrtNpuClearFloatOverFlowStatus, aclrtCtxGetFloatOverflowAddr,
    );
}
