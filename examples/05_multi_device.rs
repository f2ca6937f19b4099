//! All devices at once, a thread and a context for each; then one thread that goes from context to context, and what that costs.
//!
//! ```sh
//! cargo run --release --example 05_multi_device
//! ```

#[path = "common/failure.rs"]
mod failure;

use ascendcl::{Acl, Context, Device, Error, Result, sys};
use failure::Failure;
use std::{
    thread,
    time::{Duration, Instant},
};

const LEN: usize = 1 << 20;
const SWITCHES: usize = 2000;
const ROUNDS: usize = 15;

fn main() -> Result<(), Failure> {
    let acl = Acl::new()?;
    let devices = acl.devices()?;
    println!("{}, devices: {}, one thread each:", acl.backend(), devices.len());
    thread::scope(|scope| {
        let threads: Vec<_> = devices.iter().map(|device| scope.spawn(|| work_on(device))).collect();
        // All are waited for before the first error is reported.
        let results: Vec<_> =
            threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect();
        results.into_iter().collect::<Result<Vec<()>>>()
    })?;

    // With one device only, two contexts of it.
    let two: Vec<_> = devices.iter().cycle().take(2).map(Device::create_context).collect::<Result<_>>()?;
    let ids = [two[0].device().id(), two[1].device().id()];
    println!(
        "\none thread, to and fro between contexts of devices {ids:?}, {SWITCHES} switches, median of {ROUNDS} rounds:"
    );

    let (mut entered, mut set) = (Vec::new(), Vec::new());
    // The two are measured in turns, so that whatever disturbs the machine disturbs both.
    for _ in 0..ROUNDS {
        entered.push(enter_contexts(&two)?);
        set.push(set_devices(&acl, ids)?);
    }
    let (entered, set) = (median(entered), median(set));
    println!(
        "  a guard of Context::enter makes two, there and, when it is dropped, back; each aclrtSetDevice makes one"
    );
    println!("  Context::enter  {:>8.1?} a switch", entered);
    println!("  aclrtSetDevice  {:>8.1?} a switch (the raw C function)", set);
    println!("  ratio           {:>7.2}x", entered.as_secs_f64() / set.as_secs_f64());
    Ok(())
}

/// What each thread does with its device. Handles bring their context along: nothing has to be made current here.
fn work_on(device: &Device) -> Result<()> {
    let context = device.create_context()?;
    let stream = context.create_stream()?;
    let memory = context.alloc::<u8>(LEN)?;
    let (start, end) = (context.create_event()?, context.create_event()?);
    stream.record(&start)?;
    stream.memset(&memory, 1 + device.id() as u8)?;
    let download = stream.download(&memory, context.alloc_pinned(LEN)?)?;
    stream.record(&end)?;
    let bytes = download.wait()?;
    assert!(bytes.iter().all(|&byte| byte == 1 + device.id() as u8), "each device has memory of its own");
    let took = end.elapsed_since(&start)?;
    println!(
        "  device {}: filled and fetched {LEN} bytes in {took:.0?}, {:?}",
        device.id(),
        thread::current().id()
    );
    Ok(())
}

fn enter_contexts(contexts: &[Context]) -> Result<Duration> {
    let _home = contexts[0].enter()?;
    let start = Instant::now();
    for _ in 0..SWITCHES / 2 {
        // Current until the guard is dropped; then what was current before is current again. That makes two switches.
        let _entered = contexts[1].enter()?;
    }
    Ok(start.elapsed() / SWITCHES as u32)
}

/// As many switches between the two devices with the C function. ACL counts every call, so each is paired with a reset, outside of the measured time.
fn set_devices(acl: &Acl, ids: [i32; 2]) -> Result<Duration> {
    let missing = |function| Error::MissingSymbol { function };
    let set = acl.raw().aclrtSetDevice.ok_or(missing("aclrtSetDevice"))?;
    let reset = acl.raw().aclrtResetDevice.ok_or(missing("aclrtResetDevice"))?;
    let mut status = sys::ACL_SUCCESS;
    let mut done = 0;
    let start = Instant::now();
    while done < SWITCHES && status == sys::ACL_SUCCESS {
        // SAFETY: a plain integer. It changes what is current in this thread; handles of the safe layer see that, and no guard of
        // `Context::enter` is alive here.
        status = unsafe { set(ids[done % 2]) };
        done += usize::from(status == sys::ACL_SUCCESS);
    }
    let took = start.elapsed() / SWITCHES as u32;
    for index in 0..done {
        // SAFETY: pairs one of the calls above. The devices stay open: `main` has handles of them.
        status = status.max(unsafe { reset(ids[index % 2]) });
    }
    match status {
        sys::ACL_SUCCESS => Ok(took),
        status => Err(Error::Backend(format!("switching devices failed with {}", ascendcl::AclCode(status)))),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
