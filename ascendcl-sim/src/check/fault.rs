//! Injected faults: calls that the configuration makes go wrong.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ascendcl_sys::{self as sys, aclError};

use crate::config::{ConfigError, nearest};
use crate::core::{current_context, process};
use crate::error::fail;

/// One rule: which calls of which function go wrong, and how.
///
/// As text `function:which=how`, for example `aclrtMalloc:3=no-memory`. *which* is the number of the call, counted from 1; `2+` is that
/// call and all later ones, `%100` every hundredth call, and without it every call is meant. *how* is one of
///
/// | text | what happens | |
/// |---|---|---|
/// | `507015` | the call does nothing and answers this code | [`FaultKind::Error`] |
/// | `after 507015` | the call does its work and answers this code | [`FaultKind::ErrorAfter`] |
/// | `no-memory` | the call does nothing and answers 207001 | [`FaultKind::NoMemory`] |
/// | `duplicate` | the callback that is launched runs twice | [`FaultKind::DuplicateReport`] |
/// | `delay 50` | it is delivered 50 ms late | [`FaultKind::DelayReport`] |
/// | `lose` | it never runs | [`FaultKind::LoseReport`] |
/// | `stop` | the stream stops before the task that the call queues, and goes no further | [`FaultKind::StopStream`] |
/// | `lost-device` | the device is lost: what was queued is gone, and calls answer 507010 until it is reset | [`FaultKind::LoseDevice`] |
/// | `missing` | the function is not in the table of [`api`](crate::api) | [`FaultKind::MissingSymbol`] |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    function: String,
    first: u64,
    last: u64,
    /// From the first, each so many calls later.
    step: u64,
    kind: FaultKind,
}

/// Functions that are symbols and in no header.
const UNLISTED: &[&str] = &["aclrtRecordEventWithFlag", "aclrtStreamWaitEventWithFlag"];

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// It does nothing and answers this code.
    Error(aclError),
    /// It does its work and answers this code.
    ErrorAfter(aclError),
    /// It does nothing and answers that there is no memory, 207001.
    NoMemory,
    /// The callback that it launches is delivered twice.
    DuplicateReport,
    /// The callback that it launches is delivered late.
    DelayReport(Duration),
    /// The callback that it launches is never delivered. Its stream waits for it if it is a blocking one.
    LoseReport,
    /// The stream stops before the task that the call queues. Tasks can still be queued, and none is done.
    StopStream,
    /// The device of the current context is lost: queued work is gone, calls answer 507010 until the device is reset.
    LoseDevice,
    /// The function is absent from the table of [`api`](crate::api), as in an older CANN. A program that loads the library still finds
    /// the symbol: calls answer 207000.
    MissingSymbol,
}

impl Fault {
    /// Every call of `function` goes wrong.
    pub fn every(function: impl Into<String>, kind: FaultKind) -> Self {
        Self { function: function.into(), first: 1, last: u64::MAX, step: 1, kind }
    }

    /// Only the call with number `occurrence` goes wrong, counted from 1.
    pub fn nth(function: impl Into<String>, occurrence: u64, kind: FaultKind) -> Self {
        Self { function: function.into(), first: occurrence, last: occurrence, step: 1, kind }
    }

    /// The call with number `occurrence`, counted from 1, goes wrong and all later ones.
    pub fn from_nth(function: impl Into<String>, occurrence: u64, kind: FaultKind) -> Self {
        Self { function: function.into(), first: occurrence, last: u64::MAX, step: 1, kind }
    }

    /// One call of so many goes wrong: with a period of 100 those with the numbers 100, 200, 300 and so on. A period of 0 counts as 1.
    pub fn periodic(function: impl Into<String>, period: u64, kind: FaultKind) -> Self {
        let step = period.max(1);
        Self { function: function.into(), first: step, last: u64::MAX, step, kind }
    }

    /// Whether it is about the call with this number.
    fn hits(&self, call: u64) -> bool {
        (self.first..=self.last).contains(&call) && (call - self.first).is_multiple_of(self.step)
    }

