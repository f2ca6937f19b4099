//! What happens to handles when the process forks, exits, or ends a thread.

mod support;

use ascendcl::{Acl, Error, Event, EventFlags, Result, Stream, sys::aclrtContext};
use ascendcl_sim::api;
use std::{
    cell::RefCell,
    future::Future,
    os::unix::process::CommandExt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};
use support::{Gate, HostGate, Target, child};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn handles_in_a_forked_child() {
    child::run("fork embedded", &[]).success();
    child::run("fork cdylib", &[]).success();
}

#[test]
fn guards_in_a_forked_child_call_nothing() {
    child::run("fork counted", &[]).success();
}

#[test]
fn acl_may_be_initialised_in_a_child_that_was_forked_before() {
    child::run("fork-first embedded", &[]).success();
    child::run("fork-first cdylib", &[]).success();
}

#[test]
fn returning_from_main_with_everything_outstanding() {
    child::run("return embedded", &[]).success();
    child::run("return cdylib", &[]).success();
}

#[test]
fn exiting_with_everything_outstanding() {
    for role in ["exit embedded", "exit cdylib"] {
        let ended = child::run(role, &[]);
        assert_eq!(ended.status.and_then(|status| status.code()), Some(5), "{ended:#?}");
    }
}

#[test]
fn exiting_inside_a_callback() {
    for role in ["exit-in-callback embedded", "exit-in-callback cdylib"] {
        let ended = child::run(role, &[]);
        assert_eq!(ended.status.and_then(|status| status.code()), Some(6), "{ended:#?}");
    }
}

#[test]
fn exiting_while_other_threads_work() {
    for _ in 0..5 {
        for role in ["exit-busy embedded", "exit-busy cdylib"] {
            let ended = child::run(role, &[]);
            assert_eq!(ended.status.and_then(|status| status.code()), Some(5), "{ended:#?}");
        }
    }
}

#[test]
fn handles_in_statics_are_left_alone() {
    child::run("statics embedded", &[]).success();
    child::run("statics cdylib", &[]).success();
}

#[test]
fn forgetting_leaks_and_nothing_worse() {
    let ended = child::run("forget embedded", &[("ASCENDCL_SIM_LEAKS", "report")]).success();
    assert!(ended.stderr.contains("  pinned memory ("), "{ended:#?}");
}

backend_test! {
    fn programs_may_be_started(acl) {
        let stream = acl.device(0)?.create_context()?.create_stream()?;
        let gate = HostGate::close(&stream)?;
        assert!(Command::new("true").status()?.success());
        let mut forked = Command::new("true");
        // SAFETY: the closure does nothing, and so nothing that is forbidden between fork and exec.
        assert!(unsafe { forked.pre_exec(|| Ok(())) }.status()?.success());
        gate.open().wait()?;
        assert_eq!(stream.launch_callback(|| 1)?.wait()?, 1, "the parent is not a child");
    }
}

backend_test! {
    fn handles_of_a_thread_go_with_it(acl) {
        thread_local! {
            static KEPT: RefCell<Vec<(Stream, Event)>> = const { RefCell::new(Vec::new()) };
        }
        let context = acl.device(0)?.create_context()?;
        for _ in 0..10 {
            thread::scope(|scope| {
                let thread = scope.spawn(|| {
                    let (stream, event) = (context.create_stream().unwrap(), context.create_event().unwrap());
                    stream.record(&event).unwrap();
                    drop(stream.launch_callback(|| ()).unwrap());
                    KEPT.with_borrow_mut(|kept| kept.push((stream, event)));
                });
                // The end of the scope would not wait for what the thread keeps.
                thread.join().unwrap();
            });
        }
        // Also those of the report thread, which ends with its context.
        let other = acl.device(0)?.create_context()?.create_stream()?;
        let event = other.context().create_event()?;
        context
            .create_stream()?
            .launch_callback(move || KEPT.with_borrow_mut(|kept| kept.push((other, event))))?
            .wait()?;
        drop(context);
    }
}

/// One of everything, with work on it that does not end.
struct Outstanding {
    acl: Acl,
    stream: Stream,
    event: Event,
    gate: Gate,
    host_gate: HostGate,
    transfer: ascendcl::Transfer<u8>,
    other: ascendcl::Transfer<u8>,
    callback: ascendcl::Callback<u8>,
    future: ascendcl::Callback<u8>,
    buffer: ascendcl::DeviceBuffer<u8>,
    pinned: ascendcl::PinnedBuffer<u8>,
    model: ascendcl::Model,
}

