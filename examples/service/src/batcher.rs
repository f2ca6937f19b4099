//! From a queue of pictures to batches for the lanes.

use crate::{
    Failure,
    lane::{Answer, Lane},
};
use ascendcl::ErrorKind;
use std::{collections::VecDeque, time::Duration};
use tokio::{
    sync::{mpsc::Receiver, oneshot},
    task::{JoinSet, spawn_blocking},
    time::{Instant, timeout_at},
};

/// A picture that waits for its turn.
pub struct Job {
    pub pixels: Vec<u8>,
    pub since: Instant,
    /// Who waits for the answer.
    pub reply: oneshot::Sender<Result<Answer, String>>,
}

/// Collects batches, and gives each to the lane that has been idle for longest.
pub struct Batcher {
    idle: VecDeque<Lane>,
    /// Gives the lane back, unless that has failed for good.
    busy: JoinSet<Option<Lane>>,
    size: usize,
    wait: Duration,
}

impl Batcher {
    /// Batches of up to `size` pictures, for none of which a picture waits longer than `wait` while a lane is idle.
    pub fn new(lanes: Vec<Lane>, size: usize, wait: Duration) -> Batcher {
        Batcher { idle: lanes.into(), busy: JoinSet::new(), size, wait }
    }

    /// Serves the queue until it is closed and empty, and everything is answered.
    pub async fn run(mut self, mut queue: Receiver<Job>) -> Result<(), Failure> {
        // The lane first: while all are busy the queue fills, and the next batch is full.
        while let Some(lane) = self.next_lane().await {
            let Some(batch) = self.collect(&mut queue).await else {
                drop(lane);
                while self.busy.join_next().await.is_some() {}
                return Ok(());
            };
            self.busy.spawn(work(lane, batch));
        }
        // Who waits is told by the end of the queue, and so is who comes later.
        Err("no lane is left: all devices have failed".into())
    }

    /// The next in line; waits until one has nothing to do. `None` if none is left.
    async fn next_lane(&mut self) -> Option<Lane> {
        while let Some(ended) = self.busy.try_join_next() {
            self.idle.extend(ended.ok().flatten());
        }
        while self.idle.is_empty() {
            let ended = self.busy.join_next().await?;
            self.idle.extend(ended.ok().flatten());
        }
        self.idle.pop_front()
    }

    /// The next batch: as many as are there, and who comes before the first has waited long enough. `None` at the end of the queue.
    async fn collect(&self, queue: &mut Receiver<Job>) -> Option<Vec<Job>> {
        let first = queue.recv().await?;
        let deadline = first.since + self.wait;
        let mut batch = vec![first];
        while batch.len() < self.size {
            match timeout_at(deadline, queue.recv()).await {
                Ok(Some(job)) => batch.push(job),
                Ok(None) | Err(_) => break,
            }
        }
        // Clients that have gone meanwhile want no answer.
        batch.retain(|job| !job.reply.is_closed());
        Some(batch)
    }
}

/// Puts a batch through a lane, and answers. A lane that fails is made anew, unless its device is lost: that stays so until the process ends.
async fn work(mut lane: Lane, batch: Vec<Job>) -> Option<Lane> {
    if batch.is_empty() {
        return Some(lane);
    }
    let result = lane.classify(batch.iter().map(|job| &job.pixels[..])).await;
    match result {
        Ok(answers) => {
            for (job, answer) in batch.into_iter().zip(answers) {
                // The client may be gone.
                let _ = job.reply.send(Ok(answer));
            }
            Some(lane)
        }
        Err(error) => {
            eprintln!("a batch of {} failed on device {}: {error}", batch.len(), lane.device());
            for job in batch {
                let _ = job.reply.send(Err(error.to_string()));
            }
            if error.code().is_some_and(|code| code.kind() == ErrorKind::DeviceLost) {
                eprintln!("the lane is given up: device {} is lost", lane.device());
                return None;
            }
            // Loading a model takes its time.
            match spawn_blocking(move || lane.reopen()).await {
                Ok(Ok(lane)) => Some(lane),
                Ok(Err(error)) => {
                    eprintln!("the lane is given up: {error}");
                    None
                }
                Err(_) => None,
            }
        }
    }
}
