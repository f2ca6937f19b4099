//! Why the simulator does not have a function.

use crate::error::Error;

/// The data, in the workspace.
pub const FILE: &str = "ascendcl-sim/missing.tsv";

const TEXT: &str = include_str!("../../../ascendcl-sim/missing.tsv");

/// The reasons, and which of them were asked for.
pub struct Reasons(Vec<Reason>);

struct Reason {
    /// A name, the beginning of names with `*` at its end, or a header.
    pattern: &'static str,
    text: &'static str,
    used: bool,
}

impl Reasons {
    pub fn read() -> Result<Self, Error> {
        let lines = TEXT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let reasons: Result<Vec<_>, _> = lines
            .map(|line| match line.split_once('\t') {
                Some((pattern, text)) if !text.is_empty() && !text.ends_with('.') => {
                    Ok(Reason { pattern, text, used: false })
                }
                _ => Err(Error::new(format!(
                    "{FILE}: a name, a tab and a reason without a full stop expected: {line}"
                ))),
            })
            .collect();
        reasons.map(Self)
    }

    /// The first reason for a function.
    pub fn of(&mut self, name: &str, header: &str) -> Option<&'static str> {
        let matches = |pattern: &str| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => pattern == name || pattern == header,
        };
        let reason = self.0.iter_mut().find(|reason| matches(reason.pattern))?;
        reason.used = true;
        Some(reason.text)
    }

    /// Patterns that nobody asked for.
    pub fn unused(&self) -> Vec<&'static str> {
        self.0.iter().filter(|reason| !reason.used).map(|reason| reason.pattern).collect()
    }
}
