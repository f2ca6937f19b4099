//! Does what an operation says with real objects, and compares what comes of it with the model.

use crate::{
    model::{Fate, Model, Owner, Transfer},
    operation::{Body, EventKind, Id, Op, Patience, Range, Wrong, pattern},
    rules::Refusal,
    world::{Failure, Given, Outcome, SHORT, Slot, Token, World, ample, find, require, take},
};
use ascendcl::{DeviceView, Error, ErrorKind, EventFlags, EventStatus, Rejected};
use ascendcl_sim::LiveKind;
use std::{
    thread,
    time::{Duration, Instant},
};

/// With faults everything is waited for only so long.
pub const FAULTY: Duration = Duration::from_millis(300);

impl World {
    /// Does `op`, which is about to change `model`.
    pub fn execute(&mut self, model: &Model, op: &Op) -> Outcome {
        match model.refusal(op) {
            None => self.perform(model, op),
            Some(refusal) => self.refused(model, op, &refusal),
        }
    }

    /// A call whose arguments do not fit: it says so, and gives back what it was given.
    fn refused(&mut self, model: &Model, op: &Op, refusal: &Refusal) -> Outcome {
        let result = match *op {
            Op::Upload { id, stream, from: pinned, to: range }
            | Op::Download { id, stream, from: range, to: pinned } => {
                let _ = id;
                let view = self.view(&range)?;
                let memory = take("p", &mut self.pinned, pinned)?;
                let stream = self.stream(stream)?;
                let result = match op {
                    Op::Upload { .. } => stream.upload(memory, &view),
                    _ => stream.download(&view, memory),
                };
                match result {
                    Ok(_) => Ok(()),
                    Err(Rejected { error, returned: Some(memory) }) => {
                        self.compare(&format!("p{pinned}"), &model.pinned[&pinned].data, &memory)?;
                        self.pinned.insert(pinned, memory);
                        Err(Failure::Refused(error))
                    }
                    Err(Rejected { error, returned: None }) => {
                        return Err(Failure::Wrong(format!("the pinned memory did not come back: {error}")));
                    }
                }
            }
            _ => self.perform(model, op),
        };
        let error = match result {
            Err(Failure::Refused(error)) => error,
            Ok(()) => return Err(Failure::Wrong(format!("should be refused with {refusal:?}"))),
            Err(failure) => return Err(failure),
        };
        let fits = match (&error, refusal) {
            (
                Error::Length { op, expected, actual, .. },
                Refusal::Length { op: of, expected: e, actual: a },
            ) => op == of && expected == e && actual == a,
            (Error::Mismatch { op, .. }, Refusal::Mismatch { op: of }) => op == of,
            (Error::EventMode { op, .. }, Refusal::EventMode { op: of }) => op == of,
            (Error::Acl(error), Refusal::Acl { op, kind }) => error.op == *op && error.code.kind() == *kind,
            _ => false,
        };
        if fits || self.judgement.faulty {
            return Ok(());
        }
        Err(Failure::Wrong(format!("should be refused with {refusal:?}, not with {error:?}")))
    }

    pub fn view(&self, range: &Range) -> Outcome<DeviceView<u8>> {
        Ok(self.buffer(range.buffer)?.view(range.start..range.end())?)
    }

