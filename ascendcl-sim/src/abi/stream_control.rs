//! Streams that are aborted, stopped and cleaned.

use std::sync::Arc;

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtStream};

use super::{call, fill};
use crate::core::{Stream, find_stream, lookup_any_stream, resolve_found, resolve_stream};
use crate::error::fail;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtStreamAbort(stream: aclrtStream) -> aclError {
    call!("aclrtStreamAbort", || {
        find_stream(stream)?;
        if stream.is_null() && lookup_any_stream(stream).is_err() {
            return Err(wrong("there is no stream, and no context with a default stream"));
        }
        let stream = resolve_stream(stream)?;
        stream.check_not_bound()?;
        stream.abort();
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtStreamStop(stream: aclrtStream) -> aclError {
    call!("aclrtStreamStop", || {
        let stream = required(stream)?;
        stream.check_not_bound()?;
        stream.stop();
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtPersistentTaskClean(stream: aclrtStream) -> aclError {
    call!("aclrtPersistentTaskClean", || {
        let found = find_stream(stream)?.ok_or_else(|| wrong("stream must not be NULL"))?;
        if found.options().flags & sys::ACL_STREAM_PERSISTENT == 0 {
            return Err(fail(
                sys::ACL_ERROR_RT_INTERNAL_ERROR,
                format_args!("stream {} was made without ACL_STREAM_PERSISTENT", found.id()),
            ));
        }
        resolve_found(Some(found))?.clear_held();
        Ok(())
    })
}

fn wrong(what: &str) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

/// A stream of the current context, and not NULL.
fn required(stream: aclrtStream) -> Result<Arc<Stream>, aclError> {
    let found = find_stream(stream)?;
    if found.is_none() {
        return Err(wrong("stream must not be NULL"));
    }
    resolve_found(found)
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api: aclrtStreamAbort, aclrtStreamStop, aclrtPersistentTaskClean);
}
