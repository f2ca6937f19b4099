//! Reading parts of a file that may be larger than memory: only what is looked at is read.

use std::{cell::RefCell, fs::File, io, os::unix::fs::FileExt, path::Path};

use super::error::{Error, Result};

/// How much is read at once. Fields are small, and most of a file is passed over.
const WINDOW: usize = 16 << 10;

/// Bytes that can be read at any place.
trait ReadAt {
    fn read_exact_at(&self, into: &mut [u8], at: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn read_exact_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, into, at)
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        let part = usize::try_from(at).ok().and_then(|at| self.get(at..)?.get(..into.len()));
        into.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A model file.
pub(crate) struct Source {
    data: Box<dyn ReadAt>,
    length: u64,
    window: RefCell<(u64, Vec<u8>)>,
}

/// A part of the file. Always within the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Span {
    pub(crate) fn length(self) -> u64 {
        self.end - self.start
    }

    /// `length` bytes from the beginning, and the rest.
    pub(crate) fn split(self, length: u64) -> Option<(Span, Span)> {
        let middle = self.start.checked_add(length).filter(|&middle| middle <= self.end)?;
        Some((Span { end: middle, ..self }, Span { start: middle, ..self }))
    }
}

impl Source {
    /// Opens a regular file: a pipe might never end, and a device be anything.
    pub(crate) fn open(path: &Path) -> Result<Source> {
        let kind = std::fs::metadata(path).map_err(Error::Read)?;
        if !kind.is_file() {
            return Err(Error::NotAFile);
        }
        let file = File::open(path).map_err(Error::Read)?;
        let length = file.metadata().map_err(Error::Read)?.len();
        Ok(Source { data: Box::new(file), length, window: RefCell::default() })
    }

    /// A file that is in memory.
    pub(crate) fn memory(bytes: Vec<u8>) -> Source {
        Source { length: bytes.len() as u64, data: Box::new(bytes), window: RefCell::default() }
    }

    pub(crate) fn whole(&self) -> Span {
        Span { start: 0, end: self.length }
    }

    /// Fills `into` from the place `at`. What does not lie in the file was checked by nobody, or the file was cut meanwhile.
    pub(crate) fn read(&self, at: u64, into: &mut [u8]) -> Result<()> {
        if into.len() >= WINDOW {
            return self.data.read_exact_at(into, at).map_err(Error::Read);
        }
        let mut window = self.window.borrow_mut();
        let (start, bytes) = &mut *window;
        let within = |start: u64, bytes: &Vec<u8>| {
            let offset = usize::try_from(at.checked_sub(start)?).ok()?;
            Some(offset..offset.checked_add(into.len())?).filter(|range| range.end <= bytes.len())
        };
        let range = match within(*start, bytes) {
            Some(range) => range,
            None => {
                let length = self.length.saturating_sub(at).min(WINDOW as u64) as usize;
                // Nothing is in the window until it was filled.
                bytes.clear();
                let mut fresh = std::mem::take(bytes);
                fresh.resize(length, 0);
                self.data.read_exact_at(&mut fresh, at).map_err(Error::Read)?;
                (*start, *bytes) = (at, fresh);
                within(*start, bytes).ok_or_else(|| Error::Read(io::ErrorKind::UnexpectedEof.into()))?
            }
        };
        into.copy_from_slice(&bytes[range]);
        Ok(())
    }

    /// All bytes of a part, which must not be longer than `most`.
    pub(crate) fn bytes(&self, span: Span, most: u64, what: &'static str) -> Result<Vec<u8>> {
        if span.length() > most {
            return Err(Error::TooLarge { what, bytes: span.length(), most });
        }
        let mut bytes = vec![0; span.length() as usize];
        self.read(span.start, &mut bytes)?;
        Ok(bytes)
    }

    /// Text, of which no more than the beginning is kept. What is not UTF-8 is replaced.
    pub(crate) fn text(&self, span: Span, most: u64) -> Result<String> {
        let kept = span.split(span.length().min(most)).map_or(span, |(kept, _)| kept);
        let bytes = self.bytes(kept, most, "text")?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(if kept == span { text.into_owned() } else { format!("{}...", text.trim_end_matches('\u{fffd}')) })
    }

    /// Whether a part is this text.
    pub(crate) fn is(&self, span: Span, text: &str) -> Result<bool> {
        Ok(span.length() == text.len() as u64 && self.text(span, text.len() as u64)? == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_place_can_be_read_and_no_other() {
        let bytes: Vec<u8> = (0..100_000u32).map(|number| (number % 251) as u8).collect();
        let source = Source::memory(bytes.clone());
        for (at, length) in
            [(0, 3), (99_990, 10), (5, 40_000), (16_380, 10), (3, 1), (99_999, 1), (100_000, 0)]
        {
            let mut part = vec![0; length];
            source.read(at, &mut part).unwrap();
            assert_eq!(part, bytes[at as usize..at as usize + length]);
        }
        for (at, length) in [(99_999, 2), (100_000, 1), (u64::MAX, 1), (50_000, 60_000), (u64::MAX, 60_000)] {
            assert!(source.read(at, &mut vec![0; length]).is_err(), "{at} {length}");
        }
        // A failure leaves the window as good as before.
        let mut byte = [0];
        source.read(7, &mut byte).unwrap();
        assert_eq!(byte, [7]);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let source = Source::memory("äöü".into());
        assert_eq!(source.text(source.whole(), 6).unwrap(), "äöü");
        assert_eq!(source.text(source.whole(), 3).unwrap(), "ä...");
    }

    #[test]
    fn only_regular_files_are_opened() {
        assert!(matches!(Source::open(Path::new("/")), Err(Error::NotAFile)));
        assert!(matches!(Source::open(Path::new("/dev/zero")), Err(Error::NotAFile)));
        assert!(matches!(Source::open(Path::new("/no/such/file")), Err(Error::Read(_))));
    }
}
