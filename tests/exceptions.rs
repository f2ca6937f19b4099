//! Tasks that fail are told to receivers, whatever those do meanwhile.

mod support;

use ascendcl::{
    Acl, AclCode, Context, Error, Exception, Exceptions, Stream,
    sys::{self, aclError, aclrtExceptionInfo},
};
use ascendcl_sim::{Config, Profile};
use std::{
    ptr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI32, AtomicUsize, Ordering},
    },
    task::{Context as Task, Poll, Wake, Waker},
    thread,
    time::Duration,
};
use support::{Bomb, Gate, Target, TestResult, Wakes, child, until};

/// Nothing waits so long that passes.
const LONG: Duration = Duration::from_secs(100);

/// The number of this thread.
fn thread_id() -> u32 {
    // SAFETY: the function takes nothing and cannot fail.
    (unsafe { libc::gettid() }).cast_unsigned()
}

/// Lets the waits of all streams end in failure after so many seconds; 0 for never. The Ascend 310P has no such limit.
fn limit_waits(context: &Context, seconds: u32) -> bool {
    let _entered = context.enter().unwrap();
    // SAFETY: a plain number.
    match unsafe { context.device().acl().raw().aclrtSetOpWaitTimeout.unwrap()(seconds) } {
        0 => true,
        sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT => false,
        other => panic!("{other}"),
    }
}

/// Lets a task of the stream fail, and gives what the wait for the stream is told.
fn fail(stream: &Stream) -> AclCode {
    let context = stream.context();
    let failed = if limit_waits(context, 1) {
        let _gate = Gate::close(stream).unwrap();
        let failed = stream.synchronize();
        limit_waits(context, 0);
        failed
    } else {
        let notify = context.create_notify().unwrap();
        let _entered = context.enter().unwrap();
        // Not through the crate, which would never free it after the failure.
        // SAFETY: both are alive until the wait below has ended.
        let waits = unsafe {
            context.device().acl().raw().aclrtWaitAndResetNotify.unwrap()(notify.as_raw(), stream.as_raw(), 1)
        };
        assert_eq!(waits, 0);
        stream.synchronize()
    };
    failed.expect_err("nobody lets the stream go on").code().unwrap()
}

/// Receivers are told of the task that failed.
fn each_receiver_is_told(acl: &Acl) -> TestResult {
    let (mut first, mut second) = (acl.exceptions()?, acl.exceptions()?);
    assert_eq!(first.try_recv(), None);
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let code = fail(&stream);
    let told = first.recv_timeout(LONG)?;
    assert_eq!((told.device, told.code, told.thread), (Some(0), Some(code), Some(thread_id())));
    assert!(told.task.is_some());
    if let Ok(id) = stream.id() {
        assert_eq!(told.stream, Some(id));
    }
    assert_eq!(second.recv()?, told);
    assert_eq!((first.try_recv(), second.try_recv()), (None, None));
    assert_eq!((first.missed(), second.missed()), (0, 0));
    Ok(())
}

backend_test! {
    fn a_task_that_fails_is_told(acl) {
        each_receiver_is_told(acl)?;
    }
}

sim_test! {
    fn a_task_that_fails_is_told_on_every_chip() {
        for profile in [Profile::ascend310(), Profile::ascend310p(), Profile::ascend910b(), Profile::full()] {
            // With a seed the clock is virtual, and nobody waits for it.
            support::with_config(Config::new().profile(profile).seed(7), each_receiver_is_told)?;
        }
    }
}

backend_test! {
    fn receivers_wait_and_are_awaited(acl) {
        let context = acl.device(0)?.create_context()?;
        let (mut waits, mut awaits) = (acl.exceptions()?, acl.exceptions()?);
        let waiting = thread::spawn(move || waits.recv());
        let wakes = Wakes::new();
        assert!(awaits.poll_recv(&mut Task::from_waker(&wakes.waker())).is_pending());
        let code = fail(&context.create_stream()?);
        assert_eq!(waiting.join().unwrap()?.code, Some(code));
        until(|| wakes.count() == 1);
        // A future that is dropped takes nothing with it.
        drop(awaits.recv_async());
        assert_eq!(pollster::block_on(awaits.recv_async())?.code, Some(code));
    }
}

backend_test! {
    fn waiting_inside_a_callback_is_refused(acl) {
        let stream = acl.device(0)?.create_context()?.create_stream()?;
        let mut exceptions = acl.exceptions()?;
        let inside = stream.launch_callback({
            let acl = acl.clone();
            move || {
                let refused = [exceptions.recv().err(), exceptions.recv_timeout(LONG).err(), acl.exceptions().err()];
                (refused, exceptions.try_recv())
            }
        })?;
        let (refused, none) = inside.wait()?;
        for error in refused {
            assert!(matches!(error, Some(Error::InCallback { .. })), "{error:?}");
        }
        assert_eq!(none, None);
    }
}

