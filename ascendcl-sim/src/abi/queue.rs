//! Queues.

use core::ffi::{c_char, c_void};
use std::ptr;

use ascendcl_sys::{self as sys, AclApi, aclError, acltdtBuf, acltdtQueueAttr, acltdtQueueAttrType};

use super::{call, call_or, fill, invalid, not_null};
use crate::core::current_context;
use crate::core::process::machine;
use crate::error::fail;
use crate::queue::attribute::{self, Attributes, NAME};
use crate::queue::{
    Message, Permission, Source, USER_DATA, buffer, deadline, read_from, registry, route, write_to,
};

/// Copies `len` bytes of a parameter into the bytes of a number (100000 if they are more).
///
/// # Safety
/// `len` bytes at `from` are readable.
pub(super) unsafe fn copy_in<const N: usize>(from: *const c_void, len: usize) -> Result<[u8; N], aclError> {
    if len > N {
        return Err(invalid(format_args!("the parameter has {N} bytes, not {len}")));
    }
    let mut bytes = [0; N];
    // SAFETY: [caller] the caller passes `len` readable bytes, and the array is as long.
    unsafe { ptr::copy_nonoverlapping(from.cast(), bytes.as_mut_ptr(), len) };
    Ok(bytes)
}

/// Copies the bytes of a number into a parameter with room for `len` bytes (100000 if that is too little).
///
/// # Safety
/// `len` bytes at `to`, and `size`, are writable.
pub(super) unsafe fn copy_out(
    bytes: &[u8],
    to: *mut c_void,
    len: usize,
    size: *mut usize,
) -> Result<(), aclError> {
    if bytes.len() > len {
        return Err(invalid(format_args!(
            "the parameter has {} bytes, and there is room for {len}",
            bytes.len()
        )));
    }
    // SAFETY: [caller] the caller passes places to write to.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr(), to.cast(), bytes.len());
        size.write(bytes.len());
    }
    Ok(())
}

/// The device that queues are of, and whether it has shared buffers.
pub(super) fn device() -> Result<(i32, bool), aclError> {
    let context = current_context()?;
    let device = context.device();
    Ok((device.id(), device.profile().features.shared_buffers))
}

/// Whether the machine has shared buffers.
pub(super) fn has_shared_buffers() -> bool {
    machine().settings().profile.features.shared_buffers
}

/// 200006 on chips whose hosts have no shared buffers; gives the device otherwise.
pub(super) fn sharing_device() -> Result<i32, aclError> {
    supported(has_shared_buffers())?;
    device().map(|(device, _)| device)
}

