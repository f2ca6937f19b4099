//! The profiler while it runs: started once, and ended once, when nobody uses it any more.

use super::{ProfilerConfig, unexplained};
use crate::{
    Acl, Device, Error, Result, drop_hook,
    guard::{self, Disposal},
    reaper,
    runtime::{SendRaw, acl, recent_message},
};
use ascendcl_sys as sys;
use std::{
    ffi::{CString, c_void},
    fs, ptr,
    sync::atomic::{AtomicBool, Ordering},
};

/// Held by the profiler and by each of its ranges: their C functions must not meet the end of the profiler on another thread.
pub(super) struct Session {
    /// Until it is ended.
    running: Option<Running>,
    pub(super) marks: bool,
}

struct Running {
    /// Open as long as they are profiled; never none.
    devices: Vec<Device>,
    /// NULL until it is made.
    config: SendRaw,
    started: bool,
    _only: OnlyOne,
}

/// That there is no other: ACL has one profiler in a process.
struct OnlyOne;

static TAKEN: AtomicBool = AtomicBool::new(false);

impl OnlyOne {
    fn take() -> Result<OnlyOne> {
        if TAKEN.swap(true, Ordering::AcqRel) {
            let text = "aclprofStart: a profiler of this process runs already, and there can be one; stop it, and end its ranges, first";
            return Err(Error::Profiler(text.into()));
        }
        Ok(OnlyOne)
    }
}

impl Drop for OnlyOne {
    fn drop(&mut self) {
        TAKEN.store(false, Ordering::Release);
    }
}

// SAFETY: [threads] the address of the configuration is used only by `end`, which has the whole value to itself.
unsafe impl Sync for Running {}

impl Session {
    pub(super) fn start(config: &ProfilerConfig) -> Result<Session> {
        let acl = config.devices[0].acl();
        for device in &config.devices {
            if !ptr::eq(device.acl().raw(), acl.raw()) {
                let what = format!("device {} belongs to another backend", device.id());
                return Err(Error::Mismatch { op: "aclprofCreateConfig", what });
            }
        }
        let folder = CString::new(config.folder.as_os_str().as_encoded_bytes())
            .map_err(|_| Error::Profiler("aclprofInit: the path of the folder has a NUL in it".into()))?;
        guard::check("aclprofInit")?;
        let only = OnlyOne::take()?;
        fs::create_dir_all(&config.folder).map_err(|error| Error::Os {
            op: "making the folder for a profile",
            message: format!("{}: {error}", config.folder.display()),
        })?;
        // SAFETY: [text] a NUL-terminated string that outlives the call, and its length.
        unsafe { acl!(acl, aclprofInit(folder.as_ptr(), folder.as_bytes().len())) }?;
        // From here on it ends when it is dropped.
        let devices = config.devices.clone();
        let running = Running { devices, config: SendRaw::new(ptr::null_mut()), started: false, _only: only };
        let mut session = Session { running: Some(running), marks: config.has_marks() };
        match session.begin(config) {
            Ok(()) => Ok(session),
            Err(error) => {
                // The first error counts.
                let _ = session.end();
                Err(error)
            }
        }
    }

    fn begin(&mut self, config: &ProfilerConfig) -> Result<()> {
        const OP: &str = "aclprofCreateConfig";
        let Some(running) = &mut self.running else { return Ok(()) };
        let acl = config.devices[0].acl();
        let Some(create) = acl.raw().aclprofCreateConfig else {
            return Err(Error::MissingSymbol { function: OP });
        };
        let (mut devices, metrics, data) = config.raw();
        guard::check_over(OP)?;
        // SAFETY: [place] as many numbers as it says, which are copied; there are no events.
        let raw = unsafe { create(devices.as_mut_ptr(), devices.len() as u32, metrics, ptr::null(), data) };
        if raw.is_null() {
            return Err(Error::Profiler(format!(
                "{OP}: not for devices {devices:?} with data {data:#x}: {}",
                recent_message(acl.raw()).lines().next().unwrap_or("ACL does not say why")
            )));
        }
        running.config = SendRaw::new(raw.cast());
        // SAFETY: [handle] just made, and alive until the end.
        unsafe { acl!(acl, aclprofStart(raw)) }.map_err(unexplained)?;
        running.started = true;
        Ok(())
    }

    pub(super) fn acl(&self) -> Option<&Acl> {
        self.running.as_ref().map(|running| running.devices[0].acl())
    }

    pub(super) fn devices(&self) -> &[Device] {
        self.running.as_ref().map_or(&[], |running| &running.devices)
    }

    /// Ends it now.
    pub(super) fn end(mut self) -> Result<()> {
        self.running.take().map_or(Ok(()), Running::end)
    }
}

impl Running {
    /// Does all, and gives the first error.
    fn end(self) -> Result<()> {
        let acl = self.devices[0].acl();
        let config: *mut c_void = self.config.get();
        let config = config.cast::<sys::aclprofConfig>();
        let (mut stopped, mut destroyed) = (Ok(()), Ok(()));
        if self.started {
            // SAFETY: [once] no range is left that another thread could be ending, and this is the only end.
            stopped = unsafe { acl!(acl, aclprofStop(config)) };
        }
        if !config.is_null() {
            // SAFETY: [once] made by `begin`, and used by nobody else; ACL has copied what it needs of it.
            destroyed = unsafe { acl!(acl, aclprofDestroyConfig(config)) };
        }
        // SAFETY: [once] pairs with the `aclprofInit` of `start`, as only one session is between the two.
        let finalized = unsafe { acl!(acl, aclprofFinalize()) };
        stopped.and(destroyed).and(finalized).map_err(unexplained)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        match guard::disposal() {
            Disposal::Now => drop_hook::report_failure(running.end()),
            Disposal::Later => reaper::run_later(move || drop_hook::report_failure(running.end())),
            Disposal::Never => {}
        }
    }
}
