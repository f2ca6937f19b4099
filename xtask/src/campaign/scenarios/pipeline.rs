//! One thread decodes images, another puts them through a model, callbacks deliver; the buffers go round.

use std::fs::File;
use std::io::BufReader;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use ascendcl::{Acl, Context, Model, PinnedBuffer};

use super::super::lab::{Failure, Lab, Outcome, digits, holds};

/// Images with the digit that is on them.
const IMAGES: [&str; 6] =
    ["0001_1.png", "0004_4.png", "0013_3.png", "0001_1.png", "0013_3.png", "0004_4.png"];
const BUFFERS: usize = 3;

struct Buffer {
    pixels: PinnedBuffer<f32>,
    scores: PinnedBuffer<f32>,
}

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let context = acl.device(0)?.create_context()?;
    lab.step("load the model");
    let model = Model::load(&context, digits("digits.onnx"))?;
    let (free_sender, free) = mpsc::channel();
    for _ in 0..BUFFERS {
        let (pixels, scores) = (context.alloc_pinned(64)?, context.alloc_pinned(10)?);
        free_sender.send(Buffer { pixels, scores }).map_err(|_| Failure::Missing("the channel"))?;
    }
    let (decoded_sender, decoded) = mpsc::channel();
    let (result_sender, results) = mpsc::channel();
    lab.step("the pipeline");
    let (delivered, consumed, produced) = thread::scope(|scope| {
        let producer = scope.spawn(move || produce(free, decoded_sender));
        let consumer = scope.spawn(|| consume(lab, &context, &model, decoded, result_sender));
        let mut delivered = Vec::new();
        while let Ok(Some((digit, buffer))) = lab.receive(&results) {
            delivered.push(digit);
            let _ = free_sender.send(buffer);
        }
        // A producer that waits for a buffer goes on without.
        drop(free_sender);
        drop(results);
        (delivered, consumer.join(), producer.join())
    });
    let panicked = |_| Failure::Wrong("a thread panicked".into());
    consumed.map_err(panicked)??;
    produced.map_err(panicked)??;
    let expected: Vec<usize> = IMAGES.iter().map(|name| usize::from(name.as_bytes()[5] - b'0')).collect();
    holds(delivered == expected, &format!("the digits are {expected:?}, not {delivered:?}"))
}

fn produce(free: Receiver<Buffer>, decoded: Sender<Buffer>) -> Outcome {
    for name in IMAGES {
        let pixels = read(name)?;
        let Ok(mut buffer) = free.recv() else { break };
        buffer.pixels.copy_from_slice(&pixels);
        let Ok(()) = decoded.send(buffer) else { break };
    }
    Ok(())
}

fn consume(
    lab: &Lab,
    context: &Context,
    model: &Model,
    decoded: Receiver<Buffer>,
    results: Sender<(usize, Buffer)>,
) -> Outcome {
    let stream = context.create_stream()?;
    let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
    let (Some(input), Some(output)) = (inputs.buffer(0), outputs.buffer(0)) else {
        return Err(Failure::Missing("an input or an output of the model"));
    };
    let (pixels_there, scores_there) = (input.cast()?, output.cast()?);
    // With a limit: after an error in a callback nobody sends any more, and the stream is asked why.
    while let Ok(Some(Buffer { pixels, scores })) = lab.receive(&decoded) {
        let upload = stream.upload(pixels, &pixels_there)?;
        model.execute_async(&stream, &inputs, &outputs)?;
        let download = stream.download(&scores_there, scores)?;
        let results = results.clone();
        drop(stream.launch_callback(lab.closure(move || {
            if let (Ok(pixels), Ok(scores)) = (upload.wait(), download.wait()) {
                let _ = results.send((best(&scores), Buffer { pixels, scores }));
            }
        }))?);
    }
    lab.sync(&stream)?;
    Ok(())
}

/// The most probable digit.
pub fn best(scores: &[f32]) -> usize {
    (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(usize::MAX)
}

/// The pixels of an image: ink is 1, paper is 0.
pub fn read(name: &str) -> Result<Vec<f32>, Failure> {
    let path = digits("images").join(name);
    let wrong = |error: &dyn std::fmt::Display| Failure::Wrong(format!("{}: {error}", path.display()));
    let file = File::open(&path).map_err(|error| wrong(&error))?;
    let mut reader = png::Decoder::new(BufReader::new(file)).read_info().map_err(|error| wrong(&error))?;
    let mut bytes = vec![0; reader.output_buffer_size().unwrap_or(0)];
    let frame = reader.next_frame(&mut bytes).map_err(|error| wrong(&error))?;
    bytes.truncate(frame.buffer_size());
    Ok(bytes.iter().map(|&pixel| f32::from(pixel) / 255.0).collect())
}
