//! Kernels: functions of the program that stand in for what a chip would run.
//!
//! Nothing here can execute the code in a kernel binary. A program registers a host function under the kernel's name ([`host`]); a
//! binary is then any file or bytes, and has every kernel that is registered ([`binary`]). Arguments are put together as on a card
//! ([`args`]); a launch is a task that is queued and may run again ([`task`]), and the host function sees it as a
//! [`KernelLaunch`](launch::KernelLaunch).

pub(crate) mod args;
pub(crate) mod binary;
#[cfg(feature = "export")]
mod export;
pub(crate) mod host;
pub(crate) mod launch;
pub(crate) mod task;
