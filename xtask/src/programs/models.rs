//! Models for the programs: small ones, with what ATC would have been told about them.

use std::{fs, path::Path};

use ascendcl_sim::om::{Converter, bundle};

use crate::error::Error;

/// One axis of a shape.
enum Dim {
    Fixed(u8),
    /// Decided later, by this name.
    Open(&'static str),
}

use Dim::{Fixed, Open};

/// Writes the files into `folder`, which is made.
pub fn write(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    let batch = Converter::new(unary("Relu", &[Open("n"), Fixed(3)])).dynamic_batch_size(&[1, 2, 4]);
    let sizes = Converter::new(unary("Relu", &[Fixed(1), Fixed(1), Open("h"), Open("w")]))
        .dynamic_image_size(&[(2, 2), (4, 3)]);
    let dims = Converter::new(unary("Relu", &[Open("a"), Open("b")]))
        .input_shape("x:-1,-1")
        .dynamic_dims(&[[1, 2], [2, 4]]);
    let ranged = Converter::new(unary("Relu", &[Open("n"), Fixed(2)])).input_shape("x:1~4,2");
    let image = || Converter::new(unary("Identity", &[Fixed(1), Fixed(3), Fixed(4), Fixed(4)]));
    let fixed = image().insert_op_conf(
        "aipp_op { aipp_mode: static input_format: RGB888_U8 src_image_size_w: 8 src_image_size_h: 6 crop: true \
         load_start_pos_w: 2 load_start_pos_h: 1 mean_chn_0: 1 var_reci_chn_0: 0.5 }",
    );
    let dynamic = image().insert_op_conf("aipp_op { aipp_mode: dynamic max_src_image_size: 200 }");
    for (name, model) in [
        ("batch.om", &batch),
        ("sizes.om", &sizes),
        ("dims.om", &dims),
        ("ranged.om", &ranged),
        ("aipp_static.om", &fixed),
        ("aipp_dynamic.om", &dynamic),
    ] {
        put(folder, name, &converted(model)?)?;
    }
    // The same model as an ONNX file that says in its metadata what it is.
    put(folder, "batch.onnx", &batch.to_onnx())?;
    let part = |operator| converted(&Converter::new(unary(operator, &[Fixed(2)])));
    put(folder, "bundle.om", &bundle(&[part("Neg")?, part("Relu")?], None))
}

fn converted(model: &Converter) -> Result<Vec<u8>, Error> {
    model.convert().map_err(|e| Error::new(format!("a model for the programs: {e}")))
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = folder.join(name);
    fs::write(&path, bytes).map_err(|e| Error::io("write", &path, e))
}

/// An ONNX model of one operator from `x` to `y`, both of this shape.
fn unary(operator: &str, dims: &[Dim]) -> Vec<u8> {
    let node = [field(1, b"x"), field(2, b"y"), field(4, operator.as_bytes())].concat();
    let graph = [field(1, &node), field(11, &value("x", dims)), field(12, &value("y", dims))].concat();
    // Version 7 of the format, version 13 of the operators.
    let operators = [field(1, b""), number(2, 13)].concat();
    [number(1, 7), field(7, &graph), field(8, &operators)].concat()
}

fn value(name: &str, dims: &[Dim]) -> Vec<u8> {
    let axes: Vec<u8> = dims
        .iter()
        .flat_map(|dim| match dim {
            Fixed(size) => field(1, &number(1, *size)),
            Open(name) => field(1, &field(2, name.as_bytes())),
        })
        .collect();
    const FLOAT: u8 = 1;
    let tensor = [number(1, FLOAT), field(2, &axes)].concat();
    [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
}

/// A field with a number; all of these are below 128.
fn number(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

/// A field with bytes, at most 16383.
fn field(field: u8, bytes: &[u8]) -> Vec<u8> {
    let mut all = vec![field << 3 | 2];
    match bytes.len() {
        short @ 0..0x80 => all.push(short as u8),
        long => all.extend([long as u8 | 0x80, (long >> 7) as u8]),
    }
    all.extend(bytes);
    all
}
