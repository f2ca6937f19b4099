//! Safe Rust for AscendCL (ACL), the C runtime of Huawei's Ascend NPUs: devices, contexts, streams, events, host callbacks,
//! memory and models.
//!
//! Everything here runs without an NPU too: with feature `sim` a simulator of an Atlas 300I card answers where no CANN is
//! installed. The same binary runs on the card.
//!
//! # A first program
//!
//! A copy goes to the device, another comes back, and another thread gets the result while this one could do something else:
//!
//! ```
//! use ascendcl::Acl;
//!
//! fn main() -> Result<(), ascendcl::Error> {
//!     let acl = Acl::new()?;
//!     let context = acl.device(0)?.create_context()?;
//!     let stream = context.create_stream()?;
//!
//!     let device = context.alloc::<f32>(4)?;
//!     let upload = stream.upload(context.alloc_pinned_from(&[1.0, 2.0, 3.0, 4.0])?, &device)?;
//!     let download = stream.download(&device, context.alloc_pinned(4)?)?;
//!     let sum = stream.launch_callback(move || {
//!         // On the report thread, when both copies are done.
//!         download.wait().map(|values| values.iter().sum::<f32>())
//!     })?;
//!
//!     assert_eq!(sum.wait()??, 10.0);
//!     drop(upload); // or wait for it, to fill its memory again
//!     Ok(())
//! }
//! ```
//!
//! # From C to Rust
//!
//! Every method names its C function, and the search of these pages finds it by that name.
//!
//! | C | Rust |
//! |---|---|
//! | `aclInit`, `aclFinalize` | [`Acl::new`], [`Acl::builder`], [`Acl::finalize`] |
//! | `aclrtGetVersion`, `aclrtGetSocName`, `aclrtGetRunMode` | [`Acl::version`], [`Acl::soc_name`], [`Acl::run_mode`] |
//! | `aclrtGetDeviceCount`, `aclrtSetDevice`, `aclrtResetDevice` | [`Acl::device_count`], [`Acl::device`], dropping the [`Device`] |
//! | `aclrtGetMemInfo`, `aclrtSynchronizeDevice` | [`Device::memory_info`], [`Device::synchronize`], [`Context::synchronize`] |
//! | `aclrtGetDeviceInfo`, `aclrtGetDeviceUtilizationRate`, `aclrtQueryDeviceStatus` | [`Device::info`], [`Device::utilization`], [`Device::status`] |
//! | `aclrtDeviceCanAccessPeer`, `aclrtDeviceEnablePeerAccess` | [`Device::can_access_peer`], [`Device::enable_peer_access`] |
//! | `aclrtSetDeviceResLimit`, `aclrtSetStreamResLimit` | [`Device::set_core_limit`], [`Stream::set_core_limit`] |
//! | `aclrtSetOpExecuteTimeOut`, `aclrtSetOpWaitTimeout` | [`Acl::set_execute_timeout`], [`Acl::set_wait_timeout`] |
//! | `aclrtCreateContext`, `aclrtDestroyContext` | [`Device::create_context`], dropping the [`Context`] |
//! | `aclrtSetCurrentContext`, `aclrtGetCurrentContext` | by itself; [`Context::enter`] in hot loops |
//! | `aclrtCreateStream`, `aclrtCreateStreamWithConfig`, `aclrtDestroyStream` | [`Context::create_stream`], [`Context::create_stream_with`], dropping the [`Stream`] |
//! | `aclrtSynchronizeStream`, `...WithTimeout`, `aclrtStreamQuery` | [`Stream::synchronize`], [`Stream::synchronize_timeout`], [`Stream::completion`], [`Stream::is_idle`] |
//! | `aclrtSetStreamFailureMode`, `aclrtStreamGetId` | [`Stream::set_failure_mode`], [`Stream::id`] |
//! | `aclrtCreateEvent`, `aclrtCreateEventWithFlag`, `aclrtCreateEventExWithFlag`, `aclrtDestroyEvent` | [`Context::create_event`], [`Context::create_event_with_flags`], [`Context::create_event_ex`], dropping the [`Event`] |
//! | `aclrtRecordEvent`, `aclrtStreamWaitEvent`, `aclrtResetEvent` | [`Stream::record`], [`Stream::wait`], [`Stream::reset`] |
//! | `aclrtQueryEventStatus`, `aclrtQueryEventWaitStatus`, `aclrtSynchronizeEvent` | [`Event::query`], [`Event::waits_are_over`], [`Event::synchronize`] |
//! | `aclrtEventElapsedTime`, `aclrtEventGetTimestamp` | [`Event::elapsed_since`], [`Event::millis_since`], [`Event::timestamp`] |
//! | `aclrtSubscribeReport`, `aclrtProcessReport`, `aclrtLaunchCallback`, `aclrtUnSubscribeReport` | [`Stream::launch_callback`], [`Stream::launch_callback_with`] |
//! | `aclrtLaunchHostFunc` | [`Stream::launch_host_function`] |
//! | `aclrtMalloc`, `aclrtFree` | [`Context::alloc`], [`Context::alloc_from`], dropping the [`DeviceBuffer`] and its [views](DeviceView) |
//! | `aclrtMallocHost`, `aclrtFreeHost` | [`Context::alloc_pinned`], dropping the [`PinnedBuffer`] |
//! | `aclrtHostRegister`, `aclrtHostUnregister` | [`Context::register_host`], [`PinnedBuffer::unregister`], dropping the [`PinnedBuffer`] |
//! | `aclrtMemcpy`, `aclrtMemset` | [`DeviceView::copy_from_slice`], [`copy_to_slice`](DeviceView::copy_to_slice), [`copy_from`](DeviceView::copy_from), [`memset`](DeviceView::memset) |
//! | `aclrtMemcpyAsync`, `aclrtMemsetAsync` | [`Stream::upload`], [`Stream::download`], [`Stream::copy`], [`Stream::memset`] |
//! | `aclrtMemcpy2d`, `aclrtMemcpy2dAsync` | [`DeviceView::copy_rectangle_from_slice`], [`Stream::upload_rectangle`]: see [`Rectangle`] |
//! | `aclmdlLoadFromFile`, `aclmdlLoadFromMem`, `aclmdlUnload` | [`Model::load`], [`Model::from_bytes`], dropping the [`Model`] |
//! | `aclmdlGetDesc` and the getters of a description | [`Model::desc`] |
//! | `aclmdlCreateDataset`, `aclCreateDataBuffer` | [`Dataset::new`], [`Model::create_inputs`], [`Model::create_outputs`] |
//! | `aclmdlRICaptureBegin`, `aclmdlRICaptureEnd`, `aclmdlRIExecuteAsync`, `aclmdlRIDestroy` | [`Stream::capture`], [`CapturedGraph::launch`], dropping the [`CapturedGraph`] |
//! | `aclmdlExecute`, `aclmdlExecuteAsync` | [`Model::execute`], [`Model::execute_async`] |
//! | `aclprofInit`, `aclprofStart`, `aclprofMarkEx`, `aclprofRangeStart` | [`Profiler::start`], [`Profiler::mark`], [`Profiler::range`] |
//! | `aclGetRecentErrMsg` | [`AclError::message`] |
//! | `aclrtAllocatorRegister`, `aclrtAllocatorUnregister` | [`Stream::set_allocator`], [`Stream::remove_allocator`]: see [`DeviceAllocator`] |
//! | `aclrtSetExceptionInfoCallback`, `aclrtGet...FromExceptionInfo` | [`Acl::exceptions`] |
//! | anything else | [`Acl::raw`] and `as_raw` of the handles |
//!
//! # Backends
//!
//! CANN is loaded at run time; nothing of it is needed to build. `ASCENDCL_BACKEND` chooses, unless the program does
//! ([`AclBuilder::backend`]):
//!
//! - `auto`, the default: an installed CANN, otherwise the simulator (with feature `sim`). A CANN that is there but does not load is
//!   an error, not a reason to simulate.
//! - `cann`: an installed CANN. The error names every place that was tried. `ASCENDCL_LIBRARY` names the library file.
//! - `sim`: the simulator, configured by the `ASCENDCL_SIM_*` variables that the documentation of `ascendcl-sim` lists.
//!
//! A function that the installed release lacks is an error of that call, [`Error::MissingSymbol`]; [`Acl::supports`] asks first.
//!
//! # Safety model
//!
//! Safe code cannot cause undefined behaviour, in whatever order handles are dropped, on whichever threads. The rules, which the chapter
//! [`safety`] argues for one by one:
//!
//! 1. **Handles own their parents.** A stream holds its context, a context its device. Order of destruction follows from types.
//! 2. **No raw lifetimes.** Handles are `Send` and `Sync`; ACL's handles may be used from any thread, and are destroyed only when none is
//!    left.
//! 3. **The current context is set, not assumed.** A wrong one would be an error of ACL, never undefined behaviour.
//! 4. **Queued work owns its memory.** `aclrtFree` does not wait for the device. Whatever a stream uses is kept until an event behind it, or
//!    a wait, says that the stream has passed.
//! 5. **Host memory of asynchronous copies is taken.** A [`Transfer`] owns it and gives it back when it is done. Borrowed slices are for copies that
//!    this thread waits for.
//! 6. **Device memory is no Rust place.** No slice is formed over it, and [`DeviceCopy`] types have no invalid bit patterns: a race
//!    on the device gives surprising numbers, not undefined behaviour.
//! 7. **What nobody can vouch for is leaked.** After a wait that failed nothing that the stream used is freed, and it takes no more work
//!    ([`Error::Poisoned`]). A wait that ran out of time frees nothing, and may be repeated.
//! 8. **Closures run at most once.** ACL carries a key, not a pointer: late, repeated or failed delivery is harmless. A closure that cannot run
//!    any more is dropped ([`Error::Abandoned`]). Panics stay on the Rust side.
//! 9. **Callbacks cannot wait for themselves.** Inside one, calls into ACL answer [`Error::InCallback`], and what is dropped is
//!    released on another thread.
//! 10. **Destructors do not panic and do not block.** A stream with work goes on without its handle, and is destroyed when it is idle. Failures
//!     go to [`set_drop_error_hook`]. A forked child touches nothing ([`Error::Forked`]).
//! 11. **Nothing outlives ACL.** When the process exits, calls end ([`Error::Exiting`]), destructors do nothing and the threads of this crate
//!     rest before the libraries' statics are destroyed. Signals are handled on the program's threads.
//!
//! # Features
//!
//! - `sim`: the simulator, used when no CANN is found or when asked for.
//! - `onnx`: with it, the simulator executes ONNX models where CANN executes OM models.
//! - `half`: `half::f16` and `half::bf16` are elements of device memory.
//! - `bytemuck`: types that are `bytemuck::Pod` are elements, as `Plain`, without `unsafe`.
//! - `ndarray`: page-locked memory is seen as arrays (`PinnedBuffer::as_array`), and arrays are copied to devices and back (`Context::alloc_from_array`,
//!   `DeviceView::to_array`).
//! - `serde`: [`ModelDesc`], [`DataType`], [`MemoryInfo`] and other plain values are `Serialize` and `Deserialize`.
//! - `tracing`: spans and events of what the crate does. Without the feature they are not compiled.
//!
//! None is on by default. What each brings, and why, is told by `docs/dependencies.md` in the repository.
//!
//! ## What `tracing` shows
//!
//! | target | what | level |
//! |---|---|---|
//! | `ascendcl::init` | span `init` around `aclInit`; events when ACL is initialised and finalised | info |
//! | `ascendcl::enqueue` | event behind each operation that was put into a stream, with its `number` | trace |
//! | `ascendcl::wait` | span `wait` around each wait of the host for a stream, an event, a context or a device | debug |
//! | `ascendcl::callback` | span `callback` around each closure, as a child of the span in which it was launched | debug |
//! | `ascendcl::failure` | event for each C function that answered with an error, which its caller gets too | debug |
//! | `ascendcl::drop` | event for each failure in a destructor, which nobody gets | error |
//!
//! Fields: `op` is the C function, `device` the number of the device, `stream` and `event` the handle, `error` the sentence. A subscriber is as inside a
//! callback, because it may be called in the middle of an operation: calls into ACL answer [`Error::InCallback`]. Its panics are ignored.
#![cfg_attr(loom, allow(dead_code, reason = "only the modules that know no ACL are checked"))]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod callback;
mod channel;
mod limbo;
mod process;
mod quiet;
mod reaper;
mod retire;
mod sync;
mod turns;
mod work;

