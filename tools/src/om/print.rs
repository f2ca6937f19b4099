//! A description as text.

use std::fmt::{self, Write as _};

use super::Report;
use super::model::{Aipp, Axis, Bundle, Content, DescribedBy, OmModel, OnnxModel, Role, Tensor};
use crate::text::{plain, size};

/// The whole text.
pub(super) fn text(report: &Report<'_>) -> String {
    let mut page = Page(String::new());
    let head = format!("{}: {}", plain(&report.file), size(report.bytes));
    // Writing to a string does not fail.
    let _ = match report.content {
        Content::Om(model) => page.om(&head, model),
        Content::Bundle(bundle) => page.bundle(&head, bundle),
        Content::Onnx(model) => page.onnx(&head, model),
    };
    page.0
}

struct Page(String);

impl Page {
    fn row(&mut self, name: &str, value: impl fmt::Display) -> fmt::Result {
        writeln!(self.0, "  {name:<12} {}", plain(&value.to_string()))
    }

    fn bundle(&mut self, head: &str, bundle: &Bundle) -> fmt::Result {
        writeln!(self.0, "{head}, a bundle of {} OM models", bundle.models.len())?;
        if let Some(bytes) = bundle.variable_bytes {
            self.row("variables", size(bytes))?;
        }
        for (index, model) in bundle.models.iter().enumerate() {
            writeln!(self.0)?;
            self.om(&format!("model {index}"), model)?;
        }
        Ok(())
    }

    fn om(&mut self, head: &str, model: &OmModel) -> fmt::Result {
        let kind = match model.model_type.as_str() {
            "standard" | "IR" => "an OM model".to_owned(),
            other => format!("an OM model of the kind {other}"),
        };
        writeln!(self.0, "{head}, {kind}")?;
        if !model.name.is_empty() {
            self.row("name", &model.name)?;
        }
        if !model.encrypted && !model.for_simulator {
            self.row("chip", model.soc_version.as_deref().unwrap_or("not told"))?;
        }
        let made_by = &model.made_by;
        let versions: Vec<String> = [
            ("ATC", &made_by.atc_version),
            ("operators", &made_by.opp_version),
            ("compiler", &made_by.compiler_version),
        ]
        .iter()
        .filter_map(|(name, version)| Some(format!("{name} {}", version.as_ref()?)))
        .collect();
        if !versions.is_empty() {
            self.row("made by", versions.join(", "))?;
        }
        if let Some(framework) = &made_by.framework {
            self.row("made from", framework)?;
        }
        if let Some(command) = &made_by.atc_command {
            self.row("command", command)?;
        }
        if let (Some(os), Some(cpu)) = (&made_by.host_os, &made_by.host_cpu) {
            self.row("host", format!("{os}, {cpu}"))?;
        }
        if model.described_by != DescribedBy::Nothing {
            let is_open = model.inputs.iter().any(|input| input.dims.iter().any(|&dim| dim < 0));
            self.row(
                "shapes",
                if !model.gears.is_empty() {
                    "one of the gears below"
                } else if is_open {
                    "dynamic: set the shape of each input before each execution"
                } else {
                    "fixed"
                },
            )?;
        }
        if !model.encrypted {
            let memory = &model.memory;
            let mut told = match memory.work_bytes {
                Some(bytes) => format!("{} to work with, ", size(bytes)),
                None => String::new(),
            };
            let _ = write!(told, "{} of weights", size(memory.weight_bytes));
            self.row("memory", told)?;
            if let (Some(streams), Some(events)) = (memory.streams, memory.events) {
                self.row("occupies", format!("{streams} streams, {events} events"))?;
            }
        }
        self.tensors("inputs", &model.inputs)?;
        self.tensors("outputs", &model.outputs)?;
        self.gears(model)?;
        for note in &model.notes {
            writeln!(self.0, "note: {}", plain(note))?;
        }
        Ok(())
    }

