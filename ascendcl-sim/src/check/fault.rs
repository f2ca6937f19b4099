//! Injected faults: calls that the configuration makes fail.

use std::fmt;
use std::str::FromStr;

use ascendcl_sys::aclError;

use crate::config::ConfigError;
use crate::core::process;
use crate::error::fail;

/// One rule: which calls of which function fail, and how.
///
/// As text: `function:which=how`, for example `aclrtMalloc:3=207001`. *which* is the number of the call, counted from 1; `2+` is that
/// call and all later ones, and without it every call is meant. *how* is the code to answer, or `after` and the code for a function
/// that does its work and answers the code all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(crate) function: String,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) kind: FaultKind,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// It does nothing and answers this code.
    Error(aclError),
    /// It does its work and answers this code.
    ErrorAfter(aclError),
}

impl Fault {
    /// Every call of `function` fails.
    pub fn every(function: impl Into<String>, kind: FaultKind) -> Self {
        Self { function: function.into(), first: 1, last: u64::MAX, kind }
    }

    /// Only the call with number `occurrence` fails, counted from 1.
    pub fn nth(function: impl Into<String>, occurrence: u64, kind: FaultKind) -> Self {
        Self { function: function.into(), first: occurrence, last: occurrence, kind }
    }

    /// The call with number `occurrence`, counted from 1, fails and all later ones.
    pub fn from_nth(function: impl Into<String>, occurrence: u64, kind: FaultKind) -> Self {
        Self { function: function.into(), first: occurrence, last: u64::MAX, kind }
    }
}

impl FromStr for Fault {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wrong = || {
            ConfigError::new(format!(
                "'{text}' is no fault: write function:number=code, such as aclrtMalloc:3=207001 or aclrtRecordEvent=after 507015"
            ))
        };
        let (calls, how) = text.split_once('=').ok_or_else(wrong)?;
        let (function, which) = calls.trim().split_once(':').unwrap_or((calls.trim(), "1+"));
        let number =
            |text: &str| text.trim().parse::<u64>().ok().filter(|&number| number > 0).ok_or_else(wrong);
        let (first, last) = match which.trim().strip_suffix('+') {
            Some(first) => (number(first)?, u64::MAX),
            None => (number(which)?, number(which)?),
        };
        let code =
            |text: &str| text.trim().parse::<aclError>().ok().filter(|&code| code != 0).ok_or_else(wrong);
        let kind = match how.trim().strip_prefix("after ") {
            Some(how) => FaultKind::ErrorAfter(code(how)?),
            None => FaultKind::Error(code(how)?),
        };
        if function.is_empty() {
            return Err(wrong());
        }
        Ok(Self { function: function.to_owned(), first, last, kind })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.function)?;
        match (self.first, self.last) {
            (1, u64::MAX) => {}
            (first, u64::MAX) => write!(f, ":{first}+")?,
            (first, _) => write!(f, ":{first}")?,
        }
        match self.kind {
            FaultKind::Error(code) => write!(f, "={code}"),
            FaultKind::ErrorAfter(code) => write!(f, "=after {code}"),
        }
    }
}

/// What is left to do when the function has done its work.
pub(crate) struct After {
    function: &'static str,
    code: aclError,
}

impl After {
    pub(crate) fn answer(self, code: aclError) -> aclError {
        if code == 0 { injected(self.function, self.code) } else { code }
    }
}

/// Whether there are faults for this function.
pub(crate) fn concerns(function: &str) -> bool {
    process::machine().settings().faults.iter().any(|fault| fault.function == function)
}

/// The fault of the call with this number, if there is one: an error to answer at once, or what to do afterwards.
pub(crate) fn before(function: &'static str, call: u64) -> Result<Option<After>, aclError> {
    let machine = process::machine();
    let mut faults = machine.settings().faults.iter();
    let fault = faults.find(|fault| fault.function == function && (fault.first..=fault.last).contains(&call));
    match fault.map(|fault| fault.kind) {
        None => Ok(None),
        Some(FaultKind::Error(code)) => Err(injected(function, code)),
        Some(FaultKind::ErrorAfter(code)) => Ok(Some(After { function, code })),
    }
}

fn injected(function: &str, code: aclError) -> aclError {
    fail(code, format_args!("the configuration of the simulator makes {function} fail"))
}
