//! Switching between two devices.

use super::rig::Rig;
use crate::{
    error::Error,
    perf::{
        measure::{Effort, by_turns, seconds_each},
        row::{Limit, Measured, Row, Target},
    },
};

/// So many switches to each device a round.
const SWITCHES: usize = 1000;

pub fn row() -> Row {
    Row {
        name: "switch",
        title: "enters a context of one device and then one of another",
        baseline: "`aclrtSetDevice` in C, for one device and the other",
        target: Target::Ratio(Limit::Below(1.0)),
        run: measure,
        ..Row::PLAIN
    }
}

fn measure(effort: Effort) -> Result<Measured, Error> {
    let rig = Rig::new()?;
    let (first, second) = (rig.acl.device(0)?, rig.acl.device(1)?);
    let contexts = (first.create_context()?, second.create_context()?);
    let _entered = rig.context.enter()?;
    by_turns(
        effort,
        || {
            seconds_each(SWITCHES, || {
                for _ in 0..SWITCHES {
                    let _first = contexts.0.enter()?;
                    let _second = contexts.1.enter()?;
                }
                Ok(())
            })
        },
        || {
            let time = seconds_each(SWITCHES, || rig.c.set_device(first.id(), second.id(), SWITCHES));
            // What the guards remember is current again.
            drop(rig.context.enter()?);
            time
        },
    )
}
