//! Waiting for and writing values in device memory from a stream.

use core::ffi::c_void;

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtStream};

use super::{call, fill, not_null};
use crate::core::task::Task;
use crate::core::value::{self, ValueWait};
use crate::core::{find_stream, resolve_found};
use crate::error::fail;
use crate::memory::{DeviceRange, device_range};

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtValueWrite(
    devAddr: *mut c_void,
    value: u64,
    flag: u32,
    stream: aclrtStream,
) -> aclError {
    call!("aclrtValueWrite", || {
        not_null(devAddr, "devAddr")?;
        let stream = find_stream(stream)?;
        if flag != 0 {
            return Err(wrong_flag(flag, "0"));
        }
        let range = place(devAddr)?;
        let stream = resolve_found(stream)?;
        stream.push(Task::Write { range, value })
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtValueWait(
    devAddr: *mut c_void,
    value: u64,
    flag: u32,
    stream: aclrtStream,
) -> aclError {
    call!("aclrtValueWait", || {
        not_null(devAddr, "devAddr")?;
        let stream = find_stream(stream)?;
        if flag > sys::ACL_STREAM_WAIT_VALUE_NOR {
            return Err(wrong_flag(flag, "one of ACL_STREAM_WAIT_VALUE_*"));
        }
        let range = place(devAddr)?;
        let stream = resolve_found(stream)?;
        stream.push(Task::Wait { on: ValueWait::new(range, value, flag), key: 0, timeout: None })
    })
}

fn place(address: *mut c_void) -> Result<DeviceRange, aclError> {
    device_range(address, value::SIZE)
}

fn wrong_flag(flag: u32, expected: &str) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, format_args!("flag {flag} is not {expected}"))
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api: aclrtValueWrite, aclrtValueWait);
}
