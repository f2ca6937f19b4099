//! The C functions: argument checks in the order of the real library, then a call into the simulator.
//!
//! Each file has the functions of one area and a `fill` that puts them into a function table. With the feature `export` they are
//! also symbols under their C names.

mod address;
mod aipp;
mod allocator;
mod app_log;
mod base;
mod batch;
mod bundle;
mod cache;
mod capture;
mod channel;
mod compute;
mod context;
mod copy;
mod count_notify;
mod descriptor;
mod device;
mod device_id;
mod device_info;
mod dump;
mod event;
mod exception;
#[cfg(feature = "export")]
mod external;
mod gears;
mod group;
mod instance;
mod interprocess;
mod kernel;
mod kernel_args;
mod label;
mod launch;
mod limits;
mod managed;
mod marks;
mod memory;
mod model;
mod model_config;
mod model_desc;
mod notify;
mod observer;
mod overflow;
mod peer;
mod pool;
mod profiling;
mod queue;
mod queue_route;
mod register;
mod report;
mod set;
mod shared_buffer;
mod shared_event;
mod shared_memory;
mod snapshot;
mod stream;
mod stream_attribute;
mod stream_config;
mod stream_control;
mod symbol;
mod system;
mod task_info;
mod tensor_dataset;
mod tensor_desc;
mod timeouts;
mod value;
mod versions;
mod virtual_memory;

use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::time::Duration;

use ascendcl_sys::{self as sys, AclApi, aclError};

use crate::check::Site;
use crate::error::{SUCCESS, fail, fail_unremembered};

/// The functions that the simulator has, without those that are `missing`.
pub(crate) fn table(missing: &[String]) -> AclApi {
    let mut api = AclApi::EMPTY;
    address::fill(&mut api);
    aipp::fill(&mut api);
    allocator::fill(&mut api);
    app_log::fill(&mut api);
    base::fill(&mut api);
    batch::fill(&mut api);
    bundle::fill(&mut api);
    cache::fill(&mut api);
    capture::fill(&mut api);
    channel::fill(&mut api);
    compute::fill(&mut api);
    context::fill(&mut api);
    copy::fill(&mut api);
    count_notify::fill(&mut api);
    descriptor::fill(&mut api);
    device::fill(&mut api);
    device_id::fill(&mut api);
    device_info::fill(&mut api);
    dump::fill(&mut api);
    event::fill(&mut api);
    exception::fill(&mut api);
    gears::fill(&mut api);
    group::fill(&mut api);
    instance::fill(&mut api);
    interprocess::fill(&mut api);
    kernel::fill(&mut api);
    kernel_args::fill(&mut api);
    label::fill(&mut api);
    launch::fill(&mut api);
    limits::fill(&mut api);
    managed::fill(&mut api);
    marks::fill(&mut api);
    memory::fill(&mut api);
    model::fill(&mut api);
    model_config::fill(&mut api);
    model_desc::fill(&mut api);
    notify::fill(&mut api);
    observer::fill(&mut api);
    overflow::fill(&mut api);
    peer::fill(&mut api);
    pool::fill(&mut api);
    profiling::fill(&mut api);
    queue::fill(&mut api);
    queue_route::fill(&mut api);
    register::fill(&mut api);
    report::fill(&mut api);
    set::fill(&mut api);
    shared_buffer::fill(&mut api);
    shared_event::fill(&mut api);
    shared_memory::fill(&mut api);
    snapshot::fill(&mut api);
    stream::fill(&mut api);
    stream_attribute::fill(&mut api);
    stream_config::fill(&mut api);
    stream_control::fill(&mut api);
    symbol::fill(&mut api);
    system::fill(&mut api);
    task_info::fill(&mut api);
    tensor_dataset::fill(&mut api);
    tensor_desc::fill(&mut api);
    timeouts::fill(&mut api);
    value::fill(&mut api);
    versions::fill(&mut api);
    virtual_memory::fill(&mut api);
    if missing.is_empty() {
        return api;
    }
    let mut addresses = api.addresses();
    AclApi::load(|name| {
        // In the same order.
        let address = addresses.next().map_or(ptr::null(), |(_, address)| address);
        let is_missing = name.to_str().is_ok_and(|name| missing.iter().any(|missing| missing == name));
        if is_missing { ptr::null() } else { address }
    })
}

/// Puts functions into the table under their own names.
macro_rules! fill {
    ($api:ident: $($function:ident),* $(,)?) => { $($api.$function = Some($function);)* };
}
pub(crate) use fill;

/// Runs the body of a C function, named in quotes: the one way in. The body gives `Result<(), aclError>`; a panic ends here.
macro_rules! call {
    ($function:expr, $body:expr $(,)?) => {{
        static SITE: $crate::check::Site = $crate::check::Site::new($function);
        $crate::abi::run(&SITE, $body)
    }};
}
pub(crate) use call;

