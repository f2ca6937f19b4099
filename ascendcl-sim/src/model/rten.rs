//! The engine `rten`.
//!
//! It computes with four element types (f32, i32, i8, u8) and wants others converted: half and double precision to f32,
//! 64-bit integers and booleans to i32. The conversions are here, so that callers see the types that the file declares.
//!
//! A run goes through the engine's own thread pool, which is as large as the machine has cores: the calling thread waits while a
//! pool thread computes. Several runs share the pool, so that many busy streams do not add up to more threads than cores, and one
//! run alone may use them all. A model that is done before that pays is computed by the stream's thread itself
//! ([`engine_thread`]), which takes half the processor time with the digit classifier: 25 µs a run instead of 45 µs.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rten::{Dimension, LoadErrorKind, Model, ModelOptions, NodeId, RunOptions, Value, ValueOrView};
use rten_tensor::Layout;

use super::element::{Element, f16_to_f32, f32_to_f16};
use super::engine::{Engine, Input, LoadFailure, Output, Program};
use super::onnx::Dim;
use crate::abi::panic_text;
use crate::engine_thread;
use crate::own_thread::SignalsBlocked;

/// Runs that are shorter do not gain from several threads what it takes to wake them.
const SHORT: Duration = Duration::from_micros(100);

/// The engine.
pub(super) struct Rten;

impl Engine for Rten {
    fn load(&self, file: &[u8]) -> Result<Box<dyn Program>, LoadFailure> {
        // It may start its pool of threads.
        let _blocked = SignalsBlocked::new();
        // The engine validates what it reads, but a graph that contradicts itself can still trip an assertion in it.
        let loaded = catch_unwind(|| ModelOptions::with_all_ops().load(file.to_vec()));
        let model = match loaded {
            Ok(Ok(model)) => model,
            Ok(Err(error)) => {
                let text = error.to_string();
                return Err(match error.kind() {
                    LoadErrorKind::ParseError
                    | LoadErrorKind::UnknownFileType
                    | LoadErrorKind::GraphError => LoadFailure::Malformed(text),
                    _ => LoadFailure::Unsupported(text),
                });
            }
            Err(panic) => return Err(LoadFailure::Malformed(stopped(panic))),
        };
        Ok(Box::new(Loaded { model, shortest: AtomicU64::new(u64::MAX) }))
    }
}

struct Loaded {
    model: Model,
    /// The shortest run so far, in nanoseconds. Longer ones may have waited for a processor.
    shortest: AtomicU64,
}

impl Loaded {
    fn shape(&self, node: NodeId) -> Option<Vec<Dim>> {
        let dim = |dim: &Dimension| match dim {
            Dimension::Fixed(size) => i64::try_from(*size).ok().map(Dim::Fixed),
            Dimension::Symbolic(name) => Some(Dim::Open(name.clone())),
        };
        self.model.node_info(node)?.shape()?.iter().map(dim).collect()
    }

