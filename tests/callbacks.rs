//! Callbacks: exactly once and in order, what they give back, and what closures may and may not do.

mod support;

use ascendcl::{Callback, CallbackMode, Error, ErrorKind, EventFlags, Model, Result, Stream};
use ascendcl_sim::Profile;
use std::{
    future::Future,
    panic::panic_any,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};
use support::{Gate, HostGate, kind, until, with_profile};

const SOON: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(30);

fn stream(acl: &ascendcl::Acl) -> Result<Stream> {
    acl.device(0)?.create_context()?.create_stream()
}

/// Sets a flag when it is dropped.
struct Tell(Arc<AtomicBool>);

impl Tell {
    fn new() -> (Tell, Arc<AtomicBool>) {
        let flag = Arc::new(AtomicBool::new(false));
        (Tell(flag.clone()), flag)
    }
}

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("the bomb went off");
        }
    }
}

backend_test! {
    fn what_closures_return(acl) {
        let stream = stream(acl)?;
        assert_eq!(stream.launch_callback(|| 42)?.wait()?, 42);
        assert_eq!(stream.launch_callback(|| vec!["a".to_owned(); 3])?.wait()?, ["a"; 3]);
        stream.launch_callback(|| ())?.wait()?;
        let inner = stream.launch_callback(|| Err::<u8, _>("inner"))?.wait()?;
        assert_eq!(inner, Err("inner"));
        // Values that are not Sync, and large ones.
        assert_eq!(stream.launch_callback(|| std::cell::Cell::new(7))?.wait()?.get(), 7);
        assert_eq!(stream.launch_callback(|| [3_u8; 10_000])?.wait()?, [3; 10_000]);
        let big = [1_u64; 1000];
        assert_eq!(stream.launch_callback(move || big.iter().sum::<u64>())?.wait()?, 1000);
    }
}

backend_test! {
    fn closures_run_on_the_report_thread_of_their_context(acl) {
        let device = acl.device(0)?;
        let (a, b) = (device.create_context()?, device.create_context()?);
        let who = |stream: &Stream| stream.launch_callback(|| thread::current().id())?.wait();
        let (first, second, other) = (a.create_stream()?, a.create_stream()?, b.create_stream()?);
        let thread_of_a = who(&first)?;
        assert_ne!(thread_of_a, thread::current().id());
        assert_eq!((who(&second)?, who(&first)?), (thread_of_a, thread_of_a), "one thread serves the context");
        assert_ne!(who(&other)?, thread_of_a, "and another one the other");
        // So a slow closure holds up its own context only.
        let gate = HostGate::close(&first)?;
        assert_eq!(other.launch_callback(|| 1)?.wait()?, 1);
        let behind = second.launch_callback(|| 2)?;
        assert!(behind.wait_timeout(SOON).is_err_and(|rejected| rejected.returned.is_some()));
        gate.open().wait()?;
    }
}

backend_test! {
    fn a_blocking_callback_holds_up_its_stream(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let buffer = context.alloc::<u8>(8)?;
        buffer.memset(0)?;
        let gate = HostGate::close(&stream)?;
        stream.memset(&buffer, 1)?;
        assert!(stream.synchronize_timeout(SOON).unwrap_err().is_timeout());
        assert_eq!(buffer.to_vec()?, [0; 8]);
        gate.open().wait()?;
        stream.synchronize()?;
        assert_eq!(buffer.to_vec()?, [1; 8]);
    }
}

backend_test! {
    fn exactly_once_and_in_order_under_stress(acl) {
        const THREADS: usize = 4;
        const STREAMS: usize = 3;
        const ROUNDS: usize = 300;
        let contexts = [acl.device(0)?.create_context()?, acl.device(0)?.create_context()?];
        let contexts = &contexts;
        thread::scope(|scope| {
            for number in 0..THREADS {
                scope.spawn(move || {
                    let context = &contexts[number % 2];
                    let streams: Vec<_> = (0..STREAMS).map(|_| context.create_stream().unwrap()).collect();
                    let logs: Vec<_> = (0..STREAMS).map(|_| Arc::new(Mutex::new(Vec::new()))).collect();
                    for round in 0..ROUNDS {
                        for (stream, log) in streams.iter().zip(&logs) {
                            let log = log.clone();
                            let callback = stream
                                .launch_callback(move || {
                                    log.lock().unwrap().push(round);
                                    round
                                })
                                .unwrap();
                            match round % 7 {
                                0 => assert_eq!(callback.wait().unwrap(), round),
                                1 => drop(callback.wait_timeout(Duration::from_micros(50))),
                                2 => assert_eq!(pollster::block_on(callback).unwrap(), round),
                                _ => drop(callback),
                            }
                        }
                    }
                    for stream in &streams {
                        stream.synchronize().unwrap();
                    }
                    for log in &logs {
                        assert_eq!(*log.lock().unwrap(), (0..ROUNDS).collect::<Vec<_>>());
                    }
                });
            }
        });
    }
}

