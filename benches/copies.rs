//! Copies between host and device, as seen by the host.
//!
//! `cargo bench --bench copies`. The baseline, in the same run, is a copy between two buffers of the host.

use ascendcl::{Acl, Result};
use criterion::{Criterion, Throughput};
use std::hint::black_box;

fn main() -> Result<()> {
    let acl = Acl::new()?;
    println!("backend: {}", acl.backend());
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let _entered = context.enter()?;
    let mut criterion = Criterion::default().configure_from_args();

    for bytes in [4usize << 10, 256 << 10, 16 << 20] {
        let mut group = criterion.benchmark_group(format!("copies, {} KiB", bytes >> 10));
        group.throughput(Throughput::Bytes(bytes as u64)).sample_size(40);
        let (source, mut target) = (vec![1u8; bytes], vec![0u8; bytes]);
        let device = context.alloc::<u8>(bytes)?;
        group.bench_function("baseline: host to host", |bencher| {
            bencher.iter(|| black_box(&mut target).copy_from_slice(black_box(&source)));
        });
        group.bench_function("host to device, blocking", |bencher| {
            bencher.iter(|| device.copy_from_slice(&source).expect("copy"));
        });
        group.bench_function("device to host, blocking", |bencher| {
            bencher.iter(|| device.copy_to_slice(&mut target).expect("copy"));
        });
        let mut pinned = Some(context.alloc_pinned::<u8>(bytes)?);
        group.bench_function("host to device, upload and wait", |bencher| {
            bencher.iter(|| {
                let upload = stream.upload(pinned.take().expect("given back"), &device).expect("upload");
                pinned = Some(upload.wait().expect("wait"));
            });
        });
        group.bench_function("device to host, download and wait", |bencher| {
            bencher.iter(|| {
                let download =
                    stream.download(&device, pinned.take().expect("given back")).expect("download");
                pinned = Some(download.wait().expect("wait"));
            });
        });
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}
