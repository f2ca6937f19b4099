//! What is counted by all threads: pieces of work, errors, closures, and what was wrong.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use ascendcl::{Error, ErrorKind};

use super::faults;

/// Enough for a person.
const MOST_WRONGS: usize = 20;

#[derive(Default)]
pub struct Ledger {
    work: Mutex<BTreeMap<&'static str, Arc<AtomicU64>>>,
    /// By function and what it answered.
    errors: Mutex<BTreeMap<String, u64>>,
    wrongs: Mutex<(u64, Vec<String>)>,
    closures: Closures,
}

/// Every closure ends in one of two ways.
#[derive(Default)]
pub struct Closures {
    pub made: AtomicU64,
    pub ran: AtomicU64,
    pub dropped: AtomicU64,
}

impl Ledger {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The counter of one kind of work.
    pub fn counter(&self, kind: &'static str) -> Arc<AtomicU64> {
        lock(&self.work).entry(kind).or_default().clone()
    }

    /// An error: it is one of those that were injected, or that the chip must give, or it is wrong.
    pub fn error(&self, error: &Error) {
        let injected = faults::made(error);
        let lacking = error.code().is_some_and(|code| code.kind() == ErrorKind::NotSupported);
        if !injected && !lacking {
            return self.wrong(format!("an error that nothing explains: {error}"));
        }
        let why = if injected { "injected" } else { "the chip lacks it" };
        let name = match error {
            Error::Acl(error) => format!("{}: {} ({why})", error.op, error.code),
            other => other.to_string(),
        };
        *lock(&self.errors).entry(name).or_default() += 1;
    }

    /// Something that was expected to go wrong, and did.
    pub fn expected(&self, what: &'static str) {
        *lock(&self.errors).entry(what.to_owned()).or_default() += 1;
    }

    /// Something that must not be.
    pub fn wrong(&self, what: impl Into<String>) {
        let mut wrongs = lock(&self.wrongs);
        wrongs.0 += 1;
        if wrongs.1.len() < MOST_WRONGS {
            let what = what.into();
            eprintln!("wrong: {what}");
            wrongs.1.push(what);
        }
    }

    pub fn wrongs(&self) -> (u64, Vec<String>) {
        lock(&self.wrongs).clone()
    }

    pub fn work(&self) -> Vec<(&'static str, u64)> {
        lock(&self.work).iter().map(|(kind, count)| (*kind, count.load(Ordering::Relaxed))).collect()
    }

    pub fn total(&self) -> u64 {
        self.work().iter().map(|(_, count)| count).sum()
    }

    pub fn errors(&self) -> Vec<(String, u64)> {
        lock(&self.errors).iter().map(|(name, count)| (name.clone(), *count)).collect()
    }

    pub fn closures(&self) -> (u64, u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        // What was made last: a closure that ends in between must not look like one too many.
        let (ran, dropped) = (count(&self.closures.ran), count(&self.closures.dropped));
        (count(&self.closures.made), ran, dropped)
    }

    /// What a closure takes with it.
    pub fn ticket(self: &Arc<Self>) -> Ticket {
        self.closures.made.fetch_add(1, Ordering::SeqCst);
        Ticket { ledger: self.clone(), runs: 0 }
    }
}

/// Counts that its closure runs once or is dropped.
pub struct Ticket {
    ledger: Arc<Ledger>,
    runs: u32,
}

impl Ticket {
    /// The closure runs.
    pub fn punch(&mut self) {
        self.runs += 1;
        self.ledger.closures.ran.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        match self.runs {
            0 => _ = self.ledger.closures.dropped.fetch_add(1, Ordering::SeqCst),
            1 => {}
            runs => self.ledger.wrong(format!("a closure ran {runs} times")),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
