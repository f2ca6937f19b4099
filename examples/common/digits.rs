//! The digit classifier that comes with the examples: where its files are, and what goes in and comes out.

use ascendcl::Acl;
use std::{
    io,
    path::{Path, PathBuf},
};

/// The folder with the model and the images: in the sources, or below the current directory where a program runs without them.
pub fn folder() -> PathBuf {
    const FOLDER: &str = "examples/assets/digits";
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|above| above.join(FOLDER));
    sources.into_iter().find(|folder| folder.exists()).unwrap_or(FOLDER.into())
}

/// The model that the backend can execute: the simulator takes the ONNX file, a card the OM file that ATC makes of it.
pub fn model_file(acl: &Acl) -> io::Result<PathBuf> {
    let onnx = folder().join("digits.onnx");
    let om = onnx.with_extension("om");
    if acl.is_simulated() {
        return Ok(onnx);
    }
    if om.exists() {
        return Ok(om);
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        format!(
            "{} is not there yet: a card executes OM models, which CANN's compiler makes from ONNX:\n  {}",
            om.display(),
            atc(acl, &onnx)
        ),
    ))
}

/// The command that makes an OM file from an ONNX file.
pub fn atc(acl: &Acl, onnx: &Path) -> String {
    let soc = acl.soc_name().ok().flatten().unwrap_or("Ascend310".into());
    format!(
        "atc --model={} --framework=5 --output={} --soc_version={soc} --input_shape=\"image:1,1,8,8\"",
        onnx.display(),
        onnx.with_extension("").display(),
    )
}

/// Fills a model's input: ink is 1, paper is 0.
pub fn normalize(pixels: &[u8], input: &mut [f32]) {
    for (value, &pixel) in input.iter_mut().zip(pixels) {
        *value = f32::from(pixel) / 255.0;
    }
}

/// The most probable class. Numbers that are none (NaN) are never it.
pub fn best(probabilities: &[f32]) -> usize {
    let mut best = 0;
    for (class, &probability) in probabilities.iter().enumerate() {
        if probability > probabilities[best] || probabilities[best].is_nan() {
            best = class;
        }
    }
    best
}