#[cfg(not(loom))]
mod acl;
#[cfg(not(loom))]
mod allocator;
#[cfg(not(loom))]
mod backend;
#[cfg(not(loom))]
mod completion;
#[cfg(not(loom))]
mod context;
#[cfg(not(loom))]
mod current;
#[cfg(not(loom))]
mod device;
#[cfg(not(loom))]
mod device_info;
#[cfg(not(loom))]
mod drop_hook;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
mod event;
#[cfg(not(loom))]
mod exceptions;
#[cfg(not(loom))]
mod exit;
#[cfg(not(loom))]
mod graph;
#[cfg(not(loom))]
mod guard;
#[cfg(not(loom))]
mod limits;
#[cfg(not(loom))]
mod memory;
#[cfg(not(loom))]
mod model;
#[cfg(not(loom))]
mod notify;
#[cfg(not(loom))]
mod observe;
#[cfg(not(loom))]
mod ordering;
#[cfg(not(loom))]
mod owned;
#[cfg(not(loom))]
mod passing;
#[cfg(not(loom))]
mod profiler;
#[cfg(not(loom))]
mod record;
#[cfg(not(loom))]
mod runtime;
#[cfg(not(loom))]
mod siblings;
#[cfg(not(loom))]
mod stream;
#[cfg(not(loom))]
mod teardown;

