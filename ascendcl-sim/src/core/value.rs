//! Streams that wait until a value in device memory satisfies a condition.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use ascendcl_sys::{self as sys, aclError};

use super::poll::{self, Watched};
use super::stream::Stream;
use super::wait::{Waitable, Waiter};
use crate::check::{Access, Mark};
use crate::lock::Mutex;
use crate::memory::DeviceRange;

/// Bytes of a value.
pub(crate) const SIZE: usize = 8;

/// One wait.
pub(crate) struct ValueWait {
    me: Weak<Self>,
    range: DeviceRange,
    value: u64,
    how: u32,
    /// More than one only if captured work runs on several streams at once.
    waiters: Mutex<Vec<Waiter>>,
}

/// Waits that streams are parked in. Memory is written far more often than anybody waits for it, so their number is looked at first.
static WAITING: Mutex<Vec<Arc<ValueWait>>> = Mutex::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread is looking at values, which opens memory too.
    static LOOKING: Cell<bool> = const { Cell::new(false) };
}

impl ValueWait {
    /// A wait for the 8 bytes of `range`; `how` is one of the four comparisons.
    pub(crate) fn new(range: DeviceRange, value: u64, how: u32) -> Arc<Self> {
        Arc::new_cyclic(|me| Self { me: Weak::clone(me), range, value, how, waiters: Mutex::default() })
    }

    /// Where the value is, what it is compared with, and how.
    pub(crate) fn condition(&self) -> (&DeviceRange, u64, u32) {
        (&self.range, self.value, self.how)
    }

    fn holds(&self, now: u64) -> bool {
        match self.how {
            sys::ACL_STREAM_WAIT_VALUE_GEQ => now.wrapping_sub(self.value).cast_signed() >= 0,
            sys::ACL_STREAM_WAIT_VALUE_EQ => now == self.value,
            sys::ACL_STREAM_WAIT_VALUE_AND => now & self.value != 0,
            _ => !(now | self.value) != 0,
        }
    }

    /// Whether the wait is over; so it is when the memory is gone.
    fn is_over(&self) -> bool {
        if !self.range.is_live() {
            return true;
        }
        let before = LOOKING.replace(true);
        let over = self.range.open(Access::AWAIT).map_or(true, |bytes| {
            let mut value = [0; SIZE];
            value.copy_from_slice(&bytes.read_to_vec());
            self.holds(u64::from_le_bytes(value))
        });
        LOOKING.set(before);
        over
    }

    fn remove(&self) {
        let mut waiting = WAITING.lock();
        let at = waiting.iter().position(|wait| std::ptr::eq(&**wait, self));
        let gone = at.map(|at| waiting.swap_remove(at));
        COUNT.store(waiting.len(), Ordering::SeqCst);
        drop(waiting);
        drop(gone);
    }
}

/// Writes a value that streams may wait for.
pub(crate) fn write(range: &DeviceRange, value: u64) -> Result<(), aclError> {
    range.open(Access::SIGNAL)?.write_from(0, &value.to_le_bytes());
    Ok(())
}

/// Device memory was written.
pub(crate) fn written() {
    if COUNT.load(Ordering::SeqCst) > 0 && !LOOKING.get() {
        look_at_all();
    }
}

#[cold]
fn look_at_all() {
    let waiting = WAITING.lock().clone();
    for wait in waiting {
        wait.look();
    }
}

impl Waitable for ValueWait {
    fn as_value(&self) -> Option<&ValueWait> {
        Some(self)
    }

    fn operation(&self) -> &'static str {
        "value wait"
    }

    fn what(&self) -> &'static str {
        "a value in memory"
    }

    fn mark(&self) -> &Mark {
        self.range.values()
    }

    fn pass_or_enlist(&self, _key: u64, stream: &Arc<Stream>, ticket: u64) -> bool {
        let Some(me) = self.me.upgrade() else { return true };
        self.waiters.lock().push(Waiter::new(stream, ticket));
        {
            let mut waiting = WAITING.lock();
            if !waiting.iter().any(|wait| Arc::ptr_eq(wait, &me)) {
                waiting.push(Arc::clone(&me));
            }
            COUNT.store(waiting.len(), Ordering::SeqCst);
        }
        // Findable first, looked at second: a write in between is seen by one or the other.
        if self.is_over() {
            self.delist(stream, ticket);
            return true;
        }
        poll::watch(me);
        false
    }

    fn delist(&self, stream: &Stream, ticket: u64) {
        let mut waiters = self.waiters.lock();
        let at = waiters.iter().position(|waiter| waiter.is(stream, ticket));
        let gone = at.map(|at| waiters.swap_remove(at));
        let last = waiters.is_empty();
        drop(waiters);
        drop(gone);
        if last {
            self.remove();
        }
    }

    fn over(&self, _key: u64) -> Result<(), aclError> {
        // An error if the memory was freed under the wait.
        self.range.open(Access::AWAIT).map(drop)
    }
}

impl Watched for ValueWait {
    fn look(&self) -> bool {
        let mut waiters = self.waiters.lock();
        if !waiters.is_empty() && !self.is_over() {
            return true;
        }
        let woken = std::mem::take(&mut *waiters);
        drop(waiters);
        self.remove();
        for waiter in woken {
            waiter.wake();
        }
        false
    }
}
