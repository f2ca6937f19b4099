//! `aclmdlConfigHandle` and `aclmdlExecConfigHandle`: options for loading and for executing.

use core::ffi::{CStr, c_char, c_void};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::ptr;
use std::sync::Arc;

use ascendcl_sys::{
    self as sys, aclError, aclmdlConfigAttr, aclmdlConfigHandle, aclmdlExecConfigAttr, aclmdlExecConfigHandle,
};

use super::reserve::Provided;
use crate::check::leak::{LiveKind, register};
use crate::core::process;
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;

type Done = Result<(), aclError>;

static LOADS: Table<Mutex<LoadConfig>> = Table::new(Kind::ModelConfig);
static EXECS: Table<Mutex<ExecConfig>> = Table::new(Kind::ExecConfig);

/// An address that belongs to the program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address(pub(crate) *mut c_void);

// SAFETY: [threads] only a number until it is used by a call of the program, which vouches for it then.
unsafe impl Send for Address {}

impl Default for Address {
    fn default() -> Self {
        Address(ptr::null_mut())
    }
}

/// `aclmdlConfigHandle`.
#[derive(Clone, Default)]
pub(crate) struct LoadConfig {
    /// Numbers of the attributes that were set.
    set: BTreeSet<i64>,
    pub(crate) load_type: usize,
    pub(crate) path: CString,
    pub(crate) model: Address,
    pub(crate) model_size: usize,
    pub(crate) weight: Address,
    pub(crate) weight_size: usize,
    pub(crate) work: Address,
    pub(crate) work_size: usize,
    pub(crate) input_queues: Address,
    pub(crate) input_queue_count: usize,
    pub(crate) output_queues: Address,
    pub(crate) output_queue_count: usize,
}

/// `aclmdlExecConfigHandle`.
#[derive(Clone, Copy)]
pub(crate) struct ExecConfig {
    /// Milliseconds; -1 is for ever.
    pub(crate) stream_timeout: i32,
}

fn invalid(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_INVALID_PARAM, what)
}

/// `aclmdlCreateConfigHandle`. NULL if there are a million already.
pub(crate) fn create() -> *mut aclmdlConfigHandle {
    let registration = register(LiveKind::ModelConfig, "for loading");
    LOADS.insert(Arc::new(Mutex::default()), registration).unwrap_or(ptr::null_mut()).cast()
}

/// `aclmdlDestroyConfigHandle`.
pub(crate) fn destroy(handle: *const aclmdlConfigHandle) -> Done {
    LOADS.remove(handle.cast()).map(drop).ok_or_else(|| unknown(LOADS.describe(handle.cast()), handle.cast()))
}

/// The options behind a handle: 100000 if there is none.
pub(crate) fn get(handle: *const aclmdlConfigHandle) -> Result<LoadConfig, aclError> {
    let config = LOADS.get(handle.cast()).map(|config| config.lock().clone());
    config.ok_or_else(|| unknown(LOADS.describe(handle.cast()), handle.cast()))
}

fn unknown(why: &str, handle: *const c_void) -> aclError {
    invalid(format_args!("the configuration {handle:p} {why}"))
}

/// Reads the value of an option, whose size must be that of `T`.
///
/// # Safety
/// `value` points to `size` readable bytes.
unsafe fn value<T: Copy>(value: *const c_void, size: usize) -> Result<T, aclError> {
    if size != size_of::<T>() {
        return Err(invalid(format_args!("valueSize is {size}, the option takes {} bytes", size_of::<T>())));
    }
    // SAFETY: [caller] as many bytes are readable (contract); they need not be aligned.
    Ok(unsafe { value.cast::<T>().read_unaligned() })
}

fn not_null(pointer: *mut c_void) -> Result<*mut c_void, aclError> {
    if pointer.is_null() { Err(invalid("the pointer in attrValue must not be NULL")) } else { Ok(pointer) }
}

/// The string that a pointer in an option points to.
///
/// # Safety
/// `pointer` is NULL or a C string.
unsafe fn string(pointer: *mut c_void) -> Result<CString, aclError> {
    // SAFETY: [caller] not NULL now, and so a C string (contract).
    Ok(unsafe { CStr::from_ptr(not_null(pointer)?.cast::<c_char>()) }.to_owned())
}

