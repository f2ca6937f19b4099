//! Events between processes.

use core::ffi::c_char;

use ascendcl_sys::{self as sys, AclApi, aclError, aclrtEvent, aclrtIpcEventHandle};

use super::event::find;
use super::{call, fill, not_null};
use crate::core::current_context;
use crate::core::event::{EVENTS, Event};
use crate::error::fail;
use crate::interprocess::KEY_LEN;

const SIZE: usize = sys::ACL_IPC_EVENT_HANDLE_SIZE as usize;
const _: () = assert!(KEY_LEN < SIZE);

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtIpcGetEventHandle(event: aclrtEvent, handle: *mut aclrtIpcEventHandle) -> aclError {
    call!("aclrtIpcGetEventHandle", || {
        not_null(handle, "handle")?;
        not_null(event, "event")?;
        let key = find(event)?.key().ok_or_else(|| {
            fail(
                sys::ACL_ERROR_RT_PARAM_INVALID,
                "only events made with ACL_EVENT_IPC can be given to other processes",
            )
        })?;
        let mut reserved = [0; SIZE];
        for (place, byte) in reserved.iter_mut().zip(key.bytes()) {
            *place = byte as c_char;
        }
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { handle.write(aclrtIpcEventHandle { reserved }) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtIpcOpenEventHandle(
    handle: aclrtIpcEventHandle,
    event: *mut aclrtEvent,
) -> aclError {
    call!("aclrtIpcOpenEventHandle", || {
        not_null(event, "event")?;
        let context = current_context()?;
        let bytes: Vec<u8> =
            handle.reserved.iter().map(|&byte| byte as u8).take_while(|&byte| byte != 0).collect();
        let opened = Event::open(context.device(), &String::from_utf8_lossy(&bytes))?;
        context.check_alive().inspect_err(|_| drop(EVENTS.remove(opened)))?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { event.write(opened) };
        Ok(())
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api: aclrtIpcGetEventHandle, aclrtIpcOpenEventHandle);
}
