//! Another thread gets the results: a closure in a stream runs when everything before it is done, on a thread that this crate
//! starts and stops.
//!
//! ```sh
//! cargo run --example 04_callback
//! ```

#[path = "common/failure.rs"]
mod failure;

use ascendcl::{Acl, Context, Error, PinnedBuffer, Result, Stream, Transfer};
use failure::Failure;
use std::{sync::mpsc, thread};

fn main() -> Result<(), Failure> {
    println!("main runs on {}", this_thread());
    let context = Acl::new()?.device(0)?.create_context()?;
    let stream = context.create_stream()?;

    // 1. Wait for what the closure returns. The copy before it is done when it runs, so the closure may take the copy with it and
    //    get the numbers out of it at once. It must not wait for anything else of the NPU.
    let download = round_trip(&context, &stream, &[1, 2, 3, 4])?;
    let callback = stream.launch_callback(move || -> Result<u64> {
        let numbers: PinnedBuffer<u64> = download.wait()?;
        println!("{:?} were received on {}", &numbers[..], this_thread());
        Ok(numbers.iter().sum())
    })?;
    println!("their sum is {}, says the callback", callback.wait()??);

    // 2. Await it: a callback is a future, for any executor. `block_on` is the smallest.
    let download = round_trip(&context, &stream, &[5, 6, 7])?;
    let sum = pollster::block_on(async {
        let callback =
            stream.launch_callback(move || download.wait().map(|numbers| numbers.iter().sum::<u64>()))?;
        callback.await?
    })?;
    println!("awaited the next sum: {sum}");

    // 3. Do not wait at all: let the closures send what they have, and pick it up elsewhere. They run in the stream's order.
    let (sender, results) = mpsc::channel();
    let consumer = thread::Builder::new().name("consumer".into()).spawn(move || {
        for (index, sum) in results {
            println!("result {index} is {sum}, on {}", this_thread());
        }
    })?;
    for index in 0..3 {
        let download = round_trip(&context, &stream, &[index, 10 * index, 100 * index])?;
        let sender = sender.clone();
        // The handle is not needed: the closure runs without it.
        drop(stream.launch_callback(move || {
            if let Ok(numbers) = download.wait() {
                // Nobody listens any more if the consumer has ended early.
                let _ = sender.send((index, numbers.iter().sum::<u64>()));
            }
        })?);
    }
    drop(sender);
    stream.synchronize()?; // in this mode the stream waits for its callbacks, so they have all run now
    consumer.join().expect("the consumer only prints");

    // 4. A panic stays in the closure. Who waits is told, and the stream goes on.
    println!("the panic of the next callback is announced on stderr, and caught:");
    let callback = stream.launch_callback(|| {
        if thread::current().name() != Some("main") {
            panic!("this is not main");
        }
    })?;
    match callback.wait() {
        Err(Error::Panicked { message }) => println!("it panicked with `{message}`"),
        other => println!("unexpected: {other:?}"),
    }
    println!("and the stream goes on: {}", stream.launch_callback(|| "still here")?.wait()?);
    Ok(stream.synchronize()?)
}

/// Enqueues the numbers' way to the device and back.
fn round_trip(context: &Context, stream: &Stream, numbers: &[u64]) -> Result<Transfer<u64>> {
    let device = context.alloc::<u64>(numbers.len())?;
    // Dropped un-waited, the upload keeps its memory until it is done; so does `device`, which the stream co-owns.
    drop(stream.upload(context.alloc_pinned_from(numbers)?, &device)?);
    Ok(stream.download(&device, context.alloc_pinned(numbers.len())?)?)
}

fn this_thread() -> String {
    let thread = thread::current();
    format!("thread `{}` ({:?})", thread.name().unwrap_or("unnamed"), thread.id())
}