/// `aclmdlSetConfigOpt`.
///
/// # Safety
/// `attr_value` points to `size` readable bytes; a path in it is a C string.
pub(crate) unsafe fn set(
    handle: *mut aclmdlConfigHandle,
    attr: aclmdlConfigAttr,
    attr_value: *const c_void,
    size: usize,
) -> Done {
    let config = LOADS.get(handle.cast());
    let config = config.ok_or_else(|| unknown(LOADS.describe(handle.cast()), handle.cast()))?;
    let mut config = config.lock();
    // SAFETY: [caller] the contract of this function is that of `value` and `string`.
    unsafe {
        let number = || value::<usize>(attr_value, size);
        let pointer = || value::<*mut c_void>(attr_value, size);
        match attr {
            sys::ACL_MDL_PRIORITY_INT32 => {
                let priority = value::<i32>(attr_value, size)?;
                // Known without a context.
                let lowest = process::machine().settings().profile.lowest_priority as i32;
                if !(0..=lowest).contains(&priority) {
                    return Err(invalid(format_args!("priority {priority} is not between 0 and {lowest}")));
                }
            }
            sys::ACL_MDL_LOAD_TYPE_SIZET => {
                let load_type = number()?;
                let types = sys::ACL_MDL_LOAD_FROM_FILE as usize..=sys::ACL_MDL_LOAD_FROM_MEM_WITH_Q as usize;
                if !types.contains(&load_type) {
                    return Err(invalid(format_args!("load type {load_type} does not exist")));
                }
                config.load_type = load_type;
            }
            sys::ACL_MDL_PATH_PTR => config.path = string(pointer()?)?,
            // The simulator reads no weights from other files.
            sys::ACL_MDL_WEIGHT_PATH_PTR => drop(string(pointer()?)?),
            sys::ACL_MDL_MEM_ADDR_PTR => config.model = Address(not_null(pointer()?)?),
            sys::ACL_MDL_INPUTQ_ADDR_PTR => config.input_queues = Address(not_null(pointer()?)?),
            sys::ACL_MDL_OUTPUTQ_ADDR_PTR => config.output_queues = Address(not_null(pointer()?)?),
            sys::ACL_MDL_MEM_SIZET => config.model_size = number()?,
            sys::ACL_MDL_WEIGHT_SIZET => config.weight_size = number()?,
            sys::ACL_MDL_WORKSPACE_SIZET => config.work_size = number()?,
            sys::ACL_MDL_INPUTQ_NUM_SIZET => config.input_queue_count = number()?,
            sys::ACL_MDL_OUTPUTQ_NUM_SIZET => config.output_queue_count = number()?,
            sys::ACL_MDL_WEIGHT_ADDR_PTR => config.weight = Address(pointer()?),
            sys::ACL_MDL_WORKSPACE_ADDR_PTR => config.work = Address(pointer()?),
            sys::ACL_MDL_WORKSPACE_MEM_OPTIMIZE => {
                let how = number()?;
                if how > sys::ACL_WORKSPACE_MEM_OPTIMIZE_INPUTOUTPUT as usize {
                    return Err(invalid(format_args!("memory optimisation {how} does not exist")));
                }
            }
            sys::ACL_MDL_WITHOUT_GRAPH_INT32 => {
                let flag = value::<i32>(attr_value, size)?;
                if !(0..=1).contains(&flag) {
                    return Err(invalid(format_args!("{flag} is neither 0 nor 1")));
                }
            }
            _ => return Err(invalid(format_args!("there is no attribute {}", attr.0))),
        }
    }
    config.set.insert(i64::from(attr.0));
    Ok(())
}

/// `aclmdlSetExternalWeightAddress`.
pub(crate) fn set_external_weight(handle: *mut aclmdlConfigHandle, size: usize) -> Done {
    get(handle)?;
    if size == 0 || !size.is_multiple_of(32) {
        return Err(invalid(format_args!("size {size} is not a positive multiple of 32")));
    }
    // No file that the simulator runs has weights elsewhere, so that nobody asks for the address.
    Ok(())
}

impl LoadConfig {
    fn has(&self, attr: aclmdlConfigAttr) -> bool {
        self.set.contains(&i64::from(attr.0))
    }

    /// The memory in it.
    pub(crate) fn provided(&self) -> Provided {
        Provided {
            work: self.work.0,
            work_size: self.work_size,
            weight: self.weight.0,
            weight_size: self.weight_size,
        }
    }

    /// Without graphs, which models of dynamic shape cannot do.
    pub(crate) fn without_graph(&self) -> bool {
        self.has(sys::ACL_MDL_WITHOUT_GRAPH_INT32)
    }

