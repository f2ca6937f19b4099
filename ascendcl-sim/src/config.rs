//! Configuration: a builder for Rust programs, environment variables for programs that only load the library.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;

use crate::check::fault::Fault;
use crate::check::report::{ReportKind, Reporting};
use crate::profile::Profile;

/// Peer access is kept in one machine word.
const MOST_DEVICES: usize = 64;

/// The variables that [`Config::from_env`] reads, besides that of the runtime itself.
const VARIABLES: &[&str] = &[
    "ASCENDCL_SIM_DEVICES",
    "ASCENDCL_SIM_FAULTS",
    "ASCENDCL_SIM_HOST_ACCESS",
    "ASCENDCL_SIM_LEAKS",
    "ASCENDCL_SIM_MEMORY",
    "ASCENDCL_SIM_MISUSE",
    "ASCENDCL_SIM_PEER_ACCESS",
    "ASCENDCL_SIM_PROFILE",
    "ASCENDCL_SIM_RACES",
    "ASCENDCL_SIM_REPORT",
    "ASCENDCL_SIM_SEED",
    "ASCENDCL_SIM_STRICT",
    "ASCENDCL_SIM_TRACE",
];

/// The simulated machine. Without [`configure`](crate::configure) it is made of [`Config::from_env`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Config {
    profile: Profile,
    devices: Option<usize>,
    memory: Option<usize>,
    host_access: bool,
    no_peer_access: bool,
    leaks: Option<Reporting>,
    misuse: Option<Reporting>,
    races: Option<Reporting>,
    report_file: Option<PathBuf>,
    strict: bool,
    trace: Option<PathBuf>,
    seed: Option<u64>,
    visible: Option<String>,
    faults: Vec<Fault>,
    count_calls: bool,
}

/// A configuration that makes no sense, or came too late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for ConfigError {}

