//! `aclmdlAIPP`: the parameters of dynamic AIPP, set one by one, and their layout in the memory of the model's parameter input: 64 bytes
//! for all images, then 96 for each image of the batch.

use std::ptr;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError, aclmdlAIPP};

use super::pixels::ImageFormat;
use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;

pub(crate) const HEAD_SIZE: usize = 64;
pub(crate) const BATCH_SIZE: usize = 96;

/// More images than any model takes; the object grows with their number.
const MAX_BATCHES: u64 = 1 << 20;

/// 1.0 in half precision.
const ONE: u16 = 0x3c00;

static OBJECTS: Table<Mutex<Params>> = Table::new(Kind::Aipp);

/// The parameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Params {
    pub(crate) head: Head,
    pub(crate) batches: Vec<Batch>,
}

/// What holds for all images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The hardware's number of the format; 0 is none.
    pub(crate) format: u8,
    pub(crate) csc: i8,
    pub(crate) rbuv_swap: i8,
    pub(crate) ax_swap: i8,
    pub(crate) batch_num: i8,
    /// Width and height.
    pub(crate) src: [i32; 2],
    pub(crate) matrix: [i16; 9],
    pub(crate) output_bias: [u8; 3],
    pub(crate) input_bias: [u8; 3],
}

/// What holds for one image. Pairs are width and height or their directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) crop: i8,
    pub(crate) scf: i8,
    pub(crate) padding: i8,
    pub(crate) start: [i32; 2],
    pub(crate) crop_size: [i32; 2],
    pub(crate) scf_input: [i32; 2],
    pub(crate) scf_output: [i32; 2],
    /// Top, bottom, left, right.
    pub(crate) pads: [i32; 4],
    pub(crate) mean: [i16; 4],
    /// In half precision, as the next.
    pub(crate) min: [u16; 4],
    pub(crate) var_reci: [u16; 4],
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            crop: 0,
            scf: 0,
            padding: 0,
            start: [0; 2],
            crop_size: [0; 2],
            scf_input: [0; 2],
            scf_output: [0; 2],
            pads: [0; 4],
            mean: [0; 4],
            min: [0; 4],
            var_reci: [ONE; 4],
        }
    }
}

impl Params {
    pub(crate) fn format(&self) -> Option<ImageFormat> {
        ImageFormat::from_hardware(self.head.format)
    }

    /// The layout in device memory.
    pub(crate) fn write(&self) -> Vec<u8> {
        let head = &self.head;
        let mut bytes = vec![head.format, head.csc as u8, head.rbuv_swap as u8, head.ax_swap as u8];
        bytes.extend([head.batch_num as u8, 0, 0, 0]);
        head.src.iter().for_each(|size| bytes.extend(size.to_le_bytes()));
        head.matrix.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        bytes.extend([0; 6]);
        bytes.extend(head.output_bias);
        bytes.extend(head.input_bias);
        bytes.resize(HEAD_SIZE, 0);
        for batch in &self.batches {
            let end = bytes.len() + BATCH_SIZE;
            bytes.extend([batch.crop as u8, batch.scf as u8, batch.padding as u8, 0, 0, 0, 0, 0]);
            let pairs = [batch.start, batch.crop_size, batch.scf_input, batch.scf_output];
            pairs.iter().flatten().chain(&batch.pads).for_each(|value| bytes.extend(value.to_le_bytes()));
            batch.mean.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
            batch.min.iter().chain(&batch.var_reci).for_each(|value| bytes.extend(value.to_le_bytes()));
            bytes.resize(end, 0);
        }
        bytes
    }

