//! The current context: bound by itself, put back by constructors and destructors, and entered for hot loops.

mod support;

use ascendcl::{Acl, Context, Error, ErrorKind, Event, Stream};
use std::{ffi::c_void, ptr, sync::mpsc, thread};
use support::{Raw, kind};

/// What is current in this thread, as ACL says; null if nothing is.
fn current(acl: &Acl) -> *mut c_void {
    let mut raw = ptr::null_mut();
    // SAFETY: a valid place for the answer.
    match unsafe { acl.raw().aclrtGetCurrentContext.unwrap()(&mut raw) } {
        0 => raw,
        107_002 => ptr::null_mut(),
        other => panic!("{other}"),
    }
}

/// What C code of the program does behind this crate's back.
fn set_current(context: &Context) {
    let set = context.device().acl().raw().aclrtSetCurrentContext.unwrap();
    // SAFETY: the context is alive.
    assert_eq!(unsafe { set(context.as_raw()) }, 0);
}

/// Runs in a thread that has no context yet.
fn in_fresh_thread<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}

backend_test! {
    fn every_call_works_in_a_fresh_thread(acl) {
        let device = acl.device(0)?;
        let context = device.create_context()?;
        let stream = context.create_stream()?;
        let (start, end) = (context.create_event()?, context.create_event()?);
        let buffer = context.alloc_from(&[1_u32, 2, 3])?;
        stream.record(&start)?;
        stream.record(&end)?;
        let fresh = |check: &(dyn Fn() -> ascendcl::Result<()> + Sync)| in_fresh_thread(|| {
            assert!(current(acl).is_null());
            check().unwrap();
        });
        fresh(&|| stream.synchronize());
        fresh(&|| stream.synchronize_timeout(std::time::Duration::from_secs(10)));
        fresh(&|| stream.is_idle().map(drop));
        fresh(&|| stream.record(&end));
        fresh(&|| stream.wait(&start));
        fresh(&|| stream.id().map(drop));
        fresh(&|| start.query().map(drop));
        fresh(&|| start.synchronize());
        fresh(&|| start.timestamp().map(drop));
        fresh(&|| start.waits_are_over().map(drop));
        fresh(&|| context.synchronize());
        fresh(&|| context.create_event().map(drop));
        fresh(&|| context.create_stream().map(drop));
        fresh(&|| context.alloc::<u8>(100).map(drop));
        fresh(&|| context.alloc_pinned::<u8>(100).map(drop));
        fresh(&|| buffer.to_vec().map(drop));
        fresh(&|| buffer.memset(0));
        fresh(&|| stream.memset(&buffer, 7));
        fresh(&|| stream.launch_callback(|| ())?.wait());
        fresh(&|| device.memory_info().map(drop));
        fresh(&|| device.synchronize());
        fresh(&|| device.create_context().map(drop));
        fresh(&|| context.enter().map(drop));
        fresh(&|| acl.device(0).map(drop));
    }
}

backend_test! {
    fn constructors_and_destructors_put_back_what_was_current(acl) {
        let device = acl.device(0)?;
        let (mine, other) = (device.create_context()?, device.create_context()?);
        let (mine, other) = (&mine, &other);
        in_fresh_thread(|| {
            set_current(mine);
            let unchanged = || assert_eq!(current(acl), mine.as_raw());
            let stream = in_fresh_thread(|| other.create_stream().unwrap());
            let event = in_fresh_thread(|| other.create_event().unwrap());
            let buffer = in_fresh_thread(|| other.alloc::<u8>(8).unwrap());
            let pinned = in_fresh_thread(|| other.alloc_pinned::<u8>(8).unwrap());
            let second = acl.device(0).unwrap();
            unchanged();
            let third = second.create_context().unwrap();
            unchanged();
            second.memory_info().unwrap();
            unchanged();
            second.synchronize().unwrap();
            unchanged();
            drop(event);
            unchanged();
            drop(buffer);
            unchanged();
            drop(pinned);
            unchanged();
            drop(stream);
            unchanged();
            drop(third);
            unchanged();
            drop(second);
            unchanged();
            let failed = acl.device(9999).unwrap_err();
            unchanged();
            assert_eq!(kind(Err::<(), _>(failed)), ErrorKind::NoDevice);
        });
    }
}

