//! Labels and switches.

use core::ffi::c_void;

use ascendcl_sys::{
    self as sys, AclApi, aclError, aclrtCompareDataType, aclrtCondition, aclrtLabel, aclrtLabelList,
    aclrtStream, aclrtTaskUpdateInfo,
};

use super::{call, fill, invalid, not_null};
use crate::core::stream::{self, check_stream_context};
use crate::core::{current_context, instance};
use crate::error::fail;

/// Labels in one list.
const LONGEST: usize = 65_535;

fn wrong(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCreateLabel(label: *mut aclrtLabel) -> aclError {
    call!("aclrtCreateLabel", || {
        not_null(label, "label")?;
        let handle = instance::create_label(&*current_context()?)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { label.write(handle) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetLabel(label: aclrtLabel, stream: aclrtStream) -> aclError {
    call!("aclrtSetLabel", || {
        not_null(label, "label")?;
        not_null(stream, "stream")?;
        instance::set_label(label, || stream::find(stream), current_context)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDestroyLabel(label: aclrtLabel) -> aclError {
    call!("aclrtDestroyLabel", || {
        not_null(label, "label")?;
        instance::destroy_label(current_context, label)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCreateLabelList(
    labels: *mut aclrtLabel,
    num: usize,
    labelList: *mut aclrtLabelList,
) -> aclError {
    call!("aclrtCreateLabelList", || {
        not_null(labels, "labels")?;
        not_null(labelList, "labelList")?;
        if num == 0 || num > LONGEST {
            return Err(wrong(format_args!("{num} labels are not between 1 and {LONGEST}")));
        }
        // SAFETY: [caller] not NULL, and the caller passes an array as long as it says.
        let labels = instance::find_all(unsafe { std::slice::from_raw_parts(labels, num) })?;
        let handle = instance::create_list(&*current_context()?, labels)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { labelList.write(handle) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDestroyLabelList(labelList: aclrtLabelList) -> aclError {
    call!("aclrtDestroyLabelList", || {
        not_null(labelList, "labelList")?;
        instance::destroy_list(labelList)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSwitchLabelByIndex(
    ptr: *mut c_void,
    maxValue: u32,
    labelList: aclrtLabelList,
    stream: aclrtStream,
) -> aclError {
    call!("aclrtSwitchLabelByIndex", || {
        not_null(ptr, "ptr")?;
        not_null(labelList, "labelList")?;
        not_null(stream, "stream")?;
        let stream = stream::find(stream)?;
        instance::switch_by_index(ptr, maxValue, labelList, &stream, &*current_context()?)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtActiveStream(activeStream: aclrtStream, stream: aclrtStream) -> aclError {
    call!("aclrtActiveStream", || {
        not_null(activeStream, "activeStream")?;
        not_null(stream, "stream")?;
        let (active, stream) = (stream::find(activeStream)?, stream::find(stream)?);
        let context = current_context()?;
        instance::activate(&active, &stream, &context)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSwitchStream(
    leftValue: *mut c_void,
    cond: aclrtCondition,
    rightValue: *mut c_void,
    dataType: aclrtCompareDataType,
    trueStream: aclrtStream,
    falseStream: aclrtStream,
    stream: aclrtStream,
) -> aclError {
    call!("aclrtSwitchStream", || {
        not_null(leftValue, "leftValue")?;
        not_null(rightValue, "rightValue")?;
        not_null(trueStream, "trueStream")?;
        not_null(stream, "stream")?;
        if !falseStream.is_null() {
            return Err(invalid("falseStream must be NULL"));
        }
        let (target, stream) = (stream::find(trueStream)?, stream::find(stream)?);
        let values = (leftValue.cast_const(), rightValue.cast_const());
        instance::switch_stream(values, cond, dataType, &target, &stream, current_context)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtTaskUpdateAsync(
    taskStream: aclrtStream,
    _taskId: u32,
    info: *mut aclrtTaskUpdateInfo,
    execStream: aclrtStream,
) -> aclError {
    call!("aclrtTaskUpdateAsync", || {
        not_null(info, "info")?;
        // SAFETY: [caller] not NULL, and the caller passes a description of the update.
        let id = unsafe { (*info).id };
        if id != sys::ACL_RT_UPDATE_RANDOM_TASK && id != sys::ACL_RT_UPDATE_AIC_AIV_TASK {
            return Err(wrong(format_args!("update {} is unknown", id.0)));
        }
        if taskStream.is_null() {
            return Err(wrong("taskStream must not be NULL"));
        }
        let held = stream::find(taskStream)?;
        let stream = if execStream.is_null() { None } else { Some(stream::find(execStream)?) };
        let context = current_context()?;
        let stream = stream.unwrap_or_else(|| context.default_stream().clone());
        if id == sys::ACL_RT_UPDATE_RANDOM_TASK {
            if stream.held().is_some_and(|lane| lane.is_bound()) {
                return Err(wrong(format_args!("stream {} is bound to a running instance", stream.id())));
            }
            stream.check_not_capturing()?;
            check_stream_context(&stream, &context)?;
            if !held.held().is_some_and(|lane| lane.is_bound()) {
                return Err(wrong(format_args!("stream {} is not bound to a running instance", held.id())));
            }
        }
        Err(fail(
            sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
            "updates of single tasks from device memory are not simulated",
        ))
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtCreateLabel, aclrtSetLabel, aclrtDestroyLabel, aclrtCreateLabelList, aclrtDestroyLabelList,
        aclrtSwitchLabelByIndex, aclrtActiveStream, aclrtSwitchStream, aclrtTaskUpdateAsync,
    );
}
