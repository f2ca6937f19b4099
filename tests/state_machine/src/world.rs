//! The real objects of a program, and how what comes of them is judged.

use crate::shared::Shared;
use crate::{isolate::patience, model::Bytes, operation::Id};
use ascendcl::{Acl, Callback, Context, Device, DeviceBuffer, Error, Event, PinnedBuffer, Stream, Transfer};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Longer than anything takes that comes at all.
pub fn ample() -> Duration {
    patience() / 2
}

/// For what cannot come.
pub const SHORT: Duration = Duration::from_millis(1);

/// Why a program did not do what the model says.
#[derive(Debug)]
pub enum Failure {
    /// A call that should succeed answered an error.
    Refused(Error),
    /// An earlier error left nothing to work with.
    Missing(&'static str, Id),
    /// What the model rules out.
    Wrong(String),
    /// What must never be, whatever has failed before.
    Broken(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Refused(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(error) => write!(f, "should succeed: {error}"),
            Failure::Missing(kind, id) => write!(f, "there is no {kind}{id}"),
            Failure::Wrong(what) | Failure::Broken(what) => f.write_str(what),
        }
    }
}

pub type Outcome<T = ()> = Result<T, Failure>;

/// The failure that says so, unless `holds`.
pub fn require(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Failure::Wrong(what())) }
}

/// What became of closures.
#[derive(Default)]
pub struct Ledger {
    ran: Mutex<Vec<Id>>,
    dropped: Mutex<Vec<Id>>,
}

impl Ledger {
    pub fn ran(&self) -> Vec<Id> {
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn dropped(&self) -> Vec<Id> {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What each closure owns: it tells when the closure runs, and when it is gone.
pub struct Token {
    pub id: Id,
    pub ledger: Arc<Ledger>,
}

impl Token {
    pub fn runs(&self) {
        self.ledger.ran.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.ledger.dropped.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
    }
}

/// What a closure gives back.
#[derive(Default)]
pub struct Given {
    /// What calls answered that are not allowed in a callback, with the C function that they stand for.
    pub probes: Vec<(&'static str, Option<Error>)>,
    pub pinned: Option<ascendcl::Result<PinnedBuffer<u8>>>,
}

/// A transfer, or what came of polling it.
pub enum Slot {
    Open(Transfer<u8>),
    Over(PinnedBuffer<u8>),
}

/// How strictly a program is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// Data is what the model says. Not so where nothing orders the accesses to it.
    pub data: bool,
    /// Nothing else runs in this process, so that all that lives can be counted.
    pub alone: bool,
    /// Something may fail: waits are limited, and errors no failures.
    pub faulty: bool,
}

/// All objects of a program. It goes from thread to thread.
pub struct World {
    pub acl: Acl,
    pub devices: Vec<Device>,
    pub contexts: BTreeMap<Id, Context>,
    pub streams: BTreeMap<Id, Stream>,
    pub events: BTreeMap<Id, Event>,
    pub buffers: BTreeMap<Id, DeviceBuffer<u8>>,
    pub pinned: BTreeMap<Id, PinnedBuffer<u8>>,
    pub transfers: BTreeMap<Id, Slot>,
    pub callbacks: BTreeMap<Id, Callback<Given>>,
    pub ledger: Arc<Ledger>,
    /// What it has in common with other programs, if there are any.
    pub shared: Option<Arc<Shared>>,
    pub judgement: Judgement,
}

/// The object of a number.
pub fn find<'a, T>(kind: &'static str, all: &'a BTreeMap<Id, T>, id: Id) -> Outcome<&'a T> {
    all.get(&id).ok_or(Failure::Missing(kind, id))
}

/// Takes the object of a number.
pub fn take<T>(kind: &'static str, all: &mut BTreeMap<Id, T>, id: Id) -> Outcome<T> {
    all.remove(&id).ok_or(Failure::Missing(kind, id))
}

impl World {
    pub fn new(acl: &Acl, devices: &[Device], judgement: Judgement) -> World {
        World {
            acl: acl.clone(),
            devices: devices.to_vec(),
            contexts: BTreeMap::new(),
            streams: BTreeMap::new(),
            events: BTreeMap::new(),
            buffers: BTreeMap::new(),
            pinned: BTreeMap::new(),
            transfers: BTreeMap::new(),
            callbacks: BTreeMap::new(),
            ledger: Arc::default(),
            shared: None,
            judgement,
        }
    }

    pub fn context(&self, id: Id) -> Outcome<&Context> {
        find("c", &self.contexts, id)
    }

    pub fn stream(&self, id: Id) -> Outcome<&Stream> {
        find("s", &self.streams, id)
    }

    pub fn event(&self, id: Id) -> Outcome<&Event> {
        find("e", &self.events, id)
    }

    pub fn buffer(&self, id: Id) -> Outcome<&DeviceBuffer<u8>> {
        find("b", &self.buffers, id)
    }

    /// Compares bytes with those of the model.
    pub fn compare(&self, what: &str, expected: &Bytes, actual: &[u8]) -> Outcome {
        require(expected.len() == actual.len(), || {
            format!("{what} has {} bytes instead of {}", actual.len(), expected.len())
        })?;
        let differs = |at: &usize| expected[*at].is_some_and(|byte| byte != actual[*at]);
        match (0..actual.len()).find(differs) {
            Some(at) if self.judgement.data => {
                let known: Vec<String> = expected
                    .iter()
                    .map(|byte| byte.map_or_else(|| "?".to_owned(), |byte| byte.to_string()))
                    .collect();
                Err(Failure::Wrong(format!(
                    "{what} is wrong at {at}:\n  got    [{}]\n  wanted [{}]",
                    actual.iter().map(u8::to_string).collect::<Vec<_>>().join(", "),
                    known.join(", ")
                )))
            }
            _ => Ok(()),
        }
    }

    /// A call into ACL: the simulator gets on with its work meanwhile, as it does not while a thread waits by means of its own.
    pub fn nudge(&self) {
        let _ = self.acl.device_count();
    }
}
