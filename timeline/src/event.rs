//! Events of the format: Chrome's "Trace Event Format", JSON array. Times are microseconds.
//!
//! Numbers of the process and of threads, and the clock, are those that the simulator writes into its file.

use rustix::{
    thread::gettid,
    time::{ClockId, clock_gettime},
};
use serde_json::{Map, Value, json};
use std::{fmt::Debug, thread};
use tracing::field::{Field, Visit};

/// The number of the host in the file; devices have others.
pub(crate) const HOST: u32 = 1;

/// Nanoseconds on the clock of the simulator.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The number of this thread.
pub(crate) fn thread_number() -> u32 {
    gettid().as_raw_nonzero().get().cast_unsigned()
}

/// Nanoseconds as microseconds. A double has a resolution below a nanosecond for the first weeks after the machine has booted.
fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

/// Something that lasted.
pub(crate) fn bar(name: &str, target: &str, thread: u32, start: u64, end: u64, fields: &Fields) -> Value {
    json!({"ph": "X", "name": name, "cat": target, "ts": micros(start), "dur": micros(end.saturating_sub(start)), "pid": HOST, "tid": thread,
        "args": fields.0})
}

/// Something that happened.
pub(crate) fn instant(name: &str, target: &str, at: u64, fields: &Fields) -> Value {
    json!({"ph": "i", "s": "t", "name": name, "cat": target, "ts": micros(at), "pid": HOST, "tid": thread_number(), "args": fields.0})
}

/// One end of an arrow between bars.
pub(crate) fn arrow(begins: bool, flow: u64, thread: u32, at: u64) -> Value {
    let mut event = json!({"ph": if begins { "s" } else { "f" }, "name": "span", "cat": "order", "id": flow, "ts": micros(at),
        "pid": HOST, "tid": thread});
    if !begins {
        event["bp"] = "e".into();
    }
    event
}

/// The names of the process and of this thread.
pub(crate) fn names() -> [Value; 2] {
    let number = thread_number();
    let thread = thread::current().name().map_or_else(|| format!("thread {number}"), Into::into);
    [("process_name", "host".to_owned()), ("thread_name", thread)].map(|(what, name)| {
        json!({"ph": "M", "name": what, "ts": 0, "pid": HOST, "tid": number, "args": {"name": name}})
    })
}

/// The fields of a span or an event.
#[derive(Debug, Default)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// What an event is called: its message, or the C function that it is about, or where it is in the code.
    pub(crate) fn name<'a>(&'a self, code: &'a str) -> &'a str {
        let text = |field| self.0.get(field).and_then(Value::as_str);
        text("message").or_else(|| text("op")).unwrap_or(code)
    }

    /// What a span is called. One that waits is known by what it calls.
    pub(crate) fn span_name(&self, code: &str, target: &str) -> String {
        match self.0.get("op").and_then(Value::as_str) {
            Some(op) if target == "ascendcl::wait" => format!("{code}: {op}"),
            _ => code.to_owned(),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }
}
