//! What a scenario works with, and what is noted while it does: errors that were announced, panics, closures.

use std::any::Any;
use std::cell::Cell;
use std::fmt::{self, Debug};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as Wakes, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use ascendcl::{
    Acl, BackendChoice, Callback, Context, DeviceCopy, Error, Event, EventFlags, PinnedBuffer, Rejected,
    Stream, Transfer,
};
use ascendcl_sim::{Live, Report};

use super::case::Case;

/// A child that takes longer hangs: far beyond what the crate itself waits for.
pub const HANGS_AFTER: Duration = Duration::from_secs(60);

/// What panics of closures say that panic on purpose.
pub const ON_PURPOSE: &str = "on purpose";

/// How a scenario ends.
pub type Outcome = Result<(), Failure>;

/// Why a scenario did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// A typed error: fine, if it says what is to blame.
    Acl(Error),
    /// Something did not come, of which an error was or will be told elsewhere.
    Missing(&'static str),
    /// A wrong result: never fine.
    Wrong(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Acl(error) => write!(f, "{error}"),
            Failure::Missing(what) => write!(f, "{what} did not come"),
            Failure::Wrong(what) => write!(f, "wrong result: {what}"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Acl(error)
    }
}

impl<T> From<Rejected<T>> for Failure {
    fn from(rejected: Rejected<T>) -> Self {
        Failure::Acl(rejected.error)
    }
}

/// What happened to one closure.
#[derive(Default)]
pub struct Closure {
    pub ran: AtomicUsize,
    pub dropped: AtomicUsize,
}

static ANNOUNCED: Mutex<Vec<Error>> = Mutex::new(Vec::new());
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static CLOSURES: Mutex<Vec<Arc<Closure>>> = Mutex::new(Vec::new());
static LEFT_WAITING: AtomicBool = AtomicBool::new(false);
static STEP: Mutex<&str> = Mutex::new("the start");

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All that is known of a run.
pub struct Run {
    pub outcome: Outcome,
    /// Errors that were returned, or given to the hook of destructors.
    pub announced: Vec<Error>,
    pub panics: Vec<String>,
    pub closures: Vec<Arc<Closure>>,
    /// What the last `Acl::finalize` said, if ACL was initialised.
    pub finalized: Option<Result<bool, Error>>,
    /// The scenario could not end what a stream waits for.
    pub left_waiting: bool,
    pub live: Vec<Live>,
    pub reports: Vec<Report>,
}

/// Ends this process, with a word on what it was doing, when it hangs.
pub fn watch() {
    thread::spawn(|| {
        thread::sleep(HANGS_AFTER);
        println!("hangs: not through after {HANGS_AFTER:?}, at `{}`", lock(&STEP));
        for calls in ascendcl_sim::calls().iter().filter(|calls| calls.running > 0) {
            println!("  {} threads are inside {}", calls.running, calls.function);
        }
        for error in lock(&ANNOUNCED).iter() {
            println!("  announced: {error}");
        }
        std::process::exit(3);
    });
}

/// Runs the scenario of a case, finalises, and looks at what is left.
pub fn run(case: &Case) -> Run {
    ascendcl::set_drop_error_hook(|error| lock(&ANNOUNCED).push(error.clone()));
    std::panic::set_hook(Box::new(|info| {
        let text = payload(info.payload());
        if !text.contains(ON_PURPOSE) {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            lock(&PANICS).push(format!("{text} at {place}"));
        }
    }));
    let stops = case.fault.as_ref().is_some_and(|fault| fault.stops_a_stream());
    let lab = Lab { stops };
    let outcome = match open() {
        Ok(acl) => catch_unwind(AssertUnwindSafe(|| (case.scenario.run)(&lab, acl)))
            .unwrap_or_else(|panic| Err(Failure::Wrong(format!("a panic: {}", payload(&*panic))))),
        Err(error) => Err(error.into()),
    };
    if let Err(Failure::Acl(error)) = &outcome {
        lab.note(error);
    }
    lab.step("the end: finalize");
    // The same initialisation again, unless the scenario has finalised it.
    let finalized = open().ok().map(Acl::finalize);
    if let Some(Err(error)) = &finalized {
        lab.note(error);
    }
    lab.step("the end");
    let (live, reports) = (ascendcl_sim::live(), ascendcl_sim::take_reports());
    Run {
        outcome,
        announced: lock(&ANNOUNCED).clone(),
        panics: lock(&PANICS).clone(),
        closures: lock(&CLOSURES).clone(),
        finalized,
        left_waiting: LEFT_WAITING.load(Ordering::SeqCst),
        live,
        reports,
    }
}

fn payload(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("not a text")
}

/// Opens the simulator.
pub fn open() -> Result<Acl, Error> {
    Acl::builder().backend(BackendChoice::Sim).build()
}

/// What a scenario works with. Waits go through it: they have no time limit, so that the crate must end each by itself, except where the
/// fault stops a stream, for which ACL's waits wait for ever.
pub struct Lab {
    stops: bool,
}

/// How long a stream that stopped is waited for.
const SHORT: Duration = Duration::from_millis(300);

impl Lab {
    /// Notes an error that the scenario goes on after.
    pub fn note(&self, error: &Error) {
        lock(&ANNOUNCED).push(error.clone());
    }

    /// Notes that a stream waits for what the scenario could not give it.
    pub fn leaves_waiting(&self) {
        LEFT_WAITING.store(true, Ordering::SeqCst);
    }

    /// Says what the scenario is doing, in case it hangs.
    pub fn step(&self, what: &'static str) {
        *lock(&STEP) = what;
    }

    /// For explicit time limits that are not meant to be reached.
    pub fn long(&self) -> Duration {
        if self.stops { SHORT } else { Duration::from_secs(30) }
    }

    /// Counts what happens to a closure: it is to be run or dropped, and only one of them, once.
    pub fn closure<T>(
        &self,
        closure: impl FnOnce() -> T + Send + 'static,
    ) -> impl FnOnce() -> T + Send + 'static {
        struct Guard(Arc<Closure>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.dropped.fetch_add(1, Ordering::SeqCst);
            }
        }
        let record = Arc::new(Closure::default());
        lock(&CLOSURES).push(record.clone());
        let guard = Guard(record);
        move || {
            guard.0.ran.fetch_add(1, Ordering::SeqCst);
            let _guard = guard;
            closure()
        }
    }

    pub fn wait<T>(&self, callback: Callback<T>) -> Result<T, Error> {
        if self.stops { callback.wait_timeout(SHORT).map_err(Error::from) } else { callback.wait() }
    }

    pub fn get<T: DeviceCopy>(&self, transfer: Transfer<T>) -> Result<PinnedBuffer<T>, Error> {
        if self.stops { transfer.wait_timeout(SHORT).map_err(Error::from) } else { transfer.wait() }
    }

    pub fn sync(&self, stream: &Stream) -> Result<(), Error> {
        if self.stops { stream.synchronize_timeout(SHORT) } else { stream.synchronize() }
    }

    pub fn sync_event(&self, event: &Event) -> Result<(), Error> {
        if self.stops { event.synchronize_timeout(SHORT) } else { event.synchronize() }
    }

    pub fn sync_context(&self, context: &Context) -> Result<(), Error> {
        if self.stops { context.synchronize_timeout(SHORT) } else { context.synchronize() }
    }

    /// Awaits on this thread.
    pub fn block_on<T>(&self, future: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let (mut future, began) = (pin!(future), Instant::now());
        loop {
            if let Poll::Ready(result) = future.as_mut().poll(&mut Wakes::from_waker(&waker)) {
                return Ok(result?);
            }
            if self.stops && began.elapsed() > SHORT {
                return Err(Failure::Missing("what was awaited"));
            }
            thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Waits for a message of a closure. `None` when all senders are gone.
    pub fn receive<T>(&self, from: &Receiver<T>) -> Result<Option<T>, Failure> {
        match from.recv_timeout(if self.stops { SHORT } else { Duration::from_secs(15) }) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(Failure::Missing("a message of a callback")),
        }
    }
}

