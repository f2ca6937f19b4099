//! One device: its context, its streams, and the thread that keeps them busy.

use crate::{
    Failure, digits,
    images::Sample,
    lane::{Done, Lane, Slot},
    network::Shape,
};
use ascendcl::{Acl, Context, Error, Model, Result, Stream};
use std::{
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    time::Duration,
};

/// Images in each work stream at a time: one is executed, the next is there already.
const DEPTH: usize = 2;

/// A device that gives no result for so long is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is still to be done. All devices take from it, so that none is idle while others have a backlog.
pub struct Queue {
    next: AtomicUsize,
    total: usize,
}

impl Queue {
    pub fn new(total: usize) -> Queue {
        Queue { next: AtomicUsize::new(0), total }
    }

    pub fn total(&self) -> usize {
        self.total
    }

    fn take(&self) -> Option<usize> {
        // Does not count on beyond the end.
        self.next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                (next < self.total).then_some(next + 1)
            })
            .ok()
    }

    /// A device has failed: the others need not go on.
    fn stop(&self) {
        self.next.store(self.total, Ordering::Relaxed);
    }
}

/// What the model said of an image.
pub struct Answer {
    pub sample: usize,
    pub class: usize,
    pub score: f32,
    pub device: i32,
    pub latency: Duration,
}

/// An image under way: which, and in which lane.
struct Job {
    sample: usize,
    lane: usize,
}

/// A device that is ready to work.
pub struct Worker {
    context: Context,
    uploads: Stream,
    lanes: Vec<Lane>,
    slots: Vec<(usize, Slot)>,
}

impl Worker {
    /// Opens the device and loads the model, once for each stream.
    pub fn new(
        acl: &Acl,
        id: i32,
        model: &Path,
        streams: usize,
        samples: &[Sample],
    ) -> Result<Worker, Failure> {
        let context = acl.device(id)?.create_context()?;
        let uploads = context.create_stream()?;
        let (mut lanes, mut slots) = (Vec::new(), Vec::new());
        for lane in 0..streams {
            let loaded = Model::load(&context, model)
                .map_err(|error| format!("cannot load the model {}: {error}", model.display()))?;
            let shape = Shape::of(loaded.desc(), samples)
                .map_err(|why| format!("the model {} does not fit: {why}", model.display()))?;
            lanes.push(Lane::new(&context, loaded)?);
            for _ in 0..DEPTH {
                slots.push((lane, lanes[lane].create_slot(shape)?));
            }
        }
        Ok(Worker { context, uploads, lanes, slots })
    }

    pub fn device(&self) -> i32 {
        self.context.device().id()
    }

    /// Takes images from the queue until it is empty. To be called in a thread of its own.
    pub fn run(mut self, queue: &Queue, samples: &[Sample], answers: &Sender<Answer>) -> Result<()> {
        // Binds the context once, instead of looking in each call whether it is current.
        let context = self.context.clone();
        let _entered = context.enter()?;
        let worked = self.work(queue, samples, answers);
        if worked.is_err() {
            queue.stop();
        }
        // Whatever happened, wait for all streams, and report after that. What failed on the device is the cause of all else.
        let mut ended = self.uploads.synchronize_timeout(PATIENCE);
        for lane in &self.lanes {
            ended = ended.and(lane.synchronize(PATIENCE));
        }
        ended.and(worked)
    }

    fn work(&mut self, queue: &Queue, samples: &[Sample], answers: &Sender<Answer>) -> Result<()> {
        let device = self.device();
        let (done, results) = mpsc::channel::<Done<Job>>();
        let mut under_way = 0;
        // First lane 0, then lane 1, ..., then the second images of each.
        let mut idle: Vec<_> = std::mem::take(&mut self.slots);
        idle.sort_by_key(|&(lane, _)| lane);
        loop {
            while let Some((lane, mut slot)) = idle.pop() {
                let Some(ticket) = queue.take() else { break };
                let sample = ticket % samples.len();
                digits::normalize(&samples[sample].image.pixels, &mut slot.pixels);
                self.lanes[lane].submit(&self.uploads, slot, Job { sample, lane }, &done)?;
                under_way += 1;
            }
            if under_way == 0 {
                return Ok(());
            }
            // This thread has `done` too: the channel stays open.
            let result = results.recv_timeout(PATIENCE).map_err(|_: RecvTimeoutError| Error::Timeout {
                op: "waiting for results",
                timeout: PATIENCE,
            })?;
            under_way -= 1;
            let (Job { sample, lane }, latency, slot) = result.finish()?;
            let class = digits::best(slot.scores());
            let answer = Answer { sample, class, score: slot.scores()[class], device, latency };
            idle.push((lane, slot));
            // The receiver lives longer than all devices.
            let _ = answers.send(answer);
        }
    }
}
