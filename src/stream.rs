//! [`Stream`]: a queue of work.

use crate::{
    Context, Device, Error, ErrorKind, Event, Result,
    callback::StreamCallbacks,
    guard::{self, Disposal},
    reaper,
    retire::{RetireQueue, Waited},
    runtime::{Runtime, Site, acl, millis},
    teardown::{Completion, Kept, Teardown, query},
};
use ascendcl_sys as sys;
use once_cell::sync::OnceCell;
use std::{
    fmt, ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

bitflags::bitflags! {
    /// How a stream works. The Ascend 310 ignores it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct StreamFlags: u32 {
        /// Sets resources aside so that enqueueing is faster.
        #[doc(alias = "ACL_STREAM_FAST_LAUNCH")]
        const FAST_LAUNCH = sys::ACL_STREAM_FAST_LAUNCH;
        /// Waits for the stream by polling: faster, and busy.
        #[doc(alias = "ACL_STREAM_FAST_SYNC")]
        const FAST_SYNC = sys::ACL_STREAM_FAST_SYNC;
    }
}

/// What a stream does after a task of it failed on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureMode {
    /// Goes on with the next task. The default.
    #[doc(alias = "ACL_CONTINUE_ON_FAILURE")]
    Continue,
    /// Drops the remaining tasks and takes no more; so do all streams of the context.
    #[doc(alias = "ACL_STOP_ON_FAILURE")]
    Stop,
}

/// A queue of work. Tasks of one stream run one after another; different streams run at the same time, unless events order them.
///
/// A cheap handle that any thread may use. When several threads enqueue at the same time, the order is that in which they get
/// there. Dropping the last handle does not wait and does not lose anything: what was enqueued runs, and what it uses is kept until
/// then.
///
/// ```
/// # fn main() -> Result<(), ascendcl::Error> {
/// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
/// let (first, second) = (context.create_stream()?, context.create_stream()?);
/// let event = context.create_event()?;
/// first.record(&event)?; // after task a
/// second.wait(&event)?; // before task b
/// second.synchronize()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "aclrtDestroyStream")]
pub struct Stream {
    inner: Arc<StreamInner>,
}

pub(crate) struct StreamInner {
    context: Context,
    raw: sys::aclrtStream,
    owned: bool,
    /// How many operations were enqueued. Counted after the C call, so that whoever reads it knows that they are in the stream.
    issued: AtomicU64,
    /// How many of them are known to be done. Shared with the callbacks, which prove what came before them.
    passed: Arc<AtomicU64>,
    poisoned: AtomicBool,
    retire: RetireQueue<Kept, Event>,
    callbacks: OnceCell<Arc<StreamCallbacks>>,
    /// Set when everything that was ever enqueued is done and the stream is destroyed.
    gone: Arc<AtomicBool>,
}

// SAFETY: the only field that is not Send and Sync by itself is `raw`, a handle of the C library that this crate never
// dereferences; streams may be used from several threads at once, and are destroyed only when no handle is left.
unsafe impl Send for StreamInner {}
// SAFETY: as above.
unsafe impl Sync for StreamInner {}

impl Context {
    /// Creates a stream.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfResources`] when the device has none left: an Ascend 310 has 992, for all processes together.
    #[doc(alias = "aclrtCreateStream")]
    pub fn create_stream(&self) -> Result<Stream> {
        self.new_stream("aclrtCreateStream", |raw| {
            // SAFETY: a valid place for the answer; the context is current.
            unsafe { acl!(self, aclrtCreateStream(raw)) }
        })
    }

    /// Creates a stream with a priority, 0 (the highest, and the default) to 7, and flags. The Ascend 310 ignores both; other chips take
    /// what is beyond as the nearest they have.
    ///
    /// # Errors
    ///
    /// As [`Context::create_stream`].
    #[doc(alias = "aclrtCreateStreamWithConfig")]
    pub fn create_stream_with(&self, priority: u32, flags: StreamFlags) -> Result<Stream> {
        self.new_stream("aclrtCreateStreamWithConfig", |raw| {
            // SAFETY: a valid place for the answer; the context is current.
            unsafe { acl!(self, aclrtCreateStreamWithConfig(raw, priority, flags.bits())) }
        })
    }

