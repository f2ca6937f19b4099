//! Physical memory: bytes that have no address until they are mapped, and the handles that programs have for them.

use core::ffi::c_void;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError, aclrtMemAttr, aclrtMemLocationType};

use super::accounts::{APP, Charge, GIANT_PAGE, HUGE_PAGE, PageSize};
use super::map::{Mapping, SharedMemory, page_size, physical_memory};
use super::offer::Taken;
use super::poison::{FRESH, Poison};
use super::range::Loan;
use super::shareable;
use super::space::DeviceMemory;
use crate::check::leak::{LiveKind, Registration, register};
use crate::check::{Mark, Shadow};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;

/// Bytes that can be mapped at several addresses and given to other processes. They end with their last user.
pub(super) struct Piece {
    memory: SharedMemory,
    alias: Mapping,
    /// Where the bytes start in the alias.
    first: usize,
    size: usize,
    /// Addresses and sizes of its mappings are multiples of this.
    step: usize,
    home: Option<i32>,
    /// The host reads and writes it where it is mapped.
    visible: bool,
    origin: Origin,
    /// Whatever address they use: those who use the same bytes must agree.
    shadow: Shadow,
    values: Mark,
}

enum Origin {
    Own { poison: Poison, charge: Option<(Arc<DeviceMemory>, Charge)> },
    Foreign(Taken),
}

impl Piece {
    /// Memory of another process: `(start, size)` of what it lends.
    pub(super) fn foreign(
        memory: SharedMemory,
        (start, size): (usize, usize),
        home: Option<i32>,
        step: usize,
        taken: Taken,
    ) -> io::Result<Arc<Self>> {
        let first = start % page_size();
        let len = first.checked_add(size).ok_or_else(|| io::Error::other("size overflows"))?;
        let alias = Mapping::view_part(&memory, start - first, len)?;
        Ok(Arc::new(Self {
            memory,
            alias,
            first,
            size,
            step,
            home,
            visible: home.is_none(),
            origin: Origin::Foreign(taken),
            shadow: Shadow::default(),
            values: Mark::default(),
        }))
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Addresses and sizes of its mappings are multiples of this.
    pub(super) fn step(&self) -> usize {
        self.step
    }

    /// The device whose memory this is; `None` for memory of the host.
    pub(super) fn home(&self) -> Option<i32> {
        self.home
    }

    /// What it was before this process had it, if that is so.
    pub(super) fn taken(&self) -> Option<&Taken> {
        match &self.origin {
            Origin::Own { .. } => None,
            Origin::Foreign(taken) => Some(taken),
        }
    }

    pub(super) fn is_foreign(&self) -> bool {
        self.taken().is_some()
    }

    /// Whether the host reads and writes it where it is mapped.
    pub(super) fn visible(&self) -> bool {
        self.visible
    }

    /// Where the bytes start in a page.
    pub(super) fn first(&self) -> usize {
        self.first
    }

    pub(super) fn memory(&self) -> &SharedMemory {
        &self.memory
    }

    pub(super) fn shadow(&self) -> &Shadow {
        &self.shadow
    }

    pub(super) fn values(&self) -> &Mark {
        &self.values
    }

    /// Where the simulator reads and writes the bytes.
    pub(super) fn alias(&self) -> *mut u8 {
        // SAFETY: [mapped] `first` is inside the alias.
        unsafe { self.alias.base().add(self.first) }
    }

    pub(super) fn touch(&self, start: usize, len: usize) {
        if let Origin::Own { poison, .. } = &self.origin {
            poison.touch(start, len, |start, len| self.fill(start, len));
        }
    }

    /// From now on the bytes are read and written without asking here.
    pub(super) fn expose(&self) {
        if let Origin::Own { poison, .. } = &self.origin {
            poison.settle(|start, len| self.fill(start, len));
        }
    }

    fn fill(&self, start: usize, len: usize) {
        // SAFETY: [mapped] the range is inside the piece, which is mapped in the alias; nobody has touched these bytes yet.
        unsafe { libc::memset(self.alias().add(start).cast(), FRESH.into(), len) };
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Origin::Own { charge, .. } = &mut self.origin
            && let Some((memory, charge)) = charge.take()
        {
            memory.accounts().give(charge);
        }
    }
}

/// What a program asked for when it made physical memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Properties {
    pub(crate) location: aclrtMemLocationType,
    pub(crate) id: u32,
    pub(crate) attribute: aclrtMemAttr,
}

