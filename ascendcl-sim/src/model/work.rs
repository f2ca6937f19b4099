//! The work memory of models of dynamic shape, when the program has registered an allocator for the stream.
//!
//! As the real executor does it: the thread that enqueues asks, holding no lock, and gives back what it got as soon as what uses it is enqueued, which
//! is before the device has used it. How much is asked for, and how often, is the simulator's own: a block for the values between the operators, and one
//! for each output. Only for `aclmdlExecuteAsync` on a stream with an allocator: whatever else executes takes nothing.

use core::ffi::c_void;

use ascendcl_sys::{self as sys, aclError, aclrtStream};

use super::claim::Claim;
use crate::check::{Access, Misuse, misuse};
use crate::error::fail;
use crate::memory::{self, DeviceRange, Functions, Location, classify, device_range};

/// What work memory holds once something has run in it.
const USED: u8 = 0xe7;

/// Device memory comes in pieces of so many bytes.
const PIECE: usize = 512;

/// Memory of the program's allocator.
pub(crate) struct Block {
    _given: Given,
    range: DeviceRange,
}

impl Block {
    /// Asks for memory. 500002 if there is none.
    fn take(functions: Functions, device: i32, bytes: usize) -> Result<Block, aclError> {
        let failed = |text: &dyn std::fmt::Display| fail(sys::ACL_ERROR_GE_FAILURE, text);
        let (Some(allocate), Some(address)) = (functions.allocate, functions.address) else {
            return Err(failed(&"the registered allocator has no functions"));
        };
        let bytes = bytes.max(1).checked_next_multiple_of(PIECE).unwrap_or(usize::MAX);
        // SAFETY: [caller] the program registered the object and its functions together, and keeps them until it has said otherwise.
        let block = unsafe { allocate(functions.object, bytes) };
        if block.is_null() {
            return Err(failed(&format_args!("the allocator of the stream gave no memory of {bytes} bytes")));
        }
        // SAFETY: [caller] as above; the block is what the allocator just gave.
        let address = unsafe { address(block) };
        let given = Given { functions, block };
        let range = match classify(address) {
            Location::Device(found) if found != device => {
                return Err(failed(&format_args!(
                    "the allocator of the stream gave memory of device {found}, the model is on device {device}"
                )));
            }
            Location::Device(_) | Location::Managed(_) => device_range(address, bytes).map_err(|_| {
                failed(&format_args!(
                    "the allocator of the stream gave {address:p}, where there are no {bytes} bytes"
                ))
            })?,
            Location::Pinned | Location::Unregistered => {
                let text = format!(
                    "the allocator of a stream gave {address:p}, which is host memory; operators work in device memory"
                );
                misuse(Misuse::HostPointer, &text);
                return Err(failed(&text));
            }
        };
        Ok(Block { _given: given, range })
    }
}

/// What the allocator has to get back.
struct Given {
    functions: Functions,
    block: *mut c_void,
}

impl Drop for Given {
    fn drop(&mut self) {
        if let Some(free) = self.functions.free {
            // SAFETY: [caller] the block came from this allocator, and goes back once.
            unsafe { free(self.functions.object, self.block) };
        }
    }
}

/// Memory for an execution that reads and writes these, until it is enqueued. Nothing without an allocator.
pub(crate) fn take(
    stream: aclrtStream,
    device: i32,
    inputs: &[Claim],
    outputs: &[Claim],
) -> Result<Vec<Block>, aclError> {
    let Some((_, functions)) = memory::registered_allocator(stream) else { return Ok(Vec::new()) };
    let read = inputs.iter().map(Claim::len).fold(0, usize::saturating_add);
    let between = outputs.iter().map(Claim::len).fold(read, usize::saturating_add);
    let operators = outputs.iter().map(|output| read.saturating_add(output.len()));
    [between].into_iter().chain(operators).map(|bytes| Block::take(functions, device, bytes)).collect()
}

/// The memory itself, given back or not.
pub(crate) fn ranges(blocks: &[Block]) -> Vec<DeviceRange> {
    blocks.iter().map(|block| block.range.clone()).collect()
}

/// Works in it: it must still be there, and what was in it is lost.
pub(crate) fn use_up(ranges: &[DeviceRange]) -> Result<(), aclError> {
    for range in ranges {
        let bytes = range.open(Access::WRITE)?;
        // SAFETY: [mapped] the window is as long as it says, and its bytes are the simulator's to write while it is open.
        unsafe { libc::memset(bytes.as_mut_ptr().cast(), USED.into(), bytes.len()) };
    }
    Ok(())
}
