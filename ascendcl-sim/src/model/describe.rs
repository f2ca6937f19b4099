//! A model's inputs and outputs as ACL describes them, and how a file becomes a description and a program.
//!
//! Only static shapes: every axis of every input must have a size. (ATC asks for the same, or for gears, when it converts.)

use std::ffi::CString;
use std::fs;
use std::path::Path;

use ascendcl_sys::{self as sys, aclError};

use super::element::{Element, onnx_name};
use super::engine::{LoadFailure, Program, engine};
use super::onnx::{self, Declared, Dim, Outline};
use crate::error::fail;

/// Protocol Buffers messages, and so ONNX files, end at 2 GiB.
const MAX_FILE: u64 = i32::MAX as u64;

/// The first bytes of an OM file.
const OM_MAGIC: &[u8] = b"IMOD";

/// The memory of a device of an Atlas 300I.
const MAX_VALUE: usize = 8 << 30;

/// ACL's arrays of dimensions have this many places.
const MAX_DIMS: usize = 128;

/// One input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tensor {
    pub(crate) name: CString,
    pub(crate) dims: Vec<i64>,
    pub(crate) element: Element,
    /// Bytes.
    pub(crate) size: usize,
}

impl Tensor {
    fn new(declared: &Declared, dims: Vec<i64>, what: &str) -> Result<Tensor, aclError> {
        let name = &declared.name;
        let Some(number) = declared.element else {
            return Err(fail(
                sys::ACL_ERROR_GE_DATATYPE_INVALID,
                format_args!("{what} '{name}' is not declared as a tensor"),
            ));
        };
        let Some(element) = Element::from_onnx(number) else {
            return Err(fail(
                sys::ACL_ERROR_GE_DATATYPE_INVALID,
                format_args!(
                    "{what} '{name}' has elements {}, which the simulator does not support",
                    onnx_name(number)
                ),
            ));
        };
        if dims.len() > MAX_DIMS {
            let code = sys::ACL_ERROR_GE_SHAPE_INVALID;
            return Err(fail(
                code,
                format_args!("{what} '{name}' has {} dimensions, at most {MAX_DIMS} are allowed", dims.len()),
            ));
        }
        let size = dims.iter().try_fold(element.size(), |size, &dim| {
            usize::try_from(dim).ok().filter(|&dim| dim > 0).and_then(|dim| size.checked_mul(dim))
        });
        match size.filter(|&size| isize::try_from(size).is_ok()) {
            Some(size) => {
                // No zero byte is in it: names that hold one are refused when the file is read.
                let name = CString::new(name.as_str()).unwrap_or_default();
                Ok(Tensor { name, dims, element, size })
            }
            None => Err(fail(
                sys::ACL_ERROR_GE_SHAPE_INVALID,
                format_args!("{what} '{name}' has the impossible shape {dims:?}"),
            )),
        }
    }

    /// The shape, for the engine. All axes are positive.
    pub(crate) fn shape(&self) -> Vec<usize> {
        self.dims.iter().map(|&dim| dim as usize).collect()
    }

    /// ATC's default for ONNX: NCHW where there are four axes.
    pub(crate) fn format(&self) -> sys::aclFormat {
        if self.dims.len() == 4 { sys::ACL_FORMAT_NCHW } else { sys::ACL_FORMAT_ND }
    }
}

/// What a model looks like from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) outputs: Vec<Tensor>,
    /// Device bytes for the weights, as `aclmdlQuerySize` tells them. Never 0.
    pub(crate) weight_size: usize,
    /// Device bytes for running. Never 0.
    pub(crate) work_size: usize,
}

/// Reads a model file. The codes are those of the graph engine: 145002 for whatever cannot be read.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, aclError> {
    let refuse = |reason: &dyn std::fmt::Display| {
        let code = sys::ACL_ERROR_GE_EXEC_MODEL_PATH_INVALID;
        Err(fail(code, format_args!("model file '{}' cannot be read: {reason}", path.display())))
    };
    // Opening a pipe or reading a device might never end.
    match fs::metadata(path) {
        Ok(file) if !file.is_file() => refuse(&"it is not a regular file"),
        Ok(file) if file.len() > MAX_FILE => {
            let code = sys::ACL_ERROR_GE_EXEC_MODEL_DATA_SIZE_INVALID;
            Err(fail(
                code,
                format_args!("model file '{}' is larger than the 2 GiB of an ONNX file", path.display()),
            ))
        }
        Ok(_) => fs::read(path).or_else(|error| refuse(&error)),
        Err(error) => refuse(&error),
    }
}

