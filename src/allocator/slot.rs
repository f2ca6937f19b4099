//! The allocators that a stream owns.

use super::{Registration, hooks};
use crate::{
    Result,
    sync::{lock, try_lock},
};
use std::sync::{Arc, Mutex};

/// A stream's allocator, and those that it had before and that CANN has memory of.
#[derive(Default)]
pub(crate) struct Slot {
    owned: Mutex<Owned>,
}

#[derive(Default)]
struct Owned {
    current: Option<(usize, Arc<Registration>)>,
    former: Vec<Arc<Registration>>,
    /// Whether ACL may have one that this crate does not: a registration failed, and not before it was made.
    may_be_stray: bool,
}

impl Owned {
    fn is_registered(&self) -> bool {
        self.current.is_some() || self.may_be_stray
    }

    /// No more memory of the current one. Gives those that nothing was taken from, to be dropped without a lock: they are the program's.
    fn retire(&mut self) -> Vec<Arc<Registration>> {
        if let Some((object, registration)) = self.current.take() {
            hooks::strike(object);
            self.former.push(registration);
        }
        self.settled()
    }

    /// Those among the former ones that nothing is left of.
    fn settled(&mut self) -> Vec<Arc<Registration>> {
        self.former.extract_if(.., |registration| registration.is_settled()).collect()
    }
}

impl Slot {
    /// Makes `registration` the current one with `register`, which gets the object to register. Locked meanwhile, so that ACL and this crate agree on
    /// which was the last; the C functions for that ask no allocator.
    pub(super) fn set<R>(
        &self,
        registration: Arc<Registration>,
        register: impl FnOnce(usize) -> Result<R>,
    ) -> Result<R> {
        let mut owned = lock(&self.owned);
        let object = hooks::enlist(registration.clone());
        let registered = match register(object) {
            Ok(registered) => registered,
            Err(error) => {
                hooks::strike(object);
                owned.may_be_stray |= !error.is_refusal();
                drop(owned);
                return Err(error);
            }
        };
        let settled = owned.retire();
        owned.current = Some((object, registration));
        owned.may_be_stray = false;
        drop(owned);
        drop(settled);
        Ok(registered)
    }

    pub(super) fn remove(&self, unregister: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut owned = lock(&self.owned);
        if !owned.is_registered() {
            return Ok(());
        }
        unregister()?;
        owned.may_be_stray = false;
        let settled = owned.retire();
        drop(owned);
        drop(settled);
        Ok(())
    }

    /// Something has come back, and may have been the last of a former allocator. Never waits: this is in the middle of ACL, maybe of a change of
    /// the allocator. What is missed then goes with the next.
    pub(super) fn tidy(&self) {
        let settled = try_lock(&self.owned).map(|mut owned| owned.settled());
        // Outside the lock.
        drop(settled);
    }

    /// Whether ACL knows of one, or may.
    pub(crate) fn is_registered(&self) -> bool {
        lock(&self.owned).is_registered()
    }

    /// The stream is gone, and so is every reason to ask.
    pub(crate) fn end(self) {
        let mut owned = self.owned.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let settled = owned.retire();
        drop(settled);
        drop(owned);
    }
}
