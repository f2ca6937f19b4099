//! Using the library, in a process of its own.

use std::{
    collections::BTreeSet,
    env,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use ascendcl_sys::STUB_STATUS;
use serde::Serialize;

use super::child::{Heard, Talker};
use super::environment::home_of;
use super::finding::Finding;
use super::functions::Functions;
use super::libraries::{Libraries, driver_library};
use super::probe::{MARK, Message, What};
use super::system::System;

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Trial {
    /// Everything that was tried worked: a callback came back from each device, and there is one.
    pub works: bool,
    /// The files that were loaded, the main one first.
    pub files: Vec<PathBuf>,
    /// Libraries beside it that do not load.
    pub skipped: Vec<String>,
    /// The version of the ACL interface.
    pub interface: Option<String>,
    /// The name of the chip.
    pub chip: Option<String>,
    /// How many devices it has.
    pub devices: Option<u32>,
    /// Memory of the devices: free, all.
    pub memory: Vec<(usize, usize)>,
    /// What was tried, in this order.
    pub steps: Vec<Step>,
    /// Functions that the library has and lacks.
    pub functions: Option<Functions>,
    /// How the process ended, if not well.
    pub ended: Option<String>,
    /// The end of what it wrote to standard error, if it did not end well.
    pub said: Option<String>,
    /// All libraries that it had loaded in the end.
    #[serde(skip)]
    mapped: Vec<PathBuf>,
}

/// Something that was tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// What.
    pub name: String,
    /// Whether it worked. `None` if it had no end.
    pub works: Option<bool>,
    /// How long it took.
    pub millis: Option<u64>,
    /// What ACL, the loader or the system said.
    pub error: Option<String>,
    /// The code of ACL.
    pub code: Option<i32>,
}

/// Tries it. Each step may take as long as `limit`.
pub(crate) fn run(what: What, system: &System, limit: Duration) -> Trial {
    let mut trial = Trial::default();
    let talker = env::current_exe().and_then(|program| {
        let mut command = Command::new(program);
        command.arg("--probe").arg(match what {
            What::Cann => "cann",
            What::Simulator => "simulator",
        });
        command.arg("--root").arg(system.root()).arg("--timeout").arg(limit.as_secs().to_string());
        Talker::start(&mut command)
    });
    let talker = match talker {
        Ok(talker) => talker,
        Err(error) => {
            trial.ended = Some(format!("cannot be started: {error}"));
            return trial;
        }
    };
    // The child gives up waiting for a callback by itself, and says so.
    let patience = limit + Duration::from_secs(1);
    let (mut last, mut finished, mut silent) = (Instant::now(), false, false);
    loop {
        match talker.hear(patience.saturating_sub(last.elapsed())) {
            Heard::Line(line) => {
                // What libraries write is no sign of progress.
                if let Some(message) =
                    line.strip_prefix(MARK).and_then(|line| serde_json::from_str(line).ok())
                {
                    last = Instant::now();
                    finished |= message == Message::End;
                    trial.hear(message);
                }
                if last.elapsed() < patience {
                    continue;
                }
                silent = true;
            }
            Heard::Silence => silent = true,
            Heard::End => {}
        }
        break;
    }
    let ended = talker.end(if silent { Duration::ZERO } else { limit });
    if silent {
        trial.ended = Some(match trial.steps.last().filter(|step| step.works.is_none()) {
            Some(step) => format!("did not get on within {} s: {}", limit.as_secs(), step.name),
            None => format!("did not get on within {} s", limit.as_secs()),
        });
    } else if !finished {
        // After a step that failed, that it ended is no news.
        let failed = trial.steps.iter().any(|step| step.works == Some(false));
        trial.ended = (!failed).then(|| ended.how.unwrap_or_else(|| "ended before all was done".into()));
    } else if trial.steps.iter().all(|step| step.works == Some(true)) {
        trial.ended = ended.how.map(|how| format!("{how}, when everything was done"));
    }
    let well = trial.steps.iter().all(|step| step.works == Some(true));
    trial.works =
        well && finished && trial.ended.is_none() && trial.devices.is_some_and(|devices| devices > 0);
    if !trial.works && !ended.said.is_empty() {
        trial.said = Some(ended.said);
    }
    trial
}

impl Trial {
    fn hear(&mut self, message: Message) {
        match message {
            Message::Begins { step } => self.steps.push(Step { name: step, ..Step::default() }),
            Message::Done { step, millis } => {
                if let Some(this) = self.steps.iter_mut().rev().find(|this| this.name == step) {
                    (this.works, this.millis) = (Some(true), Some(millis));
                }
            }
            Message::Failed { step, text, code } => {
                if let Some(this) = self.steps.iter_mut().rev().find(|this| this.name == step) {
                    (this.works, this.error, this.code) = (Some(false), Some(text), code);
                }
            }
            Message::Loaded { files, skipped, absent, mapped } => {
                self.functions = Some(Functions::without(&absent));
                (self.files, self.skipped, self.mapped) = (files, skipped, mapped);
            }
            Message::Version { interface, chip, devices } => {
                (self.interface, self.chip, self.devices) = (interface, chip, Some(devices));
            }
            Message::Device { id: _, free, total } => self.memory.push((free, total)),
            Message::End => {}
        }
    }

