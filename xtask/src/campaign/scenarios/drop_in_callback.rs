//! Last handles of everything are dropped inside callbacks.

use ascendcl::{Acl, Model};

use super::super::lab::{Lab, Outcome, digits, holds};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let device = acl.device(0)?;
    for round in 0..2 {
        let context = device.create_context()?;
        let (stream, other) = (context.create_stream()?, context.create_stream()?);
        let event = context.create_event()?;
        let buffer = context.alloc::<u8>(100)?;
        let pinned = context.alloc_pinned::<u8>(100)?;
        stream.record(&event)?;
        let upload = other.upload(context.alloc_pinned_from(&[1; 100])?, &buffer)?;
        let model = Model::load(&context, digits("digits.onnx"))?;
        let inputs = model.create_inputs()?;
        let foreign = device.create_context()?;
        let callback = stream.launch_callback(lab.closure(move || {
            drop((event, buffer, pinned, upload, other, inputs, model, foreign));
            round
        }))?;
        lab.step("wait for the callback that drops");
        holds(lab.wait(callback)? == round, "the callback's result")?;
        lab.sync(&stream)?;
        // This one owns the stream that it runs on, and its context, and gives back what it owns.
        let own = stream.clone();
        drop(stream.launch_callback(lab.closure(move || (own, context)))?);
        drop(stream);
    }
    Ok(())
}
