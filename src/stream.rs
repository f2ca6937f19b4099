//! [`Stream`]: a queue of work.

use crate::{
    Context, Device, Error, Event, Result, allocator,
    callback::StreamCallbacks,
    drop_hook,
    guard::{self, Disposal},
    observe::{event, span},
    reaper,
    runtime::{Runtime, Site, acl, millis},
    siblings::Sibling,
    teardown::{Completion, Fate, Kept, Teardown, query, until_idle},
    turns::{TELLING, Turn, Turns},
    work::{Wait, Work},
};
use ascendcl_sys::{self as sys, AclApi};
use once_cell::sync::OnceCell;
use std::{
    fmt, ptr,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
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
/// there. Dropping the last handle does not wait: what was enqueued runs, and what it uses is kept until
/// then. An error that one of these tasks meets on the device is then told to [the hook of destructors](crate::set_drop_error_hook).
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
    work: Work<Kept, Event>,
    callbacks: OnceCell<Arc<StreamCallbacks>>,
    allocator: allocator::Slot,
    /// What became of it, for those who have no handle.
    fate: Arc<Fate>,
    /// Why it takes no more work. Set before its work counts as failed.
    cause: OnceLock<Arc<Error>>,
    /// Of those who wait for all of its work.
    turns: Turns,
    /// Operations up to this number are done, and a wait that found no error came behind them.
    checked: AtomicU64,
}

// SAFETY: [threads] the only field that is not Send and Sync by itself is `raw`, a handle of the C library that this crate never
// dereferences; streams may be used from several threads at once, and are destroyed only when no handle is left.
unsafe impl Send for StreamInner {}
// SAFETY: [threads] as above.
unsafe impl Sync for StreamInner {}

impl Context {
    /// Creates a stream.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfResources`](crate::ErrorKind::OutOfResources) when the device has none left: an Ascend 310 has 992, for all processes together.
    #[doc(alias = "aclrtCreateStream")]
    pub fn create_stream(&self) -> Result<Stream> {
        self.new_stream("aclrtCreateStream", |raw| {
            // SAFETY: [place] a valid place for the answer; the context is current.
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
            // SAFETY: [place] a valid place for the answer; the context is current.
            unsafe { acl!(self, aclrtCreateStreamWithConfig(raw, priority, flags.bits())) }
        })
    }

    /// How many more streams the device has, for all processes together.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::MissingSymbol`] before CANN 8.5.
    #[doc(alias = "aclrtGetStreamAvailableNum")]
    pub fn available_streams(&self) -> Result<u32> {
        self.bind_checked("aclrtGetStreamAvailableNum")?;
        let mut streams = 0;
        // SAFETY: [place] a valid place for the answer; the context is current.
        unsafe { acl!(self, aclrtGetStreamAvailableNum(&mut streams)) }?;
        Ok(streams)
    }

    fn new_stream(
        &self,
        op: &'static str,
        create: impl FnOnce(&mut sys::aclrtStream) -> Result<()>,
    ) -> Result<Stream> {
        self.bind_checked(op)?;
        let mut raw = ptr::null_mut();
        create(&mut raw)?;
        Ok(Stream::new(self, raw, true, 0))
    }
}

impl Stream {
    fn new(context: &Context, raw: sys::aclrtStream, owned: bool, issued: u64) -> Stream {
        let inner = Arc::new(StreamInner {
            context: context.clone(),
            raw,
            owned,
            work: Work::new(issued),
            callbacks: OnceCell::new(),
            allocator: allocator::Slot::default(),
            fate: Arc::new(Fate::new()),
            cause: OnceLock::new(),
            turns: Turns::default(),
            checked: AtomicU64::new(0),
        });
        let weak: Weak<StreamInner> = Arc::downgrade(&inner);
        context.siblings().watch(weak);
        Stream { inner }
    }

