//! The picture: rows below each other, bars inside bars, arrows between them.

use std::{collections::BTreeMap, fmt::Write};

use super::read::{Bar, Timeline};

const WIDTH: f64 = 1400.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 12.0;
const AXIS: f64 = 30.0;
/// The height of a bar with the gap below it.
const STEP: f64 = 20.0;
const GROUP: f64 = 24.0;
const GAP: f64 = 9.0;
/// How wide a letter is, at most, on average.
const LETTER: f64 = 6.1;
/// Room beside a text.
const MARGIN: f64 = 4.0;

/// Fill and text.
const COLOURS: [(&str, &str); 10] = [
    ("#4e79a7", "#ffffff"),
    ("#76b7b2", "#0f2b29"),
    ("#f28e2b", "#2b1600"),
    ("#59a14f", "#ffffff"),
    ("#b07aa1", "#ffffff"),
    ("#edc948", "#332a00"),
    ("#9c755f", "#ffffff"),
    ("#8cd17d", "#10300a"),
    ("#a0cbe8", "#0d2a3d"),
    ("#e15759", "#ffffff"),
];

pub fn svg(timeline: &Timeline) -> String {
    let mut picture = Picture { timeline, body: String::new(), tops: BTreeMap::new() };
    let height = picture.rows();
    let arrows = picture.arrows();
    let axis = picture.axis(height);
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"Roboto, Helvetica, Arial, sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n{axis}{arrows}{}</svg>\n",
        picture.body
    );
    svg
}

struct Picture<'a> {
    timeline: &'a Timeline,
    body: String,
    /// Where each row begins.
    tops: BTreeMap<(u64, u64), f64>,
}

impl Picture<'_> {
    fn x(&self, at: f64) -> f64 {
        let share = (at - self.timeline.from) / (self.timeline.to - self.timeline.from);
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    /// Draws rows, and gives the height of it all.
    fn rows(&mut self) -> f64 {
        let mut y = AXIS;
        for (group, rows) in &self.timeline.groups {
            let _ = writeln!(
                self.body,
                "<rect x=\"0\" y=\"{y}\" width=\"{WIDTH}\" height=\"{GROUP}\" fill=\"#e8edf3\"/>\
                 <text x=\"8\" y=\"{}\" font-weight=\"bold\" fill=\"#26323f\">{}</text>",
                y + 16.0,
                escape(group)
            );
            y += GROUP + 4.0;
            for row in rows {
                self.tops.insert(row.id, y);
                let _ = writeln!(
                    self.body,
                    "<text x=\"8\" y=\"{}\" fill=\"#26323f\">{}</text>",
                    y + 13.0,
                    escape(&shorten(&row.name, LEFT - 16.0).unwrap_or_default())
                );
                for bar in &row.bars {
                    self.bar(bar, y);
                }
                for &at in &row.instants {
                    let x = self.x(at);
                    let _ = writeln!(
                        self.body,
                        "<path d=\"M{x:.1} {:.1} l3 5 h-6 z\" fill=\"#26323f\"/>",
                        y - 3.0
                    );
                }
                y += row.depth() as f64 * STEP + GAP;
                let _ = writeln!(
                    self.body,
                    "<path d=\"M0 {0:.1} H{WIDTH}\" stroke=\"#dde3ea\" stroke-width=\"1\"/>",
                    y - GAP / 2.0
                );
            }
        }
        y
    }

    fn bar(&mut self, bar: &Bar, top: f64) {
        let (left, right) = (self.x(bar.start), self.x(bar.end));
        // What is too short to see is a hair.
        let width = (right - left).max(0.7);
        let y = top + bar.depth as f64 * STEP;
        let (fill, ink) = colour(&bar.name);
        let _ = writeln!(
            self.body,
            "<rect x=\"{left:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" rx=\"1.5\" fill=\"{fill}\"><title>{}: {:.1} µs</title></rect>",
            STEP - 2.0,
            escape(&bar.name),
            (bar.end - bar.start) * 1000.0
        );
        if let Some(text) = shorten(&bar.name, width - 2.0 * MARGIN) {
            let _ = writeln!(
                self.body,
                "<text x=\"{:.1}\" y=\"{}\" fill=\"{ink}\">{}</text>",
                left + MARGIN,
                y + 13.0,
                escape(&text)
            );
        }
    }

    /// From the bottom of the innermost bar where they begin to the top of the one where they end.
    /// Below the bars, so that names can be read.
    fn arrows(&self) -> String {
        let mut arrows = String::new();
        for arrow in &self.timeline.arrows {
            let (Some(from), Some(to)) = (self.end(arrow.from), self.end(arrow.to)) else { continue };
            let middle = (from.1 + to.1) / 2.0;
            let _ = writeln!(
                arrows,
                "<path d=\"M{:.1} {:.1} C{:.1} {middle:.1} {:.1} {middle:.1} {:.1} {:.1}\" fill=\"none\" stroke=\"#c0392b\" \
                 stroke-width=\"0.9\" opacity=\"0.5\"/><circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\" fill=\"#c0392b\"/>",
                from.0, from.1, from.0, to.0, to.0, to.1, to.0, to.1
            );
        }
        arrows
    }

    /// Where an arrow begins or ends; nowhere if its row, or the bar, is not drawn.
    fn end(&self, (row, at): ((u64, u64), f64)) -> Option<(f64, f64)> {
        let top = *self.tops.get(&row)?;
        let bars = self.timeline.groups.iter().flat_map(|(_, rows)| rows).find(|other| other.id == row)?;
        let around = bars.bars.iter().filter(|bar| bar.start <= at && at <= bar.end);
        let depth = around.map(|bar| bar.depth).max()?;
        Some((self.x(at), top + depth as f64 * STEP + (STEP - 2.0) / 2.0))
    }

    /// Lines at round times.
    fn axis(&self, height: f64) -> String {
        let mut axis = String::new();
        let length = self.timeline.to - self.timeline.from;
        let step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0, 1000.0]
            .into_iter()
            .find(|step| length / step <= 12.0)
            .unwrap_or(length / 10.0);
        let mut number = 0;
        while f64::from(number) * step <= length {
            let after = f64::from(number) * step;
            let x = self.x(self.timeline.from + after);
            let unit =
                if step < 1.0 { format!("{:.0} µs", after * 1000.0) } else { format!("{after:.0} ms") };
            let anchor = if x + 40.0 > WIDTH { "end" } else { "middle" };
            let _ = writeln!(
                axis,
                "<path d=\"M{x:.1} {} V{height:.1}\" stroke=\"#edf0f4\"/>\
                 <text x=\"{x:.1}\" y=\"19\" text-anchor=\"{anchor}\" fill=\"#5b6875\">{unit}</text>",
                AXIS - 4.0
            );
            number += 1;
        }
        axis
    }
}

/// As much of a text as fits; nothing if that would say nothing.
fn shorten(text: &str, room: f64) -> Option<String> {
    let fits = (room / LETTER).max(0.0) as usize;
    if text.chars().count() <= fits {
        return Some(text.to_owned());
    }
    (fits >= 5).then(|| text.chars().take(fits - 1).chain(['…']).collect())
}

fn colour(name: &str) -> (&'static str, &'static str) {
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    COLOURS[(hash >> 8) as usize % COLOURS.len()]
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
