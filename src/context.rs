//! [`Context`]: where streams, events and memory are made, and the current context of a thread.
//!
//! ACL keeps one current context per thread, and almost every call works in it. Here each handle knows its context
//! and makes it current by itself: it asks what is current and sets its own only if that is another one. Opening a
//! device, creating a context, and destructors put back what they found; other calls leave their context current, so that
//! the next one finds it. Calls that need a context: everything on streams, events, memory and models;
//! those that need none: [`Acl`](crate::Acl)'s and opening a device. A wrong current context is an error of ACL (107002, 107003), never undefined
//! behaviour.
//!
//! [`Context::enter`] binds once for many calls: inside it a call costs one comparison in thread-local storage.

use crate::{
    Acl, Device, Error, Result,
    callback::{Listening, ReportThread},
    current::{self, Identity, Restore},
    drop_hook,
    guard::{self, Disposal},
    limbo::keep_for_ever,
    observe::span,
    reaper,
    runtime::{Runtime, SendRaw, Site, acl, millis},
    siblings::Siblings,
};
use ascendcl_sys::{self as sys, AclApi};
use std::{
    fmt,
    marker::PhantomData,
    ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Where streams, events and memory are made.
///
/// A cheap handle that any thread may use; it makes itself current in the calling thread where that is needed. Destroyed
/// when the last handle, and the last of everything made in it, is dropped.
///
/// ```
/// # fn main() -> Result<(), ascendcl::Error> {
/// use ascendcl::Acl;
///
/// let context = Acl::new()?.device(0)?.create_context()?;
/// let stream = context.create_stream()?;
/// stream.synchronize()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "aclrtDestroyContext")]
pub struct Context {
    inner: Arc<ContextInner>,
}

pub(crate) struct ContextInner {
    device: Device,
    /// Of the device's backend. Here because each call wants it, at once.
    api: &'static AclApi,
    identity: Identity,
    owned: bool,
    report: Mutex<Option<Arc<ReportThread>>>,
    /// The same for all handles of one context of ACL, such as those of the primary one, which are made anew each time.
    siblings: Arc<Siblings>,
}

// SAFETY: [threads] the only field that is not Send and Sync by itself has the raw handle of the C library, which this crate never
// dereferences; a context may be current on many threads at once and destroyed on any.
unsafe impl Send for ContextInner {}
// SAFETY: [threads] as above.
unsafe impl Sync for ContextInner {}

fn next_serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Device {
    /// Creates a context: streams, events and memory are made in it.
    ///
    /// What is current in the calling thread stays current.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::InCallback`](crate::Error::InCallback) inside a callback.
    #[doc(alias = "aclrtCreateContext")]
    pub fn create_context(&self) -> Result<Context> {
        Context::create(self)
    }

    /// The context that ACL made with the device, and that C code uses after `aclrtSetDevice`. Contexts of one's own are better
    /// in programs with several threads; this one is for working together with such code.
    #[doc(alias = "aclrtSetDevice")]
    #[doc(alias = "aclrtGetCurrentContext")]
    pub fn primary_context(&self) -> Context {
        // The device keeps it.
        Context::new(self, self.raw_primary(), false, true)
    }
}

impl Context {
    fn create(device: &Device) -> Result<Context> {
        guard::check("aclrtCreateContext")?;
        let restore = Restore::new(device.acl());
        let mut raw = ptr::null_mut();
        // SAFETY: [place] a valid place for the answer. The context is destroyed by `ContextInner::drop`.
        unsafe { acl!(device, aclrtCreateContext(&mut raw, device.id())) }?;
        current::hold(device, raw);
        current::left(device, raw);
        drop(restore);
        Ok(Context::new(device, raw, true, true))
    }

    fn new(device: &Device, raw: sys::aclrtContext, owned: bool, held: bool) -> Context {
        let report = Mutex::new(None);
        Context {
            inner: Arc::new(ContextInner {
                device: device.clone(),
                api: device.api(),
                identity: Identity { raw, serial: next_serial(), held },
                owned,
                report,
                siblings: device.runtime().siblings.of(raw),
            }),
        }
    }

    /// Takes over a context that other code made.
    ///
    /// # Safety
    ///
    /// `raw` must be a live context of `device`. With `owned` it is destroyed when the last handle is dropped, and nobody else
    /// may destroy it; otherwise it must outlive all handles.
    pub unsafe fn from_raw(device: &Device, raw: sys::aclrtContext, owned: bool) -> Context {
        if owned {
            current::hold(device, raw);
        }
        Context::new(device, raw, owned, owned)
    }

    /// The C handle. It stays valid as long as this context does.
    pub fn as_raw(&self) -> sys::aclrtContext {
        self.inner.identity.raw
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.inner.device
    }

    /// Makes this context current in the calling thread until the guard is dropped; then what was current before is again.
    ///
    /// Every handle binds its context by itself. In a hot loop it is cheaper to bind once: inside the guard, calls of
    /// handles of this context do not ask ACL again. Other handles still work; guards may be nested, and dropped in any order.
    ///
    /// While a guard is alive, other code should not change the current context behind its back: calls would then
    /// work in the wrong context and fail, or allocate on the wrong device.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
    /// let (stream, event) = (context.create_stream()?, context.create_event()?);
    /// let _entered = context.enter()?;
    /// for _ in 0..1000 {
    ///     stream.record(&event)?;
    /// }
    /// stream.synchronize()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InCallback`](crate::Error::InCallback) inside a callback; an error of ACL if other code has destroyed the context.
    #[doc(alias = "aclrtSetCurrentContext")]
    #[doc(alias = "aclrtGetCurrentContext")]
    pub fn enter(&self) -> Result<Entered<'_>> {
        guard::check("aclrtSetCurrentContext")?;
        let restore = Restore::new(self.device().acl());
        current::bind(&*self.inner, self.inner.identity)?;
        current::enter();
        Ok(Entered { _restore: restore, _not_send: PhantomData })
    }

    /// Waits for all streams of this context: for each stream that has a handle by itself, and then for what else there is, such as streams of other
    /// code, and those that were dropped and still work. While it waits for the latter, ACL may hold back an error of work that came in meanwhile, and
    /// a wait for its stream, on another thread, would not be told.
    ///
    /// # Errors
    ///
    /// An error that a task met on the device. Its stream takes no more work then, as after a failed
    /// [`Stream::synchronize`](crate::Stream::synchronize); nor does any stream of this context that is there, if nobody can tell whose task it was.
    /// [`Error::InCallback`](crate::Error::InCallback) inside a callback.
    #[doc(alias = "aclrtSynchronizeDevice")]
    pub fn synchronize(&self) -> Result<()> {
        const OP: &str = "aclrtSynchronizeDevice";
        span!(DEBUG, "ascendcl::wait", "wait", op = OP, device = self.device().id());
        self.bind(OP)?;
        let _listening = self.listen();
        self.siblings().wait(OP, None, |_| {
            // SAFETY: [plain] no arguments; this context is current.
            unsafe { acl!(self, aclrtSynchronizeDevice()) }
        })
    }

    /// Waits for all streams of this context, but no longer than `timeout` (resolution: one millisecond, rounded up).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout): the streams go on working. Otherwise as [`Context::synchronize`].
    #[doc(alias = "aclrtSynchronizeDeviceWithTimeout")]
    pub fn synchronize_timeout(&self, timeout: Duration) -> Result<()> {
        const OP: &str = "aclrtSynchronizeDeviceWithTimeout";
        span!(DEBUG, "ascendcl::wait", "wait", op = OP, device = self.device().id());
        self.bind(OP)?;
        let _listening = self.listen();
        self.siblings().wait(OP, Some(timeout), |left| {
            // SAFETY: [plain] a plain integer; this context is current.
            unsafe { acl!(self, aclrtSynchronizeDeviceWithTimeout(millis(left.unwrap_or(timeout)))) }
        })
    }

    /// The streams of this context.
    pub(crate) fn siblings(&self) -> &Siblings {
        &self.inner.siblings
    }

    /// Refuses what belongs to another backend, which knows nothing of its addresses and handles: to that one they are any numbers.
    #[inline]
    pub(crate) fn check_backend(&self, op: &'static str, what: &str, other: &Context) -> Result<()> {
        let (here, there) = (self.device().acl(), other.device().acl());
        if Arc::ptr_eq(here.runtime(), there.runtime()) { Ok(()) } else { Err(mixed(op, what, here, there)) }
    }

    /// Makes this context current, unless the thread is known to be in it. To be called before each C call that needs it.
    #[inline]
    pub(crate) fn bind(&self, op: &'static str) -> Result<()> {
        // What enqueues passes here each time.
        if guard::allows() && current::is_entered(self.inner.identity) {
            return Ok(());
        }
        self.bind_checked(op)
    }

    /// As [`Context::bind`], but always asks ACL: for calls that would quietly work in a wrong context.
    #[inline(never)]
    pub(crate) fn bind_checked(&self, op: &'static str) -> Result<()> {
        guard::check(op)?;
        current::bind(&*self.inner, self.inner.identity)
    }

    /// Runs a destructor's C call in this context, and puts back what was current.
    pub(crate) fn release(&self, action: impl FnOnce() -> Result<()>) {
        // Nothing is to be put back where it is known to be current.
        if current::is_entered(self.inner.identity) {
            return drop_hook::report_failure(action());
        }
        let _restore = Restore::new(self.device().acl());
        drop_hook::report_failure(current::bind(&*self.inner, self.inner.identity).and_then(|()| action()));
    }

    /// Does what a destructor may do: releases something of this context at once, or later on another thread, or, in a forked
    /// child, not at all.
    pub(crate) fn dispose(&self, release: impl FnOnce(&Context) -> Result<()> + Send + 'static) {
        match guard::disposal() {
            Disposal::Now => self.release(|| release(self)),
            Disposal::Later => {
                let context = self.clone();
                reaper::run_later(move || context.release(|| release(&context)));
            }
            Disposal::Never => {}
        }
    }

    /// The thread that runs the callbacks of this context; started by the first who asks.
    pub(crate) fn report_thread(&self) -> Result<Arc<ReportThread>> {
        let mut report = self.inner.report.lock().unwrap_or_else(PoisonError::into_inner);
        match &*report {
            Some(thread) => Ok(thread.clone()),
            None => Ok(report
                .insert(Arc::new(ReportThread::start(self.runtime().api, self.inner.identity.raw)?))
                .clone()),
        }
    }

    /// Lets the report thread, if there is one, ask for reports until the answer is dropped.
    pub(crate) fn listen(&self) -> Option<Listening> {
        let report = self.inner.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.as_ref().and_then(|thread| thread.listen())
    }

    /// Whether both are handles of one context.
    #[inline]
    pub(crate) fn is(&self, other: &Context) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
            || self.inner.identity.raw == other.inner.identity.raw && self.device() == other.device()
    }
}

