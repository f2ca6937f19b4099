//! A queue of messages in memory that processes share.
//!
//! The order of the messages is in a segment; their bytes are in a second file, where each place of the queue has room for the
//! largest message. Pages of that file exist only while a message is there. A process that dies while it is at the queue leaves a
//! lock with its number; the next one takes it over, and finds the queue as it was before.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::interprocess::{Segment, SegmentKind, is_alive};
use crate::lock::Mutex;
use crate::memory::SharedMemory;

/// Bytes of user data that travel with a message.
pub(crate) const USER_DATA: usize = 96;
/// Room of one message.
const ROOM: usize = 1 << 32;
/// Waits are cut into pieces, to notice that a queue's process has died.
const SLICE: Duration = Duration::from_millis(100);

const DEPTH: usize = 0;
const LOCK: usize = 1;
/// Messages that were taken, and that were put.
const TAKEN: usize = 2;
const PUT: usize = 3;
/// Counts what happens, for those who wait.
const CHANGES: usize = 4;
const ENDED: usize = 5;
/// Which file of the creator the bytes are in.
const FILE: usize = 6;
const NODE: usize = 7;
/// Processes and what they may: the process above, the permission below.
const GRANTS: usize = 8;
const GRANTED: usize = 120;
const SLOTS: usize = GRANTS + GRANTED;
/// Words of a place: length, parts, user data.
const SLOT: usize = 2 + USER_DATA / 8;

/// A piece of a message: a shared buffer in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Bytes that it has data in.
    pub(crate) len: usize,
    /// Bytes that it has room for.
    pub(crate) room: usize,
}

/// What a queue carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) user: [u8; USER_DATA],
    /// How the bytes are cut up; empty for one piece.
    pub(crate) parts: Vec<Part>,
}

/// Why something cannot be done with a queue.
#[derive(Debug)]
pub(crate) enum RingError {
    /// It is full, or empty, and the time is over.
    TimedOut,
    /// It was destroyed, or its process has ended.
    Ended,
    /// A message is longer than the room for it.
    TooLong(usize),
    Io(io::Error),
}

pub(super) struct Ring {
    segment: Segment,
    data: SharedMemory,
    depth: u64,
    /// Threads of this process queue here before they compete with other processes.
    turn: Mutex<()>,
}

/// The queue is locked against everybody.
struct Locked<'a> {
    ring: &'a Ring,
    _turn: MutexGuard<'a, ()>,
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.ring.segment.word(LOCK).store(0, Ordering::Release);
    }
}

impl Ring {
    pub(super) fn create(depth: u32) -> io::Result<Self> {
        let words = SLOTS + depth as usize * SLOT;
        let segment = Segment::create(SegmentKind::Queue, words * 8)?;
        let room = ROOM.checked_mul(depth as usize).ok_or_else(|| io::Error::other("queue too deep"))?;
        let data = SharedMemory::new(room)?;
        segment.word(DEPTH).store(depth.into(), Ordering::Relaxed);
        segment.word(NODE).store(data.node()?, Ordering::Relaxed);
        segment.word(FILE).store(data.file().as_raw_fd() as u64, Ordering::Release);
        Ok(Self { segment, data, depth: depth.into(), turn: Mutex::new(()) })
    }

    /// The queue behind a key, which another process made.
    pub(super) fn open(key: &str) -> Result<Self, RingError> {
        let segment = Segment::open(SegmentKind::Queue, key).map_err(|_| RingError::Ended)?;
        let depth = segment.word(DEPTH).load(Ordering::Acquire);
        if !(1..=1 << 16).contains(&depth) || segment.len() < (SLOTS + depth as usize * SLOT) * 8 {
            return Err(RingError::Ended);
        }
        let (file, node) =
            (segment.word(FILE).load(Ordering::Acquire), segment.word(NODE).load(Ordering::Acquire));
        let data = SharedMemory::lent(segment.creator(), file as i32, node).map_err(RingError::Io)?;
        Ok(Self { segment, data, depth, turn: Mutex::new(()) })
    }

    pub(super) fn key(&self) -> String {
        self.segment.key()
    }

    /// Lets a process do what `permission` says, besides what it may already. False if too many processes may something.
    pub(super) fn grant(&self, pid: i32, permission: u32) -> bool {
        let _locked = self.lock();
        let grants = (GRANTS..GRANTS + GRANTED).map(|index| self.segment.word(index));
        for grant in grants {
            let held = grant.load(Ordering::Acquire);
            let holder = (held >> 32) as i32;
            if held == 0 || holder == pid || !is_alive(holder) {
                let before = if holder == pid { held as u32 } else { 0 };
                grant.store(((pid as u64) << 32) | u64::from(before | permission), Ordering::Release);
                return self.segment.allow(pid);
            }
        }
        false
    }