    /// The C function that goes wrong.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The call that goes wrong, counted from 1, or the first of them.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// How it goes wrong.
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Its function has to exist: a fault that never happens tests nothing.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let of_callback = matches!(
            self.kind,
            FaultKind::DuplicateReport | FaultKind::DelayReport(_) | FaultKind::LoseReport
        );
        if of_callback && !LAUNCHING.contains(&self.function.as_str()) {
            let (function, launching) = (&self.function, LAUNCHING.join(" and "));
            return Err(ConfigError::new(format!(
                "the fault {self} can never happen: {function} launches no callback, {launching} do"
            )));
        }
        let names = || {
            let listed = sys::FUNCTIONS.iter().filter_map(|function| function.name.to_str().ok());
            listed.chain(UNLISTED.iter().copied())
        };
        if names().any(|name| name == self.function) {
            return Ok(());
        }
        let nearest = nearest(&self.function, names()).unwrap_or_default();
        Err(ConfigError::new(format!(
            "a fault is to be in {}, which is no function: did you mean {nearest}?",
            self.function
        )))
    }
}

impl Fault {
    /// The call fails with `code`.
    fn fail(&self, code: aclError) -> aclError {
        let function = &self.function;
        fail(code, format_args!("the configuration of the simulator makes {function} fail: {self}"))
    }
}

/// Functions that launch callbacks.
const LAUNCHING: [&str; 2] = ["aclrtLaunchCallback", "aclrtLaunchHostFunc"];

impl FromStr for Fault {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wrong = || {
            ConfigError::new(format!(
                "'{text}' is no fault: write function:number=how, such as aclrtMalloc:3=207001 or aclrtRecordEvent=after 507015"
            ))
        };
        let unknown = |how: &str| {
            ConfigError::new(format!(
                "'{text}' is no fault: '{how}' is neither a code other than 0 nor one of after CODE, no-memory, duplicate, delay MILLISECONDS, \
                 lose, stop, lost-device, missing"
            ))
        };
        let (calls, how) = text.split_once('=').ok_or_else(wrong)?;
        let (function, which) = calls.trim().split_once(':').unwrap_or((calls.trim(), "1+"));
        let number =
            |text: &str| text.trim().parse().ok().filter(|&number: &u64| number > 0).ok_or_else(wrong);
        let which = which.trim();
        let (first, last, step) = if let Some(period) = which.strip_prefix('%') {
            let period = number(period)?;
            (period, u64::MAX, period)
        } else if let Some(first) = which.strip_suffix('+') {
            (number(first)?, u64::MAX, 1)
        } else {
            (number(which)?, number(which)?, 1)
        };
        let how = how.trim();
        let code = |text: &str| {
            text.trim().parse().ok().filter(|&code: &aclError| code != 0).ok_or_else(|| unknown(how))
        };
        let kind = match how.split_once(' ').unwrap_or((how, "")) {
            ("after", how) => FaultKind::ErrorAfter(code(how)?),
            ("delay", time) => {
                FaultKind::DelayReport(Duration::from_millis(number(time).map_err(|_| unknown(how))?))
            }
            ("no-memory", "") => FaultKind::NoMemory,
            ("duplicate", "") => FaultKind::DuplicateReport,
            ("lose", "") => FaultKind::LoseReport,
            ("stop", "") => FaultKind::StopStream,
            ("lost-device", "") => FaultKind::LoseDevice,
            ("missing", "") => FaultKind::MissingSymbol,
            _ => FaultKind::Error(code(how)?),
        };
        if function.is_empty() {
            return Err(wrong());
        }
        Ok(Self { function: function.to_owned(), first, last, step, kind })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.function)?;
        match (self.first, self.last, self.step) {
            (1, u64::MAX, 1) => {}
            (first, u64::MAX, 1) => write!(f, ":{first}+")?,
            (_, u64::MAX, period) => write!(f, ":%{period}")?,
            (first, ..) => write!(f, ":{first}")?,
        }
        match self.kind {
            FaultKind::Error(code) => write!(f, "={code}"),
            FaultKind::ErrorAfter(code) => write!(f, "=after {code}"),
            FaultKind::NoMemory => f.write_str("=no-memory"),
            FaultKind::DuplicateReport => f.write_str("=duplicate"),
            FaultKind::DelayReport(by) => write!(f, "=delay {}", by.as_millis()),
            FaultKind::LoseReport => f.write_str("=lose"),
            FaultKind::StopStream => f.write_str("=stop"),
            FaultKind::LoseDevice => f.write_str("=lost-device"),
            FaultKind::MissingSymbol => f.write_str("=missing"),
        }
    }
}

/// What goes wrong with the task that the call queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskFault {
    Duplicate,
    Delay(Duration),
    Lose,
    Stop,
}

