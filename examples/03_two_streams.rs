//! Task b on stream 2 waits for task a on stream 1: an event orders them, and no thread waits.
//!
//! Task a writes a number to device memory, task b reads it. Streams run independently, so without an event b may read what was there
//! before. The event is made with `EventFlags::SYNC`, for use again and again: record, wait, reset.
//!
//! ```sh
//! cargo run --example 03_two_streams
//! ```

#[path = "common/failure.rs"]
mod failure;

use ascendcl::{Acl, Context, DeviceBuffer, Event, EventFlags, Result, Stream};
use failure::Failure;
use std::{thread, time::Duration};

const ROUNDS: u32 = 20;
const LEN: usize = 256;

struct Tasks {
    context: Context,
    first: Stream,
    second: Stream,
    shared: DeviceBuffer<u32>,
}

fn main() -> Result<(), Failure> {
    let context = Acl::new()?.device(0)?.create_context()?;
    let (first, second) = (context.create_stream()?, context.create_stream()?);
    let shared = context.alloc_from(&[0; LEN])?;
    let tasks = Tasks { context, first, second, shared };

    let stale = tasks.run(1, None)?;
    println!(
        "without an event: b read old numbers in {stale} of {ROUNDS} rounds; the order is not guaranteed"
    );

    let event = tasks.context.create_event_with_flags(EventFlags::SYNC)?;
    let stale = tasks.run(1 + ROUNDS, Some(&event))?;
    println!("with an event:    b read old numbers in {stale} of {ROUNDS} rounds");
    assert_eq!(stale, 0, "the event orders them");
    Ok(())
}

impl Tasks {
    /// Runs both tasks some times, with another number each time. Gives how often b read an old one.
    fn run(&self, first_number: u32, event: Option<&Event>) -> Result<u32> {
        let mut stale = 0;
        for number in first_number..first_number + ROUNDS {
            // Task a, on stream 1. It is made slow, as if it had to compute the number.
            let slow = self.first.launch_callback(|| thread::sleep(Duration::from_millis(2)))?;
            let upload = self.first.upload(self.context.alloc_pinned_from(&[number; LEN])?, &self.shared)?;

            if let Some(event) = event {
                // The event happens when stream 1 has got here ...
                self.first.record(event)?;
                // ... and stream 2 stands still until then.
                self.second.wait(event)?;
                // An event with flags stays set until it is reset: behind the wait that uses it, so in the same stream.
                self.second.reset(event)?;
            }

            // Task b, on stream 2.
            let download = self.second.download(&self.shared, self.context.alloc_pinned(LEN)?)?;

            // Everything is enqueued. Only now does this thread wait, to look at what b has read.
            let numbers = download.wait()?;
            if numbers.iter().any(|&read| read != number) {
                stale += 1;
            }
            upload.wait()?;
            slow.wait()?;
        }
        Ok(stale)
    }
}
