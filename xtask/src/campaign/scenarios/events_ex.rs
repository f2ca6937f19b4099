//! Events and streams with options: flags, times, waits that end on the device, failure mode.

use std::time::Duration;

use ascendcl::{Acl, EventFlags, EventStatus, FailureMode, StreamFlags};

use super::super::lab::{Lab, Outcome, holds, same};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let context = acl.device(0)?.create_context()?;
    let first = context.create_stream_with(1, StreamFlags::FAST_LAUNCH)?;
    let second = context.create_stream()?;
    holds(first.id()? != second.id()?, "streams have numbers")?;
    first.set_failure_mode(FailureMode::Stop)?;
    lab.step("events with options");
    let ordered = context.create_event_ex(EventFlags::SYNC)?;
    let timed =
        [context.create_event_ex(EventFlags::TIME_LINE)?, context.create_event_ex(EventFlags::TIME_LINE)?];
    let counted = context.create_event_with_flags(EventFlags::SYNC)?;
    holds(timed[0].query()? == EventStatus::NotRecorded, "nothing was recorded")?;
    let memory = context.alloc::<u32>(100)?;
    for round in 0..3_u8 {
        first.record(&timed[0])?;
        first.memset(&memory, round)?;
        first.record(&ordered)?;
        first.record(&timed[1])?;
        second.wait_timeout(&ordered, Duration::from_secs(60))?;
        let download = second.download(&memory, context.alloc_pinned(100)?)?;
        second.record(&counted)?;
        first.wait(&counted)?;
        first.reset(&counted)?;
        same("what the other stream wrote", &lab.get(download)?, &[u32::from_ne_bytes([round; 4]); 100])?;
        lab.sync(&first)?;
        holds(counted.waits_are_over()?, "the waits are over")?;
        holds(timed[1].is_complete()?, "it is complete")?;
        holds(timed[1].timestamp()? >= timed[0].timestamp()?, "time goes forward")?;
        timed[1].elapsed_since(&timed[0])?;
    }
    lab.step("wait for all");
    timed[1].synchronize_timeout(lab.long())?;
    context.synchronize_timeout(lab.long())?;
    Ok(())
}
