//! The configuration file of `aclInit`: how it is read, and what each section may say. The checks stand in the order in which the
//! runtime makes them, because callbacks of the program run between some of them.

use std::io::ErrorKind;
use std::path::Path;

use ascendcl_sys::{self as sys, aclError};

use super::json::{self, Value};
use super::process;
use crate::error::fail;

/// The runtime reads no larger file.
const MOST_BYTES: u64 = 10 << 20;
/// Braces and brackets may be nested this deep; those inside of strings count.
const MOST_DEPTH: usize = 10;
/// Space for what kernels print, in bytes.
const PRINT_SPACE: std::ops::RangeInclusive<i64> = 1024..=64 << 20;

/// The bytes of the file: 100003 if there is no such file. What is wrong with what it says comes later.
pub(crate) fn read(path: &str) -> Result<Vec<u8>, aclError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(bytes),
        // A directory can be opened but not read; that it is no file is noticed when it is parsed.
        Err(error) if error.kind() == ErrorKind::IsADirectory => Ok(Vec::new()),
        Err(error) => Err(no_file(path, &error)),
    }
}

fn no_file(path: &str, why: &dyn std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_INVALID_FILE, format_args!("cannot read the configuration file {path}: {why}"))
}

/// Parses the file (100003, 100006). `None` for an empty one, which configures nothing.
pub(crate) fn parse(path: &str, bytes: &[u8]) -> Result<Option<Value>, aclError> {
    match Path::new(path).metadata() {
        Ok(about) if !about.is_file() => return Err(no_file(path, &"it is no regular file")),
        Ok(about) if about.len() > MOST_BYTES => return Err(no_file(path, &"it is larger than 10 MiB")),
        _ => {}
    }
    // The runtime reads C strings.
    let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    if bytes.is_empty() {
        return Ok(None);
    }
    let invalid = |why: &dyn std::fmt::Display| {
        fail(
            sys::ACL_ERROR_PARSE_FILE,
            format_args!("the configuration file {path} is not valid JSON: {why}"),
        )
    };
    if depth(bytes, b'{', b'}') > MOST_DEPTH || depth(bytes, b'[', b']') > MOST_DEPTH {
        return Err(invalid(&"objects or arrays are nested more than 10 deep"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| invalid(&error))?;
    json::parse(text.strip_prefix('\u{feff}').unwrap_or(text)).map(Some).map_err(|why| invalid(&why))
}

fn depth(bytes: &[u8], open: u8, close: u8) -> usize {
    let (mut depth, mut most) = (0usize, 0);
    for &byte in bytes {
        if byte == open {
            depth += 1;
            most = most.max(depth);
        } else if byte == close {
            depth = depth.saturating_sub(1);
        }
    }
    most
}

fn invalid(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_INVALID_PARAM, what)
}

fn failure(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_FAILURE, what)
}

/// `err_msg_mode`: whether the process shares one list of error texts.
pub(super) fn error_mode(config: &Value) -> Result<bool, aclError> {
    match config.get("err_msg_mode") {
        None => Ok(false),
        Some(Value::String(mode)) if mode == "0" => Ok(false),
        Some(Value::String(mode)) if mode == "1" => Ok(true),
        Some(_) => Err(invalid("err_msg_mode is neither \"0\" nor \"1\"")),
    }
}

/// `max_opqueue_num`
pub(super) fn operator_queue(config: &Value) -> Result<(), aclError> {
    let Some(number) = config.get("max_opqueue_num") else { return Ok(()) };
    match number.text().map(leading_number) {
        Some(1..) => Ok(()),
        _ => Err(invalid("max_opqueue_num is not larger than 0")),
    }
}

/// The number that a text begins with, as C reads it: 0 if it does not begin with one.
fn leading_number(text: &str) -> i64 {
    let text = text.trim_start();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let number = digits[..end].parse().unwrap_or(if end == 0 { 0 } else { i64::MAX });
    if negative { -number } else { number }
}

/// `StackSize`: any numbers.
pub(super) fn stack_sizes(config: &Value) -> Result<(), aclError> {
    let Some(sizes) = config.get("StackSize") else { return Ok(()) };
    for key in ["aicore_stack_size", "simt_stack_size", "simt_divergence_stack_size"] {
        match sizes.get(key) {
            None => {}
            Some(Value::Scalar(text)) if text != "null" => {}
            Some(_) => return Err(failure(format_args!("StackSize.{key} is no number"))),
        }
    }
    Ok(())
}

/// `defaultDevice`: the device that threads without a context use.
pub(super) fn default_device(config: &Value) -> Result<Option<i32>, aclError> {
    let Some(name) = config.get("defaultDevice").and_then(|section| section.get("default_device")) else {
        return Ok(None);
    };
    let Value::String(name) = name else { return Err(failure("default_device is no string")) };
    let is_number = name == "0" || (!name.starts_with('0') && !name.is_empty());
    if !is_number || !name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(failure(format_args!("default_device \"{name}\" is neither 0 nor a positive integer")));
    }
    let id = leading_number(name) as i32;
    process::device(id)?;
    Ok(Some(id))
}

