//! Models: the simulator executes ONNX where CANN executes OM.
//!
//! A file is read and checked by [`onnx`] (over [`wire`]), described by [`describe`], and computed by the [`engine`]. Loaded models live
//! in the [`registry`]; [`dataset`] has the objects that carry addresses, [`desc`] those that carry descriptions; [`execute`] brings them
//! together, at once or on a stream.

pub(crate) mod dataset;
pub(crate) mod desc;
pub(crate) mod describe;
#[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "half of it is for engines"))]
mod element;
#[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "half of it is for engines"))]
mod engine;
pub(crate) mod execute;
pub(crate) mod format;
mod onnx;
pub(crate) mod registry;
#[cfg(feature = "onnx")]
mod rten;
pub(crate) mod tensor_desc;
mod wire;
