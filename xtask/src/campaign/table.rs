//! The figures at the end: scenarios by kinds of faults, survived of tried.

use std::collections::BTreeMap;

use ascendcl_sim::FaultKind;

use super::case::Case;

/// The kinds, in the order of the columns.
const COLUMNS: [&str; 8] = ["error", "after", "memory", "reports", "stopped", "lost", "missing", "all"];

/// Survived and tried, by scenario and kind.
#[derive(Default)]
pub struct Table {
    rows: BTreeMap<&'static str, [(usize, usize); COLUMNS.len()]>,
}

fn column(case: &Case) -> usize {
    match case.fault.as_ref().map(|fault| fault.kind) {
        None | Some(FaultKind::Error(_)) => 0,
        Some(FaultKind::ErrorAfter(_)) => 1,
        Some(FaultKind::NoMemory) => 2,
        Some(FaultKind::StopStream) => 4,
        Some(FaultKind::LoseDevice) => 5,
        Some(FaultKind::MissingSymbol) => 6,
        Some(_) => 3,
    }
}

impl Table {
    pub fn add(&mut self, case: &Case, survived: bool) {
        let row = self.rows.entry(case.scenario.name).or_default();
        for at in [column(case), COLUMNS.len() - 1] {
            row[at].0 += usize::from(survived);
            row[at].1 += 1;
        }
    }

    pub fn tried(&self) -> usize {
        self.rows.values().map(|row| row[COLUMNS.len() - 1].1).sum()
    }

    pub fn scenarios(&self) -> usize {
        self.rows.len()
    }

    /// A table in Markdown, which a terminal shows as well as a page.
    pub fn text(&self) -> String {
        let cell = |&(survived, tried): &(usize, usize)| match tried {
            0 => "-".to_owned(),
            _ if survived == tried => tried.to_string(),
            _ => format!("{survived} of {tried}"),
        };
        let mut sums = [(0, 0); COLUMNS.len()];
        let mut lines: Vec<Vec<String>> = vec![];
        for (name, row) in &self.rows {
            lines.push([(*name).to_owned()].into_iter().chain(row.iter().map(cell)).collect());
            for (sum, cell) in sums.iter_mut().zip(row) {
                *sum = (sum.0 + cell.0, sum.1 + cell.1);
            }
        }
        lines.push(["all".to_owned()].into_iter().chain(sums.iter().map(cell)).collect());
        let head: Vec<String> = ["scenario"].iter().chain(&COLUMNS).map(|name| (*name).to_owned()).collect();
        let widths: Vec<usize> = (0..head.len())
            .map(|at| lines.iter().chain([&head]).map(|line| line[at].len()).max().unwrap_or(0))
            .collect();
        let show = |line: &Vec<String>| {
            let cells = line.iter().zip(&widths).enumerate().map(|(at, (cell, &width))| match at {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let rule: Vec<String> = widths
            .iter()
            .enumerate()
            .map(|(at, &width)| format!("{}{}", "-".repeat(width - 1), if at == 0 { "-" } else { ":" }))
            .collect();
        show(&head) + &show(&rule) + &lines.iter().map(show).collect::<String>()
    }
}
