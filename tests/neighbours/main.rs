//! Other code in the same process: a C library that calls ACL through the very same library, and does to it what it likes. Each case
//! has a process of its own.
//!
//! What is ours must give typed errors then, or go on; every wait ends, every closure runs or is dropped, nothing crashes.

#[path = "../support/mod.rs"]
mod support;

mod currents;
mod ends;
mod handles;
mod ours;

use ascendcl::sys::{AclApi, aclError};
use std::{ffi::CString, ptr, thread};
use support::{Target, child};

/// A C library: its own look at the table of functions, and nothing of this crate.
struct Neighbour(AclApi);

impl Neighbour {
    fn of(target: Target) -> Neighbour {
        if target == Target::Embedded {
            return Neighbour(*ascendcl_sim::api());
        }
        let path = CString::new(support::cdylib().as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: a C string. The library is not closed.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!library.is_null());
        // SAFETY: the library is open.
        Neighbour(AclApi::load(|name| unsafe { libc::dlsym(library, name.as_ptr()) }))
    }
}

/// What a C function answers the neighbour: `c!(neighbour, aclrtSetDevice(0))`.
macro_rules! c {
    ($neighbour:expr, $function:ident($($argument:expr),* $(,)?)) => {{
        let function = $neighbour.0.$function.expect(stringify!($function));
        // SAFETY: plain values, valid places for answers, and handles that the library checks.
        unsafe { function($($argument),*) }
    }};
}
pub(crate) use c;

/// What is current in this thread, seen by the neighbour; null if nothing is.
fn current(neighbour: &Neighbour) -> ascendcl::sys::aclrtContext {
    let mut context = ptr::null_mut();
    match c!(neighbour, aclrtGetCurrentContext(&mut context)) {
        0 => context,
        _ => ptr::null_mut(),
    }
}

/// Runs a role on both simulators, at once: most of the time they wait.
fn both(role: &str) {
    let run = |target| child::run(&format!("{role} {target}"), &[]).success();
    thread::scope(|scope| {
        scope.spawn(|| run("embedded"));
        run("cdylib");
    });
}

/// Makes of each function a test that runs it in a process of its own, on both simulators.
macro_rules! cases {
    ($($module:ident: $($case:ident)*;)*) => {
        $(mod $module {
            $(
                #[test]
                fn $case() {
                    super::super::both(concat!(stringify!($module), "::", stringify!($case)));
                }
            )*
        })*

        fn play(role: &str, target: $crate::support::Target) -> Option<$crate::support::TestResult> {
            $($(
                if role == concat!(stringify!($module), "::", stringify!($case)) {
                    return Some(crate::$module::$case(target));
                }
            )*)*
            None
        }
    };
}

mod case {
    cases! {
        ends:
            initialised_first
            finalised_under_us
            finalised_while_threads_wait
            finalised_and_initialised_again
            device_reset
            device_reset_by_force
            device_reset_under_a_context_of_our_own
            context_destroyed
            reset_inside_a_callback;
        handles:
            stream_destroyed
            one_stream_of_several_destroyed
            unsubscribed
            subscribed_before_us
            event_destroyed
            memory_freed
            model_unloaded
            observers_and_allocators;
        currents:
            changed_between_calls
            constructors_and_destructors_put_back
            changed_inside_a_guard
            changed_inside_a_callback
            destroyed_while_current
            changed_by_many_threads;
    }

    pub(super) fn run(role: &str, target: crate::support::Target) -> crate::support::TestResult {
        play(role, target).unwrap_or_else(|| panic!("{role}"))
    }
}

/// What the children do. In the process of the tests it is nothing.
#[test]
fn child() {
    let Some(role) = child::role() else { return };
    let (role, target) = role.split_once(' ').unwrap();
    let target = if target == "embedded" { Target::Embedded } else { Target::Cdylib };
    case::run(role, target).unwrap_or_else(|error| panic!("{error:?}"));
}

/// A status that says something is wrong with a handle or its context.
fn is_typed(code: aclError) -> bool {
    (100_000..600_000).contains(&code)
}
