//! The memory of one device: an address range that the host cannot touch, and the bytes behind it at an alias that only the
//! simulator knows.

use core::ffi::c_void;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock, Weak};

use ascendcl_sys::{self as sys, aclError};

use super::arena::Arena;
use super::block::{Block, DeviceRange};
use super::map::{Mapping, SharedMemory};
use crate::check::leak::{LiveKind, Registration, register};
use crate::check::{Misuse, misuse};
use crate::error::fail;
use crate::lock::{Mutex, RwLock};

/// Freed memory that keeps its poison before it is used again. Address space rests longer.
const QUARANTINE: usize = 32 << 20;
pub(crate) const NORMAL_PAGE: usize = 4 << 10;
const HUGE_PAGE: usize = 2 << 20;
/// Address space beyond the capacity, so that quarantine and fragmentation do not eat into it.
const SLACK: usize = 1 << 30;

/// What pages an allocation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageSize {
    Normal,
    /// Huge pages where the request is larger than 1 MiB and enough are left, normal ones otherwise.
    HugeFirst,
    Huge,
}

/// The address range of a device.
pub(crate) struct Space {
    device: i32,
    host_access: bool,
    address: Mapping,
    alias: Mapping,
    memory: SharedMemory,
    arena: Mutex<Arena>,
}

impl Space {
    fn new(device: i32, capacity: usize, host_access: bool) -> io::Result<Self> {
        let len = capacity * 2 + SLACK;
        let memory = SharedMemory::new(len)?;
        let alias = Mapping::view(&memory)?;
        // As on a PCIe card the device's addresses mean nothing to the host, unless the card is said to be in RC form.
        let address = if host_access { Mapping::view(&memory)? } else { Mapping::reserve(len)? };
        let arena = Mutex::new(Arena::new(len, (capacity, QUARANTINE)));
        Ok(Self { device, host_access, address, alias, memory, arena })
    }

    pub(super) fn device(&self) -> i32 {
        self.device
    }

    pub(super) fn host_access(&self) -> bool {
        self.host_access
    }

    pub(super) fn alias(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset < self.alias.len());
        // SAFETY: offsets come from the arena, which is as long as the alias.
        unsafe { self.alias.base().add(offset) }
    }

    pub(super) fn address(&self, offset: usize) -> usize {
        self.address.base().addr() + offset
    }

    pub(super) fn discard(&self, offset: usize, len: usize) {
        self.memory.discard(offset, len);
    }

    /// A block ended; `memory` bytes of it are poison, the rest has no pages.
    pub(super) fn give_back(&self, offset: usize, footprint: usize, memory: usize) {
        // Under the lock: what was released may be taken at once, and the pages would go from under the next block.
        let mut arena = self.arena.lock();
        for (start, len) in arena.give(offset, footprint, memory) {
            self.memory.discard(start, len);
        }
    }

    fn offset_of(&self, pointer: *const c_void) -> Option<usize> {
        let offset = pointer.addr().checked_sub(self.address.base().addr())?;
        (offset < self.address.len()).then_some(offset)
    }
}

/// The memory of one device.
pub(crate) struct DeviceMemory {
    device: i32,
    capacity: usize,
    host_access: bool,
    space: OnceLock<Arc<Space>>,
    /// Bytes charged, in whole pages.
    used: Mutex<Used>,
    blocks: RwLock<BTreeMap<usize, Entry>>,
}

#[derive(Clone, Copy, Default)]
struct Used {
    normal: usize,
    huge: usize,
}

struct Entry {
    block: Arc<Block>,
    charged: usize,
    huge: bool,
    _registration: Registration,
}

/// Devices whose address range exists, for finding the device of a pointer.
static RANGES: RwLock<Vec<(Arc<Space>, Weak<DeviceMemory>)>> = RwLock::new(Vec::new());

