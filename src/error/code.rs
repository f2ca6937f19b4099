//! Status codes: their names and what they mean.
//!
//! ACL answers with plain integers, from three layers and over several releases, so that one mistake can have
//! several codes. [`AclCode::kind`] groups them by meaning: match on that, and print [`AclCode::name`].

use core::fmt;

/// A status code of ACL, for example `107002`.
///
/// ```
/// use ascendcl::{AclCode, ErrorKind};
///
/// let code = AclCode(107002);
/// assert_eq!(code.name(), Some("ACL_ERROR_RT_CONTEXT_NULL"));
/// assert_eq!(code.kind(), ErrorKind::NoContext);
/// assert_eq!(code.to_string(), "ACL_ERROR_RT_CONTEXT_NULL (107002)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
#[doc(alias = "aclError")]
pub struct AclCode(pub i32);

/// What a status code means, whichever layer or release it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument was refused.
    InvalidArgument,
    /// A handle is stale or of another kind.
    InvalidHandle,
    /// ACL, or a feature of it, was not initialised.
    NotInitialized,
    /// It was done before: initialised, finalised, subscribed, registered.
    AlreadyDone,
    /// A callback subscription is missing.
    NotSubscribed,
    /// The calling thread has no current context.
    NoContext,
    /// The handle belongs to another context.
    WrongContext,
    /// There is no such device, or the driver cannot open it.
    NoDevice,
    /// The device does not answer any more.
    DeviceLost,
    /// A task failed on the device, or took longer there than it may.
    DeviceFault,
    /// Device memory or pinned host memory is exhausted.
    OutOfMemory,
    /// Streams, events, queue entries or other resources are exhausted.
    OutOfResources,
    /// This chip, driver or release does not support it.
    NotSupported,
    /// The user may not do it.
    PermissionDenied,
    /// A wait of the host ran out of time. It may be repeated.
    Timeout,
    /// A task was aborted on request.
    Aborted,
    /// A file is missing, unreadable or malformed.
    File,
    /// A model cannot be loaded, described or executed.
    Model,
    /// A stream capture is in the way, or missing.
    Capture,
    /// A state, not a fault: end of a sequence, overflow seen, model ended.
    Informational,
    /// The library is the stub that exists for linking only.
    StubLibrary,
    /// An internal error of ACL or the driver.
    Internal,
    /// A code this crate does not know, probably of a newer release.
    Unknown,
}

impl AclCode {
    /// The name of the code in the C headers, if this crate knows it.
    pub fn name(self) -> Option<&'static str> {
        self.entry().map(|&(_, name, _)| name)
    }

    /// What the code means.
    pub fn kind(self) -> ErrorKind {
        self.entry().map_or(ErrorKind::Unknown, |&(_, _, kind)| kind)
    }

    /// Whether the code says that the call was refused before anything was put to work: a mistake of the caller (1xxxxx) or
    /// a shortage (2xxxxx). After any other failure work may have been submitted all the same. Two codes of the first family are no
    /// refusals but what a task met on the device: 107019 and 107020.
    pub(crate) fn is_refusal(self) -> bool {
        (100_000..300_000).contains(&self.0) && self.kind() != ErrorKind::DeviceFault
    }

    /// What to do about it, where that is known.
    pub fn hint(self) -> Option<&'static str> {
        Some(match self.0 {
            100_039 => {
                "the library is the stub for linking; let ASCENDCL_LIBRARY name the real libascendcl.so"
            }
            107_001 => {
                "check the device id against Acl::device_count, ASCEND_RT_VISIBLE_DEVICES, and that the driver is loaded"
            }
            107_002 => "no context is current in this thread; bind one with Context::enter",
            107_019 => {
                "the stream went on without the event it was waiting for: what came after used what was there"
            }
            507_046 | 507_047 => "the work goes on; wait again, or longer",
            107_003 => "use the stream with the context it was created in",
            145_002 => "check the path of the model and that it can be read",
            145_006 => "the file is no model that this backend can load",
            207_001 => "free device or pinned memory, or use a smaller batch",
            207_004 => "check npu-smi, the driver and ASCEND_RT_VISIBLE_DEVICES",
            207_007 => "drop events that are no longer needed: the device has no event id left",
            207_005 | 207_008 => "drop streams that are no longer needed: the device has none left",
            500_002 => "if a card refused a model: was it converted for this SoC (--soc_version of ATC)?",
            507_033 => {
                "check the driver, the user's group (HwHiAiUser) and, in a container, that the device nodes are mapped"
            }
            _ => return None,
        })
    }

    fn entry(self) -> Option<&'static (i32, &'static str, ErrorKind)> {
        CODES.binary_search_by_key(&self.0, |&(code, _, _)| code).ok().map(|at| &CODES[at])
    }
}

