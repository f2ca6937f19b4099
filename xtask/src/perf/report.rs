//! The table, as it is printed row by row, and as it is written into the page.

use std::{fs, path::PathBuf};

use super::{
    machine,
    plot::Plot,
    row::{Measured, Row},
};
use crate::{
    error::Error,
    page::{self, Page},
    workspace,
};

const PAGE: Page = Page("docs/performance.md");
const COLUMNS: [&str; 6] = ["row", "ours", "baseline", "ratio", "target", "ok"];
const WIDTHS: [usize; 6] = [28, 10, 10, 24, 9, 10];

/// What came of the rows so far.
pub struct Report {
    /// Whether times are judged.
    times: bool,
    /// Lines of the page: the cells, and what is said below.
    lines: Vec<(Vec<String>, String)>,
    /// How many rows have a target that was judged.
    judged: usize,
    missed: Vec<String>,
    skipped: Vec<String>,
    failed: Vec<String>,
}

/// The head of the table.
pub fn head() -> String {
    format!("{}\n{}", line(&COLUMNS.map(str::to_owned)), line(&WIDTHS.map(|width| "-".repeat(width))))
}

fn line(cells: &[String]) -> String {
    let padded = cells.iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:<width$}"));
    padded.collect::<Vec<_>>().join(" | ").trim_end().to_owned()
}

/// Where the picture of a plot goes: into the documentation, or where it is in nobody's way.
pub fn picture(plot: &Plot, record: bool) -> Result<PathBuf, Error> {
    let folder =
        if record { workspace::root().join("docs/performance") } else { workspace::cache().join("perf") };
    fs::create_dir_all(&folder).map_err(|error| Error::io("create", &folder, error))?;
    Ok(folder.join(plot.name).with_extension("svg"))
}

impl Report {
    pub fn new(times: bool) -> Report {
        Report {
            times,
            lines: Vec::new(),
            judged: 0,
            missed: Vec::new(),
            skipped: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// Prints a row, and keeps it.
    pub fn add(&mut self, row: &Row, measured: Result<Measured, Error>) {
        let measured = match measured {
            Ok(measured) => measured,
            Err(error) => return self.fail(row.name, &error),
        };
        let cells = row.cells(&measured, self.times);
        println!("{}", line(&cells));
        if measured.is_skipped() {
            println!("{}: {}", row.name, measured.note);
            self.skipped.push(row.name.to_owned());
        }
        let verdict = row.verdict(&measured, self.times);
        self.judged += usize::from(verdict.is_some());
        if verdict == Some(false) {
            self.missed.push(row.name.to_owned());
        }
        let mut below = format!("- `{}`: {}", row.name, row.title);
        if !row.baseline.is_empty() {
            below += &format!("; baseline: {}", row.baseline);
        }
        below += ".";
        if !measured.note.is_empty() {
            below += &format!(" {}.", measured.note.trim_end_matches('.'));
        }
        if let Some(remark) = row.remark {
            below += &format!(" {remark}");
        }
        self.lines.push((cells.to_vec(), below));
    }

    /// Prints that a row could not be measured.
    pub fn fail(&mut self, name: &str, error: &Error) {
        println!("{name}: {error}");
        self.failed.push(name.to_owned());
    }

    /// Whether everything was measured: only then it may take the place of what the page has.
    pub fn is_complete(&self) -> bool {
        self.skipped.is_empty() && self.failed.is_empty()
    }

    /// Writes the page.
    pub fn write(&self, plots: &[Plot]) -> Result<(), Error> {
        PAGE.record("table", &page::command(), &self.markdown())?;
        let pictures = plots.iter().map(|plot| format!("![{}](performance/{}.svg)\n", plot.title, plot.name));
        PAGE.write("plots", &pictures.collect::<Vec<_>>().join("\n"))
    }

    fn markdown(&self) -> String {
        let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = row(&COLUMNS.map(str::to_owned)) + &row(&COLUMNS.map(|_| "---".to_owned()));
        for (cells, _) in &self.lines {
            let mut cells = cells.clone();
            cells[0] = format!("`{}`", cells[0]);
            text += &row(&cells);
        }
        let below: Vec<&str> = self.lines.iter().map(|(_, below)| below.as_str()).collect();
        format!("{text}\n{}\n\n{}\n", below.join("\n"), machine::compilers())
    }

    /// The end of a run: which targets were missed. An error if something could not be measured.
    pub fn tell(&self) -> Result<bool, Error> {
        if !self.failed.is_empty() {
            return Err(Error::new(format!("not measured: {}", self.failed.join(", "))));
        }
        match (&self.missed[..], self.judged) {
            ([], 0) => println!("no target was judged"),
            ([], judged) => println!("reached: each of the {judged} targets that were judged"),
            (missed, judged) => println!("missed {} of {judged}: {}", missed.len(), missed.join(", ")),
        }
        Ok(self.missed.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_all_sections() {
        PAGE.check_sections(&["table", "plots"]);
    }
}
