//! Threads of the simulator's own. Signal handlers run on the threads of the program: these never take a signal.

use std::io;
use std::ptr;
use std::thread;

/// Starts a detached thread.
pub(crate) fn start(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    start_with(thread::Builder::new().name(name.to_owned()), body).map(drop)
}

/// Starts a thread that the caller may join.
pub(crate) fn start_with(
    builder: thread::Builder,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    let _blocked = SignalsBlocked::new();
    builder.spawn(body)
}

/// While this lives no signal reaches the calling thread. A thread that it starts meanwhile begins, and stays, as it is: if it blocked
/// signals itself, one could come before it does.
pub(crate) struct SignalsBlocked {
    before: libc::sigset_t,
}

impl SignalsBlocked {
    pub(crate) fn new() -> Self {
        // SAFETY: [os] the sets are initialised before they are read, and the mask is this thread's own.
        unsafe {
            let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_BLOCK, &all, &mut before);
            Self { before }
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: [os] the mask that this thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn blocks(signal: i32) -> bool {
        // SAFETY: [os] it only reads the mask of this thread.
        unsafe {
            let mut mask = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &mut mask);
            libc::sigismember(&mask, signal) == 1
        }
    }

    #[test]
    fn a_thread_begins_with_signals_blocked_and_its_starter_is_as_it_was() {
        let (sender, seen) = mpsc::channel();
        start("ascendcl-sim-test", move || sender.send(blocks(libc::SIGUSR1)).unwrap()).unwrap();
        assert!(seen.recv().unwrap());
        assert!(!blocks(libc::SIGUSR1));
    }
}
