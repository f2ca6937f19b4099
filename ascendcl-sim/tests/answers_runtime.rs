//! What the runtime answers, one row a case: without a context, for NULL, for values out of range, for handles that are stale, of
//! another kind, of another context or device, and when all is well. Rows are `code = function(arguments)`.

mod common;

use core::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::AtomicU64;

use common::*;

/// Compares rows and tells all that differ at once.
#[derive(Default)]
struct Rows {
    differ: Vec<String>,
    count: usize,
}

impl Rows {
    fn row(&mut self, line: u32, what: &str, expected: impl Into<i64>, found: impl Into<i64>) {
        self.count += 1;
        let (expected, found) = (expected.into(), found.into());
        if expected != found {
            self.differ.push(format!("line {line}: {found} instead of {expected}: {what}"));
        }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(
                self.differ.is_empty(),
                "{} of {} rows:\n{}",
                self.differ.len(),
                self.count,
                self.differ.join("\n")
            );
        }
    }
}

macro_rules! rows {
    ($rows:ident: $($expected:literal = $function:ident($($argument:expr),* $(,)?);)*) => {
        $($rows.row(line!(), stringify!($function($($argument),*)), $expected, acl!($function $(, $argument)*));)*
    };
}

/// Values that outputs have to have.
macro_rules! values {
    ($rows:ident: $($expected:expr, $found:expr;)*) => {
        $($rows.row(line!(), stringify!($found), $expected, $found);)*
    };
}

fn card_910b() -> Session {
    session(Config::new().profile(Profile::ascend910b()).devices(2))
}

/// Memory that is no object of the runtime's.
fn zeroed() -> *mut c_void {
    static ZEROED: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];
    ZEROED.as_ptr().cast_mut().cast()
}

unsafe extern "C" fn nothing(_: *mut c_void) {}

#[test]
fn without_a_context() {
    let _session = card_910b();
    let mut rows = Rows::default();
    let (mut handle, mut number, mut wide, mut id) = (null_mut(), 7_u32, 7_i64, 7_i32);
    let (mut long, mut status) = (7_u64, sys::ACL_STREAM_STATUS_RESERVED);
    let mut attribute = sys::aclrtStreamAttrValue { failureMode: 0 };
    let mut mode = sys::ACL_MODEL_RI_CAPTURE_MODE_GLOBAL;
    rows! { rows:
        0 = aclrtGetDeviceCount(&mut number);
        107002 = aclrtGetDevice(&mut id);
        107002 = aclrtGetCurrentContext(&mut handle);
        107002 = aclrtCtxGetCurrentDefaultStream(&mut handle);
        107002 = aclrtCtxGetFloatOverflowAddr(&mut handle);
        107002 = aclrtSynchronizeDevice();
        107002 = aclrtSynchronizeDeviceWithTimeout(-1);
        107000 = aclrtSynchronizeDeviceWithTimeout(0);
        107000 = aclrtSynchronizeDeviceWithTimeout(-2);
        507007 = aclrtResetDevice(0);
        107001 = aclrtResetDevice(2);
        107001 = aclrtResetDevice(-1);
        107001 = aclrtResetDeviceForce(-1);
        107001 = aclrtResetDeviceForce(2);
        107001 = aclrtSetDevice(-1);
        107001 = aclrtSetDevice(2);
        107001 = aclrtSetDevice(99);
        0 = aclrtSetTsDevice(sys::ACL_TS_ID_AICORE);
        100000 = aclrtSetTsDevice(sys::ACL_TS_ID_RESERVED);
        107002 = aclrtCreateStream(&mut handle);
        107002 = aclrtCreateStreamWithConfig(&mut handle, 0, sys::ACL_STREAM_FAST_LAUNCH);
        107002 = aclrtSynchronizeStream(null_mut());
        107002 = aclrtSynchronizeStreamWithTimeout(null_mut(), -1);
        107000 = aclrtSynchronizeStreamWithTimeout(null_mut(), 0);
        107000 = aclrtSynchronizeStreamWithTimeout(null_mut(), -2);
        107002 = aclrtStreamQuery(null_mut(), &mut status);
        107002 = aclrtStreamGetPriority(null_mut(), &mut number);
        107002 = aclrtStreamGetFlags(null_mut(), &mut number);
        107002 = aclrtStreamGetId(null_mut(), &mut id);
        107002 = aclrtGetStreamAvailableNum(&mut number);
        107000 = aclrtSetStreamFailureMode(null_mut(), 1);
        107002 = aclrtGetStreamOverflowSwitch(null_mut(), &mut number);
        107002 = aclrtSetStreamOverflowSwitch(null_mut(), 1);
        100000 = aclrtSetStreamOverflowSwitch(null_mut(), 2);
        107000 = aclrtStreamAbort(null_mut());
        107000 = aclrtStreamStop(null_mut());
        107000 = aclrtSetStreamAttribute(null_mut(), sys::ACL_STREAM_ATTR_FAILURE_MODE, &mut attribute);
        107002 = aclrtSetStreamAttribute(null_mut(), sys::ACL_STREAM_ATTR_FLOAT_OVERFLOW_CHECK, &mut attribute);
        107002 = aclrtSetStreamAttribute(null_mut(), sys::ACL_STREAM_ATTR_USER_CUSTOM_TAG, &mut attribute);
        107000 = aclrtSetStreamAttribute(null_mut(), sys::ACL_STREAM_ATTR_CACHE_OP_INFO, &mut attribute);
        107000 = aclrtSetStreamAttribute(null_mut(), sys::ACL_STREAM_ATTR_PRIORITY, &mut attribute);
        107000 = aclrtSetStreamAttribute(null_mut(), sys::aclrtStreamAttr(99), &mut attribute);
        107000 = aclrtGetStreamAttribute(null_mut(), sys::ACL_STREAM_ATTR_FAILURE_MODE, &mut attribute);
        107002 = aclrtGetStreamAttribute(null_mut(), sys::ACL_STREAM_ATTR_FLOAT_OVERFLOW_CHECK, &mut attribute);
        107000 = aclrtGetStreamAttribute(null_mut(), sys::ACL_STREAM_ATTR_CACHE_OP_INFO, &mut attribute);
        107000 = aclrtGetStreamAttribute(null_mut(), sys::ACL_STREAM_ATTR_PRIORITY, &mut attribute);
        107002 = aclrtSetStreamResLimit(null_mut(), sys::ACL_RT_DEV_RES_CUBE_CORE, 1);
        107000 = aclrtSetStreamResLimit(null_mut(), sys::aclrtDevResLimitType(9), 1);
        107002 = aclrtGetStreamResLimit(null_mut(), sys::ACL_RT_DEV_RES_CUBE_CORE, &mut number);
        107002 = aclrtResetStreamResLimit(null_mut());
        107002 = aclrtUseStreamResInCurrentThread(null_mut());
        107002 = aclrtUnuseStreamResInCurrentThread(null_mut());
        107002 = aclrtGetResInCurrentThread(sys::ACL_RT_DEV_RES_CUBE_CORE, &mut number);
        507033 = aclrtGetDeviceResLimit(0, sys::ACL_RT_DEV_RES_CUBE_CORE, &mut number);
        507033 = aclrtSetDeviceResLimit(0, sys::ACL_RT_DEV_RES_CUBE_CORE, 1);
        507033 = aclrtResetDeviceResLimit(0);
        107001 = aclrtGetDeviceResLimit(-1, sys::ACL_RT_DEV_RES_CUBE_CORE, &mut number);
        107001 = aclrtGetDeviceResLimit(2, sys::ACL_RT_DEV_RES_CUBE_CORE, &mut number);
        107002 = aclrtCreateEvent(&mut handle);
        107002 = aclrtCreateEventWithFlag(&mut handle, sys::ACL_EVENT_SYNC);
        107002 = aclrtCreateEventExWithFlag(&mut handle, sys::ACL_EVENT_SYNC);
        107000 = aclrtCreateEventWithFlag(&mut handle, 0);
        107000 = aclrtCreateEventExWithFlag(&mut handle, 0x80);
        107002 = aclrtGetEventAvailNum(&mut number);
        107002 = aclrtCreateNotify(&mut handle, 0);
        107000 = aclrtCreateNotify(&mut handle, 8);
        107002 = aclrtNotifyImportByKey(&mut handle, c"key".as_ptr(), 0);
        107002 = aclrtCntNotifyCreate(&mut handle, 0);
        107000 = aclrtCntNotifyCreate(&mut handle, 1);
        107000 = aclrtCntNotifyDestroy(null_mut());
        107002 = aclrtCreateLabel(&mut handle);
        107002 = aclrtSubscribeReport(1, null_mut());
        107002 = aclrtUnSubscribeReport(1, null_mut());
        107002 = aclrtLaunchCallback(Some(nothing), null_mut(), sys::ACL_CALLBACK_NO_BLOCK, null_mut());
        107000 = aclrtLaunchCallback(None, null_mut(), sys::ACL_CALLBACK_NO_BLOCK, null_mut());
        100000 = aclrtLaunchCallback(None, null_mut(), sys::aclrtCallbackBlockType(2), null_mut());
        107002 = aclrtLaunchHostFunc(null_mut(), Some(nothing), null_mut());
        107000 = aclrtLaunchHostFunc(null_mut(), None, null_mut());
        107012 = aclrtProcessReport(1);
        100000 = aclrtProcessReport(0);
        100000 = aclrtProcessReport(-2);
        0 = aclrtSetOpWaitTimeout(5);
        0 = aclrtSetOpExecuteTimeOut(5);
        0 = aclrtSetOpExecuteTimeOutWithMs(5000);
        107002 = aclrtSetOpExecuteTimeOutV2(5_000_000, &mut long);
        107002 = aclrtGetOpTimeOutInterval(&mut long);
        107002 = aclrtCtxSetSysParamOpt(sys::ACL_OPT_DETERMINISTIC, 1);
        107002 = aclrtCtxGetSysParamOpt(sys::ACL_OPT_DETERMINISTIC, &mut wide);
        0 = aclrtSetSysParamOpt(sys::ACL_OPT_DETERMINISTIC, 0);
        0 = aclrtGetSysParamOpt(sys::ACL_OPT_DETERMINISTIC, &mut wide);
        107002 = aclmdlRIBuildBegin(&mut handle, 0);
        107000 = aclmdlRIBuildBegin(&mut handle, 1);
        107002 = aclmdlRICaptureThreadExchangeMode(&mut mode);
        107001 = aclrtCreateContext(&mut handle, -1);
        107001 = aclrtCreateContext(&mut handle, 2);
        207000 = aclrtGetGroupCount(&mut number);
        100000 = aclrtGetGroupCount(null_mut());
        100000 = aclrtGetAllGroupInfo(null_mut());
        207000 = aclrtSetGroup(0);
        107002 = aclrtDeviceEnablePeerAccess(1, 0);
        200006 = aclrtDeviceEnablePeerAccess(1, 1);
        107002 = aclrtDeviceDisablePeerAccess(1);
        0 = aclrtDeviceCanAccessPeer(&mut id, 0, 1);
        107000 = aclrtDeviceCanAccessPeer(null_mut(), 0, 1);
        100000 = aclrtDeviceCanAccessPeer(&mut id, 1, 1);
        0 = aclrtDevicePeerAccessStatus(0, 1, &mut id);
        107000 = aclrtResetOverflowStatus(null_mut());
    }
    values! { rows: 0, handle.addr() as i64; 0, wide; }
}

