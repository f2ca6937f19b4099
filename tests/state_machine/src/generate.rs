//! Random programs: operations that make sense where they stand, by dice.

use crate::{
    model::{Chip, Ending, Fate, Model, Owner, Setup},
    operation::{Body, Collect, EventKind, Finish, Id, Op, Patience, Range, Share, Step, Wrong},
    shrink::Trials,
};
use ascendcl::{CallbackMode, EventFlags};
use proptest::prelude::*;
use proptest_state_machine::Sequential;
use std::collections::BTreeMap;

/// Which programs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Everything there is, properly ordered.
    Any,
    /// The same for several programs on one machine, with and without a seed.
    OneChip,
    /// Properly ordered, and nothing in it that orders more than it must: no callbacks, and nothing that asks how far a stream is.
    Ordered,
    /// As `Ordered`, but in no order.
    Racing,
}

impl Kind {
    fn allows(self, op: &Op) -> bool {
        match self {
            Kind::Any => !matches!(op, Op::Share(_)),
            // These are about the process, or take seconds without a virtual clock.
            Kind::OneChip => !matches!(
                op,
                Op::Wrong(Wrong::Poison(_) | Wrong::FinalizeWhileInUse | Wrong::OtherBackend { .. })
            ),
            // Who waits for a context in vain may have learnt of those of its streams that were done, or not.
            Kind::Ordered | Kind::Racing => matches!(
                op,
                Op::CreateContext { .. }
                    | Op::CreateStream { .. }
                    | Op::CreateEvent { .. }
                    | Op::Alloc { .. }
                    | Op::AllocPinned { .. }
                    | Op::Record { .. }
                    | Op::Wait { limited: false, .. }
                    | Op::Reset { .. }
                    | Op::SyncEvent { .. }
                    | Op::SyncStream { .. }
                    | Op::SyncContext { patience: Patience::Unlimited | Patience::Ample, .. }
                    | Op::Memset { .. }
                    | Op::Copy { .. }
                    | Op::Upload { .. }
                    | Op::Download { .. }
                    | Op::WriteNow { .. }
                    | Op::MemsetNow { .. }
                    | Op::ReadNow { .. }
                    | Op::CopyNow { .. }
            ),
        }
    }

    /// Whether all steps are possible, one after the other.
    pub fn makes_sense(self, model: &Model, steps: &[Step]) -> bool {
        let mut model = model.clone();
        steps.iter().all(|step| {
            let possible = self.is_possible(&model, step);
            if possible {
                model.apply(step.thread, &step.op);
            }
            possible
        })
    }

    fn is_possible(self, model: &Model, step: &Step) -> bool {
        self.allows(&step.op) && model.is_possible(step.thread, &step.op, self == Kind::Racing)
    }
}

/// Programs of a length, for the model, which is the reference.
pub fn programs(kind: Kind, length: std::ops::Range<usize>) -> Trials {
    let programs = Sequential::new(
        length.into(),
        move || setups(kind).prop_map(Model::new).boxed(),
        move |model, step| kind.is_possible(model, step),
        move |model: &Model| {
            let model = model.clone();
            // What is shrunk is the list of operations: each is small, and taken as it is or not at all.
            any::<u64>().no_shrink().prop_map(move |seed| generate(kind, &model, Dice(seed))).boxed()
        },
        |mut model: Model, step: &Step| {
            model.apply(step.thread, &step.op);
            model
        },
    );
    Trials(kind, programs)
}

fn setups(kind: Kind) -> impl Strategy<Value = Setup> {
    let chips =
        if kind == Kind::OneChip { vec![Chip::Full] } else { vec![Chip::Full, Chip::Full, Chip::Ascend310] };
    let chip = proptest::sample::select(chips);
    let ending = prop_oneof![Just(Ending::Tidy), any::<u64>().prop_map(Ending::Abandon)];
    let some = any::<u32>().prop_map(|seed| Some(seed.into()));
    let seed = if kind == Kind::OneChip { prop_oneof![some, Just(None)].boxed() } else { some.boxed() };
    (seed, chip, 1..4_u8, ending)
        .prop_map(|(seed, chip, threads, ending)| Setup { seed, chip, threads, ending })
        .no_shrink()
}

