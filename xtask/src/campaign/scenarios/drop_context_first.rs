//! The handles of device and context go first; what was made in them keeps them, and works.

use ascendcl::Acl;

use super::super::lab::{Lab, Outcome, holds, same};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let device = acl.device(0)?;
    let context = device.create_context()?;
    let (stream, event) = (context.create_stream()?, context.create_event()?);
    let buffer = context.alloc_from(&[1_u64, 2, 3])?;
    let pinned = context.alloc_pinned::<u64>(3)?;
    let second = device.create_context()?;
    let other = second.create_stream()?;
    drop(device);
    drop(context);
    drop(acl);
    lab.step("work without the handles");
    let download = stream.download(&buffer, pinned)?;
    stream.record(&event)?;
    let callback = other.launch_callback(lab.closure(|| 4))?;
    drop(second);
    same("what came back", &lab.get(download)?, &[1, 2, 3])?;
    holds(event.is_complete()?, "the event is complete")?;
    holds(lab.wait(callback)? == 4, "the callback's result")?;
    lab.step("drop the rest");
    drop(event);
    drop(other);
    drop(buffer);
    drop(stream);
    Ok(())
}
