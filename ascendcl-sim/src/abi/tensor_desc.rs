//! `acl_base_mdl.h`: tensor descriptions.
//!
//! Getters that answer with a value give the one of an empty description for a bad handle, and leave a text.

use core::ffi::{CStr, c_char, c_int, c_void};
use std::{ptr, slice};

use ascendcl_sys::{self as sys, aclDataType, aclError, aclFormat, aclMemType, aclTensorDesc};

use super::{functions, invalid, not_null};
use crate::memory::{Location, classify};
use crate::model::format::transformed;
use crate::model::tensor_desc::{self, Contents, create, find};

functions! {
    value(ptr::null_mut()) fn aclCreateTensorDesc(
        dataType: aclDataType, numDims: c_int, dims: *const i64, format: aclFormat,
    ) -> *mut aclTensorDesc {
        if numDims < 0 {
            invalid(format_args!("numDims {numDims} is less than 0"));
            return ptr::null_mut();
        }
        if numDims > 0 && dims.is_null() {
            invalid(format_args!("dims is NULL, but numDims is {numDims}"));
            return ptr::null_mut();
        }
        create(dataType, dimensions(dims, numDims), format)
    }

    value(()) fn aclDestroyTensorDesc(desc: *const aclTensorDesc) {
        tensor_desc::destroy(desc);
    }

    status fn aclSetTensorShapeRange(desc: *mut aclTensorDesc, dimsCount: usize, dimsRange: *mut [i64; 2]) {
        not_null(desc, "desc")?;
        find(desc)?.lock().ranges = ranges(dimsRange, dimsCount, "dimsRange")?;
        Ok(())
    }

    status fn aclSetTensorValueRange(desc: *mut aclTensorDesc, valueCount: usize, valueRange: *mut [i64; 2]) {
        not_null(desc, "desc")?;
        find(desc)?;
        ranges(valueRange, valueCount, "valueRange").map(drop)
    }

    value(sys::ACL_DT_UNDEFINED) fn aclGetTensorDescType(desc: *const aclTensorDesc) -> aclDataType {
        read(desc, sys::ACL_DT_UNDEFINED, |desc| desc.element)
    }

    value(sys::ACL_FORMAT_UNDEFINED) fn aclGetTensorDescFormat(desc: *const aclTensorDesc) -> aclFormat {
        read(desc, sys::ACL_FORMAT_UNDEFINED, |desc| desc.format)
    }

    value(0) fn aclGetTensorDescElementCount(desc: *const aclTensorDesc) -> usize {
        read(desc, 0, Contents::count)
    }

    value(0) fn aclGetTensorDescSize(desc: *const aclTensorDesc) -> usize {
        read(desc, 0, |desc| desc.count().checked_mul(super::base::element_size(desc.element)).unwrap_or(0))
    }

    value(0) fn aclGetTensorDescNumDims(desc: *const aclTensorDesc) -> usize {
        read(desc, 0, Contents::rank)
    }

    status fn aclGetTensorDescDimRange(
        desc: *const aclTensorDesc, index: usize, dimRangeNum: usize, dimRange: *mut i64,
    ) {
        not_null(desc, "desc")?;
        not_null(dimRange, "dimRange")?;
        let desc = find(desc)?;
        let desc = desc.lock();
        let Some([low, high]) = desc.ranges.get(index).copied() else {
            let count = desc.ranges.len();
            return Err(invalid(format_args!("index {index} is out of range: {count} dimensions have a range")));
        };
        if dimRangeNum < 2 {
            return Err(invalid(format_args!("dimRangeNum {dimRangeNum} is less than 2")));
        }
        // SAFETY: [caller] not NULL, and the caller passes room for `dimRangeNum` values.
        unsafe {
            dimRange.write(low);
            dimRange.add(1).write(high);
        }
        Ok(())
    }

    value(-1) fn aclGetTensorDescDim(desc: *const aclTensorDesc, index: usize) -> i64 {
        if desc.is_null() {
            invalid("desc must not be NULL");
            return -1;
        }
        dimension(desc, index).unwrap_or(-1)
    }

    status fn aclGetTensorDescDimV2(desc: *const aclTensorDesc, index: usize, dimSize: *mut i64) {
        not_null(desc, "desc")?;
        not_null(dimSize, "dimSize")?;
        let size = dimension(desc, index)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { dimSize.write(size) };
        Ok(())
    }

    value(()) fn aclSetTensorDescName(desc: *mut aclTensorDesc, name: *const c_char) {
        if not_null(desc, "desc").is_ok() && let Ok(desc) = find(desc) {
            // SAFETY: [caller] the caller passes NULL or a C string.
            let name = if name.is_null() { c"" } else { unsafe { CStr::from_ptr(name) } };
            desc.lock().rename(name);
        }
    }

    value(c"".as_ptr()) fn aclGetTensorDescName(desc: *mut aclTensorDesc) -> *const c_char {
        if desc.is_null() {
            return c"".as_ptr();
        }
        find(desc).map_or(c"".as_ptr(), |desc| desc.lock().name())
    }

    status fn aclTransTensorDescFormat(
        srcDesc: *const aclTensorDesc, dstFormat: aclFormat, dstDesc: *mut *mut aclTensorDesc,
    ) {
        not_null(srcDesc, "srcDesc")?;
        not_null(dstDesc, "dstDesc")?;
        let source = find(srcDesc)?;
        let source = source.lock();
        let shape = transformed(source.format, &source.dims, source.element, dstFormat)?;
        // The new description has the new shape and, all the same, the old format.
        let made = create(source.element, shape, source.format);
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { dstDesc.write(made) };
        Ok(())
    }

    status fn aclSetTensorStorageFormat(desc: *mut aclTensorDesc, format: aclFormat) {
        storage_format(desc, format)
    }

    status fn aclSetTensorStorageShape(desc: *mut aclTensorDesc, numDims: c_int, dims: *const i64) {
        storage_shape(desc, numDims, dims)
    }

    status fn aclSetTensorFormat(desc: *mut aclTensorDesc, format: aclFormat) {
        storage_format(desc, format)
    }

    status fn aclSetTensorShape(desc: *mut aclTensorDesc, numDims: c_int, dims: *const i64) {
        storage_shape(desc, numDims, dims)
    }

    status fn aclSetTensorOriginFormat(desc: *mut aclTensorDesc, format: aclFormat) {
        if !desc.is_null() {
            find(desc)?.lock().format = format;
        }
        Ok(())
    }

    status fn aclSetTensorOriginShape(desc: *mut aclTensorDesc, numDims: c_int, dims: *const i64) {
        not_null(desc, "desc")?;
        not_null(dims, "dims")?;
        find(desc)?.lock().dims = dimensions(dims, numDims);
        Ok(())
    }

    value(ptr::null_mut()) fn aclGetTensorDescByIndex(desc: *mut aclTensorDesc, index: usize) -> *mut aclTensorDesc {
        if not_null(desc, "desc").is_err() {
            return ptr::null_mut();
        }
        tensor_desc::by_index(desc, index).unwrap_or(ptr::null_mut())
    }

    // Nothing in the interface gives a description an address.
    value(ptr::null_mut()) fn aclGetTensorDescAddress(desc: *const aclTensorDesc) -> *mut c_void {
        if not_null(desc, "desc").is_ok() {
            let _ = find(desc);
        }
        ptr::null_mut()
    }

    status fn aclSetTensorDynamicInput(desc: *mut aclTensorDesc, dynamicInputName: *const c_char) {
        not_null(desc, "desc")?;
        not_null(dynamicInputName, "dynamicInputName")?;
        find(desc).map(drop)
    }

    status fn aclSetTensorConst(desc: *mut aclTensorDesc, dataBuffer: *mut c_void, length: usize) {
        not_null(desc, "desc")?;
        not_null(dataBuffer, "dataBuffer")?;
        if length == 0 {
            return Err(invalid("length 0 of a constant"));
        }
        find(desc)?;
        match classify(dataBuffer) {
            Location::Device(_) => Err(invalid("the contents of a constant are copied from host memory, not from a device")),
            _ => Ok(()),
        }
    }

    status fn aclSetTensorPlaceMent(desc: *mut aclTensorDesc, memType: aclMemType) {
        not_null(desc, "desc")?;
        log::trace!("tensor placement {}", memType.0);
        find(desc).map(drop)
    }
}

