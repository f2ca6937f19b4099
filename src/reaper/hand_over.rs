//! The way to the reaper's thread.

use super::rounds::{Job, Pending, Rounds};
use crate::{guard, limbo::keep_for_ever, quiet};
use std::{
    sync::{
        OnceLock,
        mpsc::{self, Receiver, Sender},
    },
    time::Duration,
};

static REAPER: OnceLock<Option<Sender<Job>>> = OnceLock::new();

/// The way to the thread; `None` if it could not be started. Then what is handed over is leaked, which is safe.
fn reaper() -> Option<&'static Sender<Job>> {
    REAPER
        .get_or_init(|| {
            let (sender, jobs) = mpsc::channel();
            match guard::start_own_thread("ascendcl-reaper", move || run(&jobs)) {
                Ok(_) => Some(sender),
                Err(error) => {
                    quiet::log_error(format_args!(
                        "cannot start the thread that releases handles; they are leaked: {error}"
                    ));
                    None
                }
            }
        })
        .as_ref()
}

fn send(job: Job) {
    match reaper() {
        Some(reaper) => {
            // The thread never ends, so the channel is open.
            if let Err(mpsc::SendError(job)) = reaper.send(job) {
                keep_for_ever(job);
            }
        }
        None => keep_for_ever(job),
    }
}

/// Runs `release` soon, on a thread that is in no callback.
pub(crate) fn run_later(release: impl FnOnce() + Send + 'static) {
    send(Job::Run(Box::new(release)));
}

/// Releases `pending` once that is possible.
pub(crate) fn watch(pending: impl Pending + 'static) {
    send(Job::Watch(Box::new(pending)));
}

/// Waits until everything that was handed over is released, or `timeout` is over.
pub(crate) fn drain(timeout: Duration) {
    // Nothing was ever handed over: no reason to start the thread.
    let Some(Some(reaper)) = REAPER.get() else { return };
    let (done, wait) = mpsc::channel();
    if reaper.send(Job::Drain(done)).is_ok() {
        let _ = wait.recv_timeout(timeout);
    }
}

fn run(jobs: &Receiver<Job>) {
    let mut rounds = Rounds::new();
    while rounds.next(jobs) {}
}
