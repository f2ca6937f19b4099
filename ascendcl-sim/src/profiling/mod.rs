//! The profiler that programs drive themselves: whether it is on, for which devices, and where its results go.
//!
//! What it writes is a timeline of calls and tasks, in a folder of its own under the result path: what the real one collects from hardware
//! does not exist here. Marks and ranges ([`stamp`]) are part of it. [`subscribe`] is the other way of using it: descriptions of the
//! operators of a model through a pipe, as they run.

pub(crate) mod operators;
pub(crate) mod settings;
pub(crate) mod stamp;
pub(crate) mod subscribe;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs, process as os};

use ascendcl_sys::{self as sys, aclError, aclprofAicoreMetrics, aclprofConfig};

use crate::check::leak::{LiveKind, register};
use crate::check::trace;
use crate::core::process;
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;

static CONFIGS: Table<Config> = Table::new(Kind::ProfilingConfig);
static STATE: Mutex<State> = Mutex::new(State::NEW);

/// The host is one more device in each configuration.
const HOST: u32 = 64;
/// What every configuration asks for, besides what the program does.
const AICPU_MODEL: u64 = 1 << 62;
/// `ACL_PROF_AICORE_SHAPE`, which not all headers have.
const AICORE_SHAPE: u64 = 1 << 35;
/// What can be asked for.
const SUPPORTED: u64 = sys::ACL_PROF_ACL_API
    | sys::ACL_PROF_TASK_TIME
    | sys::ACL_PROF_AICORE_METRICS
    | sys::ACL_PROF_AICPU
    | sys::ACL_PROF_L2CACHE
    | sys::ACL_PROF_HCCL_TRACE
    | sys::ACL_PROF_TRAINING_TRACE
    | sys::ACL_PROF_MSPROFTX
    | sys::ACL_PROF_RUNTIME_API
    | sys::ACL_PROF_GE_API_L0
    | sys::ACL_PROF_TASK_TIME_L0
    | sys::ACL_PROF_TASK_MEMORY
    | sys::ACL_PROF_TASK_TIME_L2
    | sys::ACL_PROF_OP_ATTR
    | sys::ACL_PROF_TASK_TIME_L3
    | sys::ACL_PROF_GE_API_L1
    | sys::ACL_PROF_API_STATS
    | AICORE_SHAPE
    | AICPU_MODEL;
/// Characters that a result path must not have.
const FORBIDDEN: &[char] = &[
    '\n', '\u{c}', '\r', '\u{8}', '\t', '\u{b}', '\u{7f}', '"', '\'', '\\', '%', '>', '<', '|', '&', '$',
    ';', '`',
];

/// `aclprofConfig`: what to collect, and of which devices.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    devices: Vec<u32>,
    metrics: aclprofAicoreMetrics,
    data: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Off,
    /// `aclprofInit`
    Collecting,
    /// `aclprofModelSubscribe`
    Subscribed,
}

struct State {
    /// The machine that all this is about.
    machine: usize,
    mode: Mode,
    /// Where results go.
    path: Option<PathBuf>,
    /// A start that no stop has answered.
    started: bool,
    /// What is collected, of each device.
    running: BTreeMap<u32, u64>,
    /// Result folders made so far.
    folders: u32,
    /// Marks and ranges are taken.
    stamps: bool,
}

impl State {
    const NEW: Self = Self {
        machine: 0,
        mode: Mode::Off,
        path: None,
        started: false,
        running: BTreeMap::new(),
        folders: 0,
        stamps: false,
    };
}

/// The state, new for a new machine.
fn state() -> MutexGuard<'static, State> {
    let machine = Arc::as_ptr(&process::machine()).addr();
    let mut state = STATE.lock();
    if state.machine != machine {
        trace::profile(None);
        *state = State { machine, ..State::NEW };
    }
    state
}

/// `aclprofInit` after its checks.
pub(crate) fn init(path: &Path) -> Result<(), aclError> {
    let mut state = state();
    match state.mode {
        Mode::Off => begin(&mut state, path),
        Mode::Collecting => {
            Err(fail(sys::ACL_ERROR_REPEAT_INITIALIZE, "the profiler is initialised already"))
        }
        Mode::Subscribed => Err(conflict()),
    }
}

