//! Attributes of streams.

use std::sync::Arc;

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtStream, aclrtStreamAttr, aclrtStreamAttrValue};

use super::stream::clamp;
use super::{call, fill, invalid, not_null};
use crate::core::{Stream, current_context, find_stream, resolve_found};
use crate::error::fail;

type Found = Option<Arc<Stream>>;

fn wrong(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

/// The stream, or the default stream; 107000 if there is not even a context.
fn any(stream: Found) -> Result<Arc<Stream>, aclError> {
    match stream {
        Some(stream) => Ok(stream),
        None => match current_context() {
            Ok(context) => Ok(Arc::clone(context.default_stream())),
            Err(_) => Err(wrong("there is no stream, and no context with a default stream")),
        },
    }
}

fn check_not_capturing(stream: &Found) -> Result<(), aclError> {
    stream.as_ref().map_or(Ok(()), |stream| stream.check_not_capturing())
}

/// Only the lowest bit of the mode counts.
pub(super) fn set_failure_mode(stream: Found, mode: u64) -> Result<(), aclError> {
    let is_default = stream.is_none();
    let stream = any(stream)?;
    if stream.is_device_only() {
        return Err(fail(
            sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
            "a stream with ACL_STREAM_DEVICE_USE_ONLY has no failure mode",
        ));
    }
    let context = current_context()?;
    if stream.is_bound() {
        return Err(fail(
            sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
            "a stream that is bound to a running instance has no failure mode",
        ));
    }
    if (is_default || stream.is_default()) && !context.device().profile().features.default_stream_failure_mode
    {
        return Err(fail(
            sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
            "this chip has no failure mode for default streams",
        ));
    }
    let stop = mode & 1 == u64::from(sys::ACL_STOP_ON_FAILURE);
    if stream.stops_on_failure() == stop {
        return Ok(());
    }
    if stop {
        resolve_found(Some(Arc::clone(&stream)))?;
    }
    stream.set_failure_mode(stop)
}

fn set_overflow_check(stream: Found, switch: u32) -> Result<(), aclError> {
    if switch > 1 {
        return Err(wrong(format_args!("overflow switch {switch} is neither 0 nor 1")));
    }
    check_not_capturing(&stream)?;
    resolve_found(stream)?.attributes().set_overflow_check(switch != 0);
    Ok(())
}

fn overflow_check(stream: Found) -> Result<u32, aclError> {
    let stream = resolve_found(stream)?;
    // A chip that cannot switch it has it on.
    let fixed = !stream.device().profile().features.stream_overflow_check;
    Ok((fixed || stream.attributes().overflow_check()).into())
}

/// The stream whose priority is meant, which the default stream is not.
fn with_priority(stream: Found) -> Result<Arc<Stream>, aclError> {
    let stream = stream.ok_or_else(|| wrong("the default stream has no priority that could be set"))?;
    if stream.options().flags & sys::ACL_STREAM_CPU_SCHEDULE != 0 {
        return Err(fail(
            sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
            "a stream with ACL_STREAM_CPU_SCHEDULE has no priority",
        ));
    }
    current_context()?;
    Ok(stream)
}

fn unknown(attribute: aclrtStreamAttr) -> aclError {
    wrong(format_args!("stream attribute {} is unknown", attribute.0))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetStreamAttribute(
    stream: aclrtStream,
    stmAttrType: aclrtStreamAttr,
    value: *mut aclrtStreamAttrValue,
) -> aclError {
    call!("aclrtSetStreamAttribute", || {
        not_null(value, "value")?;
        let stream = find_stream(stream)?;
        // SAFETY: [caller] not NULL, and the caller passes one; all its readings are plain numbers.
        let number = unsafe { value.cast::<u32>().read() };
        let checks_overflow =
            crate::core::process::machine().settings().profile.features.stream_overflow_check;
        match stmAttrType {
            sys::ACL_STREAM_ATTR_FAILURE_MODE => {
                // SAFETY: [caller] as above; this one is 64 bits wide.
                set_failure_mode(stream, unsafe { value.cast::<u64>().read() })
            }
            sys::ACL_STREAM_ATTR_FLOAT_OVERFLOW_CHECK if !checks_overflow => Ok(()),
            sys::ACL_STREAM_ATTR_FLOAT_OVERFLOW_CHECK => set_overflow_check(stream, number),
            sys::ACL_STREAM_ATTR_USER_CUSTOM_TAG if !checks_overflow => Ok(()),
            sys::ACL_STREAM_ATTR_USER_CUSTOM_TAG => {
                check_not_capturing(&stream)?;
                resolve_found(stream)?.attributes().set_tag(number);
                Ok(())
            }
            sys::ACL_STREAM_ATTR_CACHE_OP_INFO => {
                let stream = any(stream)?;
                if number > 1 {
                    return Err(wrong(format_args!("cache switch {number} is neither 0 nor 1")));
                }
                stream.attributes().set_cache_op_info(number);
                Ok(())
            }
            sys::ACL_STREAM_ATTR_PRIORITY => {
                let stream = with_priority(stream)?;
                let lowest = stream.device().profile().lowest_priority;
                stream.attributes().set_priority(clamp(number, lowest));
                Ok(())
            }
            _ => Err(unknown(stmAttrType)),
        }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetStreamAttribute(
    stream: aclrtStream,
    stmAttrType: aclrtStreamAttr,
    value: *mut aclrtStreamAttrValue,
) -> aclError {
    call!("aclrtGetStreamAttribute", || {
        not_null(value, "value")?;
        let stream = find_stream(stream)?;
        let number = match stmAttrType {
            sys::ACL_STREAM_ATTR_FAILURE_MODE => {
                let mode = u64::from(any(stream)?.stops_on_failure());
                // SAFETY: [caller] not NULL, and the caller passes a place to write to.
                unsafe { value.cast::<u64>().write(mode) };
                return Ok(());
            }
            sys::ACL_STREAM_ATTR_FLOAT_OVERFLOW_CHECK => overflow_check(stream)?,
            sys::ACL_STREAM_ATTR_USER_CUSTOM_TAG
                if !crate::core::process::machine().settings().profile.features.stream_overflow_check =>
            {
                return Ok(());
            }
            sys::ACL_STREAM_ATTR_USER_CUSTOM_TAG => resolve_found(stream)?.attributes().tag(),
            sys::ACL_STREAM_ATTR_CACHE_OP_INFO => any(stream)?.attributes().cache_op_info(),
            sys::ACL_STREAM_ATTR_PRIORITY => with_priority(stream)?.attributes().priority(),
            _ => return Err(unknown(stmAttrType)),
        };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { value.cast::<u32>().write(number) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetStreamOverflowSwitch(stream: aclrtStream, flag: u32) -> aclError {
    call!("aclrtSetStreamOverflowSwitch", || {
        if flag > 1 {
            return Err(invalid(format_args!("flag {flag} is neither 0 nor 1")));
        }
        set_overflow_check(find_stream(stream)?, flag)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetStreamOverflowSwitch(stream: aclrtStream, flag: *mut u32) -> aclError {
    call!("aclrtGetStreamOverflowSwitch", || {
        not_null(flag, "flag")?;
        let switch = overflow_check(find_stream(stream)?)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { flag.write(switch) };
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtSetStreamAttribute, aclrtGetStreamAttribute, aclrtSetStreamOverflowSwitch, aclrtGetStreamOverflowSwitch,
    );
}
