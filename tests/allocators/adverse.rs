//! Allocators that do what they should not, at times when they should not: they fork, exit, and change allocators; what they own goes in the middle
//! of ACL, or comes back from a stream that failed.

use crate::{
    backend_test,
    program::{Asker, Dynamic, FAILED, Pool, answers, asked, device_memory},
    sim_test,
    support::{self, Gate, Raw, child, chips},
};
use ascendcl::{
    Acl, Context, DeviceAllocator, DeviceView, Error, Event, Result,
    sys::{self, aclError, aclrtAllocatorDesc, aclrtContext, aclrtStream},
};
use ascendcl_sim::api;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

backend_test! {
    fn a_child_that_is_forked_in_an_allocator_is_given_nothing(acl) {
        if !acl.supports("aclrtAllocatorGetByStream") {
            return Ok(());
        }
        let context = acl.device(0)?.create_context()?;
        let Some(model) = Dynamic::load(acl, &context)? else { return Ok(()) };
        // Others take the locks meanwhile, which are held for ever in a child.
        let (busy, _pool, asker) = asked(acl)?;
        let (stream, forked) = (context.create_stream()?, Arc::new(AtomicUsize::new(usize::MAX)));
        let memory: DeviceView<u8> = context.alloc(1 << 20)?.into();
        let (parts, child) = (memory.clone(), forked.clone());
        let given = AtomicUsize::new(0);
        stream.set_allocator(answers(move |bytes| {
            let start = given.fetch_add(bytes.next_multiple_of(64), Ordering::SeqCst) % (1 << 19);
            let part = parts.view(start..start + bytes);
            // SAFETY: the child goes back to who enqueues, who ends it.
            child.store(unsafe { libc::fork() }.try_into().expect("a process can be forked"), Ordering::SeqCst);
            part
        }))?;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| while !stop.load(Ordering::Relaxed) {
                    asker.free(asker.allocate(100));
                });
            }
            for _ in 0..5 {
                let enqueued = model.enqueue(&stream);
                let pid = forked.load(Ordering::SeqCst);
                if pid == 0 {
                    // SAFETY: ends the child without running what is the parent's.
                    unsafe { libc::_exit(if enqueued == FAILED { 0 } else { 3 }) };
                }
                assert_eq!(enqueued, 0, "the parent goes on");
                child::reap(pid.try_into().unwrap());
            }
            stop.store(true, Ordering::Relaxed);
        });
        stream.synchronize()?;
        drop(busy);
    }
}

/// Where contexts were destroyed.
static DESTROYED_ON: Mutex<Vec<thread::ThreadId>> = Mutex::new(Vec::new());

unsafe extern "C" fn destroy_context(context: aclrtContext) -> aclError {
    DESTROYED_ON.lock().unwrap().push(thread::current().id());
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtDestroyContext.unwrap()(context) }
}

sim_test! {
    fn no_context_goes_while_acl_gives_back() {
        support::with_table(|table| table.aclrtDestroyContext = Some(destroy_context), |acl| {
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            // In the allocator alone.
            let memory: DeviceView<u8> = acl.device(0)?.create_context()?.alloc::<u8>(1 << 10)?.into();
            stream.set_allocator(answers(move |_| Ok(memory.clone())))?;
            let asker = Asker::of(&stream);
            let block = asker.allocate(100);
            drop((stream, context));
            assert!(DESTROYED_ON.lock().unwrap().is_empty());
            asker.free(block);
            support::until(|| DESTROYED_ON.lock().unwrap().len() == 2);
            let here = thread::current().id();
            let elsewhere = DESTROYED_ON.lock().unwrap().iter().all(|&thread| thread != here);
            assert!(elsewhere, "ACL may be holding locks here");
            Ok(())
        })?;
    }
}

/// What comes back when a stream is destroyed.
static COMES_BACK: Mutex<Option<(Raw, Asker, Raw)>> = Mutex::new(None);

unsafe extern "C" fn destroy_stream(stream: aclrtStream) -> aclError {
    let comes_back = COMES_BACK.lock().unwrap().take_if(|(of, ..)| of.get() == stream);
    if let Some((_, asker, block)) = comes_back {
        asker.free(block.get());
    }
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtDestroyStream.unwrap()(stream) }
}

/// Says what a call answers when something comes back.
struct Caller(Context, mpsc::Sender<Result<Event>>);

