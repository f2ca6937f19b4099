//! `acl_mdl.h`: datasets, loading, executing; and the data buffers of `acl_base.h`.
//!
//! Getters that answer with a value have no way to say what is wrong: a bad index or handle gives 0, NULL, "" or *undefined*, as in the
//! real library, and no text.

use core::ffi::{CStr, c_char, c_void};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::{ptr, slice};

use ascendcl_sys::{
    self as sys, aclDataBuffer, aclError, aclTensorDesc, aclmdlDataset, aclmdlExeOMDesc,
    aclmdlExecConfigHandle, aclrtStream,
};

use super::{functions, invalid, not_null};
use crate::core::current_context;
use crate::error::fail;
use crate::memory::{Location, classify};
use crate::model::prepare::{Asker, check_length, look_at, partition_sizes, prepare, read_file, sizes};
use crate::model::registry::{self, check_executor};
use crate::model::reserve::Provided;
use crate::model::{config, dataset, execute};

functions! {
    // --- Data buffers

    value(ptr::null_mut()) fn aclCreateDataBuffer(data: *mut c_void, size: usize) -> *mut aclDataBuffer {
        dataset::create_buffer(data, size)
    }

    status fn aclDestroyDataBuffer(dataBuffer: *const aclDataBuffer) {
        dataset::destroy_buffer(dataBuffer)
    }

    status fn aclUpdateDataBuffer(dataBuffer: *mut aclDataBuffer, data: *mut c_void, size: usize) {
        dataset::find_buffer(dataBuffer)?.update(data, size);
        Ok(())
    }

    value(ptr::null_mut()) fn aclGetDataBufferAddr(dataBuffer: *const aclDataBuffer) -> *mut c_void {
        dataset::peek_buffer(dataBuffer).map_or(ptr::null_mut(), |buffer| buffer.region().address)
    }

    // 32 bits are why it is deprecated: larger sizes lose their upper half.
    value(0) fn aclGetDataBufferSize(dataBuffer: *const aclDataBuffer) -> u32 {
        dataset::peek_buffer(dataBuffer).map_or(0, |buffer| buffer.region().size as u32)
    }

    value(0) fn aclGetDataBufferSizeV2(dataBuffer: *const aclDataBuffer) -> usize {
        dataset::peek_buffer(dataBuffer).map_or(0, |buffer| buffer.region().size)
    }

    // --- Datasets

    value(ptr::null_mut()) fn aclmdlCreateDataset() -> *mut aclmdlDataset {
        dataset::create()
    }

    status fn aclmdlDestroyDataset(dataset: *const aclmdlDataset) {
        dataset::destroy(dataset)
    }

    status fn aclmdlAddDatasetBuffer(dataset: *mut aclmdlDataset, dataBuffer: *mut aclDataBuffer) {
        dataset::add(dataset, dataBuffer)
    }

    value(0) fn aclmdlGetDatasetNumBuffers(dataset: *const aclmdlDataset) -> usize {
        dataset::len(dataset).unwrap_or(0)
    }

    value(ptr::null_mut()) fn aclmdlGetDatasetBuffer(dataset: *const aclmdlDataset, index: usize) -> *mut aclDataBuffer {
        dataset::buffer(dataset, index).unwrap_or(ptr::null_mut())
    }

    status fn aclmdlSetDatasetTensorDesc(dataset: *mut aclmdlDataset, tensorDesc: *mut aclTensorDesc, index: usize) {
        not_null(dataset, "dataset")?;
        dataset::set_desc(dataset, tensorDesc, index)
    }

    value(ptr::null_mut()) fn aclmdlGetDatasetTensorDesc(dataset: *const aclmdlDataset, index: usize) -> *mut aclTensorDesc {
        dataset::desc(dataset, index)
    }

    // --- Load, unload, sizes

    status fn aclmdlLoadFromFile(modelPath: *const c_char, modelId: *mut u32) {
        load_file(modelPath, modelId, &Provided::NOTHING)
    }

    status fn aclmdlLoadFromFileWithMem(
        modelPath: *const c_char, modelId: *mut u32, workPtr: *mut c_void, workSize: usize, weightPtr: *mut c_void,
        weightSize: usize,
    ) {
        load_file(modelPath, modelId, &provided(workPtr, workSize, weightPtr, weightSize))
    }

    status fn aclmdlLoadFromMem(model: *const c_void, modelSize: usize, modelId: *mut u32) {
        load_memory(model, modelSize, modelId, &Provided::NOTHING)
    }

    status fn aclmdlLoadFromMemWithMem(
        model: *const c_void, modelSize: usize, modelId: *mut u32, workPtr: *mut c_void, workSize: usize,
        weightPtr: *mut c_void, weightSize: usize,
    ) {
        load_memory(model, modelSize, modelId, &provided(workPtr, workSize, weightPtr, weightSize))
    }

    status fn aclmdlLoadFromFileWithQ(
        modelPath: *const c_char, modelId: *mut u32, inputQ: *const u32, inputQNum: usize, outputQ: *const u32,
        outputQNum: usize,
    ) {
        let file = path(modelPath, "modelPath")?;
        queues(inputQ.cast(), inputQNum, outputQ.cast(), outputQNum)?;
        out(modelId, "modelId")?;
        without_queues(&read_file(file)?)
    }

    status fn aclmdlLoadFromMemWithQ(
        model: *const c_void, modelSize: usize, modelId: *mut u32, inputQ: *const u32, inputQNum: usize,
        outputQ: *const u32, outputQNum: usize,
    ) {
        queues(inputQ.cast(), inputQNum, outputQ.cast(), outputQNum)?;
        not_null(model, "model")?;
        out(modelId, "modelId")?;
        without_queues(bytes(model, modelSize)?)
    }

    status fn aclmdlUnload(modelId: u32) {
        registry::unload(modelId)
    }

    status fn aclmdlQuerySize(fileName: *const c_char, workSize: *mut usize, weightSize: *mut usize) {
        let file = path(fileName, "fileName")?;
        let (work, weight) = (out(workSize, "workSize")?, out(weightSize, "weightSize")?);
        let file = read_file(file)?;
        check_executor()?;
        put_both((work, weight), sizes(&file)?);
        Ok(())
    }

    status fn aclmdlQuerySizeFromMem(
        model: *const c_void, modelSize: usize, workSize: *mut usize, weightSize: *mut usize,
    ) {
        let file = bytes(model, modelSize)?;
        let (work, weight) = (out(workSize, "workSize")?, out(weightSize, "weightSize")?);
        check_executor()?;
        put_both((work, weight), sizes(file)?);
        Ok(())
    }

    status fn aclmdlQueryExeOMDesc(fileName: *const c_char, mdlPartitionSize: *mut aclmdlExeOMDesc) {
        let file = path(fileName, "fileName")?;
        let place = out(mdlPartitionSize, "mdlPartitionSize")?;
        put(place, partition_sizes(&read_file(file)?)?);
        Ok(())
    }

    // Of tasks between cards, which models here do not have: the real function refuses in a process that only loads models, and does so
    // on chips too that are said not to have it.
    status fn aclRecoverAllHcclTasks(deviceId: i32) {
        let text = match current_context() {
            Ok(context) if context.device().id() == deviceId => "no model of this process was built online",
            _ => "deviceId is not the device of the current context",
        };
        Err(fail(sys::ACL_ERROR_GE_FAILURE, text))
    }

    // --- Execution

    status fn aclmdlExecute(modelId: u32, input: *const aclmdlDataset, output: *mut aclmdlDataset) {
        not_null(input, "input")?;
        not_null(output, "output")?;
        execute::execute(modelId, input, output)
    }

    status fn aclmdlExecuteAsync(
        modelId: u32, input: *const aclmdlDataset, output: *mut aclmdlDataset, stream: aclrtStream,
    ) {
        not_null(input, "input")?;
        not_null(output, "output")?;
        execute::execute_async(modelId, input, output, stream)
    }

    status fn aclmdlExecuteV2(
        modelId: u32, input: *const aclmdlDataset, output: *mut aclmdlDataset, stream: aclrtStream,
        handle: *const aclmdlExecConfigHandle,
    ) {
        not_null(handle, "handle")?;
        let config = config::get_exec(handle)?;
        not_null(input, "input")?;
        not_null(output, "output")?;
        if stream.is_null() {
            return execute::execute(modelId, input, output);
        }
        execute::execute_on(modelId, input, output, stream, config.stream_timeout)
    }

    status fn aclmdlExecuteAsyncV2(
        modelId: u32, input: *const aclmdlDataset, output: *mut aclmdlDataset, stream: aclrtStream,
        handle: *const aclmdlExecConfigHandle,
    ) {
        not_null(handle, "handle")?;
        config::get_exec(handle)?;
        not_null(input, "input")?;
        not_null(output, "output")?;
        execute::execute_async(modelId, input, output, stream)
    }
}

