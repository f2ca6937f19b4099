//! Memory and work over time, as a picture.

use std::path::Path;

use plotters::prelude::*;

use super::sample::{MIB, Sample};
use crate::error::Error;

const SIZE: (u32, u32) = (900, 560);

/// Draws two charts below each other: memory, and operations a second.
pub fn draw(path: &Path, samples: &[Sample]) -> Result<(), Error> {
    charts(path, samples).map_err(|error| Error::new(format!("cannot draw {}: {error}", path.display())))
}

fn charts<'a>(path: &'a Path, samples: &[Sample]) -> Result<(), Box<dyn std::error::Error + 'a>> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let halves = area.split_evenly((2, 1));
    let end = samples.last().map_or(1.0, |sample| sample.at) / 60.0;
    let minutes = |sample: &Sample| sample.at / 60.0;

    let most = samples.iter().map(|sample| sample.resident / MIB).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(&halves[0])
        .caption("memory", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..end, 0.0..most * 1.15)?;
    chart.configure_mesh().x_desc("minutes").y_desc("MiB").light_line_style(WHITE).draw()?;
    for (name, color, value) in [
        ("resident", BLUE, (|sample| sample.resident) as fn(&Sample) -> f64),
        ("heap", RED, |sample| sample.heap),
    ] {
        let line = samples.iter().map(|sample| (minutes(sample), value(sample) / MIB));
        chart
            .draw_series(LineSeries::new(line, color))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::MiddleRight)
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;

    // Five seconds at a time: single ones are noise.
    let ends: Vec<&Sample> = samples.iter().step_by(10).collect();
    let rates: Vec<(f64, f64)> = ends
        .windows(2)
        .map(|pair| (minutes(pair[1]), (pair[1].work - pair[0].work) as f64 / (pair[1].at - pair[0].at)))
        .collect();
    let most = rates.iter().map(|(_, rate)| *rate).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(&halves[1])
        .caption("operations a second", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..end, 0.0..most * 1.15)?;
    chart.configure_mesh().x_desc("minutes").light_line_style(WHITE).draw()?;
    chart.draw_series(LineSeries::new(rates, BLUE))?;
    area.present()?;
    Ok(())
}
