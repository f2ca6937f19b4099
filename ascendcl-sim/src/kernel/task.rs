//! A launch in a queue. Captured launches run again, with other parameters if the program changes them.

use core::ffi::c_void;
use std::cell::RefCell;
use std::ptr;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError, aclrtLaunchKernelAttr};

use super::binary::Function;
use super::host::KernelError;
use super::launch::{KernelLaunch, resolve};
use crate::check::Access;
use crate::core::{Device, Stream};
use crate::error::fail;
use crate::memory::{DeviceRange, PageSize, device_range, live};

/// What a launch says.
#[derive(Clone)]
pub(crate) struct KernelParams {
    pub(crate) function: Arc<Function>,
    pub(crate) blocks: u32,
    pub(crate) arguments: Arguments,
    pub(crate) config: Vec<aclrtLaunchKernelAttr>,
}

/// The arguments of a launch.
#[derive(Clone)]
pub(crate) enum Arguments {
    /// Copied from the host at the launch.
    Host { bytes: Vec<u8>, placeholders: Vec<Placeholder> },
    /// In device memory, where the kernel finds them when it runs.
    Device { address: usize, size: usize, memory: Option<DeviceRange> },
}

/// A pointer among the arguments that points to data behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placeholder {
    /// Where the pointer is.
    pub(crate) address: u32,
    /// Where the data is.
    pub(crate) data: u32,
}

impl Arguments {
    /// Arguments in device memory. A wrong address is noticed when the kernel runs, as on a card.
    pub(crate) fn device(address: usize, size: usize) -> Self {
        let pointer = ptr::without_provenance(address);
        let inside = live(pointer).is_some_and(|(memory, start)| size <= memory.size() - start);
        let memory = if inside { device_range(pointer, size).ok() } else { None };
        Self::Device { address, size, memory }
    }

    fn read(&self) -> Result<Vec<u8>, KernelError> {
        match self {
            Self::Host { bytes, placeholders } => {
                let mut bytes = bytes.clone();
                resolve(&mut bytes, placeholders);
                Ok(bytes)
            }
            Self::Device { address, size, memory } => {
                let opened = memory.as_ref().and_then(|memory| memory.open(Access::READ).ok());
                opened.map(|bytes| bytes.read_to_vec()).ok_or_else(|| {
                    KernelError::new(format!(
                        "its arguments, {size} bytes at {address:#x}, are in no live device memory"
                    ))
                })
            }
        }
    }
}

thread_local! {
    /// The launch that has just failed on this thread, for those who report it.
    static FAILED: RefCell<Option<FailedLaunch>> = const { RefCell::new(None) };
}

/// A launch that failed.
pub(crate) struct FailedLaunch {
    pub(crate) function: Arc<Function>,
    arguments: Arguments,
}

/// The launch that has just failed on this thread, if it was one.
pub(crate) fn take_failed() -> Option<FailedLaunch> {
    FAILED.try_with(RefCell::take).ok().flatten()
}

impl FailedLaunch {
    /// Runs `look` with the device address and the size of the arguments: those of a launch with arguments of the host lie there for that
    /// long only.
    pub(crate) fn with_arguments(&self, device: &Device, look: impl FnOnce(*mut c_void, usize)) {
        match &self.arguments {
            Arguments::Device { address, size, .. } => look(ptr::without_provenance_mut(*address), *size),
            Arguments::Host { .. } => {
                let bytes = self.arguments.read().unwrap_or_default();
                let size = bytes.len();
                let Ok(copy) = device.memory().allocate(size.max(1), size.max(1), PageSize::Normal) else {
                    return look(ptr::null_mut(), 0);
                };
                let opened = device_range(copy, size).and_then(|range| range.open(Access::WRITE));
                if let Ok(opened) = opened {
                    opened.write_from(0, &bytes);
                }
                look(copy, size);
                device.memory().take_back(copy);
            }
        }
    }
}

/// A launch in a queue.
pub(crate) struct KernelTask(KernelParams);

impl KernelTask {
    pub(crate) fn new(params: KernelParams) -> Arc<Self> {
        Arc::new(Self(params))
    }

    /// What it does when it runs.
    pub(crate) fn params(&self) -> KernelParams {
        self.0.clone()
    }

    /// Calls the host function.
    pub(crate) fn run(&self, stream: &Stream) -> Result<(), aclError> {
        let params = self.params();
        let function = &params.function;
        let run = || {
            let arguments = params.arguments.read()?;
            let launch = KernelLaunch {
                name: function.name(),
                blocks: params.blocks,
                device: stream.device().id(),
                stream: stream.id(),
                arguments: &arguments,
            };
            let result = function.host().and_then(|kernel| kernel.call(&launch));
            result.unwrap_or_else(|| {
                Err(KernelError::new("its host function was unregistered before it ran")
                    .with_code(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT))
            })
        };
        run().map_err(|error| {
            let code = match error.code() {
                sys::ACL_ERROR_RT_AICORE_EXCEPTION if function.is_cpu() => sys::ACL_ERROR_RT_AICPU_EXCEPTION,
                code => code,
            };
            let failed = FailedLaunch { function: Arc::clone(function), arguments: params.arguments.clone() };
            let _ = FAILED.try_with(|last| last.replace(Some(failed)));
            fail(code, format_args!("the kernel '{}' failed: {error}", function.name()))
        })
    }
}

/// Queues a launch whose arguments have been checked: 207000 if nothing can run it.
pub(crate) fn launch(stream: &Arc<Stream>, params: KernelParams) -> Result<(), aclError> {
    if params.function.host().is_none() {
        let name = params.function.name();
        let text = format!("kernels are not executed, and no host function is registered for '{name}'");
        return Err(fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, text));
    }
    stream.push(crate::core::task::Task::Kernel(KernelTask::new(params)))
}
