//! Which calls fail now and then. Only faults after which nothing has to be leaked: the soak ends leak-free. What is behind a wait that fails
//! belongs to the fault campaign.

use std::time::Duration;

use ascendcl_sim::{Fault, FaultKind};

/// A code that does not say whether the work was submitted: an internal error.
const UNCLEAR: i32 = 507_899;
/// No resource: nothing was submitted.
const REFUSED: i32 = 207_005;

/// The faults. Periods are primes, so that they meet rarely.
pub fn all() -> Vec<Fault> {
    use FaultKind::{DelayReport, DuplicateReport, Error, ErrorAfter, NoMemory};
    let delay = DelayReport(Duration::from_millis(5));
    [
        ("aclrtMalloc", 1009, NoMemory),
        ("aclrtMallocHost", 1511, NoMemory),
        ("aclrtSetDevice", 211, Error(REFUSED)),
        ("aclrtCreateContext", 101, Error(REFUSED)),
        ("aclrtCreateStream", 499, Error(REFUSED)),
        ("aclrtCreateEvent", 997, Error(REFUSED)),
        ("aclrtCreateEventWithFlag", 991, Error(REFUSED)),
        ("aclrtRecordEvent", 4999, Error(REFUSED)),
        ("aclrtStreamWaitEvent", 4003, Error(REFUSED)),
        ("aclrtMemcpy", 3989, Error(REFUSED)),
        ("aclrtMemcpyAsync", 3001, Error(REFUSED)),
        ("aclrtMemcpyAsync", 7001, ErrorAfter(UNCLEAR)),
        ("aclrtMemsetAsync", 2003, ErrorAfter(UNCLEAR)),
        ("aclrtSubscribeReport", 499, Error(REFUSED)),
        ("aclrtLaunchCallback", 307, delay),
        ("aclrtLaunchCallback", 503, DuplicateReport),
        ("aclrtLaunchCallback", 2003, Error(REFUSED)),
        ("aclrtLaunchCallback", 4001, ErrorAfter(UNCLEAR)),
        ("aclmdlLoadFromMem", 53, Error(REFUSED)),
        ("aclmdlExecuteAsync", 997, ErrorAfter(UNCLEAR)),
    ]
    .map(|(function, period, kind)| Fault::periodic(function, period, kind))
    .into()
}

/// Whether this error is one of them.
pub fn made(error: &ascendcl::Error) -> bool {
    const TEXT: &str = "the configuration of the simulator makes";
    matches!(error, ascendcl::Error::Acl(error) if error.message.contains(TEXT))
}
