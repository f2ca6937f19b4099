//! A diagnosis as text: what is there, and then what is wrong with it.

use std::fmt::{self, Write as _};

use super::Diagnosis;
use super::finding::{Finding, Severity};
use super::trial::{Step, Trial};
use crate::text::{plain, size};

/// The whole text.
pub(super) fn text(diagnosis: &Diagnosis) -> String {
    let mut page = Page(String::new());
    // Writing to a string does not fail.
    let _ = page.all(diagnosis);
    page.0
}

struct Page(String);

impl Page {
    fn row(&mut self, name: &str, value: impl fmt::Display) -> fmt::Result {
        writeln!(self.0, "  {name:<14} {}", plain(&value.to_string()))
    }

    fn all(&mut self, diagnosis: &Diagnosis) -> fmt::Result {
        self.system(diagnosis)?;
        self.environment(diagnosis)?;
        self.libraries(diagnosis)?;
        self.devices(diagnosis)?;
        if let Some(trial) = &diagnosis.trial {
            self.trial("the library in use", trial)?;
        }
        if let Some(trial) = &diagnosis.simulator {
            self.trial("the simulator in use", trial)?;
        }
        self.findings(diagnosis)
    }

    fn system(&mut self, diagnosis: &Diagnosis) -> fmt::Result {
        writeln!(self.0, "system")?;
        if diagnosis.root.as_os_str() != "/" {
            self.row("root", diagnosis.root.display())?;
        }
        self.row("machine", &diagnosis.machine)?;
        self.row("container", diagnosis.container.unwrap_or("no"))?;
        let user = &diagnosis.user;
        let name = user.name.clone().unwrap_or_else(|| user.uid.to_string());
        self.row("user", format!("{name}, groups: {}", user.groups.join(" ")))
    }

    fn environment(&mut self, diagnosis: &Diagnosis) -> fmt::Result {
        let told = |name: &&String| *name != "PATH";
        if !diagnosis.environment.keys().any(|name| told(&name)) {
            return writeln!(self.0, "environment: none of the variables of CANN or of ascendcl is set");
        }
        writeln!(self.0, "environment")?;
        for (name, value) in diagnosis.environment.iter().filter(|(name, _)| told(name)) {
            writeln!(self.0, "  {}={}", plain(name), plain(value))?;
        }
        Ok(())
    }

    fn libraries(&mut self, diagnosis: &Diagnosis) -> fmt::Result {
        writeln!(self.0, "libraries")?;
        let libraries = &diagnosis.libraries;
        for tried in &libraries.tried {
            let line = format!("{} ({}): {}", tried.path.display(), tried.origin, tried.there);
            writeln!(self.0, "  {}", plain(&line))?;
        }
        let names = |there: bool| -> Vec<&str> {
            libraries.beside.iter().filter(|(_, is)| **is == there).map(|(name, _)| *name).collect()
        };
        if !libraries.beside.is_empty() {
            self.row(
                "beside it",
                if names(true).is_empty() { "nothing".into() } else { names(true).join(" ") },
            )?;
            if !names(false).is_empty() {
                self.row("not there", names(false).join(" "))?;
            }
        }
        for home in &libraries.installations {
            self.row("installed", home.display())?;
        }
        for version in &diagnosis.versions {
            self.row(version.of, format!("{} ({})", version.version, version.file.display()))?;
        }
        Ok(())
    }

    fn devices(&mut self, diagnosis: &Diagnosis) -> fmt::Result {
        writeln!(self.0, "devices")?;
        let devices = &diagnosis.devices;
        for card in &devices.cards {
            self.row("on the bus", format!("{} at {}", card.chip, card.address))?;
        }
        for node in &devices.nodes {
            let state = match (&node.mode, &node.owner) {
                (Some(mode), Some((owner, group))) => {
                    let usable = if node.usable { "usable" } else { "not for this user" };
                    format!("{mode} {owner}:{group}, {usable}")
                }
                _ => "not there".to_owned(),
            };
            writeln!(self.0, "  {:<21} {}", plain(&node.path), plain(&state))?;
        }
        match &devices.npu_smi {
            None => self.row("npu-smi", "not there"),
            Some(npu_smi) => {
                let answers = match npu_smi.answers {
                    Some(true) => "answers",
                    Some(false) => "fails",
                    None => "was not run",
                };
                self.row("npu-smi", format!("{}, {answers}", npu_smi.path.display()))
            }
        }
    }

