//! What is known about tasks: the number of the last one, and operators of captured ones.

use core::ffi::{c_char, c_void};

use ascendcl_sys::{self as sys, AclApi, aclError};

use super::{call, fill, invalid, not_null};
use crate::core::{current_context, last_task};
use crate::error::fail;

/// Bytes of the longest description of an operator.
const LONGEST_INFO: usize = 64 << 10;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetThreadLastTaskId(taskId: *mut u32) -> aclError {
    call!("aclrtGetThreadLastTaskId", || {
        not_null(taskId, "taskId")?;
        let id = last_task::last().map_or(u32::MAX, |(_, task)| task);
        // SAFETY: not NULL, and the caller passes a place to write to.
        unsafe { taskId.write(id) };
        Ok(())
    })
}

/// Operators are kept for captured work only.
fn not_captured() -> aclError {
    fail(
        sys::ACL_ERROR_RT_INTERNAL_ERROR,
        "the last task of this thread is none of captured work that keeps its operators",
    )
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCacheLastTaskOpInfo(infoPtr: *const c_void, infoSize: usize) -> aclError {
    call!("aclrtCacheLastTaskOpInfo", || {
        not_null(infoPtr, "infoPtr")?;
        if infoSize == 0 {
            return Err(invalid("infoSize must not be 0"));
        }
        if infoSize > LONGEST_INFO {
            return Err(fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                format_args!("infoSize {infoSize} is larger than {LONGEST_INFO}"),
            ));
        }
        current_context()?;
        Err(not_captured())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCacheLastTaskExtendInfo(extendInfoPtr: *const c_char, infoSize: usize) -> aclError {
    call!("aclrtCacheLastTaskExtendInfo", || {
        if extendInfoPtr.is_null() || infoSize == 0 {
            return Err(fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                "extendInfoPtr must not be NULL, and infoSize not 0",
            ));
        }
        current_context()?;
        Err(not_captured())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtGetThreadLastTaskId, aclrtCacheLastTaskOpInfo, aclrtCacheLastTaskExtendInfo,
    );
}
