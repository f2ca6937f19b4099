//! Running instances: work captured from streams or built by hand, and replayed.

use core::ffi::{CStr, c_char, c_void};
use std::sync::Arc;

use ascendcl_sys::{
    self as sys, AclApi, aclError, aclmdlRI, aclmdlRITask, aclmdlRITaskParams, aclmdlRITaskType,
    aclrtCallback, aclrtLaunchKernelAttrId, aclrtLaunchKernelAttrValue, aclrtStream,
};

use super::launch::config;
use super::{call, fill, invalid, not_null};
use crate::core::instance::{self, Change, Instance};
use crate::core::report::Function;
use crate::core::stream::{self, Stream, check_stream_context};
use crate::core::{Context, current_context, value};
use crate::error::{fail, fail_unremembered};
use crate::kernel::binary::find_function;
use crate::kernel::task::{Arguments, KernelParams};
use crate::memory;

fn wrong(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

fn unsupported(what: &str) -> aclError {
    fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, what)
}

/// 107000 for NULL: what the runtime checks and the layer above it does not.
fn given<T>(pointer: *const T, name: &str) -> Result<(), aclError> {
    if pointer.is_null() { Err(wrong(format_args!("{name} must not be NULL"))) } else { Ok(()) }
}

fn check_built(instance: &Instance) -> Result<(), aclError> {
    if instance.is_built() { Ok(()) } else { Err(wrong("modelRI was captured, not built")) }
}

fn check_whole(instance: &Instance) -> Result<(), aclError> {
    if instance.is_branch() {
        return Err(unsupported("a branch is part of the instance that decides on it"));
    }
    Ok(())
}

/// The current context, which must be the instance's own.
fn own_context(instance: &Instance) -> Result<Arc<Context>, aclError> {
    let context = current_context()?;
    instance.check_context(&context)?;
    Ok(context)
}

/// NULL is the default stream of the current context.
fn find_stream(handle: aclrtStream) -> Result<Option<Arc<Stream>>, aclError> {
    if handle.is_null() { Ok(None) } else { stream::find(handle).map(Some) }
}