/// What `aclrtPeekAtLastError` and `aclrtGetLastError` remember, and what not.
#[test]
fn last_errors() {
    let _session = card_910b();
    let mut rows = Rows::default();
    let (mut handle, mut id, mut wide) = (null_mut(), 0_i32, 0_i64);
    let thread = sys::ACL_RT_THREAD_LEVEL;
    rows! { rows:
        0 = aclrtGetLastError(thread);
        100000 = aclrtGetLastError(sys::aclrtLastErrLevel(1));
        100000 = aclrtPeekAtLastError(sys::aclrtLastErrLevel(7));
        107002 = aclrtGetDevice(&mut id);
        107002 = aclrtGetCurrentContext(&mut handle);
        100000 = aclrtGetDevice(null_mut());
        107001 = aclrtResetDeviceForce(7);
        0 = aclrtPeekAtLastError(thread);
        107000 = aclrtSynchronizeStreamWithTimeout(null_mut(), -2);
        107000 = aclrtSynchronizeDeviceWithTimeout(-2);
        107000 = aclrtStreamWaitEventWithTimeout(null_mut(), null_mut(), -1);
        107000 = aclmdlRIBuildBegin(&mut handle, 1);
        0 = aclrtPeekAtLastError(thread);
        107002 = aclrtCreateStream(&mut handle);
        107002 = aclrtPeekAtLastError(thread);
        107002 = aclrtGetLastError(thread);
        0 = aclrtGetLastError(thread);
        507007 = aclrtResetDevice(0);
        507007 = aclrtGetLastError(thread);
        0 = aclrtSetDevice(0);
    }
    let event = extended(sys::ACL_EVENT_SYNC);
    let mut status = sys::ACL_EVENT_STATUS_COMPLETE;
    rows! { rows:
        107021 = aclrtCtxGetSysParamOpt(sys::ACL_OPT_DETERMINISTIC, &mut wide);
        207000 = aclrtQueryEvent(event, &mut status);
        207000 = aclrtResetEvent(event, null_mut());
        0 = aclrtPeekAtLastError(thread);
        107000 = aclrtSynchronizeStreamWithTimeout(null_mut(), 0);
        107000 = aclrtGetLastError(thread);
        207000 = aclrtSetGroup(0);
        207000 = aclrtGetLastError(thread);
        0 = aclrtDestroyEvent(event);
    }
}

