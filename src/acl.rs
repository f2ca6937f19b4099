//! [`Acl`]: AscendCL, loaded and initialised.

use crate::{
    Backend, BackendChoice, Device, Error, Result, backend, callback,
    exit::{self, Stage},
    guard,
    observe::{event, span},
    reaper,
    runtime::{Runtime, Site, acl, recent_message},
    siblings::ByContext,
};
use ascendcl_sys::{self as sys, AclApi};
use core::ffi::c_void;
use std::{
    ffi::{CStr, CString},
    fmt,
    path::{Path, PathBuf},
    ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering, fence},
    },
    thread,
    time::{Duration, Instant},
};

/// The initialised backends of this process. A backend stays here, initialised, until [`Acl::finalize`].
static RUNTIMES: Mutex<Vec<Arc<Runtime>>> = Mutex::new(Vec::new());

/// How long [`Acl::finalize`] waits for callbacks, and for streams that were dropped with work on them.
const FINALIZE_PATIENCE: Duration = Duration::from_secs(10);

/// AscendCL, loaded and initialised: where everything starts.
///
/// A cheap handle; all handles of one backend share one initialisation, and so do later ones. Dropping the last one does not
/// finalise ACL, because other code in the process may be using it: [`Acl::finalize`] does.
///
/// ```
/// # fn main() -> Result<(), ascendcl::Error> {
/// use ascendcl::Acl;
///
/// let acl = Acl::new()?;
/// println!("{} with {} devices", acl.backend(), acl.device_count()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Acl {
    runtime: Arc<Runtime>,
}

/// How to load and initialise ACL: see [`Acl::builder`].
#[derive(Debug, Clone, Default)]
pub struct AclBuilder {
    choice: Option<BackendChoice>,
    library: Option<PathBuf>,
    config: Option<PathBuf>,
}

/// A version of the ACL interface. It is not the version of CANN: 1.13.0 came with CANN 8.1.RC1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AclVersion {
    /// Changes are incompatible.
    pub major: i32,
    /// Functions were added.
    pub minor: i32,
    /// Errors were corrected.
    pub patch: i32,
}

impl fmt::Display for AclVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Where this program runs, seen from the NPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum RunMode {
    /// On a host with the NPU behind PCIe: device memory cannot be read or written by the host.
    Host,
    /// On the NPU's own processor: host and device memory are the same.
    Device,
}

impl Acl {
    /// Loads the backend that `ASCENDCL_BACKEND` (`auto`, `cann` or `sim`) asks for, or [`BackendChoice::Auto`], and
    /// initialises it.
    ///
    /// # Errors
    ///
    /// [`Error::Load`] names every place where CANN was looked for; [`Error::Acl`] if `aclInit` fails.
    #[doc(alias = "aclInit")]
    pub fn new() -> Result<Acl> {
        Acl::builder().build()
    }

    /// Chooses a backend, a library or a configuration file.
    pub fn builder() -> AclBuilder {
        AclBuilder::default()
    }

    /// Initialises ACL behind a table of functions that the program brings itself.
    ///
    /// # Errors
    ///
    /// [`Error::Acl`] if `aclInit` fails, [`Error::MissingSymbol`] if the table lacks it.
    ///
    /// # Safety
    ///
    /// Each function in the table must do what the C function of that name does, and stay callable for ever.
    pub unsafe fn from_table(api: &'static AclApi) -> Result<Acl> {
        initialise(api, Backend::Custom, None)
    }

    /// What answers the calls.
    pub fn backend(&self) -> &Backend {
        &self.runtime.backend
    }

    /// Whether the calls are answered by the simulator inside this program.
    pub fn is_simulated(&self) -> bool {
        self.runtime.backend == Backend::Sim
    }

    /// The version of the ACL interface.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::InCallback`] inside a callback.
    #[doc(alias = "aclrtGetVersion")]
    pub fn version(&self) -> Result<AclVersion> {
        guard::check("aclrtGetVersion")?;
        let (mut major, mut minor, mut patch) = (0, 0, 0);
        // SAFETY: [place] three valid places for the answer.
        unsafe { acl!(&*self.runtime, aclrtGetVersion(&mut major, &mut minor, &mut patch)) }?;
        Ok(AclVersion { major, minor, patch })
    }

