//! Copies whose addresses lie in device memory.

use core::ffi::c_void;
use std::sync::Arc;

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtMemcpyKind, aclrtStream};

use super::copy::check_capacity;
use super::{call, fill, invalid, not_null};
use crate::core::task::Task;
use crate::core::{Named, Stream, current_context};
use crate::error::fail;
use crate::memory::{self, DESCRIPTOR, Indirect, Location, Place};

/// No copy inside a device is longer.
const LONGEST: usize = 4 << 30;
/// Offsets have 48 bits.
const FARTHEST: usize = 0xffff_ffff_ffff;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetMemcpyDescSize(kind: aclrtMemcpyKind, descSize: *mut usize) -> aclError {
    call!("aclrtGetMemcpyDescSize", || {
        not_null(descSize, "descSize")?;
        check_kind(kind)?;
        check_inner(kind)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { descSize.write(DESCRIPTOR) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetMemcpyDesc(
    desc: *mut c_void,
    kind: aclrtMemcpyKind,
    srcAddr: *mut c_void,
    dstAddr: *mut c_void,
    count: usize,
    config: *mut c_void,
) -> aclError {
    call!("aclrtSetMemcpyDesc", || {
        not_null(desc, "desc")?;
        check_kind(kind)?;
        not_null(srcAddr, "srcAddr")?;
        not_null(dstAddr, "dstAddr")?;
        if count == 0 {
            return Err(invalid("count must not be 0"));
        }
        if !config.is_null() {
            return Err(invalid("config must be NULL"));
        }
        check_inner(kind)?;
        if count > LONGEST {
            return Err(wrong(format_args!("{count} bytes are more than {LONGEST}")));
        }
        check_descriptor(desc)?;
        let (to, from) = (memory::classify(dstAddr), memory::classify(srcAddr));
        if to != from || !matches!(to, Location::Device(_)) {
            return Err(wrong(format_args!(
                "a descriptor is for copies inside one device, not from {from} to {to}"
            )));
        }
        current_context()?;
        let place = memory::device_range(desc, DESCRIPTOR)?;
        Place::Device(place).write(&memory::descriptor(dstAddr, srcAddr, count))
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemcpyAsyncWithDesc(
    desc: *mut c_void,
    kind: aclrtMemcpyKind,
    stream: aclrtStream,
) -> aclError {
    call!("aclrtMemcpyAsyncWithDesc", || {
        not_null(desc, "desc")?;
        check_kind(kind)?;
        not_null(stream, "stream")?;
        let stream = Named::new(stream)?;
        check_inner(kind)?;
        check_descriptor(desc)?;
        let stream = stream.of(&*current_context()?)?;
        let descriptor = Place::Device(memory::device_range(desc, DESCRIPTOR)?);
        queue(&stream, Indirect::Described { descriptor })
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemcpyAsyncWithOffset(
    dst: *mut *mut c_void,
    destMax: usize,
    dstDataOffset: usize,
    src: *mut *const c_void,
    count: usize,
    srcDataOffset: usize,
    kind: aclrtMemcpyKind,
    stream: aclrtStream,
) -> aclError {
    call!("aclrtMemcpyAsyncWithOffset", || {
        if count == 0 {
            return Ok(());
        }
        if kind != sys::ACL_MEMCPY_INNER_DEVICE_TO_DEVICE {
            return Err(wrong(format_args!("copy kind {} is not the one inside a device", kind.0)));
        }
        let stream = Named::new(stream)?;
        if dst.is_null() || src.is_null() {
            return Err(wrong(format_args!("dst and src must not be NULL")));
        }
        check_capacity(destMax, count)?;
        if count > LONGEST {
            return Err(wrong(format_args!("{count} bytes are more than {LONGEST}")));
        }
        if srcDataOffset > FARTHEST || dstDataOffset > FARTHEST {
            return Err(wrong(format_args!("an offset is larger than {FARTHEST:#x}")));
        }
        if dstDataOffset >= destMax || count > destMax - dstDataOffset {
            return Err(wrong(format_args!(
                "{count} bytes at offset {dstDataOffset} do not fit into {destMax} bytes"
            )));
        }
        let stream = stream.of(&*current_context()?)?;
        // The addresses of the data are read from device memory when the copy runs.
        let to = Place::Device(memory::device_range(dst.cast(), size_of::<u64>())?);
        let from = Place::Device(memory::device_range(src.cast(), size_of::<u64>())?);
        let (to_offset, from_offset) = (dstDataOffset, srcDataOffset);
        queue(&stream, Indirect::Cells { to, to_offset, from, from_offset, len: count })
    })
}

fn queue(stream: &Arc<Stream>, copy: Indirect) -> Result<(), aclError> {
    stream.push(Task::Work { operation: "copy", work: Arc::new(move || copy.run()) })
}

fn check_kind(kind: aclrtMemcpyKind) -> Result<(), aclError> {
    if kind.0 > sys::ACL_MEMCPY_INTER_DEVICE_TO_DEVICE.0 {
        return Err(invalid(format_args!("copy kind {} is unknown", kind.0)));
    }
    Ok(())
}

fn check_inner(kind: aclrtMemcpyKind) -> Result<(), aclError> {
    if kind != sys::ACL_MEMCPY_INNER_DEVICE_TO_DEVICE {
        return Err(fail(
            sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
            format_args!("there are descriptors for copies inside a device only, not for kind {}", kind.0),
        ));
    }
    Ok(())
}

fn check_descriptor(desc: *mut c_void) -> Result<(), aclError> {
    if !desc.addr().is_multiple_of(64) {
        return Err(wrong(format_args!("the descriptor {desc:p} is not aligned to 64 bytes")));
    }
    match memory::classify(desc) {
        Location::Device(_) => Ok(()),
        other => Err(wrong(format_args!("the descriptor {desc:p} is {other}, not device memory"))),
    }
}

fn wrong(what: std::fmt::Arguments<'_>) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtGetMemcpyDescSize, aclrtSetMemcpyDesc, aclrtMemcpyAsyncWithDesc, aclrtMemcpyAsyncWithOffset,
    );
}
