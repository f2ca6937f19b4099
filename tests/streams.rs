//! Streams: order within and between them, waits with and without a limit, and what happens when they are dropped.

mod support;

use ascendcl::{Error, ErrorKind, EventFlags, FailureMode, Stream, StreamFlags};
use std::{
    collections::HashSet,
    ptr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use support::{Gate, HostGate, kind, until};

const SOON: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(30);

backend_test! {
    fn tasks_run_in_order(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let (a, b) = (context.alloc::<u8>(256)?, context.alloc::<u8>(256)?);
        let log = Arc::new(Mutex::new(Vec::new()));
        for round in 0..100_u8 {
            stream.memset(&a, round)?;
            stream.copy(&a, &b)?;
            // What comes later must not reach the copy.
            stream.memset(&a, 255)?;
            let log = log.clone();
            drop(stream.launch_callback(move || log.lock().unwrap().push(round))?);
            if round % 10 == 9 {
                stream.synchronize()?;
                assert_eq!(b.to_vec()?, [round; 256]);
            }
        }
        stream.synchronize()?;
        assert_eq!(*log.lock().unwrap(), (0..100).collect::<Vec<_>>());
    }
}

backend_test! {
    fn two_streams_take_turns_by_record_wait_and_reset(acl) {
        const ROUNDS: usize = 200;
        let context = acl.device(0)?.create_context()?;
        let streams = [context.create_stream()?, context.create_stream()?];
        let turns = [
            context.create_event_with_flags(EventFlags::SYNC)?,
            context.create_event_with_flags(EventFlags::SYNC)?,
        ];
        let log = Arc::new(Mutex::new(Vec::new()));
        let gate = Gate::close(&streams[0])?;
        for round in 0..ROUNDS {
            for who in [0, 1] {
                if round + who > 0 {
                    // Queued before the other stream has recorded it, most of the time.
                    streams[who].wait(&turns[who])?;
                    streams[who].reset(&turns[who])?;
                }
                let log = log.clone();
                drop(streams[who].launch_callback(move || log.lock().unwrap().push((round, who)))?);
                streams[who].record(&turns[1 - who])?;
            }
        }
        assert!(!streams[1].is_idle()?);
        gate.open()?;
        context.synchronize()?;
        let expected: Vec<_> = (0..ROUNDS).flat_map(|round| [(round, 0), (round, 1)]).collect();
        assert_eq!(*log.lock().unwrap(), expected);
    }
}

backend_test! {
    fn streams_are_independent(acl) {
        let context = acl.device(0)?.create_context()?;
        let (held, free) = (context.create_stream()?, context.create_stream()?);
        let gate = Gate::close(&held)?;
        let buffer = context.alloc::<u8>(10)?;
        free.memset(&buffer, 0)?;
        free.synchronize()?;
        assert!(free.is_idle()? && !held.is_idle()?);
        gate.open()?;
        held.synchronize()?;
        assert!(held.is_idle()?);
    }
}

backend_test! {
    fn a_wait_that_times_out_may_be_repeated(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        stream.synchronize_timeout(LONG)?;
        let gate = Gate::close(&stream)?;
        for _ in 0..3 {
            let error = stream.synchronize_timeout(SOON).unwrap_err();
            assert!(error.is_timeout(), "{error}");
            assert_eq!(kind(Err::<(), _>(error)), ErrorKind::Timeout);
            assert_eq!(kind(context.synchronize_timeout(SOON)), ErrorKind::Timeout);
            // Zero is a time, too: ACL would refuse it.
            assert_eq!(kind(stream.synchronize_timeout(Duration::ZERO)), ErrorKind::Timeout);
            assert!(!stream.is_idle()?);
        }
        gate.open()?;
        stream.synchronize_timeout(LONG)?;
        stream.synchronize_timeout(Duration::MAX)?;
        context.synchronize_timeout(LONG)?;
        assert!(stream.is_idle()?);
        assert_eq!(stream.launch_callback(|| 1)?.wait()?, 1, "the stream is as good as before");
    }
}

backend_test! {
    fn synchronising_waits_for_what_is_enqueued_and_not_for_more(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..50 {
            let ran = ran.clone();
            drop(stream.launch_callback(move || ran.fetch_add(1, Ordering::SeqCst))?);
        }
        stream.synchronize()?;
        assert_eq!(ran.load(Ordering::SeqCst), 50);
        for _ in 0..50 {
            let ran = ran.clone();
            drop(context.create_stream()?.launch_callback(move || ran.fetch_add(1, Ordering::SeqCst))?);
        }
        context.synchronize()?;
    }
}

backend_test! {
    fn a_device_side_wait_that_times_out_is_told_by_the_next_wait(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let never = context.create_event_with_flags(EventFlags::SYNC)?;
        // The shortest there is: one second.
        stream.wait_timeout(&never, Duration::from_millis(1))?;
        let error = stream.synchronize().unwrap_err();
        assert!(!error.is_timeout(), "waiting again would not wait for the event: {error}");
        assert_eq!(kind(Err::<(), _>(error)), ErrorKind::DeviceFault);
        // In time: no error.
        let other = context.create_stream()?;
        let event = context.create_event_with_flags(EventFlags::SYNC)?;
        let gate = Gate::close(&other)?;
        other.record(&event)?;
        let third = context.create_stream()?;
        third.wait_timeout(&event, LONG)?;
        gate.open()?;
        third.synchronize()?;
    }
}

backend_test! {
    fn a_failure_mode_is_not_taken_back(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        for mode in [FailureMode::Continue, FailureMode::Stop, FailureMode::Stop] {
            stream.set_failure_mode(mode)?;
        }
        assert_eq!(kind(stream.set_failure_mode(FailureMode::Continue)), ErrorKind::NotSupported);
        stream.synchronize()?;
    }
}

backend_test! {
    fn a_stopped_context_takes_no_more_work_and_another_does(acl) {
        let device = acl.device(0)?;
        let context = device.create_context()?;
        let (stream, sibling) = (context.create_stream()?, context.create_stream()?);
        stream.set_failure_mode(FailureMode::Stop)?;
        let never = context.create_event_with_flags(EventFlags::SYNC)?;
        stream.wait_timeout(&never, Duration::from_millis(1))?;
        let dropped = stream.launch_callback(|| "ran")?;
        assert!(stream.synchronize().is_err());
        // What was behind the failure never runs; whoever waits for it learns that when the stream goes.
        for stream in [&stream, &sibling] {
            assert!(stream.record(&context.create_event()?).is_err(), "the whole context has stopped");
        }
        drop((stream, sibling));
        assert!(matches!(dropped.wait(), Err(Error::Abandoned { .. })));
        let fresh = device.create_context()?.create_stream()?;
        assert_eq!(fresh.launch_callback(|| 2)?.wait()?, 2);
    }
}

backend_test! {
    fn priorities_and_flags(acl) {
        let context = acl.device(0)?.create_context()?;
        for (priority, flags) in [
            (0, StreamFlags::empty()),
            (7, StreamFlags::FAST_LAUNCH),
            (3, StreamFlags::FAST_LAUNCH | StreamFlags::FAST_SYNC),
        ] {
            let stream = context.create_stream_with(priority, flags)?;
            assert_eq!(stream.launch_callback(move || priority)?.wait()?, priority);
        }
    }
}

backend_test! {
    fn ids_differ(acl) {
        let context = acl.device(0)?.create_context()?;
        let streams = (0..20).map(|_| context.create_stream()).collect::<Result<Vec<_>, _>>()?;
        let ids = streams.iter().map(Stream::id).collect::<Result<HashSet<_>, _>>()?;
        assert_eq!(ids.len(), 20);
        assert!(streams[0] == streams[0].clone() && streams[0] != streams[1]);
    }
}

backend_test! {
    fn a_device_that_is_out_of_streams_recovers(acl) {
        let context = acl.device(0)?.create_context()?;
        let mut streams = Vec::new();
        let error = loop {
            match context.create_stream() {
                Ok(stream) => streams.push(stream),
                Err(error) => break error,
            }
            assert!(streams.len() < 5000, "no limit in sight");
        };
        assert!(error.to_string().contains("drop streams"), "{error}");
        assert_eq!(kind(Err::<(), _>(error)), ErrorKind::OutOfResources);
        if support::is_simulator(acl) {
            assert!((900..992).contains(&streams.len()), "{}", streams.len());
        }
        // All of them work.
        for (number, stream) in streams.iter().enumerate().step_by(100) {
            assert_eq!(stream.launch_callback(move || number)?.wait()?, number);
        }
        streams.truncate(streams.len() / 2);
        until(|| context.create_stream().is_ok());
    }
}

backend_test! {
    fn two_thousand_streams_wait_and_finish(acl) {
        let devices = acl.devices()?;
        let contexts = devices.iter().map(|device| device.create_context()).collect::<Result<Vec<_>, _>>()?;
        let ran = Arc::new(AtomicUsize::new(0));
        let mut streams = Vec::new();
        let mut gates = Vec::new();
        for context in &contexts {
            let first = context.create_stream()?;
            let gate = Gate::close(&first)?;
            for _ in 0..500 {
                let stream = context.create_stream()?;
                gate.also(&stream)?;
                let ran = ran.clone();
                drop(stream.launch_callback(move || ran.fetch_add(1, Ordering::SeqCst))?);
                streams.push(stream);
            }
            gates.push(gate);
        }
        assert_eq!(ran.load(Ordering::SeqCst), 0);
        for gate in gates {
            gate.open()?;
        }
        for context in &contexts {
            context.synchronize()?;
        }
        assert_eq!(ran.load(Ordering::SeqCst), streams.len());
    }
}

backend_test! {
    fn many_threads_use_one_stream(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let ran = Arc::new(AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let event = context.create_event().unwrap();
                    let buffer = context.alloc::<u64>(100).unwrap();
                    for round in 0..100 {
                        stream.memset(&buffer, round).unwrap();
                        stream.record(&event).unwrap();
                        let ran = ran.clone();
                        let callback = stream.launch_callback(move || ran.fetch_add(1, Ordering::SeqCst));
                        match round % 5 {
                            0 => drop(callback.unwrap().wait().unwrap()),
                            1 => stream.synchronize().unwrap(),
                            2 => event.synchronize().unwrap(),
                            3 => drop(stream.is_idle().unwrap()),
                            _ => {}
                        }
                    }
                });
            }
        });
        stream.synchronize()?;
        assert_eq!(ran.load(Ordering::SeqCst), 600);
    }
}

