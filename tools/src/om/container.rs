//! The container of OM files: a header of 256 bytes, a table of partitions, the partitions back to back; once for each model in the file.

use super::error::{Error, Result};
use super::source::{Source, Span};

pub(crate) const MAGIC: &[u8; 4] = b"IMOD";
pub(crate) const HEADER: u64 = 256;
/// From this version on, files may hold models of the second generation.
const SECOND_GENERATION: u32 = 0x2000_0000;
pub(crate) const FLOW: u8 = 3;
pub(crate) const BUNDLE: u8 = 5;
/// What a table may have: the loader takes eight and, of flow models, 4096 entries.
const MAX_PARTITIONS: u32 = 32;
const MAX_FLOW_PARTITIONS: u32 = 4096;
const MAX_TABLES: u32 = 4096;

/// Types of partitions that are looked into.
pub(crate) mod kind {
    pub(crate) const MODEL_DEF: u32 = 0;
    pub(crate) const WEIGHTS_DATA: u32 = 1;
    pub(crate) const TASK_INFO: u32 = 2;
    pub(crate) const MODEL_INOUT_INFO: u32 = 8;
    pub(crate) const BUNDLE_MODEL_INFO: u32 = 24;
    pub(crate) const BUNDLE_MODEL_VAR_INFO: u32 = 25;
    /// The simulator's own.
    pub(crate) const SIMULATOR: u32 = 0x584f;
}

/// The header.
pub(crate) struct Header {
    bytes: [u8; HEADER as usize],
    /// Where it begins.
    start: u64,
}

/// A partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) table: u32,
    pub(crate) kind: u32,
    pub(crate) span: Span,
}

impl Header {
    /// Reads the header of a model; gives what is behind it.
    pub(crate) fn read(source: &Source, model: Span) -> Result<(Header, Span)> {
        let Some((_, content)) = model.split(HEADER) else {
            return bad(
                model.start,
                format!("{} bytes, fewer than the {HEADER} of a header", model.length()),
            );
        };
        let mut bytes = [0; HEADER as usize];
        source.read(model.start, &mut bytes)?;
        let header = Header { bytes, start: model.start };
        if !bytes.starts_with(MAGIC) {
            return bad(model.start, "it does not start with the letters IMOD");
        }
        let told = match header.u64(184) {
            0 => u64::from(header.u32(76)),
            length => length,
        };
        if told != content.length() {
            return bad(
                model.start + if header.u64(184) == 0 { 76 } else { 184 },
                format!("its header tells of {told} bytes, and {} follow it", content.length()),
            );
        }
        Ok((header, content))
    }

    pub(crate) fn u32(&self, at: usize) -> u32 {
        self.bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |&bytes| u32::from_le_bytes(bytes))
    }

    fn u64(&self, at: usize) -> u64 {
        self.bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |&bytes| u64::from_le_bytes(bytes))
    }

    pub(crate) fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// Text that ends with a zero byte or its field.
    pub(crate) fn text(&self, at: usize, length: usize) -> String {
        let field = self.bytes.get(at..at + length).unwrap_or_default();
        let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
        String::from_utf8_lossy(&field[..end]).into_owned()
    }

    pub(crate) fn version(&self) -> u32 {
        self.u32(8)
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.byte(80) == 1
    }

    pub(crate) fn model_type(&self) -> u8 {
        self.byte(82)
    }

    fn models(&self) -> u32 {
        self.u32(156)
    }

    /// Whether the second-generation executor runs it.
    pub(crate) fn is_dynamic(&self) -> bool {
        self.version() >= SECOND_GENERATION && (self.models() > 1 || self.byte(193) == 1)
    }

    /// All partitions of all tables, and how many bytes are behind the last one.
    pub(crate) fn partitions(&self, source: &Source, content: Span) -> Result<(Vec<Part>, u64)> {
        let tables = if self.is_dynamic() { self.models() } else { 1 };
        if tables > MAX_TABLES {
            return bad(self.start + 156, format!("{tables} models in one file"));
        }
        let (mut parts, mut rest) = (Vec::new(), content);
        for table in 0..tables {
            rest = self.table(source, rest, table, &mut parts)?;
        }
        if self.is_dynamic() && rest.length() > 0 {
            return bad(rest.start, format!("{} bytes behind its last partition", rest.length()));
        }
        Ok((parts, rest.length()))
    }

    /// One table; gives what is behind its partitions.
    fn table(&self, source: &Source, rest: Span, table: u32, parts: &mut Vec<Part>) -> Result<Span> {
        let wide = matches!(self.model_type(), FLOW | BUNDLE) || self.u64(184) != 0;
        let (start, entry) = if wide { (8, 24) } else { (4, 12) };
        let mut count = [0; 4];
        if rest.length() <= start {
            return bad(rest.start, "no room for a table of partitions");
        }
        source.read(rest.start, &mut count)?;
        let count = u32::from_le_bytes(count);
        let most =
            if matches!(self.model_type(), FLOW | BUNDLE) { MAX_FLOW_PARTITIONS } else { MAX_PARTITIONS };
        if count == 0 || count > most {
            return bad(rest.start, format!("a table of {count} partitions"));
        }
        let size = start + u64::from(count) * entry;
        let Some((_, mut payload)) = rest.split(size) else {
            return bad(
                rest.start,
                format!("a table of {count} partitions takes {size} bytes, and {} are left", rest.length()),
            );
        };
        for index in 0..u64::from(count) {
            let at = rest.start + start + index * entry;
            let mut bytes = [0; 24];
            let bytes = &mut bytes[..entry as usize];
            source.read(at, bytes)?;
            let number = |at: usize| bytes[at..].first_chunk().map_or(0, |&bytes| u32::from_le_bytes(bytes));
            let size = match wide {
                true => bytes[16..].first_chunk().map_or(0, |&bytes| u64::from_le_bytes(bytes)),
                false => u64::from(number(8)),
            };
            let kind = number(0);
            let Some((span, behind)) = payload.split(size) else {
                let name = super::names::partition(kind);
                return bad(
                    at,
                    format!("its partition {name} has {size} bytes, and {} are left", payload.length()),
                );
            };
            parts.push(Part { table, kind, span });
            payload = behind;
        }
        Ok(payload)
    }
}

pub(crate) fn bad<T>(at: u64, why: impl Into<String>) -> Result<T> {
    Err(Error::BadOm { at, why: why.into() })
}

/// The first partition of a type.
pub(crate) fn find(parts: &[Part], kind: u32) -> Option<Span> {
    parts.iter().find(|part| part.kind == kind).map(|part| part.span)
}