#[test]
fn null_with_a_context() {
    let _session = card_910b();
    let mut rows = Rows::default();
    ok!(aclrtSetDevice, 0);
    let (stream, event) = (stream(), flagged(sys::ACL_EVENT_SYNC));
    let (mut handle, mut number, mut id) = (null_mut(), 7_u32, 7_i32);
    let mut pids = [1];
    let mut record = sys::aclrtCntNotifyRecordInfo { mode: sys::ACL_RT_CNT_NOTIFY_RECORD_ADD_MODE, value: 1 };
    let mut label = null_mut();
    let mut notify = null_mut();
    ok!(aclrtCreateNotify, &mut notify, 0);
    rows! { rows:
        100000 = aclrtGetDeviceCount(null_mut());
        100000 = aclrtGetDevice(null_mut());
        100000 = aclrtGetRunMode(null_mut());
        100000 = aclrtGetDeviceUtilizationRate(0, null_mut());
        100000 = aclrtGetDeviceSatMode(null_mut());
        100000 = aclrtQueryDeviceStatus(0, null_mut());
        107001 = aclrtQueryDeviceStatus(2, &mut sys::aclrtDeviceStatus(0));
        100000 = aclrtGetDeviceInfo(0, sys::ACL_DEV_ATTR_AICORE_CORE_NUM, null_mut());
        0 = aclrtDeviceGetStreamPriorityRange(null_mut(), null_mut());
        100000 = aclrtGetDeviceCapability(0, sys::ACL_FEATURE_SYSTEM_MEMQ_EVENT_CROSS_DEV, null_mut());
        107000 = aclrtDeviceGetHostAtomicCapabilities(null_mut(), null(), 1, 0);
        100000 = aclrtDeviceGetUuid(0, null_mut());
        100000 = aclrtGetDevicesTopo(0, 1, null_mut());
        100000 = aclrtGetLogicDevIdByUserDevId(0, null_mut());
        107000 = aclrtGetLogicDevIdByUserDevId(-1, &mut id);
        107001 = aclrtGetLogicDevIdByUserDevId(2, &mut id);
        100000 = aclrtGetUserDevIdByLogicDevId(0, null_mut());
        107001 = aclrtGetUserDevIdByLogicDevId(2, &mut id);
        107000 = aclrtGetUserDevIdByLogicDevId(-1, &mut id);
        100000 = aclrtGetLogicDevIdByPhyDevId(0, null_mut());
        100000 = aclrtGetPhyDevIdByLogicDevId(0, null_mut());
        107000 = aclrtCheckArchCompatibility(null(), &mut id);
        107000 = aclrtCheckArchCompatibility(c"Ascend910B1".as_ptr(), null_mut());
        107000 = aclrtCheckArchCompatibility(c"".as_ptr(), &mut id);
        107000 = aclrtCheckArchCompatibility(c"Ascend77".as_ptr(), &mut id);
        0 = aclrtCheckArchCompatibility(c"Ascend910B1".as_ptr(), &mut id);
        100000 = aclrtGetDeviceResLimit(0, sys::ACL_RT_DEV_RES_CUBE_CORE, null_mut());
        107000 = aclrtGetDeviceResLimit(0, sys::aclrtDevResLimitType(2), &mut number);
        107000 = aclrtSetDeviceResLimit(0, sys::aclrtDevResLimitType(2), 1);
        107000 = aclrtSetDeviceResLimit(0, sys::ACL_RT_DEV_RES_CUBE_CORE, 1000);
        100000 = aclrtGetStreamResLimit(stream, sys::ACL_RT_DEV_RES_CUBE_CORE, null_mut());
        100000 = aclrtGetResInCurrentThread(sys::ACL_RT_DEV_RES_CUBE_CORE, null_mut());
        107000 = aclrtGetResInCurrentThread(sys::aclrtDevResLimitType(2), &mut number);
        100000 = aclrtCreateContext(null_mut(), 0);
        100000 = aclrtDestroyContext(null_mut());
        100000 = aclrtSetCurrentContext(null_mut());
        100000 = aclrtGetCurrentContext(null_mut());
        100000 = aclrtCtxGetCurrentDefaultStream(null_mut());
        107000 = aclrtCtxGetFloatOverflowAddr(null_mut());
        100000 = aclrtGetPrimaryCtxState(0, null_mut(), null_mut());
        100000 = aclrtGetPrimaryCtxState(0, &mut number, &mut id);
        107001 = aclrtGetPrimaryCtxState(2, null_mut(), &mut id);
        107001 = aclrtGetPrimaryCtxState(-1, null_mut(), &mut id);
        100000 = aclrtCtxGetSysParamOpt(sys::ACL_OPT_DETERMINISTIC, null_mut());
        100000 = aclrtCtxSetSysParamOpt(sys::aclSysParamOpt(3), 0);
        100000 = aclrtSetSysParamOpt(sys::aclSysParamOpt(4), 0);
        107000 = aclrtSetSysParamOpt(sys::ACL_OPT_DETERMINISTIC, 4);
        107000 = aclrtSetSysParamOpt(sys::ACL_OPT_ENABLE_DEBUG_KERNEL, 2);
        107000 = aclrtCtxSetSysParamOpt(sys::ACL_OPT_ENABLE_DEBUG_KERNEL, -1);
        0 = aclrtCtxSetSysParamOpt(sys::ACL_OPT_DETERMINISTIC, 3);
        0 = aclrtSetSysParamOpt(sys::aclSysParamOpt(3), 1);
        100000 = aclrtCreateStream(null_mut());
        100000 = aclrtCreateStreamWithConfig(null_mut(), 0, 0);
        100000 = aclrtDestroyStream(null_mut());
        100000 = aclrtDestroyStreamForce(null_mut());
        100000 = aclrtStreamQuery(stream, null_mut());
        100000 = aclrtStreamGetPriority(stream, null_mut());
        100000 = aclrtStreamGetFlags(stream, null_mut());
        100000 = aclrtStreamGetId(stream, null_mut());
        100000 = aclrtGetStreamAvailableNum(null_mut());
        100000 = aclrtGetStreamOverflowSwitch(stream, null_mut());
        100000 = aclrtSetStreamAttribute(stream, sys::ACL_STREAM_ATTR_PRIORITY, null_mut());
        100000 = aclrtGetStreamAttribute(stream, sys::ACL_STREAM_ATTR_PRIORITY, null_mut());
        107000 = aclrtStreamStop(null_mut());
        100000 = aclrtActiveStream(null_mut(), stream);
        100000 = aclrtActiveStream(stream, null_mut());
        100000 = aclrtCreateEvent(null_mut());
        100000 = aclrtCreateEventWithFlag(null_mut(), 1);
        100000 = aclrtCreateEventExWithFlag(null_mut(), 1);
        107000 = aclrtCreateEventWithFlag(&mut handle, 0x40);
        107000 = aclrtCreateEventWithFlag(&mut handle, 0x21);
        107000 = aclrtCreateEventExWithFlag(&mut handle, 0x20);
        107000 = aclrtCreateEventExWithFlag(&mut handle, 0x41);
        100000 = aclrtDestroyEvent(null_mut());
        100000 = aclrtRecordEvent(null_mut(), stream);
        100000 = aclrtResetEvent(null_mut(), stream);
        100000 = aclrtQueryEvent(null_mut(), null_mut());
        100000 = aclrtQueryEvent(event, null_mut());
        100000 = aclrtQueryEventStatus(event, null_mut());
        100000 = aclrtQueryEventWaitStatus(event, null_mut());
        100000 = aclrtSynchronizeEvent(null_mut());
        107000 = aclrtSynchronizeEventWithTimeout(null_mut(), -2);
        100000 = aclrtSynchronizeEventWithTimeout(null_mut(), 0);
        107000 = aclrtSynchronizeEventWithTimeout(event, 0);
        100000 = aclrtEventElapsedTime(null_mut(), event, event);
        100000 = aclrtEventElapsedTime(&mut 0.0, null_mut(), event);
        100000 = aclrtEventElapsedTime(&mut 0.0, event, null_mut());
        100000 = aclrtEventGetTimestamp(event, null_mut());
        100000 = aclrtEventGetTimestamp(null_mut(), &mut 0);
        100000 = aclrtGetEventId(null_mut(), &mut number);
        100000 = aclrtGetEventId(event, null_mut());
        100000 = aclrtGetEventAvailNum(null_mut());
        100000 = aclrtStreamWaitEvent(stream, null_mut());
        107000 = aclrtStreamWaitEventWithTimeout(stream, null_mut(), 1);
        107000 = aclrtStreamWaitEventWithTimeout(stream, event, -1);
        100000 = aclrtIpcGetEventHandle(event, null_mut());
        100000 = aclrtCreateNotify(null_mut(), 0);
        100000 = aclrtDestroyNotify(null_mut());
        100000 = aclrtRecordNotify(null_mut(), stream);
        100000 = aclrtWaitAndResetNotify(null_mut(), stream, 0);
        100000 = aclrtGetNotifyId(null_mut(), &mut number);
        100000 = aclrtGetNotifyId(notify, null_mut());
        100000 = aclrtNotifyBatchReset(null_mut(), 1);
        107000 = aclrtNotifyBatchReset(&mut notify, 0);
        100000 = aclrtNotifyGetExportKey(notify, null_mut(), 65, 0);
        100000 = aclrtNotifyImportByKey(null_mut(), c"key".as_ptr(), 0);
        100000 = aclrtNotifyImportByKey(&mut handle, null(), 0);
        100000 = aclrtNotifySetImportPid(notify, null_mut(), 1);
        107000 = aclrtNotifySetImportPid(notify, pids.as_mut_ptr(), 0);
        107000 = aclrtNotifySetImportPidInterServer(notify, null_mut(), 1);
        107000 = aclrtNotifySetImportPidInterServer(null_mut(), null_mut(), 1);
        107000 = aclrtCntNotifyCreate(null_mut(), 0);
        107000 = aclrtCntNotifyCreate(null_mut(), 1);
        207000 = aclrtCntNotifyCreate(&mut handle, 0);
        100000 = aclrtCntNotifyRecord(null_mut(), stream, null_mut());
        107000 = aclrtCntNotifyRecord(null_mut(), stream, &mut record);
        107017 = aclrtCntNotifyRecord(stream, stream, &mut record);
        100000 = aclrtCntNotifyWaitWithTimeout(null_mut(), stream, null_mut());
        107000 = aclrtCntNotifyReset(null_mut(), stream);
        107000 = aclrtCntNotifyGetId(null_mut(), &mut number);
        100000 = aclrtCreateLabel(null_mut());
        100000 = aclrtSetLabel(null_mut(), stream);
        100000 = aclrtSetLabel(stream, null_mut());
        100000 = aclrtDestroyLabel(null_mut());
        100000 = aclrtCreateLabelList(null_mut(), 1, &mut handle);
        100000 = aclrtCreateLabelList(&mut label, 1, null_mut());
        107000 = aclrtCreateLabelList(&mut label, 0, &mut handle);
        107000 = aclrtCreateLabelList(&mut label, 65536, &mut handle);
        100000 = aclrtDestroyLabelList(null_mut());
        100000 = aclrtSwitchLabelByIndex(null_mut(), 1, stream, stream);
        100000 = aclrtSwitchLabelByIndex(stream, 1, null_mut(), stream);
        100000 = aclrtSwitchLabelByIndex(stream, 1, stream, null_mut());
        100000 = aclrtRegStreamStateCallback(null(), None, null_mut());
        100000 = aclrtRegDeviceStateCallback(null(), None, null_mut());
        100000 = aclrtSetDeviceTaskAbortCallback(null(), None, null_mut());
        100000 = aclrtValueWrite(null_mut(), 0, 0, stream);
        100000 = aclrtValueWait(null_mut(), 0, 0, stream);
        100000 = aclrtGetOverflowStatus(null_mut(), 64, stream);
        107000 = aclrtGetOverflowStatus(stream, 63, stream);
        100000 = aclrtGetErrorVerbose(0, null_mut());
        100000 = aclrtRepairError(0, null());
        100000 = aclrtSetOpExecuteTimeOutV2(1, null_mut());
        100000 = aclrtGetOpTimeOutInterval(null_mut());
        100000 = aclmdlRIBuildBegin(null_mut(), 1);
        100000 = aclmdlRIBindStream(null_mut(), stream, 9);
        100000 = aclmdlRIEndTask(null_mut(), stream);
        100000 = aclmdlRIBuildEnd(null_mut(), null_mut());
        100000 = aclmdlRIUnbindStream(null_mut(), stream);
        100000 = aclmdlRIExecute(null_mut(), -1);
        100000 = aclmdlRIExecuteAsync(null_mut(), stream);
        100000 = aclmdlRIDestroy(null_mut());
        100000 = aclmdlRISetName(null_mut(), c"".as_ptr());
        100000 = aclmdlRIGetName(null_mut(), 1, null_mut());
        100000 = aclmdlRIGetId(null_mut(), &mut number);
        107000 = aclmdlRIAbort(null_mut());
        107000 = aclmdlRIUpdate(null_mut());
        107000 = aclmdlRIGetStreams(null_mut(), null_mut(), null_mut());
        107000 = aclmdlRIDestroyRegisterCallback(null_mut(), Some(nothing), null_mut());
        107000 = aclmdlRIDestroyUnregisterCallback(null_mut(), Some(nothing));
        107000 = aclmdlRIGetTasksByStream(null_mut(), null_mut(), &mut number);
        107000 = aclmdlRITaskGetType(null_mut(), null_mut());
        107000 = aclmdlRITaskGetSeqId(null_mut(), &mut number);
        107000 = aclmdlRITaskDisable(null_mut());
        100000 = aclmdlRICaptureBegin(null_mut(), sys::ACL_MODEL_RI_CAPTURE_MODE_GLOBAL);
        107000 = aclmdlRICaptureBegin(stream, sys::aclmdlRICaptureMode(3));
        100000 = aclmdlRICaptureGetInfo(null_mut(), null_mut(), &mut handle);
        100000 = aclmdlRICaptureGetInfo(stream, null_mut(), null_mut());
        100000 = aclmdlRICaptureEnd(null_mut(), &mut handle);
        107029 = aclmdlRICaptureEnd(stream, null_mut());
        100000 = aclmdlRIDebugPrint(null_mut());
        100000 = aclmdlRIDebugJsonPrint(null_mut(), c"".as_ptr(), 0);
        100000 = aclmdlRICaptureThreadExchangeMode(null_mut());
        107000 = aclmdlRICaptureThreadExchangeMode(&mut sys::aclmdlRICaptureMode(3));
        100000 = aclmdlRICaptureTaskGrpBegin(null_mut());
        107029 = aclmdlRICaptureTaskGrpBegin(stream);
        100000 = aclmdlRICaptureTaskGrpEnd(stream, null_mut());
        107029 = aclmdlRICaptureTaskGrpEnd(stream, &mut handle);
        100000 = aclmdlRICaptureTaskUpdateBegin(stream, null_mut());
        100000 = aclmdlRICaptureTaskUpdateEnd(null_mut());
        100000 = aclmdlRICondHandleCreate(null_mut(), 0, sys::aclmdlRICondHandleFlag(0), &mut handle);
        100000 = aclmdlRICondHandleGetCondPtr(null_mut(), null_mut());
        100000 = aclmdlRICaptureToModelRIBegin(stream, null_mut(), sys::ACL_MODEL_RI_CAPTURE_MODE_GLOBAL);
        0 = aclrtDestroyNotify(notify);
        0 = aclrtDestroyEvent(event);
        0 = aclrtDestroyStream(stream);
    }
    values! { rows: 0, handle.addr() as i64; }
}