/// 200006 if `has` is false.
pub(super) fn supported(has: bool) -> Result<(), aclError> {
    if has {
        return Ok(());
    }
    Err(fail(
        sys::ACL_ERROR_FEATURE_UNSUPPORTED,
        "a host on PCIe has no shared buffers, and no queues of several processes",
    ))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtCreateQueueAttr() -> *mut acltdtQueueAttr {
    call_or!("acltdtCreateQueueAttr", |_| ptr::null_mut(), || {
        attribute::create().map_or(ptr::null_mut(), |handle| handle.cast())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtDestroyQueueAttr(attr: *const acltdtQueueAttr) -> aclError {
    call!("acltdtDestroyQueueAttr", || {
        not_null(attr, "attr")?;
        attribute::destroy(attr.cast())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtSetQueueAttr(
    attr: *mut acltdtQueueAttr,
    type_: acltdtQueueAttrType,
    len: usize,
    param: *const c_void,
) -> aclError {
    call!("acltdtSetQueueAttr", || {
        not_null(attr, "attr")?;
        not_null(param, "param")?;
        let attributes = attribute::lookup(attr.cast())?;
        match type_ {
            sys::ACL_TDT_QUEUE_NAME_PTR => {
                // SAFETY: [caller] the caller passes `len` readable bytes.
                let pointer = usize::from_ne_bytes(unsafe { copy_in(param, len) }?);
                let name: *const c_char = ptr::with_exposed_provenance(pointer);
                // A part of a pointer is none.
                not_null(if len == size_of::<usize>() { name } else { ptr::null() }, "the name")?;
                // SAFETY: [caller] the caller passes a C string, or as many bytes as a name may have.
                let length = unsafe { libc::strnlen(name, NAME) };
                if length >= NAME {
                    return Err(invalid(format_args!("a name has at most {} bytes", NAME - 1)));
                }
                // SAFETY: [caller] the string was just measured.
                attributes.set_name(unsafe { std::slice::from_raw_parts(name.cast(), length) });
            }
            sys::ACL_TDT_QUEUE_DEPTH_UINT32 => {
                // SAFETY: [caller] the caller passes `len` readable bytes.
                attributes.set_depth(u32::from_ne_bytes(unsafe { copy_in(param, len) }?));
            }
            other => return Err(invalid(format_args!("{} is no attribute of a queue", other.0))),
        }
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetQueueAttr(
    attr: *const acltdtQueueAttr,
    type_: acltdtQueueAttrType,
    len: usize,
    paramRetSize: *mut usize,
    param: *mut c_void,
) -> aclError {
    call!("acltdtGetQueueAttr", || {
        not_null(attr, "attr")?;
        not_null(param, "param")?;
        not_null(paramRetSize, "paramRetSize")?;
        let attributes = attribute::lookup(attr.cast())?;
        let bytes = match type_ {
            sys::ACL_TDT_QUEUE_NAME_PTR => {
                attributes.name_pointer().expose_provenance().to_ne_bytes().to_vec()
            }
            sys::ACL_TDT_QUEUE_DEPTH_UINT32 => attributes.depth().to_ne_bytes().to_vec(),
            other => return Err(invalid(format_args!("{} is no attribute of a queue", other.0))),
        };
        // SAFETY: [caller] not NULL, and the caller passes places to write to.
        unsafe { copy_out(&bytes, param, len, paramRetSize) }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtCreateQueue(attr: *const acltdtQueueAttr, qid: *mut u32) -> aclError {
    call!("acltdtCreateQueue", || {
        not_null(qid, "qid")?;
        let (device, shared) = device()?;
        let number = if attr.is_null() {
            registry::create(device, &Attributes::new(), shared)?
        } else {
            registry::create(device, &*attribute::lookup(attr.cast())?, shared)?
        };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { qid.write(number) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtDestroyQueue(qid: u32) -> aclError {
    call!("acltdtDestroyQueue", || {
        let (device, _) = device()?;
        if route::is_bound(device, qid) {
            return Err(fail(
                sys::ACL_ERROR_FAILURE,
                format_args!("queue {qid} has routes: unbind them before it is destroyed"),
            ));
        }
        registry::destroy(device, qid)
    })
}

/// User data of a message: none, or 1 to 96 bytes (107000).
fn check_user_data(data: *const c_void, size: usize) -> Result<(), aclError> {
    let fits = if data.is_null() { size == 0 } else { (1..=USER_DATA).contains(&size) };
    if fits {
        return Ok(());
    }
    Err(fail(
        sys::ACL_ERROR_RT_PARAM_INVALID,
        format_args!("user data has 1 to {USER_DATA} bytes, or none and no address: not {size} at {data:p}"),
    ))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtEnqueueData(
    qid: u32,
    data: *const c_void,
    dataSize: usize,
    userData: *const c_void,
    userDataSize: usize,
    timeout: i32,
    _rsv: u32,
) -> aclError {
    call!("acltdtEnqueueData", || {
        not_null(data, "data")?;
        if dataSize == 0 {
            return Err(invalid("dataSize must not be 0"));
        }
        let (device, _) = device()?;
        let queue = registry::lookup(device, qid)?;
        check_user_data(userData, userDataSize)?;
        // SAFETY: [caller] the caller passes readable memory of that size.
        let bytes = unsafe { read_from(Source { pointer: data, len: dataSize }) }?;
        let mut user = [0; USER_DATA];
        if !userData.is_null() {
            // SAFETY: [caller] the caller passes so many readable bytes.
            user = unsafe { copy_in(userData, userDataSize) }?;
        }
        queue.put(&Message { bytes, user, parts: Vec::new() }, deadline(timeout))
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtDequeueData(
    qid: u32,
    data: *mut c_void,
    dataSize: usize,
    retDataSize: *mut usize,
    userData: *mut c_void,
    userDataSize: usize,
    timeout: i32,
) -> aclError {
    call!("acltdtDequeueData", || {
        not_null(data, "data")?;
        not_null(retDataSize, "retDataSize")?;
        if dataSize == 0 {
            return Err(invalid("dataSize must not be 0"));
        }
        let (device, _) = device()?;
        let queue = registry::lookup(device, qid)?;
        let deadline = deadline(timeout);
        let size = queue.peek(deadline)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { retDataSize.write(size) };
        check_user_data(userData, userDataSize)?;
        let message = queue.take(dataSize, deadline)?;
        // SAFETY: [caller] the caller passes memory with room for `dataSize` bytes, and the message is no longer.
        unsafe { write_to(data, &message.bytes) }?;
        if !userData.is_null() {
            // SAFETY: [caller] checked: the caller passes room for so many bytes, at most as many as there are.
            unsafe { write_to(userData, &message.user[..userDataSize]) }?;
        }
        Ok(())
    })
}

/// What a queue of buffers answers when the time is over.
fn no_time(code: aclError) -> aclError {
    match code {
        sys::ACL_ERROR_RT_QUEUE_FULL => fail(sys::ACL_ERROR_FAILURE, "the queue stayed full"),
        sys::ACL_ERROR_RT_QUEUE_EMPTY => fail(sys::ACL_ERROR_FAILURE, "the queue stayed empty"),
        code => code,
    }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtEnqueue(qid: u32, buf: acltdtBuf, timeout: i32) -> aclError {
    call!("acltdtEnqueue", || {
        let device = sharing_device()?;
        not_null(buf, "buf")?;
        let queue = registry::lookup(device, qid)?;
        let message = buffer::message(buf)?;
        queue.put(&message, deadline(timeout)).map_err(no_time)?;
        // The queue has it now.
        buffer::free(buf)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtDequeue(qid: u32, buf: *mut acltdtBuf, timeout: i32) -> aclError {
    call!("acltdtDequeue", || {
        let device = sharing_device()?;
        not_null(buf, "buf")?;
        let message = registry::lookup(device, qid)?.take(usize::MAX, deadline(timeout)).map_err(no_time)?;
        let taken = buffer::from_message(&message)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { buf.write(taken) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGrantQueue(qid: u32, pid: i32, permission: u32, _timeout: i32) -> aclError {
    call!("acltdtGrantQueue", || {
        let device = sharing_device()?;
        registry::grant(device, qid, pid, Permission(permission))
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtAttachQueue(qid: u32, timeout: i32, permission: *mut u32) -> aclError {
    call!("acltdtAttachQueue", || {
        let device = sharing_device()?;
        not_null(permission, "permission")?;
        if timeout < -1 {
            return Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, format_args!("timeout {timeout} is below -1")));
        }
        let granted = registry::attach(device, qid, deadline(timeout))?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { permission.write(granted.0) };
        Ok(())
    })
}

pub(super) fn fill(api: &mut AclApi) {
    fill!(api:
        acltdtCreateQueueAttr, acltdtDestroyQueueAttr, acltdtSetQueueAttr, acltdtGetQueueAttr, acltdtCreateQueue,
        acltdtDestroyQueue, acltdtEnqueueData, acltdtDequeueData, acltdtEnqueue, acltdtDequeue, acltdtGrantQueue,
        acltdtAttachQueue,
    );
}
