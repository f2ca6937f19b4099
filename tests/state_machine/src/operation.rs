//! What a program does: operations on named objects. Printed, a program reads as Rust.

use ascendcl::{CallbackMode, EventFlags};
use std::fmt;

/// Objects are numbered by whoever makes them, each kind for itself, and numbers are never used again: an operation means the same
/// whichever others are taken out of the program.
pub type Id = u8;

/// One operation, on one of the program's threads.
#[derive(Clone, PartialEq)]
pub struct Step {
    pub thread: u8,
    pub op: Op,
}

#[derive(Clone, PartialEq)]
pub enum Op {
    CreateContext {
        id: Id,
        device: u8,
        primary: bool,
    },
    DropContext {
        id: Id,
    },
    Enter {
        context: Id,
    },
    Leave,
    CreateStream {
        id: Id,
        context: Id,
    },
    DropStream {
        id: Id,
    },
    CreateEvent {
        id: Id,
        context: Id,
        kind: EventKind,
    },
    DropEvent {
        id: Id,
    },
    /// A second handle, dropped on another thread.
    CloneAndDrop {
        stream: Id,
        event: Id,
    },
    Alloc {
        id: Id,
        context: Id,
        len: usize,
    },
    DropBuffer {
        id: Id,
    },
    AllocPinned {
        id: Id,
        context: Id,
        len: usize,
        fill: u8,
    },
    DropPinned {
        id: Id,
    },
    Record {
        stream: Id,
        event: Id,
    },
    /// With `limited` the device gives up after an hour.
    Wait {
        stream: Id,
        event: Id,
        limited: bool,
    },
    Reset {
        stream: Id,
        event: Id,
    },
    QueryEvent {
        event: Id,
    },
    QueryWaits {
        event: Id,
    },
    SyncEvent {
        event: Id,
        patience: Patience,
    },
    Elapsed {
        start: Id,
        end: Id,
    },
    SyncStream {
        stream: Id,
        patience: Patience,
    },
    SyncContext {
        context: Id,
        patience: Patience,
    },
    IsIdle {
        stream: Id,
    },
    Memset {
        stream: Id,
        to: Range,
        byte: u8,
    },
    Copy {
        stream: Id,
        from: Range,
        to: Range,
    },
    Upload {
        id: Id,
        stream: Id,
        from: Id,
        to: Range,
    },
    Download {
        id: Id,
        stream: Id,
        from: Range,
        to: Id,
    },
    WriteNow {
        to: Range,
        byte: u8,
    },
    MemsetNow {
        to: Range,
        byte: u8,
    },
    ReadNow {
        from: Range,
    },
    CopyNow {
        from: Range,
        to: Range,
    },
    Finish {
        transfer: Id,
        how: Finish,
    },
    Callback {
        id: Id,
        stream: Id,
        mode: CallbackMode,
        body: Body,
    },
    Collect {
        callback: Id,
        how: Collect,
    },
    /// Everything is waited for: what nobody owns any more must be gone.
    Audit,
    Wrong(Wrong),
    Share(Share),
}

/// Part of a device buffer.
#[derive(Clone, Copy, PartialEq)]
pub struct Range {
    pub buffer: Id,
    pub start: usize,
    pub len: usize,
}

impl Range {
    pub fn end(&self) -> usize {
        self.start + self.len
    }

    pub fn overlaps(&self, other: &Range) -> bool {
        self.buffer == other.buffer && self.start < other.end() && other.start < self.end()
    }
}

/// How long the host waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Patience {
    Unlimited,
    /// Longer than it can take.
    Ample,
    /// Too short for what cannot happen yet.
    Short,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EventKind {
    Plain,
    Flags(EventFlags),
    Ex(EventFlags),
}

impl EventKind {
    /// Streams wait for a level that a record raises and a reset lowers.
    pub fn is_level(self) -> bool {
        matches!(self, EventKind::Flags(flags) if flags.contains(EventFlags::SYNC))
    }

    pub fn is_timed(self) -> bool {
        match self {
            EventKind::Plain => true,
            EventKind::Flags(flags) | EventKind::Ex(flags) => flags.contains(EventFlags::TIME_LINE),
        }
    }
}

/// What becomes of a transfer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finish {
    Wait,
    WaitTimeout(Patience),
    /// Awaited to the end.
    Await,
    /// Polled once, and kept.
    Poll,
    /// Polled once, and dropped.
    Cancel,
    IsDone,
    Drop,
    Forget,
}

/// What becomes of the handle of a callback.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Collect {
    Wait,
    WaitTimeout(Patience),
    Await,
    Drop,
}

/// What a closure does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Body {
    /// Notes that it ran, as they all do.
    Log,
    Panic,
    /// Calls what is not allowed there.
    Probe {
        event: Id,
    },
    /// Owns a buffer, which is dropped in it.
    OwnBuffer(Id),
    /// Owns a handle of its own stream.
    OwnStream,
    /// Waits for a transfer that came before it on its stream.
    WaitFor(Id),
}

/// What all threads do with the same stream, event and buffer, in whatever order it comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    Launch,
    Memset(u8),
    Download,
    Record,
    /// A stream of one's own waits for the event.
    Wait(Id),
    Query,
    Synchronize,
}

