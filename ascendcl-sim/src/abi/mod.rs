//! The C functions: argument checks in the order of the real library, then a call into the simulator.
//!
//! Each file has the functions of one area and a `fill` that puts them into a function table. With the feature `export` they are
//! also symbols under their C names.

mod base;
mod context;
mod copy;
mod device;
mod event;
mod memory;
mod model;
mod report;
mod stream;

use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use ascendcl_sys::{self as sys, AclApi, aclError};

use crate::check;
use crate::error::{SUCCESS, fail};

/// The functions that the simulator has.
pub(crate) fn table() -> AclApi {
    let mut api = AclApi::EMPTY;
    base::fill(&mut api);
    device::fill(&mut api);
    context::fill(&mut api);
    stream::fill(&mut api);
    event::fill(&mut api);
    report::fill(&mut api);
    memory::fill(&mut api);
    copy::fill(&mut api);
    model::fill(&mut api);
    api
}

/// Puts functions into the table under their own names.
macro_rules! fill {
    ($api:ident: $($function:ident),* $(,)?) => { $($api.$function = Some($function);)* };
}
pub(crate) use fill;

/// Runs the body of the C function `function`: the one way in. A panic ends here.
pub(crate) fn call(function: &'static str, body: impl FnOnce() -> Result<(), aclError>) -> aclError {
    call_or(function, |code| code, || body().err().unwrap_or(SUCCESS))
}

/// [`call`] for functions that answer something else than a code; `failed` makes an answer of the error.
pub(crate) fn call_or<R>(
    function: &'static str,
    failed: impl FnOnce(aclError) -> R,
    body: impl FnOnce() -> R,
) -> R {
    let entered = match check::enter(function) {
        Ok(entered) => entered,
        Err(code) => return failed(code),
    };
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let what = panic_text(&*panic);
        log::error!("panic in {function}: {what}");
        failed(fail(sys::ACL_ERROR_INTERNAL_ERROR, format_args!("the simulator panicked: {what}")))
    });
    drop(entered);
    result
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

/// 100000 with a text.
pub(crate) fn invalid(what: impl Display) -> aclError {
    fail(sys::ACL_ERROR_INVALID_PARAM, what)
}

/// 100000 if `pointer` is NULL.
pub(crate) fn not_null<T>(pointer: *const T, name: &str) -> Result<(), aclError> {
    if pointer.is_null() { Err(invalid(format_args!("{name} must not be NULL"))) } else { Ok(()) }
}

/// A waiting time in milliseconds: -1 is for ever, anything else below 1 is 107000.
pub(crate) fn milliseconds(timeout: i32) -> Result<Option<Duration>, aclError> {
    match timeout {
        -1 => Ok(None),
        1.. => Ok(Some(Duration::from_millis(timeout as u64))),
        _ => Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("timeout {timeout} is neither -1, for ever, nor a positive number of milliseconds"),
        )),
    }
}
