//! The callbacks of a stream on their way: from the launch, through ACL, to the report thread.

use super::{
    Listening, ReportThread,
    desk::{Desk, Owner},
    inside::InCallback,
    lookout::HostLookout,
    mailbox::Mailbox,
    outcome::{Cause, Job, Task},
    registry::Key,
};
use crate::{
    AclCode, AclError, Error, Result, Stream, drop_hook, guard, quiet, reaper,
    runtime::{Site, acl},
    stream::StreamInner,
    sync::lock,
    teardown::{Completion, query},
};
use ascendcl_sys as sys;
use core::ffi::c_void;
use once_cell::sync::Lazy;
use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// All closures that wait, of all streams and backends.
static DESK: Lazy<Desk> = Lazy::new(Desk::new);

/// Whether closures have still to run, or are running. What they own is not released yet.
pub(crate) fn any_outstanding() -> bool {
    DESK.any_outstanding()
}

/// The process exits, and closures that have not run never will: who waits for them is told.
pub(crate) fn wake_all() {
    DESK.wake_all();
}

/// The callbacks of one stream.
pub(crate) struct StreamCallbacks {
    /// What runs them; `None` for a thread of ACL's runtime (`aclrtLaunchHostFunc`). A stream has one or the other.
    thread: Option<Arc<ReportThread>>,
    owner: Arc<Owner>,
    stream: Weak<StreamInner>,
    /// How many launches have returned.
    returned: AtomicU64,
    /// How many closures that were registered the stream has certainly left behind: it was idle after that.
    settled: AtomicU64,
    /// Whether a [`HostLookout`] is there.
    watched: AtomicBool,
    /// While the stream goes on although it has failed: others may stand behind a report of it, in any context.
    straggling: Mutex<Option<Listening>>,
}

impl StreamCallbacks {
    /// Binds the stream to the report thread of its context.
    pub(crate) fn subscribe(stream: &Stream) -> Result<Arc<Self>> {
        let context = stream.context();
        let thread = context.report_thread()?;
        context.bind("aclrtSubscribeReport")?;
        // SAFETY: [handle] the stream is alive, and so is the thread, until the context goes, which is after the stream.
        unsafe { acl!(context, aclrtSubscribeReport(thread.id(), stream.as_raw())) }?;
        let callbacks =
            Arc::new(StreamCallbacks::new(stream, Some(thread.clone()), thread.mailbox().clone()));
        thread.serve(&callbacks);
        Ok(callbacks)
    }

    /// Lets ACL's runtime run the closures of the stream. It binds the stream to its thread with the first host function, which is one that does
    /// nothing: if the chip has none, the stream is as before, and no closure of the program was dropped meanwhile.
    pub(crate) fn of_runtime(stream: &Stream) -> Result<Arc<Self>> {
        // Nobody looks into its mailbox.
        let callbacks = Arc::new(StreamCallbacks::new(stream, None, Arc::new(Mailbox::new())));
        let key = callbacks.register(Arc::new(Job::new(|| ())), stream.work().issued());
        let launched = stream.launch_key_on_runtime(key);
        callbacks.launched();
        if launched.is_err() {
            // Should it be delivered all the same, its key names nothing.
            callbacks.withdraw(key);
        }
        launched.map(|_| callbacks)
    }

    fn new(stream: &Stream, thread: Option<Arc<ReportThread>>, mailbox: Arc<Mailbox>) -> Self {
        StreamCallbacks {
            thread,
            owner: Arc::new(Owner::new(mailbox, stream.work().passed().clone())),
            stream: Arc::downgrade(stream.inner()),
            returned: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            watched: AtomicBool::new(false),
            straggling: Mutex::new(None),
        }
    }

    /// Whether a thread of ACL's runtime runs the closures.
    pub(crate) fn is_of_runtime(&self) -> bool {
        self.thread.is_none()
    }

    /// By which ACL knows the report thread, if there is one.
    pub(crate) fn thread_id(&self) -> Option<u64> {
        self.thread.as_ref().map(|thread| thread.id())
    }

    /// How many closures have run or were dropped.
    pub(super) fn ended(&self) -> u64 {
        self.owner.ended()
    }

    /// Notices when the runtime loses closures, for as long as there are any. To be called behind each launch.
    pub(super) fn watch(self: &Arc<Self>) {
        if !self.watched.swap(true, Ordering::SeqCst) {
            reaper::watch(HostLookout::new(self));
        }
    }