/// [`call`] for functions that answer something else than a code; `failed` makes an answer of the error.
macro_rules! call_or {
    ($function:expr, $failed:expr, $body:expr $(,)?) => {{
        static SITE: $crate::check::Site = $crate::check::Site::new($function);
        $crate::abi::run_or(&SITE, $failed, $body)
    }};
}
pub(crate) use call_or;

/// Defines the C functions of a file and `fill`, which puts them into a table. `status` functions answer with a status code;
/// `value(v)` functions with a value, and with `v` where they must not or cannot answer.
macro_rules! functions {
    ($($form:ident $(($default:expr))? fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $answer:ty)? $body:block)*) => {
        $($crate::abi::functions!{@ $form $(($default))? fn $name($($arg: $type),*) $(-> $answer)? $body})*

        /// Puts the functions of this file into a table.
        pub(crate) fn fill(api: &mut ascendcl_sys::AclApi) {
            $(api.$name = Some($name);)*
        }
    };
    (@ status fn $name:ident($($arg:ident: $type:ty),*) $body:block) => {
        #[cfg_attr(feature = "export", unsafe(no_mangle))]
        unsafe extern "C" fn $name($($arg: $type),*) -> ascendcl_sys::aclError {
            $crate::abi::call!(stringify!($name), move || -> Result<(), ascendcl_sys::aclError> { $body })
        }
    };
    (@ value($default:expr) fn $name:ident($($arg:ident: $type:ty),*) $(-> $answer:ty)? $body:block) => {
        #[cfg_attr(feature = "export", unsafe(no_mangle))]
        unsafe extern "C" fn $name($($arg: $type),*) $(-> $answer)? {
            $crate::abi::call_or!(stringify!($name), |_| $default, move || $(-> $answer)? { $body })
        }
    };
}
pub(crate) use functions;

/// What [`call`] does. The part that is compiled for each function is small: there are hundreds.
pub(crate) fn run(site: &'static Site, body: impl FnOnce() -> Result<(), aclError>) -> aclError {
    let mut body = Some(body);
    run_erased(site, &mut || match body.take() {
        Some(body) => body(),
        None => Ok(()),
    })
}

fn run_erased(site: &'static Site, body: &mut dyn FnMut() -> Result<(), aclError>) -> aclError {
    let entered = match site.enter() {
        Ok(entered) => entered,
        Err(code) => return code,
    };
    let code = guarded(site, &mut || body().err().unwrap_or(SUCCESS));
    entered.leave(code)
}

/// What [`call_or`] does.
pub(crate) fn run_or<R>(
    site: &'static Site,
    failed: impl FnOnce(aclError) -> R,
    body: impl FnOnce() -> R,
) -> R {
    let _entered = match site.enter() {
        Ok(entered) => entered,
        Err(code) => return failed(code),
    };
    let (mut body, mut result) = (Some(body), None);
    let code = guarded(site, &mut || {
        result = body.take().map(|body| body());
        SUCCESS
    });
    result.unwrap_or_else(|| failed(code))
}

/// A panic ends here.
fn guarded(site: &'static Site, body: &mut dyn FnMut() -> aclError) -> aclError {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let what = panic_text(&*panic);
        log::error!("panic in {}: {what}", site.name());
        fail(sys::ACL_ERROR_INTERNAL_ERROR, format_args!("the simulator panicked: {what}"))
    })
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
#[inline(never)]
pub(crate) fn invalid(what: impl Display) -> aclError {
    fail(sys::ACL_ERROR_INVALID_PARAM, what)
}

#[cold]
fn null(name: &str) -> aclError {
    invalid(format_args!("{name} must not be NULL"))
}

/// 100000 if `pointer` is NULL.
pub(crate) fn not_null<T>(pointer: *const T, name: &str) -> Result<(), aclError> {
    if pointer.is_null() { Err(null(name)) } else { Ok(()) }
}

/// A waiting time in milliseconds: -1 is for ever, anything else below 1 is 107000.
pub(crate) fn milliseconds(timeout: i32) -> Result<Option<Duration>, aclError> {
    match timeout {
        -1 => Ok(None),
        1.. => Ok(Some(Duration::from_millis(timeout as u64))),
        _ => {
            let text =
                format!("timeout {timeout} is neither -1, for ever, nor a positive number of milliseconds");
            let code = sys::ACL_ERROR_RT_PARAM_INVALID;
            // 0 gets past the upper layer.
            Err(if timeout == 0 { fail(code, text) } else { fail_unremembered(code, text) })
        }
    }
}
