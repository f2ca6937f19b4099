//! Devices: how often they are set, their contexts, and what they have to give.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use ascendcl_sys::{self as sys, aclError};

use super::count_notify::COUNT_NOTIFIES;
use super::event::EVENTS;
use super::ids::IdPool;
use super::limits::{self, CoreLimits};
use super::notify::NOTIFIES;
use super::stream::STREAMS;
use super::{Context, clock, context, observers, process};
use crate::check::leak::{self, LiveKind, Registration, register};
use crate::config::Settings;
use crate::error::fail;
use crate::lock::Mutex;
use crate::memory::{self, DeviceMemory};
use crate::profile::Profile;
use crate::queue;

pub(crate) struct Device {
    id: i32,
    settings: Arc<Settings>,
    memory: Arc<DeviceMemory>,
    streams: IdPool,
    events: IdPool,
    notifies: IdPool,
    count_notifies: IdPool,
    /// Devices whose memory this one may use, one bit each.
    peers: AtomicU64,
    lost: AtomicBool,
    core_limits: CoreLimits,
    life: Mutex<Life>,
}

#[derive(Default)]
struct Life {
    /// One for each `aclrtSetDevice` that no `aclrtResetDevice` has answered.
    references: Vec<Registration>,
    primary: Option<Arc<Context>>,
    /// Contexts the program made.
    contexts: usize,
    /// Streams that the runtime takes for itself.
    internal: Vec<u32>,
}

impl Device {
    pub(super) fn new(id: i32, settings: &Arc<Settings>) -> Arc<Self> {
        let profile = &settings.profile;
        Arc::new(Self {
            id,
            settings: Arc::clone(settings),
            memory: DeviceMemory::new(id, settings.memory, settings.host_access),
            streams: IdPool::new(profile.streams),
            events: IdPool::new(profile.events),
            notifies: IdPool::new(profile.notifies),
            count_notifies: IdPool::new(profile.notifies),
            peers: AtomicU64::new(0),
            lost: AtomicBool::new(false),
            core_limits: CoreLimits::new(),
            life: Mutex::new(Life::default()),
        })
    }

    pub(crate) fn id(&self) -> i32 {
        self.id
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.settings.profile
    }

    /// How long streams wait for events by default, in seconds; the same for all devices.
    pub(crate) fn wait_seconds(&self) -> &AtomicU32 {
        &self.settings.wait_seconds
    }

    pub(crate) fn memory(&self) -> &Arc<DeviceMemory> {
        &self.memory
    }

    pub(crate) fn streams(&self) -> &IdPool {
        &self.streams
    }

    pub(crate) fn events(&self) -> &IdPool {
        &self.events
    }

    pub(crate) fn notifies(&self) -> &IdPool {
        &self.notifies
    }

    pub(crate) fn count_notifies(&self) -> &IdPool {
        &self.count_notifies
    }

    /// Whether the card can map this device's memory into another one.
    pub(crate) fn can_access_peer(&self) -> bool {
        self.settings.peer_access
    }

    pub(crate) fn peer_enabled(&self, peer: i32) -> bool {
        self.peers.load(Ordering::SeqCst) & (1 << peer) != 0
    }

    pub(crate) fn enable_peer(&self, peer: i32, enable: bool) {
        if enable {
            self.peers.fetch_or(1 << peer, Ordering::SeqCst);
        } else {
            self.peers.fetch_and(!(1 << peer), Ordering::SeqCst);
        }
    }

