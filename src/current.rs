//! The current context of a thread: asking, setting, putting back.
//!
//! ACL keeps one per thread, and almost every call works in it. It is asked for each time, because other code may change it
//! behind this crate's back; only inside [`Context::enter`](crate::Context::enter) is it remembered, by the serial number of the context.

use crate::{
    Acl, Error, Result, guard,
    runtime::{Site, acl, recent_message},
};
use ascendcl_sys::{self as sys, AclApi};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, btree_map::Entry},
    ptr,
    sync::{Mutex, MutexGuard, PoisonError},
};

thread_local! {
    /// How many [`Entered`] guards this thread has.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// The serial of the context that is current, as far as this crate knows; 0 if it does not. Trusted only inside
    /// [`Context::enter`](crate::Context::enter), because other code may change what is current.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
    /// The backend of that context, by the address of its table. Each backend has a current context of its own.
    static BACKEND: Cell<*const AclApi> = const { Cell::new(ptr::null()) };
    /// The context that this crate keeps alive and made current last, by backend. ACL may name it when it was destroyed on another thread.
    static LEFT: RefCell<BTreeMap<usize, usize>> = const { RefCell::new(BTreeMap::new()) };
}

/// Notes what is current now, as far as this crate knows.
fn remember(site: &impl Site, serial: u64) {
    // Both fail only while the thread is being torn down.
    let _ = CURRENT.try_with(|current| current.set(serial));
    let _ = BACKEND.try_with(|backend| backend.set(site.api()));
}

/// The serial of the backend's current context, if it is known: inside of guards, where other code does not change it.
fn remembered(site: &impl Site) -> u64 {
    let entered = DEPTH.try_with(|depth| depth.get() > 0).unwrap_or(false);
    let same = BACKEND.try_with(|backend| ptr::eq(backend.get(), site.api())).unwrap_or(false);
    if entered && same { CURRENT.try_with(Cell::get).unwrap_or(0) } else { 0 }
}

/// A context as a thread knows it.
#[derive(Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) raw: sys::aclrtContext,
    /// Unlike addresses, never used again in this process. 0 is not remembered.
    pub(crate) serial: u64,
    /// Whether this crate keeps it alive: see [`hold`].
    pub(crate) held: bool,
}

/// What is current in this thread; null if nothing is.
fn current(acl: &impl Site) -> Result<sys::aclrtContext> {
    let Some(get) = acl.api().aclrtGetCurrentContext else {
        return Err(Error::MissingSymbol { function: "aclrtGetCurrentContext" });
    };
    let mut raw = ptr::null_mut();
    // SAFETY: [place] a valid place for the answer.
    if unsafe { get(&mut raw) } == 0 {
        Ok(raw)
    } else {
        // No context is the usual answer of a fresh thread. Its text must not turn up in the next error.
        recent_message(acl.api());
        Ok(ptr::null_mut())
    }
}

/// The contexts that this crate keeps alive, by backend and address, and by how many owners. Some releases do not survive being
/// given a context that was destroyed.
static HELD: Mutex<BTreeMap<(usize, usize), usize>> = Mutex::new(BTreeMap::new());

fn held() -> MutexGuard<'static, BTreeMap<(usize, usize), usize>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(site: &impl Site, raw: sys::aclrtContext) -> (usize, usize) {
    (ptr::from_ref(site.api()).addr(), raw.addr())
}

/// This crate keeps the context alive, until as many calls of [`release`].
pub(crate) fn hold(site: &impl Site, raw: sys::aclrtContext) {
    *held().entry(key(site, raw)).or_insert(0) += 1;
}

/// To be called before the context is destroyed: nobody makes it current any more.
pub(crate) fn release(site: &impl Site, raw: sys::aclrtContext) {
    if let Entry::Occupied(mut owners) = held().entry(key(site, raw)) {
        *owners.get_mut() -= 1;
        if *owners.get() == 0 {
            owners.remove();
        }
    }
}

/// A context that this crate keeps alive was made current in this thread.
pub(crate) fn left(site: &impl Site, raw: sys::aclrtContext) {
    let (backend, raw) = key(site, raw);
    // Fails only while the thread is being torn down.
    let _ = LEFT.try_with(|left| left.borrow_mut().insert(backend, raw));
}

/// Whether this crate has made it current in this thread, and keeps it alive or has destroyed it since.
fn was_left(site: &impl Site, raw: sys::aclrtContext) -> bool {
    let (backend, raw) = key(site, raw);
    LEFT.try_with(|left| left.borrow().get(&backend) == Some(&raw)).unwrap_or(true)
}

/// Puts back, when dropped, the context that was current when it was made. Where none was, what is current stays: ACL cannot set
/// none. So it does where this crate has destroyed that context since.
pub(crate) struct Restore<'a> {
    acl: &'a Acl,
    raw: sys::aclrtContext,
    serial: u64,
    /// Whether it is one that this crate keeps alive: what ACL names may be gone already, or go meanwhile.
    ours: bool,
}

impl<'a> Restore<'a> {
    pub(crate) fn new(acl: &'a Acl) -> Self {
        let raw = current(acl).unwrap_or(ptr::null_mut());
        let ours = !raw.is_null() && (was_left(acl, raw) || held().contains_key(&key(acl, raw)));
        Restore { acl, raw, serial: remembered(acl), ours }
    }
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        // A guard that was alive when the process forked: its context is the parent's. When the process exits there is none any more.
        if guard::is_over() {
            return;
        }
        let mut serial = 0;
        if !self.raw.is_null() {
            let now = current(self.acl).unwrap_or(ptr::null_mut());
            // Locked until it is current, so that no other thread destroys it meanwhile.
            let held = held();
            let alive = !self.ours || held.contains_key(&key(self.acl, self.raw));
            let put_back = || {
                // SAFETY: [handle] the context is alive: this crate has not destroyed it. One of other code was current a moment ago, and
                // destroying it in between is up to that code.
                unsafe { acl!(self.acl, aclrtSetCurrentContext(self.raw)) }
            };
            if now == self.raw {
                serial = self.serial;
            } else if alive && put_back().is_ok() {
                serial = self.serial;
                if self.ours {
                    left(self.acl, self.raw);
                }
            }
        }
        remember(self.acl, serial);
    }
}

/// Makes a context current, unless it is.
pub(crate) fn bind(site: &impl Site, context: Identity) -> Result<()> {
    if current(site)? != context.raw {
        // SAFETY: [handle] the context is alive: the caller holds the handle that owns it.
        unsafe { acl!(site, aclrtSetCurrentContext(context.raw)) }?;
        if context.held {
            left(site, context.raw);
        }
    }
    remember(site, context.serial);
    Ok(())
}

/// Whether this thread is inside a guard and known to be in that context.
#[inline]
pub(crate) fn is_entered(context: Identity) -> bool {
    DEPTH.get() > 0 && CURRENT.get() == context.serial
}

/// One more guard in this thread.
pub(crate) fn enter() {
    DEPTH.set(DEPTH.get() + 1);
}

/// One guard less.
pub(crate) fn leave() {
    let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_sub(1)));
}
