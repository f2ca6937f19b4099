//! How transfers and callbacks end, in reality.

use crate::{
    machine::FAULTY,
    model::Model,
    operation::{Body, Collect, Finish, Id, Patience},
    world::{Failure, Given, Outcome, SHORT, Slot, World, ample, require, take},
};
use ascendcl::{Callback, Error, PinnedBuffer, Rejected};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

/// Notes that it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl World {
    fn patience(&self, patience: Patience) -> Duration {
        match patience {
            _ if self.judgement.faulty => FAULTY,
            Patience::Short => SHORT,
            Patience::Unlimited | Patience::Ample => ample(),
        }
    }

    /// Awaits a future. It is polled again only when it has woken its waker.
    fn block_on<F: Future + Unpin>(&self, mut future: F) -> Outcome<F::Output> {
        let begun = Instant::now();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        loop {
            if let Poll::Ready(output) = Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
                return Ok(output);
            }
            while !woken.0.swap(false, Ordering::SeqCst) {
                if self.judgement.faulty && begun.elapsed() > FAULTY {
                    return Err(Failure::Refused(Error::Timeout { op: "await", timeout: FAULTY }));
                }
                require(begun.elapsed() < ample(), || "the future is never woken".into())?;
                self.nudge();
                thread::sleep(Duration::from_micros(20));
            }
        }
    }

    pub fn finish(&mut self, model: &Model, id: Id, how: Finish) -> Outcome {
        let slot = take("t", &mut self.transfers, id)?;
        let transfer = &model.transfers[&id];
        let blocked = transfer.node.is_some_and(|node| model.order.is_blocked(node));
        let pinned = match (slot, how) {
            (Slot::Over(pinned), Finish::Poll | Finish::IsDone) => {
                self.transfers.insert(id, Slot::Over(pinned));
                return Ok(());
            }
            (slot, Finish::Drop) => {
                drop(slot);
                return Ok(());
            }
            (slot, Finish::Forget) => {
                std::mem::forget(slot);
                return Ok(());
            }
            (Slot::Over(_), Finish::Cancel) => return Ok(()),
            (Slot::Over(pinned), _) => pinned,
            (Slot::Open(open), Finish::Wait) if !self.judgement.faulty => open.wait()?,
            (Slot::Open(open), Finish::Wait | Finish::WaitTimeout(_)) => {
                let patience =
                    if let Finish::WaitTimeout(patience) = how { patience } else { Patience::Ample };
                match open.wait_timeout(self.patience(patience)) {
                    Ok(_) if blocked => {
                        return Err(Failure::Wrong("the transfer cannot be done yet".into()));
                    }
                    Ok(pinned) => pinned,
                    Err(Rejected { error, returned: Some(open) }) if error.is_timeout() => {
                        self.transfers.insert(id, Slot::Open(open));
                        return if blocked { Ok(()) } else { Err(error.into()) };
                    }
                    Err(Rejected { error, .. }) => return Err(error.into()),
                }
            }
            (Slot::Open(open), Finish::Await) => self.block_on(open)??,
            (Slot::Open(mut open), Finish::Poll | Finish::Cancel) => {
                match Pin::new(&mut open).poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(Ok(_)) if blocked => {
                        return Err(Failure::Wrong("the transfer cannot be done yet".into()));
                    }
                    Poll::Ready(pinned) => {
                        let pinned = pinned?;
                        if how == Finish::Poll {
                            self.transfers.insert(id, Slot::Over(pinned));
                        }
                    }
                    Poll::Pending if how == Finish::Poll => {
                        self.transfers.insert(id, Slot::Open(open));
                    }
                    _ => {}
                }
                return Ok(());
            }
            (Slot::Open(open), Finish::IsDone) => {
                let done = open.is_done();
                self.transfers.insert(id, Slot::Open(open));
                let done = done?;
                let known = transfer.node.is_none();
                return require(!(done && blocked) && (done || !known), || format!("it cannot be {done}"));
            }
        };
        self.returned(model, transfer.pinned, pinned)
    }

    /// Pinned memory came back.
    fn returned(&mut self, model: &Model, id: Id, pinned: PinnedBuffer<u8>) -> Outcome {
        self.compare(&format!("p{id}"), &model.pinned[&id].data, &pinned)?;
        self.pinned.insert(id, pinned);
        Ok(())
    }

    pub fn collect(&mut self, model: &Model, id: Id, how: Collect) -> Outcome {
        let callback = take("k", &mut self.callbacks, id)?;
        let expected = &model.callbacks[&id];
        let blocked = model.order.is_blocked(expected.node);
        let given = match how {
            Collect::Drop => return Ok(()),
            Collect::WaitTimeout(Patience::Short) => match callback.wait_timeout(SHORT) {
                Err(Rejected { error: Error::Timeout { .. }, returned: Some(callback) }) => {
                    self.callbacks.insert(id, callback);
                    return Ok(());
                }
                Err(Rejected { error, .. }) => Err(error),
                Ok(given) => Ok(given),
            },
            Collect::Await => self.block_on(callback)?,
            Collect::Wait | Collect::WaitTimeout(_) => {
                self.until_finished(&callback)?;
                match how {
                    Collect::Wait if !self.judgement.faulty => callback.wait(),
                    _ => callback.wait_timeout(self.patience(Patience::Ample)).map_err(Error::from),
                }
            }
        };
        require(!blocked, || "the callback cannot have run yet".into())?;
        self.judge(model, id, given)
    }

    /// Gives the simulator time until the closure has run: with a seed it works while the program calls.
    fn until_finished(&self, callback: &Callback<Given>) -> Outcome {
        let begun = Instant::now();
        while !callback.is_finished() && begun.elapsed() < self.patience(Patience::Ample) {
            self.nudge();
            thread::sleep(Duration::from_micros(20));
        }
        Ok(())
    }

    /// What a closure gave.
    fn judge(&mut self, model: &Model, id: Id, given: ascendcl::Result<Given>) -> Outcome {
        let body = model.callbacks[&id].body;
        let given = match given {
            Err(Error::Panicked { message }) if body == Body::Panic => {
                return require(message == format!("closure {id}"), || format!("panicked with {message:?}"));
            }
            Ok(_) if body == Body::Panic => return Err(Failure::Wrong("the closure panicked".into())),
            given => given?,
        };
        for (op, error) in &given.probes {
            let refused = matches!(error, Some(Error::InCallback { op: of }) if of == op);
            if !refused {
                return Err(Failure::Broken(format!("{op} in a callback answered {error:?}")));
            }
        }
        match (body, given.pinned) {
            (Body::WaitFor(transfer), Some(pinned)) => {
                self.returned(model, model.transfers[&transfer].pinned, pinned?)
            }
            (Body::WaitFor(_), None) => Err(Failure::Wrong("the closure gave no memory".into())),
            _ => Ok(()),
        }
    }
}
