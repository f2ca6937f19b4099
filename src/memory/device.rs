//! [`DeviceBuffer`] and [`DeviceView`]: memory of a device.
//!
//! Device memory is never a Rust place: no reference or slice is formed over it, so sharing it between streams, or reading it while a
//! stream writes it, gives surprising numbers at worst. Order such accesses by streams and events.

use super::{DeviceCopy, byte_len};
use crate::{
    Context, Error, Result,
    runtime::{SendRaw, acl},
};
use ascendcl_sys as sys;
use core::ffi::c_void;
use std::{
    fmt,
    marker::PhantomData,
    ops::{Bound, Deref, RangeBounds},
    ptr,
    sync::Arc,
};

/// Which pages an allocation takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[doc(alias = "aclrtMemMallocPolicy")]
#[non_exhaustive]
pub enum MallocPolicy {
    /// Pages of 2 MiB for what is larger than 1 MiB, normal pages otherwise or if there are none.
    #[default]
    #[doc(alias = "ACL_MEM_MALLOC_HUGE_FIRST")]
    HugeFirst,
    /// Pages of 2 MiB, or an error.
    #[doc(alias = "ACL_MEM_MALLOC_HUGE_ONLY")]
    HugeOnly,
    /// Normal pages.
    #[doc(alias = "ACL_MEM_MALLOC_NORMAL_ONLY")]
    NormalOnly,
    /// As `HugeFirst`, for copies between devices.
    #[doc(alias = "ACL_MEM_MALLOC_HUGE_FIRST_P2P")]
    HugeFirstPeer,
    /// As `HugeOnly`, for copies between devices.
    #[doc(alias = "ACL_MEM_MALLOC_HUGE_ONLY_P2P")]
    HugeOnlyPeer,
    /// As `NormalOnly`, for copies between devices.
    #[doc(alias = "ACL_MEM_MALLOC_NORMAL_ONLY_P2P")]
    NormalOnlyPeer,
}

impl MallocPolicy {
    fn raw(self) -> sys::aclrtMemMallocPolicy {
        match self {
            MallocPolicy::HugeFirst => sys::ACL_MEM_MALLOC_HUGE_FIRST,
            MallocPolicy::HugeOnly => sys::ACL_MEM_MALLOC_HUGE_ONLY,
            MallocPolicy::NormalOnly => sys::ACL_MEM_MALLOC_NORMAL_ONLY,
            MallocPolicy::HugeFirstPeer => sys::ACL_MEM_MALLOC_HUGE_FIRST_P2P,
            MallocPolicy::HugeOnlyPeer => sys::ACL_MEM_MALLOC_HUGE_ONLY_P2P,
            MallocPolicy::NormalOnlyPeer => sys::ACL_MEM_MALLOC_NORMAL_ONLY_P2P,
        }
    }
}

/// An allocation. Freed when the last owner goes: a buffer, a view, a dataset, or a stream that still uses it.
pub(crate) struct DeviceMemory {
    context: Context,
    /// Null if the allocation is empty.
    ptr: *mut c_void,
    bytes: usize,
    owned: bool,
}

// SAFETY: [threads] the only field that is not Send and Sync by itself is `ptr`, an address on the device that the host never dereferences;
// ACL frees and copies from any thread.
unsafe impl Send for DeviceMemory {}
// SAFETY: [threads] as above.
unsafe impl Sync for DeviceMemory {}

impl DeviceMemory {
    fn new(context: &Context, bytes: usize, policy: MallocPolicy) -> Result<Self> {
        let mut ptr = ptr::null_mut();
        // Size 0 never reaches ACL, which refuses it.
        if bytes > 0 {
            context.bind_checked("aclrtMalloc")?;
            // SAFETY: [place] a valid place for the answer; the context is current.
            unsafe { acl!(context, aclrtMalloc(&mut ptr, bytes, policy.raw())) }?;
        }
        Ok(DeviceMemory { context: context.clone(), ptr, bytes, owned: true })
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        if !self.ptr.is_null() && self.owned {
            let ptr = SendRaw::new(self.ptr);
            self.context.dispose(move |context| {
                // SAFETY: [once] `ptr` came from aclrtMalloc. No owner is left, and streams are owners until they have passed what uses it.
                unsafe { acl!(context, aclrtFree(ptr.get())) }
            });
        }
    }
}

/// Memory of a device, for `len` values of `T`.
///
/// Owns the allocation together with its [views](DeviceView) and whatever streams still do with it. Everything that can be
/// done with it is done with [`DeviceView`], to which it dereferences.
///
/// ```
/// # fn main() -> Result<(), ascendcl::Error> {
/// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
/// let buffer = context.alloc::<f32>(1024)?;
/// buffer.copy_from_slice(&[1.5; 1024])?;
/// assert_eq!(buffer.view(..4)?.to_vec()?, [1.5; 4]);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "aclrtFree")]
pub struct DeviceBuffer<T: DeviceCopy> {
    all: DeviceView<T>,
}

/// A range of device memory, for `len` values of `T`. Owns it together with the buffer it came from, so that it may be kept, cloned
/// and sent to other threads.
pub struct DeviceView<T: DeviceCopy> {
    memory: Arc<DeviceMemory>,
    /// In bytes.
    offset: usize,
    len: usize,
    of: PhantomData<T>,
}

impl Context {
    /// Allocates device memory for `len` values. Its contents are undefined.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfMemory`](crate::ErrorKind::OutOfMemory).
    #[doc(alias = "aclrtMalloc")]
    pub fn alloc<T: DeviceCopy>(&self, len: usize) -> Result<DeviceBuffer<T>> {
        self.alloc_with(len, MallocPolicy::default())
    }

