//! How many cores, and how much time, work may take.

use crate::{Acl, Device, Result, Stream, drop_hook, guard, limbo::keep_for_ever, runtime::acl};
use ascendcl_sys as sys;
use std::{fmt, marker::PhantomData, time::Duration};

/// A kind of core of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[doc(alias = "aclrtDevResLimitType")]
#[non_exhaustive]
pub enum CoreKind {
    /// Those that multiply matrices; the AI cores of an Ascend 310 or 310P, which do everything.
    #[doc(alias = "ACL_RT_DEV_RES_CUBE_CORE")]
    Cube,
    /// Those that work on vectors.
    #[doc(alias = "ACL_RT_DEV_RES_VECTOR_CORE")]
    Vector,
}

impl CoreKind {
    fn raw(self) -> sys::aclrtDevResLimitType {
        match self {
            CoreKind::Cube => sys::ACL_RT_DEV_RES_CUBE_CORE,
            CoreKind::Vector => sys::ACL_RT_DEV_RES_VECTOR_CORE,
        }
    }
}

/// Whole seconds, rounded up, at least one: zero means something else to ACL.
fn seconds(limit: Duration) -> u32 {
    let seconds = limit.as_secs().saturating_add(u64::from(limit.subsec_nanos() > 0));
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}

impl Acl {
    /// How long an operator may run before the device gives it up, in this process, on all devices (resolution: one second, rounded up; chips round further). `None` is the
    /// longest that the chip knows. Counts for operators that are enqueued from now on and bring no limit of their own.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// use std::time::Duration;
    ///
    /// let acl = ascendcl::Acl::new()?;
    /// acl.set_execute_timeout(Some(Duration::from_secs(30)))?;
    /// # acl.set_execute_timeout(None)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::MissingSymbol`](crate::Error::MissingSymbol) before CANN 7; an error of ACL; [`Error::InCallback`](crate::Error::InCallback) inside a callback.
    #[doc(alias = "aclrtSetOpExecuteTimeOut")]
    pub fn set_execute_timeout(&self, limit: Option<Duration>) -> Result<()> {
        guard::check("aclrtSetOpExecuteTimeOut")?;
        // SAFETY: [plain] a plain number.
        unsafe { acl!(self, aclrtSetOpExecuteTimeOut(limit.map_or(0, seconds))) }
    }

    /// How long a stream may wait for an event ([`Stream::wait`]) before it goes on without it, in this process, on all devices (resolution: one second, rounded up). `None`, the
    /// default, is for ever. Counts for waits that are enqueued from now on and bring no limit of their own, as those of [`Stream::wait_timeout`] do.
    ///
    /// A wait that took too long is a fault of the device: the next wait of the host for that stream says so, and the stream takes no more work. So it is with the waits that this
    /// crate puts before executions of one model on several streams: a limit should be longer than the longest execution.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// use std::time::Duration;
    ///
    /// let acl = ascendcl::Acl::new()?;
    /// acl.set_wait_timeout(Some(Duration::from_secs(60)))?; // on an Ascend 310; not on a 310P
    /// # acl.set_wait_timeout(None)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotSupported`](crate::ErrorKind::NotSupported) on chips of the Ascend 310P family; on some chips an error of ACL if no device is open yet;
    /// [`Error::InCallback`](crate::Error::InCallback) inside a callback.
    #[doc(alias = "aclrtSetOpWaitTimeout")]
    pub fn set_wait_timeout(&self, limit: Option<Duration>) -> Result<()> {
        guard::check("aclrtSetOpWaitTimeout")?;
        // SAFETY: [plain] a plain number.
        unsafe { acl!(self, aclrtSetOpWaitTimeout(limit.map_or(0, seconds))) }
    }
}

impl Device {
    /// How many cores of a kind the operators of this process may use: all that there are, unless it was [limited](Device::set_core_limit).
    ///
    /// # Errors
    ///
    /// [`Error::MissingSymbol`](crate::Error::MissingSymbol) before CANN 8.3; an error of ACL; [`Error::InCallback`](crate::Error::InCallback) inside a callback.
    #[doc(alias = "aclrtGetDeviceResLimit")]
    pub fn core_limit(&self, kind: CoreKind) -> Result<u32> {
        guard::check("aclrtGetDeviceResLimit")?;
        let mut cores = 0;
        // SAFETY: [place] a valid place for the answer.
        unsafe { acl!(self, aclrtGetDeviceResLimit(self.id(), kind.raw(), &mut cores)) }?;
        Ok(cores)
    }

    /// Limits how many cores of a kind the operators of this process may use on the device: so several programs, or several models, share it without waiting for each other.
    /// Counts for operators that are enqueued from now on. A limit of a [stream](Stream::set_core_limit) goes before it.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// use ascendcl::CoreKind;
    ///
    /// let device = ascendcl::Acl::new()?.device(0)?;
    /// let all = device.core_limit(CoreKind::Cube)?;
    /// device.set_core_limit(CoreKind::Cube, all / 2)?;
    /// assert_eq!(device.core_limit(CoreKind::Cube)?, all / 2);
    /// device.reset_core_limits()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if there are not so many; as [`Device::core_limit`].
    #[doc(alias = "aclrtSetDeviceResLimit")]
    pub fn set_core_limit(&self, kind: CoreKind, cores: u32) -> Result<()> {
        guard::check("aclrtSetDeviceResLimit")?;
        // SAFETY: [plain] plain numbers.
        unsafe { acl!(self, aclrtSetDeviceResLimit(self.id(), kind.raw(), cores)) }
    }

