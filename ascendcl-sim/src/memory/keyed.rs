//! Device memory that processes share by keys: what this one gives out, and what it has from others.

use core::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

use ascendcl_sys::{self as sys, aclError};

use super::HUGE_PAGE;
use super::offer::{self, Offer};
use super::range::{Loan, live};
use super::shareable::{reach, refusal, refused};
use super::virtual_memory;
use crate::check::leak::{LiveKind, Registration, register};
use crate::core::Device;
use crate::error::fail;
use crate::lock::Mutex;

/// The shortest place for a key that the runtime accepts.
pub(crate) const KEY_PLACE: usize = 65;

const _: () = assert!(crate::interprocess::KEY_LEN < KEY_PLACE);

struct Export {
    key: String,
    offer: Offer,
    address: usize,
    device: i32,
    _registration: Registration,
}

struct Import {
    key: String,
    pointer: usize,
    device: i32,
    /// How often the program has to close it.
    count: usize,
}

static EXPORTS: Mutex<Vec<Export>> = Mutex::new(Vec::new());
static IMPORTS: Mutex<Vec<Import>> = Mutex::new(Vec::new());
/// How many there are in [`EXPORTS`], for those who free memory.
static EXPORTED: AtomicUsize = AtomicUsize::new(0);

fn driver(why: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR, why)
}

/// `aclrtIpcMemGetExportKey` after its checks.
pub(crate) fn export(pointer: *const c_void, size: usize, anybody: bool) -> Result<String, aclError> {
    let wrong = || {
        fail(
            sys::ACL_ERROR_RT_PARAM_INVALID,
            format_args!("{size} bytes at {pointer:p} are not a device allocation, or the first part of one"),
        )
    };
    let (memory, start) = live(pointer).ok_or_else(wrong)?;
    let device = memory.device().filter(|_| start == 0 && size <= memory.size()).ok_or_else(wrong)?;
    let loan = memory.loan().ok_or_else(wrong)?;
    let offer = Offer::make(Loan { size, ..loan }, Some(device), HUGE_PAGE, anybody)
        .map_err(|error| driver(format_args!("cannot share memory: {error}")))?;
    let key = offer.key();
    let registration = register(LiveKind::ExportedMemory, format!("{size} bytes at {pointer:p}, key {key}"));
    let export =
        Export { key: key.clone(), offer, address: pointer.addr(), device, _registration: registration };
    change_exports(|exports| exports.push(export));
    Ok(key)
}

fn change_exports<R>(change: impl FnOnce(&mut Vec<Export>) -> R) -> R {
    let mut exports = EXPORTS.lock();
    let result = change(&mut exports);
    EXPORTED.store(exports.len(), Ordering::SeqCst);
    result
}

/// The allocation at `address` was freed: nobody may use it any more.
pub(super) fn freed(address: usize) {
    if EXPORTED.load(Ordering::SeqCst) > 0 {
        end(|export| export.address == address);
    }
}

fn end(gone: impl Fn(&Export) -> bool) -> usize {
    let ended: Vec<Export> =
        change_exports(|exports| exports.extract_if(.., |export| gone(export)).collect());
    ended.iter().for_each(|export| export.offer.end());
    ended.len()
}

/// `aclrtIpcMemSetImportPid` after its checks.
pub(crate) fn allow(key: &str, pids: &[i32]) -> Result<(), aclError> {
    let allowed = {
        let exports = EXPORTS.lock();
        exports.iter().find(|export| export.key == key).map(|export| export.offer.allow(pids))
    };
    match allowed {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(refusal(&error)),
        None => Err(unknown(key)),
    }
}

fn unknown(key: &str) -> aclError {
    driver(format_args!("this process exported no memory with the key '{key}'"))
}

/// `aclrtIpcMemImportByKey` after its checks.
pub(crate) fn import(key: &str, device: &Device, peer: bool) -> Result<*mut c_void, aclError> {
    // Held to the end: two threads that import the same memory get the same address.
    let mut imports = IMPORTS.lock();
    if let Some(import) = imports.iter_mut().find(|import| import.key == key) {
        import.count += 1;
        return Ok(std::ptr::without_provenance_mut(import.pointer));
    }
    let piece =
        offer::take(key, device.id()).map_err(|error| refused(format_args!("with key '{key}'"), &error))?;
    let home = piece.home();
    let pointer = virtual_memory::import(piece, device.id())?;
    if peer {
        reach(device, home);
    }
    let device = home.unwrap_or(device.id());
    imports.insert(0, Import { key: key.to_owned(), pointer: pointer.addr(), device, count: 1 });
    Ok(pointer)
}

/// `aclrtIpcMemClose` after its checks: of what was imported, or of what this process gave out.
pub(crate) fn close(key: &str) -> Result<(), aclError> {
    let mut imports = IMPORTS.lock();
    if let Some(at) = imports.iter().position(|import| import.key == key) {
        imports[at].count -= 1;
        if imports[at].count > 0 {
            return Ok(());
        }
        let import = imports.remove(at);
        drop(imports);
        virtual_memory::end_import(std::ptr::without_provenance(import.pointer));
        return Ok(());
    }
    drop(imports);
    let closed = change_exports(|exports| {
        let at = exports.iter().position(|export| export.key == key)?;
        Some(exports.remove(at))
    });
    // Those that have imported it keep it.
    closed.map(drop).ok_or_else(|| unknown(key))
}

/// The device is being reset: what it gave out and had from others ends. Gives how much that was.
pub(super) fn release_device(device: i32) -> usize {
    let imports: Vec<Import> = IMPORTS.lock().extract_if(.., |import| import.device == device).collect();
    for import in &imports {
        virtual_memory::end_import(std::ptr::without_provenance(import.pointer));
    }
    imports.len() + end(|export| export.device == device)
}
