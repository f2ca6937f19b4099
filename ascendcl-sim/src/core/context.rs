//! Contexts, and which one is current on a thread.

use core::ffi::c_void;
use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ascendcl_sys::{self as sys, aclError};

use super::instance::Instance;
use super::options::CONTEXT_PARAMETERS;
use super::stream::{Options, Owner, STREAMS, Stream};
use super::{Device, device, lifecycle, observers, process, report};
use crate::check::Access;
use crate::check::leak::{LiveKind, register};
use crate::error::{SUCCESS, fail};
use crate::handle::{Kind, Table};
use crate::lock::Mutex;
use crate::memory;

/// Room for the overflow status of a context.
const OVERFLOW_BYTES: usize = 512;

static CONTEXTS: Table<Context> = Table::new(Kind::Context);

thread_local! {
    /// The handle of the current context: a number that is looked up on each use, so that it may dangle.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// Streams with their handles.
type Listed = Vec<(usize, Arc<Stream>)>;

pub(crate) struct Context {
    handle: usize,
    device: Arc<Device>,
    primary: bool,
    shared: Arc<Shared>,
    default_stream: Arc<Stream>,
    default_handle: usize,
    /// The program's streams; `None` once the context is being destroyed.
    streams: Mutex<Option<Listed>>,
    host_functions: OnceLock<Arc<report::Group>>,
    /// System parameters set for this context alone.
    parameters: Mutex<[Option<i64>; CONTEXT_PARAMETERS]>,
    /// Device memory for the overflow status, once it has been asked for; 0 before.
    overflow: Mutex<usize>,
}

/// What the streams of a context share.
pub(crate) struct Shared {
    context: AtomicUsize,
    stop_on_failure: AtomicBool,
    /// The error that stopped the context, or 0.
    stopped: AtomicI32,
}

impl Shared {
    pub(super) fn stop_on_failure(&self) {
        self.stop_on_failure.store(true, Ordering::SeqCst);
    }

    /// The error that stopped all streams of the context.
    pub(super) fn stopped(&self) -> Option<aclError> {
        Some(self.stopped.load(Ordering::SeqCst)).filter(|&code| code != SUCCESS)
    }

    /// A task of one of the streams failed. Called with no lock held.
    pub(super) fn failed(&self, code: aclError) {
        if !self.stop_on_failure.load(Ordering::SeqCst) {
            return;
        }
        if self.stopped.compare_exchange(SUCCESS, code, Ordering::SeqCst, Ordering::SeqCst).is_ok()
            && let Some(context) = CONTEXTS.get(ptr::without_provenance(self.context.load(Ordering::SeqCst)))
        {
            context.all_streams().iter().for_each(Stream::discard);
        }
    }
}

impl Context {
    /// Makes a context of `device` and puts it into the live set.
    pub(super) fn create(device: &Arc<Device>, primary: bool) -> Result<Arc<Self>, aclError> {
        let shared = Arc::new(Shared {
            context: AtomicUsize::new(0),
            stop_on_failure: AtomicBool::new(false),
            stopped: AtomicI32::new(SUCCESS),
        });
        let (default_stream, default_handle) =
            Stream::create(device, &shared, Options::default(), Owner::Context)?;
        let registration = (!primary).then(|| register(LiveKind::Context, format!("device {}", device.id())));
        let mut made = None;
        let handle = CONTEXTS.insert_with(registration, |handle| {
            shared.context.store(handle.addr(), Ordering::SeqCst);
            let context = Arc::new(Self {
                handle: handle.addr(),
                device: Arc::clone(device),
                primary,
                shared,
                default_stream: Arc::clone(&default_stream),
                default_handle: default_handle.addr(),
                streams: Mutex::new(Some(Vec::new())),
                host_functions: OnceLock::new(),
                parameters: Mutex::new([None; CONTEXT_PARAMETERS]),
                overflow: Mutex::new(0),
            });
            made = Some(Arc::clone(&context));
            context
        });
        match (made, handle) {
            (Some(context), Some(_)) => Ok(context),
            _ => {
                STREAMS.remove(default_handle);
                default_stream.destroy();
                Err(fail(sys::ACL_ERROR_RT_RESOURCE_ALLOC_FAIL, "too many contexts"))
            }
        }
    }

    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn handle(&self) -> *mut c_void {
        ptr::without_provenance_mut(self.handle)
    }

    /// 107002 if the context has gone since it was looked up. What is made on a device outside of a context's own lists is made
    /// first and asked for second: then either the reset that ends the device finds it, or its maker takes it back.
    pub(crate) fn check_alive(&self) -> Result<(), aclError> {
        match CONTEXTS.get(self.handle()) {
            Some(_) => Ok(()),
            None => {
                Err(fail(sys::ACL_ERROR_RT_CONTEXT_NULL, "the current context was destroyed during the call"))
            }
        }
    }

    pub(crate) fn parameter(&self, index: usize) -> Option<i64> {
        self.parameters.lock()[index]
    }

    pub(crate) fn set_parameter(&self, index: usize, value: i64) {
        self.parameters.lock()[index] = Some(value);
    }

    /// Where kernels of the context leave that they overflowed: zeros, which nobody changes.
    pub(crate) fn overflow_address(&self) -> Result<*mut c_void, aclError> {
        let mut overflow = self.overflow.lock();
        if *overflow == 0 {
            let address = self.device.memory().allocate_internal(OVERFLOW_BYTES)?;
            memory::device_range(address, OVERFLOW_BYTES)?
                .open(Access::WRITE)?
                .write_from(0, &[0; OVERFLOW_BYTES]);
            *overflow = address.addr();
        }
        Ok(ptr::without_provenance_mut(*overflow))
    }

    pub(crate) fn default_stream(&self) -> &Arc<Stream> {
        &self.default_stream
    }

    pub(crate) fn default_handle(&self) -> *mut c_void {
        ptr::without_provenance_mut(self.default_handle)
    }

    /// The group that the runtime's own callback thread serves, which the first use starts.
    pub(super) fn host_functions(&self) -> &Arc<report::Group> {
        self.host_functions.get_or_init(|| report::start_host_functions(&self.device))
    }

    /// `aclrtCreateStream` and its kin.
    pub(crate) fn create_stream(&self, options: Options) -> Result<*mut c_void, aclError> {
        let mut streams = self.streams.lock();
        let Some(list) = streams.as_mut() else {
            return Err(fail(sys::ACL_ERROR_RT_CONTEXT_NULL, "the current context is being destroyed"));
        };
        let (stream, handle) = Stream::create(&self.device, &self.shared, options, Owner::Program)?;
        list.push((handle.addr(), stream));
        drop(streams);
        observers::stream(handle.addr(), sys::ACL_RT_STREAM_STATE_CREATE_POST);
        Ok(handle)
    }

    /// `aclrtDestroyStream` and `aclrtDestroyStreamForce` of a stream of this context.
    pub(crate) fn destroy_stream(&self, handle: *mut c_void, force: bool) -> Result<(), aclError> {
        if STREAMS.get(handle).is_some() {
            observers::stream(handle.addr(), sys::ACL_RT_STREAM_STATE_DESTROY_PRE);
        }
        let Some(stream) = STREAMS.remove(handle) else {
            return Err(fail(
                sys::ACL_ERROR_RT_INVALID_HANDLE,
                format_args!("the stream {handle:p} {}", STREAMS.describe(handle)),
            ));
        };
        if force {
            stream.destroy_force();
        } else {
            stream.destroy();
        }
        if let Some(streams) = self.streams.lock().as_mut() {
            streams.retain(|(listed, _)| *listed != handle.addr());
        }
        Ok(())
    }

    fn all_streams(&self) -> Vec<Arc<Stream>> {
        let streams = self.streams.lock();
        let own = streams.iter().flatten().map(|(_, stream)| Arc::clone(stream));
        own.chain([Arc::clone(&self.default_stream)]).collect()
    }

    /// Waits for all streams of the context; the first error wins.
    pub(crate) fn synchronize(&self, timeout: Option<Duration>) -> Result<(), aclError> {
        let deadline = super::clock::deadline(timeout);
        let mut result = Ok(());
        let streams = self.all_streams();
        streams.iter().try_for_each(|stream| stream.check_not_capturing())?;
        for stream in streams {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let code = stream.synchronize(left);
            if code != SUCCESS && result.is_ok() {
                result = Err(code);
            }
            if code == sys::ACL_ERROR_RT_STREAM_SYNC_TIMEOUT {
                break;
            }
        }
        result
    }

    /// Takes the context and its streams out of the live sets and ends them. Gives the number of streams the program left; `None` if
    /// somebody else is already doing it.
    pub(super) fn tear_down(&self, force: bool) -> Option<usize> {
        CONTEXTS.remove(self.handle())?;
        let streams = self.streams.lock().take().unwrap_or_default();
        let left = streams.len();
        for (handle, _) in &streams {
            observers::stream(*handle, sys::ACL_RT_STREAM_STATE_DESTROY_PRE);
        }
        let mut ending = Vec::with_capacity(left + 1);
        for (handle, stream) in
            streams.into_iter().chain([(self.default_handle, Arc::clone(&self.default_stream))])
        {
            if STREAMS.remove(ptr::without_provenance(handle)).is_some() {
                ending.push(stream);
            } else {
                // Another thread is destroying it and will end it. It must not wait for what cannot happen any more.
                stream.discard();
            }
        }
        Stream::tear_down(&ending, force);
        Instance::forget_context(&self.shared);
        match std::mem::take(&mut *self.overflow.lock()) {
            0 => {}
            address => self.device.memory().take_back(ptr::without_provenance_mut(address)),
        }
        if let Some(group) = self.host_functions.get() {
            group.close();
        }
        Some(left)
    }
}

/// The current context of this thread (107002 if there is none, or it is gone). With `defaultDevice` in the init file a thread
/// without one gets that device.
pub(crate) fn current_context() -> Result<Arc<Context>, aclError> {
    let handle = CURRENT.get();
    if handle != 0 {
        return CONTEXTS.get(ptr::without_provenance(handle)).ok_or_else(|| {
            fail(
                sys::ACL_ERROR_RT_CONTEXT_NULL,
                "the current context of this thread was destroyed or its device reset",
            )
        });
    }
    if let Some(device) = lifecycle::default_device() {
        device::set(device)?;
        if let Some(context) = CONTEXTS.get(ptr::without_provenance(CURRENT.get())) {
            return Ok(context);
        }
    }
    Err(fail(
        sys::ACL_ERROR_RT_CONTEXT_NULL,
        "this thread has no current context: call aclrtSetDevice or aclrtSetCurrentContext on it first",
    ))
}

/// Makes `context` current on this thread.
pub(super) fn make_current(context: &Context) {
    CURRENT.set(context.handle);
}

/// Leaves this thread without a context if `context` is its current one.
pub(super) fn forget_current(context: &Context) {
    if CURRENT.get() == context.handle {
        CURRENT.set(0);
    }
}

/// `aclrtSetCurrentContext` after its NULL check.
pub(crate) fn set_current(handle: *mut c_void) -> Result<(), aclError> {
    let context = CONTEXTS.get(handle).ok_or_else(|| {
        fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("the context {handle:p} {}", CONTEXTS.describe(handle)),
        )
    })?;
    make_current(&context);
    Ok(())
}

