//! Kernel binaries and the functions in them.

use core::ffi::{CStr, c_char, c_void};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{ptr, slice};

use ascendcl_sys::{
    self as sys, aclError, aclrtBinHandle, aclrtBinary, aclrtBinaryLoadOptions, aclrtFuncAttribute,
    aclrtFuncHandle, aclrtOpExceptionCallback,
};

use super::{functions, invalid, not_null};
use crate::core::{current_context, json};
use crate::error::fail;
use crate::kernel::binary::{self, Function, Options, find, find_function};
use crate::kernel::host::Parameter;

/// What a binary is looked at for.
const HEAD: usize = 64;
/// Values of the option for CPU kernels.
const CPU_JSON: i32 = 0;
const CPU_FILE: i32 = 1;
const CPU_DATA: i32 = 2;

functions! {
    value(ptr::null_mut()) fn aclrtCreateBinary(data: *const c_void, dataLen: usize) -> aclrtBinary {
        if not_null(data, "data").is_err() {
            return ptr::null_mut();
        }
        binary::describe(data, dataLen)
    }

    status fn aclrtDestroyBinary(binary: aclrtBinary) {
        not_null(binary, "binary")?;
        binary::forget(binary)
    }

    status fn aclrtBinaryLoad(binary: aclrtBinary, binHandle: *mut aclrtBinHandle) {
        not_null(binary, "binary")?;
        not_null(binHandle, "binHandle")?;
        let (data, length) = binary::described(binary)?;
        no_zero(length, "the length of the binary")?;
        let context = current_context()?;
        let options = Options { legacy: true, ..Options::default() };
        let handle = binary::load(&head(ptr::with_exposed_provenance(data), length), length, options)?;
        find(handle)?.copy_to(context.device());
        put(binHandle, handle);
        Ok(())
    }

    status fn aclrtBinaryUnLoad(binHandle: aclrtBinHandle) {
        not_null(binHandle, "binHandle")?;
        binary::unload(binHandle)
    }

    status fn aclrtBinaryLoadFromFile(
        binPath: *const c_char, options: *mut aclrtBinaryLoadOptions, binHandle: *mut aclrtBinHandle,
    ) {
        not_null(binPath, "binPath")?;
        not_null(binHandle, "binHandle")?;
        let (options, mode) = parse_options(options, true)?;
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(binPath) }.to_bytes()));
        let (head, size) = match mode {
            Some(mode) => cpu_file(path, mode)?,
            None => file_head(path)?,
        };
        put(binHandle, binary::load(&head, size, options)?);
        Ok(())
    }

    status fn aclrtBinaryLoadFromData(
        data: *const c_void, length: usize, options: *const aclrtBinaryLoadOptions, binHandle: *mut aclrtBinHandle,
    ) {
        not_null(data, "data")?;
        not_null(binHandle, "binHandle")?;
        no_zero(length, "length")?;
        let (options, _) = parse_options(options, false)?;
        put(binHandle, binary::load(&head(data, length), length, options)?);
        Ok(())
    }

    status fn aclrtBinaryGetFunction(
        binHandle: aclrtBinHandle, kernelName: *const c_char, funcHandle: *mut aclrtFuncHandle,
    ) {
        not_null(binHandle, "binHandle")?;
        not_null(kernelName, "kernelName")?;
        not_null(funcHandle, "funcHandle")?;
        let binary = find(binHandle)?;
        put(funcHandle, ptr::null_mut());
        put(funcHandle, binary::function_by_name(&binary, &text(kernelName))?);
        Ok(())
    }

    // Reserved. The numbers that it looks for are in the metadata of a binary, which is not read here.
    status fn aclrtBinaryGetFunctionByEntry(
        binHandle: aclrtBinHandle, funcEntry: u64, funcHandle: *mut aclrtFuncHandle,
    ) {
        not_null(binHandle, "binHandle")?;
        not_null(funcHandle, "funcHandle")?;
        no_cpu(find(binHandle)?.is_cpu())?;
        put(funcHandle, ptr::null_mut());
        Err(wrong(format_args!("the binary has no kernel with the entry {funcEntry}")))
    }

    status fn aclrtBinaryGetDevAddress(binHandle: aclrtBinHandle, binAddr: *mut *mut c_void, binSize: *mut usize) {
        not_null(binHandle, "binHandle")?;
        let binary = find(binHandle)?;
        required(binAddr, "binAddr")?;
        required(binSize, "binSize")?;
        let context = current_context()?;
        let address = if binary.is_lazy() { ptr::null_mut() } else { binary.image(context.device())? };
        put(binAddr, address);
        put(binSize, binary.size());
        Ok(())
    }

    status fn aclrtBinaryGetGlobal(
        binHandle: aclrtBinHandle, name: *const c_char, dptr: *mut *mut c_void, size: *mut usize,
    ) {
        not_null(binHandle, "binHandle")?;
        not_null(name, "name")?;
        if dptr.is_null() && size.is_null() {
            return Err(invalid("dptr and size must not both be NULL"));
        }
        if find(binHandle)?.is_cpu() {
            return Err(fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "binaries for the CPU have no global variables"));
        }
        current_context()?;
        let name = text(name);
        Err(fail(
            sys::ACL_ERROR_RT_SYMBOL_NOT_FOUND,
            format_args!("kernels are not executed, and their global variables are not known: '{name}'"),
        ))
    }

    status fn aclrtBinarySetExceptionCallback(
        binHandle: aclrtBinHandle, callback: aclrtOpExceptionCallback, userData: *mut c_void,
    ) {
        not_null(binHandle, "binHandle")?;
        let Some(callback) = binary::exception_callback(callback, userData) else {
            return Err(invalid("callback must not be NULL"));
        };
        find(binHandle)?.set_exception_callback(callback);
        Ok(())
    }

    status fn aclrtGetFuncBySymbol(symbol: *const c_void, funcHandle: *mut aclrtFuncHandle) {
        not_null(symbol, "symbol")?;
        not_null(funcHandle, "funcHandle")?;
        current_context()?;
        Err(fail(
            sys::ACL_ERROR_RT_INVALID_DEVICE_FUNCTION,
            format_args!("{symbol:p} is no symbol of a kernel: only what the kernel compiler makes registers some"),
        ))
    }

    status fn aclrtGetFunctionAddr(funcHandle: aclrtFuncHandle, aicAddr: *mut *mut c_void, aivAddr: *mut *mut c_void) {
        not_null(funcHandle, "funcHandle")?;
        not_null(aicAddr, "aicAddr")?;
        not_null(aivAddr, "aivAddr")?;
        let function = find_function(funcHandle)?;
        no_cpu(function.is_cpu())?;
        let address = current_context().and_then(|context| function.address(context.device()));
        put(aicAddr, address.unwrap_or(ptr::null_mut()));
        put(aivAddr, ptr::null_mut());
        address.map(drop)
    }

    status fn aclrtGetFunctionSize(funcHandle: aclrtFuncHandle, aicSize: *mut usize, aivSize: *mut usize) {
        let function = nullable_function(funcHandle)?;
        required(aicSize, "aicSize")?;
        required(aivSize, "aivSize")?;
        no_cpu(function.is_cpu())?;
        put(aicSize, function.binary().map_or(0, |binary| binary.size()));
        put(aivSize, 0);
        Ok(())
    }

    status fn aclrtGetFunctionName(funcHandle: aclrtFuncHandle, maxLen: u32, name: *mut c_char) {
        not_null(name, "name")?;
        let function = nullable_function(funcHandle)?;
        let bytes = function.name().as_bytes();
        if (maxLen as usize) <= bytes.len() {
            return Err(wrong(format_args!("maxLen {maxLen}, but the name and its zero have {} bytes", bytes.len() + 1)));
        }
        // SAFETY: [caller] not NULL, and the caller passes room for `maxLen` bytes, which is enough.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr().cast(), name, bytes.len());
            name.add(bytes.len()).write(0);
        }
        Ok(())
    }

    status fn aclrtGetFunctionAttribute(funcHandle: aclrtFuncHandle, attrType: aclrtFuncAttribute, attrValue: *mut i64) {
        not_null(funcHandle, "funcHandle")?;
        not_null(attrValue, "attrValue")?;
        let function = find_function(funcHandle)?;
        let value = match attrType {
            sys::ACL_FUNC_ATTR_KERNEL_TYPE if function.is_cpu() => i64::from(sys::ACL_KERNEL_TYPE_AICPU.0),
            sys::ACL_FUNC_ATTR_KERNEL_TYPE => i64::from(sys::ACL_KERNEL_TYPE_AICORE.0),
            sys::ACL_FUNC_ATTR_KERNEL_RATIO => {
                no_cpu(function.is_cpu())?;
                // Not one of those that need both kinds of cores.
                0
            }
            // The normal mode.
            sys::ACL_FUNC_ATTR_KERNEL_SCHED_MODE => 0,
            _ => return Err(wrong(format_args!("attribute {} of a function is unknown", attrType.0))),
        };
        put(attrValue, value);
        Ok(())
    }

    status fn aclrtFunctionGetBinary(funcHandle: aclrtFuncHandle, binHandle: *mut aclrtBinHandle) {
        let function = nullable_function(funcHandle)?;
        required(binHandle, "binHandle")?;
        put(binHandle, function.binary().map_or(ptr::null_mut(), |binary| binary.handle()));
        Ok(())
    }

    status fn aclrtFunctionGetParamCount(func: *const c_void, paramCount: *mut usize) {
        not_null(func, "func")?;
        not_null(paramCount, "paramCount")?;
        put(paramCount, parameters(&*find_function(func.cast_mut())?)?.len());
        Ok(())
    }

    status fn aclrtFunctionGetParamInfo(
        func: *const c_void, paramIndex: usize, paramOffset: *mut usize, paramSize: *mut usize,
    ) {
        not_null(func, "func")?;
        if paramOffset.is_null() && paramSize.is_null() {
            return Err(invalid("paramOffset and paramSize must not both be NULL"));
        }
        let parameters = parameters(&*find_function(func.cast_mut())?)?;
        let Some(parameter) = parameters.get(paramIndex) else {
            return Err(wrong(format_args!("paramIndex {paramIndex}, but there are {} parameters", parameters.len())));
        };
        if !paramOffset.is_null() {
            put(paramOffset, parameter.offset);
        }
        if !paramSize.is_null() {
            put(paramSize, parameter.size);
        }
        Ok(())
    }

    status fn aclrtFunctionGetAvailDynUbufPerBlock(func: *mut c_void, flags: u32, dynamicUbufSize: *mut usize) {
        not_null(func, "func")?;
        not_null(dynamicUbufSize, "dynamicUbufSize")?;
        if flags != 0 {
            return Err(invalid(format_args!("flags {flags} are not 0")));
        }
        find_function(func)?;
        // Only kernels of many threads have any.
        put(dynamicUbufSize, 0);
        Ok(())
    }

    status fn aclrtRegisterCpuFunc(
        handle: aclrtBinHandle, funcName: *const c_char, kernelName: *const c_char, funcHandle: *mut aclrtFuncHandle,
    ) {
        not_null(handle, "handle")?;
        not_null(funcName, "funcName")?;
        not_null(kernelName, "kernelName")?;
        not_null(funcHandle, "funcHandle")?;
        let binary = find(handle)?;
        put(funcHandle, ptr::null_mut());
        if !binary.is_cpu() {
            return Err(wrong("the binary was not loaded as one of CPU kernels"));
        }
        put(funcHandle, binary::register_cpu(&binary, &text(funcName), &text(kernelName))?);
        Ok(())
    }

    status fn aclrtGetHardwareSyncAddr(addr: *mut *mut c_void) {
        required(addr, "addr")?;
        current_context()?;
        Err(fail(
            sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
            "cores of different kinds do not run here, and have no address to meet at",
        ))
    }
}

