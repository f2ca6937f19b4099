//! Callbacks over an ACL that misbehaves: delivers twice or late, says that a launch failed which did not, or lacks functions.
//! Closures still run at most once, and nobody waits for ever.

mod support;

use ascendcl::{
    Callback, Error, Result, Stream,
    sys::{self, aclError, aclrtCallback, aclrtCallbackBlockType, aclrtStream},
};
use ascendcl_sim::api;
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
use support::{Gate, HostGate, with_table};

fn stream(acl: &ascendcl::Acl) -> Result<Stream> {
    acl.device(0)?.create_context()?.create_stream()
}

/// What was given to `aclrtLaunchCallback` so far.
static LAUNCHED: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

fn note(function: aclrtCallback, data: *mut c_void) {
    let function = function.expect("this crate gives a function");
    LAUNCHED.lock().unwrap().push((function as usize, data as usize));
}

/// Delivers everything that was ever launched once more, in this thread.
fn deliver_again() {
    let launched = LAUNCHED.lock().unwrap().clone();
    for (function, data) in launched {
        // SAFETY: the address of a function of this type, and what it was launched with.
        unsafe {
            std::mem::transmute::<usize, unsafe extern "C" fn(*mut c_void)>(function)(data as *mut c_void);
        }
    }
}

unsafe extern "C" fn launch_and_note(
    function: aclrtCallback,
    data: *mut c_void,
    block: aclrtCallbackBlockType,
    stream: aclrtStream,
) -> aclError {
    note(function, data);
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtLaunchCallback.unwrap()(function, data, block, stream) }
}

/// How a report is delivered more than once.
type Deliver = unsafe extern "C" fn(*mut c_void);

/// What a launch was given.
type Launch = (aclrtCallback, usize);

/// # Safety
///
/// `data` must come from [`launch_through`], and be used once.
unsafe fn take_launch(data: *mut c_void) -> (Deliver, usize) {
    // SAFETY: by contract.
    let (function, key) = *unsafe { Box::from_raw(data.cast::<Launch>()) };
    (function.expect("this crate gives a function"), key)
}

/// Launches `deliver` instead of what was given to it.
///
/// # Safety
///
/// As for `aclrtLaunchCallback`.
unsafe fn launch_through(
    deliver: Deliver,
    launch: Launch,
    block: aclrtCallbackBlockType,
    stream: aclrtStream,
) -> aclError {
    let launch = Box::into_raw(Box::new(launch));
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtLaunchCallback.unwrap()(Some(deliver), launch.cast(), block, stream) }
}

unsafe extern "C" fn call_twice(data: *mut c_void) {
    // SAFETY: launched below, for this one call; this crate allows its function to be called more than once.
    unsafe {
        let (function, key) = take_launch(data);
        function(key as *mut c_void);
        function(key as *mut c_void);
    }
}

unsafe extern "C" fn launch_for_two(
    function: aclrtCallback,
    data: *mut c_void,
    block: aclrtCallbackBlockType,
    stream: aclrtStream,
) -> aclError {
    // SAFETY: the caller's contract, handed on.
    unsafe { launch_through(call_twice, (function, data as usize), block, stream) }
}

unsafe extern "C" fn call_three_times_at_once(data: *mut c_void) {
    // SAFETY: launched below, for this one call.
    let (function, key) = unsafe { take_launch(data) };
    thread::scope(|scope| {
        for _ in 0..3 {
            // SAFETY: this crate allows its function to be called more than once.
            scope.spawn(move || unsafe { function(key as *mut c_void) });
        }
    });
}

unsafe extern "C" fn launch_for_three(
    function: aclrtCallback,
    data: *mut c_void,
    block: aclrtCallbackBlockType,
    stream: aclrtStream,
) -> aclError {
    // SAFETY: the caller's contract, handed on.
    unsafe { launch_through(call_three_times_at_once, (function, data as usize), block, stream) }
}

sim_test! {
    fn delivered_twice() {
        with_table(|table| table.aclrtLaunchCallback = Some(launch_for_two), |acl| {
            let stream = stream(acl)?;
            let ran = Arc::new(AtomicUsize::new(0));
            for round in 0..200 {
                let ran = ran.clone();
                let callback = stream.launch_callback(move || ran.fetch_add(1, Ordering::SeqCst))?;
                if round % 3 == 0 {
                    assert_eq!(callback.wait()?, round);
                }
            }
            stream.synchronize()?;
            assert_eq!(ran.load(Ordering::SeqCst), 200);
            Ok(())
        })?;
    }
}

