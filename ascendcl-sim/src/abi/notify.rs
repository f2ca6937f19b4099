//! Notifies.

use core::ffi::{CStr, c_char};
use std::sync::Arc;
use std::time::Duration;

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtNotify, aclrtServerPid, aclrtStream};

use super::{call, fill, not_null};
use crate::check::supported;
use crate::core::notify::{NOTIFIES, Notify};
use crate::core::task::Task;
use crate::core::{current_context, find_stream, resolve_found};
use crate::error::{SUCCESS, fail};

/// The timeout that means the process-wide default, which is for ever for notifies.
const DEFAULT_TIMEOUT: u32 = u32::MAX;
const IMPORT_FLAGS: u64 =
    (sys::ACL_NOTIFY_DEVICE_USE_ONLY | sys::ACL_RT_NOTIFY_IMPORT_FLAG_ENABLE_PEER_ACCESS) as u64;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCreateNotify(notify: *mut aclrtNotify, flag: u64) -> aclError {
    call!("aclrtCreateNotify", || {
        not_null(notify, "notify")?;
        if flag > sys::ACL_NOTIFY_DEVICE_USE_ONLY.into() {
            return Err(wrong(format_args!(
                "notify flag {flag:#x} is neither ACL_NOTIFY_DEFAULT nor ACL_NOTIFY_DEVICE_USE_ONLY"
            )));
        }
        let context = current_context()?;
        let handle = Notify::create(context.device())?;
        context.check_alive().inspect_err(|_| drop(NOTIFIES.remove(handle)))?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { notify.write(handle) };
        Ok(())
    })
}

