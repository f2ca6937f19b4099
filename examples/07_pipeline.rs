//! A producer and a consumer, decoupled: one thread reads and decodes frames (PNG files of digits), another puts them through a model
//! on a stream, and callbacks deliver what comes out. Nobody waits for anybody, except when all buffers are in use.
//!
//! ```sh
//! cargo run --release --example 07_pipeline
//! ```
//!
//! A card wants `digits.om` beside `digits.onnx`, and an error that says how to make it comes up if it is missing.

#[path = "common/digits.rs"]
mod digits;
#[path = "common/failure.rs"]
mod failure;
#[path = "common/gray.rs"]
mod gray;

use ascendcl::{Acl, Context, Model, PinnedBuffer, Result, TensorDesc};
use failure::Failure;
use gray::Gray;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, Sender};
use std::{path::PathBuf, thread, time::Instant};

/// How many frames may be between the producer and the end: there are so many buffers.
const BUFFERS: usize = 8;

/// The host memory of one frame. It goes round: free, decoded, lent to the stream, delivered, free.
struct Buffer {
    pixels: PinnedBuffer<f32>,
    scores: PinnedBuffer<f32>,
}

/// Frames that are decoded and not delivered yet.
static IN_FLIGHT: AtomicUsize = AtomicUsize::new(0);

fn main() -> Result<(), Failure> {
    let acl = Acl::new()?;
    let context = acl.device(0)?.create_context()?;
    let model = Model::load(&context, digits::model_file(&acl)?)?;
    let frames = gray::png_files(&digits::folder().join("images"))?;
    let (free_sender, free) = mpsc::channel();
    let floats = |tensor: &TensorDesc| tensor.size / size_of::<f32>();
    let (pixels, scores) = (floats(&model.desc().inputs[0]), floats(&model.desc().outputs[0]));
    for _ in 0..BUFFERS {
        let (pixels, scores) = (context.alloc_pinned(pixels)?, context.alloc_pinned(scores)?);
        free_sender.send(Buffer { pixels, scores })?;
    }
    let (decoded_sender, decoded) = mpsc::channel();
    let (result_sender, results) = mpsc::channel();
    let start = Instant::now();
    thread::scope(|scope| {
        let producer = scope.spawn(|| produce(&frames, free, decoded_sender));
        let consumer = scope.spawn(|| consume(&context, &model, decoded, result_sender));
        let (mut delivered, mut right, mut most) = (0, 0, 0);
        // A stream keeps the order, so the results come in that of the frames.
        for (result, frame) in results.iter().zip(&frames) {
            // Without it the producer would wait for a buffer for ever.
            let Ok((digit, buffer)) = result else { break };
            delivered += 1;
            right += usize::from(frame.to_string_lossy().ends_with(&format!("_{digit}.png")));
            most = most.max(IN_FLIGHT.fetch_sub(1, SeqCst));
            // The producer may be through.
            let _ = free_sender.send(buffer);
        }
        let took = start.elapsed();
        drop(free_sender); // ends a producer that waits for a buffer after the consumer has met an error
        consumer.join().expect("no thread panics")?;
        let overlapped = producer.join().expect("no thread panics")?;
        println!("{delivered} frames in {took:.1?}: {:.0} frames/s", delivered as f64 / took.as_secs_f64());
        println!("at most {most} frames in flight, in {BUFFERS} buffers");
        println!("{overlapped} frames were decoded while others were in flight");
        println!("{right} digits were recognised");
        assert_eq!(delivered, frames.len(), "no frame is lost");
        Ok(())
    })
}

/// Reads and decodes frames into free buffers; waits only when there is none. Gives how many were decoded while others were in flight.
fn produce(
    frames: &[PathBuf],
    free: Receiver<Buffer>,
    decoded: Sender<Buffer>,
) -> Result<usize, gray::ImageError> {
    let mut overlapped = 0;
    for frame in frames {
        let frame = Gray::read(frame)?;
        // The channels close when the consumer has met an error, which it reports itself.
        let Ok(mut buffer) = free.recv() else { break };
        digits::normalize(&frame.pixels, &mut buffer.pixels);
        overlapped += usize::from(IN_FLIGHT.fetch_add(1, SeqCst) > 0);
        let Ok(()) = decoded.send(buffer) else { break };
    }
    Ok(overlapped)
}

/// Puts each frame into the stream, and behind it a callback that delivers the digit, and the buffer for the next frame.
fn consume(
    context: &Context,
    model: &Model,
    decoded: Receiver<Buffer>,
    results: Sender<Result<(usize, Buffer)>>,
) -> Result<()> {
    let stream = context.create_stream()?;
    // One pair for all frames: the stream does one thing after another.
    let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
    let (pixels_there, scores_there) = (inputs.buffers()[0].cast()?, outputs.buffers()[0].cast()?);
    for Buffer { pixels, scores } in decoded {
        let upload = stream.upload(pixels, &pixels_there)?;
        model.execute_async(&stream, &inputs, &outputs)?;
        let download = stream.download(&scores_there, scores)?;
        let results = results.clone();
        let deliver = || -> Result<_> {
            let (pixels, scores) = (upload.wait()?, download.wait()?);
            Ok((digits::best(&scores), Buffer { pixels, scores }))
        };
        // Nobody listens any more after an error.
        drop(stream.launch_callback(move || _ = results.send(deliver()))?);
    }
    stream.synchronize()
}
