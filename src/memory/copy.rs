//! Copies that this thread waits for, and copies within devices.

use super::{DeviceCopy, DeviceMemory, DeviceView, check_len};
use crate::{Context, Device, Error, Result, Stream, limbo::keep_for_ever, runtime::acl};
use ascendcl_sys as sys;
use core::ffi::c_void;
use std::sync::Arc;

/// What must have as many elements as what.
const SLICE: &str = "elements in the slice, as many as in the device memory";
const SOURCE: &str = "elements in the source, as many as in the target";

/// Copies, and waits. Not ordered with what is queued on streams. `device` is the memory that lies on devices.
///
/// A slice that the caller borrowed goes back to it also when the copy failed with a code that does not say whether anything was done. ACL does this
/// copy in one call of the driver, without a task on a stream: the host's pages are held for that call, and the driver lets go of them before it
/// answers, whatever it answers. Host memory that this crate owns, and device memory, is not trusted even to that.
///
/// # Safety
///
/// `dst` and `src` must be valid for `bytes` bytes on the sides that `kind` says.
#[inline]
unsafe fn copy(
    context: &Context,
    (dst, capacity): (*mut c_void, usize),
    src: *const c_void,
    bytes: usize,
    kind: sys::aclrtMemcpyKind,
    device: &[&Arc<DeviceMemory>],
) -> Result<()> {
    // Size 0 never reaches ACL: releases differ in what they answer.
    if bytes == 0 {
        return Ok(());
    }
    context.bind("aclrtMemcpy")?;
    // SAFETY: [caller, place] by contract of this function; ACL returns when the copy is done, so that the memory is only used during the call.
    let result = unsafe { acl!(context, aclrtMemcpy(dst, capacity, src, bytes, kind)) };
    leak_unless_settled(result, device)
}

/// After a failure that does not say whether the device is done with the memory, the memory is never freed.
#[inline]
pub(super) fn leak_unless_settled(result: Result<()>, device: &[&Arc<DeviceMemory>]) -> Result<()> {
    if let Err(error) = &result {
        leak_unless_refused(error, device);
    }
    result
}

#[cold]
fn leak_unless_refused(error: &Error, device: &[&Arc<DeviceMemory>]) {
    if !error.is_refusal() {
        device.iter().for_each(|&memory| keep_for_ever(memory.clone()));
    }
}

impl<T: DeviceCopy> DeviceView<T> {
    /// Copies `values` to the device, and waits for that. Streams that have work queued on this memory are not waited for.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the lengths differ.
    #[doc(alias = "aclrtMemcpy")]
    pub fn copy_from_slice(&self, values: &[T]) -> Result<()> {
        check_len("aclrtMemcpy", SLICE, self.len(), values.len())?;
        // SAFETY: [place] both sides hold `len` values; the slice is borrowed for the call.
        unsafe {
            copy(
                self.context(),
                (self.as_raw(), self.capacity()),
                values.as_ptr().cast(),
                self.byte_len(),
                sys::ACL_MEMCPY_HOST_TO_DEVICE,
                &[self.memory()],
            )
        }
    }

    /// Copies from the device into `values`, and waits for that. Streams that have work queued on this memory are not waited for.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the lengths differ.
    #[doc(alias = "aclrtMemcpy")]
    pub fn copy_to_slice(&self, values: &mut [T]) -> Result<()> {
        check_len("aclrtMemcpy", SLICE, self.len(), values.len())?;
        // SAFETY: [place, bits] both sides hold `len` values, any bit pattern is one, and the slice is borrowed exclusively for the call.
        unsafe {
            copy(
                self.context(),
                (values.as_mut_ptr().cast(), self.byte_len()),
                self.as_raw(),
                self.byte_len(),
                sys::ACL_MEMCPY_DEVICE_TO_HOST,
                &[self.memory()],
            )
        }
    }

    /// Copies from the device into a new vector.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::InCallback`] inside a callback.
    #[doc(alias = "aclrtMemcpy")]
    pub fn to_vec(&self) -> Result<Vec<T>> {
        let mut values = Vec::<T>::with_capacity(self.len());
        // SAFETY: [memory] the vector has room for `len` values.
        let result = unsafe {
            copy(
                self.context(),
                (values.as_mut_ptr().cast(), self.byte_len()),
                self.as_raw(),
                self.byte_len(),
                sys::ACL_MEMCPY_DEVICE_TO_HOST,
                &[self.memory()],
            )
        };
        if let Err(error) = result {
            // The device may be writing to it still, unless it never began.
            if !error.is_refusal() {
                keep_for_ever(values);
            }
            return Err(error);
        }
        // SAFETY: [memory, bits] the copy succeeded, so all bytes are written, and any bit pattern is a value.
        unsafe { values.set_len(self.len()) };
        Ok(values)
    }

