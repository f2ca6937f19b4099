//! Limits of cores that a device, a stream or a thread may use.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
