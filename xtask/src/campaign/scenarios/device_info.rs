//! What is there: as a program asks when it starts.

use ascendcl::{Acl, AclVersion, RunMode};

use super::super::lab::{Lab, Outcome, holds};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    lab.step("versions");
    holds(acl.version()? > AclVersion { major: 1, minor: 0, patch: 0 }, "the version")?;
    holds(acl.soc_name()?.is_none_or(|name| name.starts_with("Ascend310")), "the name of the chip")?;
    holds(acl.run_mode()? == RunMode::Host, "where the program runs")?;
    lab.step("devices");
    let devices = acl.devices()?;
    holds(devices.len() == 2, "two devices")?;
    for device in &devices {
        let memory = device.memory_info()?;
        holds(memory.free <= memory.total && memory.total == 64 << 20, "the size of the memory")?;
        device.synchronize()?;
        for peer in &devices {
            holds(device.can_access_peer(peer)?, "devices reach each other")?;
        }
    }
    devices[0].enable_peer_access(&devices[1])?;
    devices[0].disable_peer_access(&devices[1])?;
    Ok(())
}
