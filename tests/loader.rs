//! Choosing and loading a backend, and everything that can be wrong with a library.

mod support;

use ascendcl::{Acl, Backend, BackendChoice, Error, ErrorKind, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use support::child;

/// A folder of this process, for libraries made by the tests.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ascendcl-loader-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for the test can be made");
    folder
}

/// Compiles a library: the one tool that is there for sure is the compiler that made this test.
fn compile(folder: &Path, name: &str, source: &str) -> PathBuf {
    let input = folder.join("source.rs");
    fs::write(&input, source).expect("the source can be written");
    let output = folder.join(name);
    let beside_cargo = std::env::var_os("CARGO").map(|cargo| Path::new(&cargo).with_file_name("rustc"));
    let compiler = beside_cargo.filter(|path| path.is_file()).unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(compiler);
    command
        .args(["--edition=2024", "--crate-type=cdylib", "--crate-name=stand_in", "-o"])
        .arg(&output)
        .arg(&input);
    child::wait(command).success();
    output
}

fn load(path: &Path) -> Result<Acl> {
    Acl::builder().library(path).build()
}

/// The text of a library that cannot be loaded.
fn refused(path: &Path) -> String {
    match load(path) {
        Err(Error::Load(error)) => {
            assert!(!error.is_not_found(), "a library that was named is meant: {error}");
            Error::Load(error).to_string()
        }
        Err(other) => panic!("{other:?}"),
        Ok(acl) => panic!("{acl:?}"),
    }
}

#[test]
fn a_named_library_that_is_not_there() {
    for choice in [None, Some(BackendChoice::Auto), Some(BackendChoice::Cann)] {
        let mut builder = Acl::builder().library("/no/such/libascendcl.so");
        if let Some(choice) = choice {
            builder = builder.backend(choice);
        }
        match builder.build() {
            Err(Error::Load(error)) => {
                let text = error.to_string();
                assert!(
                    text.contains("/no/such/libascendcl.so") && text.contains("does not exist"),
                    "{text}"
                );
                assert!(
                    text.contains("set_env.sh") && text.contains("ASCENDCL_LIBRARY"),
                    "it says what to do: {text}"
                );
            }
            other => panic!("{choice:?}: {other:?}"),
        }
    }
}