    /// Takes over a stream that other code made.
    ///
    /// # Safety
    ///
    /// `raw` must be a live stream of `context`, not NULL. With `owned` it is destroyed after the last handle is dropped and its
    /// work is done, and nobody else may destroy it; otherwise it must outlive all handles and everything they enqueued. Other code must not
    /// abort it: memory that the aborted work uses could be freed under it.
    pub unsafe fn from_raw(context: &Context, raw: sys::aclrtStream, owned: bool) -> Stream {
        // Nobody knows what is on it already.
        Stream::new(context, raw, owned, 1)
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
        self.wait_for_all("aclrtSynchronizeStream", None)
    }

    /// As [`Stream::synchronize`], but no longer than `timeout` (resolution: one millisecond, rounded up).
    ///
    /// # Errors
    ///
    /// After [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) the stream goes on working and may be waited for again.
    #[doc(alias = "aclrtSynchronizeStreamWithTimeout")]
    pub fn synchronize_timeout(&self, timeout: Duration) -> Result<()> {
        self.wait_for_all("aclrtSynchronizeStreamWithTimeout", Some(timeout))
    }

    /// With the C function `op`.
    fn wait_for_all(&self, op: &'static str, timeout: Option<Duration>) -> Result<()> {
        span!(DEBUG, "ascendcl::wait", "wait", op, device = self.device().id(), stream = ?self.inner.raw);
        self.inner.ready(op)?;
        let _listening = self.inner.context.listen();
        let start = Instant::now();
        let Some(turn) = self.inner.turns.take(timeout) else {
            return Err(Error::Timeout { op, timeout: timeout.unwrap_or_default() });
        };
        // Who had the turn before may have been told what failed.
        self.inner.check_poison(op)?;
        self.wait_in_turn(turn, op, start, timeout)
    }

    /// Gives the turn back before it releases anything: what closures captured and hooks do is code of the program, which may wait for who waits
    /// for the turn.
    fn wait_in_turn(
        &self,
        turn: Turn<'_>,
        op: &'static str,
        start: Instant,
        timeout: Option<Duration>,
    ) -> Result<()> {
        // A report that came twice holds up its stream until it is fetched, and so this one if it stands behind that.
        let callbacks = self.inner.callbacks.get().map(|callbacks| (callbacks, callbacks.launches()));
        let work = &self.inner.work;
        let issued = work.issued();
        let waiting = work.begin_wait();
        let raw = self.inner.raw;
        let result = match timeout {
            // SAFETY: [handle] the stream is alive as long as this handle.
            None => unsafe { acl!(self, aclrtSynchronizeStream(raw)) },
            Some(timeout) => {
                let left = millis(timeout.saturating_sub(start.elapsed()));
                // SAFETY: [handle] the stream is alive as long as this handle.
                unsafe { acl!(self, aclrtSynchronizeStreamWithTimeout(raw, left)) }
            }
        };
        let result = match result {
            // A state, such as the end of a sequence: nowhere does ACL say that the wait was over. The stream does.
            Err(error) if error.is_state() => {
                until_idle(&self.inner.context, raw, timeout.map(|limit| (op, start, limit)))
            }
            result => result,
        };
        match &result {
            Ok(()) => {
                drop(turn);
                work.waited(waiting);
                settle(callbacks);
                self.inner.context.siblings().let_others_tell();
                self.inner.check_poison(op)?;
                self.inner.checked.fetch_max(issued, Ordering::AcqRel);
            }
            Err(error) if error.leaves_wait_undecided() => work.undecided(waiting),
            Err(error) => {
                self.inner.mark_failed(waiting, Arc::new(error.clone()));
                drop(turn);
                self.inner.abandon_closures();
            }
        }
        result
    }

