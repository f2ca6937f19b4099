//! Executing a model on the contents of datasets, at once or on a stream.
//!
//! Addresses are read when the call is made, contents when the model runs: a program that points a data buffer elsewhere after it queued an
//! execution does not change that execution, one that overwrites the input memory does.

use core::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

use ascendcl_sys::{self as sys, aclError, aclmdlDataset, aclrtStream};

use super::claim::{self, Claim};
use super::dataset::{self, DataBuffer, Dataset};
use super::engine::Output;
use super::graph::{Fault, Feed};
use super::registry::{self, Model, check_executor};
use super::work;
use crate::check::Access;
use crate::core::{Context, clock, current_context, process, resolve_stream};
use crate::error::{SUCCESS, fail};
use crate::memory::{PageSize, free};

/// A model with the memory that one execution reads and writes, all of it checked.
struct Execution {
    model: Arc<Model>,
    inputs: Vec<Claim>,
    /// `None` where the memory is allocated once the size is known.
    outputs: Vec<Option<Claim>>,
    /// Shapes that come with the inputs.
    given: Vec<Option<Vec<i64>>>,
    /// Where the shapes of the outputs are told.
    told: Option<Arc<Dataset>>,
}

impl Execution {
    /// Runs the model, writes what there is room for, and gives what there is none for.
    fn run(&self) -> Result<Vec<(usize, Vec<u8>)>, aclError> {
        let claimed: Vec<usize> = self.inputs.iter().map(Claim::len).collect();
        let read = |index: usize, len: usize| {
            let claim = self.inputs.get(index).ok_or_else(|| format!("there is no input {index}"))?;
            let range = claim.first(len).ok_or_else(|| {
                format!("it reads {len} bytes of input {index}, and the data buffer has {}", claim.len())
            })?;
            Ok(range.open(Access::READ).map_err(Fault::Code)?.read_to_vec())
        };
        if clock::is_virtual() {
            // As if its weights, inputs and outputs were each moved once.
            let outputs = self.outputs.iter().flatten().map(Claim::len);
            let moved = claimed.iter().copied().chain(outputs).fold(0, usize::saturating_add);
            let rate = process::machine().settings().profile.costs.memory;
            clock::spend_moving(moved.saturating_add(self.model.description().weight_size), rate);
        }
        let outputs = self.model.run(&claimed, &self.given, &read)?;
        let mut homeless = Vec::new();
        for (index, (claim, output)) in self.outputs.iter().zip(&outputs).enumerate() {
            let Some(claim) = claim else {
                homeless.push((index, output.bytes.clone()));
                continue;
            };
            let needed = output.bytes.len();
            let range = claim.first(needed).ok_or_else(|| {
                fail(
                    sys::ACL_ERROR_RT_MODEL_EXECUTE,
                    format_args!(
                        "model {} failed: output {index} takes {needed} bytes, and the data buffer has {}",
                        self.model.id(),
                        claim.len()
                    ),
                )
            })?;
            range.open(Access::WRITE)?.write_from(0, &output.bytes);
        }
        self.tell(&outputs);
        Ok(homeless)
    }

    /// Writes the shapes of the outputs into the output dataset.
    fn tell(&self, outputs: &[Output]) {
        let Some(dataset) = &self.told else { return };
        for (index, (output, tensor)) in outputs.iter().zip(&self.model.description().outputs).enumerate() {
            let dims = output.shape.iter().map(|&dim| dim as i64).collect();
            dataset.describe(index, tensor.data_type, dims, tensor.format);
        }
    }
}

/// What an execution needs, checked as far as that goes before outputs get memory.
struct Prepared {
    model: Arc<Model>,
    context: Arc<Context>,
    inputs: Vec<Claim>,
    given: Vec<Option<Vec<i64>>>,
    output: Arc<Dataset>,
    buffers: Vec<Arc<DataBuffer>>,
    /// The sizes of data buffers are those that the model's description tells.
    sized: bool,
    told: bool,
}

