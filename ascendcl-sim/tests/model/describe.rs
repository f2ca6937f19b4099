//! Descriptions, and the objects that carry addresses.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;

use ascendcl_sys as sys;

use crate::acl::{Context, Dataset, Desc, Memory, Model, acl, assets, c_path, refused, text};
use crate::digits;
use crate::onnx::{self, Graph};

fn dims(desc: &Desc, output: bool, index: usize) -> (String, Vec<i64>) {
    // SAFETY: a plain C struct, for which zero is a value.
    let mut dims: Box<sys::aclmdlIODims> = Box::new(unsafe { std::mem::zeroed() });
    let code = match output {
        true => acl!(aclmdlGetOutputDims(desc.0, index, &mut *dims)),
        false => acl!(aclmdlGetInputDims(desc.0, index, &mut *dims)),
    };
    assert_eq!(code, 0, "{}", text());
    (string(dims.name.as_ptr()), dims.dims[..dims.dimCount].to_vec())
}

fn string(pointer: *const c_char) -> String {
    // SAFETY: a C string of a live description, read at once.
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap().into()
}

#[test]
fn the_digit_classifier_is_described() {
    let context = Context::new(0);
    let model = digits::load();
    let desc = Desc::new();
    assert_eq!((acl!(aclmdlGetNumInputs(desc.0)), acl!(aclmdlGetNumOutputs(desc.0))), (0, 0));

    let path = c_path(assets().join("digits.onnx"));
    let file = std::fs::read(assets().join("digits.onnx")).unwrap();
    for way in 0..3 {
        let code = match way {
            0 => acl!(aclmdlGetDesc(desc.0, model.0)),
            1 => acl!(aclmdlGetDescFromFile(desc.0, path.as_ptr())),
            _ => acl!(aclmdlGetDescFromMem(desc.0, file.as_ptr().cast(), file.len())),
        };
        assert_eq!(code, 0, "{}", text());
        assert_eq!((acl!(aclmdlGetNumInputs(desc.0)), acl!(aclmdlGetNumOutputs(desc.0))), (1, 1));
        assert_eq!(acl!(aclmdlGetInputSizeByIndex(desc.0, 0)), digits::IMAGE);
        assert_eq!(acl!(aclmdlGetOutputSizeByIndex(desc.0, 0)), digits::ANSWER);
        assert_eq!(acl!(aclmdlGetInputDataType(desc.0, 0)), sys::ACL_FLOAT);
        assert_eq!(acl!(aclmdlGetOutputDataType(desc.0, 0)), sys::ACL_FLOAT);
        assert_eq!(acl!(aclmdlGetInputFormat(desc.0, 0)), sys::ACL_FORMAT_NCHW);
        assert_eq!(acl!(aclmdlGetOutputFormat(desc.0, 0)), sys::ACL_FORMAT_ND);
        assert_eq!(string(acl!(aclmdlGetInputNameByIndex(desc.0, 0))), "image");
        assert_eq!(string(acl!(aclmdlGetOutputNameByIndex(desc.0, 0))), "probabilities");
        assert_eq!(dims(&desc, false, 0), ("image".into(), vec![1, 1, 8, 8]));
        assert_eq!(dims(&desc, true, 0), ("probabilities".into(), vec![1, 10]));
        let mut index = 7;
        assert_eq!(acl!(aclmdlGetInputIndexByName(desc.0, c"image".as_ptr(), &mut index)), 0);
        assert_eq!(index, 0);
    }
    let (mut work, mut weight) = (0, 0);
    assert_eq!(acl!(aclmdlQuerySize(path.as_ptr(), &mut work, &mut weight)), 0, "{}", text());
    assert!(work > 0 && (153_128..163_840).contains(&weight), "{work} {weight}");
    drop((desc, model));
    drop(context);
}

