//! [`Context`]: where streams, events and memory are made, and the current context of a thread.
//!
//! ACL keeps one current context per thread, and almost every call works in it. Here each handle knows its context
//! and makes it current by itself: it asks what is current and sets its own only if that is another one. Constructors and
//! destructors put back what they found. Calls that need a context: everything on streams, events, memory and models;
//! those that need none: [`Acl`](crate::Acl)'s and opening a device. A wrong current context is an error of ACL (107002, 107003), never undefined
//! behaviour.
//!
//! [`Context::enter`] binds once for many calls: inside it a call costs one comparison in thread-local storage.

use crate::{
    Acl, Device, Result,
    callback::ReportThread,
    device::DeviceInner,
    drop_hook,
    guard::{self, Disposal},
    reaper,
    runtime::{Runtime, Site, acl, recent_message},
};
use ascendcl_sys as sys;
use std::{
    cell::Cell,
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
pub struct Context {
    inner: Arc<ContextInner>,
}

pub(crate) struct ContextInner {
    device: Device,
    raw: sys::aclrtContext,
    owned: bool,
    /// Never used again in this process, other than addresses.
    serial: u64,
    report: Mutex<Option<Arc<ReportThread>>>,
}

// SAFETY: the only field that is not Send and Sync by itself is `raw`, a handle of the C library that this crate never
// dereferences; a context may be current on many threads at once and destroyed on any (F§3).
unsafe impl Send for ContextInner {}
// SAFETY: as above.
unsafe impl Sync for ContextInner {}

thread_local! {
    /// How many [`Entered`] guards this thread has.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// The serial of the context that is current, as far as this crate knows; 0 if it does not. Trusted only inside
    /// [`Context::enter`], because other code may change what is current.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

fn next_serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What is current in this thread; null if nothing is.
fn current(acl: &impl Site) -> Result<sys::aclrtContext> {
    let Some(get) = acl.api().aclrtGetCurrentContext else {
        return Err(crate::Error::MissingSymbol { function: "aclrtGetCurrentContext" });
    };
    let mut raw = ptr::null_mut();
    // SAFETY: a valid place for the answer.
    if unsafe { get(&mut raw) } == 0 {
        Ok(raw)
    } else {
        // No context is the usual answer of a fresh thread. Its text must not turn up in the next error.
        recent_message(acl.api());
        Ok(ptr::null_mut())
    }
}

/// Puts back, when dropped, the context that was current when it was made. Where none was, what is current stays: ACL cannot set none.
pub(crate) struct Restore<'a> {
    acl: &'a Acl,
    raw: sys::aclrtContext,
    serial: u64,
}

impl<'a> Restore<'a> {
    pub(crate) fn new(acl: &'a Acl) -> Self {
        let raw = current(acl).unwrap_or(ptr::null_mut());
        // Outside of all guards other code may have changed what is current since this crate last looked.
        let entered = DEPTH.try_with(|depth| depth.get() > 0).unwrap_or(false);
        let serial = if entered { CURRENT.try_with(Cell::get).unwrap_or(0) } else { 0 };
        Restore { acl, raw, serial }
    }
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        // A guard that was alive when the process forked: its context is the parent's.
        if guard::forked() {
            return;
        }
        let mut serial = 0;
        if !self.raw.is_null() {
            let now = current(self.acl).unwrap_or(ptr::null_mut());
            // SAFETY: `raw` was current a moment ago. If it was destroyed since, ACL refuses it and nothing is current.
            if now == self.raw || unsafe { acl!(self.acl, aclrtSetCurrentContext(self.raw)) }.is_ok() {
                serial = self.serial;
            }
        }
        let _ = CURRENT.try_with(|current| current.set(serial));
    }
}

/// Makes `raw` current, unless it is.
fn bind(site: &impl Site, raw: sys::aclrtContext, serial: u64) -> Result<()> {
    if current(site)? != raw {
        // SAFETY: `raw` is alive: the caller holds the handle that owns it.
        unsafe { acl!(site, aclrtSetCurrentContext(raw)) }?;
    }
    let _ = CURRENT.try_with(|current| current.set(serial));
    Ok(())
}

/// A device's primary context, current until dropped.
pub(crate) struct PrimaryContext<'a>(#[allow(dead_code, reason = "held for its destructor")] Restore<'a>);

impl<'a> PrimaryContext<'a> {
    pub(crate) fn bind(device: &'a DeviceInner, op: &'static str) -> Result<Self> {
        guard::check(op)?;
        let restore = Restore::new(device.acl());
        bind(device, device.primary(), 0)?;
        Ok(PrimaryContext(restore))
    }
}

impl DeviceInner {
    fn acl(&self) -> &Acl {
        self.acl_handle()
    }
}

impl Context {
    pub(crate) fn create(device: &Device) -> Result<Context> {
        guard::check("aclrtCreateContext")?;
        let restore = Restore::new(device.acl());
        let mut raw = ptr::null_mut();
        // SAFETY: a valid place for the answer. The context is destroyed by `ContextInner::drop`.
        unsafe { acl!(device, aclrtCreateContext(&mut raw, device.id())) }?;
        drop(restore);
        Ok(Context::new(device, raw, true))
    }

    pub(crate) fn primary(device: &Device) -> Context {
        Context::new(device, device.raw_primary(), false)
    }

