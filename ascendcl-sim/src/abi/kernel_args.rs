//! Argument lists of kernels.

use core::ffi::c_void;

use ascendcl_sys::{aclError, aclrtArgsHandle, aclrtFuncHandle, aclrtParamHandle};

use super::{functions, invalid, not_null};
use crate::core::current_context;
use crate::kernel::args::{self, find, find_param};
use crate::kernel::binary::find_function;

functions! {
    status fn aclrtKernelArgsInit(funcHandle: aclrtFuncHandle, argsHandle: *mut aclrtArgsHandle) {
        not_null(funcHandle, "funcHandle")?;
        not_null(argsHandle, "argsHandle")?;
        let handle = args::init(find_function(funcHandle)?)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { argsHandle.write(handle) };
        Ok(())
    }

    status fn aclrtKernelArgsInitByUserMem(
        funcHandle: aclrtFuncHandle, argsHandle: aclrtArgsHandle, userHostMem: *mut c_void, actualArgsSize: usize,
    ) {
        not_null(funcHandle, "funcHandle")?;
        not_null(argsHandle, "argsHandle")?;
        not_null(userHostMem, "userHostMem")?;
        positive(actualArgsSize, "actualArgsSize")?;
        args::init_by_user(find_function(funcHandle)?, argsHandle, userHostMem, actualArgsSize);
        Ok(())
    }

    status fn aclrtKernelArgsGetMemSize(funcHandle: aclrtFuncHandle, userArgsSize: usize, actualArgsSize: *mut usize) {
        not_null(funcHandle, "funcHandle")?;
        not_null(actualArgsSize, "actualArgsSize")?;
        let size = args::memory_size(&*find_function(funcHandle)?, userArgsSize);
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { actualArgsSize.write(size) };
        Ok(())
    }

    status fn aclrtKernelArgsGetHandleMemSize(funcHandle: aclrtFuncHandle, memSize: *mut usize) {
        not_null(funcHandle, "funcHandle")?;
        not_null(memSize, "memSize")?;
        let size = args::handle_size(&*find_function(funcHandle)?);
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { memSize.write(size) };
        Ok(())
    }

    status fn aclrtKernelArgsAppend(
        argsHandle: aclrtArgsHandle, param: *mut c_void, paramSize: usize, paramHandle: *mut aclrtParamHandle,
    ) {
        not_null(argsHandle, "argsHandle")?;
        not_null(param, "param")?;
        positive(paramSize, "paramSize")?;
        not_null(paramHandle, "paramHandle")?;
        // SAFETY: [caller] not NULL, and the caller passes a parameter of this size.
        let handle = unsafe { find(argsHandle)?.append(param, paramSize)? };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { paramHandle.write(handle) };
        Ok(())
    }

    status fn aclrtKernelArgsAppendPlaceHolder(argsHandle: aclrtArgsHandle, paramHandle: *mut aclrtParamHandle) {
        not_null(argsHandle, "argsHandle")?;
        not_null(paramHandle, "paramHandle")?;
        let handle = find(argsHandle)?.append_placeholder()?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { paramHandle.write(handle) };
        Ok(())
    }

    status fn aclrtKernelArgsGetPlaceHolderBuffer(
        argsHandle: aclrtArgsHandle, paramHandle: aclrtParamHandle, dataSize: usize, bufferAddr: *mut *mut c_void,
    ) {
        not_null(argsHandle, "argsHandle")?;
        not_null(paramHandle, "paramHandle")?;
        positive(dataSize, "dataSize")?;
        not_null(bufferAddr, "bufferAddr")?;
        let list = find(argsHandle)?;
        let buffer = list.placeholder_buffer(&*find_param(paramHandle)?, dataSize)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { bufferAddr.write(buffer) };
        Ok(())
    }

    status fn aclrtKernelArgsParaUpdate(
        argsHandle: aclrtArgsHandle, paramHandle: aclrtParamHandle, param: *mut c_void, paramSize: usize,
    ) {
        not_null(argsHandle, "argsHandle")?;
        not_null(paramHandle, "paramHandle")?;
        not_null(param, "param")?;
        positive(paramSize, "paramSize")?;
        let list = find(argsHandle)?;
        // SAFETY: [caller] not NULL, and the caller passes a parameter of this size.
        unsafe { list.update(&*find_param(paramHandle)?, param, paramSize) }
    }

    status fn aclrtKernelArgsFinalize(argsHandle: aclrtArgsHandle) {
        not_null(argsHandle, "argsHandle")?;
        let list = find(argsHandle)?;
        current_context()?;
        list.finalize();
        Ok(())
    }
}

fn positive(size: usize, name: &str) -> Result<(), aclError> {
    if size == 0 { Err(invalid(format_args!("{name} must not be 0"))) } else { Ok(()) }
}
