//! Which model is executed, and whether it takes the images.

use crate::{Failure, digits, images::Sample};
use ascendcl::{Acl, DataType, ModelDesc, TensorDesc};
use std::{
    fs::File,
    path::{Path, PathBuf},
};

/// The model that was asked for, or that of the digits. Says how to make one where it is missing.
pub fn choose(acl: &Acl, asked: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = asked.map_or_else(|| digits::model_file(acl), Path::to_owned);
    let is_onnx = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"));
    if !acl.is_simulated() && is_onnx {
        return Err(format!(
            "a card executes OM models, and {} is ONNX; convert it and give --model the OM file:\n  {}",
            path.display(),
            atc(acl, &path)
        )
        .into());
    }
    match File::open(&path) {
        Ok(_) => Ok(path),
        Err(_) if asked.is_none() && !acl.is_simulated() => Err(format!(
            "{} is not there yet; a card executes OM models, which CANN's compiler makes from ONNX:\n  {}",
            path.display(),
            atc(acl, &path.with_extension("onnx"))
        )
        .into()),
        Err(error) => Err(format!("cannot read the model {}: {error}", path.display()).into()),
    }
}

/// The command that makes an OM file from an ONNX file.
fn atc(acl: &Acl, onnx: &Path) -> String {
    let soc = acl.soc_name().ok().flatten().unwrap_or("Ascend310".into());
    format!(
        "atc --model={} --framework=5 --output={} --soc_version={soc} --input_shape=\"image:1,1,8,8\"",
        onnx.display(),
        onnx.with_extension("").display(),
    )
}

/// How many pixels go into the model, and how many scores come out.
#[derive(Clone, Copy)]
pub struct Shape {
    pub pixels: usize,
    pub classes: usize,
}

impl Shape {
    /// Checks that the model takes one grey image and gives one score for each class, and that the images have its size.
    pub fn of(model: &ModelDesc, samples: &[Sample]) -> Result<Shape, String> {
        let ([input], [output]) = (&model.inputs[..], &model.outputs[..]) else {
            return Err(format!(
                "it has {} inputs and {} outputs, and this program gives one image and takes one list of scores",
                model.inputs.len(),
                model.outputs.len()
            ));
        };
        let (width, height) = match input.dims[..] {
            [1, 1, height, width] if input.data_type == DataType::F32 => (width as usize, height as usize),
            _ => return Err(format!("it takes {input}, and this program gives f32 [1, 1, height, width]")),
        };
        if output.data_type != DataType::F32 || elements(output) == 0 {
            return Err(format!("it gives {output}, and this program takes f32 scores"));
        }
        for Sample { path, image, .. } in samples {
            if (image.width, image.height) != (width, height) {
                return Err(format!(
                    "it takes images of {width}x{height} pixels, and {} has {}x{}",
                    path.display(),
                    image.width,
                    image.height
                ));
            }
        }
        Ok(Shape { pixels: elements(input), classes: elements(output) })
    }
}

fn elements(tensor: &TensorDesc) -> usize {
    tensor.dims.iter().product::<i64>() as usize
}
