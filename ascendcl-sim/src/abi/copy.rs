//! Copies and memset.

use core::ffi::c_void;

use std::sync::Arc;

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtMemcpyKind, aclrtStream};

use super::{call, fill, invalid, not_null};
use crate::core::task::Task;
use crate::core::{current_context, resolve_stream};
use crate::error::{SUCCESS, fail};
use crate::memory::{self, Direction, Ends, Plan, Shape};

/// Limits of `aclrtMemcpy2dAsync`.
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
        let context = current_context()?;
        check_capacity(destMax, count)?;
        if dst.cast_const() == src {
            return Ok(());
        }
        // SAFETY: the caller passes memory as large as it says.
        unsafe { memory::copy_blocking(context.device(), ends, Shape::row(count), kind) }
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
    call!("aclrtMemcpyAsync", || {
        if count == 0 {
            return Ok(());
        }
        let ends = check(dst, src, kind)?;
        // SAFETY: same contract.
        unsafe {
            enqueue(ends, Shape::row(count), kind, stream, || check_capacity(destMax, count), |_| Ok(()))
        }
    })
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
        let ends = check_2d(dst, src, kind, false)?;
        let context = current_context()?;
        let shape = shape(dpitch, spitch, width, height)?;
        // SAFETY: the caller passes memory as large as it says.
        unsafe { memory::copy_blocking(context.device(), ends, shape, kind) }
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
        let inside = current_context()?.device().profile().features.device_copy_2d;
        let ends = check_2d(dst, src, kind, inside)?;
        if width > WIDEST || height > HIGHEST {
            return Err(fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                format_args!("{height} rows of {width} bytes are more than {HIGHEST} rows of {WIDEST} bytes"),
            ));
        }
        let shape = shape(dpitch, spitch, width, height)?;
        let allowed = |direction| {
            if direction == Direction::DeviceToDevice && !inside {
                return Err(invalid("this chip has no two-dimensional copies inside the device"));
            }
            Ok(())
        };
        // SAFETY: same contract.
        unsafe { enqueue(ends, shape, kind, stream, || Ok(()), allowed) }
    })
}

/// Queues a copy, or carries it out if one end is plain host memory.
///
/// # Safety
/// `ends` are as large as `shape` says.
unsafe fn enqueue(
    ends: Ends,
    shape: Shape,
    kind: aclrtMemcpyKind,
    stream: aclrtStream,
    check: impl FnOnce() -> Result<(), aclError>,
    allowed: impl FnOnce(Direction) -> Result<(), aclError>,
) -> Result<(), aclError> {
    let stream = resolve_stream(stream)?;
    check()?;
    // SAFETY: same contract.
    let (direction, plan) = unsafe { memory::plan(stream.device(), ends, shape, kind) }?;
    allowed(direction)?;
    match plan {
        Plan::Queued(transfer) => stream.push(Task::Copy(transfer)),
        Plan::Staged(staged) => {
            stream.push(Task::Work { operation: "staged copy", work: Arc::new(move || staged.run()) })
        }
        Plan::Blocking => {
            // The stream's own error, if it has one, comes first and nothing is copied.
            match stream.synchronize(None) {
                SUCCESS => {}
                code => return Err(code),
            }
            // SAFETY: same contract.
            unsafe { memory::copy_blocking(stream.device(), ends, shape, kind) }
        }
    }
}

fn check(dst: *mut c_void, src: *const c_void, kind: aclrtMemcpyKind) -> Result<Ends, aclError> {
    not_null(dst, "dst")?;
    not_null(src, "src")?;
    if kind.0 > sys::ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE.0 {
        return Err(invalid(format_args!("copy kind {} is unknown", kind.0)));
    }
    Ok(Ends { to: dst, from: src })
}

fn check_2d(
    dst: *mut c_void,
    src: *const c_void,
    kind: aclrtMemcpyKind,
    inside: bool,
) -> Result<Ends, aclError> {
    not_null(dst, "dst")?;
    not_null(src, "src")?;
    match kind {
        sys::ACL_MEMCPY_HOST_TO_DEVICE | sys::ACL_MEMCPY_DEVICE_TO_HOST => {}
        sys::ACL_MEMCPY_DEVICE_TO_DEVICE if inside => {}
        _ => {
            return Err(invalid(format_args!("copy kind {} is not possible in two dimensions here", kind.0)));
        }
    }
    Ok(Ends { to: dst, from: src })
}

fn check_capacity(capacity: usize, count: usize) -> Result<(), aclError> {
    if count > capacity {
        return Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("{count} bytes do not fit into {capacity} bytes"),
        ));
    }
    Ok(())
}

fn shape(to_pitch: usize, from_pitch: usize, width: usize, height: usize) -> Result<Shape, aclError> {
    if width > to_pitch || width > from_pitch {
        return Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("rows of {width} bytes are wider than the pitches, {to_pitch} and {from_pitch}"),
        ));
    }
    Ok(Shape { width, height, to_pitch, from_pitch })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemset(devPtr: *mut c_void, maxCount: usize, value: i32, count: usize) -> aclError {
    call!("aclrtMemset", || {
        not_null(devPtr, "devPtr")?;
        let context = current_context()?;
        check_capacity(maxCount, count)?;
        if count == 0 {
            return Ok(());
        }
        memory::fill(&memory::fill_target(context.device(), devPtr, count)?, value as u8)
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
        not_null(devPtr, "devPtr")?;
        let stream = resolve_stream(stream)?;
        check_capacity(maxCount, count)?;
        if count == 0 {
            return Ok(());
        }
        let place = memory::fill_target(stream.device(), devPtr, count)?;
        stream.push(Task::Set { place, byte: value as u8 })
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api: aclrtMemcpy, aclrtMemcpyAsync, aclrtMemcpy2d, aclrtMemcpy2dAsync, aclrtMemset, aclrtMemsetAsync);
}
