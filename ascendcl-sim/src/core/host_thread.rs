//! Threads of the program that run the host functions of streams, in place of the one that the runtime keeps for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ascendcl_sys::{self as sys, aclError};

use super::report::Group;
use super::{Stream, clock};
use crate::check::leak::{LiveKind, Registration, register};
use crate::error::{fail, quiet};
use crate::lock::Mutex;

/// A stream that a thread serves.
struct Served {
    thread: u64,
    group: Arc<Group>,
    _registration: Registration,
}

/// By the address of the stream, which does not end while it is here.
static SERVED: Mutex<BTreeMap<usize, Served>> = Mutex::new(BTreeMap::new());
/// Their number: hardly any program has one.
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn address(stream: &Stream) -> usize {
    std::ptr::from_ref(stream).addr()
}

/// `aclrtSubscribeHostFunc`.
pub(crate) fn subscribe(thread: u64, stream: &Stream) -> Result<(), aclError> {
    let mut served = SERVED.lock();
    if served.contains_key(&address(stream)) {
        drop(served);
        return Err(fail(
            sys::ACL_ERROR_RT_STREAM_SUBSCRIBE,
            format_args!("stream {} already has a thread that runs its host functions", stream.id()),
        ));
    }
    let known = served.values().find(|other| other.thread == thread).map(|other| Arc::clone(&other.group));
    let group = known.unwrap_or_else(|| Group::new(thread, stream.device().id()));
    let registration = register(LiveKind::Subscription, format!("host functions of stream {}", stream.id()));
    served.insert(address(stream), Served { thread, group, _registration: registration });
    COUNT.store(served.len(), Ordering::SeqCst);
    Ok(())
}

/// `aclrtUnSubscribeHostFunc`.
pub(crate) fn unsubscribe(thread: u64, stream: &Stream) -> Result<(), aclError> {
    let served_by = SERVED.lock().get(&address(stream)).map(|served| served.thread);
    match served_by {
        None => Err(fail(
            sys::ACL_ERROR_RT_STREAM_SUBSCRIBE,
            format_args!("no thread of the program runs the host functions of stream {}", stream.id()),
        )),
        Some(other) if other != thread => Err(fail(
            sys::ACL_ERROR_RT_THREAD_SUBSCRIBE,
            format_args!(
                "thread {other:#x}, not {thread:#x}, runs the host functions of stream {}",
                stream.id()
            ),
        )),
        Some(_) => {
            forget(stream);
            Ok(())
        }
    }
}

/// The stream ends, or its subscription does.
pub(super) fn forget(stream: &Stream) {
    if COUNT.load(Ordering::SeqCst) == 0 {
        return;
    }
    let mut served = SERVED.lock();
    let gone = served.remove(&address(stream));
    COUNT.store(served.len(), Ordering::SeqCst);
    let last = gone.as_ref().is_some_and(|gone| !served.values().any(|other| other.thread == gone.thread));
    drop(served);
    if let Some(gone) = gone
        && last
    {
        gone.group.close();
    }
}

/// Whether a thread of the program runs the host functions of `stream`.
pub(crate) fn serves(stream: &Stream) -> bool {
    group_of(stream).is_some()
}

pub(super) fn group_of(stream: &Stream) -> Option<Arc<Group>> {
    if COUNT.load(Ordering::SeqCst) == 0 {
        return None;
    }
    SERVED.lock().get(&address(stream)).map(|served| Arc::clone(&served.group))
}

/// `aclrtProcessHostFunc` after its check of the time.
pub(crate) fn process(timeout: Option<Duration>) -> Result<(), aclError> {
    // SAFETY: [os] pthread_self has no preconditions.
    let thread = unsafe { libc::pthread_self() } as u64;
    let group = SERVED.lock().values().find(|served| served.thread == thread).map(|it| Arc::clone(&it.group));
    let group = group.ok_or_else(|| quiet(sys::ACL_ERROR_RT_THREAD_SUBSCRIBE))?;
    let count =
        group.wait(clock::deadline(timeout)).ok_or_else(|| quiet(sys::ACL_ERROR_RT_REPORT_TIMEOUT))?;
    group.run(count);
    Ok(())
}
