//! Queues by their numbers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ascendcl_sys::{self as sys, aclError};

use super::attribute::Attributes;
use super::ring::{Message, Ring, RingError};
use super::route;
use crate::check::leak::{LiveKind, Registration, register};
use crate::error::fail;
use crate::interprocess::Name;
use crate::lock::{Mutex, RwLock};

/// Numbers are below this.
pub(crate) const QUEUES_OF_A_DEVICE: u32 = 8192;
const DEPTHS: std::ops::RangeInclusive<u32> = 2..=8192;

/// What a process may do with a queue: the bits of `ACL_TDT_QUEUE_PERMISSION_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Permission(pub(crate) u32);

impl Permission {
    pub(crate) const MANAGE: Self = Self(sys::ACL_TDT_QUEUE_PERMISSION_MANAGE);
    pub(crate) const DEQUEUE: Self = Self(sys::ACL_TDT_QUEUE_PERMISSION_DEQUEUE);
    pub(crate) const ENQUEUE: Self = Self(sys::ACL_TDT_QUEUE_PERMISSION_ENQUEUE);
    pub(crate) const ALL: Self = Self(Self::MANAGE.0 | Self::DEQUEUE.0 | Self::ENQUEUE.0);
}

pub(crate) struct Queue {
    number: u32,
    ring: Ring,
    /// Made by this process.
    own: bool,
    _name: Option<Name>,
    registration: Mutex<Option<Registration>>,
}

/// Queues of devices by number: those of this process, and those it was attached to.
static QUEUES: RwLock<BTreeMap<(i32, u32), Arc<Queue>>> = RwLock::new(BTreeMap::new());

impl Queue {
    /// Messages that it carries.
    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(crate) fn clear(&self) {
        self.ring.clear();
    }

    pub(crate) fn permission(&self) -> Permission {
        if self.own { Permission::ALL } else { Permission(self.ring.granted(std::process::id() as i32)) }
    }

    /// 207006 if this process may not do that.
    fn check(&self, wanted: Permission, what: &str) -> Result<(), aclError> {
        if self.permission().0 & wanted.0 == wanted.0 {
            return Ok(());
        }
        Err(fail(
            sys::ACL_ERROR_RT_NO_PERMISSION,
            format_args!("this process may not {what} queue {}: its owner has to grant that", self.number),
        ))
    }

    pub(crate) fn put(&self, message: &Message, deadline: Option<Instant>) -> Result<(), aclError> {
        self.check(Permission::ENQUEUE, "add to")?;
        self.ring.put(message, deadline).map_err(|error| self.answer(&error, sys::ACL_ERROR_RT_QUEUE_FULL))
    }

    pub(crate) fn peek(&self, deadline: Option<Instant>) -> Result<usize, aclError> {
        self.check(Permission::DEQUEUE, "take from")?;
        self.ring.peek(deadline).map_err(|error| self.answer(&error, sys::ACL_ERROR_RT_QUEUE_EMPTY))
    }

    pub(crate) fn take(&self, room: usize, deadline: Option<Instant>) -> Result<Message, aclError> {
        self.check(Permission::DEQUEUE, "take from")?;
        self.ring.take(room, deadline).map_err(|error| self.answer(&error, sys::ACL_ERROR_RT_QUEUE_EMPTY))
    }

    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }

    fn answer(&self, error: &RingError, timed_out: aclError) -> aclError {
        let number = self.number;
        match error {
            // A program that asks again is not at fault, so nothing is said.
            RingError::TimedOut => crate::error::quiet(timed_out),
            RingError::Ended => fail(
                sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR,
                format_args!("queue {number} was destroyed, or its process has ended"),
            ),
            RingError::TooLong(len) => fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                format_args!("a message of {len} bytes of queue {number} does not fit"),
            ),
            RingError::Io(error) => fail(
                sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR,
                format_args!("queue {number} cannot be reached: {error}"),
            ),
        }
    }

    fn end(&self) {
        if self.own {
            self.ring.end();
        }
        let ended = self.registration.lock().take();
        drop(ended);
    }
}

/// What a shared number of a queue is called.
fn name(device: i32, number: u32) -> String {
    format!("queue/{device}/{number}")
}