/// Whether memory with this attribute has pages of 1 GiB.
pub(crate) fn is_giant(attribute: aclrtMemAttr) -> bool {
    matches!(
        attribute,
        sys::ACL_HBM_MEM_HUGE1G | sys::ACL_HBM_MEM_P2P_HUGE1G | sys::ACL_MEM_HUGE1G | sys::ACL_MEM_P2P_HUGE1G
    )
}

/// What sizes of memory with this attribute are multiples of.
pub(crate) fn granularity(attribute: aclrtMemAttr) -> usize {
    if is_giant(attribute) { GIANT_PAGE } else { HUGE_PAGE }
}

/// What a handle stands for.
pub(crate) struct Physical {
    piece: Arc<Piece>,
    /// `None` for memory of another process, of which nobody says.
    properties: Option<Properties>,
    uses: Mutex<Uses>,
}

struct Uses {
    /// How often the program has to give the handle back.
    held: usize,
    mapped: usize,
    registration: Option<Registration>,
    /// Under which number other processes can have it.
    exported: Option<u64>,
}

static PHYSICAL: Table<Physical> = Table::new(Kind::PhysicalMemory);

impl Physical {
    pub(super) fn piece(&self) -> &Arc<Piece> {
        &self.piece
    }

    pub(crate) fn properties(&self) -> Option<Properties> {
        self.properties
    }

    /// Gives this memory out under the number that `make` finds, once: `None` if it was given out before, or is not ours.
    pub(super) fn export_once(
        &self,
        make: impl FnOnce(&Piece, Loan) -> Result<u64, aclError>,
    ) -> Result<Option<u64>, aclError> {
        let mut uses = self.uses.lock();
        if uses.exported.is_some() || self.properties.is_none() {
            return Ok(None);
        }
        self.piece.expose();
        let memory = self.piece.memory();
        let node = memory.node().map_err(|error| {
            fail(sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR, format_args!("cannot share memory: {error}"))
        })?;
        let loan = Loan { file: memory.file().as_raw_fd(), node, start: 0, size: self.piece.size() };
        let number = make(&self.piece, loan)?;
        uses.exported = Some(number);
        Ok(Some(number))
    }
}

/// `aclrtMallocPhysical` after its checks: `memory` is that of a device, or `None` for the host.
pub(crate) fn allocate(
    memory: Option<&Arc<DeviceMemory>>,
    size: usize,
    properties: Properties,
) -> Result<*mut c_void, aclError> {
    let failed = |why: &dyn std::fmt::Display| {
        fail(
            sys::ACL_ERROR_RT_MEMORY_ALLOCATION,
            format_args!("cannot allocate {size} bytes of physical memory: {why}"),
        )
    };
    let pages = if is_giant(properties.attribute) { PageSize::Giant } else { PageSize::Huge };
    let charge = match memory {
        Some(memory) => {
            let charge = memory.accounts().take(size, pages, APP).ok_or_else(|| {
                let (free, total) = memory.accounts().free_and_total(HUGE_PAGE);
                let device = memory.device();
                failed(&format_args!("{free} of {total} bytes of device {device} are free"))
            })?;
            Some((Arc::clone(memory), charge))
        }
        None if size > physical_memory() => return Err(failed(&"this machine has less")),
        None => None,
    };
    let home = memory.map(|memory| memory.device());
    let visible = memory.is_none_or(|memory| memory.host_access());
    let step = granularity(properties.attribute);
    let made = SharedMemory::new(size).and_then(|memory| {
        let alias = Mapping::view(&memory)?;
        Ok((memory, alias))
    });
    let (bytes, alias) = match made {
        Ok(made) => made,
        Err(error) => {
            if let Some((memory, charge)) = charge {
                memory.accounts().give(charge);
            }
            return Err(failed(&error));
        }
    };
    let origin = Origin::Own { poison: Poison::new(size), charge };
    let piece = Arc::new(Piece {
        memory: bytes,
        alias,
        first: 0,
        size,
        step,
        home,
        visible,
        origin,
        shadow: Shadow::default(),
        values: Mark::default(),
    });
    if visible {
        piece.expose();
    }
    let place = home.map_or_else(|| "the host".to_owned(), |device| format!("device {device}"));
    insert(piece, Some(properties), LiveKind::PhysicalMemory, format!("{size} bytes of {place}"))
}

