//! The pool that streams run on.
//!
//! A stream with work to do is put into one of the pool's queues and later gets a turn on a pool thread, in which it runs a bounded
//! number of tasks. A stream that waits is in no queue and holds no thread. Everything that decides which stream runs next is in
//! this file.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use super::{Stream, seeded};
use crate::lock::{Condvar, Mutex};

/// Tasks in one turn, so that streams share the pool fairly.
const BUDGET: usize = 32;
/// Model execution needs more than the default.
const STACK: usize = 8 << 20;

struct Executor {
    shards: Box<[Mutex<VecDeque<Arc<Stream>>>]>,
    /// Streams in all shards together. Changed only under the lock of the shard that changes.
    ready: AtomicUsize,
    /// Threads that sleep or are about to.
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
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
    // Either the sleeper's count is seen here, or our stream's count is seen by the sleeper before it waits.
    if executor.sleepers.load(Ordering::SeqCst) > 0 {
        drop(executor.sleep.lock());
        executor.wake.notify_one();
    }
}

fn start() -> Executor {
    let threads = thread::available_parallelism().map_or(2, |n| n.get()).clamp(2, 8);
    for index in 0..threads {
        let spawned = thread::Builder::new()
            .name(format!("ascendcl-sim-{index}"))
            .stack_size(STACK)
            .spawn(move || run(EXECUTOR.wait(), index));
        if let Err(error) = spawned {
            log::error!("cannot start pool thread {index}: {error}");
        }
    }
    Executor {
        shards: (0..threads).map(|_| Mutex::new(VecDeque::new())).collect(),
        ready: AtomicUsize::new(0),
        sleepers: AtomicUsize::new(0),
        sleep: Mutex::new(()),
        wake: Condvar::new(),
    }
}

/// A pool thread. It never ends: threads are detached and go with the process.
fn run(executor: &'static Executor, index: usize) {
    block_signals();
    loop {
        match executor.pop(index) {
            Some(stream) => stream.turn(BUDGET),
            None => executor.doze(),
        }
    }
}

impl Executor {
    fn pop(&self, own: usize) -> Option<Arc<Stream>> {
        let count = self.shards.len();
        (0..count).find_map(|step| {
            let mut queue = self.shards[(own + step) % count].lock();
            let stream = queue.pop_front()?;
            self.ready.fetch_sub(1, Ordering::SeqCst);
            Some(stream)
        })
    }

    fn doze(&self) {
        let guard = self.sleep.lock();
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let (guard, _) = self.wake.wait_while(guard, None, |()| self.ready.load(Ordering::SeqCst) == 0);
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        drop(guard);
    }
}

/// Signal handlers belong to the program's own threads.
pub(crate) fn block_signals() {
    // SAFETY: the set is initialised by sigfillset before it is used, and the mask is this thread's own.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
    }
}
