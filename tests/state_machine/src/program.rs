//! A program from its beginning to its end, on a machine of its own.

use crate::{
    generate::Dice,
    isolate::progress,
    model::{Ending, Fate, Model, Setup},
    operation::{Collect, Finish, Id, Op, Patience, Step},
    shared::Shared,
    shrink::Trial,
    workers::Workers,
    world::{Failure, Judgement, Ledger, Outcome, Slot, World, require},
};
use ascendcl::{Acl, BackendChoice, CallbackMode, Device};
use ascendcl_sim::{Config, Fault, ReportKind, Reporting};
use std::{any::Any, sync::Arc};

/// What is run, and how it is judged.
#[derive(Clone)]
pub struct Program {
    pub setup: Setup,
    pub steps: Vec<Step>,
    pub fault: Option<Fault>,
}

impl Program {
    pub fn of(trial: &Trial) -> Program {
        Program { setup: trial.model.setup, steps: trial.steps.clone(), fault: None }
    }
}

/// How a program went.
pub struct Run {
    pub model: Model,
    pub ledger: Arc<Ledger>,
    /// The first error that the model does not know of.
    pub disturbed: Option<String>,
}

/// The simulated machine, and its devices.
pub fn open(setup: Setup, fault: Option<&Fault>) -> Result<(Acl, Vec<Device>), String> {
    let mut config = Config::new()
        .profile(setup.chip.profile())
        .devices(2)
        .memory(64 << 20)
        .races(Reporting::Log)
        .misuse(Reporting::Log)
        .leaks(Reporting::Log);
    if let Some(seed) = setup.seed {
        config = config.seed(seed);
    }
    if let Some(fault) = fault {
        config = config.fault(fault.clone());
    }
    ascendcl_sim::configure(config).map_err(|error| error.to_string())?;
    let open = || {
        let acl = Acl::builder().backend(BackendChoice::Sim).build()?;
        let devices = acl.devices()?;
        devices[0].enable_peer_access(&devices[1])?;
        devices[1].enable_peer_access(&devices[0])?;
        Ok::<_, ascendcl::Error>((acl, devices))
    };
    open().map_err(|error| format!("the machine cannot be opened: {error}"))
}

/// Runs the operations of a program, and what its ending asks for, up to where no object is left.
pub fn run(
    acl: &Acl,
    devices: Vec<Device>,
    shared: Option<Arc<Shared>>,
    program: &Program,
    judgement: Judgement,
) -> Result<Run, String> {
    let workers = Workers::start(program.setup.threads);
    let mut world = Box::new(World::new(acl, &devices, judgement));
    world.shared = shared;
    drop(devices);
    let mut model = Model::new(program.setup);
    let mut disturbed = None;
    let mut bear = |world: &mut World, what: &dyn std::fmt::Debug, outcome: Outcome| match outcome {
        Ok(()) => Ok(()),
        Err(Failure::Refused(_) | Failure::Missing(..)) if judgement.faulty => {
            // From here on the program does not do what the model thinks.
            world.judgement.data = false;
            disturbed.get_or_insert_with(|| format!("{what:?}"));
            Ok(())
        }
        Err(Failure::Wrong(_)) if disturbed.is_some() => Ok(()),
        Err(failure) => Err(format!("{what:?}\n{failure}")),
    };
    for step in &program.steps {
        let (back, outcome) = workers.execute(step.thread, world, &model, &step.op);
        world = back;
        bear(&mut world, step, outcome)?;
        model.apply(step.thread, &step.op);
        none_early(&world, &model).map_err(|early| format!("{step:?}\n{early}"))?;
        progress();
    }
    // Where races are looked for it would order what it asks for.
    if judgement.data && !judgement.faulty && model.order.anything_unresolved() {
        settle(&world, &model).map_err(|failure| format!("before the streams that wait go on\n{failure}"))?;
    }
    let outcome = open_gates(&world, &mut model);
    bear(&mut world, &"the events that streams wait for are recorded", outcome)?;
    let ledger = world.ledger.clone();
    match program.setup.ending {
        Ending::Tidy => {
            for op in tidy(&model) {
                let (back, outcome) = workers.execute(0, world, &model, &op);
                world = back;
                bear(&mut world, &op, outcome)?;
                model.apply(0, &op);
            }
            drop(world);
        }
        Ending::Abandon(order) => abandon(*world, order),
    }
    workers.end();
    Ok(Run { model, ledger, disturbed })
}

/// No closure has run whose stream cannot have got there.
fn none_early(world: &World, model: &Model) -> Result<(), String> {
    // Behind a call that failed it may not wait for what the model thinks.
    if !world.judgement.data {
        return Ok(());
    }
    let blocked =
        |id: &Id| model.callbacks.get(id).is_some_and(|callback| model.order.is_blocked(callback.node));
    match world.ledger.ran().into_iter().find(blocked) {
        Some(early) => Err(format!("the closure of k{early} ran before it could")),
        None => Ok(()),
    }
}

/// Gives the devices time to do all they can do: what cannot be is not done then either. Whatever was taken out of a program to make it
/// smaller, what happened too early still shows.
fn settle(world: &World, model: &Model) -> Result<(), String> {
    (0..200).for_each(|_| world.nudge());
    none_early(world, model)?;
    let streams = model.streams.iter().filter(|(_, stream)| stream.alive);
    let events = model.events.iter().filter(|(_, event)| event.alive);
    streams
        .map(|(&id, _)| world.is_idle(model, id))
        .chain(events.map(|(&id, _)| world.query(model, id)))
        .collect::<Outcome>()
        .map_err(|failure| failure.to_string())
}

