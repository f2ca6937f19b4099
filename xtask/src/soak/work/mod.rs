//! The threads that work, and what they do.

mod callbacks;
mod data;
mod events;
mod exchange;
mod futures;
mod gate;
mod handles;
mod models;
mod outcome;
mod world;

use std::{
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ascendcl::{Acl, Error};

use super::{faults, ledger::Ledger, plant::Plant};
use exchange::Exchange;
use models::Reference;
use outcome::{Failure, Outcome};
use world::World;

/// What a crew does.
pub struct Plan {
    pub seed: u64,
    pub threads: usize,
    pub plant: Option<Plant>,
}

type Work = fn(&mut World) -> Outcome;

/// Everything that threads do, with how often: out of the sum of all.
const WORK: &[(&str, u32, Work)] = &[
    ("upload, order by an event, download", 30, data::round_trip),
    ("blocking copies and memsets", 12, data::blocking),
    ("memsets and copies on streams", 12, data::on_streams),
    ("copies between devices", 5, data::between_devices),
    ("transfers dropped un-waited", 10, data::dropped),
    ("waits that run out of time", 6, gate::timeouts),
    ("transfers awaited and cancelled", 12, futures::transfers),
    ("callbacks awaited and cancelled", 10, futures::callbacks),
    ("callbacks in order", 10, callbacks::in_order),
    ("callbacks that panic, are slow, drop handles", 12, callbacks::of_all_kinds),
    ("callbacks that get results", 8, callbacks::results),
    ("events of every kind", 10, events::every_kind),
    ("chains of streams", 6, events::chain),
    ("models executed", 10, models::execute),
    ("models loaded", 1, models::load),
    ("streams replaced", 6, handles::replace_stream),
    ("contexts and devices reopened", 2, handles::replace_place),
    ("events created and dropped", 4, handles::events),
    ("contexts entered", 4, handles::entered),
    ("questions asked", 4, handles::questions),
    ("handles given to other threads", 12, exchange::give),
    ("handles taken from other threads", 12, exchange::take),
];

/// What a panic inside a callback says when it is meant.
const EXPECTED_PANIC: &str = "a callback of the soak panics";

/// Panics that are part of the work are not printed.
pub fn keep_expected_panics_quiet() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&EXPECTED_PANIC) {
            others(info);
        }
    }));
}

/// What is known of a thread from outside.
struct Pulse {
    /// Which work it does.
    work: AtomicUsize,
    /// How much it has done.
    done: AtomicU64,
    /// When it began with this one, in milliseconds.
    since: AtomicU64,
    ended: AtomicBool,
}

/// Threads at work.
pub struct Crew {
    began: Instant,
    enough: Arc<AtomicBool>,
    pulses: Vec<Arc<Pulse>>,
    threads: Vec<JoinHandle<()>>,
    exchange: Arc<Exchange>,
}

impl Crew {
    pub fn start(acl: &Acl, plan: &Plan, ledger: &Arc<Ledger>) -> Result<Self, Error> {
        let reference = Arc::new(again(|| Reference::new(acl))?);
        let exchange = Arc::new(Exchange::default());
        let enough = Arc::new(AtomicBool::new(false));
        let (began, mut pulses, mut threads) = (Instant::now(), Vec::new(), Vec::new());
        for number in 0..plan.threads {
            let pulse = Arc::new(Pulse {
                work: AtomicUsize::new(0),
                done: AtomicU64::new(0),
                since: AtomicU64::new(0),
                ended: AtomicBool::new(false),
            });
            pulses.push(pulse.clone());
            let mut choices = fastrand::Rng::with_seed(plan.seed ^ ((number as u64 + 1) << 32));
            let first = fastrand::Rng::with_seed(choices.u64(..));
            let (acl, ledger, plant) = (acl.clone(), ledger.clone(), plan.plant);
            let (exchange, reference, enough) = (exchange.clone(), reference.clone(), enough.clone());
            let worker = move || {
                match World::new(acl, first, ledger.clone(), exchange, reference, plant) {
                    Ok(world) => work(world, &mut choices, &ledger, &pulse, &enough, began),
                    Err(error) => ledger.error(&error),
                }
                pulse.ended.store(true, Ordering::SeqCst);
            };
            let thread = thread::Builder::new().name(format!("soak-{number}")).spawn(worker);
            threads.push(
                thread.map_err(|error| Error::Os { op: "starting a thread", message: error.to_string() })?,
            );
        }
        Ok(Self { began, enough, pulses, threads, exchange })
    }