#[cfg(not(loom))]
pub use {
    acl::{Acl, AclBuilder, AclVersion, RunMode},
    allocator::DeviceAllocator,
    ascendcl_sys as sys,
    backend::{Backend, BackendChoice, ParseBackendError},
    callback::{Callback, CallbackMode},
    completion::Completion,
    context::{Context, Entered},
    device::{Device, MemoryInfo},
    device_info::{DeviceInfo, DeviceStatus, Utilization},
    drop_hook::set_drop_error_hook,
    error::{AclCode, AclError, Error, ErrorKind, Rejected, Result},
    event::{Event, EventFlags, EventStatus},
    exceptions::{Exception, Exceptions},
    graph::{CapturedGraph, Recorder},
    limits::{CoreKind, LimitedCores},
    memory::{
        DeviceBuffer, DeviceCopy, DeviceView, HostPages, MallocPolicy, PinnedBuffer, Rectangle, Transfer,
    },
    model::{DataType, Dataset, Format, Model, ModelDesc, TensorDesc, UnknownNameError},
    notify::Notify,
    profiler::{AicoreMetrics, Profiler, ProfilerConfig, ProfilerData, ProfilerRange},
    stream::{FailureMode, Stream, StreamFlags},
};

#[cfg(all(feature = "bytemuck", not(loom)))]
pub use memory::Plain;

#[doc = include_str!("../docs/safety.md")]
pub mod safety {}

/// The README's code is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
