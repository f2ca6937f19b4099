//! The thread that releases what cannot be released where it was dropped: handles that die inside a callback, and streams
//! that still have work.
//!
//! It is started by the first such drop, sleeps while it has nothing to do, and never holds up anybody: destructors only
//! hand things over.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        OnceLock,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

/// Something that cannot be released yet.
pub(crate) trait Pending: Send {
    /// Releases it if it can be released now. True when it is done with.
    fn try_release(&mut self) -> bool;
}

enum Job {
    Run(Box<dyn FnOnce() + Send>),
    Watch(Box<dyn Pending>),
    /// Answer when nothing is left.
    Drain(Sender<()>),
}

/// How often pending things are looked at: soon at first, then less and less.
const FIRST_LOOK: Duration = Duration::from_micros(100);
const SLOWEST_LOOK: Duration = Duration::from_millis(20);

static REAPER: OnceLock<Option<Sender<Job>>> = OnceLock::new();

/// The way to the thread; `None` if it could not be started. Then what is handed over is leaked, which is safe.
fn reaper() -> Option<&'static Sender<Job>> {
    REAPER
        .get_or_init(|| {
            let (sender, jobs) = mpsc::channel();
            match thread::Builder::new().name("ascendcl-reaper".into()).spawn(move || run(&jobs)) {
                Ok(_) => Some(sender),
                Err(error) => {
                    log::error!("cannot start the thread that releases handles; they are leaked: {error}");
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
                std::mem::forget(job);
            }
        }
        None => std::mem::forget(job),
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
    let mut pending: Vec<Box<dyn Pending>> = Vec::new();
    let mut drains: Vec<Sender<()>> = Vec::new();
    let mut interval = FIRST_LOOK;
    let mut next_look = Instant::now();
    loop {
        let job = if pending.is_empty() {
            jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            jobs.recv_timeout(next_look.saturating_duration_since(Instant::now()))
        };
        match job {
            Ok(Job::Run(release)) => guarded(release),
            Ok(Job::Watch(thing)) => {
                pending.push(thing);
                interval = FIRST_LOOK;
                next_look = Instant::now();
            }
            Ok(Job::Drain(done)) => drains.push(done),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if !pending.is_empty() && Instant::now() >= next_look {
            let before = pending.len();
            // Guarded as a whole too: what is done with is dropped here.
            guarded(|| {
                pending.retain_mut(|thing| {
                    let mut done = true;
                    guarded(|| done = thing.try_release());
                    !done
                });
            });
            // Something moved: the next may be close behind.
            interval = if pending.len() < before { FIRST_LOOK } else { (interval * 2).min(SLOWEST_LOOK) };
            next_look = Instant::now() + interval;
        }
        // What was released may have handed over more: answer behind it.
        while pending.is_empty() && !drains.is_empty() {
            match jobs.try_recv() {
                Ok(Job::Run(release)) => guarded(release),
                Ok(Job::Watch(thing)) => pending.push(thing),
                Ok(Job::Drain(done)) => drains.push(done),
                Err(_) => {
                    for done in drains.drain(..) {
                        // Whoever waited may have given up.
                        let _ = done.send(());
                    }
                }
            }
        }
    }
}

/// What captured values do when dropped must not end the thread.
fn guarded(action: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(action)) {
        log::error!("a destructor panicked while a handle was released");
        // Dropping a panic's payload may panic again.
        std::mem::forget(payload);
    }
}
