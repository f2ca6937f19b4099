//! Pools of memory that streams allocate from and free to.
//!
//! An allocation has its memory at once. Freed memory stays with the pool, counted as the device's, until a synchronisation finds
//! more than the pool's threshold or the program trims it.

use core::ffi::c_void;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use ascendcl_sys::{self as sys, aclError};

use super::accounts::{APP, Charge, HUGE_PAGE, PageSize};
use super::region::Region;
use super::space::DeviceMemory;
use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::{Mutex, RwLock};

pub(crate) static POOLS: Table<Pool> = Table::new(Kind::MemoryPool);

/// What pools gave out and have not got back yet, by address.
static LENT: RwLock<BTreeMap<usize, Loan>> = RwLock::new(BTreeMap::new());
/// Pools that have memory of their own to give back.
static HOARDING: AtomicUsize = AtomicUsize::new(0);

struct Loan {
    pool: Weak<Pool>,
    /// A stream will free it in its turn.
    returning: bool,
}

pub(crate) struct Pool {
    this: Weak<Pool>,
    device: i32,
    memory: Arc<DeviceMemory>,
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    destroyed: bool,
    /// Sizes by address.
    blocks: BTreeMap<usize, usize>,
    used: usize,
    used_high: usize,
    reserved_high: usize,
    /// Freed memory that stays with the pool.
    kept: Option<Charge>,
    threshold: usize,
    /// May freed memory be used again, for which reasons.
    reuse: [bool; 3],
}

/// What a pool is asked for or told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Reuse(usize),
    Threshold,
    Reserved,
    ReservedHigh,
    Used,
    UsedHigh,
}

impl State {
    fn kept(&self) -> usize {
        self.kept.as_ref().map_or(0, Charge::bytes)
    }

    fn reserved(&self) -> usize {
        self.used + self.kept()
    }
}

