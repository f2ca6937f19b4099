//! `aclprofSetConfig`: settings by name, each with its own syntax.

use ascendcl_sys::{self as sys, aclError, aclprofAicoreMetrics, aclprofConfigType};

use crate::core::process;
use crate::error::fail;
use crate::profile::Profile;

/// Megabytes that results may take.
const STORAGE: std::ops::RangeInclusive<u64> = 200..=4_294_967_295;

/// The metrics of cores that a chip does not measure.
const NO_METRICS: &[(&str, &[aclprofAicoreMetrics])] = &[
    (
        "ascend310",
        &[sys::ACL_AICORE_L2_CACHE, sys::ACL_AICORE_PIPE_EXECUTE_UTILIZATION, sys::ACL_AICORE_MEMORY_ACCESS],
    ),
    (
        "ascend310p",
        &[sys::ACL_AICORE_L2_CACHE, sys::ACL_AICORE_PIPE_EXECUTE_UTILIZATION, sys::ACL_AICORE_MEMORY_ACCESS],
    ),
    ("ascend910b", &[sys::ACL_AICORE_PIPE_EXECUTE_UTILIZATION]),
];

/// Settings that a chip does not have.
const NO_SETTINGS: &[(&str, &[aclprofConfigType])] = &[
    ("ascend310", &[sys::ACL_PROF_LOW_POWER_FREQ, sys::ACL_PROF_SYS_MEM_SERVICEFLOW, sys::ACL_PROF_OPTYPE]),
    ("ascend310p", &[sys::ACL_PROF_SYS_IO_FREQ, sys::ACL_PROF_SYS_MEM_SERVICEFLOW]),
];

/// Whether the chip measures these metrics.
pub(super) fn has_metrics(profile: &Profile, metrics: aclprofAicoreMetrics) -> bool {
    metrics.0 <= sys::ACL_AICORE_MEMORY_ACCESS.0 && !lists(NO_METRICS, profile, &metrics)
}

fn lists<T: PartialEq>(table: &[(&str, &[T])], profile: &Profile, item: &T) -> bool {
    table.iter().any(|(name, items)| *name == profile.name() && items.contains(item))
}

/// `aclprofSetConfig` after its checks: 100010 for a value that the setting does not take, or a setting that the chip does not have.
pub(crate) fn set(setting: aclprofConfigType, value: &str) -> Result<(), aclError> {
    let machine = process::machine();
    let known = !lists(NO_SETTINGS, &machine.settings().profile, &setting);
    if known && accepts(setting, value) {
        return Ok(());
    }
    // The newest setting answers another code than all others.
    let code = match setting {
        sys::ACL_PROF_NTS_METRICS => sys::ACL_ERROR_INVALID_PARAM,
        _ => sys::ACL_ERROR_INVALID_PROFILING_CONFIG,
    };
    let text = format!("the profiler does not take '{value}' for setting {}, or not on this chip", setting.0);
    Err(fail(code, text))
}

fn accepts(setting: aclprofConfigType, value: &str) -> bool {
    let hertz = |most: u32| value.parse::<u32>().is_ok_and(|hertz| (1..=most).contains(&hertz));
    let each_of = |names: &[&str]| value.split(',').all(|name| names.contains(&name));
    match setting {
        sys::ACL_PROF_PATH => super::set_path(value).is_ok(),
        sys::ACL_PROF_STORAGE_LIMIT => {
            let megabytes = value.strip_suffix("MB").and_then(|number| number.parse().ok());
            megabytes.is_some_and(|megabytes| STORAGE.contains(&megabytes))
        }
        sys::ACL_PROF_SYS_HARDWARE_MEM_FREQ
        | sys::ACL_PROF_SYS_IO_FREQ
        | sys::ACL_PROF_DVPP_FREQ
        | sys::ACL_PROF_LOW_POWER_FREQ => hertz(100),
        sys::ACL_PROF_SYS_INTERCONNECTION_FREQ | sys::ACL_PROF_HOST_SYS_USAGE_FREQ => hertz(50),
        sys::ACL_PROF_LLC_MODE => matches!(value, "read" | "write"),
        sys::ACL_PROF_HOST_SYS => each_of(&["cpu", "mem", "disk", "network", "osrt"]),
        sys::ACL_PROF_HOST_SYS_USAGE => each_of(&["cpu", "mem"]),
        sys::ACL_PROF_SYS_MEM_SERVICEFLOW | sys::ACL_PROF_OPTYPE => !value.is_empty(),
        _ => false,
    }
}
