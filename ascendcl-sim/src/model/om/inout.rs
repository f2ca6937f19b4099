//! The partition of an OM file that describes the model's inputs and outputs, read and written.

use std::ffi::CString;

use ascendcl_sys::{self as sys, aclError};

use super::container::{u32_at, u64_at};
use crate::error::fail;
use crate::model::tensor::{Description, Gears, Tensor};

/// Types of the entries.
const INPUTS: u32 = 0;
const OUTPUTS: u32 = 1;
const BATCH: u32 = 2;
const HW: u32 = 3;
const DIMS: u32 = 4;
const OUTPUT_SHAPES: u32 = 5;
const DATA_ORDER: u32 = 6;

/// Reads bytes that may end anywhere.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4).and_then(|bytes| u32_at(bytes, 0))
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8).and_then(|bytes| u64_at(bytes, 0))
    }

    /// Whole numbers in `bytes` bytes; what is left over of a number is left for the next field, as the real reader does.
    fn list(&mut self, bytes: u32) -> Option<Vec<i64>> {
        if bytes as usize > self.0.len() {
            return None;
        }
        (0..bytes / 8).map(|_| self.u64().map(|value| value as i64)).collect()
    }
}

/// Reads the partition. A file without one describes nothing, which is no error.
pub(crate) fn read(partition: &[u8]) -> Result<Description, aclError> {
    parse(partition).ok_or_else(|| {
        fail(
            sys::ACL_ERROR_GE_FAILURE,
            "malformed OM model: the description of its inputs and outputs ends early or has an unknown entry",
        )
    })
}

fn parse(partition: &[u8]) -> Option<Description> {
    let mut description = Description::default();
    let mut entries = Reader(partition);
    while !entries.0.is_empty() {
        let (kind, length) = (entries.u32()?, entries.u32()?);
        let mut value = Reader(entries.take(length as usize)?);
        match kind {
            INPUTS => description.inputs.extend(tensors(&mut value)?),
            OUTPUTS => description.outputs.extend(tensors(&mut value)?),
            BATCH => {
                let count = value.u32()?;
                for _ in 0..count {
                    description.gears.batch.push(value.u64()?);
                }
            }
            HW => description.gears.hw.extend(lists(&mut value)?),
            DIMS => description.gears.dims.extend(lists(&mut value)?),
            OUTPUT_SHAPES => {
                description.output_shapes.extend(strings(&mut value)?.iter().map(|text| shape(text)));
            }
            DATA_ORDER => {
                description.data_order.extend(strings(&mut value)?.into_iter().map(c_string));
            }
            _ => return None,
        }
    }
    Some(description)
}

fn tensors(value: &mut Reader<'_>) -> Option<Vec<Tensor>> {
    let count = value.u32()?;
    // The count is not believed: each tensor takes 32 bytes at least.
    let mut tensors = Vec::new();
    for _ in 0..count {
        let size = value.u64()?;
        let (format, data_type) = (value.u32()? as i32, value.u32()? as i32);
        let [name, dims, dims_v2, ranges] = [value.u32()?, value.u32()?, value.u32()?, value.u32()?];
        let name = value.take(name as usize)?;
        let (dims, dims_v2, ranges) =
            (value.list(dims)?, value.list(dims_v2)?, value.list(ranges - ranges % 16)?);
        tensors.push(Tensor {
            name: c_string(name),
            dims,
            dims_v2,
            ranges: ranges.as_chunks::<2>().0.iter().map(|&[low, high]| (low, high)).collect(),
            // The graph engine's numbers for "none" are others than ACL's.
            data_type: if data_type == GE_UNDEFINED {
                sys::ACL_DT_UNDEFINED
            } else {
                sys::aclDataType(data_type)
            },
            format: if format == GE_RESERVED { sys::ACL_FORMAT_UNDEFINED } else { sys::aclFormat(format) },
            size: usize::try_from(size).unwrap_or(usize::MAX),
        });
    }
    Some(tensors)
}

/// `DT_UNDEFINED` and `FORMAT_RESERVED` of the graph engine.
const GE_UNDEFINED: i32 = 28;
const GE_RESERVED: i32 = 40;

fn lists(value: &mut Reader<'_>) -> Option<Vec<Vec<u64>>> {
    let counts = counts(value)?;
    let list = |count: u32| (0..count).map(|_| value.u64()).collect::<Option<Vec<u64>>>();
    counts.into_iter().map(list).collect()
}

fn strings<'a>(value: &mut Reader<'a>) -> Option<Vec<&'a [u8]>> {
    let counts = counts(value)?;
    counts.into_iter().map(|count| value.take(count as usize)).collect()
}

fn counts(value: &mut Reader<'_>) -> Option<Vec<u32>> {
    let count = value.u32()?;
    let bytes = value.take(usize::try_from(count).ok()?.checked_mul(4)?)?;
    Some(bytes.as_chunks().0.iter().map(|&chunk| u32::from_le_bytes(chunk)).collect())
}

