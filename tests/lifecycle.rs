//! Initialising and finalising, and what can be asked before a device is opened.

mod support;

use ascendcl::{Acl, Backend, BackendChoice, Error, ErrorKind, RunMode};
use std::{ptr, thread};
use support::{code, kind, reopen};

backend_test! {
    fn opening_again_joins_what_is_there(acl) {
        let again = reopen(acl)?;
        assert_eq!(again.backend(), acl.backend());
        assert!(ptr::eq(again.raw(), acl.raw()), "one table for all handles of a backend");
        assert_eq!(again.device(0)?, acl.device(0)?, "devices of both are the same");
        // A handle that is only dropped finalises nothing.
        drop(again);
        assert!(acl.device_count()? > 0);
    }
}

backend_test! {
    fn finalize_is_refused_while_handles_live_and_nothing_is_lost(acl) {
        let stream = acl.device(0)?.create_context()?.create_stream()?;
        match acl.clone().finalize() {
            Err(Error::InUse { op: "aclFinalize", handles }) => assert!(handles >= 1),
            other => panic!("{other:?}"),
        }
        assert_eq!(stream.launch_callback(|| 5)?.wait()?, 5, "the stream still works");
        drop(stream);
        match acl.clone().finalize() {
            Err(Error::InUse { handles, .. }) => assert_eq!(handles, 1, "the test's own handle"),
            other => panic!("{other:?}"),
        }
    }
}

backend_test! {
    fn finalize_then_init_again(target: Target) {
        for round in 0..5 {
            let acl = target.open()?;
            let stream = acl.device(0)?.create_context()?.create_stream()?;
            assert_eq!(stream.launch_callback(move || round)?.wait()?, round);
            drop(stream);
            assert!(acl.finalize()?);
        }
    }
}

backend_test! {
    fn who_joins_an_initialised_acl_does_not_finalise_it(target: Target) {
        let api = target.raw();
        // SAFETY: NULL means no configuration.
        assert_eq!(unsafe { api.aclInit.unwrap()(ptr::null()) }, 0);
        let acl = target.open()?;
        drop(acl.device(0)?.create_context()?);
        assert!(!acl.finalize()?, "ACL was initialised by other code");
        // SAFETY: all handles are gone.
        assert_eq!(unsafe { api.aclFinalize.unwrap()() }, 0, "it still was initialised");
        // And now it belongs to this crate again.
        assert!(target.open()?.finalize()?);
    }
}

