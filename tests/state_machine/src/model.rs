//! The plain model: what a program's objects are, and what has become of them. A stream is a queue, memory is a vector; effects happen
//! when they are asked for, because nothing is asked for that is not ordered behind what it depends on.

use crate::{
    operation::{Body, EventKind, Id, Op, Range, Share, pattern},
    order::{Node, Order, Set, bit},
};
use ascendcl::CallbackMode;
use ascendcl_sim::Profile;
use std::collections::BTreeMap;

/// Bytes of memory. `None`: nobody has said what they are.
pub type Bytes = Vec<Option<u8>>;

/// The machine that a program runs on, and how it ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setup {
    /// None: streams run on threads of their own, as they come.
    pub seed: Option<u64>,
    pub chip: Chip,
    pub threads: u8,
    pub ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Chip {
    Full,
    Ascend310,
}

impl Chip {
    pub fn profile(self) -> Profile {
        match self {
            Chip::Full => Profile::full(),
            Chip::Ascend310 => Profile::ascend310(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    /// Streams are waited for, transfers and callbacks too.
    Tidy,
    /// Handles are dropped as they come, in an order of this number.
    Abandon(u64),
}

#[derive(Clone, Debug)]
pub struct Context {
    pub device: u8,
    pub primary: bool,
    pub alive: bool,
}

#[derive(Clone, Debug)]
pub struct Stream {
    pub context: Id,
    pub device: u8,
    pub alive: bool,
    pub last: Option<Node>,
    /// The operation that the host waited for last.
    pub waited_for: Option<Node>,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub device: u8,
    pub kind: EventKind,
    pub alive: bool,
    pub latest: Option<Node>,
    pub waits: Vec<Node>,
    /// Of levels: what has happened since the last reset.
    pub record: Option<Node>,
    pub since: Vec<Node>,
    pub reset: Option<Node>,
}

impl Event {
    /// Waits for a level that nobody has raised.
    pub fn pending(&self) -> &[Node] {
        if self.kind.is_level() && self.record.is_none() { &self.since } else { &[] }
    }
}

#[derive(Clone, Debug)]
pub struct Buffer {
    pub device: u8,
    pub alive: bool,
    pub data: Bytes,
    /// Who has touched it, where, and whether it was written.
    pub touched: Vec<(Node, Range, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Owner {
    Program,
    Transfer,
    Gone,
}

#[derive(Clone, Debug)]
pub struct Pinned {
    pub owner: Owner,
    pub data: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    Open,
    Over,
    Forgotten,
}

#[derive(Clone, Debug)]
pub struct Transfer {
    pub stream: Id,
    /// None if there was nothing to copy.
    pub node: Option<Node>,
    pub pinned: Id,
    pub buffer: Id,
    pub fate: Fate,
    /// It was polled, so that it may be over without being asked.
    pub polled: bool,
}

#[derive(Clone, Debug)]
pub struct Callback {
    pub stream: Id,
    pub node: Node,
    pub mode: CallbackMode,
    pub body: Body,
    /// The program has the handle.
    pub open: bool,
    /// The pinned memory that its closure gives back.
    pub gives: Option<Id>,
}

#[derive(Clone, Debug)]
pub struct Model {
    pub setup: Setup,
    pub order: Order,
    pub contexts: BTreeMap<Id, Context>,
    pub entered: Vec<usize>,
    pub streams: BTreeMap<Id, Stream>,
    pub events: BTreeMap<Id, Event>,
    pub buffers: BTreeMap<Id, Buffer>,
    pub pinned: BTreeMap<Id, Pinned>,
    pub transfers: BTreeMap<Id, Transfer>,
    pub callbacks: BTreeMap<Id, Callback>,
    /// Closures that a chip refused.
    pub refused: Vec<Id>,
    /// Callbacks among the operations, those of awaited transfers too.
    pub calling: Set,
    pub forgotten: usize,
}

impl Model {
    pub fn new(setup: Setup) -> Model {
        Model {
            setup,
            order: Order::default(),
            contexts: BTreeMap::new(),
            entered: vec![0; setup.threads.into()],
            streams: BTreeMap::new(),
            events: BTreeMap::new(),
            buffers: BTreeMap::new(),
            pinned: BTreeMap::new(),
            transfers: BTreeMap::new(),
            callbacks: BTreeMap::new(),
            refused: Vec::new(),
            calling: 0,
            forgotten: 0,
        }
    }

    pub fn bytes(&self, range: &Range) -> Bytes {
        self.buffers[&range.buffer].data[range.start..range.end()].to_vec()
    }

    /// Everything on the stream so far.
    pub fn on_stream(&self, stream: Id) -> Set {
        self.streams[&stream].last.map_or(0, |last| self.order.closure(last))
    }

    pub fn is_stuck(&self, stream: Id) -> bool {
        self.streams[&stream].last.is_some_and(|last| self.order.is_blocked(last))
    }

    /// Whether both are handles of one context of ACL.
    pub fn same_context(&self, one: Id, other: Id) -> bool {
        let (a, b) = (&self.contexts[&one], &self.contexts[&other]);
        one == other || (a.primary && b.primary && a.device == b.device)
    }

    pub fn streams_of(&self, context: Id) -> Vec<Id> {
        let of = |stream: &Stream| self.same_context(stream.context, context);
        self.streams.iter().filter(|(_, stream)| of(stream)).map(|(&id, _)| id).collect()
    }

    /// The first access that one which comes after `after` is not ordered with.
    pub fn conflict(&self, after: Set, range: &Range, writes: bool) -> Option<Node> {
        let touched = self.buffers[&range.buffer].touched.iter();
        touched
            .filter(|(_, other, wrote)| (writes || *wrote) && other.overlaps(range))
            .map(|&(node, ..)| node)
            .find(|&node| after & bit(node) == 0)
    }

    /// Two accesses to a buffer that nothing orders, if the program has some.
    pub fn race(&self) -> Option<(Id, Node, Node)> {
        self.buffers.iter().find_map(|(&id, buffer)| {
            let ordered = |one: Node, other: Node| {
                one == other || self.order.is_before(one, other) || self.order.is_before(other, one)
            };
            buffer.touched.iter().enumerate().find_map(|(at, (first, range, writes))| {
                let later = buffer.touched[at + 1..].iter();
                later
                    .filter(|(_, other, wrote)| (*writes || *wrote) && range.overlaps(other))
                    .find(|(second, ..)| !ordered(*first, *second))
                    .map(|(second, ..)| (id, *first, *second))
            })
        })
    }

    fn enqueue(&mut self, stream: Id, after: Set) -> Node {
        let node = self.order.push(self.on_stream(stream) | after);
        self.stream(stream).last = Some(node);
        node
    }

    fn stream(&mut self, id: Id) -> &mut Stream {
        self.streams.get_mut(&id).expect("the operation was checked")
    }

    fn event(&mut self, id: Id) -> &mut Event {
        self.events.get_mut(&id).expect("the operation was checked")
    }

    fn touch(&mut self, node: Node, range: &Range, writes: bool) {
        if range.len == 0 {
            return;
        }
        let buffer = self.buffers.get_mut(&range.buffer).expect("the operation was checked");
        buffer.touched.push((node, *range, writes));
    }

    fn write(&mut self, node: Node, range: &Range, bytes: &[Option<u8>]) {
        self.touch(node, range, true);
        let buffer = self.buffers.get_mut(&range.buffer).expect("the operation was checked");
        buffer.data[range.start..range.end()].copy_from_slice(bytes);
    }

    pub fn host_learns_stream(&mut self, stream: Id) {
        if let Some(last) = self.streams[&stream].last {
            self.order.host_learns(last);
            self.stream(stream).waited_for = Some(last);
        }
    }

    /// A callback that wakes who awaits.
    pub fn enqueue_waker(&mut self, stream: Id) {
        let node = self.enqueue(stream, 0);
        self.calling |= bit(node);
    }

    /// The transfer is over; its pinned memory goes to `owner`.
    pub fn end_transfer(&mut self, id: Id, owner: Owner) {
        let transfer = self.transfers.get_mut(&id).expect("the operation was checked");
        transfer.fate = Fate::Over;
        self.pinned.get_mut(&transfer.pinned).expect("a transfer has memory").owner = owner;
    }

    /// What the operation does, which must be one that [`is_possible`](Self::is_possible). Calls that are refused do nothing.
    pub fn apply(&mut self, thread: u8, op: &Op) {
        if self.refusal(op).is_some() {
            if let Op::Callback { id, body, .. } = op {
                self.refused.push(*id);
                self.take_captured(*body, Owner::Gone);
            }
            return;
        }
        match *op {
            Op::CreateContext { id, device, primary } => {
                self.contexts.insert(id, Context { device, primary, alive: true });
            }
            Op::DropContext { id } => {
                self.contexts.get_mut(&id).expect("the operation was checked").alive = false
            }
            Op::Enter { .. } => self.entered[usize::from(thread)] += 1,
            Op::Leave => self.entered[usize::from(thread)] -= 1,
            Op::CreateStream { id, context } => {
                let device = self.contexts[&context].device;
                let stream = Stream { context, device, alive: true, last: None, waited_for: None };
                self.streams.insert(id, stream);
            }
            Op::DropStream { id } => self.stream(id).alive = false,
            Op::CreateEvent { id, context, kind } => {
                let device = self.contexts[&context].device;
                let (latest, waits, since) = (None, Vec::new(), Vec::new());
                let event =
                    Event { device, kind, alive: true, latest, waits, record: None, since, reset: None };
                self.events.insert(id, event);
            }
            Op::DropEvent { id } => self.event(id).alive = false,
            Op::Alloc { id, context, len } => {
                let device = self.contexts[&context].device;
                let data = vec![None; len];
                self.buffers.insert(id, Buffer { device, alive: true, data, touched: Vec::new() });
            }
            Op::DropBuffer { id } => self.drop_buffer(id),
            Op::AllocPinned { id, len, fill, .. } => {
                let data = pattern(len, fill).into_iter().map(Some).collect();
                self.pinned.insert(id, Pinned { owner: Owner::Program, data });
            }
            Op::DropPinned { id } => {
                self.pinned.get_mut(&id).expect("the operation was checked").owner = Owner::Gone
            }
            Op::Record { stream, event } => self.record(stream, event),
            Op::Wait { stream, event, .. } => self.wait(stream, event),
            Op::Reset { stream, event } => {
                let node = self.enqueue(stream, 0);
                let event = self.event(event);
                (event.record, event.reset) = (None, Some(node));
                event.since.clear();
            }
            Op::SyncEvent { event, .. } => {
                if let Some(latest) = self.events[&event].latest.filter(|&node| !self.order.is_blocked(node))
                {
                    self.order.host_learns(latest);
                }
            }
            Op::SyncStream { stream, .. } if !self.is_stuck(stream) => self.host_learns_stream(stream),
            Op::SyncContext { context, .. } => {
                let streams = self.streams_of(context);
                if !streams.iter().any(|&stream| self.is_stuck(stream)) {
                    streams.into_iter().for_each(|stream| self.host_learns_stream(stream));
                }
            }
            Op::Memset { stream, to, byte } if to.len > 0 => {
                let node = self.enqueue(stream, 0);
                self.write(node, &to, &vec![Some(byte); to.len]);
            }
            Op::Copy { stream, from, to } if to.len > 0 => {
                let node = self.enqueue(stream, 0);
                self.move_bytes(node, &from, &to);
            }
            Op::Upload { id, stream, from, to } => {
                let node = (to.len > 0).then(|| self.enqueue(stream, 0));
                let bytes = self.pinned[&from].data.clone();
                if let Some(node) = node {
                    self.write(node, &to, &bytes);
                }
                self.begin_transfer(id, stream, node, from, to.buffer);
            }
            Op::Download { id, stream, from, to } => {
                let node = (from.len > 0).then(|| self.enqueue(stream, 0));
                let bytes = self.bytes(&from);
                if let Some(node) = node {
                    self.touch(node, &from, false);
                }
                self.pinned.get_mut(&to).expect("the operation was checked").data = bytes;
                self.begin_transfer(id, stream, node, to, from.buffer);
            }
            Op::WriteNow { to, byte } => {
                let node = self.order.push_host();
                let bytes: Bytes = pattern(to.len, byte).into_iter().map(Some).collect();
                self.write(node, &to, &bytes);
            }
            Op::MemsetNow { to, byte } => {
                let node = self.order.push_host();
                self.write(node, &to, &vec![Some(byte); to.len]);
            }
            Op::ReadNow { from } => {
                let node = self.order.push_host();
                self.touch(node, &from, false);
            }
            Op::CopyNow { from, to } => {
                let node = self.order.push_host();
                self.move_bytes(node, &from, &to);
            }
            Op::Finish { transfer, how } => self.finish(transfer, how),
            Op::Callback { id, stream, mode, body } => {
                let node = self.enqueue(stream, 0);
                self.calling |= bit(node);
                let gives = self.take_captured(body, Owner::Transfer);
                self.callbacks.insert(id, Callback { stream, node, mode, body, open: true, gives });
            }
            Op::Collect { callback, how } => self.collect(callback, how),
            // What is shared never waits for what is not.
            Op::Share(Share::Wait(stream)) => {
                self.enqueue(stream, 0);
            }
            Op::Audit => {
                let alive = self.streams.iter().filter(|(_, stream)| stream.alive);
                for stream in alive.map(|(&id, _)| id).collect::<Vec<_>>() {
                    self.host_learns_stream(stream);
                }
            }
            _ => {}
        }
    }

    fn move_bytes(&mut self, node: Node, from: &Range, to: &Range) {
        let bytes = self.bytes(from);
        self.touch(node, from, false);
        self.write(node, to, &bytes);
    }

    fn drop_buffer(&mut self, id: Id) {
        self.buffers.get_mut(&id).expect("the operation was checked").alive = false;
    }

    fn begin_transfer(&mut self, id: Id, stream: Id, node: Option<Node>, pinned: Id, buffer: Id) {
        self.pinned.get_mut(&pinned).expect("the operation was checked").owner = Owner::Transfer;
        let transfer = Transfer { stream, node, pinned, buffer, fate: Fate::Open, polled: false };
        self.transfers.insert(id, transfer);
    }

    /// What a closure owns is not the program's any more. Gives the pinned memory that comes back from it.
    fn take_captured(&mut self, body: Body, owner: Owner) -> Option<Id> {
        match body {
            Body::OwnBuffer(buffer) => self.drop_buffer(buffer),
            Body::WaitFor(transfer) => {
                self.end_transfer(transfer, owner);
                return Some(self.transfers[&transfer].pinned);
            }
            _ => {}
        }
        None
    }

    fn record(&mut self, stream: Id, id: Id) {
        let node = self.enqueue(stream, 0);
        for wait in self.events[&id].pending().to_vec() {
            self.order.resolve(wait, node);
        }
        let event = self.event(id);
        (event.latest, event.record) = (Some(node), Some(node));
    }

    fn wait(&mut self, stream: Id, id: Id) {
        let event = &self.events[&id];
        let level = event.kind.is_level();
        let waits_for = if level { event.record } else { event.latest };
        let after = waits_for.map_or(0, |record| self.order.closure(record));
        let node = self.enqueue(stream, after);
        if level && waits_for.is_none() {
            self.order.leave_unresolved(node);
        }
        let event = self.event(id);
        event.waits.push(node);
        event.since.push(node);
    }
}
