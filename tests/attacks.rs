//! Attacks on the safe layer: what safe code may try, and must not get through with.

mod support;

use ascendcl::{
    Acl, BackendChoice, Callback, Context, Error, Stream,
    sys::{self, aclError, aclrtContext, aclrtMemcpyKind, aclrtStream},
};
use ascendcl_sim::api;
use std::{
    cell::{Cell, RefCell},
    ffi::c_void,
    future::Future,
    pin::Pin,
    ptr,
    sync::{
        Mutex, Once,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context as TaskContext, Poll, Waker},
    thread,
    time::Duration,
};
use support::{Bomb, until, with_table};

/// Contexts that were destroyed, and how often one of them was made current afterwards.
static DESTROYED: Mutex<(Vec<usize>, usize)> = Mutex::new((Vec::new(), 0));

unsafe extern "C" fn destroy_context(context: aclrtContext) -> aclError {
    DESTROYED.lock().unwrap().0.push(context.addr());
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtDestroyContext.unwrap()(context) }
}

unsafe extern "C" fn create_context(context: *mut aclrtContext, device: i32) -> aclError {
    // SAFETY: the caller's contract, handed on.
    let answer = unsafe { api().aclrtCreateContext.unwrap()(context, device) };
    // SAFETY: the place that the caller gave, written just now.
    let made = unsafe { *context }.addr();
    DESTROYED.lock().unwrap().0.retain(|&old| old != made);
    CURRENT.set(made);
    answer
}

unsafe extern "C" fn set_current(context: aclrtContext) -> aclError {
    let mut destroyed = DESTROYED.lock().unwrap();
    if destroyed.0.contains(&context.addr()) {
        destroyed.1 += 1;
    }
    drop(destroyed);
    CURRENT.set(context.addr());
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtSetCurrentContext.unwrap()(context) }
}

thread_local! {
    /// What was made current in this thread.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// As releases that do not look whether it is still there.
unsafe extern "C" fn get_current(context: *mut aclrtContext) -> aclError {
    // SAFETY: the caller's contract, handed on.
    let answer = unsafe { api().aclrtGetCurrentContext.unwrap()(context) };
    if answer == 0 || CURRENT.get() == 0 {
        return answer;
    }
    // SAFETY: the place that the caller gave.
    unsafe { context.write(ptr::without_provenance_mut(CURRENT.get())) };
    0
}

sim_test! {
    fn a_context_that_was_destroyed_is_never_made_current() {
        with_table(
            |table| {
                table.aclrtDestroyContext = Some(destroy_context);
                table.aclrtCreateContext = Some(create_context);
                table.aclrtSetCurrentContext = Some(set_current);
            },
            |acl| {
                let device = acl.device(0)?;
                // Current in the thread that drops it.
                let context = device.create_context()?;
                context.alloc::<u8>(1)?;
                drop(context);
                // Current in another thread, which goes on with other contexts.
                let (context, other) = (device.create_context()?, device.create_context()?);
                let (dropped, wait) = mpsc::channel::<()>();
                let theirs = context.clone();
                let user = thread::spawn(move || -> ascendcl::Result<()> {
                    theirs.alloc::<u8>(1)?;
                    drop(theirs);
                    let _ = wait.recv();
                    other.alloc::<u8>(1)?;
                    other.create_stream()?.synchronize()
                });
                drop(context);
                drop(dropped);
                user.join().unwrap()?;
                // A guard that is forgotten, in a context that goes.
                let context = device.create_context()?;
                std::mem::forget(context.enter()?);
                context.alloc::<u8>(1)?;
                drop(context);
                device.create_context()?.alloc_from(&[1])?;
                Ok(())
            },
        )?;
        assert_eq!(DESTROYED.lock().unwrap().1, 0);
    }
}

sim_test! {
    fn a_context_that_was_destroyed_elsewhere_is_not_put_back() {
        let before = DESTROYED.lock().unwrap().1;
        with_table(
            |table| {
                table.aclrtDestroyContext = Some(destroy_context);
                table.aclrtCreateContext = Some(create_context);
                table.aclrtSetCurrentContext = Some(set_current);
                table.aclrtGetCurrentContext = Some(get_current);
            },
            |acl| {
                let device = acl.device(0)?;
                let other = device.create_context()?;
                let buffer = other.alloc::<u8>(1)?;
                // It goes on another thread, and is still current here.
                let leave = || -> ascendcl::Result<()> {
                    let context = device.create_context()?;
                    let theirs = context.clone();
                    context.alloc::<u8>(1)?;
                    drop(context);
                    thread::scope(|scope| drop(scope.spawn(move || drop(theirs)).join()));
                    Ok(())
                };
                leave()?;
                drop(other.enter()?);
                leave()?;
                device.memory_info()?;
                leave()?;
                drop(device.create_context()?);
                leave()?;
                drop(buffer);
                // The first that is made in a thread stays current there.
                thread::scope(|scope| -> support::TestResult {
                    let (device, other) = (&device, &other);
                    scope.spawn(move || -> ascendcl::Result<()> {
                        let context = device.create_context()?;
                        thread::scope(|scope| drop(scope.spawn(move || drop(context)).join()));
                        drop(other.enter()?);
                        Ok(())
                    }).join().unwrap()?;
                    Ok(())
                })?;
                // One that is there is put back.
                other.alloc::<u8>(1)?;
                device.memory_info()?;
                assert_eq!(CURRENT.get(), other.as_raw().addr());
                Ok(())
            },
        )?;
        assert_eq!(DESTROYED.lock().unwrap().1, before);
    }
}

/// Whether a copy has failed on the device, and nobody has waited for its stream since.
static FAILED: AtomicBool = AtomicBool::new(false);
/// Whether the next copy fails.
static FAILS: AtomicBool = AtomicBool::new(false);

unsafe extern "C" fn copy_async(
    to: *mut c_void,
    capacity: usize,
    from: *const c_void,
    bytes: usize,
    kind: aclrtMemcpyKind,
    stream: aclrtStream,
) -> aclError {
    if FAILS.swap(false, Ordering::SeqCst) {
        FAILED.store(true, Ordering::SeqCst);
        return 0;
    }
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtMemcpyAsync.unwrap()(to, capacity, from, bytes, kind, stream) }
}

