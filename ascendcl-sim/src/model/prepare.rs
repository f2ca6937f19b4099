//! What the content of a model file is turned into: sizes, a description, a model. OM files are read as the real loader reads them; of
//! them only those run that carry an ONNX graph for the simulator. ONNX files run as they are.

use std::fs;
use std::path::Path;

use ascendcl_sys::{self as sys, aclError};

use super::build::{Built, build};
use super::engine::{LoadFailure, engine};
use super::om::container::{self, BUNDLE, BadHeader, Header, Partition, kind};
use super::om::inout;
use super::onnx;
use super::options::Options;
use super::tensor::Description;
use super::wire::{Field, Fields};
use crate::error::fail;

/// Larger than any model; a file of holes must not end the process.
const MAX_FILE: u64 = 16 << 30;

/// What somebody wants from a model file, which decides what a bad one is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    LoadFile,
    LoadMemory,
    Query,
    Describe,
}

/// What is looked at before anything else: whether a file is there and long enough for the letters that models begin with.
pub(crate) fn look_at(path: &Path) -> Result<(), aclError> {
    match fs::metadata(path) {
        Ok(file) if file.is_file() => check_length(usize::try_from(file.len()).unwrap_or(usize::MAX)),
        Ok(_) => Ok(()),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// 145006 if there is no room for the letters that models begin with.
pub(crate) fn check_length(length: usize) -> Result<(), aclError> {
    let least = container::MAGIC.len();
    if length >= least {
        return Ok(());
    }
    let text = format!("{length} bytes, fewer than the {least} that a model begins with");
    Err(fail(sys::ACL_ERROR_GE_EXEC_MODEL_DATA_SIZE_INVALID, text))
}

fn unreadable(path: &Path, reason: &dyn std::fmt::Display) -> aclError {
    let code = sys::ACL_ERROR_GE_EXEC_MODEL_PATH_INVALID;
    fail(code, format_args!("model file '{}' cannot be read: {reason}", path.display()))
}

/// Reads a model file. The codes are those of the graph engine: 145002 for whatever cannot be read.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, aclError> {
    let refuse = |reason: &dyn std::fmt::Display| Err(unreadable(path, reason));
    // Opening a pipe or reading a device might never end.
    match fs::metadata(path) {
        Ok(file) if !file.is_file() => refuse(&"it is not a regular file"),
        Ok(file) if file.len() > MAX_FILE => refuse(&"it is larger than any model"),
        Ok(_) => fs::read(path).or_else(|error| refuse(&error)),
        Err(error) => refuse(&error),
    }
}

/// What a file is.
enum Content<'a> {
    Om(Header<'a>, &'a [u8]),
    Onnx(&'a [u8]),
}

fn recognise(file: &[u8], asker: Asker) -> Result<Content<'_>, aclError> {
    if !file.starts_with(container::MAGIC) {
        // Exporters start with the format's version. What starts otherwise gets the benefit of the doubt, and the answer of a bad OM file.
        let starts_as_onnx = file.first() == Some(&0x08);
        match onnx::outline(file) {
            _ if starts_as_onnx => return Ok(Content::Onnx(file)),
            Ok(_) => return Ok(Content::Onnx(file)),
            Err(why) if file.len() >= container::HEADER => {
                let text = format!("neither an OM model nor an ONNX model: {why}");
                return Err(fail(sys::ACL_ERROR_GE_PARAM_INVALID, text));
            }
            Err(_) => {}
        }
    }
    match container::content(file) {
        Ok((header, content)) => Ok(Content::Om(header, content)),
        Err(BadHeader::Wrong(why)) => Err(fail(
            sys::ACL_ERROR_GE_PARAM_INVALID,
            format_args!(
                "malformed OM model: {why}; the simulator executes ONNX models, and OM files that carry one"
            ),
        )),
        Err(BadHeader::Short) => {
            let code = match asker {
                _ if file.len() < container::MAGIC.len() => sys::ACL_ERROR_GE_EXEC_MODEL_DATA_SIZE_INVALID,
                Asker::LoadFile => sys::ACL_ERROR_GE_EXEC_MODEL_DATA_SIZE_INVALID,
                Asker::LoadMemory => sys::ACL_ERROR_INVALID_PARAM,
                Asker::Query | Asker::Describe => sys::ACL_ERROR_GE_PARAM_INVALID,
            };
            let (length, least) = (file.len(), container::HEADER);
            Err(fail(
                code,
                format_args!(
                    "neither an ONNX model nor an OM model: {length} bytes, fewer than the {least} of a header"
                ),
            ))
        }
    }
}