impl DeviceAllocator for Caller {
    fn allocate(&self, bytes: usize) -> Result<DeviceView<u8>> {
        Ok(self.0.alloc(bytes)?.into())
    }

    fn free(&self, _: DeviceView<u8>) {
        let _ = self.1.send(self.0.create_event());
    }
}

sim_test! {
    fn what_comes_back_with_a_stream_does_not_hold_up_the_thread_that_ends_it() {
        support::with_table(|table| table.aclrtDestroyStream = Some(destroy_stream), |acl| {
            let context = acl.device(0)?.create_context()?;
            for is_busy in [false, true] {
                let stream = context.create_stream()?;
                let (answer, answered) = mpsc::channel();
                stream.set_allocator(Caller(context.clone(), answer))?;
                let asker = Asker::of(&stream);
                let gate = is_busy.then(|| Gate::close(&stream)).transpose()?;
                let (raw, block) = (Raw(stream.as_raw()), Raw(asker.allocate(100)));
                *COMES_BACK.lock().unwrap() = Some((raw, asker, block));
                drop(stream);
                if let Some(gate) = gate {
                    gate.open()?;
                }
                match answered.recv()? {
                    // Here, as the stream is dropped.
                    Ok(_) if !is_busy => {}
                    // Where everything is released that has to wait.
                    Err(Error::InCallback { .. }) if is_busy => {}
                    other => panic!("{other:?}"),
                }
            }
            Ok(())
        })?;
    }
}

/// Destroys it, and says that it has not.
unsafe extern "C" fn destroy_description(description: aclrtAllocatorDesc) -> aclError {
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtAllocatorDestroyDesc.unwrap()(description) };
    sys::ACL_ERROR_INVALID_PARAM
}

sim_test! {
    fn a_hook_may_wait_for_who_changes_allocators() {
        support::with_table(|table| table.aclrtAllocatorDestroyDesc = Some(destroy_description), |acl| {
            let context = acl.device(0)?.create_context()?;
            let (stream, removed) = (context.create_stream()?, Arc::new(AtomicUsize::new(0)));
            let (other, counted) = (stream.clone(), removed.clone());
            ascendcl::set_drop_error_hook(move |_| {
                let other = other.clone();
                thread::spawn(move || other.remove_allocator()).join().unwrap().unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
            });
            let set = stream.set_allocator(Pool::new(&context));
            // As without a hook.
            ascendcl::set_drop_error_hook(|error| log::error!("{error}"));
            set?;
            assert_eq!(removed.load(Ordering::SeqCst), 1);
            assert!(!stream.has_allocator()?);
            Ok(())
        })?;
    }
}

/// Does what a closure says, before it allocates and behind what comes back.
struct Meddler<F>(F, Arc<AtomicUsize>);

impl<F: Fn(bool) -> Result<DeviceView<u8>> + Send + Sync + 'static> DeviceAllocator for Meddler<F> {
    fn allocate(&self, _: usize) -> Result<DeviceView<u8>> {
        (self.0)(true)
    }

    fn free(&self, memory: DeviceView<u8>) {
        drop(memory);
        let _ = (self.0)(false);
    }
}

impl<F> Drop for Meddler<F> {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::SeqCst);
        std::panic::resume_unwind(Box::new("on purpose"));
    }
}

backend_test! {
    fn an_allocator_changes_allocators(acl) {
        let context = acl.device(0)?.create_context()?;
        let Some(model) = Dynamic::load(acl, &context)? else { return Ok(()) };
        for (round, &gives_back) in [false, true, false, true, false, true].iter().enumerate() {
            let (stream, dropped) = (context.create_stream()?, Arc::new(AtomicUsize::new(0)));
            let (own, inside, pool) = (context.clone(), Mutex::new(Some(stream.clone())), Pool::new(&context));
            let meddler = Meddler(move |allocates: bool| {
                if allocates != gives_back && let Some(stream) = inside.lock().unwrap().take() {
                    if round / 2 != 1 {
                        stream.set_allocator(pool.clone()).unwrap();
                    }
                    if round / 2 != 0 {
                        stream.remove_allocator().unwrap();
                    }
                    stream.synchronize().unwrap();
                    let more = own.create_stream().unwrap();
                    more.set_allocator(pool.clone()).unwrap();
                }
                own.alloc::<u8>(1 << 12).map(Into::into)
            }, dropped.clone());
            stream.set_allocator(meddler)?;
            for _ in 0..3 {
                model.enqueue(&stream);
                stream.synchronize()?;
            }
            assert_eq!(dropped.load(Ordering::SeqCst), 1, "{round}: what was replaced has gone");
            assert!(model.works(&stream)?, "{round}");
        }
    }
}