backend_test! {
    fn entering_nests(acl) {
        let device = acl.device(0)?;
        let [a, b, c] = [(); 3].map(|()| device.create_context().unwrap());
        in_fresh_thread(|| {
            let outer = a.enter().unwrap();
            assert_eq!(current(acl), a.as_raw());
            {
                let _inner = b.enter().unwrap();
                assert_eq!(current(acl), b.as_raw());
                let again = b.enter().unwrap();
                let deep = c.enter().unwrap();
                assert_eq!(current(acl), c.as_raw());
                drop(deep);
                assert_eq!(current(acl), b.as_raw());
                drop(again);
                assert_eq!(current(acl), b.as_raw());
            }
            assert_eq!(current(acl), a.as_raw());
            assert_eq!(format!("{outer:?}"), "Entered");
            drop(outer);
        });
    }
}

/// Uses a handle of each context: works whatever is current.
fn use_all(contexts: &[(Context, Stream, Event)]) {
    for (context, stream, event) in contexts {
        stream.record(event).unwrap();
        stream.wait(event).unwrap();
        stream.memset(&context.alloc::<u8>(16).unwrap(), 1).unwrap();
        stream.synchronize().unwrap();
    }
}

backend_test! {
    fn guards_may_be_dropped_in_any_order(acl) {
        let count = acl.device_count()?;
        let contexts: Vec<_> = (0..3)
            .map(|number| {
                let context = acl.device((number % count) as i32)?.create_context()?;
                Ok((context.clone(), context.create_stream()?, context.create_event()?))
            })
            .collect::<ascendcl::Result<_>>()?;
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        for order in orders {
            in_fresh_thread(|| {
                let mut guards: Vec<_> = contexts.iter().map(|(context, ..)| context.enter().ok()).collect();
                use_all(&contexts);
                for index in order {
                    guards[index] = None;
                    use_all(&contexts);
                }
            });
        }
    }
}

backend_test! {
    fn a_context_may_go_while_guards_of_others_live(acl) {
        let device = acl.device(0)?;
        let stays = device.create_context()?;
        let (stream, event) = (stays.create_stream()?, stays.create_event()?);
        in_fresh_thread(|| {
            let goes = device.create_context().unwrap();
            let first = goes.enter().unwrap();
            let second = stays.enter().unwrap();
            drop(first);
            // What `second` is to put back is gone when it is dropped.
            drop(goes);
            drop(second);
            stream.record(&event).unwrap();
            stream.synchronize().unwrap();
            // As is the context that is current.
            let goes = device.create_context().unwrap();
            goes.synchronize().unwrap();
            drop(goes);
            stream.record(&event).unwrap();
        });
    }
}

backend_test! {
    fn what_other_code_makes_current_outside_of_guards_confuses_nobody(acl) {
        let device = acl.device(0)?;
        let [a, b, c, foreign] = [(); 4].map(|()| device.create_context().unwrap());
        let (stream, event) = (a.create_stream()?, a.create_event()?);
        in_fresh_thread(|| {
            stream.record(&event).unwrap();
            // No guard lives, so other code may do as it likes.
            set_current(&foreign);
            let first = b.enter().unwrap();
            let second = c.enter().unwrap();
            drop(first);
            assert_eq!(current(acl), foreign.as_raw());
            // `second` lives, `foreign` is current, and this stream is of neither.
            stream.record(&event).unwrap();
            drop(second);
            stream.synchronize().unwrap();
        });
    }
}

backend_test! {
    fn a_forgotten_guard_binds_nothing_wrongly(acl) {
        let device = acl.device(0)?;
        let [a, b] = [(); 2].map(|()| device.create_context().unwrap());
        let streams = [a.create_stream()?, b.create_stream()?];
        in_fresh_thread(|| {
            std::mem::forget(a.enter().unwrap());
            for _ in 0..3 {
                for stream in &streams {
                    let event = stream.context().create_event().unwrap();
                    stream.record(&event).unwrap();
                    stream.synchronize().unwrap();
                }
            }
        });
    }
}

