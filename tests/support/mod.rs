//! What all integration tests share: every test runs on every backend, alone in its process, against the clock, and must leave
//! nothing behind.
//!
//! `backend_test!` makes of one function one test per backend: the embedded simulator, the simulator's cdylib through the real
//! loader, and, with `ASCENDCL_TEST_CANN=1`, an installed CANN. `sim_test!` is for what only the embedded simulator can show:
//! another chip, or a table of functions with faults in it.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod child;
pub mod chips;
pub mod gate;
mod library;
mod wakes;
mod watchdog;

use ascendcl::{
    Acl, Backend, BackendChoice,
    sys::{AclApi, Library, Search, aclError},
};
use ascendcl_sim::{Config, Profile};
use std::{
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Mutex, MutexGuard, Once, PoisonError},
    thread,
    time::{Duration, Instant},
};

#[allow(unused_imports, reason = "each test file uses its own part")]
pub use gate::{Gate, HostGate};
pub use library::{cdylib, cdylib_live};
#[allow(unused_imports, reason = "each test file uses its own part")]
pub use wakes::Wakes;
#[allow(unused_imports, reason = "each test file uses its own part")]
pub use watchdog::rounds;

/// What the body of a test answers, so that it may use `?`.
pub type TestResult = Result<(), Box<dyn Error>>;

/// Makes of one function one test per backend. Its argument is the [`Acl`], which the test may clone but must give back by its end.
#[macro_export]
macro_rules! backend_test {
    ($(#[$attribute:meta])* fn $name:ident($acl:ident) $body:block) => {
        $crate::backend_test! { @ $(#[$attribute])* $name run ($acl: &ascendcl::Acl) $body }
    };
    // Opens the backend by itself.
    ($(#[$attribute:meta])* fn $name:ident($target:ident: Target) $body:block) => {
        $crate::backend_test! { @ $(#[$attribute])* $name run_unopened ($target: $crate::support::Target) $body }
    };
    (@ $(#[$attribute:meta])* $name:ident $run:ident ($argument:ident: $type:ty) $body:block) => {
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn body($argument: $type) -> $crate::support::TestResult {
                $body
                #[allow(unreachable_code)]
                Ok(())
            }

            #[test]
            fn embedded() {
                $crate::support::$run(stringify!($name), $crate::support::Target::Embedded, body);
            }

            #[test]
            fn cdylib() {
                $crate::support::$run(stringify!($name), $crate::support::Target::Cdylib, body);
            }

            #[test]
            fn cann() {
                $crate::support::$run(stringify!($name), $crate::support::Target::Cann, body);
            }
        }
    };
}

/// A test of the embedded simulator alone. The function initialises ACL by itself, with [`with_table`] for example.
#[macro_export]
macro_rules! sim_test {
    ($(#[$attribute:meta])* fn $name:ident() $body:block) => {
        $(#[$attribute])*
        #[test]
        fn $name() {
            $crate::support::run_on_sim(stringify!($name), || {
                $body
                #[allow(unreachable_code)]
                Ok(())
            });
        }
    };
}

/// Panics when it is dropped.
pub struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("the bomb went off");
        }
    }
}

/// Where a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Embedded,
    Cdylib,
    Cann,
}

impl Target {
    /// Whether it is part of this run.
    fn is_asked_for(self) -> bool {
        self != Target::Cann || std::env::var_os("ASCENDCL_TEST_CANN").is_some_and(|value| value == "1")
    }

    /// The table of functions, with nothing initialised.
    pub fn raw(self) -> &'static AclApi {
        match self {
            Target::Embedded => ascendcl_sim::api(),
            Target::Cdylib => Library::open(&Search::file(cdylib())).expect("the library loads").api(),
            Target::Cann => Library::open(&Search::from_env()).expect("CANN loads").api(),
        }
    }

    pub fn open(self) -> ascendcl::Result<Acl> {
        match self {
            Target::Embedded => Acl::builder().backend(BackendChoice::Sim).build(),
            Target::Cdylib => Acl::builder().library(cdylib()).build(),
            Target::Cann => Acl::builder().backend(BackendChoice::Cann).build(),
        }
    }

    /// What is alive in the backend although nothing should be; nothing is known of a real card.
    fn leaks(self) -> Vec<String> {
        match self {
            Target::Embedded => ascendcl_sim::live().iter().map(ToString::to_string).collect(),
            // The library prints what it is, because the environment asks for that.
            Target::Cdylib if cdylib_live() > 0 => vec![format!("{} objects, listed above", cdylib_live())],
            Target::Cdylib | Target::Cann => Vec::new(),
        }
    }

    /// How many objects that is.
    fn live(self) -> usize {
        match self {
            Target::Embedded => ascendcl_sim::live().len(),
            Target::Cdylib => cdylib_live(),
            Target::Cann => 0,
        }
    }
}

/// One test after another: a simulator is one per process, and so are its limits.
fn serialise() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: only the standard library reads the environment in these processes, and it locks.
        unsafe { std::env::set_var("ASCENDCL_SIM_LEAKS", "report") };
        // Many tests panic in a callback on purpose.
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let on_purpose = thread::current().name().is_some_and(|name| name.starts_with("ascendcl-"));
            if !on_purpose {
                usual(info);
            }
        }));
    });
}

