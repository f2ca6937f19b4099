//! Ordering streams by events: record, wait, reset.

use crate::{Error, Event, EventFlags, Result, Stream, event::EventKind, runtime::acl};
use std::time::Duration;

impl Stream {
    /// Records an event: it is complete when the stream has got here.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the event is of another device; [`ErrorKind::OutOfResources`](crate::ErrorKind::OutOfResources) when the device has no event left.
    #[doc(alias = "aclrtRecordEvent")]
    pub fn record(&self, event: &Event) -> Result<()> {
        const OP: &str = "aclrtRecordEvent";
        event.check_device(OP, self.device())?;
        event.records().begin();
        let number = self.enqueue_record(event)?;
        event.records().on(self, number);
        Ok(())
    }

    /// Lets the stream wait here until the event is complete. This thread does not wait.
    ///
    /// An event of [`create_event`](crate::Context::create_event) must have been recorded before. An event with flags
    /// ([`create_event_with_flags`](crate::Context::create_event_with_flags)) need not: the stream waits until somebody records it.
    ///
    /// # Errors
    ///
    /// [`Error::EventMode`] if the event cannot be waited for; [`Error::Mismatch`] if it is of another device, where some chips would
    /// quietly not wait.
    #[doc(alias = "aclrtStreamWaitEvent")]
    pub fn wait(&self, event: &Event) -> Result<()> {
        const OP: &str = "aclrtStreamWaitEvent";
        event.check_wait(OP, self.device())?;
        self.enqueue(OP, |raw| {
            // SAFETY: [handle] both are alive as long as their handles; ACL lets an event be destroyed while work with it is queued.
            unsafe { acl!(self, aclrtStreamWaitEvent(raw, event.as_raw())) }
        })?;
        Ok(())
    }

    /// As [`Stream::wait`], but the device gives up after `timeout` (resolution: one second, rounded up), and the next wait for
    /// the stream tells.
    ///
    /// # Errors
    ///
    /// As [`Stream::wait`]; [`Error::MissingSymbol`] before CANN 8.5. That the time was over is told by the next
    /// [`synchronize`](Stream::synchronize), as [`ErrorKind::DeviceFault`](crate::ErrorKind::DeviceFault) (107019). By then the stream has gone on without the event.
    #[doc(alias = "aclrtStreamWaitEventWithTimeout")]
    pub fn wait_timeout(&self, event: &Event, timeout: Duration) -> Result<()> {
        const OP: &str = "aclrtStreamWaitEventWithTimeout";
        event.check_wait(OP, self.device())?;
        // Zero would be for ever.
        let seconds = timeout.as_secs().saturating_add(u64::from(timeout.subsec_nanos() > 0));
        let seconds = i32::try_from(seconds).unwrap_or(i32::MAX).max(1);
        self.enqueue(OP, |raw| {
            // SAFETY: [handle] both are alive as long as their handles; ACL lets an event be destroyed while work with it is queued.
            unsafe { acl!(self, aclrtStreamWaitEventWithTimeout(raw, event.as_raw(), seconds)) }
        })?;
        Ok(())
    }

    /// Resets an event, so that it can be recorded and waited for anew. Put it behind the waits that use the event, in the same
    /// stream.
    ///
    /// Only events created with [`EventFlags::SYNC`] by
    /// [`create_event_with_flags`](crate::Context::create_event_with_flags) are reset; the others need not be.
    ///
    /// # Errors
    ///
    /// [`Error::EventMode`] for the others.
    #[doc(alias = "aclrtResetEvent")]
    pub fn reset(&self, event: &Event) -> Result<()> {
        const OP: &str = "aclrtResetEvent";
        event.check_device(OP, self.device())?;
        match event.kind() {
            EventKind::Flags(flags) if flags.contains(EventFlags::SYNC) => {}
            _ => {
                return Err(Error::EventMode {
                    op: OP,
                    what: "only events created with EventFlags::SYNC by create_event_with_flags are reset; \
                           the others are simply recorded again",
                });
            }
        }
        self.enqueue(OP, |raw| {
            // SAFETY: [handle] both are alive as long as their handles; ACL lets an event be destroyed while work with it is queued.
            unsafe { acl!(self, aclrtResetEvent(event.as_raw(), raw)) }
        })?;
        Ok(())
    }
}
