//! Notifies: a flag that a record raises and one wait takes down again, on any stream of any device or process.

use core::ffi::c_void;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use ascendcl_sys::{self as sys, aclError};

use super::poll::{self, Watched};
use super::shared_event::abroad;
use super::stream::Stream;
use super::wait::{Waitable, Waiter};
use super::{Device, process};
use crate::check::Mark;
use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::interprocess::{KEY_LEN, OpenError, Segment, SegmentKind};
use crate::lock::Mutex;

pub(crate) static NOTIFIES: Table<Notify> = Table::new(Kind::Notify);

const _: () = assert!(KEY_LEN < Notify::KEY_PLACE);

/// Words of a shared notify: whether it is up, its number, and the physical device it is of.
const UP: usize = 0;
const ID: usize = 1;
const DEVICE: usize = 2;
const WORDS: usize = 3;

pub(crate) struct Notify {
    me: Weak<Self>,
    id: u32,
    /// The device it is of, or was imported on.
    device: Arc<Device>,
    imported: bool,
    /// The physical device it is of.
    physical: usize,
    state: Mutex<State>,
    /// Other processes may raise it and wait for it.
    is_shared: AtomicBool,
    mark: Mark,
}

#[derive(Default)]
struct State {
    up: bool,
    /// Streams that wait, in order.
    waiters: VecDeque<Waiter>,
    /// Where it is once it was exported or imported.
    shared: Option<Segment>,
}

impl State {
    fn raise(&mut self) {
        match &self.shared {
            Some(segment) => segment.word(UP).store(1, Ordering::SeqCst),
            None => self.up = true,
        }
    }

    /// Takes the flag down; false if it was not up.
    fn take(&mut self) -> bool {
        match &self.shared {
            Some(segment) => segment.word(UP).swap(0, Ordering::SeqCst) != 0,
            None => std::mem::take(&mut self.up),
        }
    }

    /// Lets the first stream pass that still waits, if the flag is up.
    fn serve(&mut self) {
        while !self.waiters.is_empty() && self.take() {
            if let Some(waiter) = self.waiters.pop_front()
                && !waiter.wake()
            {
                // It has given up: the next one may have it.
                self.raise();
            }
        }
    }
}

impl Notify {
    /// The shortest place for a key that the runtime accepts.
    pub(crate) const KEY_PLACE: usize = 65;

    /// Makes a notify of `device` and gives its handle.
    pub(crate) fn create(device: &Arc<Device>) -> Result<*mut c_void, aclError> {
        let exhausted = || {
            fail(
                sys::ACL_ERROR_RT_NO_NOTIFY_RESOURCE,
                format_args!(
                    "all {} notifies of device {} are in use",
                    device.profile().notifies,
                    device.id()
                ),
            )
        };
        let id = device.notifies().take().ok_or_else(exhausted)?;
        let notify = Self::new(id, device, process::physical(device.id()), None);
        let registration = register(LiveKind::Notify, format!("id {id} on device {}", device.id()));
        NOTIFIES.insert(notify, registration).ok_or_else(exhausted)
    }

    /// Opens a notify of another process.
    pub(crate) fn import(device: &Arc<Device>, key: &str) -> Result<*mut c_void, aclError> {
        let segment =
            Segment::open(SegmentKind::Notify, key).map_err(|error| refused("notify", key, &error))?;
        let id = segment.word(ID).load(Ordering::Relaxed) as u32;
        let physical = segment.word(DEVICE).load(Ordering::Relaxed) as usize;
        let creator = segment.creator();
        let notify = Self::new(id, device, physical, Some(segment));
        let registration = register(LiveKind::Notify, format!("id {id} of process {creator}"));
        NOTIFIES
            .insert(notify, registration)
            .ok_or_else(|| fail(sys::ACL_ERROR_RT_NO_NOTIFY_RESOURCE, "too many notifies"))
    }