fn begin(state: &mut State, path: &Path) -> Result<(), aclError> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if absolute.to_string_lossy().contains(FORBIDDEN) {
        let text = format!("the result path {} has a character that it must not have", absolute.display());
        return Err(fail(sys::ACL_ERROR_INVALID_FILE, text));
    }
    state.path = Some(absolute);
    state.mode = Mode::Collecting;
    Ok(())
}

fn conflict() -> aclError {
    fail(
        sys::ACL_ERROR_PROF_API_CONFLICT,
        "the profiler cannot collect and serve subscriptions at the same time",
    )
}

/// `aclprofFinalize`: nothing if it was not initialised.
pub(crate) fn finalize() -> Result<(), aclError> {
    let mut state = state();
    match state.mode {
        Mode::Off => Ok(()),
        Mode::Subscribed => Err(conflict()),
        Mode::Collecting => {
            trace::profile(None);
            *state = State { machine: state.machine, folders: state.folders, ..State::NEW };
            Ok(())
        }
    }
}

/// Sets another result path, if the profiler is initialised.
fn set_path(path: &str) -> Result<(), ()> {
    if path.contains(FORBIDDEN) {
        return Err(());
    }
    let mut state = state();
    if state.mode == Mode::Collecting && !path.is_empty() {
        state.path = Some(std::path::absolute(path).map_err(drop)?);
    }
    Ok(())
}

/// `aclprofCreateConfig` after its checks. NULL if there are a million already.
pub(crate) fn create(devices: &[u32], metrics: aclprofAicoreMetrics, asked: u64) -> *mut aclprofConfig {
    const LEVELS: u64 = sys::ACL_PROF_TASK_TIME_L0 | sys::ACL_PROF_TASK_TIME;
    let mut data = asked | AICPU_MODEL;
    // Finer levels include the coarser ones.
    if asked & sys::ACL_PROF_TASK_TIME != 0 {
        data |= sys::ACL_PROF_TASK_TIME_L0;
    }
    if asked & (sys::ACL_PROF_TASK_TIME_L2 | sys::ACL_PROF_OP_ATTR) != 0 {
        data |= LEVELS;
    }
    if asked & sys::ACL_PROF_TASK_TIME_L3 != 0 {
        data |= LEVELS | sys::ACL_PROF_TASK_TIME_L2;
    }
    if data & sys::ACL_PROF_TASK_TIME_L0 != 0 {
        data |= sys::ACL_PROF_TRAINING_TRACE;
    }
    if asked & sys::ACL_PROF_API_STATS != 0 {
        data = sys::ACL_PROF_ACL_API | sys::ACL_PROF_API_STATS;
    }
    let config = Config { devices: devices.iter().copied().chain([HOST]).collect(), metrics, data };
    let registration = register(LiveKind::Profiling, format!("configuration of devices {devices:?}"));
    CONFIGS.insert(Arc::new(config), registration).unwrap_or(std::ptr::null_mut()).cast()
}

/// `aclprofDestroyConfig` after its NULL check.
pub(crate) fn destroy(handle: *const aclprofConfig) -> Result<(), aclError> {
    CONFIGS.remove(handle.cast()).map(drop).ok_or_else(|| no_config(handle))
}

fn find(handle: *const aclprofConfig) -> Result<Arc<Config>, aclError> {
    CONFIGS.get(handle.cast()).ok_or_else(|| no_config(handle))
}

fn no_config(handle: *const aclprofConfig) -> aclError {
    let why = CONFIGS.describe(handle.cast());
    fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("the configuration {handle:p} of the profiler {why}"))
}

/// What is collected if the program does not say: calls and tasks of the devices that are set.
fn default_config() -> Config {
    let machine = process::machine();
    let set = machine.devices().iter().filter(|device| device.has_primary());
    let devices = set.map(|device| device.id() as u32).chain([HOST]).collect();
    let data = sys::ACL_PROF_ACL_API | sys::ACL_PROF_TASK_TIME | sys::ACL_PROF_TASK_TIME_L0 | AICPU_MODEL;
    Config { devices, metrics: sys::ACL_AICORE_NONE, data }
}