/// A place for an answer, checked before any work is done.
pub(super) fn out<T>(pointer: *mut T, name: &str) -> Result<*mut T, aclError> {
    not_null(pointer, name)?;
    Ok(pointer)
}

/// Writes an answer.
pub(super) fn put<T>(place: *mut T, value: T) {
    // SAFETY: [caller] `out` saw that it is not NULL; that it points to a writable value of its type is the C caller's contract.
    unsafe { place.write(value) };
}

/// Writes two answers.
pub(super) fn put_both<T>(places: (*mut T, *mut T), values: (T, T)) {
    put(places.0, values.0);
    put(places.1, values.1);
}

pub(super) fn string<'a>(pointer: *const c_char, name: &str) -> Result<&'a CStr, aclError> {
    not_null(pointer, name)?;
    // SAFETY: [caller] not NULL; a C string that lives until the call returns is the C caller's contract. Callers do not keep it.
    Ok(unsafe { CStr::from_ptr(pointer) })
}

/// The path of a model file. The real library looks what kind of file it is before it looks at any other argument.
pub(super) fn path<'a>(pointer: *const c_char, name: &str) -> Result<&'a Path, aclError> {
    let path = Path::new(OsStr::from_bytes(string(pointer, name)?.to_bytes()));
    look_at(path)?;
    Ok(path)
}

