//! Checked parts of memory with device addresses, and access to their bytes.

use core::ffi::c_void;
use std::sync::{Arc, LazyLock};

use ascendcl_sys::{self as sys, aclError};

use super::region::Region;
use super::{keyed, pool, region, registered};
use crate::check::{Access, Mark, Misuse, misuse};
use crate::core::{Device, value};
use crate::error::fail;

/// Live memory with a device address: one allocation, one mapped range.
pub(crate) trait Backing: Send + Sync {
    /// The device it is on; `None` if all devices reach it.
    fn device(&self) -> Option<i32>;

    /// Its first address.
    fn address(&self) -> usize;

    /// Its bytes, as the program asked for them.
    fn size(&self) -> usize;

    /// Whether the work of `device` may use it too, though it is on another one.
    fn is_shared_with(&self, _device: i32) -> bool {
        false
    }

    /// Where another process finds its bytes; `None` for memory that is not given out that way. From now on they are written
    /// without asking here.
    fn loan(&self) -> Option<Loan> {
        None
    }

    /// Bytes of one page.
    fn page(&self) -> usize;

    /// Whether copies may use it. Mapped host memory is for kernels only.
    fn copyable(&self) -> bool {
        true
    }

    /// Access to `[start, start + len)` begins: an error if the memory ended meanwhile. Until [`end`](Self::end) its bytes are
    /// neither poisoned nor given to anybody else. Notes the access in the memory's [`Shadow`](crate::check::Shadow).
    fn begin(&self, access: Access, start: usize, len: usize) -> Result<(), aclError>;

    /// Access ends.
    fn end(&self);

    /// Whether it has not ended.
    fn is_live(&self) -> bool {
        true
    }

    /// What those know who wrote here: streams that wait for a value learn it.
    fn values(&self) -> &Mark {
        static ANY: LazyLock<Mark> = LazyLock::new(Mark::default);
        &ANY
    }

    /// Where the simulator reads and writes the byte at `start`. Good between [`begin`](Self::begin) and [`end`](Self::end).
    fn bytes(&self, start: usize) -> *mut u8;
}

/// What another process needs to use memory of this one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loan {
    /// The descriptor of the file in this process, and the number that the system knows it by.
    pub(crate) file: i32,
    pub(crate) node: u64,
    /// Where in the file the bytes are.
    pub(crate) start: usize,
    pub(crate) size: usize,
}

/// A checked part of one live piece of memory. It can wait in a queue: it does not keep the memory from being freed.
#[derive(Clone)]
pub(crate) struct DeviceRange {
    backing: Arc<dyn Backing>,
    start: usize,
    len: usize,
}

impl DeviceRange {
    /// The device this memory is on; `None` if all devices reach it.
    pub(crate) fn device(&self) -> Option<i32> {
        self.backing.device()
    }

    /// Whether work of `device` may use it (107000 if not).
    pub(crate) fn check_reach(&self, device: &Device, what: &str) -> Result<(), aclError> {
        if self.backing.is_shared_with(device.id()) {
            return Ok(());
        }
        device.check_reach(self.device(), what)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address of its first byte, as the program knows it.
    pub(crate) fn address(&self) -> usize {
        self.backing.address() + self.start
    }

    /// The part `[start, start + len)` of it. Panics if that is not inside.
    pub(crate) fn part(&self, start: usize, len: usize) -> Self {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len), "part past the range");
        Self { backing: Arc::clone(&self.backing), start: self.start + start, len }
    }

    /// Whether copies may use it.
    pub(crate) fn copyable(&self) -> bool {
        self.backing.copyable()
    }

    /// Access to the bytes for the time of one operation. Memory that was freed meanwhile is what a DMA engine would trip over:
    /// 507013.
    pub(crate) fn open(&self, access: Access) -> Result<DeviceBytes, aclError> {
        self.backing.begin(access, self.start, self.len)?;
        if access.writes() {
            // Before the bytes are there: who waits for them may see them at once, and has to know then what is known here.
            self.values().race().post();
        }
        Ok(DeviceBytes { range: self.clone(), writes: access.writes() })
    }

    /// Notes an access that moves no bytes.
    pub(crate) fn watch(&self, access: Access) {
        if self.backing.is_live() && self.backing.begin(access, self.start, self.len).is_ok() {
            self.backing.end();
        }
    }

    /// Whether the memory has not ended.
    pub(crate) fn is_live(&self) -> bool {
        self.backing.is_live()
    }

    /// What those know who wrote here.
    pub(crate) fn values(&self) -> &Mark {
        self.backing.values()
    }
}

