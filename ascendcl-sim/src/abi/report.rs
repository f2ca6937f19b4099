//! Host callbacks.

use core::ffi::c_void;

use ascendcl_sys::{
    self as sys, AclApi, aclError, aclrtCallback, aclrtCallbackBlockType, aclrtHostFunc, aclrtStream,
};

use super::{call, fill, invalid, milliseconds};
use crate::core::{
    current_context, find_stream, host_thread, lookup_any_stream, process, report, resolve_found,
};
use crate::error::fail;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSubscribeReport(threadId: u64, stream: aclrtStream) -> aclError {
    call!("aclrtSubscribeReport", || {
        let stream = lookup_any_stream(stream)?;
        if process::machine().settings().profile.features.subscription_events {
            current_context()?;
        }
        report::subscribe(threadId, &stream)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtUnSubscribeReport(threadId: u64, stream: aclrtStream) -> aclError {
    call!("aclrtUnSubscribeReport", || report::unsubscribe(threadId, &*lookup_any_stream(stream)?))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtProcessReport(timeout: i32) -> aclError {
    call!("aclrtProcessReport", || {
        if timeout == 0 || timeout < -1 {
            return Err(invalid(format_args!("timeout {timeout} is neither -1, for ever, nor positive")));
        }
        report::process(milliseconds(timeout)?)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtLaunchCallback(
    fn_: aclrtCallback,
    userData: *mut c_void,
    blockType: aclrtCallbackBlockType,
    stream: aclrtStream,
) -> aclError {
    call!("aclrtLaunchCallback", || {
        let blocking = match blockType {
            sys::ACL_CALLBACK_BLOCK => true,
            sys::ACL_CALLBACK_NO_BLOCK => false,
            _ => return Err(invalid(format_args!("block type {} is unknown", blockType.0))),
        };
        let stream = find_stream(stream)?;
        let function = function(fn_)?;
        if let Some(stream) = &stream {
            report::check_not_served_by_runtime(stream)?;
        }
        let stream = resolve_found(stream)?;
        report::launch(&stream, function, userData, blocking)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtLaunchHostFunc(
    stream: aclrtStream,
    fn_: aclrtHostFunc,
    args: *mut c_void,
) -> aclError {
    call!("aclrtLaunchHostFunc", || {
        if !process::machine().settings().profile.features.host_functions {
            return Err(fail(
                sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
                "this chip has no host functions: use aclrtLaunchCallback",
            ));
        }
        let stream = find_stream(stream)?;
        let function = function(fn_)?;
        if let Some(stream) = &stream
            && !host_thread::serves(stream)
        {
            report::check_not_served_by_program(stream)?;
        }
        let context = current_context()?;
        let stream = resolve_found(stream)?;
        report::launch_host(&context, &stream, function, args)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSubscribeHostFunc(hostFuncThreadId: u64, exeStream: aclrtStream) -> aclError {
    call!("aclrtSubscribeHostFunc", || host_thread::subscribe(
        hostFuncThreadId,
        &*lookup_any_stream(exeStream)?
    ))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtUnSubscribeHostFunc(hostFuncThreadId: u64, exeStream: aclrtStream) -> aclError {
    call!("aclrtUnSubscribeHostFunc", || {
        host_thread::unsubscribe(hostFuncThreadId, &*lookup_any_stream(exeStream)?)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtProcessHostFunc(timeout: i32) -> aclError {
    call!("aclrtProcessHostFunc", || {
        if timeout == 0 || timeout < -1 {
            return Err(invalid(format_args!("timeout {timeout} is neither -1, for ever, nor positive")));
        }
        host_thread::process(milliseconds(timeout)?)
    })
}

fn function(function: aclrtCallback) -> Result<report::Function, aclError> {
    function.ok_or_else(|| fail(sys::ACL_ERROR_RT_PARAM_INVALID, "fn must not be NULL"))
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtSubscribeReport, aclrtUnSubscribeReport, aclrtProcessReport, aclrtLaunchCallback, aclrtLaunchHostFunc,
        aclrtSubscribeHostFunc, aclrtUnSubscribeHostFunc, aclrtProcessHostFunc,
    );
}
