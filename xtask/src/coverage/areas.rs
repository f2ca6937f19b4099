//! What the functions are about: the sections of the page.

/// A section, and whose functions it has: names, or the beginnings of names with `*` at their end. Of several sections the first that fits is
/// the function's.
pub struct Area {
    pub title: &'static str,
    patterns: &'static [&'static str],
    /// Why functions of it are raw only. Empty where the safe layer is about the area, and the rest of it is rarely needed.
    pub raw: &'static str,
}

pub const AREAS: &[Area] = &[
    Area {
        title: "Start, end, versions",
        patterns: &[
            "aclInit*",
            "aclFinalize*",
            "aclrtGetVersion",
            "aclsys*",
            "aclrtGetRunMode",
            "aclrtGetSocName",
            "aclGetCannAttribute*",
            "aclGetDeviceCapability",
            "aclrtCheckArchCompatibility",
            "aclplatform*",
            "aclAppLog",
        ],
        raw: "",
    },
    Area {
        title: "Errors and exceptions",
        patterns: &[
            "aclGetRecentErrMsg",
            "aclrtGetLastError",
            "aclrtPeekAtLastError",
            "aclrtGetErrorVerbose",
            "aclrtRepairError",
            "aclrtGetMemUceInfo",
            "aclrtMemUceRepair",
            "aclrtSetExceptionInfoCallback",
            "aclrtBinarySetExceptionCallback",
            "aclrtSetDeviceTaskAbortCallback",
            "aclrtDeviceTaskAbort",
            "aclrtGet*FromExceptionInfo",
        ],
        raw: "",
    },
    Area {
        title: "Devices",
        patterns: &[
            "aclrtSetDevice",
            "aclrtResetDevice",
            "aclrtResetDeviceForce",
            "aclrtGetDevice",
            "aclrtGetDeviceCount",
            "aclrtGetDeviceInfo",
            "aclrtGetDeviceCapability",
            "aclrtGetDevicesTopo",
            "aclrtGetDeviceUtilizationRate",
            "aclrtQueryDeviceStatus",
            "aclrtSynchronizeDevice*",
            "aclrtDevice*",
            "aclrtGetLogicDevIdBy*",
            "aclrtGetPhyDevIdByLogicDevId",
            "aclrtGetUserDevIdByLogicDevId",
            "aclrtSetTsDevice",
            "aclrtRegDeviceStateCallback",
            "aclrt*DeviceSatMode",
            "aclrtGetMemInfo",
            "aclrtGetMemUsageInfo",
        ],
        raw: "",
    },
    Area {
        title: "Limits and options",
        patterns: &[
            "aclrt*DeviceResLimit",
            "aclrt*StreamResLimit",
            "aclrt*ResInCurrentThread",
            "aclrt*SysParamOpt",
            "aclrtSetOpWaitTimeout",
            "aclrtSetOpExecuteTimeOut*",
            "aclrtGetOp*",
        ],
        raw: "",
    },
    Area {
        title: "Contexts",
        patterns: &[
            "aclrtCreateContext",
            "aclrtDestroyContext",
            "aclrt*CurrentContext",
            "aclrtCtx*",
            "aclrtGetPrimaryCtxState",
        ],
        raw: "",
    },
    Area {
        title: "Stream-ordered memory and allocators",
        patterns: &["aclrtMemPool*", "aclrtAllocator*"],
        raw: "",
    },
    Area {
        title: "Captured work",
        patterns: &["aclmdlRI*", "aclrtTaskUpdateAsync", "aclrtPersistentTaskClean"],
        raw: "",
    },
    Area {
        title: "Notifies and values",
        patterns: &["aclrt*Notify", "aclrtNotify*", "aclrtCntNotify*", "aclrtGetNotifyId", "aclrtValue*"],
        raw: "",
    },
    Area {
        title: "Callbacks",
        patterns: &[
            "aclrtSubscribeReport",
            "aclrtUnSubscribeReport",
            "aclrtProcessReport",
            "aclrtLaunchCallback",
            "aclrtLaunchHostFunc",
            "aclrt*HostFunc",
        ],
        raw: "",
    },
    Area {
        title: "Events",
        patterns: &[
            "aclrt*Event",
            "aclrt*Event*Flag",
            "aclrt*Event*Status",
            "aclrt*Event*Timeout",
            "aclrtEvent*",
            "aclrtGetEvent*",
            "aclrtIpc*Event*",
        ],
        raw: "",
    },
    Area {
        title: "Labels and branches",
        patterns: &["aclrt*Label*", "aclrtSwitchStream", "aclrtActiveStream"],
        raw: "control flow inside of models that a program builds by itself",
    },
    Area {
        title: "Overflow and saturation",
        patterns: &["aclrt*Overflow*", "aclrt*OverFlow*"],
        raw: "for training",
    },
    Area {
        title: "Streams",
        patterns: &[
            "aclrtCreateStream*",
            "aclrtDestroyStream*",
            "aclrtSynchronizeStream*",
            "aclrtStream*",
            "aclrtSetStream*",
            "aclrtGetStream*",
            "aclrtRegStreamStateCallback",
        ],
        raw: "",
    },
    Area {
        title: "Memory",
        patterns: &[
            "aclrtMalloc",
            "aclrtMallocHost",
            "aclrtMallocHostWithCfg",
            "aclrtMallocAlign32",
            "aclrtMallocCached",
            "aclrtMallocWithCfg",
            "aclrtMallocForTaskScheduler",
            "aclrtMemAllocManaged",
            "aclrtMemManaged*",
            "aclrtFree",
            "aclrtFreeHost*",
            "aclrtFreeWithDevSync",
            "aclrtMemset*",
            "aclrtMemcpy*",
            "aclrtSetMemcpyDesc",
            "aclrtGetMemcpyDescSize",
            "aclrtHost*",
            "aclrtMemFlush",
            "aclrtMemInvalidate",
            "aclrtPointerGetAttributes",
            "aclrtCheckMemType",
            "aclrtMemGetAddressRange",
            "aclrtCmo*",
            "aclrtReduceAsync",
            "aclrtRandomNumAsync",
        ],
        raw: "",
    },
    Area {
        title: "Virtual and shared memory",
        patterns: &[
            "aclrt*Physical",
            "aclrtMapMem",
            "aclrtUnmapMem",
            "aclrtReserveMemAddress*",
            "aclrtReleaseMemAddress",
            "aclrtMem*",
            "aclrtIpcMem*",
        ],
        raw: "for allocators, and for programs of several processes",
    },
    Area {
        title: "Kernels",
        patterns: &[
            "aclrtBinary*",
            "aclrt*Binary",
            "aclrtFunction*",
            "aclrtGetFunction*",
            "aclrtGetFuncBySymbol",
            "aclrtGetSymbol*",
            "aclrtKernelArgs*",
            "aclrtLaunchKernel*",
            "aclrtRegisterCpuFunc",
            "aclrtGetHardwareSyncAddr",
            "aclrtCacheLastTask*",
            "aclrtGetThreadLastTaskId",
            "aclrtProfTrace",
        ],
        raw: "compiled kernels have no types that a safe signature could check",
    },
    Area { title: "Groups", patterns: &["aclrt*Group*"], raw: "scheduling groups of early inference cards" },
    Area { title: "Snapshots", patterns: &["aclrtSnapShot*"], raw: "for checkpoints of whole processes" },
    Area {
        title: "Shared buffers",
        patterns: &["aclrt*Buf", "aclrt*Buf*"],
        raw: "for programs on the NPU's own processor",
    },
    Area {
        title: "Data buffers and datasets",
        patterns: &[
            "acl*DataBuffer*",
            "aclmdl*Dataset*",
            "aclDataTypeSize",
            "aclFloat16ToFloat",
            "aclFloatToFloat16",
        ],
        raw: "",
    },
    Area {
        title: "Tensor descriptions",
        patterns: &["aclCreateTensorDesc", "aclDestroyTensorDesc", "acl*TensorDesc*", "aclSetTensor*"],
        raw: "for single operators and for models with dynamic shapes",
    },
    Area { title: "Model bundles", patterns: &["aclmdlBundle*"], raw: "several models in one file" },
    Area {
        title: "AIPP",
        patterns: &["aclmdl*AIPP*", "aclmdl*Aipp*"],
        raw: "dynamic preprocessing; static AIPP needs no call",
    },
    Area {
        title: "Dumps",
        patterns: &["aclmdlInitDump", "aclmdlSetDump", "aclmdlFinalizeDump", "acldump*", "aclop*DumpArgs"],
        raw: "what operators compute, for debugging a network",
    },
    Area { title: "Models", patterns: &["aclmdl*"], raw: "" },
    Area {
        title: "Profiling",
        patterns: &["aclprof*"],
        raw: "operators of models through a pipe are an interface of their own; `aclprofPush` and `aclprofPop` have one stack for all threads, which \
              ranges do without; `aclprofRangePushEx` is about tensors of operators, for frameworks",
    },
    Area {
        title: "Channels",
        patterns: &["acltdt*Channel*", "acltdt*Tensor", "acltdt*Item*", "acltdt*Dataset*"],
        raw: "feeding training with data",
    },
    Area { title: "Queues", patterns: &["acltdt*"], raw: "between processes and processors of one machine" },
    Area {
        title: "Single operators",
        patterns: &[
            "aclop*",
            "aclGenGraph*",
            "aclSetCompile*",
            "aclGetCompile*",
            "aclRecoverAllHcclTasks",
            "aclblas*",
            "acl*GraphDumpOpt",
        ],
        raw: "networks are compiled as a whole",
    },
    Area {
        title: "Image and video (DVPP)",
        patterns: &["acldvpp*", "aclvdec*", "aclvenc*"],
        raw: "the simulator has none of it, so nothing could be tested",
    },
    Area { title: "Feature vector retrieval", patterns: &["aclfv*"], raw: "search in databases of vectors" },
    Area { title: "Collective communication (HCCL)", patterns: &["Hccl*"], raw: "training on many cards" },
];

/// The section of a function.
pub fn of(function: &str) -> Option<usize> {
    AREAS.iter().position(|area| area.patterns.iter().any(|pattern| matches(pattern, function)))
}

/// Whether a name fits a pattern, in which `*` is any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(start) else { return false };
    rest.is_empty() || (0..=name.len()).any(|at| matches(rest, &name[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, name) in
            [("a", "a"), ("a*", "a"), ("a*", "abc"), ("a*c", "abc"), ("a*c", "acc"), ("a*b*d", "axbxbd")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("a", "ab"), ("a*", "ba"), ("a*c", "ab"), ("a*c", "acb"), ("a*b*d", "abc")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
