//! [`ProfilerConfig`]: what is profiled, and where the results go.

use crate::Device;
use ascendcl_sys as sys;
use std::path::PathBuf;

bitflags::bitflags! {
    /// What a profile has in it. Not every chip measures everything; [`Profiler::start`](crate::Profiler::start) says so.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    #[doc(alias = "dataTypeConfig")]
    pub struct ProfilerData: u64 {
        /// Calls of C functions of ACL.
        #[doc(alias = "ACL_PROF_ACL_API")]
        const ACL_API = sys::ACL_PROF_ACL_API;
        /// When tasks began and ended on the device, in all detail.
        #[doc(alias = "ACL_PROF_TASK_TIME")]
        const TASK_TIME = sys::ACL_PROF_TASK_TIME;
        /// When tasks began and ended on the device; costs less than [`TASK_TIME`](Self::TASK_TIME).
        #[doc(alias = "ACL_PROF_TASK_TIME_L0")]
        const TASK_TIME_L0 = sys::ACL_PROF_TASK_TIME_L0;
        /// Work of the AI CPU.
        #[doc(alias = "ACL_PROF_AICPU")]
        const AICPU = sys::ACL_PROF_AICPU;
        /// Use of the L2 cache.
        #[doc(alias = "ACL_PROF_L2CACHE")]
        const L2_CACHE = sys::ACL_PROF_L2CACHE;
        /// Communication between devices.
        #[doc(alias = "ACL_PROF_HCCL_TRACE")]
        const HCCL_TRACE = sys::ACL_PROF_HCCL_TRACE;
        /// Iterations of training.
        #[doc(alias = "ACL_PROF_TRAINING_TRACE")]
        const TRAINING_TRACE = sys::ACL_PROF_TRAINING_TRACE;
        /// The program's own [marks](crate::Profiler::mark) and [ranges](crate::Profiler::range).
        #[doc(alias = "ACL_PROF_MSPROFTX")]
        const MARKS = sys::ACL_PROF_MSPROFTX;
        /// Calls inside of CANN, below those of ACL.
        #[doc(alias = "ACL_PROF_RUNTIME_API")]
        const RUNTIME_API = sys::ACL_PROF_RUNTIME_API;
        /// Memory that operators use.
        #[doc(alias = "ACL_PROF_TASK_MEMORY")]
        const TASK_MEMORY = sys::ACL_PROF_TASK_MEMORY;
        /// Attributes of operators.
        #[doc(alias = "ACL_PROF_OP_ATTR")]
        const OP_ATTRIBUTES = sys::ACL_PROF_OP_ATTR;
    }
}

/// What the counters of the AI cores count: one of these at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "aclprofAicoreMetrics")]
pub enum AicoreMetrics {
    /// Shares of kinds of arithmetic.
    ArithmeticUtilization,
    /// Shares of compute units and of moving data.
    PipeUtilization,
    /// Bandwidth of external memory.
    MemoryBandwidth,
    /// Bandwidth of internal memory.
    L0Bandwidth,
    /// Shares of waiting for resources.
    ResourceConflictRatio,
    /// Bandwidth of the unified buffer.
    MemoryUb,
    /// Hits of the L2 cache. Not on Ascend 310 and 310P.
    L2Cache,
    /// Shares of compute units, by execution. Not on Ascend 310 and 310P.
    PipeExecuteUtilization,
    /// Accesses of memory. Not on Ascend 310 and 310P.
    MemoryAccess,
}

impl AicoreMetrics {
    fn raw(self) -> sys::aclprofAicoreMetrics {
        match self {
            AicoreMetrics::ArithmeticUtilization => sys::ACL_AICORE_ARITHMETIC_UTILIZATION,
            AicoreMetrics::PipeUtilization => sys::ACL_AICORE_PIPE_UTILIZATION,
            AicoreMetrics::MemoryBandwidth => sys::ACL_AICORE_MEMORY_BANDWIDTH,
            AicoreMetrics::L0Bandwidth => sys::ACL_AICORE_L0B_AND_WIDTH,
            AicoreMetrics::ResourceConflictRatio => sys::ACL_AICORE_RESOURCE_CONFLICT_RATIO,
            AicoreMetrics::MemoryUb => sys::ACL_AICORE_MEMORY_UB,
            AicoreMetrics::L2Cache => sys::ACL_AICORE_L2_CACHE,
            AicoreMetrics::PipeExecuteUtilization => sys::ACL_AICORE_PIPE_EXECUTE_UTILIZATION,
            AicoreMetrics::MemoryAccess => sys::ACL_AICORE_MEMORY_ACCESS,
        }
    }
}

/// What to profile, and where the results go.
#[derive(Debug, Clone)]
#[must_use = "it does nothing before `Profiler::start`"]
#[doc(alias = "aclprofConfig")]
pub struct ProfilerConfig {
    pub(super) devices: Vec<Device>,
    pub(super) folder: PathBuf,
    data: ProfilerData,
    metrics: Option<AicoreMetrics>,
}

impl ProfilerConfig {
    /// Calls of ACL, times of tasks, and the program's own marks and ranges, of one device. Results go into a new folder in `folder`, which is made if
    /// it is not there.
    pub fn new(device: &Device, folder: impl Into<PathBuf>) -> ProfilerConfig {
        let data = ProfilerData::ACL_API | ProfilerData::TASK_TIME | ProfilerData::MARKS;
        ProfilerConfig { devices: vec![device.clone()], folder: folder.into(), data, metrics: None }
    }

    /// Another device, too.
    pub fn device(mut self, device: &Device) -> ProfilerConfig {
        if !self.devices.contains(device) {
            self.devices.push(device.clone());
        }
        self
    }

    /// Collects this, instead of what [`new`](Self::new) says.
    pub fn collect(mut self, data: ProfilerData) -> ProfilerConfig {
        self.data = data;
        self
    }

    /// Collects counters of the AI cores, too.
    pub fn aicore_metrics(mut self, metrics: AicoreMetrics) -> ProfilerConfig {
        self.metrics = Some(metrics);
        self
    }

    pub(super) fn has_marks(&self) -> bool {
        self.data.contains(ProfilerData::MARKS)
    }

    /// What the C functions take.
    pub(super) fn raw(&self) -> (Vec<u32>, sys::aclprofAicoreMetrics, u64) {
        let devices = self.devices.iter().map(|device| device.id().cast_unsigned()).collect();
        let counters = self.metrics.map_or(0, |_| sys::ACL_PROF_AICORE_METRICS);
        let metrics = self.metrics.map_or(sys::ACL_AICORE_NONE, AicoreMetrics::raw);
        (devices, metrics, self.data.bits() | counters)
    }
}
