//! What is there: the backend, its version, the chip, and the memory of each device.
//!
//! ```sh
//! cargo run --example 01_device_info
//! ASCENDCL_BACKEND=cann cargo run --example 01_device_info   # an installed CANN, or where it was looked for
//! ```

#[path = "common/failure.rs"]
mod failure;

use ascendcl::Acl;
use failure::Failure;

fn main() -> Result<(), Failure> {
    // Loads CANN, or the simulator where there is none, and initialises it.
    let acl = Acl::new()?;
    println!("backend    {}", acl.backend());
    println!("interface  ACL {}", acl.version()?);
    println!("chip       {}", acl.soc_name()?.as_deref().unwrap_or("unknown"));
    println!("runs on    {:?}", acl.run_mode()?);

    // One binary runs with several releases of CANN: what the loaded one lacks is an error of that one call, and can be asked for.
    for function in ["aclrtLaunchCallback", "aclrtCreateEventExWithFlag", "aclrtLaunchHostFunc"] {
        println!("{function:<28} {}", if acl.supports(function) { "yes" } else { "no" });
    }

    println!("\ndevice  memory free  memory total  reaches");
    // Opening a device may take seconds on a card, the first time in a process. It stays open as long as a handle of it lives.
    let devices = acl.devices()?;
    for device in &devices {
        let memory = device.memory_info()?;
        let mut peers = Vec::new();
        for peer in devices.iter().filter(|&peer| peer != device) {
            if device.can_access_peer(peer)? {
                peers.push(peer.id().to_string());
            }
        }
        let peers = if peers.is_empty() { "-".into() } else { peers.join(" ") };
        println!("{:>6}  {:>11}  {:>12}  {peers}", device.id(), mib(memory.free), mib(memory.total));
    }
    Ok(())
}

fn mib(bytes: usize) -> String {
    format!("{} MiB", bytes >> 20)
}
