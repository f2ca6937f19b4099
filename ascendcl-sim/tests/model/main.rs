//! Models through the C functions: what a program sees from file to result, and what it gets for its mistakes.

#[cfg(feature = "onnx")]
mod acl;
#[cfg(feature = "onnx")]
mod describe;
#[cfg(feature = "onnx")]
mod digits;
#[cfg(feature = "onnx")]
mod execute;
#[cfg(feature = "onnx")]
mod load;
#[cfg(feature = "onnx")]
mod malformed;
#[cfg(not(feature = "onnx"))]
mod no_engine;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "onnx")]
mod subscribe;
