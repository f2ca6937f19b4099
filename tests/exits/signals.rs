//! Signals: a wait ends with the process, or goes on as if nothing had been.

use crate::{at_exit, demand, on_each, on_each_with, open, say, support::Gate};
use ascendcl::{Acl, ErrorKind, Stream};
use std::{
    ptr,
    sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

crate::cases![
    sigterm_ends_a_wait,
    a_handler_that_sets_a_flag,
    a_handler_that_exits,
    a_storm_of_signals_changes_no_result,
    handlers_run_on_threads_of_the_program,
];

const WAITS: [&str; 5] = ["stream", "event", "callback", "context", "transfer"];

fn sigterm_ends_a_wait() {
    for wait in WAITS {
        on_each(&format!("signals/default-{wait}"), |ended| ended.signal(libc::SIGTERM));
    }
}

fn a_handler_that_sets_a_flag() {
    on_each("signals/flag", |ended| ended.success());
}

fn a_handler_that_exits() {
    for wait in WAITS {
        on_each(&format!("signals/exit-{wait}"), |ended| ended.code(9).said("a handler at exit"));
    }
}

fn a_storm_of_signals_changes_no_result() {
    on_each("signals/storm", |ended| ended.success());
    // A model takes its time.
    on_each_with("signals/storm", &[("ASCENDCL_SIM_PROFILE", "ascend310p")], |ended| ended.success());
}

fn handlers_run_on_threads_of_the_program() {
    on_each("signals/threads", |ended| ended.success());
}

static SEEN: AtomicUsize = AtomicUsize::new(0);
static TERMINATED: AtomicBool = AtomicBool::new(false);
/// The last thread that ran a handler.
static THREAD: AtomicI32 = AtomicI32::new(0);

extern "C" fn count(_: i32) {
    // SAFETY: gettid has no preconditions.
    THREAD.store(unsafe { libc::gettid() }, Ordering::SeqCst);
    SEEN.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn note(_: i32) {
    TERMINATED.store(true, Ordering::SeqCst);
}

extern "C" fn leave(_: i32) {
    // As many programs in C do.
    std::process::exit(9);
}

extern "C" fn last_words() {
    say("a handler at exit");
}

/// Handles a signal without restarting what it interrupts.
fn handle(signal: i32, handler: extern "C" fn(i32)) {
    // SAFETY: a zeroed sigaction is a valid one, and the handlers of this file may run anywhere.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        assert_eq!(libc::sigaction(signal, &action, ptr::null_mut()), 0);
    }
}

/// Sends this process a signal, when the main thread most likely waits. It makes no difference to what must come out.
fn soon(signal: i32) {
    thread::spawn(move || {
        block(signal);
        thread::sleep(Duration::from_millis(50));
        // SAFETY: kill has no preconditions.
        unsafe { libc::kill(libc::getpid(), signal) };
    });
}

fn block(signal: i32) {
    // SAFETY: the set is filled before it is used.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut());
    }
}

fn every_millisecond(on: bool) {
    let time = libc::timeval { tv_sec: 0, tv_usec: if on { 1000 } else { 0 } };
    let timer = libc::itimerval { it_interval: time, it_value: time };
    // SAFETY: a valid timer.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, ptr::null_mut()) }, 0);
}

pub fn play(role: &str, target: &str) {
    let acl = open(target);
    let stream = acl.device(0).unwrap().create_context().unwrap().create_stream().unwrap();
    match role {
        "flag" => flag(stream),
        "storm" => storm(&acl, stream),
        "threads" => threads(stream),
        _ => match role.split_once('-') {
            Some(("default", wait)) => wait_for_ever(stream, wait),
            Some(("exit", wait)) => {
                at_exit(last_words);
                handle(libc::SIGTERM, leave);
                wait_for_ever(stream, wait);
            }
            _ => panic!("{role}"),
        },
    }
}

fn wait_for_ever(stream: Stream, wait: &str) {
    let context = stream.context().clone();
    let _gate = Gate::close(&stream).unwrap();
    let (event, callback) = (context.create_event().unwrap(), stream.launch_callback(|| ()).unwrap());
    stream.record(&event).unwrap();
    let buffer = context.alloc::<u8>(1000).unwrap();
    let transfer = stream.download(&buffer, context.alloc_pinned(1000).unwrap()).unwrap();
    soon(libc::SIGTERM);
    match wait {
        "stream" => stream.synchronize().unwrap(),
        "event" => event.synchronize().unwrap(),
        "callback" => callback.wait().unwrap(),
        "context" => context.synchronize().unwrap(),
        "transfer" => drop(transfer.wait().unwrap()),
        other => panic!("{other}"),
    }
    panic!("nothing opens the gate");
}

