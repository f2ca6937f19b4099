//! Models: the simulator executes ONNX where CANN executes OM.
//!
//! A file is recognised and checked by [`prepare`] (over [`om`] and [`onnx`]), which gives sizes, a description ([`tensor`]) or a model that
//! runs: [`build`] does with an ONNX graph what ATC does, as its [`options`] say, and the [`engine`] computes it. Loaded models live
//! in the [`registry`]; [`dataset`] has the objects that carry addresses, [`desc`] those that carry descriptions; [`execute`] brings them
//! together, at once or on a stream. [`gears`] and [`aipp`] change what goes in.

pub(crate) mod aipp;
mod build;
pub(crate) mod bundle;
mod claim;
pub(crate) mod config;
pub(crate) mod dataset;
pub(crate) mod desc;
#[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "half of it is for engines"))]
pub(crate) mod element;
#[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "half of it is for engines"))]
mod engine;
pub(crate) mod execute;
pub(crate) mod format;
pub(crate) mod gears;
mod graph;
pub(crate) mod om;
mod onnx;
mod options;
pub(crate) mod prepare;
pub(crate) mod registry;
pub(crate) mod reserve;
#[cfg(feature = "onnx")]
mod rten;
pub(crate) mod tensor;
pub(crate) mod tensor_desc;
mod wire;
mod work;
