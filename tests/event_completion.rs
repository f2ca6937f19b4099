//! Awaiting an event: which record it is, whatever comes after it, and what a future that is dropped leaves behind.

mod support;

use ascendcl::{Completion, Context, Error, Event, EventFlags, Result, Stream};
use std::{
    future::Future,
    pin::Pin,
    ptr,
    sync::{Arc, mpsc},
    task,
};
use support::{Gate, Wakes, until};

/// One event of each kind that streams can wait for.
fn one_of_each(context: &Context) -> Result<[Event; 3]> {
    Ok([
        context.create_event()?,
        context.create_event_with_flags(EventFlags::SYNC)?,
        context.create_event_ex(EventFlags::SYNC)?,
    ])
}

fn poll(completion: &mut Completion, wakes: &Arc<Wakes>) -> task::Poll<Result<()>> {
    Pin::new(completion).poll(&mut task::Context::from_waker(&wakes.waker()))
}

/// A record that a gate holds back.
fn record_behind_gate(stream: &Stream, event: &Event) -> Result<Gate> {
    let gate = Gate::close(stream)?;
    stream.record(event)?;
    Ok(gate)
}

backend_test! {
    fn it_is_ready_when_the_record_is_reached(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        for event in one_of_each(&context)? {
            let wakes = Wakes::new();
            let mut never_recorded = event.completion();
            assert!(poll(&mut never_recorded, &wakes).is_ready(), "{event:?}");
            let gate = record_behind_gate(&stream, &event)?;
            assert!(poll(&mut never_recorded, &wakes).is_ready(), "{event:?}");
            let mut completion = event.completion();
            assert!(poll(&mut completion, &wakes).is_pending(), "{event:?}");
            assert!(format!("{completion:?}").contains("Event"), "{completion:?}");
            gate.open()?;
            pollster::block_on(&mut completion)?;
            assert!(event.is_complete()?);
            // Once more, and anew.
            pollster::block_on(completion)?;
            pollster::block_on(event.completion())?;
        }
    }
}

backend_test! {
    fn polled_at_once_it_does_not_wait_for_what_comes_behind(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        for event in one_of_each(&context)? {
            let wakes = Wakes::new();
            let before = record_behind_gate(&stream, &event)?;
            let mut completion = event.completion();
            assert!(poll(&mut completion, &wakes).is_pending());
            let after = Gate::close(&stream)?;
            before.open()?;
            until(|| wakes.count() > 0);
            pollster::block_on(completion)?;
            assert!(!stream.is_idle()?, "{event:?}");
            after.open()?;
            stream.synchronize()?;
        }
    }
}

backend_test! {
    fn a_complete_event_is_ready_although_more_work_stands_behind_it(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        for event in [context.create_event()?, context.create_event_ex(EventFlags::SYNC)?] {
            stream.record(&event)?;
            let after = Gate::close(&stream)?;
            let (mut completion, mut late) = (event.completion(), event.completion());
            until(|| event.is_complete().unwrap());
            let wakes = Wakes::new();
            assert!(poll(&mut completion, &wakes).is_ready(), "{event:?}");
            assert_eq!(wakes.count(), 0);
            drop(completion);
            pollster::block_on(&mut late)?;
            assert!(!stream.is_idle()?);
            after.open()?;
            stream.synchronize()?;
        }
    }
}

backend_test! {
    fn it_is_the_record_of_before_whatever_is_recorded_later(acl) {
        let context = acl.device(0)?.create_context()?;
        let (first, second) = (context.create_stream()?, context.create_stream()?);
        for event in [context.create_event()?, context.create_event_ex(EventFlags::SYNC)?] {
            // The later record is complete, the earlier is not.
            let wakes = Wakes::new();
            let gate = record_behind_gate(&first, &event)?;
            let (mut polled, mut unpolled) = (event.completion(), event.completion());
            assert!(poll(&mut polled, &wakes).is_pending());
            second.record(&event)?;
            second.synchronize()?;
            assert!(event.is_complete()?);
            pollster::block_on(event.completion())?;
            assert!(poll(&mut polled, &wakes).is_pending(), "{event:?}");
            assert!(poll(&mut unpolled, &wakes).is_pending(), "{event:?}");
            gate.open()?;
            pollster::block_on(polled)?;
            pollster::block_on(unpolled)?;

            // The earlier is complete, the later is not.
            first.record(&event)?;
            let mut earlier = event.completion();
            first.synchronize()?;
            let gate = record_behind_gate(&second, &event)?;
            assert!(poll(&mut earlier, &wakes).is_ready());
            let mut later = event.completion();
            assert!(poll(&mut later, &wakes).is_pending());
            gate.open()?;
            pollster::block_on(later)?;
        }
    }
}

