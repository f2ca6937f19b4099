//! Events: points in the work of a stream that hosts and other streams can wait for.
//!
//! Three kinds, by the function that makes them. Those of `aclrtCreateEventWithFlag` with the sync flag are a level: a record raises
//! it, a reset lowers it, a wait passes while it is up. The others count records: a wait captures the latest record at the time of
//! the call and passes when that one is done, whatever is recorded later.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ascendcl_sys::{self as sys, aclError};

use super::instance::Instance;
use super::shared_event::SharedEvent;
use super::stream::Stream;
use super::wait::{Waitable, Waiter};
use super::{Device, clock};
use crate::check::leak::{LiveKind, register};
use crate::check::{self, Mark, Misuse, misuse};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::{Condvar, Mutex};

pub(crate) static EVENTS: Table<Event> = Table::new(Kind::Event);

/// How long a record waits for a hardware event to become free before it gives up.
const ID_PATIENCE: Duration = Duration::from_secs(1);

/// Records among which the next one that is done is looked for first.
const NEAR: usize = 8;

/// Flags of events that streams can wait for. The third is one that the runtime accepts and its headers do not name.
const WAITED_FOR: u32 = sys::ACL_EVENT_SYNC | sys::ACL_EVENT_EXTERNAL | sys::ACL_EVENT_IPC | 0x4;

/// How an event was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `aclrtCreateEvent`
    Plain,
    /// `aclrtCreateEventWithFlag`
    Flagged,
    /// `aclrtCreateEventExWithFlag`
    Extended,
}

/// What a queued wait waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The level is up.
    Level,
    /// The record of this number is done.
    Record(u64),
}

pub(crate) struct Event {
    mode: Mode,
    flags: u32,
    device: Arc<Device>,
    state: Mutex<State>,
    done: Condvar,
    mark: Mark,
    /// Of an event that processes share: then its records are counted there, and of the rest of this only the flags matter.
    shared: Option<Arc<SharedEvent>>,
    /// The instance that captures it, and what it stands for there.
    captured: Mutex<Option<(Weak<Instance>, usize)>>,
}

#[derive(Default)]
struct State {
    /// The hardware event, from creation or from the first record until the last task that uses the event is gone.
    id: Option<u32>,
    /// Number of the latest record; 0 if there was none.
    issued: u64,
    /// Number of the latest record that is in the queue of its stream, or was.
    submitted: u64,
    /// Records that are not done, ascending.
    pending: VecDeque<u64>,
    /// Those of them that never will be, since their stream was aborted.
    aborted: Vec<u64>,
    /// The record done with the highest number, and when its stream reached it.
    stamp: Option<(u64, u64)>,
    level: bool,
    /// Waits submitted and not passed yet.
    waits: usize,
    waiters: Vec<(Until, Waiter)>,
}

impl Until {
    /// As the key of a wait.
    pub(crate) fn key(self) -> u64 {
        match self {
            Self::Level => 0,
            Self::Record(number) => number,
        }
    }

    fn of(key: u64) -> Self {
        if key == 0 { Self::Level } else { Self::Record(key) }
    }
}

impl State {
    fn passed(&self, until: Until) -> bool {
        match until {
            Until::Level => self.level,
            Until::Record(number) => !self.is_pending(number),
        }
    }

    fn latest_done(&self) -> bool {
        !self.is_pending(self.issued)
    }

    fn is_pending(&self, number: u64) -> bool {
        // Mostly it is the oldest or the latest that is asked for.
        self.pending.back() == Some(&number)
            || self.pending.front().is_some_and(|&oldest| oldest <= number)
                && self.pending.binary_search(&number).is_ok()
    }

    /// Wakes the streams whose wait is over. A stream's lock comes after an event's.
    fn wake(&mut self) {
        if self.waiters.is_empty() {
            return;
        }
        let mut waiters = std::mem::take(&mut self.waiters);
        waiters.retain(|(until, waiter)| {
            let passed = self.passed(*until);
            if passed {
                waiter.wake();
            }
            !passed
        });
        self.waiters = waiters;
    }
}

impl Event {
    /// Makes an event of `device` and gives its handle.
    pub(crate) fn create(
        device: &Arc<Device>,
        mode: Mode,
        flags: u32,
    ) -> Result<*mut core::ffi::c_void, aclError> {
        let mut state = State::default();
        if mode == Mode::Flagged && flags & (sys::ACL_EVENT_SYNC | sys::ACL_EVENT_EXTERNAL) != 0 {
            state.id = Some(device.events().take().ok_or_else(|| out_of_ids(device))?);
            warn_if_few(device);
        }
        let shared = if flags == sys::ACL_EVENT_IPC { Some(SharedEvent::create()?) } else { None };
        Self::insert(device, mode, flags, state, shared)
    }

