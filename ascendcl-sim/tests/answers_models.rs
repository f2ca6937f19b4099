//! What models, their descriptions and data, tensor channels, the profiler and dumps answer to arguments that are wrong in one way: a
//! row each, all without a context but for the last.

mod common;

use std::ptr::null_mut as nil;

use ascendcl_sys::{
    aclAippInfo, aclAippInputFormat, aclTensorDesc, acldumpChunk, aclmdlAIPP, aclmdlConfigAttr,
    aclmdlDataset, aclmdlDesc, aclmdlExecConfigAttr, acltdtChannelHandle, acltdtDataItem, acltdtDataset,
};
use common::*;
use core::ffi::c_void;
use sys::*;

const NULL: i32 = 100_000;
const ID: i32 = 145_003;
const PATH: i32 = 145_002;
const LENGTH: i32 = 145_006;
const BUNDLE: i32 = 148_053;

/// `value` as what a function answers.
fn of_type<T>(_: &T, value: T) -> T {
    value
}

/// Collects the calls that do not answer what they should.
macro_rules! answers {
    ($($answer:expr => $function:ident($($argument:expr),* $(,)?);)*) => {{
        let mut wrong: Vec<String> = Vec::new();
        $(
            let answer = acl!($function $(, $argument)*);
            let right = of_type(&answer, $answer);
            if answer != right {
                let call = stringify!($function($($argument),*));
                wrong.push(format!("line {}: {call} answers {answer:?}, not {right:?}", line!()));
            }
        )*
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }};
}

/// An Ascend 910B with two devices, none of them set.
fn machine() -> Session {
    session(Config::new().profile(Profile::ascend910b()).devices(2))
}

/// What is no handle.
#[repr(align(64))]
struct Plain([u8; 512]);

#[test]
fn loading() {
    let _machine = machine();
    let missing = c"no/such/model.om".as_ptr();
    let present = c"Cargo.toml".as_ptr();
    let empty = std::env::temp_dir().join(format!("ascendcl-sim-answers-{}", std::process::id()));
    std::fs::write(&empty, "abc").unwrap();
    let short = std::ffi::CString::new(empty.to_str().unwrap()).unwrap();
    let short = short.as_ptr();
    let mut plain = Plain([0; 512]);
    let h: *mut c_void = plain.0.as_mut_ptr().cast();
    let (mut id, mut work, mut weight, queue) = (77, 78, 79, [0_u32]);
    let q = queue.as_ptr();
    let desc = acl!(aclmdlCreateDesc);
    let info = acl!(aclmdlBundleCreateQueryInfo);
    answers! {
        NULL => aclmdlLoadFromFile(nil(), &mut id);
        PATH => aclmdlLoadFromFile(missing, &mut id);
        PATH => aclmdlLoadFromFile(missing, nil());
        LENGTH => aclmdlLoadFromFile(short, nil());
        NULL => aclmdlLoadFromFile(present, nil());
        NULL => aclmdlLoadFromFileWithMem(nil(), &mut id, nil(), 0, nil(), 0);
        PATH => aclmdlLoadFromFileWithMem(missing, nil(), nil(), 0, nil(), 0);
        NULL => aclmdlLoadFromMem(nil(), 512, &mut id);
        NULL => aclmdlLoadFromMem(h, 0, &mut id);
        LENGTH => aclmdlLoadFromMem(h, 3, nil());
        NULL => aclmdlLoadFromMem(h, 4, nil());
        NULL => aclmdlLoadFromMem(h, 255, &mut id);
        145_000 => aclmdlLoadFromMem(h, 512, &mut id);
        NULL => aclmdlLoadFromMemWithMem(nil(), 512, &mut id, nil(), 0, nil(), 0);
        NULL => aclmdlLoadFromMemWithMem(h, 512, nil(), nil(), 0, nil(), 0);
        PATH => aclmdlLoadFromFileWithQ(missing, &mut id, nil(), 1, q, 1);
        NULL => aclmdlLoadFromFileWithQ(present, &mut id, nil(), 1, q, 1);
        NULL => aclmdlLoadFromFileWithQ(present, &mut id, q, 0, q, 1);
        NULL => aclmdlLoadFromFileWithQ(present, nil(), q, 1, q, 1);
        NULL => aclmdlLoadFromMemWithQ(h, 512, &mut id, q, 1, nil(), 1);
        NULL => aclmdlLoadFromMemWithQ(h, 0, &mut id, q, 1, q, 1);
        ID => aclmdlUnload(99);
        NULL => aclmdlQuerySize(nil(), &mut work, &mut weight);
        PATH => aclmdlQuerySize(missing, nil(), &mut weight);
        NULL => aclmdlQuerySize(present, nil(), &mut weight);
        NULL => aclmdlQuerySize(present, &mut work, nil());
        NULL => aclmdlQuerySizeFromMem(nil(), 512, &mut work, &mut weight);
        NULL => aclmdlQuerySizeFromMem(h, 0, &mut work, &mut weight);
        NULL => aclmdlQuerySizeFromMem(h, 512, nil(), &mut weight);
        NULL => aclmdlGetDescFromFile(desc, nil());
        PATH => aclmdlGetDescFromFile(desc, missing);
        PATH => aclmdlGetDescFromFile(nil(), missing);
        NULL => aclmdlGetDescFromFile(nil(), present);
        NULL => aclmdlGetDescFromMem(nil(), h, 512);
        NULL => aclmdlGetDescFromMem(desc, nil(), 512);
        NULL => aclmdlGetDescFromMem(desc, h, 0);
        NULL => aclmdlBundleLoadFromFile(nil(), &mut id);
        PATH => aclmdlBundleLoadFromFile(missing, nil());
        NULL => aclmdlBundleLoadFromFile(present, nil());
        NULL => aclmdlBundleLoadFromMem(h, 512, nil());
        NULL => aclmdlBundleLoadFromMem(h, 512, &mut id);
        BUNDLE => aclmdlBundleUnload(99);
        NULL => aclmdlBundleGetModelNum(99, nil());
        BUNDLE => aclmdlBundleGetModelNum(99, &mut work);
        NULL => aclmdlBundleGetModelId(99, 0, nil());
        BUNDLE => aclmdlBundleGetModelId(99, 0, &mut id);
        PATH => aclmdlBundleQueryInfoFromFile(missing, nil());
        NULL => aclmdlBundleQueryInfoFromFile(present, nil());
        NULL => aclmdlBundleQueryInfoFromMem(h, 512, nil());
        NULL => aclmdlBundleQueryInfoFromMem(h, 512, info);
        NULL => aclmdlBundleGetQueryModelNum(nil(), &mut work);
        NULL => aclmdlBundleGetQueryModelNum(info, nil());
        0 => aclmdlBundleGetQueryModelNum(info, &mut work);
        NULL => aclmdlBundleGetVarWeightSize(info, nil());
        NULL => aclmdlBundleGetSize(info, 0, nil(), &mut weight);
        NULL => aclmdlBundleGetSize(info, 0, &mut work, &mut weight);
        PATH => aclmdlBundleInitFromFile(missing, nil(), 0, nil());
        NULL => aclmdlBundleInitFromMem(h, 512, nil(), 0, nil());
        NULL => aclmdlBundleLoadModel(99, 0, nil());
        BUNDLE => aclmdlBundleLoadModel(99, 0, &mut id);
        NULL => aclmdlBundleLoadModelWithConfig(99, 0, nil(), &mut id);
        BUNDLE => aclmdlBundleUnloadModel(99, 1);
        NULL => aclmdlBundleDestroyQueryInfo(nil());
        0 => aclmdlBundleDestroyQueryInfo(info);
        NULL => aclmdlBundleDestroyQueryInfo(info);
        0 => aclmdlDestroyDesc(desc);
    }
    assert_eq!((id, work, weight), (77, 0, 79));
    std::fs::remove_file(empty).unwrap();
}

