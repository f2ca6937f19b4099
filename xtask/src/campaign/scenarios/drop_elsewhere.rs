//! Handles are made on one thread, used on another and dropped on a third.

use std::sync::mpsc;
use std::thread;

use ascendcl::{Acl, Context, DeviceBuffer, Event, PinnedBuffer, Stream};

use super::super::lab::{Failure, Lab, Outcome, holds, same};

/// What goes from thread to thread.
struct Made {
    round: u32,
    context: Context,
    stream: Stream,
    buffer: DeviceBuffer<u32>,
    event: Event,
    pinned: PinnedBuffer<u32>,
}

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let (to_user, at_user) = mpsc::channel();
    let (to_dropper, at_dropper) = mpsc::channel();
    lab.step("three threads");
    let (used, made) = thread::scope(|scope| {
        let user = scope.spawn(move || -> Outcome {
            for Made { round, context, stream, buffer, event, pinned } in at_user {
                let download = stream.download(&buffer, pinned)?;
                stream.record(&event)?;
                let callback = stream.launch_callback(lab.closure(move || round))?;
                lab.sync_event(&event)?;
                same("what came back", &lab.get(download)?, &[round; 50])?;
                holds(lab.wait(callback)? == round, "the callback's result")?;
                let scratch = context.alloc::<u32>(50)?;
                stream.memset(&scratch, 3)?;
                let left = stream.launch_callback(lab.closure(|| ()))?;
                let _ = to_dropper.send((context, stream, buffer, event, scratch, left));
            }
            Ok(())
        });
        let dropper = scope.spawn(move || {
            for (context, stream, buffer, event, scratch, left) in at_dropper {
                drop(context);
                drop(buffer);
                drop(stream);
                drop(scratch);
                drop(left);
                drop(event);
            }
        });
        let made = (0..4_u32).try_for_each(|round| -> Outcome {
            let context = acl.device(round as i32 % 2)?.create_context()?;
            let (stream, event) = (context.create_stream()?, context.create_event()?);
            let buffer = context.alloc_from(&[round; 50])?;
            let pinned = context.alloc_pinned::<u32>(50)?;
            // The user may have met an error.
            let _ = to_user.send(Made { round, context, stream, buffer, event, pinned });
            Ok(())
        });
        drop(to_user);
        let panicked = |_| Err(Failure::Wrong("a thread panicked".into()));
        let used = user.join().unwrap_or_else(panicked);
        (used.and(dropper.join().map_err(|_| Failure::Wrong("a thread panicked".into()))), made)
    });
    if let Err(Failure::Acl(error)) = &used {
        lab.note(error);
    }
    made.and(used)
}
