//! The outputs of a model: their shapes, in each gear, and the memory that running takes.

use std::ffi::CString;

use ascendcl_sys::{self as sys, aclError};

use super::{MAX_VALUE, bytes, format, impossible};
use crate::error::fail;
use crate::model::engine::{Input, Program};
use crate::model::graph::Graph;
use crate::model::onnx::{Dim, Outline};
use crate::model::tensor::{MAX_DIMS, Tensor};

/// The outputs, and their shapes by gear.
pub(super) fn outputs(
    outline: &Outline,
    graph: &Graph,
    symbols: &[(&str, usize)],
    dynamic: bool,
) -> Result<(Vec<Tensor>, Vec<Vec<i64>>), aclError> {
    let known = (0..outline.outputs.len()).map(|index| known_shape(outline, graph, index, dynamic));
    let known = known.collect::<Result<Vec<_>, _>>()?;
    let mut by_gear: Vec<Vec<Vec<i64>>> = Vec::new();
    for gear in &graph.gears {
        let resolve = |dims: &Vec<Dim>| dims.iter().map(|dim| resolve(dim, symbols, gear)).collect();
        let shapes: Option<Vec<Vec<i64>>> = known.iter().map(resolve).collect();
        by_gear.push(match shapes {
            Some(shapes) => shapes,
            None => try_out(graph, gear)?,
        });
    }
    let mut tensors = Vec::new();
    for (index, (declared, known)) in outline.outputs.iter().zip(&known).enumerate() {
        let element = graph.outputs[index];
        let open: Vec<i64> =
            known.iter().map(|dim| if let Dim::Fixed(size) = dim { *size } else { -1 }).collect();
        let shapes = by_gear.iter().map(|shapes| &shapes[index]);
        let largest =
            shapes.max_by_key(|dims| dims.iter().fold(1i64, |count, &dim| count.saturating_mul(dim)));
        let dims = largest.unwrap_or(&open).clone();
        if dims.len() > MAX_DIMS {
            let text = format!(
                "output '{}' has {} dimensions, at most {MAX_DIMS} are allowed",
                declared.name,
                dims.len()
            );
            return Err(fail(sys::ACL_ERROR_GE_SHAPE_INVALID, text));
        }
        let is_open = dims.contains(&-1) && known.iter().any(|dim| matches!(dim, Dim::Open(_)));
        let size = if is_open {
            0
        } else {
            bytes(element, &dims).ok_or_else(|| impossible("output", &declared.name, &dims))?
        };
        let range = |&dim: &i64| if dim == -1 { (1, -1) } else { (dim, dim) };
        tensors.push(Tensor {
            name: CString::new(declared.name.as_str()).unwrap_or_default(),
            ranges: if is_open { dims.iter().map(range).collect() } else { Vec::new() },
            dims_v2: dims.clone(),
            format: format(&dims, graph.feeds.first().is_some_and(|feed| feed.nhwc)),
            dims,
            data_type: element.acl(),
            size,
        });
    }
    let mut shapes = Vec::new();
    for (gear, outputs) in by_gear.iter().enumerate() {
        for (index, dims) in outputs.iter().enumerate() {
            shapes.push([gear as i64, index as i64].iter().chain(dims).copied().collect());
        }
    }
    Ok((tensors, shapes))
}

