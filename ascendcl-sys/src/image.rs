//! Whether a library file is complete, as far as its headers tell.
//!
//! The dynamic loader maps what the headers promise without looking at how long the file is. Of a file that was cut off, by a
//! copy that was interrupted for example, it then touches pages that are not there, and the process dies of SIGBUS.

use std::{fs::File, io, mem::MaybeUninit, os::unix::fs::FileExt, path::Path};

use libc::{Elf64_Ehdr as Header, Elf64_Phdr as Segment};

const BYTE_ORDER: u8 = if cfg!(target_endian = "little") { libc::ELFDATA2LSB } else { libc::ELFDATA2MSB };

/// What is wrong with the file, if it is shorter than its headers say. What else may be wrong with it the loader tells: files that are
/// not for this machine, or no libraries at all, are none of our business.
pub(crate) fn truncation(path: &Path) -> Option<String> {
    // A file that cannot be read cannot be loaded either.
    let file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let needed = needed(&file).ok()??;
    (needed > length).then(|| {
        format!(
            "the file is truncated: it has {length} bytes, and its headers tell of {needed}; install it anew"
        )
    })
}

/// How long the file has to be. `None` if it is not for this machine.
fn needed(file: &File) -> io::Result<Option<u64>> {
    let header: Header = read(file, 0)?;
    let ident = header.e_ident;
    let ours = ident.starts_with(b"\x7fELF")
        && ident[libc::EI_CLASS] == libc::ELFCLASS64
        && ident[libc::EI_DATA] == BYTE_ORDER
        && usize::from(header.e_phentsize) == size_of::<Segment>();
    if !ours {
        return Ok(None);
    }
    let (table, count) = (header.e_phoff, u64::from(header.e_phnum));
    let size = size_of::<Segment>() as u64;
    let mut needed = table.saturating_add(count * size);
    for index in 0..count {
        // A file that ends before is told by what is needed so far.
        let Ok(segment) = read::<Segment>(file, table.saturating_add(index * size)) else { break };
        // Only these are mapped; the loader looks at all others through them.
        if segment.p_type == libc::PT_LOAD {
            needed = needed.max(segment.p_offset.saturating_add(segment.p_filesz));
        }
    }
    Ok(Some(needed))
}

/// A part of a file, as it lies there.
///
/// # Safety
///
/// Every bit pattern must be a value.
unsafe trait Part: Copy {}

// SAFETY: [bits] it consists of integers alone.
unsafe impl Part for Header {}

// SAFETY: [bits] as above.
unsafe impl Part for Segment {}

fn read<T: Part>(file: &File, offset: u64) -> io::Result<T> {
    let mut place = MaybeUninit::<T>::zeroed();
    // SAFETY: [memory] a place of that many bytes, all of them written.
    let bytes = unsafe { std::slice::from_raw_parts_mut(place.as_mut_ptr().cast::<u8>(), size_of::<T>()) };
    file.read_exact_at(bytes, offset)?;
    // SAFETY: [bits, memory] all bytes are written, and by contract of `Part` whatever they are is a value.
    Ok(unsafe { place.assume_init() })
}
