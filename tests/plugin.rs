//! The crate as a part of a plugin: a `cdylib` that a host opens, uses and closes, while threads of the crate, and of the simulator
//! inside the plugin, are running.

mod support;

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    fs, mem,
    path::{Path, PathBuf},
    ptr, thread,
    time::Duration,
};
use support::{Target, child};

/// How often the plugin is opened and closed in one process.
const ROUNDS: usize = 25;

/// Runs a role with the simulator inside the plugin, and with the cdylib that the plugin loads.
fn both(role: &str) {
    child::run(&format!("{role} embedded"), &[]).success();
    child::run(&format!("{role} cdylib"), &[]).success();
}

#[test]
fn a_plugin_that_did_nothing_is_unloaded() {
    child::run("idle embedded", &[]).success();
}

#[test]
fn what_was_initialised_is_remembered() {
    both("remembered");
}

#[test]
fn the_simulator_alone_is_kept() {
    child::run("simulator embedded", &[]).success();
}

#[test]
fn the_simulator_as_a_library_is_kept() {
    child::run("library cdylib", &[]).success();
}

#[test]
fn closed_after_all_work_was_done() {
    both("close");
}

#[test]
fn closed_with_work_and_threads_outstanding() {
    both("close-busy");
}

#[test]
fn opened_and_closed_again_and_again() {
    both("again");
}

#[test]
fn opened_and_closed_by_several_threads_at_once() {
    both("threads");
}

#[test]
fn closed_while_another_thread_is_inside() {
    both("close-inside");
}

#[test]
fn a_thread_that_ends_after_the_plugin_was_closed() {
    both("thread-local");
}

#[test]
fn forked_after_the_plugin_was_closed() {
    both("fork");
}

#[test]
fn exited_after_the_plugin_was_closed() {
    for role in ["exit embedded", "exit cdylib"] {
        let ended =
            child::run(role, &[("ASCENDCL_SIM_LEAKS", "report"), ("ASCENDCL_SIM_TRACE", "/dev/null")]);
        assert_eq!(ended.status.and_then(|status| status.code()), Some(5), "{ended:#?}");
        assert!(ended.stderr.contains("callback subscription ("), "the handlers at exit ran: {ended:#?}");
    }
}

#[test]
fn closed_and_its_file_deleted() {
    both("deleted");
}

#[test]
fn two_plugins_with_a_crate_each() {
    both("two");
}

#[test]
fn a_host_that_uses_the_crate_itself() {
    both("host");
}

#[test]
fn a_host_and_two_plugins_that_share_a_library() {
    child::run("shared cdylib", &[]).success();
}

type Work = unsafe extern "C" fn(*const c_char) -> c_int;

/// The plugin as a host sees it: a handle and names.
struct Plugin(*mut c_void);

// SAFETY: handles of the dynamic loader may be used from any thread.
unsafe impl Send for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Plugin {}

fn path() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let path = program.with_file_name("libascendcl_test_plugin.so");
    assert!(path.is_file(), "{} is missing: run the tests with cargo, which builds it", path.display());
    path
}

fn c_string(path: &Path) -> CString {
    CString::new(path.as_os_str().as_encoded_bytes()).unwrap()
}

