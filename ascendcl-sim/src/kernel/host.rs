//! The registered host functions.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ascendcl_sys::{self as sys, aclError};

use super::launch::KernelLaunch;
use crate::lock::{Mutex, RwLock};

type Function = dyn Fn(&KernelLaunch<'_>) -> Result<(), KernelError> + Send + Sync;

/// Registered kernels by name; the last one of a name is the one that runs.
static KERNELS: RwLock<BTreeMap<String, Vec<Arc<HostKernel>>>> = RwLock::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// The kernel that this thread is inside of.
    static INSIDE: Cell<u64> = const { Cell::new(0) };
}

/// A host function and what is known about its parameters.
pub(crate) struct HostKernel {
    id: u64,
    name: String,
    function: Box<Function>,
    parameters: Mutex<Option<Arc<[Parameter]>>>,
    /// Whether it may still be called. Calls hold it locked for reading.
    alive: RwLock<bool>,
}

/// Where a parameter lies among a kernel's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) offset: usize,
    pub(crate) size: usize,
}

impl HostKernel {
    /// The parameters, if whoever registered the kernel told.
    pub(crate) fn parameters(&self) -> Option<Arc<[Parameter]>> {
        self.parameters.lock().clone()
    }

    /// Runs the host function; `None` if it was unregistered.
    pub(crate) fn call(&self, launch: &KernelLaunch<'_>) -> Option<Result<(), KernelError>> {
        let alive = self.alive.read();
        if !*alive {
            return None;
        }
        let before = Entered(INSIDE.replace(self.id));
        let result = (self.function)(launch);
        drop(before);
        Some(result)
    }
}

/// Puts back which kernel a thread was in, also when a function panics.
struct Entered(u64);

impl Drop for Entered {
    fn drop(&mut self) {
        INSIDE.set(self.0);
    }
}

/// The kernel that a launch of `name` runs.
pub(crate) fn find(name: &str) -> Option<Arc<HostKernel>> {
    KERNELS.read().get(name)?.last().cloned()
}

/// Whether any kernel is registered.
pub(crate) fn any() -> bool {
    !KERNELS.read().is_empty()
}

fn add(name: String, function: Box<Function>) -> Arc<HostKernel> {
    let kernel = Arc::new(HostKernel {
        id: NEXT.fetch_add(1, Ordering::Relaxed),
        name: name.clone(),
        function,
        parameters: Mutex::new(None),
        alive: RwLock::new(true),
    });
    KERNELS.write().entry(name).or_default().push(Arc::clone(&kernel));
    kernel
}

/// Takes a kernel out of the list; afterwards its function runs no more.
fn remove(kernel: &HostKernel) {
    {
        let mut kernels = KERNELS.write();
        if let Some(same) = kernels.get_mut(&kernel.name) {
            same.retain(|other| other.id != kernel.id);
            if same.is_empty() {
                kernels.remove(&kernel.name);
            }
        }
    }
    // From inside of the function itself the wait would never end: the call that is running is the last one then.
    if INSIDE.get() == kernel.id {
        return;
    }
    *kernel.alive.write() = false;
}

/// Lets `function` run where a kernel named `name` is launched, until the registration is dropped.
///
/// Kernel binaries are not executed: any file or bytes load as a binary once a kernel is registered, `aclrtBinaryGetFunction` finds the
/// registered names in it, and a launch queues a call of `function`, which runs on a thread of the simulator when the stream gets there,
/// after what was queued before it. It must not wait for streams or events. With no kernel registered nothing loads: an ELF file
/// answers 207000, anything else 107000.
///
/// An error of the function becomes the asynchronous error of the stream, like that of a kernel that traps: 507015 unless it says
/// otherwise. Of several registrations of one name the newest runs.
///
/// ```
/// use ascendcl_sim::{KernelLaunch, register_kernel};
///
/// // add(float *x, const float *y, uint32_t count): x += y
/// let add = register_kernel("add", |launch: &KernelLaunch<'_>| {
///     let (x, y): (u64, u64) = (launch.argument(0)?, launch.argument(8)?);
///     let count: u32 = launch.argument(16)?;
///     let mut sums: Vec<f32> = launch.read_values(x, count as usize)?;
///     for (sum, y) in sums.iter_mut().zip(launch.read_values::<f32>(y, count as usize)?) {
///         *sum += y;
///     }
///     launch.write_values(x, &sums)
/// });
/// drop(add);
/// ```
pub fn register_kernel(
    name: impl Into<String>,
    function: impl Fn(&KernelLaunch<'_>) -> Result<(), KernelError> + Send + Sync + 'static,
) -> KernelRegistration {
    KernelRegistration { kernel: Some(add(name.into(), Box::new(function))) }
}

/// A registered kernel, until it is dropped: then launches of it fail, also those that are queued already. Dropping waits for calls that
/// are running.
#[derive(Debug)]
#[must_use = "the kernel is unregistered when this is dropped"]
pub struct KernelRegistration {
    kernel: Option<Arc<HostKernel>>,
}

impl fmt::Debug for HostKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostKernel").field("name", &self.name).finish_non_exhaustive()
    }
}

impl KernelRegistration {
    /// Says how many bytes each parameter of the kernel has, which a binary's metadata would say:
    /// `aclrtLaunchKernelWithArgsArray` and `aclrtFunctionGetParamInfo` need it. Each parameter starts at a multiple of 8.
    pub fn with_parameters(self, sizes: &[usize]) -> Self {
        if let Some(kernel) = &self.kernel {
            *kernel.parameters.lock() = Some(layout(sizes));
        }
        self
    }

    /// Keeps the kernel registered for as long as the process lives.
    pub fn keep(mut self) {
        self.kernel = None;
    }
}

fn layout(sizes: &[usize]) -> Arc<[Parameter]> {
    let mut end = 0usize;
    let place = |&size: &usize| {
        let offset = end.next_multiple_of(8);
        end = offset + size;
        Parameter { offset, size }
    };
    sizes.iter().map(place).collect()
}

impl Drop for KernelRegistration {
    fn drop(&mut self) {
        if let Some(kernel) = &self.kernel {
            remove(kernel);
        }
    }
}

/// Why a kernel failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelError {
    code: aclError,
    message: String,
}

impl KernelError {
    /// An error that the stream reports as 507015, an exception of the AI core.
    pub fn new(message: impl Into<String>) -> Self {
        Self { code: sys::ACL_ERROR_RT_AICORE_EXCEPTION, message: message.into() }
    }

    /// The code that the stream reports. 0 is none, and leaves the code as it is.
    pub fn with_code(mut self, code: aclError) -> Self {
        if code != 0 {
            self.code = code;
        }
        self
    }

    /// The code that the stream reports.
    pub fn code(&self) -> aclError {
        self.code
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for KernelError {}
