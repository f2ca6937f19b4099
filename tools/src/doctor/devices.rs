//! Device nodes, and who may open them.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::PathBuf,
    time::Duration,
};

use serde::Serialize;

use super::child;
use super::finding::Finding;
use super::system::{Card, System, User, folders, variable};

/// What every program opens besides the nodes of its devices.
const COMMON: [&str; 3] = ["davinci_manager", "devmm_svm", "hisi_hdc"];
/// Who owns them.
const GROUP: &str = "HwHiAiUser";

/// What there is of hardware.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Devices {
    /// The nodes, and those that should be there.
    pub nodes: Vec<Node>,
    /// Numbers of the devices that have a node.
    pub numbers: Vec<u32>,
    /// NPUs on the PCI bus.
    pub cards: Vec<Card>,
    /// `npu-smi`, if it is there.
    pub npu_smi: Option<NpuSmi>,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Node {
    /// Its path.
    pub path: String,
    /// Whether it is there.
    pub exists: bool,
    /// Its permissions, in octal.
    pub mode: Option<String>,
    /// Its owner and its group.
    pub owner: Option<(String, String)>,
    /// Whether this user may read and write it.
    pub usable: bool,
}

/// The driver's own tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NpuSmi {
    /// Where it is.
    pub path: PathBuf,
    /// Whether `npu-smi info` succeeded. Not known if it was not run.
    pub answers: Option<bool>,
    /// What it said when it failed.
    pub said: Option<String>,
}

