//! Streams.

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtStream, aclrtStreamStatus};

use super::{call, fill, milliseconds, not_null};
use crate::core::stream::Options;
use crate::core::{current_context, find_stream, lookup_any_stream, lookup_stream, process, resolve_stream};
use crate::error::{SUCCESS, fail};

/// Flags that mean something; the runtime ignores the others.
const FLAGS: u32 = sys::ACL_STREAM_FAST_LAUNCH
    | sys::ACL_STREAM_FAST_SYNC
    | sys::ACL_STREAM_PERSISTENT
    | sys::ACL_STREAM_HUGE
    | sys::ACL_STREAM_CPU_SCHEDULE
    | sys::ACL_STREAM_DEVICE_USE_ONLY;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCreateStream(stream: *mut aclrtStream) -> aclError {
    // SAFETY: [caller] same contract.
    call!("aclrtCreateStream", || unsafe { create(stream, Options::default()) })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCreateStreamWithConfig(
    stream: *mut aclrtStream,
    priority: u32,
    flag: u32,
) -> aclError {
    // SAFETY: [caller] same contract.
    call!("aclrtCreateStreamWithConfig", || unsafe { create(stream, Options { priority, flags: flag }) })
}

/// # Safety
/// `stream` is NULL or a place to write to.
pub(super) unsafe fn create(stream: *mut aclrtStream, mut options: Options) -> Result<(), aclError> {
    not_null(stream, "stream")?;
    let lowest = process::machine().settings().profile.lowest_priority;
    if lowest == 0 {
        // On this chip the same as without configuration.
        options = Options::default();
    } else {
        options = check(options, lowest)?;
    }
    let context = current_context()?;
    let handle = context.create_stream(options)?;
    // SAFETY: [caller] not NULL, and the caller passes a place to write to.
    unsafe { stream.write(handle) };
    Ok(())
}

/// What is left of the options when the runtime has looked at them.
fn check(options: Options, lowest: u32) -> Result<Options, aclError> {
    let flags = options.flags & FLAGS;
    if flags & sys::ACL_STREAM_HUGE != 0 && !process::machine().settings().profile.features.huge_streams {
        return Err(fail(
            sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
            "this chip has no streams with ACL_STREAM_HUGE",
        ));
    }
    if flags & sys::ACL_STREAM_DEVICE_USE_ONLY != 0 && flags != sys::ACL_STREAM_DEVICE_USE_ONLY {
        return Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("ACL_STREAM_DEVICE_USE_ONLY stands alone, not in {flags:#x}"),
        ));
    }
    Ok(Options { priority: clamp(options.priority, lowest), flags })
}

/// A priority is a signed number to the runtime.
pub(super) fn clamp(priority: u32, lowest: u32) -> u32 {
    if priority.cast_signed() < 0 { 0 } else { priority.min(lowest) }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDestroyStream(stream: aclrtStream) -> aclError {
    call!("aclrtDestroyStream", || destroy(stream, false))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDestroyStreamForce(stream: aclrtStream) -> aclError {
    call!("aclrtDestroyStreamForce", || destroy(stream, true))
}

fn destroy(handle: aclrtStream, force: bool) -> Result<(), aclError> {
    not_null(handle, "stream")?;
    let stream = resolve_stream(handle)?;
    stream.check_not_capturing()?;
    if stream.is_default() {
        return Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, "a default stream ends with its context"));
    }
    current_context()?.destroy_stream(handle, force)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSynchronizeStream(stream: aclrtStream) -> aclError {
    call!("aclrtSynchronizeStream", || synchronize(stream, None))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSynchronizeStreamWithTimeout(stream: aclrtStream, timeout: i32) -> aclError {
    call!("aclrtSynchronizeStreamWithTimeout", || {
        if timeout == 0 {
            // The runtime notices this one only after it has looked at the handle.
            find_stream(stream)?;
        }
        synchronize(stream, milliseconds(timeout)?)
    })
}

fn synchronize(stream: aclrtStream, timeout: Option<std::time::Duration>) -> Result<(), aclError> {
    if let Some(stream) = find_stream(stream)? {
        stream.check_not_capturing()?;
        if stream.is_unwatched() {
            return Ok(());
        }
    }
    let stream = lookup_stream(stream)?;
    match stream.synchronize(timeout) {
        SUCCESS => Ok(()),
        code => Err(code),
    }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtStreamQuery(stream: aclrtStream, status: *mut aclrtStreamStatus) -> aclError {
    call!("aclrtStreamQuery", || {
        not_null(status, "status")?;
        let unwatched = match find_stream(stream)? {
            Some(stream) => {
                stream.check_not_capturing()?;
                stream.is_unwatched()
            }
            None => false,
        };
        let complete = unwatched || lookup_stream(stream)?.is_complete();
        let answer =
            if complete { sys::ACL_STREAM_STATUS_COMPLETE } else { sys::ACL_STREAM_STATUS_NOT_READY };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { status.write(answer) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtStreamGetId(stream: aclrtStream, streamId: *mut i32) -> aclError {
    call!("aclrtStreamGetId", || {
        not_null(streamId, "streamId")?;
        let id = lookup_any_stream(stream)?.id();
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { streamId.write(id) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtStreamGetPriority(stream: aclrtStream, priority: *mut u32) -> aclError {
    call!("aclrtStreamGetPriority", || {
        not_null(priority, "priority")?;
        let options = lookup_stream(stream)?.options();
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { priority.write(options.priority) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtStreamGetFlags(stream: aclrtStream, flags: *mut u32) -> aclError {
    call!("aclrtStreamGetFlags", || {
        not_null(flags, "flags")?;
        let options = lookup_stream(stream)?.options();
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { flags.write(options.flags) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetStreamFailureMode(stream: aclrtStream, mode: u64) -> aclError {
    call!("aclrtSetStreamFailureMode", || {
        super::stream_attribute::set_failure_mode(find_stream(stream)?, mode)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetStreamAvailableNum(streamCount: *mut u32) -> aclError {
    call!("aclrtGetStreamAvailableNum", || {
        not_null(streamCount, "streamCount")?;
        let available = current_context()?.device().streams().available();
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { streamCount.write(available) };
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtCreateStream, aclrtCreateStreamWithConfig, aclrtDestroyStream, aclrtDestroyStreamForce,
        aclrtSynchronizeStream, aclrtSynchronizeStreamWithTimeout, aclrtStreamQuery, aclrtStreamGetId,
        aclrtStreamGetPriority, aclrtStreamGetFlags, aclrtSetStreamFailureMode, aclrtGetStreamAvailableNum,
    );
}