backend_test! {
    fn a_stream_dropped_with_work_pending_finishes_it(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let target = context.alloc::<u8>(4096)?;
        let gate = Gate::close(&stream)?;
        stream.memset(&target, 9)?;
        let event = context.create_event()?;
        stream.record(&event)?;
        let callback = stream.launch_callback(|| 11)?;
        drop(stream);
        assert!(!event.is_complete()?);
        gate.open()?;
        assert_eq!(callback.wait()?, 11);
        assert!(event.is_complete()?);
        assert_eq!(target.to_vec()?, [9; 4096]);
    }
}

backend_test! {
    fn streams_dropped_while_they_wait_for_each_other_finish(acl) {
        let context = acl.device(0)?.create_context()?;
        let first = context.create_stream()?;
        let gate = Gate::close(&first)?;
        let mut callbacks = vec![first.launch_callback(|| 0)?];
        let mut before = first;
        for number in 1..50 {
            let stream = context.create_stream()?;
            let event = context.create_event()?;
            before.record(&event)?;
            stream.wait(&event)?;
            callbacks.push(stream.launch_callback(move || number)?);
            // The stream and the event go while the wait is pending.
            before = stream;
        }
        drop(before);
        gate.open()?;
        for (number, callback) in callbacks.into_iter().enumerate() {
            assert_eq!(callback.wait()?, number);
        }
    }
}

