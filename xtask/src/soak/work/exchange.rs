//! Handles that threads give each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ascendcl::{Callback, Context, DeviceBuffer, Event, PinnedBuffer, Stream, Transfer};

use super::{
    outcome::{Outcome, demand},
    world::{World, values_of},
};

/// A handle, and what is known of it.
enum Parcel {
    Buffer(DeviceBuffer<u32>, u64),
    Pinned(PinnedBuffer<u32>, u64),
    Transfer(Transfer<u32>, u64, usize),
    Callback(Callback<u64>, u64),
    Stream(Stream),
    Event(Event),
    Context(Context),
}

/// What nobody has at the moment.
#[derive(Default)]
pub struct Exchange {
    parcels: Mutex<Vec<Parcel>>,
}

const MOST: usize = 48;

impl Exchange {
    fn lock(&self) -> MutexGuard<'_, Vec<Parcel>> {
        self.parcels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn clear(&self) {
        let parcels = std::mem::take(&mut *self.lock());
        drop(parcels);
    }
}

pub fn give(world: &mut World) -> Outcome {
    let stream = world.stream();
    let context = stream.context().clone();
    let (seed, values) = world.values();
    let parcel = match world.random.u8(..8) {
        0 => Parcel::Buffer(context.alloc_from(&values)?, seed),
        1 => Parcel::Pinned(context.alloc_pinned_from(&values)?, seed),
        2 => {
            let buffer = context.alloc::<u32>(values.len())?;
            Parcel::Transfer(stream.upload(context.alloc_pinned_from(&values)?, &buffer)?, seed, values.len())
        }
        3 => {
            let buffer = context.alloc_from(&values)?;
            let pinned = context.alloc_pinned(values.len())?;
            Parcel::Transfer(stream.download(&buffer, pinned)?, seed, values.len())
        }
        4 => {
            let mut ticket = world.ledger.ticket();
            let callback = stream.launch_callback(move || {
                ticket.punch();
                seed
            })?;
            Parcel::Callback(callback, seed)
        }
        5 => Parcel::Stream(context.create_stream()?),
        6 => {
            let event = context.create_event()?;
            stream.record(&event)?;
            Parcel::Event(event)
        }
        _ => Parcel::Context(context),
    };
    // One that was there goes when there are too many: on this thread, outside the lock.
    let mut parcels = world.exchange.lock();
    parcels.push(parcel);
    let full = parcels.len() > MOST;
    let surplus = full.then(|| parcels.swap_remove(world.random.usize(..MOST)));
    drop(parcels);
    drop(surplus);
    Ok(())
}

pub fn take(world: &mut World) -> Outcome {
    let parcel = {
        let mut parcels = world.exchange.lock();
        match parcels.len() {
            0 => return Ok(()),
            count => parcels.swap_remove(world.random.usize(..count)),
        }
    };
    if world.random.u8(..3) == 0 {
        // Dropped on the report thread of a context that has nothing to do with it.
        let mut ticket = world.ledger.ticket();
        let callback = world.stream().launch_callback(move || {
            ticket.punch();
            drop(parcel);
        })?;
        return Ok(callback.wait()?);
    }
    match parcel {
        Parcel::Buffer(buffer, seed) => {
            world.same("what another thread wrote", &buffer.to_vec()?, &values_of(seed, buffer.len()))
        }
        Parcel::Pinned(pinned, seed) => {
            world.same("what another thread pinned", &pinned, &values_of(seed, pinned.len()))
        }
        Parcel::Transfer(transfer, seed, length) => {
            world.same("what another thread copied", &transfer.wait()?, &values_of(seed, length))
        }
        Parcel::Callback(callback, seed) => {
            let got = callback.wait()?;
            demand(got == seed, || format!("{got} came for {seed}"))
        }
        Parcel::Stream(stream) => {
            let buffer = stream.context().alloc::<u32>(64)?;
            stream.memset(&buffer, 7)?;
            stream.synchronize()?;
            world.same("what a stream of another thread set", &buffer.to_vec()?, &[0x0707_0707; 64])
        }
        Parcel::Event(event) => Ok(event.synchronize()?),
        Parcel::Context(context) => {
            let stream = context.create_stream()?;
            let mut ticket = world.ledger.ticket();
            Ok(stream.launch_callback(move || ticket.punch())?.wait()?)
        }
    }
}