/// Runs a test on one backend, and looks at what it leaves behind.
pub fn run(name: &'static str, target: Target, body: fn(&Acl) -> TestResult) {
    if !target.is_asked_for() {
        return;
    }
    let _alone = serialise();
    prepare();
    let _watched = watchdog::watch(format!("{name} on {target:?}"));
    let acl = target.open().unwrap_or_else(|error| panic!("{target:?} cannot be opened: {error}"));
    finish(acl, target, body);
}

/// Runs a test that opens and finalises the backend by itself.
pub fn run_unopened(name: &'static str, target: Target, body: fn(Target) -> TestResult) {
    if !target.is_asked_for() {
        return;
    }
    let _alone = serialise();
    prepare();
    let _watched = watchdog::watch(format!("{name} on {target:?}"));
    body(target).unwrap_or_else(|error| panic!("{error}"));
    let leaks = target.leaks();
    assert!(leaks.is_empty(), "the test left alive: {leaks:#?}");
}

/// Runs a test that brings its own backend, and looks at what it leaves in the embedded simulator.
pub fn run_on_sim(name: &'static str, body: impl FnOnce() -> TestResult) {
    let _alone = serialise();
    prepare();
    let _watched = watchdog::watch(name.to_owned());
    let result = catch_unwind(AssertUnwindSafe(body));
    // Back to the default chip for the next test. It cannot be done if the test left something alive, which comes out below.
    let configured = ascendcl_sim::configure(Config::new());
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("{error}"),
        Err(panic) => resume_unwind(panic),
    }
    let leaks = Target::Embedded.leaks();
    assert!(leaks.is_empty(), "the test left alive: {leaks:#?}");
    configured.expect("nothing is alive and ACL is finalised");
}

/// Runs `body` and finalises: everything must be gone then.
fn finish(acl: Acl, target: Target, body: impl FnOnce(&Acl) -> TestResult) {
    let result = catch_unwind(AssertUnwindSafe(|| body(&acl)));
    // Under a tool, what the test has dropped may take longer to be released than `finalize` waits.
    let (start, patience) = (Instant::now(), watchdog::patience(Duration::ZERO) / 4);
    while matches!(result, Ok(Ok(()))) && target.live() > 0 && start.elapsed() < patience {
        thread::sleep(Duration::from_millis(1));
    }
    let finalized = acl.finalize();
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("{error}"),
        Err(panic) => resume_unwind(panic),
    }
    let leaks = target.leaks();
    assert!(leaks.is_empty(), "the test left alive: {leaks:#?}\n(finalize said {finalized:?})");
    assert!(
        finalized.expect("the test gave all handles back"),
        "ACL was initialised here, so it is finalised here"
    );
}