backend_test! {
    fn one_stream_from_many_threads(acl) {
        let stream = stream(acl)?;
        let ran = Arc::new(Mutex::new(vec![0; 4000]));
        thread::scope(|scope| {
            for number in 0..4 {
                let (stream, ran) = (&stream, &ran);
                scope.spawn(move || {
                    for round in 0..1000 {
                        let ran = ran.clone();
                        drop(stream.launch_callback(move || ran.lock().unwrap()[number * 1000 + round] += 1).unwrap());
                    }
                });
            }
        });
        stream.synchronize()?;
        assert!(ran.lock().unwrap().iter().all(|&count| count == 1));
    }
}

backend_test! {
    fn waiting_for_no_longer_than(acl) {
        let stream = stream(acl)?;
        let gate = Gate::close(&stream)?;
        let mut callback = stream.launch_callback(|| "done")?;
        for timeout in [Duration::ZERO, Duration::from_nanos(1), SOON] {
            assert!(!callback.is_finished());
            let rejected = callback.wait_timeout(timeout).unwrap_err();
            assert!(matches!(rejected.error, Error::Timeout { .. }) && rejected.error.is_timeout(), "{rejected}");
            callback = rejected.returned.expect("a timeout gives it back");
        }
        assert_eq!(format!("{callback:?}"), "Callback { finished: false }");
        gate.open()?;
        stream.synchronize()?;
        assert!(callback.is_finished());
        assert_eq!(format!("{callback:?}"), "Callback { finished: true }");
        // What is there is given at once.
        assert_eq!(callback.wait_timeout(Duration::ZERO).unwrap(), "done");
        assert_eq!(stream.launch_callback(|| 1)?.wait_timeout(Duration::MAX).unwrap(), 1);
        assert_eq!(stream.launch_callback(|| 1)?.wait_timeout(LONG).unwrap(), 1);
    }
}

backend_test! {
    fn many_wait_at_once(acl) {
        let stream = stream(acl)?;
        let gate = Gate::close(&stream)?;
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..20)
                .map(|number| {
                    let callback = stream.launch_callback(move || number).unwrap();
                    scope.spawn(move || callback.wait())
                })
                .collect();
            gate.open().unwrap();
            for (number, thread) in waiting.into_iter().enumerate() {
                assert_eq!(thread.join().unwrap().unwrap(), number);
            }
        });
    }
}

backend_test! {
    fn awaiting(acl) {
        let context = acl.device(0)?.create_context()?;
        let streams = [context.create_stream()?, context.create_stream()?];
        let sum = pollster::block_on(async {
            let mut sum = 0;
            for round in 0..100 {
                sum += streams[round % 2].launch_callback(move || round)?.await?;
            }
            Ok::<_, Error>(sum)
        })?;
        assert_eq!(sum, 99 * 100 / 2);
        // All enqueued first, awaited afterwards, the last first.
        let callbacks = (0..50).map(|number| streams[number % 2].launch_callback(move || number));
        let callbacks = callbacks.collect::<Result<Vec<_>>>()?;
        pollster::block_on(async {
            for (number, callback) in callbacks.into_iter().enumerate().rev() {
                assert_eq!(callback.await.unwrap(), number);
            }
        });
    }
}

/// Counts how often it is woken, and on which thread.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll<T>(callback: std::pin::Pin<&mut Callback<T>>, count: &Arc<Count>) -> Poll<Result<T>> {
    callback.poll(&mut Context::from_waker(&Waker::from(count.clone())))
}

backend_test! {
    fn polling_by_hand(acl) {
        let stream = stream(acl)?;
        let gate = Gate::close(&stream)?;
        let (old, new) = (Arc::<Count>::default(), Arc::<Count>::default());
        let mut callback = pin!(stream.launch_callback(|| 8)?);
        for count in [&old, &old, &new, &new] {
            assert!(poll(callback.as_mut(), count).is_pending());
        }
        gate.open()?;
        stream.synchronize()?;
        assert_eq!((old.0.load(Ordering::SeqCst), new.0.load(Ordering::SeqCst)), (0, 1), "the last waker is woken, once");
        assert!(matches!(poll(callback.as_mut(), &new), Poll::Ready(Ok(8))));
        // It does not matter who is told when nothing has to be waited for.
        let mut callback = pin!(stream.launch_callback(|| 9)?);
        stream.synchronize()?;
        assert!(matches!(poll(callback.as_mut(), &old), Poll::Ready(Ok(9))));
        assert_eq!(old.0.load(Ordering::SeqCst), 0);
    }
}