    /// Ends that, unless closures have come in between.
    pub(super) fn unwatch(&self) -> bool {
        self.watched.store(false, Ordering::SeqCst);
        // Who registers a closure asks behind that whether it is watched.
        self.outstanding() == 0 || self.watched.swap(true, Ordering::SeqCst)
    }

    /// How many closures have neither run nor been dropped.
    pub(crate) fn outstanding(&self) -> usize {
        self.owner.outstanding()
    }

    /// The stream is gone, or has failed: drops every closure that has not run.
    pub(crate) fn abandon(&self, cause: Option<&Cause>) {
        DESK.abandon(&self.owner, cause);
    }

    /// The stream has failed, and may go on all the same: its reports are asked for until it is idle, its device is lost, or it has no handle any more, when
    /// it is looked after by who ends it. To be called before [`abandon`](Self::abandon), or the thread may fall asleep.
    pub(crate) fn straggle(&self) {
        let listening = self.listen();
        *lock(&self.straggling) = listening;
    }

    pub(super) fn straggles(&self) -> bool {
        lock(&self.straggling).is_some()
    }

    /// Ends that when it is time. To be called where [`are_lost`](Self::are_lost) is.
    pub(super) fn look_after_straggler(&self) {
        let works = self.with_stream(|stream| {
            let asked = stream.context().bind("aclrtStreamQuery");
            match asked.and_then(|()| query(stream.context(), stream.as_raw())) {
                Ok(completion) => matches!(completion, Completion::Pending),
                // Anything else may pass.
                Err(error) => !error.is_device_lost(),
            }
        });
        if works != Some(true) {
            lock(&self.straggling).take();
        }
    }

    /// Lets a closure wait for its turn, behind so many operations of the stream. From now on [`trampoline`] runs it.
    /// Its launch comes next, and then [`launched`](Self::launched).
    pub(super) fn register(&self, task: Arc<dyn Task>, behind: u64) -> Key {
        // The launch may wait for room in a queue that is held up by a report: one that came twice, or one of before.
        let held_up = self.is_unsettled();
        let key = DESK.register(&self.owner, task, behind);
        // Otherwise the thread is woken behind the launch: the device has begun by then.
        if held_up {
            self.owner.wake();
        }
        key
    }

    /// The launch of a closure that was registered has returned.
    pub(super) fn launched(&self) {
        self.owner.wake();
        self.returned.fetch_add(1, Ordering::SeqCst);
    }

    /// How many launches have returned by now, for [`settle`](Self::settle).
    pub(crate) fn launches(&self) -> u64 {
        self.returned.load(Ordering::SeqCst)
    }

    /// The stream was idle after so many launches.
    pub(crate) fn settle(&self, launches: u64) {
        self.settled.fetch_max(launches, Ordering::SeqCst);
    }

    /// Whether a report may still hold up the stream, be it one that comes again.
    pub(super) fn is_unsettled(&self) -> bool {
        self.owner.registered() > self.settled.load(Ordering::SeqCst)
    }

    /// Lets the report thread ask for reports until the answer is dropped, also if no callback is outstanding, unless the stream has left
    /// its callbacks behind.
    pub(crate) fn listen(&self) -> Option<Listening> {
        let thread = self.thread.as_ref()?;
        self.is_unsettled().then(|| thread.mailbox().listen())
    }

    /// The same once.
    pub(crate) fn ask_once(&self) {
        if let Some(thread) = &self.thread
            && self.is_unsettled()
        {
            thread.mailbox().ask_once();
        }
    }

    /// Whether all reports of the stream were sent, or nothing can be learnt of it, although closures wait for theirs. To be called on
    /// the thread that fetches them, when none was there, or on the reaper's.
    pub(super) fn are_lost(&self) -> bool {
        self.with_stream(|stream| {
            let quiet = || self.outstanding() > 0 && self.launches() == self.owner.registered();
            quiet()
                && stream.context().bind("aclrtStreamQuery").is_ok()
                && match stream.context().api().aclrtStreamQuery {
                    Some(_) => !matches!(query(stream.context(), stream.as_raw()), Ok(Completion::Pending)),
                    None => !matches!(stream.is_idle(), Ok(false)),
                }
                && quiet()
        })
        // A stream without handles is looked after by the reaper.
        .unwrap_or(false)
    }

