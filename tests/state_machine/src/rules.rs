//! Which operations make sense now, and what the others are answered.

use crate::{
    model::{Event, Fate, Model, Owner},
    operation::{Body, Collect, EventKind, Finish, Id, Op, Patience, Range, Share, Wrong},
    order::{Set, bit},
};
use ascendcl::{CallbackMode, ErrorKind, EventFlags};

/// How a call is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    Length { op: &'static str, expected: usize, actual: usize },
    Mismatch { op: &'static str },
    EventMode { op: &'static str },
    Acl { op: &'static str, kind: ErrorKind },
}

const COPY_ASYNC: &str = "aclrtMemcpyAsync";
const COPY: &str = "aclrtMemcpy";

fn length(op: &'static str, expected: usize, actual: usize) -> Option<Refusal> {
    (expected != actual).then_some(Refusal::Length { op, expected, actual })
}

impl Model {
    /// The error that the call is answered with, if its arguments do not fit.
    pub fn refusal(&self, op: &Op) -> Option<Refusal> {
        let foreign = |op, stream: Id, device: u8| {
            (self.streams[&stream].device != device).then_some(Refusal::Mismatch { op })
        };
        match *op {
            Op::Record { stream, event } => foreign("aclrtRecordEvent", stream, self.events[&event].device),
            Op::Wait { stream, event, limited } => {
                let op = if limited { "aclrtStreamWaitEventWithTimeout" } else { "aclrtStreamWaitEvent" };
                let event = &self.events[&event];
                foreign(op, stream, event.device)
                    .or_else(|| (!can_wait(event)).then_some(Refusal::EventMode { op }))
            }
            Op::Reset { stream, event } => {
                let op = "aclrtResetEvent";
                let event = &self.events[&event];
                foreign(op, stream, event.device)
                    .or_else(|| (!event.kind.is_level()).then_some(Refusal::EventMode { op }))
            }
            Op::QueryWaits { event } => matches!(self.events[&event].kind, EventKind::Ex(_))
                .then_some(Refusal::EventMode { op: "aclrtQueryEventWaitStatus" }),
            Op::Elapsed { start, end } => {
                let op = "aclrtEventElapsedTime";
                let (start, end) = (&self.events[&start], &self.events[&end]);
                if [start, end].iter().any(|event| !event.kind.is_timed() || event.latest.is_none()) {
                    return Some(Refusal::EventMode { op });
                }
                (start.device != end.device).then_some(Refusal::Mismatch { op })
            }
            Op::Memset { stream, to, .. } if to.len > 0 => {
                foreign("aclrtMemsetAsync", stream, self.buffers[&to.buffer].device)
            }
            Op::Copy { stream, from, to } => length(COPY_ASYNC, to.len, from.len).or_else(|| {
                let near = self.buffers[&from.buffer].device == self.streams[&stream].device;
                if to.len == 0 || near {
                    return None;
                }
                foreign(COPY_ASYNC, stream, self.buffers[&to.buffer].device)
            }),
            Op::Upload { stream, from: pinned, to: range, .. }
            | Op::Download { stream, from: range, to: pinned, .. } => {
                length(COPY_ASYNC, range.len, self.pinned[&pinned].data.len())
                    .or_else(|| foreign(COPY_ASYNC, stream, self.buffers[&range.buffer].device))
            }
            Op::CopyNow { from, to } => length(COPY, to.len, from.len),
            Op::Callback { mode: CallbackMode::NonBlocking, .. }
                if self.setup.chip == crate::model::Chip::Ascend310 =>
            {
                Some(Refusal::Acl { op: "aclrtLaunchCallback", kind: ErrorKind::NotSupported })
            }
            _ => None,
        }
    }

    /// Whether all it names exists, and it can neither race with anything nor wait for ever. With `racing` it may race.
    pub fn is_possible(&self, thread: u8, op: &Op, racing: bool) -> bool {
        thread < self.setup.threads
            && !self.order.is_full()
            && self.exists(thread, op)
            && (self.refusal(op).is_some() || (self.ends(op) && (racing || self.is_ordered(op))))
    }

    fn has_context(&self, id: Id) -> bool {
        self.contexts.get(&id).is_some_and(|context| context.alive)
    }

    fn has_stream(&self, id: Id) -> bool {
        self.streams.get(&id).is_some_and(|stream| stream.alive)
    }

    fn has_event(&self, id: Id) -> bool {
        self.events.get(&id).is_some_and(|event| event.alive)
    }

    fn has_buffer(&self, id: Id) -> bool {
        self.buffers.get(&id).is_some_and(|buffer| buffer.alive)
    }

    fn has_range(&self, range: &Range) -> bool {
        self.has_buffer(range.buffer) && range.end() <= self.buffers[&range.buffer].data.len()
    }

    fn has_pinned(&self, id: Id) -> bool {
        self.pinned.get(&id).is_some_and(|pinned| pinned.owner == Owner::Program)
    }

    fn has_transfer(&self, id: Id) -> bool {
        self.transfers.get(&id).is_some_and(|transfer| transfer.fate == Fate::Open)
    }

    fn exists(&self, thread: u8, op: &Op) -> bool {
        match *op {
            Op::CreateContext { id, .. } => !self.contexts.contains_key(&id),
            Op::DropContext { id } | Op::Enter { context: id } | Op::SyncContext { context: id, .. } => {
                self.has_context(id)
            }
            Op::Leave => self.entered[usize::from(thread)] > 0,
            Op::CreateStream { id, context } => !self.streams.contains_key(&id) && self.has_context(context),
            Op::CreateEvent { id, context, .. } => {
                !self.events.contains_key(&id) && self.has_context(context)
            }
            Op::Alloc { id, context, .. } => !self.buffers.contains_key(&id) && self.has_context(context),
            Op::AllocPinned { id, context, .. } => {
                !self.pinned.contains_key(&id) && self.has_context(context)
            }
            Op::DropStream { id } | Op::SyncStream { stream: id, .. } | Op::IsIdle { stream: id } => {
                self.has_stream(id)
            }
            Op::DropEvent { id }
            | Op::QueryEvent { event: id }
            | Op::QueryWaits { event: id }
            | Op::SyncEvent { event: id, .. } => self.has_event(id),
            Op::CloneAndDrop { stream, event }
            | Op::Record { stream, event }
            | Op::Wait { stream, event, .. }
            | Op::Reset { stream, event } => self.has_stream(stream) && self.has_event(event),
            Op::Elapsed { start, end } => self.has_event(start) && self.has_event(end),
            Op::DropBuffer { id } => self.has_buffer(id),
            Op::DropPinned { id } => self.has_pinned(id),
            Op::Memset { stream, to, .. } => self.has_stream(stream) && self.has_range(&to),
            Op::Copy { stream, from, to } => {
                self.has_stream(stream) && self.has_range(&from) && self.has_range(&to)
            }
            Op::Upload { id, stream, from: pinned, to: range }
            | Op::Download { id, stream, from: range, to: pinned } => {
                !self.transfers.contains_key(&id)
                    && self.has_stream(stream)
                    && self.has_pinned(pinned)
                    && self.has_range(&range)
            }
            Op::WriteNow { to, .. } | Op::MemsetNow { to, .. } => self.has_range(&to),
            Op::ReadNow { from } => self.has_range(&from),
            Op::CopyNow { from, to } => self.has_range(&from) && self.has_range(&to),
            Op::Finish { transfer, .. } => self.has_transfer(transfer),
            Op::Callback { id, stream, body, .. } => {
                !self.callbacks.contains_key(&id)
                    && !self.refused.contains(&id)
                    && self.has_stream(stream)
                    && match body {
                        Body::Probe { event } => self.has_event(event),
                        Body::OwnBuffer(buffer) => self.has_buffer(buffer),
                        Body::WaitFor(transfer) => {
                            self.has_transfer(transfer) && self.transfers[&transfer].stream == stream
                        }
                        Body::Log | Body::Panic | Body::OwnStream => true,
                    }
            }
            Op::Collect { callback, .. } => {
                self.callbacks.get(&callback).is_some_and(|callback| callback.open)
            }
            Op::Audit => true,
            // What is shared is on the first device.
            Op::Share(Share::Wait(stream)) => self.has_stream(stream) && self.streams[&stream].device == 0,
            Op::Share(_) => true,
            Op::Wrong(wrong) => match wrong {
                Wrong::NoSuchDevice => true,
                Wrong::FinalizeWhileInUse => self.contexts.values().any(|context| context.alive),
                Wrong::TooLong(id) | Wrong::OutOfMemory(id) | Wrong::Poison(id) => self.has_context(id),
                Wrong::BeyondTheEnd(id) => self.has_buffer(id),
                Wrong::OtherBackend { stream, buffer } => {
                    self.has_stream(stream)
                        && self.has_buffer(buffer)
                        && self.streams[&stream].device == self.buffers[&buffer].device
                }
            },
        }
    }

    /// Whether what is waited for can come, and what should not come cannot. Also whether events are used as they are made to be.
    fn ends(&self, op: &Op) -> bool {
        let fits = |patience: Patience, stuck: bool| (patience == Patience::Short) == stuck;
        let is_stuck = |node: Option<usize>| node.is_some_and(|node| self.order.is_blocked(node));
        match *op {
            Op::DropEvent { id } => self.events[&id].pending().is_empty(),
            Op::Record { stream, event } => self.may_record(stream, &self.events[&event]),
            Op::Wait { stream, event, limited } => {
                let event = &self.events[&event];
                let after = self.order.after_now(self.on_stream(stream));
                // A level that was lowered: only behind that. If it is to be raised again, whoever does it must know.
                let fresh = event.reset.is_none_or(|reset| match event.record {
                    Some(_) => after & bit(reset) != 0,
                    None => self.order.host_knows(reset),
                });
                fresh && (!limited || self.is_sure_to_come(stream, event))
            }
            Op::Reset { stream, event } => {
                let event = &self.events[&event];
                let after = self.order.after_now(self.on_stream(stream));
                let done = |node: &usize| after & bit(*node) != 0;
                event.record.is_some_and(|record| done(&record)) && event.since.iter().all(done)
            }
            Op::SyncEvent { event, patience } => fits(patience, is_stuck(self.events[&event].latest)),
            Op::SyncStream { stream, patience } => fits(patience, self.is_stuck(stream)),
            Op::SyncContext { context, patience } => {
                let streams = self.streams_of(context);
                fits(patience, streams.iter().any(|&stream| self.is_stuck(stream)))
            }
            Op::Elapsed { start, end } => [start, end]
                .iter()
                .all(|id| self.events[id].latest.is_some_and(|latest| self.order.host_knows(latest))),
            Op::Finish { transfer, how } => {
                let transfer = &self.transfers[&transfer];
                match how {
                    Finish::WaitTimeout(Patience::Short) => is_stuck(transfer.node),
                    // They wait for the whole stream.
                    Finish::Wait | Finish::WaitTimeout(_) | Finish::Await => !self.is_stuck(transfer.stream),
                    _ => true,
                }
            }
            Op::Collect { callback, how } => {
                let stuck = self.order.is_blocked(self.callbacks[&callback].node);
                match how {
                    Collect::Drop => true,
                    Collect::WaitTimeout(patience) => fits(patience, stuck),
                    Collect::Wait | Collect::Await => !stuck,
                }
            }
            Op::Copy { from, to, .. } | Op::CopyNow { from, to } => !from.overlaps(&to),
            // It waits for callbacks, and for streams that were dropped.
            Op::Wrong(Wrong::FinalizeWhileInUse) | Op::Audit => !self.order.anything_unresolved(),
            _ => true,
        }
    }

    /// A level is raised once until it is lowered, and not by who waits for it.
    fn may_record(&self, stream: Id, event: &Event) -> bool {
        if !event.kind.is_level() {
            return true;
        }
        let after = self.order.after_now(self.on_stream(stream));
        event.record.is_none()
            && event.reset.is_none_or(|reset| after & bit(reset) != 0)
            && event.pending().iter().all(|&wait| after & bit(wait) == 0)
    }

    /// Whether nothing that a limited wait waits for takes real time: the virtual clock does not wait for threads of the host.
    fn is_sure_to_come(&self, stream: Id, event: &Event) -> bool {
        let Some(record) = (if event.kind.is_level() { event.record } else { event.latest }) else {
            return false;
        };
        let out: Set = self.on_stream(stream) | self.order.closure(record);
        let waits_for_host =
            |node: &usize| out & self.calling & bit(*node) != 0 && !self.order.host_knows(*node);
        !self.is_stuck(stream)
            && !self.order.is_blocked(record)
            && !(0..crate::order::MOST_NODES).any(|node| waits_for_host(&node))
    }

    /// Whether everything it touches is ordered with who touched it before.
    fn is_ordered(&self, op: &Op) -> bool {
        let behind = |stream: Id| self.order.after_now(self.on_stream(stream));
        let free = |after: Set, range: &Range, writes: bool| self.conflict(after, range, writes).is_none();
        match *op {
            Op::Memset { stream, to, .. } | Op::Upload { stream, to, .. } => free(behind(stream), &to, true),
            Op::Download { stream, from, .. } => free(behind(stream), &from, false),
            Op::Copy { stream, from, to } => {
                let after = behind(stream);
                free(after, &from, false) && free(after, &to, true)
            }
            Op::WriteNow { to, .. } | Op::MemsetNow { to, .. } => free(self.order.after_now(0), &to, true),
            Op::ReadNow { from } => free(self.order.after_now(0), &from, false),
            Op::CopyNow { from, to } => {
                let after = self.order.after_now(0);
                free(after, &from, false) && free(after, &to, true)
            }
            _ => true,
        }
    }
}

/// Whether streams can wait for it.
fn can_wait(event: &Event) -> bool {
    match event.kind {
        EventKind::Plain => event.latest.is_some(),
        EventKind::Flags(flags) | EventKind::Ex(flags) => flags.contains(EventFlags::SYNC),
    }
}
