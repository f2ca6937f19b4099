//! Handles come and go, with work on them.

use ascendcl::StreamFlags;

use super::{
    outcome::{Outcome, demand},
    world::World,
};

pub fn replace_stream(world: &mut World) -> Outcome {
    let place = world.place();
    let pick = world.random.usize(..world.places[place].streams.len());
    let context = world.places[place].context.clone();
    let new = match world.random.bool() {
        true => context.create_stream()?,
        false => context.create_stream_with(world.random.u32(..8), StreamFlags::empty())?,
    };
    let old = std::mem::replace(&mut world.places[place].streams[pick], new);
    // It goes with work on it.
    let buffer = context.alloc::<u32>(world.length())?;
    old.memset(&buffer, 1)?;
    if world.random.bool() {
        let mut ticket = world.ledger.ticket();
        drop(old.launch_callback(move || ticket.punch())?);
    }
    Ok(())
}

pub fn replace_place(world: &mut World) -> Outcome {
    let place = world.place();
    let new = world.open_place()?;
    let old = std::mem::replace(&mut world.places[place], new);
    // Any order will do.
    match world.random.u8(..3) {
        0 => drop(old),
        1 => {
            drop(old.context);
            drop(old.digits);
            drop(old.streams);
        }
        _ => {
            drop(old.streams);
            old.context.synchronize()?;
        }
    }
    Ok(())
}

pub fn events(world: &mut World) -> Outcome {
    let (first, second) = world.streams();
    let context = first.context().clone();
    let events: Vec<_> = (0..6).map(|_| context.create_event()).collect::<Result<_, _>>()?;
    for event in events {
        first.record(&event)?;
        second.wait(&event)?;
    }
    Ok(())
}

pub fn entered(world: &mut World) -> Outcome {
    let (one, other) = (world.places[0].context.clone(), world.places[1].context.clone());
    let outer = one.enter()?;
    let value = world.random.u32(..);
    let buffer = one.alloc_from(&[value])?;
    let inner = other.enter()?;
    let far = other.alloc_from(&[!value])?;
    world.same("what was written from another context", &buffer.to_vec()?, &[value])?;
    if world.random.bool() {
        drop(outer);
        world.same("what was read in the inner context", &far.to_vec()?, &[!value])?;
        drop(inner);
    } else {
        drop(inner);
        world.same("what was read in the outer context", &far.to_vec()?, &[!value])?;
        drop(outer);
    }
    Ok(())
}

pub fn questions(world: &mut World) -> Outcome {
    let stream = world.stream();
    let device = stream.device().clone();
    let memory = device.memory_info()?;
    demand(memory.free <= memory.total, || format!("{memory:?}"))?;
    device.name()?;
    world.acl.version()?;
    world.acl.run_mode()?;
    stream.is_idle()?;
    stream.id()?;
    let again = world.acl.device(device.id())?;
    demand(again == device, || "a device opened twice is not itself".into())
}
