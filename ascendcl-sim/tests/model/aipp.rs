//! AIPP: parameters, their checks, and what becomes of images.

use std::ffi::CStr;
use std::ptr;

use ascendcl_sim::om::Converter;
use ascendcl_sys as sys;

use crate::acl::{Context, Dataset, Desc, Memory, Model, acl, refused, text, to_floats};
use crate::gears::zeroed;
use crate::onnx::{self, Dim};

/// Parameters of dynamic AIPP.
struct Aipp(*mut sys::aclmdlAIPP);

impl Aipp {
    fn new(batch: u64) -> Aipp {
        let aipp = acl!(aclmdlCreateAIPP(batch));
        assert!(!aipp.is_null());
        Aipp(aipp)
    }
}

impl Drop for Aipp {
    fn drop(&mut self) {
        assert_eq!(acl!(aclmdlDestroyAIPP(self.0)), 0);
    }
}

/// `y = x` for one image of `channels` by 4 by 4.
fn copy(channels: i64) -> Vec<u8> {
    onnx::unary("Identity", onnx::FLOAT, &[1, channels, 4, 4])
}

fn dynamic(channels: i64) -> Model {
    let conf = "aipp_op { aipp_mode: dynamic max_src_image_size: 200 }";
    Model::load(&Converter::new(copy(channels)).insert_op_conf(conf).convert().unwrap()).unwrap()
}

fn shape(desc: &Desc, view: u8) -> Vec<i64> {
    let mut dims = zeroed::<sys::aclmdlIODims>();
    let code = match view {
        1 => acl!(aclmdlGetInputDims(desc.0, 0, &mut *dims)),
        _ => acl!(aclmdlGetInputDimsV2(desc.0, 0, &mut *dims)),
    };
    assert_eq!(code, 0, "{}", text());
    dims.dims[..dims.dimCount].to_vec()
}

fn kind(model: &Model, index: usize) -> (i32, usize) {
    let (mut kind, mut attached) = (sys::ACL_DATA_WITHOUT_AIPP, 77);
    assert_eq!(acl!(aclmdlGetAippType(model.0, index, &mut kind, &mut attached)), 0, "{}", text());
    (kind.0 as i32, attached)
}

