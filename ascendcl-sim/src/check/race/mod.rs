//! The race detector: finds tasks that touch the same memory, one of them writing, in no order that the program has asked for.
//!
//! It works with vector clocks, so that what it finds does not depend on how fast things ran: every stream and the host have a time,
//! and know how far the others were where something made them wait: records and waits, notifies, callbacks, synchronisation.
//! Each piece of memory remembers who touched it last. An access whose predecessor is not known to its actor is a race.
//!
//! All threads of the host are one actor, since their own locks and joins are not seen: two host threads never race here.

mod access;
mod clock;
mod origin;
mod shadow;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

pub(crate) use access::Access;
pub(crate) use origin::{Origin, Place};
pub(crate) use shadow::Shadow;

use super::report::{self, ReportKind};
use crate::lock::Mutex;
use clock::Clock;

static ON: AtomicBool = AtomicBool::new(false);
/// Whether tasks remember where they were queued, for this or for other reports.
static REMEMBERS: AtomicBool = AtomicBool::new(false);
/// What the host knows. Each access of the host is at a time of its own.
static HOST: LazyLock<Mutex<Arc<Clock>>> = LazyLock::new(Mutex::default);
static NEXT_STREAM: AtomicU32 = AtomicU32::new(1);
/// Pairs of places that were reported.
static REPORTED: Mutex<BTreeSet<(u64, u64)>> = Mutex::new(BTreeSet::new());

thread_local! {
    /// The task that this thread runs; none: it is a thread of the host.
    static TASK: RefCell<Option<(Arc<Trail>, Origin)>> = const { RefCell::new(None) };
}

/// A thread that is ending, and calls in from the destructors of its thread-local values, is one of the host.
fn task() -> Option<(Arc<Trail>, Origin)> {
    TASK.try_with(|task| task.borrow().clone()).ok().flatten()
}

pub(crate) fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Whether tasks remember where they were queued.
pub(super) fn remembers() -> bool {
    REMEMBERS.load(Ordering::Relaxed)
}

/// A machine was configured; `places`: other reports want to know where tasks were queued.
pub(crate) fn configure(on: bool, places: bool) {
    ON.store(on, Ordering::SeqCst);
    REMEMBERS.store(on || places, Ordering::SeqCst);
    REPORTED.lock().clear();
}

/// What a stream has done and knows.
pub(crate) struct Trail {
    number: u32,
    id: i32,
    state: Mutex<TrailState>,
}

#[derive(Default)]
struct TrailState {
    time: u64,
    clock: Clock,
    /// The host's clock that was joined last: most tasks are queued one after the other.
    joined: Option<Arc<Clock>>,
}

/// A point that actors can pass on to each other what they know at: an event, a notify, a value in memory.
#[derive(Default)]
pub(crate) struct Mark(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// What all knew who were here.
    all: Clock,
    /// What those knew who came with a number, for those who wait for just that: the latest.
    numbered: BTreeMap<u64, Clock>,
}

/// Numbers of which is remembered who came with them. Who waits for an older one learns more than it should, and a race may be missed.
const NUMBERS: usize = 64;

/// What an actor knew at some point.
#[derive(Clone, Default)]
pub(crate) struct Knowledge(Option<Arc<Clock>>);

impl Trail {
    pub(crate) fn new(id: i32) -> Arc<Self> {
        let number = NEXT_STREAM.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { number, id, state: Mutex::default() })
    }

    /// A task begins on this thread.
    pub(crate) fn begin(self: &Arc<Self>, origin: &Origin) {
        if !remembers() {
            return;
        }
        if is_on() {
            self.go_on(origin);
        }
        TASK.set(Some((Arc::clone(self), origin.clone())));
    }

    /// The next task: it comes after what the host knew when it was queued.
    fn go_on(&self, origin: &Origin) {
        let mut state = self.state.lock();
        state.time += 1;
        if let Some(host) = origin.host()
            && !state.joined.as_ref().is_some_and(|joined| Arc::ptr_eq(joined, host))
        {
            state.clock.join(host);
            state.joined = Some(Arc::clone(host));
        }
        let time = state.time;
        state.clock.set(self.number, time);
    }

    /// The task is done, or waits and will go on elsewhere.
    pub(super) fn end() {
        if remembers() {
            TASK.set(None);
        }
    }

    /// The stream passes on what it knows.
    pub(crate) fn post(&self, mark: &Mark) {
        if is_on() {
            let state = self.state.lock();
            mark.0.lock().all.join(&state.clock);
        }
    }

    /// The stream passes on what it knows to those who wait for this number.
    pub(crate) fn post_numbered(&self, mark: &Mark, number: u64) {
        if is_on() {
            let state = self.state.lock();
            let mut known = mark.0.lock();
            known.all.join(&state.clock);
            known.numbered.insert(number, state.clock.clone());
            if known.numbered.len() > NUMBERS {
                // Not 0, which is a number that comes back.
                let oldest = known.numbered.keys().find(|&&number| number > 0).copied();
                oldest.map(|oldest| known.numbered.remove(&oldest));
            }
        }
    }

    /// The stream learns what was passed on with this number, or by all if nobody had it.
    pub(crate) fn learn(&self, mark: &Mark, number: u64) {
        if is_on() {
            self.state.lock().clock.join(mark.0.lock().of(number));
        }
    }

    /// What the stream knows now.
    pub(crate) fn knowledge(&self) -> Knowledge {
        Knowledge(is_on().then(|| Arc::new(self.state.lock().clock.clone())))
    }

    /// The stream learns what the host knows now: a callback it waited for has returned.
    pub(crate) fn learn_host(&self) {
        if is_on() {
            let host = Arc::clone(&HOST.lock());
            self.state.lock().clock.join(&host);
        }
    }

    /// The host has seen that all tasks are done.
    pub(crate) fn seen(&self) {
        if is_on() {
            let state = self.state.lock();
            Arc::make_mut(&mut HOST.lock()).join(&state.clock);
        }
    }

    /// The stream has ended.
    pub(crate) fn close(&self) {
        if is_on() {
            let state = self.state.lock();
            let mut host = HOST.lock();
            let host = Arc::make_mut(&mut host);
            host.join(&state.clock);
            host.host += 1;
            host.forget(self.number);
        }
    }
}

