//! Callbacks over an ACL that misbehaves: says that a launch failed which did not, or the other way round, or lacks functions. Nobody waits for
//! ever. What is delivered wrongly is in `deliveries.rs`.

mod support;

use ascendcl::{
    Callback, Error, Result, Stream,
    sys::{self, aclError, aclrtCallback, aclrtCallbackBlockType, aclrtStream},
};
use ascendcl_sim::{Config, Fault, FaultKind, api};
use std::{
    ffi::c_void,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};
use support::{Gate, HostGate, asked_for_reports, code, until, with_config, with_table};

fn stream(acl: &ascendcl::Acl) -> Result<Stream> {
    acl.device(0)?.create_context()?.create_stream()
}

unsafe extern "C" fn launch_and_fail(
    function: aclrtCallback,
    data: *mut c_void,
    block: aclrtCallbackBlockType,
    stream: aclrtStream,
) -> aclError {
    // SAFETY: the caller's contract, handed on.
    match unsafe { api().aclrtLaunchCallback.unwrap()(function, data, block, stream) } {
        0 => sys::ACL_ERROR_RT_INTERNAL_ERROR,
        error => error,
    }
}

sim_test! {
    fn a_launch_that_fails_after_it_was_submitted() {
        with_table(|table| table.aclrtLaunchCallback = Some(launch_and_fail), |acl| {
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            for _ in 0..20 {
                let gate = Gate::close(&stream)?;
                let captured = Arc::new(());
                let (ran, own) = (Arc::new(AtomicBool::new(false)), captured.clone());
                let result = stream.launch_callback({
                    let ran = ran.clone();
                    move || {
                        let _own = own;
                        ran.store(true, Ordering::SeqCst);
                    }
                });
                assert!(matches!(result.map(drop), Err(Error::Acl(error)) if error.code.0 == 507_000));
                assert_eq!(Arc::strong_count(&captured), 1, "the closure is dropped at once");
                // The stream got it all the same, and goes on behind it.
                gate.open()?;
                stream.synchronize()?;
                assert!(!ran.load(Ordering::SeqCst));
            }
            Ok(())
        })?;
    }
}

sim_test! {
    fn a_stream_dropped_after_a_launch_that_failed() {
        with_table(|table| table.aclrtLaunchCallback = Some(launch_and_fail), |acl| {
            for _ in 0..10 {
                let stream = stream(acl)?;
                assert!(stream.launch_callback(|| ()).is_err());
            }
            Ok(())
        })?;
    }
}

/// Says that it did, and does not.
unsafe extern "C" fn launch_nothing(
    _: aclrtCallback,
    _: *mut c_void,
    _: aclrtCallbackBlockType,
    _: aclrtStream,
) -> aclError {
    0
}

/// Panics when it wakes.
struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        panic!("the waker panicked");
    }
}

sim_test! {
    fn callbacks_that_are_never_delivered_are_abandoned_with_their_stream() {
        with_table(|table| table.aclrtLaunchCallback = Some(launch_nothing), |acl| {
            let stream = stream(acl)?;
            let captured = Arc::new(());
            let callbacks: Vec<Callback<()>> = (0..10)
                .map(|_| {
                    let own = captured.clone();
                    stream.launch_callback(move || drop(own))
                })
                .collect::<Result<_>>()?;
            // One whose captured value panics when it is dropped.
            struct Bomb;
            impl Drop for Bomb {
                fn drop(&mut self) {
                    panic!("the bomb went off");
                }
            }
            let bomb = Bomb;
            let bombed = stream.launch_callback(move || std::mem::forget(bomb))?;
            // Some are awaited, by somebody whose waker panics.
            let mut futures: Vec<_> = (0..5).map(|_| stream.launch_callback(|| ())).collect::<Result<_>>()?;
            for future in &mut futures {
                let waker = Waker::from(Arc::new(PanickingWaker));
                assert!(pin!(future).poll(&mut Context::from_waker(&waker)).is_pending());
            }
            let last = stream.launch_callback(|| ())?;
            stream.synchronize()?;
            let waiting = thread::spawn(move || callbacks.into_iter().map(Callback::wait).collect::<Vec<_>>());
            drop(stream);
            let results = waiting.join().unwrap();
            assert!(results.iter().all(|result| matches!(result, Err(Error::Abandoned { .. }))), "{results:?}");
            assert_eq!(Arc::strong_count(&captured), 1);
            assert!(matches!(bombed.wait(), Err(Error::Abandoned { .. })));
            assert!(matches!(last.wait(), Err(Error::Abandoned { .. })));
            for future in futures {
                assert!(matches!(pollster::block_on(future), Err(Error::Abandoned { .. })));
            }
            Ok(())
        })?;
    }
}