/// As the real one: the error of a task comes out of the first wait that ends.
fn told(answer: aclError) -> aclError {
    if answer == 0 && FAILED.swap(false, Ordering::SeqCst) { 507_015 } else { answer }
}

unsafe extern "C" fn synchronize(stream: aclrtStream) -> aclError {
    // SAFETY: the caller's contract, handed on.
    told(unsafe { api().aclrtSynchronizeStream.unwrap()(stream) })
}

unsafe extern "C" fn synchronize_timeout(stream: aclrtStream, timeout: i32) -> aclError {
    // SAFETY: the caller's contract, handed on.
    told(unsafe { api().aclrtSynchronizeStreamWithTimeout.unwrap()(stream, timeout) })
}

fn failing_copies(table: &mut sys::AclApi) {
    table.aclrtMemcpyAsync = Some(copy_async);
    table.aclrtSynchronizeStream = Some(synchronize);
    table.aclrtSynchronizeStreamWithTimeout = Some(synchronize_timeout);
}

/// The error that a wait is to give, and the stream afterwards: it keeps why.
fn assert_told<T>(result: Result<T, Error>, stream: &Stream) {
    let error = result.err().expect("the copy failed, and what it was to write is not given out as right");
    assert_eq!(error.code().map(|code| code.0), Some(507_015), "{error}");
    let refused = stream.synchronize().unwrap_err();
    assert!(refused.to_string().contains("507015"), "{refused}");
    let Error::Poisoned { cause, .. } = refused else { panic!("{refused:?}") };
    assert!(
        matches!(&*cause, Error::Acl(first) if first.code.0 == 507_015 && first.op.starts_with("aclrtSynchronize"))
    );
}

