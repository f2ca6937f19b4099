//! `ascendcl-doctor`: what is wrong with an installation of CANN, why, and how to mend it.
//!
//! First files and variables are looked at, with the search that the loader itself uses. Then a child process loads the library and lets a
//! callback make its round on each device: a driver that hangs and a library that crashes are findings too.

mod child;
pub mod devices;
mod elf;
mod environment;
pub mod finding;
pub mod functions;
pub mod libraries;
mod print;
mod probe;
pub mod system;
pub mod trial;
pub mod versions;

use std::{
    collections::BTreeMap,
    env::consts::{ARCH, OS},
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use ascendcl::Backend;
use ascendcl_sys::Search;
use serde::Serialize;

use devices::Devices;
use finding::{Finding, Severity};
use libraries::Libraries;
use probe::What;
use system::{System, User, folders};
use trial::Trial;
use versions::Version;

const USAGE: &str = "\
Says what is wrong with an installation of CANN, why, and how to mend it.

Usage: ascendcl-doctor [--json] [--no-run] [--timeout SECONDS] [--root DIR]

  --json              JSON instead of text
  --no-run            look at files and variables only: load no library, run nothing
  --timeout SECONDS   how long each step of a run may take (default: 60)
  --root DIR          look at the file system that is mounted at DIR, with the variables of this process
  -h, --help          this text
  --version           the version

Exit code: 0 if all is well, 1 if there are problems, 2 if the command line is wrong.
";

/// Everything that was looked at, and what was found.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The version of this program.
    pub doctor: &'static str,
    /// Whether there are no problems.
    pub fine: bool,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// The file system that was looked at.
    pub root: PathBuf,
    /// Operating system and processor.
    pub machine: String,
    /// Which kind of container this is.
    pub container: Option<&'static str>,
    /// Who runs this.
    pub user: User,
    /// The variables that matter.
    pub environment: BTreeMap<String, String>,
    /// Versions of what is installed.
    pub versions: Vec<Version>,
    /// Libraries.
    pub libraries: Libraries,
    /// Device nodes.
    pub devices: Devices,
    /// What came of using the library.
    pub trial: Option<Trial>,
    /// What came of using the simulator, where there is no CANN.
    pub simulator: Option<Trial>,
}

/// What to do.
#[derive(Debug, Clone)]
struct Request {
    root: PathBuf,
    json: bool,
    run: bool,
    limit: Duration,
    /// In the child.
    probe: Option<What>,
}

/// Where the loader looks, in that file system.
fn search(system: &System) -> Search {
    let search = Backend::search();
    if system.is_here() { search } else { search.beneath(system.root(), folders("LD_LIBRARY_PATH")) }
}

fn diagnose(request: &Request) -> Diagnosis {
    let system = System::new(&request.root);
    let search = search(&system);
    let user = system.user();
    let mut libraries = libraries::examine(&system, &search);
    let mut trial = request.run.then(|| trial::run(What::Cann, &system, request.limit));
    if libraries.found.is_none() {
        match trial.as_ref().filter(|trial| trial.loaded()).and_then(|trial| trial.files.first()) {
            Some(file) => libraries.adopt(&system, file),
            // That there is nothing to load is told without it.
            None => trial = None,
        }
    }
    let versions = versions::read(&system, &libraries);
    let devices = devices::examine(&system, &user, request.run, request.limit);
    let simulator = (request.run && libraries.found.is_none())
        .then(|| trial::run(What::Simulator, &system, request.limit));

    let loaded = trial.as_ref().is_some_and(Trial::loaded);
    let works = trial.as_ref().is_some_and(|trial| trial.works);
    // What must be so for things to work is no problem where they do work.
    let mut expected = libraries.findings(&system, search.is_named(), loaded);
    expected.extend(environment::findings(&system, &libraries));
    expected.extend(versions::findings(&versions, &libraries, &system));
    // The simulator needs no hardware.
    if !libraries.is_simulator {
        let mut hardware = devices.findings(&system, &user);
        // Neither CANN nor a card: somebody who means to have neither.
        if libraries.found.is_none() && devices.numbers.is_empty() && devices.cards.is_empty() {
            hardware.iter_mut().for_each(|finding| finding.severity = Severity::Note);
        }
        expected.extend(hardware);
    }
    if works {
        expected.iter_mut().for_each(|finding| finding.severity = finding.severity.max(Severity::Warning));
    }
    let mut findings = expected;
    if let Some(trial) = &trial {
        findings.extend(trial.findings(&system, &libraries));
    }
    if libraries.is_simulator {
        findings.push(
            Finding::note("library-is-simulator", "the library that is loaded is the simulator, not CANN")
                .why("the environment leads to an installation of it; no card is used")
                .mend("to use a card, start a fresh shell and source set_env.sh of CANN"),
        );
    }
    findings.extend(simulator.as_ref().map(simulator_finding));
    // The same thing may have been seen twice, by looking and by trying.
    let mut kept: Vec<Finding> = Vec::new();
    for finding in findings {
        if kept.iter().all(|known| known.id != finding.id || known.what != finding.what) {
            kept.push(finding);
        }
    }
    once(&mut kept, "stub-library");
    once(&mut kept, "driver-library-missing");
    if kept.iter().any(|finding| EXPLAINS_LOADING.contains(&finding.id)) {
        kept.retain(|finding| finding.id != "does-not-load");
    }
    kept.sort_by_key(|finding| finding.severity);
    Diagnosis {
        doctor: env!("CARGO_PKG_VERSION"),
        fine: kept.iter().all(|finding| finding.severity != Severity::Problem),
        findings: kept,
        root: system.root().to_owned(),
        machine: format!("{OS}, {ARCH}"),
        container: system.container(),
        user,
        environment: environment::variables(),
        versions,
        libraries,
        devices,
        trial,
        simulator,
    }
}

