//! `acl_prof.h`: collecting, subscriptions, and what is said about operators.

use core::ffi::{CStr, c_char, c_void};
use std::cell::RefCell;
use std::ffi::CString;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::{ptr, slice};

use ascendcl_sys::{
    self as sys, aclError, aclprofAicoreEvents, aclprofAicoreMetrics, aclprofConfig, aclprofConfigType,
    aclprofSubscribeConfig, aclprofSubscribeOpAttri, aclprofSubscribeOpFlag,
};

use super::{functions, invalid, not_null};
use crate::core::process;
use crate::error::fail;
use crate::profiling::operators::{self, Operator, SIZE, Text, are_signed};
use crate::profiling::{self, settings, subscribe};

/// Lengths of result paths are below this.
const PATH_MAX: usize = 4096;
const LONGEST_SETTING: usize = 256;
const MOST_DEVICES: u32 = 64;

functions! {
    status fn aclprofInit(profilerResultPath: *const c_char, length: usize) {
        if profiling::is_dynamic() {
            return Err(fail(sys::ACL_ERROR_FEATURE_UNSUPPORTED, "PROFILING_MODE is dynamic: the program does not drive the profiler"));
        }
        not_null(profilerResultPath, "profilerResultPath")?;
        if length == 0 || length >= PATH_MAX {
            return Err(invalid(format_args!("length {length} of the result path is not in 1 to {}", PATH_MAX - 1)));
        }
        let path = exact(profilerResultPath, length, "profilerResultPath")?;
        profiling::init(Path::new(OsStr::from_bytes(path)))
    }

    status fn aclprofFinalize() {
        profiling::finalize()
    }

    status fn aclprofSetConfig(configType: aclprofConfigType, config: *const c_char, configLength: usize) {
        if configType.0 == sys::ACL_PROF_ARGS_MIN.0 || configType.0 >= sys::ACL_PROF_ARGS_MAX.0 {
            return Err(invalid(format_args!("configType {} is unknown", configType.0)));
        }
        if configLength > LONGEST_SETTING {
            return Err(invalid(format_args!("configLength {configLength} is more than {LONGEST_SETTING}")));
        }
        not_null(config, "config")?;
        let value = exact(config, configLength, "config")?;
        settings::set(configType, &String::from_utf8_lossy(value))
    }

    value(ptr::null_mut()) fn aclprofCreateConfig(
        deviceIdList: *mut u32, deviceNums: u32, aicoreMetrics: aclprofAicoreMetrics,
        aicoreEvents: *const aclprofAicoreEvents, dataTypeConfig: u64,
    ) -> *mut aclprofConfig {
        let devices = devices(deviceIdList, deviceNums, aicoreEvents, dataTypeConfig);
        devices.map_or(ptr::null_mut(), |devices| profiling::create(&devices, aicoreMetrics, dataTypeConfig))
    }

    status fn aclprofDestroyConfig(profilerConfig: *const aclprofConfig) {
        not_null(profilerConfig, "profilerConfig")?;
        profiling::destroy(profilerConfig)
    }

    status fn aclprofStart(profilerConfig: *const aclprofConfig) {
        profiling::start(profilerConfig)
    }

    status fn aclprofStop(profilerConfig: *const aclprofConfig) {
        profiling::stop(profilerConfig)
    }

    // --- Subscriptions

    value(ptr::null_mut()) fn aclprofCreateSubscribeConfig(
        timeInfoSwitch: i8, aicoreMetrics: aclprofAicoreMetrics, fd: *mut c_void,
    ) -> *mut aclprofSubscribeConfig {
        log::trace!("metrics {} of cores are not known to a subscription", aicoreMetrics.0);
        if not_null(fd, "fd").is_err() {
            return ptr::null_mut();
        }
        if !matches!(timeInfoSwitch, 0 | 1) {
            invalid(format_args!("timeInfoSwitch {timeInfoSwitch} is neither 0 nor 1"));
            return ptr::null_mut();
        }
        subscribe::create(timeInfoSwitch == 1, fd)
    }

    status fn aclprofDestroySubscribeConfig(profSubscribeConfig: *const aclprofSubscribeConfig) {
        not_null(profSubscribeConfig, "profSubscribeConfig")?;
        subscribe::destroy(profSubscribeConfig)
    }

    status fn aclprofModelSubscribe(modelId: u32, profSubscribeConfig: *const aclprofSubscribeConfig) {
        subscribe::subscribe(modelId, profSubscribeConfig)
    }

    status fn aclprofModelUnSubscribe(modelId: u32) {
        subscribe::unsubscribe(modelId)
    }

    // --- What came through the pipe

    status fn aclprofGetOpDescSize(opDescSize: *mut usize) {
        not_null(opDescSize, "opDescSize")?;
        put(opDescSize, SIZE);
        Ok(())
    }

    status fn aclprofGetOpNum(opInfo: *const c_void, opInfoLen: usize, opNumber: *mut u32) {
        not_null(opInfo, "opInfo")?;
        not_null(opNumber, "opNumber")?;
        put(opNumber, (signed(opInfo, opInfoLen)?.len() / SIZE) as u32);
        Ok(())
    }

    status fn aclprofGetOpTypeLen(opInfo: *const c_void, opInfoLen: usize, index: u32, opTypeLen: *mut usize) {
        length(Text::Type, opInfo, opInfoLen, index, opTypeLen)
    }

    status fn aclprofGetOpType(
        opInfo: *const c_void, opInfoLen: usize, index: u32, opType: *mut c_char, opTypeLen: usize,
    ) {
        text(Text::Type, opInfo, opInfoLen, index, opType, opTypeLen)
    }

    status fn aclprofGetOpNameLen(opInfo: *const c_void, opInfoLen: usize, index: u32, opNameLen: *mut usize) {
        length(Text::Name, opInfo, opInfoLen, index, opNameLen)
    }

    status fn aclprofGetOpName(
        opInfo: *const c_void, opInfoLen: usize, index: u32, opName: *mut c_char, opNameLen: usize,
    ) {
        text(Text::Name, opInfo, opInfoLen, index, opName, opNameLen)
    }

    value(0) fn aclprofGetOpStart(opInfo: *const c_void, opInfoLen: usize, index: u32) -> u64 {
        operator(opInfo, opInfoLen, index).map_or(0, |operator| operator.start)
    }

    value(0) fn aclprofGetOpEnd(opInfo: *const c_void, opInfoLen: usize, index: u32) -> u64 {
        operator(opInfo, opInfoLen, index).map_or(0, |operator| operator.end)
    }

    value(0) fn aclprofGetOpDuration(opInfo: *const c_void, opInfoLen: usize, index: u32) -> u64 {
        operator(opInfo, opInfoLen, index).map_or(0, |operator| operator.duration)
    }

    // An error is answered in place of the number.
    value(sys::ACL_ERROR_INVALID_PARAM as usize) fn aclprofGetModelId(
        opInfo: *const c_void, opInfoLen: usize, index: u32,
    ) -> usize {
        operator(opInfo, opInfoLen, index).map_or_else(|code| code as usize, |operator| operator.model as usize)
    }

    value(sys::ACL_SUBSCRIBE_NONE) fn aclprofGetOpFlag(
        opInfo: *const c_void, opInfoLen: usize, index: u32,
    ) -> aclprofSubscribeOpFlag {
        if opInfo.is_null() {
            return sys::ACL_SUBSCRIBE_NONE;
        }
        // Signatures are not looked at here, and an index out of range is an operator.
        aclprofSubscribeOpFlag(Operator::at(bytes(opInfo, opInfoLen), index).map_or(0, |operator| operator.flag))
    }

    value(ptr::null()) fn aclprofGetOpAttriValue(
        opInfo: *const c_void, opInfoLen: usize, index: u32, attri: aclprofSubscribeOpAttri,
    ) -> *const c_char {
        thread_local! {
            /// What the last call gave out.
            static VALUE: RefCell<CString> = RefCell::default();
        }
        if opInfo.is_null() || attri != sys::ACL_SUBSCRIBE_ATTRI_THREADID {
            return ptr::null();
        }
        match Operator::at(bytes(opInfo, opInfoLen), index) {
            Some(operator) if operator.flag == sys::ACL_SUBSCRIBE_OP_THREAD.0 => {
                let value = CString::new(operator.thread.to_string()).unwrap_or_default();
                let keep = |place: &RefCell<CString>| {
                    *place.borrow_mut() = value;
                    place.borrow().as_ptr()
                };
                VALUE.try_with(keep).unwrap_or(ptr::null())
            }
            _ => ptr::null(),
        }
    }
}

