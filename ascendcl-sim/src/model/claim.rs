//! The memory that data buffers name, checked when an execution is asked for.

use core::ffi::c_void;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError};

use super::dataset::DataBuffer;
use super::registry::Model;
use super::tensor::Tensor;
use crate::check::{Misuse, misuse};
use crate::error::fail;
use crate::memory::{DeviceRange, Location, classify, device_range};

/// The real check lets data buffers pass that are too small by no more than this.
const SLACK: usize = 64;

/// The memory of one data buffer.
#[derive(Clone)]
pub(crate) struct Claim {
    range: DeviceRange,
    /// What the program says it is, which may be less than is used.
    claimed: usize,
}

impl Claim {
    pub(crate) fn len(&self) -> usize {
        self.claimed
    }

    /// The first `len` bytes; `None` if there are fewer.
    pub(crate) fn first(&self, len: usize) -> Option<DeviceRange> {
        (len <= self.range.len()).then(|| self.range.part(0, len))
    }
}

/// A dataset has as many buffers as the model has inputs or outputs: 145000 otherwise.
pub(crate) fn matching(buffers: usize, needed: usize, what: &str) -> Result<(), aclError> {
    if buffers == needed {
        return Ok(());
    }
    Err(fail(
        sys::ACL_ERROR_GE_PARAM_INVALID,
        format_args!("the {what} dataset has {buffers} data buffers, the model {needed} {what}s"),
    ))
}

/// The memory of the buffers of one side.
pub(crate) fn claims(
    model: &Model,
    buffers: &[Arc<DataBuffer>],
    what: &'static str,
    tensors: &[Tensor],
    sized: bool,
) -> Result<Vec<Claim>, aclError> {
    let one = |(index, (buffer, tensor)): (usize, (&Arc<DataBuffer>, &Tensor))| {
        claim(model, buffer, (what, index), tensor, sized)
    };
    buffers.iter().zip(tensors).enumerate().map(one).collect()
}

/// The memory of one buffer; `sized` if it must be as large as the description says.
pub(crate) fn claim(
    model: &Model,
    buffer: &DataBuffer,
    (what, index): (&str, usize),
    tensor: &Tensor,
    sized: bool,
) -> Result<Claim, aclError> {
    let region = buffer.region();
    let name = tensor.name.to_string_lossy();
    let (address, size) = (region.address, region.size);
    if address.is_null() {
        let text = format!("the data buffer of {what} {index} '{name}' has no address");
        return Err(fail(sys::ACL_ERROR_INVALID_PARAM, text));
    }
    let needed = if sized { tensor.size } else { 0 };
    if size.saturating_add(SLACK) < needed {
        return Err(fail(
            sys::ACL_ERROR_GE_PARAM_INVALID,
            format_args!(
                "the data buffer of {what} {index} '{name}' has {size} bytes, the model needs {needed}"
            ),
        ));
    }
    let refused = |why: &dyn std::fmt::Display| {
        let text = format!("the memory of {what} {index} '{name}' at {address:p} {why}");
        fail(sys::ACL_ERROR_RT_PARAM_INVALID, text)
    };
    check_place(model, address, (what, index), &name, &refused)?;
    // The size that the program claims must be there, although the model may use the first part only, and what the model uses too,
    // although the program may claim less.
    let length = size.max(needed);
    let range = device_range(address, length)
        .map_err(|_| refused(&format_args!("has no {length} bytes allocated")))?;
    Ok(Claim { range, claimed: size })
}

fn check_place(
    model: &Model,
    address: *mut c_void,
    (what, index): (&str, usize),
    name: &str,
    refused: &dyn Fn(&dyn std::fmt::Display) -> aclError,
) -> Result<(), aclError> {
    match classify(address) {
        Location::Device(device) if device == model.device() => Ok(()),
        Location::Managed(_) => Ok(()),
        Location::Device(device) => {
            let own = model.device();
            Err(refused(&format_args!("is on device {device}, the model on device {own}")))
        }
        Location::Pinned | Location::Unregistered => {
            misuse(
                Misuse::HostPointer,
                format_args!("{what} {index} '{name}' of a model is host memory; it has to be device memory"),
            );
            Err(refused(&"is host memory; a model reads and writes device memory, so copy it there"))
        }
    }
}
