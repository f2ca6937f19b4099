//! Device time for [criterion]: measures what an Ascend NPU took, not what the host did meanwhile.
//!
//! [`DeviceTime`] records an event before and behind each measured routine, waits for the stream, and takes the time between
//! the two events. Use it for kernels, copies and models of one's own:
//!
//! ```no_run
//! use ascendcl::Acl;
//! use ascendcl_criterion::DeviceTime;
//! use criterion::Criterion;
//!
//! # fn main() -> Result<(), ascendcl::Error> {
//! let context = Acl::new()?.device(0)?.create_context()?;
//! let stream = context.create_stream()?;
//! let (from, to) = (context.alloc::<u8>(1 << 20)?, context.alloc::<u8>(1 << 20)?);
//!
//! let mut criterion = Criterion::default().with_measurement(DeviceTime::new(&stream)?);
//! criterion.bench_function("copy 1 MiB within the device", |bencher| {
//!     bencher.iter(|| stream.copy(&from, &to).unwrap());
//! });
//! # Ok(())
//! # }
//! ```
//!
//! What the routine enqueues must be on the same stream, and is timed as a whole: criterion runs a routine many times between the two
//! events and divides.

use ascendcl::{Event, EventFlags, Stream};
use criterion::{
    Throughput,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use std::{cell::RefCell, time::Duration};

/// Measures the time between two points of a stream by events. Resolution: one microsecond.
pub struct DeviceTime {
    stream: Stream,
    /// Events to use again: an Ascend 310 has only 1023.
    idle: RefCell<Vec<Event>>,
    wall: WallTime,
}

impl DeviceTime {
    /// Measures what is enqueued on `stream`.
    pub fn new(stream: &Stream) -> ascendcl::Result<Self> {
        let context = stream.context();
        let idle = vec![
            context.create_event_with_flags(EventFlags::TIME_LINE | EventFlags::CAPTURE_STREAM_PROGRESS)?,
            context.create_event_with_flags(EventFlags::TIME_LINE | EventFlags::CAPTURE_STREAM_PROGRESS)?,
        ];
        Ok(DeviceTime { stream: stream.clone(), idle: RefCell::new(idle), wall: WallTime })
    }

    fn record(&self) -> Event {
        let event = self.idle.borrow_mut().pop().map_or_else(|| self.stream.context().create_event(), Ok);
        // A benchmark cannot return errors; one without numbers must not pass for one with.
        let event = event.expect("create an event to measure with");
        self.stream.record(&event).expect("record an event to measure with");
        event
    }
}

impl Measurement for DeviceTime {
    type Intermediate = Event;
    type Value = Duration;

    fn start(&self) -> Event {
        self.record()
    }

    fn end(&self, start: Event) -> Duration {
        let end = self.record();
        self.stream.synchronize().expect("wait for the measured work");
        let elapsed = end.elapsed_since(&start).expect("read the events");
        self.idle.borrow_mut().extend([start, end]);
        elapsed
    }

    fn add(&self, left: &Duration, right: &Duration) -> Duration {
        *left + *right
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        self.wall.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &DeviceTimeFormatter
    }
}

/// Says that it is the device's time.
struct DeviceTimeFormatter;

impl ValueFormatter for DeviceTimeFormatter {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        match WallTime.formatter().scale_values(typical, values) {
            "ps" => "ps on device",
            "ns" => "ns on device",
            "µs" => "µs on device",
            "ms" => "ms on device",
            "s" => "s on device",
            other => other,
        }
    }

    fn scale_throughputs(&self, typical: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_throughputs(typical, throughput, values)
    }

    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_for_machines(values)
    }
}