#[test]
fn setters_check_ranges() {
    let context = Context::new(0);
    assert!(acl!(aclmdlCreateAIPP(0)).is_null());
    assert!(acl!(aclmdlCreateAIPP(u64::MAX)).is_null());
    text();
    let mut size = 0;
    refused(acl!(aclmdlGetAippDataSize(0, &mut size)), 100000, "batchSize");
    refused(acl!(aclmdlGetAippDataSize(1, ptr::null_mut())), 100000, "size");
    assert_ne!(acl!(aclmdlGetAippDataSize(u64::MAX, &mut size)), 0);
    assert_eq!(acl!(aclmdlGetAippDataSize(3, &mut size)), 0);
    assert_eq!(size, 64 + 3 * 96);

    let aipp = Aipp::new(2);
    let bad = |code| refused(code, 100000, "");
    let good = |code: i32| assert_eq!(code, 0, "{}", text());
    bad(acl!(aclmdlSetAIPPInputFormat(aipp.0, sys::aclAippInputFormat(0))));
    good(acl!(aclmdlSetAIPPInputFormat(aipp.0, sys::ACL_RAW24)));
    let csc = |switch, value: i16| {
        acl!(aclmdlSetAIPPCscParams(aipp.0, switch, value, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    };
    bad(csc(2, 0));
    bad(csc(1, 32677));
    bad(csc(1, -32678));
    good(csc(0, 32677));
    good(csc(1, 32676));
    bad(acl!(aclmdlSetAIPPRbuvSwapSwitch(aipp.0, -1)));
    good(acl!(aclmdlSetAIPPRbuvSwapSwitch(aipp.0, 1)));
    bad(acl!(aclmdlSetAIPPAxSwapSwitch(aipp.0, 2)));
    good(acl!(aclmdlSetAIPPAxSwapSwitch(aipp.0, 0)));
    for (width, height, ok) in
        [(1, 1, false), (2, 1, true), (4096, 4096, true), (4097, 1, false), (2, 0, false)]
    {
        let code = acl!(aclmdlSetAIPPSrcImageSize(aipp.0, width, height));
        if ok { good(code) } else { bad(code) }
    }
    let scf = |switch, a, b, c, d, index| acl!(aclmdlSetAIPPScfParams(aipp.0, switch, a, b, c, d, index));
    bad(scf(1, 16, 16, 1921, 16, 0));
    bad(scf(1, 15, 16, 16, 16, 0));
    bad(scf(1, 16, 16, 16, 16, 2));
    good(scf(1, 16, 4096, 1920, 4096, 1));
    good(scf(0, 0, 0, 0, 0, 1));
    let crop = |switch, a, b, c, d, index| acl!(aclmdlSetAIPPCropParams(aipp.0, switch, a, b, c, d, index));
    bad(crop(1, -1, 0, 1, 1, 0));
    bad(crop(1, 4096, 0, 1, 1, 0));
    bad(crop(1, 0, 0, 0, 1, 0));
    good(crop(1, 4095, 0, 4096, 1, 0));
    let pad = |switch, a, index| acl!(aclmdlSetAIPPPaddingParams(aipp.0, switch, a, 0, 0, 0, index));
    bad(pad(1, 33, 0));
    bad(pad(1, -1, 0));
    good(pad(0, 33, 0));
    good(pad(1, 32, 0));
    bad(acl!(aclmdlSetAIPPDtcPixelMean(aipp.0, 256, 0, 0, 0, 0)));
    bad(acl!(aclmdlSetAIPPDtcPixelMean(aipp.0, 0, 0, 0, -1, 0)));
    good(acl!(aclmdlSetAIPPDtcPixelMean(aipp.0, 255, 0, 0, 0, 1)));
    bad(acl!(aclmdlSetAIPPDtcPixelMin(aipp.0, 255.5, 0.0, 0.0, 0.0, 0)));
    good(acl!(aclmdlSetAIPPDtcPixelMin(aipp.0, 255.0, f32::NAN, 0.0, 0.0, 0)));
    bad(acl!(aclmdlSetAIPPPixelVarReci(aipp.0, 65505.0, 0.0, 0.0, 0.0, 0)));
    good(acl!(aclmdlSetAIPPPixelVarReci(aipp.0, -65504.0, 0.0, 0.0, 0.0, 0)));
    bad(acl!(aclmdlSetAIPPRbuvSwapSwitch(ptr::null_mut(), 0)));
    let gone = Aipp::new(1);
    let handle = gone.0;
    drop(gone);
    bad(acl!(aclmdlSetAIPPRbuvSwapSwitch(handle, 0)));
    bad(acl!(aclmdlDestroyAIPP(handle)));
    drop(aipp);
    drop(context);
}

#[test]
fn static_aipp_changes_what_the_input_is() {
    let context = Context::new(0);
    let conf = "aipp_op { aipp_mode: static input_format: YUV420SP_U8 src_image_size_w: 8 src_image_size_h: 6 crop: true \
                load_start_pos_w: 2 load_start_pos_h: 2 mean_chn_0: 1 var_reci_chn_0: 0.5 }";
    let converter = Converter::new(copy(3)).insert_op_conf(conf);
    let model = Model::load(&converter.convert().unwrap()).unwrap();
    let desc = Desc::new();
    assert_eq!(acl!(aclmdlGetDesc(desc.0, model.0)), 0);
    assert_eq!(acl!(aclmdlGetNumInputs(desc.0)), 1);
    assert_eq!(acl!(aclmdlGetInputSizeByIndex(desc.0, 0)), 72);
    assert_eq!(acl!(aclmdlGetInputDataType(desc.0, 0)), sys::ACL_UINT8);
    assert_eq!(acl!(aclmdlGetInputFormat(desc.0, 0)), sys::ACL_FORMAT_NHWC);
    assert_eq!((shape(&desc, 1), shape(&desc, 2)), (vec![1, 6, 8, 3], vec![1, 9, 8, 1]));
    assert_eq!(kind(&model, 0), (1, 0xffff_ffff));

    let mut info = zeroed::<sys::aclAippInfo>();
    assert_eq!(acl!(aclmdlGetFirstAippInfo(model.0, 0, &mut *info)), 0, "{}", text());
    assert_eq!(info.inputFormat, sys::ACL_YUV420SP_U8);
    assert_eq!((info.srcImageSizeW, info.srcImageSizeH, info.cropSwitch, info.loadStartPosH), (8, 6, 1, 2));
    assert_eq!((info.meanChn0, info.varReciChn0, info.varReciChn1), (1, 0.5, 1.0));
    assert_eq!((info.srcFormat, info.srcDatatype, info.srcDimNum), (sys::ACL_FORMAT_NCHW, sys::ACL_FLOAT, 4));
    assert_eq!(info.shapeCount, 1);
    let source = &info.outDims[0].srcDims;
    assert_eq!((&source.dims[..source.dimCount], info.outDims[0].srcSize), (&[1, 3, 4, 4][..], 192));
    // SAFETY: the name ends with a zero.
    assert_eq!(unsafe { CStr::from_ptr(source.name.as_ptr()) }, c"x");

    let mut image: Vec<u8> = (0..48).collect();
    image.extend([100; 24]);
    let outputs = model.run(&[&image], &[192]).unwrap();
    let planes = to_floats(&outputs[0]);
    assert_eq!(
        planes[..5],
        [8.5, 9.0, 9.5, 10.0, 12.5],
        "brightness from the third pixel of the third row on"
    );
    assert_eq!(planes[16..], [100.0; 32]);
    drop((desc, model));
    drop(context);
}

#[test]
fn dynamic_aipp_is_checked_and_prepares_the_image() {
    let context = Context::new(0);
    let model = dynamic(3);
    let desc = Desc::new();
    assert_eq!(acl!(aclmdlGetDesc(desc.0, model.0)), 0);
    let mut index = 9;
    let name = sys::ACL_DYNAMIC_AIPP_NAME.as_ptr();
    assert_eq!(acl!(aclmdlGetInputIndexByName(desc.0, name, &mut index)), 0);
    assert_eq!(
        (index, acl!(aclmdlGetInputSizeByIndex(desc.0, 1)), acl!(aclmdlGetInputSizeByIndex(desc.0, 0))),
        (1, 160, 200)
    );
    assert_eq!(shape(&desc, 1), [1, -1, -1, -1]);
    assert_eq!((kind(&model, 0), kind(&model, 1)), ((2, 1), (3, 0xffff_ffff)));
    let mut info = zeroed::<sys::aclAippInfo>();
    assert_eq!(acl!(aclmdlGetFirstAippInfo(model.0, 0, &mut *info)), 0, "{}", text());
    assert_eq!((info.srcDimNum, info.shapeCount, info.cropSwitch), (4, 1, 0));
    refused(acl!(aclmdlGetFirstAippInfo(model.0, 1, &mut *info)), 145015, "no AIPP");
    refused(acl!(aclmdlGetFirstAippInfo(model.0, 2, &mut *info)), 100000, "index 2");
    refused(acl!(aclmdlGetFirstAippInfo(0, 0, &mut *info)), 145003, "id 0");

    let (x, params, y) = (Memory::new(200), Memory::new(160), Memory::new(192));
    let (input, output) = (Dataset::of(&[&x, &params]), Dataset::of(&[&y]));
    let aipp = Aipp::new(1);
    let set = || acl!(aclmdlSetAIPPByInputIndex(model.0, input.raw, 0, aipp.0));
    let run = || acl!(aclmdlExecute(model.0, input.raw, output.raw));
    refused(acl!(aclmdlSetInputAIPP(model.0, ptr::null_mut(), 1, aipp.0)), 100000, "dataset");
    refused(acl!(aclmdlSetInputAIPP(model.0, input.raw, 1, ptr::null())), 100000, "aippParmsSet");
    refused(acl!(aclmdlSetInputAIPP(0, input.raw, 1, aipp.0)), 145003, "id 0");
    refused(acl!(aclmdlSetInputAIPP(model.0, input.raw, 2, aipp.0)), 100000, "index 2");
    refused(acl!(aclmdlSetInputAIPP(model.0, input.raw, 0, aipp.0)), 100000, "not for the parameters");
    refused(acl!(aclmdlSetAIPPByInputIndex(model.0, input.raw, 2, aipp.0)), 100000, "index 2");
    refused(acl!(aclmdlSetAIPPByInputIndex(model.0, input.raw, 1, aipp.0)), 500001, "no dynamic AIPP");
    refused(set(), 100000, "0 by 0 pixels, the model takes 1 of 4 by 4");
    refused(run(), 507011, "the AIPP parameters are for");

    assert_eq!(acl!(aclmdlSetAIPPInputFormat(aipp.0, sys::ACL_RGB888_U8)), 0);
    assert_eq!(acl!(aclmdlSetAIPPSrcImageSize(aipp.0, 10, 8)), 0);
    refused(set(), 100000, "240 bytes, the model takes 200");
    assert_eq!(acl!(aclmdlSetAIPPSrcImageSize(aipp.0, 8, 6)), 0);
    refused(set(), 100000, "8 by 6 pixels, the model takes 1 of 4 by 4");
    let crop = |start| assert_eq!(acl!(aclmdlSetAIPPCropParams(aipp.0, 1, start, 1, 3, 4, 0)), 0);
    crop(6);
    refused(set(), 100000, "3 by 4 pixels");
    assert_eq!(acl!(aclmdlSetAIPPPaddingParams(aipp.0, 1, 0, 0, 1, 0, 0)), 0);
    refused(set(), 100000, "cropped past its end");
    crop(2);
    assert_eq!(acl!(aclmdlSetAIPPInputFormat(aipp.0, sys::ACL_YUYV_U8)), 0);
    refused(set(), 100000, "takes no images in Yuyv");
    assert_eq!(acl!(aclmdlSetAIPPInputFormat(aipp.0, sys::ACL_YUV420SP_U8)), 0);
    assert_eq!(acl!(aclmdlSetAIPPCropParams(aipp.0, 1, 3, 1, 3, 4, 0)), 0);
    refused(set(), 100000, "odd position");
    assert_eq!(acl!(aclmdlSetAIPPInputFormat(aipp.0, sys::ACL_RGB888_U8)), 0);
    crop(2);
    assert_eq!(acl!(aclmdlSetAIPPScfParams(aipp.0, 1, 16, 16, 16, 16, 0)), 0);
    refused(set(), 100000, "17 by 16 pixels");
    assert_eq!(acl!(aclmdlSetAIPPScfParams(aipp.0, 0, 0, 0, 0, 0, 0)), 0);
    let (short, none) =
        (Dataset::new(&[(x.0, 144), (params.0, 159)]), Dataset::new(&[(x.0, 144), (ptr::null_mut(), 0)]));
    refused(acl!(aclmdlSetInputAIPP(model.0, short.raw, 1, aipp.0)), 145012, "159");
    refused(acl!(aclmdlSetInputAIPP(model.0, none.raw, 1, aipp.0)), 100000, "no address");

    assert_eq!(acl!(aclmdlSetAIPPRbuvSwapSwitch(aipp.0, 1)), 0);
    assert_eq!(acl!(aclmdlSetAIPPDtcPixelMean(aipp.0, 0, 10, 0, 0, 0)), 0);
    assert_eq!(acl!(aclmdlSetAIPPPixelVarReci(aipp.0, 1.0, 1.0, 2.0, 1.0, 0)), 0);
    assert_eq!(set(), 0, "{}", text());
    // Red is the column, green 50 and the row, blue 100.
    let image: Vec<u8> = (0..48u8).flat_map(|pixel| [pixel % 8, 50 + pixel / 8, 100]).collect();
    x.write(&image);
    assert_eq!(run(), 0, "{}", text());
    let planes = to_floats(&y.read());
    assert_eq!(planes[..4], [0.0, 100.0, 100.0, 100.0], "blue is first, behind the padding");
    assert_eq!(planes[20..24], [0.0, 42.0, 42.0, 42.0], "green of the third row less its mean");
    assert_eq!(planes[32..36], [0.0, 4.0, 6.0, 8.0], "red, twice");
    drop((short, none, aipp, input, output, x, params, y, desc, model));
    drop(context);
}

#[test]
fn models_without_aipp_have_none() {
    let context = Context::new(0);
    let model = Model::load(&copy(1)).unwrap();
    let mut info = zeroed::<sys::aclAippInfo>();
    refused(acl!(aclmdlGetFirstAippInfo(model.0, 0, &mut *info)), 145015, "no AIPP");
    assert_eq!(kind(&model, 0), (0, 0xffff_ffff));
    let (memory, aipp) = (Memory::new(64), Aipp::new(1));
    let input = Dataset::of(&[&memory]);
    refused(acl!(aclmdlSetAIPPByInputIndex(model.0, input.raw, 0, aipp.0)), 500001, "no dynamic AIPP");
    let mut kind = sys::ACL_DATA_WITHOUT_AIPP;
    refused(
        acl!(aclmdlGetAippType(model.0, 0, &mut kind, ptr::null_mut())),
        100000,
        "dynamicAttachedDataIndex",
    );
    drop((input, aipp, memory, model));

    let error = |conf: &str, file: Vec<u8>| {
        Converter::new(file).insert_op_conf(conf).convert().unwrap_err().to_string()
    };
    let fixed = "aipp_op { aipp_mode: static input_format: RGB888_U8 src_image_size_w: 8 }";
    assert!(error(fixed, copy(3)).contains("it makes Some([8, 4]) pixels"));
    assert!(error(fixed, onnx::unary("Relu", onnx::FLOAT, &[3])).contains("1 axes, not four"));
    let second = "aipp_op { aipp_mode: static input_format: RGB888_U8 related_input_rank: 1 }";
    assert!(error(second, copy(3)).contains("AIPP for input 1"));
    drop(context);
}

#[test]
fn a_batch_of_images_and_gears() {
    let context = Context::new(0);
    let axes = [Dim::Open("n"), Dim::Fixed(2), Dim::Fixed(2), Dim::Fixed(1)];
    let file = crate::om::relu(&axes);
    let conf = "aipp_op { aipp_mode: static input_format: YUV400_U8 mean_chn_0: 2 }";
    let converter =
        Converter::new(file).input_format("NHWC").insert_op_conf(conf).dynamic_batch_size(&[1, 3]);
    let model = Model::load(&converter.convert().unwrap()).unwrap();
    let (x, gear, y) = (Memory::new(12), Memory::new(4), Memory::new(48));
    x.write(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let (input, output) = (Dataset::of(&[&x, &gear]), Dataset::of(&[&y]));
    assert_eq!(acl!(aclmdlSetDynamicBatchSize(model.0, input.raw, 1, 3)), 0, "{}", text());
    assert_eq!(acl!(aclmdlExecute(model.0, input.raw, output.raw)), 0, "{}", text());
    let expected: Vec<f32> = (1..=12).map(|n| (n as f32 - 2.0).max(0.0)).collect();
    assert_eq!(to_floats(&y.read()), expected);
    let mut info = zeroed::<sys::aclAippInfo>();
    assert_eq!(acl!(aclmdlGetFirstAippInfo(model.0, 0, &mut *info)), 0, "{}", text());
    assert_eq!(
        (info.shapeCount, info.outDims[1].srcDims.dims[0], info.srcFormat),
        (2, 3, sys::ACL_FORMAT_NHWC)
    );
    drop((input, output, x, gear, y, model));
    drop(context);
}