fn put<T>(place: *mut T, value: T) {
    // SAFETY: [caller] checked to be no NULL, and the caller of the C function passes a place to write to.
    unsafe { place.write(value) };
}

fn text(string: *const c_char) -> String {
    // SAFETY: [caller] checked to be no NULL, and the caller of the C function passes a C string.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}

fn wrong(text: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, text)
}

/// 107000 if `pointer` is NULL: what the layer below the argument checks notices.
fn required<T>(pointer: *const T, name: &str) -> Result<(), aclError> {
    if pointer.is_null() { Err(wrong(format_args!("{name} must not be NULL"))) } else { Ok(()) }
}

fn no_zero(size: usize, name: &str) -> Result<(), aclError> {
    if size == 0 { Err(wrong(format_args!("{name} must not be 0"))) } else { Ok(()) }
}

fn no_cpu(is_cpu: bool) -> Result<(), aclError> {
    if is_cpu { Err(wrong("this is not known of kernels for the CPU")) } else { Ok(()) }
}

/// The function behind a handle: 107000 for NULL, 107017 if there is none.
fn nullable_function(handle: aclrtFuncHandle) -> Result<std::sync::Arc<Function>, aclError> {
    required(handle, "funcHandle")?;
    find_function(handle)
}

/// What is known of the parameters: 207000 for kernels of the CPU, 107000 if nothing is.
fn parameters(function: &Function) -> Result<std::sync::Arc<[Parameter]>, aclError> {
    if function.is_cpu() {
        return Err(fail(
            sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
            "parameters of kernels for the CPU are not known",
        ));
    }
    function.host().and_then(|kernel| kernel.parameters()).ok_or_else(|| {
        let name = function.name();
        wrong(format_args!("the kernel '{name}' does not say what its parameters are"))
    })
}

