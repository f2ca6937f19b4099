//! Data goes to devices, between them and back, and is compared bit by bit.

use ascendcl::Error;

use super::{
    outcome::{Failure, Outcome},
    world::World,
};

pub fn round_trip(world: &mut World) -> Outcome {
    let (first, second) = world.streams();
    let context = first.context().clone();
    let (_, values) = world.values();
    let buffer = context.alloc::<u32>(values.len())?;
    let upload = first.upload(context.alloc_pinned_from(&values)?, &buffer)?;
    if first != second {
        let uploaded = context.create_event()?;
        first.record(&uploaded)?;
        second.wait(&uploaded)?;
    }
    let download = second.download(&buffer, context.alloc_pinned(values.len())?)?;
    // The buffer's memory is the streams' now.
    drop(buffer);
    let (uploaded, downloaded) = if world.random.bool() {
        let uploaded = upload.wait()?;
        (uploaded, download.wait()?)
    } else {
        let downloaded = download.wait()?;
        (upload.wait()?, downloaded)
    };
    world.same("what was uploaded", &uploaded, &values)?;
    world.same("what was downloaded", &downloaded, &values)
}

pub fn blocking(world: &mut World) -> Outcome {
    let context = world.context();
    let (_, mut values) = world.values();
    let one = context.alloc_from(&values)?;
    let other = context.alloc::<u32>(values.len())?;
    other.copy_from(&one)?;
    let (from, to) = (world.random.usize(..=values.len()), world.random.usize(..=values.len()));
    let (from, to) = (from.min(to), from.max(to));
    let byte = world.random.u8(..);
    other.view(from..to)?.memset(byte)?;
    values[from..to].fill(u32::from_ne_bytes([byte; 4]));
    let mut read = vec![0; values.len()];
    other.copy_to_slice(&mut read)?;
    world.same("what was copied and set", &read, &values)
}

pub fn on_streams(world: &mut World) -> Outcome {
    let (first, second) = world.streams();
    let context = first.context().clone();
    let (_, mut values) = world.values();
    let (one, other) = (context.alloc_from(&values)?, context.alloc::<u32>(values.len())?);
    let cut = world.random.usize(..=values.len());
    let byte = world.random.u8(..);
    first.memset(&one.view(..cut)?, byte)?;
    values[..cut].fill(u32::from_ne_bytes([byte; 4]));
    if first != second {
        let set = context.create_event()?;
        first.record(&set)?;
        second.wait(&set)?;
    }
    second.copy(&one, &other)?;
    second.synchronize()?;
    world.same("what streams set and copied", &other.to_vec()?, &values)
}

pub fn between_devices(world: &mut World) -> Outcome {
    let (from, to) = (world.places[0].context.clone(), world.places[1].context.clone());
    let (here, there) = (from.device(), to.device());
    if here != there {
        if !here.can_access_peer(there)? {
            return Ok(());
        }
        // Never taken back: other threads use it too.
        here.enable_peer_access(there)?;
        there.enable_peer_access(here)?;
    }
    let (_, values) = world.values();
    let (source, target) = (from.alloc_from(&values)?, to.alloc::<u32>(values.len())?);
    if world.random.bool() {
        target.copy_from(&source)?;
    } else {
        let stream = world.places[1].streams[0].clone();
        match stream.copy(&source, &target) {
            // Only from its own device.
            Err(Error::Mismatch { .. }) => target.copy_from(&source)?,
            other => other?,
        }
        stream.synchronize()?;
    }
    world.same("what was copied between devices", &target.to_vec()?, &values)
}

/// Nobody waits: everything is given to the streams to finish with.
pub fn dropped(world: &mut World) -> Outcome {
    let stream = match world.random.u8(..4) {
        // It goes with its work.
        0 => world.context().create_stream()?,
        _ => world.stream(),
    };
    let context = stream.context().clone();
    for _ in 0..world.random.usize(1..6) {
        let (_, values) = world.values();
        let buffer = context.alloc::<u32>(values.len())?;
        let upload = stream.upload(context.alloc_pinned_from(&values)?, &buffer)?;
        let download = stream.download(&buffer, context.alloc_pinned(values.len())?)?;
        match world.random.u8(..3) {
            0 => drop((upload, download)),
            1 => drop((download, buffer, upload)),
            _ => {
                drop(upload);
                match download.wait_timeout(std::time::Duration::from_millis(1)) {
                    Ok(read) => world.same("what was downloaded in time", &read, &values)?,
                    Err(late) if late.error.is_timeout() => {
                        world.ledger.expected("wait_timeout: not finished, and dropped");
                        if late.returned.is_none() {
                            return Err(Failure::Wrong("a time-out did not give the transfer back".into()));
                        }
                    }
                    Err(other) => return Err(other.into()),
                }
            }
        }
    }
    Ok(())
}
