//! The loader: finds an installed ACL and fills the table from it.

use core::ffi::{CStr, c_void};
use std::{
    error::Error as _,
    fs, io,
    mem::ManuallyDrop,
    path::{Path, PathBuf},
    ptr,
    sync::{Mutex, PoisonError},
};

use libloading::os::unix;

use crate::{
    AclApi, image,
    load_error::{Attempt, LoadError, Reason},
    search::{Candidate, Search},
};

/// The other libraries with functions of the table, in the order in which they are asked.
const COMPANIONS: [&str; 9] = [
    "libacl_rt.so",
    "libacl_mdl.so",
    "libacl_dvpp.so",
    "libacl_op_compiler.so",
    "libacl_tdt_channel.so",
    "libacl_tdt_queue.so",
    "libmsprofiler.so",
    "libacl_cblas.so",
    "libhccl.so",
];

/// A loaded ACL: the libraries and the table of their functions.
///
/// A library stays loaded to the end of the process, whatever becomes of this value: the functions are
/// handed out for `'static`, and CANN has threads and thread-local destructors of its own that run
/// code of the library long after the last call.
#[derive(Debug, Clone)]
pub struct Library {
    api: &'static AclApi,
    paths: Vec<PathBuf>,
    skipped: Vec<Attempt>,
}

/// The tables of what is loaded, so that opening the same libraries again costs nothing.
static TABLES: Mutex<Vec<(Vec<usize>, &'static AclApi)>> = Mutex::new(Vec::new());

impl Library {
    /// Loads the first ACL that `search` leads to, together with the libraries beside it that newer
    /// releases split off, and looks every function up, once.
    ///
    /// Loading runs the initialisers of the libraries: what `search` leads to, and so what the
    /// environment names, is trusted as much as the program itself.
    ///
    /// # Errors
    ///
    /// [`LoadError::NotFound`] if there is no library; [`LoadError::Broken`] and [`LoadError::NotAcl`] if
    /// there is one that cannot be used. The latter two end the search.
    pub fn open(search: &Search) -> Result<Self, LoadError> {
        let mut attempts = Vec::new();
        for Candidate { path, origin, folder } in search.candidates() {
            let opened = match &folder {
                Some(_) => Handle::open_file(&path),
                None => Handle::open_name(&path),
            };
            match opened {
                Ok(main) => return Self::complete(main, folder.as_deref()),
                Err(Failure::Absent(reason)) => attempts.push(Attempt::new(&path, &origin, reason)),
                Err(Failure::Broken(reason)) => return Err(LoadError::Broken { path, reason, attempts }),
            }
        }
        Err(LoadError::NotFound { attempts, named: search.is_named() })
    }

    /// The names of the other libraries with functions of the table, which are loaded from beside the main one, in the order in which
    /// they are asked.
    pub fn companions() -> &'static [&'static str] {
        &COMPANIONS
    }

    /// Every function of the loaded libraries.
    pub fn api(&self) -> &'static AclApi {
        self.api
    }

    /// The files that were loaded, the main one first.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Libraries beside the main one that exist but do not load. Their functions are absent from the
    /// table; all others work.
    pub fn skipped(&self) -> &[Attempt] {
        &self.skipped
    }

    /// Adds the companions from where the main library came from, and fills the table.
    fn complete(main: Handle, folder: Option<&Path>) -> Result<Self, LoadError> {
        let mut skipped = Vec::new();
        let mut handles = vec![main];
        for name in COMPANIONS {
            let (path, opened) = match folder {
                Some(folder) => (folder.join(name), Handle::open_file(&folder.join(name))),
                None => (PathBuf::from(name), Handle::open_name(Path::new(name))),
            };
            match opened {
                // The main library itself, or another name of a library that is there already.
                Ok(handle) if handles.iter().any(|h| h.raw == handle.raw) => {}
                Ok(handle) => handles.push(handle),
                Err(Failure::Absent(_)) => {}
                Err(Failure::Broken(reason)) => {
                    skipped.push(Attempt::new(&path, "beside the main library", Reason::Loader(reason)));
                }
            }
        }
        let find = |name: &CStr| handles.iter().map(|h| h.symbol(name)).find(|p| !p.is_null());
        let find = |name: &CStr| find(name).unwrap_or(ptr::null());
        if find(c"aclInit").is_null() && find(c"aclrtSetDevice").is_null() {
            return Err(LoadError::NotAcl { path: handles.swap_remove(0).path });
        }

        let key: Vec<usize> = handles.iter().map(|h| h.raw as usize).collect();
        let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
        let api = match tables.iter().find(|(loaded, _)| *loaded == key) {
            Some((_, api)) => *api,
            None => {
                let api: &'static AclApi = Box::leak(Box::new(AclApi::load(find)));
                tables.push((key, api));
                api
            }
        };
        Ok(Self { api, paths: handles.into_iter().map(|h| h.path).collect(), skipped })
    }
}

