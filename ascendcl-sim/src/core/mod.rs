//! Devices, contexts, streams, events and reports: what the runtime keeps, without the C shapes.
//!
//! What the rest of the simulator needs from here:
//!
//! - [`current_context`]`() -> Result<Arc<Context>, aclError>`: the current context of this thread, checked against the live set
//!   (107002).
//! - [`resolve_stream`]`(aclrtStream) -> Result<Arc<Stream>, aclError>`: NULL is the default stream of the current context; a stream
//!   of another context is 107003; a stale handle or garbage 107017; no context 107002.
//! - `Stream::submit(self: &Arc<Stream>, op: &'static str, work: Arc<dyn Fn() -> Result<(), aclError> + Send + Sync>) -> aclError`:
//!   queues work. 0 means only that it is queued; an error of `work` becomes the stream's asynchronous error, with the texts that
//!   `work` left through [`crate::error::fail`]. A closure that never runs (stream destroyed by force) is dropped. It runs once, or as often as captured work is replayed, on a pool
//!   thread and must not wait for a stream or an event.
//! - `Stream::synchronize(&self, timeout: Option<Duration>) -> aclError`: 0, the stream's asynchronous error, or 507046.
//! - `Context::device(&self) -> &Arc<Device>`, `Device::id(&self) -> i32`.
//!
//! Lock order, outermost first: process state, device life, context, event, stream, then the leaves (executor shard, timer, report
//! group, handle slot, id pool, allocation maps, leak list). An event may wake streams while it is locked; nothing that holds a
//! stream's lock ever touches an event. Tasks run with no lock held.

pub(crate) mod clock;
pub(crate) mod context;
pub(crate) mod count_notify;
pub(crate) mod device;
pub(crate) mod dump_config;
pub(crate) mod event;
pub(crate) mod exceptions;
pub(crate) mod executor;
pub(crate) mod host_thread;
pub(crate) mod ids;
pub(crate) mod init_callbacks;
pub(crate) mod init_config;
pub(crate) mod instance;
pub(crate) mod json;
pub(crate) mod last_task;
pub(crate) mod lifecycle;
pub(crate) mod limits;
pub(crate) mod notify;
pub(crate) mod observers;
pub(crate) mod options;
pub(crate) mod over;
mod poll;
pub(crate) mod process;
pub(crate) mod reentrant;
pub(crate) mod report;
pub(crate) mod seeded;
mod shared_event;
pub(crate) mod snapshot;
pub(crate) mod stream;
pub(crate) mod task;
pub(crate) mod timer;
pub(crate) mod value;
pub(crate) mod wait;

pub(crate) use context::{Context, current_context};
pub(crate) use device::Device;
pub(crate) use event::Event;
pub(crate) use stream::{
    Named, Stream, find_stream, lookup_any_stream, lookup_stream, resolve_found, resolve_stream,
};
