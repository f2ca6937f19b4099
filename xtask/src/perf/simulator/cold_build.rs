//! Building the main example from nothing.

use std::{env, fs, path::Path, process::Command, time::Instant};

use crate::{
    error::Error,
    perf::{
        measure::Effort,
        row::{Limit, Measured, Row, Target},
    },
    workspace,
};

/// Quick runs leave it out.
pub const NAME: &str = "cold-build";

pub fn row() -> Row {
    Row {
        name: NAME,
        title: "`cargo build --release --example classify` into an empty folder, packages downloaded before",
        target: Target::Ours(Limit::AtMost(120.0)),
        run: measure,
        ..Row::PLAIN
    }
}

fn measure(_: Effort) -> Result<Measured, Error> {
    let folder = workspace::cache().join("cold-build");
    let remove = || match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", &folder, error))
        }
        _ => Ok(()),
    };
    remove()?;
    cargo(&folder, &["fetch", "--locked", "--quiet"])?;
    let start = Instant::now();
    cargo(&folder, &["build", "--release", "--locked", "--quiet", "--example", "classify", "--timings"])?;
    let seconds = start.elapsed().as_secs_f64();
    let report = folder.join("cargo-timings/cargo-timing.html");
    let report = fs::read_to_string(&report).map_err(|error| Error::io("read", &report, error))?;
    let note = shares(&report).ok_or_else(|| Error::new("cargo's report of times has another form"))?;
    remove()?;
    Ok(Measured::alone(seconds).noted(note))
}

fn cargo(target: &Path, arguments: &[&str]) -> Result<(), Error> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(workspace::root())
        .env("CARGO_TARGET_DIR", target)
        .args(arguments)
        .status()
        .map_err(|error| Error::new(format!("cannot start cargo: {error}")))?;
    if status.success() { Ok(()) } else { Err(Error::new(format!("cargo {} failed", arguments.join(" ")))) }
}

/// What each package has of the time that compilers worked, from cargo's report: its units, one object each.
fn shares(report: &str) -> Option<String> {
    let units = report.split_once("UNIT_DATA = [")?.1.split_once("];")?.0;
    let mut packages: Vec<(&str, f64)> = Vec::new();
    for unit in units.split("\"name\":").skip(1) {
        let name = unit.split('"').nth(1)?;
        let time = unit.split_once("\"duration\":")?.1.trim_start();
        let time: f64 = time[..time.find([',', '\n', '}'])?].trim().parse().ok()?;
        match packages.iter_mut().find(|(known, _)| *known == name) {
            Some(package) => package.1 += time,
            None => packages.push((name, time)),
        }
    }
    let all: f64 = packages.iter().map(|package| package.1).sum();
    packages.sort_by(|one, other| other.1.total_cmp(&one.1));
    let share = |(name, time): &(&str, f64)| format!("{name} {:.1} %", time / all * 100.0);
    (all > 0.0).then(|| {
        format!(
            "Shares of the {all:.0} s that compilers worked: {}",
            packages.iter().map(share).collect::<Vec<_>>().join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_from_the_report() {
        let report = r#"const UNIT_DATA = [
  { "i": 0, "name": "one", "version": "1.0", "duration": 1.5, "sections": null },
  { "i": 1, "name": "two", "version": "1.0", "duration": 6 },
  { "i": 2, "name": "one", "version": "1.0", "duration": 0.5 }
];"#;
        assert_eq!(
            shares(report).unwrap(),
            "Shares of the 8 s that compilers worked: two 75.0 %, one 25.0 %"
        );
        assert_eq!(shares("const UNIT_DATA = [];"), None);
        assert_eq!(shares("something else"), None);
    }
}
