//! This thread waits: it asks, waits for some time, and waits.

use ascendcl::Acl;

use super::super::lab::{Lab, Outcome, holds, same};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let numbers: Vec<u32> = (0..1 << 10).collect();
    let memory = context.alloc::<u32>(numbers.len())?;
    for round in 0..2 {
        let source = context.alloc_pinned_from(&numbers)?;
        let target = context.alloc_pinned::<u32>(numbers.len())?;
        let marker = stream.launch_callback(lab.closure(move || round))?;
        let upload = stream.upload(source, &memory)?;
        let download = stream.download(&memory, target)?;
        lab.step("ask");
        let _ = stream.is_idle()?;
        lab.step("wait with a limit");
        stream.synchronize_timeout(lab.long())?;
        lab.step("wait");
        lab.sync(&stream)?;
        holds(stream.is_idle()?, "an idle stream is idle")?;
        let (source, target) = (lab.get(upload)?, lab.get(download)?);
        same("what was sent", &source, &numbers)?;
        same("what came back", &target, &numbers)?;
        holds(lab.wait(marker)? == round, "the callback's result")?;
    }
    Ok(())
}
