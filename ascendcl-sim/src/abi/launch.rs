//! Launches of kernels.

use core::ffi::c_void;
use std::ptr;
use std::slice;

use ascendcl_sys::{
    self as sys, aclError, aclrtArgsHandle, aclrtFuncHandle, aclrtLaunchKernelAttr, aclrtLaunchKernelCfg,
    aclrtPlaceHolderInfo, aclrtStream,
};

use super::{functions, invalid, not_null};
use crate::core::current_context;
use crate::core::stream::Named;
use crate::error::fail;
use crate::kernel::binary::{Function, find_function};
use crate::kernel::task::{Arguments, KernelParams, Placeholder, launch};
use crate::kernel::{args, host::Parameter};

/// `RT_LAUNCH_KERNEL_ATTR_ENABLE_PROFILING`, newer than the headers.
const ENABLE_PROFILING: u32 = 9;
/// The modes of scheduling are below this.
const SCHEDULE_MODES: u8 = 2;

functions! {
    status fn aclrtLaunchKernel(
        funcHandle: aclrtFuncHandle, numBlocks: u32, argsData: *const c_void, argsSize: usize, stream: aclrtStream,
    ) {
        not_null(funcHandle, "funcHandle")?;
        not_null(argsData, "argsData")?;
        let function = find_function(funcHandle)?;
        let stream = Named::new(stream)?;
        no_zero(numBlocks as usize, "numBlocks")?;
        let arguments = device_arguments(argsData, argsSize)?;
        submit(function, numBlocks, stream, arguments, Vec::new())
    }

    status fn aclrtLaunchKernelV2(
        funcHandle: aclrtFuncHandle, numBlocks: u32, argsData: *const c_void, argsSize: usize,
        cfg: *mut aclrtLaunchKernelCfg, stream: aclrtStream,
    ) {
        not_null(funcHandle, "funcHandle")?;
        not_null(argsData, "argsData")?;
        let function = find_function(funcHandle)?;
        let stream = Named::new(stream)?;
        let arguments = device_arguments(argsData, argsSize)?;
        no_zero(numBlocks as usize, "numBlocks")?;
        submit(function, numBlocks, stream, arguments, config(cfg)?)
    }

    status fn aclrtLaunchKernelWithConfig(
        funcHandle: aclrtFuncHandle, numBlocks: u32, stream: aclrtStream, cfg: *mut aclrtLaunchKernelCfg,
        argsHandle: aclrtArgsHandle, reserve: *mut c_void,
    ) {
        not_null(funcHandle, "funcHandle")?;
        positive(numBlocks)?;
        not_null(argsHandle, "argsHandle")?;
        if !reserve.is_null() {
            return Err(invalid("reserve must be NULL"));
        }
        let function = find_function(funcHandle)?;
        let list = args::find(argsHandle)?;
        let stream = Named::new(stream)?;
        let arguments = list.arguments()?;
        submit(function, numBlocks, stream, arguments, config(cfg)?)
    }

    status fn aclrtLaunchKernelWithHostArgs(
        funcHandle: aclrtFuncHandle, numBlocks: u32, stream: aclrtStream, cfg: *mut aclrtLaunchKernelCfg,
        hostArgs: *mut c_void, argsSize: usize, placeHolderArray: *mut aclrtPlaceHolderInfo, placeHolderNum: usize,
    ) {
        not_null(funcHandle, "funcHandle")?;
        not_null(hostArgs, "hostArgs")?;
        let function = find_function(funcHandle)?;
        let stream = Named::new(stream)?;
        let size = size(argsSize)?;
        let placeholders = placeholders(placeHolderArray, placeHolderNum, size)?;
        no_zero(numBlocks as usize, "numBlocks")?;
        let config = config(cfg)?;
        // SAFETY: [caller] not NULL, and the caller passes as many bytes as it says.
        let bytes = unsafe { slice::from_raw_parts(hostArgs.cast::<u8>(), size) }.to_vec();
        submit(function, numBlocks, stream, Arguments::Host { bytes, placeholders }, config)
    }

    status fn aclrtLaunchKernelWithArgsArray(
        func: *mut c_void, numBlocks: u32, stream: aclrtStream, cfg: *mut aclrtLaunchKernelCfg, args: *mut *mut c_void,
    ) {
        not_null(func, "func")?;
        positive(numBlocks)?;
        let stream = Named::new(stream)?;
        // It may be the symbol of a kernel, which is looked up in a context. There are none, so it has to be a handle.
        current_context()?;
        let function = find_function(func)?;
        if function.is_cpu() {
            return Err(fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "kernels for the CPU take no array of arguments"));
        }
        let Some(parameters) = function.host().and_then(|kernel| kernel.parameters()) else {
            let name = function.name();
            return Err(wrong(format_args!("the kernel '{name}' does not say what its parameters are")));
        };
        if !parameters.is_empty() {
            required(args, "args")?;
        }
        let config = config(cfg)?;
        let arguments = Arguments::Host { bytes: gather(args, &parameters)?, placeholders: Vec::new() };
        submit(function, numBlocks, stream, arguments, config)
    }
}

