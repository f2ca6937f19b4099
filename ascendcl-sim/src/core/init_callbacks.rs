//! Functions of the program that run when ACL is initialised and finalised.

use core::ffi::{c_char, c_void};

use ascendcl_sys::{
    self as sys, aclError, aclFinalizeCallbackFunc, aclInitCallbackFunc, aclRegisterCallbackType,
};

use crate::error::{SUCCESS, fail};
use crate::lock::Mutex;

/// One registered function.
#[derive(Clone, Copy)]
struct Entry<F> {
    kind: aclRegisterCallbackType,
    function: F,
    data: usize,
}

/// Functions in the order in which they were registered.
type List<F> = Mutex<Vec<Entry<F>>>;

type Init = unsafe extern "C" fn(*const c_char, usize, *mut c_void) -> aclError;
type Finalize = unsafe extern "C" fn(*mut c_void) -> aclError;

static AT_INIT: List<Init> = Mutex::new(Vec::new());
static AT_FINALIZE: List<Finalize> = Mutex::new(Vec::new());

fn missing() -> aclError {
    fail(sys::ACL_ERROR_INVALID_PARAM, "cbFunc must not be NULL")
}

fn add<F>(
    list: &List<F>,
    kind: aclRegisterCallbackType,
    function: F,
    data: *mut c_void,
) -> Result<(), aclError> {
    let mut list = list.lock();
    // All types but this one belong to one library each.
    if kind != sys::ACL_REG_TYPE_OTHER && list.iter().any(|entry| entry.kind == kind) {
        drop(list);
        return Err(fail(
            sys::ACL_ERROR_INTERNAL_ERROR,
            format_args!("a function of type {} is registered already", kind.0),
        ));
    }
    list.push(Entry { kind, function, data: data.expose_provenance() });
    Ok(())
}

fn remove<F>(
    list: &List<F>,
    kind: aclRegisterCallbackType,
    same: impl Fn(&F) -> bool,
) -> Result<(), aclError> {
    let mut list = list.lock();
    match list.iter().position(|entry| entry.kind == kind && same(&entry.function)) {
        Some(index) => {
            list.remove(index);
            Ok(())
        }
        None => {
            drop(list);
            Err(fail(
                sys::ACL_ERROR_INTERNAL_ERROR,
                format_args!("the function is not registered with type {}", kind.0),
            ))
        }
    }
}

/// Runs the functions of one type in order, with no lock held; the first that fails ends it.
fn run<F: Copy>(
    list: &List<F>,
    kind: aclRegisterCallbackType,
    call: impl Fn(F, *mut c_void) -> aclError,
) -> Result<(), aclError> {
    let entries: Vec<(F, usize)> = list
        .lock()
        .iter()
        .filter(|entry| entry.kind == kind)
        .map(|entry| (entry.function, entry.data))
        .collect();
    for (function, data) in entries {
        match call(function, core::ptr::with_exposed_provenance_mut(data)) {
            SUCCESS => {}
            code => {
                return Err(fail(
                    code,
                    format_args!("a registered function of type {} answered {code}", kind.0),
                ));
            }
        }
    }
    Ok(())
}

/// `aclInitCallbackRegister`. With `config`, the text of the init file, ACL is initialised and the function runs at once; what it
/// answers does not matter then.
pub(crate) fn register_init(
    kind: aclRegisterCallbackType,
    function: aclInitCallbackFunc,
    data: *mut c_void,
    config: Option<&[u8]>,
) -> Result<(), aclError> {
    let function = function.ok_or_else(missing)?;
    add(&AT_INIT, kind, function, data)?;
    if let Some(config) = config {
        call_init(function, config, data);
    }
    Ok(())
}

/// `aclInitCallbackUnRegister`
pub(crate) fn unregister_init(
    kind: aclRegisterCallbackType,
    function: aclInitCallbackFunc,
) -> Result<(), aclError> {
    let function = function.ok_or_else(missing)?;
    remove(&AT_INIT, kind, |registered| core::ptr::fn_addr_eq(*registered, function))
}

/// `aclFinalizeCallbackRegister`
pub(crate) fn register_finalize(
    kind: aclRegisterCallbackType,
    function: aclFinalizeCallbackFunc,
    data: *mut c_void,
) -> Result<(), aclError> {
    add(&AT_FINALIZE, kind, function.ok_or_else(missing)?, data)
}

/// `aclFinalizeCallbackUnRegister`
pub(crate) fn unregister_finalize(
    kind: aclRegisterCallbackType,
    function: aclFinalizeCallbackFunc,
) -> Result<(), aclError> {
    let function = function.ok_or_else(missing)?;
    remove(&AT_FINALIZE, kind, |registered| core::ptr::fn_addr_eq(*registered, function))
}

/// Runs the functions registered for initialisation. `config` ends with a NUL that does not count.
pub(super) fn at_init(kind: aclRegisterCallbackType, config: &[u8]) -> Result<(), aclError> {
    run(&AT_INIT, kind, |function, data| call_init(function, config, data))
}

/// Runs the functions registered for finalisation.
pub(super) fn at_finalize(kind: aclRegisterCallbackType) -> Result<(), aclError> {
    run(&AT_FINALIZE, kind, |function, data| {
        // SAFETY: [program] the program registered the function to be called with this value.
        unsafe { function(data) }
    })
}

fn call_init(function: Init, config: &[u8], data: *mut c_void) -> aclError {
    // SAFETY: [program] the program registered the function to be called with a string, its length and this value; the string ends with a NUL.
    unsafe { function(config.as_ptr().cast(), config.len() - 1, data) }
}
