//! Ends a test that hangs, with its name, instead of hanging with it.

use std::{
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

/// Long enough for a machine under load; no test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the watch when dropped.
pub struct Watched {
    _done: Sender<()>,
}

/// Watches the calling test.
pub fn watch(name: String) -> Watched {
    let (done, ended) = mpsc::channel::<()>();
    thread::Builder::new()
        .name("watchdog".into())
        .spawn(move || {
            if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                // Not eprintln: that is captured, and lost when the process aborts.
                let text = format!("\n{name} hangs: not finished after {PATIENCE:?}; aborting\n");
                // SAFETY: the buffer is valid for its length.
                unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
                std::process::abort();
            }
        })
        .expect("a thread can be started");
    Watched { _done: done }
}