#[test]
fn handles() {
    let _session = card_910b();
    let mut rows = Rows::default();
    // Other contexts and devices.
    ok!(aclrtSetDevice, 1);
    let elsewhere = stream();
    ok!(aclrtSetDevice, 0);
    let (mut own, mut other) = (null_mut(), null_mut());
    ok!(aclrtGetCurrentContext, &mut own);
    ok!(aclrtCreateContext, &mut other, 0);
    let foreign = stream();
    let foreign_event = flagged(sys::ACL_EVENT_SYNC);
    let (mut foreign_label, mut foreign_instance) = (null_mut(), null_mut());
    ok!(aclrtCreateLabel, &mut foreign_label);
    ok!(aclmdlRIBuildBegin, &mut foreign_instance, 0);
    ok!(aclrtSetCurrentContext, own);
    let (stream, stale) = (stream(), stream());
    ok!(aclrtDestroyStream, stale);
    let (event, stale_event) = (flagged(sys::ACL_EVENT_SYNC), extended(sys::ACL_EVENT_SYNC));
    ok!(aclrtDestroyEvent, stale_event);
    let (mut notify, mut label, mut instance, mut out) = (null_mut(), null_mut(), null_mut(), null_mut());
    ok!(aclrtCreateNotify, &mut notify, 0);
    ok!(aclrtCreateLabel, &mut label);
    ok!(aclmdlRIBuildBegin, &mut instance, 0);
    let zero = zeroed();
    let (mut number, mut id) = (0, 0);
    let (mut status, mut event_status) = (sys::ACL_STREAM_STATUS_RESERVED, sys::ACL_EVENT_STATUS_RESERVED);
    let device = device_memory(64);
    for bad in [zero, stale, event, notify, label, instance] {
        rows! { rows:
            107017 = aclrtDestroyStream(bad);
            107017 = aclrtDestroyStreamForce(bad);
            107017 = aclrtSynchronizeStream(bad);
            107017 = aclrtSynchronizeStreamWithTimeout(bad, 0);
            107000 = aclrtSynchronizeStreamWithTimeout(bad, -2);
            107017 = aclrtStreamQuery(bad, &mut status);
            107017 = aclrtStreamGetPriority(bad, &mut number);
            107017 = aclrtStreamGetFlags(bad, &mut number);
            107017 = aclrtStreamGetId(bad, &mut id);
            107017 = aclrtSetStreamFailureMode(bad, 1);
            107017 = aclrtSetStreamOverflowSwitch(bad, 1);
            107017 = aclrtGetStreamOverflowSwitch(bad, &mut number);
            107017 = aclrtStreamAbort(bad);
            107017 = aclrtStreamStop(bad);
            107017 = aclrtSetStreamAttribute(bad, sys::aclrtStreamAttr(99), &mut sys::aclrtStreamAttrValue { failureMode: 0 });
            107017 = aclrtSetStreamResLimit(bad, sys::aclrtDevResLimitType(9), 1);
            107017 = aclrtRecordEvent(event, bad);
            107017 = aclrtResetEvent(event, bad);
            107017 = aclrtStreamWaitEvent(bad, event);
            107017 = aclrtStreamWaitEvent(bad, zero);
            107017 = aclrtRecordNotify(notify, bad);
            107017 = aclrtWaitAndResetNotify(notify, bad, 0);
            107017 = aclrtSubscribeReport(1, bad);
            107017 = aclrtUnSubscribeReport(1, bad);
            107017 = aclrtLaunchCallback(None, null_mut(), sys::ACL_CALLBACK_BLOCK, bad);
            107017 = aclrtLaunchHostFunc(bad, None, null_mut());
            107017 = aclrtSetLabel(label, bad);
            107017 = aclrtActiveStream(bad, stream);
            107017 = aclrtActiveStream(stream, bad);
            107017 = aclrtValueWrite(device, 1, 9, bad);
            107017 = aclrtValueWait(device, 1, 9, bad);
            107017 = aclrtResetOverflowStatus(bad);
            107017 = aclmdlRIBindStream(instance, bad, 0);
            107017 = aclmdlRIUnbindStream(instance, bad);
            107017 = aclmdlRIEndTask(instance, bad);
            107017 = aclmdlRIExecuteAsync(instance, bad);
            107017 = aclmdlRICaptureBegin(bad, sys::aclmdlRICaptureMode(3));
            107017 = aclmdlRICaptureEnd(bad, &mut out);
            107017 = aclmdlRICaptureGetInfo(bad, null_mut(), &mut out);
            107017 = aclmdlRICaptureTaskGrpBegin(bad);
        }
    }
    for bad in [zero, stale_event, stream, notify, label, instance] {
        rows! { rows:
            107017 = aclrtDestroyEvent(bad);
            107017 = aclrtRecordEvent(bad, stream);
            107017 = aclrtResetEvent(bad, stream);
            107017 = aclrtQueryEvent(bad, &mut event_status);
            107017 = aclrtQueryEventStatus(bad, &mut sys::aclrtEventRecordedStatus(0));
            107017 = aclrtQueryEventWaitStatus(bad, &mut sys::aclrtEventWaitStatus(0));
            107017 = aclrtSynchronizeEvent(bad);
            107017 = aclrtSynchronizeEventWithTimeout(bad, 0);
            107000 = aclrtSynchronizeEventWithTimeout(bad, -2);
            107017 = aclrtEventElapsedTime(&mut 0.0, bad, event);
            107017 = aclrtEventElapsedTime(&mut 0.0, event, bad);
            107017 = aclrtEventGetTimestamp(bad, &mut 0);
            107017 = aclrtGetEventId(bad, &mut number);
            107017 = aclrtStreamWaitEvent(stream, bad);
            107017 = aclrtStreamWaitEventWithTimeout(stream, bad, 1);
        }
    }
    for bad in [zero, stream, event] {
        let mut one = bad;
        rows! { rows:
            107017 = aclrtDestroyNotify(bad);
            107017 = aclrtRecordNotify(bad, stream);
            107017 = aclrtWaitAndResetNotify(bad, stream, 0);
            107017 = aclrtGetNotifyId(bad, &mut number);
            107017 = aclrtNotifyBatchReset(&mut one, 1);
            107017 = aclrtNotifyGetExportKey(bad, [0 as c_char; 65].as_mut_ptr(), 0, 0);
            107017 = aclrtNotifySetImportPid(bad, &mut id, 0);
            107017 = aclrtDestroyLabel(bad);
            107017 = aclrtSetLabel(bad, stream);
            107017 = aclrtCreateLabelList(&mut one, 1, &mut out);
            107017 = aclmdlRIBindStream(bad, stream, 0);
            107000 = aclmdlRIBindStream(bad, stream, 9);
            107017 = aclmdlRIEndTask(bad, stream);
            107017 = aclmdlRIBuildEnd(bad, null_mut());
            100000 = aclmdlRIBuildEnd(bad, bad);
            107017 = aclmdlRIExecute(bad, 0);
            107017 = aclmdlRIExecuteAsync(bad, stream);
            107017 = aclmdlRIDestroy(bad);
            107017 = aclmdlRISetName(bad, c"a".as_ptr());
            107017 = aclmdlRIGetId(bad, &mut number);
            107017 = aclmdlRIAbort(bad);
            107017 = aclmdlRIUpdate(bad);
            107017 = aclmdlRIDebugPrint(bad);
        }
    }
    for foreign in [foreign, elsewhere] {
        rows! { rows:
            107003 = aclrtDestroyStream(foreign);
            107003 = aclrtDestroyStreamForce(foreign);
            0 = aclrtSynchronizeStream(foreign);
            0 = aclrtStreamQuery(foreign, &mut status);
            0 = aclrtStreamGetPriority(foreign, &mut number);
            0 = aclrtStreamGetFlags(foreign, &mut number);
            0 = aclrtStreamGetId(foreign, &mut id);
            107003 = aclrtGetStreamOverflowSwitch(foreign, &mut number);
            107003 = aclrtSetStreamOverflowSwitch(foreign, 1);
            107003 = aclrtStreamAbort(foreign);
            107003 = aclrtRecordEvent(event, foreign);
            107003 = aclrtResetEvent(event, foreign);
            107003 = aclrtStreamWaitEvent(foreign, event);
            107003 = aclrtRecordNotify(notify, foreign);
            107003 = aclrtWaitAndResetNotify(notify, foreign, 0);
            107003 = aclrtLaunchCallback(Some(nothing), null_mut(), sys::ACL_CALLBACK_BLOCK, foreign);
            107003 = aclrtLaunchHostFunc(foreign, Some(nothing), null_mut());
            107003 = aclrtValueWrite(device, 1, 0, foreign);
            107003 = aclmdlRICaptureBegin(foreign, sys::ACL_MODEL_RI_CAPTURE_MODE_RELAXED);
            107003 = aclmdlRICaptureEnd(foreign, &mut out);
        }
    }
    rows! { rows:
        0 = aclrtRecordEvent(foreign_event, stream);
        0 = aclrtSynchronizeStream(stream);
        107004 = aclmdlRIDestroy(foreign_instance);
        107004 = aclmdlRIBuildEnd(foreign_instance, null_mut());
        107004 = aclmdlRISetName(foreign_instance, c"a".as_ptr());
        0 = aclmdlRIGetId(foreign_instance, &mut number);
        507031 = aclrtDestroyLabel(foreign_label);
        107000 = aclrtSetCurrentContext(zero);
        107002 = aclrtDestroyContext(zero);
        107002 = aclrtDestroyContext(own);
    }
    // No context, but good handles.
    std::thread::scope(|scope| {
        let (stream, event, notify, instance) = (Carry(stream), Carry(event), Carry(notify), Carry(instance));
        scope.spawn(move || {
            let (stream, event, notify, instance) = (stream, event, notify, instance);
            let (stream, event, notify, instance) = (stream.0, event.0, notify.0, instance.0);
            let mut rows = Rows::default();
            let (mut status, mut number, mut id) = (sys::ACL_STREAM_STATUS_RESERVED, 0, 0);
            rows! { rows:
                107002 = aclrtSynchronizeStream(stream);
                107002 = aclrtStreamQuery(stream, &mut status);
                107002 = aclrtStreamGetPriority(stream, &mut number);
                107002 = aclrtStreamGetFlags(stream, &mut number);
                0 = aclrtStreamGetId(stream, &mut id);
                107002 = aclrtRecordEvent(event, stream);
                107002 = aclrtResetEvent(event, stream);
                107002 = aclrtStreamWaitEvent(stream, event);
                0 = aclrtQueryEvent(event, &mut sys::aclrtEventStatus(0));
                0 = aclrtQueryEventStatus(event, &mut sys::aclrtEventRecordedStatus(0));
                0 = aclrtSynchronizeEvent(event);
                107002 = aclrtSubscribeReport(1, stream);
                107011 = aclrtUnSubscribeReport(1, stream);
                107002 = aclrtLaunchCallback(Some(nothing), null_mut(), sys::ACL_CALLBACK_BLOCK, stream);
                107002 = aclrtLaunchHostFunc(stream, Some(nothing), null_mut());
                107002 = aclrtGetNotifyId(notify, &mut number);
                107002 = aclrtRecordNotify(notify, stream);
                107002 = aclrtDestroyNotify(notify);
                107002 = aclrtDestroyStream(stream);
                107002 = aclmdlRIDestroy(instance);
                107002 = aclmdlRIExecuteAsync(instance, stream);
                107002 = aclmdlRIBuildEnd(instance, null_mut());
                0 = aclmdlRIGetId(instance, &mut number);
                107002 = aclmdlRICaptureBegin(stream, sys::ACL_MODEL_RI_CAPTURE_MODE_RELAXED);
                107002 = aclmdlRICaptureEnd(stream, &mut null_mut());
                0 = aclmdlRICaptureGetInfo(stream, &mut sys::aclmdlRICaptureStatus(0), null_mut());
            }
        });
    });
    rows! { rows:
        0 = aclrtFree(device);
        0 = aclmdlRIDestroy(instance);
        0 = aclrtDestroyLabel(label);
        0 = aclrtDestroyNotify(notify);
        0 = aclrtDestroyEvent(event);
        0 = aclrtDestroyStream(stream);
        0 = aclrtSetCurrentContext(other);
        0 = aclmdlRIDestroy(foreign_instance);
        0 = aclrtDestroyLabel(foreign_label);
        0 = aclrtDestroyEvent(foreign_event);
        0 = aclrtDestroyStream(foreign);
        0 = aclrtDestroyContext(other);
        0 = aclrtSetDevice(1);
        0 = aclrtDestroyStream(elsewhere);
        0 = aclrtResetDeviceForce(1);
    }
}