/// The description in a file, without loading it.
pub(crate) fn describe(file: &[u8]) -> Result<Description, aclError> {
    match recognise(file, Asker::Describe)? {
        Content::Onnx(graph) => prepare_onnx(graph).map(|built| built.description),
        Content::Om(header, content) => {
            let partitions = container::table(&header, &mut &content[..])?;
            let description =
                inout::read(container::find(&partitions, kind::MODEL_INOUT_INFO).unwrap_or_default())?;
            Ok(Description { dynamic: header.is_dynamic(), ..description })
        }
    }
}

/// Device bytes for running and for the weights.
pub(crate) fn sizes(file: &[u8]) -> Result<(usize, usize), aclError> {
    match recognise(file, Asker::Query)? {
        Content::Onnx(graph) => {
            let description = prepare_onnx(graph)?.description;
            Ok((description.work_size, description.weight_size))
        }
        Content::Om(header, content) => om_sizes(&header, content),
    }
}

fn om_sizes(header: &Header<'_>, content: &[u8]) -> Result<(usize, usize), aclError> {
    let tables = container::tables(header, content)?;
    if !header.is_dynamic() && tables.first().is_some_and(|table| table.len() == 1) {
        return Err(fail(
            sys::ACL_ERROR_GE_PARAM_INVALID,
            "the OM model cannot be executed: its partition table has one entry only",
        ));
    }
    let weights = tables.iter().filter_map(|table| container::find(table, kind::WEIGHTS_DATA));
    let weight = weights.map(<[u8]>::len).fold(0, usize::saturating_add);
    if header.is_dynamic() {
        return Ok((0, weight));
    }
    let tasks = tables.first().and_then(|table| container::find(table, kind::TASK_INFO)).unwrap_or_default();
    Ok((memory_size(tasks)?, weight))
}

/// The working memory that the tasks of a model tell.
fn memory_size(tasks: &[u8]) -> Result<usize, aclError> {
    let mut size = 0;
    for field in Fields::of(tasks) {
        match field {
            Ok((11, Field::Varint(told))) => size = told,
            Ok(_) => {}
            Err(why) => {
                return Err(fail(
                    sys::ACL_ERROR_GE_EXEC_LOAD_TASK_PARTITION_FAILED,
                    format_args!("malformed OM model: its tasks cannot be read: {why}"),
                ));
            }
        }
    }
    Ok(usize::try_from(size).unwrap_or(usize::MAX))
}

