//! What it means to survive a fault.
//!
//! - The scenario ends with right data, or in an error that names the C function at fault; or in one that follows from it (a stream that
//!   takes no more work, a callback that was dropped, something still in use), if an error before has named it.
//! - A device that is lost and a stream that stops show up in the next wait, so the error names that one.
//! - No panic, no misuse, no race.
//! - Each closure ran once or was dropped unrun, and its captures were dropped once. Those on a stream that stopped wait with it.
//! - What is alive at the end was announced by an error, and is what that error leaves open: see [`may_stay`].

use std::sync::atomic::Ordering;

use ascendcl::{Error, ErrorKind};
use ascendcl_sim::{FaultKind, ReportKind};

use super::case::{Case, Injected};
use super::lab::{Failure, Run};

/// How it was survived, or why it was not.
pub fn of(case: &Case, run: &Run) -> Result<String, String> {
    let mut problems: Vec<String> = Vec::new();
    problems.extend(run.panics.iter().map(|panic| format!("panic: {panic}")));
    let left = left(run, &mut problems);
    let fault = case.fault.as_ref();
    match &run.outcome {
        Ok(()) => {}
        Err(Failure::Wrong(what)) => problems.push(format!("wrong result: {what}")),
        Err(failure) => {
            if let Err(problem) = check_error(fault, failure, run) {
                problems.push(problem);
            }
        }
    }
    match &run.finalized {
        Some(Ok(true)) | None => {}
        // Other code has initialised it, for all that this crate knows, or finalised it.
        Some(Ok(false))
            if fault.is_some_and(|fault| ["aclInit", "aclFinalize"].contains(&&*fault.function)) => {}
        Some(Ok(false)) => problems.push("ACL was not finalised".into()),
        Some(Err(Error::InUse { .. })) if !run.live.is_empty() => {}
        Some(Err(error)) => {
            if !fault.is_some_and(|fault| names(&error.to_string(), &fault.function)) {
                problems.push(format!("finalize: {error}"));
            }
        }
    }
    if !left.is_empty()
        && let Err(why) = may_stay(fault, run, &left)
    {
        problems.push(format!("leaked {}: {why}\n  {}", left.len(), left.join("\n  ")));
    }
    let in_use = matches!(run.finalized, Some(Err(Error::InUse { .. })));
    let waits = (run.left_waiting || fault.is_some_and(Injected::stops_a_stream)) && in_use;
    for (number, closure) in run.closures.iter().enumerate() {
        let (ran, dropped) = (closure.ran.load(Ordering::SeqCst), closure.dropped.load(Ordering::SeqCst));
        match (ran, dropped) {
            (0 | 1, 1) => {}
            (0, 0) if waits => {}
            _ => problems.push(format!("closure {number} ran {ran} times and was dropped {dropped} times")),
        }
    }
    if problems.is_empty() {
        return Ok(match &run.outcome {
            Ok(()) if left.is_empty() => "success".into(),
            Ok(()) => format!("success, {} kept", left.len()),
            Err(failure) => format!("{failure}; {} kept", left.len()),
        });
    }
    for error in &run.announced {
        problems.push(format!("announced: {error}"));
    }
    Err(problems.join("\n"))
}

/// What was not given back, and what else the simulator has to say.
fn left(run: &Run, problems: &mut Vec<String>) -> Vec<String> {
    let mut left: Vec<String> = run.live.iter().map(ToString::to_string).collect();
    for report in &run.reports {
        match report.kind {
            // What finalize says is what is alive now.
            ReportKind::Leak if report.text.contains("taken back") => {
                let objects =
                    report.text.lines().filter(|line| line.starts_with("  ") && line.contains(" made by "));
                left.extend(objects.map(|line| line.trim().to_owned()));
            }
            ReportKind::Leak => {}
            _ => problems.push(report.text.clone()),
        }
    }
    left
}

