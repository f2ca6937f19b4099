//! What it costs to look for races.

use ascendcl_sim::{Config, Reporting};

use super::acl::{DeviceMemory, Event, PinnedMemory, Session, Stream};
use crate::{
    error::Error,
    perf::{
        measure::{Effort, by_turns, seconds_each},
        row::{Limit, Measured, Row, Target},
    },
};

const SIZE: usize = 64 << 10;

pub fn row() -> Row {
    Row {
        name: "sim-races",
        title: "the simulator with `ASCENDCL_SIM_RACES=report`: two streams that hand 64 KiB to each other, uploaded by one and downloaded by the other, ordered by events",
        baseline: "without it",
        target: Target::Ratio(Limit::AtMost(3.0)),
        run: measure,
        ..Row::PLAIN
    }
}

fn measure(effort: Effort) -> Result<Measured, Error> {
    let count = effort.choose(20, 1000);
    by_turns(
        effort,
        || hand_over(Config::new().races(Reporting::Report), count),
        || hand_over(Config::new(), count),
    )
}

/// Time for one exchange, on a machine of its own.
fn hand_over(config: Config, count: usize) -> Result<f64, Error> {
    let session = Session::new(config);
    let time = {
        let (uploads, downloads) = (Stream::new(), Stream::new());
        let (uploaded, downloaded) = (Event::new(), Event::new());
        let device = DeviceMemory::new(SIZE);
        let (from, to) = (PinnedMemory::new(SIZE), PinnedMemory::new(SIZE));
        seconds_each(count, || {
            for round in 0..count {
                if round > 0 {
                    uploads.wait_for(&downloaded);
                }
                uploads.upload(&device, &from, SIZE);
                uploads.record(&uploaded);
                downloads.wait_for(&uploaded);
                downloads.download(&to, &device, SIZE);
                downloads.record(&downloaded);
            }
            uploads.synchronize();
            downloads.synchronize();
            Ok(())
        })
    };
    drop(session);
    let races = ascendcl_sim::take_reports();
    if !races.is_empty() {
        return Err(Error::new(format!("{} races were found where there is none", races.len())));
    }
    time
}
