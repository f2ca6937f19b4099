//! Buffers that queues carry.
//!
//! Each function exists twice: `aclrt*` belongs to the runtime, `acltdt*` to queues. On a host on PCIe both have nothing behind them; the
//! second kind says so before it looks at its arguments.

use core::ffi::c_void;

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtMbuf, acltdtBuf};

use super::queue::{has_shared_buffers, supported};
use super::{call, fill, invalid, not_null};
use crate::error::fail;
use crate::queue::{USER_DATA, buffer};

/// 207000 on chips whose hosts have no shared buffers.
fn has_buffers() -> Result<(), aclError> {
    if has_shared_buffers() {
        return Ok(());
    }
    Err(fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "a host on PCIe has no shared buffers"))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtAllocBuf(buf: *mut aclrtMbuf, size: usize) -> aclError {
    // SAFETY: [caller] same contract.
    call!("aclrtAllocBuf", || unsafe { allocate(buf, size) })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtAllocBuf(size: usize, type_: u32, buf: *mut acltdtBuf) -> aclError {
    call!("acltdtAllocBuf", || {
        if ![sys::ACL_TDT_NORMAL_MEM.0, sys::ACL_TDT_DVPP_MEM.0].contains(&type_) {
            return Err(invalid(format_args!("{type_} is no type of a buffer")));
        }
        not_null(buf, "buf")?;
        supported(has_shared_buffers())?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { buf.write(buffer::allocate(size)?) };
        Ok(())
    })
}

/// # Safety
/// `buf` is NULL or a place to write to.
unsafe fn allocate(buf: *mut aclrtMbuf, size: usize) -> Result<(), aclError> {
    not_null(buf, "buf")?;
    if size == 0 {
        return Err(invalid("size must not be 0"));
    }
    has_buffers()?;
    // SAFETY: [caller] not NULL, and the caller passes a place to write to.
    unsafe { buf.write(buffer::allocate(size)?) };
    Ok(())
}

/// 100000 if there are not so many bytes of user data.
fn check_user_data(size: usize, offset: usize) -> Result<(), aclError> {
    if size.checked_add(offset).is_some_and(|end| end <= USER_DATA) {
        return Ok(());
    }
    Err(invalid(format_args!("a buffer has {USER_DATA} bytes of user data, and not {size} from {offset} on")))
}

fn append_buf_chain(headBuf: *mut c_void, buf: *mut c_void) -> Result<(), aclError> {
    not_null(headBuf, "headBuf")?;
    not_null(buf, "buf")?;
    has_buffers()?;
    buffer::append(headBuf, buf)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtAppendBufChain(headBuf: aclrtMbuf, buf: aclrtMbuf) -> aclError {
    call!("aclrtAppendBufChain", || { append_buf_chain(headBuf, buf) })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtAppendBufChain(headBuf: acltdtBuf, buf: acltdtBuf) -> aclError {
    call!("acltdtAppendBufChain", || {
        supported(has_shared_buffers())?;
        append_buf_chain(headBuf, buf)
    })
}

/// # Safety
/// Pointers are NULL, or places to write to or to read from.
unsafe fn copy_buf_ref(buf: *mut c_void, newBuf: *mut *mut c_void) -> Result<(), aclError> {
    not_null(buf, "buf")?;
    not_null(newBuf, "newBuf")?;
    has_buffers()?;
    // SAFETY: [caller] not NULL, and the caller passes a place to write to.
    unsafe { newBuf.write(buffer::copy_reference(buf)?) };
    Ok(())
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCopyBufRef(buf: aclrtMbuf, newBuf: *mut aclrtMbuf) -> aclError {
    call!("aclrtCopyBufRef", || {
        // SAFETY: [caller] same contract.
        unsafe { copy_buf_ref(buf, newBuf) }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtCopyBufRef(buf: acltdtBuf, newBuf: *mut acltdtBuf) -> aclError {
    call!("acltdtCopyBufRef", || {
        supported(has_shared_buffers())?;
        // SAFETY: [caller] same contract.
        unsafe { copy_buf_ref(buf, newBuf) }
    })
}

fn free_buf(buf: *mut c_void) -> Result<(), aclError> {
    not_null(buf, "buf")?;
    has_buffers()?;
    buffer::free(buf)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtFreeBuf(buf: aclrtMbuf) -> aclError {
    call!("aclrtFreeBuf", || { free_buf(buf) })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtFreeBuf(buf: acltdtBuf) -> aclError {
    call!("acltdtFreeBuf", || {
        supported(has_shared_buffers())?;
        free_buf(buf)
    })
}

/// # Safety
/// Pointers are NULL, or places to write to or to read from.
unsafe fn get_buf_chain_num(headBuf: *mut c_void, num: *mut u32) -> Result<(), aclError> {
    not_null(headBuf, "headBuf")?;
    not_null(num, "num")?;
    has_buffers()?;
    // SAFETY: [caller] not NULL, and the caller passes a place to write to.
    unsafe { num.write(buffer::chain_len(headBuf)? as u32) };
    Ok(())
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetBufChainNum(headBuf: aclrtMbuf, num: *mut u32) -> aclError {
    call!("aclrtGetBufChainNum", || {
        // SAFETY: [caller] same contract.
        unsafe { get_buf_chain_num(headBuf, num) }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetBufChainNum(headBuf: acltdtBuf, num: *mut u32) -> aclError {
    call!("acltdtGetBufChainNum", || {
        supported(has_shared_buffers())?;
        // SAFETY: [caller] same contract.
        unsafe { get_buf_chain_num(headBuf, num) }
    })
}

/// # Safety
/// Pointers are NULL, or places to write to or to read from.
unsafe fn get_buf_data(
    buf: *mut c_void,
    dataPtr: *mut *mut c_void,
    size: *mut usize,
) -> Result<(), aclError> {
    not_null(buf, "buf")?;
    not_null(dataPtr, "dataPtr")?;
    not_null(size, "size")?;
    has_buffers()?;
    let (pointer, room) = buffer::lookup(buf)?.data();
    // SAFETY: [caller] not NULL, and the caller passes places to write to.
    unsafe {
        dataPtr.write(pointer);
        size.write(room);
    }
    Ok(())
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetBufData(
    buf: aclrtMbuf,
    dataPtr: *mut *mut c_void,
    size: *mut usize,
) -> aclError {
    call!("aclrtGetBufData", || {
        // SAFETY: [caller] same contract.
        unsafe { get_buf_data(buf, dataPtr, size) }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetBufData(
    buf: acltdtBuf,
    dataPtr: *mut *mut c_void,
    size: *mut usize,
) -> aclError {
    call!("acltdtGetBufData", || {
        supported(has_shared_buffers())?;
        // SAFETY: [caller] same contract.
        unsafe { get_buf_data(buf, dataPtr, size) }
    })
}

/// # Safety
/// Pointers are NULL, or places to write to or to read from.
unsafe fn get_buf_data_len(buf: *mut c_void, len: *mut usize) -> Result<(), aclError> {
    not_null(buf, "buf")?;
    not_null(len, "len")?;
    has_buffers()?;
    // SAFETY: [caller] not NULL, and the caller passes a place to write to.
    unsafe { len.write(buffer::lookup(buf)?.len()) };
    Ok(())
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetBufDataLen(buf: aclrtMbuf, len: *mut usize) -> aclError {
    call!("aclrtGetBufDataLen", || {
        // SAFETY: [caller] same contract.
        unsafe { get_buf_data_len(buf, len) }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetBufDataLen(buf: acltdtBuf, len: *mut usize) -> aclError {
    call!("acltdtGetBufDataLen", || {
        supported(has_shared_buffers())?;
        // SAFETY: [caller] same contract.
        unsafe { get_buf_data_len(buf, len) }
    })
}

/// # Safety
/// Pointers are NULL, or places to write to or to read from.
unsafe fn get_buf_from_chain(
    headBuf: *mut c_void,
    index: u32,
    buf: *mut *mut c_void,
) -> Result<(), aclError> {
    not_null(headBuf, "headBuf")?;
    not_null(buf, "buf")?;
    has_buffers()?;
    // SAFETY: [caller] not NULL, and the caller passes a place to write to.
    unsafe { buf.write(buffer::from_chain(headBuf, index as usize)?) };
    Ok(())
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetBufFromChain(headBuf: aclrtMbuf, index: u32, buf: *mut aclrtMbuf) -> aclError {
    call!("aclrtGetBufFromChain", || {
        // SAFETY: [caller] same contract.
        unsafe { get_buf_from_chain(headBuf, index, buf) }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetBufFromChain(headBuf: acltdtBuf, index: u32, buf: *mut acltdtBuf) -> aclError {
    call!("acltdtGetBufFromChain", || {
        supported(has_shared_buffers())?;
        // SAFETY: [caller] same contract.
        unsafe { get_buf_from_chain(headBuf, index, buf) }
    })
}

/// # Safety
/// Pointers are NULL, or places to write to or to read from.
unsafe fn get_buf_user_data(
    buf: *mut c_void,
    dataPtr: *mut c_void,
    size: usize,
    offset: usize,
) -> Result<(), aclError> {
    check_user_data(size, offset)?;
    not_null(buf, "buf")?;
    not_null(dataPtr, "dataPtr")?;
    has_buffers()?;
    let user = buffer::lookup(buf)?.user_data();
    // SAFETY: [caller] the caller passes room for `size` bytes, and so many are there: checked.
    unsafe { libc::memcpy(dataPtr, user.as_ptr().add(offset).cast(), size) };
    Ok(())
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetBufUserData(
    buf: aclrtMbuf,
    dataPtr: *mut c_void,
    size: usize,
    offset: usize,
) -> aclError {
    call!("aclrtGetBufUserData", || {
        // SAFETY: [caller] same contract.
        unsafe { get_buf_user_data(buf, dataPtr, size, offset) }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetBufUserData(
    buf: acltdtBuf,
    dataPtr: *mut c_void,
    size: usize,
    offset: usize,
) -> aclError {
    call!("acltdtGetBufUserData", || {
        supported(has_shared_buffers())?;
        // SAFETY: [caller] same contract.
        unsafe { get_buf_user_data(buf, dataPtr, size, offset) }
    })
}

fn set_buf_data_len(buf: *mut c_void, len: usize) -> Result<(), aclError> {
    not_null(buf, "buf")?;
    has_buffers()?;
    buffer::lookup(buf)?.set_len(len)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetBufDataLen(buf: aclrtMbuf, len: usize) -> aclError {
    call!("aclrtSetBufDataLen", || { set_buf_data_len(buf, len) })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtSetBufDataLen(buf: acltdtBuf, len: usize) -> aclError {
    call!("acltdtSetBufDataLen", || {
        supported(has_shared_buffers())?;
        set_buf_data_len(buf, len)
    })
}

/// # Safety
/// Pointers are NULL, or places to write to or to read from.
unsafe fn set_buf_user_data(
    buf: *mut c_void,
    dataPtr: *const c_void,
    size: usize,
    offset: usize,
) -> Result<(), aclError> {
    check_user_data(size, offset)?;
    not_null(buf, "buf")?;
    not_null(dataPtr, "dataPtr")?;
    has_buffers()?;
    let mut bytes = [0; USER_DATA];
    // SAFETY: [caller] the caller passes `size` bytes, and so many fit: checked.
    unsafe { libc::memcpy(bytes.as_mut_ptr().cast(), dataPtr, size) };
    buffer::lookup(buf)?.set_user_data(offset, &bytes[..size]);
    Ok(())
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetBufUserData(
    buf: aclrtMbuf,
    dataPtr: *const c_void,
    size: usize,
    offset: usize,
) -> aclError {
    call!("aclrtSetBufUserData", || {
        // SAFETY: [caller] same contract.
        unsafe { set_buf_user_data(buf, dataPtr, size, offset) }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtSetBufUserData(
    buf: acltdtBuf,
    dataPtr: *const c_void,
    size: usize,
    offset: usize,
) -> aclError {
    call!("acltdtSetBufUserData", || {
        supported(has_shared_buffers())?;
        // SAFETY: [caller] same contract.
        unsafe { set_buf_user_data(buf, dataPtr, size, offset) }
    })
}

pub(super) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtAllocBuf, aclrtAppendBufChain, aclrtCopyBufRef, aclrtFreeBuf, aclrtGetBufChainNum, aclrtGetBufData, aclrtGetBufDataLen, aclrtGetBufFromChain, aclrtGetBufUserData, aclrtSetBufDataLen, aclrtSetBufUserData, acltdtAllocBuf, acltdtAppendBufChain, acltdtCopyBufRef, acltdtFreeBuf, acltdtGetBufChainNum, acltdtGetBufData, acltdtGetBufDataLen, acltdtGetBufFromChain, acltdtGetBufUserData, acltdtSetBufDataLen, acltdtSetBufUserData,
    );
}
