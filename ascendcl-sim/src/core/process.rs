//! What there is once per process: the simulated machine with its devices.

use core::ffi::c_void;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError};

use super::options::Options;
use super::{Device, lifecycle, over};
use crate::check::report::Reporting;
use crate::check::{self, leak};
use crate::config::{Config, ConfigError, Settings};
use crate::error::fail;
use crate::lock::RwLock;

/// The simulated machine.
pub(crate) struct Machine {
    settings: Arc<Settings>,
    devices: Vec<Arc<Device>>,
    options: Options,
    /// What is wrong with the configuration from the environment.
    problem: Option<String>,
}

static MACHINE: RwLock<Option<Arc<Machine>>> = RwLock::new(None);

impl Machine {
    fn new(config: Result<Config, ConfigError>) -> Self {
        // Threads of the simulator run to the end of the process, and handlers at its exit: closing a plugin that embeds it must not
        // unmap them.
        if let Err(error) = sys::keep_loaded(machine as *const c_void) {
            log::error!("the code of the simulator may be unloaded under its threads: {error}");
        }
        let (config, mut problem) = match config {
            Ok(config) => (config, None),
            Err(error) => (Config::new(), Some(error.to_string())),
        };
        let settings = Arc::new(config.settings());
        if settings.leaks == Reporting::Report {
            leak::report_at_exit();
        }
        if let Err(error) = check::configure(&settings) {
            problem = Some(error);
        }
        // Last: what is reported at exit is reported after it.
        over::watch_exit();
        let devices = settings.visible.as_ref().map_or(0, Vec::len);
        let devices = (0..devices).map(|id| Device::new(id as i32, &settings)).collect();
        Self { settings, devices, options: Options::new(), problem }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn devices(&self) -> &[Arc<Device>] {
        &self.devices
    }
}

/// The machine, made from the environment at the first use if nobody configured it.
pub(crate) fn machine() -> Arc<Machine> {
    if let Some(machine) = &*MACHINE.read() {
        return Arc::clone(machine);
    }
    over::watch_forks();
    let mut machine = MACHINE.write();
    Arc::clone(machine.get_or_insert_with(|| {
        let machine = Machine::new(Config::from_env());
        if let Some(problem) = &machine.problem {
            // Many programs print no more than the code that aclInit answers.
            eprintln!("ascendcl-sim: {problem}");
        }
        Arc::new(machine)
    }))
}

/// Replaces the machine by another one, while nothing of the old one is in use.
pub(crate) fn configure(config: Config) -> Result<(), ConfigError> {
    config.check()?;
    over::watch_forks();
    let initialized = "the simulator cannot be configured while ACL is initialised";
    lifecycle::start_over(|| {
        let mut machine = MACHINE.write();
        let alive = leak::count();
        if alive > 0 {
            return Err(ConfigError::new(format!(
                "the simulator cannot be configured while {alive} objects are alive"
            )));
        }
        let new = Machine::new(Ok(config));
        let problem = new.problem.clone();
        *machine = Some(Arc::new(new));
        check::forget();
        problem.map_or(Ok(()), |problem| Err(ConfigError::new(problem)))
    })
    .unwrap_or_else(|| Err(ConfigError::new(initialized.into())))
}

/// The machine, unless its configuration is wrong (100000).
pub(super) fn configured() -> Result<Arc<Machine>, aclError> {
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

/// The device of this process that has a physical number, if it sees that one.
pub(crate) fn logical(physical: usize) -> Option<i32> {
    match &machine().settings.visible {
        Ok(visible) => visible.iter().position(|&device| device == physical),
        Err(_) => Some(physical),
    }
    .and_then(|logical| i32::try_from(logical).ok())
}

/// The physical number of a device of this process: what other processes know it by.
pub(crate) fn physical(device: i32) -> usize {
    let logical = usize::try_from(device).unwrap_or_default();
    match &machine().settings.visible {
        Ok(visible) => visible.get(logical).copied().unwrap_or(logical),
        Err(_) => logical,
    }
}