/// A model file in host memory.
pub(super) fn bytes<'a>(model: *const c_void, size: usize) -> Result<&'a [u8], aclError> {
    not_null(model, "model")?;
    if size == 0 {
        return Err(invalid("modelSize must not be 0"));
    }
    if isize::try_from(size).is_err() {
        let text = format!("a model of {size} bytes does not exist");
        return Err(fail(sys::ACL_ERROR_GE_EXEC_MODEL_DATA_SIZE_INVALID, text));
    }
    check_length(size)?;
    if let Location::Device(device) = classify(model) {
        return Err(fail(
            sys::ACL_ERROR_GE_EXEC_MODEL_ADDR_INVALID,
            format_args!("model {model:p} is memory of device {device}; a model is loaded from host memory"),
        ));
    }
    // SAFETY: [caller] not NULL, no device memory, not longer than an object can be; that `size` bytes are readable until the call returns is
    // the C caller's contract. Callers do not keep it.
    Ok(unsafe { slice::from_raw_parts(model.cast(), size) })
}

/// Memory that the program provides.
pub(super) fn provided(
    work: *mut c_void,
    work_size: usize,
    weight: *mut c_void,
    weight_size: usize,
) -> Provided {
    Provided { work, work_size, weight, weight_size }
}

fn load_file(modelPath: *const c_char, modelId: *mut u32, provided: &Provided) -> Result<(), aclError> {
    let file = path(modelPath, "modelPath")?;
    let id = out(modelId, "modelId")?;
    let file = read_file(file)?;
    check_executor()?;
    put(id, registry::load(prepare(&file, Asker::LoadFile)?, provided, None)?);
    Ok(())
}

fn load_memory(
    model: *const c_void,
    size: usize,
    modelId: *mut u32,
    provided: &Provided,
) -> Result<(), aclError> {
    let file = bytes(model, size)?;
    let id = out(modelId, "modelId")?;
    check_executor()?;
    put(id, registry::load(prepare(file, Asker::LoadMemory)?, provided, None)?);
    Ok(())
}

/// The queues of a model that takes its inputs from queues and puts its outputs into some.
pub(super) fn queues(
    input: *const c_void,
    inputs: usize,
    output: *const c_void,
    outputs: usize,
) -> Result<(), aclError> {
    not_null(input, "inputQ")?;
    not_null(output, "outputQ")?;
    if inputs == 0 || outputs == 0 {
        return Err(invalid("inputQNum and outputQNum must not be 0"));
    }
    Ok(())
}

/// Loading a model with queues: the file is checked all the same.
pub(super) fn without_queues(file: &[u8]) -> Result<(), aclError> {
    check_executor()?;
    prepare(file, Asker::LoadMemory)?;
    Err(fail(
        sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
        "models fed by queues run on the device's own processors, which the simulator does not have",
    ))
}
