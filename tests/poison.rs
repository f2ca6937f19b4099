//! Devices that fail: nothing that they may still be using is freed, nothing hangs, and what is not concerned goes on.

mod support;

use ascendcl::{
    CallbackMode, DeviceBuffer, Error, Model, Result, Stream,
    sys::{self, aclError, aclmdlDataset, aclrtEvent, aclrtMemcpyKind, aclrtStream, aclrtStreamStatus},
};
use ascendcl_sim::api;
use std::{
    ffi::c_void,
    sync::{
        Mutex,
        atomic::{AtomicI32, AtomicUsize, Ordering},
    },
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

unsafe extern "C" fn synchronize(stream: aclrtStream) -> aclError {
    // SAFETY: the caller's contract, handed on.
    ordered(&SYNCHRONIZE).unwrap_or_else(|| unsafe { api().aclrtSynchronizeStream.unwrap()(stream) })
}

unsafe extern "C" fn synchronize_timeout(stream: aclrtStream, timeout: i32) -> aclError {
    // SAFETY: the caller's contract, handed on.
    ordered(&SYNCHRONIZE)
        .unwrap_or_else(|| unsafe { api().aclrtSynchronizeStreamWithTimeout.unwrap()(stream, timeout) })
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
    assert!(matches!(pending.wait(), Err(Error::Abandoned)));
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
    assert!(matches!(pending.wait(), Err(Error::Abandoned)));
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
    transfer: a_transfer_waits_and_fails,
    submitted: a_submission_fails_after_it_was_submitted,
    refused: a_submission_is_refused,
    blocking: a_blocking_call_fails,
    states: a_wait_answers_with_a_state,
    unknown: a_stream_cannot_be_asked,
    stuck: a_poisoned_stream_is_stuck,
    model: a_model_whose_stream_failed,
    destructors: destructors_fail,
}
