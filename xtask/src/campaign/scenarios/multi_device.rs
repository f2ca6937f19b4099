//! All devices at once, a thread and a context each; then one thread that goes from context to context.

use std::thread;

use ascendcl::{Acl, Device};

use super::super::lab::{Failure, Lab, Outcome, same};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    lab.step("open the devices");
    let devices = acl.devices()?;
    lab.step("a thread for each device");
    let results: Vec<Outcome> = thread::scope(|scope| {
        let threads: Vec<_> = devices.iter().map(|device| scope.spawn(|| work(lab, device))).collect();
        let panicked = |_| Err(Failure::Wrong("a thread panicked".into()));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    });
    // Errors that are not returned are told all the same.
    for failure in results.iter().filter_map(|result| result.as_ref().err()) {
        if let Failure::Acl(error) = failure {
            lab.note(error);
        }
    }
    results.into_iter().collect::<Outcome>()?;
    lab.step("one thread, several contexts");
    let contexts = [devices[0].create_context()?, devices[1].create_context()?, devices[0].primary_context()];
    let streams = [contexts[0].create_stream()?, contexts[1].create_stream()?, contexts[2].create_stream()?];
    for (round, context) in contexts.iter().cycle().take(6).enumerate() {
        let _entered = context.enter()?;
        let stream = &streams[round % 3];
        let memory = context.alloc::<u8>(100)?;
        stream.memset(&memory, round as u8)?;
        lab.sync(stream)?;
        same("memory of its own", &memory.to_vec()?, &[round as u8; 100])?;
    }
    Ok(())
}

fn work(lab: &Lab, device: &Device) -> Outcome {
    let value = 1 + device.id() as u8;
    let context = device.create_context()?;
    let stream = context.create_stream()?;
    let memory = context.alloc::<u8>(1000)?;
    let (start, end) = (context.create_event()?, context.create_event()?);
    stream.record(&start)?;
    stream.memset(&memory, value)?;
    let download = stream.download(&memory, context.alloc_pinned(1000)?)?;
    stream.record(&end)?;
    same("what the device was filled with", &lab.get(download)?, &[value; 1000])?;
    end.elapsed_since(&start)?;
    Ok(())
}
