//! Forked children, which inherit handles and none of the threads that would make them work.

use crate::{
    demand, live, on_each, on_each_with, open,
    outstanding::{Outstanding, outstanding},
    say,
    support::{self, Gate, HostGate, child::reap},
};
use ascendcl::{Acl, CallbackMode, Error, Result, Stream, sys::aclrtContext};
use ascendcl_sim::api;
use std::{
    os::unix::process::CommandExt,
    panic::{AssertUnwindSafe, catch_unwind},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

crate::cases![
    handles_in_a_forked_child,
    guards_in_a_forked_child_call_nothing,
    acl_may_be_initialised_in_a_child_that_was_forked_before,
    children_that_exit_run_handlers_and_destructors,
    forks_while_other_threads_work,
    forks_inside_a_callback,
    forks_in_the_drop_error_hook,
    programs_may_be_started,
];

fn handles_in_a_forked_child() {
    on_each("forks/everything", |ended| ended.success());
}

fn guards_in_a_forked_child_call_nothing() {
    support::child::run("forks/counted counted", &[]).success();
}

fn acl_may_be_initialised_in_a_child_that_was_forked_before() {
    on_each("forks/first", |ended| ended.success());
}

fn children_that_exit_run_handlers_and_destructors() {
    // The parent has a leak, and tells; the child has nothing, and is silent.
    on_each_with("forks/exiting", &[("ASCENDCL_SIM_LEAKS", "report")], |ended| {
        assert_eq!(ended.stderr.matches("leaked:").count(), 1, "{ended:#?}");
        ended.success()
    });
}

fn forks_while_other_threads_work() {
    on_each("forks/busy", |ended| ended.success());
}

fn forks_inside_a_callback() {
    for how in ["bare-exit", "exit", "exec", "return", "return-busy", "use"] {
        on_each(&format!("forks/in-callback-{how}"), |ended| ended.success());
    }
}

fn forks_in_the_drop_error_hook() {
    let faults = [("ASCENDCL_SIM_FAULTS", "aclrtDestroyEvent:1=507015")];
    for role in ["forks/in-hook", "forks/in-hook-of-reaper"] {
        on_each_with(role, &faults, |ended| ended.success().said("forked in the hook"));
    }
}

fn programs_may_be_started() {
    on_each("forks/programs", |ended| ended.success());
}

/// Forks. Gives the number of the child, or 0 in it.
fn fork() -> i32 {
    // SAFETY: the child of this process with several threads calls nothing but what these tests are about.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: asks for this thread's mask.
        unsafe {
            let mut blocked = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut blocked);
            demand("that signals reach the child", libc::sigismember(&blocked, libc::SIGTERM) == 0);
        }
    }
    pid
}

fn bare_exit(code: i32) -> ! {
    // SAFETY: ends the child without running what is the parent's.
    unsafe { libc::_exit(code) }
}

/// `exit` with all it runs. That of the standard library takes a lock before, which in the child of a process whose other threads come and go may be
/// held for ever.
fn exit(code: i32) -> ! {
    // SAFETY: ends the child, in which no other thread is.
    unsafe { libc::exit(code) }
}

/// Runs `child` in a forked child, and demands that it ends well.
fn in_child(child: impl FnOnce()) {
    let pid = fork();
    if pid == 0 {
        bare_exit(if catch_unwind(AssertUnwindSafe(child)).is_ok() { 0 } else { 3 });
    }
    reap(pid);
}

fn is_forked(error: &Error) -> bool {
    matches!(error, Error::Forked { .. })
}

static CONTEXT_CALLS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn count_and_get(context: *mut aclrtContext) -> i32 {
    CONTEXT_CALLS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtGetCurrentContext.unwrap()(context) }
}

unsafe extern "C" fn count_and_unuse(stream: ascendcl::sys::aclrtStream) -> i32 {
    CONTEXT_CALLS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: the caller's arguments.
    unsafe { api().aclrtUnuseStreamResInCurrentThread.unwrap()(stream) }
}

unsafe extern "C" fn count_and_set(context: aclrtContext) -> i32 {
    CONTEXT_CALLS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtSetCurrentContext.unwrap()(context) }
}

fn new_stream(acl: &Acl) -> Stream {
    acl.device(0).unwrap().create_context().unwrap().create_stream().unwrap()
}

pub fn play(role: &str, target: &str) {
    match role {
        "counted" => counted(),
        "everything" => {
            let everything = outstanding(open(target)).unwrap();
            // SAFETY: the child uses its own copy, and the parent the original.
            in_child(|| unsafe { std::ptr::read(&everything) }.use_in_vain(is_forked));
            // One that ignores them, one whose own child uses them, and one that becomes another program.
            in_child(|| ());
            // SAFETY: as above.
            in_child(|| in_child(|| unsafe { std::ptr::read(&everything) }.use_in_vain(is_forked)));
            in_child(|| say(&Command::new("true").exec().to_string()));
            // Nothing of that is the parent's concern.
            everything.finish();
            assert_eq!(live(target), 0);
        }
        "first" => {
            let work = || {
                let acl = open(target);
                let stream = new_stream(&acl);
                assert_eq!(stream.launch_callback(|| 4).unwrap().wait().unwrap(), 4);
                drop(stream);
                assert!(acl.finalize().unwrap());
            };
            in_child(work);
            work();
        }
        "exiting" => exiting(target),
        "busy" => busy(target),
        "in-hook" | "in-hook-of-reaper" => in_hook(&open(target), role),
        "programs" => programs(open(target)).unwrap(),
        other => match other.strip_prefix("in-callback-") {
            Some(how) => in_callback(open(target), how, target),
            None => panic!("{other}"),
        },
    }
}