    /// Copies from other device memory, and waits for that. Between two devices, access must be
    /// [enabled](crate::Device::enable_peer_access) first, for this device to the other.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the lengths differ, [`Error::Mismatch`] if they belong to different backends.
    #[doc(alias = "aclrtMemcpy")]
    pub fn copy_from(&self, source: &DeviceView<T>) -> Result<()> {
        check_len("aclrtMemcpy", SOURCE, self.len(), source.len())?;
        self.context().check_backend("aclrtMemcpy", "memory", source.context())?;
        // SAFETY: [handle] both sides hold `len` values on devices of this backend, and both are alive for the call.
        unsafe {
            copy(
                self.context(),
                (self.as_raw(), self.capacity()),
                source.as_raw(),
                self.byte_len(),
                sys::ACL_MEMCPY_DEVICE_TO_DEVICE,
                &[self.memory(), source.memory()],
            )
        }
    }

    /// Sets every byte, and waits for that.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::InCallback`] inside a callback.
    #[doc(alias = "aclrtMemset")]
    pub fn memset(&self, byte: u8) -> Result<()> {
        if self.byte_len() == 0 {
            return Ok(());
        }
        self.context().bind("aclrtMemset")?;
        // SAFETY: [handle, bits] the range is alive, and any bit pattern is a value.
        let result = unsafe {
            acl!(
                self.context(),
                aclrtMemset(self.as_raw(), self.capacity(), i32::from(byte), self.byte_len())
            )
        };
        leak_unless_settled(result, &[self.memory()])
    }
}

impl Stream {
    /// Enqueues a copy from device memory to device memory. Both stay alive until it is done. Between two devices, access must be
    /// [enabled](crate::Device::enable_peer_access) first.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the lengths differ, [`Error::Mismatch`] if neither is on the stream's device, or one belongs to another
    /// backend.
    #[doc(alias = "aclrtMemcpyAsync")]
    pub fn copy<T: DeviceCopy>(&self, from: &DeviceView<T>, to: &DeviceView<T>) -> Result<()> {
        const OP: &str = "aclrtMemcpyAsync";
        check_len(OP, SOURCE, to.len(), from.len())?;
        if to.byte_len() == 0 {
            return Ok(());
        }
        if from.context().device() != self.device() {
            self.check_memory(OP, to.context())?;
        }
        for memory in [from, to] {
            self.context().check_backend(OP, "memory", memory.context())?;
        }
        let result = self.enqueue(OP, |raw| {
            // SAFETY: [queued] both sides hold that many bytes, and are kept until the stream has passed the copy.
            unsafe {
                acl!(
                    self,
                    aclrtMemcpyAsync(
                        to.as_raw(),
                        to.capacity(),
                        from.as_raw(),
                        to.byte_len(),
                        sys::ACL_MEMCPY_DEVICE_TO_DEVICE,
                        raw
                    )
                )
            }
        });
        self.keep_unless_refused(result, [from.memory(), to.memory()], to.byte_len())
    }

    /// Enqueues setting every byte of device memory, which stays alive until that is done.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the memory is on another device than the stream.
    #[doc(alias = "aclrtMemsetAsync")]
    pub fn memset<T: DeviceCopy>(&self, memory: &DeviceView<T>, byte: u8) -> Result<()> {
        const OP: &str = "aclrtMemsetAsync";
        if memory.byte_len() == 0 {
            return Ok(());
        }
        self.check_memory(OP, memory.context())?;
        let result = self.enqueue(OP, |raw| {
            // SAFETY: [queued, bits] the range is kept until the stream has passed this; any bit pattern is a value.
            unsafe {
                acl!(
                    self,
                    aclrtMemsetAsync(
                        memory.as_raw(),
                        memory.capacity(),
                        i32::from(byte),
                        memory.byte_len(),
                        raw
                    )
                )
            }
        });
        self.keep_unless_refused(result, [memory.memory()], memory.byte_len())
    }

    /// Refuses memory of another device.
    #[inline]
    pub(crate) fn check_memory(&self, op: &'static str, memory: &Context) -> Result<()> {
        let (memory, stream) = (memory.device(), self.device());
        if memory == stream { Ok(()) } else { Err(elsewhere(op, memory, stream)) }
    }
}

#[cold]
fn elsewhere(op: &'static str, memory: &Device, stream: &Device) -> Error {
    let what = format!("the memory is on device {}, the stream on device {}", memory.id(), stream.id());
    Error::Mismatch { op, what }
}