sim_test! {
    fn a_waker_that_panics_harms_nobody() {
        with_table(|_| {}, |acl| {
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            for _ in 0..5 {
                let gate = Gate::close(&stream)?;
                // What it returns is the last handle of a stream: it must not be destroyed within the callback.
                let other = context.create_stream()?;
                let mut callback = stream.launch_callback(move || other)?;
                {
                    let waker = Waker::from(Arc::new(PanickingWaker));
                    assert!(pin!(&mut callback).poll(&mut Context::from_waker(&waker)).is_pending());
                }
                drop(callback);
                let after = stream.launch_callback(|| 1)?;
                gate.open()?;
                assert_eq!(after.wait()?, 1);
            }
            Ok(())
        })?;
    }
}

sim_test! {
    fn missing_functions_are_errors_of_the_one_call() {
        fn missing(result: Result<Callback<()>>) -> &'static str {
            match result {
                Err(Error::MissingSymbol { function }) => function,
                other => panic!("{other:?}"),
            }
        }
        let captured = Arc::new(());
        let launch = |acl: &ascendcl::Acl| {
            let own = captured.clone();
            let stream = stream(acl)?;
            let result = stream.launch_callback(move || drop(own));
            assert_eq!(Arc::strong_count(&captured), 1, "the closure is dropped");
            stream.synchronize()?;
            Ok::<_, Error>(missing(result))
        };
        with_table(|table| table.aclrtLaunchCallback = None, |acl| {
            assert!(!acl.supports("aclrtLaunchCallback"));
            assert_eq!(launch(acl)?, "aclrtLaunchCallback");
            assert_eq!(launch(acl)?, "aclrtLaunchCallback");
            Ok(())
        })?;
        with_table(|table| table.aclrtSubscribeReport = None, |acl| {
            assert_eq!(launch(acl)?, "aclrtSubscribeReport");
            Ok(())
        })?;
    }
}

static CALLS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn count_and_process(timeout: i32) -> aclError {
    CALLS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: a plain integer.
    unsafe { api().aclrtProcessReport.unwrap()(timeout) }
}

sim_test! {
    fn an_idle_report_thread_asks_for_nothing() {
        with_table(|table| table.aclrtProcessReport = Some(count_and_process), |acl| {
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            for _ in 0..2 {
                stream.launch_callback(|| ())?.wait()?;
                // The callback is over for ACL too.
                stream.synchronize()?;
                // The thread may be in its last call still, or about to make it. One that asks every 100 milliseconds asks in each round.
                let mut asked = 0;
                for _ in 0..5 {
                    let before = CALLS.load(Ordering::SeqCst);
                    assert!(before > 0);
                    // Work without callbacks needs no reports.
                    let event = context.create_event()?;
                    for _ in 0..20 {
                        stream.record(&event)?;
                        stream.synchronize()?;
                    }
                    thread::sleep(Duration::from_millis(120));
                    asked += usize::from(CALLS.load(Ordering::SeqCst) != before);
                }
                assert!(asked <= 2, "it asks on: in {asked} of 5 rounds");
            }
            Ok(())
        })?;
    }
}

static ANSWERS: Mutex<Vec<aclError>> = Mutex::new(Vec::new());

unsafe extern "C" fn process_with_errors(timeout: i32) -> aclError {
    let answer = ANSWERS.lock().unwrap().pop();
    match answer {
        Some(error) => error,
        // SAFETY: a plain integer.
        None => unsafe { api().aclrtProcessReport.unwrap()(timeout) },
    }
}

sim_test! {
    fn the_report_thread_survives_all_answers() {
        with_table(|table| table.aclrtProcessReport = Some(process_with_errors), |acl| {
            let stream = stream(acl)?;
            for error in [107_012, 507_012, 100_036, 100_035, 107_002, 507_899, 500_000, 1] {
                *ANSWERS.lock().unwrap() = vec![error; 5];
                assert_eq!(stream.launch_callback(move || error)?.wait()?, error);
            }
            Ok(())
        })?;
    }
}

static FAILURES: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn fail_to_subscribe(thread: u64, stream: aclrtStream) -> aclError {
    if FAILURES.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
        return sys::ACL_ERROR_RT_INTERNAL_ERROR;
    }
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtSubscribeReport.unwrap()(thread, stream) }
}

sim_test! {
    fn a_subscription_that_fails_may_be_tried_again() {
        with_table(|table| table.aclrtSubscribeReport = Some(fail_to_subscribe), |acl| {
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            FAILURES.store(2, Ordering::SeqCst);
            for _ in 0..2 {
                let own = stream.clone();
                assert_eq!(support::code(stream.launch_callback(move || drop(own)).map(drop)), 507_000);
            }
            assert_eq!(stream.launch_callback(|| 3)?.wait()?, 3);
            // A context whose thread was started, and never used, goes too.
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            FAILURES.store(1, Ordering::SeqCst);
            assert!(stream.launch_callback(|| ()).is_err());
            Ok(())
        })?;
    }
}

