//! The device memory of a loaded model: for its weights, and for running.

use core::ffi::c_void;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError};

use super::tensor::Description;
use crate::check::Access;
use crate::core::Context;
use crate::error::fail;
use crate::memory::{Charge, DeviceMemory, DeviceRange, NORMAL_PAGE, PageSize, device_range};

/// Memory that a program provides for a model. NULL leaves it to the library.
#[derive(Clone, Copy)]
pub(crate) struct Provided {
    pub(crate) work: *mut c_void,
    pub(crate) work_size: usize,
    pub(crate) weight: *mut c_void,
    pub(crate) weight_size: usize,
}

impl Provided {
    pub(crate) const NOTHING: Provided =
        Provided { work: std::ptr::null_mut(), work_size: 0, weight: std::ptr::null_mut(), weight_size: 0 };
}

/// The number of the graph engine among the modules that drivers count memory for.
const GRAPH_ENGINE: u16 = 45;

/// What the work memory holds once a model has run in it.
const USED: u8 = 0xe7;

/// A model's memory.
#[derive(Default)]
pub(crate) struct Reserved {
    /// What the library takes from the device. Nobody knows its address, so it needs none.
    own: Option<(Arc<DeviceMemory>, Charge)>,
    work: Option<DeviceRange>,
    weight: Option<DeviceRange>,
}

impl Reserved {
    /// Reserves what a model needs. Memory that the program provides must be large enough: 145000; the rest is allocated: 245000 if
    /// there is none.
    pub(crate) fn new(
        context: &Context,
        description: &Description,
        provided: &Provided,
    ) -> Result<Reserved, aclError> {
        let (work, weight) = (description.work_size, description.weight_size);
        let too_small = |what: &str, given: usize, needed: usize| {
            fail(
                sys::ACL_ERROR_GE_PARAM_INVALID,
                format_args!("the {what} memory has {given} bytes, the model needs {needed}"),
            )
        };
        let mut reserved = Reserved::default();
        let mut own = 0usize;
        if provided.weight.is_null() {
            own = own.saturating_add(weight);
        } else if provided.weight_size < weight {
            return Err(too_small("weight", provided.weight_size, weight));
        } else {
            reserved.weight = Some(device_range(provided.weight, weight)?);
        }
        // A model of dynamic shape takes its work memory when it runs.
        if description.dynamic {
        } else if provided.work.is_null() {
            own = own.saturating_add(work);
        } else if provided.work_size < work {
            return Err(too_small("work", provided.work_size, work));
        } else {
            reserved.work = Some(device_range(provided.work, work)?);
        }
        if own > 0 {
            let memory = context.device().memory();
            let charge = memory.accounts().take(own, PageSize::HugeFirst, GRAPH_ENGINE).ok_or_else(|| {
                let (free, total) = memory.accounts().free_and_total(NORMAL_PAGE);
                fail(
                    sys::ACL_ERROR_GE_MEMORY_ALLOCATION,
                    format_args!("no memory for a model of {own} bytes: {free} of {total} bytes are free"),
                )
            })?;
            reserved.own = Some((Arc::clone(memory), charge));
        }
        Ok(reserved)
    }

    /// The model is about to run: its memory must still be there, and what was in the work memory is lost.
    pub(crate) fn use_up(&self) -> Result<(), aclError> {
        if let Some(weight) = &self.weight {
            weight.open(Access::READ)?;
        }
        if let Some(work) = &self.work {
            let bytes = work.open(Access::WRITE)?;
            // SAFETY: [mapped] the window is as long as it says, and its bytes are the simulator's to write while it is open.
            unsafe { libc::memset(bytes.as_mut_ptr().cast(), USED.into(), bytes.len()) };
        }
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some((memory, charge)) = self.own.take() {
            memory.accounts().give(charge);
        }
    }
}
