//! What enqueueing costs the host: the safe layer against the same C functions called through the same table.
//!
//! `cargo bench --bench dispatch`. Rows come in pairs, the baseline first. Each routine enqueues a hundred times and then waits for the
//! stream, so that the queue never fills.

use ascendcl::{Acl, EventFlags, Result};
use criterion::{Criterion, Throughput};

const ROUNDS: u64 = 100;

fn main() -> Result<()> {
    let acl = Acl::new()?;
    println!("backend: {}", acl.backend());
    let context = acl.device(0)?.create_context()?;
    let (first, second) = (context.create_stream()?, context.create_stream()?);
    let event = context.create_event_with_flags(EventFlags::SYNC)?;
    let _entered = context.enter()?;
    let mut criterion = Criterion::default().sample_size(40).configure_from_args();

    let raw = acl.raw();
    let (record, wait, reset, synchronize) = (
        raw.aclrtRecordEvent.expect("in every release"),
        raw.aclrtStreamWaitEvent.expect("in every release"),
        raw.aclrtResetEvent.expect("in every release"),
        raw.aclrtSynchronizeStream.expect("in every release"),
    );
    let mut group = criterion.benchmark_group("dispatch: record, wait, reset across two streams");
    group.throughput(Throughput::Elements(ROUNDS));
    group.bench_function("baseline: C functions", |bencher| {
        bencher.iter(|| {
            for _ in 0..ROUNDS {
                // SAFETY: the handles are alive, and of the context that is current.
                unsafe {
                    assert_eq!(record(event.as_raw(), first.as_raw()), 0);
                    assert_eq!(wait(second.as_raw(), event.as_raw()), 0);
                    assert_eq!(reset(event.as_raw(), second.as_raw()), 0);
                    assert_eq!(synchronize(second.as_raw()), 0);
                }
            }
        });
    });
    group.bench_function("ascendcl", |bencher| {
        bencher.iter(|| {
            for _ in 0..ROUNDS {
                first.record(&event).expect("record");
                second.wait(&event).expect("wait");
                second.reset(&event).expect("reset");
                second.synchronize().expect("wait for the stream");
            }
        });
    });
    group.finish();

    let plain = context.create_event()?;
    let mut group = criterion.benchmark_group("dispatch: record");
    group.throughput(Throughput::Elements(ROUNDS));
    group.bench_function("baseline: C functions", |bencher| {
        bencher.iter(|| {
            for _ in 0..ROUNDS {
                // SAFETY: as above.
                unsafe { assert_eq!(record(plain.as_raw(), first.as_raw()), 0) };
            }
            // SAFETY: as above.
            unsafe { assert_eq!(synchronize(first.as_raw()), 0) };
        });
    });
    group.bench_function("ascendcl, inside Context::enter", |bencher| {
        bencher.iter(|| {
            for _ in 0..ROUNDS {
                first.record(&plain).expect("record");
            }
            first.synchronize().expect("wait for the stream");
        });
    });
    drop(_entered);
    group.bench_function("ascendcl, binding each time", |bencher| {
        bencher.iter(|| {
            for _ in 0..ROUNDS {
                first.record(&plain).expect("record");
            }
            first.synchronize().expect("wait for the stream");
        });
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
