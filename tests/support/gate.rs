//! Gates hold a stream back until they are opened, so that tests need no clock.

use ascendcl::{Callback, Event, EventFlags, Result, Stream};
use std::sync::mpsc::{self, Sender};

/// Holds streams back by an event that nobody has recorded yet. While it is closed, no thread waits.
pub struct Gate {
    event: Event,
    opener: Stream,
}

impl Gate {
    /// Puts a closed gate into a stream.
    pub fn close(stream: &Stream) -> Result<Gate> {
        let context = stream.context();
        let gate = Gate {
            event: context.create_event_with_flags(EventFlags::SYNC)?,
            opener: context.create_stream()?,
        };
        gate.also(stream)?;
        Ok(gate)
    }

    /// Puts it into another stream too.
    pub fn also(&self, stream: &Stream) -> Result<()> {
        stream.wait(&self.event)
    }

    /// Lets the streams go on.
    pub fn open(self) -> Result<()> {
        self.opener.record(&self.event)
    }
}

/// Holds a stream back by a callback that waits for the test. While it is closed, the report thread of the context waits in it.
pub struct HostGate {
    open: Sender<()>,
    passed: Callback<()>,
}

impl HostGate {
    /// Puts a closed gate into a stream.
    pub fn close(stream: &Stream) -> Result<HostGate> {
        let (open, opened) = mpsc::channel();
        let passed = stream.launch_callback(move || {
            let _ = opened.recv();
        })?;
        Ok(HostGate { open, passed })
    }

    /// One of a closure that waits for `open` to be dropped.
    pub fn of(open: Sender<()>, passed: Callback<()>) -> HostGate {
        HostGate { open, passed }
    }

    /// Lets the stream go on. Gives the callback, to wait for.
    pub fn open(self) -> Callback<()> {
        drop(self.open);
        self.passed
    }
}
