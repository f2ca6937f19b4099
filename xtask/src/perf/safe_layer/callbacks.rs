//! Callbacks: how many, how soon, and what their thread does when there are none.

use std::{
    fs,
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use ascendcl::Stream;

use super::rig::Rig;
use crate::{
    error::Error,
    perf::{
        baseline::{Functions, Reporter},
        measure::{Effort, by_turns, quantile, seconds_each},
        row::{Baseline, Limit, Measured, Row, Target, Unit},
    },
};

/// So many callbacks a round.
const CALLBACKS: usize = 512;

const LATENCY: &str = "The report thread is still inside of `aclrtProcessReport` for 62 ms behind a callback, as C's always is. On both sides the launch wakes it there, and the device's thread; \
    whichever comes first brings the callback about. What is added is the work of `instructions-callback`, what the report thread does to find and end it, and, after a \
    pause in which the caches were left to others, the misses of a registry, a job and a mailbox that C does not have: a constant, of which the wake-ups leave a few parts in a hundred.";

pub fn throughput() -> Row {
    Row {
        name: "callbacks",
        title: "callbacks on one stream, closures that capture 64 bytes: launched, and the stream waited for",
        baseline: "C with user data from malloc and a thread that polls for reports, as in the official samples",
        target: Target::Ratio(Limit::AtMost(1.0)),
        run: measure_throughput,
        remark: Some(
            "512 are launched at once, and on both sides the threads hand over to each other more or less often meanwhile: that is what the quartiles show. `instructions-callback` counts what the safe layer adds: \
             the closure is held by a key, so that a report that comes twice or late finds nothing, and its outcome is kept for who waits.",
        ),
        ..Row::PLAIN
    }
}

pub fn latency_p50() -> Row {
    Row {
        name: "callback-latency-p50",
        title: "from the launch until the callback runs, the device idle before: median",
        baseline: "the same in C, with a thread that polls for reports",
        target: Target::Ratio(Limit::AtMost(1.0)),
        run: |effort| measure_latency(effort, 0.5),
        remark: Some(LATENCY),
        ..Row::PLAIN
    }
}

pub fn latency_p99() -> Row {
    Row {
        name: "callback-latency-p99",
        title: "from the launch until the callback runs, the device idle before: the slowest but one in a hundred",
        baseline: "the same in C, with a thread that polls for reports",
        target: Target::Ratio(Limit::AtMost(1.0)),
        run: |effort| measure_latency(effort, 0.99),
        remark: Some(LATENCY),
        ..Row::PLAIN
    }
}

pub fn idle_wakeups() -> Row {
    Row {
        name: "idle-wakeups",
        title: "how often an idle report thread wakes up, in a second",
        baseline: "the same in C, with a thread that polls for reports every 100 ms",
        unit: Unit::Rate,
        target: Target::Ours(Limit::AtMost(0.0)),
        run: measure_idle,
        ..Row::PLAIN
    }
}

/// Two streams, each with its report thread.
struct Sides {
    rig: Rig,
    ours: Stream,
    theirs: Stream,
    reporter: Option<Reporter>,
}

impl Sides {
    fn new() -> Result<Sides, Error> {
        let rig = Rig::new()?;
        let (ours, theirs) = (rig.context.create_stream()?, rig.context.create_stream()?);
        // SAFETY: [handle] context, functions and stream live as long as the answer, which ends the thread first.
        let reporter = unsafe {
            let reporter = Reporter::start(&rig.c, rig.context.as_raw())?;
            let _entered = rig.context.enter()?;
            reporter.subscribe(theirs.as_raw())?;
            reporter
        };
        ours.launch_callback(|| ())?.wait()?;
        ours.synchronize()?;
        Ok(Sides { rig, ours, theirs, reporter: Some(reporter) })
    }
}

impl Drop for Sides {
    fn drop(&mut self) {
        if let (Ok(_entered), Some(reporter)) = (self.rig.context.enter(), self.reporter.take()) {
            // SAFETY: [handle] the stream is alive, and subscribed. Should it fail, the stream is destroyed with its subscription.
            let _ = unsafe { reporter.unsubscribe(self.theirs.as_raw()) };
        }
    }
}

fn measure_throughput(effort: Effort) -> Result<Measured, Error> {
    static SUM: AtomicU64 = AtomicU64::new(0);
    let sides = Sides::new()?;
    let _entered = sides.rig.context.enter()?;
    let measured = by_turns(
        effort,
        || {
            seconds_each(CALLBACKS, || {
                for index in 0..CALLBACKS as u64 {
                    let numbers: [u64; 8] = black_box(std::array::from_fn(|number| index + number as u64));
                    drop(sides.ours.launch_callback(move || {
                        SUM.fetch_add(numbers.iter().sum(), Ordering::Relaxed);
                    })?);
                }
                Ok(sides.ours.synchronize()?)
            })
        },
        // SAFETY: [handle] the stream is alive, and subscribed.
        || seconds_each(CALLBACKS, || unsafe { sides.rig.c.callbacks(sides.theirs.as_raw(), CALLBACKS) }),
    )?;
    // When instructions are counted one side runs alone.
    if measured.baseline.is_some() && SUM.load(Ordering::Relaxed) != Functions::sum() {
        return Err(Error::new("not every callback has run"));
    }
    Ok(measured)
}

/// Long enough for every thread to fall asleep.
const PAUSE: Duration = Duration::from_millis(1);

fn measure_latency(effort: Effort, share: f64) -> Result<Measured, Error> {
    let sides = Sides::new()?;
    let _entered = sides.rig.context.enter()?;
    let rounds = effort.choose(20, 4000);
    let mut pairs = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        thread::sleep(PAUSE);
        let start = Instant::now();
        let callback = sides.ours.launch_callback(Instant::now)?;
        sides.ours.synchronize()?;
        let ours = callback.wait()?.duration_since(start).as_secs_f64();
        thread::sleep(PAUSE);
        // SAFETY: [handle] the stream is alive, and subscribed.
        pairs.push((ours, unsafe { sides.rig.c.latency(sides.theirs.as_raw()) }?));
    }
    // Rounds are too few for a share of the slowest: groups of them are compared.
    let share_of = |pairs: &[(f64, f64)], side: fn(&(f64, f64)) -> f64| {
        quantile(&mut pairs.iter().map(side).collect::<Vec<_>>(), share)
    };
    let (ours, theirs) = (share_of(&pairs, |pair| pair.0), share_of(&pairs, |pair| pair.1));
    let mut ratios: Vec<f64> = pairs
        .chunks(effort.choose(10, 400))
        .map(|group| share_of(group, |pair| pair.0) / share_of(group, |pair| pair.1))
        .collect();
    let quartiles = (quantile(&mut ratios, 0.25), quantile(&mut ratios, 0.75));
    let baseline = Baseline { value: theirs, ratio: ours / theirs, quartiles };
    Ok(Measured { ours, baseline: Some(baseline), note: format!("{rounds} callbacks on each side") })
}

