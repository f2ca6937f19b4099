//! Address space from the kernel: reserved ranges, shared memory, and the few calls that act on them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};

/// The memory of this machine, in bytes.
pub(crate) fn physical_memory() -> usize {
    // SAFETY: [os] sysconf has no preconditions.
    let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
    usize::try_from(pages).map_or(usize::MAX, |pages| pages.saturating_mul(page_size()))
}

/// The page size this module counts in. Both 64-bit targets have pages of at least this size; larger pages only waste a little.
pub(crate) fn page_size() -> usize {
    use std::sync::OnceLock;
    static SIZE: OnceLock<usize> = OnceLock::new();
    *SIZE.get_or_init(|| {
        // SAFETY: [os] sysconf has no preconditions.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(size).unwrap_or(4096)
    })
}

/// An owned range of address space, unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: [threads] a mapping is plain address space; who may touch its bytes is up to the owner.
unsafe impl Send for Mapping {}
// SAFETY: [threads] as above; the methods that change the mapping only replace pages.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Address space that nobody can read or write.
    pub(crate) fn reserve(len: usize) -> io::Result<Self> {
        Self::new(len, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE, -1)
    }

    /// [`reserve`](Self::reserve) at a multiple of `align`, a power of two of whole pages.
    pub(crate) fn reserve_aligned(len: usize, align: usize) -> io::Result<Self> {
        Self::aligned(len, align, Self::reserve)
    }

    /// [`anonymous`](Self::anonymous) at a multiple of `align`, a power of two of whole pages.
    pub(crate) fn anonymous_aligned(len: usize, align: usize) -> io::Result<Self> {
        Self::aligned(len, align, Self::anonymous)
    }

    fn aligned(len: usize, align: usize, map: impl FnOnce(usize) -> io::Result<Self>) -> io::Result<Self> {
        let room = len.checked_add(align).ok_or_else(|| io::Error::other("size overflows"))?;
        let mut whole = map(room)?;
        let before = whole.base().addr().next_multiple_of(align) - whole.base().addr();
        whole.trim(before, len);
        Ok(whole)
    }

    /// [`reserve`](Self::reserve) at this very address, if nothing is there.
    pub(crate) fn reserve_at(address: usize, len: usize) -> io::Result<Self> {
        Self::claim(address, len, libc::PROT_NONE)
    }

    /// Keeps `[start, start + len)` and gives the rest back.
    fn trim(&mut self, start: usize, len: usize) {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len));
        let after = start + len;
        // SAFETY: [os, mapped] both ranges are inside this mapping (checked above), which we own and nobody uses yet; the kernel refuses empty ranges.
        unsafe {
            libc::munmap(self.base().cast(), start);
            libc::munmap(self.base().add(after).cast(), self.len - after);
            self.base = self.base.add(start);
        }
        self.len = len;
    }

    /// Readable and writable anonymous memory.
    pub(crate) fn anonymous(len: usize) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        Self::new(len, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE, -1)
    }

    /// A readable and writable view of the whole of `memory`.
    pub(crate) fn view(memory: &SharedMemory) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        Self::new(memory.len, access, libc::MAP_SHARED | libc::MAP_NORESERVE, memory.file.as_raw_fd())
    }

    /// A view of the whole of `memory` that nobody can read or write until it is [opened](Self::open).
    pub(crate) fn closed_view(memory: &SharedMemory) -> io::Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        Self::new(memory.len, libc::PROT_NONE, flags, memory.file.as_raw_fd())
    }

    /// Makes `[start, start + len)`, which are whole pages, readable and writable.
    pub(crate) fn open(&self, start: usize, len: usize) -> io::Result<()> {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len));
        // SAFETY: [os, mapped] the range is inside this mapping (checked above), which we own; access is only added.
        let done =
            unsafe { libc::mprotect(self.base().add(start).cast(), len, libc::PROT_READ | libc::PROT_WRITE) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Readable and writable anonymous memory at `address`; an error if something is there.
    pub(crate) fn at(address: usize, len: usize) -> io::Result<Self> {
        Self::claim(address, len, libc::PROT_READ | libc::PROT_WRITE)
    }

    fn claim(address: usize, len: usize, access: i32) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: [os] the kernel takes the address only if nobody uses the range; old ones take it for a hint.
        let base = unsafe { libc::mmap(ptr::without_provenance_mut(address), len, access, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
        let mapping = Self { base, len };
        if mapping.base().addr() == address { Ok(mapping) } else { Err(io::ErrorKind::AddrInUse.into()) }
    }

    /// A readable and writable view of a part of `memory` that starts at a page.
    pub(crate) fn view_part(memory: &SharedMemory, start: usize, len: usize) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        if start.checked_add(len).is_none_or(|end| end > memory.len) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        Self::at_offset(len, access, flags, memory.file.as_raw_fd(), start)
    }

    fn new(len: usize, access: i32, flags: i32, file: i32) -> io::Result<Self> {
        Self::at_offset(len, access, flags, file, 0)
    }

    fn at_offset(len: usize, access: i32, flags: i32, file: i32, offset: usize) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(|_| io::Error::other("offset too large"))?;
        // SAFETY: [os] without MAP_FIXED the kernel picks a range nobody uses.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, access, flags, file, offset) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
        Ok(Self { base, len })
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Shows the first `len` bytes of `memory` at `start`, readable and writable.
    pub(crate) fn show(&self, start: usize, memory: &SharedMemory, len: usize) -> io::Result<()> {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len) && len <= memory.len);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE | libc::MAP_FIXED;
        // SAFETY: [os, mapped] the range is inside this mapping (checked above), which we own, so nothing else is replaced.
        let shown = unsafe {
            libc::mmap(self.base().add(start).cast(), len, access, flags, memory.file.as_raw_fd(), 0)
        };
        if shown == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Makes `[start, start + len)` inaccessible and gives its memory back; the address space stays reserved.
    pub(crate) fn seal(&self, start: usize, len: usize) {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len));
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        // SAFETY: [os, mapped] the range is inside this mapping (checked above), which we own, so nothing else is replaced.
        let sealed = unsafe { libc::mmap(self.base().add(start).cast(), len, libc::PROT_NONE, flags, -1, 0) };
        if sealed == libc::MAP_FAILED {
            // Still mapped and readable: less strict than wanted, but sound.
            log::debug!("cannot seal {len} bytes: {}", io::Error::last_os_error());
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: [os, mapped] we own the whole range, and whoever dropped us holds no pointer into it any more.
        unsafe { libc::munmap(self.base().cast(), self.len) };
    }
}