sim_test! {
    fn delivered_late_and_again_when_the_stream_is_gone() {
        LAUNCHED.lock().unwrap().clear();
        with_table(|table| table.aclrtLaunchCallback = Some(launch_and_note), |acl| {
            let ran = Arc::new(AtomicUsize::new(0));
            for _ in 0..50 {
                let stream = stream(acl)?;
                let ran = ran.clone();
                drop(stream.launch_callback(move || ran.fetch_add(1, Ordering::SeqCst))?);
            }
            support::until(|| ran.load(Ordering::SeqCst) == 50);
            deliver_again();
            // Others are waiting in the same places by now, under other keys.
            let stream = stream(acl)?;
            let gate = Gate::close(&stream)?;
            let waiting = (0..50).map(|number| stream.launch_callback(move || number)).collect::<Result<Vec<_>>>()?;
            let old: Vec<_> = LAUNCHED.lock().unwrap().drain(..50).collect();
            let new = std::mem::replace(&mut *LAUNCHED.lock().unwrap(), old);
            deliver_again();
            assert!(waiting.iter().all(|callback| !callback.is_finished()));
            gate.open()?;
            for (number, callback) in waiting.into_iter().enumerate() {
                assert_eq!(callback.wait()?, number);
            }
            LAUNCHED.lock().unwrap().extend(new);
            deliver_again();
            assert_eq!(ran.load(Ordering::SeqCst), 50);
            Ok(())
        })?;
        // And when ACL is finalised.
        deliver_again();
    }
}

sim_test! {
    fn delivered_by_many_threads_at_once() {
        with_table(|table| table.aclrtLaunchCallback = Some(launch_for_three), |acl| {
            let ran: Arc<Vec<AtomicUsize>> = Arc::new((0..400).map(|_| AtomicUsize::new(0)).collect());
            let stream = stream(acl)?;
            for number in 0..400 {
                let ran = ran.clone();
                drop(stream.launch_callback(move || ran[number].fetch_add(1, Ordering::SeqCst))?);
            }
            stream.synchronize()?;
            assert!(ran.iter().all(|count| count.load(Ordering::SeqCst) == 1));
            Ok(())
        })?;
    }
}

sim_test! {
    fn any_number_may_be_delivered() {
        LAUNCHED.lock().unwrap().clear();
        with_table(|table| table.aclrtLaunchCallback = Some(launch_and_note), |acl| {
            let stream = stream(acl)?;
            let gate = Gate::close(&stream)?;
            let callback = stream.launch_callback(|| 6)?;
            let (function, data) = LAUNCHED.lock().unwrap()[0];
            let wrong = [0, usize::MAX, data + 1, data.wrapping_add(1 << 32), data | 1 << 40, 0x7fff_0000_0000];
            *LAUNCHED.lock().unwrap() = wrong.map(|number| (function, number)).to_vec();
            deliver_again();
            assert!(!callback.is_finished());
            gate.open()?;
            assert_eq!(callback.wait()?, 6);
            Ok(())
        })?;
    }
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
            assert!(results.iter().all(|result| matches!(result, Err(Error::Abandoned))), "{results:?}");
            assert_eq!(Arc::strong_count(&captured), 1);
            assert!(matches!(bombed.wait(), Err(Error::Abandoned)));
            assert!(matches!(last.wait(), Err(Error::Abandoned)));
            for future in futures {
                assert!(matches!(pollster::block_on(future), Err(Error::Abandoned)));
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
            for _ in 0..3 {
                stream.launch_callback(|| ())?.wait()?;
                // The callback is over for ACL too.
                stream.synchronize()?;
                let before = CALLS.load(Ordering::SeqCst);
                assert!(before > 0);
                // Work without callbacks needs no reports.
                let event = context.create_event()?;
                for _ in 0..20 {
                    stream.record(&event)?;
                    stream.synchronize()?;
                }
                thread::sleep(Duration::from_millis(120));
                assert_eq!(CALLS.load(Ordering::SeqCst), before);
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
