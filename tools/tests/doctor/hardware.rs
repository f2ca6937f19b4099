//! Device nodes, their permissions, containers, the driver's tool.

use std::{fs, os::unix::fs::MetadataExt, os::unix::fs::PermissionsExt, process::Command};

use serde_json::Value;

use super::machine::Machine;

/// An installation, with the doctor looking only: a stand-in for a driver needs no nodes.
fn problems(machine: &Machine) -> super::machine::Said {
    machine.ask_with(&["--no-run"])
}

#[test]
fn a_container_without_devices() {
    let machine = Machine::whole();
    fs::remove_dir_all(machine.at("/dev")).unwrap();
    machine.file("/.dockerenv", "");
    let said = problems(&machine);
    assert_eq!(said.problems(), ["no-device-nodes"], "{:#}", said.json["findings"]);
    let (text, command) = said.finding("no-device-nodes");
    assert!(text.contains("container (Docker)"), "{text}");
    assert!(
        command.starts_with("docker run --device /dev/davinci0 --device /dev/davinci_manager"),
        "{command}"
    );
    assert_eq!(said.json["container"], "Docker");
    // Where a callback comes back all the same, it is a warning.
    let said = machine.ask();
    assert_eq!((said.code, said.ids("warning")), (Some(0), vec!["no-device-nodes"]));
}

#[test]
fn a_card_that_nothing_drives() {
    let machine = Machine::whole();
    fs::remove_dir_all(machine.at("/dev")).unwrap();
    for (file, number) in [("vendor", "0x19e5\n"), ("device", "0xd100\n"), ("class", "0x120000\n")] {
        machine.file(&format!("/sys/bus/pci/devices/0000:04:00.0/{file}"), number);
    }
    // Another device of the same vendor.
    machine.file("/sys/bus/pci/devices/0000:05:00.0/vendor", "0x19e5\n");
    machine.file("/sys/bus/pci/devices/0000:05:00.0/class", "0x020000\n");
    machine.file("/sys/bus/pci/devices/0000:05:00.0/device", "0x0222\n");
    let said = problems(&machine);
    let (text, command) = said.finding("no-device-nodes");
    assert!(text.contains("an NPU (Ascend 310) is on the PCI bus at 0000:04:00.0"), "{text}");
    assert!(command.starts_with("dmesg"), "{command}");
    assert_eq!(said.json["devices"]["cards"].as_array().unwrap().len(), 1);
}

#[test]
fn nodes_that_are_missing() {
    let machine = Machine::whole();
    fs::remove_file(machine.at("/dev/devmm_svm")).unwrap();
    fs::remove_file(machine.at("/dev/hisi_hdc")).unwrap();
    let said = problems(&machine);
    assert_eq!(said.problems(), ["device-nodes-missing"], "{:#}", said.json["findings"]);
    machine.file("/proc/1/cgroup", "12:cpu:/kubepods/burstable/pod1\n");
    let (_, command) = problems(&machine).finding("device-nodes-missing").into_owned();
    assert_eq!(command, "docker run --device /dev/devmm_svm --device /dev/hisi_hdc ...");
}

/// Makes text of what is borrowed from a temporary.
trait IntoOwned {
    fn into_owned(self) -> (String, String);
}

impl IntoOwned for (String, &str) {
    fn into_owned(self) -> (String, String) {
        (self.0, self.1.to_owned())
    }
}

