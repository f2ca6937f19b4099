//! Dumps of what models and operators compute.
//!
//! The state of dumping and everything that can be wrong with its configuration is as on a card. Files are not written: the engine that
//! executes models here does not give out what its operators compute.

use core::ffi::{CStr, c_char, c_int};
use std::ffi::CString;
use std::fs;
use std::ptr;
use std::sync::{Arc, MutexGuard};

use ascendcl_sys::{self as sys, aclError, acldumpChunk, acldumpType};

use super::{functions, not_null};
use crate::core::{dump_config, init_config, lifecycle, process};
use crate::error::fail;
use crate::lock::Mutex;

type Callback = Option<unsafe extern "C" fn(*const acldumpChunk, i32) -> i32>;

static STATE: Mutex<State> = Mutex::new(State::NEW);

struct State {
    /// The machine that all this is about.
    machine: usize,
    initialized: bool,
    /// `aclopStartDumpArgs` without its stop.
    arguments: bool,
    /// What the last configuration said about dumps of data and of exceptions.
    data: Option<CString>,
    exceptions: Option<CString>,
}

impl State {
    const NEW: Self = Self { machine: 0, initialized: false, arguments: false, data: None, exceptions: None };
}

fn state() -> MutexGuard<'static, State> {
    let machine = Arc::as_ptr(&process::machine()).addr();
    let mut state = STATE.lock();
    if state.machine != machine {
        *state = State { machine, ..State::NEW };
    }
    state
}

functions! {
    status fn aclmdlInitDump() {
        check_init()?;
        let mut state = state();
        if state.initialized {
            return Err(fail(sys::ACL_ERROR_REPEAT_INITIALIZE, "dumping is initialised already"));
        }
        state.initialized = true;
        Ok(())
    }

    status fn aclmdlSetDump(dumpCfgPath: *const c_char) {
        check_init()?;
        let mut state = state();
        check_running(&state)?;
        not_null(dumpCfgPath, "dumpCfgPath")?;
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        let path = unsafe { CStr::from_ptr(dumpCfgPath) }.to_string_lossy();
        let Some(config) = init_config::parse(&path, &init_config::read(&path)?)? else { return Ok(()) };
        dump_config::check(&config)?;
        let section = config.get("dump");
        let text = |key: &str| section.and_then(|section| section.get(key)).and_then(|value| value.text());
        let folder = CString::new(text("dump_path").unwrap_or(".")).unwrap_or_default();
        if section.is_some() {
            log::warn!("dumps are not written: the simulator does not look into models");
        }
        match text("dump_scene") {
            Some(scene) if scene != "watcher" => state.exceptions = Some(folder),
            _ if section.is_some() => state.data = Some(folder),
            _ => {}
        }
        Ok(())
    }

    status fn aclmdlFinalizeDump() {
        check_init()?;
        let mut state = state();
        check_running(&state)?;
        *state = State { machine: state.machine, arguments: state.arguments, ..State::NEW };
        Ok(())
    }

    status fn aclopStartDumpArgs(dumpType: u32, path: *const c_char) {
        if path.is_null() {
            return Err(failure("path must not be NULL"));
        }
        if dumpType & sys::ACL_OP_DUMP_OP_AICORE_ARGS == 0 {
            return Err(failure(format_args!("dumpType {dumpType} asks for nothing that there is")));
        }
        let mut state = state();
        if state.arguments {
            return Err(failure("aclopStartDumpArgs was called before, and aclopStopDumpArgs was not"));
        }
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        let path = unsafe { CStr::from_ptr(path) }.to_string_lossy();
        // Empty, no folder, or no permission.
        let usable = fs::create_dir_all(&*path).and_then(|()| fs::read_dir(&*path));
        let writable = CString::new(&*path).is_ok_and(|path| {
            // SAFETY: [caller] a C string.
            unsafe { libc::access(path.as_ptr(), libc::R_OK | libc::W_OK) == 0 }
        });
        if path.is_empty() || usable.is_err() || !writable {
            return Err(failure(format_args!("the folder '{path}' cannot be used")));
        }
        // No operator runs here whose shapes could be written down.
        state.arguments = true;
        Ok(())
    }

    status fn aclopStopDumpArgs(dumpType: u32) {
        if dumpType & sys::ACL_OP_DUMP_OP_AICORE_ARGS != 0 {
            state().arguments = false;
        }
        Ok(())
    }

    value(ptr::null()) fn acldumpGetPath(dumpType: acldumpType) -> *const c_char {
        let state = state();
        let path = match dumpType {
            sys::AIC_ERR_BRIEF_DUMP | sys::AIC_ERR_NORM_DUMP | sys::AIC_ERR_DETAIL_DUMP => &state.exceptions,
            sys::DATA_DUMP | sys::OVERFLOW_DUMP => &state.data,
            _ => &None,
        };
        path.as_ref().map_or(ptr::null(), |path| path.as_ptr())
    }

    // Nothing is dumped, so nobody calls it.
    status fn acldumpRegCallback(messageCallback: Callback, flag: c_int) {
        if messageCallback.is_none() || flag != 0 {
            return Err(failure("messageCallback must not be NULL, and flag must be 0"));
        }
        Ok(())
    }

    value(()) fn acldumpUnregCallback() {}
}

fn check_init() -> Result<(), aclError> {
    if lifecycle::is_initialized() {
        return Ok(());
    }
    Err(fail(sys::ACL_ERROR_UNINITIALIZE, "aclInit was not called"))
}

fn check_running(state: &State) -> Result<(), aclError> {
    if state.initialized {
        return Ok(());
    }
    Err(fail(sys::ACL_ERROR_DUMP_NOT_RUN, "aclmdlInitDump was not called"))
}

fn failure(text: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_FAILURE, text)
}
