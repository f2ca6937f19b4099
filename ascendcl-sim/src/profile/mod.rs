//! Profiles: what a kind of chip can do, as data.
//!
//! Numbers are those of the documentation, and where it gives none those that the public runtime keeps for each chip. The largest
//! numbers of the runtime are not always what a program gets: Ascend 910B queues 2048 tasks and has 1984 streams for programs.

mod chip;
mod lacking;

use core::ffi::CStr;

use ascendcl_sys::{self as sys, aclDataType, aclError};

pub(crate) use chip::{Chip, Overflow, architecture};

/// A kind of chip, and the card it comes on: the limits and features that differ between chips.
///
/// | | [`ascend310`](Self::ascend310) | [`ascend310p`](Self::ascend310p) | [`ascend910b`](Self::ascend910b) | [`full`](Self::full) |
/// |---|---|---|---|---|
/// | `aclrtGetSocName` | Ascend310 | Ascend310P3 | Ascend910B1 | AscendSim |
/// | devices | 4 | 1 | 8 | 4 |
/// | memory of each | 8 GiB DDR | 24 GiB DDR | 64 GiB HBM | 8 GiB HBM |
/// | streams | 992 | 992 | 1984 | 2048 |
/// | entries in a stream's queue | 4096 | 2048 | 2048 | 2048 |
/// | events | 1023 | 1023 | 65536 | 65536 |
/// | notifies | 1024 | 1024 | 8192 | 8192 |
/// | callbacks that do not block | no | yes | yes | yes |
/// | stream priorities | ignored | 0 to 7 | 0 to 7 | 0 to 7 |
///
/// A function that the chip does not have answers 207000, `ACL_ERROR_RT_FEATURE_NOT_SUPPORT`, whatever its arguments: see
/// [`lacks`](Self::lacks). For Ascend 310P and 910B these are the functions that the documentation of 2026 denies them. Ascend 310 left the
/// documentation before many functions appeared; it lacks what its contemporaries Ascend 310P or 910 lack, and has the rest. `full` lacks
/// nothing.
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
    pub(crate) costs: Costs,
    pub(crate) chip: Chip,
}

/// What things cost on the virtual clock of a run with a seed. Plausible for the chip and not measured on one: they make elapsed times
/// repeatable, not real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Costs {
    /// A C function, in nanoseconds.
    pub(crate) call: u64,
    /// A task, in nanoseconds, besides what it moves.
    pub(crate) task: u64,
    /// Between host and device, in bytes per microsecond.
    pub(crate) link: u64,
    /// Inside a device, in bytes per microsecond.
    pub(crate) memory: u64,
}

/// What not every chip has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    /// Callbacks that do not block their stream.
    pub(crate) no_block_callbacks: bool,
    /// `aclrtLaunchHostFunc`
    pub(crate) host_functions: bool,
    /// Each subscription for callbacks takes an event of the current context, even if the stream belongs to another one.
    pub(crate) subscription_events: bool,
    /// `aclrtMemcpy2dAsync` inside the device.
    pub(crate) device_copy_2d: bool,
    /// Memory for copies between devices: the policies with `P2P`.
    pub(crate) peer_memory: bool,
    /// Pages of 1 GiB.
    pub(crate) giant_pages: bool,
    /// Host memory that devices can use at an address of theirs.
    pub(crate) host_registration: bool,
    /// `aclrtReduceAsync` knows these types,
    pub(crate) reduced_types: &'static [aclDataType],
    /// and no reduction but the sum.
    pub(crate) reduce_sum_only: bool,
    /// Streams that wait for an event of another device. Without it such a wait is dropped and answered with success.
    pub(crate) cross_device_wait: bool,
    /// `aclrtSetStreamFailureMode` of the default stream.
    pub(crate) default_stream_failure_mode: bool,
    /// Events that order captured work and work outside of it: `aclrtRecordEventWithFlag`, `aclrtStreamWaitEventWithFlag`.
    pub(crate) external_events: bool,
    /// Streams with `ACL_STREAM_HUGE`.
    pub(crate) huge_streams: bool,
    /// Streams that check for overflow and carry a tag; where they do not, setting these is accepted and does nothing.
    pub(crate) stream_overflow_check: bool,
    /// Shared buffers, queues that carry them, and queues that several processes use. A host on PCIe has none of these.
    pub(crate) shared_buffers: bool,
    /// Physical memory that processes of several hosts share.
    pub(crate) fabric_handles: bool,
}

/// What `aclrtReduceAsync` of each generation of chips combines.
const OLDER_REDUCTIONS: &[aclDataType] = &[sys::ACL_FLOAT, sys::ACL_FLOAT16, sys::ACL_INT16];
const NEWER_REDUCTIONS: &[aclDataType] =
    &[sys::ACL_FLOAT, sys::ACL_FLOAT16, sys::ACL_BF16, sys::ACL_INT8, sys::ACL_INT16, sys::ACL_INT32];
