//! [`CapturedGraph`]: work that is recorded once, and launched again and again.
//!
//! What is recorded goes into a stream that only the [`Recorder`] has. On a stream under capture ACL refuses waits, queries and callbacks, or draws other
//! streams in; this one can neither be waited for, nor be waited for by others, nor have callbacks, because there is no [`Stream`] of it.

use crate::{
    Context, DeviceCopy, DeviceView, Error, Result, Stream,
    guard::{self, Disposal},
    limbo::keep_for_ever,
    owned::Owned,
    runtime::{SendRaw, acl},
    teardown::Kept,
};
use ascendcl_sys::{self as sys, AclApi};
use std::{
    fmt, mem, ptr,
    sync::{Arc, Mutex, PoisonError},
};

/// Work that was recorded by [`Stream::capture`], to be launched as often as is wanted: one call each time, however much it is.
///
/// It keeps alive what it works with. Its runs are work of the stream that it was captured for, in order with everything else there. A cheap handle that any
/// thread may use; when the last one is dropped, a run goes on to its end.
#[derive(Clone)]
#[doc(alias = "aclmdlRIDestroy")]
pub struct CapturedGraph {
    stream: Stream,
    inner: Arc<GraphInner>,
}

struct GraphInner {
    recording: Recording,
    graph: sys::aclmdlRI,
    /// One launch at a time.
    launching: Mutex<()>,
}

// SAFETY: [threads] the fields that are not Send and Sync by themselves are handles of the C library, which this crate never dereferences; launches
// are serialised, and they are destroyed only when no handle is left and no stream works with them.
unsafe impl Send for GraphInner {}
// SAFETY: [threads] as above.
unsafe impl Sync for GraphInner {}

/// A stream of its own, for one recording, and what is used in that.
struct Recording {
    context: Context,
    stream: sys::aclrtStream,
    keeps: Vec<Kept>,
}

/// Takes what a graph is to do: see [`Stream::capture`].
pub struct Recorder<'a> {
    recording: &'a mut Recording,
}

impl Stream {
    /// Records work, which is not done now but each time that the graph is [launched](CapturedGraph::launch) on this stream.
    ///
    /// `record` gets the [`Recorder`] that takes the work. Whatever else it does, with this stream or others, is done as always and is not recorded.
    /// While it runs, waits for all of this context ([`Context::synchronize`]) are refused, on every thread, and may spoil the recording.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// # use ascendcl::{Error, ErrorKind};
    /// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
    /// let stream = context.create_stream()?;
    /// let (input, output) = (context.alloc_from(&[1_u8, 2, 3, 4])?, context.alloc(4)?);
    /// let captured = stream.capture(|recorder| {
    ///     recorder.copy(&input, &output)?;
    ///     recorder.memset(&output.view(..1)?, 9)
    /// });
    /// let graph = match captured {
    ///     // An Ascend 310 has no graphs.
    ///     Err(Error::Acl(error)) if error.code.kind() == ErrorKind::NotSupported => return Ok(()),
    ///     captured => captured?,
    /// };
    /// graph.launch()?;
    /// stream.synchronize()?;
    /// assert_eq!(output.to_vec()?, [9, 2, 3, 4]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What `record` answers; [`ErrorKind::NotSupported`](crate::ErrorKind::NotSupported) on an Ascend 310, [`Error::MissingSymbol`] before CANN 8.1; an error of ACL when the
    /// recording was spoilt.
    #[doc(alias = "aclmdlRICaptureBegin")]
    #[doc(alias = "aclmdlRICaptureEnd")]
    pub fn capture(&self, record: impl FnOnce(&mut Recorder<'_>) -> Result<()>) -> Result<CapturedGraph> {
        let mut capture = Capture::begin(self.context())?;
        if let Some(recording) = &mut capture.recording {
            record(&mut Recorder { recording })?;
        }
        let inner = Arc::new(capture.end()?);
        Ok(CapturedGraph { stream: self.clone(), inner })
    }
}

/// A capture that has begun. Ends, and throws away what was recorded, when it is dropped.
struct Capture {
    /// Taken by the end.
    recording: Option<Recording>,
}

impl Capture {
    fn begin(context: &Context) -> Result<Capture> {
        let api = context.device().acl().raw();
        // Before anything has begun that could not be ended.
        for (function, is_there) in [
            ("aclmdlRICaptureEnd", api.aclmdlRICaptureEnd.is_some()),
            ("aclmdlRIExecuteAsync", api.aclmdlRIExecuteAsync.is_some()),
            ("aclmdlRIDestroy", api.aclmdlRIDestroy.is_some()),
        ] {
            if !is_there {
                return Err(Error::MissingSymbol { function });
            }
        }
        context.bind_checked("aclmdlRICaptureBegin")?;
        let mut stream = ptr::null_mut();
        // SAFETY: [place] a valid place for the answer; the context is current.
        unsafe { acl!(context, aclrtCreateStream(&mut stream)) }?;
        let recording = Recording { context: context.clone(), stream, keeps: Vec::new() };
        // SAFETY: [handle] the stream was just made, and nobody else has it. Other calls and threads are not restricted.
        let begun =
            unsafe { acl!(context, aclmdlRICaptureBegin(stream, sys::ACL_MODEL_RI_CAPTURE_MODE_RELAXED)) };
        match begun {
            Ok(()) => Ok(Capture { recording: Some(recording) }),
            Err(error) => {
                recording.release(None);
                Err(error)
            }
        }
    }

