//! Finalises while handles are alive, which is refused; while streams that were dropped have work, which is waited for; and starts anew.

use ascendcl::{Acl, Error};

use super::super::lab::{Failure, Lab, Outcome, holds, open};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let buffer = context.alloc::<u8>(1000)?;
    lab.step("finalize with handles");
    match acl.clone().finalize() {
        Err(Error::InUse { .. }) => {}
        Err(error) => return Err(error.into()),
        Ok(_) => return Err(Failure::Wrong("finalised under handles".into())),
    }
    stream.memset(&buffer, 1)?;
    drop(stream.download(&buffer, context.alloc_pinned(1000)?)?);
    let own = context.clone();
    drop(stream.launch_callback(lab.closure(move || drop(own)))?);
    drop((buffer, stream, context));
    lab.step("finalize with work outstanding");
    acl.finalize()?;
    lab.step("begin anew");
    let acl = open()?;
    let context = acl.device(0)?.create_context()?;
    holds(context.alloc_from(&[5_u8; 10])?.to_vec()? == [5; 10], "it works again")?;
    drop(context);
    acl.finalize()?;
    Ok(())
}
