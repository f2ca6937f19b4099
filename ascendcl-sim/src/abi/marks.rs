//! `acl_prof.h`: marks, ranges and steps that a program puts into a profile.

use core::ffi::{CStr, c_char, c_void};
use std::cell::Cell;
use std::ptr;
use std::sync::Arc;

use ascendcl_sys::{
    self as sys, aclError, aclprofEventAttributes, aclprofStepInfo, aclprofStepTag, aclrtStream,
};

use super::{functions, invalid, not_null};
use crate::check::leak::{LiveKind, register};
use crate::core::stream::Named;
use crate::core::{current_context, lookup_stream, resolve_stream};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;
use crate::profiling::stamp;

static STEPS: Table<Mutex<Step>> = Table::new(Kind::StepInfo);

/// What the profiler answers where it has no code.
const FAILED: aclError = -1;
/// Messages of stamps are shorter than this.
const STAMP_MESSAGE: u32 = 128;
/// Messages of marks on streams are shorter than this.
const MARK_MESSAGE: usize = 156;

/// Bytes of what a program says with a trace point.
const TRACE_DATA: i32 = 18;

/// `aclprofStepInfo`
#[derive(Default)]
struct Step {
    started: bool,
    ended: bool,
}

thread_local! {
    /// The stream of the range that this thread pushed with attributes.
    static PUSHED: Cell<Option<usize>> = const { Cell::new(None) };
}

