//! What enqueueing takes from the heap, once everything has been used: nothing, and for a callback one allocation at most.

#[path = "support/heap.rs"]
mod heap;
mod support;

use ascendcl::{Acl, EventFlags, Model, PinnedBuffer, Stream};
use std::hint::black_box;
use support::{Gate, TestResult, with_table};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// Enough for batches to be closed, fenced and released many times.
const OPERATIONS: usize = 1000;

/// On the embedded simulator, whose functions are wrapped.
fn counted(body: impl FnOnce(&Acl) -> TestResult) -> TestResult {
    with_table(|table| heap::wrap(table, ascendcl_sim::api()), body)
}

/// So many are enqueued between two waits: no queue is full then.
const WINDOW: usize = 200;

/// Allocations of so many operations, after some that are not counted. First as many as ever there are wait on the stream, which then has all
/// that it will need, however fast the device is afterwards.
fn steady(stream: &Stream, mut operation: impl FnMut(), synchronize: impl Fn()) -> u64 {
    let gate = Gate::close(stream).unwrap();
    (0..WINDOW).for_each(|_| operation());
    gate.open().unwrap();
    synchronize();
    let mut all = || {
        for _ in 0..OPERATIONS / WINDOW {
            (0..WINDOW).for_each(|_| operation());
            synchronize();
        }
    };
    all();
    heap::count(all)
}

sim_test! {
    fn counting_counts() {
        counted(|_| {
            assert_eq!(heap::count(|| drop(black_box(Box::new(5)))), 1);
            assert_eq!(heap::count(|| ()), 0);
            Ok(())
        })?;
    }
}

sim_test! {
    fn events_take_nothing() {
        counted(|acl| {
            let context = acl.device(0)?.create_context()?;
            let streams = [context.create_stream()?, context.create_stream()?];
            let event = context.create_event()?;
            let flagged = context.create_event_with_flags(EventFlags::SYNC)?;
            let operation = || {
                streams[0].record(&event).unwrap();
                streams[1].wait(&event).unwrap();
                streams[0].record(&flagged).unwrap();
                streams[0].wait(&flagged).unwrap();
                streams[0].reset(&flagged).unwrap();
            };
            let synchronize = || streams.iter().for_each(|stream| stream.synchronize().unwrap());
            assert_eq!(steady(&streams[0], operation, synchronize), 0);
            // The same where the context is known.
            let _entered = context.enter()?;
            assert_eq!(steady(&streams[0], operation, synchronize), 0);
            Ok(())
        })?;
    }
}

sim_test! {
    fn copies_take_nothing() {
        counted(|acl| {
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            let (device, other) = (context.alloc::<u8>(4096)?, context.alloc::<u8>(4096)?);
            let mut values = [1; 4096];
            let blocking = steady(
                &stream,
                || {
                    device.copy_from_slice(&values).unwrap();
                    device.copy_to_slice(&mut values).unwrap();
                },
                || (),
            );
            assert_eq!(blocking, 0);
            let queued = steady(
                &stream,
                || {
                    stream.copy(&device, &other).unwrap();
                    stream.memset(&other, 1).unwrap();
                },
                || stream.synchronize().unwrap(),
            );
            assert_eq!(queued, 0);
            let mut pinned = Some(context.alloc_pinned::<u8>(4096)?);
            let there_and_back = steady(
                // Each is waited for: the stream itself cannot be held back.
                &context.create_stream()?,
                || {
                    let upload = stream.upload(pinned.take().unwrap(), &device).unwrap();
                    let download = stream.download(&device, upload.wait().unwrap()).unwrap();
                    pinned = Some(download.wait().unwrap());
                },
                || (),
            );
            assert_eq!(there_and_back, 0);
            Ok(())
        })?;
    }
}

sim_test! {
    fn uploads_that_are_dropped_take_nothing() {
        counted(|acl| {
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            let device = context.alloc::<u8>(4096)?;
            // Memory for all of them: it goes with the transfers.
            let pinned = (0..2 * OPERATIONS + WINDOW).map(|_| context.alloc_pinned(4096));
            let mut pinned: Vec<PinnedBuffer<u8>> = pinned.collect::<Result<_, _>>()?;
            let taken = steady(
                &stream,
                || drop(stream.upload(pinned.pop().unwrap(), &device).unwrap()),
                || stream.synchronize().unwrap(),
            );
            assert_eq!(taken, 0);
            Ok(())
        })?;
    }
}

sim_test! {
    fn executions_take_nothing() {
        counted(|acl| {
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            let model = Model::load(&context, "examples/assets/digits/digits.onnx")?;
            let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
            inputs.buffers().iter().try_for_each(|buffer| buffer.memset(0))?;
            let taken = steady(
                &stream,
                || model.execute_async(&stream, &inputs, &outputs).unwrap(),
                || stream.synchronize().unwrap(),
            );
            assert_eq!(taken, 0);
            Ok(())
        })?;
    }
}

sim_test! {
    fn callbacks_take_one_each() {
        counted(|acl| {
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            let mut numbers = [0_u64; 8];
            let taken = steady(
                &stream,
                || {
                    numbers[0] += 1;
                    drop(stream.launch_callback(move || black_box(numbers)).unwrap());
                },
                || stream.synchronize().unwrap(),
            );
            // How many are outstanding at once differs, and the list of them grows with the most.
            let (once, twice) = (OPERATIONS as u64, OPERATIONS as u64 + 20);
            assert!((once..=twice).contains(&taken), "{taken}");
            Ok(())
        })?;
    }
}