backend_test! {
    fn a_future_dropped_before_it_is_woken(acl) {
        let stream = stream(acl)?;
        let gate = Gate::close(&stream)?;
        let ran = Arc::new(AtomicBool::new(false));
        let count = Arc::<Count>::default();
        {
            let ran = ran.clone();
            let mut callback = pin!(stream.launch_callback(move || ran.store(true, Ordering::SeqCst))?);
            assert!(poll(callback.as_mut(), &count).is_pending());
        }
        gate.open()?;
        stream.synchronize()?;
        assert!(ran.load(Ordering::SeqCst), "the closure runs all the same");
    }
}

/// A waker that polls at once, on the thread that wakes: the smallest executor there is.
struct PollAtOnce {
    callback: Mutex<Option<Callback<u8>>>,
    got: Mutex<Option<Result<u8>>>,
}

impl Wake for PollAtOnce {
    fn wake(self: Arc<Self>) {
        let Some(mut callback) = self.callback.lock().unwrap().take() else { return };
        let waker = Waker::from(self.clone());
        match pin!(&mut callback).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => *self.got.lock().unwrap() = Some(result),
            Poll::Pending => *self.callback.lock().unwrap() = Some(callback),
        }
    }
}

backend_test! {
    fn a_waker_that_polls_at_once(acl) {
        let stream = stream(acl)?;
        let gate = Gate::close(&stream)?;
        let task = Arc::new(PollAtOnce { callback: Mutex::new(Some(stream.launch_callback(|| 4)?)), got: Mutex::new(None) });
        task.clone().wake();
        assert!(task.got.lock().unwrap().is_none());
        gate.open()?;
        stream.synchronize()?;
        assert_eq!(task.got.lock().unwrap().take().unwrap()?, 4);
    }
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

backend_test! {
    fn a_stream_dropped_with_callbacks_pending_runs_them(acl) {
        let context = acl.device(0)?.create_context()?;
        for round in 0..30 {
            let stream = context.create_stream()?;
            let gate = Gate::close(&stream)?;
            let callbacks = (0..10).map(|number| stream.launch_callback(move || number)).collect::<Result<Vec<_>>>()?;
            if round % 2 == 0 {
                drop(stream);
                gate.open()?;
            } else {
                gate.open()?;
                drop(stream);
            }
            for (number, callback) in callbacks.into_iter().enumerate() {
                assert_eq!(callback.wait()?, number);
            }
        }
    }
}

backend_test! {
    fn streams_come_and_go_while_callbacks_run(acl) {
        let context = acl.device(0)?.create_context()?;
        let ran = Arc::new(AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let stream = context.create_stream().unwrap();
                        for _ in 0..5 {
                            let ran = ran.clone();
                            drop(stream.launch_callback(move || ran.fetch_add(1, Ordering::SeqCst)).unwrap());
                        }
                    }
                });
            }
        });
        until(|| ran.load(Ordering::SeqCst) == 4 * 100 * 5);
    }
}

backend_test! {
    fn contexts_come_and_go_while_callbacks_run(acl) {
        let ran = Arc::new(AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..30 {
                        let stream = stream(acl).unwrap();
                        let ran = ran.clone();
                        drop(stream.launch_callback(move || ran.fetch_add(1, Ordering::SeqCst)).unwrap());
                    }
                });
            }
        });
        until(|| ran.load(Ordering::SeqCst) == 4 * 30);
    }
}

backend_test! {
    fn a_full_queue_blocks_and_does_not_deadlock(acl) {
        const MANY: usize = 10_000;
        let stream = stream(acl)?;
        let ran = Arc::new(AtomicUsize::new(0));
        let gate = HostGate::close(&stream)?;
        let launched = Arc::new(AtomicUsize::new(0));
        let launcher = thread::spawn({
            let (stream, ran, launched) = (stream.clone(), ran.clone(), launched.clone());
            move || -> Result<()> {
                for _ in 0..MANY {
                    let ran = ran.clone();
                    drop(stream.launch_callback(move || ran.fetch_add(1, Ordering::SeqCst))?);
                    launched.fetch_add(1, Ordering::SeqCst);
                }
                Ok(())
            }
        });
        // It gets as far as the queue is deep. What is counted here decides nothing; it makes a full queue likely.
        let mut before = usize::MAX;
        until(|| {
            thread::sleep(Duration::from_millis(10));
            let now = launched.load(Ordering::SeqCst);
            std::mem::replace(&mut before, now) == now
        });
        if support::is_simulator(acl) {
            assert!(launched.load(Ordering::SeqCst) < MANY, "the queue is full");
        }
        assert_eq!(ran.load(Ordering::SeqCst), 0);
        gate.open().wait()?;
        launcher.join().unwrap()?;
        stream.synchronize()?;
        assert_eq!(ran.load(Ordering::SeqCst), MANY);
    }
}

