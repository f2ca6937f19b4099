//! [`Device`]: one NPU, held open.

use crate::{
    Acl, Error, Result,
    current::{self, Identity, Restore},
    drop_hook,
    exit::{self, Stage},
    guard::{self, Disposal},
    observe::span,
    reaper,
    runtime::{Runtime, SendRaw, Site, acl},
};
use ascendcl_sys as sys;
use std::{fmt, ptr, sync::Arc};

/// One NPU, held open. An Atlas 300I card has four.
///
/// A cheap handle; the device is released when the last handle, and the last of everything made from it, is dropped.
/// Opening a device twice is fine: ACL counts.
///
/// ```
/// # fn main() -> Result<(), ascendcl::Error> {
/// use ascendcl::Acl;
///
/// let acl = Acl::new()?;
/// for device in acl.devices()? {
///     let memory = device.memory_info()?;
///     println!("device {}: {} of {} bytes free", device.id(), memory.free, memory.total);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "aclrtResetDevice")]
pub struct Device {
    inner: Arc<DeviceInner>,
}

pub(crate) struct DeviceInner {
    acl: Acl,
    id: i32,
    /// The context that ACL makes with the device. Alive as long as the device is set.
    primary: sys::aclrtContext,
}

// SAFETY: [threads] the only field that is not Send and Sync by itself is `primary`, a handle of the C library that this crate never
// dereferences; ACL's functions on contexts may be called from any thread.
unsafe impl Send for DeviceInner {}
// SAFETY: [threads] as above.
unsafe impl Sync for DeviceInner {}

/// Memory of a device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MemoryInfo {
    /// Not allocated. Allocations are rounded up, so they may take more than they asked for.
    pub free: usize,
    /// All there is for programs.
    pub total: usize,
}

impl Device {
    pub(crate) fn open(acl: &Acl, id: i32) -> Result<Device> {
        guard::check("aclrtSetDevice")?;
        let site = Unopened { acl, id };
        let restore = Restore::new(acl);
        // SAFETY: [plain] plain integer argument; a successful call is paired with one aclrtResetDevice in `DeviceInner::drop`.
        unsafe { acl!(&site, aclrtSetDevice(id)) }?;
        let mut primary = ptr::null_mut();
        // SAFETY: [place] a valid place for the answer.
        let answer = unsafe { acl!(&site, aclrtGetCurrentContext(&mut primary)) };
        current::hold(acl, primary);
        current::left(acl, primary);
        exit::watch(acl.api(), Stage::DeviceOpened);
        let inner = DeviceInner { acl: acl.clone(), id, primary };
        drop(restore);
        // After an error the device is reset by the drop of `inner`.
        answer?;
        Ok(Device { inner: Arc::new(inner) })
    }

    /// Its number, from 0: the logical one, after `ASCEND_RT_VISIBLE_DEVICES`.
    #[doc(alias = "aclrtGetDevice")]
    pub fn id(&self) -> i32 {
        self.inner.id
    }

    /// The backend it belongs to.
    pub fn acl(&self) -> &Acl {
        &self.inner.acl
    }

    /// The name of the chip, for example `Ascend310`. ACL knows only that of device 0.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::InCallback`] inside a callback.
    #[doc(alias = "aclrtGetSocName")]
    pub fn name(&self) -> Result<Option<String>> {
        self.inner.acl.soc_name()
    }

    /// How much memory there is, and how much of it is free.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::InCallback`] inside a callback.
    #[doc(alias = "aclrtGetMemInfo")]
    pub fn memory_info(&self) -> Result<MemoryInfo> {
        self.memory_info_of(sys::ACL_HBM_MEM).and_then(|info| match info.total {
            // Chips with DDR answer with their DDR, or with zero.
            0 => self.memory_info_of(sys::ACL_DDR_MEM),
            _ => Ok(info),
        })
    }

    fn memory_info_of(&self, kind: sys::aclrtMemAttr) -> Result<MemoryInfo> {
        let (mut free, mut total) = (0, 0);
        let _bound = self.inner.bind_primary("aclrtGetMemInfo")?;
        // SAFETY: [place] two valid places for the answer; the device's primary context is current.
        unsafe { acl!(&*self.inner, aclrtGetMemInfo(kind, &mut free, &mut total)) }?;
        Ok(MemoryInfo { free, total })
    }

    /// Waits for all work of the device's primary context. For one's own contexts there is [`Context::synchronize`](crate::Context::synchronize).
    ///
    /// # Errors
    ///
    /// As [`Context::synchronize`](crate::Context::synchronize).
    #[doc(alias = "aclrtSynchronizeDevice")]
    pub fn synchronize(&self) -> Result<()> {
        const OP: &str = "aclrtSynchronizeDevice";
        span!(DEBUG, "ascendcl::wait", "wait", op = OP, device = self.id());
        let _bound = self.inner.bind_primary(OP)?;
        self.inner.runtime().siblings.of(self.inner.primary).wait(OP, None, |_| {
            // SAFETY: [plain] no arguments; the device's primary context is current.
            unsafe { acl!(&*self.inner, aclrtSynchronizeDevice()) }
        })
    }

