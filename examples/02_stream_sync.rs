//! This thread waits: work is put into a stream, which does it by itself, and this thread asks and waits in three ways.
//!
//! ```sh
//! cargo run --example 02_stream_sync
//! ```

#[path = "common/failure.rs"]
mod failure;

use ascendcl::Acl;
use failure::Failure;
use std::{
    thread,
    time::{Duration, Instant},
};

fn main() -> Result<(), Failure> {
    let context = Acl::new()?.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let memory = context.alloc::<u32>(1 << 20)?;
    let numbers: Vec<u32> = (0..1 << 20).collect();
    let source = context.alloc_pinned_from(&numbers)?;
    let target = context.alloc_pinned::<u32>(numbers.len())?;

    // Each of these calls returns at once. The stream does them one after another.
    let start = Instant::now();
    let slow = stream.launch_callback(|| thread::sleep(Duration::from_millis(60)))?; // a task that takes its time
    let upload = stream.upload(source, &memory)?;
    let download = stream.download(&memory, target)?;
    println!(
        "{:>9.1?}  three tasks are enqueued; the stream is {}",
        start.elapsed(),
        state(stream.is_idle()?)
    );

    // Wait, but not for ever. The stream goes on working after a timeout.
    match stream.synchronize_timeout(Duration::from_millis(10)) {
        Ok(()) => println!("{:>9.1?}  done within 10 ms", start.elapsed()),
        Err(error) if error.is_timeout() => {
            // `{error}` is the whole story, with what ACL wrote about it. Here the name of the code is enough.
            let code = error.code().map_or("a timeout".into(), |code| code.to_string());
            println!("{:>9.1?}  not done within 10 ms: {code}", start.elapsed());
        }
        Err(error) => return Err(error.into()),
    }

    // Ask now and then, and do something else in between.
    let mut asked = 1;
    while !stream.is_idle()? && start.elapsed() < Duration::from_millis(40) {
        asked += 1;
        thread::sleep(Duration::from_millis(5));
    }
    println!("{:>9.1?}  asked {asked} times; the stream is {}", start.elapsed(), state(stream.is_idle()?));

    // Wait for everything that was enqueued.
    stream.synchronize()?;
    println!("{:>9.1?}  synchronised; the stream is {}", start.elapsed(), state(stream.is_idle()?));

    // The copies had taken the pinned memory. Now they are done, so this gives it back without waiting.
    let (source, target) = (upload.wait()?, download.wait()?);
    slow.wait()?;
    println!("{:>9.1?}  {} numbers went to device 0 and back", start.elapsed(), target.len());
    assert_eq!(source[..], target[..], "they came back as they went");
    Ok(())
}

fn state(idle: bool) -> &'static str {
    if idle { "idle" } else { "busy" }
}
