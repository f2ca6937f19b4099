//! One stream writes, the other reads what it wrote: an event orders them.

use ascendcl::{Acl, EventFlags};

use super::super::lab::{Lab, Outcome, holds, same};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let context = acl.device(0)?.create_context()?;
    let (first, second) = (context.create_stream()?, context.create_stream()?);
    let shared = context.alloc_from(&[0_u32; 64])?;
    let event = context.create_event_with_flags(EventFlags::SYNC)?;
    let plain = context.create_event()?;
    for number in 1..=4 {
        lab.step("a round");
        let upload = first.upload(context.alloc_pinned_from(&[number; 64])?, &shared)?;
        first.record(&event)?;
        second.wait(&event)?;
        second.reset(&event)?;
        let download = second.download(&shared, context.alloc_pinned(64)?)?;
        second.record(&plain)?;
        // The next round must not write what is read still.
        first.wait(&plain)?;
        lab.sync_event(&plain)?;
        holds(plain.is_complete()?, "a waited-for event is complete")?;
        same("what the second stream read", &lab.get(download)?, &[number; 64])?;
        lab.get(upload)?;
    }
    Ok(())
}
