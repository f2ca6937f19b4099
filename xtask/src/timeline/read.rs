//! What is in the file, as rows. What the format demands and the file does not keep to is an error: bars have times and rows, those of a row are
//! inside one another or apart, and each row has a name.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Options;

/// Rows, and arrows between them. Times are milliseconds from the left edge.
pub struct Timeline {
    pub groups: Vec<(String, Vec<Row>)>,
    pub arrows: Vec<Arrow>,
    pub from: f64,
    pub to: f64,
}

pub struct Row {
    pub id: (u64, u64),
    pub name: String,
    pub bars: Vec<Bar>,
    pub instants: Vec<f64>,
}

pub struct Bar {
    pub name: String,
    pub start: f64,
    pub end: f64,
    /// How many bars it is inside of.
    pub depth: usize,
}

/// From a row, at a time, to another.
pub struct Arrow {
    pub from: ((u64, u64), f64),
    pub to: ((u64, u64), f64),
}

impl Row {
    pub fn depth(&self) -> usize {
        self.bars.iter().map(|bar| bar.depth + 1).max().unwrap_or(0)
    }
}

/// Clocks have nanoseconds; doubles of microseconds a little less.
const SLACK: f64 = 2e-6;

pub fn timeline(text: &str, options: &Options) -> Result<Timeline, String> {
    let events: Vec<Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut names: BTreeMap<(String, u64, u64), String> = BTreeMap::new();
    let mut bars: BTreeMap<(u64, u64), Vec<Bar>> = BTreeMap::new();
    let mut instants: BTreeMap<(u64, u64), Vec<f64>> = BTreeMap::new();
    let mut begins = BTreeMap::new();
    let mut arrows = Vec::new();
    let first = events
        .iter()
        .filter(|event| event["ph"] == "X")
        .filter_map(|event| event["ts"].as_f64())
        .fold(f64::INFINITY, f64::min);
    for event in &events {
        let demand = |field: &str| event[field].as_f64().ok_or(format!("no {field} in {event}"));
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or(format!("no name in {event}"));
        let row = (demand("pid")? as u64, demand("tid")? as u64);
        let at = |field| demand(field).map(|micros| (micros - first) / 1000.0);
        match event["ph"].as_str() {
            Some("M") => {
                if let Some(name) = event["args"]["name"].as_str() {
                    names.insert((text(&event["name"])?, row.0, row.1), name.to_owned());
                }
            }
            Some("X") => {
                let start = at("ts")?;
                let bar = Bar {
                    name: text(&event["name"])?,
                    start,
                    end: start + demand("dur")? / 1000.0,
                    depth: 0,
                };
                bars.entry(row).or_default().push(bar);
            }
            Some("i") => instants.entry(row).or_default().push(at("ts")?),
            Some("s") => {
                begins.insert((text(&event["name"])?, demand("id")? as u64), (row, at("ts")?));
            }
            Some("f") => {
                if let Some(&from) = begins.get(&(text(&event["name"])?, demand("id")? as u64)) {
                    arrows.push(Arrow { from, to: (row, at("ts")?) });
                }
            }
            other => return Err(format!("an event of kind {other:?}")),
        }
    }
    let name = |what: &str, row: (u64, u64)| {
        names.get(&(what.into(), row.0, row.1)).cloned().ok_or(format!("row {row:?} has no {what}"))
    };
    let to = options.to.unwrap_or_else(|| bars.values().flatten().map(|bar| bar.end).fold(0.0, f64::max));
    let shown = |bar: &Bar| bar.end > options.from && bar.start < to;
    let mut groups: Vec<(String, Vec<Row>)> = Vec::new();
    for (id, mut bars) in bars {
        nest(&mut bars).map_err(|error| format!("row {id:?}: {error}"))?;
        bars.retain(shown);
        leave_out(&mut bars, &options.without);
        if bars.is_empty() {
            continue;
        }
        let mut instants = instants.remove(&id).unwrap_or_default();
        instants.retain(|at| (options.from..to).contains(at));
        let row = Row { id, name: name("thread_name", id)?, bars, instants };
        let group = name("process_name", id)?;
        match groups.last_mut() {
            Some((last, rows)) if *last == group => rows.push(row),
            _ => groups.push((group, vec![row])),
        }
    }
    arrows.retain(|arrow| [arrow.from.1, arrow.to.1].iter().all(|at| (options.from..to).contains(at)));
    Ok(Timeline { groups, arrows, from: options.from, to })
}

/// Finds out which bars are inside which.
fn nest(bars: &mut [Bar]) -> Result<(), String> {
    bars.sort_by(|one, other| one.start.total_cmp(&other.start).then(other.end.total_cmp(&one.end)));
    let mut open: Vec<f64> = Vec::new();
    for bar in bars {
        while open.last().is_some_and(|end| *end <= bar.start + SLACK) {
            open.pop();
        }
        if open.last().is_some_and(|end| bar.end > end + SLACK) {
            return Err(format!("{} ends after what it began in", bar.name));
        }
        bar.depth = open.len();
        open.push(bar.end);
    }
    Ok(())
}

/// Leaves out bars, and what is in them; what remains keeps its depth.
fn leave_out(bars: &mut Vec<Bar>, names: &[String]) {
    let mut inside = None;
    bars.retain(|bar| {
        if inside.is_some_and(|depth| bar.depth > depth) {
            return false;
        }
        inside = names.contains(&bar.name).then_some(bar.depth);
        inside.is_none()
    });
}