/// A C string that must be as long as the caller says: 100000.
fn exact<'a>(string: *const c_char, length: usize, name: &str) -> Result<&'a [u8], aclError> {
    // SAFETY: [caller] not NULL: callers check; and the caller of the C function passes a C string, which is used during that call only.
    let bytes = unsafe { CStr::from_ptr(string) }.to_bytes();
    if bytes.len() == length {
        return Ok(bytes);
    }
    Err(invalid(format_args!("{name} has {} bytes, not {length}", bytes.len())))
}

fn devices(
    list: *const u32,
    count: u32,
    events: *const aclprofAicoreEvents,
    data: u64,
) -> Result<Vec<u32>, aclError> {
    if count != 0 {
        not_null(list, "deviceIdList")?;
    }
    if !events.is_null() {
        return Err(invalid("aicoreEvents must be NULL"));
    }
    let there = process::device_count().unwrap_or(0);
    if count > MOST_DEVICES || count as usize > there {
        return Err(invalid(format_args!("deviceNums {count}, but there are {there} devices")));
    }
    // SAFETY: [caller] not NULL unless empty, and the caller passes as many numbers as it says.
    let devices = if count == 0 { &[] } else { unsafe { slice::from_raw_parts(list, count as usize) } };
    for (index, device) in devices.iter().enumerate() {
        if *device as usize >= there || devices[..index].contains(device) {
            return Err(invalid(format_args!("device {device} is out of range or listed twice")));
        }
    }
    if count == 0 && data & sys::ACL_PROF_MSPROFTX == 0 {
        return Err(invalid("deviceNums must not be 0 unless marks are all that is collected"));
    }
    Ok(devices.to_vec())
}