impl Config {
    /// An Atlas 300I, whatever the environment says.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the environment says: `ASCENDCL_SIM_*` and `ASCEND_RT_VISIBLE_DEVICES`, see the crate's documentation.
    pub fn from_env() -> Result<Self, ConfigError> {
        let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
        check_names(names)?;
        Self::from_variables(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        // An empty variable is as good as none.
        let variable = |name: &str| {
            variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let mut config = Self::new();
        if let Some(name) = variable("ASCENDCL_SIM_PROFILE") {
            config.profile = Profile::by_name(&name).ok_or_else(|| {
                ConfigError(format!(
                    "ASCENDCL_SIM_PROFILE={name} is no profile: use one of {}",
                    Profile::NAMES.join(", ")
                ))
            })?;
        }
        if let Some(text) = variable("ASCENDCL_SIM_DEVICES") {
            let count =
                text.parse().map_err(|_| ConfigError(format!("ASCENDCL_SIM_DEVICES={text} is no number")))?;
            config.devices = Some(count);
        }
        if let Some(text) = variable("ASCENDCL_SIM_MEMORY") {
            let bytes = parse_size(&text).ok_or_else(|| {
                ConfigError(format!(
                    "ASCENDCL_SIM_MEMORY={text} is no size: use bytes, or a number with K, M or G"
                ))
            })?;
            config.memory = Some(bytes);
        }
        let switch = |name: &str, default: bool| match variable(name).as_deref() {
            None => Ok(default),
            Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(other) => Err(ConfigError(format!("{name}={other} is neither 0 nor 1"))),
        };
        config.host_access = switch("ASCENDCL_SIM_HOST_ACCESS", false)?;
        config.no_peer_access = !switch("ASCENDCL_SIM_PEER_ACCESS", true)?;
        let reporting = |name: &str| match variable(name).as_deref() {
            None => Ok(None),
            Some("report" | "1") => Ok(Some(Reporting::Report)),
            Some("log") => Ok(Some(Reporting::Log)),
            Some("off" | "0") => Ok(Some(Reporting::Off)),
            Some(other) => Err(ConfigError(format!("{name}={other} is neither report nor log nor off"))),
        };
        config.leaks = reporting("ASCENDCL_SIM_LEAKS")?;
        config.misuse = reporting("ASCENDCL_SIM_MISUSE")?;
        config.races = reporting("ASCENDCL_SIM_RACES")?;
        config.report_file = variable("ASCENDCL_SIM_REPORT").map(path);
        config.seed = match variable("ASCENDCL_SIM_SEED").as_deref() {
            None => None,
            Some("random") => Some(random_seed()),
            Some(text) => Some(text.parse().map_err(|_| {
                ConfigError(format!(
                    "ASCENDCL_SIM_SEED={text} is neither a number from 0 to 2^64 - 1 nor random"
                ))
            })?),
        };
        config.trace = variable("ASCENDCL_SIM_TRACE").map(path);
        config.strict = switch("ASCENDCL_SIM_STRICT", false)?;
        config.visible = variable("ASCEND_RT_VISIBLE_DEVICES");
        for text in variable("ASCENDCL_SIM_FAULTS")
            .unwrap_or_default()
            .split(';')
            .filter(|text| !text.trim().is_empty())
        {
            let fault = text.parse().map_err(|error| ConfigError(format!("ASCENDCL_SIM_FAULTS: {error}")))?;
            config.faults.push(fault);
        }
        config.check()?;
        Ok(config)
    }

    /// Another chip.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Another number of devices than the profile's: 0 to 64.
    pub fn devices(mut self, count: usize) -> Self {
        self.devices = Some(count);
        self
    }

    /// Another size of each device's memory than the profile's, in bytes: 1 MiB to 1 TiB.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Lets the host read and write device memory at its device address, as on a card whose own processor runs the program.
    pub fn host_access(mut self, allow: bool) -> Self {
        self.host_access = allow;
        self
    }

    /// Whether devices can be given access to each other's memory. They can by default.
    pub fn peer_access(mut self, allow: bool) -> Self {
        self.no_peer_access = !allow;
        self
    }

    /// What to do with objects that are alive when ACL is finalised. The default is [`Reporting::Log`]; with [`Reporting::Report`] they
    /// are reported when the process exits, too.
    pub fn leaks(mut self, reporting: Reporting) -> Self {
        self.leaks = Some(reporting);
        self
    }

    /// What to do with calls that go well here and would not on a card. The default is [`Reporting::Log`].
    pub fn misuse(mut self, reporting: Reporting) -> Self {
        self.misuse = Some(reporting);
        self
    }

    /// Looks for races: work that touches the same memory in no order that the program asked for. The default is [`Reporting::Off`].
    pub fn races(mut self, reporting: Reporting) -> Self {
        self.races = Some(reporting);
        self
    }

    /// Writes reports to the end of this file instead of standard error.
    pub fn report_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.report_file = Some(path.into());
        self
    }

    /// Writes a timeline of calls, tasks, waits and callbacks to this file, which Perfetto and `chrome://tracing` open.
    pub fn trace(mut self, path: impl Into<PathBuf>) -> Self {
        self.trace = Some(path.into());
        self
    }

    /// Repeatable runs: the seed fixes how the simulator schedules streams, and a virtual clock fixes all elapsed times. What remains to
    /// chance is how the program's own threads interleave. Reports name the seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Makes the first report abort the process. Leaks and misuse are then reported unless they are off.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Which devices the program sees, as in `ASCEND_RT_VISIBLE_DEVICES`: numbers in ascending order with commas between them. A wrong
    /// list is no configuration error: the functions that count devices answer 207004, as on a card.
    pub fn visible_devices(mut self, list: impl Into<String>) -> Self {
        self.visible = Some(list.into());
        self
    }

    /// Makes a function fail, see [`Fault`]. May be called several times.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Counts the calls of each function, for [`calls`](crate::calls).
    pub fn count_calls(mut self, count: bool) -> Self {
        self.count_calls = count;
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if let Some(count) = self.devices.filter(|&count| count > MOST_DEVICES) {
            return Err(ConfigError(format!("{count} devices are too many: {MOST_DEVICES} at most")));
        }
        if let Some(bytes) = self.memory.filter(|bytes| !(1 << 20..=1 << 40).contains(bytes)) {
            return Err(ConfigError(format!(
                "{bytes} bytes of device memory are not between 1 MiB and 1 TiB"
            )));
        }
        self.faults.iter().try_for_each(Fault::check)
    }

    pub(crate) fn settings(self) -> Settings {
        let devices = self.devices.unwrap_or(self.profile.devices);
        let memory = self.memory.unwrap_or(self.profile.memory);
        let visible = match &self.visible {
            Some(list) => parse_visible(list, devices),
            None => Ok((0..devices).collect()),
        };
        let usual = if self.strict { Reporting::Report } else { Reporting::Log };
        Settings {
            profile: self.profile,
            memory,
            host_access: self.host_access,
            peer_access: !self.no_peer_access,
            leaks: self.leaks.unwrap_or(usual),
            misuse: self.misuse.unwrap_or(usual),
            races: self.races.unwrap_or(Reporting::Off),
            report_file: self.report_file,
            strict: self.strict,
            trace: self.trace,
            seed: self.seed,
            visible,
            physical: devices,
            faults: self.faults,
            count_calls: self.count_calls,
            wait_seconds: AtomicU32::new(0),
        }
    }
}

/// A configuration with everything decided.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) profile: Profile,
    pub(crate) memory: usize,
    pub(crate) host_access: bool,
    pub(crate) peer_access: bool,
    pub(crate) leaks: Reporting,
    pub(crate) misuse: Reporting,
    pub(crate) races: Reporting,
    pub(crate) report_file: Option<PathBuf>,
    pub(crate) strict: bool,
    pub(crate) trace: Option<PathBuf>,
    pub(crate) seed: Option<u64>,
    /// How long a stream waits for an event if the call does not say; 0 is for ever. Programs change it.
    pub(crate) wait_seconds: AtomicU32,
    /// Physical numbers of the devices the program sees, or why it sees none.
    pub(crate) visible: Result<Vec<usize>, String>,
    /// Devices in the machine, visible or not.
    pub(crate) physical: usize,
    pub(crate) faults: Vec<Fault>,
    pub(crate) count_calls: bool,
}