    /// Opens an event of another process.
    pub(crate) fn open(device: &Arc<Device>, key: &str) -> Result<*mut core::ffi::c_void, aclError> {
        let shared = SharedEvent::open(key)?;
        Self::insert(device, Mode::Extended, sys::ACL_EVENT_IPC, State::default(), Some(shared))
    }

    fn insert(
        device: &Arc<Device>,
        mode: Mode,
        flags: u32,
        state: State,
        shared: Option<Arc<SharedEvent>>,
    ) -> Result<*mut core::ffi::c_void, aclError> {
        let event = Arc::new(Self {
            mode,
            flags,
            device: Arc::clone(device),
            state: Mutex::new(state),
            done: Condvar::new(),
            mark: Mark::default(),
            shared,
            captured: Mutex::new(None),
        });
        let registration = register(LiveKind::Event, format!("flag {flags:#x} on device {}", device.id()));
        EVENTS.insert(event, registration).ok_or_else(|| out_of_ids(device))
    }

    /// What other processes open it by, if it is one that processes share.
    pub(crate) fn key(&self) -> Option<String> {
        self.shared.as_ref().map(|shared| shared.key())
    }

    /// How it was made.
    pub(crate) fn flags(&self) -> u32 {
        self.flags
    }

    /// What a stream waits on for it.
    pub(crate) fn waitable(self: &Arc<Self>) -> Arc<dyn Waitable> {
        match &self.shared {
            Some(shared) => Arc::clone(shared) as _,
            None => Arc::clone(self) as _,
        }
    }

    /// An event without handle and id, with one record that is not reached yet: number 1.
    pub(crate) fn detached(device: &Arc<Device>) -> Arc<Self> {
        let state = State { issued: 1, submitted: 1, pending: VecDeque::from([1]), ..State::default() };
        Arc::new(Self {
            mode: Mode::Extended,
            flags: sys::ACL_EVENT_SYNC,
            device: Arc::clone(device),
            state: Mutex::new(state),
            done: Condvar::new(),
            mark: Mark::default(),
            shared: None,
            captured: Mutex::new(None),
        })
    }

    /// For order between captured work and the rest.
    pub(crate) fn is_external(&self) -> bool {
        self.flags == sys::ACL_EVENT_EXTERNAL
    }

    /// A capture recorded it.
    pub(crate) fn capture_by(&self, instance: &Arc<Instance>, dependency: usize) {
        *self.captured.lock() = Some((Arc::downgrade(instance), dependency));
    }

    /// The capture under way that recorded it.
    pub(crate) fn captured(&self) -> Option<(Arc<Instance>, usize)> {
        let (instance, dependency) = self.captured.lock().clone()?;
        let instance = instance.upgrade().filter(|instance| instance.is_capturing())?;
        Some((instance, dependency))
    }

    /// 107028 while a capture that recorded it is under way.
    pub(crate) fn check_not_captured(&self) -> Result<(), aclError> {
        if self.captured().is_none() {
            return Ok(());
        }
        Err(fail(sys::ACL_ERROR_RT_EVENT_CAPTURED, "the event was recorded by a capture that is under way"))
    }

