//! Tensor descriptions.

#[macro_use]
mod common;

use core::ffi::{CStr, c_char};
use std::ptr;

use ascendcl_sys::{aclDataType, aclFormat, aclTensorDesc};
use common::*;

fn desc(element: aclDataType, dims: &[i64], format: aclFormat) -> *mut aclTensorDesc {
    let desc = acl!(aclCreateTensorDesc, element, dims.len() as i32, dims.as_ptr(), format);
    assert!(!desc.is_null());
    desc
}

fn dims(desc: *const aclTensorDesc) -> Vec<i64> {
    (0..acl!(aclGetTensorDescNumDims, desc)).map(|index| acl!(aclGetTensorDescDim, desc, index)).collect()
}

fn name(desc: *mut aclTensorDesc) -> String {
    let name: *const c_char = acl!(aclGetTensorDescName, desc);
    // SAFETY: always a C string.
    unsafe { CStr::from_ptr(name) }.to_str().unwrap().to_owned()
}

#[test]
fn getters_give_what_was_set() {
    let _session = session(Config::new());
    let tensor = desc(sys::ACL_FLOAT16, &[2, 3, 4], sys::ACL_FORMAT_ND);
    assert_eq!(acl!(aclGetTensorDescType, tensor), sys::ACL_FLOAT16);
    assert_eq!(acl!(aclGetTensorDescFormat, tensor), sys::ACL_FORMAT_ND);
    assert_eq!(dims(tensor), [2, 3, 4]);
    assert_eq!(acl!(aclGetTensorDescElementCount, tensor), 24);
    assert_eq!(acl!(aclGetTensorDescSize, tensor), 48);
    let mut dim = 0;
    ok!(aclGetTensorDescDimV2, tensor, 2, &mut dim);
    assert_eq!(dim, 4);
    assert_eq!(acl!(aclGetTensorDescDimV2, tensor, 3, &mut dim), 100_000);
    assert_eq!(acl!(aclGetTensorDescDimV2, tensor, 0, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclGetTensorDescDim, tensor, 3), -1);
    assert!(acl!(aclGetTensorDescAddress, tensor).is_null());

    assert_eq!(name(tensor), "");
    acl!(aclSetTensorDescName, tensor, c"x".as_ptr());
    assert_eq!(name(tensor), "x");
    acl!(aclSetTensorDescName, tensor, ptr::null());
    assert_eq!(name(tensor), "");

    // Shapes and formats in storage are not those that are read.
    ok!(aclSetTensorFormat, tensor, sys::ACL_FORMAT_NC1HWC0);
    ok!(aclSetTensorStorageFormat, tensor, sys::ACL_FORMAT_NC1HWC0);
    ok!(aclSetTensorShape, tensor, 1, [7].as_ptr());
    ok!(aclSetTensorStorageShape, tensor, 1, [7].as_ptr());
    assert_eq!(acl!(aclGetTensorDescFormat, tensor), sys::ACL_FORMAT_ND);
    assert_eq!(dims(tensor), [2, 3, 4]);
    ok!(aclSetTensorOriginFormat, tensor, sys::ACL_FORMAT_NCHW);
    ok!(aclSetTensorOriginShape, tensor, 2, [5, 6].as_ptr());
    assert_eq!(acl!(aclGetTensorDescFormat, tensor), sys::ACL_FORMAT_NCHW);
    assert_eq!(dims(tensor), [5, 6]);
    ok!(aclSetTensorOriginShape, tensor, -1, [5].as_ptr());
    assert_eq!(dims(tensor), []);
    acl!(aclDestroyTensorDesc, tensor);
}

