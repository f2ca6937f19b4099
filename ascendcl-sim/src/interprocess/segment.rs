//! A piece of shared memory.

use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use super::key::Key;
use crate::memory::page_size;

/// What the links of our files begin with. No other file is ever opened, whatever a key says.
const LINK: &str = "/memfd:ascendcl-sim-shared";
const MAGIC: u32 = 0xac1_5e6;

/// What a segment holds: a key of one kind opens nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentKind {
    Notify,
    Event,
    /// Device memory.
    Memory,
    /// A queue.
    Queue,
}

impl SegmentKind {
    pub(super) fn letter(self) -> &'static str {
        match self {
            Self::Notify => "n",
            Self::Event => "e",
            Self::Memory => "m",
            Self::Queue => "q",
        }
    }

    pub(super) fn of_letter(letter: &str) -> Option<Self> {
        [Self::Notify, Self::Event, Self::Memory, Self::Queue]
            .into_iter()
            .find(|kind| kind.letter() == letter)
    }
}

/// Why a key opens nothing.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// There is no such segment, or not any more.
    Unknown,
    /// Its creator did not allow this process to open it.
    NotAllowed,
    /// The system refused.
    Io(io::Error),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => f.write_str(
                "nothing was exported under this key, or it was destroyed, or its process has ended",
            ),
            Self::NotAllowed => {
                f.write_str("its creator did not put this process on the list of those that may import it")
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

/// What each segment begins with; one page, so that the rest can be mapped by itself. Zeroes are a valid header that allows nobody.
#[repr(C)]
struct Header {
    magic: AtomicU32,
    /// The key is not good any more.
    withdrawn: AtomicU32,
    nonce: AtomicU64,
    len: AtomicU64,
    anybody: AtomicU32,
    allowed: [AtomicI32; 256],
}

const _: () = assert!(offset_of!(Header, allowed) + size_of::<[AtomicI32; 256]>() <= 4096);

/// Memory shared with other processes, mapped here.
#[derive(Debug)]
pub(crate) struct Segment {
    key: Key,
    /// Open for as long as others may come: they find it among the files of this process.
    _file: OwnedFd,
    base: NonNull<u8>,
    len: usize,
    creator: bool,
}

// SAFETY: [threads, shared] the memory is used through atomics, or through `payload`, whose users say themselves who may touch what.
unsafe impl Send for Segment {}
// SAFETY: [threads, shared] as above.
unsafe impl Sync for Segment {}

impl Segment {
    /// Makes a segment with `len` zeroed bytes, which only this process may open so far.
    pub(crate) fn create(kind: SegmentKind, len: usize) -> io::Result<Self> {
        // SAFETY: [os] the name is NUL-terminated and the flag is defined for memfd_create.
        let file = unsafe { libc::memfd_create(c"ascendcl-sim-shared".as_ptr(), libc::MFD_CLOEXEC) };
        if file < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: [os] the descriptor was just made and belongs to nobody else.
        let file = unsafe { OwnedFd::from_raw_fd(file) };
        let size = len.checked_add(page_size()).and_then(|size| libc::off_t::try_from(size).ok());
        let size = size.ok_or_else(|| io::Error::other("shared memory too large"))?;
        // SAFETY: [os] the descriptor is open for writing.
        if unsafe { libc::ftruncate(file.as_raw_fd(), size) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut nonce = [0u8; 8];
        // SAFETY: [os] the buffer is as long as said.
        if unsafe { libc::getrandom(nonce.as_mut_ptr().cast(), nonce.len(), 0) } != nonce.len() as isize {
            return Err(io::Error::last_os_error());
        }
        let key = Key {
            kind,
            pid: std::process::id(),
            file: file.as_raw_fd() as u32,
            nonce: u64::from_ne_bytes(nonce),
        };
        let base = map(&file, len)?;
        let segment = Self { key, _file: file, base, len, creator: true };
        let header = segment.header();
        header.nonce.store(key.nonce, Ordering::Relaxed);
        header.len.store(len as u64, Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        Ok(segment)
    }

    /// Opens a segment by its key.
    pub(crate) fn open(kind: SegmentKind, key: &str) -> Result<Self, OpenError> {
        let key: Key = key.parse().map_err(|()| OpenError::Unknown)?;
        if key.kind != kind {
            return Err(OpenError::Unknown);
        }
        let path = format!("/proc/{}/fd/{}", key.pid, key.file);
        let ours = std::fs::read_link(&path).is_ok_and(|link| link.to_string_lossy().starts_with(LINK));
        if !ours {
            return Err(OpenError::Unknown);
        }
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file =
            File::options().read(true).write(true).custom_flags(flags).open(&path).map_err(|error| {
                match error.kind() {
                    io::ErrorKind::NotFound => OpenError::Unknown,
                    _ => OpenError::Io(error),
                }
            })?;
        let size = file.metadata().map_err(OpenError::Io)?.len() as usize;
        // A file that its creator has not finished yet, or not one of ours at all.
        let len = size.checked_sub(page_size()).ok_or(OpenError::Unknown)?;
        let file = OwnedFd::from(file);
        let base = map(&file, len).map_err(OpenError::Io)?;
        let segment = Self { key, _file: file, base, len, creator: false };
        let header = segment.header();
        let same = header.magic.load(Ordering::Acquire) == MAGIC
            && header.nonce.load(Ordering::Relaxed) == key.nonce
            && header.len.load(Ordering::Relaxed) == len as u64
            && header.withdrawn.load(Ordering::Acquire) == 0;
        if !same {
            return Err(OpenError::Unknown);
        }
        if segment.may_open(std::process::id()) { Ok(segment) } else { Err(OpenError::NotAllowed) }
    }

    fn may_open(&self, pid: u32) -> bool {
        let header = self.header();
        pid == self.key.pid
            || header.anybody.load(Ordering::Acquire) != 0
            || header.allowed.iter().any(|allowed| allowed.load(Ordering::Acquire) == pid as i32)
    }

    /// What other processes open it by.
    pub(crate) fn key(&self) -> String {
        self.key.to_string()
    }

    /// The process that made it.
    pub(crate) fn creator(&self) -> i32 {
        self.key.pid as i32
    }

    /// Lets the process `pid` open it. False if too many processes may already.
    pub(crate) fn allow(&self, pid: i32) -> bool {
        self.header().allowed.iter().any(|slot| {
            let free = slot.compare_exchange(0, pid, Ordering::AcqRel, Ordering::Acquire);
            free.is_ok() || free == Err(pid)
        })
    }

    /// Lets every process open it.
    pub(crate) fn allow_all(&self) {
        self.header().anybody.store(1, Ordering::Release);
    }

    /// Bytes, without the header.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// One of the words that the segment consists of.
    pub(crate) fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.len / size_of::<AtomicU64>(), "word {index} of a segment of {} bytes", self.len);
        // SAFETY: [shared] the word is inside the mapping (checked above), which lives as long as `self`; it is aligned, since the payload
        // begins at a page; every process uses it as an atomic.
        unsafe { &*self.payload().cast::<AtomicU64>().add(index) }
    }

    /// The first byte after the header.
    pub(crate) fn payload(&self) -> *mut u8 {
        // SAFETY: [memory] the mapping is one page longer than the payload.
        unsafe { self.base.as_ptr().add(page_size()) }
    }

    fn header(&self) -> &Header {
        // SAFETY: [shared] the mapping begins with a page for the header, lives as long as `self`, and every process uses these fields as atomics,
        // for which all bytes are valid.
        unsafe { self.base.cast::<Header>().as_ref() }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.creator {
            self.header().withdrawn.store(1, Ordering::Release);
        }
        // SAFETY: [os, once] we own the mapping, and references into it cannot outlive us.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len + page_size()) };
    }
}

/// Maps header and payload.
fn map(file: &OwnedFd, len: usize) -> io::Result<NonNull<u8>> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: [os] without MAP_FIXED the kernel picks a range nobody uses.
    let base = unsafe {
        libc::mmap(ptr::null_mut(), len + page_size(), access, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_views_of_one_segment() {
        let one = Segment::create(SegmentKind::Notify, 64).unwrap();
        let two = Segment::open(SegmentKind::Notify, &one.key()).unwrap();
        one.word(7).store(5, Ordering::SeqCst);
        assert_eq!(two.word(7).load(Ordering::SeqCst), 5);
        assert_eq!((two.len(), two.creator()), (64, std::process::id() as i32));
        assert!(matches!(Segment::open(SegmentKind::Event, &one.key()), Err(OpenError::Unknown)));
        assert!(!one.may_open(1));
        assert!(one.allow(1) && one.allow(1));
        assert!(two.may_open(1) && !two.may_open(2));
        two.allow_all();
        assert!(one.may_open(2));
        let key = one.key();
        drop(one);
        assert!(matches!(Segment::open(SegmentKind::Notify, &key), Err(OpenError::Unknown)));
        assert_eq!(two.word(7).load(Ordering::SeqCst), 5, "what is mapped stays");
    }

    #[test]
    fn keys_reach_no_other_files() {
        let file = File::open("/proc/self/stat").unwrap();
        let key = Key {
            kind: SegmentKind::Event,
            pid: std::process::id(),
            file: file.as_raw_fd() as u32,
            nonce: 1,
        };
        assert!(matches!(Segment::open(SegmentKind::Event, &key.to_string()), Err(OpenError::Unknown)));
        let forged = Segment::create(SegmentKind::Event, 64).unwrap();
        let key = Key { nonce: forged.key.nonce ^ 1, ..forged.key };
        assert!(matches!(Segment::open(SegmentKind::Event, &key.to_string()), Err(OpenError::Unknown)));
    }
}
