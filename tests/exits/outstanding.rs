//! One of everything, with work on it that does not end by itself.

use crate::support::{self, Gate, HostGate};
use ascendcl::{
    Acl, Callback, CallbackMode, DeviceBuffer, Error, Event, Model, PinnedBuffer, Result, Stream, Transfer,
};
use std::{
    future::Future,
    pin::pin,
    sync::mpsc,
    task::{Context, Poll, Waker},
    time::Duration,
};

const LONG: Duration = Duration::from_secs(30);

pub struct Outstanding {
    pub acl: Acl,
    pub stream: Stream,
    pub event: Event,
    /// Holds back `stream`, and a stream that was dropped, which the reaper has.
    pub gate: Gate,
    /// Holds back another stream, and keeps the report thread inside a closure.
    pub host_gate: HostGate,
    pub transfer: Transfer<u8>,
    pub other: Transfer<u8>,
    pub callback: Callback<u8>,
    /// Polled once.
    pub future: Callback<u8>,
    pub buffer: DeviceBuffer<u8>,
    pub pinned: PinnedBuffer<u8>,
    pub model: Model,
    /// Where the chip has callbacks that do not block their stream: one that runs beside it, and one behind that.
    pub beside: Option<(HostGate, Callback<u8>)>,
}

pub fn outstanding(acl: Acl) -> Result<Outstanding> {
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let blocked = context.create_stream()?;
    let event = context.create_event()?;
    let buffer = context.alloc::<u8>(1000)?;
    let host_gate = HostGate::close(&blocked)?;
    let gate = Gate::close(&stream)?;
    stream.record(&event)?;
    for _ in 0..100 {
        let short = context.alloc::<u8>(100)?;
        stream.memset(&short, 1)?;
    }
    let transfer = stream.upload(context.alloc_pinned(1000)?, &buffer)?;
    let from = context.alloc::<u8>(1000)?;
    let other = blocked.download(&from, context.alloc_pinned(1000)?)?;
    let callback = stream.launch_callback(|| 1)?;
    let mut future = stream.launch_callback(|| 2)?;
    assert!(pin!(&mut future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let model = Model::load(&context, "examples/assets/digits/digits.onnx")?;
    model.execute_async(&stream, &model.create_inputs()?, &model.create_outputs()?)?;
    // One that is dropped with work on it.
    let dropped = context.create_stream()?;
    gate.also(&dropped)?;
    drop(dropped.launch_callback(|| ())?);
    let pinned = context.alloc_pinned(1000)?;
    let beside = beside(&acl)?;
    Ok(Outstanding {
        acl,
        stream,
        event,
        gate,
        host_gate,
        transfer,
        other,
        callback,
        future,
        buffer,
        pinned,
        model,
        beside,
    })
}

/// A closure that is running while its stream is idle, and one that waits for its turn.
fn beside(acl: &Acl) -> Result<Option<(HostGate, Callback<u8>)>> {
    let stream = acl.device(0)?.create_context()?.create_stream()?;
    let ((open, opened), (runs, running)) = (mpsc::channel::<()>(), mpsc::channel());
    let closure = move || {
        let _ = runs.send(());
        let _ = opened.recv();
    };
    match stream.launch_callback_with(CallbackMode::NonBlocking, closure) {
        Ok(passed) => {
            running.recv().expect("the closure runs");
            let behind = stream.launch_callback_with(CallbackMode::NonBlocking, || 3)?;
            stream.synchronize()?;
            Ok(Some((HostGate::of(open, passed), behind)))
        }
        Err(_) => Ok(None),
    }
}

impl Outstanding {
    /// Uses and drops everything where nothing works any more, and nothing may hang or crash.
    pub fn use_in_vain(self, is_right: fn(&Error) -> bool) {
        let refused = |what: &str, error: Option<Error>| {
            assert!(error.as_ref().is_some_and(is_right), "{what}: {error:?}");
        };
        macro_rules! refused {
            ($what:expr, $result:expr) => {
                refused($what, $result.err().map(Error::from))
            };
        }
        let Outstanding {
            acl,
            stream,
            event,
            gate,
            host_gate,
            transfer,
            other,
            callback,
            mut future,
            buffer,
            pinned,
            model,
            beside,
        } = self;
        let context = stream.context().clone();
        refused!("version", acl.version());
        refused!("device", acl.device(0));
        refused!("reopen", support::reopen(&acl));
        refused!("create_context", context.device().create_context());
        refused!("memory_info", context.device().memory_info());
        refused!("enter", context.enter());
        refused!("create_stream", context.create_stream());
        refused!("create_event", context.create_event());
        refused!("alloc", context.alloc::<u8>(8));
        refused!("alloc_pinned", context.alloc_pinned::<u8>(8));
        refused!("synchronize", stream.synchronize());
        refused!("synchronize_timeout", stream.synchronize_timeout(LONG));
        refused!("is_idle", stream.is_idle());
        refused!("record", stream.record(&event));
        refused!("wait", stream.wait(&event));
        refused!("memset", stream.memset(&buffer, 0));
        refused!("launch_callback", stream.launch_callback(|| ()));
        refused!("query", event.query());
        refused!("event.synchronize", event.synchronize());
        refused!("to_vec", buffer.to_vec());
        refused!("create_inputs", model.create_inputs());
        assert_eq!(pinned[0], 0, "host memory is readable as ever");
        refused!("upload", stream.upload(pinned, &buffer).map_err(Error::from));
        refused!("transfer.is_done", transfer.is_done());
        refused!("transfer.wait", transfer.wait());
        refused!("transfer.wait_timeout", other.wait_timeout(LONG).map_err(Error::from));
        assert!(!format!("{callback:?} {future:?} {stream:?} {event:?} {buffer:?}").is_empty());
        refused!("callback.wait", callback.wait());
        match pin!(&mut future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => refused!("await", result),
            Poll::Pending => panic!("it would be awaited for ever"),
        }
        refused!("open", gate.open());
        ascendcl::set_drop_error_hook(|error| panic!("nothing is released: {error}"));
        drop((host_gate, beside, future, model, buffer, event, stream, context));
        refused!("finalize", acl.finalize());
    }

    /// Opens the gates, waits for all of it, and finalises: whatever happened before was not this process's concern.
    pub fn finish(self) {
        let Outstanding {
            acl,
            stream,
            event,
            gate,
            host_gate,
            transfer,
            other,
            callback,
            future,
            buffer,
            pinned,
            model,
            beside,
        } = self;
        gate.open().unwrap();
        host_gate.open().wait().unwrap();
        assert_eq!((callback.wait().unwrap(), pollster::block_on(future).unwrap()), (1, 2));
        transfer.wait().unwrap();
        other.wait().unwrap();
        stream.synchronize().unwrap();
        assert!(event.is_complete().unwrap());
        if let Some((gate, behind)) = beside {
            gate.open().wait().unwrap();
            assert_eq!(behind.wait().unwrap(), 3);
        }
        drop((stream, event, buffer, pinned, model));
        assert!(acl.finalize().unwrap());
    }
}
