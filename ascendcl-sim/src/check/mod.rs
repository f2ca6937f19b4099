//! Where the simulator looks at what a program does.
//!
//! Every C function passes its [`Site`]; every task gets an [`Origin`] when it is queued and passes [`task_begin`] and [`task_end`]; and
//! where one actor waits for another it says so to [`passes_on`] and its kin. What watches programs (leaks, misuse, races, injected
//! faults, the timeline) has these places to stand and needs no others.

mod call_site;
pub(crate) mod fault;
mod frames;
pub(crate) mod leak;
mod misuse;
mod race;
pub(crate) mod report;
pub(crate) mod site;
pub(crate) mod trace;

use std::sync::atomic::{AtomicU64, Ordering};

use ascendcl_sys::aclError;

pub(crate) use call_site::CallSite;
pub(crate) use misuse::{Misuse, misuse, remember_place};
pub(crate) use race::{Access, Place, Shadow, Trail};
pub(crate) use site::{Site, forget, supported};

use crate::config::Settings;
use crate::core::{Stream, clock, exceptions, last_task, over, seeded};
use crate::error;
use crate::lock::Mutex;

/// Whether races are looked for.
pub(crate) fn watches_races() -> bool {
    race::is_on()
}

/// A machine was configured. What is wrong with it if files that it names cannot be written.
pub(crate) fn configure(settings: &Settings) -> Result<(), String> {
    misuse::configure();
    let reporting = settings.misuse == report::Reporting::Report;
    race::configure(settings.races != report::Reporting::Off, reporting);
    seeded::configure(settings.seed);
    settings.report_file.as_deref().map_or(Ok(()), report::check_file)?;
    trace::configure(settings.trace.as_deref())
}

/// Where a task comes from: what is noted when it is queued, for those who watch it run.
#[derive(Clone, Default)]
pub(crate) struct Origin {
    race: race::Origin,
    /// Apart, since queues hold many origins: only while somebody looks at times.
    timing: Option<Box<Timing>>,
    /// The thread that queued it, for the operating system.
    thread: u32,
}

#[derive(Clone, Default)]
struct Timing {
    span: trace::Span,
    /// The virtual time at which it was queued.
    time: u64,
}

impl Origin {
    /// The calling thread is about to queue a task.
    pub(crate) fn of_task() -> Self {
        Self {
            race: race::Origin::of_task(),
            timing: (trace::is_on() || clock::is_virtual())
                .then(|| Box::new(Timing { span: trace::Span::of_task(), time: clock::now_if_virtual() })),
            thread: last_task::thread(),
        }
    }

    pub(crate) fn traces(&self) -> Traces {
        Traces { span: self.timing.as_ref().map(|timing| Box::new(timing.span)), thread: self.thread }
    }
}

/// What is still known of a task's origin when it ends.
pub(crate) struct Traces {
    span: Option<Box<trace::Span>>,
    thread: u32,
}

/// A point that actors pass on to each other what they know at: an event, a notify, a value in memory.
#[derive(Default)]
pub(crate) struct Mark {
    race: race::Mark,
    /// From where the timeline draws an arrow to those who wait.
    reached: Mutex<Option<trace::Point>>,
    time: AtomicU64,
}

impl Mark {
    /// For order that is nobody's wait.
    pub(crate) fn race(&self) -> &race::Mark {
        &self.race
    }

    /// The task that this thread runs, or the host, passes on what it knows.
    pub(crate) fn post(&self) {
        self.race.post();
        if clock::is_virtual() {
            self.time.fetch_max(clock::now(), Ordering::SeqCst);
        }
        if trace::is_on() {
            *self.reached.lock() = trace::Point::of_task();
        }
    }
}

/// What a stream had done when it asked for a callback.
#[derive(Clone, Default)]
pub(crate) struct Knowledge {
    race: race::Knowledge,
    flow: trace::Flow,
    time: u64,
}

