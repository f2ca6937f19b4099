//! Functions that a chip does not have, and what they answer there.
//!
//! For Ascend 310P and 910B the table is what the documentation says of each function (2026). Ascend 310 left the documentation
//! before many functions appeared. For those it is a judgement: Ascend 310 lacks what its contemporaries lack, Ascend 310P or Ascend
//! 910. What all of them have, however new, is a matter of the library and works on Ascend 310 too.
//!
//! Not here, though the documentation denies them too: functions that only keep a record on the host (tensor data items, group
//! records), which no chip can lack; and shared buffers and what takes them from a queue, which a host never has on any chip: they answer
//! for themselves.

use ascendcl_sys::{self as sys, aclError};

const A310: u8 = 1;
const A310P: u8 = 2;
const A910B: u8 = 4;
/// What came with Ascend 910B.
const OLDER: u8 = A310 | A310P;
/// What only other chips have.
const ALL: u8 = A310 | A310P | A910B;

/// Functions, sorted, and the chips that lack them.
#[rustfmt::skip]
const LACKING: &[(&str, u8)] = &[
    ("aclRecoverAllHcclTasks", ALL),
    ("acldumpGetPath", OLDER),
    ("aclmdlExecuteAsyncV2", ALL),
    ("aclmdlQueryExeOMDesc", ALL),
    ("aclmdlRIAddCondTask", OLDER),
    ("aclmdlRICaptureBegin", A310),
    ("aclmdlRICaptureEnd", A310),
    ("aclmdlRICaptureGetInfo", A310),
    ("aclmdlRICaptureTaskGrpBegin", A310),
    ("aclmdlRICaptureTaskGrpEnd", A310),
    ("aclmdlRICaptureTaskUpdateBegin", A310),
    ("aclmdlRICaptureTaskUpdateEnd", A310),
    ("aclmdlRICaptureThreadExchangeMode", A310),
    ("aclmdlRICaptureToModelRIBegin", OLDER),
    ("aclmdlRICondHandleCreate", OLDER),
    ("aclmdlRICondHandleGetCondPtr", OLDER),
    ("aclmdlRIDebugJsonPrint", A310),
    ("aclmdlRIDebugPrint", A310),
    ("aclmdlRIExecuteAsync", A310),
    ("aclmdlRIGetId", A310),
    ("aclmdlRIGetStreams", OLDER),
    ("aclmdlRIGetTasksByStream", OLDER),
    ("aclmdlRIKernelTaskGetAttribute", OLDER),
    ("aclmdlRITaskDisable", OLDER),
    ("aclmdlRITaskGetParams", OLDER),
    ("aclmdlRITaskGetSeqId", OLDER),
    ("aclmdlRITaskGetType", OLDER),
    ("aclmdlRITaskSetParams", OLDER),
    ("aclmdlRIUpdate", OLDER),
    ("aclopStartDumpArgs", OLDER),
    ("aclopStopDumpArgs", OLDER),
    ("aclrtCacheLastTaskExtendInfo", A310),
    ("aclrtCacheLastTaskOpInfo", A310),
    ("aclrtCmoAsync", OLDER),
    ("aclrtCmoAsyncWithBarrier", ALL),
    ("aclrtCmoAsyncWithDesc", OLDER),
    ("aclrtCmoGetDescSize", OLDER),
    ("aclrtCmoSetDesc", OLDER),
    ("aclrtCmoWaitBarrier", ALL),
    ("aclrtCntNotifyCreate", ALL),
    ("aclrtCntNotifyDestroy", ALL),
    ("aclrtCntNotifyGetId", ALL),
    ("aclrtCntNotifyRecord", ALL),
    ("aclrtCntNotifyReset", ALL),
    ("aclrtCntNotifyWaitWithTimeout", ALL),
    ("aclrtCreateStreamConfigHandle", ALL),
    ("aclrtCreateStreamV2", ALL),
    ("aclrtDestroyStreamConfigHandle", ALL),
    ("aclrtDeviceGetUuid", OLDER),
    ("aclrtDeviceTaskAbort", OLDER),
    ("aclrtGetAllGroupInfo", A910B),
    ("aclrtGetErrorVerbose", OLDER),
    ("aclrtGetFuncBySymbol", A310),
    ("aclrtGetFunctionSize", A310),
    ("aclrtGetGroupCount", A910B),
    ("aclrtGetHardwareSyncAddr", OLDER),
    ("aclrtGetMemUceInfo", OLDER),
    ("aclrtGetMemcpyDescSize", OLDER),
    ("aclrtGetStreamOverflowSwitch", OLDER),
    ("aclrtGetSymbolAddress", A310),
    ("aclrtGetSymbolSize", A310),
    ("aclrtHostGetDevicePointer", OLDER),
    ("aclrtHostRegister", OLDER),
    ("aclrtHostRegisterV2", OLDER),
    ("aclrtHostUnregister", OLDER),
    ("aclrtIpcGetEventHandle", OLDER),
    ("aclrtIpcMemImportPidInterServer", ALL),
    ("aclrtIpcMemSetAttr", ALL),
    ("aclrtIpcOpenEventHandle", OLDER),
    ("aclrtMemAllocManaged", OLDER),
    ("aclrtMemManagedAdvise", OLDER),
    ("aclrtMemManagedGetAttr", OLDER),
    ("aclrtMemManagedGetAttrs", OLDER),
    ("aclrtMemManagedPrefetchAsync", OLDER),
    ("aclrtMemManagedPrefetchBatchAsync", OLDER),
    ("aclrtMemMapSelectedLink", ALL),
    ("aclrtMemPoolCreate", OLDER),
    ("aclrtMemPoolDestroy", OLDER),
    ("aclrtMemPoolFreeAsync", OLDER),
    ("aclrtMemPoolGetAttr", OLDER),
    ("aclrtMemPoolMallocAsync", OLDER),
    ("aclrtMemPoolSetAttr", OLDER),
    ("aclrtMemPoolTrimTo", OLDER),
    ("aclrtMemUceRepair", OLDER),
    ("aclrtMemcpyAsyncWithDesc", OLDER),
    ("aclrtMemcpyAsyncWithOffset", OLDER),
    ("aclrtMemcpyBatch", OLDER),
    ("aclrtMemcpyBatchAsync", OLDER),
    ("aclrtMemcpyBatchAsyncV2", OLDER),
    ("aclrtMemcpyBatchV2", OLDER),
    ("aclrtMemcpyFromSymbol", A310),
    ("aclrtMemcpyFromSymbolAsync", A310),
    ("aclrtMemcpyToSymbol", A310),
    ("aclrtMemcpyToSymbolAsync", A310),
    ("aclrtMemsetD32", OLDER),
    ("aclrtMemsetD32Async", OLDER),
    ("aclrtNotifyBatchReset", OLDER),
    ("aclrtNotifySetImportPidInterServer", ALL),
    ("aclrtPersistentTaskClean", OLDER),
    ("aclrtProcessHostFunc", ALL),
    ("aclrtRandomNumAsync", OLDER),
    ("aclrtRepairError", OLDER),
    ("aclrtReserveMemAddressNoUCMemory", ALL),
    ("aclrtSetDeviceTaskAbortCallback", OLDER),
    ("aclrtSetGroup", A910B),
    ("aclrtSetMemcpyDesc", OLDER),
    ("aclrtSetOpExecuteTimeOutWithMs", OLDER),
    ("aclrtSetOpWaitTimeout", A310P),
    ("aclrtSetStreamConfigOpt", ALL),
    ("aclrtSetStreamOverflowSwitch", OLDER),
    ("aclrtSnapShotCallbackRegister", OLDER),
    ("aclrtSnapShotCallbackUnregister", OLDER),
    ("aclrtSnapShotProcessBackup", OLDER),
    ("aclrtSnapShotProcessLock", OLDER),
    ("aclrtSnapShotProcessRestore", OLDER),
    ("aclrtSnapShotProcessUnlock", OLDER),
    ("aclrtStreamAbort", OLDER),
    ("aclrtStreamStop", OLDER),
    ("aclrtSubscribeHostFunc", ALL),
    ("aclrtTaskUpdateAsync", A310),
    ("aclrtUnSubscribeHostFunc", ALL),
    ("aclrtValueWait", OLDER),
    ("aclrtValueWrite", OLDER),
    ("acltdtCleanChannel", A310P),
    ("acltdtCreateChannel", A310P | A910B),
    ("acltdtCreateChannelWithCapacity", A310P),
    ("acltdtDestroyChannel", A310P),
    ("acltdtQueryChannelSize", A310P),
    ("acltdtReceiveTensor", A310P),
    ("acltdtSendTensor", A310P),
    ("acltdtStopChannel", A310P),
];