    fn new_stream(
        &self,
        op: &'static str,
        create: impl FnOnce(&mut sys::aclrtStream) -> Result<()>,
    ) -> Result<Stream> {
        self.bind_checked(op)?;
        let mut raw = ptr::null_mut();
        create(&mut raw)?;
        Ok(Stream::new(self, raw, true))
    }
}

impl Stream {
    fn new(context: &Context, raw: sys::aclrtStream, owned: bool) -> Stream {
        Stream {
            inner: Arc::new(StreamInner {
                context: context.clone(),
                raw,
                owned,
                issued: AtomicU64::new(0),
                passed: Arc::new(AtomicU64::new(0)),
                poisoned: AtomicBool::new(false),
                retire: RetireQueue::new(),
                callbacks: OnceCell::new(),
                gone: Arc::new(AtomicBool::new(false)),
            }),
        }
    }

    /// Takes over a stream that other code made.
    ///
    /// # Safety
    ///
    /// `raw` must be a live stream of `context`, not NULL. With `owned` it is destroyed after the last handle is dropped and its
    /// work is done, and nobody else may destroy it; otherwise it must outlive all handles and everything they enqueued. Other code must not
    /// abort it: memory that the aborted work uses could be freed under it.
    pub unsafe fn from_raw(context: &Context, raw: sys::aclrtStream, owned: bool) -> Stream {
        let stream = Stream::new(context, raw, owned);
        // Nobody knows what is on it already.
        stream.inner.issued.store(1, Ordering::Release);
        stream
    }

    /// The C handle. It stays valid as long as a handle of this stream does.
    pub fn as_raw(&self) -> sys::aclrtStream {
        self.inner.raw
    }

    /// The context.
    pub fn context(&self) -> &Context {
        &self.inner.context
    }

    /// The device.
    pub fn device(&self) -> &Device {
        self.inner.context.device()
    }

    /// Waits until everything that was enqueued so far is done.
    ///
    /// # Errors
    ///
    /// An error that a task met on the device comes out here. Then nobody can tell what still runs: the memory that the stream was
    /// using is leaked, closures that have not run are dropped ([`Error::Abandoned`]), and the stream takes no more work
    /// ([`Error::Poisoned`]).
    #[doc(alias = "aclrtSynchronizeStream")]
    pub fn synchronize(&self) -> Result<()> {
        self.wait_for_all("aclrtSynchronizeStream", || {
            // SAFETY: the stream is alive as long as this handle.
            unsafe { acl!(self, aclrtSynchronizeStream(self.inner.raw)) }
        })
    }

    /// As [`Stream::synchronize`], but no longer than `timeout` (resolution: one millisecond, rounded up).
    ///
    /// # Errors
    ///
    /// After [`ErrorKind::Timeout`] the stream goes on working and may be waited for again.
    #[doc(alias = "aclrtSynchronizeStreamWithTimeout")]
    pub fn synchronize_timeout(&self, timeout: Duration) -> Result<()> {
        self.wait_for_all("aclrtSynchronizeStreamWithTimeout", || {
            // SAFETY: the stream is alive as long as this handle.
            unsafe { acl!(self, aclrtSynchronizeStreamWithTimeout(self.inner.raw, millis(timeout))) }
        })
    }

    fn wait_for_all(&self, op: &'static str, wait: impl FnOnce() -> Result<()>) -> Result<()> {
        self.inner.check_poison(op)?;
        self.inner.context.bind(op)?;
        let issued = self.inner.issued.load(Ordering::Acquire);
        let waited = self.inner.retire.before_wait();
        match wait() {
            Err(error) if !is_state(&error) => {
                if error.is_timeout() || error.is_refusal() {
                    self.inner.retire.put_back(waited);
                } else {
                    self.inner.poisoned.store(true, Ordering::Release);
                    self.inner.retire.leak_waited(waited);
                    // Nobody can tell whether they would still run, and a closure may be what keeps this stream alive. If they
                    // are delivered after all, their keys name nothing.
                    if let Some(callbacks) = self.inner.callbacks.get() {
                        callbacks.abandon();
                    }
                }
                Err(error)
            }
            // A state, such as the end of a sequence: nowhere does ACL say that the wait was over. The stream does.
            Err(_) if !matches!(query(&self.inner.context, self.inner.raw), Ok(Completion::Done)) => {
                self.inner.retire.put_back(waited);
                Ok(())
            }
            _ => {
                self.inner.release(issued, waited);
                Ok(())
            }
        }
    }