    /// The name of the chip of device 0, for example `Ascend310`. `None` when ACL cannot tell.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::InCallback`] inside a callback.
    #[doc(alias = "aclrtGetSocName")]
    pub fn soc_name(&self) -> Result<Option<String>> {
        guard::check("aclrtGetSocName")?;
        let Some(name) = self.runtime.api.aclrtGetSocName else {
            return Err(Error::MissingSymbol { function: "aclrtGetSocName" });
        };
        // SAFETY: [plain] the function takes nothing, and ACL is initialised.
        let name = unsafe { name() };
        if name.is_null() {
            return Ok(None);
        }
        // SAFETY: [text] ACL returned a NUL-terminated string in static storage.
        Ok(Some(unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()))
    }

    /// Where this program runs, seen from the NPU.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::InCallback`] inside a callback.
    #[doc(alias = "aclrtGetRunMode")]
    pub fn run_mode(&self) -> Result<RunMode> {
        guard::check("aclrtGetRunMode")?;
        let mut mode = sys::ACL_HOST;
        // SAFETY: [place] a valid place for the answer.
        unsafe { acl!(&*self.runtime, aclrtGetRunMode(&mut mode)) }?;
        Ok(if mode == sys::ACL_DEVICE { RunMode::Device } else { RunMode::Host })
    }

    /// How many devices this process may use.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::InCallback`] inside a callback.
    #[doc(alias = "aclrtGetDeviceCount")]
    pub fn device_count(&self) -> Result<u32> {
        guard::check("aclrtGetDeviceCount")?;
        let mut count = 0;
        // SAFETY: [place] a valid place for the answer.
        unsafe { acl!(&*self.runtime, aclrtGetDeviceCount(&mut count)) }?;
        Ok(count)
    }

    /// Opens a device: `0` to [`device_count`](Acl::device_count)` - 1`. The first use of a device in a process may take
    /// seconds on a card.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoDevice`](crate::ErrorKind::NoDevice) if there is no such device.
    #[doc(alias = "aclrtSetDevice")]
    pub fn device(&self, id: i32) -> Result<Device> {
        Device::open(self, id)
    }

    /// Opens all devices.
    ///
    /// # Errors
    ///
    /// That of the first device that cannot be opened: see [`Acl::device`].
    pub fn devices(&self) -> Result<Vec<Device>> {
        (0..self.device_count()?).map(|id| self.device(id as i32)).collect()
    }

    /// Whether the loaded library has a C function, by its C name.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// let acl = ascendcl::Acl::new()?;
    /// assert!(acl.supports("aclrtLaunchCallback"));
    /// assert!(!acl.supports("aclrtNoSuchFunction"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn supports(&self, function: &str) -> bool {
        self.runtime
            .api
            .addresses()
            .any(|(known, address)| !address.is_null() && known.name.to_bytes() == function.as_bytes())
    }

    /// The table of C functions, for calls that the safe layer does not wrap.
    pub fn raw(&self) -> &'static AclApi {
        self.runtime.api
    }

    /// Finalises ACL for the whole process. Waits up to ten seconds for streams that were dropped with work on them, and for callbacks
    /// whose closures own handles.
    ///
    /// Returns `false`, and does nothing, when ACL was already initialised by other code when this crate came: then that code
    /// finalises it. So it does when other code has finalised ACL meanwhile. Afterwards ACL may be initialised again with the same
    /// configuration.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] when other handles of this backend are alive; nothing has happened then.
    #[doc(alias = "aclFinalize")]
    pub fn finalize(self) -> Result<bool> {
        guard::check("aclFinalize")?;
        let start = Instant::now();
        let mut runtimes = loop {
            // Asked first: what the last closure owned is handed to the reaper before it counts as done.
            let callbacks = callback::any_outstanding();
            reaper::drain(FINALIZE_PATIENCE.saturating_sub(start.elapsed()));
            let runtimes = RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner);
            // The list has one, this handle has one; new ones come only from handles or, under the lock held here, from the list.
            let others = Arc::strong_count(&self.runtime).saturating_sub(2);
            if others == 0 {
                // What other threads did with their handles is done.
                fence(Ordering::Acquire);
                break runtimes;
            }
            if !callbacks || start.elapsed() > FINALIZE_PATIENCE {
                return Err(Error::InUse { op: "aclFinalize", handles: others });
            }
            drop(runtimes);
            thread::sleep(Duration::from_millis(1));
        };
        let mut owned = self.runtime.owns_init.load(Ordering::Relaxed);
        if owned {
            // SAFETY: [once] no handle of this crate is left, so nothing of it can call ACL any more until it is initialised again.
            match unsafe { acl!(&*self.runtime, aclFinalize()) } {
                // Other code has done that: it must not be taken for initialised any more.
                Err(Error::Acl(error)) if error.code.0 == sys::ACL_ERROR_REPEAT_FINALIZE => owned = false,
                result => result?,
            }
        }
        runtimes.retain(|runtime| !Arc::ptr_eq(runtime, &self.runtime));
        event!(INFO, "ascendcl::init", op = "aclFinalize", backend = %self.runtime.backend, "finalised");
        Ok(owned)
    }

    pub(crate) fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }
}

