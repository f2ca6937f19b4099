//! Awaiting: copies, events, streams and callbacks are plain futures. This program has no runtime: `pollster::block_on` runs one future,
//! and the futures of several devices are polled together by a few lines below. The same code runs under tokio: see `examples/service`.
//!
//! ```sh
//! cargo run --example 08_await
//! ```

#[path = "common/failure.rs"]
mod failure;

use ascendcl::{Acl, Device, Result};
use failure::Failure;
use std::{
    future::{self, Future},
    pin::Pin,
    task::Poll,
};

fn main() -> Result<(), Failure> {
    let acl = Acl::new()?;
    let devices = acl.devices()?;

    // 1. One after another: each `await` waits for one thing, and no thread of this program waits for a device but in `block_on`.
    let sum = pollster::block_on(round_trip(&devices[0], 3))?;
    println!("device 0: the sum of what came back is {sum}");

    // 2. All devices at once, on this one thread.
    let all: Vec<_> =
        (1..).zip(&devices).map(|(factor, device)| Box::pin(round_trip(device, factor))).collect();
    for (device, sum) in devices.iter().zip(pollster::block_on(join(all))) {
        println!("device {}: together with the others, {}", device.id(), sum?);
    }
    Ok(())
}

/// Numbers to the device and back.
async fn round_trip(device: &Device, factor: u64) -> Result<u64> {
    let context = device.create_context()?;
    let (copies, other) = (context.create_stream()?, context.create_stream()?);
    let numbers: Vec<u64> = (0..1000).map(|number| number * factor).collect();
    let there = context.alloc::<u64>(numbers.len())?;

    // A copy gives its host memory back when it is awaited.
    let pinned = copies.upload(context.alloc_pinned_from(&numbers)?, &there)?.await?;

    // An event is awaited without waiting for what stands behind it in the stream.
    let (filled, fence) = (context.alloc::<u8>(1 << 20)?, context.create_event()?);
    other.memset(&filled, 7)?;
    other.record(&fence)?;
    fence.completion().await?;

    // A closure's result. It runs in a callback, behind the copy.
    let download = copies.download(&there, pinned)?;
    let sum = copies.launch_callback(move || download.wait().map(|numbers| numbers.iter().sum()))?;
    let sum: u64 = sum.await??;

    // Everything that was enqueued. A future that is dropped instead loses nothing: the work goes on, and what it uses is kept.
    drop(copies.upload(context.alloc_pinned_from(&numbers)?, &there)?);
    copies.completion().await?;
    Ok(sum)
}

/// Polls all futures whenever one is woken. Libraries have better ones: `futures::future::join_all`, `tokio::join!`.
async fn join<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    future::poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let Poll::Ready(ready) = Pin::new(future).poll(context)
            {
                *output = Some(ready);
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
