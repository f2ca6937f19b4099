//! Device time, by events, of copies and of model execution.
//!
//! `cargo bench --bench event_elapsed`. What is measured is the time between two events around the work; the rows with `empty`
//! are two events with nothing between them, which is what the others include.

use ascendcl::{Acl, Dataset, Model, Result};
use ascendcl_criterion::DeviceTime;
use criterion::{Criterion, Throughput};
use std::path::Path;

fn main() -> Result<()> {
    let acl = Acl::new()?;
    println!("backend: {}", acl.backend());
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let mut criterion = Criterion::default()
        .with_measurement(DeviceTime::new(&stream)?)
        .sample_size(30)
        .configure_from_args();

    let mut group = criterion.benchmark_group("event_elapsed");
    group.bench_function("empty", |bencher| bencher.iter(|| ()));
    for bytes in [4 << 10, 1 << 20, 16 << 20] {
        let (from, to) = (context.alloc::<u8>(bytes)?, context.alloc::<u8>(bytes)?);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(format!("device to device, {} KiB", bytes >> 10), |bencher| {
            bencher.iter(|| stream.copy(&from, &to).expect("enqueue a copy"));
        });
    }
    group.finish();

    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/assets/digits");
    let file = if acl.is_simulated() { "digits.onnx" } else { "digits.om" };
    let model = Model::load(&context, assets.join(file))?;
    let image = context.alloc::<f32>(64)?;
    image.memset(0)?;
    let (inputs, outputs) = (Dataset::new(&context, [image.as_bytes()])?, model.create_outputs()?);
    let mut group = criterion.benchmark_group("event_elapsed");
    group.throughput(Throughput::Elements(1));
    group.bench_function("model execution, digits", |bencher| {
        bencher.iter(|| model.execute_async(&stream, &inputs, &outputs).expect("enqueue an execution"));
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
