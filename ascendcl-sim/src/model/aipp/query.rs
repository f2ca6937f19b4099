//! What a loaded model says about its AIPP, and setting the parameters of dynamic AIPP.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclAippInfo, aclError, aclmdlAIPP, aclmdlDataset, aclmdlInputAippType};

use super::config::AippConfig;
use super::params::{self, Params};
use super::pixels::ImageFormat;
use crate::error::fail;
use crate::model::build::AippRole;
use crate::model::dataset;
use crate::model::gears::copy_in;
use crate::model::registry::{self, Model, check_executor};
use crate::model::tensor::MAX_DIMS;

type Done = Result<(), aclError>;

/// A model, whose input `index` must exist: 100000.
fn with_input(id: u32, index: usize) -> Result<Arc<Model>, aclError> {
    check_executor()?;
    let model = registry::find(id)?;
    let count = model.description().inputs.len();
    if index >= count {
        let text = format!("index {index} of model {id} with {count} inputs");
        return Err(fail(sys::ACL_ERROR_INVALID_PARAM, text));
    }
    Ok(model)
}

/// `aclmdlGetAippType`: the type, and the input with the parameters.
pub(crate) fn kind(id: u32, index: usize) -> Result<(aclmdlInputAippType, usize), aclError> {
    let model = with_input(id, index)?;
    let none = sys::ACL_INVALID_NODE_INDEX as usize;
    Ok(match &model.aipp()[index] {
        None => (sys::ACL_DATA_WITHOUT_AIPP, none),
        Some(AippRole::Static(_)) => (sys::ACL_DATA_WITH_STATIC_AIPP, none),
        Some(AippRole::Images { params, .. }) => (sys::ACL_DATA_WITH_DYNAMIC_AIPP, *params),
        Some(AippRole::Params { .. }) => (sys::ACL_DYNAMIC_AIPP_NODE, none),
    })
}

/// `aclmdlSetInputAIPP`.
pub(crate) fn set_input(id: u32, handle: *mut aclmdlDataset, index: usize, aipp: *const aclmdlAIPP) -> Done {
    let dataset = dataset::find(handle)?;
    let params = params::get(aipp)?;
    let model = with_input(id, index)?;
    let invalid = |text: &dyn std::fmt::Display| Err(fail(sys::ACL_ERROR_INVALID_PARAM, text));
    let Some(AippRole::Params { images, config }) = &model.aipp()[index] else {
        return invalid(&format_args!(
            "input {index} of model {id} is not for the parameters of dynamic AIPP"
        ));
    };
    if source_size(&params) > config.max_src_image_size {
        let (size, most) = (source_size(&params), config.max_src_image_size);
        return invalid(&format_args!("the images have {size} bytes, the model takes {most} at most"));
    }
    check_shape(&model, *images, &params)?;
    check(&params)?;
    let region = dataset.region(index)?;
    let bytes = params.write();
    if bytes.len() > region.size {
        return Err(fail(
            sys::ACL_ERROR_GE_DYNAMIC_INPUT_LENGTH_INVALID,
            format_args!(
                "the AIPP parameters take {} bytes, the data buffer has {}",
                bytes.len(),
                region.size
            ),
        ));
    }
    copy_in(region, &bytes)
}

/// `aclmdlSetAIPPByInputIndex`: by the input with the images.
pub(crate) fn set_by_index(
    id: u32,
    handle: *mut aclmdlDataset,
    index: usize,
    aipp: *const aclmdlAIPP,
) -> Done {
    params::get(aipp)?;
    let count = dataset::find(handle)?.len();
    if index >= count {
        let text = format!("index {index} of a dataset with {count} data buffers");
        return Err(fail(sys::ACL_ERROR_INVALID_PARAM, text));
    }
    match kind(id, index)? {
        (sys::ACL_DATA_WITH_DYNAMIC_AIPP, params) => set_input(id, handle, params, aipp),
        _ => {
            let text = format!("input {index} of model {id} has no dynamic AIPP");
            Err(fail(sys::ACL_ERROR_FAILURE, text))
        }
    }
}

/// Bytes of all images.
fn source_size(params: &Params) -> u64 {
    let [width, height] = params.head.src.map(|size| u64::from(size.unsigned_abs()));
    let image = params.format().and_then(|format| format.image_size(width, height)).unwrap_or(0);
    image.saturating_mul(params.batches.len() as u64)
}