fn put<T>(place: *mut T, value: T) {
    // SAFETY: [caller] checked to be no NULL, and the caller of the C function passes a place to write to.
    unsafe { place.write(value) };
}

/// The descriptions of operators that the program passes. Lengths count in 32 bits.
fn bytes<'a>(data: *const c_void, length: usize) -> &'a [u8] {
    // SAFETY: [caller] not NULL: callers check; the caller of the C function passes as many bytes as it says, for that call.
    unsafe { slice::from_raw_parts(data.cast(), length as u32 as usize) }
}

fn signed<'a>(data: *const c_void, length: usize) -> Result<&'a [u8], aclError> {
    let bytes = bytes(data, length);
    if are_signed(bytes) {
        Ok(bytes)
    } else {
        Err(invalid("opInfo is not what came through the pipe of a subscription"))
    }
}

fn operator(data: *const c_void, length: usize, index: u32) -> Result<Operator, aclError> {
    not_null(data, "opInfo")?;
    let operator = Operator::at(signed(data, length)?, index);
    operator.ok_or_else(|| invalid(format_args!("index {index} is past the end of opInfo")))
}

fn length(
    which: Text,
    data: *const c_void,
    size: usize,
    index: u32,
    place: *mut usize,
) -> Result<(), aclError> {
    not_null(place, "the place for the length")?;
    let operator = operator(data, size, index)?;
    let length = operators::length(which, operator.index).ok_or_else(|| fetched(index))?;
    put(place, length + 1);
    Ok(())
}

fn text(
    which: Text,
    data: *const c_void,
    size: usize,
    index: u32,
    place: *mut c_char,
    room: usize,
) -> Result<(), aclError> {
    not_null(place, "the place for the text")?;
    let room = room as u32 as usize;
    if room == 0 {
        return Err(invalid("there is no room for the text"));
    }
    let operator = operator(data, size, index)?;
    let text = operators::fetch(which, operator.index, room).ok_or_else(|| fetched(index))?;
    // SAFETY: [caller] not NULL, and the caller passes `room` bytes: at least as many as the text has, and one.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr().cast(), place, text.len());
        place.add(text.len().min(room - 1)).write(0);
        place.add(room - 1).write(0);
    }
    Ok(())
}

fn fetched(index: u32) -> aclError {
    invalid(format_args!("the text of operator {index} was fetched before, or does not fit"))
}
