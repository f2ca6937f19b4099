//! Events between captured work and the rest, by flags of a record or a wait. These two functions are newer than the headers that the
//! table is made from: they are there for programs that load the library.

use ascendcl_sys::{self as sys, aclError, aclrtEvent, aclrtStream};

use super::{call, event, invalid, not_null};

#[unsafe(no_mangle)]
unsafe extern "C" fn aclrtRecordEventWithFlag(event: aclrtEvent, stream: aclrtStream, flag: u32) -> aclError {
    call!("aclrtRecordEventWithFlag", || {
        not_null(event, "event")?;
        if flag > sys::ACL_EVENT_RECORD_EXTERNAL {
            return Err(invalid(format_args!("flag {flag} is unknown")));
        }
        event::record(event, stream, flag == sys::ACL_EVENT_RECORD_EXTERNAL)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn aclrtStreamWaitEventWithFlag(
    stream: aclrtStream,
    event: aclrtEvent,
    timeout: u32,
    flag: u32,
) -> aclError {
    call!("aclrtStreamWaitEventWithFlag", || {
        not_null(event, "event")?;
        if flag > sys::ACL_EVENT_WAIT_EXTERNAL {
            return Err(invalid(format_args!("flag {flag} is unknown")));
        }
        let external = flag == sys::ACL_EVENT_WAIT_EXTERNAL;
        if external && timeout != 0 {
            return Err(invalid("a wait with ACL_EVENT_WAIT_EXTERNAL has no time limit"));
        }
        event::wait(stream, event, Some(timeout), external)
    })
}