/// `aclrtCreateContext` after its NULL check.
pub(crate) fn create(device: i32) -> Result<*mut c_void, aclError> {
    let device = process::device(device)?;
    let context = device.retain_context(|| Context::create(&device, false))?;
    observers::stream(context.default_handle, sys::ACL_RT_STREAM_STATE_CREATE_POST);
    make_current(&context);
    Ok(context.handle())
}

/// `aclrtDestroyContext` after its NULL check.
pub(crate) fn destroy(handle: *mut c_void) -> Result<(), aclError> {
    let gone = |handle: *mut c_void| {
        fail(
            sys::ACL_ERROR_RT_CONTEXT_NULL,
            format_args!("the context {handle:p} {}", CONTEXTS.describe(handle)),
        )
    };
    let context = CONTEXTS.get(handle).ok_or_else(|| gone(handle))?;
    if context.primary {
        return Err(fail(
            sys::ACL_ERROR_RT_CONTEXT_NULL,
            "a primary context ends with aclrtResetDevice, not with aclrtDestroyContext",
        ));
    }
    observers::stream(context.default_handle, sys::ACL_RT_STREAM_STATE_DESTROY_PRE);
    let left = context.tear_down(false).ok_or_else(|| gone(handle))?;
    if left > 0 {
        log::warn!("a context of device {} was destroyed with {left} streams alive", context.device.id());
    }
    forget_current(&context);
    context.device.release_context();
    Ok(())
}

/// Waits for everything that any context has to do: 107002 if there is none.
pub(super) fn synchronize_all() -> Result<(), aclError> {
    let contexts = CONTEXTS.select(|_| true);
    if contexts.is_empty() {
        return Err(fail(sys::ACL_ERROR_RT_CONTEXT_NULL, "there is no context"));
    }
    contexts.iter().try_for_each(|(_, context)| context.synchronize(None))
}
