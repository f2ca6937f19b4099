//! The neighbour makes other contexts current: between our calls, inside our guards, inside callbacks.

use crate::{
    Neighbour, c, current,
    support::{Target, TestResult},
};
use ascendcl::{Context, Device, Stream};
use std::{ptr, thread};

/// A context of the neighbour's own on a device, which is current afterwards.
fn context_of(neighbour: &Neighbour, device: i32) -> ascendcl::sys::aclrtContext {
    let mut context = ptr::null_mut();
    assert_eq!(c!(neighbour, aclrtCreateContext(&mut context, device)), 0);
    assert_eq!(current(neighbour), context);
    context
}

/// All kinds of calls on device 0, each after the neighbour has had `disturb` its way.
fn calls(context: &Context, stream: &Stream, disturb: impl Fn()) -> ascendcl::Result<()> {
    let disturbed = || {
        disturb();
        context
    };
    let buffer = disturbed().alloc_from(&[1_u8, 2, 3])?;
    assert_eq!(buffer.context().device().id(), 0);
    let pinned = disturbed().alloc_pinned(3)?;
    disturb();
    let download = stream.download(&buffer, pinned)?;
    let event = disturbed().create_event()?;
    disturb();
    stream.record(&event)?;
    disturb();
    event.synchronize()?;
    disturb();
    assert_eq!(download.wait()?[..], [1, 2, 3]);
    disturb();
    stream.memset(&buffer, 7)?;
    disturb();
    assert_eq!(stream.launch_callback(|| 4)?.wait()?, 4);
    disturb();
    assert_eq!(buffer.to_vec()?, [7; 3]);
    let other = disturbed().create_stream()?;
    disturb();
    other.wait(&event)?;
    disturb();
    other.synchronize()?;
    disturb();
    drop(other);
    disturb();
    drop((buffer, event));
    disturb();
    stream.synchronize()
}

pub fn changed_between_calls(target: Target) -> TestResult {
    let neighbour = Neighbour::of(target);
    let acl = target.open()?;
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let theirs = [context_of(&neighbour, 1), context_of(&neighbour, 0)];
    for theirs in theirs {
        calls(&context, &stream, || assert_eq!(c!(neighbour, aclrtSetCurrentContext(theirs)), 0))?;
    }
    calls(&context, &stream, || assert_eq!(c!(neighbour, aclrtSetDevice(2)), 0))?;
    for theirs in theirs {
        assert_eq!(c!(neighbour, aclrtDestroyContext(theirs)), 0);
    }
    assert_eq!(c!(neighbour, aclrtResetDeviceForce(2)), 0);
    drop((stream, context));
    assert!(acl.finalize()?);
    Ok(())
}

/// Runs it in a thread where a context of the neighbour is current, which must be so afterwards too.
fn puts_back<T: Send>(neighbour: &Neighbour, what: &str, action: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let theirs = context_of(neighbour, 1);
            let result = action();
            assert_eq!(current(neighbour), theirs, "{what} left another context current");
            assert_eq!(c!(neighbour, aclrtDestroyContext(theirs)), 0);
            result
        });
        thread.join().unwrap()
    })
}

/// As the documentation of the current context promises.
pub fn constructors_and_destructors_put_back(target: Target) -> TestResult {
    let neighbour = &Neighbour::of(target);
    let acl = target.open()?;
    let device: Device = puts_back(neighbour, "Acl::device", || acl.device(0))?;
    let context: Context = puts_back(neighbour, "Device::create_context", || device.create_context())?;
    puts_back(neighbour, "Device::memory_info", || device.memory_info())?;
    puts_back(neighbour, "Device::synchronize", || device.synchronize())?;
    puts_back(neighbour, "Context::enter", || context.enter().map(drop))?;
    puts_back(neighbour, "guards", || {
        let other = device.create_context().unwrap();
        let outer = context.enter().unwrap();
        let inner = other.enter().unwrap();
        drop(inner);
        drop(outer);
        drop(other);
    });
    let model = ascendcl::Model::load(&context, "examples/assets/digits/digits.onnx")?;
    let stream = context.create_stream()?;
    stream.launch_callback(|| ())?.wait()?;
    let busy = context.create_stream()?;
    let buffer = context.alloc::<u8>(8)?;
    busy.memset(&buffer, 3)?;
    let things: Vec<(&str, Box<dyn Send>)> = vec![
        ("an event", Box::new(context.create_event()?)),
        ("a dataset", Box::new(model.create_inputs()?)),
        ("a model", Box::new(model)),
        ("a buffer", Box::new(buffer)),
        ("pinned memory", Box::new(context.alloc_pinned::<u8>(8)?)),
        ("a transfer", Box::new(stream.upload(context.alloc_pinned(8)?, &*context.alloc::<u8>(8)?)?)),
        ("a busy stream", Box::new(busy)),
        ("a stream", Box::new(stream)),
        ("a context", Box::new(context)),
        ("a device", Box::new(device)),
    ];
    for (what, thing) in things {
        puts_back(neighbour, what, || drop(thing));
    }
    assert!(acl.finalize()?);
    Ok(())
}