impl fmt::Display for AclCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "status {}", self.0),
        }
    }
}

impl fmt::Debug for AclCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! codes {
    ($($code:literal $name:ident $kind:ident,)*) => {
        /// Sorted by code.
        static CODES: &[(i32, &str, ErrorKind)] = &[$(($code, stringify!($name), ErrorKind::$kind),)*];

        #[cfg(test)]
        mod tests {
            use super::*;

            #[test]
            fn names_and_numbers_are_those_of_the_headers() {
                // Published since, in no header that the bindings were made of.
                let newer = ["ACL_ERROR_RT_LINK_TYPE_NOT_SUPPORTED"];
                for (code, name, _) in CODES.iter().filter(|(_, name, _)| !newer.contains(name)) {
                    assert!(ascendcl_sys::STATUS_CODES.contains(&(*code, *name)), "{name} is not {code}");
                }
            }

            #[test]
            fn every_code_of_the_runtime_has_a_meaning() {
                for (code, name) in ascendcl_sys::STATUS_CODES {
                    let known = *code == 0 || CODES.iter().any(|(known, ..)| known == code);
                    assert!(known || !name.starts_with("ACL_ERROR_"), "{name} {code}");
                }
            }

            #[test]
            fn the_table_is_sorted() {
                assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
            }

            #[test]
            fn unknown_codes_are_printed_as_numbers() {
                assert_eq!(AclCode(999_999).to_string(), "status 999999");
                assert_eq!(AclCode(999_999).kind(), ErrorKind::Unknown);
            }
        }
    };
}