    fn compute(&self, inputs: Vec<(NodeId, ValueOrView<'_>)>) -> Result<Vec<Value>, String> {
        let is_short = self.shortest.load(Ordering::Relaxed) < SHORT.as_nanos() as u64;
        let here = if is_short { engine_thread::pool() } else { None };
        let options = here.map(|pool| RunOptions::default().with_thread_pool(Some(pool)));
        let start = Instant::now();
        let results = self.model.run(inputs, self.model.output_ids(), options).map_err(text);
        self.shortest.fetch_min(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        results
    }
}

impl Program for Loaded {
    fn inputs(&self) -> Vec<String> {
        let name = |&id| self.model.node_info(id).and_then(|node| node.name()).unwrap_or("").to_owned();
        self.model.input_ids().iter().map(name).collect()
    }

    fn output_shape(&self, index: usize) -> Option<Vec<Dim>> {
        self.shape(*self.model.output_ids().get(index)?)
    }

    fn value_shape(&self, name: &str) -> Option<Vec<i64>> {
        let fixed = |dim: Dim| if let Dim::Fixed(size) = dim { Some(size) } else { None };
        self.shape(self.model.find_node(name)?)?.into_iter().map(fixed).collect()
    }

    fn run(&self, inputs: &[Input<'_>], outputs: &[Element]) -> Result<Vec<Output>, String> {
        let run = || {
            let ids = self.model.input_ids();
            let values: Result<Vec<(NodeId, ValueOrView<'_>)>, String> =
                ids.iter().zip(inputs).map(|(&id, input)| Ok((id, to_value(input)?.into()))).collect();
            let results = self.compute(values?)?;
            results.into_iter().zip(outputs).map(|(value, &element)| from_value(value, element)).collect()
        };
        // A model in the engine is not changed by a run, so nothing is left half done by a panic.
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(stopped(panic)))
    }
}

/// What is told about a panic in the engine.
fn stopped(panic: Box<dyn Any + Send>) -> String {
    format!("the engine stopped: {}", panic_text(&*panic))
}

/// Splits bytes into elements. The lengths fit: they were checked against the model's description.
fn elements<const N: usize, T>(bytes: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| convert(chunk)).collect()
}

fn to_value(input: &Input<'_>) -> Result<Value, String> {
    let Input { element, shape, bytes } = *input;
    match element {
        Element::F32 => Value::from_shape(shape, elements(bytes, f32::from_le_bytes)).map_err(text),
        Element::F16 => {
            Value::from_shape(shape, elements(bytes, |half| f16_to_f32(u16::from_le_bytes(half))))
                .map_err(text)
        }
        Element::F64 => Value::from_shape(shape, elements(bytes, |double| f64::from_le_bytes(double) as f32))
            .map_err(text),
        Element::I8 => Value::from_shape(shape, elements(bytes, i8::from_le_bytes)).map_err(text),
        Element::U8 => Value::from_shape(shape, bytes.to_vec()).map_err(text),
        Element::I32 => Value::from_shape(shape, elements(bytes, i32::from_le_bytes)).map_err(text),
        Element::Bool => {
            Value::from_shape(shape, elements(bytes, |[byte]| i32::from(byte != 0))).map_err(text)
        }
        Element::I64 => {
            let narrow = |wide| {
                let wide = i64::from_le_bytes(wide);
                i32::try_from(wide).map_err(|_| {
                    format!("an input holds {wide}, and the engine computes with 32-bit integers")
                })
            };
            let data: Result<Vec<i32>, String> = elements(bytes, narrow).into_iter().collect();
            Value::from_shape(shape, data?).map_err(text)
        }
    }
}

fn text(error: impl std::error::Error) -> String {
    error.to_string()
}

fn from_value(value: Value, element: Element) -> Result<Output, String> {
    fn bytes<const N: usize, T: Copy>(data: Vec<T>, convert: impl Fn(T) -> [u8; N]) -> Vec<u8> {
        data.iter().flat_map(|&element| convert(element)).collect()
    }
    let (kind, shape) = (value.dtype(), value.shape().to_vec());
    let bytes = match (value, element) {
        (Value::FloatTensor(t), Element::F32) => bytes(t.into_data(), f32::to_le_bytes),
        (Value::FloatTensor(t), Element::F16) => {
            bytes(t.into_data(), |value| f32_to_f16(value).to_le_bytes())
        }
        (Value::FloatTensor(t), Element::F64) => bytes(t.into_data(), |value| f64::from(value).to_le_bytes()),
        (Value::Int8Tensor(t), Element::I8) => bytes(t.into_data(), i8::to_le_bytes),
        (Value::UInt8Tensor(t), Element::U8) => t.into_data(),
        (Value::Int32Tensor(t), Element::I32) => bytes(t.into_data(), i32::to_le_bytes),
        (Value::Int32Tensor(t), Element::I64) => bytes(t.into_data(), |value| i64::from(value).to_le_bytes()),
        (Value::Int32Tensor(t), Element::Bool) => bytes(t.into_data(), |value| [u8::from(value != 0)]),
        _ => return Err(format!("the file declares an output as {element:?}, the engine computed {kind}")),
    };
    Ok(Output { shape, bytes })
}
