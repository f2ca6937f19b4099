//! [`PinnedBuffer`]: host memory that a device can read and write by itself.

use super::{DeviceCopy, byte_len, registered::Registration};
use crate::{
    Context, Error, Result,
    runtime::{SendRaw, acl},
};
use core::ffi::c_void;
use std::{
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr::{self, NonNull},
    slice,
    sync::Arc,
};

/// A page-locked allocation of the host.
pub(crate) struct PinnedMemory {
    context: Context,
    /// Null if the allocation is empty.
    ptr: *mut c_void,
    /// Of memory of the program. Otherwise it is ACL's.
    registration: Option<Registration>,
}

// SAFETY: [threads] the allocation is plain host memory that belongs to this value alone; ACL frees it from any thread.
unsafe impl Send for PinnedMemory {}
// SAFETY: [threads] a shared reference gives nothing but the address.
unsafe impl Sync for PinnedMemory {}

impl PinnedMemory {
    pub(super) fn registered(context: &Context, ptr: *mut c_void, registration: Registration) -> Self {
        PinnedMemory { context: context.clone(), ptr, registration: Some(registration) }
    }

    pub(super) fn registration(&self) -> Option<&Registration> {
        self.registration.as_ref()
    }

    pub(super) fn registration_mut(&mut self) -> Option<&mut Registration> {
        self.registration.as_mut()
    }
}

impl Drop for PinnedMemory {
    fn drop(&mut self) {
        if let Some(registration) = self.registration.take() {
            // No owner is left: neither a buffer nor a stream that uses it.
            self.context.dispose(move |context| registration.dispose(context));
        } else if !self.ptr.is_null() {
            let ptr = SendRaw::new(self.ptr);
            self.context.dispose(move |context| {
                // SAFETY: [once] `ptr` came from aclrtMallocHost. No owner is left: neither a buffer nor a stream that uses it.
                unsafe { acl!(context, aclrtFreeHost(ptr.get())) }
            });
        }
    }
}

/// Host memory that devices copy from and to while the host does something else: `len` values of `T`, used as a slice.
///
/// Asynchronous copies take it and give it back when they are done: see [`Transfer`](crate::Transfer).
///
/// ```
/// # fn main() -> Result<(), ascendcl::Error> {
/// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
/// let mut pinned = context.alloc_pinned::<u16>(256)?;
/// pinned.fill(7);
/// assert_eq!(pinned[255], 7);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "aclrtFreeHost")]
pub struct PinnedBuffer<T: DeviceCopy> {
    /// A stream becomes its owner when it still uses it after the buffer is gone.
    memory: Arc<PinnedMemory>,
    len: usize,
    of: PhantomData<T>,
}

impl Context {
    /// Allocates page-locked host memory for `len` values, all zero.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfMemory`](crate::ErrorKind::OutOfMemory).
    #[doc(alias = "aclrtMallocHost")]
    pub fn alloc_pinned<T: DeviceCopy>(&self, len: usize) -> Result<PinnedBuffer<T>> {
        const OP: &str = "aclrtMallocHost";
        let bytes = byte_len::<T>(OP, len)?;
        let mut ptr = ptr::null_mut();
        // Size 0 never reaches ACL, which refuses it.
        if bytes > 0 {
            self.bind_checked(OP)?;
            // SAFETY: [place] a valid place for the answer; the context is current.
            unsafe { acl!(self, aclrtMallocHost(&mut ptr, bytes)) }?;
            // SAFETY: [memory] ACL gave `bytes` bytes of host memory. Its contents are undefined, and a slice needs values.
            unsafe { ptr::write_bytes(ptr.cast::<u8>(), 0, bytes) };
        }
        let memory = PinnedMemory { context: self.clone(), ptr, registration: None };
        // ACL aligns to 64 bytes on a host; not on the NPU's own processor, and types may want more.
        if !(ptr as usize).is_multiple_of(align_of::<T>()) {
            let what =
                format!("ACL gave memory that is not aligned to the {} bytes of the type", align_of::<T>());
            return Err(Error::Mismatch { op: OP, what });
        }
        Ok(PinnedBuffer::new(memory, len))
    }

    /// Allocates page-locked host memory and copies `values` into it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfMemory`](crate::ErrorKind::OutOfMemory).
    #[doc(alias = "aclrtMallocHost")]
    pub fn alloc_pinned_from<T: DeviceCopy>(&self, values: &[T]) -> Result<PinnedBuffer<T>> {
        let mut pinned = self.alloc_pinned(values.len())?;
        pinned.copy_from_slice(values);
        Ok(pinned)
    }
}

impl<T: DeviceCopy> PinnedBuffer<T> {
    /// Of memory for `len` values, aligned for them and initialised.
    pub(super) fn new(memory: PinnedMemory, len: usize) -> Self {
        PinnedBuffer { memory: Arc::new(memory), len, of: PhantomData }
    }

    /// The context it was allocated or registered in.
    pub fn context(&self) -> &Context {
        &self.memory.context
    }

    pub(crate) fn address(&self) -> *mut c_void {
        self.memory.ptr
    }

    pub(super) fn memory(&self) -> &PinnedMemory {
        &self.memory
    }

    pub(super) fn memory_mut(&mut self) -> &mut Arc<PinnedMemory> {
        &mut self.memory
    }

    pub(crate) fn into_memory(self) -> Arc<PinnedMemory> {
        self.memory
    }

    fn data(&self) -> NonNull<T> {
        // An empty buffer has no allocation; a slice wants an aligned address all the same.
        NonNull::new(self.memory.ptr.cast()).unwrap_or(NonNull::dangling())
    }
}

impl<T: DeviceCopy> Deref for PinnedBuffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: [memory, bits] the allocation holds `len` values, written when it was made, of a type without invalid bit patterns, and is aligned
        // for it, which was checked then.
        // No device writes it meanwhile: a copy that does owns the buffer until it is done.
        unsafe { slice::from_raw_parts(self.data().as_ptr(), self.len) }
    }
}

impl<T: DeviceCopy> DerefMut for PinnedBuffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: [memory, bits] as in `deref`; the buffer is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.data().as_ptr(), self.len) }
    }
}

impl<T: DeviceCopy + fmt::Debug> fmt::Debug for PinnedBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedBuffer").field("len", &self.len).finish_non_exhaustive()
    }
}