    fn new(id: u32, device: &Arc<Device>, physical: usize, shared: Option<Segment>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            id,
            device: Arc::clone(device),
            imported: shared.is_some(),
            physical,
            is_shared: AtomicBool::new(shared.is_some()),
            state: Mutex::new(State { shared, ..State::default() }),
            mark: Mark::default(),
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Whether a stream of `device` may wait for it: one that is shared is waited for only on the device that it is of.
    pub(crate) fn can_wait_on(&self, device: &Device) -> bool {
        self.state.lock().shared.is_none() || process::physical(device.id()) == self.physical
    }

    /// The stream reached a record.
    pub(crate) fn record(&self) {
        self.mark().post();
        let mut state = self.state.lock();
        state.raise();
        state.serve();
    }

    /// Takes it down, whoever raised it.
    pub(crate) fn reset(&self) {
        self.state.lock().take();
    }

    /// Makes it one that other processes can import, and gives the key. Only once.
    pub(crate) fn export(&self, anybody: bool) -> Result<String, aclError> {
        let mut state = self.state.lock();
        if state.shared.is_some() {
            return Err(fail(
                sys::ACL_ERROR_RT_INTERNAL_ERROR,
                format_args!("notify {} was exported before, or imported", self.id),
            ));
        }
        let segment = Segment::create(SegmentKind::Notify, WORDS * 8).map_err(|error| {
            fail(
                sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR,
                format_args!("cannot share notify {}: {error}", self.id),
            )
        })?;
        segment.word(ID).store(self.id.into(), Ordering::Relaxed);
        segment.word(DEVICE).store(self.physical as u64, Ordering::Relaxed);
        segment.word(UP).store(state.up.into(), Ordering::SeqCst);
        if anybody {
            segment.allow_all();
        }
        let key = segment.key();
        state.shared = Some(segment);
        self.is_shared.store(true, Ordering::Relaxed);
        let waits = !state.waiters.is_empty();
        drop(state);
        if waits {
            self.watch();
        }
        Ok(key)
    }

    /// Lets a process import it: 107000 if it was not exported.
    pub(crate) fn allow(&self, pid: i32) -> Result<(), aclError> {
        let state = self.state.lock();
        let Some(segment) = &state.shared else {
            drop(state);
            return Err(fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                format_args!("notify {} has no key: call aclrtNotifyGetExportKey first", self.id),
            ));
        };
        let allowed = segment.allow(pid);
        drop(state);
        if allowed {
            return Ok(());
        }
        Err(fail(
            sys::ACL_ERROR_RT_RESOURCE_ALLOC_FAIL,
            format_args!("too many processes may import notify {}", self.id),
        ))
    }

    fn watch(&self) {
        if let Some(me) = self.me.upgrade() {
            poll::watch(me);
        }
    }
}

/// Why a key was refused.
pub(super) fn refused(what: &str, key: &str, error: &OpenError) -> aclError {
    let code = match error {
        OpenError::NotAllowed => sys::ACL_ERROR_RT_NO_PERMISSION,
        OpenError::Unknown | OpenError::Io(_) => sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR,
    };
    fail(code, format_args!("cannot open the {what} with key '{key}': {error}"))
}

impl Waitable for Notify {
    fn operation(&self) -> &'static str {
        "notify wait"
    }

    fn what(&self) -> &'static str {
        "a notify"
    }

    fn mark(&self) -> &Mark {
        if self.is_shared.load(Ordering::Relaxed) { abroad() } else { &self.mark }
    }

    fn pass_or_enlist(&self, _key: u64, stream: &Arc<Stream>, ticket: u64) -> bool {
        let mut state = self.state.lock();
        // Those who came first go first.
        if state.waiters.is_empty() && state.take() {
            return true;
        }
        state.waiters.push_back(Waiter::new(stream, ticket));
        let shared = state.shared.is_some();
        drop(state);
        if shared {
            self.watch();
        }
        false
    }

    fn delist(&self, stream: &Stream, ticket: u64) {
        let mut state = self.state.lock();
        let at = state.waiters.iter().position(|waiter| waiter.is(stream, ticket));
        let gone = at.and_then(|at| state.waiters.remove(at));
        drop(state);
        drop(gone);
    }
}

impl Watched for Notify {
    fn look(&self) -> bool {
        let mut state = self.state.lock();
        state.serve();
        !state.waiters.is_empty()
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        if !self.imported {
            self.device.notifies().give(self.id);
        }
    }
}