/// Numbers that a seed fixes (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        (!choices.is_empty()).then(|| choices[self.below(choices.len())])
    }

    /// One of those that `counts`.
    fn one<T>(&mut self, all: &BTreeMap<Id, T>, counts: impl Fn(&T) -> bool) -> Option<Id> {
        let ids: Vec<Id> = all.iter().filter(|(_, one)| counts(one)).map(|(&id, _)| id).collect();
        self.of(&ids)
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    fn patience(&mut self, stuck: bool) -> Patience {
        match (stuck, self.one_in(3)) {
            (true, _) => Patience::Short,
            (false, true) => Patience::Ample,
            (false, false) => Patience::Unlimited,
        }
    }
}

/// Lengths of buffers: few, so that they fit each other.
const LENGTHS: [usize; 5] = [16, 16, 16, 40, 0];

fn generate(kind: Kind, model: &Model, mut dice: Dice) -> Step {
    let thread = dice.below(model.setup.threads.into()) as u8;
    for _ in 0..20 {
        // What is seldom possible is tried for longer, so that it is not crowded out.
        let class = dice.below(100);
        for _ in 0..30 {
            if let Some(op) = propose(model, &mut dice, class) {
                let step = Step { thread, op };
                if kind.is_possible(model, &step) {
                    return step;
                }
            }
        }
    }
    Step { thread, op: Op::Wrong(Wrong::NoSuchDevice) }
}

fn fresh<T>(all: &BTreeMap<Id, T>) -> Id {
    all.last_key_value().map_or(0, |(&last, _)| last + 1)
}

fn propose(model: &Model, dice: &mut Dice, class: usize) -> Option<Op> {
    let contexts = model.contexts.values().filter(|context| context.alive).count();
    if contexts == 0 || (contexts < 3 && class == 0) {
        let device = if contexts == 0 { 0 } else { u8::from(dice.one_in(2)) };
        return Some(Op::CreateContext { id: fresh(&model.contexts), device, primary: dice.one_in(4) });
    }
    let context = context(model, dice)?;
    let streams = model.streams.values().filter(|stream| stream.alive).count();
    if streams == 0 || (streams < 3 && class < 6) {
        return Some(Op::CreateStream { id: fresh(&model.streams), context });
    }
    let buffers = model.buffers.values().filter(|buffer| buffer.alive).count();
    if buffers == 0 || (buffers < 3 && class < 11) {
        return Some(Op::Alloc { id: fresh(&model.buffers), context, len: dice.of(&LENGTHS)? });
    }
    let events = model.events.values().filter(|event| event.alive).count();
    if events < 4 && class < 18 {
        return create_event(model, dice);
    }
    let pinned = model.pinned.values().filter(|pinned| pinned.owner == Owner::Program).count();
    if pinned < 2 && class < 25 {
        return alloc_pinned(model, dice);
    }
    match class {
        0..46 => data(model, dice),
        46..68 => order(model, dice),
        68..79 => ends(model, dice),
        79..87 => callbacks(model, dice),
        87..93 => objects(model, dice),
        93..96 => share(model, dice),
        _ => wrong(model, dice),
    }
}

fn context(model: &Model, dice: &mut Dice) -> Option<Id> {
    dice.one(&model.contexts, |context| context.alive)
}

fn stream(model: &Model, dice: &mut Dice) -> Option<Id> {
    dice.one(&model.streams, |stream| stream.alive)
}

fn event(model: &Model, dice: &mut Dice) -> Option<Id> {
    dice.one(&model.events, |event| event.alive)
}

/// An event, mostly one that a stream can use.
fn event_for(model: &Model, dice: &mut Dice, stream: Id) -> Option<Id> {
    let device = model.streams[&stream].device;
    let any = dice.one_in(8);
    dice.one(&model.events, |event| event.alive && (any || event.device == device))
}

/// Part of a buffer, mostly of one that a stream can use.
fn range(model: &Model, dice: &mut Dice, stream: Option<Id>, len: Option<usize>) -> Option<Range> {
    let device = stream.map(|stream| model.streams[&stream].device);
    let any = dice.one_in(8);
    let fits = len.filter(|_| !dice.one_in(12));
    let buffer = dice.one(&model.buffers, |buffer| {
        let near = any || device.is_none_or(|device| buffer.device == device);
        buffer.alive && near && fits.is_none_or(|len| len <= buffer.data.len())
    })?;
    let whole = model.buffers[&buffer].data.len();
    let len = fits.unwrap_or_else(|| if dice.one_in(2) { whole } else { dice.below(whole + 1) });
    let start = if dice.one_in(2) { 0 } else { dice.below(whole - len + 1) };
    Some(Range { buffer, start, len })
}

