//! Handles in statics and in thread-locals, whose destructors run when much else is gone already.

use crate::{
    at_exit, demand, live, on_each, on_each_with, open,
    outstanding::{Outstanding, outstanding},
    say,
};
use ascendcl::{Acl, Context, Device, DeviceBuffer, Entered, Error, Event, Stream};
use std::{
    cell::RefCell,
    sync::{LazyLock, Mutex, OnceLock, mpsc},
    thread,
    time::Duration,
};

crate::cases![
    handles_in_statics_are_left_alone,
    thread_locals_of_main_work_to_the_end,
    thread_locals_of_other_threads_work_to_the_end,
    thread_locals_of_the_report_thread_work_to_the_end,
    thread_locals_of_the_report_thread_hold_up_nobody,
    thread_locals_of_the_report_thread_keep_their_own_context,
    contexts_entered_for_ever,
    scoped_threads,
];

fn handles_in_statics_are_left_alone() {
    on_each_with("statics/statics", &[("ASCENDCL_SIM_LEAKS", "report")], |ended| {
        ended.success().said("leaked:")
    });
}

fn thread_locals_of_main_work_to_the_end() {
    for role in ["statics/main-late", "statics/main-early"] {
        on_each(role, |ended| ended.success().said("released by a thread-local"));
    }
}

fn thread_locals_of_other_threads_work_to_the_end() {
    for role in ["statics/thread-late", "statics/thread-early"] {
        on_each(role, |ended| ended.success().said("released by a thread-local"));
    }
}

fn thread_locals_of_the_report_thread_work_to_the_end() {
    on_each("statics/report", |ended| ended.success().said("released by a thread-local"));
}

fn thread_locals_of_the_report_thread_hold_up_nobody() {
    on_each("statics/report-waits", |ended| ended.success().said("waited in a thread-local"));
}

fn thread_locals_of_the_report_thread_keep_their_own_context() {
    on_each("statics/report-own", |ended| ended.success());
    on_each("statics/report-own-last", |ended| ended.success().said("released by a thread-local"));
}

fn contexts_entered_for_ever() {
    on_each("statics/entered", |ended| ended.success());
}

fn scoped_threads() {
    on_each("statics/scoped", |ended| ended.success());
}

/// Handles that are used once more when they go.
struct AtEnd {
    target: String,
    acl: Acl,
    device: Device,
    stream: Stream,
    event: Event,
    buffer: DeviceBuffer<u8>,
    /// Whether these are the last handles, so that nothing is left.
    last: bool,
}

impl AtEnd {
    fn new(acl: Acl, target: &str, last: bool) -> AtEnd {
        let device = acl.device(0).unwrap();
        let stream = device.create_context().unwrap().create_stream().unwrap();
        let (event, buffer) =
            (stream.context().create_event().unwrap(), stream.context().alloc_from(&[7; 100]).unwrap());
        AtEnd { target: target.into(), acl, device, stream, event, buffer, last }
    }

    /// A bit of everything that there is.
    fn work(&self) {
        let AtEnd { acl, device, stream, event, buffer, .. } = self;
        let context = stream.context();
        let entered = context.enter().unwrap();
        stream.record(event).unwrap();
        event.synchronize().unwrap();
        drop(entered);
        demand("memory", buffer.to_vec().unwrap() == [7; 100]);
        let download = stream.download(buffer, context.alloc_pinned(100).unwrap()).unwrap();
        let callback = stream.launch_callback(move || download.wait().unwrap()[5]).unwrap();
        demand("a callback", callback.wait().unwrap() == 7);
        stream.synchronize().unwrap();
        context.synchronize().unwrap();
        demand("a device's memory", device.memory_info().unwrap().total > 0);
        // A failure leaves a text, which the library keeps for the thread.
        match acl.device(99) {
            Err(Error::Acl(error)) => demand("an error", error.code.0 == 107_001),
            other => demand(&format!("{other:?}"), false),
        }
        // A whole device comes and goes.
        drop(acl.device(1).unwrap().create_context().unwrap().create_stream().unwrap());
        // And one with something left on it.
        let other = acl.device(2).unwrap();
        drop(other.create_context().unwrap().create_stream().unwrap().launch_callback(|| ()).unwrap());
    }
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.work();
    }
}

/// What is left of [`AtEnd`] when its own destructor has run.
struct Finish(Option<AtEnd>);

impl Drop for Finish {
    fn drop(&mut self) {
        let Some(at_end) = self.0.take() else { return };
        let (target, acl, last) = (at_end.target.clone(), at_end.acl.clone(), at_end.last);
        drop(at_end);
        if last {
            demand("a finalisation", acl.finalize().unwrap());
            demand("that nothing is left", live(&target) == 0);
        }
        say("released by a thread-local");
    }
}

thread_local! {
    /// Touched before anything else in its thread, and so destroyed after everything else.
    static EARLY: RefCell<Finish> = const { RefCell::new(Finish(None)) };
    /// Touched last, and destroyed first.
    static LATE: RefCell<Finish> = const { RefCell::new(Finish(None)) };
    static HANDLES: RefCell<Vec<(Stream, Event)>> = const { RefCell::new(Vec::new()) };
    static ENTERED: RefCell<Option<Entered<'static>>> = const { RefCell::new(None) };
    static WAITING: RefCell<Option<Waiting>> = const { RefCell::new(None) };
}

/// Waits when it is dropped.
struct Waiting(mpsc::Receiver<()>, mpsc::Sender<()>);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.recv();
        let _ = self.1.send(());
    }
}

