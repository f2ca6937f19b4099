//! Reports that are delivered more than once, late, or with any number: closures still run at most once.

mod support;

use ascendcl::{
    Result, Stream,
    sys::{aclError, aclrtCallback, aclrtCallbackBlockType, aclrtStream},
};
use ascendcl_sim::api;
use std::{
    ffi::c_void,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use support::{Gate, with_table};

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

unsafe extern "C" fn launch_twice(
    function: aclrtCallback,
    data: *mut c_void,
    block: aclrtCallbackBlockType,
    stream: aclrtStream,
) -> aclError {
    // SAFETY: the caller's contract, handed on; this crate allows its function to be called more than once.
    unsafe {
        let launch = api().aclrtLaunchCallback.unwrap();
        match launch(function, data, block, stream) {
            0 => launch(function, data, block, stream),
            code => code,
        }
    }
}

sim_test! {
    // The closure has run at the first report, and nothing is outstanding: the stream must not wait for ever for the second.
    fn reported_twice_by_a_stream_that_waits_each_time() {
        with_table(|table| table.aclrtLaunchCallback = Some(launch_twice), |acl| {
            let stream = stream(acl)?;
            let ran = Arc::new(AtomicUsize::new(0));
            for _ in 0..50 {
                let ran = ran.clone();
                stream.launch_callback(move || ran.fetch_add(1, Ordering::SeqCst))?.wait()?;
                stream.synchronize()?;
            }
            assert_eq!(ran.load(Ordering::SeqCst), 50);
            Ok(())
        })?;
    }
}

sim_test! {
    // Nobody waits for the stream that the second report holds up, but for one behind it: in its own context or in another.
    fn reported_twice_to_a_stream_that_another_waits_for() {
        with_table(|table| table.aclrtLaunchCallback = Some(launch_twice), |acl| {
            let held = stream(acl)?;
            let elsewhere = stream(acl)?;
            for round in 0..20 {
                let behind = if round % 2 == 0 { held.context().create_stream()? } else { elsewhere.clone() };
                held.launch_callback(|| ())?.wait()?;
                let event = held.context().create_event()?;
                held.record(&event)?;
                behind.wait(&event)?;
                behind.synchronize()?;
            }
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
