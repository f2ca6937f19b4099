//! Tensor channels.

use core::ffi::{CStr, c_char};
use std::ptr;

use ascendcl_sys::{AclApi, aclError, acltdtChannelHandle, acltdtDataset};

use super::{call, call_or, fill, not_null};
use crate::core::process;
use crate::queue::{channel, dataset};

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtCreateChannel(deviceId: u32, name: *const c_char) -> *mut acltdtChannelHandle {
    call_or!("acltdtCreateChannel", |_| ptr::null_mut(), || {
        let made = not_null(name, "name").and_then(|()| {
            process::device(i32::try_from(deviceId).unwrap_or(-1))?;
            // SAFETY: [caller] not NULL, and the caller passes a C string.
            channel::create_directed(&unsafe { CStr::from_ptr(name) }.to_string_lossy())
        });
        made.map_or(ptr::null_mut(), |handle| handle.cast())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtCreateChannelWithCapacity(
    deviceId: u32,
    name: *const c_char,
    capacity: usize,
) -> *mut acltdtChannelHandle {
    call_or!("acltdtCreateChannelWithCapacity", |_| ptr::null_mut(), || {
        let made = not_null(name, "name").and_then(|()| {
            // SAFETY: [caller] not NULL, and the caller passes a C string.
            let name = unsafe { CStr::from_ptr(name) }.to_bytes();
            channel::check_name(name)?;
            let device = process::device(i32::try_from(deviceId).unwrap_or(-1))?;
            channel::create_queue(device.id(), name, capacity)
        });
        made.map_or(ptr::null_mut(), |handle| handle.cast())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtStopChannel(handle: *mut acltdtChannelHandle) -> aclError {
    call!("acltdtStopChannel", || {
        not_null(handle, "handle")?;
        channel::lookup(handle.cast())?.stop();
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtDestroyChannel(handle: *mut acltdtChannelHandle) -> aclError {
    call!("acltdtDestroyChannel", || {
        not_null(handle, "handle")?;
        channel::destroy(handle.cast())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtCleanChannel(handle: *mut acltdtChannelHandle) -> aclError {
    call!("acltdtCleanChannel", || {
        not_null(handle, "handle")?;
        channel::lookup(handle.cast())?.clear()
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtSendTensor(
    handle: *const acltdtChannelHandle,
    dataset: *const acltdtDataset,
    timeout: i32,
) -> aclError {
    call!("acltdtSendTensor", || {
        not_null(handle, "handle")?;
        not_null(dataset, "dataset")?;
        let (channel, dataset) = (channel::lookup(handle.cast())?, dataset::lookup(dataset.cast())?);
        // SAFETY: [caller] the caller vouches for the tensors it put into the dataset.
        unsafe { channel.send(&dataset, timeout) }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtReceiveTensor(
    handle: *const acltdtChannelHandle,
    dataset: *mut acltdtDataset,
    timeout: i32,
) -> aclError {
    call!("acltdtReceiveTensor", || {
        not_null(handle, "handle")?;
        not_null(dataset, "dataset")?;
        channel::lookup(handle.cast())?.receive(&*dataset::lookup(dataset.cast())?, timeout)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtQueryChannelSize(
    handle: *const acltdtChannelHandle,
    size: *mut usize,
) -> aclError {
    call!("acltdtQueryChannelSize", || {
        not_null(handle, "handle")?;
        not_null(size, "size")?;
        let len = channel::lookup(handle.cast())?.len()?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { size.write(len) };
        Ok(())
    })
}

pub(super) fn fill(api: &mut AclApi) {
    fill!(api:
        acltdtCreateChannel, acltdtCreateChannelWithCapacity, acltdtStopChannel, acltdtDestroyChannel,
        acltdtCleanChannel, acltdtSendTensor, acltdtReceiveTensor, acltdtQueryChannelSize,
    );
}
