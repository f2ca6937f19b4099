//! Random calls through the C ABI with random, stale and hostile arguments: nothing may crash, hang or leak.
//!
//! Each session runs in a process of its own, with a seed from which all its calls follow, so that one that fails can be run again.

mod session;
mod signature;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use ascendcl_sim::Profile;
use indicatif::{ProgressBar, ProgressStyle};

use crate::error::Error;
use crate::workspace;

/// What to do.
pub struct Options {
    pub calls: u64,
    pub seed: u64,
    pub profiles: Vec<String>,
    /// Run one session in this process and print each call.
    pub replay: bool,
    /// Run one session in this process.
    pub session: bool,
}

/// Calls of one session.
const SESSION: u64 = 20_000;

/// Runs sessions until all calls are made. False if one of them failed.
pub fn run(options: &Options) -> Result<bool, Error> {
    if options.session || options.replay {
        let name = options.profiles.first().map_or("full", String::as_str);
        let profile =
            Profile::by_name(name).ok_or_else(|| Error::new(format!("there is no profile {name}")))?;
        let (calls, functions, well) = session::run(
            signature::read()?,
            profile,
            options.seed,
            options.calls.min(SESSION),
            options.replay,
        )?;
        println!("{calls} {functions} {well}");
        return Ok(true);
    }
    let profiles: Vec<&str> = match &options.profiles[..] {
        [] => Profile::NAMES.to_vec(),
        chosen => chosen.iter().map(String::as_str).collect(),
    };
    let this =
        std::env::current_exe().map_err(|error| Error::new(format!("cannot find this program: {error}")))?;
    // Sessions write profiles and traces into the folder that they run in.
    let folder = workspace::cache().join("fuzz");
    fs::create_dir_all(&folder).map_err(|error| Error::io("create", &folder, error))?;
    let sessions = options.calls.div_ceil(SESSION);
    let bar = ProgressBar::new(sessions * SESSION);
    if let Ok(style) = ProgressStyle::with_template(
        "{bar:40} {human_pos} of {human_len} calls, {per_sec}, {eta} left  {msg}",
    ) {
        bar.set_style(style);
    }
    let began = Instant::now();
    let (mut made, mut well, mut functions) = (0u64, 0u64, 0u64);
    let mut failed: BTreeMap<String, String> = BTreeMap::new();
    for number in 0..sessions {
        let seed = options.seed + number;
        let profile = profiles[number as usize % profiles.len()];
        let output = Command::new(&this)
            .args(["fuzz-abi", "--session", "--profile", profile, "--seed", &seed.to_string()])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Error::new(format!("cannot start a session: {error}")))?;
        let numbers: Vec<u64> = String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        match numbers[..] {
            [calls, of, went_well] if output.status.success() => {
                (made, well, functions) = (made + calls, well + went_well, functions.max(of));
            }
            _ => {
                let text = String::from_utf8_lossy(&output.stderr);
                let last = text.lines().rfind(|line| !line.is_empty()).unwrap_or_default();
                let what = format!("{}: {last}", output.status);
                bar.println(format!("profile {profile}, seed {seed}: {what}"));
                failed.insert(format!("--profile {profile} --seed {seed}"), what);
            }
        }
        bar.inc(SESSION);
        bar.set_message(if failed.is_empty() { String::new() } else { format!("{} failed", failed.len()) });
    }
    bar.finish_and_clear();
    std::fs::remove_dir_all(&folder).map_err(|error| Error::io("remove", &folder, error))?;
    println!(
        "{made} calls of {functions} functions in {sessions} sessions on {}: {well} went well, {} sessions failed, {:.0} s",
        profiles.join(", "),
        failed.len(),
        began.elapsed().as_secs_f64()
    );
    for (session, what) in &failed {
        println!("{what}\n  cargo run --release -p xtask -- fuzz-abi --replay {session}");
    }
    Ok(failed.is_empty())
}
