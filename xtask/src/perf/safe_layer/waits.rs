//! Waiting for a stream without blocking the thread.

use super::rig::Rig;
use crate::{
    error::Error,
    perf::{
        baseline::Waiter,
        measure::{Effort, by_turns, seconds_each},
        row::{Limit, Measured, Row, Target},
    },
};

/// So many a round.
const ROUND_TRIPS: usize = 50;

pub fn row() -> Row {
    Row {
        name: "await",
        title: "an event is recorded and `Stream::completion` awaited",
        baseline: "an event is recorded and a spare thread in C waits for the stream",
        target: Target::Ratio(Limit::AtMost(1.5)),
        run: measure,
        remark: Some(
            "On both sides two threads are woken one after another: one that does the work of the idle stream itself while it waits, the report thread or C's spare thread, and who awaits. But the \
             record has woken the device's thread before, and if that comes first it has to wake the report thread once more: rounds lie near one ratio or the other, as the quartiles tell, and which of them \
             has the median is chance: 2.2 twice, 1.6 beside other work. To let the report thread look for a while before it sleeps again, as a wait for a stream does, gave 1.3, 2.0 and 3.4, by turns with \
             2.6, 2.5 and 1.2 without.",
        ),
        ..Row::PLAIN
    }
}

fn measure(effort: Effort) -> Result<Measured, Error> {
    let rig = Rig::new()?;
    let stream = rig.context.create_stream()?;
    let event = rig.context.create_event()?;
    // SAFETY: [handle] context, stream and functions live until the end of this function, which ends the thread first.
    let waiter = unsafe { Waiter::start(&rig.c, rig.context.as_raw(), stream.as_raw()) }?;
    let _entered = rig.context.enter()?;
    by_turns(
        effort,
        || {
            seconds_each(ROUND_TRIPS, || {
                for _ in 0..ROUND_TRIPS {
                    stream.record(&event)?;
                    pollster::block_on(stream.completion())?;
                }
                Ok(())
            })
        },
        || {
            seconds_each(ROUND_TRIPS, || {
                // SAFETY: [handle] the event is alive, and of the same context.
                (0..ROUND_TRIPS).try_for_each(|_| unsafe { waiter.round_trip(event.as_raw()) })
            })
        },
    )
}
