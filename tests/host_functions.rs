//! Closures that a thread of ACL's runtime runs. The chips that have them are not the default one, so each case is a process of its own, on each backend and
//! chip.

mod support;

use ascendcl::{
    Acl, CallbackMode, Context, Error, ErrorKind,
    sys::{self, aclError, aclrtHostFunc, aclrtStream},
};
use ascendcl_sim::{Config, Fault, FaultKind, Profile, api};
use std::{
    ffi::c_void,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};
use support::{Bomb, Gate, HostGate, Target, TestResult, child, chips, until};

chip_tests! {
    what_closures_return
    a_host_function_holds_up_its_stream
    what_was_copied_before_is_there
    calls_inside_are_refused
    handles_are_dropped_inside
    callbacks_and_host_functions_of_one_stream
    a_stream_with_host_functions_is_awaited
    exactly_once_and_in_order_under_stress
    streams_and_contexts_come_and_go
    a_wait_that_runs_out_of_time_abandons_nothing
    forks_inside
}

#[test]
fn exits_inside() {
    chips::on_each("exits_inside", |ended| ended.code(6));
    chips::on_each("exits_while_it_waits", |ended| ended.code(5).silent_about("a closure ran late"));
}

/// What the children do. In the process of the tests it is nothing.
#[test]
fn child() {
    let Some(role) = child::role() else { return };
    let (case, target) = chips::case_of(&role);
    if case == "the_device_is_lost" {
        return the_device_is_lost();
    }
    if case == "exits_while_it_waits" {
        // Before ACL, to run behind the crate's handler, which ends its callbacks.
        // SAFETY: the handler does not unwind.
        assert_eq!(unsafe { libc::atexit(let_go) }, 0);
    }
    let acl = target.open().unwrap();
    if !acl.supports("aclrtLaunchHostFunc") {
        return;
    }
    match case {
        "exits_inside" => exits_inside_of(&acl),
        "exits_while_it_waits" => exits_while_it_waits(&acl),
        case => chips::run(acl, target, |acl| play(case, acl)),
    }
}

fn exits_inside_of(acl: &Acl) {
    let stream = acl.device(0).unwrap().create_context().unwrap().create_stream().unwrap();
    let _ = stream.launch_host_function(|| std::process::exit(6)).unwrap().wait();
    unreachable!("the closure has ended the process");
}

/// Lets a closure return.
static OPEN: Mutex<Option<mpsc::Sender<()>>> = Mutex::new(None);

extern "C" fn let_go() {
    drop(OPEN.lock().unwrap().take());
    // Time for what must not happen.
    thread::sleep(Duration::from_millis(20));
}

/// One closure is running, and others wait for their turn.
fn exits_while_it_waits(acl: &Acl) {
    let stream = acl.device(0).unwrap().create_context().unwrap().create_stream().unwrap();
    let (entered, inside) = mpsc::channel();
    let (open, opened) = mpsc::channel::<()>();
    drop(stream.launch_host_function(move || {
        entered.send(()).unwrap();
        let _ = opened.recv();
    }));
    for _ in 0..5 {
        drop(stream.launch_host_function(|| eprintln!("a closure ran late")));
    }
    inside.recv().unwrap();
    *OPEN.lock().unwrap() = Some(open);
    std::process::exit(5);
}

fn context(acl: &Acl) -> ascendcl::Result<Context> {
    acl.device(0)?.create_context()
}

mod case {
    use super::*;

    pub fn what_closures_return(acl: &Acl) -> TestResult {
        let stream = context(acl)?.create_stream()?;
        assert_eq!(stream.launch_host_function(|| 6 * 7)?.wait()?, 42);
        assert_eq!(pollster::block_on(stream.launch_host_function(|| "awaited")?)?, "awaited");
        let panicked = stream.launch_host_function(|| panic!("on purpose"))?.wait();
        assert!(
            matches!(&panicked, Err(Error::Panicked { message }) if message == "on purpose"),
            "{panicked:?}"
        );
        // What nobody waits for any more when it comes, and what panics when it is dropped.
        let gate = Gate::close(&stream)?;
        drop(stream.launch_host_function(|| Bomb)?);
        gate.open()?;
        let captured = Arc::new(());
        let own = captured.clone();
        let name = stream.launch_host_function(move || {
            drop(own);
            thread::current().name().map(str::to_owned)
        })?;
        assert_ne!(name.wait()?.as_deref(), Some("ascendcl-report"));
        assert_eq!(Arc::strong_count(&captured), 1);
        stream.synchronize()?;
        Ok(())
    }

