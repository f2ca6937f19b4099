//! Results go to other threads: waited for, awaited, sent through a channel; and a closure that panics.

use std::sync::mpsc;

use ascendcl::{Acl, Context, Error, Stream, Transfer};

use super::super::lab::{Failure, Lab, ON_PURPOSE, Outcome, holds};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    lab.step("wait for a closure's result");
    let download = round_trip(&context, &stream, &[1, 2, 3, 4])?;
    let callback = stream
        .launch_callback(lab.closure(move || download.wait().map(|numbers| numbers.iter().sum::<u64>())))?;
    holds(lab.wait(callback)?? == 10, "the first sum")?;

    lab.step("await a closure's result");
    let download = round_trip(&context, &stream, &[5, 6, 7])?;
    let callback = stream
        .launch_callback(lab.closure(move || download.wait().map(|numbers| numbers.iter().sum::<u64>())))?;
    holds(lab.block_on(callback)?? == 18, "the awaited sum")?;

    lab.step("results through a channel");
    let (sender, results) = mpsc::channel();
    for index in 0..3_u64 {
        let download = round_trip(&context, &stream, &[index, 10 * index])?;
        let sender = sender.clone();
        drop(stream.launch_callback(lab.closure(move || {
            if let Ok(numbers) = download.wait() {
                let _ = sender.send(numbers.iter().sum::<u64>());
            }
        }))?);
    }
    drop(sender);
    lab.sync(&stream)?;
    for index in 0..3 {
        let sum = lab.receive(&results)?.ok_or(Failure::Missing("a sum"))?;
        holds(sum == 11 * index, "a sum from the channel, in order")?;
    }

    lab.step("a closure panics, and the next does not");
    let callback = stream.launch_callback(lab.closure(|| panic!("{ON_PURPOSE}")))?;
    match lab.wait::<()>(callback) {
        Err(Error::Panicked { message }) => holds(message == ON_PURPOSE, "the panic's message")?,
        Err(error) => return Err(error.into()),
        Ok(()) => return Err(Failure::Wrong("a closure that panics returned".into())),
    }
    let inside = {
        let (context, stream) = (context.clone(), stream.clone());
        stream.clone().launch_callback(lab.closure(move || {
            let calls = [stream.synchronize(), context.create_event().map(drop), stream.is_idle().map(drop)];
            calls.into_iter().all(|call| matches!(call, Err(Error::InCallback { .. })))
        }))?
    };
    holds(lab.wait(inside)?, "calls inside a callback are refused")?;
    lab.sync(&stream)?;
    Ok(())
}

/// The numbers' way to the device and back.
fn round_trip(context: &Context, stream: &Stream, numbers: &[u64]) -> Result<Transfer<u64>, Failure> {
    let device = context.alloc::<u64>(numbers.len())?;
    drop(stream.upload(context.alloc_pinned_from(numbers)?, &device)?);
    Ok(stream.download(&device, context.alloc_pinned(numbers.len())?)?)
}
