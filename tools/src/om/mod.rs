//! `om-info`: what a model expects, read from its file alone. No card is needed, and no CANN.
//!
//! Only what is told is read; weights, which are most of a file, are passed over. So a file of many gigabytes takes no memory and no time,
//! and one whose lengths are lies is an error.

mod aipp;
mod attributes;
mod container;
mod error;
mod graph;
mod inout;
pub mod model;
mod names;
mod onnx;
mod print;
mod source;
mod wire;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde::Serialize;

use crate::text;
use container::{BUNDLE, FLOW, HEADER, Header, MAGIC, Part, find, kind};
pub use error::{Error, Result};
use graph::Graph;
use model::{Bundle, Content, DescribedBy, Memory, OmModel, Partition, Role};
use source::{Source, Span};
use wire::{Fields, Value};

/// More than any model has.
const MAX_TENSORS: usize = 4096;
const MAX_AXES: usize = 128;
const MAX_MODELS: usize = 256;
/// What is kept of a name.
const MAX_TEXT: u64 = 4096;

const USAGE: &str = "\
Prints what a model expects: inputs, outputs, gears, AIPP, memory, chip. No card is needed.

Usage: om-info [--json] FILE

FILE is an OM model (of ATC, or of the simulator's converter) or an ONNX model.

  --json        JSON instead of text
  -h, --help    this text
  --version     the version

Exit code: 0; 1 if the file cannot be described; 2 if the command line is wrong.
";

/// What a file says, for output.
#[derive(Serialize)]
struct Report<'a> {
    file: String,
    bytes: u64,
    #[serde(flatten)]
    content: &'a Content,
}

/// Describes a file.
///
/// # Errors
///
/// If it cannot be read, is no model, or is a malformed one.
pub fn describe(path: &Path) -> Result<Content> {
    read(&Source::open(path)?)
}

/// Describes a model that is in memory.
///
/// # Errors
///
/// As [`describe`].
pub fn describe_bytes(file: Vec<u8>) -> Result<Content> {
    read(&Source::memory(file))
}

fn read(source: &Source) -> Result<Content> {
    let file = source.whole();
    let mut magic = [0; 4];
    if file.length() < magic.len() as u64 {
        return Err(Error::NotAModel(format!("it has {} bytes", file.length())));
    }
    source.read(0, &mut magic)?;
    if &magic == MAGIC {
        return read_om_file(source, file);
    }
    match onnx::read(source).map_err(error::Fault::onnx) {
        Ok(model) => Ok(Content::Onnx(model)),
        // Exporters start with the version of the format.
        Err(error @ Error::BadOnnx { .. }) if magic[0] == 0x08 => Err(error),
        Err(Error::BadOnnx { .. }) => Err(Error::NotAModel(match &magic {
            b"PK\x03\x04" => "it is a ZIP archive; unpack it first".to_owned(),
            b"\x1f\x8b\x08\x00" | b"\x1f\x8b\x08\x08" => {
                "it is compressed with gzip; unpack it first".to_owned()
            }
            b"vers" => "it is a Git LFS pointer; fetch the file with `git lfs pull`".to_owned(),
            _ => format!("it begins with the bytes {magic:02x?}"),
        })),
        Err(error) => Err(error),
    }
}

fn read_om_file(source: &Source, file: Span) -> Result<Content> {
    let (header, content) = Header::read(source, file)?;
    if header.model_type() != BUNDLE {
        return read_om(source, file).map(Content::Om);
    }
    let (parts, _) = header.partitions(source, content)?;
    let mut bundle = Bundle { variable_bytes: None, models: Vec::new() };
    for part in parts {
        match part.kind {
            kind::BUNDLE_MODEL_VAR_INFO if part.span.length() >= 8 => {
                let mut bytes = [0; 8];
                source.read(part.span.start, &mut bytes)?;
                bundle.variable_bytes = Some(u64::from_le_bytes(bytes));
            }
            kind::BUNDLE_MODEL_INFO => {
                if bundle.models.len() == MAX_MODELS {
                    return Err(Error::TooMany { what: "models", most: MAX_MODELS });
                }
                bundle.models.push(read_om(source, part.span)?);
            }
            _ => {}
        }
    }
    Ok(Content::Bundle(bundle))
}

fn read_om(source: &Source, span: Span) -> Result<OmModel> {
    let (header, content) = Header::read(source, span)?;
    let mut model = OmModel {
        name: header.text(84, 32),
        version: format!("{:#x}", header.version()),
        model_type: names::model_type(header.model_type()),
        encrypted: header.is_encrypted(),
        dynamic_shape: header.is_dynamic(),
        ..OmModel::default()
    };
    if header.u32(4) != HEADER as u32 {
        model.notes.push(format!("its header says that it has {} bytes instead of {HEADER}", header.u32(4)));
    }
    if model.encrypted {
        model.notes.push("it is encrypted: more can be said only with its key".into());
        return Ok(model);
    }
    if header.model_type() == BUNDLE {
        return container::bad(span.start, "a bundle in a bundle");
    }
    let (parts, behind) = header.partitions(source, content)?;
    if behind > 0 {
        model.notes.push(format!("{behind} bytes behind its last partition belong to nothing"));
    }
    model.partitions = parts.iter().map(partition).collect();
    model.for_simulator = find(&parts, kind::SIMULATOR).is_some();
    if let Some(span) = find(&parts, kind::MODEL_INOUT_INFO) {
        inout::read(source, span, &mut model)?;
        model.described_by = DescribedBy::Partition;
    }
    match find(&parts, kind::MODEL_DEF).map(|span| graph::read(source, span).map_err(error::Fault::om)) {
        None => {}
        Some(Ok(graph)) => add_graph(graph, &mut model),
        // Without the graph a description is of use all the same.
        Some(Err(Error::BadOm { at, why })) if model.described_by == DescribedBy::Partition => {
            model
                .notes
                .push(format!("chip and AIPP are not known: its graph cannot be read: {why} (at byte {at})"));
        }
        Some(Err(error)) => return Err(error),
    }
    add_memory(source, &parts, &mut model)?;
    if header.model_type() == FLOW {
        model.notes.push("it is a flow of several models, which are not described one by one".into());
    }
    if model.for_simulator {
        model
            .notes
            .push("it was made by the simulator's converter: the simulator runs it, a card does not".into());
    }
    if model.described_by == DescribedBy::Nothing {
        model.notes.push("it has no description of its inputs and outputs".into());
    }
    Ok(model)
}

