//! Maintenance of the workspace: everything that needs libclang, pip or network lives here, beside what only needs time.

mod audit;
mod bindings;
mod campaign;
mod child;
mod coverage;
mod error;
mod fuzz;
mod install;
mod page;
mod perf;
mod programs;
mod reliability;
mod soak;
mod table;
mod timeline;
mod workspace;

use std::{env, path::PathBuf, process::ExitCode, time::Duration};

use error::Error;
use lexopt::prelude::*;

const HELP: &str = "\
Maintenance of the workspace.

Usage: cargo run -p xtask -- COMMAND

Commands:
  bindings            write ascendcl-sys/src/{bindings,table}.rs and docs/abi-generations.md from the pinned headers
    --check           change nothing; fail if the committed files are not what the headers give
  abi-check [DIR]     compare the bindings with the headers in DIR, an include folder (default: $ASCEND_HOME_PATH/include);
                      fail if anything that both have is not the same
    --verbose         name what only one side has
  headers             fetch the pinned headers and say where they are, one include folder a line, oldest first
  install-sim DIR     build the simulator and lay it out in DIR like a CANN toolkit: DIR/lib64/libascendcl.so, the names that newer
                      releases split it into, version files, set_env.sh. DIR may be an earlier installation of it
  programs [NAME]...  install the simulator under target/xtask, compile the programs of ascendcl-sim/programs against the pinned headers of
                      the oldest and the newest generation, and run them on every profile
    --headers DIR     other headers instead, such as $ASCEND_HOME_PATH/include; may be repeated
    --profile NAME    only this profile; may be repeated
  sim-table           write the table of functions in docs/simulator.md; reasons for missing ones are in ascendcl-sim/missing.tsv
    --check           change nothing; fail if the committed table is not what the simulator has
  coverage            write docs/coverage.md: every C function, and the safe method that stands for it; what ought to have one and has none is in
                      xtask/src/coverage/wanted.rs
    --check           change nothing; fail if the committed page is not what the code gives
  unsafe-audit        write docs/unsafe.md: every unsafe block, the rule it rests on, and who sees to that; fail if one names none
    --check           change nothing; fail also if the committed page is not what the code gives
  fuzz-abi            make random calls with random, stale and hostile arguments: nothing may crash, hang or leak
    --calls N         as many, 1000000 by default
    --seed N          begin with this seed, 1 by default
    --profile NAME    only on this profile; may be repeated
    --replay          one session only, and print each call
  campaign            make every C function that realistic programs reach fail, in every way, one fault a process: each must end in a
                      typed error that names the function, or in success
    --filter TEXT     only cases in whose text this occurs, such as a scenario, a function or =lost-device
    --case CASE       only this case, `SCENARIO FAULT`, and print what came of it
    --seed N          how streams are scheduled, and what --quick chooses; 1 by default
    --quick           a sample of the faults
    --jobs N          processes at a time, 64 by default: many only wait
    --record          write the figures into docs/reliability.md
  soak                work on all devices from many threads for a while: memory, threads and files must stay flat, data be right, nothing be left
    --minutes N       as long, 1 by default; may be a fraction
    --seed N          what each thread does follows from it, 1 by default
    --threads N       as many, 16 by default
    --profile NAME    on this chip, full by default
    --races           look for races too
    --no-faults       let no call fail
    --plant DEFECT    do this wrong, which must be found: leak, growth, thread, file, byte, closure
    --record          write the figures into docs/reliability.md and the picture into docs/soak.svg
  perf [ROW]...       measure what the safe layer and the simulator cost, beside what else a program would use; fail if a target is missed.
                      Of all rows, it writes docs/performance.md. Times mean something with --release, on a machine that does nothing else
    --quick           does every row run, and are the counts right? Times are not judged, nothing is written
  timeline FILE PICTURE
                      draw a timeline, such as ascendcl-timeline and the simulator write, as an SVG; fail if the file is not as the format demands
    --from MS         from there on, 0 by default
    --to MS           up to there; the end by default
    --without NAME    leave these bars out, and what is in them; may be repeated

bindings, abi-check and headers fetch what they need with pip, once, into target/xtask. LIBCLANG_PATH chooses another libclang.
Exit code: 0 all well, 1 a difference was found, 2 the command could not be carried out.
";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Carries out the command line; `false` if it found a difference.
fn run() -> Result<bool, Error> {
    let mut arguments = lexopt::Parser::from_env();
    let command = match arguments.next()? {
        Some(Value(command)) => command.string()?,
        Some(Long("help") | Short('h')) | None => {
            print!("{HELP}");
            return Ok(true);
        }
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.as_str() {
        "bindings" => page_command(arguments, bindings::check, || bindings::write().map(|()| true)),
        "abi-check" => abi_check_command(arguments),
        "headers" => headers_command(arguments),
        "install-sim" => install_command(arguments),
        "programs" => programs_command(arguments),
        "sim-table" => page_command(arguments, table::check, || table::write().map(|()| true)),
        "coverage" => page_command(arguments, coverage::check, coverage::write),
        "unsafe-audit" => page_command(arguments, audit::check, audit::write),
        "fuzz-abi" => fuzz_command(arguments),
        "campaign" => campaign_command(arguments),
        "soak" => soak_command(arguments),
        "perf" => perf_command(arguments),
        "timeline" => timeline_command(arguments),
        other => {
            Err(Error::new(format!("there is no command `{other}`; see `cargo run -p xtask -- --help`")))
        }
    }
}

/// Writes something that is committed, or only looks whether it is what would be written.
fn page_command(
    mut arguments: lexopt::Parser,
    check: impl FnOnce() -> Result<bool, Error>,
    write: impl FnOnce() -> Result<bool, Error>,
) -> Result<bool, Error> {
    let mut checks = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("check") => checks = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if checks { check() } else { write() }
}

fn fuzz_command(mut arguments: lexopt::Parser) -> Result<bool, Error> {
    let mut options =
        fuzz::Options { calls: 1_000_000, seed: 1, profiles: Vec::new(), replay: false, session: false };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("calls") => options.calls = arguments.value()?.parse()?,
            Long("seed") => options.seed = arguments.value()?.parse()?,
            Long("profile") => options.profiles.push(arguments.value()?.string()?),
            Long("replay") => options.replay = true,
            Long("session") => options.session = true,
            other => return Err(other.unexpected().into()),
        }
    }
    fuzz::run(&options)
}

