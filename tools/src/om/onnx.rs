//! What an ONNX file says of its model. The graph itself is passed over, and weights are not read.

use std::collections::HashSet;

use super::error::{Error, Fault};
use super::model::{Axis, OnnxModel, OnnxTensor};
use super::names;
use super::source::{Source, Span};
use super::wire::{Fields, Value, integers};
use super::{MAX_AXES, MAX_TENSORS, MAX_TEXT};

/// Sets of operators, properties: a handful.
const MAX_ENTRIES: usize = 1024;
/// Options of the simulator's converter begin with this.
const OPTION_PREFIX: &str = "ascendcl.";

/// Reads a whole file.
pub(crate) fn read(source: &Source) -> Result<OnnxModel, Fault> {
    let file = source.whole();
    let mut model = OnnxModel::default();
    let (mut graph, mut version, mut producer_version) = (None, None, String::new());
    let fault = |at: u64, why: &str| Fault::Malformed { at, why: why.to_owned() };
    for field in Fields::of(source, file) {
        match field? {
            (1, value) => version = value.int(),
            (2, Value::Bytes(name)) => model.producer = source.text(name, MAX_TEXT)?,
            (3, Value::Bytes(text)) => producer_version = source.text(text, MAX_TEXT)?,
            // Two parts of one message are to be merged, says the format; no exporter writes that.
            (7, Value::Bytes(span)) if graph.is_some() => {
                return Err(fault(span.start, "it holds two graphs"));
            }
            (7, Value::Bytes(span)) => graph = Some(span),
            (8, Value::Bytes(set)) => {
                check_room(model.operator_sets.len(), "operator sets")?;
                model.operator_sets.push(operator_set(source, set)?);
            }
            (14, Value::Bytes(property)) => {
                if let Some(option) = option(source, property)? {
                    check_room(model.simulator_options.len(), "options")?;
                    model.simulator_options.push(option);
                }
            }
            _ => {}
        }
    }
    if !producer_version.is_empty() {
        model.producer = format!("{} {producer_version}", model.producer).trim_start().to_owned();
    }
    model.ir_version = version.ok_or_else(|| fault(file.end, "it has no IR version"))?;
    let graph = graph.ok_or_else(|| fault(file.end, "it has no graph"))?;
    if model.operator_sets.is_empty() {
        return Err(fault(file.end, "it names no operator set"));
    }
    read_graph(source, graph, &mut model)?;
    Ok(model)
}

fn check_room(count: usize, what: &'static str) -> Result<(), Fault> {
    if count < MAX_ENTRIES { Ok(()) } else { Err(Error::TooMany { what, most: MAX_ENTRIES }.into()) }
}

fn operator_set(source: &Source, set: Span) -> Result<(String, i64), Fault> {
    let (mut domain, mut version) = (String::new(), 0);
    for field in Fields::of(source, set) {
        match field? {
            (1, Value::Bytes(name)) => domain = source.text(name, MAX_TEXT)?,
            (2, value) => version = value.int().unwrap_or(0),
            _ => {}
        }
    }
    Ok((if domain.is_empty() { "ai.onnx".to_owned() } else { domain }, version))
}

/// A property, if it is an option of the simulator's converter.
fn option(source: &Source, property: Span) -> Result<Option<(String, String)>, Fault> {
    let (mut key, mut value) = (String::new(), String::new());
    for field in Fields::of(source, property) {
        match field? {
            (1, Value::Bytes(text)) => key = source.text(text, MAX_TEXT)?,
            (2, Value::Bytes(text)) => value = source.text(text, MAX_TEXT)?,
            _ => {}
        }
    }
    Ok(key.strip_prefix(OPTION_PREFIX).map(|key| (key.to_owned(), value)))
}

