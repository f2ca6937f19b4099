//! Devices that fail: nothing that they may still be using is freed, nothing hangs, and what is not concerned goes on.

mod support;

use ascendcl::{
    CallbackMode, Context, DeviceBuffer, Error, EventFlags, Model, Result, Stream,
    sys::{self, aclError, aclmdlDataset, aclrtEvent, aclrtMemcpyKind, aclrtStream, aclrtStreamStatus},
};
use ascendcl_sim::api;
use std::{
    ffi::c_void,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI32, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use support::{Gate, child, code};

/// What the device answers instead of doing its work: 0 for nothing.
static SYNCHRONIZE: AtomicI32 = AtomicI32::new(0);
static SUBMIT: AtomicI32 = AtomicI32::new(0);
static REFUSE: AtomicI32 = AtomicI32::new(0);
static QUERY: AtomicI32 = AtomicI32::new(0);
static COPY: AtomicI32 = AtomicI32::new(0);

/// The answer that was ordered, if there is one.
fn ordered(answer: &AtomicI32) -> Option<aclError> {
    Some(answer.load(Ordering::SeqCst)).filter(|&code| code != 0)
}

/// The same, of waits for a whole context alone.
static SYNCHRONIZE_ALL: AtomicI32 = AtomicI32::new(0);
/// The stream of which a task has failed: the next wait for it is told, and nobody after.
static FAILED_TASK: AtomicUsize = AtomicUsize::new(0);

/// How often a wait without a limit was asked for.
static SYNCHRONIZED: AtomicUsize = AtomicUsize::new(0);

/// Tells what came of a failed task, but not before others have had time to come back without that.
fn told(stream: aclrtStream) -> bool {
    let told = FAILED_TASK.compare_exchange(stream.addr(), 0, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    if told {
        thread::sleep(Duration::from_millis(100));
    }
    told
}

unsafe extern "C" fn synchronize(stream: aclrtStream) -> aclError {
    SYNCHRONIZED.fetch_add(1, Ordering::SeqCst);
    if told(stream) {
        return 507_015;
    }
    // SAFETY: the caller's contract, handed on.
    ordered(&SYNCHRONIZE).unwrap_or_else(|| unsafe { api().aclrtSynchronizeStream.unwrap()(stream) })
}

unsafe extern "C" fn synchronize_timeout(stream: aclrtStream, timeout: i32) -> aclError {
    if told(stream) {
        return 507_015;
    }
    // SAFETY: the caller's contract, handed on.
    ordered(&SYNCHRONIZE)
        .unwrap_or_else(|| unsafe { api().aclrtSynchronizeStreamWithTimeout.unwrap()(stream, timeout) })
}

unsafe extern "C" fn synchronize_device() -> aclError {
    // SAFETY: the caller's contract, handed on.
    ordered(&SYNCHRONIZE_ALL).unwrap_or_else(|| unsafe { api().aclrtSynchronizeDevice.unwrap()() })
}

unsafe extern "C" fn synchronize_device_timeout(timeout: i32) -> aclError {
    // SAFETY: the caller's contract, handed on.
    ordered(&SYNCHRONIZE_ALL)
        .unwrap_or_else(|| unsafe { api().aclrtSynchronizeDeviceWithTimeout.unwrap()(timeout) })
}

unsafe extern "C" fn query(stream: aclrtStream, status: *mut aclrtStreamStatus) -> aclError {
    // SAFETY: the caller's contract, handed on.
    ordered(&QUERY).unwrap_or_else(|| unsafe { api().aclrtStreamQuery.unwrap()(stream, status) })
}

unsafe extern "C" fn copy_async(
    to: *mut c_void,
    capacity: usize,
    from: *const c_void,
    bytes: usize,
    kind: aclrtMemcpyKind,
    stream: aclrtStream,
) -> aclError {
    if let Some(refused) = ordered(&REFUSE) {
        return refused;
    }
    // SAFETY: the caller's contract, handed on.
    let answer = unsafe { api().aclrtMemcpyAsync.unwrap()(to, capacity, from, bytes, kind, stream) };
    // Submitted all the same.
    if answer == 0 { ordered(&SUBMIT).unwrap_or(0) } else { answer }
}

unsafe extern "C" fn copy(
    to: *mut c_void,
    capacity: usize,
    from: *const c_void,
    bytes: usize,
    kind: aclrtMemcpyKind,
) -> aclError {
    // SAFETY: the caller's contract, handed on.
    ordered(&COPY).unwrap_or_else(|| unsafe { api().aclrtMemcpy.unwrap()(to, capacity, from, bytes, kind) })
}

unsafe extern "C" fn execute(
    model: u32,
    inputs: *const aclmdlDataset,
    outputs: *mut aclmdlDataset,
) -> aclError {
    // SAFETY: the caller's contract, handed on.
    ordered(&COPY).unwrap_or_else(|| unsafe { api().aclmdlExecute.unwrap()(model, inputs, outputs) })
}

/// What was freed.
static FREED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

unsafe extern "C" fn free(memory: *mut c_void) -> aclError {
    FREED.lock().unwrap().push(memory as usize);
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtFree.unwrap()(memory) }
}

unsafe extern "C" fn free_host(memory: *mut c_void) -> aclError {
    FREED.lock().unwrap().push(memory as usize);
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtFreeHost.unwrap()(memory) }
}

