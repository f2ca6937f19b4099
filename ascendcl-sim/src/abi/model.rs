//! `acl_mdl.h`, and the data buffers of `acl_base.h`: models, their descriptions, datasets.
//!
//! Getters that answer with a value have no way to say what is wrong: a bad index or handle gives 0, NULL, "" or *undefined*, as in the
//! real library, and no text.

use core::ffi::{CStr, c_char, c_void};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::{ptr, slice};

use ascendcl_sys::{
    self as sys, AclApi, aclDataBuffer, aclDataType, aclError, aclFormat, aclmdlDataset, aclmdlDesc,
    aclmdlIODims, aclrtStream,
};

use super::{call, call_or, invalid, not_null};
use crate::error::fail;
use crate::memory::{Location, classify};
use crate::model::desc::{self, Side};
use crate::model::describe::{Description, prepare, read_file};
use crate::model::{dataset, execute, registry};

type Done = Result<(), aclError>;

/// Defines the C functions and `fill`, which puts them into a table. `status` functions answer with a status code; `value(v)`
/// functions with a value, and with `v` where they must not or cannot answer.
macro_rules! functions {
    ($($form:ident $(($default:expr))? fn $name:ident($($arg:ident: $type:ty),*) $(-> $answer:ty)? $body:block)*) => {
        $(functions!{@ $form $(($default))? fn $name($($arg: $type),*) $(-> $answer)? $body})*

        /// Puts the functions of this file into a table.
        pub(crate) fn fill(api: &mut AclApi) {
            $(api.$name = Some($name);)*
        }
    };
    (@ status fn $name:ident($($arg:ident: $type:ty),*) $body:block) => {
        #[cfg_attr(feature = "export", unsafe(no_mangle))]
        unsafe extern "C" fn $name($($arg: $type),*) -> aclError {
            call!(stringify!($name), move || -> Done { $body })
        }
    };
    (@ value($default:expr) fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty $body:block) => {
        #[cfg_attr(feature = "export", unsafe(no_mangle))]
        unsafe extern "C" fn $name($($arg: $type),*) -> $answer {
            call_or!(stringify!($name), |_| $default, move || -> $answer { $body })
        }
    };
}

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

    // --- Load, unload, sizes

    status fn aclmdlLoadFromFile(modelPath: *const c_char, modelId: *mut u32) {
        let file = path(modelPath, "modelPath")?;
        let id = out(modelId, "modelId")?;
        put(id, registry::load(&read_file(file)?)?);
        Ok(())
    }

    status fn aclmdlLoadFromMem(model: *const c_void, modelSize: usize, modelId: *mut u32) {
        let file = bytes(model, modelSize)?;
        let id = out(modelId, "modelId")?;
        put(id, registry::load(file)?);
        Ok(())
    }

    status fn aclmdlUnload(modelId: u32) {
        registry::unload(modelId)
    }

    status fn aclmdlQuerySize(fileName: *const c_char, workSize: *mut usize, weightSize: *mut usize) {
        let file = path(fileName, "fileName")?;
        let (work, weight) = (out(workSize, "workSize")?, out(weightSize, "weightSize")?);
        sizes(&prepare(&read_file(file)?)?.0, work, weight);
        Ok(())
    }

    status fn aclmdlQuerySizeFromMem(
        model: *const c_void, modelSize: usize, workSize: *mut usize, weightSize: *mut usize
    ) {
        let file = bytes(model, modelSize)?;
        let (work, weight) = (out(workSize, "workSize")?, out(weightSize, "weightSize")?);
        sizes(&prepare(file)?.0, work, weight);
        Ok(())
    }

    // --- Descriptions

    value(ptr::null_mut()) fn aclmdlCreateDesc() -> *mut aclmdlDesc {
        desc::create()
    }

    status fn aclmdlDestroyDesc(modelDesc: *mut aclmdlDesc) {
        desc::destroy(modelDesc)
    }

    status fn aclmdlGetDesc(modelDesc: *mut aclmdlDesc, modelId: u32) {
        let desc = desc::find(modelDesc)?;
        let model = registry::find(modelId)?;
        desc.fill(model.id(), model.description().clone());
        Ok(())
    }

    status fn aclmdlGetDescFromFile(modelDesc: *mut aclmdlDesc, modelPath: *const c_char) {
        let desc = desc::find(modelDesc)?;
        let file = path(modelPath, "modelPath")?;
        desc.fill(0, prepare(&read_file(file)?)?.0.into());
        Ok(())
    }

    status fn aclmdlGetDescFromMem(modelDesc: *mut aclmdlDesc, model: *const c_void, modelSize: usize) {
        let desc = desc::find(modelDesc)?;
        desc.fill(0, prepare(bytes(model, modelSize)?)?.0.into());
        Ok(())
    }

    value(0) fn aclmdlGetNumInputs(modelDesc: *mut aclmdlDesc) -> usize {
        desc::peek(modelDesc).map_or(0, |desc| desc.len(Side::Input))
    }

    value(0) fn aclmdlGetNumOutputs(modelDesc: *mut aclmdlDesc) -> usize {
        desc::peek(modelDesc).map_or(0, |desc| desc.len(Side::Output))
    }

    value(0) fn aclmdlGetInputSizeByIndex(modelDesc: *mut aclmdlDesc, index: usize) -> usize {
        size(modelDesc, Side::Input, index)
    }

    value(0) fn aclmdlGetOutputSizeByIndex(modelDesc: *mut aclmdlDesc, index: usize) -> usize {
        size(modelDesc, Side::Output, index)
    }

    status fn aclmdlGetInputDims(modelDesc: *const aclmdlDesc, index: usize, dims: *mut aclmdlIODims) {
        read_dims(modelDesc, Side::Input, index, dims)
    }

    // The view after static AIPP, which ONNX models do not have.
    status fn aclmdlGetInputDimsV2(modelDesc: *const aclmdlDesc, index: usize, dims: *mut aclmdlIODims) {
        read_dims(modelDesc, Side::Input, index, dims)
    }

    status fn aclmdlGetOutputDims(modelDesc: *const aclmdlDesc, index: usize, dims: *mut aclmdlIODims) {
        read_dims(modelDesc, Side::Output, index, dims)
    }

    // The dimensions of the gear that was set; of static models the static ones.
    status fn aclmdlGetCurOutputDims(modelDesc: *const aclmdlDesc, index: usize, dims: *mut aclmdlIODims) {
        read_dims(modelDesc, Side::Output, index, dims)
    }

    value(c"".as_ptr()) fn aclmdlGetInputNameByIndex(modelDesc: *const aclmdlDesc, index: usize) -> *const c_char {
        desc::peek(modelDesc).and_then(|desc| desc.name(Side::Input, index)).unwrap_or(c"".as_ptr())
    }

    value(c"".as_ptr()) fn aclmdlGetOutputNameByIndex(modelDesc: *const aclmdlDesc, index: usize) -> *const c_char {
        desc::peek(modelDesc).and_then(|desc| desc.name(Side::Output, index)).unwrap_or(c"".as_ptr())
    }

    status fn aclmdlGetInputIndexByName(modelDesc: *const aclmdlDesc, name: *const c_char, index: *mut usize) {
        index_by_name(modelDesc, Side::Input, name, index)
    }

    status fn aclmdlGetOutputIndexByName(modelDesc: *const aclmdlDesc, name: *const c_char, index: *mut usize) {
        index_by_name(modelDesc, Side::Output, name, index)
    }

    value(ptr::null()) fn aclmdlGetTensorRealName(modelDesc: *const aclmdlDesc, name: *const c_char) -> *const c_char {
        let name = string(name, "name").ok();
        name.and_then(|name| desc::peek(modelDesc)?.real_name(name)).unwrap_or(ptr::null())
    }

    value(sys::ACL_FORMAT_UNDEFINED) fn aclmdlGetInputFormat(modelDesc: *const aclmdlDesc, index: usize) -> aclFormat {
        format(modelDesc, Side::Input, index)
    }

    value(sys::ACL_FORMAT_UNDEFINED) fn aclmdlGetOutputFormat(modelDesc: *const aclmdlDesc, index: usize) -> aclFormat {
        format(modelDesc, Side::Output, index)
    }

    value(sys::ACL_DT_UNDEFINED) fn aclmdlGetInputDataType(modelDesc: *const aclmdlDesc, index: usize) -> aclDataType {
        data_type(modelDesc, Side::Input, index)
    }

    value(sys::ACL_DT_UNDEFINED) fn aclmdlGetOutputDataType(modelDesc: *const aclmdlDesc, index: usize) -> aclDataType {
        data_type(modelDesc, Side::Output, index)
    }

    // --- Execution

    status fn aclmdlExecute(modelId: u32, input: *const aclmdlDataset, output: *mut aclmdlDataset) {
        not_null(input, "input")?;
        not_null(output, "output")?;
        execute::execute(modelId, input, output)
    }

    status fn aclmdlExecuteAsync(
        modelId: u32, input: *const aclmdlDataset, output: *mut aclmdlDataset, stream: aclrtStream
    ) {
        not_null(input, "input")?;
        not_null(output, "output")?;
        execute::execute_async(modelId, input, output, stream)
    }
}