    /// Whether this device can reach the memory of `peer`.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the devices belong to different backends.
    #[doc(alias = "aclrtDeviceCanAccessPeer")]
    pub fn can_access_peer(&self, peer: &Device) -> Result<bool> {
        const OP: &str = "aclrtDeviceCanAccessPeer";
        guard::check(OP)?;
        if self.is_itself(OP, peer)? {
            return Ok(true);
        }
        let mut can = 0;
        // SAFETY: [place] a valid place for the answer.
        unsafe { acl!(&*self.inner, aclrtDeviceCanAccessPeer(&mut can, self.id(), peer.id())) }?;
        Ok(can != 0)
    }

    /// Lets this device reach the memory of `peer`, for copies between them. One direction; call it on the peer for the other.
    /// Enabling it twice is fine.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the devices belong to different backends; [`ErrorKind::NotSupported`](crate::ErrorKind::NotSupported) if the chip cannot:
    /// [`Device::can_access_peer`] asks first.
    #[doc(alias = "aclrtDeviceEnablePeerAccess")]
    pub fn enable_peer_access(&self, peer: &Device) -> Result<()> {
        const OP: &str = "aclrtDeviceEnablePeerAccess";
        if self.is_itself(OP, peer)? {
            return Ok(());
        }
        let _bound = self.inner.bind_primary(OP)?;
        // SAFETY: [plain] plain integers; flags must be 0.
        unsafe { acl!(&*self.inner, aclrtDeviceEnablePeerAccess(peer.id(), 0)) }
    }

    /// Undoes [`Device::enable_peer_access`].
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the devices belong to different backends.
    #[doc(alias = "aclrtDeviceDisablePeerAccess")]
    pub fn disable_peer_access(&self, peer: &Device) -> Result<()> {
        const OP: &str = "aclrtDeviceDisablePeerAccess";
        if self.is_itself(OP, peer)? {
            return Ok(());
        }
        let _bound = self.inner.bind_primary(OP)?;
        // SAFETY: [plain] a plain integer.
        unsafe { acl!(&*self.inner, aclrtDeviceDisablePeerAccess(peer.id())) }
    }

    /// Whether `peer` is this device. Refuses devices of another backend, whose numbers mean other devices.
    fn is_itself(&self, op: &'static str, peer: &Device) -> Result<bool> {
        if Arc::ptr_eq(self.inner.acl.runtime(), peer.inner.acl.runtime()) {
            return Ok(self.id() == peer.id());
        }
        Err(Error::Mismatch {
            op,
            what: format!(
                "the devices belong to different backends ({} and {})",
                self.acl().backend(),
                peer.acl().backend()
            ),
        })
    }

    pub(crate) fn raw_primary(&self) -> sys::aclrtContext {
        self.inner.primary
    }
}

impl PartialEq for Device {
    /// Whether both are the same device of the same backend.
    #[inline]
    fn eq(&self, other: &Device) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
            || self.id() == other.id() && Arc::ptr_eq(self.inner.acl.runtime(), other.inner.acl.runtime())
    }
}

impl Eq for Device {}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("id", &self.id()).finish()
    }
}

impl Site for DeviceInner {
    fn runtime(&self) -> &Runtime {
        self.acl.runtime()
    }

    fn device_id(&self) -> Option<i32> {
        Some(self.id)
    }
}

impl Site for Device {
    fn runtime(&self) -> &Runtime {
        self.inner.acl.runtime()
    }

    fn device_id(&self) -> Option<i32> {
        Some(self.inner.id)
    }
}

impl DeviceInner {
    /// Makes the primary context current until the guard is dropped.
    fn bind_primary(&self, op: &'static str) -> Result<Restore<'_>> {
        guard::check(op)?;
        let restore = Restore::new(&self.acl);
        current::bind(self, Identity { raw: self.primary, serial: 0, held: true })?;
        Ok(restore)
    }
}

/// A device that may not exist, for errors about it.
struct Unopened<'a> {
    acl: &'a Acl,
    id: i32,
}

impl Site for Unopened<'_> {
    fn runtime(&self) -> &Runtime {
        self.acl.runtime()
    }

    fn device_id(&self) -> Option<i32> {
        Some(self.id)
    }
}

fn reset(acl: &Acl, id: i32, primary: sys::aclrtContext) {
    // Asked for what is current before it counts as gone: it may be this very context, which is not put back then.
    let _restore = Restore::new(acl);
    current::release(acl, primary);
    // SAFETY: [once] pairs the aclrtSetDevice of `Device::open`. Everything that was made on the device through this crate held a
    // clone of the device, so it is gone.
    drop_hook::report_failure(unsafe { acl!(&Unopened { acl, id }, aclrtResetDevice(id)) });
}

impl Drop for DeviceInner {
    fn drop(&mut self) {
        match guard::disposal() {
            Disposal::Now => reset(&self.acl, self.id, self.primary),
            Disposal::Later => {
                let (acl, id, primary) = (self.acl.clone(), self.id, SendRaw::new(self.primary));
                reaper::run_later(move || reset(&acl, id, primary.get()));
            }
            Disposal::Never => {}
        }
    }
}
