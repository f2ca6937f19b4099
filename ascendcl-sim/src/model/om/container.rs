//! The container of OM files: a header of 256 bytes, a table of partitions, the partitions back to back. Every length is checked
//! before it is believed, in the order of the real loader and with its codes.

use ascendcl_sys::{self as sys, aclError};

use crate::error::fail;

pub(crate) const MAGIC: &[u8; 4] = b"IMOD";
pub(crate) const HEADER: usize = 256;
/// `version` of files that may hold models of the second generation.
pub(crate) const VERSION: u32 = 0x2000_0000;
/// `modeltype` of a bundle.
pub(crate) const BUNDLE: u8 = 5;
/// `modeltype` of a flow model.
const FLOW: u8 = 3;
const MAX_FLOW_PARTITIONS: u32 = 4096;

/// Numbers of partition types.
pub(crate) mod kind {
    pub(crate) const MODEL_DEF: u32 = 0;
    pub(crate) const WEIGHTS_DATA: u32 = 1;
    pub(crate) const TASK_INFO: u32 = 2;
    pub(crate) const TBE_KERNELS: u32 = 3;
    pub(crate) const MODEL_INOUT_INFO: u32 = 8;
    pub(crate) const STATIC_TASK_DESC: u32 = 9;
    pub(crate) const DYNAMIC_TASK_DESC: u32 = 10;
    pub(crate) const TASK_PARAM: u32 = 11;
    pub(crate) const BUNDLE_MODEL_INFO: u32 = 24;
    pub(crate) const BUNDLE_MODEL_VAR_INFO: u32 = 25;
    /// The simulator's own: says that the weights are an ONNX graph. The letters `OX`, far from all numbers in use.
    pub(crate) const SIMULATOR: u32 = 0x584f;
}

/// Offsets of header fields.
pub(crate) mod field {
    pub(crate) const HEAD_SIZE: usize = 4;
    pub(crate) const VERSION: usize = 8;
    pub(crate) const LENGTH: usize = 76;
    pub(crate) const MODEL_TYPE: usize = 82;
    pub(crate) const NAME: usize = 84;
    pub(crate) const MODEL_NUM: usize = 156;
    pub(crate) const MODEL_LENGTH: usize = 184;
    pub(crate) const UNKNOWN_SHAPE: usize = 193;
}

/// One partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partition<'a> {
    pub(crate) kind: u32,
    pub(crate) data: &'a [u8],
}

/// Why a header is refused. What that is answered with depends on who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// Shorter than a header.
    Short,
    /// Another magic number, or a length that is not that of the file.
    Wrong(String),
}

/// The header of a file that is long enough to have one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header<'a>(&'a [u8]);

