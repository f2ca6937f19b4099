//! `soak`: everything that the safe layer can do, at once, on all devices and many threads, for as long as one likes.
//!
//! Threads work with streams, memory, events, callbacks, futures and models, give each other handles and let go of them at any time, while
//! some calls fail. Data is checked bit by bit, closures are counted, and memory, threads and file descriptors are watched.

mod faults;
mod judge;
mod ledger;
mod picture;
mod plant;
mod report;
mod sample;
mod work;

use std::{
    fs,
    path::PathBuf,
    process, thread,
    time::{Duration, Instant},
};

use ascendcl::{Acl, BackendChoice};
use ascendcl_sim::{Config, Profile, Reporting};

pub use plant::Plant;

use crate::{error::Error, reliability, workspace};
use judge::Verdict;
use ledger::Ledger;
use sample::{Sample, Tracker};
use work::{Crew, Plan};

/// What to do.
pub struct Options {
    pub duration: Duration,
    pub seed: u64,
    pub threads: usize,
    /// `full` unless the environment says otherwise.
    pub profile: Option<String>,
    /// Looks for races, too.
    pub races: bool,
    /// Lets some calls fail.
    pub faults: bool,
    /// A defect that must be found.
    pub plant: Option<Plant>,
    /// Writes the figures and the picture into the documentation.
    pub record: bool,
}

/// The picture, in the documentation.
const PICTURE: &str = "docs/soak.svg";
/// How long everything runs before what it holds is taken as the measure of what it may hold at the end.
const WARM_UP: Duration = Duration::from_secs(4);
/// How often the process is looked at.
const TICK: Duration = Duration::from_millis(500);
const SAY: Duration = Duration::from_secs(5);
/// A thread that has not finished a piece of work for so long hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// Soaks. False if anything was wrong.
pub fn run(options: &Options) -> Result<bool, Error> {
    let (config, profile) = machine(options)?;
    ascendcl_sim::configure(config).map_err(|error| Error::new(error.to_string()))?;
    work::keep_expected_panics_quiet();
    println!(
        "soak on {profile}: {} threads, seed {}, {:.1} minutes, races {}, faults {}",
        options.threads,
        options.seed,
        options.duration.as_secs_f64() / 60.0,
        if options.races { "looked for" } else { "not looked for" },
        if options.faults { "on" } else { "off" },
    );
    let ledger = Ledger::new();
    {
        let ledger = ledger.clone();
        ascendcl::set_drop_error_hook(move |error| ledger.error(error));
    }
    // What the process keeps for ever, such as pools of threads, is there after the first round.
    let first = Plan { seed: !options.seed, threads: options.threads, plant: None };
    round(&first, WARM_UP.min(options.duration), &ledger, None)?;
    let before = Sample::settled(Duration::ZERO);
    let plan = Plan { seed: options.seed, threads: options.threads, plant: options.plant };
    let mut tracker = Tracker::new(&ledger);
    round(&plan, options.duration, &ledger, Some(&mut tracker))?;
    let after = Sample::settled(tracker.elapsed());

    let verdict = Verdict::of(&tracker.samples, &before, &after, &ledger);
    let text = report::markdown(&profile, options, &tracker, &before, &after, &ledger, &verdict);
    println!("\n{text}");
    let drawn = draw(options, &tracker)?;
    println!("picture: {}", drawn.display());
    if options.record {
        reliability::record("soak", &format!("{text}\n![Memory and operations over time](soak.svg)"))?;
    }
    Ok(verdict.is_good())
}

/// The simulated machine, and what it is called.
fn machine(options: &Options) -> Result<(Config, String), Error> {
    let config = Config::from_env().map_err(|error| Error::new(error.to_string()))?;
    let name = options.profile.clone().or_else(|| std::env::var("ASCENDCL_SIM_PROFILE").ok());
    let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| "full".to_owned());
    let profile = Profile::by_name(&name).ok_or_else(|| Error::new(format!("there is no profile {name}")))?;
    let mut config = config.profile(profile).misuse(Reporting::Report);
    if options.races {
        config = config.races(Reporting::Report);
    }
    if options.faults {
        config = faults::all().into_iter().fold(config, Config::fault);
    }
    Ok((config, name))
}

/// Opens the backend, lets a crew work in it, and closes it. Nothing may be left of it.
fn round(
    plan: &Plan,
    duration: Duration,
    ledger: &std::sync::Arc<Ledger>,
    mut tracker: Option<&mut Tracker>,
) -> Result<(), Error> {
    let fail = |error: ascendcl::Error| Error::new(format!("cannot soak: {error}"));
    let acl = Acl::builder().backend(BackendChoice::Sim).build().map_err(fail)?;
    let crew = Crew::start(&acl, plan, ledger).map_err(fail)?;
    let began = Instant::now();
    let mut said = began;
    while began.elapsed() < duration {
        thread::sleep(TICK.min(duration.saturating_sub(began.elapsed())));
        if let Some(tracker) = tracker.as_deref_mut() {
            tracker.look();
            if said.elapsed() >= SAY {
                said = Instant::now();
                println!("{}", tracker.line());
            }
        }
        if let Some(stuck) = crew.stuck(PATIENCE) {
            // Nothing can be torn down any more.
            eprintln!("hangs: {stuck}");
            process::exit(1);
        }
    }
    crew.stop(PATIENCE).unwrap_or_else(|stuck| {
        eprintln!("hangs at the end: {stuck}");
        process::exit(1);
    });
    match acl.finalize() {
        Ok(true) => {}
        Ok(false) => ledger.wrong("aclFinalize was left to somebody else"),
        Err(error) => ledger.wrong(format!("ACL cannot be finalised: {error}")),
    }
    for live in ascendcl_sim::live() {
        ledger.wrong(format!("leaked: {live}"));
    }
    for report in ascendcl_sim::take_reports() {
        ledger.wrong(format!("reported: {report}"));
    }
    Ok(())
}

fn draw(options: &Options, tracker: &Tracker) -> Result<PathBuf, Error> {
    let path =
        if options.record { workspace::root().join(PICTURE) } else { workspace::cache().join("soak.svg") };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
    }
    picture::draw(&path, &tracker.samples)?;
    Ok(path)
}
