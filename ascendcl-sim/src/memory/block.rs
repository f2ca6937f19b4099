//! One device allocation: its life, its poison, and windows over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ascendcl_sys::{self as sys, aclError};

use super::space::Space;
use crate::check::{Access, CallSite, Misuse, Place, Shadow, misuse, remember_place};
use crate::error::fail;
use crate::lock::Mutex;

/// What fresh memory reads as.
pub(crate) const FRESH: u8 = 0xcb;
/// What freed memory reads as, where somebody still manages to read it.
pub(crate) const FREED: u8 = 0xdd;

/// Large allocations are poisoned piece by piece as they are first touched, so that filling a card costs no memory.
const PIECE: usize = 1 << 20;

/// A device allocation. Its bytes go back to the device's address range when it is freed and no window is open over it.
pub(crate) struct Block {
    space: Arc<Space>,
    offset: usize,
    size: usize,
    footprint: usize,
    life: Mutex<Life>,
    poison: Poison,
    shadow: Shadow,
}

#[derive(Default)]
struct Life {
    freed: bool,
    freed_at: Option<Arc<CallSite>>,
    windows: usize,
}

struct Poison {
    complete: AtomicBool,
    pieces: Mutex<Vec<bool>>,
}

impl Block {
    pub(super) fn new(space: Arc<Space>, offset: usize, size: usize, footprint: usize) -> Arc<Self> {
        let pieces = if size <= PIECE { 0 } else { size.div_ceil(PIECE) };
        let block = Self {
            space,
            offset,
            size,
            footprint,
            life: Mutex::new(Life::default()),
            shadow: Shadow::default(),
            poison: Poison {
                complete: AtomicBool::new(pieces == 0),
                pieces: Mutex::new(vec![false; pieces]),
            },
        };
        if pieces == 0 {
            block.fill(0, size, FRESH);
        } else if block.space.host_access() {
            // The host may read without asking us first.
            block.touch(0, size);
        }
        Arc::new(block)
    }

    pub(crate) fn device(&self) -> i32 {
        self.space.device()
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Ends the life of the block: poisons it now, or when the last window closes.
    pub(super) fn free(&self) {
        self.shadow.note(Access::WRITE, 0, self.size, || self.place());
        let place = remember_place();
        let idle = {
            let mut life = self.life.lock();
            debug_assert!(!life.freed, "the map of live blocks gives a block to one caller only");
            life.freed = true;
            life.freed_at = place;
            life.windows == 0
        };
        if !idle {
            misuse(
                Misuse::FreedInUse,
                format_args!(
                    "device memory of {} bytes is freed while a task uses it: synchronise first",
                    self.size
                ),
            );
        }
        if idle {
            self.retire();
        }
    }

    /// Runs once: after `free` with no window open, or when the last window closes after `free`.
    fn retire(&self) {
        let memory = if self.size <= PIECE {
            self.fill(0, self.size, FREED);
            self.size
        } else {
            self.space.discard(self.offset, self.size);
            0
        };
        self.space.give_back(self.offset, self.footprint, memory);
    }

    /// Poisons the pieces that `[start, start + len)` touches for the first time.
    fn touch(&self, start: usize, len: usize) {
        if self.poison.complete.load(Ordering::Acquire) {
            return;
        }
        let mut pieces = self.poison.pieces.lock();
        for piece in start / PIECE..(start + len).div_ceil(PIECE) {
            if !std::mem::replace(&mut pieces[piece], true) {
                let first = piece * PIECE;
                self.fill(first, PIECE.min(self.size - first), FRESH);
            }
        }
        if pieces.iter().all(|&done| done) {
            self.poison.complete.store(true, Ordering::Release);
        }
    }

    fn fill(&self, start: usize, len: usize, byte: u8) {
        // SAFETY: `[start, start + len)` is inside this block, whose bytes are mapped in the alias for as long as `space` lives; the
        // block has them for itself until `give_back`.
        unsafe { libc::memset(self.alias().add(start).cast(), byte.into(), len) };
    }

    /// What a report calls it.
    fn place(&self) -> Place {
        let what = format!("an allocation of {} bytes on device {}", self.size, self.device());
        Place { what, address: self.address() }
    }

    /// Where the program sees it.
    fn address(&self) -> usize {
        self.space.address(self.offset)
    }

    fn alias(&self) -> *mut u8 {
        self.space.alias(self.offset)
    }
}

/// A checked part of one live device allocation. It can wait in a queue: it does not keep the memory from being freed.
#[derive(Clone)]
pub(crate) struct DeviceRange {
    block: Arc<Block>,
    start: usize,
    len: usize,
}

impl DeviceRange {
    /// The caller has checked that the range lies inside the block.
    pub(super) fn new(block: Arc<Block>, start: usize, len: usize) -> Self {
        debug_assert!(start.checked_add(len).is_some_and(|end| end <= block.size));
        Self { block, start, len }
    }

    pub(crate) fn device(&self) -> i32 {
        self.block.device()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Access to the bytes for the time of one operation. Memory that was freed meanwhile is what a DMA engine would trip over:
    /// 507013.
    pub(crate) fn open(&self, access: Access) -> Result<DeviceBytes, aclError> {
        {
            let mut life = self.block.life.lock();
            if life.freed {
                let freed_at = life.freed_at.take();
                drop(life);
                let freed = freed_at
                    .map(|site| format!("\n  freed by {}\n{site}", site.function()))
                    .unwrap_or_default();
                misuse(
                    Misuse::FreedInUse,
                    format_args!(
                        "device memory of {} bytes was freed before the queued work that uses it ran{}",
                        self.block.size,
                        freed.trim_end()
                    ),
                );
                return Err(fail(
                    sys::ACL_ERROR_RT_SYS_DMA,
                    format_args!(
                        "device memory of {} bytes on device {} was freed before the queued work that uses it ran",
                        self.block.size,
                        self.device()
                    ),
                ));
            }
            life.windows += 1;
        }
        let bytes = DeviceBytes { range: self.clone() };
        self.block.touch(self.start, self.len);
        self.block.shadow.note(access, self.start, self.len, || self.block.place());
        Ok(bytes)
    }
}

/// Access to device bytes. While it lives they are not poisoned and not given to anybody else.
pub(crate) struct DeviceBytes {
    range: DeviceRange,
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
        // SAFETY: `start` is inside the block, and the block inside the alias.
        unsafe { self.range.block.alias().add(self.range.start) }
    }

    /// A copy of the bytes.
    pub(crate) fn read_to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        // SAFETY: source and destination are `len` bytes long; the vector is new, so they do not overlap.
        unsafe { libc::memcpy(bytes.as_mut_ptr().cast(), self.as_ptr().cast(), self.len()) };
        bytes
    }

    /// Writes `bytes` at `offset`. Panics if they do not fit.
    pub(crate) fn write_from(&self, offset: usize, bytes: &[u8]) {
        assert!(
            offset.checked_add(bytes.len()).is_some_and(|end| end <= self.len()),
            "write past the window"
        );
        // SAFETY: the range was just checked; host memory and device alias do not overlap.
        unsafe { libc::memcpy(self.as_mut_ptr().add(offset).cast(), bytes.as_ptr().cast(), bytes.len()) };
    }
}

impl Drop for DeviceBytes {
    fn drop(&mut self) {
        let last = {
            let mut life = self.range.block.life.lock();
            life.windows -= 1;
            life.freed && life.windows == 0
        };
        if last {
            self.range.block.retire();
        }
    }
}
