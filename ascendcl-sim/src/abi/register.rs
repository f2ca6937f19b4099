//! Host memory registered with a device.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
