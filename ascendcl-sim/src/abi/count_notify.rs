//! Counting notifies.

use std::sync::Arc;
use std::time::Duration;

use ascendcl_sys::{
    self as sys, AclApi, aclError, aclrtCntNotify, aclrtCntNotifyRecordInfo, aclrtCntNotifyWaitInfo,
    aclrtStream,
};

use super::{call, fill, not_null};
use crate::check::supported;
use crate::core::count_notify::{COUNT_NOTIFIES, Condition, CountNotify};
use crate::core::task::{Task, Work};
use crate::core::{Stream, current_context, find_stream, resolve_found};
use crate::error::{SUCCESS, fail};

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCntNotifyCreate(cntNotify: *mut aclrtCntNotify, flag: u64) -> aclError {
    call!("aclrtCntNotifyCreate", || {
        if flag != 0 {
            return Err(wrong(format_args!("flag {flag:#x} is not 0")));
        }
        let context = current_context()?;
        if cntNotify.is_null() {
            return Err(wrong("cntNotify must not be NULL"));
        }
        supported()?;
        let handle = CountNotify::create(context.device())?;
        context.check_alive().inspect_err(|_| drop(COUNT_NOTIFIES.remove(handle)))?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { cntNotify.write(handle) };
        Ok(())
    })
}

fn wrong(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

/// `None` for NULL, which the runtime notices only after it has looked at the stream.
fn find(handle: aclrtCntNotify) -> Result<Option<Arc<CountNotify>>, aclError> {
    if handle.is_null() {
        return Ok(None);
    }
    COUNT_NOTIFIES.get(handle).map(Some).ok_or_else(|| {
        fail(
            sys::ACL_ERROR_RT_INVALID_HANDLE,
            format_args!("the counting notify {handle:p} {}", COUNT_NOTIFIES.describe(handle)),
        )
    })
}

fn required(counter: Option<Arc<CountNotify>>) -> Result<Arc<CountNotify>, aclError> {
    counter.ok_or_else(|| wrong("cntNotify must not be NULL"))
}

fn submit(stream: &Arc<Stream>, operation: &'static str, work: Work) -> Result<(), aclError> {
    match stream.submit(operation, work) {
        SUCCESS => Ok(()),
        code => Err(code),
    }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCntNotifyDestroy(cntNotify: aclrtCntNotify) -> aclError {
    call!("aclrtCntNotifyDestroy", || {
        required(find(cntNotify)?)?;
        supported()?;
        current_context()?;
        // Tasks that use the counter keep it.
        drop(COUNT_NOTIFIES.remove(cntNotify));
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCntNotifyRecord(
    cntNotify: aclrtCntNotify,
    stream: aclrtStream,
    info: *mut aclrtCntNotifyRecordInfo,
) -> aclError {
    call!("aclrtCntNotifyRecord", || {
        not_null(info, "info")?;
        let (counter, stream) = (find(cntNotify)?, find_stream(stream)?);
        let counter = required(counter)?;
        // SAFETY: [caller] not NULL, and the caller passes one.
        let info = unsafe { info.read() };
        let known = [
            sys::ACL_RT_CNT_NOTIFY_RECORD_SET_VALUE_MODE,
            sys::ACL_RT_CNT_NOTIFY_RECORD_ADD_MODE,
            sys::ACL_RT_CNT_NOTIFY_RECORD_BIT_OR_MODE,
            sys::ACL_RT_CNT_NOTIFY_RECORD_BIT_AND_MODE,
        ];
        if !known.contains(&info.mode) {
            return Err(wrong(format_args!("record mode {} is unknown", info.mode.0)));
        }
        supported()?;
        let stream = resolve_found(stream)?;
        let work = move || {
            counter.record(info.mode, info.value);
            Ok(())
        };
        submit(&stream, "counter record", Arc::new(work))
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCntNotifyWaitWithTimeout(
    cntNotify: aclrtCntNotify,
    stream: aclrtStream,
    info: *mut aclrtCntNotifyWaitInfo,
) -> aclError {
    call!("aclrtCntNotifyWaitWithTimeout", || {
        not_null(info, "info")?;
        let (counter, stream) = (find(cntNotify)?, find_stream(stream)?);
        let counter = required(counter)?;
        // SAFETY: [caller] not NULL, and the caller passes one.
        let info = unsafe { info.read() };
        if info.mode.0 > sys::ACL_RT_CNT_NOTIFY_WAIT_EQUAL_WITH_BITMASK_MODE.0 {
            return Err(wrong(format_args!("wait mode {} is unknown", info.mode.0)));
        }
        supported()?;
        let stream = resolve_found(stream)?;
        let condition = Condition { mode: info.mode, value: info.value, clear: info.isClear != 0 };
        let timeout = (info.timeout > 0).then(|| Duration::from_secs(info.timeout.into()));
        stream.push(Task::Wait { on: counter, key: condition.key(), timeout })
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCntNotifyReset(cntNotify: aclrtCntNotify, stream: aclrtStream) -> aclError {
    call!("aclrtCntNotifyReset", || {
        let (counter, stream) = (find(cntNotify)?, find_stream(stream)?);
        let counter = required(counter)?;
        supported()?;
        let stream = resolve_found(stream)?;
        let work = move || {
            counter.reset();
            Ok(())
        };
        submit(&stream, "counter reset", Arc::new(work))
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCntNotifyGetId(cntNotify: aclrtCntNotify, notifyId: *mut u32) -> aclError {
    call!("aclrtCntNotifyGetId", || {
        let counter = required(find(cntNotify)?)?;
        if notifyId.is_null() {
            return Err(wrong("notifyId must not be NULL"));
        }
        supported()?;
        current_context()?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { notifyId.write(counter.id()) };
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtCntNotifyCreate, aclrtCntNotifyDestroy, aclrtCntNotifyRecord, aclrtCntNotifyWaitWithTimeout,
        aclrtCntNotifyReset, aclrtCntNotifyGetId,
    );
}