/// The first bytes of a binary in memory.
fn head(data: *const c_void, length: usize) -> Vec<u8> {
    // SAFETY: [caller] the caller says that the binary is this long.
    unsafe { slice::from_raw_parts(data.cast::<u8>(), length.min(HEAD)) }.to_vec()
}

/// The first bytes of a file, and its size: 107000 if it cannot be read or is empty.
fn file_head(path: &Path) -> Result<(Vec<u8>, usize), aclError> {
    let read = || {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut head = Vec::new();
        file.take(HEAD as u64).read_to_end(&mut head)?;
        Ok((head, size as usize))
    };
    let (head, size) = read().map_err(|error: std::io::Error| {
        wrong(format_args!("the kernel binary {} cannot be read: {error}", path.display()))
    })?;
    no_zero(size.min(head.len()), "the length of the binary")?;
    Ok((head, size))
}

/// A file of CPU kernels: a library, which some modes do not read, and a description next to it.
fn cpu_file(path: &Path, mode: i32) -> Result<(Vec<u8>, usize), aclError> {
    let with = |extension: &str| -> PathBuf { path.with_extension(extension) };
    let library = (mode == CPU_FILE).then(|| file_head(&with("so"))).transpose()?;
    let description = with("json");
    let text = std::fs::read_to_string(&description).map_err(|error| error.to_string());
    let parsed = text.and_then(|text| json::parse(&text).map_err(|error| error.to_string()));
    parsed.map_err(|why| {
        wrong(format_args!("the description {} of kernels cannot be read: {why}", description.display()))
    })?;
    Ok(library.unwrap_or_default())
}