fn campaign_command(mut arguments: lexopt::Parser) -> Result<bool, Error> {
    let mut options = campaign::Options {
        filter: None,
        seed: 1,
        case: None,
        quick: false,
        jobs: 64,
        record: false,
        child: None,
    };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("filter") => options.filter = Some(arguments.value()?.string()?),
            Long("case") => options.case = Some(arguments.value()?.string()?),
            Long("seed") => options.seed = arguments.value()?.parse()?,
            Long("jobs") => options.jobs = arguments.value()?.parse()?,
            Long("quick") => options.quick = true,
            Long("record") => options.record = true,
            // What the processes of a campaign are told.
            Long("child") => {
                options.child = Some(match arguments.value()?.string()?.as_str() {
                    "count" => campaign::ChildTask::Count,
                    "run" => campaign::ChildTask::Run,
                    other => return Err(Error::new(format!("a child does not `{other}`"))),
                });
            }
            other => return Err(other.unexpected().into()),
        }
    }
    campaign::run(&options)
}

fn soak_command(mut arguments: lexopt::Parser) -> Result<bool, Error> {
    let mut options = soak::Options {
        duration: Duration::from_secs(60),
        seed: 1,
        threads: 16,
        profile: None,
        races: env::var("ASCENDCL_SIM_RACES").is_ok_and(|races| races == "report" || races == "1"),
        faults: true,
        plant: None,
        record: false,
    };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("minutes") => {
                let minutes: f64 = arguments.value()?.parse()?;
                options.duration = Duration::try_from_secs_f64(minutes * 60.0)
                    .map_err(|error| Error::new(format!("--minutes {minutes}: {error}")))?;
            }
            Long("seed") => options.seed = arguments.value()?.parse()?,
            Long("threads") => options.threads = arguments.value()?.parse::<usize>()?.max(1),
            Long("profile") => options.profile = Some(arguments.value()?.string()?),
            Long("races") => options.races = true,
            Long("no-faults") => options.faults = false,
            Long("plant") => options.plant = Some(arguments.value()?.string()?.parse()?),
            Long("record") => options.record = true,
            other => return Err(other.unexpected().into()),
        }
    }
    soak::run(&options)
}

fn perf_command(mut arguments: lexopt::Parser) -> Result<bool, Error> {
    let mut options = perf::Options { quick: false, names: Vec::new(), child: None };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("quick") => options.quick = true,
            // What the process of a row is told.
            Long("child") => options.child = Some(arguments.value()?.string()?),
            Value(name) => options.names.push(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    perf::run(&options)
}

fn timeline_command(mut arguments: lexopt::Parser) -> Result<bool, Error> {
    let mut options = timeline::Options::default();
    let mut files = Vec::new();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("from") => options.from = arguments.value()?.parse()?,
            Long("to") => options.to = Some(arguments.value()?.parse()?),
            Long("without") => options.without.push(arguments.value()?.string()?),
            Value(file) => files.push(PathBuf::from(file)),
            other => return Err(other.unexpected().into()),
        }
    }
    match &files[..] {
        [file, picture] => timeline::run(file, picture, &options),
        _ => Err(Error::new("`timeline` needs the file to read and the picture to write")),
    }
}

fn abi_check_command(mut arguments: lexopt::Parser) -> Result<bool, Error> {
    let (mut dir, mut verbose) = (None, false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("verbose") | Short('v') => verbose = true,
            Value(value) if dir.is_none() => dir = Some(PathBuf::from(value)),
            other => return Err(other.unexpected().into()),
        }
    }
    let installed = || env::var_os("ASCEND_HOME_PATH").map(|home| PathBuf::from(home).join("include"));
    let dir = dir.or_else(installed).ok_or_else(|| {
        Error::new("abi-check needs an include folder: name one, or set ASCEND_HOME_PATH (source set_env.sh)")
    })?;
    bindings::abi_check(&dir, verbose)
}

fn headers_command(mut arguments: lexopt::Parser) -> Result<bool, Error> {
    if let Some(other) = arguments.next()? {
        return Err(other.unexpected().into());
    }
    for (_, folder) in bindings::headers()? {
        println!("{}", folder.display());
    }
    Ok(true)
}

fn install_command(mut arguments: lexopt::Parser) -> Result<bool, Error> {
    let mut folder = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(value) if folder.is_none() => folder = Some(PathBuf::from(value)),
            other => return Err(other.unexpected().into()),
        }
    }
    let folder = folder.ok_or_else(|| Error::new("install-sim needs a folder: install-sim DIR"))?;
    install::install(&folder).map(|()| true)
}

fn programs_command(mut arguments: lexopt::Parser) -> Result<bool, Error> {
    let mut request = programs::Request { headers: Vec::new(), profiles: Vec::new(), names: Vec::new() };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("headers") => request.headers.push(PathBuf::from(arguments.value()?)),
            Long("profile") => request.profiles.push(arguments.value()?.string()?),
            Value(name) => request.names.push(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    programs::run(&request)
}
