//! Many streams: what a task costs while all of them live, and how many threads there are.

use std::fs;

use ascendcl_sim::{Config, Profile};

use super::acl::{Event, Session, Stream};
use crate::{
    error::Error,
    perf::{
        measure::{Effort, by_turns, seconds_each},
        row::{Limit, Measured, Row, Target, Unit},
    },
};

/// Of one device; a chip with everything has a few more.
pub const MANY: usize = 2000;
const FEW: usize = 2;
const TASKS: usize = 20_000;

pub fn row() -> Row {
    Row {
        name: "sim-many-streams",
        title: "the simulator: a task that does nothing, enqueued on 2,000 streams by turns, all waited for at the end",
        baseline: "the same on 2 streams",
        target: Target::Ratio(Limit::AtMost(1.3)),
        run: measure,
        remark: Some(
            "On 2 streams a turn on a thread of the pool runs up to 32 tasks. Tasks that go to 2,000 streams by turns find each of them at rest, and each is a turn: callgrind counts 2,270 \
             instructions for a task and 1,390 on 2 streams. Streams that are alive and idle cost nothing.",
        ),
        ..Row::PLAIN
    }
}

pub fn threads() -> Row {
    Row {
        name: "sim-threads",
        title: "the simulator: threads of the process with 2,000 streams that have worked",
        unit: Unit::Count,
        target: Target::Ours(Limit::AtMost(16.0)),
        run: |_| {
            let session = session();
            let streams: Vec<Stream> = (0..MANY).map(|_| Stream::new()).collect();
            let event = Event::new();
            work(&streams, &event, TASKS);
            let threads = fs::read_dir("/proc/self/task").map(Iterator::count);
            drop((event, streams));
            drop(session);
            let threads = threads.map_err(|error| Error::new(format!("cannot count threads: {error}")))?;
            Ok(Measured::alone(threads as f64))
        },
        ..Row::PLAIN
    }
}

/// A chip that has that many streams.
pub fn session() -> Session {
    Session::new(Config::new().profile(Profile::full()))
}

/// So many tasks, on all streams by turns; then all are waited for.
pub fn work(streams: &[Stream], event: &Event, tasks: usize) {
    streams.iter().cycle().take(tasks).for_each(|stream| stream.record(event));
    streams.iter().for_each(Stream::synchronize);
}

fn measure(effort: Effort) -> Result<Measured, Error> {
    let session = session();
    let measured = {
        let streams: Vec<Stream> = (0..MANY).map(|_| Stream::new()).collect();
        let event = Event::new();
        let tasks = effort.choose(MANY, TASKS);
        let side = |streams: &[Stream]| {
            seconds_each(tasks, || {
                work(streams, &event, tasks);
                Ok(())
            })
        };
        by_turns(effort, || side(&streams), || side(&streams[..FEW]))
    };
    drop(session);
    measured
}
