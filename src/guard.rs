//! Where and when calls into ACL are allowed: not in a forked child, not while the process exits, not inside a callback.
//!
//! Every call of the safe layer passes [`check`], mostly through `Context::bind`; every destructor asks [`disposal`].

use crate::{Error, Result, callback::in_callback};
use std::{
    cell::Cell,
    io,
    sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

/// ACL may be called.
const USUAL: u8 = 0;
/// The exit of the process has got to what the C libraries keep in statics.
const EXITING: u8 = 1;
/// This process was forked.
const FORKED: u8 = 2;

/// What has become of this process; it only ever grows. An atomic instead of comparing process ids: a load, not a system call.
static STATE: AtomicU8 = AtomicU8::new(USUAL);

thread_local! {
    /// Whether this is a thread of this crate, for which an exit waits.
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
    /// The signals that such a thread would block if it were the program's.
    static INHERITED: Cell<Option<libc::sigset_t>> = const { Cell::new(None) };
}

/// Watches for forks. Called before anything is loaded or locked; a fork before that is none of our business.
pub(crate) fn watch_forks() {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    extern "C" fn in_child() {
        STATE.fetch_max(FORKED, Ordering::Relaxed);
        // Forked inside a callback, for example: the thread is the program's only one now, and signals are for it.
        if let Some(mask) = INHERITED.get() {
            // SAFETY: [os] a mask that a thread of the program had, set in this thread.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &mask, std::ptr::null_mut()) };
        }
    }
    // Not `Once`: a child of a fork in the middle of that would wait for ever. Two threads may get here; then it is watched twice.
    if !WATCHED.load(Ordering::Acquire) {
        // SAFETY: [os] the handler does nothing but change an atomic and the mask of its thread, which is allowed in a forked child, and being a plain
        // function it stays valid for the life of the process. A failure (out of memory) leaves forks unwatched, which makes
        // misuse worse but is no reason not to start.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        WATCHED.store(true, Ordering::Release);
    }
}

/// Whether this process was forked after ACL had been initialised.
pub(crate) fn forked() -> bool {
    STATE.load(Ordering::Relaxed) == FORKED
}

/// The thread that exits, by its `pthread_self`.
static EXITING_THREAD: AtomicUsize = AtomicUsize::new(0);

/// How long a call is held when the process exits. Most are gone by then.
const GRACE: Duration = Duration::from_secs(1);

/// From now on nothing calls ACL any more: the statics of the libraries are next to be destroyed. To be called by the thread that exits.
pub(crate) fn begin_exit() {
    // SAFETY: [os] the function takes nothing and cannot fail.
    EXITING_THREAD.store(unsafe { libc::pthread_self() } as usize, Ordering::SeqCst);
    STATE.fetch_max(EXITING, Ordering::SeqCst);
}

/// Whether nobody may call ACL in this process any more.
#[inline]
pub(crate) fn is_over() -> bool {
    STATE.load(Ordering::SeqCst) != USUAL
}

/// Refuses what must not be done after the end of ACL in this process, inside a callback or not.
#[inline]
pub(crate) fn check_over(op: &'static str) -> Result<()> {
    let state = STATE.load(Ordering::Relaxed);
    if state == USUAL { Ok(()) } else { Err(over(state, op)) }
}

#[cold]
fn over(state: u8, op: &'static str) -> Error {
    if state == FORKED {
        return Error::Forked { op };
    }
    // The other threads of a program that returns from `main` go on for a moment. They would panic for this error, or abort, where in a
    // moment they are no more; but a handler of the exit may wait for them, so this ends.
    // SAFETY: [os] the function takes nothing and cannot fail.
    let exits = unsafe { libc::pthread_self() } as usize == EXITING_THREAD.load(Ordering::SeqCst);
    if !exits && !IS_OURS.get() {
        thread::sleep(GRACE);
    }
    Error::Exiting { op }
}

/// Whether ACL may be called here: what [`check`] asks.
#[inline]
pub(crate) fn allows() -> bool {
    STATE.load(Ordering::Relaxed) == USUAL && !in_callback()
}

/// Refuses what must not be called here.
#[inline]
pub(crate) fn check(op: &'static str) -> Result<()> {
    if allows() { Ok(()) } else { Err(refusal(op)) }
}

#[cold]
fn refusal(op: &'static str) -> Error {
    check_over(op).err().unwrap_or(Error::InCallback { op })
}

/// What a destructor may do.
pub(crate) enum Disposal {
    /// Call ACL.
    Now,
    /// Leave it to the reaper: the thread is inside a callback.
    Later,
    /// Nothing: the handles of a forked child belong to its parent, and those of a process that exits go with it.
    Never,
}

#[inline]
pub(crate) fn disposal() -> Disposal {
    if is_over() {
        Disposal::Never
    } else if in_callback() {
        Disposal::Later
    } else {
        Disposal::Now
    }
}

/// Ends a forked child in which the calling thread, which is none of the program's, has nothing more to do: it is the only one there. Handlers at exit are the
/// parent's, and are not run.
pub(crate) fn end_forked_child() {
    if forked() {
        // SAFETY: [os] ends the process at once; nothing runs any more.
        unsafe { libc::_exit(0) };
    }
}

/// Whether the calling thread is one of this crate's own, on which others wait.
pub(crate) fn is_own_thread() -> bool {
    IS_OURS.get()
}

/// Starts a thread of this crate's own. Signals are kept from it: handlers run on the threads of the program. Those that the thread itself
/// causes, such as an access that faults, are not kept away, nor is that of profilers.
pub(crate) fn start_own_thread(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    let kept = SignalsKept::new();
    // What a thread of the program would block.
    let inherited = INHERITED.get().unwrap_or(kept.before);
    thread::Builder::new().name(name.into()).spawn(move || {
        IS_OURS.set(true);
        INHERITED.set(Some(inherited));
        body();
        // A hook has forked on this thread. Its way out of the standard library takes locks too.
        end_forked_child();
    })
}

/// While this lives the calling thread takes no signals but its own faults. A thread that is started meanwhile begins, and stays, as it is: if
/// it blocked signals itself, one could come before it does.
struct SignalsKept {
    before: libc::sigset_t,
}

impl SignalsKept {
    fn new() -> Self {
        const OWN: [i32; 7] = [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGTRAP,
            libc::SIGABRT,
            libc::SIGPROF,
        ];
        // SAFETY: [os] the sets are filled before they are read, and the mask is this thread's own.
        unsafe {
            let (mut signals, mut before) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigfillset(&mut signals);
            for signal in OWN {
                libc::sigdelset(&mut signals, signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &signals, &mut before);
            SignalsKept { before }
        }
    }
}

impl Drop for SignalsKept {
    fn drop(&mut self) {
        // SAFETY: [os] the mask that this thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}
