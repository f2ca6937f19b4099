//! The graph of an OM model, as far as it tells what the model was made for and what happens to its inputs.

use super::aipp;
use super::attributes::{self, Attribute};
use super::error::{Error, Fault};
use super::model::{Aipp, Tensor};
use super::names;
use super::source::{Source, Span};
use super::wire::{Fields, Value, integers};
use super::{MAX_AXES, MAX_TENSORS, MAX_TEXT};

/// Operators that stand for inputs.
const INPUT_TYPES: [&str; 5] = ["Data", "AnnData", "AippData", "RefData", "QueueData"];
const OUTPUT_TYPES: [&str; 2] = ["NetOutput", "AnnNetOutput"];
/// Command lines of ATC are long.
const MAX_COMMAND: u64 = 64 << 10;

/// What the graph tells.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// What the model says of itself: `soc_version` and the like.
    pub(crate) text: Vec<(&'static str, String)>,
    pub(crate) numbers: Vec<(&'static str, i64)>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<Tensor>,
}

/// An input, with its place among them.
#[derive(Debug, Default)]
pub(crate) struct Input {
    index: i64,
    pub(crate) tensor: Tensor,
    /// Whether it has the parameters of dynamic AIPP.
    pub(crate) is_parameters: bool,
}

/// Attributes of the model that are told.
const TEXT: [&str; 8] = [
    "soc_version",
    "atc_version",
    "atc_cmdline",
    "framework_type",
    "opp_version",
    "compiler_version",
    "host_env_os",
    "host_env_cpu",
];
const NUMBERS: [&str; 4] = ["memory_size", "weight_size", "stream_num", "event_num"];

/// Reads the partition.
pub(crate) fn read(source: &Source, partition: Span) -> Result<Graph, Fault> {
    let mut graph = Graph::default();
    let mut names = Vec::new();
    let mut main = None;
    for field in Fields::of(source, partition) {
        match field? {
            // The first graph is the main one; the others are bodies of its operators.
            (7, Value::Bytes(span)) => main = main.or(Some(span)),
            (11, Value::Bytes(span)) => {
                let Some((name, value)) = attributes::entry(source, span)? else { continue };
                if let Some(known) = TEXT.iter().find(|known| **known == name) {
                    if let Some(span) = value.text() {
                        graph.text.retain(|(name, _)| name != known);
                        graph.text.push((known, source.text(span, MAX_COMMAND)?));
                    }
                } else if let Some(known) = NUMBERS.iter().find(|known| **known == name) {
                    if let Some(number) = value.int() {
                        graph.numbers.retain(|(name, _)| name != known);
                        graph.numbers.push((known, number));
                    }
                } else if name == "_out_nodes_name"
                    && let Attribute::List(list) = value
                {
                    names = output_names(source, list)?;
                }
            }
            _ => {}
        }
    }
    if let Some(main) = main {
        for field in Fields::of(source, main) {
            if let (6, Value::Bytes(operator)) = field? {
                read_operator(source, operator, &mut graph)?;
            }
        }
    }
    graph.inputs.sort_by_key(|input| input.index);
    if names.len() == graph.outputs.len() {
        for (output, name) in graph.outputs.iter_mut().zip(names) {
            output.name = name;
        }
    }
    Ok(graph)
}

fn output_names(source: &Source, list: Span) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    for field in Fields::of(source, list) {
        if let (2, Value::Bytes(name)) = field? {
            if names.len() == MAX_TENSORS {
                return Err(Error::TooMany { what: "names of outputs", most: MAX_TENSORS }.into());
            }
            names.push(source.text(name, MAX_TEXT)?);
        }
    }
    Ok(names)
}