/// A place for an answer, checked before any work is done.
fn out<T>(pointer: *mut T, name: &str) -> Result<*mut T, aclError> {
    not_null(pointer, name)?;
    Ok(pointer)
}

/// Writes an answer.
fn put<T>(place: *mut T, value: T) {
    // SAFETY: `out` saw that it is not NULL; that it points to a writable value of its type is the C caller's contract.
    unsafe { place.write(value) };
}

fn string<'a>(pointer: *const c_char, name: &str) -> Result<&'a CStr, aclError> {
    not_null(pointer, name)?;
    // SAFETY: not NULL; a C string that lives until the call returns is the C caller's contract. Callers do not keep it.
    Ok(unsafe { CStr::from_ptr(pointer) })
}

fn path<'a>(pointer: *const c_char, name: &str) -> Result<&'a Path, aclError> {
    Ok(Path::new(OsStr::from_bytes(string(pointer, name)?.to_bytes())))
}

/// A model file in host memory.
fn bytes<'a>(model: *const c_void, size: usize) -> Result<&'a [u8], aclError> {
    not_null(model, "model")?;
    if size == 0 {
        return Err(invalid("modelSize must not be 0"));
    }
    if isize::try_from(size).is_err() {
        let text = format_args!("a model of {size} bytes does not exist");
        return Err(fail(sys::ACL_ERROR_GE_EXEC_MODEL_DATA_SIZE_INVALID, text));
    }
    if let Location::Device(device) = classify(model) {
        return Err(fail(
            sys::ACL_ERROR_GE_EXEC_MODEL_ADDR_INVALID,
            format_args!("model {model:p} is memory of device {device}; a model is loaded from host memory"),
        ));
    }
    // SAFETY: not NULL, no device memory, not longer than an object can be; that `size` bytes are readable until the call returns is
    // the C caller's contract. Callers do not keep it.
    Ok(unsafe { slice::from_raw_parts(model.cast(), size) })
}

