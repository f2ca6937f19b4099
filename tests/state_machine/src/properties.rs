//! What is tried, and how a failure is told.

use crate::{
    generate::{self, Kind},
    isolate::{isolated, take_steps},
    model::Model,
    operation::{Op, Step},
    program::{self, Program},
    shared::Shared,
    world::Judgement,
};
use ascendcl_sim::{Fault, FaultKind, ReportKind};
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, FileFailurePersistence, RngSeed, TestCaseError, TestError, TestRunner},
};
use std::{
    cell::Cell,
    fmt::{Debug, Write},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// What fails is found with few cases of each; more are asked for by `PROPTEST_CASES`.
const CASES: u32 = 40;

/// The same programs each time, unless `PROPTEST_RNG_SEED` asks for others.
const SEED: u64 = 20_261_122;

pub struct Property {
    pub name: &'static str,
    /// Of a hundred cases asked for, it takes so many.
    share: u32,
    /// What once failed is tried first.
    regressions: &'static str,
    pub check: fn(&Property) -> Result<String, String>,
}

macro_rules! properties {
    ($($name:ident: $share:literal,)*) => {
        pub const ALL: &[Property] = &[$(Property {
            name: stringify!($name),
            share: $share,
            regressions: concat!("tests/state_machine/regressions/", stringify!($name), ".txt"),
            check: $name,
        }),*];
    };
}

properties! {
    threads_in_turn: 100,
    threads_at_once: 60,
    a_missing_wait_is_reported: 25,
    races_are_those_of_the_model: 20,
    faults: 50,
}

impl Property {
    /// Tries random values. A failure gives the smallest that fails too.
    fn run<S: Strategy>(
        &self,
        strategy: S,
        print: impl Fn(&S::Value) -> String,
        test: impl Fn(S::Value) -> Result<(), String>,
    ) -> Result<String, String> {
        let mut config = Config { cases: CASES, ..Config::default() };
        if let Some(cases) = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()) {
            config.cases = cases;
        }
        let asked = config.cases;
        config.cases = (asked * self.share).div_ceil(100).max(1);
        if matches!(config.rng_seed, RngSeed::Random) {
            config.rng_seed = RngSeed::Fixed(SEED);
        }
        // What does not fit the program so far is thrown again.
        config.max_local_rejects = u32::MAX;
        config.max_shrink_iters = 2000;
        if config.max_shrink_time == 0 {
            config.max_shrink_time = 120_000;
        }
        if std::env::var_os("PROPTEST_DISABLE_FAILURE_PERSISTENCE").is_none() {
            config.failure_persistence = Some(Box::new(FileFailurePersistence::Direct(self.regressions)));
        }
        let (seed, cases) = (config.rng_seed, config.cases);
        let begun = Instant::now();
        let tried = Cell::new(0_u32);
        let mut runner = TestRunner::new(config);
        let result = runner.run(&strategy, |value| {
            tried.set(tried.get() + 1);
            test(value).map_err(TestCaseError::fail)
        });
        let RngSeed::Fixed(seed) = seed else { return Err("there is a seed".into()) };
        match result {
            Ok(()) => Ok(format!(
                "{cases} programs, {} operations, {:.1} s",
                take_steps(),
                begun.elapsed().as_secs_f64()
            )),
            Err(TestError::Fail(why, value)) => Err(format!(
                "{}\n\nThe smallest program that fails ({} were tried):\n{}\nThe same again:\n\
                 PROPTEST_RNG_SEED={seed} PROPTEST_CASES={asked} cargo test --test state_machine {}",
                why.message(),
                tried.get(),
                print(&value),
                self.name
            )),
            Err(TestError::Abort(why)) => Err(format!("given up: {why}")),
        }
    }
}

/// A program as Rust.
fn text(setup: &impl Debug, steps: &[Step]) -> String {
    let mut text = format!("// {setup:?}\n");
    for step in steps {
        let _ = writeln!(text, "{step:?};");
    }
    text
}

const STRICT: Judgement = Judgement { data: true, alone: true, faulty: false };

fn threads_in_turn(property: &Property) -> Result<String, String> {
    property.run(
        generate::programs(Kind::Any, 10..80),
        |trial| text(&trial.model.setup, &trial.steps),
        |trial| {
            let program = Program::of(&trial);
            let ended = isolated(|| {
                let (acl, devices) = program::open(program.setup, None)?;
                let run = program::run(&acl, devices, None, &program, STRICT)?;
                program::close(acl, &[run])
            });
            trial.done.store((ended.steps + 1).min(trial.steps.len()), Ordering::SeqCst);
            ended.result
        },
    )
}