backend_test! {
    fn a_receiver_keeps_its_backend(target: Target) {
        let acl = target.open()?;
        let mut exceptions = acl.exceptions()?;
        assert!(matches!(acl.finalize(), Err(Error::InUse { .. })));
        let nothing = exceptions.recv_timeout(Duration::from_millis(1));
        assert!(matches!(nothing, Err(Error::Timeout { .. })), "{nothing:?}");
        assert_eq!((exceptions.acl().device_count()? > 0, exceptions.try_iter().count()), (true, 0));
        drop(exceptions);
        assert!(target.open()?.finalize()?);
        // Initialised again, it is told again.
        let acl = target.open()?;
        each_receiver_is_told(&acl)?;
        assert!(acl.finalize()?);
    }
}

sim_test! {
    fn each_backend_tells_its_own() {
        let (embedded, library) = (Target::Embedded.open()?, Target::Cdylib.open()?);
        {
            let (mut of_embedded, mut of_library) = (embedded.exceptions()?, library.exceptions()?);
            let stream = library.device(1)?.create_context()?.create_stream()?;
            let code = fail(&stream);
            let told = of_library.recv_timeout(LONG)?;
            assert_eq!((told.device, told.code), (Some(1), Some(code)));
            assert_eq!(of_embedded.try_recv(), None);
            fail(&embedded.device(0)?.create_context()?.create_stream()?);
            assert_eq!(of_embedded.recv_timeout(LONG)?.device, Some(0));
            assert_eq!(of_library.try_recv(), None);
        }
        assert!(embedded.finalize()? && library.finalize()?);
    }
}

/// What was set by [`set`].
static CALLBACK: Mutex<sys::aclrtExceptionInfoCallback> = Mutex::new(None);

unsafe extern "C" fn set(callback: sys::aclrtExceptionInfoCallback) -> aclError {
    *CALLBACK.lock().unwrap() = callback;
    0
}

unsafe extern "C" fn refuse(_: sys::aclrtExceptionInfoCallback) -> aclError {
    507_000
}

/// Exceptions of [`with_callback`] are numbers.
unsafe extern "C" fn number(info: *const aclrtExceptionInfo) -> u32 {
    u32::try_from(info.addr()).unwrap()
}

unsafe extern "C" fn unknown(_: *const aclrtExceptionInfo) -> u32 {
    u32::MAX
}

/// Runs a test that raises exceptions by itself.
fn with_callback(body: fn(&Acl) -> TestResult) -> TestResult {
    let patch = |table: &mut sys::AclApi| {
        table.aclrtSetExceptionInfoCallback = Some(set);
        table.aclrtGetTaskIdFromExceptionInfo = Some(number);
        table.aclrtGetStreamIdFromExceptionInfo = Some(unknown);
        table.aclrtGetDeviceIdFromExceptionInfo = Some(number);
        table.aclrtGetThreadIdFromExceptionInfo = Some(unknown);
        // As before CANN 6.
        table.aclrtGetErrorCodeFromExceptionInfo = None;
    };
    support::with_table(patch, body)
}

/// As ACL does, on a thread of its own or on this one.
fn raise(number: usize) {
    let callback = CALLBACK.lock().unwrap().expect("it was set");
    // SAFETY: the getters of the table take any number.
    unsafe { callback(ptr::without_provenance_mut(number)) };
}

fn tasks(exceptions: &mut Exceptions) -> Vec<u32> {
    exceptions.try_iter().map(|exception| exception.task.unwrap()).collect()
}

sim_test! {
    fn what_acl_does_not_know_is_none() {
        with_callback(|acl| {
            let mut exceptions = acl.exceptions()?;
            raise(7);
            let Exception { device, stream, task, thread, code, .. } = exceptions.recv()?;
            assert_eq!((device, stream, task, thread, code), (Some(7), None, Some(7), None, None));
            Ok(())
        })?;
    }
}

sim_test! {
    fn receivers_come_and_go() {
        with_callback(|acl| {
            let mut early = acl.exceptions()?;
            drop(acl.exceptions()?);
            raise(1);
            let mut late = acl.exceptions()?;
            assert_eq!((tasks(&mut early), tasks(&mut late)), (vec![1], vec![]));
            drop(early);
            raise(2);
            assert_eq!(tasks(&mut late), [2]);
            drop(late);
            // Nobody is there to be told, and then somebody again.
            raise(3);
            let mut last = acl.exceptions()?;
            raise(4);
            assert_eq!(tasks(&mut last), [4]);
            Ok(())
        })?;
    }
}

