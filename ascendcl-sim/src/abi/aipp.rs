//! `acl_mdl.h`: AIPP, the preparation of images.

use std::ptr;

use ascendcl_sys::{
    self as sys, aclAippInfo, aclAippInputFormat, aclmdlAIPP, aclmdlDataset, aclmdlInputAippType,
};

use super::model::{out, put};
use super::{functions, invalid, not_null};
use crate::error::fail;
use crate::model::aipp::{params, query, set};

functions! {
    value(ptr::null_mut()) fn aclmdlCreateAIPP(batchSize: u64) -> *mut aclmdlAIPP {
        params::create(batchSize)
    }

    status fn aclmdlDestroyAIPP(aippParmsSet: *const aclmdlAIPP) {
        params::destroy(aippParmsSet)
    }

    status fn aclmdlGetAippDataSize(batchSize: u64, size: *mut usize) {
        let place = out(size, "size")?;
        if batchSize == 0 {
            return Err(invalid("batchSize must not be 0"));
        }
        let size = params::data_size(batchSize).and_then(|size| usize::try_from(size).ok());
        let size = size.ok_or_else(|| {
            fail(sys::ACL_ERROR_FAILURE, format_args!("the parameters for {batchSize} images have no size"))
        })?;
        put(place, size);
        Ok(())
    }

    status fn aclmdlSetAIPPInputFormat(aippParmsSet: *mut aclmdlAIPP, inputFormat: aclAippInputFormat) {
        set::input_format(aippParmsSet, inputFormat)
    }

    status fn aclmdlSetAIPPCscParams(
        aippParmsSet: *mut aclmdlAIPP, cscSwitch: i8, cscMatrixR0C0: i16, cscMatrixR0C1: i16, cscMatrixR0C2: i16,
        cscMatrixR1C0: i16, cscMatrixR1C1: i16, cscMatrixR1C2: i16, cscMatrixR2C0: i16, cscMatrixR2C1: i16,
        cscMatrixR2C2: i16, cscOutputBiasR0: u8, cscOutputBiasR1: u8, cscOutputBiasR2: u8, cscInputBiasR0: u8,
        cscInputBiasR1: u8, cscInputBiasR2: u8,
    ) {
        let matrix = [
            cscMatrixR0C0, cscMatrixR0C1, cscMatrixR0C2, cscMatrixR1C0, cscMatrixR1C1, cscMatrixR1C2, cscMatrixR2C0,
            cscMatrixR2C1, cscMatrixR2C2,
        ];
        let output = [cscOutputBiasR0, cscOutputBiasR1, cscOutputBiasR2];
        set::csc(aippParmsSet, cscSwitch, matrix, output, [cscInputBiasR0, cscInputBiasR1, cscInputBiasR2])
    }

    status fn aclmdlSetAIPPRbuvSwapSwitch(aippParmsSet: *mut aclmdlAIPP, rbuvSwapSwitch: i8) {
        set::rbuv_swap(aippParmsSet, rbuvSwapSwitch)
    }

    status fn aclmdlSetAIPPAxSwapSwitch(aippParmsSet: *mut aclmdlAIPP, axSwapSwitch: i8) {
        set::ax_swap(aippParmsSet, axSwapSwitch)
    }

    status fn aclmdlSetAIPPSrcImageSize(aippParmsSet: *mut aclmdlAIPP, srcImageSizeW: i32, srcImageSizeH: i32) {
        set::source_size(aippParmsSet, srcImageSizeW, srcImageSizeH)
    }

    status fn aclmdlSetAIPPScfParams(
        aippParmsSet: *mut aclmdlAIPP, scfSwitch: i8, scfInputSizeW: i32, scfInputSizeH: i32, scfOutputSizeW: i32,
        scfOutputSizeH: i32, batchIndex: u64,
    ) {
        let (input, output) = ([scfInputSizeW, scfInputSizeH], [scfOutputSizeW, scfOutputSizeH]);
        set::scf(aippParmsSet, scfSwitch, input, output, batchIndex)
    }

    status fn aclmdlSetAIPPCropParams(
        aippParmsSet: *mut aclmdlAIPP, cropSwitch: i8, cropStartPosW: i32, cropStartPosH: i32, cropSizeW: i32,
        cropSizeH: i32, batchIndex: u64,
    ) {
        let (start, size) = ([cropStartPosW, cropStartPosH], [cropSizeW, cropSizeH]);
        set::crop(aippParmsSet, cropSwitch, start, size, batchIndex)
    }

    status fn aclmdlSetAIPPPaddingParams(
        aippParmsSet: *mut aclmdlAIPP, paddingSwitch: i8, paddingSizeTop: i32, paddingSizeBottom: i32,
        paddingSizeLeft: i32, paddingSizeRight: i32, batchIndex: u64,
    ) {
        let sizes = [paddingSizeTop, paddingSizeBottom, paddingSizeLeft, paddingSizeRight];
        set::padding(aippParmsSet, paddingSwitch, sizes, batchIndex)
    }

    status fn aclmdlSetAIPPDtcPixelMean(
        aippParmsSet: *mut aclmdlAIPP, dtcPixelMeanChn0: i16, dtcPixelMeanChn1: i16, dtcPixelMeanChn2: i16,
        dtcPixelMeanChn3: i16, batchIndex: u64,
    ) {
        set::mean(aippParmsSet, [dtcPixelMeanChn0, dtcPixelMeanChn1, dtcPixelMeanChn2, dtcPixelMeanChn3], batchIndex)
    }

    status fn aclmdlSetAIPPDtcPixelMin(
        aippParmsSet: *mut aclmdlAIPP, dtcPixelMinChn0: f32, dtcPixelMinChn1: f32, dtcPixelMinChn2: f32,
        dtcPixelMinChn3: f32, batchIndex: u64,
    ) {
        set::min(aippParmsSet, [dtcPixelMinChn0, dtcPixelMinChn1, dtcPixelMinChn2, dtcPixelMinChn3], batchIndex)
    }

    status fn aclmdlSetAIPPPixelVarReci(
        aippParmsSet: *mut aclmdlAIPP, dtcPixelVarReciChn0: f32, dtcPixelVarReciChn1: f32, dtcPixelVarReciChn2: f32,
        dtcPixelVarReciChn3: f32, batchIndex: u64,
    ) {
        let values = [dtcPixelVarReciChn0, dtcPixelVarReciChn1, dtcPixelVarReciChn2, dtcPixelVarReciChn3];
        set::var_reci(aippParmsSet, values, batchIndex)
    }

    status fn aclmdlSetInputAIPP(
        modelId: u32, dataset: *mut aclmdlDataset, index: usize, aippParmsSet: *const aclmdlAIPP,
    ) {
        not_null(dataset, "dataset")?;
        not_null(aippParmsSet, "aippParmsSet")?;
        query::set_input(modelId, dataset, index, aippParmsSet)
    }

    status fn aclmdlSetAIPPByInputIndex(
        modelId: u32, dataset: *mut aclmdlDataset, index: usize, aippParmsSet: *const aclmdlAIPP,
    ) {
        not_null(aippParmsSet, "aippParmsSet")?;
        not_null(dataset, "dataset")?;
        query::set_by_index(modelId, dataset, index, aippParmsSet)
    }

    status fn aclmdlGetAippType(
        modelId: u32, index: usize, type_: *mut aclmdlInputAippType, dynamicAttachedDataIndex: *mut usize,
    ) {
        let attached = out(dynamicAttachedDataIndex, "dynamicAttachedDataIndex")?;
        let kind = out(type_, "type")?;
        let (found, input) = query::kind(modelId, index)?;
        put(attached, input);
        put(kind, found);
        Ok(())
    }

    status fn aclmdlGetFirstAippInfo(modelId: u32, index: usize, aippInfo: *mut aclAippInfo) {
        let place = out(aippInfo, "aippInfo")?;
        let info = query::first_info(modelId, index)?;
        // SAFETY: [caller] not NULL and the caller's to write (contract); the two do not overlap, the box being new.
        unsafe { ptr::copy_nonoverlapping(&*info, place, 1) };
        Ok(())
    }
}