    /// Whether work of this device may use memory of `other` (107000 if not); `None` is host memory.
    pub(crate) fn check_reach(&self, other: Option<i32>, what: &str) -> Result<(), aclError> {
        match other {
            Some(other) if other != self.id && !self.peer_enabled(other) => Err(fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                format_args!(
                    "{what} with device {} current uses memory of device {other}, and aclrtDeviceEnablePeerAccess was not called for it",
                    self.id
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The device falls off the bus: what its streams were to do is not done. With its last context it comes back.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
        for (_, stream) in STREAMS.select(|stream| stream.device().id() == self.id) {
            stream.discard();
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// 507010 if the device is lost.
    pub(crate) fn check_present(&self) -> Result<(), aclError> {
        if self.is_lost() { Err(self.lost_error()) } else { Ok(()) }
    }

    /// What calls answer that need a device which is lost.
    pub(crate) fn lost_error(&self) -> aclError {
        fail(sys::ACL_ERROR_RT_LOST_HEARTBEAT, format_args!("device {} is lost: reset it", self.id))
    }

    /// Whether a stream of this device has something to do.
    pub(crate) fn is_busy(&self) -> bool {
        !STREAMS.select(|stream| stream.device().id() == self.id && !stream.is_complete()).is_empty()
    }

    /// Whether there is a context of it.
    pub(crate) fn is_in_use(&self) -> bool {
        let life = self.life.lock();
        life.primary.is_some() || life.contexts > 0
    }

    /// Cores that kernels may use, if fewer than there are.
    pub(crate) fn core_limits(&self) -> &CoreLimits {
        &self.core_limits
    }

    /// Cores of a kind that kernels may use.
    pub(crate) fn core_limit(&self, kind: usize) -> u32 {
        self.core_limits.get(kind).unwrap_or_else(|| limits::cores(&self.profile().chip, kind))
    }

    pub(crate) fn has_primary(&self) -> bool {
        self.life.lock().primary.is_some()
    }

    /// Counts a context that the program makes.
    pub(super) fn retain_context(
        &self,
        make: impl FnOnce() -> Result<Arc<Context>, aclError>,
    ) -> Result<Arc<Context>, aclError> {
        let mut life = self.life.lock();
        if life.primary.is_none() && life.contexts == 0 && life.internal.is_empty() {
            life.internal.extend(self.streams.take());
        }
        let context = make()?;
        life.contexts += 1;
        Ok(context)
    }

    pub(super) fn release_context(&self) {
        let mut life = self.life.lock();
        life.contexts -= 1;
        self.release_if_unused(&mut life);
    }

    /// With its last context a device gives everything back that the program did not.
    fn release_if_unused(&self, life: &mut Life) {
        if life.primary.is_some() || life.contexts > 0 {
            return;
        }
        for id in life.internal.drain(..) {
            self.streams.give(id);
        }
        let events = EVENTS.select(|event| event.device().id() == self.id);
        for (handle, _) in &events {
            EVENTS.remove(*handle);
        }
        let notifies = NOTIFIES.select(|notify| notify.device().id() == self.id);
        for (handle, _) in &notifies {
            NOTIFIES.remove(*handle);
        }
        let counters = COUNT_NOTIFIES.select(|counter| counter.device().id() == self.id);
        for (handle, _) in &counters {
            COUNT_NOTIFIES.remove(*handle);
        }
        queue::release_device(self.id);
        memory::release(self.id);
        self.memory.release_all();
        self.peers.store(0, Ordering::SeqCst);
        self.lost.store(false, Ordering::SeqCst);
    }
}

/// `aclrtSetDevice`.
pub(crate) fn set(id: i32) -> Result<(), aclError> {
    let device = process::device(id)?;
    let fresh = !device.has_primary();
    if fresh {
        observers::device(id, sys::ACL_RT_DEVICE_STATE_SET_PRE);
    }
    let mut life = device.life.lock();
    let context = match &life.primary {
        Some(context) => Arc::clone(context),
        None => {
            let context = Context::create(&device, true)?;
            let internal = device.profile().primary_streams.saturating_sub(1) as usize;
            while life.internal.len() < internal {
                match device.streams.take() {
                    Some(id) => life.internal.push(id),
                    None => break,
                }
            }
            life.primary.insert(context).clone()
        }
    };
    life.references.push(register(LiveKind::DeviceReference, format!("device {id}")));
    drop(life);
    context::make_current(&context);
    if fresh {
        observers::stream(context.default_handle().addr(), sys::ACL_RT_STREAM_STATE_CREATE_POST);
    }
    observers::device(id, sys::ACL_RT_DEVICE_STATE_SET_POST);
    Ok(())
}

/// `aclrtResetDevice`, and with `force` `aclrtResetDeviceForce`.
pub(crate) fn reset(id: i32, force: bool) -> Result<(), aclError> {
    let device = process::device(id)?;
    let context = {
        let mut life = device.life.lock();
        if life.references.pop().is_none() {
            drop(life);
            return Err(fail(
                sys::ACL_ERROR_RT_CONTEXT_RELEASE_ERROR,
                format_args!("device {id} is not set, or was reset as often as it was set"),
            ));
        }
        if force {
            life.references.clear();
        }
        if !life.references.is_empty() {
            return Ok(());
        }
        life.primary.take()
    };
    // Ending the context may wait for its streams: not with the device locked.
    if let Some(context) = context {
        observers::stream(context.default_handle().addr(), sys::ACL_RT_STREAM_STATE_DESTROY_PRE);
        observers::device(id, sys::ACL_RT_DEVICE_STATE_RESET_PRE);
        leak::taken_back(|| {
            context.tear_down(force);
            device.release_if_unused(&mut device.life.lock());
        });
        context::forget_current(&context);
        observers::device(id, sys::ACL_RT_DEVICE_STATE_RESET_POST);
    }
    Ok(())
}

/// `aclrtDeviceTaskAbort`: throws away what the streams of a device have to do; who waits for them gets 107022. `timeout` is in milliseconds; 0 waits for ever.
pub(crate) fn abort(id: i32, timeout: u32) -> Result<(), aclError> {
    let device = process::device(id)?;
    if !device.is_in_use() {
        return Err(fail(sys::ACL_ERROR_RT_CONTEXT_NULL, format_args!("device {id} has no context")));
    }
    let deadline = clock::deadline((timeout > 0).then(|| Duration::from_millis(timeout.into())));
    let streams = STREAMS.select(|stream| stream.device().id() == id);
    observers::abort(id, sys::ACL_RT_DEVICE_TASK_ABORT_PRE, timeout)?;
    for (_, stream) in &streams {
        stream.begin_abort(sys::ACL_ERROR_RT_DEVICE_TASK_ABORT);
    }
    // Each of them, or those behind the first that does not end would stay aborting.
    let ended = streams.iter().fold(true, |ended, (_, stream)| stream.end_abort(deadline) && ended);
    if !ended {
        return Err(fail(
            sys::ACL_ERROR_RT_WAIT_TIMEOUT,
            format_args!("tasks of device {id} did not end within {timeout} milliseconds"),
        ));
    }
    observers::abort(id, sys::ACL_RT_DEVICE_TASK_ABORT_POST, timeout)
}