#[test]
fn getters_answer_nothing_for_what_is_not_there() {
    let context = Context::new(0);
    let model = digits::load();
    let desc = Desc::new();
    assert_eq!(acl!(aclmdlGetDesc(desc.0, model.0)), 0);
    let gone = acl!(aclmdlCreateDesc());
    assert_eq!(acl!(aclmdlDestroyDesc(gone)), 0);
    let foreign: *mut sys::aclmdlDesc = acl!(aclmdlCreateDataset()).cast();

    for (desc, index) in [(desc.0, 1), (desc.0, usize::MAX), (ptr::null_mut(), 0), (gone, 0), (foreign, 0)] {
        assert_eq!(acl!(aclmdlGetInputSizeByIndex(desc, index)), 0);
        assert_eq!(acl!(aclmdlGetOutputSizeByIndex(desc, index)), 0);
        assert_eq!(acl!(aclmdlGetInputDataType(desc, index)), sys::ACL_DT_UNDEFINED);
        assert_eq!(acl!(aclmdlGetOutputFormat(desc, index)), sys::ACL_FORMAT_UNDEFINED);
        assert_eq!(string(acl!(aclmdlGetInputNameByIndex(desc, index))), "");
        assert_eq!(string(acl!(aclmdlGetOutputNameByIndex(desc, index))), "");
        // SAFETY: a plain C struct, for which zero is a value.
        let mut dims: Box<sys::aclmdlIODims> = Box::new(unsafe { std::mem::zeroed() });
        refused(acl!(aclmdlGetInputDims(desc, index, &mut *dims)), 100000, "");
    }
    for desc in [ptr::null_mut(), gone, foreign] {
        assert_eq!(acl!(aclmdlGetNumInputs(desc)), 0);
        refused(acl!(aclmdlGetDesc(desc, model.0)), 100000, "description");
        refused(acl!(aclmdlDestroyDesc(desc)), 100000, "description");
    }
    let mut index = 7;
    refused(acl!(aclmdlGetInputIndexByName(desc.0, c"picture".as_ptr(), &mut index)), 100000, "'picture'");
    refused(acl!(aclmdlGetInputIndexByName(desc.0, ptr::null(), &mut index)), 100000, "NULL");
    refused(acl!(aclmdlGetInputIndexByName(desc.0, c"image".as_ptr(), ptr::null_mut())), 100000, "NULL");
    refused(acl!(aclmdlGetInputDims(desc.0, 0, ptr::null_mut())), 100000, "NULL");
    refused(acl!(aclmdlGetDesc(desc.0, 0)), 145003, "id 0");
    assert_eq!(index, 7);

    assert_eq!(acl!(aclmdlDestroyDataset(foreign.cast())), 0);
    drop((desc, model));
    drop(context);
}

#[test]
fn long_names_are_shortened_in_dims_only() {
    let context = Context::new(0);
    let (fits, long) = ("n".repeat(127), "m".repeat(128));
    let file = Graph::new()
        .node("Relu", &[&fits], &[&long])
        .input(&fits, onnx::FLOAT, &[2])
        .output(&long, onnx::FLOAT, &[2])
        .file();
    let model = Model::load(&file).unwrap();
    let desc = Desc::new();
    assert_eq!(acl!(aclmdlGetDesc(desc.0, model.0)), 0);
    let short = format!("acl_modelId_{}_output_0", model.0);
    assert_eq!(dims(&desc, false, 0).0, fits);
    assert_eq!(dims(&desc, true, 0).0, short);
    assert_eq!(string(acl!(aclmdlGetOutputNameByIndex(desc.0, 0))), long);

    let c_string = |name: &str| CString::new(name).unwrap();
    let mut index = 7;
    assert_eq!(acl!(aclmdlGetOutputIndexByName(desc.0, c_string(&long).as_ptr(), &mut index)), 0);
    assert_eq!(index, 0);
    // The made-up name is for one function only.
    refused(
        acl!(aclmdlGetOutputIndexByName(desc.0, c_string(&short).as_ptr(), &mut index)),
        100000,
        "acl_modelId",
    );
    for name in [&long, &short, &format!("{short}_q")] {
        assert_eq!(string(acl!(aclmdlGetTensorRealName(desc.0, c_string(name).as_ptr()))), long);
    }
    for name in
        ["x", "acl_modelId_0_output_0", "acl_modelId_x_output_0", &short.replace("_0", "_1"), "acl_modelId"]
    {
        assert!(acl!(aclmdlGetTensorRealName(desc.0, c_string(name).as_ptr())).is_null(), "{name}");
    }
    drop((desc, model));
    drop(context);
}