impl PartialEq for Context {
    /// Whether both are handles of one context.
    fn eq(&self, other: &Context) -> bool {
        self.is(other)
    }
}

impl Eq for Context {}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("device", &self.device().id())
            .field("raw", &self.inner.identity.raw)
            .finish()
    }
}

impl Site for ContextInner {
    fn runtime(&self) -> &Runtime {
        self.device.runtime()
    }

    #[inline]
    fn api(&self) -> &'static AclApi {
        self.api
    }

    fn device_id(&self) -> Option<i32> {
        Some(self.device.id())
    }
}

impl Site for Context {
    #[inline]
    fn runtime(&self) -> &Runtime {
        self.inner.runtime()
    }

    #[inline]
    fn api(&self) -> &'static AclApi {
        self.inner.api
    }

    fn device_id(&self) -> Option<i32> {
        self.inner.device_id()
    }
}

/// A context that is current in this thread: see [`Context::enter`]. It stays in its thread.
///
/// ```compile_fail
/// # fn main() -> Result<(), ascendcl::Error> {
/// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
/// let entered = context.enter()?;
/// std::thread::scope(|scope| scope.spawn(|| drop(entered)).join()).unwrap();
/// # Ok(())
/// # }
/// ```
#[must_use = "the context is current only while the guard is alive"]
pub struct Entered<'a> {
    _restore: Restore<'a>,
    _not_send: PhantomData<*const ()>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        current::leave();
    }
}