thread_local! {
    /// For the first task that the call on this thread queues.
    static ARMED: Cell<Option<TaskFault>> = const { Cell::new(None) };
}

/// The fault for the task that this thread is about to queue.
pub(crate) fn of_task() -> Option<TaskFault> {
    ARMED.take()
}

/// What is left to do when the function has done its work.
pub(crate) struct After {
    /// The code to answer in place of success.
    fault: Option<(Fault, aclError)>,
}

impl After {
    pub(crate) fn answer(&self, code: aclError) -> aclError {
        match &self.fault {
            Some((fault, injected)) if code == 0 => fault.fail(*injected),
            _ => code,
        }
    }
}

impl Drop for After {
    fn drop(&mut self) {
        ARMED.set(None);
    }
}

/// Whether there are faults for this function.
pub(crate) fn concerns(function: &str) -> bool {
    process::machine().settings().faults.iter().any(|fault| fault.function == function)
}

/// Functions that are to be absent.
pub(crate) fn missing() -> Vec<String> {
    let machine = process::machine();
    let faults = machine.settings().faults.iter().filter(|fault| fault.kind == FaultKind::MissingSymbol);
    faults.map(|fault| fault.function.clone()).collect()
}

/// The fault of the call with this number, if there is one: an error to answer at once, or what to do afterwards.
pub(crate) fn before(function: &'static str, call: u64) -> Result<Option<After>, aclError> {
    let machine = process::machine();
    let mut faults = machine.settings().faults.iter();
    let fault = faults.find(|fault| fault.function == function && fault.hits(call));
    let Some(fault) = fault else { return Ok(None) };
    let task = match fault.kind {
        FaultKind::Error(code) => return Err(fault.fail(code)),
        FaultKind::NoMemory => return Err(fault.fail(sys::ACL_ERROR_RT_MEMORY_ALLOCATION)),
        FaultKind::MissingSymbol => return Err(fault.fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT)),
        FaultKind::ErrorAfter(code) => return Ok(Some(After { fault: Some((fault.clone(), code)) })),
        FaultKind::LoseDevice => {
            if let Ok(context) = current_context() {
                context.device().lose();
            }
            return Ok(None);
        }
        FaultKind::DuplicateReport => TaskFault::Duplicate,
        FaultKind::DelayReport(by) => TaskFault::Delay(by),
        FaultKind::LoseReport => TaskFault::Lose,
        FaultKind::StopStream => TaskFault::Stop,
    };
    ARMED.set(Some(task));
    Ok(Some(After { fault: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_the_calls_that_it_names() {
        let hits = |text: &str| -> Vec<u64> {
            let fault: Fault = text.parse().unwrap();
            (1..=9).filter(|&call| fault.hits(call)).collect()
        };
        assert_eq!(hits("aclrtMalloc=5").len(), 9);
        assert_eq!(hits("aclrtMalloc:3=5"), [3]);
        assert_eq!(hits("aclrtMalloc:8+=5"), [8, 9]);
        assert_eq!(hits("aclrtMalloc:%4=5"), [4, 8]);
        let periodic = Fault::periodic("aclrtMalloc", 4, FaultKind::Error(5));
        assert_eq!(periodic, "aclrtMalloc:%4=5".parse().unwrap());
    }

    #[test]
    fn faults_are_read_and_written() {
        for text in [
            "aclrtMalloc:3=207001",
            "aclrtRecordEvent=after 507015",
            "aclrtMallocHost:2+=no-memory",
            "aclrtMalloc:%100=no-memory",
            "aclrtLaunchCallback:1=duplicate",
            "aclrtLaunchCallback=delay 50",
            "aclrtLaunchCallback:7=lose",
            "aclrtMemcpyAsync:1=stop",
            "aclrtSynchronizeStream:1=lost-device",
            "aclrtCreateEventExWithFlag=missing",
        ] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "aclrtMalloc",
            "aclrtMalloc=",
            "aclrtMalloc=0",
            "=5",
            "aclrtMalloc:0=5",
            "aclrtMalloc:x=5",
            "aclrtMalloc:%0=5",
            "aclrtMalloc:%2+=5",
            "aclrtMalloc=stop 5",
            "aclrtMalloc=delay",
            "aclrtMalloc=after",
        ] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("'{text}' is no fault: ")), "{error}");
        }
    }
}