/// Several programs on one machine, each with a thread that hands on to others: their objects are apart, all else they share.
fn threads_at_once(property: &Property) -> Result<String, String> {
    property.run(
        proptest::collection::vec(generate::programs(Kind::OneChip, 8..40), 2..4),
        |trials| trials.iter().map(|trial| text(&trial.model.setup, &trial.steps)).collect(),
        |trials| {
            let programs: Vec<Program> = trials.iter().map(Program::of).collect();
            let together = || {
                let (acl, devices) = program::open(programs[0].setup, None)?;
                let judgement = Judgement { alone: false, ..STRICT };
                let shared = Shared::new(&devices[0]).map_err(|error| error.to_string())?;
                let runs = std::thread::scope(|scope| {
                    let start = |program| {
                        let (acl, devices, shared) = (&acl, devices.clone(), Some(shared.clone()));
                        scope.spawn(move || program::run(acl, devices, shared, program, judgement))
                    };
                    let threads: Vec<_> = programs.iter().map(start).collect();
                    let joined = threads.into_iter().map(|thread| thread.join().map_err(|_| "panicked")?);
                    joined.collect::<Result<Vec<_>, String>>()
                })?;
                drop(devices);
                let counts = shared.end();
                program::close(acl, &runs)?;
                counts.check()
            };
            isolated(together).result
        },
    )
}

/// A program in which everything is ordered, without one of the steps that order it.
fn a_missing_wait_is_reported(property: &Property) -> Result<String, String> {
    let racy = Cell::new(0);
    let told = property.run(
        (generate::programs(Kind::Ordered, 20..80), any::<Index>()),
        |(trial, which)| text(&trial.model.setup, &without(&trial.model, &trial.steps, which)),
        |(trial, which)| {
            let steps = without(&trial.model, &trial.steps, &which);
            racy.set(racy.get() + u32::from(agree(&trial.model, steps)?));
            Ok(())
        },
    )?;
    Ok(format!("{told}, {} of them with a race", racy.get()))
}

/// The program without one step that orders: one without which it has a race, if there is such a one.
fn without(model: &Model, steps: &[Step], which: &Index) -> Vec<Step> {
    let orders = |step: &Step| {
        matches!(
            step.op,
            Op::Wait { .. } | Op::SyncEvent { .. } | Op::SyncStream { .. } | Op::SyncContext { .. }
        )
    };
    let candidates: Vec<usize> = (0..steps.len()).filter(|&at| orders(&steps[at])).collect();
    let racing: Vec<usize> =
        candidates.iter().copied().filter(|&at| races_without(model, steps, at)).collect();
    // Mostly others order the same.
    let candidates = if racing.is_empty() { candidates } else { racing };
    match candidates.is_empty() {
        true => steps.to_vec(),
        false => rest_without(model, steps, candidates[which.index(candidates.len())]),
    }
}

fn races_without(model: &Model, steps: &[Step], gone: usize) -> bool {
    let mut state = Model::new(model.setup);
    let rest = rest_without(model, steps, gone);
    rest.iter().for_each(|step| state.apply(step.thread, &step.op));
    state.race().is_some()
}

/// The program without the step at `gone`, and without what makes no sense then.
fn rest_without(model: &Model, steps: &[Step], gone: usize) -> Vec<Step> {
    let mut state = Model::new(model.setup);
    let mut rest = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if at != gone && state.is_possible(step.thread, &step.op, true) {
            state.apply(step.thread, &step.op);
            rest.push(step.clone());
        }
    }
    rest
}

/// Programs in which nothing need be ordered.
fn races_are_those_of_the_model(property: &Property) -> Result<String, String> {
    let racy = Cell::new(0);
    let told = property.run(
        generate::programs(Kind::Racing, 4..30),
        |trial| text(&trial.model.setup, &trial.steps),
        |trial| {
            racy.set(racy.get() + u32::from(agree(&trial.model, trial.steps)?));
            Ok(())
        },
    )?;
    Ok(format!("{told}, {} of them with a race", racy.get()))
}

/// Whether the program has a race; the simulator reports one if and only if the model has one.
fn agree(model: &Model, steps: Vec<Step>) -> Result<bool, String> {
    let program = Program { setup: model.setup, steps, fault: None };
    // The model alone, in this process, for the count.
    let mut alone = Model::new(program.setup);
    program.steps.iter().for_each(|step| alone.apply(step.thread, &step.op));
    isolated(|| {
        let (acl, devices) = program::open(program.setup, None)?;
        let judgement = Judgement { data: false, ..STRICT };
        let run = program::run(&acl, devices, None, &program, judgement)?;
        let reported = program::races();
        match (run.model.race(), reported.first()) {
            (Some((buffer, ..)), None) => Err(format!("a race on b{buffer} is not reported")),
            (None, Some(report)) => Err(format!("there is no race, but one is reported: {report}")),
            _ => program::close(acl, &[run]),
        }
    })
    .result?;
    Ok(alone.race().is_some())
}

