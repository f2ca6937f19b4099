//! Who touched which bytes last.

use super::Who;
use super::access::Access;
use crate::lock::Mutex;

/// The accesses to one piece of memory that matter: for each byte the last write, and the reads since.
#[derive(Default)]
pub(crate) struct Shadow(Mutex<Vec<Segment>>);

/// Bytes with the same history. Segments are sorted and do not overlap.
#[derive(Clone)]
struct Segment {
    start: usize,
    end: usize,
    write: Option<Who>,
    reads: Vec<Who>,
}

/// Two accesses that nothing orders.
pub(super) struct Conflict {
    pub(super) earlier: Who,
    pub(super) earlier_writes: bool,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Shadow {
    /// Notes an access of `who`, and gives the accesses it conflicts with, of which `knows` says no.
    pub(super) fn record(
        &self,
        access: Access,
        start: usize,
        len: usize,
        who: &Who,
        knows: impl Fn(&Who) -> bool,
    ) -> Vec<Conflict> {
        let mut segments = self.0.lock();
        let mut conflicts: Vec<Conflict> = Vec::new();
        for (start, end) in access.ranges(start, len).filter(|(start, end)| start < end) {
            let first = segments.partition_point(|segment| segment.end <= start);
            let last = first + segments[first..].partition_point(|segment| segment.start < end);
            let mut new = Vec::with_capacity(last - first + 2);
            let mut at = start;
            for segment in &segments[first..last] {
                let (from, to) = (segment.start.max(start), segment.end.min(end));
                let mut check = |earlier: &Who, earlier_writes| {
                    if !knows(earlier) {
                        conflicts.push(Conflict {
                            earlier: earlier.clone(),
                            earlier_writes,
                            start: from,
                            end: to,
                        });
                    }
                };
                segment.write.iter().for_each(|earlier| check(earlier, true));
                if access.writes() {
                    segment.reads.iter().for_each(|earlier| check(earlier, false));
                }
                if segment.start < start {
                    new.push(Segment { end: start, ..segment.clone() });
                }
                if !access.writes() {
                    if at < from {
                        new.push(Segment { start: at, end: from, write: None, reads: vec![who.clone()] });
                    }
                    let mut reads = segment.reads.clone();
                    // One read of each actor is enough: the latest.
                    reads.retain(|read| !read.same_actor(who) && !knows(read));
                    reads.push(who.clone());
                    new.push(Segment { start: from, end: to, write: segment.write.clone(), reads });
                    at = to;
                }
                if segment.end > end {
                    if access.writes() {
                        new.push(Segment { start, end, write: Some(who.clone()), reads: Vec::new() });
                    }
                    new.push(Segment { start: end, ..segment.clone() });
                    at = end;
                }
            }
            if at < end {
                let (write, reads) =
                    if access.writes() { (Some(who.clone()), Vec::new()) } else { (None, vec![who.clone()]) };
                let start = if access.writes() { start } else { at };
                new.push(Segment { start, end, write, reads });
            }
            segments.splice(first..last, new);
        }
        conflicts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(shadow: &Shadow) -> Vec<(usize, usize, Option<u64>, Vec<u64>)> {
        let segments = shadow.0.lock();
        let one = |segment: &Segment| {
            let write = segment.write.as_ref().map(Who::time);
            (segment.start, segment.end, write, segment.reads.iter().map(Who::time).collect())
        };
        segments.iter().map(one).collect()
    }

    #[test]
    fn writes_replace_and_reads_gather() {
        let shadow = Shadow::default();
        let note = |access, start, len, time| {
            let found = shadow.record(access, start, len, &Who::host_at(time), |_| false);
            found
                .iter()
                .map(|conflict| (conflict.earlier.time(), conflict.start, conflict.end))
                .collect::<Vec<_>>()
        };
        assert_eq!(note(Access::WRITE, 0, 10, 1), []);
        assert_eq!(note(Access::READ, 5, 10, 2), [(1, 5, 10)]);
        assert_eq!(
            history(&shadow),
            [(0, 5, Some(1), vec![]), (5, 10, Some(1), vec![2]), (10, 15, None, vec![2]),]
        );
        assert_eq!(note(Access::WRITE, 2, 2, 3), [(1, 2, 4)]);
        assert_eq!(note(Access::WRITE, 8, 4, 4), [(1, 8, 10), (2, 8, 10), (2, 10, 12)]);
        assert_eq!(
            history(&shadow),
            [
                (0, 2, Some(1), vec![]),
                (2, 4, Some(3), vec![]),
                (4, 5, Some(1), vec![]),
                (5, 8, Some(1), vec![2]),
                (8, 12, Some(4), vec![]),
                (12, 15, None, vec![2]),
            ]
        );
        assert_eq!(note(Access::READ, 20, 0, 5), []);
    }

    #[test]
    fn rows_leave_the_gaps_alone() {
        let shadow = Shadow::default();
        let note = |access: Access, start, len, time| {
            shadow.record(access, start, len, &Who::host_at(time), |_| false).len()
        };
        assert_eq!(note(Access::WRITE.rows(4, 10, 3), 0, 24, 1), 0);
        assert_eq!(note(Access::WRITE.rows(4, 10, 3), 5, 24, 2), 0);
        assert_eq!(note(Access::WRITE.rows(2, 10, 3), 3, 22, 3), 3);
    }
}
