//! `acl_mdl.h`: bundles of models.

use core::ffi::{c_char, c_void};
use std::ptr;

use ascendcl_sys::{aclmdlBundleQueryInfo, aclmdlConfigHandle};

use super::model::{bytes, out, path, provided, put, put_both};
use super::{functions, not_null};
use crate::model::prepare::read_file;
use crate::model::reserve::Provided;
use crate::model::{bundle, config};

functions! {
    status fn aclmdlBundleLoadFromFile(modelPath: *const c_char, bundleId: *mut u32) {
        let file = path(modelPath, "modelPath")?;
        let id = out(bundleId, "bundleId")?;
        put(id, bundle::load(read_file(file)?, Some(file))?);
        Ok(())
    }

    status fn aclmdlBundleLoadFromMem(model: *const c_void, modelSize: usize, bundleId: *mut u32) {
        let file = bytes(model, modelSize)?;
        let id = out(bundleId, "bundleId")?;
        put(id, bundle::load(file.to_vec(), None)?);
        Ok(())
    }

    status fn aclmdlBundleUnload(bundleId: u32) {
        bundle::unload(bundleId)
    }

    status fn aclmdlBundleGetModelNum(bundleId: u32, modelNum: *mut usize) {
        let place = out(modelNum, "modelNum")?;
        put(place, bundle::count(bundleId)?);
        Ok(())
    }

    status fn aclmdlBundleGetModelId(bundleId: u32, index: usize, modelId: *mut u32) {
        let place = out(modelId, "modelId")?;
        put(place, bundle::model_id(bundleId, index)?);
        Ok(())
    }

    value(ptr::null_mut()) fn aclmdlBundleCreateQueryInfo() -> *mut aclmdlBundleQueryInfo {
        bundle::create_info()
    }

    status fn aclmdlBundleDestroyQueryInfo(queryInfo: *mut aclmdlBundleQueryInfo) {
        bundle::destroy_info(queryInfo)
    }

    status fn aclmdlBundleQueryInfoFromFile(fileName: *const c_char, queryInfo: *mut aclmdlBundleQueryInfo) {
        let file = path(fileName, "fileName")?;
        not_null(queryInfo, "queryInfo")?;
        bundle::query(queryInfo, &read_file(file)?)
    }

    status fn aclmdlBundleQueryInfoFromMem(
        model: *const c_void, modelSize: usize, queryInfo: *mut aclmdlBundleQueryInfo,
    ) {
        let file = bytes(model, modelSize)?;
        not_null(queryInfo, "queryInfo")?;
        bundle::query(queryInfo, file)
    }

    status fn aclmdlBundleGetQueryModelNum(queryInfo: *const aclmdlBundleQueryInfo, modelNum: *mut usize) {
        not_null(queryInfo, "queryInfo")?;
        let place = out(modelNum, "modelNum")?;
        put(place, bundle::info_count(queryInfo)?);
        Ok(())
    }

    status fn aclmdlBundleGetVarWeightSize(
        queryInfo: *const aclmdlBundleQueryInfo, variableWeightSize: *mut usize,
    ) {
        not_null(queryInfo, "queryInfo")?;
        let place = out(variableWeightSize, "variableWeightSize")?;
        put(place, bundle::info_variables(queryInfo)?);
        Ok(())
    }

    status fn aclmdlBundleGetSize(
        queryInfo: *const aclmdlBundleQueryInfo, index: usize, workSize: *mut usize, constWeightSize: *mut usize,
    ) {
        not_null(queryInfo, "queryInfo")?;
        let places = (out(workSize, "workSize")?, out(constWeightSize, "constWeightSize")?);
        put_both(places, bundle::info_sizes(queryInfo, index)?);
        Ok(())
    }

    status fn aclmdlBundleInitFromFile(
        modelPath: *const c_char, varWeightPtr: *mut c_void, varWeightSize: usize, bundleId: *mut u32,
    ) {
        let file = path(modelPath, "modelPath")?;
        let id = out(bundleId, "bundleId")?;
        put(id, bundle::init(read_file(file)?, Some(file), variables(varWeightPtr, varWeightSize))?);
        Ok(())
    }

    status fn aclmdlBundleInitFromMem(
        model: *const c_void, modelSize: usize, varWeightPtr: *mut c_void, varWeightSize: usize, bundleId: *mut u32,
    ) {
        let file = bytes(model, modelSize)?;
        let id = out(bundleId, "bundleId")?;
        put(id, bundle::init(file.to_vec(), None, variables(varWeightPtr, varWeightSize))?);
        Ok(())
    }

    status fn aclmdlBundleLoadModel(bundleId: u32, index: usize, modelId: *mut u32) {
        let place = out(modelId, "modelId")?;
        put(place, bundle::load_model(bundleId, index, &Provided::NOTHING)?);
        Ok(())
    }

    status fn aclmdlBundleLoadModelWithMem(
        bundleId: u32, index: usize, workPtr: *mut c_void, workSize: usize, weightPtr: *mut c_void, weightSize: usize,
        modelId: *mut u32,
    ) {
        let place = out(modelId, "modelId")?;
        let memory = provided(workPtr, workSize, weightPtr, weightSize);
        put(place, bundle::load_model(bundleId, index, &memory)?);
        Ok(())
    }

    status fn aclmdlBundleLoadModelWithConfig(
        bundleId: u32, index: usize, handle: *mut aclmdlConfigHandle, modelId: *mut u32,
    ) {
        let config = config::get(handle)?;
        let place = out(modelId, "modelId")?;
        put(place, bundle::load_model(bundleId, index, &config.provided())?);
        Ok(())
    }

    status fn aclmdlBundleUnloadModel(bundleId: u32, modelId: u32) {
        bundle::unload_model(bundleId, modelId)
    }
}

/// Memory for variables; NULL leaves it to the library.
fn variables(pointer: *mut c_void, size: usize) -> Option<usize> {
    (!pointer.is_null()).then_some(size)
}
