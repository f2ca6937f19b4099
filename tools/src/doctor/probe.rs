//! What the child process does: load the library and use it, and say after each step how that went.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use ascendcl::{Acl, BackendChoice, Error};
use ascendcl_sys::{Library, Search};
use serde::{Deserialize, Serialize};

/// What lines of the child begin with: libraries write to standard output too.
pub(crate) const MARK: &str = "ascendcl-doctor: ";

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Cann,
    Simulator,
}

/// A line of the child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Message {
    Begins { step: String },
    Done { step: String, millis: u64 },
    Failed { step: String, text: String, code: Option<i32> },
    Loaded { files: Vec<PathBuf>, skipped: Vec<String>, absent: BTreeSet<String>, mapped: Vec<PathBuf> },
    Version { interface: Option<String>, chip: Option<String>, devices: u32 },
    Device { id: i32, free: usize, total: usize },
    End,
}

fn say(message: &Message) {
    let Ok(text) = serde_json::to_string(message) else { return };
    // A line of a library that has no end yet must not swallow it. Nobody listening is no reason to stop.
    let _ = writeln!(io::stdout().lock(), "\n{MARK}{text}");
}

/// Says that it begins and how it ended.
fn step<T, E: Into<Failure>>(name: &str, work: impl FnOnce() -> Result<T, E>) -> Option<T> {
    say(&Message::Begins { step: name.to_owned() });
    let started = Instant::now();
    match work() {
        Ok(value) => {
            let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            say(&Message::Done { step: name.to_owned(), millis });
            Some(value)
        }
        Err(error) => {
            let Failure { text, code } = error.into();
            say(&Message::Failed { step: name.to_owned(), text, code });
            None
        }
    }
}

struct Failure {
    text: String,
    code: Option<i32>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure { text: error.to_string(), code: error.code().map(|code| code.0) }
    }
}

impl From<ascendcl_sys::LoadError> for Failure {
    fn from(error: ascendcl_sys::LoadError) -> Self {
        Failure { text: error.to_string(), code: None }
    }
}

/// The child.
pub(crate) fn run(what: What, search: &Search, is_here: bool, limit: Duration) -> ExitCode {
    let acl = match what {
        What::Simulator => step("init", || Acl::builder().backend(BackendChoice::Sim).build()),
        What::Cann => {
            let Some(library) = step("load", || Library::open(search)) else { return ExitCode::FAILURE };
            let absent = library.api().addresses().filter(|(_, address)| address.is_null());
            let absent = absent.map(|(function, _)| function.name.to_string_lossy().into_owned()).collect();
            say(&Message::Loaded {
                files: library.paths().to_vec(),
                skipped: library.skipped().iter().map(ToString::to_string).collect(),
                absent,
                mapped: mapped(),
            });
            let builder = Acl::builder().backend(BackendChoice::Cann);
            // On this machine as programs do it, and elsewhere the file that was just found.
            let builder = match library.paths().first() {
                Some(file) if !is_here => builder.library(file),
                _ => builder,
            };
            step("init", || builder.build())
        }
    };
    let Some(acl) = acl else { return ExitCode::FAILURE };
    let Some(devices) = step("count devices", || acl.device_count()) else { return ExitCode::FAILURE };
    say(&Message::Version {
        interface: acl.version().ok().map(|version| version.to_string()),
        chip: acl.soc_name().ok().flatten(),
        devices,
    });
    // What a library says is not believed either.
    let ids = 0..devices.min(64) as i32;
    // All of them are tried, whatever comes of the first.
    let well: Vec<bool> = ids.map(|id| round_trip(&acl, id, limit).is_some()).collect();
    let well = well.into_iter().all(|well| well);
    let finalised = step("finalize", || acl.finalize()).is_some();
    say(&Message::End);
    if well && finalised { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A context, a stream, and a callback on it.
fn round_trip(acl: &Acl, id: i32, limit: Duration) -> Option<()> {
    let name = |what: &str| format!("{what} on device {id}");
    let device = step(&format!("open device {id}"), || acl.device(id))?;
    let memory = step(&name("ask for memory"), || device.memory_info())?;
    say(&Message::Device { id, free: memory.free, total: memory.total });
    let context = step(&name("create a context"), || device.create_context())?;
    let stream = step(&name("create a stream"), || context.create_stream())?;
    let callback = step(&name("launch a callback"), || stream.launch_callback(move || id))?;
    step(&name("wait for the callback"), || match callback.wait_timeout(limit) {
        Ok(answer) if answer == id => Ok(()),
        Ok(answer) => {
            Err(Failure { text: format!("the callback answered {answer} instead of {id}"), code: None })
        }
        Err(rejected) => Err(Failure::from(rejected.error)),
    })?;
    step(&name("wait for the stream"), || stream.synchronize_timeout(limit))?;
    drop((stream, context, device));
    Some(())
}

/// The libraries in this process.
fn mapped() -> Vec<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let files: BTreeSet<&Path> = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so")))
        .collect();
    files.into_iter().map(Path::to_owned).collect()
}
