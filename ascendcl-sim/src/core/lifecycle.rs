//! Whether ACL is initialised: how often, with which configuration, and what happens at the ends.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use ascendcl_sys::{self as sys, aclError, aclInitCallbackFunc, aclRegisterCallbackType};
use core::ffi::c_void;

use super::reentrant::Gate;
use super::{dump_config, init_callbacks, init_config, process};
use crate::check::{leak, trace};
use crate::error::{self, fail};
use crate::lock::Mutex;

/// Held while ACL is initialised or finalised; callbacks that this runs may come in again.
static GATE: Gate = Gate::new();

struct State {
    count: u64,
    finalized: bool,
    /// The first configuration; a later one must say the same.
    first: Option<Vec<u8>>,
    /// The latest configuration, with a NUL behind it.
    config: Vec<u8>,
}

static STATE: Mutex<State> =
    Mutex::new(State { count: 0, finalized: false, first: None, config: Vec::new() });
static INITIALIZED: AtomicBool = AtomicBool::new(false);
static DEFAULT_DEVICE: AtomicI32 = AtomicI32::new(-1);

/// The device that threads without a context use, if the init file named one.
pub(crate) fn default_device() -> Option<i32> {
    Some(DEFAULT_DEVICE.load(Ordering::Relaxed)).filter(|&id| id >= 0)
}

/// Whether ACL is initialised now.
pub(crate) fn is_initialized() -> bool {
    INITIALIZED.load(Ordering::SeqCst)
}

/// Runs `change` while nobody initialises or finalises ACL, unless it is initialised (`None`), and forgets which configuration was the
/// first: for a new machine.
pub(super) fn start_over<R>(change: impl FnOnce() -> R) -> Option<R> {
    let _inside = GATE.enter();
    if STATE.lock().count > 0 {
        return None;
    }
    let changed = change();
    STATE.lock().first = None;
    Some(changed)
}

/// `aclInit`; `path` is `None` for NULL and for "".
pub(crate) fn init(path: Option<&str>) -> Result<(), aclError> {
    let inside = GATE.enter();
    {
        let mut state = STATE.lock();
        if state.count > 0 {
            state.count += 1;
            // The call counts all the same, and is not remembered as a mistake.
            return Err(sys::ACL_ERROR_REPEAT_INITIALIZE);
        }
    }
    if inside.is_nested() {
        // A callback of an initialisation or finalisation that is under way. It does not count.
        return Err(sys::ACL_ERROR_REPEAT_INITIALIZE);
    }
    process::configured()?;
    let text = path.map(init_config::read).transpose()?.unwrap_or_default();
    let mut config = text.clone();
    config.push(0);
    {
        let mut state = STATE.lock();
        state.config.clone_from(&config);
        if state.first.as_ref().is_some_and(|first| *first != text) {
            drop(state);
            return Err(fail(
                sys::ACL_ERROR_INVALID_PARAM,
                "ACL was initialised with another configuration before, and keeps the first",
            ));
        }
    }
    let parsed = path.map(|path| init_config::parse(path, &text)).transpose()?.flatten();
    let shared_texts = parsed.as_ref().map(init_config::error_mode).transpose()?.unwrap_or(false);
    error::share_texts(shared_texts);
    init_callbacks::at_init(sys::ACL_REG_TYPE_ACL_MODEL, &config)?;
    if path.is_some() {
        parsed.as_ref().map_or(Ok(()), dump_config::check)?;
        parsed.as_ref().map_or(Ok(()), init_config::operator_queue)?;
        init_callbacks::at_init(sys::ACL_REG_TYPE_ACL_OP_EXECUTOR, &config)?;
    }
    if let Some(parsed) = &parsed {
        init_config::stack_sizes(parsed)?;
        if let Some(device) = init_config::default_device(parsed)? {
            DEFAULT_DEVICE.store(device, Ordering::Relaxed);
        }
        init_config::print_sizes(parsed)?;
        init_config::event_mode(parsed)?;
        init_config::profiler(parsed)?;
    }
    // Without a device there is no soc whose name could be asked for. A wrong list of visible devices is told later, when they are counted.
    if process::device_count() == Ok(0) {
        return Err(fail(sys::ACL_ERROR_INTERNAL_ERROR, "there is no device"));
    }
    init_callbacks::at_init(sys::ACL_REG_TYPE_ACL_DVPP, &config)?;
    init_callbacks::at_init(sys::ACL_REG_TYPE_OTHER, &config)?;
    let mut state = STATE.lock();
    state.first.get_or_insert(text);
    state.count = 1;
    state.finalized = false;
    INITIALIZED.store(true, Ordering::SeqCst);
    Ok(())
}

/// `aclFinalize`
pub(crate) fn finalize() -> Result<(), aclError> {
    let _inside = GATE.enter();
    if STATE.lock().finalized {
        return Err(sys::ACL_ERROR_REPEAT_FINALIZE);
    }
    end()
}

/// `aclFinalizeReference`: the references that remain, also if it fails.
pub(crate) fn finalize_reference() -> (u64, Result<(), aclError>) {
    let _inside = GATE.enter();
    let count = STATE.lock().count;
    match count {
        0 => (0, Err(sys::ACL_ERROR_REPEAT_FINALIZE)),
        1 => {
            let result = end();
            (STATE.lock().count, result)
        }
        _ => {
            STATE.lock().count = count - 1;
            (count - 1, Ok(()))
        }
    }
}

fn end() -> Result<(), aclError> {
    for kind in [sys::ACL_REG_TYPE_ACL_OP_COMPILER, sys::ACL_REG_TYPE_ACL_MODEL, sys::ACL_REG_TYPE_ACL_DVPP] {
        init_callbacks::at_finalize(kind)?;
    }
    DEFAULT_DEVICE.store(-1, Ordering::Relaxed);
    init_callbacks::at_finalize(sys::ACL_REG_TYPE_OTHER)?;
    {
        let mut state = STATE.lock();
        state.count = 0;
        state.finalized = true;
        INITIALIZED.store(false, Ordering::SeqCst);
    }
    leak::report();
    trace::flush();
    Ok(())
}

/// `aclInitCallbackRegister`
pub(crate) fn register_init(
    kind: aclRegisterCallbackType,
    function: aclInitCallbackFunc,
    data: *mut c_void,
) -> Result<(), aclError> {
    let config = {
        let state = STATE.lock();
        (state.count > 0).then(|| state.config.clone())
    };
    init_callbacks::register_init(kind, function, data, config.as_deref())
}
