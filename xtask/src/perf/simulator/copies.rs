//! Large copies, beside a bare `memcpy`.

use std::hint::black_box;

use super::acl::{DeviceMemory, Session};
use crate::{
    error::Error,
    perf::{
        measure::{Effort, by_turns, seconds_each},
        row::{Limit, Measured, Row, Target},
    },
};

const SIZE: usize = 64 << 20;

pub fn row() -> Row {
    Row {
        name: "sim-large-copy",
        title: "the simulator: a blocking copy of 64 MiB from host memory to the device",
        baseline: "`memcpy` from the same memory to a buffer of the heap",
        target: Target::Ratio(Limit::AtMost(1.05)),
        run: measure,
        ..Row::PLAIN
    }
}

fn measure(effort: Effort) -> Result<Measured, Error> {
    let session = Session::usual();
    let measured = {
        let to = DeviceMemory::new(SIZE);
        let (from, mut other) = (vec![1_u8; SIZE], vec![2_u8; SIZE]);
        by_turns(
            effort,
            || {
                seconds_each(1, || {
                    to.fill_from(&from);
                    Ok(())
                })
            },
            || {
                seconds_each(1, || {
                    black_box(&mut other).copy_from_slice(black_box(&from));
                    Ok(())
                })
            },
        )
    };
    drop(session);
    measured
}