/// What all launches do once their arguments are checked.
fn submit(
    function: std::sync::Arc<Function>,
    blocks: u32,
    stream: Named,
    arguments: Arguments,
    config: Vec<aclrtLaunchKernelAttr>,
) -> Result<(), aclError> {
    let context = current_context()?;
    let stream = stream.of(&context)?;
    if !function.is_on(stream.device()) {
        let (name, device) = (function.name(), stream.device().id());
        return Err(fail(
            sys::ACL_ERROR_RT_INVALID_HANDLE,
            format_args!("the binary with the kernel '{name}' was not loaded for device {device}"),
        ));
    }
    launch(&stream, KernelParams { function, blocks, arguments, config })
}

fn wrong(text: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, text)
}

fn required<T>(pointer: *const T, name: &str) -> Result<(), aclError> {
    if pointer.is_null() { Err(wrong(format_args!("{name} must not be NULL"))) } else { Ok(()) }
}

fn no_zero(number: usize, name: &str) -> Result<(), aclError> {
    if number == 0 { Err(wrong(format_args!("{name} must not be 0"))) } else { Ok(()) }
}

/// Some launches check this above, some below.
fn positive(blocks: u32) -> Result<(), aclError> {
    if blocks == 0 { Err(invalid("numBlocks must not be 0")) } else { Ok(()) }
}

/// A size of arguments, of which only the lower 32 bits count.
fn size(size: usize) -> Result<usize, aclError> {
    let size = size as u32 as usize;
    no_zero(size, "argsSize")?;
    Ok(size)
}

fn device_arguments(address: *const c_void, bytes: usize) -> Result<Arguments, aclError> {
    Ok(Arguments::device(address.addr(), size(bytes)?))
}

fn placeholders(
    array: *const aclrtPlaceHolderInfo,
    count: usize,
    size: usize,
) -> Result<Vec<Placeholder>, aclError> {
    // The runtime counts them in 16 bits.
    let count = usize::from(count as u16);
    if count == 0 {
        return Ok(Vec::new());
    }
    required(array, "placeHolderArray")?;
    // SAFETY: [caller] not NULL, and the caller passes as many as it says.
    let array = unsafe { slice::from_raw_parts(array, count) };
    let placeholder = |(index, info): (usize, &aclrtPlaceHolderInfo)| {
        let (address, data) = (info.addrOffset, info.dataOffset);
        // Where the pointer begins is all that the runtime checks; the last of its 8 bytes must lie inside, too.
        if address as usize + size_of::<u64>() > size || data as usize >= size {
            return Err(wrong(format_args!(
                "placeholder {index} has its address at {address} and its data at {data} of {size} bytes of arguments"
            )));
        }
        Ok(Placeholder { address, data })
    };
    array.iter().enumerate().map(placeholder).collect()
}

/// The configuration of a launch, checked.
pub(super) fn config(config: *const aclrtLaunchKernelCfg) -> Result<Vec<aclrtLaunchKernelAttr>, aclError> {
    if config.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: [caller] not NULL, and the caller passes a configuration.
    let config = unsafe { &*config };
    required(config.attrs, "cfg->attrs")?;
    // SAFETY: [caller] not NULL, and the caller passes as many attributes as it says.
    let attributes = unsafe { slice::from_raw_parts(config.attrs, config.numAttrs) };
    let has = |id| attributes.iter().any(|attribute| attribute.id == id);
    if has(sys::ACL_RT_LAUNCH_KERNEL_ATTR_TIMEOUT) && has(sys::ACL_RT_LAUNCH_KERNEL_ATTR_TIMEOUT_US) {
        return Err(wrong("a launch has one time limit, in seconds or in microseconds"));
    }
    for attribute in attributes {
        // SAFETY: [caller] all members of the union are numbers, and those read here are its first byte.
        let first = unsafe { attribute.value.schemMode };
        let in_range = match attribute.id {
            sys::ACL_RT_LAUNCH_KERNEL_ATTR_SCHEM_MODE => first < SCHEDULE_MODES,
            sys::ACL_RT_LAUNCH_KERNEL_ATTR_BLOCK_TASK_PREFETCH | sys::ACL_RT_LAUNCH_KERNEL_ATTR_DATA_DUMP => {
                first <= 1
            }
            id if id.0 == ENABLE_PROFILING => first <= 1,
            id => (sys::ACL_RT_LAUNCH_KERNEL_ATTR_SCHEM_MODE.0..ENABLE_PROFILING).contains(&id.0),
        };
        if !in_range {
            return Err(wrong(format_args!(
                "attribute {} of a launch is unknown, or its value {first} is out of range",
                attribute.id.0
            )));
        }
    }
    Ok(attributes.to_vec())
}

/// The arguments that an array points to, each at its place.
fn gather(array: *const *mut c_void, parameters: &[Parameter]) -> Result<Vec<u8>, aclError> {
    let end = parameters.last().map_or(0, |last| last.offset + last.size);
    let mut bytes = vec![0; end];
    for (index, parameter) in parameters.iter().enumerate() {
        // SAFETY: [caller] the caller passes one pointer for each parameter.
        let from = unsafe { array.add(index).read() };
        required(from, "a pointer in args")?;
        // SAFETY: [caller] not NULL, and the caller passes as many bytes as the parameter has, for which there is room.
        unsafe {
            ptr::copy_nonoverlapping(
                from.cast::<u8>(),
                bytes[parameter.offset..].as_mut_ptr(),
                parameter.size,
            );
        }
    }
    Ok(bytes)
}