/// Forgets a value on purpose, in sight of leak checkers: what they find is then something else.
pub fn forget<T: 'static>(value: T) -> &'static mut T {
    static FORGOTTEN: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let value = Box::leak(Box::new(value));
    FORGOTTEN.lock().unwrap_or_else(PoisonError::into_inner).push((&raw mut *value).expose_provenance());
    value
}

/// A table of functions like the embedded simulator's, changed by `patch`.
pub fn table(patch: impl FnOnce(&mut AclApi)) -> &'static AclApi {
    let mut table = *ascendcl_sim::api();
    patch(&mut table);
    forget(table)
}

/// Runs `body` on the embedded simulator with some of its functions replaced. To be used in `sim_test!`.
pub fn with_table(patch: impl FnOnce(&mut AclApi), body: impl FnOnce(&Acl) -> TestResult) -> TestResult {
    // SAFETY: the simulator's functions, or the test's own, which are plain functions.
    let acl = unsafe { Acl::from_table(table(patch)) }?;
    finish(acl, Target::Embedded, body);
    Ok(())
}

/// Runs `body` on the embedded simulator with another chip. To be used in `sim_test!`.
pub fn with_profile(profile: Profile, body: impl FnOnce(&Acl) -> TestResult) -> TestResult {
    with_config(Config::new().profile(profile), body)
}

/// Runs `body` on the embedded simulator with another machine. To be used in `sim_test!`.
pub fn with_config(config: Config, body: impl FnOnce(&Acl) -> TestResult) -> TestResult {
    ascendcl_sim::configure(config)?;
    finish(Target::Embedded.open()?, Target::Embedded, body);
    Ok(())
}

/// Opens the backend of `acl` once more.
pub fn reopen(acl: &Acl) -> ascendcl::Result<Acl> {
    match acl.backend() {
        Backend::Cann { libraries } => Acl::builder().library(&libraries[0]).build(),
        Backend::Sim => Target::Embedded.open(),
        other => panic!("{other} cannot be opened twice"),
    }
}

/// Whether it is a simulator, whichever way it was loaded. A test over a real card cannot look into it.
pub fn is_simulator(acl: &Acl) -> bool {
    match acl.backend() {
        Backend::Cann { libraries } => libraries.first().is_some_and(|path| path == cdylib()),
        _ => true,
    }
}

/// The status code of a failed call.
pub fn code<T>(result: ascendcl::Result<T>) -> aclError {
    match result {
        Ok(_) => 0,
        Err(error) => error.code().unwrap_or_else(|| panic!("{error:?} has no status code")).0,
    }
}

/// What a failed call means.
pub fn kind<T>(result: ascendcl::Result<T>) -> ascendcl::ErrorKind {
    let error = result.err().expect("the call fails");
    error.code().unwrap_or_else(|| panic!("{error:?} has no status code")).kind()
}

/// How often reports were asked for, where calls are counted.
pub fn asked_for_reports() -> u64 {
    let calls = ascendcl_sim::calls();
    calls.iter().find(|call| call.function == "aclrtProcessReport").map_or(0, |call| call.made)
}

/// Waits for something that happens by itself, on another thread. The watchdog ends what never does.
pub fn until(mut happened: impl FnMut() -> bool) {
    while !happened() {
        thread::sleep(Duration::from_micros(200));
    }
}

/// The same numbers on every run: a seeded generator (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}

/// A raw handle, for tests that hand one to another thread.
#[derive(Clone, Copy)]
pub struct Raw(pub *mut std::ffi::c_void);

impl Raw {
    /// Takes the whole value, so that a closure captures it and not the pointer inside.
    pub fn get(self) -> *mut std::ffi::c_void {
        self.0
    }
}

// SAFETY: the handles of ACL that tests carry may be used from any thread.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}
