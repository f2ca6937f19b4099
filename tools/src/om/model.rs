//! What is told of a model: the fields of the JSON output.

use serde::Serialize;

/// What a file is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum Content {
    /// A model for a card, or for the simulator.
    Om(OmModel),
    /// Several models in one file.
    Bundle(Bundle),
    /// A model that ATC converts, and that the simulator executes.
    Onnx(OnnxModel),
}

/// Several models in one file, which share their variables.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Bundle {
    /// Bytes of the variables.
    pub variable_bytes: Option<u64>,
    /// The models.
    pub models: Vec<OmModel>,
}

/// An OM model.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OmModel {
    /// The name in its header.
    pub name: String,
    /// The version of the container.
    pub version: String,
    /// `standard` usually.
    pub model_type: String,
    /// Only who has the key can read what is in it.
    pub encrypted: bool,
    /// Made by the simulator's converter: it carries an ONNX graph, and no card runs it.
    pub for_simulator: bool,
    /// Whether it has true dynamic shapes, which the second-generation executor runs.
    pub dynamic_shape: bool,
    /// The chip that it was made for.
    pub soc_version: Option<String>,
    /// Who made it.
    pub made_by: MadeBy,
    /// What it takes of the device.
    pub memory: Memory,
    /// Where inputs and outputs are described.
    pub described_by: DescribedBy,
    /// The inputs, in their order.
    pub inputs: Vec<Tensor>,
    /// The outputs, in their order.
    pub outputs: Vec<Tensor>,
    /// Sizes that can be chosen between at run time.
    pub gears: Gears,
    /// Shapes of the outputs for each gear, as the file has them: gear, output, axes.
    pub output_shapes: Vec<String>,
    /// Names of the inputs whose shapes the gears are about, in the order of the gears' numbers.
    pub gear_inputs: Vec<String>,
    /// What the file consists of.
    pub partitions: Vec<Partition>,
    /// What else is to be known.
    pub notes: Vec<String>,
}

/// Who made a model, as far as it says.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MadeBy {
    /// The version of ATC.
    pub atc_version: Option<String>,
    /// The command line of ATC.
    pub atc_command: Option<String>,
    /// What it was converted from.
    pub framework: Option<String>,
    /// The version of the operator package.
    pub opp_version: Option<String>,
    /// The version of the compiler.
    pub compiler_version: Option<String>,
    /// The system that parts of it were compiled for.
    pub host_os: Option<String>,
    /// The processor that parts of it were compiled for.
    pub host_cpu: Option<String>,
}

/// Memory, streams and events of the device.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Memory {
    /// Bytes to work with. Not known for dynamic shapes.
    pub work_bytes: Option<u64>,
    /// Bytes of weights.
    pub weight_bytes: u64,
    /// Streams that it occupies.
    pub streams: Option<i64>,
    /// Events that it occupies.
    pub events: Option<i64>,
}

/// Where inputs and outputs are described.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DescribedBy {
    /// In a partition of its own: what `aclmdlGetDescFromFile` reads.
    Partition,
    /// In the graph only. Older releases wrote no more; sizes are computed from shapes.
    Graph,
    /// Nowhere.
    #[default]
    Nothing,
}

/// An input or output.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// `aclDataType`, without its prefix.
    pub data_type: String,
    /// `aclFormat`, without its prefix.
    pub format: String,
    /// Axes; -1 is open.
    pub dims: Vec<i64>,
    /// Axes as `aclmdlGetInputDimsV2` has them, if they differ: with static AIPP, their product is what the buffer holds.
    pub dims_v2: Option<Vec<i64>>,
    /// Lower and upper bounds of the axes; an upper bound of -1 is none.
    pub ranges: Vec<(i64, i64)>,
    /// Bytes of its buffer. Not known where an axis has no bound.
    pub bytes: Option<u64>,
    /// What it is for.
    pub role: Role,
    /// How pictures are processed before the model sees them.
    pub aipp: Option<Aipp>,
}

/// What an input is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Data.
    #[default]
    Data,
    /// Which gear is meant. ACL writes it, in `aclmdlSetDynamicBatchSize` and its kin.
    Gear,
    /// The parameters of dynamic AIPP. ACL writes it, in `aclmdlSetInputAIPP`.
    AippParameters,
}

/// Sizes that can be chosen between at run time. One of the three at most is not empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Gears {
    /// Batch sizes.
    pub batch: Vec<u64>,
    /// Heights and widths.
    pub image_sizes: Vec<Vec<u64>>,
    /// Values for all open axes.
    pub dims: Vec<Vec<u64>>,
}

/// What AIPP does with pictures, in this order: crop, resize, convert colours, subtract and multiply, pad.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Aipp {
    /// `static` or `dynamic`.
    pub mode: String,
    /// What pictures to give it.
    pub input_format: Option<String>,
    /// Width and height of what is given, where that is fixed.
    pub source: Option<[i64; 2]>,
    /// Left, top, width, height.
    pub crop: Option<[i64; 4]>,
    /// Width and height.
    pub resize: Option<[i64; 2]>,
    /// Left, right, top, bottom.
    pub padding: Option<[i64; 4]>,
    /// Conversion of colours.
    pub colours: Option<Colours>,
    /// Red and blue, or U and V, are swapped.
    pub swap_red_blue: bool,
    /// Alpha is moved behind the colours.
    pub swap_alpha: bool,
    /// Subtracted from each channel.
    pub mean: [i64; 4],
    /// Subtracted from each channel.
    pub min: [f32; 4],
    /// What each channel is multiplied with.
    pub factor: [Option<f32>; 4],
    /// Bytes of the largest picture of dynamic AIPP.
    pub max_source_bytes: Option<i64>,
    /// The input with the parameters of dynamic AIPP.
    pub parameters: Option<String>,
}

/// Conversion of colours.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Colours {
    /// By rows, in 256ths.
    pub matrix: [[i64; 3]; 3],
    /// Subtracted before.
    pub input_bias: [i64; 3],
    /// Added behind.
    pub output_bias: [i64; 3],
}

/// A part of the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Partition {
    /// Which of the models in it.
    pub table: u32,
    /// Its type.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// An ONNX model.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OnnxModel {
    /// The name of its graph.
    pub name: String,
    /// Version of the format.
    pub ir_version: i64,
    /// What wrote it.
    pub producer: String,
    /// Sets of operators, with their versions.
    pub operator_sets: Vec<(String, i64)>,
    /// How many operators the graph has, without those of bodies of loops and branches.
    pub operators: u64,
    /// The inputs, without those that have a value in the file.
    pub inputs: Vec<OnnxTensor>,
    /// The outputs.
    pub outputs: Vec<OnnxTensor>,
    /// Weights.
    pub weights: Weights,
    /// Options of the simulator's converter, which are kept in the metadata.
    pub simulator_options: Vec<(String, String)>,
    /// What else is to be known.
    pub notes: Vec<String>,
}

/// Weights of an ONNX model.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Weights {
    /// How many tensors.
    pub tensors: u64,
    /// Elements of all.
    pub elements: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// How many lie in other files.
    pub external: u64,
}

/// An input or output of an ONNX model.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OnnxTensor {
    /// Its name.
    pub name: String,
    /// The type of its elements. `None` if it is no tensor.
    pub data_type: Option<String>,
    /// Axes. `None` if the file says nothing of them.
    pub dims: Option<Vec<Axis>>,
    /// Bytes, if all axes are fixed.
    pub bytes: Option<u64>,
}

/// An axis of an ONNX tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Axis {
    /// So many.
    Fixed(i64),
    /// Decided at run time; the name may be empty.
    Open(String),
}
