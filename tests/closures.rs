//! What closures may do: panic, drop the last handle of anything, and call what does not wait.

mod support;

use ascendcl::{Callback, CallbackMode, Error, EventFlags, Model, Result, Stream};
use std::{
    panic::panic_any,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use support::{Bomb, Gate, until};

const SOON: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(30);

fn stream(acl: &ascendcl::Acl) -> Result<Stream> {
    acl.device(0)?.create_context()?.create_stream()
}

backend_test! {
    fn panics_are_caught_and_told(acl) {
        let stream = stream(acl)?;
        let told = |callback: Result<Callback<()>>| match callback.unwrap().wait() {
            Err(Error::Panicked { message }) => message,
            other => panic!("{other:?}"),
        };
        assert_eq!(told(stream.launch_callback(|| panic!("a text"))), "a text");
        assert_eq!(told(stream.launch_callback(|| panic!("a text with {}", 1 + 1))), "a text with 2");
        assert_eq!(told(stream.launch_callback(|| panic_any(17_u8))), "not a message");
        assert_eq!(told(stream.launch_callback(|| panic_any(Bomb))), "not a message");
        // A value that panics when it is dropped, at the end of the closure.
        let bomb = Bomb;
        assert_eq!(told(stream.launch_callback(move || { let _bomb = bomb; })), "the bomb went off");
        let error = pollster::block_on(stream.launch_callback(|| panic!("awaited"))?);
        assert!(matches!(error, Err::<(), _>(Error::Panicked { message }) if message == "awaited"));
        assert_eq!(stream.launch_callback(|| 1)?.wait()?, 1, "the thread goes on");
    }
}

backend_test! {
    fn panics_that_nobody_waits_for(acl) {
        let stream = stream(acl)?;
        // Closed, so that nobody waits any more when the closures run: what they leave is dropped on the report thread.
        let gate = Gate::close(&stream)?;
        for _ in 0..3 {
            drop::<Callback<()>>(stream.launch_callback(|| panic!("nobody hears this"))?);
            drop::<Callback<()>>(stream.launch_callback(|| panic_any(Bomb))?);
            // What is returned panics when it is dropped, and nobody takes it.
            drop(stream.launch_callback(|| Bomb)?);
            drop(stream.launch_callback(|| (Bomb, 1))?);
        }
        gate.open()?;
        stream.synchronize()?;
        assert_eq!(stream.launch_callback(|| 1)?.wait()?, 1, "the thread goes on");
    }
}

backend_test! {
    fn dropping_a_callback_that_panicked_does_not_panic(acl) {
        let stream = stream(acl)?;
        let callback: Callback<()> = stream.launch_callback(|| panic_any(Bomb))?;
        stream.synchronize()?;
        assert!(callback.is_finished());
        drop(callback);
    }
}

backend_test! {
    fn values_are_dropped_once(acl) {
        struct Counted(Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let stream = stream(acl)?;
        let drops = Arc::new(AtomicUsize::new(0));
        let captured = || Counted(drops.clone());
        let returned = |counted: Counted| move || counted;
        drop(stream.launch_callback(returned(captured()))?.wait()?);
        drop(stream.launch_callback(returned(captured()))?);
        let kept = stream.launch_callback(returned(captured()))?;
        let counted = captured();
        drop(stream.launch_callback(move || drop(counted))?);
        stream.synchronize()?;
        until(|| drops.load(Ordering::SeqCst) == 3);
        drop(kept);
        assert_eq!(drops.load(Ordering::SeqCst), 4);
    }
}

backend_test! {
    fn closures_drop_the_last_handles_of_everything(acl) {
        for round in 0..20 {
            let device = acl.device(0)?;
            let context = device.create_context()?;
            let stream = context.create_stream()?;
            let buffer = context.alloc::<u8>(100)?;
            let view = buffer.view(10..)?;
            let pinned = context.alloc_pinned::<u8>(100)?;
            let event = context.create_event()?;
            let sync = context.create_event_with_flags(EventFlags::SYNC)?;
            let other = context.create_stream()?;
            stream.memset(&buffer, 1)?;
            stream.record(&event)?;
            other.wait(&event)?;
            other.memset(&view, 2)?;
            let upload = other.upload(pinned, &buffer)?;
            let own = acl.clone();
            let earlier = other.launch_callback(|| 3)?;
            let launcher = stream.clone();
            let everything = (own, device, context, stream, buffer, view, event, sync, other, upload, earlier);
            let callback = launcher.launch_callback(move || {
                drop(everything);
                round
            })?;
            drop(launcher);
            assert_eq!(callback.wait()?, round);
        }
    }
}

backend_test! {
    fn what_a_closure_returns_may_be_the_last_handle(acl) {
        for wanted in [true, false] {
            let stream = stream(acl)?;
            let own = stream.clone();
            let callback = stream.launch_callback(move || own)?;
            drop(stream);
            if wanted {
                let stream = callback.wait()?;
                assert_eq!(stream.launch_callback(|| 5)?.wait()?, 5);
            } else {
                drop(callback);
            }
        }
    }
}

backend_test! {
    fn a_closure_drops_the_last_handle_of_its_own_stream_with_more_behind_it(acl) {
        let stream = stream(acl)?;
        let gate = Gate::close(&stream)?;
        let own = stream.clone();
        let first = stream.launch_callback(move || drop(own))?;
        let rest = (0..20).map(|number| stream.launch_callback(move || number)).collect::<Result<Vec<_>>>()?;
        drop(stream);
        gate.open()?;
        first.wait()?;
        for (number, callback) in rest.into_iter().enumerate() {
            assert_eq!(callback.wait()?, number, "what was enqueued runs");
        }
    }
}

backend_test! {
    fn a_closure_drops_the_last_handle_of_a_model(acl) {
        if !support::is_simulator(acl) {
            return Ok(());
        }
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let model = Model::load(&context, "examples/assets/digits/digits.onnx")?;
        let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
        model.execute_async(&stream, &inputs, &outputs)?;
        stream.launch_callback(move || drop((model, inputs, outputs)))?.wait()?;
    }
}

backend_test! {
    fn calls_inside_callbacks_are_refused_instead_of_deadlocking(acl) {
        let device = acl.device(0)?;
        let context = device.create_context()?;
        let stream = context.create_stream()?;
        let other = context.create_stream()?;
        let event = context.create_event()?;
        other.record(&event)?;
        let buffer = context.alloc::<u8>(8)?;
        let second = context.alloc::<u8>(8)?;
        let spare = [context.alloc_pinned::<u8>(8)?, context.alloc_pinned::<u8>(8)?];
        // Gated, so that it is not known to be done inside the callback.
        let gate = Gate::close(&other)?;
        let upload = other.upload(context.alloc_pinned::<u8>(8)?, &buffer)?;
        let waiting = other.launch_callback(|| ())?;
        let own = stream.clone();
        let acl = acl.clone();
        let results = stream.launch_callback(move || {
            let mut results: Vec<(&str, Option<Error>)> = Vec::new();
            let mut tried = |what, result: Result<()>| results.push((what, result.err()));
            for stream in [&own, &other] {
                tried("synchronize", stream.synchronize());
                tried("synchronize_timeout", stream.synchronize_timeout(SOON));
                tried("is_idle", stream.is_idle().map(drop));
                tried("record", stream.record(&event));
                tried("wait", stream.wait(&event));
                tried("wait_timeout", stream.wait_timeout(&event, LONG));
                tried("id", stream.id().map(drop));
                tried("set_failure_mode", stream.set_failure_mode(ascendcl::FailureMode::Continue));
                tried("memset", stream.memset(&buffer, 1));
                tried("copy", stream.copy(&buffer, &second));
                tried("launch_callback", stream.launch_callback(|| ()).map(drop));
                tried("launch_callback_with", stream.launch_callback_with(CallbackMode::NonBlocking, || ()).map(drop));
            }
            let [first, last] = spare;
            tried("upload", other.upload(first, &buffer).map(drop).map_err(Error::from));
            tried("download", own.download(&buffer, last).map(drop).map_err(Error::from));
            tried("event.query", event.query().map(drop));
            tried("event.synchronize", event.synchronize());
            tried("event.synchronize_timeout", event.synchronize_timeout(SOON));
            tried("event.timestamp", event.timestamp().map(drop));
            tried("event.millis_since", event.millis_since(&event).map(drop));
            tried("event.waits_are_over", event.waits_are_over().map(drop));
            tried("context.synchronize", context.synchronize());
            tried("context.synchronize_timeout", context.synchronize_timeout(SOON));
            tried("context.enter", context.enter().map(drop));
            tried("context.create_stream", context.create_stream().map(drop));
            tried("context.create_stream_with", context.create_stream_with(0, Default::default()).map(drop));
            tried("context.create_event", context.create_event().map(drop));
            tried("context.create_event_with_flags", context.create_event_with_flags(EventFlags::SYNC).map(drop));
            tried("context.create_event_ex", context.create_event_ex(EventFlags::SYNC).map(drop));
            tried("context.alloc", context.alloc::<u8>(8).map(drop));
            tried("context.alloc_pinned", context.alloc_pinned::<u8>(8).map(drop));
            tried("buffer.to_vec", buffer.to_vec().map(drop));
            tried("buffer.copy_from_slice", buffer.copy_from_slice(&[0; 8]));
            tried("buffer.copy_from", buffer.copy_from(&second));
            tried("buffer.memset", buffer.memset(0));
            tried("device.create_context", device.create_context().map(drop));
            tried("device.memory_info", device.memory_info().map(drop));
            tried("device.synchronize", device.synchronize());
            tried("acl.device", acl.device(0).map(drop));
            tried("acl.version", acl.version().map(drop));
            tried("acl.device_count", acl.device_count().map(drop));
            tried("acl.finalize", acl.clone().finalize().map(drop));
            tried("Acl::new", support::reopen(&acl).map(drop));
            tried("Model::from_bytes", Model::from_bytes(&context, &[0]).map(drop));
            tried("upload.wait", upload.wait().map(drop));
            match waiting.wait_timeout(LONG) {
                Err(rejected) => {
                    tried("callback.wait_timeout", Err(rejected.error));
                    tried("callback.wait", rejected.returned.expect("it is given back").wait());
                }
                Ok(()) => tried("callback.wait_timeout", Ok(())),
            }
            results
        })?;
        let results = results.wait()?;
        gate.open()?;
        assert!(results.len() > 50);
        for (what, error) in results {
            assert!(matches!(error, Some(Error::InCallback { .. })), "{what}: {error:?}");
        }
    }
}

backend_test! {
    fn what_does_not_wait_is_fine_inside_callbacks(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let buffer = context.alloc::<u32>(8)?;
        let event = context.create_event()?;
        let pinned = context.alloc_pinned::<u32>(3)?;
        let finished = stream.launch_callback(|| 5)?;
        stream.synchronize()?;
        let acl = acl.clone();
        stream
            .launch_callback(move || {
                assert!(acl.supports("aclInit") && format!("{acl:?}{context:?}{event:?}{buffer:?}").len() > 10);
                assert_eq!(buffer.view(1..3).unwrap().as_bytes().len(), 8);
                let mut pinned = pinned;
                pinned.fill(1);
                let clones = (acl.clone(), context.clone(), event.clone(), buffer.view(..).unwrap());
                drop((pinned, clones));
                // What has ended gives its value when it is polled.
                pollster::block_on(finished).unwrap()
            })?
            .wait()?;
    }
}