#[test]
fn a_user_who_is_not_in_the_group() {
    let machine = Machine::whole();
    for name in ["davinci0", "davinci1", "davinci_manager", "devmm_svm", "hisi_hdc"] {
        machine.node(name, 0o660);
    }
    // Whoever runs this test owns the nodes; it is somebody else who asks.
    let node = fs::metadata(machine.at("/dev/davinci0")).unwrap();
    let (owner, group) = (node.uid(), node.gid());
    machine.file(
        "/etc/passwd",
        format!("HwHiAiUser:x:{owner}:{group}::/:/bin/sh\nuser:x:54321:54321::/home/user:/bin/sh\n"),
    );
    machine.file("/etc/group", format!("HwHiAiUser:x:{group}:\nusers:x:54321:\n"));
    let status = |gids: &str| {
        format!(
            "Name:\tx\nUid:\t54321\t54321\t54321\t54321\nGid:\t54321\t54321\t54321\t54321\nGroups:\t{gids}\n"
        )
    };
    machine.file("/proc/self/status", status(""));
    let said = problems(&machine);
    assert_eq!(said.problems(), ["device-nodes-forbidden"], "{:#}", said.json["findings"]);
    let (text, command) = said.finding("device-nodes-forbidden");
    assert!(text.contains("the user user may not use /dev/davinci0, /dev/davinci1"), "{text}");
    assert!(text.contains("the group HwHiAiUser (mode 660), and user is not in it"), "{text}");
    assert_eq!(command, "sudo usermod -aG HwHiAiUser user");
    assert_eq!(said.json["devices"]["nodes"][0]["owner"], serde_json::json!(["HwHiAiUser", "HwHiAiUser"]));

    machine.file("/proc/self/status", status(&format!("54321 {group}")));
    assert_eq!(problems(&machine).problems(), [""; 0]);
    // A group that may do nothing is not mended by joining it.
    machine.node("davinci0", 0o600);
    let (_, command) = problems(&machine).finding("device-nodes-forbidden").into_owned();
    assert!(command.starts_with("sudo chown :HwHiAiUser /dev/davinci0 && sudo chmod 660"), "{command}");
    // Root may.
    machine.file("/proc/self/status", "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0\n");
    assert_eq!(problems(&machine).problems(), [""; 0]);
}

#[test]
fn a_driver_that_does_not_say_its_version() {
    let machine = Machine::whole();
    fs::remove_file(machine.at("/usr/local/Ascend/driver/version.info")).unwrap();
    assert!(problems(&machine).ids("warning").contains(&"driver-version-unknown"));
    // It is installed elsewhere.
    machine.file("/etc/ascend_install.info", "Driver_Install_Path_Param=/opt/ascend\n");
    machine.file("/opt/ascend/driver/version.info", "Version=25.0.0\n");
    let said = problems(&machine);
    assert_eq!(said.ids("warning"), [""; 0]);
    let versions = said.json["versions"].as_array().unwrap();
    assert!(versions.iter().any(|version| version["of"] == "driver" && version["version"] == "25.0.0"));
}

/// The driver's tool is run where the doctor looks at this machine itself.
#[test]
fn the_drivers_tool_answers_or_not() {
    let machine = Machine::new();
    let ask = |script: &str| -> (Value, Vec<Value>) {
        let tool = machine.file("/bin/npu-smi", format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", machine.at("/bin").display());
        let output = Command::new(env!("CARGO_BIN_EXE_ascendcl-doctor"))
            .env_clear()
            .env("PATH", path)
            .args(["--json", "--timeout", "3"])
            .output()
            .unwrap();
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings =
            json["findings"].as_array().unwrap().iter().filter(|f| f["id"] == "npu-smi-fails").cloned();
        (json["devices"]["npu_smi"]["answers"].clone(), findings.collect())
    };
    assert_eq!(ask("echo '| 0 310 | OK |'"), (true.into(), vec![]));
    let (answers, findings) = ask("echo 'dcmi module initialize failed. ret is -8005'; exit 1");
    assert_eq!((answers, findings.len()), (false.into(), 1));
    assert!(
        findings[0]["why"].as_str().unwrap().contains("another container has the device"),
        "{findings:?}"
    );
    let (answers, findings) = ask("echo 'libdrvdsmi_host.so: cannot open shared object file' >&2; exit 127");
    assert_eq!(answers, false);
    assert!(findings[0]["why"].as_str().unwrap().contains("libdrvdsmi_host.so"), "{findings:?}");
    // It hangs, and so does what it started.
    let (answers, findings) = ask("sleep 20 & sleep 20");
    assert_eq!(answers, false);
    assert!(findings[0]["why"].as_str().unwrap().contains("was killed"), "{findings:?}");
}
