//! Host memory registered with a device: copies take it for pinned, and kernels may know it under an address of the device.

use core::ffi::c_void;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use ascendcl_sys::{self as sys, aclError};

use super::accounts::NORMAL_PAGE;
use super::map::Mapping;
use super::pinned::{self, PinnedBlock};
use super::place::Location;
use super::range::Backing;
use super::region::{self, Region};
use crate::check::Access;
use crate::check::leak::{LiveKind, Registration, register};
use crate::error::fail;
use crate::lock::Mutex;

/// Registered memory as the device sees it.
struct View {
    this: Weak<View>,
    device: i32,
    host: Arc<PinnedBlock>,
    /// Where in `host` it starts.
    start: usize,
    size: usize,
    /// Addresses of its own that nobody can read or write; `None` if the device uses the host's.
    addresses: Option<Mapping>,
    ended: Mutex<bool>,
}

struct Entry {
    host: Arc<PinnedBlock>,
    /// The memory was plain before.
    adopted: bool,
    device: i32,
    size: usize,
    view: Option<Arc<View>>,
    _registration: Registration,
}

static REGISTRATIONS: Mutex<BTreeMap<usize, Entry>> = Mutex::new(BTreeMap::new());

/// Registers host memory with a device. With `map` the device has an address for it, which is given.
pub(crate) fn register_host(
    device: i32,
    pointer: *mut c_void,
    size: usize,
    map: bool,
) -> Result<*mut c_void, aclError> {
    let wrong = |what: std::fmt::Arguments<'_>| fail(sys::ACL_ERROR_RT_PARAM_INVALID, what);
    let address = pointer.expose_provenance();
    let end = address
        .checked_add(size)
        .ok_or_else(|| wrong(format_args!("{size} bytes at {pointer:p} overflow the address space")))?;
    if region::of(pointer).is_some() {
        return Err(wrong(format_args!("{pointer:p} has a device address: only host memory is registered")));
    }
    let mut registrations = REGISTRATIONS.lock();
    let before = registrations.range(..end).next_back();
    if let Some((start, _)) = before.filter(|(start, entry)| **start + entry.size > address) {
        return Err(fail(
            sys::ACL_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
            format_args!("{size} bytes at {pointer:p} overlap with what is registered at {start:#x}"),
        ));
    }
    let found = pinned::find(pointer);
    let starts_pinned = found.as_ref().is_some_and(|(_, inside)| *inside == 0);
    if !address.is_multiple_of(NORMAL_PAGE) && !starts_pinned {
        return Err(wrong(format_args!("{pointer:p} is not aligned to {NORMAL_PAGE} bytes")));
    }
    if let Some((block, inside)) = &found
        && size > block.size() - inside
    {
        let whole = block.size();
        return Err(wrong(format_args!(
            "{size} bytes at {pointer:p} reach past the end of a piece of pinned memory of {whole} bytes"
        )));
    }
    let adopted = found.is_none();
    let addresses = match &found {
        _ if !map => None,
        Some((block, _)) if block.same_address() => None,
        _ => Some(Mapping::reserve(size.next_multiple_of(NORMAL_PAGE)).map_err(|error| {
            fail(
                sys::ACL_ERROR_RT_MEMORY_ALLOCATION,
                format_args!("no addresses for {size} bytes of registered memory: {error}"),
            )
        })?),
    };
    let (host, start) = found.unwrap_or_else(|| (pinned::adopt(address, size), 0));
    let view = map.then(|| {
        let host = Arc::clone(&host);
        Arc::new_cyclic(|this| View {
            this: Weak::clone(this),
            device,
            host,
            start,
            size,
            addresses,
            ended: Mutex::new(false),
        })
    });
    if let Some(view) = &view
        && let Some(addresses) = &view.addresses
    {
        let view: Arc<dyn Region> = Arc::<View>::clone(view);
        region::register(addresses.base().addr(), addresses.len(), Arc::downgrade(&view));
    }
    let mapped =
        view.as_ref().map_or(std::ptr::null_mut(), |view| std::ptr::without_provenance_mut(view.address()));
    let detail = format!("{size} bytes at {pointer:p} with device {device}");
    let registration = register(LiveKind::HostRegistration, detail);
    registrations.insert(address, Entry { host, adopted, device, size, view, _registration: registration });
    Ok(mapped)
}

