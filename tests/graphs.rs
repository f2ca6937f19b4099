//! Work that is captured once and launched again and again. The default chip has no graphs, so each case is a process of its own, on each backend and chip.

mod support;

use ascendcl::{Acl, CapturedGraph, Context, Dataset, Error, ErrorKind, Model, Stream, sys, sys::aclError};
use ascendcl_sim::{Config, Profile, api};
use std::{
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};
use support::{Gate, TestResult, child, chips};

chip_tests! {
    what_is_recorded_runs_each_time_it_is_launched
    a_graph_keeps_what_it_uses
    captures_that_fail_leave_nothing
    other_work_goes_on_while_a_graph_is_recorded
    wrong_memory_is_refused
    graphs_of_many_threads
    a_forked_child_launches_nothing
    inside_callbacks
    raw_work_is_recorded
    what_is_kept_meddles_when_it_is_dropped
    what_is_kept_waits_for_others_when_it_is_dropped
}

/// What the children do. In the process of the tests it is nothing.
#[test]
fn child() {
    let Some(role) = child::role() else { return };
    let (case, target) = chips::case_of(&role);
    let acl = target.open().unwrap();
    if !acl.supports("aclmdlRICaptureBegin") {
        return;
    }
    chips::run(acl, target, |acl| play(case, acl));
}

fn context(acl: &Acl) -> ascendcl::Result<Context> {
    acl.device(0)?.create_context()
}

mod case {
    use super::*;

    pub fn what_is_recorded_runs_each_time_it_is_launched(acl: &Acl) -> TestResult {
        let context = context(acl)?;
        let stream = context.create_stream()?;
        let (input, output) = (context.alloc_from(&[1_u8, 2, 3, 4])?, context.alloc_from(&[0_u8; 4])?);
        let graph = stream.capture(|recorder| {
            recorder.copy(&input, &output)?;
            recorder.memset(&output.view(..1)?, 9)
        })?;
        stream.synchronize()?;
        assert_eq!(output.to_vec()?, [0; 4], "nothing ran while it was recorded");
        let mut pinned = context.alloc_pinned(4)?;
        for round in 0..50 {
            pinned.fill(round);
            let upload = stream.upload(pinned, &input)?;
            graph.launch()?;
            let download = stream.download(&output, context.alloc_pinned(4)?)?;
            assert_eq!(download.wait()?[..], [9, round, round, round]);
            pinned = upload.wait()?;
        }
        // Many in a row, with nobody waiting between.
        for _ in 0..200 {
            graph.clone().launch()?;
        }
        stream.synchronize()?;
        assert_eq!(graph.stream(), &stream);
        Ok(())
    }

    pub fn a_graph_keeps_what_it_uses(acl: &Acl) -> TestResult {
        let context = context(acl)?;
        let output = context.alloc_from(&[0_u8; 100])?;
        for _ in 0..20 {
            let stream = context.create_stream()?;
            let graph = {
                let (first, second) = (context.alloc::<u8>(100)?, context.alloc::<u8>(100)?);
                stream.capture(|recorder| {
                    recorder.memset(&first, 5)?;
                    recorder.copy(&first, &second)?;
                    recorder.copy(&second, &output)
                })?
            };
            output.memset(0)?;
            let gate = Gate::close(&stream)?;
            graph.launch()?;
            graph.launch()?;
            drop(graph);
            let done = stream.launch_callback(|| ())?;
            drop(stream);
            gate.open()?;
            done.wait()?;
            assert_eq!(output.to_vec()?, [5; 100]);
        }
        // One that never ran, and one whose stream goes with it.
        let stream = context.create_stream()?;
        let memory = context.alloc::<u8>(8)?;
        let graphs = [
            stream.capture(|recorder| recorder.memset(&memory, 1))?,
            stream.capture(|recorder| recorder.memset(&memory, 2))?,
        ];
        drop((memory, stream));
        graphs[1].launch()?;
        drop(graphs);
        Ok(())
    }

