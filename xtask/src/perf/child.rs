//! Each row, and each plot, is measured in a process of its own: what one leaves behind, or sets up, does not change the next.

use std::time::Duration;

use super::{
    measure::Effort,
    plot::{Plot, Series},
    row::{Baseline, Measured, Row},
};
use crate::{child, error::Error};

/// A process that takes longer hangs.
const KILLED_AFTER: Duration = Duration::from_secs(900);

/// How the lines begin that a process says its figures with.
const FIGURES: &str = "figures:";
const POINT: &str = "point:";

/// Measures a row in another process.
pub fn row(row: &Row, effort: Effort) -> Result<Measured, Error> {
    let text = process(row.name, row.environment, effort)?;
    figures_in(&text).ok_or_else(|| failed(row.name, "gave no figures", &text))
}

/// Measures what a plot shows in another process.
pub fn plot(plot: &Plot, effort: Effort) -> Result<Vec<Series>, Error> {
    let text = process(plot.name, plot.environment, effort)?;
    let mut series: Vec<Series> = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix(POINT)) {
        let (name, point) = parse_point(line).ok_or_else(|| failed(plot.name, "gave no point", line))?;
        match series.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push(point),
            None => series.push(Series { name: name.to_owned(), points: vec![point] }),
        }
    }
    if series.is_empty() { Err(failed(plot.name, "gave no points", &text)) } else { Ok(series) }
}

/// What the process of a row says.
pub fn tell_figures(measured: &Measured) {
    let numbers = match measured.baseline {
        Some(Baseline { value, ratio, quartiles: (low, high) }) => {
            format!("{} {value} {ratio} {low} {high}", measured.ours)
        }
        None => measured.ours.to_string(),
    };
    println!("{FIGURES}{numbers}\t{}", measured.note.replace('\n', " "));
}

/// What the process of a plot says.
pub fn tell_points(series: &[Series]) {
    for Series { name, points } in series {
        points.iter().for_each(|(x, y)| println!("{POINT}{x} {y}\t{name}"));
    }
}

/// The figures that such a process has said.
pub fn figures_in(text: &str) -> Option<Measured> {
    text.lines().find_map(|line| line.strip_prefix(FIGURES)).and_then(parse_figures)
}

fn parse_figures(line: &str) -> Option<Measured> {
    let (numbers, note) = line.split_once('\t')?;
    let numbers: Vec<f64> = numbers.split(' ').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    let (ours, baseline) = match numbers[..] {
        [ours] => (ours, None),
        [ours, value, ratio, low, high] => (ours, Some(Baseline { value, ratio, quartiles: (low, high) })),
        _ => return None,
    };
    Some(Measured { ours, baseline, note: note.to_owned() })
}

fn parse_point(line: &str) -> Option<(&str, (f64, f64))> {
    let (point, name) = line.split_once('\t')?;
    let (x, y) = point.split_once(' ')?;
    Some((name, (x.parse().ok()?, y.parse().ok()?)))
}

fn failed(name: &str, how: &str, text: &str) -> Error {
    Error::new(format!("{name} {how}: {}", text.trim()))
}

fn process(name: &str, environment: &[(&str, &str)], effort: Effort) -> Result<String, Error> {
    let mut arguments = vec!["perf", "--child", name];
    if effort == Effort::Quick {
        arguments.push("--quick");
    }
    let environment = [&[("ASCENDCL_BACKEND", "sim")], environment].concat();
    let ended = child::run(&arguments, &environment, KILLED_AFTER)?;
    match ended.status {
        Some(status) if status.success() => Ok(ended.output),
        Some(status) => Err(failed(name, &format!("ended with {status}"), &ended.errors)),
        None => Err(failed(name, "hangs, and was killed", &ended.errors)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_points_survive_the_way() {
        let told = parse_figures("1.5 3 0.5 0.4 0.6\tten rounds").unwrap();
        let baseline = Baseline { value: 3.0, ratio: 0.5, quartiles: (0.4, 0.6) };
        assert_eq!(told, Measured { ours: 1.5, baseline: Some(baseline), note: "ten rounds".into() });
        assert_eq!(parse_figures("2\t"), Some(Measured::alone(2.0)));
        assert_eq!(parse_figures("2 3\t"), None);
        assert_eq!(parse_point("1 2.5\ta series"), Some(("a series", (1.0, 2.5))));
    }
}
