//! Poison of memory that nobody has written yet.
//!
//! It is laid piece by piece as the memory is first touched, so that filling a card costs no memory.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::lock::Mutex;

/// What fresh memory reads as.
pub(crate) const FRESH: u8 = 0xcb;
/// What freed memory reads as, where somebody still manages to read it.
pub(crate) const FREED: u8 = 0xdd;

/// Memory of at most this size is poisoned at once.
pub(super) const PIECE: usize = 1 << 20;
/// Memory that others will look at without asking is poisoned up to this size; the rest of it reads as zeros.
const SETTLED: usize = 256 << 20;

pub(super) struct Poison {
    size: usize,
    complete: AtomicBool,
    pieces: Mutex<Vec<bool>>,
}

impl Poison {
    /// Of `size` bytes that are to be poisoned when they are touched.
    pub(super) fn new(size: usize) -> Self {
        let pieces = Mutex::new(vec![false; size.div_ceil(PIECE)]);
        Self { size, complete: AtomicBool::new(false), pieces }
    }

    /// Poisons the pieces that `[start, start + len)` touches for the first time: `fill` gets their start and length.
    pub(super) fn touch(&self, start: usize, len: usize, fill: impl Fn(usize, usize)) {
        if self.complete.load(Ordering::Acquire) {
            return;
        }
        let mut pieces = self.pieces.lock();
        for piece in start / PIECE..(start + len).div_ceil(PIECE) {
            if !std::mem::replace(&mut pieces[piece], true) {
                let first = piece * PIECE;
                fill(first, PIECE.min(self.size - first));
            }
        }
        if pieces.iter().all(|&done| done) {
            self.complete.store(true, Ordering::Release);
        }
    }

    /// Poisons what is not yet, because others will read and write the memory without asking here.
    pub(super) fn settle(&self, fill: impl Fn(usize, usize)) {
        self.touch(0, self.size.min(SETTLED), fill);
        let mut pieces = self.pieces.lock();
        pieces.fill(true);
        self.complete.store(true, Ordering::Release);
    }
}
