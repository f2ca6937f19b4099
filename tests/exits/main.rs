//! How processes end: returning from `main`, exits, panics, aborts, forks and signals, with everything outstanding.
//!
//! Each case starts this program again as one or more children, which play a role on their main thread, and looks at how they end: with
//! the code or the signal that is expected, within a bound, and without a call that comes too late for the library, which the
//! simulator would report as misuse.
//!
//! The program is a plain one ([`harness`]) and may be built with `-C panic=abort`, as `.ci/run panic_abort` does.

mod forks;
mod harness;
mod leaving;
mod outstanding;
mod panics;
mod signals;
mod statics;
#[path = "../support/mod.rs"]
mod support;

use ascendcl::Acl;
use std::process::ExitCode;
use support::{
    Target,
    child::{self, Ended},
};

/// One variable of the environment.
type Variable = (&'static str, &'static str);

/// A backend to play on.
pub fn open(target: &str) -> Acl {
    backend(target).open().unwrap_or_else(|error| panic!("{target}: {error}"))
}

fn backend(target: &str) -> Target {
    match target {
        "embedded" => Target::Embedded,
        "cdylib" => Target::Cdylib,
        "cann" => Target::Cann,
        other => panic!("{other}"),
    }
}

/// How many objects are alive in the simulator.
pub fn live(target: &str) -> usize {
    match target {
        "embedded" => ascendcl_sim::live().len(),
        "cdylib" => support::cdylib_live(),
        _ => 0,
    }
}

/// Runs a child in a role on each backend. Nothing may call the simulator too late, and it may say nothing else either, but of leaks.
#[track_caller]
pub fn on_each(role: &str, check: impl Fn(Ended) -> Ended) {
    on_each_with(role, &[], check);
}

/// The same with an environment, which is the simulator's.
#[track_caller]
pub fn on_each_with(role: &str, environment: &[Variable], check: impl Fn(Ended) -> Ended) {
    let mut all = vec![("ASCENDCL_SIM_MISUSE", "report"), ("ASCENDCL_SIM_RACES", "report")];
    all.extend(environment);
    let cann = std::env::var_os("ASCENDCL_TEST_CANN").is_some_and(|value| value == "1");
    // A card has no faults to inject.
    let cann = (cann && environment.is_empty()).then_some("cann");
    for target in ["embedded", "cdylib"].into_iter().chain(cann) {
        check(child::run(&format!("{role} {target}"), &all))
            .silent_about("misuse")
            .silent_about("race on")
            .silent_about("the simulator panicked");
    }
}

/// Says something in the child, for [`Ended::said`]. Not `eprintln`: it is said in places where little works.
pub fn say(text: &str) {
    let line = format!("{text}\n");
    // SAFETY: the buffer is valid for its length.
    unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
}

/// Ends the process without anything else, when something is not as it should be in a place where a panic would say too little.
pub fn demand(what: &str, holds: bool) {
    if !holds {
        say(&format!("failed: {what}"));
        // SAFETY: ends the process.
        unsafe { libc::_exit(111) };
    }
}

/// Registers a handler that runs when the process exits, before those that are registered already.
pub fn at_exit(handler: extern "C" fn()) {
    // SAFETY: the handlers of these tests end the process when something is wrong, and do not unwind.
    assert_eq!(unsafe { libc::atexit(handler) }, 0);
}

fn main() -> ExitCode {
    if let Some(role) = child::role() {
        let (role, target) = role.split_once(' ').expect("a role has a target");
        let (family, role) = role.split_once('/').expect("a role has a family");
        match family {
            "leaving" => leaving::play(role, target),
            "statics" => statics::play(role, target),
            "forks" => forks::play(role, target),
            "signals" => signals::play(role, target),
            "panics" => panics::play(role, target),
            other => panic!("{other}"),
        }
        return ExitCode::SUCCESS;
    }
    let cases: Vec<_> =
        [leaving::CASES, statics::CASES, forks::CASES, signals::CASES, panics::CASES].concat();
    harness::run(&cases)
}

/// Names cases by what their functions are called.
#[macro_export]
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// The cases of this file.
        pub const CASES: &[$crate::harness::Case] =
            &[$((concat!(module_path!(), "::", stringify!($name)), $name as fn())),*];
    };
}
