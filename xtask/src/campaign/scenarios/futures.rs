//! Copies and callbacks are awaited; some are cancelled: polled once, and dropped.

use ascendcl::{Acl, CallbackMode};

use super::super::lab::{Lab, Outcome, holds, poll_once, same};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let numbers: Vec<u8> = (0..200).collect();
    let memory = context.alloc::<u8>(200)?;
    lab.step("await copies");
    for _ in 0..2 {
        let upload = stream.upload(context.alloc_pinned_from(&numbers)?, &memory)?;
        let download = stream.download(&memory, context.alloc_pinned(200)?)?;
        same("what was sent", &lab.block_on(upload)?, &numbers)?;
        same("what came back", &lab.block_on(download)?, &numbers)?;
    }
    lab.step("cancel copies");
    for _ in 0..3 {
        let download = stream.download(&memory, context.alloc_pinned(200)?)?;
        if let Some(result) = poll_once(download) {
            same("what came back at once", &result?, &numbers)?;
        }
    }
    lab.step("cancel callbacks");
    for mode in [CallbackMode::Blocking, CallbackMode::NonBlocking] {
        let callback = stream.launch_callback_with(mode, lab.closure(|| 5))?;
        if let Some(result) = poll_once(callback) {
            holds(result? == 5, "the result that was there at once")?;
        }
    }
    lab.step("await several");
    let first = stream.launch_callback(lab.closure(|| 1))?;
    let download = stream.download(&memory, context.alloc_pinned(200)?)?;
    let second = stream.launch_callback_with(CallbackMode::NonBlocking, lab.closure(|| 2))?;
    let (sum, data) = lab.block_on(async {
        let data = download.await?;
        Ok((first.await? + second.await?, data))
    })?;
    holds(sum == 3, "both results")?;
    same("what came back behind", &data, &numbers)
}