    fn perform(&mut self, model: &Model, op: &Op) -> Outcome {
        match *op {
            Op::CreateContext { id, device, primary } => {
                let device = self.acl.device(device.into())?;
                let context = if primary { device.primary_context() } else { device.create_context()? };
                self.contexts.insert(id, context);
            }
            Op::DropContext { id } => drop(take("c", &mut self.contexts, id)?),
            // Done where a guard can live.
            Op::Enter { .. } | Op::Leave => {}
            Op::CreateStream { id, context } => {
                let stream = self.context(context)?.create_stream()?;
                self.streams.insert(id, stream);
            }
            Op::DropStream { id } => drop(take("s", &mut self.streams, id)?),
            Op::CreateEvent { id, context, kind } => {
                let context = self.context(context)?;
                let event = match kind {
                    EventKind::Plain => context.create_event()?,
                    EventKind::Flags(flags) => context.create_event_with_flags(flags)?,
                    EventKind::Ex(flags) => context.create_event_ex(flags)?,
                };
                self.events.insert(id, event);
            }
            Op::DropEvent { id } => drop(take("e", &mut self.events, id)?),
            Op::CloneAndDrop { stream, event } => {
                let handles = (self.stream(stream)?.clone(), self.event(event)?.clone());
                thread::spawn(move || drop(handles))
                    .join()
                    .map_err(|_| Failure::Wrong("dropping handles panicked".into()))?;
            }
            Op::Alloc { id, context, len } => {
                let buffer = self.context(context)?.alloc::<u8>(len)?;
                self.buffers.insert(id, buffer);
            }
            Op::DropBuffer { id } => drop(take("b", &mut self.buffers, id)?),
            Op::AllocPinned { id, context, len, fill } => {
                let memory = self.context(context)?.alloc_pinned_from(&pattern(len, fill))?;
                self.pinned.insert(id, memory);
            }
            Op::DropPinned { id } => drop(take("p", &mut self.pinned, id)?),
            Op::Record { stream, event } => self.stream(stream)?.record(self.event(event)?)?,
            Op::Wait { stream, event, limited: false } => self.stream(stream)?.wait(self.event(event)?)?,
            Op::Wait { stream, event, limited: true } => {
                self.stream(stream)?.wait_timeout(self.event(event)?, Duration::from_secs(3600))?;
            }
            Op::Reset { stream, event } => self.stream(stream)?.reset(self.event(event)?)?,
            Op::QueryEvent { event } => self.query(model, event)?,
            Op::QueryWaits { event } => self.query_waits(model, event)?,
            Op::SyncEvent { event, patience } => {
                let event = self.event(event)?.clone();
                self.wait_for(patience, || event.synchronize(), |time| event.synchronize_timeout(time))?;
            }
            Op::Elapsed { start, end } => self.elapsed(model, start, end)?,
            Op::SyncStream { stream, patience } => {
                let stream = self.stream(stream)?.clone();
                self.wait_for(patience, || stream.synchronize(), |time| stream.synchronize_timeout(time))?;
            }
            Op::SyncContext { context, patience } => {
                let context = self.context(context)?.clone();
                self.wait_for(patience, || context.synchronize(), |time| context.synchronize_timeout(time))?;
            }
            Op::IsIdle { stream } => self.is_idle(model, stream)?,
            Op::Memset { stream, to, byte } => self.stream(stream)?.memset(&self.view(&to)?, byte)?,
            Op::Copy { stream, from, to } => {
                self.stream(stream)?.copy(&self.view(&from)?, &self.view(&to)?)?;
            }
            Op::Upload { id, stream, from: pinned, to: range }
            | Op::Download { id, stream, from: range, to: pinned } => {
                let view = self.view(&range)?;
                let stream = self.stream(stream)?.clone();
                let memory = take("p", &mut self.pinned, pinned)?;
                let transfer = match op {
                    Op::Upload { .. } => stream.upload(memory, &view),
                    _ => stream.download(&view, memory),
                };
                self.transfers.insert(id, Slot::Open(transfer.map_err(Error::from)?));
            }
            Op::WriteNow { to, byte } => self.view(&to)?.copy_from_slice(&pattern(to.len, byte))?,
            Op::MemsetNow { to, byte } => self.view(&to)?.memset(byte)?,
            Op::ReadNow { from } => {
                let bytes = self.view(&from)?.to_vec()?;
                self.compare(&format!("{from:?}"), &model.bytes(&from), &bytes)?;
            }
            Op::CopyNow { from, to } => self.view(&to)?.copy_from(&self.view(&from)?)?,
            Op::Finish { transfer, how } => self.finish(model, transfer, how)?,
            Op::Callback { id, stream, mode, body } => {
                let token = Token { id, ledger: self.ledger.clone() };
                let closure = self.closure(token, stream, body)?;
                let callback = self.stream(stream)?.launch_callback_with(mode, closure)?;
                self.callbacks.insert(id, callback);
            }
            Op::Collect { callback, how } => self.collect(model, callback, how)?,
            Op::Audit => self.audit(model)?,
            Op::Wrong(wrong) => self.wrong(wrong)?,
            Op::Share(share) => self.share(share)?,
        }
        Ok(())
    }