    pub fn a_host_function_holds_up_its_stream(acl: &Acl) -> TestResult {
        let context = context(acl)?;
        let (stream, other) = (context.create_stream()?, context.create_stream()?);
        let (open, opened) = mpsc::channel::<()>();
        let gate = HostGate::of(
            open,
            stream.launch_host_function(move || {
                let _ = opened.recv();
            })?,
        );
        let behind = stream.launch_host_function(|| 1)?;
        other.synchronize()?;
        assert!(!stream.is_idle()? && !behind.is_finished());
        let behind = behind.wait_timeout(Duration::from_millis(1)).expect_err("it is held up");
        gate.open().wait()?;
        assert_eq!(behind.returned.expect("it came back").wait()?, 1);
        stream.synchronize()?;
        assert!(stream.is_idle()?);
        Ok(())
    }

    pub fn what_was_copied_before_is_there(acl: &Acl) -> TestResult {
        let context = context(acl)?;
        let stream = context.create_stream()?;
        for round in 0..50 {
            let device = context.alloc_from(&[round; 100])?;
            let download = stream.download(&device, context.alloc_pinned(100)?)?;
            let sum = stream
                .launch_host_function(move || download.wait().map(|values| values.iter().sum::<i32>()))?;
            assert_eq!(sum.wait()??, 100 * round);
        }
        Ok(())
    }

    pub fn calls_inside_are_refused(acl: &Acl) -> TestResult {
        let stream = context(acl)?.create_stream()?;
        let inside = stream.launch_host_function({
            let stream = stream.clone();
            move || {
                [
                    stream.synchronize().err(),
                    stream.launch_host_function(|| ()).err(),
                    stream.launch_callback(|| ()).err(),
                    stream.context().create_stream().err(),
                ]
            }
        })?;
        for refused in inside.wait()? {
            assert!(matches!(refused, Some(Error::InCallback { .. })), "{refused:?}");
        }
        Ok(())
    }

    pub fn handles_are_dropped_inside(acl: &Acl) -> TestResult {
        for _ in 0..10 {
            let context = context(acl)?;
            let stream = context.create_stream()?;
            let everything =
                (context.create_event()?, context.alloc::<u8>(100)?, context.clone(), stream.clone());
            drop(stream.launch_host_function(move || drop(everything))?);
            // The last handles of the stream and of the context go inside, or here.
            drop((stream, context));
        }
        Ok(())
    }

    pub fn callbacks_and_host_functions_of_one_stream(acl: &Acl) -> TestResult {
        let context = context(acl)?;
        let (hosted, called, awaited) =
            (context.create_stream()?, context.create_stream()?, context.create_stream()?);
        assert_eq!(hosted.launch_host_function(|| 1)?.wait()?, 1);
        let name = hosted.launch_callback(|| thread::current().name().map(str::to_owned))?;
        assert_ne!(name.wait()?.as_deref(), Some("ascendcl-report"), "both are run by the runtime");
        let beside = hosted.launch_callback_with(CallbackMode::NonBlocking, || ());
        assert!(matches!(beside, Err(Error::Mismatch { op: "aclrtLaunchCallback", .. })), "{beside:?}");
        called.launch_callback(|| ())?.wait()?;
        let gate = HostGate::close(&awaited)?;
        let mut completion = awaited.completion();
        let polled = std::pin::Pin::new(&mut completion)
            .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        assert!(polled.is_pending());
        gate.open().wait()?;
        for stream in [called, awaited] {
            let captured = Arc::new(());
            let own = captured.clone();
            let refused = stream.launch_host_function(move || drop(own));
            assert!(matches!(refused, Err(Error::Mismatch { op: "aclrtLaunchHostFunc", .. })), "{refused:?}");
            assert_eq!(Arc::strong_count(&captured), 1, "the closure is dropped");
            assert_eq!(stream.launch_callback(|| 2)?.wait()?, 2, "the stream is as before");
        }
        Ok(())
    }

    pub fn a_stream_with_host_functions_is_awaited(acl: &Acl) -> TestResult {
        let context = context(acl)?;
        let stream = context.create_stream()?;
        let device = context.alloc_from(&[1, 2, 3])?;
        let event = context.create_event()?;
        for _ in 0..20 {
            let (open, opened) = mpsc::channel::<()>();
            let gate = HostGate::of(
                open,
                stream.launch_host_function(move || {
                    let _ = opened.recv();
                })?,
            );
            let download = stream.download(&device, context.alloc_pinned(3)?)?;
            stream.record(&event)?;
            let recorded = event.completion();
            let all = stream.completion();
            let opener = thread::spawn(move || drop(gate.open()));
            assert_eq!(pollster::block_on(download)?[..], [1, 2, 3]);
            pollster::block_on(recorded)?;
            pollster::block_on(all)?;
            opener.join().unwrap();
        }
        Ok(())
    }

