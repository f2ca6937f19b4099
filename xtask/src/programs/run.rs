//! Runs one program on one kind of chip.

use std::{
    fs::File,
    io::{Read, Seek},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::workspace;

/// Programs take a second or two; one that hangs must not hold up everything.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a program prints, by `check.h`, if the chip lacks what it is about.
const LACKING: &str = "not on this chip\n";

/// How a run ended.
pub enum Outcome {
    Passed,
    NotOnThisChip,
    /// With what it said.
    Failed(String),
}

/// What every program finds.
pub struct Surroundings<'a> {
    /// The installation.
    pub home: &'a Path,
    /// The folder with models.
    pub models: &'a Path,
}

pub fn one(binary: &Path, surroundings: &Surroundings<'_>, profile: &str) -> Outcome {
    match try_one(binary, surroundings, profile) {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Failed(format!("cannot run {}: {error}", binary.display())),
    }
}

fn try_one(binary: &Path, surroundings: &Surroundings<'_>, profile: &str) -> std::io::Result<Outcome> {
    let home = surroundings.home;
    // A file and no pipe: children of a program may outlive it, and nobody reads while it is waited for.
    let path = binary.with_extension(format!("{profile}.log"));
    let mut log = File::options().create(true).truncate(true).read(true).write(true).open(&path)?;
    let mut child = Command::new(binary)
        .current_dir(workspace::root())
        .env("LD_LIBRARY_PATH", home.join("lib64"))
        .env("ASCEND_HOME_PATH", home)
        .env("ASCENDCL_SIM_PROFILE", profile)
        .env("PROGRAMS_MODELS", surroundings.models)
        .env_remove("ASCEND_RT_VISIBLE_DEVICES")
        .env_remove("ASCENDCL_SIM_DEVICES")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .spawn()?;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if started.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    let mut said = Vec::new();
    log.rewind()?;
    log.read_to_end(&mut said)?;
    let said = String::from_utf8_lossy(&said);
    Ok(match status {
        Some(status) if status.success() && said.ends_with(LACKING) => Outcome::NotOnThisChip,
        Some(status) if status.success() => Outcome::Passed,
        Some(status) => Outcome::Failed(format!("{status}\n{said}")),
        None => Outcome::Failed(format!("it hangs\n{said}")),
    })
}