    pub fn captures_that_fail_leave_nothing(acl: &Acl) -> TestResult {
        let context = context(acl)?;
        let stream = context.create_stream()?;
        let memory = context.alloc_from(&[1_u8; 8])?;
        for _ in 0..5 {
            let failed = stream.capture(|recorder| {
                recorder.memset(&memory, 1)?;
                Err(Error::AlreadyTaken { what: "a test" })
            });
            assert!(matches!(failed, Err(Error::AlreadyTaken { what: "a test" })), "{failed:?}");
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                stream.capture(|recorder| {
                    recorder.memset(&memory, 2).unwrap();
                    std::panic::resume_unwind(Box::new("on purpose"))
                })
            }));
            assert!(panicked.is_err());
        }
        stream.synchronize()?;
        assert_eq!(memory.to_vec()?, [1; 8], "what was recorded never ran");
        let graph = stream.capture(|recorder| recorder.memset(&memory, 3))?;
        graph.launch()?;
        stream.synchronize()?;
        assert_eq!(memory.to_vec()?, [3; 8]);
        Ok(())
    }

    pub fn other_work_goes_on_while_a_graph_is_recorded(acl: &Acl) -> TestResult {
        let context = context(acl)?;
        let stream = context.create_stream()?;
        let (memory, other) = (context.alloc_from(&[1_u8; 8])?, context.alloc_from(&[0_u8; 8])?);
        let graph = stream.capture(|recorder| {
            recorder.memset(&memory, 7)?;
            // Neither the stream that the graph is for, nor any other, is under capture.
            stream.memset(&other, 2)?;
            stream.synchronize()?;
            assert_eq!(stream.launch_callback(|| 5)?.wait()?, 5);
            thread::scope(|scope| {
                let beside = scope.spawn(|| {
                    other.copy_from_slice(&[3; 8])?;
                    let event = context.create_event()?;
                    let second = context.create_stream()?;
                    second.record(&event)?;
                    stream.wait(&event)?;
                    second.synchronize()?;
                    stream.synchronize()
                });
                beside.join().unwrap()
            })?;
            // A graph within a graph's recording is one of its own.
            let inner = stream.capture(|recorder| recorder.memset(&other, 4))?;
            inner.launch()?;
            stream.synchronize()?;
            assert_eq!((memory.to_vec()?, other.to_vec()?), (vec![1; 8], vec![4; 8]));
            Ok(())
        })?;
        graph.launch()?;
        stream.synchronize()?;
        assert_eq!(memory.to_vec()?, [7; 8]);
        // A wait for the whole context is refused meanwhile, and may spoil the recording.
        let mut refused = None;
        let spoilt = stream.capture(|recorder| {
            recorder.memset(&memory, 8)?;
            refused = context.synchronize().err();
            Ok(())
        });
        assert!(matches!(refused, Some(Error::Acl(_))), "{refused:?}");
        if let Ok(graph) = spoilt {
            graph.launch()?;
        }
        context.synchronize()?;
        Ok(())
    }

    pub fn wrong_memory_is_refused(acl: &Acl) -> TestResult {
        let context = context(acl)?;
        let stream = context.create_stream()?;
        let (short, long) = (context.alloc::<u8>(3)?, context.alloc::<u8>(4)?);
        let empty = context.alloc::<u8>(0)?;
        let graph = stream.capture(|recorder| {
            let refused = recorder.copy(&short, &long);
            assert!(matches!(refused, Err(Error::Length { expected: 4, actual: 3, .. })), "{refused:?}");
            if acl.device_count()? > 1 {
                let far = acl.device(1)?.create_context()?.alloc::<u8>(4)?;
                for refused in
                    [recorder.copy(&long, &far), recorder.copy(&far, &long), recorder.memset(&far, 0)]
                {
                    assert!(matches!(refused, Err(Error::Mismatch { .. })), "{refused:?}");
                }
            }
            recorder.copy(&empty, &empty)?;
            recorder.memset(&empty, 1)?;
            let none = context.alloc::<[u8; 0]>(5)?;
            recorder.copy(&none, &none)?;
            recorder.memset(&none, 1)?;
            recorder.memset(&long, 6)
        })?;
        graph.launch()?;
        stream.synchronize()?;
        assert_eq!(long.to_vec()?, [6; 4]);
        Ok(())
    }

    pub fn graphs_of_many_threads(acl: &Acl) -> TestResult {
        let context = context(acl)?;
        let shared = context.create_stream()?;
        let memory = context.alloc::<u8>(16)?;
        let graph = shared.capture(|recorder| recorder.memset(&memory, 1))?;
        thread::scope(|scope| {
            for number in 0..4 {
                let (context, graph) = (&context, &graph);
                scope.spawn(move || {
                    for round in 0..20 {
                        graph.launch().unwrap();
                        let stream = context.create_stream().unwrap();
                        let own = context.alloc::<u8>(16).unwrap();
                        let value = number * 20 + round;
                        let own_graph = stream.capture(|recorder| recorder.memset(&own, value)).unwrap();
                        own_graph.launch().unwrap();
                        stream.synchronize().unwrap();
                        assert_eq!(own.to_vec().unwrap(), [value; 16]);
                    }
                });
            }
        });
        shared.synchronize()?;
        assert_eq!(memory.to_vec()?, [1; 16]);
        Ok(())
    }

    pub fn a_forked_child_launches_nothing(acl: &Acl) -> TestResult {
        let context = context(acl)?;
        let stream = context.create_stream()?;
        let memory = context.alloc::<u8>(16)?;
        let graph = stream.capture(|recorder| recorder.memset(&memory, 1))?;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            // So that children inherit the graph's lock while it is held.
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        graph.launch().unwrap();
                    }
                });
            }
            for _ in 0..50 {
                // SAFETY: the child calls nothing but what this is about, and ends.
                let pid = unsafe { libc::fork() };
                if pid == 0 {
                    let refused = matches!(graph.launch(), Err(Error::Forked { .. }));
                    // SAFETY: ends the child without running what is the parent's.
                    unsafe { libc::_exit(if refused { 0 } else { 3 }) };
                }
                child::reap(pid);
            }
            stop.store(true, Ordering::Relaxed);
        });
        stream.synchronize()?;
        Ok(())
    }

    pub fn inside_callbacks(acl: &Acl) -> TestResult {
        let context = context(acl)?;
        let stream = context.create_stream()?;
        let memory = context.alloc::<u8>(4)?;
        let graph = stream.capture(|recorder| recorder.memset(&memory, 1))?;
        let inside = stream.launch_callback({
            let (stream, memory) = (stream.clone(), memory.view(..)?);
            // The last handle of the graph goes here.
            move || [graph.launch().err(), stream.capture(|recorder| recorder.memset(&memory, 1)).err()]
        })?;
        for refused in inside.wait()? {
            assert!(matches!(refused, Some(Error::InCallback { .. })), "{refused:?}");
        }
        Ok(())
    }

    pub fn raw_work_is_recorded(acl: &Acl) -> TestResult {
        let context = context(acl)?;
        let stream = context.create_stream()?;
        let memory = context.alloc_from(&[0_u8; 4])?;
        let kept = Arc::new(());
        let graph = stream.capture(|recorder| {
            let keep = (memory.view(..)?, kept.clone());
            // SAFETY: the memory is kept, and the call puts one task into the stream.
            unsafe {
                recorder.record_raw("aclrtMemsetAsync", keep, |api, raw| {
                    api.aclrtMemsetAsync.unwrap()(memory.as_raw(), 4, 8, 4, raw)
                })
            }
        })?;
        graph.launch()?;
        stream.synchronize()?;
        assert_eq!((memory.to_vec()?, Arc::strong_count(&kept)), (vec![8; 4], 2));
        drop(graph);
        stream.synchronize()?;
        assert_eq!(Arc::strong_count(&kept), 1, "it goes with the graph");
        let failed = stream.capture(|recorder| {
            // SAFETY: nothing is called.
            unsafe { recorder.record_raw("aclrtLaunchKernel", (), |_, _| 507_000) }
        });
        assert_eq!(support::code(failed), 507_000);
        Ok(())
    }

    /// Kept by a graph. Dropped, it uses another one, and panics.
    struct Meddler {
        other: CapturedGraph,
        refused: Arc<AtomicUsize>,
    }

    impl Drop for Meddler {
        fn drop(&mut self) {
            let stream = self.other.stream();
            let answers = [self.other.launch(), stream.synchronize(), stream.capture(|_| Ok(())).map(drop)];
            if answers.iter().all(|answer| matches!(answer, Err(Error::InCallback { .. }))) {
                self.refused.fetch_add(1, Ordering::SeqCst);
            }
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    }

    pub fn what_is_kept_meddles_when_it_is_dropped(acl: &Acl) -> TestResult {
        let context = context(acl)?;
        let stream = context.create_stream()?;
        let (memory, more) = (context.alloc::<u8>(4)?, context.alloc::<u8>(4)?);
        let graph = stream.capture(|recorder| recorder.memset(&memory, 1))?;
        let refused = Arc::new(AtomicUsize::new(0));
        // Launched on a stream, which keeps it.
        let meddle = |stream: &Stream| {
            let meddler = Meddler { other: graph.clone(), refused: refused.clone() };
            let meddling = stream.capture(|recorder| {
                recorder.memset(&more, 2)?;
                // SAFETY: nothing is called.
                unsafe { recorder.record_raw("nothing", meddler, |_, _| 0) }
            })?;
            meddling.launch()
        };
        // It goes in the midst of something else, as of a launch of the graph that it uses.
        let mut rounds = 0;
        while refused.load(Ordering::SeqCst) < 20 {
            meddle(&stream)?;
            // Never the same twice, so that all is kept.
            (0..rounds % 7).try_for_each(|_| {
                stream.memset(&more, 3)?;
                stream.memset(&memory, 4)
            })?;
            if rounds % 2 == 0 {
                stream.memset(&more, 5)?;
            }
            (0..40).try_for_each(|_| {
                graph.launch()?;
                stream.memset(&more, 6)
            })?;
            rounds += 1;
        }
        stream.synchronize()?;
        assert_eq!(refused.load(Ordering::SeqCst), rounds, "all were refused");
        // It goes with its stream, behind it.
        let last = context.create_stream()?;
        let gate = Gate::close(&last)?;
        meddle(&last)?;
        drop(last);
        gate.open()?;
        support::until(|| refused.load(Ordering::SeqCst) == rounds + 1);
        // It goes with a graph that nobody has launched.
        let meddler = Meddler { other: graph.clone(), refused: refused.clone() };
        // SAFETY: nothing is called.
        let idle = stream.capture(|recorder| unsafe { recorder.record_raw("nothing", meddler, |_, _| 0) })?;
        drop(idle);
        assert_eq!(refused.load(Ordering::SeqCst), rounds + 2);
        Ok(())
    }

    /// Waits, when it is dropped, for another thread.
    struct Waits<F: FnOnce() + Send + 'static>(Option<F>, Arc<AtomicUsize>);

    impl<F: FnOnce() + Send + 'static> Drop for Waits<F> {
        fn drop(&mut self) {
            let work = self.0.take().unwrap();
            thread::spawn(work).join().unwrap();
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub fn what_is_kept_waits_for_others_when_it_is_dropped(acl: &Acl) -> TestResult {
        let context = context(acl)?;
        let stream = context.create_stream()?;
        let memory = context.alloc::<u8>(4)?;
        let waited = Arc::new(AtomicUsize::new(0));
        // So that all of it is kept.
        let take_turns = |work: [&dyn Fn(); 2], rounds: usize| {
            while waited.load(Ordering::SeqCst) < rounds {
                work.iter().for_each(|work| work());
            }
        };
        let keep = |work: Box<dyn FnOnce() + Send + Sync>| {
            let waits = Waits(Some(work), waited.clone());
            stream
                .capture(|recorder| {
                    // SAFETY: nothing is called.
                    unsafe { recorder.record_raw("nothing", waits, |_, _| 0) }
                })?
                .launch()
        };
        let capture = || stream.capture(|recorder| recorder.memset(&memory, 1));
        let (first, second) = (capture()?, capture()?);
        let graphs = [first.clone(), second.clone()];
        keep(Box::new(move || graphs.iter().for_each(|graph| graph.launch().unwrap())))?;
        take_turns([&|| first.launch().unwrap(), &|| second.launch().unwrap()], 1);
        let model = Model::load(&context, "examples/assets/digits/digits.onnx")?;
        let datasets = || Ok::<_, Error>((model.create_inputs()?, model.create_outputs()?));
        let (first, second) = (datasets()?, datasets()?);
        let done = context.create_event()?;
        let execute = |(inputs, outputs): &(Dataset, Dataset)| {
            model.execute_async(&stream, inputs, outputs).unwrap();
            // So that not too much of it comes together. Nothing is released here.
            stream.record(&done).unwrap();
            done.synchronize().unwrap();
        };
        let (theirs, own, elsewhere) = (model.clone(), datasets()?, context.create_stream()?);
        let other = elsewhere.clone();
        keep(Box::new(move || theirs.execute_async(&elsewhere, &own.0, &own.1).unwrap()))?;
        take_turns([&|| execute(&first), &|| execute(&second)], 2);
        // A blocking execution waits for the one before it, and what that wait releases is the stream's.
        let (theirs, own, elsewhere) = (model.clone(), datasets()?, other.clone());
        keep(Box::new(move || theirs.execute_async(&elsewhere, &own.0, &own.1).unwrap()))?;
        model.execute_async(&stream, &first.0, &first.1)?;
        model.execute(&first.0, &first.1)?;
        assert_eq!(waited.load(Ordering::SeqCst), 3);
        drop(other);
        Ok(context.synchronize()?)
    }
}

sim_test! {
    fn an_ascend_310_has_none() {
        support::with_profile(Profile::ascend310(), |acl| {
            let stream = context(acl)?.create_stream()?;
            for _ in 0..3 {
                let refused = stream.capture(|_| panic!("nothing is recorded"));
                assert_eq!(support::kind(refused), ErrorKind::NotSupported);
            }
            Ok(())
        })?;
    }
}

sim_test! {
    fn an_older_cann_has_none() {
        let missing: [fn(&mut sys::AclApi); 4] = [
            |table| table.aclmdlRICaptureBegin = None,
            |table| table.aclmdlRICaptureEnd = None,
            |table| table.aclmdlRIExecuteAsync = None,
            |table| table.aclmdlRIDestroy = None,
        ];
        for missing in missing {
            support::with_table(missing, |acl| {
                let refused = context(acl)?.create_stream()?.capture(|_| panic!("nothing is recorded"));
                assert!(matches!(refused, Err(Error::MissingSymbol { .. })), "{refused:?}");
                Ok(())
            })?;
        }
    }
}

static DUE: AtomicBool = AtomicBool::new(false);

/// Ends the capture, and says that it failed, when it is due.
unsafe extern "C" fn end_and_fail(stream: sys::aclrtStream, graph: *mut sys::aclmdlRI) -> aclError {
    // SAFETY: the caller's contract, handed on.
    unsafe {
        let code = api().aclmdlRICaptureEnd.unwrap()(stream, graph);
        if !DUE.load(Ordering::SeqCst) || code != 0 {
            return code;
        }
        assert_eq!(api().aclmdlRIDestroy.unwrap()(*graph), 0);
        *graph = std::ptr::null_mut();
    }
    507_903
}

/// Submits the run, and says that it failed, when it is due.
unsafe extern "C" fn launch_and_fail(graph: sys::aclmdlRI, stream: sys::aclrtStream) -> aclError {
    // SAFETY: the caller's contract, handed on.
    match unsafe { api().aclmdlRIExecuteAsync.unwrap()(graph, stream) } {
        // Also a code that says that nothing was submitted is not believed of many tasks.
        0 if DUE.load(Ordering::SeqCst) => 107_000,
        code => code,
    }
}

unsafe extern "C" fn synchronize_and_fail(stream: *mut c_void) -> aclError {
    if DUE.load(Ordering::SeqCst) {
        return 507_015;
    }
    // SAFETY: the caller's contract, handed on.
    unsafe { api().aclrtSynchronizeStream.unwrap()(stream) }
}

fn with_faults(patch: fn(&mut sys::AclApi), body: fn(&Acl) -> TestResult) -> TestResult {
    ascendcl_sim::configure(Config::new().profile(Profile::full()))?;
    DUE.store(false, Ordering::SeqCst);
    support::with_table(patch, body)
}

sim_test! {
    fn a_capture_whose_end_fails() {
        with_faults(|table| table.aclmdlRICaptureEnd = Some(end_and_fail), |acl| {
            let context = context(acl)?;
            let stream = context.create_stream()?;
            let memory = context.alloc::<u8>(4)?;
            DUE.store(true, Ordering::SeqCst);
            assert_eq!(support::code(stream.capture(|recorder| recorder.memset(&memory, 1))), 507_903);
            DUE.store(false, Ordering::SeqCst);
            stream.capture(|recorder| recorder.memset(&memory, 1))?.launch()?;
            stream.synchronize()?;
            Ok(())
        })?;
    }
}

sim_test! {
    fn a_launch_that_fails_after_it_was_submitted() {
        with_faults(|table| table.aclmdlRIExecuteAsync = Some(launch_and_fail), |acl| {
            let context = context(acl)?;
            let stream = context.create_stream()?;
            let memory = context.alloc_from(&[0_u8; 4])?;
            for round in 1..10 {
                let graph = stream.capture(|recorder| recorder.memset(&memory, round))?;
                let gate = Gate::close(&stream)?;
                DUE.store(true, Ordering::SeqCst);
                assert_eq!(support::code(graph.launch()), 107_000);
                DUE.store(false, Ordering::SeqCst);
                // It is running all the same.
                drop(graph);
                gate.open()?;
                stream.synchronize()?;
                assert_eq!(memory.to_vec()?, [round; 4]);
            }
            Ok(())
        })?;
    }
}

sim_test! {
    fn a_stream_that_fails_launches_no_more() {
        with_faults(|table| table.aclrtSynchronizeStream = Some(synchronize_and_fail), |acl| {
            let context = context(acl)?;
            let stream = context.create_stream()?;
            let memory = context.alloc_from(&[0_u8; 4])?;
            let graph = stream.capture(|recorder| recorder.memset(&memory, 1))?;
            DUE.store(true, Ordering::SeqCst);
            assert_eq!(support::code(stream.synchronize()), 507_015);
            let refused = graph.launch();
            assert!(matches!(refused, Err(Error::Poisoned { op: "aclmdlRIExecuteAsync", .. })), "{refused:?}");
            Ok(())
        })?;
    }
}
