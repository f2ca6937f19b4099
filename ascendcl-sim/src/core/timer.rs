//! Deadlines of streams that wait for an event.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Once, Weak};
use std::time::{Duration, Instant};

use super::stream::Signal;
use super::{Stream, clock, seeded};
use crate::lock::{Condvar, Mutex};
use crate::own_thread;

struct Entry {
    at: Instant,
    /// The order among equal deadlines.
    number: u64,
    stream: Weak<Stream>,
    ticket: u64,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

struct Timer {
    entries: BinaryHeap<Reverse<Entry>>,
    next: u64,
}

static TIMER: Mutex<Timer> = Mutex::new(Timer { entries: BinaryHeap::new(), next: 0 });
static CHANGED: Condvar = Condvar::new();

/// Signals a time-out to `stream` after `timeout` if it still waits with `ticket` then.
pub(super) fn add(timeout: Duration, stream: Weak<Stream>, ticket: u64) {
    if seeded::is_on() {
        let at = clock::now().saturating_add(timeout.as_nanos() as u64);
        return seeded::add_timer(at, stream, ticket);
    }
    let Some(at) = clock::deadline(Some(timeout)) else { return };
    static START: Once = Once::new();
    START.call_once(|| {
        if let Err(error) = own_thread::start("ascendcl-sim-timer", run) {
            log::error!("cannot start the timer thread: {error}");
        }
    });
    let mut timer = TIMER.lock();
    let number = timer.next;
    timer.next += 1;
    timer.entries.push(Reverse(Entry { at, number, stream, ticket }));
    drop(timer);
    CHANGED.notify_one();
}

fn run() {
    let mut timer = TIMER.lock();
    loop {
        let first = timer.entries.peek().map(|Reverse(entry)| entry.at);
        let now = Instant::now();
        if first.is_some_and(|at| at <= now) {
            let due = timer.entries.pop();
            // A stream's lock comes before the timer's: none of ours may be held.
            drop(timer);
            if let Some(Reverse(entry)) = due
                && let Some(stream) = entry.stream.upgrade()
            {
                stream.signal(entry.ticket, Signal::TimedOut);
            }
            timer = TIMER.lock();
        } else {
            let count = timer.next;
            (timer, _) = CHANGED.wait_while(timer, first, |timer| timer.next == count);
        }
    }
}
