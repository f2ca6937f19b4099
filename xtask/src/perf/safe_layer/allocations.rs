//! What enqueueing takes from the heap, once everything has been used.

#[path = "../../../../tests/support/heap.rs"]
mod heap;

use std::hint::black_box;

use ascendcl::{Acl, Context, EventFlags, Model, PinnedBuffer, Stream};

use crate::{
    error::Error,
    perf::{
        measure::Effort,
        row::{Limit, Measured, Row, Target, Unit},
    },
    workspace,
};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// Enough for batches to be closed, fenced and released many times.
const OPERATIONS: usize = 1000;
const BYTES: usize = 4096;

/// The rows: one for each way to enqueue.
pub fn rows() -> Vec<Row> {
    const NONE: Target = Target::Ours(Limit::AtMost(0.0));
    let row = |name, title, target, run| Row { name, title, unit: Unit::Count, target, run, ..Row::PLAIN };
    vec![
        row("allocations-events", "heap allocations of record, wait and reset together", NONE, |_| events()),
        row("allocations-copy", "heap allocations of a blocking copy", NONE, |_| copies()),
        row("allocations-upload", "heap allocations of an upload whose transfer is dropped", NONE, |_| {
            uploads()
        }),
        row("allocations-execute", "heap allocations of an asynchronous execution", NONE, |_| executions()),
        row(
            "allocations-callback",
            "heap allocations of a callback, from its launch until its result is collected",
            Target::Ours(Limit::AtMost(1.0)),
            |_: Effort| callbacks(),
        ),
    ]
}

/// A context in the simulator, whose functions are wrapped: what they allocate is not counted.
fn context() -> Result<Context, Error> {
    let mut table = Box::new(*ascendcl_sim::api());
    heap::wrap(&mut table, ascendcl_sim::api());
    // SAFETY: [layout] the functions are those of the simulator, behind wrappers that hand everything on, and stay for ever.
    let acl = unsafe { Acl::from_table(Box::leak(table)) }?;
    Ok(acl.device(0)?.create_context()?)
}

/// So many are enqueued between two waits: no queue is full then.
const WINDOW: usize = 200;

/// Allocations of an operation, after some that are not counted. First as many as ever there are wait on the stream, which then has all that it
/// will need, however fast the device is afterwards.
fn steady(stream: &Stream, mut operation: impl FnMut() -> ascendcl::Result<()>) -> Result<Measured, Error> {
    let context = stream.context();
    let gate = context.create_event_with_flags(EventFlags::SYNC)?;
    stream.wait(&gate)?;
    (0..WINDOW).try_for_each(|_| operation())?;
    context.create_stream()?.record(&gate)?;
    stream.synchronize()?;
    let mut all = || -> ascendcl::Result<()> {
        for _ in 0..OPERATIONS / WINDOW {
            (0..WINDOW).try_for_each(|_| operation())?;
            stream.synchronize()?;
        }
        Ok(())
    };
    all()?;
    let mut result = Ok(());
    let taken = heap::count(|| result = all());
    result?;
    Ok(Measured::alone(taken as f64 / OPERATIONS as f64).noted(format!("{taken} in {OPERATIONS}")))
}

fn events() -> Result<Measured, Error> {
    let context = context()?;
    let (first, second) = (context.create_stream()?, context.create_stream()?);
    let event = context.create_event_with_flags(EventFlags::SYNC)?;
    let operation = || {
        first.record(&event)?;
        second.wait(&event)?;
        second.reset(&event)?;
        second.synchronize()
    };
    // Each is waited for: a record that came before the reset of another would be lost.
    steady(&context.create_stream()?, operation)
}

fn copies() -> Result<Measured, Error> {
    let context = context()?;
    let (stream, device) = (context.create_stream()?, context.alloc::<u8>(BYTES)?);
    let values = [7; BYTES];
    steady(&stream, || device.copy_from_slice(&values))
}

fn uploads() -> Result<Measured, Error> {
    let context = context()?;
    let (stream, device) = (context.create_stream()?, context.alloc::<u8>(BYTES)?);
    // Memory for all of them: it goes with the transfers.
    let pinned = (0..2 * OPERATIONS + WINDOW).map(|_| context.alloc_pinned(BYTES));
    let mut pinned = pinned.collect::<Result<Vec<PinnedBuffer<u8>>, _>>()?.into_iter();
    let operation = || match pinned.next() {
        Some(pinned) => stream.upload(pinned, &device).map(drop).map_err(|rejected| rejected.error),
        None => Ok(()),
    };
    steady(&stream, operation)
}

fn executions() -> Result<Measured, Error> {
    let context = context()?;
    let stream = context.create_stream()?;
    let model = Model::load(&context, workspace::root().join("examples/assets/digits/digits.onnx"))?;
    let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
    inputs.buffers().iter().try_for_each(|buffer| buffer.memset(0))?;
    steady(&stream, || model.execute_async(&stream, &inputs, &outputs))
}

fn callbacks() -> Result<Measured, Error> {
    let context = context()?;
    let stream = context.create_stream()?;
    let numbers = [1_u64; 8];
    steady(&context.create_stream()?, || stream.launch_callback(move || black_box(numbers))?.wait().map(drop))
}