#[test]
fn options() {
    let _machine = machine();
    let (config, exec) = (acl!(aclmdlCreateConfigHandle), acl!(aclmdlCreateExecConfigHandle));
    let mut plain = Plain([0; 512]);
    let h: *mut c_void = plain.0.as_mut_ptr().cast();
    let mut id = 0;
    let number = |value: i32| Box::into_raw(Box::new(value)).cast::<c_void>();
    let size = |value: usize| Box::into_raw(Box::new(value)).cast::<c_void>();
    let numbers = [number(7), number(8), number(-1), number(-2), number(2)];
    let sizes = [size(6), size(7), size(0), size(1)];
    let [seven, eight, minus, less, two] = numbers;
    let [six, past, zero, one] = sizes;
    let kind = ACL_MDL_LOAD_TYPE_SIZET;
    answers! {
        NULL => aclmdlSetConfigOpt(nil(), ACL_MDL_PRIORITY_INT32, seven, 4);
        NULL => aclmdlSetConfigOpt(config, ACL_MDL_PRIORITY_INT32, nil(), 4);
        NULL => aclmdlSetConfigOpt(config, aclmdlConfigAttr(99), seven, 4);
        NULL => aclmdlSetConfigOpt(config, ACL_MDL_PRIORITY_INT32, seven, 8);
        0 => aclmdlSetConfigOpt(config, ACL_MDL_PRIORITY_INT32, seven, 4);
        NULL => aclmdlSetConfigOpt(config, ACL_MDL_PRIORITY_INT32, eight, 4);
        NULL => aclmdlSetConfigOpt(config, ACL_MDL_PRIORITY_INT32, minus, 4);
        NULL => aclmdlSetConfigOpt(config, kind, six, 4);
        NULL => aclmdlSetConfigOpt(config, kind, past, 8);
        NULL => aclmdlSetConfigOpt(config, kind, zero, 8);
        NULL => aclmdlLoadWithConfig(nil(), &mut id);
        NULL => aclmdlLoadWithConfig(config, nil());
        NULL => aclmdlLoadWithConfig(config, &mut id);
        0 => aclmdlSetConfigOpt(config, kind, one, 8);
        NULL => aclmdlLoadWithConfig(config, &mut id);
        0 => aclmdlSetConfigOpt(config, kind, six, 8);
        NULL => aclmdlSetConfigOpt(config, ACL_MDL_PATH_PTR, zero, 8);
        NULL => aclmdlSetConfigOpt(config, ACL_MDL_MEM_ADDR_PTR, zero, 8);
        0 => aclmdlSetConfigOpt(config, ACL_MDL_WEIGHT_ADDR_PTR, zero, 8);
        0 => aclmdlSetConfigOpt(config, ACL_MDL_MEM_SIZET, six, 8);
        NULL => aclmdlSetConfigOpt(config, ACL_MDL_WORKSPACE_MEM_OPTIMIZE, six, 8);
        NULL => aclmdlSetConfigOpt(config, ACL_MDL_WITHOUT_GRAPH_INT32, two, 4);
        NULL => aclmdlSetExternalWeightAddress(nil(), c"w".as_ptr(), h, 32);
        NULL => aclmdlSetExternalWeightAddress(config, nil(), h, 32);
        NULL => aclmdlSetExternalWeightAddress(config, c"w".as_ptr(), nil(), 32);
        NULL => aclmdlSetExternalWeightAddress(config, c"w".as_ptr(), h, 0);
        NULL => aclmdlSetExternalWeightAddress(config, c"w".as_ptr(), h, 33);
        0 => aclmdlSetExternalWeightAddress(config, c"w".as_ptr(), h, 32);
        NULL => aclmdlSetExecConfigOpt(nil(), ACL_MDL_STREAM_SYNC_TIMEOUT, minus, 4);
        NULL => aclmdlSetExecConfigOpt(exec, ACL_MDL_STREAM_SYNC_TIMEOUT, nil(), 4);
        NULL => aclmdlSetExecConfigOpt(exec, aclmdlExecConfigAttr(99), minus, 4);
        NULL => aclmdlSetExecConfigOpt(exec, ACL_MDL_STREAM_SYNC_TIMEOUT, minus, 8);
        NULL => aclmdlSetExecConfigOpt(exec, ACL_MDL_STREAM_SYNC_TIMEOUT, less, 4);
        0 => aclmdlSetExecConfigOpt(exec, ACL_MDL_EVENT_SYNC_TIMEOUT, minus, 4);
        NULL => aclmdlDestroyConfigHandle(nil());
        NULL => aclmdlDestroyExecConfigHandle(nil());
        0 => aclmdlDestroyConfigHandle(config);
        NULL => aclmdlDestroyConfigHandle(config);
        0 => aclmdlDestroyExecConfigHandle(exec);
    }
    // SAFETY: made above, and given back once.
    unsafe {
        numbers.into_iter().for_each(|number| drop(Box::from_raw(number.cast::<i32>())));
        sizes.into_iter().for_each(|size| drop(Box::from_raw(size.cast::<usize>())));
    }
}