sim_test! {
    fn the_first_ones_stay_when_nobody_receives() {
        with_callback(|acl| {
            let (mut slow, mut quick) = (acl.exceptions()?, acl.exceptions()?);
            let mut seen = Vec::new();
            for number in 0..3000 {
                raise(number);
                seen.extend(tasks(&mut quick));
            }
            assert_eq!((seen, quick.missed()), ((0..3000).collect(), 0));
            assert_eq!((tasks(&mut slow), slow.missed()), ((0..1024).collect(), 3000 - 1024));
            raise(4000);
            assert_eq!(tasks(&mut slow), [4000]);
            Ok(())
        })?;
    }
}

sim_test! {
    fn exceptions_come_from_many_threads_while_receivers_come_and_go() {
        with_callback(|acl| {
            let mut all = acl.exceptions()?;
            thread::scope(|scope| {
                for raiser in 0..4 {
                    scope.spawn(move || (0..200).for_each(|number| raise(raiser * 1000 + number)));
                }
                for _ in 0..2 {
                    scope.spawn(|| {
                        for _ in 0..50 {
                            let mut short = acl.exceptions().unwrap();
                            let _ = short.poll_recv(&mut Task::from_waker(Waker::noop()));
                            short.try_recv();
                        }
                    });
                }
            });
            let seen = tasks(&mut all);
            assert_eq!((seen.len(), all.missed()), (800, 0));
            for raiser in 0..4 {
                let of_raiser = seen.iter().filter(|&&task| task / 1000 == raiser);
                assert!(of_raiser.is_sorted(), "each thread's come in order");
            }
            Ok(())
        })?;
    }
}

/// A waker that does what it should not.
struct Wild(Acl, AtomicUsize);

impl Wake for Wild {
    fn wake(self: Arc<Self>) {
        let refused = self.0.device_count();
        assert!(matches!(refused, Err(Error::InCallback { .. })), "{refused:?}");
        self.1.fetch_add(1, Ordering::SeqCst);
        // It has to be dropped by the panic.
        let _bomb = Bomb;
    }
}

sim_test! {
    fn wakers_cannot_unwind_into_acl_nor_call_it() {
        with_callback(|acl| {
            let mut exceptions = acl.exceptions()?;
            let wild = Arc::new(Wild(acl.clone(), AtomicUsize::new(0)));
            for number in 1..3 {
                let polled = exceptions.poll_recv(&mut Task::from_waker(&wild.clone().into()));
                assert!(polled.is_pending(), "{polled:?}");
                let told = thread::Builder::new().name("ascendcl-test-raiser".into()).spawn(move || raise(number))?;
                told.join().expect("nothing unwinds out of the callback");
                assert_eq!((wild.1.load(Ordering::SeqCst), tasks(&mut exceptions)), (number, vec![number as u32]));
            }
            Ok(())
        })?;
    }
}

/// A waker that panics when it is dropped.
struct Explosive(Bomb);

impl Wake for Explosive {
    fn wake(self: Arc<Self>) {}
}

/// A waker that takes the receiver, leaves an [`Explosive`] one in it, and drops it.
struct Last(Mutex<Option<Exceptions>>);

impl Wake for Last {
    fn wake(self: Arc<Self>) {
        let mut exceptions = self.0.lock().unwrap().take().unwrap();
        assert_eq!(tasks(&mut exceptions), [1]);
        let polled = exceptions.poll_recv(&mut Task::from_waker(&Arc::new(Explosive(Bomb)).into()));
        assert!(polled.is_pending(), "{polled:?}");
    }
}

sim_test! {
    fn a_receiver_that_goes_with_a_bang_takes_nothing_from_the_next() {
        with_callback(|acl| {
            let last = Arc::new(Last(Mutex::new(None)));
            let (mut first, mut second) = (acl.exceptions()?, acl.exceptions()?);
            assert!(first.poll_recv(&mut Task::from_waker(&last.clone().into())).is_pending());
            *last.0.lock().unwrap() = Some(first);
            let told = thread::Builder::new().name("ascendcl-test-raiser".into()).spawn(|| raise(1))?;
            told.join().expect("nothing unwinds out of the callback");
            assert!(last.0.lock().unwrap().is_none(), "it was woken");
            assert_eq!(tasks(&mut second), [1]);
            Ok(())
        })?;
    }
}