sim_test! {
    fn a_copy_that_failed_on_the_device_is_never_given_out_as_right() {
        with_table(failing_copies, |acl| {
            let context = acl.device(0)?.create_context()?;
            let failing = || -> ascendcl::Result<_> {
                let stream = context.create_stream()?;
                FAILS.store(true, Ordering::SeqCst);
                let download = stream.download(&context.alloc::<u8>(8)?.view(..)?, context.alloc_pinned(8)?)?;
                Ok((stream, download))
            };
            // Asked first.
            let (stream, download) = failing()?;
            assert_told(download.is_done(), &stream);
            assert!(download.wait().is_err());
            // Known to be done by a callback.
            let (stream, download) = failing()?;
            stream.launch_callback(|| ())?.wait()?;
            assert_told(download.wait(), &stream);
            let (stream, download) = failing()?;
            stream.launch_callback(|| ())?.wait()?;
            let rejected = download.wait_timeout(Duration::from_secs(5)).unwrap_err();
            assert!(rejected.returned.is_none());
            assert_told::<()>(Err(rejected.error), &stream);
            // Awaited.
            let (stream, download) = failing()?;
            assert_told(pollster::block_on(download), &stream);
            // A stream that is found idle.
            let (stream, download) = failing()?;
            drop(download);
            let mut idle = stream.is_idle();
            while let Ok(false) = idle {
                idle = stream.is_idle();
            }
            assert_told(idle, &stream);
            Ok(())
        })?;
    }
}

sim_test! {
    fn who_awaits_a_stream_is_told_that_a_task_failed_on_the_device() {
        with_table(failing_copies, |acl| {
            let context = acl.device(0)?.create_context()?;
            let failing = || -> ascendcl::Result<_> {
                let stream = context.create_stream()?;
                FAILS.store(true, Ordering::SeqCst);
                drop(stream.download(&context.alloc::<u8>(8)?.view(..)?, context.alloc_pinned(8)?)?);
                Ok(stream)
            };
            // It has to wait.
            let stream = failing()?;
            assert_told(pollster::block_on(stream.completion()), &stream);
            // Made before a callback proves that the work is done, and asked after that.
            let stream = failing()?;
            let completion = stream.completion();
            stream.launch_callback(|| ())?.wait()?;
            assert_told(pollster::block_on(completion), &stream);
            // Made when that is known already.
            let stream = failing()?;
            stream.launch_callback(|| ())?.wait()?;
            assert_told(pollster::block_on(stream.completion()), &stream);
            // By an event, which is complete or has to be waited for.
            for wait in [false, true] {
                let (stream, event) = (failing()?, context.create_event()?);
                stream.record(&event)?;
                if wait {
                    until(|| event.is_complete().unwrap());
                }
                assert_told(pollster::block_on(event.completion()), &stream);
            }
            Ok(())
        })?;
    }
}

backend_test! {
    fn a_result_that_was_given_is_not_given_again(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let mut task = TaskContext::from_waker(Waker::noop());
        let launch = |stream: &Stream| -> ascendcl::Result<Callback<u8>> {
            let mut callback = stream.launch_callback(|| 5)?;
            assert_eq!(pollster::block_on(&mut callback)?, 5);
            assert!(callback.is_finished());
            Ok(callback)
        };
        let taken = |error: Option<Error>| assert!(matches!(error, Some(Error::AlreadyTaken { .. })), "{error:?}");
        taken(launch(&stream)?.wait().err());
        taken(launch(&stream)?.wait_timeout(Duration::MAX).err().map(|rejected| rejected.error));
        let Poll::Ready(again) = Pin::new(&mut launch(&stream)?).poll(&mut task) else { panic!("it waits") };
        taken(again.err());
        let download = |stream: &Stream| -> ascendcl::Result<_> {
            let memory = context.alloc_from(&[3_u8; 4])?;
            let mut download = stream.download(&memory, context.alloc_pinned(4)?)?;
            assert_eq!(pollster::block_on(&mut download)?[..], [3; 4]);
            Ok(download)
        };
        taken(download(&stream)?.wait().err());
        taken(download(&stream)?.wait_timeout(Duration::ZERO).err().map(|rejected| rejected.error));
        let Poll::Ready(again) = Pin::new(&mut download(&stream)?).poll(&mut task) else { panic!("it waits") };
        taken(again.err());
    }
}

/// How much address space this process has, in bytes.
fn address_space() -> usize {
    let sizes = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    sizes.split(' ').next().and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages") * 4096
}

