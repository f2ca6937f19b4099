//! Executing a model on the contents of datasets, at once or on a stream.
//!
//! Addresses are read when the call is made, contents when the model runs: a program that points a data buffer elsewhere after it queued an
//! execution does not change that execution, one that overwrites the input memory does.

use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError, aclmdlDataset, aclrtStream};

use super::dataset::{self, DataBuffer};
use super::describe::Tensor;
use super::registry::{self, Model};
use crate::check::{Access, Misuse, misuse};
use crate::core::{Context, clock, current_context, process, resolve_stream};
use crate::error::{SUCCESS, fail};
use crate::memory::{DeviceRange, Location, PageSize, classify, device_range, free};

/// A model with the memory that one execution reads and writes, all of it checked.
struct Execution {
    model: Arc<Model>,
    inputs: Vec<DeviceRange>,
    outputs: Vec<DeviceRange>,
}

impl Execution {
    fn run(&self) -> Result<(), aclError> {
        let inputs = self.inputs.iter().map(|range| Ok(range.open(Access::READ)?.read_to_vec()));
        if clock::is_virtual() {
            // As if its weights, inputs and outputs were each moved once.
            let moved = self.inputs.iter().chain(&self.outputs).map(DeviceRange::len).sum::<usize>();
            let rate = process::machine().settings().profile.costs.memory;
            clock::spend_moving(moved + self.model.description().weight_size, rate);
        }
        let outputs = self.model.run(&inputs.collect::<Result<Vec<_>, aclError>>()?)?;
        for (range, bytes) in self.outputs.iter().zip(&outputs) {
            range.open(Access::WRITE)?.write_from(0, bytes);
        }
        Ok(())
    }
}

/// `aclmdlExecute`: returns when the outputs are written. Waits for no stream: on a card it has one of its own.
pub(crate) fn execute(
    id: u32,
    input: *const aclmdlDataset,
    output: *mut aclmdlDataset,
) -> Result<(), aclError> {
    let model = registry::find(id)?;
    let context = current_context()?;
    model.check_context(&context)?;
    let inputs = side(&model, input, "input", &model.description().inputs)?;

    // An output without memory gets some, which the program has to free. If the execution fails it gets none.
    let buffers = matching(output, "output", &model.description().outputs)?;
    let mut allocated = Vec::new();
    let result = (|| {
        for (index, buffer) in buffers.iter().enumerate() {
            let region = buffer.region();
            if region.address.is_null() && region.size == 0 {
                let size = model.description().outputs[index].size;
                let address = context.device().memory().allocate(size, padded(size), PageSize::HugeFirst)?;
                allocated.push((Arc::clone(buffer), address));
                buffer.update(address, size);
            }
        }
        let outputs = ranges(&model, &buffers, "output", &model.description().outputs)?;
        Execution { model: Arc::clone(&model), inputs, outputs }.run()
    })();
    if result.is_err() {
        for (buffer, address) in allocated {
            buffer.update(std::ptr::null_mut(), 0);
            // Nobody else knows the address yet.
            let _ = free(address);
        }
    }
    result
}

/// What `aclrtMalloc` charges: whole pieces of 32 bytes and one more.
fn padded(size: usize) -> usize {
    size.div_ceil(32).saturating_add(1).saturating_mul(32)
}

/// `aclmdlExecuteAsync`: returns when the execution is queued.
pub(crate) fn execute_async(
    id: u32,
    input: *const aclmdlDataset,
    output: *mut aclmdlDataset,
    stream: aclrtStream,
) -> Result<(), aclError> {
    let model = registry::find(id)?;
    let context: Arc<Context> = current_context()?;
    model.check_context(&context)?;
    let stream = resolve_stream(stream)?;
    let inputs = side(&model, input, "input", &model.description().inputs)?;
    let outputs = side(&model, output, "output", &model.description().outputs)?;
    let execution = Execution { model, inputs, outputs };
    match stream.submit("model execution", Arc::new(move || execution.run())) {
        SUCCESS => Ok(()),
        code => Err(code),
    }
}

/// The checked memory of a dataset's buffers.
fn side(
    model: &Model,
    handle: *const aclmdlDataset,
    what: &str,
    tensors: &[Tensor],
) -> Result<Vec<DeviceRange>, aclError> {
    ranges(model, &matching(handle, what, tensors)?, what, tensors)
}

/// A dataset's buffers, which must be as many as the model has inputs or outputs.
fn matching(
    handle: *const aclmdlDataset,
    what: &str,
    tensors: &[Tensor],
) -> Result<Vec<Arc<DataBuffer>>, aclError> {
    let buffers = dataset::buffers(handle, what)?;
    if buffers.len() == tensors.len() {
        return Ok(buffers);
    }
    Err(fail(
        sys::ACL_ERROR_GE_PARAM_INVALID,
        format_args!(
            "the {what} dataset has {} data buffers, the model {} {what}s",
            buffers.len(),
            tensors.len()
        ),
    ))
}

fn ranges(
    model: &Model,
    buffers: &[Arc<DataBuffer>],
    what: &str,
    tensors: &[Tensor],
) -> Result<Vec<DeviceRange>, aclError> {
    let range = |(index, (buffer, tensor)): (usize, (&Arc<DataBuffer>, &Tensor))| {
        let region = buffer.region();
        let name = tensor.name.to_string_lossy();
        let (address, size) = (region.address, region.size);
        if address.is_null() {
            let text = format_args!("the data buffer of {what} {index} '{name}' has no address");
            return Err(fail(sys::ACL_ERROR_INVALID_PARAM, text));
        }
        if size < tensor.size {
            let needed = tensor.size;
            return Err(fail(
                sys::ACL_ERROR_GE_PARAM_INVALID,
                format_args!(
                    "the data buffer of {what} {index} '{name}' has {size} bytes, the model needs {needed}"
                ),
            ));
        }
        let refused = |why: &dyn std::fmt::Display| {
            let text = format_args!("the memory of {what} {index} '{name}' at {address:p} {why}");
            fail(sys::ACL_ERROR_RT_PARAM_INVALID, text)
        };
        match classify(address) {
            Location::Device(device) if device == model.device() => {}
            Location::Managed(_) => {}
            Location::Device(device) => {
                let own = model.device();
                return Err(refused(&format_args!("is on device {device}, the model on device {own}")));
            }
            Location::Pinned | Location::Unregistered => {
                misuse(
                    Misuse::HostPointer,
                    format_args!(
                        "{what} {index} '{name}' of a model is host memory; it has to be device memory"
                    ),
                );
                return Err(refused(
                    &"is host memory; a model reads and writes device memory, so copy it there",
                ));
            }
        }
        // The size that the program claims must be there, although the model uses the first part only.
        device_range(address, size).map_err(|_| refused(&format_args!("has no {size} bytes allocated")))?;
        device_range(address, tensor.size)
    };
    buffers.iter().zip(tensors).enumerate().map(range).collect()
}
