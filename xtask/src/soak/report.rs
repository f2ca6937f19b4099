//! What a soak says at its end, as Markdown.

use std::fmt::Write as _;

use super::{
    Options,
    judge::{Trend, Verdict, median, quarters},
    ledger::Ledger,
    sample::{MIB, Sample, Tracker},
};

pub fn markdown(
    profile: &str,
    options: &Options,
    tracker: &Tracker,
    before: &Sample,
    after: &Sample,
    ledger: &Ledger,
    verdict: &Verdict,
) -> String {
    let mut text = String::new();
    let seconds = tracker.samples.last().map_or(0.0, |sample| sample.at);
    let total = tracker.work();
    let (made, ran, dropped) = ledger.closures();
    let _ = writeln!(
        text,
        "{:.1} minutes on profile `{profile}` with {} threads, races {}, faults {}: {} operations, {:.0} each second. {} closures: {} ran, {} \
         were dropped unrun. {} things were wrong.\n",
        seconds / 60.0,
        options.threads,
        if options.races { "looked for" } else { "not looked for" },
        if options.faults { "on" } else { "off" },
        grouped(total),
        total as f64 / seconds.max(1e-3),
        grouped(made),
        grouped(ran),
        grouped(dropped),
        ledger.wrongs().0,
    );
    let (first, last) = quarters(&tracker.samples);
    let row = |text: &mut String, name: &str, unit: f64, value: fn(&Sample) -> f64, trend: &Trend| {
        let _ = writeln!(
            text,
            "| {name} | {:.1} | {:.1} | {:+.2} | {:.2} | {:.1} | {:.1} |",
            median(first, value) / unit,
            median(last, value) / unit,
            trend.hourly() / unit,
            trend.noise / unit,
            value(before) / unit,
            value(after) / unit,
        );
    };
    text += "| | first quarter | last quarter | in an hour | noise | idle before | idle after |\n|---|---|---|---|---|---|---|\n";
    row(&mut text, "resident memory, MiB", MIB, |sample| sample.resident, &verdict.resident);
    row(&mut text, "heap, MiB", MIB, |sample| sample.heap, &verdict.heap);
    row(&mut text, "threads", 1.0, |sample| sample.threads, &verdict.threads);
    row(&mut text, "open files", 1.0, |sample| sample.files, &verdict.files);
    row(&mut text, "live objects of ACL", 1.0, |sample| sample.handles, &verdict.handles);
    text += "\n\"In an hour\" extends the line through the last two thirds of the run; noise is how far the middle nine tenths of the values \
             lie apart around it; idle is with all handles gone.\n";
    text += "\n| operation | times |\n|---|---|\n";
    for (kind, count) in ledger.work() {
        let _ = writeln!(text, "| {kind} | {} |", grouped(count));
    }
    text += "\n| what went wrong as it should | times |\n|---|---|\n";
    for (error, count) in ledger.errors() {
        let _ = writeln!(text, "| {error} | {} |", grouped(count));
    }
    text += match verdict.is_good() {
        true => {
            "\nVerdict: good. Memory, threads and open files are flat, all data was right, nothing is left.\n"
        }
        false => "\nVerdict: **not good**.\n",
    };
    for reason in &verdict.reasons {
        let _ = writeln!(text, "- {reason}");
    }
    text
}

/// With a blank between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