fn freed(address: usize) -> bool {
    FREED.lock().unwrap().contains(&address)
}

fn patch(table: &mut sys::AclApi) {
    table.aclrtSynchronizeStream = Some(synchronize);
    table.aclrtSynchronizeStreamWithTimeout = Some(synchronize_timeout);
    table.aclrtSynchronizeDevice = Some(synchronize_device);
    table.aclrtSynchronizeDeviceWithTimeout = Some(synchronize_device_timeout);
    table.aclrtStreamQuery = Some(query);
    table.aclrtMemcpyAsync = Some(copy_async);
    table.aclrtMemcpy = Some(copy);
    table.aclmdlExecute = Some(execute);
    table.aclrtFree = Some(free);
    table.aclrtFreeHost = Some(free_host);
}

fn open() -> ascendcl::Acl {
    // SAFETY: the simulator's functions, or those above.
    unsafe { ascendcl::Acl::from_table(support::table(patch)) }.unwrap()
}

fn address(buffer: &DeviceBuffer<u8>) -> usize {
    buffer.as_raw() as usize
}

fn poisoned<T>(result: Result<T>) {
    assert!(matches!(result, Err(Error::Poisoned { .. })), "{:?}", result.err());
}

/// After the failure of a wait: what the stream used stays, and what comes next works.
fn a_wait_fails(wait: fn(&Stream) -> Result<()>) {
    let acl = open();
    let context = acl.device(0).unwrap().create_context().unwrap();
    let stream = context.create_stream().unwrap();
    let gate = Gate::close(&stream).unwrap();
    let buffer = context.alloc::<u8>(100).unwrap();
    let pinned = context.alloc_pinned::<u8>(100).unwrap();
    let (device_side, host_side) = (address(&buffer), pinned.as_ptr() as usize);
    let upload = stream.upload(pinned, &buffer).unwrap();
    let pending = stream.launch_callback(|| ()).unwrap();
    drop(upload);
    drop(buffer);

    SYNCHRONIZE.store(507_015, Ordering::SeqCst);
    assert_eq!(code(wait(&stream)), 507_015);
    SYNCHRONIZE.store(0, Ordering::SeqCst);

    // It takes nothing more, and says so.
    let event = context.create_event().unwrap();
    poisoned(stream.synchronize());
    poisoned(stream.synchronize_timeout(Duration::from_secs(1)));
    poisoned(stream.is_idle());
    poisoned(stream.record(&event));
    poisoned(stream.launch_callback(|| ()));
    poisoned(stream.launch_callback_with(CallbackMode::Blocking, || ()));
    let other = context.alloc::<u8>(100).unwrap();
    poisoned(stream.memset(&other, 1));
    let rejected = stream.upload(context.alloc_pinned(100).unwrap(), &other).unwrap_err();
    assert!(rejected.returned.is_some(), "nothing was submitted");
    poisoned::<()>(Err(rejected.error));
    drop(other);

    assert!(!freed(device_side) && !freed(host_side));
    // What is behind the failure may still run, or not; nobody waits for it for ever.
    gate.open().unwrap();
    let _ = pending.wait();
    drop(stream);
    let fresh = context.create_stream().unwrap();
    assert_eq!(fresh.launch_callback(|| 8).unwrap().wait().unwrap(), 8);
    let buffer = context.alloc::<u8>(100).unwrap();
    fresh.memset(&buffer, 9).unwrap();
    fresh.synchronize().unwrap();
    assert_eq!(buffer.to_vec().unwrap(), [9; 100]);
    drop((buffer, fresh, event, context));
    // The memory that was leaked holds its context.
    assert!(matches!(acl.clone().finalize(), Err(Error::InUse { .. })));
    assert!(!freed(device_side) && !freed(host_side));
}

