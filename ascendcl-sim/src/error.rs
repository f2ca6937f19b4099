//! Error texts and the last error of a thread.
//!
//! Functions of the simulator return `Result<T, aclError>`; the place that notices a mistake calls [`fail`], which leaves a text
//! for `aclGetRecentErrMsg` and remembers runtime codes for `aclrtPeekAtLastError`. Both are per thread, as in the runtime.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString};
use std::fmt::Display;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ascendcl_sys::{self as sys, aclError};
use core::ffi::c_char;

use crate::lock::Mutex;

/// The answer of a call that went well.
pub(crate) const SUCCESS: aclError = 0;

/// Texts pile up until somebody fetches them; a program that never does must not grow without bound.
const KEPT_BYTES: usize = 16 * 1024;

thread_local! {
    /// The C function this thread is inside of.
    static FUNCTION: Cell<&'static str> = const { Cell::new("") };
    /// Texts not fetched yet, newest first.
    static PENDING: RefCell<String> = const { RefCell::new(String::new()) };
    /// What the previous `aclGetRecentErrMsg` handed out: alive until the next one.
    static FETCHED: RefCell<Option<CString>> = const { RefCell::new(None) };
    static LAST: Cell<aclError> = const { Cell::new(SUCCESS) };
}

/// Whether the texts of all threads go into one list.
static SHARED: AtomicBool = AtomicBool::new(false);
static SHARED_TEXTS: Mutex<String> = Mutex::new(String::new());

/// `err_msg_mode` of the init file: one list of texts for the process, or one for each thread.
pub(crate) fn share_texts(share: bool) {
    SHARED.store(share, Ordering::Relaxed);
}

/// Leaves a text for `aclGetRecentErrMsg`, remembers `code` as the last error of this thread if it is one of the runtime's, and
/// gives the code back: `return Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, "..."))`.
///
/// `message` is one clause without a full stop, saying what is wrong with which value.
pub(crate) fn fail(code: aclError, message: impl Display) -> aclError {
    let function = function();
    let origin = if function.is_empty() { "a stream" } else { function };
    add_text(format_args!(
        "{id}: [PID: {pid}] {time} {title} {message}.\n        TraceBack (most recent call last):\n        {origin} failed: \
         {message}, runtime result = {code}.\n",
        id = text_id(code),
        pid = std::process::id(),
        time = timestamp(),
        title = title(code),
    ));
    remember(code);
    code
}

/// [`fail`] for runtime codes that the runtime does not remember: those of checks in the layer above it, and those that it takes for
/// an answer rather than for a failure.
pub(crate) fn fail_unremembered(code: aclError, message: impl Display) -> aclError {
    unremembered(|| fail(code, message))
}

/// Does `work`, whose failure the runtime does not remember.
pub(crate) fn unremembered<R>(work: impl FnOnce() -> R) -> R {
    let last = LAST.get();
    let result = work();
    LAST.set(last);
    result
}

/// Remembers `code` without a text: for answers that are no mistake, such as an idle report thread's 507012.
pub(crate) fn quiet(code: aclError) -> aclError {
    remember(code);
    code
}

/// Repeats the text of a task that failed on a pool thread, now that somebody synchronises with its stream.
pub(crate) fn report_async(code: aclError, stream: i32, text: &str) -> aclError {
    add_text(format_args!(
        "{id}: [PID: {pid}] {time} {title} a task of stream {stream} failed.\n{text}        TraceBack (most recent call last):\n        \
         {function} failed: synchronize stream {stream}, runtime result = {code}.\n",
        id = text_id(code),
        pid = std::process::id(),
        time = timestamp(),
        title = title(code),
        function = function(),
    ));
    remember(code);
    code
}

/// The C function the calling thread is inside of, or "".
pub(crate) fn function() -> &'static str {
    FUNCTION.get()
}