fn read_graph(source: &Source, graph: Span, model: &mut OnnxModel) -> Result<(), Fault> {
    let mut has_sparse = false;
    for field in Fields::of(source, graph) {
        let (number, value) = field?;
        let Some(span) = value.bytes() else { continue };
        match number {
            1 => model.operators += 1,
            2 => model.name = source.text(span, MAX_TEXT)?,
            11 | 12 => {
                let tensors = if number == 11 { &mut model.inputs } else { &mut model.outputs };
                if tensors.len() == MAX_TENSORS {
                    return Err(Error::TooMany { what: "inputs or outputs", most: MAX_TENSORS }.into());
                }
                tensors.push(read_value(source, span)?);
            }
            15 => has_sparse = true,
            _ => {}
        }
    }
    if model.outputs.is_empty() {
        return Err(Fault::Malformed { at: graph.start, why: "its graph has no output".into() });
    }
    // Again, now that the inputs are known: files of IR version 3 list their weights among them.
    let mut inputs: HashSet<String> = model.inputs.iter().map(|input| input.name.clone()).collect();
    for field in Fields::of(source, graph) {
        if let (5, Value::Bytes(tensor)) = field? {
            let name = read_weight(source, tensor, model)?;
            inputs.remove(&name);
        }
    }
    model.inputs.retain(|input| inputs.contains(&input.name));
    if has_sparse {
        model.notes.push("it has sparse weights, which are not counted".into());
    }
    if model.weights.external > 0 {
        model.notes.push(format!(
            "{} of its weights lie in other files, which must stay beside this one; the simulator does not read them",
            model.weights.external
        ));
    }
    Ok(())
}

/// Counts a weight; gives its name.
fn read_weight(source: &Source, tensor: Span, model: &mut OnnxModel) -> Result<String, Fault> {
    let (mut name, mut dims, mut kind, mut external) = (String::new(), Vec::new(), 0, false);
    for field in Fields::of(source, tensor) {
        match field? {
            (1, value) => integers(source, value, &mut dims, MAX_AXES, "axes")?,
            (2, value) => kind = value.int().unwrap_or(0),
            (8, Value::Bytes(text)) => name = source.text(text, MAX_TEXT)?,
            (14, Value::Varint(location)) => external = location == 1,
            _ => {}
        }
    }
    let elements = elements(&dims).unwrap_or(0);
    let weights = &mut model.weights;
    weights.tensors += 1;
    weights.elements = weights.elements.saturating_add(elements);
    weights.bytes = weights.bytes.saturating_add(bytes(elements, names::onnx_type(kind).1).unwrap_or(0));
    weights.external += u64::from(external);
    Ok(name)
}

/// The product, if no axis is negative and it fits.
fn elements(dims: &[i64]) -> Option<u64> {
    dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(u64::try_from(dim).ok()?))
}

/// Elements smaller than a byte are packed.
fn bytes(elements: u64, bits: Option<u64>) -> Option<u64> {
    Some(elements.checked_mul(bits?)?.div_ceil(8))
}

fn read_value(source: &Source, value: Span) -> Result<OnnxTensor, Fault> {
    let mut tensor = OnnxTensor::default();
    for field in Fields::of(source, value) {
        match field? {
            (1, Value::Bytes(name)) => tensor.name = source.text(name, MAX_TEXT)?,
            (2, Value::Bytes(kind)) => {
                for field in Fields::of(source, kind) {
                    if let (1, Value::Bytes(definition)) = field? {
                        read_type(source, definition, &mut tensor)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(tensor)
}

fn read_type(source: &Source, definition: Span, tensor: &mut OnnxTensor) -> Result<(), Fault> {
    let (mut bits, mut dims) = (None, None);
    for field in Fields::of(source, definition) {
        match field? {
            (1, value) => {
                let (name, size) = names::onnx_type(value.int().unwrap_or(0));
                (tensor.data_type, bits) = (Some(name), size);
            }
            (2, Value::Bytes(shape)) => {
                let axes = dims.insert(Vec::new());
                for field in Fields::of(source, shape) {
                    if let (1, Value::Bytes(axis)) = field? {
                        if axes.len() == MAX_AXES {
                            return Err(Error::TooMany { what: "axes", most: MAX_AXES }.into());
                        }
                        axes.push(read_axis(source, axis)?);
                    }
                }
            }
            _ => {}
        }
    }
    let fixed = |axis: &Axis| if let Axis::Fixed(size) = axis { Some(*size) } else { None };
    let sizes: Option<Vec<i64>> = dims.as_ref().and_then(|axes| axes.iter().map(fixed).collect());
    tensor.bytes = sizes.and_then(|sizes| bytes(elements(&sizes)?, bits));
    tensor.dims = dims;
    Ok(())
}

fn read_axis(source: &Source, axis: Span) -> Result<Axis, Fault> {
    let mut read = Axis::Open(String::new());
    for field in Fields::of(source, axis) {
        match field? {
            // Some exporters write open axes as negative ones.
            (1, Value::Varint(size)) if (size as i64) < 0 => read = Axis::Open(String::new()),
            (1, Value::Varint(size)) => read = Axis::Fixed(size as i64),
            (2, Value::Bytes(name)) => read = Axis::Open(source.text(name, MAX_TEXT)?),
            _ => {}
        }
    }
    Ok(read)
}
