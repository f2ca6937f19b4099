//! `acl_mdl.h`: models with a dynamic batch, image size or dimensions.

use ascendcl_sys::{self as sys, aclError, aclmdlBatch, aclmdlDataset, aclmdlDesc, aclmdlHW, aclmdlIODims};

use super::model::{out, put};
use super::{functions, invalid, not_null};
use crate::error::fail;
use crate::model::tensor::{MAX_DIMS, Side};
use crate::model::{desc, gears};

functions! {
    status fn aclmdlSetDynamicBatchSize(modelId: u32, dataset: *mut aclmdlDataset, index: usize, batchSize: u64) {
        not_null(dataset, "dataset")?;
        gears::set_batch(modelId, dataset, index, batchSize)
    }

    status fn aclmdlSetDynamicHWSize(
        modelId: u32, dataset: *mut aclmdlDataset, index: usize, height: u64, width: u64,
    ) {
        not_null(dataset, "dataset")?;
        gears::set_size(modelId, dataset, index, height, width)
    }

    status fn aclmdlSetInputDynamicDims(
        modelId: u32, dataset: *mut aclmdlDataset, index: usize, dims: *const aclmdlIODims,
    ) {
        not_null(dataset, "dataset")?;
        not_null(dims, "dims")?;
        // SAFETY: [caller] not NULL; that it points to a structure which nobody writes meanwhile is the C caller's contract.
        gears::set_dims(modelId, dataset, index, unsafe { &*dims })
    }

    status fn aclmdlGetDynamicBatch(modelDesc: *const aclmdlDesc, batch: *mut aclmdlBatch) {
        let desc = desc::find(modelDesc)?;
        let place = out(batch, "batch")?;
        let batches = &desc.contents().1.gears.batch;
        let mut answer = aclmdlBatch { batchCount: batches.len(), batch: [0; 128] };
        room(batches.len(), answer.batch.len())?;
        answer.batch[..batches.len()].copy_from_slice(batches);
        put(place, answer);
        Ok(())
    }

    status fn aclmdlGetDynamicHW(modelDesc: *const aclmdlDesc, _index: usize, hw: *mut aclmdlHW) {
        let desc = desc::find(modelDesc)?;
        let place = out(hw, "hw")?;
        let sizes = &desc.contents().1.gears.hw;
        let mut answer = aclmdlHW { hwCount: sizes.len(), hw: [[0; 2]; 128] };
        room(sizes.len(), answer.hw.len())?;
        for (to, from) in answer.hw.iter_mut().zip(sizes) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
        put(place, answer);
        Ok(())
    }

    status fn aclmdlGetInputDynamicGearCount(modelDesc: *const aclmdlDesc, index: usize, gearCount: *mut usize) {
        let desc = desc::find(modelDesc)?;
        let place = out(gearCount, "gearCount")?;
        all_inputs(index)?;
        let count = desc.contents().1.gears.dims.len();
        room(count, MAX_DIMS)?;
        put(place, count);
        Ok(())
    }

    status fn aclmdlGetInputDynamicDims(
        modelDesc: *const aclmdlDesc, index: usize, dims: *mut aclmdlIODims, gearCount: usize,
    ) {
        let desc = desc::find(modelDesc)?;
        let place = out(dims, "dims")?;
        all_inputs(index)?;
        let (_, description) = desc.contents();
        let gears = &description.gears.dims;
        if gearCount < gears.len() {
            return Err(invalid(format_args!("gearCount {gearCount} is less than the {} gears there are", gears.len())));
        }
        let inputs = description.data_order.iter().filter_map(|name| description.input(name));
        let all: Vec<i64> = inputs.flat_map(|index| description.tensors(Side::Input)[index].dims.clone()).collect();
        if all.len() > MAX_DIMS {
            let text = format!("the inputs have {} dimensions, more than {MAX_DIMS}", all.len());
            return Err(fail(sys::ACL_ERROR_FAILURE, text));
        }
        for (at, gear) in gears.iter().enumerate() {
            let mut values = gear.iter();
            for (axis, &dim) in all.iter().enumerate() {
                let value = if dim < 0 { values.next().map(|&value| value as i64) } else { Some(dim) };
                let value = value.ok_or_else(|| invalid(format_args!("gear {at} has too few values")))?;
                // SAFETY: [caller] the program says that there is room for `gearCount` structures (contract), and `at` is less; `axis` is less than
                // `MAX_DIMS`. Names are left alone, as by the real function.
                unsafe { (*place.add(at)).dims[axis] = value };
            }
            // SAFETY: [caller] as above.
            unsafe { (*place.add(at)).dimCount = all.len() };
        }
        Ok(())
    }
}

/// More gears than there is room for are 300000.
fn room(count: usize, room: usize) -> Result<(), aclError> {
    if count <= room {
        return Ok(());
    }
    Err(fail(
        sys::ACL_ERROR_STORAGE_OVER_LIMIT,
        format_args!("the model has {count} gears, more than {room}"),
    ))
}

/// The index that stands for all inputs is the only one there is.
fn all_inputs(index: usize) -> Result<(), aclError> {
    if index == usize::MAX {
        return Ok(());
    }
    Err(invalid(format_args!("index must be -1, for all inputs, and is {index}")))
}
