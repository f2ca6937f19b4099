//! Ends a test that hangs, with its name, instead of hanging with it.

use std::{
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

/// Long enough for a machine under load; no test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `ASCENDCL_TEST_PATIENCE` says, in seconds, for runs under a tool that makes everything slow.
fn of_tool() -> Option<Duration> {
    let said = std::env::var("ASCENDCL_TEST_PATIENCE").ok()?;
    said.parse().ok().map(Duration::from_secs)
}

/// Patience in this run: the usual one, or another one under such a tool.
pub fn patience(usual: Duration) -> Duration {
    of_tool().unwrap_or(usual)
}

/// So many rounds, or a fifth of them under such a tool: what differs from round to round is drawn by chance, and seen in other runs.
pub fn rounds(usual: usize) -> usize {
    if of_tool().is_some() { usual.div_ceil(5) } else { usual }
}

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
            let patience = patience(PATIENCE);
            if ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                // Not eprintln: that is captured, and lost when the process aborts.
                let text = format!("\n{name} hangs: not finished after {patience:?}; aborting\n");
                // SAFETY: the buffer is valid for its length.
                unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
                std::process::abort();
            }
        })
        .expect("a thread can be started");
    Watched { _done: done }
}
