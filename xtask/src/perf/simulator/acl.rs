//! The simulator as any ACL program sees it: its table of C functions, with the checks that are on by default.

use core::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;

use ascendcl_sim::{Config, api, configure};
use ascendcl_sys::{self as sys, AclApi, aclrtEvent, aclrtStream};

/// Calls a C function of the simulator that has to succeed.
macro_rules! acl {
    ($function:ident $(, $argument:expr)* $(,)?) => {{
        let function = $crate::perf::simulator::acl::table().$function.expect(stringify!($function));
        // SAFETY: [handle, memory] the rows pass live handles, places to write to, and memory as large as they say.
        #[allow(unused_unsafe)]
        let code = unsafe { function($($argument),*) };
        assert_eq!(code, 0, "{}", stringify!($function));
    }};
}
pub(crate) use acl;

/// The functions, looked up once, as a program that is linked with them has them.
pub fn table() -> &'static AclApi {
    static TABLE: OnceLock<&'static AclApi> = OnceLock::new();
    TABLE.get_or_init(api)
}

/// ACL from its initialisation to its end, on a machine of its own.
pub struct Session {
    devices: i32,
}

impl Session {
    /// A machine with this configuration, and device 0 set on this thread.
    pub fn new(config: Config) -> Self {
        configure(config).expect("nothing of another machine is alive");
        acl!(aclInit, ptr::null());
        let session = Self { devices: 4 };
        session.use_device(0);
        session
    }

    /// An Ascend 310 as it comes.
    pub fn usual() -> Self {
        Self::new(Config::new())
    }

    /// Sets another device on this thread.
    pub fn use_device(&self, device: i32) {
        assert!(device < self.devices);
        acl!(aclrtSetDevice, device);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for device in 0..self.devices {
            // SAFETY: [handle] a number of a device; one that was never set answers an error, which is no matter.
            api().aclrtResetDeviceForce.map(|reset| unsafe { reset(device) });
        }
        acl!(aclFinalize);
    }
}

/// A stream of the device that is set.
pub struct Stream(pub aclrtStream);

// SAFETY: [threads] the handle is only passed to functions of ACL, which take it from any thread.
unsafe impl Sync for Stream {}

impl Stream {
    pub fn new() -> Self {
        let mut handle = ptr::null_mut();
        acl!(aclrtCreateStream, &mut handle);
        Self(handle)
    }

    pub fn record(&self, event: &Event) {
        acl!(aclrtRecordEvent, event.0, self.0);
    }

    pub fn wait_for(&self, event: &Event) {
        acl!(aclrtStreamWaitEvent, self.0, event.0);
    }

    /// Queues a copy.
    pub fn upload(&self, to: &DeviceMemory, from: &PinnedMemory, len: usize) {
        acl!(aclrtMemcpyAsync, to.0, to.1, from.0, len, sys::ACL_MEMCPY_HOST_TO_DEVICE, self.0);
    }

    /// Queues a copy.
    pub fn download(&self, to: &PinnedMemory, from: &DeviceMemory, len: usize) {
        acl!(aclrtMemcpyAsync, to.0, len, from.0, len, sys::ACL_MEMCPY_DEVICE_TO_HOST, self.0);
    }

    /// Queues a copy.
    pub fn copy(&self, to: &DeviceMemory, from: &DeviceMemory, len: usize) {
        acl!(aclrtMemcpyAsync, to.0, to.1, from.0, len, sys::ACL_MEMCPY_DEVICE_TO_DEVICE, self.0);
    }

    pub fn synchronize(&self) {
        acl!(aclrtSynchronizeStream, self.0);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        acl!(aclrtDestroyStream, self.0);
    }
}

/// An event that streams can wait for.
pub struct Event(aclrtEvent);

impl Event {
    pub fn new() -> Self {
        let mut handle = ptr::null_mut();
        acl!(aclrtCreateEvent, &mut handle);
        Self(handle)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        acl!(aclrtDestroyEvent, self.0);
    }
}

/// Memory of the device that is set.
pub struct DeviceMemory(pub *mut c_void, pub usize);

impl DeviceMemory {
    pub fn new(size: usize) -> Self {
        let mut pointer = ptr::null_mut();
        acl!(aclrtMalloc, &mut pointer, size, sys::ACL_MEM_MALLOC_HUGE_FIRST);
        Self(pointer, size)
    }

    /// Fills it by a blocking call.
    pub fn fill_from(&self, from: &[u8]) {
        acl!(aclrtMemcpy, self.0, self.1, from.as_ptr().cast(), from.len(), sys::ACL_MEMCPY_HOST_TO_DEVICE);
    }

    /// What it holds, by a blocking call.
    pub fn read<const N: usize>(&self) -> [f32; N] {
        let mut values = [0.0; N];
        let (to, len) = (values.as_mut_ptr().cast(), size_of_val(&values));
        assert!(len <= self.1, "there is less");
        acl!(aclrtMemcpy, to, len, self.0, len, sys::ACL_MEMCPY_DEVICE_TO_HOST);
        values
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        acl!(aclrtFree, self.0);
    }
}

/// Pinned memory of the host.
pub struct PinnedMemory(pub *mut c_void);

impl PinnedMemory {
    pub fn new(size: usize) -> Self {
        let mut pointer = ptr::null_mut();
        acl!(aclrtMallocHost, &mut pointer, size);
        Self(pointer)
    }
}

impl Drop for PinnedMemory {
    fn drop(&mut self) {
        acl!(aclrtFreeHost, self.0);
    }
}
