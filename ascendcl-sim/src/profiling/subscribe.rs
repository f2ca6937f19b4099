//! Subscriptions: a description of each operator of a model that ran, through a pipe of the program's.
//!
//! The engine that executes models here does not say how long each of its operators took: the whole execution is described as one.

use core::ffi::{c_int, c_void};
use std::collections::BTreeMap;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ascendcl_sys::{self as sys, aclError, aclprofSubscribeConfig};

use super::operators::{Operator, keep};
use super::{Mode, conflict, state};
use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;
use crate::model::registry;

static CONFIGS: Table<Config> = Table::new(Kind::SubscribeConfig);
static MODELS: Mutex<BTreeMap<u32, Pipe>> = Mutex::new(BTreeMap::new());
/// Whether any model is subscribed.
static ANY: AtomicBool = AtomicBool::new(false);

/// How long the end of a subscription waits for a reader, in milliseconds.
const PATIENCE: c_int = 1000;
/// What waits for a reader that does not read.
const BACKLOG: usize = 200_000 * super::operators::SIZE;

/// `aclprofSubscribeConfig`
struct Config {
    /// Whether times are wanted.
    times: bool,
    /// Where the descriptor of the pipe is written down.
    place: usize,
}

/// The pipe of a subscription.
struct Pipe {
    file: c_int,
    times: bool,
    /// What did not fit into the pipe yet.
    backlog: Vec<u8>,
}

/// `aclprofCreateSubscribeConfig` after its checks. NULL if there are a million already.
pub(crate) fn create(times: bool, place: *mut c_void) -> *mut aclprofSubscribeConfig {
    let config = Arc::new(Config { times, place: place.expose_provenance() });
    let registration = register(LiveKind::Profiling, "configuration of a subscription");
    CONFIGS.insert(config, registration).unwrap_or(ptr::null_mut()).cast()
}

/// `aclprofDestroySubscribeConfig` after its NULL check.
pub(crate) fn destroy(handle: *const aclprofSubscribeConfig) -> Result<(), aclError> {
    CONFIGS.remove(handle.cast()).map(drop).ok_or_else(|| no_config(handle))
}

fn no_config(handle: *const aclprofSubscribeConfig) -> aclError {
    let why = CONFIGS.describe(handle.cast());
    fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("the configuration {handle:p} of a subscription {why}"))
}

fn loaded(model: u32) -> Result<(), aclError> {
    registry::find(model).map(drop).map_err(|_| unknown(model, "is not loaded"))
}

fn unknown(model: u32, why: &str) -> aclError {
    fail(sys::ACL_ERROR_INVALID_MODEL_ID, format_args!("model {model} {why}"))
}

/// `aclprofModelSubscribe`
pub(crate) fn subscribe(model: u32, handle: *const aclprofSubscribeConfig) -> Result<(), aclError> {
    loaded(model)?;
    if handle.is_null() {
        return Err(fail(sys::ACL_ERROR_INVALID_PARAM, "profSubscribeConfig must not be NULL"));
    }
    let config = CONFIGS.get(handle.cast()).ok_or_else(|| no_config(handle))?;
    let mut state = state();
    if state.mode == Mode::Collecting {
        return Err(conflict());
    }
    let mut models = MODELS.lock();
    if models.contains_key(&model) {
        let text = format!("model {model} is subscribed already");
        return Err(fail(sys::ACL_ERROR_PROF_REPEAT_SUBSCRIBE, text));
    }
    // SAFETY: [program] the program made the configuration with the address of a descriptor, which it keeps until here.
    let file = unsafe { ptr::with_exposed_provenance::<c_int>(config.place).read() };
    models.insert(model, Pipe { file, times: config.times, backlog: Vec::new() });
    ANY.store(true, Ordering::SeqCst);
    state.mode = Mode::Subscribed;
    Ok(())
}

/// `aclprofModelUnSubscribe`: closes the pipe's end.
pub(crate) fn unsubscribe(model: u32) -> Result<(), aclError> {
    loaded(model)?;
    let mut state = state();
    if state.mode == Mode::Collecting {
        return Err(conflict());
    }
    let mut models = MODELS.lock();
    let Some(mut pipe) = models.remove(&model) else { return Err(unknown(model, "is not subscribed")) };
    if models.is_empty() {
        ANY.store(false, Ordering::SeqCst);
        state.mode = Mode::Off;
    }
    drop(models);
    drop(state);
    pipe.send(PATIENCE);
    // SAFETY: [program] the program handed the descriptor over with the subscription.
    unsafe { libc::close(pipe.file) };
    Ok(())
}

/// A model was executed, from `start` to `end` in nanoseconds.
pub(crate) fn executed(model: u32, device: i32, start: u64, end: u64) {
    if !ANY.load(Ordering::Relaxed) {
        return;
    }
    let mut models = MODELS.lock();
    let Some(pipe) = models.get_mut(&model) else { return };
    let times = |nanoseconds: u64| if pipe.times { nanoseconds / 1000 } else { 0 };
    let operator = Operator {
        model,
        flag: sys::ACL_SUBSCRIBE_OP.0,
        thread: 0,
        index: keep("Model", &format!("model_{model}")),
        duration: times(end.saturating_sub(start)),
        start: times(start),
        end: times(end),
        device: device as u32,
    };
    if pipe.backlog.len() < BACKLOG {
        pipe.backlog.extend(operator.encode());
    }
    pipe.send(0);
}

impl Pipe {
    /// Writes what the pipe takes, waiting at most `patience` milliseconds for each piece.
    fn send(&mut self, patience: c_int) {
        let mut sent = 0;
        while sent < self.backlog.len() {
            let mut poll = libc::pollfd { fd: self.file, events: libc::POLLOUT, revents: 0 };
            // SAFETY: [os] one entry, which lives here.
            let ready = unsafe { libc::poll(&mut poll, 1, patience) };
            if ready != 1 || poll.revents & libc::POLLOUT == 0 {
                break;
            }
            // No more than a writable pipe takes at once, so that a write does not wait.
            let piece = &self.backlog[sent..];
            let piece = &piece[..piece.len().min(libc::PIPE_BUF)];
            // SAFETY: [os] the piece is readable. A reader that is gone must not kill the program.
            let written =
                without_sigpipe(|| unsafe { libc::write(self.file, piece.as_ptr().cast(), piece.len()) });
            match usize::try_from(written) {
                Ok(written @ 1..) => sent += written,
                _ => {
                    sent = self.backlog.len();
                    log::warn!("the reader of a subscription is gone");
                }
            }
        }
        self.backlog.drain(..sent);
    }
}

/// Runs `write` with SIGPIPE held back, and takes the signal that it may have raised.
fn without_sigpipe<R>(write: impl FnOnce() -> R) -> R {
    // SAFETY: [os] the sets are initialised before they are used, and the masks are this thread's own.
    unsafe {
        let (mut pipe, mut before, mut pending) =
            (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed());
        libc::sigemptyset(&mut pipe);
        libc::sigaddset(&mut pipe, libc::SIGPIPE);
        libc::sigpending(&mut pending);
        let was_pending = libc::sigismember(&pending, libc::SIGPIPE) == 1;
        libc::pthread_sigmask(libc::SIG_BLOCK, &pipe, &mut before);
        let result = write();
        if !was_pending {
            let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            libc::sigtimedwait(&pipe, ptr::null_mut(), &now);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut());
        result
    }
}
