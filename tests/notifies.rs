//! Notifies order streams, also of different devices, and are taken back by the wait.

mod support;

use ascendcl::{Acl, Error, StreamFlags};
use std::time::Duration;
use support::{HostGate, Target, TestResult, until};

/// Whether the loaded library has them: CANN does from 8.5.
fn have_notifies(acl: &Acl) -> bool {
    acl.supports("aclrtCreateNotify") && acl.supports("aclrtWaitAndResetNotify")
}

/// A stream that waits goes on when another one gets to the record, on the same device or another.
fn orders(acl: &Acl, waiting: i32, recording: i32) -> TestResult {
    let (here, there) = (acl.device(waiting)?.create_context()?, acl.device(recording)?.create_context()?);
    let (waits, records) = (here.create_stream()?, there.create_stream()?);
    let notify = here.create_notify()?;
    let passed = waits.is_idle()?;
    assert!(passed);
    for _ in 0..20 {
        waits.wait_notify(&notify)?;
        let gate = HostGate::close(&records)?;
        records.record_notify(&notify)?;
        assert!(!waits.is_idle()?, "nothing has recorded it yet");
        gate.open().wait()?;
        waits.synchronize()?;
        records.synchronize()?;
    }
    Ok(())
}

backend_test! {
    fn a_wait_goes_on_with_the_record(acl) {
        if have_notifies(acl) {
            orders(acl, 0, 0)?;
        }
    }
}

backend_test! {
    fn devices_are_ordered_too(acl) {
        if have_notifies(acl) && acl.device_count()? > 1 {
            orders(acl, 0, 1)?;
        }
    }
}

backend_test! {
    fn a_wait_takes_the_record_back(acl) {
        if !have_notifies(acl) {
            return Ok(());
        }
        let context = acl.device(0)?.create_context()?;
        let (first, second) = (context.create_stream()?, context.create_stream()?);
        let notify = context.create_notify()?;
        // Recorded before anybody waits: kept for the one that comes.
        first.record_notify(&notify)?;
        first.synchronize()?;
        second.wait_notify(&notify)?;
        second.synchronize()?;
        second.wait_notify(&notify)?;
        assert!(!second.is_idle()?, "the first wait has taken the record");
        first.record_notify(&notify)?;
        second.synchronize()?;
        assert_eq!(notify, notify.clone());
        assert_ne!(notify.id()?, context.create_notify()?.id()?);
    }
}

backend_test! {
    fn a_notify_that_is_dropped_lives_until_its_streams_have_passed_it(acl) {
        if !have_notifies(acl) {
            return Ok(());
        }
        let context = acl.device(0)?.create_context()?;
        let (first, second) = (context.create_stream()?, context.create_stream()?);
        for _ in 0..10 {
            let notify = context.create_notify()?;
            second.wait_notify(&notify)?;
            let gate = HostGate::close(&first)?;
            first.record_notify(&notify)?;
            drop(notify);
            gate.open().wait()?;
            second.synchronize()?;
            first.synchronize()?;
        }
    }
}

backend_test! {
    fn a_wait_with_a_limit_goes_on_with_the_record(acl) {
        if !have_notifies(acl) {
            return Ok(());
        }
        let context = acl.device(0)?.create_context()?;
        let (first, second) = (context.create_stream()?, context.create_stream()?);
        let notify = context.create_notify()?;
        second.wait_notify_timeout(&notify, Duration::from_secs(1000))?;
        assert!(!second.is_idle()?);
        first.record_notify(&notify)?;
        second.synchronize()?;
    }
}

sim_test! {
    fn a_notify_of_another_backend_is_refused() {
        let (embedded, library) = (Target::Embedded.open()?, Target::Cdylib.open()?);
        {
            let stream = embedded.device(0)?.create_context()?.create_stream()?;
            let notify = library.device(0)?.create_context()?.create_notify()?;
            for refused in [stream.record_notify(&notify), stream.wait_notify(&notify)] {
                assert!(matches!(refused, Err(Error::Mismatch { .. })), "{refused:?}");
            }
        }
        assert!(embedded.finalize()? && library.finalize()?);
    }
}

backend_test! {
    fn what_streams_and_events_are_left(acl) {
        if !acl.supports("aclrtGetStreamAvailableNum") || !acl.supports("aclrtStreamGetPriority") {
            return Ok(());
        }
        let context = acl.device(0)?.create_context()?;
        let (streams, events) = (context.available_streams()?, context.available_events()?);
        let stream = context.create_stream_with(0, StreamFlags::empty())?;
        let event = context.create_event_with_flags(ascendcl::EventFlags::SYNC)?;
        assert_eq!(stream.priority()?, 0);
        assert_eq!(stream.flags()?, StreamFlags::empty());
        until(|| context.available_streams().is_ok_and(|left| left < streams));
        assert!(context.available_events()? < events);
        drop(event);
        until(|| context.available_events().is_ok_and(|left| left == events));
    }
}
