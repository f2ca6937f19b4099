//! Waits that run out of time while an event holds the streams back, and that are repeated when it does not.

use std::time::Duration;

use ascendcl::{Acl, Error};

use super::super::lab::{Failure, Lab, Opener, Outcome, holds, same};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let end = context.create_event()?;
    let opener = Opener::close(lab, &stream)?;
    let memory = context.alloc::<u8>(100)?;
    let upload = stream.upload(context.alloc_pinned_from(&[7; 100])?, &memory)?;
    // Nobody but the stream owns this: a wait that fails must not free it.
    let scratch = context.alloc::<u8>(100)?;
    stream.memset(&scratch, 5)?;
    drop(stream.upload(context.alloc_pinned_from(&[6; 100])?, &scratch)?);
    drop(scratch);
    let callback = stream.launch_callback(lab.closure(|| 8))?;
    stream.record(&end)?;
    let short = Duration::from_millis(2);
    let download = stream.download(&memory, context.alloc_pinned(100)?)?;
    lab.step("run out of time");
    runs_out(stream.synchronize_timeout(short))?;
    runs_out(end.synchronize_timeout(short))?;
    runs_out(context.synchronize_timeout(short))?;
    let upload = again(upload.wait_timeout(short))?;
    let callback = again(callback.wait_timeout(short))?;
    holds(!stream.is_idle()?, "the stream is held back")?;
    lab.step("let it go on");
    opener.open()?;
    let callback = callback.wait_timeout(lab.long()).map_err(Error::from)?;
    holds(callback == 8, "the callback's result")?;
    let pinned = upload.wait_timeout(lab.long()).map_err(Error::from)?;
    same("what was sent", &pinned, &[7; 100])?;
    end.synchronize_timeout(lab.long())?;
    same("what came back", &download.wait_timeout(lab.long()).map_err(Error::from)?, &[7; 100])?;
    context.synchronize_timeout(lab.long())?;
    stream.synchronize_timeout(lab.long())?;
    Ok(())
}

fn runs_out(wait: Result<(), Error>) -> Outcome {
    match wait {
        Err(error) if error.is_timeout() => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => Err(Failure::Wrong("a wait for a stream that is held back ended well".into())),
    }
}

/// What ran out of time gives back what may be waited for again.
fn again<T, U>(wait: Result<T, ascendcl::Rejected<U>>) -> Result<U, Failure> {
    match wait {
        Err(rejected) => match rejected.returned {
            Some(returned) if rejected.error.is_timeout() => Ok(returned),
            _ => Err(rejected.error.into()),
        },
        Ok(_) => Err(Failure::Wrong("a wait for a stream that is held back ended well".into())),
    }
}
