//! Threads of the simulator's own on which the engine may compute where it is called.
//!
//! The engine hands what it computes to a pool of threads and waits, unless the thread that calls is one of that pool. For a model that
//! is done in microseconds the two hand-overs take as long as the model. A thread that streams run on is therefore a pool of the
//! engine's, of one thread.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::thread;

use rten::ThreadPool;

use crate::own_thread;

thread_local! {
    static POOL: RefCell<Option<Arc<ThreadPool>>> = const { RefCell::new(None) };
}

/// Starts a detached thread, whose `body` does not panic.
pub(crate) fn start(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // On a thread of its own: one of the program's may be in a pool too, which gives it other work while it waits for ours.
    own_thread::start(name, move || {
        let starter = thread::current().id();
        let pool = Arc::new(ThreadPool::with_num_threads(1));
        let own = pool.clone();
        pool.run(|| {
            if thread::current().id() == starter {
                log::error!("cannot start a thread for streams");
                return;
            }
            // Runs on this thread, behind this closure.
            rayon::spawn(move || {
                POOL.set(Some(own));
                body();
            });
        });
    })
}

/// The pool that the calling thread is, if it is one.
pub(crate) fn pool() -> Option<Arc<ThreadPool>> {
    POOL.with_borrow(Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_thread_computes_where_it_is() {
        let (sender, told) = mpsc::channel();
        start("ascendcl-sim-test", move || {
            let here = thread::current().id();
            sender.send((pool().map(|pool| pool.run(|| thread::current().id())), here)).unwrap();
        })
        .unwrap();
        let (computed, here) = told.recv().unwrap();
        assert_eq!(computed, Some(here));
        assert!(pool().is_none(), "this thread was not started so");
    }
}