impl DeviceMemory {
    pub(crate) fn new(device: i32, capacity: usize, host_access: bool) -> Arc<Self> {
        Arc::new(Self {
            device,
            capacity,
            host_access,
            space: OnceLock::new(),
            used: Mutex::new(Used::default()),
            blocks: RwLock::new(BTreeMap::new()),
        })
    }

    /// Total bytes, and bytes charged for normal and for huge pages.
    pub(crate) fn usage(&self) -> (usize, usize, usize) {
        let used = *self.used.lock();
        (self.capacity, used.normal, used.huge)
    }

    /// Allocates `size` bytes that charge `charged` bytes before rounding to pages.
    pub(crate) fn allocate(
        self: &Arc<Self>,
        size: usize,
        padded: usize,
        pages: PageSize,
    ) -> Result<*mut c_void, aclError> {
        let (charged, huge) = self.charge(padded, pages).ok_or_else(|| {
            let (capacity, normal, huge) = self.usage();
            fail(
                sys::ACL_ERROR_RT_MEMORY_ALLOCATION,
                format_args!(
                    "device {} cannot allocate {size} bytes: {} of {capacity} bytes are free",
                    self.device,
                    capacity - normal - huge
                ),
            )
        })?;
        let allocated = self.space().and_then(|space| {
            let footprint = Arena::footprint(padded).ok_or_else(|| io::Error::other("size overflows"))?;
            let offset = space
                .arena
                .lock()
                .take(footprint)
                .ok_or_else(|| io::Error::other("address range is fragmented"))?;
            Ok((Arc::clone(space), offset, footprint))
        });
        let (space, offset, footprint) = match allocated {
            Ok(allocated) => allocated,
            Err(error) => {
                self.uncharge(charged, huge);
                return Err(fail(
                    sys::ACL_ERROR_RT_MEMORY_ALLOCATION,
                    format_args!("device {} cannot allocate {size} bytes: {error}", self.device),
                ));
            }
        };
        let address = space.address.base().wrapping_add(offset).cast();
        let block = Block::new(space, offset, size, footprint);
        let registration = register(
            LiveKind::DeviceMemory,
            format!("{size} bytes at {address:p} on device {}", self.device),
        );
        self.blocks.write().insert(offset, Entry { block, charged, huge, _registration: registration });
        Ok(address)
    }

    /// Frees an allocation that was never given out, unless a reset has just done so: then its address is in quarantine and nobody
    /// else's yet.
    pub(crate) fn take_back(&self, pointer: *mut c_void) {
        if let Some(offset) = self.space.get().and_then(|space| space.offset_of(pointer)) {
            self.free_at(offset);
        }
    }

    /// Frees everything: the device is being reset. Gives the number of allocations that were still alive.
    pub(crate) fn release_all(&self) -> usize {
        let blocks = std::mem::take(&mut *self.blocks.write());
        let count = blocks.len();
        for entry in blocks.into_values() {
            self.uncharge(entry.charged, entry.huge);
            entry.block.free();
        }
        count
    }

    fn space(self: &Arc<Self>) -> io::Result<&Arc<Space>> {
        if let Some(space) = self.space.get() {
            return Ok(space);
        }
        let new = Arc::new(Space::new(self.device, self.capacity, self.host_access)?);
        let space = self.space.get_or_init(|| Arc::clone(&new));
        if Arc::ptr_eq(space, &new) {
            let mut ranges = RANGES.write();
            ranges.retain(|(_, memory)| memory.strong_count() > 0);
            ranges.push((new, Arc::downgrade(self)));
        }
        Ok(space)
    }

