//! What a row of the scoreboard is: a name, what it is held against, and what must come of it.

use super::measure::Effort;
use crate::error::Error;

/// A row: two ways to do the same, measured side by side, or one figure.
pub struct Row {
    /// What to name on the command line.
    pub name: &'static str,
    /// What is done.
    pub title: &'static str,
    /// What else does the same; empty for a figure that stands alone.
    pub baseline: &'static str,
    pub unit: Unit,
    pub target: Target,
    /// Variables of the environment of its process, such as those of the simulator.
    pub environment: &'static [(&'static str, &'static str)],
    /// Measures, in a process of its own.
    pub run: fn(Effort) -> Result<Measured, Error>,
    /// What the figure costs or leaves out, and why: told below the table.
    pub remark: Option<&'static str>,
}

/// What the figures of a row are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds, shown in what fits.
    Time,
    /// Bytes, shown in what fits.
    Bytes,
    /// So many a second.
    Rate,
    /// A number.
    Count,
}

/// What is held against a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// Ours / baseline. Times: not judged by `--quick`.
    Ratio(Limit),
    /// Ours, whatever the baseline is. Counts: always judged.
    Ours(Limit),
    /// The figure is told, not judged.
    None,
}

/// A limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    AtMost(f64),
    Below(f64),
    AtLeast(f64),
}

/// What came of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    pub ours: f64,
    pub baseline: Option<Baseline>,
    /// What else there is to say of this run.
    pub note: String,
}

/// The other side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Baseline {
    pub value: f64,
    /// Ours / baseline: the median of the rounds, and the quartiles around it.
    pub ratio: f64,
    pub quartiles: (f64, f64),
}

impl Measured {
    /// A figure that stands alone.
    pub fn alone(ours: f64) -> Measured {
        Measured { ours, baseline: None, note: String::new() }
    }

    /// Two figures that were not taken in rounds.
    pub fn once(ours: f64, baseline: f64) -> Measured {
        let ratio = ours / baseline;
        let baseline = Some(Baseline { value: baseline, ratio, quartiles: (ratio, ratio) });
        Measured { ours, baseline, note: String::new() }
    }

    /// No figure, and why.
    pub fn skipped(why: &str) -> Measured {
        Measured::alone(f64::NAN).noted(format!("Skipped: {why}"))
    }

    /// Whether there is no figure.
    pub fn is_skipped(&self) -> bool {
        self.ours.is_nan()
    }

    /// With something to say of it.
    pub fn noted(mut self, note: impl Into<String>) -> Measured {
        self.note = note.into();
        self
    }
}

impl Limit {
    fn holds(self, value: f64) -> bool {
        match self {
            Limit::AtMost(limit) => value <= limit,
            Limit::Below(limit) => value < limit,
            Limit::AtLeast(limit) => value >= limit,
        }
    }

    fn text(self, value: impl Fn(f64) -> String) -> String {
        match self {
            Limit::AtMost(0.0) => value(0.0),
            Limit::AtMost(limit) => format!("≤ {}", value(limit)),
            Limit::Below(limit) => format!("< {}", value(limit)),
            Limit::AtLeast(limit) => format!("≥ {}", value(limit)),
        }
    }
}

impl Row {
    /// What most rows have in common, for those to be told apart.
    pub const PLAIN: Row = Row {
        name: "",
        title: "",
        baseline: "",
        unit: Unit::Time,
        target: Target::None,
        environment: &[],
        run: |_| Ok(Measured::skipped("there is nothing to measure")),
        remark: None,
    };

    /// Whether the target is reached; `None` when there is none. `times` says whether times count.
    pub fn verdict(&self, measured: &Measured, times: bool) -> Option<bool> {
        match self.target {
            Target::Ratio(limit) if times => {
                Some(measured.baseline.is_some_and(|baseline| limit.holds(baseline.ratio)))
            }
            Target::Ours(limit) => Some(limit.holds(measured.ours)),
            Target::Ratio(_) | Target::None => None,
        }
    }

