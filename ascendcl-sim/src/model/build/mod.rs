//! From an ONNX graph to a model: what ATC does on a card's side. The options decide on gears and AIPP, which add inputs; axes that stay
//! open make a model of dynamic shape.

mod outputs;

use std::ffi::CString;

use ascendcl_sys::{self as sys, aclError};

use self::outputs::{device_size, outputs, values_between};
use crate::error::fail;
use crate::model::aipp::config::AippConfig;
use crate::model::aipp::params::data_size;
use crate::model::aipp::process::Plan;
use crate::model::element::{Element, onnx_name};
use crate::model::engine::Program;
use crate::model::graph::{Aipp, Feed, Graph};
use crate::model::onnx::{Declared, Dim, Outline};
use crate::model::options::{Axis, Options};
use crate::model::tensor::{Description, Gears, MAX_DIMS, Tensor};

/// What no device has memory for: the memory of a device of an Atlas 300I.
const MAX_VALUE: usize = 8 << 30;

/// An input of the graph while the model is built.
struct Given {
    name: CString,
    axes: Vec<Dim>,
    ranges: Vec<(i64, i64)>,
    feed: Feed,
}

/// How one input of a model is prepared, for those who ask about AIPP.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AippRole {
    Static(AippConfig),
    /// Images whose parameters are in that input.
    Images {
        params: usize,
        config: AippConfig,
    },
    /// Parameters for the images of that input.
    Params {
        images: usize,
        config: AippConfig,
    },
}

/// A model.
pub(crate) struct Built {
    pub(crate) description: Description,
    pub(crate) graph: Graph,
    /// One for each input of the model.
    pub(crate) aipp: Vec<Option<AippRole>>,
}

/// Builds a model.
pub(crate) fn build(
    outline: &Outline,
    program: Box<dyn Program>,
    options: &Options,
) -> Result<Built, aclError> {
    let mut given =
        outline.inputs.iter().map(|input| given_input(input, options)).collect::<Result<Vec<_>, _>>()?;
    for (name, _) in &options.input_shapes {
        if !outline.inputs.iter().any(|input| input.name == *name) {
            let text = format!("input_shape names the input '{name}', which the model does not have");
            return Err(fail(sys::ACL_ERROR_GE_FAILURE, text));
        }
    }
    let gears = assign_gears(&mut given, options)?;
    let list = gears.list();
    let elements =
        outline.outputs.iter().map(|output| element(output, "output")).collect::<Result<Vec<_>, _>>()?;
    for config in &options.aipp {
        let input = given.get_mut(config.rank).ok_or_else(|| {
            let text = format!("AIPP for input {} of a model with {}", config.rank, outline.inputs.len());
            fail(sys::ACL_ERROR_GE_FAILURE, text)
        })?;
        add_aipp(input, config)?;
    }

    let mut inputs = given.iter().map(|given| input_tensor(given, &list)).collect::<Result<Vec<_>, _>>()?;
    let mut aipp = vec![None; inputs.len()];
    let data_order = match gears.dims.is_empty() {
        true => Vec::new(),
        false => inputs.iter().map(|input| input.name.clone()).collect(),
    };
    let gear_input = list.first().map(|gear| {
        inputs.push(extra(sys::ACL_DYNAMIC_TENSOR_NAME.into(), gear.len(), sys::ACL_INT32, 4));
        aipp.push(None);
        inputs.len() - 1
    });
    for config in &options.aipp {
        if config.dynamic {
            let images = config.rank;
            let name = match inputs.iter().any(|input| input.name.as_c_str() == sys::ACL_DYNAMIC_AIPP_NAME) {
                false => sys::ACL_DYNAMIC_AIPP_NAME.to_owned(),
                true => {
                    let first = sys::ACL_DYNAMIC_AIPP_NAME.to_string_lossy();
                    CString::new(format!("{first}_{images}")).unwrap_or_default()
                }
            };
            let batch = given[images].feed.largest(&list).first().copied().unwrap_or(1);
            let size = data_size(batch.max(1) as u64).unwrap_or(u64::MAX) as usize;
            aipp[images] = Some(AippRole::Images { params: inputs.len(), config: config.clone() });
            given[images].feed.aipp = Aipp::Dynamic { params: inputs.len() };
            // Bytes of images, whatever their size; nobody knows it before the parameters are set.
            let tensor = &mut inputs[images];
            tensor.dims.iter_mut().skip(1).for_each(|dim| *dim = -1);
            tensor.dims_v2.clone_from(&tensor.dims);
            (tensor.data_type, tensor.format) = (sys::ACL_UINT8, sys::ACL_FORMAT_NHWC);
            tensor.size = usize::try_from(config.max_src_image_size).unwrap_or(usize::MAX);
            inputs.push(extra(name, size, sys::ACL_UINT8, 1));
            aipp.push(Some(AippRole::Params { images, config: config.clone() }));
        } else {
            aipp[config.rank] = Some(AippRole::Static(config.clone()));
        }
    }

    let mut graph = Graph {
        program,
        feeds: given.iter().map(|given| given.feed.clone_plain()).collect(),
        outputs: elements,
        gear_input,
        gears: list,
    };
    let symbols: Vec<(&str, usize)> = given.iter().flat_map(Given::symbols).collect();
    let dynamic_inputs = given.iter().any(|given| !given.ranges.is_empty());
    let (outputs, output_shapes) = outputs(outline, &graph, &symbols, dynamic_inputs)?;
    for (feed, given) in graph.feeds.iter_mut().zip(given) {
        *feed = given.feed;
    }

    let tensors = inputs.iter().chain(&outputs).map(|tensor| tensor.size).fold(0, usize::saturating_add);
    let between = values_between(outline, &*graph.program)?;
    let dynamic = dynamic_inputs || outputs.iter().any(Tensor::is_dynamic);
    let description = Description {
        weight_size: device_size(outline.weight_bytes),
        work_size: if dynamic { 0 } else { device_size(tensors.saturating_add(between)) },
        inputs,
        outputs,
        gears,
        output_shapes,
        data_order,
        dynamic,
    };
    Ok(Built { description, graph, aipp })
}

