//! Panics with handles alive: in a build that unwinds, and in one that aborts.

use crate::{
    demand, live, on_each, on_each_with, open,
    outstanding::outstanding,
    say,
    support::{self, Gate},
};
use ascendcl::{Error, Stream};
use std::{panic, sync::Mutex, thread};

crate::cases![
    a_panic_on_main,
    a_panic_on_another_thread,
    a_panic_in_a_callback,
    a_panic_while_unwinding,
    a_panic_hook_uses_handles,
];

/// Whether this is a build in which a panic ends the process.
const ABORTS: bool = cfg!(panic = "abort");

/// What must not be said by a process that aborts.
const LEAKS: crate::Variable = ("ASCENDCL_SIM_LEAKS", "report");

fn a_panic_on_main() {
    on_each_with("panics/main", &[LEAKS], |ended| match ABORTS {
        true => ended.signal(libc::SIGABRT).silent_about("leaked"),
        false => ended.code(101),
    });
}

fn a_panic_on_another_thread() {
    on_each("panics/thread", |ended| match ABORTS {
        true => ended.signal(libc::SIGABRT).silent_about("main goes on"),
        false => ended.success().said("main goes on"),
    });
}

fn a_panic_in_a_callback() {
    on_each_with("panics/callback", &[LEAKS], |ended| match ABORTS {
        true => ended.signal(libc::SIGABRT).silent_about("main goes on").silent_about("leaked"),
        false => ended.success().said("main goes on"),
    });
}

fn a_panic_while_unwinding() {
    for place in ["main", "callback", "callback-on-its-way"] {
        on_each_with(&format!("panics/twice-on-{place}"), &[LEAKS], |ended| {
            ended.signal(libc::SIGABRT).silent_about("leaked").silent_about("main goes on")
        });
    }
}

fn a_panic_hook_uses_handles() {
    on_each("panics/hook", |ended| {
        match ABORTS {
            true => ended.signal(libc::SIGABRT),
            false => ended.code(101),
        }
        .said("used in the hook")
    });
    on_each("panics/hook-in-callback", |ended| {
        match ABORTS {
            true => ended.signal(libc::SIGABRT),
            false => ended.success(),
        }
        .said("refused in the hook")
    });
}

/// Panics when dropped, also while unwinding.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("and another one");
    }
}

pub fn play(role: &str, target: &str) {
    let acl = open(target);
    let new_stream = || acl.device(0).unwrap().create_context().unwrap().create_stream().unwrap();
    match role {
        "main" => {
            let _everything = outstanding(acl.clone()).unwrap();
            panic!("with everything outstanding");
        }
        "thread" => {
            let everything = outstanding(acl.clone()).unwrap();
            let stream = new_stream();
            let other = acl.clone();
            let thread = thread::spawn(move || {
                let _everything = outstanding(other).unwrap();
                panic!("with everything outstanding");
            });
            // Its streams still wait, and the gates that held them are gone with the thread.
            assert!(thread.join().is_err());
            assert_eq!(stream.launch_callback(|| 2).unwrap().wait().unwrap(), 2);
            everything.stream.context().create_stream().unwrap().synchronize().unwrap();
            say("main goes on");
            support::forget(everything);
        }
        "callback" => {
            let stream = new_stream();
            let gate = Gate::close(&stream).unwrap();
            let panics = stream.launch_callback(|| panic!("in a callback")).unwrap();
            let next: Vec<_> =
                (0..10).map(|number| stream.launch_callback(move || number).unwrap()).collect();
            gate.open().unwrap();
            match panics.wait() {
                Err(Error::Panicked { message }) => demand("the message", message == "in a callback"),
                other => demand(&format!("{other:?}"), false),
            }
            for (number, callback) in next.into_iter().enumerate() {
                assert_eq!(callback.wait().unwrap(), number);
            }
            drop(stream);
            assert!(acl.finalize().unwrap() && live(target) == 0);
            say("main goes on");
        }
        "twice-on-main" => {
            let _everything = outstanding(acl.clone()).unwrap();
            let _grenade = Grenade;
            panic!("the first one");
        }
        "twice-on-callback" => {
            let _everything = outstanding(acl.clone()).unwrap();
            let stream = new_stream();
            let callback = stream.launch_callback(|| {
                let _grenade = Grenade;
                panic!("the first one");
            });
            drop(callback.unwrap().wait());
            say("main goes on");
        }
        "twice-on-callback-on-its-way" => {
            // The destructor of a closure that never ran, while its owner unwinds.
            let stream = new_stream();
            let grenade = Grenade;
            let _owner = move || drop(grenade);
            let _callback = stream.launch_callback(|| ()).unwrap();
            panic!("the first one");
        }
        "hook" | "hook-in-callback" => {
            static STREAM: Mutex<Option<Stream>> = Mutex::new(None);
            let stream = new_stream();
            *STREAM.lock().unwrap() = Some(stream.clone());
            panic::set_hook(Box::new(|_| {
                let stream = STREAM.lock().unwrap().take().unwrap();
                match stream.synchronize() {
                    Ok(()) => {
                        demand("a callback", stream.launch_callback(|| 5).unwrap().wait().unwrap() == 5);
                        say("used in the hook");
                    }
                    Err(Error::InCallback { .. }) => say("refused in the hook"),
                    Err(error) => demand(&error.to_string(), false),
                }
            }));
            if role == "hook" {
                let _everything = outstanding(acl.clone()).unwrap();
                panic!("on main");
            }
            let result = stream.launch_callback(|| panic!("in a callback")).unwrap().wait();
            demand("a panic", matches!(result, Err(Error::Panicked { .. })));
        }
        other => panic!("{other}"),
    }
}