    /// Waits as `patience` says; with a short one in vain.
    pub fn wait_for(
        &self,
        patience: Patience,
        unlimited: impl FnOnce() -> ascendcl::Result<()>,
        limited: impl FnOnce(Duration) -> ascendcl::Result<()>,
    ) -> Outcome {
        match patience {
            _ if self.judgement.faulty => Ok(limited(FAULTY)?),
            Patience::Unlimited => Ok(unlimited()?),
            Patience::Ample => Ok(limited(ample())?),
            Patience::Short => match limited(SHORT) {
                Err(error) if error.is_timeout() => Ok(()),
                Err(error) => Err(error.into()),
                Ok(()) => Err(Failure::Wrong("the wait ended before what it waits for can have come".into())),
            },
        }
    }

    pub fn query(&self, model: &Model, id: Id) -> Outcome {
        let status = self.event(id)?.query()?;
        let fits = match model.events[&id].latest {
            None => status == EventStatus::NotRecorded,
            Some(latest) if model.order.is_blocked(latest) => status == EventStatus::Pending,
            Some(latest) if model.order.host_knows(latest) => status == EventStatus::Complete,
            Some(_) => status != EventStatus::NotRecorded,
        };
        require(fits, || format!("e{id} cannot be {status:?}"))
    }

    fn query_waits(&self, model: &Model, id: Id) -> Outcome {
        let over = self.event(id)?.waits_are_over()?;
        let waits = &model.events[&id].waits;
        let known = waits.iter().all(|&wait| model.order.host_knows(wait));
        let blocked = waits.iter().any(|&wait| model.order.is_blocked(wait));
        require((over || !known) && !(over && blocked), || format!("it cannot be {over}"))
    }

    pub fn is_idle(&self, model: &Model, id: Id) -> Outcome {
        let idle = self.stream(id)?.is_idle()?;
        let stream = &model.streams[&id];
        let must = stream.last == stream.waited_for;
        require((idle || !must) && !(idle && model.is_stuck(id)), || {
            format!("that s{id} is idle cannot be {idle}")
        })
    }

    fn elapsed(&self, model: &Model, start: Id, end: Id) -> Outcome {
        let (first, second) = (self.event(start)?, self.event(end)?);
        let millis = second.millis_since(first)?;
        let micros = |time: Duration| time.as_micros() as f64;
        let between = micros(second.timestamp()?) - micros(first.timestamp()?);
        require((f64::from(millis) * 1e3 - between).abs() < 2.0, || {
            format!("{millis} ms are not the {between} us between the time stamps")
        })?;
        let nodes = (model.events[&start].latest, model.events[&end].latest);
        let (Some(first_node), Some(second_node)) = nodes else { return Ok(()) };
        let fits = if first_node == second_node {
            millis == 0.0
        } else if model.order.is_before(first_node, second_node) {
            millis >= 0.0
        } else {
            millis <= 0.0 || !model.order.is_before(second_node, first_node)
        };
        require(fits, || format!("{millis} ms contradict the order of the records"))?;
        match second.elapsed_since(first) {
            Ok(_) if millis >= 0.0 => Ok(()),
            Err(Error::NegativeElapsed(_)) if millis < 0.0 => Ok(()),
            Err(error @ Error::Acl(_)) => Err(error.into()),
            other => Err(Failure::Wrong(format!("{millis} ms, and then {other:?}"))),
        }
    }

