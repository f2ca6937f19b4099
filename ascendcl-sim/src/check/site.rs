//! The place in the simulator where a C function is entered: what it needs to know on each call is looked up once.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ascendcl_sys::{self as sys, aclError};

use super::{fault, trace};
use crate::core::{clock, fork, process, seeded, snapshot};
use crate::error::{self, SUCCESS, fail};

/// The chip does not have the function.
const LACKING: u32 = 1;
/// The configuration makes calls fail.
const FAULTY: u32 = 2;

/// Counts the machines that were configured, so that sites notice a new one. Starts at 1.
static MACHINES: AtomicU32 = AtomicU32::new(1);

/// Makes all sites look up again what they know.
pub(crate) fn forget() {
    MACHINES.fetch_add(1, Ordering::SeqCst);
}

/// A C function.
pub(crate) struct Site {
    name: &'static str,
    /// The machine it was looked up for in the upper half, what was found in the lower one.
    known: AtomicU64,
    /// Calls since that machine was configured.
    calls: AtomicU64,
}

/// The time a thread spends inside one C function.
pub(crate) struct Call {
    function: &'static str,
    before: &'static str,
    started: u64,
    code: aclError,
    fault: Option<fault::After>,
}

impl Site {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, known: AtomicU64::new(0), calls: AtomicU64::new(0) }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Notes that the calling thread entered the function; an error means that it must not go on.
    pub(crate) fn enter(&'static self) -> Result<Call, aclError> {
        // First of all, before any lock: in a forked child the pool threads are gone and locks may be held for ever.
        if fork::in_child() {
            return Err(sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR);
        }
        snapshot::wait_if_locked(self.name);
        let before = error::set_function(self.name);
        let mut call =
            Call { function: self.name, before, fault: None, started: trace::start(), code: SUCCESS };
        let known = self.known();
        if known & LACKING != 0 {
            let machine = process::machine();
            let profile = &machine.settings().profile;
            if !profile.looks_first(self.name) {
                supported()?;
            }
        }
        if seeded::is_on() && self.name != "aclrtProcessReport" {
            seeded::called();
            clock::spend(process::machine().settings().profile.costs.call);
        }
        if known & FAULTY != 0 {
            call.fault = fault::before(self.name, self.calls.fetch_add(1, Ordering::Relaxed) + 1)?;
        }
        Ok(call)
    }

    fn known(&self) -> u32 {
        let machine = MACHINES.load(Ordering::Acquire);
        let known = self.known.load(Ordering::Relaxed);
        if (known >> 32) as u32 == machine { known as u32 } else { self.look_up(machine) }
    }

    #[cold]
    fn look_up(&self, machine: u32) -> u32 {
        let mut known = 0;
        if process::machine().settings().profile.lacks(self.name).is_some() {
            known |= LACKING;
        }
        if fault::concerns(self.name) {
            known |= FAULTY;
        }
        self.calls.store(0, Ordering::Relaxed);
        self.known.store((u64::from(machine) << 32) | u64::from(known), Ordering::Relaxed);
        known
    }
}

/// For functions that look at their arguments before they notice that the chip does not have them: called after the checks that come
/// first, within the C function.
pub(crate) fn supported() -> Result<(), aclError> {
    let machine = process::machine();
    let profile = &machine.settings().profile;
    let function = error::function();
    match profile.lacks(function) {
        Some(code) => Err(fail(code, format_args!("{} does not have {function}", profile.name()))),
        None => Ok(()),
    }
}

impl Call {
    /// The function is about to answer `code`; gives what it answers instead.
    pub(crate) fn leave(mut self, code: aclError) -> aclError {
        self.code = match self.fault.take() {
            Some(fault) => fault.answer(code),
            None => code,
        };
        self.code
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        trace::call(self.function, self.started, self.code);
        error::set_function(self.before);
    }
}