/// What the file and the engine know about an output's shape. Exporters often leave it open although the inputs decide it; then the engine's
/// word counts. Where both have one, the sizes must agree: the memory that the program provides is as large as the file says.
fn known_shape(outline: &Outline, graph: &Graph, index: usize, dynamic: bool) -> Result<Vec<Dim>, aclError> {
    let declared = &outline.outputs[index];
    let fixed = |dims: &[Dim]| {
        let sizes = dims.iter().map(|dim| if let Dim::Fixed(size) = dim { Some(*size) } else { None });
        sizes.collect::<Option<Vec<i64>>>()
    };
    let count = |dims: &[i64]| dims.iter().try_fold(1i64, |count, &dim| count.checked_mul(dim));
    // With the shapes that the file has, not those that options gave to open axes.
    let inferred = graph.program.output_shape(index);
    let told = declared.dims.as_deref().and_then(fixed);
    let worked_out = inferred.as_deref().and_then(fixed);
    let open = dynamic || graph.gear_input.is_some();
    match (told, worked_out) {
        (Some(told), Some(worked_out)) if count(&told) != count(&worked_out) && !open => Err(fail(
            sys::ACL_ERROR_GE_EXEC_MODEL_DATA_SIZE_INVALID,
            format_args!(
                "malformed ONNX: output '{}' is declared with the shape {told:?}, and the graph computes {worked_out:?}",
                declared.name
            ),
        )),
        (Some(told), _) => Ok(told.into_iter().map(Dim::Fixed).collect()),
        (None, Some(worked_out)) => Ok(worked_out.into_iter().map(Dim::Fixed).collect()),
        (None, None) => declared.dims.clone().or(inferred).ok_or_else(|| {
            fail(
                sys::ACL_ERROR_GE_SHAPE_INVALID,
                format_args!(
                    "the shape of output '{}' depends on the data, and not even its rank is known",
                    declared.name
                ),
            )
        }),
    }
}

fn resolve(dim: &Dim, symbols: &[(&str, usize)], gear: &[u64]) -> Option<i64> {
    match dim {
        Dim::Fixed(size) => Some(*size),
        Dim::Open(name) => {
            let (_, value) = symbols.iter().find(|(symbol, _)| symbol == name)?;
            gear.get(*value).map(|&value| value as i64)
        }
    }
}

/// Shapes of the outputs in a gear that nothing else tells: from running it on zeros.
fn try_out(graph: &Graph, gear: &[u64]) -> Result<Vec<Vec<i64>>, aclError> {
    let refuse = |text: &dyn std::fmt::Display| {
        fail(sys::ACL_ERROR_GE_FAILURE, format_args!("the model does not run in its gear {gear:?}: {text}"))
    };
    let mut contents = Vec::new();
    for feed in &graph.feeds {
        let dims = feed.in_gear(gear);
        let size = bytes(feed.element, &dims).filter(|&size| size <= MAX_VALUE);
        let size = size.ok_or_else(|| refuse(&format_args!("an input would have the shape {dims:?}")))?;
        contents.push((dims.iter().map(|&dim| dim as usize).collect::<Vec<_>>(), vec![0u8; size]));
    }
    let feeds = graph.feeds.iter().zip(&contents);
    let inputs: Vec<Input<'_>> =
        feeds.map(|(feed, (shape, bytes))| Input { element: feed.element, shape, bytes }).collect();
    let outputs = graph.program.run(&inputs, &graph.outputs).map_err(|why| refuse(&why))?;
    Ok(outputs.iter().map(|output| output.shape.iter().map(|&dim| dim as i64).collect()).collect())
}

/// Bytes of all values inside the graph whose shapes are known, as if none made room for another.
///
/// A shape gone wrong can ask for more memory than there is, and a failed allocation in the engine ends the process. A value that
/// no device could hold is refused here.
pub(super) fn values_between(outline: &Outline, program: &dyn Program) -> Result<usize, aclError> {
    let mut sum = 0usize;
    for name in &outline.computed {
        let Some(shape) = program.value_shape(name) else { continue };
        // Elements are 4 bytes at most inside the engine.
        let bytes =
            shape.iter().try_fold(4usize, |bytes, &dim| bytes.checked_mul(usize::try_from(dim).ok()?));
        match bytes.filter(|&bytes| bytes <= MAX_VALUE) {
            Some(bytes) => sum = sum.saturating_add(bytes),
            None => {
                return Err(fail(
                    sys::ACL_ERROR_GE_MEMORY_ALLOCATION,
                    format_args!(
                        "value '{name}' of the model has the shape {shape:?}, which no device has memory for"
                    ),
                ));
            }
        }
    }
    Ok(sum)
}

/// Device memory comes in pieces of 512 bytes.
pub(super) fn device_size(bytes: usize) -> usize {
    bytes.max(1).checked_next_multiple_of(512).unwrap_or(usize::MAX)
}