impl Feed {
    /// The shape of the gear with the most elements.
    fn largest(&self, gears: &[Vec<u64>]) -> Vec<i64> {
        let count = |dims: &Vec<i64>| dims.iter().fold(1i64, |count, &dim| count.saturating_mul(dim));
        gears.iter().map(|gear| self.in_gear(gear)).max_by_key(count).unwrap_or_else(|| self.dims.clone())
    }

    /// The same without AIPP: what the graph itself takes.
    fn clone_plain(&self) -> Feed {
        Feed {
            element: self.element,
            dims: self.dims.clone(),
            axes: self.axes.clone(),
            nhwc: self.nhwc,
            aipp: Aipp::None,
        }
    }
}

impl Given {
    /// Names of axes, with the gear's value that they take.
    fn symbols(&self) -> impl Iterator<Item = (&str, usize)> {
        self.axes.iter().zip(&self.feed.axes).filter_map(|(axis, gear)| match (axis, gear) {
            (Dim::Open(name), Some(gear)) if name != "?" => Some((name.as_str(), *gear)),
            _ => None,
        })
    }
}

fn given_input(declared: &Declared, options: &Options) -> Result<Given, aclError> {
    let name = &declared.name;
    let invalid = |text: &dyn std::fmt::Display| fail(sys::ACL_ERROR_GE_SHAPE_INVALID, text);
    let wanted = options.input_shapes.iter().find(|(wanted, _)| wanted == name).map(|(_, axes)| axes);
    let (axes, ranges) = match (&declared.dims, wanted) {
        (None, None) => {
            return Err(invalid(&format_args!(
                "input '{name}' has no shape, and the option input_shape gives it none"
            )));
        }
        (Some(dims), None) => {
            let range = |dim: &Dim| match dim {
                Dim::Fixed(size) => (*size, *size),
                Dim::Open(_) => (1, -1),
            };
            (dims.clone(), dims.iter().map(range).collect())
        }
        (dims, Some(wanted)) => {
            if dims.as_ref().is_some_and(|dims| dims.len() != wanted.len()) {
                let text =
                    format!("input_shape gives input '{name}' {} axes, which it does not have", wanted.len());
                return Err(invalid(&text));
            }
            let axis = |(index, axis): (usize, &Axis)| match (axis, dims.as_ref().map(|dims| &dims[index])) {
                (Axis::Fixed(size), _) => Dim::Fixed(*size),
                (Axis::Range(..), Some(Dim::Open(name))) => Dim::Open(name.clone()),
                (Axis::Range(..), _) => Dim::Open("?".into()),
            };
            let range = |axis: &Axis| match axis {
                Axis::Fixed(size) => (*size, *size),
                Axis::Range(low, high) => (*low, *high),
            };
            (
                wanted.iter().enumerate().map(axis).collect::<Vec<_>>(),
                wanted.iter().map(range).collect::<Vec<_>>(),
            )
        }
    };
    if axes.len() > MAX_DIMS {
        return Err(invalid(&format_args!(
            "input '{name}' has {} dimensions, at most {MAX_DIMS} are allowed",
            axes.len()
        )));
    }
    let open = axes.iter().any(|axis| matches!(axis, Dim::Open(_)));
    let dims = axes.iter().map(|axis| if let Dim::Fixed(size) = axis { *size } else { -1 }).collect();
    let feed = Feed {
        element: element(declared, "input")?,
        dims,
        axes: vec![None; axes.len()],
        nhwc: options.nhwc,
        aipp: Aipp::None,
    };
    // No zero byte is in it: names that hold one are refused when the file is read.
    let name = CString::new(name.as_str()).unwrap_or_default();
    Ok(Given { name, axes, ranges: if open { ranges } else { Vec::new() }, feed })
}