impl<'a> Header<'a> {
    pub(crate) fn of(file: &'a [u8]) -> Option<Header<'a>> {
        file.get(..HEADER).map(Header)
    }

    fn u32(&self, at: usize) -> u32 {
        u32_at(self.0, at).unwrap_or(0)
    }

    pub(crate) fn model_type(&self) -> u8 {
        self.0[field::MODEL_TYPE]
    }

    fn model_length(&self) -> u64 {
        u64_at(self.0, field::MODEL_LENGTH).unwrap_or(0)
    }

    fn model_num(&self) -> u32 {
        self.u32(field::MODEL_NUM)
    }

    /// Whether the second-generation executor runs it.
    pub(crate) fn is_dynamic(&self) -> bool {
        self.u32(field::VERSION) >= VERSION && (self.model_num() > 1 || self.0[field::UNKNOWN_SHAPE] == 1)
    }

    /// Partition tables in the file.
    pub(crate) fn tables(&self) -> u32 {
        if self.is_dynamic() { self.model_num() } else { 1 }
    }
}

/// The content behind a good header.
pub(crate) fn content(file: &[u8]) -> Result<(Header<'_>, &[u8]), BadHeader> {
    let header = Header::of(file).ok_or(BadHeader::Short)?;
    if !file.starts_with(MAGIC) {
        return Err(BadHeader::Wrong("it does not start with the letters IMOD".into()));
    }
    let content = &file[HEADER..];
    let told = match header.model_length() {
        0 => u64::from(header.u32(field::LENGTH)),
        length => length,
    };
    if told != content.len() as u64 {
        return Err(BadHeader::Wrong(format!(
            "its header tells of {told} bytes, and {} follow it",
            content.len()
        )));
    }
    Ok((header, content))
}

/// One partition table and its partitions; `rest` moves behind them.
pub(crate) fn table<'a>(header: &Header<'_>, rest: &mut &'a [u8]) -> Result<Vec<Partition<'a>>, aclError> {
    let too_short = |why: &dyn std::fmt::Display| fail(sys::ACL_ERROR_GE_EXEC_MODEL_DATA_SIZE_INVALID, why);
    let flow = header.model_type() == FLOW;
    let wide = flow || header.model_length() != 0;
    // The loader wants room for a table of the wide form, whatever form it is.
    let count = match u32_at(rest, 0) {
        Some(count) if rest.len() > 8 => count,
        _ => return Err(too_short(&"malformed OM model: no room for a partition table")),
    };
    let good = if flow { count <= MAX_FLOW_PARTITIONS } else { (1..=8).contains(&count) };
    if !good {
        return Err(fail(
            sys::ACL_ERROR_GE_PARAM_INVALID,
            format_args!("malformed OM model: a partition table with {count} entries"),
        ));
    }
    let (start, entry) = if wide { (8, 24) } else { (4, 12) };
    let size = start + count as usize * entry;
    if rest.len() <= size {
        let text =
            format!("malformed OM model: a partition table of {size} bytes where {} are left", rest.len());
        return Err(too_short(&text));
    }
    let (entries, mut payload) = rest.split_at(size);
    let mut partitions = Vec::with_capacity(count as usize);
    for index in 0..count as usize {
        let at = start + index * entry;
        let kind = u32_at(entries, at).unwrap_or(0);
        let size = match wide {
            true => u64_at(entries, at + 16).unwrap_or(0),
            false => u64::from(u32_at(entries, at + 8).unwrap_or(0)),
        };
        let Some((data, after)) = usize::try_from(size).ok().and_then(|size| payload.split_at_checked(size))
        else {
            return Err(too_short(&format_args!(
                "malformed OM model: partition {index} of type {kind} has {size} bytes where {} are left",
                payload.len()
            )));
        };
        partitions.push(Partition { kind, data });
        payload = after;
    }
    *rest = payload;
    Ok(partitions)
}

/// All partition tables. Models of the first generation may have bytes after the last one.
pub(crate) fn tables<'a>(
    header: &Header<'_>,
    content: &'a [u8],
) -> Result<Vec<Vec<Partition<'a>>>, aclError> {
    let mut rest = content;
    let mut tables = Vec::new();
    for _ in 0..header.tables() {
        tables.push(table(header, &mut rest)?);
    }
    if header.is_dynamic() && !rest.is_empty() {
        return Err(fail(
            sys::ACL_ERROR_GE_FAILURE,
            format_args!("malformed OM model: {} bytes after its last partition", rest.len()),
        ));
    }
    Ok(tables)
}

/// The data of the first partition of a type; empty if there is none.
pub(crate) fn find<'a>(partitions: &[Partition<'a>], kind: u32) -> Option<&'a [u8]> {
    partitions.iter().find(|partition| partition.kind == kind).map(|partition| partition.data)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_checked_before_they_are_believed() {
        assert_eq!(content(&[0; 255]).unwrap_err(), BadHeader::Short);
        assert!(matches!(content(&[0; 256]).unwrap_err(), BadHeader::Wrong(_)));
        let mut file = vec![0; 300];
        file[..4].copy_from_slice(MAGIC);
        assert!(matches!(content(&file).unwrap_err(), BadHeader::Wrong(_)));
        file[field::LENGTH] = 44;
        let (header, rest) = content(&file).unwrap();
        assert_eq!(tables(&header, rest).unwrap_err(), sys::ACL_ERROR_GE_PARAM_INVALID);
        file[HEADER] = 4;
        let (header, rest) = content(&file).unwrap();
        // Four entries of twelve bytes do not fit.
        assert_eq!(tables(&header, rest).unwrap_err(), sys::ACL_ERROR_GE_EXEC_MODEL_DATA_SIZE_INVALID);
        file[HEADER] = 1;
        file[HEADER + 12] = 28;
        let (header, rest) = content(&file).unwrap();
        assert_eq!(tables(&header, rest).unwrap()[0][0].data.len(), 28);
        file[HEADER + 12] = 29;
        let (header, rest) = content(&file).unwrap();
        assert_eq!(tables(&header, rest).unwrap_err(), sys::ACL_ERROR_GE_EXEC_MODEL_DATA_SIZE_INVALID);
    }
}
