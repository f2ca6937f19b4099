//! Pinned host memory: each piece in its own mapping, against a guard page, poisoned when fresh and sealed when freed.

use core::ffi::c_void;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError};

use super::map::{Mapping, page_size, physical_memory};
use super::poison::FRESH;
use super::region;
use crate::check::leak::{LiveKind, Registration, register};
use crate::check::{Access, CallSite, Misuse, Place, Shadow, misuse, remember_place};
use crate::error::fail;
use crate::lock::{Mutex, RwLock};

/// Addresses are multiples of this and, on purpose, rarely of anything larger.
const ALIGN: usize = 64;
/// Sealed mappings that keep their address from being used again, and how much address space they may hold.
const QUARANTINE_PIECES: usize = 1024;
const QUARANTINE_BYTES: usize = 1 << 30;

/// One piece of pinned memory.
pub(crate) struct PinnedBlock {
    address: usize,
    size: usize,
    /// Devices that it is registered with use it at the host's address.
    same_address: bool,
    life: Mutex<Life>,
    shadow: Shadow,
}

#[derive(Default)]
struct Life {
    freed: bool,
    freed_at: Option<&'static CallSite>,
    windows: usize,
    mapping: Option<Mapping>,
}

struct Entry {
    block: Arc<PinnedBlock>,
    _registration: Registration,
}

static LIVE: RwLock<BTreeMap<usize, Entry>> = RwLock::new(BTreeMap::new());
/// Plain host memory that counts as pinned because it is registered with a device.
static REGISTERED: RwLock<BTreeMap<usize, Arc<PinnedBlock>>> = RwLock::new(BTreeMap::new());

struct Quarantine {
    pieces: VecDeque<Mapping>,
    bytes: usize,
}

static QUARANTINE: Mutex<Quarantine> = Mutex::new(Quarantine { pieces: VecDeque::new(), bytes: 0 });

impl PinnedBlock {
    pub(super) fn address(&self) -> usize {
        self.address
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether devices that it is registered with use it at the host's address.
    pub(super) fn same_address(&self) -> bool {
        self.same_address
    }

    /// Access to `[start, start + len)` begins; false if the memory was freed.
    pub(super) fn begin(&self, access: Access, start: usize, len: usize) -> bool {
        {
            let mut life = self.life.lock();
            if life.freed {
                let freed_at = life.freed_at.take();
                drop(life);
                let freed = freed_at
                    .map(|site| format!("\n  freed by {}\n{site}", site.function()))
                    .unwrap_or_default();
                misuse(
                    Misuse::FreedInUse,
                    format_args!(
                        "pinned memory of {} bytes was freed before the queued work that uses it ran{}",
                        self.size,
                        freed.trim_end()
                    ),
                );
                return false;
            }
            life.windows += 1;
        }
        self.shadow.note(access, start, len, || self.place());
        true
    }

    /// What a report calls it.
    fn place(&self) -> Place {
        let what = format!("a piece of pinned memory of {} bytes", self.size);
        Place { what, address: self.address }
    }

    /// Access ends.
    pub(super) fn end(&self) {
        let mut life = self.life.lock();
        life.windows -= 1;
        if life.freed && life.windows == 0 {
            seal(life.mapping.take());
        }
    }

    fn free(&self) {
        self.shadow.note(Access::WRITE, 0, self.size, || self.place());
        let place = remember_place();
        let mut life = self.life.lock();
        life.freed = true;
        life.freed_at = place;
        if life.windows == 0 {
            return seal(life.mapping.take());
        }
        drop(life);
        misuse(
            Misuse::FreedInUse,
            format_args!(
                "pinned memory of {} bytes is freed while a task uses it: synchronise first",
                self.size
            ),
        );
    }
}

/// Makes a freed mapping inaccessible, so that a host access through a stale pointer faults, and rests its address.
fn seal(mapping: Option<Mapping>) {
    let Some(mapping) = mapping else { return };
    mapping.seal(0, mapping.len());
    let mut quarantine = QUARANTINE.lock();
    quarantine.bytes += mapping.len();
    quarantine.pieces.push_back(mapping);
    while quarantine.pieces.len() > QUARANTINE_PIECES || quarantine.bytes > QUARANTINE_BYTES {
        let Some(oldest) = quarantine.pieces.pop_front() else { break };
        quarantine.bytes -= oldest.len();
    }
}

/// A checked part of one piece of pinned memory. It can wait in a queue: it does not keep the memory from being freed.
#[derive(Clone)]
pub(crate) struct PinnedRange {
    block: Arc<PinnedBlock>,
    start: usize,
    len: usize,
}

impl PinnedRange {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The part `[start, start + len)` of it. Panics if that is not inside.
    pub(crate) fn part(&self, start: usize, len: usize) -> Self {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len), "part past the range");
        Self { block: Arc::clone(&self.block), start: self.start + start, len }
    }

    /// Access for the time of one operation; `None` if the memory was freed.
    pub(crate) fn open(&self, access: Access) -> Option<PinnedBytes> {
        self.block.begin(access, self.start, self.len).then(|| PinnedBytes { range: self.clone() })
    }
}

