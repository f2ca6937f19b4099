//! [`Profiler`]: CANN's own profiler, between two points of a program.

mod config;
mod session;

pub use config::{AicoreMetrics, ProfilerConfig, ProfilerData};

use crate::{
    Device, Error, Result, Stream, drop_hook, guard,
    runtime::{SendRaw, acl},
};
use session::Session;
use std::{ffi::CString, fmt, sync::Arc};

/// The profiler of ACL, which runs as long as this lives, and as long as one of its [ranges](Profiler::range) does.
///
/// It writes what the devices did into a folder that begins with `PROF_`, in the folder of the [`ProfilerConfig`]. That of a card is made readable with `msprof
/// --export=on --output=FOLDER` of CANN's toolkit; that of the simulator has a timeline in it, `msprof.json`, for Perfetto. The devices stay open.
///
/// ```
/// use ascendcl::{Acl, Profiler, ProfilerConfig};
///
/// # fn main() -> ascendcl::Result<()> {
/// # let folder = std::env::temp_dir().join(format!("profile-doc-{}", std::process::id()));
/// let device = Acl::new()?.device(0)?;
/// let stream = device.create_context()?.create_stream()?;
///
/// let profiler = Profiler::start(&ProfilerConfig::new(&device, &folder))?;
/// {
///     let _range = profiler.range("prepare")?; // until the end of the block
///     profiler.mark(&stream, "before the work")?; // when the stream gets there
/// }
/// stream.synchronize()?;
/// profiler.stop()?; // or dropped
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok(())
/// # }
/// ```
///
/// A process has one profiler at a time. One that runs already, because the program was started by `msprof`, for example, or other code has started it, is an error of
/// ACL.
#[must_use = "profiling ends when this is dropped"]
pub struct Profiler {
    session: Arc<Session>,
}

/// Something that lasted, in a profile: from [`Profiler::range`] until this is dropped, on whichever thread.
#[must_use = "the range ends when this is dropped"]
#[doc(alias = "aclprofDestroyStamp")]
#[doc(alias = "aclprofRangeStop")]
pub struct ProfilerRange {
    session: Arc<Session>,
    stamp: SendRaw,
    number: u32,
    /// Whether it was begun.
    begun: bool,
}

