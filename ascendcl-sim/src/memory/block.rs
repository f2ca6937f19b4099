//! One device allocation: its life and its poison.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError};

use super::poison::{FREED, FRESH, PIECE, Poison};
use super::range::{Backing, Loan};
use super::space::Space;
use crate::check::{Access, CallSite, Mark, Misuse, Place, Shadow, misuse, remember_place};
use crate::error::fail;
use crate::lock::Mutex;

/// A device allocation. Its bytes go back to the device's address range when it is freed and no window is open over it.
pub(crate) struct Block {
    space: Arc<Space>,
    offset: usize,
    size: usize,
    footprint: usize,
    page: usize,
    life: Mutex<Life>,
    /// None for what is poisoned at once.
    poison: Option<Poison>,
    shadow: Shadow,
    /// What those know who wrote values that streams wait for.
    values: Mark,
}

#[derive(Default)]
struct Life {
    freed: bool,
    freed_at: Option<&'static CallSite>,
    windows: usize,
}

impl Block {
    pub(super) fn new(
        space: Arc<Space>,
        offset: usize,
        size: usize,
        footprint: usize,
        page: usize,
    ) -> Arc<Self> {
        let poison = (size > PIECE).then(|| Poison::new(size));
        let block = Self {
            space,
            offset,
            size,
            footprint,
            page,
            life: Mutex::new(Life::default()),
            shadow: Shadow::default(),
            values: Mark::default(),
            poison,
        };
        if block.poison.is_none() {
            block.fill(0, size, FRESH);
        } else if block.space.host_access() {
            // The host may read without asking us first.
            block.touch(0, size);
        }
        Arc::new(block)
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
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
        if let Some(poison) = &self.poison {
            poison.touch(start, len, |start, len| self.fill(start, len, FRESH));
        }
    }

    fn fill(&self, start: usize, len: usize, byte: u8) {
        // SAFETY: [mapped] `[start, start + len)` is inside this block, whose bytes are mapped in the alias for as long as `space` lives; the
        // block has them for itself until `give_back`.
        unsafe { libc::memset(self.alias().add(start).cast(), byte.into(), len) };
    }

    /// What a report calls it.
    fn place(&self) -> Place {
        let what = format!("an allocation of {} bytes on device {}", self.size, self.space.device());
        Place { what, address: self.address() }
    }

    fn alias(&self) -> *mut u8 {
        self.space.alias(self.offset)
    }
}

impl Backing for Block {
    fn device(&self) -> Option<i32> {
        Some(self.space.device())
    }

    fn address(&self) -> usize {
        self.space.address(self.offset).addr()
    }

    fn size(&self) -> usize {
        self.size
    }

    fn page(&self) -> usize {
        self.page
    }

    fn begin(&self, access: Access, start: usize, len: usize) -> Result<(), aclError> {
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
                        "device memory of {} bytes was freed before the queued work that uses it ran{}",
                        self.size,
                        freed.trim_end()
                    ),
                );
                return Err(fail(
                    sys::ACL_ERROR_RT_SYS_DMA,
                    format_args!(
                        "device memory of {} bytes on device {} was freed before the queued work that uses it ran",
                        self.size,
                        self.space.device()
                    ),
                ));
            }
            life.windows += 1;
        }
        self.touch(start, len);
        self.shadow.note(access, start, len, || self.place());
        Ok(())
    }

    fn is_live(&self) -> bool {
        !self.life.lock().freed
    }

    fn values(&self) -> &Mark {
        &self.values
    }

    fn end(&self) {
        let last = {
            let mut life = self.life.lock();
            life.windows -= 1;
            life.freed && life.windows == 0
        };
        if last {
            self.retire();
        }
    }

    fn bytes(&self, start: usize) -> *mut u8 {
        // SAFETY: [mapped] `start` is inside the block (ranges are checked when they are made), and the block inside the alias.
        unsafe { self.alias().add(start) }
    }

    fn loan(&self) -> Option<Loan> {
        if let Some(poison) = &self.poison {
            poison.settle(|start, len| self.fill(start, len, FRESH));
        }
        let memory = self.space.memory();
        let node = memory.node().ok()?;
        Some(Loan { file: memory.file().as_raw_fd(), node, start: self.offset, size: self.size })
    }
}
