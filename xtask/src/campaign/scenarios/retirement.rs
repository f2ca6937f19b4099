//! So much queued work, of memory that nobody owns any more, that the stream needs fences to know what it may release.

use ascendcl::Acl;

use super::super::lab::{Lab, Outcome, same};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let kept = context.alloc::<u8>(300)?;
    lab.step("queue");
    for round in 0..200_u16 {
        let memory = context.alloc::<u8>(300)?;
        stream.memset(&memory, round as u8)?;
        if round % 20 == 0 {
            drop(stream.upload(context.alloc_pinned_from(&[round as u8; 300])?, &memory)?);
            stream.copy(&memory, &kept)?;
        }
    }
    lab.step("wait");
    lab.sync(&stream)?;
    same("the last copy", &kept.to_vec()?, &[180; 300])
}