    /// Its line in the table.
    pub fn cells(&self, measured: &Measured, times: bool) -> [String; 6] {
        let ratio = measured.baseline.map_or(String::new(), |baseline| {
            let (low, high) = baseline.quartiles;
            if low == high {
                format!("{:.2}", baseline.ratio)
            } else {
                format!("{:.3} ({low:.3} to {high:.3})", baseline.ratio)
            }
        });
        let target = match self.target {
            Target::Ratio(limit) => limit.text(|value| format!("{value:.2}")),
            Target::Ours(limit) => limit.text(|value| self.unit.text(value)),
            Target::None => String::new(),
        };
        let ok = match self.verdict(measured, times) {
            Some(true) => "yes",
            Some(false) => "no",
            None if self.target == Target::None => "",
            None => "not judged",
        };
        [
            self.name.to_owned(),
            if measured.is_skipped() { "skipped".to_owned() } else { self.unit.text(measured.ours) },
            measured.baseline.map_or(String::new(), |baseline| self.unit.text(baseline.value)),
            ratio,
            target,
            ok.to_owned(),
        ]
    }
}

impl Unit {
    /// A figure with three digits that count.
    pub fn text(self, value: f64) -> String {
        let scaled = |steps: &[(f64, &str)]| {
            let (step, name) =
                steps.iter().find(|(step, _)| value.abs() >= *step).unwrap_or(&steps[steps.len() - 1]);
            format!("{} {name}", digits(value / step))
        };
        match self {
            Unit::Time => scaled(&[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")]),
            Unit::Bytes => scaled(&[(1024.0 * 1024.0, "MiB"), (1024.0, "KiB"), (1.0, "B")]),
            Unit::Rate => scaled(&[(1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")]),
            Unit::Count => digits(value),
        }
    }
}

fn digits(value: f64) -> String {
    let places = match value.abs() {
        size if size >= 100.0 || size.fract() == 0.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(target: Target) -> Row {
        Row { name: "row", title: "", target, run: |_| Ok(Measured::alone(0.0)), ..Row::PLAIN }
    }

    #[test]
    fn times_are_judged_only_where_they_count() {
        let row = row(Target::Ratio(Limit::AtMost(1.05)));
        let (good, bad) = (Measured::once(1.05, 1.0), Measured::once(1.06, 1.0));
        assert_eq!((row.verdict(&good, true), row.verdict(&bad, true)), (Some(true), Some(false)));
        assert_eq!(row.verdict(&bad, false), None);
        assert_eq!(row.verdict(&Measured::alone(1.0), true), Some(false), "nothing to compare with");
    }

    #[test]
    fn counts_are_always_judged() {
        let row = row(Target::Ours(Limit::AtMost(0.0)));
        assert_eq!(row.verdict(&Measured::once(0.0, 3.0), false), Some(true));
        assert_eq!(row.verdict(&Measured::once(0.01, 3.0), false), Some(false));
    }

    #[test]
    fn what_was_skipped_says_so() {
        let skipped = Measured::skipped("no tool");
        assert_eq!(row(Target::None).cells(&skipped, true)[1..], ["skipped", "", "", "", ""]);
        assert_eq!(skipped.note, "Skipped: no tool");
    }

    #[test]
    fn figures_can_be_read() {
        assert_eq!(Unit::Time.text(1.234e-7), "123 ns");
        assert_eq!(Unit::Time.text(0.0), "0 ns");
        assert_eq!(Unit::Bytes.text(1536.0), "1.50 KiB");
        assert_eq!(Unit::Rate.text(12_345.0), "12.3 k/s");
        assert_eq!(Unit::Count.text(1.0), "1");
        assert_eq!(
            row(Target::Ratio(Limit::Below(1.0))).cells(&Measured::once(1.0, 2.0), true)[3..],
            ["0.50", "< 1.00", "yes"]
        );
    }
}