fn measure_idle(effort: Effort) -> Result<Measured, Error> {
    let sides = Sides::new()?;
    let theirs = sides.reporter.as_ref().map_or(0, Reporter::number);
    let ours = report_thread()?;
    // It goes on asking for a moment behind a callback.
    thread::sleep(Duration::from_millis(300));
    let before = (switches(ours)?, switches(theirs)?);
    let watched = Duration::from_secs(effort.choose(1, 5));
    thread::sleep(watched);
    let rate = |before: u64, after: u64| (after - before) as f64 / watched.as_secs_f64();
    Ok(Measured::once(rate(before.0, switches(ours)?), rate(before.1, switches(theirs)?))
        .noted("voluntary context switches of the thread, from `/proc`"))
}

/// The number of this crate's report thread.
fn report_thread() -> Result<i32, Error> {
    let tasks = fs::read_dir("/proc/self/task").map_err(|error| Error::new(error.to_string()))?;
    tasks
        .flatten()
        .find(|task| {
            fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "ascendcl-report")
        })
        .and_then(|task| task.file_name().to_str()?.parse().ok())
        .ok_or_else(|| Error::new("there is no report thread"))
}

/// How often a thread has gone to sleep.
fn switches(thread: i32) -> Result<u64, Error> {
    let status = fs::read_to_string(format!("/proc/self/task/{thread}/status"))
        .map_err(|error| Error::new(format!("cannot look at thread {thread}: {error}")))?;
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok())
        .ok_or_else(|| Error::new("the system does not count context switches"))
}
