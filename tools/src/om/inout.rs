//! The partition of an OM file that describes inputs, outputs and gears.

use super::container::bad;
use super::error::{Error, Result};
use super::model::{Gears, OmModel, Tensor};
use super::names;
use super::source::{Source, Span};
use super::{MAX_TENSORS, MAX_TEXT};

/// Larger than any: descriptions have some kilobytes.
const MAX_BYTES: u64 = 16 << 20;

/// Types of the entries.
const INPUTS: u32 = 0;
const OUTPUTS: u32 = 1;
const BATCH: u32 = 2;
const HW: u32 = 3;
const DIMS: u32 = 4;
const OUTPUT_SHAPES: u32 = 5;
const DATA_ORDER: u32 = 6;

/// Bytes of what a tensor has before its name.
const TENSOR_HEAD: usize = 32;

/// Reads numbers and text from bytes that may end anywhere.
struct Reader<'a> {
    rest: &'a [u8],
    /// Where `rest` ends in the file.
    end: u64,
}

impl<'a> Reader<'a> {
    fn at(&self) -> u64 {
        self.end.saturating_sub(self.rest.len() as u64)
    }

    fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return bad(self.at(), format!("{what} of {length} bytes where {} are left", self.rest.len()));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// A part of it.
    fn part(&mut self, length: u32, what: &str) -> Result<Reader<'a>> {
        let rest = self.take(length as usize, what)?;
        Ok(Reader { rest, end: self.at() })
    }

    fn u32(&mut self, what: &str) -> Result<u32> {
        let bytes = self.take(4, what)?;
        Ok(bytes.first_chunk().map_or(0, |&bytes| u32::from_le_bytes(bytes)))
    }

    fn u64(&mut self, what: &str) -> Result<u64> {
        let bytes = self.take(8, what)?;
        Ok(bytes.first_chunk().map_or(0, |&bytes| u64::from_le_bytes(bytes)))
    }

    /// As many numbers as there are in `bytes` bytes.
    fn list(&mut self, bytes: u32, what: &str) -> Result<Vec<i64>> {
        if !bytes.is_multiple_of(8) {
            return bad(self.at(), format!("{what} of {bytes} bytes, which are no whole numbers"));
        }
        let bytes = self.take(bytes as usize, what)?;
        Ok(bytes.as_chunks().0.iter().map(|&chunk| i64::from_le_bytes(chunk)).collect())
    }

    fn text(&mut self, length: u32, what: &str) -> Result<String> {
        let bytes = self.take(length as usize, what)?;
        // C sees no more of it.
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        let kept = &bytes[..end.min(MAX_TEXT as usize)];
        Ok(String::from_utf8_lossy(kept).into_owned())
    }

    /// A number of counts, and the counts.
    fn counts(&mut self, what: &str) -> Result<Vec<u32>> {
        let count = self.u32(what)?;
        let Some(length) = (count as usize).checked_mul(4) else {
            return bad(self.at(), format!("{count} of {what}"));
        };
        let bytes = self.take(length, what)?;
        Ok(bytes.as_chunks().0.iter().map(|&chunk| u32::from_le_bytes(chunk)).collect())
    }

    fn lists(&mut self, what: &str) -> Result<Vec<Vec<u64>>> {
        let mut lists = Vec::new();
        for count in self.counts(what)? {
            let length = count.saturating_mul(8);
            let list = self.take(length as usize, what)?;
            lists.push(list.as_chunks().0.iter().map(|&chunk| u64::from_le_bytes(chunk)).collect());
        }
        Ok(lists)
    }

    fn texts(&mut self, what: &str) -> Result<Vec<String>> {
        self.counts(what)?.into_iter().map(|length| self.text(length, what)).collect()
    }
}

/// Reads the partition into the model.
pub(crate) fn read(source: &Source, span: Span, model: &mut OmModel) -> Result<()> {
    let bytes = source.bytes(span, MAX_BYTES, "a description of inputs and outputs")?;
    let mut entries = Reader { rest: &bytes, end: span.end };
    while !entries.rest.is_empty() {
        let kind = entries.u32("a description of inputs and outputs")?;
        let length = entries.u32("a description of inputs and outputs")?;
        let mut entry = entries.part(length, "an entry of the description of inputs and outputs")?;
        match kind {
            INPUTS => tensors(&mut entry, &mut model.inputs)?,
            OUTPUTS => tensors(&mut entry, &mut model.outputs)?,
            BATCH => {
                let count = entry.u32("batch sizes")?;
                let Some(length) = count.checked_mul(8) else {
                    return bad(entry.at(), format!("{count} batch sizes"));
                };
                let sizes = entry.list(length, "batch sizes")?;
                model.gears.batch.extend(sizes.into_iter().map(|size| size as u64));
            }
            HW => model.gears.image_sizes.extend(entry.lists("image sizes")?),
            DIMS => model.gears.dims.extend(entry.lists("values of open axes")?),
            OUTPUT_SHAPES => model.output_shapes.extend(entry.texts("shapes of outputs")?),
            DATA_ORDER => model.gear_inputs.extend(entry.texts("names of inputs")?),
            // The real reader refuses; what is known is of use all the same.
            other => model
                .notes
                .push(format!("the description has an entry of unknown type {other}, {length} bytes")),
        }
        if model.notes.len() > MAX_TENSORS {
            return Err(Error::TooMany { what: "unknown entries", most: MAX_TENSORS });
        }
    }
    Ok(())
}

fn tensors(entry: &mut Reader<'_>, tensors: &mut Vec<Tensor>) -> Result<()> {
    let count = entry.u32("tensors")? as usize;
    if count > entry.rest.len() / TENSOR_HEAD {
        return bad(entry.at(), format!("{count} tensors in {} bytes", entry.rest.len()));
    }
    if count + tensors.len() > MAX_TENSORS {
        return Err(Error::TooMany { what: "inputs or outputs", most: MAX_TENSORS });
    }
    for _ in 0..count {
        let size = entry.u64("a tensor")?;
        let (format, data_type) = (entry.u32("a tensor")? as i32, entry.u32("a tensor")? as i32);
        let mut lengths = [0; 4];
        for length in &mut lengths {
            *length = entry.u32("a tensor")?;
        }
        let [name, dims, dims_v2, ranges] = lengths;
        let name = entry.text(name, "a name")?;
        let (dims, dims_v2) = (entry.list(dims, "axes")?, entry.list(dims_v2, "axes")?);
        let ranges = entry.list(ranges, "bounds of axes")?;
        tensors.push(Tensor {
            name,
            data_type: names::data_type(data_type.into()),
            format: names::format(format.into()),
            dims_v2: Some(dims_v2).filter(|v2| !v2.is_empty() && *v2 != dims),
            dims,
            ranges: ranges.as_chunks::<2>().0.iter().map(|&[low, high]| (low, high)).collect(),
            // No bound is written as nothing.
            bytes: Some(size).filter(|&size| size > 0),
            ..Tensor::default()
        });
    }
    Ok(())
}

impl Gears {
    /// Whether there is nothing to choose.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.image_sizes.is_empty() && self.dims.is_empty()
    }
}
