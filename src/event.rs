//! [`Event`]: a point in a stream, for ordering, waiting and timing.

use crate::{
    Context, Device, Error, Result,
    observe::span,
    record::Records,
    runtime::{Runtime, SendRaw, Site, acl, millis},
};
use ascendcl_sys::{self as sys, AclApi};
use std::{
    fmt, ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

bitflags::bitflags! {
    /// What an event can do. Ask for no more than is needed: timing makes recording slower.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct EventFlags: u32 {
        /// Streams can wait for it.
        #[doc(alias = "ACL_EVENT_SYNC")]
        const SYNC = sys::ACL_EVENT_SYNC;
        /// The host can ask for it and wait for it.
        #[doc(alias = "ACL_EVENT_CAPTURE_STREAM_PROGRESS")]
        const CAPTURE_STREAM_PROGRESS = sys::ACL_EVENT_CAPTURE_STREAM_PROGRESS;
        /// It takes the time.
        #[doc(alias = "ACL_EVENT_TIME_LINE")]
        const TIME_LINE = sys::ACL_EVENT_TIME_LINE;
        /// For kernels on the device only. Excludes all others.
        #[doc(alias = "ACL_EVENT_DEVICE_USE_ONLY")]
        const DEVICE_USE_ONLY = sys::ACL_EVENT_DEVICE_USE_ONLY;
        /// For updating tasks of a captured stream. Excludes all others.
        #[doc(alias = "ACL_EVENT_EXTERNAL")]
        const EXTERNAL = sys::ACL_EVENT_EXTERNAL;
        /// For sharing with other processes. Excludes all others; only [`Context::create_event_ex`].
        #[doc(alias = "ACL_EVENT_IPC")]
        const IPC = sys::ACL_EVENT_IPC;
    }
}

/// How an event was created, which decides what it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    Plain,
    Flags(EventFlags),
    Ex(EventFlags),
}

/// Whether an event has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum EventStatus {
    /// It was never recorded.
    NotRecorded,
    /// It was recorded, and its stream has not got there yet.
    Pending,
    /// Its stream has got there.
    Complete,
}

/// A point in a stream, for ordering, waiting and timing.
///
/// There are three kinds:
///
/// | created by | streams wait | recorded again | reset | timing |
/// |---|---|---|---|---|
/// | [`Context::create_event`] | for the latest record; there must be one | replaces the last | – | yes |
/// | [`Context::create_event_with_flags`] | with `SYNC`; also before it is recorded | after a reset | with `SYNC` | with `TIME_LINE` |
/// | [`Context::create_event_ex`] | with `SYNC`; not at all if never recorded | replaces the last | – | with `TIME_LINE` |
///
/// A cheap handle that any thread may use. An Ascend 310 or 310P has 1023 events, for all processes together: drop
/// what is not needed. Dropping an event with records or waits queued is fine.
///
/// ```
/// # fn main() -> Result<(), ascendcl::Error> {
/// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
/// let stream = context.create_stream()?;
/// let (start, end) = (context.create_event()?, context.create_event()?);
/// stream.record(&start)?;
/// stream.record(&end)?;
/// stream.synchronize()?;
/// println!("the device took {:?}", end.elapsed_since(&start)?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "aclrtDestroyEvent")]
pub struct Event {
    inner: Arc<EventInner>,
}

struct EventInner {
    context: Context,
    raw: sys::aclrtEvent,
    kind: EventKind,
    owned: bool,
    recorded: AtomicBool,
    /// For who awaits it.
    records: Records,
}

// SAFETY: [threads] the only field that is not Send and Sync by itself is `raw`, a handle of the C library that this crate never
// dereferences; events may be recorded, queried and waited for from several threads, and are destroyed only when no
// handle is left.
unsafe impl Send for EventInner {}
// SAFETY: [threads] as above.
unsafe impl Sync for EventInner {}

impl Context {
    /// Creates an event that can do everything: order streams, be waited for, take the time.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::InCallback`] inside a callback. That the device has no event left is told by [`Stream::record`](crate::Stream::record).
    #[doc(alias = "aclrtCreateEvent")]
    pub fn create_event(&self) -> Result<Event> {
        self.bind_checked("aclrtCreateEvent")?;
        let mut raw = ptr::null_mut();
        // SAFETY: [place] a valid place for the answer; the context is current.
        unsafe { acl!(self, aclrtCreateEvent(&mut raw)) }?;
        Ok(Event::new(self, raw, EventKind::Plain, true, false))
    }