    /// Reads the layout for as many images as there are bytes, but no more than `images`.
    pub(crate) fn read(bytes: &[u8], images: usize) -> Option<Params> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_SIZE>()?;
        let i32_at = |bytes: &[u8], at: usize| {
            i32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let u16_at = |bytes: &[u8], at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let pair = |bytes: &[u8], at: usize| [i32_at(bytes, at), i32_at(bytes, at + 4)];
        let batch = |bytes: &[u8; BATCH_SIZE]| Batch {
            crop: bytes[0] as i8,
            scf: bytes[1] as i8,
            padding: bytes[2] as i8,
            start: pair(bytes, 8),
            crop_size: pair(bytes, 16),
            scf_input: pair(bytes, 24),
            scf_output: pair(bytes, 32),
            pads: std::array::from_fn(|index| i32_at(bytes, 40 + 4 * index)),
            mean: std::array::from_fn(|index| u16_at(bytes, 56 + 2 * index) as i16),
            min: std::array::from_fn(|index| u16_at(bytes, 64 + 2 * index)),
            var_reci: std::array::from_fn(|index| u16_at(bytes, 72 + 2 * index)),
        };
        Some(Params {
            head: Head {
                format: head[0],
                csc: head[1] as i8,
                rbuv_swap: head[2] as i8,
                ax_swap: head[3] as i8,
                batch_num: head[4] as i8,
                src: pair(head, 8),
                matrix: std::array::from_fn(|index| u16_at(head, 16 + 2 * index) as i16),
                output_bias: [head[40], head[41], head[42]],
                input_bias: [head[43], head[44], head[45]],
            },
            batches: rest.as_chunks::<BATCH_SIZE>().0.iter().take(images).map(batch).collect(),
        })
    }
}

/// `aclmdlGetAippDataSize` for a batch that is not 0.
pub(crate) fn data_size(batch: u64) -> Option<u64> {
    batch.checked_mul(BATCH_SIZE as u64)?.checked_add(HEAD_SIZE as u64)
}

/// `aclmdlCreateAIPP`: NULL for a batch of 0 or one that there is no memory for.
pub(crate) fn create(batch: u64) -> *mut aclmdlAIPP {
    if batch == 0 || batch > MAX_BATCHES {
        fail(
            sys::ACL_ERROR_INVALID_PARAM,
            format_args!("a batch of {batch} is not between 1 and {MAX_BATCHES}"),
        );
        return ptr::null_mut();
    }
    let head = Head { batch_num: batch as i8, ..Head::default() };
    let params = Params { head, batches: vec![Batch::default(); batch as usize] };
    let registration = register(LiveKind::Aipp, format!("batch {batch}"));
    OBJECTS.insert(Arc::new(Mutex::new(params)), registration).unwrap_or(ptr::null_mut()).cast()
}

/// `aclmdlDestroyAIPP`.
pub(crate) fn destroy(handle: *const aclmdlAIPP) -> Result<(), aclError> {
    OBJECTS.remove(handle.cast()).map(drop).ok_or_else(|| unknown(handle))
}

/// A copy of an object's parameters: 100000 if there is no such object.
pub(crate) fn get(handle: *const aclmdlAIPP) -> Result<Params, aclError> {
    OBJECTS.get(handle.cast()).map(|params| params.lock().clone()).ok_or_else(|| unknown(handle))
}

/// Changes an object's parameters.
pub(crate) fn change(
    handle: *const aclmdlAIPP,
    change: impl FnOnce(&mut Params) -> Result<(), aclError>,
) -> Result<(), aclError> {
    let params = OBJECTS.get(handle.cast()).ok_or_else(|| unknown(handle))?;
    let mut params = params.lock();
    change(&mut params)
}

fn unknown(handle: *const aclmdlAIPP) -> aclError {
    let why = OBJECTS.describe(handle.cast());
    fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("the AIPP parameters {handle:p} {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_read_as_it_is_written() {
        let head = Head {
            format: 1,
            csc: 1,
            rbuv_swap: 1,
            ax_swap: 0,
            batch_num: 2,
            src: [640, 480],
            matrix: [298, 516, 0, 298, -100, -208, 298, 0, 409],
            output_bias: [1, 2, 3],
            input_bias: [16, 128, 128],
        };
        let batch = Batch {
            crop: 1,
            start: [2, 4],
            crop_size: [224, 225],
            pads: [1, 2, 3, 4],
            mean: [104, 117, 123, 0],
            min: [5, 6, 7, 8],
            ..Batch::default()
        };
        let params = Params { head, batches: vec![batch, Batch::default()] };
        let bytes = params.write();
        assert_eq!(bytes.len() as u64, data_size(2).unwrap());
        assert_eq!((bytes[43], bytes[HEAD_SIZE + 16], bytes[HEAD_SIZE + 56]), (16, 224, 104));
        assert_eq!(Params::read(&bytes, 9).unwrap(), params);
        assert_eq!(Params::read(&bytes[..HEAD_SIZE + 95], 9).unwrap().batches.len(), 0);
        assert!(Params::read(&bytes[..63], 1).is_none());
    }
}
