//! How long it takes from launching a callback until its result is back in this thread.
//!
//! `cargo bench --bench callback_round_trip`. The baseline, in the same run, is waiting for the stream: what one pays anyway to
//! know that work is done.

use ascendcl::{Acl, Result};
use criterion::{Criterion, Throughput};

fn main() -> Result<()> {
    let acl = Acl::new()?;
    println!("backend: {}", acl.backend());
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let event = context.create_event()?;
    let _entered = context.enter()?;
    let mut criterion = Criterion::default().configure_from_args();

    let mut group = criterion.benchmark_group("callback_round_trip");
    group.bench_function("baseline: record and wait for the stream", |bencher| {
        bencher.iter(|| {
            stream.record(&event).expect("record");
            stream.synchronize().expect("wait");
        });
    });
    group.bench_function("launch_callback and wait", |bencher| {
        bencher.iter(|| stream.launch_callback(|| 1).expect("launch").wait().expect("wait"));
    });
    group.throughput(Throughput::Elements(64));
    group.bench_function("launch 64 callbacks, wait for the last", |bencher| {
        bencher.iter(|| {
            let callbacks: Vec<_> =
                (0..64).map(|number| stream.launch_callback(move || number).expect("launch")).collect();
            callbacks.into_iter().map(|callback| callback.wait().expect("wait")).sum::<u64>()
        });
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
