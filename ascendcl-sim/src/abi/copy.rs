//! Copies.

use core::ffi::c_void;

use std::sync::Arc;

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtMemcpyKind, aclrtStream};

use super::{call, fill, invalid, not_null};
use crate::core::instance::check_unsafe;
use crate::core::task::Task;
use crate::core::{Named, Stream, current_context};
use crate::error::{SUCCESS, fail};
use crate::memory::{self, Direction, Ends, Shape, Staged, Transfer};

/// Limits of two-dimensional copies.
const WIDEST: usize = 5_000_000;
const HIGHEST: usize = 5_242_880;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemcpy(
    dst: *mut c_void,
    destMax: usize,
    src: *const c_void,
    count: usize,
    kind: aclrtMemcpyKind,
) -> aclError {
    call!("aclrtMemcpy", || {
        // Before anything else, also before the pointers.
        if count == 0 {
            return Ok(());
        }
        let ends = check(dst, src, kind)?;
        check_capacity(destMax, count)?;
        if dst.cast_const() == src {
            return Ok(());
        }
        let context = current_context()?;
        check_unsafe(&context)?;
        // SAFETY: [caller] the caller passes memory as large as it says.
        unsafe { memory::copy_blocking(context.device(), ends, Shape::row(count)) }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemcpyAsync(
    dst: *mut c_void,
    destMax: usize,
    src: *const c_void,
    count: usize,
    kind: aclrtMemcpyKind,
    stream: aclrtStream,
) -> aclError {
    // SAFETY: [caller] same contract.
    call!("aclrtMemcpyAsync", || unsafe { copy_async(dst, destMax, src, count, kind, stream) })
}

/// Drivers know pinned memory from plain one everywhere now: nothing is left of the condition.
#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemcpyAsyncWithCondition(
    dst: *mut c_void,
    destMax: usize,
    src: *const c_void,
    count: usize,
    kind: aclrtMemcpyKind,
    stream: aclrtStream,
) -> aclError {
    call!("aclrtMemcpyAsyncWithCondition", || {
        // SAFETY: [caller] same contract.
        unsafe { copy_async(dst, destMax, src, count, kind, stream) }
    })
}

/// # Safety
/// `dst` and `src` are as large as the caller says.
unsafe fn copy_async(
    dst: *mut c_void,
    destMax: usize,
    src: *const c_void,
    count: usize,
    kind: aclrtMemcpyKind,
    stream: aclrtStream,
) -> Result<(), aclError> {
    if count == 0 {
        return Ok(());
    }
    let ends = check(dst, src, kind)?;
    let stream = Named::new(stream)?;
    check_capacity(destMax, count)?;
    let context = current_context()?;
    let copy = ends.resolve(kind)?;
    if copy.direction == Direction::HostToHost {
        return Err(fail(
            sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
            "a copy between host addresses cannot be asynchronous",
        ));
    }
    if dst.cast_const() == src {
        return Ok(());
    }
    let shape = Shape::row(count);
    if copy.pageable {
        // SAFETY: [caller] same contract.
        return unsafe { copy_pageable(&stream.any(&context), ends, shape) };
    }
    let stream = stream.of(&context)?;
    if kind == sys::ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE {
        // SAFETY: [caller] same contract.
        let staged = unsafe { Staged::plan(stream.device(), ends, count) }?;
        return stream.push(Task::Work { operation: "staged copy", work: Arc::new(move || staged.run()) });
    }
    stream.push(Task::Copy(Transfer::plan(stream.device(), copy.located, shape)?))
}

/// A copy from or to plain host memory is never asynchronous: what the stream has comes first, then it is carried out here.
///
/// # Safety
/// `ends` are as large as `shape` says.
pub(super) unsafe fn copy_pageable(stream: &Arc<Stream>, ends: Ends, shape: Shape) -> Result<(), aclError> {
    check_blocking(stream)?;
    // The stream's own error, if it has one, comes first and nothing is copied.
    match stream.synchronize(None) {
        SUCCESS => {}
        code => return Err(code),
    }
    // SAFETY: [caller] same contract.
    unsafe { memory::copy_blocking(stream.device(), ends, shape) }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemcpy2d(
    dst: *mut c_void,
    dpitch: usize,
    src: *const c_void,
    spitch: usize,
    width: usize,
    height: usize,
    kind: aclrtMemcpyKind,
) -> aclError {
    call!("aclrtMemcpy2d", || {
        if width == 0 || height == 0 {
            return Ok(());
        }
        let (ends, shape) = check_2d(dst, dpitch, src, spitch, width, height, kind)?;
        check_2d_limits(shape)?;
        if kind == sys::ACL_MEMCPY_DEVICE_TO_DEVICE {
            return Err(fail(
                sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
                "a blocking two-dimensional copy goes between host and device only",
            ));
        }
        let context = current_context()?;
        let direction = ends.resolve(kind)?.direction;
        check_2d_direction(direction, &[Direction::HostToDevice, Direction::DeviceToHost])?;
        check_unsafe(&context)?;
        // SAFETY: [caller] the caller passes memory as large as it says.
        unsafe { memory::copy_blocking(context.device(), ends, shape) }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemcpy2dAsync(
    dst: *mut c_void,
    dpitch: usize,
    src: *const c_void,
    spitch: usize,
    width: usize,
    height: usize,
    kind: aclrtMemcpyKind,
    stream: aclrtStream,
) -> aclError {
    call!("aclrtMemcpy2dAsync", || {
        if width == 0 || height == 0 {
            return Ok(());
        }
        let (ends, shape) = check_2d(dst, dpitch, src, spitch, width, height, kind)?;
        let stream = Named::new(stream)?;
        check_2d_limits(shape)?;
        let context = current_context()?;
        let copy = ends.resolve(kind)?;
        check_2d_direction(
            copy.direction,
            &[Direction::HostToDevice, Direction::DeviceToHost, Direction::DeviceToDevice],
        )?;
        if copy.direction == Direction::DeviceToDevice && !context.device().profile().features.device_copy_2d
        {
            return Err(fail(
                sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
                "this chip has no two-dimensional copies inside the device",
            ));
        }
        if copy.pageable {
            // SAFETY: [caller] the caller passes memory as large as it says.
            return unsafe { copy_pageable(&stream.any(&context), ends, shape) };
        }
        let stream = stream.of(&context)?;
        stream.push(Task::Copy(Transfer::plan(stream.device(), copy.located, shape)?))
    })
}

/// A copy that was to be asynchronous and is not: 107000 on a capturing stream, 107041 next to one that forbids it.
fn check_blocking(stream: &Stream) -> Result<(), aclError> {
    if stream.intake().capturing().is_some() {
        return Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            "a copy from or to plain host memory cannot be captured: use memory of aclrtMallocHost",
        ));
    }
    let forbidden = |_| {
        fail(
            sys::ACL_ERROR_RT_CAPTURE_MODE_BLOCK_ASYNC,
            "a copy from or to plain host memory blocks, which a capture under way forbids",
        )
    };
    check_unsafe(&*current_context()?).map_err(forbidden)
}

fn check(dst: *mut c_void, src: *const c_void, kind: aclrtMemcpyKind) -> Result<Ends, aclError> {
    not_null(dst, "dst")?;
    not_null(src, "src")?;
    if kind.0 > sys::ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE.0 {
        return Err(invalid(format_args!("copy kind {} is unknown", kind.0)));
    }
    Ok(Ends { to: dst, from: src })
}

pub(super) fn check_capacity(capacity: usize, count: usize) -> Result<(), aclError> {
    if count > capacity {
        return Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("{count} bytes do not fit into {capacity} bytes"),
        ));
    }
    Ok(())
}

fn check_2d(
    dst: *mut c_void,
    dpitch: usize,
    src: *const c_void,
    spitch: usize,
    width: usize,
    height: usize,
    kind: aclrtMemcpyKind,
) -> Result<(Ends, Shape), aclError> {
    not_null(dst, "dst")?;
    not_null(src, "src")?;
    if width > dpitch || width > spitch {
        return Err(invalid(format_args!(
            "rows of {width} bytes are wider than the pitches, {dpitch} and {spitch}"
        )));
    }
    match kind {
        sys::ACL_MEMCPY_HOST_TO_DEVICE
        | sys::ACL_MEMCPY_DEVICE_TO_HOST
        | sys::ACL_MEMCPY_DEVICE_TO_DEVICE
        | sys::ACL_MEMCPY_DEFAULT => {}
        _ => return Err(invalid(format_args!("copy kind {} is not possible in two dimensions", kind.0))),
    }
    Ok((Ends { to: dst, from: src }, Shape { width, height, to_pitch: dpitch, from_pitch: spitch }))
}

fn check_2d_limits(shape: Shape) -> Result<(), aclError> {
    let Shape { width, height, .. } = shape;
    if height > HIGHEST || width > WIDEST {
        return Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("{height} rows of {width} bytes are more than {HIGHEST} rows of {WIDEST} bytes"),
        ));
    }
    Ok(())
}

fn check_2d_direction(direction: Direction, possible: &[Direction]) -> Result<(), aclError> {
    if possible.contains(&direction) {
        return Ok(());
    }
    Err(fail(
        sys::ACL_ERROR_RT_PARAM_INVALID,
        format_args!("these addresses make it a copy {direction:?}, not possible in two dimensions"),
    ))
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtMemcpy, aclrtMemcpyAsync, aclrtMemcpyAsyncWithCondition, aclrtMemcpy2d, aclrtMemcpy2dAsync,
    );
}