backend_test! {
    fn a_reset_changes_nothing(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let event = context.create_event_with_flags(EventFlags::SYNC)?;
        for _ in 0..3 {
            let wakes = Wakes::new();
            let gate = record_behind_gate(&stream, &event)?;
            let (mut polled, unpolled) = (event.completion(), event.completion());
            assert!(poll(&mut polled, &wakes).is_pending());
            stream.reset(&event)?;
            gate.open()?;
            stream.synchronize()?;
            pollster::block_on(polled)?;
            pollster::block_on(unpolled)?;
            pollster::block_on(event.completion())?;
        }
    }
}

backend_test! {
    fn a_second_record_without_a_reset_is_awaited_all_the_same(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let event = context.create_event_with_flags(EventFlags::SYNC)?;
        stream.record(&event)?;
        stream.synchronize()?;
        let gate = record_behind_gate(&stream, &event)?;
        let mut completion = event.completion();
        assert!(poll(&mut completion, &Wakes::new()).is_pending());
        gate.open()?;
        pollster::block_on(completion)?;
        assert!(event.is_complete()?);
    }
}

backend_test! {
    fn the_handles_of_its_stream_may_be_gone(acl) {
        let context = acl.device(0)?.create_context()?;
        for event in one_of_each(&context)? {
            let wakes = Wakes::new();
            let stream = context.create_stream()?;
            let gate = record_behind_gate(&stream, &event)?;
            drop(stream);
            let mut completion = event.completion();
            assert!(poll(&mut completion, &wakes).is_pending(), "{event:?}");
            gate.open()?;
            until(|| wakes.count() > 0);
            pollster::block_on(&mut completion)?;
            pollster::block_on(completion)?;
            pollster::block_on(event.completion())?;
        }
    }
}

backend_test! {
    fn another_record_does_not_hide_that_of_a_stream_that_is_gone(acl) {
        let context = acl.device(0)?.create_context()?;
        let other = context.create_stream()?;
        for event in one_of_each(&context)? {
            let wakes = Wakes::new();
            let stream = context.create_stream()?;
            let gate = record_behind_gate(&stream, &event)?;
            drop(stream);
            let mut completion = event.completion();
            assert!(poll(&mut completion, &wakes).is_pending());
            other.record(&event)?;
            other.synchronize()?;
            assert!(poll(&mut completion, &wakes).is_pending(), "{event:?}");
            gate.open()?;
            pollster::block_on(completion)?;
        }
    }
}

backend_test! {
    fn events_that_other_code_recorded(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let gate = Gate::close(&stream)?;
        let api = acl.raw();
        let entered = context.enter()?;
        let mut raw = ptr::null_mut();
        // SAFETY: a valid place for the answer, and live handles; the context is current.
        let event = unsafe {
            assert_eq!(api.aclrtCreateEvent.unwrap()(&mut raw), 0);
            assert_eq!(api.aclrtRecordEvent.unwrap()(raw, stream.as_raw()), 0);
            Event::from_raw(&context, raw, None, true)
        };
        drop(entered);
        let wakes = Wakes::new();
        let mut completion = event.completion();
        assert!(poll(&mut completion, &wakes).is_pending());
        gate.open()?;
        until(|| wakes.count() > 0);
        pollster::block_on(completion)?;
        assert!(event.is_complete()?);
    }
}

