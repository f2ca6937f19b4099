//! What a capture forbids to whom.
//!
//! Calls that do their work at once next to a capture would see memory in which nothing has happened yet. A capture in the global mode
//! forbids them to all threads in its context, a thread-local one to its own thread, a relaxed one to nobody; and each thread can
//! exchange its own mode for a laxer one.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use ascendcl_sys::{self as sys, aclError, aclmdlRICaptureMode};

use super::super::Context;
use crate::error::fail;
use crate::lock::Mutex;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CaptureMode {
    Global,
    ThreadLocal,
    Relaxed,
}

impl CaptureMode {
    /// 107000 for anything unknown.
    pub(crate) fn from_c(mode: aclmdlRICaptureMode) -> Result<Self, aclError> {
        match mode {
            sys::ACL_MODEL_RI_CAPTURE_MODE_GLOBAL => Ok(Self::Global),
            sys::ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL => Ok(Self::ThreadLocal),
            sys::ACL_MODEL_RI_CAPTURE_MODE_RELAXED => Ok(Self::Relaxed),
            other => Err(fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                format_args!("capture mode {} is unknown", other.0),
            )),
        }
    }

    pub(crate) fn to_c(self) -> aclmdlRICaptureMode {
        aclmdlRICaptureMode(self as u32)
    }
}

/// Captures in each mode.
type Counts = [usize; 3];

fn strictest(counts: &Counts) -> Option<CaptureMode> {
    [CaptureMode::Global, CaptureMode::ThreadLocal, CaptureMode::Relaxed]
        .into_iter()
        .find(|mode| counts[*mode as usize] > 0)
}

thread_local! {
    /// Captures that this thread began and that have not ended.
    static OWN: Cell<Counts> = const { Cell::new([0; 3]) };
    static EXCHANGED: Cell<CaptureMode> = const { Cell::new(CaptureMode::Global) };
}

/// Captures under way in all contexts, so that calls next to none of them pay nothing.
static ACTIVE: AtomicUsize = AtomicUsize::new(0);
/// By the handle of the context.
static CONTEXTS: Mutex<BTreeMap<usize, Counts>> = Mutex::new(BTreeMap::new());

pub(super) fn enter(context: usize, mode: CaptureMode) {
    CONTEXTS.lock().entry(context).or_default()[mode as usize] += 1;
    ACTIVE.fetch_add(1, Ordering::SeqCst);
    OWN.set(changed(OWN.get(), mode, 1));
}

pub(super) fn leave(context: usize, mode: CaptureMode) {
    let mut contexts = CONTEXTS.lock();
    if let Some(counts) = contexts.get_mut(&context) {
        *counts = changed(*counts, mode, -1);
        if *counts == [0; 3] {
            contexts.remove(&context);
        }
    }
    drop(contexts);
    ACTIVE.fetch_sub(1, Ordering::SeqCst);
    OWN.set(changed(OWN.get(), mode, -1));
}

fn changed(mut counts: Counts, mode: CaptureMode, by: isize) -> Counts {
    let count = &mut counts[mode as usize];
    *count = count.saturating_add_signed(by);
    counts
}

/// `aclmdlRICaptureThreadExchangeMode`: gives the mode before.
pub(crate) fn exchange(mode: CaptureMode) -> CaptureMode {
    EXCHANGED.replace(mode)
}

/// 107030 if a capture forbids this thread calls that do their work at once.
pub(crate) fn check_unsafe(context: &Context) -> Result<(), aclError> {
    if ACTIVE.load(Ordering::SeqCst) == 0 {
        return Ok(());
    }
    let counts = CONTEXTS.lock().get(&context.handle().addr()).copied().unwrap_or_default();
    let Some(there) = strictest(&counts) else { return Ok(()) };
    let own = strictest(&OWN.get()).unwrap_or(CaptureMode::Relaxed);
    let forbidden = match EXCHANGED.get() {
        CaptureMode::Relaxed => false,
        CaptureMode::Global => there == CaptureMode::Global || own == CaptureMode::ThreadLocal,
        CaptureMode::ThreadLocal => own != CaptureMode::Relaxed,
    };
    if !forbidden {
        return Ok(());
    }
    Err(fail(
        sys::ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT,
        format_args!(
            "a stream is capturing in mode {there:?}: call aclmdlRICaptureThreadExchangeMode to allow it on this thread"
        ),
    ))
}
