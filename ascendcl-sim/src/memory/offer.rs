//! Memory that one process offers to others: what they need to find it, and who may.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::map::SharedMemory;
use super::physical::Piece;
use super::range::Loan;
use crate::core::process;
use crate::interprocess::{OpenError, Segment, SegmentKind};

/// The words of an offer.
const FILE: usize = 0;
const NODE: usize = 1;
const START: usize = 2;
const SIZE: usize = 3;
/// The physical device, or `u64::MAX` for memory of the host.
const DEVICE: usize = 4;
const STEP: usize = 5;
const ENDED: usize = 6;
const WORDS: usize = 7;

/// Memory of this process that others may use.
pub(super) struct Offer {
    segment: Segment,
    anybody: bool,
}

/// Why [`Offer::allow`] fails.
#[derive(Debug)]
pub(super) enum AllowError {
    /// Everybody may use it already.
    Anybody,
    TooMany,
}

impl Offer {
    /// Offers memory of `device`, or of the host, that is mapped in multiples of `step`.
    pub(super) fn make(loan: Loan, device: Option<i32>, step: usize, anybody: bool) -> io::Result<Self> {
        let segment = Segment::create(SegmentKind::Memory, WORDS * size_of::<u64>())?;
        let device = device.map_or(u64::MAX, |device| process::physical(device) as u64);
        let words = [loan.file as u64, loan.node, loan.start as u64, loan.size as u64, device, step as u64];
        for (index, word) in words.into_iter().enumerate() {
            segment.word(index).store(word, Ordering::Release);
        }
        if anybody {
            segment.allow_all();
        }
        Ok(Self { segment, anybody })
    }

    pub(super) fn key(&self) -> String {
        self.segment.key()
    }

    /// Lets processes use it.
    pub(super) fn allow(&self, pids: &[i32]) -> Result<(), AllowError> {
        if self.anybody {
            return Err(AllowError::Anybody);
        }
        if pids.iter().all(|&pid| self.segment.allow(pid)) { Ok(()) } else { Err(AllowError::TooMany) }
    }

    /// The memory is gone: others may not use it any more, not even those that have it.
    pub(super) fn end(&self) {
        self.segment.word(ENDED).store(1, Ordering::Release);
    }
}

/// Memory that another process offered, as this one has it.
pub(super) struct Taken {
    segment: Segment,
}

impl Taken {
    /// The process that offered it.
    pub(super) fn owner(&self) -> i32 {
        self.segment.creator()
    }

    /// Whether its owner freed it.
    pub(super) fn has_ended(&self) -> bool {
        self.word(ENDED) != 0
    }

    fn word(&self, index: usize) -> u64 {
        self.segment.word(index).load(Ordering::Acquire)
    }
}

/// Takes what was offered under `key`. Memory of a device that this process does not see counts as memory of `device`.
pub(super) fn take(key: &str, device: i32) -> Result<Arc<Piece>, OpenError> {
    let segment = Segment::open(SegmentKind::Memory, key)?;
    if segment.len() < WORDS * size_of::<u64>() {
        return Err(OpenError::Unknown);
    }
    let taken = Taken { segment };
    if taken.has_ended() || taken.owner() == std::process::id() as i32 {
        return Err(OpenError::Unknown);
    }
    let home = match taken.word(DEVICE) {
        u64::MAX => None,
        physical => Some(process::logical(physical as usize).unwrap_or(device)),
    };
    let step = taken.word(STEP) as usize;
    let (start, size) = (taken.word(START) as usize, taken.word(SIZE) as usize);
    let memory = SharedMemory::lent(taken.owner(), taken.word(FILE) as i32, taken.word(NODE));
    let memory = memory.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => OpenError::Unknown,
        _ => OpenError::Io(error),
    })?;
    Piece::foreign(memory, (start, size), home, step, taken).map_err(OpenError::Io)
}
