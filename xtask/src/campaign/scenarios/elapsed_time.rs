//! Events around copies of several sizes, in all three directions.

use ascendcl::Acl;

use super::super::lab::{Lab, Outcome, holds, same};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let (start, end) = (context.create_event()?, context.create_event()?);
    for bytes in [1 << 10, 16 << 10] {
        let (from, to) = (context.alloc::<u8>(bytes)?, context.alloc::<u8>(bytes)?);
        let mut pinned = context.alloc_pinned::<u8>(bytes)?;
        pinned.fill(bytes.trailing_zeros() as u8);
        let pattern = pinned.to_vec();
        lab.step("up");
        stream.record(&start)?;
        let upload = stream.upload(pinned, &from)?;
        stream.record(&end)?;
        let mut pinned = lab.get(upload)?;
        lab.sync(&stream)?;
        holds(end.millis_since(&start)? >= 0.0, "time goes forward")?;
        lab.step("across");
        stream.record(&start)?;
        stream.copy(&from, &to)?;
        stream.record(&end)?;
        lab.sync(&stream)?;
        end.elapsed_since(&start)?;
        lab.step("down");
        pinned.fill(0);
        stream.record(&start)?;
        let download = stream.download(&to, pinned)?;
        stream.record(&end)?;
        let pinned = lab.get(download)?;
        lab.sync(&stream)?;
        end.elapsed_since(&start)?;
        same("what went round", &pinned, &pattern)?;
    }
    Ok(())
}
