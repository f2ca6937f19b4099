//! Callbacks: exactly once and in order, and what they give back, by waiting and by awaiting.

mod support;

use ascendcl::{Callback, Error, Result, Stream};
use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};
use support::{Gate, HostGate, Wakes, until};

const SOON: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(30);

fn stream(acl: &ascendcl::Acl) -> Result<Stream> {
    acl.device(0)?.create_context()?.create_stream()
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

fn poll<T>(callback: std::pin::Pin<&mut Callback<T>>, count: &Arc<Wakes>) -> Poll<Result<T>> {
    callback.poll(&mut Context::from_waker(&count.waker()))
}

backend_test! {
    fn polling_by_hand(acl) {
        let stream = stream(acl)?;
        let gate = Gate::close(&stream)?;
        let (old, new) = (Wakes::new(), Wakes::new());
        let mut callback = pin!(stream.launch_callback(|| 8)?);
        for count in [&old, &old, &new, &new] {
            assert!(poll(callback.as_mut(), count).is_pending());
        }
        gate.open()?;
        stream.synchronize()?;
        assert_eq!((old.count(), new.count()), (0, 1), "the last waker is woken, once");
        assert!(matches!(poll(callback.as_mut(), &new), Poll::Ready(Ok(8))));
        // It does not matter who is told when nothing has to be waited for.
        let mut callback = pin!(stream.launch_callback(|| 9)?);
        stream.synchronize()?;
        assert!(matches!(poll(callback.as_mut(), &old), Poll::Ready(Ok(9))));
        assert_eq!(old.count(), 0);
    }
}

backend_test! {
    fn a_future_dropped_before_it_is_woken(acl) {
        let stream = stream(acl)?;
        let gate = Gate::close(&stream)?;
        let ran = Arc::new(AtomicBool::new(false));
        let count = Wakes::new();
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
