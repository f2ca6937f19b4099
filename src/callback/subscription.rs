//! The callbacks of a stream on their way: from the launch, through ACL, to the report thread.

use super::{
    ReportThread,
    outcome::Task,
    registry::{Key, Registry},
};
use crate::{Context, Result, guard::InCallback, runtime::acl};
use ascendcl_sys as sys;
use core::ffi::c_void;
use once_cell::sync::Lazy;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// A closure that waits for its turn.
struct Entry {
    task: Arc<dyn Task>,
    owner: Arc<StreamCallbacks>,
    /// How many operations of the stream are done when it runs.
    behind: u64,
}

/// All closures that wait, of all streams and backends.
static REGISTRY: Lazy<Registry<Entry>> = Lazy::new(Registry::new);

/// How many closures of all streams have neither run nor been dropped.
static OUTSTANDING: AtomicUsize = AtomicUsize::new(0);

/// Whether closures have still to run, or are running. What they own is not released yet.
pub(crate) fn any_outstanding() -> bool {
    OUTSTANDING.load(Ordering::Acquire) > 0
}

/// The callbacks of one stream.
pub(crate) struct StreamCallbacks {
    thread: Arc<ReportThread>,
    outstanding: AtomicUsize,
    /// How many operations of the stream are known to be done.
    passed: Arc<AtomicU64>,
}

impl StreamCallbacks {
    /// Binds the stream to the report thread of its context.
    ///
    /// The caller holds the stream; `passed` is its count of operations that are known to be done.
    pub(crate) fn subscribe(
        context: &Context,
        stream: sys::aclrtStream,
        passed: &Arc<AtomicU64>,
    ) -> Result<Arc<Self>> {
        let thread = context.report_thread()?;
        context.bind("aclrtSubscribeReport")?;
        // SAFETY: the stream is alive, and so is the thread, until the context goes, which is after the stream.
        unsafe { acl!(context, aclrtSubscribeReport(thread.id(), stream)) }?;
        Ok(Arc::new(StreamCallbacks { thread, outstanding: AtomicUsize::new(0), passed: passed.clone() }))
    }

    pub(crate) fn thread_id(&self) -> u64 {
        self.thread.id()
    }

    /// How many closures have neither run nor been dropped.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding.load(Ordering::Acquire)
    }

    /// The stream is gone: drops every closure that has not run.
    pub(crate) fn abandon(self: &Arc<Self>) {
        // What the closures captured, and who waits for them, finds the same as if they had run: no calls into ACL, no waiting for
        // other callbacks. This may be the thread that those would wait for.
        let _inside = InCallback::enter();
        for Entry { task, owner, .. } in REGISTRY.take_all(|entry| Arc::ptr_eq(&entry.owner, self)) {
            task.abandon();
            owner.end();
        }
    }

    /// Lets a closure wait for its turn, behind so many operations of the stream. From now on [`trampoline`] runs it.
    pub(super) fn register(self: &Arc<Self>, task: Arc<dyn Task>, behind: u64) -> Key {
        self.begin();
        REGISTRY.insert(Entry { task, owner: self.clone(), behind })
    }

    /// Takes back a closure that was certainly not submitted. It is dropped without having run.
    pub(super) fn withdraw(&self, key: Key) {
        if let Some(Entry { task, owner, .. }) = REGISTRY.take(key) {
            task.abandon();
            owner.end();
        }
    }

    fn begin(&self) {
        OUTSTANDING.fetch_add(1, Ordering::Relaxed);
        self.outstanding.fetch_add(1, Ordering::Relaxed);
        self.thread.mailbox().begin();
    }

    fn end(&self) {
        self.thread.mailbox().end();
        self.outstanding.fetch_sub(1, Ordering::Release);
        OUTSTANDING.fetch_sub(1, Ordering::Release);
    }
}

/// What ACL calls, on the report thread. `key` is any number.
pub(super) extern "C" fn trampoline(key: *mut c_void) {
    /// Counts the callback as done, also if something panics.
    struct End(Arc<StreamCallbacks>);
    impl Drop for End {
        fn drop(&mut self) {
            self.0.end();
        }
    }
    let result = catch_unwind(AssertUnwindSafe(|| {
        // A key that is delivered twice, or late, finds nothing.
        let entry = REGISTRY.take(Key::from_bits(key as usize as u64));
        let Some(Entry { task, owner, behind }) = entry else { return };
        // The stream has got here, so the copies before it are done: their transfers can be waited for in the closure.
        owner.passed.fetch_max(behind, Ordering::AcqRel);
        let _end = End(owner);
        let _inside = InCallback::enter();
        task.run();
        // If nobody waits, what the closure returned is dropped here, inside the callback: handles among it are released later.
        drop(task);
    }));
    if let Err(payload) = result {
        log::error!("what a callback returned panicked when it was dropped");
        // Dropping a panic's payload may panic again, and must not unwind into C.
        std::mem::forget(payload);
    }
}
