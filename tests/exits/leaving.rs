//! Returning from `main`, and `exit` from wherever it can be called.

use crate::{
    at_exit, demand, live, on_each, on_each_with, open,
    outstanding::{Outstanding, outstanding},
    say,
    support::{self, Gate, HostGate},
};
use ascendcl::{Error, Stream};
use std::{
    process::exit,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

crate::cases![
    returning_with_everything_outstanding,
    returning_with_callbacks_that_run_beside_their_stream,
    returning_after_dropping_everything,
    exit_on_main,
    exit_on_another_thread_while_main_waits,
    exit_inside_a_callback,
    exit_in_the_drop_error_hook,
    exit_while_the_reaper_releases,
    exit_in_the_destructor_of_a_closure,
    exit_while_other_threads_work,
    exit_waits_for_a_thread_that_waits_for_a_callback,
    closures_that_are_still_queued_do_not_run_late,
    handlers_at_exit_use_and_drop_handles,
    handlers_at_exit_after_the_end_of_acl,
    handlers_at_exit_inside_a_callback,
    abort_and_bare_exit_end_at_once,
    forgetting_leaks_and_nothing_worse,
];

const LEAKS: crate::Variable = ("ASCENDCL_SIM_LEAKS", "report");
const NO_BLOCK: crate::Variable = ("ASCENDCL_SIM_PROFILE", "ascend310p");

fn returning_with_everything_outstanding() {
    on_each_with("leaving/return", &[LEAKS], |ended| {
        ended.success().said("leaked:").said("exit took its time")
    });
}

fn returning_with_callbacks_that_run_beside_their_stream() {
    on_each_with("leaving/return", &[NO_BLOCK], |ended| ended.success().said("one runs beside its stream"));
}

fn returning_after_dropping_everything() {
    // What the reaper has not released yet is what is left.
    on_each_with("leaving/return-dropping", &[LEAKS], |ended| ended.success().said("leaked:"));
    on_each_with("leaving/return-dropping", &[NO_BLOCK], |ended| ended.success());
}

fn exit_on_main() {
    on_each("leaving/exit", |ended| ended.code(5));
}

fn exit_on_another_thread_while_main_waits() {
    for wait in ["stream", "callback", "event", "context", "timeout"] {
        on_each(&format!("leaving/exit-elsewhere-{wait}"), |ended| ended.code(5));
    }
}

fn exit_inside_a_callback() {
    on_each("leaving/exit-in-callback", |ended| ended.code(6));
}

fn exit_in_the_drop_error_hook() {
    let faults = [("ASCENDCL_SIM_FAULTS", "aclrtDestroyEvent:1=507015")];
    on_each_with("leaving/exit-in-hook", &faults, |ended| ended.code(7));
    // The same on the reaper, which must not wait for itself.
    on_each_with("leaving/exit-in-hook-of-reaper", &faults, |ended| ended.code(7));
}

fn exit_while_the_reaper_releases() {
    // Somewhere else each time: what an exit keeps from being released is no failure to release it.
    for _ in 0..5 {
        on_each("leaving/exit-while-releasing", |ended| ended.code(5));
    }
}

fn exit_in_the_destructor_of_a_closure() {
    on_each("leaving/exit-in-capture", |ended| ended.code(8));
    let faults = [("ASCENDCL_SIM_FAULTS", "aclrtLaunchCallback:2=507015")];
    on_each_with("leaving/exit-in-capture-of-refused", &faults, |ended| {
        ended.code(8).said("launched at exit")
    });
    on_each_with("leaving/exit-in-capture-on-reaper", &[NO_BLOCK], |ended| ended.code(8));
}

fn exit_while_other_threads_work() {
    // Threads of the program that have just called ACL are not stopped: some of them may come too late for the library. None of them is
    // there to panic.
    for _ in 0..5 {
        on_each_with("leaving/exit-busy", &[("ASCENDCL_SIM_MISUSE", "off")], |ended| {
            ended.code(5).silent_about("panicked")
        });
    }
}

fn exit_waits_for_a_thread_that_waits_for_a_callback() {
    for how in ["busy", "wait", "timeout", "future", "stream"] {
        on_each_with(&format!("leaving/exit-joining-{how}"), &[("ASCENDCL_SIM_MISUSE", "off")], |ended| {
            ended.code(5).said("joined at exit")
        });
    }
}

fn closures_that_are_still_queued_do_not_run_late() {
    on_each("leaving/return-in-closure", |ended| {
        ended.success().said("exit took its time").silent_about("a closure ran late")
    });
}

fn handlers_at_exit_use_and_drop_handles() {
    on_each("leaving/handler", |ended| ended.code(5).said("used at exit"));
}

fn handlers_at_exit_after_the_end_of_acl() {
    on_each("leaving/handler-too-late", |ended| ended.code(5).said("refused at exit"));
}

fn handlers_at_exit_inside_a_callback() {
    on_each("leaving/handler-in-callback", |ended| ended.code(6).said("refused inside a callback"));
}

fn abort_and_bare_exit_end_at_once() {
    for role in ["leaving/abort", "leaving/abort-in-callback"] {
        // Neither handlers nor destructors nor reports.
        on_each_with(role, &[LEAKS], |ended| {
            ended.signal(libc::SIGABRT).silent_about("leaked").silent_about("exit took its time")
        });
    }
    on_each_with("leaving/bare-exit", &[LEAKS], |ended| {
        ended.code(9).silent_about("leaked").silent_about("exit took its time")
    });
}

fn forgetting_leaks_and_nothing_worse() {
    on_each_with("leaving/forget", &[LEAKS], |ended| ended.success().said("  pinned memory ("));
}

/// Whether handlers run that were registered before ACL was initialised.
static LATE: AtomicBool = AtomicBool::new(false);

/// Registered before everything else, so that it runs late: an exit that takes its time, in which threads that have not stopped would go on.
extern "C" fn slow() {
    LATE.store(true, Ordering::SeqCst);
    thread::sleep(Duration::from_millis(250));
    say("exit took its time");
}

/// Handles for handlers, which take nothing.
static KEPT: Mutex<Option<Outstanding>> = Mutex::new(None);
static STREAM: Mutex<Option<Stream>> = Mutex::new(None);

extern "C" fn use_and_drop() {
    let everything = KEPT.lock().unwrap().take().unwrap();
    let stream = everything.acl.device(0).unwrap().create_context().unwrap().create_stream().unwrap();
    demand("a callback at exit", stream.launch_callback(|| 4).unwrap().wait().unwrap() == 4);
    drop(stream);
    everything.finish();
    say("used at exit");
}

extern "C" fn use_in_vain() {
    let everything = KEPT.lock().unwrap().take().unwrap();
    everything.use_in_vain(|error| matches!(error, Error::Exiting { .. }));
    say("refused at exit");
}

extern "C" fn use_inside_a_callback() {
    let stream = STREAM.lock().unwrap().take().unwrap();
    demand("a refusal", matches!(stream.synchronize(), Err(Error::InCallback { .. })));
    drop(stream);
    say("refused inside a callback");
}

extern "C" fn launch() {
    let stream = STREAM.lock().unwrap().take().unwrap();
    drop(stream.launch_callback(|| ()).unwrap());
    say("launched at exit");
}

/// Ends the process when it is dropped.
struct ExitOnDrop(i32);

impl Drop for ExitOnDrop {
    fn drop(&mut self) {
        exit(self.0);
    }
}

pub fn play(role: &str, target: &str) {
    match role {
        "handler-too-late" => at_exit(use_in_vain),
        _ if role.starts_with("exit-joining") => at_exit(join),
        _ => {}
    }
    at_exit(slow);
    let acl = open(target);
    let new_stream = || acl.device(0).unwrap().create_context().unwrap().create_stream().unwrap();
    match role {
        "return" => {
            let everything = outstanding(acl).unwrap();
            if everything.beside.is_some() {
                say("one runs beside its stream");
            }
            support::forget(everything);
        }
        "return-in-closure" => return_in_closure(&acl),
        "return-dropping" => drop(outstanding(acl).unwrap()),
        "exit" => {
            let _everything = outstanding(acl).unwrap();
            exit(5);
        }
        "exit-in-callback" => {
            let _everything = outstanding(acl.clone()).unwrap();
            let callback = new_stream().launch_callback(|| exit(6)).unwrap();
            callback.wait().unwrap();
        }
        "exit-in-hook" | "exit-in-hook-of-reaper" => {
            let _everything = outstanding(acl.clone()).unwrap();
            ascendcl::set_drop_error_hook(|_| exit(7));
            let stream = new_stream();
            let event = stream.context().create_event().unwrap();
            if role == "exit-in-hook" {
                drop(event);
            } else {
                stream.launch_callback(move || drop(event)).unwrap().wait().unwrap();
            }
            loop {
                thread::park();
            }
        }
        "exit-while-releasing" => {
            ascendcl::set_drop_error_hook(|error| demand(&format!("a release: {error}"), false));
            let stream = new_stream();
            let context = stream.context();
            let gate = Gate::close(&stream).unwrap();
            for _ in 0..500 {
                let other = context.create_stream().unwrap();
                let event = context.create_event().unwrap();
                stream.record(&event).unwrap();
                other.wait(&event).unwrap();
            }
            gate.open().unwrap();
            exit(5);
        }
        "exit-in-capture" => {
            let _everything = outstanding(acl.clone()).unwrap();
            let captured = ExitOnDrop(8);
            let callback = new_stream().launch_callback(move || drop(captured)).unwrap();
            callback.wait().unwrap();
        }
        "exit-in-capture-of-refused" => {
            let stream = new_stream();
            let gate = Gate::close(&stream).unwrap();
            let _first = stream.launch_callback(|| ()).unwrap();
            *STREAM.lock().unwrap() = Some(stream.clone());
            at_exit(launch);
            let captured = ExitOnDrop(8);
            let refused = stream.launch_callback(move || drop(captured));
            panic!("{refused:?} {:?}", gate.open());
        }
        "exit-in-capture-on-reaper" => {
            // A stream that is idle while its report thread is held up is given five seconds; then its closures are dropped.
            let everything = outstanding(acl).unwrap();
            let context = everything.stream.context().clone();
            let (_open, opened) = mpsc::channel::<()>();
            let mode = ascendcl::CallbackMode::NonBlocking;
            let stream = context.create_stream().unwrap();
            let busy = stream.launch_callback_with(mode, move || opened.recv()).unwrap();
            let captured = ExitOnDrop(8);
            let waits = stream.launch_callback_with(mode, move || drop(captured)).unwrap();
            drop((stream, busy));
            waits.wait().unwrap();
        }
        "exit-busy" => busy(&acl),
        "handler" => {
            *KEPT.lock().unwrap() = Some(outstanding(acl).unwrap());
            at_exit(use_and_drop);
            exit(5);
        }
        "handler-too-late" => {
            *KEPT.lock().unwrap() = Some(outstanding(acl).unwrap());
            exit(5);
        }
        "handler-in-callback" => {
            let stream = new_stream();
            *STREAM.lock().unwrap() = Some(stream.clone());
            at_exit(use_inside_a_callback);
            stream.launch_callback(|| exit(6)).unwrap().wait().unwrap();
        }
        "abort" => {
            let _everything = outstanding(acl).unwrap();
            std::process::abort();
        }
        "abort-in-callback" => {
            let _everything = outstanding(acl.clone()).unwrap();
            new_stream().launch_callback(|| std::process::abort()).unwrap().wait().unwrap();
        }
        "bare-exit" => {
            let _everything = outstanding(acl).unwrap();
            // SAFETY: ends the process.
            unsafe { libc::_exit(9) };
        }
        "forget" => forget(acl, target),
        other => match other.strip_prefix("exit-elsewhere-") {
            Some(wait) => exit_elsewhere(outstanding(acl).unwrap(), wait),
            None => exit_joining(acl, other.strip_prefix("exit-joining-").unwrap()),
        },
    }
}

/// Three closures whose reports lie ready. The first one is running when `main` returns, and ends during the exit.
fn return_in_closure(acl: &ascendcl::Acl) {
    let context = acl.device(0).unwrap().create_context().unwrap();
    let [a, b, c, d] = [(); 4].map(|()| context.create_stream().unwrap());
    let gate = HostGate::close(&d).unwrap();
    let (runs, running) = mpsc::channel();
    let first = a.launch_callback(move || {
        runs.send(()).unwrap();
        support::until(|| LATE.load(Ordering::SeqCst));
    });
    drop(first.unwrap());
    let behind = || {
        if LATE.load(Ordering::SeqCst) {
            say("a closure ran late");
        }
    };
    for stream in [&b, &c] {
        drop(stream.launch_callback(behind).unwrap());
    }
    // By then the streams have most likely got there, so that one call of the report thread finds all three.
    thread::sleep(Duration::from_millis(30));
    drop(gate.open());
    running.recv().unwrap();
    std::mem::forget((a, b, c, d));
}

fn exit_elsewhere(everything: Outstanding, wait: &str) {
    let (stream, event) = (everything.stream.clone(), everything.event.clone());
    thread::spawn(|| {
        // By then the main thread most likely waits; it makes no difference to what must come out.
        thread::sleep(Duration::from_millis(50));
        exit(5);
    });
    match wait {
        "stream" => stream.synchronize().unwrap(),
        "callback" => drop(everything.callback.wait()),
        "event" => event.synchronize().unwrap(),
        "context" => stream.context().synchronize().unwrap(),
        "timeout" => stream.synchronize_timeout(Duration::from_secs(3600)).unwrap(),
        other => panic!("{other}"),
    }
    panic!("nothing opens the gate");
}

fn busy(acl: &ascendcl::Acl) {
    let (busy, started) = mpsc::channel();
    for _ in 0..3 {
        let (acl, busy) = (acl.clone(), busy.clone());
        thread::spawn(move || {
            let work = || -> ascendcl::Result<()> {
                let context = acl.device(0)?.create_context()?;
                let stream = context.create_stream()?;
                let buffer = context.alloc::<u8>(10_000)?;
                drop(stream.upload(context.alloc_pinned(10_000)?, &buffer));
                stream.launch_callback(move || drop(buffer))?.wait()
            };
            loop {
                work().unwrap();
                let _ = busy.send(());
            }
        });
    }
    started.iter().take(20).for_each(drop);
    exit(5);
}

static WORKER: Mutex<Option<thread::JoinHandle<()>>> = Mutex::new(None);

/// A handler that waits for a thread which uses ACL, as a destructor in C++ does that joins one.
extern "C" fn join() {
    LATE.store(true, Ordering::SeqCst);
    let worker = WORKER.lock().unwrap().take().unwrap();
    demand("a worker that ended well", worker.join().is_ok());
    say("joined at exit");
}

fn exit_joining(acl: ascendcl::Acl, how: &str) {
    let (busy, started) = mpsc::channel();
    let (how, gated) = (how.to_owned(), how != "busy");
    *WORKER.lock().unwrap() = Some(thread::spawn(move || {
        let stream = acl.device(0).unwrap().create_context().unwrap().create_stream().unwrap();
        let _gate = gated.then(|| Gate::close(&stream).unwrap());
        (0..if gated { 20 } else { 0 }).for_each(|_| busy.send(()).unwrap());
        loop {
            let waited = stream.launch_callback(|| ()).and_then(|callback| match how.as_str() {
                "future" => pollster::block_on(callback),
                "timeout" => callback.wait_timeout(Duration::from_secs(3600)).map_err(Error::from),
                // The library's own wait ends during the exit, and its answer means nothing then.
                "stream" => stream.synchronize_timeout(Duration::from_millis(1500)),
                _ => callback.wait(),
            });
            match waited {
                Ok(()) => drop(busy.send(())),
                Err(Error::Exiting { .. }) => return,
                Err(error) if error.is_timeout() && !LATE.load(Ordering::SeqCst) => {}
                Err(error) => demand(&error.to_string(), false),
            }
        }
    }));
    started.iter().take(20).for_each(drop);
    // By then it most likely waits.
    thread::sleep(Duration::from_millis(20));
    exit(5);
}

fn forget(acl: ascendcl::Acl, target: &str) {
    let context = acl.device(0).unwrap().create_context().unwrap();
    let stream = context.create_stream().unwrap();
    let buffer = context.alloc::<u8>(100).unwrap();
    support::forget(stream.upload(context.alloc_pinned(100).unwrap(), &buffer).unwrap());
    support::forget(stream.launch_callback(|| ()).unwrap());
    drop((context, stream, buffer));
    match acl.clone().finalize() {
        Err(Error::InUse { .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(live(target) > 0 || target == "cann");
    // What was forgotten stays, and the rest works.
    let stream =
        support::reopen(&acl).unwrap().device(0).unwrap().create_context().unwrap().create_stream().unwrap();
    assert_eq!(stream.launch_callback(|| 1).unwrap().wait().unwrap(), 1);
}