    /// The shortest wait there is, for the question `op`. `None` while another thread waits.
    fn wait_shortly(&self, op: &'static str) -> Option<Result<()>> {
        const WAIT: &str = "aclrtSynchronizeStreamWithTimeout";
        let turn = self.inner.turns.take(Some(TELLING))?;
        let poison = self.inner.check_poison(op);
        Some(poison.and_then(|()| self.wait_in_turn(turn, WAIT, Instant::now(), Some(Duration::ZERO))))
    }

    /// Nobody can tell any more what the stream does: it takes no more work, and keeps why.
    pub(crate) fn fail(&self, waiting: Wait<Kept, Event>, cause: Error) {
        self.inner.mark_failed(waiting, Arc::new(cause));
        self.inner.abandon_closures();
    }

    /// Whether everything that was enqueued so far is done.
    ///
    /// # Errors
    ///
    /// An error that a task met on the device, when everything is done: see [`Stream::synchronize`]. [`Error::Poisoned`] after a wait
    /// that failed; [`Error::InCallback`] inside a callback.
    #[doc(alias = "aclrtStreamQuery")]
    pub fn is_idle(&self) -> Result<bool> {
        const OP: &str = "aclrtStreamQuery";
        self.inner.ready(OP)?;
        if self.api().aclrtStreamQuery.is_none() {
            // Before CANN 7 the shortest wait is the question, and takes the error of a task as every wait does.
            return match self.wait_shortly(OP) {
                None => Ok(false),
                Some(Err(error)) if error.is_timeout() => Ok(false),
                Some(waited) => waited.map(|()| true),
            };
        }
        let callbacks = self.inner.callbacks.get().map(|callbacks| (callbacks, callbacks.launches()));
        let waiting = self.inner.work.begin_wait();
        let completion = query(&self.inner.context, self.inner.raw);
        if let Ok(Completion::Done) = completion {
            self.inner.work.waited(waiting);
            settle(callbacks);
            // Done is not right: only a wait tells what a task met. On an idle stream it is no wait, nor is that of who has the turn; if something
            // came in meanwhile it is a short one, which the next question makes up for.
            return match self.wait_shortly(OP) {
                None => Ok(false),
                Some(Err(error)) if !(error.is_timeout() || matches!(error, Error::MissingSymbol { .. })) => {
                    Err(error)
                }
                Some(_) => Ok(true),
            };
        }
        self.inner.work.undecided(waiting);
        if let Some((callbacks, _)) = callbacks {
            callbacks.ask_once();
        }
        completion.map(|_| false)
    }

    /// The operation of that number is known to be done, by a callback or a wait. Tells the error that a task before it met, if no wait came
    /// behind it yet. False while that cannot be told because the callback that proved it is still about to end. Inside a callback nothing can be
    /// asked, and what stands behind it is not waited for.
    pub(crate) fn check_passed(&self, number: u64) -> Result<bool> {
        // A callback knows of those before it: it comes next.
        self.check_done(number, || self.inner.work.passed().number() + 1)
    }

    /// The same, of an operation that something else said to be done.
    pub(crate) fn check_known(&self, number: u64) -> Result<bool> {
        self.check_done(number, || number)
    }

    /// More work than up to `last` is not waited for.
    fn check_done(&self, number: u64, last: impl FnOnce() -> u64) -> Result<bool> {
        if self.inner.checked.load(Ordering::Acquire) >= number || !matches!(guard::disposal(), Disposal::Now)
        {
            return Ok(true);
        }
        match self.is_idle() {
            Err(Error::MissingSymbol { .. }) => Ok(true),
            Ok(false) => Ok(self.inner.work.issued() > last()),
            result => result,
        }
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
        // SAFETY: [handle, place] the stream is alive; a valid place for the answer.
        unsafe { acl!(self, aclrtStreamGetId(self.inner.raw, &mut id)) }?;
        Ok(id)
    }