impl Known {
    fn of(&self, number: u64) -> &Clock {
        self.numbered.get(&number).unwrap_or(&self.all)
    }
}

impl Mark {
    /// The task that this thread runs, or the host, passes on what it knows.
    pub(crate) fn post(&self) {
        if !is_on() {
            return;
        }
        match task().map(|(trail, _)| trail) {
            Some(trail) => trail.post(self),
            None => {
                let host = Arc::clone(&HOST.lock());
                self.0.lock().all.join(&host);
            }
        }
    }

    /// The host has seen that the point was reached with this number.
    pub(crate) fn seen(&self, number: u64) {
        if is_on() {
            let known = self.0.lock();
            Arc::make_mut(&mut HOST.lock()).join(known.of(number));
        }
    }
}

impl Knowledge {
    /// The host learns it.
    pub(crate) fn seen(&self) {
        if let Some(clock) = &self.0 {
            Arc::make_mut(&mut HOST.lock()).join(clock);
        }
    }
}

/// The stream whose task this thread runs, and where that task was queued, if tasks remember it.
pub(super) fn running() -> Option<(i32, Origin)> {
    task().map(|(trail, origin)| (trail.id, origin))
}

/// Who made an access, and when in its own time.
#[derive(Clone)]
pub(super) struct Who {
    stream: Option<Arc<Trail>>,
    time: u64,
    origin: Origin,
}

impl Who {
    fn same_actor(&self, other: &Self) -> bool {
        let number = |who: &Self| who.stream.as_ref().map(|trail| trail.number);
        number(self) == number(other)
    }

    fn known_to(&self, clock: &Clock) -> bool {
        match &self.stream {
            None => clock.host >= self.time,
            Some(trail) => clock.stream(trail.number) >= self.time || clock.knows_end(trail.number),
        }
    }

    #[cfg(test)]
    fn host_at(time: u64) -> Self {
        Self { stream: None, time, origin: Origin::default() }
    }

    #[cfg(test)]
    fn time(&self) -> u64 {
        self.time
    }
}

impl Shadow {
    /// Notes an access of the task that this thread runs, or of the host.
    pub(crate) fn note(&self, access: Access, start: usize, len: usize, place: impl FnOnce() -> Place) {
        if is_on() && !access.is_free() {
            let mut place = Some(place);
            self.note_watched(access, start, len, &mut || place.take().map(|place| place()));
        }
    }

    #[cold]
    fn note_watched(
        &self,
        access: Access,
        start: usize,
        len: usize,
        place: &mut dyn FnMut() -> Option<Place>,
    ) {
        let (who, conflicts) = match task() {
            Some((trail, origin)) => {
                let state = trail.state.lock();
                let who = Who { stream: Some(Arc::clone(&trail)), time: state.time, origin };
                let conflicts =
                    self.record(access, start, len, &who, |earlier| earlier.known_to(&state.clock));
                (who, conflicts)
            }
            None => {
                let origin = Origin::of_call();
                let clock = {
                    let mut host = HOST.lock();
                    Arc::make_mut(&mut host).host += 1;
                    Arc::clone(&host)
                };
                let who = Who { stream: None, time: clock.host, origin };
                let conflicts = self.record(access, start, len, &who, |earlier| earlier.known_to(&clock));
                (who, conflicts)
            }
        };
        if conflicts.is_empty() {
            return;
        }
        let Some(place) = place() else { return };
        for conflict in conflicts {
            let pair = (conflict.earlier.origin.number(), who.origin.number());
            if REPORTED.lock().insert((pair.0.min(pair.1), pair.0.max(pair.1))) {
                report::emit(ReportKind::Race, describe(&conflict, &who, access, &place));
            }
        }
    }
}

fn describe(conflict: &shadow::Conflict, who: &Who, access: Access, place: &Place) -> String {
    let earlier = &conflict.earlier;
    let (start, end) = (conflict.start, conflict.end);
    let remedy = match (&earlier.stream, &who.stream) {
        (Some(first), Some(second)) => format!(
            "record an event on stream {} after the one and let stream {} wait for it before the other, or synchronise in between",
            first.id, second.id
        ),
        (Some(stream), None) | (None, Some(stream)) => format!(
            "synchronise stream {}, or an event recorded on it after the task, before the host uses the memory",
            stream.id
        ),
        (None, None) => "use it from one thread at a time".to_owned(),
    };
    format!(
        "race on {} bytes of {place}, at {:#x}\n{}{}  nothing orders them: {remedy}",
        end - start,
        place.address + start,
        one(earlier, conflict.earlier_writes),
        one(who, access.writes()),
    )
}

fn one(who: &Who, writes: bool) -> String {
    let what = if writes { "written" } else { "read" };
    match &who.stream {
        Some(stream) => format!("  {what} by stream {}, in a task queued by {}", stream.id, who.origin),
        None => format!("  {what} by the host, in {}", who.origin),
    }
}
