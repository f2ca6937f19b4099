//! The stream goes first, with work on it; then what it uses, and what it was to call.

use ascendcl::{Acl, Error};

use super::super::lab::{Failure, Lab, Outcome, holds, same};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let context = acl.device(0)?.create_context()?;
    let memory = context.alloc::<u8>(1000)?;
    let end = context.create_event()?;
    for round in 0..3 {
        let stream = context.create_stream()?;
        let other = context.create_stream()?;
        let upload = stream.upload(context.alloc_pinned_from(&[round; 1000])?, &memory)?;
        let scratch = context.alloc::<u8>(1000)?;
        stream.memset(&scratch, 1)?;
        let callback = stream.launch_callback(lab.closure(move || round))?;
        let download = stream.download(&memory, context.alloc_pinned(1000)?)?;
        stream.record(&end)?;
        other.wait(&end)?;
        // A transfer holds its stream; these handles are not the last ones.
        drop((stream, scratch));
        lab.step("wait for what a dropped stream does");
        same("what came back", &lab.get(download)?, &[round; 1000])?;
        drop(upload);
        match lab.wait(callback) {
            Ok(result) => holds(result == round, "the callback's result")?,
            Err(error @ Error::Abandoned { .. }) => return Err(error.into()),
            Err(error) => return Err(Failure::Acl(error)),
        }
        lab.sync_event(&end)?;
        drop(other);
    }
    // The last handles, with work queued: nobody waits for it.
    let stream = context.create_stream()?;
    drop(stream.upload(context.alloc_pinned_from(&[9; 1000])?, &memory)?);
    drop(stream.launch_callback(lab.closure(|| ()))?);
    drop(stream);
    drop(memory);
    drop(end);
    Ok(())
}