fn prepare(id: u32, input: *const aclmdlDataset, output: *mut aclmdlDataset) -> Result<Prepared, aclError> {
    let (from, to) = (dataset::find(input)?, dataset::find(output)?);
    let from_buffers = from.buffers("input")?;
    let buffers = to.buffers("output")?;
    check_executor()?;
    let model = registry::find(id)?;
    let context = current_context()?;
    model.check_context(&context)?;
    let description = Arc::clone(model.description());
    let given = from.shapes();
    if description.dynamic {
        check_shapes(&model, from_buffers.len(), &given)?;
    } else {
        claim::matching(from_buffers.len(), description.inputs.len(), "input")?;
    }
    claim::matching(buffers.len(), description.outputs.len(), "output")?;
    // As in the real check: whoever chooses shapes has to know the sizes.
    let dynamic_aipp = description.inputs.iter().any(|input| input.name.as_bytes().starts_with(AIPP));
    let sized = !description.dynamic && !from.is_geared() && !dynamic_aipp;
    let inputs = claim::claims(&model, &from_buffers, "input", &description.inputs, sized)?;
    let told = description.dynamic || given.iter().any(Option::is_some);
    Ok(Prepared { model, context, inputs, given, output: to, buffers, sized, told })
}

const AIPP: &[u8] = sys::ACL_DYNAMIC_AIPP_NAME.to_bytes();

/// The shapes that come with the inputs of a model of dynamic shape must be in the ranges it was made for.
fn check_shapes(model: &Model, buffers: usize, given: &[Option<Vec<i64>>]) -> Result<(), aclError> {
    let description = model.description();
    let invalid = |text: &dyn std::fmt::Display| Err(fail(sys::ACL_ERROR_INVALID_PARAM, text));
    if buffers < description.inputs.len() {
        let needed = description.inputs.len();
        return invalid(&format_args!(
            "the input dataset has {buffers} data buffers, the model {needed} inputs"
        ));
    }
    let feeds = &model.graph().feeds;
    for (index, (feed, tensor)) in feeds.iter().zip(&description.inputs).enumerate() {
        let Feed { dims, .. } = feed;
        let shape = given.get(index).and_then(Option::as_ref).unwrap_or(dims);
        let fixed = || dims.iter().map(|&dim| (dim, dim)).collect::<Vec<_>>();
        let ranges = if tensor.ranges.is_empty() { fixed() } else { tensor.ranges.clone() };
        let inside = |(&dim, &(low, high)): (&i64, &(i64, i64))| dim >= low && (high == -1 || dim <= high);
        if shape.len() != ranges.len() || !shape.iter().zip(&ranges).all(inside) {
            let name = tensor.name.to_string_lossy();
            return invalid(&format_args!(
                "input {index} '{name}' has the shape {shape:?}, which is not within {ranges:?}; aclmdlSetDatasetTensorDesc sets it"
            ));
        }
    }
    Ok(())
}

/// `aclmdlExecute`: returns when the outputs are written. Waits for no stream: on a card it has one of its own.
pub(crate) fn execute(
    id: u32,
    input: *const aclmdlDataset,
    output: *mut aclmdlDataset,
) -> Result<(), aclError> {
    with_outputs(prepare(id, input, output)?, |execution, context, buffers| {
        let homeless = execution.run()?;
        give_homes(context, buffers, homeless)
    })
}

/// `aclmdlExecuteV2` on a stream: the execution is queued there and waited for.
pub(crate) fn execute_on(
    id: u32,
    input: *const aclmdlDataset,
    output: *mut aclmdlDataset,
    stream: aclrtStream,
    timeout: i32,
) -> Result<(), aclError> {
    with_outputs(prepare(id, input, output)?, |execution, context, buffers| {
        let stream = resolve_stream(stream)?;
        let (execution, to, on) = (Arc::new(execution), buffers.to_vec(), Arc::clone(context));
        submit(&stream, move || {
            let homeless = execution.run()?;
            give_homes(&on, &to, homeless)
        })?;
        let timeout = match timeout {
            -1 => None,
            1.. => Some(Duration::from_millis(timeout as u64)),
            _ => {
                let text = format!(
                    "timeout {timeout} is neither -1, for ever, nor a positive number of milliseconds"
                );
                return Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, text));
            }
        };
        match stream.synchronize(timeout) {
            SUCCESS => Ok(()),
            code => Err(code),
        }
    })
}