impl fmt::Debug for Entered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entered")
    }
}

#[cold]
fn mixed(op: &'static str, what: &str, here: &Acl, there: &Acl) -> Error {
    let what = format!("the {what} belongs to another backend ({}, not {})", there.backend(), here.backend());
    Error::Mismatch { op, what }
}

/// A context without handles.
struct Ending {
    device: Device,
    raw: SendRaw,
    owned: bool,
    report: Option<Arc<ReportThread>>,
}

impl Ending {
    /// Destroys the context once its report thread has ended. False when that takes longer than `patience`.
    fn end(&mut self, patience: Duration) -> bool {
        if self.report.as_ref().is_some_and(|report| !report.stop(patience)) {
            return false;
        }
        if self.owned {
            // Asked for what is current before it counts as gone: it may be this very context, which is not put back then.
            let _restore = Restore::new(self.device.acl());
            current::release(&self.device, self.raw.get());
            // SAFETY: [once] `raw` came from aclrtCreateContext, or is owned by contract of `from_raw`; everything made in it held a clone
            // of the context, so it is gone, and this is the only destruction: nobody calls this again after true.
            drop_hook::report_failure(unsafe { acl!(&self.device, aclrtDestroyContext(self.raw.get())) });
        }
        true
    }
}

impl reaper::Pending for Ending {
    fn try_release(&mut self) -> bool {
        self.end(Duration::ZERO)
    }
}

/// How long a destructor waits for the report thread, which looks up from waiting for reports every 100 milliseconds.
const REPORT_PATIENCE: Duration = Duration::from_millis(300);

impl Drop for ContextInner {
    fn drop(&mut self) {
        let report = self.report.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let disposal = guard::disposal();
        if let Disposal::Never = disposal {
            // The report thread is not in this process, or ends with it: there is nothing to stop.
            return keep_for_ever(report);
        }
        let (device, raw) = (self.device.clone(), SendRaw::new(self.identity.raw));
        let mut ending = Ending { device, raw, owned: self.owned, report };
        // A thread that is inside a callback may be the report thread.
        // On the reaper's thread all others that end would wait behind it.
        let patience = if guard::is_own_thread() { Duration::ZERO } else { REPORT_PATIENCE };
        if !matches!(disposal, Disposal::Now) || !ending.end(patience) {
            reaper::watch(ending);
        }
    }
}
