//! How many instructions the safe layer adds to an operation: the loops of the rows that measure time, counted by callgrind, ours minus C's. What is
//! executed inside of ACL's functions counts on neither side.

use std::{collections::BTreeMap, env, fs, process::Command};

use crate::{
    error::Error,
    perf::{
        child,
        measure::{COUNTED, COUNTED_FUNCTION, Effort, Side},
        row::{Measured, Row, Unit},
    },
    workspace,
};

const BASELINE: &str = "";

pub fn rows() -> Vec<Row> {
    let row =
        |name, title, run| Row { name, title, baseline: BASELINE, unit: Unit::Count, run, ..Row::PLAIN };
    vec![
        row(
            "instructions-events",
            "instructions that the safe layer adds to a record, a wait and a reset",
            |_: Effort| count("events"),
        ),
        row("instructions-upload", "instructions that it adds to an upload, memory and all", |_| {
            count("upload")
        }),
        row("instructions-execute", "instructions that it adds to an execution, submitted", |_| {
            count("execute")
        }),
        row("instructions-copy", "instructions that it adds to a blocking copy", |_| count("copy")),
        row(
            "instructions-callback",
            "instructions that it adds to the launch of a callback, on the thread that launches",
            |_| count("callbacks"),
        ),
    ]
}

/// Whether the row is one of these: they take long, and need a tool.
pub fn is_one(row: &Row) -> bool {
    row.name.starts_with("instructions-")
}

/// Counts both sides of a row.
fn count(row: &str) -> Result<Measured, Error> {
    let version = Command::new("valgrind").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        return Ok(Measured::skipped("valgrind is not installed: `apt-get install valgrind`"));
    }
    let (ours, theirs) = (count_side(row, Side::Ours)?, count_side(row, Side::Baseline)?);
    Ok(Measured::alone(ours - theirs)
        .noted(format!("{ours:.0} with it, {theirs:.0} in C, besides those of ACL's functions")))
}

/// Instructions per piece of work, of the thread that does it.
fn count_side(row: &str, side: Side) -> Result<f64, Error> {
    let failed = |what: String| Error::new(format!("callgrind of `{row}`: {what}"));
    let program = env::current_exe().map_err(|error| failed(error.to_string()))?;
    let profile = env::temp_dir().join(format!("ascendcl-perf-{}-{row}-{}", std::process::id(), side.name()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(format!("--toggle-collect={COUNTED_FUNCTION}"))
        .arg(program)
        .args(["perf", "--quick", "--child", row])
        .env(COUNTED, side.name())
        .current_dir(workspace::root())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    let counted = fs::read_to_string(&profile).map_err(|error| failed(error.to_string()));
    let _ = fs::remove_file(&profile);
    let (figures, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(failed(told.into_owned()));
    }
    let pieces = child::figures_in(&figures).ok_or_else(|| failed("gave no figures".into()))?.ours;
    let outside = outside_of_acl(&counted?).ok_or_else(|| failed(format!("counted nothing: {told}")))?;
    Ok(outside / pieces)
}

/// What a profile of callgrind has counted outside of ACL's functions: everything, without what calls of them took.
///
/// In such a profile a line `fn=` begins what a function executed by itself, one line for each place with the count behind it. A call is told by the
/// lines `cfn=`, with the name, and `calls=`; the line behind that counts what the call took in all. A name stands where its number is used first.
fn outside_of_acl(profile: &str) -> Option<f64> {
    let mut names = BTreeMap::new();
    let mut name = |text: &str| -> String {
        let (number, name) = text.split_once(' ').unwrap_or((text, ""));
        if name.is_empty() {
            return names.get(number).cloned().unwrap_or_default();
        }
        names.insert(number.to_owned(), name.to_owned());
        name.to_owned()
    };
    let (mut caller, mut callee, mut is_call) = (String::new(), String::new(), false);
    let (mut all, mut inside) = (0.0, 0.0);
    for line in profile.lines() {
        if let Some(text) = line.strip_prefix("fn=") {
            caller = name(text);
        } else if let Some(text) = line.strip_prefix("cfn=") {
            callee = name(text);
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let count: f64 = line.rsplit(' ').next()?.parse().ok()?;
            if !is_call {
                all += count;
            } else if is_acl(&callee) && !is_library(&caller) {
                inside += count;
            }
            is_call = false;
        }
    }
    (all > 0.0).then_some(all - inside)
}

/// Whether it is a function of ACL's interface.
fn is_acl(function: &str) -> bool {
    function.starts_with("acl")
}

/// Whether it is a function of the simulator, which may call another one of the interface.
fn is_library(function: &str) -> bool {
    is_acl(function) || function.contains("ascendcl_sim::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_executed_inside_of_acl_does_not_count() {
        let profile = "\
            events: Ir\n\
            ob=(1) xtask\n\
            fl=(1) ???\n\
            fn=(1) xtask::measure\n\
            0 10\n\
            cfn=(2) ascendcl::Stream::record\n\
            calls=5 0\n\
            * 1200\n\
            \n\
            fn=(2)\n\
            0 100\n\
            +3 50\n\
            cfn=(3) aclrtRecordEvent\n\
            calls=5 0\n\
            * 1050\n\
            \n\
            fn=(3)\n\
            0 50\n\
            cfn=(4) aclrtQueryEvent\n\
            calls=1 0\n\
            * 1000\n\
            \n\
            fn=(4)\n\
            0 1000\n\
            \n\
            totals: 1210\n";
        assert_eq!(outside_of_acl(profile), Some(160.0));
        assert_eq!(outside_of_acl("events: Ir\ntotals: 0\n"), None);
        assert_eq!(outside_of_acl(""), None);
    }
}