#[test]
fn data_buffers_and_datasets_hold_what_they_were_given() {
    let context = Context::new(0);
    let address: *mut c_void = ptr::without_provenance_mut(0x1234);
    let buffer = acl!(aclCreateDataBuffer(address, 5 << 32));
    assert_eq!(acl!(aclGetDataBufferAddr(buffer)), address);
    assert_eq!(acl!(aclGetDataBufferSizeV2(buffer)), 5 << 32);
    assert_eq!(acl!(aclGetDataBufferSize(buffer)), 0, "32 bits of it");
    assert_eq!(acl!(aclUpdateDataBuffer(buffer, ptr::null_mut(), 7)), 0);
    assert_eq!(
        (acl!(aclGetDataBufferAddr(buffer)), acl!(aclGetDataBufferSize(buffer))),
        (ptr::null_mut(), 7)
    );

    let dataset = acl!(aclmdlCreateDataset());
    // The same buffer may be in a dataset twice, and in two datasets.
    assert_eq!(acl!(aclmdlAddDatasetBuffer(dataset, buffer)), 0);
    assert_eq!(acl!(aclmdlAddDatasetBuffer(dataset, buffer)), 0);
    assert_eq!(acl!(aclmdlGetDatasetNumBuffers(dataset)), 2);
    assert_eq!(acl!(aclmdlGetDatasetBuffer(dataset, 1)), buffer);
    assert!(acl!(aclmdlGetDatasetBuffer(dataset, 2)).is_null());

    // A dataset does not own its buffers.
    assert_eq!(acl!(aclmdlDestroyDataset(dataset)), 0);
    assert_eq!(acl!(aclGetDataBufferSizeV2(buffer)), 7);
    assert_eq!(acl!(aclDestroyDataBuffer(buffer)), 0);

    assert_eq!(acl!(aclmdlGetDatasetNumBuffers(dataset)), 0);
    assert!(acl!(aclmdlGetDatasetBuffer(dataset, 0)).is_null());
    assert!(acl!(aclGetDataBufferAddr(buffer)).is_null());
    assert_eq!(acl!(aclGetDataBufferSizeV2(ptr::null())), 0);
    refused(acl!(aclDestroyDataBuffer(buffer)), 100000, "not alive");
    refused(acl!(aclDestroyDataBuffer(ptr::null())), 100000, "NULL");
    refused(acl!(aclUpdateDataBuffer(buffer, address, 1)), 100000, "not alive");
    refused(acl!(aclmdlDestroyDataset(dataset)), 100000, "not alive");
    refused(acl!(aclmdlAddDatasetBuffer(dataset, buffer)), 100000, "dataset");
    refused(acl!(aclmdlAddDatasetBuffer(ptr::null_mut(), ptr::null_mut())), 100000, "NULL");
    drop(context);
}

#[test]
fn a_dataset_does_not_keep_its_buffers_alive() {
    let context = Context::new(0);
    let model = digits::load();
    let (image, answer) = (Memory::new(digits::IMAGE), Memory::new(digits::ANSWER));
    let mut input = Dataset::of(&[&image]);
    let output = Dataset::of(&[&answer]);
    let buffer = input.buffers.remove(0);
    assert_eq!(acl!(aclDestroyDataBuffer(buffer)), 0);
    assert_eq!(acl!(aclmdlGetDatasetBuffer(input.raw, 0)), buffer);
    refused(
        acl!(aclmdlExecute(model.0, input.raw, output.raw)),
        100000,
        "the data buffer of input 0 is not alive",
    );
    drop((input, output, image, answer, model));
    drop(context);
}
