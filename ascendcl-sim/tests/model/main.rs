//! Models through the C functions: what a program sees from file to result, and what it gets for its mistakes.

#[cfg(feature = "onnx")]
mod acl;
#[cfg(feature = "onnx")]
mod aipp;
#[cfg(feature = "onnx")]
mod bundle;
#[cfg(feature = "onnx")]
mod config;
#[cfg(feature = "onnx")]
mod describe;
#[cfg(feature = "onnx")]
mod digits;
#[cfg(feature = "onnx")]
mod dynamic;
#[cfg(feature = "onnx")]
mod execute;
#[cfg(feature = "onnx")]
mod gears;
#[cfg(feature = "onnx")]
mod load;
#[cfg(feature = "onnx")]
mod malformed;
#[cfg(feature = "onnx")]
mod memory;
#[cfg(not(feature = "onnx"))]
mod no_engine;
#[cfg(feature = "onnx")]
mod om;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "onnx")]
mod subscribe;
