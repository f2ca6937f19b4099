//! Reports of callbacks that come twice, or never: nobody waits for ever, and every closure runs or is dropped.

mod support;

use ascendcl::{Acl, CallbackMode, Context, Error, Stream};
use ascendcl_sim::{Config, Fault, FaultKind, Profile};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use support::{Gate, Target, asked_for_reports, child, until};

/// What the hook of destructors was told.
static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn open(config: Config) -> (Acl, Context, Stream) {
    ascendcl::set_drop_error_hook(|error| TOLD.lock().unwrap().push(error.to_string()));
    ascendcl_sim::configure(config).unwrap();
    let acl = Target::Embedded.open().unwrap();
    let context = acl.device(0).unwrap().create_context().unwrap();
    let stream = context.create_stream().unwrap();
    (acl, context, stream)
}

fn was_told(text: &str) -> bool {
    TOLD.lock().unwrap().iter().any(|told| told.contains(text))
}

/// Counts when it is dropped.
struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A stream waits for the second report of its callback. The closure has run by then, and nothing else is outstanding.
fn reports_come_twice() {
    let (acl, context, stream) =
        open(Config::new().fault(Fault::every("aclrtLaunchCallback", FaultKind::DuplicateReport)));
    let ran = Arc::new(AtomicUsize::new(0));
    let launch = |stream: &Stream| {
        let ran = ran.clone();
        stream.launch_callback(move || ran.fetch_add(1, Ordering::SeqCst)).unwrap().wait().unwrap()
    };
    for round in 0..30 {
        assert_eq!(launch(&stream), round);
        match round % 5 {
            0 => stream.synchronize().unwrap(),
            1 => stream.synchronize_timeout(Duration::from_secs(30)).unwrap(),
            2 => until(|| stream.is_idle().unwrap()),
            3 => context.synchronize().unwrap(),
            _ => {
                let event = context.create_event().unwrap();
                stream.record(&event).unwrap();
                event.synchronize().unwrap();
            }
        }
    }
    launch(&stream);
    drop((stream, context));
    assert!(acl.finalize().unwrap());
    assert!(ascendcl_sim::live().is_empty());
}

/// The device is lost, and its callbacks with it. Nobody waits for the stream, which a closure keeps alive.
fn the_device_is_lost() {
    let (acl, context, stream) =
        open(Config::new().fault(Fault::nth("aclrtCreateEvent", 1, FaultKind::LoseDevice)));
    let dropped = Arc::new(AtomicUsize::new(0));
    let (entered, inside) = std::sync::mpsc::channel();
    let (open, opened) = std::sync::mpsc::channel::<()>();
    let first = stream.launch_callback(move || {
        entered.send(()).unwrap();
        let _ = opened.recv();
    });
    let own = (stream.clone(), Guard(dropped.clone()));
    let second = stream.launch_callback(move || drop(own)).unwrap();
    inside.recv().unwrap();
    let _ = context.create_event();
    drop(open);
    first.unwrap().wait().unwrap();
    assert!(matches!(second.wait(), Err(Error::Abandoned { .. })));
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    // What the stream said of its device fails it first, and then is told.
    until(|| was_told("507010"));
    assert!(matches!(stream.synchronize(), Err(Error::Poisoned { .. })));
    drop((stream, context, acl));
}

/// ACL gives no reports any more: the closure goes, and who waits for it goes on.
fn asking_fails(code: i32) {
    let (_acl, _context, stream) =
        open(Config::new().fault(Fault::every("aclrtProcessReport", FaultKind::Error(code))));
    let dropped = Arc::new(AtomicUsize::new(0));
    let guard = Guard(dropped.clone());
    let callback = stream.launch_callback(move || drop(guard)).unwrap();
    assert!(matches!(callback.wait(), Err(Error::Abandoned { .. })));
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    assert!(
        was_told("aclrtProcessReport failed with") && was_told(&code.to_string()),
        "{:?}",
        TOLD.lock().unwrap()
    );
    // The stream still waits for the report: it cannot be given back.
}

/// A report is lost whose stream does not wait for it.
fn a_report_is_lost() {
    let config = Config::new().profile(Profile::full()).fault(Fault::nth(
        "aclrtLaunchCallback",
        1,
        FaultKind::LoseReport,
    ));
    let (acl, context, stream) = open(config);
    let dropped = Arc::new(AtomicUsize::new(0));
    let own = (stream.clone(), Guard(dropped.clone()));
    let callback = stream.launch_callback_with(CallbackMode::NonBlocking, move || drop(own)).unwrap();
    assert!(matches!(callback.wait(), Err(Error::Abandoned { .. })));
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    assert!(was_told("aclrtProcessReport"), "{:?}", TOLD.lock().unwrap());
    // Nothing failed on the stream: it goes on.
    assert_eq!(stream.launch_callback(|| 7).unwrap().wait().unwrap(), 7);
    stream.synchronize().unwrap();
    drop((stream, context));
    assert!(acl.finalize().unwrap());
    assert!(ascendcl_sim::live().is_empty());
}

/// A stream without handles is given up. It goes on all the same, and what stands behind it in another context goes on with it.
fn a_stream_is_given_up() {
    let fault = Fault::nth("aclrtStreamQuery", 1, FaultKind::Error(507_015));
    let (acl, context, stream) = open(Config::new().fault(fault).count_calls(true));
    let behind = acl.device(0).unwrap().create_context().unwrap().create_stream().unwrap();
    let gate = Gate::close(&stream).unwrap();
    let callback = stream.launch_callback(|| ()).unwrap();
    let event = context.create_event().unwrap();
    stream.record(&event).unwrap();
    behind.wait(&event).unwrap();
    drop(stream);
    assert!(matches!(callback.wait(), Err(Error::Abandoned { .. })));
    assert!(was_told("aclrtStreamQuery"), "{:?}", TOLD.lock().unwrap());
    // More often than for a report that may come again.
    let before = asked_for_reports();
    until(|| asked_for_reports() > before + 50);
    gate.open().unwrap();
    assert_eq!(behind.launch_callback(|| 5).unwrap().wait().unwrap(), 5);
}

/// Each in a process of its own: faults are configured once, and some leave a stream that cannot be given back.
macro_rules! in_children {
    ($($name:ident: $run:expr,)*) => {
        mod lost {
            $(
                #[test]
                fn $name() {
                    super::child::run(stringify!($name), &[]).success();
                }
            )*
        }

        /// What the children do. In the process of the tests it is nothing.
        #[test]
        fn child() {
            let Some(role) = child::role() else { return };
            match role.as_str() {
                $(stringify!($name) => $run(),)*
                other => panic!("{other}"),
            }
        }
    };
}

in_children! {
    twice: reports_come_twice,
    device: the_device_is_lost,
    asking: || asking_fails(507_010),
    nobody_asks: || asking_fails(107_012),
    never: a_report_is_lost,
    given_up: a_stream_is_given_up,
}