/// A handle for memory that another process offered.
pub(super) fn adopt(piece: Arc<Piece>) -> Result<*mut c_void, aclError> {
    let owner = piece.taken().map_or(0, Taken::owner);
    let detail = format!("{} bytes of process {owner}", piece.size());
    insert(piece, None, LiveKind::ImportedMemory, detail)
}

fn insert(
    piece: Arc<Piece>,
    properties: Option<Properties>,
    kind: LiveKind,
    detail: String,
) -> Result<*mut c_void, aclError> {
    let registration = Some(register(kind, detail));
    let uses = Mutex::new(Uses { held: 1, mapped: 0, registration, exported: None });
    let physical = Arc::new(Physical { piece, properties, uses });
    PHYSICAL.insert_with(None, |_| physical).ok_or_else(|| {
        fail(sys::ACL_ERROR_RT_MEMORY_ALLOCATION, "a million handles of physical memory are alive")
    })
}

fn find(handle: *const c_void) -> Result<Arc<Physical>, aclError> {
    PHYSICAL.get(handle).ok_or_else(|| {
        fail(
            sys::ACL_ERROR_RT_INVALID_HANDLE,
            format_args!("the handle of physical memory {handle:p} {}", PHYSICAL.describe(handle)),
        )
    })
}

fn freed() -> aclError {
    fail(
        sys::ACL_ERROR_RT_INVALID_HANDLE,
        "the physical memory was freed before, and only waits for being unmapped",
    )
}

/// The memory behind a handle (107017).
pub(crate) fn lookup(handle: *const c_void) -> Result<Arc<Physical>, aclError> {
    let physical = find(handle)?;
    let held = physical.uses.lock().held;
    if held == 0 { Err(freed()) } else { Ok(physical) }
}

/// `aclrtFreePhysical`: the memory itself goes when it is mapped nowhere.
pub(crate) fn release(handle: *const c_void) -> Result<(), aclError> {
    let physical = find(handle)?;
    let mut uses = physical.uses.lock();
    uses.held = uses.held.checked_sub(1).ok_or_else(freed)?;
    if uses.held > 0 {
        return Ok(());
    }
    let (ended, exported) = (uses.registration.take(), uses.exported.take());
    let gone = uses.mapped == 0;
    drop(uses);
    drop(ended);
    if let Some(number) = exported {
        // Other processes cannot have it any more; those that do keep it.
        shareable::withdraw(number);
    }
    if gone {
        PHYSICAL.remove(handle);
    }
    Ok(())
}

/// Counts one more mapping of a handle.
pub(super) fn map(handle: *const c_void) -> Result<(), aclError> {
    find(handle)?.uses.lock().mapped += 1;
    Ok(())
}

/// Counts one mapping less.
pub(super) fn unmap(handle: *const c_void) {
    let Some(physical) = PHYSICAL.get(handle) else { return };
    let mut uses = physical.uses.lock();
    uses.mapped = uses.mapped.saturating_sub(1);
    let gone = uses.held + uses.mapped == 0;
    drop(uses);
    if gone {
        PHYSICAL.remove(handle);
    }
}

/// Counts one more time that the program has to give a handle back.
pub(super) fn retain(handle: *const c_void) -> Result<(), aclError> {
    let physical = find(handle)?;
    let mut uses = physical.uses.lock();
    uses.held += 1;
    if uses.registration.is_none() {
        let detail = format!("{} bytes, retained", physical.piece.size());
        uses.registration = Some(register(LiveKind::PhysicalMemory, detail));
    }
    Ok(())
}

/// The device is being reset: its physical memory goes. Gives how many handles were alive.
pub(super) fn release_device(device: i32) -> usize {
    let of_device = PHYSICAL.select(|physical| physical.piece.home() == Some(device));
    for (handle, physical) in &of_device {
        PHYSICAL.remove(*handle);
        let mut uses = physical.uses.lock();
        let (ended, exported) = (uses.registration.take(), uses.exported.take());
        drop(uses);
        drop(ended);
        if let Some(number) = exported {
            shareable::withdraw(number);
        }
    }
    of_device.len()
}
