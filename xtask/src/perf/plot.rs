//! How costs grow, as pictures.

use std::{ops::Range, path::Path};

use plotters::{
    coord::{
        ranged1d::{DefaultFormatting, KeyPointHint},
        types::RangedCoordf64,
    },
    prelude::*,
};

use super::measure::Effort;
use crate::error::Error;

/// A picture of something that grows.
pub struct Plot {
    /// What to name on the command line, and the name of its file.
    pub name: &'static str,
    pub title: &'static str,
    pub x: Axis,
    pub y: Axis,
    /// Variables of the environment of its process, such as those of the simulator.
    pub environment: &'static [(&'static str, &'static str)],
    /// Measures, in a process of its own.
    pub run: fn(Effort) -> Result<Vec<Series>, Error>,
}

/// An axis with a logarithmic scale if what it shows spans several magnitudes.
#[derive(Clone, Copy)]
pub struct Axis {
    pub title: &'static str,
    pub logarithmic: bool,
}

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

const SIZE: (u32, u32) = (900, 480);
const COLORS: [RGBColor; 6] =
    [BLUE, RED, RGBColor(0, 128, 0), RGBColor(200, 110, 0), MAGENTA, RGBColor(90, 90, 90)];

impl Plot {
    /// Draws its lines into an SVG file.
    pub fn draw(&self, path: &Path, series: &[Series]) -> Result<(), Error> {
        self.chart(path, series)
            .map_err(|error| Error::new(format!("cannot draw {}: {error}", path.display())))
    }

    fn chart<'a>(&self, path: &'a Path, series: &[Series]) -> Result<(), Box<dyn std::error::Error + 'a>> {
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        // The scale is done here, so that one kind of chart does for all.
        let scaled = |(x, y): (f64, f64)| (self.x.scale(x), self.y.scale(y));
        let points = || series.iter().flat_map(|series| &series.points).map(|&point| scaled(point));
        let (xs, ys) =
            (self.x.range(points().map(|point| point.0)), self.y.range(points().map(|point| point.1)));
        let lines: Vec<Vec<_>> =
            series.iter().map(|series| series.points.iter().map(|&point| scaled(point)).collect()).collect();
        let corner = emptiest_corner(&lines, &xs, &ys);
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(80)
            .build_cartesian_2d(Marked::new(self.x, xs), Marked::new(self.y, ys))?;
        chart
            .configure_mesh()
            .x_desc(self.x.title)
            .y_desc(self.y.title)
            .x_label_formatter(&|&value| self.x.label(value))
            .y_label_formatter(&|&value| self.y.label(value))
            .light_line_style(WHITE)
            .draw()?;
        for (series, &color) in series.iter().zip(COLORS.iter().cycle()) {
            let points: Vec<_> = series.points.iter().map(|&point| scaled(point)).collect();
            chart.draw_series(points.iter().map(|&point| Circle::new(point, 3, color.filled())))?;
            chart
                .draw_series(LineSeries::new(points, color))?
                .label(&series.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color));
        }
        chart
            .configure_series_labels()
            .position(corner)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK)
            .draw()?;
        area.present()?;
        Ok(())
    }
}

/// Where the names of the lines cover least of them.
fn emptiest_corner(lines: &[Vec<(f64, f64)>], xs: &Range<f64>, ys: &Range<f64>) -> SeriesLabelPosition {
    use SeriesLabelPosition::{LowerLeft, LowerRight, UpperLeft, UpperRight};
    let share = |value: f64, range: &Range<f64>| (value - range.start) / (range.end - range.start);
    let mut passed = Vec::new();
    for line in lines {
        passed.extend(line.iter().copied());
        for ends in line.windows(2) {
            let ((x, y), (next_x, next_y)) = (ends[0], ends[1]);
            passed.extend((1..10).map(|part| {
                let part = f64::from(part) / 10.0;
                (x + (next_x - x) * part, y + (next_y - y) * part)
            }));
        }
    }
    // As large as the box of the names is, about.
    let (width, height) = (0.35, 0.06 + 0.05 * lines.len() as f64);
    let covered = |right: bool, upper: bool| {
        passed
            .iter()
            .filter(|&&(x, y)| {
                let (x, y) = (share(x, xs), share(y, ys));
                let beside = if right { x > 1.0 - width } else { x < width };
                beside && if upper { y > 1.0 - height } else { y < height }
            })
            .count()
    };
    let corners = [
        (UpperLeft, false, true),
        (UpperRight, true, true),
        (LowerRight, true, false),
        (LowerLeft, false, false),
    ];
    let least = corners.into_iter().min_by_key(|&(_, right, upper)| covered(right, upper));
    least.map_or(UpperLeft, |(corner, ..)| corner)
}