    /// Its priority: 0 is the highest.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::MissingSymbol`] before CANN 8.5.
    #[doc(alias = "aclrtStreamGetPriority")]
    pub fn priority(&self) -> Result<u32> {
        self.inner.context.bind("aclrtStreamGetPriority")?;
        let mut priority = 0;
        // SAFETY: [handle, place] the stream is alive; a valid place for the answer.
        unsafe { acl!(self, aclrtStreamGetPriority(self.inner.raw, &mut priority)) }?;
        Ok(priority)
    }

    /// The flags it was created with, as far as this crate knows them.
    ///
    /// # Errors
    ///
    /// As [`Stream::priority`].
    #[doc(alias = "aclrtStreamGetFlags")]
    pub fn flags(&self) -> Result<StreamFlags> {
        self.inner.context.bind("aclrtStreamGetFlags")?;
        let mut flags = 0;
        // SAFETY: [handle, place] the stream is alive; a valid place for the answer.
        unsafe { acl!(self, aclrtStreamGetFlags(self.inner.raw, &mut flags)) }?;
        Ok(StreamFlags::from_bits_truncate(flags))
    }

    /// What happens after a task failed, on any stream of the context. [`FailureMode::Stop`] is not taken back.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotSupported`](crate::ErrorKind::NotSupported) for [`FailureMode::Continue`] after [`FailureMode::Stop`]; older releases take one mode only once, and answer
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) then.
    #[doc(alias = "aclrtSetStreamFailureMode")]
    pub fn set_failure_mode(&self, mode: FailureMode) -> Result<()> {
        self.inner.context.bind("aclrtSetStreamFailureMode")?;
        let mode = match mode {
            FailureMode::Continue => sys::ACL_CONTINUE_ON_FAILURE,
            FailureMode::Stop => sys::ACL_STOP_ON_FAILURE,
        };
        // SAFETY: [handle] the stream is alive.
        unsafe { acl!(self, aclrtSetStreamFailureMode(self.inner.raw, mode.into())) }
    }

    /// Puts something into the stream, in its context. Gives the number of the operation, for [`Passed`](crate::work::Passed).
    #[inline]
    pub(crate) fn enqueue(
        &self,
        op: &'static str,
        call: impl FnOnce(sys::aclrtStream) -> Result<()>,
    ) -> Result<u64> {
        self.inner.ready(op)?;
        match call(self.inner.raw) {
            Ok(()) => Ok(self.count_operation(op, true)),
            Err(error) => Err(self.enqueue_failed(op, error)),
        }
    }

    /// Counts an operation, and gives its number.
    #[inline]
    #[cfg_attr(not(feature = "tracing"), allow(unused_variables, reason = "told to subscribers"))]
    fn count_operation(&self, op: &'static str, submitted: bool) -> u64 {
        let number = self.inner.work.count();
        event!(
            TRACE,
            "ascendcl::enqueue",
            op,
            device = self.inner.context.device().id(),
            stream = ?self.inner.raw,
            number,
            submitted
        );
        number
    }

    /// Counted also after an error that does not say whether something was submitted.
    #[cold]
    fn enqueue_failed(&self, op: &'static str, error: Error) -> Error {
        if !error.is_refusal() {
            self.count_operation(op, false);
        }
        error
    }

    /// The same, for an operation that is many tasks: it counts unless [nothing of it](Error::is_refusal_of_all) was submitted.
    #[inline]
    pub(crate) fn enqueue_many(
        &self,
        op: &'static str,
        call: impl FnOnce(sys::aclrtStream) -> Result<()>,
    ) -> Result<u64> {
        let result = self.enqueue(op, call);
        if let Err(error) = &result
            && error.is_refusal()
            && !error.is_refusal_of_all()
        {
            self.inner.work.count();
        }
        result
    }

    /// Puts a record of an event of this device into the stream. Gives the number of the operation.
    #[inline]
    pub(crate) fn enqueue_record(&self, event: &Event) -> Result<u64> {
        let number = self.enqueue("aclrtRecordEvent", |raw| {
            // SAFETY: [handle] both are alive as long as their handles; ACL lets an event be destroyed while a record is queued.
            unsafe { acl!(self, aclrtRecordEvent(event.as_raw(), raw)) }
        })?;
        event.set_recorded();
        Ok(number)
    }

    /// Keeps what an enqueued operation uses until the stream has passed it.
    pub(crate) fn keep(&self, owners: impl IntoIterator<Item = Kept>, bytes: usize) {
        self.inner.work.retire().keep(owners, bytes);
    }

    /// As [`keep`](Self::keep), for owners that serve many operations, of these addresses.
    pub(crate) fn keep_again<const N: usize>(
        &self,
        addresses: [*const (); N],
        owners: impl FnOnce() -> [Kept; N],
        bytes: usize,
    ) {
        let are_newest = |newest: &[Kept]| newest.iter().map(address).eq(addresses);
        self.inner.work.retire().keep_again(are_newest, owners, bytes);
    }

    /// Keeps what an operation uses, unless it was certainly not submitted.
    pub(crate) fn keep_unless_refused<const N: usize, T: Send + Sync + 'static>(
        &self,
        result: Result<u64>,
        owners: [&Arc<T>; N],
        bytes: usize,
    ) -> Result<()> {
        match result {
            Err(error) if error.is_refusal() => Err(error),
            result => {
                let addresses = owners.map(|owner| Arc::as_ptr(owner).cast());
                self.keep_again(addresses, || owners.map(|owner| owner.clone() as Kept), bytes);
                if result.is_ok() {
                    self.tidy();
                }
                result.map(drop)
            }
        }
    }

    /// As [`keep`](Self::keep), for an owner beside one that serves many operations.
    pub(crate) fn keep_beside<T: Send + Sync + 'static>(&self, owner: Kept, shared: &Arc<T>, bytes: usize) {
        let is_newest = |newest: &Kept| address(newest) == Arc::as_ptr(shared).cast();
        self.inner.work.retire().keep_beside(owner, is_newest, || shared.clone(), bytes);
    }

    /// Releases what the stream has passed, and puts a fence behind the rest, if enough has come together. To be called by what enqueues,
    /// and never by a destructor: like everything that enqueues it waits for room in the queue.
    #[inline]
    pub(crate) fn tidy(&self) {
        if self.inner.work.retire().is_full() {
            self.look_after_owners();
        }
    }

    #[cold]
    fn look_after_owners(&self) {
        // That there is no event left is no failure: then more is kept for longer.
        let tell = |error: Error| {
            if !error.is_refusal() {
                drop_hook::report(&error);
            }
        };
        let retire = self.inner.work.retire();
        if matches!(guard::disposal(), Disposal::Now) && retire.wants_care() {
            retire.poll(|fence| fence.is_complete().unwrap_or(false));
            retire.fence(|idle| {
                let fence = match idle {
                    Some(fence) => fence,
                    None => self.inner.context.create_event().map_err(tell).ok()?,
                };
                self.enqueue_record(&fence).map_err(tell).ok().map(|_| fence)
            });
        }
    }

    pub(crate) fn work(&self) -> &Work<Kept, Event> {
        &self.inner.work
    }

    /// The callbacks of this stream; subscribes it first.
    pub(crate) fn callbacks(&self) -> Result<&Arc<StreamCallbacks>> {
        self.inner.ready("aclrtLaunchCallback")?;
        self.inner.callbacks.get_or_try_init(|| StreamCallbacks::subscribe(self))
    }

    /// The same, if a thread of ACL's runtime runs them.
    pub(crate) fn host_functions(&self) -> Result<&Arc<StreamCallbacks>> {
        const OP: &str = "aclrtLaunchHostFunc";
        self.inner.ready(OP)?;
        let callbacks = self.inner.callbacks.get_or_try_init(|| StreamCallbacks::of_runtime(self))?;
        if callbacks.is_of_runtime() {
            return Ok(callbacks);
        }
        let what = "this stream has callbacks already, or was awaited, which takes one; launch host functions into a stream from its beginning, or \
                    use Stream::launch_callback";
        Err(Error::Mismatch { op: OP, what: what.into() })
    }

    pub(crate) fn inner(&self) -> &Arc<StreamInner> {
        &self.inner
    }

    pub(crate) fn from_inner(inner: Arc<StreamInner>) -> Stream {
        Stream { inner }
    }
}

