//! The few functions of OpenCL that the baseline needs, from a library that is loaded at run time: PoCL, by way of the loader of Debian.
//!
//! Signatures and numbers are those of the OpenCL 1.2 specification.

use core::ffi::{c_char, c_void};
use std::ptr;

use libloading::Library;

/// What to run where it is missing.
pub const INSTALL: &str = "apt-get install pocl-opencl-icd ocl-icd-libopencl1";

type Handle = *mut c_void;
type Code = i32;

const CL_SUCCESS: Code = 0;
const CL_FALSE: u32 = 0;
const CL_PLATFORM_NAME: u32 = 0x0902;
const CL_PLATFORM_VERSION: u32 = 0x0901;
const CL_DEVICE_TYPE_ALL: u64 = 0xffff_ffff;
const CL_MEM_READ_WRITE: u64 = 1;

type GetPlatformIds = unsafe extern "C" fn(u32, *mut Handle, *mut u32) -> Code;
type GetPlatformInfo = unsafe extern "C" fn(Handle, u32, usize, *mut c_void, *mut usize) -> Code;
type GetDeviceIds = unsafe extern "C" fn(Handle, u64, u32, *mut Handle, *mut u32) -> Code;
type CreateContext = unsafe extern "C" fn(
    *const isize,
    u32,
    *const Handle,
    Option<unsafe extern "C" fn(*const c_char, *const c_void, usize, *mut c_void)>,
    *mut c_void,
    *mut Code,
) -> Handle;
type CreateQueue = unsafe extern "C" fn(Handle, Handle, u64, *mut Code) -> Handle;
type CreateBuffer = unsafe extern "C" fn(Handle, u64, usize, *mut c_void, *mut Code) -> Handle;
type EnqueueMarker = unsafe extern "C" fn(Handle, u32, *const Handle, *mut Handle) -> Code;
type EnqueueWrite = unsafe extern "C" fn(
    Handle,
    Handle,
    u32,
    usize,
    usize,
    *const c_void,
    u32,
    *const Handle,
    *mut Handle,
) -> Code;
type OfHandle = unsafe extern "C" fn(Handle) -> Code;

/// PoCL with one device and a context.
pub struct OpenCl {
    /// What is called it, with its version.
    pub name: String,
    device: Handle,
    context: Handle,
    create_queue: CreateQueue,
    create_buffer: CreateBuffer,
    enqueue_marker: EnqueueMarker,
    enqueue_write: EnqueueWrite,
    finish: OfHandle,
    release_queue: OfHandle,
    release_buffer: OfHandle,
    release_event: OfHandle,
    release_context: OfHandle,
    /// PoCL keeps threads that run to the end of the process: it is never unloaded.
    _library: &'static Library,
}

/// An in-order queue.
pub struct Queue<'a> {
    cl: &'a OpenCl,
    handle: Handle,
}

/// Memory of the device.
pub struct Buffer<'a> {
    cl: &'a OpenCl,
    handle: Handle,
    size: usize,
}

/// A point in the work of a queue.
pub struct Event<'a> {
    cl: &'a OpenCl,
    handle: Handle,
}

impl OpenCl {
    /// Why there is none, with what to do, if there is none.
    pub fn load() -> Result<Self, String> {
        // SAFETY: [symbol] the loader of OpenCL has no initialisers that need more than to be loaded.
        let library = unsafe { Library::new("libOpenCL.so.1") }
            .map_err(|error| format!("PoCL is not installed ({error}): `{INSTALL}`"))?;
        let library: &'static Library = Box::leak(Box::new(library));
        // SAFETY: [symbol] the type is that of the specification.
        let get_platforms: GetPlatformIds = unsafe { symbol(library, "clGetPlatformIDs") }?;
        // SAFETY: [symbol] as above.
        let get_platform_info: GetPlatformInfo = unsafe { symbol(library, "clGetPlatformInfo") }?;
        // SAFETY: [symbol] as above.
        let get_devices: GetDeviceIds = unsafe { symbol(library, "clGetDeviceIDs") }?;
        // SAFETY: [symbol] as above.
        let create_context: CreateContext = unsafe { symbol(library, "clCreateContext") }?;

        let mut platforms = [ptr::null_mut(); 16];
        let mut count = 0;
        // SAFETY: [memory] there is room for as many as are asked for.
        let code = unsafe { get_platforms(platforms.len() as u32, platforms.as_mut_ptr(), &mut count) };
        let found = if code == CL_SUCCESS { &platforms[..platforms.len().min(count as usize)] } else { &[] };
        let text = |platform: Handle, what| {
            let mut text = [0u8; 256];
            let mut len = 0;
            // SAFETY: [memory] there is room for as many bytes as are said; the platform is one that was given.
            unsafe { get_platform_info(platform, what, text.len(), text.as_mut_ptr().cast(), &mut len) };
            String::from_utf8_lossy(&text[..len.min(text.len())]).trim_end_matches('\0').to_owned()
        };
        let platform = found
            .iter()
            .copied()
            .find(|&platform| text(platform, CL_PLATFORM_NAME).contains("Portable Computing Language"))
            .ok_or_else(|| format!("PoCL is not among the OpenCL platforms: `{INSTALL}`"))?;
        let version = text(platform, CL_PLATFORM_VERSION);
        let name = version.split_whitespace().skip_while(|word| *word != "PoCL").take(2).collect::<Vec<_>>();

        let (mut device, mut code) = (ptr::null_mut(), CL_SUCCESS);
        // SAFETY: [memory] there is room for one device.
        check("clGetDeviceIDs", unsafe {
            get_devices(platform, CL_DEVICE_TYPE_ALL, 1, &mut device, ptr::null_mut())
        })?;
        // SAFETY: [memory] one device, no properties and no function to call.
        let context = unsafe { create_context(ptr::null(), 1, &device, None, ptr::null_mut(), &mut code) };
        check("clCreateContext", code)?;
        // SAFETY: [symbol] the types are those of the specification.
        unsafe {
            Ok(Self {
                name: name.join(" "),
                device,
                context,
                create_queue: symbol(library, "clCreateCommandQueue")?,
                create_buffer: symbol(library, "clCreateBuffer")?,
                enqueue_marker: symbol(library, "clEnqueueMarkerWithWaitList")?,
                enqueue_write: symbol(library, "clEnqueueWriteBuffer")?,
                finish: symbol(library, "clFinish")?,
                release_queue: symbol(library, "clReleaseCommandQueue")?,
                release_buffer: symbol(library, "clReleaseMemObject")?,
                release_event: symbol(library, "clReleaseEvent")?,
                release_context: symbol(library, "clReleaseContext")?,
                _library: library,
            })
        }
    }