    /// The closure of a callback, with what it owns.
    fn closure(
        &mut self,
        token: Token,
        stream: Id,
        body: Body,
    ) -> Outcome<Box<dyn FnOnce() -> Given + Send>> {
        let id = token.id;
        Ok(match body {
            Body::Log => Box::new(move || {
                token.runs();
                Given::default()
            }),
            Body::Panic => Box::new(move || {
                token.runs();
                panic!("closure {id}");
            }),
            Body::Probe { event } => {
                let (stream, event) = (self.stream(stream)?.clone(), self.event(event)?.clone());
                Box::new(move || {
                    token.runs();
                    let context = stream.context();
                    let probes = vec![
                        ("aclrtSynchronizeStream", stream.synchronize().err()),
                        ("aclrtSynchronizeEvent", event.synchronize().err()),
                        ("aclrtQueryEventStatus", event.query().err()),
                        ("aclrtCreateStream", context.create_stream().err()),
                        ("aclrtMalloc", context.alloc::<u8>(1).err()),
                        ("aclrtSynchronizeDevice", context.synchronize().err()),
                        ("aclrtSetDevice", context.device().acl().device(0).err()),
                        ("aclFinalize", context.device().acl().clone().finalize().err()),
                    ];
                    Given { probes, pinned: None }
                })
            }
            Body::OwnBuffer(buffer) => {
                let buffer = take("b", &mut self.buffers, buffer)?;
                Box::new(move || {
                    token.runs();
                    drop(buffer);
                    Given::default()
                })
            }
            Body::OwnStream => {
                let stream = self.stream(stream)?.clone();
                Box::new(move || {
                    token.runs();
                    drop(stream);
                    Given::default()
                })
            }
            Body::WaitFor(transfer) => {
                let slot = take("t", &mut self.transfers, transfer)?;
                Box::new(move || {
                    token.runs();
                    let pinned = match slot {
                        Slot::Open(transfer) => transfer.wait(),
                        Slot::Over(pinned) => Ok(pinned),
                    };
                    Given { probes: Vec::new(), pinned: Some(pinned) }
                })
            }
        })
    }

    /// Waits for all streams; then only what has owners is there.
    fn audit(&self, model: &Model) -> Outcome {
        for stream in self.streams.values() {
            self.wait_for(Patience::Ample, || Ok(()), |time| stream.synchronize_timeout(time))?;
        }
        if !self.judgement.alone {
            return Ok(());
        }
        let held =
            |buffer: &Id| model.transfers.values().any(|t| t.buffer == *buffer && t.fate != Fate::Over);
        // A stream without handles that a transfer keeps is not waited for, and keeps what it has used.
        let keeps = |t: &Transfer| t.fate != Fate::Over && !model.streams[&t.stream].alive;
        let kept = if model.transfers.values().any(keeps) { usize::MAX } else { 0 };
        let buffers = || model.buffers.iter().filter(|(_, buffer)| !buffer.data.is_empty());
        let alive = buffers().filter(|(_, buffer)| buffer.alive).count();
        let most = buffers().filter(|(id, buffer)| buffer.alive || held(id)).count();
        self.count(LiveKind::DeviceMemory, alive, most.max(kept))?;
        let pinned = |owner: Owner| {
            model.pinned.values().filter(|pinned| !pinned.data.is_empty() && pinned.owner == owner).count()
        };
        let alive = pinned(Owner::Program);
        self.count(LiveKind::PinnedMemory, alive, (alive + pinned(Owner::Transfer)).max(kept))
    }

    /// At least so many live, and after a while no more than so many.
    fn count(&self, kind: LiveKind, least: usize, most: usize) -> Outcome {
        let begun = Instant::now();
        loop {
            let live = ascendcl_sim::live().iter().filter(|live| live.kind == kind).count();
            require(live >= least, || format!("{kind}: {live} live, {least} have owners"))?;
            if live <= most {
                return Ok(());
            }
            // What was dropped in callbacks is released a moment later.
            require(begun.elapsed() < ample(), || format!("{kind}: {live} live, {most} have owners"))?;
            self.nudge();
            thread::sleep(Duration::from_micros(200));
        }
    }