/// Sizes of what kernels print into.
pub(super) fn print_sizes(config: &Value) -> Result<(), aclError> {
    for key in ["simd_printf_fifo_size_per_core", "simt_printf_fifo_size"] {
        let Some(size) = config.get(key) else { continue };
        let text = match size {
            Value::Scalar(text)
                if !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                text
            }
            _ => return Err(failure(format_args!("{key} is no positive integer"))),
        };
        // Chips without threads on their vector cores ignore the second one.
        if key.starts_with("simd") && !PRINT_SPACE.contains(&i64::from(leading_number(text) as u32)) {
            return Err(fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                format_args!("{key} {text} is not between 1 KiB and 64 MiB"),
            ));
        }
    }
    Ok(())
}

/// `acl_graph`: how events work in captured work.
pub(super) fn event_mode(config: &Value) -> Result<(), aclError> {
    let Some(mode) = config.get("acl_graph").and_then(|section| section.get("event_mode")) else {
        return Ok(());
    };
    if !matches!(mode, Value::String(mode) if mode == "0" || mode == "1") {
        return Err(invalid("acl_graph.event_mode is neither \"0\" nor \"1\""));
    }
    let machine = process::machine();
    let profile = &machine.settings().profile;
    if !profile.chip.value_wait {
        return Err(fail(
            sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
            format_args!("{} has no modes of events in captured work", profile.name()),
        ));
    }
    Ok(())
}

/// `profiler`, which the profiler of the runtime reads: what it does not know is 100000.
pub(super) fn profiler(config: &Value) -> Result<(), aclError> {
    const SWITCHES: &[&str] = &[
        "switch",
        "aicpu",
        "l2",
        "hccl",
        "msproftx",
        "instr_profiling",
        "task_tsfw",
        "ascendcl",
        "runtime_api",
        "task_memory",
    ];
    const TEXTS: &[&str] = &[
        "output",
        "storage_limit",
        "optype",
        "aic_metrics",
        "sys_mem_serviceflow",
        "llc_profiling",
        "host_sys",
        "host_sys_usage",
    ];
    const FREQUENCIES: &[&str] = &[
        "instr_profiling_freq",
        "sys_hardware_mem_freq",
        "sys_io_sampling_freq",
        "sys_interconnection_freq",
        "sys_cpu_freq",
        "dvpp_freq",
        "host_sys_usage_freq",
        "sys_lp_freq",
    ];
    let Some(section) = config.get("profiler") else { return Ok(()) };
    let Value::Object(members) = section else { return Err(invalid("profiler is no object")) };
    for (key, value) in members {
        let key = key.as_str();
        let fits = match value {
            Value::String(text) if SWITCHES.contains(&key) => matches!(text.as_str(), "" | "on" | "off"),
            Value::String(text) if key == "task_time" => {
                matches!(text.as_str(), "" | "on" | "off" | "l0" | "l1" | "l2")
            }
            Value::String(text) if key == "ge_api" => matches!(text.as_str(), "" | "off" | "l0" | "l1"),
            Value::String(_) => TEXTS.contains(&key),
            Value::Scalar(text) => {
                FREQUENCIES.contains(&key) && text.bytes().all(|byte| byte.is_ascii_digit())
            }
            _ => false,
        };
        if !fits {
            return Err(invalid(format_args!(
                "profiler.{key} is unknown or has a value that it cannot have"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        json::parse(text).unwrap()
    }

    #[test]
    fn sections_say_what_they_may() {
        assert_eq!(error_mode(&value("{\"err_msg_mode\": \"1\"}")), Ok(true));
        assert_eq!(error_mode(&value("{\"err_msg_mode\": 1}")), Err(100_000));
        assert_eq!(operator_queue(&value("{\"max_opqueue_num\": \"12a\"}")), Ok(()));
        assert_eq!(operator_queue(&value("{\"max_opqueue_num\": \"a\"}")), Err(100_000));
        assert_eq!(stack_sizes(&value("{\"StackSize\": {\"aicore_stack_size\": -1}}")), Ok(()));
        assert_eq!(stack_sizes(&value("{\"StackSize\": {\"simt_stack_size\": \"a\"}}")), Err(500_001));
        assert_eq!(print_sizes(&value("{\"simt_printf_fifo_size\": 0}")), Err(500_001));
        assert_eq!(print_sizes(&value("{\"simt_printf_fifo_size\": 1}")), Ok(()));
        assert_eq!(print_sizes(&value("{\"simd_printf_fifo_size_per_core\": 1}")), Err(107_000));
        assert_eq!(event_mode(&value("{\"acl_graph\": {\"event_mode\": \"2\"}}")), Err(100_000));
        assert_eq!(profiler(&value("{\"profiler\": {\"switch\": \"on\", \"output\": \"/tmp\"}}")), Ok(()));
        assert_eq!(profiler(&value("{\"profiler\": {\"swich\": \"on\"}}")), Err(100_000));
        for (text, device) in [("\"01\"", Err(500_001)), ("\"\"", Err(500_001)), ("0", Err(500_001))] {
            let config = value(&format!("{{\"defaultDevice\": {{\"default_device\": {text}}}}}"));
            assert_eq!(default_device(&config), device, "{text}");
        }
    }

    #[test]
    fn braces_in_strings_count() {
        let text = format!("{{\"a\": \"{}\"}}", "{".repeat(10));
        assert_eq!(parse("no file", text.as_bytes()), Err(100_006));
        assert_eq!(parse("no file", b"\0{"), Ok(None));
        assert_eq!(parse("no file", b"\xff"), Err(100_006));
    }
}
