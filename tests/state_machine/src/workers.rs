//! The threads of a program. Its objects go from one to the next, as the operations say: one thread works at a time.

use crate::{
    model::Model,
    operation::Op,
    world::{Failure, Outcome, World},
};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, Sender, channel},
    thread::JoinHandle,
};

struct Job {
    world: Box<World>,
    model: Box<Model>,
    op: Op,
}

type Done = (Box<World>, Outcome);

pub struct Workers {
    workers: Vec<(Sender<Job>, Receiver<Done>, JoinHandle<()>)>,
}

impl Workers {
    pub fn start(count: u8) -> Workers {
        let start = |number| {
            let ((jobs, work), (done, results)) = (channel(), channel());
            let thread = std::thread::Builder::new()
                .name(format!("program-{number}"))
                .spawn(move || {
                    while let Some(world) = serve(&work, &done) {
                        // The guard that this leaves could not be entered.
                        let _ = done.send((world, Ok(())));
                    }
                })
                .expect("a thread can be started");
            (jobs, results, thread)
        };
        Workers { workers: (0..count).map(start).collect() }
    }

    /// Does an operation on one of the threads, and has the objects back.
    pub fn execute(&self, thread: u8, world: Box<World>, model: &Model, op: &Op) -> Done {
        let (jobs, results, _) = &self.workers[usize::from(thread)];
        let job = Job { world, model: Box::new(model.clone()), op: op.clone() };
        jobs.send(job).expect("the thread waits for jobs");
        results.recv().expect("the thread answers")
    }

    /// Ends the threads, and with them the guards that they still have.
    pub fn end(self) {
        for (jobs, _, thread) in self.workers {
            drop(jobs);
            thread.join().expect("panics are caught");
        }
    }
}

/// Works until the guard of the caller is to be dropped, whose objects it gives then; `None` at the end.
fn serve(work: &Receiver<Job>, done: &Sender<Done>) -> Option<Box<World>> {
    while let Ok(Job { mut world, model, op }) = work.recv() {
        match op {
            Op::Leave => return Some(world),
            Op::Enter { context } => {
                let context = match world.context(context) {
                    Ok(context) => context.clone(),
                    Err(failure) => {
                        let _ = done.send((world, Err(failure)));
                        continue;
                    }
                };
                let entered = match context.enter() {
                    Ok(entered) => entered,
                    Err(error) => {
                        let _ = done.send((world, Err(error.into())));
                        continue;
                    }
                };
                let _ = done.send((world, Ok(())));
                let world = serve(work, done)?;
                drop(entered);
                let _ = done.send((world, Ok(())));
            }
            op => {
                let outcome = catch_unwind(AssertUnwindSafe(|| world.execute(&model, &op)));
                let outcome = outcome.unwrap_or_else(|panic| Err(Failure::Broken(panicked(&*panic))));
                let _ = done.send((world, outcome));
            }
        }
    }
    None
}

/// What a panic says.
pub fn panicked(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    format!("panicked: {}", text.unwrap_or_default())
}
