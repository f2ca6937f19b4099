//! What there is once per process: the simulated devices, and whether ACL is initialised.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use ascendcl_sys::{self as sys, aclError};

use super::{Device, fork, json};
use crate::check::report::Reporting;
use crate::check::{self, leak};
use crate::config::{Config, ConfigError, Settings};
use crate::error::fail;
use crate::lock::{Mutex, RwLock};

/// The simulated machine.
pub(crate) struct Machine {
    settings: Arc<Settings>,
    devices: Vec<Arc<Device>>,
    /// What is wrong with the configuration from the environment.
    problem: Option<String>,
}

static MACHINE: RwLock<Option<Arc<Machine>>> = RwLock::new(None);

impl Machine {
    fn new(config: Result<Config, ConfigError>) -> Self {
        fork::watch();
        let (config, problem) = match config {
            Ok(config) => (config, None),
            Err(error) => (Config::new(), Some(error.to_string())),
        };
        let settings = Arc::new(config.settings());
        if settings.leaks == Reporting::Report {
            leak::report_at_exit();
        }
        check::configure(&settings);
        let devices = settings.visible.as_ref().map_or(0, Vec::len);
        let devices = (0..devices).map(|id| Device::new(id as i32, &settings)).collect();
        Self { settings, devices, problem }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// The machine, made from the environment at the first use if nobody configured it.
pub(crate) fn machine() -> Arc<Machine> {
    if let Some(machine) = &*MACHINE.read() {
        return Arc::clone(machine);
    }
    let mut machine = MACHINE.write();
    Arc::clone(machine.get_or_insert_with(|| Arc::new(Machine::new(Config::from_env()))))
}

/// Replaces the machine by another one, while nothing of the old one is in use.
pub(crate) fn configure(config: Config) -> Result<(), ConfigError> {
    config.check()?;
    // The order here is that of `init`: initialisation state first.
    let init = INIT.lock();
    let mut machine = MACHINE.write();
    let alive = leak::count();
    if init.count > 0 || alive > 0 {
        return Err(ConfigError::new(if init.count > 0 {
            "the simulator cannot be configured while ACL is initialised".into()
        } else {
            format!("the simulator cannot be configured while {alive} objects are alive")
        }));
    }
    *machine = Some(Arc::new(Machine::new(Ok(config))));
    check::forget();
    Ok(())
}

/// The machine, unless its configuration is wrong (100000).
fn configured() -> Result<Arc<Machine>, aclError> {
    let machine = machine();
    match &machine.problem {
        Some(problem) => Err(fail(sys::ACL_ERROR_INVALID_PARAM, problem)),
        None => Ok(machine),
    }
}

/// Number of visible devices: 207004 if `ASCEND_RT_VISIBLE_DEVICES` is wrong.
pub(crate) fn device_count() -> Result<usize, aclError> {
    let machine = configured()?;
    match &machine.settings.visible {
        Ok(visible) => Ok(visible.len()),
        Err(problem) => Err(fail(sys::ACL_ERROR_RT_NO_DEVICE, problem)),
    }
}

/// The device of a logical number (107001).
pub(crate) fn device(id: i32) -> Result<Arc<Device>, aclError> {
    let machine = configured()?;
    let found = usize::try_from(id).ok().and_then(|index| machine.devices.get(index));
    found.map(Arc::clone).ok_or_else(|| {
        let text = match &machine.settings.visible {
            Ok(visible) => format!("device {id} is out of range: there are {} devices", visible.len()),
            Err(problem) => problem.clone(),
        };
        fail(sys::ACL_ERROR_RT_INVALID_DEVICEID, text)
    })
}

struct Init {
    count: u64,
    finalized: bool,
    /// The first configuration file; a later one must say the same.
    config: Option<String>,
}

static INIT: Mutex<Init> = Mutex::new(Init { count: 0, finalized: false, config: None });
static DEFAULT_DEVICE: AtomicI32 = AtomicI32::new(-1);

/// The device that threads without a context use, if the init file named one.
pub(crate) fn default_device() -> Option<i32> {
    Some(DEFAULT_DEVICE.load(Ordering::Relaxed)).filter(|&id| id >= 0)
}

/// `aclInit`; `path` is `None` for NULL and for "".
pub(crate) fn init(path: Option<&str>) -> Result<(), aclError> {
    let mut init = INIT.lock();
    if init.count > 0 {
        init.count += 1;
        // The call counts all the same, and is not remembered as a mistake.
        return Err(sys::ACL_ERROR_REPEAT_INITIALIZE);
    }
    let count = match device_count() {
        Ok(count) => count,
        Err(code) if code == sys::ACL_ERROR_INVALID_PARAM => return Err(code),
        // The devices are asked for again later, and the answer says why there are none.
        Err(_) => 1,
    };
    if count == 0 {
        return Err(fail(sys::ACL_ERROR_INTERNAL_ERROR, "there is no device"));
    }
    let text = path.map(read_config).transpose()?.unwrap_or_default();
    let config = if text.is_empty() { None } else { Some(parse_config(&text)?) };
    if init.config.as_ref().is_some_and(|first| *first != text) {
        return Err(fail(
            sys::ACL_ERROR_INVALID_PARAM,
            "ACL was initialised with another configuration before, and keeps the first",
        ));
    }
    init.config = Some(text);
    if let Some(device) = config.flatten() {
        DEFAULT_DEVICE.store(device, Ordering::Relaxed);
    }
    init.count = 1;
    init.finalized = false;
    Ok(())
}

/// `aclFinalize`.
pub(crate) fn finalize() -> Result<(), aclError> {
    let mut init = INIT.lock();
    if init.finalized {
        return Err(sys::ACL_ERROR_REPEAT_FINALIZE);
    }
    end(&mut init);
    Ok(())
}

/// `aclFinalizeReference`: the references that remain.
pub(crate) fn finalize_reference() -> Result<u64, aclError> {
    let mut init = INIT.lock();
    if init.count == 0 {
        return Err(sys::ACL_ERROR_REPEAT_FINALIZE);
    }
    init.count -= 1;
    if init.count == 0 {
        end(&mut init);
    }
    Ok(init.count)
}

fn end(init: &mut Init) {
    init.count = 0;
    init.finalized = true;
    DEFAULT_DEVICE.store(-1, Ordering::Relaxed);
    leak::report();
    check::trace::flush();
}

fn read_config(path: &str) -> Result<String, aclError> {
    let invalid = |error: &dyn std::fmt::Display| {
        fail(sys::ACL_ERROR_INVALID_FILE, format_args!("cannot open the configuration file {path}: {error}"))
    };
    let bytes = std::fs::read(path).map_err(|error| invalid(&error))?;
    String::from_utf8(bytes).map_err(|_| {
        fail(sys::ACL_ERROR_PARSE_FILE, format_args!("the configuration file {path} is not UTF-8"))
    })
}

/// Checks the file and gives the default device it names.
fn parse_config(text: &str) -> Result<Option<i32>, aclError> {
    let invalid = |why: &str| {
        fail(sys::ACL_ERROR_PARSE_FILE, format_args!("the configuration file is not valid JSON: {why}"))
    };
    let value = json::parse(text).map_err(|why| invalid(&why))?;
    if !matches!(value, json::Value::Object(_)) {
        return Err(invalid("an object expected"));
    }
    let Some(name) = value.get("defaultDevice").and_then(|section| section.get("default_device")) else {
        return Ok(None);
    };
    let id = name.text().and_then(|text| text.parse().ok()).filter(|&id| device(id).is_ok());
    id.map(Some).ok_or_else(|| fail(sys::ACL_ERROR_INVALID_PARAM, "default_device names no device"))
}
