//! The profiler: one at a time, ended once, whatever is dropped first, and what is in its file.

mod support;

use ascendcl::{
    Acl, AicoreMetrics, Error, ErrorKind, Profiler, ProfilerConfig, ProfilerData, ProfilerRange, Stream,
};
use ascendcl_sim::{Config, Profile};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process, thread,
};
use support::{TestResult, until};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = env::temp_dir().join(format!("ascendcl-profiler-{}-{name}", process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn results(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// What the simulator has written, of the one profile there is.
    fn timeline(&self) -> String {
        let results = self.results();
        assert_eq!(results.len(), 1, "{results:?}");
        fs::read_to_string(results[0].join("msprof.json")).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn config(acl: &Acl, folder: &Folder) -> ascendcl::Result<ProfilerConfig> {
    Ok(ProfilerConfig::new(&acl.device(0)?, &folder.0))
}

fn stream(acl: &Acl) -> ascendcl::Result<Stream> {
    acl.device(0)?.create_context()?.create_stream()
}

/// Whether this is the error of this crate's profiler, with these words.
fn says<T>(result: ascendcl::Result<T>, words: &str) -> bool {
    matches!(result, Err(Error::Profiler(text)) if text.contains(words))
}

/// Its profile, of which a card writes what only its tools read.
fn check(acl: &Acl, folder: &Folder, names: &[&str]) {
    assert_eq!(folder.results().len(), 1);
    if acl.is_simulated() {
        let timeline = folder.timeline();
        for name in names {
            assert!(timeline.contains(&format!("\"{name}\"")), "no {name} in {timeline}");
        }
    }
}

fn works_and_is_seen(acl: &Acl, name: &str) -> TestResult {
    let folder = Folder::new(name);
    let stream = stream(acl)?;
    let memory = stream.context().alloc::<u32>(100)?;
    let profiler = Profiler::start(&config(acl, &folder)?)?;
    assert_eq!(profiler.devices(), [acl.device(0)?]);
    {
        let _outer = profiler.range("outer")?;
        let _inner = profiler.range("inner")?;
        stream.memset(&memory, 1)?;
        profiler.mark(&stream, "mark")?;
        stream.synchronize()?;
    }
    profiler.stop()?;
    check(acl, &folder, &["outer", "inner", "mark", "memset", "aclrtMemsetAsync"]);
    Ok(())
}

backend_test! {
    fn a_profile_has_what_the_program_did(acl) {
        works_and_is_seen(acl, acl.backend().to_string().split(' ').next().unwrap_or("x"))?;
    }
}

/// Every chip has it.
fn on(profile: Profile) -> TestResult {
    let name = profile.name();
    ascendcl_sim::configure(Config::new().profile(profile))?;
    let acl = Acl::builder().backend(ascendcl::BackendChoice::Sim).build()?;
    works_and_is_seen(&acl, name)?;
    let device = acl.device(0)?;
    // Counters that not every chip has.
    let folder = Folder::new(&format!("{name}-counters"));
    let metrics = |metrics| Profiler::start(&ProfilerConfig::new(&device, &folder.0).aicore_metrics(metrics));
    metrics(AicoreMetrics::PipeUtilization)?.stop()?;
    match metrics(AicoreMetrics::L2Cache) {
        Ok(profiler) => {
            assert!(!name.starts_with("ascend310"), "{name}");
            profiler.stop()?;
        }
        Err(error) => {
            assert!(name.starts_with("ascend310"), "{name}: {error}");
            assert_eq!(error.code().map(|code| code.kind()), Some(ErrorKind::InvalidArgument), "{error}");
            // It does not run: another one may.
            metrics(AicoreMetrics::PipeUtilization)?.stop()?;
        }
    }
    drop(device);
    acl.finalize()?;
    Ok(())
}

sim_test! {
    fn every_chip_has_a_profiler() {
        for profile in [Profile::ascend310(), Profile::ascend310p(), Profile::ascend910b(), Profile::full()] {
            on(profile)?;
        }
    }
}

backend_test! {
    fn there_is_one_at_a_time(acl) {
        let folder = Folder::new("one");
        let config = config(acl, &folder)?;
        let first = Profiler::start(&config)?;
        assert!(says(Profiler::start(&config), "runs already"));
        // Nor can it be shared behind the back of this crate.
        first.stop()?;
        Profiler::start(&config)?.stop()?;
        drop(Profiler::start(&config)?);
        drop(Profiler::start(&config)?);
    }
}

backend_test! {
    fn another_profiler_of_the_process_is_an_error_of_acl(acl) {
        let folder = Folder::new("other");
        fs::create_dir_all(&folder.0)?;
        let config = config(acl, &folder)?;
        let path = std::ffi::CString::new(folder.0.to_str().unwrap())?;
        // SAFETY: a NUL-terminated string and its length; ended below.
        assert_eq!(unsafe { acl.raw().aclprofInit.unwrap()(path.as_ptr(), path.as_bytes().len()) }, 0);
        let error = Profiler::start(&config).unwrap_err();
        assert_eq!(error.code().map(|code| code.0), Some(ascendcl::sys::ACL_ERROR_REPEAT_INITIALIZE), "{error}");
        // SAFETY: takes nothing.
        assert_eq!(unsafe { acl.raw().aclprofFinalize.unwrap()() }, 0);
        Profiler::start(&config)?.stop()?;
    }
}

backend_test! {
    fn it_lasts_as_long_as_its_ranges(acl) {
        let folder = Folder::new("ranges");
        let config = config(acl, &folder)?;
        let profiler = Profiler::start(&config)?;
        let (first, second) = (profiler.range("first")?, profiler.range("second")?);
        // Not in the order of their beginnings.
        drop(first);
        assert!(says(profiler.stop(), "a range is open"));
        assert!(says(Profiler::start(&config), "runs already"));
        // The last one ends it, on another thread.
        thread::spawn(move || drop(second)).join().unwrap();
        check(acl, &folder, &["first", "second"]);
        Profiler::start(&config)?.stop()?;
    }
}

backend_test! {
    fn acl_is_not_finalised_under_it(acl) {
        let folder = Folder::new("finalise");
        let profiler = Profiler::start(&config(acl, &folder)?)?;
        assert!(matches!(acl.clone().finalize(), Err(Error::InUse { .. })));
        profiler.stop()?;
    }
}

backend_test! {
    fn texts_are_checked_and_cut(acl) {
        let folder = Folder::new("texts");
        let stream = stream(acl)?;
        let profiler = Profiler::start(&config(acl, &folder)?)?;
        assert!(says(profiler.range(""), "empty"));
        assert!(says(profiler.mark(&stream, ""), "empty"));
        assert!(says(profiler.range("a\0b"), "NUL"));
        assert!(says(profiler.mark(&stream, "a\0b"), "NUL"));
        // 126 bytes, in the middle of the 64th character of two.
        let long = format!("a{}", "é".repeat(1000));
        drop(profiler.range(&long)?);
        profiler.mark(&stream, &long)?;
        stream.synchronize()?;
        profiler.stop()?;
        check(acl, &folder, &[&format!("a{}", "é".repeat(62))]);
    }
}

backend_test! {
    fn marks_that_nobody_collects_are_an_error(acl) {
        let folder = Folder::new("unmarked");
        let stream = stream(acl)?;
        let profiler = Profiler::start(&config(acl, &folder)?.collect(ProfilerData::ACL_API))?;
        assert!(says(profiler.range("range"), "ProfilerData::MARKS"));
        assert!(says(profiler.mark(&stream, "mark"), "ProfilerData::MARKS"));
        profiler.stop()?;
    }
}

backend_test! {
    fn too_many_ranges_are_an_error(acl) {
        let folder = Folder::new("many");
        let profiler = Profiler::start(&config(acl, &folder)?)?;
        let ranges: Vec<ProfilerRange> = (0..100).map(|_| profiler.range("range")).collect::<Result<_, _>>()?;
        assert!(says(profiler.range("one more"), "too many"));
        drop(ranges);
        drop(profiler.range("and again")?);
        profiler.stop()?;
    }
}

backend_test! {
    fn it_may_end_inside_a_callback(acl) {
        let folder = Folder::new("callback");
        let config = config(acl, &folder)?;
        let stream = stream(acl)?;
        let profiler = Profiler::start(&config)?;
        let (refused, again) = stream
            .launch_callback(move || {
                // The host's alone, so it is allowed.
                let range = profiler.range("inside").map(drop);
                let again = config.clone();
                (range.and_then(|()| profiler.stop()), Profiler::start(&again).map(drop))
            })?
            .wait()?;
        assert!(matches!(refused, Err(Error::InCallback { op: "aclprofStop" })), "{refused:?}");
        assert!(matches!(again, Err(Error::InCallback { .. })), "{again:?}");
        // Soon, on another thread.
        let config = self::config(acl, &folder)?;
        until(|| !says(Profiler::start(&config), "runs already"));
        assert!(folder.results().len() >= 2);
    }
}

backend_test! {
    fn threads_may_use_it_at_once_and_outlive_it(acl) {
        let folder = Folder::new("threads");
        let config = config(acl, &folder)?;
        let profiler = std::sync::Arc::new(Profiler::start(&config)?);
        let workers: Vec<_> = (0..4)
            .map(|number| {
                let profiler = profiler.clone();
                thread::spawn(move || -> ascendcl::Result<()> {
                    for _ in 0..50 {
                        let _outer = profiler.range(&format!("worker {number}"))?;
                        let _inner = profiler.range("inner")?;
                    }
                    Ok(())
                })
            })
            .collect();
        // The last thread ends it.
        drop(profiler);
        for worker in workers {
            worker.join().unwrap()?;
        }
        check(acl, &folder, &["worker 0", "worker 1", "worker 2", "worker 3", "inner"]);
        Profiler::start(&config)?.stop()?;
    }
}

backend_test! {
    fn folders_and_devices_that_are_not_taken(acl) {
        let folder = Folder::new("folders");
        let device = acl.device(0)?;
        let start = |path: &Path| Profiler::start(&ProfilerConfig::new(&device, path));
        assert!(says(start(Path::new("a\0b")), "NUL"));
        fs::create_dir_all(&folder.0)?;
        let file = folder.0.join("file");
        fs::write(&file, "")?;
        assert!(matches!(start(&file), Err(Error::Os { .. })));
        // One that is not there is made; two devices are two devices.
        let mut config = ProfilerConfig::new(&device, folder.0.join("new/er")).device(&device);
        if acl.device_count()? > 1 {
            config = config.device(&acl.device(1)?);
        }
        let profiler = Profiler::start(&config)?;
        assert_eq!(profiler.devices().len(), acl.device_count()?.min(2) as usize);
        profiler.stop()?;
        assert!(folder.0.join("new/er").is_dir());
    }
}

sim_test! {
    fn a_library_without_a_profiler_says_so() {
        ascendcl_sim::configure(Config::new().fault("aclprofInit=missing".parse()?))?;
        let acl = Acl::builder().backend(ascendcl::BackendChoice::Sim).build()?;
        let folder = Folder::new("missing");
        let started = Profiler::start(&config(&acl, &folder)?);
        assert!(matches!(started, Err(Error::MissingSymbol { function: "aclprofInit" })), "{started:?}");
        acl.finalize()?;
    }
}

sim_test! {
    fn a_start_that_fails_leaves_nothing_behind() {
        for fault in ["aclprofInit=500005", "aclprofCreateConfig=500005", "aclprofStart=500005"] {
            ascendcl_sim::configure(Config::new().fault(fault.parse()?))?;
            let acl = Acl::builder().backend(ascendcl::BackendChoice::Sim).build()?;
            let folder = Folder::new("fails");
            let config = config(&acl, &folder)?;
            for _ in 0..2 {
                let error = Profiler::start(&config).unwrap_err();
                assert!(!error.to_string().contains("runs already"), "{fault}: {error}");
            }
            drop(config);
            assert_eq!(ascendcl_sim::live().len(), 0, "{fault}: {:?}", ascendcl_sim::live());
            acl.finalize()?;
        }
    }
}