fn data(model: &Model, dice: &mut Dice) -> Option<Op> {
    let stream = stream(model, dice)?;
    let pinned = |dice: &mut Dice| dice.one(&model.pinned, |pinned| pinned.owner == Owner::Program);
    let id = fresh(&model.transfers);
    Some(match dice.below(22) {
        0..3 => Op::Memset { stream, to: range(model, dice, Some(stream), None)?, byte: dice.byte() },
        3..7 => {
            let from = range(model, dice, Some(stream), None)?;
            let near = (!dice.one_in(4)).then_some(stream);
            Op::Copy { stream, from, to: range(model, dice, near, Some(from.len))? }
        }
        7..11 => {
            let from = pinned(dice)?;
            let len = model.pinned[&from].data.len();
            Op::Upload { id, stream, from, to: range(model, dice, Some(stream), Some(len))? }
        }
        11..15 => {
            let to = pinned(dice)?;
            let len = model.pinned[&to].data.len();
            Op::Download { id, stream, from: range(model, dice, Some(stream), Some(len))?, to }
        }
        15 => Op::WriteNow { to: range(model, dice, None, None)?, byte: dice.byte() },
        16 => Op::MemsetNow { to: range(model, dice, None, None)?, byte: dice.byte() },
        17..20 => Op::ReadNow { from: range(model, dice, None, None)? },
        _ => {
            let from = range(model, dice, None, None)?;
            Op::CopyNow { from, to: range(model, dice, None, Some(from.len))? }
        }
    })
}

fn order(model: &Model, dice: &mut Dice) -> Option<Op> {
    let stream = stream(model, dice)?;
    Some(match dice.below(22) {
        0..5 => Op::Record { stream, event: event_for(model, dice, stream)? },
        5..9 | 20 => Op::Wait { stream, event: event_for(model, dice, stream)?, limited: dice.one_in(6) },
        9 | 10 | 21 => {
            // Few events are such that a reset makes sense.
            let raised =
                |event: &crate::model::Event| event.alive && event.kind.is_level() && event.record.is_some();
            let event = dice.one(&model.events, raised);
            Op::Reset {
                stream,
                event: event.filter(|_| !dice.one_in(4)).or_else(|| event_for(model, dice, stream))?,
            }
        }
        11 => Op::QueryEvent { event: event(model, dice)? },
        12 => Op::QueryWaits { event: event(model, dice)? },
        13 => {
            let event = event(model, dice)?;
            let stuck = model.events[&event].latest.is_some_and(|latest| model.order.is_blocked(latest));
            Op::SyncEvent { event, patience: dice.patience(stuck) }
        }
        14..16 => {
            // Few have a time.
            let timed = |event: &crate::model::Event| {
                let known = event.latest.is_some_and(|latest| model.order.host_knows(latest));
                event.alive && event.kind.is_timed() && known
            };
            let any = dice.one_in(4);
            let ids = model.events.iter().filter(|(_, event)| timed(event) || (any && event.alive));
            let ids: Vec<Id> = ids.map(|(&id, _)| id).collect();
            let start = dice.of(&ids)?;
            let others: Vec<Id> = ids.into_iter().filter(|&id| id != start || dice.one_in(8)).collect();
            Op::Elapsed { start, end: dice.of(&others)? }
        }
        16..18 => Op::SyncStream { stream, patience: dice.patience(model.is_stuck(stream)) },
        18 => Op::IsIdle { stream },
        _ => {
            let context = context(model, dice)?;
            let stuck = model.streams_of(context).iter().any(|&stream| model.is_stuck(stream));
            Op::SyncContext { context, patience: dice.patience(stuck) }
        }
    })
}

fn ends(model: &Model, dice: &mut Dice) -> Option<Op> {
    if dice.one_in(4) {
        let callback = dice.one(&model.callbacks, |callback| callback.open)?;
        let stuck = model.order.is_blocked(model.callbacks[&callback].node);
        let patience = dice.patience(stuck);
        let how = match dice.below(6) {
            0..2 => Collect::Wait,
            2 => Collect::WaitTimeout(if stuck { patience } else { Patience::Ample }),
            3..5 => Collect::Await,
            _ => Collect::Drop,
        };
        return Some(Op::Collect { callback, how });
    }
    let transfer = dice.one(&model.transfers, |transfer| transfer.fate == Fate::Open)?;
    let node = model.transfers[&transfer].node;
    let stuck = node.is_some_and(|node| model.order.is_blocked(node));
    let how = match dice.below(24) {
        0..8 => Finish::Wait,
        8..12 => Finish::WaitTimeout(if stuck { Patience::Short } else { Patience::Ample }),
        12..15 => Finish::Await,
        15..17 => Finish::Poll,
        17..19 => Finish::Cancel,
        19 => Finish::IsDone,
        20..23 => Finish::Drop,
        _ if dice.one_in(4) => Finish::Forget,
        _ => Finish::Drop,
    };
    Some(Op::Finish { transfer, how })
}

