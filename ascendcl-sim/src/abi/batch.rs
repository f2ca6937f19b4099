//! Batches of copies.

use core::ffi::c_void;
use std::slice;

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtMemLocation, aclrtMemcpyBatchAttr, aclrtStream};

use super::copy::copy_pageable;
use super::{call, fill, invalid, not_null};
use crate::core::task::Task;
use crate::core::{Context, Named, current_context};
use crate::error::fail;
use crate::memory::{self, Ends, Location, Shape, Transfer};

/// Copies in one blocking batch.
const MOST: usize = 4096;

/// The arrays of a batch, as the program passes them.
#[derive(Clone, Copy)]
struct Arrays {
    dsts: *mut *mut c_void,
    destMaxs: *mut usize,
    srcs: *mut *mut c_void,
    sizes: *mut usize,
    numBatches: usize,
    attrs: *mut aclrtMemcpyBatchAttr,
    attrsIndexes: *mut usize,
    numAttrs: usize,
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemcpyBatch(
    dsts: *mut *mut c_void,
    destMaxs: *mut usize,
    srcs: *mut *mut c_void,
    sizes: *mut usize,
    numBatches: usize,
    attrs: *mut aclrtMemcpyBatchAttr,
    attrsIndexes: *mut usize,
    numAttrs: usize,
    failIndex: *mut usize,
) -> aclError {
    let arrays = Arrays { dsts, destMaxs, srcs, sizes, numBatches, attrs, attrsIndexes, numAttrs };
    call!("aclrtMemcpyBatch", || {
        not_null(failIndex, "failIndex")?;
        // SAFETY: [caller] same contract.
        unsafe { copy_now(arrays, failIndex) }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemcpyBatchV2(
    dsts: *mut *mut c_void,
    destMaxs: *mut usize,
    srcs: *mut *mut c_void,
    sizes: *mut usize,
    numBatches: usize,
    attrs: *mut aclrtMemcpyBatchAttr,
    attrsIndexes: *mut usize,
    numAttrs: usize,
) -> aclError {
    let arrays = Arrays { dsts, destMaxs, srcs, sizes, numBatches, attrs, attrsIndexes, numAttrs };
    let mut unused = 0;
    // SAFETY: [caller] same contract.
    call!("aclrtMemcpyBatchV2", || unsafe { copy_now(arrays, &raw mut unused) })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemcpyBatchAsync(
    dsts: *mut *mut c_void,
    destMaxs: *mut usize,
    srcs: *mut *mut c_void,
    sizes: *mut usize,
    numBatches: usize,
    attrs: *mut aclrtMemcpyBatchAttr,
    attrsIndexes: *mut usize,
    numAttrs: usize,
    failIndex: *mut usize,
    stream: aclrtStream,
) -> aclError {
    let arrays = Arrays { dsts, destMaxs, srcs, sizes, numBatches, attrs, attrsIndexes, numAttrs };
    call!("aclrtMemcpyBatchAsync", || {
        not_null(failIndex, "failIndex")?;
        // SAFETY: [caller] same contract.
        unsafe { copy_async(arrays, failIndex, stream) }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtMemcpyBatchAsyncV2(
    dsts: *mut *mut c_void,
    destMaxs: *mut usize,
    srcs: *mut *mut c_void,
    sizes: *mut usize,
    numBatches: usize,
    attrs: *mut aclrtMemcpyBatchAttr,
    attrsIndexes: *mut usize,
    numAttrs: usize,
    stream: aclrtStream,
) -> aclError {
    let arrays = Arrays { dsts, destMaxs, srcs, sizes, numBatches, attrs, attrsIndexes, numAttrs };
    let mut unused = 0;
    // SAFETY: [caller] same contract.
    call!("aclrtMemcpyBatchAsyncV2", || unsafe { copy_async(arrays, &raw mut unused, stream) })
}

/// # Safety
/// The arrays are as long as they say, `fail_index` is a place to write to, and plain host memory is as large as it says.
unsafe fn copy_now(arrays: Arrays, fail_index: *mut usize) -> Result<(), aclError> {
    // SAFETY: [caller] same contract.
    let Some(batch) = (unsafe { Batch::check(arrays, fail_index) })? else { return Ok(()) };
    // SAFETY: [caller] contract.
    unsafe { fail_index.write(usize::MAX) };
    if batch.sizes.len() > MOST {
        return Err(wrong(format_args!("{} copies are more than {MOST}", batch.sizes.len())));
    }
    batch.check_attributes()?;
    // All are looked at before the first is carried out.
    for index in 0..batch.sizes.len() {
        if let Err(code) = batch.check_item(index) {
            // SAFETY: [caller] contract.
            unsafe { fail_index.write(index) };
            return Err(code);
        }
    }
    let context = current_context()?;
    for index in (0..batch.sizes.len()).filter(|&index| batch.sizes[index] > 0) {
        let shape = Shape::row(batch.sizes[index]);
        // SAFETY: [caller] contract.
        unsafe { memory::copy_blocking(context.device(), batch.ends(index), shape) }?;
    }
    Ok(())
}

/// # Safety
/// As for [`copy_now`].
unsafe fn copy_async(arrays: Arrays, fail_index: *mut usize, stream: aclrtStream) -> Result<(), aclError> {
    // SAFETY: [caller] same contract.
    let Some(batch) = (unsafe { Batch::check(arrays, fail_index) })? else { return Ok(()) };
    let stream = Named::new(stream)?;
    // SAFETY: [caller] contract.
    unsafe { fail_index.write(usize::MAX) };
    batch.check_attributes()?;
    let context = current_context()?;
    // Each is looked at when it is its turn: those before a wrong one are on their way.
    for index in 0..batch.sizes.len() {
        let checked = if batch.sizes[index] == 0 || batch.sizes[index] > batch.capacities[index] {
            let (size, capacity) = (batch.sizes[index], batch.capacities[index]);
            Err(wrong(format_args!("copy {index} of {size} bytes into {capacity} is empty or too large")))
        } else {
            batch.check_item(index)
        };
        if let Err(code) = checked {
            // SAFETY: [caller] contract.
            unsafe { fail_index.write(index) };
            return Err(code);
        }
        // SAFETY: [caller] contract.
        unsafe { queue(&context, &stream, batch.ends(index), batch.sizes[index]) }?;
    }
    Ok(())
}

/// # Safety
/// Plain host memory is `len` bytes long.
unsafe fn queue(context: &Context, stream: &Named, ends: Ends, len: usize) -> Result<(), aclError> {
    let copy = ends.locate();
    if copy.is_plain() {
        // SAFETY: [caller] same contract.
        return unsafe { copy_pageable(&stream.any(context), ends, Shape::row(len)) };
    }
    let stream = stream.of(context)?;
    stream.push(Task::Copy(Transfer::plan(stream.device(), copy, Shape::row(len))?))
}

/// The arrays of a batch that does something.
struct Batch<'a> {
    to: &'a [*mut c_void],
    capacities: &'a [usize],
    from: &'a [*mut c_void],
    sizes: &'a [usize],
    attributes: &'a [aclrtMemcpyBatchAttr],
    first: &'a [usize],
}

impl Batch<'_> {
    /// The checks of the upper layer; `None` if all sizes are 0.
    ///
    /// # Safety
    /// As for [`copy_now`], for as long as the batch lives.
    unsafe fn check(arrays: Arrays, fail_index: *mut usize) -> Result<Option<Self>, aclError> {
        let Arrays { dsts, destMaxs, srcs, sizes, numBatches, attrs, attrsIndexes, numAttrs } = arrays;
        not_null(sizes, "sizes")?;
        if numBatches == 0 {
            return Err(invalid("numBatches must not be 0"));
        }
        // SAFETY: [caller] not NULL, and the array is that long (contract).
        let sizes = unsafe { slice::from_raw_parts(sizes, numBatches) };
        if sizes.iter().all(|&size| size == 0) {
            // SAFETY: [caller] contract.
            unsafe { fail_index.write(usize::MAX) };
            return Ok(None);
        }
        not_null(dsts, "dsts")?;
        not_null(destMaxs, "destMaxs")?;
        not_null(srcs, "srcs")?;
        not_null(attrs, "attrs")?;
        not_null(attrsIndexes, "attrsIndexes")?;
        // SAFETY: [caller] not NULL, and the arrays are that long (contract).
        let batch = unsafe {
            Self {
                to: slice::from_raw_parts(dsts, numBatches),
                capacities: slice::from_raw_parts(destMaxs, numBatches),
                from: slice::from_raw_parts(srcs, numBatches),
                sizes,
                attributes: slice::from_raw_parts(attrs, numAttrs),
                first: slice::from_raw_parts(attrsIndexes, numAttrs),
            }
        };
        if let Some(index) = (0..numBatches).find(|&index| batch.capacities[index] < sizes[index]) {
            let (size, capacity) = (sizes[index], batch.capacities[index]);
            return Err(invalid(format_args!("copy {index}: {size} bytes do not fit into {capacity} bytes")));
        }
        if batch.attributes.iter().any(|attribute| attribute.rsv.iter().any(|&byte| byte != 0)) {
            return Err(invalid("the reserved bytes of attributes must be 0"));
        }
        Ok(Some(batch))
    }

    /// Which attributes are for which copies.
    fn check_attributes(&self) -> Result<(), aclError> {
        let count = self.sizes.len();
        if self.first.is_empty() || self.first.len() > count {
            let attributes = self.first.len();
            return Err(wrong(format_args!("{attributes} attributes are not right for {count} copies")));
        }
        if self.first[0] != 0 {
            return Err(wrong(format_args!(
                "the first attributes are for copies from 0, not {}",
                self.first[0]
            )));
        }
        if self.first.windows(2).any(|pair| pair[1] <= pair[0] || pair[1] >= count) {
            return Err(wrong(format_args!("attrsIndexes must ascend and stay below {count}")));
        }
        Ok(())
    }

    /// The attributes of a copy fit its addresses, and it goes between host and device.
    fn check_item(&self, index: usize) -> Result<(), aclError> {
        let attribute = &self.attributes[self.first.partition_point(|&first| first <= index) - 1];
        let (to, from) = (self.to[index], self.from[index]);
        if to.is_null() || from.is_null() {
            return Err(wrong(format_args!("copy {index} has no address")));
        }
        let sides = [(to, attribute.dstLoc, "dst"), (from, attribute.srcLoc, "src")];
        for (pointer, said, name) in sides {
            if !fits(pointer, said) {
                let is = memory::classify(pointer);
                let (kind, id) = (said.type_.0, said.id);
                return Err(wrong(format_args!(
                    "copy {index}: {name} {pointer:p} is {is}, its attributes say location type {kind}, id {id}"
                )));
            }
        }
        let on_device = |pointer| matches!(memory::classify(pointer), Location::Device(_));
        let managed = |pointer| matches!(memory::classify(pointer), Location::Managed(_));
        if on_device(to) == on_device(from) && managed(to) == managed(from) {
            return Err(wrong(format_args!("copy {index} does not go between host and device")));
        }
        Ok(())
    }

    fn ends(&self, index: usize) -> Ends {
        Ends { to: self.to[index], from: self.from[index] }
    }
}

fn fits(pointer: *mut c_void, said: aclrtMemLocation) -> bool {
    let host = matches!(said.type_, sys::ACL_MEM_LOCATION_TYPE_HOST | sys::ACL_MEM_LOCATION_TYPE_HOST_NUMA);
    match memory::classify(pointer) {
        Location::Pinned | Location::Unregistered => host,
        Location::Device(id) => said.type_ == sys::ACL_MEM_LOCATION_TYPE_DEVICE && said.id == id as u32,
        Location::Managed(_) => said.type_ == super::address::MANAGED,
    }
}

fn wrong(what: std::fmt::Arguments<'_>) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api: aclrtMemcpyBatch, aclrtMemcpyBatchV2, aclrtMemcpyBatchAsync, aclrtMemcpyBatchAsyncV2);
}