    fn end(mut self) -> Result<GraphInner> {
        const OP: &str = "aclmdlRICaptureEnd";
        let Some(recording) = &self.recording else {
            return Err(Error::AlreadyTaken { what: "the capture" });
        };
        let context = &recording.context;
        context.bind_checked(OP)?;
        let mut graph = ptr::null_mut();
        // SAFETY: [handle, place] the stream is under capture; a valid place for the answer.
        let ended = unsafe { acl!(context, aclmdlRICaptureEnd(recording.stream, &mut graph)) };
        let Some(recording) = self.recording.take() else {
            return Err(Error::AlreadyTaken { what: "the capture" });
        };
        match ended {
            Ok(()) => Ok(GraphInner { recording, graph, launching: Mutex::new(()) }),
            Err(error) => {
                // What is recorded and no graph never runs.
                recording.release(None);
                Err(error)
            }
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let Some(recording) = self.recording.take() else { return };
        if !matches!(guard::disposal(), Disposal::Now) {
            // A process that exits, or a forked child.
            return keep_for_ever(recording.keeps);
        }
        let mut graph = ptr::null_mut();
        recording.context.release(|| {
            // SAFETY: [handle, place] the stream is under capture; a valid place for the answer.
            let ended = unsafe { acl!(&recording.context, aclmdlRICaptureEnd(recording.stream, &mut graph)) };
            // That the recording was spoilt is told to the caller already.
            ended.or_else(|error| if error.is_refusal() { Err(error) } else { Ok(()) })
        });
        recording.release((!graph.is_null()).then_some(graph));
    }
}

impl Recording {
    /// Destroys the graph, if there is one, and the stream. What it uses is dropped behind that, or never, if that failed.
    fn release(self, graph: Option<sys::aclmdlRI>) {
        let Recording { context, stream, keeps } = self;
        let (stream, graph) = (SendRaw::new(stream), graph.map(SendRaw::new));
        let mut keeps = Some(KeptForEver(keeps));
        context.dispose(move |context| {
            if let Some(graph) = graph {
                // SAFETY: [once] no handle is left, nor a stream that has not passed all runs; this is the only destruction.
                unsafe { acl!(context, aclmdlRIDestroy(graph.get())) }?;
            }
            // SAFETY: [once] nothing runs on it; this is the only destruction.
            let destroyed = unsafe { acl!(context, aclrtDestroyStream(stream.get())) };
            if let Some(mut keeps) = keeps.take() {
                drop(mem::take(&mut keeps.0));
            }
            destroyed
        });
    }
}

/// What must not be freed: unless it is taken out, it stays.
struct KeptForEver(Vec<Kept>);

impl Drop for KeptForEver {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            keep_for_ever(mem::take(&mut self.0));
        }
    }
}

