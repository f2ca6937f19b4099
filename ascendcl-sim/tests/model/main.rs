//! Models through the C functions: what a program sees from file to result, and what it gets for its mistakes.
#![cfg(feature = "onnx")]

mod acl;
mod describe;
mod digits;
mod execute;
mod load;
mod malformed;
mod onnx;