/// Numbers with anything between them; a minus sign makes the next one negative.
fn shape(text: &[u8]) -> Vec<i64> {
    let number = |text: &[u8]| {
        let digits = text.iter().filter(|byte| byte.is_ascii_digit());
        let value =
            digits.fold(0i64, |value, byte| value.wrapping_mul(10).wrapping_add(i64::from(byte - b'0')));
        if text.contains(&b'-') { value.wrapping_neg() } else { value }
    };
    text.split(|byte| !byte.is_ascii_digit() && *byte != b'-').map(number).collect()
}

/// A name up to its first zero byte: C sees no more of it.
fn c_string(bytes: &[u8]) -> CString {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).unwrap_or_default()
}

/// Writes the partition.
#[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "descriptions come from an engine"))]
pub(crate) fn write(description: &Description) -> Vec<u8> {
    let mut partition = Vec::new();
    let mut entry = |kind: u32, value: Vec<u8>| {
        u32s(&mut partition, &[kind, value.len() as u32]);
        partition.extend(value);
    };
    entry(INPUTS, write_tensors(&description.inputs));
    entry(OUTPUTS, write_tensors(&description.outputs));
    let Gears { batch, hw, dims } = &description.gears;
    if !batch.is_empty() {
        let mut value = Vec::new();
        u32s(&mut value, &[batch.len() as u32]);
        batch.iter().for_each(|size| value.extend(size.to_le_bytes()));
        entry(BATCH, value);
    }
    for (kind, gears) in [(HW, hw), (DIMS, dims)] {
        if !gears.is_empty() {
            let mut value = Vec::new();
            u32s(&mut value, &[gears.len() as u32]);
            gears.iter().for_each(|gear| u32s(&mut value, &[gear.len() as u32]));
            gears.iter().flatten().for_each(|size| value.extend(size.to_le_bytes()));
            entry(kind, value);
        }
    }
    let shapes = description.output_shapes.iter();
    let shapes =
        shapes.map(|shape| shape.iter().map(i64::to_string).collect::<Vec<_>>().join(",").into_bytes());
    let names = description.data_order.iter().map(|name| name.to_bytes().to_vec());
    for (kind, strings) in [(OUTPUT_SHAPES, shapes.collect::<Vec<_>>()), (DATA_ORDER, names.collect())] {
        if !strings.is_empty() {
            let mut value = Vec::new();
            u32s(&mut value, &[strings.len() as u32]);
            strings.iter().for_each(|string| u32s(&mut value, &[string.len() as u32]));
            strings.iter().for_each(|string| value.extend(string));
            entry(kind, value);
        }
    }
    partition
}

fn write_tensors(tensors: &[Tensor]) -> Vec<u8> {
    let mut value = Vec::new();
    u32s(&mut value, &[tensors.len() as u32]);
    for tensor in tensors {
        let name = tensor.name.to_bytes();
        value.extend((tensor.size as u64).to_le_bytes());
        u32s(&mut value, &[tensor.format.0 as u32, tensor.data_type.0 as u32]);
        let bytes = |numbers: usize| (numbers * 8) as u32;
        let (dims, dims_v2) = (bytes(tensor.dims.len()), bytes(tensor.dims_v2.len()));
        u32s(&mut value, &[name.len() as u32, dims, dims_v2, bytes(tensor.ranges.len() * 2)]);
        value.extend(name);
        let ranges = tensor.ranges.iter().flat_map(|&(low, high)| [low, high]);
        for number in tensor.dims.iter().chain(&tensor.dims_v2).copied().chain(ranges) {
            value.extend(number.to_le_bytes());
        }
    }
    value
}

fn u32s(to: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|value| to.extend(value.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Description {
        let tensor = Tensor {
            name: c"image".into(),
            dims: vec![-1, 3, 4],
            dims_v2: vec![-1, 3, 4, 1],
            ranges: vec![(1, 8), (3, 3), (4, 4)],
            data_type: sys::ACL_UINT8,
            format: sys::ACL_FORMAT_NHWC,
            size: 96,
        };
        Description {
            inputs: vec![tensor.clone(), Tensor { ranges: Vec::new(), ..tensor.clone() }],
            outputs: vec![tensor],
            gears: Gears { batch: vec![1, 8], hw: vec![vec![1, 2]], dims: vec![vec![3], vec![4]] },
            output_shapes: vec![vec![0, 0, 1, 3], vec![-1, 1, 7]],
            data_order: vec![c"a".into(), c"bc".into()],
            ..Description::default()
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        assert_eq!(read(&write(&example())).unwrap(), example());
        assert_eq!(read(&[]).unwrap(), Description::default());
    }

    #[test]
    fn cut_or_changed_anywhere_it_is_refused_or_read() {
        let good = write(&example());
        for length in 0..good.len() {
            let _ = read(&good[..length]);
        }
        for at in 0..good.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] = byte;
                let _ = read(&bad);
            }
        }
        assert_eq!(read(&[9, 0, 0, 0, 0, 0, 0, 0]).unwrap_err(), sys::ACL_ERROR_GE_FAILURE);
    }
}
