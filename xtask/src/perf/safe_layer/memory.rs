//! How much memory of the host things take while nothing is done with them: the handles, and what the library behind them keeps.

use ascendcl::{Context, EventFlags};

use crate::{
    error::Error,
    perf::{
        measure::Effort,
        row::{Measured, Row, Unit},
    },
};

/// So many are made: what is taken once for all of them does not count.
const THINGS: usize = 500;

/// The rows: one for each thing.
pub fn rows() -> Vec<Row> {
    let row = |name, title, run| Row { name, title, unit: Unit::Bytes, run, ..Row::PLAIN };
    vec![
        row("memory-stream", "heap of an idle stream, with the simulator's share", |_| {
            of(|it| Ok(it.create_stream()?))
        }),
        row("memory-event", "heap of an idle event, with the simulator's share", |_| {
            of(|it| Ok(it.create_event_with_flags(EventFlags::SYNC)?))
        }),
        row("memory-buffer", "heap of a buffer of one byte, with the simulator's share", |_| {
            of(|it| Ok(it.alloc::<u8>(1)?))
        }),
        row("memory-task", "heap of a task that is queued, with the simulator's share", |_: Effort| {
            pending_task()
        }),
    ]
}

/// What one of many things takes, once some are there.
fn of<T>(make: impl Fn(&Context) -> Result<T, Error>) -> Result<Measured, Error> {
    let context = context()?;
    let _entered = context.enter()?;
    let some = (0..50).map(|_| make(&context)).collect::<Result<Vec<T>, _>>()?;
    let mut things = Vec::with_capacity(THINGS);
    let before = heap();
    for _ in 0..THINGS {
        things.push(make(&context)?);
    }
    let taken = heap().saturating_sub(before);
    drop((some, things));
    Ok(Measured::alone(taken as f64 / THINGS as f64).noted(format!("{THINGS} of them")))
}

/// Records that wait behind an event that nobody has recorded yet.
fn pending_task() -> Result<Measured, Error> {
    let context = context()?;
    let (stream, other) = (context.create_stream()?, context.create_stream()?);
    let gate = context.create_event_with_flags(EventFlags::SYNC)?;
    let event = context.create_event()?;
    stream.wait(&gate)?;
    (0..50).try_for_each(|_| stream.record(&event))?;
    let before = heap();
    (0..THINGS).try_for_each(|_| stream.record(&event))?;
    let taken = heap().saturating_sub(before);
    other.record(&gate)?;
    stream.synchronize()?;
    Ok(Measured::alone(taken as f64 / THINGS as f64).noted(format!("{THINGS} of them, each a record")))
}

fn context() -> Result<Context, Error> {
    Ok(ascendcl::Acl::new()?.device(0)?.create_context()?)
}

/// Bytes that are taken from the heap.
fn heap() -> usize {
    // SAFETY: [os] the function takes nothing and gives numbers.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}