impl fmt::Debug for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acl").field("backend", self.backend()).finish()
    }
}

impl Site for Acl {
    fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn device_id(&self) -> Option<i32> {
        None
    }
}

impl AclBuilder {
    /// Chooses the backend; otherwise `ASCENDCL_BACKEND` does.
    pub fn backend(mut self, choice: BackendChoice) -> Self {
        self.choice = Some(choice);
        self
    }

    /// Loads this library file instead of looking for an installed CANN. It counts for more than `ASCENDCL_BACKEND` and
    /// `ASCENDCL_LIBRARY`; with [`BackendChoice::Sim`] it is an error.
    pub fn library(mut self, path: impl Into<PathBuf>) -> Self {
        self.library = Some(path.into());
        self
    }

    /// The JSON file to give to `aclInit`.
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config = Some(path.into());
        self
    }

    /// Loads and initialises ACL, or joins the initialisation that this process already has.
    ///
    /// # Errors
    ///
    /// As [`Acl::new`]; and [`Error::Backend`] if the backend is not known or this build does not have it, or for a configuration file
    /// when ACL is initialised already.
    #[doc(alias = "aclInit")]
    pub fn build(self) -> Result<Acl> {
        guard::check("aclInit")?;
        // Before anything is locked or loaded: a child that is forked meanwhile gets an error instead of a lock held for ever.
        guard::watch_forks();
        let (api, backend) = backend::load(self.choice, self.library.as_deref())?;
        initialise(api, backend, self.config.as_deref())
    }
}

fn initialise(api: &'static AclApi, backend: Backend, config: Option<&Path>) -> Result<Acl> {
    guard::check("aclInit")?;
    guard::watch_forks();
    let config = match config {
        Some(path) => Some(CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| {
            Error::Backend(format!("{}: the path of the configuration has a NUL in it", path.display()))
        })?),
        None => None,
    };
    let mut runtimes = RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = runtimes.iter().find(|runtime| ptr::eq(runtime.api, api)) {
        if config.is_some() {
            return Err(Error::Backend(
                "AscendCL is initialised already, and takes no other configuration before Acl::finalize"
                    .into(),
            ));
        }
        return Ok(Acl { runtime: runtime.clone() });
    }
    // From here on threads of this crate may be started, and ACL may be given the address of a function.
    sys::keep_loaded(initialise as *const c_void).map_err(|error| Error::Os {
        op: "keeping the code of this crate loaded",
        message: error.to_string(),
    })?;
    span!(INFO, "ascendcl::init", "init", op = "aclInit", %backend);
    let runtime = Runtime { api, backend, owns_init: AtomicBool::new(true), siblings: ByContext::default() };
    let path = config.as_ref().map_or(ptr::null(), |path| path.as_ptr());
    // SAFETY: [text] `path` is NULL or a NUL-terminated string that outlives the call.
    match unsafe { acl!(&runtime, aclInit(path)) } {
        Ok(()) => {}
        // Other code of this process was first: it owns the finalisation, and this is no failure.
        Err(Error::Acl(error)) if error.code.0 == sys::ACL_ERROR_REPEAT_INITIALIZE => {
            runtime.owns_init.store(false, Ordering::Relaxed);
        }
        Err(error) => return Err(error),
    }
    // Whatever text that left behind is not about the next failure.
    recent_message(api);
    exit::watch(api, Stage::Initialised);
    let runtime = Arc::new(runtime);
    runtimes.push(runtime.clone());
    event!(INFO, "ascendcl::init", op = "aclInit", backend = %runtime.backend, "initialised");
    Ok(Acl { runtime })
}
