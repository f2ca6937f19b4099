//! Scheduling by a seed, for runs that can be repeated.
//!
//! There are no pool threads then. Streams go on when a thread of the program calls in: a little at each call, as a random number
//! generator decides, and as far as it takes while the thread waits for a stream. The generator picks the stream and how many of its
//! tasks run. What remains to chance is the order in which the program's own threads call. A thread of ours takes over only when the
//! program has not called for a while, so that nobody waits for ever who waits by other means.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Once, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::Stream;
use super::stream::Signal;
use crate::error;
use crate::lock::{Condvar, Mutex};
use crate::own_thread;

/// Nothing has happened for so long: whoever could still do something is slower than any time-out of a device.
const SILENCE: Duration = Duration::from_millis(20);
/// The program has not called for so long that it waits for us by means of its own, or computes.
const ABSENCE: Duration = Duration::from_millis(50);
/// How often waiting threads look whether what they wait for came about without a task.
const LOOK: Duration = Duration::from_millis(5);
/// Tasks in one turn at most.
const LONGEST_TURN: u64 = 4;
/// Turns at one call at most.
const MOST_TURNS: u64 = 2;

static ON: AtomicBool = AtomicBool::new(false);
static SCHEDULE: Mutex<Schedule> = Mutex::new(Schedule {
    random: 0,
    ready: Vec::new(),
    running: false,
    changes: 0,
    timers: BTreeMap::new(),
    next_timer: 0,
});
static CHANGED: Condvar = Condvar::new();
/// Callbacks that threads have been woken up for and that have not returned.
static OUT: AtomicUsize = AtomicUsize::new(0);

struct Schedule {
    random: u64,
    ready: Vec<Arc<Stream>>,
    /// A thread gives a stream its turn.
    running: bool,
    /// Grows with everything that happens.
    changes: u64,
    /// Streams that wait until a time, first come first.
    timers: BTreeMap<(u64, u64), (Weak<Stream>, u64)>,
    next_timer: u64,
}

enum Step {
    Ran,
    /// There is nothing to run, or another thread runs something.
    Nothing,
}

pub(crate) fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// A machine was configured, and nothing of the old one is in use.
pub(crate) fn configure(seed: Option<u64>) {
    let mut schedule = SCHEDULE.lock();
    schedule.random = seed.unwrap_or(0);
    schedule.ready.clear();
    schedule.timers.clear();
    drop(schedule);
    ON.store(seed.is_some(), Ordering::SeqCst);
    super::clock::configure(seed.is_some());
    if seed.is_some() {
        static START: Once = Once::new();
        START.call_once(|| {
            if let Err(error) = own_thread::start("ascendcl-sim-seeded", stand_in) {
                log::error!("cannot start the thread that stands in for the program: {error}");
            }
        });
    }
}

/// Gives `stream` a turn some time.
pub(super) fn schedule(stream: Arc<Stream>) {
    let mut schedule = SCHEDULE.lock();
    schedule.ready.push(stream);
    schedule.changed();
}

/// Signals a time-out to `stream` at the virtual time `at` if it still waits with `ticket` then.
pub(super) fn add_timer(at: u64, stream: Weak<Stream>, ticket: u64) {
    let mut schedule = SCHEDULE.lock();
    let number = schedule.next_timer;
    schedule.next_timer += 1;
    schedule.timers.insert((at, number), (stream, ticket));
}

/// A thread of the program calls a C function: the devices may get on with their work meanwhile.
pub(crate) fn called() {
    let turns = SCHEDULE.lock().random(MOST_TURNS + 1);
    for _ in 0..turns {
        if let Step::Nothing = step() {
            return;
        }
    }
}

/// Does some of the work that `pending` waits for. False when `deadline` has passed.
pub(crate) fn work_until(deadline: Option<Instant>, mut pending: impl FnMut() -> bool) -> bool {
    let mut silent_since = Instant::now();
    let mut seen = u64::MAX;
    loop {
        if !pending() {
            return true;
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return false;
        }
        if let Step::Ran = step() {
            silent_since = Instant::now();
            continue;
        }
        let schedule = SCHEDULE.lock();
        if schedule.changes != seen {
            (seen, silent_since) = (schedule.changes, Instant::now());
        } else if silent_since.elapsed() >= SILENCE {
            drop(schedule);
            time_out();
            silent_since = Instant::now();
            continue;
        }
        let until = Instant::now() + LOOK;
        let until = deadline.map_or(until, |deadline| deadline.min(until));
        drop(CHANGED.wait_while(schedule, Some(until), |schedule| schedule.changes == seen));
    }
}

impl Schedule {
    fn changed(&mut self) {
        self.changes += 1;
        CHANGED.notify_all();
    }

    /// A number below `limit`. The generator is SplitMix64: one word of state, and seeds that differ in one bit share nothing.
    fn random(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// A callback that another thread runs at once. Until it has returned nothing else happens, unless it takes long: what a stream does behind
/// it must not depend on when that thread gets a processor.
pub(super) struct Out(());

impl Out {
    pub(super) fn new() -> Arc<Self> {
        OUT.fetch_add(1, Ordering::SeqCst);
        Arc::new(Self(()))
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        OUT.fetch_sub(1, Ordering::SeqCst);
        SCHEDULE.lock().changed();
    }
}

fn await_callbacks() {
    if OUT.load(Ordering::SeqCst) > 0 && !super::report::is_inside() {
        let until = Instant::now() + ABSENCE;
        let out = |_: &mut Schedule| OUT.load(Ordering::SeqCst) > 0;
        drop(CHANGED.wait_while(SCHEDULE.lock(), Some(until), out));
    }
}

/// Gives one stream a turn.
fn step() -> Step {
    let (stream, tasks) = {
        let mut schedule = SCHEDULE.lock();
        if schedule.running || schedule.ready.is_empty() {
            return Step::Nothing;
        }
        let count = schedule.ready.len() as u64;
        let chosen = schedule.random(count) as usize;
        let tasks = 1 + schedule.random(LONGEST_TURN);
        schedule.running = true;
        (schedule.ready.remove(chosen), tasks)
    };
    error::apart(|| stream.turn(tasks as usize));
    let mut schedule = SCHEDULE.lock();
    schedule.running = false;
    schedule.changed();
    drop(schedule);
    await_callbacks();
    Step::Ran
}

/// The stream whose time is up first stops waiting.
fn time_out() {
    let first = SCHEDULE.lock().timers.pop_first();
    if let Some((_, (stream, ticket))) = first
        && let Some(stream) = stream.upgrade()
    {
        stream.signal(ticket, Signal::TimedOut);
    }
}

/// Does the work while the program does not call.
fn stand_in() {
    let mut seen = 0;
    loop {
        thread::sleep(ABSENCE);
        let schedule = SCHEDULE.lock();
        let (changes, idle) = (schedule.changes, schedule.ready.is_empty());
        drop(schedule);
        if changes != seen || !is_on() {
            seen = changes;
            continue;
        }
        if idle {
            time_out();
        }
        while let Step::Ran = step() {}
    }
}