fn row(stream: &Stream) -> trace::Row {
    trace::Row::Stream { device: stream.device().id(), id: stream.id() }
}

/// A task of `stream` starts on a pool thread.
pub(crate) fn task_begin(stream: &Stream, operation: &'static str, origin: &mut Origin) {
    stream.trail().begin(&origin.race);
    if clock::is_virtual() {
        clock::go_to(stream.time().max(origin.timing.as_ref().map_or(0, |timing| timing.time)));
    }
    if trace::is_on() {
        origin.timing.get_or_insert_default().span.started = trace::start();
        trace::enter(|| row(stream));
    }
    log::trace!("stream {}: {operation} starts", stream.id());
}

/// A task of `stream` ended.
pub(crate) fn task_end(
    stream: &Stream,
    operation: &'static str,
    traces: Traces,
    result: Result<(), aclError>,
) {
    Trail::end();
    trace::leave();
    if clock::is_virtual() {
        clock::spend(stream.device().profile().costs.task);
        stream.reach(clock::now());
    }
    if let Some(span) = traces.span {
        span.end(row(stream), operation, result);
    }
    if let Err(code) = result {
        exceptions::task_failed(stream, traces.thread, code);
    }
    log::trace!("stream {}: {operation} ends, {}", stream.id(), result.err().unwrap_or(error::SUCCESS));
}

/// The task of `stream` that this thread runs has to wait, and goes on later, perhaps elsewhere.
pub(crate) fn task_parks(stream: &Stream) {
    Trail::end();
    trace::leave();
    if clock::is_virtual() {
        stream.reach(clock::now());
    }
}

/// `stream` reached `mark`, for others to wait for.
pub(crate) fn passes_on(stream: &Stream, mark: &Mark) {
    stream.trail().post(&mark.race);
    if clock::is_virtual() {
        mark.time.fetch_max(clock::now(), Ordering::SeqCst);
    }
    if trace::is_on() {
        *mark.reached.lock() = Some(trace::Point::now(row(stream)));
    }
}

/// The same with a number: who waits for that learns nothing of who came with others.
pub(crate) fn passes_on_as(stream: &Stream, mark: &Mark, number: u64) {
    passes_on(stream, mark);
    stream.trail().post_numbered(&mark.race, number);
}

/// `stream` waited for `mark`, with a number or 0, and the wait passed.
pub(crate) fn learns(stream: &Stream, mark: &Mark, number: u64) {
    stream.trail().learn(&mark.race, number);
    clock::reach(mark.time.load(Ordering::SeqCst));
    if trace::is_on()
        && let Some(point) = *mark.reached.lock()
    {
        point.lead_to(row(stream));
    }
}

/// The host has seen that `mark` was reached, with a number or 0.
pub(crate) fn host_learns(mark: &Mark, number: u64) {
    mark.race.seen(number);
    clock::reach(mark.time.load(Ordering::SeqCst));
}

/// The host has seen that all tasks of `stream` are done.
pub(crate) fn host_sees(stream: &Stream) {
    stream.trail().seen();
    clock::reach(stream.time());
}

/// `stream` asks for a callback.
pub(crate) fn asks(stream: &Stream) -> Knowledge {
    Knowledge {
        race: stream.trail().knowledge(),
        flow: trace::Flow::out_of_if_on(|| row(stream)),
        time: clock::now_if_virtual(),
    }
}

/// The host runs a callback for which a stream asked.
pub(crate) fn run_callback(knowledge: &Knowledge, function: impl FnOnce()) {
    knowledge.race.seen();
    clock::reach(knowledge.time);
    let started = trace::start();
    knowledge.flow.arrive(trace::Row::Thread);
    function();
    if !over::in_child() {
        trace::callback(started);
    }
}

/// The callback that `stream` waited for has returned.
pub(crate) fn is_answered(stream: &Stream) {
    stream.trail().learn_host();
    clock::reach(stream.time());
}