/// Calls that are wrong whatever the state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wrong {
    NoSuchDevice,
    TooLong(Id),
    OutOfMemory(Id),
    BeyondTheEnd(Id),
    /// Memory of one backend on a stream of another, and the other way round.
    OtherBackend {
        stream: Id,
        buffer: Id,
    },
    FinalizeWhileInUse,
    /// A stream of its own is poisoned by a wait that takes too long on the device, and takes no more work.
    Poison(Id),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/* thread {} */ {:?}", self.thread, self.op)
    }
}

impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "&b{}.view({}..{})?", self.buffer, self.start, self.end())
    }
}

/// The suffix of a method, and its argument.
fn wait(f: &mut fmt::Formatter<'_>, what: &str, id: Id, patience: Patience) -> fmt::Result {
    match patience {
        Patience::Unlimited => write!(f, "{what}{id}.synchronize()?"),
        Patience::Ample => write!(f, "{what}{id}.synchronize_timeout(ample)?"),
        Patience::Short => write!(f, "{what}{id}.synchronize_timeout(short)"),
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::CreateContext { id, device, primary: false } => {
                write!(f, "let c{id} = acl.device({device})?.create_context()?")
            }
            Op::CreateContext { id, device, primary: true } => {
                write!(f, "let c{id} = acl.device({device})?.primary_context()")
            }
            Op::DropContext { id } => write!(f, "drop(c{id})"),
            Op::Enter { context } => write!(f, "let _entered = c{context}.enter()?"),
            Op::Leave => write!(f, "drop(_entered)"),
            Op::CreateStream { id, context } => write!(f, "let s{id} = c{context}.create_stream()?"),
            Op::DropStream { id } => write!(f, "drop(s{id})"),
            Op::CreateEvent { id, context, kind } => match kind {
                EventKind::Plain => write!(f, "let e{id} = c{context}.create_event()?"),
                EventKind::Flags(flags) => {
                    write!(f, "let e{id} = c{context}.create_event_with_flags({flags:?})?")
                }
                EventKind::Ex(flags) => write!(f, "let e{id} = c{context}.create_event_ex({flags:?})?"),
            },
            Op::DropEvent { id } => write!(f, "drop(e{id})"),
            Op::CloneAndDrop { stream, event } => {
                write!(f, "spawn(move || drop((s{stream}.clone(), e{event}.clone()))).join()")
            }
            Op::Alloc { id, context, len } => write!(f, "let b{id} = c{context}.alloc::<u8>({len})?"),
            Op::DropBuffer { id } => write!(f, "drop(b{id})"),
            Op::AllocPinned { id, context, len, fill } => {
                write!(f, "let p{id} = c{context}.alloc_pinned_from(&pattern({len}, {fill}))?")
            }
            Op::DropPinned { id } => write!(f, "drop(p{id})"),
            Op::Record { stream, event } => write!(f, "s{stream}.record(&e{event})?"),
            Op::Wait { stream, event, limited: false } => write!(f, "s{stream}.wait(&e{event})?"),
            Op::Wait { stream, event, limited: true } => {
                write!(f, "s{stream}.wait_timeout(&e{event}, hour)?")
            }
            Op::Reset { stream, event } => write!(f, "s{stream}.reset(&e{event})?"),
            Op::QueryEvent { event } => write!(f, "e{event}.query()?"),
            Op::QueryWaits { event } => write!(f, "e{event}.waits_are_over()?"),
            Op::SyncEvent { event, patience } => wait(f, "e", *event, *patience),
            Op::Elapsed { start, end } => write!(f, "e{end}.elapsed_since(&e{start})?"),
            Op::SyncStream { stream, patience } => wait(f, "s", *stream, *patience),
            Op::SyncContext { context, patience } => wait(f, "c", *context, *patience),
            Op::IsIdle { stream } => write!(f, "s{stream}.is_idle()?"),
            Op::Memset { stream, to, byte } => write!(f, "s{stream}.memset({to:?}, {byte})?"),
            Op::Copy { stream, from, to } => write!(f, "s{stream}.copy({from:?}, {to:?})?"),
            Op::Upload { id, stream, from, to } => {
                write!(f, "let t{id} = s{stream}.upload(p{from}, {to:?})?")
            }
            Op::Download { id, stream, from, to } => {
                write!(f, "let t{id} = s{stream}.download({from:?}, p{to})?")
            }
            Op::WriteNow { to, byte } => {
                write!(f, "{}.copy_from_slice(&pattern({}, {byte}))?", view(to), to.len)
            }
            Op::MemsetNow { to, byte } => write!(f, "{}.memset({byte})?", view(to)),
            Op::ReadNow { from } => write!(f, "{}.to_vec()?", view(from)),
            Op::CopyNow { from, to } => write!(f, "{}.copy_from({from:?})?", view(to)),
            Op::Finish { transfer, how } => write!(f, "t{transfer}: {how:?}"),
            Op::Callback { id, stream, mode, body } => {
                write!(f, "let k{id} = s{stream}.launch_callback_with({mode:?}, {body:?})?")
            }
            Op::Collect { callback, how } => write!(f, "k{callback}: {how:?}"),
            Op::Audit => write!(f, "audit()"),
            Op::Share(share) => write!(f, "shared: {share:?}"),
            Op::Wrong(wrong) => write!(f, "wrong: {wrong:?}"),
        }
    }
}

fn view(range: &Range) -> String {
    format!("{range:?}").trim_start_matches('&').to_owned()
}

/// Bytes that tell their place.
pub fn pattern(len: usize, first: u8) -> Vec<u8> {
    (0..len).map(|at| first.wrapping_add((at as u8).wrapping_mul(7))).collect()
}