fn counted() {
    let table = support::table(|table| {
        table.aclrtGetCurrentContext = Some(count_and_get);
        table.aclrtSetCurrentContext = Some(count_and_set);
        table.aclrtUnuseStreamResInCurrentThread = Some(count_and_unuse);
    });
    ascendcl::set_drop_error_hook(|_| {
        CONTEXT_CALLS.fetch_add(1, Ordering::SeqCst);
    });
    // SAFETY: the simulator's functions.
    let acl = unsafe { Acl::from_table(table) }.unwrap();
    let [a, b] = [(); 2].map(|()| acl.device(0).unwrap().create_context().unwrap());
    let outer = a.enter().unwrap();
    let inner = b.enter().unwrap();
    let limited = b.create_stream().unwrap().use_core_limits().unwrap();
    in_child(|| {
        let before = CONTEXT_CALLS.load(Ordering::SeqCst);
        // SAFETY: these are the child's; the parent's guards are dropped by the parent.
        let (inner, outer, limited) =
            unsafe { (std::ptr::read(&inner), std::ptr::read(&outer), std::ptr::read(&limited)) };
        drop(limited);
        drop(inner);
        drop(outer);
        assert_eq!(CONTEXT_CALLS.load(Ordering::SeqCst), before);
    });
    drop(limited);
    drop((inner, outer));
    drop((a, b));
    assert!(acl.finalize().unwrap());
}

/// `exit` in the child: destructors of thread-locals and handlers run there too, and so do those of the library.
fn exiting(target: &str) {
    static KEPT: Mutex<Option<Outstanding>> = Mutex::new(None);
    extern "C" fn use_in_vain() {
        let everything = KEPT.lock().unwrap().take();
        if let Some(everything) = everything {
            everything.use_in_vain(is_forked);
        }
    }
    thread_local! {
        static STREAM: std::cell::RefCell<Option<Stream>> = const { std::cell::RefCell::new(None) };
    }
    let acl = open(target);
    STREAM.set(Some(new_stream(&acl)));
    crate::at_exit(use_in_vain);
    *KEPT.lock().unwrap() = Some(outstanding(acl.clone()).unwrap());
    let pid = fork();
    if pid == 0 {
        exit(0);
    }
    reap(pid);
    let everything = KEPT.lock().unwrap().take().unwrap();
    drop(STREAM.take());
    support::forget(new_stream(&acl));
    drop(acl);
    let Outstanding { acl, gate, host_gate, .. } = everything;
    gate.open().unwrap();
    host_gate.open().wait().unwrap();
    drop(acl);
}

/// Forks again and again, so that some children inherit each lock while it is held.
fn busy(target: &str) {
    let acl = open(target);
    let stop = AtomicBool::new(false);
    let shared = new_stream(&acl);
    let context = shared.context().clone();
    let (held, buffer) = (context.create_stream().unwrap(), context.alloc::<u8>(100).unwrap());
    let gate = Gate::close(&held).unwrap();
    thread::scope(|scope| {
        for number in 0..3_u8 {
            let (acl, shared, stop, context) = (&acl, &shared, &stop, &context);
            scope.spawn(move || {
                let mut rounds = 0_u8;
                while !stop.load(Ordering::Relaxed) {
                    let stream = new_stream(acl);
                    let value = number.wrapping_mul(50).wrapping_add(rounds);
                    let buffer = context.alloc_from(&[value; 5000]).unwrap();
                    let transfer = shared.download(&buffer, context.alloc_pinned(5000).unwrap()).unwrap();
                    let callback = stream.launch_callback(move || drop(buffer)).unwrap();
                    let same = shared.launch_callback(move || value).unwrap();
                    while !same.is_finished() {
                        thread::yield_now();
                    }
                    assert_eq!(same.wait().unwrap(), value);
                    callback.wait().unwrap();
                    assert!(transfer.wait().unwrap().iter().all(|&byte| byte == value));
                    rounds = rounds.wrapping_add(1) % 50;
                }
            });
        }
        // Two locks that are held most of the time: that of the hook, and that of what a stream keeps.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                ascendcl::set_drop_error_hook(|error| panic!("{error}"));
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert!(!held.is_idle().unwrap());
            }
        });
        for number in 0..60 {
            let transfer = held.download(&buffer, context.alloc_pinned(100).unwrap()).unwrap();
            let callback = shared.launch_callback(|| ()).unwrap();
            let dropped = shared.launch_callback(|| ()).unwrap();
            let own = new_stream(&acl);
            let pid = fork();
            if pid == 0 {
                let used = catch_unwind(AssertUnwindSafe(|| {
                    assert!(shared.synchronize().as_ref().is_err_and(is_forked));
                    assert!(callback.is_finished(), "there is nothing to wait for");
                    assert!(callback.wait().as_ref().is_err_and(is_forked));
                    ascendcl::set_drop_error_hook(|_| ());
                    assert!(support::reopen(&acl).as_ref().is_err_and(is_forked));
                    drop((dropped, own, transfer));
                }));
                match (used.is_ok(), number % 2) {
                    (true, 0) => exit(0),
                    (good, _) => bare_exit(if good { 0 } else { 3 }),
                }
            }
            drop((dropped, own, transfer));
            callback.wait().unwrap();
            reap(pid);
        }
        stop.store(true, Ordering::Relaxed);
    });
    gate.open().unwrap();
    held.synchronize().unwrap();
    drop((shared, held, buffer, context));
    assert!(acl.finalize().unwrap());
    assert_eq!(live(target), 0);
}

