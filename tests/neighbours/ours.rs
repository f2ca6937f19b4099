//! One of everything of this crate, with work that does not end by itself and threads that wait for it.

use crate::support::Gate;
use ascendcl::{Context, DeviceBuffer, Error, Event, Model, PinnedBuffer, Result, Stream, Transfer};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Counts how closures end.
#[derive(Clone, Default)]
pub struct Fates {
    pub ran: Arc<AtomicUsize>,
    pub dropped: Arc<AtomicUsize>,
}

/// Counts itself when it is dropped.
pub struct Fate(Fates);

impl Drop for Fate {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl Fates {
    pub fn closure(&self) -> impl FnOnce() + Send + 'static {
        let fate = Fate(self.clone());
        move || {
            fate.0.ran.fetch_add(1, Ordering::SeqCst);
        }
    }
}

pub struct Ours {
    pub context: Context,
    pub stream: Stream,
    pub gate: Option<Gate>,
    pub event: Event,
    pub buffer: DeviceBuffer<u8>,
    pub pinned: Option<PinnedBuffer<u8>>,
    pub transfer: Option<Transfer<u8>>,
    pub model: Model,
    pub fates: Fates,
    pub launched: usize,
    pub waiting: Vec<(&'static str, JoinHandle<Result<()>>)>,
}

/// How long a wait may take that other code has made pointless.
pub const BOUND: Duration = Duration::from_secs(30);

impl Ours {
    /// Puts work behind a gate into a stream of this context, and starts threads that wait for it.
    pub fn new(context: Context) -> Result<Ours> {
        let stream = context.create_stream()?;
        let fates = Fates::default();
        // The report thread is known to work.
        stream.launch_callback(|| ())?.wait()?;
        let buffer = context.alloc::<u8>(1000)?;
        let event = context.create_event()?;
        let gate = Gate::close(&stream)?;
        let model = Model::load(&context, "examples/assets/digits/digits.onnx")?;
        model.execute_async(&stream, &model.create_inputs()?, &model.create_outputs()?)?;
        let transfer = stream.upload(context.alloc_pinned(1000)?, &buffer)?;
        let awaited = stream.download(&buffer, context.alloc_pinned(1000)?)?;
        stream.record(&event)?;
        let callback = stream.launch_callback(fates.closure())?;
        let future = stream.launch_callback(fates.closure())?;
        drop(stream.launch_callback(fates.closure())?);
        // A stream that is dropped with work on it.
        let dropped = context.create_stream()?;
        gate.also(&dropped)?;
        let orphan = dropped.launch_callback(fates.closure())?;
        drop(dropped);
        let mut ours = Ours {
            pinned: Some(context.alloc_pinned(1000)?),
            context,
            stream,
            gate: Some(gate),
            event,
            buffer,
            transfer: Some(transfer),
            model,
            fates,
            launched: 4,
            waiting: Vec::new(),
        };
        let (stream, event, context) = (ours.stream.clone(), ours.event.clone(), ours.context.clone());
        ours.wait("Stream::synchronize", move || stream.synchronize());
        ours.wait("Event::synchronize", move || event.synchronize());
        ours.wait("Context::synchronize", move || context.synchronize());
        ours.wait("Callback::wait", move || callback.wait());
        ours.wait("Callback::await", move || pollster::block_on(future));
        ours.wait("Callback::wait of a dropped stream", move || orphan.wait());
        ours.wait("Transfer::await", move || pollster::block_on(awaited).map(drop));
        // They are in their waits, most likely. No assertion depends on it.
        thread::sleep(Duration::from_millis(100));
        Ok(ours)
    }

    fn wait(&mut self, what: &'static str, wait: impl FnOnce() -> Result<()> + Send + 'static) {
        self.waiting.push((what, thread::spawn(wait)));
    }

    /// What came of the waits; all of them end.
    pub fn ended(&mut self) -> Vec<(&'static str, Result<()>)> {
        let start = std::time::Instant::now();
        let waiting = std::mem::take(&mut self.waiting);
        for (what, thread) in &waiting {
            while !thread.is_finished() {
                assert!(start.elapsed() < BOUND, "{what} waits for ever");
                thread::sleep(Duration::from_millis(1));
            }
        }
        waiting.into_iter().map(|(what, thread)| (what, thread.join().unwrap())).collect()
    }

