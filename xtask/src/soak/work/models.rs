//! A model, loaded and executed everywhere: its scores are the same bits each time.

use std::fs;

use ascendcl::{Acl, Context, Dataset, DeviceBuffer, Error, Model};

use super::{
    outcome::{Failure, Outcome},
    world::World,
};
use crate::workspace;

const MODEL: &str = "examples/assets/digits/digits.onnx";
const PIXELS: usize = 64;
const IMAGES: u64 = 8;

/// The model's file, images, and what the model says of them.
pub struct Reference {
    model: Vec<u8>,
    images: Vec<Vec<f32>>,
    scores: Vec<Vec<u32>>,
}

impl Reference {
    pub fn new(acl: &Acl) -> Result<Self, Error> {
        let path = workspace::root().join(MODEL);
        let model = fs::read(&path)
            .map_err(|error| Error::Os { op: "reading the model", message: format!("{MODEL}: {error}") })?;
        let images: Vec<Vec<f32>> = (0..IMAGES)
            .map(fastrand::Rng::with_seed)
            .map(|mut random| (0..PIXELS).map(|_| random.f32()).collect())
            .collect();
        let context = acl.device(0)?.create_context()?;
        let digits = Digits::load(&context, &model)?;
        let scores = images.iter().map(|image| {
            digits.image.copy_from_slice(image)?;
            digits.model.execute(&digits.inputs, &digits.outputs)?;
            digits.scores()
        });
        let scores = scores.collect::<Result<_, Error>>()?;
        Ok(Self { model, images, scores })
    }
}

/// The model with what it reads and writes.
pub struct Digits {
    model: Model,
    image: DeviceBuffer<f32>,
    inputs: Dataset,
    outputs: Dataset,
}

impl Digits {
    fn load(context: &Context, model: &[u8]) -> Result<Self, Error> {
        let model = Model::from_bytes(context, model)?;
        let image = context.alloc::<f32>(PIXELS)?;
        let inputs = Dataset::new(context, [image.as_bytes()])?;
        let outputs = model.create_outputs()?;
        Ok(Self { model, image, inputs, outputs })
    }

    /// The bits of what the model said.
    fn scores(&self) -> Result<Vec<u32>, Error> {
        self.outputs.buffers()[0].cast::<u32>()?.to_vec()
    }
}

pub fn load(world: &mut World) -> Outcome {
    let place = world.place();
    load_into(world, place)
}

fn load_into(world: &mut World, place: usize) -> Outcome {
    let context = world.places[place].context.clone();
    // The old one may still be in a stream.
    world.places[place].digits = Some(Digits::load(&context, &world.reference.model)?);
    Ok(())
}

pub fn execute(world: &mut World) -> Outcome {
    let place = world.place();
    if world.places[place].digits.is_none() {
        load_into(world, place)?;
    }
    let number = world.random.usize(..IMAGES as usize);
    let pick = world.random.usize(..world.places[place].streams.len());
    let asynchronous = world.random.bool();
    let scores = scores_of(world, place, number, asynchronous.then_some(pick));
    if scores.is_err() {
        // What was queued before the error may still run. Nothing may be written under it: the streams keep it, and the next takes another.
        world.places[place].digits = None;
    }
    world.same("the scores of a model", &scores?, &world.reference.scores[number])
}

/// What the model of a place says of an image: at once, or on one of the streams.
fn scores_of(world: &World, place: usize, number: usize, stream: Option<usize>) -> Outcome<Vec<u32>> {
    let place = &world.places[place];
    let Some(digits) = &place.digits else { return Err(Failure::Wrong("no model is loaded".into())) };
    let image = &world.reference.images[number];
    if let Some(stream) = stream {
        let stream = &place.streams[stream];
        let upload = stream.upload(place.context.alloc_pinned_from(image)?, &digits.image)?;
        digits.model.execute_async(stream, &digits.inputs, &digits.outputs)?;
        stream.synchronize()?;
        upload.wait()?;
    } else {
        digits.image.copy_from_slice(image)?;
        digits.model.execute(&digits.inputs, &digits.outputs)?;
    }
    Ok(digits.scores()?)
}
