//! Copies that this thread waits for, and copies within devices.

use super::{DeviceCopy, DeviceMemory, DeviceView, check_backend, check_len};
use crate::{Context, Error, Result, Stream, runtime::acl, teardown::Kept};
use ascendcl_sys as sys;
use core::ffi::c_void;
use std::{mem, sync::Arc};

/// Copies, and waits. Not ordered with what is queued on streams. `device` is the memory that lies on devices.
///
/// # Safety
///
/// `dst` and `src` must be valid for `bytes` bytes on the sides that `kind` says.
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
    // SAFETY: by contract of this function; ACL returns when the copy is done, so that the memory is only used during the call.
    let result = unsafe { acl!(context, aclrtMemcpy(dst, capacity, src, bytes, kind)) };
    leak_unless_settled(result, device)
}

/// After a failure that does not say whether the device is done with the memory, the memory is never freed.
fn leak_unless_settled(result: Result<()>, device: &[&Arc<DeviceMemory>]) -> Result<()> {
    if result.as_ref().is_err_and(|error| !error.is_refusal()) {
        device.iter().for_each(|&memory| mem::forget(memory.clone()));
    }
    result
}

impl<T: DeviceCopy> DeviceView<T> {
    /// Copies `values` to the device, and waits for that. Streams that have work queued on this memory are not waited for.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the lengths differ.
    #[doc(alias = "aclrtMemcpy")]
    pub fn copy_from_slice(&self, values: &[T]) -> Result<()> {
        check_len("aclrtMemcpy", self.len(), values.len())?;
        // SAFETY: both sides hold `len` values; the slice is borrowed for the call.
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
        check_len("aclrtMemcpy", self.len(), values.len())?;
        // SAFETY: both sides hold `len` values, any bit pattern is one, and the slice is borrowed exclusively for the call.
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
        // SAFETY: the vector has room for `len` values.
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
            // The device may be writing to it still.
            mem::forget(values);
            return Err(error);
        }
        // SAFETY: the copy succeeded, so all bytes are written, and any bit pattern is a value.
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
        check_len("aclrtMemcpy", self.len(), source.len())?;
        check_backend("aclrtMemcpy", self.context(), source.context())?;
        // SAFETY: both sides hold `len` values on devices of this backend, and both are alive for the call.
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
        if self.is_empty() {
            return Ok(());
        }
        self.context().bind("aclrtMemset")?;
        // SAFETY: the range is alive, and any bit pattern is a value.
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
        check_len(OP, to.len(), from.len())?;
        if to.is_empty() {
            return Ok(());
        }
        if from.context().device() != self.device() {
            self.check_memory(OP, to.context())?;
        }
        for memory in [from, to] {
            check_backend(OP, self.context(), memory.context())?;
        }
        let result = self.enqueue(OP, |raw| {
            // SAFETY: both sides hold that many bytes, and are kept until the stream has passed the copy.
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
        self.keep_unless_refused(
            result,
            || [from.memory().clone() as Kept, to.memory().clone()],
            to.byte_len(),
        )
    }

    /// Enqueues setting every byte of device memory, which stays alive until that is done.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the memory is on another device than the stream.
    #[doc(alias = "aclrtMemsetAsync")]
    pub fn memset<T: DeviceCopy>(&self, memory: &DeviceView<T>, byte: u8) -> Result<()> {
        const OP: &str = "aclrtMemsetAsync";
        if memory.is_empty() {
            return Ok(());
        }
        self.check_memory(OP, memory.context())?;
        let result = self.enqueue(OP, |raw| {
            // SAFETY: the range is kept until the stream has passed this; any bit pattern is a value.
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
        self.keep_unless_refused(result, || [memory.memory().clone() as Kept], memory.byte_len())
    }

    /// Keeps what an operation uses, unless it was certainly not submitted.
    pub(crate) fn keep_unless_refused<const N: usize>(
        &self,
        result: Result<u64>,
        owners: impl FnOnce() -> [Kept; N],
        bytes: usize,
    ) -> Result<()> {
        match result {
            Err(error) if error.is_refusal() => Err(error),
            result => {
                self.keep(owners(), bytes);
                self.tidy();
                result.map(drop)
            }
        }
    }

    /// Refuses memory of another device.
    pub(crate) fn check_memory(&self, op: &'static str, memory: &Context) -> Result<()> {
        if memory.device() == self.device() {
            return Ok(());
        }
        Err(Error::Mismatch {
            op,
            what: format!(
                "the memory is on device {}, the stream on device {}",
                memory.device().id(),
                self.device().id()
            ),
        })
    }
}