#[test]
fn scalars_empty_tensors_and_unknown_shapes() {
    let _session = session(Config::new());
    let count = |tensor| (acl!(aclGetTensorDescElementCount, tensor), acl!(aclGetTensorDescSize, tensor));
    let scalar = acl!(aclCreateTensorDesc, sys::ACL_INT64, 0, ptr::null(), sys::ACL_FORMAT_ND);
    assert_eq!(count(scalar), (1, 8));
    let empty = desc(sys::ACL_FLOAT, &[3, 0], sys::ACL_FORMAT_ND);
    assert_eq!(count(empty), (0, 0));
    let dynamic = desc(sys::ACL_FLOAT, &[-1, 2], sys::ACL_FORMAT_ND);
    assert_eq!(count(dynamic), (0, 0));
    assert_eq!(acl!(aclGetTensorDescNumDims, dynamic), 2);
    let unknown = desc(sys::ACL_FLOAT, &[-2], sys::ACL_FORMAT_ND);
    assert_eq!(acl!(aclGetTensorDescNumDims, unknown) as u64, sys::ACL_UNKNOWN_RANK);
    let huge = desc(sys::ACL_FLOAT, &[i64::MAX, 4], sys::ACL_FORMAT_ND);
    assert_eq!(count(huge), (0, 0));
    let large = desc(sys::ACL_FLOAT, &[i64::MAX], sys::ACL_FORMAT_ND);
    assert_eq!(count(large), (i64::MAX as usize, 0));
    for tensor in [scalar, empty, dynamic, unknown, huge, large] {
        acl!(aclDestroyTensorDesc, tensor);
    }
    assert!(acl!(aclCreateTensorDesc, sys::ACL_FLOAT, -1, [1].as_ptr(), sys::ACL_FORMAT_ND).is_null());
    assert!(acl!(aclCreateTensorDesc, sys::ACL_FLOAT, 1, ptr::null(), sys::ACL_FORMAT_ND).is_null());
}

#[test]
fn ranges_of_dimensions() {
    let _session = session(Config::new());
    let tensor = desc(sys::ACL_FLOAT, &[-1, 2], sys::ACL_FORMAT_ND);
    let mut range = [0i64; 2];
    assert_eq!(acl!(aclGetTensorDescDimRange, tensor, 0, 2, range.as_mut_ptr()), 100_000);
    let mut ranges = [[1, 16], [2, 2]];
    ok!(aclSetTensorShapeRange, tensor, 2, ranges.as_mut_ptr());
    ok!(aclGetTensorDescDimRange, tensor, 0, 2, range.as_mut_ptr());
    assert_eq!(range, [1, 16]);
    assert_eq!(acl!(aclGetTensorDescDimRange, tensor, 0, 1, range.as_mut_ptr()), 100_000);
    assert_eq!(acl!(aclGetTensorDescDimRange, tensor, 2, 2, range.as_mut_ptr()), 100_000);
    assert_eq!(acl!(aclGetTensorDescDimRange, tensor, 0, 2, ptr::null_mut()), 100_000);
    ok!(aclSetTensorShapeRange, tensor, 0, ptr::null_mut());
    assert_eq!(acl!(aclGetTensorDescDimRange, tensor, 0, 2, range.as_mut_ptr()), 100_000);
    ok!(aclSetTensorValueRange, tensor, 2, ranges.as_mut_ptr());
    acl!(aclDestroyTensorDesc, tensor);
}

#[test]
fn a_change_of_format_changes_the_shape_alone() {
    let _session = session(Config::new());
    let changed = |element, shape: &[i64], from, to| {
        let source = desc(element, shape, from);
        let mut target = ptr::null_mut();
        let code = acl!(aclTransTensorDescFormat, source, to, &mut target);
        acl!(aclDestroyTensorDesc, source);
        if code != 0 {
            return Err(code);
        }
        assert_eq!(acl!(aclGetTensorDescFormat, target), from);
        let shape = dims(target);
        acl!(aclDestroyTensorDesc, target);
        Ok(shape)
    };
    let (nchw, nhwc, five) = (sys::ACL_FORMAT_NCHW, sys::ACL_FORMAT_NHWC, sys::ACL_FORMAT_NC1HWC0);
    assert_eq!(changed(sys::ACL_FLOAT16, &[1, 3, 224, 224], nchw, five), Ok(vec![1, 1, 224, 224, 16]));
    assert_eq!(changed(sys::ACL_INT8, &[1, 33, 2, 2], nchw, five), Ok(vec![1, 2, 2, 2, 32]));
    assert_eq!(changed(sys::ACL_FLOAT16, &[1, 2, 3, 17], nhwc, five), Ok(vec![1, 2, 2, 3, 16]));
    assert_eq!(changed(sys::ACL_FLOAT, &[1, 2, 3, 4], nchw, nhwc), Ok(vec![1, 3, 4, 2]));
    assert_eq!(changed(sys::ACL_FLOAT, &[1, 2, 3, 4], nhwc, sys::ACL_FORMAT_HWCN), Ok(vec![2, 3, 4, 1]));
    let z = sys::ACL_FORMAT_FRACTAL_Z;
    assert_eq!(changed(sys::ACL_FLOAT16, &[20, 17, 3, 3], nchw, z), Ok(vec![18, 2, 16, 16]));
    let nz = sys::ACL_FORMAT_FRACTAL_NZ;
    assert_eq!(changed(sys::ACL_FLOAT16, &[5, 20, 40], sys::ACL_FORMAT_ND, nz), Ok(vec![5, 3, 2, 16, 16]));
    assert_eq!(changed(sys::ACL_FLOAT, &[1, 2, 3], nchw, nhwc), Err(145_021));
    assert_eq!(changed(sys::ACL_FLOAT, &[1, 2, 3, 4], nchw, sys::aclFormat(99)), Err(145_020));
    assert_eq!(changed(sys::ACL_FLOAT, &[1, 1, 3, 4, 16], five, nchw), Err(500_002));
    assert_eq!(acl!(aclTransTensorDescFormat, ptr::null(), nchw, ptr::null_mut()), 100_000);
}

