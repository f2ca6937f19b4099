//! The timeline: a file that Perfetto and `chrome://tracing` open.
//!
//! One process for the host with a row for each of its threads, and one for each device with a row for each stream. Calls, tasks and
//! callbacks are bars; arrows lead from the call that queued a task to the task, from a record to the waits it lets pass, and from a
//! stream to the callback it asked for.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ascendcl_sys::aclError;

use super::leak::thread_name;
use crate::core::{clock, over};
use crate::error;
use crate::lock::Mutex;
use crate::own_thread;

static ON: AtomicBool = AtomicBool::new(false);
static NEXT_FLOW: AtomicU64 = AtomicU64::new(1);
static WRITER: Mutex<Option<Writer>> = Mutex::new(None);
/// The file of a profile that the program takes itself.
static PROFILE: Mutex<Option<Writer>> = Mutex::new(None);
static PROFILING: AtomicBool = AtomicBool::new(false);

/// The process number of the host in the file; devices follow.
const HOST: u32 = 1;
const FIRST_DEVICE: u32 = 100;

/// What is written at once, and how long a process that is killed may have lost.
const PIECE: usize = 32 << 10;
const PERIOD: Duration = Duration::from_millis(100);
const END: &[u8] = b"\n]\n";

struct Writer {
    file: File,
    /// Whole events.
    buffer: Vec<u8>,
    written: Instant,
    /// Whether the file can be written again from where it was, which pipes cannot.
    returns: bool,
    first: bool,
    /// Rows that have a name.
    named: BTreeSet<(u32, u64)>,
    failed: bool,
}

/// A row of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Thread,
    Stream { device: i32, id: i32 },
}

/// What is known of a task from when it was queued to when it is done.
#[derive(Clone, Copy, Default)]
pub(crate) struct Span {
    flow: u64,
    function: &'static str,
    pub(super) started: u64,
}

/// An arrow that has begun and not ended. Nothing while no timeline is written.
#[derive(Clone, Copy, Default)]
pub(crate) struct Flow(u64);

/// A point in the work of a stream from which an arrow may lead.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    row: Row,
    time: u64,
}

thread_local! {
    /// The row of the stream whose task this thread runs, while a timeline is written.
    static ROW: Cell<Option<Row>> = const { Cell::new(None) };
}

pub(crate) fn is_on() -> bool {
    ON.load(Ordering::Relaxed) || PROFILING.load(Ordering::Relaxed)
}

/// Writes the same into another file, until it is told to end that.
pub(crate) fn profile(path: Option<&Path>) {
    let mut profile = PROFILE.lock();
    PROFILING.store(false, Ordering::SeqCst);
    if let Some(old) = profile.take() {
        old.end();
    }
    if let Some(path) = path {
        *profile = Writer::create(path)
            .map_err(|error| {
                eprintln!("ascendcl-sim: cannot write the timeline to {}: {error}", path.display())
            })
            .ok();
        PROFILING.store(profile.is_some(), Ordering::SeqCst);
        end_at_exit();
    }
}

/// A machine was configured: ends the file there was, begins another one.
pub(crate) fn configure(path: Option<&Path>) -> Result<(), String> {
    let mut writer = WRITER.lock();
    ON.store(false, Ordering::SeqCst);
    if let Some(old) = writer.take() {
        old.end();
    }
    let Some(path) = path else { return Ok(()) };
    let new = Writer::create(path);
    *writer =
        Some(new.map_err(|error| format!("the timeline cannot be written to {}: {error}", path.display()))?);
    ON.store(true, Ordering::SeqCst);
    end_at_exit();
    write_regularly();
    Ok(())
}

/// A process that crashes while it makes no calls leaves what it did before.
fn write_regularly() {
    static START: Once = Once::new();
    START.call_once(|| {
        let spawned = own_thread::start("ascendcl-sim-trace", || {
            loop {
                thread::sleep(PERIOD);
                flush();
            }
        });
        if let Err(error) = spawned {
            log::warn!(
                "cannot start a thread that writes the timeline, which is written by calls only: {error}"
            );
        }
    });
}