/// Width and height of what AIPP makes of an image of the batch.
fn output_size(params: &Params, index: usize) -> Result<[i32; 2], aclError> {
    let batch = params
        .batches
        .get(index)
        .ok_or_else(|| fail(sys::ACL_ERROR_INVALID_PARAM, "the AIPP parameters are for no image"))?;
    let mut size = match (batch.crop == 1, batch.scf == 1) {
        (_, true) => batch.scf_output,
        (true, false) => batch.crop_size,
        (false, false) => params.head.src,
    };
    if batch.padding == 1 {
        let [top, bottom, left, right] = batch.pads;
        size = [size[0] + left + right, size[1] + top + bottom];
        if size[0] > 1080 {
            let text = format!("image {index} is {} pixels wide with its padding, more than 1080", size[0]);
            return Err(fail(sys::ACL_ERROR_INVALID_PARAM, text));
        }
    }
    Ok(size)
}

/// What AIPP makes must be what the model takes.
fn check_shape(model: &Model, images: usize, params: &Params) -> Done {
    let size = output_size(params, 0)?;
    let feed = &model.graph().feeds[images];
    let shape = largest_shape(model, images);
    let [batch, a, b, c] = shape[..] else { return Ok(()) };
    let (height, width) = if feed.nhwc { (a, b) } else { (b, c) };
    let have = [params.batches.len() as i64, i64::from(size[0]), i64::from(size[1])];
    if have != [batch, width, height] {
        return Err(fail(
            sys::ACL_ERROR_INVALID_PARAM,
            format_args!(
                "AIPP makes {} images of {} by {} pixels, the model takes {batch} of {width} by {height}",
                have[0], have[1], have[2]
            ),
        ));
    }
    Ok(())
}

/// The checks of the parameters among themselves.
fn check(params: &Params) -> Done {
    let invalid = |text: &dyn std::fmt::Display| Err(fail(sys::ACL_ERROR_INVALID_PARAM, text));
    use ImageFormat::{Rgb888, Xrgb8888, Yuv400, Yuv420Sp};
    let format = match params.format() {
        Some(format @ (Yuv420Sp | Xrgb8888 | Rgb888 | Yuv400)) => format,
        Some(other) => return invalid(&format_args!("this chip's AIPP takes no images in {other:?}")),
        None => return invalid(&"the AIPP parameters have no image format"),
    };
    if format == Yuv400 && params.head.csc == 1 {
        return invalid(&"images in YUV400 have no colours to convert");
    }
    let [width, height] = params.head.src;
    if width == 0 || height == 0 {
        return invalid(&"the AIPP parameters have no image size");
    }
    if format == Yuv420Sp && (width % 2 != 0 || height % 2 != 0) {
        return invalid(&format_args!("images in YUV420SP have an even size, not {width} by {height}"));
    }
    let first = output_size(params, 0)?;
    for (index, batch) in params.batches.iter().enumerate() {
        if batch.scf == 1 {
            return invalid(&format_args!("image {index} is to be resized, which no chip's AIPP does"));
        }
        if batch.crop == 1 {
            let fits = |axis: usize| {
                batch.start[axis].saturating_add(batch.crop_size[axis]) <= params.head.src[axis]
            };
            if !fits(0) || !fits(1) {
                return invalid(&format_args!("image {index} is cropped past its end"));
            }
            if format == Yuv420Sp && batch.start.iter().any(|start| start % 2 != 0) {
                return invalid(&format_args!("image {index} in YUV420SP is cropped from an odd position"));
            }
        }
        if output_size(params, index)? != first {
            return invalid(&format_args!("image {index} has another size than the first one"));
        }
    }
    Ok(())
}

/// The shape of the graph's own input, in the gear with most elements.
fn largest_shape(model: &Model, index: usize) -> Vec<i64> {
    let feed = &model.graph().feeds[index];
    let gears = model.graph().gears.iter().map(|gear| feed.in_gear(gear));
    gears.max_by_key(|dims| dims.iter().product::<i64>()).unwrap_or_else(|| feed.dims.clone())
}

