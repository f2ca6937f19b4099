//! Lanes: in each device an upload stream and work streams with models of their own; what an image needs goes round.

use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use ascendcl::{Acl, Context, Dataset, DeviceView, Event, Model, PinnedBuffer, Result, Stream, Transfer};

use super::super::lab::{Failure, Lab, Outcome, digits, holds};
use super::pipeline::{best, read};

const IMAGES: [&str; 3] = ["0001_1.png", "0004_4.png", "0013_3.png"];
const LANES: usize = 2;

struct Lane {
    work: Stream,
    model: Model,
}

struct Slot {
    pixels: PinnedBuffer<f32>,
    scores: PinnedBuffer<f32>,
    place: Place,
}

struct Place {
    pixels: DeviceView<f32>,
    scores: DeviceView<f32>,
    inputs: Dataset,
    outputs: Dataset,
    start: Event,
    uploaded: Event,
    end: Event,
}

struct Done {
    lane: usize,
    image: usize,
    scores: Result<PinnedBuffer<f32>>,
    upload: Transfer<f32>,
    place: Place,
}

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let images = IMAGES.iter().map(|name| read(name)).collect::<Result<Vec<_>, _>>()?;
    let results: Vec<Outcome> = thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|id| {
                scope.spawn({
                    let (acl, images) = (acl.clone(), &images);
                    move || work(lab, &acl.device(id)?.create_context()?, images)
                })
            })
            .collect();
        let panicked = |_| Err(Failure::Wrong("a thread panicked".into()));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    });
    for failure in results.iter().filter_map(|result| result.as_ref().err()) {
        if let Failure::Acl(error) = failure {
            lab.note(error);
        }
    }
    results.into_iter().collect()
}

fn work(lab: &Lab, context: &Context, images: &[Vec<f32>]) -> Outcome {
    let uploads = context.create_stream()?;
    let mut lanes = Vec::new();
    for _ in 0..LANES {
        let model = Model::load(context, digits("digits.onnx"))?;
        lanes.push(Lane { work: context.create_stream()?, model });
    }
    let _entered = context.enter()?;
    let worked = submit_all(lab, context, &uploads, &lanes, images);
    // Whatever happened, all streams are waited for, and what they say is told first: results do not come when something failed there.
    let mut ended = lab.sync(&uploads);
    for lane in &lanes {
        ended = ended.and(lab.sync(&lane.work));
    }
    match worked {
        Err(Failure::Missing(what)) => Err(ended.err().map_or(Failure::Missing(what), Failure::Acl)),
        worked => worked.and(ended.map_err(Failure::Acl)),
    }
}

fn submit_all(
    lab: &Lab,
    context: &Context,
    uploads: &Stream,
    lanes: &[Lane],
    images: &[Vec<f32>],
) -> Outcome {
    let (done, results) = mpsc::channel::<Done>();
    let mut idle = Vec::new();
    for (number, lane) in lanes.iter().enumerate() {
        idle.push((number, create_slot(context, &lane.model)?));
    }
    let (mut next, mut right, mut under_way) = (0, 0, 0);
    let total = 2 * images.len();
    loop {
        while next < total
            && let Some((lane, mut slot)) = idle.pop()
        {
            let image = next % images.len();
            slot.pixels.copy_from_slice(&images[image]);
            submit(lab, &lanes[lane], uploads, slot, (lane, image), &done)?;
            next += 1;
            under_way += 1;
        }
        if under_way == 0 {
            return holds(right == total, "all digits are recognised");
        }
        // This thread has `done` too, and a closure that was dropped sends nothing: then the streams say why.
        let result = match results.recv_timeout(Duration::from_secs(2)) {
            Ok(result) => result,
            Err(_) => {
                lab.sync(uploads)?;
                lanes.iter().try_for_each(|lane| lab.sync(&lane.work))?;
                results.try_recv().map_err(|_| Failure::Missing("a result"))?
            }
        };
        under_way -= 1;
        let Done { lane, image, scores, upload, place } = result;
        place.end.elapsed_since(&place.start)?;
        let (pixels, scores) = (lab.get(upload)?, scores?);
        right += usize::from(best(&scores) == usize::from(IMAGES[image].as_bytes()[5] - b'0'));
        idle.push((lane, Slot { pixels, scores, place }));
    }
}

fn create_slot(context: &Context, model: &Model) -> Result<Slot, Failure> {
    let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
    let (Some(input), Some(output)) = (inputs.buffer(0), outputs.buffer(0)) else {
        return Err(Failure::Missing("an input or an output of the model"));
    };
    let place = Place {
        pixels: input.view(..64 * 4)?.cast()?,
        scores: output.view(..10 * 4)?.cast()?,
        start: context.create_event()?,
        uploaded: context.create_event()?,
        end: context.create_event()?,
        inputs,
        outputs,
    };
    Ok(Slot { pixels: context.alloc_pinned(64)?, scores: context.alloc_pinned(10)?, place })
}

fn submit(
    lab: &Lab,
    to: &Lane,
    uploads: &Stream,
    slot: Slot,
    (lane, image): (usize, usize),
    done: &Sender<Done>,
) -> Outcome {
    let Slot { pixels, scores, place } = slot;
    uploads.record(&place.start)?;
    let upload = uploads.upload(pixels, &place.pixels)?;
    uploads.record(&place.uploaded)?;
    to.work.wait(&place.uploaded)?;
    to.model.execute_async(&to.work, &place.inputs, &place.outputs)?;
    let download = to.work.download(&place.scores, scores)?;
    to.work.record(&place.end)?;
    let done = done.clone();
    drop(to.work.launch_callback(lab.closure(move || {
        let _ = done.send(Done { lane, image, scores: download.wait(), upload, place });
    }))?);
    Ok(())
}