impl Pool {
    /// A pool of at most `most` bytes. `None` if there are too many.
    pub(crate) fn create(device: i32, memory: &Arc<DeviceMemory>, most: usize) -> Option<*mut c_void> {
        let registration = register(LiveKind::MemoryPool, format!("{most} bytes at most on device {device}"));
        let state = Mutex::new(State { reuse: [true; 3], ..State::default() });
        let pool = Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            device,
            memory: Arc::clone(memory),
            most,
            state,
        });
        POOLS.insert(pool, registration)
    }

    pub(crate) fn device(&self) -> i32 {
        self.device
    }

    /// Memory from the pool.
    pub(crate) fn allocate(&self, size: usize) -> Result<*mut c_void, aclError> {
        let failed = |why: std::fmt::Arguments<'_>| fail(sys::ACL_ERROR_RT_INTERNAL_ERROR, why);
        let mut state = self.state.lock();
        let bytes = size
            .checked_next_multiple_of(HUGE_PAGE)
            .filter(|&bytes| bytes <= self.most - state.used)
            .ok_or_else(|| {
                let used = state.used;
                failed(format_args!("{size} bytes do not fit: the pool has {used} of {} in use", self.most))
            })?;
        if state.destroyed {
            return Err(failed(format_args!("the pool is being destroyed")));
        }
        // Room first comes from what was freed, and what was freed goes when the pool would grow too large.
        let room = state.kept().saturating_sub(bytes).min(self.most - state.used - bytes);
        self.keep(&mut state, room);
        let pointer = self
            .memory
            .allocate(size, bytes, PageSize::Huge)
            .map_err(|_| failed(format_args!("the device has no {size} bytes left for the pool")))?;
        state.blocks.insert(pointer.addr(), bytes);
        state.used += bytes;
        state.used_high = state.used_high.max(state.used);
        state.reserved_high = state.reserved_high.max(state.reserved());
        // Before anybody can destroy the pool.
        LENT.write().insert(pointer.addr(), Loan { pool: Weak::clone(&self.this), returning: false });
        Ok(pointer)
    }

    /// Frees what it gave out: when a stream gets there.
    pub(crate) fn free(&self, address: usize) {
        let mut state = self.state.lock();
        let Some(bytes) = state.blocks.remove(&address) else { return };
        LENT.write().remove(&address);
        self.memory.free(address);
        state.used -= bytes;
        let kept = state.kept() + bytes;
        self.keep(&mut state, kept);
    }

    /// Keeps `bytes` of freed memory, or none if the device has given them to somebody else.
    fn keep(&self, state: &mut State, bytes: usize) {
        let before = state.kept.take().map(|charge| self.memory.accounts().give(charge)).is_some();
        if bytes > 0 {
            state.kept = self.memory.accounts().take(bytes, PageSize::Huge, APP);
        }
        match (before, state.kept.is_some()) {
            (false, true) => drop(HOARDING.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(HOARDING.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }

    /// `aclrtMemPoolTrimTo`.
    pub(crate) fn trim(&self, keep: usize) -> Result<(), aclError> {
        let mut state = self.state.lock();
        if keep > self.most || keep < state.used {
            let used = state.used;
            return Err(fail(
                sys::ACL_ERROR_RT_INTERNAL_ERROR,
                format_args!("{keep} bytes are not between the {used} in use and the {} at most", self.most),
            ));
        }
        let kept = state.kept().min((keep - state.used).next_multiple_of(HUGE_PAGE));
        self.keep(&mut state, kept);
        Ok(())
    }

    /// Gives back what is beyond the threshold.
    fn settle(&self) {
        let mut state = self.state.lock();
        if state.reserved() > state.threshold {
            let kept = state.kept().min(state.threshold.saturating_sub(state.used) / HUGE_PAGE * HUGE_PAGE);
            self.keep(&mut state, kept);
        }
    }

    /// Frees everything that it gave out.
    pub(crate) fn destroy(&self) {
        let blocks = {
            let mut state = self.state.lock();
            state.destroyed = true;
            state.used = 0;
            self.keep(&mut state, 0);
            std::mem::take(&mut state.blocks)
        };
        for address in blocks.into_keys() {
            LENT.write().remove(&address);
            self.memory.free(address);
        }
    }

    pub(crate) fn get(&self, attribute: Attribute) -> usize {
        let state = self.state.lock();
        match attribute {
            Attribute::Reuse(which) => state.reuse[which].into(),
            Attribute::Threshold => state.threshold,
            Attribute::Reserved => state.reserved(),
            Attribute::ReservedHigh => state.reserved_high,
            Attribute::Used => state.used,
            Attribute::UsedHigh => state.used_high,
        }
    }

    pub(crate) fn set(&self, attribute: Attribute, value: usize) -> Result<(), aclError> {
        let refused = |code, what: std::fmt::Arguments<'_>| Err(fail(code, what));
        let mut state = self.state.lock();
        match attribute {
            Attribute::Reserved | Attribute::Used => {
                return refused(
                    sys::ACL_ERROR_RT_PARAM_INVALID,
                    format_args!("what a pool has now cannot be set"),
                );
            }
            Attribute::ReservedHigh | Attribute::UsedHigh if value != 0 => {
                return refused(
                    sys::ACL_ERROR_RT_INTERNAL_ERROR,
                    format_args!("a high mark is set back with 0, not {value}"),
                );
            }
            Attribute::Threshold if value > self.most => {
                return refused(
                    sys::ACL_ERROR_RT_INTERNAL_ERROR,
                    format_args!("a threshold of {value} bytes is more than the pool's {}", self.most),
                );
            }
            Attribute::Reuse(which) => state.reuse[which] = value != 0,
            Attribute::Threshold => state.threshold = value,
            Attribute::ReservedHigh => state.reserved_high = state.reserved(),
            Attribute::UsedHigh => state.used_high = state.used,
        }
        Ok(())
    }
}

/// The pool that gave out `pointer`, which from now on is on its way back to it; `None` if no pool did.
pub(crate) fn take_lent(pointer: *const c_void) -> Option<Result<Arc<Pool>, aclError>> {
    if LENT.read().is_empty() {
        return None;
    }
    let mut lent = LENT.write();
    let loan = lent.get_mut(&pointer.addr())?;
    if std::mem::replace(&mut loan.returning, true) {
        drop(lent);
        return Some(Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("{pointer:p} was freed before, and a stream has yet to do it"),
        )));
    }
    loan.pool.upgrade().map(Ok)
}

/// `aclrtFree` of what a pool gave out; `None` if no pool did.
pub(super) fn free(pointer: *const c_void) -> Option<Result<(), aclError>> {
    Some(take_lent(pointer)?.map(|pool| pool.free(pointer.addr())))
}

/// A synchronisation has happened on the device: pools give back what is beyond their thresholds.
pub(crate) fn settle_pools(device: i32) {
    if HOARDING.load(Ordering::Relaxed) == 0 {
        return;
    }
    for (_, pool) in POOLS.select(|pool| pool.device == device) {
        pool.settle();
    }
}

/// Destroys the pools of a device that is being reset; how many there were.
pub(crate) fn release_pools(device: i32) -> usize {
    let pools = POOLS.select(|pool| pool.device == device);
    let removed = pools.iter().filter_map(|(handle, _)| POOLS.remove(*handle));
    removed.map(|pool| pool.destroy()).count()
}