backend_test! {
    fn thousands_outstanding_on_many_streams(acl) {
        let context = acl.device(0)?.create_context()?;
        let ran = Arc::new(AtomicUsize::new(0));
        let streams = (0..100).map(|_| context.create_stream()).collect::<Result<Vec<_>>>()?;
        let gate = Gate::close(&streams[0])?;
        let mut callbacks = Vec::new();
        for stream in &streams {
            gate.also(stream)?;
            for _ in 0..50 {
                let ran = ran.clone();
                callbacks.push(stream.launch_callback(move || ran.fetch_add(1, Ordering::SeqCst))?);
            }
        }
        drop(streams);
        assert!(callbacks.iter().all(|callback| !callback.is_finished()));
        gate.open()?;
        let mut numbers = callbacks.into_iter().map(Callback::wait).collect::<Result<Vec<_>>>()?;
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..5000));
    }
}

backend_test! {
    fn non_blocking_callbacks_on_a_chip_without_them(acl) {
        if acl.soc_name()?.as_deref() != Some("Ascend310") {
            return Ok(());
        }
        let stream = stream(acl)?;
        let ((tell, dropped), ran) = (Tell::new(), Arc::new(AtomicBool::new(false)));
        let result = stream.launch_callback_with(CallbackMode::NonBlocking, {
            let ran = ran.clone();
            move || {
                let _tell = tell;
                ran.store(true, Ordering::SeqCst);
            }
        });
        assert_eq!(kind(result.map(drop)), ErrorKind::NotSupported);
        assert!(dropped.load(Ordering::SeqCst) && !ran.load(Ordering::SeqCst));
        // A closure that panics when it is dropped: the error comes all the same.
        let bomb = Bomb;
        let result = stream.launch_callback_with(CallbackMode::NonBlocking, move || drop(bomb));
        assert_eq!(kind(result.map(drop)), ErrorKind::NotSupported);
        assert_eq!(stream.launch_callback_with(CallbackMode::Blocking, || 1)?.wait()?, 1);
    }
}

sim_test! {
    fn non_blocking_callbacks_do_not_hold_up_their_stream() {
        with_profile(Profile::full(), |acl| {
            let stream = stream(acl)?;
            let (open, gate) = mpsc::channel::<()>();
            let callback = stream.launch_callback_with(CallbackMode::NonBlocking, move || gate.recv().is_err())?;
            stream.synchronize()?;
            assert!(stream.is_idle()? && !callback.is_finished());
            drop(open);
            assert!(callback.wait()?);
            Ok(())
        })?;
    }
}

sim_test! {
    fn non_blocking_callbacks_run_though_their_stream_was_dropped() {
        with_profile(Profile::full(), |acl| {
            for synchronise in [true, false] {
                let stream = stream(acl)?;
                let (open, gate) = mpsc::channel::<()>();
                let first = stream.launch_callback_with(CallbackMode::NonBlocking, move || gate.recv().is_err())?;
                let rest = (0..10)
                    .map(|number| stream.launch_callback_with(CallbackMode::NonBlocking, move || number))
                    .collect::<Result<Vec<_>>>()?;
                if synchronise {
                    stream.synchronize()?;
                }
                drop(stream);
                drop(open);
                assert!(first.wait()?);
                for (number, callback) in rest.into_iter().enumerate() {
                    assert_eq!(callback.wait()?, number);
                }
            }
            Ok(())
        })?;
    }
}

sim_test! {
    fn exactly_once_when_blocking_and_non_blocking_are_mixed() {
        with_profile(Profile::full(), |acl| {
            let stream = stream(acl)?;
            let log = Arc::new(Mutex::new(Vec::new()));
            for number in 0..1000 {
                let mode = if number % 3 == 0 { CallbackMode::Blocking } else { CallbackMode::NonBlocking };
                let log = log.clone();
                drop(stream.launch_callback_with(mode, move || log.lock().unwrap().push(number))?);
            }
            stream.launch_callback(|| ())?.wait()?;
            assert!(log.lock().unwrap().iter().copied().eq(0..1000));
            Ok(())
        })?;
    }
}

sim_test! {
    fn a_stream_that_is_dropped_in_a_non_blocking_callback() {
        with_profile(Profile::full(), |acl| {
            for _ in 0..20 {
                let stream = stream(acl)?;
                let own = stream.clone();
                let callback = stream.launch_callback_with(CallbackMode::NonBlocking, move || drop(own))?;
                drop(stream);
                callback.wait()?;
            }
            Ok(())
        })?;
    }
}
