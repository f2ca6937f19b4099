//! The digit classifier that comes with the examples: where its files are, and what goes in and comes out.

use ascendcl::Acl;
use std::path::{Path, PathBuf};

/// The folder with the model and the images.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/assets/digits")
}

/// The model that the backend can execute: the simulator takes the ONNX file, a card the OM file that ATC makes of it.
pub fn model_file(acl: &Acl) -> PathBuf {
    folder().join(if acl.is_simulated() { "digits.onnx" } else { "digits.om" })
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