backend_test! {
    fn finalize_waits_for_streams_that_were_dropped_with_work(acl) {
        let stream = acl.device(0)?.create_context()?.create_stream()?;
        let gate = support::HostGate::close(&stream)?;
        drop(stream);
        let finalize = thread::spawn({
            let acl = acl.clone();
            move || acl.finalize()
        });
        // Whether it comes before or after, it finds nothing but the test's own handle in the end.
        gate.open().wait()?;
        match finalize.join().unwrap() {
            Err(Error::InUse { handles: 1, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

backend_test! {
    fn facts_about_the_backend(acl) {
        let version = acl.version()?;
        assert!(version.major >= 1 && version.minor >= 0 && version.patch >= 0);
        assert_eq!(version.to_string(), format!("{}.{}.{}", version.major, version.minor, version.patch));
        let name = acl.soc_name()?.expect("device 0 has a name");
        assert!(name.starts_with("Ascend"), "{name}");
        assert!(matches!(acl.run_mode()?, RunMode::Host | RunMode::Device));
        assert!(acl.device_count()? >= 1);
        assert_eq!(acl.is_simulated(), *acl.backend() == Backend::Sim);
        assert!(format!("{acl:?}").contains("Acl"));
        if support::is_simulator(acl) {
            assert_eq!((name.as_str(), acl.run_mode()?, acl.device_count()?), ("Ascend310", RunMode::Host, 4));
        }
    }
}

backend_test! {
    fn supports_looks_into_the_table(acl) {
        assert!(acl.supports("aclInit") && acl.supports("aclrtLaunchCallback"));
        assert!(!acl.supports("aclrtNoSuchFunction") && !acl.supports("") && !acl.supports("aclrtLaunch"));
    }
}

backend_test! {
    fn device_ids_out_of_range_are_refused(acl) {
        let count = i32::try_from(acl.device_count()?)?;
        for id in [-1, i32::MIN, count, count + 1, 99, i32::MAX] {
            let error = acl.device(id).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("aclrtSetDevice") && text.contains(&format!("on device {id}")), "{text}");
            assert!(text.contains("Acl::device_count"), "the error says what to do: {text}");
            assert_eq!(kind(Err::<(), _>(error)), ErrorKind::NoDevice);
        }
        // The failures left nothing behind, neither devices nor texts.
        let device = acl.device(count - 1)?;
        assert_eq!(device.id(), count - 1);
    }
}

backend_test! {
    fn devices_may_be_opened_many_times(acl) {
        let devices: Vec<_> = (0..10).map(|_| acl.device(0)).collect::<Result<_, _>>()?;
        let stream = devices[3].create_context()?.create_stream()?;
        drop(devices);
        assert_eq!(stream.launch_callback(|| 1)?.wait()?, 1);
        let all = acl.devices()?;
        assert_eq!(all.len(), acl.device_count()? as usize);
        for (id, device) in all.iter().enumerate() {
            assert_eq!(device.id(), id as i32);
            let memory = device.memory_info()?;
            assert!(memory.total > 0 && memory.free <= memory.total, "{memory:?}");
        }
    }
}

backend_test! {
    fn many_threads_open_and_finalise(acl) {
        thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || {
                    for _ in 0..20 {
                        let acl = reopen(acl).unwrap();
                        let device = acl.device(number % 2).or_else(|_| acl.device(0)).unwrap();
                        let stream = device.create_context().unwrap().create_stream().unwrap();
                        stream.synchronize().unwrap();
                        drop((stream, device));
                        assert!(matches!(acl.finalize(), Err(Error::InUse { .. })), "the test holds it");
                    }
                });
            }
        });
    }
}

backend_test! {
    fn configuration_files(target: Target) {
        if target == support::Target::Cann {
            return Ok(());
        }
        let folder = std::env::temp_dir().join(format!("ascendcl-lifecycle-{}-{target:?}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let (good, bad) = (folder.join("good.json"), folder.join("bad.json"));
        std::fs::write(&good, "{}")?;
        std::fs::write(&bad, "{ this is no JSON")?;
        let builder = || match target {
            support::Target::Embedded => Acl::builder().backend(BackendChoice::Sim),
            _ => Acl::builder().library(support::cdylib()),
        };
        assert_eq!(code(builder().config_file(folder.join("missing.json")).build()), 100_003);
        assert_eq!(code(builder().config_file(&bad).build()), 100_006);
        let nul = builder().config_file("a\0b").build();
        assert!(matches!(nul, Err(Error::Backend(text)) if text.contains("NUL")));
        let acl = builder().build()?;
        match builder().config_file(&good).build() {
            Err(Error::Backend(text)) => assert!(text.contains("initialised already"), "{text}"),
            other => panic!("{other:?}"),
        }
        assert!(acl.finalize()?);
        std::fs::remove_dir_all(&folder)?;
    }
}

#[test]
fn errors_say_what_to_do() {
    let text = Error::MissingSymbol { function: "aclrtX" }.to_string();
    assert!(text.contains("aclrtX") && text.contains("CANN release"), "{text}");
    let text = Error::InUse { op: "aclFinalize", handles: 3 }.to_string();
    assert!(text.contains("3 handles") && text.contains("drop devices"), "{text}");
    for error in [
        Error::Poisoned { op: "x", cause: std::sync::Arc::new(Error::Abandoned { cause: None }) }.to_string(),
        Error::Forked { op: "x" }.to_string(),
        Error::Exiting { op: "x" }.to_string(),
        Error::InCallback { op: "x" }.to_string(),
        Error::Abandoned { cause: None }.to_string(),
    ] {
        assert!(!error.contains('\n') && !error.ends_with('.'), "one sentence: {error}");
    }
}