/// Tells owners apart.
fn address(owner: &Kept) -> *const () {
    Arc::as_ptr(owner).cast()
}

/// The stream was idle after so many launches.
fn settle(callbacks: Option<(&Arc<StreamCallbacks>, u64)>) {
    if let Some((callbacks, launches)) = callbacks {
        callbacks.settle(launches);
    }
}

#[cold]
fn poisoned(op: &'static str, cause: &Arc<Error>) -> Error {
    Error::Poisoned { op, cause: cause.clone() }
}

impl StreamInner {
    #[inline]
    fn check_poison(&self, op: &'static str) -> Result<()> {
        match self.cause.get() {
            None => Ok(()),
            Some(cause) => Err(poisoned(op, cause)),
        }
    }

    /// To be called before each C call that needs the stream: it has not failed, and its context is current.
    #[inline]
    fn ready(&self, op: &'static str) -> Result<()> {
        self.check_poison(op)?;
        self.context.bind(op)
    }

    /// [`abandon_closures`](Self::abandon_closures) comes next, outside of all turns.
    fn mark_failed(&self, waiting: Wait<Kept, Event>, cause: Arc<Error>) {
        // Before anybody is refused. Only the first is kept.
        let _ = self.cause.set(cause);
        self.work.failed(waiting);
    }