impl Recorder<'_> {
    /// Records a copy from device memory to device memory of the same device. The graph keeps both alive.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the lengths differ, [`Error::Mismatch`] if one is on another device than the stream.
    #[doc(alias = "aclrtMemcpyAsync")]
    pub fn copy<T: DeviceCopy>(&mut self, from: &DeviceView<T>, to: &DeviceView<T>) -> Result<()> {
        const OP: &str = "aclrtMemcpyAsync";
        if from.len() != to.len() {
            let unit = "elements in the source, as many as in the target";
            return Err(Error::Length { op: OP, expected: to.len(), actual: from.len(), unit });
        }
        self.check_memory(OP, from)?;
        self.check_memory(OP, to)?;
        if to.byte_len() == 0 {
            return Ok(());
        }
        let keeps = [from.memory().clone() as Kept, to.memory().clone()];
        let kind = sys::ACL_MEMCPY_DEVICE_TO_DEVICE;
        self.record(OP, keeps, |context, raw| {
            // SAFETY: [queued] both sides hold that many bytes, and are kept as long as the graph.
            unsafe {
                acl!(
                    context,
                    aclrtMemcpyAsync(to.as_raw(), to.capacity(), from.as_raw(), to.byte_len(), kind, raw)
                )
            }
        })
    }

    /// Records setting every byte of device memory. The graph keeps it alive.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the memory is on another device than the stream.
    #[doc(alias = "aclrtMemsetAsync")]
    pub fn memset<T: DeviceCopy>(&mut self, memory: &DeviceView<T>, byte: u8) -> Result<()> {
        const OP: &str = "aclrtMemsetAsync";
        self.check_memory(OP, memory)?;
        if memory.byte_len() == 0 {
            return Ok(());
        }
        self.record(OP, [memory.memory().clone() as Kept], |context, raw| {
            let (bytes, byte) = (memory.byte_len(), i32::from(byte));
            // SAFETY: [queued, bits] the range is kept as long as the graph; any bit pattern is a value.
            unsafe { acl!(context, aclrtMemsetAsync(memory.as_raw(), memory.capacity(), byte, bytes, raw)) }
        })
    }

    /// Records what the safe layer does not have, such as kernels. `call` gets the table of C functions and the stream under capture, in whose context it
    /// runs, and answers with ACL's status. `keep` is kept alive as long as the graph. It is dropped as inside a callback, on whichever thread finds the
    /// graph done with: calls into ACL answer [`Error::InCallback`] in its destructor, and a panic there is logged.
    ///
    /// # Errors
    ///
    /// [`Error::Acl`], of the function `op`, with what `call` answered.
    ///
    /// # Safety
    ///
    /// `call` may only put work into the stream. Whatever that works with must be in `keep`, or live until the graph is gone and its runs are over; it must
    /// stand being done any number of times. The stream must not be kept, waited for, destroyed, or made to end its capture.
    pub unsafe fn record_raw<K: Send + Sync + 'static>(
        &mut self,
        op: &'static str,
        keep: K,
        call: impl FnOnce(&'static AclApi, sys::aclrtStream) -> sys::aclError,
    ) -> Result<()> {
        self.record(op, [Arc::new(Owned::new(keep)) as Kept], |context, raw| {
            let api = context.device().acl().raw();
            crate::runtime::Site::check(context, op, call(api, raw))
        })
    }

    /// Keeps first, also what ACL does not take: that is not known for certain.
    fn record(
        &mut self,
        op: &'static str,
        keeps: impl IntoIterator<Item = Kept>,
        call: impl FnOnce(&Context, sys::aclrtStream) -> Result<()>,
    ) -> Result<()> {
        self.recording.context.bind_checked(op)?;
        self.recording.keeps.extend(keeps);
        call(&self.recording.context, self.recording.stream)
    }

    fn check_memory<T: DeviceCopy>(&self, op: &'static str, memory: &DeviceView<T>) -> Result<()> {
        let (here, there) = (self.recording.context.device(), memory.context().device());
        self.recording.context.check_backend(op, "memory", memory.context())?;
        if here == there {
            return Ok(());
        }
        let what = format!("the memory is on device {}, the stream on device {}", there.id(), here.id());
        Err(Error::Mismatch { op, what })
    }
}

impl CapturedGraph {
    /// Enqueues one run of the graph in its stream.
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`] if the stream takes no more work; an error of ACL.
    #[doc(alias = "aclmdlRIExecuteAsync")]
    pub fn launch(&self) -> Result<()> {
        const OP: &str = "aclmdlRIExecuteAsync";
        // Before the lock: in a forked child it may be held for ever.
        guard::check(OP)?;
        let one = self.inner.launching.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.stream.enqueue_many(OP, |raw| {
            // SAFETY: [queued, handle] the stream keeps the graph, and so all that it uses, until it has passed this run; runs are all on one stream.
            unsafe { acl!(&self.stream, aclmdlRIExecuteAsync(self.inner.graph, raw)) }
        });
        if result.as_ref().is_err_and(Error::is_refusal_of_all) {
            return result.map(drop);
        }
        self.stream.keep_again([Arc::as_ptr(&self.inner).cast()], || [self.inner.clone() as Kept], 0);
        // What is released may run code of the program, which may wait for who launches.
        drop(one);
        if result.is_ok() {
            self.stream.tidy();
        }
        result.map(drop)
    }

    /// The stream that it runs on.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The C handle. It stays valid as long as a handle of this graph does.
    pub fn as_raw(&self) -> sys::aclmdlRI {
        self.inner.graph
    }
}

impl Drop for GraphInner {
    fn drop(&mut self) {
        let recording = &mut self.recording;
        let keeps = mem::take(&mut recording.keeps);
        Recording { context: recording.context.clone(), stream: recording.stream, keeps }
            .release(Some(self.graph));
    }
}

impl fmt::Debug for CapturedGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapturedGraph").field("stream", &self.stream).field("raw", &self.inner.graph).finish()
    }
}

impl fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("device", &self.recording.context.device().id()).finish()
    }
}
