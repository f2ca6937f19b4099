//! The fault campaign: realistic programs in which every C function that they reach is made to fail, in every way that the simulator
//! knows, one fault a run.
//!
//! What it promises: whatever fails, a program on the safe API ends with right data or with a typed error that names the C function. It
//! does not panic, crash, hang, leak without saying so, use memory that is still in use or was freed, lose a closure or run one twice.
//!
//! Each run is a process of its own ([`case`]). A [`scenario`](scenarios) is run once without a fault to count its calls; [`faults`] makes
//! the list of what to try from that; [`campaign`](run) runs the list, many processes at a time, because most of those that take long only
//! wait. [`verdict`] says what it means to survive.

mod case;
mod child;
mod codes;
mod faults;
mod lab;
mod scenarios;
mod table;
mod verdict;

use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{collections::VecDeque, thread};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{error::Error, reliability};
use case::Case;
use child::Ended;
use scenarios::Scenario;
use table::Table;

/// What to do.
pub struct Options {
    /// Only cases in whose text this occurs.
    pub filter: Option<String>,
    /// Chooses the order in which streams run, and the sample of `quick`.
    pub seed: u64,
    /// Only this case.
    pub case: Option<String>,
    /// A sample instead of all.
    pub quick: bool,
    /// Processes at a time.
    pub jobs: usize,
    /// Write the figures into the page on reliability.
    pub record: bool,
    /// This process is one of those that the campaign starts: run the case, or count calls.
    pub child: Option<ChildTask>,
}

/// What a child process does.
#[derive(Clone, Copy)]
pub enum ChildTask {
    Count,
    Run,
}

/// How many cases `quick` tries.
const SAMPLE: usize = 1500;

/// Runs the campaign, or one case of it. False if something was not survived.
pub fn run(options: &Options) -> Result<bool, Error> {
    if let Some(task) = options.child {
        let case = options.case.as_deref().ok_or_else(|| Error::new("a child needs a case"))?;
        return case::run_child(task, &case::parse(case)?, options.seed);
    }
    let began = Instant::now();
    let cases = match &options.case {
        Some(text) => vec![case::parse(text)?],
        None => list(options)?,
    };
    let single = options.case.is_some();
    let bar = ProgressBar::new(cases.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} faults, {eta} left  {msg}") {
        bar.set_style(style);
    }
    let (mut table, mut failed, mut unreached) = (Table::default(), Vec::new(), 0);
    let mut slowest = Duration::ZERO;
    in_parallel(
        cases,
        options.jobs,
        |case| child::run(case, options.seed),
        |case, ended: Ended| {
            bar.inc(1);
            slowest = slowest.max(ended.took);
            if single {
                println!("{}", ended.text.trim_end());
            }
            if !ended.reached {
                unreached += 1;
                return;
            }
            table.add(&case, ended.problem.is_none());
            if let Some(problem) = ended.problem {
                bar.println(format!(
                    "{case}\n    {}\n    {}",
                    problem.replace('\n', "\n    "),
                    replay(&case, options.seed)
                ));
                failed.push((case, problem));
                bar.set_message(format!("{} not survived", failed.len()));
            }
        },
    );
    bar.finish_and_clear();
    failed.sort_by_key(|(case, _)| case.to_string());
    println!("{}", table.text());
    for (case, problem) in &failed {
        println!("{case}: {problem}\n  {}", replay(case, options.seed));
    }
    let figures = format!(
        "{} faults in {} scenarios, {} survived, {} not; {unreached} did not come to pass; seed {}, {:.0} s, the longest run {:.1} s",
        table.tried(),
        table.scenarios(),
        table.tried() - failed.len(),
        failed.len(),
        options.seed,
        began.elapsed().as_secs_f64(),
        slowest.as_secs_f64(),
    );
    println!("{figures}");
    if table.tried() == 0 {
        return Err(Error::new(
            "no fault was tried: nothing fits the filter, or the fault of the case never comes to pass",
        ));
    }
    if options.record {
        reliability::record("campaign", &format!("{}\n{figures}.", table.text()))?;
    }
    Ok(failed.is_empty())
}

fn replay(case: &Case, seed: u64) -> String {
    format!("cargo run --release -p xtask -- campaign --seed {seed} --case '{case}'")
}

/// All cases that were asked for.
fn list(options: &Options) -> Result<Vec<Case>, Error> {
    let wanted = |case: &Case| options.filter.as_ref().is_none_or(|filter| case.to_string().contains(filter));
    let mut counted: Vec<Result<Vec<Case>, Error>> = Vec::new();
    let scenarios: Vec<&'static Scenario> = scenarios::ALL.iter().collect();
    in_parallel(
        scenarios,
        options.jobs.min(4),
        |&scenario| child::count(scenario, options.seed),
        |scenario, calls| counted.push(calls.map(|calls| faults::of(scenario, &calls))),
    );
    let mut cases = Vec::new();
    for listed in counted {
        cases.extend(listed?.into_iter().filter(wanted));
    }
    cases.sort_by_key(Case::to_string);
    if options.quick {
        shuffle(&mut cases, options.seed);
        cases.truncate(SAMPLE);
    }
    // Those that wait come first: at the end nothing is waited for.
    cases.sort_by_key(|case| !case.waits());
    Ok(cases)
}

/// A seeded order (Fisher and Yates, with xorshift64*).
fn shuffle<T>(things: &mut [T], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for last in (1..things.len()).rev() {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let random = state.wrapping_mul(0x2545_f491_4f6c_dd1d);
        things.swap(last, (random % (last as u64 + 1)) as usize);
    }
}

/// Does `work` with each thing, so many at a time; `done` gets them as they come, on this thread.
fn in_parallel<T: Send, R: Send>(
    things: Vec<T>,
    jobs: usize,
    work: impl Fn(&T) -> R + Sync,
    mut done: impl FnMut(T, R),
) {
    let queue = Mutex::new(VecDeque::from(things));
    let (sender, results) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let (sender, queue, work) = (sender.clone(), &queue, &work);
            scope.spawn(move || {
                loop {
                    let next = queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop_front();
                    let Some(thing) = next else { return };
                    let result = work(&thing);
                    if sender.send((thing, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (thing, result) in results {
            done(thing, result);
        }
    });
}