fn element(declared: &Declared, what: &str) -> Result<Element, aclError> {
    let name = &declared.name;
    let refuse = |text: &dyn std::fmt::Display| Err(fail(sys::ACL_ERROR_GE_DATATYPE_INVALID, text));
    let Some(number) = declared.element else {
        return refuse(&format_args!("{what} '{name}' is not declared as a tensor"));
    };
    match Element::from_onnx(number) {
        Some(element) => Ok(element),
        None => {
            let kind = onnx_name(number);
            refuse(&format_args!("{what} '{name}' has elements {kind}, which the simulator does not support"))
        }
    }
}

/// Gives open axes to the values of the gears. Without gears they stay open.
fn assign_gears(given: &mut [Given], options: &Options) -> Result<Gears, aclError> {
    let gears =
        Gears { batch: options.batches.clone(), hw: options.sizes.clone(), dims: options.dims.clone() };
    if gears.is_empty() {
        return Ok(gears);
    }
    let invalid = |text: &dyn std::fmt::Display| fail(sys::ACL_ERROR_GE_SHAPE_INVALID, text);
    let mut next = 0;
    for input in given.iter_mut() {
        input.ranges.clear();
        let rank = input.axes.len();
        for (axis, dim) in input.axes.iter().enumerate() {
            let Dim::Open(name) = dim else { continue };
            let first = if options.nhwc { 1 } else { 2 };
            let value = if !gears.batch.is_empty() {
                (axis == 0).then_some(0)
            } else if !gears.hw.is_empty() {
                (rank == 4 && (first..first + 2).contains(&axis)).then(|| axis - first)
            } else {
                next += 1;
                Some(next - 1)
            };
            input.feed.axes[axis] = Some(value.ok_or_else(|| {
                let input = input.name.to_string_lossy();
                invalid(&format_args!(
                    "input '{input}' has the dynamic dimension '{name}', which no gear decides"
                ))
            })?);
        }
    }
    if gears.dims.iter().any(|gear| gear.len() != next) {
        return Err(invalid(&format_args!(
            "the inputs have {next} open axes, and not every gear has as many values"
        )));
    }
    if given.iter().all(|given| given.feed.axes.iter().all(Option::is_none)) {
        return Err(invalid(&"there are gears, and no axis of an input is open"));
    }
    Ok(gears)
}

