//! Events.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ascendcl_sys::{
    self as sys, AclApi, aclError, aclrtEvent, aclrtEventRecordedStatus, aclrtEventStatus,
    aclrtEventWaitStatus, aclrtStream,
};

use super::{call, fill, milliseconds, not_null};
use crate::core::event::{EVENTS, Event, Mode};
use crate::core::task::Task;
use crate::core::{Stream, current_context, find_stream, instance, process, resolve_found};
use crate::error::{fail, fail_unremembered};

/// Flags that go together. The runtime accepts one more than its headers name.
const COMMON_FLAGS: u32 =
    sys::ACL_EVENT_SYNC | sys::ACL_EVENT_CAPTURE_STREAM_PROGRESS | sys::ACL_EVENT_TIME_LINE | 0x4;
/// What `aclrtCreateEvent` stands for.
const PLAIN_FLAGS: u32 = COMMON_FLAGS & !sys::ACL_EVENT_SYNC;

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCreateEvent(event: *mut aclrtEvent) -> aclError {
    // SAFETY: [caller] same contract.
    call!("aclrtCreateEvent", || unsafe { create(event, Mode::Plain, PLAIN_FLAGS) })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCreateEventWithFlag(event: *mut aclrtEvent, flag: u32) -> aclError {
    // SAFETY: [caller] same contract.
    call!("aclrtCreateEventWithFlag", || unsafe { create(event, Mode::Flagged, flag) })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCreateEventExWithFlag(event: *mut aclrtEvent, flag: u32) -> aclError {
    // SAFETY: [caller] same contract.
    call!("aclrtCreateEventExWithFlag", || unsafe { create(event, Mode::Extended, flag) })
}

/// # Safety
/// `event` is NULL or a place to write to.
unsafe fn create(event: *mut aclrtEvent, mode: Mode, flags: u32) -> Result<(), aclError> {
    not_null(event, "event")?;
    let common = flags != 0 && flags & !COMMON_FLAGS == 0;
    let alone = match mode {
        Mode::Plain => false,
        Mode::Flagged => flags == sys::ACL_EVENT_EXTERNAL || flags == sys::ACL_EVENT_DEVICE_USE_ONLY,
        Mode::Extended => flags == sys::ACL_EVENT_IPC,
    };
    if !common && !alone {
        return Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("event flag {flags:#x} is not allowed"),
        ));
    }
    if flags == sys::ACL_EVENT_IPC
        && process::machine().settings().profile.lacks("aclrtIpcGetEventHandle").is_some()
    {
        return Err(unsupported("this chip has no events between processes"));
    }
    let context = current_context()?;
    // The same as aclrtCreateEvent, by another name.
    let mode = if mode == Mode::Flagged && flags == PLAIN_FLAGS { Mode::Plain } else { mode };
    let handle = Event::create(context.device(), mode, flags)?;
    context.check_alive().inspect_err(|_| drop(EVENTS.remove(handle)))?;
    // SAFETY: [caller] not NULL, and the caller passes a place to write to.
    unsafe { event.write(handle) };
    Ok(())
}

pub(super) fn find(event: aclrtEvent) -> Result<Arc<Event>, aclError> {
    EVENTS.get(event).ok_or_else(|| unknown(event))
}

/// Device-side events are nothing that the host can use.
fn usable_by_host(event: &Event) -> Result<(), aclError> {
    if event.flags() == sys::ACL_EVENT_DEVICE_USE_ONLY {
        return Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            "an event with ACL_EVENT_DEVICE_USE_ONLY is used from the device side only",
        ));
    }
    Ok(())
}

/// External events are for captured work and tell the host nothing.
fn observable(event: &Event) -> Result<(), aclError> {
    if event.flags() == sys::ACL_EVENT_EXTERNAL {
        return Err(unsupported(
            "an event with ACL_EVENT_EXTERNAL cannot be asked or waited for by the host",
        ));
    }
    Ok(())
}

/// What processes share is nothing that one of them can capture.
fn capturable(event: &Event, stream: Option<&Stream>) -> Result<(), aclError> {
    let capturing = stream.is_some_and(|stream| stream.intake().capturing().is_some());
    if capturing && event.flags() == sys::ACL_EVENT_IPC {
        return Err(unsupported("an event that processes share cannot be part of a capture"));
    }
    Ok(())
}

fn timed(event: &Event) -> Result<(), aclError> {
    observable(event)?;
    if event.flags() == sys::ACL_EVENT_IPC {
        return Err(unsupported("an event that processes share has no time"));
    }
    Ok(())
}

fn unknown(event: aclrtEvent) -> aclError {
    fail(sys::ACL_ERROR_RT_INVALID_HANDLE, format_args!("the event {event:p} {}", EVENTS.describe(event)))
}