backend_test! {
    fn a_future_that_is_dropped_leaves_nothing_behind(acl) {
        let context = acl.device(0)?.create_context()?;
        for event in one_of_each(&context)? {
            for gone in [false, true] {
                let wakes = Wakes::new();
                let stream = context.create_stream()?;
                let gate = record_behind_gate(&stream, &event)?;
                let kept = (!gone).then_some(stream);
                let (mut polled, unpolled) = (event.completion(), event.completion());
                assert!(poll(&mut polled, &wakes).is_pending());
                drop((polled, unpolled));
                // That of a stream that is gone does not wait for the event, that of a callback does.
                if gone {
                    until(|| Arc::strong_count(&wakes) == 1);
                }
                gate.open()?;
                until(|| Arc::strong_count(&wakes) == 1);
                assert_eq!(wakes.count(), usize::from(!gone), "{event:?}");
                drop(kept);
            }
        }
    }
}

/// A waker that calls ACL when it is dropped, and says what came of that.
struct Caller(Context, mpsc::Sender<Result<Event>>);

impl task::Wake for Caller {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Caller {
    fn drop(&mut self) {
        let _ = self.1.send(self.0.create_event());
    }
}

backend_test! {
    fn what_a_future_leaves_behind_is_dropped_as_inside_a_callback(acl) {
        let context = acl.device(0)?.create_context()?;
        let event = context.create_event()?;
        let stream = context.create_stream()?;
        let gate = record_behind_gate(&stream, &event)?;
        drop(stream);
        // Nobody can put a callback behind it: the thread that looks after streams without handles asks.
        let (answer, answered) = mpsc::channel();
        let mut completion = event.completion();
        let waker = Arc::new(Caller(context.clone(), answer)).into();
        assert!(Pin::new(&mut completion).poll(&mut task::Context::from_waker(&waker)).is_pending());
        drop(waker);
        drop(completion);
        // It is the program's, and could be waiting for what that very thread would do.
        let refused = answered.recv()?;
        assert!(matches!(refused, Err(Error::InCallback { .. })), "{refused:?}");
        gate.open()?;
    }
}

backend_test! {
    fn the_event_and_the_stream_may_be_dropped_while_it_is_awaited(acl) {
        let context = acl.device(0)?.create_context()?;
        for event in one_of_each(&context)? {
            let stream = context.create_stream()?;
            let gate = record_behind_gate(&stream, &event)?;
            let mut completion = event.completion();
            assert!(poll(&mut completion, &Wakes::new()).is_pending());
            drop((event, stream));
            gate.open()?;
            pollster::block_on(completion)?;
        }
    }
}

backend_test! {
    fn many_are_awaited_at_once(acl) {
        let context = acl.device(0)?.create_context()?;
        let streams = [context.create_stream()?, context.create_stream()?];
        let device = context.alloc::<u32>(1000)?;
        let futures: Vec<_> = (0..40)
            .map(|round| {
                let (stream, event) = (&streams[round % 2], context.create_event()?);
                stream.memset(&device, 1)?;
                stream.record(&event)?;
                Ok::<_, Error>(event.completion())
            })
            .collect::<Result<_, _>>()?;
        drop(streams);
        pollster::block_on(async {
            for future in futures.into_iter().rev() {
                future.await?;
            }
            Ok::<_, Error>(())
        })?;
    }
}

backend_test! {
    fn threads_record_one_event_and_await_it(acl) {
        let context = acl.device(0)?.create_context()?;
        let event = context.create_event()?;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let stream = context.create_stream().unwrap();
                    for _ in 0..50 {
                        stream.record(&event).unwrap();
                        pollster::block_on(event.completion()).unwrap();
                    }
                });
            }
        });
    }
}

backend_test! {
    fn inside_a_callback_what_is_done_is_done_and_nothing_is_waited_for(acl) {
        let context = acl.device(0)?.create_context()?;
        let (stream, other) = (context.create_stream()?, context.create_stream()?);
        let [event, _, foreign] = one_of_each(&context)?;
        stream.record(&event)?;
        let gate = record_behind_gate(&other, &foreign)?;
        let (done, pending) = (event.completion(), foreign.completion());
        let answers = stream.launch_callback(move || (pollster::block_on(done), pollster::block_on(pending)))?;
        let (done, pending) = answers.wait()?;
        done?;
        assert!(matches!(pending, Err(Error::InCallback { .. })), "{pending:?}");
        gate.open()?;
        other.synchronize()?;
    }
}
