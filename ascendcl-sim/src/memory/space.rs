//! The memory of one device: an address range that the host cannot touch, and the bytes behind it at an alias that only the
//! simulator knows.

use core::ffi::c_void;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};

use ascendcl_sys::{self as sys, aclError};

use super::accounts::{APP, Accounts, Charge, NORMAL_PAGE, PageSize, RUNTIME};
use super::arena::Arena;
use super::block::Block;
use super::map::{Mapping, SharedMemory};
use super::place::Location;
use super::range::Backing;
use super::region::{self, Region};
use crate::check::leak::{LiveKind, Registration, register};
use crate::error::fail;
use crate::lock::{Mutex, RwLock};

/// Freed memory that keeps its poison before it is used again. Address space rests longer.
const QUARANTINE: usize = 32 << 20;
/// Address space beyond the capacity, so that quarantine and fragmentation do not eat into it.
const SLACK: usize = 1 << 30;
/// No device gets less address space, if it has as much memory.
const LEAST: usize = 1 << 30;
/// The alias is opened in steps of so many bytes, up to the end of the farthest allocation there ever was. What lies beyond nobody
/// touches by mistake; nor does a tool that looks through all memory of the process, for which the kernel would have to make it up.
const STEP: usize = 32 << 20;

/// The address range of a device.
pub(crate) struct Space {
    device: i32,
    host_access: bool,
    address: Mapping,
    alias: Mapping,
    memory: SharedMemory,
    arena: Mutex<Arena>,
    /// So many bytes from offset 0 on are readable and writable.
    open: Mutex<usize>,
}

impl Space {
    /// With less address space than the device has memory where the process cannot have as much, under a limit or in a tool like valgrind:
    /// few programs fill a device.
    fn new(device: i32, capacity: usize, host_access: bool) -> io::Result<Self> {
        let mut len = capacity * 2 + SLACK;
        loop {
            match Self::reserve(device, capacity, host_access, len) {
                Err(error) if len / 4 < LEAST => return Err(error),
                Err(error) => {
                    log::debug!("device {device} gets less than {len} bytes of address space: {error}");
                    len = (len / 4).next_multiple_of(STEP);
                }
                space => return space,
            }
        }
    }

    fn reserve(device: i32, capacity: usize, host_access: bool, len: usize) -> io::Result<Self> {
        let memory = SharedMemory::new(len)?;
        let alias = Mapping::closed_view(&memory)?;
        // As on a PCIe card the device's addresses mean nothing to the host, unless the card is said to be in RC form.
        let address = if host_access { Mapping::closed_view(&memory)? } else { Mapping::reserve(len)? };
        let arena = Mutex::new(Arena::new(len, (capacity.min(len / 2), QUARANTINE)));
        Ok(Self { device, host_access, address, alias, memory, arena, open: Mutex::new(0) })
    }

    /// Finds room for a footprint: its offset.
    fn take(&self, footprint: usize) -> io::Result<usize> {
        let taken = self.arena.lock().take(footprint);
        let offset = taken.ok_or_else(|| io::Error::other("no room in the address range"))?;
        if let Err(error) = self.open_to(offset + footprint) {
            self.give_back(offset, footprint, 0);
            return Err(error);
        }
        Ok(offset)
    }

    fn open_to(&self, end: usize) -> io::Result<()> {
        let mut open = self.open.lock();
        if end > *open {
            let end = end.next_multiple_of(STEP).min(self.alias.len());
            self.alias.open(*open, end - *open)?;
            if self.host_access {
                self.address.open(*open, end - *open)?;
            }
            *open = end;
        }
        Ok(())
    }

    pub(super) fn device(&self) -> i32 {
        self.device
    }

    pub(super) fn host_access(&self) -> bool {
        self.host_access
    }