/// What a program does that wants to end well: waits in slices, and looks at its flag.
fn flag(stream: Stream) {
    handle(libc::SIGTERM, note);
    let gate = Gate::close(&stream).unwrap();
    let callback = stream.launch_callback(|| 1).unwrap();
    soon(libc::SIGTERM);
    while !TERMINATED.load(Ordering::SeqCst) {
        match stream.synchronize_timeout(Duration::from_millis(20)) {
            Err(error) => demand("a time-out", error.code().is_some_and(|c| c.kind() == ErrorKind::Timeout)),
            Ok(()) => demand("that the gate is closed", TERMINATED.load(Ordering::SeqCst)),
        }
    }
    gate.open().unwrap();
    assert_eq!(callback.wait().unwrap(), 1);
    stream.synchronize().unwrap();
}

/// All that blocks, interrupted again and again, on the main thread and on another one.
fn storm(acl: &Acl, stream: Stream) {
    handle(libc::SIGALRM, count);
    every_millisecond(true);
    let context = stream.context().clone();
    let work = |stream: &Stream| {
        let round = |number: u32| -> ascendcl::Result<()> {
            let buffer = context.alloc::<u32>(50_000)?;
            let upload = stream.upload(context.alloc_pinned_from(&vec![number; 50_000])?, &buffer)?;
            let pause = stream.launch_callback(|| thread::sleep(Duration::from_millis(3)))?;
            let download = stream.download(&buffer, context.alloc_pinned(50_000)?)?;
            let event = context.create_event()?;
            stream.record(&event)?;
            match number % 5 {
                0 => event.synchronize()?,
                1 => pause.wait()?,
                2 => stream.synchronize()?,
                3 => context.synchronize()?,
                _ => pollster::block_on(pause)?,
            }
            assert!(download.wait()?.iter().all(|&value| value == number));
            drop(upload.wait()?);
            Ok(())
        };
        (0..20).for_each(|number| round(number).unwrap());
        // A wait with an end neither ends early nor fails otherwise.
        let gate = Gate::close(stream).unwrap();
        let held = stream.launch_callback(|| ()).unwrap();
        let (start, timeout) = (Instant::now(), Duration::from_millis(60));
        let error = stream.synchronize_timeout(timeout).unwrap_err();
        assert_eq!(error.code().map(|code| code.kind()), Some(ErrorKind::Timeout));
        assert!(start.elapsed() >= timeout);
        let start = Instant::now();
        let held = held.wait_timeout(timeout).unwrap_err().returned.unwrap();
        assert!(start.elapsed() >= timeout);
        gate.open().unwrap();
        held.wait().unwrap();
    };
    thread::scope(|scope| {
        scope.spawn(|| work(&context.create_stream().unwrap()));
        work(&stream);
    });
    let model = ascendcl::Model::load(&context, "examples/assets/digits/digits.onnx").unwrap();
    let (inputs, outputs) = (model.create_inputs().unwrap(), model.create_outputs().unwrap());
    model.execute(&inputs, &outputs).unwrap();
    every_millisecond(false);
    demand("signals", SEEN.load(Ordering::SeqCst) > 20);
    drop((model, inputs, outputs, context, stream));
    demand("a finalisation", acl.clone().finalize().is_err());
}

/// A signal for the process that the main thread does not take stays pending: no thread of the crate takes it.
fn threads(stream: Stream) {
    handle(libc::SIGUSR1, count);
    // Both threads of the crate are there: the one for reports, and the reaper. They came while the signal was not blocked.
    let event = stream.context().create_event().unwrap();
    stream.launch_callback(move || drop(event)).unwrap().wait().unwrap();
    block(libc::SIGUSR1);
    // SAFETY: none of these has preconditions that are not met here.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGUSR1);
        thread::sleep(Duration::from_millis(100));
        let mut pending = std::mem::zeroed();
        libc::sigpending(&mut pending);
        demand("a pending signal", libc::sigismember(&pending, libc::SIGUSR1) == 1);
        demand("that no handler ran", SEEN.load(Ordering::SeqCst) == 0);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &pending, ptr::null_mut());
        demand("that it ran then, here", SEEN.load(Ordering::SeqCst) == 1);
        demand("that it ran on this thread", THREAD.load(Ordering::SeqCst) == libc::gettid());
    }
}