/// Makes a queue of a device; `shared` if other processes may be let in.
pub(crate) fn create(device: i32, attributes: &Attributes, shared: bool) -> Result<u32, aclError> {
    let depth = attributes.depth();
    if !DEPTHS.contains(&depth) {
        return Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("depth {depth} of a queue is not in {} to {}", DEPTHS.start(), DEPTHS.end()),
        ));
    }
    let failed = |why: &dyn std::fmt::Display| {
        fail(sys::ACL_ERROR_RT_RESOURCE_ALLOC_FAIL, format_args!("cannot make a queue: {why}"))
    };
    let ring = Ring::create(depth).map_err(|error| failed(&error))?;
    let key = ring.key();
    let mut queues = QUEUES.write();
    // Processes that share numbers start at different ones.
    let first = if shared { std::process::id().wrapping_mul(64) % QUEUES_OF_A_DEVICE } else { 0 };
    for step in 0..QUEUES_OF_A_DEVICE {
        let number = (first + step) % QUEUES_OF_A_DEVICE;
        if queues.contains_key(&(device, number)) {
            continue;
        }
        let name = match shared {
            true => match Name::claim(&name(device, number), &key).map_err(|error| failed(&error))? {
                Some(name) => Some(name),
                None => continue,
            },
            false => None,
        };
        let detail = format!("queue {number} of device {device}, {:?}", attributes.name());
        let registration = Mutex::new(Some(register(LiveKind::Queue, detail)));
        let queue = Queue { number, ring, own: true, _name: name, registration };
        queues.insert((device, number), Arc::new(queue));
        return Ok(number);
    }
    Err(failed(&"all numbers are taken"))
}

/// The queue belongs to something that is in the leak list itself.
pub(super) fn disown(device: i32, number: u32) {
    if let Some(queue) = QUEUES.read().get(&(device, number)) {
        let ended = queue.registration.lock().take();
        drop(ended);
    }
}

/// The queue of that number: 107000 if there is no such number, 507899 if nobody has it.
pub(crate) fn lookup(device: i32, number: u32) -> Result<Arc<Queue>, aclError> {
    if number >= QUEUES_OF_A_DEVICE {
        return Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("{number} is no number of a queue: they are below {QUEUES_OF_A_DEVICE}"),
        ));
    }
    QUEUES.read().get(&(device, number)).cloned().ok_or_else(|| {
        fail(
            sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR,
            format_args!("device {device} has no queue {number}, or this process was not attached to it"),
        )
    })
}

/// `acltdtDestroyQueue` of a queue without routes.
pub(crate) fn destroy(device: i32, number: u32) -> Result<(), aclError> {
    let queue = lookup(device, number)?;
    queue.check(Permission::MANAGE, "destroy")?;
    if QUEUES.write().remove(&(device, number)).is_some() {
        queue.end();
    }
    Ok(())
}

/// `acltdtGrantQueue`
pub(crate) fn grant(device: i32, number: u32, pid: i32, permission: Permission) -> Result<(), aclError> {
    let queue = lookup(device, number)?;
    queue.check(Permission::MANAGE, "grant anything of")?;
    if queue.ring.grant(pid, permission.0 & Permission::ALL.0) {
        return Ok(());
    }
    Err(fail(
        sys::ACL_ERROR_RT_RESOURCE_ALLOC_FAIL,
        format_args!("too many processes may use queue {number} already"),
    ))
}

/// `acltdtAttachQueue`: waits until the queue is there and something was granted.
pub(crate) fn attach(device: i32, number: u32, deadline: Option<Instant>) -> Result<Permission, aclError> {
    if let Ok(queue) = lookup(device, number) {
        return Ok(queue.permission());
    }
    lookup_number(number)?;
    crate::error::take_text();
    loop {
        let ring = Name::look_up(&name(device, number)).and_then(|key| Ring::open(&key).ok());
        if let Some(ring) = ring {
            let permission = Permission(ring.granted(std::process::id() as i32));
            let registration = Mutex::new(None);
            let queue = Arc::new(Queue { number, ring, own: false, _name: None, registration });
            QUEUES.write().insert((device, number), queue);
            return Ok(permission);
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(fail(
                sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR,
                format_args!("there is no queue {number} that this process was granted anything of"),
            ));
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn lookup_number(number: u32) -> Result<(), aclError> {
    if number < QUEUES_OF_A_DEVICE {
        return Ok(());
    }
    Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, format_args!("{number} is no number of a queue")))
}

/// The device is being reset: its queues end. Gives how many there were.
pub(super) fn release_device(device: i32) -> usize {
    route::release_device(device);
    let ended: Vec<_> = {
        let mut queues = QUEUES.write();
        let numbers: Vec<_> = queues.keys().filter(|(of, _)| *of == device).copied().collect();
        numbers.into_iter().filter_map(|number| queues.remove(&number)).collect()
    };
    for queue in &ended {
        queue.end();
    }
    ended.iter().filter(|queue| queue.own).count()
}