fn callbacks(model: &Model, dice: &mut Dice) -> Option<Op> {
    let stream = stream(model, dice)?;
    let body = match dice.below(9) {
        0..3 => Body::Log,
        3 => Body::Panic,
        4 => Body::Probe { event: event(model, dice)? },
        5 => Body::OwnBuffer(dice.one(&model.buffers, |buffer| buffer.alive)?),
        6 => Body::OwnStream,
        _ => {
            let open =
                |transfer: &crate::model::Transfer| transfer.fate == Fate::Open && transfer.stream == stream;
            Body::WaitFor(dice.one(&model.transfers, open)?)
        }
    };
    let blocks = !dice.one_in(4);
    let mode = if blocks { CallbackMode::Blocking } else { CallbackMode::NonBlocking };
    let id = fresh(&model.callbacks).max(model.refused.iter().map(|id| id + 1).max().unwrap_or(0));
    Some(Op::Callback { id, stream, mode, body })
}

fn create_event(model: &Model, dice: &mut Dice) -> Option<Op> {
    let context = context(model, dice)?;
    let flags = dice.of(&[
        EventFlags::SYNC,
        EventFlags::SYNC,
        EventFlags::SYNC | EventFlags::TIME_LINE,
        EventFlags::TIME_LINE,
    ])?;
    let kind = match dice.below(6) {
        0..3 => EventKind::Plain,
        3..5 => EventKind::Flags(flags),
        _ => EventKind::Ex(flags),
    };
    Some(Op::CreateEvent { id: fresh(&model.events), context, kind })
}

fn alloc_pinned(model: &Model, dice: &mut Dice) -> Option<Op> {
    let (context, len, fill) = (context(model, dice)?, dice.of(&LENGTHS)?, dice.byte());
    Some(Op::AllocPinned { id: fresh(&model.pinned), context, len, fill })
}

fn objects(model: &Model, dice: &mut Dice) -> Option<Op> {
    let context = context(model, dice)?;
    Some(match dice.below(20) {
        0..6 => Op::DropBuffer { id: dice.one(&model.buffers, |buffer| buffer.alive)? },
        6..8 => Op::DropPinned { id: dice.one(&model.pinned, |pinned| pinned.owner == Owner::Program)? },
        8 => Op::DropEvent { id: event(model, dice)? },
        9 => Op::CloneAndDrop { stream: stream(model, dice)?, event: event(model, dice)? },
        10 => Op::DropStream { id: stream(model, dice)? },
        11 => Op::DropContext { id: context },
        12..15 => Op::Enter { context },
        15..18 => Op::Leave,
        _ => Op::Audit,
    })
}

fn share(model: &Model, dice: &mut Dice) -> Option<Op> {
    Some(Op::Share(match dice.below(10) {
        0..3 => Share::Launch,
        3..5 => Share::Memset(dice.byte()),
        5 => Share::Download,
        6 => Share::Record,
        7 => Share::Wait(stream(model, dice)?),
        8 => Share::Query,
        _ => Share::Synchronize,
    }))
}

fn wrong(model: &Model, dice: &mut Dice) -> Option<Op> {
    let context = context(model, dice)?;
    Some(Op::Wrong(match dice.below(12) {
        0..2 => Wrong::NoSuchDevice,
        2..4 => Wrong::TooLong(context),
        4..6 => Wrong::OutOfMemory(context),
        6..9 => Wrong::BeyondTheEnd(dice.one(&model.buffers, |buffer| buffer.alive)?),
        9 => Wrong::FinalizeWhileInUse,
        10 => Wrong::OtherBackend {
            stream: stream(model, dice)?,
            buffer: dice.one(&model.buffers, |buffer| buffer.alive && !buffer.data.is_empty())?,
        },
        _ => Wrong::Poison(context),
    }))
}
