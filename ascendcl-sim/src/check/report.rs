//! What the simulator has to say about a program: races, misuse, leaks.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::trace;
use crate::core::process;
use crate::lock::Mutex;

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ReportKind {
    /// Two accesses to the same memory, one of them writing, that nothing orders.
    Race,
    /// A call that goes well here and wrong on a card, or the other way round.
    Misuse,
    /// Something that was not given back.
    Leak,
}

impl fmt::Display for ReportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Race => "race",
            Self::Misuse => "misuse",
            Self::Leak => "leak",
        })
    }
}

/// One report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// What it is about.
    pub kind: ReportKind,
    /// What is wrong, where, and what to do: several lines.
    pub text: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What to do with reports of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reporting {
    /// Do not look for them.
    Off,
    /// Tell the `log` crate.
    Log,
    /// Write them to standard error, or to the file that the configuration names.
    Report,
}

/// Enough for a person; a program that does it wrong in a loop must not fill the memory.
const KEPT: usize = 1000;

static REPORTS: Mutex<Vec<Report>> = Mutex::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The reports so far, and forgets them. At most a thousand are kept.
pub(crate) fn take() -> Vec<Report> {
    COUNT.store(0, Ordering::SeqCst);
    std::mem::take(&mut *REPORTS.lock())
}

/// How many reports there were since they were last taken.
#[cfg(feature = "export")]
pub(crate) fn count() -> usize {
    COUNT.load(Ordering::SeqCst)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Says what is wrong with a file for reports before there is one to write.
pub(super) fn check_file(path: &Path) -> Result<(), String> {
    open(path).map(drop).map_err(|error| format!("reports cannot be written to {}: {error}", path.display()))
}

/// Whether anybody wants to hear of this kind.
pub(crate) fn wanted(kind: ReportKind) -> bool {
    process::machine().settings().reporting(kind) != Reporting::Off
}

/// Says it, as the configuration wants it said. With strictness the process ends here.
pub(crate) fn emit(kind: ReportKind, mut text: String) {
    let machine = process::machine();
    let settings = machine.settings();
    let how = settings.reporting(kind);
    if how == Reporting::Off {
        return;
    }
    COUNT.fetch_add(1, Ordering::SeqCst);
    if let Some(seed) = settings.seed {
        text += &format!("\n  ASCENDCL_SIM_SEED={seed} repeats this run");
    }
    match (how, &settings.report_file) {
        // What ends the process is said where it can be seen.
        (Reporting::Log, _) if !settings.strict => log::warn!("{text}"),
        (_, None) => eprintln!("ascendcl-sim: {text}"),
        (_, Some(path)) => {
            let line = format!("ascendcl-sim: {text}\n");
            let written = open(path).and_then(|mut file| file.write_all(line.as_bytes()));
            if let Err(error) = written {
                eprintln!("ascendcl-sim: cannot write to {}: {error}\nascendcl-sim: {text}", path.display());
            }
        }
    }
    {
        let mut reports = REPORTS.lock();
        if reports.len() < KEPT {
            reports.push(Report { kind, text });
        }
    }
    if settings.strict {
        eprintln!("ascendcl-sim: ASCENDCL_SIM_STRICT is set: the report above ends the process");
        trace::end();
        std::process::abort();
    }
}