impl Settings {
    pub(crate) fn reporting(&self, kind: ReportKind) -> Reporting {
        match kind {
            ReportKind::Race => self.races,
            ReportKind::Misuse => self.misuse,
            ReportKind::Leak => self.leaks,
        }
    }
}

/// A variable that nobody reads is a typing error, and whoever made it waits for reports that never come.
fn check_names(mut names: impl Iterator<Item = String>) -> Result<(), ConfigError> {
    let unknown = |name: &String| name.starts_with("ASCENDCL_SIM_") && !VARIABLES.contains(&name.as_str());
    match names.find(unknown) {
        None => Ok(()),
        Some(name) => Err(ConfigError(format!(
            "{name} is no variable of the simulator: there are {}",
            VARIABLES.join(", ")
        ))),
    }
}

/// A file's name, in which `%p` stands for the number of the process: programs that fork need one file for each.
fn path(text: String) -> PathBuf {
    text.replace("%p", &std::process::id().to_string()).into()
}

/// The name that differs least from a wrong one.
pub(crate) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names.min_by_key(|name| distance(wrong, name))
}

/// Letters to change, add or leave out to make one word of the other.
fn distance(from: &str, to: &str) -> usize {
    let to = to.as_bytes();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (at, other) in to.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

/// Another one each time, said so that the run can be repeated.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // Short enough to be typed.
    let seed = RandomState::new().hash_one(std::process::id()) % 1_000_000_000;
    eprintln!("ascendcl-sim: ASCENDCL_SIM_SEED={seed} repeats this run");
    seed
}

fn parse_size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(1 << shift)
}

