//! AscendCL without an NPU: the C functions of `libascendcl.so`, played by the host CPU.
//!
//! What is simulated is an Atlas 300I card: four devices with an Ascend 310 and 8 GiB of memory each, their contexts, streams, events,
//! host callbacks, device memory, pinned memory and copies, and the execution of models. Argument checks and return codes are those of
//! the real runtime, and so is what programs get wrong: work runs on other threads after the call has returned, copies read
//! their source when the stream gets there, the host cannot touch device memory, fresh memory is poison and freed memory too.
//!
//! # Two ways to use it
//!
//! As a library: [`api`] gives the table of function pointers that `ascendcl-sys` fills from an installed CANN otherwise. There is one
//! simulator per process; it starts at the first call.
//!
//! ```
//! let acl = ascendcl_sim::api();
//! let (mut count, mut version) = (0, [0; 3]);
//! let [major, minor, patch] = &mut version;
//! // SAFETY: the functions get places to write to.
//! unsafe {
//!     assert_eq!(acl.aclrtGetDeviceCount.unwrap()(&mut count), 0);
//!     assert_eq!(acl.aclrtGetVersion.unwrap()(major, minor, patch), 0);
//! }
//! assert_eq!((count, version), (4, [1, 13, 0]));
//! ```
//!
//! As a shared library: the `cdylib` of this crate *is* a `libascendcl.so` for programs in C, C++ or Python (feature `export`).
//!
//! # Configuration
//!
//! [`configure`] from Rust, or the environment, which is read at the first call:
//!
//! | variable | meaning |
//! |---|---|
//! | `ASCENDCL_SIM_PROFILE` | the chip: `ascend310` (default), `ascend310p`, `ascend910b`, or `full`, which has every feature of any chip |
//! | `ASCENDCL_SIM_DEVICES` | number of devices, 0 to 64 |
//! | `ASCENDCL_SIM_MEMORY` | memory of each device: bytes, or a number with `K`, `M` or `G` |
//! | `ASCENDCL_SIM_HOST_ACCESS` | `1`: the host can read and write device memory at its device address |
//! | `ASCENDCL_SIM_PEER_ACCESS` | `0`: devices cannot be given access to each other's memory |
//! | `ASCENDCL_SIM_LEAKS` | what is alive when ACL is finalised and when the process exits: `report` prints it, `off` says nothing. Otherwise the `log` crate is told |
//! | `ASCENDCL_SIM_MISUSE` | calls that would go wrong on a card: `report`, `off`, or `log`, the default |
//! | `ASCENDCL_SIM_RACES` | accesses to the same memory that nothing orders: `report` or `log`; not looked for otherwise |
//! | `ASCENDCL_SIM_REPORT` | a file to append reports to, instead of standard error; `%p` in its name is the number of the process |
//! | `ASCENDCL_SIM_SEED` | a number makes runs repeatable: it fixes the order in which streams run, and a virtual clock the time that everything takes. `random` takes another one each time and prints it |
//! | `ASCENDCL_SIM_TRACE` | a file for a timeline of calls, tasks, waits and callbacks, which Perfetto and `chrome://tracing` open; `%p` in its name is the number of the process |
//! | `ASCENDCL_SIM_STRICT` | `1`: the first report aborts the process |
//! | `ASCENDCL_SIM_FAULTS` | calls to fail, with semicolons between them, see [`Fault`] |
//! | `ASCEND_RT_VISIBLE_DEVICES` | the devices a program sees, as on a card: `0,2`, ascending |
//!
//! A wrong value, a name that begins with `ASCENDCL_SIM_` and is none of these, and a file that cannot be written are said on standard error and by
//! `aclInit`, which answers 100000 with a text.
//!
//! # Kernels
//!
//! What a kernel binary says to a chip cannot run here. [`register_kernel`] gives a kernel's name a host function, which launches then
//! call in stream order; programs in C do the same with `include/ascendcl_sim.h`.
//!
//! # What it does not do
//!
//! It is no model of time: work takes as long as the host takes, or, with a seed, what a table of plausible costs says. There are no operators
//! besides models and registered kernels, no media and no communication functions. Functions that the simulator lacks are absent from the table. In
//! a process forked from one that has used the simulator every call fails with 507899.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

#[allow(non_snake_case)]
mod abi;
mod check;
mod config;
mod core;
#[cfg(feature = "onnx")]
mod engine_thread;
mod error;
mod handle;
mod interprocess;
mod kernel;
mod lock;
mod memory;
mod model;
mod own_thread;
mod profile;
mod profiling;
mod queue;

/// OM files that the simulator runs.
pub mod om {
    pub use crate::model::om::writer::{ConvertError, Converter, bundle};
}

use std::collections::BTreeMap;
use std::sync::OnceLock;

use ascendcl_sys::AclApi;

use crate::lock::Mutex;

pub use check::fault::{Fault, FaultKind};
pub use check::leak::{Live, LiveKind};
pub use check::report::{Report, ReportKind, Reporting};
pub use check::site::Calls;
pub use config::{Config, ConfigError};
pub use kernel::host::{KernelError, KernelRegistration, register_kernel};
pub use kernel::launch::{KernelLaunch, KernelValue};
pub use profile::Profile;

/// The function table of the embedded simulator. It has all functions that the simulator has, whatever the profile, except those that a
/// [`Fault`] of the configuration makes missing.
pub fn api() -> &'static AclApi {
    static API: OnceLock<AclApi> = OnceLock::new();
    /// One for each set of missing functions that was asked for.
    static MUTILATED: Mutex<BTreeMap<Vec<String>, &'static AclApi>> = Mutex::new(BTreeMap::new());
    let missing = check::fault::missing();
    if missing.is_empty() {
        return API.get_or_init(|| abi::table(&[]));
    }
    let mut tables = MUTILATED.lock();
    let new = || &*Box::leak(Box::new(abi::table(&missing)));
    tables.entry(missing.clone()).or_insert_with(new)
}

/// Replaces the simulated machine. Possible only while ACL is not initialised and nothing is alive.
pub fn configure(config: Config) -> Result<(), ConfigError> {
    core::process::configure(config)
}

/// Everything that is alive now and has to be given back, oldest first.
pub fn live() -> Vec<Live> {
    check::leak::live()
}

/// How often each C function was called since the simulator was configured, if [`Config::count_calls`] asked for that.
pub fn calls() -> Vec<Calls> {
    check::site::calls()
}

/// The reports since the last call, at most a thousand.
pub fn take_reports() -> Vec<Report> {
    check::report::take()
}

/// The number of reports so far, for programs that only load the library.
// SAFETY: [symbol] the prefix is this library's own.
#[cfg(feature = "export")]
#[unsafe(no_mangle)]
extern "C" fn ascendclsim_report_count() -> usize {
    check::report::count()
}

/// The number of objects that [`live`] lists, for programs that only load the library.
// SAFETY: [symbol] the prefix is this library's own.
#[cfg(feature = "export")]
#[unsafe(no_mangle)]
extern "C" fn ascendclsim_live_count() -> usize {
    check::leak::count()
}
