//! Physical memory that processes share: each piece has a number that other processes find it by.

use core::ffi::c_void;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use ascendcl_sys::{self as sys, aclError};

use super::offer::{self, AllowError, Offer};
use super::physical;
use crate::core::{Device, process};
use crate::error::fail;
use crate::interprocess::{Name, OpenError};
use crate::lock::Mutex;

struct Export {
    offer: Offer,
    _name: Name,
}

static EXPORTS: Mutex<BTreeMap<u64, Export>> = Mutex::new(BTreeMap::new());

fn driver(why: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR, why)
}

fn name_of(number: u64) -> String {
    format!("physical/{number:x}")
}

/// `aclrtMemExportToShareableHandle` after its checks: the number for other processes.
pub(crate) fn export(handle: *const c_void, anybody: bool) -> Result<u64, aclError> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let physical = physical::lookup(handle)?;
    let number = physical.export_once(|piece, loan| {
        let failed = |error: std::io::Error| driver(format_args!("cannot share physical memory: {error}"));
        let offer = Offer::make(loan, piece.home(), piece.step(), anybody).map_err(failed)?;
        let number = u64::from(std::process::id()) << 32 | u64::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let name = Name::claim(&name_of(number), &offer.key())
            .map_err(failed)?
            .ok_or_else(|| driver(format_args!("{number:#x} is taken by another process")))?;
        EXPORTS.lock().insert(number, Export { offer, _name: name });
        Ok(number)
    })?;
    number.ok_or_else(|| driver("the physical memory was exported before, or is that of another process"))
}

/// Nobody finds it any more.
pub(super) fn withdraw(number: u64) {
    let gone = EXPORTS.lock().remove(&number);
    drop(gone);
}

/// `aclrtMemSetPidToShareableHandle` after its checks.
pub(crate) fn allow(number: u64, pids: &[i32]) -> Result<(), aclError> {
    let allowed = EXPORTS.lock().get(&number).map(|export| export.offer.allow(pids));
    match allowed {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(refusal(&error)),
        None => Err(fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("this process exported no physical memory as {number:#x}"),
        )),
    }
}

/// Why processes cannot be let in.
pub(super) fn refusal(error: &AllowError) -> aclError {
    match error {
        AllowError::Anybody => fail(
            sys::ACL_ERROR_RT_NO_PERMISSION,
            "the memory was exported for every process, and has no list of those that may import it",
        ),
        AllowError::TooMany => {
            fail(sys::ACL_ERROR_RT_RESOURCE_ALLOC_FAIL, "too many processes may import the memory")
        }
    }
}

/// Why memory of another process was refused.
pub(super) fn refused(what: impl std::fmt::Display, error: &OpenError) -> aclError {
    let code = match error {
        OpenError::NotAllowed => sys::ACL_ERROR_RT_NO_PERMISSION,
        OpenError::Unknown | OpenError::Io(_) => sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR,
    };
    fail(code, format_args!("cannot import the memory {what}: {error}"))
}

/// `aclrtMemImportFromShareableHandle` after its checks: a handle for the memory of another process.
pub(crate) fn import(number: u64, device: &Device) -> Result<*mut c_void, aclError> {
    let shown = format!("{number:#x}");
    let key = Name::look_up(&name_of(number)).ok_or_else(|| refused(&shown, &OpenError::Unknown))?;
    let piece = offer::take(&key, device.id()).map_err(|error| refused(&shown, &error))?;
    reach(device, piece.home());
    physical::adopt(piece)
}

/// Lets `device` use the memory of another one, whose process said so.
pub(super) fn reach(device: &Device, home: Option<i32>) {
    if let Some(home) = home.filter(|&home| home != device.id() && process::device(home).is_ok()) {
        device.enable_peer(home, true);
    }
}