fn wrong(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

fn find(notify: aclrtNotify) -> Result<Arc<Notify>, aclError> {
    NOTIFIES.get(notify).ok_or_else(|| unknown(notify))
}

fn unknown(notify: aclrtNotify) -> aclError {
    fail(
        sys::ACL_ERROR_RT_INVALID_HANDLE,
        format_args!("the notify {notify:p} {}", NOTIFIES.describe(notify)),
    )
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDestroyNotify(notify: aclrtNotify) -> aclError {
    call!("aclrtDestroyNotify", || {
        not_null(notify, "notify")?;
        find(notify)?;
        current_context()?;
        // Tasks that use the notify keep it.
        NOTIFIES.remove(notify).map(drop).ok_or_else(|| unknown(notify))
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtRecordNotify(notify: aclrtNotify, stream: aclrtStream) -> aclError {
    call!("aclrtRecordNotify", || {
        not_null(notify, "notify")?;
        let notify = find(notify)?;
        let stream = resolve_found(find_stream(stream)?)?;
        let work = Arc::new(move || {
            notify.record();
            Ok(())
        });
        match stream.submit("notify record", work) {
            SUCCESS => Ok(()),
            code => Err(code),
        }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtWaitAndResetNotify(
    notify: aclrtNotify,
    stream: aclrtStream,
    timeout: u32,
) -> aclError {
    call!("aclrtWaitAndResetNotify", || {
        not_null(notify, "notify")?;
        let notify = find(notify)?;
        let stream = resolve_found(find_stream(stream)?)?;
        if !notify.can_wait_on(stream.device()) {
            return Err(wrong(format_args!(
                "notify {} is shared between processes, and such a notify is waited for on its own device only, not on device {}",
                notify.id(),
                stream.device().id()
            )));
        }
        let forever = timeout == 0 || timeout == DEFAULT_TIMEOUT;
        let timeout = (!forever).then(|| Duration::from_secs(timeout.into()));
        stream.push(Task::Wait { on: notify, key: 0, timeout })
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetNotifyId(notify: aclrtNotify, notifyId: *mut u32) -> aclError {
    call!("aclrtGetNotifyId", || {
        not_null(notify, "notify")?;
        not_null(notifyId, "notifyId")?;
        let id = find(notify)?.id();
        current_context()?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { notifyId.write(id) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtNotifyBatchReset(notifies: *mut aclrtNotify, num: usize) -> aclError {
    call!("aclrtNotifyBatchReset", || {
        not_null(notifies, "notifies")?;
        // The runtime counts in 32 bits.
        let num = num as u32;
        if num == 0 {
            return Err(wrong("num must not be 0"));
        }
        for index in 0..num as usize {
            // SAFETY: [caller] not NULL, and the caller says that it has `num` elements.
            let handle = unsafe { notifies.add(index).read() };
            if handle.is_null() {
                return Err(wrong(format_args!("notifies[{index}] must not be NULL")));
            }
            let notify = find(handle)?;
            current_context()?;
            notify.reset();
        }
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtNotifyGetExportKey(
    notify: aclrtNotify,
    key: *mut c_char,
    len: usize,
    flags: u64,
) -> aclError {
    call!("aclrtNotifyGetExportKey", || {
        not_null(notify, "notify")?;
        not_null(key, "key")?;
        let notify = find(notify)?;
        // The runtime counts in 32 bits.
        let len = len as u32 as usize;
        if len == 0 {
            return Err(wrong("len must not be 0"));
        }
        let anybody = match flags {
            _ if flags == sys::ACL_RT_NOTIFY_EXPORT_FLAG_DEFAULT.into() => false,
            _ if flags == sys::ACL_RT_NOTIFY_EXPORT_FLAG_DISABLE_PID_VALIDATION.into() => true,
            _ => return Err(wrong(format_args!("export flag {flags:#x} is unknown"))),
        };
        if len < Notify::KEY_PLACE {
            return Err(wrong(format_args!(
                "a place of {len} bytes is too short for a key of 64 characters"
            )));
        }
        let name = notify.export(anybody)?;
        // SAFETY: [caller] not NULL, and the caller says that `len` bytes can be written, which is more than a key has.
        unsafe { write_key(key, &name) };
        Ok(())
    })
}

/// # Safety
/// `place` can take the key and a NUL.
unsafe fn write_key(place: *mut c_char, key: &str) {
    // SAFETY: [caller] as long as the contract says; a string of Rust and memory of the caller do not overlap.
    unsafe {
        std::ptr::copy_nonoverlapping(key.as_ptr().cast(), place, key.len());
        place.add(key.len()).write(0);
    }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtNotifyImportByKey(
    notify: *mut aclrtNotify,
    key: *const c_char,
    flags: u64,
) -> aclError {
    call!("aclrtNotifyImportByKey", || {
        not_null(notify, "notify")?;
        not_null(key, "key")?;
        // The runtime looks at 32 bits, of which only the lowest two mean something.
        let flags = flags & u64::from(u32::MAX);
        if flags > IMPORT_FLAGS {
            return Err(wrong(format_args!("import flag {flags:#x} is unknown")));
        }
        let context = current_context()?;
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        let key = unsafe { CStr::from_ptr(key) }.to_string_lossy();
        let handle = Notify::import(context.device(), &key)?;
        context.check_alive().inspect_err(|_| drop(NOTIFIES.remove(handle)))?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { notify.write(handle) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtNotifySetImportPid(notify: aclrtNotify, pid: *mut i32, num: usize) -> aclError {
    call!("aclrtNotifySetImportPid", || {
        not_null(notify, "notify")?;
        not_null(pid, "pid")?;
        let notify = find(notify)?;
        let num = num as i32;
        if num <= 0 {
            return Err(wrong(format_args!("num {num} is not positive")));
        }
        current_context()?;
        for index in 0..num as usize {
            // SAFETY: [caller] not NULL, and the caller says that it has `num` elements.
            notify.allow(unsafe { pid.add(index).read() })?;
        }
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtNotifySetImportPidInterServer(
    notify: aclrtNotify,
    serverPids: *mut aclrtServerPid,
    num: usize,
) -> aclError {
    call!("aclrtNotifySetImportPidInterServer", || {
        if notify.is_null() {
            return Err(wrong("notify must not be NULL"));
        }
        if serverPids.is_null() {
            return Err(wrong("serverPids must not be NULL"));
        }
        if num == 0 {
            return Err(wrong("num must not be 0"));
        }
        let notify = find(notify)?;
        for index in 0..num {
            // SAFETY: [caller] not NULL, and the caller says that it has `num` elements.
            let server = unsafe { serverPids.add(index).read() };
            if server.pid.is_null() {
                return Err(wrong(format_args!("serverPids[{index}].pid must not be NULL")));
            }
            if server.num != 1 {
                return Err(wrong(format_args!("serverPids[{index}].num is {}, not 1", server.num)));
            }
            supported()?;
            current_context()?;
            // SAFETY: [caller] not NULL, and the caller says that it points to one number. All servers are this machine.
            notify.allow(unsafe { server.pid.read() })?;
        }
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtCreateNotify, aclrtDestroyNotify, aclrtRecordNotify, aclrtWaitAndResetNotify, aclrtGetNotifyId,
        aclrtNotifyBatchReset, aclrtNotifyGetExportKey, aclrtNotifyImportByKey, aclrtNotifySetImportPid,
        aclrtNotifySetImportPidInterServer,
    );
}
