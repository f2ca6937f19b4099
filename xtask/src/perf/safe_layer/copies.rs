//! Copies to the device: blocking ones, and asynchronous ones whose transfer is dropped.

use ascendcl::PinnedBuffer;

use super::rig::Rig;
use crate::{
    error::Error,
    perf::{
        measure::{Effort, by_turns, seconds_each},
        row::{Limit, Measured, Row, Target},
    },
};

const BYTES: usize = 4096;
/// So many copies a round.
const COPIES: usize = 1000;
const UPLOADS: usize = 512;

pub fn blocking() -> Row {
    Row {
        name: "copy",
        title: "blocking copy of 4 KiB to the device, `DeviceBuffer::copy_from_slice`",
        baseline: "the same in C",
        target: Target::Ratio(Limit::AtMost(1.03)),
        run: measure_blocking,
        remark: Some(
            "`instructions-copy` counts what is added: the length, the context, and whether the process ends or the thread is in a callback. Where the compiler puts these instructions moves the \
             ratio by 0.04: so far apart were two builds that differ in a text.",
        ),
        ..Row::PLAIN
    }
}

pub fn uploads() -> Row {
    Row {
        name: "upload",
        title: "asynchronous upload of 4 KiB whose host memory goes with the transfer, which is dropped: enqueued, waited for, and the memory freed",
        baseline: "the same in C",
        target: Target::Ratio(Limit::AtMost(1.05)),
        run: measure_uploads,
        remark: Some(
            "`instructions-upload` counts what is added, nine atomic ones among them: the transfer shares the stream and the device memory, and the stream keeps the host memory until \
             it has passed the copy. Behind every 64 transfers it gets a fence, and what is behind a fence that was passed is freed while the device works on, so that a program that never \
             waits collects no memory. C frees all of it at the end. Without the fences the row gave 0.99 to 1.03, by turns with 1.02 to 1.06.",
        ),
        ..Row::PLAIN
    }
}

fn measure_blocking(effort: Effort) -> Result<Measured, Error> {
    let rig = Rig::new()?;
    let device = rig.context.alloc::<u8>(BYTES)?;
    let values = [7; BYTES];
    let _entered = rig.context.enter()?;
    by_turns(
        effort,
        || {
            seconds_each(COPIES, || {
                for _ in 0..COPIES {
                    device.copy_from_slice(&values)?;
                }
                Ok(())
            })
        },
        // SAFETY: [memory] the buffer has as many bytes, and lives until the end of this function.
        || seconds_each(COPIES, || unsafe { rig.c.copies(device.as_raw(), &values, COPIES) }),
    )
}

fn measure_uploads(effort: Effort) -> Result<Measured, Error> {
    let rig = Rig::new()?;
    let stream = rig.context.create_stream()?;
    let device = rig.context.alloc::<u8>(BYTES)?;
    let _entered = rig.context.enter()?;
    by_turns(
        effort,
        || {
            let pinned = (0..UPLOADS).map(|_| rig.context.alloc_pinned::<u8>(BYTES));
            let pinned: Vec<PinnedBuffer<u8>> = pinned.collect::<Result<_, _>>()?;
            seconds_each(UPLOADS, || {
                for pinned in pinned {
                    drop(stream.upload(pinned, &device).map_err(|rejected| rejected.error)?);
                }
                // Frees the host memory.
                Ok(stream.synchronize()?)
            })
        },
        || {
            let pinned = (0..UPLOADS).map(|_| rig.pinned(BYTES)).collect::<Result<Vec<_>, _>>()?;
            // SAFETY: [memory, handle] the device memory and the stream live until the end of this function; the page-locked memory is freed
            // by the second call alone, behind the copies.
            seconds_each(UPLOADS, || unsafe {
                rig.c.uploads(stream.as_raw(), device.as_raw(), &pinned, BYTES)?;
                rig.c.free_uploaded(stream.as_raw(), &pinned)
            })
        },
    )
}
