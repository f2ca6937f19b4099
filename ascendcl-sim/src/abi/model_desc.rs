//! `acl_mdl.h`: descriptions of models.

use core::ffi::{c_char, c_void};
use std::ptr;

use ascendcl_sys::{
    self as sys, aclDataType, aclError, aclFormat, aclTensorDesc, aclmdlDesc, aclmdlIODims, aclmdlIODimsRange,
};

use super::model::{bytes, out, path, put, string};
use super::{functions, invalid, not_null};
use crate::error::fail;
use crate::model::desc::{self, View, fill_from_model};
use crate::model::prepare::{describe, read_file};
use crate::model::registry::{self, check_executor};
use crate::model::tensor::Side;

functions! {
    value(ptr::null_mut()) fn aclmdlCreateDesc() -> *mut aclmdlDesc {
        desc::create()
    }

    status fn aclmdlDestroyDesc(modelDesc: *mut aclmdlDesc) {
        desc::destroy(modelDesc)
    }

    status fn aclmdlGetDesc(modelDesc: *mut aclmdlDesc, modelId: u32) {
        fill_from_model(&*desc::find(modelDesc)?, modelId)
    }

    status fn aclmdlGetDescFromFile(modelDesc: *mut aclmdlDesc, modelPath: *const c_char) {
        let file = path(modelPath, "modelPath")?;
        let desc = desc::find(modelDesc)?;
        desc.clear();
        let file = read_file(file)?;
        check_executor()?;
        desc.fill(0, describe(&file)?.into());
        Ok(())
    }

    status fn aclmdlGetDescFromMem(modelDesc: *mut aclmdlDesc, model: *const c_void, modelSize: usize) {
        let file = bytes(model, modelSize)?;
        let desc = desc::find(modelDesc)?;
        desc.clear();
        desc.fill(0, describe(file)?.into());
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
        read_dims(modelDesc, (Side::Input, View::Model), index, dims)
    }

    status fn aclmdlGetInputDimsV2(modelDesc: *const aclmdlDesc, index: usize, dims: *mut aclmdlIODims) {
        read_dims(modelDesc, (Side::Input, View::Buffer), index, dims)
    }

    status fn aclmdlGetOutputDims(modelDesc: *const aclmdlDesc, index: usize, dims: *mut aclmdlIODims) {
        read_dims(modelDesc, (Side::Output, View::Model), index, dims)
    }

    status fn aclmdlGetInputDimsRange(
        modelDesc: *const aclmdlDesc, index: usize, dimsRange: *mut aclmdlIODimsRange,
    ) {
        let desc = desc::find(modelDesc)?;
        let place = out(dimsRange, "dimsRange")?;
        put(place, desc.ranges(index)?);
        Ok(())
    }

    // The dimensions of the gear that was set last; of other models the static ones.
    status fn aclmdlGetCurOutputDims(modelDesc: *const aclmdlDesc, index: usize, dims: *mut aclmdlIODims) {
        let desc = desc::find(modelDesc)?;
        let place = out(dims, "dims")?;
        put(place, current_output(&desc, index)?);
        Ok(())
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

    // The one attribute there is: which operators of the original model became this one. A model here is not fused, and what was not
    // saved is "".
    value(ptr::null()) fn aclmdlGetOpAttr(
        modelDesc: *mut aclmdlDesc, opName: *const c_char, attr: *const c_char,
    ) -> *const c_char {
        let (Some(desc), Ok(operator), Ok(attribute)) =
            (desc::peek(modelDesc), string(opName, "opName"), string(attr, "attr"))
        else {
            return ptr::null();
        };
        if attribute != sys::ACL_ATTR_NAME_DATA_DUMP_ORIGIN_OP_NAMES || registry::peek(desc.contents().0).is_none() {
            return ptr::null();
        }
        desc.keep_attribute(operator, c"")
    }

    // Of tasks that failed: models here run as one piece, and no operator is kept for later.
    status fn aclmdlCreateAndGetOpDesc(
        deviceId: u32, streamId: u32, taskId: u32, opName: *mut c_char, _opNameLen: usize,
        inputDesc: *mut *mut aclTensorDesc, numInputs: *mut usize, outputDesc: *mut *mut aclTensorDesc,
        numOutputs: *mut usize,
    ) {
        not_null(opName, "opName")?;
        not_null(inputDesc, "inputDesc")?;
        not_null(outputDesc, "outputDesc")?;
        not_null(numInputs, "numInputs")?;
        not_null(numOutputs, "numOutputs")?;
        let text = format!("no operator ran as task {taskId} of stream {streamId} on device {deviceId}");
        Err(fail(sys::ACL_ERROR_GE_FAILURE, text))
    }
}

fn size(handle: *const aclmdlDesc, side: Side, index: usize) -> usize {
    desc::peek(handle).and_then(|desc| desc.tensor(side, index, |tensor| tensor.largest_size())).unwrap_or(0)
}

fn format(handle: *const aclmdlDesc, side: Side, index: usize) -> aclFormat {
    let desc = desc::peek(handle);
    desc.and_then(|desc| desc.tensor(side, index, |tensor| tensor.format))
        .unwrap_or(sys::ACL_FORMAT_UNDEFINED)
}

fn data_type(handle: *const aclmdlDesc, side: Side, index: usize) -> aclDataType {
    let desc = desc::peek(handle);
    desc.and_then(|desc| desc.tensor(side, index, |tensor| tensor.data_type)).unwrap_or(sys::ACL_DT_UNDEFINED)
}

fn read_dims(
    handle: *const aclmdlDesc,
    (side, view): (Side, View),
    index: usize,
    dims: *mut aclmdlIODims,
) -> Result<(), aclError> {
    let desc = desc::find(handle)?;
    let dims = out(dims, "dims")?;
    put(dims, desc.dims(side, index, view)?);
    Ok(())
}

fn index_by_name(
    handle: *const aclmdlDesc,
    side: Side,
    name: *const c_char,
    index: *mut usize,
) -> Result<(), aclError> {
    let desc = desc::find(handle)?;
    let name = string(name, "name")?;
    let index = out(index, "index")?;
    put(index, desc.index_of(side, name)?);
    Ok(())
}

fn current_output(desc: &desc::Desc, index: usize) -> Result<aclmdlIODims, aclError> {
    let (id, description) = desc.contents();
    if description.dynamic && registry::peek(id).is_some() {
        return Err(fail(
            sys::ACL_ERROR_API_NOT_SUPPORT,
            "a model of dynamic shape tells the shapes of its outputs with each execution: see aclmdlGetDatasetTensorDesc",
        ));
    }
    let count = description.outputs.len();
    if index >= count {
        return Err(invalid(format_args!("Output {index} of a description with {count}")));
    }
    check_executor()?;
    let Some((kind, values)) = registry::find(id)?.gear() else {
        return desc.dims(Side::Output, index, View::Model);
    };
    let gear = description.gears.find(kind, &values);
    let shape = gear.and_then(|gear| description.output_in_gear(gear, index));
    let shape = shape.ok_or_else(|| {
        fail(
            sys::ACL_ERROR_FAILURE,
            format_args!("the model tells no shape of output {index} for the gear {values:?}"),
        )
    })?;
    Ok(desc.io_dims(Side::Output, index, shape))
}