    /// A record that was numbered was not queued after all, and nothing of it is seen.
    pub(crate) fn withdraw(&self, number: u64) {
        let mut state = self.state.lock();
        state.pending.retain(|&pending| pending != number);
        if state.issued == number {
            state.issued -= 1;
        }
        state.wake();
        drop(state);
        self.done.notify_all();
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// What the streams knew that recorded it.
    pub(crate) fn mark(&self) -> &Mark {
        self.shared.as_ref().map_or(&self.mark, |shared| shared.mark())
    }

    /// Whether streams wait for a level, not for a record.
    fn is_level(&self) -> bool {
        self.mode == Mode::Flagged && self.can_wait()
    }

    /// Whether streams can wait for it.
    pub(crate) fn can_wait(&self) -> bool {
        self.mode == Mode::Plain || self.flags & WAITED_FOR != 0
    }

    fn has_time(&self) -> bool {
        self.mode == Mode::Plain || self.flags & sys::ACL_EVENT_TIME_LINE != 0
    }

    /// Numbers a record that is about to be queued. It is waited for from when it is [`submitted`](Self::submitted): before, it might come
    /// behind the wait.
    pub(crate) fn issue_record(&self) -> Result<u64, aclError> {
        if let Some(shared) = &self.shared {
            return Ok(shared.issue());
        }
        let mut state = self.state.lock();
        if state.id.is_none() {
            drop(state);
            // The runtime blocks here for as long as it takes; a program that leaks events should not hang a test for ever.
            let id = self.device.events().take_until(Instant::now() + ID_PATIENCE);
            let id = id.ok_or_else(|| out_of_ids(&self.device))?;
            warn_if_few(&self.device);
            state = self.state.lock();
            if let Some(surplus) = state.id.replace(id) {
                self.device.events().give(surplus);
            }
        }
        state.issued += 1;
        let number = state.issued;
        state.pending.push_back(number);
        Ok(number)
    }

    /// The record was queued. One that a capture took is [`withdrawn`](Self::withdraw), and none.
    pub(crate) fn submitted(&self, number: u64) {
        if self.shared.is_none() {
            let mut state = self.state.lock();
            state.submitted = state.submitted.max(number.min(state.issued));
        }
    }

    /// A stream is at a record: who waits for it will know what the stream knows.
    pub(crate) fn reached_by(&self, stream: &Stream, number: u64) {
        if self.shared.is_some() {
            // What other processes do in between is not seen.
            return check::passes_on(stream, self.mark());
        }
        check::passes_on_as(stream, self.mark(), number);
        if self.is_level() && !self.state.lock().level {
            check::passes_on_as(stream, self.mark(), Until::Level.key());
        }
    }

    /// The stream reached the record.
    pub(crate) fn complete(&self, number: u64) {
        // To ask for the time costs as much as the rest.
        self.finish(number, self.has_time().then(clock::now));
    }

    /// The record will never be reached: it was not queued, or its stream is gone. Whoever waits for it passes, and there is no time.
    pub(crate) fn abandon(&self, number: u64) {
        self.finish(number, None);
    }

    /// The record will never be reached: its stream was aborted. Streams that wait for it go on waiting, as on a card, until they are
    /// aborted too; the host does not.
    pub(crate) fn abort(&self, number: u64) {
        if let Some(shared) = &self.shared {
            // Other processes have no way to abort what they do not know of.
            return shared.complete(number);
        }
        let mut state = self.state.lock();
        state.aborted.push(number);
        drop(state);
        self.done.notify_all();
    }

    fn finish(&self, number: u64, time: Option<u64>) {
        if let Some(shared) = &self.shared {
            return shared.complete(number);
        }
        let mut state = self.state.lock();
        // Mostly it is one of the oldest: streams run side by side.
        let at = state.pending.iter().take(NEAR).position(|&pending| pending == number);
        if let Some(at) = at.or_else(|| state.pending.binary_search(&number).ok()) {
            state.pending.remove(at);
        }
        if let Some(time) = time
            && state.stamp.is_none_or(|(latest, _)| latest < number)
        {
            state.stamp = Some((number, time));
        }
        // A record whose stream was destroyed raises the level too, so that nobody waits for what cannot come.
        state.level = true;
        state.wake();
        drop(state);
        self.done.notify_all();
    }

    /// The stream reached a reset.
    pub(crate) fn lower(&self) {
        self.state.lock().level = false;
    }

    /// What a wait submitted now waits for; `None` if there is nothing to wait for.
    pub(crate) fn capture(&self) -> Result<Option<Until>, aclError> {
        if let Some(shared) = &self.shared {
            let latest = shared.latest();
            if shared.is_done(latest) {
                check::host_learns(self.mark(), 0);
                return Ok(None);
            }
            return Ok(Some(Until::Record(latest)));
        }
        let mut state = self.state.lock();
        let until = if self.is_level() {
            Until::Level
        } else if state.submitted > 0 {
            let number = state.submitted;
            // On a virtual clock every wait costs the same, whether the record came first or not.
            if !state.is_pending(number) && !clock::is_virtual() {
                drop(state);
                // The order is there already: whatever is queued from now on comes after the record.
                check::host_learns(self.mark(), number);
                return Ok(None);
            }
            Until::Record(number)
        } else if self.mode == Mode::Plain {
            drop(state);
            return Err(fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                "the event made by aclrtCreateEvent was never recorded",
            ));
        } else {
            return Ok(None);
        };
        state.waits += 1;
        Ok(Some(until))
    }

    /// A captured wait passed, or will never be queued.
    pub(crate) fn wait_over(&self) {
        // Work that is replayed waits again for what it waited for when it was captured.
        let mut state = self.state.lock();
        state.waits = state.waits.saturating_sub(1);
    }