backend_test! {
    fn the_wrong_context_is_an_error_of_acl_and_handles_bind_the_right_one(acl) {
        let device = acl.device(0)?;
        let (mine, other) = (device.create_context()?, device.create_context()?);
        let stream = mine.create_stream()?;
        let event = mine.create_event()?;
        let api = acl.raw();
        in_fresh_thread(|| {
            // SAFETY: both handles are alive; ACL refuses what does not fit.
            let record = || unsafe { api.aclrtRecordEvent.unwrap()(event.as_raw(), stream.as_raw()) };
            assert_eq!(record(), 107_002, "no context");
            set_current(&other);
            assert_eq!(record(), 107_003, "another context");
            stream.record(&event).unwrap();
            assert_eq!(record(), 0, "the safe call has bound the right one");
            // Inside a guard the crate does not ask again: what C code does behind its back is an error, no disaster.
            let entered = mine.enter().unwrap();
            set_current(&other);
            let result = stream.record(&event);
            assert!(result.is_ok() || kind(result) == ErrorKind::WrongContext);
            drop(entered);
            stream.record(&event).unwrap();
            stream.synchronize().unwrap();
        });
    }
}

backend_test! {
    fn errors_carry_the_text_of_their_own_call(acl) {
        let device = acl.device(0)?;
        let stream = device.create_context()?.create_stream()?;
        stream.set_failure_mode(ascendcl::FailureMode::Stop)?;
        in_fresh_thread(|| {
            // A fresh thread has no context, which leaves a text in ACL that is not about what comes next.
            let first = acl.device(-7).unwrap_err().to_string();
            let Err(Error::Acl(second)) = stream.set_failure_mode(ascendcl::FailureMode::Continue) else {
                panic!("a failure mode is not taken back");
            };
            assert!(first.contains("aclrtSetDevice failed with ACL_ERROR_RT_INVALID_DEVICEID (107001) on device -7"), "{first}");
            assert_eq!((second.op, second.device), ("aclrtSetStreamFailureMode", Some(0)));
            assert!(!second.message.contains("context") && !second.message.contains("-7"), "{}", second.message);
        });
    }
}

backend_test! {
    fn primary_contexts(acl) {
        let device = acl.device(0)?;
        let primary = device.primary_context();
        assert_eq!(primary, device.primary_context());
        assert_ne!(primary, device.create_context()?);
        assert_eq!(primary.device(), &device);
        let api = acl.raw();
        let (reset, sent) = in_fresh_thread(|| {
            // What C code makes current by aclrtSetDevice.
            // SAFETY: plain integers; paired below.
            assert_eq!(unsafe { api.aclrtSetDevice.unwrap()(0) }, 0);
            assert_eq!(current(acl), primary.as_raw());
            // SAFETY: as above.
            (unsafe { api.aclrtResetDevice.unwrap()(0) }, Raw(primary.as_raw()))
        });
        assert_eq!((reset, sent.0), (0, primary.as_raw()));
        // Streams in it hold the device, and callbacks work.
        let streams = [primary.create_stream()?, device.primary_context().create_stream()?];
        drop((device, primary));
        for (number, stream) in streams.into_iter().enumerate() {
            assert_eq!(stream.launch_callback(move || number)?.wait()?, number);
        }
    }
}

backend_test! {
    fn contexts_are_told_apart(acl) {
        let device = acl.device(0)?;
        let (a, b) = (device.create_context()?, device.create_context()?);
        assert_eq!(a, a.clone());
        assert_ne!(a, b);
        assert_ne!(a.as_raw(), b.as_raw());
        assert!(format!("{a:?}").contains("device: 0"), "{a:?}");
        let stream = a.create_stream()?;
        assert_eq!((stream.context(), stream.device()), (&a, &device));
    }
}

