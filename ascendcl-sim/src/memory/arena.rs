//! Where in a device's address range an allocation lies: pure bookkeeping over offsets.
//!
//! Offsets are multiples of 64, and no more than that is promised. Freed ranges rest in a quarantine before they can be used
//! again, so that a stale pointer does not soon point to somebody else's data.

use std::collections::{BTreeMap, VecDeque};

/// Alignment of every allocation, and the least gap between two of them.
pub(crate) const ALIGN: usize = 64;

/// How many holes are looked at before fresh address space is taken instead.
const HOLES_TRIED: usize = 64;

/// No page is larger.
const LARGEST_PAGE: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Arena {
    size: usize,
    /// Address space from here on was never used.
    fresh: usize,
    holes: BTreeMap<usize, usize>,
    quarantine: VecDeque<Resting>,
    /// Bytes of address space, and of memory, that rest.
    resting: (usize, usize),
    limit: (usize, usize),
}

#[derive(Clone, Copy, Debug)]
struct Resting {
    start: usize,
    footprint: usize,
    memory: usize,
}

impl Arena {
    /// An empty range in whose quarantine rest at most so many bytes of address space, and of memory.
    pub(crate) fn new(size: usize, limit: (usize, usize)) -> Self {
        Self {
            size,
            // Offset 0 stays unused, so that a device's first pointer is not the base of its range.
            fresh: ALIGN,
            holes: BTreeMap::new(),
            quarantine: VecDeque::new(),
            resting: (0, 0),
            limit,
        }
    }

    /// Address space that an allocation of `len` bytes takes: rounded up, with a gap behind it, so that the end of one allocation
    /// is never the start of the next.
    pub(crate) fn footprint(len: usize) -> Option<usize> {
        len.checked_next_multiple_of(ALIGN)?.checked_add(ALIGN)
    }

    /// Finds room for a footprint.
    pub(crate) fn take(&mut self, footprint: usize) -> Option<usize> {
        if let Some(found) = self.take_hole(footprint, HOLES_TRIED) {
            return Some(found);
        }
        // Out of fresh address space: any hole, and at last what is still in quarantine.
        loop {
            if let Some(found) = self.take_fresh(footprint).or_else(|| self.take_hole(footprint, usize::MAX))
            {
                return Some(found);
            }
            self.release_oldest()?;
        }
    }

    fn take_fresh(&mut self, footprint: usize) -> Option<usize> {
        let start = self.fresh;
        let end = start.checked_add(footprint).filter(|&end| end <= self.size)?;
        self.fresh = end;
        Some(start)
    }

    /// Puts a range into quarantine and gives the ranges that leave it, with as much of the holes they touch as can share a page with them:
    /// their pages can go. `memory` is how much of the range still has pages.
    pub(crate) fn give(&mut self, start: usize, footprint: usize, memory: usize) -> Vec<(usize, usize)> {
        self.quarantine.push_back(Resting { start, footprint, memory });
        self.resting.0 += footprint;
        self.resting.1 += memory;
        let mut released = Vec::new();
        while self.resting.0 > self.limit.0 || self.resting.1 > self.limit.1 {
            released.extend(self.release_oldest());
        }
        released
    }

    fn take_hole(&mut self, footprint: usize, tries: usize) -> Option<usize> {
        let (&start, &len) = self.holes.iter().take(tries).find(|&(_, &len)| len >= footprint)?;
        self.holes.remove(&start);
        if len > footprint {
            self.holes.insert(start + footprint, len - footprint);
        }
        Some(start)
    }

    fn release_oldest(&mut self) -> Option<(usize, usize)> {
        let oldest = self.quarantine.pop_front()?;
        self.resting.0 -= oldest.footprint;
        self.resting.1 -= oldest.memory;
        let (mut start, mut len) = (oldest.start, oldest.footprint);
        if let Some((&before, &before_len)) = self.holes.range(..start).next_back()
            && before + before_len == start
        {
            self.holes.remove(&before);
            (start, len) = (before, before_len + len);
        }
        if let Some(after_len) = self.holes.remove(&(start + len)) {
            len += after_len;
        }
        if start + len == self.fresh {
            self.fresh = start;
        } else {
            self.holes.insert(start, len);
        }
        // What is further away has no pages any more. A hole may be as large as the device's memory, and its pages take long to look for.
        let end = (start + len).min(oldest.start + oldest.footprint + LARGEST_PAGE);
        let start = start.max(oldest.start.saturating_sub(LARGEST_PAGE));
        Some((start, end - start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_ranges_come_back_only_after_the_quarantine() {
        let mut arena = Arena::new(1 << 20, (1024, usize::MAX));
        let footprint = Arena::footprint(100).unwrap();
        assert_eq!(footprint, 192);
        let first = arena.take(footprint).unwrap();
        assert_eq!(first, 64);
        assert!(arena.give(first, footprint, 100).is_empty());
        for _ in 0..5 {
            let next = arena.take(footprint).unwrap();
            assert_ne!(next, first);
            arena.give(next, footprint, 100);
        }
        assert_eq!(arena.take(footprint), Some(first));
    }

    #[test]
    fn a_full_range_is_refused_and_usable_again_after_giving_back() {
        let mut arena = Arena::new(64 + 4 * 128, (usize::MAX, usize::MAX));
        let taken: Vec<_> = (0..4).map(|_| arena.take(128).unwrap()).collect();
        assert_eq!(arena.take(128), None);
        for &start in [taken[2], taken[0], taken[1], taken[3]].iter() {
            arena.give(start, 128, 1);
        }
        // The four holes must have grown together.
        assert_eq!(arena.take(4 * 128), Some(64));
    }

    #[test]
    fn what_leaves_the_quarantine_is_no_larger_for_the_hole_it_joins() {
        let mut arena = Arena::new(1 << 30, (0, 0));
        let (first, second, third) =
            (arena.take(1 << 20).unwrap(), arena.take(1 << 20).unwrap(), arena.take(128).unwrap());
        let end = arena.take(128).unwrap();
        assert_eq!(arena.give(first, 1 << 20, 1 << 20), [(first, 1 << 20)]);
        assert_eq!(
            arena.give(second, 1 << 20, 1 << 20),
            [(second - LARGEST_PAGE, (1 << 20) + LARGEST_PAGE)],
            "the page where the two meet goes with the second"
        );
        assert_eq!(arena.give(third, 128, 128), [(third - LARGEST_PAGE, LARGEST_PAGE + 128)]);
        assert_eq!(arena.take(1 << 21), Some(first), "the holes have grown together");
        assert!(end > third);
    }

    #[test]
    fn random_traffic_never_overlaps() {
        let mut arena = Arena::new(64 << 10, (8 << 10, 4 << 10));
        let mut live: Vec<(usize, usize)> = Vec::new();
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..20_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            if seed & 1 == 0 || live.is_empty() {
                let footprint = Arena::footprint((seed >> 8) as usize % 2000 + 1).unwrap();
                if let Some(start) = arena.take(footprint) {
                    assert!(start % ALIGN == 0 && start + footprint <= 64 << 10);
                    assert!(
                        live.iter().all(|&(other, len)| start + footprint <= other || other + len <= start)
                    );
                    live.push((start, footprint));
                }
            } else {
                let (start, footprint) = live.swap_remove((seed >> 8) as usize % live.len());
                arena.give(start, footprint, footprint);
            }
        }
    }
}
