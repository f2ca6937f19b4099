//! The one clock of the simulator.
//!
//! It is the host's, or, in a run with a seed, a virtual one: each thread of the host and each stream has a time of its own, which grows
//! with what calls and tasks cost on the simulated chip, and is moved forward where one waits for the other. How long things take here
//! does not matter then: a program that does the same sees the same times.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static VIRTUAL: AtomicBool = AtomicBool::new(false);

/// When a virtual clock begins, in nanoseconds. Not 0, which is taken for no time by some programs.
const BOOT: u64 = 1_000_000_000;

thread_local! {
    /// The virtual time of this thread, or of the stream whose task it runs.
    static TIME: Cell<u64> = const { Cell::new(BOOT) };
}

pub(crate) fn is_virtual() -> bool {
    VIRTUAL.load(Ordering::Relaxed)
}

pub(super) fn configure(on: bool) {
    VIRTUAL.store(on, Ordering::SeqCst);
    TIME.set(BOOT);
}

/// Nanoseconds since the devices booted, which is when the host did.
pub(crate) fn now() -> u64 {
    if is_virtual() {
        return TIME.try_with(Cell::get).unwrap_or(BOOT);
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: [os] `time` is a valid timespec to write to, and this clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// [`now`] on a virtual clock, 0 otherwise.
pub(crate) fn now_if_virtual() -> u64 {
    if is_virtual() { now() } else { 0 }
}

/// Whoever runs here is at `time` at least: it waited for something that came then.
pub(crate) fn reach(time: u64) {
    if is_virtual() {
        let _ = TIME.try_with(|own| own.set(own.get().max(time)));
    }
}

/// What runs here takes so many nanoseconds.
pub(crate) fn spend(nanoseconds: u64) {
    if is_virtual() {
        let _ = TIME.try_with(|own| own.set(own.get().saturating_add(nanoseconds)));
    }
}

/// Moving `bytes` at `rate` bytes per microsecond takes its time.
pub(crate) fn spend_moving(bytes: usize, rate: u64) {
    spend((bytes as u64).saturating_mul(1000) / rate.max(1));
}

/// A thread does a stream's work and goes back to its own time afterwards.
pub(crate) fn apart<R>(work: impl FnOnce() -> R) -> R {
    let own = TIME.try_with(Cell::get).unwrap_or(BOOT);
    let result = work();
    let _ = TIME.try_with(|time| time.set(own));
    result
}

/// What runs here goes on at `time`, wherever this thread was before.
pub(crate) fn go_to(time: u64) {
    if is_virtual() {
        let _ = TIME.try_with(|own| own.set(time.max(BOOT)));
    }
}

/// When a wait that may last `timeout` ends; `None` waits for ever, and so does a time beyond what the clock can say.
pub(crate) fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    let timeout = timeout?;
    Instant::now().checked_add(timeout)
}
