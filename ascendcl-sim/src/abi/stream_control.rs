//! Streams that are aborted, stopped and cleaned, and what of streams no simulated chip has.

use core::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use ascendcl_sys::{
    self as sys, AclApi, aclError, aclrtStream, aclrtStreamConfigAttr, aclrtStreamConfigHandle,
};

use super::{call, call_or, fill};
use crate::core::{Stream, find_stream, lookup_any_stream, resolve_found, resolve_stream};
use crate::error::fail;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtStreamAbort(stream: aclrtStream) -> aclError {
    call!("aclrtStreamAbort", || {
        find_stream(stream)?;
        if stream.is_null() && lookup_any_stream(stream).is_err() {
            return Err(wrong("there is no stream, and no context with a default stream"));
        }
        resolve_stream(stream)?.abort();
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtStreamStop(stream: aclrtStream) -> aclError {
    call!("aclrtStreamStop", || {
        required(stream)?.stop();
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtPersistentTaskClean(stream: aclrtStream) -> aclError {
    call!("aclrtPersistentTaskClean", || {
        let found = find_stream(stream)?.ok_or_else(|| wrong("stream must not be NULL"))?;
        if found.options().flags & sys::ACL_STREAM_PERSISTENT == 0 {
            return Err(fail(
                sys::ACL_ERROR_RT_INTERNAL_ERROR,
                format_args!("stream {} was made without ACL_STREAM_PERSISTENT", found.id()),
            ));
        }
        resolve_found(Some(found))?.clear_held();
        Ok(())
    })
}

fn wrong(what: &str) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

/// A stream of the current context, and not NULL.
fn required(stream: aclrtStream) -> Result<Arc<Stream>, aclError> {
    let found = find_stream(stream)?;
    if found.is_none() {
        return Err(wrong("stream must not be NULL"));
    }
    resolve_found(found)
}

fn absent<T>(function: &str) -> Result<T, aclError> {
    Err(fail(
        sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
        format_args!("{function} is for a chip that is not simulated"),
    ))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCreateStreamConfigHandle() -> *mut aclrtStreamConfigHandle {
    let none = |_| ptr::null_mut();
    call_or!("aclrtCreateStreamConfigHandle", none, || {
        absent("aclrtCreateStreamConfigHandle").unwrap_or(ptr::null_mut())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDestroyStreamConfigHandle(_handle: *mut aclrtStreamConfigHandle) -> aclError {
    call!("aclrtDestroyStreamConfigHandle", || absent("aclrtDestroyStreamConfigHandle"))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetStreamConfigOpt(
    _handle: *mut aclrtStreamConfigHandle,
    _attr: aclrtStreamConfigAttr,
    _attrValue: *const c_void,
    _valueSize: usize,
) -> aclError {
    call!("aclrtSetStreamConfigOpt", || absent("aclrtSetStreamConfigOpt"))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCreateStreamV2(
    _stream: *mut aclrtStream,
    _handle: *const aclrtStreamConfigHandle,
) -> aclError {
    call!("aclrtCreateStreamV2", || absent("aclrtCreateStreamV2"))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSubscribeHostFunc(_hostFuncThreadId: u64, _exeStream: aclrtStream) -> aclError {
    call!("aclrtSubscribeHostFunc", || absent("aclrtSubscribeHostFunc"))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtProcessHostFunc(_timeout: i32) -> aclError {
    call!("aclrtProcessHostFunc", || absent("aclrtProcessHostFunc"))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtUnSubscribeHostFunc(_hostFuncThreadId: u64, _exeStream: aclrtStream) -> aclError {
    call!("aclrtUnSubscribeHostFunc", || absent("aclrtUnSubscribeHostFunc"))
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtStreamAbort, aclrtStreamStop, aclrtPersistentTaskClean, aclrtCreateStreamConfigHandle,
        aclrtDestroyStreamConfigHandle, aclrtSetStreamConfigOpt, aclrtCreateStreamV2, aclrtSubscribeHostFunc,
        aclrtProcessHostFunc, aclrtUnSubscribeHostFunc,
    );
}
