//! Contexts.

use ascendcl_sys::{AclApi, aclError, aclrtContext, aclrtStream};

use super::{call, fill, invalid, not_null};
use crate::core::{context, current_context, process};
use crate::error::unremembered;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCreateContext(context: *mut aclrtContext, deviceId: i32) -> aclError {
    call!("aclrtCreateContext", || {
        not_null(context, "context")?;
        let handle = context::create(deviceId)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { context.write(handle) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDestroyContext(context: aclrtContext) -> aclError {
    call!("aclrtDestroyContext", || {
        not_null(context, "context")?;
        context::destroy(context)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetCurrentContext(context: aclrtContext) -> aclError {
    call!("aclrtSetCurrentContext", || {
        not_null(context, "context")?;
        context::set_current(context)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetCurrentContext(context: *mut aclrtContext) -> aclError {
    call!("aclrtGetCurrentContext", || {
        not_null(context, "context")?;
        let handle = unremembered(current_context)?.handle();
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { context.write(handle) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCtxGetCurrentDefaultStream(stream: *mut aclrtStream) -> aclError {
    call!("aclrtCtxGetCurrentDefaultStream", || {
        not_null(stream, "stream")?;
        let handle = current_context()?.default_handle();
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { stream.write(handle) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetPrimaryCtxState(deviceId: i32, flags: *mut u32, active: *mut i32) -> aclError {
    call!("aclrtGetPrimaryCtxState", || {
        not_null(active, "active")?;
        if !flags.is_null() {
            return Err(invalid("flags must be NULL"));
        }
        let is_active = process::device(deviceId)?.has_primary();
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { active.write(is_active.into()) };
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtCreateContext, aclrtDestroyContext, aclrtSetCurrentContext, aclrtGetCurrentContext,
        aclrtCtxGetCurrentDefaultStream, aclrtGetPrimaryCtxState,
    );
}
