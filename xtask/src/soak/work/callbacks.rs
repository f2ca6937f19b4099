//! Closures in streams: in order, with results, slow, panicking, and with handles that are dropped in them.

use std::{
    any::Any,
    mem,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use ascendcl::{CallbackMode, Error};

use super::{
    EXPECTED_PANIC,
    outcome::{Failure, Outcome, demand},
    world::{World, values_of},
};
use crate::soak::plant::Plant;

pub fn in_order(world: &mut World) -> Outcome {
    let stream = world.stream();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut callbacks = Vec::new();
    for number in 0..world.random.usize(1..12) {
        let (order, mut ticket) = (order.clone(), world.ledger.ticket());
        callbacks.push(stream.launch_callback(move || {
            ticket.punch();
            order.lock().unwrap_or_else(PoisonError::into_inner).push(number);
        })?);
    }
    let count = callbacks.len();
    if world.random.bool() {
        callbacks.into_iter().rev().try_for_each(|callback| callback.wait())?;
    } else {
        stream.synchronize()?;
        for callback in callbacks {
            demand(callback.is_finished(), || {
                "a stream was waited for, and its callback has not run".into()
            })?;
        }
    }
    let order = order.lock().unwrap_or_else(PoisonError::into_inner);
    demand(order.iter().copied().eq(0..count), || format!("callbacks ran in the order {order:?}"))
}

/// A handle that goes inside a callback.
fn cargo(world: &mut World) -> Result<Box<dyn Any + Send>, Error> {
    let stream = world.stream();
    let context = stream.context().clone();
    Ok(match world.random.u8(..6) {
        0 => Box::new(context.alloc::<u32>(world.length())?),
        1 => Box::new(context.create_stream()?),
        2 => Box::new(context.create_event()?),
        3 => Box::new((context.device().create_context()?, context)),
        4 => {
            let pinned = context.alloc_pinned::<u32>(16)?;
            let buffer = context.alloc::<u32>(16)?;
            Box::new((stream.upload(pinned, &buffer)?, buffer, stream))
        }
        _ => Box::new(()),
    })
}

pub fn of_all_kinds(world: &mut World) -> Outcome {
    let stream = world.stream();
    let context = stream.context().clone();
    let mode = if world.random.u8(..3) == 0 { CallbackMode::NonBlocking } else { CallbackMode::Blocking };
    let mut callbacks = Vec::new();
    for _ in 0..world.random.usize(1..5) {
        let (cargo, context, mut ticket) = (cargo(world)?, context.clone(), world.ledger.ticket());
        let (panics, slow) = (world.random.u8(..8) == 0, world.random.u8(..8) == 0);
        if world.plant == Some(Plant::Closure) && world.number % 1000 > 900 {
            mem::forget(world.ledger.ticket());
        }
        let callback = stream.launch_callback_with(mode, move || {
            ticket.punch();
            if slow {
                thread::sleep(Duration::from_micros(500));
            }
            let refused = matches!(context.alloc::<u8>(1), Err(Error::InCallback { .. }));
            drop(cargo);
            if panics {
                std::panic::panic_any(EXPECTED_PANIC);
            }
            refused
        })?;
        callbacks.push((callback, panics));
    }
    for (mut callback, panics) in callbacks {
        let brief = Duration::from_micros(world.random.u64(1..1000));
        let outcome = match world.random.u8(..4) {
            // Nobody is interested.
            0 => continue,
            1 => callback.wait(),
            2 => pollster::block_on(callback),
            _ => loop {
                match callback.wait_timeout(brief) {
                    Ok(value) => break Ok(value),
                    Err(late) => match late.returned {
                        Some(again) => {
                            world.ledger.expected("waits for callbacks: time-out, and again");
                            callback = again;
                        }
                        None => break Err(late.error),
                    },
                }
            },
        };
        match outcome {
            Err(Error::Panicked { message }) if panics && message.contains(EXPECTED_PANIC) => {
                world.ledger.expected("callbacks: panicked");
            }
            Ok(true) if !panics => {}
            Ok(true) => return Err(Failure::Wrong("a panic was lost".into())),
            Ok(false) => return Err(Failure::Wrong("ACL was called inside a callback".into())),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The closure gets what was downloaded.
pub fn results(world: &mut World) -> Outcome {
    let stream = world.stream();
    let context = stream.context().clone();
    let (seed, values) = world.values();
    let buffer = context.alloc_from(&values)?;
    let download = stream.download(&buffer, context.alloc_pinned(values.len())?)?;
    let mut ticket = world.ledger.ticket();
    let length = values.len();
    let callback = stream.launch_callback(move || {
        ticket.punch();
        let read = download.wait()?;
        Ok::<bool, Error>(read[..] == values_of(seed, length)[..])
    })?;
    // The buffer goes before the callback runs, or not.
    drop(buffer);
    let right = callback.wait()??;
    demand(right, || "a callback did not get what was downloaded".into())
}
