//! One device: its context, its streams, and the thread that keeps them busy.

use crate::{
    Failure, digits,
    images::Sample,
    lane::{Done, Lane, Slot},
    network,
    progress::Progress,
};
use ascendcl::{Acl, Context, Error, Result, Stream};
use std::{
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
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
    /// What is free, and of which lane.
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
        let mut lanes = Vec::with_capacity(streams);
        for _ in 0..streams {
            let (model, shape) = network::load(&context, model, samples)?;
            lanes.push(Lane::new(&context, model, shape)?);
        }
        // One for each lane, then the second ones: in this order they get the first images.
        let mut slots = Vec::with_capacity(DEPTH * streams);
        for _ in 0..DEPTH {
            for (index, lane) in lanes.iter().enumerate() {
                slots.push((index, lane.create_slot()?));
            }
        }
        Ok(Worker { context, uploads, lanes, slots })
    }

    pub fn device(&self) -> i32 {
        self.context.device().id()
    }

    /// Takes images from the queue until it is empty. To be called in a thread of its own.
    pub fn run(mut self, queue: &Queue, samples: &[Sample], progress: &Progress) -> Result<Vec<Answer>> {
        // Binds the context once, instead of looking in each call whether it is current.
        let context = self.context.clone();
        let _entered = context.enter()?;
        let worked = self.work(queue, samples, progress);
        if worked.is_err() {
            queue.stop();
        }
        // Whatever happened, wait for all streams, and report after that.
        let mut ended = self.uploads.synchronize_timeout(PATIENCE);
        for lane in &self.lanes {
            ended = ended.and(lane.synchronize(PATIENCE));
        }
        match worked {
            // Results do not come when something has failed on the device, and that is what to report.
            Err(error) if error.is_timeout() => ended.and(Err(error)),
            worked => worked.and_then(|answers| ended.map(|()| answers)),
        }
    }

    fn work(&mut self, queue: &Queue, samples: &[Sample], progress: &Progress) -> Result<Vec<Answer>> {
        let device = self.device();
        let mut answers = Vec::new();
        let (done, results) = mpsc::channel::<Done<Job>>();
        let mut under_way = 0;
        let mut idle = std::mem::take(&mut self.slots);
        loop {
            while let Some((lane, mut slot)) = idle.pop() {
                let Some(ticket) = queue.take() else {
                    idle.push((lane, slot));
                    break;
                };
                let sample = ticket % samples.len();
                digits::normalize(&samples[sample].image.pixels, &mut slot.pixels);
                self.lanes[lane].submit(&self.uploads, slot, Job { sample, lane }, &done)?;
                under_way += 1;
            }
            if under_way == 0 {
                return Ok(answers);
            }
            // This thread has `done` too: the channel stays open.
            let result = results.recv_timeout(PATIENCE).map_err(|_: RecvTimeoutError| Error::Timeout {
                op: "waiting for results",
                timeout: PATIENCE,
            })?;
            under_way -= 1;
            let (Job { sample, lane }, latency, slot) = result.finish()?;
            let class = digits::best(slot.scores());
            answers.push(Answer { sample, class, score: slot.scores()[class], device, latency });
            idle.push((lane, slot));
            progress.advance();
        }
    }
}
