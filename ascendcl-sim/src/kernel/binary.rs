//! Kernel binaries and the functions in them.
//!
//! Nothing is executed, so nothing is read beyond the first bytes: a binary has the kernels for which the program registered host functions.

use core::ffi::c_void;
use std::collections::{BTreeMap, BTreeSet};
use std::ptr;
use std::sync::{Arc, Weak};

use ascendcl_sys::{
    self as sys, aclError, aclrtBinHandle, aclrtBinary, aclrtFuncHandle, aclrtOpExceptionCallback,
};

use super::args;
use super::host::{self, HostKernel};
use crate::check::leak::{LiveKind, register};
use crate::core::{Device, current_context, process};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;
use crate::memory::PageSize;

static BINARIES: Table<Binary> = Table::new(Kind::Binary);
static FUNCTIONS: Table<Function> = Table::new(Kind::Function);
static DESCRIPTIONS: Table<Description> = Table::new(Kind::BinaryDescription);

/// How ELF files begin.
const ELF: &[u8; 4] = b"\x7fELF";
/// What an ELF file has at least.
const ELF_HEADER: usize = 64;
/// Functions lie this far apart in a binary's device memory.
const FUNCTION_SPACING: usize = 64;

/// `aclrtBinary`: where a program says that a binary is. Nothing is read before it is loaded.
pub(crate) struct Description {
    data: usize,
    length: usize,
}

/// What was loaded.
pub(crate) struct Binary {
    handle: usize,
    size: usize,
    options: Options,
    contents: Mutex<Contents>,
}

/// How a binary is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// It is copied to a device only when a function is launched.
    pub(crate) lazy: bool,
    /// It is for the CPU of the chip.
    pub(crate) cpu: bool,
    /// It was loaded by `aclrtBinaryLoad`, into a context.
    pub(crate) legacy: bool,
}

#[derive(Default)]
struct Contents {
    /// Functions given out, in that order.
    functions: Vec<(usize, Arc<Function>)>,
    /// Devices that it was copied to.
    devices: BTreeSet<i32>,
    /// Where it seems to lie there, for those who asked.
    images: BTreeMap<i32, usize>,
    callback: Option<ExceptionCallback>,
}

/// What a program wants to be called when a kernel of a binary fails.
#[derive(Clone, Copy)]
pub(crate) struct ExceptionCallback {
    function: unsafe extern "C" fn(*mut sys::aclrtExceptionInfo, *mut c_void),
    user_data: usize,
}

impl ExceptionCallback {
    /// Tells the program.
    ///
    /// # Safety
    /// `info` points to an exception for as long as the call lasts.
    pub(crate) unsafe fn call(self, info: *mut sys::aclrtExceptionInfo) {
        // SAFETY: [program] the program registered the function to be called like this; the exception is the caller's contract.
        unsafe { (self.function)(info, ptr::with_exposed_provenance_mut(self.user_data)) };
    }
}

/// A function of a binary.
pub(crate) struct Function {
    name: String,
    /// The name that it has in the library of a CPU kernel.
    cpu_name: Option<String>,
    index: usize,
    binary: Weak<Binary>,
    handle: usize,
}

impl Binary {
    pub(crate) fn handle(&self) -> aclrtBinHandle {
        ptr::without_provenance_mut(self.handle)
    }

