//! Which model is executed, and whether it takes the images.

use crate::{Failure, counted, digits, images::Sample};
use ascendcl::{Acl, Context, DataType, Model, ModelDesc, TensorDesc};
use std::path::{Path, PathBuf};

/// The model that was asked for, or that of the digits.
pub fn choose(acl: &Acl, asked: Option<&Path>) -> Result<PathBuf, Failure> {
    let Some(path) = asked else { return Ok(digits::model_file(acl)?) };
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(path.to_owned()),
        Ok(_) => Err(format!("the model {} is not a file", path.display()).into()),
        Err(error) => Err(format!("cannot read the model {}: {error}", path.display()).into()),
    }
}

/// Loads the model, and checks that it fits this program and the images fit it.
pub fn load(context: &Context, path: &Path, samples: &[Sample]) -> Result<(Model, Shape), Failure> {
    let model = Model::load(context, path).map_err(|error| {
        let acl = context.device().acl();
        let is_onnx = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"));
        let hint = match is_onnx && !acl.is_simulated() {
            true => format!(
                "\na card executes OM models; convert the ONNX, and give --model the OM file:\n  {}",
                digits::atc(acl, path)
            ),
            false => String::new(),
        };
        format!("cannot load the model {}: {error}{hint}", path.display())
    })?;
    let shape =
        Shape::of(model.desc()).map_err(|why| format!("the model {} does not fit: {why}", path.display()))?;
    for Sample { path: image_path, image, .. } in samples {
        if (image.width, image.height) != (shape.width, shape.height) {
            return Err(format!(
                "the image {} does not fit: it has {}x{} pixels, and the model {} takes {}x{}",
                image_path.display(),
                image.width,
                image.height,
                path.display(),
                shape.width,
                shape.height
            )
            .into());
        }
    }
    Ok((model, shape))
}

/// How many pixels go into the model, and how many scores come out.
#[derive(Clone, Copy)]
pub struct Shape {
    width: usize,
    height: usize,
    pub pixels: usize,
    pub classes: usize,
}

impl Shape {
    /// Checks that the model takes one grey image and gives one score for each class.
    fn of(model: &ModelDesc) -> Result<Shape, String> {
        let ([input], [output]) = (&model.inputs[..], &model.outputs[..]) else {
            return Err(format!(
                "it has {} and {}, and this program gives one image and takes one list of scores",
                counted(model.inputs.len(), "input"),
                counted(model.outputs.len(), "output")
            ));
        };
        let (width, height) = match input.dims[..] {
            [1, 1, height, width] if input.data_type == DataType::F32 => (width as usize, height as usize),
            _ => return Err(format!("it takes {input}, and this program gives f32 [1, 1, height, width]")),
        };
        if output.data_type != DataType::F32 || elements(output) == 0 {
            return Err(format!("it gives {output}, and this program takes f32 scores"));
        }
        Ok(Shape { width, height, pixels: elements(input), classes: elements(output) })
    }
}

fn elements(tensor: &TensorDesc) -> usize {
    tensor.dims.iter().product::<i64>() as usize
}