    /// Creates an event that does what the flags say, and that is reset to be used again.
    ///
    /// With [`EventFlags::SYNC`] it takes one of the device's event numbers at once, and a stream that waits for it
    /// before it is recorded waits until it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfResources`](crate::ErrorKind::OutOfResources) when the device has no event left;
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for no flags, or flags that exclude each other.
    #[doc(alias = "aclrtCreateEventWithFlag")]
    pub fn create_event_with_flags(&self, flags: EventFlags) -> Result<Event> {
        self.bind_checked("aclrtCreateEventWithFlag")?;
        let mut raw = ptr::null_mut();
        // SAFETY: [place] as in `create_event`.
        unsafe { acl!(self, aclrtCreateEventWithFlag(&mut raw, flags.bits())) }?;
        Ok(Event::new(self, raw, EventKind::Flags(flags), true, false))
    }

    /// Creates an event that does what the flags say, and that may be recorded again without a reset. CANN 8.0 and later.
    ///
    /// # Errors
    ///
    /// [`Error::MissingSymbol`] before CANN 8.0; [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for no flags, or flags that exclude each
    /// other.
    #[doc(alias = "aclrtCreateEventExWithFlag")]
    pub fn create_event_ex(&self, flags: EventFlags) -> Result<Event> {
        self.bind_checked("aclrtCreateEventExWithFlag")?;
        let mut raw = ptr::null_mut();
        // SAFETY: [place] as in `create_event`.
        unsafe { acl!(self, aclrtCreateEventExWithFlag(&mut raw, flags.bits())) }?;
        Ok(Event::new(self, raw, EventKind::Ex(flags), true, false))
    }

    /// How many more events the device has, for all processes together.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::MissingSymbol`] before CANN 8.5.
    #[doc(alias = "aclrtGetEventAvailNum")]
    pub fn available_events(&self) -> Result<u32> {
        self.bind_checked("aclrtGetEventAvailNum")?;
        let mut events = 0;
        // SAFETY: [place] a valid place for the answer; the context is current.
        unsafe { acl!(self, aclrtGetEventAvailNum(&mut events)) }?;
        Ok(events)
    }
}

#[cold]
fn across_devices(op: &'static str, event: &Device, stream: &Device) -> Error {
    let what = format!(
        "the event is of device {}, the stream of device {}; events order streams of one device, across devices the host has to wait",
        event.id(),
        stream.id()
    );
    Error::Mismatch { op, what }
}

impl Event {
    fn new(context: &Context, raw: sys::aclrtEvent, kind: EventKind, owned: bool, recorded: bool) -> Event {
        let (recorded, records) = (AtomicBool::new(recorded), Records::default());
        Event {
            inner: Arc::new(EventInner { context: context.clone(), raw, kind, owned, recorded, records }),
        }
    }

    /// Takes over an event that other code made with `aclrtCreateEvent`, or, with `flags`, with `aclrtCreateEventWithFlag`.
    ///
    /// # Safety
    ///
    /// `raw` must be a live event, created while `context` was current. With `owned` it is destroyed when the last handle is
    /// dropped, and nobody else may destroy it; otherwise it must outlive all handles.
    pub unsafe fn from_raw(
        context: &Context,
        raw: sys::aclrtEvent,
        flags: Option<EventFlags>,
        owned: bool,
    ) -> Event {
        Event::new(context, raw, flags.map_or(EventKind::Plain, EventKind::Flags), owned, true)
    }

    /// The C handle. It stays valid as long as a handle of this event does.
    pub fn as_raw(&self) -> sys::aclrtEvent {
        self.inner.raw
    }

    /// The context it was made in.
    pub fn context(&self) -> &Context {
        &self.inner.context
    }

    /// The device.
    pub fn device(&self) -> &Device {
        self.inner.context.device()
    }

    /// Whether it has happened. Does not wait.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::InCallback`] inside a callback.
    #[doc(alias = "aclrtQueryEventStatus")]
    #[doc(alias = "aclrtQueryEvent")]
    pub fn query(&self) -> Result<EventStatus> {
        self.inner.context.bind("aclrtQueryEventStatus")?;
        if !self.is_recorded() {
            return Ok(EventStatus::NotRecorded);
        }
        // Events of the newer kind came after this function, and the older query does not know them.
        let newer = matches!(self.inner.kind, EventKind::Ex(_));
        let complete = if newer || self.api().aclrtQueryEventStatus.is_some() {
            let mut status = sys::ACL_EVENT_RECORDED_STATUS_NOT_READY;
            // SAFETY: [handle, place] the event is alive; a valid place for the answer.
            unsafe { acl!(self, aclrtQueryEventStatus(self.inner.raw, &mut status)) }?;
            status == sys::ACL_EVENT_RECORDED_STATUS_COMPLETE
        } else {
            // Before CANN 6: the older query, whose values are the other way round.
            let mut status = sys::ACL_EVENT_STATUS_NOT_READY;
            // SAFETY: [handle, place] as above.
            unsafe { acl!(self, aclrtQueryEvent(self.inner.raw, &mut status)) }?;
            status == sys::ACL_EVENT_STATUS_COMPLETE
        };
        Ok(if complete { EventStatus::Complete } else { EventStatus::Pending })
    }