    /// Nothing has happened to it: the gate opens, and all is well.
    pub fn goes_on(&mut self) -> Result<()> {
        self.gate.take().expect("it is closed").open()?;
        for (what, result) in self.ended() {
            assert!(result.is_ok(), "{what}: {result:?}");
        }
        self.stream.synchronize()?;
        self.transfer.take().expect("it was not waited for").wait()?;
        assert_eq!(self.stream.launch_callback(|| 5)?.wait()?, 5);
        assert_eq!(self.fates.ran.load(Ordering::SeqCst), self.launched);
        Ok(())
    }

    /// The waits for callbacks end with `Abandoned`, or in an error of the stream; no closure runs, and all are dropped.
    pub fn callbacks_are_abandoned(&mut self) {
        for (what, result) in self.ended() {
            match (what, result) {
                ("Callback::wait" | "Callback::await" | "Callback::wait of a dropped stream", result) => {
                    assert!(matches!(result, Err(Error::Abandoned { .. })), "{what}: {result:?}");
                }
                // What they wait for is not done, and so it must not be said.
                ("Transfer::await" | "Stream::synchronize", result) => {
                    assert!(result.is_err(), "{what}: {result:?}");
                }
                (_, result) => println!("{what}: {result:?}"),
            }
        }
        assert_eq!(self.fates.ran.load(Ordering::SeqCst), 0);
        assert_eq!(self.fates.dropped.load(Ordering::SeqCst), self.launched);
    }

    /// Everything that works with the stream fails, and says so.
    pub fn stream_is_dead(&mut self) {
        let (stream, fates) = (&self.stream, Fates::default());
        let short = Duration::from_millis(50);
        let failed = |what: &str, result: Result<()>| {
            let error = result.err().unwrap_or_else(|| panic!("{what} works"));
            match &error {
                Error::Acl(error) => assert!(crate::is_typed(error.code.0), "{what}: {error}"),
                Error::Poisoned { .. } => {}
                other => panic!("{what}: {other:?}"),
            }
            assert!(!error.to_string().is_empty());
        };
        failed("synchronize_timeout", stream.synchronize_timeout(short));
        failed("is_idle", stream.is_idle().map(drop));
        failed("record", stream.record(&self.event));
        failed("wait", stream.wait(&self.event));
        failed("memset", stream.memset(&self.buffer, 1));
        failed("launch_callback", stream.launch_callback(fates.closure()).map(drop));
        assert_eq!((fates.ran.load(Ordering::SeqCst), fates.dropped.load(Ordering::SeqCst)), (0, 1));
        let pinned = self.pinned.take().expect("it was not used");
        failed("upload", stream.upload(pinned, &self.buffer).map(drop).map_err(Error::from));
        let transfer = self.transfer.take().expect("it was not waited for");
        failed("wait_timeout", transfer.wait_timeout(short).map(drop).map_err(Error::from));
    }

    /// As [`Ours::stream_is_dead`], and so is all that works in the context.
    pub fn context_is_dead(&mut self) {
        self.stream_is_dead();
        let failed = |what: &str, result: Result<()>| match result {
            Err(Error::Acl(error)) => assert!(crate::is_typed(error.code.0), "{what}: {error}"),
            other => panic!("{what}: {other:?}"),
        };
        failed("enter", self.context.enter().map(drop));
        failed("create_stream", self.context.create_stream().map(drop));
        failed("create_event", self.context.create_event().map(drop));
        failed("alloc", self.context.alloc::<u8>(1).map(drop));
        failed("alloc_pinned", self.context.alloc_pinned::<u8>(1).map(drop));
        failed("query", self.event.query().map(drop));
        failed("to_vec", self.buffer.to_vec().map(drop));
        failed("create_inputs", self.model.create_inputs().map(drop));
        failed("load", Model::load(&self.context, "examples/assets/digits/digits.onnx").map(drop));
    }
}

/// What destructors could not do.
#[derive(Clone, Default)]
pub struct Failures(Arc<Mutex<Vec<String>>>);

impl Failures {
    /// From now on.
    pub fn watch() -> Failures {
        let failures = Failures::default();
        let list = failures.0.clone();
        ascendcl::set_drop_error_hook(move |error| list.lock().unwrap().push(error.to_string()));
        failures
    }

    pub fn list(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}