/// Those of them that look at their arguments first and answer for the chip only when nothing is wrong with these: they ask
/// [`crate::check::supported`] themselves. Sorted.
#[rustfmt::skip]
const LOOKING_FIRST: &[&str] = &[
    "aclRecoverAllHcclTasks",
    "aclrtCmoAsyncWithBarrier",
    "aclrtCmoWaitBarrier",
    "aclrtCntNotifyCreate",
    "aclrtCntNotifyDestroy",
    "aclrtCntNotifyGetId",
    "aclrtCntNotifyRecord",
    "aclrtCntNotifyReset",
    "aclrtCntNotifyWaitWithTimeout",
    "aclrtGetAllGroupInfo",
    "aclrtGetGroupCount",
    "aclrtIpcMemImportPidInterServer",
    "aclrtIpcMemSetAttr",
    "aclrtMemMapSelectedLink",
    "aclrtNotifySetImportPidInterServer",
    "aclrtReserveMemAddressNoUCMemory",
];

/// Whether a function looks at its arguments before it notices that the chip does not have it.
pub(super) fn looks_first(function: &str) -> bool {
    LOOKING_FIRST.binary_search(&function).is_ok()
}

/// The code that `function` answers on `profile` if the chip does not have it.
pub(super) fn code(profile: &str, function: &str) -> Option<aclError> {
    let chip = match profile {
        "ascend310" => A310,
        "ascend310p" => A310P,
        "ascend910b" => A910B,
        _ => return None,
    };
    let at = LACKING.binary_search_by_key(&function, |(name, _)| name).ok()?;
    (LACKING[at].1 & chip != 0).then_some(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_functions() {
        assert!(LACKING.is_sorted_by(|a, b| a.0 < b.0));
        for (name, chips) in LACKING {
            assert!(sys::FUNCTIONS.iter().any(|f| f.name.to_str() == Ok(name)), "{name}");
            assert!((1..=ALL).contains(chips), "{name}");
        }
        assert!(LOOKING_FIRST.is_sorted());
        for name in LOOKING_FIRST {
            assert!(LACKING.iter().any(|(lacking, _)| lacking == name), "{name}");
        }
    }

    #[test]
    fn chips_lack_what_the_documentation_says() {
        let lacks = |profile, function| code(profile, function) == Some(207_000);
        // Capture is younger than Ascend 310 and 910, and works on 310P and 910B.
        assert!(lacks("ascend310", "aclmdlRICaptureBegin"));
        assert!(!lacks("ascend310p", "aclmdlRICaptureBegin") && !lacks("ascend910b", "aclmdlRICaptureBegin"));
        // The other way round.
        assert!(!lacks("ascend310", "aclrtSetOpWaitTimeout") && lacks("ascend310p", "aclrtSetOpWaitTimeout"));
        assert!(lacks("ascend310", "aclrtStreamAbort") && !lacks("ascend910b", "aclrtStreamAbort"));
        assert!(lacks("ascend910b", "aclrtCntNotifyCreate") && lacks("ascend310p", "aclrtCntNotifyCreate"));
        assert!(lacks("ascend910b", "aclrtSetGroup") && !lacks("ascend310", "aclrtSetGroup"));
        assert!(!lacks("ascend310", "aclrtGetDeviceInfo"), "new, but of the library");
        // Denied by the documentation, not by the runtime.
        assert!(!lacks("ascend910b", "aclrtSetOpExecuteTimeOutWithMs"));
        for (name, _) in LACKING {
            assert!(!lacks("full", name), "{name}");
        }
    }
}