backend_test! {
    fn a_read_that_is_refused_leaves_nothing_behind(acl) {
        let context = acl.device(0)?.create_context()?;
        let large = context.alloc::<u8>(64 << 20)?.view(..)?;
        let before = address_space();
        let view = large.clone();
        let refused = context.create_stream()?.launch_callback(move || {
            (0..64).filter(|_| matches!(view.to_vec(), Err(Error::InCallback { .. }))).count()
        })?;
        assert_eq!(refused.wait()?, 64);
        assert!(address_space() < before + (1 << 30), "64 vectors of 64 MiB were leaked");
    }
}

#[test]
fn a_library_that_was_named_is_not_left_out() {
    let both = Acl::builder().backend(BackendChoice::Sim).library("libascendcl.so").build();
    let Err(Error::Backend(text)) = both else { panic!("{both:?}") };
    assert!(text.contains("libascendcl.so") && text.contains("simulator"), "{text}");
    let missing = Acl::builder().backend(BackendChoice::Auto).library("/nowhere/libascendcl.so").build();
    assert!(matches!(missing, Err(Error::Load(_))), "no reason to simulate: {missing:?}");
}

/// Panics while this is set.
static LOGGER_PANICS: AtomicBool = AtomicBool::new(false);
static LOGGED: AtomicUsize = AtomicUsize::new(0);

/// The logger waits for this stream, if there is one.
static LOGGER_WAITS_FOR: Mutex<Option<Stream>> = Mutex::new(None);
static LOGGER_WAS_REFUSED: AtomicUsize = AtomicUsize::new(0);
static LOGGER_WAITED: AtomicUsize = AtomicUsize::new(0);

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let waits_for = LOGGER_WAITS_FOR.try_lock().ok().and_then(|stream| stream.clone());
        if let Some(stream) = waits_for
            && record.target().starts_with("ascendcl::")
        {
            match stream.synchronize() {
                Err(Error::InCallback { .. }) => LOGGER_WAS_REFUSED.fetch_add(1, Ordering::SeqCst),
                _ => LOGGER_WAITED.fetch_add(1, Ordering::SeqCst),
            };
        }
        if LOGGER_PANICS.load(Ordering::SeqCst) && !record.target().starts_with("ascendcl_sim") {
            LOGGED.fetch_add(1, Ordering::SeqCst);
            panic!("the logger panicked");
        }
    }

    fn flush(&self) {}
}

unsafe extern "C" fn refuse_to_free(memory: *mut c_void) -> aclError {
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtFree.unwrap()(memory) };
    507_899
}

unsafe extern "C" fn no_reports(timeout: i32) -> aclError {
    if LOGGER_PANICS.load(Ordering::SeqCst) && LOGGED.load(Ordering::SeqCst) == 0 {
        return 507_899;
    }
    // SAFETY: a plain integer.
    unsafe { api().aclrtProcessReport.unwrap()(timeout) }
}

fn with_a_logger() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Logger).expect("no other is set");
        log::set_max_level(log::LevelFilter::Error);
    });
}

fn with_a_logger_that_panics() {
    with_a_logger();
    LOGGED.store(0, Ordering::SeqCst);
    LOGGER_PANICS.store(true, Ordering::SeqCst);
}

sim_test! {
    fn a_logger_that_panics_takes_no_thread_with_it() {
        let patch = |table: &mut sys::AclApi| {
            table.aclrtFree = Some(refuse_to_free);
            table.aclrtProcessReport = Some(no_reports);
        };
        let result = with_table(patch, |acl| {
            with_a_logger_that_panics();
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            // The report thread writes that it got no reports, and goes on.
            assert_eq!(stream.launch_callback(|| 1)?.wait()?, 1);
            assert_eq!(LOGGED.load(Ordering::SeqCst), 1);
            // What the closure returns panics when it is dropped, under C: nobody waits for it by then.
            let (dropped, when_dropped) = mpsc::channel();
            drop(stream.launch_callback(move || {
                let _ = when_dropped.recv();
                Bomb
            })?);
            dropped.send(())?;
            assert_eq!(stream.launch_callback(|| 2)?.wait()?, 2);
            assert_eq!(LOGGED.load(Ordering::SeqCst), 2);
            // Destructors that fail.
            drop(context.alloc::<u8>(1)?);
            let buffer = context.alloc::<u8>(1)?;
            stream.launch_callback(move || drop(buffer))?.wait()?;
            until(|| LOGGED.load(Ordering::SeqCst) == 4);
            assert_eq!(stream.launch_callback(|| 3)?.wait()?, 3);
            Ok(())
        });
        LOGGER_PANICS.store(false, Ordering::SeqCst);
        result?;
    }
}

