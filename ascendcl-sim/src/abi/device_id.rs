//! The numbers of devices. The user's number counts the visible devices, the logical one those that the driver shows to the process, the
//! physical one those in the machine; the last two are the same here.

use ascendcl_sys::{self as sys, AclApi, aclError};

use super::{call, fill, not_null};
use crate::core::process;
use crate::error::fail;

fn not_negative(id: i32, name: &str) -> Result<usize, aclError> {
    usize::try_from(id)
        .map_err(|_| fail(sys::ACL_ERROR_RT_PARAM_INVALID, format_args!("{name} {id} must not be negative")))
}

fn no_device(id: i32, name: &str) -> aclError {
    fail(sys::ACL_ERROR_RT_INVALID_DEVICEID, format_args!("{name} {id} names no device that is visible"))
}

/// The number that the driver gives to a device of the user's.
fn driver_id(user: i32, name: &str) -> Result<i32, aclError> {
    let index = not_negative(user, name)?;
    let machine = process::machine();
    let visible = machine.settings().visible.as_deref().unwrap_or(&[]);
    visible.get(index).map(|&id| id as i32).ok_or_else(|| no_device(user, name))
}

/// The number that the user gives to a device of the driver's.
fn user_id(driver: i32, name: &str) -> Result<i32, aclError> {
    let id = not_negative(driver, name)?;
    let machine = process::machine();
    let visible = machine.settings().visible.as_deref().unwrap_or(&[]);
    if id >= machine.settings().physical {
        return Err(no_device(driver, name));
    }
    visible.iter().position(|&known| known == id).map(|id| id as i32).ok_or_else(|| no_device(driver, name))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetLogicDevIdByUserDevId(userDevid: i32, logicDevId: *mut i32) -> aclError {
    call!("aclrtGetLogicDevIdByUserDevId", || {
        not_null(logicDevId, "logicDevId")?;
        let id = driver_id(userDevid, "userDevid")?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { logicDevId.write(id) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetUserDevIdByLogicDevId(logicDevId: i32, userDevid: *mut i32) -> aclError {
    call!("aclrtGetUserDevIdByLogicDevId", || {
        not_null(userDevid, "userDevid")?;
        let id = user_id(logicDevId, "logicDevId")?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { userDevid.write(id) };
        Ok(())
    })
}

/// Answers with the user's number, whatever its name says.
#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetLogicDevIdByPhyDevId(phyDevId: i32, logicDevId: *mut i32) -> aclError {
    call!("aclrtGetLogicDevIdByPhyDevId", || {
        not_null(logicDevId, "logicDevId")?;
        let id = user_id(phyDevId, "phyDevId")?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { logicDevId.write(id) };
        Ok(())
    })
}

/// Takes the user's number, whatever its name says.
#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetPhyDevIdByLogicDevId(logicDevId: i32, phyDevId: *mut i32) -> aclError {
    call!("aclrtGetPhyDevIdByLogicDevId", || {
        not_null(phyDevId, "phyDevId")?;
        let id = driver_id(logicDevId, "logicDevId")?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { phyDevId.write(id) };
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtGetLogicDevIdByUserDevId, aclrtGetUserDevIdByLogicDevId, aclrtGetLogicDevIdByPhyDevId,
        aclrtGetPhyDevIdByLogicDevId,
    );
}