#[test]
fn bad_handles_give_the_answers_of_null() {
    let _session = session(Config::new());
    let stale = desc(sys::ACL_FLOAT, &[1], sys::ACL_FORMAT_ND);
    acl!(aclDestroyTensorDesc, stale);
    acl!(aclDestroyTensorDesc, ptr::null());
    acl!(aclDestroyTensorDesc, stale);
    for bad in [ptr::null_mut(), stale, 64usize as *mut aclTensorDesc] {
        assert_eq!(acl!(aclGetTensorDescType, bad), sys::ACL_DT_UNDEFINED);
        assert_eq!(acl!(aclGetTensorDescFormat, bad), sys::ACL_FORMAT_UNDEFINED);
        assert_eq!(acl!(aclGetTensorDescSize, bad), 0);
        assert_eq!(acl!(aclGetTensorDescElementCount, bad), 0);
        assert_eq!(acl!(aclGetTensorDescNumDims, bad), 0);
        assert_eq!(acl!(aclGetTensorDescDim, bad, 0), -1);
        assert_eq!(name(bad), "");
        assert!(acl!(aclGetTensorDescByIndex, bad, 0).is_null());
        acl!(aclSetTensorDescName, bad, c"x".as_ptr());
        assert_eq!(acl!(aclSetTensorShapeRange, bad, 0, ptr::null_mut()), 100_000);
        assert_eq!(acl!(aclSetTensorOriginShape, bad, 1, [1].as_ptr()), 100_000);
        assert_eq!(acl!(aclSetTensorPlaceMent, bad, sys::ACL_MEMTYPE_HOST), 100_000);
        assert_eq!(acl!(aclSetTensorDynamicInput, bad, c"x".as_ptr()), 100_000);
    }
    // Setters of formats say nothing about NULL.
    ok!(aclSetTensorFormat, ptr::null_mut(), sys::ACL_FORMAT_ND);
    ok!(aclSetTensorStorageFormat, ptr::null_mut(), sys::ACL_FORMAT_ND);
    ok!(aclSetTensorOriginFormat, ptr::null_mut(), sys::ACL_FORMAT_ND);
}

#[test]
fn constants_placement_and_index() {
    let _card = card();
    let tensor = desc(sys::ACL_FLOAT, &[1], sys::ACL_FORMAT_ND);
    let mut value = 1f32;
    let value = (&raw mut value).cast();
    ok!(aclSetTensorConst, tensor, value, 4);
    assert_eq!(acl!(aclSetTensorConst, tensor, value, 0), 100_000);
    assert_eq!(acl!(aclSetTensorConst, tensor, ptr::null_mut(), 4), 100_000);
    ok!(aclSetTensorPlaceMent, tensor, sys::ACL_MEMTYPE_HOST);
    ok!(aclSetTensorDynamicInput, tensor, c"x".as_ptr());
    assert_eq!(acl!(aclSetTensorDynamicInput, tensor, ptr::null()), 100_000);
    assert_eq!(acl!(aclGetTensorDescByIndex, tensor, 0), tensor);
    assert!(acl!(aclGetTensorDescByIndex, tensor, 1).is_null());
    acl!(aclDestroyTensorDesc, tensor);
}

#[test]
fn sizes_of_elements() {
    let _session = session(Config::new());
    let size = |element| acl!(aclDataTypeSize, element);
    assert_eq!([size(sys::ACL_HIFLOAT8), size(sys::ACL_FLOAT8_E5M2), size(sys::ACL_FLOAT8_E8M0)], [1; 3]);
    assert_eq!([size(sys::ACL_STRING), size(sys::ACL_INT4), size(sys::ACL_COMPLEX128)], [0, 1, 16]);
    assert_eq!(size(sys::aclDataType(99)), 8);
}
