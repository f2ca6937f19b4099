//! Where an event was recorded last, for who awaits it.

use crate::{
    Callback, Error, Event, EventStatus, Result, Stream,
    callback::{InCallback, Task},
    event::EventKind,
    exit, guard, quiet, reaper,
    stream::StreamInner,
    teardown::Fate,
};
use std::sync::{
    Arc, Mutex, OnceLock, PoisonError, Weak,
    atomic::{AtomicU64, Ordering},
};

/// The records of one event.
#[derive(Default)]
pub(crate) struct Records {
    /// How many have begun.
    begun: AtomicU64,
    last: Mutex<Option<Last>>,
}

/// The last record. Weak: an event does not keep a stream from being destroyed.
struct Last {
    stream: Weak<StreamInner>,
    fate: Arc<Fate>,
    number: u64,
}

/// A record of an event, which stays the same when the event is recorded again.
pub(crate) struct Record {
    event: Event,
    /// How many records had begun when this was the last.
    begun: u64,
    place: Place,
}

/// Where a record is.
pub(crate) enum Place {
    /// On a stream, with the number of the operation.
    On(Stream, u64),
    /// On a stream without handles.
    Left(Arc<Fate>),
    /// Other code has recorded the event.
    Unknown,
}

impl Records {
    /// To be called before a record, which ends in [`on`](Records::on) unless it fails.
    #[inline]
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::AcqRel);
    }

    /// It was put into a stream, as the operation of that number.
    #[inline]
    pub(crate) fn on(&self, stream: &Stream, number: u64) {
        let inner = stream.inner();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *last {
            // As long as there is a weak reference nothing else gets the address.
            Some(last) if Weak::as_ptr(&last.stream) == Arc::as_ptr(inner) => last.number = number,
            last => {
                *last = Some(Last { stream: Arc::downgrade(inner), fate: inner.fate().clone(), number });
            }
        }
    }

    /// The last record. `None` if this crate has made none.
    fn place(&self) -> Option<Place> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|Last { stream, fate, number }| match stream.upgrade() {
            Some(inner) => Place::On(Stream::from_inner(inner), *number),
            None => Place::Left(fate.clone()),
        })
    }
}

impl Record {
    /// The last record of an event; `None` if it was never recorded.
    pub(crate) fn last(event: &Event) -> Option<Record> {
        if !event.is_recorded() {
            return None;
        }
        let begun = event.records().begun.load(Ordering::Acquire);
        // In a forked child the lock may be held for ever by a thread that is not there.
        let place = if guard::forked() { None } else { event.records().place() };
        let place = place.unwrap_or(Place::Unknown);
        Some(Record { event: event.clone(), begun, place })
    }

    pub(crate) fn event(&self) -> &Event {
        &self.event
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether the event says that its stream has got there. False also if it does not know: it speaks of its latest record only.
    pub(crate) fn is_complete(&self) -> Result<bool> {
        // One that is reset counts as complete from its first record to the reset, whatever was recorded in between.
        let is_reset = matches!(self.event.kind(), EventKind::Flags(_));
        if is_reset && !matches!(self.place, Place::Unknown) {
            return Ok(false);
        }
        Ok(self.event.query()? == EventStatus::Complete
            // Asked behind the query, as a record is counted before it is made: the answer was about this one.
            && self.event.records().begun.load(Ordering::Acquire) == self.begun)
    }

    /// Whether it is done, for a record that no callback can be put behind. Of a stream without handles what became of it decides, because that says as well
    /// whether a task failed.
    pub(crate) fn is_over(&self) -> Result<bool> {
        let Place::Left(fate) = &self.place else { return self.is_complete() };
        let failure = fate.failure().cloned();
        if fate.is_gone() {
            return failure.map_or(Ok(true), |failure| Err((*failure).clone()));
        }
        if fate.is_lost() {
            return Err(Error::Abandoned { cause: failure });
        }
        Ok(false)
    }

    /// Of a stream without handles that is still there: whether it has got there, with the error of a task, if one is known.
    fn is_passed(&self) -> Result<bool> {
        let Place::Left(fate) = &self.place else { return Ok(false) };
        let passed = self.is_complete()?;
        match fate.failure() {
            Some(failure) if passed => Err((**failure).clone()),
            _ => Ok(passed),
        }
    }

    /// Asks from time to time, on the reaper's thread, until it is [over](Record::is_over) or nobody awaits it any more.
    pub(crate) fn watch(self: &Arc<Record>) -> Callback<Result<()>> {
        let answer = Arc::new(OnceLock::new());
        let (callback, task) = Callback::of({
            let answer = answer.clone();
            move || answer.get().cloned().unwrap_or(Err(Error::Abandoned { cause: None }))
        });
        reaper::watch(Watch { record: self.clone(), answer, task: Some(task), passed: false });
        callback
    }
}

/// A record that is awaited, for the reaper.
struct Watch {
    record: Arc<Record>,
    answer: Arc<OnceLock<Result<()>>>,
    /// Gives the answer to who awaits, and wakes. Taken when it is dropped.
    task: Option<Arc<dyn Task>>,
    /// The record was passed when it was last looked at.
    passed: bool,
}

impl Watch {
    /// A stream without handles is looked at once more behind its record, by the reaper as well: if it has nothing else to do it is asked how that went.
    fn look(&mut self) -> Result<bool> {
        let over = self.record.is_over()?;
        let before = self.passed;
        self.passed = !over && self.record.is_passed()?;
        Ok(over || (before && self.passed))
    }
}

impl reaper::Pending for Watch {
    fn try_release(&mut self) -> bool {
        // The future is gone.
        if self.task.as_ref().is_none_or(|task| Arc::strong_count(task) == 1) {
            return true;
        }
        let mut over = Err(Error::Abandoned { cause: None });
        let context = self.record.event.context().clone();
        context.release(|| {
            over = self.look();
            Ok(())
        });
        let answer = match over {
            Ok(false) => return false,
            Ok(true) => Ok(()),
            Err(error) => Err(error),
        };
        // Set here only.
        let _ = self.answer.set(answer);
        // A waker is code of the program, on the thread that everything else it could wait for may need.
        exit::outside(|| {
            let _inside = InCallback::enter();
            self.task.iter().for_each(|task| task.run());
        });
        true
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let task = self.task.take();
        // A future that went left its waker here, which is code of the program as well.
        exit::outside(|| {
            quiet::inside(move || drop(task));
        });
    }
}
