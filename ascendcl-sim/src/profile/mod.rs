//! Profiles: what a kind of chip can do, as data.

mod lacking;

use core::ffi::CStr;

use ascendcl_sys::aclError;

/// A kind of chip, and the card it comes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub(crate) name: &'static str,
    /// What `aclrtGetSocName` answers.
    pub(crate) soc: &'static CStr,
    /// Devices on one card.
    pub(crate) devices: usize,
    /// Bytes of device memory.
    pub(crate) memory: usize,
    /// HBM rather than DDR.
    pub(crate) hbm: bool,
    /// Streams of a device.
    pub(crate) streams: u32,
    /// Streams that `aclrtSetDevice` takes.
    pub(crate) primary_streams: u32,
    /// Hardware events of a device.
    pub(crate) events: u32,
    /// Entries in a stream's queue.
    pub(crate) stream_depth: usize,
    /// Notifies of a device.
    pub(crate) notifies: u32,
    /// Threads that may serve callbacks.
    pub(crate) report_threads: usize,
    /// The lowest stream priority; 0 is the highest. 0 means that priorities and flags of streams are ignored.
    pub(crate) lowest_priority: u32,
    pub(crate) features: Features,
}

/// What not every chip has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    /// Callbacks that do not block their stream.
    pub(crate) no_block_callbacks: bool,
    /// `aclrtLaunchHostFunc`
    pub(crate) host_functions: bool,
    /// `aclrtMemcpy2dAsync` inside the device.
    pub(crate) device_copy_2d: bool,
    /// Streams that wait for an event of another device. Without it such a wait is dropped and answered with success.
    pub(crate) cross_device_wait: bool,
    /// `aclrtSetStreamFailureMode` of the default stream.
    pub(crate) default_stream_failure_mode: bool,
}

impl Profile {
    /// Names that [`by_name`](Self::by_name) knows.
    pub const NAMES: &'static [&'static str] = &["ascend310", "ascend310p", "ascend910b", "full"];

    /// Atlas 300I: four Ascend 310 with 8 GiB of DDR each. The default.
    pub fn ascend310() -> Self {
        Self {
            name: "ascend310",
            soc: c"Ascend310",
            devices: 4,
            memory: 8 << 30,
            hbm: false,
            streams: 992,
            primary_streams: 2,
            events: 1023,
            stream_depth: 4096,
            notifies: 1024,
            report_threads: 128,
            lowest_priority: 0,
            features: Features {
                no_block_callbacks: false,
                host_functions: false,
                device_copy_2d: false,
                cross_device_wait: false,
                default_stream_failure_mode: false,
            },
        }
    }

    /// Atlas 300I Pro, 300V: one Ascend 310P with 24 GiB of DDR. Event time-outs of streams, events and memory shared between
    /// processes and much else is missing.
    pub fn ascend310p() -> Self {
        Self {
            name: "ascend310p",
            soc: c"Ascend310P3",
            devices: 1,
            memory: 24 << 30,
            hbm: false,
            streams: 992,
            primary_streams: 2,
            events: 1023,
            stream_depth: 1024,
            notifies: 1024,
            report_threads: 128,
            lowest_priority: 7,
            features: Features {
                no_block_callbacks: true,
                host_functions: true,
                device_copy_2d: false,
                cross_device_wait: false,
                default_stream_failure_mode: false,
            },
        }
    }

    /// A server with eight Ascend 910B, 64 GiB of HBM each.
    pub fn ascend910b() -> Self {
        Self {
            name: "ascend910b",
            soc: c"Ascend910B1",
            devices: 8,
            memory: 64 << 30,
            hbm: true,
            streams: 1984,
            primary_streams: 1,
            events: 65_536,
            stream_depth: 2048,
            notifies: 8192,
            report_threads: 128,
            lowest_priority: 7,
            features: Features {
                no_block_callbacks: true,
                host_functions: true,
                device_copy_2d: true,
                cross_device_wait: true,
                default_stream_failure_mode: true,
            },
        }
    }

    /// No chip there is: every feature of any of them, and the largest limits.
    pub fn full() -> Self {
        Self {
            name: "full",
            soc: c"AscendSim",
            devices: 4,
            memory: 8 << 30,
            hbm: true,
            streams: 2048,
            primary_streams: 1,
            events: 65_536,
            stream_depth: 2048,
            notifies: 8192,
            report_threads: 1024,
            lowest_priority: 7,
            features: Features {
                no_block_callbacks: true,
                host_functions: true,
                device_copy_2d: true,
                cross_device_wait: true,
                default_stream_failure_mode: true,
            },
        }
    }

    /// The profile of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "ascend310" => Some(Self::ascend310()),
            "ascend310p" => Some(Self::ascend310p()),
            "ascend910b" => Some(Self::ascend910b()),
            "full" => Some(Self::full()),
            _ => None,
        }
    }

    /// The code that a function answers which this chip does not have.
    pub(crate) fn lacks(&self, function: &str) -> Option<aclError> {
        lacking::code(self.name, function)
    }

    /// Its name, as in `ASCENDCL_SIM_PROFILE`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What `aclrtGetSocName` answers.
    pub fn soc_name(&self) -> &'static CStr {
        self.soc
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::ascend310()
    }
}