fn add_aipp(input: &mut Given, config: &AippConfig) -> Result<(), aclError> {
    let refuse = |text: &dyn std::fmt::Display| fail(sys::ACL_ERROR_GE_FAILURE, format_args!("AIPP: {text}"));
    if input.feed.dims.len() != 4 {
        let name = input.name.to_string_lossy();
        return Err(refuse(&format_args!("input '{name}' has {} axes, not four", input.feed.dims.len())));
    }
    if config.dynamic {
        return Ok(());
    }
    let (height, width) = if input.feed.nhwc { (1, 2) } else { (2, 3) };
    let size = |axis: usize| usize::try_from(input.feed.dims[axis]).ok().filter(|&size| size > 0);
    let (Some(width), Some(height)) = (size(width), size(height)) else {
        return Err(refuse(&"a static one needs images of a fixed size"));
    };
    let plan = Plan::fixed(config, [width, height]).map_err(|why| refuse(&why))?;
    if plan.output() != Some([width, height]) {
        return Err(refuse(&format_args!(
            "it makes {:?} pixels, the model takes {:?}",
            plan.output(),
            [width, height]
        )));
    }
    input.feed.aipp = Aipp::Static(Box::new(plan));
    Ok(())
}

/// Bytes of a shape of positive axes that memory can have.
fn bytes(element: Element, dims: &[i64]) -> Option<usize> {
    let bytes = dims.iter().try_fold(element.size(), |size, &dim| {
        usize::try_from(dim).ok().filter(|&dim| dim > 0).and_then(|dim| size.checked_mul(dim))
    });
    bytes.filter(|&bytes| isize::try_from(bytes).is_ok())
}

fn impossible(what: &str, name: &str, dims: &[i64]) -> aclError {
    fail(sys::ACL_ERROR_GE_SHAPE_INVALID, format_args!("{what} '{name}' has the impossible shape {dims:?}"))
}

/// ATC's default for ONNX: channels first where there are four axes.
fn format(dims: &[i64], nhwc: bool) -> sys::aclFormat {
    match (dims.len(), nhwc) {
        (4, false) => sys::ACL_FORMAT_NCHW,
        (4, true) => sys::ACL_FORMAT_NHWC,
        _ => sys::ACL_FORMAT_ND,
    }
}

fn input_tensor(given: &Given, gears: &[Vec<u64>]) -> Result<Tensor, aclError> {
    let feed = &given.feed;
    let name = given.name.to_string_lossy();
    let largest = feed.largest(gears);
    let size = match given.ranges.is_empty() {
        true => bytes(feed.element, &largest).ok_or_else(|| impossible("input", &name, &largest))?,
        false => {
            let fixed: Vec<i64> = feed.dims.iter().map(|&dim| if dim == -1 { 1 } else { dim }).collect();
            bytes(feed.element, &fixed).ok_or_else(|| impossible("input", &name, &feed.dims))?;
            0
        }
    };
    let mut tensor = Tensor {
        name: given.name.clone(),
        dims: feed.dims.clone(),
        dims_v2: feed.dims.clone(),
        ranges: given.ranges.clone(),
        data_type: feed.element.acl(),
        format: format(&feed.dims, feed.nhwc),
        size,
    };
    if let Aipp::Static(plan) = &feed.aipp {
        let (width, height) = (plan.src[0] as i64, plan.src[1] as i64);
        let shape = plan.format.buffer_shape(width, height);
        let channels = plan.format.channels() as i64;
        tensor.dims = vec![feed.dims[0], height, width, channels];
        tensor.dims_v2 = vec![feed.dims[0], shape[0], shape[1], shape[2]];
        (tensor.data_type, tensor.format) = (sys::ACL_UINT8, sys::ACL_FORMAT_NHWC);
        let image = plan.image_size().and_then(|image| image.checked_mul(usize::try_from(largest[0]).ok()?));
        tensor.size = image.ok_or_else(|| impossible("input", &name, &tensor.dims))?;
    }
    Ok(tensor)
}

/// An input that the graph does not have: a list of numbers.
fn extra(name: CString, count: usize, data_type: sys::aclDataType, element: usize) -> Tensor {
    let dims = vec![count as i64];
    let size = count.saturating_mul(element);
    Tensor {
        name,
        dims_v2: dims.clone(),
        dims,
        ranges: Vec::new(),
        data_type,
        format: sys::ACL_FORMAT_ND,
        size,
    }
}
