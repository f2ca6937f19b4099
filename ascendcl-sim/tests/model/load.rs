//! Loading: what is refused, with which code and which words.

use std::path::Path;
use std::ptr;

use crate::acl::{Context, Memory, Model, acl, assets, c_path, floats, refused, to_floats};
use crate::onnx::{self, Dim, Graph};

#[track_caller]
fn file_refused(path: impl AsRef<Path>, code: i32, words: &str) {
    let path = c_path(path.as_ref());
    let mut id = 77;
    refused(acl!(aclmdlLoadFromFile(path.as_ptr(), &mut id)), code, words);
    assert_eq!(id, 77, "the place for the id is left alone");
}

#[track_caller]
fn bytes_refused(file: &[u8], code: i32, words: &str) {
    refused(Model::load(file).err().unwrap_or(0), code, words);
}

#[test]
fn files_that_cannot_be_read() {
    let context = Context::new(0);
    file_refused("no/such/model.onnx", 145002, "'no/such/model.onnx' cannot be read");
    file_refused("", 145002, "cannot be read");
    file_refused(assets(), 145002, "not a regular file");
    file_refused("/dev/zero", 145002, "not a regular file");
    // Shorter than the header of an OM file, or without its letters.
    file_refused(assets().join("README.md"), 145000, "nor an ONNX model");
    let short = std::fs::metadata(assets().join("images/0028_8.png")).unwrap().len() < 256;
    file_refused(assets().join("images/0028_8.png"), if short { 145006 } else { 145000 }, "nor an");

    let mut id = 0;
    refused(acl!(aclmdlLoadFromFile(ptr::null(), &mut id)), 100000, "modelPath must not be NULL");
    // Whether there is a file is looked at first.
    refused(acl!(aclmdlLoadFromFile(c"x".as_ptr(), ptr::null_mut())), 145002, "cannot be read");
    let readable = c_path(assets().join("README.md"));
    refused(acl!(aclmdlLoadFromFile(readable.as_ptr(), ptr::null_mut())), 100000, "modelId must not be NULL");
    refused(acl!(aclmdlLoadFromMem(ptr::null(), 300, &mut id)), 100000, "model must not be NULL");
    refused(acl!(aclmdlLoadFromMem([0u8].as_ptr().cast(), 0, &mut id)), 100000, "modelSize must not be 0");
    let (mut work, mut weight) = (0, 0);
    refused(acl!(aclmdlQuerySize(c"no".as_ptr(), &mut work, &mut weight)), 145002, "'no'");
    drop(context);
}

#[test]
fn bytes_that_are_no_model() {
    let context = Context::new(0);
    let good = std::fs::read(assets().join("digits.onnx")).unwrap();
    bytes_refused(b"IMOD\0\x01\0\0and so on", 100000, "17 bytes, fewer than the 256 of a header");
    bytes_refused(b"IMO", 145006, "3 bytes");
    bytes_refused(&[0; 1000], 145000, "nor an ONNX model");
    bytes_refused(&good[..good.len() / 2], 145006, "truncated");
    bytes_refused(&Graph::new().file(), 145006, "its graph has no output");

    let memory = Memory::new(good.len());
    memory.write(&good);
    let mut id = 0;
    let code = acl!(aclmdlLoadFromMem(memory.0, good.len(), &mut id));
    refused(code, 145007, "loaded from host memory");
    drop(memory);
    drop(context);
}