fn outstanding(acl: Acl) -> Result<Outstanding> {
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let blocked = context.create_stream()?;
    let event = context.create_event()?;
    let buffer = context.alloc::<u8>(1000)?;
    let host_gate = HostGate::close(&blocked)?;
    let gate = Gate::close(&stream)?;
    stream.record(&event)?;
    for _ in 0..100 {
        let short = context.alloc::<u8>(100)?;
        stream.memset(&short, 1)?;
    }
    let transfer = stream.upload(context.alloc_pinned(1000)?, &buffer)?;
    let other = blocked.download(&buffer, context.alloc_pinned(1000)?)?;
    let callback = stream.launch_callback(|| 1)?;
    let mut future = stream.launch_callback(|| 2)?;
    assert!(pin!(&mut future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let model = ascendcl::Model::load(&context, "examples/assets/digits/digits.onnx")?;
    model.execute_async(&stream, &model.create_inputs()?, &model.create_outputs()?)?;
    // One that is dropped with work on it.
    let dropped = context.create_stream()?;
    gate.also(&dropped)?;
    drop(dropped.launch_callback(|| ())?);
    let pinned = context.alloc_pinned(1000)?;
    Ok(Outstanding {
        acl,
        stream,
        event,
        gate,
        host_gate,
        transfer,
        other,
        callback,
        future,
        buffer,
        pinned,
        model,
    })
}

/// Uses and drops everything in a forked child, where nothing works and nothing may hang or crash.
fn use_in_forked_child(everything: Outstanding) {
    fn forked<T>(what: &str, result: Result<T>) {
        assert!(matches!(result, Err(Error::Forked { .. })), "{what}: {:?}", result.err());
    }
    let Outstanding {
        acl,
        stream,
        event,
        gate,
        host_gate,
        transfer,
        other,
        callback,
        mut future,
        buffer,
        pinned,
        model,
    } = everything;
    let context = stream.context().clone();
    forked("version", acl.version());
    forked("device", acl.device(0));
    forked("reopen", support::reopen(&acl));
    forked("create_context", context.device().create_context());
    forked("memory_info", context.device().memory_info());
    forked("enter", context.enter());
    forked("create_stream", context.create_stream());
    forked("create_event", context.create_event());
    forked("alloc", context.alloc::<u8>(8));
    forked("alloc_pinned", context.alloc_pinned::<u8>(8));
    forked("synchronize", stream.synchronize());
    forked("synchronize_timeout", stream.synchronize_timeout(LONG));
    forked("is_idle", stream.is_idle());
    forked("record", stream.record(&event));
    forked("wait", stream.wait(&event));
    forked("memset", stream.memset(&buffer, 0));
    forked("launch_callback", stream.launch_callback(|| ()));
    forked("query", event.query());
    forked("event.synchronize", event.synchronize());
    forked("to_vec", buffer.to_vec());
    forked("execute", model.create_inputs());
    assert_eq!(pinned[0], 0, "host memory is the child's own copy");
    forked("upload", stream.upload(pinned, &buffer).map_err(Error::from));
    forked("transfer.is_done", transfer.is_done());
    forked("transfer.wait", transfer.wait());
    forked("transfer.wait_timeout", other.wait_timeout(LONG).map_err(Error::from));
    forked("callback.wait", callback.wait());
    match pin!(&mut future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => forked("await", result),
        Poll::Pending => panic!("it would be awaited for ever"),
    }
    forked("open", gate.open());
    drop((host_gate, future, model, buffer, event, stream, context));
    forked("finalize", acl.finalize());
}

/// Forks, runs `child` there, and demands that it ends by itself and well.
fn fork(child: impl FnOnce()) {
    // SAFETY: the child of this process with several threads calls nothing but what this test is about, and `_exit`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: ends a child that hangs.
        unsafe { libc::alarm(20) };
        let code = if catch_unwind(AssertUnwindSafe(child)).is_ok() { 0 } else { 3 };
        // SAFETY: ends the child without running what is the parent's.
        unsafe { libc::_exit(code) };
    }
    assert!(pid > 0, "a process can be forked");
    let mut status = 0;
    // SAFETY: a child of this process, and a valid place for the answer.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0, "the forked child failed, crashed or hung");
}

static CONTEXT_CALLS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn count_and_get(context: *mut aclrtContext) -> i32 {
    CONTEXT_CALLS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtGetCurrentContext.unwrap()(context) }
}

unsafe extern "C" fn count_and_set(context: aclrtContext) -> i32 {
    CONTEXT_CALLS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtSetCurrentContext.unwrap()(context) }
}

fn open(target: &str) -> Acl {
    match target {
        "embedded" => Target::Embedded.open().unwrap(),
        "cdylib" => Target::Cdylib.open().unwrap(),
        "counted" => {
            let table = support::table(|table| {
                table.aclrtGetCurrentContext = Some(count_and_get);
                table.aclrtSetCurrentContext = Some(count_and_set);
            });
            // SAFETY: the simulator's functions.
            unsafe { Acl::from_table(table) }.unwrap()
        }
        other => panic!("{other}"),
    }
}