#[test]
fn execution_and_descriptions() {
    let _machine = machine();
    let mut plain = Plain([0; 512]);
    let h: *mut c_void = plain.0.as_mut_ptr().cast();
    let (desc, data, buffer) =
        (acl!(aclmdlCreateDesc), acl!(aclmdlCreateDataset), acl!(aclCreateDataBuffer, h, 512));
    let exec = acl!(aclmdlCreateExecConfigHandle);
    let (no_desc, no_data): (*mut aclmdlDesc, *mut aclmdlDataset) = (nil(), nil());
    // SAFETY: plain numbers.
    let (mut dims, mut ranges, mut batches, mut sizes): (
        aclmdlIODims,
        aclmdlIODimsRange,
        aclmdlBatch,
        aclmdlHW,
    ) = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut info: Box<aclAippInfo> = unsafe { Box::new(std::mem::zeroed()) };
    let (mut index, mut kind) = (0, aclmdlInputAippType(0));
    let tensor = acl!(aclCreateTensorDesc, ACL_FLOAT, 0, nil(), ACL_FORMAT_ND);
    answers! {
        ACL_ERROR_GE_FAILURE => aclRecoverAllHcclTasks(0);
        NULL => aclmdlExecute(99, nil(), data);
        NULL => aclmdlExecute(99, data, nil());
        ID => aclmdlExecute(99, data, data);
        NULL => aclmdlExecuteAsync(99, nil(), data, nil());
        ID => aclmdlExecuteAsync(99, data, data, nil());
        NULL => aclmdlExecuteV2(99, data, data, nil(), nil());
        NULL => aclmdlExecuteV2(99, nil(), data, nil(), exec);
        ID => aclmdlExecuteV2(99, data, data, nil(), exec);
        NULL => aclmdlGetDesc(nil(), 99);
        ID => aclmdlGetDesc(desc, 99);
        NULL => aclmdlDestroyDesc(nil());
        0 => aclmdlGetNumInputs(no_desc);
        0 => aclmdlGetNumInputs(desc);
        0 => aclmdlGetNumOutputs(desc);
        0 => aclmdlGetInputSizeByIndex(desc, 0);
        0 => aclmdlGetOutputSizeByIndex(no_desc, 0);
        NULL => aclmdlGetInputDims(nil(), 0, &mut dims);
        NULL => aclmdlGetInputDims(desc, 0, nil());
        NULL => aclmdlGetInputDims(desc, 0, &mut dims);
        NULL => aclmdlGetInputDimsV2(desc, 0, &mut dims);
        NULL => aclmdlGetInputDimsRange(desc, 0, nil());
        NULL => aclmdlGetInputDimsRange(desc, 0, &mut ranges);
        NULL => aclmdlGetOutputDims(desc, 0, &mut dims);
        NULL => aclmdlGetCurOutputDims(nil(), 0, &mut dims);
        NULL => aclmdlGetCurOutputDims(desc, 0, nil());
        NULL => aclmdlGetCurOutputDims(desc, 0, &mut dims);
        ACL_FORMAT_UNDEFINED => aclmdlGetInputFormat(desc, 0);
        ACL_FORMAT_UNDEFINED => aclmdlGetOutputFormat(nil(), 0);
        ACL_DT_UNDEFINED => aclmdlGetInputDataType(desc, 0);
        ACL_DT_UNDEFINED => aclmdlGetOutputDataType(nil(), 0);
        NULL => aclmdlGetInputIndexByName(nil(), c"x".as_ptr(), &mut index);
        NULL => aclmdlGetInputIndexByName(desc, nil(), &mut index);
        NULL => aclmdlGetInputIndexByName(desc, c"x".as_ptr(), nil());
        NULL => aclmdlGetOutputIndexByName(desc, c"x".as_ptr(), &mut index);
        NULL => aclmdlGetDynamicBatch(nil(), &mut batches);
        NULL => aclmdlGetDynamicBatch(desc, nil());
        0 => aclmdlGetDynamicBatch(desc, &mut batches);
        0 => aclmdlGetDynamicHW(desc, usize::MAX, &mut sizes);
        NULL => aclmdlGetInputDynamicGearCount(desc, 0, &mut index);
        0 => aclmdlGetInputDynamicGearCount(desc, usize::MAX, &mut index);
        NULL => aclmdlGetInputDynamicDims(desc, 0, &mut dims, 1);
        NULL => aclmdlGetInputDynamicDims(desc, usize::MAX, nil(), 1);
        NULL => aclmdlSetDynamicBatchSize(99, nil(), 0, 1);
        NULL => aclmdlSetDynamicBatchSize(99, data, 0, 0);
        NULL => aclmdlSetDynamicBatchSize(99, data, 0, 1);
        NULL => aclmdlSetDynamicHWSize(99, nil(), 0, 1, 1);
        NULL => aclmdlSetDynamicHWSize(99, data, 0, 0, 1);
        NULL => aclmdlSetDynamicHWSize(99, data, 0, 1, 0);
        NULL => aclmdlSetInputDynamicDims(99, nil(), 0, &dims);
        NULL => aclmdlSetInputDynamicDims(99, data, 0, nil());
        NULL => aclmdlSetInputDynamicDims(99, data, 0, &dims);
        NULL => aclmdlGetAippType(99, 0, nil(), &mut index);
        NULL => aclmdlGetAippType(99, 0, &mut kind, nil());
        ID => aclmdlGetAippType(99, 0, &mut kind, &mut index);
        NULL => aclmdlGetFirstAippInfo(99, 0, nil());
        ID => aclmdlGetFirstAippInfo(99, 0, &mut *info);
        NULL => aclmdlDestroyDataset(nil());
        NULL => aclmdlAddDatasetBuffer(nil(), buffer);
        NULL => aclmdlAddDatasetBuffer(data, nil());
        0 => aclmdlAddDatasetBuffer(data, buffer);
        1 => aclmdlGetDatasetNumBuffers(data);
        0 => aclmdlGetDatasetNumBuffers(no_data);
        buffer => aclmdlGetDatasetBuffer(data, 0);
        nil() => aclmdlGetDatasetBuffer(data, 1);
        nil() => aclmdlGetDatasetBuffer(nil(), 0);
        NULL => aclmdlSetDatasetTensorDesc(nil(), tensor, 0);
        NULL => aclmdlSetDatasetTensorDesc(data, tensor, 1);
        0 => aclmdlSetDatasetTensorDesc(data, nil(), 0);
        nil() => aclmdlGetDatasetTensorDesc(data, 0);
        0 => aclmdlSetDatasetTensorDesc(data, tensor, 0);
        nil() => aclmdlGetDatasetTensorDesc(data, 1);
        ID => aclmdlSetDynamicBatchSize(99, data, 0, 1);
        ID => aclmdlSetDynamicHWSize(99, data, 0, 1, 1);
        NULL => aclDestroyDataBuffer(nil());
        NULL => aclUpdateDataBuffer(nil(), h, 8);
        0 => aclUpdateDataBuffer(buffer, nil(), 1 << 33);
        nil() => aclGetDataBufferAddr(buffer);
        0 => aclGetDataBufferSize(buffer);
        1 << 33 => aclGetDataBufferSizeV2(buffer);
        0 => aclGetDataBufferSizeV2(nil());
        NULL => aclmdlSetDynamicBatchSize(99, data, 0, 1);
        0 => aclmdlDestroyDataset(data);
        0 => aclDestroyDataBuffer(buffer);
        NULL => aclDestroyDataBuffer(buffer);
        0 => aclmdlDestroyDesc(desc);
        0 => aclmdlDestroyExecConfigHandle(exec);
    }
    acl!(aclDestroyTensorDesc, tensor);
    assert_eq!((batches.batchCount, sizes.hwCount, index), (0, 0, 0));
}

