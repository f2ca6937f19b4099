//! Capturing work from streams.

use std::sync::Arc;

use ascendcl_sys::{
    self as sys, AclApi, aclError, aclmdlRI, aclmdlRICaptureMode, aclmdlRICaptureStatus, aclmdlRICondHandle,
    aclmdlRICondHandleFlag, aclmdlRICondTaskParams, aclrtStream, aclrtTaskGrp,
};

use super::{call, fill, invalid, not_null};
use crate::core::instance::{self, CONDITIONS, CaptureMode, Instance};
use crate::core::stream::{self, Stream, check_stream_context};
use crate::core::{Context, current_context};
use crate::error::fail;

/// Streams with these flags cannot capture.
const EXCLUDED: u32 = sys::ACL_STREAM_CPU_SCHEDULE | sys::ACL_STREAM_DEVICE_USE_ONLY;

fn wrong(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

fn check_flags(stream: &Stream) -> Result<(), aclError> {
    if stream.options().flags & EXCLUDED == 0 {
        return Ok(());
    }
    Err(fail(
        sys::ACL_ERROR_RT_INTERNAL_ERROR,
        format_args!("stream {} has flags that exclude it from captures", stream.id()),
    ))
}

/// The current context, of which the stream must be one that belongs to no instance and is no default stream.
fn check_own(stream: &Stream) -> Result<Arc<Context>, aclError> {
    let context = current_context()?;
    check_stream_context(stream, &context)?;
    if stream.held().is_some_and(|lane| lane.is_bound()) {
        return Err(fail(
            sys::ACL_ERROR_RT_STREAM_MODEL,
            format_args!("stream {} is bound to a running instance", stream.id()),
        ));
    }
    if stream.is_default() {
        return Err(fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "a default stream cannot capture"));
    }
    Ok(context)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRICaptureBegin(stream: aclrtStream, mode: aclmdlRICaptureMode) -> aclError {
    call!("aclmdlRICaptureBegin", || {
        not_null(stream, "stream")?;
        begin(stream, mode, None)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRICaptureToModelRIBegin(
    stream: aclrtStream,
    modelRI: aclmdlRI,
    mode: aclmdlRICaptureMode,
) -> aclError {
    call!("aclmdlRICaptureToModelRIBegin", || {
        not_null(stream, "stream")?;
        not_null(modelRI, "modelRI")?;
        begin(stream, mode, Some(modelRI))
    })
}

fn begin(handle: aclrtStream, mode: aclmdlRICaptureMode, branch: Option<aclmdlRI>) -> Result<(), aclError> {
    let stream = stream::find(handle)?;
    let branch = branch.map(instance::find).transpose()?;
    let mode = CaptureMode::from_c(mode)?;
    check_flags(&stream)?;
    if branch.as_ref().is_some_and(|branch| !branch.is_branch()) {
        return Err(wrong("modelRI is no branch of a condition"));
    }
    let context = check_own(&stream)?;
    instance::begin(&context, &stream, mode, branch)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRICaptureEnd(stream: aclrtStream, modelRI: *mut aclmdlRI) -> aclError {
    call!("aclmdlRICaptureEnd", || {
        not_null(stream, "stream")?;
        let stream = stream::find(stream)?;
        check_flags(&stream)?;
        let capturing = stream.intake().capturing();
        let whole = capturing.is_some_and(|capturing| !capturing.instance().is_branch());
        if whole && modelRI.is_null() {
            return Err(wrong("modelRI must not be NULL"));
        }
        check_own(&stream)?;
        let ended = instance::end(&stream).map(|instance| instance.handle());
        if !modelRI.is_null() && (whole || ended.is_ok()) {
            // SAFETY: [caller] not NULL, and the caller passes a place to write to.
            unsafe { modelRI.write(ended.unwrap_or(std::ptr::null_mut())) };
        }
        ended.map(drop)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRICaptureGetInfo(
    stream: aclrtStream,
    status: *mut aclmdlRICaptureStatus,
    modelRI: *mut aclmdlRI,
) -> aclError {
    call!("aclmdlRICaptureGetInfo", || {
        not_null(stream, "stream")?;
        if status.is_null() && modelRI.is_null() {
            return Err(invalid("status and modelRI must not both be NULL"));
        }
        let (state, handle) = instance::info(&*stream::find(stream)?);
        if !status.is_null() {
            // SAFETY: [caller] not NULL, and the caller passes a place to write to.
            unsafe { status.write(state) };
        }
        if !modelRI.is_null() {
            // SAFETY: [caller] as above.
            unsafe { modelRI.write(handle) };
        }
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRICaptureThreadExchangeMode(mode: *mut aclmdlRICaptureMode) -> aclError {
    call!("aclmdlRICaptureThreadExchangeMode", || {
        not_null(mode, "mode")?;
        // SAFETY: [caller] not NULL, and the caller passes a mode.
        let wanted = CaptureMode::from_c(unsafe { mode.read() })?;
        current_context()?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { mode.write(instance::exchange(wanted).to_c()) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRICaptureTaskGrpBegin(stream: aclrtStream) -> aclError {
    call!("aclmdlRICaptureTaskGrpBegin", || {
        not_null(stream, "stream")?;
        let stream = stream::find(stream)?;
        check_capturing(&stream)?;
        check_stream_context(&stream, &*current_context()?)?;
        instance::begin_group(&stream)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRICaptureTaskGrpEnd(stream: aclrtStream, handle: *mut aclrtTaskGrp) -> aclError {
    call!("aclmdlRICaptureTaskGrpEnd", || {
        not_null(stream, "stream")?;
        not_null(handle, "handle")?;
        let stream = stream::find(stream)?;
        check_capturing(&stream)?;
        check_stream_context(&stream, &*current_context()?)?;
        let group = instance::end_group(&stream)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { handle.write(group) };
        Ok(())
    })
}

fn check_capturing(stream: &Stream) -> Result<(), aclError> {
    if stream.intake().capturing().is_some() {
        return Ok(());
    }
    Err(fail(sys::ACL_ERROR_RT_STREAM_NOT_CAPTURED, format_args!("stream {} is not capturing", stream.id())))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRICaptureTaskUpdateBegin(stream: aclrtStream, handle: aclrtTaskGrp) -> aclError {
    call!("aclmdlRICaptureTaskUpdateBegin", || {
        not_null(stream, "stream")?;
        not_null(handle, "handle")?;
        let stream = stream::find(stream)?;
        instance::check_single(&stream)?;
        check_stream_context(&stream, &*current_context()?)?;
        instance::begin_update(&stream, handle)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRICaptureTaskUpdateEnd(stream: aclrtStream) -> aclError {
    call!("aclmdlRICaptureTaskUpdateEnd", || {
        not_null(stream, "stream")?;
        let stream = stream::find(stream)?;
        instance::check_single(&stream)?;
        check_stream_context(&stream, &*current_context()?)?;
        instance::end_update(&stream)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRICondHandleCreate(
    modelRI: aclmdlRI,
    defaultLaunchValue: u32,
    flag: aclmdlRICondHandleFlag,
    handle: *mut aclmdlRICondHandle,
) -> aclError {
    call!("aclmdlRICondHandleCreate", || {
        not_null(modelRI, "modelRI")?;
        not_null(handle, "handle")?;
        let instance: Arc<Instance> = instance::find(modelRI)?;
        if flag.0 > sys::ACL_MODEL_RI_COND_HANDLE_ASSIGN_DEFAULT.0 {
            return Err(wrong(format_args!("flag {} is unknown", flag.0)));
        }
        if instance.is_built() {
            return Err(fail(
                sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
                "only captured work can have conditions",
            ));
        }
        let assign = flag == sys::ACL_MODEL_RI_COND_HANDLE_ASSIGN_DEFAULT;
        let default = assign.then_some(u64::from(defaultLaunchValue));
        let made = instance::create_condition(&instance, current_context, default)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { handle.write(made) };
        Ok(())
    })
}

fn condition(handle: aclmdlRICondHandle) -> Result<Arc<instance::Condition>, aclError> {
    CONDITIONS.get(handle).ok_or_else(|| {
        fail(
            sys::ACL_ERROR_RT_INVALID_HANDLE,
            format_args!("the condition {handle:p} {}", CONDITIONS.describe(handle)),
        )
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRICondHandleGetCondPtr(
    handle: aclmdlRICondHandle,
    ptr: *mut *mut u64,
) -> aclError {
    call!("aclmdlRICondHandleGetCondPtr", || {
        not_null(handle, "handle")?;
        not_null(ptr, "ptr")?;
        let condition = condition(handle)?;
        current_context()?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { ptr.write(condition.pointer()) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIAddCondTask(
    params: aclmdlRICondTaskParams,
    stream: aclrtStream,
    flags: u32,
) -> aclError {
    call!("aclmdlRIAddCondTask", || {
        not_null(stream, "stream")?;
        let stream = stream::find(stream)?;
        if params.type_.0 > sys::ACL_MODEL_RI_COND_TYPE_SWITCH.0 {
            return Err(wrong(format_args!("condition type {} is unknown", params.type_.0)));
        }
        if flags != 0 {
            return Err(wrong("flags must be 0"));
        }
        if params.handle.is_null() {
            return Err(wrong("params.handle must not be NULL"));
        }
        if params.modelRIArray.is_null() {
            return Err(wrong("params.modelRIArray must not be NULL"));
        }
        let condition = condition(params.handle)?;
        condition.check_unused()?;
        let context = current_context()?;
        check_stream_context(&stream, &context)?;
        let branches = instance::add_condition(&condition, params.type_, params.size, &stream, &context)?;
        for (number, branch) in branches.into_iter().enumerate() {
            // SAFETY: [caller] not NULL, and the caller passes an array as long as it says.
            unsafe { params.modelRIArray.add(number).write(branch) };
        }
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclmdlRICaptureBegin, aclmdlRICaptureToModelRIBegin, aclmdlRICaptureEnd, aclmdlRICaptureGetInfo,
        aclmdlRICaptureThreadExchangeMode, aclmdlRICaptureTaskGrpBegin, aclmdlRICaptureTaskGrpEnd,
        aclmdlRICaptureTaskUpdateBegin, aclmdlRICaptureTaskUpdateEnd, aclmdlRICondHandleCreate,
        aclmdlRICondHandleGetCondPtr, aclmdlRIAddCondTask,
    );
}