impl Profiler {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`Error::Profiler`] if a profiler of this process runs, or ACL takes no such configuration; [`Error::Mismatch`] for devices of several backends; [`Error::Os`] if the
    /// folder cannot be made; an error of ACL if the chip measures no such thing, or another profiler runs; [`Error::MissingSymbol`] where CANN comes without
    /// one; [`Error::InCallback`] inside a callback. Nothing runs then.
    #[doc(alias = "aclprofInit")]
    #[doc(alias = "aclprofCreateConfig")]
    #[doc(alias = "aclprofStart")]
    pub fn start(config: &ProfilerConfig) -> Result<Profiler> {
        Ok(Profiler { session: Arc::new(Session::start(config)?) })
    }

    /// Ends it. Dropping does the same, but has nobody to give the error to ([`set_drop_error_hook`](crate::set_drop_error_hook)).
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::Profiler`] if ranges are open, and then it ends with the last one; [`Error::InCallback`] inside a callback, behind which it ends.
    #[doc(alias = "aclprofStop")]
    #[doc(alias = "aclprofDestroyConfig")]
    #[doc(alias = "aclprofFinalize")]
    pub fn stop(self) -> Result<()> {
        guard::check("aclprofStop")?;
        let ranges = Arc::strong_count(&self.session) - 1;
        match Arc::into_inner(self.session) {
            Some(session) => session.end(),
            None => Err(Error::Profiler(format!(
                "aclprofStop: {} open; the profiler ends with the last one",
                if ranges == 1 { "a range is".into() } else { format!("{ranges} ranges are") }
            ))),
        }
    }

    /// The devices that are profiled.
    pub fn devices(&self) -> &[Device] {
        self.session.devices()
    }

    /// Puts a mark into the stream, and one on this thread: the profile tells when each was reached. The first 126 bytes of the text count.
    ///
    /// # Errors
    ///
    /// [`Error::Profiler`] without [`ProfilerData::MARKS`], for a text that is empty or has a NUL in it, and if the profiler does not take it; [`Error::Mismatch`] if the stream
    /// is of another backend; [`Error::Poisoned`]; [`Error::MissingSymbol`] in older releases; [`Error::InCallback`] inside a callback.
    #[doc(alias = "aclprofMarkEx")]
    pub fn mark(&self, stream: &Stream, text: &str) -> Result<()> {
        const OP: &str = "aclprofMarkEx";
        let text = self.text(OP, text)?;
        if !self.session.acl().is_some_and(|acl| std::ptr::eq(acl.raw(), stream.device().acl().raw())) {
            return Err(Error::Mismatch { op: OP, what: "the stream belongs to another backend".into() });
        }
        let queued = stream.enqueue(OP, |raw| {
            // SAFETY: [text, handle] a NUL-terminated string that is copied, and its length; the stream is alive.
            unsafe { acl!(stream, aclprofMarkEx(text.as_ptr(), text.as_bytes().len(), raw)) }
        });
        queued.map(drop).map_err(unexplained)
    }

    /// Begins a range on this thread, which lasts until what this gives is dropped. Ranges may be inside one another or overlap; a hundred can be open at a time.
    /// The first 126 bytes of the text count.
    ///
    /// # Errors
    ///
    /// [`Error::Profiler`] without [`ProfilerData::MARKS`], for a text that is empty or has a NUL in it, and if too many are open.
    #[doc(alias = "aclprofCreateStamp")]
    #[doc(alias = "aclprofSetStampTraceMessage")]
    #[doc(alias = "aclprofRangeStart")]
    pub fn range(&self, text: &str) -> Result<ProfilerRange> {
        const OP: &str = "aclprofCreateStamp";
        let text = self.text(OP, text)?;
        guard::check_over(OP)?;
        let Some(acl) = self.session.acl() else { return Err(Error::Exiting { op: OP }) };
        let Some(create) = acl.raw().aclprofCreateStamp else {
            return Err(Error::MissingSymbol { function: OP });
        };
        // SAFETY: [plain] takes nothing; the profiler runs, as the session is held.
        let stamp = unsafe { create() };
        if stamp.is_null() {
            return Err(Error::Profiler(format!("{OP}: too many ranges are open; a hundred can be")));
        }
        let mut range = ProfilerRange {
            session: self.session.clone(),
            stamp: SendRaw::new(stamp),
            number: 0,
            begun: false,
        };
        // SAFETY: [handle, text] just made; a string that is copied, and its length.
        unsafe { acl!(acl, aclprofSetStampTraceMessage(stamp, text.as_ptr(), text.as_bytes().len() as u32)) }
            .map_err(unexplained)?;
        // SAFETY: [handle, place] just made; a valid place for the answer.
        unsafe { acl!(acl, aclprofRangeStart(stamp, &mut range.number)) }.map_err(unexplained)?;
        range.begun = true;
        Ok(range)
    }

    /// What the profiler takes as a text.
    fn text(&self, op: &'static str, text: &str) -> Result<CString> {
        let refuse = |why: &str| Err(Error::Profiler(format!("{op}: {why}")));
        if !self.session.marks {
            return refuse("marks and ranges are not collected; add ProfilerData::MARKS to what is");
        }
        if text.is_empty() {
            return refuse("the text is empty");
        }
        let end = (0..=text.len().min(LONGEST)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        CString::new(&text[..end]).or_else(|_| refuse("the text has a NUL in it"))
    }
}

/// Bytes of a text. That of a stamp has room for 128, and the copy leaves two.
const LONGEST: usize = 126;

/// Marks and ranges are answered with -1 where the profiler has no code.
fn unexplained(error: Error) -> Error {
    match error {
        Error::Acl(error) if error.code.0 == -1 => {
            let why = error.message.lines().next().unwrap_or("it does not say why");
            Error::Profiler(format!("{}: the profiler refused it (-1): {why}", error.op))
        }
        error => error,
    }
}

impl Drop for ProfilerRange {
    fn drop(&mut self) {
        // Neither needs a stream, so callbacks may do it.
        if guard::is_over() {
            return;
        }
        let Some(acl) = self.session.acl() else { return };
        let ended = if self.begun {
            // SAFETY: [plain] a number that `aclprofRangeStart` gave; the profiler runs, as the session is held.
            unsafe { acl!(acl, aclprofRangeStop(self.number)) }
        } else {
            Ok(())
        };
        if let Some(destroy) = acl.raw().aclprofDestroyStamp {
            // SAFETY: [once] made by `range`, and destroyed by nobody else.
            unsafe { destroy(self.stamp.get()) };
        }
        drop_hook::report_failure(ended.map_err(unexplained));
    }
}

impl fmt::Debug for Profiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profiler").field("devices", &self.devices()).finish()
    }
}

impl fmt::Debug for ProfilerRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfilerRange").field("number", &self.number).finish()
    }
}