    /// Whether everything that was enqueued so far is done.
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`] after a wait that failed; [`Error::InCallback`] inside a callback.
    #[doc(alias = "aclrtStreamQuery")]
    pub fn is_idle(&self) -> Result<bool> {
        const OP: &str = "aclrtStreamQuery";
        self.inner.check_poison(OP)?;
        self.inner.context.bind(OP)?;
        let issued = self.inner.issued.load(Ordering::Acquire);
        let waited = self.inner.retire.before_wait();
        let completion = query(&self.inner.context, self.inner.raw);
        if let Ok(Completion::Done) = completion {
            self.inner.release(issued, waited);
            return Ok(true);
        }
        self.inner.retire.put_back(waited);
        completion.map(|_| false)
    }

    /// Its number on the device.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::MissingSymbol`] before CANN 8.1.
    #[doc(alias = "aclrtStreamGetId")]
    pub fn id(&self) -> Result<i32> {
        self.inner.context.bind("aclrtStreamGetId")?;
        let mut id = 0;
        // SAFETY: the stream is alive; a valid place for the answer.
        unsafe { acl!(self, aclrtStreamGetId(self.inner.raw, &mut id)) }?;
        Ok(id)
    }

    /// What happens after a task failed, on any stream of the context. [`FailureMode::Stop`] is not taken back.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotSupported`] for [`FailureMode::Continue`] after [`FailureMode::Stop`]; older releases take one mode only once, and answer
    /// [`ErrorKind::InvalidArgument`] then.
    #[doc(alias = "aclrtSetStreamFailureMode")]
    pub fn set_failure_mode(&self, mode: FailureMode) -> Result<()> {
        self.inner.context.bind("aclrtSetStreamFailureMode")?;
        let mode = match mode {
            FailureMode::Continue => sys::ACL_CONTINUE_ON_FAILURE,
            FailureMode::Stop => sys::ACL_STOP_ON_FAILURE,
        };
        // SAFETY: the stream is alive.
        unsafe { acl!(self, aclrtSetStreamFailureMode(self.inner.raw, mode.into())) }
    }

    /// Puts something into the stream, in its context. Gives the number of the operation, for [`Stream::has_passed`].
    #[inline]
    pub(crate) fn enqueue(
        &self,
        op: &'static str,
        call: impl FnOnce(sys::aclrtStream) -> Result<()>,
    ) -> Result<u64> {
        self.inner.check_poison(op)?;
        self.inner.context.bind(op)?;
        match call(self.inner.raw) {
            Err(error) if error.is_refusal() => Err(error),
            // Counted also after an error that does not say whether something was submitted.
            result => {
                let number = self.inner.issued.fetch_add(1, Ordering::AcqRel) + 1;
                result.map(|()| number)
            }
        }
    }

    /// Puts a record of an event of this device into the stream.
    pub(crate) fn enqueue_record(&self, event: &Event) -> Result<()> {
        self.enqueue("aclrtRecordEvent", |raw| {
            // SAFETY: both are alive as long as their handles; ACL lets an event be destroyed while a record is queued.
            unsafe { acl!(self, aclrtRecordEvent(event.as_raw(), raw)) }
        })?;
        event.set_recorded();
        Ok(())
    }

    /// Counts an operation that was refused, but of which a part may have been submitted.
    pub(crate) fn count_refused(&self) {
        self.inner.issued.fetch_add(1, Ordering::AcqRel);
    }

    /// Keeps what an enqueued operation uses until the stream has passed it.
    pub(crate) fn keep(&self, owners: impl IntoIterator<Item = Kept>, bytes: usize) {
        self.inner.retire.keep(owners, bytes);
    }

    /// Releases what the stream has passed, and puts a fence behind the rest, if enough has come together. To be called by what enqueues,
    /// and never by a destructor: like everything that enqueues it waits for room in the queue.
    pub(crate) fn tidy(&self) {
        if matches!(guard::disposal(), Disposal::Now) && self.inner.retire.wants_care() {
            drop(self.inner.retire.poll(|fence| fence.is_complete().unwrap_or(false)));
            self.inner.retire.fence(|idle| {
                let fence = idle.or_else(|| self.inner.context.create_event().ok())?;
                self.enqueue_record(&fence).ok().map(|()| fence)
            });
        }
    }

    /// Whether the operation of that number is known to be done.
    pub(crate) fn has_passed(&self, number: u64) -> bool {
        self.inner.passed.load(Ordering::Acquire) >= number
    }

    /// A callback behind the operation of that number has run.
    pub(crate) fn set_passed(&self, number: u64) {
        self.inner.passed.fetch_max(number, Ordering::AcqRel);
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.inner.poisoned.load(Ordering::Acquire)
    }

    /// The callbacks of this stream; subscribes it first.
    pub(crate) fn callbacks(&self) -> Result<&Arc<StreamCallbacks>> {
        self.inner.check_poison("aclrtLaunchCallback")?;
        self.inner.context.bind("aclrtLaunchCallback")?;
        self.inner.callbacks.get_or_try_init(|| {
            StreamCallbacks::subscribe(self.context(), self.inner.raw, &self.inner.passed)
        })
    }

    /// How many operations were enqueued by now: all of them are in the stream.
    pub(crate) fn issued(&self) -> u64 {
        self.inner.issued.load(Ordering::Acquire)
    }

    pub(crate) fn inner(&self) -> &Arc<StreamInner> {
        &self.inner
    }

    pub(crate) fn from_inner(inner: Arc<StreamInner>) -> Stream {
        Stream { inner }
    }
}

