//! Filling memory.

use core::ffi::c_void;
use std::sync::Arc;

use ascendcl_sys::{AclApi, aclError, aclrtStream};

use super::copy::check_capacity;
use super::{call, fill, invalid, not_null};
use crate::check::Access;
use crate::core::instance::check_unsafe;
use crate::core::task::Task;
use crate::core::{Named, current_context};
use crate::memory::{self, Location, Place};

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemset(devPtr: *mut c_void, maxCount: usize, value: i32, count: usize) -> aclError {
    call!("aclrtMemset", || {
        if count == 0 {
            return Ok(());
        }
        not_null(devPtr, "devPtr")?;
        let context = current_context()?;
        check_capacity(maxCount, count)?;
        check_unsafe(&context)?;
        if memory::classify(devPtr) == Location::Unregistered {
            // SAFETY: [caller] the caller passes memory as large as it says.
            unsafe { fill_host(devPtr, value, count) }
        } else {
            memory::fill(&memory::fill_target(context.device(), devPtr, count)?, value as u8)
        }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemsetAsync(
    devPtr: *mut c_void,
    maxCount: usize,
    value: i32,
    count: usize,
    stream: aclrtStream,
) -> aclError {
    call!("aclrtMemsetAsync", || {
        if count == 0 {
            return Ok(());
        }
        not_null(devPtr, "devPtr")?;
        let stream = Named::new(stream)?;
        check_capacity(maxCount, count)?;
        let context = current_context()?;
        let stream = stream.of(&context)?;
        // Host memory is filled by the call itself, whatever the stream still has to do.
        if matches!(memory::classify(devPtr), Location::Pinned | Location::Unregistered) {
            // SAFETY: [caller] the caller passes memory as large as it says.
            return unsafe { fill_host(devPtr, value, count) };
        }
        let place = memory::fill_target(stream.device(), devPtr, count)?;
        stream.push(Task::Set { place, byte: value as u8 })
    })
}

/// # Safety
/// `pointer` is tracked memory, or host memory that can be written for `count` bytes.
unsafe fn fill_host(pointer: *mut c_void, value: i32, count: usize) -> Result<(), aclError> {
    if memory::classify(pointer) == Location::Unregistered {
        memory::report_host_fill(pointer);
    }
    // SAFETY: [caller] same contract.
    let opened = unsafe { memory::open(pointer, count, Access::WRITE) }?;
    // SAFETY: [caller] same contract.
    unsafe { opened.fill(value as u8, count) };
    Ok(())
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemsetD32(ptr: *mut c_void, memSize: usize, value: u32, N: usize) -> aclError {
    call!("aclrtMemsetD32", || {
        let Some(len) = check_words(ptr, memSize, N)? else { return Ok(()) };
        let context = current_context()?;
        check_unsafe(&context)?;
        fill_words(&memory::fill_target(context.device(), ptr, len)?, value)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemsetD32Async(
    ptr: *mut c_void,
    memSize: usize,
    value: u32,
    N: usize,
    stream: aclrtStream,
) -> aclError {
    call!("aclrtMemsetD32Async", || {
        let Some(len) = check_words(ptr, memSize, N)? else { return Ok(()) };
        let stream = Named::new(stream)?;
        let context = current_context()?;
        // As for bytes: host memory is filled by the call itself, and the stream is not even looked at.
        if memory::classify(ptr) == Location::Pinned {
            return fill_words(&memory::fill_target(context.device(), ptr, len)?, value);
        }
        let stream = stream.of(&context)?;
        let place = memory::fill_target(stream.device(), ptr, len)?;
        stream.push(Task::Work { operation: "memset", work: Arc::new(move || fill_words(&place, value)) })
    })
}

/// The checks of the upper layer: the bytes to fill, `None` if there are none.
fn check_words(pointer: *mut c_void, size: usize, count: usize) -> Result<Option<usize>, aclError> {
    if count == 0 {
        return Ok(None);
    }
    not_null(pointer, "ptr")?;
    if !pointer.addr().is_multiple_of(4) {
        return Err(invalid(format_args!("{pointer:p} is not aligned to 4 bytes")));
    }
    let len = count
        .checked_mul(4)
        .filter(|&len| len <= size)
        .ok_or_else(|| invalid(format_args!("{count} words do not fit into {size} bytes")))?;
    match memory::classify(pointer) {
        Location::Device(_) | Location::Pinned => Ok(Some(len)),
        other => Err(invalid(format_args!("{pointer:p} is {other}, which this function does not fill"))),
    }
}

fn fill_words(place: &Place, word: u32) -> Result<(), aclError> {
    let opened = place.open(Access::WRITE)?;
    // SAFETY: [caller] a place is as long as it says.
    unsafe { opened.fill_words(word, place.len() / 4) };
    Ok(())
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api: aclrtMemset, aclrtMemsetAsync, aclrtMemsetD32, aclrtMemsetD32Async);
}
