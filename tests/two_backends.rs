//! Two backends in one process: the embedded simulator and its cdylib, which know nothing of each other. Handles are not mixed, each
//! has current contexts, report threads and an end of its own.

mod support;

use ascendcl::{
    Acl, Context, Dataset, DeviceBuffer, Error, Event, EventFlags, Model, Result, Stream, sys::aclrtContext,
};
use std::{ptr, thread, time::Duration};
use support::{Target, TestResult, child};

macro_rules! cases {
    ($($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                child::run(stringify!($case), &[]).success();
            }
        )*

        /// What the children do. In the process of the tests it is nothing.
        #[test]
        fn child() {
            let Some(role) = child::role() else { return };
            let result = match role.as_str() {
                $(stringify!($case) => role::$case(),)*
                other => panic!("{other}"),
            };
            result.unwrap_or_else(|error| panic!("{error:?}"));
        }
    };
}

cases! {
    handles_are_not_mixed
    each_thread_has_a_context_of_each
    threads_use_both_in_turns
    callbacks_of_one_use_handles_of_the_other
    one_ends_and_the_other_goes_on
    one_is_finalised_inside_a_guard_of_the_other
    a_table_over_the_same_library_is_another_backend
}

/// One of everything on a backend.
struct Set {
    context: Context,
    stream: Stream,
    event: Event,
    timed: Event,
    flagged: Event,
    buffer: DeviceBuffer<u8>,
    model: Model,
    inputs: Dataset,
    outputs: Dataset,
}

fn set(acl: &Acl) -> Result<Set> {
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let [event, timed] = [context.create_event()?, context.create_event()?];
    stream.record(&event)?;
    stream.record(&timed)?;
    stream.synchronize()?;
    let model = Model::load(&context, "examples/assets/digits/digits.onnx")?;
    Ok(Set {
        flagged: context.create_event_with_flags(EventFlags::SYNC)?,
        buffer: context.alloc(256)?,
        inputs: model.create_inputs()?,
        outputs: model.create_outputs()?,
        model,
        context,
        stream,
        event,
        timed,
    })
}

/// Every function that takes a second handle, given one of `other`.
fn mix(own: &Set, other: &Set) -> Vec<(&'static str, Result<()>)> {
    let (stream, device) = (&own.stream, own.context.device());
    let peer = other.context.device();
    let pinned = || other.context.alloc_pinned::<u8>(256).unwrap();
    let own_pinned = || own.context.alloc_pinned::<u8>(256).unwrap();
    vec![
        ("record", stream.record(&other.event)),
        ("wait", stream.wait(&other.event)),
        ("wait_timeout", stream.wait_timeout(&other.event, Duration::from_secs(1))),
        ("reset", stream.reset(&other.flagged)),
        ("elapsed_since", own.event.elapsed_since(&other.timed).map(drop)),
        ("millis_since", own.event.millis_since(&other.timed).map(drop)),
        ("copy_from", own.buffer.copy_from(&other.buffer)),
        ("copy to", stream.copy(&own.buffer, &other.buffer)),
        ("copy from", stream.copy(&other.buffer, &own.buffer)),
        ("copy of another", stream.copy(&other.buffer, &other.buffer)),
        ("memset", stream.memset(&other.buffer, 1)),
        ("upload from", stream.upload(pinned(), &own.buffer).map(drop).map_err(Error::from)),
        ("upload to", stream.upload(own_pinned(), &other.buffer).map(drop).map_err(Error::from)),
        ("upload of another", stream.upload(pinned(), &other.buffer).map(drop).map_err(Error::from)),
        ("download to", stream.download(&own.buffer, pinned()).map(drop).map_err(Error::from)),
        ("download from", stream.download(&other.buffer, own_pinned()).map(drop).map_err(Error::from)),
        ("Dataset::new", Dataset::new(&own.context, [other.buffer.as_bytes()]).map(drop)),
        ("execute inputs", own.model.execute(&other.inputs, &own.outputs)),
        ("execute outputs", own.model.execute(&own.inputs, &other.outputs)),
        ("execute_async stream", own.model.execute_async(&other.stream, &own.inputs, &own.outputs)),
        ("execute_async inputs", own.model.execute_async(stream, &other.inputs, &own.outputs)),
        ("execute_async outputs", own.model.execute_async(stream, &own.inputs, &other.outputs)),
        ("can_access_peer", device.can_access_peer(peer).map(drop)),
        ("enable_peer_access", device.enable_peer_access(peer)),
        ("disable_peer_access", device.disable_peer_access(peer)),
    ]
}

/// What is current, as the backend itself sees it; null if nothing is.
fn current(acl: &Acl) -> aclrtContext {
    let mut context = ptr::null_mut();
    // SAFETY: a valid place for the answer.
    match unsafe { acl.raw().aclrtGetCurrentContext.unwrap()(&mut context) } {
        0 => context,
        _ => ptr::null_mut(),
    }
}

fn work(stream: &Stream, number: u8) -> Result<()> {
    let context = stream.context();
    let buffer = context.alloc::<u8>(100)?;
    let upload = stream.upload(context.alloc_pinned_from(&[number; 100])?, &buffer)?;
    let download = stream.download(&buffer, context.alloc_pinned(100)?)?;
    let seen = stream.launch_callback(move || download.wait().map(|values| values[99]))?;
    assert_eq!(seen.wait()??, number);
    upload.wait().map(drop)
}

fn finish(acl: Acl) -> TestResult {
    assert!(acl.finalize()?, "it was initialised here");
    Ok(())
}

mod role {
    use super::*;

