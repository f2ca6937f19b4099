//! Awaiting a stream: what counts as done, when, and what a future that is dropped, polled again or told of a failure does.

mod support;

use ascendcl::{Error, EventFlags};
use std::{future::Future, pin::pin, sync::Arc, task::Context};
use support::{Gate, Wakes, until};

backend_test! {
    fn what_was_enqueued_is_done(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc::<u8>(1000)?;
        pollster::block_on(stream.completion())?;
        for round in 0..50 {
            stream.memset(&device, round)?;
            let mut completion = stream.completion();
            pollster::block_on(&mut completion)?;
            assert!(device.to_vec()?.iter().all(|&byte| byte == round));
            pollster::block_on(completion)?;
        }
    }
}

backend_test! {
    fn it_waits_for_what_came_before_it_and_for_nothing_else(acl) {
        let context = acl.device(0)?.create_context()?;
        let (stream, event) = (context.create_stream()?, context.create_event_with_flags(EventFlags::SYNC)?);
        let before = Gate::close(&stream)?;
        let mut completion = pin!(stream.completion());
        let count = Wakes::new();
        let waker = count.waker();
        assert!(completion.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(format!("{completion:?}").contains("done: false"));
        // Later, and not waited for: it stays closed until the end.
        let after = Gate::close(&stream)?;
        stream.record(&event)?;
        before.open()?;
        pollster::block_on(completion)?;
        assert!(!stream.is_idle()?);
        after.open()?;
        stream.synchronize()?;
    }
}

backend_test! {
    fn a_future_that_is_dropped_leaves_nothing_behind(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let gate = Gate::close(&stream)?;
        let count = Wakes::new();
        for polled in [false, true] {
            let mut completion = Box::pin(stream.completion());
            if polled {
                let waker = count.waker();
                assert!(completion.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            }
        }
        gate.open()?;
        stream.synchronize()?;
        until(|| Arc::strong_count(&count) == 1);
    }
}

backend_test! {
    fn many_at_once_on_several_streams(acl) {
        let context = acl.device(0)?.create_context()?;
        let streams = [context.create_stream()?, context.create_stream()?];
        let (event, device) = (context.create_event()?, context.alloc::<u32>(1000)?);
        let futures: Vec<_> = (0..40)
            .map(|round| {
                let stream = &streams[round % 2];
                stream.memset(&device, 1)?;
                stream.record(&event)?;
                Ok::<_, Error>(stream.completion())
            })
            .collect::<Result<_, _>>()?;
        // The last first, and each handle of a stream may go before.
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
    fn inside_a_callback_what_is_done_is_done_and_nothing_is_waited_for(acl) {
        let context = acl.device(0)?.create_context()?;
        let (stream, other) = (context.create_stream()?, context.create_stream()?);
        let gate = Gate::close(&other)?;
        let (done, pending) = (stream.completion(), other.completion());
        let answers = stream.launch_callback(move || (pollster::block_on(done), pollster::block_on(pending)))?;
        let (done, pending) = answers.wait()?;
        done?;
        assert!(matches!(pending, Err(Error::InCallback { .. })), "{pending:?}");
        gate.open()?;
        other.synchronize()?;
    }
}
