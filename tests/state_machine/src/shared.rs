//! What several programs have in common: a stream, an event and a buffer that all of them use at once. What comes of it does not depend on
//! who is first.

use crate::{
    operation::{Patience, Share},
    world::{Outcome, World, require},
};
use ascendcl::{Device, DeviceBuffer, Event, Stream};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

const LENGTH: usize = 48;

/// How many closures were launched, ran and are gone.
#[derive(Default)]
pub struct Counts {
    launched: AtomicUsize,
    ran: AtomicUsize,
    dropped: AtomicUsize,
}

struct Counted(Arc<Counts>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counts {
    /// To be called when everything is over.
    pub fn check(&self) -> Result<(), String> {
        let count = |of: &AtomicUsize| of.load(Ordering::SeqCst);
        let (launched, ran, dropped) = (count(&self.launched), count(&self.ran), count(&self.dropped));
        if (ran, dropped) == (launched, launched) {
            return Ok(());
        }
        Err(format!("of {launched} closures on the shared stream {ran} ran and {dropped} are gone"))
    }
}

pub struct Shared {
    stream: Stream,
    event: Event,
    buffer: DeviceBuffer<u8>,
    counts: Arc<Counts>,
}

impl Shared {
    pub fn new(device: &Device) -> ascendcl::Result<Arc<Shared>> {
        let context = device.create_context()?;
        let (stream, event) = (context.create_stream()?, context.create_event()?);
        stream.record(&event)?;
        let buffer = context.alloc::<u8>(LENGTH)?;
        stream.memset(&buffer, 1)?;
        Ok(Arc::new(Shared { stream, event, buffer, counts: Arc::default() }))
    }

    /// The objects go, with what they still do.
    pub fn end(self: Arc<Self>) -> Arc<Counts> {
        self.counts.clone()
    }

    fn launch(&self) -> ascendcl::Result<()> {
        let counted = Counted(self.counts.clone());
        self.counts.launched.fetch_add(1, Ordering::SeqCst);
        let callback = self.stream.launch_callback(move || {
            counted.0.ran.fetch_add(1, Ordering::SeqCst);
        })?;
        drop(callback);
        Ok(())
    }
}

impl World {
    pub fn share(&mut self, share: Share) -> Outcome {
        let Some(shared) = self.shared.clone() else { return Ok(()) };
        match share {
            Share::Launch => shared.launch()?,
            Share::Memset(byte) => shared.stream.memset(&shared.buffer, byte)?,
            Share::Download => {
                let pinned = shared.stream.context().alloc_pinned(LENGTH)?;
                let download =
                    shared.stream.download(&shared.buffer, pinned).map_err(ascendcl::Error::from)?;
                let bytes = download.wait()?;
                require(bytes.iter().all(|&byte| byte == bytes[0]), || {
                    format!("two memsets of one stream are mixed: {bytes:?}")
                })?;
            }
            Share::Record => shared.stream.record(&shared.event)?,
            Share::Wait(stream) => self.stream(stream)?.wait(&shared.event)?,
            Share::Query => {
                shared.event.query()?;
                shared.event.waits_are_over()?;
                shared.stream.is_idle()?;
            }
            Share::Synchronize => {
                let limited = |time| shared.stream.synchronize_timeout(time);
                self.wait_for(Patience::Ample, || Ok(()), limited)?;
            }
        }
        Ok(())
    }
}