    pub(crate) fn is_cpu(&self) -> bool {
        self.options.cpu
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn is_lazy(&self) -> bool {
        self.options.lazy
    }

    /// Notes that it was copied to a device.
    pub(crate) fn copy_to(&self, device: &Device) {
        self.contents.lock().devices.insert(device.id());
    }

    pub(crate) fn set_exception_callback(&self, callback: ExceptionCallback) {
        self.contents.lock().callback = Some(callback);
    }

    /// Who wants to know when a kernel of it fails.
    pub(crate) fn exception_callback(&self) -> Option<ExceptionCallback> {
        self.contents.lock().callback
    }

    /// The device address that stands for the binary on `device`. There is memory of the right size, without contents.
    pub(crate) fn image(&self, device: &Device) -> Result<*mut c_void, aclError> {
        let mut contents = self.contents.lock();
        let address = match contents.images.get(&device.id()) {
            Some(address) => *address,
            None => {
                let address = device.memory().allocate(self.size, self.size, PageSize::Normal)?.addr();
                contents.images.insert(device.id(), address);
                address
            }
        };
        contents.devices.insert(device.id());
        Ok(ptr::without_provenance_mut(address))
    }

    /// The function of this name, the same handle for each call.
    fn function(self: &Arc<Self>, name: &str, cpu_name: Option<&str>) -> Result<aclrtFuncHandle, aclError> {
        let mut contents = self.contents.lock();
        if let Some((handle, _)) = contents.functions.iter().find(|(_, function)| function.name == name) {
            return Ok(ptr::without_provenance_mut(*handle));
        }
        let index = contents.functions.len();
        let mut made = None;
        let handle = FUNCTIONS.insert_with(None, |handle| {
            let function = Arc::new(Function {
                name: name.to_owned(),
                cpu_name: cpu_name.map(str::to_owned),
                index,
                binary: Arc::downgrade(self),
                handle: handle.addr(),
            });
            made = Some(Arc::clone(&function));
            function
        });
        let (Some(function), Some(handle)) = (made, handle) else {
            return Err(fail(sys::ACL_ERROR_RT_RESOURCE_ALLOC_FAIL, "too many kernel functions"));
        };
        contents.functions.push((handle.addr(), function));
        Ok(handle)
    }
}

impl Function {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn handle(&self) -> aclrtFuncHandle {
        ptr::without_provenance_mut(self.handle)
    }

    /// The binary it is in; `None` once that was unloaded.
    pub(crate) fn binary(&self) -> Option<Arc<Binary>> {
        self.binary.upgrade()
    }

    pub(crate) fn is_cpu(&self) -> bool {
        self.cpu_name.is_some() || self.binary().is_some_and(|binary| binary.is_cpu())
    }

    /// What runs when it is launched.
    pub(crate) fn host(&self) -> Option<Arc<HostKernel>> {
        host::find(&self.name).or_else(|| host::find(self.cpu_name.as_deref()?))
    }

    /// Whether its binary was copied to `device`.
    pub(crate) fn is_on(&self, device: &Device) -> bool {
        self.binary().is_some_and(|binary| binary.contents.lock().devices.contains(&device.id()))
    }

    /// The device address that stands for it.
    pub(crate) fn address(&self, device: &Device) -> Result<*mut c_void, aclError> {
        let binary = self.binary().ok_or_else(|| no_function(self.handle()))?;
        let offset = self.index * FUNCTION_SPACING % binary.size.max(1);
        Ok(binary.image(device)?.wrapping_byte_add(offset))
    }
}

/// `aclrtCreateBinary` after its check. NULL if there are a million already.
pub(crate) fn describe(data: *const c_void, length: usize) -> aclrtBinary {
    let description = Arc::new(Description { data: data.expose_provenance(), length });
    let registration = register(LiveKind::Binary, format!("description of {length} bytes"));
    DESCRIPTIONS.insert(description, registration).unwrap_or(ptr::null_mut())
}

/// `aclrtDestroyBinary` after its check.
pub(crate) fn forget(handle: aclrtBinary) -> Result<(), aclError> {
    DESCRIPTIONS.remove(handle).map(drop).ok_or_else(|| no_description(handle))
}

/// What `aclrtCreateBinary` was told: an address and a length.
pub(crate) fn described(handle: aclrtBinary) -> Result<(usize, usize), aclError> {
    let description = DESCRIPTIONS.get(handle).ok_or_else(|| no_description(handle))?;
    Ok((description.data, description.length))
}

fn no_description(handle: aclrtBinary) -> aclError {
    let why = DESCRIPTIONS.describe(handle);
    fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("the binary {handle:p} {why}"))
}