    pub(super) fn alias(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset < self.alias.len());
        // SAFETY: [mapped] offsets come from the arena, which is as long as the alias. What was taken from it is open.
        unsafe { self.alias.base().add(offset) }
    }

    /// The bytes behind the addresses, from offset 0 on.
    pub(super) fn memory(&self) -> &SharedMemory {
        &self.memory
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

    /// The address that the program knows.
    pub(super) fn address(&self, offset: usize) -> *mut u8 {
        self.address.base().wrapping_add(offset)
    }

    fn offset_of(&self, address: usize) -> Option<usize> {
        let offset = address.checked_sub(self.address.base().addr())?;
        (offset < self.address.len()).then_some(offset)
    }
}

/// The memory of one device.
pub(crate) struct DeviceMemory {
    device: i32,
    capacity: usize,
    host_access: bool,
    space: OnceLock<Arc<Space>>,
    accounts: Accounts,
    blocks: RwLock<BTreeMap<usize, Entry>>,
}

struct Entry {
    block: Arc<Block>,
    charge: Charge,
    /// None if it is not the program's.
    _registration: Option<Registration>,
}

impl DeviceMemory {
    pub(crate) fn new(device: i32, capacity: usize, host_access: bool) -> Arc<Self> {
        Arc::new(Self {
            device,
            capacity,
            host_access,
            space: OnceLock::new(),
            accounts: Accounts::new(capacity),
            blocks: RwLock::new(BTreeMap::new()),
        })
    }

    pub(super) fn device(&self) -> i32 {
        self.device
    }

    /// Whether the host reads and writes it at the device's addresses.
    pub(super) fn host_access(&self) -> bool {
        self.host_access
    }

    /// What is left and who has the rest.
    pub(crate) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Allocates `size` bytes for the application that cost as much as `padded` bytes.
    pub(crate) fn allocate(
        self: &Arc<Self>,
        size: usize,
        padded: usize,
        pages: PageSize,
    ) -> Result<*mut c_void, aclError> {
        self.allocate_for(APP, size, padded, pages)
    }

    /// Allocates `size` bytes for a module that cost as much as `padded` bytes.
    pub(crate) fn allocate_for(
        self: &Arc<Self>,
        module: u16,
        size: usize,
        padded: usize,
        pages: PageSize,
    ) -> Result<*mut c_void, aclError> {
        self.allocate_listed(module, size, padded, pages, true)
    }

    /// Allocates a page for the runtime itself, which no program has to give back.
    pub(crate) fn allocate_internal(self: &Arc<Self>, size: usize) -> Result<*mut c_void, aclError> {
        self.allocate_listed(RUNTIME, size, size, PageSize::Normal, false)
    }

    fn allocate_listed(
        self: &Arc<Self>,
        module: u16,
        size: usize,
        padded: usize,
        pages: PageSize,
        listed: bool,
    ) -> Result<*mut c_void, aclError> {
        let charge = self.accounts.take(padded, pages, module).ok_or_else(|| {
            let (free, total) = self.accounts.free_and_total(NORMAL_PAGE);
            fail(
                sys::ACL_ERROR_RT_MEMORY_ALLOCATION,
                format_args!(
                    "device {} cannot allocate {size} bytes: {free} of {total} bytes are free",
                    self.device
                ),
            )
        })?;
        let allocated = self.space().and_then(|space| {
            let footprint = Arena::footprint(padded).ok_or_else(|| io::Error::other("size overflows"))?;
            Ok((Arc::clone(space), space.take(footprint)?, footprint))
        });
        let (space, offset, footprint) = match allocated {
            Ok(allocated) => allocated,
            Err(error) => {
                self.accounts.give(charge);
                return Err(fail(
                    sys::ACL_ERROR_RT_MEMORY_ALLOCATION,
                    format_args!("device {} cannot allocate {size} bytes: {error}", self.device),
                ));
            }
        };
        let address = space.address(offset).cast();
        let block = Block::new(space, offset, size, footprint, charge.page());
        let registration = listed.then(|| {
            register(LiveKind::DeviceMemory, format!("{size} bytes at {address:p} on device {}", self.device))
        });
        self.blocks.write().insert(offset, Entry { block, charge, _registration: registration });
        Ok(address)
    }

