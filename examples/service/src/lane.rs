//! One stream with a model of its own, and the way of a batch through it.

use crate::{Failure, digits};
use ascendcl::{Context, DataType, Dataset, DeviceBuffer, Error, Model, PinnedBuffer, Result, Stream};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What the model says of a picture.
#[derive(Serialize)]
pub struct Answer {
    pub digit: usize,
    pub probability: f32,
    /// Where it was found out.
    pub device: i32,
    /// How many pictures were in the batch.
    pub batch: usize,
}

/// What the model takes.
#[derive(Clone, Copy)]
pub struct Shape {
    pub width: usize,
    pub height: usize,
}

/// A stream that executes a model. The model takes one picture, so a batch is one upload, an execution for each picture, and one download.
pub struct Lane {
    path: PathBuf,
    stream: Stream,
    model: Model,
    shape: Shape,
    classes: usize,
    places: Places,
    /// Taken while a batch is under way.
    memory: Option<Memory>,
}

/// Device memory: a place for each picture of a batch.
struct Places {
    pixels: DeviceBuffer<f32>,
    scores: DeviceBuffer<f32>,
    /// What an execution reads and writes.
    datasets: Vec<(Dataset, Dataset)>,
}

/// Host memory of the same size.
struct Memory {
    pixels: PinnedBuffer<f32>,
    scores: PinnedBuffer<f32>,
}

impl Lane {
    /// Loads the model and allocates everything that batches need. They go round: no batch allocates device memory.
    pub fn open(context: &Context, path: &Path, batch: usize) -> Result<Lane, Failure> {
        let model = Model::load(context, path)?;
        let ([input], [output]) = (&model.desc().inputs[..], &model.desc().outputs[..]) else {
            return Err(
                format!("{} is no classifier: it has several inputs or outputs", path.display()).into()
            );
        };
        let (shape, classes) = match (&input.dims[..], &output.dims[..]) {
            (&[1, 1, height, width], &[1, classes])
                if (input.data_type, output.data_type) == (DataType::F32, DataType::F32) =>
            {
                (Shape { width: width.try_into()?, height: height.try_into()? }, classes.try_into()?)
            }
            _ => return Err(format!("{} takes {input} and gives {output}", path.display()).into()),
        };
        let places = Places::new(context, [input.size, output.size], batch)?;
        let memory = Memory {
            pixels: context.alloc_pinned(places.pixels.len())?,
            scores: context.alloc_pinned(places.scores.len())?,
        };
        let stream = context.create_stream()?;
        Ok(Lane { path: path.to_owned(), stream, model, shape, classes, places, memory: Some(memory) })
    }

    /// The same anew, with another stream: one that has failed takes no more work.
    pub fn reopen(self) -> Result<Lane, Failure> {
        Lane::open(self.stream.context(), &self.path, self.places.datasets.len())
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    pub fn device(&self) -> i32 {
        self.stream.device().id()
    }

    /// Puts pictures through the model. There must not be more than a batch has.
    pub async fn classify<'a>(&mut self, pictures: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Answer>> {
        let Some(Memory { mut pixels, scores }) = self.memory.take() else {
            return Err(Error::AlreadyTaken { what: "the batch of before, which has failed," });
        };
        let Places { pixels: pixels_there, scores: scores_there, datasets } = &self.places;
        let mut batch = 0;
        for (picture, place) in pictures.zip(pixels.chunks_exact_mut(pixels_there.len() / datasets.len())) {
            digits::normalize(picture, place);
            batch += 1;
        }
        let upload = self.stream.upload(pixels, pixels_there)?;
        for (input, output) in &datasets[..batch] {
            self.model.execute_async(&self.stream, input, output)?;
        }
        let download = self.stream.download(scores_there, scores)?;
        // The only place where a batch waits for the device, and no thread does.
        let scores = download.await?;
        let answers = scores
            .chunks_exact(scores.len() / datasets.len())
            .take(batch)
            .map(|scores| {
                let digit = digits::best(&scores[..self.classes]);
                Answer { digit, probability: scores[digit], device: self.device(), batch }
            })
            .collect();
        // Done before the download was.
        self.memory = Some(Memory { pixels: upload.await?, scores });
        Ok(answers)
    }
}

impl Places {
    /// So many pictures, for a model whose buffers have these sizes.
    fn new(context: &Context, sizes: [usize; 2], batch: usize) -> Result<Places> {
        // Devices like addresses that are multiples of 64.
        let [input, output] = sizes.map(|bytes| bytes.next_multiple_of(64));
        let pixels = context.alloc::<f32>(batch * input / size_of::<f32>())?;
        let scores = context.alloc::<f32>(batch * output / size_of::<f32>())?;
        let datasets = (0..batch)
            .map(|index| {
                let input = pixels.as_bytes().view(index * input..(index + 1) * input)?;
                let output = scores.as_bytes().view(index * output..(index + 1) * output)?;
                Ok((Dataset::new(context, [input])?, Dataset::new(context, [output])?))
            })
            .collect::<Result<_>>()?;
        Ok(Places { pixels, scores, datasets })
    }
}