codes! {
    100000 ACL_ERROR_INVALID_PARAM InvalidArgument,
    100001 ACL_ERROR_UNINITIALIZE NotInitialized,
    100002 ACL_ERROR_REPEAT_INITIALIZE AlreadyDone,
    100003 ACL_ERROR_INVALID_FILE File,
    100004 ACL_ERROR_WRITE_FILE File,
    100005 ACL_ERROR_INVALID_FILE_SIZE File,
    100006 ACL_ERROR_PARSE_FILE File,
    100007 ACL_ERROR_FILE_MISSING_ATTR File,
    100008 ACL_ERROR_FILE_ATTR_INVALID File,
    100009 ACL_ERROR_INVALID_DUMP_CONFIG File,
    100010 ACL_ERROR_INVALID_PROFILING_CONFIG File,
    100011 ACL_ERROR_INVALID_MODEL_ID Model,
    100012 ACL_ERROR_DESERIALIZE_MODEL Model,
    100013 ACL_ERROR_PARSE_MODEL Model,
    100014 ACL_ERROR_READ_MODEL_FAILURE Model,
    100015 ACL_ERROR_MODEL_SIZE_INVALID Model,
    100016 ACL_ERROR_MODEL_MISSING_ATTR Model,
    100017 ACL_ERROR_MODEL_INPUT_NOT_MATCH Model,
    100018 ACL_ERROR_MODEL_OUTPUT_NOT_MATCH Model,
    100019 ACL_ERROR_MODEL_NOT_DYNAMIC Model,
    100020 ACL_ERROR_OP_TYPE_NOT_MATCH Model,
    100021 ACL_ERROR_OP_INPUT_NOT_MATCH Model,
    100022 ACL_ERROR_OP_OUTPUT_NOT_MATCH Model,
    100023 ACL_ERROR_OP_ATTR_NOT_MATCH Model,
    100024 ACL_ERROR_OP_NOT_FOUND Model,
    100025 ACL_ERROR_OP_LOAD_FAILED Model,
    100026 ACL_ERROR_UNSUPPORTED_DATA_TYPE NotSupported,
    100027 ACL_ERROR_FORMAT_NOT_MATCH Model,
    100028 ACL_ERROR_BIN_SELECTOR_NOT_REGISTERED Model,
    100029 ACL_ERROR_KERNEL_NOT_FOUND Model,
    100030 ACL_ERROR_BIN_SELECTOR_ALREADY_REGISTERED Model,
    100031 ACL_ERROR_KERNEL_ALREADY_REGISTERED Model,
    100032 ACL_ERROR_INVALID_QUEUE_ID InvalidArgument,
    100033 ACL_ERROR_REPEAT_SUBSCRIBE AlreadyDone,
    100034 ACL_ERROR_STREAM_NOT_SUBSCRIBE NotSubscribed,
    100035 ACL_ERROR_THREAD_NOT_SUBSCRIBE NotSubscribed,
    100036 ACL_ERROR_WAIT_CALLBACK_TIMEOUT Timeout,
    100037 ACL_ERROR_REPEAT_FINALIZE AlreadyDone,
    100038 ACL_ERROR_NOT_STATIC_AIPP InvalidArgument,
    100039 ACL_ERROR_COMPILING_STUB_MODE StubLibrary,
    100040 ACL_ERROR_GROUP_NOT_SET InvalidArgument,
    100041 ACL_ERROR_GROUP_NOT_CREATE InvalidArgument,
    100042 ACL_ERROR_PROF_ALREADY_RUN AlreadyDone,
    100043 ACL_ERROR_PROF_NOT_RUN NotInitialized,
    100044 ACL_ERROR_DUMP_ALREADY_RUN AlreadyDone,
    100045 ACL_ERROR_DUMP_NOT_RUN NotInitialized,
    107000 ACL_ERROR_RT_PARAM_INVALID InvalidArgument,
    107001 ACL_ERROR_RT_INVALID_DEVICEID NoDevice,
    107002 ACL_ERROR_RT_CONTEXT_NULL NoContext,
    107003 ACL_ERROR_RT_STREAM_CONTEXT WrongContext,
    107004 ACL_ERROR_RT_MODEL_CONTEXT WrongContext,
    107005 ACL_ERROR_RT_STREAM_MODEL WrongContext,
    107006 ACL_ERROR_RT_EVENT_TIMESTAMP_INVALID InvalidArgument,
    107007 ACL_ERROR_RT_EVENT_TIMESTAMP_REVERSAL InvalidArgument,
    107008 ACL_ERROR_RT_ADDR_UNALIGNED InvalidArgument,
    107009 ACL_ERROR_RT_FILE_OPEN File,
    107010 ACL_ERROR_RT_FILE_WRITE File,
    107011 ACL_ERROR_RT_STREAM_SUBSCRIBE AlreadyDone,
    107012 ACL_ERROR_RT_THREAD_SUBSCRIBE NotSubscribed,
    107013 ACL_ERROR_RT_GROUP_NOT_SET InvalidArgument,
    107014 ACL_ERROR_RT_GROUP_NOT_CREATE InvalidArgument,
    107015 ACL_ERROR_RT_STREAM_NO_CB_REG NotSubscribed,
    107016 ACL_ERROR_RT_INVALID_MEMORY_TYPE InvalidArgument,
    107017 ACL_ERROR_RT_INVALID_HANDLE InvalidHandle,
    107018 ACL_ERROR_RT_INVALID_MALLOC_TYPE InvalidArgument,
    107019 ACL_ERROR_RT_WAIT_TIMEOUT DeviceFault,
    107020 ACL_ERROR_RT_TASK_TIMEOUT DeviceFault,
    107021 ACL_ERROR_RT_SYSPARAMOPT_NOT_SET NotInitialized,
    107022 ACL_ERROR_RT_DEVICE_TASK_ABORT Aborted,
    107023 ACL_ERROR_RT_STREAM_ABORT Aborted,
    107024 ACL_ERROR_RT_CAPTURE_DEPENDENCY Capture,
    107025 ACL_ERROR_RT_STREAM_UNJOINED Capture,
    107026 ACL_ERROR_RT_MODEL_CAPTURED Capture,
    107027 ACL_ERROR_RT_STREAM_CAPTURED Capture,
    107028 ACL_ERROR_RT_EVENT_CAPTURED Capture,
    107029 ACL_ERROR_RT_STREAM_NOT_CAPTURED Capture,
    107030 ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT NotSupported,
    107031 ACL_ERROR_RT_STREAM_CAPTURE_IMPLICIT Capture,
    107032 ACL_ERROR_STREAM_CAPTURE_CONFLICT Capture,
    107033 ACL_ERROR_STREAM_TASK_GROUP_STATUS Capture,
    107034 ACL_ERROR_STREAM_TASK_GROUP_INTR Capture,
    107035 ACL_ERROR_RT_TASK_ABORT_STOP Aborted,
    107036 ACL_ERROR_RT_STREAM_CAPTURE_UNMATCHED Capture,
    107037 ACL_ERROR_RT_MODEL_RUNNING InvalidArgument,
    107038 ACL_ERROR_RT_STREAM_CAPTURE_WRONG_THREAD Capture,
    107039 ACL_ERROR_RT_INSUFFICIENT_INPUT_ARRAY InvalidArgument,
    107040 ACL_ERROR_RT_MODEL_UPDATE_FAILED InvalidArgument,
    107041 ACL_ERROR_RT_CAPTURE_MODE_BLOCK_ASYNC Capture,
    107042 ACL_ERROR_RT_SYMBOL_NOT_FOUND InvalidArgument,
    107043 ACL_ERROR_RT_INVALID_SYMBOL InvalidArgument,
    107044 ACL_ERROR_RT_INVALID_DEVICE_FUNCTION InvalidArgument,
    107045 ACL_ERROR_RT_STREAM_NOT_SUPPORT_OPERA NotSupported,
    107046 ACL_ERROR_RT_SUB_ACLGRAPH_IS_CAPTURING Capture,
    145000 ACL_ERROR_GE_PARAM_INVALID InvalidArgument,
    145001 ACL_ERROR_GE_EXEC_NOT_INIT NotInitialized,
    145002 ACL_ERROR_GE_EXEC_MODEL_PATH_INVALID Model,
    145003 ACL_ERROR_GE_EXEC_MODEL_ID_INVALID Model,
    145006 ACL_ERROR_GE_EXEC_MODEL_DATA_SIZE_INVALID Model,
    145007 ACL_ERROR_GE_EXEC_MODEL_ADDR_INVALID Model,
    145008 ACL_ERROR_GE_EXEC_MODEL_QUEUE_ID_INVALID Model,
    145009 ACL_ERROR_GE_EXEC_LOAD_MODEL_REPEATED Model,
    145011 ACL_ERROR_GE_DYNAMIC_INPUT_ADDR_INVALID Model,
    145012 ACL_ERROR_GE_DYNAMIC_INPUT_LENGTH_INVALID Model,
    145013 ACL_ERROR_GE_DYNAMIC_BATCH_SIZE_INVALID Model,
    145014 ACL_ERROR_GE_AIPP_BATCH_EMPTY Model,
    145015 ACL_ERROR_GE_AIPP_NOT_EXIST Model,
    145016 ACL_ERROR_GE_AIPP_MODE_INVALID Model,
    145017 ACL_ERROR_GE_OP_TASK_TYPE_INVALID Model,
    145018 ACL_ERROR_GE_OP_KERNEL_TYPE_INVALID Model,
    145019 ACL_ERROR_GE_PLGMGR_PATH_INVALID Model,
    145020 ACL_ERROR_GE_FORMAT_INVALID Model,
    145021 ACL_ERROR_GE_SHAPE_INVALID Model,
    145022 ACL_ERROR_GE_DATATYPE_INVALID Model,
    148046 ACL_ERROR_PROF_REPEAT_SUBSCRIBE AlreadyDone,
    148047 ACL_ERROR_PROF_API_CONFLICT InvalidArgument,
    148048 ACL_ERROR_INVALID_MAX_OPQUEUE_NUM_CONFIG File,
    148049 ACL_ERROR_INVALID_OPP_PATH File,
    148050 ACL_ERROR_OP_UNSUPPORTED_DYNAMIC NotSupported,
    148051 ACL_ERROR_RELATIVE_RESOURCE_NOT_CLEARED InvalidArgument,
    148052 ACL_ERROR_UNSUPPORTED_JPEG NotSupported,
    148053 ACL_ERROR_INVALID_BUNDLE_MODEL_ID Model,
    200000 ACL_ERROR_BAD_ALLOC OutOfMemory,
    200001 ACL_ERROR_API_NOT_SUPPORT NotSupported,
    200002 ACL_ERROR_INVALID_DEVICE NoDevice,
    200003 ACL_ERROR_MEMORY_ADDRESS_UNALIGNED InvalidArgument,
    200004 ACL_ERROR_RESOURCE_NOT_MATCH WrongContext,
    200005 ACL_ERROR_INVALID_RESOURCE_HANDLE InvalidHandle,
    200006 ACL_ERROR_FEATURE_UNSUPPORTED NotSupported,
    200007 ACL_ERROR_PROF_MODULES_UNSUPPORTED NotSupported,
    207000 ACL_ERROR_RT_FEATURE_NOT_SUPPORT NotSupported,
    207001 ACL_ERROR_RT_MEMORY_ALLOCATION OutOfMemory,
    207002 ACL_ERROR_RT_MEMORY_FREE InvalidArgument,
    207003 ACL_ERROR_RT_AICORE_OVER_FLOW Informational,
    207004 ACL_ERROR_RT_NO_DEVICE NoDevice,
    207005 ACL_ERROR_RT_RESOURCE_ALLOC_FAIL OutOfResources,
    207006 ACL_ERROR_RT_NO_PERMISSION PermissionDenied,
    207007 ACL_ERROR_RT_NO_EVENT_RESOURCE OutOfResources,
    207008 ACL_ERROR_RT_NO_STREAM_RESOURCE OutOfResources,
    207009 ACL_ERROR_RT_NO_NOTIFY_RESOURCE OutOfResources,
    207010 ACL_ERROR_RT_NO_MODEL_RESOURCE OutOfResources,
    207011 ACL_ERROR_RT_NO_CDQ_RESOURCE OutOfResources,
    207012 ACL_ERROR_RT_OVER_LIMIT OutOfResources,
    207013 ACL_ERROR_RT_QUEUE_EMPTY InvalidArgument,
    207014 ACL_ERROR_RT_QUEUE_FULL OutOfResources,
    207015 ACL_ERROR_RT_REPEATED_INIT AlreadyDone,
    207016 ACL_ERROR_RT_AIVEC_OVER_FLOW Informational,
    207017 ACL_ERROR_RT_OVER_FLOW Informational,
    207018 ACL_ERROR_RT_DEVICE_OOM OutOfMemory,
    207019 ACL_ERROR_RT_FEATURE_NOT_SUPPORT_UPDATE_OP NotSupported,
    207020 ACL_ERROR_RT_TIMEOUT Timeout,
    207021 ACL_ERROR_RT_LINK_TYPE_NOT_SUPPORTED NotSupported,
    245000 ACL_ERROR_GE_MEMORY_ALLOCATION OutOfMemory,
    245001 ACL_ERROR_GE_MEMORY_OPERATE_FAILED OutOfMemory,
    245002 ACL_ERROR_GE_DEVICE_MEMORY_OPERATE_FAILED OutOfMemory,
    300000 ACL_ERROR_STORAGE_OVER_LIMIT OutOfResources,
    345102 ACL_ERROR_GE_SUBHEALTHY InvalidArgument,
    345103 ACL_ERROR_GE_USER_RAISE_EXCEPTION InvalidArgument,
    345104 ACL_ERROR_GE_DATA_NOT_ALIGNED InvalidArgument,
    500000 ACL_ERROR_INTERNAL_ERROR Internal,
    500001 ACL_ERROR_FAILURE Internal,
    500002 ACL_ERROR_GE_FAILURE Internal,
    500003 ACL_ERROR_RT_FAILURE Internal,
    500004 ACL_ERROR_DRV_FAILURE Internal,
    500005 ACL_ERROR_PROFILING_FAILURE Internal,
    507000 ACL_ERROR_RT_INTERNAL_ERROR Internal,
    507001 ACL_ERROR_RT_TS_ERROR DeviceFault,
    507002 ACL_ERROR_RT_STREAM_TASK_FULL OutOfResources,
    507003 ACL_ERROR_RT_STREAM_TASK_EMPTY Internal,
    507004 ACL_ERROR_RT_STREAM_NOT_COMPLETE DeviceFault,
    507005 ACL_ERROR_RT_END_OF_SEQUENCE Informational,
    507006 ACL_ERROR_RT_EVENT_NOT_COMPLETE Internal,
    507007 ACL_ERROR_RT_CONTEXT_RELEASE_ERROR Internal,
    507008 ACL_ERROR_RT_SOC_VERSION NoDevice,
    507009 ACL_ERROR_RT_TASK_TYPE_NOT_SUPPORT NotSupported,
    507010 ACL_ERROR_RT_LOST_HEARTBEAT DeviceLost,
    507011 ACL_ERROR_RT_MODEL_EXECUTE Model,
    507012 ACL_ERROR_RT_REPORT_TIMEOUT Timeout,
    507013 ACL_ERROR_RT_SYS_DMA DeviceFault,
    507014 ACL_ERROR_RT_AICORE_TIMEOUT DeviceFault,
    507015 ACL_ERROR_RT_AICORE_EXCEPTION DeviceFault,
    507016 ACL_ERROR_RT_AICORE_TRAP_EXCEPTION DeviceFault,
    507017 ACL_ERROR_RT_AICPU_TIMEOUT DeviceFault,
    507018 ACL_ERROR_RT_AICPU_EXCEPTION DeviceFault,
    507019 ACL_ERROR_RT_AICPU_DATADUMP_RSP_ERR Internal,
    507020 ACL_ERROR_RT_AICPU_MODEL_RSP_ERR Internal,
    507021 ACL_ERROR_RT_PROFILING_ERROR Internal,
    507022 ACL_ERROR_RT_IPC_ERROR Internal,
    507023 ACL_ERROR_RT_MODEL_ABORT_NORMAL Informational,
    507024 ACL_ERROR_RT_KERNEL_UNREGISTERING Internal,
    507025 ACL_ERROR_RT_RINGBUFFER_NOT_INIT NotInitialized,
    507026 ACL_ERROR_RT_RINGBUFFER_NO_DATA Internal,
    507027 ACL_ERROR_RT_KERNEL_LOOKUP Internal,
    507028 ACL_ERROR_RT_KERNEL_DUPLICATE Internal,
    507029 ACL_ERROR_RT_DEBUG_REGISTER_FAIL Internal,
    507030 ACL_ERROR_RT_DEBUG_UNREGISTER_FAIL Internal,
    507031 ACL_ERROR_RT_LABEL_CONTEXT WrongContext,
    507032 ACL_ERROR_RT_PROGRAM_USE_OUT OutOfResources,
    507033 ACL_ERROR_RT_DEV_SETUP_ERROR NoDevice,
    507034 ACL_ERROR_RT_VECTOR_CORE_TIMEOUT DeviceFault,
    507035 ACL_ERROR_RT_VECTOR_CORE_EXCEPTION DeviceFault,
    507036 ACL_ERROR_RT_VECTOR_CORE_TRAP_EXCEPTION DeviceFault,
    507037 ACL_ERROR_RT_CDQ_BATCH_ABNORMAL Internal,
    507038 ACL_ERROR_RT_DIE_MODE_CHANGE_ERROR Internal,
    507039 ACL_ERROR_RT_DIE_SET_ERROR Internal,
    507040 ACL_ERROR_RT_INVALID_DIEID Internal,
    507041 ACL_ERROR_RT_DIE_MODE_NOT_SET Internal,
    507042 ACL_ERROR_RT_AICORE_TRAP_READ_OVERFLOW DeviceFault,
    507043 ACL_ERROR_RT_AICORE_TRAP_WRITE_OVERFLOW DeviceFault,
    507044 ACL_ERROR_RT_VECTOR_CORE_TRAP_READ_OVERFLOW DeviceFault,
    507045 ACL_ERROR_RT_VECTOR_CORE_TRAP_WRITE_OVERFLOW DeviceFault,
    507046 ACL_ERROR_RT_STREAM_SYNC_TIMEOUT Timeout,
    507047 ACL_ERROR_RT_EVENT_SYNC_TIMEOUT Timeout,
    507048 ACL_ERROR_RT_FFTS_PLUS_TIMEOUT DeviceFault,
    507049 ACL_ERROR_RT_FFTS_PLUS_EXCEPTION DeviceFault,
    507050 ACL_ERROR_RT_FFTS_PLUS_TRAP_EXCEPTION DeviceFault,
    507051 ACL_ERROR_RT_SEND_MSG Internal,
    507052 ACL_ERROR_RT_COPY_DATA Internal,
    507053 ACL_ERROR_RT_DEVICE_MEM_ERROR DeviceLost,
    507054 ACL_ERROR_RT_HBM_MULTI_BIT_ECC_ERROR DeviceLost,
    507055 ACL_ERROR_RT_SUSPECT_DEVICE_MEM_ERROR DeviceLost,
    507056 ACL_ERROR_RT_LINK_ERROR DeviceLost,
    507057 ACL_ERROR_RT_SUSPECT_REMOTE_ERROR DeviceLost,
    507899 ACL_ERROR_RT_DRV_INTERNAL_ERROR Internal,
    507900 ACL_ERROR_RT_AICPU_INTERNAL_ERROR Internal,
    507901 ACL_ERROR_RT_SOCKET_CLOSE DeviceLost,
    507902 ACL_ERROR_RT_AICPU_INFO_LOAD_RSP_ERR Internal,
    507903 ACL_ERROR_RT_STREAM_CAPTURE_INVALIDATED Capture,
    507904 ACL_ERROR_RT_COMM_OP_RETRY_FAIL Internal,
    507905 ACL_ERROR_SNAPSHOT_LOCK_TIMEOUT Timeout,
    507906 ACL_ERROR_SNAPSHOT_LOCK_FAILED Internal,
    507907 ACL_ERROR_SNAPSHOT_UNLOCK_FAILED Internal,
    507908 ACL_ERROR_SNAPSHOT_BACKUP_FAILED Internal,
    507909 ACL_ERROR_SNAPSHOT_RESTORE_FAILED Internal,
    507910 ACL_ERROR_HOST_MEMORY_ALREADY_REGISTERED AlreadyDone,
    507911 ACL_ERROR_HOST_MEMORY_NOT_REGISTERED Internal,
    507912 ACL_ERROR_SNAPSHOT_CALLBACK_FAILED Internal,
    507913 ACL_ERROR_SNAPSHOT_REGISTER_CALLBACK_FAILED Internal,
    507914 ACL_ERROR_RT_L3_PORT_ERROR DeviceLost,
    507915 ACL_ERROR_RT_CCU_TIMEOUT Internal,
    507916 ACL_ERROR_RT_CCU_EXCEPTION Internal,
    545000 ACL_ERROR_GE_INTERNAL_ERROR Model,
    545001 ACL_ERROR_GE_LOAD_MODEL Model,
    545002 ACL_ERROR_GE_EXEC_LOAD_MODEL_PARTITION_FAILED Model,
    545003 ACL_ERROR_GE_EXEC_LOAD_WEIGHT_PARTITION_FAILED Model,
    545004 ACL_ERROR_GE_EXEC_LOAD_TASK_PARTITION_FAILED Model,
    545005 ACL_ERROR_GE_EXEC_LOAD_KERNEL_PARTITION_FAILED Model,
    545006 ACL_ERROR_GE_EXEC_RELEASE_MODEL_DATA Model,
    545007 ACL_ERROR_GE_COMMAND_HANDLE Model,
    545008 ACL_ERROR_GE_GET_TENSOR_INFO Model,
    545009 ACL_ERROR_GE_UNLOAD_MODEL Model,
    545601 ACL_ERROR_GE_MODEL_EXECUTE_TIMEOUT DeviceFault,
    545602 ACL_ERROR_GE_REDEPLOYING Model,
}