    pub fn exactly_once_and_in_order_under_stress(acl: &Acl) -> TestResult {
        const ROUNDS: usize = 200;
        let contexts = [context(acl)?, context(acl)?];
        thread::scope(|scope| {
            for number in 0..4 {
                let context = &contexts[number % 2];
                scope.spawn(move || {
                    let stream = context.create_stream().unwrap();
                    let log = Arc::new(Mutex::new(Vec::new()));
                    for round in 0..ROUNDS {
                        let log = log.clone();
                        let callback = stream
                            .launch_host_function(move || {
                                log.lock().unwrap().push(round);
                                round
                            })
                            .unwrap();
                        match round % 5 {
                            0 => assert_eq!(callback.wait().unwrap(), round),
                            1 => drop(callback.wait_timeout(Duration::from_micros(50))),
                            2 => assert_eq!(pollster::block_on(callback).unwrap(), round),
                            _ => drop(callback),
                        }
                    }
                    stream.synchronize().unwrap();
                    assert_eq!(*log.lock().unwrap(), (0..ROUNDS).collect::<Vec<_>>());
                });
            }
        });
        Ok(())
    }

    pub fn streams_and_contexts_come_and_go(acl: &Acl) -> TestResult {
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..20 {
            let context = context(acl)?;
            for _ in 0..3 {
                let stream = context.create_stream()?;
                let gate = Gate::close(&stream)?;
                let ran = ran.clone();
                drop(stream.launch_host_function(move || ran.fetch_add(1, Ordering::SeqCst))?);
                gate.open()?;
            }
        }
        until(|| ran.load(Ordering::SeqCst) == 60);
        Ok(())
    }

    pub fn a_wait_that_runs_out_of_time_abandons_nothing(acl: &Acl) -> TestResult {
        let stream = context(acl)?.create_stream()?;
        let gate = Gate::close(&stream)?;
        let late = stream.launch_host_function(|| 5)?;
        let waited = stream.synchronize_timeout(Duration::from_millis(5));
        assert!(waited.expect_err("the gate is closed").is_timeout());
        gate.open()?;
        assert_eq!(late.wait()?, 5);
        Ok(())
    }

    pub fn forks_inside(acl: &Acl) -> TestResult {
        let stream = context(acl)?.create_stream()?;
        let forked = stream.launch_host_function(|| {
            // SAFETY: the child does nothing but return from the closure, which ends it.
            unsafe { libc::fork() }
        })?;
        child::reap(forked.wait()?);
        Ok(())
    }
}

sim_test! {
    fn an_ascend_310_has_none() {
        support::with_profile(Profile::ascend310(), |acl| {
            let stream = context(acl)?.create_stream()?;
            for _ in 0..3 {
                let captured = Arc::new(());
                let own = captured.clone();
                assert_eq!(support::kind(stream.launch_host_function(move || drop(own))), ErrorKind::NotSupported);
                assert_eq!(Arc::strong_count(&captured), 1, "the closure is dropped");
            }
            // The stream is as before.
            let name = stream.launch_callback(|| thread::current().name().map(str::to_owned))?.wait()?;
            assert_eq!(name.as_deref(), Some("ascendcl-report"));
            Ok(())
        })?;
    }
}

sim_test! {
    fn an_older_cann_has_none() {
        support::with_table(
            |table| table.aclrtLaunchHostFunc = None,
            |acl| {
                let stream = context(acl)?.create_stream()?;
                let missing = stream.launch_host_function(|| ());
                assert!(matches!(missing, Err(Error::MissingSymbol { function: "aclrtLaunchHostFunc" })), "{missing:?}");
                assert_eq!(stream.launch_callback(|| 3)?.wait()?, 3);
                Ok(())
            },
        )?;
    }
}

static DUE: AtomicBool = AtomicBool::new(false);

/// From when it is due, submits and says that it failed.
unsafe extern "C" fn launch_and_fail(
    stream: aclrtStream,
    function: aclrtHostFunc,
    data: *mut c_void,
) -> aclError {
    // SAFETY: the caller's contract, handed on.
    match unsafe { api().aclrtLaunchHostFunc.unwrap()(stream, function, data) } {
        0 if DUE.load(Ordering::SeqCst) => sys::ACL_ERROR_RT_INTERNAL_ERROR,
        code => code,
    }
}

/// Runs `body` on a table with that function, over a chip that has it.
fn with_failing_launches(body: fn(&Acl) -> TestResult) -> TestResult {
    ascendcl_sim::configure(Config::new().profile(Profile::full()))?;
    DUE.store(false, Ordering::SeqCst);
    support::with_table(|table| table.aclrtLaunchHostFunc = Some(launch_and_fail), body)
}