/// The runtime's rules: in range, ascending.
fn parse_visible(list: &str, devices: usize) -> Result<Vec<usize>, String> {
    let mut visible: Vec<usize> = Vec::new();
    for part in list.split(',') {
        let id = part.trim().parse().ok().filter(|&id| id < devices);
        let id = id.ok_or_else(|| {
            format!("set ASCEND_RT_VISIBLE_DEVICES:{list} error, input data rang[0-{devices})")
        })?;
        if visible.last().is_some_and(|&last| last >= id) {
            return Err(format!(
                "set ASCEND_RT_VISIBLE_DEVICES:{list} error, input data must be configured in ascending order"
            ));
        }
        visible.push(id);
    }
    Ok(visible)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_variables(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
        })
    }

    #[test]
    fn the_environment_is_read() {
        assert_eq!(from(&[]), Ok(Config::new()));
        let config = from(&[
            ("ASCENDCL_SIM_PROFILE", "full"),
            ("ASCENDCL_SIM_DEVICES", "2"),
            ("ASCENDCL_SIM_MEMORY", "256M"),
            ("ASCENDCL_SIM_HOST_ACCESS", "1"),
            ("ASCENDCL_SIM_PEER_ACCESS", "0"),
            ("ASCENDCL_SIM_LEAKS", "report"),
            ("ASCEND_RT_VISIBLE_DEVICES", "1"),
        ]);
        let settings = config.unwrap().settings();
        assert_eq!(settings.profile, Profile::full());
        assert_eq!(settings.memory, 256 << 20);
        assert!(settings.host_access && !settings.peer_access);
        assert_eq!(settings.leaks, Reporting::Report);
        assert_eq!(settings.visible, Ok(vec![1]));
    }

    #[test]
    fn wrong_values_name_the_variable() {
        for (name, value) in [
            ("ASCENDCL_SIM_PROFILE", "ascend311"),
            ("ASCENDCL_SIM_DEVICES", "-1"),
            ("ASCENDCL_SIM_MEMORY", "8T"),
            ("ASCENDCL_SIM_MEMORY", "99999999999999999999"),
            ("ASCENDCL_SIM_HOST_ACCESS", "yes"),
            ("ASCENDCL_SIM_PEER_ACCESS", "2"),
            ("ASCENDCL_SIM_LEAKS", "on"),
        ] {
            let error = from(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name}={value} ")), "{error}");
        }
        assert!(from(&[("ASCENDCL_SIM_DEVICES", "65")]).is_err());
        assert!(from(&[("ASCENDCL_SIM_MEMORY", "1K")]).is_err());
    }

    #[test]
    fn names_are_known() {
        let check = |names: &[&str]| check_names(names.iter().map(|name| name.to_string()));
        assert_eq!(check(&["PATH", "ASCEND_HOME_PATH", "ASCENDCL_SIM_RACES"]), Ok(()));
        let error = check(&["ASCENDCL_SIM_RACE"]).unwrap_err().to_string();
        assert!(error.starts_with("ASCENDCL_SIM_RACE is no variable of the simulator: "), "{error}");
        assert!(error.contains(" ASCENDCL_SIM_RACES, "), "{error}");
        let error = from(&[("ASCENDCL_SIM_FAULTS", "aclrtMaloc=no-memory")]).unwrap_err().to_string();
        assert_eq!(error, "a fault is to be in aclrtMaloc, which is no function: did you mean aclrtMalloc?");
        let error = Config::new().fault("aclrtmalloc=1".parse().unwrap()).check().unwrap_err().to_string();
        assert!(error.contains("did you mean aclrtMalloc?"), "{error}");
    }

    #[test]
    fn every_variable_is_known() {
        let read = std::cell::RefCell::new(Vec::new());
        let look = |name: &str| {
            read.borrow_mut().push(name.to_owned());
            None
        };
        assert!(Config::from_variables(look).is_ok());
        let mut read = read.into_inner();
        read.retain(|name| name != "ASCEND_RT_VISIBLE_DEVICES");
        read.sort();
        assert_eq!(read, VARIABLES);
    }

    #[test]
    fn visible_devices_follow_the_rules_of_the_runtime() {
        assert_eq!(parse_visible("0, 2,3", 4), Ok(vec![0, 2, 3]));
        for list in ["4", "-1", "a", "0,,1", ","] {
            assert!(parse_visible(list, 4).unwrap_err().contains("input data rang[0-4)"), "{list}");
        }
        for list in ["1,0", "1,1"] {
            assert!(parse_visible(list, 4).unwrap_err().contains("ascending order"), "{list}");
        }
    }
}