/// Holds a stream back by an event, until it is opened, at the latest when it is dropped.
pub struct Opener<'a> {
    lab: &'a Lab,
    stream: Stream,
    gate: Event,
    open: Cell<bool>,
}

impl<'a> Opener<'a> {
    pub fn close(lab: &'a Lab, stream: &Stream) -> Result<Opener<'a>, Error> {
        let context = stream.context();
        let gate = context.create_event_with_flags(EventFlags::SYNC)?;
        let opener = Opener { lab, stream: context.create_stream()?, gate, open: Cell::new(false) };
        stream.wait(&opener.gate)?;
        Ok(opener)
    }

    pub fn open(&self) -> Result<(), Error> {
        self.stream.record(&self.gate)?;
        self.open.set(true);
        Ok(())
    }
}

impl Drop for Opener<'_> {
    fn drop(&mut self) {
        if !self.open.get()
            && let Err(error) = self.open()
        {
            self.lab.note(&error);
            self.lab.leaves_waiting();
        }
    }
}

/// Polls a future once, and drops it then.
pub fn poll_once<T>(future: impl Future<Output = Result<T, Error>>) -> Option<Result<T, Error>> {
    match pin!(future).poll(&mut Wakes::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Compares bit by bit.
pub fn same<T: PartialEq + Debug>(what: &str, got: &[T], expected: &[T]) -> Outcome {
    if got == expected {
        return Ok(());
    }
    let at = got.iter().zip(expected).position(|(got, expected)| got != expected);
    Err(Failure::Wrong(match at {
        Some(at) => format!("{what}: at {at} of {} is {:?}, not {:?}", got.len(), got[at], expected[at]),
        None => format!("{what}: {} values, not {}", got.len(), expected.len()),
    }))
}

/// Something must hold.
pub fn holds(condition: bool, what: &str) -> Outcome {
    if condition { Ok(()) } else { Err(Failure::Wrong(what.to_owned())) }
}

/// A folder of the workspace.
pub fn digits(file: &str) -> PathBuf {
    crate::workspace::root().join("examples/assets/digits").join(file)
}
