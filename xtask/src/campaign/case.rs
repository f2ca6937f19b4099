//! One case: a scenario and a fault, and how it is run in this process.

use std::fmt;

use ascendcl_sim::{Config, Fault, FaultKind, Reporting};

use super::scenarios::{self, Scenario};
use super::{ChildTask, lab, verdict};
use crate::error::Error;

/// A scenario with one fault, or without.
#[derive(Clone)]
pub struct Case {
    pub scenario: &'static Scenario,
    pub fault: Option<Injected>,
}

/// A fault, and what is to be known of it.
#[derive(Clone)]
pub struct Injected {
    pub fault: Fault,
    pub function: String,
    /// The call that goes wrong, or the first of them.
    pub first: u64,
    pub kind: FaultKind,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scenario.name)?;
        match &self.fault {
            Some(injected) => write!(f, " {}", injected.fault),
            None => Ok(()),
        }
    }
}

impl Injected {
    pub fn new(fault: Fault) -> Self {
        let (function, first, kind) = (fault.function().to_owned(), fault.first(), fault.kind());
        Self { fault, function, first, kind }
    }

    /// Whether a stream stops: what waits for it runs out of time.
    pub fn stops_a_stream(&self) -> bool {
        match self.kind {
            FaultKind::StopStream | FaultKind::LoseReport => true,
            // No call fetches reports.
            FaultKind::Error(_) => {
                self.function == "aclrtProcessReport" && !self.fault.to_string().contains(':')
            }
            _ => false,
        }
    }
}

impl Case {
    /// Whether it takes long without taking a processor.
    pub fn waits(&self) -> bool {
        self.fault.as_ref().is_some_and(|fault| {
            fault.stops_a_stream()
                || fault.kind == FaultKind::LoseDevice
                || fault.function.starts_with("aclrtSynchronize")
                || fault.function == "aclrtStreamQuery"
        })
    }
}

/// Reads `SCENARIO FAULT` or `SCENARIO`.
pub fn parse(text: &str) -> Result<Case, Error> {
    let (name, fault) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let scenario = scenarios::ALL.iter().find(|scenario| scenario.name == name).ok_or_else(|| {
        let known: Vec<String> = scenarios::ALL
            .iter()
            .map(|scenario| format!("  {:<22} {}", scenario.name, scenario.what))
            .collect();
        Error::new(format!("there is no scenario `{name}`; there are\n{}", known.join("\n")))
    })?;
    let fault = match fault.trim() {
        "" => None,
        text => {
            let fault = text.parse::<Fault>().map_err(|error| Error::new(error.to_string()))?;
            let known = |function: &str| {
                ascendcl_sys::FUNCTIONS.iter().any(|known| known.name.to_bytes() == function.as_bytes())
            };
            if !known(fault.function()) {
                let function = fault.function();
                return Err(Error::new(format!("there is no function {function} for the fault `{text}`")));
            }
            Some(Injected::new(fault))
        }
    };
    Ok(Case { scenario, fault })
}

/// What a child prints at the end: the parent looks for it.
pub const SURVIVED: &str = "survived: ";
/// The fault never came to pass.
pub const UNREACHED: &str = "unreached: ";
/// What a child prints for each function when it counts.
pub const CALLS: &str = "calls: ";

/// Runs a case in this process, and says what came of it.
pub fn run_child(task: ChildTask, case: &Case, seed: u64) -> Result<bool, Error> {
    lab::watch();
    let mut config = Config::new()
        .profile(case.scenario.profile())
        .devices(case.scenario.devices)
        .memory(64 << 20)
        .misuse(Reporting::Report)
        .races(Reporting::Report)
        .leaks(Reporting::Log)
        .count_calls(true)
        .seed(mix(seed, &case.to_string()));
    if let Some(injected) = &case.fault {
        config = config.fault(injected.fault.clone());
    }
    ascendcl_sim::configure(config).map_err(|error| Error::new(error.to_string()))?;
    let run = lab::run(case);
    if let ChildTask::Count = task {
        for calls in ascendcl_sim::calls() {
            println!("{CALLS}{} {}", calls.function, calls.made);
        }
    }
    match verdict::of(case, &run) {
        Ok(how) if was_reached(case) => println!("{SURVIVED}{how}"),
        Ok(how) => println!("{UNREACHED}{how}"),
        Err(problem) => {
            println!("{problem}");
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the call that was to go wrong was made. A function that is missing is reached if the scenario reaches it.
fn was_reached(case: &Case) -> bool {
    case.fault.as_ref().is_none_or(|injected| {
        injected.kind == FaultKind::MissingSymbol
            || ascendcl_sim::calls()
                .iter()
                .any(|calls| calls.function == injected.function && calls.made >= injected.first)
    })
}

/// Another seed for each case, always the same (FNV-1a).
fn mix(seed: u64, text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