backend_test! {
    fn a_context_of_other_code_is_borrowed_or_taken_over(acl) {
        let device = acl.device(0)?;
        let api = acl.raw();
        let create = || {
            let mut raw = ptr::null_mut();
            // SAFETY: a valid place for the answer.
            assert_eq!(unsafe { api.aclrtCreateContext.unwrap()(&mut raw, 0) }, 0);
            Raw(raw)
        };
        let [borrowed, owned] = [(); 2].map(|()| in_fresh_thread(create));
        // SAFETY: live contexts of this device, that nobody else destroys while the handles live.
        let contexts = unsafe {
            [Context::from_raw(&device, borrowed.0, false), Context::from_raw(&device, owned.0, true)]
        };
        for context in &contexts {
            let stream = context.create_stream()?;
            assert_eq!(stream.launch_callback(|| 3)?.wait()?, 3);
        }
        drop(contexts);
        // Their streams may still be on their way out.
        assert!(matches!(acl.clone().finalize(), Err(Error::InUse { .. })));
        let destroy = api.aclrtDestroyContext.unwrap();
        // SAFETY: a context that is destroyed already is refused, by simulators at least.
        let (first, second) = unsafe { (destroy(borrowed.0), if support::is_simulator(acl) { destroy(owned.0) } else { 107_002 }) };
        assert_eq!((first, second), (0, 107_002));
    }
}

backend_test! {
    fn two_devices_from_many_threads(acl) {
        if acl.device_count()? < 2 {
            return Ok(());
        }
        let devices = [acl.device(0)?, acl.device(1)?];
        let contexts = devices.each_ref().map(|device| device.create_context().unwrap());
        let contexts = &contexts;
        thread::scope(|scope| {
            for number in 0..6_usize {
                scope.spawn(move || {
                    let streams = contexts.each_ref().map(|context| context.create_stream().unwrap());
                    for round in 0..30_usize {
                        let at = (number + round) % 2;
                        let (context, stream) = (&contexts[at], &streams[at]);
                        let byte = (number * 31 + round) as u8;
                        let buffer = context.alloc::<u8>(1000).unwrap();
                        stream.memset(&buffer, byte).unwrap();
                        // Meanwhile the other device.
                        streams[1 - at].record(&contexts[1 - at].create_event().unwrap()).unwrap();
                        stream.synchronize().unwrap();
                        assert_eq!(buffer.to_vec().unwrap(), [byte; 1000]);
                        let got = stream.launch_callback(move || byte).unwrap().wait().unwrap();
                        assert_eq!(got, byte);
                    }
                });
            }
        });
    }
}

backend_test! {
    fn handles_are_made_in_one_thread_used_in_another_and_dropped_in_a_third(acl) {
        let (made, to_use) = mpsc::channel();
        let (used, to_drop) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                for round in 0..20_u8 {
                    let context = acl.device(0).unwrap().create_context().unwrap();
                    let stream = context.create_stream().unwrap();
                    let buffer = context.alloc::<u8>(64).unwrap();
                    let event = context.create_event().unwrap();
                    made.send((round, context, stream, buffer, event)).unwrap();
                }
            });
            scope.spawn(move || {
                for (round, context, stream, buffer, event) in to_use {
                    stream.memset(&buffer, round).unwrap();
                    stream.record(&event).unwrap();
                    event.synchronize().unwrap();
                    assert_eq!(buffer.to_vec().unwrap(), [round; 64]);
                    // Still under way when it is dropped.
                    stream.memset(&buffer, round + 1).unwrap();
                    used.send((event, context, buffer, stream)).unwrap();
                }
            });
            scope.spawn(move || to_drop.into_iter().for_each(drop));
        });
    }
}

sim_test! {
    fn each_backend_has_a_current_context_of_its_own() {
        let (one, other) = (support::Target::Embedded.open()?, support::Target::Cdylib.open()?);
        thread::scope(|scope| {
            scope.spawn(|| {
                let [a, b] = [(); 2].map(|()| one.device(0).unwrap().create_context().unwrap());
                let [x, y] = [(); 2].map(|()| other.device(0).unwrap().create_context().unwrap());
                let contexts = [a, b, x, y].map(|context| {
                    let (stream, event) = (context.create_stream().unwrap(), context.create_event().unwrap());
                    (context, stream, event)
                });
                let [a, b, x, y] = &contexts;
                use_all(&contexts);
                set_current(&x.0);
                let outer = a.0.enter().unwrap();
                let inner = y.0.enter().unwrap();
                // The context of the first backend is left, while a guard of the second is to put back what was current there.
                b.1.record(&b.2).unwrap();
                drop(inner);
                assert_eq!(current(&other), x.0.as_raw());
                a.1.record(&a.2).unwrap();
                use_all(&contexts);
                drop(outer);
                use_all(&contexts);
            });
        });
        assert!(one.finalize()? && other.finalize()?);
    }
}