/// Gives memory to outputs that have none, which the program has to free, and runs. If that fails they have none again.
fn with_outputs(
    prepared: Prepared,
    run: impl FnOnce(Execution, &Arc<Context>, &[Arc<DataBuffer>]) -> Result<(), aclError>,
) -> Result<(), aclError> {
    let Prepared { model, context, inputs, given, output, buffers, sized, told } = prepared;
    let description = Arc::clone(model.description());
    let mut allocated = Vec::new();
    let result = (|| {
        let mut outputs = Vec::new();
        for (index, (buffer, tensor)) in buffers.iter().zip(&description.outputs).enumerate() {
            let size = tensor.largest_size();
            if buffer.region().address.is_null() && size > 0 {
                let address = context.device().memory().allocate(size, padded(size), PageSize::HugeFirst)?;
                allocated.push((Arc::clone(buffer), address));
                buffer.update(address, size);
            }
            outputs.push(match buffer.region().address.is_null() {
                true => None,
                false => Some(claim::claim(&model, buffer, ("output", index), tensor, sized)?),
            });
        }
        let execution =
            Execution { model: Arc::clone(&model), inputs, outputs, given, told: told.then_some(output) };
        run(execution, &context, &buffers)
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

/// Memory for outputs whose sizes only the execution could tell.
fn give_homes(
    context: &Arc<Context>,
    buffers: &[Arc<DataBuffer>],
    homeless: Vec<(usize, Vec<u8>)>,
) -> Result<(), aclError> {
    for (index, bytes) in homeless {
        let size = bytes.len().max(1);
        let address: *mut c_void =
            context.device().memory().allocate(size, padded(size), PageSize::HugeFirst)?;
        crate::memory::device_range(address, bytes.len())?.open(Access::WRITE)?.write_from(0, &bytes);
        buffers[index].update(address, bytes.len());
    }
    Ok(())
}

/// What `aclrtMalloc` charges: whole pieces of 32 bytes and one more.
fn padded(size: usize) -> usize {
    size.div_ceil(32).saturating_add(1).saturating_mul(32)
}

/// `aclmdlExecuteAsync`: returns when the execution is queued. A model of dynamic shape takes its work memory now, and gives it back before it has run.
pub(crate) fn execute_async(
    id: u32,
    input: *const aclmdlDataset,
    output: *mut aclmdlDataset,
    stream: aclrtStream,
) -> Result<(), aclError> {
    let Prepared { model, inputs, given, output, buffers, sized, told, .. } = prepare(id, input, output)?;
    let handle = stream;
    let stream = resolve_stream(handle)?;
    let outputs = claim::claims(&model, &buffers, "output", &model.description().outputs, sized)?;
    let used = if model.description().dynamic {
        work::take(handle, model.device(), &inputs, &outputs)?
    } else {
        Vec::new()
    };
    let outputs = outputs.into_iter().map(Some).collect();
    let execution = Execution { model, inputs, outputs, given, told: told.then_some(output) };
    let ranges = work::ranges(&used);
    submit(&stream, move || {
        work::use_up(&ranges)?;
        execution.run().map(drop)
    })
}

fn submit(
    stream: &Arc<crate::core::Stream>,
    work: impl Fn() -> Result<(), aclError> + Send + Sync + 'static,
) -> Result<(), aclError> {
    match stream.submit("model execution", Arc::new(work)) {
        SUCCESS => Ok(()),
        code => Err(code),
    }
}
