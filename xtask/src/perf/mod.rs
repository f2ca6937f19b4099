//! The scoreboard: what the safe layer and the simulator cost, beside what else a program would use, measured side by side.

mod baseline;
mod child;
mod machine;
mod measure;
mod plot;
mod report;
mod row;
mod safe_layer;
mod simulator;

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use self::{
    measure::Effort,
    plot::{Plot, Series},
    report::Report,
    row::{Measured, Row},
};
use crate::error::Error;

/// What to measure, and how.
pub struct Options {
    /// Does everything run, and are the counts right? Times are not judged.
    pub quick: bool,
    /// Rows and plots by name; all of them if there is none.
    pub names: Vec<String>,
    /// The process of this row or plot.
    pub child: Option<String>,
}

/// The rows, in the order of the page.
fn rows() -> Vec<Row> {
    let mut rows = safe_layer::rows();
    rows.extend(simulator::rows());
    rows
}

/// The plots, in the order of the page.
fn plots() -> Vec<Plot> {
    simulator::plots()
}

/// Measures. False when a target is missed. A full run of everything writes the page.
pub fn run(options: &Options) -> Result<bool, Error> {
    let effort = if options.quick { Effort::Quick } else { Effort::Full };
    let (mut rows, mut plots) = (rows(), plots());
    if let Some(name) = &options.child {
        return measure(name, &rows, &plots, effort).map(|()| true);
    }
    let everything = options.names.is_empty();
    if !everything {
        check_names(&options.names, &rows, &plots)?;
        let wanted = |name: &str| options.names.iter().any(|wanted| wanted == name);
        rows.retain(|row| wanted(row.name));
        plots.retain(|plot| wanted(plot.name));
    }
    if everything && options.quick {
        // They take long, and tell nothing that can be judged.
        rows.retain(|row| row.name != simulator::cold_build::NAME && !safe_layer::instructions::is_one(row));
    }
    let bar = ProgressBar::new((rows.len() + plots.len()) as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} {elapsed_precise} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut report = Report::new(effort == Effort::Full);
    println!("{}", report::head());
    for row in &rows {
        bar.set_message(row.name);
        let measured = child::row(row, effort);
        bar.suspend(|| report.add(row, measured));
        bar.inc(1);
    }
    let mut drawn: Vec<(&Plot, Vec<Series>)> = Vec::new();
    for plot in &plots {
        bar.set_message(plot.name);
        match child::plot(plot, effort) {
            Ok(series) => drawn.push((plot, series)),
            Err(error) => bar.suspend(|| report.fail(plot.name, &error)),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let record = everything && !options.quick && report.is_complete();
    for (plot, series) in &drawn {
        let path = report::picture(plot, record)?;
        plot.draw(&path, series)?;
        println!("{}: {}", plot.name, path.display());
    }
    if record {
        report.write(&plots)?;
    } else if everything && !options.quick {
        println!("not everything was measured: the page stays as it is");
    }
    report.tell()
}

/// What the process of a row or a plot does.
fn measure(name: &str, rows: &[Row], plots: &[Plot], effort: Effort) -> Result<(), Error> {
    if let Some(row) = rows.iter().find(|row| row.name == name) {
        let measured: Measured = (row.run)(effort)?;
        child::tell_figures(&measured);
        return Ok(());
    }
    let plot = plots.iter().find(|plot| plot.name == name);
    let plot = plot.ok_or_else(|| Error::new(format!("there is no row `{name}`")))?;
    child::tell_points(&(plot.run)(effort)?);
    Ok(())
}

fn check_names(names: &[String], rows: &[Row], plots: &[Plot]) -> Result<(), Error> {
    let known = || rows.iter().map(|row| row.name).chain(plots.iter().map(|plot| plot.name));
    match names.iter().find(|name| !known().any(|known| known == name.as_str())) {
        None => Ok(()),
        Some(unknown) => Err(Error::new(format!(
            "there is no row or plot `{unknown}`; there are: {}",
            known().collect::<Vec<_>>().join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_names() {
        let (rows, plots) = (rows(), plots());
        let names: Vec<&str> =
            rows.iter().map(|row| row.name).chain(plots.iter().map(|plot| plot.name)).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "each name is given once");
        for name in names {
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
                "{name}"
            );
        }
    }

    #[test]
    fn who_asks_for_a_row_that_is_not_there_hears_which_are() {
        let error = check_names(&["evnts".into()], &rows(), &plots()).unwrap_err().to_string();
        assert!(error.contains("`evnts`") && error.contains("events,"), "{error}");
    }
}