fn keep_in_thread_local(early: bool, target: &str) {
    if early {
        EARLY.with_borrow_mut(|kept| kept.0 = None);
    }
    let at_end = AtEnd::new(open(target), target, true);
    // What the library keeps for the thread is there now, and goes before what was touched earlier.
    at_end.work();
    if early {
        EARLY.with_borrow_mut(|kept| kept.0 = Some(at_end));
    } else {
        LATE.with_borrow_mut(|kept| kept.0 = Some(at_end));
    }
}

extern "C" fn all_is_released() {
    demand("that all is released before handlers run", ascendcl_sim::live().is_empty());
}

pub fn play(role: &str, target: &str) {
    ascendcl::set_drop_error_hook(|error| demand(&format!("a release: {error}"), false));
    match role {
        "statics" => statics(target),
        "main-early" | "main-late" => {
            keep_in_thread_local(role == "main-early", target);
            at_exit(all_is_released);
        }
        "thread-early" | "thread-late" => {
            let (early, target) = (role == "thread-early", target.to_owned());
            thread::spawn(move || keep_in_thread_local(early, &target)).join().unwrap();
        }
        "report" => {
            let acl = open(target);
            let stream = acl.device(0).unwrap().create_context().unwrap().create_stream().unwrap();
            let at_end = AtEnd::new(acl.clone(), target, false);
            at_end.stream.record(&at_end.event).unwrap();
            stream
                .launch_callback(move || LATE.with_borrow_mut(|kept| kept.0 = Some(at_end)))
                .unwrap()
                .wait()
                .unwrap();
            drop(stream);
            demand("a finalisation", acl.finalize().unwrap());
            demand("that nothing is left", live(target) == 0);
        }
        "report-waits" => {
            let acl = open(target);
            let stream = acl.device(0).unwrap().create_context().unwrap().create_stream().unwrap();
            let (go, wait) = mpsc::channel();
            let (done, waited) = mpsc::channel();
            let callback = stream.launch_callback(move || WAITING.set(Some(Waiting(wait, done)))).unwrap();
            callback.wait().unwrap();
            // Neither this nor anything else of the crate waits for a thread-local of the program ...
            drop(stream);
            let other = acl.device(1).unwrap().create_context().unwrap().create_stream().unwrap();
            assert_eq!(other.launch_callback(|| 1).unwrap().wait().unwrap(), 1);
            drop(other);
            // ... which only ends now.
            drop(go);
            waited.recv().unwrap();
            demand("a finalisation", acl.finalize().unwrap());
            demand("that nothing is left", live(target) == 0);
            say("waited in a thread-local");
        }
        "report-own" => {
            let stream = open(target).device(0).unwrap().create_context().unwrap().create_stream().unwrap();
            let (own, event) = (stream.clone(), stream.context().create_event().unwrap());
            let closure = move || HANDLES.with_borrow_mut(|kept| kept.push((own, event)));
            stream.launch_callback(closure).unwrap().wait().unwrap();
        }
        "report-own-last" => {
            // A thread of the program's own; the last handle of a context goes in it, and the report thread with it.
            let acl = open(target);
            let at_end = AtEnd::new(acl.clone(), target, false);
            thread::spawn(move || {
                at_end.work();
                LATE.with_borrow_mut(|kept| kept.0 = Some(at_end));
            })
            .join()
            .unwrap();
            demand("a finalisation", acl.finalize().unwrap());
            demand("that nothing is left", live(target) == 0);
        }
        "entered" => {
            let acl = open(target);
            for _ in 0..2 {
                let context: &'static Context =
                    Box::leak(Box::new(acl.device(0).unwrap().create_context().unwrap()));
                thread::scope(|scope| {
                    scope.spawn(|| ENTERED.set(Some(context.enter().unwrap()))).join().unwrap();
                });
                ENTERED.set(Some(context.enter().unwrap()));
            }
        }
        "scoped" => scoped(target),
        other => panic!("{other}"),
    }
}

fn statics(target: &str) {
    static STREAM: OnceLock<Stream> = OnceLock::new();
    static LAZY: LazyLock<Mutex<Option<Outstanding>>> = LazyLock::new(|| {
        Mutex::new(Some(outstanding(STREAM.wait().context().device().acl().clone()).unwrap()))
    });
    static TARGET: OnceLock<String> = OnceLock::new();
    TARGET.set(target.to_owned()).unwrap();
    let context = open(target).device(0).unwrap().create_context().unwrap();
    STREAM.set(context.create_stream().unwrap()).unwrap();
    let everything = LAZY.lock().unwrap();
    STREAM.wait().record(&everything.as_ref().unwrap().event).unwrap();
    STREAM.wait().synchronize().unwrap();
    drop(STREAM.wait().launch_callback(|| thread::sleep(Duration::from_millis(20))).unwrap());
}

fn scoped(target: &str) {
    let acl = open(target);
    let context = acl.device(0).unwrap().create_context().unwrap();
    let run = || {
        thread::scope(|scope| {
            let (acl, context) = (&acl, &context);
            for number in 0..4 {
                scope.spawn(move || {
                    let stream = context.create_stream().unwrap();
                    let _own = acl.device(1).unwrap().create_context().unwrap().create_stream().unwrap();
                    drop(stream.launch_callback(move || number).unwrap());
                    let buffer = context.alloc_from(&[number; 1000]).unwrap();
                    let transfer = stream.download(&buffer, context.alloc_pinned(1000).unwrap()).unwrap();
                    if number == 3 && cfg!(panic = "unwind") {
                        panic!("with handles alive");
                    }
                    assert_eq!(transfer.wait().unwrap()[..], [number; 1000]);
                });
            }
        });
    };
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    assert_eq!(result.is_err(), cfg!(panic = "unwind"));
    drop(context);
    demand("a finalisation", acl.finalize().unwrap());
    demand("that nothing is left", live(target) == 0);
}
