//! Who answers for an address: the registry of address ranges that mean something to the runtime.
//!
//! Each kind of memory with addresses of its own (a device's memory, managed memory, registered host memory, mapped ranges) is a
//! [`Region`]. Pinned memory is not: its addresses are the host's own, see `pinned`.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use core::ffi::c_void;

use super::place::Location;
use super::range::Backing;
use crate::lock::RwLock;

/// A range of addresses that one kind of memory lives in.
pub(crate) trait Region: Send + Sync {
    /// What the runtime says an address in here is, whether or not something is allocated at it.
    fn location(&self) -> Location;

    /// The live memory that `address` lies in, and how far into it.
    fn find(&self, address: usize) -> Option<(Arc<dyn Backing>, usize)>;

    /// `aclrtFree`: ends the memory that starts at `address`; false if none does, or if it is not for that function to end.
    fn free(&self, address: usize) -> bool;
}

struct Entry {
    len: usize,
    region: Weak<dyn Region>,
}

/// By first address. They do not overlap: each range was reserved from the system.
static REGIONS: RwLock<BTreeMap<usize, Entry>> = RwLock::new(BTreeMap::new());

/// From now on `region` answers for `[start, start + len)`, for as long as it lives or until [`forget`].
pub(crate) fn register(start: usize, len: usize, region: Weak<dyn Region>) {
    let mut regions = REGIONS.write();
    regions.retain(|_, entry| entry.region.strong_count() > 0);
    regions.insert(start, Entry { len, region });
}

/// Nobody answers for the range that starts at `start` any more.
pub(crate) fn forget(start: usize) {
    REGIONS.write().remove(&start);
}

/// The region that `pointer` lies in.
pub(crate) fn of(pointer: *const c_void) -> Option<Arc<dyn Region>> {
    let regions = REGIONS.read();
    let (start, entry) = regions.range(..=pointer.addr()).next_back()?;
    (pointer.addr() - start < entry.len).then(|| entry.region.upgrade())?
}