/// Whether an error says what is to blame.
fn check_error(fault: Option<&Injected>, failure: &Failure, run: &Run) -> Result<(), String> {
    let text = failure.to_string();
    let Some(fault) = fault else { return Err(format!("fails: {text}")) };
    if names(&text, &fault.function) || is_announced(fault, run) {
        return Ok(());
    }
    let error = match failure {
        Failure::Acl(error) => Some(error),
        _ => None,
    };
    let shown = match fault.kind {
        FaultKind::StopStream | FaultKind::LoseReport => {
            // The host's wait ran out of time, or that of a stream for the one that stopped.
            let runs_out =
                |error: &Error| error.is_timeout() || error.code().is_some_and(|code| code.0 == 107_019);
            error.is_none_or(|error| runs_out(error) || matches!(error, Error::InUse { .. }))
        }
        _ => false,
    };
    if shown { Ok(()) } else { Err(format!("no error names {}: {text}", fault.function)) }
}

/// Whether an error before told what is to blame.
fn is_announced(fault: &Injected, run: &Run) -> bool {
    run.announced.iter().any(|error| {
        let device_lost = root(error).code().is_some_and(|code| code.kind() == ErrorKind::DeviceLost);
        (fault.kind == FaultKind::LoseDevice && device_lost) || names(&error.to_string(), &fault.function)
    })
}

/// What an error followed from.
fn root(error: &Error) -> &Error {
    match error {
        Error::Poisoned { cause, .. } | Error::Abandoned { cause: Some(cause) } => root(cause),
        error => error,
    }
}

/// Functions that give something back, or without which nothing can be given back.
const GIVE_BACK: &[&str] = &[
    "aclFinalize",
    "aclrtFree",
    "aclrtFreeHost",
    "aclrtDestroyContext",
    "aclrtDestroyEvent",
    "aclrtDestroyStream",
    "aclrtResetDevice",
    "aclrtUnSubscribeReport",
    "aclmdlUnload",
    "aclmdlDestroyDataset",
    "aclmdlDestroyDesc",
    "aclDestroyDataBuffer",
    "aclrtSetCurrentContext",
    "aclrtGetCurrentContext",
    "aclrtStreamQuery",
];

/// Whether what is left was to be expected after this fault, and was announced.
fn may_stay(fault: Option<&Injected>, run: &Run, left: &[String]) -> Result<(), String> {
    let Some(fault) = fault else { return Err("there was no fault".into()) };
    let in_use = matches!(run.finalized, Some(Err(Error::InUse { .. })));
    if in_use && matches!(fault.kind, FaultKind::StopStream | FaultKind::LoseReport) {
        return Ok(());
    }
    if !is_announced(fault, run) {
        return Err(format!("no error names {}", fault.function));
    }
    if in_use && (run.left_waiting || fault.stops_a_stream()) {
        return Ok(());
    }
    let gives_back = GIVE_BACK.contains(&fault.function.as_str());
    match fault.kind {
        // An execution is many tasks: whatever it answers, some may be running.
        FaultKind::Error(_) | FaultKind::NoMemory if fault.function.starts_with("aclmdlExecute") => Ok(()),
        FaultKind::Error(100_000..300_000) | FaultKind::NoMemory if !gives_back => {
            Err("the call was refused, so nothing can be in use".into())
        }
        FaultKind::MissingSymbol if !gives_back => {
            Err("the function is missing, so nothing can be in use".into())
        }
        FaultKind::DuplicateReport | FaultKind::DelayReport(_) => Err("the callbacks came".into()),
        // It has made something, and said that it has not.
        FaultKind::ErrorAfter(_) if makes(&fault.function) => {
            let others =
                left.iter().find(|object| !object.contains(&format!(" made by {} on ", fault.function)));
            others.map_or(Ok(()), |other| Err(format!("{} did not make it: {other}", fault.function)))
        }
        _ => Ok(()),
    }
}

fn makes(function: &str) -> bool {
    [
        "aclrtMalloc",
        "aclrtCreate",
        "aclmdlCreate",
        "aclCreate",
        "aclmdlLoad",
        "aclrtSetDevice",
        "aclrtSubscribe",
    ]
    .iter()
    .any(|prefix| function.starts_with(prefix))
}

/// Whether a text has the whole name of a function in it.
fn names(text: &str, function: &str) -> bool {
    text.match_indices(function).any(|(at, _)| {
        let after = text[at + function.len()..].chars().next();
        after.is_none_or(|after| !after.is_alphanumeric() && after != '_')
    })
}