    fn trial(&mut self, title: &str, trial: &Trial) -> fmt::Result {
        writeln!(self.0, "{title}")?;
        for file in &trial.files {
            self.row("loaded", file.display())?;
        }
        if let Some(interface) = &trial.interface {
            self.row("ACL", interface)?;
        }
        if let Some(devices) = trial.devices {
            let chip = trial.chip.as_deref().unwrap_or("no name");
            let memory = trial.memory.first().map(|(_, total)| format!(", {} each", size(*total as u64)));
            self.row("devices", format!("{devices}, {chip}{}", memory.unwrap_or_default()))?;
        }
        if let Some(functions) = &trial.functions {
            let all = functions.present + functions.absent;
            self.row("functions", format!("{} of {all}", functions.present))?;
        }
        let mut steps = trial.steps.as_slice();
        while let Some((step, rest)) = steps.split_first() {
            // What belongs to one device is one line, if all of it went well.
            let device = step.name.strip_prefix("open device ");
            let here = |step: &&Step| device.is_some_and(|id| step.name.ends_with(&format!(" device {id}")));
            let all = steps.iter().take_while(here).count();
            if all > 1 && steps[..all].iter().all(|step| step.works == Some(true)) {
                let millis: u64 = steps[..all].iter().filter_map(|step| step.millis).sum();
                let name = format!("device {}", device.unwrap_or_default());
                self.row(&name, format!("memory, context, stream, callback: ok, {millis} ms"))?;
                steps = &steps[all..];
                continue;
            }
            let state = match (step.works, step.millis) {
                (Some(true), Some(millis)) => format!("ok, {millis} ms"),
                (Some(true), None) => "ok".to_owned(),
                (Some(false), _) => "FAILED".to_owned(),
                (None, _) => "NO END".to_owned(),
            };
            self.row(&step.name, state)?;
            steps = rest;
        }
        Ok(())
    }

    fn findings(&mut self, diagnosis: &Diagnosis) -> fmt::Result {
        for finding in &diagnosis.findings {
            writeln!(self.0)?;
            self.finding(finding)?;
        }
        let count = |severity: Severity| diagnosis.findings.iter().filter(|f| f.severity == severity).count();
        let (problems, warnings) = (count(Severity::Problem), count(Severity::Warning));
        let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let verdict = match (problems, warnings) {
            (0, 0) => "All is well.".to_owned(),
            (0, warnings) => format!("It works, with {}.", many(warnings, "warning")),
            (problems, 0) => format!("{}.", many(problems, "problem")),
            (problems, warnings) => format!("{}, {}.", many(problems, "problem"), many(warnings, "warning")),
        };
        writeln!(self.0, "\n{verdict}")
    }

    fn finding(&mut self, finding: &Finding) -> fmt::Result {
        let severity = match finding.severity {
            Severity::Problem => "PROBLEM",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        writeln!(self.0, "{severity}: {}", lines(&finding.what))?;
        if !finding.why.is_empty() {
            writeln!(self.0, "  why:  {}", lines(&finding.why))?;
        }
        if let Some(mend) = &finding.mend {
            writeln!(self.0, "  mend: {}", lines(mend))?;
        }
        if let Some(command) = &finding.command {
            writeln!(self.0, "        $ {}", plain(command))?;
        }
        Ok(())
    }
}

/// Texts of ACL have several lines.
fn lines(text: &str) -> String {
    let lines: Vec<String> =
        text.lines().map(|line| plain(line.trim_end())).filter(|line| !line.is_empty()).collect();
    lines.join("\n        ")
}
