//! Marks and ranges that a program puts into its profile, and into the simulator's timeline.
//!
//! A stamp is one of a hundred places for a message and a time. The places outlive the stamps: a range can be stopped whose stamp was destroyed,
//! and stopped again.

use core::ffi::c_void;
use std::sync::Arc;

use crate::check::leak::{LiveKind, register};
use crate::check::trace;
use crate::core::Stream;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;

static STAMPS: Table<usize> = Table::new(Kind::Stamp);
static POOL: Mutex<Pool> = Mutex::new(Pool { places: [const { Place::NEW }; PLACES], open: Vec::new() });

const PLACES: usize = 100;

struct Pool {
    places: [Place; PLACES],
    /// Stamps pushed and not popped, of all threads.
    open: Vec<usize>,
}

struct Place {
    used: bool,
    /// It was the start of a range once.
    ranged: bool,
    message: String,
    started: u64,
}

impl Place {
    const NEW: Self = Self { used: false, ranged: false, message: String::new(), started: 0 };
}

/// What the real profiler answers where it has no code: -1, with nothing said.
pub(crate) type Answer<T> = Option<T>;

/// `aclprofCreateStamp`: none before a start that asks for stamps, and none beyond a hundred.
pub(crate) fn create() -> Option<*mut c_void> {
    if !super::takes_stamps() {
        return None;
    }
    let mut pool = POOL.lock();
    let place = pool.places.iter().position(|place| !place.used)?;
    pool.places[place].used = true;
    drop(pool);
    STAMPS.insert(Arc::new(place), register(LiveKind::Profiling, "stamp"))
}

/// `aclprofDestroyStamp`
pub(crate) fn destroy(stamp: *mut c_void) {
    if let Some(place) = STAMPS.remove(stamp) {
        POOL.lock().places[*place].used = false;
    }
}

/// `aclprofSetStampTraceMessage`
pub(crate) fn set_message(stamp: *mut c_void, message: String) -> Answer<()> {
    let place = *STAMPS.get(stamp)?;
    POOL.lock().places[place].message = message;
    Some(())
}

/// `aclprofMark`
pub(crate) fn mark(stamp: *mut c_void) -> Answer<()> {
    let place = taken(stamp)?;
    let message = POOL.lock().places[place].message.clone();
    note(&message, trace::start());
    Some(())
}

/// `aclprofMarkEx`: a mark on the host, and one on a stream when it gets there.
pub(crate) fn mark_on(stream: &Arc<Stream>, message: &str) -> Answer<()> {
    if stream.submit("profiler mark", Arc::new(|| Ok(()))) != 0 {
        return None;
    }
    note(message, trace::start());
    Some(())
}

/// `aclprofPush`
pub(crate) fn push(stamp: *mut c_void) -> Answer<()> {
    let place = taken(stamp)?;
    let mut pool = POOL.lock();
    pool.places[place].started = trace::start();
    pool.open.push(place);
    Some(())
}

/// `aclprofPop`: the one pushed last, whoever did.
pub(crate) fn pop() -> Answer<()> {
    if !super::takes_stamps() {
        return None;
    }
    let mut pool = POOL.lock();
    let place = pool.open.pop()?;
    let Place { message, started, .. } = &pool.places[place];
    let (message, started) = (message.clone(), *started);
    drop(pool);
    note(&message, started);
    Some(())
}

/// `aclprofRangeStart`: the number of the range.
pub(crate) fn range_start(stamp: *mut c_void) -> Answer<u32> {
    let place = taken(stamp)?;
    let mut pool = POOL.lock();
    pool.places[place].ranged = true;
    pool.places[place].started = trace::start();
    Some(place as u32)
}

/// `aclprofRangeStop`
pub(crate) fn range_stop(range: u32) -> Answer<()> {
    if !super::takes_stamps() {
        return None;
    }
    let pool = POOL.lock();
    let place = pool.places.get(range as usize).filter(|place| place.ranged)?;
    let (message, started) = (place.message.clone(), place.started);
    drop(pool);
    note(&message, started);
    Some(())
}

/// Whether stamps are taken.
pub(crate) fn are_taken() -> bool {
    super::takes_stamps()
}

fn taken(stamp: *mut c_void) -> Option<usize> {
    if super::takes_stamps() { STAMPS.get(stamp).map(|place| *place) } else { None }
}

/// Where all marks pass: something that the program calls `message` lasted from `started` until now.
fn note(message: &str, started: u64) {
    log::debug!("mark: {message}");
    trace::mark(message, started);
}