/// `aclrtHostUnregister` after its NULL check.
pub(crate) fn unregister_host(pointer: *mut c_void) -> Result<(), aclError> {
    let entry = REGISTRATIONS.lock().remove(&pointer.addr()).ok_or_else(|| {
        fail(
            sys::ACL_ERROR_HOST_MEMORY_NOT_REGISTERED,
            format_args!("{pointer:p} is not the start of registered memory"),
        )
    })?;
    entry.end();
    Ok(())
}

/// Ends all registrations with a device that is being reset; how many there were.
pub(crate) fn release_registrations(device: i32) -> usize {
    let mut registrations = REGISTRATIONS.lock();
    let (ended, kept): (BTreeMap<_, _>, _) =
        std::mem::take(&mut *registrations).into_iter().partition(|(_, entry)| entry.device == device);
    *registrations = kept;
    drop(registrations);
    ended.values().for_each(Entry::end);
    ended.len()
}

/// The device's address of registered host memory.
pub(crate) fn device_pointer(pointer: *mut c_void) -> Option<*mut c_void> {
    let registrations = REGISTRATIONS.lock();
    let (start, entry) = registrations.range(..=pointer.addr()).next_back()?;
    let inside = pointer.addr() - start;
    let view = entry.view.as_ref().filter(|_| inside < entry.size)?;
    Some(std::ptr::without_provenance_mut(view.address() + inside))
}

/// Registered memory that the device uses at the host's address.
pub(super) fn at_host_address(address: usize) -> Option<(Arc<dyn Backing>, usize)> {
    let registrations = REGISTRATIONS.lock();
    let (start, entry) = registrations.range(..=address).next_back()?;
    let view = entry.view.as_ref().filter(|view| view.addresses.is_none() && address - start < view.size)?;
    let view: Arc<dyn Backing> = Arc::<View>::clone(view);
    Some((view, address - start))
}

impl Entry {
    fn end(&self) {
        if let Some(view) = &self.view {
            *view.ended.lock() = true;
            if let Some(addresses) = &view.addresses {
                region::forget(addresses.base().addr());
            }
        }
        if self.adopted {
            pinned::disown(&self.host);
        }
    }
}

impl Region for View {
    fn location(&self) -> Location {
        Location::Device(self.device)
    }

    fn find(&self, address: usize) -> Option<(Arc<dyn Backing>, usize)> {
        let inside = address.checked_sub(self.address()).filter(|&inside| inside < self.size)?;
        let this: Arc<dyn Backing> = self.this.upgrade()?;
        Some((this, inside))
    }

    fn free(&self, _: usize) -> bool {
        false
    }
}

impl Backing for View {
    fn device(&self) -> Option<i32> {
        Some(self.device)
    }

    fn address(&self) -> usize {
        match &self.addresses {
            Some(addresses) => addresses.base().addr(),
            None => self.host.address() + self.start,
        }
    }

    fn size(&self) -> usize {
        self.size
    }

    fn page(&self) -> usize {
        NORMAL_PAGE
    }

    fn copyable(&self) -> bool {
        false
    }

    fn begin(&self, access: Access, start: usize, len: usize) -> Result<(), aclError> {
        if !*self.ended.lock() && self.host.begin(access, self.start + start, len) {
            return Ok(());
        }
        Err(fail(
            sys::ACL_ERROR_RT_SYS_DMA,
            format_args!(
                "host memory of {} bytes was unregistered or freed before the queued work that uses it ran",
                self.size
            ),
        ))
    }

    fn end(&self) {
        self.host.end();
    }

    fn bytes(&self, start: usize) -> *mut u8 {
        std::ptr::with_exposed_provenance_mut(self.host.address() + self.start + start)
    }
}