fn or_default(stream: Option<Arc<Stream>>) -> Result<Arc<Stream>, aclError> {
    stream.map_or_else(|| Ok(Arc::clone(current_context()?.default_stream())), Ok)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIBuildBegin(modelRI: *mut aclmdlRI, flag: u32) -> aclError {
    call!("aclmdlRIBuildBegin", || {
        not_null(modelRI, "modelRI")?;
        if flag != 0 {
            return Err(fail_unremembered(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                format_args!("flag {flag} is not 0"),
            ));
        }
        let handle = Instance::build(&*current_context()?)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { modelRI.write(handle) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIBindStream(modelRI: aclmdlRI, stream: aclrtStream, flag: u32) -> aclError {
    call!("aclmdlRIBindStream", || {
        not_null(modelRI, "modelRI")?;
        if flag != sys::ACL_MODEL_STREAM_FLAG_HEAD && flag != sys::ACL_MODEL_STREAM_FLAG_DEFAULT {
            return Err(fail_unremembered(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                format_args!("flag {flag:#x} is unknown"),
            ));
        }
        let instance = instance::find(modelRI)?;
        let Some(found) = find_stream(stream)? else {
            return Err(wrong("a default stream cannot be bound"));
        };
        if found.options().flags & sys::ACL_STREAM_PERSISTENT == 0 {
            return Err(wrong(format_args!("stream {} is not persistent", found.id())));
        }
        if found.held().is_some_and(|lane| lane.is_bound()) {
            return Err(fail(
                sys::ACL_ERROR_RT_STREAM_MODEL,
                format_args!("stream {} is bound already", found.id()),
            ));
        }
        check_built(&instance)?;
        found.check_not_capturing()?;
        if found.stops_on_failure() {
            return Err(unsupported("streams that stop on failure cannot be bound"));
        }
        if found.options().flags & sys::ACL_STREAM_FAST_LAUNCH != 0 {
            return Err(unsupported("streams with ACL_STREAM_FAST_LAUNCH cannot be bound"));
        }
        own_context(&instance)?;
        instance.bind(&found, stream.addr(), flag == sys::ACL_MODEL_STREAM_FLAG_HEAD)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIUnbindStream(modelRI: aclmdlRI, stream: aclrtStream) -> aclError {
    call!("aclmdlRIUnbindStream", || {
        not_null(modelRI, "modelRI")?;
        let instance = instance::find(modelRI)?;
        let stream = or_default(find_stream(stream)?)?;
        check_built(&instance)?;
        stream.check_not_capturing()?;
        own_context(&instance)?;
        instance.unbind(&stream)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIEndTask(modelRI: aclmdlRI, stream: aclrtStream) -> aclError {
    call!("aclmdlRIEndTask", || {
        not_null(modelRI, "modelRI")?;
        let instance = instance::find(modelRI)?;
        let stream = or_default(find_stream(stream)?)?;
        check_built(&instance)?;
        stream.check_not_capturing()?;
        let context = current_context()?;
        check_stream_context(&stream, &context)?;
        instance.check_context(&context)?;
        instance.end_task(&stream)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIBuildEnd(modelRI: aclmdlRI, reserve: *mut c_void) -> aclError {
    call!("aclmdlRIBuildEnd", || {
        not_null(modelRI, "modelRI")?;
        if !reserve.is_null() {
            return Err(invalid("reserve must be NULL"));
        }
        let instance = instance::find(modelRI)?;
        check_built(&instance)?;
        own_context(&instance)?;
        instance.complete()
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIExecuteAsync(modelRI: aclmdlRI, stream: aclrtStream) -> aclError {
    call!("aclmdlRIExecuteAsync", || {
        not_null(modelRI, "modelRI")?;
        let instance = instance::find(modelRI)?;
        let stream = find_stream(stream)?;
        if let Some(stream) = &stream {
            if stream.held().is_some_and(|lane| lane.is_bound()) {
                return Err(wrong(format_args!("stream {} is bound to a running instance", stream.id())));
            }
            stream.check_not_capturing()?;
        }
        check_whole(&instance)?;
        let context = own_context(&instance)?;
        let stream = stream.unwrap_or_else(|| Arc::clone(context.default_stream()));
        if instance.is_captured() {
            // Its state counts more than where it is to run.
            instance.check_ready()?;
        }
        check_stream_context(&stream, &context)?;
        instance::execute(&instance, &stream)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIExecute(modelRI: aclmdlRI, timeout: i32) -> aclError {
    call!("aclmdlRIExecute", || {
        not_null(modelRI, "modelRI")?;
        let instance = instance::find(modelRI)?;
        let timeout = super::milliseconds(timeout)?;
        check_built(&instance)?;
        let context = own_context(&instance)?;
        instance::execute_and_wait(&instance, &context, timeout)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIDestroy(modelRI: aclmdlRI) -> aclError {
    call!("aclmdlRIDestroy", || {
        not_null(modelRI, "modelRI")?;
        let instance = instance::find(modelRI)?;
        check_whole(&instance)?;
        own_context(&instance)?;
        instance.destroy()
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIAbort(modelRI: aclmdlRI) -> aclError {
    call!("aclmdlRIAbort", || {
        given(modelRI, "modelRI")?;
        let instance = instance::find(modelRI)?;
        check_whole(&instance)?;
        own_context(&instance)?;
        instance.abort();
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRISetName(modelRI: aclmdlRI, name: *const c_char) -> aclError {
    call!("aclmdlRISetName", || {
        not_null(modelRI, "modelRI")?;
        not_null(name, "name")?;
        let instance = instance::find(modelRI)?;
        own_context(&instance)?;
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        instance.set_name(unsafe { CStr::from_ptr(name) }.to_bytes().to_vec());
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIGetName(modelRI: aclmdlRI, maxLen: u32, name: *mut c_char) -> aclError {
    call!("aclmdlRIGetName", || {
        not_null(modelRI, "modelRI")?;
        not_null(name, "name")?;
        let instance = instance::find(modelRI)?;
        if maxLen == 0 {
            return Err(wrong("maxLen must not be 0"));
        }
        own_context(&instance)?;
        let mut text = instance.name();
        text.push(0);
        if text.len() > maxLen as usize {
            return Err(fail(
                sys::ACL_ERROR_RT_INTERNAL_ERROR,
                format_args!("the name takes {} bytes and there are {maxLen}", text.len()),
            ));
        }
        // SAFETY: [caller] not NULL, and the caller passes room for `maxLen` bytes, which are enough.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), name.cast(), text.len()) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIGetId(modelRI: aclmdlRI, modelRIId: *mut u32) -> aclError {
    call!("aclmdlRIGetId", || {
        not_null(modelRI, "modelRI")?;
        not_null(modelRIId, "modelRIId")?;
        let id = instance::find(modelRI)?.id();
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { modelRIId.write(id) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIDebugPrint(modelRI: aclmdlRI) -> aclError {
    call!("aclmdlRIDebugPrint", || {
        not_null(modelRI, "modelRI")?;
        let instance = instance::find(modelRI)?;
        own_context(&instance)?;
        log::info!("running instance {}: {}", instance.id(), instance.to_json());
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIDebugJsonPrint(modelRI: aclmdlRI, path: *const c_char, flags: u32) -> aclError {
    call!("aclmdlRIDebugJsonPrint", || {
        not_null(modelRI, "modelRI")?;
        not_null(path, "path")?;
        let instance = instance::find(modelRI)?;
        own_context(&instance)?;
        // Flags only ask for the arguments of kernels.
        log::trace!("flags {flags:#x}");
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        let path = unsafe { CStr::from_ptr(path) };
        let path = std::path::Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(
            path.to_bytes(),
        ));
        std::fs::write(path, instance.to_json())
            .map_err(|error| wrong(format_args!("cannot write {}: {error}", path.display())))
    })
}

fn function(function: aclrtCallback) -> Result<Function, aclError> {
    function.ok_or_else(|| wrong("func must not be NULL"))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIDestroyRegisterCallback(
    modelRI: aclmdlRI,
    func: aclrtCallback,
    userData: *mut c_void,
) -> aclError {
    call!("aclmdlRIDestroyRegisterCallback", || {
        given(modelRI, "modelRI")?;
        let instance = instance::find(modelRI)?;
        let function = function(func)?;
        check_whole(&instance)?;
        instance.add_callback(function, userData)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIDestroyUnregisterCallback(modelRI: aclmdlRI, func: aclrtCallback) -> aclError {
    call!("aclmdlRIDestroyUnregisterCallback", || {
        given(modelRI, "modelRI")?;
        let instance = instance::find(modelRI)?;
        let function = function(func)?;
        check_whole(&instance)?;
        instance.remove_callback(function)
    })
}

/// Gives as many handles as there is room for; without an array only their number.
///
/// # Safety
/// `array` is NULL or has room for as many handles as `count` says; `count` can be read and written.
unsafe fn give(
    handles: &[*mut c_void],
    array: *mut *mut c_void,
    count: *mut u32,
    what: &str,
) -> Result<(), aclError> {
    if array.is_null() {
        // SAFETY: [caller] contract.
        unsafe { count.write(handles.len() as u32) };
        return Ok(());
    }
    // SAFETY: [caller] contract.
    let room = unsafe { count.read() } as usize;
    for place in 0..room {
        let handle = handles.get(place).copied().unwrap_or_default();
        // SAFETY: [caller] inside the array (contract).
        unsafe { array.add(place).write(handle) };
    }
    // SAFETY: [caller] contract.
    unsafe { count.write(room.min(handles.len()) as u32) };
    if room < handles.len() {
        return Err(fail(
            sys::ACL_ERROR_RT_INSUFFICIENT_INPUT_ARRAY,
            format_args!("there are {} {what} and room for {room}", handles.len()),
        ));
    }
    Ok(())
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIGetStreams(
    modelRI: aclmdlRI,
    streams: *mut aclrtStream,
    numStreams: *mut u32,
) -> aclError {
    call!("aclmdlRIGetStreams", || {
        given(modelRI, "modelRI")?;
        let instance = instance::find(modelRI)?;
        given(numStreams, "numStreams")?;
        check_whole(&instance)?;
        let handles = instance::streams(&instance, &*current_context()?)?;
        // SAFETY: [caller] the caller passes an array as long as it says, or NULL.
        unsafe { give(&handles, streams, numStreams, "streams") }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIGetTasksByStream(
    stream: aclrtStream,
    tasks: *mut aclmdlRITask,
    numTasks: *mut u32,
) -> aclError {
    call!("aclmdlRIGetTasksByStream", || {
        given(stream, "stream")?;
        let stream = stream::find(stream)?;
        given(numTasks, "numTasks")?;
        let handles = instance::stream_tasks(&stream)?;
        // SAFETY: [caller] the caller passes an array as long as it says, or NULL.
        unsafe { give(&handles, tasks, numTasks, "tasks") }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRITaskGetType(task: aclmdlRITask, type_: *mut aclmdlRITaskType) -> aclError {
    call!("aclmdlRITaskGetType", || {
        given(task, "task")?;
        given(type_, "type")?;
        let kind = instance::task_type(&*instance::task(task)?)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { type_.write(kind) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRITaskGetSeqId(task: aclmdlRITask, id: *mut u32) -> aclError {
    call!("aclmdlRITaskGetSeqId", || {
        given(task, "task")?;
        given(id, "id")?;
        let node = instance::task(task)?;
        if instance::instance_of(&node)?.is_built() {
            return Err(unsupported("only captured tasks have sequence numbers"));
        }
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { id.write(node.sequence) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRITaskGetParams(task: aclmdlRITask, params: *mut aclmdlRITaskParams) -> aclError {
    call!("aclmdlRITaskGetParams", || {
        given(task, "task")?;
        given(params, "params")?;
        let node = instance::task(task)?;
        // SAFETY: [caller] not NULL, the caller passes parameters to write to, and zeroes are valid in all members.
        let params = unsafe {
            params.write_bytes(0, 1);
            &mut *params
        };
        instance::params(&node, params)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRITaskSetParams(task: aclmdlRITask, params: *mut aclmdlRITaskParams) -> aclError {
    call!("aclmdlRITaskSetParams", || {
        given(task, "task")?;
        given(params, "params")?;
        let node = instance::task(task)?;
        // SAFETY: [caller] not NULL, and the caller passes parameters.
        let params = unsafe { &*params };
        instance::set_params(&node, |now| change(now, params))
    })
}

/// What a program wants of a task that is one of type `now`.
fn change(now: aclmdlRITaskType, params: &aclmdlRITaskParams) -> Result<Change, aclError> {
    let kind = params.type_;
    match kind {
        sys::ACL_MODEL_RI_TASK_KERNEL => {
            if now != sys::ACL_MODEL_RI_TASK_KERNEL {
                return Err(wrong("the task is no kernel"));
            }
            if !params.taskGrp.is_null() {
                return Err(wrong("taskGrp must be NULL"));
            }
            // SAFETY: [caller] the type says which member is meant, and all are plain.
            let kernel = unsafe { &params.__bindgen_anon_1.kernelTaskParams };
            given(kernel.funcHandle, "funcHandle")?;
            let function = find_function(kernel.funcHandle)?;
            given(kernel.args, "args")?;
            if kernel.argsSize == 0 {
                return Err(wrong("argsSize must not be 0"));
            }
            let config = config(kernel.cfg)?;
            let arguments = if kernel.isHostArgs == 0 {
                Arguments::device(kernel.args.addr(), kernel.argsSize)
            } else {
                // SAFETY: [caller] not NULL, and the caller passes as many bytes as it says.
                let bytes = unsafe { std::slice::from_raw_parts(kernel.args.cast::<u8>(), kernel.argsSize) };
                Arguments::Host { bytes: bytes.to_vec(), placeholders: Vec::new() }
            };
            Ok(Change::Kernel(KernelParams { function, blocks: kernel.numBlocks, arguments, config }))
        }
        sys::ACL_MODEL_RI_TASK_VALUE_WRITE | sys::ACL_MODEL_RI_TASK_VALUE_WAIT => {
            if now == sys::ACL_MODEL_RI_TASK_DEFAULT {
                return Err(wrong("a task of this kind cannot be replaced"));
            }
            if !params.taskGrp.is_null() || !params.opInfoPtr.is_null() || params.opInfoSize != 0 {
                return Err(wrong("taskGrp, opInfoPtr and opInfoSize must be NULL and 0"));
            }
            if kind == sys::ACL_MODEL_RI_TASK_VALUE_WRITE {
                // SAFETY: [caller] as above.
                let write = unsafe { &params.__bindgen_anon_1.valueWriteTaskParams };
                let range = memory::device_range(write.devAddr, value::SIZE)?;
                return Ok(Change::Write { range, value: write.value });
            }
            // SAFETY: [caller] as above.
            let wait = unsafe { &params.__bindgen_anon_1.valueWaitTaskParams };
            let range = memory::device_range(wait.devAddr, value::SIZE)?;
            Ok(Change::Wait { range, value: wait.value, how: wait.flag })
        }
        other => Err(wrong(format_args!("tasks of type {} cannot be set", other.0))),
    }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRITaskDisable(task: aclmdlRITask) -> aclError {
    call!("aclmdlRITaskDisable", || {
        given(task, "task")?;
        instance::disable(&*instance::task(task)?)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIKernelTaskGetAttribute(
    task: aclmdlRITask,
    attrId: aclrtLaunchKernelAttrId,
    attrValue: *mut aclrtLaunchKernelAttrValue,
) -> aclError {
    call!("aclmdlRIKernelTaskGetAttribute", || {
        not_null(task, "task")?;
        not_null(attrValue, "attrValue")?;
        let value = instance::kernel_attribute(&*instance::task(task)?, attrId)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { attrValue.write(value) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclmdlRIUpdate(modelRI: aclmdlRI) -> aclError {
    call!("aclmdlRIUpdate", || {
        given(modelRI, "modelRI")?;
        instance::update(&*instance::find(modelRI)?)
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclmdlRIBuildBegin, aclmdlRIBindStream, aclmdlRIUnbindStream, aclmdlRIEndTask, aclmdlRIBuildEnd,
        aclmdlRIExecuteAsync, aclmdlRIExecute, aclmdlRIDestroy, aclmdlRIAbort, aclmdlRISetName, aclmdlRIGetName,
        aclmdlRIGetId, aclmdlRIDebugPrint, aclmdlRIDebugJsonPrint, aclmdlRIDestroyRegisterCallback,
        aclmdlRIDestroyUnregisterCallback, aclmdlRIGetStreams, aclmdlRIGetTasksByStream, aclmdlRITaskGetType,
        aclmdlRITaskGetSeqId, aclmdlRITaskGetParams, aclmdlRITaskSetParams, aclmdlRITaskDisable,
        aclmdlRIKernelTaskGetAttribute, aclmdlRIUpdate,
    );
}