const ALL_REDUCTIONS: &[aclDataType] = &[
    sys::ACL_FLOAT,
    sys::ACL_FLOAT16,
    sys::ACL_BF16,
    sys::ACL_INT8,
    sys::ACL_INT16,
    sys::ACL_INT32,
    sys::ACL_UINT8,
    sys::ACL_UINT16,
    sys::ACL_UINT32,
];

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
                subscription_events: false,
                device_copy_2d: false,
                peer_memory: false,
                giant_pages: false,
                host_registration: false,
                reduced_types: OLDER_REDUCTIONS,
                reduce_sum_only: true,
                cross_device_wait: false,
                default_stream_failure_mode: false,
                external_events: false,
                huge_streams: true,
                stream_overflow_check: false,
                shared_buffers: false,
                fabric_handles: false,
            },
            costs: Costs { call: 1_000, task: 8_000, link: 3_000, memory: 20_000 },
            chip: Chip::ASCEND310,
        }
    }

    /// Atlas 300I Pro, 300V: one Ascend 310P with 24 GiB of DDR. It has no tensor channels, no events shared between processes, no
    /// copies in batches, no waiting for values in memory, no time-out of waits for events.
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
            stream_depth: 2048,
            notifies: 1024,
            report_threads: 128,
            lowest_priority: 7,
            features: Features {
                no_block_callbacks: true,
                host_functions: true,
                subscription_events: false,
                device_copy_2d: false,
                peer_memory: true,
                giant_pages: false,
                host_registration: false,
                reduced_types: OLDER_REDUCTIONS,
                reduce_sum_only: true,
                cross_device_wait: false,
                default_stream_failure_mode: false,
                external_events: false,
                huge_streams: false,
                stream_overflow_check: false,
                shared_buffers: false,
                fabric_handles: false,
            },
            costs: Costs { call: 1_000, task: 5_000, link: 12_000, memory: 60_000 },
            chip: Chip::ASCEND310P,
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
                subscription_events: true,
                device_copy_2d: true,
                peer_memory: true,
                giant_pages: true,
                host_registration: true,
                reduced_types: NEWER_REDUCTIONS,
                reduce_sum_only: false,
                cross_device_wait: true,
                default_stream_failure_mode: true,
                external_events: true,
                huge_streams: true,
                stream_overflow_check: true,
                shared_buffers: false,
                fabric_handles: false,
            },
            costs: Costs { call: 1_000, task: 3_000, link: 24_000, memory: 800_000 },
            chip: Chip::ASCEND910B,
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
                subscription_events: true,
                device_copy_2d: true,
                peer_memory: true,
                giant_pages: true,
                host_registration: true,
                reduced_types: ALL_REDUCTIONS,
                reduce_sum_only: false,
                cross_device_wait: true,
                default_stream_failure_mode: true,
                external_events: true,
                huge_streams: true,
                stream_overflow_check: true,
                shared_buffers: true,
                fabric_handles: true,
            },
            costs: Costs { call: 1_000, task: 3_000, link: 24_000, memory: 400_000 },
            chip: Chip::FULL,
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

    /// The code that a function answers, by its C name, if this chip does not have it.
    ///
    /// ```
    /// use ascendcl_sim::Profile;
    ///
    /// assert_eq!(Profile::ascend310().lacks("aclmdlRICaptureBegin"), Some(207_000));
    /// assert_eq!(Profile::ascend910b().lacks("aclmdlRICaptureBegin"), None);
    /// ```
    pub fn lacks(&self, function: &str) -> Option<aclError> {
        lacking::code(self.name, function)
    }

    /// Whether a function looks at its arguments before it answers what [`Self::lacks`] says.
    pub(crate) fn looks_first(&self, function: &str) -> bool {
        lacking::looks_first(function)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_its_name() {
        for name in Profile::NAMES {
            assert_eq!(Profile::by_name(name).map(|profile| profile.name()), Some(*name));
        }
        assert_eq!(Profile::by_name("Ascend310"), None);
        assert_eq!(Profile::default(), Profile::ascend310());
    }

    #[test]
    fn no_chip_has_more_than_the_one_with_everything() {
        let full = Profile::full();
        for profile in Profile::NAMES.iter().filter_map(|name| Profile::by_name(name)) {
            assert!(profile.streams <= full.streams && profile.events <= full.events, "{}", profile.name);
            assert!(profile.notifies <= full.notifies, "{}", profile.name);
            assert!(profile.report_threads <= full.report_threads, "{}", profile.name);
            assert!(profile.primary_streams < profile.streams, "{}", profile.name);
            let (own, all) = (profile.features, full.features);
            for (has, any) in [
                (own.no_block_callbacks, all.no_block_callbacks),
                (own.host_functions, all.host_functions),
                (own.device_copy_2d, all.device_copy_2d),
                (own.cross_device_wait, all.cross_device_wait),
                (own.default_stream_failure_mode, all.default_stream_failure_mode),
            ] {
                assert!(!has || any, "{}", profile.name);
            }
        }
    }
}