    fn charge(&self, size: usize, pages: PageSize) -> Option<(usize, bool)> {
        let mut used = self.used.lock();
        let free = self.capacity - used.normal - used.huge;
        let huge = size.checked_next_multiple_of(HUGE_PAGE).filter(|&charged| charged <= free);
        let normal = size.checked_next_multiple_of(NORMAL_PAGE).filter(|&charged| charged <= free);
        let (charged, is_huge) = match pages {
            PageSize::Normal => (normal?, false),
            PageSize::Huge => (huge?, true),
            PageSize::HugeFirst if size > 1 << 20 => match huge {
                Some(charged) => (charged, true),
                None => (normal?, false),
            },
            PageSize::HugeFirst => (normal?, false),
        };
        if is_huge {
            used.huge += charged;
        } else {
            used.normal += charged;
        }
        Some((charged, is_huge))
    }

    fn uncharge(&self, charged: usize, huge: bool) {
        let mut used = self.used.lock();
        if huge {
            used.huge -= charged;
        } else {
            used.normal -= charged;
        }
    }

    /// Frees the block that starts at `offset`; `None` if there is none.
    fn free_at(&self, offset: usize) -> Option<()> {
        let entry = self.blocks.write().remove(&offset)?;
        self.uncharge(entry.charged, entry.huge);
        entry.block.free();
        Some(())
    }

    fn find(&self, offset: usize) -> Option<(Arc<Block>, usize)> {
        let blocks = self.blocks.read();
        let (_, entry) = blocks.range(..=offset).next_back()?;
        let inside = offset - entry.block.offset();
        (inside < entry.block.size()).then(|| (Arc::clone(&entry.block), inside))
    }
}

/// The device whose address range `pointer` lies in, and the offset there, whether or not something is allocated at it.
fn owner(pointer: *const c_void) -> Option<(Arc<DeviceMemory>, usize)> {
    let ranges = RANGES.read();
    ranges.iter().find_map(|(space, memory)| Some((memory.upgrade()?, space.offset_of(pointer)?)))
}

/// The device whose address range `pointer` lies in, whether or not something is allocated at it.
pub(crate) fn device_of(pointer: *const c_void) -> Option<i32> {
    owner(pointer).map(|(memory, _)| memory.device)
}

/// Whether `pointer` lies in a live allocation of huge pages.
pub(crate) fn is_huge(pointer: *const c_void) -> bool {
    owner(pointer).is_some_and(|(memory, offset)| {
        let blocks = memory.blocks.read();
        blocks
            .range(..=offset)
            .next_back()
            .is_some_and(|(start, entry)| offset - start < entry.block.size() && entry.huge)
    })
}

/// A checked window over one live device allocation: 107000 if `[pointer, pointer + len)` is not all inside one.
pub(crate) fn device_range(pointer: *const c_void, len: usize) -> Result<DeviceRange, aclError> {
    let invalid = |why: &dyn std::fmt::Display| fail(sys::ACL_ERROR_RT_PARAM_INVALID, why);
    let (memory, offset) =
        owner(pointer).ok_or_else(|| invalid(&format_args!("{pointer:p} is not an address of a device")))?;
    let (block, start) = memory.find(offset).ok_or_else(|| {
        let device = memory.device;
        invalid(&format_args!(
            "{pointer:p} is inside no live allocation of device {device}: it was freed, or is out of bounds"
        ))
    })?;
    if len > block.size() - start {
        misuse(
            Misuse::PastTheEnd,
            format_args!(
                "{len} bytes at {pointer:p} are used, but the allocation of {} bytes ends after {}",
                block.size(),
                block.size() - start
            ),
        );
        return Err(invalid(&format_args!(
            "{len} bytes at {pointer:p} reach past the end of an allocation of {} bytes, {start} of which lie before",
            block.size()
        )));
    }
    Ok(DeviceRange::new(block, start, len))
}

/// `aclrtFree` after its NULL check.
pub(crate) fn free(pointer: *mut c_void) -> Result<(), aclError> {
    let freed = owner(pointer).and_then(|(memory, offset)| memory.free_at(offset));
    freed.ok_or_else(|| {
        fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("{pointer:p} is not the start of a live device allocation"),
        )
    })
}