#[test]
fn models_that_the_simulator_does_not_run() {
    let context = Context::new(0);
    let shapeless = Graph::new().node("Relu", &["x"], &["y"]).value(11, "x", onnx::FLOAT, None);
    bytes_refused(&shapeless.output("y", onnx::FLOAT, &[1]).file(), 145021, "input 'x' has no shape");
    bytes_refused(&onnx::unary("Relu", onnx::FLOAT, &[-1, 4]), 145021, "impossible shape [-1, 4]");
    bytes_refused(&onnx::unary("Relu", onnx::FLOAT, &[0]), 145021, "impossible shape [0]");
    bytes_refused(&onnx::unary("Relu", onnx::FLOAT, &[i64::MAX, i64::MAX]), 145021, "impossible shape");
    bytes_refused(&onnx::unary("Relu", onnx::FLOAT, &[1; 129]), 145021, "129 dimensions");
    bytes_refused(&onnx::unary("Relu", onnx::UINT16, &[1]), 145022, "elements uint16");
    bytes_refused(&onnx::unary("Relu", 99, &[1]), 145022, "unknown number 99");
    bytes_refused(&onnx::unary("Teleport", onnx::FLOAT, &[1]), 500002, "Teleport");
    let elsewhere = Graph::new().external("w").node("Add", &["x", "w"], &["y"]);
    let elsewhere = elsewhere.input("x", onnx::FLOAT, &[1]).output("y", onnx::FLOAT, &[1]);
    bytes_refused(&elsewhere.file(), 500002, "weight 'w' lies in another file");
    drop(context);
}

#[test]
fn shapes_that_contradict_or_explode() {
    let context = Context::new(0);
    let wrong = Graph::new().node("Relu", &["x"], &["y"]).input("x", onnx::FLOAT, &[4]);
    bytes_refused(
        &wrong.output("y", onnx::FLOAT, &[5]).file(),
        145006,
        "shape [5], and the graph computes [4]",
    );
    let side = 1 << 20;
    let outer = Graph::new()
        .node("MatMul", &["x", "y"], &["product"])
        .node("ReduceMax", &["product"], &["z"])
        .input("x", onnx::FLOAT, &[side, 1])
        .input("y", onnx::FLOAT, &[1, side])
        .output("z", onnx::FLOAT, &[1, 1]);
    bytes_refused(&outer.file(), 245000, "value 'product' of the model has the shape [1048576, 1048576]");
    drop(context);
}

#[test]
fn an_output_without_a_shape_gets_the_one_that_follows() {
    let context = Context::new(0);
    let file = Graph::new()
        .node("Relu", &["x"], &["h"])
        .node("Transpose", &["h"], &["y"])
        .input("x", onnx::FLOAT, &[2, 3])
        .value(12, "y", onnx::FLOAT, Some(&[Dim::Open("?"), Dim::Open("?")]));
    let model = Model::load(&file.file()).unwrap();
    let outputs = model.run(&[&floats(&[1.0, -2.0, 3.0, 4.0, 5.0, -6.0])], &[24]).unwrap();
    assert_eq!(to_floats(&outputs[0]), [1.0, 4.0, 0.0, 5.0, 3.0, 0.0]);
    drop(model);
    drop(context);
}

#[test]
fn ids_grow_and_stale_ones_are_unknown() {
    let context = Context::new(0);
    let file = onnx::unary("Relu", onnx::FLOAT, &[1]);
    let first = Model::load(&file).unwrap();
    let second = Model::load(&file).unwrap();
    let (a, b) = (first.0, second.0);
    assert!(0 < a && a < b);
    drop(first);
    refused(acl!(aclmdlUnload(a)), 145003, &format!("id {a}"));
    let third = Model::load(&file).unwrap();
    assert!(third.0 > b);
    refused(acl!(aclmdlUnload(0)), 145003, "id 0");
    refused(acl!(aclmdlUnload(u32::MAX)), 145003, "4294967295");
    drop((second, third));
    drop(context);
}

#[test]
fn a_model_stays_in_its_context() {
    let (own, other) = (Context::new(0), Context::new(1));
    let file = onnx::unary("Relu", onnx::FLOAT, &[1]);
    own.enter();
    let model = Model::load(&file).unwrap();
    other.enter();
    refused(acl!(aclmdlUnload(model.0)), 107004, "another context");
    own.enter();
    drop(model);

    // What was left in a context that is gone can be given back from anywhere.
    let short = Context::new(2);
    let left = Model::load(&file).unwrap();
    let id = left.0;
    std::mem::forget(left);
    assert_eq!(acl!(aclrtDestroyContext(short.0)), 0);
    std::mem::forget(short);
    let mut fresh = 0;
    refused(
        acl!(aclmdlLoadFromMem(file.as_ptr().cast(), file.len(), &mut fresh)),
        107002,
        "no current context",
    );
    assert_eq!(acl!(aclmdlUnload(id)), 0);
    drop(own);
    drop(other);
}