/// `aclmdlQueryExeOMDesc`: sizes of partitions.
pub(crate) fn partition_sizes(file: &[u8]) -> Result<sys::aclmdlExeOMDesc, aclError> {
    let mut sizes = sys::aclmdlExeOMDesc {
        workSize: 0,
        weightSize: 0,
        modelDescSize: 0,
        kernelSize: 0,
        kernelArgsSize: 0,
        staticTaskSize: 0,
        dynamicTaskSize: 0,
        fifoTaskSize: 0,
        reserved: [0; 8],
    };
    match recognise(file, Asker::Query)? {
        Content::Onnx(graph) => {
            let description = prepare_onnx(graph)?.description;
            (sizes.workSize, sizes.weightSize) = (description.work_size, description.weight_size);
        }
        Content::Om(header, content) => {
            (sizes.workSize, sizes.weightSize) = om_sizes(&header, content)?;
            let tables = container::tables(&header, content)?;
            let size = |kind: u32| {
                let found = tables.iter().filter_map(|table| container::find(table, kind));
                found.map(<[u8]>::len).fold(0, usize::saturating_add)
            };
            sizes.modelDescSize = size(kind::MODEL_DEF);
            sizes.kernelSize = size(kind::TBE_KERNELS);
            sizes.kernelArgsSize = size(kind::TASK_PARAM);
            sizes.staticTaskSize = size(kind::STATIC_TASK_DESC);
            sizes.dynamicTaskSize = size(kind::DYNAMIC_TASK_DESC);
        }
    }
    Ok(sizes)
}

/// Turns a file into a model that runs.
pub(crate) fn prepare(file: &[u8], asker: Asker) -> Result<Built, aclError> {
    if let Some(header) = Header::of(file).filter(|_| file.starts_with(container::MAGIC))
        && header.model_type() == BUNDLE
    {
        let text = "this file is a bundle of models; load it with aclmdlBundleLoadFromFile or aclmdlBundleLoadFromMem";
        return Err(fail(sys::ACL_ERROR_GE_FAILURE, text));
    }
    match recognise(file, asker)? {
        Content::Onnx(graph) => prepare_onnx(graph),
        Content::Om(header, content) => {
            let tables = container::tables(&header, content)?;
            let partitions: &[Partition<'_>] = tables.first().map_or(&[], Vec::as_slice);
            let (Some(_), Some(graph)) = (
                container::find(partitions, kind::SIMULATOR),
                container::find(partitions, kind::WEIGHTS_DATA),
            ) else {
                return Err(fail(
                    sys::ACL_ERROR_GE_FAILURE,
                    "this OM model is for a card, and the simulator cannot execute its tasks; give it the ONNX file that the OM was \
                     converted from, or an OM file that carries an ONNX graph",
                ));
            };
            let mut built = prepare_onnx(graph)?;
            built.description.weight_size = graph.len();
            Ok(built)
        }
    }
}

/// Turns an ONNX file into a model.
pub(crate) fn prepare_onnx(file: &[u8]) -> Result<Built, aclError> {
    let malformed = |text: &dyn std::fmt::Display| fail(sys::ACL_ERROR_GE_EXEC_MODEL_DATA_SIZE_INVALID, text);
    let outline = onnx::outline(file).map_err(|reason| {
        malformed(&format_args!("not an ONNX model, or a truncated or malformed one: {reason}"))
    })?;
    if let Some(name) = &outline.external {
        let text =
            format!("the data of weight '{name}' lies in another file, which the simulator does not read");
        return Err(fail(sys::ACL_ERROR_GE_FAILURE, text));
    }
    let options = Options::read(&outline.metadata).map_err(|why| fail(sys::ACL_ERROR_GE_FAILURE, why))?;
    let program = engine().load(file).map_err(|failure| match failure {
        LoadFailure::Malformed(reason) => malformed(&format_args!("truncated or malformed ONNX: {reason}")),
        LoadFailure::Unsupported(reason) => fail(
            sys::ACL_ERROR_GE_FAILURE,
            format_args!("the simulator's engine cannot run this model: {reason}"),
        ),
        LoadFailure::NoEngine => fail(
            sys::ACL_ERROR_GE_FAILURE,
            "this build of the simulator has no ONNX engine; build it with feature `onnx` of ascendcl, or of ascendcl-sim",
        ),
    })?;
    // Sizes are told from what the simulator read, and the engine computes with what it read: they must agree.
    if !program.inputs().iter().map(String::as_str).eq(outline.inputs.iter().map(|input| input.name.as_str()))
    {
        return Err(malformed(&"malformed ONNX: an input has the name of another value"));
    }
    build(&outline, program, &options)
}