/// Access to pinned bytes; while it lives they stay mapped.
pub(crate) struct PinnedBytes {
    range: PinnedRange,
}

impl PinnedBytes {
    pub(crate) fn as_mut_ptr(&self) -> *mut u8 {
        std::ptr::with_exposed_provenance_mut(self.range.block.address + self.range.start)
    }
}

impl Drop for PinnedBytes {
    fn drop(&mut self) {
        self.range.block.end();
    }
}

/// `aclrtMallocHost` after its checks. With `same_address` devices that the memory is registered with use it at its host address.
pub(crate) fn malloc_host(size: usize, same_address: bool) -> Result<*mut c_void, aclError> {
    let failed = |why: &dyn std::fmt::Display| {
        fail(
            sys::ACL_ERROR_RT_MEMORY_ALLOCATION,
            format_args!("cannot allocate {size} bytes of pinned memory: {why}"),
        )
    };
    // Page-locked memory is there at once, and all of it is written below.
    if size > physical_memory() {
        return Err(failed(&"this machine has less"));
    }
    let page = page_size();
    let rounded = size.checked_next_multiple_of(ALIGN).ok_or_else(|| failed(&"the size overflows"))?;
    let data = rounded.checked_next_multiple_of(page).ok_or_else(|| failed(&"the size overflows"))?;
    let whole = data.checked_add(page).ok_or_else(|| failed(&"the size overflows"))?;
    let mapping = Mapping::anonymous(whole).map_err(|error| failed(&error))?;
    mapping.seal(data, page);
    // The data ends at the guard page, so that writing past it faults.
    // SAFETY: [mapped] `rounded <= data`, and `data` bytes are mapped.
    let start = unsafe { mapping.base().add(data - rounded) };
    // SAFETY: [mapped] `rounded` bytes from `start` are mapped, writable and ours.
    unsafe { libc::memset(start.cast(), FRESH.into(), rounded) };
    let address = start.expose_provenance();
    let life = Mutex::new(Life { mapping: Some(mapping), ..Life::default() });
    let block = Arc::new(PinnedBlock { address, size, same_address, life, shadow: Shadow::default() });
    let registration = register(LiveKind::PinnedMemory, format!("{size} bytes at {start:p}"));
    LIVE.write().insert(address, Entry { block, _registration: registration });
    Ok(start.cast())
}

/// `aclrtFreeHost` after its NULL check.
pub(crate) fn free_host(pointer: *mut c_void) -> Result<(), aclError> {
    let entry = LIVE.write().remove(&pointer.addr());
    match entry {
        Some(entry) => {
            entry.block.free();
            Ok(())
        }
        None if region::of(pointer).is_some() => Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("{pointer:p} has a device address: aclrtFree frees it"),
        )),
        None => Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("{pointer:p} is not the start of a live piece of pinned memory"),
        )),
    }
}

/// The piece of pinned memory that `pointer` lies in, and the offset there.
pub(super) fn find(pointer: *const c_void) -> Option<(Arc<PinnedBlock>, usize)> {
    let address = pointer.addr();
    let inside = |block: &Arc<PinnedBlock>| {
        let inside = address - block.address;
        (inside < block.size).then(|| (Arc::clone(block), inside))
    };
    let live = LIVE.read();
    if let Some(found) = live.range(..=address).next_back().and_then(|(_, entry)| inside(&entry.block)) {
        return Some(found);
    }
    drop(live);
    let registered = REGISTERED.read();
    registered.range(..=address).next_back().and_then(|(_, block)| inside(block))
}

/// From now on plain host memory counts as pinned.
pub(super) fn adopt(address: usize, size: usize) -> Arc<PinnedBlock> {
    let life = Mutex::default();
    let block = Arc::new(PinnedBlock { address, size, same_address: false, life, shadow: Shadow::default() });
    REGISTERED.write().insert(address, Arc::clone(&block));
    block
}

/// What [`adopt`] made pinned is plain host memory again.
pub(super) fn disown(block: &PinnedBlock) {
    REGISTERED.write().remove(&block.address);
    block.free();
}

/// The first address and the size of the piece of pinned memory that `pointer` lies in.
pub(crate) fn pinned_range(pointer: *const c_void) -> Option<(usize, usize)> {
    find(pointer).map(|(block, _)| (block.address, block.size))
}

/// A checked part of the piece that [`find`] found.
pub(super) fn range(
    (block, start): (Arc<PinnedBlock>, usize),
    pointer: *const c_void,
    len: usize,
) -> Result<PinnedRange, aclError> {
    if len > block.size - start {
        misuse(
            Misuse::PastTheEnd,
            format_args!(
                "{len} bytes at {pointer:p} are used, but the pinned memory of {} bytes ends after {}",
                block.size,
                block.size - start
            ),
        );
        return Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!(
                "{len} bytes at {pointer:p} reach past the end of a piece of pinned memory of {} bytes",
                block.size
            ),
        ));
    }
    Ok(PinnedRange { block, start, len })
}
