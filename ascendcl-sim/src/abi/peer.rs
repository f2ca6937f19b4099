//! Access of devices to each other's memory.

use std::sync::Arc;

use ascendcl_sys::{self as sys, AclApi, aclError};

use super::{call, fill, invalid, not_null};
use crate::core::{Device, current_context, process};
use crate::error::fail;

/// The runtime has room for these many devices; larger numbers are wrong before any device is asked for.
const ROOM: i32 = 64;

fn in_room(id: i32, name: &str) -> Result<(), aclError> {
    if (0..ROOM).contains(&id) {
        return Ok(());
    }
    Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, format_args!("{name} {id} is not in [0, {ROOM})")))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDeviceCanAccessPeer(
    canAccessPeer: *mut i32,
    deviceId: i32,
    peerDeviceId: i32,
) -> aclError {
    call!("aclrtDeviceCanAccessPeer", || {
        if deviceId == peerDeviceId {
            return Err(invalid(format_args!("device {deviceId} is not a peer of itself")));
        }
        process::device(peerDeviceId)?;
        in_room(deviceId, "deviceId")?;
        if canAccessPeer.is_null() {
            return Err(fail(sys::ACL_ERROR_RT_PARAM_INVALID, "canAccessPeer must not be NULL"));
        }
        let device = process::device(deviceId)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { canAccessPeer.write(device.can_access_peer().into()) };
        Ok(())
    })
}

/// The current device and another one.
fn pair(peer: i32) -> Result<(Arc<Device>, Arc<Device>), aclError> {
    let context = current_context()?;
    let device = context.device();
    if device.id() == peer {
        return Err(invalid(format_args!("device {peer} is not a peer of itself")));
    }
    Ok((Arc::clone(device), process::device(peer)?))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDeviceEnablePeerAccess(peerDeviceId: i32, flags: u32) -> aclError {
    call!("aclrtDeviceEnablePeerAccess", || {
        if flags != 0 {
            return Err(fail(sys::ACL_ERROR_FEATURE_UNSUPPORTED, format_args!("flags {flags:#x} must be 0")));
        }
        let (device, peer) = pair(peerDeviceId)?;
        if !device.can_access_peer() {
            return Err(fail(
                sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
                format_args!("device {} cannot access the memory of device {peerDeviceId}", device.id()),
            ));
        }
        device.enable_peer(peer.id(), true);
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDeviceDisablePeerAccess(peerDeviceId: i32) -> aclError {
    call!("aclrtDeviceDisablePeerAccess", || {
        let (device, peer) = pair(peerDeviceId)?;
        device.enable_peer(peer.id(), false);
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDevicePeerAccessStatus(
    deviceId: i32,
    peerDeviceId: i32,
    status: *mut i32,
) -> aclError {
    call!("aclrtDevicePeerAccessStatus", || {
        not_null(status, "status")?;
        in_room(deviceId, "deviceId")?;
        in_room(peerDeviceId, "peerDeviceId")?;
        let machine = process::machine();
        // Of devices that there are not none is enabled.
        let device = machine.devices().get(deviceId as usize);
        let enabled = device.is_some_and(|device| device.peer_enabled(peerDeviceId));
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { status.write(enabled.into()) };
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtDeviceCanAccessPeer, aclrtDeviceEnablePeerAccess, aclrtDeviceDisablePeerAccess,
        aclrtDevicePeerAccessStatus,
    );
}