/// The process is about to end without its exit handlers.
pub(super) fn end() {
    ON.store(false, Ordering::SeqCst);
    PROFILING.store(false, Ordering::SeqCst);
    for writer in [&WRITER, &PROFILE] {
        if let Some(writer) = writer.lock().take() {
            writer.end();
        }
    }
}

/// Writes what is buffered: ACL was finalised.
pub(crate) fn flush() {
    if let Some(writer) = &mut *WRITER.lock() {
        writer.flush();
    }
}

fn end_at_exit() {
    extern "C" fn at_exit() {
        let _ = std::panic::catch_unwind(|| {
            if !over::in_child() {
                end();
            }
        });
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: [os] the handler touches only locks and memory that live as long as the process.
        unsafe { libc::atexit(at_exit) };
    });
}

/// This thread runs a task.
pub(super) fn enter(row: impl FnOnce() -> Row) {
    if is_on() {
        ROW.set(Some(row()));
    }
}

/// It does so no more.
pub(super) fn leave() {
    if is_on() {
        ROW.set(None);
    }
}

impl Point {
    pub(super) fn now(row: Row) -> Self {
        Self { row, time: clock::now() }
    }

    /// Where the task is that this thread runs; nothing if it runs none.
    pub(super) fn of_task() -> Option<Self> {
        ROW.get().map(Self::now)
    }

    /// An arrow from here to `row`, where it is now.
    pub(super) fn lead_to(self, row: Row) {
        let flow = NEXT_FLOW.fetch_add(1, Ordering::Relaxed);
        arrow(self.row, "s", "wait", flow, self.time);
        arrow(row, "f", "wait", flow, clock::now());
    }
}

/// Now, for something that begins; 0 while no timeline is written.
pub(crate) fn start() -> u64 {
    if is_on() { clock::now() } else { 0 }
}

/// The call of a C function that began at `started` is over.
pub(crate) fn call(function: &str, started: u64, code: aclError) {
    if is_on() && started != 0 {
        bar(Row::Thread, function, started, format_args!("\"code\":{code}"));
    }
}

/// A callback that began at `started` has returned.
pub(crate) fn callback(started: u64) {
    if is_on() && started != 0 {
        bar(Row::Thread, "callback", started, format_args!(""));
    }
}

/// A mark that the program made itself, which lasted from `started` until now.
pub(crate) fn mark(text: &str, started: u64) {
    if is_on() && started != 0 {
        bar(Row::Thread, text, started, format_args!("\"mark\":true"));
    }
}

impl Span {
    /// A task is queued by the C function that this thread is inside of.
    pub(super) fn of_task() -> Self {
        if !is_on() {
            return Self::default();
        }
        let Flow(flow) = Flow::out_of(Row::Thread);
        Self { flow, function: error::function(), started: 0 }
    }

    /// The task is done.
    pub(super) fn end(&self, row: Row, operation: &str, result: Result<(), aclError>) {
        if !is_on() || self.started == 0 {
            return;
        }
        let code = result.err().unwrap_or(error::SUCCESS);
        bar(
            row,
            operation,
            self.started,
            format_args!("\"queued by\":\"{}\",\"code\":{code}", self.function),
        );
        if self.flow != 0 {
            arrow(row, "f", "queue", self.flow, self.started);
        }
    }
}

impl Flow {
    /// An arrow begins now at `row`.
    pub(super) fn out_of(row: Row) -> Self {
        if !is_on() {
            return Self::default();
        }
        let flow = NEXT_FLOW.fetch_add(1, Ordering::Relaxed);
        arrow(row, "s", "queue", flow, clock::now());
        Self(flow)
    }

    /// An arrow begins now, if a timeline is written.
    pub(super) fn out_of_if_on(row: impl FnOnce() -> Row) -> Self {
        if is_on() { Self::out_of(row()) } else { Self::default() }
    }

    /// It ends now at `row`.
    pub(super) fn arrive(self, row: Row) {
        if is_on() && self.0 != 0 {
            arrow(row, "f", "queue", self.0, clock::now());
        }
    }
}

