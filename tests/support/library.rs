//! The simulator as a library: cargo builds it beside the test programs.

use std::{
    ffi::CString,
    mem,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The folder of the test programs and of the libraries they are made of.
pub fn folder() -> PathBuf {
    let program = std::env::current_exe().expect("a process knows its program");
    program.parent().expect("a program is in a folder").to_owned()
}

/// The simulator's cdylib: a `libascendcl.so`.
pub fn cdylib() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = folder().join("libascendcl_sim.so");
        assert!(path.is_file(), "{} is missing: run the tests with cargo, which builds it", path.display());
        path
    })
}

/// How many objects are alive in the cdylib.
pub fn cdylib_live() -> usize {
    static COUNT: OnceLock<extern "C" fn() -> usize> = OnceLock::new();
    let count = COUNT.get_or_init(|| {
        let path = CString::new(cdylib().as_os_str().as_encoded_bytes()).expect("a path has no NUL");
        // SAFETY: NUL-terminated strings. The library is the one that the tests have loaded anyway, and is never closed.
        let symbol = unsafe {
            let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
            assert!(!library.is_null(), "the simulator's cdylib loads");
            libc::dlsym(library, c"ascendclsim_live_count".as_ptr())
        };
        assert!(!symbol.is_null(), "the simulator's cdylib tells how many objects are alive");
        // SAFETY: the symbol is a function of this type.
        unsafe { mem::transmute::<*mut libc::c_void, extern "C" fn() -> usize>(symbol) }
    });
    count()
}
