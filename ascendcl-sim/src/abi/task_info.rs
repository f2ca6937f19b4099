//! What is known about tasks: the number of the last one, and operators of captured ones.

use core::ffi::{c_char, c_void};
use core::slice;
use std::sync::Arc;

use ascendcl_sys::{self as sys, AclApi, aclError};

use super::{call, fill, invalid, not_null};
use crate::core::instance::{Instance, Node};
use crate::core::{Context, current_context, last_task};
use crate::error::fail;

/// Bytes of the longest description of an operator.
const LONGEST_INFO: usize = 64 << 10;
/// Bytes that are kept of what else the program has to say about a task.
const LONGEST_TEXT: usize = 4096;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetThreadLastTaskId(taskId: *mut u32) -> aclError {
    call!("aclrtGetThreadLastTaskId", || {
        not_null(taskId, "taskId")?;
        let id = last_task::last().map_or(u32::MAX, |(_, task)| task);
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { taskId.write(id) };
        Ok(())
    })
}

/// The last task of this thread and the running instance that it belongs to (507000 if it does to none).
fn last_node(context: &Context) -> Result<(Arc<Node>, Arc<Instance>), aclError> {
    let found = last_task::node().and_then(|node| {
        let instance = node.lane()?.instance()?;
        Some((node, instance))
    });
    let Some((node, instance)) = found else {
        return Err(fail(
            sys::ACL_ERROR_RT_INTERNAL_ERROR,
            "the last task of this thread does not belong to a running instance",
        ));
    };
    if !instance.is_of(context) {
        return Err(fail(
            sys::ACL_ERROR_RT_STREAM_CONTEXT,
            "the last task of this thread belongs to another context",
        ));
    }
    Ok((node, instance))
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
        let context = current_context()?;
        let (_, instance) = last_node(&context)?;
        // What is kept is for the profiler, which has nothing to do here.
        if !(instance.is_captured() && instance.caches_operators()) {
            return Err(fail(
                sys::ACL_ERROR_RT_INTERNAL_ERROR,
                "no stream of the capture is set to ACL_STREAM_ATTR_CACHE_OP_INFO",
            ));
        }
        Ok(())
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
        let context = current_context()?;
        let (node, _) = last_node(&context)?;
        // SAFETY: [caller] not NULL, and the caller passes so many bytes.
        let bytes = unsafe { slice::from_raw_parts(extendInfoPtr.cast::<u8>(), infoSize.min(LONGEST_TEXT)) };
        node.extend(String::from_utf8_lossy(bytes).into_owned());
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtGetThreadLastTaskId, aclrtCacheLastTaskOpInfo, aclrtCacheLastTaskExtendInfo,
    );
}
