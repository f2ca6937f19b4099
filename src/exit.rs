//! The exit of the process, as far as it concerns ACL: nothing of this crate calls into a library whose statics are being destroyed.
//!
//! `exit`, and so the return from `main`, runs the handlers that were registered with `atexit`, the last one first; among them are the
//! destructors of what the C libraries keep in statics. All the while the other threads go on. So this crate registers a handler
//! of its own once the libraries have set up theirs: it turns every further call into [`Error::Exiting`](crate::Error::Exiting), lets destructors do
//! nothing, wakes who waits for a callback, and waits until the threads of this crate have come out of ACL.
//!
//! What the threads of the program have called before, nobody waits for: they could be waiting for ever.

use crate::{callback, exceptions, guard};
use ascendcl_sys::AclApi;
use std::{
    cell::Cell,
    collections::BTreeSet,
    ptr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long an exit waits for this crate's threads. They look up from waiting for reports every 100 milliseconds.
const PATIENCE: Duration = Duration::from_millis(500);

/// How many times this crate's threads are inside of ACL.
static BUSY: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// How many of them are this thread's.
    static OWN: Cell<usize> = const { Cell::new(0) };
}

/// When a library sets up more of what is destroyed at exit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Initialised,
    /// Its first device: this is when it starts its threads.
    DeviceOpened,
}

/// Watches for the exit of the process. To be called behind each stage of each backend.
pub(crate) fn watch(api: &'static AclApi, stage: Stage) {
    static WATCHED: Mutex<BTreeSet<(usize, Stage)>> = Mutex::new(BTreeSet::new());
    extern "C" fn at_exit() {
        // A forked child, or not the first of these handlers to run.
        if guard::is_over() {
            return;
        }
        guard::begin_exit();
        callback::wake_all();
        exceptions::wake_all();
        // This thread itself may be one of this crate's, in a closure's destructor or a hook.
        let own = OWN.get();
        let start = Instant::now();
        while BUSY.load(Ordering::SeqCst) > own && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
    }
    let new =
        WATCHED.lock().unwrap_or_else(PoisonError::into_inner).insert((ptr::from_ref(api).addr(), stage));
    if new {
        // SAFETY: [os] the handler touches only statics that are never destroyed, and does not unwind; being a plain function it stays
        // valid until the program, or the library that it is a part of, is unloaded, when handlers are run and forgotten.
        if unsafe { libc::atexit(at_exit) } != 0 {
            log::warn!("cannot watch for the exit of the process");
        }
    }
}

/// A thread of this crate is inside of ACL, until dropped.
pub(crate) struct Busy(());

impl Busy {
    /// `None` when nobody may call ACL any more.
    pub(crate) fn enter() -> Option<Busy> {
        // Counted before looking, as an exit looks after it said so: one of both sees the other.
        BUSY.fetch_add(1, Ordering::SeqCst);
        OWN.set(OWN.get() + 1);
        let busy = Busy(());
        (!guard::is_over()).then_some(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        OWN.set(OWN.get() - 1);
        BUSY.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs `action`, which is code of the program and may take any time, on a thread that may be busy. When the process has begun to exit
/// meanwhile, such a thread stops here and does not return into the library.
pub(crate) fn outside(action: impl FnOnce()) {
    struct Back(usize);
    impl Drop for Back {
        fn drop(&mut self) {
            let Back(own) = *self;
            if own == 0 {
                return;
            }
            BUSY.fetch_add(own, Ordering::SeqCst);
            OWN.set(own);
            // In a forked child there is nothing to wait for, and the thread ends as soon as it can.
            if guard::is_over() && !guard::forked() {
                BUSY.fetch_sub(own, Ordering::SeqCst);
                loop {
                    thread::sleep(Duration::from_secs(3600));
                }
            }
        }
    }
    let own = OWN.replace(0);
    BUSY.fetch_sub(own, Ordering::SeqCst);
    let _back = Back(own);
    action();
}
