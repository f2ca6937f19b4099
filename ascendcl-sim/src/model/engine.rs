//! What the simulator asks of the library that computes models. One implementation is built in (feature `onnx`); another
//! engine takes two traits.

use super::element::Element;
use super::onnx::Dim;

/// An engine's refusal of a model, with its reason.
#[derive(Debug)]
pub(crate) enum LoadFailure {
    /// The file is damaged or no ONNX.
    Malformed(String),
    /// The file may be good, but this engine cannot run it.
    Unsupported(String),
    /// This build has no engine.
    #[cfg_attr(feature = "onnx", expect(dead_code, reason = "a build with an engine never says so"))]
    NoEngine,
}

/// Turns ONNX files into programs.
pub(crate) trait Engine: Sync {
    /// Prepares a model for running. Neither panics nor keeps `file`.
    fn load(&self, file: &[u8]) -> Result<Box<dyn Program>, LoadFailure>;
}

/// A model that is ready to run, from several threads at once if need be.
pub(crate) trait Program: Send + Sync {
    /// Names of the inputs, in the order in which `run` takes them.
    fn inputs(&self) -> Vec<String>;

    /// The shape of an output if the engine could work it out from the inputs' shapes; open axes have names.
    fn output_shape(&self, index: usize) -> Option<Vec<Dim>>;

    /// The same for a value inside the graph, by its name. Values that the engine optimised away have none.
    fn value_shape(&self, name: &str) -> Option<Vec<i64>>;

    /// Computes all outputs. Does not panic; a failure is told in words.
    fn run(&self, inputs: &[Input<'_>], outputs: &[Element]) -> Result<Vec<Output>, String>;
}

/// One output tensor, as [`Input`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// One input tensor: its elements, little-endian and in row order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    pub(crate) element: Element,
    pub(crate) shape: &'a [usize],
    pub(crate) bytes: &'a [u8],
}

/// The engine of this build.
pub(crate) fn engine() -> &'static dyn Engine {
    #[cfg(feature = "onnx")]
    return &super::rten::Rten;
    #[cfg(not(feature = "onnx"))]
    return &NoEngine;
}

/// Stands in where no engine is built in: everything about models works, except loading one.
#[cfg(not(feature = "onnx"))]
struct NoEngine;

#[cfg(not(feature = "onnx"))]
impl Engine for NoEngine {
    fn load(&self, _: &[u8]) -> Result<Box<dyn Program>, LoadFailure> {
        Err(LoadFailure::NoEngine)
    }
}