/// Codes that a wait answers although it has waited: states, not faults.
fn is_state(error: &Error) -> bool {
    error.code().is_some_and(|code| code.kind() == ErrorKind::Informational)
}

impl StreamInner {
    fn check_poison(&self, op: &'static str) -> Result<()> {
        if self.poisoned.load(Ordering::Acquire) { Err(Error::Poisoned { op }) } else { Ok(()) }
    }

    /// A wait vouches for the first `issued` operations: releases what they used.
    fn release(&self, issued: u64, waited: Waited<Kept, Event>) {
        self.passed.fetch_max(issued, Ordering::AcqRel);
        drop(self.retire.after_wait(waited));
    }

    /// Becomes true when the stream is destroyed and all its work done.
    pub(crate) fn gone(&self) -> &Arc<AtomicBool> {
        &self.gone
    }
}

impl Drop for StreamInner {
    fn drop(&mut self) {
        let disposal = guard::disposal();
        if let Disposal::Never = disposal {
            // What the retire queue keeps is leaked by its destructor.
            return;
        }
        let mut teardown = Teardown::new(
            self.context.clone(),
            self.raw,
            self.owned,
            std::mem::replace(&mut self.retire, RetireQueue::new()),
            self.callbacks.take(),
            self.gone.clone(),
        );
        if *self.poisoned.get_mut() {
            teardown.poison();
        }
        // Asked even if all that this crate enqueued is known to be done: other code may have enqueued more through the raw handle,
        // and destroying a busy stream waits.
        if !matches!(disposal, Disposal::Now) || !reaper::Pending::try_release(&mut teardown) {
            reaper::watch(teardown);
        }
    }
}

impl PartialEq for Stream {
    /// Whether both are handles of one stream.
    fn eq(&self, other: &Stream) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Stream {}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("device", &self.device().id()).field("raw", &self.inner.raw).finish()
    }
}

impl Site for Stream {
    #[inline]
    fn runtime(&self) -> &Runtime {
        self.inner.context.runtime()
    }

    fn device_id(&self) -> Option<i32> {
        self.inner.context.device_id()
    }
}
