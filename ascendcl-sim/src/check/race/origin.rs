//! Where in the program a task or an access comes from.

use std::backtrace::Backtrace;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use super::clock::Clock;
use super::{HOST, is_on};
use crate::error;
use crate::lock::Mutex;

/// Frames that tell one place from another. The first ones are the simulator's own.
const FRAMES: usize = 24;
/// Frames of a printed backtrace.
const PRINTED: usize = 12;

/// Where a task was queued, and what the host knew then. Nothing while the detector is off.
#[derive(Clone, Default)]
pub(crate) struct Origin(Option<Arc<Queued>>);

struct Queued {
    host: Arc<Clock>,
    site: Arc<Site>,
    thread: Arc<str>,
}

/// A place in the program, seen often and looked at rarely.
struct Site {
    number: u64,
    function: &'static str,
    backtrace: Backtrace,
}

/// The places seen, by their return addresses. Capturing a backtrace that can be printed is slow, comparing addresses is not.
static SITES: LazyLock<Mutex<HashMap<[usize; FRAMES], Arc<Site>>>> = LazyLock::new(Mutex::default);

impl Origin {
    /// The calling thread is about to queue a task.
    pub(crate) fn of_task() -> Self {
        if is_on() { Self::capture() } else { Self(None) }
    }

    /// The C function that the calling thread is inside of.
    pub(super) fn of_call() -> Self {
        Self::capture()
    }

    #[cold]
    fn capture() -> Self {
        thread_local! {
            static THREAD: Arc<str> = super::super::leak::thread_name();
        }
        let thread = THREAD.try_with(Arc::clone).unwrap_or_else(|_| "ending".into());
        let host = Arc::clone(&HOST.lock());
        Self(Some(Arc::new(Queued { host, site: site(), thread })))
    }

    pub(super) fn host(&self) -> Option<&Arc<Clock>> {
        self.0.as_deref().map(|queued| &queued.host)
    }

    pub(super) fn number(&self) -> u64 {
        self.0.as_deref().map_or(0, |queued| queued.site.number)
    }
}

fn site() -> Arc<Site> {
    let mut addresses = [0usize; FRAMES];
    // SAFETY: the array has room for as many addresses as are asked for; a pointer is as large as a usize.
    unsafe { libc::backtrace(addresses.as_mut_ptr().cast(), FRAMES as libc::c_int) };
    let mut sites = SITES.lock();
    let number = sites.len() as u64 + 1;
    let new =
        || Arc::new(Site { number, function: error::function(), backtrace: Backtrace::force_capture() });
    Arc::clone(sites.entry(addresses).or_insert_with(new))
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(queued) = self.0.as_deref() else { return f.write_str("a call that was not watched\n") };
        writeln!(f, "{} on thread {}", queued.site.function, queued.thread)?;
        f.write_str(&outside(&queued.site.backtrace.to_string(), queued.site.function))
    }
}

/// The frames of the program itself: those above the C function, until where threads begin.
fn outside(backtrace: &str, function: &str) -> String {
    let mut frames: Vec<Vec<&str>> = Vec::new();
    for line in backtrace.lines() {
        let line = line.trim();
        match line.split_once(": ") {
            Some((number, name)) if number.parse::<usize>().is_ok() => frames.push(vec![name]),
            _ => frames.last_mut().into_iter().for_each(|frame| frame.push(line)),
        }
    }
    let is_function =
        |frame: &Vec<&str>| frame[0] == function || frame[0].ends_with(&format!("::{function}"));
    let first = frames.iter().position(is_function).map_or(0, |at| at + 1);
    let is_start = |frame: &&Vec<&str>| {
        let name = frame[0];
        ![
            "__libc_start",
            "_start",
            "start_thread",
            "clone3",
            "__rust_begin_short_backtrace",
            "std::sys::backtrace",
        ]
        .iter()
        .any(|start| name.starts_with(start) || name.contains("__rust_begin_short_backtrace"))
    };
    let mut text = String::new();
    for (number, frame) in frames[first..].iter().take_while(is_start).take(PRINTED).enumerate() {
        text += &format!("    {number}: {}\n", frame.join(" "));
    }
    text
}

/// Where the memory is, for a report.
pub(crate) struct Place {
    pub(crate) what: String,
    pub(crate) address: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}