impl Plugin {
    fn open(path: &Path) -> Plugin {
        // SAFETY: a C string; the plugin's initialisers are those of the Rust runtime.
        let handle = unsafe { libc::dlopen(c_string(path).as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        // SAFETY: the text is valid until the next call of the loader on this thread.
        assert!(!handle.is_null(), "{:?}", unsafe { CStr::from_ptr(libc::dlerror()) });
        Plugin(handle)
    }

    fn address(&self, name: &CStr) -> *mut c_void {
        // SAFETY: the handle is open.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!address.is_null(), "the plugin has {name:?}");
        address
    }

    /// Calls one of the functions that take a library, on a thread that then ends: while there is a thread whose thread-local values the
    /// plugin has to destroy, the loader keeps it all the same.
    fn call(&self, name: &CStr, library: Option<&CStr>) -> c_int {
        thread::scope(|scope| scope.spawn(|| self.call_here(name, library)).join().unwrap())
    }

    /// Calls it on this thread.
    fn call_here(&self, name: &CStr, library: Option<&CStr>) -> c_int {
        // SAFETY: the functions that the tests name are of this type.
        let function = unsafe { mem::transmute::<*mut c_void, Work>(self.address(name)) };
        // SAFETY: NULL or a C string.
        unsafe { function(library.map_or(ptr::null(), CStr::as_ptr)) }
    }

    /// Calls one of the functions that take nothing.
    fn ask(&self, name: &CStr) -> c_int {
        // SAFETY: as above.
        let function = unsafe { mem::transmute::<*mut c_void, extern "C" fn() -> c_int>(self.address(name)) };
        thread::scope(|scope| scope.spawn(|| function()).join().unwrap())
    }

    fn close(self) {
        // SAFETY: opened once, closed once; that nobody crashes then is what the tests are about.
        assert_eq!(unsafe { libc::dlclose(self.0) }, 0);
    }
}

/// Whether the library is in this process.
fn is_loaded(path: &Path) -> bool {
    // SAFETY: a C string; nothing is loaded.
    let handle = unsafe { libc::dlopen(c_string(path).as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    if handle.is_null() {
        return false;
    }
    // SAFETY: opened just now.
    unsafe { libc::dlclose(handle) };
    true
}

/// Long enough for threads to run into what is not there any more: the reaper and the report thread look every 100 milliseconds.
fn let_threads_run() {
    thread::sleep(Duration::from_millis(300));
}

/// Another plugin with the same code: the loader knows files by their place on the disk. The file is gone again at once.
fn open_copy(name: &str) -> Plugin {
    let copy = std::env::temp_dir().join(format!("ascendcl-plugin-{}-{name}.so", std::process::id()));
    fs::copy(path(), &copy).unwrap();
    let plugin = Plugin::open(&copy);
    fs::remove_file(&copy).unwrap();
    plugin
}

/// Forks; the child ends by itself, with `code`.
fn fork(child: impl FnOnce() -> c_int) {
    // SAFETY: the child calls only what the test is about, and `_exit`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: ends it without running what is the parent's.
        unsafe { libc::_exit(child()) };
    }
    child::reap(pid);
}

/// What the children do. In the process of the tests it is nothing.
#[test]
fn child() {
    let Some(role) = child::role() else { return };
    let (role, target) = role.split_once(' ').unwrap();
    let named = library(target);
    let library = named.as_deref();
    let path = path();
    let plugin = Plugin::open(&path);
    match role {
        "idle" => {
            assert!(
                !is_loaded(Path::new("libascendcl.so")),
                "who looks for CANN would find the plugin instead"
            );
            assert_eq!(plugin.ask(c"plugin_idle"), 0);
            plugin.close();
            assert!(!is_loaded(&path), "nothing of the crate was used, so nothing keeps the plugin");
        }
        "remembered" => {
            assert_eq!(plugin.call(c"plugin_initialise", library), 0);
            plugin.close();
            assert!(is_loaded(&path), "what the crate knows of ACL must not be lost");
            let plugin = Plugin::open(&path);
            assert_eq!(plugin.call(c"plugin_finalize", library), 0, "it knows who initialised ACL");
            assert_eq!(plugin.call(c"plugin_finalize", library), 0, "and that it was finalised");
        }
        "simulator" => {
            assert_eq!(plugin.ask(c"plugin_simulate"), 0);
            plugin.close();
            assert!(is_loaded(&path), "the simulator starts threads");
            assert_eq!(Plugin::open(&path).ask(c"plugin_simulate"), 100_002);
        }
        "library" => {
            let simulator = Plugin::open(support::cdylib());
            assert_eq!(simulator.call(c"aclInit", None), 0);
            simulator.close();
            assert!(is_loaded(support::cdylib()), "the simulator starts threads");
            let simulator = Plugin::open(support::cdylib());
            assert_eq!(simulator.call(c"aclInit", None), 100_002);
            assert_eq!(simulator.ask(c"aclFinalize"), 0);
        }
        "close" => {
            assert_eq!(plugin.call(c"plugin_work", library), 0);
            assert_eq!(plugin.call(c"plugin_finalize", library), 0);
            plugin.close();
            let_threads_run();
            assert!(is_loaded(&path), "threads of the crate are running in it");
        }
        "close-busy" => {
            assert_eq!(plugin.call(c"plugin_work", library), 0);
            assert_eq!(plugin.call(c"plugin_hold", library), 0);
            plugin.close();
            let_threads_run();
        }
        "again" => {
            plugin.close();
            for round in 0..ROUNDS {
                let plugin = Plugin::open(&path);
                assert_eq!(plugin.call(c"plugin_work", library), 0);
                if round % 2 == 0 {
                    assert_eq!(plugin.call(c"plugin_finalize", library), 0);
                    assert_eq!(plugin.ask(c"plugin_live"), 0);
                }
                plugin.close();
            }
            assert_eq!(Plugin::open(&path).call(c"plugin_hold", library), 0);
            let_threads_run();
        }
        "threads" => {
            plugin.close();
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..ROUNDS {
                            let plugin = Plugin::open(&path);
                            assert_eq!(plugin.call(c"plugin_work", library), 0);
                            plugin.close();
                        }
                    });
                }
            });
        }
        "close-inside" => thread::scope(|scope| {
            // Each thread has opened it for itself, as the loader's rules demand.
            let other = Plugin::open(&path);
            let inside = scope.spawn(move || {
                let answers: Vec<c_int> = (0..50).map(|_| other.call(c"plugin_work", library)).collect();
                other.close();
                answers
            });
            assert_eq!(plugin.call(c"plugin_work", library), 0);
            plugin.close();
            assert!(inside.join().unwrap().iter().all(|&answer| answer == 0));
            let_threads_run();
        }),
        "thread-local" => {
            thread::spawn({
                let named = named.clone();
                move || {
                    assert_eq!(plugin.call_here(c"plugin_keep_for_thread", named.as_deref()), 0);
                    plugin.close();
                }
            })
            .join()
            .unwrap();
            let_threads_run();
            let plugin = Plugin::open(&path);
            assert_eq!(plugin.call(c"plugin_finalize", library), 0);
            assert_eq!(plugin.ask(c"plugin_live"), 0, "the stream went with its thread");
        }
        "fork" => {
            assert_eq!(plugin.call(c"plugin_work", library), 0);
            assert_eq!(plugin.call(c"plugin_hold", library), 0);
            plugin.close();
            fork(|| 0);
            // The plugin knows that it is in a child, opened again too.
            fork(|| if Plugin::open(&path).call(c"plugin_work", library) == 11 { 0 } else { 9 });
            let_threads_run();
            assert_eq!(Plugin::open(&path).call(c"plugin_work", library), 0, "the parent is not a child");
        }
        "exit" => {
            assert_eq!(plugin.call(c"plugin_hold", library), 0);
            plugin.close();
            std::process::exit(5);
        }
        "deleted" => {
            plugin.close();
            let plugin = open_copy("deleted");
            assert_eq!(plugin.call(c"plugin_work", library), 0);
            assert_eq!(plugin.call(c"plugin_hold", library), 0);
            plugin.close();
            let_threads_run();
        }
        "two" => {
            plugin.close();
            let [first, second] = ["first", "second"].map(open_copy);
            assert_ne!(first.address(c"plugin_work"), second.address(c"plugin_work"));
            assert_eq!(first.call(c"plugin_work", library), 0);
            for _ in 0..5 {
                thread::scope(|scope| {
                    for plugin in [&first, &second, &first, &second] {
                        scope.spawn(|| assert_eq!(plugin.call(c"plugin_work", library), 0));
                    }
                });
            }
            assert_eq!(first.call(c"plugin_hold", library), 0);
            let first_live = first.ask(c"plugin_live");
            assert_eq!(second.call(c"plugin_finalize", library), if library.is_some() { 10 } else { 0 });
            assert_eq!(second.ask(c"plugin_live"), 0, "each has a simulator of its own");
            assert!(library.is_some() || first_live > 0);
            first.close();
            // The second goes on, whatever became of the first.
            assert_eq!(second.call(c"plugin_work", library), 0);
            second.close();
            let_threads_run();
        }
        "host" => {
            let acl = Target::Embedded.open().unwrap();
            let stream = acl.device(0).unwrap().create_context().unwrap().create_stream().unwrap();
            assert_eq!(plugin.call(c"plugin_work", library), 0);
            assert_eq!(plugin.call(c"plugin_hold", library), 0);
            assert_eq!(stream.launch_callback(|| 3).unwrap().wait().unwrap(), 3);
            plugin.close();
            assert_eq!(stream.launch_callback(|| 4).unwrap().wait().unwrap(), 4);
            drop(stream);
            // What the plugin has left is no handle of ours.
            assert!(acl.finalize().unwrap());
            assert!(ascendcl_sim::live().is_empty());
            let_threads_run();
        }
        "shared" => {
            let library = library.unwrap();
            let acl = Target::Cdylib.open().unwrap();
            let other = open_copy("sharing");
            thread::scope(|scope| {
                for plugin in [&plugin, &other] {
                    scope.spawn(|| {
                        for _ in 0..10 {
                            assert_eq!(plugin.call(c"plugin_work", Some(library)), 0);
                        }
                    });
                }
                let context = acl.device(0).unwrap().create_context().unwrap();
                for number in 0..50 {
                    let stream = context.create_stream().unwrap();
                    let buffer = context.alloc_from(&[number; 100]).unwrap();
                    assert_eq!(stream.launch_callback(move || number).unwrap().wait().unwrap(), number);
                    assert_eq!(buffer.to_vec().unwrap(), [number; 100]);
                }
            });
            // The host was first: what it initialised nobody else finalises.
            for plugin in [&plugin, &other] {
                assert_eq!(plugin.call(c"plugin_finalize", Some(library)), 10);
            }
            plugin.close();
            assert_eq!(acl.device_count().unwrap(), 4);
            assert!(acl.finalize().unwrap());
            // Now another one may own it.
            assert_eq!(other.call(c"plugin_work", Some(library)), 0);
            assert_eq!(other.call(c"plugin_finalize", Some(library)), 0);
            assert_eq!(support::cdylib_live(), 0);
            other.close();
        }
        other => panic!("{other}"),
    }
}

/// The library that the plugin is to load, if not its own simulator.
fn library(target: &str) -> Option<CString> {
    (target == "cdylib").then(|| c_string(support::cdylib()))
}
