//! The loader against small libraries that are built here: none, broken ones, strangers, one umbrella,
//! a runtime split over several files.

use std::{
    env,
    ffi::CStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use ascendcl_sys::{AclApi, Library, LoadError, Reason, Search, aclError};

/// A folder for one test, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("loader-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Builds a library of functions without parameters that answer a number each.
    fn library(&self, name: &str, functions: &[(&str, i32)]) -> PathBuf {
        let source: String = functions
            .iter()
            .map(|(f, answer)| format!("#[unsafe(no_mangle)] extern \"C\" fn {f}() -> i32 {{ {answer} }}\n"))
            .collect();
        self.build(name, &source, &[])
    }

    fn build(&self, name: &str, source: &str, flags: &[&str]) -> PathBuf {
        let path = self.join(name);
        let source_path = path.with_extension("rs");
        // Without the standard library a build takes a moment only.
        let head = "#![no_std]\n#[panic_handler] fn p(_: &core::panic::PanicInfo) -> ! { loop {} }\n";
        fs::write(&source_path, format!("{head}{source}")).unwrap();
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut command = Command::new(rustc);
        command.args([
            "--edition",
            "2024",
            "--crate-type",
            "cdylib",
            "-C",
            "panic=abort",
            "-C",
            "opt-level=1",
        ]);
        command.args(["--crate-name", "made_for_a_test"]).args(flags);
        let output = command.arg("-o").arg(&path).arg(&source_path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn search(folder: &Folder) -> Search {
    Search::nowhere().folder(&folder.0)
}

/// Calls a function of the table that takes nothing that matters.
fn version(api: &AclApi) -> aclError {
    let function = api.aclFinalize.expect("aclFinalize is there");
    // SAFETY: the libraries of this file define it without parameters.
    unsafe { function() }
}

#[test]
fn a_missing_library_names_every_candidate() {
    let (first, second) = (Folder::new(), Folder::new());
    let places = Search::nowhere().folder(&first.0).folder(&second.0);
    let error = Library::open(&places).unwrap_err();
    assert!(error.is_not_found());
    let LoadError::NotFound { attempts, named: false, .. } = &error else { panic!("{error:?}") };
    let tried: Vec<_> = attempts.iter().map(|a| a.path.clone()).collect();
    let names = ["libascendcl.so", "libacl_rt.so"];
    let expected: Vec<_> = [&first, &second].into_iter().flat_map(|f| names.map(|n| f.join(n))).collect();
    assert_eq!(tried, expected);
    assert!(attempts.iter().all(|a| a.reason == Reason::NoSuchFile));

    let text = error.to_string();
    assert!(text.starts_with("no AscendCL library was found"), "{text}");
    assert!(expected.iter().all(|path| text.contains(&path.display().to_string())), "{text}");
    assert_eq!(text.matches("file does not exist").count(), 4, "{text}");
    let advice = text.lines().last().unwrap();
    assert!(advice.contains("set_env.sh") && advice.contains("ASCENDCL_LIBRARY"), "{text}");
}

#[test]
fn the_loader_path_is_told_apart_from_files() {
    // No machine that runs this test has an ACL installed; one that has is no place to test its absence.
    let error = match Library::open(&Search::nowhere().loader_path()) {
        Ok(_) => return,
        Err(error) => error,
    };
    let LoadError::NotFound { attempts, .. } = &error else { panic!("{error:?}") };
    assert_eq!(attempts[0].path, Path::new("libascendcl.so"));
    let Reason::Loader(text) = &attempts[0].reason else { panic!("{error:?}") };
    assert!(text.contains("libascendcl.so"), "{text}");
    assert!(error.to_string().contains("the loader's search path"), "{error}");
}

#[test]
fn a_named_library_that_is_missing_is_an_error_of_its_own() {
    let folder = Folder::new();
    folder.library("libascendcl.so", &[("aclInit", 0)]);
    let named = folder.join("typo.so");
    let variables = |name: &str| match name {
        "ASCENDCL_LIBRARY" => Some(named.clone().into_os_string()),
        "ASCEND_HOME_PATH" => Some(folder.0.clone().into_os_string()),
        _ => None,
    };
    let error = Library::open(&Search::from_variables(variables).hint(Some(&folder.0))).unwrap_err();
    assert!(matches!(error, LoadError::NotFound { named: true, .. }), "{error:?}");
    assert!(!error.is_not_found(), "a typing error is no reason to do without ACL");
    let text = error.to_string();
    assert!(text.contains("typo.so (ASCENDCL_LIBRARY): file does not exist"), "{text}");

    let error = Library::open(&Search::file(&folder.0)).unwrap_err();
    assert!(error.to_string().contains("is not a file"), "{error}");
}

#[test]
fn a_file_that_is_no_library_is_broken_and_ends_the_search() {
    let (before, broken, good) = (Folder::new(), Folder::new(), Folder::new());
    fs::write(broken.join("libascendcl.so"), "INPUT(libacl_rt.so)").unwrap();
    good.library("libascendcl.so", &[("aclInit", 0)]);
    let places = Search::nowhere().folder(&before.0).folder(&broken.0).folder(&good.0);
    let error = Library::open(&places).unwrap_err();
    let LoadError::Broken { path, reason, attempts, .. } = &error else { panic!("{error:?}") };
    assert_eq!(path, &broken.join("libascendcl.so"));
    assert!(!reason.is_empty());
    assert_eq!(attempts.len(), 2);
    assert!(!error.is_not_found());
    let text = error.to_string();
    assert!(text.contains("is there but cannot be loaded") && text.contains(reason), "{text}");
    assert!(text.contains("file does not exist") && text.ends_with("libascendcl.so"), "{text}");
}

#[test]
fn a_library_for_another_machine_is_broken() {
    let folder = Folder::new();
    let path = folder.library("libascendcl.so", &[("aclInit", 0)]);
    let mut bytes = fs::read(&path).unwrap();
    // The machine in the ELF header: 68000, which no Ascend server has.
    bytes[18..20].copy_from_slice(&4u16.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let error = Library::open(&search(&folder)).unwrap_err();
    assert!(matches!(error, LoadError::Broken { .. }), "{error:?}");
}

#[test]
fn a_library_without_what_it_needs_is_broken() {
    let folder = Folder::new();
    folder.library("libneeded.so", &[("needed", 1)]);
    let source = "unsafe extern \"C\" { fn needed() -> i32; }\n\
                  #[unsafe(no_mangle)] extern \"C\" fn aclInit() -> i32 { unsafe { needed() } }";
    let flags = ["-L", folder.0.to_str().unwrap(), "-l", "dylib=needed"];
    let path = folder.build("libascendcl.so", source, &flags);
    fs::remove_file(folder.join("libneeded.so")).unwrap();
    let error = Library::open(&Search::file(&path)).unwrap_err();
    let LoadError::Broken { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("libneeded.so"), "{reason}");
}

#[test]
fn a_link_into_nowhere_is_broken() {
    let folder = Folder::new();
    std::os::unix::fs::symlink("gone.so", folder.join("libascendcl.so")).unwrap();
    let error = Library::open(&search(&folder)).unwrap_err();
    assert!(matches!(error, LoadError::Broken { .. }), "{error:?}");
}

#[test]
fn a_library_of_something_else_is_not_acl() {
    let folder = Folder::new();
    let path = folder.library("libascendcl.so", &[("png_read", 0)]);
    let error = Library::open(&search(&folder)).unwrap_err();
    let LoadError::NotAcl { path: found, .. } = &error else { panic!("{error:?}") };
    assert_eq!(found, &path);
    assert!(error.to_string().contains("is no AscendCL library"), "{error}");
}

#[test]
fn an_umbrella_fills_the_table_and_leaves_the_rest_empty() {
    let folder = Folder::new();
    let path = folder.library("libascendcl.so", &[("aclInit", 0), ("aclFinalize", 7)]);
    let library = Library::open(&search(&folder)).unwrap();
    assert_eq!(library.paths(), [path]);
    assert!(library.skipped().is_empty());
    let present: Vec<&CStr> =
        library.api().addresses().filter(|(_, a)| !a.is_null()).map(|(f, _)| f.name).collect();
    assert_eq!(present, [c"aclFinalize", c"aclInit"]);
    assert!(library.api().aclrtSetDevice.is_none());
    assert_eq!(version(library.api()), 7);

    let again = Library::open(&Search::file(folder.join("libascendcl.so"))).unwrap();
    assert!(std::ptr::eq(library.api(), again.api()), "the same library has one table");
}

#[test]
fn a_split_runtime_is_resolved_over_its_libraries_in_order() {
    let folder = Folder::new();
    let runtime = folder.library("libacl_rt.so", &[("aclrtSetDevice", 0), ("aclFinalize", 1)]);
    let models = folder.library("libacl_mdl.so", &[("aclmdlExecute", 0), ("aclFinalize", 2)]);
    fs::write(folder.join("libhccl.so"), "not a library").unwrap();
    let library = Library::open(&search(&folder)).unwrap();
    assert_eq!(library.paths(), [runtime, models]);
    let api = library.api();
    assert!(api.aclrtSetDevice.is_some() && api.aclmdlExecute.is_some() && api.aclInit.is_none());
    assert_eq!(version(api), 1, "the first library that has a function gives it");

    let skipped: Vec<_> = library.skipped().iter().map(|a| a.path.clone()).collect();
    assert_eq!(skipped, [folder.join("libhccl.so")]);
}

#[test]
fn an_umbrella_comes_before_the_libraries_beside_it() {
    let folder = Folder::new();
    folder.library("libascendcl.so", &[("aclInit", 0), ("aclFinalize", 1)]);
    folder.library("libacl_rt.so", &[("aclFinalize", 2), ("aclrtSetDevice", 0)]);
    let library = Library::open(&search(&folder)).unwrap();
    assert_eq!(library.paths(), [folder.join("libascendcl.so"), folder.join("libacl_rt.so")]);
    assert_eq!(version(library.api()), 1);
    assert!(library.api().aclrtSetDevice.is_some());
}

#[test]
fn the_home_variables_lead_to_lib64() {
    let home = Folder::new();
    fs::create_dir(home.join("lib64")).unwrap();
    let path = home.library("lib64/libascendcl.so", &[("aclInit", 0)]);
    for variable in ["ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"] {
        let search =
            Search::from_variables(|name| (name == variable).then(|| home.0.clone().into_os_string()));
        assert_eq!(Library::open(&search).unwrap().paths(), [path.as_path()]);
    }
}

/// The part of the next test that needs another environment from its start.
#[test]
#[ignore = "run by the_loader_path_finds_a_library"]
fn child_opens_by_the_loader_path() {
    match Library::open(&Search::nowhere().loader_path()) {
        Ok(library) => println!("found {}", library.paths()[0].display()),
        Err(error) => println!("{error:?}"),
    }
}

#[test]
fn the_loader_path_finds_a_library() {
    let child = |folder: &Folder| {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "child_opens_by_the_loader_path", "--nocapture"])
            .env("LD_LIBRARY_PATH", &folder.0)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let (good, broken, needy) = (Folder::new(), Folder::new(), Folder::new());
    let path = good.library("libascendcl.so", &[("aclInit", 0)]);
    // Where the C library cannot say which file it found, the name stands for it.
    let said = child(&good);
    let found = if cfg!(target_env = "gnu") { path.display().to_string() } else { "libascendcl.so".into() };
    assert!(said.contains(&format!("found {found}")), "{said}");

    fs::write(broken.join("libascendcl.so"), "not a library at all, whatever its name says").unwrap();
    let said = child(&broken);
    assert!(said.contains("is there but cannot be loaded"), "{said}");

    needy.library("libneeded.so", &[("needed", 1)]);
    let source = "unsafe extern \"C\" { fn needed() -> i32; }\n\
                  #[unsafe(no_mangle)] extern \"C\" fn aclInit() -> i32 { unsafe { needed() } }";
    needy.build("libascendcl.so", source, &["-L", needy.0.to_str().unwrap(), "-l", "dylib=needed"]);
    fs::remove_file(needy.join("libneeded.so")).unwrap();
    let said = child(&needy);
    assert!(said.contains("is there but cannot be loaded") && said.contains("libneeded.so"), "{said}");
}