    fn new(device: &Device, raw: sys::aclrtContext, owned: bool) -> Context {
        let report = Mutex::new(None);
        Context {
            inner: Arc::new(ContextInner {
                device: device.clone(),
                raw,
                owned,
                serial: next_serial(),
                report,
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
        Context::new(device, raw, owned)
    }

    /// The C handle. It stays valid as long as this context does.
    pub fn as_raw(&self) -> sys::aclrtContext {
        self.inner.raw
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
    #[doc(alias = "aclrtSetCurrentContext")]
    pub fn enter(&self) -> Result<Entered<'_>> {
        guard::check("aclrtSetCurrentContext")?;
        let restore = Restore::new(self.device().acl());
        bind(&*self.inner, self.inner.raw, self.inner.serial)?;
        DEPTH.set(DEPTH.get() + 1);
        Ok(Entered { _restore: restore, _not_send: PhantomData })
    }

    /// Waits for all streams of this context.
    #[doc(alias = "aclrtSynchronizeDevice")]
    pub fn synchronize(&self) -> Result<()> {
        self.bind("aclrtSynchronizeDevice")?;
        // SAFETY: no arguments; this context is current.
        unsafe { acl!(self, aclrtSynchronizeDevice()) }
    }

    /// Waits for all streams of this context, but no longer than `timeout` (resolution: one millisecond, rounded up).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout); the streams go on working.
    #[doc(alias = "aclrtSynchronizeDeviceWithTimeout")]
    pub fn synchronize_timeout(&self, timeout: Duration) -> Result<()> {
        self.bind("aclrtSynchronizeDeviceWithTimeout")?;
        // SAFETY: a plain integer; this context is current.
        unsafe { acl!(self, aclrtSynchronizeDeviceWithTimeout(millis(timeout))) }
    }

    /// Makes this context current, unless the thread is known to be in it. To be called before each C call that needs it.
    #[inline]
    pub(crate) fn bind(&self, op: &'static str) -> Result<()> {
        guard::check(op)?;
        if DEPTH.get() > 0 && CURRENT.get() == self.inner.serial {
            return Ok(());
        }
        bind(&*self.inner, self.inner.raw, self.inner.serial)
    }

    /// As [`Context::bind`], but always asks ACL: for calls that would quietly work in a wrong context.
    pub(crate) fn bind_checked(&self, op: &'static str) -> Result<()> {
        guard::check(op)?;
        bind(&*self.inner, self.inner.raw, self.inner.serial)
    }

    /// Runs a destructor's C call in this context, and puts back what was current.
    pub(crate) fn release(&self, action: impl FnOnce() -> Result<()>) {
        let _restore = Restore::new(self.device().acl());
        if let Err(error) = bind(&*self.inner, self.inner.raw, self.inner.serial).and_then(|()| action()) {
            drop_hook::report(&error);
        }
    }

    /// The thread that runs the callbacks of this context; started by the first who asks.
    pub(crate) fn report_thread(&self) -> Result<Arc<ReportThread>> {
        let mut report = self.inner.report.lock().unwrap_or_else(PoisonError::into_inner);
        match &*report {
            Some(thread) => Ok(thread.clone()),
            None => {
                Ok(report.insert(Arc::new(ReportThread::start(self.runtime().api, self.inner.raw)?)).clone())
            }
        }
    }

    /// Whether both are handles of one context.
    pub(crate) fn is(&self, other: &Context) -> bool {
        self.inner.raw == other.inner.raw && self.device() == other.device()
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
        f.debug_struct("Context").field("device", &self.device().id()).field("raw", &self.inner.raw).finish()
    }
}

impl Site for ContextInner {
    fn runtime(&self) -> &Runtime {
        self.device.runtime()
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
        let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

impl fmt::Debug for Entered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entered")
    }
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
            let _restore = Restore::new(self.device.acl());
            // SAFETY: `raw` came from aclrtCreateContext, or is owned by contract of `from_raw`; everything made in it held a clone
            // of the context, so it is gone, and this is the only destruction: nobody calls this again after true.
            if let Err(error) = unsafe { acl!(&self.device, aclrtDestroyContext(self.raw.0)) } {
                drop_hook::report(&error);
            }
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
            // The report thread is not in this process: there is nothing to stop.
            std::mem::forget(report);
            return;
        }
        let (device, raw) = (self.device.clone(), SendRaw(self.raw));
        let mut ending = Ending { device, raw, owned: self.owned, report };
        // A thread that is inside a callback may be the report thread.
        if !matches!(disposal, Disposal::Now) || !ending.end(REPORT_PATIENCE) {
            reaper::watch(ending);
        }
    }
}

/// A C handle on its way to another thread.
pub(crate) struct SendRaw(pub(crate) *mut core::ffi::c_void);

// SAFETY: handles of ACL may be used from any thread (F§3, F§4, F§5); this crate does not dereference them.
unsafe impl Send for SendRaw {}

/// A timeout as ACL's waits take it: whole milliseconds, rounded up, at least one (zero is an error there), at most what fits.
pub(crate) fn millis(timeout: Duration) -> i32 {
    let millis = timeout.as_nanos().div_ceil(1_000_000);
    i32::try_from(millis).unwrap_or(i32::MAX).max(1)
}