/// Everything but the two gates is still there: opens them, waits for all of it, and finalises.
fn finish(everything: Outstanding) {
    let Outstanding {
        acl,
        stream,
        event,
        gate,
        host_gate,
        transfer,
        other,
        callback,
        future,
        buffer,
        pinned,
        model,
    } = everything;
    gate.open().unwrap();
    host_gate.open().wait().unwrap();
    assert_eq!((callback.wait().unwrap(), pollster::block_on(future).unwrap()), (1, 2));
    transfer.wait().unwrap();
    other.wait().unwrap();
    stream.synchronize().unwrap();
    assert!(event.is_complete().unwrap());
    drop((stream, event, buffer, pinned, model));
    assert!(acl.finalize().unwrap());
}

/// What the children do. In the process of the tests it is nothing.
#[test]
fn child() {
    let Some(role) = child::role() else { return };
    let (role, target) = role.split_once(' ').unwrap();
    match role {
        "fork" if target == "counted" => {
            let acl = open(target);
            let [a, b] = [(); 2].map(|()| acl.device(0).unwrap().create_context().unwrap());
            let outer = a.enter().unwrap();
            let inner = b.enter().unwrap();
            fork(|| {
                let before = CONTEXT_CALLS.load(Ordering::SeqCst);
                // SAFETY: these are the child's; the parent's guards are dropped by the parent.
                let (inner, outer) = unsafe { (std::ptr::read(&inner), std::ptr::read(&outer)) };
                drop(inner);
                drop(outer);
                assert_eq!(CONTEXT_CALLS.load(Ordering::SeqCst), before);
            });
            drop((inner, outer));
            drop((a, b));
            assert!(acl.finalize().unwrap());
        }
        "fork" => {
            let everything = outstanding(open(target)).unwrap();
            // SAFETY: the child uses its own copy, and the parent the original.
            fork(|| use_in_forked_child(unsafe { std::ptr::read(&everything) }));
            // Nothing of that is the parent's concern.
            finish(everything);
            assert!(ascendcl_sim::live().is_empty());
        }
        "fork-first" => {
            let work = || {
                let acl = open(target);
                let stream = acl.device(0).unwrap().create_context().unwrap().create_stream().unwrap();
                assert_eq!(stream.launch_callback(|| 4).unwrap().wait().unwrap(), 4);
                drop(stream);
                assert!(acl.finalize().unwrap());
            };
            fork(work);
            work();
        }
        // Back into the test harness, which returns from `main`.
        "return" => std::mem::forget(outstanding(open(target)).unwrap()),
        "exit" => {
            let _everything = outstanding(open(target)).unwrap();
            std::process::exit(5);
        }
        "exit-in-callback" => {
            let acl = open(target);
            let _everything = outstanding(acl.clone()).unwrap();
            let stream = acl.device(0).unwrap().create_context().unwrap().create_stream().unwrap();
            let callback = stream.launch_callback(|| std::process::exit(6)).unwrap();
            callback.wait().unwrap();
        }
        "exit-busy" => {
            let acl = open(target);
            let (busy, started) = mpsc::channel();
            for _ in 0..3 {
                let (acl, busy) = (acl.clone(), busy.clone());
                thread::spawn(move || {
                    loop {
                        let context = acl.device(0).unwrap().create_context().unwrap();
                        let stream = context.create_stream().unwrap();
                        let buffer = context.alloc::<u8>(10_000).unwrap();
                        drop(stream.upload(context.alloc_pinned(10_000).unwrap(), &buffer).unwrap());
                        let callback = stream.launch_callback(move || drop(buffer)).unwrap();
                        callback.wait().unwrap();
                        let _ = busy.send(());
                    }
                });
            }
            started.iter().take(20).for_each(drop);
            std::process::exit(5);
        }
        "statics" => {
            static STREAM: OnceLock<Stream> = OnceLock::new();
            thread_local! {
                static EVENT: RefCell<Option<Event>> = const { RefCell::new(None) };
            }
            let context = open(target).device(0).unwrap().create_context().unwrap();
            let event = context.create_event_with_flags(EventFlags::SYNC).unwrap();
            STREAM.set(context.create_stream().unwrap()).unwrap();
            STREAM.wait().record(&event).unwrap();
            EVENT.set(Some(event));
        }
        "forget" => {
            let acl = open(target);
            let context = acl.device(0).unwrap().create_context().unwrap();
            let stream = context.create_stream().unwrap();
            let buffer = context.alloc::<u8>(100).unwrap();
            std::mem::forget(stream.upload(context.alloc_pinned(100).unwrap(), &buffer).unwrap());
            std::mem::forget(stream.launch_callback(|| ()).unwrap());
            drop((context, stream, buffer));
            match acl.clone().finalize() {
                Err(Error::InUse { .. }) => {}
                other => panic!("{other:?}"),
            }
            // What was forgotten stays, and the rest works.
            let stream = acl.device(0).unwrap().create_context().unwrap().create_stream().unwrap();
            assert_eq!(stream.launch_callback(|| 1).unwrap().wait().unwrap(), 1);
        }
        other => panic!("{other}"),
    }
}