/// The error of a task comes out once. It was told to the wait for the context, which does not know whose it was: it counts for each stream.
fn a_wait_for_the_context_fails() {
    let acl = open();
    let device = acl.device(0).unwrap();
    let (context, elsewhere) = (device.create_context().unwrap(), device.create_context().unwrap());
    for wait in
        [Context::synchronize, |context: &Context| context.synchronize_timeout(Duration::from_secs(30))]
    {
        let (stream, beside) = (context.create_stream().unwrap(), context.create_stream().unwrap());
        let buffer = context.alloc::<u8>(100).unwrap();
        let download = stream.download(&buffer, context.alloc_pinned(100).unwrap()).unwrap();
        let spared = elsewhere.create_stream().unwrap();
        SYNCHRONIZE_ALL.store(507_015, Ordering::SeqCst);
        assert_eq!(code(wait(&context)), 507_015);
        SYNCHRONIZE_ALL.store(0, Ordering::SeqCst);
        // Waited for before, by itself, and without an error.
        download.wait().unwrap();
        poisoned(stream.synchronize());
        poisoned(beside.synchronize());
        spared.synchronize().unwrap();
        context.create_stream().unwrap().synchronize().unwrap();
        // A wait that only took too long says nothing of the streams.
        let busy = context.create_stream().unwrap();
        let gate = Gate::close(&busy).unwrap();
        let error = context.synchronize_timeout(Duration::from_millis(20)).unwrap_err();
        assert!(error.is_timeout(), "{error}");
        gate.open().unwrap();
        busy.synchronize().unwrap();
    }
}

/// The primary context is one, however many handles of it there are.
fn a_wait_for_the_primary_context_fails() {
    let acl = open();
    let device = acl.device(0).unwrap();
    let (one, other) = (device.primary_context(), acl.device(0).unwrap().primary_context());
    for wait in [&|| other.synchronize(), &|| device.synchronize()] as [&dyn Fn() -> Result<()>; 2] {
        let stream = one.create_stream().unwrap();
        SYNCHRONIZE_ALL.store(507_015, Ordering::SeqCst);
        assert_eq!(code(wait()), 507_015);
        SYNCHRONIZE_ALL.store(0, Ordering::SeqCst);
        poisoned(stream.synchronize());
    }
}

