//! Two ways to do the same, measured by turns: what disturbs the machine disturbs both.

use std::{
    env,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use super::row::{Baseline, Measured};
use crate::error::Error;

/// How much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Everything once or twice: does it run?
    Quick,
    /// Enough for figures.
    Full,
}

impl Effort {
    /// The number for `quick` runs, or that for full ones.
    pub fn choose<T>(self, quick: T, full: T) -> T {
        match self {
            Effort::Quick => quick,
            Effort::Full => full,
        }
    }
}

/// The fewest rounds that have quartiles, and the most that say something new.
const ROUNDS: (usize, usize) = (15, 401);
/// How long to go on with rounds beyond the fewest.
const LONG_ENOUGH: Duration = Duration::from_secs(8);

/// One side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Ours,
    Baseline,
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Side::Ours => "ours",
            Side::Baseline => "baseline",
        }
    }
}

/// The variable of the environment that names the side whose instructions are counted: then no time is measured, and the figure of a row is how
/// many pieces of work were done while [`COUNTED_FUNCTION`] ran.
pub const COUNTED: &str = "XTASK_PERF_COUNTED";
/// What callgrind is told to look at.
pub const COUNTED_FUNCTION: &str = "xtask_perf_counted";
/// Whether it is called.
static COUNTING: AtomicBool = AtomicBool::new(false);

/// Runs `action`. Has a name and a frame of its own, which callgrind finds.
// SAFETY: [layout] no other function of the program has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn xtask_perf_counted(action: &mut dyn FnMut()) {
    action();
}

/// Measures by turns, ours first, then the baseline: many rounds of few milliseconds. Each side gives the figure of one round.
pub fn by_turns(
    effort: Effort,
    mut ours: impl FnMut() -> Result<f64, Error>,
    mut baseline: impl FnMut() -> Result<f64, Error>,
) -> Result<Measured, Error> {
    let (fewest, most) = effort.choose((3, 3), ROUNDS);
    // Memory is touched, threads are started, queues have grown.
    for _ in 0..effort.choose(1, 3) {
        ours()?;
        baseline()?;
    }
    if let Some(counted) = env::var_os(COUNTED) {
        COUNTING.store(true, Ordering::Relaxed);
        let pieces = if counted == Side::Ours.name() { ours()? } else { baseline()? };
        COUNTING.store(false, Ordering::Relaxed);
        return Ok(Measured::alone(pieces));
    }
    let (mut pairs, start) = (Vec::new(), Instant::now());
    while pairs.len() < fewest || (pairs.len() < most && start.elapsed() < LONG_ENOUGH) {
        pairs.push((ours()?, baseline()?));
    }
    Ok(compare(&pairs))
}

/// The medians of both sides, and of their ratios.
pub fn compare(pairs: &[(f64, f64)]) -> Measured {
    let side = |of: fn(&(f64, f64)) -> f64| quantile(&mut pairs.iter().map(of).collect::<Vec<_>>(), 0.5);
    let mut ratios: Vec<f64> = pairs.iter().map(|(ours, baseline)| ours / baseline).collect();
    let mut ratio = |at| quantile(&mut ratios, at);
    let baseline =
        Baseline { value: side(|pair| pair.1), ratio: ratio(0.5), quartiles: (ratio(0.25), ratio(0.75)) };
    Measured { ours: side(|pair| pair.0), baseline: Some(baseline), note: format!("{} rounds", pairs.len()) }
}

/// The value at a share of the sorted values; 0.5 gives the median.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = share * (values.len() as f64 - 1.0);
    let (below, above) = (at.floor() as usize, at.ceil() as usize);
    match (values.get(below), values.get(above)) {
        (Some(below), Some(above)) => below + (above - below) * at.fract(),
        _ => f64::NAN,
    }
}

/// How long `action` takes, per piece of work; or how many pieces it does, if its instructions are counted.
pub fn seconds_each(pieces: usize, action: impl FnOnce() -> Result<(), Error>) -> Result<f64, Error> {
    if COUNTING.load(Ordering::Relaxed) {
        let (mut action, mut result) = (Some(action), Ok(()));
        xtask_perf_counted(&mut || {
            if let Some(action) = action.take() {
                result = action();
            }
        });
        return result.map(|()| pieces as f64);
    }
    let start = Instant::now();
    action()?;
    Ok(start.elapsed().as_secs_f64() / pieces as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_values() {
        let mut values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&mut values, 0.5), 2.5);
        assert_eq!(quantile(&mut values, 0.0), 1.0);
        assert_eq!(quantile(&mut values, 1.0), 4.0);
        assert!(quantile(&mut [], 0.5).is_nan());
    }

    #[test]
    fn sides_take_turns_and_pairs_are_compared() {
        let turns = std::cell::RefCell::new(Vec::new());
        let side = |name: char, value: f64| {
            turns.borrow_mut().push(name);
            Ok(value)
        };
        let measured = by_turns(Effort::Quick, || side('a', 3.0), || side('b', 2.0)).unwrap();
        assert_eq!(turns.into_inner().iter().collect::<String>(), "abababab");
        let baseline = measured.baseline.unwrap();
        assert_eq!((measured.ours, baseline.value, baseline.ratio), (3.0, 2.0, 1.5));
    }
}