/// Turns the content of a model file into a description and a program.
pub(crate) fn prepare(file: &[u8]) -> Result<(Description, Box<dyn Program>), aclError> {
    let malformed = |text: &dyn std::fmt::Display| fail(sys::ACL_ERROR_GE_EXEC_MODEL_DATA_SIZE_INVALID, text);
    if file.starts_with(OM_MAGIC) {
        return Err(malformed(
            &"this is an OM model, which only a card executes; the simulator executes ONNX, so give it the file that the OM \
             was converted from",
        ));
    }
    let outline = onnx::outline(file).map_err(|reason| {
        malformed(&format_args!("not an ONNX model, or a truncated or malformed one: {reason}"))
    })?;
    if let Some(name) = &outline.external {
        let text = format_args!(
            "the data of weight '{name}' lies in another file, which the simulator does not read"
        );
        return Err(fail(sys::ACL_ERROR_GE_FAILURE, text));
    }
    let inputs = outline.inputs.iter().map(input).collect::<Result<Vec<_>, _>>()?;

    let program = engine().load(file).map_err(|failure| match failure {
        LoadFailure::Malformed(reason) => malformed(&format_args!("truncated or malformed ONNX: {reason}")),
        LoadFailure::Unsupported(reason) => fail(
            sys::ACL_ERROR_GE_FAILURE,
            format_args!("the simulator's engine cannot run this model: {reason}"),
        ),
        LoadFailure::NoEngine => fail(
            sys::ACL_ERROR_GE_FAILURE,
            "this build of the simulator has no ONNX engine; build it with the Cargo feature `onnx`",
        ),
    })?;
    // Sizes are told from what the simulator read, and the engine computes with what it read: they must agree.
    if !program.inputs().iter().map(String::as_str).eq(outline.inputs.iter().map(|input| input.name.as_str()))
    {
        return Err(malformed(&"malformed ONNX: an input has the name of another value"));
    }

    let outputs = outline.outputs.iter().enumerate();
    let outputs = outputs.map(|(index, declared)| output(declared, program.output_shape(index)));
    let outputs = outputs.collect::<Result<Vec<_>, _>>()?;

    let tensors: usize =
        inputs.iter().chain(&outputs).map(|tensor| tensor.size).fold(0, usize::saturating_add);
    let between = values_between(&outline, &*program)?;
    let description = Description {
        weight_size: device_size(outline.weight_bytes),
        work_size: device_size(tensors.saturating_add(between)),
        inputs,
        outputs,
    };
    Ok((description, program))
}

fn input(declared: &Declared) -> Result<Tensor, aclError> {
    let name = &declared.name;
    let Some(dims) = &declared.dims else {
        let text =
            format_args!("input '{name}' has no shape; the simulator runs models with static shapes only");
        return Err(fail(sys::ACL_ERROR_GE_SHAPE_INVALID, text));
    };
    let mut sizes = Vec::with_capacity(dims.len());
    for dim in dims {
        match dim {
            Dim::Fixed(size) => sizes.push(*size),
            Dim::Open(axis) => {
                return Err(fail(
                    sys::ACL_ERROR_GE_SHAPE_INVALID,
                    format_args!(
                        "input '{name}' has the dynamic dimension '{axis}'; the simulator runs models with static shapes only, \
                         so export the model with a fixed size for it"
                    ),
                ));
            }
        }
    }
    Tensor::new(declared, sizes, "input")
}

/// Bytes of all values inside the graph whose shapes are known, as if none made room for another.
///
/// A shape gone wrong can ask for more memory than there is, and a failed allocation in the engine ends the process. A value that
/// no device could hold is refused here.
fn values_between(outline: &Outline, program: &dyn Program) -> Result<usize, aclError> {
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

/// Exporters often leave an output's shape open although the inputs decide it; then the engine's word counts. Where both have one,
/// the sizes must agree: the memory that the program provides is as large as the file says.
fn output(declared: &Declared, inferred: Option<Vec<i64>>) -> Result<Tensor, aclError> {
    let fixed = |dim: &Dim| if let Dim::Fixed(size) = dim { Some(*size) } else { None };
    let count = |dims: &[i64]| dims.iter().try_fold(1i64, |count, &dim| count.checked_mul(dim));
    let told: Option<Vec<i64>> = declared.dims.as_ref().and_then(|dims| dims.iter().map(fixed).collect());
    match (told, inferred) {
        (Some(told), Some(inferred)) if count(&told) != count(&inferred) => Err(fail(
            sys::ACL_ERROR_GE_EXEC_MODEL_DATA_SIZE_INVALID,
            format_args!(
                "malformed ONNX: output '{}' is declared with the shape {told:?}, and the graph computes {inferred:?}",
                declared.name
            ),
        )),
        (Some(dims), _) | (None, Some(dims)) => Tensor::new(declared, dims, "output"),
        (None, None) => Err(fail(
            sys::ACL_ERROR_GE_SHAPE_INVALID,
            format_args!(
                "the shape of output '{}' depends on the data; the simulator runs models with static shapes only",
                declared.name
            ),
        )),
    }
}

/// Device memory comes in pieces of 512 bytes.
fn device_size(bytes: usize) -> usize {
    bytes.max(1).checked_next_multiple_of(512).unwrap_or(usize::MAX)
}
