//! The processes that the campaign starts: one for each case, ended when it hangs.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::case::{CALLS, Case, SURVIVED, UNREACHED};
use super::scenarios::Scenario;
use crate::child;
use crate::error::Error;

/// The child ends itself after [`HANGS_AFTER`](super::lab::HANGS_AFTER), with a word on what it was doing. This is for one that cannot.
const KILLED_AFTER: Duration = Duration::from_secs(100);

/// What came of a case.
pub struct Ended {
    /// Why it was not survived.
    pub problem: Option<String>,
    /// Whether the fault came to pass.
    pub reached: bool,
    /// All that the child said.
    pub text: String,
    pub took: Duration,
}

/// Runs a case in a process of its own.
pub fn run(case: &Case, seed: u64) -> Ended {
    let began = Instant::now();
    let (status, text) = match process("run", &case.to_string(), seed) {
        Ok(ended) => ended,
        Err(error) => {
            let problem = Some(error.to_string());
            return Ended { problem, reached: true, text: String::new(), took: began.elapsed() };
        }
    };
    let said = |what: &str| text.lines().any(|line| line.starts_with(what));
    let survived = status.is_some_and(|status| status.success()) && (said(SURVIVED) || said(UNREACHED));
    let problem = (!survived).then(|| {
        let ended = match status {
            None => format!("hangs, and was killed after {KILLED_AFTER:?}; "),
            Some(status) => match status.signal() {
                Some(signal) => format!("ended by signal {signal}; "),
                None => String::new(),
            },
        };
        ended + text.trim()
    });
    Ended { reached: !survived || !said(UNREACHED), problem, text, took: began.elapsed() }
}

/// Runs a scenario without a fault: how often it calls each function.
pub fn count(scenario: &Scenario, seed: u64) -> Result<BTreeMap<String, u64>, Error> {
    let (status, text) = process("count", scenario.name, seed)?;
    if !status.is_some_and(|status| status.success()) {
        return Err(Error::new(format!("scenario {} fails without a fault: {}", scenario.name, text.trim())));
    }
    let calls = text.lines().filter_map(|line| line.strip_prefix(CALLS)?.split_once(' '));
    Ok(calls.filter_map(|(function, calls)| Some((function.to_owned(), calls.parse().ok()?))).collect())
}

fn process(task: &str, case: &str, seed: u64) -> Result<(Option<ExitStatus>, String), Error> {
    let seed = seed.to_string();
    let arguments = ["campaign", "--child", task, "--seed", &seed, "--case", case];
    let ended = child::run(&arguments, &[("RUST_BACKTRACE", "0")], KILLED_AFTER)?;
    Ok((ended.status, ended.errors + &ended.output))
}