fn check(config: &Config) -> Result<(), aclError> {
    if config.data & !SUPPORTED != 0 {
        let unknown = config.data & !SUPPORTED;
        let text = format!("nobody can collect {unknown:#x} of dataTypeConfig");
        return Err(fail(sys::ACL_ERROR_PROF_MODULES_UNSUPPORTED, text));
    }
    Ok(())
}

/// `aclprofStart`. It initialises the profiler in the current folder if nobody did.
pub(crate) fn start(handle: *const aclprofConfig) -> Result<(), aclError> {
    let config = if handle.is_null() { Arc::new(default_config()) } else { find(handle)? };
    check(&config)?;
    let mut state = state();
    match state.mode {
        Mode::Off => begin(&mut state, Path::new("."))?,
        Mode::Collecting => {}
        Mode::Subscribed => return Err(conflict()),
    }
    if state.started {
        return consistent(&state, &config);
    }
    state.started = true;
    let metrics = config.metrics;
    if config.data & sys::ACL_PROF_AICORE_METRICS != 0
        && metrics != sys::ACL_AICORE_NONE
        && !settings::has_metrics(&process::machine().settings().profile, metrics)
    {
        let text = format!("this chip does not measure aicoreMetrics {}", metrics.0);
        return Err(fail(sys::ACL_ERROR_INVALID_PARAM, text));
    }
    let file = result_file(&mut state)?;
    state.running.extend(config.devices.iter().map(|&device| (device, config.data)));
    state.stamps |= config.data & sys::ACL_PROF_MSPROFTX != 0;
    trace::profile(Some(&file));
    Ok(())
}

/// 100010 if a device of the configuration collects something else.
fn consistent(state: &State, config: &Config) -> Result<(), aclError> {
    let differs = |device: &&u32| state.running.get(device).is_some_and(|data| *data != config.data);
    match config.devices.iter().find(differs) {
        None => Ok(()),
        Some(device) => Err(fail(
            sys::ACL_ERROR_INVALID_PROFILING_CONFIG,
            format_args!("device {device} was started with another dataTypeConfig than {:#x}", config.data),
        )),
    }
}

/// `aclprofStop`: nothing if the profiler is not initialised. NULL stops everything.
pub(crate) fn stop(handle: *const aclprofConfig) -> Result<(), aclError> {
    let mut state = state();
    if state.mode == Mode::Off {
        return Ok(());
    }
    let config = if !handle.is_null() {
        find(handle)?
    } else if let Some(&data) = state.running.values().next() {
        let devices = state.running.keys().copied().collect();
        Arc::new(Config { devices, metrics: sys::ACL_AICORE_NONE, data })
    } else {
        return Ok(());
    };
    check(&config)?;
    if state.mode == Mode::Subscribed {
        return Err(conflict());
    }
    consistent(&state, &config)?;
    for device in &config.devices {
        state.running.remove(device);
    }
    if state.running.keys().all(|&device| device == HOST) {
        state.running.clear();
        trace::profile(None);
    }
    state.started = false;
    Ok(())
}

/// Makes a folder for one run and gives the file in it: 100003 if that is not possible.
fn result_file(state: &mut State) -> Result<PathBuf, aclError> {
    state.folders += 1;
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let name = format!("PROF_{:06}_{time}_{}", state.folders, os::id());
    let folder = state.path.clone().unwrap_or_default().join(name);
    fs::create_dir_all(&folder).map_err(|error| {
        let text = format!("the folder {} for results cannot be made: {error}", folder.display());
        fail(sys::ACL_ERROR_INVALID_FILE, text)
    })?;
    Ok(folder.join("msprof.json"))
}

/// Whether marks and ranges are taken.
fn takes_stamps() -> bool {
    state().stamps
}

/// Whether another profiler rules, which programs cannot drive.
pub(crate) fn is_dynamic() -> bool {
    env::var("PROFILING_MODE").is_ok_and(|mode| mode == "dynamic")
}
