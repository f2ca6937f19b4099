//! Ordering two streams by events.

use ascendcl::EventFlags;

use super::rig::Rig;
use crate::{
    error::Error,
    perf::{
        measure::{Effort, by_turns, seconds_each},
        row::{Limit, Measured, Row, Target},
    },
};

pub fn row() -> Row {
    Row {
        name: "events",
        title: "record, wait and reset across two streams, enqueued",
        baseline: "the same loop in C",
        target: Target::Ratio(Limit::AtMost(1.05)),
        run: measure,
        remark: Some(
            "`instructions-events` counts what is added. Six of these instructions are atomic: each operation is numbered, because that is what a \
             wait vouches for, and a record is noted in its event, for who awaits that.",
        ),
        ..Row::PLAIN
    }
}

/// Each event is used once a round, so that no round waits for another.
const EVENTS: usize = 512;

fn measure(effort: Effort) -> Result<Measured, Error> {
    let rig = Rig::new()?;
    let (first, second) = (rig.context.create_stream()?, rig.context.create_stream()?);
    let events = (0..EVENTS).map(|_| rig.context.create_event_with_flags(EventFlags::SYNC));
    let events = events.collect::<Result<Vec<_>, _>>()?;
    let raw: Vec<_> = events.iter().map(|event| event.as_raw()).collect();
    let _entered = rig.context.enter()?;
    by_turns(
        effort,
        || {
            let time = seconds_each(EVENTS, || {
                for event in &events {
                    first.record(event)?;
                    second.wait(event)?;
                    second.reset(event)?;
                }
                Ok(())
            })?;
            second.synchronize()?;
            Ok(time)
        },
        || {
            // SAFETY: [handle] streams and events live until the end of this function, and their context is entered.
            let time =
                seconds_each(EVENTS, || unsafe { rig.c.events(first.as_raw(), second.as_raw(), &raw) })?;
            // SAFETY: [handle] as above.
            unsafe { rig.c.synchronize(second.as_raw()) }?;
            Ok(time)
        },
    )
}