    fn wrong(&mut self, wrong: Wrong) -> Outcome {
        let (error, fits) = match wrong {
            Wrong::NoSuchDevice => {
                let error = self.acl.device(99).err();
                let fits = is_acl(&error, "aclrtSetDevice", ErrorKind::NoDevice);
                (error, fits)
            }
            Wrong::TooLong(context) => {
                let error = self.context(context)?.alloc::<u64>(usize::MAX).err();
                let fits = matches!(error, Some(Error::Length { op: "aclrtMalloc", .. }));
                (error, fits)
            }
            Wrong::OutOfMemory(context) => {
                let error = self.context(context)?.alloc::<u8>(1 << 45).err();
                let fits = is_acl(&error, "aclrtMalloc", ErrorKind::OutOfMemory);
                (error, fits)
            }
            Wrong::BeyondTheEnd(buffer) => {
                let buffer = find("b", &self.buffers, buffer)?;
                let error = buffer.view(..=buffer.len()).err();
                let fits = matches!(error, Some(Error::Length { op: "DeviceView::view", .. }));
                (error, fits)
            }
            Wrong::FinalizeWhileInUse if !self.judgement.alone || self.judgement.faulty => return Ok(()),
            Wrong::FinalizeWhileInUse => {
                let error = self.acl.clone().finalize().err();
                let fits = matches!(error, Some(Error::InUse { op: "aclFinalize", .. }));
                (error, fits)
            }
            Wrong::Poison(context) => return self.poison(context),
            Wrong::OtherBackend { .. } if self.judgement.faulty => return Ok(()),
            Wrong::OtherBackend { stream, buffer } => return self.other_backend(stream, buffer),
        };
        require(fits || self.judgement.faulty, || format!("answered {error:?}"))
    }

    /// To each backend the other's addresses are any addresses of the host.
    fn other_backend(&self, stream: Id, buffer: Id) -> Outcome {
        let (stream, ours) = (self.stream(stream)?, self.buffer(buffer)?);
        let library = std::env::current_exe().map(|program| program.with_file_name("libascendcl_sim.so"));
        let library = library.map_err(|error| Failure::Wrong(error.to_string()))?;
        let other = ascendcl::Acl::builder().library(library).build()?;
        let context = other.device(0)?.create_context()?;
        let (pinned, theirs) = (context.alloc_pinned::<u8>(ours.len())?, context.alloc::<u8>(ours.len())?);
        let their_stream = context.create_stream()?;
        let rejected = stream.upload(pinned, ours).err();
        let returned = rejected.as_ref().is_some_and(|rejected| rejected.returned.is_some());
        require(returned, || "the pinned memory did not come back".into())?;
        let answers = [
            ("aclrtMemcpyAsync", rejected.map(Error::from)),
            ("aclrtMemcpyAsync", stream.copy(&theirs, ours).err()),
            ("aclrtMemcpyAsync", their_stream.copy(ours, &theirs).err()),
            ("aclrtMemcpy", ours.copy_from(&theirs).err()),
            ("aclrtMemcpy", theirs.copy_from(ours).err()),
        ];
        for (op, error) in answers {
            let fits = matches!(error, Some(Error::Mismatch { op: of, .. }) if of == op);
            require(fits, || format!("{op} between two backends answered {error:?}"))?;
        }
        drop((context, theirs, their_stream));
        require(other.finalize()?, || "the other backend is not ours".into())
    }

    /// A wait on the device that ran out of time is no time-out of the host: the stream has gone on, over wrong data.
    fn poison(&self, context: Id) -> Outcome {
        let context = self.context(context)?;
        let stream = context.create_stream()?;
        let event = context.create_event_with_flags(EventFlags::SYNC)?;
        stream.wait_timeout(&event, Duration::from_secs(1))?;
        let error = stream.synchronize_timeout(ample()).err();
        let fits = is_acl(&error, "aclrtSynchronizeStreamWithTimeout", ErrorKind::DeviceFault);
        require(fits || self.judgement.faulty, || format!("the time is over, and the wait gives {error:?}"))?;
        for (op, error) in [
            ("aclrtRecordEvent", stream.record(&event).err()),
            ("aclrtLaunchCallback", stream.launch_callback(|| ()).err()),
            ("aclrtSynchronizeStream", stream.synchronize().err()),
        ] {
            let fits = matches!(error, Some(Error::Poisoned { op: of, .. }) if of == op);
            require(fits || self.judgement.faulty, || format!("{op} on a poisoned stream gives {error:?}"))?;
        }
        Ok(())
    }
}

fn is_acl(error: &Option<Error>, op: &str, kind: ErrorKind) -> bool {
    matches!(error, Some(Error::Acl(error)) if error.op == op && error.code.kind() == kind)
}
