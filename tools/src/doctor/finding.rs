//! What the doctor has to say.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// Programs will not run, or not as meant.
    Problem,
    /// It works, and may not for long, or not for everybody.
    Warning,
    /// To be known.
    Note,
}

/// What was found, why, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// A name for scripts; it does not change.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub what: String,
    /// Why that matters, or where it comes from.
    pub why: String,
    /// What to do.
    pub mend: Option<String>,
    /// The command that does it, if one does.
    pub command: Option<String>,
}

impl Finding {
    pub(crate) fn new(id: &'static str, severity: Severity, what: impl Into<String>) -> Self {
        Finding { id, severity, what: what.into(), why: String::new(), mend: None, command: None }
    }

    pub(crate) fn problem(id: &'static str, what: impl Into<String>) -> Self {
        Self::new(id, Severity::Problem, what)
    }

    pub(crate) fn warning(id: &'static str, what: impl Into<String>) -> Self {
        Self::new(id, Severity::Warning, what)
    }

    pub(crate) fn note(id: &'static str, what: impl Into<String>) -> Self {
        Self::new(id, Severity::Note, what)
    }

    pub(crate) fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    pub(crate) fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    pub(crate) fn command(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }
}