/// Access to device bytes. While it lives they are not poisoned and not given to anybody else.
pub(crate) struct DeviceBytes {
    range: DeviceRange,
    writes: bool,
}

impl DeviceBytes {
    pub(crate) fn len(&self) -> usize {
        self.range.len
    }

    pub(crate) fn as_ptr(&self) -> *const u8 {
        self.as_mut_ptr()
    }

    /// The alias of these bytes that the simulator can read and write. Several windows may cover the same bytes, and the program
    /// decides what runs at the same time: go through pointers, never form a reference.
    pub(crate) fn as_mut_ptr(&self) -> *mut u8 {
        self.range.backing.bytes(self.range.start)
    }

    /// A copy of the bytes.
    pub(crate) fn read_to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        // SAFETY: [memory] source and destination are `len` bytes long; the vector is new, so they do not overlap.
        unsafe { libc::memcpy(bytes.as_mut_ptr().cast(), self.as_ptr().cast(), self.len()) };
        bytes
    }

    /// Writes `bytes` at `offset`. Panics if they do not fit.
    pub(crate) fn write_from(&self, offset: usize, bytes: &[u8]) {
        assert!(
            offset.checked_add(bytes.len()).is_some_and(|end| end <= self.len()),
            "write past the window"
        );
        // SAFETY: [mapped] the range was just checked; host memory and device alias do not overlap.
        unsafe { libc::memcpy(self.as_mut_ptr().add(offset).cast(), bytes.as_ptr().cast(), bytes.len()) };
    }
}

impl Drop for DeviceBytes {
    fn drop(&mut self) {
        if self.writes {
            self.range.values().post();
        }
        self.range.backing.end();
        if self.writes {
            value::written();
        }
    }
}

/// The live memory with a device address that `pointer` lies in, and how far into it.
pub(crate) fn live(pointer: *const c_void) -> Option<(Arc<dyn Backing>, usize)> {
    match region::of(pointer) {
        Some(region) => region.find(pointer.addr()),
        None => registered::at_host_address(pointer.addr()),
    }
}

/// A checked window over one live piece of memory: 107000 if `[pointer, pointer + len)` is not all inside one.
pub(crate) fn device_range(pointer: *const c_void, len: usize) -> Result<DeviceRange, aclError> {
    match region::of(pointer) {
        Some(region) => range_in(&*region, pointer, len),
        None => {
            let found = registered::at_host_address(pointer.addr());
            check_len(
                found.ok_or_else(|| invalid(&format_args!("{pointer:p} is not an address of a device")))?,
                pointer,
                len,
            )
        }
    }
}

/// [`device_range`] for an address in `region`.
pub(super) fn range_in(
    region: &dyn Region,
    pointer: *const c_void,
    len: usize,
) -> Result<DeviceRange, aclError> {
    let gone = || {
        invalid(&format_args!(
            "{pointer:p} is inside no live allocation of {}: it was freed, or is out of bounds",
            region.location()
        ))
    };
    check_len(region.find(pointer.addr()).ok_or_else(gone)?, pointer, len)
}

fn invalid(why: &dyn std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, why)
}

fn check_len(
    (backing, start): (Arc<dyn Backing>, usize),
    pointer: *const c_void,
    len: usize,
) -> Result<DeviceRange, aclError> {
    if len > backing.size() - start {
        misuse(
            Misuse::PastTheEnd,
            format_args!(
                "{len} bytes at {pointer:p} are used, but the allocation of {} bytes ends after {}",
                backing.size(),
                backing.size() - start
            ),
        );
        return Err(invalid(&format_args!(
            "{len} bytes at {pointer:p} reach past the end of an allocation of {} bytes, {start} of which lie before",
            backing.size()
        )));
    }
    Ok(DeviceRange { backing, start, len })
}

/// `aclrtFree` after its NULL check.
pub(crate) fn free(pointer: *mut c_void) -> Result<(), aclError> {
    if let Some(freed) = pool::free(pointer) {
        return freed;
    }
    if region::of(pointer).is_some_and(|region| region.free(pointer.addr())) {
        keyed::freed(pointer.addr());
        return Ok(());
    }
    Err(fail(
        sys::ACL_ERROR_RT_PARAM_INVALID,
        format_args!("{pointer:p} is not the start of a live device allocation"),
    ))
}
