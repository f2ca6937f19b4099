//! Limits of cores and of time.

mod support;

use ascendcl::{Acl, CoreKind, Error, ErrorKind, EventFlags, Result};
use ascendcl_sim::{Config, Fault, FaultKind, LiveKind, Profile, Reporting};
use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use support::{child, kind, with_config, with_profile, with_table};

const KINDS: [CoreKind; 2] = [CoreKind::Cube, CoreKind::Vector];

/// How many cores operators of this thread may use, as ACL says.
fn cores_of_this_thread(acl: &Acl) -> u32 {
    let mut cores = 0;
    let get = acl.raw().aclrtGetResInCurrentThread.unwrap();
    // SAFETY: a valid place for the answer.
    assert_eq!(unsafe { get(ascendcl::sys::ACL_RT_DEV_RES_CUBE_CORE, &mut cores) }, 0);
    cores
}

backend_test! {
    fn limits_are_set_and_taken_back(acl) {
        let device = acl.device(0)?;
        let stream = device.create_context()?.create_stream()?;
        for kind in KINDS {
            let all = device.core_limit(kind)?;
            assert_eq!(stream.core_limit(kind)?, all);
            let some = all.min(1);
            device.set_core_limit(kind, some)?;
            assert_eq!((device.core_limit(kind)?, stream.core_limit(kind)?), (some, some));
            stream.set_core_limit(kind, all)?;
            assert_eq!((device.core_limit(kind)?, stream.core_limit(kind)?), (some, all), "its own goes before");
            stream.reset_core_limits()?;
            assert_eq!(stream.core_limit(kind)?, some);
            device.reset_core_limits()?;
            assert_eq!((device.core_limit(kind)?, stream.core_limit(kind)?), (all, all));
        }
    }
}

backend_test! {
    fn a_thread_uses_the_limits_of_one_stream(acl) {
        let context = acl.device(0)?.create_context()?;
        let _entered = context.enter()?;
        let (first, second) = (context.create_stream()?, context.create_stream()?);
        let all = cores_of_this_thread(acl);
        first.set_core_limit(CoreKind::Cube, 1)?;
        assert_eq!(cores_of_this_thread(acl), all, "nothing is used yet");
        let limited = first.use_core_limits()?;
        assert!(format!("{limited:?}").contains("LimitedCores"));
        assert_eq!(cores_of_this_thread(acl), 1);
        // Other threads do not.
        thread::scope(|scope| {
            let other = || context.enter().map(|_entered| cores_of_this_thread(acl));
            assert_eq!(scope.spawn(other).join().unwrap().unwrap(), all);
        });
        // It needs no handle of the stream.
        drop(first);
        assert_eq!(cores_of_this_thread(acl), 1);
        let latest = second.use_core_limits()?;
        assert_eq!(cores_of_this_thread(acl), all, "the latest counts, which has none");
        drop(limited);
        second.set_core_limit(CoreKind::Cube, 1)?;
        assert_eq!(cores_of_this_thread(acl), 1);
        drop(latest);
        assert_eq!(cores_of_this_thread(acl), all);
    }
}

#[test]
fn a_stream_that_a_thread_may_still_use_stays() {
    child::run("it stays", &[]).success();
}

/// What is kept for ever needs a process of its own. In the process of the tests it is nothing.
#[test]
fn child() {
    let Some(_role) = child::role() else { return };
    let stuck = Fault::every("aclrtUnuseStreamResInCurrentThread", FaultKind::Error(507_899));
    ascendcl_sim::configure(Config::new().fault(stuck).leaks(Reporting::Off)).unwrap();
    let streams = || ascendcl_sim::live().iter().filter(|live| live.kind == LiveKind::Stream).count();
    let acl = support::Target::Embedded.open().unwrap();
    let context = acl.device(0).unwrap().create_context().unwrap();
    let before = streams();
    let stream = context.create_stream().unwrap();
    let limited = stream.use_core_limits().unwrap();
    let told = Arc::new(AtomicUsize::new(0));
    let hears = told.clone();
    ascendcl::set_drop_error_hook(move |_| {
        hears.fetch_add(1, Ordering::SeqCst);
    });
    drop(stream);
    drop(limited);
    assert_eq!(told.load(Ordering::SeqCst), 1);
    assert_eq!(streams(), before + 1, "ACL would read it with the next operator of this thread");
}