/// Findings that say why a library does not load.
const EXPLAINS_LOADING: [&str; 5] = [
    "wrong-architecture",
    "not-a-library",
    "damaged-library",
    "library-unreadable",
    "driver-library-missing",
];

/// Keeps the first finding of a kind.
fn once(findings: &mut Vec<Finding>, id: &str) {
    let mut seen = false;
    findings.retain(|finding| finding.id != id || !std::mem::replace(&mut seen, true));
}

fn simulator_finding(trial: &Trial) -> Finding {
    if trial.works {
        Finding::note(
            "simulator-works",
            format!(
                "the simulator works: init, contexts and callbacks on {} devices ({})",
                trial.devices.unwrap_or(0),
                trial.chip.as_deref().unwrap_or("no name")
            ),
        )
        .why("it is part of programs that are built with feature `sim`, and answers where no CANN is")
        .mend("run them as they are, or choose it")
        .command("export ASCENDCL_BACKEND=sim")
    } else {
        let why = trial.steps.iter().find_map(|step| step.error.clone()).or_else(|| trial.ended.clone());
        Finding::problem("simulator-fails", "the simulator does not work either")
            .why(why.unwrap_or_else(|| "it has no devices".into()))
            .mend("see the variables ASCENDCL_SIM_* and ASCEND_RT_VISIBLE_DEVICES")
            .command("env | grep -e ASCENDCL_ -e ASCEND_RT_")
    }
}

/// The program.
pub fn command(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let request = match parse(arguments) {
        Ok(Some(request)) => request,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ascendcl-doctor: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Some(what) = request.probe {
        let system = System::new(&request.root);
        return probe::run(what, &search(&system), system.is_here(), request.limit);
    }
    let diagnosis = diagnose(&request);
    let text = if request.json {
        serde_json::to_string_pretty(&diagnosis)
            .map(|json| json + "\n")
            .unwrap_or_else(|error| error.to_string())
    } else {
        print::text(&diagnosis)
    };
    write(&text);
    if diagnosis.fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whoever reads may have seen enough.
fn write(text: &str) {
    if let Err(error) = io::stdout().lock().write_all(text.as_bytes())
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        eprintln!("ascendcl-doctor: cannot write: {error}");
    }
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Request>, lexopt::Error> {
    use lexopt::Arg;

    let limit = Duration::from_secs(60);
    let mut request = Request { root: "/".into(), json: false, run: true, limit, probe: None };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("json") => request.json = true,
            Arg::Long("no-run") => request.run = false,
            Arg::Long("root") => {
                request.root = parser.value()?.into();
                if !request.root.is_dir() {
                    return Err(format!("{} is no folder", request.root.display()).into());
                }
            }
            Arg::Long("timeout") => match parser.value()?.to_str().and_then(|text| text.parse().ok()) {
                Some(seconds @ 1..=86_400) => request.limit = Duration::from_secs(seconds),
                _ => return Err("--timeout takes 1 to 86400 seconds".to_owned().into()),
            },
            // Of the doctor to itself.
            Arg::Long("probe") => {
                request.probe = Some(match parser.value()?.to_str() {
                    Some("simulator") => What::Simulator,
                    _ => What::Cann,
                });
            }
            Arg::Long("help") | Arg::Short('h') => {
                write(USAGE);
                return Ok(None);
            }
            Arg::Long("version") => {
                write(&format!("ascendcl-doctor {}\n", env!("CARGO_PKG_VERSION")));
                return Ok(None);
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(request))
}