/// Records what streams wait for, so that they come to their ends.
fn open_gates(world: &World, model: &mut Model) -> Outcome {
    let closed = |event: &crate::model::Event| event.alive && !event.pending().is_empty();
    let gates: Vec<Id> = model.events.iter().filter(|(_, event)| closed(event)).map(|(&id, _)| id).collect();
    for id in gates {
        let event = world.event(id)?;
        event.context().create_stream()?.record(event)?;
        let record = model.order.push(0);
        let waits = model.events[&id].pending().to_vec();
        waits.into_iter().for_each(|wait| model.order.resolve(wait, record));
        if let Some(event) = model.events.get_mut(&id) {
            (event.record, event.latest) = (Some(record), Some(record));
        }
    }
    Ok(())
}

/// What a program does that waits for all it began.
fn tidy(model: &Model) -> Vec<Op> {
    let streams = model.streams.iter().filter(|(_, stream)| stream.alive);
    let streams = streams.map(|(&stream, _)| Op::SyncStream { stream, patience: Patience::Ample });
    let transfers = model.transfers.iter().filter(|(_, transfer)| transfer.fate == Fate::Open);
    let transfers = transfers.map(|(&transfer, _)| Op::Finish { transfer, how: Finish::Wait });
    let callbacks = model.callbacks.iter().filter(|(_, callback)| callback.open);
    let callbacks = callbacks.map(|(&callback, _)| Op::Collect { callback, how: Collect::Wait });
    streams.chain(transfers).chain(callbacks).collect()
}

/// Drops all handles, waiting for nothing.
fn abandon(world: World, order: u64) {
    let mut handles: Vec<Box<dyn Any>> = Vec::new();
    handles.extend(world.contexts.into_values().map(|handle| Box::new(handle) as Box<dyn Any>));
    handles.extend(world.streams.into_values().map(|handle| Box::new(handle) as Box<dyn Any>));
    handles.extend(world.events.into_values().map(|handle| Box::new(handle) as Box<dyn Any>));
    handles.extend(world.buffers.into_values().map(|handle| Box::new(handle) as Box<dyn Any>));
    handles.extend(world.pinned.into_values().map(|handle| Box::new(handle) as Box<dyn Any>));
    handles.extend(world.transfers.into_values().map(|slot: Slot| Box::new(slot) as Box<dyn Any>));
    handles.extend(world.callbacks.into_values().map(|handle| Box::new(handle) as Box<dyn Any>));
    handles.extend(world.devices.into_iter().map(|handle| Box::new(handle) as Box<dyn Any>));
    let mut dice = Dice(order);
    while !handles.is_empty() {
        drop(handles.swap_remove(dice.below(handles.len())));
    }
}

/// Finalises ACL: everything is gone then, closures have run once, in order, and nothing was reported.
pub fn close(acl: Acl, runs: &[Run]) -> Result<(), String> {
    let forgotten = runs.iter().any(|run| run.model.forgotten > 0);
    match acl.finalize() {
        Ok(true) if !forgotten => {
            let live: Vec<String> = ascendcl_sim::live().iter().map(ToString::to_string).collect();
            if !live.is_empty() {
                return Err(format!("left alive: {live:#?}"));
            }
        }
        Err(ascendcl::Error::InUse { .. }) if forgotten => {}
        other => return Err(format!("all handles are gone, and Acl::finalize gives {other:?}")),
    }
    for run in runs {
        closures(&run.model, &run.ledger).map_err(|failure| failure.to_string())?;
    }
    no_reports(|_| true)
}

/// Nothing that `counts` was reported.
pub fn no_reports(counts: impl Fn(&ascendcl_sim::Report) -> bool) -> Result<(), String> {
    match ascendcl_sim::take_reports().into_iter().find(counts) {
        Some(report) => Err(format!("reported: {report}")),
        None => Ok(()),
    }
}

/// Whether races were reported.
pub fn races() -> Vec<String> {
    let reports = ascendcl_sim::take_reports().into_iter();
    reports.filter(|report| report.kind == ReportKind::Race).map(|report| report.text).collect()
}

/// Every closure ran once and is gone, and in the order of its stream and of what streams waited for.
fn closures(model: &Model, ledger: &Ledger) -> Outcome {
    let (ran, dropped) = (ledger.ran(), ledger.dropped());
    let count = |all: &[Id], id: Id| all.iter().filter(|&&other| other == id).count();
    for &id in model.callbacks.keys() {
        let (ran, dropped) = (count(&ran, id), count(&dropped, id));
        require((ran, dropped) == (1, 1), || {
            format!("the closure of k{id} ran {ran} times and was dropped {dropped} times")
        })?;
    }
    for &id in &model.refused {
        let (ran, dropped) = (count(&ran, id), count(&dropped, id));
        require((ran, dropped) == (0, 1), || {
            format!(
                "the closure of k{id}, which was refused, ran {ran} times and was dropped {dropped} times"
            )
        })?;
    }
    for (at, first) in ran.iter().enumerate() {
        for second in &ran[at + 1..] {
            let (before, after) = (&model.callbacks[first], &model.callbacks[second]);
            let context = |callback: &crate::model::Callback| model.streams[&callback.stream].context;
            let kept =
                after.mode == CallbackMode::Blocking || model.same_context(context(before), context(after));
            require(!kept || !model.order.is_before(after.node, before.node), || {
                format!("the closure of k{first} ran before that of k{second}, behind which it was launched")
            })?;
        }
    }
    Ok(())
}
