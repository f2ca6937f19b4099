//! Safe Rust for AscendCL (ACL).
#![cfg_attr(docsrs, feature(doc_cfg))]

mod callback;
mod retire;
mod sync;

#[cfg(not(loom))]
mod acl;
#[cfg(not(loom))]
mod backend;
#[cfg(not(loom))]
mod context;
#[cfg(not(loom))]
mod device;
#[cfg(not(loom))]
mod drop_hook;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
mod event;
#[cfg(not(loom))]
mod guard;
#[cfg(not(loom))]
mod memory;
#[cfg(not(loom))]
mod model;
#[cfg(not(loom))]
mod reaper;
#[cfg(not(loom))]
mod runtime;
#[cfg(not(loom))]
mod stream;
#[cfg(not(loom))]
mod teardown;

#[cfg(not(loom))]
pub use {
    acl::{Acl, AclBuilder, AclVersion, RunMode},
    ascendcl_sys as sys,
    backend::{Backend, BackendChoice, ParseBackendError},
    callback::{Callback, CallbackMode},
    context::{Context, Entered},
    device::{Device, MemoryInfo},
    drop_hook::set_drop_error_hook,
    error::{AclCode, AclError, Error, ErrorKind, Rejected, Result},
    event::{Event, EventFlags, EventStatus},
    memory::{DeviceBuffer, DeviceCopy, DeviceView, MallocPolicy, PinnedBuffer, Transfer},
    model::{DataType, Dataset, Format, Model, ModelDesc, TensorDesc},
    stream::{FailureMode, Stream, StreamFlags},
};
