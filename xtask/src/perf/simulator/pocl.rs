//! Commands that do nothing or little, beside PoCL: what queues, threads and events cost by themselves.
//!
//! The least that a queue of OpenCL takes is a marker: it is there when all before it is done. In ACL that is the record of an event.

use super::acl::{DeviceMemory, Event, PinnedMemory, Session, Stream};
use super::opencl::{OpenCl, Queue};
use crate::{
    error::Error,
    perf::{
        measure::{Effort, by_turns, seconds_each},
        row::{Limit, Measured, Row, Target},
    },
};

const COPY: usize = 4096;

pub fn rows() -> Vec<Row> {
    let row = |name, title, baseline, limit, run, remark| Row {
        name,
        title,
        baseline,
        target: Target::Ratio(Limit::AtMost(limit)),
        run,
        remark,
        ..Row::PLAIN
    };
    vec![
        row(
            "sim-empty-tasks",
            "the simulator: 100,000 tasks that do nothing, records of one event, enqueued on a stream and waited for; time for one",
            "PoCL, as many markers on an in-order queue",
            0.2,
            empty_tasks,
            Some(
                "callgrind counts 1,430 instructions for a record, from the call until it is done, besides what the growing queue takes; half of them check and look up what ACL checks and looks \
                 up. PoCL takes 2,300 on the thread that enqueues alone, and wakes another one: what that costs on the machine moves the ratio.",
            ),
        ),
        row(
            "sim-small-copies",
            "the simulator: copies of 4 KiB from pinned host memory to the device, enqueued on a stream and waited for; time for one",
            "PoCL, writes that do not block",
            0.3,
            small_copies,
            Some(
                "callgrind counts 2,010 instructions for the call and 1,230 for the copy itself, on another thread if one is free; 2,830 and 2,320 for PoCL's. What remains of the ratio are \
                 PoCL's wake-ups, one for each command, which the machine makes cheap or dear.",
            ),
        ),
        row(
            "sim-two-streams",
            "the simulator: an event recorded by one stream and waited for by another, over and over, then both waited for; time for one",
            "PoCL, a marker on one queue and another one on a second queue that waits for its event",
            0.2,
            two_streams,
            Some(
                "callgrind counts 3,490 instructions for a record and its wait, from the calls until both are done, and 5,130 for PoCL's on the thread that enqueues alone. A stream that waits for another \
                 one leaves its thread and is given one again: two turns for each pair, where `sim-empty-tasks` has one for 32 tasks.",
            ),
        ),
        row(
            "sim-round-trip",
            "the simulator: a task that does nothing enqueued, and waited for, each time",
            "PoCL, a marker",
            0.3,
            round_trip,
            None,
        ),
    ]
}

/// An in-order queue next to a stream.
fn with_queue(
    run: impl FnOnce(&Stream, &Queue<'_>, &OpenCl) -> Result<Measured, Error>,
) -> Result<Measured, Error> {
    let cl = OpenCl::load().map_err(Error::new)?;
    let session = Session::usual();
    let measured = {
        let stream = Stream::new();
        let queue = cl.queue().map_err(Error::new)?;
        run(&stream, &queue, &cl)?
    };
    drop(session);
    let note = format!("{}; {}", measured.note, cl.name);
    Ok(measured.noted(note))
}

fn empty_tasks(effort: Effort) -> Result<Measured, Error> {
    let count = effort.choose(1000, 100_000);
    with_queue(|stream, queue, _| {
        let event = Event::new();
        by_turns(
            effort,
            || {
                seconds_each(count, || {
                    (0..count).for_each(|_| stream.record(&event));
                    stream.synchronize();
                    Ok(())
                })
            },
            || {
                seconds_each(count, || {
                    (0..count).try_for_each(|_| queue.marker()).map_err(Error::new)?;
                    queue.finish().map_err(Error::new)
                })
            },
        )
    })
}

fn small_copies(effort: Effort) -> Result<Measured, Error> {
    let count = effort.choose(100, 10_000);
    with_queue(|stream, queue, cl| {
        let (to, from) = (DeviceMemory::new(COPY), PinnedMemory::new(COPY));
        let buffer = cl.buffer(COPY).map_err(Error::new)?;
        let bytes = vec![1; COPY];
        by_turns(
            effort,
            || {
                seconds_each(count, || {
                    (0..count).for_each(|_| stream.upload(&to, &from, COPY));
                    stream.synchronize();
                    Ok(())
                })
            },
            || {
                seconds_each(count, || {
                    // SAFETY: [memory] nobody writes the bytes, which live longer than this round, and the queue is waited for.
                    let write = |_| unsafe { queue.write(&buffer, &bytes) };
                    (0..count).try_for_each(write).map_err(Error::new)?;
                    queue.finish().map_err(Error::new)
                })
            },
        )
    })
}

fn two_streams(effort: Effort) -> Result<Measured, Error> {
    let count = effort.choose(100, 10_000);
    with_queue(|stream, queue, cl| {
        let (second, event) = (Stream::new(), Event::new());
        let second_queue = cl.queue().map_err(Error::new)?;
        by_turns(
            effort,
            || {
                seconds_each(count, || {
                    for _ in 0..count {
                        stream.record(&event);
                        second.wait_for(&event);
                    }
                    stream.synchronize();
                    second.synchronize();
                    Ok(())
                })
            },
            || {
                let pass = |_| second_queue.wait_for(&queue.record()?);
                seconds_each(count, || {
                    (0..count).try_for_each(pass).map_err(Error::new)?;
                    queue.finish().and_then(|()| second_queue.finish()).map_err(Error::new)
                })
            },
        )
    })
}

fn round_trip(effort: Effort) -> Result<Measured, Error> {
    let count = effort.choose(10, 1000);
    with_queue(|stream, queue, _| {
        let event = Event::new();
        by_turns(
            effort,
            || {
                seconds_each(count, || {
                    for _ in 0..count {
                        stream.record(&event);
                        stream.synchronize();
                    }
                    Ok(())
                })
            },
            || {
                let there_and_back = |_| queue.marker().and_then(|()| queue.finish());
                seconds_each(count, || (0..count).try_for_each(there_and_back).map_err(Error::new))
            },
        )
    })
}
