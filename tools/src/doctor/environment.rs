//! The variables that decide what programs find.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::{Path, PathBuf},
};

use super::finding::Finding;
use super::libraries::{Libraries, installation, is_stub, set_env};
use super::system::{System, folders, variable};

/// What CANN and this crate read.
const NAMES: [&str; 11] = [
    "ASCEND_HOME_PATH",
    "ASCEND_TOOLKIT_HOME",
    "ASCEND_OPP_PATH",
    "ASCEND_AICPU_PATH",
    "ASCEND_RT_VISIBLE_DEVICES",
    "ASCEND_VISIBLE_DEVICES",
    "ASCEND_GLOBAL_LOG_LEVEL",
    "ASCEND_SLOG_PRINT_TO_STDOUT",
    "ASCEND_LAUNCH_BLOCKING",
    "LD_LIBRARY_PATH",
    "PATH",
];
/// The homes of a toolkit.
const HOMES: [&str; 2] = ["ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"];

/// Everything that is set of them.
pub(crate) fn variables() -> BTreeMap<String, String> {
    let named = env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let told = NAMES.contains(&name.as_str()) || name.starts_with("ASCENDCL_");
        told.then(|| (name, value.to_string_lossy().into_owned()))
    });
    named.collect()
}

pub(crate) fn findings(system: &System, libraries: &Libraries) -> Vec<Finding> {
    let mut findings = homes(system, libraries);
    findings.extend(own_variables(libraries));
    findings.extend(mixed(system, libraries));
    findings
}

fn homes(system: &System, libraries: &Libraries) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in HOMES.into_iter().chain(["ASCEND_OPP_PATH"]) {
        if let Some(value) = variable(name)
            && !system.is_folder(&value)
        {
            findings.push(
                Finding::problem("folder-missing", format!("{name} is {value}, which is no folder"))
                    .why("it was set for another installation, or that one was removed")
                    .mend("source set_env.sh of the CANN that is there, in a fresh shell"),
            );
        }
    }
    let Some(home) = libraries.home().filter(|_| !libraries.is_simulator) else { return findings };
    let unset: Vec<&str> = ["ASCEND_HOME_PATH", "ASCEND_OPP_PATH"]
        .into_iter()
        .filter(|&name| {
            variable(name).is_none()
                && !(name == "ASCEND_HOME_PATH" && variable("ASCEND_TOOLKIT_HOME").is_some())
        })
        .collect();
    if !unset.is_empty() {
        let finding = Finding::problem("set-env-not-sourced", format!("{} not set", are(&unset)))
            .why("CANN finds its operators and its own parts through them; set_env.sh sets them")
            .mend("source it in the shell that starts the program, and in the profile or the service file");
        findings.push(match set_env(system, &home) {
            Some(file) => finding.command(format!("source {}", file.display())),
            None => finding,
        });
    }
    findings
}

fn are(names: &[&str]) -> String {
    match names {
        [one] => format!("{one} is"),
        names => format!("{} are", names.join(" and ")),
    }
}

fn own_variables(libraries: &Libraries) -> Vec<Finding> {
    let mut findings = Vec::new();
    match variable("ASCENDCL_BACKEND").map(|value| value.to_ascii_lowercase()).as_deref() {
        None | Some("auto") => {}
        Some("cann") if libraries.found.is_none() => findings.push(
            Finding::problem("backend-cann", "ASCENDCL_BACKEND is cann, and there is none")
                .why("programs end with the list of places where it was looked for")
                .mend("let the simulator answer, or unset it")
                .command("export ASCENDCL_BACKEND=sim"),
        ),
        Some("cann") => {}
        Some("sim") => findings.push(
            Finding::note(
                "backend-sim",
                "ASCENDCL_BACKEND is sim: programs use the simulator, whatever is installed",
            )
            .why("it was set, perhaps in a profile")
            .mend("to use a card, unset it")
            .command("unset ASCENDCL_BACKEND"),
        ),
        Some(other) => findings.push(
            Finding::problem("backend-unknown", format!("ASCENDCL_BACKEND is {other}, which is no backend"))
                .why("every program refuses to start with it")
                .mend("use auto, cann or sim")
                .command("unset ASCENDCL_BACKEND"),
        ),
    }
    let known = ["ASCENDCL_BACKEND", "ASCENDCL_LIBRARY"];
    for (name, _) in env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        // Those of the simulator it checks itself, and those of tests are nobody's business.
        let ours = name.starts_with("ASCENDCL_")
            && !["ASCENDCL_SIM_", "ASCENDCL_TEST_"].iter().any(|p| name.starts_with(p));
        if ours && !known.contains(&name) {
            findings.push(
                Finding::warning("variable-unknown", format!("{name} is set, and nothing reads it"))
                    .why("a typing error perhaps")
                    .mend(format!("the variables are {}, and those of the simulator", known.join(" and "))),
            );
        }
    }
    findings
}

/// Several installations in one environment: one loads parts of another, and fails far from the cause.
fn mixed(system: &System, libraries: &Libraries) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut homes: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    let mut add = |home: PathBuf, name: &str| {
        homes.entry(home).or_default().insert(name.to_owned());
    };
    for name in HOMES {
        // `latest` is a folder of links into a version: its library tells which.
        if let Some(value) = variable(name).filter(|value| system.is_folder(value)) {
            let files =
                ["lib64/libascendcl.so", "lib64/libacl_rt.so"].map(|file| Path::new(&value).join(file));
            let home = files.iter().find_map(|file| home_of(system, file)).or_else(|| system.real(&value));
            add(home.unwrap_or_else(|| value.into()), name);
        }
    }
    if let Some(opp) = variable("ASCEND_OPP_PATH").filter(|value| system.is_folder(value))
        && let Some(home) = system.real(&opp).as_deref().and_then(Path::parent)
    {
        add(home.to_owned(), "ASCEND_OPP_PATH");
    }
    for folder in folders("LD_LIBRARY_PATH") {
        let library = folder.join("libascendcl.so");
        if system.is_file(&library)
            && !is_stub(&library)
            && let Some(home) = home_of(system, &library)
        {
            add(home, "LD_LIBRARY_PATH");
        }
    }
    if let Some(found) = &libraries.found
        && let Some(home) = home_of(system, found)
    {
        add(home, "the library that is loaded");
    }
    if homes.len() > 1 {
        let named: Vec<String> = homes
            .iter()
            .map(|(home, names)| {
                format!("{} ({})", home.display(), names.iter().cloned().collect::<Vec<_>>().join(", "))
            })
            .collect();
        findings.push(
            Finding::problem(
                "versions-mixed",
                format!("several installations are mixed: {}", named.join("; ")),
            )
            .why("parts of one load parts of another, which fails late and with errors that do not say so")
            .mend("start a fresh shell, and source set_env.sh of one of them only"),
        );
    }
    findings
}

/// The installation that a library belongs to, wherever links lead.
pub(crate) fn home_of(system: &System, library: &Path) -> Option<PathBuf> {
    installation(&system.real(library)?)
}