sim_test! {
    fn failures_of_destructors_reach_the_hook_and_nobody_else() {
        unsafe extern "C" fn fail_to_destroy(event: sys::aclrtEvent) -> aclError {
            // SAFETY: the caller's contract, handed on.
            match unsafe { api().aclrtDestroyEvent.unwrap()(event) } {
                0 => sys::ACL_ERROR_RT_INTERNAL_ERROR,
                error => error,
            }
        }
        static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
        ascendcl::set_drop_error_hook(|error| {
            SEEN.lock().unwrap().push(error.to_string());
            panic!("a hook may panic");
        });
        with_table(|table| table.aclrtDestroyEvent = Some(fail_to_destroy), |acl| {
            let context = acl.device(0)?.create_context()?;
            let event = context.create_event()?;
            // The panic of the hook is printed, if it happens in this thread: this one is called as those of the crate are.
            thread::Builder::new().name("ascendcl-test".into()).spawn(move || drop(event))?.join().unwrap();
            let event = context.create_event()?;
            context.create_stream()?.launch_callback(move || drop(event))?.wait()?;
            Ok(())
        })?;
        let seen = std::mem::take(&mut *SEEN.lock().unwrap());
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert!(seen.iter().all(|text| text.starts_with("aclrtDestroyEvent failed with")), "{seen:?}");
        ascendcl::set_drop_error_hook(|error| eprintln!("could not release: {error}"));
    }
}

sim_test! {
    fn two_who_finalise_do_not_hold_each_other_up() {
        static RELEASE: Mutex<Option<std::sync::mpsc::Receiver<()>>> = Mutex::new(None);
        unsafe extern "C" fn wait_and_destroy(event: sys::aclrtEvent) -> aclError {
            let release = RELEASE.lock().unwrap().take();
            if let Some(release) = release {
                let _ = release.recv();
            }
            // SAFETY: the caller's contract, handed on.
            unsafe { api().aclrtDestroyEvent.unwrap()(event) }
        }
        with_table(|table| table.aclrtDestroyEvent = Some(wait_and_destroy), |acl| {
            // Were they to hold each other up, each round would take ten seconds, which the watchdog does not allow.
            for _ in 0..7 {
                let (released, release) = std::sync::mpsc::channel::<()>();
                *RELEASE.lock().unwrap() = Some(release);
                let context = acl.device(0)?.create_context()?;
                let event = context.create_event()?;
                // Keeps the thread busy that releases what is dropped in callbacks.
                context.create_stream()?.launch_callback(move || drop(event))?.wait()?;
                support::until(|| RELEASE.lock().unwrap().is_none());
                drop(context);
                let finalizers = [(); 2].map(|()| {
                    let acl = acl.clone();
                    thread::spawn(move || acl.finalize())
                });
                // Whether they have got to their waits by now decides nothing; it makes it likely.
                thread::sleep(Duration::from_millis(30));
                drop(released);
                for finalizer in finalizers {
                    assert!(matches!(finalizer.join().unwrap(), Err(Error::InUse { .. })), "the test holds it");
                }
            }
            Ok(())
        })?;
    }
}

sim_test! {
    fn host_gates_hold_over_a_copied_table() {
        with_table(|_| {}, |acl| {
            assert_eq!(acl.backend().to_string(), "custom table");
            let stream = stream(acl)?;
            let gate = HostGate::close(&stream)?;
            assert!(!stream.is_idle()?);
            gate.open().wait()?;
            Ok(())
        })?;
    }
}

sim_test! {
    fn who_stands_behind_a_stream_that_failed_goes_on() {
        let fault = Fault::nth("aclrtSynchronizeStream", 1, FaultKind::Error(507_015));
        with_config(Config::new().fault(fault).count_calls(true), |acl| {
            let (one, other) = (acl.device(0)?.create_context()?, acl.device(0)?.create_context()?);
            let (failing, behind) = (one.create_stream()?, other.create_stream()?);
            let gate = Gate::close(&failing)?;
            let dropped = failing.launch_callback(|| ())?;
            let event = one.create_event()?;
            failing.record(&event)?;
            behind.wait(&event)?;
            assert_eq!(code(failing.synchronize()), 507_015);
            assert!(matches!(dropped.wait(), Err(Error::Abandoned { .. })));
            // More often than for a report that may come again.
            let before = asked_for_reports();
            until(|| asked_for_reports() > before + 50);
            // The device goes on, up to the callback, and waits for the answer.
            gate.open()?;
            assert_eq!(behind.launch_callback(|| 5)?.wait()?, 5);
            Ok(())
        })?;
    }
}
