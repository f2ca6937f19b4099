//! The place in the simulator where a C function is entered: what it needs to know on each call is looked up once.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ascendcl_sys::aclError;

use super::{fault, trace};
use crate::core::{clock, over, process, seeded, snapshot};
use crate::error::{self, SUCCESS, fail};
use crate::lock::Mutex;

/// The chip does not have the function.
const LACKING: u32 = 1;
/// The configuration makes calls fail.
const FAULTY: u32 = 2;
/// Calls are counted.
const COUNTED: u32 = 4;

/// Counts the machines that were configured, so that sites notice a new one. Starts at 1.
static MACHINES: AtomicU32 = AtomicU32::new(1);

/// Makes all sites look up again what they know.
pub(crate) fn forget() {
    MACHINES.fetch_add(1, Ordering::SeqCst);
    ENTERED.lock().clear();
}

/// The functions that were entered since the machine was configured, if calls are counted.
static ENTERED: Mutex<Vec<&'static Site>> = Mutex::new(Vec::new());

/// The calls of one C function since the simulator was configured: see [`calls`](crate::calls).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Calls {
    /// The C function.
    pub function: &'static str,
    /// How often it was called, from whichever thread.
    pub made: u64,
    /// How many threads are inside it now.
    pub running: u64,
}

/// The functions that were called, by name.
pub(crate) fn calls() -> Vec<Calls> {
    let entered = ENTERED.lock();
    let mut calls: Vec<Calls> = Vec::new();
    for site in entered.iter() {
        let (made, running) = (site.calls.load(Ordering::SeqCst), site.running.load(Ordering::SeqCst));
        // Some functions are entered at more than one place.
        match calls.iter_mut().find(|calls| calls.function == site.name) {
            Some(calls) => {
                calls.made += made;
                calls.running += running;
            }
            None => calls.push(Calls { function: site.name, made, running }),
        }
    }
    calls.sort_by_key(|calls| calls.function);
    calls
}

/// A C function.
pub(crate) struct Site {
    name: &'static str,
    /// The machine it was looked up for in the upper half, what was found in the lower one.
    known: AtomicU64,
    /// Calls since that machine was configured, if they are counted or some are to go wrong.
    calls: AtomicU64,
    /// Calls that have not returned, if they are counted.
    running: AtomicU64,
}

/// The time a thread spends inside one C function.
pub(crate) struct Call {
    function: &'static str,
    before: &'static str,
    started: u64,
    code: aclError,
    fault: Option<fault::After>,
    /// Where the call is counted.
    counted: Option<&'static Site>,
}

impl Site {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, known: AtomicU64::new(0), calls: AtomicU64::new(0), running: AtomicU64::new(0) }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Notes that the calling thread entered the function; an error means that it must not go on.
    pub(crate) fn enter(&'static self) -> Result<Call, aclError> {
        // First of all, before any lock.
        over::check(self.name)?;
        snapshot::wait_if_locked(self.name);
        let before = error::set_function(self.name);
        let known = self.known();
        let counted = (known & COUNTED != 0).then_some(self);
        let mut call = Call {
            function: self.name,
            before,
            fault: None,
            started: trace::start(),
            code: SUCCESS,
            counted,
        };
        let mut number = 0;
        if known & (COUNTED | FAULTY) != 0 {
            number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        }
        if known & COUNTED != 0 {
            self.running.fetch_add(1, Ordering::SeqCst);
        }
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
            call.fault = fault::before(self.name, number)?;
        }
        Ok(call)
    }

    fn known(&'static self) -> u32 {
        let machine = MACHINES.load(Ordering::Acquire);
        let known = self.known.load(Ordering::Relaxed);
        if (known >> 32) as u32 == machine { known as u32 } else { self.look_up(machine) }
    }

    #[cold]
    fn look_up(&'static self, machine: u32) -> u32 {
        let mut known = 0;
        if process::machine().settings().profile.lacks(self.name).is_some() {
            known |= LACKING;
        }
        if fault::concerns(self.name) {
            known |= FAULTY;
        }
        if process::machine().settings().count_calls {
            known |= COUNTED;
        }
        // One thread begins to count, or the calls of another would be forgotten.
        let mut entered = ENTERED.lock();
        if (self.known.load(Ordering::Relaxed) >> 32) as u32 != machine {
            self.calls.store(0, Ordering::SeqCst);
            self.known.store((u64::from(machine) << 32) | u64::from(known), Ordering::Relaxed);
        }
        if known & COUNTED != 0 && !entered.iter().any(|site| std::ptr::eq(*site, self)) {
            entered.push(self);
        }
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
        if let Some(site) = self.counted {
            site.running.fetch_sub(1, Ordering::SeqCst);
        }
        // The child of a fork inside the call: no lock is safe to take.
        if over::in_child() {
            return;
        }
        trace::call(self.function, self.started, self.code);
        error::set_function(self.before);
    }
}