    fn tensors(&mut self, what: &str, tensors: &[Tensor]) -> fmt::Result {
        if tensors.is_empty() {
            return Ok(());
        }
        writeln!(self.0, "{what}")?;
        let names: Vec<String> = tensors.iter().map(|tensor| plain(&tensor.name)).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(40);
        for (index, (tensor, name)) in tensors.iter().zip(&names).enumerate() {
            let bytes = match tensor.bytes {
                Some(bytes) => format!("{bytes} bytes"),
                None => "size not told".to_owned(),
            };
            let (data_type, format) = (plain(&tensor.data_type), plain(&tensor.format));
            let dims = dims(&tensor.dims);
            writeln!(self.0, "  {index:<3} {name:<width$}  {data_type} {format} {dims}, {bytes}")?;
            let mut more = |text: String| writeln!(self.0, "      {}", plain(&text));
            if !tensor.ranges.is_empty() {
                let range = |&(low, high): &(i64, i64)| match high {
                    -1 => format!("{low} or more"),
                    high if high == low => low.to_string(),
                    high => format!("{low} to {high}"),
                };
                more(format!("axes: {}", tensor.ranges.iter().map(range).collect::<Vec<_>>().join(", ")))?;
            }
            if let Some(v2) = &tensor.dims_v2 {
                more(format!("as a buffer: {}", self::dims(v2)))?;
            }
            match tensor.role {
                Role::Data => {}
                Role::Gear => more("says which gear: ACL writes it, the program gives it memory".into())?,
                Role::AippParameters => {
                    more("parameters of dynamic AIPP: ACL writes it, the program gives it memory".into())?;
                }
            }
            if let Some(aipp) = tensor.aipp.as_ref().filter(|_| tensor.role == Role::Data) {
                for line in aipp_lines(aipp) {
                    more(line)?;
                }
            }
        }
        Ok(())
    }

    fn gears(&mut self, model: &OmModel) -> fmt::Result {
        let gears = &model.gears;
        if !gears.batch.is_empty() {
            writeln!(self.0, "gears: batch sizes, set with aclmdlSetDynamicBatchSize")?;
            let sizes: Vec<String> = gears.batch.iter().map(u64::to_string).collect();
            writeln!(self.0, "  {}", sizes.join(", "))?;
        }
        let list = |values: &Vec<u64>, between: &str| {
            values.iter().map(u64::to_string).collect::<Vec<_>>().join(between)
        };
        if !gears.image_sizes.is_empty() {
            writeln!(self.0, "gears: heights and widths, set with aclmdlSetDynamicHWSize")?;
            let sizes: Vec<String> = gears.image_sizes.iter().map(|sizes| list(sizes, "x")).collect();
            writeln!(self.0, "  {}", sizes.join(", "))?;
        }
        if !gears.dims.is_empty() {
            let inputs = match model.gear_inputs.as_slice() {
                [] => "the inputs".to_owned(),
                names => plain(&names.join(", ")),
            };
            writeln!(
                self.0,
                "gears: values of the open axes of {inputs}, set with aclmdlSetInputDynamicDims"
            )?;
            for values in &gears.dims {
                writeln!(self.0, "  {}", list(values, ", "))?;
            }
        }
        if !model.output_shapes.is_empty() {
            writeln!(self.0, "shapes of outputs (gear, output, axes)")?;
            for shape in &model.output_shapes {
                writeln!(self.0, "  {}", plain(shape))?;
            }
        }
        Ok(())
    }

    fn onnx(&mut self, head: &str, model: &OnnxModel) -> fmt::Result {
        writeln!(self.0, "{head}, an ONNX model")?;
        if !model.name.is_empty() {
            self.row("name", &model.name)?;
        }
        if !model.producer.is_empty() {
            self.row("made by", &model.producer)?;
        }
        let sets: Vec<String> =
            model.operator_sets.iter().map(|(set, version)| format!("{set} {version}")).collect();
        self.row("format", format!("IR version {}, operators {}", model.ir_version, sets.join(", ")))?;
        self.row("graph", format!("{} operators", model.operators))?;
        let weights = &model.weights;
        self.row("weights", format!("{} in {} tensors", size(weights.bytes), weights.tensors))?;
        for (what, tensors) in [("inputs", &model.inputs), ("outputs", &model.outputs)] {
            writeln!(self.0, "{what}")?;
            for (index, tensor) in tensors.iter().enumerate() {
                let kind = tensor.data_type.as_deref().unwrap_or("no tensor");
                let dims = match &tensor.dims {
                    Some(axes) if axes.is_empty() => "scalar".to_owned(),
                    Some(axes) => axes.iter().map(axis).collect::<Vec<_>>().join("x"),
                    None => "shape not told".to_owned(),
                };
                let bytes = tensor.bytes.map(|bytes| format!(", {bytes} bytes")).unwrap_or_default();
                writeln!(
                    self.0,
                    "  {index:<3} {}  {} {}{bytes}",
                    plain(&tensor.name),
                    plain(kind),
                    plain(&dims)
                )?;
            }
        }
        for (key, value) in &model.simulator_options {
            self.row(key, value)?;
        }
        for note in &model.notes {
            writeln!(self.0, "note: {}", plain(note))?;
        }
        writeln!(self.0, "note: a card executes OM models; convert it with")?;
        writeln!(self.0, "  {}", plain(&conversion(model)))
    }
}

