//! Events between processes: records and waits of all of them, by numbers that they share.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use ascendcl_sys::{self as sys, aclError};

use super::notify::refused;
use super::poll::{self, Watched};
use super::stream::Stream;
use super::wait::{Waitable, Waiter};
use crate::check::Mark;
use crate::error::fail;
use crate::interprocess::{Segment, SegmentKind, is_alive};
use crate::lock::Mutex;

/// Records that can be under way at once.
const SLOTS: usize = 4096;
/// Words: the number given out last, the number of the latest record, and two for each slot.
const NEXT: usize = 0;
const LATEST: usize = 1;
const FIRST_SLOT: usize = 2;
const WORDS: usize = FIRST_SLOT + 2 * SLOTS;
/// Whether the process that made a record is still there is asked for once in so many looks.
const LOOKS: u32 = 64;
const PAUSE: Duration = Duration::from_micros(200);

/// What the processes share of an event, and the streams of this one that wait for it.
///
/// A slot holds the number of a record and whether it is done, `2 * number + done`, and the process that made it: a record of a process that has
/// died will never be done, and nobody should wait for it.
pub(super) struct SharedEvent {
    me: Weak<Self>,
    segment: Segment,
    waiters: Mutex<Vec<(u64, Waiter)>>,
    looks: AtomicU32,
}

/// What this process has passed on to others. They may give it back by any other event or notify, so there is one for all.
pub(super) fn abroad() -> &'static Mark {
    static ABROAD: LazyLock<Mark> = LazyLock::new(Mark::default);
    &ABROAD
}

impl SharedEvent {
    pub(super) fn create() -> Result<Arc<Self>, aclError> {
        let segment = Segment::create(SegmentKind::Event, WORDS * 8).map_err(|error| {
            fail(
                sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR,
                format_args!("cannot make memory to share an event in: {error}"),
            )
        })?;
        segment.allow_all();
        Ok(Self::new(segment))
    }

    pub(super) fn open(key: &str) -> Result<Arc<Self>, aclError> {
        Segment::open(SegmentKind::Event, key).map(Self::new).map_err(|error| refused("event", key, &error))
    }

    fn new(segment: Segment) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            segment,
            waiters: Mutex::default(),
            looks: AtomicU32::new(0),
        })
    }

    pub(super) fn key(&self) -> String {
        self.segment.key()
    }

    /// Numbers a record that is about to be queued.
    pub(super) fn issue(&self) -> u64 {
        let number = self.segment.word(NEXT).fetch_add(1, Ordering::SeqCst) + 1;
        let (state, owner) = Self::slot(number);
        self.segment.word(owner).store(std::process::id().into(), Ordering::SeqCst);
        self.segment.word(state).store(number << 1, Ordering::SeqCst);
        self.segment.word(LATEST).fetch_max(number, Ordering::SeqCst);
        number
    }

    /// The record was reached, or never will be.
    pub(super) fn complete(&self, number: u64) {
        let state = self.segment.word(Self::slot(number).0);
        // If it is another record's by now, this one was so long ago that it counts as done.
        let _ = state.compare_exchange(number << 1, (number << 1) | 1, Ordering::SeqCst, Ordering::SeqCst);
        self.serve();
    }

    /// The latest record of any process, 0 if there was none.
    pub(super) fn latest(&self) -> u64 {
        self.segment.word(LATEST).load(Ordering::SeqCst)
    }

    /// Whether a record is done.
    pub(super) fn is_done(&self, number: u64) -> bool {
        let state = self.segment.word(Self::slot(number).0).load(Ordering::SeqCst);
        number == 0 || state >> 1 != number || state & 1 != 0
    }

    /// Waits until a record is done; true if `deadline` passes first.
    pub(super) fn wait(&self, number: u64, deadline: Option<Instant>) -> bool {
        let mut looks = 0u32;
        while !self.is_done(number) {
            if looks % LOOKS == LOOKS - 1 && self.is_orphan(number) {
                break;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return true;
            }
            looks = looks.wrapping_add(1);
            thread::sleep(PAUSE);
        }
        false
    }

    pub(super) fn mark(&self) -> &Mark {
        abroad()
    }

    fn slot(number: u64) -> (usize, usize) {
        let at = FIRST_SLOT + 2 * (number as usize % SLOTS);
        (at, at + 1)
    }

    fn is_orphan(&self, number: u64) -> bool {
        let owner = self.segment.word(Self::slot(number).1).load(Ordering::SeqCst);
        !is_alive(owner as i32)
    }

    /// Wakes streams whose record is done; true if some still wait.
    fn serve(&self) -> bool {
        let mut waiters = self.waiters.lock();
        let orphans = !waiters.is_empty() && self.looks.fetch_add(1, Ordering::Relaxed) % LOOKS == LOOKS - 1;
        waiters.retain(|(number, waiter)| {
            let over = self.is_done(*number) || (orphans && self.is_orphan(*number));
            if over {
                waiter.wake();
            }
            !over
        });
        !waiters.is_empty()
    }
}

impl Waitable for SharedEvent {
    fn operation(&self) -> &'static str {
        "event wait"
    }

    fn what(&self) -> &'static str {
        "an event of another process"
    }

    fn mark(&self) -> &Mark {
        abroad()
    }

    fn passed(&self, key: u64) -> bool {
        self.is_done(key)
    }

    fn pass_or_enlist(&self, key: u64, stream: &Arc<Stream>, ticket: u64) -> bool {
        let mut waiters = self.waiters.lock();
        if self.is_done(key) {
            return true;
        }
        waiters.push((key, Waiter::new(stream, ticket)));
        drop(waiters);
        if let Some(me) = self.me.upgrade() {
            poll::watch(me);
        }
        false
    }

    fn delist(&self, stream: &Stream, ticket: u64) {
        let mut waiters = self.waiters.lock();
        let at = waiters.iter().position(|(_, waiter)| waiter.is(stream, ticket));
        let gone = at.map(|at| waiters.swap_remove(at));
        drop(waiters);
        drop(gone);
    }
}

impl Watched for SharedEvent {
    fn look(&self) -> bool {
        self.serve()
    }
}