fn read_operator(source: &Source, operator: Span, graph: &mut Graph) -> Result<(), Fault> {
    let mut kind = None;
    for field in Fields::of(source, operator) {
        if let (2, Value::Bytes(span)) = field? {
            kind = Some(span);
            break;
        }
    }
    let Some(kind) = kind else { return Ok(()) };
    let is_one_of = |types: &[&str]| -> Result<bool, Fault> {
        for name in types {
            if source.is(kind, name)? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    if is_one_of(&INPUT_TYPES)? {
        if graph.inputs.len() == MAX_TENSORS {
            return Err(Error::TooMany { what: "inputs", most: MAX_TENSORS }.into());
        }
        graph.inputs.push(read_input(source, operator)?);
    } else if is_one_of(&OUTPUT_TYPES)? {
        read_outputs(source, operator, &mut graph.outputs)?;
    }
    Ok(())
}

fn read_input(source: &Source, operator: Span) -> Result<Input, Fault> {
    let mut input = Input::default();
    let mut described = false;
    let (mut name, mut mode, mut parameters, mut settings) = (String::new(), String::new(), None, None);
    for field in Fields::of(source, operator) {
        match field? {
            (1, Value::Bytes(span)) => name = source.text(span, MAX_TEXT)?,
            (33, Value::Bytes(description)) if !described => {
                input.tensor = read_tensor(source, description)?;
                described = true;
            }
            (10, Value::Bytes(entry)) => match attributes::entry(source, entry)? {
                Some((key, value)) if key == "index" => input.index = value.int().unwrap_or(0),
                Some((key, Attribute::Text(span))) if key == "_data_related_aipp_mode" => {
                    mode = source.text(span, MAX_TEXT)?;
                }
                Some((key, Attribute::Text(span))) if key == "_data_aipp_data_name_map" => {
                    parameters = Some(source.text(span, MAX_TEXT)?);
                }
                Some((key, Attribute::Named(span))) if key == "aipp" => settings = Some(span),
                _ => {}
            },
            _ => {}
        }
    }
    input.tensor.name = name;
    input.is_parameters = mode == "dynamic_aipp_conf";
    if !mode.is_empty() {
        let mut aipp = match settings {
            Some(settings) => aipp::read(source, settings)?,
            None => Aipp::default(),
        };
        aipp.mode = match mode.as_str() {
            "static_aipp" => "static".to_owned(),
            "dynamic_aipp" | "dynamic_aipp_conf" => "dynamic".to_owned(),
            other => other.to_owned(),
        };
        aipp.parameters = parameters;
        input.tensor.aipp = Some(aipp);
    }
    Ok(input)
}

/// The outputs are what goes into this operator.
fn read_outputs(source: &Source, operator: Span, outputs: &mut Vec<Tensor>) -> Result<(), Fault> {
    let (mut found, mut sources) = (Vec::new(), Vec::new());
    for field in Fields::of(source, operator) {
        match field? {
            (33, Value::Bytes(description)) => {
                if outputs.len() + found.len() == MAX_TENSORS {
                    return Err(Error::TooMany { what: "outputs", most: MAX_TENSORS }.into());
                }
                found.push(read_tensor(source, description)?);
            }
            // Which operators they come from.
            (24, Value::Bytes(name)) => {
                if sources.len() == MAX_TENSORS {
                    return Err(Error::TooMany { what: "outputs", most: MAX_TENSORS }.into());
                }
                sources.push(source.text(name, MAX_TEXT)?);
            }
            _ => {}
        }
    }
    for (index, tensor) in found.iter_mut().enumerate() {
        // As the runtime names them.
        tensor.name = match sources.get(index) {
            Some(source) => format!("output_{index}_{source}_0"),
            None => format!("output_{index}"),
        };
    }
    outputs.extend(found);
    Ok(())
}

fn read_tensor(source: &Source, description: Span) -> Result<Tensor, Fault> {
    let mut tensor =
        Tensor { data_type: names::data_type(-1), format: names::format(-1), ..Tensor::default() };
    let mut size = 0;
    for field in Fields::of(source, description) {
        match field? {
            (2, Value::Varint(number)) => tensor.data_type = names::graph_data_type(number as i64),
            (3, Value::Bytes(shape)) => {
                for field in Fields::of(source, shape) {
                    if let (1, value) = field? {
                        integers(source, value, &mut tensor.dims, MAX_AXES, "axes")?;
                    }
                }
            }
            (4, Value::Bytes(layout)) => tensor.format = source.text(layout, MAX_TEXT)?,
            (10, value) => size = value.int().unwrap_or(0),
            _ => {}
        }
    }
    tensor.bytes = u64::try_from(size).ok().filter(|&size| size > 0);
    Ok(tensor)
}