/// What the safe layer calls.
const FUNCTIONS: &[&str] = &[
    "aclrtSetDevice",
    "aclrtCreateContext",
    "aclrtDestroyContext",
    "aclrtSetCurrentContext",
    "aclrtGetCurrentContext",
    "aclrtCreateStream",
    "aclrtDestroyStream",
    "aclrtSynchronizeStream",
    "aclrtSynchronizeStreamWithTimeout",
    "aclrtStreamQuery",
    "aclrtCreateEvent",
    "aclrtCreateEventWithFlag",
    "aclrtCreateEventExWithFlag",
    "aclrtDestroyEvent",
    "aclrtRecordEvent",
    "aclrtStreamWaitEvent",
    "aclrtResetEvent",
    "aclrtQueryEventStatus",
    "aclrtSynchronizeEventWithTimeout",
    "aclrtEventElapsedTime",
    "aclrtMalloc",
    "aclrtFree",
    "aclrtMallocHost",
    "aclrtFreeHost",
    "aclrtMemcpy",
    "aclrtMemset",
    "aclrtMemcpyAsync",
    "aclrtMemsetAsync",
    "aclrtSubscribeReport",
    "aclrtUnSubscribeReport",
    "aclrtProcessReport",
    "aclrtLaunchCallback",
    "aclrtSynchronizeDeviceWithTimeout",
];

fn any_fault() -> impl Strategy<Value = Fault> {
    let failing = select(FUNCTIONS);
    let queueing = select(&[
        "aclrtMemcpyAsync",
        "aclrtMemsetAsync",
        "aclrtRecordEvent",
        "aclrtStreamWaitEvent",
        "aclrtLaunchCallback",
    ] as &'static [&'static str]);
    // Codes that say that nothing was submitted are no answers behind a submission.
    let kinds = prop_oneof![
        4 => select(vec![100_000, 107_002, 107_003, 107_017, 207_001, 207_007, 500_000, 507_010, 507_015, 507_899, 999_999])
            .prop_map(FaultKind::Error),
        3 => select(vec![507_010, 507_015, 507_899, 999_999]).prop_map(FaultKind::ErrorAfter),
        1 => Just(FaultKind::NoMemory),
        1 => Just(FaultKind::LoseDevice),
        1 => Just(FaultKind::MissingSymbol),
    ];
    let of_report = prop_oneof![
        Just(FaultKind::DuplicateReport),
        Just(FaultKind::DelayReport(Duration::from_millis(3))),
        Just(FaultKind::LoseReport),
    ];
    let what = prop_oneof![
        10 => (failing, kinds),
        1 => queueing.prop_map(|function| (function, FaultKind::StopStream)),
        2 => of_report.prop_map(|kind| ("aclrtLaunchCallback", kind)),
    ];
    (what, 1..8_u64, 0..4_u8).prop_map(|((function, kind), which, how)| match how {
        0 => Fault::every(function, kind),
        1 => Fault::from_nth(function, which, kind),
        _ => Fault::nth(function, which, kind),
    })
}

/// One thing fails. What is done succeeds or gives an error, and what succeeds is right.
fn faults(property: &Property) -> Result<String, String> {
    property.run(
        (generate::programs(Kind::Any, 10..60), any_fault().no_shrink()),
        |(trial, fault)| {
            let text = text(&trial.model.setup, &trial.steps);
            format!("// ASCENDCL_SIM_FAULTS='{fault}'\n{text}")
        },
        |(trial, fault)| {
            let program = Program { fault: Some(fault), ..Program::of(&trial) };
            isolated(|| under_fault(&program)).result
        },
    )
}

fn under_fault(program: &Program) -> Result<(), String> {
    // That it cannot be opened is an error like another.
    let Ok((acl, devices)) = program::open(program.setup, program.fault.as_ref()) else { return Ok(()) };
    let judgement = Judgement { data: true, alone: false, faulty: true };
    let run = program::run(&acl, devices, None, program, judgement)?;
    for id in run.model.callbacks.keys().chain(&run.model.refused) {
        let count = |all: Vec<u8>| all.iter().filter(|&other| other == id).count();
        let (ran, dropped) = (count(run.ledger.ran()), count(run.ledger.dropped()));
        if ran > 1 || dropped > 1 {
            return Err(format!("the closure of k{id} ran {ran} times and was dropped {dropped} times"));
        }
    }
    let intact = run.disturbed.is_none();
    // Without a wait that failed the program may race. Memory must not be freed in use all the same.
    program::no_reports(|report| match report.kind {
        ReportKind::Race => intact || report.text.contains("aclrtFree"),
        ReportKind::Misuse => report.text.contains("freed"),
        _ => false,
    })
}