    /// A thread that has been at one piece of work for too long.
    pub fn stuck(&self, patience: Duration) -> Option<String> {
        let now = self.began.elapsed();
        self.pulses.iter().enumerate().find_map(|(number, pulse)| {
            let since = Duration::from_millis(pulse.since.load(Ordering::SeqCst));
            let stuck = !pulse.ended.load(Ordering::SeqCst) && now.saturating_sub(since) > patience;
            let kind = WORK[pulse.work.load(Ordering::SeqCst)].0;
            let done = pulse.done.load(Ordering::SeqCst);
            stuck.then(|| format!("thread {number}, in its work {done}: {kind}, for {:?}", now - since))
        })
    }

    /// Ends all threads and lets go of all handles. Fails with what hangs.
    pub fn stop(self, patience: Duration) -> Result<(), String> {
        self.enough.store(true, Ordering::SeqCst);
        while self.pulses.iter().any(|pulse| !pulse.ended.load(Ordering::SeqCst)) {
            if let Some(stuck) = self.stuck(patience) {
                return Err(stuck);
            }
            thread::sleep(Duration::from_millis(10));
        }
        for thread in self.threads {
            thread.join().map_err(|_| "a thread panicked outside its work".to_owned())?;
        }
        self.exchange.clear();
        Ok(())
    }
}

/// Repeats what an injected fault made fail.
fn again<T>(mut attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    loop {
        match attempt() {
            Err(error) if faults::made(&error) => {}
            other => return other,
        }
    }
}

/// What one thread does.
fn work(
    mut world: World,
    choices: &mut fastrand::Rng,
    ledger: &Arc<Ledger>,
    pulse: &Pulse,
    enough: &AtomicBool,
    began: Instant,
) {
    let counters: Vec<_> = WORK.iter().map(|(kind, ..)| ledger.counter(kind)).collect();
    let all: u32 = WORK.iter().map(|(_, weight, _)| weight).sum();
    while !enough.load(Ordering::Relaxed) {
        let mut choice = choices.u32(..all);
        let number = WORK.iter().position(|(_, weight, _)| {
            let found = choice < *weight;
            choice = choice.wrapping_sub(*weight);
            found
        });
        let number = number.unwrap_or_default();
        // What the work chooses follows from this, not from what happened before.
        world.random = fastrand::Rng::with_seed(choices.u64(..));
        pulse.work.store(number, Ordering::SeqCst);
        pulse.since.store(began.elapsed().as_millis() as u64, Ordering::SeqCst);
        let (kind, _, piece) = WORK[number];
        match catch_unwind(AssertUnwindSafe(|| piece(&mut world))) {
            Ok(Ok(())) => {}
            Ok(Err(Failure::Acl(error))) => ledger.error(&error),
            Ok(Err(Failure::Wrong(what))) => ledger.wrong(format!("{kind}: {what}")),
            Err(_) => ledger.wrong(format!("{kind}: it panicked")),
        }
        counters[number].fetch_add(1, Ordering::Relaxed);
        let done = pulse.done.fetch_add(1, Ordering::SeqCst);
        world.number = done + 1;
        if let (Some(plant), Some(place)) = (world.plant, world.places.first()) {
            plant.harm(done, &place.context);
        }
    }
    pulse.since.store(began.elapsed().as_millis() as u64, Ordering::SeqCst);
}