#[test]
fn files_that_are_no_libraries() {
    let folder = folder("broken");
    let broken = folder.join("libascendcl.so");
    fs::write(&broken, "this is no library").unwrap();
    let text = refused(&broken);
    assert!(text.contains(&*broken.to_string_lossy()) && text.contains("cannot be loaded"), "{text}");
    // The beginning of one that is.
    fs::write(&broken, &fs::read(support::cdylib()).unwrap()[..40]).unwrap();
    refused(&broken);
    fs::write(&broken, "").unwrap();
    refused(&broken);
    refused(&folder);
    // A link into nowhere is a damaged installation.
    let dangling = folder.join("dangling.so");
    std::os::unix::fs::symlink("nowhere.so", &dangling).unwrap();
    refused(&dangling);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_library_that_was_cut_off() {
    // In a process of its own: the dynamic loader would kill it.
    child::run("cut-off", &[]).success();
}

fn load_what_was_cut_off() {
    let folder = folder("cut-off");
    let library = folder.join("libascendcl.so");
    let whole = fs::read(support::cdylib()).unwrap();
    for length in [100, 4096, whole.len() / 100, whole.len() / 10, whole.len() / 4] {
        fs::write(&library, &whole[..length]).unwrap();
        let text = refused(&library);
        assert!(text.contains("cannot be loaded: the file is truncated"), "{length}: {text}");
        assert!(text.contains(&format!("{length} bytes")) && text.contains("install it anew"), "{text}");
    }
    // Beside a library that is whole it is a part of CANN that is missing, and no more.
    fs::write(&library, &whole).unwrap();
    fs::write(folder.join("libacl_mdl.so"), &whole[..whole.len() / 10]).unwrap();
    let acl = load(&library).unwrap();
    assert_eq!(acl.device_count().unwrap(), 4);
    assert!(acl.finalize().unwrap());
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_library_that_is_not_acl() {
    let folder = folder("other");
    let library =
        compile(&folder, "libother.so", "#[unsafe(no_mangle)] pub extern \"C\" fn something_else() {}");
    let text = refused(&library);
    assert!(text.contains("neither aclInit nor aclrtSetDevice"), "{text}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_stub_library_for_linking_says_what_it_is() {
    let folder = folder("stub");
    let library = compile(
        &folder,
        "libascendcl.so",
        "use std::ffi::{c_char, c_int};
         #[unsafe(no_mangle)] pub extern \"C\" fn aclInit(_: *const c_char) -> c_int { 100039 }
         #[unsafe(no_mangle)] pub extern \"C\" fn aclFinalize() -> c_int { 100039 }
         #[unsafe(no_mangle)] pub extern \"C\" fn aclrtSetDevice(_: c_int) -> c_int { 100039 }",
    );
    match load(&library) {
        Err(Error::Acl(error)) => {
            assert_eq!((error.code.kind(), error.op), (ErrorKind::StubLibrary, "aclInit"));
            let text = error.to_string();
            assert!(text.contains("stub for linking") && text.contains("ASCENDCL_LIBRARY"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// A very old ACL: it can be initialised, and knows one device.
const OLD: &str = "
use std::{ffi::{c_char, c_int, c_void}, ptr};
#[unsafe(no_mangle)] pub extern \"C\" fn aclInit(_: *const c_char) -> c_int { 0 }
#[unsafe(no_mangle)] pub extern \"C\" fn aclFinalize() -> c_int { 0 }
#[unsafe(no_mangle)] pub extern \"C\" fn aclrtSetDevice(id: c_int) -> c_int { if id == 0 { 0 } else { 107001 } }
#[unsafe(no_mangle)] pub extern \"C\" fn aclrtResetDevice(_: c_int) -> c_int { 0 }
#[unsafe(no_mangle)] pub unsafe extern \"C\" fn aclrtGetCurrentContext(context: *mut *mut c_void) -> c_int {
    unsafe { context.write(ptr::without_provenance_mut(64)) };
    0
}
#[unsafe(no_mangle)] pub extern \"C\" fn aclrtSetCurrentContext(_: *mut c_void) -> c_int { 0 }
";

#[test]
fn a_library_without_some_functions() {
    fn missing<T>(result: Result<T>) -> &'static str {
        match result {
            Err(Error::MissingSymbol { function }) => function,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("nothing is missing"),
        }
    }
    let folder = folder("old");
    let library = compile(&folder, "libascendcl.so", OLD);
    let acl = load(&library).unwrap();
    match acl.backend() {
        Backend::Cann { libraries } => assert_eq!(libraries, &[library]),
        other => panic!("{other:?}"),
    }
    assert!(acl.supports("aclInit") && !acl.supports("aclrtCreateStream"));
    assert_eq!(missing(acl.version()), "aclrtGetVersion");
    assert_eq!(missing(acl.soc_name()), "aclrtGetSocName");
    assert_eq!(missing(acl.run_mode()), "aclrtGetRunMode");
    assert_eq!(missing(acl.device_count()), "aclrtGetDeviceCount");
    assert_eq!(missing(acl.devices()), "aclrtGetDeviceCount");
    // Errors have no text there, but a name and a number.
    let error = acl.device(1).unwrap_err().to_string();
    assert!(error.contains("ACL_ERROR_RT_INVALID_DEVICEID (107001) on device 1"), "{error}");
    let device = acl.device(0).unwrap();
    assert_eq!(missing(device.create_context()), "aclrtCreateContext");
    assert_eq!(missing(device.memory_info()), "aclrtGetMemInfo");
    assert_eq!(missing(device.synchronize()), "aclrtSynchronizeDevice");
    let context = device.primary_context();
    assert_eq!(missing(context.create_stream()), "aclrtCreateStream");
    assert_eq!(missing(context.create_event()), "aclrtCreateEvent");
    assert_eq!(missing(context.create_event_ex(ascendcl::EventFlags::SYNC)), "aclrtCreateEventExWithFlag");
    assert_eq!(missing(context.alloc::<u8>(1)), "aclrtMalloc");
    assert_eq!(missing(context.alloc_pinned::<u8>(1)), "aclrtMallocHost");
    assert_eq!(missing(ascendcl::Model::load(&context, "x.om")), "aclmdlLoadFromFile");
    assert_eq!(missing(context.synchronize()), "aclrtSynchronizeDevice");
    // What does not need ACL works.
    assert_eq!(context.alloc::<u8>(0).unwrap().to_vec().unwrap(), []);
    drop((context, device));
    assert!(acl.finalize().unwrap());
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_installation_that_is_split_over_libraries() {
    let folder = folder("split");
    let lib64 = folder.join("lib64");
    fs::create_dir_all(&lib64).unwrap();
    compile(&lib64, "libacl_rt.so", OLD);
    compile(
        &lib64,
        "libacl_mdl.so",
        "#[unsafe(no_mangle)] pub extern \"C\" fn aclmdlUnload(_: u32) -> i32 { 0 }",
    );
    let ended = child::run("library-of-the-environment", &[("ASCEND_HOME_PATH", &folder.to_string_lossy())])
        .success();
    assert!(
        ended.stdout.contains("libacl_rt.so") && ended.stdout.contains("aclmdlUnload: true"),
        "{ended:#?}"
    );
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_environment_chooses() {
    let cdylib = support::cdylib().to_string_lossy();
    let home = folder("home");
    fs::create_dir_all(home.join("lib64")).unwrap();
    std::os::unix::fs::symlink(support::cdylib(), home.join("lib64/libascendcl.so")).unwrap();
    let home_path = home.to_string_lossy();
    for (environment, expected) in [
        (vec![("ASCENDCL_BACKEND", "sim")], "simulator"),
        (vec![("ASCENDCL_BACKEND", "SIM")], "simulator"),
        (vec![("ASCENDCL_BACKEND", "sim"), ("ASCENDCL_LIBRARY", "/no/such.so")], "simulator"),
        (vec![("ASCENDCL_LIBRARY", &cdylib)], "libascendcl_sim.so"),
        (vec![("ASCENDCL_LIBRARY", &cdylib), ("ASCENDCL_BACKEND", "cann")], "libascendcl_sim.so"),
        (vec![("ASCENDCL_LIBRARY", &cdylib), ("ASCENDCL_BACKEND", "auto")], "libascendcl_sim.so"),
        (vec![("ASCEND_HOME_PATH", &home_path), ("ASCENDCL_BACKEND", "cann")], "CANN ("),
        (vec![("ASCEND_TOOLKIT_HOME", &home_path)], "CANN ("),
    ] {
        let ended = child::run("backend-of-the-environment", &environment).success();
        assert!(ended.stdout.contains(expected), "{environment:?}: {ended:#?}");
    }
    fs::remove_dir_all(&home).unwrap();
}

#[test]
fn the_environment_is_wrong() {
    let broken = folder("wrong");
    fs::create_dir_all(broken.join("lib64")).unwrap();
    fs::write(broken.join("lib64/libascendcl.so"), "this is no library").unwrap();
    let broken_path = broken.to_string_lossy();
    for (environment, expected) in [
        (vec![("ASCENDCL_BACKEND", "typo")], vec!["ASCENDCL_BACKEND", "`typo`", "`auto`, `cann` or `sim`"]),
        (vec![("ASCENDCL_LIBRARY", "/no/such.so")], vec!["/no/such.so", "does not exist"]),
        // One that is there and does not load is never a reason to simulate.
        (vec![("ASCEND_HOME_PATH", &broken_path)], vec!["lib64/libascendcl.so", "cannot be loaded"]),
        (vec![("ASCENDCL_BACKEND", "cann"), ("ASCEND_HOME_PATH", &broken_path)], vec!["cannot be loaded"]),
    ] {
        let ended = child::run("backend-of-the-environment", &environment);
        assert_eq!(ended.status.and_then(|status| status.code()), Some(7), "{environment:?}: {ended:#?}");
        for part in expected {
            assert!(ended.stderr.contains(part), "{environment:?} lacks {part}: {ended:#?}");
        }
    }
    fs::remove_dir_all(&broken).unwrap();
}

#[test]
fn cann_without_cann_lists_where_it_looked() {
    if Path::new("/usr/local/Ascend").exists() {
        return;
    }
    let ended = child::run(
        "backend-of-the-environment",
        &[("ASCENDCL_BACKEND", "cann"), ("ASCEND_HOME_PATH", "/no/home")],
    );
    assert_eq!(ended.status.and_then(|status| status.code()), Some(7), "{ended:#?}");
    for part in [
        "/no/home/lib64/libascendcl.so",
        "ASCEND_HOME_PATH",
        "libacl_rt.so",
        "/usr/local/Ascend/ascend-toolkit/latest/lib64/libascendcl.so",
        "set_env.sh",
    ] {
        assert!(ended.stderr.contains(part), "lacks {part}: {ended:#?}");
    }
    // Without a choice the simulator answers.
    let ended = child::run("backend-of-the-environment", &[]).success();
    assert!(ended.stdout.contains("simulator"), "{ended:#?}");
}

#[test]
fn names_of_backends() {
    for (name, choice) in
        [("auto", BackendChoice::Auto), ("", BackendChoice::Auto), ("Cann", BackendChoice::Cann)]
    {
        assert_eq!(name.parse(), Ok(choice));
    }
    let error = "npu".parse::<BackendChoice>().unwrap_err();
    assert_eq!(error.to_string(), "`npu` is no backend: use `auto`, `cann` or `sim`");
    assert_eq!(Backend::Sim.to_string(), "simulator");
}

sim_test! {
    fn two_backends_in_one_process() {
        let embedded = support::Target::Embedded.open()?;
        let loaded = support::Target::Cdylib.open()?;
        assert_ne!(embedded.backend(), loaded.backend());
        let [here, there] = [&embedded, &loaded].map(|acl| acl.device(0).unwrap());
        assert_ne!(here, there, "device 0 of another backend is another device");
        let streams = [&here, &there].map(|device| device.create_context().unwrap().create_stream().unwrap());
        for (number, stream) in streams.iter().enumerate() {
            assert_eq!(stream.launch_callback(move || number)?.wait()?, number);
        }
        // What is of one does not go into the other.
        let foreign = streams[1].context().create_event()?;
        assert!(matches!(streams[0].record(&foreign), Err(Error::Mismatch { .. })));
        let (a, b) = (streams[0].context().alloc::<u8>(8)?, streams[1].context().alloc::<u8>(8)?);
        assert!(matches!(streams[0].memset(&b, 1), Err(Error::Mismatch { .. })));
        let between = streams[0].copy(&a, &b);
        assert!(matches!(between, Err(Error::Mismatch { .. })), "{between:?}");
        let between = a.copy_from(&b);
        assert!(matches!(between, Err(Error::Mismatch { .. })), "{between:?}");
        assert!(here.enable_peer_access(&there).is_err());
        drop((streams, foreign, a, b, here, there));
        assert!(embedded.finalize()?);
        assert_eq!(loaded.device_count()?, 4, "the other one goes on");
        assert!(loaded.finalize()?);
        assert_eq!(support::cdylib_live(), 0);
    }
}

/// What the children do. In the process of the tests it is nothing.
#[test]
fn child() {
    let Some(role) = child::role() else { return };
    if role == "cut-off" {
        return load_what_was_cut_off();
    }
    let acl = Acl::new().unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(7);
    });
    println!("backend: {}", acl.backend());
    if role == "library-of-the-environment" {
        println!("aclmdlUnload: {}", acl.supports("aclmdlUnload"));
    }
}