fn unsupported(what: &str) -> aclError {
    fail_unremembered(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, what)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDestroyEvent(event: aclrtEvent) -> aclError {
    call!("aclrtDestroyEvent", || {
        not_null(event, "event")?;
        // Tasks that use the event keep it: its records and waits still happen.
        EVENTS.remove(event).map(drop).ok_or_else(|| unknown(event))
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtRecordEvent(event: aclrtEvent, stream: aclrtStream) -> aclError {
    call!("aclrtRecordEvent", || {
        not_null(event, "event")?;
        record(event, stream, false)
    })
}

/// With `external` only what `aclrtRecordEventWithFlag` adds.
pub(super) fn record(event: aclrtEvent, stream: aclrtStream, external: bool) -> Result<(), aclError> {
    let event = find(event)?;
    let stream = find_stream(stream)?;
    usable_by_host(&event)?;
    capturable(&event, stream.as_deref())?;
    let stream = resolve_found(stream)?;
    if event.device().id() != stream.device().id() {
        return Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!(
                "an event of device {} cannot be recorded on a stream of device {}",
                event.device().id(),
                stream.device().id()
            ),
        ));
    }
    if instance::record_event(&stream, &event, external)? {
        return Ok(());
    }
    let number = event.issue_record()?;
    let pushed = stream.push(Task::Record { event: Arc::clone(&event), number });
    match pushed {
        Ok(()) => event.submitted(number),
        Err(_) => event.abandon(number),
    }
    pushed
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtResetEvent(event: aclrtEvent, stream: aclrtStream) -> aclError {
    call!("aclrtResetEvent", || {
        not_null(event, "event")?;
        let event = find(event)?;
        let stream = find_stream(stream)?;
        usable_by_host(&event)?;
        let unresettable =
            || unsupported("only events of aclrtCreateEventWithFlag with ACL_EVENT_SYNC can be reset");
        if event.flags() == sys::ACL_EVENT_IPC || !event.can_wait() {
            return Err(unresettable());
        }
        current_context()?;
        if event.mode() == Mode::Extended {
            return Err(unresettable());
        }
        let stream = resolve_found(stream)?;
        if event.mode() == Mode::Plain {
            log::warn!("aclrtResetEvent of an event made by aclrtCreateEvent is undefined; nothing is reset");
        }
        if instance::reset_event(&stream, &event)? {
            return Ok(());
        }
        stream.push(Task::Reset { event })
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtStreamWaitEvent(stream: aclrtStream, event: aclrtEvent) -> aclError {
    call!("aclrtStreamWaitEvent", || {
        not_null(event, "event")?;
        wait(stream, event, None, false)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtStreamWaitEventWithTimeout(
    stream: aclrtStream,
    event: aclrtEvent,
    timeout: i32,
) -> aclError {
    call!("aclrtStreamWaitEventWithTimeout", || {
        let seconds = u32::try_from(timeout).map_err(|_| {
            let code = sys::ACL_ERROR_RT_PARAM_INVALID;
            fail_unremembered(code, format_args!("a timeout of {timeout} seconds is negative"))
        })?;
        wait(stream, event, Some(seconds), false)
    })
}

/// Without `seconds` the process-wide default holds; 0 is for ever. With `external` only what `aclrtStreamWaitEventWithFlag` adds.
pub(super) fn wait(
    stream: aclrtStream,
    event: aclrtEvent,
    seconds: Option<u32>,
    external: bool,
) -> Result<(), aclError> {
    let stream = find_stream(stream)?;
    if event.is_null() {
        return Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, "event must not be NULL"));
    }
    let event = find(event)?;
    usable_by_host(&event)?;
    capturable(&event, stream.as_deref())?;
    if !event.can_wait() {
        return Err(unsupported("streams can wait only for events with ACL_EVENT_SYNC"));
    }
    let stream = resolve_found(stream)?;
    let cross_device = event.device().id() != stream.device().id();
    if cross_device && !stream.device().profile().features.cross_device_wait {
        log::warn!(
            "stream {} of device {} does not wait for an event of device {}: this chip drops such waits",
            stream.id(),
            stream.device().id(),
            event.device().id()
        );
        return Ok(());
    }
    let seconds = seconds.unwrap_or_else(|| stream.device().wait_seconds().load(Ordering::Relaxed));
    let timeout = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
    if instance::wait_event(&stream, &event, timeout, external)? {
        return Ok(());
    }
    let Some(until) = event.capture()? else { return Ok(()) };
    stream
        .push(Task::Wait { on: event.waitable(), key: until.key(), timeout })
        .inspect_err(|_| event.wait_over())
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetOpWaitTimeout(timeout: u32) -> aclError {
    call!("aclrtSetOpWaitTimeout", || {
        // For the process, whatever its devices and contexts.
        process::machine().settings().wait_seconds.store(timeout, Ordering::Relaxed);
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtQueryEvent(event: aclrtEvent, status: *mut aclrtEventStatus) -> aclError {
    call!("aclrtQueryEvent", || {
        not_null(event, "event")?;
        not_null(status, "status")?;
        let event = find(event)?;
        if event.mode() == Mode::Extended {
            return Err(unsupported("aclrtQueryEvent does not know events of aclrtCreateEventExWithFlag"));
        }
        observable(&event)?;
        event.check_not_captured()?;
        // Complete if it was never recorded, unlike in the newer function.
        let (_, done) = event.status();
        let answer = if done { sys::ACL_EVENT_STATUS_COMPLETE } else { sys::ACL_EVENT_STATUS_NOT_READY };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { status.write(answer) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtQueryEventStatus(
    event: aclrtEvent,
    status: *mut aclrtEventRecordedStatus,
) -> aclError {
    call!("aclrtQueryEventStatus", || {
        not_null(event, "event")?;
        not_null(status, "status")?;
        let event = find(event)?;
        observable(&event)?;
        event.check_not_captured()?;
        let (recorded, done) = event.status();
        let complete = done && (recorded || event.mode() == Mode::Extended);
        let answer = if complete {
            sys::ACL_EVENT_RECORDED_STATUS_COMPLETE
        } else {
            sys::ACL_EVENT_RECORDED_STATUS_NOT_READY
        };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { status.write(answer) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtQueryEventWaitStatus(
    event: aclrtEvent,
    status: *mut aclrtEventWaitStatus,
) -> aclError {
    call!("aclrtQueryEventWaitStatus", || {
        not_null(event, "event")?;
        not_null(status, "status")?;
        let event = find(event)?;
        if event.mode() == Mode::Extended {
            return Err(unsupported(
                "aclrtQueryEventWaitStatus does not know events of aclrtCreateEventExWithFlag",
            ));
        }
        observable(&event)?;
        event.check_not_captured()?;
        let answer = if event.waits_passed() {
            sys::ACL_EVENT_WAIT_STATUS_COMPLETE
        } else {
            sys::ACL_EVENT_WAIT_STATUS_NOT_READY
        };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { status.write(answer) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSynchronizeEvent(event: aclrtEvent) -> aclError {
    call!("aclrtSynchronizeEvent", || {
        not_null(event, "event")?;
        synchronize(event, None)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSynchronizeEventWithTimeout(event: aclrtEvent, timeout: i32) -> aclError {
    call!("aclrtSynchronizeEventWithTimeout", || {
        if timeout < -1 {
            milliseconds(timeout)?;
        }
        not_null(event, "event")?;
        if timeout == 0 {
            find(event)?;
        }
        synchronize(event, milliseconds(timeout)?)
    })
}

/// Needs no context.
fn synchronize(event: aclrtEvent, timeout: Option<Duration>) -> Result<(), aclError> {
    let event = find(event)?;
    observable(&event)?;
    event.check_not_captured()?;
    event.synchronize(timeout)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtEventElapsedTime(
    ms: *mut f32,
    startEvent: aclrtEvent,
    endEvent: aclrtEvent,
) -> aclError {
    call!("aclrtEventElapsedTime", || {
        not_null(ms, "ms")?;
        not_null(startEvent, "startEvent")?;
        not_null(endEvent, "endEvent")?;
        let (start, end) = (find(startEvent)?, find(endEvent)?);
        start.check_not_captured()?;
        end.check_not_captured()?;
        timed(&start)?;
        timed(&end)?;
        let (start, end) = (start.time()?, end.time()?);
        let elapsed = (end as i128 - start as i128) as f64 / 1e6;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { ms.write(elapsed as f32) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtEventGetTimestamp(event: aclrtEvent, timestamp: *mut u64) -> aclError {
    call!("aclrtEventGetTimestamp", || {
        not_null(timestamp, "timestamp")?;
        not_null(event, "event")?;
        let event = find(event)?;
        timed(&event)?;
        event.check_not_captured()?;
        let time = event.time()?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { timestamp.write(time / 1000) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetEventId(event: aclrtEvent, eventId: *mut u32) -> aclError {
    call!("aclrtGetEventId", || {
        not_null(event, "event")?;
        not_null(eventId, "eventId")?;
        let event = find(event)?;
        if event.flags() == sys::ACL_EVENT_IPC {
            return Err(unsupported("an event that processes share has no id"));
        }
        let id = event.id().ok_or_else(|| {
            fail(
                sys::ACL_ERROR_RT_INTERNAL_ERROR,
                "the event has no id: it was never recorded, or needs none",
            )
        })?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { eventId.write(id) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetEventAvailNum(eventCount: *mut u32) -> aclError {
    call!("aclrtGetEventAvailNum", || {
        not_null(eventCount, "eventCount")?;
        let available = current_context()?.device().events().available();
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { eventCount.write(available) };
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtCreateEvent, aclrtCreateEventWithFlag, aclrtCreateEventExWithFlag, aclrtDestroyEvent, aclrtRecordEvent,
        aclrtResetEvent, aclrtStreamWaitEvent, aclrtStreamWaitEventWithTimeout, aclrtSetOpWaitTimeout,
        aclrtQueryEvent, aclrtQueryEventStatus, aclrtQueryEventWaitStatus, aclrtSynchronizeEvent,
        aclrtSynchronizeEventWithTimeout, aclrtEventElapsedTime, aclrtEventGetTimestamp, aclrtGetEventId,
        aclrtGetEventAvailNum,
    );
}
