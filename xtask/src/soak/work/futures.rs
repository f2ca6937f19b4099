//! Transfers and callbacks as futures: awaited, asked once, cancelled.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use ascendcl::Error;

use super::{
    outcome::{Failure, Outcome},
    world::World,
};

/// Asks a future once.
fn ask<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

pub fn transfers(world: &mut World) -> Outcome {
    let stream = world.stream();
    let context = stream.context().clone();
    let (_, values) = world.values();
    let buffer = context.alloc::<u32>(values.len())?;
    let mut upload = stream.upload(context.alloc_pinned_from(&values)?, &buffer)?;
    let mut download = stream.download(&buffer, context.alloc_pinned(values.len())?)?;
    match world.random.u8(..4) {
        0 => {
            let both = async { (upload.await, download.await) };
            let (uploaded, downloaded) = pollster::block_on(both);
            world.same("what was awaited", &downloaded?, &values)?;
            world.same("what was given back", &uploaded?, &values)
        }
        1 => {
            // Cancelled after it was asked, that is with a callback out.
            if let Poll::Ready(Err(error)) = ask(&mut upload) {
                return Err(error.into());
            }
            drop(upload);
            world.same(
                "what was awaited behind one that was cancelled",
                &pollster::block_on(download)?,
                &values,
            )
        }
        2 => match ask(&mut download) {
            Poll::Ready(read) => world.same("what was there at once", &read?, &values),
            // Asked by one, awaited by another.
            Poll::Pending => world.same("what was asked for", &pollster::block_on(download)?, &values),
        },
        _ => {
            for asked in [ask(&mut download), ask(&mut upload)] {
                if let Poll::Ready(Err(error)) = asked {
                    return Err(error.into());
                }
            }
            Ok(())
        }
    }
}

pub fn callbacks(world: &mut World) -> Outcome {
    let stream = world.stream();
    let number = world.random.u64(..);
    let mut ticket = world.ledger.ticket();
    let mut callback = stream.launch_callback(move || {
        ticket.punch();
        number
    })?;
    let got = match world.random.u8(..3) {
        0 => pollster::block_on(callback)?,
        1 => match ask(&mut callback) {
            Poll::Ready(got) => got?,
            // Cancelled: the closure runs all the same.
            Poll::Pending => return Ok(()),
        },
        _ => {
            // On another thread than the one that launched.
            let (sender, receiver) = std::sync::mpsc::channel();
            let waiter = std::thread::Builder::new().spawn(move || {
                _ = sender.send(pollster::block_on(callback));
            });
            let waiter =
                waiter.map_err(|error| Error::Os { op: "starting a thread", message: error.to_string() })?;
            let got = receiver.recv().map_err(|_| Failure::Wrong("a thread that awaits is gone".into()))?;
            waiter.join().map_err(|_| Failure::Wrong("a thread that awaits panicked".into()))?;
            got?
        }
    };
    if got == number { Ok(()) } else { Err(Failure::Wrong(format!("{got} came for {number}"))) }
}