/// How a binary is to be loaded, and the mode of CPU kernels if it is one of them.
fn parse_options(
    options: *const aclrtBinaryLoadOptions,
    from_file: bool,
) -> Result<(Options, Option<i32>), aclError> {
    let mut parsed = (Options::default(), None);
    if options.is_null() {
        return Ok(parsed);
    }
    // SAFETY: [caller] not NULL, and the caller passes options.
    let options = unsafe { &*options };
    required(options.options, "options->options")?;
    // SAFETY: [caller] not NULL, and the caller passes as many options as it says.
    for option in unsafe { slice::from_raw_parts(options.options, options.numOpt) } {
        // SAFETY: [caller] all members of the union are numbers.
        let (lazy, magic, mode) =
            unsafe { (option.value.isLazyLoad, option.value.magic, option.value.cpuKernelMode) };
        match option.type_ {
            sys::ACL_RT_BINARY_LOAD_OPT_LAZY_LOAD if lazy <= 1 => parsed.0.lazy = lazy == 1,
            sys::ACL_RT_BINARY_LOAD_OPT_LAZY_LOAD => {
                return Err(wrong(format_args!("isLazyLoad {lazy} is neither 0 nor 1")));
            }
            sys::ACL_RT_BINARY_LOAD_OPT_MAGIC if from_file => {
                return Err(wrong(
                    "a file says itself for which cores it is: the option of the magic number is for data",
                ));
            }
            sys::ACL_RT_BINARY_LOAD_OPT_MAGIC => {
                let known = [
                    sys::ACL_RT_BINARY_MAGIC_ELF_AICORE,
                    sys::ACL_RT_BINARY_MAGIC_ELF_VECTOR_CORE,
                    sys::ACL_RT_BINARY_MAGIC_ELF_CUBE_CORE,
                ];
                if !known.contains(&magic) {
                    return Err(wrong(format_args!("the magic number {magic:#x} is unknown")));
                }
            }
            sys::ACL_RT_BINARY_LOAD_OPT_CPU_KERNEL_MODE => {
                let fits = if from_file { mode == CPU_JSON || mode == CPU_FILE } else { mode == CPU_DATA };
                if !fits {
                    let what = if from_file { "a file" } else { "data" };
                    return Err(wrong(format_args!(
                        "CPU kernels of {what} cannot be loaded with mode {mode}"
                    )));
                }
                parsed.0.cpu = true;
                parsed.1 = Some(mode);
            }
            other => return Err(wrong(format_args!("option {} is unknown", other.0))),
        }
    }
    Ok(parsed)
}