/// A range of an axis, marked where the axis says.
struct Marked {
    range: RangedCoordf64,
    marks: Vec<f64>,
}

impl Marked {
    fn new(axis: Axis, range: Range<f64>) -> Marked {
        Marked { marks: axis.marks(&range), range: range.into() }
    }
}

impl Ranged for Marked {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limits: (i32, i32)) -> i32 {
        self.range.map(value, limits)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.range()
    }
}

impl Axis {
    fn scale(self, value: f64) -> f64 {
        if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value }
    }

    fn range(self, values: impl Iterator<Item = f64>) -> Range<f64> {
        let (low, high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let margin = ((high - low) * 0.06).max(0.05);
        if self.logarithmic { low - margin..high + margin } else { low.min(0.0)..high * 1.1 + f64::EPSILON }
    }

    /// Where it is marked: at round figures.
    fn marks(self, range: &Range<f64>) -> Vec<f64> {
        if !self.logarithmic {
            return round_figures(range);
        }
        let decades = range.start.floor() as i32..=range.end.ceil() as i32;
        let figures = |digits: &[f64]| -> Vec<f64> {
            let figures = decades
                .clone()
                .flat_map(|decade| digits.iter().map(move |digit| digit * 10_f64.powi(decade)));
            figures.map(f64::log10).filter(|figure| range.contains(figure)).collect()
        };
        let enough = [&[1.0][..], &[1.0, 2.0, 5.0]].map(figures).into_iter().find(|marks| marks.len() > 3);
        enough.unwrap_or_else(|| {
            let values = 10_f64.powf(range.start)..10_f64.powf(range.end);
            round_figures(&values).into_iter().map(f64::log10).collect()
        })
    }

    fn label(self, value: f64) -> String {
        let value = if self.logarithmic { 10_f64.powf(value) } else { value };
        let (value, suffix) = match value {
            value if value >= 1e9 => (value / 1e9, "G"),
            value if value >= 1e6 => (value / 1e6, "M"),
            value if value >= 1e3 => (value / 1e3, "k"),
            value => (value, ""),
        };
        // What comes out of a logarithm is not quite round.
        format!("{}{suffix}", (value * 100.0).round() / 100.0)
    }
}

/// Some of one, two or five times a power of ten, as far apart.
fn round_figures(range: &Range<f64>) -> Vec<f64> {
    let least = (range.end - range.start) / 7.0;
    let power = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|&step| step >= least);
    let step = step.unwrap_or(10.0 * power);
    let steps = (range.start / step).ceil() as i64..=(range.end / step).floor() as i64;
    steps.map(|number| number as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_marked_at_round_figures() {
        let labels = |logarithmic, low: f64, high: f64| {
            let axis = Axis { title: "", logarithmic };
            let range = axis.scale(low)..axis.scale(high);
            let labels = axis.marks(&range).into_iter().map(|mark| axis.label(mark));
            labels.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(labels(false, 0.0, 4.4), "0 1 2 3 4");
        assert_eq!(labels(false, 0.0, 1.1e6), "0 200k 400k 600k 800k 1M");
        assert_eq!(labels(true, 900.0, 3e8), "1k 10k 100k 1M 10M 100M");
        assert_eq!(labels(true, 0.9, 70.0), "1 2 5 10 20 50");
        assert_eq!(labels(true, 3.1e6, 6.4e6), "3.5M 4M 4.5M 5M 5.5M 6M");
    }

    #[test]
    fn names_stand_where_no_line_is() {
        let whole = 0.0..1.0;
        let (rising, falling) = (vec![(0.0, 0.0), (1.0, 1.0)], vec![(0.0, 1.0), (1.0, 0.0)]);
        let corner = |lines: &[Vec<(f64, f64)>]| emptiest_corner(lines, &whole, &whole);
        assert!(matches!(corner(&[rising]), SeriesLabelPosition::UpperLeft));
        assert!(matches!(corner(std::slice::from_ref(&falling)), SeriesLabelPosition::UpperRight));
        let top = vec![(0.0, 1.0), (1.0, 1.0)];
        assert!(matches!(corner(&[top, falling]), SeriesLabelPosition::LowerLeft));
    }
}