/// Values of a machine where all is well, and the rows of events and contexts that were measured.
#[test]
fn when_all_is_well() {
    let _session = card_910b();
    let mut rows = Rows::default();
    let (mut number, mut id, mut wide, mut handle) = (7_u32, 7_i32, 7_i64, null_mut());
    let (mut least, mut greatest) = (9_i32, 9_i32);
    let mut mode = sys::ACL_RT_OVERFLOW_MODE_UNDEF;
    let failure = sys::ACL_STREAM_ATTR_FAILURE_MODE;
    let mut attribute = sys::aclrtStreamAttrValue { failureMode: 7 };
    rows! { rows:
        0 = aclrtGetDeviceCount(&mut number);
        0 = aclrtDeviceGetStreamPriorityRange(&mut least, &mut greatest);
        0 = aclrtGetDeviceSatMode(&mut mode);
        0 = aclrtGetPrimaryCtxState(0, null_mut(), &mut id);
        107001 = aclrtSetDevice(-1);
        0 = aclrtSetDevice(0);
        0 = aclrtSetDevice(0);
    }
    values! { rows: 2, number; 7, least; 0, greatest; 0, mode.0; 0, id; }
    rows! { rows:
        0 = aclrtGetPrimaryCtxState(0, null_mut(), &mut id);
        0 = aclrtGetCurrentContext(&mut handle);
        107002 = aclrtDestroyContext(handle);
        0 = aclrtCtxSetSysParamOpt(sys::ACL_OPT_DETERMINISTIC, 1);
        0 = aclrtCtxGetSysParamOpt(sys::ACL_OPT_DETERMINISTIC, &mut wide);
        0 = aclrtSetDeviceSatMode(sys::ACL_RT_OVERFLOW_MODE_INFNAN);
        107000 = aclrtSetDeviceSatMode(sys::ACL_RT_OVERFLOW_MODE_UNDEF);
        0 = aclrtGetDeviceSatMode(&mut mode);
        0 = aclrtSetDeviceSatMode(sys::ACL_RT_OVERFLOW_MODE_SATURATION);
    }
    values! { rows: 1, id; 1, wide; 1, mode.0; }
    rows! { rows:
        0 = aclrtGetSysParamOpt(sys::ACL_OPT_DETERMINISTIC, &mut wide);
    }
    values! { rows: 1, wide; }
    // Streams.
    let mut stream = null_mut();
    for (priority, flags, expected, kept) in [
        (0, 0, 0, 0),
        (9, sys::ACL_STREAM_FAST_LAUNCH | sys::ACL_STREAM_FAST_SYNC, 7, 3),
        (u32::MAX, sys::ACL_STREAM_PERSISTENT, 0, sys::ACL_STREAM_PERSISTENT),
        (3, sys::ACL_STREAM_HUGE, 3, sys::ACL_STREAM_HUGE),
        (1, 0x8000_0000, 1, 0),
        (1, sys::ACL_STREAM_DEVICE_USE_ONLY, 1, sys::ACL_STREAM_DEVICE_USE_ONLY),
    ] {
        let mut found = 99;
        rows! { rows:
            0 = aclrtCreateStreamWithConfig(&mut stream, priority, flags);
            0 = aclrtStreamGetPriority(stream, &mut number);
            0 = aclrtStreamGetFlags(stream, &mut found);
            0 = aclrtDestroyStream(stream);
        }
        values! { rows: expected, number; kept, found; }
    }
    rows! { rows:
        107000 = aclrtCreateStreamWithConfig(&mut handle, 0, sys::ACL_STREAM_DEVICE_USE_ONLY | sys::ACL_STREAM_HUGE);
        0 = aclrtCreateStream(&mut stream);
        0 = aclrtGetStreamAttribute(stream, failure, &mut attribute);
    }
    // SAFETY: all members are plain numbers.
    values! { rows: 0, unsafe { attribute.failureMode } as i64; }
    attribute.failureMode = 1;
    rows! { rows:
        0 = aclrtSetStreamAttribute(stream, failure, &mut attribute);
        0 = aclrtSetStreamFailureMode(stream, 1);
        207000 = aclrtSetStreamFailureMode(stream, 0);
        0 = aclrtSetStreamFailureMode(stream, 3);
        0 = aclrtGetStreamOverflowSwitch(stream, &mut number);
    }
    values! { rows: 0, number; }
    rows! { rows:
        0 = aclrtSetStreamOverflowSwitch(stream, 1);
        0 = aclrtGetStreamOverflowSwitch(stream, &mut number);
        0 = aclrtSetStreamOverflowSwitch(null_mut(), 1);
        107000 = aclrtSetStreamAttribute(null_mut(), sys::ACL_STREAM_ATTR_PRIORITY, &mut attribute);
        0 = aclrtGetStreamAttribute(stream, sys::ACL_STREAM_ATTR_PRIORITY, &mut attribute);
        0 = aclrtSynchronizeStream(null_mut());
        0 = aclrtSynchronizeStreamWithTimeout(null_mut(), -1);
        107000 = aclrtSynchronizeStreamWithTimeout(stream, 0);
        0 = aclrtSynchronizeDevice();
        0 = aclrtSynchronizeDeviceWithTimeout(1000);
        0 = aclrtStreamAbort(stream);
        0 = aclrtStreamAbort(null_mut());
        0 = aclrtStreamStop(stream);
        107005 = aclrtActiveStream(stream, stream);
        0 = aclrtDestroyStream(stream);
    }
    values! { rows: 1, number; }
    // Events that were never recorded.
    let (plain, old, timed, new) = (
        event(),
        flagged(sys::ACL_EVENT_SYNC),
        flagged(sys::ACL_EVENT_TIME_LINE),
        extended(sys::ACL_EVENT_SYNC),
    );
    let mut status = sys::aclrtEventStatus(9);
    let mut recorded = sys::aclrtEventRecordedStatus(9);
    let mut waited = sys::aclrtEventWaitStatus(9);
    rows! { rows:
        0 = aclrtQueryEvent(old, &mut status);
        0 = aclrtQueryEventStatus(old, &mut recorded);
        0 = aclrtQueryEventWaitStatus(old, &mut waited);
    }
    values! { rows: 0, status.0; 0, recorded.0; 0, waited.0; }
    rows! { rows:
        207000 = aclrtQueryEvent(new, &mut status);
        0 = aclrtQueryEventStatus(new, &mut recorded);
        207000 = aclrtQueryEventWaitStatus(new, &mut waited);
        0 = aclrtSynchronizeEvent(old);
        0 = aclrtSynchronizeEvent(new);
        507000 = aclrtEventElapsedTime(&mut 0.0, old, old);
        507000 = aclrtEventElapsedTime(&mut 0.0, new, new);
        507000 = aclrtEventGetTimestamp(plain, &mut 0);
        0 = aclrtResetEvent(old, null_mut());
        207000 = aclrtResetEvent(new, null_mut());
        107000 = aclrtStreamWaitEvent(null_mut(), plain);
        0 = aclrtStreamWaitEvent(null_mut(), new);
        207000 = aclrtStreamWaitEvent(null_mut(), timed);
        207000 = aclrtResetEvent(timed, null_mut());
        0 = aclrtRecordEvent(old, null_mut());
        0 = aclrtSynchronizeEventWithTimeout(old, -1);
        107006 = aclrtEventElapsedTime(&mut 0.0, old, old);
        0 = aclrtRecordEvent(timed, null_mut());
        0 = aclrtSynchronizeEvent(timed);
        0 = aclrtEventElapsedTime(&mut 0.0, timed, timed);
        0 = aclrtEventGetTimestamp(timed, &mut 0);
        0 = aclrtQueryEventStatus(old, &mut recorded);
        0 = aclrtDestroyEvent(plain);
        0 = aclrtDestroyEvent(old);
        0 = aclrtDestroyEvent(timed);
        0 = aclrtDestroyEvent(new);
    }
    values! { rows: 1, recorded.0; }
    // Callbacks.
    let thread = this_thread();
    rows! { rows:
        0 = aclrtCreateStream(&mut stream);
        107011 = aclrtUnSubscribeReport(thread, stream);
        107015 = aclrtLaunchCallback(Some(nothing), null_mut(), sys::ACL_CALLBACK_NO_BLOCK, stream);
        107015 = aclrtLaunchCallback(Some(nothing), null_mut(), sys::ACL_CALLBACK_NO_BLOCK, null_mut());
        107012 = aclrtProcessReport(-1);
        0 = aclrtSubscribeReport(thread, stream);
        107011 = aclrtSubscribeReport(thread, stream);
        107011 = aclrtSubscribeReport(1, stream);
        107011 = aclrtLaunchHostFunc(stream, Some(nothing), null_mut());
        107012 = aclrtUnSubscribeReport(1, stream);
        507012 = aclrtProcessReport(10);
        0 = aclrtLaunchCallback(Some(nothing), null_mut(), sys::ACL_CALLBACK_BLOCK, stream);
        0 = aclrtProcessReport(1000);
        0 = aclrtSynchronizeStream(stream);
        0 = aclrtUnSubscribeReport(thread, stream);
        0 = aclrtLaunchHostFunc(stream, Some(nothing), null_mut());
        0 = aclrtSynchronizeStream(stream);
        107011 = aclrtSubscribeReport(thread, stream);
        107011 = aclrtUnSubscribeReport(thread, stream);
        107011 = aclrtLaunchCallback(Some(nothing), null_mut(), sys::ACL_CALLBACK_BLOCK, stream);
        0 = aclrtDestroyStream(stream);
    }
    // Devices and contexts that end.
    let mut context = null_mut();
    rows! { rows:
        0 = aclrtCreateContext(&mut context, 1);
        0 = aclrtGetDevice(&mut id);
    }
    values! { rows: 1, id; }
    rows! { rows:
        507007 = aclrtResetDevice(1);
        0 = aclrtDestroyContext(context);
        107002 = aclrtGetCurrentContext(&mut handle);
        107002 = aclrtGetDevice(&mut id);
        107002 = aclrtDestroyContext(context);
        107000 = aclrtSetCurrentContext(context);
        0 = aclrtSetDevice(0);
        0 = aclrtResetDevice(0);
        0 = aclrtResetDevice(0);
        0 = aclrtResetDevice(0);
        507007 = aclrtResetDevice(0);
        507007 = aclrtResetDeviceForce(0);
        107002 = aclrtGetDevice(&mut id);
    }
}

