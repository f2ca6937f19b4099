//! The pool that streams run on.
//!
//! A stream with work to do is put into one of the pool's queues and later gets a turn on a pool thread, in which it runs a bounded
//! number of tasks. A stream that waits is in no queue and holds no thread. Everything that decides which stream runs next is in
//! this file.
//!
//! To wake a thread costs more than most tasks. A thread that has run out of work therefore looks for more a little longer before it
//! sleeps, and as long as one looks, or has been woken to look, nobody else is woken.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use super::{Stream, seeded};
#[cfg(feature = "onnx")]
use crate::engine_thread::start as start_thread;
use crate::lock::{Condvar, Mutex};
#[cfg(not(feature = "onnx"))]
use crate::own_thread::start as start_thread;

/// Tasks in one turn, so that streams share the pool fairly.
const BUDGET: usize = 32;
/// How often a thread looks for work before it sleeps: some ten microseconds.
const LOOKS: usize = 128;

struct Executor {
    shards: Box<[Mutex<VecDeque<Arc<Stream>>>]>,
    /// Streams in all shards together. Changed only under the lock of the shard that changes.
    ready: AtomicUsize,
    /// Threads that look for a stream to run, and calls that sleepers have not heard yet.
    searching: AtomicUsize,
    /// Threads that sleep or are about to, and have not been called. Changed only under the lock of `calls`.
    sleepers: AtomicUsize,
    /// Sleepers that are to wake up.
    calls: Mutex<usize>,
    wake: Condvar,
}

thread_local! {
    static IS_POOL_THREAD: Cell<bool> = const { Cell::new(false) };
}

static EXECUTOR: OnceLock<Executor> = OnceLock::new();

/// Gives `stream` a turn soon. The caller has just marked it ready, so that nobody else schedules it.
pub(super) fn schedule(stream: Arc<Stream>) {
    if seeded::is_on() {
        return seeded::schedule(stream);
    }
    let executor = EXECUTOR.get_or_init(start);
    let shard = stream.id() as usize % executor.shards.len();
    {
        let mut queue = executor.shards[shard].lock();
        queue.push_back(stream);
        executor.ready.fetch_add(1, Ordering::SeqCst);
    }
    executor.call();
}

/// Whether the calling thread is one of the pool.
pub(super) fn is_pool_thread() -> bool {
    IS_POOL_THREAD.get()
}

fn start() -> Executor {
    let threads = thread::available_parallelism().map_or(2, |n| n.get()).clamp(2, 8);
    for index in 0..threads {
        let spawned = start_thread(&format!("ascendcl-sim-{index}"), move || run(EXECUTOR.wait(), index));
        if let Err(error) = spawned {
            log::error!("cannot start pool thread {index}: {error}");
        }
    }
    Executor {
        shards: (0..threads).map(|_| Mutex::new(VecDeque::new())).collect(),
        ready: AtomicUsize::new(0),
        searching: AtomicUsize::new(0),
        sleepers: AtomicUsize::new(0),
        calls: Mutex::new(0),
        wake: Condvar::new(),
    }
}

/// A pool thread. It never ends: threads are detached and go with the process.
fn run(executor: &'static Executor, index: usize) {
    IS_POOL_THREAD.set(true);
    loop {
        let stream = executor.pop(index).unwrap_or_else(|| executor.search(index));
        stream.turn(BUDGET);
    }
}

impl Executor {
    fn pop(&self, own: usize) -> Option<Arc<Stream>> {
        if self.ready.load(Ordering::SeqCst) == 0 {
            return None;
        }
        let count = self.shards.len();
        (0..count).find_map(|step| {
            let mut queue = self.shards[(own + step) % count].lock();
            let stream = queue.pop_front()?;
            self.ready.fetch_sub(1, Ordering::SeqCst);
            Some(stream)
        })
    }

    /// Looks for a stream until there is one.
    fn search(&self, own: usize) -> Arc<Stream> {
        let mut alone = self.searching.fetch_add(1, Ordering::SeqCst) == 0;
        loop {
            // One that looks is enough.
            for _ in 0..if alone { LOOKS } else { 1 } {
                if let Some(stream) = self.pop(own) {
                    // There may be more, and who saw that somebody looks has woken nobody.
                    if self.searching.fetch_sub(1, Ordering::SeqCst) == 1
                        && self.ready.load(Ordering::SeqCst) > 0
                    {
                        self.call();
                    }
                    return stream;
                }
                std::hint::spin_loop();
            }
            self.doze();
            alone = self.searching.load(Ordering::SeqCst) == 1;
        }
    }

    /// Wakes a thread if none looks for work.
    fn call(&self) {
        // Either the sleeper's count is seen here, or our stream's count is seen by the sleeper before it waits.
        if self.sleepers.load(Ordering::SeqCst) == 0
            || self.searching.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_err()
        {
            return;
        }
        let mut calls = self.calls.lock();
        if self.sleepers.load(Ordering::SeqCst) == 0 {
            // It has found work, or will look once more.
            drop(calls);
            self.searching.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        *calls += 1;
        drop(calls);
        self.wake.notify_one();
    }

    /// Sleeps until there is work. Who comes out of it is searching, as before.
    fn doze(&self) {
        let calls = self.calls.lock();
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        self.searching.fetch_sub(1, Ordering::SeqCst);
        if self.ready.load(Ordering::SeqCst) > 0 {
            self.sleepers.fetch_sub(1, Ordering::SeqCst);
            self.searching.fetch_add(1, Ordering::SeqCst);
            return;
        }
        // Who calls has counted us as searching already.
        let (mut calls, _) = self.wake.wait_while(calls, None, |calls| *calls == 0);
        *calls -= 1;
    }
}
