//! What a program sets for its whole process: system parameters, the saturation mode, time limits of operators. A new machine starts
//! with the defaults.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use ascendcl_sys as sys;

use crate::lock::Mutex;

/// `aclSysParamOpt` has these many members.
pub(crate) const PARAMETERS: usize = 4;
/// Of which the first three can be set for one context.
pub(crate) const CONTEXT_PARAMETERS: usize = 3;

#[derive(Debug)]
pub(crate) struct Options {
    parameters: [AtomicI64; PARAMETERS],
    saturation: AtomicU32,
    /// What `aclrtSetOpExecuteTimeOut` and its kin set, in microseconds.
    limit: Mutex<Option<u64>>,
}

impl Options {
    pub(crate) fn new() -> Self {
        Self {
            parameters: [const { AtomicI64::new(0) }; PARAMETERS],
            saturation: AtomicU32::new(sys::ACL_RT_OVERFLOW_MODE_SATURATION.0),
            limit: Mutex::new(None),
        }
    }

    pub(crate) fn parameter(&self, index: usize) -> i64 {
        self.parameters[index].load(Ordering::SeqCst)
    }

    pub(crate) fn set_parameter(&self, index: usize, value: i64) {
        self.parameters[index].store(value, Ordering::SeqCst);
    }

    pub(crate) fn saturation(&self) -> u32 {
        self.saturation.load(Ordering::SeqCst)
    }

    pub(crate) fn set_saturation(&self, mode: u32) {
        self.saturation.store(mode, Ordering::SeqCst);
    }

    pub(crate) fn limit(&self) -> Option<u64> {
        *self.limit.lock()
    }

    pub(crate) fn set_limit(&self, microseconds: u64) {
        *self.limit.lock() = Some(microseconds);
    }
}

/// Whether `value` is one that the parameter can have: the level of determinism knows four, the others are switches.
pub(crate) fn fits(index: usize, value: i64) -> bool {
    let end = if index == 0 { 4 } else { 2 };
    (0..end).contains(&value)
}