    /// Takes back the limits of the device, of all kinds of cores.
    ///
    /// # Errors
    ///
    /// As [`Device::core_limit`].
    #[doc(alias = "aclrtResetDeviceResLimit")]
    pub fn reset_core_limits(&self) -> Result<()> {
        guard::check("aclrtResetDeviceResLimit")?;
        // SAFETY: [plain] a plain number.
        unsafe { acl!(self, aclrtResetDeviceResLimit(self.id())) }
    }
}

impl Stream {
    /// How many cores of a kind are for the operators of this stream: as many as for the [device](Device::core_limit), unless it was [limited](Stream::set_core_limit).
    ///
    /// # Errors
    ///
    /// As [`Device::core_limit`].
    #[doc(alias = "aclrtGetStreamResLimit")]
    pub fn core_limit(&self, kind: CoreKind) -> Result<u32> {
        self.context().bind_checked("aclrtGetStreamResLimit")?;
        let mut cores = 0;
        // SAFETY: [handle, place] the stream is alive; a valid place for the answer.
        unsafe { acl!(self, aclrtGetStreamResLimit(self.as_raw(), kind.raw(), &mut cores)) }?;
        Ok(cores)
    }

    /// Sets how many cores of a kind are for the operators of this stream. Counts on threads that [use](Stream::use_core_limits) the limits of the stream, for operators that they
    /// enqueue from then on.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// use ascendcl::CoreKind;
    ///
    /// let stream = ascendcl::Acl::new()?.device(0)?.create_context()?.create_stream()?;
    /// stream.set_core_limit(CoreKind::Cube, 1)?;
    /// let limited = stream.use_core_limits()?;
    /// // Operators that this thread enqueues here have one core.
    /// drop(limited);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if there are not so many; as [`Device::core_limit`].
    #[doc(alias = "aclrtSetStreamResLimit")]
    pub fn set_core_limit(&self, kind: CoreKind, cores: u32) -> Result<()> {
        self.context().bind_checked("aclrtSetStreamResLimit")?;
        // SAFETY: [handle] the stream is alive.
        unsafe { acl!(self, aclrtSetStreamResLimit(self.as_raw(), kind.raw(), cores)) }
    }

    /// Takes back the limits of the stream, of all kinds of cores.
    ///
    /// # Errors
    ///
    /// As [`Device::core_limit`].
    #[doc(alias = "aclrtResetStreamResLimit")]
    pub fn reset_core_limits(&self) -> Result<()> {
        self.context().bind_checked("aclrtResetStreamResLimit")?;
        // SAFETY: [handle] the stream is alive.
        unsafe { acl!(self, aclrtResetStreamResLimit(self.as_raw())) }
    }
}

/// While it lives, operators that this thread enqueues have the cores that [its stream was given](Stream::set_core_limit), whichever stream they go to: see
/// [`Stream::use_core_limits`].
#[must_use = "the limits are used until it is dropped"]
pub struct LimitedCores {
    /// A handle of its own: ACL remembers the address of the stream for the thread, and reads it with each operator. Forgotten, it keeps the stream for ever.
    stream: Stream,
    /// ACL knows it by thread.
    _not_send: PhantomData<*const ()>,
}

impl Stream {
    /// Uses the limits of this stream for the operators that this thread enqueues, until the answer is dropped. A thread uses one stream's limits at a time: the latest. When that is dropped, it uses
    /// those of the device.
    ///
    /// # Errors
    ///
    /// As [`Device::core_limit`].
    #[doc(alias = "aclrtUseStreamResInCurrentThread")]
    #[doc(alias = "aclrtUnuseStreamResInCurrentThread")]
    pub fn use_core_limits(&self) -> Result<LimitedCores> {
        self.context().bind_checked("aclrtUseStreamResInCurrentThread")?;
        // SAFETY: [handle] the stream is alive, and stays so until ACL has forgotten it: see the drop of the answer.
        match unsafe { acl!(self, aclrtUseStreamResInCurrentThread(self.as_raw())) } {
            Err(error) if error.is_refusal() => Err(error),
            result => {
                // Also after an error that does not say whether ACL remembers the stream.
                let limited = LimitedCores { stream: self.clone(), _not_send: PhantomData };
                result.map(|()| limited)
            }
        }
    }
}

impl Drop for LimitedCores {
    fn drop(&mut self) {
        // In a forked child, and at exit, nobody is told, and nothing is destroyed.
        if guard::is_over() {
            return keep_for_ever(self.stream.clone());
        }
        // SAFETY: [handle] the stream is alive. ACL forgets it if it is the one that this thread uses.
        let forgotten =
            unsafe { acl!(&self.stream, aclrtUnuseStreamResInCurrentThread(self.stream.as_raw())) };
        if let Err(error) = forgotten {
            keep_for_ever(self.stream.clone());
            drop_hook::report(&error);
        }
    }
}

impl fmt::Debug for LimitedCores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitedCores").field("stream", &self.stream).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up_and_never_none() {
        let of = |millis| seconds(Duration::from_millis(millis));
        assert_eq!([0, 1, 1000, 1001, 2500].map(of), [1, 1, 1, 2, 3]);
        assert_eq!([seconds(Duration::MAX), seconds(Duration::from_nanos(1))], [u32::MAX, 1]);
    }
}