/// Sets the C function the calling thread is inside of and gives back the one before.
pub(crate) fn set_function(name: &'static str) -> &'static str {
    FUNCTION.replace(name)
}

/// Runs `work` of a stream on a thread of the program, whose texts, last error and time stay what they were.
pub(crate) fn apart(work: impl FnOnce()) {
    let text = take_text();
    let (last, function) = (LAST.get(), FUNCTION.replace(""));
    crate::core::clock::apart(work);
    FUNCTION.set(function);
    LAST.set(last);
    let _ = PENDING.try_with(|pending| pending.replace(text));
}

/// Takes the texts of this thread.
pub(crate) fn take_text() -> String {
    // A thread that is ending may still call in, from the destructors of its own thread-local values: then there is no text.
    PENDING.try_with(|pending| pending.take()).unwrap_or_default()
}

/// Runs a function of the program on a pool thread: what fails in it leaves no texts among those of the stream.
pub(crate) fn with_own_texts(function: impl FnOnce()) {
    let texts = take_text();
    function();
    let _ = PENDING.try_with(|pending| pending.replace(texts));
}

/// `aclGetRecentErrMsg`: the texts of this thread, or NULL. The pointer is good until the next call on this thread.
pub(crate) fn recent_message() -> *const c_char {
    let mut text = take_text();
    if SHARED.load(Ordering::Relaxed) {
        text.push_str(&std::mem::take(&mut *SHARED_TEXTS.lock()));
    }
    if text.is_empty() {
        return ptr::null();
    }
    // A message may quote a path or a value with a NUL in it.
    let text = CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default();
    let keep =
        |fetched: &RefCell<Option<CString>>| fetched.borrow_mut().insert(text).as_c_str() as *const CStr;
    FETCHED.try_with(keep).map_or(ptr::null(), |text| text.cast())
}

/// The last runtime error of this thread; `clear` forgets it.
pub(crate) fn last(clear: bool) -> aclError {
    if clear { LAST.replace(SUCCESS) } else { LAST.get() }
}

/// Only runtime codes are remembered: the argument checks of the ACL layer (1000xx and the like) are not.
fn remember(code: aclError) {
    if matches!(code, 107_000..=107_999 | 207_000..=207_999 | 507_000..=507_999) {
        LAST.set(code);
    }
}

fn add_text(text: std::fmt::Arguments<'_>) {
    let add = |pending: String| {
        let mut new = text.to_string();
        new.push_str(&pending);
        if new.len() > KEPT_BYTES {
            let end = (0..=KEPT_BYTES).rev().find(|&at| new.is_char_boundary(at)).unwrap_or(0);
            new.truncate(end);
        }
        new
    };
    // What a task leaves on a pool thread belongs to its stream, not to the list.
    if SHARED.load(Ordering::Relaxed) && !function().is_empty() {
        let mut shared = SHARED_TEXTS.lock();
        *shared = add(std::mem::take(&mut *shared));
        return;
    }
    // Lost on a thread that is ending.
    let _ = PENDING.try_with(|pending| pending.replace(add(pending.take())));
}

/// The runtime's own ids: EE1001 invalid argument, EE1018 wait without record, EE1023 out of events, EL0004 out of memory,
/// EE9999 inner error.
fn text_id(code: aclError) -> &'static str {
    match code {
        sys::ACL_ERROR_RT_MEMORY_ALLOCATION => "EL0004",
        sys::ACL_ERROR_RT_NO_EVENT_RESOURCE | sys::ACL_ERROR_RT_NO_STREAM_RESOURCE => "EE1023",
        sys::ACL_ERROR_RT_CONTEXT_NULL => "EE1002",
        500_000.. => "EE9999",
        _ => "EE1001",
    }
}

fn title(code: aclError) -> &'static str {
    match code {
        sys::ACL_ERROR_RT_MEMORY_ALLOCATION => "Failed to allocate memory:",
        200_000..300_000 => "The resource or feature is not available:",
        500_000.. => "Inner error:",
        _ => "The argument is invalid:",
    }
}

/// UTC, in the shape of the runtime's logs.
fn timestamp() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (now.as_secs() / 86_400, now.as_secs() % 86_400);
    // Civil date from days since 1970 (proleptic Gregorian calendar, years starting in March).
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}-{:02}:{:02}:{:02}.{:03}.{:03}",
        second / 3600,
        second / 60 % 60,
        second % 60,
        now.subsec_millis(),
        now.subsec_micros() % 1000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_newest_first_and_fetched_once() {
        let before = set_function("aclrtSetDevice");
        fail(sys::ACL_ERROR_RT_INVALID_DEVICEID, "device 7 is out of range");
        fail(sys::ACL_ERROR_RT_CONTEXT_NULL, "no current context");
        set_function(before);
        let message = recent_message();
        // SAFETY: the pointer is alive until the next call on this thread.
        let text = unsafe { CStr::from_ptr(message) }.to_str().unwrap();
        assert!(text.starts_with("EE1002: "), "{text}");
        assert!(
            text.contains("aclrtSetDevice failed: device 7 is out of range, runtime result = 107001."),
            "{text}"
        );
        assert!(recent_message().is_null());
        assert_eq!(last(false), 107_002);
        assert_eq!(last(true), 107_002);
        assert_eq!(last(true), 0);
    }

    #[test]
    fn argument_errors_of_the_upper_layer_are_not_remembered() {
        last(true);
        fail(sys::ACL_ERROR_INVALID_PARAM, "stream must not be NULL");
        assert_eq!(last(false), 0);
        assert!(take_text().contains("runtime result = 100000"));
    }

    #[test]
    fn texts_do_not_grow_without_bound() {
        for _ in 0..500 {
            fail(sys::ACL_ERROR_RT_PARAM_INVALID, "size 0 is too small, grüße");
        }
        assert!(take_text().len() <= KEPT_BYTES);
    }
}
