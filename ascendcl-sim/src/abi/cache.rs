//! Operations on the cache of a device. The simulator has no cache: they only find their memory alive.

use core::ffi::c_void;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError, aclrtBarrierTaskInfo, aclrtCmoType, aclrtStream};

use super::{functions, invalid, not_null};
use crate::check::{Access, supported};
use crate::core::task::Task;
use crate::core::{Named, Stream, current_context};
use crate::error::fail;
use crate::memory::{self, DeviceRange, Place};

/// Bytes of a description.
const DESCRIPTION: usize = 32;
/// The first word of a description that was set.
const MAGIC: u64 = 0x5e7_cac4_ede5_c001;

fn wrong(what: std::fmt::Arguments<'_>) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

/// NULL is 107000 here.
fn some<T>(pointer: *const T, name: &str) -> Result<(), aclError> {
    if pointer.is_null() { Err(wrong(format_args!("{name} must not be NULL"))) } else { Ok(()) }
}

fn check_type(kind: aclrtCmoType, code: aclError) -> Result<(), aclError> {
    if kind.0 <= sys::ACL_RT_CMO_TYPE_FLUSH.0 {
        return Ok(());
    }
    Err(fail(code, format_args!("cache operation {} is unknown", kind.0)))
}

/// Barriers and descriptions are for work that is put together to run later: 507000 for other streams.
fn check_in_model(stream: &Stream) -> Result<(), aclError> {
    if stream.intake().capturing().is_some() || stream.held().is_some_and(|lane| lane.is_bound()) {
        return Ok(());
    }
    Err(fail(
        sys::ACL_ERROR_RT_INTERNAL_ERROR,
        format_args!("stream {} is not bound to a model and does not capture", stream.id()),
    ))
}

/// Queues an operation, which reads as far as others are concerned.
fn queue(stream: &Arc<Stream>, range: DeviceRange) -> Result<(), aclError> {
    range.check_reach(stream.device(), "a cache operation")?;
    let work = Arc::new(move || range.open(Access::READ).map(drop));
    stream.push(Task::Work { operation: "cache operation", work })
}

functions! {
    status fn aclrtCmoAsync(src: *mut c_void, size: usize, cmoType: aclrtCmoType, stream: aclrtStream) {
        not_null(src, "src")?;
        if size == 0 {
            return Err(invalid("size must not be 0"));
        }
        check_type(cmoType, sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT)?;
        let stream = Named::new(stream)?;
        let context = current_context()?;
        let stream = stream.of(&context)?;
        queue(&stream, memory::device_range(src, size)?)
    }

    status fn aclrtCmoAsyncWithBarrier(
        src: *mut c_void, size: usize, cmoType: aclrtCmoType, barrierId: u32, stream: aclrtStream,
    ) {
        not_null(src, "src")?;
        supported()?;
        if size == 0 {
            return Err(wrong(format_args!("size must not be 0")));
        }
        check_type(cmoType, sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT)?;
        if (cmoType == sys::ACL_RT_CMO_TYPE_INVALID) == (barrierId == 0) {
            return Err(wrong(format_args!(
                "barrier {barrierId} is wrong: invalidation has a barrier, other operations have none"
            )));
        }
        let stream = Named::new(stream)?;
        let context = current_context()?;
        let stream = stream.of(&context)?;
        check_in_model(&stream)?;
        queue(&stream, memory::device_range(src, size)?)
    }

    status fn aclrtCmoWaitBarrier(taskInfo: *mut aclrtBarrierTaskInfo, stream: aclrtStream, flag: u32) {
        let _ = flag;
        not_null(taskInfo, "taskInfo")?;
        // SAFETY: [caller] not NULL, and the caller passes a description.
        let info = unsafe { taskInfo.read() };
        if info.barrierNum == 0 || info.barrierNum > info.cmoInfo.len() {
            return Err(invalid(format_args!("barrierNum {} is not in 1 to 6", info.barrierNum)));
        }
        for (index, barrier) in info.cmoInfo[..info.barrierNum].iter().enumerate() {
            if barrier.cmoType != sys::ACL_RT_CMO_TYPE_INVALID || barrier.barrierId == 0 {
                return Err(wrong(format_args!("cmoInfo[{index}] is not the barrier of an invalidation")));
            }
        }
        supported()?;
        let stream = Named::new(stream)?;
        let context = current_context()?;
        // A stream does one after the other, so what it waits for is done.
        let stream = stream.of(&context)?;
        check_in_model(&stream)?;
        stream.push(Task::Work { operation: "cache barrier", work: Arc::new(|| Ok(())) })
    }

    status fn aclrtCmoGetDescSize(size: *mut usize) {
        some(size, "size")?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { size.write(DESCRIPTION) };
        Ok(())
    }

    status fn aclrtCmoSetDesc(cmoDesc: *mut c_void, src: *mut c_void, size: usize) {
        some(cmoDesc, "cmoDesc")?;
        some(src, "src")?;
        if size == 0 {
            return Err(wrong(format_args!("size must not be 0")));
        }
        current_context()?;
        let place = memory::device_range(cmoDesc, DESCRIPTION)?;
        let mut bytes = [0; DESCRIPTION];
        let words = [MAGIC, size as u64, src.addr() as u64];
        for (at, word) in bytes.chunks_exact_mut(8).zip(words) {
            at.copy_from_slice(&word.to_le_bytes());
        }
        Place::Device(place).write(&bytes)
    }

    status fn aclrtCmoAsyncWithDesc(
        cmoDesc: *mut c_void, cmoType: aclrtCmoType, stream: aclrtStream, reserve: *const c_void,
    ) {
        if !reserve.is_null() {
            return Err(wrong(format_args!("reserve must be NULL")));
        }
        let stream = Named::new(stream)?;
        some(cmoDesc, "cmoDesc")?;
        check_type(cmoType, sys::ACL_ERROR_RT_PARAM_INVALID)?;
        let context = current_context()?;
        let stream = stream.of(&context)?;
        check_in_model(&stream)?;
        let description = Place::Device(memory::device_range(cmoDesc, DESCRIPTION)?);
        description.check_reach(stream.device(), "a cache operation")?;
        let work = move || {
            let bytes = description.read()?;
            let word = |index: usize| {
                let mut word = [0; 8];
                word.copy_from_slice(&bytes[index * 8..][..8]);
                u64::from_le_bytes(word)
            };
            let pointer: *const c_void = std::ptr::without_provenance(word(2) as usize);
            let range = memory::device_range(pointer, word(1) as usize).ok().filter(|_| word(0) == MAGIC);
            let range = range.ok_or_else(|| {
                let what = "a cache operation was told to use memory that is gone or was never described";
                fail(sys::ACL_ERROR_RT_SYS_DMA, what)
            })?;
            range.open(Access::READ).map(drop)
        };
        stream.push(Task::Work { operation: "cache operation", work: Arc::new(work) })
    }
}