    /// Frees an allocation that was never given out, unless a reset has just done so: then its address is in quarantine and nobody
    /// else's yet.
    pub(crate) fn take_back(&self, pointer: *mut c_void) {
        self.free(pointer.addr());
    }

    /// Frees everything: the device is being reset. Gives the number of allocations that were still alive.
    pub(crate) fn release_all(&self) -> usize {
        let blocks = std::mem::take(&mut *self.blocks.write());
        let count = blocks.len();
        for entry in blocks.into_values() {
            self.accounts.give(entry.charge);
            entry.block.free();
        }
        count
    }

    fn space(self: &Arc<Self>) -> io::Result<&Arc<Space>> {
        if let Some(space) = self.space.get() {
            return Ok(space);
        }
        let new = Arc::new(Space::new(self.device, self.capacity, self.host_access)?);
        Ok(self.space.get_or_init(|| {
            // Before another thread finds the space and allocates in it.
            let this: Arc<dyn Region> = Arc::<Self>::clone(self);
            region::register(new.address.base().addr(), new.address.len(), Arc::downgrade(&this));
            new
        }))
    }

    fn offset_of(&self, address: usize) -> Option<usize> {
        self.space.get()?.offset_of(address)
    }
}

impl Region for DeviceMemory {
    fn location(&self) -> Location {
        Location::Device(self.device)
    }

    fn find(&self, address: usize) -> Option<(Arc<dyn Backing>, usize)> {
        let offset = self.offset_of(address)?;
        let blocks = self.blocks.read();
        let (_, entry) = blocks.range(..=offset).next_back()?;
        let inside = offset - entry.block.offset();
        if inside >= entry.block.size() {
            return None;
        }
        let block: Arc<dyn Backing> = Arc::<Block>::clone(&entry.block);
        Some((block, inside))
    }

    fn free(&self, address: usize) -> bool {
        let entry = self.offset_of(address).and_then(|offset| self.blocks.write().remove(&offset));
        let Some(entry) = entry else { return false };
        self.accounts.give(entry.charge);
        entry.block.free();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    /// Whoever gets an address finds out at once what it is, also while another thread sets the address space up.
    #[test]
    fn the_first_allocations_of_several_threads_are_known() {
        for _ in 0..2000 {
            let (memory, barrier) = (DeviceMemory::new(0, 1 << 24, false), Barrier::new(4));
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        barrier.wait();
                        let address = memory.allocate_internal(4096).unwrap();
                        assert!(region::of(address).is_some(), "{address:p} is taken for memory of the host");
                    });
                }
            });
            memory.release_all();
        }
    }

    /// As where the address space of processes is limited.
    #[test]
    fn a_device_with_more_memory_than_there_is_address_space() {
        let memory = DeviceMemory::new(0, 1 << 47, false);
        let address = memory.allocate_internal(4096).unwrap();
        assert!(region::of(address).is_some());
        assert_eq!(memory.release_all(), 1);
    }

    #[test]
    fn only_what_was_taken_is_open() {
        for host_access in [false, true] {
            let space = Space::new(0, 8 << 30, host_access).unwrap();
            let readable = |address: *mut u8| {
                let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
                maps.lines().any(|line| {
                    let (range, rest) = line.split_once(' ').unwrap();
                    let (start, end) = range.split_once('-').unwrap();
                    let number = |text| usize::from_str_radix(text, 16).unwrap();
                    (number(start)..number(end)).contains(&address.addr()) && rest.starts_with("rw")
                })
            };
            assert!(!readable(space.alias(0)));
            let small = space.take(4096).unwrap();
            assert!(readable(space.alias(small)) && readable(space.alias(small + 4095)));
            assert!(!readable(space.alias(2 * STEP)));
            let large = space.take(3 * STEP).unwrap();
            assert!(readable(space.alias(large)) && readable(space.alias(large + 3 * STEP - 1)));
            assert!(!readable(space.alias(8 << 30)));
            assert_eq!(readable(space.address(large)), host_access);
            assert!(!readable(space.address(8 << 30)));
        }
    }
}