/// Where older chips answer otherwise.
#[test]
fn on_older_chips() {
    let _session = session(Config::new().profile(Profile::ascend310()).devices(2));
    let mut rows = Rows::default();
    let mut number = 0;
    rows! { rows:
        0 = aclrtSetOpWaitTimeout(5);
        207000 = aclrtSetOpExecuteTimeOutWithMs(5000);
        107000 = aclrtSetStreamFailureMode(null_mut(), 1);
        107000 = aclrtCntNotifyDestroy(null_mut());
        0 = aclrtSetDevice(0);
        207000 = aclrtSetDeviceSatMode(sys::ACL_RT_OVERFLOW_MODE_INFNAN);
        207000 = aclrtLaunchHostFunc(null_mut(), Some(nothing), null_mut());
        207000 = aclrtValueWait(null_mut(), 0, 0, null_mut());
        207000 = aclrtStreamAbort(null_mut());
        207000 = aclrtCntNotifyCreate(&mut null_mut(), 0);
        100000 = aclrtStreamGetFlags(null_mut(), null_mut());
        0 = aclrtStreamGetFlags(null_mut(), &mut number);
    }
    let stream = stream();
    let carried = Carry(stream);
    // Its subscriptions need no events, thus no context.
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let carried = carried;
            let mut rows = Rows::default();
            rows! { rows:
                0 = aclrtSubscribeReport(1, carried.0);
                0 = aclrtUnSubscribeReport(1, carried.0);
                107002 = aclrtSubscribeReport(1, null_mut());
            }
        });
    });
    rows! { rows:
        0 = aclrtDestroyStream(stream);
    }
}