pub(crate) fn examine(system: &System, user: &User, run: bool, limit: Duration) -> Devices {
    let names = system.list("/dev");
    let numbers: Vec<u32> = {
        let mut numbers: Vec<u32> =
            names.iter().filter_map(|name| name.strip_prefix("davinci")?.parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    };
    let mut nodes: Vec<String> = numbers.iter().map(|number| format!("davinci{number}")).collect();
    nodes.extend(COMMON.map(str::to_owned));
    Devices {
        nodes: nodes.iter().map(|name| node(system, user, name)).collect(),
        numbers,
        cards: system.cards(),
        npu_smi: npu_smi(system, run, limit),
    }
}

fn node(system: &System, user: &User, name: &str) -> Node {
    let path = format!("/dev/{name}");
    let found = fs::metadata(system.at(&path)).ok();
    // In a file system that is only mounted somewhere, plain files stand for nodes.
    let found = found.filter(|found| found.file_type().is_char_device() || !system.is_here());
    let Some(found) = found else {
        return Node { path, exists: false, mode: None, owner: None, usable: false };
    };
    let mode = found.mode() & 0o777;
    let owner = system.user_name(found.uid()).unwrap_or_else(|| found.uid().to_string());
    let group = system.group_name(found.gid()).unwrap_or_else(|| found.gid().to_string());
    let shift = if user.uid == found.uid() {
        6
    } else if user.gids.contains(&found.gid()) {
        3
    } else {
        0
    };
    let usable = user.uid == 0 || (mode >> shift) & 6 == 6;
    Node { path, exists: true, mode: Some(format!("{mode:03o}")), owner: Some((owner, group)), usable }
}

fn npu_smi(system: &System, run: bool, limit: Duration) -> Option<NpuSmi> {
    let mut places = folders("PATH");
    places.extend(["/usr/local/bin", "/usr/local/sbin"].map(PathBuf::from));
    let path = places.into_iter().map(|folder| folder.join("npu-smi")).find(|file| system.is_file(file))?;
    // That of another file system may be for another machine.
    if !run || !system.is_here() {
        return Some(NpuSmi { path, answers: None, said: None });
    }
    let ended = child::output(&path, &["info"], limit);
    let said = Some(ended.said).filter(|said| !ended.succeeded && !said.is_empty());
    Some(NpuSmi { path, answers: Some(ended.succeeded), said })
}

impl Devices {
    pub(crate) fn findings(&self, system: &System, user: &User) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.numbers.is_empty() {
            findings.push(self.no_nodes(system));
        } else {
            findings.extend(self.missing_nodes(system));
            findings.extend(self.forbidden(user));
        }
        findings.extend(self.visible());
        findings.extend(self.npu_smi_findings(system));
        findings
    }

    fn no_nodes(&self, system: &System) -> Finding {
        let finding = Finding::problem("no-device-nodes", "there is no /dev/davinci0 nor any other device");
        if let Some(container) = system.container() {
            return finding
                .why(format!("this is a container ({container}) that was given no device"))
                .mend("start it with the nodes of the devices that it is to have, or with Ascend Docker Runtime")
                .command(
                    "docker run --device /dev/davinci0 --device /dev/davinci_manager --device /dev/devmm_svm \
                     --device /dev/hisi_hdc -v /usr/local/Ascend/driver:/usr/local/Ascend/driver \
                     -v /usr/local/bin/npu-smi:/usr/local/bin/npu-smi -v /usr/local/dcmi:/usr/local/dcmi ...",
                );
        }
        match self.cards.first() {
            Some(card) => finding
                .why(format!("an NPU ({}) is on the PCI bus at {}, and no driver has it", card.chip, card.address))
                .mend("install the driver of the card (Ascend-hdk-*-npu-driver_*.run), or see why it does not start")
                .command("dmesg | grep -i -e davinci -e devdrv -e npu"),
            None => finding.why("no NPU is on the PCI bus either").mend(
                "this machine has no card, or it does not see it; programs can use the simulator until there is one",
            ),
        }
    }

    fn missing_nodes(&self, system: &System) -> Option<Finding> {
        let missing: Vec<&str> =
            self.nodes.iter().filter(|node| !node.exists).map(|node| node.path.as_str()).collect();
        if missing.is_empty() {
            return None;
        }
        let finding = Finding::problem("device-nodes-missing", format!("{} missing", are(&missing)))
            .why("every program opens these besides the device itself; aclrtSetDevice fails without them");
        Some(match system.container() {
            Some(_) => finding.mend("start the container with them").command(format!(
                "docker run {} ...",
                missing.iter().map(|path| format!("--device {path}")).collect::<Vec<_>>().join(" ")
            )),
            None => finding
                .mend("install the driver anew; on a developer board, whose processor is the NPU's own, they may have other names"),
        })
    }

    fn forbidden(&self, user: &User) -> Option<Finding> {
        let forbidden: Vec<&Node> = self.nodes.iter().filter(|node| node.exists && !node.usable).collect();
        let first = forbidden.first()?;
        let paths: Vec<&str> = forbidden.iter().map(|node| node.path.as_str()).collect();
        let name = user.name.clone().unwrap_or_else(|| user.uid.to_string());
        let (owner, group) = first.owner.clone().unwrap_or_default();
        let mode = first.mode.clone().unwrap_or_default();
        let finding = Finding::problem(
            "device-nodes-forbidden",
            format!("the user {name} may not use {}", paths.join(", ")),
        );
        let grants = u32::from_str_radix(&mode, 8).is_ok_and(|mode| (mode >> 3) & 6 == 6);
        Some(if grants && group != "root" {
            finding
                .why(format!(
                    "they belong to {owner} and the group {group} (mode {mode}), and {name} is not in it"
                ))
                .mend("add the user to the group, and log in again")
                .command(format!("sudo usermod -aG {group} {name}"))
        } else {
            finding
                .why(format!("they belong to {owner} and the group {group}, with mode {mode}"))
                .mend(format!(
                    "install the driver with --install-for-all, or give the nodes to the group {GROUP}"
                ))
                .command(format!("sudo chown :{GROUP} {0} && sudo chmod 660 {0}", paths.join(" ")))
        })
    }

    fn visible(&self) -> Option<Finding> {
        let value = variable("ASCEND_RT_VISIBLE_DEVICES")?;
        let numbers: Option<Vec<u32>> = value.split(',').map(|number| number.trim().parse().ok()).collect();
        let finding = |what: String| {
            Finding::problem("visible-devices", format!("ASCEND_RT_VISIBLE_DEVICES is {value}, {what}"))
                .why("aclrtGetDeviceCount answers 207004, or fewer devices than are meant")
                .mend("list numbers of devices of this machine, ascending, with commas between them")
        };
        let Some(numbers) = numbers else {
            return Some(
                finding("which is no list of numbers".into()).command("unset ASCEND_RT_VISIBLE_DEVICES"),
            );
        };
        if !numbers.is_sorted() {
            let sorted: Vec<String> = BTreeSet::from_iter(numbers).iter().map(u32::to_string).collect();
            return Some(
                finding("which is not ascending".into())
                    .command(format!("export ASCEND_RT_VISIBLE_DEVICES={}", sorted.join(","))),
            );
        }
        if let Some(pair) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
            return Some(finding(format!("which names {} twice", pair[0])));
        }
        let count = self.numbers.len();
        let beyond = numbers.iter().find(|&&number| number as usize >= count);
        match beyond {
            Some(number) if count > 0 => Some(finding(format!(
                "and there are {count} devices here, 0 to {}: none is {number} (in a container they count from 0)",
                count - 1
            ))),
            _ => None,
        }
    }

    fn npu_smi_findings(&self, system: &System) -> Option<Finding> {
        match &self.npu_smi {
            None => {
                let finding = Finding::warning("npu-smi-missing", "npu-smi is not there");
                Some(match system.container() {
                    Some(_) => finding
                        .why("it comes with the driver, from the host; nothing but people needs it")
                        .mend("start the container with it mounted")
                        .command(
                            "docker run -v /usr/local/bin/npu-smi:/usr/local/bin/npu-smi \
                             -v /usr/local/dcmi:/usr/local/dcmi ...",
                        ),
                    None => finding
                        .why("it comes with the driver, so that is not installed, or /usr/local/bin is not in PATH")
                        .mend("install the driver of the card (Ascend-hdk-*-npu-driver_*.run)"),
                })
            }
            Some(NpuSmi { path, answers: Some(false), said }) => {
                let said = said.clone().unwrap_or_else(|| "nothing".into());
                let finding = Finding::problem("npu-smi-fails", format!("{} info fails", path.display()));
                Some(if said.contains("-8005") || said.contains("-8020") {
                    finding
                        .why(format!("it said: {said}. That is what it says when another container has the device"))
                        .mend("a device belongs to one container that is not privileged: stop the other one, or take another device")
                } else {
                    finding
                        .why(format!("it said: {said}"))
                        .mend("if this works for root: the user is not in the driver's group; if not: install the driver anew")
                        .command("sudo npu-smi info")
                })
            }
            Some(_) => None,
        }
    }
}

fn are(names: &[&str]) -> String {
    match names {
        [one] => format!("{one} is"),
        names => format!("{} are", names.join(", ")),
    }
}