    /// Whether it was recorded and its stream has got there.
    ///
    /// # Errors
    ///
    /// As [`Event::query`].
    #[doc(alias = "aclrtQueryEventStatus")]
    pub fn is_complete(&self) -> Result<bool> {
        Ok(self.query()? == EventStatus::Complete)
    }

    /// Whether all waits for this event that were enqueued are over.
    ///
    /// # Errors
    ///
    /// [`Error::EventMode`] for events of [`Context::create_event_ex`], which do not count their waits.
    #[doc(alias = "aclrtQueryEventWaitStatus")]
    pub fn waits_are_over(&self) -> Result<bool> {
        const OP: &str = "aclrtQueryEventWaitStatus";
        self.inner.context.bind(OP)?;
        if let EventKind::Ex(_) = self.inner.kind {
            return Err(Error::EventMode {
                op: OP,
                what: "events of create_event_ex do not count their waits; use create_event or create_event_with_flags",
            });
        }
        let mut status = sys::ACL_EVENT_WAIT_STATUS_NOT_READY;
        // SAFETY: [handle, place] the event is alive; a valid place for the answer.
        unsafe { acl!(self, aclrtQueryEventWaitStatus(self.inner.raw, &mut status)) }?;
        Ok(status == sys::ACL_EVENT_WAIT_STATUS_COMPLETE)
    }

    /// Waits in this thread until the latest record is reached. An event that was never recorded is not waited for.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::InCallback`] inside a callback, which the event may be waiting for.
    #[doc(alias = "aclrtSynchronizeEvent")]
    pub fn synchronize(&self) -> Result<()> {
        span!(DEBUG, "ascendcl::wait", "wait", op = "aclrtSynchronizeEvent", device = self.device().id(), event = ?self.inner.raw);
        self.inner.context.bind("aclrtSynchronizeEvent")?;
        let _listening = self.inner.context.listen();
        // SAFETY: [handle] the event is alive as long as this handle.
        unsafe { acl!(self, aclrtSynchronizeEvent(self.inner.raw)) }
    }

    /// As [`Event::synchronize`], but no longer than `timeout` (resolution: one millisecond, rounded up).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout); it may be waited for again.
    #[doc(alias = "aclrtSynchronizeEventWithTimeout")]
    pub fn synchronize_timeout(&self, timeout: Duration) -> Result<()> {
        span!(DEBUG, "ascendcl::wait", "wait", op = "aclrtSynchronizeEventWithTimeout", device = self.device().id(), event = ?self.inner.raw);
        self.inner.context.bind("aclrtSynchronizeEventWithTimeout")?;
        let _listening = self.inner.context.listen();
        // SAFETY: [handle] as above.
        unsafe { acl!(self, aclrtSynchronizeEventWithTimeout(self.inner.raw, millis(timeout))) }
    }

    /// The time the device took from `start` to this event.
    ///
    /// ACL gives milliseconds as a 32-bit float from clocks that count microseconds: the resolution is one microsecond up to
    /// some 16 seconds, and seven significant digits beyond.
    ///
    /// # Errors
    ///
    /// [`Error::NegativeElapsed`] if `start` came after; otherwise as [`Event::millis_since`].
    #[doc(alias = "aclrtEventElapsedTime")]
    pub fn elapsed_since(&self, start: &Event) -> Result<Duration> {
        let millis = self.millis_since(start)?;
        let time = Duration::try_from_secs_f64(f64::from(millis.abs()) / 1e3).unwrap_or(Duration::MAX);
        if millis < 0.0 { Err(Error::NegativeElapsed(time)) } else { Ok(time) }
    }

