//! Counters that streams change and wait for.

use core::ffi::c_void;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError, aclrtCntNotifyRecordMode, aclrtCntNotifyWaitMode};

use super::Device;
use super::stream::Stream;
use super::wait::{Waitable, Waiter};
use crate::check::Mark;
use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;

pub(crate) static COUNT_NOTIFIES: Table<CountNotify> = Table::new(Kind::CountNotify);

pub(crate) struct CountNotify {
    id: u32,
    device: Arc<Device>,
    state: Mutex<State>,
    mark: Mark,
}

#[derive(Default)]
struct State {
    value: u32,
    waiters: Vec<(Condition, Waiter)>,
}

/// What a wait waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) mode: aclrtCntNotifyWaitMode,
    pub(crate) value: u32,
    /// Whether the wait sets the counter to 0.
    pub(crate) clear: bool,
}

impl Condition {
    /// As the key of a wait.
    pub(crate) fn key(self) -> u64 {
        u64::from(self.value) | (u64::from(self.mode.0 & 0xff) << 32) | (u64::from(self.clear) << 40)
    }

    fn of(key: u64) -> Self {
        Self {
            mode: aclrtCntNotifyWaitMode((key >> 32) as u32 & 0xff),
            value: key as u32,
            clear: (key >> 40) != 0,
        }
    }

    fn holds(self, count: u32) -> bool {
        match self.mode {
            sys::ACL_RT_CNT_NOTIFY_WAIT_LESS_MODE => count < self.value,
            sys::ACL_RT_CNT_NOTIFY_WAIT_EQUAL_MODE => count == self.value,
            sys::ACL_RT_CNT_NOTIFY_WAIT_BIGGER_MODE => count > self.value,
            sys::ACL_RT_CNT_NOTIFY_WAIT_BIGGER_OR_EQUAL_MODE => count >= self.value,
            _ => count & self.value == self.value,
        }
    }
}

impl State {
    fn set(&mut self, value: u32) {
        self.value = value;
        let mut at = 0;
        while let Some((condition, _)) = self.waiters.get(at) {
            if !condition.holds(self.value) {
                at += 1;
                continue;
            }
            let (condition, waiter) = self.waiters.remove(at);
            if waiter.wake() && condition.clear {
                self.value = 0;
                // Those before may have waited for less.
                at = 0;
            }
        }
    }
}

impl CountNotify {
    /// Makes a counter of `device` and gives its handle.
    pub(crate) fn create(device: &Arc<Device>) -> Result<*mut c_void, aclError> {
        let exhausted = || {
            fail(
                sys::ACL_ERROR_RT_NO_NOTIFY_RESOURCE,
                format_args!("all counting notifies of device {} are in use", device.id()),
            )
        };
        let id = device.count_notifies().take().ok_or_else(exhausted)?;
        let device = Arc::clone(device);
        let detail = format!("counting, id {id} on device {}", device.id());
        let counter =
            Self { id, device: Arc::clone(&device), state: Mutex::default(), mark: Mark::default() };
        COUNT_NOTIFIES.insert(Arc::new(counter), register(LiveKind::Notify, detail)).ok_or_else(exhausted)
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// The stream reached a record.
    pub(crate) fn record(&self, mode: aclrtCntNotifyRecordMode, value: u32) {
        self.mark.post();
        let mut state = self.state.lock();
        let now = state.value;
        state.set(match mode {
            sys::ACL_RT_CNT_NOTIFY_RECORD_SET_VALUE_MODE => value,
            sys::ACL_RT_CNT_NOTIFY_RECORD_ADD_MODE => now.wrapping_add(value),
            sys::ACL_RT_CNT_NOTIFY_RECORD_BIT_OR_MODE => now | value,
            _ => now & value,
        });
    }

    /// The stream reached a reset.
    pub(crate) fn reset(&self) {
        self.mark.post();
        self.state.lock().set(0);
    }
}

impl Waitable for CountNotify {
    fn operation(&self) -> &'static str {
        "counter wait"
    }

    fn what(&self) -> &'static str {
        "a counting notify"
    }

    fn mark(&self) -> &Mark {
        &self.mark
    }

    fn pass_or_enlist(&self, key: u64, stream: &Arc<Stream>, ticket: u64) -> bool {
        let condition = Condition::of(key);
        let mut state = self.state.lock();
        if condition.holds(state.value) {
            if condition.clear {
                state.set(0);
            }
            return true;
        }
        state.waiters.push((condition, Waiter::new(stream, ticket)));
        false
    }

    fn delist(&self, stream: &Stream, ticket: u64) {
        let mut state = self.state.lock();
        let at = state.waiters.iter().position(|(_, waiter)| waiter.is(stream, ticket));
        let gone = at.map(|at| state.waiters.remove(at));
        drop(state);
        drop(gone);
    }
}

impl Drop for CountNotify {
    fn drop(&mut self) {
        self.device.count_notifies().give(self.id);
    }
}