/// Loads a binary that begins with `head` and is `size` bytes long.
pub(crate) fn load(head: &[u8], size: usize, options: Options) -> Result<aclrtBinHandle, aclError> {
    if !host::any() {
        let is_elf = head.starts_with(ELF) && size >= ELF_HEADER;
        return Err(if is_elf || options.cpu {
            fail(
                sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
                "kernels are not executed, and no host function is registered for any: see ascendcl_sim::register_kernel",
            )
        } else {
            fail(sys::ACL_ERROR_RT_PARAM_INVALID, "the data is no kernel binary: it is not an ELF file")
        });
    }
    let registration = register(LiveKind::Binary, format!("{size} bytes"));
    let handle = BINARIES.insert_with(Some(registration), |handle| {
        Arc::new(Binary { handle: handle.addr(), size, options, contents: Mutex::default() })
    });
    handle.ok_or_else(|| fail(sys::ACL_ERROR_RT_RESOURCE_ALLOC_FAIL, "too many kernel binaries"))
}

/// `aclrtBinaryUnLoad` after its NULL check. Launches that are queued already still run.
pub(crate) fn unload(handle: aclrtBinHandle) -> Result<(), aclError> {
    if find(handle)?.options.legacy {
        current_context()?;
    }
    let binary = BINARIES.remove(handle).ok_or_else(|| no_binary(handle))?;
    let contents = std::mem::take(&mut *binary.contents.lock());
    for (function, _) in contents.functions {
        FUNCTIONS.remove(ptr::without_provenance(function));
        args::forget(function);
    }
    for (device, address) in contents.images {
        if let Ok(device) = process::device(device) {
            device.memory().take_back(ptr::without_provenance_mut(address));
        }
    }
    Ok(())
}

/// The binary behind a handle: 107017 if there is none.
pub(crate) fn find(handle: aclrtBinHandle) -> Result<Arc<Binary>, aclError> {
    BINARIES.get(handle).ok_or_else(|| no_binary(handle))
}

/// The function behind a handle: 107017 if there is none.
pub(crate) fn find_function(handle: aclrtFuncHandle) -> Result<Arc<Function>, aclError> {
    FUNCTIONS.get(handle).ok_or_else(|| no_function(handle))
}

fn no_binary(handle: aclrtBinHandle) -> aclError {
    let why = BINARIES.describe(handle);
    fail(sys::ACL_ERROR_RT_INVALID_HANDLE, format_args!("the kernel binary {handle:p} {why}"))
}

fn no_function(handle: aclrtFuncHandle) -> aclError {
    let why = FUNCTIONS.describe(handle);
    fail(sys::ACL_ERROR_RT_INVALID_HANDLE, format_args!("the kernel function {handle:p} {why}"))
}

/// `aclrtBinaryGetFunction` after its checks. Everything that can go wrong is 107000, also that there is no context.
pub(crate) fn function_by_name(binary: &Arc<Binary>, name: &str) -> Result<aclrtFuncHandle, aclError> {
    let wrong = |text: &dyn std::fmt::Display| fail(sys::ACL_ERROR_RT_PARAM_INVALID, text);
    let context = current_context()
        .map_err(|_| wrong(&"a kernel is looked up for a device, and there is no context"))?;
    let known = binary.contents.lock().functions.iter().any(|(_, function)| function.name == name);
    if !known && host::find(name).is_none() {
        return Err(wrong(&format_args!(
            "the binary has no kernel '{name}': no host function is registered for it"
        )));
    }
    binary.copy_to(context.device());
    binary.function(name, None)
}

/// `aclrtRegisterCpuFunc` after its checks.
pub(crate) fn register_cpu(
    binary: &Arc<Binary>,
    function: &str,
    kernel: &str,
) -> Result<aclrtFuncHandle, aclError> {
    let context = current_context()?;
    binary.copy_to(context.device());
    binary.function(kernel, Some(function))
}

/// The type of the C function that [`ExceptionCallback`] keeps.
pub(crate) fn exception_callback(
    function: aclrtOpExceptionCallback,
    user_data: *mut c_void,
) -> Option<ExceptionCallback> {
    function.map(|function| ExceptionCallback { function, user_data: user_data.expose_provenance() })
}
