//! Choosing the gear of a model for a dataset. The setters write the gear into the memory of the model's extra input, at once; what
//! decides at run time is what lies there then.

use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError, aclmdlDataset, aclmdlIODims};

use super::dataset::{self, Region};
use super::registry::{self, Model};
use super::tensor::{GearKind, MAX_DIMS};
use crate::check::{Access, Misuse, misuse};
use crate::error::fail;
use crate::memory::{Location, classify, device_range};

type Done = Result<(), aclError>;

/// The loaded model of that id, among those that have gears: models of dynamic shape are none of them.
fn model(id: u32) -> Result<Arc<Model>, aclError> {
    let model = registry::find(id)?;
    if model.description().dynamic {
        return Err(fail(
            sys::ACL_ERROR_GE_EXEC_MODEL_ID_INVALID,
            format_args!(
                "model {id} has a dynamic shape and no gears; set the shapes of its inputs with aclmdlSetDatasetTensorDesc"
            ),
        ));
    }
    Ok(model)
}

/// The gear must be one that the model has: 145013.
fn check_gear(model: &Model, gear: &[u64]) -> Done {
    let gears = model.description().gears.list();
    // Lists of another length are of another kind, and end the search.
    let same = gears.iter().take_while(|known| known.len() == gear.len()).any(|known| known == gear);
    if same {
        return Ok(());
    }
    Err(fail(
        sys::ACL_ERROR_GE_DYNAMIC_BATCH_SIZE_INVALID,
        format_args!("{gear:?} is no gear of model {}, which has {gears:?}", model.id()),
    ))
}

fn too_short(size: usize, values: usize) -> aclError {
    fail(
        sys::ACL_ERROR_GE_DYNAMIC_INPUT_LENGTH_INVALID,
        format_args!("the data buffer for the gear has {size} bytes, {values} values need {}", values * 4),
    )
}

/// Writes the gear: 8 bytes a value if there is room, 4 otherwise.
fn write(region: Region, gear: &[u64]) -> Done {
    let bytes: Vec<u8> = match region.size >= gear.len() * 8 {
        true => gear.iter().flat_map(|value| value.to_le_bytes()).collect(),
        false => gear.iter().flat_map(|&value| (value as u32).to_le_bytes()).collect(),
    };
    copy_in(region, &bytes)
}

/// Writes to the device memory that a data buffer names.
pub(crate) fn copy_in(region: Region, bytes: &[u8]) -> Done {
    if matches!(classify(region.address), Location::Pinned | Location::Unregistered) {
        misuse(
            Misuse::HostPointer,
            "the data buffer of a model's input is host memory; it has to be device memory",
        );
        let text = format!("{:p} is host memory; a model's inputs are device memory", region.address);
        return Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, text));
    }
    device_range(region.address, bytes.len())?.open(Access::WRITE)?.write_from(0, bytes);
    Ok(())
}

/// `aclmdlSetDynamicBatchSize`.
pub(crate) fn set_batch(id: u32, handle: *mut aclmdlDataset, index: usize, batch: u64) -> Done {
    set(id, handle, index, GearKind::Batch, &[batch])
}

/// `aclmdlSetDynamicHWSize`.
pub(crate) fn set_size(id: u32, handle: *mut aclmdlDataset, index: usize, height: u64, width: u64) -> Done {
    set(id, handle, index, GearKind::Hw, &[height, width])
}

fn set(id: u32, handle: *mut aclmdlDataset, index: usize, kind: GearKind, gear: &[u64]) -> Done {
    let dataset = dataset::find(handle)?;
    if gear.contains(&0) {
        return Err(fail(sys::ACL_ERROR_INVALID_PARAM, "a gear of 0"));
    }
    let region = dataset.region(index)?;
    // Even if what follows fails.
    dataset.set_geared();
    if region.size < gear.len() * 4 {
        return Err(too_short(region.size, gear.len()));
    }
    let model = model(id)?;
    check_gear(&model, gear)?;
    model.set_gear(kind, gear.to_vec());
    write(region, gear)
}

/// `aclmdlSetInputDynamicDims`: the dimensions of all inputs, one input after the other.
pub(crate) fn set_dims(id: u32, handle: *mut aclmdlDataset, index: usize, dims: &aclmdlIODims) -> Done {
    let dataset = dataset::find(handle)?;
    if dims.dimCount == 0 {
        return Err(fail(sys::ACL_ERROR_INVALID_PARAM, "dims has no dimensions"));
    }
    let region = dataset.region(index)?;
    let model = model(id)?;
    let given = &dims.dims[..dims.dimCount.min(MAX_DIMS)];
    let description = model.description();
    let names = description.data_order.iter();
    let inputs = names.filter_map(|name| description.input(name)).map(|index| &description.inputs[index]);
    let all: Vec<i64> = inputs.flat_map(|input| input.dims.iter().copied()).collect();
    let wrong =
        |text: &dyn std::fmt::Display| Err(fail(sys::ACL_ERROR_GE_DYNAMIC_INPUT_LENGTH_INVALID, text));
    if all.len() != dims.dimCount {
        return wrong(&format_args!(
            "{} dimensions, the inputs of model {id} have {}",
            dims.dimCount,
            all.len()
        ));
    }
    let mut gear = Vec::new();
    for (at, (&dim, &value)) in all.iter().zip(given).enumerate() {
        if dim < 0 {
            gear.push(value as u64);
        } else if dim != value {
            return wrong(&format_args!(
                "dimension {at} is {value}, and is {dim} in every gear of model {id}"
            ));
        }
    }
    check_gear(&model, &gear)?;
    model.set_gear(GearKind::Dims, gear.clone());
    if region.size < gear.len() * 4 {
        return Err(too_short(region.size, gear.len()));
    }
    dataset.set_geared();
    write(region, &gear)
}