    /// The callbacks that are outstanding will not come: drops their closures, and tells why. To be called where [`are_lost`](Self::are_lost) is.
    pub(super) fn give_up(&self, waited: Duration) {
        let waited_for = self.with_stream(|stream| {
            // An idle stream is not waited for, but says what became of its work. If that failed it takes no more.
            stream.synchronize_timeout(Duration::from_millis(1)).map_err(|error| {
                // Another thread may wait for it, and for ever if nothing can be learnt of it.
                let asked =
                    if error.is_timeout() { query(stream.context(), stream.as_raw()).err() } else { None };
                (asked.is_some(), asked.unwrap_or(error))
            })
        });
        let failure = match waited_for {
            Some(Err((true, error))) => {
                drop_hook::report(&error);
                return self.drop_closures(&Arc::new(error));
            }
            Some(Err((_, error))) if error.is_timeout() => return,
            Some(Err((_, error))) if !error.is_refusal() || matches!(error, Error::Poisoned { .. }) => error,
            _ => {
                let op = match self.thread {
                    Some(_) => "aclrtProcessReport: the report of a callback whose stream is idle",
                    None => "aclrtLaunchHostFunc: a host function whose stream is idle",
                };
                Error::Timeout { op, timeout: waited }
            }
        };
        drop_hook::report(&failure);
        self.abandon(Some(&Arc::new(failure)));
    }

    /// ACL says that no stream is subscribed to the report thread. If that is so of this one, other code has ended its subscription: what
    /// it was to report is lost, and it may be waiting for that for ever, so it takes no more work. To be called on the report thread.
    pub(super) fn give_up_unsubscribed(&self) -> bool {
        let Some(thread) = self.thread_id() else { return false };
        self.with_stream(|stream| {
            // ACL cannot be asked. But it refuses to subscribe what is subscribed.
            let lost = stream.context().bind("aclrtSubscribeReport").is_ok()
                // SAFETY: [handle] the stream is alive, and so is the thread, which this is.
                && unsafe { acl!(stream, aclrtSubscribeReport(thread, stream.as_raw())) }.is_ok();
            if lost {
                let cause = Error::Acl(Box::new(AclError {
                    code: AclCode(sys::ACL_ERROR_RT_THREAD_SUBSCRIBE),
                    op: "aclrtProcessReport",
                    device: Some(stream.device().id()),
                    message: "other code has ended the subscription of the stream to its reports".into(),
                }));
                stream.fail(stream.work().begin_wait(), cause.clone());
                // Also of a stream that was just being subscribed.
                self.abandon(Some(&Arc::new(cause)));
            }
            lost
        })
        .unwrap_or(false)
    }

    /// Drops the closures that have not run, whose reports may still come.
    pub(super) fn drop_closures(&self, cause: &Cause) {
        DESK.drop_closures(&self.owner, Some(cause));
    }

    /// Does something with the stream, if it has handles. This may be the last one then, and this thread must not wait for itself: its
    /// destructor is left to the reaper.
    fn with_stream<R>(&self, action: impl FnOnce(&Stream) -> R) -> Option<R> {
        let stream = Stream::from_inner(self.stream.upgrade()?);
        let result = action(&stream);
        let _inside = InCallback::enter();
        drop(stream);
        Some(result)
    }

    /// Takes back a closure that was certainly not submitted. It is dropped without having run.
    pub(super) fn withdraw(&self, key: Key) {
        DESK.withdraw(key);
    }
}

/// What ACL calls, on the report thread. `key` is any number.
pub(super) extern "C" fn trampoline(key: *mut c_void) {
    // Nothing must unwind into C, neither from here nor from the program's logger.
    if !quiet::guarded(|| DESK.deliver(Key::from_bits(key as usize as u64))) {
        quiet::log_error(format_args!("what a callback returned panicked when it was dropped"));
    }
    // Other code may have subscribed a thread of its own, and knows what it does in a child.
    if guard::is_own_thread() {
        // The closure has forked, and returned in the child: above is ACL, with locks that may be held for ever, and a report to answer that is the
        // parent's.
        guard::end_forked_child();
    }
}

/// The same for host functions, on a thread of ACL's runtime.
pub(super) extern "C" fn host_trampoline(key: *mut c_void) {
    // The process exits: who waits for the closure has been told that it does not run.
    if guard::is_over() {
        return;
    }
    trampoline(key);
    guard::end_forked_child();
}