    /// Allocates device memory for `len` values, and says in which pages.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfMemory`](crate::ErrorKind::OutOfMemory).
    #[doc(alias = "aclrtMalloc")]
    pub fn alloc_with<T: DeviceCopy>(&self, len: usize, policy: MallocPolicy) -> Result<DeviceBuffer<T>> {
        let memory = DeviceMemory::new(self, byte_len::<T>("aclrtMalloc", len)?, policy)?;
        Ok(DeviceBuffer { all: DeviceView { memory: Arc::new(memory), offset: 0, len, of: PhantomData } })
    }

    /// Allocates device memory and copies `values` into it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfMemory`](crate::ErrorKind::OutOfMemory).
    #[doc(alias = "aclrtMalloc")]
    pub fn alloc_from<T: DeviceCopy>(&self, values: &[T]) -> Result<DeviceBuffer<T>> {
        let buffer = self.alloc(values.len())?;
        buffer.copy_from_slice(values)?;
        Ok(buffer)
    }
}

impl<T: DeviceCopy> DeviceBuffer<T> {
    /// Takes over device memory that other code allocated.
    ///
    /// # Safety
    ///
    /// `ptr` must be the address of `len` values of `T` in device memory of `context`'s device, aligned for `T`. With `owned` it came from
    /// `aclrtMalloc` and is freed with `aclrtFree` when the last owner goes, and nobody else may free it; otherwise it must
    /// outlive all owners, which include streams that still work with it.
    pub unsafe fn from_raw(context: &Context, ptr: *mut T, len: usize, owned: bool) -> DeviceBuffer<T> {
        let memory =
            DeviceMemory { context: context.clone(), ptr: ptr.cast(), bytes: len * size_of::<T>(), owned };
        DeviceBuffer { all: DeviceView { memory: Arc::new(memory), offset: 0, len, of: PhantomData } }
    }
}

impl<T: DeviceCopy> Deref for DeviceBuffer<T> {
    type Target = DeviceView<T>;

    fn deref(&self) -> &DeviceView<T> {
        &self.all
    }
}

impl<T: DeviceCopy> From<DeviceBuffer<T>> for DeviceView<T> {
    fn from(buffer: DeviceBuffer<T>) -> DeviceView<T> {
        buffer.all
    }
}

impl<T: DeviceCopy> DeviceView<T> {
    /// How many values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes.
    pub fn byte_len(&self) -> usize {
        self.len * size_of::<T>()
    }

    /// The context it was allocated in.
    pub fn context(&self) -> &Context {
        &self.memory.context
    }

    /// The address on the device. The host must not use it, and it is valid as long as an owner lives. For an empty range it is
    /// null or points past the end.
    pub fn as_raw(&self) -> *mut c_void {
        self.memory.ptr.wrapping_byte_add(self.offset)
    }

    /// A part of it, in values.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the range goes beyond the end, or ends before it starts.
    pub fn view(&self, range: impl RangeBounds<usize>) -> Result<DeviceView<T>> {
        const OP: &str = "DeviceView::view";
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&end) => end.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.len,
        };
        for bound in [end, start] {
            if bound > self.len {
                return Err(Error::Length {
                    op: OP,
                    expected: self.len,
                    actual: bound,
                    unit: "elements at most",
                });
            }
        }
        if start > end {
            return Err(Error::Length {
                op: OP,
                expected: start,
                actual: end,
                unit: "elements at least, as the end of the range",
            });
        }
        Ok(DeviceView {
            memory: self.memory.clone(),
            offset: self.offset + start * size_of::<T>(),
            len: end - start,
            of: PhantomData,
        })
    }

    /// The same memory as values of another type.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the bytes are no whole number of `U`, [`Error::Mismatch`] if the address is not aligned for `U`.
    pub fn cast<U: DeviceCopy>(&self) -> Result<DeviceView<U>> {
        const OP: &str = "DeviceView::cast";
        let bytes = self.byte_len();
        let len = bytes.checked_div(size_of::<U>()).unwrap_or(0);
        if len * size_of::<U>() != bytes {
            let expected = len * size_of::<U>();
            return Err(Error::Length { op: OP, expected, actual: bytes, unit: "bytes" });
        }
        if !(self.as_raw() as usize).is_multiple_of(align_of::<U>()) {
            let what = format!("the address is not aligned to {} bytes", align_of::<U>());
            return Err(Error::Mismatch { op: OP, what });
        }
        Ok(DeviceView { memory: self.memory.clone(), offset: self.offset, len, of: PhantomData })
    }

    /// The same memory as bytes.
    pub fn as_bytes(&self) -> DeviceView<u8> {
        DeviceView { memory: self.memory.clone(), offset: self.offset, len: self.byte_len(), of: PhantomData }
    }

    pub(crate) fn memory(&self) -> &Arc<DeviceMemory> {
        &self.memory
    }

    /// How many bytes there are from its start to the end of the allocation.
    pub(crate) fn capacity(&self) -> usize {
        self.memory.bytes - self.offset
    }
}

impl<T: DeviceCopy> Clone for DeviceView<T> {
    fn clone(&self) -> Self {
        DeviceView { memory: self.memory.clone(), offset: self.offset, len: self.len, of: PhantomData }
    }
}

impl<T: DeviceCopy> fmt::Debug for DeviceView<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceView")
            .field("device", &self.context().device().id())
            .field("address", &self.as_raw())
            .field("len", &self.len)
            .finish()
    }
}

impl<T: DeviceCopy> fmt::Debug for DeviceBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceBuffer")
            .field("device", &self.context().device().id())
            .field("address", &self.as_raw())
            .field("len", &self.len)
            .finish()
    }
}