fn in_callback(acl: Acl, how: &str, target: &str) {
    let stream = new_stream(&acl);
    // Others that take the locks which the report thread needs when it comes out of the closure.
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        if how == "return-busy" {
            for _ in 0..2 {
                scope.spawn(|| {
                    let stream = stream.context().create_stream().unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        drop(stream.launch_callback(|| ()).unwrap());
                    }
                    stream.synchronize().unwrap();
                });
            }
        }
        for _ in 0..if how == "return-busy" { 50 } else { 3 } {
            let callback = stream.launch_callback(closure(how, stream.clone())).unwrap();
            // Looks at it all the time, so that its lock is held.
            thread::scope(|scope| {
                scope.spawn(|| while !callback.is_finished() {});
            });
            reap(callback.wait().unwrap());
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(stream.launch_callback(|| 1).unwrap().wait().unwrap(), 1, "the parent goes on");
    drop(stream);
    assert!(acl.finalize().unwrap());
    assert_eq!(live(target), 0);
}

/// A closure that forks, and gives the number of the child to the parent.
fn closure(how: &str, stream: Stream) -> impl FnOnce() -> i32 + Send + use<> {
    let how = how.to_owned();
    move || {
        let pid = fork();
        if pid == 0 {
            match how.as_str() {
                "bare-exit" => bare_exit(0),
                "exit" => exit(0),
                "exec" => {
                    let error = Command::new("true").exec();
                    say(&error.to_string());
                    bare_exit(4);
                }
                // The thread is the only one. When the closure has returned it ends, and the child with it.
                "return" | "return-busy" => {}
                "use" => {
                    demand("an error", stream.synchronize().as_ref().is_err_and(is_forked));
                    demand("an error", stream.launch_callback(|| ()).as_ref().is_err_and(is_forked));
                    drop(stream);
                    bare_exit(0);
                }
                other => panic!("{other}"),
            }
        }
        pid
    }
}

/// A hook that forks and returns in the child: on the main thread it goes on there, on the reaper the thread ends.
fn in_hook(acl: &Acl, role: &str) {
    static CHILD: AtomicUsize = AtomicUsize::new(0);
    ascendcl::set_drop_error_hook(|_| {
        let pid = fork();
        if pid != 0 {
            CHILD.store(pid as usize, Ordering::SeqCst);
        }
    });
    let stream = new_stream(acl);
    let event = stream.context().create_event().unwrap();
    if role == "in-hook" {
        drop(event);
        if CHILD.load(Ordering::SeqCst) == 0 {
            demand("an error", stream.synchronize().as_ref().is_err_and(is_forked));
            bare_exit(0);
        }
    } else {
        stream.launch_callback(move || drop(event)).unwrap().wait().unwrap();
        support::until(|| CHILD.load(Ordering::SeqCst) != 0);
    }
    reap(CHILD.load(Ordering::SeqCst) as i32);
    assert_eq!(stream.launch_callback(|| 1).unwrap().wait().unwrap(), 1, "the parent is not a child");
    say("forked in the hook");
}

fn programs(acl: Acl) -> Result<()> {
    let stream = new_stream(&acl);
    let gate = HostGate::close(&stream)?;
    let start = || {
        assert!(Command::new("true").status().unwrap().success());
        let mut forked = Command::new("true");
        // SAFETY: the closure does nothing, and so nothing that is forbidden between fork and exec.
        assert!(unsafe { forked.pre_exec(|| Ok(())) }.status().unwrap().success());
    };
    start();
    gate.open().wait()?;
    assert_eq!(stream.launch_callback(|| 1)?.wait()?, 1, "the parent is not a child");
    stream.launch_callback_with(CallbackMode::Blocking, start)?.wait()?;
    drop(stream);
    assert!(acl.finalize()?);
    Ok(())
}