#[test]
fn aipp() {
    let _machine = machine();
    let set = acl!(aclmdlCreateAIPP, 2);
    let none: *mut aclmdlAIPP = nil();
    let mut size = 0;
    let known = [
        ACL_YUV420SP_U8,
        ACL_XRGB8888_U8,
        ACL_RGB888_U8,
        ACL_YUV400_U8,
        ACL_NC1HWC0DI_FP16,
        ACL_NC1HWC0DI_S8,
        ACL_ARGB8888_U8,
        ACL_YUYV_U8,
        ACL_YUV422SP_U8,
        ACL_AYUV444_U8,
        ACL_RAW10,
        ACL_RAW12,
        ACL_RAW16,
        ACL_RAW24,
    ];
    for format in known {
        ok!(aclmdlSetAIPPInputFormat, set, format);
    }
    answers! {
        nil() => aclmdlCreateAIPP(0);
        NULL => aclmdlGetAippDataSize(1, nil());
        NULL => aclmdlGetAippDataSize(0, &mut size);
        NULL => aclmdlSetAIPPInputFormat(none, ACL_RGB888_U8);
        NULL => aclmdlSetAIPPInputFormat(set, aclAippInputFormat(99));
        NULL => aclmdlSetAIPPCscParams(none, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        NULL => aclmdlSetAIPPCscParams(set, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        0 => aclmdlSetAIPPCscParams(set, 0, i16::MIN, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        NULL => aclmdlSetAIPPCscParams(set, 1, i16::MIN, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        NULL => aclmdlSetAIPPRbuvSwapSwitch(set, -1);
        0 => aclmdlSetAIPPRbuvSwapSwitch(set, 1);
        NULL => aclmdlSetAIPPAxSwapSwitch(none, 1);
        NULL => aclmdlSetAIPPAxSwapSwitch(set, 2);
        NULL => aclmdlSetAIPPSrcImageSize(set, 1, 1);
        NULL => aclmdlSetAIPPSrcImageSize(set, 2, 0);
        NULL => aclmdlSetAIPPSrcImageSize(set, 4097, 1);
        0 => aclmdlSetAIPPSrcImageSize(set, 2, 1);
        NULL => aclmdlSetAIPPScfParams(set, 1, 16, 16, 16, 16, 2);
        NULL => aclmdlSetAIPPScfParams(set, 1, 15, 16, 16, 16, 1);
        NULL => aclmdlSetAIPPScfParams(set, 1, 16, 16, 1921, 16, 1);
        0 => aclmdlSetAIPPScfParams(set, 1, 16, 16, 1920, 4096, 1);
        NULL => aclmdlSetAIPPCropParams(set, 1, 4096, 0, 1, 1, 0);
        NULL => aclmdlSetAIPPCropParams(set, 1, 0, 0, 0, 1, 0);
        0 => aclmdlSetAIPPCropParams(set, 0, -1, -1, -1, -1, 0);
        NULL => aclmdlSetAIPPPaddingParams(set, 1, 33, 0, 0, 0, 0);
        0 => aclmdlSetAIPPPaddingParams(set, 1, 32, 0, 0, 0, 0);
        NULL => aclmdlSetAIPPDtcPixelMean(set, 256, 0, 0, 0, 0);
        NULL => aclmdlSetAIPPDtcPixelMean(set, 0, 0, 0, 0, 2);
        NULL => aclmdlSetAIPPDtcPixelMin(set, -0.5, 0.0, 0.0, 0.0, 0);
        NULL => aclmdlSetAIPPPixelVarReci(set, 65505.0, 0.0, 0.0, 0.0, 0);
        NULL => aclmdlSetInputAIPP(99, nil(), 0, set);
        NULL => aclmdlSetAIPPByInputIndex(99, nil(), 0, set);
        NULL => aclmdlDestroyAIPP(nil());
        0 => aclmdlDestroyAIPP(set);
        NULL => aclmdlDestroyAIPP(set);
    }
}

#[test]
fn tensors() {
    let _machine = machine();
    let dims = [2, 3];
    let some = acl!(aclCreateTensorDesc, ACL_FLOAT16, 2, dims.as_ptr(), ACL_FORMAT_NCHW);
    let scalar = acl!(aclCreateTensorDesc, ACL_INT64, 0, nil(), ACL_FORMAT_ND);
    let open = acl!(aclCreateTensorDesc, ACL_FLOAT, 1, [-2].as_ptr(), ACL_FORMAT_ND);
    let none: *mut aclTensorDesc = nil();
    let mut ranges = [[1, 4], [2, 6]];
    let (mut pair, mut size, mut other) = ([0_i64; 2], 0, nil());
    let mut plain = Plain([0; 512]);
    let h: *mut c_void = plain.0.as_mut_ptr().cast();
    answers! {
        nil() => aclCreateTensorDesc(ACL_FLOAT, -1, dims.as_ptr(), ACL_FORMAT_ND);
        nil() => aclCreateTensorDesc(ACL_FLOAT, 1, nil(), ACL_FORMAT_ND);
        ACL_FLOAT16 => aclGetTensorDescType(some);
        ACL_DT_UNDEFINED => aclGetTensorDescType(nil());
        ACL_FORMAT_NCHW => aclGetTensorDescFormat(some);
        ACL_FORMAT_UNDEFINED => aclGetTensorDescFormat(nil());
        6 => aclGetTensorDescElementCount(some);
        1 => aclGetTensorDescElementCount(scalar);
        0 => aclGetTensorDescElementCount(open);
        0 => aclGetTensorDescElementCount(nil());
        12 => aclGetTensorDescSize(some);
        8 => aclGetTensorDescSize(scalar);
        0 => aclGetTensorDescSize(nil());
        2 => aclGetTensorDescNumDims(some);
        0 => aclGetTensorDescNumDims(scalar);
        0xffff_ffff_ffff_fffe => aclGetTensorDescNumDims(open);
        0 => aclGetTensorDescNumDims(nil());
        3 => aclGetTensorDescDim(some, 1);
        -1 => aclGetTensorDescDim(some, 2);
        -1 => aclGetTensorDescDim(nil(), 0);
        NULL => aclGetTensorDescDimV2(nil(), 0, &mut size);
        NULL => aclGetTensorDescDimV2(some, 0, nil());
        NULL => aclGetTensorDescDimV2(some, 2, &mut size);
        0 => aclGetTensorDescDimV2(some, 1, &mut size);
        NULL => aclSetTensorShapeRange(none, 0, nil());
        0 => aclSetTensorShapeRange(some, 2, ranges.as_mut_ptr());
        NULL => aclGetTensorDescDimRange(nil(), 0, 2, pair.as_mut_ptr());
        NULL => aclGetTensorDescDimRange(some, 0, 2, nil());
        NULL => aclGetTensorDescDimRange(some, 2, 2, pair.as_mut_ptr());
        NULL => aclGetTensorDescDimRange(some, 1, 1, pair.as_mut_ptr());
        0 => aclGetTensorDescDimRange(some, 1, 2, pair.as_mut_ptr());
        NULL => aclSetTensorValueRange(none, 0, nil());
        0 => aclSetTensorStorageFormat(none, ACL_FORMAT_ND);
        NULL => aclSetTensorStorageShape(none, 2, dims.as_ptr());
        NULL => aclSetTensorStorageShape(some, 2, nil());
        0 => aclSetTensorFormat(none, ACL_FORMAT_ND);
        NULL => aclSetTensorShape(some, 2, nil());
        0 => aclSetTensorOriginFormat(none, ACL_FORMAT_ND);
        NULL => aclSetTensorOriginShape(some, 2, nil());
        NULL => aclSetTensorDynamicInput(nil(), c"x".as_ptr());
        NULL => aclSetTensorDynamicInput(some, nil());
        NULL => aclSetTensorConst(nil(), h, 8);
        NULL => aclSetTensorConst(some, nil(), 8);
        NULL => aclSetTensorConst(some, h, 0);
        0 => aclSetTensorConst(some, h, 8);
        NULL => aclSetTensorPlaceMent(nil(), ACL_MEMTYPE_HOST);
        0 => aclSetTensorPlaceMent(some, ACL_MEMTYPE_HOST);
        nil() => aclGetTensorDescByIndex(nil(), 0);
        nil() => aclGetTensorDescAddress(nil());
        nil() => aclGetTensorDescAddress(some);
        NULL => aclTransTensorDescFormat(nil(), ACL_FORMAT_NHWC, &mut other);
        NULL => aclTransTensorDescFormat(some, ACL_FORMAT_NHWC, nil());
        4 => aclDataTypeSize(ACL_COMPLEX32);
        8 => aclDataTypeSize(ACL_COMPLEX64);
        16 => aclDataTypeSize(ACL_COMPLEX128);
        1 => aclDataTypeSize(ACL_UINT1);
        0 => aclDataTypeSize(ACL_STRING);
        0 => aclDataTypeSize(ACL_DT_UNDEFINED);
        8 => aclDataTypeSize(sys::aclDataType(99));
        0x3c00 => aclFloatToFloat16(1.0);
        0x7bff => aclFloatToFloat16(1e9);
        -2.0 => aclFloat16ToFloat(0xc000);
    }
    assert_eq!((size, pair), (3, [2, 6]));
    for desc in [some, scalar, open] {
        acl!(aclDestroyTensorDesc, desc);
    }
    acl!(aclDestroyTensorDesc, nil());
}

#[test]
fn tensors_to_send() {
    let _machine = machine();
    let mut plain = Plain([0; 512]);
    let h: *mut c_void = plain.0.as_mut_ptr().cast();
    let dims = [4];
    let item = acl!(acltdtCreateDataItem, ACL_TENSOR_DATA_TENSOR, dims.as_ptr(), 1, ACL_FLOAT, h, 16);
    let set = acl!(acltdtCreateDataset);
    let (no_item, no_set): (*mut acltdtDataItem, *mut acltdtDataset) = (nil(), nil());
    let no_channel: *mut acltdtChannelHandle = nil();
    let (mut answer, mut size, mut slice) = ([0_i64; 2], 0, 0);
    let many = [1_i64; 129];
    answers! {
        nil() => acltdtCreateDataItem(ACL_TENSOR_DATA_TENSOR, nil(), 1, ACL_FLOAT, h, 16);
        nil() => acltdtCreateDataItem(ACL_TENSOR_DATA_TENSOR, dims.as_ptr(), 0, ACL_FLOAT, h, 16);
        nil() => acltdtCreateDataItem(ACL_TENSOR_DATA_TENSOR, many.as_ptr(), 129, ACL_FLOAT, h, 16);
        nil() => acltdtCreateDataItem(ACL_TENSOR_DATA_END_OF_SEQUENCE, dims.as_ptr(), 1, ACL_FLOAT, h, 16);
        ACL_TENSOR_DATA_TENSOR => acltdtGetTensorTypeFromItem(item);
        ACL_TENSOR_DATA_UNDEFINED => acltdtGetTensorTypeFromItem(nil());
        ACL_FLOAT => acltdtGetDataTypeFromItem(item);
        ACL_DT_UNDEFINED => acltdtGetDataTypeFromItem(nil());
        h => acltdtGetDataAddrFromItem(item);
        nil() => acltdtGetDataAddrFromItem(nil());
        16 => acltdtGetDataSizeFromItem(item);
        0 => acltdtGetDataSizeFromItem(nil());
        1 => acltdtGetDimNumFromItem(item);
        0 => acltdtGetDimNumFromItem(nil());
        NULL => acltdtGetDimsFromItem(nil(), answer.as_mut_ptr(), 1);
        NULL => acltdtGetDimsFromItem(item, nil(), 1);
        NULL => acltdtGetDimsFromItem(item, answer.as_mut_ptr(), 0);
        NULL => acltdtGetDimsFromItem(item, nil(), 0);
        0 => acltdtGetDimsFromItem(item, answer.as_mut_ptr(), 2);
        NULL => acltdtGetSliceInfoFromItem(nil(), &mut size, &mut slice);
        NULL => acltdtGetSliceInfoFromItem(item, nil(), &mut slice);
        NULL => acltdtGetSliceInfoFromItem(item, &mut size, nil());
        0 => acltdtGetSliceInfoFromItem(item, &mut size, &mut slice);
        NULL => acltdtAddDataItem(no_set, item);
        NULL => acltdtAddDataItem(set, no_item);
        0 => acltdtAddDataItem(set, item);
        1 => acltdtGetDatasetSize(set);
        0 => acltdtGetDatasetSize(nil());
        item => acltdtGetDataItem(set, 0);
        nil() => acltdtGetDataItem(set, 1);
        nil() => acltdtGetDataItem(nil(), 0);
        nil() => acltdtCreateChannel(0, nil());
        nil() => acltdtCreateChannel(0, c"x".as_ptr());
        nil() => acltdtCreateChannelWithCapacity(0, nil(), 2);
        NULL => acltdtStopChannel(nil());
        NULL => acltdtDestroyChannel(nil());
        NULL => acltdtCleanChannel(nil());
        NULL => acltdtSendTensor(no_channel, set, -1);
        NULL => acltdtReceiveTensor(no_channel, set, -1);
        NULL => acltdtQueryChannelSize(nil(), &mut size);
        NULL => acltdtDestroyDataset(nil());
        NULL => acltdtDestroyDataItem(nil());
        0 => acltdtDestroyDataset(set);
        0 => acltdtDestroyDataItem(item);
        NULL => acltdtDestroyDataItem(item);
    }
    assert_eq!((answer, size, slice), ([4, 0], 0, 0));
}

#[test]
fn profiler_and_dumps() {
    let _machine = machine();
    let mut plain = Plain([0; 512]);
    let h: *mut c_void = plain.0.as_mut_ptr().cast();
    let (mut devices, mut twice, mut absent) = ([0_u32], [0_u32, 0], [2_u32]);
    let (mut number, mut size) = (0, 0);
    let time = ACL_PROF_TASK_TIME;
    unsafe extern "C" fn chunk(_: *const acldumpChunk, _: i32) -> i32 {
        0
    }
    answers! {
        NULL => aclprofInit(nil(), 1);
        NULL => aclprofInit(c"x".as_ptr(), 0);
        NULL => aclprofInit(c"x".as_ptr(), 2);
        NULL => aclprofInit(c"x".as_ptr(), 4096);
        0 => aclprofFinalize();
        0 => aclprofStop(nil());
        NULL => aclprofSetConfig(ACL_PROF_ARGS_MIN, c"x".as_ptr(), 1);
        NULL => aclprofSetConfig(ACL_PROF_ARGS_MAX, c"x".as_ptr(), 1);
        NULL => aclprofSetConfig(ACL_PROF_STORAGE_LIMIT, nil(), 1);
        NULL => aclprofSetConfig(ACL_PROF_STORAGE_LIMIT, c"x".as_ptr(), 2);
        NULL => aclprofSetConfig(ACL_PROF_STORAGE_LIMIT, c"x".as_ptr(), 257);
        100_010 => aclprofSetConfig(ACL_PROF_STORAGE_LIMIT, c"199MB".as_ptr(), 5);
        0 => aclprofSetConfig(ACL_PROF_STORAGE_LIMIT, c"200MB".as_ptr(), 5);
        nil() => aclprofCreateConfig(nil(), 1, ACL_AICORE_NONE, nil(), time);
        nil() => aclprofCreateConfig(devices.as_mut_ptr(), 0, ACL_AICORE_NONE, nil(), time);
        nil() => aclprofCreateConfig(twice.as_mut_ptr(), 2, ACL_AICORE_NONE, nil(), time);
        nil() => aclprofCreateConfig(absent.as_mut_ptr(), 1, ACL_AICORE_NONE, nil(), time);
        nil() => aclprofCreateConfig(devices.as_mut_ptr(), 1, ACL_AICORE_NONE, h.cast(), time);
        NULL => aclprofDestroyConfig(nil());
        nil() => aclprofCreateSubscribeConfig(1, ACL_AICORE_NONE, nil());
        nil() => aclprofCreateSubscribeConfig(2, ACL_AICORE_NONE, h);
        NULL => aclprofDestroySubscribeConfig(nil());
        NULL => aclprofGetOpDescSize(nil());
        NULL => aclprofGetOpNum(nil(), 8, &mut number);
        NULL => aclprofGetOpNum(h, 8, nil());
        NULL => aclprofGetOpNameLen(h, 8, 0, nil());
        NULL => aclprofGetOpName(h, 8, 0, nil(), 8);
        0 => aclprofGetOpStart(nil(), 8, 0);
        0 => aclprofGetOpDescSize(&mut size);
        ACL_ERROR_DUMP_NOT_RUN => aclmdlSetDump(nil());
        ACL_ERROR_DUMP_NOT_RUN => aclmdlFinalizeDump();
        0 => aclmdlInitDump();
        ACL_ERROR_REPEAT_INITIALIZE => aclmdlInitDump();
        NULL => aclmdlSetDump(nil());
        100_003 => aclmdlSetDump(c"no/such/file.json".as_ptr());
        0 => aclmdlFinalizeDump();
        ACL_ERROR_DUMP_NOT_RUN => aclmdlFinalizeDump();
        500_001 => acldumpRegCallback(None, 0);
        500_001 => acldumpRegCallback(Some(chunk), 1);
        0 => acldumpRegCallback(Some(chunk), 0);
    }
    assert!(size > 0);
}

#[test]
fn queues_and_buffers() {
    let _machine = machine();
    let mut plain = Plain([0; 512]);
    let h: *mut c_void = plain.0.as_mut_ptr().cast();
    let (attr, list, info) = (
        acl!(acltdtCreateQueueAttr),
        acl!(acltdtCreateQueueRouteList),
        acl!(acltdtCreateQueueRouteQueryInfo),
    );
    let route = acl!(acltdtCreateQueueRoute, 1, 2);
    let (mut qid, mut size, mut number, mut buf, mut data) = (0, 0, 0_u32, nil(), nil());
    let depth = 4_u32;
    let depth = (&raw const depth).cast();
    let out = (&raw mut number).cast();
    let (mode, wrong_mode) = (ACL_TDT_QUEUE_ROUTE_QUERY_SRC.0, 99_u32);
    answers! {
        NULL => acltdtSetQueueAttr(nil(), ACL_TDT_QUEUE_DEPTH_UINT32, 4, depth);
        NULL => acltdtSetQueueAttr(attr, ACL_TDT_QUEUE_DEPTH_UINT32, 4, nil());
        NULL => acltdtSetQueueAttr(attr, ACL_TDT_QUEUE_DEPTH_UINT32, 5, depth);
        NULL => acltdtSetQueueAttr(attr, sys::acltdtQueueAttrType(99), 4, depth);
        0 => acltdtSetQueueAttr(attr, ACL_TDT_QUEUE_DEPTH_UINT32, 4, depth);
        NULL => acltdtGetQueueAttr(attr, ACL_TDT_QUEUE_DEPTH_UINT32, 4, nil(), out);
        NULL => acltdtGetQueueAttr(attr, ACL_TDT_QUEUE_DEPTH_UINT32, 4, &mut size, nil());
        NULL => acltdtGetQueueAttr(attr, ACL_TDT_QUEUE_DEPTH_UINT32, 3, &mut size, out);
        0 => acltdtGetQueueAttr(attr, ACL_TDT_QUEUE_DEPTH_UINT32, 4, &mut size, out);
        NULL => acltdtCreateQueue(attr, nil());
        107_002 => acltdtCreateQueue(attr, &mut qid);
        107_002 => acltdtDestroyQueue(1);
        NULL => acltdtEnqueueData(1, nil(), 8, nil(), 0, 0, 0);
        NULL => acltdtEnqueueData(1, h, 0, nil(), 0, 0, 0);
        107_002 => acltdtEnqueueData(1, h, 8, nil(), 0, 0, 0);
        NULL => acltdtDequeueData(1, nil(), 8, &mut size, nil(), 0, 0);
        NULL => acltdtDequeueData(1, h, 8, nil(), nil(), 0, 0);
        NULL => acltdtDequeueData(1, h, 0, &mut size, nil(), 0, 0);
        107_002 => acltdtDequeueData(1, h, 8, &mut size, nil(), 0, 0);
        ACL_ERROR_FEATURE_UNSUPPORTED => acltdtEnqueue(1, nil(), 0);
        ACL_ERROR_FEATURE_UNSUPPORTED => acltdtDequeue(1, nil(), 0);
        ACL_ERROR_FEATURE_UNSUPPORTED => acltdtGrantQueue(1, 1, 1, 0);
        ACL_ERROR_FEATURE_UNSUPPORTED => acltdtAttachQueue(1, 0, nil());
        NULL => acltdtBindQueueRoutes(nil());
        107_002 => acltdtBindQueueRoutes(list);
        NULL => acltdtUnbindQueueRoutes(nil());
        NULL => acltdtQueryQueueRoutes(nil(), list);
        NULL => acltdtQueryQueueRoutes(info, nil());
        NULL => acltdtQueryQueueRoutes(info, list);
        NULL => acltdtSetQueueRouteQueryInfo(nil(), ACL_TDT_QUEUE_ROUTE_QUERY_MODE_ENUM, 4, depth);
        NULL => acltdtSetQueueRouteQueryInfo(info, ACL_TDT_QUEUE_ROUTE_QUERY_MODE_ENUM, 4, nil());
        NULL => acltdtSetQueueRouteQueryInfo(info, ACL_TDT_QUEUE_ROUTE_QUERY_MODE_ENUM, 5, depth);
        0 => acltdtSetQueueRouteQueryInfo(info, ACL_TDT_QUEUE_ROUTE_QUERY_MODE_ENUM, 4, (&raw const wrong_mode).cast());
        NULL => acltdtQueryQueueRoutes(info, list);
        0 => acltdtSetQueueRouteQueryInfo(info, ACL_TDT_QUEUE_ROUTE_QUERY_MODE_ENUM, 4, (&raw const mode).cast());
        NULL => acltdtQueryQueueRoutes(info, list);
        NULL => acltdtAddQueueRoute(nil(), route);
        NULL => acltdtAddQueueRoute(list, nil());
        0 => acltdtAddQueueRoute(list, route);
        1 => acltdtGetQueueRouteNum(list);
        0 => acltdtGetQueueRouteNum(nil());
        NULL => acltdtGetQueueRoute(list, 1, route);
        NULL => acltdtGetQueueRoute(list, 0, nil());
        NULL => acltdtGetQueueRouteParam(nil(), ACL_TDT_QUEUE_ROUTE_DST_UINT32, 4, &mut size, out);
        NULL => acltdtGetQueueRouteParam(route, ACL_TDT_QUEUE_ROUTE_DST_UINT32, 3, &mut size, out);
        0 => acltdtGetQueueRouteParam(route, ACL_TDT_QUEUE_ROUTE_DST_UINT32, 4, &mut size, out);
        NULL => acltdtAllocBuf(8, 99, &mut buf);
        NULL => acltdtAllocBuf(8, 0, nil());
        ACL_ERROR_FEATURE_UNSUPPORTED => acltdtAllocBuf(8, 0, &mut buf);
        ACL_ERROR_FEATURE_UNSUPPORTED => acltdtFreeBuf(nil());
        ACL_ERROR_FEATURE_UNSUPPORTED => acltdtGetBufData(nil(), nil(), nil());
        NULL => aclrtAllocBuf(nil(), 8);
        NULL => aclrtAllocBuf(&mut buf, 0);
        NULL => aclrtFreeBuf(nil());
        NULL => aclrtGetBufData(nil(), &mut data, &mut size);
        NULL => aclrtGetBufUserData(nil(), nil(), 97, 0);
        NULL => aclrtSetBufUserData(nil(), nil(), 90, 7);
        NULL => aclrtGetBufDataLen(h, nil());
        NULL => aclrtGetBufChainNum(nil(), &mut qid);
        NULL => acltdtDestroyQueueAttr(nil());
        NULL => acltdtDestroyQueueRoute(nil());
        NULL => acltdtDestroyQueueRouteList(nil());
        NULL => acltdtDestroyQueueRouteQueryInfo(nil());
        0 => acltdtDestroyQueueAttr(attr);
        0 => acltdtDestroyQueueRoute(route);
        0 => acltdtDestroyQueueRouteList(list);
        0 => acltdtDestroyQueueRouteQueryInfo(info);
    }
    assert_eq!((size, number), (4, 2));
}