/// The documentation forbids it; the worst are errors.
pub fn changed_inside_a_guard(target: Target) -> TestResult {
    let neighbour = Neighbour::of(target);
    let acl = target.open()?;
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let theirs = context_of(&neighbour, 1);
    let entered = context.enter()?;
    let change = || assert_eq!(c!(neighbour, aclrtSetCurrentContext(theirs)), 0);
    change();
    // What is made is made where it should be: that is looked at.
    let buffer = context.alloc::<u8>(100)?;
    let free = acl.device(1)?.memory_info()?.free;
    change();
    let large = context.alloc::<u8>(64 << 20)?;
    assert_eq!(acl.device(1)?.memory_info()?.free, free, "nothing was taken from device 1");
    change();
    let event = context.create_event()?;
    change();
    let late = context.create_stream()?;
    for _ in 0..3 {
        change();
        for result in [
            stream.record(&event),
            stream.memset(&buffer, 1),
            late.synchronize(),
            buffer.memset(2),
            event.synchronize(),
        ] {
            if let Err(error) = result {
                assert!(error.code().is_some_and(|code| crate::is_typed(code.0)), "{error:?}");
            }
        }
        change();
        drop(stream.launch_callback(|| ()));
    }
    drop((large, late));
    drop(entered);
    assert_eq!(current(&neighbour), theirs, "the guard has put back what it found");
    calls(&context, &stream, change)?;
    assert_eq!(c!(neighbour, aclrtDestroyContext(theirs)), 0);
    drop((buffer, event, stream, context));
    assert!(acl.finalize()?);
    Ok(())
}

pub fn changed_inside_a_callback(target: Target) -> TestResult {
    let acl = target.open()?;
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    for _ in 0..3 {
        let neighbour = Neighbour::of(target);
        let theirs = stream.launch_callback(move || context_of(&neighbour, 1).expose_provenance())?.wait()?;
        assert_eq!(stream.launch_callback(|| 2)?.wait()?, 2, "reports come whatever is current");
        let neighbour = Neighbour::of(target);
        let answer = stream.launch_callback(move || {
            let set = c!(neighbour, aclrtSetDevice(2));
            let destroyed = c!(neighbour, aclrtDestroyContext(ptr::with_exposed_provenance_mut(theirs)));
            (set, destroyed, c!(neighbour, aclrtResetDevice(2)))
        })?;
        assert_eq!(answer.wait()?, (0, 0, 0));
        // Nothing is current in the report thread now. A callback that takes its time is looked for there, and is not lost.
        let gate = crate::support::Gate::close(&stream)?;
        let late = stream.launch_callback(|| 3)?;
        thread::sleep(std::time::Duration::from_millis(3500));
        assert!(!late.is_finished());
        gate.open()?;
        assert_eq!(late.wait()?, 3);
    }
    drop((stream, context));
    assert!(acl.finalize()?);
    Ok(())
}

pub fn destroyed_while_current(target: Target) -> TestResult {
    let neighbour = &Neighbour::of(target);
    let acl = target.open()?;
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    // What a guard is to put back is destroyed before, and so is what is current when something is dropped.
    let theirs = context_of(neighbour, 1);
    let entered = context.enter()?;
    assert_eq!(c!(neighbour, aclrtDestroyContext(theirs)), 0);
    drop(entered);
    calls(&context, &stream, || {
        let theirs = context_of(neighbour, 1);
        assert_eq!(c!(neighbour, aclrtDestroyContext(theirs)), 0);
    })?;
    // From another thread.
    let theirs = crate::support::Raw(context_of(neighbour, 1));
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(c!(neighbour, aclrtDestroyContext(theirs.get())), 0);
        });
    });
    drop(context.create_event()?);
    calls(&context, &stream, || ())?;
    drop((stream, context));
    assert!(acl.finalize()?);
    Ok(())
}

pub fn changed_by_many_threads(target: Target) -> TestResult {
    let neighbour = &Neighbour::of(target);
    let acl = target.open()?;
    let context = acl.device(0)?.create_context()?;
    let theirs = crate::support::Raw(context_of(neighbour, 3));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let stream = context.create_stream().unwrap();
                for _ in 0..20 {
                    calls(&context, &stream, || {
                        assert_eq!(c!(neighbour, aclrtSetCurrentContext(theirs.get())), 0);
                    })
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(c!(neighbour, aclrtDestroyContext(theirs.get())), 0);
    drop(context);
    assert!(acl.finalize()?);
    Ok(())
}