    /// What a process was given.
    pub(super) fn granted(&self, pid: i32) -> u32 {
        (GRANTS..GRANTS + GRANTED)
            .map(|index| self.segment.word(index).load(Ordering::Acquire))
            .find(|held| (held >> 32) as i32 == pid)
            .map_or(0, |held| held as u32)
    }

    fn lock(&self) -> Locked<'_> {
        let turn = self.turn.lock();
        let word = self.segment.word(LOCK);
        let pid = u64::from(std::process::id());
        let mut tries = 0_u32;
        loop {
            match word.compare_exchange(0, pid, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                // Nobody of this process is there: `turn` is ours. So its number is left over from an earlier process.
                Err(holder) if holder == pid || (tries % 64 == 63 && !is_alive(holder as i32)) => {
                    if word.compare_exchange(holder, pid, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                        break;
                    }
                }
                Err(_) => {}
            }
            tries += 1;
            if tries < 16 { std::thread::yield_now() } else { std::thread::sleep(Duration::from_micros(50)) }
        }
        Locked { ring: self, _turn: turn }
    }

    /// Messages in the queue.
    pub(super) fn len(&self) -> usize {
        let (put, taken) = (self.segment.word(PUT), self.segment.word(TAKEN));
        let taken = taken.load(Ordering::Acquire);
        put.load(Ordering::Acquire).saturating_sub(taken) as usize
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() as u64 >= self.depth
    }

    /// Puts a message, when there is room.
    pub(super) fn put(&self, message: &Message, deadline: Option<Instant>) -> Result<(), RingError> {
        let table = message.parts.len() * 16;
        if message.bytes.len() + table > ROOM {
            return Err(RingError::TooLong(ROOM));
        }
        self.when(deadline, |ring| {
            let put = ring.segment.word(PUT).load(Ordering::Acquire);
            if put - ring.segment.word(TAKEN).load(Ordering::Acquire) >= ring.depth {
                return None;
            }
            Some(ring.write(put % ring.depth, message).map(|()| {
                ring.segment.word(PUT).store(put + 1, Ordering::Release);
            }))
        })
    }

    /// The length of the first message, when there is one.
    pub(super) fn peek(&self, deadline: Option<Instant>) -> Result<usize, RingError> {
        self.when(deadline, |ring| Some(Ok(ring.first()?.1)))
    }

    /// Takes the first message, when there is one, if it is no longer than `room`.
    pub(super) fn take(&self, room: usize, deadline: Option<Instant>) -> Result<Message, RingError> {
        self.when(deadline, |ring| {
            let (slot, len) = ring.first()?;
            if len > room {
                return Some(Err(RingError::TooLong(len)));
            }
            Some(ring.read(slot, len).inspect(|_| {
                ring.segment.word(TAKEN).fetch_add(1, Ordering::AcqRel);
            }))
        })
    }

    /// Drops all messages.
    pub(super) fn clear(&self) {
        let locked = self.lock();
        for slot in 0..self.depth.min(self.len() as u64) {
            let slot = (self.segment.word(TAKEN).load(Ordering::Acquire) + slot) % self.depth;
            let len = self.segment.word(self.slot(slot)).load(Ordering::Acquire) as usize;
            self.data.discard_all(slot as usize * ROOM, len);
        }
        let put = self.segment.word(PUT).load(Ordering::Acquire);
        self.segment.word(TAKEN).store(put, Ordering::Release);
        drop(locked);
        self.changed();
    }

    /// Nobody can use it any more; who waits is told.
    pub(super) fn end(&self) {
        self.segment.word(ENDED).store(1, Ordering::Release);
        self.changed();
    }

    /// Does something as soon as it can be done.
    fn when<R>(
        &self,
        deadline: Option<Instant>,
        act: impl Fn(&Self) -> Option<Result<R, RingError>>,
    ) -> Result<R, RingError> {
        loop {
            let changes = self.changes().load(Ordering::Acquire);
            let done = {
                let _locked = self.lock();
                if self.segment.word(ENDED).load(Ordering::Acquire) != 0 {
                    return Err(RingError::Ended);
                }
                act(self)
            };
            if let Some(done) = done {
                self.changed();
                return done;
            }
            let left = deadline.map_or(SLICE, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(RingError::TimedOut);
            }
            if !is_alive(self.segment.creator()) {
                return Err(RingError::Ended);
            }
            self.sleep(changes, left.min(SLICE));
        }
    }

    /// The place of the first message, and its length.
    fn first(&self) -> Option<(u64, usize)> {
        let taken = self.segment.word(TAKEN).load(Ordering::Acquire);
        if taken >= self.segment.word(PUT).load(Ordering::Acquire) {
            return None;
        }
        let slot = taken % self.depth;
        Some((slot, self.segment.word(self.slot(slot)).load(Ordering::Acquire) as usize))
    }

    fn slot(&self, slot: u64) -> usize {
        SLOTS + slot as usize * SLOT
    }

    fn write(&self, slot: u64, message: &Message) -> Result<(), RingError> {
        let start = slot as usize * ROOM;
        self.data.write_at(start, &message.bytes).map_err(RingError::Io)?;
        let table: Vec<u8> = message
            .parts
            .iter()
            .flat_map(|part| [part.len, part.room])
            .flat_map(|number| (number as u64).to_ne_bytes())
            .collect();
        self.data.write_at(start + message.bytes.len(), &table).map_err(RingError::Io)?;
        let word = self.slot(slot);
        self.segment.word(word).store(message.bytes.len() as u64, Ordering::Release);
        self.segment.word(word + 1).store(message.parts.len() as u64, Ordering::Release);
        for (index, chunk) in message.user.as_chunks::<8>().0.iter().enumerate() {
            self.segment.word(word + 2 + index).store(u64::from_ne_bytes(*chunk), Ordering::Release);
        }
        Ok(())
    }

    fn read(&self, slot: u64, len: usize) -> Result<Message, RingError> {
        let start = slot as usize * ROOM;
        let word = self.slot(slot);
        let parts = self.segment.word(word + 1).load(Ordering::Acquire) as usize;
        let mut bytes = vec![0; len];
        self.data.read_at(start, &mut bytes).map_err(RingError::Io)?;
        let mut table = vec![0; parts * 16];
        self.data.read_at(start + len, &mut table).map_err(RingError::Io)?;
        let numbers: Vec<usize> =
            table.as_chunks::<8>().0.iter().map(|number| u64::from_ne_bytes(*number) as usize).collect();
        let parts = numbers.as_chunks::<2>().0.iter().map(|&[len, room]| Part { len, room }).collect();
        let mut user = [0; USER_DATA];
        for (index, chunk) in user.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *chunk = self.segment.word(word + 2 + index).load(Ordering::Acquire).to_ne_bytes();
        }
        self.data.discard_all(start, len + table.len());
        Ok(Message { bytes, user, parts })
    }

    /// The half of a word that the system can wait on.
    fn changes(&self) -> &AtomicU32 {
        let word = self.segment.word(CHANGES).as_ptr().cast::<u32>();
        let half = if cfg!(target_endian = "big") { 1 } else { 0 };
        // SAFETY: [shared] half of a word of the segment, which lives as long as `self`; both halves are only used as this atomic.
        unsafe { AtomicU32::from_ptr(word.add(half)) }
    }

    fn changed(&self) {
        self.changes().fetch_add(1, Ordering::AcqRel);
        // SAFETY: [os] the word lives; waking has no other preconditions.
        unsafe { libc::syscall(libc::SYS_futex, self.changes().as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
    }

    /// Until something changes, for at most `time`.
    fn sleep(&self, changes: u32, time: Duration) {
        let time = libc::timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) };
        // SAFETY: [os] the word and the time live until the call returns.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.changes().as_ptr(),
                libc::FUTEX_WAIT,
                changes,
                &raw const time,
            )
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> Message {
        Message {
            bytes: bytes.to_vec(),
            user: [7; USER_DATA],
            parts: vec![Part { len: bytes.len(), room: 100 }],
        }
    }

    #[test]
    fn messages_keep_their_order() {
        let ring = Ring::create(2).unwrap();
        let now = Some(Instant::now());
        assert!(matches!(ring.take(9, now), Err(RingError::TimedOut)));
        ring.put(&message(b"one"), now).unwrap();
        ring.put(&message(b""), now).unwrap();
        assert!(matches!(ring.put(&message(b"three"), now), Err(RingError::TimedOut)));
        assert_eq!(ring.len(), 2);
        assert!(matches!(ring.take(2, now), Err(RingError::TooLong(3))));
        assert_eq!(ring.take(3, now).unwrap(), message(b"one"));
        assert_eq!(ring.take(0, now).unwrap(), message(b""));
        ring.put(&message(b"four"), now).unwrap();
        ring.clear();
        assert_eq!(ring.len(), 0);
        ring.end();
        assert!(matches!(ring.put(&message(b"five"), now), Err(RingError::Ended)));
    }

    #[test]
    fn a_lock_of_a_dead_process_is_taken_over() {
        let ring = Ring::create(2).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        ring.segment.word(LOCK).store(child.id().into(), Ordering::Release);
        ring.put(&message(b"one"), None).unwrap();
    }

    #[test]
    fn two_views_of_one_queue() {
        let ring = Ring::create(4).unwrap();
        let same = Ring::open(&ring.key()).unwrap();
        let other = std::thread::spawn(move || same.take(100, None).map(|message| message.bytes));
        ring.put(&message(b"hello"), None).unwrap();
        assert_eq!(other.join().unwrap().unwrap(), b"hello");
    }
}