/// Whoever waits at the same time, whichever way, hears of an error that comes out once; streams that it does not concern go on.
fn waits_overlap_and_one_is_told() {
    type Wait = fn(&Context, &Stream) -> Result<()>;
    let waits: [(&str, Wait); 5] = [
        ("synchronize", |_, stream| stream.synchronize()),
        ("synchronize_timeout", |_, stream| stream.synchronize_timeout(Duration::from_secs(30))),
        ("is_idle", |_, stream| {
            // An error, or not known yet.
            while !stream.is_idle()? {
                thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        }),
        ("context", |context, _| context.synchronize()),
        ("context_timeout", |context, _| context.synchronize_timeout(Duration::from_secs(30))),
    ];
    let acl = open();
    let context = acl.device(0).unwrap().create_context().unwrap();
    let beside = context.create_stream().unwrap();
    let event = context.create_event().unwrap();
    for (first, begins) in waits {
        for (second, follows) in waits {
            let stream = context.create_stream().unwrap();
            stream.record(&event).unwrap();
            beside.record(&event).unwrap();
            FAILED_TASK.store(stream.as_raw().addr(), Ordering::SeqCst);
            thread::scope(|scope| {
                let begun = scope.spawn(|| begins(&context, &stream));
                while FAILED_TASK.load(Ordering::SeqCst) != 0 {
                    thread::yield_now();
                }
                let second_told = follows(&context, &stream);
                assert!(begun.join().unwrap().is_err(), "{first}, then {second}: the first");
                assert!(second_told.is_err(), "{first}, then {second}: the second");
            });
            poisoned(stream.synchronize());
            beside.synchronize().unwrap();
        }
    }
}

/// What a closure captured may wait, when it is dropped, for somebody who waits for the stream.
fn a_closure_that_locks_when_it_is_dropped() {
    struct Locks(Arc<Mutex<()>>);
    impl Drop for Locks {
        fn drop(&mut self) {
            drop(self.0.lock());
        }
    }
    let acl = open();
    let context = acl.device(0).unwrap().create_context().unwrap();
    let stream = context.create_stream().unwrap();
    let gate = Gate::close(&stream).unwrap();
    let lock = Arc::new(Mutex::new(()));
    let captured = Locks(lock.clone());
    let callback = stream.launch_callback(move || drop(captured)).unwrap();
    FAILED_TASK.store(stream.as_raw().addr(), Ordering::SeqCst);
    thread::scope(|scope| {
        let first = scope.spawn(|| stream.synchronize());
        while FAILED_TASK.load(Ordering::SeqCst) != 0 {
            thread::yield_now();
        }
        let held = lock.lock().unwrap();
        assert!(stream.synchronize().is_err());
        drop(held);
        assert!(first.join().unwrap().is_err());
    });
    assert!(matches!(callback.wait(), Err(Error::Abandoned { cause: Some(_) })));
    gate.open().unwrap();
}

/// What goes wrong on a stream that has no handles any more is told to the hook, and to who awaits an event there.
fn a_dropped_stream_fails() {
    static TOLD: Mutex<Vec<Option<i32>>> = Mutex::new(Vec::new());
    ascendcl::set_drop_error_hook(|error| {
        TOLD.lock().unwrap().push(error.code().map(|code| code.0));
    });
    let acl = open();
    let context = acl.device(0).unwrap().create_context().unwrap();
    let event = context.create_event().unwrap();
    for stream_fails in [true, false] {
        let stream = context.create_stream().unwrap();
        let gate = Gate::close(&stream).unwrap();
        stream.record(&event).unwrap();
        if stream_fails {
            FAILED_TASK.store(stream.as_raw().addr(), Ordering::SeqCst);
        }
        drop(stream);
        let recorded = event.completion();
        gate.open().unwrap();
        match pollster::block_on(recorded) {
            Err(error) if stream_fails => assert_eq!(error.code().map(|code| code.0), Some(507_015)),
            recorded => assert!(!stream_fails && recorded.is_ok(), "{recorded:?}"),
        }
    }
    drop((event, context));
    assert!(acl.finalize().unwrap());
    assert_eq!(*TOLD.lock().unwrap(), [Some(507_015)]);
}

/// Before CANN 7 a stream is asked by a short wait, which takes the error.
fn a_question_is_told() {
    // SAFETY: the simulator's functions, or those above.
    let acl = unsafe {
        ascendcl::Acl::from_table(support::table(|table| {
            patch(table);
            table.aclrtStreamQuery = None;
        }))
    };
    let acl = acl.unwrap();
    let context = acl.device(0).unwrap().create_context().unwrap();
    let (stream, event) = (context.create_stream().unwrap(), context.create_event().unwrap());
    assert!(stream.is_idle().unwrap());
    let gate = Gate::close(&stream).unwrap();
    assert!(!stream.is_idle().unwrap());
    gate.open().unwrap();
    stream.record(&event).unwrap();
    FAILED_TASK.store(stream.as_raw().addr(), Ordering::SeqCst);
    assert_eq!(code(stream.is_idle()), 507_015);
    poisoned(stream.is_idle());
    poisoned(stream.synchronize());
}

/// Who waits for their turn waits no longer than they said.
fn a_wait_behind_another_runs_out_of_time() {
    let acl = open();
    let context = acl.device(0).unwrap().create_context().unwrap();
    let stream = context.create_stream().unwrap();
    let gate = Gate::close(&stream).unwrap();
    let waits = SYNCHRONIZED.load(Ordering::SeqCst);
    thread::scope(|scope| {
        let patient = scope.spawn(|| stream.synchronize());
        while SYNCHRONIZED.load(Ordering::SeqCst) == waits {
            thread::yield_now();
        }
        for limit in [Duration::ZERO, Duration::from_millis(20)] {
            let error = stream.synchronize_timeout(limit).unwrap_err();
            assert!(error.is_timeout(), "{error}");
            let error = context.synchronize_timeout(limit).unwrap_err();
            assert!(error.is_timeout(), "{error}");
        }
        assert!(!stream.is_idle().unwrap());
        gate.open().unwrap();
        patient.join().unwrap().unwrap();
    });
    stream.synchronize().unwrap();
}

fn a_transfer_waits_and_fails() {
    let acl = open();
    let context = acl.device(0).unwrap().create_context().unwrap();
    for with_timeout in [false, true] {
        let stream = context.create_stream().unwrap();
        let gate = Gate::close(&stream).unwrap();
        let buffer = context.alloc::<u8>(100).unwrap();
        let pinned = context.alloc_pinned::<u8>(100).unwrap();
        let (device_side, host_side) = (address(&buffer), pinned.as_ptr() as usize);
        let download = stream.download(&buffer, pinned).unwrap();
        drop(buffer);
        SYNCHRONIZE.store(507_899, Ordering::SeqCst);
        if with_timeout {
            let rejected = download.wait_timeout(Duration::from_secs(1)).unwrap_err();
            assert_eq!(code::<()>(Err(rejected.error)), 507_899);
            assert!(rejected.returned.is_none(), "it will never be known to be done");
        } else {
            assert_eq!(code(download.wait()), 507_899);
        }
        SYNCHRONIZE.store(0, Ordering::SeqCst);
        gate.open().unwrap();
        drop(stream);
        context.synchronize().unwrap();
        assert!(!freed(device_side) && !freed(host_side));
    }
}

/// Its code is of the family that says that nothing was submitted, which is no answer of a wait.
fn a_wait_on_the_device_takes_too_long() {
    let acl = open();
    let context = acl.device(0).unwrap().create_context().unwrap();
    for wait in [Stream::synchronize, |stream: &Stream| stream.synchronize_timeout(Duration::from_secs(30))] {
        let stream = context.create_stream().unwrap();
        let never = context.create_event_with_flags(EventFlags::SYNC).unwrap();
        let buffer = context.alloc::<u8>(100).unwrap();
        stream.wait_timeout(&never, Duration::from_secs(1)).unwrap();
        let download = stream.download(&buffer, context.alloc_pinned(100).unwrap()).unwrap();
        assert_eq!(code(wait(&stream)), 107_019);
        // The copy has run, without what it was to come behind. Its data is not to be taken for good.
        poisoned(download.is_done());
        poisoned(download.wait());
        poisoned(stream.record(&never));
    }
}

fn a_submission_fails_after_it_was_submitted() {
    let acl = open();
    let context = acl.device(0).unwrap().create_context().unwrap();
    let stream = context.create_stream().unwrap();
    let gate = Gate::close(&stream).unwrap();
    let buffer = context.alloc::<u8>(100).unwrap();
    let pinned = context.alloc_pinned_from(&[6_u8; 100]).unwrap();
    let host_side = pinned.as_ptr() as usize;
    SUBMIT.store(507_000, Ordering::SeqCst);
    let rejected = stream.upload(pinned, &buffer).unwrap_err();
    assert!(rejected.returned.is_none(), "the copy may be running");
    assert_eq!(code::<()>(Err(rejected.error)), 507_000);
    let from = context.alloc::<u8>(100).unwrap();
    let from_side = address(&from);
    assert_eq!(code(stream.copy(&from, &context.alloc::<u8>(100).unwrap().view(..).unwrap())), 507_000);
    drop(from);
    SUBMIT.store(0, Ordering::SeqCst);
    let overwritten = context.alloc_pinned_from(&[7_u8; 100]).unwrap();
    assert!(!freed(host_side) && !freed(from_side));
    gate.open().unwrap();
    stream.synchronize().unwrap();
    assert_eq!(buffer.to_vec().unwrap(), [6; 100]);
    // The stream has passed it, so it is known to be done.
    assert!(freed(host_side) && freed(from_side));
    drop((overwritten, buffer, stream, context));
    assert!(acl.finalize().unwrap());
    assert!(ascendcl_sim::live().is_empty());
}

fn a_submission_is_refused() {
    let acl = open();
    let context = acl.device(0).unwrap().create_context().unwrap();
    let stream = context.create_stream().unwrap();
    let buffer = context.alloc::<u8>(100).unwrap();
    for refusal in [100_000, 107_000, 107_002, 107_003, 107_017, 207_000, 207_001, 200_001] {
        REFUSE.store(refusal, Ordering::SeqCst);
        let pinned = context.alloc_pinned_from(&[3_u8; 100]).unwrap();
        let host_side = pinned.as_ptr() as usize;
        let rejected = stream.upload(pinned, &buffer).unwrap_err();
        assert_eq!(code::<()>(Err(rejected.error)), refusal);
        let pinned = rejected.returned.expect("nothing was submitted");
        assert_eq!((pinned[99], pinned.as_ptr() as usize), (3, host_side));
        let rejected = stream.download(&buffer, pinned).unwrap_err();
        drop(rejected);
        assert!(FREED.lock().unwrap().pop() == Some(host_side), "given back, and dropped at once");
    }
    REFUSE.store(0, Ordering::SeqCst);
    drop((buffer, stream, context));
    assert!(acl.finalize().unwrap());
    assert!(ascendcl_sim::live().is_empty());
}

fn a_blocking_call_fails() {
    let acl = open();
    let context = acl.device(0).unwrap().create_context().unwrap();
    for failure in [107_000, 507_899] {
        let buffer = context.alloc::<u8>(100).unwrap();
        let device_side = address(&buffer);
        COPY.store(failure, Ordering::SeqCst);
        assert_eq!(code(buffer.copy_from_slice(&[1; 100])), failure);
        assert_eq!(code(buffer.copy_to_slice(&mut [1; 100])), failure);
        assert_eq!(code(buffer.to_vec()), failure);
        COPY.store(0, Ordering::SeqCst);
        drop(buffer);
        assert_eq!(freed(device_side), failure == 107_000, "freed only if it is sure that nothing runs");
    }
    let model = Model::load(&context, "examples/assets/digits/digits.onnx").unwrap();
    let (inputs, outputs) = (model.create_inputs().unwrap(), model.create_outputs().unwrap());
    let sides = [&inputs, &outputs].map(|dataset| dataset.buffer(0).unwrap().as_raw() as usize);
    COPY.store(507_011, Ordering::SeqCst);
    assert_eq!(code(model.execute(&inputs, &outputs)), 507_011);
    COPY.store(0, Ordering::SeqCst);
    drop((model, inputs, outputs));
    assert!(!sides.map(freed).contains(&true));
}

/// A state is no failure: the wait has waited.
fn a_wait_answers_with_a_state() {
    let acl = open();
    let context = acl.device(0).unwrap().create_context().unwrap();
    let stream = context.create_stream().unwrap();
    let buffer = context.alloc::<u8>(100).unwrap();
    for state in [507_005, 507_023, 207_003, 207_016, 207_017] {
        stream.memset(&buffer, 1).unwrap();
        api_synchronize(&stream);
        SYNCHRONIZE.store(state, Ordering::SeqCst);
        stream.synchronize().unwrap();
        SYNCHRONIZE.store(0, Ordering::SeqCst);
    }
    // A refusal is none either: it says nothing of the work.
    SYNCHRONIZE.store(107_017, Ordering::SeqCst);
    assert_eq!(code(stream.synchronize()), 107_017);
    SYNCHRONIZE.store(0, Ordering::SeqCst);
    stream.synchronize().unwrap();
    drop((buffer, stream, context));
    assert!(acl.finalize().unwrap());
    assert!(ascendcl_sim::live().is_empty());
}

/// A state says nothing of the work: who waits goes on waiting, and memory does not come back before the copy is done.
fn a_wait_answers_with_a_state_too_early() {
    let acl = open();
    let context = acl.device(0).unwrap().create_context().unwrap();
    let stream = context.create_stream().unwrap();
    let gate = Gate::close(&stream).unwrap();
    let buffer = context.alloc_from(&[3_u8; 100]).unwrap();
    let download = stream.download(&buffer, context.alloc_pinned::<u8>(100).unwrap()).unwrap();
    SYNCHRONIZE.store(507_005, Ordering::SeqCst);
    let soon = Duration::from_millis(5);
    assert!(stream.synchronize_timeout(soon).is_err_and(|error| error.is_timeout()));
    let rejected = download.wait_timeout(soon).unwrap_err();
    assert!(rejected.error.is_timeout());
    let download = rejected.returned.expect("nothing is lost");
    let waiter = std::thread::spawn(move || download.wait());
    support::until(|| SYNCHRONIZED.load(Ordering::SeqCst) > 0);
    gate.open().unwrap();
    assert_eq!(waiter.join().unwrap().unwrap()[..], [3; 100]);
    stream.synchronize().unwrap();
    SYNCHRONIZE.store(0, Ordering::SeqCst);
    drop((buffer, stream, context));
    assert!(acl.finalize().unwrap());
    assert!(ascendcl_sim::live().is_empty());
}

/// Waits without asking the functions above.
fn api_synchronize(stream: &Stream) {
    let _entered = stream.context().enter().unwrap();
    // SAFETY: the stream is alive.
    assert_eq!(unsafe { api().aclrtSynchronizeStream.unwrap()(stream.as_raw()) }, 0);
}

/// A stream of which nothing can be learnt is given up; its closures are dropped, and nobody hangs.
fn a_stream_cannot_be_asked() {
    let acl = open();
    let context = acl.device(0).unwrap().create_context().unwrap();
    let stream = context.create_stream().unwrap();
    let gate = Gate::close(&stream).unwrap();
    let buffer = context.alloc::<u8>(100).unwrap();
    let device_side = address(&buffer);
    stream.memset(&buffer, 1).unwrap();
    drop(buffer);
    let pending = stream.launch_callback(|| ()).unwrap();
    QUERY.store(507_899, Ordering::SeqCst);
    assert_eq!(code(stream.is_idle()), 507_899);
    drop(stream);
    assert!(matches!(pending.wait(), Err(Error::Abandoned { .. })));
    QUERY.store(0, Ordering::SeqCst);
    assert!(!freed(device_side));
    gate.open().unwrap();
    assert_eq!(context.create_stream().unwrap().launch_callback(|| 2).unwrap().wait().unwrap(), 2);
    assert!(!freed(device_side));
}

/// A stream that failed and does not come to rest is given up after a while.
fn a_poisoned_stream_is_stuck() {
    let acl = open();
    let context = acl.device(0).unwrap().create_context().unwrap();
    let stream = context.create_stream().unwrap();
    let gate = Gate::close(&stream).unwrap();
    let pending = stream.launch_callback(|| ()).unwrap();
    SYNCHRONIZE.store(507_015, Ordering::SeqCst);
    assert!(stream.synchronize().is_err());
    SYNCHRONIZE.store(0, Ordering::SeqCst);
    drop(stream);
    assert!(matches!(pending.wait(), Err(Error::Abandoned { .. })));
    drop(gate);
}

/// A model whose last stream failed runs elsewhere, or says why not; nobody hangs.
fn a_model_whose_stream_failed() {
    let acl = open();
    let context = acl.device(0).unwrap().create_context().unwrap();
    let stream = context.create_stream().unwrap();
    let model = Model::load(&context, "examples/assets/digits/digits.onnx").unwrap();
    let (inputs, outputs) = (model.create_inputs().unwrap(), model.create_outputs().unwrap());
    model.execute_async(&stream, &inputs, &outputs).unwrap();
    SYNCHRONIZE.store(507_015, Ordering::SeqCst);
    assert!(stream.synchronize().is_err());
    SYNCHRONIZE.store(0, Ordering::SeqCst);
    poisoned(model.execute(&inputs, &outputs));
    let other = context.create_stream().unwrap();
    poisoned(model.execute_async(&other, &inputs, &outputs));
    // When the stream has come to rest and is gone, the model is free again.
    drop(stream);
    model.execute(&inputs, &outputs).unwrap();
    model.execute_async(&other, &inputs, &outputs).unwrap();
    other.synchronize().unwrap();
}

/// A model on a stream that was given up is not waited for: nobody will ever know.
fn a_model_whose_stream_is_lost() {
    let acl = open();
    let context = acl.device(0).unwrap().create_context().unwrap();
    let (stream, other) = (context.create_stream().unwrap(), context.create_stream().unwrap());
    let model = Model::load(&context, "examples/assets/digits/digits.onnx").unwrap();
    let (inputs, outputs) = (model.create_inputs().unwrap(), model.create_outputs().unwrap());
    model.execute_async(&stream, &inputs, &outputs).unwrap();
    QUERY.store(507_899, Ordering::SeqCst);
    drop(stream);
    QUERY.store(0, Ordering::SeqCst);
    for result in [model.execute(&inputs, &outputs), model.execute_async(&other, &inputs, &outputs)] {
        assert!(
            matches!(&result, Err(Error::Model(text)) if text.contains("load it once more")),
            "{result:?}"
        );
    }
    let again = Model::load(&context, "examples/assets/digits/digits.onnx").unwrap();
    let outputs = again.create_outputs().unwrap();
    again.execute(&again.create_inputs().unwrap(), &outputs).unwrap();
}

/// Events that cannot be destroyed, and streams: the rest goes on.
fn destructors_fail() {
    static FAILURES: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn no_event_destroyed(_: aclrtEvent) -> aclError {
        507_899
    }
    unsafe extern "C" fn no_stream_destroyed(_: aclrtStream) -> aclError {
        507_899
    }
    ascendcl::set_drop_error_hook(|error| {
        assert!(error.to_string().contains("507899"), "{error}");
        FAILURES.fetch_add(1, Ordering::SeqCst);
    });
    let table = support::table(|table| {
        table.aclrtDestroyEvent = Some(no_event_destroyed);
        table.aclrtDestroyStream = Some(no_stream_destroyed);
    });
    // SAFETY: the simulator's functions, or those above, which only refuse.
    let acl = unsafe { ascendcl::Acl::from_table(table) }.unwrap();
    let context = acl.device(0).unwrap().create_context().unwrap();
    for _ in 0..3 {
        let stream = context.create_stream().unwrap();
        let event = context.create_event().unwrap();
        stream.record(&event).unwrap();
        stream.launch_callback(|| ()).unwrap().wait().unwrap();
        drop((stream, event));
    }
    drop(context);
    assert!(acl.finalize().unwrap());
    assert_eq!(FAILURES.load(Ordering::SeqCst), 6);
}

/// Each in a process of its own: what they leak stays until its end.
macro_rules! in_children {
    ($($name:ident: $run:expr,)*) => {
        mod poison {
            $(
                #[test]
                fn $name() {
                    super::child::run(stringify!($name), &[]).success();
                }
            )*
        }

        /// What the children do. In the process of the tests it is nothing.
        #[test]
        fn child() {
            let Some(role) = child::role() else { return };
            match role.as_str() {
                $(stringify!($name) => $run(),)*
                other => panic!("{other}"),
            }
        }
    };
}

in_children! {
    synchronize: || a_wait_fails(Stream::synchronize),
    synchronize_timeout: || a_wait_fails(|stream| stream.synchronize_timeout(Duration::from_secs(1))),
    context_streams: a_wait_for_the_context_fails,
    primary: a_wait_for_the_primary_context_fails,
    overlapping: waits_overlap_and_one_is_told,
    locking_closure: a_closure_that_locks_when_it_is_dropped,
    dropped: a_dropped_stream_fails,
    question: a_question_is_told,
    behind_another: a_wait_behind_another_runs_out_of_time,
    transfer: a_transfer_waits_and_fails,
    device_wait: a_wait_on_the_device_takes_too_long,
    submitted: a_submission_fails_after_it_was_submitted,
    refused: a_submission_is_refused,
    blocking: a_blocking_call_fails,
    states: a_wait_answers_with_a_state,
    early_states: a_wait_answers_with_a_state_too_early,
    unknown: a_stream_cannot_be_asked,
    stuck: a_poisoned_stream_is_stuck,
    model: a_model_whose_stream_failed,
    lost_model: a_model_whose_stream_is_lost,
    destructors: destructors_fail,
}