sim_test! {
    fn on_every_chip() {
        for name in Profile::NAMES {
            with_profile(Profile::by_name(name).expect("it has a profile"), |acl| {
                let device = acl.device(0)?;
                let stream = device.create_context()?.create_stream()?;
                let info = device.info()?;
                for (core, all) in [(CoreKind::Cube, info.cube_cores), (CoreKind::Vector, info.vector_cores)] {
                    let all = all.expect("the simulator tells");
                    assert_eq!(device.core_limit(core)?, all, "{name}");
                    assert_eq!(kind(device.set_core_limit(core, all + 1)), ErrorKind::InvalidArgument, "{name}");
                    assert_eq!(kind(stream.set_core_limit(core, all + 1)), ErrorKind::InvalidArgument, "{name}");
                    assert_eq!(stream.core_limit(core)?, all, "{name}");
                }
                acl.set_execute_timeout(Some(Duration::from_millis(20_500)))?;
                let mut millis = 0;
                // SAFETY: a valid place for the answer.
                let answer = unsafe { acl.raw().aclrtGetOpExecuteTimeout.unwrap()(&mut millis) };
                if *name == "ascend310" {
                    assert_eq!(answer, 207_000, "it does not tell");
                } else {
                    // Rounded up to seconds here, and to its own units by the chip.
                    assert_eq!(answer, 0);
                    assert!((21_000..26_000).contains(&millis), "{name}: {millis} ms");
                }
                acl.set_execute_timeout(None)?;
                let waits = acl.set_wait_timeout(Some(Duration::from_secs(5)));
                if *name == "ascend310p" {
                    assert_eq!(kind(waits), ErrorKind::NotSupported);
                } else {
                    waits?;
                    acl.set_wait_timeout(None)?;
                }
                Ok(())
            })?;
        }
    }
}

sim_test! {
    fn a_wait_that_takes_too_long_is_a_fault() {
        // On a virtual clock, a second on the device takes none here.
        with_config(Config::new().seed(3), |acl| {
            let context = acl.device(0)?.create_context()?;
            let never = context.create_event_with_flags(EventFlags::SYNC)?;
            acl.set_wait_timeout(Some(Duration::from_millis(1500)))?;
            let stream = context.create_stream()?;
            stream.wait(&never)?;
            assert_eq!(kind(stream.synchronize()), ErrorKind::DeviceFault);
            assert!(matches!(stream.synchronize(), Err(Error::Poisoned { .. })));
            // Without a limit it waits until it is told.
            acl.set_wait_timeout(None)?;
            let (patient, other) = (context.create_stream()?, context.create_stream()?);
            patient.wait(&never)?;
            assert!(patient.synchronize_timeout(Duration::from_millis(20)).unwrap_err().is_timeout());
            other.record(&never)?;
            patient.synchronize()?;
            Ok(())
        })?;
    }
}

backend_test! {
    fn not_inside_a_callback(acl) {
        let device = acl.device(0)?;
        let stream = device.create_context()?.create_stream()?;
        let (acl, inside) = (acl.clone(), stream.clone());
        let refused: Vec<Result<()>> = stream
            .launch_callback(move || {
                vec![
                    acl.set_execute_timeout(None),
                    acl.set_wait_timeout(None),
                    device.core_limit(CoreKind::Cube).map(drop),
                    device.set_core_limit(CoreKind::Cube, 1),
                    device.reset_core_limits(),
                    inside.core_limit(CoreKind::Cube).map(drop),
                    inside.set_core_limit(CoreKind::Cube, 1),
                    inside.reset_core_limits(),
                    inside.use_core_limits().map(mem::forget),
                ]
            })?
            .wait()?;
        for result in refused {
            assert!(matches!(result, Err(Error::InCallback { .. })), "{result:?}");
        }
    }
}

sim_test! {
    fn a_release_without_limits_says_so() {
        with_table(
            |api| {
                (api.aclrtGetDeviceResLimit, api.aclrtSetOpExecuteTimeOut) = (None, None);
                api.aclrtUseStreamResInCurrentThread = None;
                api.aclrtUnuseStreamResInCurrentThread = None;
            },
            |acl| {
                let device = acl.device(0)?;
                let missing = |result: Result<()>| matches!(result, Err(Error::MissingSymbol { .. }));
                assert!(missing(device.core_limit(CoreKind::Cube).map(drop)));
                assert!(missing(acl.set_execute_timeout(None)));
                let stream = device.create_context()?.create_stream()?;
                assert!(missing(stream.use_core_limits().map(drop)));
                Ok(())
            },
        )?;
    }
}
