//! A model: loaded from a file and from memory, described, executed, also on two streams.

use ascendcl::{Acl, DataType, Dataset, Format, Model};

use super::super::lab::{Failure, Lab, Outcome, digits, holds, same};
use super::pipeline::{best, read};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let context = acl.device(0)?.create_context()?;
    lab.step("load");
    let bytes = std::fs::read(digits("digits.onnx")).map_err(|error| Failure::Wrong(error.to_string()))?;
    let models = [Model::load(&context, digits("digits.onnx"))?, Model::from_bytes(&context, &bytes)?];
    for model in &models {
        let desc = model.desc();
        holds(desc.inputs.len() == 1 && desc.outputs.len() == 1, "one input, one output")?;
        let (input, output) = (&desc.inputs[0], &desc.outputs[0]);
        let floats = input.data_type == DataType::F32 && output.data_type == DataType::F32;
        let formats = input.format == Format::NCHW && output.format != Format::UNDEFINED;
        holds(floats && formats && output.name == "probabilities", "types, formats and names")?;
        same("the input's shape", &input.dims, &[1, 1, 8, 8])?;
        holds(input.size == 256 && output.size == 40 && input.name == "image", "the input and the output")?;
    }
    let model = &models[0];
    lab.step("execute");
    let pixels = read("0004_4.png")?;
    let image = context.alloc_from(&pixels)?;
    let inputs = Dataset::new(&context, [image.as_bytes()])?;
    let outputs = model.create_outputs()?;
    model.execute(&inputs, &outputs)?;
    let Some(scores) = outputs.buffer(0) else { return Err(Failure::Missing("an output of the model")) };
    let scores = scores.cast::<f32>()?;
    holds(best(&scores.to_vec()?) == 4, "a four is seen")?;
    lab.step("execute on two streams");
    let (first, second) = (context.create_stream()?, context.create_stream()?);
    image.copy_from_slice(&read("0013_3.png")?)?;
    model.execute_async(&first, &inputs, &outputs)?;
    model.execute_async(&second, &inputs, &outputs)?;
    models[1].execute_async(&second, &inputs, &outputs)?;
    let download = second.download(&scores, context.alloc_pinned(10)?)?;
    lab.sync(&first)?;
    holds(best(&lab.get(download)?) == 3, "a three is seen")?;
    lab.sync(&second)?;
    model.execute(&inputs, &outputs)?;
    holds(best(&scores.to_vec()?) == 3, "it is seen again")
}
