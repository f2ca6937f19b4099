//! Vector clocks: what an actor knows to have happened.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::lock::Mutex;

/// How far each actor was, as far as the owner of the clock knows. All threads of the host are one actor: what the program orders
/// by its own means is not seen, and is taken to be ordered as its calls happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Clock {
    pub(super) host: u64,
    /// By stream, sorted.
    streams: Vec<(u32, u64)>,
}

/// When streams ended, in host time. Only the latest: what ended before those is known to everybody.
static ENDED: Mutex<BTreeMap<u32, u64>> = Mutex::new(BTreeMap::new());
const ENDED_KEPT: usize = 1 << 16;
/// A clock with more entries than this looks for streams that have ended.
const MANY: usize = 256;

impl Clock {
    pub(super) fn stream(&self, stream: u32) -> u64 {
        self.streams.binary_search_by_key(&stream, |entry| entry.0).map_or(0, |at| self.streams[at].1)
    }

    pub(super) fn set(&mut self, stream: u32, time: u64) {
        match self.streams.binary_search_by_key(&stream, |entry| entry.0) {
            Ok(at) => self.streams[at].1 = time,
            Err(at) => self.streams.insert(at, (stream, time)),
        }
    }

    /// Learns everything that `other` knows.
    pub(super) fn join(&mut self, other: &Self) {
        self.host = self.host.max(other.host);
        if other.streams.iter().all(|&(stream, time)| self.stream(stream) >= time) {
            return;
        }
        let mut joined = Vec::with_capacity(self.streams.len() + other.streams.len());
        let (mut own, mut theirs) = (self.streams.iter().peekable(), other.streams.iter().peekable());
        while let (Some(&&left), Some(&&right)) = (own.peek(), theirs.peek()) {
            let order = left.0.cmp(&right.0);
            joined.push(match order {
                Ordering::Less => left,
                Ordering::Greater => right,
                Ordering::Equal => (left.0, left.1.max(right.1)),
            });
            if order != Ordering::Greater {
                own.next();
            }
            if order != Ordering::Less {
                theirs.next();
            }
        }
        joined.extend(own.chain(theirs));
        self.streams = joined;
        if self.streams.len() > MANY {
            let ended = ENDED.lock();
            self.streams.retain(|(stream, _)| ended.get(stream).is_none_or(|&time| time > self.host));
        }
    }

    /// Whether the stream had ended when the host was where this clock knows it to have been.
    pub(super) fn knows_end(&self, stream: u32) -> bool {
        ENDED.lock().get(&stream).is_some_and(|&time| self.host >= time)
    }

    /// Forgets a stream: whoever knows the host as it is now knows all the stream did.
    pub(super) fn forget(&mut self, stream: u32) {
        let mut ended = ENDED.lock();
        ended.insert(stream, self.host);
        // With those that ended before and that this one still knew of.
        self.streams.retain(|(stream, _)| ended.get(stream).is_none_or(|&time| time > self.host));
        while ended.len() > ENDED_KEPT {
            ended.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_takes_the_latest_of_both() {
        let clock = |host, streams: &[(u32, u64)]| Clock { host, streams: streams.to_vec() };
        let mut left = clock(1, &[(2, 5), (4, 1), (9, 9)]);
        left.join(&clock(3, &[(1, 1), (4, 7)]));
        assert_eq!(left, clock(3, &[(1, 1), (2, 5), (4, 7), (9, 9)]));
        left.join(&clock(0, &[(2, 4)]));
        assert_eq!((left.host, left.stream(2), left.stream(3)), (3, 5, 0));
        left.set(3, 2);
        left.set(3, 4);
        assert_eq!(left, clock(3, &[(1, 1), (2, 5), (3, 4), (4, 7), (9, 9)]));
    }
}