    fn both() -> Result<[Acl; 2]> {
        Ok([Target::Embedded.open()?, Target::Cdylib.open()?])
    }

    pub fn handles_are_not_mixed() -> TestResult {
        let [a, b] = both()?;
        let [first, second] = [set(&a)?, set(&b)?];
        for (own, other) in [(&first, &second), (&second, &first)] {
            for (what, result) in mix(own, other) {
                assert!(matches!(result, Err(Error::Mismatch { .. })), "{what}: {result:?}");
            }
            // Nothing of it has reached a backend.
            own.stream.synchronize()?;
        }
        // The same numbers and the same kinds, and yet others.
        assert_ne!(first.context, second.context);
        assert_ne!(first.context.device(), second.context.device());
        assert_ne!(first.stream, second.stream);
        drop((first, second));
        finish(a)?;
        finish(b)
    }

    pub fn each_thread_has_a_context_of_each() -> TestResult {
        let [a, b] = both()?;
        let [first, second] = [a.device(0)?.create_context()?, b.device(0)?.create_context()?];
        let [one, two] = [first.create_stream()?, second.create_stream()?];
        assert_eq!((current(&a), current(&b)), (first.as_raw(), second.as_raw()));
        let outer = first.enter()?;
        work(&one, 1)?;
        work(&two, 2)?;
        let inner = second.enter()?;
        for _ in 0..10 {
            work(&one, 3)?;
            work(&two, 4)?;
            assert_eq!((current(&a), current(&b)), (first.as_raw(), second.as_raw()));
        }
        // A guard of the one says nothing of the other, in which nothing is current here yet.
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let _entered = first.enter()?;
                two.record(&second.create_event()?)?;
                two.synchronize()
            });
            let fresh = scope.spawn(|| {
                let _entered = first.enter()?;
                two.synchronize_timeout(Duration::from_secs(10))?;
                second.synchronize()
            });
            thread.join().unwrap().and(fresh.join().unwrap())
        })?;
        // In any order: each puts back what its own backend had.
        drop(outer);
        work(&one, 5)?;
        work(&two, 6)?;
        drop(inner);
        work(&one, 7)?;
        work(&two, 8)?;
        assert_eq!((current(&a), current(&b)), (first.as_raw(), second.as_raw()));
        drop((one, two, first, second));
        finish(b)?;
        finish(a)
    }

    pub fn threads_use_both_in_turns() -> TestResult {
        let [a, b] = both()?;
        let contexts = [a.device(0)?.create_context()?, b.device(0)?.create_context()?];
        thread::scope(|scope| {
            for thread in 0..4_u8 {
                let contexts = &contexts;
                scope.spawn(move || {
                    let streams = [0, 1].map(|index| contexts[index].create_stream().unwrap());
                    for round in 0..20_u8 {
                        let turn = usize::from(thread + round) % 2;
                        let entered = contexts[turn].enter().unwrap();
                        work(&streams[1 - turn], round).unwrap();
                        work(&streams[turn], thread).unwrap();
                        drop(entered);
                    }
                });
            }
        });
        drop(contexts);
        finish(a)?;
        finish(b)
    }

    pub fn callbacks_of_one_use_handles_of_the_other() -> TestResult {
        let [a, b] = both()?;
        let [first, second] = [set(&a)?, set(&b)?];
        // A callback must not wait for any backend, and what it drops is released elsewhere.
        let stream = second.stream.clone();
        let refused = first.stream.launch_callback(move || {
            let refused = stream.synchronize();
            drop(second);
            refused
        })?;
        assert!(matches!(refused.wait()?, Err(Error::InCallback { .. })));
        drop(first);
        finish(b)?;
        finish(a)
    }

    pub fn one_ends_and_the_other_goes_on() -> TestResult {
        for first_ends in [true, false, true, false] {
            let [a, b] = both()?;
            let (ending, staying) = if first_ends { (a, b) } else { (b, a) };
            let stream = staying.device(0)?.create_context()?.create_stream()?;
            let gate = support::HostGate::close(&stream)?;
            // Left to the thread that releases, together with what the other one has.
            let dropped = ending.device(0)?.create_context()?.create_stream()?;
            drop(dropped.launch_callback(|| ())?);
            drop(dropped);
            finish(ending)?;
            gate.open().wait()?;
            work(&stream, 9)?;
            drop(stream);
            finish(staying)?;
        }
        Ok(())
    }

    pub fn one_is_finalised_inside_a_guard_of_the_other() -> TestResult {
        let [a, b] = both()?;
        let context = a.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let entered = context.enter()?;
        work(&b.device(1)?.create_context()?.create_stream()?, 1)?;
        finish(b)?;
        work(&stream, 2)?;
        // Again, in the same guard: no context of the first time is taken for one of the second.
        let b = Target::Cdylib.open()?;
        work(&b.device(1)?.create_context()?.create_stream()?, 3)?;
        work(&stream, 4)?;
        drop(entered);
        drop((stream, context));
        finish(a)?;
        finish(b)
    }

    pub fn a_table_over_the_same_library_is_another_backend() -> TestResult {
        let a = Target::Embedded.open()?;
        // SAFETY: the simulator's own functions.
        let b = unsafe { Acl::from_table(support::table(|_| ())) }?;
        let [first, second] = [set(&a)?, set(&b)?];
        for (what, result) in mix(&first, &second) {
            assert!(matches!(result, Err(Error::Mismatch { .. })), "{what}: {result:?}");
        }
        work(&first.stream, 1)?;
        work(&second.stream, 2)?;
        drop((first, second));
        assert!(!b.finalize()?, "the other one was first");
        assert_eq!(a.device_count()?, 4);
        finish(a)
    }
}