fn read<R>(desc: *const aclTensorDesc, otherwise: R, get: impl FnOnce(&Contents) -> R) -> R {
    if not_null(desc, "desc").is_err() {
        return otherwise;
    }
    match find(desc) {
        Ok(desc) => get(&desc.lock()),
        Err(_) => otherwise,
    }
}

fn dimension(desc: *const aclTensorDesc, index: usize) -> Result<i64, aclError> {
    let desc = find(desc)?;
    let desc = desc.lock();
    desc.dims.get(index).copied().ok_or_else(|| {
        invalid(format_args!("index {index} is out of range: there are {} dimensions", desc.dims.len()))
    })
}

/// Unlike other setters these accept NULL, and do nothing.
fn storage_format(desc: *mut aclTensorDesc, format: aclFormat) -> Result<(), aclError> {
    log::trace!("storage format {}", format.0);
    if desc.is_null() { Ok(()) } else { find(desc).map(drop) }
}

fn storage_shape(desc: *mut aclTensorDesc, count: c_int, dims: *const i64) -> Result<(), aclError> {
    not_null(desc, "desc")?;
    not_null(dims, "dims")?;
    log::trace!("{count} dimensions of storage");
    find(desc).map(drop)
}

/// A copy of the caller's dimensions; none for a count below 1.
fn dimensions(dims: *const i64, count: c_int) -> Vec<i64> {
    match usize::try_from(count) {
        // SAFETY: [caller] the caller passes as many dimensions as it says, and no NULL: callers check.
        Ok(count @ 1..) => unsafe { slice::from_raw_parts(dims, count) }.to_vec(),
        _ => Vec::new(),
    }
}

fn ranges(ranges: *const [i64; 2], count: usize, name: &str) -> Result<Vec<[i64; 2]>, aclError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    not_null(ranges, name)?;
    // SAFETY: [caller] not NULL, and the caller passes as many pairs as it says.
    Ok(unsafe { slice::from_raw_parts(ranges, count) }.to_vec())
}