functions! {
    value(ptr::null_mut()) fn aclprofCreateStamp() -> *mut c_void {
        stamp::create().unwrap_or_else(|| {
            failed("no stamp: a hundred are in use, or aclprofStart was not called with ACL_PROF_MSPROFTX");
            ptr::null_mut()
        })
    }

    value(()) fn aclprofDestroyStamp(stamp: *mut c_void) {
        if not_null(stamp, "stamp").is_ok() {
            stamp::destroy(stamp);
        }
    }

    status fn aclprofSetStampTraceMessage(stamp: *mut c_void, msg: *const c_char, msgLen: u32) {
        if stamp.is_null() || msg.is_null() || msgLen >= STAMP_MESSAGE {
            return Err(failed("stamp and msg must not be NULL, and msgLen below 128"));
        }
        answer(stamp::set_message(stamp, prefix(msg, msgLen as usize)))
    }

    status fn aclprofMark(stamp: *mut c_void) {
        answer(stamp::mark(stamp))
    }

    status fn aclprofMarkEx(msg: *const c_char, msgLen: usize, stream: aclrtStream) {
        if !stamp::are_taken() {
            return Err(untaken());
        }
        if msg.is_null() || stream.is_null() {
            return Err(failed("msg and stream must not be NULL"));
        }
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        let message = unsafe { CStr::from_ptr(msg) }.to_bytes();
        if message.len() != msgLen || msgLen == 0 || msgLen >= MARK_MESSAGE {
            return Err(failed("msgLen is not the length of msg, or not in 1 to 155"));
        }
        let stream = resolve_stream(stream).map_err(|_| FAILED)?;
        answer(stamp::mark_on(&stream, &String::from_utf8_lossy(message)))
    }

    status fn aclprofPush(stamp: *mut c_void) {
        not_null(stamp, "stamp")?;
        answer(stamp::push(stamp))
    }

    status fn aclprofPop() {
        answer(stamp::pop())
    }

    status fn aclprofRangeStart(stamp: *mut c_void, rangeId: *mut u32) {
        not_null(stamp, "stamp")?;
        not_null(rangeId, "rangeId")?;
        let range = stamp::range_start(stamp).ok_or_else(untaken)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { rangeId.write(range) };
        Ok(())
    }

    status fn aclprofRangeStop(rangeId: u32) {
        answer(stamp::range_stop(rangeId))
    }

    status fn aclrtProfTrace(userdata: *mut c_void, length: i32, stream: aclrtStream) {
        not_null(userdata, "userdata")?;
        if !(1..=TRACE_DATA).contains(&length) {
            let text = format!("length {length} is not in 1 to {TRACE_DATA}");
            return Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, text));
        }
        let stream = Named::new(stream)?;
        let context = current_context()?;
        match stream.of(&context)?.submit("profiler mark", Arc::new(|| Ok(()))) {
            0 => Ok(()),
            code => Err(code),
        }
    }

    // A number for a text, the same for the same text.
    value(0) fn aclprofStr2Id(message: *const c_char) -> u64 {
        if not_null(message, "message").is_err() {
            return 0;
        }
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        let bytes = unsafe { CStr::from_ptr(message) }.to_bytes();
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    }

    status fn aclprofRangePushEx(attr: *mut aclprofEventAttributes) {
        not_null(attr, "attr")?;
        // SAFETY: [caller] not NULL, and the caller passes attributes.
        let attributes = unsafe { &*attr };
        if attributes.messageType != sys::ACL_PROF_MESSAGE_TYPE_TENSOR_INFO.0 {
            return Err(failed("messageType is not ACL_PROF_MESSAGE_TYPE_TENSOR_INFO"));
        }
        // SAFETY: [caller] the union has this one member.
        let info = unsafe { attributes.message.tensorInfo };
        // SAFETY: [caller] NULL, or the caller passes what the message type says.
        let stream = unsafe { info.as_ref() }.map_or(1, |info| info.stream.addr());
        PUSHED.set(Some(stream));
        Ok(())
    }

    status fn aclprofRangePop() {
        let Some(stream) = PUSHED.get() else {
            return Err(invalid("aclprofRangePushEx was not called on this thread"));
        };
        lookup_stream(ptr::without_provenance_mut(stream)).map(drop).map_err(|_| FAILED)
    }

    value(ptr::null_mut()) fn aclprofCreateStepInfo() -> *mut aclprofStepInfo {
        let registration = register(LiveKind::Profiling, "step");
        STEPS.insert(Arc::default(), registration).unwrap_or(ptr::null_mut()).cast()
    }

    value(()) fn aclprofDestroyStepInfo(stepinfo: *mut aclprofStepInfo) {
        if not_null(stepinfo, "stepInfo").is_ok() {
            STEPS.remove(stepinfo.cast());
        }
    }

    status fn aclprofGetStepTimestamp(stepInfo: *mut aclprofStepInfo, tag: aclprofStepTag, stream: aclrtStream) {
        not_null(stepInfo, "stepInfo")?;
        let Some(step) = STEPS.get(stepInfo.cast()) else {
            return Err(invalid(format_args!("the step {stepInfo:p} {}", STEPS.describe(stepInfo.cast()))));
        };
        {
            let mut step = step.lock();
            let is_start = tag == sys::ACL_STEP_START;
            if (is_start && step.started) || (tag == sys::ACL_STEP_END && step.ended) {
                return Err(invalid("the step has started or ended already"));
            }
            // Noted before anything can go wrong with the stream.
            *(if is_start { &mut step.started } else { &mut step.ended }) = true;
        }
        let marked = resolve_stream(stream).map(|stream| stream.submit("profiler step", Arc::new(|| Ok(()))));
        match marked {
            Ok(0) => Ok(()),
            _ => Err(fail(sys::ACL_ERROR_GE_FAILURE, "the step could not be marked on the stream")),
        }
    }
}

fn failed(text: &str) -> aclError {
    fail(FAILED, text)
}

fn untaken() -> aclError {
    failed("there is no such stamp or range, or aclprofStart was not called with ACL_PROF_MSPROFTX")
}

fn answer(answer: stamp::Answer<()>) -> Result<(), aclError> {
    answer.ok_or_else(untaken)
}

/// The first bytes of a C string.
fn prefix(string: *const c_char, length: usize) -> String {
    // SAFETY: [caller] checked to be no NULL, and the caller of the C function passes a C string.
    let bytes = unsafe { CStr::from_ptr(string) }.to_bytes();
    String::from_utf8_lossy(&bytes[..length.min(bytes.len())]).into_owned()
}
