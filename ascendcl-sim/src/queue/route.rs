//! Routes: what is put into one queue goes on to others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ascendcl_sys::{self as sys, aclError};

use super::registry::{self, Queue};
use super::ring::RingError;
use crate::error::fail;
use crate::lock::{Mutex, RwLock};
use crate::own_thread;

/// How soon a forwarder notices that it is not wanted any more.
const SLICE: Duration = Duration::from_millis(20);

/// From one queue to another of the same device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Route {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) status: i32,
}

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Query {
    From(u32),
    To(u32),
    Between(u32, u32),
    /// Routes that broke. Here none do.
    Abnormal,
}

/// Forwards what is put into one queue.
struct Forwarder {
    targets: Arc<RwLock<BTreeMap<u32, Arc<Queue>>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // It forwards nothing after this.
            let _ = thread.join();
        }
    }
}

/// By device and source.
static FORWARDERS: Mutex<BTreeMap<(i32, u32), Forwarder>> = Mutex::new(BTreeMap::new());

impl Forwarder {
    fn new(source: Arc<Queue>) -> Result<Self, aclError> {
        let targets: Arc<RwLock<BTreeMap<u32, Arc<Queue>>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (to, stopped) = (Arc::clone(&targets), Arc::clone(&stop));
        let thread =
            own_thread::start_with(thread::Builder::new().name("ascendcl-sim-route".into()), move || {
                forward(&source, &to, &stopped)
            })
            .map_err(|error| fail(sys::ACL_ERROR_FAILURE, format_args!("cannot start a thread: {error}")))?;
        Ok(Self { targets, stop, thread: Some(thread) })
    }
}

fn forward(source: &Queue, targets: &RwLock<BTreeMap<u32, Arc<Queue>>>, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        // What cannot go on stays where it is.
        if targets.read().values().any(|target| target.ring().is_full()) {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        let message = match source.ring().take(usize::MAX, Some(Instant::now() + SLICE)) {
            Ok(message) => message,
            Err(RingError::TimedOut) => continue,
            Err(_) => return,
        };
        let targets: Vec<_> = targets.read().values().cloned().collect();
        for target in targets {
            // Somebody else may have filled it meanwhile.
            while let Err(RingError::TimedOut) = target.ring().put(&message, Some(Instant::now() + SLICE)) {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
            }
        }
    }
}

/// `acltdtBindQueueRoutes`: binds what can be bound; an error if something cannot.
pub(crate) fn bind(device: i32, routes: &mut [Route]) -> Result<(), aclError> {
    let mut result = if routes.is_empty() { Err(failed("there are no routes to bind")) } else { Ok(()) };
    let mut bound = Vec::new();
    for route in routes.iter() {
        match bind_one(device, route.from, route.to) {
            Ok(()) => bound.push(*route),
            Err(code) => result = Err(code),
        }
    }
    result?;
    for route in routes {
        route.status = sys::ACL_TDT_QUEUE_ROUTE_BIND as i32;
    }
    Ok(())
}

fn failed(why: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_FAILURE, why)
}

fn bind_one(device: i32, from: u32, to: u32) -> Result<(), aclError> {
    let refused = |why: &str| failed(format_args!("queue {from} cannot be bound to queue {to}: {why}"));
    let queue = |number| registry::lookup(device, number).map_err(|_| refused("there is no such queue"));
    let (source, target) = (queue(from)?, queue(to)?);
    if from == to {
        return Err(refused("they are the same"));
    }
    let mut forwarders = FORWARDERS.lock();
    if forwarders.get(&(device, from)).is_some_and(|forwarder| forwarder.targets.read().contains_key(&to)) {
        return Ok(());
    }
    if forwarders.contains_key(&(device, to)) {
        return Err(refused("what it is bound to is bound on, and routes have one step"));
    }
    let leads_here = |forwarder: &Forwarder| forwarder.targets.read().contains_key(&from);
    if forwarders.iter().any(|((of, _), forwarder)| *of == device && leads_here(forwarder)) {
        return Err(refused("something is bound to it already, and routes have one step"));
    }
    if let Some(forwarder) = forwarders.get(&(device, from)) {
        forwarder.targets.write().insert(to, target);
        return Ok(());
    }
    let forwarder = Forwarder::new(source)?;
    forwarder.targets.write().insert(to, target);
    forwarders.insert((device, from), forwarder);
    Ok(())
}

/// `acltdtUnbindQueueRoutes`: routes that are not bound are no mistake.
pub(crate) fn unbind(device: i32, routes: &mut [Route]) -> Result<(), aclError> {
    if routes.is_empty() {
        return Err(failed("there are no routes to unbind"));
    }
    if let Some(route) = routes.iter().find(|route| route.from.max(route.to) >= registry::QUEUES_OF_A_DEVICE)
    {
        return Err(failed(format_args!("{route:?} has a number that no queue has")));
    }
    for route in routes {
        let ended = {
            let mut forwarders = FORWARDERS.lock();
            let empty = forwarders.get(&(device, route.from)).is_some_and(|forwarder| {
                let mut targets = forwarder.targets.write();
                targets.remove(&route.to);
                targets.is_empty()
            });
            if empty { forwarders.remove(&(device, route.from)) } else { None }
        };
        // Waits for its thread, with nothing locked.
        drop(ended);
        route.status = sys::ACL_TDT_QUEUE_ROUTE_UNBIND as i32;
    }
    Ok(())
}

/// `acltdtQueryQueueRoutes`
pub(crate) fn query(device: i32, query: Query) -> Vec<Route> {
    let forwarders = FORWARDERS.lock();
    let bound = forwarders.iter().filter(|((of, _), _)| *of == device).flat_map(|((_, from), forwarder)| {
        let targets: Vec<u32> = forwarder.targets.read().keys().copied().collect();
        targets.into_iter().map(|to| Route { from: *from, to, status: sys::ACL_TDT_QUEUE_ROUTE_BIND as i32 })
    });
    bound
        .filter(|route| match query {
            Query::From(from) => route.from == from,
            Query::To(to) => route.to == to,
            Query::Between(from, to) => (route.from, route.to) == (from, to),
            Query::Abnormal => false,
        })
        .collect()
}

/// Whether a queue has a route, either way.
pub(crate) fn is_bound(device: i32, number: u32) -> bool {
    !query(device, Query::From(number)).is_empty() || !query(device, Query::To(number)).is_empty()
}

/// The device is being reset: nothing is forwarded any more.
pub(super) fn release_device(device: i32) {
    let ended: Vec<_> = {
        let mut forwarders = FORWARDERS.lock();
        let sources: Vec<_> = forwarders.keys().filter(|(of, _)| *of == device).copied().collect();
        sources.into_iter().filter_map(|source| forwarders.remove(&source)).collect()
    };
    drop(ended);
}