/// What the links of our files begin with: no other file of another process is ever opened.
const LINK: &str = "/memfd:ascendcl-sim-device";

/// Memory that can be mapped at several addresses; its pages exist once they are written.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    file: OwnedFd,
    len: usize,
}

impl SharedMemory {
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        // SAFETY: [os] the name is NUL-terminated and the flag is defined for memfd_create.
        let file = unsafe { libc::memfd_create(c"ascendcl-sim-device".as_ptr(), libc::MFD_CLOEXEC) };
        if file < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: [os] the descriptor was just made and belongs to nobody else.
        let file = unsafe { OwnedFd::from_raw_fd(file) };
        let size = libc::off_t::try_from(len).map_err(|_| io::Error::other("device memory too large"))?;
        // SAFETY: [os] the descriptor is open for writing.
        if unsafe { libc::ftruncate(file.as_raw_fd(), size) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { file, len })
    }

    /// What another process needs to have the same memory.
    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The number by which the system knows it, whatever descriptor it is reached by.
    pub(crate) fn node(&self) -> io::Result<u64> {
        let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
        // SAFETY: [os] the descriptor is open, and the place is large enough.
        if unsafe { libc::fstat(self.file.as_raw_fd(), stat.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: [bits] filled by the call.
        Ok(unsafe { stat.assume_init() }.st_ino)
    }

    /// Memory of another process, by its descriptor and [`node`](Self::node) there.
    pub(crate) fn lent(pid: i32, file: i32, node: u64) -> io::Result<Self> {
        let path = format!("/proc/{pid}/fd/{file}");
        let link = std::fs::read_link(&path)?;
        if !link.to_string_lossy().starts_with(LINK) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        let file = std::fs::File::options().read(true).write(true).open(&path)?;
        let len = usize::try_from(file.metadata()?.len()).map_err(|_| io::Error::other("too large"))?;
        let memory = Self { file: OwnedFd::from(file), len };
        if memory.node()? == node { Ok(memory) } else { Err(io::Error::from(io::ErrorKind::NotFound)) }
    }

    /// Writes bytes without mapping them.
    pub(crate) fn write_at(&self, start: usize, mut bytes: &[u8]) -> io::Result<()> {
        let mut at = start;
        while !bytes.is_empty() {
            // SAFETY: [os] the descriptor is open and the bytes are readable.
            let done = unsafe {
                libc::pwrite(self.file.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), at as libc::off_t)
            };
            let done = count(done)?;
            (bytes, at) = (&bytes[done..], at + done);
        }
        Ok(())
    }

    /// Reads bytes without mapping them.
    pub(crate) fn read_at(&self, start: usize, mut bytes: &mut [u8]) -> io::Result<()> {
        let mut at = start;
        while !bytes.is_empty() {
            // SAFETY: [os] the descriptor is open and the bytes are writable.
            let done = unsafe {
                libc::pread(self.file.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), at as libc::off_t)
            };
            let done = count(done)?;
            (bytes, at) = (&mut bytes[done..], at + done);
        }
        Ok(())
    }

    /// [`discard`](Self::discard) of all pages that `[start, start + len)` touches.
    pub(crate) fn discard_all(&self, start: usize, len: usize) {
        self.discard(start, len.next_multiple_of(page_size()));
    }

    /// Gives the pages wholly inside `[start, start + len)` back to the system; they read as zero afterwards.
    pub(crate) fn discard(&self, start: usize, len: usize) {
        let page = page_size();
        let first = start.next_multiple_of(page);
        let end = (start + len) / page * page;
        if first >= end {
            return;
        }
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: [os] the descriptor is open for writing; the range is inside the file or past its end, both of which are allowed.
        let done = unsafe {
            libc::fallocate(self.file.as_raw_fd(), mode, first as libc::off_t, (end - first) as libc::off_t)
        };
        if done != 0 {
            log::debug!("cannot give {} bytes back: {}", end - first, io::Error::last_os_error());
        }
    }
}

/// What a call that moves bytes moved: never nothing.
fn count(done: isize) -> io::Result<usize> {
    match usize::try_from(done) {
        Ok(0) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        Ok(done) => Ok(done),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_views_show_the_same_bytes_and_discarded_pages_are_zero() {
        let memory = SharedMemory::new(4 * page_size()).unwrap();
        let (one, two) = (Mapping::view(&memory).unwrap(), Mapping::view(&memory).unwrap());
        assert_ne!(one.base(), two.base());
        // SAFETY: both views are readable and writable and as long as the memory.
        unsafe {
            one.base().add(page_size()).write(7);
            assert_eq!(two.base().add(page_size()).read(), 7);
            memory.discard(1, 4 * page_size() - 1);
            assert_eq!(one.base().add(page_size()).read(), 0);
        }
    }
}
