//! Events: every kind, and chains of streams that wait for each other.

use ascendcl::{EventFlags, EventStatus};

use super::{
    outcome::{Outcome, demand},
    world::World,
};

pub fn every_kind(world: &mut World) -> Outcome {
    let (first, second) = world.streams();
    let context = first.context().clone();
    match world.random.u8(..3) {
        0 => {
            let (start, end) = (context.create_event()?, context.create_event()?);
            demand(start.query()? == EventStatus::NotRecorded, || "a new event was recorded".into())?;
            first.record(&start)?;
            first.record(&end)?;
            second.wait(&end)?;
            end.synchronize()?;
            demand(start.is_complete()? && end.is_complete()?, || {
                "an event was waited for, and is not complete".into()
            })?;
            end.elapsed_since(&start)?;
        }
        1 => {
            let event = context.create_event_with_flags(EventFlags::SYNC | EventFlags::TIME_LINE)?;
            for _ in 0..2 {
                first.record(&event)?;
                second.wait(&event)?;
                second.synchronize()?;
                demand(event.waits_are_over()?, || "a wait is over, and the event does not know".into())?;
                second.reset(&event)?;
                second.synchronize()?;
            }
        }
        _ => {
            let event = context.create_event_ex(EventFlags::SYNC | EventFlags::TIME_LINE)?;
            first.record(&event)?;
            second.wait(&event)?;
            first.record(&event)?;
            event.synchronize()?;
        }
    }
    Ok(())
}

/// One buffer goes round the streams; each adds what it can see only if it came behind the one before.
pub fn chain(world: &mut World) -> Outcome {
    let place = world.place();
    let (context, streams) = (world.places[place].context.clone(), world.places[place].streams.clone());
    let length = world.random.usize(1..512);
    let buffers: Vec<_> =
        (0..=streams.len()).map(|_| context.alloc::<u32>(length)).collect::<Result<_, _>>()?;
    let byte = world.random.u8(..);
    streams[0].memset(&buffers[0], byte)?;
    for (number, stream) in streams.iter().enumerate() {
        stream.copy(&buffers[number], &buffers[number + 1])?;
        if let Some(next) = streams.get(number + 1) {
            let copied = context.create_event()?;
            stream.record(&copied)?;
            next.wait(&copied)?;
        }
    }
    streams[streams.len() - 1].synchronize()?;
    let expected = vec![u32::from_ne_bytes([byte; 4]); length];
    world.same("what went round", &buffers[streams.len()].to_vec()?, &expected)
}
