//! Copies whose addresses lie in device memory and are read when the stream gets there.

use core::ffi::c_void;
use std::ptr;

use ascendcl_sys::{self as sys, aclError};

use super::copy::Transfer;
use super::place::Place;
use super::range::device_range;
use crate::error::fail;

/// Bytes of a copy descriptor.
pub(crate) const DESCRIPTOR: usize = 32;
/// The first word of a descriptor that was set. What else is in it is nobody's business but ours.
const MAGIC: u64 = 0x5e7_c097_de5c_0001;

/// Where a copy finds its addresses.
#[derive(Clone)]
pub(crate) enum Indirect {
    /// A descriptor says everything.
    Described { descriptor: Place },
    /// Two cells hold the addresses, to which offsets are added.
    Cells { to: Place, to_offset: usize, from: Place, from_offset: usize, len: usize },
}

impl Indirect {
    /// What work on a stream does.
    pub(crate) fn run(&self) -> Result<(), aclError> {
        let (to, from, len) = match self {
            Self::Described { descriptor } => described(descriptor)?,
            Self::Cells { to, to_offset, from, from_offset, len } => {
                (cell(to)?.wrapping_add(*to_offset), cell(from)?.wrapping_add(*from_offset), *len)
            }
        };
        let transfer = Transfer::between(target(to, len)?, target(from, len)?);
        transfer.run()
    }
}

/// The bytes of a descriptor.
pub(crate) fn descriptor(to: *const c_void, from: *const c_void, len: usize) -> [u8; DESCRIPTOR] {
    let mut bytes = [0; DESCRIPTOR];
    let words = [MAGIC, len as u64, from.addr() as u64, to.addr() as u64];
    for (at, word) in bytes.chunks_exact_mut(8).zip(words) {
        at.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn described(place: &Place) -> Result<(usize, usize, usize), aclError> {
    let bytes = place.read()?;
    let word = |index: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[index * 8..][..8]);
        u64::from_le_bytes(word)
    };
    if word(0) != MAGIC {
        return Err(fail(
            sys::ACL_ERROR_RT_SYS_DMA,
            "a copy was told to read a descriptor that aclrtSetMemcpyDesc did not set",
        ));
    }
    Ok((word(3) as usize, word(2) as usize, word(1) as usize))
}

fn cell(place: &Place) -> Result<usize, aclError> {
    let bytes = place.read()?;
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[..8]);
    Ok(u64::from_le_bytes(word) as usize)
}

/// Device memory that a DMA engine was sent to: 507013 if there is none.
fn target(address: usize, len: usize) -> Result<Place, aclError> {
    device_range(ptr::without_provenance(address), len).map(Place::Device).map_err(|_| {
        fail(
            sys::ACL_ERROR_RT_SYS_DMA,
            format_args!("a copy was sent to {address:#x}, where there are no {len} bytes of device memory"),
        )
    })
}