fn partition(part: &Part) -> Partition {
    Partition { table: part.table, name: names::partition(part.kind), bytes: part.span.length() }
}

fn add_graph(graph: Graph, model: &mut OmModel) {
    for (name, text) in graph.text {
        let text = Some(text).filter(|text| !text.is_empty());
        let made_by = &mut model.made_by;
        match name {
            "soc_version" => model.soc_version = text,
            "atc_version" => made_by.atc_version = text,
            "atc_cmdline" => made_by.atc_command = text,
            "framework_type" => made_by.framework = text.map(|number| names::framework(&number)),
            "opp_version" => made_by.opp_version = text,
            "compiler_version" => made_by.compiler_version = text,
            "host_env_os" => made_by.host_os = text,
            _ => made_by.host_cpu = text,
        }
    }
    for (name, number) in graph.numbers {
        match name {
            "memory_size" => model.memory.work_bytes = u64::try_from(number).ok(),
            "stream_num" => model.memory.streams = Some(number),
            "event_num" => model.memory.events = Some(number),
            _ => {}
        }
    }
    if model.described_by == DescribedBy::Nothing && !(graph.inputs.is_empty() && graph.outputs.is_empty()) {
        model.described_by = DescribedBy::Graph;
        model.notes.push(
            "it has no description apart from its graph, as files of older releases; gears are not told there".into(),
        );
        model.outputs = graph.outputs;
        model.inputs = graph.inputs.iter().map(|input| input.tensor.clone()).collect();
    }
    for input in &mut model.inputs {
        let node = graph.inputs.iter().find(|node| node.tensor.name == input.name);
        input.aipp = node.and_then(|node| node.tensor.aipp.clone());
        if input.name == "ascend_mbatch_shape_data" {
            input.role = Role::Gear;
        } else if node.is_some_and(|node| node.is_parameters) {
            input.role = Role::AippParameters;
        }
    }
}

fn add_memory(source: &Source, parts: &[Part], model: &mut OmModel) -> Result<()> {
    // Without a graph these names are all there is.
    for input in model.inputs.iter_mut().filter(|input| input.role == Role::Data) {
        if input.name == "ascend_mbatch_shape_data" {
            input.role = Role::Gear;
        } else if input.name.starts_with("ascend_dynamic_aipp_data") {
            input.role = Role::AippParameters;
        }
    }
    let weights = parts.iter().filter(|part| part.kind == kind::WEIGHTS_DATA);
    model.memory.weight_bytes = weights.map(|part| part.span.length()).sum();
    if model.dynamic_shape {
        // It is allocated as it is needed.
        model.memory = Memory { work_bytes: None, ..model.memory.clone() };
        return Ok(());
    }
    let Some(tasks) = find(parts, kind::TASK_INFO) else { return Ok(()) };
    for field in Fields::of(source, tasks) {
        match field.map_err(error::Fault::om) {
            // What `aclmdlQuerySize` answers.
            Ok((11, Value::Varint(bytes))) => model.memory.work_bytes = Some(bytes),
            Ok(_) => {}
            Err(Error::BadOm { at, why }) => {
                model
                    .notes
                    .push(format!("its tasks cannot be read, so loading it will fail: {why} (at byte {at})"));
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The program.
pub fn command(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let (file, json) = match parse(arguments) {
        Ok(Some(request)) => request,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("om-info: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let content = match describe(&file) {
        Ok(content) => content,
        Err(error) => {
            eprintln!("om-info: {} {error}", text::plain(&file.display().to_string()));
            return ExitCode::FAILURE;
        }
    };
    let report = Report {
        file: file.display().to_string(),
        bytes: std::fs::metadata(&file).map_or(0, |file| file.len()),
        content: &content,
    };
    let text = if json {
        serde_json::to_string_pretty(&report)
            .map(|json| json + "\n")
            .unwrap_or_else(|error| error.to_string())
    } else {
        print::text(&report)
    };
    write(&text)
}

/// Whoever reads may have seen enough.
fn write(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("om-info: cannot write: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// The file, and whether JSON is wanted. Nothing if everything was said.
fn parse(
    arguments: impl Iterator<Item = OsString>,
) -> std::result::Result<Option<(PathBuf, bool)>, lexopt::Error> {
    let (mut file, mut json) = (None, false);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("json") => json = true,
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => {
                write(USAGE);
                return Ok(None);
            }
            lexopt::Arg::Long("version") => {
                write(&format!("om-info {}\n", env!("CARGO_PKG_VERSION")));
                return Ok(None);
            }
            lexopt::Arg::Value(value) if file.is_none() => file = Some(PathBuf::from(value)),
            other => return Err(other.unexpected()),
        }
    }
    let file = file.ok_or_else(|| lexopt::Error::from("name a model file".to_owned()))?;
    Ok(Some((file, json)))
}
