//! Handles of all kinds that are cloned, dropped, forgotten, sent to other threads and moved into closures, in any order. What is forgotten may
//! leak; nothing else may happen.

mod support;

use ascendcl::{Acl, BackendChoice, Context, Dataset, Event, Model, Result, Stream};
use std::{
    any::Any,
    future::Future,
    mem,
    sync::{Arc, Mutex, PoisonError},
    task::{Context as TaskContext, Poll, Waker},
    thread,
    time::Duration,
};
use support::{Random, child};

/// Anything that owns something of ACL.
type Thing = Box<dyn Any + Send>;

/// What the threads share: each takes what others have left.
#[derive(Default)]
struct Table(Mutex<Vec<Thing>>);

impl Table {
    fn put(&self, thing: impl Any + Send) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(thing));
    }

    fn take(&self, random: &mut Random) -> Option<Thing> {
        let mut things = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = things.len();
        (count > 0).then(|| things.swap_remove(random.below(count)))
    }
}

/// Ends a thing in one of all ways.
fn end(thing: Thing, stream: &Stream, random: &mut Random) -> Result<()> {
    match random.below(6) {
        0 => drop(thing),
        1 => mem::forget(thing),
        2 => drop(stream.launch_callback(move || drop(thing))?),
        // Given back by the callback, which is dropped, forgotten or waited for.
        3 => drop(stream.launch_callback(move || thing)?),
        4 => mem::forget(stream.launch_callback(move || thing)?),
        _ => drop(stream.launch_callback(move || thing)?.wait_timeout(Duration::from_secs(20))),
    }
    Ok(())
}

/// Makes something, and leaves it on the table.
fn make(context: &Context, stream: &Stream, event: &Event, table: &Table, random: &mut Random) -> Result<()> {
    let bytes = 1 + random.below(5000);
    match random.below(13) {
        0 => table.put((context.clone(), stream.clone(), event.clone())),
        1 => table.put(context.create_stream()?),
        2 => table.put(context.device().create_context()?.create_stream()?),
        3 => {
            let buffer = context.alloc::<u8>(bytes)?;
            stream.memset(&buffer, 7)?;
            table.put(buffer.view(bytes / 2..)?);
        }
        4 => table.put(context.alloc_pinned::<u8>(bytes)?),
        5 => {
            let buffer = context.alloc::<u8>(bytes)?;
            table.put(stream.upload(context.alloc_pinned(bytes)?, &buffer)?);
        }
        6 => {
            let mut download = Box::pin(stream.download(
                &context.alloc_from(&vec![3_u8; bytes])?.view(..)?,
                context.alloc_pinned(bytes)?,
            )?);
            // A future that was polled, and perhaps is never again.
            let mut task = TaskContext::from_waker(Waker::noop());
            match download.as_mut().poll(&mut task) {
                Poll::Ready(result) => table.put(result?),
                Poll::Pending => table.put(download),
            }
        }
        7 => {
            let download = stream
                .download(&context.alloc_from(&vec![9_u8; bytes])?.view(..)?, context.alloc_pinned(bytes)?)?;
            assert!(download.wait()?.iter().all(|&byte| byte == 9), "wrong bytes");
        }
        8 => {
            stream.record(event)?;
            context.create_stream()?.wait(event)?;
        }
        9 => {
            // Left in any order, or never.
            let other = context.device().create_context()?;
            let (outer, inner) = (context.enter()?, other.enter()?);
            match random.below(4) {
                0 => mem::forget(outer),
                1 => mem::forget(inner),
                2 => drop((outer, inner)),
                _ => drop((inner, outer)),
            }
            table.put(other.alloc::<u8>(bytes)?.view(..)?);
        }
        10 => {
            // Handles that own themselves, through the stream that keeps the closure.
            let cycle = Arc::new(Mutex::new(None));
            let (theirs, own) = (cycle.clone(), stream.clone());
            let callback = stream.launch_callback(move || drop((theirs, own)))?;
            *cycle.lock().unwrap_or_else(PoisonError::into_inner) = Some(callback);
            table.put(cycle);
        }
        11 => {
            let buffer = context.alloc::<u64>(64)?;
            let (from, to) = (buffer.view(..40)?, buffer.view(24..)?);
            stream.copy(&from, &to)?;
            table.put((from, to));
        }
        _ => stream.synchronize()?,
    }
    Ok(())
}

fn run_model(model: &Model, sides: &(Dataset, Dataset), stream: &Stream, random: &mut Random) -> Result<()> {
    match random.below(3) {
        0 => model.execute(&sides.0, &sides.1),
        1 => model.execute_async(stream, &sides.0, &sides.1),
        _ => {
            let outputs = model.create_outputs()?;
            model.execute_async(stream, &sides.0, &outputs)?;
            mem::forget(outputs);
            Ok(())
        }
    }
}

fn everything_is_forgotten_sometimes(seed: u64) -> Result<()> {
    let acl = Acl::builder().backend(BackendChoice::Sim).build()?;
    let table = Table::default();
    let main = acl.device(0)?.create_context()?;
    let model = Model::load(&main, "examples/assets/digits/digits.onnx")?;
    let sides = (model.create_inputs()?, model.create_outputs()?);
    let shared = main.create_stream()?;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (acl, table, main, model, sides, shared) = (&acl, &table, &main, &model, &sides, &shared);
                scope.spawn(move || -> Result<()> {
                    let mut random = Random::new(seed * 31 + worker);
                    for _ in 0..6 {
                        let context = acl.device((worker % 2) as i32)?.create_context()?;
                        let (stream, event) = (context.create_stream()?, context.create_event()?);
                        for _ in 0..40 {
                            make(&context, &stream, &event, table, &mut random)?;
                            if random.below(4) == 0 {
                                run_model(model, sides, shared, &mut random)?;
                            }
                            if let Some(thing) = table.take(&mut random).filter(|_| random.below(3) > 0) {
                                end(thing, if random.below(2) == 0 { &stream } else { shared }, &mut random)?;
                            }
                        }
                        table.put((context, stream));
                    }
                    main.synchronize()
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("nothing panics"))
    })?;
    if seed.is_multiple_of(2) {
        mem::forget((model, sides));
    }
    Ok(())
}

#[test]
fn child() {
    if let Some(seed) = child::role() {
        everything_is_forgotten_sometimes(seed.parse().expect("a number")).unwrap();
    }
}

#[test]
fn nothing_but_leaks_comes_of_handles_that_are_forgotten() {
    for seed in 0..3 {
        let environment =
            [("ASCENDCL_SIM_MISUSE", "report"), ("ASCENDCL_SIM_LEAKS", "off"), ("RUST_BACKTRACE", "1")];
        let ended = child::run(&seed.to_string(), &environment).success();
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!said.contains("panicked") && !said.contains("ascendcl-sim: misuse"), "seed {seed}: {said}");
    }
}
