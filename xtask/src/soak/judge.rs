//! Whether a soak was good: nothing wrong, and nothing that grows.

use super::{
    ledger::Ledger,
    sample::{MIB, Sample},
};

/// How much may come in an hour, going by the last two thirds of the run.
const MOST_RESIDENT: f64 = 32.0 * MIB;
const MOST_HEAP: f64 = 8.0 * MIB;
/// How much more the process may hold at the end, with all handles gone, than after the first few seconds of the same work. Quarantines of the
/// simulator and caches of the allocator are fuller then.
const MOST_LEFT: f64 = 8.0 * MIB;
/// How many times its noise something must have grown by before that counts: in a short run a few steps of noise make a steep line.
const CERTAIN: f64 = 1.0;

/// The straight line through a series that few outliers do not bend.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trend {
    /// For each second.
    pub slope: f64,
    /// How far the middle nine tenths are apart once the line is taken off.
    pub noise: f64,
    /// In seconds.
    pub span: f64,
}

impl Trend {
    /// By Theil and Sen: the median of the slopes between any two.
    pub fn of(points: &[(f64, f64)]) -> Self {
        // Half a million pairs say enough.
        let step = points.len().div_ceil(1000).max(1);
        let points: Vec<(f64, f64)> = points.iter().copied().step_by(step).collect();
        let mut slopes = Vec::new();
        for (index, (x, y)) in points.iter().enumerate() {
            slopes.extend(points[index + 1..].iter().map(|(later, other)| (other - y) / (later - x)));
        }
        let slope = quantile(&mut slopes, 0.5);
        let mut rest: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
        let noise = quantile(&mut rest, 0.95) - quantile(&mut rest, 0.05);
        let span = points.last().map_or(0.0, |last| last.0 - points[0].0);
        Self { slope, noise, span }
    }

    pub fn hourly(&self) -> f64 {
        self.slope * 3600.0
    }

    /// Whether it grows by more than `most` an hour, and certainly.
    pub fn grows(&self, most: f64) -> bool {
        self.hourly() > most && self.slope * self.span > CERTAIN * self.noise
    }
}

/// Zero without values.
fn quantile(values: &mut [f64], part: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let index = ((values.len() - 1) as f64 * part).round() as usize;
    *values.select_nth_unstable_by(index, f64::total_cmp).1
}

/// The median of a part of the run.
pub fn median(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
    quantile(&mut samples.iter().map(value).collect::<Vec<_>>(), 0.5)
}

/// The first and the last quarter of the run.
pub fn quarters(samples: &[Sample]) -> (&[Sample], &[Sample]) {
    let quarter = samples.len().div_ceil(4);
    (&samples[..quarter], &samples[samples.len() - quarter..])
}

pub struct Verdict {
    pub resident: Trend,
    pub heap: Trend,
    pub threads: Trend,
    pub files: Trend,
    pub handles: Trend,
    /// What was wrong; nothing in a good run.
    pub reasons: Vec<String>,
}

impl Verdict {
    /// `before` and `after` are of times when all handles were gone.
    pub fn of(samples: &[Sample], before: &Sample, after: &Sample, ledger: &Ledger) -> Self {
        let late = &samples[samples.len() / 3..];
        let trend = |value: fn(&Sample) -> f64| {
            Trend::of(&late.iter().map(|sample| (sample.at, value(sample))).collect::<Vec<_>>())
        };
        let (resident, heap) = (trend(|sample| sample.resident), trend(|sample| sample.heap));
        let (threads, files) = (trend(|sample| sample.threads), trend(|sample| sample.files));
        let handles = trend(|sample| sample.handles);
        let mut reasons = Vec::new();
        for (name, trend, most) in
            [("resident memory", resident, MOST_RESIDENT), ("the heap", heap, MOST_HEAP)]
        {
            if trend.grows(most) {
                let (grown, noise) = (trend.slope * trend.span / MIB, trend.noise / MIB);
                reasons.push(format!(
                    "{name} grows by {:.1} MiB an hour; it may by {:.0} (it grew by {grown:.2} MiB in {:.0} s, with {noise:.2} MiB of noise)",
                    trend.hourly() / MIB,
                    most / MIB,
                    trend.span
                ));
            }
        }
        for (name, trend) in [("threads", threads), ("open files", files), ("handles", handles)] {
            // A whole one in the time that was looked at, beyond what comes and goes.
            if trend.slope * trend.span > 1.0 + CERTAIN * trend.noise {
                reasons.push(format!("{name} grow by {:.0} an hour", trend.hourly()));
            }
        }
        if after.threads > before.threads {
            reasons.push(format!("{} threads are left, there were {}", after.threads, before.threads));
        }
        if after.files > before.files {
            reasons.push(format!("{} files are left open, there were {}", after.files, before.files));
        }
        let left = after.heap - before.heap;
        if left > MOST_LEFT {
            reasons.push(format!("{:.1} MiB of heap are left, it may be {:.0}", left / MIB, MOST_LEFT / MIB));
        }
        let (made, ran, dropped) = ledger.closures();
        if made != ran + dropped {
            reasons.push(format!("of {made} closures {ran} ran and {dropped} were dropped"));
        }
        let (count, wrongs) = ledger.wrongs();
        if count > 0 {
            reasons.push(format!("{count} things were wrong, the first: {}", wrongs.join("; ")));
        }
        if ledger.work().iter().any(|(_, count)| *count == 0) {
            reasons.push("not every kind of work was done".to_owned());
        }
        Self { resident, heap, threads, files, handles, reasons }
    }

    pub fn is_good(&self) -> bool {
        self.reasons.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minute of samples with noise of 2 MiB that is not smooth.
    fn series(slope: f64) -> Vec<(f64, f64)> {
        let mut random = fastrand::Rng::with_seed(5);
        (0..80)
            .map(|index| f64::from(index) * 0.5)
            .map(|x| (x, x * slope + random.f64() * 2.0 * MIB))
            .collect()
    }

    #[test]
    fn what_grows_is_seen_and_noise_is_not() {
        assert!(!Trend::of(&series(0.0)).grows(MOST_RESIDENT));
        assert!(Trend::of(&series(0.1 * MIB)).grows(MOST_RESIDENT));
        let mut outlier = series(0.0);
        outlier[79].1 += 500.0 * MIB;
        assert!(!Trend::of(&outlier).grows(MOST_RESIDENT));
    }

    #[test]
    fn a_line_is_found() {
        let trend = Trend::of(&[(0.0, 5.0), (1.0, 7.0), (2.0, 9.0), (3.0, 11.0)]);
        assert_eq!((trend.slope, trend.noise, trend.span), (2.0, 0.0, 3.0));
        assert_eq!(Trend::of(&[]).slope, 0.0);
    }
}
