//! Recognises a few handwritten digits with two streams, and draws how host and device worked together.
//!
//! ```sh
//! ASCENDCL_SIM_TRACE=device.json cargo run --release -p ascendcl-timeline --example digits
//! ```
//!
//! writes `timeline.json` in the current folder: drop it on <https://ui.perfetto.dev>. On a card it has the side of the host.

#[path = "../../examples/common/digits.rs"]
mod digits;
#[path = "../../examples/common/failure.rs"]
mod failure;
#[path = "../../examples/common/gray.rs"]
mod gray;

use ascendcl::{Acl, Context, EventFlags, Model, Stream};
use failure::Failure;
use gray::Gray;
use std::path::Path;

const DIGITS: usize = 5;

fn main() -> Result<(), Failure> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "timeline.json".into());
    let timeline = ascendcl_timeline::record(&path)?;
    let acl = Acl::new()?;
    recognise(&acl)?;
    // Waits for what is still being closed: then what the simulator wrote is whole.
    acl.finalize()?;
    timeline.finish()?;
    println!("{path}: open it with https://ui.perfetto.dev");
    Ok(())
}

#[tracing::instrument(skip_all)]
fn recognise(acl: &Acl) -> Result<(), Failure> {
    let context = acl.device(0)?.create_context()?;
    let model = Model::load(&context, digits::model_file(acl)?)?;
    let (copying, computing) = (context.create_stream()?, context.create_stream()?);
    let files = gray::png_files(&digits::folder().join("images"))?;
    let mut found = Vec::new();
    for (number, file) in files.iter().take(DIGITS).enumerate() {
        found.push(enqueue(number, file, &context, &model, &copying, &computing)?);
    }
    for (digit, file) in found.into_iter().zip(&files) {
        println!("{}: {}", file.file_name().unwrap_or_default().display(), digit.wait()??);
    }
    computing.synchronize()?;
    Ok(())
}

/// Reads a picture, copies it on one stream, recognises it on the other; a callback behind that gives the digit.
#[tracing::instrument(skip_all, fields(number))]
fn enqueue(
    number: usize,
    file: &Path,
    context: &Context,
    model: &Model,
    copying: &Stream,
    computing: &Stream,
) -> Result<ascendcl::Callback<ascendcl::Result<usize>>, Failure> {
    let mut pixels = context.alloc_pinned(model.desc().inputs[0].size / size_of::<f32>())?;
    tracing::debug_span!("read PNG")
        .in_scope(|| Gray::read(file).map(|image| digits::normalize(&image.pixels, &mut pixels)))?;
    let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
    drop(copying.upload(pixels, &inputs.buffers()[0].cast::<f32>()?)?);
    let uploaded = context.create_event_with_flags(EventFlags::SYNC)?;
    copying.record(&uploaded)?;
    computing.wait(&uploaded)?;
    model.execute_async(computing, &inputs, &outputs)?;
    let scores = outputs.buffers()[0].cast::<f32>()?;
    let download = computing.download(&scores, context.alloc_pinned(scores.len())?)?;
    let deliver = move || {
        let scores = download.wait()?;
        let digit = digits::best(&scores);
        tracing::info!(number, digit, "recognised");
        Ok(digit)
    };
    Ok(computing.launch_callback(deliver)?)
}