fn sizes(description: &Description, work: *mut usize, weight: *mut usize) {
    put(work, description.work_size);
    put(weight, description.weight_size);
}

fn size(handle: *const aclmdlDesc, side: Side, index: usize) -> usize {
    desc::peek(handle).and_then(|desc| desc.tensor(side, index, |tensor| tensor.size)).unwrap_or(0)
}

fn format(handle: *const aclmdlDesc, side: Side, index: usize) -> aclFormat {
    let desc = desc::peek(handle);
    desc.and_then(|desc| desc.tensor(side, index, |tensor| tensor.format()))
        .unwrap_or(sys::ACL_FORMAT_UNDEFINED)
}

fn data_type(handle: *const aclmdlDesc, side: Side, index: usize) -> aclDataType {
    let desc = desc::peek(handle);
    desc.and_then(|desc| desc.tensor(side, index, |tensor| tensor.element.acl()))
        .unwrap_or(sys::ACL_DT_UNDEFINED)
}

fn read_dims(handle: *const aclmdlDesc, side: Side, index: usize, dims: *mut aclmdlIODims) -> Done {
    let desc = desc::find(handle)?;
    let dims = out(dims, "dims")?;
    put(dims, desc.dims(side, index)?);
    Ok(())
}

fn index_by_name(handle: *const aclmdlDesc, side: Side, name: *const c_char, index: *mut usize) -> Done {
    let desc = desc::find(handle)?;
    let name = string(name, "name")?;
    let index = out(index, "index")?;
    put(index, desc.index_of(side, name)?);
    Ok(())
}