backend_test! {
    fn streams_of_other_code_are_borrowed_or_taken_over(acl) {
        let context = acl.device(0)?.create_context()?;
        let api = acl.raw();
        let create = || {
            let mut raw = ptr::null_mut();
            // SAFETY: a valid place for the answer; the context is current.
            assert_eq!(unsafe { api.aclrtCreateStream.unwrap()(&mut raw) }, 0);
            raw
        };
        let _entered = context.enter()?;
        let (borrowed, owned) = (create(), create());
        // SAFETY: live streams of this context, that nobody else destroys while the handles live.
        let streams = unsafe {
            [Stream::from_raw(&context, borrowed, false), Stream::from_raw(&context, owned, true)]
        };
        assert_eq!((streams[0].as_raw(), streams[1].as_raw()), (borrowed, owned));
        for stream in streams {
            let gate = HostGate::close(&stream)?;
            // The last handle goes while there is work.
            drop(stream);
            gate.open().wait()?;
        }
        // Until it is unsubscribed, the report thread of the context is the borrowed stream's.
        let subscribe = || {
            // SAFETY: pthread_self takes nothing; the stream is alive.
            unsafe { api.aclrtSubscribeReport.unwrap()(libc::pthread_self() as u64, borrowed) }
        };
        until(|| subscribe() == 0);
        // SAFETY: nothing uses the stream any more.
        assert_eq!(unsafe { api.aclrtDestroyStream.unwrap()(borrowed) }, 0);
    }
}

backend_test! {
    fn work_enqueued_through_the_raw_handle_is_not_lost_and_not_waited_for(acl) {
        let context = acl.device(0)?.create_context()?;
        let (stream, other) = (context.create_stream()?, context.create_stream()?);
        let open = context.create_event_with_flags(EventFlags::SYNC)?;
        let passed = context.create_event_with_flags(EventFlags::SYNC)?;
        stream.synchronize()?;
        let api = acl.raw();
        {
            let _entered = context.enter()?;
            // SAFETY: all handles are alive.
            unsafe {
                assert_eq!(api.aclrtStreamWaitEvent.unwrap()(stream.as_raw(), open.as_raw()), 0);
                assert_eq!(api.aclrtRecordEvent.unwrap()(passed.as_raw(), stream.as_raw()), 0);
            }
        }
        other.wait(&passed)?;
        // Dropping never waits, whoever enqueued the work.
        drop(stream);
        assert!(!other.is_idle()?);
        context.create_stream()?.record(&open)?;
        other.synchronize()?;
    }
}

backend_test! {
    fn debug_output_names_the_device(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        assert!(format!("{stream:?}").starts_with("Stream { device: 0"), "{stream:?}");
    }
}