/// The command that converts it, with names and sizes filled in as far as they are known.
fn conversion(model: &OnnxModel) -> String {
    let shape = |axes: &Vec<Axis>| {
        let sizes = axes.iter().map(|axis| match axis {
            Axis::Fixed(size) => size.to_string(),
            Axis::Open(_) => "N".to_owned(),
        });
        sizes.collect::<Vec<_>>().join(",")
    };
    let inputs = model.inputs.iter().filter(|input| input.dims.as_ref().is_some_and(|axes| !axes.is_empty()));
    let shapes: Vec<String> = inputs
        .map(|input| format!("{}:{}", input.name, input.dims.as_ref().map(shape).unwrap_or_default()))
        .collect();
    let shapes = shapes.join(";").replace('\'', "'\\''");
    format!("atc --model=FILE --framework=5 --output=NAME --soc_version=CHIP --input_shape='{shapes}'")
}

fn axis(axis: &Axis) -> String {
    match axis {
        Axis::Fixed(size) => size.to_string(),
        Axis::Open(name) if name.is_empty() => "?".to_owned(),
        Axis::Open(name) => name.clone(),
    }
}

fn dims(dims: &[i64]) -> String {
    match dims {
        [] => "scalar".to_owned(),
        // The graph engine writes a shape of unknown length so.
        [-2] => "any shape".to_owned(),
        dims => dims
            .iter()
            .map(|&dim| if dim < 0 { "?".to_owned() } else { dim.to_string() })
            .collect::<Vec<_>>()
            .join("x"),
    }
}

fn aipp_lines(aipp: &Aipp) -> Vec<String> {
    let mut first = format!("{} AIPP", aipp.mode);
    match (&aipp.input_format, aipp.source) {
        (Some(format), Some([width, height])) => {
            let _ = write!(first, ": give it pictures in {format}, {width} wide and {height} high");
        }
        (Some(format), None) => {
            let _ = write!(first, ": give it pictures in {format}");
        }
        (None, _) => {}
    }
    if let Some(bytes) = aipp.max_source_bytes {
        let _ = write!(
            first,
            ": pictures of {bytes} bytes at most; format and steps are set with aclmdlSetInputAIPP"
        );
    }
    if let Some(parameters) = &aipp.parameters {
        let _ = write!(first, "; its parameters are the input {parameters}");
    }
    let mut lines = vec![first];
    if let Some([left, top, width, height]) = aipp.crop {
        lines.push(format!("  crops {width}x{height} at {left}, {top}"));
    }
    if let Some([width, height]) = aipp.resize {
        lines.push(format!("  resizes to {width}x{height}"));
    }
    if aipp.colours.is_some() {
        lines.push("  converts colours (matrix and bias: --json)".into());
    }
    if aipp.swap_red_blue {
        lines.push("  swaps red and blue, or U and V".into());
    }
    if aipp.swap_alpha {
        lines.push("  moves alpha behind the colours".into());
    }
    let changes = aipp.mean.iter().any(|&mean| mean != 0)
        || aipp.min.iter().any(|&min| min != 0.0)
        || aipp.factor.iter().flatten().any(|&factor| factor != 1.0);
    if changes {
        let list = |numbers: Vec<String>| numbers.join(", ");
        lines.push(format!(
            "  subtracts {} and {}, multiplies with {}",
            list(aipp.mean.iter().map(i64::to_string).collect()),
            list(aipp.min.iter().map(f32::to_string).collect()),
            list(aipp.factor.iter().map(|factor| factor.unwrap_or(1.0).to_string()).collect()),
        ));
    }
    if let Some([left, right, top, bottom]) = aipp.padding {
        lines.push(format!("  pads left {left}, right {right}, top {top}, bottom {bottom}"));
    }
    lines
}