sim_test! {
    fn a_logger_cannot_wait_for_the_thread_it_runs_on() {
        with_table(|table| table.aclrtFree = Some(refuse_to_free), |acl| {
            with_a_logger();
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            *LOGGER_WAITS_FOR.lock().unwrap() = Some(stream.clone());
            // The destructor fails here, and on the reaper's thread.
            drop(context.alloc::<u8>(1)?);
            let buffer = context.alloc::<u8>(1)?;
            stream.launch_callback(move || drop(buffer))?.wait()?;
            until(|| LOGGER_WAS_REFUSED.load(Ordering::SeqCst) + LOGGER_WAITED.load(Ordering::SeqCst) == 2);
            LOGGER_WAITS_FOR.lock().unwrap().take();
            Ok(())
        })?;
        assert_eq!(LOGGER_WAS_REFUSED.load(Ordering::SeqCst), 2);
    }
}

sim_test! {
    fn a_hook_cannot_wait_for_the_thread_it_runs_on() {
        static ANSWERS: Mutex<Vec<String>> = Mutex::new(Vec::new());
        with_table(|table| table.aclrtFree = Some(refuse_to_free), |acl| {
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            let (theirs, own) = (acl.clone(), stream.clone());
            let handles = Mutex::new(Some((theirs, own)));
            ascendcl::set_drop_error_hook(move |_| {
                if let Some((acl, stream)) = handles.lock().unwrap().take() {
                    let answers = [stream.synchronize().unwrap_err(), acl.finalize().unwrap_err()];
                    ANSWERS.lock().unwrap().extend(answers.map(|error| error.to_string()));
                }
            });
            let buffer = context.alloc::<u8>(1)?;
            stream.launch_callback(move || drop(buffer))?.wait()?;
            until(|| ANSWERS.lock().unwrap().len() == 2);
            assert!(ANSWERS.lock().unwrap().iter().all(|answer| answer.contains("inside a callback")), "{ANSWERS:?}");
            // As without a hook: other tests tell what this crate writes by its target.
            ascendcl::set_drop_error_hook(|error| log::error!(target: "ascendcl::drop_hook", "{error}"));
            Ok(())
        })?;
    }
}

/// Asks, when it is dropped, whether it may wait.
struct Asks(Stream);

static MAY_WAIT: Mutex<Vec<bool>> = Mutex::new(Vec::new());

impl Drop for Asks {
    fn drop(&mut self) {
        let refused = matches!(self.0.synchronize(), Err(Error::InCallback { .. }));
        MAY_WAIT.lock().unwrap().push(!refused);
    }
}

sim_test! {
    fn a_hook_that_was_replaced_and_panics_is_dropped_as_inside_a_callback() {
        with_table(|table| table.aclrtFree = Some(refuse_to_free), |acl| {
            let context = acl.device(0)?.create_context()?;
            let asks = Asks(context.create_stream()?);
            ascendcl::set_drop_error_hook(move |_| {
                let _asks = &asks;
                ascendcl::set_drop_error_hook(|error| log::error!(target: "ascendcl::drop_hook", "{error}"));
                std::panic::resume_unwind(Box::new("on purpose"));
            });
            drop(context.alloc::<u8>(1)?);
            assert_eq!(*MAY_WAIT.lock().unwrap(), [false]);
            Ok(())
        })?;
    }
}

thread_local! {
    static KEPT: RefCell<Vec<(Context, Stream)>> = const { RefCell::new(Vec::new()) };
}

backend_test! {
    fn handles_in_a_thread_local_of_a_report_thread_are_released_when_it_ends(acl) {
        let device = acl.device(0)?;
        for _ in 0..10 {
            let (context, other) = (device.create_context()?, device.create_context()?);
            let stream = context.create_stream()?;
            let theirs = (other.clone(), other.create_stream()?);
            stream.launch_callback(move || KEPT.with(|kept| kept.borrow_mut().push(theirs)))?.wait()?;
        }
    }
}