/// A library in this process, never closed.
struct Handle {
    raw: *mut c_void,
    path: PathBuf,
}

enum Failure {
    /// There is nothing there.
    Absent(Reason),
    /// There is something, and this is what is wrong with it.
    Broken(String),
}

impl Handle {
    /// Loads exactly this file.
    fn open_file(path: &Path) -> Result<Self, Failure> {
        // Not following links: a link into nowhere is a damaged installation, and no absence.
        match fs::symlink_metadata(path) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(Failure::Absent(Reason::NoSuchFile));
            }
            // A pipe, for example, would keep the loader waiting for ever.
            Ok(_) if fs::metadata(path).is_ok_and(|target| !target.is_file()) => {
                return Err(Failure::Absent(Reason::NotAFile));
            }
            // What cannot be looked at is left to the loader, which says why.
            _ => {}
        }
        if let Some(truncation) = image::truncation(path) {
            return Err(Failure::Broken(truncation));
        }
        Self::open(path).map_err(Failure::Broken)
    }

    /// Lets the dynamic loader search for a library of this name.
    fn open_name(name: &Path) -> Result<Self, Failure> {
        Self::open(name).map_err(|text| {
            let name = name.display();
            // "NAME: cannot open shared object file" is about the library itself. If something else is
            // wrong, the message starts with the file that was found, or with what that file needs.
            let absent = text.starts_with(&format!("{name}:"))
                || text.starts_with(&format!("Error loading shared library {name}:"));
            if absent { Failure::Absent(Reason::Loader(text)) } else { Failure::Broken(text) }
        })
    }

    fn open(path: &Path) -> Result<Self, String> {
        // RTLD_NOW: a library that lacks something fails here and not in the middle of a call.
        // RTLD_LOCAL: two implementations of the same symbols can live in one process.
        // SAFETY: [loaded] the initialisers of the library run. That they may is said in `Library::open`, whose
        // caller chooses what is loaded.
        let library = unsafe { unix::Library::open(Some(path), unix::RTLD_NOW | unix::RTLD_LOCAL) };
        // The loader's own words are the cause of the error; the error itself says only which call failed.
        let library =
            library.map_err(|error| error.source().map_or(error.to_string(), ToString::to_string))?;
        // Giving up the owner is what keeps the library loaded for good.
        let raw = library.into_raw();
        Ok(Self { raw, path: real_path(raw).unwrap_or_else(|| path.to_owned()) })
    }

    fn symbol(&self, name: &CStr) -> *const c_void {
        // Dropping the library would close it.
        // SAFETY: [loaded] `raw` came from `into_raw` and is never closed.
        let library = ManuallyDrop::new(unsafe { unix::Library::from_raw(self.raw) });
        // SAFETY: [loaded] only the address is taken, nothing is read through it.
        let found = unsafe { library.get::<*const c_void>(name) };
        found.map_or(ptr::null(), |symbol| symbol.into_raw().cast_const())
    }
}

/// The file behind a handle, where the loader found it by name.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn real_path(handle: *mut c_void) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;

    /// The beginning of the loader's own record of a library.
    #[repr(C)]
    struct LinkMap {
        address: usize,
        name: *const core::ffi::c_char,
    }

    let mut map: *const LinkMap = ptr::null();
    // SAFETY: [os] the handle is open, and this request writes one pointer.
    let answer = unsafe { libc::dlinfo(handle, libc::RTLD_DI_LINKMAP, (&raw mut map).cast()) };
    if answer != 0 || map.is_null() {
        return None;
    }
    // SAFETY: [loaded, text] the record lives as long as the library, which is for good; its name is a C string.
    let name = unsafe { CStr::from_ptr((*map).name) };
    let name = std::ffi::OsStr::from_bytes(name.to_bytes());
    (!name.is_empty()).then(|| name.into())
}

/// Other C libraries have no way to ask.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn real_path(_: *mut c_void) -> Option<PathBuf> {
    None
}
