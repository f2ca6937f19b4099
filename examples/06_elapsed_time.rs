//! How long the device takes: events around copies of several sizes, in all three directions.
//!
//! ```sh
//! cargo run --release --example 06_elapsed_time
//! ```

#[path = "common/failure.rs"]
mod failure;

use ascendcl::{Acl, Event, Result, Stream};
use failure::Failure;
use std::time::Duration;

const REPEATS: usize = 7;

fn main() -> Result<(), Failure> {
    let acl = Acl::new()?;
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    // Events of this kind can do everything, also take the time, and are recorded as often as one likes.
    let events = [context.create_event()?, context.create_event()?];

    println!("{}, time on device 0 between two events, median of {REPEATS},", acl.backend());
    println!("in whole microseconds, which is the resolution of event times:\n");
    println!(
        "{:>10}  {:>24}  {:>24}  {:>24}",
        "size", "host to device", "device to host", "device to device"
    );
    for kib in [1, 16, 256, 1 << 10, 4 << 10, 16 << 10] {
        let bytes = kib << 10;
        let (from, to) = (context.alloc::<u8>(bytes)?, context.alloc::<u8>(bytes)?);
        // A copy takes the pinned memory and gives it back, so that the next can have it.
        let pinned = context.alloc_pinned::<u8>(bytes)?;
        let (up, pinned) = measure(&stream, &events, pinned, |pinned| {
            let upload = stream.upload(pinned, &from)?;
            stream.record(&events[1])?;
            upload.wait()
        })?;
        let (down, _) = measure(&stream, &events, pinned, |pinned| {
            let download = stream.download(&from, pinned)?;
            stream.record(&events[1])?;
            download.wait()
        })?;
        let (across, ()) = measure(&stream, &events, (), |()| {
            stream.copy(&from, &to)?;
            stream.record(&events[1])
        })?;
        println!("{:>6} KiB  {}  {}  {}", kib, cell(bytes, up), cell(bytes, down), cell(bytes, across));
    }
    Ok(())
}

/// The median time between the two events. `copy` enqueues a copy and records the second event behind it.
fn measure<T>(
    stream: &Stream,
    [start, end]: &[Event; 2],
    mut memory: T,
    copy: impl Fn(T) -> Result<T>,
) -> Result<(Duration, T)> {
    let mut times = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        stream.record(start)?;
        memory = copy(memory)?;
        // Both events must be complete before the time between them is known.
        stream.synchronize()?;
        times.push(end.elapsed_since(start)?);
    }
    times.sort();
    Ok((times[REPEATS / 2], memory))
}

fn cell(bytes: usize, time: Duration) -> String {
    // A small copy may take less than can be measured.
    let microseconds = time.as_secs_f64() * 1e6;
    if microseconds < 1.0 {
        return format!("{:>10}  {:>12}", "< 1 µs", "-");
    }
    let gigabytes = bytes as f64 / time.as_secs_f64() / 1e9;
    format!("{:>10}  {:>7.2} GB/s", format!("{microseconds:.0} µs"), gigabytes)
}
