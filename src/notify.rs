//! [`Notify`]: one stream tells another that it has got somewhere, also on another device.

use crate::{
    Context, Device, Result, Stream,
    runtime::{Runtime, SendRaw, Site, acl},
};
use ascendcl_sys::{self as sys, AclApi};
use std::{fmt, ptr, sync::Arc, time::Duration};

/// A signal from one stream to one other: recorded by the first, waited for by the second, which takes it back.
///
/// Lighter than an [`Event`](crate::Event): the host can neither ask for it nor wait for it, and it needs no reset. Unlike an event it also orders
/// streams of different devices. Each record lets one wait go on; a second record before that counts once.
///
/// A cheap handle that any thread may use. It is destroyed when the last one is dropped and what was enqueued with it is done.
///
/// ```
/// # fn main() -> Result<(), ascendcl::Error> {
/// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
/// let (first, second) = (context.create_stream()?, context.create_stream()?);
/// let notify = context.create_notify()?;
/// second.wait_notify(&notify)?; // before task b, also if nothing was recorded yet
/// first.record_notify(&notify)?; // after task a
/// second.synchronize()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "aclrtDestroyNotify")]
pub struct Notify {
    inner: Arc<NotifyInner>,
}

struct NotifyInner {
    context: Context,
    raw: sys::aclrtNotify,
}

// SAFETY: [threads] the only field that is not Send and Sync by itself is `raw`, a handle of the C library that this crate never dereferences;
// a notify may be used from several threads, and is destroyed only when no handle is left and no stream works with it.
unsafe impl Send for NotifyInner {}
// SAFETY: [threads] as above.
unsafe impl Sync for NotifyInner {}

impl Context {
    /// Creates a notify.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfResources`](crate::ErrorKind::OutOfResources) when the device has none left;
    /// [`Error::MissingSymbol`](crate::Error::MissingSymbol) before CANN 8.5.
    #[doc(alias = "aclrtCreateNotify")]
    pub fn create_notify(&self) -> Result<Notify> {
        self.bind_checked("aclrtCreateNotify")?;
        let mut raw = ptr::null_mut();
        // SAFETY: [place] a valid place for the answer; the context is current.
        unsafe { acl!(self, aclrtCreateNotify(&mut raw, u64::from(sys::ACL_NOTIFY_DEFAULT))) }?;
        Ok(Notify { inner: Arc::new(NotifyInner { context: self.clone(), raw }) })
    }
}

impl Stream {
    /// Records a notify when the stream has got here: the wait for it goes on.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`](crate::Error::Mismatch) if the notify is of another backend; an error of ACL;
    /// [`Error::InCallback`](crate::Error::InCallback) inside a callback.
    #[doc(alias = "aclrtRecordNotify")]
    pub fn record_notify(&self, notify: &Notify) -> Result<()> {
        const OP: &str = "aclrtRecordNotify";
        self.context().check_backend(OP, "notify", notify.context())?;
        let recorded = self.enqueue(OP, |raw| {
            // SAFETY: [handle] both are alive; the stream keeps the notify until it has passed this.
            unsafe { acl!(self, aclrtRecordNotify(notify.as_raw(), raw)) }
        });
        self.keep_unless_refused(recorded, [&notify.inner], 0)
    }

    /// Lets the stream wait here until the notify is recorded, and takes it back: the next wait waits for the next record. This thread does not
    /// wait.
    ///
    /// # Errors
    ///
    /// As [`Stream::record_notify`].
    #[doc(alias = "aclrtWaitAndResetNotify")]
    pub fn wait_notify(&self, notify: &Notify) -> Result<()> {
        self.wait_notify_seconds(notify, 0)
    }

    /// As [`Stream::wait_notify`], but the device gives up after `timeout` (resolution: one second, rounded up), and the next wait for the stream
    /// tells, as [`ErrorKind::DeviceFault`](crate::ErrorKind::DeviceFault).
    ///
    /// # Errors
    ///
    /// As [`Stream::record_notify`].
    #[doc(alias = "aclrtWaitAndResetNotify")]
    pub fn wait_notify_timeout(&self, notify: &Notify, timeout: Duration) -> Result<()> {
        // Zero would be for ever.
        let seconds = timeout.as_secs().saturating_add(u64::from(timeout.subsec_nanos() > 0));
        self.wait_notify_seconds(notify, u32::try_from(seconds).unwrap_or(u32::MAX).max(1))
    }

    fn wait_notify_seconds(&self, notify: &Notify, seconds: u32) -> Result<()> {
        const OP: &str = "aclrtWaitAndResetNotify";
        self.context().check_backend(OP, "notify", notify.context())?;
        let waits = self.enqueue(OP, |raw| {
            // SAFETY: [handle] both are alive; the stream keeps the notify until it has passed this.
            unsafe { acl!(self, aclrtWaitAndResetNotify(notify.as_raw(), raw, seconds)) }
        });
        self.keep_unless_refused(waits, [&notify.inner], 0)
    }
}

impl Notify {
    /// The C handle. It stays valid as long as a handle of this notify does.
    pub fn as_raw(&self) -> sys::aclrtNotify {
        self.inner.raw
    }

    /// The context it was made in.
    pub fn context(&self) -> &Context {
        &self.inner.context
    }

    /// The device.
    pub fn device(&self) -> &Device {
        self.inner.context.device()
    }

    /// Its number on the device.
    ///
    /// # Errors
    ///
    /// An error of ACL.
    #[doc(alias = "aclrtGetNotifyId")]
    pub fn id(&self) -> Result<u32> {
        self.inner.context.bind("aclrtGetNotifyId")?;
        let mut id = 0;
        // SAFETY: [handle, place] the notify is alive; a valid place for the answer.
        unsafe { acl!(self, aclrtGetNotifyId(self.inner.raw, &mut id)) }?;
        Ok(id)
    }
}

impl PartialEq for Notify {
    /// Whether both are handles of one notify.
    fn eq(&self, other: &Notify) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Notify {}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify").field("device", &self.device().id()).field("raw", &self.inner.raw).finish()
    }
}

impl Site for Notify {
    fn runtime(&self) -> &Runtime {
        self.inner.context.runtime()
    }

    fn api(&self) -> &'static AclApi {
        self.inner.context.api()
    }

    fn device_id(&self) -> Option<i32> {
        self.inner.context.device_id()
    }
}

impl Drop for NotifyInner {
    fn drop(&mut self) {
        let raw = SendRaw::new(self.raw);
        self.context.dispose(move |context| {
            // SAFETY: [once] no handle is left, and no stream that keeps it until it has passed the last use; this is the only destruction.
            unsafe { acl!(context, aclrtDestroyNotify(raw.get())) }
        });
    }
}