fn bar(row: Row, name: &str, started: u64, args: fmt::Arguments<'_>) {
    let length = clock::now().saturating_sub(started);
    let name = Text(name);
    event(row, |place| {
        format!(
            "{{\"ph\":\"X\",\"name\":{name},\"ts\":{},\"dur\":{},{place},\"args\":{{{args}}}}}",
            Micros(started),
            Micros(length),
        )
    });
}

fn arrow(row: Row, phase: &str, name: &str, flow: u64, at: u64) {
    let end = if phase == "f" { "\"bp\":\"e\"," } else { "" };
    event(row, |place| {
        format!(
            "{{\"ph\":\"{phase}\",{end}\"name\":\"{name}\",\"cat\":\"order\",\"id\":{flow},\"ts\":{},{place}}}",
            Micros(at)
        )
    });
}

/// Writes an event.
fn event(row: Row, text: impl FnOnce(&str) -> String) {
    let (process, thread) = match row {
        // SAFETY: [os] gettid has no preconditions.
        Row::Thread => (HOST, unsafe { libc::gettid() } as u64),
        Row::Stream { device, id } => (FIRST_DEVICE + device as u32, id as u64),
    };
    let place = format!("\"pid\":{process},\"tid\":{thread}");
    let text = text(&place);
    for writer in [&WRITER, &PROFILE] {
        if let Some(writer) = writer.lock().as_mut() {
            writer.event(row, (process, thread), &place, &text);
        }
    }
}

impl Writer {
    fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        let returns = file.stream_position().is_ok();
        let named = BTreeSet::new();
        Ok(Self {
            file,
            buffer: b"[\n".to_vec(),
            written: Instant::now(),
            returns,
            first: true,
            named,
            failed: false,
        })
    }

    /// Writes an event, and before the first one of a row its name.
    fn event(&mut self, row: Row, (process, thread): (u32, u64), place: &str, text: &str) {
        let name = |what: &str, name: &dyn Display| {
            format!(
                "{{\"ph\":\"M\",\"name\":\"{what}_name\",{place},\"args\":{{\"name\":{}}}}}",
                Text(&name.to_string())
            )
        };
        if self.named.insert((process, thread)) {
            let (own, group): (String, String) = match row {
                Row::Thread => (thread_name().to_string(), "host".into()),
                Row::Stream { device, id } => (format!("stream {id}"), format!("device {device}")),
            };
            self.write(&name("process", &group));
            self.write(&name("thread", &own));
            if clock::is_virtual() {
                // Whoever joins this with what others measured has to know.
                self.write(&format!(
                    "{{\"ph\":\"M\",\"name\":\"process_labels\",{place},\"args\":{{\"labels\":\"virtual clock\"}}}}"
                ));
            }
        }
        self.write(text);
    }

    fn write(&mut self, event: &str) {
        if !std::mem::take(&mut self.first) {
            self.buffer.extend_from_slice(b",\n");
        }
        self.buffer.extend_from_slice(event.as_bytes());
        if self.buffer.len() >= PIECE || self.written.elapsed() >= PERIOD {
            self.flush();
        }
    }

    /// Writes what there is, and the end of the file behind it: a process that is killed leaves a file that can be read.
    fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let written = if self.returns {
            self.buffer.extend_from_slice(END);
            self.file.write_all(&self.buffer).and_then(|()| self.file.seek_relative(-(END.len() as i64)))
        } else {
            self.file.write_all(&self.buffer)
        };
        self.buffer.clear();
        self.written = Instant::now();
        self.check(written);
    }

    fn end(mut self) {
        self.flush();
        if !self.returns {
            let written = self.file.write_all(END);
            self.check(written);
        }
    }

    fn check(&mut self, result: io::Result<()>) {
        if let Err(error) = result
            && !std::mem::replace(&mut self.failed, true)
        {
            eprintln!("ascendcl-sim: cannot write the timeline: {error}");
        }
    }
}

/// Nanoseconds as microseconds, which is the unit of the format.
struct Micros(u64);

impl Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// A JSON string.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                c if u32::from(c) < 0x20 => write!(f, "\\u{:04x}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}