    /// A queue whose commands run in order.
    pub fn queue(&self) -> Result<Queue<'_>, String> {
        let mut code = CL_SUCCESS;
        // SAFETY: [handle] context and device are alive as long as `self`.
        let handle = unsafe { (self.create_queue)(self.context, self.device, 0, &mut code) };
        check("clCreateCommandQueue", code)?;
        Ok(Queue { cl: self, handle })
    }

    /// Memory of so many bytes.
    pub fn buffer(&self, size: usize) -> Result<Buffer<'_>, String> {
        let mut code = CL_SUCCESS;
        // SAFETY: [handle] the context is alive as long as `self`; there is no host memory to use.
        let handle = unsafe {
            (self.create_buffer)(self.context, CL_MEM_READ_WRITE, size, ptr::null_mut(), &mut code)
        };
        check("clCreateBuffer", code)?;
        Ok(Buffer { cl: self, handle, size })
    }
}

impl Drop for OpenCl {
    fn drop(&mut self) {
        // SAFETY: [handle] the context is ours, and what was made in it borrowed `self`.
        unsafe { (self.release_context)(self.context) };
    }
}

impl<'a> Queue<'a> {
    /// A command that does nothing, behind all others.
    pub fn marker(&self) -> Result<(), String> {
        // SAFETY: [handle] the queue is alive; there is nothing to wait for and no event.
        check("clEnqueueMarkerWithWaitList", unsafe {
            (self.cl.enqueue_marker)(self.handle, 0, ptr::null(), ptr::null_mut())
        })
    }

    /// The same with an event for others to wait for.
    pub fn record(&self) -> Result<Event<'a>, String> {
        let mut handle = ptr::null_mut();
        // SAFETY: [handle, memory] the queue is alive, and there is a place for the event.
        check("clEnqueueMarkerWithWaitList", unsafe {
            (self.cl.enqueue_marker)(self.handle, 0, ptr::null(), &mut handle)
        })?;
        Ok(Event { cl: self.cl, handle })
    }

    /// A command that does nothing once `event` is there.
    pub fn wait_for(&self, event: &Event<'_>) -> Result<(), String> {
        // SAFETY: [handle] queue and event are alive.
        check("clEnqueueMarkerWithWaitList", unsafe {
            (self.cl.enqueue_marker)(self.handle, 1, &event.handle, ptr::null_mut())
        })
    }

    /// Queues a copy of `from` to the start of `to`.
    ///
    /// # Safety
    /// `from` stays as it is until the queue was waited for.
    pub unsafe fn write(&self, to: &Buffer<'_>, from: &[u8]) -> Result<(), String> {
        assert!(from.len() <= to.size, "it does not fit");
        // SAFETY: [handle, caller] queue and buffer are alive, the buffer is large enough, and the source stays (contract).
        check("clEnqueueWriteBuffer", unsafe {
            (self.cl.enqueue_write)(
                self.handle,
                to.handle,
                CL_FALSE,
                0,
                from.len(),
                from.as_ptr().cast(),
                0,
                ptr::null(),
                ptr::null_mut(),
            )
        })
    }

    /// Waits for all commands.
    pub fn finish(&self) -> Result<(), String> {
        // SAFETY: [handle] the queue is alive.
        check("clFinish", unsafe { (self.cl.finish)(self.handle) })
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        // SAFETY: [handle] the queue is ours; nothing of it may still run when what it reads is dropped.
        unsafe {
            (self.cl.finish)(self.handle);
            (self.cl.release_queue)(self.handle);
        }
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        // SAFETY: [handle] the buffer is ours; commands that use it keep it.
        unsafe { (self.cl.release_buffer)(self.handle) };
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        // SAFETY: [handle] the event is ours; commands that wait for it keep it.
        unsafe { (self.cl.release_event)(self.handle) };
    }
}

/// # Safety
/// `T` is the type of the function with this name.
unsafe fn symbol<T: Copy>(library: &Library, name: &str) -> Result<T, String> {
    // SAFETY: [caller, symbol] the type is right (contract), and the library is never unloaded.
    let symbol = unsafe { library.get::<T>(name) };
    symbol.map(|symbol| *symbol).map_err(|error| format!("the OpenCL library has no {name}: {error}"))
}

fn check(function: &str, code: Code) -> Result<(), String> {
    if code == CL_SUCCESS { Ok(()) } else { Err(format!("{function} failed with {code}")) }
}
