//! Events in all three modes: asking, waiting, resetting, timing, and running out of them.

mod support;

use ascendcl::{Context, Error, ErrorKind, Event, EventFlags, EventStatus, Result};
use std::{ptr, thread, time::Duration};
use support::{Gate, code, kind};

const SOON: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(30);

/// One event of each kind that streams can wait for and that takes the time.
fn one_of_each(context: &Context) -> Result<[Event; 3]> {
    Ok([
        context.create_event()?,
        context.create_event_with_flags(EventFlags::SYNC | EventFlags::TIME_LINE)?,
        context.create_event_ex(EventFlags::SYNC | EventFlags::TIME_LINE)?,
    ])
}

fn refused_for_its_mode<T>(result: Result<T>) -> String {
    match result {
        Err(Error::EventMode { what, .. }) => what.to_owned(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it is not refused"),
    }
}

backend_test! {
    fn an_event_is_not_recorded_then_pending_then_complete(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        for event in one_of_each(&context)? {
            assert_eq!(event.query()?, EventStatus::NotRecorded, "{event:?}");
            assert!(!event.is_complete()?);
            let gate = Gate::close(&stream)?;
            stream.record(&event)?;
            assert_eq!(event.query()?, EventStatus::Pending, "{event:?}");
            assert!(!event.is_complete()?);
            gate.open()?;
            stream.synchronize()?;
            assert_eq!(event.query()?, EventStatus::Complete, "{event:?}");
            assert!(event.is_complete()?);
        }
    }
}

backend_test! {
    fn the_host_waits_for_events(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        for event in one_of_each(&context)? {
            event.synchronize()?;
            event.synchronize_timeout(SOON)?;
            let gate = Gate::close(&stream)?;
            stream.record(&event)?;
            let error = event.synchronize_timeout(SOON).unwrap_err();
            assert!(error.is_timeout(), "{error}");
            assert_eq!(kind(event.synchronize_timeout(Duration::ZERO)), ErrorKind::Timeout);
            thread::scope(|scope| {
                let waiting = scope.spawn(|| event.synchronize());
                gate.open().unwrap();
                waiting.join().unwrap()
            })?;
            event.synchronize_timeout(LONG)?;
            event.synchronize_timeout(Duration::MAX)?;
        }
    }
}

backend_test! {
    fn streams_wait_for_the_latest_record(acl) {
        let context = acl.device(0)?.create_context()?;
        let (first, second) = (context.create_stream()?, context.create_stream()?);
        for event in [context.create_event()?, context.create_event_ex(EventFlags::SYNC)?] {
            first.record(&event)?;
            first.synchronize()?;
            // It was complete; now it is pending again, and that is what is waited for.
            let gate = Gate::close(&first)?;
            first.record(&event)?;
            assert_eq!(event.query()?, EventStatus::Pending, "{event:?}");
            second.wait(&event)?;
            assert!(second.synchronize_timeout(SOON).unwrap_err().is_timeout(), "{event:?}");
            // Recorded once more, on a stream that is free: who waits already waits for the old record.
            let third = context.create_stream()?;
            third.record(&event)?;
            third.synchronize()?;
            assert_eq!(event.query()?, EventStatus::Complete, "{event:?}");
            assert!(!second.is_idle()?, "{event:?}");
            gate.open()?;
            second.synchronize()?;
        }
    }
}

backend_test! {
    fn waits_before_the_first_record(acl) {
        let context = acl.device(0)?.create_context()?;
        let (first, second) = (context.create_stream()?, context.create_stream()?);

        let plain = context.create_event()?;
        assert!(refused_for_its_mode(second.wait(&plain)).contains("never recorded"));
        assert!(refused_for_its_mode(second.wait_timeout(&plain, LONG)).contains("never recorded"));

        let flags = context.create_event_with_flags(EventFlags::SYNC)?;
        second.wait(&flags)?;
        second.wait_timeout(&flags, LONG)?;
        assert!(second.synchronize_timeout(SOON).unwrap_err().is_timeout());
        assert!(!flags.waits_are_over()?);
        first.record(&flags)?;
        second.synchronize()?;
        assert!(flags.waits_are_over()?);

        let ex = context.create_event_ex(EventFlags::SYNC)?;
        second.wait(&ex)?;
        second.synchronize()?;

        for timing in [
            context.create_event_with_flags(EventFlags::TIME_LINE)?,
            context.create_event_ex(EventFlags::TIME_LINE)?,
            context.create_event_with_flags(EventFlags::CAPTURE_STREAM_PROGRESS)?,
        ] {
            first.record(&timing)?;
            assert!(refused_for_its_mode(second.wait(&timing)).contains("EventFlags::SYNC"));
        }
        context.synchronize()?;
    }
}

backend_test! {
    fn waits_are_counted(acl) {
        let context = acl.device(0)?.create_context()?;
        let (first, second) = (context.create_stream()?, context.create_stream()?);
        for event in [context.create_event()?, context.create_event_with_flags(EventFlags::SYNC)?] {
            assert!(event.waits_are_over()?, "there are none: {event:?}");
            let gate = Gate::close(&first)?;
            first.record(&event)?;
            second.wait(&event)?;
            assert!(!event.waits_are_over()?, "{event:?}");
            gate.open()?;
            second.synchronize()?;
            assert!(event.waits_are_over()?, "{event:?}");
        }
        let ex = context.create_event_ex(EventFlags::SYNC)?;
        assert!(refused_for_its_mode(ex.waits_are_over()).contains("create_event_ex"));
    }
}

backend_test! {
    fn only_events_with_sync_made_with_flags_are_reset(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        for event in [
            context.create_event()?,
            context.create_event_ex(EventFlags::SYNC)?,
            context.create_event_with_flags(EventFlags::TIME_LINE)?,
        ] {
            stream.record(&event)?;
            assert!(refused_for_its_mode(stream.reset(&event)).contains("EventFlags::SYNC"), "{event:?}");
        }
        let event = context.create_event_with_flags(EventFlags::SYNC)?;
        stream.reset(&event)?;
        stream.record(&event)?;
        stream.reset(&event)?;
        stream.synchronize()?;
        // After the reset it holds streams back again.
        let other = context.create_stream()?;
        other.wait(&event)?;
        assert!(other.synchronize_timeout(SOON).unwrap_err().is_timeout());
        stream.record(&event)?;
        other.synchronize()?;
    }
}

backend_test! {
    fn without_a_reset_the_next_wait_passes_at_once(acl) {
        let context = acl.device(0)?.create_context()?;
        let (first, second) = (context.create_stream()?, context.create_stream()?);
        let event = context.create_event_with_flags(EventFlags::SYNC)?;
        first.record(&event)?;
        for _ in 0..3 {
            second.wait(&event)?;
        }
        second.synchronize()?;
    }
}

backend_test! {
    fn one_record_releases_many_streams(acl) {
        let context = acl.device(0)?.create_context()?;
        let first = context.create_stream()?;
        for event in [context.create_event()?, context.create_event_with_flags(EventFlags::SYNC)?] {
            let gate = Gate::close(&first)?;
            first.record(&event)?;
            let waiting = (0..20).map(|_| context.create_stream()).collect::<Result<Vec<_>>>()?;
            waiting.iter().try_for_each(|stream| stream.wait(&event))?;
            assert!(waiting.iter().all(|stream| !stream.is_idle().unwrap()));
            gate.open()?;
            waiting.iter().try_for_each(|stream| stream.synchronize())?;
        }
    }
}

backend_test! {
    fn the_time_between_events(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let (starts, ends) = (one_of_each(&context)?, one_of_each(&context)?);
        for (start, end) in starts.iter().zip(&ends) {
            stream.record(start)?;
            stream.launch_callback(|| thread::sleep(Duration::from_millis(3)))?.wait()?;
            stream.record(end)?;
            stream.synchronize()?;
            let took = end.elapsed_since(start)?;
            assert!(took >= Duration::from_millis(2), "{took:?}");
            let millis = end.millis_since(start)?;
            assert!((f64::from(millis) / 1e3 - took.as_secs_f64()).abs() < 1e-6, "{millis} {took:?}");
            // The other way round it is negative, and said so.
            assert_eq!(start.millis_since(end)?, -millis);
            match start.elapsed_since(end) {
                Err(Error::NegativeElapsed(by)) => assert_eq!(by, took),
                other => panic!("{other:?}"),
            }
            assert_eq!(start.elapsed_since(start)?, Duration::ZERO);
            // The timestamps agree, to the microseconds that they are rounded to.
            let between = end.timestamp()? - start.timestamp()?;
            let difference = between.abs_diff(took);
            assert!(difference <= Duration::from_micros(2), "{between:?} {took:?}");
        }
    }
}

backend_test! {
    fn no_time_without_a_complete_record_or_without_the_flag(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let complete = context.create_event()?;
        stream.record(&complete)?;
        stream.synchronize()?;
        for event in one_of_each(&context)? {
            for result in [event.elapsed_since(&complete), complete.elapsed_since(&event), event.timestamp()] {
                assert!(refused_for_its_mode(result).contains("never recorded"));
            }
            let gate = Gate::close(&stream)?;
            stream.record(&event)?;
            assert!(matches!(event.elapsed_since(&complete), Err(Error::Acl(_))), "pending: {event:?}");
            assert!(matches!(event.timestamp(), Err(Error::Acl(_))), "pending: {event:?}");
            gate.open()?;
            stream.synchronize()?;
            event.elapsed_since(&complete)?;
        }
        for event in [
            context.create_event_with_flags(EventFlags::SYNC)?,
            context.create_event_ex(EventFlags::SYNC)?,
        ] {
            stream.record(&event)?;
            stream.synchronize()?;
            for result in [event.elapsed_since(&complete), complete.elapsed_since(&event), event.timestamp()] {
                assert!(refused_for_its_mode(result).contains("TIME_LINE"));
            }
        }
    }
}

backend_test! {
    fn flags_that_make_no_sense(acl) {
        let context = acl.device(0)?.create_context()?;
        for flags in [
            EventFlags::empty(),
            EventFlags::from_bits_retain(0x80),
            EventFlags::SYNC | EventFlags::EXTERNAL,
            EventFlags::TIME_LINE | EventFlags::DEVICE_USE_ONLY,
        ] {
            assert_eq!(kind(context.create_event_with_flags(flags)), ErrorKind::InvalidArgument, "{flags:?}");
        }
        for flags in [EventFlags::empty(), EventFlags::from_bits_retain(0x80)] {
            assert_eq!(kind(context.create_event_ex(flags)), ErrorKind::InvalidArgument, "{flags:?}");
        }
    }
}

backend_test! {
    fn a_device_that_is_out_of_events_recovers(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let mut events = Vec::new();
        let error = loop {
            match context.create_event_with_flags(EventFlags::SYNC) {
                Ok(event) => events.push(event),
                Err(error) => break error,
            }
            assert!(events.len() < 100_000, "no limit in sight");
        };
        assert!(error.to_string().contains("drop events"), "{error}");
        assert_eq!(kind(Err::<(), _>(error)), ErrorKind::OutOfResources);
        if support::is_simulator(acl) {
            assert_eq!(events.len(), 1023);
        }
        // They all work, and others that need no number yet can be made.
        stream.record(&events[500])?;
        stream.wait(&events[500])?;
        let plain = context.create_event()?;
        drop(events.pop());
        stream.record(&plain)?;
        stream.synchronize()?;
        drop(plain);
        drop(events);
        let again = (0..100).map(|_| context.create_event_with_flags(EventFlags::SYNC));
        assert_eq!(again.collect::<Result<Vec<_>>>()?.len(), 100);
    }
}

backend_test! {
    fn without_events_memory_is_still_kept_and_freed(acl) {
        // The fences that tell when memory may be freed are events: without them it is freed by the next wait.
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let mut events = Vec::new();
        while let Ok(event) = context.create_event_with_flags(EventFlags::SYNC) {
            events.push(event);
            assert!(events.len() < 100_000, "no limit in sight");
        }
        for round in 0..66 {
            let buffer = context.alloc::<u8>(100)?;
            stream.memset(&buffer, round)?;
        }
        stream.synchronize()?;
    }
}

backend_test! {
    fn events_of_another_device_are_refused(acl) {
        if acl.device_count()? < 2 {
            return Ok(());
        }
        let (here, there) = (acl.device(0)?.create_context()?, acl.device(1)?.create_context()?);
        let stream = here.create_stream()?;
        let (own, foreign) = (here.create_event()?, there.create_event_with_flags(EventFlags::SYNC)?);
        stream.record(&own)?;
        stream.synchronize()?;
        for result in [
            stream.record(&foreign),
            stream.wait(&foreign),
            stream.wait_timeout(&foreign, LONG),
            stream.reset(&foreign),
        ] {
            match result {
                Err(Error::Mismatch { what, .. }) => {
                    assert!(what.contains("device 1") && what.contains("device 0"), "{what}");
                }
                other => panic!("{other:?}"),
            }
        }
        let time = there.create_event()?;
        let elsewhere = there.create_stream()?;
        elsewhere.record(&time)?;
        elsewhere.synchronize()?;
        assert!(matches!(time.elapsed_since(&own), Err(Error::Mismatch { .. })));
    }
}

backend_test! {
    fn events_order_streams_of_two_contexts(acl) {
        let device = acl.device(0)?;
        let (a, b) = (device.create_context()?, device.create_context()?);
        let (first, second) = (a.create_stream()?, b.create_stream()?);
        let event = a.create_event()?;
        let gate = Gate::close(&first)?;
        first.record(&event)?;
        second.wait(&event)?;
        assert!(second.synchronize_timeout(SOON).unwrap_err().is_timeout());
        gate.open()?;
        second.synchronize()?;
    }
}

backend_test! {
    fn an_event_dropped_with_records_and_waits_pending_still_orders(acl) {
        let context = acl.device(0)?.create_context()?;
        let (first, second) = (context.create_stream()?, context.create_stream()?);
        for number in 0..3 {
            let event = one_of_each(&context)?.into_iter().nth(number).unwrap();
            let gate = Gate::close(&first)?;
            first.record(&event)?;
            second.wait(&event)?;
            drop(event);
            assert!(second.synchronize_timeout(SOON).unwrap_err().is_timeout());
            gate.open()?;
            second.synchronize()?;
            first.synchronize()?;
        }
    }
}

backend_test! {
    fn thousands_of_events_come_and_go_with_work_pending(acl) {
        let context = acl.device(0)?.create_context()?;
        let (first, second) = (context.create_stream()?, context.create_stream()?);
        for _ in 0..3000 {
            let event = context.create_event()?;
            first.record(&event)?;
            second.wait(&event)?;
        }
        second.synchronize()?;
    }
}

backend_test! {
    fn events_of_other_code(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let api = acl.raw();
        let _entered = context.enter()?;
        let create = || {
            let mut raw = ptr::null_mut();
            // SAFETY: a valid place for the answer; the context is current.
            assert_eq!(unsafe { api.aclrtCreateEventWithFlag.unwrap()(&mut raw, EventFlags::SYNC.bits()) }, 0);
            raw
        };
        let (borrowed, owned) = (create(), create());
        // SAFETY: live events of this context, that nobody else destroys while the handles live.
        let events = unsafe {
            [
                Event::from_raw(&context, borrowed, Some(EventFlags::SYNC), false),
                Event::from_raw(&context, owned, Some(EventFlags::SYNC), true),
            ]
        };
        assert_eq!((events[0].as_raw(), events[1].as_raw()), (borrowed, owned));
        for event in &events {
            stream.record(event)?;
            stream.wait(event)?;
            stream.reset(event)?;
        }
        stream.synchronize()?;
        drop(events);
        // SAFETY: nothing uses it any more.
        assert_eq!(unsafe { api.aclrtDestroyEvent.unwrap()(borrowed) }, 0);
    }
}

backend_test! {
    fn events_are_told_apart(acl) {
        let context = acl.device(0)?.create_context()?;
        let (a, b) = (context.create_event()?, context.create_event()?);
        assert!(a == a.clone() && a != b);
        assert_eq!((a.context(), a.device().id()), (&context, 0));
        assert!(format!("{a:?}").contains("Plain"), "{a:?}");
        assert_eq!(code(a.synchronize()), 0);
    }
}
