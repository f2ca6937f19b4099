//! Gates hold a stream back until they are opened: waits for it run out of time, and can be repeated.

use std::time::Duration;

use ascendcl::{Error, Event, EventFlags, Result, Stream};

use super::{
    again,
    outcome::{Failure, Outcome},
    world::World,
};

/// Opens when it is dropped, at the latest.
struct Gate {
    event: Event,
    opener: Stream,
    closed: bool,
}

impl Gate {
    fn close(stream: &Stream) -> Result<Self> {
        let context = stream.context();
        let event = context.create_event_with_flags(EventFlags::SYNC)?;
        let opener = context.create_stream()?;
        stream.wait(&event)?;
        Ok(Self { event, opener, closed: true })
    }

    fn open(&mut self) -> Result<()> {
        if self.closed {
            again(|| self.opener.record(&self.event))?;
            self.closed = false;
        }
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // Otherwise the stream would hang, which is seen.
        _ = self.open();
    }
}

pub fn timeouts(world: &mut World) -> Outcome {
    // A stream of its own: others of the context must not wait behind the gate.
    let context = world.context();
    let stream = context.create_stream()?;
    let mut gate = Gate::close(&stream)?;
    let (_, values) = world.values();
    if values.is_empty() {
        return Ok(());
    }
    let buffer = context.alloc::<u32>(values.len())?;
    let upload = stream.upload(context.alloc_pinned_from(&values)?, &buffer)?;
    let download = stream.download(&buffer, context.alloc_pinned(values.len())?)?;
    let after = context.create_event()?;
    stream.record(&after)?;
    let brief = Duration::from_millis(world.random.u64(1..4));
    let waited = match world.random.u8(..4) {
        0 => stream.synchronize_timeout(brief),
        1 => context.synchronize_timeout(brief),
        2 => after.synchronize_timeout(brief),
        _ => {
            let callback = stream.launch_callback(|| ())?;
            match callback.wait_timeout(brief) {
                Ok(()) => Ok(()),
                Err(late) => Err(late.error),
            }
        }
    };
    expect_timeout(world, waited)?;
    let download = match download.wait_timeout(brief) {
        Ok(_) => return Err(Failure::Wrong("a copy behind a closed gate is done".into())),
        Err(late) => {
            expect_timeout(world, Err(late.error))?;
            late.returned.ok_or(Failure::Wrong("a time-out did not give the transfer back".into()))?
        }
    };
    if world.random.bool() {
        // Everything goes while it waits; the gate opens behind it.
        return Ok(());
    }
    gate.open()?;
    world.same("what waited at a gate", &download.wait()?, &values)?;
    upload.wait()?;
    Ok(())
}

fn expect_timeout(world: &World, waited: Result<(), Error>) -> Outcome {
    match waited {
        Ok(()) => Err(Failure::Wrong("a stream passed a closed gate".into())),
        Err(error) if error.is_timeout() => {
            world.ledger.expected("waits for what cannot be done: time-out");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
