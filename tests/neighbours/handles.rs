//! The neighbour gets at our handles through `as_raw`, and destroys, subscribes or changes them. Who does that breaks a contract; what is
//! ours stays on its feet all the same.

use crate::{
    Neighbour, c,
    ours::{Failures, Fates, Ours},
    support::{Gate, Target, TestResult, code, kind},
};
use ascendcl::{Error, ErrorKind, EventFlags, Model};
use std::{ffi::c_void, ptr, sync::atomic::Ordering, time::Duration};

const SHORT: Duration = Duration::from_millis(50);

pub fn stream_destroyed(target: Target) -> TestResult {
    let (neighbour, failures) = (Neighbour::of(target), Failures::watch());
    let acl = target.open()?;
    let mut ours = Ours::new(acl.device(0)?.create_context()?)?;
    assert_eq!(c!(neighbour, aclrtDestroyStreamForce(ours.stream.as_raw())), 0);
    // The other streams of the context go on.
    ours.gate.take().unwrap().open()?;
    ours.launched -= 1;
    let mut dropped = 0;
    for (what, result) in ours.ended() {
        match (what, result) {
            ("Callback::wait" | "Callback::await", result) => {
                assert!(matches!(result, Err(Error::Abandoned { .. })), "{what}: {result:?}");
                dropped += 1;
            }
            ("Callback::wait of a dropped stream", result) => assert!(result.is_ok(), "{result:?}"),
            ("Transfer::await", result) => assert!(result.is_err()),
            (what, result) => println!("{what}: {result:?}"),
        }
    }
    assert_eq!(dropped, 2);
    assert_eq!(ours.fates.ran.load(Ordering::SeqCst), 1, "that of the other stream");
    ours.stream_is_dead();
    let other = ours.context.create_stream()?;
    assert_eq!(other.launch_callback(|| 3)?.wait()?, 3);
    drop((ours, other));
    assert!(!failures.list().is_empty());
    drop(acl);
    Ok(())
}

/// The report thread is subscribed still, by the streams that are left: ACL never says that something is wrong.
pub fn one_stream_of_several_destroyed(target: Target) -> TestResult {
    let neighbour = Neighbour::of(target);
    let context = target.open()?.device(0)?.create_context()?;
    let [first, second] = [context.create_stream()?, context.create_stream()?];
    let gate = Gate::close(&first)?;
    gate.also(&second)?;
    let fates = Fates::default();
    let lost = first.launch_callback(fates.closure())?;
    let late = second.launch_callback(|| 8)?;
    assert_eq!(c!(neighbour, aclrtDestroyStreamForce(first.as_raw())), 0);
    assert!(matches!(lost.wait(), Err(Error::Abandoned { .. })));
    assert_eq!((fates.ran.load(Ordering::SeqCst), fates.dropped.load(Ordering::SeqCst)), (0, 1));
    gate.open()?;
    assert_eq!(late.wait()?, 8);
    Ok(())
}

pub fn unsubscribed(target: Target) -> TestResult {
    let neighbour = Neighbour::of(target);
    let acl = target.open()?;
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    // SAFETY: the function takes nothing and cannot fail.
    let thread = stream.launch_callback(|| unsafe { libc::pthread_self() } as u64)?.wait()?;
    let gate = Gate::close(&stream)?;
    let fates = Fates::default();
    let callback = stream.launch_callback(fates.closure())?;
    let raw = stream.as_raw();
    assert_eq!(c!(neighbour, aclrtUnSubscribeReport(thread, raw)), 0);
    gate.open()?;
    assert!(matches!(callback.wait(), Err(Error::Abandoned { .. })));
    assert_eq!((fates.ran.load(Ordering::SeqCst), fates.dropped.load(Ordering::SeqCst)), (0, 1));
    // The stream waits for that callback for ever: so must nobody for the stream.
    assert!(matches!(stream.synchronize(), Err(Error::Poisoned { .. })));
    assert!(matches!(stream.launch_callback(|| ()), Err(Error::Poisoned { .. })));
    let other = context.create_stream()?;
    assert_eq!(other.launch_callback(|| 3)?.wait()?, 3);
    drop((stream, other, context));
    if let Err(error) = acl.finalize() {
        assert!(matches!(error, Error::InUse { .. }), "{error:?}");
    }
    Ok(())
}

pub fn subscribed_before_us(target: Target) -> TestResult {
    let neighbour = Neighbour::of(target);
    let acl = target.open()?;
    let stream = acl.device(0)?.create_context()?.create_stream()?;
    // SAFETY: the function takes nothing and cannot fail.
    let thread = unsafe { libc::pthread_self() } as u64;
    let raw = stream.as_raw();
    assert_eq!(c!(neighbour, aclrtSubscribeReport(thread, raw)), 0);
    let fates = Fates::default();
    let refused = stream.launch_callback(fates.closure());
    assert_eq!(kind(refused.map(drop)), ErrorKind::AlreadyDone);
    assert_eq!((fates.ran.load(Ordering::SeqCst), fates.dropped.load(Ordering::SeqCst)), (0, 1));
    // The rest of the stream works, and callbacks do as soon as they may.
    stream.synchronize()?;
    assert_eq!(c!(neighbour, aclrtUnSubscribeReport(thread, raw)), 0);
    assert_eq!(stream.launch_callback(|| 6)?.wait()?, 6);
    drop(stream);
    assert!(acl.finalize()?);
    Ok(())
}