    /// Whether it has what its load type needs: 100000 otherwise.
    pub(crate) fn check(&self) -> Done {
        let missing = |attr: &str| Err(invalid(format_args!("the configuration lacks {attr}")));
        if !self.has(sys::ACL_MDL_LOAD_TYPE_SIZET) {
            return missing("ACL_MDL_LOAD_TYPE_SIZET");
        }
        let load_type = self.load_type as u32;
        let from_file = matches!(
            load_type,
            sys::ACL_MDL_LOAD_FROM_FILE
                | sys::ACL_MDL_LOAD_FROM_FILE_WITH_MEM
                | sys::ACL_MDL_LOAD_FROM_FILE_WITH_Q
        );
        if from_file {
            if !self.has(sys::ACL_MDL_PATH_PTR) {
                return missing("ACL_MDL_PATH_PTR");
            }
            if self.has(sys::ACL_MDL_WEIGHT_PATH_PTR) {
                return Err(invalid(
                    "a model from a file has its weights beside it: ACL_MDL_WEIGHT_PATH_PTR is not for it",
                ));
            }
        } else {
            if !self.has(sys::ACL_MDL_MEM_ADDR_PTR) {
                return missing("ACL_MDL_MEM_ADDR_PTR");
            }
            if !self.has(sys::ACL_MDL_MEM_SIZET) {
                return missing("ACL_MDL_MEM_SIZET");
            }
        }
        if matches!(load_type, sys::ACL_MDL_LOAD_FROM_FILE_WITH_Q | sys::ACL_MDL_LOAD_FROM_MEM_WITH_Q) {
            for (attr, name) in [
                (sys::ACL_MDL_INPUTQ_ADDR_PTR, "ACL_MDL_INPUTQ_ADDR_PTR"),
                (sys::ACL_MDL_INPUTQ_NUM_SIZET, "ACL_MDL_INPUTQ_NUM_SIZET"),
                (sys::ACL_MDL_OUTPUTQ_ADDR_PTR, "ACL_MDL_OUTPUTQ_ADDR_PTR"),
                (sys::ACL_MDL_OUTPUTQ_NUM_SIZET, "ACL_MDL_OUTPUTQ_NUM_SIZET"),
            ] {
                if !self.has(attr) {
                    return missing(name);
                }
            }
        }
        Ok(())
    }
}

/// `aclmdlCreateExecConfigHandle`. NULL if there are a million already.
pub(crate) fn create_exec() -> *mut aclmdlExecConfigHandle {
    let registration = register(LiveKind::ModelConfig, "for executing");
    let config = Arc::new(Mutex::new(ExecConfig { stream_timeout: -1 }));
    EXECS.insert(config, registration).unwrap_or(ptr::null_mut()).cast()
}

/// `aclmdlDestroyExecConfigHandle`.
pub(crate) fn destroy_exec(handle: *const aclmdlExecConfigHandle) -> Done {
    EXECS.remove(handle.cast()).map(drop).ok_or_else(|| unknown(EXECS.describe(handle.cast()), handle.cast()))
}

/// The options behind a handle: 100000 if there is none.
pub(crate) fn get_exec(handle: *const aclmdlExecConfigHandle) -> Result<ExecConfig, aclError> {
    let config = EXECS.get(handle.cast()).map(|config| *config.lock());
    config.ok_or_else(|| unknown(EXECS.describe(handle.cast()), handle.cast()))
}

/// `aclmdlSetExecConfigOpt`.
///
/// # Safety
/// `attr_value` points to `size` readable bytes.
pub(crate) unsafe fn set_exec(
    handle: *mut aclmdlExecConfigHandle,
    attr: aclmdlExecConfigAttr,
    attr_value: *const c_void,
    size: usize,
) -> Done {
    let config = EXECS.get(handle.cast());
    let config = config.ok_or_else(|| unknown(EXECS.describe(handle.cast()), handle.cast()))?;
    // The event time-out is for events inside a model, of which there are none here.
    if !matches!(attr, sys::ACL_MDL_STREAM_SYNC_TIMEOUT | sys::ACL_MDL_EVENT_SYNC_TIMEOUT) {
        return Err(invalid(format_args!("there is no attribute {}", attr.0)));
    }
    // SAFETY: [caller] the contract of this function.
    let timeout = unsafe { value::<i32>(attr_value, size)? };
    if timeout < -1 {
        return Err(invalid(format_args!("time-out {timeout} is less than -1")));
    }
    if attr == sys::ACL_MDL_STREAM_SYNC_TIMEOUT {
        config.lock().stream_timeout = timeout;
    }
    Ok(())
}
