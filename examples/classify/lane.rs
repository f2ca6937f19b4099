//! One work stream, with a model of its own, and the way of an image through it.

use crate::network::Shape;
use ascendcl::{Context, Dataset, DeviceView, Event, Model, PinnedBuffer, Result, Stream, Transfer};
use std::{sync::mpsc::Sender, time::Duration};

/// A stream that executes a model.
pub struct Lane {
    work: Stream,
    model: Model,
    shape: Shape,
}

/// All that one image needs, from its upload to its result; then the next image gets it.
pub struct Slot {
    pub pixels: PinnedBuffer<f32>,
    scores: PinnedBuffer<f32>,
    place: Place,
}

/// The part of a slot that the device needs.
pub struct Place {
    pixels: DeviceView<f32>,
    scores: DeviceView<f32>,
    inputs: Dataset,
    outputs: Dataset,
    start: Event,
    uploaded: Event,
    end: Event,
}

/// An image came out of a stream. Sent by the callback.
pub struct Done<J> {
    pub job: J,
    scores: Result<PinnedBuffer<f32>>,
    upload: Transfer<f32>,
    place: Place,
}

impl Lane {
    pub fn new(context: &Context, model: Model, shape: Shape) -> Result<Lane> {
        Ok(Lane { work: context.create_stream()?, model, shape })
    }

    /// Allocates what an image needs. Done once: it goes round.
    pub fn create_slot(&self) -> Result<Slot> {
        let shape = self.shape;
        let context = self.work.context();
        let (inputs, outputs) = (self.model.create_inputs()?, self.model.create_outputs()?);
        // The model may want larger buffers than its numbers fill.
        let place = Place {
            pixels: inputs.buffers()[0].view(..shape.pixels * size_of::<f32>())?.cast()?,
            scores: outputs.buffers()[0].view(..shape.classes * size_of::<f32>())?.cast()?,
            inputs,
            outputs,
            start: context.create_event()?,
            uploaded: context.create_event()?,
            end: context.create_event()?,
        };
        Ok(Slot {
            pixels: context.alloc_pinned(shape.pixels)?,
            scores: context.alloc_pinned(shape.classes)?,
            place,
        })
    }

    /// Enqueues an image. This thread waits for nothing; `done` gets the result from a callback.
    pub fn submit<J: Send + 'static>(
        &self,
        uploads: &Stream,
        slot: Slot,
        job: J,
        done: &Sender<Done<J>>,
    ) -> Result<()> {
        let Slot { pixels, scores, place } = slot;
        uploads.record(&place.start)?;
        let upload = uploads.upload(pixels, &place.pixels)?;
        uploads.record(&place.uploaded)?;

        // From here on the work stream; uploads go on meanwhile.
        self.work.wait(&place.uploaded)?;
        self.model.execute_async(&self.work, &place.inputs, &place.outputs)?;
        let download = self.work.download(&place.scores, scores)?;
        self.work.record(&place.end)?;

        let done = done.clone();
        // Runs on another thread, behind the download: its memory can be had at once. All else is left to the device's thread,
        // because the work stream waits for its callback. When that thread has given up, the message is dropped.
        drop(self.work.launch_callback(move || {
            let _ = done.send(Done { job, scores: download.wait(), upload, place });
        })?);
        Ok(())
    }

    /// Waits until nothing is left in the stream. An execution that failed on the device is reported here.
    pub fn synchronize(&self, timeout: Duration) -> Result<()> {
        self.work.synchronize_timeout(timeout)
    }
}

impl<J> Done<J> {
    /// How long the image took on the device, what came out, and the slot for the next image.
    pub fn finish(self) -> Result<(J, Duration, Slot)> {
        let latency = self.place.end.elapsed_since(&self.place.start)?;
        // Waits for the upload stream, which holds nothing but short copies.
        let (pixels, scores) = (self.upload.wait()?, self.scores?);
        Ok((self.job, latency, Slot { pixels, scores, place: self.place }))
    }
}

impl Slot {
    /// What the model said of the last image.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }
}