    /// The time the device took from `start` to this event, in milliseconds as ACL gives it: negative if `start` came after.
    ///
    /// # Errors
    ///
    /// [`Error::EventMode`] if one of them does not take the time or was never recorded; [`Error::Mismatch`] if they are of different
    /// devices; an error of ACL if one of them is not complete: synchronise first.
    #[doc(alias = "aclrtEventElapsedTime")]
    pub fn millis_since(&self, start: &Event) -> Result<f32> {
        const OP: &str = "aclrtEventElapsedTime";
        for event in [start, self] {
            event.check_time_line(OP)?;
        }
        if start.device() != self.device() {
            return Err(Error::Mismatch {
                op: OP,
                what: format!(
                    "the events are of devices {} and {}, whose clocks differ",
                    start.device().id(),
                    self.device().id()
                ),
            });
        }
        self.inner.context.bind(OP)?;
        let mut millis = 0.0;
        // SAFETY: [handle, place] both events are alive; a valid place for the answer.
        unsafe { acl!(self, aclrtEventElapsedTime(&mut millis, start.inner.raw, self.inner.raw)) }?;
        Ok(millis)
    }

    /// When its stream got there, since the device was started. Resolution: one microsecond.
    ///
    /// # Errors
    ///
    /// [`Error::EventMode`] if it does not take the time or was never recorded; an error of ACL if it is not complete;
    /// [`Error::MissingSymbol`] before CANN 8.1.
    #[doc(alias = "aclrtEventGetTimestamp")]
    pub fn timestamp(&self) -> Result<Duration> {
        const OP: &str = "aclrtEventGetTimestamp";
        self.check_time_line(OP)?;
        self.inner.context.bind(OP)?;
        let mut micros = 0;
        // SAFETY: [handle, place] the event is alive; a valid place for the answer.
        unsafe { acl!(self, aclrtEventGetTimestamp(self.inner.raw, &mut micros)) }?;
        Ok(Duration::from_micros(micros))
    }

    pub(crate) fn kind(&self) -> EventKind {
        self.inner.kind
    }

    pub(crate) fn is_recorded(&self) -> bool {
        self.inner.recorded.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn records(&self) -> &Records {
        &self.inner.records
    }

    #[inline]
    pub(crate) fn set_recorded(&self) {
        // Usually set already: do not write to a shared line for nothing.
        if !self.inner.recorded.load(Ordering::Relaxed) {
            self.inner.recorded.store(true, Ordering::Release);
        }
    }

    #[inline]
    pub(crate) fn check_device(&self, op: &'static str, stream: &Device) -> Result<()> {
        if self.device() == stream { Ok(()) } else { Err(across_devices(op, self.device(), stream)) }
    }

    #[inline]
    pub(crate) fn check_wait(&self, op: &'static str, stream: &Device) -> Result<()> {
        self.check_device(op, stream)?;
        let what = match self.inner.kind {
            EventKind::Plain if self.is_recorded() => return Ok(()),
            EventKind::Plain => {
                "the event was never recorded; record it first, or create it with EventFlags::SYNC, which may be waited for before"
            }
            EventKind::Flags(flags) | EventKind::Ex(flags) => {
                if flags.intersects(EventFlags::SYNC | EventFlags::EXTERNAL | EventFlags::IPC) {
                    return Ok(());
                }
                "streams can wait only for events created with EventFlags::SYNC"
            }
        };
        Err(Error::EventMode { op, what })
    }

    fn check_time_line(&self, op: &'static str) -> Result<()> {
        match self.inner.kind {
            EventKind::Flags(flags) | EventKind::Ex(flags) if !flags.contains(EventFlags::TIME_LINE) => {
                Err(Error::EventMode {
                    op,
                    what: "only events created with EventFlags::TIME_LINE take the time",
                })
            }
            _ if !self.is_recorded() => Err(Error::EventMode {
                op,
                what: "the event was never recorded, so it has no time; record it first",
            }),
            _ => Ok(()),
        }
    }
}

impl PartialEq for Event {
    /// Whether both are handles of one event.
    fn eq(&self, other: &Event) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Event {}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("device", &self.device().id())
            .field("kind", &self.inner.kind)
            .field("raw", &self.inner.raw)
            .finish()
    }
}

impl Site for Event {
    #[inline]
    fn runtime(&self) -> &Runtime {
        self.inner.context.runtime()
    }

    #[inline]
    fn api(&self) -> &'static AclApi {
        self.inner.context.api()
    }

    fn device_id(&self) -> Option<i32> {
        self.inner.context.device_id()
    }
}

impl Drop for EventInner {
    fn drop(&mut self) {
        if self.owned {
            let raw = SendRaw::new(self.raw);
            self.context.dispose(move |context| {
                // SAFETY: [once] no handle is left, so no call is using it, and this is the only destruction; queued records and waits stay
                // valid, because ACL frees what they need when they are done.
                unsafe { acl!(context, aclrtDestroyEvent(raw.get())) }
            });
        }
    }
}