/// `aclmdlGetFirstAippInfo`. Written field by field into the program's structure, which is too large for a stack.
pub(crate) fn first_info(id: u32, index: usize) -> Result<Box<aclAippInfo>, aclError> {
    let model = with_input(id, index)?;
    let missing = || {
        let text = format!("input {index} of model {id} has no AIPP");
        fail(sys::ACL_ERROR_GE_AIPP_NOT_EXIST, text)
    };
    let config = match &model.aipp()[index] {
        Some(AippRole::Static(config) | AippRole::Images { config, .. }) => config,
        Some(AippRole::Params { .. }) | None => return Err(missing()),
    };
    let mut info = zeroed();
    settings(&mut info, config);
    let feed = &model.graph().feeds[index];
    let shapes: Vec<Vec<i64>> = match model.graph().gears.is_empty() {
        true => vec![feed.dims.clone()],
        false => model.graph().gears.iter().map(|gear| feed.in_gear(gear)).collect(),
    };
    if shapes.len() > sys::ACL_MAX_SHAPE_COUNT as usize {
        let text = format!("model {id} has {} gears, more than there is room for", shapes.len());
        return Err(fail(sys::ACL_ERROR_GE_FAILURE, text));
    }
    info.srcFormat = if feed.nhwc { sys::ACL_FORMAT_NHWC } else { sys::ACL_FORMAT_NCHW };
    info.srcDatatype = feed.element.acl();
    info.srcDimNum = feed.dims.len();
    info.shapeCount = shapes.len();
    let name = model.description().inputs[index].name.to_bytes();
    for (to, shape) in info.outDims.iter_mut().zip(&shapes) {
        let size = shape
            .iter()
            .try_fold(feed.element.size(), |size, &dim| size.checked_mul(usize::try_from(dim).ok()?));
        (to.srcSize, to.aippOutSize) = (size.unwrap_or(0), size.unwrap_or(0));
        for (dims, name) in [(&mut to.srcDims, name), (&mut to.aippOutdims, b"features".as_slice())] {
            dims.dimCount = shape.len();
            dims.dims[..shape.len().min(MAX_DIMS)].copy_from_slice(&shape[..shape.len().min(MAX_DIMS)]);
            // The last place stays zero.
            for (to, from) in dims.name.iter_mut().take(127).zip(name) {
                *to = *from as core::ffi::c_char;
            }
        }
    }
    Ok(info)
}

/// The structure with nothing in it, never on a stack.
fn zeroed() -> Box<aclAippInfo> {
    let layout = Layout::new::<aclAippInfo>();
    // SAFETY: [memory, bits] the structure is not empty.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() {
        handle_alloc_error(layout);
    }
    // SAFETY: [memory, bits] allocated with this layout just now. The structure has numbers, enumerators that are numbers, and a pointer: zero is a value
    // of each.
    unsafe { Box::from_raw(memory.cast()) }
}

fn settings(info: &mut aclAippInfo, config: &AippConfig) {
    if config.dynamic {
        return;
    }
    info.inputFormat = config.format.map_or(sys::aclAippInputFormat(0), ImageFormat::acl);
    [info.srcImageSizeW, info.srcImageSizeH] = config.src;
    info.cropSwitch = config.crop.into();
    if config.crop {
        [info.loadStartPosW, info.loadStartPosH] = config.start;
        [info.cropSizeW, info.cropSizeH] = config.crop_size;
    }
    info.resizeSwitch = config.resize.into();
    if config.resize {
        [info.resizeOutputW, info.resizeOutputH] = config.resize_size;
    }
    info.paddingSwitch = config.padding.into();
    if config.padding {
        [info.leftPaddingSize, info.rightPaddingSize, info.topPaddingSize, info.bottomPaddingSize] =
            config.pads;
    }
    info.cscSwitch = config.csc.into();
    info.rbuvSwapSwitch = config.rbuv_swap.into();
    info.axSwapSwitch = config.ax_swap.into();
    info.singleLineMode = config.single_line.into();
    if config.csc {
        [
            info.matrixR0C0,
            info.matrixR0C1,
            info.matrixR0C2,
            info.matrixR1C0,
            info.matrixR1C1,
            info.matrixR1C2,
            info.matrixR2C0,
            info.matrixR2C1,
            info.matrixR2C2,
        ] = config.matrix;
        [info.outputBias0, info.outputBias1, info.outputBias2] = config.output_bias;
        [info.inputBias0, info.inputBias1, info.inputBias2] = config.input_bias;
    }
    [info.meanChn0, info.meanChn1, info.meanChn2, info.meanChn3] = config.mean;
    [info.minChn0, info.minChn1, info.minChn2, info.minChn3] = config.min;
    [info.varReciChn0, info.varReciChn1, info.varReciChn2, info.varReciChn3] = config.var_reci;
}