    /// The stream has failed: nobody can tell whether its closures would still run, and one may be what keeps this stream alive. If they
    /// are delivered after all, their keys name nothing.
    fn abandon_closures(&self) {
        if let Some(callbacks) = self.callbacks.get() {
            callbacks.straggle();
            callbacks.abandon(self.cause.get());
        }
    }

    pub(crate) fn fate(&self) -> &Arc<Fate> {
        &self.fate
    }

    pub(crate) fn allocator(&self) -> &allocator::Slot {
        &self.allocator
    }

    /// Whether it is destroyed when its last handle is dropped.
    pub(crate) fn is_owned(&self) -> bool {
        self.owned
    }
}

impl Sibling for StreamInner {
    fn wait(self: Arc<Self>, timeout: Option<Duration>) -> Result<()> {
        if self.checked.load(Ordering::Acquire) >= self.work.issued() {
            return Ok(());
        }
        let stream = Stream::from_inner(self);
        timeout.map_or_else(|| stream.synchronize(), |timeout| stream.synchronize_timeout(timeout))
    }

    fn poison(&self) -> Option<Error> {
        self.check_poison("aclrtSynchronizeStream").err()
    }

    fn mark_failed(&self, cause: Arc<Error>) {
        self.mark_failed(self.work.begin_wait(), cause);
    }

    fn abandon_closures(&self) {
        self.abandon_closures();
    }
}

impl Drop for StreamInner {
    fn drop(&mut self) {
        let disposal = guard::disposal();
        if let Disposal::Never = disposal {
            // What the retire queue keeps is leaked by its destructor.
            return;
        }
        self.context.siblings().forget(self);
        let mut teardown = Teardown::new(
            self.context.clone(),
            self.raw,
            self.owned,
            self.work.take_retire(),
            self.callbacks.take(),
            std::mem::take(&mut self.allocator),
            self.fate.clone(),
        );
        if self.work.is_poisoned() {
            teardown.poison(self.cause.get());
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

    #[inline]
    fn api(&self) -> &'static AclApi {
        self.inner.context.api()
    }

    fn device_id(&self) -> Option<i32> {
        self.inner.context.device_id()
    }
}