    /// Whether the library could at least be loaded.
    pub(crate) fn loaded(&self) -> bool {
        self.steps.iter().any(|step| step.name == "load" && step.works == Some(true))
    }

    pub(crate) fn findings(&self, system: &System, libraries: &Libraries) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(how) = &self.ended {
            findings.push(self.ended_badly(how));
        }
        for step in self.steps.iter().filter(|step| step.works == Some(false)) {
            findings.push(failure(step, system, libraries));
        }
        if self.devices == Some(0) {
            findings.push(
                Finding::problem("no-devices", "ACL has no devices")
                    .why("there is none, another container has it, or ASCEND_RT_VISIBLE_DEVICES leaves none")
                    .mend("see what npu-smi lists")
                    .command("npu-smi info"),
            );
        }
        if !self.skipped.is_empty() {
            findings.push(
                Finding::warning(
                    "parts-do-not-load",
                    format!("parts of CANN do not load: {}", self.skipped.join("; ")),
                )
                .why("their functions are missing; all others work")
                .mend("source set_env.sh, or install what is missing, if a program needs them"),
            );
        }
        // Which of its own parts it has loaded, the loader alone knows.
        let homes: BTreeSet<PathBuf> = self
            .mapped
            .iter()
            .filter(|path| {
                path.to_string_lossy().contains("Ascend") && !path.to_string_lossy().contains("/driver/")
            })
            .filter_map(|path| home_of(system, &system.name(path)))
            .collect();
        if homes.len() > 1 {
            let names: Vec<String> = homes.iter().map(|home| home.display().to_string()).collect();
            findings.push(
                Finding::problem(
                    "versions-mixed-in-memory",
                    format!("one process loads parts of {}", names.join(" and ")),
                )
                .why("LD_LIBRARY_PATH leads from one installation into the other")
                .mend("start a fresh shell, and source set_env.sh of one of them only"),
            );
        }
        if let Some(functions) = &self.functions {
            findings.extend(functions.findings());
        }
        findings
    }

    fn ended_badly(&self, how: &str) -> Finding {
        let step = self.steps.last().map_or("the start", |step| step.name.as_str());
        let said = match &self.said {
            Some(said) => format!("; it said: {said}"),
            None => String::new(),
        };
        if how.starts_with("did not get on") {
            Finding::problem("hangs", format!("a process that uses the library {how}"))
                .why(format!("the driver or a device does not answer{said}"))
                .mend("see whether npu-smi answers and shows the device as OK; if not, reset it, or restart the machine")
                .command("npu-smi info")
        } else {
            Finding::problem("crashes", format!("a process that uses the library {how}, at this step: {step}"))
                .why(format!("the library, or one that it needs, is damaged, or does not fit the driver{said}"))
                .mend("compare the versions of driver and toolkit in the release notes of CANN, and install both anew")
        }
    }
}

/// What a code or a text of a step means.
fn failure(step: &Step, system: &System, libraries: &Libraries) -> Finding {
    let text = step.error.clone().unwrap_or_default();
    // What is behind the first line is where the loader looked: that is told elsewhere.
    let short =
        if step.name == "load" { text.lines().next().unwrap_or_default().to_owned() } else { text.clone() };
    if step.code == Some(STUB_STATUS) {
        return libraries.stub_found();
    }
    if text.contains("libascend_hal.so") && step.name == "load" {
        return driver_library(system, "libascend_hal.so is not found");
    }
    let finding = |id: &'static str| Finding::problem(id, format!("{} failed", step.name)).why(short.clone());
    match (step.name.as_str(), step.code) {
        ("load", _) => finding("does-not-load")
            .mend("source set_env.sh of this CANN; what the loader names above is missing or does not fit"),
        (_, Some(207_004)) => finding("visible-devices-refused")
            .mend("correct ASCEND_RT_VISIBLE_DEVICES: ascending numbers of devices that are there")
            .command("unset ASCEND_RT_VISIBLE_DEVICES"),
        (_, Some(148_049)) => finding("no-operators")
            .mend("source set_env.sh, which sets ASCEND_OPP_PATH; install the operator package of the chip if it is missing"),
        (_, Some(507_033)) => finding("device-does-not-open").mend(
            "see whether npu-smi shows the device as OK, whether this user is in the driver's group, and whether another container has the device",
        )
        .command("npu-smi info"),
        ("init", _) => finding("init-fails")
            .mend("what ACL says stands above; more is in the log")
            .command("ASCEND_SLOG_PRINT_TO_STDOUT=1 ASCEND_GLOBAL_LOG_LEVEL=1 ascendcl-doctor"),
        (name, _) if name.starts_with("wait for the callback") => {
            finding("callback-does-not-return").mend("see whether npu-smi shows the device as OK").command("npu-smi info")
        }
        _ => finding("step-fails")
            .mend("what ACL says stands above; more is in the log")
            .command("ASCEND_SLOG_PRINT_TO_STDOUT=1 ASCEND_GLOBAL_LOG_LEVEL=1 ascendcl-doctor"),
    }
}