sim_test! {
    fn a_callback_that_is_not_set_is_an_error() {
        support::with_table(
            |table| table.aclrtSetExceptionInfoCallback = Some(refuse),
            |acl| {
                assert_eq!(support::code(acl.exceptions()), 507_000);
                Ok(())
            },
        )?;
        support::with_table(
            |table| table.aclrtSetExceptionInfoCallback = None,
            |acl| {
                let missing = acl.exceptions();
                assert!(matches!(missing, Err(Error::MissingSymbol { function: "aclrtSetExceptionInfoCallback" })));
                Ok(())
            },
        )?;
    }
}

fn on_each(role: &str, code: i32) {
    for target in ["embedded", "cdylib"] {
        child::run(&format!("{role} {target}"), &[("ASCENDCL_SIM_MISUSE", "report")])
            .code(code)
            .silent_about("misuse");
    }
}

#[test]
fn a_receiver_hears_of_the_exit() {
    on_each("exit", 0);
}

#[test]
fn a_receiver_is_harmless_in_a_forked_child() {
    on_each("fork", 0);
}

#[test]
fn a_child_that_is_forked_in_a_waker_ends() {
    on_each("wake", 0);
}

/// What the children do. In the process of the tests it is nothing.
#[test]
fn child() {
    let Some(role) = child::role() else { return };
    let (role, target) = role.split_once(' ').unwrap();
    if role == "exit" {
        // Before ACL, to run behind the crate's handler, which has told everybody.
        // SAFETY: the handler does not unwind unless the test fails.
        assert_eq!(unsafe { libc::atexit(join) }, 0);
    }
    let acl = if target == "embedded" { Target::Embedded } else { Target::Cdylib }.open().unwrap();
    match role {
        "exit" => exit(&acl),
        "fork" => fork(&acl),
        "wake" => fork_in_a_waker(&acl),
        other => panic!("{other}"),
    }
}

/// Threads that the exit waits for.
static WAITERS: Mutex<Vec<thread::JoinHandle<()>>> = Mutex::new(Vec::new());

extern "C" fn join() {
    for waiter in WAITERS.lock().unwrap().drain(..) {
        waiter.join().unwrap();
    }
}

/// The exit waits until a thread that waits for exceptions, and one that awaits them, have heard of it.
fn exit(acl: &Acl) {
    let (mut waits, mut awaits) = (acl.exceptions().unwrap(), acl.exceptions().unwrap());
    WAITERS.lock().unwrap().push(thread::spawn(move || {
        assert!(matches!(waits.recv(), Err(Error::Exiting { .. })));
    }));
    WAITERS.lock().unwrap().push(thread::spawn(move || {
        assert!(matches!(pollster::block_on(awaits.recv_async()), Err(Error::Exiting { .. })));
    }));
    std::process::exit(0);
}

/// While another thread has the locks all the time.
fn fork(acl: &Acl) {
    let mut exceptions = acl.exceptions().unwrap();
    let mut busy = acl.exceptions().unwrap();
    thread::spawn(move || while busy.poll_recv(&mut Task::from_waker(Waker::noop())).is_pending() {});
    for _ in 0..20 {
        // SAFETY: the child calls nothing but what this test is about.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let polled = exceptions.poll_recv(&mut Task::from_waker(Waker::noop()));
            let good = matches!(exceptions.recv(), Err(Error::Forked { .. }))
                && matches!(acl.exceptions(), Err(Error::Forked { .. }))
                && matches!(polled, Poll::Ready(Err(Error::Forked { .. })))
                && (exceptions.try_recv(), exceptions.missed()) == (None, 0);
            drop(exceptions);
            // SAFETY: ends the child without running what is the parent's.
            unsafe { libc::_exit(i32::from(!good)) };
        }
        child::reap(pid);
    }
    std::process::exit(0);
}

/// Forks, keeps the number of the child, and returns in both.
struct Forks(AtomicI32);

impl Wake for Forks {
    fn wake(self: Arc<Self>) {
        // SAFETY: the child returns from here, and does nothing else.
        let pid = unsafe { libc::fork() };
        self.0.store(pid, Ordering::SeqCst);
    }
}

/// The child has one thread, that of the runtime which called the waker, and whatever other threads have locked.
fn fork_in_a_waker(acl: &Acl) {
    let forks = Arc::new(Forks(AtomicI32::new(-1)));
    let mut exceptions = acl.exceptions().unwrap();
    let waker = Waker::from(forks.clone());
    assert!(exceptions.poll_recv(&mut Task::from_waker(&waker)).is_pending());
    fail(&acl.device(0).unwrap().create_context().unwrap().create_stream().unwrap());
    until(|| forks.0.load(Ordering::SeqCst) > 0);
    child::reap(forks.0.load(Ordering::SeqCst));
    std::process::exit(0);
}
