//! Streams made from a configuration object, which the chip has that none of the named profiles is.

use core::ffi::c_void;
use std::collections::BTreeMap;
use std::ptr;

use ascendcl_sys::{
    self as sys, AclApi, aclError, aclrtStream, aclrtStreamConfigAttr, aclrtStreamConfigHandle,
};

use super::stream::create;
use super::{call, call_or, fill, invalid, not_null};
use crate::check::leak::{LiveKind, Registration, register};
use crate::core::stream::Options;
use crate::lock::Mutex;

/// A program sees the fields of these objects, so they are memory and not tokens; only those in this map are touched.
static CONFIGS: Mutex<BTreeMap<usize, (Box<Config>, Registration)>> = Mutex::new(BTreeMap::new());

/// One object.
struct Config(aclrtStreamConfigHandle);

// SAFETY: [threads] the pointer in it belongs to the program; the simulator never follows it.
unsafe impl Send for Config {}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCreateStreamConfigHandle() -> *mut aclrtStreamConfigHandle {
    let none = |_| ptr::null_mut();
    call_or!("aclrtCreateStreamConfigHandle", none, || {
        let empty = aclrtStreamConfigHandle { workptr: ptr::null_mut(), workSize: 0, flag: 0, priority: 0 };
        let mut config = Box::new(Config(empty));
        let handle = &raw mut config.0;
        CONFIGS.lock().insert(handle.addr(), (config, register(LiveKind::StreamConfig, "")));
        handle
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDestroyStreamConfigHandle(handle: *mut aclrtStreamConfigHandle) -> aclError {
    call!("aclrtDestroyStreamConfigHandle", || {
        not_null(handle, "handle")?;
        let config = CONFIGS.lock().remove(&handle.addr());
        config.map(drop).ok_or_else(|| unknown(handle))
    })
}

fn unknown(handle: *const aclrtStreamConfigHandle) -> aclError {
    invalid(format_args!("{handle:p} was not made by aclrtCreateStreamConfigHandle, or was destroyed"))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetStreamConfigOpt(
    handle: *mut aclrtStreamConfigHandle,
    attr: aclrtStreamConfigAttr,
    attrValue: *const c_void,
    valueSize: usize,
) -> aclError {
    call!("aclrtSetStreamConfigOpt", || {
        not_null(handle, "handle")?;
        not_null(attrValue, "attrValue")?;
        let number = match valueSize {
            // SAFETY: [caller] not NULL, and the caller says that it is this long.
            4 => u64::from(unsafe { attrValue.cast::<u32>().read_unaligned() }),
            // SAFETY: [caller] as above.
            8 => unsafe { attrValue.cast::<u64>().read_unaligned() },
            _ => return Err(invalid(format_args!("a value of {valueSize} bytes fits no attribute"))),
        };
        let mut configs = CONFIGS.lock();
        let Some((config, _)) = configs.get_mut(&handle.addr()) else {
            drop(configs);
            return Err(unknown(handle));
        };
        let known = match attr {
            sys::ACL_RT_STREAM_WORK_ADDR_PTR if valueSize == 8 => {
                config.0.workptr = ptr::without_provenance_mut(number as usize);
                true
            }
            sys::ACL_RT_STREAM_WORK_SIZE => {
                config.0.workSize = number as usize;
                true
            }
            sys::ACL_RT_STREAM_FLAG => {
                config.0.flag = number as usize;
                true
            }
            sys::ACL_RT_STREAM_PRIORITY => {
                config.0.priority = number as u32;
                true
            }
            _ => false,
        };
        drop(configs);
        if known {
            return Ok(());
        }
        Err(invalid(format_args!("attribute {} is unknown, or has no value of {valueSize} bytes", attr.0)))
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCreateStreamV2(
    stream: *mut aclrtStream,
    handle: *const aclrtStreamConfigHandle,
) -> aclError {
    call!("aclrtCreateStreamV2", || {
        not_null(stream, "stream")?;
        not_null(handle, "handle")?;
        let options = CONFIGS.lock().get(&handle.addr()).map(|(config, _)| {
            // The program may set the fields itself.
            Options { priority: config.0.priority, flags: config.0.flag as u32 }
        });
        // SAFETY: [caller] same contract.
        unsafe { create(stream, options.ok_or_else(|| unknown(handle))?) }
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtCreateStreamConfigHandle, aclrtDestroyStreamConfigHandle, aclrtSetStreamConfigOpt, aclrtCreateStreamV2,
    );
}
