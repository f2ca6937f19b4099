//! A closure is launched while another one runs, behind work that is held back: a report that comes again must not start it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use ascendcl::Acl;

use super::super::lab::{Failure, Lab, Opener, Outcome, holds, same};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let context = acl.device(0)?.create_context()?;
    let (first, second) = (context.create_stream()?, context.create_stream()?);
    let memory = context.alloc_from(&[0_u8; 80])?;
    for round in 1..=3 {
        lab.step("a closure runs");
        let (entered, inside) = mpsc::channel();
        let (leave, may_leave) = mpsc::channel::<()>();
        let running = first.launch_callback(lab.closure(move || {
            let _ = entered.send(());
            let _ = may_leave.recv();
        }))?;
        lab.receive(&inside)?.ok_or(Failure::Missing("the first closure"))?;
        lab.step("another is launched meanwhile");
        let opener = Opener::close(lab, &second)?;
        let opened = Arc::new(AtomicBool::new(false));
        drop(second.upload(context.alloc_pinned_from(&[round; 80])?, &memory)?);
        let download = second.download(&memory, context.alloc_pinned(80)?)?;
        let is_open = opened.clone();
        let callback =
            second.launch_callback(lab.closure(move || (is_open.load(Ordering::SeqCst), download.wait())))?;
        drop(leave);
        lab.wait(running)?;
        lab.sync(&first)?;
        lab.step("it runs when its turn comes");
        opened.store(true, Ordering::SeqCst);
        opener.open()?;
        let (in_turn, data) = lab.wait(callback)?;
        holds(in_turn, "the closure ran before its turn")?;
        same("what came back", &data?, &[round; 80])?;
        lab.sync(&second)?;
    }
    Ok(())
}
