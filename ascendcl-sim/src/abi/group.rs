//! Groups of AI cores. On a card nobody has divided the cores, so that there are none; the profile `full` has two.

use core::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtGroupAttr, aclrtGroupInfo};

use super::{call, call_or, fill, invalid, not_null};
use crate::check::leak::{LiveKind, register};
use crate::core::{current_context, process};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;

/// Groups have the numbers 0 to 3.
const LAST: i32 = 3;

/// What a group has; the members of `aclrtGroupAttr`, in their order.
type Group = [u32; 6];

/// What `aclrtCreateGroupInfo` made room for, and `aclrtGetAllGroupInfo` filled.
static INFOS: Table<Mutex<Vec<Group>>> = Table::new(Kind::GroupInfo);

/// The groups of the current context.
fn groups() -> Result<Vec<Group>, aclError> {
    let machine = process::machine();
    let profile = &machine.settings().profile;
    // Whichever function asks for them.
    if let Some(code) = profile.lacks("aclrtGetGroupCount") {
        return Err(fail(code, format_args!("{} has no groups", profile.name())));
    }
    let context = current_context()?;
    let chip = &context.device().profile().chip;
    let share = |cores: u32| cores / chip.groups.max(1);
    Ok((0..chip.groups)
        .map(|id| {
            [
                share(chip.ai_cores),
                share(chip.vector_cores),
                share(chip.ai_cpus),
                1,
                share(context.device().profile().streams),
                id,
            ]
        })
        .collect())
}

fn not_created(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_GROUP_NOT_CREATE, what)
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetGroup(groupId: i32) -> aclError {
    call!("aclrtSetGroup", || {
        let groups = groups()?;
        if !(0..=LAST).contains(&groupId) {
            return Err(fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                format_args!("groupId {groupId} is not in [0, {LAST}]"),
            ));
        }
        if groupId as usize >= groups.len() {
            return Err(not_created(format_args!("there is no group {groupId}")));
        }
        // Nothing that runs here depends on the cores it runs on.
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetGroupCount(count: *mut u32) -> aclError {
    call!("aclrtGetGroupCount", || {
        not_null(count, "count")?;
        let groups = groups()?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { count.write(groups.len() as u32) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCreateGroupInfo() -> *mut aclrtGroupInfo {
    call_or!("aclrtCreateGroupInfo", |_| ptr::null_mut(), || {
        match groups() {
            Ok(groups) if !groups.is_empty() => {
                let room = Mutex::new(vec![[0; 6]; groups.len()]);
                let registration = register(LiveKind::GroupInfo, format!("{} groups", groups.len()));
                INFOS.insert(Arc::new(room), registration).map_or(ptr::null_mut(), <*mut c_void>::cast)
            }
            _ => ptr::null_mut(),
        }
    })
}

fn find(info: *const aclrtGroupInfo) -> Result<Arc<Mutex<Vec<Group>>>, aclError> {
    not_null(info, "groupInfo")?;
    INFOS.get(info.cast()).ok_or_else(|| {
        invalid(format_args!("the group information {info:p} {}", INFOS.describe(info.cast())))
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtDestroyGroupInfo(groupInfo: *mut aclrtGroupInfo) -> aclError {
    call!("aclrtDestroyGroupInfo", || {
        find(groupInfo)?;
        INFOS.remove(groupInfo.cast());
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetAllGroupInfo(groupInfo: *mut aclrtGroupInfo) -> aclError {
    call!("aclrtGetAllGroupInfo", || {
        not_null(groupInfo, "groupInfo")?;
        let groups = groups()?;
        if groups.is_empty() {
            return Err(not_created("there are no groups"));
        }
        *find(groupInfo)?.lock() = groups;
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetGroupInfoDetail(
    groupInfo: *const aclrtGroupInfo,
    groupIndex: i32,
    attr: aclrtGroupAttr,
    attrValue: *mut c_void,
    valueLen: usize,
    paramRetSize: *mut usize,
) -> aclError {
    call!("aclrtGetGroupInfoDetail", || {
        not_null(groupInfo, "groupInfo")?;
        not_null(attrValue, "attrValue")?;
        not_null(paramRetSize, "paramRetSize")?;
        let count = groups()?.len();
        let index = usize::try_from(groupIndex).ok().filter(|&index| index < count);
        let index =
            index.ok_or_else(|| invalid(format_args!("groupIndex {groupIndex} is not in [0, {count})")))?;
        let groups = find(groupInfo)?;
        let value = groups.lock().get(index).and_then(|group| group.get(attr.0 as usize).copied());
        let value = value.ok_or_else(|| invalid(format_args!("attr {} is unknown", attr.0)))?;
        if valueLen < size_of::<u32>() {
            return Err(invalid(format_args!("valueLen {valueLen} is too small for 4 bytes")));
        }
        // SAFETY: [caller] not NULL, and the caller passes room for `valueLen` bytes and a place for their number.
        unsafe {
            attrValue.cast::<u32>().write_unaligned(value);
            paramRetSize.write(size_of::<u32>());
        }
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtSetGroup, aclrtGetGroupCount, aclrtCreateGroupInfo, aclrtDestroyGroupInfo, aclrtGetAllGroupInfo,
        aclrtGetGroupInfoDetail,
    );
}