    /// Whether it was ever recorded, and whether the latest record is done.
    pub(crate) fn status(&self) -> (bool, bool) {
        if let Some(shared) = &self.shared {
            let latest = shared.latest();
            let done = shared.is_done(latest);
            if done {
                check::host_learns(self.mark(), 0);
            }
            return (latest > 0, done);
        }
        let state = self.state.lock();
        let (status, number) = ((state.issued > 0, state.latest_done()), state.issued);
        drop(state);
        if status.1 {
            check::host_learns(self.mark(), number);
        }
        status
    }

    /// Whether all waits have passed.
    pub(crate) fn waits_passed(&self) -> bool {
        let passed = self.state.lock().waits == 0;
        if passed {
            check::host_learns(self.mark(), 0);
        }
        passed
    }

    /// Blocks until the latest record is done; 507047 after `timeout`.
    pub(crate) fn synchronize(&self, timeout: Option<Duration>) -> Result<(), aclError> {
        let deadline = clock::deadline(timeout);
        let (expired, aborted, number) = match &self.shared {
            Some(shared) => (shared.wait(shared.latest(), deadline), false, 0),
            None => {
                let state = self.state.lock();
                let number = state.issued;
                let (state, expired) = self.done.wait_for_device(&self.state, state, deadline, |state| {
                    state.is_pending(number) && !state.aborted.contains(&number)
                });
                (expired, state.aborted.contains(&number), number)
            }
        };
        if expired {
            return Err(fail(
                sys::ACL_ERROR_RT_EVENT_SYNC_TIMEOUT,
                format_args!("the event was not reached within {:?}", timeout.unwrap_or_default()),
            ));
        }
        self.device.check_present()?;
        if aborted {
            return Err(fail(
                sys::ACL_ERROR_RT_STREAM_ABORT,
                "the stream that the event was recorded on was aborted before it got there",
            ));
        }
        check::host_learns(self.mark(), number);
        Ok(())
    }

    /// When the latest record was reached, in nanoseconds.
    pub(crate) fn time(&self) -> Result<u64, aclError> {
        let state = self.state.lock();
        if state.issued == 0 {
            drop(state);
            return Err(fail(sys::ACL_ERROR_RT_INTERNAL_ERROR, "the event was never recorded"));
        }
        let stamp = state.stamp.filter(|(number, _)| *number == state.issued && self.has_time());
        drop(state);
        stamp.map(|(_, time)| time).ok_or_else(|| {
            let why = if self.has_time() {
                "its record is not complete"
            } else {
                "it was made without ACL_EVENT_TIME_LINE"
            };
            fail(sys::ACL_ERROR_RT_EVENT_TIMESTAMP_INVALID, format_args!("the event has no time: {why}"))
        })
    }

    /// The hardware event, if it has one now.
    pub(crate) fn id(&self) -> Option<u32> {
        self.state.lock().id
    }
}

impl Waitable for Event {
    fn operation(&self) -> &'static str {
        "event wait"
    }

    fn what(&self) -> &'static str {
        "an event"
    }

    fn mark(&self) -> &Mark {
        &self.mark
    }

    fn passed(&self, key: u64) -> bool {
        self.state.lock().passed(Until::of(key))
    }

    fn pass_or_enlist(&self, key: u64, stream: &Arc<Stream>, ticket: u64) -> bool {
        let mut state = self.state.lock();
        let until = Until::of(key);
        if state.passed(until) {
            return true;
        }
        state.waiters.push((until, Waiter::new(stream, ticket)));
        false
    }

    fn delist(&self, stream: &Stream, ticket: u64) {
        let mut state = self.state.lock();
        let at = state.waiters.iter().position(|(_, waiter)| waiter.is(stream, ticket));
        let gone = at.map(|at| state.waiters.swap_remove(at));
        drop(state);
        drop(gone);
    }

    fn over(&self, _key: u64) -> Result<(), aclError> {
        self.wait_over();
        Ok(())
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Some(id) = self.state.lock().id {
            self.device.events().give(id);
        }
    }
}

/// Programs that leak events notice it when the last one is gone: say it while there is time.
fn warn_if_few(device: &Device) {
    let (left, all) = (device.events().available(), device.profile().events);
    if left < all / 20 {
        misuse(
            Misuse::EventsRunOut,
            format_args!(
                "only {left} of {all} events of device {} are left: destroy those that are done with",
                device.id()
            ),
        );
    }
}

fn out_of_ids(device: &Device) -> aclError {
    fail(
        sys::ACL_ERROR_RT_NO_EVENT_RESOURCE,
        format_args!(
            "all {} events of device {} are in use: destroy events that are done with",
            device.profile().events,
            device.id()
        ),
    )
}