pub fn event_destroyed(target: Target) -> TestResult {
    let (neighbour, failures) = (Neighbour::of(target), Failures::watch());
    let acl = target.open()?;
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    for flags in [None, Some(EventFlags::SYNC | EventFlags::TIME_LINE)] {
        let event = match flags {
            None => context.create_event()?,
            Some(flags) => context.create_event_with_flags(flags)?,
        };
        let gate = Gate::close(&stream)?;
        stream.record(&event)?;
        stream.wait(&event)?;
        assert_eq!(c!(neighbour, aclrtDestroyEvent(event.as_raw())), 0);
        gate.open()?;
        stream.synchronize()?;
        for (what, answer) in [
            ("record", code(stream.record(&event))),
            ("wait", code(stream.wait(&event))),
            ("query", code(event.query())),
            ("synchronize", code(event.synchronize())),
            ("synchronize_timeout", code(event.synchronize_timeout(SHORT))),
            ("timestamp", code(event.timestamp())),
        ] {
            assert!(crate::is_typed(answer), "{what}: {answer}");
        }
        drop(event);
    }
    assert_eq!(failures.list().len(), 2, "{:?}", failures.list());
    assert_eq!(stream.launch_callback(|| 6)?.wait()?, 6);
    drop((stream, context));
    assert!(acl.finalize()?);
    Ok(())
}

pub fn memory_freed(target: Target) -> TestResult {
    let (neighbour, failures) = (Neighbour::of(target), Failures::watch());
    let acl = target.open()?;
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let buffer = context.alloc::<u8>(1000)?;
    assert_eq!(c!(neighbour, aclrtFree(buffer.as_raw())), 0);
    assert!(crate::is_typed(code(buffer.memset(1))));
    assert!(crate::is_typed(code(buffer.to_vec())));
    assert!(crate::is_typed(code(stream.memset(&buffer, 1))));
    drop(buffer);
    assert_eq!(failures.list().len(), 1, "{:?}", failures.list());
    stream.synchronize()?;
    drop((stream, context));
    assert!(acl.finalize()?);
    Ok(())
}

pub fn model_unloaded(target: Target) -> TestResult {
    let (neighbour, failures) = (Neighbour::of(target), Failures::watch());
    let acl = target.open()?;
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let model = Model::load(&context, "examples/assets/digits/digits.onnx")?;
    let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
    model.execute_async(&stream, &inputs, &outputs)?;
    stream.synchronize()?;
    assert_eq!(c!(neighbour, aclmdlUnload(model.as_raw())), 0);
    assert!(crate::is_typed(code(model.execute_async(&stream, &inputs, &outputs))));
    drop((model, inputs, outputs));
    stream.synchronize()?;
    assert_eq!(stream.launch_callback(|| 6)?.wait()?, 6);
    drop((stream, context));
    // The stream was an owner of the model too, and may have been left to the thread that releases.
    assert!(acl.finalize()?);
    assert_eq!(failures.list().len(), 1, "{:?}", failures.list());
    // After a blocking execution that failed nobody knows what still runs: the model stays, and holds its context.
    let acl = target.open()?;
    let context = acl.device(0)?.create_context()?;
    let model = Model::load(&context, "examples/assets/digits/digits.onnx")?;
    let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
    assert_eq!(c!(neighbour, aclmdlUnload(model.as_raw())), 0);
    assert!(crate::is_typed(code(model.execute(&inputs, &outputs))));
    drop((model, inputs, outputs, context));
    assert!(matches!(acl.finalize(), Err(Error::InUse { .. })));
    Ok(())
}

pub fn observers_and_allocators(target: Target) -> TestResult {
    unsafe extern "C" fn told(_: *mut ascendcl::sys::aclrtExceptionInfo) {}
    unsafe extern "C" fn alloc(_: *mut c_void, _: usize) -> *mut c_void {
        ptr::null_mut()
    }
    unsafe extern "C" fn advise(_: *mut c_void, _: usize, _: *mut c_void) -> *mut c_void {
        ptr::null_mut()
    }
    unsafe extern "C" fn address(block: *mut c_void) -> *mut c_void {
        block
    }
    unsafe extern "C" fn free(_: *mut c_void, _: *mut c_void) {}
    let neighbour = Neighbour::of(target);
    let acl = target.open()?;
    let context = acl.device(0)?.create_context()?;
    let mut ours = Ours::new(context.clone())?;
    assert_eq!(c!(neighbour, aclrtSetExceptionInfoCallback(Some(told))), 0);
    let raw = ours.stream.as_raw();
    let allocator = c!(neighbour, aclrtAllocatorCreateDesc());
    assert!(!allocator.is_null());
    for (what, answer) in [
        ("object", c!(neighbour, aclrtAllocatorSetObjToDesc(allocator, raw))),
        ("alloc", c!(neighbour, aclrtAllocatorSetAllocFuncToDesc(allocator, Some(alloc)))),
        ("free", c!(neighbour, aclrtAllocatorSetFreeFuncToDesc(allocator, Some(free)))),
        ("advise", c!(neighbour, aclrtAllocatorSetAllocAdviseFuncToDesc(allocator, Some(advise)))),
        ("address", c!(neighbour, aclrtAllocatorSetGetAddrFromBlockFuncToDesc(allocator, Some(address)))),
        ("register", c!(neighbour, aclrtAllocatorRegister(raw, allocator))),
    ] {
        assert_eq!(answer, 0, "{what}");
    }
    ours.goes_on()?;
    drop((ours, context));
    assert_eq!(c!(neighbour, aclrtAllocatorDestroyDesc(allocator)), 0);
    assert_eq!(c!(neighbour, aclrtSetExceptionInfoCallback(None)), 0);
    assert!(acl.finalize()?);
    Ok(())
}