backend_test! {
    fn what_comes_back_of_a_replaced_allocator_goes_with_the_stream(acl) {
        if !acl.supports("aclrtAllocatorGetByStream") {
            return Ok(());
        }
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let (own, inside) = (context.clone(), Mutex::new(Some(stream.clone())));
        // It is replaced while it is asked, when nothing was taken of it yet.
        stream.set_allocator(answers(move |bytes| {
            if let Some(stream) = inside.lock().unwrap().take() {
                stream.remove_allocator()?;
            }
            Ok(own.alloc(bytes)?.into())
        }))?;
        let asker = Asker::of(&stream);
        let block = asker.allocate(100);
        assert!(!block.is_null());
        let gate = Gate::close(&stream)?;
        drop(stream);
        // The stream may still be working with it.
        let before = device_memory();
        asker.free(block);
        if acl.is_simulated() {
            assert_eq!(device_memory(), before);
        }
        gate.open()?;
    }
}

/// Each in a process of its own, on each backend.
#[test]
fn exits() {
    for target in ["embedded", "cdylib"] {
        for how in ["allocate", "free", "elsewhere"] {
            let environment = [("ASCENDCL_SIM_MISUSE", "report"), ("ASCENDCL_SIM_RACES", "report")];
            let ended = child::run(&format!("{how} {target}"), &environment).code(6);
            ended.silent_about("misuse").silent_about("race on").silent_about("panicked");
        }
    }
}

/// Behind a wait that failed nobody knows what still uses the memory.
#[test]
fn what_comes_back_of_a_stream_that_failed_is_never_freed() {
    child::run("failed embedded", &[("ASCENDCL_SIM_FAULTS", "aclrtSynchronizeStream:1=507015")]).success();
}

/// What the children do.
pub fn play() {
    let Some(role) = child::role() else { return };
    let (case, target) = chips::case_of(&role);
    let acl = target.open().unwrap();
    match case {
        "failed" => failed(acl),
        how => exiting(&acl, how),
    }
    .unwrap();
}

fn exiting(acl: &Acl, how: &str) -> Result<()> {
    let context = acl.device(0)?.create_context()?;
    let model = Dynamic::load(acl, &context)?.expect("this is the simulator");
    let stream = context.create_stream()?;
    let (own, (inside, entered)) = (context.clone(), mpsc::channel());
    let exits = match how {
        "allocate" => Some(true),
        "free" => Some(false),
        _ => None,
    };
    let meddler = Meddler(
        move |allocates| {
            let memory = own.alloc::<u8>(1 << 12)?;
            if exits == Some(allocates) {
                std::process::exit(6);
            }
            if exits.is_none() {
                let _ = inside.send(());
                thread::sleep(Duration::from_millis(20));
            }
            Ok(memory.into())
        },
        Arc::default(),
    );
    stream.set_allocator(meddler)?;
    if exits.is_some() {
        model.enqueue(&stream);
        unreachable!("the allocator has ended the process");
    }
    thread::spawn(move || {
        entered.recv().unwrap();
        std::process::exit(6);
    });
    model.enqueue(&stream);
    loop {
        thread::park();
    }
}

fn failed(acl: Acl) -> Result<()> {
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let own = context.clone();
    stream.set_allocator(answers(move |bytes| Ok(own.alloc(bytes)?.into())))?;
    let (asker, before) = (Asker::of(&stream), device_memory());
    let block = asker.allocate(100);
    stream.synchronize().unwrap_err();
    drop(stream);
    let is_stream = |live: &ascendcl_sim::Live| live.kind == ascendcl_sim::LiveKind::Stream;
    support::until(|| !ascendcl_sim::live().iter().any(is_stream));
    asker.free(block);
    drop(context);
    // Behind everything that is released later.
    assert!(matches!(acl.finalize(), Err(Error::InUse { .. })));
    assert_eq!(device_memory(), before + 1);
    Ok(())
}
