//! A process for each program: the simulated machine is one per process, and a program that crashes, hangs or leaks is a failure like
//! any other, which can be made smaller.

use crate::workers::panicked;
use std::{
    io::{Read, Write},
    mem::ManuallyDrop,
    os::fd::{AsRawFd, FromRawFd, RawFd},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicI32, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// Where the process of a program tells how far it is.
static PROGRESS: AtomicI32 = AtomicI32::new(-1);

/// How many steps all programs together have done.
static STEPS: AtomicUsize = AtomicUsize::new(0);

/// How many steps were done since this was asked last.
pub fn take_steps() -> usize {
    STEPS.swap(0, Ordering::Relaxed)
}

/// What a program tells at each step. Other bytes are text.
const STEP: u8 = 0;

/// One more step is done.
pub fn progress() {
    write(PROGRESS.load(Ordering::Relaxed), &[STEP]);
}

fn write(fd: RawFd, bytes: &[u8]) {
    if fd >= 0 {
        // SAFETY: the descriptor is the child's end of the pipe, which is open until the process ends; it is not closed here.
        let mut pipe = ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(fd) });
        let _ = pipe.write_all(bytes);
    }
}

/// How the process of a program ended.
pub struct Ended {
    /// How many steps it told of.
    pub steps: usize,
    pub result: Result<(), String>,
}

/// Longer than a program takes. Half of it is for single waits, until they are known to be in vain.
pub fn patience() -> Duration {
    let seconds = std::env::var("ASCENDCL_TEST_PATIENCE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// Runs `program` in a process of its own.
///
/// The calling process must have one thread only, and must not have used ACL.
pub fn isolated(program: impl FnOnce() -> Result<(), String>) -> Ended {
    let (mut reader, writer) = std::io::pipe().expect("a pipe can be made");
    // SAFETY: this process has a single thread, so that the child is in no way less than it: `main` runs the properties one after the
    // other and starts no thread.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
    if child == 0 {
        drop(reader);
        PROGRESS.store(writer.as_raw_fd(), Ordering::Relaxed);
        // Many programs panic in callbacks.
        std::panic::set_hook(Box::new(|_| {}));
        let result = catch_unwind(AssertUnwindSafe(program)).unwrap_or_else(|panic| Err(panicked(&*panic)));
        let text = result.err();
        if let Some(text) = &text {
            // Less than a pipe holds: nobody reads before the end.
            let text: String = text.replace('\0', " ").chars().take(10_000).collect();
            write(writer.as_raw_fd(), text.as_bytes());
        }
        // SAFETY: ends the process at once, which is all it is for; nothing of the parent's is flushed twice.
        unsafe { libc::_exit(i32::from(text.is_some())) };
    }
    drop(writer);
    let killed = watch(child, &reader);
    let mut told = Vec::new();
    let _ = reader.read_to_end(&mut told);
    let mut status = 0;
    // SAFETY: a child of ours that nobody else waits for; a valid place for the answer.
    unsafe { libc::waitpid(child, &mut status, 0) };
    let steps = told.iter().filter(|&&byte| byte == STEP).count();
    STEPS.fetch_add(steps, Ordering::Relaxed);
    told.retain(|&byte| byte != STEP);
    let text = String::from_utf8_lossy(&told).into_owned();
    let result = if killed {
        Err(format!("it hangs behind step {steps}: not finished after {:?}", patience()))
    } else if libc::WIFSIGNALED(status) {
        Err(format!("it crashed behind step {steps} with signal {}\n{text}", libc::WTERMSIG(status)))
    } else if libc::WEXITSTATUS(status) == 0 && text.is_empty() {
        Ok(())
    } else {
        Err(text)
    };
    Ended { steps, result }
}

/// Waits until the child has closed its end of the pipe by ending. Kills it, and gives true, if that takes too long.
fn watch(child: libc::pid_t, pipe: &std::io::PipeReader) -> bool {
    let deadline = Instant::now() + patience();
    loop {
        let mut poll = libc::pollfd { fd: pipe.as_raw_fd(), events: 0, revents: 0 };
        let left = deadline.saturating_duration_since(Instant::now()).as_millis() as i32;
        // SAFETY: one entry, which is valid; nothing but the end of the pipe is waited for.
        let ready = unsafe { libc::poll(&mut poll, 1, left) };
        if ready > 0 {
            return false;
        }
        if left == 0 {
            // SAFETY: the child is ours and not waited for yet, so that its number is its own.
            unsafe { libc::kill(child, libc::SIGKILL) };
            return true;
        }
    }
}