sim_test! {
    fn a_launch_that_fails_after_it_was_submitted() {
        with_failing_launches(|acl| {
            let stream = context(acl)?.create_stream()?;
            assert_eq!(stream.launch_host_function(|| 1)?.wait()?, 1);
            DUE.store(true, Ordering::SeqCst);
            for _ in 0..20 {
                let gate = Gate::close(&stream)?;
                let captured = Arc::new(());
                let (ran, own) = (Arc::new(AtomicBool::new(false)), captured.clone());
                let failed = stream.launch_host_function({
                    let ran = ran.clone();
                    move || {
                        let _own = own;
                        ran.store(true, Ordering::SeqCst);
                    }
                });
                assert_eq!(support::code(failed), 507_000);
                assert_eq!(Arc::strong_count(&captured), 1, "the closure is dropped at once");
                gate.open()?;
                stream.synchronize()?;
                assert!(!ran.load(Ordering::SeqCst));
            }
            DUE.store(false, Ordering::SeqCst);
            assert_eq!(stream.launch_host_function(|| 2)?.wait()?, 2);
            Ok(())
        })?;
    }
}

sim_test! {
    fn a_first_launch_that_fails_after_it_was_submitted() {
        with_failing_launches(|acl| {
            DUE.store(true, Ordering::SeqCst);
            let stream = context(acl)?.create_stream()?;
            assert_eq!(support::code(stream.launch_host_function(|| 1)), 507_000);
            stream.synchronize()?;
            DUE.store(false, Ordering::SeqCst);
            assert_eq!(stream.launch_host_function(|| 2)?.wait()?, 2);
            Ok(())
        })?;
    }
}

sim_test! {
    fn host_functions_that_are_delivered_twice_run_once() {
        let twice = Fault::every("aclrtLaunchHostFunc", FaultKind::DuplicateReport);
        support::with_config(Config::new().profile(Profile::full()).fault(twice), |acl| {
            let stream = context(acl)?.create_stream()?;
            let ran = Arc::new(AtomicUsize::new(0));
            for round in 0..50 {
                let ran = ran.clone();
                let callback = stream.launch_host_function(move || ran.fetch_add(1, Ordering::SeqCst))?;
                assert_eq!(callback.wait()?, round);
            }
            stream.synchronize()?;
            assert_eq!(ran.load(Ordering::SeqCst), 50);
            Ok(())
        })?;
    }
}

/// Says that a wait failed, when it is due.
unsafe extern "C" fn wait_and_fail(stream: aclrtStream) -> aclError {
    if DUE.load(Ordering::SeqCst) {
        return 507_015;
    }
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtSynchronizeStream.unwrap()(stream) }
}

sim_test! {
    fn a_stream_that_fails_abandons_its_host_functions() {
        ascendcl_sim::configure(Config::new().profile(Profile::full()))?;
        DUE.store(false, Ordering::SeqCst);
        support::with_table(|table| table.aclrtSynchronizeStream = Some(wait_and_fail), |acl| {
            let stream = context(acl)?.create_stream()?;
            let gate = Gate::close(&stream)?;
            let captured = Arc::new(());
            let own = captured.clone();
            let callback = stream.launch_host_function(move || drop(own))?;
            DUE.store(true, Ordering::SeqCst);
            assert_eq!(support::code(stream.synchronize()), 507_015);
            assert!(matches!(callback.wait(), Err(Error::Abandoned { cause: Some(_) })));
            assert_eq!(Arc::strong_count(&captured), 1);
            let refused = stream.launch_host_function(|| ());
            assert!(matches!(refused, Err(Error::Poisoned { op: "aclrtLaunchHostFunc", .. })), "{refused:?}");
            gate.open()?;
            Ok(())
        })?;
    }
}

/// Nobody waits for the stream, which a closure keeps alive.
fn the_device_is_lost() {
    let fault = Fault::nth("aclrtCreateEvent", 1, FaultKind::LoseDevice);
    ascendcl_sim::configure(Config::new().profile(Profile::full()).fault(fault)).unwrap();
    ascendcl::set_drop_error_hook(|_| ());
    let context = context(&Target::Embedded.open().unwrap()).unwrap();
    let stream = context.create_stream().unwrap();
    let (entered, inside) = mpsc::channel();
    let (open, opened) = mpsc::channel::<()>();
    let first = stream.launch_host_function(move || {
        entered.send(()).unwrap();
        let _ = opened.recv();
    });
    let captured = Arc::new(());
    let own = (stream.clone(), captured.clone());
    let second = stream.launch_host_function(move || drop(own)).unwrap();
    inside.recv().unwrap();
    let _ = context.create_event();
    drop(open);
    first.unwrap().wait().unwrap();
    assert!(matches!(second.wait(), Err(Error::Abandoned { .. })));
    assert_eq!(Arc::strong_count(&captured), 1);
    assert!(stream.launch_host_function(|| ()).is_err());
}

/// In a process of its own: the stream cannot be given back.
#[test]
fn host_functions_go_with_their_device() {
    child::run("the_device_is_lost none", &[]).success();
}
